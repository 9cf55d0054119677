//! Text changes that no document takes.

use super::{Case, Lie, named};
use crate::change::Actor;
use crate::change::raw::{self, RawChange};
use crate::hash::ChangeHash;
use crate::limits::{TEXT_COUNTER_MAX, TEXT_TIME_MS_MAX};

/// The honest first change: makes the text "ab".
#[must_use]
pub fn first_text(actor: Actor) -> RawChange {
    RawChange {
        columns: vec![
            (0x01, vec![0, 1, 2, 0]),
            (0x02, vec![0, 1, 2, 1]),
            (0x11, vec![0, 2, 0x7f, 0]),
            (0x13, vec![0, 1, 0x7e, 0, 2]),
            (0x15, [&[0x7f][..], &raw::text("text"), &[0, 2]].concat()),
            (0x34, vec![1, 2]),
            (0x42, vec![0x7f, 4, 2, 1]),
            (0x56, vec![0x7f, 0, 2, 0x16]),
            (0x57, b"ab".to_vec()),
            (0x70, vec![3, 0]),
        ],
        ..RawChange::put(actor)
    }
}

/// The honest second change: the text becomes "bc".
#[must_use]
pub fn second_text(actor: Actor, first: ChangeHash) -> RawChange {
    RawChange {
        dependencies: vec![first],
        sequence: 2,
        start_operation: 4,
        columns: vec![
            (0x01, vec![2, 0]),
            (0x02, vec![2, 1]),
            (0x11, vec![2, 0]),
            (0x13, vec![0x7e, 3, 0x7f]),
            (0x34, vec![0, 1, 1]),
            (0x42, vec![0x7e, 1, 3]),
            (0x56, vec![0x7e, 0x16, 0]),
            (0x57, b"c".to_vec()),
            (0x70, vec![0x7e, 0, 1]),
            (0x71, vec![0x7f, 0]),
            (0x73, vec![0x7f, 2]),
        ],
        ..RawChange::put(actor)
    }
}

/// A second change that inserts `count` times "x", each after the one before.
#[must_use]
pub fn typing(actor: Actor, first: ChangeHash, count: usize) -> RawChange {
    let many = i64::try_from(count).unwrap();
    let repeat = |count: i64, value: &[u8]| match count {
        0 => vec![],
        1 => raw::literals(&[value.to_vec()]),
        _ => raw::run(count, value),
    };
    let run = |value: &[u8]| repeat(many, value);
    let after = match many {
        2 => raw::literals(&[vec![3], vec![1]]),
        _ => [raw::literals(&[vec![3]]), repeat(many - 1, &[1])].concat(),
    };
    second_text(actor, first)
        .with(0x01, run(&[0]))
        .with(0x02, run(&[1]))
        .with(0x11, run(&[0]))
        .with(0x13, after)
        .with(0x34, [vec![0], raw::unsigned(count as u64)].concat())
        .with(0x42, run(&[1]))
        .with(0x56, run(&[0x16]))
        .with(0x57, vec![b'x'; count])
        .with(0x70, run(&[0]))
        .without(0x71)
        .without(0x73)
}

/// Text changes of `actor` that are malformed as the first of a chain.
#[must_use]
pub fn first_text_lies(actor: Actor) -> Vec<Lie> {
    let with = |alter: &dyn Fn(&mut RawChange)| {
        let mut change = first_text(actor);
        alter(&mut change);
        change
    };
    let column = |spec, data: &[u8]| first_text(actor).with(spec, data.to_vec());
    let make_key = |key: &str| [&[0x7f][..], &raw::text(key), &[0, 2]].concat();
    let hash = ChangeHash::from_bytes([7; 32]);
    let cases: Vec<Case> = vec![
        ("make", with(&|c| c.dependencies = vec![hash])),
        ("action", column(0x42, &[0x7d, 0, 1, 1])),
        ("action", column(0x42, &[0x7d, 2, 1, 1])),
        ("action", column(0x42, &[0x7d, 6, 1, 1])),
        ("action", column(0x42, &[3, 1])),
        ("action", column(0x42, &[0x7d, 4, 5, 1])),
        ("action", column(0x42, &[2, 4, 0x7f, 1])),
        ("action", column(0x42, &[0x7d, 4, 1, 7])),
        ("key", column(0x15, &make_key("tex"))),
        ("key", column(0x15, &make_key("Text"))),
        ("key", column(0x15, &raw::run(3, &raw::text("text")))),
        ("key", first_text(actor).without(0x15)),
        ("key", column(0x13, &[0x7d, 0, 0, 2])),
        (
            "make",
            with(&|c| c.sequence = 1)
                .with(0x01, vec![3, 0])
                .with(0x02, vec![3, 1])
                .with(0x15, vec![])
                .with(0x13, vec![0x7d, 0, 0, 2])
                .with(0x34, vec![0, 3])
                .with(0x42, vec![3, 1])
                .with(0x56, vec![3, 0x16])
                .with(0x57, b"xab".to_vec()),
        ),
    ];
    let cases = [cases, first_names(actor), first_values(actor)].concat();
    let mut lies = named("first text", cases);
    lies.extend(named("text bomb", bombs(actor)));
    lies
}

/// Operations that name what is not there.
fn first_names(actor: Actor) -> Vec<Case> {
    let with = |start_operation| RawChange { start_operation, ..first_text(actor) };
    let column = |spec, data: &[u8]| first_text(actor).with(spec, data.to_vec());
    vec![
        ("object", first_text(actor).without(0x01)),
        ("object", first_text(actor).without(0x02)),
        ("object", column(0x01, &[0, 2, 0x7f, 0])),
        ("actor_index", column(0x01, &[0, 1, 2, 1])),
        ("actor_index", column(0x11, &[0, 2, 0x7f, 9])),
        ("element", column(0x02, &[0, 1, 2, 2])),
        ("element", column(0x13, &[0, 1, 0x7e, 0, 3])),
        ("element", column(0x13, &[0, 1, 0x7e, 0, 1])),
        ("list_key", column(0x13, &[0, 2, 0x7f, 2])),
        ("list_key", column(0x11, &[0, 3])),
        ("counter", column(0x13, &[0, 1, 0x7e, 0, 0x7f])),
        ("counter", with(0)),
        ("counter", with(TEXT_COUNTER_MAX - 1)),
        ("counter", with(u64::MAX)),
        ("start_operation", with(2)),
    ]
}

/// Columns that do not fit, and values that are no characters.
fn first_values(actor: Actor) -> Vec<Case> {
    let with = |alter: &dyn Fn(&mut RawChange)| {
        let mut change = first_text(actor);
        alter(&mut change);
        change
    };
    let column = |spec, data: &[u8]| first_text(actor).with(spec, data.to_vec());
    vec![
        ("insert", column(0x34, &[0, 3])),
        ("insert", column(0x34, &[2, 1])),
        ("run", column(0x34, &[1, 2, 0])),
        ("column_length", column(0x34, &[1, 1])),
        ("column_length", column(0x34, &[1, 3])),
        ("character", column(0x56, &[0x7d, 0, 0x16, 0x06])),
        ("character", column(0x56, &[0x7d, 0, 0x06, 0x26])),
        ("value_kind", column(0x56, &[0x7d, 0, 0x16, 0x17])),
        ("value_kind", column(0x56, &[0x7d, 0, 0x16, 0])),
        ("value", column(0x56, &[0x7d, 0x16, 0x16, 0x16])),
        ("value", column(0x57, &[b'a', 0xff])),
        ("column_length", column(0x57, b"abc")),
        (
            "predecessors",
            column(0x70, &[2, 0, 0x7f, 1]).with(0x71, vec![0x7f, 0]).with(0x73, vec![0x7f, 2]),
        ),
        ("predecessors", column(0x70, &[2, 0, 0x7f, 2])),
        ("predecessors", column(0x70, &raw::run(3, &raw::unsigned(u64::MAX)))),
        ("time", with(&|c| c.time = -1)),
        ("time", with(&|c| c.time = i64::try_from(TEXT_TIME_MS_MAX).unwrap() + 1)),
        ("mark", column(0x94, &[0, 1])),
        ("mark", column(0xa5, &raw::literals(&[raw::text("bold")]))),
        ("deflated", column(0x5f, b"ab")),
        ("column", column(0x60, &[])),
        ("extra_bytes", with(&|c| c.extra = vec![1, 1, 9])),
        ("not_canonical", column(0x70, &[0x7d, 0, 0, 0])),
        ("not_canonical", column(0x42, &[0x7d, 4, 1, 1])),
        ("not_canonical", with(&|c| c.others = vec![vec![9; 16]])),
    ]
}

/// Few bytes that say they are very much.
fn bombs(actor: Actor) -> Vec<Case> {
    let column = |spec, data: Vec<u8>| first_text(actor).with(spec, data);
    let many = |count: i64, value: &[u8]| raw::run(count, value);
    vec![
        ("operations", column(0x42, [vec![0x7f, 4], many(5_000_000, &[1])].concat())),
        ("operations", column(0x42, many(i64::MAX, &[1]))),
        ("operations", column(0x42, many(-i64::MAX, &[1]))),
        ("column_length", column(0x01, [vec![0], raw::unsigned(u64::MAX)].concat())),
        ("column_length", column(0x02, many(1 << 40, &[1]))),
        ("column_length", column(0x13, many(1 << 40, &[1]))),
        ("column_length", column(0x15, [vec![0], raw::unsigned(1 << 40)].concat())),
        ("column_length", column(0x34, raw::unsigned(u64::MAX))),
        ("column_length", column(0x56, many(1 << 40, &[0x16]))),
        ("column_length", column(0x70, many(1 << 40, &[0]))),
        ("column_length", column(0x71, many(1 << 40, &[0]))),
        ("column_length", column(0x73, many(1 << 40, &[0]))),
        (
            "character",
            column(0x56, [vec![0x7f, 0], many(2, &raw::unsigned(u64::MAX ^ 9))].concat()),
        ),
    ]
}

/// Text changes of `actor` that are malformed as the second of a chain whose first is
/// [`first_text`], known as `first`.
#[must_use]
pub fn second_text_lies(actor: Actor, first: ChangeHash) -> Vec<Lie> {
    let with = |alter: &dyn Fn(&mut RawChange)| {
        let mut change = second_text(actor, first);
        alter(&mut change);
        change
    };
    let column = |spec, data: &[u8]| second_text(actor, first).with(spec, data.to_vec());
    let cases: Vec<Case> = vec![
        ("make", with(&|c| c.dependencies = vec![])),
        ("sequence", with(&|c| c.sequence = 1)),
        ("sequence", with(&|c| c.sequence = 3)),
        ("start_operation", with(&|c| c.start_operation = 3)),
        ("start_operation", with(&|c| c.start_operation = 5)),
        ("actor", with(&|c| c.actor = vec![9; 16])),
        // A second text, made by a change that knows of the first.
        (
            "make",
            RawChange { columns: first_text(actor).columns, ..second_text(actor, first) }
                .with(0x13, vec![0, 1, 0x7e, 0, 5])
                .with(0x02, vec![0, 1, 2, 4]),
        ),
        // Inserts after what is not there, not a character, or not yet there.
        ("element", column(0x13, &[2, 1])),
        ("element", column(0x13, &[0x7e, 4, 0x7e])),
        ("element", column(0x13, &[0x7e, 5, 0x7d])),
        // Deletes the text itself, its own insertion, another one than it says, and nothing.
        ("not_visible", column(0x13, &[0x7e, 3, 0x7e])),
        ("element", column(0x13, &[0x7e, 3, 0x7e]).with(0x73, vec![0x7f, 1])),
        ("element", column(0x13, &[0x7e, 3, 1]).with(0x73, vec![0x7f, 4])),
        ("not_visible", column(0x73, &[0x7f, 3])),
        ("delete_nothing", column(0x70, &[2, 0]).without(0x71).without(0x73)),
        ("column_length", column(0x70, &[2, 0])),
        ("column_length", column(0x71, &[2, 0])),
        ("predecessors", column(0x70, &[0x7e, 0, 2])),
        ("delete_value", column(0x56, &[2, 0x16]).with(0x57, b"cd".to_vec())),
        ("insert", column(0x34, &[0, 2])),
        ("insert", column(0x34, &[2])),
        ("object", column(0x02, &[0x7f, 1, 0, 1])),
        ("element", column(0x02, &[2, 2])),
        (
            "duplicate_key",
            column(0x13, &[0x7e, 2, 0])
                .with(0x34, vec![2])
                .with(0x42, vec![2, 3])
                .with(0x56, vec![2, 0])
                .without(0x57)
                .with(0x70, vec![2, 1])
                .with(0x71, vec![2, 0])
                .with(0x73, vec![0x7e, 2, 0]),
        ),
        ("not_canonical", column(0x01, &[0x7e, 0, 0])),
    ];
    named("second text", cases)
}
