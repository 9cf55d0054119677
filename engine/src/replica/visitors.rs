//! What strangers may make this replica keep. Their documents are taken within a quota for
//! each of them and for all of a wall together; whom the wall's owner has admitted, whom
//! this account follows, and its own replies are not strangers'. Heads are taken further
//! than data, so that replicas agree on what there is.

use std::collections::BTreeMap;

use super::receive::Arrival;
use super::{EngineError, FOLLOWS, Replica, State, Work};
use crate::codec::Reader;
use crate::description::{Description, DocumentKind, SectionClass};
use crate::hash::{AccountId, SpaceId};
use crate::model::entry::Entry;
use crate::store::{Table, keys};
use crate::sync::exchange::{Reason, Section, Verdict};
use crate::view::bodies_of;

/// Bytes of one visitor on one wall, bodies that his entries name included.
const VISITOR_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of all visitors of one wall.
const VISITORS_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Chains of one visitor on one wall of which the head is known.
const VISITOR_CHAINS_MAX: u64 = 4_096;
/// The same of all visitors: what a session compares.
const VISITORS_CHAINS_MAX: u64 = 65_536;
/// Bytes of the account log of somebody who is only a visitor.
const VISITOR_LOG_BYTES_MAX: u64 = 1024 * 1024;
/// Rows of one entry, about.
const ENTRY_ROWS_BYTES: u64 = 512;

/// What a visitor has on a wall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct VisitorUse {
    bytes: u64,
    chains: u64,
    /// Something was not taken for lack of room.
    full: bool,
}

impl Replica {
    /// What is said about a stranger's chain before its data are looked at; `None` if
    /// nothing speaks against it.
    pub(super) fn visitor_limit(
        &self,
        state: &mut State,
        arrival: &Arrival,
    ) -> Result<Option<Verdict>, EngineError> {
        let account = arrival.description.account;
        let new = arrival.chain.known == 0;
        if arrival.description.kind == DocumentKind::AccountLog {
            return self.log_limit(state, &account, arrival);
        }
        if arrival.section.class != SectionClass::Visitors || !new {
            return Ok(None);
        }
        self.load_visitors(state, &arrival.section)?;
        let uses = state.visitors.get(&arrival.section.space);
        let his = uses.and_then(|uses| uses.get(&account)).map_or(0, |used| used.chains);
        let all: u64 = uses.into_iter().flatten().map(|(_, used)| used.chains).sum();
        let room = his < VISITOR_CHAINS_MAX && all < VISITORS_CHAINS_MAX;
        if !room && !self.is_chosen(state, &account)? {
            return Ok(Some(Verdict::Refused(Reason::Quota)));
        }
        Self::visitor(state, arrival).chains += 1;
        Ok(None)
    }

    /// Account logs are kept of everybody who replies, to tell his revoked devices.
    fn log_limit(
        &self,
        state: &mut State,
        account: &AccountId,
        arrival: &Arrival,
    ) -> Result<Option<Verdict>, EngineError> {
        let (mut bytes, mut chains) = (0, 0);
        for (doc, description) in self.documents(state, &arrival.section.space)? {
            if description.kind == DocumentKind::AccountLog {
                for (_, chain) in self.chains_of(state, &doc)? {
                    bytes += chain.bytes;
                    chains += 1;
                }
            }
        }
        let many = arrival.chain.known == 0 && chains >= VISITOR_CHAINS_MAX;
        if (bytes < VISITOR_LOG_BYTES_MAX && !many) || self.is_chosen(state, account)? {
            return Ok(None);
        }
        if many {
            return Ok(Some(Verdict::Refused(Reason::Quota)));
        }
        self.load_visitors(state, &arrival.section)?;
        Self::visitor(state, arrival).full = true;
        Ok(Some(Verdict::Deferred(Reason::Quota)))
    }

    /// Takes room for one entry of a visitor; false if there is none.
    pub(super) fn take_visitor_room(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        entry: &Entry,
        value_bytes: usize,
    ) -> Result<bool, EngineError> {
        if arrival.section.class != SectionClass::Visitors {
            return self.take_carried_room(state, work, arrival, entry);
        }
        self.load_visitors(state, &arrival.section)?;
        let bodies: u64 = bodies_of(entry).iter().map(|body| body.size).sum();
        let cost = bodies.saturating_add(value_bytes as u64 + ENTRY_ROWS_BYTES);
        let (space, account) = (arrival.section.space, arrival.description.account);
        let (his, all) = Self::room_used(state, &space, &account);
        let room = his.saturating_add(cost) <= VISITOR_BYTES_MAX
            && all.saturating_add(cost) <= VISITORS_BYTES_MAX;
        if !room && !self.is_chosen(state, &account)? {
            Self::mark_full(state, &space, &account);
            return Ok(false);
        }
        Self::use_room(state, work, &space, &account, cost);
        Ok(true)
    }

    /// Bytes that somebody uses, and all: of a wall, or of what counts like one.
    pub(super) fn room_used(state: &State, space: &SpaceId, account: &AccountId) -> (u64, u64) {
        let uses = state.visitors.get(space);
        let his = uses.and_then(|uses| uses.get(account)).map_or(0, |used| used.bytes);
        (his, uses.into_iter().flatten().map(|(_, used)| used.bytes).sum())
    }

    pub(super) fn use_room(
        state: &mut State,
        work: &mut Work,
        space: &SpaceId,
        account: &AccountId,
        cost: u64,
    ) {
        state.dirty = true;
        let used = state.visitors.entry(*space).or_default().entry(*account).or_default();
        used.bytes = used.bytes.saturating_add(cost);
        let row = used.bytes.to_be_bytes().to_vec();
        work.batch.put(Table::Meta, keys::visitor(space, account), row);
    }

    /// Whether there was no room for a visitor's entries lately.
    pub(super) fn is_visitor_full(state: &State, description: &Description) -> bool {
        Self::is_full(state, &description.space.id(), &description.account)
    }

    pub(super) fn is_full(state: &State, space: &SpaceId, account: &AccountId) -> bool {
        let used = state.visitors.get(space).and_then(|uses| uses.get(account));
        used.is_some_and(|used| used.full)
    }

    pub(super) fn mark_full(state: &mut State, space: &SpaceId, account: &AccountId) {
        state.visitors.entry(*space).or_default().entry(*account).or_default().full = true;
    }

    /// Makes room: a chain was dropped from a wall.
    pub(super) fn free_visitor_room(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Description,
        bytes: u64,
    ) -> Result<(), EngineError> {
        let section = self.section_of(state, description)?;
        if section.class != SectionClass::Visitors || bytes == 0 {
            return Ok(());
        }
        self.load_visitors(state, &section)?;
        state.dirty = true;
        let uses = state.visitors.entry(section.space).or_default();
        for used in uses.values_mut() {
            used.full = false;
        }
        let used = uses.entry(description.account).or_default();
        used.bytes = used.bytes.saturating_sub(bytes);
        let row = used.bytes.to_be_bytes().to_vec();
        let place = keys::visitor(&section.space, &description.account);
        work.batch.put(Table::Meta, place, row);
        Ok(())
    }

    /// What an entry counts for.
    pub(super) fn visitor_cost(entry: &Entry) -> u64 {
        let bodies: u64 = bodies_of(entry).iter().map(|body| body.size).sum();
        bodies.saturating_add(entry.encode().len() as u64 + ENTRY_ROWS_BYTES)
    }

    fn visitor<'a>(state: &'a mut State, arrival: &Arrival) -> &'a mut VisitorUse {
        let uses = state.visitors.entry(arrival.section.space).or_default();
        uses.entry(arrival.description.account).or_default()
    }

    fn load_visitors(&self, state: &mut State, section: &Section) -> Result<(), EngineError> {
        if state.visitors.contains_key(&section.space) {
            return Ok(());
        }
        self.load_room(state, &section.space)?;
        let mut uses = state.visitors.remove(&section.space).unwrap_or_default();
        for (doc, description) in self.documents(state, &section.space)? {
            if self.section_of(state, &description)?.class == SectionClass::Visitors {
                let chains = self.chains_of(state, &doc)?.len() as u64;
                uses.entry(description.account).or_default().chains += chains;
            }
        }
        state.visitors.insert(section.space, uses);
        Ok(())
    }

    /// Loads what is counted under a space.
    pub(super) fn load_room(&self, state: &mut State, space: &SpaceId) -> Result<(), EngineError> {
        if state.visitors.contains_key(space) {
            return Ok(());
        }
        let mut uses: BTreeMap<AccountId, VisitorUse> = BTreeMap::new();
        for (key, value) in self.scan_all(Table::Meta, &keys::visitors(space))? {
            let Some(account) = key.last_chunk::<32>() else { continue };
            let bytes = Reader::new(&value).u64("visitor").map_err(EngineError::corrupt)?;
            uses.entry(AccountId::from_bytes(*account)).or_default().bytes = bytes;
        }
        state.visitors.insert(*space, uses);
        Ok(())
    }

    /// Whether this replica keeps an account for its own sake.
    pub(super) fn is_chosen(
        &self,
        state: &mut State,
        account: &AccountId,
    ) -> Result<bool, EngineError> {
        let own = state.own.as_ref().is_some_and(|own| own.account == *account);
        Ok(own
            || self.subscription(account)?.is_some()
            || self.listed(state, FOLLOWS)?.contains(account))
    }
}
