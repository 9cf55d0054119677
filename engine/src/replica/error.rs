//! What the front door answers when it refuses.

use thiserror::Error;

use crate::hash::{AccountId, BlobHash, ChangeId, DeviceId, DocumentId};
use crate::store::StoreError;

/// Why an operation was refused. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no identity here yet.
    #[error("no identity on this device")]
    NoIdentity,
    /// There is one already.
    #[error("this device already belongs to account {0}")]
    IdentityExists(AccountId),
    /// Nothing has this id or prefix.
    #[error("no {what} starts with '{text}'")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// What the user wrote.
        text: String,
    },
    /// A prefix fits several.
    #[error("'{text}' fits {} {what}s: {}", candidates.len(), candidates.join(", "))]
    Ambiguous {
        /// What was looked for.
        what: &'static str,
        /// What the user wrote.
        text: String,
        /// Full ids that fit.
        candidates: Vec<String>,
    },
    /// The keys given at opening are not those of the device that writes here.
    #[error("these are not the keys of device {expected}, which writes here")]
    WrongKeys {
        /// The device.
        expected: DeviceId,
    },
    /// Something else was written under this idempotency key.
    #[error("the idempotency key '{key}' was used for something else: {}", entry.short())]
    KeyUsed {
        /// The key.
        key: String,
        /// What was written.
        entry: ChangeId,
    },
    /// The rules do not allow it.
    #[error("{0}")]
    Denied(String),
    /// This device may no longer write.
    #[error("this device ({0}) was revoked; what it writes counts for nobody")]
    Revoked(DeviceId),
    /// This device may not write until restored.
    #[error("this device ({0}) is suspended")]
    Suspended(DeviceId),
    /// Different recovery words spoke for the account.
    #[error(
        "account {0} is frozen: it was recovered with different words, and nobody can tell whose hold"
    )]
    Frozen(AccountId),
    /// An argument is unusable.
    #[error("{0}")]
    Invalid(String),
    /// A text does not fit where it is to stand.
    #[error("the text has {bytes} bytes, limit {bytes_max} bytes")]
    TextTooLong {
        /// Its bytes.
        bytes: usize,
        /// How many fit.
        bytes_max: usize,
    },
    /// Stored bytes are not what they should be.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// A blob that is not here.
    #[error("blob {0} is not here")]
    MissingBlob(BlobHash),
    /// A document that is not here.
    #[error("document {0} is not here")]
    MissingDocument(DocumentId),
}

impl EngineError {
    /// Something stored does not decode.
    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }
}
