//! Who has gone is told so, and tells so: nobody talks with him of the conversation any more, so that
//! what says it goes by itself.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{KeptConversation, Talk};
use crate::chain::ChainKey;
use crate::description::{Description, DocumentKind, Section, SectionClass, Space};
use crate::hash::{AccountId, DeviceId};
use crate::model::entry::ConversationGenesis;
use crate::replica::{EngineError, Replica, State};
use crate::sync::exchange::{Exchange, Parting};

/// Accounts that told of conversations which the own account has left, as they are remembered.
const ASKED_MAX: usize = 256;
/// Of each the last devices and conversations.
const ASKED_BY_ONE_MAX: usize = 16;

impl Replica {
    /// What a remote is to be given of conversations that it or the own account has left, or was
    /// taken out of, and did not show yet: the pages that say so.
    pub(crate) fn partings_to(&self, remote: &DeviceId) -> Result<Vec<Parting>, EngineError> {
        let mut state = self.lock();
        let kept = self.conversations_kept(&mut state)?;
        let mut out = Vec::new();
        for kept in kept.values().filter(|kept| kept.genesis.founder.is_some()) {
            let talk = self.talk_of(&mut state, &kept.id, &kept.genesis)?;
            let section =
                Section { space: Space::Conversation(kept.id).id(), class: SectionClass::Private };
            let reads = self.may_converse(&mut state, remote, kept)?;
            let through = if reads { section } else { self.readable_by(&mut state, remote)? };
            let gone = match reads {
                true => None,
                false => self.gone_account(&mut state, &talk, remote)?,
            };
            let mut tell = |account: &AccountId, unshown: bool| {
                for (key, n) in talk.members.get(account).into_iter().flat_map(|one| &one.told) {
                    out.push((*key, *n, section, through, unshown));
                }
            };
            if let Some(account) = &gone {
                tell(account, true);
            }
            // Who is thought to have gone may be back: so may the founder, whom others think gone.
            let asked = state.parting_with.values().flatten().any(|one| *one == (*remote, kept.id));
            let own = state.own.as_ref().map(|own| own.account);
            if let Some(me) = own.filter(|own| has_left(&talk, own) && !reads)
                && (gone.is_some() || asked)
            {
                tell(&me, asked);
            }
            let tells =
                |own: &AccountId| has_left(&talk, own) || kept.genesis.founder == Some(*own);
            if let Some(me) = own.filter(|own| reads && tells(own)) {
                let pages = self.documents(&mut state, &section.space)?;
                for (doc, _) in pages.iter().filter(|(_, page)| page.account == me) {
                    for (key, chain) in self.chains_of(&mut state, doc)? {
                        out.push((key, chain.held, section, through, asked));
                    }
                }
            }
        }
        drop(state);
        // Of several places in a chain the last.
        out.sort_by_key(|(_, n, ..)| std::cmp::Reverse(*n));
        let mut shown: BTreeMap<Section, HashMap<ChainKey, u64>> = BTreeMap::new();
        let mut partings: Vec<Parting> = Vec::new();
        let mut seen = BTreeSet::new();
        for (key, n, section, through, unshown) in out {
            let of_section = match shown.entry(section) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(self.peer_tips(remote, &section)?.into_iter().collect())
                }
            };
            // Who never showed that he has anything of it does not keep it.
            if !unshown && of_section.is_empty() {
                continue;
            }
            let upto = of_section.get(&key).copied().unwrap_or(0);
            if upto >= n || !seen.insert(key) {
                continue;
            }
            if let [(_, tip)] = self.chain_tips(&key).unwrap_or_default().as_slice() {
                let (tip, first_n) = (*tip, upto + 1);
                partings.push(Parting { section, through, tip, first_n, last_n: n });
            }
        }
        Ok(partings)
    }

    /// A section of the remote's own, which it may read and others may not.
    fn readable_by(&self, state: &mut State, remote: &DeviceId) -> Result<Section, EngineError> {
        let account = self.account_of(state, remote)?.unwrap_or(AccountId::from_bytes([0; 32]));
        Ok(Section { space: Space::Account(account).id(), class: SectionClass::Private })
    }

    /// Notes that somebody who takes part in a conversation tells of it, which the own account has
    /// left. That it was left he may not know.
    pub(crate) fn note_asked(
        &self,
        state: &mut State,
        (remote, account): (&DeviceId, AccountId),
        genesis: &ConversationGenesis,
    ) -> Result<(), EngineError> {
        let Some(own) = state.own.as_ref().map(|own| own.account) else { return Ok(()) };
        let kept = self.conversations_kept(state)?;
        let id = genesis.id();
        if !kept.contains_key(&Space::Conversation(id).id()) {
            return Ok(());
        }
        let talk = self.talk_of(state, &id, genesis)?;
        if !has_left(&talk, &own)
            || !talk.members.contains_key(&account)
            || self.is_blocked(state, &account)?
        {
            return Ok(());
        }
        if !state.parting_with.contains_key(&account) && state.parting_with.len() >= ASKED_MAX {
            state.parting_with.pop_first();
        }
        let asked = state.parting_with.entry(account).or_default();
        if !asked.contains(&(*remote, id)) {
            asked.truncate(ASKED_BY_ONE_MAX - 1);
            asked.push_front((*remote, id));
        }
        Ok(())
    }

    /// Whose device a remote is, of those who took part and have gone.
    fn gone_account(
        &self,
        state: &mut State,
        talk: &Talk,
        remote: &DeviceId,
    ) -> Result<Option<AccountId>, EngineError> {
        for (account, _) in talk.members.iter().filter(|(_, member)| !member.present) {
            if self.stands_for(state, account, remote)? && !self.is_blocked(state, account)? {
                return Ok(Some(*account));
            }
        }
        Ok(None)
    }

    /// Whether it is a page of somebody who has left, or of the founder, from a device of his.
    pub(in crate::replica) fn parts(
        &self,
        state: &mut State,
        remote: &DeviceId,
        page: &Description,
    ) -> Result<bool, EngineError> {
        if page.kind != DocumentKind::Conversation {
            return Ok(false);
        }
        let kept = self.conversations_kept(state)?;
        let Some(KeptConversation { id, genesis, .. }) = kept.get(&page.space.id()) else {
            return Ok(false);
        };
        let talk = self.talk_of(state, id, genesis)?;
        let tells = has_left(&talk, &page.account) || genesis.founder == Some(page.account);
        Ok(tells && self.stands_for(state, &page.account, remote)?)
    }
}

fn has_left(talk: &Talk, account: &AccountId) -> bool {
    talk.members.get(account).is_some_and(|member| member.left)
}
