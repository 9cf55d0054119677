//! What members write into private channels, and its bytes: what the hub judges by stands in the clear,
//! what is said is sealed.

use super::hub::{Who, write_who};
use super::message::read_mentions;
use super::{BODY_SIZE_MAX, BodyRef, Entry, read_body, write_body};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::ChangeId;
use crate::limits::{EMOJI_BYTES_MAX, PRIVATE_MENTIONS_MAX, SEALED_BYTES_MAX};
use crate::seal::{EPOCH_HINT_BYTES, SealedEntry};

/// An entry of a private channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// What it is, as everybody sees.
    pub what: PrivateWhat,
    /// What it says besides; a [`Said`] once it is open.
    pub entry: SealedEntry,
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
    /// Returns the kind byte.
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

    /// What of the entry stands in the clear and is sealed along.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(self.kind());
        self.write(&mut w);
        w.finish()
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::Message { target, .. } => {
                w.u8(u8::from(target.is_some()));
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
    /// Of a message: whom it mentions; at most [`PRIVATE_MENTIONS_MAX`], rising.
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
    /// Encodes: kind byte, then the fields.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Message { mentions } => {
                w.u8(1).varint(mentions.len() as u64);
                for who in mentions {
                    write_who(&mut w, who);
                }
            }
            Self::Reaction { emoji } => {
                w.u8(2).text(emoji);
            }
            Self::Edit => {
                w.u8(3);
            }
        }
        w.finish()
    }

    /// Decodes exactly one, of an entry that is this.
    ///
    /// # Errors
    /// If malformed, over a limit, or of another kind than the entry; [`DecodeError::Unknown`] if of a
    /// kind that a later version adds.
    pub fn decode(bytes: &[u8], what: &PrivateWhat) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let said = match r.u8("kind of what is said")? {
            1 => Self::Message { mentions: read_mentions(&mut r, PRIVATE_MENTIONS_MAX)? },
            2 => {
                let emoji = r.text(EMOJI_BYTES_MAX, "emoji")?.to_owned();
                if emoji.is_empty() {
                    return Err(DecodeError::Rule("a reaction without emoji"));
                }
                Self::Reaction { emoji }
            }
            3 => Self::Edit,
            value => return Err(DecodeError::Unknown { reading: "kind of what is said", value }),
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
}

/// Appends the fields of an entry of a private channel.
pub(super) fn write(w: &mut Writer, private: &Private) {
    private.what.write(w);
    let SealedEntry { epoch, check, salt, ciphertext } = &private.entry;
    w.raw(epoch).raw(check).raw(salt).raw(ciphertext);
}

/// Reads the fields of an entry of a private channel.
pub(super) fn read(kind: u8, r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let what = match kind {
        0x0c => {
            let target = match r.u8("flags of a message")? {
                0 => None,
                1 => Some(ChangeId::from_bytes(r.array("target")?)),
                value => return Err(DecodeError::Unknown { reading: "flags of a message", value }),
            };
            PrivateWhat::Message { target, body: read_body(r, BODY_SIZE_MAX)? }
        }
        0x0d => PrivateWhat::Reaction { target: ChangeId::from_bytes(r.array("target")?) },
        _ => PrivateWhat::Edit {
            target: ChangeId::from_bytes(r.array("target")?),
            body: read_body(r, BODY_SIZE_MAX)?,
        },
    };
    let epoch: [u8; EPOCH_HINT_BYTES] = r.array("epoch")?;
    let (check, salt) = (r.array("key check")?, r.array("salt")?);
    let length = r.rest().len();
    if length > SEALED_BYTES_MAX {
        let (value, max) = (length as u64, SEALED_BYTES_MAX as u64);
        return Err(DecodeError::TooLarge { reading: "sealed entry", value, max });
    }
    let ciphertext = r.take(length, "sealed entry")?.to_vec();
    let entry = SealedEntry { epoch, check, salt, ciphertext };
    Ok(Entry::Private(Box::new(Private { what, entry })))
}
