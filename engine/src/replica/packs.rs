//! Packs that sessions announced, for as long as somebody may fetch them. Bounded: what
//! is not fetched in time makes room for the next.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::hash::BlobHash;
use crate::sync::exchange::Section;

/// Bytes of packs kept at once.
const PACKS_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Default)]
struct Inner {
    packs: HashMap<BlobHash, (Section, Bytes, usize)>,
    order: VecDeque<BlobHash>,
    bytes: usize,
}

/// Servable packs by hash.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    inner: Mutex<Inner>,
}

impl Packs {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a pack; the oldest ones go when there are too many.
    pub(crate) fn insert(&self, section: Section, hash: BlobHash, bytes: Bytes) {
        let mut inner = self.lock();
        // Several sessions may give the same.
        if let Some((_, _, users)) = inner.packs.get_mut(&hash) {
            *users += 1;
            return;
        }
        inner.bytes += bytes.len();
        inner.packs.insert(hash, (section, bytes, 1));
        inner.order.push_back(hash);
        while inner.bytes > PACKS_BYTES_MAX && inner.order.len() > 1 {
            let Some(oldest) = inner.order.pop_front() else { break };
            if let Some((_, old, _)) = inner.packs.remove(&oldest) {
                inner.bytes -= old.len();
            }
        }
    }

    /// Returns a pack and the section it belongs to.
    pub(crate) fn get(&self, hash: &BlobHash) -> Option<(Section, Bytes)> {
        self.lock().packs.get(hash).map(|(section, bytes, _)| (*section, bytes.clone()))
    }

    /// Forgets a pack once everybody it was announced to is through with it.
    pub(crate) fn release(&self, hash: &BlobHash) {
        let mut inner = self.lock();
        if let Some((_, _, users)) = inner.packs.get_mut(hash)
            && *users > 1
        {
            *users -= 1;
            return;
        }
        if let Some((_, old, _)) = inner.packs.remove(hash) {
            inner.bytes -= old.len();
            inner.order.retain(|kept| kept != hash);
        }
    }
}
