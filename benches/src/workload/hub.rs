//! Replicas that keep what others write: two of them, made of one store, meet.

use std::sync::Arc;

use mosaic_engine::entropy::{SeededEntropy, random};
use mosaic_engine::hash::AccountId;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Replica, Subscription};
use mosaic_engine::store::Store;
use mosaic_engine::store::memory::MemoryStore;

use super::author::Parcel;
use crate::TIME_MS;

/// What all hubs have from the beginning, before they are anybody.
#[derive(Debug)]
pub struct Base {
    store: MemoryStore,
    replica: Replica,
    seed: u64,
    made: std::cell::Cell<u64>,
}

impl Base {
    /// Begins with nothing.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let store = MemoryStore::new();
        let replica = crate::replica(Arc::new(store.clone()), seed);
        Self { store, replica, seed, made: std::cell::Cell::new(0) }
    }

    /// Keeps the spaces of some accounts.
    ///
    /// # Panics
    /// If the engine refuses to.
    pub fn keep(&self, accounts: &[AccountId]) {
        keep(&self.replica, accounts);
    }

    /// Takes what an account wrote.
    pub fn take(&self, parcel: &Parcel) {
        let nobody = mosaic_engine::hash::DeviceId::from_bytes([1; 32]);
        parcel.give(&nobody, &self.replica);
    }

    /// The replica that keeps it.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Makes a new node of it, with an identity of its own, in memory.
    #[must_use]
    pub fn node(&self) -> Replica {
        self.made.set(self.made.get() + 1);
        node(Arc::new(self.store.snapshot()), self.seed + 7_919 * self.made.get())
    }
}

/// Opens a replica with an identity of its own over a store.
///
/// # Panics
/// If the engine refuses to.
#[must_use]
pub fn node(store: Arc<dyn Store>, seed: u64) -> Replica {
    let replica = crate::replica(store, seed);
    let entropy = SeededEntropy::new(seed ^ 0x0b5e_55ed);
    let secret = DeviceSecret::generate(&entropy);
    replica.create_account(secret, "hub", random(&entropy), TIME_MS).expect("an account");
    replica
}

/// Keeps the whole spaces of some accounts.
///
/// # Panics
/// If the engine refuses to.
pub fn keep(replica: &Replica, accounts: &[AccountId]) {
    for some in accounts.chunks(1000) {
        let whole: Vec<Subscription> = some.iter().copied().map(Subscription::whole).collect();
        replica.change_subscriptions(&whole, &[]).expect("subscriptions");
    }
}
