//! Who takes part in a conversation: what its founder wrote first, then what members wrote of
//! themselves. It is the same in whatever order things came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Talk, TalkItem};
use crate::authority::DeviceStanding;
use crate::chain::ChainKey;
use crate::description::{Description, DocumentKind, Space};
use crate::hash::{AccountId, ConversationId};
use crate::limits::CONVERSATION_MEMBERS_MAX;
use crate::model::entry::{ConversationGenesis, Entry, Membership, Tip};
use crate::replica::{ChainState, EngineError, Replica, State};

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
        let talk = self.talk_of_page(state, page)?;
        Ok(talk.and_then(|talk| talk.said.get(key).copied()).unwrap_or(0))
    }

    /// [`Talk::limit_of`] of a page.
    pub(in crate::replica) fn heard_up_to(
        &self,
        state: &mut State,
        page: &Description,
        key: &ChainKey,
    ) -> Result<Option<u64>, EngineError> {
        let talk = self.talk_of_page(state, page)?;
        Ok(talk.and_then(|talk| talk.limit_of(&page.account, key)))
    }

    fn talk_of_page(
        &self,
        state: &mut State,
        page: &Description,
    ) -> Result<Option<Arc<Talk>>, EngineError> {
        if page.kind != DocumentKind::Conversation {
            return Ok(None);
        }
        let kept = self.conversations_kept(state)?;
        let Some(kept) = kept.get(&page.space.id()) else { return Ok(None) };
        self.talk_of(state, &kept.id, &kept.genesis).map(Some)
    }

    /// What [`Replica::said_before`] finds, for all chains of those who have gone.
    pub(super) fn said_by_the_gone(
        &self,
        state: &mut State,
        id: &ConversationId,
        talk: &Talk,
    ) -> Result<BTreeMap<ChainKey, u64>, EngineError> {
        let mut said = BTreeMap::new();
        if talk.members.values().all(|member| member.present) {
            return Ok(said);
        }
        for (doc, page) in self.documents(state, &Space::Conversation(*id).id())? {
            let gone = talk.members.get(&page.account).filter(|member| !member.present);
            let Some(member) = gone else { continue };
            let chains = self.chains_of(state, &doc)?;
            let cuts = self.cuts_before(state, &page, &chains, talk)?;
            for (key, _) in chains {
                let own =
                    |tip: &Tip| tip.device == key.device && tip.incarnation == key.incarnation;
                let up_to = cut_at(&member.cut, &key);
                if up_to > 0 && !cuts.iter().any(own) {
                    said.insert(key, up_to);
                }
            }
        }
        Ok(said)
    }

    /// What an account says in its own page of devices that it revoked or suspended, before the founder
    /// took it out: what it says later is not everywhere.
    fn cuts_before(
        &self,
        state: &mut State,
        page: &Description,
        chains: &[(ChainKey, ChainState)],
        talk: &Talk,
    ) -> Result<Vec<Tip>, EngineError> {
        let Some(authority) = self.authority_of(state, &page.account)? else {
            return Ok(Vec::new());
        };
        let judged = |standing: &DeviceStanding| standing.revoked.is_some() || standing.suspended;
        if !authority.devices.values().any(judged) {
            return Ok(Vec::new());
        }
        let mut items = Vec::new();
        for (key, chain) in chains {
            let last = talk.limit_of(&page.account, key).unwrap_or(chain.held).min(chain.held);
            let all = self.log_items(key, 1, last)?.into_iter();
            items.extend(all.filter(|item| matches!(item.entry, Entry::Cut { .. })));
        }
        let tips = items.iter().filter_map(|item| match &item.entry {
            Entry::Cut { tips, .. } => Some(tips.as_slice()),
            _ => None,
        });
        let doc = page.id();
        let agreed = self.agreements(state, tips.flatten(), |page| page.id() == doc)?;
        Ok(authority.counting_cuts(items, &|tip| agreed.get(tip).copied().unwrap_or(0)))
    }
}
