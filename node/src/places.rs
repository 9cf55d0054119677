//! How many may be here at once; strangers cannot take the places of those we know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mosaic_engine::hash::DeviceId;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::standing::Standing;

/// Places for each standing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceLimits {
    /// Our own devices, and peers the user named.
    pub own: usize,
    /// Devices of accounts that are kept here.
    pub kept: usize,
    /// Everybody else.
    pub strangers: usize,
    /// One device, whoever it is.
    pub each: usize,
}

impl Default for PlaceLimits {
    fn default() -> Self {
        Self { own: 256, kept: 256, strangers: 128, each: 8 }
    }
}

impl PlaceLimits {
    const fn of(&self, standing: Standing) -> usize {
        match standing {
            Standing::Own => self.own,
            Standing::Kept => self.kept,
            Standing::Stranger => self.strangers,
        }
    }
}

/// The places of one protocol. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: PlaceLimits,
    taken: Mutex<Taken>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    by_standing: HashMap<Standing, usize>,
    by_device: HashMap<DeviceId, usize>,
}

/// A place; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    standing: Standing,
    device: DeviceId,
}

impl Places {
    pub(crate) fn new(limits: PlaceLimits) -> Self {
        Self(Arc::new(Shared { limits, taken: Mutex::default(), left: Notify::new() }))
    }

    /// Takes a place if one is free.
    pub(crate) fn enter(&self, standing: Standing, device: DeviceId) -> Option<Place> {
        let mut taken = self.taken();
        let here = taken.by_standing.get(&standing).copied().unwrap_or_default();
        let own = taken.by_device.get(&device).copied().unwrap_or_default();
        if here >= self.0.limits.of(standing) || own >= self.0.limits.each {
            return None;
        }
        taken.by_standing.insert(standing, here + 1);
        taken.by_device.insert(device, own + 1);
        Some(Place { places: self.clone(), standing, device })
    }

    /// Whether this device is here.
    pub(crate) fn holds(&self, device: &DeviceId) -> bool {
        self.taken().by_device.contains_key(device)
    }

    /// Resolves when somebody leaves after this call.
    pub(crate) fn left(&self) -> Notified<'_> {
        self.0.left.notified()
    }

    /// Resolves when nobody is here.
    pub(crate) async fn empty(&self) {
        loop {
            let left = self.left();
            if self.taken().by_device.is_empty() {
                return;
            }
            left.await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.by_standing.get_mut(&self.standing) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = taken.by_device.get_mut(&self.device) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_device.remove(&self.device);
            }
        }
        drop(taken);
        self.places.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_take_no_place_of_those_we_know() {
        let device = |number| DeviceId::from_bytes([number; 32]);
        let limits = PlaceLimits { own: 1, kept: 1, strangers: 2, each: 1 };
        let places = Places::new(limits);
        let first = places.enter(Standing::Stranger, device(1)).unwrap();
        assert!(places.enter(Standing::Stranger, device(1)).is_none(), "one place each");
        let _second = places.enter(Standing::Stranger, device(2)).unwrap();
        assert!(places.enter(Standing::Stranger, device(3)).is_none(), "no more strangers");
        let _kept = places.enter(Standing::Kept, device(4)).unwrap();
        let _own = places.enter(Standing::Own, device(5)).unwrap();
        drop(first);
        assert!(places.enter(Standing::Stranger, device(3)).is_some());
    }
}
