//! Operations of a hub: what the members of a hub sign about each other, and its channels.
//!
//! Each member writes them into hub logs of his own. What they come to is settled by
//! [`crate::hub`]; here are only their fields and their bytes.

use std::fmt;
use std::ops::{BitAnd, BitOr};

use super::{EntryRef, Tip};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, ChangeId, DeviceId, HubId, Link, OwnersId, derive};
use crate::identity::Signature;
use crate::limits::{HUB_OWNERS_MAX, RANK_MAX};
use crate::seal::SealedEntry;

mod bytes;
mod readers;
mod report;
mod texts;

pub(super) use self::bytes::{read_who, write_who};
pub use self::readers::{History, Readers};
pub use self::report::{Report, ReportSubject, SealedReport};
pub use self::texts::OpenedTexts;

/// What a member may do: a set of bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Write messages.
    pub const SEND: Self = Self(1);
    /// React to messages.
    pub const REACT: Self = Self(1 << 1);
    /// Add files to messages.
    pub const ATTACH: Self = Self(1 << 2);
    /// Mention roles, and everybody.
    pub const MENTION: Self = Self(1 << 3);
    /// Bring in members.
    pub const INVITE: Self = Self(1 << 4);
    /// Pin messages.
    pub const PIN: Self = Self(1 << 5);
    /// Hide messages of others.
    pub const HIDE: Self = Self(1 << 6);
    /// Have the texts of others dropped.
    pub const PURGE: Self = Self(1 << 7);
    /// Remove members.
    pub const KICK: Self = Self(1 << 8);
    /// Remove members for good.
    pub const BAN: Self = Self(1 << 9);
    /// Create and change channels, and say who may do what in them.
    pub const MANAGE_CHANNELS: Self = Self(1 << 10);
    /// Create, change, grant and revoke roles; undo what others did.
    pub const MANAGE_ROLES: Self = Self(1 << 11);
    /// Change the hub's name and settings.
    pub const MANAGE_HUB: Self = Self(1 << 12);
    /// Open new keys of a private hub.
    pub const REKEY: Self = Self(1 << 13);
    /// Sign checkpoints (reserved).
    pub const NOTARY: Self = Self(1 << 14);
    /// All of them.
    pub const ALL: Self = Self((1 << 15) - 1);

    /// Every permission with its name, in the order of the bits.
    pub const NAMES: [(Self, &'static str); 15] = [
        (Self::SEND, "send"),
        (Self::REACT, "react"),
        (Self::ATTACH, "attach"),
        (Self::MENTION, "mention"),
        (Self::INVITE, "invite"),
        (Self::PIN, "pin"),
        (Self::HIDE, "hide"),
        (Self::PURGE, "purge"),
        (Self::KICK, "kick"),
        (Self::BAN, "ban"),
        (Self::MANAGE_CHANNELS, "manage-channels"),
        (Self::MANAGE_ROLES, "manage-roles"),
        (Self::MANAGE_HUB, "manage-hub"),
        (Self::REKEY, "rekey"),
        (Self::NOTARY, "notary"),
    ];

    /// Returns the bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Takes bits; `None` if one has no meaning.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// Whether all of `other` is in this.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in this and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Permissions {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(bit, _)| self.contains(*bit));
        f.debug_set().entries(names.map(|(_, name)| name)).finish()
    }
}

/// How high a role stands: one acts on strictly lower ranks only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(u16);

impl Rank {
    /// That of everybody: members without a role.
    pub const EVERYONE: Self = Self(0);
    /// That of the owners, above all roles.
    pub const OWNER: Self = Self(u16::MAX);

    /// The rank of a role; `None` above [`RANK_MAX`].
    #[must_use]
    pub const fn of_role(rank: u16) -> Option<Self> {
        if rank <= RANK_MAX { Some(Self(rank)) } else { None }
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The rank just below; that of everybody has none.
    #[must_use]
    pub const fn below(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(rank) => Some(Self(rank)),
            None => None,
        }
    }
}

/// Names a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleRef {
    /// What every member has.
    Everyone,
    /// The role that an operation defined.
    Role(ChangeId),
}

/// Whom the rules of a channel are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Those who hold a role.
    Role(RoleRef),
    /// One member.
    Account(AccountId),
}

/// What a channel begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFields {
    /// Its name; 1 to 64 bytes, not necessarily unique.
    pub name: String,
    /// What it is about; at most 1,024 bytes.
    pub topic: String,
    /// Under which heading it is listed; at most 64 bytes.
    pub category: String,
    /// Only those who manage channels write there.
    pub read_only: bool,
    /// Who alone reads it; `None` is everybody who has the hub. A channel stays one or the other.
    pub readers: Option<Readers>,
}

/// One property of a channel that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelChange {
    /// The name.
    Name(String),
    /// The topic.
    Topic(String),
    /// The heading.
    Category(String),
    /// Whether only those who manage channels write there.
    ReadOnly(bool),
    /// Whether it is closed: nobody writes there.
    Archived(bool),
    /// Milliseconds that a node asks of a member between two messages; it refuses faster ones
    /// at its door, and nothing is void by it.
    SlowMs(u64),
    /// Who reads it, if it is private.
    Readers(Readers),
}

/// One setting of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubSetting {
    /// The name; 1 to 64 bytes.
    Name(String),
    /// What the hub says about itself; at most 1,024 bytes.
    About(String),
    /// Nodes let nobody join: the answer to a raid. Nothing is void by it.
    JoinsClosed(bool),
    /// Bytes that a node keeps of one member; 0 leaves it to the node.
    MemberQuotaBytes(u64),
}

/// What a hub begins with. Its id is the hash of this, so nobody can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubGenesis {
    /// The first owners, 1 to 64, rising.
    pub owners: Vec<AccountId>,
    /// What every member may do until somebody changes it.
    pub everyone: Permissions,
    /// Random, so that two hubs never are one.
    pub nonce: [u8; 16],
    /// When, as claimed.
    pub created_ms: u64,
    /// The hub that it was split off from.
    pub forked_from: Option<HubId>,
    /// Nobody but its members may know of it.
    pub private: bool,
}

impl HubGenesis {
    /// Returns the hub's id: `derive_key("mosaic hub 1", encoded genesis)`.
    #[must_use]
    pub fn id(&self) -> HubId {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        HubId::from_bytes(derive("mosaic hub 1", &[&writer.finish()]))
    }

    /// Returns the name of the first set of owners.
    #[must_use]
    pub fn owners_id(&self) -> OwnersId {
        OwnersId::from_bytes(derive("mosaic owners 1", &[self.id().as_bytes()]))
    }
}

impl OwnersId {
    /// Returns the name of the set that follows this one:
    /// `derive_key("mosaic owners 1", this ‖ owners, rising)`.
    #[must_use]
    pub fn followed_by(&self, owners: &[AccountId]) -> Self {
        let parts = std::iter::once(self.as_ref()).chain(owners.iter().map(AsRef::as_ref));
        Self::from_bytes(derive("mosaic owners 1", &parts.collect::<Vec<_>>()))
    }
}

/// What an operation of a hub does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubAction {
    /// The record that the hub's id is the hash of; it stands first in the founder's log.
    Begin(HubGenesis),
    /// A role of fixed rank. Whoever defines it holds the permissions that it gives.
    DefineRole {
        /// What people call it.
        name: String,
        /// How high it stands.
        rank: Rank,
        /// What its holders may do.
        permissions: Permissions,
    },
    /// A role gives other permissions from now on.
    ChangeRole {
        /// Which.
        role: RoleRef,
        /// The name.
        name: String,
        /// The permissions.
        permissions: Permissions,
    },
    /// Gives a role; whoever holds any is a member.
    Grant {
        /// To whom.
        account: AccountId,
        /// The role.
        role: RoleRef,
    },
    /// Takes a role away.
    Revoke {
        /// From whom.
        account: AccountId,
        /// The role.
        role: RoleRef,
        /// Versions of channel pages up to which what he wrote under it stays.
        cut: Vec<Tip>,
    },
    /// Takes all roles away; an invitation may bring the member back.
    Kick {
        /// From whom.
        account: AccountId,
        /// Versions of channel pages up to which what he wrote stays.
        cut: Vec<Tip>,
    },
    /// Takes all roles away, and leaves giving new ones to those of at least this rank.
    Ban {
        /// From whom.
        account: AccountId,
        /// Versions of channel pages up to which what he wrote stays.
        cut: Vec<Tip>,
        /// Nothing stays, and the texts are dropped.
        purge: bool,
    },
    /// More of what a removed member wrote stays.
    ExtendCut {
        /// The revocation, kick or ban.
        removal: ChangeId,
        /// Operations of the member that stay, with what they had seen of his.
        operations: Vec<Link>,
        /// Versions of channel pages.
        cut: Vec<Tip>,
    },
    /// Everything that a member of lower rank did counts for nothing, but what is named and
    /// what he does knowing of this.
    Undo {
        /// Who.
        account: AccountId,
        /// Operations of his that stay, with what they had seen of his.
        keep: Vec<Link>,
    },
    /// Takes back a removal, a pin, a hiding, an undoing or the closing of an invitation, as if
    /// it had never been.
    Lift {
        /// What.
        operation: ChangeId,
    },
    /// Makes an operation one's own: it counts as its author's or as the adopter's.
    Adopt {
        /// Which.
        operation: ChangeId,
    },
    /// One owner's word for a change of owners. It takes place when more than half of the
    /// owners before have said the same.
    Succession {
        /// The set of owners that is replaced.
        from: OwnersId,
        /// The owners from now on, 1 to 64, rising.
        owners: Vec<AccountId>,
    },
    /// The author gives up all his roles.
    Leave {
        /// Versions of channel pages up to which what he wrote stays.
        cut: Vec<Tip>,
    },
    /// Lets accounts become members by themselves.
    Invite {
        /// The role they get.
        role: RoleRef,
        /// Key of the ticket that they have to show; without one anybody may join.
        key: Option<DeviceId>,
        /// How many accounts; 0 is any number.
        uses: u32,
        /// Claimed time after which nobody can join by it; 0 is never.
        expires_ms: u64,
        /// The only account that it is for.
        account: Option<AccountId>,
    },
    /// Ends an invitation; who joined unseen by this did not join.
    CloseInvite {
        /// Which.
        invite: ChangeId,
    },
    /// The author becomes a member by an invitation.
    Join {
        /// Which.
        invite: ChangeId,
        /// The ticket key's signature over `hub 32 ‖ invite 32 ‖ account 32`, if it has a key.
        proof: Option<Signature>,
    },
    /// A channel; its id is that of the operation.
    CreateChannel(ChannelFields),
    /// A channel changes.
    ChangeChannel {
        /// Which.
        channel: ChangeId,
        /// How.
        change: ChannelChange,
    },
    /// What some may and may not do in a channel, whatever their roles say.
    ChannelRules {
        /// Which channel.
        channel: ChangeId,
        /// Whom it is about.
        who: Who,
        /// What they may do there.
        allow: Permissions,
        /// What they may not do there.
        deny: Permissions,
    },
    /// The hub changes.
    Set(HubSetting),
    /// Shows a message above its channel.
    Pin {
        /// The channel.
        channel: ChangeId,
        /// The message.
        entry: EntryRef,
    },
    /// Hides a message from everybody's view until that is lifted.
    Hide {
        /// The message.
        entry: EntryRef,
    },
    /// Hides a message, and has its text dropped everywhere.
    Purge {
        /// The message.
        entry: EntryRef,
    },
    /// A notary's word that it had seen all before this (reserved: counts for nothing).
    Checkpoint {
        /// Counts up.
        number: u64,
    },
    /// Tells moderators of a message or a member.
    Report(SealedReport),
    /// Says that a report needs nothing more, until that is lifted.
    Dismiss {
        /// Which.
        report: ChangeId,
    },
    /// Says of joins by invitations of the author that they showed the ticket, so that nobody else
    /// has to check their proofs.
    Vouch {
        /// Which: 1 to 256, rising.
        joins: Vec<ChangeId>,
    },
}

/// One operation of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubOperation {
    /// What its author had seen: versions of other hub logs by their links, at most 64,
    /// rising. What these had seen is seen with them, and so is all before it in its chain.
    pub seen: Vec<Link>,
    /// Why, for people; at most 256 bytes.
    pub reason: String,
    /// What it does.
    pub action: HubAction,
    /// Its texts where they are sealed: above they are empty then, and [`HubOperation::with_texts`]
    /// puts them in their places.
    pub texts: Option<SealedEntry>,
}

impl HubAction {
    /// Returns the kind byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Begin(_) => 0x40,
            Self::DefineRole { .. } => 0x41,
            Self::ChangeRole { .. } => 0x42,
            Self::Grant { .. } => 0x43,
            Self::Revoke { .. } => 0x44,
            Self::Kick { .. } => 0x45,
            Self::Ban { .. } => 0x46,
            Self::ExtendCut { .. } => 0x47,
            Self::Undo { .. } => 0x48,
            Self::Lift { .. } => 0x49,
            Self::Adopt { .. } => 0x4a,
            Self::Succession { .. } => 0x4b,
            Self::Leave { .. } => 0x4c,
            Self::Invite { .. } => 0x4d,
            Self::CloseInvite { .. } => 0x4e,
            Self::Join { .. } => 0x4f,
            Self::CreateChannel(ChannelFields { readers: Some(_), .. }) => 0x5a,
            Self::CreateChannel(_) => 0x50,
            Self::ChangeChannel { .. } => 0x51,
            Self::ChannelRules { .. } => 0x52,
            Self::Set(_) => 0x53,
            Self::Pin { .. } => 0x54,
            Self::Hide { .. } => 0x55,
            Self::Purge { .. } => 0x56,
            Self::Checkpoint { .. } => 0x57,
            Self::Report(_) => 0x58,
            Self::Dismiss { .. } => 0x59,
            Self::Vouch { .. } => 0x5c,
        }
    }

    /// Returns a name for people and JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Begin(_) => "begin",
            Self::DefineRole { .. } => "define-role",
            Self::ChangeRole { .. } => "change-role",
            Self::Grant { .. } => "grant",
            Self::Revoke { .. } => "revoke",
            Self::Kick { .. } => "kick",
            Self::Ban { .. } => "ban",
            Self::ExtendCut { .. } => "extend-cut",
            Self::Undo { .. } => "undo",
            Self::Lift { .. } => "lift",
            Self::Adopt { .. } => "adopt",
            Self::Succession { .. } => "succession",
            Self::Leave { .. } => "leave",
            Self::Invite { .. } => "invite",
            Self::CloseInvite { .. } => "close-invite",
            Self::Join { .. } => "join",
            Self::CreateChannel(_) => "create-channel",
            Self::ChangeChannel { .. } => "change-channel",
            Self::ChannelRules { .. } => "channel-rules",
            Self::Set(_) => "set",
            Self::Pin { .. } => "pin",
            Self::Hide { .. } => "hide",
            Self::Purge { .. } => "purge",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Report(_) => "report",
            Self::Dismiss { .. } => "dismiss",
            Self::Vouch { .. } => "vouch",
        }
    }

    /// The versions of channel pages up to which a removal leaves what its subject wrote.
    #[must_use]
    pub fn cut(&self) -> &[Tip] {
        match self {
            Self::Revoke { cut, .. }
            | Self::Kick { cut, .. }
            | Self::Ban { cut, .. }
            | Self::ExtendCut { cut, .. }
            | Self::Leave { cut } => cut,
            _ => &[],
        }
    }

    /// What the key of a ticket signs so that `account` can join by `invite`.
    #[must_use]
    pub fn join_message(hub: &HubId, invite: &ChangeId, account: &AccountId) -> [u8; 96] {
        let mut message = [0; 96];
        let parts = hub.as_bytes().iter().chain(invite.as_bytes()).chain(account.as_bytes());
        message.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        message
    }
}

/// Reads accounts in rising order, at least one.
fn read_owners(r: &mut Reader<'_>) -> Result<Vec<AccountId>, DecodeError> {
    let count = r.count(HUB_OWNERS_MAX, "owners")?;
    let mut owners: Vec<AccountId> = Vec::with_capacity(count);
    for _ in 0..count {
        let owner = AccountId::from_bytes(r.array("owner")?);
        if owners.last().is_some_and(|last| *last >= owner) {
            return Err(DecodeError::Rule("owners are not in strictly rising order"));
        }
        owners.push(owner);
    }
    if owners.is_empty() {
        return Err(DecodeError::Rule("a hub without owners"));
    }
    Ok(owners)
}

#[cfg(test)]
mod tests;
