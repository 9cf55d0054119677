//! Checking what account logs carry, once: a log is folded again with each of its entries.

use std::collections::HashMap;

use crate::authority::Witness;
use crate::hash::{AccountId, DeviceId};
use crate::identity::{
    Certificate, Genesis, RecoveryCertificate, Rotation, VerifiedDevice, Verifier,
};

/// Certificates, and rotations, whose verification is remembered.
const REMEMBERED_MAX: usize = 16_384;

/// What was verified before, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// By issuer and bytes.
    certificates: HashMap<(DeviceId, Vec<u8>), Option<VerifiedDevice>>,
    /// By account and bytes.
    recoveries: HashMap<(AccountId, Vec<u8>), Option<VerifiedDevice>>,
    /// By account and bytes.
    rotations: HashMap<(AccountId, Vec<u8>), bool>,
}

/// Checks with a memory.
pub(super) struct Remembering<'a> {
    pub admitted: &'a mut Admitted,
    pub verifier: &'a Verifier,
}

fn remember<K: Eq + std::hash::Hash, V: Clone>(
    memo: &mut HashMap<K, V>,
    key: K,
    check: impl FnOnce() -> V,
) -> V {
    if let Some(known) = memo.get(&key) {
        return known.clone();
    }
    if memo.len() >= REMEMBERED_MAX {
        memo.clear();
    }
    let value = check();
    memo.insert(key, value.clone());
    value
}

impl Witness for Remembering<'_> {
    fn admit(&mut self, issuer: &VerifiedDevice, new: &Certificate) -> Option<VerifiedDevice> {
        let key = (issuer.device(), new.encode());
        let check = || issuer.admit(new, self.verifier).ok();
        remember(&mut self.admitted.certificates, key, check)
    }

    fn recover(&mut self, genesis: &Genesis, new: &RecoveryCertificate) -> Option<VerifiedDevice> {
        let key = (genesis.account(), new.encode());
        let check = || VerifiedDevice::recovered(genesis, new, self.verifier).ok();
        remember(&mut self.admitted.recoveries, key, check)
    }

    fn rotates(&mut self, account: &AccountId, rotation: &Rotation) -> bool {
        let key = (*account, rotation.encode());
        let check = || rotation.verify(account, self.verifier).is_ok();
        remember(&mut self.admitted.rotations, key, check)
    }
}
