//! A snapshot as a store that is only read: what looks at a store can look at one commit of it.

use std::io::Read;

use bytes::Bytes;

use super::super::{
    BLOB_READ_BYTES_MAX, Batch, BlobInfo, BlobWriter, PartialBlob, PartialInfo, Pending, Row,
    RowVisitor, Store, StoreError, StoreStats, Table, range::is_reserved,
};
use super::Snapshot;
use crate::hash::BlobHash;
use crate::limits::PACK_BYTES_MAX;

impl Snapshot {
    /// Finds a large blob.
    #[must_use]
    pub fn find(&self, hash: &BlobHash) -> Option<&BlobInfo> {
        let at = self.blobs.binary_search_by(|blob| blob.hash.cmp(hash)).ok()?;
        self.blobs.get(at)
    }
}

/// Nothing is written. An empty batch commits: there is nothing to wait for.
impl Store for Snapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if is_reserved(table, key) || key.is_empty() {
            return Ok(None);
        }
        self.tables.raw_at(&self.rows, table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        start: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.tables.scan_at(&self.rows, table, prefix, start, reverse, limit)
    }

    fn submit(&self, batch: Batch) -> Result<Pending, StoreError> {
        if batch.is_empty() { Ok(Pending::ready(Ok(self.commit))) } else { Err(read_only()) }
    }

    fn verify(&self, table: Table, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        self.rows(table, visit)
    }

    fn verify_files(&self) -> Result<(), StoreError> {
        self.tables.verify_files()
    }

    fn blob_create(&self, _size_max: u64) -> Result<Box<dyn BlobWriter>, StoreError> {
        Err(read_only())
    }

    fn blobs_put(&self, _blobs: &[(BlobHash, Bytes)]) -> Result<(), StoreError> {
        Err(read_only())
    }

    fn blob_info(&self, hash: &BlobHash) -> Result<Option<BlobInfo>, StoreError> {
        Ok(self.find(hash).copied())
    }

    /// Blobs of up to [`PACK_BYTES_MAX`], each read whole: for larger ones there is
    /// [`Snapshot::blob`].
    fn blob_read(
        &self,
        hash: &BlobHash,
        offset: u64,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some(info) = self.find(hash) else { return Ok(None) };
        if info.size > PACK_BYTES_MAX as u64 {
            let size = usize::try_from(info.size).unwrap_or(usize::MAX);
            return Err(StoreError::refused("blob of a snapshot", size, PACK_BYTES_MAX));
        }
        let mut bytes = Vec::new();
        let file = self.blob(info)?;
        let read = file.take(info.size.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| StoreError::io("read", hash.to_string(), error))?;
        if BlobHash::of(&bytes) != *hash {
            return Err(StoreError::corrupt(hash.to_string(), "the bytes do not match their hash"));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(len.min(BLOB_READ_BYTES_MAX)).min(bytes.len());
        Ok(Some(Bytes::from(bytes).slice(start..end)))
    }

    fn blob_groups(
        &self,
        _hash: &BlobHash,
        _first: u64,
        _count: usize,
    ) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
        Ok(None)
    }

    fn blob_check(&self, blob: &BlobInfo) -> Result<(), StoreError> {
        let file = self.blob(blob)?;
        let found = file
            .metadata()
            .map_err(|error| StoreError::io("look at", blob.hash.to_string(), error))?;
        if found.len() == blob.size {
            return Ok(());
        }
        let detail = format!("the file has {} bytes, not {}", found.len(), blob.size);
        Err(StoreError::corrupt(blob.hash.to_string(), detail))
    }

    fn blob_set_aside(&self, _hash: &BlobHash) -> Result<bool, StoreError> {
        Err(read_only())
    }

    fn blobs(&self, after: Option<&BlobHash>, limit: usize) -> Result<Vec<BlobInfo>, StoreError> {
        let later = |blob: &&BlobInfo| after.is_none_or(|after| blob.hash > *after);
        Ok(self.blobs.iter().filter(later).take(limit).copied().collect())
    }

    fn blobs_remove(&self, _hashes: &[BlobHash]) -> Result<u64, StoreError> {
        Err(read_only())
    }

    fn blob_footprint(&self, hash: &BlobHash) -> Result<u64, StoreError> {
        Ok(self.find(hash).map_or(0, |blob| blob.size))
    }

    fn blobs_set_aside(&self) -> Result<Vec<BlobHash>, StoreError> {
        Ok(Vec::new())
    }

    fn partial_open(
        &self,
        _hash: &BlobHash,
        _size: u64,
    ) -> Result<Box<dyn PartialBlob>, StoreError> {
        Err(read_only())
    }

    fn partials(&self) -> Result<Vec<PartialInfo>, StoreError> {
        Ok(Vec::new())
    }

    fn partial_remove(&self, _hash: &BlobHash, _size: u64) -> Result<bool, StoreError> {
        Err(read_only())
    }

    fn room(&self) -> Option<u64> {
        Some(0)
    }

    fn stats(&self) -> StoreStats {
        StoreStats { last_commit: self.commit, ..StoreStats::default() }
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn read_only() -> StoreError {
    StoreError::ReadOnly { reason: "a snapshot is only read".to_owned() }
}
