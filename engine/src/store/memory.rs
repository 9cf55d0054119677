//! A store in memory with simulated durability: what was not committed is lost in a crash.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::hash::BlobHash;

use super::{
    BLOB_READ_BYTES_MAX, Batch, BlobInfo, BlobWriter, CommitNumber, Completion, GROUP_BYTES,
    PARTIAL_STEP_BYTES, PartialBlob, PartialInfo, Pending, Row, RowVisitor, Store, StoreError,
    StoreStats, Table, TableStats, effects::collect, group_set::GroupSet, range::bounds,
};

/// The store in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

/// Groups of a partial blob, by their offset.
type Groups = BTreeMap<u64, Bytes>;

#[derive(Default)]
struct Inner {
    tables: BTreeMap<Table, BTreeMap<Bytes, Bytes>>,
    blobs: BTreeMap<BlobHash, Bytes>,
    partials: BTreeMap<(BlobHash, u64), (GroupSet, Groups)>,
    open_partials: BTreeSet<(BlobHash, u64)>,
    waiting: VecDeque<(Batch, Completion)>,
    held: bool,
    closed: bool,
    stats: StoreStats,
}

impl MemoryStore {
    /// Makes an empty store that commits each batch at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds batches back, or commits those that wait, as one group with one fsync.
    pub fn hold_commits(&self, hold: bool) {
        let answers = {
            let mut inner = self.lock();
            inner.held = hold;
            if hold { Vec::new() } else { inner.commit_waiting() }
        };
        for (number, completion) in answers {
            completion.complete(Ok(number));
        }
    }

    /// Cuts the power: batches that wait are lost, this handle and its clones answer
    /// [`StoreError::Closed`], and what was durable comes back as a new store.
    #[must_use]
    pub fn crash(&self) -> Self {
        let durable = self.snapshot();
        let mut inner = self.lock();
        inner.closed = true;
        let lost = std::mem::take(&mut inner.waiting);
        drop(inner);
        drop(lost);
        durable
    }

    /// Copies what is durable into a new store: a backup.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let inner = self.lock();
        let durable = Inner {
            tables: inner.tables.clone(),
            blobs: inner.blobs.clone(),
            partials: inner.partials.clone(),
            stats: StoreStats { last_commit: inner.stats.last_commit, ..StoreStats::default() },
            ..Inner::default()
        };
        Self { inner: Arc::new(Mutex::new(durable)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.lock();
        if inner.closed { Err(StoreError::Closed) } else { Ok(inner) }
    }
}

impl Inner {
    fn commit_waiting(&mut self) -> Vec<(CommitNumber, Completion)> {
        let (mut batches, mut answers) = (Vec::new(), Vec::new());
        for (batch, completion) in std::mem::take(&mut self.waiting) {
            self.stats.commits += 1;
            self.stats.bytes_written += batch.bytes() as u64;
            self.stats.last_commit = CommitNumber(self.stats.last_commit.0 + 1);
            answers.push((self.stats.last_commit, completion));
            batches.push(batch);
        }
        self.stats.fsyncs += u64::from(!answers.is_empty());
        for ((table, key), value) in collect(batches) {
            let rows = self.tables.entry(table).or_default();
            match value {
                // a copy: a slice of a large buffer must not keep all of it alive
                Some(value) => {
                    rows.insert(Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value))
                }
                None => rows.remove(&key),
            };
        }
        answers
    }

    fn table_stats(&self, table: Table) -> TableStats {
        let Some(rows) = self.tables.get(&table) else { return TableStats::default() };
        TableStats {
            rows: rows.len() as u64,
            bytes: rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum(),
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.open()?.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        start: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let inner = self.open()?;
        let Some((lower, upper)) = bounds(table, prefix, start, reverse)? else {
            return Ok(Vec::new());
        };
        let Some(rows) = inner.tables.get(&table) else { return Ok(Vec::new()) };
        let range = (lower.map(Bytes::from), upper.map(Bytes::from));
        let range = rows.range::<Bytes, _>(range).map(|(key, value)| (key.clone(), value.clone()));
        Ok(if reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() })
    }

    fn submit(&self, batch: Batch) -> Result<Pending, StoreError> {
        batch.check()?;
        let (completion, pending) = Pending::new();
        let answers = {
            let mut inner = self.open()?;
            inner.waiting.push_back((batch, completion));
            if inner.held { Vec::new() } else { inner.commit_waiting() }
        };
        for (number, completion) in answers {
            completion.complete(Ok(number));
        }
        Ok(pending)
    }

    fn verify(&self, table: Table, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        let rows = self.open()?.tables.get(&table).cloned().unwrap_or_default();
        for (key, value) in &rows {
            visit(key, value)?;
        }
        Ok(rows.len() as u64)
    }

    fn verify_files(&self) -> Result<(), StoreError> {
        self.open().map(drop)
    }

    fn blob_create(&self, size_max: u64) -> Result<Box<dyn BlobWriter>, StoreError> {
        drop(self.open()?);
        Ok(Box::new(MemoryBlobWriter { store: self.clone(), bytes: Vec::new(), size_max }))
    }

    fn blobs_put(&self, blobs: &[(BlobHash, Bytes)]) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        for (hash, bytes) in blobs {
            if BlobHash::of(bytes) != *hash {
                return Err(StoreError::refused("blob of another hash", bytes.len(), 0));
            }
            inner.blobs.entry(*hash).or_insert_with(|| Bytes::copy_from_slice(bytes));
        }
        Ok(())
    }

    fn blob_info(&self, hash: &BlobHash) -> Result<Option<BlobInfo>, StoreError> {
        let inner = self.open()?;
        let info = |bytes: &Bytes| BlobInfo { hash: *hash, size: bytes.len() as u64 };
        Ok(inner.blobs.get(hash).map(info))
    }

    fn blob_read(
        &self,
        hash: &BlobHash,
        offset: u64,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        let inner = self.open()?;
        let Some(bytes) = inner.blobs.get(hash) else { return Ok(None) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(len.min(BLOB_READ_BYTES_MAX)).min(bytes.len());
        Ok(Some(bytes.slice(start..end)))
    }

    fn blob_groups(
        &self,
        hash: &BlobHash,
        first: u64,
        count: usize,
    ) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
        use blake3::hazmat::HasherExt;
        let inner = self.open()?;
        let Some(bytes) = inner.blobs.get(hash) else { return Ok(None) };
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let groups = bytes.chunks(GROUP_BYTES).enumerate().skip(first).take(count);
        let value = |(index, part): (usize, &[u8])| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset((index * GROUP_BYTES) as u64);
            hasher.update(part);
            hasher.finalize_non_root()
        };
        Ok(Some(groups.map(value).collect()))
    }

    fn blob_check(&self, _: &BlobInfo) -> Result<(), StoreError> {
        self.open().map(drop)
    }

    fn blob_set_aside(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        self.blob_remove(hash)
    }

    fn blobs(&self, after: Option<&BlobHash>, limit: usize) -> Result<Vec<BlobInfo>, StoreError> {
        let inner = self.open()?;
        let blobs = inner.blobs.iter().filter(|(hash, _)| after.is_none_or(|after| *hash > after));
        let info =
            |(hash, bytes): (&BlobHash, &Bytes)| BlobInfo { hash: *hash, size: bytes.len() as u64 };
        Ok(blobs.take(limit).map(info).collect())
    }

    fn blobs_remove(&self, hashes: &[BlobHash]) -> Result<u64, StoreError> {
        let mut inner = self.open()?;
        let gone = hashes.iter().filter(|hash| inner.blobs.remove(*hash).is_some());
        Ok(gone.count() as u64)
    }

    fn blob_footprint(&self, hash: &BlobHash) -> Result<u64, StoreError> {
        Ok(self.open()?.blobs.get(hash).map_or(0, |bytes| bytes.len() as u64))
    }

    fn blobs_set_aside(&self) -> Result<Vec<BlobHash>, StoreError> {
        self.open().map(|_| Vec::new())
    }

    fn partial_open(&self, hash: &BlobHash, size: u64) -> Result<Box<dyn PartialBlob>, StoreError> {
        let mut inner = self.open()?;
        if !inner.open_partials.insert((*hash, size)) {
            return Err(StoreError::Busy(*hash));
        }
        let known = inner.partials.get(&(*hash, size)).cloned();
        let (held, groups) = known.unwrap_or_else(|| (GroupSet::empty(size), Groups::new()));
        let (store, hash) = (self.clone(), *hash);
        Ok(Box::new(MemoryPartial { store, hash, size, held, groups, fresh_bytes: 0 }))
    }

    fn partials(&self) -> Result<Vec<PartialInfo>, StoreError> {
        let inner = self.open()?;
        let mut keys: BTreeSet<_> = inner.partials.keys().copied().collect();
        keys.extend(&inner.open_partials);
        let info = |key: (BlobHash, u64)| {
            let held = inner.partials.get(&key).map_or(0, |(held, _)| held.bytes());
            let open = inner.open_partials.contains(&key);
            PartialInfo { hash: key.0, size: key.1, held, disk_bytes: held, open }
        };
        Ok(keys.into_iter().map(info).collect())
    }

    fn partial_remove(&self, hash: &BlobHash, size: u64) -> Result<bool, StoreError> {
        let mut inner = self.open()?;
        let open = inner.open_partials.contains(&(*hash, size));
        Ok(!open && inner.partials.remove(&(*hash, size)).is_some())
    }

    fn room(&self) -> Option<u64> {
        None
    }

    fn stats(&self) -> StoreStats {
        let inner = self.lock();
        StoreStats {
            truth: inner.table_stats(Table::Truth),
            rows: inner.table_stats(Table::Rows),
            meta: inner.table_stats(Table::Meta),
            blobs: TableStats {
                rows: inner.blobs.len() as u64,
                bytes: inner.blobs.values().map(|bytes| bytes.len() as u64).sum(),
            },
            ..inner.stats
        }
    }

    fn close(&self) -> Result<(), StoreError> {
        let answers = {
            let mut inner = self.lock();
            inner.closed = true;
            inner.commit_waiting()
        };
        for (number, completion) in answers {
            completion.complete(Ok(number));
        }
        Ok(())
    }
}

/// A blob being collected.
#[derive(Debug)]
struct MemoryBlobWriter {
    store: MemoryStore,
    bytes: Vec<u8>,
    size_max: u64,
}

impl BlobWriter for MemoryBlobWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let size = (self.bytes.len() as u64).saturating_add(bytes.len() as u64);
        if size > self.size_max {
            return Err(StoreError::Refused { what: "blob", found: size, limit: self.size_max });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>, expected: Option<&BlobHash>) -> Result<BlobInfo, StoreError> {
        let (hash, size) = (BlobHash::of(&self.bytes), self.bytes.len() as u64);
        if expected.is_some_and(|expected| *expected != hash) {
            return Err(StoreError::Refused {
                what: "blob of another hash",
                found: size,
                limit: 0,
            });
        }
        self.store.open()?.blobs.insert(hash, Bytes::from(self.bytes));
        Ok(BlobInfo { hash, size })
    }
}

/// A blob of which parts come.
#[derive(Debug)]
struct MemoryPartial {
    store: MemoryStore,
    hash: BlobHash,
    size: u64,
    held: GroupSet,
    groups: Groups,
    fresh_bytes: u64,
}

impl PartialBlob for MemoryPartial {
    fn missing(&self) -> Vec<Range<u64>> {
        self.held.missing()
    }

    fn write(&mut self, offset: u64, group: &[u8]) -> Result<bool, StoreError> {
        let Some(index) = self.held.group_at(offset, group.len()) else {
            return Err(StoreError::refused("part of a blob", group.len(), GROUP_BYTES));
        };
        if !self.held.insert(index) {
            return Ok(false);
        }
        self.groups.insert(offset, Bytes::copy_from_slice(group));
        self.fresh_bytes += group.len() as u64;
        if self.fresh_bytes >= PARTIAL_STEP_BYTES {
            self.checkpoint()?;
        }
        Ok(true)
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let mut inner = self.store.open()?;
        if self.fresh_bytes > 0 {
            let part = (self.held.clone(), self.groups.clone());
            inner.partials.insert((self.hash, self.size), part);
        }
        self.fresh_bytes = 0;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<BlobInfo, StoreError> {
        let (found, limit) = (self.held.bytes(), self.size);
        if !self.held.is_whole() {
            return Err(StoreError::Refused { what: "incomplete blob", found, limit });
        }
        let bytes: Vec<u8> = self.groups.values().flatten().copied().collect();
        let mut inner = self.store.open()?;
        inner.partials.remove(&(self.hash, self.size));
        if BlobHash::of(&bytes) != self.hash {
            let what = "blob of another hash";
            return Err(StoreError::Refused { what, found, limit: 0 });
        }
        inner.blobs.insert(self.hash, Bytes::from(bytes));
        Ok(BlobInfo { hash: self.hash, size: self.size })
    }
}

impl Drop for MemoryPartial {
    fn drop(&mut self) {
        self.store.lock().open_partials.remove(&(self.hash, self.size));
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
