//! Why something of a peer was not taken, as both sides say it.

/// Why something of a peer was not taken. Codes below 64 refuse, the others defer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Reason {
    /// Bytes that are not what they should be.
    Malformed = 1,
    /// A signature does not verify.
    Signature = 2,
    /// The certificate path does not lead to the device.
    Certificate = 3,
    /// A protocol limit.
    Limit = 4,
    /// Data does not lead to the signed link.
    Link = 5,
    /// The gate refuses a change.
    InvalidChange = 6,
    /// Not kept here.
    NotKept = 7,
    /// The author is blocked here.
    Blocked = 8,
    /// No space or quota.
    Quota = 9,
    /// Beyond the cut of a revoked device.
    Void = 10,
    /// The remote may not write or read here.
    Forbidden = 11,
    /// A body that was deleted or is never to be stored.
    Deleted = 12,
    /// Any other refusal, as told by a newer peer.
    Refused = 63,
    /// Earlier changes are missing.
    Gap = 64,
    /// No key to open it yet.
    NoKey = 65,
    /// Authority that it rests on is not known yet.
    Authority = 66,
    /// The pack could not be fetched, or was not what was announced.
    Pack = 67,
    /// Bodies are missing.
    Bodies = 68,
    /// The store failed.
    Store = 69,
    /// More chains than one round can list.
    TooMany = 70,
    /// Both sides moved on during the round.
    Moved = 71,
    /// The sender does not hold the bytes.
    NotHeld = 72,
    /// Any other deferral, as told by a newer peer.
    Deferred = 127,
}

impl Reason {
    /// Returns the byte on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Reads the byte on the wire; a code of a newer peer keeps its class.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::Signature,
            3 => Self::Certificate,
            4 => Self::Limit,
            5 => Self::Link,
            6 => Self::InvalidChange,
            7 => Self::NotKept,
            8 => Self::Blocked,
            9 => Self::Quota,
            10 => Self::Void,
            11 => Self::Forbidden,
            12 => Self::Deleted,
            64 => Self::Gap,
            65 => Self::NoKey,
            66 => Self::Authority,
            67 => Self::Pack,
            68 => Self::Bodies,
            69 => Self::Store,
            70 => Self::TooMany,
            71 => Self::Moved,
            72 => Self::NotHeld,
            0..=63 => Self::Refused,
            _ => Self::Deferred,
        }
    }

    /// Whether it is final; a deferral may be taken later.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        self.code() < 64
    }

    /// Stable name for counters and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::Certificate => "certificate",
            Self::Limit => "limit",
            Self::Link => "link",
            Self::InvalidChange => "invalid_change",
            Self::NotKept => "not_kept",
            Self::Blocked => "blocked",
            Self::Quota => "quota",
            Self::Void => "void",
            Self::Forbidden => "forbidden",
            Self::Deleted => "deleted",
            Self::Refused => "refused",
            Self::Gap => "gap",
            Self::NoKey => "no_key",
            Self::Authority => "authority",
            Self::Pack => "pack",
            Self::Bodies => "bodies",
            Self::Store => "store",
            Self::TooMany => "too_many",
            Self::Moved => "moved",
            Self::NotHeld => "not_held",
            Self::Deferred => "deferred",
        }
    }
}
