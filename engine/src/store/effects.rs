//! What several batches come to, when they are committed as one.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Batch, Operation, Table};

/// The last value of each key, or that it is gone.
pub(super) type Effects = BTreeMap<(Table, Bytes), Option<Bytes>>;

/// What batches come to one after the other: the last operation on a key wins.
pub(super) fn collect(batches: impl IntoIterator<Item = Batch>) -> Effects {
    let operations = batches.into_iter().flat_map(Batch::into_operations);
    // Sorted and built at once, where the last of equal keys stays.
    operations
        .map(|operation| match operation {
            Operation::Put { table, key, value } => ((table, key), Some(value)),
            Operation::Delete { table, key } => ((table, key), None),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_operation_on_a_key_wins() {
        let key = |byte| Bytes::from(vec![byte]);
        let mut first = Batch::new();
        first.put(Table::Rows, key(1), key(1));
        first.put(Table::Rows, key(1), key(2));
        first.put(Table::Meta, key(1), key(3));
        first.delete(Table::Rows, key(2));
        let mut second = Batch::new();
        second.delete(Table::Meta, key(1));
        second.put(Table::Rows, key(2), key(4));
        let effects = collect([first, second]);
        let expected = [
            ((Table::Rows, key(1)), Some(key(2))),
            ((Table::Rows, key(2)), Some(key(4))),
            ((Table::Meta, key(1)), None),
        ];
        assert!(effects.into_iter().eq(expected));
    }
}
