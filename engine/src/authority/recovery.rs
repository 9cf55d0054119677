//! Which words hold, and whom they brought in: a pure function of what a log carries of
//! recoveries and rotations, by whoever it was written.

use std::collections::{BTreeMap, BTreeSet};

use super::{LogItem, Recovery, Witness};
use crate::codec::Reader;
use crate::hash::{DeviceId, PolicyId};
use crate::identity::{
    CertificatePath, Genesis, RecoveryCertificate, RecoveryPolicy, Rotation, VerifiedDevice,
};
use crate::limits::{DEVICES_EVER_MAX, ROTATION_DEVICES_MAX, ROTATIONS_MAX};
use crate::model::entry::Entry;

/// A device at which paths begin.
pub(super) struct Root {
    pub verified: VerifiedDevice,
    pub path: CertificatePath,
    pub name: String,
    pub added_ms: u64,
}

/// A device that words brought in, as it stands in the log.
struct Recovered {
    certificate: RecoveryCertificate,
    verified: VerifiedDevice,
    name: String,
    added_ms: u64,
}

/// What a log says of words, each part of it verified.
#[derive(Default)]
struct Said {
    policies: BTreeMap<PolicyId, RecoveryPolicy>,
    /// By the policy that brought them in.
    recovered: BTreeMap<PolicyId, BTreeMap<DeviceId, Recovered>>,
    /// By the policy that ends, what follows, and whom it had seen.
    rotations: BTreeMap<PolicyId, BTreeMap<(PolicyId, [u8; 32]), Rotation>>,
    /// Lists of devices that rotations may name by their digest.
    lists: BTreeMap<[u8; 32], BTreeSet<DeviceId>>,
}

/// Follows the words from the genesis to those in force; returns the devices that count.
pub(super) fn recoveries(
    genesis: &Genesis,
    items: &[LogItem],
    witness: &mut dyn Witness,
) -> (Recovery, Vec<Root>) {
    let mut said = Said::gather(genesis, items, witness);
    let mut recovery = Recovery {
        committed: PolicyId::from_bytes(genesis.recovery),
        policy: None,
        rotations: Vec::new(),
        highest: None,
        frozen: false,
    };
    let mut roots = Vec::new();
    loop {
        let here = said.recovered.remove(&recovery.committed).unwrap_or_default();
        recovery.policy = said.policies.get(&recovery.committed).copied();
        let successors = said.rotations.remove(&recovery.committed).unwrap_or_default();
        let followed = recovery.rotations.len() < ROTATIONS_MAX;
        let mut agreed: BTreeSet<DeviceId> = here.keys().copied().collect();
        let all = agreed.len();
        for rotation in successors.values().filter(|_| followed) {
            agreed = said.seen_by(rotation, &agreed);
        }
        let next: BTreeSet<PolicyId> = successors.keys().map(|(next, _)| *next).collect();
        recovery.frozen = followed && (agreed.len() < all || next.len() > 1);
        let certificates = here.values().filter(|known| agreed.contains(&known.verified.device()));
        let highest = certificates.max_by_key(|known| known.certificate.rank);
        recovery.highest = highest.map(|known| known.certificate.clone());
        roots.extend(here.into_values().filter_map(|known| {
            agreed.contains(&known.verified.device()).then(|| known.root(genesis))
        }));
        match successors.into_values().next() {
            Some(rotation) if followed && !recovery.frozen => {
                recovery.committed = rotation.next;
                recovery.rotations.push(rotation);
            }
            _ => return (recovery, roots),
        }
    }
}

impl Recovered {
    fn root(self, genesis: &Genesis) -> Root {
        Root {
            verified: self.verified,
            path: CertificatePath::recovered(genesis.clone(), self.certificate),
            name: self.name,
            added_ms: self.added_ms,
        }
    }
}

impl Said {
    fn gather(genesis: &Genesis, items: &[LogItem], witness: &mut dyn Witness) -> Self {
        let mut said = Self::default();
        said.lists.insert(Rotation::digest(&[]), BTreeSet::new());
        for item in items {
            match &item.entry {
                Entry::Recovery { policy, .. } => {
                    said.policies.insert(policy.id(), *policy);
                }
                Entry::Recover { certificate, name } => {
                    said.hear_recovery(genesis, item, certificate, name, witness);
                }
                Entry::Rotate { rotation, seen } => {
                    let mut reader = Reader::new(rotation);
                    let decoded = Rotation::decode(&mut reader).ok().filter(|_| reader.is_empty());
                    if let Some(rotation) = decoded
                        && rotation.seen == Rotation::digest(seen)
                        && witness.rotates(&genesis.account(), &rotation)
                    {
                        said.note(&rotation);
                        said.lists.insert(rotation.seen, seen.iter().copied().collect());
                    }
                }
                _ => {}
            }
        }
        said
    }

    fn hear_recovery(
        &mut self,
        genesis: &Genesis,
        item: &LogItem,
        bytes: &[u8],
        name: &str,
        witness: &mut dyn Witness,
    ) {
        let Ok(certificate) = RecoveryCertificate::from_bytes(bytes) else { return };
        let Some(verified) = witness.recover(genesis, &certificate) else { return };
        for rotation in &certificate.rotations {
            self.note(rotation);
        }
        let policy = certificate.policy.id();
        self.policies.insert(policy, certificate.policy);
        let under = self.recovered.entry(policy).or_default();
        let (device, name, added_ms) = (certificate.device, name.to_owned(), item.time_ms);
        let new = Recovered { certificate, verified, name, added_ms };
        match under.get(&device) {
            Some(known) if known.order() <= new.order() => {}
            None if under.len() >= DEVICES_EVER_MAX => {
                // Of more than there may be, those that everybody finds first.
                if under.last_key_value().is_some_and(|(last, _)| *last > device) {
                    under.pop_last();
                    under.insert(device, new);
                }
            }
            _ => {
                under.insert(device, new);
            }
        }
    }

    /// Whoever has words that gave way could let them give way again, as if they had brought in
    /// somebody before: all that they say must agree.
    fn note(&mut self, rotation: &Rotation) {
        let successors = self.rotations.entry(rotation.policy.id()).or_default();
        let known = successors.get(&(rotation.next, rotation.seen));
        if known.is_none_or(|known| known.encode() > rotation.encode()) {
            successors.insert((rotation.next, rotation.seen), rotation.clone());
        }
    }

    /// Those of the devices that a rotation had seen; it names them by a digest, and until the
    /// list is here nobody else may be among them.
    fn seen_by(&self, rotation: &Rotation, devices: &BTreeSet<DeviceId>) -> BTreeSet<DeviceId> {
        let all: Vec<DeviceId> = devices.iter().copied().collect();
        if devices.len() <= ROTATION_DEVICES_MAX && Rotation::digest(&all) == rotation.seen {
            return devices.clone();
        }
        let list = self.lists.get(&rotation.seen);
        devices.iter().filter(|device| list.is_some_and(|l| l.contains(*device))).copied().collect()
    }
}

impl Recovered {
    /// Of one device certified twice the one that holds, whatever came first.
    fn order(&self) -> (std::cmp::Reverse<u8>, Vec<u8>, u64, &str) {
        let rank = std::cmp::Reverse(self.certificate.rank);
        (rank, self.certificate.encode(), self.added_ms, &self.name)
    }
}
