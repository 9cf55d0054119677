//! Automerge's columns, read with a limit on what they expand to.
//!
//! A run of a hundred million costs five bytes, so every decoder here is told how many
//! values there may be, and checks before it makes them.

use crate::change::malformed::Malformed;
use crate::codec::{DecodeError, Reader};

impl From<DecodeError> for Malformed {
    fn from(error: DecodeError) -> Self {
        if matches!(error, DecodeError::Varint { .. }) { Self::Varint } else { Self::Short }
    }
}

/// The columns of a change's operations, by specification, and the actions that are known here.
pub(super) mod spec {
    pub(in crate::change) const OBJECT_ACTOR: u64 = 0x01;
    pub(in crate::change) const OBJECT_COUNTER: u64 = 0x02;
    pub(in crate::change) const KEY_ACTOR: u64 = 0x11;
    pub(in crate::change) const KEY_COUNTER: u64 = 0x13;
    pub(in crate::change) const KEY: u64 = 0x15;
    pub(in crate::change) const INSERT: u64 = 0x34;
    pub(in crate::change) const ACTION: u64 = 0x42;
    pub(in crate::change) const VALUE_META: u64 = 0x56;
    pub(in crate::change) const VALUE: u64 = 0x57;
    pub(in crate::change) const PREDECESSORS: u64 = 0x70;
    pub(in crate::change) const PREDECESSOR_ACTOR: u64 = 0x71;
    pub(in crate::change) const PREDECESSOR_COUNTER: u64 = 0x73;
    pub(in crate::change) const EXPAND: u64 = 0x94;
    pub(in crate::change) const MARK_NAME: u64 = 0xa5;
    pub(in crate::change) const DEFLATED: u64 = 0x08;
    pub(in crate::change) const ACTION_PUT: u64 = 1;
    pub(in crate::change) const ACTION_DELETE: u64 = 3;
}

/// A column's specification and data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) spec: u64,
    pub(super) data: &'a [u8],
}

impl<'a> Column<'a> {
    /// Reads run-length coded values, at most `max`, `over` if there are more.
    pub(super) fn runs<T: Clone>(
        &self,
        max: usize,
        over: Malformed,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let mut r = Reader::new(self.data);
        let mut out = Vec::new();
        while !r.is_empty() {
            let run = signed(&mut r)?;
            let count = usize::try_from(run.unsigned_abs()).map_err(|_| over)?;
            if count == 0 {
                return Err(Malformed::Run { column: self.spec });
            }
            if count > max.saturating_sub(out.len()) {
                return Err(over);
            }
            if run > 0 {
                let value = read(&mut r)?;
                out.resize(out.len() + count, value);
            } else {
                for _ in 0..count {
                    out.push(read(&mut r)?);
                }
            }
        }
        Ok(out)
    }

    /// As [`Column::runs`], of values that may be missing: a run of 0 counts those.
    pub(super) fn optional<T: Clone>(
        &self,
        max: usize,
        over: Malformed,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<Option<T>>, Malformed> {
        let mut r = Reader::new(self.data);
        let mut out = Vec::new();
        while !r.is_empty() {
            let run = signed(&mut r)?;
            let missing = run == 0;
            let count = if missing {
                r.varint(u64::MAX, "number of missing values")?
            } else {
                run.unsigned_abs()
            };
            let count = usize::try_from(count).map_err(|_| over)?;
            if count == 0 {
                return Err(Malformed::Run { column: self.spec });
            }
            if count > max.saturating_sub(out.len()) {
                return Err(over);
            }
            if missing {
                out.resize(out.len() + count, None);
            } else if run > 0 {
                let value = read(&mut r)?;
                out.resize(out.len() + count, Some(value));
            } else {
                for _ in 0..count {
                    out.push(Some(read(&mut r)?));
                }
            }
        }
        Ok(out)
    }

    /// Reads booleans, exactly `count`: lengths of runs in turn, the first of falses.
    pub(super) fn booleans(&self, count: usize, unfit: Malformed) -> Result<Vec<bool>, Malformed> {
        let mut r = Reader::new(self.data);
        let mut out = Vec::with_capacity(count);
        let mut value = false;
        let mut first = true;
        while !r.is_empty() {
            let run = r.varint(u64::MAX, "number of booleans")?;
            let run = usize::try_from(run).map_err(|_| unfit)?;
            if run == 0 && !first {
                return Err(Malformed::Run { column: self.spec });
            }
            if run > count - out.len() {
                return Err(unfit);
            }
            out.resize(out.len() + run, value);
            value = !value;
            first = false;
        }
        if out.len() == count { Ok(out) } else { Err(unfit) }
    }

    /// Reads run-length coded numbers.
    pub(super) fn numbers(&self, max: usize, over: Malformed) -> Result<Vec<u64>, Malformed> {
        self.runs(max, over, |r| Ok(r.varint(u64::MAX, "number")?))
    }

    /// Reads run-length coded differences of numbers, from 0.
    pub(super) fn deltas(&self, max: usize, over: Malformed) -> Result<Vec<u64>, Malformed> {
        let mut last = 0i64;
        self.runs(max, over, signed)?
            .into_iter()
            .map(|step| {
                last = last.checked_add(step).ok_or(Malformed::Counter)?;
                u64::try_from(last).map_err(|_| Malformed::Counter)
            })
            .collect()
    }

    /// Counts booleans that all have to be false, at most `max`.
    pub(super) fn all_false(&self, max: usize, over: Malformed) -> Result<usize, Malformed> {
        let mut r = Reader::new(self.data);
        let count = r.varint(u64::MAX, "number of falses")?;
        if !r.is_empty() {
            return Err(Malformed::Insert);
        }
        usize::try_from(count).ok().filter(|count| *count <= max).ok_or(over)
    }
}

/// Reads a minimal signed LEB128 number.
pub(super) fn signed(r: &mut Reader<'_>) -> Result<i64, Malformed> {
    let mut value = 0i64;
    let mut shift = 0u32;
    let mut before = None;
    loop {
        let byte = r.u8("signed number")?;
        let low = i64::from(byte & 0x7f);
        // The tenth byte holds one bit of the number, and its sign.
        if shift == 63 && low != 0 && low != 0x7f {
            return Err(Malformed::Varint);
        }
        value |= low << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let negative = byte & 0x40 != 0;
            if negative && shift < 64 {
                value |= -1 << shift;
            }
            let sign_only = if negative { 0x7f } else { 0 };
            let sign_before = before.map(|byte: u8| byte & 0x40 != 0);
            if byte == sign_only && sign_before == Some(negative) {
                return Err(Malformed::Varint);
            }
            return Ok(value);
        }
        if shift > 63 {
            return Err(Malformed::Varint);
        }
        before = Some(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_numbers_have_one_form() {
        for value in [0, 1, -1, 63, 64, -64, -65, 8191, 8192, i64::MAX, i64::MIN, i64::MIN + 1] {
            let bytes = crate::change::raw::signed(value);
            let mut r = Reader::new(&bytes);
            assert_eq!(signed(&mut r), Ok(value));
            assert!(r.is_empty());
        }
        for overlong in [&[0x80, 0x00][..], &[0xff, 0x7f], &[0x81, 0x80, 0x00], &[0xc0, 0xff, 0x7f]]
        {
            assert_eq!(signed(&mut Reader::new(overlong)), Err(Malformed::Varint));
        }
        let too_wide = [0xff; 9].iter().copied().chain([0x01]).collect::<Vec<u8>>();
        assert_eq!(signed(&mut Reader::new(&too_wide)), Err(Malformed::Varint));
        assert_eq!(signed(&mut Reader::new(&[0x80; 11])), Err(Malformed::Varint));
        // -64 in one byte and 64 in two are not overlong.
        assert_eq!(signed(&mut Reader::new(&[0x40])), Ok(-64));
        assert_eq!(signed(&mut Reader::new(&[0xc0, 0x00])), Ok(64));
    }

    #[test]
    fn runs_are_refused_before_they_are_expanded() {
        let run = |count: i64| [crate::change::raw::signed(count), vec![1]].concat();
        let numbers = |data: &[u8]| Column { spec: 0x42, data }.numbers(4, Malformed::Operations);
        assert_eq!(numbers(&run(4)), Ok(vec![1; 4]));
        assert_eq!(numbers(&run(5)), Err(Malformed::Operations));
        assert_eq!(numbers(&run(i64::MAX)), Err(Malformed::Operations));
        assert_eq!(numbers(&run(i64::MIN)), Err(Malformed::Operations));
        assert_eq!(numbers(&[run(3), run(2)].concat()), Err(Malformed::Operations));
        assert_eq!(numbers(&[0, 3]), Err(Malformed::Run { column: 0x42 }));
    }
}
