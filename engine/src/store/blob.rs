//! Large blobs: what the contract says about them.

use std::{fmt, io::Read, ops::Range};

use crate::hash::BlobHash;

use super::{Store, StoreError};

/// Bytes of one [`Store::blob_read`].
pub const BLOB_READ_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a group: what is verified, and counts as here, as one.
pub const GROUP_BYTES: usize = 16 * 1024;
/// Bytes that come of a blob before they are made durable: as many are lost in a crash, and a few
/// more that are on their way.
pub const PARTIAL_STEP_BYTES: u64 = 1024 * 1024;

/// A complete blob kept as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its BLAKE3 hash.
    pub hash: BlobHash,
    /// Its size in bytes.
    pub size: u64,
}

/// A blob of which a part is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialInfo {
    /// The hash that it is to have.
    pub hash: BlobHash,
    /// The size that it is to have.
    pub size: u64,
    /// Bytes that are here and count.
    pub held: u64,
    /// Bytes that it takes: what is given back when it is removed.
    pub disk_bytes: u64,
    /// Whether somebody is writing it.
    pub open: bool,
}

/// A blob on its way in, of which parts come in any order, from anywhere, over several runs. What
/// was written since the last [`PartialBlob::checkpoint`] is lost when it is dropped.
pub trait PartialBlob: Send + fmt::Debug {
    /// Returns the byte ranges that are not here. All but the end of the last are multiples of
    /// [`GROUP_BYTES`].
    fn missing(&self) -> Vec<Range<u64>>;

    /// Writes a whole group (the last one may be shorter), which the caller has verified; returns
    /// whether it was not here. Makes durable what came, every [`PARTIAL_STEP_BYTES`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] for anything but a whole group, [`StoreError::DiskFull`],
    /// [`StoreError::Io`].
    fn write(&mut self, offset: u64, group: &[u8]) -> Result<bool, StoreError>;

    /// Makes durable what was written: from now on it is there after a crash. What counts as here
    /// never runs ahead of what is fsynced.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    fn checkpoint(&mut self) -> Result<(), StoreError>;

    /// Makes the blob durable and known; if its groups do not make up its hash, nothing is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] when something is missing or the hash is another; otherwise as
    /// [`Store::commit`].
    fn finish(self: Box<Self>) -> Result<BlobInfo, StoreError>;
}

/// A blob being written. Dropping it before [`BlobWriter::finish`] leaves nothing behind.
pub trait BlobWriter: Send + fmt::Debug {
    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] past the size limit, [`StoreError::DiskFull`], [`StoreError::Io`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes the blob durable and known. If `expected` is given and differs, nothing is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] when the hash is not `expected`; otherwise as [`Store::commit`].
    fn finish(self: Box<Self>, expected: Option<&BlobHash>) -> Result<BlobInfo, StoreError>;
}

impl dyn Store + '_ {
    /// Streams `source` into a new blob of at most `size_max` bytes; returns when it is durable.
    ///
    /// # Errors
    ///
    /// As [`BlobWriter::write`] and [`BlobWriter::finish`]; [`StoreError::Io`] of the source.
    pub fn blob_put(&self, source: &mut dyn Read, size_max: u64) -> Result<BlobInfo, StoreError> {
        let mut writer = self.blob_create(size_max)?;
        let mut buffer = vec![0u8; 64 * 1024];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return writer.finish(None),
                Ok(n) => writer.write(buffer.get(..n).unwrap_or_default())?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("read", "attachment", error)),
            }
        }
    }
}
