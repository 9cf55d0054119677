//! What an open session has moved so far: written by its driver, read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mosaic_engine::sync::outcome::Counters;

use crate::clock;

/// The sums of one session. Rises only.
#[derive(Debug)]
pub(crate) struct Tally {
    session: Mutex<Counters>,
    moved: Mutex<Instant>,
    files: Arc<FileCounts>,
    /// What had moved when the session began.
    files_before: Files,
}

/// Bytes of attachments that moved between this node and one peer since the node started, counted
/// as they arrive and go, whatever becomes of the file.
#[derive(Debug, Default)]
pub(crate) struct FileCounts {
    fetched: AtomicU64,
    given: AtomicU64,
}

/// Bytes of attachments at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// Fetched from the peer.
    pub fetched: u64,
    /// Given to it.
    pub given: u64,
}

impl FileCounts {
    /// Notes that so many bytes went out.
    pub(crate) fn gave(&self, bytes: u64) {
        self.given.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What moved so far.
    pub(crate) fn now(&self) -> Files {
        let at = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Files { fetched: at(&self.fetched), given: at(&self.given) }
    }
}

impl Tally {
    pub(crate) fn new(files: Arc<FileCounts>) -> Self {
        let files_before = files.now();
        let (session, moved) = (Mutex::default(), Mutex::new(clock::instant()));
        Self { session, moved, files, files_before }
    }

    /// For how long nothing but questions and answers went either way.
    pub(crate) fn idle(&self) -> Duration {
        let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        clock::instant().saturating_duration_since(moved)
    }

    /// What the session itself counted, without files.
    pub(crate) fn session(&self) -> Counters {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that went beside it.
    pub(crate) fn files(&self) -> Files {
        self.files.now().since(self.files_before)
    }

    /// Both together.
    pub(crate) fn total(&self) -> Counters {
        self.files().added_to(self.session())
    }

    pub(super) fn set(&self, session: Counters) {
        let mut known = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *known, session);
        drop(known);
        if content(&session) != content(&before) {
            *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = clock::instant();
        }
    }

    /// Notes that so many bytes of a file came.
    pub(crate) fn fetched(&self, bytes: u64) {
        self.files.fetched.fetch_add(bytes, Ordering::Relaxed);
    }
}

const fn content(of: &Counters) -> (u64, u64, u64, u64) {
    (of.changes, of.changes_sent, of.blob_bytes, of.body_bytes)
}

impl Files {
    /// What moved after `before`.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            fetched: self.fetched.saturating_sub(before.fetched),
            given: self.given.saturating_sub(before.given),
        }
    }

    /// Counts them as bodies.
    pub(crate) const fn added_to(self, counters: Counters) -> Counters {
        let moved = self.fetched.saturating_add(self.given);
        Counters { body_bytes: counters.body_bytes.saturating_add(moved), ..counters }
    }
}
