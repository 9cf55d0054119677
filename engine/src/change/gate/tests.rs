use std::cell::Cell;

use automerge::transaction::Transactable;
use automerge::{ActorId, Automerge, ObjType, ROOT, ReadDoc, ScalarValue};

use super::*;
use crate::change::dice::{Dice, mutate_bytes};
use crate::change::lies;
use crate::change::raw::{self, RawChange};
use crate::change::value::Value;
use crate::document::{DocumentError, MapDocument};
use crate::hash::DocumentId;

const DOC: DocumentId = DocumentId::from_bytes([3; 32]);

fn actor(byte: u8) -> Actor {
    Actor::from_bytes([byte; 16])
}

/// Writes one change of `actor`'s into the document.
fn write(doc: &mut MapDocument, actor: Actor, edits: &[(&str, Option<Value>)]) {
    let change = doc.author(doc.next_position(actor), edits).unwrap();
    doc.apply_vetted(change).unwrap();
}

fn put(key: &str, value: &str) -> (String, Option<Value>) {
    (key.to_owned(), Some(value.into()))
}

/// A document with one change of actor 1: "k" is "v".
fn one_change() -> (MapDocument, ChangeHash) {
    let mut doc = MapDocument::new(DOC);
    write(&mut doc, actor(1), &[("k", Some("v".into()))]);
    let head = doc.heads()[0];
    (doc, head)
}

fn second(first: ChangeHash) -> RawChange {
    lies::second(actor(1), first)
}

fn position(n: u64, previous: Option<ChangeHash>) -> ChainPosition {
    ChainPosition { actor: actor(1), n, previous }
}

#[test]
fn what_a_second_change_may_not_say_is_refused_by_name() {
    let (doc, first) = one_change();
    let gate = |bytes: &[u8]| doc.gate(bytes, position(2, Some(first)));
    assert!(gate(&second(first).chunk()).is_ok());
    for lie in lies::second_lies(actor(1), first) {
        let error = gate(&lie.bytes).unwrap_err();
        assert!(matches!(error, GateError::Invalid(_)), "{}: {error}", lie.what);
        assert_eq!(error.name(), lie.reason, "{}", lie.what);
    }
}

#[test]
fn what_a_first_change_may_not_say_is_refused_by_name() {
    let doc = MapDocument::new(DOC);
    assert!(doc.gate(&RawChange::put(actor(1)).chunk(), position(1, None)).is_ok());
    for lie in lies::first_lies(actor(1)) {
        let error = doc.gate(&lie.bytes, position(1, None)).unwrap_err();
        assert!(matches!(error, GateError::Invalid(_)), "{}: {error}", lie.what);
        assert_eq!(error.name(), lie.reason, "{}", lie.what);
    }
}

#[test]
fn a_first_change_has_no_past_of_its_own() {
    let (doc, first) = one_change();
    let stranger = |n, previous| ChainPosition { actor: actor(2), n, previous };
    let change = RawChange { actor: vec![2; 16], ..second(first) };
    let gate = |change: &RawChange, at| doc.gate(&change.chunk(), at).unwrap_err().name();
    // Claims a previous change that is another chain's.
    assert_eq!(gate(&change, stranger(2, Some(first))), "previous");
    // A later change for which the chain knows no previous one.
    assert_eq!(gate(&change, stranger(2, None)), "previous");
    // A first change, which depends on one of its own chain.
    let own = RawChange { sequence: 1, ..second(first) };
    assert_eq!(gate(&own, position(1, None)), "own_branch");
}

#[test]
fn dependencies_on_older_changes_of_its_own_chain_are_refused() {
    let (mut doc, first) = one_change();
    write(&mut doc, actor(1), &[("k", Some("w".into()))]);
    let previous = doc.heads()[0];
    let mut dependencies = vec![first, previous];
    dependencies.sort();
    let change = RawChange { dependencies, sequence: 3, start_operation: 3, ..second(first) }
        .with(0x73, vec![0x7f, 2]);
    let error = doc.gate(&change.chunk(), position(3, Some(previous))).unwrap_err();
    assert_eq!(error.name(), "own_branch");
    let fine = RawChange { dependencies: vec![previous], ..change };
    assert!(doc.gate(&fine.chunk(), position(3, Some(previous))).is_ok());
}

#[test]
fn predecessors_are_all_that_is_visible_at_the_dependencies_and_no_more() {
    let (mut doc, first) = one_change();
    let mut other = MapDocument::new(DOC);
    write(&mut other, actor(2), &[("k", Some("w".into()))]);
    let concurrent = other.heads()[0];
    let bytes = other.author(other.next_position(actor(2)), &[("x", Some(Value::Null))]).unwrap();
    drop(bytes);
    let theirs =
        RawChange { actor: vec![2; 16], ..RawChange::put(actor(2)) }.with(0x57, b"w".to_vec());
    let at = ChainPosition { actor: actor(2), n: 1, previous: None };
    let gated = doc.gate(&theirs.chunk(), at).unwrap();
    assert_eq!(gated.hash(), concurrent);
    doc.apply_vetted(gated).unwrap();

    let mut both = vec![first, concurrent];
    both.sort();
    let merging = RawChange { dependencies: both, others: vec![vec![2; 16]], ..second(first) }
        .with(0x70, vec![0x7f, 2])
        .with(0x71, raw::literals(&[vec![0], vec![1]]))
        .with(0x73, raw::literals(&[vec![1], vec![0]]));
    let at = position(2, Some(first));
    assert!(doc.gate(&merging.chunk(), at).is_ok());
    let half = RawChange { dependencies: merging.dependencies.clone(), ..second(first) };
    assert_eq!(doc.gate(&half.chunk(), at).unwrap_err().name(), "not_visible");
    // Without the dependency on the other value, that value is not its to replace.
    let blind = RawChange { dependencies: vec![first], ..merging };
    assert_eq!(doc.gate(&blind.chunk(), at).unwrap_err().name(), "not_visible");
    assert!(doc.gate(&second(first).chunk(), at).is_ok());
}

#[test]
fn unknown_dependencies_are_deferred_and_nothing_waits_in_the_document() {
    let (mut doc, first) = one_change();
    let later = second(first).chunk();
    let empty = MapDocument::new(DOC);
    let error = empty.gate(&later, position(2, Some(first))).unwrap_err();
    assert_eq!(error, GateError::Deferred { missing: vec![first] });
    assert_eq!(error.name(), "deferred");
    // A change by the victim's actor that is not ready cannot take the real one's place.
    let stranger = ChangeHash::from_bytes([0xee; 32]);
    let mut dependencies = vec![first, stranger];
    dependencies.sort();
    let unready = RawChange { dependencies, ..second(first) };
    let error = doc.gate(&unready.chunk(), position(2, Some(first))).unwrap_err();
    assert_eq!(error, GateError::Deferred { missing: vec![stranger] });
    let real = doc.gate(&later, position(2, Some(first))).unwrap();
    doc.apply_vetted(real).unwrap();
    assert_eq!(doc.tip(&actor(1)).unwrap().0, 2);
}

#[test]
fn of_two_changes_with_one_number_the_second_is_a_fork() {
    let (mut doc, first) = one_change();
    let at = position(2, Some(first));
    let twin = |value: &[u8]| second(first).with(0x57, value.to_vec()).chunk();
    let late = doc.gate(&twin(b"b"), at).unwrap();
    let early = doc.gate(&twin(b"a"), at).unwrap();
    doc.apply_vetted(early).unwrap();
    let heads = doc.heads();
    let error = doc.apply_vetted(late).unwrap_err();
    assert_eq!(error, DocumentError::Gate(GateError::Forked { n: 2 }));
    assert_eq!(doc.gate(&twin(b"c"), at).unwrap_err(), GateError::Forked { n: 2 });
    assert_eq!((doc.heads(), doc.get("k")), (heads, Some("a".into())));
    // The same change once more is no fork.
    let again = doc.gate(&twin(b"a"), at).unwrap();
    doc.apply_vetted(again).unwrap();
    assert_eq!(doc.tip(&actor(1)).unwrap().0, 2);
}

#[test]
fn drafts_equal_what_automerge_makes_of_the_same_edits() {
    let mut doc = MapDocument::new(DOC);
    let mut theirs = Automerge::new().with_actor(ActorId::from(actor(1).as_bytes()));
    let rounds: [&[(&str, Option<Value>)]; 4] = [
        &[
            ("a", Some("1".into())),
            ("b", Some(Value::Bytes(vec![0; 300]))),
            ("c", Some(Value::Null)),
        ],
        &[("a", Some(Value::Int(-5))), ("b", None), ("d", Some(Value::Bool(true)))],
        &[("a", Some(Value::Uint(u64::MAX))), ("b", Some(Value::Timestamp(-1)))],
        &[("a", None), ("b", None), ("c", None), ("d", None)],
    ];
    for edits in rounds {
        let change = doc.author(doc.next_position(actor(1)), edits).unwrap();
        let mut transaction = theirs.transaction();
        for (key, value) in edits {
            match value {
                Some(value) => {
                    transaction.put(ROOT, *key, ScalarValue::from(value.clone())).unwrap();
                }
                None => transaction.delete(ROOT, *key).unwrap(),
            }
        }
        transaction.commit();
        let expected = theirs.get_last_local_change().unwrap();
        assert_eq!(change.bytes(), expected.raw_bytes());
        doc.apply_vetted(change).unwrap();
    }
    assert!(doc.entries().is_empty());
}

fn mutate_meaning(dice: &Dice, honest: &[u8]) -> Option<Vec<u8>> {
    let mut change = ExpandedChange::from(&automerge::Change::from_bytes(honest.to_vec()).unwrap());
    let someone = || ActorId::from(actor(1 + dice.byte() % 7).as_bytes());
    let some_operation = || OpId(dice.next() % 90, someone());
    for _ in 0..=dice.below(2) {
        let at = dice.below(change.operations.len());
        let counters = [1, 2, 5, 60, 1000, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 32];
        match dice.below(16) {
            0 => change.seq = [0, 1, 2, 3, 9, u64::MAX][dice.below(6)],
            1 => change.start_op = NonZeroU64::new(counters[dice.below(8)]).unwrap(),
            2 => drop(change.deps.pop()),
            3 => change.deps.push(automerge::ChangeHash([dice.byte(); 32])),
            4 => change.actor_id = someone(),
            5 => change.operations[at].obj = ObjectId::Id(some_operation()),
            6 => change.operations[at].insert = true,
            7 => change.operations[at].action = OpType::Delete,
            8 => change.operations[at].action = OpType::Increment(1),
            9 => change.operations[at].pred = vec![some_operation()].into(),
            10 => change.operations[at].pred = vec![].into(),
            11 => change.operations[at].key = Key::Map(format!("k{}", dice.below(20)).into()),
            12 => {
                let kinds = [ObjType::Map, ObjType::List, ObjType::Text];
                change.operations[at].action = OpType::Make(kinds[dice.below(3)]);
            }
            13 => change.extra_bytes = vec![1, 1, 9],
            14 => change.operations[at].action = OpType::Put(ScalarValue::counter(3)),
            _ => {
                let again = change.operations[at].clone();
                change.operations.push(again);
            }
        }
    }
    // Some nonsense cannot even be encoded.
    catch_unwind(|| automerge::Change::from(change).raw_bytes().to_vec()).ok()
}

/// Six devices that wrote at the same time and after each other.
fn busy_document() -> MapDocument {
    let mut doc = MapDocument::new(DOC);
    let mut behind = MapDocument::new(DOC);
    for round in 0..10u8 {
        for device in 1..=5u8 {
            let key = format!("k{}", (round * 5 + device) % 17);
            let drop_key = format!("k{}", (round + device + 1) % 17);
            let edits = [put(&key, &format!("{round} {device}")), (drop_key, None)];
            let edits: Vec<_> = edits.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
            // The fifth writes without having seen what the others wrote.
            let source = if device == 5 { &mut behind } else { &mut doc };
            let position = source.next_position(actor(device));
            let change = source.author(position, &edits).unwrap();
            let bytes = change.bytes().to_vec();
            source.apply_vetted(change).unwrap();
            if device == 5 {
                let change = doc.gate(&bytes, position).unwrap();
                doc.apply_vetted(change).unwrap();
            }
        }
    }
    doc
}

/// A document is poisoned if it cannot be saved, loaded, or asked for its changes.
fn assert_sound(doc: &MapDocument, bytes: &[u8]) {
    let inner = doc.automerge();
    let loaded = Automerge::load(&inner.save()).expect("saved document loads");
    assert_eq!(loaded.get_heads(), inner.get_heads());
    for change in inner.get_changes(&[]) {
        let back = inner.get_change_by_hash(&change.hash()).unwrap();
        assert_eq!(back.raw_bytes(), change.raw_bytes());
    }
    assert!(loaded.get_changes(&[]).iter().any(|change| change.raw_bytes() == bytes));
    let keys = |doc: &Automerge| doc.keys(ROOT).collect::<Vec<_>>();
    assert_eq!(keys(&loaded), keys(inner));
}

/// A run takes what is taken one by one: a change alone, and one that comes after another.
fn assert_runs_agree(doc: &MapDocument, who: Actor, honest: &[u8], bytes: &[u8]) {
    let one_by_one = |chunks: [&[u8]; 2]| {
        let mut doc = doc.clone();
        for chunk in chunks {
            let at = doc.next_position(who);
            let Ok(change) = doc.gate(chunk, at) else { break };
            doc.apply_vetted(change).unwrap();
        }
        doc
    };
    let after = {
        let mut doc = doc.clone();
        let at = doc.next_position(who);
        let change = doc.gate(honest, at).unwrap();
        doc.apply_vetted(change).unwrap();
        let edits = [("k1", Some("again".into())), ("k3", None), ("new", None)];
        doc.author(doc.next_position(who), &edits).unwrap().bytes().to_vec()
    };
    for chunks in [[honest, &after], [honest, bytes], [bytes, &after]] {
        let (expected, mut run) = (one_by_one(chunks), doc.clone());
        let taken = run.extend(who, chunks);
        assert_eq!(run.heads(), expected.heads());
        assert_eq!(run.entries(), expected.entries());
        assert_eq!(run.tip(&who), expected.tip(&who));
        assert_eq!(taken.last().copied(), (!taken.is_empty()).then(|| run.tip(&who).unwrap().1));
    }
}

#[test]
fn hostile_changes_neither_panic_nor_poison() {
    const ROUNDS: usize = 4000;
    let dice = Dice(Cell::new(0x005e_ed0f_0ca7));
    let mut doc = busy_document();
    let mut admitted = 0;
    let mut names = std::collections::BTreeMap::<&str, usize>::new();
    for round in 0..ROUNDS {
        let who = actor(1 + dice.byte() % 6);
        let at = doc.next_position(who);
        let edits = [("k1", Some("edit".into())), ("new", Some(Value::Int(5))), ("k9", None)];
        let honest = doc.author(at, &edits[..1 + dice.below(3)]).unwrap().bytes().to_vec();
        let bytes = if round % 2 == 0 {
            Some(mutate_bytes(&dice, &honest))
        } else {
            mutate_meaning(&dice, &honest)
        };
        let Some(bytes) = bytes else { continue };
        if round % 8 < 2 {
            assert_runs_agree(&doc, who, &honest, &bytes);
        }
        match doc.gate(&bytes, at) {
            Ok(change) => {
                admitted += 1;
                doc.apply_vetted(change).unwrap();
                assert_sound(&doc, &bytes);
                // Do not let the document grow without end.
                if admitted % 20 == 0 {
                    doc = busy_document();
                }
            }
            Err(error) => {
                assert!(!matches!(error, GateError::Quarantined(_)), "round {round}: {error}");
                *names.entry(error.name()).or_default() += 1;
            }
        }
    }
    assert!(admitted > 20, "{admitted} admitted");
    assert!(names.len() > 15, "{names:?}");
}
