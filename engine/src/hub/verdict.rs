//! What is concluded about an operation, and why.

use crate::hash::ChangeId;
use crate::model::entry::Rank;

/// What an operation comes to. The same on every replica that holds the same operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It counts, with the power of this rank.
    Counts(Rank),
    /// It counts for nothing.
    Void(Why),
    /// It does nothing by itself: a page start, a cut of the author's own devices, or not
    /// judged yet.
    #[default]
    Silent,
}

/// Why an operation, or a message, counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It names an operation that its author had not seen, or one of another kind.
    Unseen,
    /// Its author had no permission that he knew of.
    NotAllowed,
    /// The permission was taken by a removal whose author had not seen this.
    Removed {
        /// The removal; of several the one with the least id.
        by: ChangeId,
    },
    /// It acts on a rank that is not below its author's.
    OutOfRank,
    /// A higher rank undid what its author did.
    Undone {
        /// The undoing.
        by: ChangeId,
    },
    /// The author's account revoked the device, and cut before this.
    Device,
    /// The author was not an owner in the set that he names.
    NotOwner,
    /// Fewer than half of the owners and one have said so.
    Consent,
    /// Owners said two things about the same set, so that neither counts.
    Contested,
    /// The invitation does not count.
    NoInvite,
    /// The invitation is for another account.
    Bound,
    /// The ticket's key did not sign for this account.
    Proof,
    /// It claims a time after the invitation's end.
    Expired,
    /// The invitation was closed by somebody who had not seen this.
    Closed {
        /// The closing.
        by: ChangeId,
    },
    /// More accounts took the invitation than it is for, none knowing of the other: a human has
    /// to say who is meant.
    Surplus,
    /// It names another hub's genesis.
    OtherHub,
    /// A kind that is reserved.
    Reserved,
    /// It vouches for no join by an invitation of its author.
    NotIssuer,
    /// It stands in the clear in a private channel, or sealed in another.
    NotSealed,
}

impl Why {
    /// Returns a stable name for JSON and counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::NotAllowed => "not_allowed",
            Self::Removed { .. } => "removed",
            Self::OutOfRank => "out_of_rank",
            Self::Undone { .. } => "undone",
            Self::Device => "device_revoked",
            Self::NotOwner => "not_owner",
            Self::Consent => "waits_for_owners",
            Self::Contested => "contested",
            Self::NoInvite => "no_invite",
            Self::Bound => "invite_bound",
            Self::Proof => "invite_proof",
            Self::Expired => "invite_expired",
            Self::Closed { .. } => "invite_closed",
            Self::Surplus => "invite_surplus",
            Self::OtherHub => "other_hub",
            Self::Reserved => "reserved",
            Self::NotIssuer => "not_issuer",
            Self::NotSealed => "not_sealed",
        }
    }
}
