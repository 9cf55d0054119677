//! Keys of conversations and private channels: opening them, choosing one to seal with, passing them on.
//!
//! A key is passed on to devices of accounts that hold it already: a device that is linked later
//! reads what its account may, and who joins reads from then on. Whoever opens a key says which
//! devices were revoked by then: somebody who has not heard of that yet does not pass it on to them,
//! and somebody who knows of more does not use it, to whomever it was passed on meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::age::KeyUse;
use super::{Circle, ConversationStanding, KeptConversation, KnownEpoch, Talk, ask_of};
use crate::hash::{AccountId, DeviceId, EpochId, SealKey};
use crate::limits::DEVICES_MAX;
use crate::model::entry::{Entry, Wrap};
use crate::replica::keyring::HeldKey;
use crate::replica::{EngineError, Replica, State, Work};
use crate::seal::{EPOCH_HINT_BYTES, EpochKey, PrekeyTag, SealTo, hint_of, prekey_of, tag_of};

/// Keys passed on along with one write.
const PASSED_ON_MAX: usize = 64;

/// Keys of one conversation that this device asks for before any of them is answered.
pub(super) const ASKS_MAX: usize = 64;

/// Copies that are written at once for devices that ask.
const ANSWERS_MAX: usize = 16;

/// What entries tell of the keys that they were sealed with.
pub(in crate::replica) type Hints = BTreeSet<[u8; EPOCH_HINT_BYTES]>;

/// Devices to seal to, with their accounts.
type Recipients = BTreeMap<DeviceId, (AccountId, SealTo)>;

/// Devices of those who take part or did, as far as they are known here.
#[derive(Debug, Default)]
pub(in crate::replica) struct Devices {
    /// In good standing, of who takes part now.
    good: Recipients,
    /// Revoked, of who takes part now.
    revoked: BTreeSet<DeviceId>,
    /// Whose a device is, revoked ones too.
    owner: BTreeMap<DeviceId, AccountId>,
    /// Prekeys that they said, in order.
    prekeys: BTreeMap<DeviceId, Vec<PrekeyTag>>,
    /// Who takes part and whose devices are not known here.
    unknown: Vec<AccountId>,
}

impl Devices {
    /// Whose a device is.
    pub(in crate::replica) fn owner_of(&self, device: &DeviceId) -> Option<AccountId> {
        self.owner.get(device).copied()
    }

    /// Devices of somebody who takes part that are in good standing.
    pub(super) fn count_of(&self, account: &AccountId) -> u64 {
        self.good.values().filter(|(owner, _)| owner == account).count() as u64
    }

    /// Accounts that hold a key, as far as was said.
    pub(in crate::replica) fn accounts(&self, epoch: &KnownEpoch) -> BTreeSet<AccountId> {
        epoch.holders().iter().filter_map(|device| self.owner.get(device)).copied().collect()
    }

    /// Accounts that have a device in good standing.
    fn everybody(&self) -> BTreeSet<AccountId> {
        self.good.values().map(|(account, _)| *account).collect()
    }

    /// Whether all of some accounts take part.
    fn includes(&self, accounts: &BTreeSet<AccountId>) -> bool {
        accounts.is_subset(&self.everybody())
    }

    /// Devices that a key is sealed to.
    pub(in crate::replica) fn count(&self) -> usize {
        self.good.len() + self.revoked.len()
    }

    /// Accounts that hold a key for sure: the own one, whoever wrote a copy that opens here, and
    /// those for whom one of them wrote a copy. That somebody wrote a copy proves nothing.
    pub(in crate::replica) fn proven(
        &self,
        epoch: &KnownEpoch,
        mut proven: BTreeSet<AccountId>,
    ) -> BTreeSet<AccountId> {
        loop {
            let mut more = BTreeSet::new();
            for (to, copies) in &epoch.wraps {
                let Some(account) = self.owner.get(to).filter(|to| !proven.contains(to)) else {
                    continue;
                };
                let by = |(by, _): &(DeviceId, Vec<u8>)| self.owner.get(by);
                if copies.iter().filter_map(by).any(|by| proven.contains(by)) {
                    more.insert(*account);
                }
            }
            if more.is_empty() {
                return proven;
            }
            proven.extend(more);
        }
    }

    /// Devices in good standing that lack a key which their account holds, as is proven.
    fn lacking(&self, epoch: &KnownEpoch, proven: &BTreeSet<AccountId>) -> Vec<(DeviceId, SealTo)> {
        let (holders, accounts) = (epoch.holders(), proven);
        let lacks = |(device, (account, _)): &(&DeviceId, &(AccountId, SealTo))| {
            let lacks = !holders.contains(device) && !epoch.excluded.contains(device);
            lacks && accounts.contains(account)
        };
        self.good.iter().filter(lacks).map(|(device, (_, key))| (*device, *key)).collect()
    }

    /// The place of a prekey among those that a device said; 0 is its fixed key. `None` if it is not
    /// known here.
    fn place_of(&self, device: &DeviceId, prekey: Option<PrekeyTag>) -> Option<usize> {
        let Some(prekey) = prekey else { return Some(0) };
        let said = self.prekeys.get(device)?.iter().position(|said| *said == prekey)?;
        Some(said + 1)
    }

    /// Whether somebody has a key sealed to a key of his that he never forgets, though another is
    /// known.
    fn is_lasting(&self, known: &KnownEpoch) -> bool {
        let mut told = known
            .wraps
            .iter()
            .filter(|(device, _)| self.prekeys.get(device).is_some_and(|said| !said.is_empty()));
        told.any(|(_, copies)| copies.iter().all(|(_, copy)| prekey_of(copy).is_none()))
    }

    /// Whether somebody asks for a key under a prekey that is known here, and `me` wrote no copy for
    /// that one or a later one.
    fn is_unanswered(
        &self,
        known: &KnownEpoch,
        (asks, wanted): (&DeviceId, &BTreeSet<Option<SealKey>>),
        me: &DeviceId,
    ) -> bool {
        let wanted = wanted.iter().filter_map(|key| self.place_of(asks, key.as_ref().map(tag_of)));
        let Some(wanted) = wanted.max() else { return false };
        let copies = known.wraps.get(asks).into_iter().flatten().filter(|(by, _)| by == me);
        let mut answered = copies.map(|(_, copy)| self.place_of(asks, prekey_of(copy)));
        !answered.any(|place| place.unwrap_or(0) >= wanted)
    }

    /// Whether a key is one to seal with: all who take part hold it, and nobody else can.
    fn suits(&self, epoch: &KnownEpoch, proven: &BTreeSet<AccountId>) -> bool {
        epoch.holders().iter().all(|device| self.good.contains_key(device))
            && self.revoked.is_subset(&epoch.excluded)
            && !epoch.excluded.iter().any(|device| self.good.contains_key(device))
            && *proven == self.everybody()
    }
}

impl Replica {
    pub(in crate::replica) fn devices_of(
        &self,
        state: &mut State,
        talk: &Talk,
    ) -> Result<Devices, EngineError> {
        let mut devices = Devices::default();
        self.load_halves(state)?;
        for (account, member) in &talk.members {
            let authority = self.authority_of(state, account)?;
            let known = authority.as_ref().map(|authority| &authority.devices);
            if member.takes_part() && known.is_none_or(BTreeMap::is_empty) {
                devices.unknown.push(*account);
            }
            for (device, standing) in known.into_iter().flatten() {
                devices.owner.insert(*device, *account);
                // Where older keys are given to who comes, a device is told from the others before its
                // account does.
                let told = member.takes_part() || talk.shares_past;
                if told && standing.revoked.is_some() {
                    devices.revoked.insert(*device);
                }
                if member.takes_part() && standing.revoked.is_none() && !standing.suspended {
                    let Some(authority) = &authority else { continue };
                    if talk.fixed {
                        let to = SealTo::Fixed(standing.verified.seal_key());
                        devices.good.insert(*device, (*account, to));
                        continue;
                    }
                    let to = Self::seal_to(state, authority, device, standing);
                    devices.good.insert(*device, (*account, to));
                    let said = authority.prekeys.get(device).into_iter().flatten();
                    let said = said.map(|prekey| tag_of(&prekey.key)).collect();
                    devices.prekeys.insert(*device, said);
                }
            }
        }
        Ok(devices)
    }

    /// The key to seal with now: the newest that everybody who takes part holds, and nobody
    /// else, and that is no week old yet. Opens one if there is none.
    pub(super) fn current_conversation_key(
        &self,
        state: &mut State,
        work: &mut Work,
        (kept, talk): (&KeptConversation, &Arc<Talk>),
        usage: KeyUse,
        now_ms: u64,
    ) -> Result<EpochKey, EngineError> {
        if !talk.fixed {
            self.tend_prekey(state, work, now_ms)?;
        }
        let devices = self.devices_of(state, talk)?;
        if let Some(account) = devices.unknown.first() {
            return Err(EngineError::Denied(format!(
                "the devices of {} are not known here yet, so nothing can be sealed to them: sync \
                 with somebody who knows that account",
                account.short()
            )));
        }
        let circle = Circle::Conversation(kept.id);
        self.current_key(state, work, (&circle, usage), (talk, &devices), now_ms)
    }

    /// The key to seal with now in a circle, opened if there is none.
    pub(in crate::replica) fn current_key(
        &self,
        state: &mut State,
        work: &mut Work,
        (circle, usage): (&Circle, KeyUse),
        (talk, devices): (&Talk, &Devices),
        now_ms: u64,
    ) -> Result<EpochKey, EngineError> {
        let mut epochs: Vec<(&EpochId, &KnownEpoch)> = talk.epochs.iter().collect();
        epochs.sort_by_key(|(epoch, known)| std::cmp::Reverse((known.since_ms, **epoch)));
        for (epoch, known) in epochs {
            if talk.ages.is_spent(&hint_of(epoch), known.since_ms, now_ms, usage)
                || talk.tainted.contains(epoch)
                || (usage == KeyUse::Expiring && devices.is_lasting(known))
            {
                continue;
            }
            let Some(key) = self.circle_key(state, circle, epoch, known) else { continue };
            let mut proven = self.proven_holders(state, circle, (epoch, known), devices)?;
            if talk.shares_past && devices.includes(&proven) {
                proven = devices.everybody();
            }
            if !devices.suits(known, &proven) {
                continue;
            }
            let lacking = devices.lacking(known, &proven);
            let wraps = self.copies(circle, &key, &lacking)?;
            self.pass_on(state, work, circle, key.id(), wraps, now_ms)?;
            return Ok(key);
        }
        let key = EpochKey::generate(&*self.entropy);
        self.give_new_key(state, work, circle, key.clone(), devices, now_ms)?;
        Ok(key)
    }

    /// Gives a key that nobody has yet to all devices of a circle.
    pub(in crate::replica) fn give_new_key(
        &self,
        state: &mut State,
        work: &mut Work,
        circle: &Circle,
        key: EpochKey,
        devices: &Devices,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let all: Vec<_> = devices.good.iter().map(|(device, (_, key))| (*device, *key)).collect();
        let mut wraps = self.copies(circle, &key, &all)?;
        let excluded = devices.revoked.iter();
        wraps.extend(excluded.map(|device| Wrap { device: *device, sealed: Vec::new() }));
        if let Circle::Channel(hub, _) = circle {
            // Others would take what is sealed with it and not the key.
            let all = Entry::Epoch { epoch: key.id(), wraps: wraps.clone() };
            self.check_hub_room(state, hub, &all)?;
        }
        self.pass_on(state, work, circle, key.id(), wraps, now_ms)?;
        state.circle_keys.insert((*circle, key.id()), HeldKey::made(key.clone()));
        self.keep_key(state, circle, &key);
        Ok(())
    }

    /// Copies of a key for devices.
    fn copies(
        &self,
        circle: &Circle,
        key: &EpochKey,
        devices: &[(DeviceId, SealTo)],
    ) -> Result<Vec<Wrap>, EngineError> {
        let space = circle.bound_to();
        let copies = devices.iter().map(|(device, to)| {
            let sealed = key
                .wrap_to(&space, to, &*self.entropy)
                .map_err(|error| EngineError::Denied(error.to_string()))?;
            Ok(Wrap { device: *device, sealed })
        });
        copies.collect()
    }

    /// Writes copies of a key, and for whom there are none.
    fn pass_on(
        &self,
        state: &mut State,
        work: &mut Work,
        circle: &Circle,
        epoch: EpochId,
        wraps: Vec<Wrap>,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        for part in wraps.chunks(DEVICES_MAX) {
            let entry = Entry::Epoch { epoch, wraps: part.to_vec() };
            self.append_to_circle(state, work, circle, entry, now_ms)?;
        }
        Ok(())
    }

    /// Writes what tells of a key where the circle looks for it.
    fn append_to_circle(
        &self,
        state: &mut State,
        work: &mut Work,
        circle: &Circle,
        entry: Entry,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        match circle {
            Circle::Conversation(id) => {
                self.append_to_conversation(state, work, id, entry, now_ms)?;
            }
            Circle::Channel(hub, channel) => {
                self.append_to_channel(state, work, hub, channel, entry, now_ms)?;
            }
        }
        Ok(())
    }

    /// Gives the keys of a conversation to the devices of an account, as far as they open here.
    pub(super) fn share_keys(
        &self,
        state: &mut State,
        work: &mut Work,
        (kept, talk): (&KeptConversation, &Talk),
        account: &AccountId,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let devices = self.devices_of(state, talk)?;
        let circle = Circle::Conversation(kept.id);
        for (epoch, known) in &talk.epochs {
            let Some(key) = self.circle_key(state, &circle, epoch, known) else { continue };
            let all = BTreeSet::from([*account]);
            let wraps = self.copies(&circle, &key, &devices.lacking(known, &all))?;
            self.pass_on(state, work, &circle, *epoch, wraps, now_ms)?;
        }
        Ok(())
    }

    /// Whether the own account takes part in any conversation; audiences have no use for prekeys.
    pub(in crate::replica) fn converses(&self, state: &mut State) -> Result<bool, EngineError> {
        let Some(me) = state.own.as_ref().map(|own| own.account) else { return Ok(false) };
        let kept = self.conversations_kept(state)?;
        let talks = |kept: &&KeptConversation| {
            kept.standing == ConversationStanding::Accepted && !kept.genesis.audience
        };
        for known in kept.values().filter(talks) {
            if self.talk_of(state, &known.id, &known.genesis)?.is_member(&me) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Passes keys of conversations and private channels on to devices that were linked since, answers who asks for one, and asks for
    /// those of which the copies do not open. Doing it twice writes nothing more.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn mend_conversations(&self, now_ms: u64) -> Result<(), EngineError> {
        let mut state = self.lock();
        state.now_ms = state.now_ms.max(now_ms);
        if state.own.is_none() || self.check_writer(&mut state).is_err() {
            return Ok(());
        }
        let kept = self.conversations_kept(&mut state)?;
        let mut work = Work::default();
        self.replace_lost(&mut state, &mut work, now_ms)?;
        for conversation in kept.values() {
            if conversation.standing == ConversationStanding::Accepted {
                self.mend_conversation(&mut state, &mut work, conversation, now_ms)?;
            }
        }
        self.mend_channels(&mut state, &mut work, now_ms)?;
        if work.events.is_empty() {
            return Ok(());
        }
        self.finish(state, work)
    }

    /// Tells again of keys of which only somebody tells who is not heard there, because he was
    /// taken out or his device revoked, and that somebody who is heard has used before he knew.
    pub(in crate::replica) fn recover_lost(
        &self,
        state: &mut State,
        work: &mut Work,
        (circle, used): (&Circle, &Hints),
        (talk, devices): (&Talk, &Devices),
        now_ms: u64,
    ) -> Result<(), EngineError> {
        for (epoch, known) in &talk.lost {
            if talk.epochs.contains_key(epoch) || !used.contains(&hint_of(epoch)) {
                continue;
            }
            let Some(key) = self.circle_key(state, circle, epoch, known) else { continue };
            let accounts = self.proven_holders(state, circle, (epoch, known), devices)?;
            let to = devices.good.iter().filter(|(device, (account, _))| {
                accounts.contains(account) && !known.excluded.contains(device)
            });
            let to: Vec<_> = to.map(|(device, (_, key))| (*device, *key)).collect();
            let mut wraps = self.copies(circle, &key, &to)?;
            // Who is out and holds it is named as a holder, with a copy that he had or one that is of
            // no use to him: so nobody ever seals with it again.
            let mut outside = known.holders();
            outside.retain(|device| !devices.good.contains_key(device));
            let some = known.wraps.values().flatten().next().map(|(_, copy)| copy.clone());
            for device in &outside {
                let own = known.wraps.get(device).and_then(|copies| copies.first());
                let sealed = own.map(|(_, copy)| copy.clone()).or_else(|| some.clone());
                wraps.extend(sealed.map(|sealed| Wrap { device: *device, sealed }));
            }
            let excluded = devices.revoked.union(&known.excluded);
            let excluded = excluded.filter(|device| !outside.contains(device));
            wraps.extend(excluded.map(|device| Wrap { device: *device, sealed: Vec::new() }));
            self.pass_on(state, work, circle, *epoch, wraps, now_ms)?;
        }
        Ok(())
    }

    fn mend_conversation(
        &self,
        state: &mut State,
        work: &mut Work,
        kept: &KeptConversation,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let Some(me) = state.own.as_ref().map(|own| own.account) else { return Ok(()) };
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        if !talk.is_member(&me) || !kept.genesis.lets_write(&me) {
            return Ok(());
        }
        let devices = self.devices_of(state, &talk)?;
        let circle = Circle::Conversation(kept.id);
        if !talk.lost.is_empty() {
            let used = self.hints_used(state, kept, &talk)?;
            self.recover_lost(state, work, (&circle, &used), (&talk, &devices), now_ms)?;
        }
        self.mend_circle(state, work, &circle, (&talk, &devices), now_ms)
    }

    /// Whether a key of which no copy opens here is to be asked for: it never was, or since it was a copy
    /// came for a prekey whose half is not here.
    fn has_to_ask(state: &State, known: &KnownEpoch, devices: &Devices) -> bool {
        let Some(own) = state.own.as_ref() else { return false };
        let device = own.device();
        let Some(copies) = known.wraps.get(&device) else { return false };
        let Some(asked) = known.asks.get(&device) else { return true };
        let newest = own.newest_half().map(|half| half.secret.public());
        if newest.is_none() || asked.contains(&newest) {
            return false;
        }
        let place = |tag| devices.place_of(&device, tag).unwrap_or(0);
        let asked = asked.iter().map(|key| place(key.as_ref().map(tag_of))).max();
        let here: BTreeSet<PrekeyTag> =
            own.halves.iter().flatten().map(|half| tag_of(&half.secret.public())).collect();
        let named = copies.iter().filter_map(|(_, copy)| prekey_of(copy));
        let mut lost = named.filter(|tag| !here.contains(tag));
        lost.any(|tag| Some(place(Some(tag))) >= asked)
    }

    /// Passes keys of a circle on, answers who asks, and asks.
    pub(in crate::replica) fn mend_circle(
        &self,
        state: &mut State,
        work: &mut Work,
        circle: &Circle,
        (talk, devices): (&Talk, &Devices),
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let Some(device) = state.own.as_ref().map(|own| own.device()) else { return Ok(()) };
        let mut room = PASSED_ON_MAX;
        let mut answers = ANSWERS_MAX;
        let mut asked = 0;
        // What is over is of no use to anybody.
        let expired_ms = state.expired_ms;
        let useful: Vec<_> =
            talk.epochs.iter().filter(|(_, known)| known.until_ms > expired_ms).collect();
        for (epoch, known) in &useful {
            let open = known.asks.contains_key(&device)
                && self.circle_key(state, circle, epoch, known).is_none()
                && self.erased(state, circle, epoch)?.is_none();
            asked += usize::from(open);
        }
        for (epoch, known) in useful {
            if room == 0 {
                break;
            }
            let Some(key) = self.circle_key(state, circle, epoch, known) else {
                if asked < ASKS_MAX && Self::has_to_ask(state, known, devices) {
                    asked += 1;
                    let prekey = state.own.as_ref().and_then(|own| own.newest_half());
                    let wraps = ask_of(device, prekey.map(|half| half.secret.public()));
                    let entry = Entry::Epoch { epoch: *epoch, wraps };
                    self.append_to_circle(state, work, circle, entry, now_ms)?;
                    room -= 1;
                }
                continue;
            };
            let accounts = match talk.shares_past {
                true => devices.everybody(),
                false => self.proven_holders(state, circle, (epoch, known), devices)?,
            };
            let mut lacking = devices.lacking(known, &accounts);
            for (asks, wanted) in known.asks.iter().filter(|(asks, _)| **asks != device) {
                if let Some((account, to)) = devices.good.get(asks)
                    && accounts.contains(account)
                    && !known.excluded.contains(asks)
                    && !lacking.iter().any(|(other, _)| other == asks)
                    && devices.is_unanswered(known, (asks, wanted), &device)
                    && answers > 0
                {
                    answers -= 1;
                    lacking.push((*asks, *to));
                }
            }
            if !lacking.is_empty() {
                let wraps = self.copies(circle, &key, &lacking)?;
                self.pass_on(state, work, circle, *epoch, wraps, now_ms)?;
                room -= 1;
            }
        }
        Ok(())
    }
}
