//! The store contract: byte keys and values in three tables, committed in atomic batches.
//!
//! **Committed means fsynced.** A [`Pending`] resolves only when its batch is on stable storage;
//! reads never show a batch before that. Batches commit in the order of their submission. After a
//! failed write or fsync the store refuses every later write until it is opened anew: a retried
//! fsync proves nothing.
//!
//! ```text
//! callers ──submit──► bounded queue ──► one writer thread ──► one batch, one fsync ──► Pending
//! callers ──get, scan, blob_read──────────────────────────► tables and blob files
//! ```
//!
//! The contract has three implementations: `disk` (fjall), [`memory`] (simulated durability) and
//! `faulty` (fails or crashes at the n-th call). All pass `conformance`.

#[cfg(feature = "disk")]
mod archive;
mod blob;
#[cfg(feature = "disk")]
mod blob_files;
#[cfg(any(test, feature = "test-utils"))]
pub mod conformance;
#[cfg(feature = "disk")]
pub mod disk;
mod effects;
mod error;
#[cfg(any(test, feature = "test-utils"))]
pub mod faulty;
#[cfg(feature = "disk")]
mod files;
#[cfg(feature = "disk")]
mod format;
mod group_set;
#[cfg(feature = "disk")]
mod groups;
#[cfg(feature = "disk")]
mod highwater;
#[cfg(feature = "disk")]
mod journal;
pub mod keys;
#[cfg(feature = "disk")]
mod lock;
pub mod memory;
mod pending;
#[cfg(feature = "disk")]
mod preflight;
mod range;
#[cfg(feature = "disk")]
mod writer;

use std::fmt;

use bytes::Bytes;

use crate::hash::BlobHash;

pub use blob::{
    BLOB_READ_BYTES_MAX, BlobInfo, BlobWriter, GROUP_BYTES, PARTIAL_STEP_BYTES, PartialBlob,
    PartialInfo,
};
pub use error::{Damage, StoreError};
#[cfg(feature = "disk")]
pub use format::STORE_FORMAT;
pub use pending::{Completion, Pending};

/// Bytes of one key.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes of one value: a deterministic pack of 16 MiB never is a row, a page of rows is.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one batch, keys and values together.
pub const BATCH_BYTES_MAX: usize = 24 * 1024 * 1024;
/// First byte of the keys of [`Table::Meta`] that belong to the store itself.
pub const RESERVED_META_BYTE: u8 = 0xFF;

/// A table of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Write-once truth: changes, bodies, certificates, under their hashes.
    Truth,
    /// Rows that can be rebuilt from the truth.
    Rows,
    /// Small mutable state. Keys that begin with [`RESERVED_META_BYTE`] are the store's own.
    Meta,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 3] = [Self::Truth, Self::Rows, Self::Meta];

    /// Stable lower-case name, as in messages and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truth => "truth",
            Self::Rows => "rows",
            Self::Meta => "meta",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Number of a commit: 1 for the first batch, one more for each later one, across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u64);

/// One step of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets a key.
    Put {
        /// The table.
        table: Table,
        /// At most [`KEY_BYTES_MAX`] bytes, not empty.
        key: Bytes,
        /// At most [`VALUE_BYTES_MAX`] bytes.
        value: Bytes,
    },
    /// Removes a key; removing an absent one is no error.
    Delete {
        /// The table.
        table: Table,
        /// At most [`KEY_BYTES_MAX`] bytes, not empty.
        key: Bytes,
    },
}

/// Operations that happen all together or not at all; of two on one key the later wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    operations: Vec<Operation>,
    bytes: usize,
}

impl Batch {
    /// Starts an empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` of `table`.
    pub fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.operations.push(Operation::Put { table, key, value });
    }

    /// Removes `key` of `table`.
    pub fn delete(&mut self, table: Table, key: impl Into<Bytes>) {
        let key = key.into();
        self.bytes += key.len();
        self.operations.push(Operation::Delete { table, key });
    }

    /// Appends all operations of `other`.
    pub fn append(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.operations.extend(other.operations);
    }

    /// Returns the operations in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Returns the number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns whether nothing was put or deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Returns the bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the operations out.
    #[must_use]
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// Returns whether something is put into `table`.
    #[must_use]
    pub fn adds_to(&self, table: Table) -> bool {
        let adds = |operation: &Operation| match operation {
            Operation::Put { table: of, .. } => *of == table,
            Operation::Delete { .. } => false,
        };
        self.operations.iter().any(adds)
    }

    /// Checks the limits of keys, values and the whole, and that no key is the store's own.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] names the limit.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.bytes > BATCH_BYTES_MAX {
            return Err(StoreError::refused("batch", self.bytes, BATCH_BYTES_MAX));
        }
        for operation in &self.operations {
            let (table, key, value_len) = match operation {
                Operation::Put { table, key, value } => (*table, key, value.len()),
                Operation::Delete { table, key } => (*table, key, 0),
            };
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return Err(StoreError::refused("key", key.len(), KEY_BYTES_MAX));
            }
            if value_len > VALUE_BYTES_MAX {
                return Err(StoreError::refused("value", value_len, VALUE_BYTES_MAX));
            }
            if table == Table::Meta && key.first() == Some(&RESERVED_META_BYTE) {
                return Err(StoreError::refused("key of the store itself", key.len(), 0));
            }
        }
        Ok(())
    }
}

/// Size of one table, as far as it is known without walking it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Rows, approximately: overwritten and deleted ones may still be counted.
    pub rows: u64,
    /// Bytes of the table on disk (memory store: of keys and values).
    pub bytes: u64,
}

/// Counters since the store was opened, and sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Batches committed.
    pub commits: u64,
    /// Flushes to stable storage for them: at most one a commit, far fewer under load.
    pub fsyncs: u64,
    /// Bytes of keys and values committed.
    pub bytes_written: u64,
    /// Number of the last commit ever.
    pub last_commit: CommitNumber,
    /// [`Table::Truth`].
    pub truth: TableStats,
    /// [`Table::Rows`].
    pub rows: TableStats,
    /// [`Table::Meta`].
    pub meta: TableStats,
    /// Large blobs kept as files.
    pub blobs: TableStats,
    /// Bytes of everything on disk; 0 for the memory store.
    pub disk_bytes: u64,
}

/// A key and its value.
pub type Row = (Bytes, Bytes);

/// What [`Store::verify`] calls for each row.
pub type RowVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// Where everything is kept. See the module for what it promises.
pub trait Store: Send + Sync + fmt::Debug {
    /// Returns the committed value of `key`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when the bytes on disk are damaged.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Returns at most `limit` committed rows whose keys begin with `prefix`, in key order
    /// (descending if `reverse`). `start`, which must begin with `prefix`, is the first key that
    /// may be returned: rows with keys `>= start`, or `<= start` if `reverse`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] when `start` does not begin with `prefix`,
    /// [`StoreError::Corrupt`] when the bytes on disk are damaged.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        start: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// Queues a batch; the returned [`Pending`] resolves when it is fsynced. Waits while the queue
    /// is full. An empty batch is committed too: it resolves after everything submitted before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] over a limit, [`StoreError::ReadOnly`] after an earlier failure,
    /// [`StoreError::Closed`].
    fn submit(&self, batch: Batch) -> Result<Pending, StoreError>;

    /// Submits a batch and waits until it is fsynced.
    ///
    /// # Errors
    ///
    /// As [`Store::submit`]; an error means *not acknowledged*: after a restart the batch may be
    /// there or not.
    fn commit(&self, batch: Batch) -> Result<CommitNumber, StoreError> {
        self.submit(batch)?.wait()
    }

    /// Walks a whole table in key order, calls `visit` for each row, returns their number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] at the first damaged block; an error of `visit` ends the walk.
    fn verify(&self, table: Table, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError>;

    /// Checks whatever [`Store::verify`] cannot see, for instance the files' own checksums.
    /// Reads everything: minutes on a large store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] for the first damage.
    fn verify_files(&self) -> Result<(), StoreError>;

    /// Starts a large blob of at most `size_max` bytes, hashed while it is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::ReadOnly`], [`StoreError::Io`].
    fn blob_create(&self, size_max: u64) -> Result<Box<dyn BlobWriter>, StoreError>;

    /// Takes large blobs that are in memory, all durable when it returns, with one commit; those
    /// that are here already stay as they are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if bytes are not those of their hash, else as [`Store::commit`];
    /// then any of them may be here.
    fn blobs_put(&self, blobs: &[(BlobHash, Bytes)]) -> Result<(), StoreError>;

    /// Returns what is known about a complete blob.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    fn blob_info(&self, hash: &BlobHash) -> Result<Option<BlobInfo>, StoreError>;

    /// Returns up to `len` bytes (at most [`BLOB_READ_BYTES_MAX`]) from `offset`, fewer only at
    /// the end; `None` if the blob is not held. Every returned byte has been verified against
    /// `hash`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] names the damaged file.
    fn blob_read(
        &self,
        hash: &BlobHash,
        offset: u64,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError>;

    /// Returns the BLAKE3 chaining values of `count` groups of 16 KiB from group `first` on, fewer
    /// at the end: what a verified transfer needs besides the bytes.
    ///
    /// # Errors
    ///
    /// As [`Store::blob_read`].
    fn blob_groups(
        &self,
        hash: &BlobHash,
        first: u64,
        count: usize,
    ) -> Result<Option<Vec<[u8; 32]>>, StoreError>;

    /// Looks whether the bytes of a blob are there and as many as they should be, without reading
    /// them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] names the damaged file.
    fn blob_check(&self, blob: &BlobInfo) -> Result<(), StoreError>;

    /// Forgets a blob whose bytes are not those it names; what is left of them stays beside the
    /// others until the blob is removed or comes again. Returns whether it was there.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    fn blob_set_aside(&self, hash: &BlobHash) -> Result<bool, StoreError>;

    /// Returns at most `limit` complete blobs with hashes above `after`, in order.
    ///
    /// # Errors
    ///
    /// As [`Store::scan`].
    fn blobs(&self, after: Option<&BlobHash>, limit: usize) -> Result<Vec<BlobInfo>, StoreError>;

    /// Removes a blob, and what was set aside of it; returns whether it was there.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    fn blob_remove(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        Ok(self.blobs_remove(std::slice::from_ref(hash))? > 0)
    }

    /// Removes blobs, and what was set aside of them, with one commit at most; returns how many
    /// were there.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    fn blobs_remove(&self, hashes: &[BlobHash]) -> Result<u64, StoreError>;

    /// Returns the bytes that [`Store::blob_remove`] gives back.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    fn blob_footprint(&self, hash: &BlobHash) -> Result<u64, StoreError>;

    /// Returns the blobs of which something was set aside, in order.
    ///
    /// # Errors
    ///
    /// As [`Store::scan`].
    fn blobs_set_aside(&self) -> Result<Vec<BlobHash>, StoreError>;

    /// Opens a blob on its way in, with what is here of it from before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if it is open, [`StoreError::DiskFull`] if there is no room for what is
    /// missing, and some more for commits; [`StoreError::ReadOnly`], [`StoreError::Io`].
    fn partial_open(&self, hash: &BlobHash, size: u64) -> Result<Box<dyn PartialBlob>, StoreError>;

    /// Returns the blobs of which a part is here, in order.
    ///
    /// # Errors
    ///
    /// As [`Store::scan`].
    fn partials(&self) -> Result<Vec<PartialInfo>, StoreError>;

    /// Removes what is here of a blob on its way in; returns whether there was something. One that
    /// is being written stays.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    fn partial_remove(&self, hash: &BlobHash, size: u64) -> Result<bool, StoreError>;

    /// Returns the bytes there is room for, besides what is kept back for commits; `None` where
    /// nobody says.
    fn room(&self) -> Option<u64>;

    /// Returns counters and sizes.
    fn stats(&self) -> StoreStats;

    /// Commits what is queued, makes everything durable and stops. Later calls answer
    /// [`StoreError::Closed`]; closing twice is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when the last flush fails; acknowledged commits are safe regardless.
    fn close(&self) -> Result<(), StoreError>;
}
