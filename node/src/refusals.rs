//! What was not taken from peers since this process started, counted by reason.
//!
//! The names are those of our own enumerations, never text of a peer: however much a peer
//! lies, the counters stay as few.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mosaic_engine::hash::DeviceId;
use mosaic_engine::sync::{CloseReason, Tally};

use crate::peers::PEERS_MAX;

/// What is turned away before a session could give it a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Bytes that are no frame.
    Frame,
    /// A frame out of place, or over a limit of the session.
    Protocol,
    /// A session beyond the number that are held at once.
    Sessions,
    /// A request for a blob.
    Blob,
}

impl Door {
    /// Stable name, beside those of [`mosaic_engine::wire::Reason`].
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Protocol => "protocol",
            Self::Sessions => "sessions",
            Self::Blob => "blob",
        }
    }

    /// What a session that ended itself turned away; `None` if it blames nobody.
    pub(crate) const fn of_close(reason: CloseReason) -> Option<Self> {
        match reason {
            CloseReason::Malformed => Some(Self::Frame),
            CloseReason::Protocol => Some(Self::Protocol),
            _ => None,
        }
    }
}

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Not taken, for good.
    pub refused: BTreeMap<&'static str, u64>,
    /// Not taken for now; each time that it was offered.
    pub deferred: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn take(&mut self, tally: &Tally) {
        for (reason, count) in tally.iter() {
            let kind = if reason.is_refusal() { &mut self.refused } else { &mut self.deferred };
            let known = kind.entry(reason.name()).or_default();
            *known = known.saturating_add(count);
        }
    }

    /// Counts so many more at the door.
    pub(crate) fn turn_away(&mut self, door: Door, count: u64) {
        if count > 0 {
            let known = self.refused.entry(door.name()).or_default();
            *known = known.saturating_add(count);
        }
    }
}

/// The counters of a process, together and by peer.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    all: Counts,
    peers: HashMap<DeviceId, Counts>,
}

impl Inner {
    /// The counters of a peer; strangers beyond a number are counted together only.
    fn peer(&mut self, peer: &DeviceId) -> Option<&mut Counts> {
        let room = self.peers.len() < PEERS_MAX || self.peers.contains_key(peer);
        room.then(|| self.peers.entry(*peer).or_default())
    }
}

impl Refusals {
    /// Counts what a session did not take.
    pub(crate) fn note(&self, peer: &DeviceId, tally: &Tally) {
        if tally.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.all.take(tally);
        if let Some(counts) = inner.peer(peer) {
            counts.take(tally);
        }
    }

    /// Counts what was turned away at the door.
    pub(crate) fn turn_away(&self, peer: &DeviceId, door: Door) {
        let mut inner = self.lock();
        inner.all.turn_away(door, 1);
        if let Some(counts) = inner.peer(peer) {
            counts.turn_away(door, 1);
        }
    }

    /// Returns the counts over all peers.
    pub(crate) fn all(&self) -> Counts {
        self.lock().all.clone()
    }

    /// Returns the counts of one peer.
    pub(crate) fn of(&self, peer: &DeviceId) -> Counts {
        self.lock().peers.get(peer).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use mosaic_engine::wire::Reason;

    use super::*;

    #[test]
    fn strangers_beyond_the_bound_are_counted_together_only() {
        let refusals = Refusals::default();
        let mut tally = Tally::default();
        tally.add(Reason::Link);
        tally.add(Reason::Gap);
        let device = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
            DeviceId::from_bytes(bytes)
        };
        for n in 0..=PEERS_MAX {
            refusals.note(&device(n), &tally);
        }
        refusals.turn_away(&device(0), Door::Frame);
        let all = refusals.all();
        assert_eq!(all.refused, BTreeMap::from([("frame", 1), ("link", PEERS_MAX as u64 + 1)]));
        assert_eq!(all.deferred, BTreeMap::from([("gap", PEERS_MAX as u64 + 1)]));
        assert_eq!(refusals.of(&device(0)).refused, BTreeMap::from([("frame", 1), ("link", 1)]));
        assert_eq!(refusals.of(&device(PEERS_MAX)), Counts::default());
    }

    #[test]
    fn no_name_at_the_door_is_also_a_reason() {
        for door in [Door::Frame, Door::Protocol, Door::Sessions, Door::Blob] {
            for code in 0..=u8::MAX {
                assert_ne!(door.name(), Reason::from_code(code).name());
            }
        }
    }
}
