//! Recovery: finding an account by its words, bringing in a new device, taking out those of
//! before, changing the words.

use super::accounts::check_name;
use super::epochs::recipients;
use super::{EngineError, Replica, State, Work};
use crate::authority::Authority;
use crate::description::DocumentKind;
use crate::hash::{AccountId, DeviceId, PolicyId};
use crate::identity::{
    Genesis, RECOVERED_RANK_MAX, RECOVERED_RANK_MIN, RecoveryCertificate, RecoveryPolicy,
    RecoverySecret, Rotation, Signature,
};
use crate::limits::{ROTATION_DEVICES_MAX, ROTATIONS_MAX};
use crate::model::entry::Entry;
use crate::seal::EpochKey;
use crate::store::{Table, keys};

/// What a keeper of an account's log tells somebody who asks by the policy of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recoverable {
    /// The record that the account's id is the hash of.
    pub genesis: Genesis,
    /// From the policy of the genesis to the one asked for.
    pub rotations: Vec<Rotation>,
    /// The certificate of the highest device that these words brought in before.
    pub highest: Option<RecoveryCertificate>,
    /// Different words spoke for the account.
    pub frozen: bool,
}

impl Recoverable {
    /// The rank that a device takes now: above those that the words brought in before.
    #[must_use]
    pub fn next_rank(&self) -> u8 {
        let highest = self.highest.as_ref().map(|certificate| certificate.rank);
        highest.map_or(RECOVERED_RANK_MIN, |rank| {
            rank.saturating_add(1).clamp(RECOVERED_RANK_MIN, RECOVERED_RANK_MAX)
        })
    }
}

/// What a recovery changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenOut {
    /// Devices that were revoked by it.
    pub devices: Vec<DeviceId>,
    /// Other devices in good standing: words brought them in, or whom words brought in did.
    pub others: Vec<DeviceId>,
    /// Epoch keys of the private sector that are held here.
    pub keys: usize,
}

impl Replica {
    /// Notes under which words an account is found, if these words claim it.
    pub(super) fn note_claim(
        &self,
        work: &mut Work,
        account: &AccountId,
        policy: &RecoveryPolicy,
        claim: &Signature,
    ) {
        if policy.check_claim(account, claim, &self.verifier).is_ok() {
            work.batch.put(Table::Meta, keys::claim(&policy.id(), account), Vec::new());
        }
    }

    /// The account whose words in force have this policy, as far as its log is here; the same
    /// answer for words that nobody has and for words that gave way to others.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn recoverable(&self, policy: &PolicyId) -> Result<Option<Recoverable>, EngineError> {
        let rows = self.store.scan(Table::Meta, &keys::claims(policy), None, false, CLAIMS_MAX)?;
        for (key, _) in rows {
            let Some(account) = key.last_chunk::<32>() else { continue };
            let account = AccountId::from_bytes(*account);
            let mut state = self.lock();
            let Some(authority) = self.authority_of(&mut state, &account)? else { continue };
            let Some(path) = self.first_path(&account)? else { continue };
            let recovery = &authority.recovery;
            if recovery.committed == *policy {
                return Ok(Some(Recoverable {
                    genesis: path.genesis,
                    rotations: recovery.rotations.clone(),
                    highest: recovery.highest.clone(),
                    frozen: recovery.frozen,
                }));
            }
        }
        Ok(None)
    }

    /// Whether this device, which words brought in, stands in its account's log.
    ///
    /// # Errors
    /// If there is no identity, or the store fails or is damaged.
    pub fn is_announced(&self) -> Result<bool, EngineError> {
        let mut state = self.lock();
        let (account, me) = own(&state)?;
        let authority = self.authority_of(&mut state, &account)?;
        Ok(authority.is_some_and(|authority| authority.devices.contains_key(&me)))
    }

    /// Writes into the account's log that its words brought in this device; doing it twice
    /// changes nothing.
    ///
    /// # Errors
    /// If words did not bring it in, the account is frozen, or the store fails.
    pub fn announce_recovery(&self, name: &str, now_ms: u64) -> Result<(), EngineError> {
        check_name(name)?;
        if self.is_announced()? {
            return Ok(());
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (_, me) = own(&state)?;
        let known = self.known_device(&mut state, &me)?.ok_or(EngineError::NoIdentity)?;
        let Some(certificate) = &known.path.recovery else {
            return Err(EngineError::Denied("this device was not brought in by words".into()));
        };
        let entry = Entry::Recover { certificate: certificate.encode(), name: name.to_owned() };
        let mut work = Work::default();
        self.append_to_pages(&mut state, &mut work, DocumentKind::AccountLog, entry, now_ms)?;
        self.finish(state, work)
    }

    /// Opens with the words what is sealed to them: from now on, until it is closed, this
    /// replica reads what is private here. Returns how many keys it has.
    ///
    /// # Errors
    /// If there is no identity, or the store fails or is damaged.
    pub fn open_backup(&self, words: &RecoverySecret) -> Result<usize, EngineError> {
        let mut state = self.lock();
        let (account, _) = own(&state)?;
        let Some(authority) = self.authority_of(&mut state, &account)? else { return Ok(0) };
        self.load_ring(&mut state)?;
        let recipient = words.policy().recipient();
        let ring = &mut state.own.as_mut().ok_or(EngineError::NoIdentity)?.ring;
        for (epoch, wraps) in &authority.epochs {
            for wrap in wraps.iter().filter(|wrap| wrap.device == recipient) {
                if !ring.contains_key(epoch)
                    && let Ok(key) = EpochKey::recover(&wrap.sealed, epoch, &account, words)
                {
                    ring.insert(*epoch, key);
                }
            }
        }
        let keys = ring.len();
        // What could not be read until now is read again.
        state.maps.clear();
        state.shown.clear();
        state.texts.clear();
        state.shown_texts.clear();
        (state.kept, state.conversations) = (None, None);
        state.blocked = None;
        state.forget_missing(None);
        Ok(keys)
    }

    /// Seals to this device the keys that [`Replica::open_backup`] opened: from now on it reads
    /// what is private here without the words. The devices of before stay.
    ///
    /// # Errors
    /// If this device does not stand in the account's log, or the store fails or is damaged.
    pub fn keep_keys(&self, now_ms: u64) -> Result<(), EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (account, me) = own(&state)?;
        let authority = self
            .authority_of(&mut state, &account)?
            .ok_or_else(|| EngineError::corrupt("own account log is missing"))?;
        if !lacks_keys(&state, &authority, &me) {
            return Ok(());
        }
        let known = self.known_device(&mut state, &me)?.ok_or(EngineError::NoIdentity)?;
        let mut work = Work::default();
        self.rewrap_epochs(&mut state, &mut work, (me, known.device.seal_key()), now_ms)?;
        self.finish(state, work)
    }

    /// Takes out the devices of before: what is held here of their chains stays, nothing else
    /// of them ever counts. Devices that words brought in stay, and whom those brought in.
    /// The private sector gets a new key, and the old ones are sealed to this device.
    ///
    /// # Errors
    /// If words did not bring in this device, or the store fails or is damaged.
    pub fn finish_recovery(
        &self,
        words: &RecoverySecret,
        now_ms: u64,
    ) -> Result<TakenOut, EngineError> {
        let mut taken = TakenOut { keys: self.open_backup(words)?, ..TakenOut::default() };
        let mut state = self.lock();
        self.check_not_revoked(&mut state)?;
        let (account, me) = own(&state)?;
        let authority = self
            .authority_of(&mut state, &account)?
            .ok_or_else(|| EngineError::corrupt("own account log is missing"))?;
        let seal = match authority.devices.get(&me) {
            Some(standing) if standing.verified.rank() >= RECOVERED_RANK_MIN => {
                (me, standing.verified.seal_key())
            }
            _ => return Err(EngineError::Denied("this device was not brought in by words".into())),
        };
        let good = authority.devices.values().filter(|standing| standing.revoked.is_none());
        for standing in good {
            let device = standing.verified.device();
            if !standing.verified.is_recovered() {
                taken.devices.push(device);
            } else if device != me {
                taken.others.push(device);
            }
        }
        let mut work = Work::default();
        for device in &taken.devices {
            for (description, entry) in self.cuts_for(&mut state, &account, *device)? {
                self.append_cut(&mut state, &mut work, description, entry, now_ms)?;
                state = self.commit_large(state, &mut work)?;
            }
            let entry = Entry::Revoke { device: *device, reason: REASON.to_owned() };
            self.append_to_pages(&mut state, &mut work, DocumentKind::AccountLog, entry, now_ms)?;
        }
        if !taken.devices.is_empty() || lacks_keys(&state, &authority, &me) {
            self.rewrap_epochs(&mut state, &mut work, seal, now_ms)?;
            let mut seals = recipients(&authority);
            seals.retain(|(recipient, _)| !taken.devices.contains(recipient));
            self.add_epoch(&mut state, &mut work, &seals, now_ms)?;
        }
        self.finish(state, work)?;
        self.settle_withdrawals()?;
        Ok(taken)
    }

    /// Lets the words of the account give way to others; these are what recovers it from now
    /// on. Recovering it with the old ones freezes it.
    ///
    /// # Errors
    /// If the old words are not those in force, they were changed too often, this device may
    /// not write, or the store fails or is damaged.
    pub fn rotate_recovery(
        &self,
        old: &RecoverySecret,
        new: &RecoverySecret,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (account, _) = own(&state)?;
        let authority = self
            .authority_of(&mut state, &account)?
            .ok_or_else(|| EngineError::corrupt("own account log is missing"))?;
        let recovery = &authority.recovery;
        if recovery.committed != old.policy().id() {
            return Err(EngineError::Denied("these are not the words of this account".into()));
        }
        if recovery.rotations.len() >= ROTATIONS_MAX {
            let message =
                format!("the words were changed {ROTATIONS_MAX} times, which is the limit");
            return Err(EngineError::Denied(message));
        }
        let recovered = authority.devices.values().filter(|standing| {
            standing.path.certificates.is_empty()
                && standing
                    .path
                    .recovery
                    .as_ref()
                    .is_some_and(|certificate| certificate.policy.id() == recovery.committed)
        });
        let seen: Vec<DeviceId> = recovered.map(|standing| standing.verified.device()).collect();
        if seen.len() > ROTATION_DEVICES_MAX {
            let message =
                format!("these words brought in more than {ROTATION_DEVICES_MAX} devices");
            return Err(EngineError::Denied(message));
        }
        let policy = *new.policy();
        let rotation = old.rotate(account, policy.id(), &seen, now_ms).encode();
        let entries = [
            Entry::Recovery { policy, claim: new.claim(&account) },
            Entry::Rotate { rotation, seen },
        ];
        let mut work = Work::default();
        for entry in entries {
            self.append_to_pages(&mut state, &mut work, DocumentKind::AccountLog, entry, now_ms)?;
        }
        let mut seals = recipients(&authority);
        seals.retain(|(recipient, _)| *recipient != old.policy().recipient());
        seals.push((policy.recipient(), policy.seal_key));
        self.rewrap_epochs(&mut state, &mut work, (policy.recipient(), policy.seal_key), now_ms)?;
        self.add_epoch(&mut state, &mut work, &seals, now_ms)?;
        self.finish(state, work)
    }
}

/// Accounts that one policy's words may claim; one is what they are made for.
const CLAIMS_MAX: usize = 16;

/// What devices of before are told.
const REASON: &str = "recovered";

fn own(state: &State) -> Result<(AccountId, DeviceId), EngineError> {
    let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
    Ok((own.account, own.device()))
}

/// Whether a key is held that was never sealed to this device.
fn lacks_keys(state: &State, authority: &Authority, me: &DeviceId) -> bool {
    let sealed = |epoch| {
        let wraps = authority.epochs.iter().filter(|(known, _)| known == epoch);
        wraps.flat_map(|(_, wraps)| wraps).any(|wrap| wrap.device == *me)
    };
    let written =
        |epoch| authority.epoch_authors.get(epoch).is_some_and(|authors| authors.contains(me));
    let ring = state.own.iter().flat_map(|own| own.ring.keys());
    ring.into_iter().any(|epoch| !sealed(epoch) && !written(epoch))
}
