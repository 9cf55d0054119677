//! Bounds of a scan, the same for every implementation.

use std::ops::Bound;

use super::{RESERVED_META_BYTE, StoreError, Table};

/// Lower and upper bound of a scan.
pub(super) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Returns the bounds of a scan; `None` when no row can lie between them.
pub(super) fn bounds(
    table: Table,
    prefix: &[u8],
    start: Option<&[u8]>,
    reverse: bool,
) -> Result<Option<Bounds>, StoreError> {
    if let Some(start) = start
        && !start.starts_with(prefix)
    {
        return Err(StoreError::refused("start without the prefix", start.len(), prefix.len()));
    }
    if is_reserved(table, prefix) {
        return Ok(None);
    }
    let mut lower = Bound::Included(prefix.to_vec());
    let mut upper = match successor(prefix) {
        Some(end) => Bound::Excluded(end),
        None => Bound::Unbounded,
    };
    if table == Table::Meta && prefix.is_empty() {
        upper = Bound::Excluded(vec![RESERVED_META_BYTE]);
    }
    match start {
        Some(start) if is_reserved(table, start) && !reverse => return Ok(None),
        Some(start) if is_reserved(table, start) => {}
        Some(start) if reverse => upper = Bound::Included(start.to_vec()),
        Some(start) => lower = Bound::Included(start.to_vec()),
        None => {}
    }
    Ok(Some((lower, upper)))
}

/// Whether a key belongs to the store itself.
pub(super) fn is_reserved(table: Table, key: &[u8]) -> bool {
    table == Table::Meta && key.first() == Some(&RESERVED_META_BYTE)
}

/// Returns the first key after all keys with this prefix.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}
