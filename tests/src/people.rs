//! People with replicas in this process, and what tests ask of them.

use std::sync::Arc;

use mosaic_engine::entropy::{Entropy, SeededEntropy};
use mosaic_engine::hash::AccountId;
use mosaic_engine::identity::{CertificatePath, DeviceSecret};
use mosaic_engine::replica::{Draft, LINKED_DEVICE_RANK, Replica, ReplicaOptions, Text};
use mosaic_engine::store::memory::MemoryStore;

/// A moment, in milliseconds since 1970.
pub const NOW_MS: u64 = 1_700_000_000_000;

/// Randomness that belongs to a seed.
#[must_use]
pub fn entropy(seed: u64) -> Arc<dyn Entropy> {
    Arc::new(SeededEntropy::new(seed))
}

/// A replica over a memory store, without identity.
///
/// # Panics
/// If it does not open.
#[must_use]
pub fn replica(seed: u64) -> Replica {
    let options = ReplicaOptions { secret: None, fresh_incarnation: false };
    Replica::open(Arc::new(MemoryStore::new()), entropy(seed), options).expect("a replica")
}

/// A replica with an account of its own.
///
/// # Panics
/// If the account cannot be made.
#[must_use]
pub fn person(seed: u64, device_name: &str) -> (Replica, AccountId) {
    let replica = replica(seed);
    let secret = DeviceSecret::generate(&*entropy(seed + 1000));
    let account = replica.create_account(secret, device_name, [7; 32], NOW_MS).expect("an account");
    (replica, account)
}

/// Enrols a device with the given keys; returns its certificate path.
///
/// # Panics
/// If `first` may not.
pub fn enrol(first: &Replica, secret: &DeviceSecret, name: &str) -> CertificatePath {
    let offer = first.offer_device(secret.id(), secret.seal_key(), LINKED_DEVICE_RANK, NOW_MS);
    let certificate = offer.expect("an offer").accept(secret).expect("a certificate");
    first.add_device(&certificate, name, NOW_MS).expect("a device")
}

/// A text without attachments.
#[must_use]
pub fn draft(text: &str) -> Draft {
    Draft { text: text.into(), attachments: Vec::new() }
}

/// The texts of a wall, newest first.
///
/// # Panics
/// If the replica cannot read.
#[must_use]
pub fn texts(replica: &Replica, account: &AccountId) -> Vec<String> {
    let wall = replica.wall(account, None, 100_000).expect("a wall");
    let text = |text| match text {
        Text::Here(text) => text,
        other => format!("{other:?}"),
    };
    wall.into_iter().map(|view| text(view.text)).collect()
}

/// Resident memory of this process in bytes.
///
/// # Panics
/// If the system does not say.
#[must_use]
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("resident pages") * 4096
}
