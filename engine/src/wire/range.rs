//! Ranges of a chain: what inline data and packs are made of.

use bytes::Bytes;

use crate::hash::{ChangeId, DeviceId, DocumentId, Incarnation};

/// Names a chain: one writing life of a device in one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey {
    /// The document.
    pub doc: DocumentId,
    /// The device.
    pub device: DeviceId,
    /// Its writing life.
    pub incarnation: Incarnation,
}

/// The variable fields of one log change; everything else the receiver builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogItem {
    /// The claimed time, milliseconds since 1970.
    pub time_ms: u64,
    /// The encoded entry; at most [`crate::limits::ENTRY_BYTES_MAX`] bytes.
    pub value: Bytes,
}

/// Consecutive changes of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Changes of a log document, by their variable fields.
    Log(Vec<LogItem>),
    /// Stored bytes of each change: map and sealed documents.
    Raw(Vec<Bytes>),
}

impl Changes {
    /// Number of changes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Log(items) => items.len(),
            Self::Raw(items) => items.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Changes of a named chain from `first_n` on: the element of a changes pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRange {
    /// Whose.
    pub chain: ChainKey,
    /// Number of the first change, from 1.
    pub first_n: u64,
    /// The changes.
    pub changes: Changes,
}

/// What stands for consecutive changes of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The changes.
    Changes(Changes),
    /// Their ids, where the sender does not hold the bytes.
    Ids(Vec<ChangeId>),
}

impl Content {
    /// Number of changes it stands for.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.len(),
            Self::Ids(ids) => ids.len(),
        }
    }

    /// Whether it stands for none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A piece of a chain on its way to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number of the first change, from 1.
    pub first_n: u64,
    /// Changes or ids.
    pub content: Content,
}
