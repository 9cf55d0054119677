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

pub use fetch::{FetchCaps, FetchError, FetchStats, Want, fetch_many, fetch_streaming};
pub use serve::{BlobHandler, ServeLimits};

/// The stock protocol name.
pub const BLOBS_ALPN: &[u8] = iroh_blobs::ALPN;
/// Hashes in one request, asked or answered.
pub const HASHES_PER_REQUEST_MAX: usize = 1_000;
/// Bytes gathered before they are written to a stream: the transport of this version drops
/// connections on which thousands of small pieces wait unread.
const WRITE_BYTES: usize = 64 * 1024;

/// Where served blobs come from. Calls may block; they are made on threads that may wait.
pub trait BlobSource: Send + Sync + std::fmt::Debug + 'static {
    /// Returns whether `remote` may read `hash`. Must be false for what is not held.
    fn allowed(&self, remote: DeviceId, hash: &BlobHash) -> bool;

    /// Returns the size in bytes of a blob held whole.
    ///
    /// # Errors
    /// The store failed.
    fn size(&self, hash: &BlobHash) -> io::Result<Option<u64>>;

    /// Reads exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// The store failed, or the blob is shorter.
    fn read(&self, hash: &BlobHash, offset: u64, length: usize) -> io::Result<Bytes>;

    /// Returns the stored hash pairs in pre-order over 16 KiB groups, if they are kept.
    fn outboard(&self, hash: &BlobHash) -> Option<Bytes> {
        let _ = hash;
        None
    }

    /// Learns that the bytes kept under `hash` are not those it names.
    fn damaged(&self, hash: &BlobHash);
}
