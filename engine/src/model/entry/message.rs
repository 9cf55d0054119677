//! What members write into channels, and its bytes.

use std::collections::BTreeSet;

use super::hub::{Who, read_who, write_who};
use super::{
    Attachment, BODY_SIZE_MAX, BodyRef, Entry, Origin, post, read_attachments, read_body,
    read_tips, write_attachments, write_body, write_tips,
};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{ChangeId, Link};
use crate::limits::{
    CUT_ITEMS_MAX, HUB_SEEN_MAX, MENTIONS_MAX, ORIGIN_SOURCE_BYTES_MAX, POLL_OPTION_BYTES_MAX,
    POLL_OPTIONS_MAX,
};

/// A message in a channel of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message that it answers.
    pub target: Option<ChangeId>,
    /// The text.
    pub body: BodyRef,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// Whom it mentions; at most [`MENTIONS_MAX`], rising.
    pub mentions: Vec<Who>,
    /// Where it was imported from.
    pub claimed: Option<Claimed>,
}

/// What whoever imported a message claims about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Where it comes from.
    pub origin: Origin,
    /// Who wrote it there; at most 255 bytes.
    pub author: String,
}

/// How the votes of a poll are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PollKind {
    /// One option each.
    Single = 1,
    /// Any number of options.
    Multiple = 2,
    /// Options from the best down.
    Ranked = 3,
}

/// A question with answers to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// The question.
    pub body: BodyRef,
    /// How votes are counted.
    pub kind: PollKind,
    /// The answers, 2 to [`POLL_OPTIONS_MAX`] of 1 to [`POLL_OPTION_BYTES_MAX`] bytes.
    pub options: Vec<String>,
}

/// Flags of a message, in the order of what follows them.
const ANSWERS: u8 = 1;
const IMPORTED: u8 = 2;

/// Appends the fields of an entry of a channel; of others nothing.
pub(super) fn write(w: &mut Writer, entry: &Entry) {
    match entry {
        Entry::Seen { links } => {
            w.varint(links.len() as u64);
            for link in links {
                w.raw(link.as_bytes());
            }
        }
        Entry::Message(message) => write_message(w, message),
        Entry::Poll(poll) => {
            write_body(w, &poll.body);
            w.u8(poll.kind as u8).varint(poll.options.len() as u64);
            for option in &poll.options {
                w.text(option);
            }
        }
        Entry::Vote { poll, choices } => {
            w.raw(poll.as_bytes()).bytes(choices);
        }
        Entry::ClosePoll { target, cut } => {
            w.raw(target.as_bytes());
            write_tips(w, cut);
        }
        _ => {}
    }
}

fn write_message(w: &mut Writer, message: &Message) {
    let flag = |set, flag| if set { flag } else { 0 };
    w.u8(flag(message.target.is_some(), ANSWERS) | flag(message.claimed.is_some(), IMPORTED));
    if let Some(target) = &message.target {
        w.raw(target.as_bytes());
    }
    write_body(w, &message.body);
    write_attachments(w, &message.attachments);
    w.varint(message.mentions.len() as u64);
    for who in &message.mentions {
        write_who(w, who);
    }
    if let Some(Claimed { origin, author }) = &message.claimed {
        post::write_origin(w, origin);
        w.text(author);
    }
}

/// Reads the fields of an entry of a channel.
pub(super) fn read(kind: u8, r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    Ok(match kind {
        0x07 => Entry::Message(Box::new(read_message(r)?)),
        0x08 => Entry::Poll(Box::new(read_poll(r)?)),
        0x0a => {
            let poll = ChangeId::from_bytes(r.array("poll")?);
            let choices = r.bytes(POLL_OPTIONS_MAX, "choices")?.to_vec();
            let different: BTreeSet<u8> = choices.iter().copied().collect();
            if different.len() != choices.len() {
                return Err(DecodeError::Rule("an option is chosen twice"));
            }
            Entry::Vote { poll, choices }
        }
        0x15 => Entry::ClosePoll {
            target: ChangeId::from_bytes(r.array("poll")?),
            cut: read_tips(r, CUT_ITEMS_MAX)?,
        },
        0x16 => Entry::Seen { links: read_links(r)? },
        value => return Err(DecodeError::Unknown { reading: "entry kind", value }),
    })
}

fn read_links(r: &mut Reader<'_>) -> Result<Vec<Link>, DecodeError> {
    let count = r.count(HUB_SEEN_MAX, "versions seen")?;
    let mut links: Vec<Link> = Vec::with_capacity(count);
    for _ in 0..count {
        let link = Link::from_bytes(r.array("link")?);
        if links.last().is_some_and(|last| *last >= link) {
            return Err(DecodeError::Rule("versions seen are not in strictly rising order"));
        }
        links.push(link);
    }
    if links.is_empty() {
        return Err(DecodeError::Rule("an entry that says what was seen, and names nothing"));
    }
    Ok(links)
}

/// Reads at most so many mentions, in strictly rising order.
pub(super) fn read_mentions(r: &mut Reader<'_>, most: usize) -> Result<Vec<Who>, DecodeError> {
    let count = r.count(most, "mentions")?;
    let mut mentions: Vec<Who> = Vec::with_capacity(count);
    for _ in 0..count {
        let who = read_who(r)?;
        if mentions.last().is_some_and(|last| *last >= who) {
            return Err(DecodeError::Rule("mentions are not in strictly rising order"));
        }
        mentions.push(who);
    }
    Ok(mentions)
}

fn read_message(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let flags = r.u8("flags of a message")?;
    if flags & !(ANSWERS | IMPORTED) != 0 {
        return Err(DecodeError::Unknown { reading: "flags of a message", value: flags });
    }
    let target = match flags & ANSWERS {
        0 => None,
        _ => Some(ChangeId::from_bytes(r.array("target")?)),
    };
    let body = read_body(r, BODY_SIZE_MAX)?;
    let attachments = read_attachments(r)?;
    let mentions = read_mentions(r, MENTIONS_MAX)?;
    let claimed = if flags & IMPORTED == 0 {
        None
    } else {
        let origin = post::read_origin(r)?;
        let author = r.text(ORIGIN_SOURCE_BYTES_MAX, "author of an imported message")?.to_owned();
        Some(Claimed { origin, author })
    };
    Ok(Message { target, body, attachments, mentions, claimed })
}

fn read_poll(r: &mut Reader<'_>) -> Result<Poll, DecodeError> {
    let body = read_body(r, BODY_SIZE_MAX)?;
    let kind = match r.u8("kind of a poll")? {
        1 => PollKind::Single,
        2 => PollKind::Multiple,
        3 => PollKind::Ranked,
        value => return Err(DecodeError::Unknown { reading: "kind of a poll", value }),
    };
    let count = r.count(POLL_OPTIONS_MAX, "options")?;
    let mut options = Vec::with_capacity(count);
    for _ in 0..count {
        let option = r.text(POLL_OPTION_BYTES_MAX, "option")?;
        if option.is_empty() {
            return Err(DecodeError::Rule("an option without a text"));
        }
        options.push(option.to_owned());
    }
    if options.len() < 2 {
        return Err(DecodeError::Rule("a poll with fewer than two options"));
    }
    Ok(Poll { body, kind, options })
}
