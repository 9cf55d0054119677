//! Keys of conversations and private channels that opened here.
//!
//! A key that opened something is a row, sealed to the keys of this device: it is opened once, and goes
//! on opening when the prekey that it came under is forgotten. Keys under which nothing stands get no
//! row, since anybody can make up any number of them. What opens nothing is not tried again while the
//! replica is open.

use std::collections::BTreeSet;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::conversations::{
    Circle, ConversationStanding, Devices, Erased, Hints, KeyHere, Keys, KnownEpoch, Talk,
};
use super::{EngineError, Replica, State};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, BlobHash, DeviceId, EpochId};
use crate::identity::DeviceSecret;
use crate::seal::{EpochKey, hint_of, open_at_rest, seal_at_rest};
use crate::store::{Batch, Table, keys};

/// Copies for this device of one key that are looked at for who wrote them.
const OWN_COPIES_MAX: usize = 64;
/// Keys in memory, with those that did not open.
const HELD_MAX: usize = 16_384;
/// For what keys are sealed at rest.
const PURPOSE: &str = "keyring";

/// What came of opening the copies of one key.
#[derive(Debug, Default)]
pub(crate) struct HeldKey {
    /// The key, if one of them opened.
    pub key: Option<EpochKey>,
    /// Who wrote those that opened: they hold the key.
    by: BTreeSet<DeviceId>,
    /// Copies that were tried, by the first bytes of their hashes.
    tried: BTreeSet<[u8; 8]>,
    /// With how many writers of copies it is a row.
    kept: Option<usize>,
    /// It was erased.
    pub erased: Option<Erased>,
}

impl HeldKey {
    /// A key that was made here.
    pub(crate) fn made(key: EpochKey) -> Self {
        Self { key: Some(key), ..Self::default() }
    }

    /// `key 32 ‖ count varint ‖ device 32 each`, at rest.
    fn row(
        &self,
        key: &EpochKey,
        secret: &DeviceSecret,
        entropy: &dyn crate::entropy::Entropy,
    ) -> Option<Vec<u8>> {
        let mut w = Writer::new();
        w.raw(&*key.to_bytes()).varint(self.by.len() as u64);
        for device in &self.by {
            w.raw(device.as_bytes());
        }
        seal_at_rest(secret, PURPOSE, &Zeroizing::new(w.finish()), entropy).ok()
    }

    fn parse(row: &[u8], epoch: &EpochId, secret: &DeviceSecret) -> Result<Self, EngineError> {
        if let Some(erased) = Erased::parse(row) {
            return Ok(Self { erased: Some(erased), ..Self::default() });
        }
        let plain = open_at_rest(secret, PURPOSE, row).map_err(EngineError::corrupt)?;
        Self::read(&plain, epoch).map_err(EngineError::corrupt)
    }

    fn read(plain: &[u8], epoch: &EpochId) -> Result<Self, DecodeError> {
        let mut r = Reader::new(plain);
        let key = EpochKey::from_bytes(r.array("key")?);
        let count = r.count(OWN_COPIES_MAX, "writers of copies")?;
        let by = (0..count).map(|_| r.array("device").map(DeviceId::from_bytes));
        let by: BTreeSet<DeviceId> = by.collect::<Result<_, _>>()?;
        r.end()?;
        if key.id() != *epoch {
            return Err(DecodeError::Rule("a key of another epoch"));
        }
        Ok(Self { key: Some(key), kept: Some(by.len()), by, ..Self::default() })
    }
}

impl Replica {
    /// A key of a circle, if it is in the keyring or a copy for this device opens.
    pub(crate) fn circle_key(
        &self,
        state: &mut State,
        circle: &Circle,
        epoch: &EpochId,
        known: &KnownEpoch,
    ) -> Option<EpochKey> {
        let mut held = self.held(state, circle, epoch).ok()?;
        // Something that is not over yet was sealed with it, too.
        if held.erased.as_ref().is_some_and(|erased| {
            erased.until_ms < known.until_ms || erased.is_ahead(state.expired_ms)
        }) {
            held.erased = None;
        }
        if held.key.is_none() && held.erased.is_none() {
            let device = state.own.as_ref()?.device();
            let own = known.wraps.get(&device).into_iter().flatten();
            Self::try_copies(state, &mut held, (circle, epoch), own, |held, _| held.key.is_some());
        }
        let key = held.key.clone();
        state.circle_keys.insert((*circle, *epoch), held);
        key
    }

    /// Accounts that hold a key of a circle for sure: see [`Devices::proven`].
    pub(super) fn proven_holders(
        &self,
        state: &mut State,
        circle: &Circle,
        (epoch, known): (&EpochId, &KnownEpoch),
        devices: &Devices,
    ) -> Result<BTreeSet<AccountId>, EngineError> {
        let Some(own) = state.own.as_ref() else { return Ok(BTreeSet::new()) };
        let (me, device) = (own.account, own.device());
        let mut held = self.held(state, circle, epoch)?;
        let own = known.wraps.get(&device).into_iter().flatten().take(OWN_COPIES_MAX);
        Self::try_copies(state, &mut held, (circle, epoch), own, |held, by| {
            held.erased.is_some() || devices.owner_of(by) == Some(me) || held.by.contains(by)
        });
        let by = held.by.iter().filter_map(|device| devices.owner_of(device));
        let by: BTreeSet<AccountId> = by.chain([me]).collect();
        state.circle_keys.insert((*circle, *epoch), held);
        Ok(devices.proven(known, by))
    }

    /// What is known of a key, taken out of memory or read.
    fn held(
        &self,
        state: &mut State,
        circle: &Circle,
        epoch: &EpochId,
    ) -> Result<HeldKey, EngineError> {
        self.load_halves(state)?;
        if let Some(held) = state.circle_keys.remove(&(*circle, *epoch)) {
            return Ok(held);
        }
        if state.circle_keys.len() >= HELD_MAX {
            state.circle_keys.clear();
        }
        let Some(own) = state.own.as_ref() else { return Ok(HeldKey::default()) };
        let place = keys::keyring(&circle.bound_to(), epoch);
        let row = match state.unsaved_keys.get(&place) {
            Some(row) => Some(row.clone().into()),
            None => self.store.get(Table::Meta, &place)?,
        };
        // One that is damaged is opened anew, or asked for.
        let read = row.and_then(|row| HeldKey::parse(&row, epoch, &own.secret).ok());
        Ok(read.unwrap_or_default())
    }

    /// Whether a key was erased when what is known to be sealed with it was over, by `until_ms`.
    pub(super) fn is_erased(
        &self,
        state: &mut State,
        circle: &Circle,
        epoch: &EpochId,
        until_ms: u64,
    ) -> Result<bool, EngineError> {
        let now_ms = state.expired_ms;
        Ok(self
            .erased(state, circle, epoch)?
            .is_some_and(|erased| erased.until_ms >= until_ms && !erased.is_ahead(now_ms)))
    }

    /// That a key was erased, if it was.
    pub(super) fn erased(
        &self,
        state: &mut State,
        circle: &Circle,
        epoch: &EpochId,
    ) -> Result<Option<Erased>, EngineError> {
        let held = self.held(state, circle, epoch)?;
        let erased = held.erased.clone();
        state.circle_keys.insert((*circle, *epoch), held);
        Ok(erased)
    }

    fn try_copies<'a>(
        state: &State,
        held: &mut HeldKey,
        (circle, epoch): (&Circle, &EpochId),
        copies: impl Iterator<Item = &'a (DeviceId, Vec<u8>)>,
        passes: impl Fn(&HeldKey, &DeviceId) -> bool,
    ) {
        let space = circle.bound_to();
        for (by, copy) in copies {
            let name = BlobHash::of(copy).as_bytes().first_chunk().copied().unwrap_or_default();
            if passes(held, by) || !held.tried.insert(name) {
                continue;
            }
            if let Ok(key) = Self::open_copy(state, copy, epoch, &space) {
                if held.by.len() < OWN_COPIES_MAX {
                    held.by.insert(*by);
                }
                held.key.get_or_insert(key);
            }
        }
    }

    /// Adds keys of a circle that are in the keyring, or on their way there, to what entries tell of.
    pub(super) fn add_kept(
        &self,
        state: &mut State,
        circle: &Circle,
        keys: &mut Keys,
    ) -> Result<(), EngineError> {
        let place = keys::keyring_of(&circle.bound_to());
        let stored = self.scan_all(Table::Meta, &place)?;
        let unsaved = state.unsaved_keys.keys().filter(|key| key.starts_with(&place));
        let names: Vec<Vec<u8>> =
            stored.into_iter().map(|(key, _)| key.to_vec()).chain(unsaved.cloned()).collect();
        for epoch in names.iter().filter_map(|name| name.last_chunk::<32>()) {
            let epoch = EpochId::from_bytes(*epoch);
            let held = self.held(state, circle, &epoch)?;
            if let Some(key) = &held.key {
                keys.entry(hint_of(&epoch)).or_default().push(KeyHere::Open(key.clone()));
            }
            state.circle_keys.insert((*circle, epoch), held);
        }
        Ok(())
    }

    /// Puts a key that opened something into the keyring, with the next commit.
    pub(super) fn keep_key(&self, state: &mut State, circle: &Circle, key: &EpochKey) {
        let Some(own) = state.own.as_ref() else { return };
        let epoch = key.id();
        let held = state.circle_keys.entry((*circle, epoch)).or_default();
        held.key.get_or_insert_with(|| key.clone());
        if held.kept == Some(held.by.len()) {
            return;
        }
        if let Some(row) = held.row(key, &own.secret, &*self.entropy) {
            held.kept = Some(held.by.len());
            state.unsaved_keys.insert(keys::keyring(&circle.bound_to(), &epoch), row);
        }
    }

    /// Puts all keys that open and under which something stands into the keyring, with the next
    /// commit.
    pub(super) fn keep_all(&self, state: &mut State) -> Result<(), EngineError> {
        let Some(me) = state.own.as_ref().map(|own| own.account) else { return Ok(()) };
        for kept in self.conversations_kept(state)?.values() {
            if kept.standing == ConversationStanding::Carried {
                continue;
            }
            let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
            if talk.members.contains_key(&me) {
                let used = self.hints_used(state, kept, &talk)?;
                self.keep_used(state, &Circle::Conversation(kept.id), &talk, &used);
            }
        }
        for kept in self.hubs_kept(state)? {
            let Some(hub) = self.hub_of(state, &kept.id)? else { continue };
            let circles = hub.circles();
            drop(hub);
            for channel in circles {
                if let Some(talk) = self.channel_talk(state, &kept.id, &channel)? {
                    let used = self.hints_here(state, &kept.id, &channel)?;
                    self.keep_used(state, &Circle::Channel(kept.id, channel), &talk, &used);
                }
            }
        }
        Ok(())
    }

    fn keep_used(&self, state: &mut State, circle: &Circle, talk: &Talk, used: &Hints) {
        for (epoch, known) in talk.epochs.iter().chain(&talk.lost) {
            if used.contains(&hint_of(epoch))
                && let Some(key) = self.circle_key(state, circle, epoch, known)
            {
                self.keep_key(state, circle, &key);
            }
        }
    }

    /// Keys that opened here and halves of prekeys, as rows that are sealed to the keys of this device:
    /// a home that is made elsewhere with these keys opens with them what this one does.
    ///
    /// # Errors
    /// If the store fails.
    pub fn carried_keys(&self) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        let mut rows = self.scan_all(Table::Meta, keys::KEYRING)?;
        rows.extend(self.scan_all(Table::Meta, keys::PREKEYS)?);
        Ok(rows)
    }

    /// Takes rows of another home of this device, all or none.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] if one is no such row or does not open, or if the store fails.
    pub fn take_carried_keys(&self, rows: &[(Bytes, Bytes)]) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        let mut state = self.lock();
        let own = state.own.as_mut().ok_or(EngineError::NoIdentity)?;
        for (key, row) in rows {
            if !is_carried(key, row, &own.secret) {
                return Err(EngineError::Corrupt("a key that does not open".to_owned()));
            }
            batch.put(Table::Meta, key.to_vec(), row.to_vec());
        }
        own.halves = None;
        state.circle_keys.clear();
        self.store.commit(batch)?;
        Ok(())
    }

    /// Compares rows of the keyring and halves of prekeys with their names.
    pub(super) fn verify_keyring(&self, problems: &mut Vec<String>) -> Result<(), EngineError> {
        let rows = self.scan_all(Table::Meta, keys::KEYRING)?;
        let halves = self.scan_all(Table::Meta, keys::PREKEYS)?;
        let state = self.lock();
        let Some(own) = state.own.as_ref() else { return Ok(()) };
        for (key, row) in rows {
            if !is_kept(&key, &row, &own.secret) {
                problems.push(format!("key {} of the keyring does not open", short(&key)));
            }
        }
        for (key, row) in halves {
            if !super::prekeys::is_half(&key, &row, &own.secret) {
                problems.push(format!("half of prekey {} does not open", short(&key)));
            }
        }
        Ok(())
    }
}

/// Whether a row of the keyring opens, and is the key that its name says.
fn is_kept(key: &[u8], row: &[u8], secret: &DeviceSecret) -> bool {
    let epoch = key.last_chunk::<32>().map(|epoch| EpochId::from_bytes(*epoch));
    epoch.is_some_and(|epoch| HeldKey::parse(row, &epoch, secret).is_ok())
}

fn is_carried(key: &[u8], row: &[u8], secret: &DeviceSecret) -> bool {
    let has = |kind: &[u8], bytes: usize| key.starts_with(kind) && key.len() == kind.len() + bytes;
    (has(keys::KEYRING, 64) && is_kept(key, row, secret))
        || (has(keys::PREKEYS, 32) && super::prekeys::is_half(key, row, secret))
}

fn short(key: &[u8]) -> String {
    let last = key.last_chunk::<32>().copied().unwrap_or_default();
    EpochId::from_bytes(last).short()
}
