//! Large blobs coming and going: files and rows, many with one commit.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use crate::hash::BlobHash;
use crate::store::{
    Batch, BlobInfo, BlobWriter, StoreError, Table,
    blob_files::{BlobFiles, NewBlob},
};

use super::{Inner, blob_key, lock};

/// Blobs whose files, two of each, are open at once.
const BLOBS_OPEN_MAX: usize = 64;

impl Inner {
    /// Writes the files of blobs, a few at a time, then the rows of all.
    pub(super) fn put_blobs(&self, blobs: &[(BlobHash, Bytes)]) -> Result<(), StoreError> {
        let mut new = BTreeMap::new();
        let _step = lock(&self.blob_steps);
        for some in blobs.chunks(BLOBS_OPEN_MAX) {
            let mut sealed = BTreeMap::new();
            for (hash, bytes) in some {
                if new.contains_key(hash) || self.blob_info(hash)?.is_some() {
                    continue;
                }
                let mut blob = self.blobs.begin(bytes.len() as u64)?;
                blob.write(bytes)?;
                let (found, size) = blob.seal()?;
                if found != *hash {
                    return Err(other(size));
                }
                new.insert(*hash, size);
                sealed.insert(*hash, blob);
            }
            self.blobs.place(sealed)?;
        }
        let mut batch = Batch::new();
        for (hash, size) in &new {
            batch.put(Table::Meta, blob_key(hash), size.to_be_bytes().to_vec());
        }
        if !batch.is_empty() {
            self.writer.submit(batch)?.wait()?;
        }
        new.values().for_each(|size| self.count_blob(*size));
        Ok(())
    }

    /// Removes the rows of blobs, then lets `step` do away with the files of each; returns how
    /// many had rows.
    pub(super) fn forget_blobs(
        &self,
        hashes: &[BlobHash],
        step: impl Fn(&BlobFiles, &BlobHash) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let _step = lock(&self.blob_steps);
        let mut known = BTreeMap::new();
        let mut batch = Batch::new();
        for hash in hashes {
            if let Some(info) = self.blob_info(hash)? {
                known.insert(*hash, info.size);
                batch.delete(Table::Meta, blob_key(hash));
            }
        }
        if !batch.is_empty() {
            self.writer.submit(batch)?.wait()?;
        }
        for size in known.values() {
            self.blob_rows.fetch_sub(1, Ordering::Relaxed);
            self.blob_bytes.fetch_sub(*size, Ordering::Relaxed);
        }
        // what was set aside before has no row
        hashes.iter().try_for_each(|hash| step(&self.blobs, hash))?;
        Ok(known.len() as u64)
    }
}

/// A blob being written to a file.
#[derive(Debug)]
pub(super) struct DiskBlobWriter {
    store: Arc<Inner>,
    blob: NewBlob,
}

impl DiskBlobWriter {
    pub(super) const fn new(store: Arc<Inner>, blob: NewBlob) -> Self {
        Self { store, blob }
    }
}

impl BlobWriter for DiskBlobWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.blob.write(bytes)
    }

    fn finish(mut self: Box<Self>, expected: Option<&BlobHash>) -> Result<BlobInfo, StoreError> {
        let (hash, size) = self.blob.seal()?;
        if expected.is_some_and(|expected| *expected != hash) {
            return Err(other(size));
        }
        let Self { store, blob } = *self;
        let _step = lock(&store.blob_steps);
        if let Some(info) = store.blob_info(&hash)? {
            return Ok(info);
        }
        store.blobs.place(BTreeMap::from([(hash, blob)]))?;
        let mut batch = Batch::new();
        batch.put(Table::Meta, blob_key(&hash), size.to_be_bytes().to_vec());
        store.writer.submit(batch)?.wait()?;
        store.count_blob(size);
        Ok(BlobInfo { hash, size })
    }
}

const fn other(size: u64) -> StoreError {
    StoreError::Refused { what: "blob of another hash", found: size, limit: 0 }
}
