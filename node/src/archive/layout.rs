//! What both directions agree on.

use mosaic_engine::limits::{BODY_BYTES_MAX, BODY_SALT_BYTES};
use serde::{Deserialize, Serialize};

/// Version of the layout.
pub(super) const FORMAT: u32 = 2;
/// The one before: without [`RING`].
pub(super) const FORMAT_BEFORE: u32 = 1;
/// First entry.
pub(super) const HEADER: &str = "mosaic.json";
/// The certificate path of the device.
pub(super) const PATH: &str = "device.path";
/// Its keys.
pub(super) const KEYS: &str = "device.key";
/// The recovery words, as the home keeps them until somebody has them on paper.
pub(super) const WORDS: &str = "recovery.words";
/// Where keys of hubs and conversations are, sealed to those of the device.
pub(super) const RING: &str = "keyring/";
/// Bytes of the name of such a key, and of what is sealed.
pub(super) const RING_ROW_BYTES_MAX: [usize; 2] = [128, 4096];
/// Where bundles of chains are.
pub(super) const CHAINS: &str = "chains/";
/// Where packs of bodies are.
pub(super) const BODIES: &str = "bodies/";
/// Where larger files are.
pub(super) const FILES: &str = "files/";
/// Bytes of a bundle or a pack at which the next one begins.
pub(super) const PART_BYTES: usize = 1024 * 1024;
/// Bytes of the recovery words.
pub(super) const WORDS_BYTES_MAX: u64 = 256;
/// Bytes of a body that goes into a pack; larger ones are files.
pub(super) const BODY_BYTES: u64 = (BODY_BYTES_MAX + BODY_SALT_BYTES) as u64;

/// How much is in an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Documents.
    pub documents: u64,
    /// Chains, branches counted.
    pub chains: u64,
    /// Texts and small files.
    pub bodies: u64,
    /// Their bytes.
    pub body_bytes: u64,
    /// Larger files.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Bodies that are named and were not there when it was made.
    pub missing: u64,
}

impl Contents {
    /// Bytes of everything whose size is known before it is read.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.body_bytes.saturating_add(self.file_bytes)
    }
}

/// What the first entry says. A later version may say more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Version of the layout.
    pub format: u32,
    /// Version of the program.
    pub program: String,
    /// The account.
    pub account: String,
    /// The device that made it.
    pub device: String,
    /// When.
    pub created_at: String,
    /// Commit of the store that it shows.
    pub commit: u64,
    /// Whether the keys are in it.
    pub keys: bool,
    /// Hash over all known heads, as hex.
    pub heads: String,
    /// How much is in it.
    #[serde(flatten)]
    pub contents: Contents,
}
