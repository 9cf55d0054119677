//! Which groups of a blob are here, a bit each.

use std::ops::Range;

use super::GROUP_BYTES;

/// A set of the groups of one blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupSet {
    bits: Vec<u8>,
    size: u64,
    count: u64,
}

impl GroupSet {
    /// None of the groups of a blob of `size` bytes.
    pub(super) fn empty(size: u64) -> Self {
        let bytes = usize::try_from(total(size).div_ceil(8)).unwrap_or(0);
        Self { bits: vec![0; bytes], size, count: 0 }
    }

    /// Reads what [`Self::encode`] gave; `None` if it is not of a blob of `size` bytes.
    pub(super) fn decode(size: u64, bits: &[u8]) -> Option<Self> {
        let mut set = Self::empty(size);
        let groups = total(size);
        // bits after the last group would count for nothing and hide in every comparison
        let spare = (set.bits.len() as u64) * 8 - groups;
        let clean = bits.last().is_none_or(|last| u64::from(last.leading_zeros()) >= spare);
        if bits.len() != set.bits.len() || !clean {
            return None;
        }
        set.bits.copy_from_slice(bits);
        set.count = bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
        Some(set)
    }

    /// The bits, lowest first.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.bits.clone()
    }

    /// Adds a group; returns whether it is new.
    pub(super) fn insert(&mut self, group: u64) -> bool {
        let (byte, bit) = place(group);
        let inside = group < total(self.size);
        match self.bits.get_mut(byte).filter(|_| inside) {
            Some(byte) if *byte & bit == 0 => {
                *byte |= bit;
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Whether a group is here.
    pub(super) fn contains(&self, group: u64) -> bool {
        let (byte, bit) = place(group);
        self.bits.get(byte).is_some_and(|byte| byte & bit != 0)
    }

    /// The group after the last one that is here.
    pub(super) fn end(&self) -> u64 {
        (0..total(self.size)).rev().find(|group| self.contains(*group)).map_or(0, |last| last + 1)
    }

    /// The byte after the last one that is here.
    pub(super) fn end_bytes(&self) -> u64 {
        self.end().saturating_mul(GROUP_BYTES as u64).min(self.size)
    }

    /// Bytes of the groups that are here.
    pub(super) fn bytes(&self) -> u64 {
        let full = self.count.saturating_mul(GROUP_BYTES as u64);
        let last = total(self.size).saturating_sub(1);
        let short = total(self.size).saturating_mul(GROUP_BYTES as u64).saturating_sub(self.size);
        if self.contains(last) { full - short } else { full }
    }

    /// Whether every group is here.
    pub(super) fn is_whole(&self) -> bool {
        self.count == total(self.size)
    }

    /// Byte ranges that are not here, in order; all but the last end between two groups.
    pub(super) fn missing(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for group in (0..total(self.size)).filter(|group| !self.contains(*group)) {
            let start = group * GROUP_BYTES as u64;
            let end = (start + GROUP_BYTES as u64).min(self.size);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    /// The group that begins at `offset` and has `len` bytes; `None` if that is none of them.
    pub(super) fn group_at(&self, offset: u64, len: usize) -> Option<u64> {
        let end = offset.checked_add(len as u64)?;
        let whole = offset.is_multiple_of(GROUP_BYTES as u64) && offset < self.size;
        let full = (offset + GROUP_BYTES as u64).min(self.size);
        (whole && end == full).then_some(offset / GROUP_BYTES as u64)
    }
}

fn total(size: u64) -> u64 {
    size.div_ceil(GROUP_BYTES as u64)
}

fn place(group: u64) -> (usize, u8) {
    (usize::try_from(group / 8).unwrap_or(usize::MAX), 1 << (group % 8))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_here_and_what_is_missing_make_the_whole(
            size in 0u64..400_000,
            groups in proptest::collection::btree_set(0u64..26, 0..26),
        ) {
            let mut set = GroupSet::empty(size);
            let inside: Vec<u64> = groups.iter().copied().filter(|g| *g < total(size)).collect();
            for group in &groups {
                prop_assert_eq!(set.insert(*group), inside.contains(group));
                prop_assert!(!set.insert(*group));
            }
            let missing: u64 = set.missing().iter().map(|range| range.end - range.start).sum();
            prop_assert_eq!(missing + set.bytes(), size);
            prop_assert_eq!(set.is_whole(), set.missing().is_empty());
            prop_assert_eq!(set.end(), inside.last().map_or(0, |last| last + 1));
            prop_assert_eq!(GroupSet::decode(size, &set.encode()), Some(set.clone()));
            prop_assert_eq!(GroupSet::decode(size + 16 * 8 * 1024, &set.encode()), None);
            for group in inside {
                let len = usize::try_from((size - group * 16_384).min(16_384)).unwrap();
                prop_assert_eq!(set.group_at(group * 16_384, len), Some(group));
                prop_assert_eq!(set.group_at(group * 16_384, len - 1), None);
                prop_assert_eq!(set.group_at(group * 16_384 + 1, len), None);
            }
        }
    }

    #[test]
    fn bits_beyond_the_end_are_refused() {
        assert!(GroupSet::decode(16_384 * 3, &[0b0000_0111]).is_some_and(|set| set.is_whole()));
        assert_eq!(GroupSet::decode(16_384 * 3, &[0b0000_1000]), None);
        assert!(GroupSet::decode(0, &[]).is_some_and(|set| set.is_whole() && set.end() == 0));
    }
}
