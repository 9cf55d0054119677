//! Who is told of a conversation, and which are taken up.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{ConversationStanding, KeptConversation};
use crate::codec::{Reader, Writer};
use crate::description::{Section, SectionClass, Space, Spaces};
use crate::hash::{AccountId, ConversationId, DeviceId, SpaceId};
use crate::identity::CertificatePath;
use crate::model::entry::ConversationGenesis;
use crate::replica::{BLOCKS, EngineError, FOLLOWS, KnownDevice, PETNAMES, Replica, State, Work};
use crate::store::{Table, keys};
use crate::wire::INTRODUCED_MAX;

/// Groups of which it is remembered that somebody says the own account came to them.
const TOLD_MAX: usize = 1024;
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
        // Another own device accepted what may not be here yet.
        let chosen = kept.standing == ConversationStanding::Accepted;
        if let Some(own) = own.filter(|own| chosen || talk.members.contains_key(own))
            && self.stands_for(state, &own, remote)?
        {
            // What was said while the own account took part is for all its devices.
            return Ok(true);
        }
        // A group that does not name the own account yet may have been told of by one.
        let mine = own.is_some_and(|own| chosen || talk.members.contains_key(&own))
            || (own.is_some()
                && kept.standing == ConversationStanding::Carried
                && !self.carries_for_others(state, kept)?);
        Ok(mine && self.store.get(Table::Meta, &keys::keeper(remote))?.is_some())
    }

    /// Whether a remote is a device of somebody who takes part in a group and did not from the beginning.
    fn came_later(
        &self,
        state: &mut State,
        remote: &DeviceId,
        kept: &KeptConversation,
    ) -> Result<bool, EngineError> {
        if kept.genesis.founder.is_none() || kept.genesis.audience {
            return Ok(false);
        }
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        let first = &kept.genesis.members;
        // The own devices are told too of what the account came to and left.
        let own = state.own.as_ref().map(|own| own.account);
        let all = talk.members.iter().filter(|(account, _)| !first.contains(account));
        let told = all.filter(|(account, member)| member.present || Some(**account) == own);
        for (account, _) in told {
            if self.stands_for(state, account, remote)? {
                return Ok(true);
            }
        }
        Ok(false)
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
                let genesis = conversation.genesis.encode();
                if self.came_later(&mut state, remote, conversation)? {
                    found.push((*space, [&genesis[..], &[CAME_LATER]].concat()));
                }
                found.push((*space, genesis));
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
        let mut later = Vec::new();
        // A device that was revoked speaks for nobody.
        let speaks = self.speaking(&mut state, remote, account)?;
        for told_of in spaces.iter().take(INTRODUCED_MAX) {
            let Some((genesis, came_later)) = introduced(told_of) else {
                if let Some(account) = speaks {
                    invited |= self.take_invited(&mut state, (remote, &account), told_of)?;
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
            let looks = group && came_later && told.trusted;
            let stored = looks && {
                let row = self.store.get(Table::Meta, &keys::conversation(&genesis.id()))?;
                row.is_some()
            };
            if stored {
                later.push(genesis.id());
            } else if (named || keeper || own || group)
                && self.takes_up(
                    &mut state,
                    &mut work,
                    &genesis,
                    (&told, came_later),
                    (taken, &BTreeSet::new()),
                )? == Taking::Kept
            {
                put(&mut work, &genesis, account);
                taken += 1;
                later.extend(looks.then(|| genesis.id()));
            }
        }
        for id in later {
            note_told(&mut state, id);
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

    /// Takes up a conversation that came by hand, as if `teller` told of it, who has to prove that then.
    /// `just` came by hand before: that they have no pages yet is no reason to let go of them.
    pub(crate) fn take_up_by_hand(
        &self,
        genesis: &ConversationGenesis,
        teller: Option<AccountId>,
        just: &BTreeSet<ConversationId>,
    ) -> Result<Taking, EngineError> {
        let mut state = self.lock();
        let kept = self.conversations_kept(&mut state)?;
        if kept.contains_key(&Space::Conversation(genesis.id()).id()) {
            return Ok(Taking::Kept);
        }
        let mut work = Work::default();
        let told = self.told_by(&mut state, teller, true)?;
        let taken = (0, just);
        let taking =
            self.takes_up(&mut state, &mut work, genesis, (&told, teller.is_some()), taken)?;
        if taking == Taking::Kept {
            put(&mut work, genesis, None);
            if teller.is_some() {
                note_told(&mut state, genesis.id());
            }
            self.finish(state, work)?;
            let mut state = self.lock();
            (state.kept, state.conversations) = (None, None);
        }
        Ok(taking)
    }

    /// Lets go of a group that was taken up for what its founder's page may say, unless one came, the own
    /// account takes part, and there is room for it in the box of requests if the founder is not
    /// known; whether it is kept.
    pub(super) fn keeps_proven(
        &self,
        genesis: &ConversationGenesis,
        founder: &AccountId,
        is_known: bool,
    ) -> Result<bool, EngineError> {
        let mut state = self.lock();
        let id = &genesis.id();
        let own = state.own.as_ref().map(|own| own.account);
        let talk = self.talk_of(&mut state, id, genesis)?;
        (state.kept, state.conversations) = (None, None);
        let kept = self.conversations_kept(&mut state)?;
        let waits = |kept: &&KeptConversation| kept.standing == ConversationStanding::Requested;
        let room = is_known || kept.values().filter(waits).count() <= REQUESTS_MAX;
        let one = KeptConversation {
            id: *id,
            genesis: genesis.clone(),
            standing: ConversationStanding::Carried,
        };
        let ours = own.is_some_and(|own| talk.members.contains_key(&own));
        if room
            && (ours || self.carries_for_others(&mut state, &one)?)
            && self.has_page_of(&mut state, &Space::Conversation(*id).id(), founder)?
        {
            return Ok(true);
        }
        let mut work = Work::default();
        work.batch.delete(Table::Meta, keys::conversation(id));
        work.batch.delete(Table::Meta, keys::teller(id));
        state.told.remove(id);
        self.finish(state, work)?;
        let mut state = self.lock();
        (state.kept, state.conversations) = (None, None);
        Ok(false)
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
        Ok(Told { account, trusted, is_carried, friends, carried, tellers: OnceCell::new() })
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

    /// Whether a conversation is one to keep, and there is room beside `taken` ones. What is full does not
    /// lose anything: it is told of again in the next session.
    fn takes_up(
        &self,
        state: &mut State,
        work: &mut Work,
        genesis: &ConversationGenesis,
        (told, came_later): (&Told, bool),
        (taken, just): (usize, &BTreeSet<ConversationId>),
    ) -> Result<Taking, EngineError> {
        let kept = self.conversations_kept(state)?;
        if genesis.audience || kept.contains_key(&Space::Conversation(genesis.id()).id()) {
            return Ok(Taking::NotOurs);
        }
        let room = |is: bool| if is { Taking::Kept } else { Taking::Full };
        let own = state.own.as_ref().map(|own| own.account);
        let mine = own.is_some_and(|own| genesis.members.contains(&own));
        let carries = (told.is_carried && genesis.founder.is_some())
            || genesis.members.iter().any(|member| told.carried.contains(member));
        if !mine && carries {
            return self.has_room_to_carry(&kept, told, taken).map(room);
        }
        let me = own.unwrap_or(AccountId::from_bytes([0; 32]));
        let by = genesis.founder.or_else(|| genesis.members.iter().copied().find(|m| *m != me));
        let Some(by) = by else { return Ok(Taking::NotOurs) };
        let blocked = self.listed(state, BLOCKS)?;
        if blocked.contains(&by) || told.account.is_some_and(|teller| blocked.contains(&teller)) {
            return Ok(Taking::Blocked);
        }
        // Who is added to a group later is not in what it began with: then it is somebody he knows, or a
        // node that he lets keep what is private, who tells him so.
        if !mine && (genesis.founder.is_none() || !told.trusted || !came_later) {
            return Ok(Taking::NotOurs);
        }
        // Anybody can write that somebody founded a group.
        let proven = genesis.founder.is_none() || told.account == Some(by);
        if mine && told.friends.contains(&by) && proven {
            return Ok(Taking::Kept);
        }
        let (most, standing) = match mine {
            true => (REQUESTS_MAX, ConversationStanding::Requested),
            false => (UNNAMED_MAX, ConversationStanding::Carried),
        };
        let is_of_kind =
            |kept: &KeptConversation| kept.standing == standing && (mine || !kept.genesis.audience);
        // What turned out to be for others takes a place as well: a friend tells of so many and no more.
        let taken = taken + if mine { 0 } else { self.unkept_groups(state)? };
        let known = (&*kept, just);
        self.makes_room(state, work, known, (taken, most), is_of_kind).map(room)
    }

    /// Whether there is room for one more of a kind, in place of an empty one if need be: of one
    /// that was announced and brought nothing, nothing is lost.
    fn makes_room(
        &self,
        state: &mut State,
        work: &mut Work,
        (kept, just): (&BTreeMap<SpaceId, KeptConversation>, &BTreeSet<ConversationId>),
        (taken, most): (usize, usize),
        is_of_kind: impl Fn(&KeptConversation) -> bool,
    ) -> Result<bool, EngineError> {
        let mut waiting = 0;
        let mut empty = None;
        for (space, other) in kept.iter().filter(|(_, other)| is_of_kind(other)) {
            if self.carries_for_others(state, other)? {
                continue;
            }
            waiting += 1;
            if !just.contains(&other.id) && self.documents(state, space)?.is_empty() {
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
}

/// What becomes of a conversation that somebody tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// It is kept.
    Kept,
    /// There is no room for it now.
    Full,
    /// It is by somebody whom the own account blocks.
    Blocked,
    /// It is for others.
    NotOurs,
}

/// After a conversation in an introduction: whoever is told takes part, and did not from the beginning.
const CAME_LATER: u8 = 1;

/// A conversation that somebody tells of, and whether he says that one came to it later.
fn introduced(bytes: &[u8]) -> Option<(ConversationGenesis, bool)> {
    if let Ok(genesis) = ConversationGenesis::decode(bytes) {
        return Some((genesis, false));
    }
    let (last, genesis) = bytes.split_last()?;
    let genesis = ConversationGenesis::decode(genesis).ok()?;
    (*last == CAME_LATER).then_some((genesis, true))
}

/// Notes that somebody says that the own account came to a group: it is looked at again.
fn note_told(state: &mut State, id: ConversationId) {
    if state.told.len() >= TOLD_MAX {
        state.told.pop_first();
    }
    if state.told.insert(id) {
        (state.kept, state.conversations) = (None, None);
    }
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
