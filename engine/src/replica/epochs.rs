//! Keys of the private sector: opening them, making new ones, sealing them to devices.

use std::collections::{BTreeMap, BTreeSet};

use super::{EngineError, Replica, State, Work};
use crate::authority::Authority;
use crate::description::DocumentKind;
use crate::hash::{AccountId, DeviceId, EpochId, SealKey};
use crate::limits::DEVICES_MAX;
use crate::model::entry::{Entry, Wrap};
use crate::seal::EpochKey;

impl Replica {
    /// Opens every epoch key of the own account that is sealed to this device.
    pub(crate) fn load_ring(&self, state: &mut State) -> Result<(), EngineError> {
        let Some(account) = state.own.as_ref().map(|own| own.account) else { return Ok(()) };
        let Some(authority) = self.authority_of(state, &account)? else { return Ok(()) };
        let Some(own) = state.own.as_mut() else { return Ok(()) };
        let device = own.device();
        for (epoch, wraps) in &authority.epochs {
            if own.ring.contains_key(epoch) {
                continue;
            }
            for wrap in wraps.iter().filter(|wrap| wrap.device == device) {
                if let Ok(key) = EpochKey::unwrap(&wrap.sealed, epoch, &account, &own.secret) {
                    own.ring.insert(*epoch, key);
                }
            }
        }
        Ok(())
    }

    /// Makes a new epoch key, sealed to the given devices.
    pub(crate) fn add_epoch(
        &self,
        state: &mut State,
        work: &mut Work,
        devices: &[(DeviceId, SealKey)],
        now_ms: u64,
    ) -> Result<EpochId, EngineError> {
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let key = EpochKey::generate(&*self.entropy);
        let epoch = key.id();
        let wraps = self.wraps(&key, &account, devices)?;
        for part in wraps.chunks(DEVICES_MAX) {
            let entry = Entry::Epoch { epoch, wraps: part.to_vec() };
            self.append_to_pages(state, work, DocumentKind::AccountLog, entry, now_ms)?;
        }
        if let Some(own) = state.own.as_mut() {
            own.ring.insert(epoch, key);
        }
        Ok(epoch)
    }

    /// Seals every epoch key held here to one more device: it reads the whole history.
    pub(crate) fn rewrap_epochs(
        &self,
        state: &mut State,
        work: &mut Work,
        device: (DeviceId, SealKey),
        now_ms: u64,
    ) -> Result<(), EngineError> {
        self.load_ring(state)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let account = own.account;
        let ring: Vec<EpochKey> = own.ring.values().cloned().collect();
        for key in ring {
            let wraps = self.wraps(&key, &account, &[device])?;
            let entry = Entry::Epoch { epoch: key.id(), wraps };
            self.append_to_pages(state, work, DocumentKind::AccountLog, entry, now_ms)?;
        }
        Ok(())
    }

    /// Seals keys held here to devices that were linked while somebody else opened an epoch:
    /// neither side could know of the other.
    pub(crate) fn mend_epochs(
        &self,
        state: &mut State,
        work: &mut Work,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let Some(account) = state.own.as_ref().map(|own| own.account) else { return Ok(()) };
        let Some(authority) = self.authority_of(state, &account)? else { return Ok(()) };
        let lacking = lacking(&authority);
        if lacking.is_empty() {
            return Ok(());
        }
        self.load_ring(state)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let held = lacking
            .into_iter()
            .filter_map(|(epoch, devices)| Some((own.ring.get(&epoch)?.clone(), devices)));
        for (key, devices) in held.take(MENDED_MAX).collect::<Vec<_>>() {
            let devices: Vec<_> = devices.into_iter().take(DEVICES_MAX).collect();
            let wraps = self.wraps(&key, &account, &devices)?;
            let entry = Entry::Epoch { epoch: key.id(), wraps };
            self.append_to_pages(state, work, DocumentKind::AccountLog, entry, now_ms)?;
        }
        Ok(())
    }

    fn wraps(
        &self,
        key: &EpochKey,
        account: &AccountId,
        devices: &[(DeviceId, SealKey)],
    ) -> Result<Vec<Wrap>, EngineError> {
        devices
            .iter()
            .map(|(device, seal_key)| {
                let sealed = key
                    .wrap(account, seal_key, &*self.entropy)
                    .map_err(|error| EngineError::Denied(error.to_string()))?;
                Ok(Wrap { device: *device, sealed })
            })
            .collect()
    }

    /// The key to seal with now: the newest that no revoked device holds. Makes one if
    /// there is none.
    pub(crate) fn current_epoch(
        &self,
        state: &mut State,
        work: &mut Work,
        now_ms: u64,
    ) -> Result<EpochKey, EngineError> {
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let authority = self
            .authority_of(state, &account)?
            .ok_or_else(|| EngineError::corrupt("own account log is missing"))?;
        self.load_ring(state)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let usable = usable_epoch(&authority, |epoch| own.ring.contains_key(epoch));
        if let Some(key) = usable.and_then(|epoch| own.ring.get(&epoch)) {
            return Ok(key.clone());
        }
        let epoch = self.add_epoch(state, work, &recipients(&authority), now_ms)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        own.ring.get(&epoch).cloned().ok_or_else(|| EngineError::corrupt("new epoch key"))
    }

    /// The key that names private documents: the account's first one, for ever.
    pub(crate) fn root_epoch(&self, state: &mut State) -> Result<Option<EpochKey>, EngineError> {
        let Some(account) = state.own.as_ref().map(|own| own.account) else { return Ok(None) };
        let Some(authority) = self.authority_of(state, &account)? else { return Ok(None) };
        self.load_ring(state)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        Ok(authority.root_epoch.and_then(|epoch| own.ring.get(&epoch)).cloned())
    }
}

/// Keys sealed again along with one write.
const MENDED_MAX: usize = 16;

/// Whom a new epoch key is sealed to: devices that were not revoked, and the recovery words.
pub(super) fn recipients(authority: &Authority) -> Vec<(DeviceId, SealKey)> {
    let devices = authority.devices.values().filter(|standing| standing.revoked.is_none());
    let devices = devices.map(|known| (known.verified.device(), known.verified.seal_key()));
    let words = authority.recovery.policy;
    devices.chain(words.map(|policy| (policy.recipient(), policy.seal_key))).collect()
}

/// Recipients in good standing to whom an epoch key was never sealed, newest epoch first.
fn lacking(authority: &Authority) -> Vec<(EpochId, Vec<(DeviceId, SealKey)>)> {
    let mut good = recipients(authority);
    good.retain(|(device, _)| authority.devices.get(device).is_none_or(|known| !known.suspended));
    holders(authority)
        .into_iter()
        .rev()
        .map(|(epoch, holders)| {
            let lacks = |(device, _): &&(DeviceId, SealKey)| !holders.contains(device);
            (epoch, good.iter().filter(lacks).copied().collect::<Vec<_>>())
        })
        .filter(|(_, devices)| !devices.is_empty())
        .collect()
}

/// Epochs by first appearance, with the devices that hold their keys.
fn holders(authority: &Authority) -> Vec<(EpochId, BTreeSet<DeviceId>)> {
    let mut order = Vec::new();
    let mut holders: BTreeMap<EpochId, BTreeSet<DeviceId>> = BTreeMap::new();
    for (epoch, wraps) in &authority.epochs {
        let known = holders.entry(*epoch).or_insert_with(|| {
            order.push(*epoch);
            BTreeSet::new()
        });
        known.extend(wraps.iter().map(|wrap| wrap.device));
    }
    for (epoch, authors) in &authority.epoch_authors {
        holders.entry(*epoch).or_default().extend(authors);
    }
    order.into_iter().map(|epoch| (epoch, holders.remove(&epoch).unwrap_or_default())).collect()
}

/// The newest epoch (by first appearance) whose key is here and no revoked device's.
fn usable_epoch(authority: &Authority, is_here: impl Fn(&EpochId) -> bool) -> Option<EpochId> {
    let words = authority.recovery.policy.map(|policy| policy.recipient());
    let revoked = |device: &DeviceId| match authority.devices.get(device) {
        Some(standing) => standing.revoked.is_some(),
        None => words != Some(*device),
    };
    holders(authority)
        .into_iter()
        .rev()
        .find(|(epoch, holders)| is_here(epoch) && !holders.iter().any(revoked))
        .map(|(epoch, _)| epoch)
}
