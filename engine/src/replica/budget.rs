//! Which pages of a wall a limited subscription takes: the newest ones, as far as limit and
//! history reach. A page that was asked for comes before all others, and even the newest one makes
//! room for it: more than the limit and a page is never here. What a page weighs is known once its changes are here, and remembered when
//! it is given up, so that it is not fetched only to be given up again.

use std::collections::BTreeMap;

use super::body_rows::bytes_in;
use super::{EngineError, History, Replica, State, Subscription};
use crate::description::{Description, DocumentKind, Space};
use crate::hash::{AccountId, DocumentId, SpaceId};
use crate::limits::{BODY_BYTES_MAX, BODY_SALT_BYTES};
use crate::store::{Batch, Table, keys};

/// Pages of unknown weight asked for at once; each is a page too many at worst.
const ASKED_AT_ONCE_MAX: usize = 4;

/// Bodies up to this size come to a page that stays, whatever the limit.
const SMALL_BYTES_MAX: u64 = (BODY_BYTES_MAX + BODY_SALT_BYTES) as u64;

/// What a page costs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageUse {
    /// Page number of the wall.
    pub page: u64,
    /// Stored changes and bodies of the wall page and of the guest pages beside it.
    pub bytes: u64,
    /// Known and not here, for want of room or by age: fetched on demand.
    pub evicted: bool,
}

/// What a document costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DocumentUse {
    /// Stored bytes of its changes and bodies.
    pub held: u64,
    /// Bytes of bodies that its changes name, that are not here, and that would be fetched.
    pub wanted: u64,
    /// Those of them that come in any case to a page that stays.
    pub small: u64,
}

/// A page and what is known of its weight.
#[derive(Debug, Clone, Copy, Default)]
struct Page {
    /// Of documents of others: the own ones cannot be given up.
    held: u64,
    wanted: u64,
    small: u64,
    /// Some changes are known and not here.
    partial: bool,
    /// Some chain was given up.
    evicted: bool,
}

/// Room for bodies of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Bytes for all.
    pub bytes: u64,
    /// Bodies up to this size come in any case.
    pub small_max: u64,
}

impl Room {
    pub(crate) const NONE: Self = Self { bytes: 0, small_max: 0 };
    pub(crate) const ENDLESS: Self = Self { bytes: u64::MAX, small_max: 0 };
}

/// What a limited subscription takes of a wall.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Pages taken.
    taken: BTreeMap<u64, Room>,
    /// Pages that are here and have no room, oldest first.
    pub over: Vec<u64>,
    /// The newest page, if one that was asked for left it no room.
    pub displaced: Option<u64>,
}

impl Budget {
    /// Whether a page is taken in.
    pub(crate) fn takes(&self, page: u64) -> bool {
        self.taken.contains_key(&page)
    }

    /// Room for bodies named on a page and not here.
    pub(crate) fn room(&self, page: u64) -> Room {
        self.taken.get(&page).copied().unwrap_or(Room::NONE)
    }
}

/// A walk over the pages, newest first.
struct Walk {
    budget: Budget,
    limit: u64,
    total: u64,
    /// Weight of the page before, as far as known.
    last: u64,
    /// Pages of unknown weight taken so far.
    unknown: usize,
    /// Some newer page had no room: no older one has.
    full: bool,
}

impl Walk {
    /// A page that stays in any case, with as many of its files as there is room for. What it
    /// weighed before, as far as the limit, is kept free while it is on its way.
    fn keep(&mut self, number: u64, page: &Page, weight: Option<u64>) {
        let held = self.total.saturating_add(page.held);
        let room = page.wanted.min(self.limit.saturating_sub(held));
        let weight = weight.filter(|_| page.partial).unwrap_or(0).min(self.limit);
        let here = held.saturating_add(room.max(page.small));
        self.total = here.max(self.total.saturating_add(weight));
        self.budget.taken.insert(number, Room { bytes: room, small_max: SMALL_BYTES_MAX });
    }

    /// The newest page: it stays, unless it and one that was asked for are both beyond the limit.
    fn keep_newest(&mut self, number: u64, page: &Page, weight: Option<u64>) {
        let sure = page.held.saturating_add(page.small);
        let weight = weight.filter(|_| page.partial).unwrap_or(0).max(sure);
        if self.total > self.limit && weight > self.limit {
            self.full = true;
            self.budget.displaced = Some(number);
            if page.held > 0 {
                self.budget.over.push(number);
            }
            return;
        }
        self.last = page.held.saturating_add(page.wanted);
        self.keep(number, page, None);
    }

    fn weigh(&mut self, number: u64, page: &Page, weight: u64) {
        if self.full || self.total.saturating_add(weight) > self.limit {
            self.full = true;
            if page.held > 0 {
                self.budget.over.push(number);
            }
            return;
        }
        self.total += weight;
        self.budget.taken.insert(number, Room { bytes: page.wanted, small_max: 0 });
    }

    /// A page nobody can weigh yet: taken if one like the page before fits; one at a time, a
    /// few where those before were light.
    fn guess(&mut self, number: u64, together: bool) {
        let more = together
            && self.last > 0
            && self.unknown < ASKED_AT_ONCE_MAX
            && self.total.saturating_add(2 * self.last) <= self.limit;
        let fits = self.total < self.limit && self.total.saturating_add(self.last) <= self.limit;
        if self.full || !fits || (self.unknown > 0 && !more) {
            self.full = true;
            return;
        }
        self.unknown += 1;
        self.total = self.total.saturating_add(self.last);
        self.budget.taken.insert(number, Room::ENDLESS);
    }
}

impl Replica {
    /// What a limited subscription takes of its wall.
    pub(crate) fn budget(
        &self,
        state: &mut State,
        subscription: &Subscription,
    ) -> Result<Budget, EngineError> {
        let owner = subscription.account;
        let newest = self.last_page(state, &owner, DocumentKind::Wall)?.unwrap_or(0);
        let mut pages = self.pages_of(state, subscription)?;
        // Beside no page of the wall: a guest does not say what the newest one is.
        pages.retain(|page, _| *page <= newest);
        let mut walk = Walk {
            budget: Budget::default(),
            limit: subscription.bytes_max,
            total: 0,
            last: 0,
            unknown: 0,
            full: false,
        };
        let demanded: Vec<u64> = pages
            .keys()
            .filter(|page| state.demanded.contains(&(owner, **page)))
            .copied()
            .collect();
        for number in demanded {
            if let Some(page) = pages.remove(&number) {
                let weight = self.weight(&subscription.space(), number, &page)?;
                walk.keep(number, &page, weight);
            }
        }
        let mut young = true;
        for (number, page) in pages.into_iter().rev() {
            let weight = self.weight(&subscription.space(), number, &page)?;
            if number == newest {
                walk.keep_newest(number, &page, weight);
                continue;
            }
            young = young && self.is_young(state, subscription, number)?;
            match weight {
                // Too old to be fetched; what is here stays as long as there is room.
                _ if !young && page.held == 0 => {}
                Some(weight) => {
                    walk.weigh(number, &page, weight);
                    walk.last = weight;
                    if !young {
                        walk.budget.taken.remove(&number);
                    }
                }
                None => walk.guess(number, subscription.history == History::Full),
            }
        }
        walk.budget.over.reverse();
        Ok(walk.budget)
    }

    /// What a page weighs; `None` if nothing of it was ever here.
    fn weight(
        &self,
        space: &SpaceId,
        number: u64,
        page: &Page,
    ) -> Result<Option<u64>, EngineError> {
        let here = page.held.saturating_add(page.wanted);
        if here > 0 && !page.partial {
            return Ok(Some(here));
        }
        let noted = self.store.get(Table::Meta, &keys::page_weight(space, number))?;
        let noted = noted.and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_be_bytes));
        Ok(match noted {
            Some(noted) => Some(noted.max(here)),
            None if page.evicted => Some(u64::MAX),
            None => Some(here).filter(|here| *here > 0),
        })
    }

    /// Notes what a page weighs that is given up.
    pub(crate) fn note_weight(
        &self,
        batch: &mut Batch,
        space: &SpaceId,
        page: u64,
        weight: u64,
    ) -> Result<(), EngineError> {
        let key = keys::page_weight(space, page);
        let noted = self.store.get(Table::Meta, &key)?;
        let noted = noted.and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_be_bytes));
        batch.put(Table::Meta, key, weight.max(noted.unwrap_or(0)).to_be_bytes().to_vec());
        Ok(())
    }

    /// What the documents of others on a page weigh here.
    pub(crate) fn page_weighs(
        &self,
        state: &mut State,
        subscription: &Subscription,
        page: u64,
    ) -> Result<u64, EngineError> {
        let pages = self.pages_of(state, subscription)?;
        Ok(pages.get(&page).map_or(0, |page| page.held.saturating_add(page.wanted)))
    }

    fn pages_of(
        &self,
        state: &mut State,
        subscription: &Subscription,
    ) -> Result<BTreeMap<u64, Page>, EngineError> {
        let me = state.own.as_ref().map(|own| own.account);
        let mut pages: BTreeMap<u64, Page> = BTreeMap::new();
        for (doc, description) in self.documents(state, &subscription.space())? {
            if !is_paged(&description) || Some(description.account) == me {
                continue;
            }
            let used = self.document_use(state, &doc, subscription.body_bytes_max)?;
            let page = pages.entry(description.page).or_default();
            page.held = page.held.saturating_add(used.held);
            page.wanted = page.wanted.saturating_add(used.wanted);
            page.small = page.small.saturating_add(used.small);
            for (_, chain) in self.chains_of(state, &doc)? {
                page.partial |= chain.held < chain.known;
                page.evicted |= chain.evicted;
            }
        }
        Ok(pages)
    }

    /// Whether the subscription's history reaches a page: it ends before the page after it
    /// begins.
    fn is_young(
        &self,
        state: &mut State,
        subscription: &Subscription,
        page: u64,
    ) -> Result<bool, EngineError> {
        let age = match subscription.history {
            History::Full => return Ok(true),
            History::Heads => return Ok(false),
            History::Recent(age) => age,
        };
        let limit = state.now_ms.saturating_sub(age);
        Ok(self.first_entry(state, &subscription.account, page + 1)? >= Some(limit))
    }

    /// The newest of the first entries of a page's chains.
    fn first_entry(
        &self,
        state: &mut State,
        owner: &AccountId,
        page: u64,
    ) -> Result<Option<u64>, EngineError> {
        let doc = Description::own(*owner, DocumentKind::Wall, page).id();
        let mut newest = None;
        for (key, chain) in self.chains_of(state, &doc)? {
            let first = self.log_items(&key, 1, chain.held.min(1))?;
            newest = newest.max(first.first().map(|item| item.time_ms));
        }
        Ok(newest)
    }

    /// Stored bytes of a space's walls and guest pages, by page.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn pages_used(&self, account: &AccountId) -> Result<Vec<PageUse>, EngineError> {
        let mut state = self.lock();
        let limited = self.subscription(account)?.is_some_and(|limit| limit.is_limited());
        let mut pages: BTreeMap<u64, PageUse> = BTreeMap::new();
        for (doc, description) in self.documents(&mut state, &Space::Account(*account).id())? {
            if !is_paged(&description) {
                continue;
            }
            let bytes = self.document_use(&mut state, &doc, u64::MAX)?.held;
            let chains = self.chains_of(&mut state, &doc)?;
            let page = description.page;
            let used = pages.entry(page).or_insert(PageUse { page, bytes: 0, evicted: false });
            used.bytes += bytes;
            let gone = chains.iter().any(|(_, chain)| chain.held == 0 && chain.known > 0);
            used.evicted |= limited && description.kind == DocumentKind::Wall && gone;
        }
        Ok(pages.into_values().collect())
    }

    pub(in crate::replica) fn document_use(
        &self,
        state: &mut State,
        doc: &DocumentId,
        each_max: u64,
    ) -> Result<DocumentUse, EngineError> {
        if let Some((known, of)) = state.uses.get(doc)
            && *of == each_max
        {
            return Ok(*known);
        }
        let mut used = DocumentUse::default();
        for (key, chain) in self.chains_of(state, doc)? {
            for item in self.chain_items(&key, 1, chain.held)? {
                used.held += match item.stored {
                    Some(stored) => stored.row_bytes() as u64,
                    None => self.held_size(&item.id.blob())?.unwrap_or(0),
                };
            }
        }
        for hash in self.bodies_in(state, doc)? {
            let row = self.body_row(&hash, doc)?;
            used.held += match row.as_ref().and_then(bytes_in) {
                Some(bytes) => bytes.len() as u64,
                None => self.held_size(&hash)?.unwrap_or(0),
            };
        }
        for (_, value) in self.scan_all(Table::Meta, &keys::wanted_prefix(doc))? {
            let size = value.as_ref().try_into().map_or(0, u64::from_be_bytes);
            if size <= each_max {
                used.wanted = used.wanted.saturating_add(size);
                if size <= SMALL_BYTES_MAX {
                    used.small = used.small.saturating_add(size);
                }
            }
        }
        state.uses.insert(*doc, (used, each_max));
        Ok(used)
    }
}

/// Whether documents like this stand on pages beside each other.
pub(crate) const fn is_paged(description: &Description) -> bool {
    matches!(description.kind, DocumentKind::Wall | DocumentKind::Guest)
}
