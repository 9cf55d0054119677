//! What members write into private channels, and its bytes: what the hub judges by stands in the clear,
//! what is said is sealed.

use super::hub::{Who, write_who};
use super::message::read_mentions;
use super::{BODY_SIZE_MAX, BodyRef, Entry, read_body, write_body};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::ChangeId;
use crate::limits::{EMOJI_BYTES_MAX, PRIVATE_MENTIONS_MAX};
use crate::seal::{SealForm, SealedEntry};

/// Flag of a message that is sealed in the second form.
const SECOND: u8 = 2;

/// An entry of a private channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// What it is, as everybody sees.
    pub what: PrivateWhat,
    /// What it says besides; a [`Said`] once it is open.
    pub entry: SealedEntry,
}

impl Private {
    /// Returns the first byte of the entry.
    #[must_use]
    pub(super) const fn lead(&self) -> u8 {
        self.what.lead(self.entry.form())
    }

    /// What of this entry stands in the clear and is sealed along.
    #[must_use]
    pub fn clear(&self) -> Vec<u8> {
        self.what.header_in(self.entry.form())
    }
}

/// What an entry of a private channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateWhat {
    /// A message.
    Message {
        /// The message that it answers.
        target: Option<ChangeId>,
        /// The text, sealed.
        body: BodyRef,
    },
    /// An emoji on a message.
    Reaction {
        /// The message.
        target: ChangeId,
    },
    /// New text for an own message of this document.
    Edit {
        /// The message.
        target: ChangeId,
        /// The text, sealed.
        body: BodyRef,
    },
}

impl PrivateWhat {
    /// Returns the kind of such entries, however they are sealed.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Message { .. } => 0x0c,
            Self::Reaction { .. } => 0x0d,
            Self::Edit { .. } => 0x18,
        }
    }

    /// The entry that it answers, changes or reacts to.
    #[must_use]
    pub const fn target(&self) -> Option<ChangeId> {
        match self {
            Self::Message { target, .. } => *target,
            Self::Reaction { target } | Self::Edit { target, .. } => Some(*target),
        }
    }

    /// The text that it brings.
    #[must_use]
    pub const fn body(&self) -> Option<BodyRef> {
        match self {
            Self::Message { body, .. } | Self::Edit { body, .. } => Some(*body),
            Self::Reaction { .. } => None,
        }
    }

    /// What of an entry that is to be sealed stands in the clear and is sealed along.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        self.header_in(SealForm::Second)
    }

    pub(crate) fn header_in(&self, form: SealForm) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(self.lead(form));
        self.write(&mut w, form);
        w.finish()
    }

    /// The first byte: it tells the form, but of a message its flags do.
    const fn lead(&self, form: SealForm) -> u8 {
        match (self, form) {
            (Self::Reaction { .. }, SealForm::Second) => 0x0e,
            (Self::Edit { .. }, SealForm::Second) => 0x19,
            _ => self.kind(),
        }
    }

    fn write(&self, w: &mut Writer, form: SealForm) {
        match self {
            Self::Message { target, .. } => {
                let second = if form == SealForm::Second { SECOND } else { 0 };
                w.u8(u8::from(target.is_some()) | second);
                if let Some(target) = target {
                    w.raw(target.as_bytes());
                }
            }
            Self::Reaction { target } | Self::Edit { target, .. } => {
                w.raw(target.as_bytes());
            }
        }
        if let Some(body) = self.body() {
            write_body(w, &body);
        }
    }
}

/// What a sealed entry of a private channel says besides its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Of a message: whom it mentions; at most [`PRIVATE_MENTIONS_MAX`], rising. What is written now
    /// says it before its text, by [`with_mentions`], so that nobody else sees which messages do.
    Message {
        /// Whom.
        mentions: Vec<Who>,
    },
    /// Of a reaction: the emoji.
    Reaction {
        /// 1 to 64 bytes.
        emoji: String,
    },
    /// Of an edit: nothing.
    Edit,
}

impl Said {
    /// Encodes for the second form of seals: kind byte, then the fields. A message says nothing, as an
    /// edit does: whom it mentions stands with its text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Reaction { emoji } => {
                w.u8(2).text(emoji);
            }
            Self::Message { .. } | Self::Edit => {}
        }
        w.finish()
    }

    /// Decodes exactly one, of an entry that is this and was sealed in this form.
    ///
    /// # Errors
    /// If malformed, over a limit, or of another kind than the entry; [`DecodeError::Unknown`] if of a
    /// kind that a later version adds.
    pub fn decode(bytes: &[u8], form: SealForm, what: &PrivateWhat) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let said = match (form, r.rest(), what) {
            (SealForm::Second, [], PrivateWhat::Message { .. }) => {
                Self::Message { mentions: Vec::new() }
            }
            (SealForm::Second, [], PrivateWhat::Edit { .. }) => Self::Edit,
            (SealForm::Second, [1, 0, ..] | [3, ..], _) => {
                return Err(DecodeError::Rule("more bytes than what is said takes"));
            }
            _ => Self::read(&mut r)?,
        };
        r.end()?;
        let fits = matches!(
            (&said, what),
            (Self::Message { .. }, PrivateWhat::Message { .. })
                | (Self::Reaction { .. }, PrivateWhat::Reaction { .. })
                | (Self::Edit, PrivateWhat::Edit { .. })
        );
        if !fits {
            return Err(DecodeError::Rule("a sealed entry that says something else than it is"));
        }
        Ok(said)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.u8("kind of what is said")? {
            1 => Self::Message { mentions: read_mentions(r, PRIVATE_MENTIONS_MAX)? },
            2 => {
                let emoji = r.text(EMOJI_BYTES_MAX, "emoji")?.to_owned();
                if emoji.is_empty() {
                    return Err(DecodeError::Rule("a reaction without emoji"));
                }
                Self::Reaction { emoji }
            }
            3 => Self::Edit,
            value => return Err(DecodeError::Unknown { reading: "kind of what is said", value }),
        })
    }
}

/// Puts before a text whom it mentions, as many as [`PRIVATE_MENTIONS_MAX`] and at least one, rising:
/// their count, each, the text.
#[must_use]
pub fn with_mentions(mentions: &[Who], text: &str) -> Vec<u8> {
    let mut w = Writer::new();
    w.varint(mentions.len() as u64);
    for who in mentions {
        write_who(&mut w, who);
    }
    w.raw(text.as_bytes());
    w.finish()
}

/// Takes from a text whom it mentions.
///
/// # Errors
/// If it mentions nobody, or it is not what [`with_mentions`] makes.
pub fn without_mentions(bytes: &[u8]) -> Result<(Vec<Who>, &[u8]), DecodeError> {
    let mut r = Reader::new(bytes);
    let mentions = read_mentions(&mut r, PRIVATE_MENTIONS_MAX)?;
    if mentions.is_empty() {
        return Err(DecodeError::Rule("a text that says whom it mentions, and names nobody"));
    }
    Ok((mentions, r.rest()))
}

/// Appends the fields of an entry of a private channel.
pub(super) fn write(w: &mut Writer, private: &Private) {
    private.what.write(w, private.entry.form());
    private.entry.encode(w);
}

/// Reads the fields of an entry of a private channel.
pub(super) fn read(kind: u8, r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let mut form = match kind {
        0x0e | 0x19 => SealForm::Second,
        _ => SealForm::First,
    };
    let what = match kind {
        0x0c => {
            let mut flags = r.u8("flags of a message")?;
            if flags & SECOND != 0 {
                (form, flags) = (SealForm::Second, flags ^ SECOND);
            }
            let target = match flags {
                0 => None,
                1 => Some(ChangeId::from_bytes(r.array("target")?)),
                value => return Err(DecodeError::Unknown { reading: "flags of a message", value }),
            };
            PrivateWhat::Message { target, body: read_body(r, BODY_SIZE_MAX)? }
        }
        0x0d | 0x0e => PrivateWhat::Reaction { target: ChangeId::from_bytes(r.array("target")?) },
        _ => PrivateWhat::Edit {
            target: ChangeId::from_bytes(r.array("target")?),
            body: read_body(r, BODY_SIZE_MAX)?,
        },
    };
    let entry = SealedEntry::decode(r, form)?;
    Ok(Entry::Private(Box::new(Private { what, entry })))
}
