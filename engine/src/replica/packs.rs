//! Packs that sessions announced, for as long as somebody may fetch them.
//!
//! Packs made for one message cannot be made again, so each stays until every session that
//! announced it is through with it; sessions announce little at a time while much waits.
//! Packs of closed pages can be made again at any time, so they go when there are many.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::hash::BlobHash;
use crate::sync::exchange::Section;

/// Bytes of announced packs beyond which each session announces one message at a time.
const CROWDED_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of announced packs beyond which the oldest go after all: far more than sessions that
/// end in order leave behind.
const ANNOUNCED_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of packs of closed pages.
const PAGES_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
struct Kept {
    section: Section,
    bytes: Bytes,
    users: usize,
    served: bool,
}

/// Packs of one sort, oldest first.
#[derive(Debug, Default)]
struct Shelf {
    packs: HashMap<BlobHash, Kept>,
    order: VecDeque<BlobHash>,
    bytes: usize,
}

impl Shelf {
    fn insert(&mut self, section: Section, hash: BlobHash, bytes: Bytes, bytes_max: usize) {
        // Several sessions may give the same.
        if let Some(kept) = self.packs.get_mut(&hash) {
            kept.users += 1;
            return;
        }
        self.bytes += bytes.len();
        self.packs.insert(hash, Kept { section, bytes, users: 1, served: false });
        self.order.push_back(hash);
        while self.bytes > bytes_max && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(old) = self.packs.remove(&oldest) {
                self.bytes -= old.bytes.len();
            }
        }
    }

    fn serve(&mut self, hash: &BlobHash) -> Option<(Section, Bytes)> {
        let kept = self.packs.get_mut(hash)?;
        kept.served = true;
        Some((kept.section, kept.bytes.clone()))
    }

    /// Returns whether the pack was served since it came; `None` if it is not here.
    fn release(&mut self, hash: &BlobHash) -> Option<bool> {
        let kept = self.packs.get_mut(hash)?;
        let served = kept.served;
        kept.users -= 1;
        if kept.users == 0
            && let Some(old) = self.packs.remove(hash)
        {
            self.bytes -= old.bytes.len();
            self.order.retain(|other| other != hash);
        }
        Some(served)
    }
}

#[derive(Debug, Default)]
struct Inner {
    announced: Shelf,
    pages: Shelf,
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

    /// Adds a pack made for one message; it stays until it is released as often.
    pub(crate) fn announce(&self, section: Section, hash: BlobHash, bytes: Bytes) {
        self.lock().announced.insert(section, hash, bytes, ANNOUNCED_BYTES_MAX);
    }

    /// Adds the pack of a closed page; the oldest ones go when there are too many.
    pub(crate) fn insert_page(&self, section: Section, hash: BlobHash, bytes: Bytes) {
        self.lock().pages.insert(section, hash, bytes, PAGES_BYTES_MAX);
    }

    /// Whether so much is announced that sessions should go one message at a time.
    pub(crate) fn crowded(&self) -> bool {
        self.lock().announced.bytes > CROWDED_BYTES
    }

    /// Returns a pack to be sent, and the section it belongs to.
    pub(crate) fn serve(&self, hash: &BlobHash) -> Option<(Section, Bytes)> {
        let inner = &mut *self.lock();
        inner.announced.serve(hash).or_else(|| inner.pages.serve(hash))
    }

    /// One of those it was announced to is through with a pack; it goes when all are.
    /// Returns whether anybody fetched it, as far as that is known.
    pub(crate) fn release(&self, hash: &BlobHash) -> bool {
        let inner = &mut *self.lock();
        inner.announced.release(hash).or_else(|| inner.pages.release(hash)).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::SectionClass;
    use crate::hash::SpaceId;

    const MEGABYTE: usize = 1024 * 1024;

    fn add(packs: &Packs, number: u8, page: bool) -> BlobHash {
        let section = Section { space: SpaceId::from_bytes([1; 32]), class: SectionClass::Public };
        let bytes = Bytes::from(vec![number; MEGABYTE]);
        let hash = BlobHash::of(&bytes);
        if page {
            packs.insert_page(section, hash, bytes);
        } else {
            packs.announce(section, hash, bytes);
        }
        hash
    }

    #[test]
    fn what_is_announced_stays_until_all_are_through_with_it() {
        let packs = Packs::default();
        let first: Vec<_> = (0..100).map(|number| add(&packs, number, false)).collect();
        assert!(packs.crowded());
        assert_eq!(add(&packs, 0, false), first[0]);
        assert!(!packs.release(&first[0]), "nobody fetched it");
        assert!(first.iter().all(|hash| packs.serve(hash).is_some()));
        assert!(first.iter().all(|hash| packs.release(hash)));
        assert!(first.iter().all(|hash| packs.serve(hash).is_none()));
        assert!(!packs.crowded());
        assert_eq!(packs.lock().announced.bytes, 0);
    }

    #[test]
    fn pages_make_room_for_each_other_and_for_nothing_else() {
        let packs = Packs::default();
        let announced = add(&packs, 0, false);
        let pages: Vec<_> = (1..=20).map(|number| add(&packs, number, true)).collect();
        let here = pages.iter().filter(|hash| packs.serve(hash).is_some()).count();
        assert_eq!(here, PAGES_BYTES_MAX / MEGABYTE);
        assert!(packs.serve(&announced).is_some() && !packs.crowded());
    }
}
