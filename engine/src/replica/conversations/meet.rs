//! Who is told of a conversation, and which are taken up.

use bytes::Bytes;

use super::{ConversationStanding, KeptConversation};
use crate::codec::{Reader, Writer};
use crate::description::{Section, SectionClass, Space};
use crate::hash::{AccountId, DeviceId};
use crate::identity::CertificatePath;
use crate::model::entry::ConversationGenesis;
use crate::replica::{BLOCKS, EngineError, FOLLOWS, KnownDevice, PETNAMES, Replica, State, Work};
use crate::store::{Table, keys};
use crate::wire::INTRODUCED_MAX;

/// Conversations with strangers that wait for an answer.
pub(super) const REQUESTS_MAX: usize = 64;
/// Conversations that a node carries for others.
const CARRIED_MAX: usize = 16_384;

impl Replica {
    /// The account of a remote device, as far as its certificate path was seen.
    fn account_of(
        &self,
        state: &mut State,
        remote: &DeviceId,
    ) -> Result<Option<AccountId>, EngineError> {
        Ok(self.known_device(state, remote)?.map(|known| known.device.account()))
    }

    /// Whether a remote may know of a conversation: it is a device of somebody who takes part, or
    /// this account's own words go to it to be kept.
    pub(in crate::replica) fn may_converse(
        &self,
        state: &mut State,
        remote: &DeviceId,
        kept: &KeptConversation,
    ) -> Result<bool, EngineError> {
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        for account in talk.present() {
            let authority = self.authority_of(state, account)?;
            let named = authority.as_ref().and_then(|authority| authority.devices.get(remote));
            let stands = match named {
                Some(standing) => standing.revoked.is_none() && !standing.suspended,
                // Without the account's log only the certificate path speaks for a device.
                None => {
                    authority.is_none_or(|authority| authority.devices.is_empty())
                        && self.account_of(state, remote)? == Some(*account)
                }
            };
            if stands {
                return Ok(!self.is_blocked(state, account)?);
            }
        }
        let own = state.own.as_ref().map(|own| own.account);
        let mine = own.is_some_and(|own| talk.members.contains_key(&own));
        Ok(mine && self.store.get(Table::Meta, &keys::keeper(remote))?.is_some())
    }

    /// The own certificate path, and the conversations that a remote may know of and did not show.
    pub(crate) fn introductions_to(
        &self,
        remote: &DeviceId,
    ) -> Result<(Bytes, Vec<Bytes>), EngineError> {
        let mut state = self.lock();
        let Some(own) = state.own.as_ref().map(|own| own.device()) else {
            return Ok((Bytes::new(), Vec::new()));
        };
        let kept = self.conversations_kept(&mut state)?;
        let mut found = Vec::new();
        for (space, conversation) in &*kept {
            if self.may_converse(&mut state, remote, conversation)? {
                found.push((*space, conversation.genesis.encode()));
            }
        }
        if found.is_empty() {
            return Ok((Bytes::new(), Vec::new()));
        }
        let known = self.known_device(&mut state, &own)?;
        drop(state);
        let mut w = Writer::new();
        if let Some(known) = known {
            known.path.encode(&mut w);
        }
        let mut spaces = Vec::new();
        for (space, genesis) in found {
            let section = Section { space, class: SectionClass::Private };
            if self.peer_tips(remote, &section)?.is_empty() {
                spaces.push(Bytes::from(genesis));
            }
        }
        Ok((w.finish().into(), spaces))
    }

    /// Takes up conversations that a remote tells of.
    pub(crate) fn take_introductions_of(
        &self,
        remote: &DeviceId,
        path: &[u8],
        spaces: &[Bytes],
    ) -> Result<bool, EngineError> {
        let mut state = self.lock();
        let known = self.introduced_device(&mut state, remote, path)?;
        let account = known.as_ref().map(|known| known.device.account());
        let keeper = self.store.get(Table::Meta, &keys::keeper(remote))?.is_some();
        let own = state.own.as_ref().map(|own| own.account);
        let mut work = Work::default();
        let mut taken = 0;
        for genesis in spaces.iter().take(INTRODUCED_MAX) {
            let Ok(genesis) = ConversationGenesis::decode(genesis) else { continue };
            let named = account
                .is_some_and(|account| genesis.members.contains(&account) || own == Some(account));
            if (named || keeper)
                && self.takes_up(&mut state, &mut work, &genesis, account, taken)?
            {
                put(&mut work, &genesis);
                taken += 1;
            }
        }
        if taken == 0 {
            return Ok(false);
        }
        if let Some(known) = known
            && self.known_device(&mut state, remote)?.is_none()
        {
            self.remember_device(&mut state, &mut work, known);
        }
        self.finish(state, work)?;
        let mut state = self.lock();
        (state.kept, state.conversations) = (None, None);
        Ok(true)
    }

    /// Takes up a conversation that came by hand; whether it is kept.
    pub(super) fn take_by_hand(&self, genesis: &ConversationGenesis) -> Result<bool, EngineError> {
        let mut state = self.lock();
        let kept = self.conversations_kept(&mut state)?;
        if kept.contains_key(&Space::Conversation(genesis.id()).id()) {
            return Ok(true);
        }
        let mut work = Work::default();
        if !self.takes_up(&mut state, &mut work, genesis, None, 0)? {
            return Ok(false);
        }
        put(&mut work, genesis);
        self.finish(state, work)?;
        let mut state = self.lock();
        (state.kept, state.conversations) = (None, None);
        Ok(true)
    }

    /// The device of a remote, by the path that it shows.
    fn introduced_device(
        &self,
        state: &mut State,
        remote: &DeviceId,
        path: &[u8],
    ) -> Result<Option<KnownDevice>, EngineError> {
        if let Some(known) = self.known_device(state, remote)? {
            return Ok(Some((*known).clone()));
        }
        let mut reader = Reader::new(path);
        let Ok(path) = CertificatePath::decode(&mut reader) else { return Ok(None) };
        let Ok(device) = path.verify(&self.verifier) else { return Ok(None) };
        let fits = reader.is_empty() && device.device() == *remote;
        Ok(fits.then_some(KnownDevice { device, path }))
    }

    /// Whether a conversation is one to keep, and there is room. What is full does not lose
    /// anything: it is told of again in the next session.
    fn takes_up(
        &self,
        state: &mut State,
        work: &mut Work,
        genesis: &ConversationGenesis,
        teller: Option<AccountId>,
        taken: usize,
    ) -> Result<bool, EngineError> {
        let kept = self.conversations_kept(state)?;
        if kept.contains_key(&Space::Conversation(genesis.id()).id()) {
            return Ok(false);
        }
        let own = state.own.as_ref().map(|own| own.account);
        let mine = own.is_some_and(|own| genesis.members.contains(&own));
        let carried = self.whole_accounts()?;
        let carries = genesis.members.iter().any(|member| carried.contains(member));
        // Who is added to a group later is not in what it began with.
        if !mine && (carries || genesis.founder.is_none()) {
            let count =
                kept.values().filter(|other| other.standing == ConversationStanding::Carried);
            return Ok(carries && count.count() + taken < CARRIED_MAX);
        }
        let me = own.unwrap_or(AccountId::from_bytes([0; 32]));
        let by = genesis.founder.or_else(|| genesis.members.iter().copied().find(|m| *m != me));
        let Some(by) = by else { return Ok(false) };
        let blocked = self.listed(state, BLOCKS)?;
        if blocked.contains(&by) || teller.is_some_and(|teller| blocked.contains(&teller)) {
            return Ok(false);
        }
        let known = self.listed(state, FOLLOWS)?.contains(&by)
            || self.listed(state, PETNAMES)?.contains(&by);
        // Anybody can write that somebody founded a group.
        if known && (genesis.founder.is_none() || teller == Some(by)) {
            return Ok(true);
        }
        let mut waiting = 0;
        let mut empty = None;
        for (space, other) in &*kept {
            let unanswered = other.standing == ConversationStanding::Requested
                || (other.standing == ConversationStanding::Carried
                    && other.genesis.founder.is_some());
            if unanswered {
                waiting += 1;
                if self.documents(state, space)?.is_empty() {
                    empty = Some(other.id);
                }
            }
        }
        if waiting + taken < REQUESTS_MAX {
            return Ok(true);
        }
        // Of one that was announced and brought nothing, nothing is lost.
        let Some(empty) = empty else { return Ok(false) };
        work.batch.delete(Table::Meta, keys::conversation(&empty));
        Ok(taken == 0)
    }
}

fn put(work: &mut Work, genesis: &ConversationGenesis) {
    let space = Space::Conversation(genesis.id());
    work.batch.put(Table::Meta, keys::conversation(&genesis.id()), genesis.encode());
    work.batch.put(Table::Meta, keys::space(&space.id()), keys::space_value(&space));
}
