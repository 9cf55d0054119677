use proptest::prelude::*;

use super::*;
use crate::change::raw::{self, RawChange};

fn honest() -> RawChange {
    RawChange::put(Actor::from_bytes([1; 16]))
}

/// A change of `count` puts under different keys, each of one byte of text.
fn puts(count: usize) -> RawChange {
    let keys: Vec<_> = (0..count).map(|i| raw::text(&format!("{i:04}"))).collect();
    let run = |value: &[u8]| raw::run(i64::try_from(count).unwrap(), value);
    honest()
        .with(0x15, raw::literals(&keys))
        .with(0x34, raw::unsigned(count as u64))
        .with(0x42, run(&[1]))
        .with(0x56, run(&[0x16]))
        .with(0x57, vec![b'v'; count])
        .with(0x70, run(&[0]))
}

/// A change of one put with `count` predecessors of counters 1, 2, 3 and so on.
fn replacing(count: usize) -> RawChange {
    let run = |value: &[u8]| raw::run(i64::try_from(count).unwrap(), value);
    honest()
        .with(0x70, raw::run(1, &raw::unsigned(count as u64)))
        .with(0x71, run(&[0]))
        .with(0x73, run(&[1]))
}

fn refused(change: &RawChange) -> &'static str {
    prescan(&change.chunk()).unwrap_err().name()
}

#[test]
fn an_honest_change_is_read_whole() {
    let scan = prescan(&honest().chunk()).unwrap();
    assert_eq!((scan.sequence, scan.start_operation), (1, 1));
    assert_eq!(scan.actor, Actor::from_bytes([1; 16]));
    let put = Operation { key: "k".into(), value: Some("v".into()), predecessors: vec![] };
    assert_eq!(scan.operations, [put]);
    let parsed = automerge::Change::from_bytes(honest().chunk()).unwrap();
    assert_eq!(scan.hash.as_bytes(), &parsed.hash().0);
}

#[test]
fn every_kind_of_value_is_read() {
    let long = raw::signed(i64::MIN);
    let cases: [(u8, Vec<u8>, Value); 10] = [
        (0, vec![], Value::Null),
        (1, vec![], Value::Bool(false)),
        (2, vec![], Value::Bool(true)),
        (3, raw::unsigned(u64::MAX), Value::Uint(u64::MAX)),
        (4, long.clone(), Value::Int(i64::MIN)),
        (4, raw::signed(-1), Value::Int(-1)),
        (6, "é".into(), Value::Text("é".into())),
        (7, vec![0, 255], Value::Bytes(vec![0, 255])),
        (9, raw::signed(1_700_000_000_000), Value::Timestamp(1_700_000_000_000)),
        (6, vec![], Value::Text(String::new())),
    ];
    for (kind, bytes, value) in cases {
        let meta = raw::unsigned(((bytes.len() as u64) << 4) | u64::from(kind));
        let change = honest().with(0x56, raw::literals(&[meta])).with(0x57, bytes);
        let scan = prescan(&change.chunk()).unwrap();
        assert_eq!(scan.operations[0].value, Some(value));
    }
}

type Case = (&'static str, RawChange);

fn header_cases() -> Vec<Case> {
    let hash = |byte| ChangeHash::from_bytes([byte; 32]);
    let with = |alter: &dyn Fn(&mut RawChange)| {
        let mut change = honest();
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

fn column_cases() -> Vec<Case> {
    let twice = {
        let mut change = honest();
        change.columns.push((0x70, vec![0x7f, 0]));
        change
    };
    let disordered = {
        let mut change = honest();
        change.columns.reverse();
        change
    };
    vec![
        ("object", honest().with(0x01, raw::run(1, &[0]))),
        ("object", honest().with(0x02, raw::run(1, &[1]))),
        ("list_key", honest().with(0x11, raw::run(1, &[0]))),
        ("list_key", honest().with(0x13, raw::run(1, &[1]))),
        ("mark", honest().with(0x94, vec![0, 1])),
        ("mark", honest().with(0xa5, raw::literals(&[raw::text("bold")]))),
        ("deflated", honest().with(0x1d, vec![1])),
        ("deflated", honest().with(0x4a, vec![1])),
        ("column", honest().with(0x60, vec![])),
        ("column", honest().with(0x35, vec![])),
        ("column", honest().with(u64::MAX ^ 8, vec![])),
        ("column_order", twice),
        ("column_order", disordered),
        ("insert", honest().with(0x34, vec![0, 1])),
        ("insert", honest().with(0x34, vec![1, 0])),
        ("column_length", honest().with(0x34, vec![2])),
        ("short", honest().without(0x34)),
        ("column_length", honest().without(0x15)),
        ("column_length", honest().without(0x56)),
        ("column_length", honest().without(0x70)),
        ("empty", honest().without(0x42)),
        ("empty", RawChange { columns: vec![], ..honest() }),
        ("column_length", honest().with(0x57, b"vv".to_vec())),
        ("value", honest().without(0x57)),
        ("run", honest().with(0x42, vec![0, 1])),
        ("run", honest().with(0x70, vec![0, 1])),
        ("varint", honest().with(0x42, vec![0x7f, 0x81, 0x00])),
        ("varint", honest().with(0x42, vec![0xff, 0x7f, 1])),
        ("short", honest().with(0x42, vec![0x7e, 1])),
        ("column_length", honest().with(0x42, vec![0x7e, 1, 1])),
        ("column_length", honest().with(0x71, vec![0x7f, 0]).with(0x73, vec![0x7f, 1])),
    ]
}

fn operation_cases() -> Vec<Case> {
    let action = |action: u8| honest().with(0x42, vec![0x7f, action]);
    let key = |key: &str| honest().with(0x15, raw::literals(&[raw::text(key)]));
    let value = |kind: u8, bytes: &[u8]| {
        let meta = raw::unsigned(((bytes.len() as u64) << 4) | u64::from(kind));
        honest().with(0x56, raw::literals(&[meta])).with(0x57, bytes.to_vec())
    };
    let two = |predecessors: [u8; 2], counters: Vec<u8>| {
        honest()
            .with(0x70, vec![0x7f, 2])
            .with(0x71, raw::literals(&[vec![predecessors[0]], vec![predecessors[1]]]))
            .with(0x73, counters)
    };
    let delete = |change: RawChange| change.with(0x42, vec![0x7f, 3]);
    let nothing = honest().with(0x56, vec![0x7f, 0]).without(0x57);
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
        ("key", honest().with(0x15, vec![0, 1])),
        ("key", honest().with(0x15, vec![0x7f, 1, 0xff])),
        ("duplicate_key", {
            let keys = raw::literals(&[raw::text("0001"), raw::text("0001")]);
            puts(2).with(0x15, keys)
        }),
        ("duplicate_key", puts(2).with(0x15, raw::run(2, &raw::text("k")))),
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
        ("value", honest().with(0x56, raw::literals(&[raw::unsigned(u64::MAX ^ 0xf)]))),
        ("delete_nothing", delete(nothing.clone())),
        ("delete_value", delete(replacing(1))),
        ("actor_index", two([0, 1], vec![0x7e, 1, 1])),
        ("predecessor_order", two([0, 0], vec![0x7e, 2, 0x7f])),
        ("predecessor_order", two([0, 0], vec![0x7e, 2, 0])),
        ("counter", two([0, 0], vec![0x7e, 0, 1])),
        ("counter", two([0, 0], vec![0x7e, 0x7f, 1])),
        ("counter", replacing(1).with(0x73, raw::run(1, &raw::signed(i64::MAX)))),
        ("counter", two([0, 0], raw::run(2, &raw::signed(i64::MAX)))),
        ("column_length", replacing(2).with(0x71, raw::run(1, &[0]))),
        ("column_length", replacing(2).with(0x73, raw::run(1, &[1]))),
        ("column_length", replacing(2).with(0x73, raw::run(3, &[1]))),
    ]
}

fn bomb_cases() -> Vec<Case> {
    let bomb = |count: i64| {
        let run = |value: &[u8]| raw::run(count, value);
        honest()
            .with(0x15, run(&raw::text("k")))
            .with(0x34, raw::unsigned(count.unsigned_abs()))
            .with(0x42, run(&[1]))
            .with(0x56, run(&[0]))
            .with(0x70, run(&[0]))
            .without(0x57)
    };
    let predecessors = |count: u64| {
        let run = |value: &[u8]| raw::run(i64::try_from(count).unwrap(), value);
        honest()
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
        ("predecessors", honest().with(0x70, raw::literals(&[raw::unsigned(u64::MAX)]))),
        ("predecessors", puts(2).with(0x70, raw::run(2, &raw::unsigned(u64::MAX)))),
        // Few operations, but one other column of many.
        ("operations", honest().with(0x15, raw::run(1 << 40, &raw::text("k")))),
        ("operations", honest().with(0x56, raw::run(1 << 40, &[0]))),
        ("operations", honest().with(0x34, raw::unsigned(u64::MAX))),
        ("operations", honest().with(0x70, raw::run(1 << 40, &[0]))),
        ("column_length", honest().with(0x71, raw::run(1 << 40, &[0]))),
    ]
}

#[test]
fn what_no_map_change_may_hold_is_refused_by_name() {
    let cases = [header_cases(), column_cases(), operation_cases(), bomb_cases()].concat();
    for (name, change) in cases {
        assert_eq!(refused(&change), name, "{change:?}");
    }
}

#[test]
fn frames_other_than_a_plain_change_are_refused_by_name() {
    let body = honest().body();
    let honest = honest().chunk();
    let name = |bytes: &[u8]| prescan(bytes).unwrap_err().name();
    let altered = |at: usize, byte: u8| {
        let mut bytes = honest.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(name(&[]), "short");
    assert_eq!(name(&altered(0, 0)), "magic");
    assert_eq!(name(&altered(4, honest[4] ^ 1)), "checksum");
    assert_eq!(name(&[&honest[..4], &[0; 4], &honest[8..]].concat()), "checksum");
    assert_eq!(name(&[&honest[..], &[0]].concat()), "trailing");
    assert_eq!(name(&honest[..honest.len() - 1]), "short");
    // A document, a deflated change, a bundle, and the unheard of.
    for kind in [0, 2, 3, 4, 0x53, 0xff] {
        assert_eq!(name(&raw::chunk(kind, &body)), "chunk_type");
    }
    let mut overlong = vec![1, 0x80 | u8::try_from(body.len()).unwrap(), 0];
    overlong.extend_from_slice(&body);
    assert_eq!(name(&raw::seal_checksum(overlong)), "varint");
    for len in 0..honest.len() {
        assert!(prescan(&honest[..len]).is_err(), "{len}");
        let body = &body[..len.min(body.len() - 1)];
        assert!(prescan(&raw::chunk(1, body)).is_err(), "{len}");
    }
}

#[test]
fn limits_hold_at_the_limit_and_one_above() {
    let operations = |count| prescan(&puts(count).chunk()).map(|scan| scan.operations.len());
    assert_eq!(operations(CHANGE_OPERATIONS_MAX), Ok(CHANGE_OPERATIONS_MAX));
    assert_eq!(operations(CHANGE_OPERATIONS_MAX + 1), Err(Malformed::Operations));

    let predecessors = |count| prescan(&replacing(count).chunk()).map(|_| ());
    assert_eq!(predecessors(CHANGE_PREDECESSORS_MAX), Ok(()));
    assert_eq!(predecessors(CHANGE_PREDECESSORS_MAX + 1), Err(Malformed::Predecessors));

    let dependencies = |count: usize| {
        let hash = |i: usize| ChangeHash::from_bytes([u8::try_from(i).unwrap(); 32]);
        prescan(&RawChange { dependencies: (0..count).map(hash).collect(), ..honest() }.chunk())
    };
    assert_eq!(dependencies(CHANGE_DEPENDENCIES_MAX).unwrap().dependencies.len(), 64);
    assert_eq!(dependencies(65), Err(Malformed::Dependencies { count: 65 }));

    let key = |len: usize| {
        prescan(&honest().with(0x15, raw::literals(&[raw::text(&"k".repeat(len))])).chunk())
    };
    assert!(key(MAP_KEY_BYTES_MAX).is_ok());
    assert_eq!(key(MAP_KEY_BYTES_MAX + 1), Err(Malformed::Key));

    let sized = |len: usize| {
        let meta = raw::unsigned(((len as u64) << 4) | 7);
        honest().with(0x56, raw::literals(&[meta])).with(0x57, vec![0; len]).chunk()
    };
    let rest = sized(60_000).len() - 60_000;
    let (limit, over) = (sized(CHANGE_BYTES_MAX - rest), sized(CHANGE_BYTES_MAX - rest + 1));
    assert_eq!(limit.len(), CHANGE_BYTES_MAX);
    assert!(prescan(&limit).is_ok());
    assert_eq!(prescan(&over), Err(Malformed::Size { len: CHANGE_BYTES_MAX + 1 }));

    let start = |start_operation| {
        prescan(&RawChange { start_operation, ..puts(2) }.chunk()).map(|scan| scan.start_operation)
    };
    assert_eq!(start(OPERATION_COUNTER_MAX - 1), Ok(OPERATION_COUNTER_MAX - 1));
    assert_eq!(start(OPERATION_COUNTER_MAX), Err(Malformed::Counter));
}

/// Random bytes rarely get past a frame; so the parts are random, and the frame is right.
fn parts() -> impl Strategy<Value = RawChange> {
    let specs = prop::sample::select(vec![
        0x01u64, 0x02, 0x11, 0x13, 0x15, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73, 0x94, 0xa5,
    ]);
    let column = (specs, prop::collection::vec(any::<u8>(), 0..12));
    (prop::collection::vec(column, 0..6), any::<u64>(), any::<u64>(), 0usize..3).prop_map(
        |(columns, sequence, start_operation, others)| {
            let mut change = honest();
            change.others = vec![vec![2; 16]; others];
            (change.sequence, change.start_operation) = (sequence, start_operation);
            columns.into_iter().fold(change, |change, (spec, data)| change.with(spec, data))
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(prescan(&bytes).is_err());
        let _ = prescan(&raw::chunk(1, &body));
    }

    #[test]
    fn any_columns_do_not_panic_and_stay_bounded(change in parts()) {
        if let Ok(scan) = prescan(&change.chunk()) {
            prop_assert!(scan.operations.len() <= CHANGE_OPERATIONS_MAX);
            // Whatever is let through, Automerge reads as the same number of operations.
            let parsed = automerge::Change::from_bytes(change.chunk()).unwrap();
            prop_assert_eq!(parsed.len(), scan.operations.len());
        }
    }

    #[test]
    fn flipped_bits_are_refused(bit in 0usize..8 * 100) {
        let mut bytes = puts(3).chunk();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(prescan(&bytes).is_err());
    }
}
