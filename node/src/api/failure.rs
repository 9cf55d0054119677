//! Failures of the layers below, as exit codes, plain words and the next command.

use std::io;

use mosaic_engine::replica::EngineError;
use mosaic_engine::store::StoreError;

use super::types::{ErrorKind, ErrorRecord};
use crate::error::NodeError;

/// Prints a ticket for a new device, on a device that is linked.
pub(super) const NEW_LINK: &str = "mosaic device invite";
/// Begins anew beside a home that cannot be opened, with what other devices have.
pub(super) const LINK_ANEW: &str = "mosaic --home NEW_FOLDER device link TICKET";
/// Looks at another folder than the one that cannot be used.
const OTHER_HOME: &str = "mosaic --home FOLDER status";
/// Opens the store anew: one that failed is never written to again by the same process.
pub(super) const RESTART: &str = "mosaic node restart";
/// Prints the ticket of a node, on that node.
pub(super) const NODE_TICKET: &str = "mosaic node ticket";

impl From<NodeError> for ErrorRecord {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        match error {
            NodeError::LooseMode { .. } => {
                Self::new(ErrorKind::Denied, message).with_hint("mosaic doctor")
            }
            NodeError::NoIdentity { .. } => Self::new(ErrorKind::NoIdentity, message),
            NodeError::Exists { .. } => Self::new(ErrorKind::Conflict, message),
            NodeError::TicketSpent { .. } => {
                Self::new(ErrorKind::Conflict, message).with_hint(NEW_LINK)
            }
            NodeError::HalfIdentity { .. } => {
                Self::new(ErrorKind::Corrupt, message).with_hint(LINK_ANEW)
            }
            NodeError::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Self::new(ErrorKind::Denied, message).with_hint(OTHER_HOME)
            }
            NodeError::File { source, .. } if is_no_place(&source) => {
                Self::new(ErrorKind::Error, message).with_hint(OTHER_HOME)
            }
            NodeError::Damaged { .. } => Self::new(ErrorKind::Corrupt, message),
            NodeError::Config { setting, .. } => {
                let hint = unset(setting.as_deref());
                Self::new(ErrorKind::Usage, message).with_hint(hint)
            }
            NodeError::Ticket { .. } => Self::new(ErrorKind::Usage, message),
            NodeError::Unreachable { .. } => Self::new(ErrorKind::Retry, message),
            NodeError::Refused { .. } => Self::new(ErrorKind::Denied, message),
            NodeError::Unconfirmed { .. } => {
                Self::new(ErrorKind::Retry, message).with_hint(NEW_LINK)
            }
            NodeError::Sealed { .. } | NodeError::WrongPassphrase { .. } => {
                Self::new(ErrorKind::WrongPassphrase, message)
            }
            NodeError::Running => Self::new(ErrorKind::Locked, message),
            NodeError::Peer { .. }
            | NodeError::Listen { .. }
            | NodeError::Relay { .. }
            | NodeError::File { .. }
            | NodeError::Entropy(_) => Self::new(ErrorKind::Error, message),
        }
    }
}

impl From<EngineError> for ErrorRecord {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::NoIdentity => Self::new(ErrorKind::NoIdentity, message),
            EngineError::IdentityExists(_) => {
                Self::new(ErrorKind::Conflict, message).with_hint("mosaic identity show")
            }
            // One that is kept and has not come yet, or an id that names nothing here.
            EngineError::NotFound { what: "hub", text } if text.len() == 64 => {
                let short = text.get(..8).unwrap_or_default();
                let message =
                    format!("nothing of hub {short} is here: a hub comes from its members");
                Self::new(ErrorKind::NotFound, message).with_hint("mosaic sync")
            }
            EngineError::NotFound { what, .. } => {
                Self::new(ErrorKind::NotFound, message).with_hint(list_of(what))
            }
            EngineError::MissingBlob(_) | EngineError::MissingDocument(_) => {
                Self::new(ErrorKind::NotFound, message)
            }
            EngineError::Ambiguous { what, text, candidates } => {
                let message = format!("'{text}' fits {} {what}s", candidates.len());
                let error = Self { candidates, ..Self::new(ErrorKind::Ambiguous, message) };
                error.with_hint(list_of(what))
            }
            EngineError::KeyUsed { entry, .. } => {
                let hint = format!("mosaic wall show {}", entry.short());
                Self::new(ErrorKind::Conflict, message).with_hint(hint)
            }
            EngineError::Revoked(_) | EngineError::Suspended(_) => {
                Self::new(ErrorKind::Denied, message).with_hint("mosaic device list")
            }
            EngineError::Frozen(_) => {
                Self::new(ErrorKind::Denied, message).with_hint("mosaic identity show")
            }
            EngineError::Denied(_) => Self::new(ErrorKind::Denied, message),
            EngineError::Invalid(_) => Self::new(ErrorKind::Usage, message),
            // Where else it could go depends on whom it is for.
            EngineError::TextTooLong { .. } => {
                Self::new(ErrorKind::Usage, message).with_hint("mosaic help post")
            }
            EngineError::Corrupt(_) => Self::new(ErrorKind::Corrupt, message),
            _ => Self::new(ErrorKind::Error, message),
        }
    }
}

/// Mends a configuration file: takes a setting out of it, unless a shell would read its name as
/// something else.
fn unset(setting: Option<&str>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    match setting {
        Some(name) if !name.is_empty() && name.chars().all(plain) => {
            format!("mosaic config unset {name}")
        }
        _ => "mosaic config edit".to_owned(),
    }
}

/// Whether nothing can be made there, whatever is tried.
fn is_no_place(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, NotADirectory, ReadOnlyFilesystem};
    matches!(error.kind(), AlreadyExists | NotADirectory | ReadOnlyFilesystem)
}

/// Lists the things among which one was looked for.
fn list_of(what: &str) -> &'static str {
    match what {
        "document" => "mosaic doc list",
        "account" => "mosaic identity list",
        "audience" => "mosaic audience list",
        "device" => "mosaic device list",
        "draft" => "mosaic draft list",
        "hub" | "channel" | "role" => "mosaic hub list",
        "conversation" => "mosaic dm list",
        "subscription" => "mosaic sub list",
        _ => "mosaic wall list",
    }
}

impl From<StoreError> for ErrorRecord {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                return Self::new(ErrorKind::Denied, error.to_string()).with_hint(OTHER_HOME);
            }
            StoreError::Io { source, .. } if is_no_place(source) => {
                return Self::new(ErrorKind::Error, error.to_string()).with_hint(OTHER_HOME);
            }
            StoreError::Locked { .. } => ErrorKind::Locked,
            StoreError::Corrupt(_) => {
                return Self::new(ErrorKind::Corrupt, error.to_string()).with_hint(LINK_ANEW);
            }
            StoreError::DiskFull { .. } => {
                return Self::new(ErrorKind::Error, error.to_string())
                    .with_hint("mosaic store gc --dry-run");
            }
            StoreError::Refused { .. } => ErrorKind::Usage,
            _ => ErrorKind::Error,
        };
        let record = Self::new(kind, error.to_string());
        if matches!(error, StoreError::ReadOnly { .. }) {
            return record.with_hint(RESTART);
        }
        record
    }
}
