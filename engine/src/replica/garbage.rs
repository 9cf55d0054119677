//! What takes room and serves nothing: found, and given back.
//!
//! Nothing that an entry, a change's chain or a wanted body names is ever garbage, nor what is
//! being written at this moment. A dry run and a real one do the same up to the removal.

use std::collections::BTreeSet;

use super::runs::items_of;
use super::{EngineError, Replica};
use crate::hash::{BlobHash, ChangeId};
use crate::store::{Batch, PartialInfo, Table, keys};

/// Rows and blobs read in one go.
const STEP: usize = 256;
/// Rows removed in one commit.
const BATCH_ROWS: usize = 64 * 1024;

/// What kind of thing takes the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GarbageKind {
    /// A file that nothing names: of a post that was deleted or never came about, of a page that
    /// was given up.
    File,
    /// The same in the database.
    Row,
    /// What came of a file that nothing here wants any more.
    Partial,
    /// What is left of a damaged body that nothing names any more.
    Damaged,
}

impl GarbageKind {
    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Row => "row",
            Self::Partial => "partial",
            Self::Damaged => "damaged",
        }
    }
}

/// One thing that takes room and serves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Garbage {
    /// What it is.
    pub kind: GarbageKind,
    /// The blob it is, or is a part of.
    pub hash: BlobHash,
    /// Of a partial one, the size that it was to have.
    pub size: u64,
    /// Bytes that it takes: of files as the disk counts them, of rows their keys and values.
    pub bytes: u64,
}

impl Replica {
    /// Finds what takes room and serves nothing.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn garbage(&self) -> Result<Vec<Garbage>, EngineError> {
        self.sweep(false)
    }

    /// Removes what takes room and serves nothing; returns what was removed.
    ///
    /// # Errors
    /// If the store fails or is damaged: what was removed before stays removed.
    pub fn collect_garbage(&self) -> Result<Vec<Garbage>, EngineError> {
        self.sweep(true)
    }

    fn sweep(&self, remove: bool) -> Result<Vec<Garbage>, EngineError> {
        let mut suspects = self.suspects()?;
        suspects.extend(self.unwanted_partials()?);
        if suspects.is_empty() {
            return Ok(suspects);
        }
        // Nothing is written meanwhile: a suspect that was named after all is seen to be.
        self.added.while_settled(|added| {
            let _state = self.lock();
            self.store.commit(Batch::new())?;
            suspects.retain(|suspect| !added.contains(&suspect.hash));
            let mut garbage = self.without_named(suspects)?;
            garbage.sort();
            if remove {
                self.remove_all(&mut garbage)?;
            }
            Ok(garbage)
        })
    }

    /// Blobs, rows and remains that nothing seems to name.
    fn suspects(&self) -> Result<Vec<Garbage>, EngineError> {
        let mut suspects = Vec::new();
        let mut after = None;
        loop {
            let blobs = self.store.blobs(after.as_ref(), STEP)?;
            let Some(last) = blobs.last() else { break };
            after = Some(last.hash);
            for blob in blobs.iter().filter(|blob| !self.store_names(&blob.hash)) {
                let bytes = self.store.blob_footprint(&blob.hash)?;
                suspects.push(garbage(GarbageKind::File, blob.hash, bytes));
            }
        }
        let mut start = None;
        loop {
            let rows = self.store.scan(Table::Truth, keys::BLOBS, start.as_deref(), false, STEP)?;
            let Some((last, _)) = rows.last() else { break };
            start = Some([last.as_ref(), &[0]].concat());
            for (key, value) in &rows {
                let Some(hash) = key.last_chunk::<32>().map(|h| BlobHash::from_bytes(*h)) else {
                    continue;
                };
                if !self.store_names(&hash) {
                    let bytes = (key.len() + value.len()) as u64;
                    suspects.push(garbage(GarbageKind::Row, hash, bytes));
                }
            }
        }
        for (hash, bytes) in self.remains()? {
            suspects.push(garbage(GarbageKind::Damaged, hash, bytes));
        }
        Ok(suspects)
    }

    /// What was set aside of damaged bodies that nothing names, and what it takes.
    fn remains(&self) -> Result<Vec<(BlobHash, u64)>, EngineError> {
        let files: BTreeSet<BlobHash> = self.store.blobs_set_aside()?.into_iter().collect();
        let rows = self.scan_all(Table::Meta, keys::DAMAGED)?;
        let marked = rows.iter().filter_map(|(key, _)| key.last_chunk::<32>());
        let mut hashes: BTreeSet<BlobHash> = marked.map(|h| BlobHash::from_bytes(*h)).collect();
        hashes.extend(&files);
        let mut remains = Vec::new();
        for hash in hashes {
            if self.is_needed(&hash)? || self.store.blob_info(&hash)?.is_some() {
                continue;
            }
            let key = keys::damaged(&hash);
            let row = self.store.get(Table::Meta, &key)?;
            let row = row.map_or(0, |value| (key.len() + value.len()) as u64);
            let file = match files.contains(&hash) {
                true => self.store.blob_footprint(&hash)?,
                false => 0,
            };
            remains.push((hash, row.saturating_add(file)));
        }
        Ok(remains)
    }

    /// Parts of files that no kept section wants, within its limits.
    fn unwanted_partials(&self) -> Result<Vec<Garbage>, EngineError> {
        let mut partials: Vec<PartialInfo> = self.store.partials()?;
        partials.retain(|partial| !partial.open);
        if partials.is_empty() {
            return Ok(Vec::new());
        }
        let mut wanted = BTreeSet::new();
        let sections = self.sections_kept(&mut self.lock())?;
        for section in sections.iter() {
            let bodies = self.wanted_bodies(section, None, usize::MAX)?;
            wanted.extend(bodies.into_iter().map(|body| (body.hash, body.size)));
        }
        let unwanted = partials.iter().filter(|p| !wanted.contains(&(p.hash, p.size)));
        Ok(unwanted
            .map(|partial| Garbage {
                kind: GarbageKind::Partial,
                hash: partial.hash,
                size: partial.size,
                bytes: partial.disk_bytes,
            })
            .collect())
    }

    /// Whether a row names a blob by its hash; one that cannot be read might.
    fn store_names(&self, hash: &BlobHash) -> bool {
        let entry = self.entry_row(&ChangeId::from_bytes(*hash.as_bytes()));
        entry.map_or(true, |row| row.is_some()) || self.is_needed(hash).unwrap_or(true)
    }

    /// Leaves of the suspects what no body, no entry and no chain names.
    fn without_named(&self, mut suspects: Vec<Garbage>) -> Result<Vec<Garbage>, EngineError> {
        suspects.retain(|suspect| match suspect.kind {
            GarbageKind::Partial => true,
            _ => !self.store_names(&suspect.hash),
        });
        if suspects.iter().all(|suspect| suspect.kind == GarbageKind::Partial) {
            return Ok(suspects);
        }
        // Entry rows can be missing, and changes of maps have none: the chains know.
        let mut in_chains = BTreeSet::new();
        let unsure: BTreeSet<BlobHash> = suspects.iter().map(|suspect| suspect.hash).collect();
        let mut start = None;
        loop {
            let rows =
                self.store.scan(Table::Truth, keys::CHAINS, start.as_deref(), false, 4096)?;
            let Some((last, _)) = rows.last() else { break };
            start = Some([last.as_ref(), &[0]].concat());
            for (key, row) in &rows {
                let ids = items_of(key, row)?.1.into_iter().map(|item| item.id.blob());
                in_chains.extend(ids.filter(|id| unsure.contains(id)));
            }
        }
        suspects.retain(|suspect| !in_chains.contains(&suspect.hash));
        Ok(suspects)
    }

    /// Removes all of it, and forgets what turns out to be in use.
    fn remove_all(&self, garbage: &mut Vec<Garbage>) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        let mut removed = Vec::with_capacity(garbage.len());
        for item in garbage.drain(..) {
            let done = match item.kind {
                GarbageKind::File => self.store.blob_remove(&item.hash)?,
                GarbageKind::Partial => self.store.partial_remove(&item.hash, item.size)?,
                GarbageKind::Row => {
                    batch.delete(Table::Truth, keys::blob(&item.hash));
                    true
                }
                GarbageKind::Damaged => {
                    batch.delete(Table::Meta, keys::damaged(&item.hash));
                    self.store.blob_remove(&item.hash)?;
                    true
                }
            };
            if done {
                removed.push(item);
            }
            if batch.len() >= BATCH_ROWS {
                self.store.commit(std::mem::take(&mut batch))?;
            }
        }
        if !batch.is_empty() {
            self.store.commit(batch)?;
        }
        *garbage = removed;
        Ok(())
    }
}

const fn garbage(kind: GarbageKind, hash: BlobHash, bytes: u64) -> Garbage {
    Garbage { kind, hash, size: 0, bytes }
}
