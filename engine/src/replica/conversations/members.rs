//! Who takes part in a conversation: what its founder wrote first, then what members wrote of
//! themselves. It is the same in whatever order things came.

use std::collections::{BTreeMap, BTreeSet};

use super::{Talk, TalkItem};
use crate::chain::ChainKey;
use crate::description::{Description, DocumentKind};
use crate::hash::AccountId;
use crate::limits::CONVERSATION_MEMBERS_MAX;
use crate::model::entry::{ConversationGenesis, Entry, Membership, Tip};
use crate::replica::{EngineError, Replica, State};

/// Somebody who takes part in a conversation, or did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub round: u64,
    pub present: bool,
    /// He is one too many: he is heard, and sealed to again once somebody goes.
    pub over: bool,
    /// He said himself that he goes: nobody took him out.
    pub left: bool,
    /// Versions up to which he is heard, once he has gone.
    pub cut: BTreeSet<Tip>,
    /// Where it stands that he has gone.
    pub told: BTreeSet<(ChainKey, u64)>,
}

/// Up to which change of a chain a cut reaches.
pub(crate) fn cut_at(cut: &BTreeSet<Tip>, key: &ChainKey) -> u64 {
    let of_chain = |tip: &&Tip| {
        tip.doc == key.doc && tip.device == key.device && tip.incarnation == key.incarnation
    };
    cut.iter().filter(of_chain).map(|tip| tip.n).max().unwrap_or(0)
}

/// Folds what is told of membership. The founder's word comes first, and of his the highest round, in
/// one round that somebody goes. That somebody leaves counts in the round in which the founder's word is
/// that he is in: so no other round can be claimed, and where the founder takes him out of the same
/// round, it is the founder's cut that holds, whatever was heard first.
pub(super) fn fold<'a>(
    genesis: &ConversationGenesis,
    items: impl Iterator<Item = &'a TalkItem> + Clone,
) -> BTreeMap<AccountId, Member> {
    let first = Member { present: true, ..Member::default() };
    let mut members: BTreeMap<AccountId, Member> =
        genesis.members.iter().map(|account| (*account, first.clone())).collect();
    let Some(founder) = genesis.founder else { return members };
    let changes = items.filter_map(|item| match &item.entry {
        Entry::Membership(change) => Some((item, &**change)),
        _ => None,
    });
    for (item, change) in changes.clone().filter(|(item, _)| item.account == founder) {
        let member = members.entry(change.account).or_default();
        let rank = |round: u64, present: bool| (round, !present);
        let (old, new) = (rank(member.round, member.present), rank(change.round, change.present));
        if new > old {
            let left = !change.present && change.account == founder;
            let (round, present) = (change.round, change.present);
            *member = Member { left, round, present, ..Member::default() };
        }
        if new >= old {
            member.goes(item, change);
        }
    }
    for (item, change) in changes.filter(|(item, change)| {
        item.account != founder && item.account == change.account && !change.present
    }) {
        let Some(member) = members.get_mut(&change.account) else { continue };
        if member.round == change.round && (member.present || member.left) {
            (member.present, member.left) = (false, true);
            member.goes(item, change);
        }
    }
    keep_to_limit(genesis, &mut members);
    members
}

/// Nobody takes part beyond the limit: those it began with come first, then the lesser ids. Only two
/// devices of a founder that do not know of each other, or another program, bring in more.
fn keep_to_limit(genesis: &ConversationGenesis, members: &mut BTreeMap<AccountId, Member>) {
    let present = members.iter_mut().filter(|(_, member)| member.present);
    let (first, mut late): (Vec<_>, Vec<_>) =
        present.partition(|(account, _)| genesis.members.binary_search(account).is_ok());
    let room = CONVERSATION_MEMBERS_MAX.saturating_sub(first.len());
    for (_, member) in late.iter_mut().skip(room) {
        member.over = true;
    }
}

impl Member {
    /// Whether it is sealed to him.
    pub(crate) const fn takes_part(&self) -> bool {
        self.present && !self.over
    }

    fn goes(&mut self, item: &TalkItem, change: &Membership) {
        if !change.present {
            self.cut.extend(&change.cut);
            self.told.insert((item.key, item.n));
        }
    }
}

impl Replica {
    /// Up to which change of a chain its author had said what stands there before he went: it counts,
    /// whichever of his devices he revokes or suspends, since who is left may never hear of that. What
    /// he says of them in the conversation itself holds all the same. 0 of all other chains.
    pub(in crate::replica) fn said_before(
        &self,
        state: &mut State,
        page: &Description,
        key: &ChainKey,
    ) -> Result<u64, EngineError> {
        if page.kind != DocumentKind::Conversation {
            return Ok(0);
        }
        let kept = self.conversations_kept(state)?;
        let Some(kept) = kept.get(&page.space.id()) else { return Ok(0) };
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        self.said_before_in(state, &talk, page, key)
    }

    /// [`Replica::said_before`], with who takes part as it is being worked out.
    pub(super) fn said_before_in(
        &self,
        state: &mut State,
        talk: &Talk,
        page: &Description,
        key: &ChainKey,
    ) -> Result<u64, EngineError> {
        let Some(member) = talk.members.get(&page.account).filter(|member| !member.present) else {
            return Ok(0);
        };
        match self.cut_of(state, page, key)? {
            Some(_) => Ok(0),
            None => Ok(cut_at(&member.cut, key)),
        }
    }
}
