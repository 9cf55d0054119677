//! What members of a hub may have here. What they write into channels is taken within a limit for
//! each of them and one for all together: the hub's own, and what this node was told. Operations are
//! not counted: all replicas need the same ones.
//!
//! Limits are each replica's own business. A head once known stays known, so replicas that took
//! different parts of what somebody wrote still agree on what there is.

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{Description, DocumentKind};
use crate::hash::{AccountId, DocumentId, HubId};
use crate::model::entry::Entry;
use crate::replica::{BodyState, EngineError, Replica, State, Work};
use crate::store::{Batch, Table, keys};
use crate::view::bodies_of;

/// Stands among those who wrote, once all that is here was counted.
const COUNTED: AccountId = AccountId::from_bytes([0; 32]);

/// Bytes that an own message leaves free: for what pages begin with and what was seen is told in.
const RESERVED_BYTES: u64 = 6 * 1024;

/// What this node takes of a hub; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubLimits {
    /// Bytes of one member, texts and files that his messages name included.
    pub member_bytes: u64,
    /// Bytes of all members. Half of them is for whoever comes first, the other half shared
    /// equally, so that one who fills the first half leaves each of the others his share.
    pub all_bytes: u64,
}

impl HubLimits {
    fn encode(self) -> Vec<u8> {
        let mut w = Writer::new();
        w.varint(self.member_bytes).varint(self.all_bytes);
        w.finish()
    }

    fn decode(row: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(row);
        let member_bytes = r.varint(u64::MAX, "bytes of a member")?;
        let all_bytes = r.varint(u64::MAX, "bytes of all members")?;
        r.end()?;
        Ok(Self { member_bytes, all_bytes })
    }
}

/// What one member has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberUse {
    /// The member.
    pub account: AccountId,
    /// Bytes of what he wrote into channels, rows and what it names included, withdrawn texts left out.
    pub bytes: u64,
    /// More of him is known and was not taken, since this replica was opened.
    pub full: bool,
}

/// What the members of a hub have here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUse {
    /// What this node was told.
    pub limits: HubLimits,
    /// Bytes that the hub's own settings give each member; 0 where they say nothing.
    pub rule_bytes: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Who has something here, most first.
    pub members: Vec<MemberUse>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    bytes: u64,
    full: bool,
}

/// What members of one hub have here, and may have.
#[derive(Debug, Default)]
pub(crate) struct HubRoom {
    limits: HubLimits,
    used: BTreeMap<AccountId, Used>,
    all: u64,
    /// Chains of which something was not taken lately.
    refused: BTreeSet<ChainKey>,
    /// Counted just now; the rows do not say it yet.
    fresh: bool,
    /// What the hub says, as of so many changes of hubs.
    judged: Option<(u64, Rule)>,
}

/// What a hub says that its members may have.
#[derive(Debug, Clone, Copy, Default)]
struct Rule {
    /// Bytes of one member; 0 where it says nothing.
    member_bytes: u64,
    /// How many are members or were.
    people: u64,
}

impl HubRoom {
    /// Whether somebody may have so much more; `frees` says that it is there to have less.
    fn has(&self, account: &AccountId, (cost, frees): (u64, bool), rule: Rule) -> bool {
        let Rule { member_bytes, people } = rule;
        let his = self.used.get(account).map_or(0, |used| used.bytes).saturating_add(cost);
        // Who is at a limit can still withdraw what he wrote.
        let stretched = |limit: u64| limit.saturating_add(if frees { limit / 8 } else { 0 });
        let within = |limit: u64| limit == 0 || his <= stretched(limit);
        if !within(member_bytes) || !within(self.limits.member_bytes) {
            return false;
        }
        let (room, all) = (stretched(self.limits.all_bytes), self.all.saturating_add(cost));
        let share = room / 2 / people.max(1);
        room == 0 || all <= room / 2 || (his <= share && all <= room)
    }

    fn change(&mut self, account: &AccountId, more: u64, less: u64) {
        let used = self.used.entry(*account).or_default();
        let before = used.bytes;
        used.bytes = before.saturating_add(more).saturating_sub(less);
        self.all = self.all.saturating_sub(before).saturating_add(used.bytes);
        if less > 0 {
            self.reopen();
        }
    }

    /// Who had no room may have some now.
    fn reopen(&mut self) {
        for used in self.used.values_mut() {
            used.full = false;
        }
        self.refused.clear();
    }
}

impl Replica {
    /// Has this node take so much of a hub, from now on: what is here already stays.
    ///
    /// # Errors
    /// If the hub is not here, or the store fails.
    pub fn limit_hub(&self, hub: &HubId, limits: HubLimits) -> Result<(), EngineError> {
        self.known_hub(&mut self.lock(), hub)?;
        let mut batch = Batch::new();
        match limits == HubLimits::default() {
            true => batch.delete(Table::Meta, keys::hub_limits(hub)),
            false => batch.put(Table::Meta, keys::hub_limits(hub), limits.encode()),
        };
        self.change_kept(batch)?;
        let mut state = self.lock();
        if let Some(room) = state.hub_rooms.get_mut(hub) {
            room.limits = limits;
            room.reopen();
        }
        state.forget_missing(None);
        Ok(())
    }

    /// What the members of a hub have here.
    ///
    /// # Errors
    /// If the hub is not here, or the store fails.
    pub fn hub_use(&self, hub: &HubId) -> Result<HubUse, EngineError> {
        let mut state = self.lock();
        let rule_bytes = self.known_hub(&mut state, hub)?.settings().member_quota_bytes;
        self.load_hub_room(&mut state, hub)?;
        let room = state.hub_rooms.entry(*hub).or_default();
        let mut members: Vec<MemberUse> = room
            .used
            .iter()
            .filter(|(_, used)| used.bytes > 0 || used.full)
            .map(|(account, used)| MemberUse {
                account: *account,
                bytes: used.bytes,
                full: used.full,
            })
            .collect();
        members.sort_by_key(|member| (std::cmp::Reverse(member.bytes), member.account));
        Ok(HubUse { limits: room.limits, rule_bytes, bytes: room.all, members })
    }

    /// Refuses an own message for which the hub's settings leave no room: nobody would take it.
    pub(in crate::replica) fn check_hub_room(
        &self,
        state: &mut State,
        hub: &HubId,
        entry: &Entry,
    ) -> Result<(), EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let most = self.known_hub(state, hub)?.settings().member_quota_bytes;
        if most == 0 {
            return Ok(());
        }
        self.load_hub_room(state, hub)?;
        let room = state.hub_rooms.entry(*hub).or_default();
        let used = room.used.get(&me).map_or(0, |used| used.bytes);
        let cost = Self::visitor_cost(entry);
        if used.saturating_add(cost).saturating_add(RESERVED_BYTES) <= most {
            return Ok(());
        }
        Err(EngineError::Denied(format!(
            "the hub gives each member {most} bytes, yours take {used}, this message {cost}, and \
             {RESERVED_BYTES} stay free: delete messages that you do not need"
        )))
    }

    /// Whether there is room for an entry of a member; if not, it is noted.
    pub(in crate::replica) fn has_hub_room(
        &self,
        state: &mut State,
        (key, description): (&ChainKey, &Description),
        entry: &Entry,
    ) -> Result<bool, EngineError> {
        let me = state.own.as_ref().map(|own| own.account);
        let Some(hub) = counted(description).filter(|_| Some(description.account) != me) else {
            return Ok(true);
        };
        let Some(known) = self.hub_of(state, &hub)? else { return Ok(true) };
        let changes = state.hub_changes;
        self.load_hub_room(state, &hub)?;
        let room = state.hub_rooms.entry(hub).or_default();
        let rule = match room.judged {
            Some((at, rule)) if at == changes => rule,
            _ => Rule { member_bytes: known.settings().member_quota_bytes, people: known.people() },
        };
        room.judged = Some((changes, rule));
        let frees = matches!(entry, Entry::Tombstone { .. });
        let has = room.has(&description.account, (Self::visitor_cost(entry), frees), rule);
        if !has {
            room.used.entry(description.account).or_default().full = true;
            room.refused.insert(*key);
        }
        Ok(has)
    }

    /// Whether there was no room lately for what a chain goes on with. Others of the same member
    /// are asked for all the same: he may withdraw something there.
    pub(in crate::replica) fn is_member_full(
        &self,
        state: &mut State,
        key: &ChainKey,
        description: &Description,
    ) -> Result<bool, EngineError> {
        let Some(hub) = counted(description) else { return Ok(false) };
        let full = |state: &State| {
            state.hub_rooms.get(&hub).is_some_and(|room| room.refused.contains(key))
        };
        if !full(state) {
            return Ok(false);
        }
        // The hub may give more by now.
        self.hub_of(state, &hub)?;
        let changes = state.hub_changes;
        if let Some(room) = state.hub_rooms.get_mut(&hub)
            && room.judged.is_some_and(|(at, _)| at != changes)
        {
            room.judged = None;
            room.reopen();
        }
        Ok(full(state))
    }

    /// Counts an entry that is stored.
    pub(in crate::replica) fn use_hub_room(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Description,
        entry: &Entry,
    ) -> Result<(), EngineError> {
        let Some(hub) = counted(description) else { return Ok(()) };
        self.change_use(state, work, &hub, &description.account, (Self::visitor_cost(entry), 0))
    }

    /// Gives room back for a body that is dropped now, unless it was before.
    pub(in crate::replica) fn give_back_room(
        &self,
        state: &mut State,
        work: &mut Work,
        doc: &DocumentId,
        place: &[u8],
        bytes: u64,
    ) -> Result<(), EngineError> {
        let Some(description) = self.description(state, doc)? else { return Ok(()) };
        let Some(hub) = counted(&description) else { return Ok(()) };
        let known = self.store.get(Table::Meta, place)?;
        if known.as_deref().and_then(BodyState::parse) == Some(BodyState::Dropped) {
            return Ok(());
        }
        self.change_use(state, work, &hub, &description.account, (0, bytes))
    }

    /// Counts a body again that was dropped and is wanted now.
    pub(in crate::replica) fn take_back_room(
        &self,
        state: &mut State,
        work: &mut Work,
        doc: &DocumentId,
        bytes: u64,
    ) -> Result<(), EngineError> {
        let Some(description) = self.description(state, doc)? else { return Ok(()) };
        let Some(hub) = counted(&description) else { return Ok(()) };
        self.change_use(state, work, &hub, &description.account, (bytes, 0))
    }

    fn change_use(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        account: &AccountId,
        (more, less): (u64, u64),
    ) -> Result<(), EngineError> {
        self.load_hub_room(state, hub)?;
        state.dirty = true;
        state.hub_rooms.entry(*hub).or_default().change(account, more, less);
        work.hub_uses.insert((*hub, *account));
        Ok(())
    }

    /// Puts what this commit changed into it.
    pub(in crate::replica) fn put_hub_uses(state: &mut State, work: &mut Work) {
        for (hub, account) in std::mem::take(&mut work.hub_uses) {
            let Some(room) = state.hub_rooms.get_mut(&hub) else { continue };
            let counted = std::mem::take(&mut room.fresh);
            let all = room.used.iter().filter(|(one, _)| counted || **one == account);
            for (account, used) in all {
                let row = used.bytes.to_be_bytes().to_vec();
                work.batch.put(Table::Meta, keys::hub_use(&hub, account), row);
            }
            if counted {
                work.batch.put(Table::Meta, keys::hub_use(&hub, &COUNTED), vec![0; 8]);
            }
        }
    }

    fn load_hub_room(&self, state: &mut State, hub: &HubId) -> Result<(), EngineError> {
        if state.hub_rooms.contains_key(hub) {
            return Ok(());
        }
        let mut room = HubRoom { fresh: true, ..HubRoom::default() };
        if let Some(row) = self.store.get(Table::Meta, &keys::hub_limits(hub))? {
            room.limits = HubLimits::decode(&row).map_err(EngineError::corrupt)?;
        }
        for (key, value) in self.scan_all(Table::Meta, &keys::hub_uses(hub))? {
            let Some(account) = key.last_chunk::<32>() else { continue };
            let account = AccountId::from_bytes(*account);
            let bytes = Reader::new(&value).u64("use of a hub").map_err(EngineError::corrupt)?;
            match account == COUNTED {
                true => room.fresh = false,
                false => room.change(&account, bytes, 0),
            }
        }
        if room.fresh {
            room.used.clear();
            room.all = 0;
            self.count_hub(state, hub, &mut room)?;
        }
        state.hub_rooms.insert(*hub, room);
        Ok(())
    }

    /// Counts all that is stored of a hub's channels: once, in a store that is older than this
    /// count.
    fn count_hub(
        &self,
        state: &mut State,
        hub: &HubId,
        room: &mut HubRoom,
    ) -> Result<(), EngineError> {
        let space = crate::description::Space::Hub(*hub).id();
        for (doc, description) in self.documents(state, &space)? {
            if counted(&description).is_none() {
                continue;
            }
            for (key, chain) in self.chains_of(state, &doc)? {
                for item in self.log_items(&key, 1, chain.held)? {
                    let mut dropped = 0;
                    for body in bodies_of(&item.entry) {
                        let row = self.store.get(Table::Meta, &keys::body(&body.hash, &doc))?;
                        let known = row.as_deref().and_then(BodyState::parse);
                        dropped += if known == Some(BodyState::Dropped) { body.size } else { 0 };
                    }
                    let cost = Self::visitor_cost(&item.entry);
                    room.change(&description.account, cost, dropped);
                }
            }
        }
        Ok(())
    }
}

/// The hub in which a document is counted.
fn counted(description: &Description) -> Option<HubId> {
    description.space.hub().filter(|_| description.kind == DocumentKind::Channel)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEOPLE: u64 = 8;

    fn account(n: u8) -> AccountId {
        AccountId::from_bytes([n + 1; 32])
    }

    proptest! {
        #[test]
        fn who_fills_a_hub_leaves_others_their_share(
            takes in proptest::collection::vec((0u8..8, 1u64..500), 1..400),
            member_bytes in 0u64..4_000,
            all_bytes in 0u64..20_000,
        ) {
            let limits = HubLimits { member_bytes, all_bytes };
            prop_assert_eq!(HubLimits::decode(&limits.encode()), Ok(limits));
            let mut room = HubRoom { limits, ..HubRoom::default() };
            for (who, cost) in takes {
                let who = account(who);
                let before = room.used.get(&who).map_or(0, |used| used.bytes);
                let rule = Rule { member_bytes: 0, people: PEOPLE };
                let has = room.has(&who, (cost, false), rule);
                prop_assert!(!has || room.has(&who, (cost, true), rule));
                let over = member_bytes > 0 && before + cost > member_bytes;
                if over {
                    prop_assert!(!has);
                } else if all_bytes == 0 || before + cost <= all_bytes / 2 / PEOPLE {
                    prop_assert!(has);
                }
                if has {
                    room.change(&who, cost, 0);
                }
                let all: u64 = room.used.values().map(|used| used.bytes).sum();
                prop_assert_eq!(room.all, all);
                prop_assert!(all_bytes == 0 || all <= all_bytes);
            }
        }
    }
}
