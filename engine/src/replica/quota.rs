//! Keeping a subscription under its limits: pages are the unit. Newest pages stay, oldest
//! go; a page that was evicted comes back on demand, verified like any other. The own
//! space is never evicted.

use std::collections::BTreeMap;

use super::{BodyState, ChainState, EngineError, History, Replica, State, Subscription, Work};
use crate::chain::ChainKey;
use crate::description::{Description, DocumentKind, Space};
use crate::hash::{AccountId, BlobHash, DocumentId, SpaceId};
use crate::store::{Table, keys};
use crate::sync::exchange::Section;
use crate::view::rows_of;

/// What a page costs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageUse {
    /// Page number of the wall.
    pub page: u64,
    /// Stored changes and bodies of the wall page and of the guest pages beside it.
    pub bytes: u64,
    /// Evicted, to be fetched on demand.
    pub evicted: bool,
}

impl Replica {
    /// Stored bytes of a space's walls and guest pages, by page.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn pages_used(&self, account: &AccountId) -> Result<Vec<PageUse>, EngineError> {
        let mut state = self.lock();
        self.page_uses(&mut state, &Space::Account(*account).id())
    }

    fn page_uses(&self, state: &mut State, space: &SpaceId) -> Result<Vec<PageUse>, EngineError> {
        let mut pages: BTreeMap<u64, PageUse> = BTreeMap::new();
        for (doc, description) in self.documents(state, space)? {
            if !is_paged(&description) {
                continue;
            }
            let chains = self.chains_of(state, &doc)?;
            let bytes = self.document_bytes(&doc, &chains)?;
            let page = pages.entry(description.page).or_insert(PageUse {
                page: description.page,
                bytes: 0,
                evicted: false,
            });
            page.bytes += bytes;
            page.evicted |= chains.iter().any(|(_, chain)| chain.evicted);
        }
        Ok(pages.into_values().collect())
    }

    fn document_bytes(
        &self,
        doc: &DocumentId,
        chains: &[(ChainKey, ChainState)],
    ) -> Result<u64, EngineError> {
        let mut bytes = 0;
        for (key, chain) in chains {
            for id in self.change_ids(key, 1, chain.held)? {
                bytes += self.blob_size(&id.blob())?;
            }
        }
        for hash in self.bodies_in(doc)? {
            bytes += self.blob_size(&hash)?;
        }
        Ok(bytes)
    }

    fn blob_size(&self, hash: &BlobHash) -> Result<u64, EngineError> {
        match self.store.get(Table::Truth, &keys::blob(hash))? {
            Some(bytes) => Ok(bytes.len() as u64),
            None => Ok(self.store.blob_info(hash)?.map_or(0, |info| info.size)),
        }
    }

    /// Bodies that a document names and that are held for it.
    fn bodies_in(&self, doc: &DocumentId) -> Result<Vec<BlobHash>, EngineError> {
        let mut hashes = Vec::new();
        for (key, _) in self.scan_all(Table::Meta, &keys::held_prefix(doc))? {
            if let Some(hash) = key.last_chunk::<32>() {
                hashes.push(BlobHash::from_bytes(*hash));
            }
        }
        Ok(hashes)
    }

    /// Whether a page may be taken in: within the subscription's history and, with what
    /// newer pages use, within its limit.
    pub(crate) fn takes_page(
        &self,
        state: &mut State,
        description: &Description,
        now_ms: u64,
    ) -> Result<bool, EngineError> {
        let Some(subscription) = self.limit_of(state, description)? else { return Ok(true) };
        let Some(owner) = description.space.account() else { return Ok(true) };
        let newest = self.last_page(state, &owner, DocumentKind::Wall)?.unwrap_or(0);
        if description.kind == DocumentKind::Guest && description.page > newest {
            // Beside no page: a guest does not say what the newest one is.
            return Ok(false);
        }
        if description.page >= newest || state.demanded.contains(&(owner, description.page)) {
            return Ok(true);
        }
        match subscription.history {
            History::Heads => return Ok(false),
            History::Recent(age) => {
                let limit = now_ms.saturating_sub(age);
                if self.newest_entry_after(state, &owner, description.page)? < Some(limit) {
                    return Ok(false);
                }
            }
            History::Full => {}
        }
        let space = description.space.id();
        let uses = self.cached_uses(state, &space)?;
        let demanded = |page: u64| state.demanded.contains(&(owner, page));
        let before = uses.iter().filter(|u| u.page > description.page || demanded(u.page));
        let newer: u64 = before.map(|u| u.bytes).sum();
        Ok(newer < subscription.bytes_max)
    }

    /// The oldest entry known in pages after `page`: what a page ends before.
    fn newest_entry_after(
        &self,
        state: &mut State,
        owner: &AccountId,
        page: u64,
    ) -> Result<Option<u64>, EngineError> {
        let next = Description::own(*owner, DocumentKind::Wall, page + 1).id();
        let mut oldest = None;
        for (key, chain) in self.chains_of(state, &next)? {
            let first = self.log_items(&key, 1, chain.held.min(1))?;
            oldest = oldest.max(first.first().map(|item| item.time_ms));
        }
        Ok(oldest)
    }

    fn cached_uses(&self, state: &mut State, space: &SpaceId) -> Result<Vec<PageUse>, EngineError> {
        if let Some(known) = state.uses.get(space) {
            return Ok(known.clone());
        }
        let uses = self.page_uses(state, space)?;
        state.uses.insert(*space, uses.clone());
        Ok(uses)
    }

    /// The subscription that limits a document; none for the own space, profiles and
    /// account logs.
    pub(crate) fn limit_of(
        &self,
        state: &State,
        description: &Description,
    ) -> Result<Option<Subscription>, EngineError> {
        let own = state.own.as_ref().map(|own| own.account);
        let owner = description.space.account();
        if !is_paged(description) || owner == own {
            return Ok(None);
        }
        match owner {
            Some(owner) => self.subscription(&owner),
            None => Ok(None),
        }
    }

    /// Documents of a section whose bodies are wanted, newest pages first, as far as the
    /// subscription's limit reaches; with the size up to which a body is fetched by itself.
    pub(crate) fn documents_in_budget(
        &self,
        state: &mut State,
        section: &Section,
    ) -> Result<Vec<(DocumentId, u64)>, EngineError> {
        let mut documents = Vec::new();
        for (doc, description) in self.documents(state, &section.space)? {
            if self.section_of(state, &description)?.class == section.class {
                let limit = self.limit_of(state, &description)?;
                documents.push((description.page, doc, limit));
            }
        }
        let owner = documents.iter().find_map(|(_, _, limit)| limit.map(|limit| limit.account));
        let demanded =
            |page: u64| owner.is_some_and(|owner| state.demanded.contains(&(owner, page)));
        documents.sort_by_key(|(page, _, _)| (!demanded(*page), std::cmp::Reverse(*page)));
        // Reading what every page takes is dear, and of no use where nothing is limited.
        let limited = documents.iter().any(|(_, _, limit)| limit.is_some());
        let uses = if limited { self.cached_uses(state, &section.space)? } else { Vec::new() };
        let used = |page: u64| uses.iter().find(|u| u.page == page).map_or(0, |u| u.bytes);
        let (mut total, mut at, mut newest) = (0u64, None, true);
        let mut out = Vec::new();
        for (page, doc, limit) in documents {
            let Some(limit) = limit else {
                out.push((doc, u64::MAX));
                continue;
            };
            if at != Some(page) {
                newest = at.is_none();
                at = Some(page);
                total = total.saturating_add(used(page));
            }
            total = total.saturating_add(self.wanted_bytes(&doc, limit.body_bytes_max)?);
            if newest || total <= limit.bytes_max {
                out.push((doc, limit.body_bytes_max));
            }
        }
        Ok(out)
    }

    fn wanted_bytes(&self, doc: &DocumentId, each_max: u64) -> Result<u64, EngineError> {
        let rows = self.scan_all(Table::Meta, &keys::wanted_prefix(doc))?;
        let sizes = rows.iter().filter_map(|(_, value)| value.as_ref().try_into().ok());
        Ok(sizes.map(u64::from_be_bytes).filter(|size| *size <= each_max).sum())
    }

    /// Brings every subscription under its limit by evicting its oldest pages. Returns
    /// the number of pages evicted.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn enforce_limits(&self) -> Result<u64, EngineError> {
        let mut evicted = 0;
        for subscription in self.subscriptions()? {
            if subscription.bytes_max == u64::MAX {
                continue;
            }
            let own = self.account().ok();
            if own == Some(subscription.account) {
                continue;
            }
            let space = Space::Account(subscription.account).id();
            let mut pages = self.cached_uses(&mut self.lock(), &space)?;
            let mut total: u64 = pages.iter().map(|page| page.bytes).sum();
            pages.retain(|page| page.bytes > 0);
            // The newest page always stays, and the one that was asked for last.
            pages.pop();
            let demanded = self.lock().demanded.clone();
            let account = subscription.account;
            pages.retain(|page| !demanded.contains(&(account, page.page)));
            for page in pages {
                if total <= subscription.bytes_max {
                    break;
                }
                self.evict_page(&subscription.account, page.page)?;
                total = total.saturating_sub(page.bytes);
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
        let mut state = self.lock();
        if state.own.as_ref().is_some_and(|own| own.account == *account) {
            return Err(EngineError::Denied("own data is never evicted".into()));
        }
        let mut work = Work::default();
        let space = Space::Account(*account).id();
        let me = state.own.as_ref().map(|own| own.account);
        for (doc, description) in self.documents(&mut state, &space)? {
            // The own replies on this wall are own data.
            let mine = Some(description.account) == me;
            if !is_paged(&description) || description.page != page || mine {
                continue;
            }
            for hash in self.bodies_in(&doc)? {
                let place = keys::body(&hash, &doc);
                work.batch.put(Table::Meta, place, vec![BodyState::Evicted as u8]);
                work.batch.delete(Table::Meta, keys::held(&doc, &hash));
                self.remove_blob_unless_used(&mut work, &hash, &doc)?;
                state = self.commit_large(state, &mut work)?;
            }
            for (key, _) in self.chains_of(&mut state, &doc)? {
                self.evict_chain(&mut state, &mut work, &key, &description)?;
                state = self.commit_large(state, &mut work)?;
            }
        }
        state.uses.remove(&space);
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
                work.batch.delete(Table::Meta, keys::wanted(&key.doc, &body.hash));
            }
            work.batch.delete(Table::Truth, keys::chain_change(key, item.n));
            work.batch.delete(Table::Truth, keys::blob(&item.id.blob()));
        }
        for (n, _) in (chain.held + 1..).zip(self.change_ids(key, chain.held + 1, chain.known)?) {
            work.batch.delete(Table::Truth, keys::chain_change(key, n));
        }
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

    /// Asks for an evicted page again: the next sync fetches it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn demand_page(&self, account: &AccountId, page: u64) -> Result<(), EngineError> {
        let mut state = self.lock();
        let mut work = Work::default();
        state.demanded.retain(|(other, _)| other != account);
        state.demanded.insert((*account, page));
        let space = Space::Account(*account).id();
        for (doc, description) in self.documents(&mut state, &space)? {
            if !is_paged(&description) || description.page != page {
                continue;
            }
            for (key, mut chain) in self.chains_of(&mut state, &doc)? {
                chain.evicted = false;
                state.dirty = true;
                state.chains.insert(key, chain);
                work.chains.insert(key);
            }
        }
        self.finish(state, work)
    }
}

const fn is_paged(description: &Description) -> bool {
    matches!(description.kind, DocumentKind::Wall | DocumentKind::Guest)
}
