//! The one way bytes are written and read: fixed-width big-endian numbers, minimal
//! LEB128 varints, length-prefixed byte strings. Every reader is bounded and total:
//! no input panics, none allocates more than the caller's limit.

use thiserror::Error;

/// Why bytes could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ended early.
    #[error("input ends early while reading {reading}: need {need} bytes, have {have}")]
    Short {
        /// What was being read.
        reading: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes left.
        have: usize,
    },
    /// Bytes were left over.
    #[error("{count} trailing bytes")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A number or length is over its limit.
    #[error("{reading} is {value}, limit {max}")]
    TooLarge {
        /// What was being read.
        reading: &'static str,
        /// The value found.
        value: u64,
        /// The limit.
        max: u64,
    },
    /// A text or byte string is longer than its limit.
    #[error("{reading} has {bytes} bytes, limit {max}")]
    TooLong {
        /// What was being read.
        reading: &'static str,
        /// Bytes that it has.
        bytes: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// A varint used more bytes than needed, or more than 64 bits.
    #[error("varint of {reading} is not minimal")]
    Varint {
        /// What was being read.
        reading: &'static str,
    },
    /// An enumeration byte has no meaning.
    #[error("{reading} has unknown value {value}")]
    Unknown {
        /// What was being read.
        reading: &'static str,
        /// The byte found.
        value: u8,
    },
    /// Text is not UTF-8.
    #[error("{reading} is not UTF-8")]
    Utf8 {
        /// What was being read.
        reading: &'static str,
    },
    /// A rule of the format is broken.
    #[error("{0}")]
    Rule(&'static str),
}

/// Appends encoded values to a byte vector.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Starts empty.
    #[must_use]
    pub const fn new() -> Self {
        Self { out: Vec::new() }
    }

    /// Starts empty, with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    /// Appends a big-endian `u32`.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a big-endian `u64`.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a minimal LEB128 number.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        loop {
            let byte = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            if value == 0 {
                self.out.push(byte);
                return self;
            }
            self.out.push(byte | 0x80);
        }
    }

    /// Returns the bytes that a number takes as a varint.
    #[must_use]
    pub const fn varint_len(value: u64) -> usize {
        (70 - (value | 1).leading_zeros() as usize) / 7
    }

    /// Appends a signed number, zigzag coded.
    pub fn zigzag(&mut self, value: i64) -> &mut Self {
        self.varint(u64::from_ne_bytes(((value << 1) ^ (value >> 63)).to_ne_bytes()))
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends a varint length and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.varint(bytes.len() as u64);
        self.raw(bytes)
    }

    /// Appends text as bytes.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Returns the bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Takes the bytes, leaving the writer empty.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// Reads encoded values from a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `count` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn take(&mut self, count: usize, reading: &'static str) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Short { reading, need: count, have: self.rest.len() };
        let (head, tail) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = tail;
        Ok(head)
    }

    /// Takes an array.
    ///
    /// # Errors
    /// If too few bytes are left.
    pub fn array<const N: usize>(&mut self, reading: &'static str) -> Result<[u8; N], DecodeError> {
        let mut out = [0u8; N];
        out.copy_from_slice(self.take(N, reading)?);
        Ok(out)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// If none is left.
    pub fn u8(&mut self, reading: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array(reading)?))
    }

    /// Takes a big-endian `u32`.
    ///
    /// # Errors
    /// If too few bytes are left.
    pub fn u32(&mut self, reading: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(reading)?))
    }

    /// Takes a big-endian `u64`.
    ///
    /// # Errors
    /// If too few bytes are left.
    pub fn u64(&mut self, reading: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array(reading)?))
    }

    /// Takes a minimal LEB128 number of at most `max`.
    ///
    /// # Errors
    /// If it is overlong, over 64 bits, over `max`, or cut short.
    pub fn varint(&mut self, max: u64, reading: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        let mut shift = 0u32;
        loop {
            let byte = self.u8(reading)?;
            if (shift == 63 && byte > 1) || (shift > 0 && byte == 0) {
                return Err(DecodeError::Varint { reading });
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        if value > max {
            return Err(DecodeError::TooLarge { reading, value, max });
        }
        Ok(value)
    }

    /// Takes a varint count of at most `max`.
    ///
    /// # Errors
    /// As [`Reader::varint`].
    pub fn count(&mut self, max: usize, reading: &'static str) -> Result<usize, DecodeError> {
        let value = self.varint(max as u64, reading)?;
        usize::try_from(value).map_err(|_| DecodeError::TooLarge {
            reading,
            value,
            max: max as u64,
        })
    }

    /// Takes a zigzag coded signed number.
    ///
    /// # Errors
    /// As [`Reader::varint`].
    pub fn zigzag(&mut self, reading: &'static str) -> Result<i64, DecodeError> {
        let value = self.varint(u64::MAX, reading)?;
        let half = i64::from_ne_bytes((value >> 1).to_ne_bytes());
        Ok(if value & 1 == 1 { !half } else { half })
    }

    /// Takes a length-prefixed byte string of at most `max` bytes.
    ///
    /// # Errors
    /// If too long or cut short.
    pub fn bytes(&mut self, max: usize, reading: &'static str) -> Result<&'a [u8], DecodeError> {
        let count = self.count(max, reading).map_err(|error| match error {
            DecodeError::TooLarge { reading, value, max } => {
                DecodeError::TooLong { reading, bytes: value, max }
            }
            error => error,
        })?;
        self.take(count, reading)
    }

    /// Takes length-prefixed UTF-8 of at most `max` bytes.
    ///
    /// # Errors
    /// If too long, cut short, or not UTF-8.
    pub fn text(&mut self, max: usize, reading: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(max, reading)?).map_err(|_| DecodeError::Utf8 { reading })
    }

    /// Ends reading.
    ///
    /// # Errors
    /// If bytes are left.
    pub fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing { count: self.rest.len() })
        }
    }
}
