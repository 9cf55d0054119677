//! Prekeys of this device: publishing them, replacing them, and keeping their halves.
//!
//! A half is a row, sealed to the keys of the device. It is written in the commit that publishes its
//! prekey: at no moment is one there without the other.

use super::peers::ALONG_MAX;
use super::{EngineError, Replica, State, Work};
use crate::authority::{Authority, DeviceStanding, Prekey};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::DocumentKind;
use crate::hash::{DeviceId, EpochId, SealKey, SpaceId};
use crate::identity::DeviceSecret;
use crate::limits::{PREKEY_AGE_MS_MAX, PREKEY_KEPT_MS};
use crate::model::entry::Entry;
use crate::seal::{EpochKey, PrekeySecret, SealError, SealTo, open_at_rest, seal_at_rest};
use crate::store::{Batch, Table, keys};
use zeroize::Zeroizing;

/// A prekey is not replaced again for as long because its half is elsewhere: a day, in milliseconds.
const REPLACED_MS_MIN: u64 = 24 * 3_600_000;
/// How long the newest half is here before any is erased: a day, in milliseconds.
const SETTLED_MS: u64 = 24 * 3_600_000;
/// For what halves are sealed at rest.
const PURPOSE: &str = "prekey";

/// The secret half of a prekey of this device.
#[derive(Debug, Clone)]
pub(crate) struct Half {
    pub secret: PrekeySecret,
    /// When it was made, by the clock of then.
    pub made_ms: u64,
    /// When another one took its place; 0 while none has.
    pub replaced_ms: u64,
}

impl Half {
    /// `made u64be ‖ replaced u64be ‖ half at rest`.
    fn row(
        &self,
        secret: &DeviceSecret,
        entropy: &dyn crate::entropy::Entropy,
    ) -> Result<Vec<u8>, EngineError> {
        let sealed = seal_at_rest(secret, PURPOSE, &*self.secret.to_bytes(), entropy)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let mut w = Writer::new();
        w.u64(self.made_ms).u64(self.replaced_ms).raw(&sealed);
        Ok(w.finish())
    }

    fn parse(row: &[u8], secret: &DeviceSecret) -> Result<Self, EngineError> {
        let mut r = Reader::new(row);
        let mut number = |what| r.u64(what).map_err(EngineError::corrupt);
        let (made_ms, replaced_ms) = (number("half made")?, number("half replaced")?);
        let half = open_at_rest(secret, PURPOSE, r.rest()).map_err(EngineError::corrupt)?;
        let half: [u8; 32] = half.as_slice().try_into().map_err(EngineError::corrupt)?;
        let secret = PrekeySecret::from_bytes(Zeroizing::new(half))
            .ok_or_else(|| EngineError::corrupt(DecodeError::Rule("half of a prekey")))?;
        Ok(Self { secret, made_ms, replaced_ms })
    }
}

/// Whether a row is the half of the prekey that its key names.
pub(super) fn is_half(key: &[u8], row: &[u8], secret: &DeviceSecret) -> bool {
    let half = Half::parse(row, secret);
    half.is_ok_and(|half| key.ends_with(half.secret.public().as_bytes()))
}

impl Replica {
    /// Reads the halves of this device, unless they are in memory. A row that does not open is as
    /// good as none: what was sealed to it is asked for again.
    pub(crate) fn load_halves(&self, state: &mut State) -> Result<(), EngineError> {
        let Some(own) = state.own.as_mut().filter(|own| own.halves.is_none()) else {
            return Ok(());
        };
        let mut halves = Vec::new();
        for (_, row) in self.scan_all(Table::Meta, keys::PREKEYS)? {
            halves.extend(Half::parse(&row, &own.secret).ok());
        }
        halves.sort_by_key(|half: &Half| std::cmp::Reverse(half.made_ms));
        own.halves = Some(halves);
        Ok(())
    }

    /// What a device is sealed to, as far as is known here.
    pub(crate) fn seal_to(
        state: &State,
        authority: &Authority,
        device: &DeviceId,
        standing: &DeviceStanding,
    ) -> SealTo {
        let own = state.own.as_ref().filter(|own| own.device() == *device);
        // It may just be on its way into the own log.
        if let Some(half) = own.and_then(|own| own.newest_half()) {
            return SealTo::Prekey(half.secret.public());
        }
        match authority.prekeys.get(device).and_then(|all| all.last()) {
            Some(prekey) => SealTo::Prekey(prekey.key),
            None => SealTo::Fixed(standing.verified.seal_key()),
        }
    }

    /// Opens a copy of a key that is for this device; the halves have to be in memory.
    pub(crate) fn open_copy(
        state: &State,
        copy: &[u8],
        epoch: &EpochId,
        space: &SpaceId,
    ) -> Result<EpochKey, SealError> {
        let own = state.own.as_ref().ok_or(SealError::Wrap)?;
        let halves = own.halves.iter().flatten().map(|half| &half.secret);
        EpochKey::open_copy(copy, epoch, space, &own.secret, halves)
    }

    /// Publishes a prekey of this device once it takes part in something that is sealed, and another
    /// one when the last is 30 days old.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn tend_prekeys(&self, now_ms: u64) -> Result<(), EngineError> {
        let mut state = self.lock();
        if state.own.is_none()
            || self.check_writer(&mut state).is_err()
            || !self.takes_part(&mut state)?
        {
            return Ok(());
        }
        let mut work = Work::default();
        self.tend_prekey(&mut state, &mut work, now_ms)?;
        if !work.events.is_empty() {
            self.finish(state, work)?;
            state = self.lock();
        }
        self.forget_halves(&mut state, now_ms)
    }

    /// Erases halves of prekeys that others took the place of 60 days ago, once all that opened with
    /// them is in the keyring. Never that of the prekey that the own log names last.
    fn forget_halves(&self, state: &mut State, now_ms: u64) -> Result<(), EngineError> {
        self.load_halves(state)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let (account, device) = (own.account, own.device());
        let authority = self.authority_of(state, &account)?;
        let named = authority.as_ref().and_then(|known| known.prekeys.get(&device)?.last());
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let is_due = |half: &&Half| {
            half.replaced_ms > 0
                && now_ms.saturating_sub(half.replaced_ms) >= PREKEY_KEPT_MS
                && named.is_none_or(|named| named.key != half.secret.public())
        };
        // A clock that is ahead for a moment has just made the newest: that alone says nothing of how old
        // others are.
        let mut made = own.halves.iter().flatten().map(|half| half.made_ms);
        let newest_ms = made.next().unwrap_or(u64::MAX);
        let settled = now_ms.saturating_sub(newest_ms) >= SETTLED_MS;
        let before_ms = made.max().unwrap_or(0);
        let is_old = |half: &&Half| {
            settled || before_ms.saturating_sub(half.replaced_ms) >= PREKEY_AGE_MS_MAX
        };
        let due = own.halves.iter().flatten().filter(is_due).filter(is_old);
        let due = due.map(|half| half.secret.public());
        let due: Vec<SealKey> = due.collect();
        if due.is_empty() {
            return Ok(());
        }
        self.keep_all(state)?;
        loop {
            let batch = state.take_along(ALONG_MAX);
            if batch.is_empty() {
                break;
            }
            self.store.commit(batch)?;
        }
        let mut batch = Batch::new();
        for key in &due {
            batch.delete(Table::Meta, keys::prekey(key));
        }
        self.store.commit(batch)?;
        if let Some(halves) = state.own.as_mut().and_then(|own| own.halves.as_mut()) {
            halves.retain(|half| !due.contains(&half.secret.public()));
        }
        Ok(())
    }

    /// Whether something is sealed to this device by now, or soon will be.
    fn takes_part(&self, state: &mut State) -> Result<bool, EngineError> {
        self.load_halves(state)?;
        let Some(own) = state.own.as_ref() else { return Ok(false) };
        if own.newest_half().is_some() || self.lost_prekey(state)?.is_some() {
            return Ok(true);
        }
        Ok(self.converses(state)? || self.reads_channels(state)?)
    }

    /// Publishes a prekey if there is none, if the last one is old, or if its half is not here: a
    /// store was put back, or the half is damaged.
    pub(crate) fn tend_prekey(
        &self,
        state: &mut State,
        work: &mut Work,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        self.load_halves(state)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let young = |half: &Half| now_ms.saturating_sub(half.made_ms) < PREKEY_AGE_MS_MAX;
        if work.prekey || own.newest_half().is_some_and(young) {
            return self.replace_lost(state, work, now_ms);
        }
        self.publish_prekey(state, work, now_ms)
    }

    /// [`Replica::tend_prekey`] if the half of the last one is not here.
    pub(crate) fn replace_lost(
        &self,
        state: &mut State,
        work: &mut Work,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        self.load_halves(state)?;
        if work.prekey || !self.has_to_replace(state, now_ms)? {
            return Ok(());
        }
        self.publish_prekey(state, work, now_ms)
    }

    /// Whether the half of the last prekey is not here, and none was made for that today: two homes with
    /// the keys of one device would answer each other without end.
    fn has_to_replace(&self, state: &mut State, now_ms: u64) -> Result<bool, EngineError> {
        let newest = state.own.as_ref().and_then(|own| own.newest_half());
        let lately = newest.is_some_and(|half| now_ms.abs_diff(half.made_ms) < REPLACED_MS_MIN);
        Ok(!lately && self.lost_prekey(state)?.is_some())
    }

    /// The prekey that the own log names last, if its half is not here.
    fn lost_prekey(&self, state: &mut State) -> Result<Option<Prekey>, EngineError> {
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let (account, device) = (own.account, own.device());
        let authority = self.authority_of(state, &account)?;
        let named = authority.as_ref().and_then(|known| known.prekeys.get(&device)?.last());
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let here = |key| own.halves.iter().flatten().any(|half| half.secret.public() == key);
        Ok(named.filter(|named| !here(named.key)).copied())
    }

    fn publish_prekey(
        &self,
        state: &mut State,
        work: &mut Work,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let authority = self.authority_of(state, &account)?;
        let secret = PrekeySecret::generate(&*self.entropy);
        let key = secret.public();
        let own = state.own.as_mut().ok_or(EngineError::NoIdentity)?;
        // What a clock said that was ahead is not the last word.
        let said = authority.as_ref().and_then(|known| known.prekeys.get(&own.device())?.last());
        let at_ms = said.map_or(now_ms, |said| now_ms.max(said.since_ms.saturating_add(1)));
        let mut halves = own.halves.clone().unwrap_or_default();
        for half in halves.iter_mut().filter(|half| half.replaced_ms == 0) {
            half.replaced_ms = now_ms.max(1);
            let row = half.row(&own.secret, &*self.entropy)?;
            work.batch.put(Table::Meta, keys::prekey(&half.secret.public()), row);
        }
        let half = Half { secret, made_ms: now_ms, replaced_ms: 0 };
        let row = half.row(&own.secret, &*self.entropy)?;
        work.batch.put(Table::Meta, keys::prekey(&key), row);
        halves.insert(0, half);
        work.prekey = true;
        let log = DocumentKind::AccountLog;
        self.append_to_pages(state, work, log, Entry::Prekey { key }, at_ms)?;
        // One that was not said is nothing to seal to.
        if let Some(own) = &mut state.own {
            own.halves = Some(halves);
        }
        Ok(())
    }

    /// Whether this device has a key, or one of these copies of it opens for it.
    #[cfg(test)]
    pub(crate) fn opens_circle(
        &self,
        circle: &super::Circle,
        epoch: &EpochId,
        copies: &[Vec<u8>],
    ) -> bool {
        let mut state = self.lock();
        let device = state.own.as_ref().unwrap().device();
        let copies = copies.iter().map(|copy| (device, copy.clone())).collect();
        let known = super::conversations::KnownEpoch {
            wraps: std::collections::BTreeMap::from([(device, copies)]),
            ..Default::default()
        };
        self.circle_key(&mut state, circle, epoch, &known).is_some()
    }

    /// Whether a copy of a key opens for this device.
    #[cfg(test)]
    pub(crate) fn opens_copy(&self, copy: &[u8], epoch: &EpochId, space: &SpaceId) -> bool {
        let mut state = self.lock();
        self.load_halves(&mut state).unwrap();
        Self::open_copy(&state, copy, epoch, space).is_ok()
    }
}
