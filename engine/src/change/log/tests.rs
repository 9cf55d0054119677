use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, ROOT};
use proptest::prelude::*;

use super::*;
use crate::change::gate::change_hash;
use crate::change::lies;
use crate::change::raw;

const TAG: u32 = 0x0102_a0ff;

fn actor(byte: u8) -> Actor {
    Actor::from_bytes([byte; 16])
}

fn fields(value: &[u8]) -> LogFields<'_> {
    LogFields { actor: actor(1), n: 1, previous: None, time_ms: 1_700_000_000_000, tag: TAG, value }
}

/// What Automerge makes of the same puts.
fn by_automerge(actor: Actor, tag: u32, puts: &[(u64, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut doc = Automerge::new().with_actor(ActorId::from(actor.as_bytes()));
    (1..)
        .zip(puts)
        .map(|(n, (time_ms, value))| {
            let key = LogFields { actor, n, previous: None, time_ms: *time_ms, tag, value }.key();
            let mut transaction = doc.transaction();
            transaction.put(ROOT, key, value.clone()).unwrap();
            transaction.commit_with(CommitOptions::default().with_time(0));
            doc.get_last_local_change().unwrap().raw_bytes().to_vec()
        })
        .collect()
}

fn built(actor: Actor, tag: u32, puts: &[(u64, Vec<u8>)]) -> Vec<BuiltChange> {
    let mut previous = None;
    (1..)
        .zip(puts)
        .map(|(n, (time_ms, value))| {
            let change = build(actor, n, previous, tag, *time_ms, value).unwrap();
            previous = Some(change.hash);
            change
        })
        .collect()
}

#[test]
fn a_whole_chain_equals_automerges_byte_for_byte() {
    let lens = [1usize, 2, 7, 8, 127, 128, 1023, 1024, 40];
    let puts: Vec<_> = (0..LOG_CHANGES_MAX)
        .zip(lens.into_iter().cycle())
        .map(|(i, len)| (1_700_000_000_000 + i * 977, vec![i.to_le_bytes()[0]; len]))
        .collect();
    let (ours, theirs) = (built(actor(9), TAG, &puts), by_automerge(actor(9), TAG, &puts));
    for (n, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(&ours.bytes, theirs, "change {n}");
        let parsed = automerge::Change::from_bytes(ours.bytes.clone()).unwrap();
        assert_eq!(change_hash(&parsed.hash()), ours.hash);
        assert_eq!(ChangeId::of(&ours.bytes), ours.id);
    }
}

#[test]
fn fields_survive_a_round_trip() {
    let puts: Vec<_> = [0, 1, u64::MAX, 1_700_000_000_000].map(|time| (time, vec![3; 50])).into();
    let mut previous = None;
    for (n, change) in (1..).zip(built(actor(2), 0, &puts)) {
        let (fields, hash) = LogFields::parse(&change.bytes).unwrap();
        let (time_ms, value) = &puts[usize::try_from(n).unwrap() - 1];
        let expected = LogFields { actor: actor(2), n, previous, time_ms: *time_ms, tag: 0, value };
        assert_eq!((fields, hash), (expected, change.hash));
        previous = Some(hash);
    }
}

#[test]
fn newest_keys_sort_first() {
    let mut keys = Vec::new();
    for time_ms in [5, 1000, u64::MAX - 1] {
        for n in [1, 2, 2048] {
            keys.push(LogFields { n, time_ms, ..fields(b"v") }.key());
        }
    }
    assert!(keys.is_sorted_by(|older, newer| older > newer));
    assert!(keys.iter().all(|key| key.len() == 32));
    assert_eq!(fields(b"v").key(), "fffffe74301a97ff0102a0fffffffffe");
    assert_eq!(tag(&Link::from_bytes([0xab; 32])), 0xabab_abab);
}

#[test]
fn every_flipped_bit_of_a_log_change_is_refused() {
    let first = fields(b"some entry bytes").build().unwrap();
    let second = LogFields { n: 2, previous: Some(first.hash), ..fields(b"more") }.build().unwrap();
    for change in [first, second] {
        for bit in 0..change.bytes.len() * 8 {
            let mut altered = change.bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(LogFields::parse(&altered).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn any_other_chunk_with_a_right_checksum_is_refused_or_rebuilds_itself() {
    let honest = fields(b"some entry bytes").build().unwrap();
    let typed = &honest.bytes[8..];
    for bit in 0..typed.len() * 8 {
        let mut altered = typed.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        let chunk = raw::seal_checksum(altered);
        // A flipped bit of actor, key or value is simply another change of the one form.
        if let Ok((fields, hash)) = LogFields::parse(&chunk) {
            let again = fields.build().unwrap();
            assert_eq!((again.bytes, again.hash), (chunk, hash), "bit {bit}");
        }
    }
}

#[test]
fn what_does_not_fit_the_form_is_refused_by_name() {
    let name = |fields: LogFields<'_>| fields.build().unwrap_err().name();
    let hash = Some(ChangeHash::from_bytes([1; 32]));
    let value = vec![0; ENTRY_BYTES_MAX + 1];
    assert_eq!(name(LogFields { n: 0, ..fields(b"v") }), "log_number");
    assert_eq!(name(LogFields { n: 2049, previous: hash, ..fields(b"v") }), "log_number");
    assert_eq!(name(LogFields { n: 2, ..fields(b"v") }), "log_previous");
    assert_eq!(name(LogFields { previous: hash, ..fields(b"v") }), "log_previous");
    assert_eq!(name(fields(b"")), "log_value");
    assert_eq!(name(fields(&value)), "log_value");
    let longest = fields(&value[1..]).build().unwrap();
    assert!(LogFields::parse(&longest.bytes).is_ok());
    assert!(LogFields { n: 2048, previous: hash, ..fields(b"v") }.build().is_ok());
    let parse = |bytes: &[u8]| LogFields::parse(bytes).unwrap_err().name();
    assert_eq!(parse(&[0; CHANGE_BYTES_MAX + 1]), "log_size");
    assert_eq!(parse(&[0; CHANGE_BYTES_MAX]), "log_form");
    assert_eq!(parse(&[longest.bytes, vec![0]].concat()), "log_form");
}

#[test]
fn look_alikes_of_the_one_form_are_refused() {
    let value = b"v";
    let fields = fields(value);
    assert_eq!(lies::honest_log(&fields).chunk(), fields.build().unwrap().bytes);
    for lie in lies::log_lies(fields.actor, fields.tag, fields.time_ms, value) {
        assert!(LogFields::parse(&lie.bytes).is_err(), "{}", lie.what);
    }
}

proptest! {
    #[test]
    fn any_fields_equal_automerges_bytes(
        time_ms: u64, tag: u32, actor_bytes: [u8; 16],
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..6),
    ) {
        let actor = Actor::from_bytes(actor_bytes);
        let puts: Vec<_> = values.into_iter().map(|value| (time_ms, value)).collect();
        let ours: Vec<_> = built(actor, tag, &puts).into_iter().map(|c| c.bytes).collect();
        prop_assert_eq!(ours, by_automerge(actor, tag, &puts));
    }

    #[test]
    fn any_bytes_are_refused_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400), body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assert!(LogFields::parse(&bytes).is_err());
        let chunk = raw::chunk(1, &body);
        prop_assert!(LogFields::parse(&chunk).is_err());
    }
}
