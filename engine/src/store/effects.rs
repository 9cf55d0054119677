//! What several batches come to, when they are committed as one.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Batch, Operation, Table};

/// The last value of each key, or that it is gone.
pub(super) type Effects = BTreeMap<(Table, Bytes), Option<Bytes>>;

/// Applies a batch over earlier effects: the later operation on a key wins.
pub(super) fn collect(batch: Batch, effects: &mut Effects) {
    for operation in batch.into_operations() {
        match operation {
            Operation::Put { table, key, value } => effects.insert((table, key), Some(value)),
            Operation::Delete { table, key } => effects.insert((table, key), None),
        };
    }
}
