//! What an open session has moved so far: written by its driver, read by whoever asks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mosaic_engine::sync::outcome::Counters;

use crate::clock;

/// The sums of one session. Rises only.
#[derive(Debug)]
pub(crate) struct Tally {
    sums: Mutex<(Counters, Files)>,
    moved: Mutex<Instant>,
}

/// Attachments fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub count: u64,
    pub bytes: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { sums: Mutex::default(), moved: Mutex::new(clock::instant()) }
    }

    /// For how long nothing but questions and answers went either way.
    pub(crate) fn idle(&self) -> Duration {
        let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        clock::instant().saturating_duration_since(moved)
    }

    /// What the session itself counted, without files.
    pub(crate) fn session(&self) -> Counters {
        self.with(|sums| sums.0)
    }

    /// The files fetched beside it.
    pub(crate) fn files(&self) -> Files {
        self.with(|sums| sums.1)
    }

    /// Both together.
    pub(crate) fn total(&self) -> Counters {
        let (session, files) = self.with(|sums| *sums);
        files.added_to(session)
    }

    pub(super) fn set(&self, session: Counters) {
        let before = self.with(|sums| std::mem::replace(&mut sums.0, session));
        if content(&session) != content(&before) {
            *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = clock::instant();
        }
    }

    pub(crate) fn fetched(&self, bytes: u64) {
        self.with(|(_, files)| {
            files.count = files.count.saturating_add(1);
            files.bytes = files.bytes.saturating_add(bytes);
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut (Counters, Files)) -> T) -> T {
        act(&mut self.sums.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const fn content(of: &Counters) -> (u64, u64, u64, u64) {
    (of.changes, of.changes_sent, of.blob_bytes, of.body_bytes)
}

impl Files {
    /// Those that came after `before`.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            count: self.count.saturating_sub(before.count),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }

    /// Counts them as bodies.
    pub(crate) const fn added_to(self, counters: Counters) -> Counters {
        Counters {
            bodies: counters.bodies.saturating_add(self.count),
            body_bytes: counters.body_bytes.saturating_add(self.bytes),
            ..counters
        }
    }
}
