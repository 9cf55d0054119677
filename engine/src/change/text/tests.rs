use std::cell::Cell;
use std::num::NonZeroU64;
use std::panic::catch_unwind;

use automerge::legacy::{ElementId, Key, ObjectId, OpId, OpType};
use automerge::{ActorId, Automerge, ExpandedChange, ObjType, ROOT, ReadDoc, ScalarValue};

use super::*;
use crate::change::ChainPosition;
use crate::change::dice::{Dice, mutate_bytes};
use crate::change::gate::GateError;
use crate::change::lies;
use crate::change::raw::{self, RawChange};
use crate::change::text::gate::{TextDraft, examine};
use crate::document::{Splice, TextDocument};
use crate::hash::DocumentId;
use crate::limits::{TEXT_OPERATIONS_MAX, TEXT_TIME_MS_MAX};

const DOC: DocumentId = DocumentId::from_bytes([3; 32]);

fn actor(byte: u8) -> Actor {
    Actor::from_bytes([byte; 16])
}

fn extend(doc: &mut TextDocument, who: Actor, bytes: &[u8]) -> Result<(), GateError> {
    doc.extend(who, [bytes]).stop.map_or(Ok(()), Err)
}

/// A document with one change of actor 1: "ab".
fn one_change() -> (TextDocument, ChangeHash) {
    let mut doc = TextDocument::new(DOC);
    extend(&mut doc, actor(1), &lies::first_text(actor(1)).chunk()).unwrap();
    let head = doc.heads()[0];
    (doc, head)
}

#[test]
fn what_a_first_change_may_not_say_is_refused_by_name() {
    for lie in lies::first_text_lies(actor(1)) {
        let error = extend(&mut TextDocument::new(DOC), actor(1), &lie.bytes).unwrap_err();
        assert!(matches!(error, GateError::Invalid(_)), "{}: {error}", lie.what);
        assert_eq!(error.name(), lie.reason, "{}", lie.what);
    }
    // What a map takes is no text, and the bombs that were found for maps are none here.
    for lie in lies::first_lies(actor(1)) {
        let error = extend(&mut TextDocument::new(DOC), actor(1), &lie.bytes).unwrap_err();
        assert!(matches!(error, GateError::Invalid(_)), "{}: {error}", lie.what);
    }
    assert!(
        extend(&mut TextDocument::new(DOC), actor(1), &RawChange::put(actor(1)).chunk()).is_err()
    );
}

#[test]
fn what_a_second_change_may_not_say_is_refused_by_name() {
    let (doc, first) = one_change();
    let mut fine = doc.clone();
    extend(&mut fine, actor(1), &lies::second_text(actor(1), first).chunk()).unwrap();
    assert_eq!(fine.text(), "bc");
    for lie in lies::second_text_lies(actor(1), first) {
        let error = extend(&mut doc.clone(), actor(1), &lie.bytes).unwrap_err();
        assert!(matches!(error, GateError::Invalid(_)), "{}: {error}", lie.what);
        assert_eq!(error.name(), lie.reason, "{}", lie.what);
    }
}

#[test]
fn what_others_deleted_or_wrote_unseen_is_not_there() {
    let (mut doc, first) = one_change();
    extend(&mut doc, actor(1), &lies::second_text(actor(1), first).chunk()).unwrap();
    let stranger = |dependency, start_operation| RawChange {
        dependencies: vec![dependency],
        actor: vec![2; 16],
        sequence: 1,
        start_operation,
        others: vec![vec![1; 16]],
        ..lies::second_text(actor(1), first)
    };
    let named = |change: RawChange| {
        change.with(0x01, vec![2, 1]).with(0x11, vec![2, 1]).with(0x71, vec![0x7f, 1])
    };
    // Concurrent with the second change: both delete the same character.
    let mut both = doc.clone();
    extend(&mut both, actor(2), &named(stranger(first, 4)).chunk()).unwrap();
    assert_eq!(both.text().len(), 3);
    // After it, that character is gone.
    let second = doc.tip(&actor(1)).unwrap().1;
    let error = extend(&mut doc, actor(2), &named(stranger(second, 6)).chunk()).unwrap_err();
    assert_eq!(error.name(), "element");
    // Beside it, what it inserted is not there yet.
    let early = named(stranger(first, 4)).with(0x13, vec![0x7e, 4, 0x7e]);
    assert_eq!(extend(&mut doc, actor(2), &early.chunk()).unwrap_err().name(), "element");
}

#[test]
fn limits_hold_at_the_limit_and_not_beyond() {
    let (doc, first) = one_change();
    let outcome = |change: RawChange| {
        let stop = doc.clone().extend(actor(1), [change.chunk().as_slice()]).stop;
        stop.map(|error| error.name())
    };
    assert_eq!(outcome(lies::typing(actor(1), first, 1)), None);
    assert_eq!(outcome(lies::typing(actor(1), first, TEXT_OPERATIONS_MAX)), None);
    assert_eq!(outcome(lies::typing(actor(1), first, TEXT_OPERATIONS_MAX + 1)), Some("operations"));
    let time = |time| RawChange { time, ..lies::second_text(actor(1), first) };
    let latest = i64::try_from(TEXT_TIME_MS_MAX).unwrap();
    assert_eq!((outcome(time(latest)), outcome(time(latest + 1))), (None, Some("time")));
    let counter = |start_operation| {
        let change = RawChange { start_operation, ..lies::second_text(actor(1), first) };
        prescan_text(&change.chunk()).map(|scan| scan.last_operation())
    };
    assert_eq!(counter(TEXT_COUNTER_MAX - 1), Ok(TEXT_COUNTER_MAX));
    assert_eq!(counter(TEXT_COUNTER_MAX), Err(Malformed::Counter));
}

#[test]
fn columns_say_what_automerge_writes() {
    let actor = actor(1);
    let object = OperationId { counter: 1, actor };
    let at = |counter| Some(OperationId { counter, actor });
    let operations = [
        TextOperation::Make,
        TextOperation::Insert { object, after: None, character: 'a' },
        TextOperation::Insert { object, after: at(2), character: 'b' },
    ];
    let position = ChainPosition { actor, n: 1, previous: None };
    let draft = TextDraft {
        position,
        dependencies: vec![],
        start_operation: 1,
        time_ms: 0,
        operations: &operations,
    };
    let bytes = draft.build().unwrap();
    assert_eq!(bytes, lies::first_text(actor).chunk());
    assert_eq!(prescan_text(&bytes).unwrap().operations, operations);
    let examined = examine(&past::Past::default(), &bytes, &position).unwrap();
    assert_eq!(examined.scan.hash, prescan_text(&bytes).unwrap().hash);
}

/// Takes meaning, not bytes, apart.
fn mutate_meaning(dice: &Dice, honest: &[u8]) -> Option<Vec<u8>> {
    let mut change = ExpandedChange::from(&automerge::Change::from_bytes(honest.to_vec()).unwrap());
    let someone = || ActorId::from(actor(1 + dice.byte() % 4).as_bytes());
    let some_operation = || OpId(1 + dice.next() % 200, someone());
    for _ in 0..=dice.below(2) {
        let at = dice.below(change.operations.len());
        let counters = [1, 2, 5, 60, 1000, TEXT_COUNTER_MAX, u64::from(u32::MAX), 1 << 32];
        let operation = &mut change.operations[at];
        match dice.below(18) {
            0 => change.seq = [0, 1, 2, 3, 9, u64::MAX][dice.below(6)],
            1 => change.start_op = NonZeroU64::new(counters[dice.below(8)]).unwrap(),
            2 => drop(change.deps.pop()),
            3 => change.deps.push(automerge::ChangeHash([dice.byte(); 32])),
            4 => change.actor_id = someone(),
            5 => operation.obj = ObjectId::Id(some_operation()),
            6 => operation.insert = !operation.insert,
            7 => operation.action = OpType::Delete,
            8 => operation.action = OpType::Increment(1),
            9 => operation.pred = vec![some_operation()].into(),
            10 => operation.pred = vec![].into(),
            11 => operation.key = Key::Map("text".into()),
            12 => operation.key = Key::Seq(ElementId::Id(some_operation())),
            13 => operation.key = Key::Seq(ElementId::Head),
            14 => {
                let kinds = [ObjType::Map, ObjType::List, ObjType::Text];
                operation.action = OpType::Make(kinds[dice.below(3)]);
            }
            15 => change.time = [-1, 1, i64::MAX][dice.below(3)],
            16 => operation.action = OpType::Put(ScalarValue::Str("xy".into())),
            _ => {
                let again = operation.clone();
                change.operations.push(again);
            }
        }
    }
    // Some nonsense cannot even be encoded.
    catch_unwind(|| automerge::Change::from(change).raw_bytes().to_vec()).ok()
}

/// Three devices that write at the same time and after each other, the third without seeing
/// what the others wrote.
fn busy_document() -> TextDocument {
    let (mut doc, _) = one_change();
    let mut behind = doc.clone();
    for round in 0..8usize {
        for device in 1..=3u8 {
            let who = actor(device);
            let source = if device == 3 { &mut behind } else { &mut doc };
            let length = source.text().chars().count();
            let at = (round * 7 + usize::from(device)) % (length + 1);
            let splice =
                Splice { at, deleted: round % 3 % (length - at + 1), inserted: "wörd".into() };
            let drafts = source.splice(source.next_position(who), &[splice], 5).unwrap();
            for bytes in &drafts.chunks {
                extend(source, who, bytes).unwrap();
            }
            if device == 3 {
                drafts.chunks.iter().for_each(|bytes| extend(&mut doc, who, bytes).unwrap());
            }
        }
    }
    doc
}

/// A document is poisoned if it cannot be saved, loaded, or asked for its changes.
fn assert_sound(doc: &TextDocument, bytes: &[u8]) {
    let inner = doc.automerge();
    let loaded = Automerge::load(&inner.save()).expect("saved document loads");
    assert_eq!(loaded.get_heads(), inner.get_heads());
    for change in inner.get_changes(&[]) {
        let back = inner.get_change_by_hash(&change.hash()).unwrap();
        assert_eq!(back.raw_bytes(), change.raw_bytes());
    }
    assert!(loaded.get_changes(&[]).iter().any(|change| change.raw_bytes() == bytes));
    let text = |doc: &Automerge| {
        let (_, id) = doc.get(ROOT, TEXT_KEY).unwrap().unwrap();
        doc.text(&id).unwrap()
    };
    assert_eq!(text(&loaded), text(inner));
}

#[test]
fn hostile_changes_neither_panic_nor_poison() {
    const ROUNDS: usize = 4000;
    let dice = Dice(Cell::new(0x005e_ed0f_0ca7));
    let busy = busy_document();
    let mut doc = busy.clone();
    let mut admitted = 0;
    let mut names = std::collections::BTreeMap::<&str, usize>::new();
    for round in 0..ROUNDS {
        let who = actor(1 + dice.byte() % 4);
        let length = doc.text().chars().count();
        let at = dice.below(length);
        let splice = Splice {
            at,
            deleted: dice.below((length - at).min(4) + 1),
            inserted: "né"[..dice.below(2)].into(),
        };
        let Ok(drafts) = doc.splice(doc.next_position(who), &[splice], 7) else { continue };
        let honest = &drafts.chunks[0];
        let bytes = if round % 2 == 0 {
            Some(mutate_bytes(&dice, honest))
        } else {
            mutate_meaning(&dice, honest)
        };
        let Some(bytes) = bytes else { continue };
        match extend(&mut doc, who, &bytes) {
            Ok(()) => {
                admitted += 1;
                assert_sound(&doc, &bytes);
                // Do not let the document grow without end.
                if admitted % 20 == 0 {
                    doc = busy.clone();
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

#[test]
fn compressed_and_foreign_chunks_are_refused_before_they_unfold() {
    let mut doc = TextDocument::new(DOC);
    let deflated = raw::chunk(2, &lies::deflated_zeros(8 << 20));
    let error = extend(&mut doc, actor(1), &deflated).unwrap_err();
    assert!(matches!(error.name(), "chunk_type" | "size"), "{error}");
}
