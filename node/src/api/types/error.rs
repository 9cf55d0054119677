//! Error codes: HTTP status, exit code and name of everything that can go wrong.

use serde::{Deserialize, Serialize};

use super::schema::{Part, Shape};

/// What went wrong, as a program needs to know it. The number is also the exit code of the
/// command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Anything not below.
    Error,
    /// Bad argument, missing argument, unknown field.
    Usage,
    /// Some targets were done, some were not.
    Partial,
    /// A rule, a signature or a right does not allow it.
    Denied,
    /// No peer was reachable; try again later.
    Retry,
    /// There is no identity in this home yet.
    NoIdentity,
    /// Another process holds the store.
    Locked,
    /// The passphrase does not open the keys, or there is none and they are sealed.
    WrongPassphrase,
    /// No such id or name.
    NotFound,
    /// A prefix or name fits several; they are listed as candidates.
    Ambiguous,
    /// Already there, used up, expired, or changed in between.
    Conflict,
    /// A hash or signature check of stored data failed.
    Corrupt,
    /// The operation needs a running node, or the node does not answer.
    NoNode,
    /// The time limit ran out.
    Timeout,
    /// Stopped by the user.
    Interrupted,
}

impl ErrorKind {
    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 15] = [
        Self::Error,
        Self::Usage,
        Self::Partial,
        Self::Denied,
        Self::Retry,
        Self::NoIdentity,
        Self::Locked,
        Self::WrongPassphrase,
        Self::NotFound,
        Self::Ambiguous,
        Self::Conflict,
        Self::Corrupt,
        Self::NoNode,
        Self::Timeout,
        Self::Interrupted,
    ];

    /// Returns the exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Error => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Denied => 4,
            Self::Retry => 5,
            Self::NoIdentity => 10,
            Self::Locked => 11,
            Self::WrongPassphrase => 12,
            Self::NotFound => 13,
            Self::Ambiguous => 14,
            Self::Conflict => 15,
            Self::Corrupt => 16,
            Self::NoNode => 17,
            Self::Timeout => 124,
            Self::Interrupted => 130,
        }
    }

    /// Returns the kind of an exit code; unknown ones are plain errors.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|kind| kind.code() == code).unwrap_or(Self::Error)
    }

    /// Returns the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Usage => "usage",
            Self::Partial => "partial",
            Self::Denied => "denied",
            Self::Retry => "retry",
            Self::NoIdentity => "no_identity",
            Self::Locked => "locked",
            Self::WrongPassphrase => "wrong_passphrase",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::Conflict => "conflict",
            Self::Corrupt => "corrupt",
            Self::NoNode => "no_node",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns the HTTP status of a refusal before the first record.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Error | Self::Corrupt => 500,
            Self::Usage => 400,
            Self::Partial => 207,
            Self::Denied => 403,
            Self::Retry | Self::NoNode => 503,
            Self::NoIdentity => 428,
            Self::Locked => 423,
            Self::WrongPassphrase => 401,
            Self::NotFound => 404,
            Self::Ambiguous | Self::Conflict => 409,
            Self::Timeout => 504,
            Self::Interrupted => 499,
        }
    }

    /// Returns the next command to try when the error itself knows no better one.
    #[must_use]
    pub const fn default_hint(self) -> Hint {
        match self {
            Self::Error | Self::Denied | Self::Interrupted => "mosaic status",
            Self::Usage => "mosaic help",
            Self::WrongPassphrase => "mosaic --passphrase-file FILE status",
            Self::Partial => "mosaic sync status",
            Self::Retry => "mosaic sync status",
            Self::NoIdentity => "mosaic init --name NAME",
            Self::Locked => "mosaic node status",
            Self::NotFound | Self::Ambiguous => "mosaic wall list",
            Self::Conflict => "mosaic status",
            Self::Corrupt => "mosaic store verify",
            Self::NoNode => "mosaic node start",
            Self::Timeout => "mosaic status",
        }
    }
}

/// Characters of a message: what somebody gave is not told back without end.
const MESSAGE_CHARS_MAX: usize = 1000;

/// A command line that is worth trying next; starts with `mosaic`.
pub type Hint = &'static str;

/// One failure. As a record: `{"type":"error","code":13,"name":"not_found",...}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// Exit code, see [`ErrorKind::code`].
    pub code: u8,
    /// Stable name, see [`ErrorKind::name`].
    pub name: String,
    /// One line in plain words: what and why.
    pub message: String,
    /// A runnable command; its first word is `mosaic`.
    pub hint: String,
    /// What an ambiguous prefix could mean: full ids or names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

impl ErrorRecord {
    /// Makes one with the default hint of its kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            code: kind.code(),
            name: kind.name().to_owned(),
            message: shortened(message.into()),
            hint: kind.default_hint().to_owned(),
            candidates: Vec::new(),
        }
    }

    /// Returns its JSON Schema.
    #[must_use]
    pub fn object() -> serde_json::Value {
        <Self as Shape>::schema()
    }

    /// Returns the types that its fields refer to: none.
    #[must_use]
    pub const fn fields_parts() -> Vec<Part> {
        Vec::new()
    }

    /// Replaces the hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Returns the kind; unknown codes are plain errors.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::from_code(self.code)
    }
}

/// Leaves out the middle of what is too long to be read: it was given, and is known.
fn shortened(message: String) -> String {
    let count = message.chars().count();
    if count <= MESSAGE_CHARS_MAX {
        return message;
    }
    let (start, end) = (MESSAGE_CHARS_MAX / 2, MESSAGE_CHARS_MAX / 2 - 1);
    let start: String = message.chars().take(start).collect();
    let end: String = message.chars().skip(count - end).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_not_told_back_without_end() {
        let record =
            ErrorRecord::new(ErrorKind::NotFound, format!("no post '{}'!", "é".repeat(5000)));
        assert_eq!(record.message.chars().count(), MESSAGE_CHARS_MAX);
        assert!(record.message.starts_with("no post 'é") && record.message.ends_with("é'!"));
    }

    #[test]
    fn each_kind_has_its_own_code_and_name_and_a_runnable_hint() {
        let mut codes = std::collections::BTreeSet::new();
        let mut names = std::collections::BTreeSet::new();
        for kind in ErrorKind::ALL {
            assert!(codes.insert(kind.code()));
            assert!(names.insert(kind.name()));
            assert!(kind.default_hint().starts_with("mosaic "));
            assert_eq!(ErrorKind::from_code(kind.code()), kind);
            assert_eq!(ErrorRecord::new(kind, "x").kind(), kind);
        }
        assert_eq!(ErrorKind::from_code(77), ErrorKind::Error);
    }
}
