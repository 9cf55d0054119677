//! What a document is: the description its id is the hash of.
//!
//! Anybody who may read can compute where somebody's profile is, so creating a
//! document is no race. A [`DocumentId`] cannot be inverted, therefore the first
//! head of a chain travels with the description.

use std::collections::BTreeSet;

use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, ChangeId, ConversationId, DocumentId, HubId, SpaceId, derive};
use crate::limits::{LABEL_BYTES_MAX, PAGE_NUMBER_MAX, TEXT_LABEL_BYTES};

/// What tells the texts of an account apart.
pub type TextLabel = [u8; TEXT_LABEL_BYTES];

/// Under whose authority documents stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Space {
    /// An account's own space.
    Account(AccountId),
    /// A hub, by the hash of its genesis.
    Hub(HubId),
    /// A conversation, by the hash of its genesis.
    Conversation(ConversationId),
}

impl Space {
    /// Returns the kind byte and the root.
    #[must_use]
    pub const fn parts(&self) -> (u8, &[u8; 32]) {
        match self {
            Self::Account(id) => (1, id.as_bytes()),
            Self::Hub(id) => (2, id.as_bytes()),
            Self::Conversation(id) => (3, id.as_bytes()),
        }
    }

    /// Reads kind byte and root.
    ///
    /// # Errors
    /// If cut short or of unknown kind.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.u8("space kind")?;
        let root: [u8; 32] = reader.array("space root")?;
        match kind {
            1 => Ok(Self::Account(AccountId::from_bytes(root))),
            2 => Ok(Self::Hub(HubId::from_bytes(root))),
            3 => Ok(Self::Conversation(ConversationId::from_bytes(root))),
            value => Err(DecodeError::Unknown { reading: "space kind", value }),
        }
    }

    /// Appends kind byte and root.
    pub fn encode(&self, writer: &mut Writer) {
        let (kind, root) = self.parts();
        writer.u8(kind).raw(root);
    }

    /// Returns the id: `derive_key("mosaic space 1", kind ‖ root)`.
    #[must_use]
    pub fn id(&self) -> SpaceId {
        let (kind, root) = self.parts();
        SpaceId::from_bytes(derive("mosaic space 1", &[&[kind], root]))
    }

    /// Returns the hub whose space this is.
    #[must_use]
    pub const fn hub(&self) -> Option<HubId> {
        match self {
            Self::Hub(id) => Some(*id),
            Self::Account(_) | Self::Conversation(_) => None,
        }
    }

    /// Returns the conversation whose space this is.
    #[must_use]
    pub const fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Conversation(id) => Some(*id),
            Self::Account(_) | Self::Hub(_) => None,
        }
    }

    /// Returns the account whose own space this is.
    #[must_use]
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::Account(id) => Some(*id),
            Self::Hub(_) | Self::Conversation(_) => None,
        }
    }
}

/// Who may read a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Audience {
    /// Everybody.
    Public = 1,
    /// The account's own devices; sealed.
    OwnDevices = 2,
    /// The participants of a conversation; sealed.
    Participants = 3,
}

/// What kind of document this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum DocumentKind {
    /// Devices, revocations, admitted guests: the authority of an account.
    AccountLog = 1,
    /// Public personal data, a map.
    Profile = 2,
    /// A page of posts.
    Wall = 3,
    /// A visitor's replies and reactions to a wall page.
    Guest = 4,
    /// A member's operations in a hub.
    HubLog = 5,
    /// A page of what a member wrote into a channel of a hub.
    Channel = 6,
    /// A page of what a participant wrote into a conversation, sealed.
    Conversation = 7,
    /// A private map of the account's own devices, sealed.
    Private = 8,
    /// A long text, written character by character.
    Text = 9,
}

impl DocumentKind {
    /// Whether the document is an append-only log; otherwise it is a map or a text.
    #[must_use]
    pub const fn is_log(self) -> bool {
        matches!(
            self,
            Self::AccountLog
                | Self::Wall
                | Self::Guest
                | Self::HubLog
                | Self::Channel
                | Self::Conversation
        )
    }

    /// Name for people and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountLog => "account",
            Self::Profile => "profile",
            Self::Wall => "wall",
            Self::Guest => "guest",
            Self::HubLog => "hub",
            Self::Channel => "channel",
            Self::Conversation => "conversation",
            Self::Private => "private",
            Self::Text => "text",
        }
    }
}

/// The part of a space that is reconciled as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SectionClass {
    /// Account log, logs of a hub: standing is computed from them, so they come first.
    Authority = 1,
    /// Profile, wall, texts, admitted guests and the owner's own guest pages; channels.
    Public = 2,
    /// Guests the owner has not admitted: best effort, outside "in sync".
    Visitors = 3,
    /// Sealed documents: of the account's own devices, or of a conversation.
    Private = 4,
}

/// Some spaces.
pub type Spaces = BTreeSet<SpaceId>;

/// A section: the unit that two replicas compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Section {
    /// The space.
    pub space: SpaceId,
    /// Its part.
    pub class: SectionClass,
}

impl Section {
    /// All sections that a space has.
    pub(crate) fn all_of(space: &SpaceId) -> [Self; 4] {
        let space = *space;
        [
            SectionClass::Authority,
            SectionClass::Public,
            SectionClass::Visitors,
            SectionClass::Private,
        ]
        .map(|class| Self { space, class })
    }
}

/// Everything a [`DocumentId`] commits to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Description {
    /// Under whose authority.
    pub space: Space,
    /// Who may read.
    pub audience: Audience,
    /// The one account that writes.
    pub account: AccountId,
    /// What it is.
    pub kind: DocumentKind,
    /// Distinguishes documents of one kind; at most 64 bytes; empty for most.
    pub label: Vec<u8>,
    /// Page of a row of pages, from 0.
    pub page: u64,
    /// Rewritten copies count up; 0 is the first.
    pub generation: u64,
}

impl Description {
    /// Describes a public document of `account` in its own space.
    #[must_use]
    pub const fn own(account: AccountId, kind: DocumentKind, page: u64) -> Self {
        Self {
            space: Space::Account(account),
            audience: Audience::Public,
            account,
            kind,
            label: Vec::new(),
            page,
            generation: 0,
        }
    }

    /// Describes `visitor`'s guest page to page `page` of `owner`'s wall.
    #[must_use]
    pub const fn guest(owner: AccountId, visitor: AccountId, page: u64) -> Self {
        Self {
            space: Space::Account(owner),
            audience: Audience::Public,
            account: visitor,
            kind: DocumentKind::Guest,
            label: Vec::new(),
            page,
            generation: 0,
        }
    }

    /// Describes a page of `member`'s operations in a hub.
    #[must_use]
    pub const fn hub_log(hub: HubId, member: AccountId, page: u64) -> Self {
        Self {
            space: Space::Hub(hub),
            audience: Audience::Public,
            account: member,
            kind: DocumentKind::HubLog,
            label: Vec::new(),
            page,
            generation: 0,
        }
    }

    /// Describes a page of what `member` wrote into a channel.
    #[must_use]
    pub fn channel(hub: HubId, channel: &ChangeId, member: AccountId, page: u64) -> Self {
        let label = channel.as_bytes().to_vec();
        Self { kind: DocumentKind::Channel, label, ..Self::hub_log(hub, member, page) }
    }

    /// Describes a page of what `account` wrote into a conversation.
    #[must_use]
    pub const fn conversation(id: ConversationId, account: AccountId, page: u64) -> Self {
        Self {
            space: Space::Conversation(id),
            audience: Audience::Participants,
            account,
            kind: DocumentKind::Conversation,
            label: Vec::new(),
            page,
            generation: 0,
        }
    }

    /// Another page of the same row of pages.
    #[must_use]
    pub fn at_page(&self, page: u64) -> Self {
        Self { page, ..self.clone() }
    }

    /// The channel that the document is a page of.
    #[must_use]
    pub fn channel_id(&self) -> Option<ChangeId> {
        let label: [u8; 32] = self.label.as_slice().try_into().ok()?;
        (self.kind == DocumentKind::Channel).then(|| ChangeId::from_bytes(label))
    }

    /// Describes a sealed private map; `label` comes from a random secret.
    #[must_use]
    pub const fn private(account: AccountId, label: Vec<u8>) -> Self {
        Self {
            space: Space::Account(account),
            audience: Audience::OwnDevices,
            account,
            kind: DocumentKind::Private,
            label,
            page: 0,
            generation: 0,
        }
    }

    /// Describes a public text document; its first device chose `label` at random.
    #[must_use]
    pub fn text(account: AccountId, label: &TextLabel) -> Self {
        Self { label: label.to_vec(), ..Self::own(account, DocumentKind::Text, 0) }
    }

    /// Encodes for hashing and sending: `version 1 ‖ space ‖ audience ‖ account ‖ kind ‖
    /// label ‖ page ‖ generation`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(1);
        self.space.encode(&mut writer);
        writer.u8(self.audience as u8).raw(self.account.as_bytes()).u8(self.kind as u8);
        writer.bytes(&self.label).varint(self.page).varint(self.generation);
        writer.finish()
    }

    /// Reads one description.
    ///
    /// # Errors
    /// If malformed, or if kind, audience, space and account do not fit together.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = reader.u8("description version")?;
        if version != 1 {
            return Err(DecodeError::Unknown { reading: "description version", value: version });
        }
        let space = Space::decode(reader)?;
        let audience = match reader.u8("audience")? {
            1 => Audience::Public,
            2 => Audience::OwnDevices,
            3 => Audience::Participants,
            value => return Err(DecodeError::Unknown { reading: "audience", value }),
        };
        let account = AccountId::from_bytes(reader.array("account")?);
        let kind = match reader.u8("document kind")? {
            1 => DocumentKind::AccountLog,
            2 => DocumentKind::Profile,
            3 => DocumentKind::Wall,
            4 => DocumentKind::Guest,
            5 => DocumentKind::HubLog,
            6 => DocumentKind::Channel,
            7 => DocumentKind::Conversation,
            8 => DocumentKind::Private,
            9 => DocumentKind::Text,
            value => return Err(DecodeError::Unknown { reading: "document kind", value }),
        };
        let label = reader.bytes(LABEL_BYTES_MAX, "label")?.to_vec();
        let page = reader.varint(PAGE_NUMBER_MAX, "page")?;
        let generation = reader.varint(PAGE_NUMBER_MAX, "generation")?;
        let description = Self { space, audience, account, kind, label, page, generation };
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let own = self.space.account() == Some(self.account);
        let private = self.kind == DocumentKind::Private;
        let spoken = self.kind == DocumentKind::Conversation;
        let fits = match self.audience {
            Audience::Public => !private && !spoken,
            Audience::OwnDevices => private,
            Audience::Participants => spoken,
        };
        if !fits {
            return Err(DecodeError::Rule("audience does not fit the document kind"));
        }
        let of_hub = matches!(self.kind, DocumentKind::HubLog | DocumentKind::Channel);
        match self.space {
            Space::Account(_) if of_hub => {
                return Err(DecodeError::Rule("a document of a hub in an account's space"));
            }
            Space::Account(_) if !own && self.kind != DocumentKind::Guest => {
                return Err(DecodeError::Rule("only guest pages stand in another account's space"));
            }
            Space::Hub(_) if !of_hub => {
                return Err(DecodeError::Rule("a hub has logs and channels only"));
            }
            Space::Conversation(_) if !spoken => {
                return Err(DecodeError::Rule("a conversation has pages of its own kind only"));
            }
            Space::Account(_) | Space::Hub(_) if spoken => {
                return Err(DecodeError::Rule("a page of a conversation outside of one"));
            }
            Space::Account(_) | Space::Hub(_) | Space::Conversation(_) => {}
        }
        let channel = self.kind == DocumentKind::Channel;
        if channel && self.label.len() != size_of::<ChangeId>() {
            return Err(DecodeError::Rule("label of a channel page is not 32 bytes"));
        }
        let text = self.kind == DocumentKind::Text;
        if text && self.label.len() != TEXT_LABEL_BYTES {
            return Err(DecodeError::Rule("label of a text is not 16 bytes"));
        }
        if !private && !text && !channel && !self.label.is_empty() {
            return Err(DecodeError::Rule("label on a document that has none"));
        }
        if self.page != 0 && !self.kind.is_log() {
            return Err(DecodeError::Rule("page number on a map or text document"));
        }
        Ok(())
    }

    /// Returns the document's id: `derive_key("mosaic document 1", encoded description)`.
    #[must_use]
    pub fn id(&self) -> DocumentId {
        DocumentId::from_bytes(derive("mosaic document 1", &[&self.encode()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_round_trips_and_misfits_are_refused() {
        let ada = AccountId::from_bytes([1; 32]);
        let bob = AccountId::from_bytes([2; 32]);
        let all = [
            Description::own(ada, DocumentKind::Wall, 7),
            Description::guest(ada, bob, 7),
            Description::private(ada, vec![9; 32]),
            Description::text(ada, &[9; TEXT_LABEL_BYTES]),
            Description::hub_log(HubId::from_bytes([3; 32]), bob, 2),
            Description::channel(HubId::from_bytes([3; 32]), &ChangeId::of(b"c"), bob, 5),
            Description::conversation(ConversationId::from_bytes([3; 32]), bob, 1),
        ];
        for description in &all {
            let bytes = description.encode();
            let mut reader = Reader::new(&bytes);
            assert_eq!(Description::decode(&mut reader).as_ref(), Ok(description));
            assert!(reader.is_empty());
        }
        let mut misfit = Description::own(ada, DocumentKind::Wall, 0);
        misfit.space = Space::Account(bob);
        assert!(Description::decode(&mut Reader::new(&misfit.encode())).is_err());
        for bytes in [0, TEXT_LABEL_BYTES - 1, TEXT_LABEL_BYTES + 1] {
            let mut misfit = Description::text(ada, &[9; TEXT_LABEL_BYTES]);
            misfit.label = vec![9; bytes];
            assert!(Description::decode(&mut Reader::new(&misfit.encode())).is_err());
        }
        let mut misfit = Description::text(ada, &[9; TEXT_LABEL_BYTES]);
        misfit.space = Space::Account(bob);
        assert!(Description::decode(&mut Reader::new(&misfit.encode())).is_err());
        let hub = HubId::from_bytes([3; 32]);
        let mut misfits = vec![Description::channel(hub, &ChangeId::of(b"c"), bob, 0); 3];
        misfits[0].label.push(0);
        misfits[1].label.clear();
        misfits[2].space = Space::Account(bob);
        misfits.push(Description::own(ada, DocumentKind::Wall, 0));
        misfits[3].space = Space::Hub(hub);
        misfits.push(Description::hub_log(hub, ada, 0));
        misfits[4].space = Space::Conversation(ConversationId::from_bytes([3; 32]));
        let id = ConversationId::from_bytes([3; 32]);
        misfits.extend(std::iter::repeat_n(Description::conversation(id, ada, 0), 3));
        misfits[5].audience = Audience::Public;
        misfits[6].space = Space::Account(ada);
        misfits[7].space = Space::Hub(hub);
        for misfit in misfits {
            assert!(Description::decode(&mut Reader::new(&misfit.encode())).is_err(), "{misfit:?}");
        }
        let mut misfit = Description::own(ada, DocumentKind::Private, 0);
        misfit.audience = Audience::Public;
        assert!(Description::decode(&mut Reader::new(&misfit.encode())).is_err());
    }
}
