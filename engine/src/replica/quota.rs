//! Keeping a subscription under its limits: pages are the unit. Newest pages stay, oldest
//! go; a page that was evicted comes back on demand, verified like any other. The own
//! space is never evicted.

use std::collections::{HashMap, HashSet};

use super::budget::{Room, is_paged};
use super::{BodyState, ChainState, EngineError, Replica, State, StateGuard, Subscription, Work};
use crate::chain::ChainKey;
use crate::description::{Description, DocumentKind, SectionClass, Space};
use crate::hash::{AccountId, DocumentId, SpaceId};
use crate::store::{Table, keys};
use crate::sync::exchange::{KnownTip, Section};
use crate::view::rows_of;

/// A document whose bodies are wanted.
pub(crate) struct Place {
    pub doc: DocumentId,
    pub page: u64,
    /// Largest body fetched.
    pub each_max: u64,
    /// What bodies of its page may take together.
    pub room: Room,
}

impl Replica {
    /// Whether a page may be taken in: within the subscription's history and, with what
    /// newer pages use, within its limit.
    pub(crate) fn takes_page(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<bool, EngineError> {
        let Some(subscription) = self.limit_of(state, description)? else { return Ok(true) };
        Ok(self.budget(state, &subscription)?.takes(description.page))
    }

    /// Subscriptions that keep only a part, by the space they are about.
    pub(super) fn limits<'a>(
        &self,
        state: &'a mut State,
    ) -> Result<&'a HashMap<SpaceId, Subscription>, EngineError> {
        if state.limits.is_none() {
            let own = state.own.as_ref().map(|own| own.account);
            let mut limits = HashMap::new();
            for subscription in self.subscriptions()? {
                if subscription.is_partial() && Some(subscription.account) != own {
                    limits.insert(subscription.space(), subscription);
                }
            }
            state.limits = Some(limits);
        }
        Ok(state.limits.get_or_insert_default())
    }

    /// The subscription that limits a document; none for the own space, profiles and
    /// account logs, and none for what was written here.
    pub(crate) fn limit_of(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<Option<Subscription>, EngineError> {
        let me = state.own.as_ref().map(|own| own.account);
        if !is_paged(description) || Some(description.account) == me {
            return Ok(None);
        }
        let limit = self.limits(state)?.get(&description.space.id()).copied();
        Ok(limit.filter(Subscription::is_limited))
    }

    /// Whether only a part of a section is kept, so that heads are learnt first.
    pub(crate) fn is_limited(
        &self,
        state: &mut State,
        section: &Section,
    ) -> Result<bool, EngineError> {
        let paged = matches!(section.class, SectionClass::Public | SectionClass::Visitors);
        let limit = self.limits(state)?.get(&section.space);
        Ok(paged && limit.is_some_and(Subscription::is_limited))
    }

    /// Whether pages, or files for their size, of a section may be left out.
    pub(crate) fn may_lack(
        &self,
        state: &mut State,
        section: &Section,
    ) -> Result<bool, EngineError> {
        let paged = matches!(section.class, SectionClass::Public | SectionClass::Visitors);
        Ok(paged && self.limits(state)?.contains_key(&section.space))
    }

    /// Documents of a section whose bodies are wanted, as far as the subscription's limits
    /// reach.
    pub(crate) fn documents_in_budget(
        &self,
        state: &mut State,
        section: &Section,
    ) -> Result<Vec<Place>, EngineError> {
        let subscription = self.subscription_to(state, &section.space)?;
        let budget = match &subscription {
            Some(subscription) if subscription.is_limited() => {
                Some(self.budget(state, subscription)?)
            }
            _ => None,
        };
        let me = state.own.as_ref().map(|own| own.account);
        let mut out = Vec::new();
        for (doc, description) in self.documents(state, &section.space)? {
            if self.section_of(state, &description)?.class != section.class {
                continue;
            }
            let (mut each_max, mut room) = (u64::MAX, Room::ENDLESS);
            if is_paged(&description) && Some(description.account) != me {
                each_max = subscription.map_or(u64::MAX, |s| s.body_bytes_max);
                room = budget.as_ref().map_or(room, |b| b.room(description.page));
            }
            if let Some(most) = self.request_body_limit(state, &description)? {
                each_max = each_max.min(most);
            }
            if room.bytes > 0 || room.small_max > 0 {
                // What is on no page shares its room with nothing.
                let page = if is_paged(&description) { description.page } else { u64::MAX };
                out.push(Place { doc, page, each_max, room });
            }
        }
        Ok(out)
    }

    fn subscription_to(
        &self,
        state: &mut State,
        space: &SpaceId,
    ) -> Result<Option<Subscription>, EngineError> {
        let own = state.own.as_ref().map(|own| own.account);
        match self.space_of(state, space)?.and_then(|space| space.account()) {
            Some(owner) if Some(owner) != own => self.subscription(&owner),
            _ => Ok(None),
        }
    }

    /// Chains of a section whose bytes are known and not all here, and would be taken.
    pub(crate) fn open_chains(
        &self,
        state: &mut State,
        section: &Section,
        limit: usize,
    ) -> Result<Vec<KnownTip>, EngineError> {
        let subscription = match self.is_limited(state, section)? {
            true => self.limits(state)?.get(&section.space).copied(),
            false => None,
        };
        let budget = match &subscription {
            Some(subscription) => Some(self.budget(state, subscription)?),
            None => None,
        };
        let me = state.own.as_ref().map(|own| own.account);
        let mut out = Vec::new();
        for tip in self.section_tips(state, section)? {
            if tip.held_n >= tip.n || out.len() >= limit {
                continue;
            }
            let chain = self.chain(state, &section.space, &tip.chain)?;
            let Some(description) = self.description(state, &tip.chain.doc)? else { continue };
            let limited = is_paged(&description) && Some(description.account) != me;
            let takes = match &budget {
                Some(budget) if limited => budget.takes(description.page),
                // Given up under a limit that is gone.
                _ => true,
            };
            let wanted = takes
                && self.is_open(state, &tip, &chain, &description)?
                && (description.kind == DocumentKind::HubLog
                    || !self.is_blocked(state, &description.account)?)
                && !self.is_strangers(state, &description, chain.held)?
                && !Self::is_visitor_full(state, &description)
                && !self.is_carried_full(state, &description)?
                && !self.is_member_full(state, &tip.chain, &description)?;
            if wanted {
                out.push(tip);
            }
        }
        Ok(out)
    }

    /// Whether more of a chain could count: it leads to its known head, and is neither void nor
    /// withdrawn from there on.
    fn is_open(
        &self,
        state: &mut State,
        tip: &KnownTip,
        chain: &ChainState,
        description: &Description,
    ) -> Result<bool, EngineError> {
        let text = description.kind == DocumentKind::Text;
        Ok((!text || self.is_text_wanted(state, &Work::default(), description)?)
            && chain.known_link == tip.link
            && (Self::is_gapped(state, &tip.chain)
                || (chain.invalid_from == 0
                    && self.is_wanted(state, &tip.chain, tip.held_n + 1)?)))
    }

    /// Whether something is known of a section and not here, for whatever reason: also what this
    /// replica alone passes over, of somebody it blocks, or for want of room.
    pub(super) fn passes_over(
        &self,
        state: &mut State,
        section: &Section,
    ) -> Result<bool, EngineError> {
        for tip in self.section_tips(state, section)? {
            if tip.held_n >= tip.n {
                continue;
            }
            let chain = self.chain(state, &section.space, &tip.chain)?;
            let Some(description) = self.description(state, &tip.chain.doc)? else {
                return Ok(true);
            };
            // What somebody writes who never was a member is nobody's to hold.
            if self.is_open(state, &tip, &chain, &description)?
                && !self.is_strangers(state, &description, chain.held)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Brings every subscription under its limit by evicting its oldest pages. Returns
    /// the number of pages evicted.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn enforce_limits(&self) -> Result<u64, EngineError> {
        let limits = self.limits(&mut self.lock())?.clone();
        let mut evicted = 0;
        for subscription in limits.values().filter(|limit| limit.bytes_max != u64::MAX) {
            // Each is looked for anew: meanwhile another one may have been asked for.
            let mut tried = HashSet::new();
            loop {
                let mut state = self.lock();
                let budget = self.budget(&mut state, subscription)?;
                let Some(page) = budget.over.into_iter().find(|page| tried.insert(*page)) else {
                    break;
                };
                self.give_up_page(state, &subscription.account, page)?;
                evicted += 1;
            }
        }
        Ok(evicted)
    }

    /// Drops the bytes of one page of somebody else's wall, guests included; heads stay
    /// known.
    ///
    /// # Errors
    /// If it is the own space, or the store fails.
    pub fn evict_page(&self, account: &AccountId, page: u64) -> Result<(), EngineError> {
        self.give_up_page(self.lock(), account, page)
    }

    /// As [`Replica::evict_page`]. What takes several commits is counted, and given up, until the
    /// last one.
    fn give_up_page<'a>(
        &'a self,
        mut state: StateGuard<'a>,
        account: &AccountId,
        page: u64,
    ) -> Result<(), EngineError> {
        if state.own.as_ref().is_some_and(|own| own.account == *account) {
            return Err(EngineError::Denied("own data is never evicted".into()));
        }
        let mut work = Work::default();
        let space = Space::Account(*account).id();
        let whole = Subscription::whole(*account);
        let subscription = self.subscription(account)?.unwrap_or(whole);
        let weight = self.page_weighs(&mut state, &subscription, page)?;
        self.note_weight(&mut work.batch, &space, page, weight)?;
        let me = state.own.as_ref().map(|own| own.account);
        for (doc, description) in self.documents(&mut state, &space)? {
            // The own replies on this wall are own data.
            let mine = Some(description.account) == me;
            if !is_paged(&description) || description.page != page || mine {
                continue;
            }
            // Bodies first: what is left of the page after a crash still names them.
            for hash in self.bodies_in(&mut state, &doc)? {
                self.put_body_state(&mut work, &hash, &doc, BodyState::Evicted)?;
                work.batch.delete(Table::Meta, keys::held(&doc, &hash));
                work.given_up.insert((hash, doc));
                self.remove_blob_unless_used(&mut work, &hash, &doc)?;
                state = self.commit_large(state, &mut work)?;
            }
            for (key, _) in self.chains_of(&mut state, &doc)? {
                self.evict_chain(&mut state, &mut work, &key, &description)?;
                state = self.commit_large(state, &mut work)?;
            }
        }
        state.demanded.remove(&(*account, page));
        self.finish(state, work)
    }

    fn evict_chain(
        &self,
        state: &mut State,
        work: &mut Work,
        key: &ChainKey,
        description: &Description,
    ) -> Result<(), EngineError> {
        let mut chain = self.chain(state, &description.space.id(), key)?;
        let mut freed = 0;
        for item in self.log_items(key, 1, chain.held)? {
            freed += Self::visitor_cost(&item.entry);
            let row = crate::view::EntryRow {
                doc: key.doc,
                device: key.device,
                incarnation: key.incarnation,
                n: item.n,
                time_ms: item.time_ms,
                kind: item.entry.kind(),
            };
            for (row, _) in rows_of(description, &item.id, &row, &item.entry) {
                work.batch.delete(Table::Rows, row);
            }
            for body in crate::view::bodies_of(&item.entry) {
                // What a tombstone dropped stays dropped.
                let place = keys::body(&body.hash, &key.doc);
                let known = self.store.get(Table::Meta, &place)?;
                if known.as_deref() == Some(&[BodyState::Wanted as u8]) {
                    work.batch.put(Table::Meta, place, vec![BodyState::Evicted as u8]);
                    if self.is_partial(&body.hash)? {
                        work.files.push(body.hash);
                    }
                }
                work.batch.delete(Table::Meta, keys::wanted(&key.doc, &body.hash));
            }
            work.batch.delete(Table::Truth, keys::blob(&item.id.blob()));
            if self.store.blob_info(&item.id.blob())?.is_some() {
                work.files.push(item.id.blob());
            }
        }
        self.drop_chain_rows(work, key, 1, description)?;
        self.free_visitor_room(state, work, description, freed)?;
        let mut fresh = ChainState::fresh(key.origin(&description.space.id()));
        fresh.head = std::mem::take(&mut chain.head);
        fresh.known = chain.known;
        fresh.known_link = chain.known_link;
        fresh.evicted = true;
        state.dirty = true;
        state.chains.insert(*key, fresh);
        work.chains.insert(*key);
        work.cuts.insert(key.doc);
        Ok(())
    }

    /// Gives up everything that is here of somebody else's wall, what was written here
    /// excepted.
    ///
    /// # Errors
    /// If it is the own space, or the store fails.
    pub fn evict_wall(&self, account: &AccountId) -> Result<(), EngineError> {
        for used in self.pages_used(account)?.into_iter().filter(|used| used.bytes > 0) {
            self.evict_page(account, used.page)?;
        }
        Ok(())
    }

    /// Asks for a page that is known and not here: room is made for it, and the next sync
    /// fetches it. Until another one is asked for, it stays.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn demand_page(&self, account: &AccountId, page: u64) -> Result<(), EngineError> {
        let mut state = self.lock();
        state.demanded.retain(|(other, _)| other != account);
        state.demanded.insert((*account, page));
        state.forget_missing(None);
        drop(state);
        self.enforce_limits()?;
        Ok(())
    }

    /// Lets pages go that were asked for and left the newest one no room; brings every
    /// subscription under its limit.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn settle_limits(&self) -> Result<(), EngineError> {
        let mut state = self.lock();
        for subscription in self.limits(&mut state)?.clone().into_values() {
            if self.budget(&mut state, &subscription)?.displaced.is_some() {
                state.demanded.retain(|(account, _)| *account != subscription.account);
                state.forget_missing(None);
            }
        }
        drop(state);
        self.enforce_limits()?;
        Ok(())
    }

    /// Lets the newest page come back when there is something new on it.
    pub(super) fn return_to_newest(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<(), EngineError> {
        if state.demanded.is_empty() {
            return Ok(());
        }
        let Some(subscription) = self.limit_of(state, description)? else { return Ok(()) };
        if self.budget(state, &subscription)?.displaced == Some(description.page) {
            state.demanded.retain(|(account, _)| *account != subscription.account);
            state.forget_missing(None);
        }
        Ok(())
    }
}
