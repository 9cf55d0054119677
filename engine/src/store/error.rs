//! What can go wrong in a store.

use std::{fmt, io, path::PathBuf, sync::Arc};

use crate::hash::BlobHash;

use super::Table;

/// Why a store operation failed. Cheap to clone: one failed fsync answers many callers.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store open.
    #[error("store is in use by process {}", pid.map_or_else(|| "unknown".to_owned(), |p| p.to_string()))]
    Locked {
        /// The process, if it could be read.
        pid: Option<u32>,
    },
    /// Bytes on disk are not what was written. Nothing was changed because of it.
    #[error("store is damaged: {0}")]
    Corrupt(Box<Damage>),
    /// An earlier write or fsync failed: reads go on, writes need the store opened anew.
    #[error("the store takes no writes until it is opened again: {reason}")]
    ReadOnly {
        /// The first failure.
        reason: String,
    },
    /// No room on the disk; nothing of this was saved, and the store goes on.
    #[error("disk is full at {}: nothing was saved", path.display())]
    DiskFull {
        /// The store's directory.
        path: PathBuf,
    },
    /// Written by a later version of the program.
    #[error("store has format {found}, this program knows formats up to {supported}")]
    FormatTooNew {
        /// The store's format.
        found: u32,
        /// The newest format this program reads.
        supported: u32,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "open", "write".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: Arc<io::Error>,
    },
    /// An argument is over a limit.
    #[error("{what} of {found} bytes refused, limit {limit}")]
    Refused {
        /// The thing.
        what: &'static str,
        /// Its size in bytes.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Somebody is writing this very blob.
    #[error("blob {0} is being received already")]
    Busy(BlobHash),
    /// The store has been closed.
    #[error("store is closed")]
    Closed,
}

/// Where damage was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The damaged file, or the directory if the file is not known.
    pub file: PathBuf,
    /// Byte offset in the file, if known.
    pub offset: Option<u64>,
    /// The table whose rows it touches, if known.
    pub table: Option<Table>,
    /// What is wrong, in a few words.
    pub detail: String,
    /// Whether `salvage` can set the damaged part aside and keep the rest.
    pub salvageable: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        if let Some(table) = self.table {
            write!(f, " (table {table})")?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl StoreError {
    /// Makes an [`StoreError::Io`], or [`StoreError::DiskFull`] if that is the cause.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { doing, path, source: Arc::new(source) },
        }
    }

    /// Makes a [`StoreError::Corrupt`] for a file.
    pub fn corrupt(file: impl Into<PathBuf>, detail: impl Into<String>) -> Self {
        Self::Corrupt(Box::new(Damage {
            file: file.into(),
            offset: None,
            table: None,
            detail: detail.into(),
            salvageable: false,
        }))
    }

    /// Makes a [`StoreError::Refused`].
    #[must_use]
    pub const fn refused(what: &'static str, found: usize, limit: usize) -> Self {
        Self::Refused { what, found: found as u64, limit: limit as u64 }
    }

    /// Returns the damage of a [`StoreError::Corrupt`].
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::Corrupt(damage) => Some(damage),
            _ => None,
        }
    }
}
