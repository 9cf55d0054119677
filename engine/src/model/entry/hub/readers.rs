//! Who reads a private channel.

use crate::hash::ChangeId;

/// Who reads a private channel: owners, and members who hold one of these roles.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Readers {
    /// At most [`CHANNEL_READER_ROLES_MAX`](crate::limits::CHANNEL_READER_ROLES_MAX), rising; none
    /// is every member.
    pub roles: Vec<ChangeId>,
    /// What is given to who becomes a reader.
    pub history: History,
}

impl Readers {
    /// Every member, from when he comes.
    #[must_use]
    pub const fn of_all() -> Self {
        Self { roles: Vec::new(), history: History::FromJoin }
    }
}

/// What of a private channel is given to who becomes a reader of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum History {
    /// What is written from then on.
    FromJoin = 0,
    /// All that those read who were there before.
    All = 1,
}

impl History {
    /// Returns a name for people and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FromJoin => "from-join",
            Self::All => "all",
        }
    }
}
