//! Chains: the changes of one writing life of a device in one document, each bound to
//! all before it by a running hash, signed once at the newest.
//!
//! ```text
//! link(0) ─► link(1) ─► link(2) ─► … ─► link(n) ◄─ signed head
//!              ▲          ▲               ▲
//!           change 1   change 2        change n
//! ```
//!
//! [`SignedHead`] is what travels; [`VerifiedHead`] is what a signature proves, and
//! [`ProvenRun`] what a verified head proves about the ids before it.

mod fork;
mod head;

use thiserror::Error;

use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{ChangeId, DeviceId, DocumentId, Incarnation, Link, SpaceId, derive};
use crate::identity::IdentityError;

pub use fork::{ForkProof, VerifiedFork};
pub use head::{ChainKind, SignedHead, VerifiedHead};

/// Why a chain is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The bytes do not decode.
    #[error("chain does not decode: {0}")]
    Decode(#[from] DecodeError),
    /// The signature or the device does not hold.
    #[error("head is not believed: {0}")]
    Identity(#[from] IdentityError),
    /// The head is for another document or space than the description.
    #[error("head is of another document")]
    Document,
    /// The head's kind does not fit the document's.
    #[error("head of kind {found:?} in a document of kind {expected:?}")]
    Kind {
        /// What the description asks for.
        expected: ChainKind,
        /// What the head says.
        found: ChainKind,
    },
    /// The device is not of the account that writes the document, or not the head's.
    #[error("head is not by a device of the document's account")]
    Writer,
    /// `n` is 0 or beyond the limit of a chain.
    #[error("chain of {n} changes, limit {max}")]
    Length {
        /// The number found.
        n: u64,
        /// The limit.
        max: u64,
    },
    /// The ids do not lead to the signed link.
    #[error("ids do not lead to the signed link")]
    Broken,
    /// Two heads that do not contradict each other.
    #[error("the heads show no fork")]
    NoFork,
}

impl ChainError {
    /// Returns a stable name for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Decode(_) => "head_decode",
            Self::Identity(error) => error.name(),
            Self::Document => "head_document",
            Self::Kind { .. } => "head_kind",
            Self::Writer => "head_writer",
            Self::Length { .. } => "head_length",
            Self::Broken => "chain_broken",
            Self::NoFork => "no_fork",
        }
    }
}

/// Names a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey {
    /// The document.
    pub doc: DocumentId,
    /// The device that writes.
    pub device: DeviceId,
    /// Its writing life.
    pub incarnation: Incarnation,
}

impl ChainKey {
    /// Length of the encoding in bytes.
    pub const LEN: usize = 32 + 32 + 16;

    /// Returns link 0: `derive_key("mosaic chain 1", space ‖ doc ‖ device ‖ incarnation)`.
    #[must_use]
    pub fn origin(&self, space: &SpaceId) -> Link {
        let parts: [&[u8]; 4] = [
            space.as_bytes(),
            self.doc.as_bytes(),
            self.device.as_bytes(),
            self.incarnation.as_bytes(),
        ];
        Link::from_bytes(derive("mosaic chain 1", &parts))
    }

    /// Appends `doc 32 ‖ device 32 ‖ incarnation 16`.
    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(self.doc.as_bytes()).raw(self.device.as_bytes());
        writer.raw(self.incarnation.as_bytes());
    }

    /// Reads one key.
    ///
    /// # Errors
    /// If cut short.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            doc: DocumentId::from_bytes(reader.array("document")?),
            device: DeviceId::from_bytes(reader.array("device")?),
            incarnation: Incarnation::from_bytes(reader.array("incarnation")?),
        })
    }
}

/// Returns link `n`: `derive_key("mosaic link 1", link(n-1) ‖ n u64be ‖ ChangeId(n))`.
#[must_use]
pub fn extend(previous: &Link, n: u64, change: &ChangeId) -> Link {
    let parts: [&[u8]; 3] = [previous.as_bytes(), &n.to_be_bytes(), change.as_bytes()];
    Link::from_bytes(derive("mosaic link 1", &parts))
}

/// Ids of one chain that a verified head proves, with the link after each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRun {
    chain: ChainKey,
    base: u64,
    base_link: Link,
    steps: Vec<(ChangeId, Link)>,
}

impl ProvenRun {
    /// Returns the chain.
    #[must_use]
    pub const fn chain(&self) -> ChainKey {
        self.chain
    }

    /// Returns the number of the change before the first one here; 0 if it starts the chain.
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Returns the link after change [`ProvenRun::base`].
    #[must_use]
    pub const fn base_link(&self) -> Link {
        self.base_link
    }

    /// Iterates over number, id and link of each change, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, ChangeId, Link)> + '_ {
        (self.base + 1..).zip(&self.steps).map(|(n, (id, link))| (n, *id, *link))
    }

    /// Number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether it holds no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl VerifiedHead {
    /// Proves ids by this head: from `base_link` after change `base`, they must lead to
    /// exactly this head. With `base` 0 the link must be the chain's origin, and the whole
    /// chain is proven; otherwise a suffix, and `base_link` with it.
    ///
    /// # Errors
    /// If the ids do not lead to the head.
    pub fn prove(
        &self,
        base: u64,
        base_link: Link,
        ids: &[ChangeId],
    ) -> Result<ProvenRun, ChainError> {
        let ends = base.checked_add(ids.len() as u64);
        if ends != Some(self.n()) {
            return Err(ChainError::Broken);
        }
        if base == 0 && base_link != self.chain().origin(&self.space()) {
            return Err(ChainError::Broken);
        }
        let mut link = base_link;
        let mut steps = Vec::with_capacity(ids.len());
        for (n, id) in (base + 1..).zip(ids) {
            link = extend(&link, n, id);
            steps.push((*id, link));
        }
        if link != self.link() {
            return Err(ChainError::Broken);
        }
        Ok(ProvenRun { chain: self.chain(), base, base_link, steps })
    }
}

#[cfg(test)]
mod tests;
