use proptest::prelude::*;

use super::*;
use crate::change::lies;
use crate::change::raw::{self, RawChange};
use crate::limits::{CHANGE_BYTES_MAX, CHANGE_DEPENDENCIES_MAX};

fn honest() -> RawChange {
    RawChange::put(Actor::from_bytes([1; 16]))
}

fn puts(count: usize) -> RawChange {
    lies::puts(Actor::from_bytes([1; 16]), count)
}

fn replacing(count: usize) -> RawChange {
    lies::replacing(Actor::from_bytes([1; 16]), count)
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

#[test]
fn columns_that_are_one_value_short_or_long_are_refused() {
    // No values, so that no bytes left over give it away.
    let nulls = puts(2).with(0x56, raw::run(2, &[0])).without(0x57);
    assert!(prescan(&nulls.chunk()).is_ok());
    for (column, data) in [
        (0x56, raw::run(1, &[0])),
        (0x56, raw::run(3, &[0])),
        (0x70, raw::run(1, &[0])),
        (0x70, raw::run(3, &[0])),
        (0x34, vec![3]),
        (0x15, raw::literals(&[raw::text("a")])),
    ] {
        let refused = prescan(&nulls.clone().with(column, data).chunk());
        assert_eq!(refused, Err(Malformed::ColumnLength { column }));
    }
}

#[test]
fn what_no_map_change_may_hold_is_refused_by_name() {
    for lie in lies::first_lies(Actor::from_bytes([1; 16])) {
        // Only the whole gate sees that something could be said in another way.
        if lie.reason == "not_canonical" {
            assert!(prescan(&lie.bytes).is_ok(), "{}", lie.what);
        } else {
            assert_eq!(prescan(&lie.bytes).map_err(|e| e.name()), Err(lie.reason), "{}", lie.what);
        }
    }
}

#[test]
fn what_is_cut_short_is_refused() {
    let body = honest().body();
    let honest = honest().chunk();
    assert_eq!(prescan(&[]).map_err(|error| error.name()), Err("short"));
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
