//! Bodies that somebody is about to be given: the documents that name them, and the bytes of those
//! that were read together. A way to find them quickly, never the reason to give them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::hash::{BlobHash, DocumentId};
use crate::model::entry::BodyRef;

/// Bodies of which the documents are remembered.
const OFFERED_MAX: usize = 16_384;
/// Bytes of bodies that wait to be given.
pub(super) const WAITING_BYTES_MAX: usize = 2 * 1024 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Offered {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The bytes are those that this very document holds: another may name what it has not.
    bodies: HashMap<BlobHash, (DocumentId, Option<Bytes>)>,
    bytes: usize,
    forgotten: u64,
}

impl Offered {
    /// How often bytes were forgotten: what was read before the last time may be withdrawn since.
    pub fn times_forgotten(&self) -> u64 {
        self.lock().forgotten
    }

    /// Notes bodies of a document, and the bytes of those that were read of it, each with the hash
    /// that they have.
    pub fn note(
        &self,
        doc: &DocumentId,
        bodies: &[BodyRef],
        read: Vec<(BlobHash, Bytes)>,
        since: u64,
    ) {
        let mut known = self.lock();
        if known.bodies.len() + bodies.len() > OFFERED_MAX {
            known.bodies.clear();
            known.bytes = 0;
        }
        let size: usize = read.iter().map(|(_, bytes)| bytes.len()).sum();
        if known.bytes + size > WAITING_BYTES_MAX {
            known.drop_bytes();
        }
        for body in bodies.iter().take(OFFERED_MAX) {
            known.put(body.hash, *doc, None);
        }
        if since != known.forgotten || size > WAITING_BYTES_MAX {
            return;
        }
        for (hash, bytes) in read {
            if known.bodies.get(&hash).is_some_and(|(of, _)| of == doc) {
                // By itself: a part of a row would keep all of the row.
                known.put(hash, *doc, Some(Bytes::copy_from_slice(&bytes)));
            }
        }
    }

    /// The document of a body, and its bytes if they wait; they do so once.
    pub fn take(&self, hash: &BlobHash) -> Option<(DocumentId, Option<Bytes>)> {
        let mut known = self.lock();
        let (doc, bytes) = known.bodies.get_mut(hash)?;
        let found = (*doc, bytes.take());
        known.bytes = known.bytes.saturating_sub(len(&found.1));
        Some(found)
    }

    /// Forgets all bytes: something was withdrawn or given up.
    pub fn forget(&self) {
        let mut known = self.lock();
        known.forgotten += 1;
        known.drop_bytes();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, hash: BlobHash, doc: DocumentId, bytes: Option<Bytes>) {
        self.bytes += len(&bytes);
        if let Some((_, before)) = self.bodies.insert(hash, (doc, bytes)) {
            self.bytes = self.bytes.saturating_sub(len(&before));
        }
    }

    fn drop_bytes(&mut self) {
        self.bodies.values_mut().for_each(|(_, bytes)| *bytes = None);
        self.bytes = 0;
    }
}

fn len(bytes: &Option<Bytes>) -> usize {
    bytes.as_ref().map_or(0, Bytes::len)
}
