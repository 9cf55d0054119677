//! What is taken of conversations: pages of those who take part, and of strangers a little until
//! they are accepted.

use super::{ConversationStanding, KeptConversation};
use crate::description::{Description, DocumentKind, Space};
use crate::replica::receive::{Arrival, Limit, Stop, refused};
use crate::replica::{EngineError, Replica, State};
use crate::sync::exchange::{Reason, Verdict};

/// Bytes of the pages of a stranger, before he is accepted.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of one text of a stranger, before he is accepted.
pub(super) const REQUEST_BODY_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of the founder's pages in a group that does not name the own account, until one says that
/// it takes part: of others nothing is taken for as long.
const UNNAMED_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Documents of a conversation by accounts that never took part.
const STRANGERS_DOCUMENTS_MAX: usize = 64;

impl Replica {
    /// Up to which change a chain is stored, with what this replica takes of strangers.
    pub(in crate::replica) fn narrowed(
        &self,
        state: &mut State,
        arrival: &Arrival,
        mut limit: Limit,
    ) -> Result<Limit, Stop> {
        let held = arrival.chain.held;
        let said = [self.visitor_limit(state, arrival)?, self.hub_limit(state, arrival)?];
        for verdict in said.into_iter().flatten() {
            match verdict {
                Verdict::Refused(reason) => return Err(refused(reason)),
                verdict if limit.0 > held => limit = (held, verdict),
                _ => {}
            }
        }
        if limit.1 == Verdict::Refused(Reason::Void) {
            limit.0 = limit.0.max(self.said_before(state, &arrival.description, &arrival.key)?);
        }
        match self.conversation_limit(state, arrival)? {
            Some((_, Verdict::Refused(reason))) if reason != Reason::Void => Err(refused(reason)),
            Some(other) if other.0 < limit.0 => Ok(other),
            _ => Ok(limit),
        }
    }

    /// Up to which change a chain of a conversation is stored, and what is said of the rest;
    /// `None` if nothing speaks against it.
    fn conversation_limit(
        &self,
        state: &mut State,
        arrival: &Arrival,
    ) -> Result<Option<(u64, Verdict)>, EngineError> {
        let description = &arrival.description;
        if description.kind != DocumentKind::Conversation {
            return Ok(None);
        }
        let held = arrival.chain.held;
        let kept = self.conversations_kept(state)?;
        let Some(kept) = kept.get(&arrival.section.space) else {
            return Ok(Some((held, Verdict::Refused(Reason::NotKept))));
        };
        let account = description.account;
        if !kept.genesis.lets_write(&account) {
            return Ok(Some((held, Verdict::Refused(Reason::Forbidden))));
        }
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        if !talk.members.contains_key(&account) {
            let mut strangers = 0;
            for (_, other) in self.documents(state, &arrival.section.space)? {
                strangers += usize::from(!talk.members.contains_key(&other.account));
            }
            // He may be added by what is not here yet.
            return Ok(Some(match strangers >= STRANGERS_DOCUMENTS_MAX {
                true => (held, Verdict::Refused(Reason::Quota)),
                false => (held, Verdict::Deferred(Reason::Authority)),
            }));
        }
        if kept.standing == ConversationStanding::Carried
            && !self.carries_for_others(state, kept)?
        {
            let founder = kept.genesis.founder == Some(account);
            let room = self.weight_of_others(state, &arrival.section.space)? < UNNAMED_BYTES_MAX;
            let reason = if founder { Reason::Quota } else { Reason::Authority };
            if !founder || !room {
                return Ok(Some((held, Verdict::Deferred(reason))));
            }
        }
        let waits = matches!(
            kept.standing,
            ConversationStanding::Requested | ConversationStanding::Ignored
        );
        if waits && self.weight_of_others(state, &arrival.section.space)? >= REQUEST_BYTES_MAX {
            return Ok(Some((held, Verdict::Deferred(Reason::Quota))));
        }
        // Who left says more of it: that he left, on another device too, and which of them he revokes.
        let limit = talk.limit_of(&account, &arrival.key);
        Ok(limit.map(|limit| (limit.max(held), Verdict::Refused(Reason::Void))))
    }

    /// Whether a group was kept because the own account may have been added to it, and its founder's page
    /// does not say so: it is looked at again once somebody tells of it anew.
    pub(super) fn is_of_others(
        &self,
        state: &mut State,
        kept: &KeptConversation,
    ) -> Result<bool, EngineError> {
        let Some(founder) = kept.genesis.founder.filter(|_| !kept.genesis.audience) else {
            return Ok(false);
        };
        if kept.standing != ConversationStanding::Carried
            || state.own.is_none()
            || state.told.contains(&kept.id)
        {
            return Ok(false);
        }
        let space = Space::Conversation(kept.id).id();
        Ok(self.has_page_of(state, &space, &founder)? && !self.carries_for_others(state, kept)?)
    }

    fn weight_of_others(
        &self,
        state: &mut State,
        space: &crate::hash::SpaceId,
    ) -> Result<u64, EngineError> {
        let own = state.own.as_ref().map(|own| own.account);
        let mut bytes = 0;
        for (doc, description) in self.documents(state, space)? {
            if Some(description.account) != own {
                let chains = self.chains_of(state, &doc)?;
                bytes += chains.iter().map(|(_, chain)| chain.bytes).sum::<u64>();
            }
        }
        Ok(bytes)
    }

    /// Bytes of the largest text that is fetched for a page of a conversation.
    pub(in crate::replica) fn request_body_limit(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<Option<u64>, EngineError> {
        if description.kind != DocumentKind::Conversation
            || state.own.as_ref().is_some_and(|own| own.account == description.account)
        {
            return Ok(None);
        }
        let kept = self.conversations_kept(state)?;
        let standing = kept.get(&description.space.id()).map(|kept| kept.standing);
        let waits = [ConversationStanding::Requested, ConversationStanding::Ignored].map(Some);
        Ok(waits.contains(&standing).then_some(REQUEST_BODY_BYTES_MAX))
    }
}
