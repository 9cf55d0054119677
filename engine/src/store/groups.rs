//! BLAKE3 trees over groups of 16 KiB: with the chaining values of its groups any range of a blob
//! can be verified against the blob's hash.

use blake3::{
    Hasher,
    hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use crate::hash::BlobHash;

use super::GROUP_BYTES;

/// Chaining value of a group.
pub(super) type GroupValue = [u8; 32];

/// Returns the chaining value of group `index`. `bytes` is not empty and at most one group long.
pub(super) fn group_value(index: u64, bytes: &[u8]) -> GroupValue {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(index.saturating_mul(GROUP_BYTES as u64));
    hasher.update(bytes);
    hasher.finalize_non_root()
}

/// Returns whether these are the group values of a blob; `first` reads the bytes of one that has
/// no more than one group.
pub(super) fn fit<E>(
    hash: &BlobHash,
    values: &[GroupValue],
    first: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<bool, E> {
    if values.len() > 1 {
        return Ok(root(values) == Some(*hash));
    }
    let bytes = first()?;
    let value = (!bytes.is_empty()).then(|| group_value(0, &bytes));
    Ok(BlobHash::of(&bytes) == *hash && values.first() == value.as_ref())
}

/// Returns the blob hash over the chaining values of at least two groups.
pub(super) fn root(values: &[GroupValue]) -> Option<BlobHash> {
    let (left, right) = split(values)?;
    let hash = merge_subtrees_root(&subtree(left)?, &subtree(right)?, Mode::Hash);
    Some(BlobHash::from_bytes(*hash.as_bytes()))
}

fn subtree(values: &[GroupValue]) -> Option<GroupValue> {
    if let [value] = values {
        return Some(*value);
    }
    let (left, right) = split(values)?;
    Some(merge_subtrees_non_root(&subtree(left)?, &subtree(right)?, Mode::Hash))
}

/// The left part is the largest power of two below the whole.
fn split(values: &[GroupValue]) -> Option<(&[GroupValue], &[GroupValue])> {
    if values.len() < 2 {
        return None;
    }
    values.split_at_checked(values.len().div_ceil(2).next_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_over_groups_is_the_hash_of_the_bytes() {
        for len in [16385, 32768, 32769, 49152, 81920, 100_000, 262_144, 300_001] {
            let bytes: Vec<u8> =
                (0..len).map(|i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
            let values: Vec<GroupValue> = bytes
                .chunks(GROUP_BYTES)
                .enumerate()
                .map(|(index, group)| group_value(index as u64, group))
                .collect();
            assert_eq!(root(&values), Some(BlobHash::of(&bytes)), "{len} bytes");
        }
        assert_eq!(root(&[[0; 32]]), None);
    }
}
