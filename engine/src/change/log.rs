//! The one form of a log change: a put of a bytes value under a new key of the root.
//!
//! The key is `time ‖ tag ‖ n`, complemented where needed so that the newest sorts first.
//! The chunk depends on the chain's change before, and on nothing else. All of it follows
//! from [`LogFields`], so a receiver builds the bytes and compares them; there is nothing
//! to interpret. Automerge makes the same bytes for the same put.

use thiserror::Error;

use crate::change::{Actor, BuiltChange, CHUNK_CHANGE, CHUNK_MAGIC, checksum, chunk_hash};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{ChangeHash, ChangeId, Link};
use crate::limits::{CHANGE_BYTES_MAX, ENTRY_BYTES_MAX, PAGE_ENTRIES_MAX, PAGE_MODIFICATIONS_MAX};

/// Changes of one chain of a log document.
pub const LOG_CHANGES_MAX: u64 = PAGE_ENTRIES_MAX + PAGE_MODIFICATIONS_MAX;

/// Why bytes are no log change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The number is 0 or over the limit.
    #[error("log change number {n}, limit {LOG_CHANGES_MAX}")]
    Number {
        /// The number found.
        n: u64,
    },
    /// A first change with a previous one, or a later one without.
    #[error("log change {n} has a wrong number of dependencies")]
    Previous {
        /// The number found.
        n: u64,
    },
    /// The value is empty or too long.
    #[error("log value of {len} bytes, limit {ENTRY_BYTES_MAX}")]
    Value {
        /// Its length in bytes.
        len: usize,
    },
    /// The chunk is too long.
    #[error("log change of {len} bytes, limit {CHANGE_BYTES_MAX}")]
    Size {
        /// Its length in bytes.
        len: usize,
    },
    /// The bytes are not those that the fields give.
    #[error("log change is not in the one form")]
    Form,
}

impl LogError {
    /// Returns a stable name for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Number { .. } => "log_number",
            Self::Previous { .. } => "log_previous",
            Self::Value { .. } => "log_value",
            Self::Size { .. } => "log_size",
            Self::Form => "log_form",
        }
    }
}

impl From<DecodeError> for LogError {
    fn from(_: DecodeError) -> Self {
        Self::Form
    }
}

/// All that a log change says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFields<'a> {
    /// The chain's actor.
    pub actor: Actor,
    /// Number in the chain, from 1 to [`LOG_CHANGES_MAX`].
    pub n: u64,
    /// The chain's change before; none for the first.
    pub previous: Option<ChangeHash>,
    /// Claimed time, milliseconds since 1970.
    pub time_ms: u64,
    /// Tells the chains of one page apart in keys; see [`tag`].
    pub tag: u32,
    /// The encoded entry, 1 to [`ENTRY_BYTES_MAX`] bytes.
    pub value: &'a [u8],
}

/// Returns the tag of a chain: the first four bytes of its link 0, big-endian.
#[must_use]
pub const fn tag(origin: &Link) -> u32 {
    let [a, b, c, d, ..] = *origin.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Builds a log change; the same as [`LogFields::build`].
///
/// # Errors
/// If number, previous change and value do not fit the form.
pub fn build(
    actor: Actor,
    n: u64,
    previous: Option<ChangeHash>,
    tag: u32,
    time_ms: u64,
    value: &[u8],
) -> Result<BuiltChange, LogError> {
    LogFields { actor, n, previous, time_ms, tag, value }.build()
}

impl<'a> LogFields<'a> {
    /// Builds the chunk.
    ///
    /// # Errors
    /// If number, previous change and value do not fit the form.
    pub fn build(&self) -> Result<BuiltChange, LogError> {
        if self.n == 0 || self.n > LOG_CHANGES_MAX {
            return Err(LogError::Number { n: self.n });
        }
        if self.previous.is_none() != (self.n == 1) {
            return Err(LogError::Previous { n: self.n });
        }
        if self.value.is_empty() || self.value.len() > ENTRY_BYTES_MAX {
            return Err(LogError::Value { len: self.value.len() });
        }
        let bytes = self.chunk();
        let typed = bytes.get(CHUNK_MAGIC.len() + CHECKSUM_LEN..).unwrap_or_default();
        let hash = chunk_hash(typed);
        let mut bytes = bytes;
        if let Some(place) = bytes.get_mut(CHUNK_MAGIC.len()..CHUNK_MAGIC.len() + CHECKSUM_LEN) {
            place.copy_from_slice(&checksum(&hash));
        }
        Ok(BuiltChange { id: ChangeId::of(&bytes), bytes, hash })
    }

    /// Reads the fields of a chunk, builds it again and compares: only the one form parses.
    ///
    /// # Errors
    /// If the bytes are anything but what [`LogFields::build`] gives.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, ChangeHash), LogError> {
        if bytes.len() > CHANGE_BYTES_MAX {
            return Err(LogError::Size { len: bytes.len() });
        }
        let fields = Self::read(bytes)?;
        let built = fields.build()?;
        if built.bytes == bytes { Ok((fields, built.hash)) } else { Err(LogError::Form) }
    }

    /// Returns the key of the root that the value stands under: 32 hex digits.
    #[must_use]
    pub fn key(&self) -> String {
        self.key_digits().map(char::from).iter().collect()
    }

    /// Writes the chunk in one go, its checksum still zero.
    fn chunk(&self) -> Vec<u8> {
        let meta = ((self.value.len() as u64) << 4) | VALUE_BYTES;
        let columns = [
            (COLUMN_KEY, 2 + KEY_DIGITS),
            (COLUMN_INSERT, 1),
            (COLUMN_ACTION, 2),
            (COLUMN_VALUE_META, 1 + Writer::varint_len(meta)),
            (COLUMN_VALUE, self.value.len()),
            (COLUMN_PREDECESSORS, 2),
        ];
        let mut w = Writer::with_capacity(HEADER_BYTES_MAX + self.value.len());
        match &self.previous {
            None => w.u8(0),
            Some(hash) => w.u8(1).raw(hash.as_bytes()),
        };
        w.bytes(self.actor.as_bytes()).varint(self.n).varint(self.n);
        // Time, message and other actors: none.
        w.raw(&[0, 0, 0]).varint(columns.len() as u64);
        for (column, len) in columns {
            w.varint(column).varint(len as u64);
        }
        let data: usize = columns.iter().map(|(_, len)| len).sum();
        let front = w.finish();
        let mut w = Writer::with_capacity(HEADER_BYTES_MAX + self.value.len());
        w.raw(&CHUNK_MAGIC).raw(&[0; CHECKSUM_LEN]).u8(CHUNK_CHANGE);
        w.varint((front.len() + data) as u64).raw(&front);
        w.raw(&[ONE_LITERAL, KEY_LEN]).raw(&self.key_digits()).raw(&[1, ONE_LITERAL, ACTION_PUT]);
        w.u8(ONE_LITERAL).varint(meta).raw(self.value).raw(&[ONE_LITERAL, 0]);
        w.finish()
    }

    fn key_digits(&self) -> [u8; KEY_DIGITS] {
        let n = u32::try_from(self.n).unwrap_or(u32::MAX);
        let number =
            (u128::from(!self.time_ms) << 64) | (u128::from(self.tag) << 32) | u128::from(!n);
        let mut digits = [b'0'; KEY_DIGITS];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            let value = u8::try_from((number >> (4 * place)) & 0xf).unwrap_or(0);
            *digit = if value < 10 { b'0' + value } else { b'a' + (value - 10) };
        }
        digits
    }

    /// Takes the fields from where they stand; constants are checked by building again.
    fn read(bytes: &'a [u8]) -> Result<Self, LogError> {
        const READING: &str = "log change";
        let mut r = Reader::new(bytes);
        r.take(CHUNK_MAGIC.len() + 4 + 1, READING)?;
        let body = r.bytes(CHANGE_BYTES_MAX, READING)?;
        let mut r = Reader::new(body);
        let previous = match r.u8(READING)? {
            0 => None,
            _ => Some(ChangeHash::from_bytes(r.array(READING)?)),
        };
        r.u8(READING)?;
        let actor = Actor::from_bytes(r.array(READING)?);
        let n = r.varint(u64::MAX, READING)?;
        r.varint(u64::MAX, READING)?;
        r.take(3, READING)?;
        let mut value_len = 0;
        for _ in 0..r.count(6, READING)? {
            let column = r.varint(u64::MAX, READING)?;
            let len = r.count(CHANGE_BYTES_MAX, READING)?;
            if column == COLUMN_VALUE {
                value_len = len;
            }
        }
        r.take(2, READING)?;
        let time_ms = !read_hex(&mut r, 16)?;
        let tag = u32::try_from(read_hex(&mut r, 8)?).map_err(|_| LogError::Form)?;
        // The number again, then insert, action and the length of the value.
        r.take(8 + 1 + 2 + 1, READING)?;
        r.varint(u64::MAX, READING)?;
        let value = r.take(value_len, READING)?;
        Ok(Self { actor, n, previous, time_ms, tag, value })
    }
}

fn read_hex(r: &mut Reader<'_>, digits: usize) -> Result<u64, LogError> {
    let text = std::str::from_utf8(r.take(digits, "log key")?).map_err(|_| LogError::Form)?;
    u64::from_str_radix(text, 16).map_err(|_| LogError::Form)
}

/// Bytes of the checksum in a chunk's header.
const CHECKSUM_LEN: usize = 4;
/// Digits of a key.
const KEY_DIGITS: usize = 32;
const KEY_LEN: u8 = 32;
/// More than all of a chunk but the value takes.
const HEADER_BYTES_MAX: usize = 192;
/// A run of one literal, as a signed LEB128 number: -1.
const ONE_LITERAL: u8 = 0x7f;
const ACTION_PUT: u8 = 1;
const VALUE_BYTES: u64 = 7;
const COLUMN_KEY: u64 = 0x15;
const COLUMN_INSERT: u64 = 0x34;
const COLUMN_ACTION: u64 = 0x42;
const COLUMN_VALUE_META: u64 = 0x56;
const COLUMN_VALUE: u64 = 0x57;
const COLUMN_PREDECESSORS: u64 = 0x70;

#[cfg(test)]
mod tests;
