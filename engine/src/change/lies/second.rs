//! Second changes of a chain whose first is [`RawChange::put`].

use super::Case;
use crate::change::Actor;
use crate::change::raw::{self, RawChange};
use crate::hash::ChangeHash;

/// The honest second change: "k" becomes "v" again.
#[must_use]
pub fn second(actor: Actor, first: ChangeHash) -> RawChange {
    RawChange {
        dependencies: vec![first],
        sequence: 2,
        start_operation: 2,
        ..RawChange::put(actor)
    }
    .with(0x70, vec![0x7f, 1])
    .with(0x71, vec![0x7f, 0])
    .with(0x73, vec![0x7f, 1])
}

pub(super) fn second_cases(actor: Actor, first: ChangeHash) -> Vec<Case> {
    let with = |alter: &dyn Fn(&mut RawChange)| {
        let mut change = second(actor, first);
        alter(&mut change);
        change
    };
    let no_predecessor = second(actor, first).with(0x70, vec![0x7f, 0]).without(0x71).without(0x73);
    let unknown = |counter: u8| second(actor, first).with(0x73, vec![0x7f, counter]);
    let others =
        |others: &[u8]| with(&|c| c.others = others.iter().map(|o| vec![*o; 16]).collect());
    vec![
        // The chain's position.
        ("sequence", with(&|c| c.sequence = 0)),
        ("sequence", with(&|c| c.sequence = 1)),
        ("sequence", with(&|c| c.sequence = 5)),
        ("sequence", with(&|c| c.sequence = u64::MAX)),
        ("actor", with(&|c| c.actor = vec![2; 16])),
        ("previous", with(&|c| c.dependencies = vec![])),
        ("previous", with(&|c| c.dependencies = vec![ChangeHash::from_bytes([9; 32])])),
        // Operation counters: reused, below the dependencies, burnt.
        ("start_operation", with(&|c| c.start_operation = 1)),
        ("start_operation", with(&|c| c.start_operation = 3)),
        ("start_operation", with(&|c| c.start_operation = 1000)),
        ("counter", with(&|c| c.start_operation = u64::from(u32::MAX))),
        ("counter", with(&|c| c.start_operation = 1 << 32)),
        // Predecessors: unknown, of the change itself, of another actor, none.
        ("not_visible", unknown(2)),
        ("not_visible", unknown(0x3f)),
        ("not_visible", others(&[2]).with(0x71, vec![0x7f, 1])),
        ("not_visible", no_predecessor.clone()),
        ("not_visible", second(actor, first).with(0x15, raw::literals(&[raw::text("other")]))),
        ("delete_nothing", {
            no_predecessor.with(0x42, vec![0x7f, 3]).with(0x56, vec![0x7f, 0]).without(0x57)
        }),
        // Encodings that the document could not give back.
        ("not_canonical", second(actor, first).with(0x42, vec![1, 1])),
        ("not_canonical", second(actor, first).with(0x15, raw::run(1, &raw::text("k")))),
        ("not_canonical", others(&[2])),
        ("not_canonical", others(&[1])),
        ("not_canonical", {
            RawChange {
                sequence: 1,
                start_operation: 1,
                dependencies: vec![],
                ..RawChange::put(actor)
            }
            .with(0x71, vec![])
            .with(0x73, vec![])
        }),
        ("column_length", second(actor, first).with(0x57, b"vv".to_vec())),
        ("varint", second(actor, first).with(0x42, vec![0xff, 0x7f, 1])),
        ("value", second(actor, first).with(0x56, vec![0x7f, 0x10])),
        ("column", second(actor, first).with(0x60, vec![])),
        ("extra_bytes", with(&|c| c.extra = vec![1, 1, 9])),
        ("time", with(&|c| c.time = i64::MAX)),
        ("message", with(&|c| c.message = b"m".to_vec())),
        ("dependency_order", with(&|c| c.dependencies = vec![first; 2])),
        ("dependencies", with(&|c| c.dependencies = vec![first; 1000])),
        ("object", second(actor, first).with(0x01, vec![0x7f, 0]).with(0x02, vec![0x7f, 9])),
        ("list_key", second(actor, first).with(0x11, vec![0x7f, 0]).with(0x13, vec![0x7f, 1])),
        ("insert", second(actor, first).with(0x34, vec![0, 1])),
        ("action", second(actor, first).with(0x42, vec![0x7f, 5])),
        ("value_kind", second(actor, first).with(0x56, vec![0x7f, 0x18])),
    ]
}
