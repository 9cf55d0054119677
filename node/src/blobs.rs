//! Blobs over the stock iroh-blobs wire, served and fetched by our own loops.
//!
//! The wire is unchanged: a stock client reads from us and we read from a stock provider. The
//! ends are ours because the stock store moves small blobs one at a time, and because its access
//! events show only the root of a request. Here every single hash is checked against the remote;
//! requests that would make us read hashes out of a blob (hash sequences), take bytes (push) or
//! tell what we hold (observe) are refused. A hash that nobody knows, one that the remote may not
//! read and one that is damaged here get the very same answer.

mod fetch;
mod outboard;
mod serve;

#[cfg(test)]
mod tests;

use std::io;

use bytes::Bytes;
use mosaic_engine::hash::{BlobHash, DeviceId};

pub use fetch::{Direct, FetchCaps, FetchError, FetchStats, Sink, Want, fetch_many, fetch_range};
pub use serve::{BlobHandler, ServeLimits};

/// The stock protocol name.
pub const BLOBS_ALPN: &[u8] = iroh_blobs::ALPN;
/// Hashes in one request, asked or answered.
pub const HASHES_PER_REQUEST_MAX: usize = 1_000;
/// Bytes gathered before they are written to a stream: the transport of this version drops
/// connections on which thousands of small pieces wait unread.
const WRITE_BYTES: usize = 64 * 1024;

/// A blob that a remote may read.
#[derive(Clone, Debug)]
pub enum OpenBlob {
    /// All of it, at most some megabytes.
    Memory(Bytes),
    /// So many bytes in the source, read piece by piece.
    Stored(u64),
}

impl OpenBlob {
    const fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Stored(size) => *size,
        }
    }
}

/// Where served blobs come from. Calls may block; they are made on threads that may wait.
pub trait BlobSource: Send + Sync + std::fmt::Debug + 'static {
    /// Opens a blob that is held whole and that `remote` may read; `None` for every other.
    ///
    /// # Errors
    /// The store failed.
    fn open(&self, remote: DeviceId, hash: &BlobHash) -> io::Result<Option<OpenBlob>>;

    /// Reads exactly `length` bytes from `offset` of a stored blob.
    ///
    /// # Errors
    /// The store failed, or the blob is shorter.
    fn read(&self, hash: &BlobHash, offset: u64, length: usize) -> io::Result<Bytes>;

    /// Returns the chaining values of so many groups of 16 KiB of a stored blob, fewer at its end;
    /// `None` if they are not at hand: then they are made of the bytes.
    ///
    /// # Errors
    /// The store failed.
    fn groups(
        &self,
        _hash: &BlobHash,
        _first: u64,
        _count: usize,
    ) -> io::Result<Option<Vec<[u8; 32]>>> {
        Ok(None)
    }

    /// Whether the remote is of an account that is kept here: strangers have places of their own,
    /// so that they cannot take those of others.
    fn knows(&self, _remote: DeviceId) -> bool {
        false
    }

    /// Learns that the bytes kept under `hash` are not those it names.
    fn damaged(&self, hash: &BlobHash);
}
