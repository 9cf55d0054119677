//! First changes of a chain that no map document takes.

use super::Case;
use crate::change::Actor;
use crate::change::raw::{self, RawChange};
use crate::hash::ChangeHash;
use crate::limits::OPERATION_COUNTER_MAX;

/// A change of `count` puts under different keys, each of one byte of text.
#[must_use]
pub fn puts(actor: Actor, count: usize) -> RawChange {
    let keys: Vec<_> = (0..count).map(|i| raw::text(&format!("{i:04}"))).collect();
    let run = |value: &[u8]| raw::run(i64::try_from(count).unwrap(), value);
    RawChange::put(actor)
        .with(0x15, raw::literals(&keys))
        .with(0x34, raw::unsigned(count as u64))
        .with(0x42, run(&[1]))
        .with(0x56, run(&[0x16]))
        .with(0x57, vec![b'v'; count])
        .with(0x70, run(&[0]))
}

/// A change of one put with `count` predecessors of counters 1, 2, 3 and so on.
#[must_use]
pub fn replacing(actor: Actor, count: usize) -> RawChange {
    let run = |value: &[u8]| raw::run(i64::try_from(count).unwrap(), value);
    RawChange::put(actor)
        .with(0x70, raw::run(1, &raw::unsigned(count as u64)))
        .with(0x71, run(&[0]))
        .with(0x73, run(&[1]))
}

pub(super) fn header_cases(actor: Actor) -> Vec<Case> {
    let hash = |byte| ChangeHash::from_bytes([byte; 32]);
    let with = |alter: &dyn Fn(&mut RawChange)| {
        let mut change = RawChange::put(actor);
        alter(&mut change);
        change
    };
    vec![
        ("dependencies", with(&|c| c.dependencies = (0..65).map(hash).collect())),
        ("dependencies", with(&|c| c.dependencies = vec![hash(1); 1000])),
        ("dependency_order", with(&|c| c.dependencies = vec![hash(1), hash(1)])),
        ("dependency_order", with(&|c| c.dependencies = vec![hash(2), hash(1)])),
        ("actor_length", with(&|c| c.actor = vec![])),
        ("actor_length", with(&|c| c.actor = vec![1; 15])),
        ("actor_length", with(&|c| c.actor = vec![1; 60_000])),
        ("actor_length", with(&|c| c.others = vec![vec![]])),
        // 60,000 empty names of other actors: refused at the first.
        ("actor_length", with(&|c| c.others = vec![vec![]; 60_000])),
        ("counter", with(&|c| c.start_operation = 0)),
        ("counter", with(&|c| c.start_operation = OPERATION_COUNTER_MAX + 1)),
        ("counter", with(&|c| c.start_operation = u64::from(u32::MAX))),
        ("counter", with(&|c| c.start_operation = u64::MAX)),
        ("time", with(&|c| c.time = 1)),
        ("time", with(&|c| c.time = i64::MAX)),
        ("message", with(&|c| c.message = "\u{1b}]0;\u{202e}".into())),
        ("message", with(&|c| c.message = vec![b'm'; 60_000])),
        // What Automerge reads as the name of an author.
        ("extra_bytes", with(&|c| c.extra = vec![1, 1, 9])),
        ("extra_bytes", with(&|c| c.extra = vec![0])),
    ]
}

pub(super) fn column_cases(actor: Actor) -> Vec<Case> {
    let twice = {
        let mut change = RawChange::put(actor);
        change.columns.push((0x70, vec![0x7f, 0]));
        change
    };
    let disordered = {
        let mut change = RawChange::put(actor);
        change.columns.reverse();
        change
    };
    vec![
        ("object", RawChange::put(actor).with(0x01, raw::run(1, &[0]))),
        ("object", RawChange::put(actor).with(0x02, raw::run(1, &[1]))),
        ("list_key", RawChange::put(actor).with(0x11, raw::run(1, &[0]))),
        ("list_key", RawChange::put(actor).with(0x13, raw::run(1, &[1]))),
        ("mark", RawChange::put(actor).with(0x94, vec![0, 1])),
        ("mark", RawChange::put(actor).with(0xa5, raw::literals(&[raw::text("bold")]))),
        ("deflated", RawChange::put(actor).with(0x1d, vec![1])),
        ("deflated", RawChange::put(actor).with(0x4a, vec![1])),
        ("column", RawChange::put(actor).with(0x60, vec![])),
        ("column", RawChange::put(actor).with(0x35, vec![])),
        ("column", RawChange::put(actor).with(u64::MAX ^ 8, vec![])),
        ("column_order", twice),
        ("column_order", disordered),
        ("insert", RawChange::put(actor).with(0x34, vec![0, 1])),
        ("insert", RawChange::put(actor).with(0x34, vec![1, 0])),
        ("column_length", RawChange::put(actor).with(0x34, vec![2])),
        ("short", RawChange::put(actor).without(0x34)),
        ("column_length", RawChange::put(actor).without(0x15)),
        ("column_length", RawChange::put(actor).without(0x56)),
        ("column_length", RawChange::put(actor).without(0x70)),
        ("empty", RawChange::put(actor).without(0x42)),
        ("empty", RawChange { columns: vec![], ..RawChange::put(actor) }),
        ("column_length", RawChange::put(actor).with(0x57, b"vv".to_vec())),
        ("value", RawChange::put(actor).without(0x57)),
        ("run", RawChange::put(actor).with(0x42, vec![0, 1])),
        ("run", RawChange::put(actor).with(0x70, vec![0, 1])),
        ("varint", RawChange::put(actor).with(0x42, vec![0x7f, 0x81, 0x00])),
        ("varint", RawChange::put(actor).with(0x42, vec![0xff, 0x7f, 1])),
        ("short", RawChange::put(actor).with(0x42, vec![0x7e, 1])),
        ("column_length", RawChange::put(actor).with(0x42, vec![0x7e, 1, 1])),
        (
            "column_length",
            RawChange::put(actor).with(0x71, vec![0x7f, 0]).with(0x73, vec![0x7f, 1]),
        ),
    ]
}

pub(super) fn operation_cases(actor: Actor) -> Vec<Case> {
    let action = |action: u8| RawChange::put(actor).with(0x42, vec![0x7f, action]);
    let key = |key: &str| RawChange::put(actor).with(0x15, raw::literals(&[raw::text(key)]));
    let value = |kind: u8, bytes: &[u8]| {
        let meta = raw::unsigned(((bytes.len() as u64) << 4) | u64::from(kind));
        RawChange::put(actor).with(0x56, raw::literals(&[meta])).with(0x57, bytes.to_vec())
    };
    let two = |predecessors: [u8; 2], counters: Vec<u8>| {
        RawChange::put(actor)
            .with(0x70, vec![0x7f, 2])
            .with(0x71, raw::literals(&[vec![predecessors[0]], vec![predecessors[1]]]))
            .with(0x73, counters)
    };
    let delete = |change: RawChange| change.with(0x42, vec![0x7f, 3]);
    let nothing = RawChange::put(actor).with(0x56, vec![0x7f, 0]).without(0x57);
    vec![
        // Makes of map, list, text and table; increment; mark; unheard of.
        ("action", action(0)),
        ("action", action(2)),
        ("action", action(4)),
        ("action", action(6)),
        ("action", action(5)),
        ("action", action(7)),
        ("action", action(8)),
        ("key", key("")),
        ("key", key(&"k".repeat(257))),
        ("key", RawChange::put(actor).with(0x15, vec![0, 1])),
        ("key", RawChange::put(actor).with(0x15, vec![0x7f, 1, 0xff])),
        ("duplicate_key", {
            let keys = raw::literals(&[raw::text("0001"), raw::text("0001")]);
            puts(actor, 2).with(0x15, keys)
        }),
        ("duplicate_key", puts(actor, 2).with(0x15, raw::run(2, &raw::text("k")))),
        ("value_kind", value(5, &[0; 8])),
        ("value_kind", value(8, &[1])),
        ("value_kind", value(10, &[1])),
        ("value_kind", value(15, &[])),
        ("value", value(0, &[1])),
        ("value", value(1, &[1])),
        ("value", value(2, &[0])),
        ("value", value(3, &[1, 1])),
        ("short", value(3, &[])),
        ("varint", value(3, &[0x80, 0])),
        ("varint", value(4, &[0xff, 0x7f])),
        ("value", value(6, &[0xff])),
        ("value", value(9, &[1, 1])),
        (
            "value",
            RawChange::put(actor).with(0x56, raw::literals(&[raw::unsigned(u64::MAX ^ 0xf)])),
        ),
        ("delete_nothing", delete(nothing.clone())),
        ("delete_value", delete(replacing(actor, 1))),
        ("actor_index", two([0, 1], vec![0x7e, 1, 1])),
        ("predecessor_order", two([0, 0], vec![0x7e, 2, 0x7f])),
        ("predecessor_order", two([0, 0], vec![0x7e, 2, 0])),
        ("counter", two([0, 0], vec![0x7e, 0, 1])),
        ("counter", two([0, 0], vec![0x7e, 0x7f, 1])),
        ("counter", replacing(actor, 1).with(0x73, raw::run(1, &raw::signed(i64::MAX)))),
        ("counter", two([0, 0], raw::run(2, &raw::signed(i64::MAX)))),
        ("column_length", replacing(actor, 2).with(0x71, raw::run(1, &[0]))),
        ("column_length", replacing(actor, 2).with(0x73, raw::run(1, &[1]))),
        ("column_length", replacing(actor, 2).with(0x73, raw::run(3, &[1]))),
    ]
}

pub(super) fn bomb_cases(actor: Actor) -> Vec<Case> {
    let bomb = |count: i64| {
        let run = |value: &[u8]| raw::run(count, value);
        RawChange::put(actor)
            .with(0x15, run(&raw::text("k")))
            .with(0x34, raw::unsigned(count.unsigned_abs()))
            .with(0x42, run(&[1]))
            .with(0x56, run(&[0]))
            .with(0x70, run(&[0]))
            .without(0x57)
    };
    let predecessors = |count: u64| {
        let run = |value: &[u8]| raw::run(i64::try_from(count).unwrap(), value);
        RawChange::put(actor)
            .with(0x70, raw::run(1, &raw::unsigned(count)))
            .with(0x71, run(&[0]))
            .with(0x73, run(&[1]))
    };
    vec![
        ("operations", bomb(5_000_000)),
        ("operations", bomb(134_000_000)),
        ("operations", bomb(1 << 40)),
        ("operations", bomb(i64::MAX)),
        ("operations", bomb(-i64::MAX)),
        ("predecessors", predecessors(50_000_000)),
        ("predecessors", predecessors(1 << 40)),
        (
            "predecessors",
            RawChange::put(actor).with(0x70, raw::literals(&[raw::unsigned(u64::MAX)])),
        ),
        ("predecessors", puts(actor, 2).with(0x70, raw::run(2, &raw::unsigned(u64::MAX)))),
        // Few operations, but one other column of many.
        ("operations", RawChange::put(actor).with(0x15, raw::run(1 << 40, &raw::text("k")))),
        ("operations", RawChange::put(actor).with(0x56, raw::run(1 << 40, &[0]))),
        ("operations", RawChange::put(actor).with(0x34, raw::unsigned(u64::MAX))),
        ("operations", RawChange::put(actor).with(0x70, raw::run(1 << 40, &[0]))),
        ("column_length", RawChange::put(actor).with(0x71, raw::run(1 << 40, &[0]))),
    ]
}

/// Two ways to say the same, of which Automerge would read both.
pub(super) fn doubled_cases(actor: Actor) -> Vec<Case> {
    let two = RawChange::put(actor)
        .with(0x15, raw::literals(&[raw::text("a"), raw::text("b")]))
        .with(0x34, vec![2])
        .with(0x42, raw::run(2, &[1]))
        .with(0x56, raw::run(2, &[0x16]))
        .with(0x57, b"vw".to_vec())
        .with(0x70, raw::run(2, &[0]));
    let singly = [raw::literals(&[raw::text("a")]), raw::literals(&[raw::text("b")])].concat();
    vec![
        ("not_canonical", two.clone().with(0x42, raw::literals(&[vec![1], vec![1]]))),
        ("not_canonical", two.clone().with(0x70, [raw::run(1, &[0]), raw::run(1, &[0])].concat())),
        ("not_canonical", two.with(0x15, singly)),
    ]
}
