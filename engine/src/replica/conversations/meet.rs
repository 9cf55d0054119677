//! Who is told of a conversation, and which are taken up.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{BundleReceipt, ConversationStanding, KeptConversation};
use crate::codec::{Reader, Writer};
use crate::description::{Section, SectionClass, Space, Spaces};
use crate::hash::{AccountId, ConversationId, DeviceId, SpaceId};
use crate::identity::CertificatePath;
use crate::model::entry::ConversationGenesis;
use crate::replica::{BLOCKS, EngineError, FOLLOWS, KnownDevice, PETNAMES, Replica, State, Work};
use crate::store::{Table, keys};
use crate::wire::INTRODUCED_MAX;

/// Conversations with strangers that wait for an answer.
pub(super) const REQUESTS_MAX: usize = 64;
/// Groups that do not name the own account and into which it may have been taken, until a page says
/// so.
pub(super) const UNNAMED_MAX: usize = 64;

impl Replica {
    /// The account of a remote device, as far as its certificate path was seen.
    pub(super) fn account_of(
        &self,
        state: &mut State,
        remote: &DeviceId,
    ) -> Result<Option<AccountId>, EngineError> {
        Ok(self.known_device(state, remote)?.map(|known| known.device.account()))
    }

    /// Whether a remote is a device of an account, in good standing.
    pub(in crate::replica) fn stands_for(
        &self,
        state: &mut State,
        account: &AccountId,
        remote: &DeviceId,
    ) -> Result<bool, EngineError> {
        let authority = self.authority_of(state, account)?;
        let named = authority.as_ref().and_then(|authority| authority.devices.get(remote));
        Ok(match named {
            Some(standing) => standing.revoked.is_none() && !standing.suspended,
            // Without the account's log only the certificate path speaks for a device.
            None => {
                authority.is_none_or(|authority| authority.devices.is_empty())
                    && self.account_of(state, remote)? == Some(*account)
            }
        })
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
            if self.stands_for(state, account, remote)? {
                return Ok(!self.is_blocked(state, account)?);
            }
        }
        let own = state.own.as_ref().map(|own| own.account);
        if kept.genesis.audience
            && kept.genesis.founder != own
            && self.may_bring_audience(state, remote, &kept.id)?
        {
            return Ok(true);
        }
        if let Some(own) = own.filter(|own| talk.members.contains_key(own))
            && self.stands_for(state, &own, remote)?
        {
            // What was said while the own account took part is for all its devices.
            return Ok(true);
        }
        // A group that does not name the own account yet may have been told of by one.
        let mine = own.is_some_and(|own| talk.members.contains_key(&own))
            || (own.is_some()
                && kept.standing == ConversationStanding::Carried
                && !self.carries_for_others(state, kept)?);
        Ok(mine && self.store.get(Table::Meta, &keys::keeper(remote))?.is_some())
    }

    /// The own certificate path, and the conversations that a remote may know of and has not: a home that
    /// was made anew showed them once, and does not keep them now.
    pub(crate) fn introductions_to(
        &self,
        remote: &DeviceId,
        common: Option<&Spaces>,
    ) -> Result<(Bytes, Vec<Bytes>), EngineError> {
        let mut state = self.lock();
        let Some(own) = state.own.as_ref().map(|own| own.device()) else {
            return Ok((Bytes::new(), Vec::new()));
        };
        let kept = self.conversations_kept(&mut state)?;
        let mut found = Vec::new();
        for (space, conversation) in &*kept {
            // Whom an audience is for is known with its first page: before, nobody is told of it.
            if conversation.genesis.audience && self.documents(&mut state, space)?.is_empty() {
                continue;
            }
            if self.may_converse(&mut state, remote, conversation)? {
                found.push((*space, conversation.genesis.encode()));
            }
        }
        let tickets = self.tickets_for(&mut state, remote)?;
        if found.is_empty() && tickets.is_empty() {
            return Ok((Bytes::new(), Vec::new()));
        }
        let known = self.known_device(&mut state, &own)?;
        drop(state);
        let mut w = Writer::new();
        if let Some(known) = known {
            known.path.encode(&mut w);
        }
        let mut spaces = tickets;
        for (space, genesis) in found {
            let section = Section { space, class: SectionClass::Private };
            let is_there = match common {
                Some(common) => common.contains(&space),
                None => !self.peer_tips(remote, &section)?.is_empty(),
            };
            if !is_there {
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
        let keeper = self.store.get(Table::Meta, &keys::keeper(remote))?.is_some();
        let account = known.as_ref().map(|known| known.device.account());
        let told = self.told_by(&mut state, account, keeper)?;
        let mut work = Work::default();
        let (mut taken, mut concerns, mut invited) = (0, false, false);
        // A device that was revoked speaks for nobody.
        let speaks = self.speaking(&mut state, remote, account)?;
        for genesis in spaces.iter().take(INTRODUCED_MAX) {
            let Ok(genesis) = ConversationGenesis::decode(genesis) else {
                if let Some(account) = speaks {
                    invited |= self.take_invited(&mut state, (remote, &account), genesis)?;
                }
                continue;
            };
            if let Some(account) = speaks {
                concerns |= self.takes_part_here(&mut state, &genesis, &account)?;
            }
            if genesis.audience {
                let by = (account, keeper);
                if self.takes_up_audience(&mut state, &mut work, &genesis, by, taken)? {
                    put(&mut work, &genesis, account);
                    taken += 1;
                }
                continue;
            }
            if let Some(account) = speaks {
                self.note_asked(&mut state, (remote, account), &genesis)?;
            }
            let named = account.is_some_and(|account| genesis.members.contains(&account));
            let own = account.is_some() && account == state.own.as_ref().map(|own| own.account);
            // Of a group a friend of somebody who came to it later may tell.
            let group = genesis.founder.is_some() && (told.trusted || told.is_carried);
            if (named || keeper || own || group)
                && self.takes_up(&mut state, &mut work, &genesis, &told, taken)?
            {
                put(&mut work, &genesis, account);
                taken += 1;
            }
        }
        // Of a new device of somebody one talks with the log of his account is taken from now on: it
        // may be all that is left of his devices, and nobody else may be there to tell of it.
        let new = self.known_device(&mut state, remote)?.is_none();
        if taken == 0 && !(new && concerns) {
            return Ok(invited);
        }
        if let Some(known) = known.filter(|_| new) {
            self.remember_device(&mut state, &mut work, known);
        }
        self.finish(state, work)?;
        let mut state = self.lock();
        (state.kept, state.conversations) = (None, None);
        Ok(true)
    }

    /// The account of a remote, unless the log of it says that the device is none of its any more.
    fn speaking(
        &self,
        state: &mut State,
        remote: &DeviceId,
        account: Option<AccountId>,
    ) -> Result<Option<AccountId>, EngineError> {
        let Some(account) = account else { return Ok(None) };
        let authority = self.authority_of(state, &account)?;
        let standing = authority.as_ref().and_then(|authority| authority.devices.get(remote));
        let good = standing.is_none_or(|one| one.revoked.is_none() && !one.suspended);
        Ok(good.then_some(account))
    }

    /// Whether somebody takes part in a conversation that is kept here, or did.
    fn takes_part_here(
        &self,
        state: &mut State,
        genesis: &ConversationGenesis,
        account: &AccountId,
    ) -> Result<bool, EngineError> {
        let id = genesis.id();
        if !self.conversations_kept(state)?.contains_key(&Space::Conversation(id).id()) {
            return Ok(false);
        }
        Ok(self.talk_of(state, &id, genesis)?.members.contains_key(account))
    }

    /// Takes up a conversation that came by hand; whether it is kept.
    #[cfg(test)]
    pub(crate) fn take_by_hand(&self, genesis: &ConversationGenesis) -> Result<bool, EngineError> {
        self.take_up_by_hand(genesis, None, &BTreeSet::new())
    }

    /// Takes up a conversation that came by hand, whether somebody is taken to tell of it, which he has
    /// to prove then, or not. What came just before, and has no pages yet, gives it no room.
    pub(super) fn take_up_by_hand(
        &self,
        genesis: &ConversationGenesis,
        teller: Option<AccountId>,
        just: &BTreeSet<ConversationId>,
    ) -> Result<bool, EngineError> {
        let mut state = self.lock();
        let kept = self.conversations_kept(&mut state)?;
        if kept.contains_key(&Space::Conversation(genesis.id()).id()) {
            return Ok(true);
        }
        let mut work = Work::default();
        let mut told = self.told_by(&mut state, teller, true)?;
        told.just.clone_from(just);
        if !self.takes_up(&mut state, &mut work, genesis, &told, 0)? {
            return Ok(false);
        }
        put(&mut work, genesis, None);
        self.finish(state, work)?;
        let mut state = self.lock();
        (state.kept, state.conversations) = (None, None);
        Ok(true)
    }

    /// Lets go of a conversation that was taken up and of which nothing came.
    pub(super) fn drop_untold(&self, id: &ConversationId) -> Result<(), EngineError> {
        let state = self.lock();
        let mut work = Work::default();
        work.batch.delete(Table::Meta, keys::conversation(id));
        work.batch.delete(Table::Meta, keys::teller(id));
        self.finish(state, work)?;
        let mut state = self.lock();
        (state.kept, state.conversations) = (None, None);
        Ok(())
    }

    /// Whether something of a page is here that an account wrote in a space.
    pub(super) fn has_page_of(
        &self,
        state: &mut State,
        space: &SpaceId,
        account: &AccountId,
    ) -> Result<bool, EngineError> {
        for (doc, page) in self.documents(state, space)? {
            if page.account == *account
                && self.chains_of(state, &doc)?.iter().any(|(_, chain)| chain.held > 0)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts a conversation that was not taken up, by why.
    pub(super) fn count_refused(
        &self,
        genesis: &ConversationGenesis,
        receipt: &mut BundleReceipt,
    ) -> Result<(), EngineError> {
        receipt.refused += 1;
        let mut state = self.lock();
        let blocked = self.listed(&mut state, BLOCKS)?;
        let own = state.own.as_ref().map(|own| own.account);
        let by = match genesis.founder {
            Some(founder) => blocked.contains(&founder),
            None => genesis.members.iter().any(|member| blocked.contains(member)),
        };
        if by {
            receipt.blocked += 1;
        } else if own.is_some_and(|own| genesis.members.contains(&own)) {
            receipt.full += 1;
        }
        Ok(())
    }

    /// What it counts for that somebody tells of a conversation.
    fn told_by(
        &self,
        state: &mut State,
        account: Option<AccountId>,
        trusted: bool,
    ) -> Result<Told, EngineError> {
        let mut friends = self.listed(state, FOLLOWS)?;
        friends.extend(self.listed(state, PETNAMES)?);
        friends.extend(state.own.as_ref().map(|own| own.account));
        let carried = self.whole_accounts()?;
        let is = |of: &BTreeSet<AccountId>| account.is_some_and(|account| of.contains(&account));
        let (trusted, is_carried) = (trusted || is(&friends), is(&carried));
        let (tellers, just) = (OnceCell::new(), BTreeSet::new());
        Ok(Told { account, trusted, is_carried, friends, carried, tellers, just })
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
        told: &Told,
        taken: usize,
    ) -> Result<bool, EngineError> {
        let kept = self.conversations_kept(state)?;
        if genesis.audience || kept.contains_key(&Space::Conversation(genesis.id()).id()) {
            return Ok(false);
        }
        let own = state.own.as_ref().map(|own| own.account);
        let mine = own.is_some_and(|own| genesis.members.contains(&own));
        let carries = (told.is_carried && genesis.founder.is_some())
            || genesis.members.iter().any(|member| told.carried.contains(member));
        if !mine && carries {
            return self.has_room_to_carry(&kept, told, taken);
        }
        let me = own.unwrap_or(AccountId::from_bytes([0; 32]));
        let by = genesis.founder.or_else(|| genesis.members.iter().copied().find(|m| *m != me));
        let Some(by) = by else { return Ok(false) };
        let blocked = self.listed(state, BLOCKS)?;
        if blocked.contains(&by) || told.account.is_some_and(|teller| blocked.contains(&teller)) {
            return Ok(false);
        }
        if !mine {
            // Who is added to a group later is not in what it began with: then it is somebody he
            // knows, or a node that he lets keep what is private, who tells him.
            return match genesis.founder.is_some() && told.trusted {
                true => self.makes_room(state, work, &kept, (told, taken), UNNAMED_MAX, |kept| {
                    kept.standing == ConversationStanding::Carried && !kept.genesis.audience
                }),
                false => Ok(false),
            };
        }
        // Anybody can write that somebody founded a group.
        if told.friends.contains(&by) && (genesis.founder.is_none() || told.account == Some(by)) {
            return Ok(true);
        }
        self.makes_room(state, work, &kept, (told, taken), REQUESTS_MAX, |kept| {
            kept.standing == ConversationStanding::Requested
        })
    }

    /// Whether there is room for one more of a kind, in place of an empty one if need be: of one
    /// that was announced and brought nothing, nothing is lost.
    fn makes_room(
        &self,
        state: &mut State,
        work: &mut Work,
        kept: &BTreeMap<SpaceId, KeptConversation>,
        (told, taken): (&Told, usize),
        most: usize,
        is_of_kind: impl Fn(&KeptConversation) -> bool,
    ) -> Result<bool, EngineError> {
        let mut waiting = 0;
        let mut empty = None;
        for (space, other) in kept.iter().filter(|(_, other)| is_of_kind(other)) {
            if self.carries_for_others(state, other)? {
                continue;
            }
            waiting += 1;
            if !told.just.contains(&other.id) && self.documents(state, space)?.is_empty() {
                empty = Some(other.id);
            }
        }
        if waiting + taken < most {
            return Ok(true);
        }
        let Some(empty) = empty else { return Ok(false) };
        work.batch.delete(Table::Meta, keys::conversation(&empty));
        work.batch.delete(Table::Meta, keys::teller(&empty));
        Ok(taken == 0)
    }
}

/// Who tells of a conversation, and what that counts for.
pub(super) struct Told {
    pub(super) account: Option<AccountId>,
    /// The user, a friend, an own device or a node that he lets keep what is private.
    trusted: bool,
    /// This node keeps the whole account.
    pub(super) is_carried: bool,
    /// Whom the own account knows, and itself.
    friends: BTreeSet<AccountId>,
    /// Accounts that this node keeps whole.
    pub(super) carried: BTreeSet<AccountId>,
    /// How many conversations each account told of.
    pub(super) tellers: OnceCell<BTreeMap<AccountId, usize>>,
    /// What was taken up just now, whose pages are yet to come.
    just: BTreeSet<ConversationId>,
}

fn put(work: &mut Work, genesis: &ConversationGenesis, teller: Option<AccountId>) {
    let id = genesis.id();
    let space = Space::Conversation(id);
    work.batch.put(Table::Meta, keys::conversation(&id), genesis.encode());
    if let Some(teller) = teller {
        work.batch.put(Table::Meta, keys::teller(&id), teller.as_bytes().to_vec());
    }
    work.batch.put(Table::Meta, keys::space(&space.id()), keys::space_value(&space));
}
