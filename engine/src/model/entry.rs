//! Entries: the values that log changes carry, and their bytes.

pub use self::conversation::{ConversationGenesis, Membership, Sealed, Spoken};
pub use self::hub::{
    ChannelChange, ChannelFields, History, HubAction, HubGenesis, HubOperation, HubSetting,
    OpenedTexts, Permissions, Rank, Readers, Report, ReportSubject, RoleRef, SealedReport, Who,
};
pub use self::message::{Claimed, Message, Poll, PollKind};
pub use self::private::{Private, PrivateWhat, Said, with_mentions, without_mentions};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::TextLabel;
use crate::hash::{
    AccountId, BlobHash, ChangeId, DeviceId, DocumentId, EpochId, Incarnation, Link, SealKey,
};
use crate::identity::{RecoveryPolicy, Signature};
use crate::limits::{
    ALT_BYTES_MAX, ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, BODY_BYTES_MAX, BODY_SALT_BYTES,
    CUT_ITEMS_MAX, EMOJI_BYTES_MAX, ENTRY_BYTES_MAX, HEAD_AHEAD_MAX, MEDIA_TYPE_BYTES_MAX,
    PAGE_TIPS_MAX,
};

/// Where a text body is: a blob `salt(16) ‖ bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRef {
    /// BLAKE3 of salt and bytes.
    pub hash: BlobHash,
    /// Bytes of the blob, salt included.
    pub size: u64,
}

/// A file that belongs to an entry; the blob is salted as bodies are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The blob.
    pub body: BodyRef,
    /// Media type such as `image/png`; claimed, never trusted; at most 127 bytes.
    pub media_type: String,
    /// A label, never a path; at most 255 bytes.
    pub name: String,
    /// Description for those who cannot see it; at most 2,000 bytes.
    pub alt: String,
}

/// Names an entry of some account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryRef {
    /// Who wrote it.
    pub account: AccountId,
    /// The change that carries it.
    pub entry: ChangeId,
}

/// Where an imported post comes from, as whoever imported it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// A name for people, such as the title of a feed; at most 255 bytes.
    pub source: String,
    /// What it is called there, the same in each import; 1 to 2,000 bytes.
    pub id: String,
    /// Where it was read; empty if that is unknown or the id; at most 2,000 bytes.
    pub link: String,
}

/// A version of one chain: `n` changes that end in `link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tip {
    /// The document.
    pub doc: DocumentId,
    /// The device whose chain it is.
    pub device: DeviceId,
    /// Its writing life.
    pub incarnation: Incarnation,
    /// Number of changes.
    pub n: u64,
    /// Running hash after them.
    pub link: Link,
}

/// Who may reply to a wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ReplyPolicy {
    /// Everybody who is not refused.
    Everyone = 1,
    /// Accounts the owner admitted.
    Admitted = 2,
    /// Nobody but the owner.
    Nobody = 3,
}

/// An epoch key sealed to one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// The receiving device.
    pub device: DeviceId,
    /// HPKE encapsulated key and ciphertext, at most 256 bytes.
    pub sealed: Vec<u8>,
}

/// One item of a log document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// First entry of a page after page 0: tips of the page before.
    PageStart {
        /// What the author had seen of the page before.
        previous: Vec<Tip>,
    },
    /// A post, perhaps quoting another.
    Post {
        /// The text.
        body: BodyRef,
        /// Files.
        attachments: Vec<Attachment>,
        /// The quoted entry.
        quote: Option<EntryRef>,
        /// Where it was imported from.
        origin: Option<Origin>,
        /// The text document that holds its text; the body is empty then.
        text: Option<TextLabel>,
    },
    /// Somebody else's post, shown to one's own readers.
    Repost {
        /// The reposted entry.
        target: EntryRef,
    },
    /// An answer to a post or to another reply of the same wall page.
    Reply {
        /// The entry answered.
        target: ChangeId,
        /// The text.
        body: BodyRef,
        /// Files.
        attachments: Vec<Attachment>,
    },
    /// An emoji on an entry of the same wall page.
    Reaction {
        /// The entry reacted to.
        target: ChangeId,
        /// The emoji.
        emoji: String,
    },
    /// What its author had seen of the hub when he wrote what follows on this page: versions
    /// of hub logs by their links, beside those that stand before.
    Seen {
        /// 1 to 64, rising.
        links: Vec<Link>,
    },
    /// A message in a channel.
    Message(Box<Message>),
    /// A question in a channel, with answers to choose from.
    Poll(Box<Poll>),
    /// An answer to a poll. Of several of one account the latest counts.
    Vote {
        /// The poll.
        poll: ChangeId,
        /// Numbers of options: one, several, or from the best down; none takes the vote back.
        choices: Vec<u8>,
    },
    /// Ends an own poll of this document.
    ClosePoll {
        /// The poll.
        target: ChangeId,
        /// Versions of channel pages up to which votes count; more are in closings of the same time.
        cut: Vec<Tip>,
    },
    /// New text for an own post, reply or message in this document.
    Edit {
        /// The entry edited.
        target: ChangeId,
        /// The new text.
        body: BodyRef,
    },
    /// Withdraws an own entry of this document: its body is dropped everywhere.
    Tombstone {
        /// The entry withdrawn.
        target: ChangeId,
    },
    /// The wall's owner hides a guest's entry from everybody's view.
    Hide {
        /// The entry hidden.
        target: ChangeId,
    },
    /// Takes a hide back.
    Unhide {
        /// The entry shown again.
        target: ChangeId,
    },
    /// The account's word on how much of a revoked device's chain in this document stays.
    Cut {
        /// The revoked device.
        device: DeviceId,
        /// Versions up to which its chains are accepted.
        tips: Vec<Tip>,
    },
    /// A device joins: its certificate and name.
    AddDevice {
        /// Encoded [`crate::identity::Certificate`].
        certificate: Vec<u8>,
        /// What people call it.
        name: String,
    },
    /// A device gets another name.
    RenameDevice {
        /// Which.
        device: DeviceId,
        /// The new name.
        name: String,
    },
    /// A device may not write until restored; any device may do this to any other.
    Suspend {
        /// Which.
        device: DeviceId,
    },
    /// Ends a suspension.
    Restore {
        /// Which.
        device: DeviceId,
    },
    /// A device may never write again. What stays of its chains is in the [`Entry::Cut`]s of
    /// the same author, the first of which stand before this entry.
    Revoke {
        /// Which.
        device: DeviceId,
        /// Why, for the account's own devices to read; at most 256 bytes.
        reason: String,
    },
    /// A guest becomes part of the wall.
    Admit {
        /// Who.
        account: AccountId,
    },
    /// A guest is no longer shown, whatever the policy.
    Refuse {
        /// Who.
        account: AccountId,
    },
    /// Who may reply from now on.
    Policy {
        /// The policy.
        reply: ReplyPolicy,
    },
    /// An epoch key of the private sector or of a conversation, sealed to devices. One without
    /// sealed copies asks for the key.
    Epoch {
        /// Hash of the key.
        epoch: EpochId,
        /// The sealed copies.
        wraps: Vec<Wrap>,
    },
    /// The recovery policy that the account commits to, and the claim of its words: to whom
    /// epoch keys are sealed beside the devices, and how the account is found by its words.
    Recovery {
        /// The policy.
        policy: RecoveryPolicy,
        /// The words' signature over account and policy.
        claim: Signature,
    },
    /// The account's words bring in a device.
    Recover {
        /// Encoded [`crate::identity::RecoveryCertificate`].
        certificate: Vec<u8>,
        /// What people call the device.
        name: String,
    },
    /// The account's words give way to others.
    Rotate {
        /// Encoded [`crate::identity::Rotation`].
        rotation: Vec<u8>,
        /// The devices recovered so far, which the rotation names by their digest.
        seen: Vec<DeviceId>,
    },
    /// The prekey to which keys are sealed for the device that writes this, from now on.
    Prekey {
        /// Its public half, of no small order.
        key: SealKey,
    },
    /// Something said in a conversation, which its participants alone can read.
    Sealed(Box<Sealed>),
    /// What stands in a private channel, which its readers alone can read.
    Private(Box<Private>),
    /// A member of a conversation comes or goes.
    Membership(Box<Membership>),
    /// An operation of a hub: who may do what there, its channels, its moderation.
    Hub(Box<HubOperation>),
}

const NAME_BYTES_MAX: usize = 255;
const REASON_BYTES_MAX: usize = 256;
const WRAP_BYTES_MAX: usize = 256;
const BODY_SIZE_MAX: u64 = (BODY_BYTES_MAX + BODY_SALT_BYTES) as u64;
const ATTACHMENT_SIZE_MAX: u64 = ATTACHMENT_BYTES_MAX + BODY_SALT_BYTES as u64;

impl Entry {
    /// Whether it counts against the page's modifications instead of its entries.
    #[must_use]
    pub const fn is_modification(&self) -> bool {
        matches!(self.kind(), 0x10..=0x1f)
    }

    /// The entry that it answers, changes or reacts to.
    #[must_use]
    pub const fn target(&self) -> Option<ChangeId> {
        match self {
            Self::Reply { target, .. }
            | Self::Reaction { target, .. }
            | Self::Edit { target, .. }
            | Self::Tombstone { target }
            | Self::Hide { target }
            | Self::Unhide { target }
            | Self::Vote { poll: target, .. }
            | Self::ClosePoll { target, .. } => Some(*target),
            Self::Message(message) => message.target,
            Self::Private(private) => private.what.target(),
            Self::Repost { target } => Some(target.entry),
            _ => None,
        }
    }

    /// The entry to which it gives a new text.
    #[must_use]
    pub const fn edits(&self) -> Option<ChangeId> {
        match self {
            Self::Edit { target, .. } => Some(*target),
            Self::Private(private) => match private.what {
                PrivateWhat::Edit { target, .. } => Some(target),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the kind byte; of what stands in private channels the same, however it is sealed.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::PageStart { .. } => 0x01,
            Self::Post { .. } => 0x02,
            Self::Repost { .. } => 0x03,
            Self::Reply { .. } => 0x04,
            Self::Reaction { .. } => 0x05,
            Self::Message(_) => 0x07,
            Self::Poll(_) => 0x08,
            Self::Vote { .. } => 0x0a,
            Self::Sealed(_) => 0x0b,
            Self::Private(private) => private.what.kind(),
            Self::Edit { .. } => 0x10,
            Self::Tombstone { .. } => 0x11,
            Self::Hide { .. } => 0x12,
            Self::Unhide { .. } => 0x13,
            Self::Cut { .. } => 0x14,
            Self::ClosePoll { .. } => 0x15,
            Self::Seen { .. } => 0x16,
            Self::Membership(_) => 0x17,
            Self::AddDevice { .. } => 0x20,
            Self::RenameDevice { .. } => 0x21,
            Self::Suspend { .. } => 0x22,
            Self::Restore { .. } => 0x23,
            Self::Revoke { .. } => 0x24,
            Self::Admit { .. } => 0x25,
            Self::Refuse { .. } => 0x26,
            Self::Policy { .. } => 0x27,
            Self::Epoch { .. } => 0x28,
            Self::Recovery { .. } => 0x29,
            Self::Recover { .. } => 0x2a,
            Self::Rotate { .. } => 0x2b,
            Self::Prekey { .. } => 0x2c,
            Self::Hub(operation) => operation.kind(),
        }
    }

    /// Encodes: kind byte, then the fields in order.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(match self {
            Self::Private(private) => private.lead(),
            _ => self.kind(),
        });
        match self {
            Self::PageStart { previous } => write_tips(&mut w, previous),
            Self::Post { .. } => post::write(&mut w, self),
            Self::Repost { target } => write_ref(&mut w, target),
            Self::Reply { target, body, attachments } => {
                w.raw(target.as_bytes());
                write_body(&mut w, body);
                write_attachments(&mut w, attachments);
            }
            Self::Reaction { target, emoji } => {
                w.raw(target.as_bytes()).text(emoji);
            }
            Self::Edit { target, body } => {
                w.raw(target.as_bytes());
                write_body(&mut w, body);
            }
            Self::Tombstone { target } | Self::Hide { target } | Self::Unhide { target } => {
                w.raw(target.as_bytes());
            }
            Self::Cut { device, tips } => {
                w.raw(device.as_bytes());
                write_tips(&mut w, tips);
            }
            Self::Hub(operation) => operation.encode(&mut w),
            Self::Sealed(_) | Self::Membership(_) => conversation::write(&mut w, self),
            Self::Private(private) => private::write(&mut w, private),
            Self::Seen { .. }
            | Self::Message(_)
            | Self::Poll(_)
            | Self::Vote { .. }
            | Self::ClosePoll { .. } => message::write(&mut w, self),
            _ => account::write(&mut w, self),
        }
        w.finish()
    }

    /// Decodes exactly one entry.
    ///
    /// # Errors
    /// If the bytes are longer than [`ENTRY_BYTES_MAX`], malformed, over a limit, of
    /// unknown kind, or not in the one form that [`Entry::encode`] gives.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(DecodeError::TooLarge {
                reading: "entry",
                value: bytes.len() as u64,
                max: ENTRY_BYTES_MAX as u64,
            });
        }
        let mut r = Reader::new(bytes);
        let kind = r.u8("entry kind")?;
        let entry = match kind {
            0..=0x1f => read_content(kind, &mut r)?,
            0x20..=0x3f => account::read(kind, &mut r)?,
            _ => Self::Hub(Box::new(HubOperation::decode(kind, &mut r)?)),
        };
        r.end()?;
        Ok(entry)
    }
}

fn read_content(kind: u8, r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    Ok(match kind {
        0x01 => Entry::PageStart { previous: read_tips(r, PAGE_TIPS_MAX)? },
        0x02 => post::read(r)?,
        0x03 => Entry::Repost { target: read_ref(r)? },
        0x04 => Entry::Reply {
            target: ChangeId::from_bytes(r.array("target")?),
            body: read_body(r, BODY_SIZE_MAX)?,
            attachments: read_attachments(r)?,
        },
        0x05 => {
            let target = ChangeId::from_bytes(r.array("target")?);
            let emoji = r.text(EMOJI_BYTES_MAX, "emoji")?.to_owned();
            if emoji.is_empty() {
                return Err(DecodeError::Rule("a reaction without emoji"));
            }
            Entry::Reaction { target, emoji }
        }
        0x0b => conversation::read_sealed(r)?,
        0x0c | 0x0d | 0x0e | 0x18 | 0x19 => private::read(kind, r)?,
        0x17 => conversation::read_membership(r)?,
        0x10 => Entry::Edit {
            target: ChangeId::from_bytes(r.array("target")?),
            body: read_body(r, BODY_SIZE_MAX)?,
        },
        0x11 => Entry::Tombstone { target: ChangeId::from_bytes(r.array("target")?) },
        0x12 => Entry::Hide { target: ChangeId::from_bytes(r.array("target")?) },
        0x13 => Entry::Unhide { target: ChangeId::from_bytes(r.array("target")?) },
        0x14 => Entry::Cut {
            device: DeviceId::from_bytes(r.array("device")?),
            tips: read_tips(r, CUT_ITEMS_MAX)?,
        },
        _ => message::read(kind, r)?,
    })
}

fn write_body(w: &mut Writer, body: &BodyRef) {
    w.raw(body.hash.as_bytes()).varint(body.size);
}

fn read_body(r: &mut Reader<'_>, max: u64) -> Result<BodyRef, DecodeError> {
    let hash = BlobHash::from_bytes(r.array("body hash")?);
    let size = r.varint(max, "body size")?;
    if size < BODY_SALT_BYTES as u64 {
        return Err(DecodeError::Rule("a body shorter than its salt"));
    }
    Ok(BodyRef { hash, size })
}

fn write_ref(w: &mut Writer, target: &EntryRef) {
    w.raw(target.account.as_bytes()).raw(target.entry.as_bytes());
}

fn read_ref(r: &mut Reader<'_>) -> Result<EntryRef, DecodeError> {
    Ok(EntryRef {
        account: AccountId::from_bytes(r.array("account")?),
        entry: ChangeId::from_bytes(r.array("entry")?),
    })
}

fn write_attachments(w: &mut Writer, attachments: &[Attachment]) {
    w.varint(attachments.len() as u64);
    for a in attachments {
        write_body(w, &a.body);
        w.text(&a.media_type).text(&a.name).text(&a.alt);
    }
}

fn read_attachments(r: &mut Reader<'_>) -> Result<Vec<Attachment>, DecodeError> {
    let count = r.count(ATTACHMENTS_MAX, "attachments")?;
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(Attachment {
            body: read_body(r, ATTACHMENT_SIZE_MAX)?,
            media_type: r.text(MEDIA_TYPE_BYTES_MAX, "media type")?.to_owned(),
            name: r.text(NAME_BYTES_MAX, "attachment name")?.to_owned(),
            alt: r.text(ALT_BYTES_MAX, "attachment description")?.to_owned(),
        });
    }
    Ok(out)
}

fn write_tips(w: &mut Writer, tips: &[Tip]) {
    w.varint(tips.len() as u64);
    for tip in tips {
        w.raw(tip.doc.as_bytes()).raw(tip.device.as_bytes()).raw(tip.incarnation.as_bytes());
        w.varint(tip.n).raw(tip.link.as_bytes());
    }
}

fn read_tips(r: &mut Reader<'_>, max: usize) -> Result<Vec<Tip>, DecodeError> {
    let count = r.count(max, "tips")?;
    let mut out: Vec<Tip> = Vec::with_capacity(count);
    for _ in 0..count {
        let tip = Tip {
            doc: DocumentId::from_bytes(r.array("document")?),
            device: DeviceId::from_bytes(r.array("device")?),
            incarnation: Incarnation::from_bytes(r.array("incarnation")?),
            n: r.varint(HEAD_AHEAD_MAX, "n")?,
            link: Link::from_bytes(r.array("link")?),
        };
        if out.last().is_some_and(|last| *last >= tip) {
            return Err(DecodeError::Rule("tips are not in strictly rising order"));
        }
        out.push(tip);
    }
    Ok(out)
}

mod account;
mod conversation;
mod hub;
mod message;
mod post;
mod private;

#[cfg(test)]
mod tests;
