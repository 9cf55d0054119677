//! Large blobs: what the contract says about them.

use std::{fmt, io::Read};

use crate::hash::BlobHash;

use super::{Store, StoreError};

/// Bytes of one [`Store::blob_read`].
pub const BLOB_READ_BYTES_MAX: usize = 1024 * 1024;

/// A complete blob kept as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its BLAKE3 hash.
    pub hash: BlobHash,
    /// Its size in bytes.
    pub size: u64,
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
