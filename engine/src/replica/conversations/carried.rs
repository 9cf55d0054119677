//! What a node carries of conversations for others. Whoever is nobody's to this node has room for
//! some conversations and some bytes, so that he takes none from those it is there for.

use std::collections::BTreeMap;

use super::meet::Told;
use super::{ConversationStanding, KeptConversation};
use crate::description::{Description, DocumentKind};
use crate::hash::{AccountId, SpaceId};
use crate::model::entry::Entry;
use crate::replica::receive::Arrival;
use crate::replica::{EngineError, Replica, State, Work};
use crate::store::{Table, keys};

/// Conversations that a node carries for others.
const CARRIED_MAX: usize = 16_384;
/// Of them, those of which accounts told that it does not keep.
const STRANGERS_MAX: usize = CARRIED_MAX / 2;
/// Of them, those of which one such account told.
pub(super) const STRANGER_MAX: usize = 256;
/// Bytes of one such account in all conversations that are carried, texts included.
pub(super) const STRANGER_BYTES_MAX: u64 = if cfg!(test) { 256 } else { 64 * 1024 } * 1024;
/// Bytes of all of them.
const STRANGERS_BYTES_MAX: u64 = 64 * STRANGER_BYTES_MAX;
/// Under which what they have is counted: it is no space.
const CARRIED: SpaceId = SpaceId::from_bytes([0; 32]);

impl Replica {
    /// Whether there is room to carry one more conversation.
    pub(super) fn has_room_to_carry(
        &self,
        kept: &BTreeMap<SpaceId, KeptConversation>,
        told: &Told,
        taken: usize,
    ) -> Result<bool, EngineError> {
        let carried = kept.values().filter(|kept| {
            kept.standing == ConversationStanding::Carried && !kept.genesis.audience
        });
        if carried.count() + taken >= CARRIED_MAX {
            return Ok(false);
        }
        let Some(account) = told.account.filter(|_| !told.is_carried) else { return Ok(true) };
        if told.tellers.get().is_none() {
            let mut tellers: BTreeMap<AccountId, usize> = BTreeMap::new();
            for (_, value) in self.scan_all(Table::Meta, keys::TELLERS)? {
                let Ok(account) = value.as_ref().try_into().map(AccountId::from_bytes) else {
                    continue;
                };
                *tellers.entry(account).or_default() += 1;
            }
            drop(told.tellers.set(tellers));
        }
        let tellers = told.tellers.get();
        let his = tellers.and_then(|tellers| tellers.get(&account)).copied().unwrap_or(0);
        let strangers = tellers.into_iter().flatten();
        let strangers = strangers.filter(|(teller, _)| !told.carried.contains(teller));
        let all: usize = strangers.map(|(_, count)| *count).sum();
        Ok(his + taken < STRANGER_MAX && all + taken < STRANGERS_MAX)
    }

    /// Whether a conversation is here for an account that this node keeps whole.
    pub(super) fn carries_for_others(
        &self,
        state: &mut State,
        kept: &KeptConversation,
    ) -> Result<bool, EngineError> {
        if kept.standing != ConversationStanding::Carried {
            return Ok(false);
        }
        let whole = self.whole_accounts()?;
        if kept.genesis.members.iter().any(|member| whole.contains(member)) {
            return Ok(true);
        }
        let teller = self.store.get(Table::Meta, &keys::teller(&kept.id))?;
        let teller = teller.and_then(|bytes| bytes.as_ref().try_into().ok());
        if teller.is_some_and(|teller| whole.contains(&AccountId::from_bytes(teller))) {
            return Ok(true);
        }
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        Ok(talk.members.keys().any(|member| whole.contains(member)))
    }

    /// Takes room for one entry of somebody in a conversation that is carried; false if there is
    /// none.
    pub(in crate::replica) fn take_carried_room(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        entry: &Entry,
    ) -> Result<bool, EngineError> {
        let account = arrival.description.account;
        if !self.is_carried_stranger(state, &arrival.description)? {
            return self.has_hub_room(state, (&arrival.key, &arrival.description), entry);
        }
        self.load_room(state, &CARRIED)?;
        let cost = Self::visitor_cost(entry);
        let (his, all) = Self::room_used(state, &CARRIED, &account);
        let room = his.saturating_add(cost) <= STRANGER_BYTES_MAX
            && all.saturating_add(cost) <= STRANGERS_BYTES_MAX;
        if room {
            Self::use_room(state, work, &CARRIED, &account, cost);
        } else {
            Self::mark_full(state, &CARRIED, &account);
        }
        Ok(room)
    }

    /// Whether there was no room lately for somebody in conversations that are carried.
    pub(in crate::replica) fn is_carried_full(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<bool, EngineError> {
        if !self.is_carried_stranger(state, description)? {
            return Ok(false);
        }
        Ok(Self::is_full(state, &CARRIED, &description.account))
    }

    fn is_carried_stranger(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<bool, EngineError> {
        if description.kind != DocumentKind::Conversation {
            return Ok(false);
        }
        let kept = self.conversations_kept(state)?;
        let carried = kept
            .get(&description.space.id())
            .is_some_and(|kept| kept.standing == ConversationStanding::Carried);
        Ok(carried && !self.is_chosen(state, &description.account)?)
    }
}
