//! Changes: what may be stored as one, and how it is looked at before Automerge sees it.
//!
//! A log change has exactly one form, built and compared by [`log`] without Automerge. A
//! map change passes [`prescan`], which is bounded, and then the rules of [`gate`].

mod columns;
mod frame;
pub mod gate;
pub mod log;
pub mod malformed;
pub mod prescan;
pub mod text;
pub mod value;

use std::fmt;

use crate::chain::ChainKey;
use crate::hash::{ChangeHash, ChangeId, derive};

/// Automerge's name for who made an operation: one for each chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor([u8; Self::LEN]);

impl Actor {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// Returns the actor of a chain: the first 16 bytes of
    /// `derive_key("mosaic actor 1", device ‖ doc ‖ incarnation)`.
    #[must_use]
    pub fn of(chain: &ChainKey) -> Self {
        let parts: [&[u8]; 3] =
            [chain.device.as_bytes(), chain.doc.as_bytes(), chain.incarnation.as_bytes()];
        let [actor @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            derive("mosaic actor 1", &parts);
        Self(actor)
    }

    /// Wraps raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({self})")
    }
}

/// Where a change has to stand: which chain's, and after what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPosition {
    /// The chain's actor.
    pub actor: Actor,
    /// Number of the change, from 1.
    pub n: u64,
    /// Automerge's hash of the chain's change before; none for the first.
    pub previous: Option<ChangeHash>,
}

impl ChainPosition {
    /// The place after the newest change of a chain, by its number and hash.
    #[must_use]
    pub fn after(actor: Actor, newest: Option<(u64, ChangeHash)>) -> Self {
        newest.map_or(Self { actor, n: 1, previous: None }, |(n, hash)| Self {
            actor,
            n: n + 1,
            previous: Some(hash),
        })
    }
}

/// The bytes of a change and its two names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltChange {
    /// The uncompressed change chunk.
    pub bytes: Vec<u8>,
    /// Our name of it.
    pub id: ChangeId,
    /// Automerge's name of it.
    pub hash: ChangeHash,
}

/// First four bytes of every Automerge chunk.
pub(crate) const CHUNK_MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Chunk type of an uncompressed change.
pub(crate) const CHUNK_CHANGE: u8 = 1;

/// Automerge's hash: SHA-256 over chunk type, length and body.
pub(crate) fn chunk_hash(typed: &[u8]) -> ChangeHash {
    use sha2::{Digest, Sha256};
    ChangeHash::from_bytes(Sha256::digest(typed).into())
}

/// The checksum in a chunk's header: the first four bytes of its hash.
pub(crate) const fn checksum(hash: &ChangeHash) -> [u8; 4] {
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

#[cfg(test)]
pub(crate) mod dice;
#[cfg(any(test, feature = "test-utils"))]
#[allow(
    clippy::missing_panics_doc,
    clippy::type_complexity,
    reason = "what tests are made of may panic"
)]
pub mod lies;
#[cfg(any(test, feature = "test-utils"))]
#[allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "what tests are made of may panic"
)]
pub mod raw;
