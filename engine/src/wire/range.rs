//! Ranges of a chain: what inline data and packs are made of.

use bytes::Bytes;

use crate::chain::ChainKey;
use crate::change::Actor;
use crate::change::text::fold::{fold, unfold, weight};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::ChangeId;
use crate::limits::{
    CHANGE_BYTES_MAX, ENTRY_BYTES_MAX, HEAD_AHEAD_MAX, MAP_CHANGES_MAX, TEXT_BYTES_MAX,
};

/// The variable fields of one log change; everything else the receiver builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogItem {
    /// The claimed time, milliseconds since 1970.
    pub time_ms: u64,
    /// The encoded entry; at most [`crate::limits::ENTRY_BYTES_MAX`] bytes.
    pub value: Bytes,
}

/// Consecutive changes of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Changes of a log document, by their variable fields.
    Log(Vec<LogItem>),
    /// Stored bytes of each change: map and sealed documents.
    Raw(Vec<Bytes>),
}

impl Changes {
    /// Number of changes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Log(items) => items.len(),
            Self::Raw(items) => items.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What stands for consecutive changes of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The changes.
    Changes(Changes),
    /// Their ids, where the sender does not hold the bytes.
    Ids(Vec<ChangeId>),
}

impl Content {
    /// Number of changes it stands for.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.len(),
            Self::Ids(ids) => ids.len(),
        }
    }

    /// Whether it stands for none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A piece of a chain on its way to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number of the first change, from 1.
    pub first_n: u64,
    /// Changes or ids.
    pub content: Content,
}

/// Pieces of one chain in one message or pack.
pub(super) const PARTS_MAX: usize = 64;
const FORM_LOG: u8 = 1;
const FORM_RAW: u8 = 2;
const FORM_IDS: u8 = 3;
/// In packs alone: there is no room for what it unfolds to in a frame.
const FORM_TEXT: u8 = 4;
/// Bytes of folded changes: they are shorter than the changes of a chain.
#[expect(clippy::cast_possible_truncation, reason = "a mebibyte")]
const FOLDED_BYTES_MAX: usize = TEXT_BYTES_MAX as usize;
/// Changes that one range can name: no page and no map holds more.
#[expect(clippy::cast_possible_truncation, reason = "both are a few thousand")]
const CHANGES_MAX: usize = if MAP_CHANGES_MAX > HEAD_AHEAD_MAX {
    MAP_CHANGES_MAX as usize
} else {
    HEAD_AHEAD_MAX as usize
};

/// Appends `first n ‖ form ‖ count ‖ items`.
fn write_changes(w: &mut Writer, first_n: u64, changes: &Changes) {
    w.varint(first_n);
    match changes {
        Changes::Log(items) => {
            w.u8(FORM_LOG).varint(items.len() as u64);
            let mut before = 0u64;
            for item in items {
                let delta = item.time_ms.wrapping_sub(before);
                w.zigzag(i64::from_ne_bytes(delta.to_ne_bytes())).bytes(&item.value);
                before = item.time_ms;
            }
        }
        Changes::Raw(items) => {
            w.u8(FORM_RAW).varint(items.len() as u64);
            for item in items {
                w.bytes(item);
            }
        }
    }
}

/// Appends a part.
pub(super) fn write_part(w: &mut Writer, part: &Part) {
    match &part.content {
        Content::Changes(changes) => write_changes(w, part.first_n, changes),
        Content::Ids(ids) => {
            w.varint(part.first_n).u8(FORM_IDS).varint(ids.len() as u64);
            for id in ids {
                w.raw(id.as_bytes());
            }
        }
    }
}

/// Appends a part to a pack: text changes folded, where that is shorter. Returns what it weighs
/// for its receiver beside its bytes.
pub(super) fn write_packed(w: &mut Writer, chain: &ChainKey, part: &Part) -> usize {
    if let Content::Changes(Changes::Raw(items)) = &part.content
        && let Some(folded) = fold(&Actor::of(chain), part.first_n, items)
        && folded.len() < items.iter().map(Bytes::len).sum()
    {
        w.varint(part.first_n).u8(FORM_TEXT).varint(items.len() as u64).bytes(&folded);
        return weight(items);
    }
    write_part(w, part);
    0
}

/// Reads a part of a pack; what is folded takes its weight from `room`.
pub(super) fn read_packed(
    frame: &Bytes,
    r: &mut Reader<'_>,
    chain: &ChainKey,
    room: &mut usize,
) -> Result<Part, DecodeError> {
    let mut ahead = Reader::new(r.rest());
    let first_n = ahead.varint(CHANGES_MAX as u64, "first n")?;
    if first_n == 0 || ahead.u8("range form")? != FORM_TEXT {
        return read_part(frame, r);
    }
    let count = ahead.count(CHANGES_MAX, "changes")?;
    let folded = ahead.bytes(FOLDED_BYTES_MAX, "folded changes")?;
    let chunks = unfold(&Actor::of(chain), first_n, count, folded, room)?;
    *r = ahead;
    let items = chunks.into_iter().map(Bytes::from).collect();
    Ok(Part { first_n, content: Content::Changes(Changes::Raw(items)) })
}

/// Reads a part; byte strings share `frame`, which `r` must be reading.
pub(super) fn read_part(frame: &Bytes, r: &mut Reader<'_>) -> Result<Part, DecodeError> {
    let first_n = r.varint(CHANGES_MAX as u64, "first n")?;
    if first_n == 0 {
        return Err(DecodeError::Rule("changes are numbered from 1"));
    }
    let form = r.u8("range form")?;
    let count = r.count(CHANGES_MAX, "changes")?;
    let room = count.min(r.rest().len());
    let content = match form {
        FORM_LOG => {
            let mut items = Vec::with_capacity(room);
            let mut before = 0u64;
            for _ in 0..count {
                let delta = u64::from_ne_bytes(r.zigzag("time")?.to_ne_bytes());
                before = before.wrapping_add(delta);
                let value = frame.slice_ref(not_empty(r.bytes(ENTRY_BYTES_MAX, "entry")?)?);
                items.push(LogItem { time_ms: before, value });
            }
            Content::Changes(Changes::Log(items))
        }
        FORM_RAW => {
            let mut items = Vec::with_capacity(room);
            for _ in 0..count {
                items.push(frame.slice_ref(not_empty(r.bytes(CHANGE_BYTES_MAX, "change")?)?));
            }
            Content::Changes(Changes::Raw(items))
        }
        FORM_IDS => {
            let mut ids = Vec::with_capacity(room);
            for _ in 0..count {
                ids.push(ChangeId::from_bytes(r.array("change id")?));
            }
            Content::Ids(ids)
        }
        value => return Err(DecodeError::Unknown { reading: "range form", value }),
    };
    Ok(Part { first_n, content })
}

fn not_empty(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.is_empty() { Err(DecodeError::Rule("an empty change")) } else { Ok(bytes) }
}

/// A named chain and pieces of it: the element of a changes pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRange {
    /// Whose.
    pub chain: ChainKey,
    /// Consecutive pieces, by rising number; one piece of changes in a page's pack.
    pub parts: Vec<Part>,
}

impl Part {
    /// Number of the last change, or `first_n - 1` if it is empty.
    #[must_use]
    pub const fn last_n(&self) -> u64 {
        self.first_n + self.content.len() as u64 - 1
    }

    /// Drops what lies beyond change `n`.
    pub fn truncate(&mut self, n: u64) {
        let keep = usize::try_from((n + 1).saturating_sub(self.first_n)).unwrap_or(usize::MAX);
        match &mut self.content {
            Content::Changes(Changes::Log(items)) => items.truncate(keep),
            Content::Changes(Changes::Raw(items)) => items.truncate(keep),
            Content::Ids(ids) => ids.truncate(keep),
        }
    }

    /// Bytes it takes in a message.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut w = Writer::new();
        write_part(&mut w, self);
        w.len()
    }
}
