//! What participants write into conversations, and its bytes.

use super::{BODY_SIZE_MAX, BodyRef, Entry};
use super::{Tip, read_body, read_tips, write_body, write_tips};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, ChangeId, ConversationId, derive};
use crate::limits::{
    AUDIENCE_MEMBERS_MAX, CONVERSATION_MEMBERS_MAX, CUT_ITEMS_MAX, EMOJI_BYTES_MAX, EXPIRY_MS_MAX,
    HUB_NAME_BYTES_MAX, MEMBERSHIP_ROUNDS_MAX, READ_TARGETS_MAX, SEALED_BODIES_MAX,
};
use crate::seal::{SealForm, SealedEntry};

/// Who a conversation began with. Its id is the hash of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationGenesis {
    /// Tells groups of the same people apart; zeros between two people.
    pub nonce: [u8; 16],
    /// Who adds and removes members; `None` between two people, who stay the same for ever.
    pub founder: Option<AccountId>,
    /// Who it began with, rising: two, or 1 to [`CONVERSATION_MEMBERS_MAX`] with a founder.
    pub members: Vec<AccountId>,
    /// Whether the founder alone writes, for those whom he chooses: an audience. It begins with
    /// him alone.
    pub audience: bool,
}

impl ConversationGenesis {
    /// The one conversation between two accounts: both can name it before they met.
    #[must_use]
    pub fn between(a: AccountId, b: AccountId) -> Self {
        let mut members = vec![a, b];
        members.sort_unstable();
        Self { nonce: [0; 16], founder: None, members, audience: false }
    }

    /// An audience of somebody's posts.
    #[must_use]
    pub fn audience(nonce: [u8; 16], author: AccountId) -> Self {
        Self { nonce, founder: Some(author), members: vec![author], audience: true }
    }

    /// Whether pages of an account count here.
    #[must_use]
    pub fn lets_write(&self, account: &AccountId) -> bool {
        !self.audience || self.founder == Some(*account)
    }

    /// Members that it has at most.
    #[must_use]
    pub const fn members_max(&self) -> usize {
        if self.audience { AUDIENCE_MEMBERS_MAX } else { CONVERSATION_MEMBERS_MAX }
    }

    /// Returns the id: `derive_key("mosaic conversation 1", encoded genesis)`.
    #[must_use]
    pub fn id(&self) -> ConversationId {
        ConversationId::from_bytes(derive("mosaic conversation 1", &[&self.encode()]))
    }

    /// Encodes: `version 1 ‖ nonce ‖ founder ‖ members`. The byte before the founder says whether
    /// there is one (0 or 1), or that it is an audience (2).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(1).raw(&self.nonce);
        match &self.founder {
            None => w.u8(0),
            Some(founder) => w.u8(1 + u8::from(self.audience)).raw(founder.as_bytes()),
        };
        w.varint(self.members.len() as u64);
        for member in &self.members {
            w.raw(member.as_bytes());
        }
        w.finish()
    }

    /// Decodes exactly one genesis.
    ///
    /// # Errors
    /// If malformed, of another version, or its members do not fit together.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let version = r.u8("conversation version")?;
        if version != 1 {
            return Err(DecodeError::Unknown { reading: "conversation version", value: version });
        }
        let nonce: [u8; 16] = r.array("nonce")?;
        let flag = r.u8("founder flag")?;
        let founder = match flag {
            0 => None,
            1 | 2 => Some(AccountId::from_bytes(r.array("founder")?)),
            value => return Err(DecodeError::Unknown { reading: "founder flag", value }),
        };
        let count = r.count(CONVERSATION_MEMBERS_MAX, "members")?;
        let mut members: Vec<AccountId> = Vec::with_capacity(count);
        for _ in 0..count {
            let member = AccountId::from_bytes(r.array("member")?);
            if members.last().is_some_and(|last| *last >= member) {
                return Err(DecodeError::Rule("members are not in strictly rising order"));
            }
            members.push(member);
        }
        r.end()?;
        let fits = match &founder {
            None => members.len() == 2 && nonce == [0; 16],
            Some(founder) if flag == 2 => members == [*founder],
            Some(founder) => members.contains(founder),
        };
        if !fits {
            return Err(DecodeError::Rule("members of a conversation do not fit its kind"));
        }
        Ok(Self { nonce, founder, members, audience: flag == 2 })
    }
}

/// What only the participants can read, with what relays have to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The texts that it brings, sealed themselves; at most [`SEALED_BODIES_MAX`].
    pub bodies: Vec<BodyRef>,
    /// When its texts are dropped, by the clock of whoever has them; 0 for never.
    pub expires_ms: u64,
    /// What it says; a [`Spoken`] once it is open.
    pub entry: SealedEntry,
}

impl Sealed {
    /// What of an entry that is to be sealed stands in the clear and is sealed along.
    #[must_use]
    pub fn header(bodies: &[BodyRef], expires_ms: u64) -> Vec<u8> {
        Self::header_in(SealForm::Second, bodies, expires_ms)
    }

    /// What of this entry stands in the clear and is sealed along.
    #[must_use]
    pub fn clear(&self) -> Vec<u8> {
        Self::header_in(self.entry.form(), &self.bodies, self.expires_ms)
    }

    pub(crate) fn header_in(form: SealForm, bodies: &[BodyRef], expires_ms: u64) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(0x0b);
        write_header(&mut w, form, bodies, expires_ms);
        w.finish()
    }
}

/// Added to the number of bodies where it is said when they are dropped.
const EXPIRES: u64 = 2;
/// Added to the number of bodies where it and they are sealed in the second form.
const SECOND: u64 = 4;

fn write_header(w: &mut Writer, form: SealForm, bodies: &[BodyRef], expires_ms: u64) {
    let second = if form == SealForm::Second { SECOND } else { 0 };
    let count = bodies.len() as u64 + second;
    match expires_ms {
        0 => w.varint(count),
        _ => w.varint(count + EXPIRES).varint(expires_ms),
    };
    for body in bodies {
        write_body(w, body);
    }
}

/// A member comes or goes. Of several the highest round counts, and of those of one round that he
/// goes. A founder writes it of others, everybody of himself that he leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who.
    pub account: AccountId,
    /// One more than before where he comes, as before where he goes.
    pub round: u64,
    /// Whether he is a member from then on.
    pub present: bool,
    /// Where he goes: versions of his pages up to which he is heard.
    pub cut: Vec<Tip>,
}

/// What a sealed entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    /// A message; its text is the first body.
    Message {
        /// The message that it answers, in the first form of seals; in the second the text says it.
        target: Option<ChangeId>,
    },
    /// New text for an own message; the text is the first body.
    Edit {
        /// The message.
        target: ChangeId,
    },
    /// What the conversation is called.
    Title {
        /// At most [`HUB_NAME_BYTES_MAX`] bytes.
        title: String,
    },
    /// An emoji on a message.
    Reaction {
        /// The message.
        target: ChangeId,
        /// The emoji.
        emoji: String,
    },
    /// Texts that are written from now on are dropped after so long.
    Expiry {
        /// In milliseconds, at most [`EXPIRY_MS_MAX`]; 0 for never.
        after_ms: u64,
    },
    /// The author has read these messages of others, and all before each in its chain.
    Read {
        /// The messages, one of a chain; 1 to [`READ_TARGETS_MAX`].
        targets: Vec<ChangeId>,
    },
}

impl Spoken {
    /// Encodes for the second form of seals: kind byte, then the fields in order. A message says nothing
    /// beside its text, and what it answers stands there.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Message { .. } => &mut w,
            Self::Edit { target } => w.u8(3).raw(target.as_bytes()),
            Self::Title { title } => w.u8(4).text(title),
            Self::Reaction { target, emoji } => w.u8(5).raw(target.as_bytes()).text(emoji),
            Self::Expiry { after_ms } => w.u8(8).varint(*after_ms),
            Self::Read { targets } if targets.len() == 1 => {
                w.u8(6);
                for target in targets {
                    w.raw(target.as_bytes());
                }
                &mut w
            }
            Self::Read { targets } => {
                w.u8(7).varint(targets.len() as u64);
                for target in targets {
                    w.raw(target.as_bytes());
                }
                &mut w
            }
        };
        w.finish()
    }

    /// Decodes exactly one, which was sealed in this form and brings so many bodies.
    ///
    /// # Errors
    /// If malformed, over a limit, or with other bodies than it has; [`DecodeError::Unknown`] if it is
    /// of a kind that a later version adds.
    pub fn decode(bytes: &[u8], form: SealForm, bodies: usize) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let spoken = match (form, r.rest()) {
            (SealForm::Second, []) => Self::Message { target: None },
            (SealForm::Second, [1 | 2, ..]) => {
                return Err(DecodeError::Rule("a message that says more than its text"));
            }
            _ => Self::read(&mut r)?,
        };
        r.end()?;
        let brings = usize::from(matches!(spoken, Self::Message { .. } | Self::Edit { .. }));
        if bodies != brings {
            return Err(DecodeError::Rule("a sealed entry with bodies that it does not have"));
        }
        Ok(spoken)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.u8("kind of a sealed entry")? {
            1 => Self::Message { target: None },
            2 => Self::Message { target: Some(ChangeId::from_bytes(r.array("target")?)) },
            3 => Self::Edit { target: ChangeId::from_bytes(r.array("target")?) },
            4 => Self::Title { title: r.text(HUB_NAME_BYTES_MAX, "title")?.to_owned() },
            5 => {
                let target = ChangeId::from_bytes(r.array("target")?);
                Self::Reaction { target, emoji: r.text(EMOJI_BYTES_MAX, "emoji")?.to_owned() }
            }
            6 => Self::Read { targets: vec![ChangeId::from_bytes(r.array("target")?)] },
            7 => {
                let count = r.count(READ_TARGETS_MAX, "targets")?;
                let mut targets = Vec::with_capacity(count);
                for _ in 0..count {
                    targets.push(ChangeId::from_bytes(r.array("target")?));
                }
                if targets.is_empty() {
                    return Err(DecodeError::Rule("nothing that was read"));
                }
                Self::Read { targets }
            }
            8 => {
                Self::Expiry { after_ms: r.varint(EXPIRY_MS_MAX, "time until texts are dropped")? }
            }
            value => return Err(DecodeError::Unknown { reading: "kind of a sealed entry", value }),
        })
    }
}

/// Appends the fields of an entry of a conversation; of others nothing.
pub(super) fn write(w: &mut Writer, entry: &Entry) {
    match entry {
        Entry::Sealed(sealed) => {
            write_header(w, sealed.entry.form(), &sealed.bodies, sealed.expires_ms);
            sealed.entry.encode(w);
        }
        Entry::Membership(change) => {
            w.raw(change.account.as_bytes()).varint(change.round).u8(u8::from(change.present));
            write_tips(w, &change.cut);
        }
        _ => {}
    }
}

/// Reads a sealed entry.
pub(super) fn read_sealed(r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let mut count = r.varint(SECOND + EXPIRES + SEALED_BODIES_MAX as u64, "bodies")?;
    let (mut form, mut expires_ms) = (SealForm::First, 0);
    if count >= SECOND {
        (form, count) = (SealForm::Second, count - SECOND);
    }
    if count >= EXPIRES {
        count -= EXPIRES;
        expires_ms = r.varint(u64::MAX, "when texts are dropped")?;
        if expires_ms == 0 || count == 0 {
            return Err(DecodeError::Rule("a sealed entry that expires without a time or a text"));
        }
    }
    let mut bodies = Vec::with_capacity(SEALED_BODIES_MAX);
    for _ in 0..count {
        bodies.push(read_body(r, BODY_SIZE_MAX)?);
    }
    let entry = SealedEntry::decode(r, form)?;
    Ok(Entry::Sealed(Box::new(Sealed { bodies, expires_ms, entry })))
}

/// Reads that a member comes or goes.
pub(super) fn read_membership(r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let account = AccountId::from_bytes(r.array("member")?);
    let round = r.varint(MEMBERSHIP_ROUNDS_MAX, "round")?;
    let present = match r.u8("presence")? {
        0 => false,
        1 => true,
        value => return Err(DecodeError::Unknown { reading: "presence", value }),
    };
    let cut = read_tips(r, CUT_ITEMS_MAX)?;
    if present && !cut.is_empty() {
        return Err(DecodeError::Rule("who comes has no cut"));
    }
    Ok(Entry::Membership(Box::new(Membership { account, round, present, cut })))
}
