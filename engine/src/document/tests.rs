use proptest::prelude::*;

use super::*;
use crate::change::log::build;
use crate::limits::CHANGE_OPERATIONS_MAX;

const DOC: DocumentId = DocumentId::from_bytes([3; 32]);

fn actor(byte: u8) -> Actor {
    Actor::from_bytes([byte; 16])
}

type Written = (Actor, u64, Vec<u8>);

/// Writes one change, and returns it as it is stored.
fn write(doc: &mut MapDocument, who: Actor, edits: &[(&str, Option<Value>)]) -> Written {
    let position = doc.next_position(who);
    let change = doc.author(position, edits).unwrap();
    let bytes = change.bytes().to_vec();
    doc.apply_vetted(change).unwrap();
    (who, position.n, bytes)
}

fn receive(doc: &mut MapDocument, change: &Written) -> Result<(), GateError> {
    let position = doc.next_position(change.0);
    assert_eq!(position.n, change.1);
    let gated = doc.gate(&change.2, position)?;
    doc.apply_vetted(gated).unwrap();
    Ok(())
}

fn load(stored: &[Written]) -> Result<MapDocument, DocumentError> {
    let stored =
        stored.iter().map(|(actor, n, bytes)| StoredChange { actor: *actor, n: *n, bytes });
    MapDocument::load(DOC, stored)
}

#[test]
fn values_are_put_replaced_and_deleted() {
    let mut doc = MapDocument::new(DOC);
    write(&mut doc, actor(1), &[("name", Some("Ada".into())), ("age", Some(Value::Int(36)))]);
    write(&mut doc, actor(1), &[("name", Some("Ada L.".into())), ("age", None)]);
    assert_eq!(doc.get("name"), Some("Ada L.".into()));
    assert_eq!(doc.get("age"), None);
    assert_eq!(doc.entries(), [("name".to_owned(), "Ada L.".into())]);
    assert_eq!(doc.candidates("name").len(), 1);
    assert!(doc.conflicts("name").is_empty());
    assert!(doc.candidates("age").is_empty());
}

#[test]
fn every_kind_of_value_is_given_back() {
    let values = [
        Value::Null,
        Value::Bool(true),
        Value::Bool(false),
        Value::Int(i64::MIN),
        Value::Uint(u64::MAX),
        Value::Text("é \u{202e}".into()),
        Value::Text(String::new()),
        Value::Bytes(vec![0, 255]),
        Value::Timestamp(1_700_000_000_000),
    ];
    let mut doc = MapDocument::new(DOC);
    let keys: Vec<_> = (0..values.len()).map(|i| format!("{i}")).collect();
    let edits: Vec<_> =
        keys.iter().zip(&values).map(|(key, value)| (key.as_str(), Some(value.clone()))).collect();
    write(&mut doc, actor(1), &edits);
    let shown: Vec<_> = doc.entries().into_iter().map(|(_, value)| value).collect();
    assert_eq!(shown, values);
}

#[test]
fn the_loser_of_a_conflict_stays_visible_everywhere_alike() {
    let (mut laptop, mut phone) = (MapDocument::new(DOC), MapDocument::new(DOC));
    let a = write(&mut laptop, actor(1), &[("bio", Some("laptop".into()))]);
    let b = write(&mut phone, actor(2), &[("bio", Some("phone".into()))]);
    receive(&mut laptop, &b).unwrap();
    receive(&mut phone, &a).unwrap();
    assert_eq!(laptop.entries(), phone.entries());
    assert_eq!(laptop.heads(), phone.heads());
    assert_eq!(laptop.candidates("bio"), phone.candidates("bio"));
    let shown = laptop.get("bio").unwrap();
    let losers = laptop.conflicts("bio");
    assert_eq!((laptop.candidates("bio")[0].value.clone(), losers.len()), (shown.clone(), 1));
    assert_ne!(losers[0].value, shown);
    // Same counter: the greater actor is shown.
    assert_eq!(shown, "phone".into());
    assert_eq!(losers[0].actor, actor(1));
    assert_eq!(Some(losers[0].change), laptop.tip(&actor(1)).map(|(_, hash)| hash));
    // The next edit replaces both.
    let c = write(&mut laptop, actor(1), &[("bio", Some("both".into()))]);
    receive(&mut phone, &c).unwrap();
    assert!(phone.conflicts("bio").is_empty());
    assert_eq!(phone.get("bio"), Some("both".into()));
}

#[test]
fn edits_that_change_nothing_and_wrong_positions_are_refused() {
    let mut doc = MapDocument::new(DOC);
    let next = doc.next_position(actor(1));
    let long = "k".repeat(257);
    let author = |edits: &[(&str, Option<Value>)]| doc.author(next, edits).unwrap_err();
    assert_eq!(author(&[]), DocumentError::Nothing);
    assert_eq!(author(&[("absent", None)]), DocumentError::Nothing);
    let name = |error| match error {
        DocumentError::Gate(error) => error.name(),
        other => panic!("{other}"),
    };
    assert_eq!(name(author(&[("", Some(Value::Null))])), "key");
    assert_eq!(name(author(&[(&long, Some(Value::Null))])), "key");
    assert_eq!(name(author(&[("k", Some(Value::Bytes(vec![0; 70_000])))])), "size");
    let keys: Vec<_> = (0..=CHANGE_OPERATIONS_MAX).map(|i| format!("{i}")).collect();
    let many: Vec<_> = keys.iter().map(|key| (key.as_str(), Some(Value::Null))).collect();
    assert_eq!(name(author(&many)), "operations");
    assert!(doc.author(next, &many[1..]).is_ok());
    let wrong = ChainPosition { n: 2, ..next };
    let edit = [("k", Some(Value::Null))];
    assert_eq!(doc.author(wrong, &edit).unwrap_err(), DocumentError::Position { n: 2 });
    write(&mut doc, actor(1), &edit);
    assert_eq!(doc.author(next, &edit).unwrap_err(), DocumentError::Position { n: 1 });
    let wrong = ChainPosition { previous: Some(ChangeHash::from_bytes([1; 32])), ..wrong };
    assert_eq!(doc.author(wrong, &edit).unwrap_err(), DocumentError::Position { n: 2 });
}

#[test]
fn of_two_edits_of_one_key_the_later_counts() {
    let mut doc = MapDocument::new(DOC);
    write(&mut doc, actor(1), &[("k", Some("a".into())), ("k", Some("b".into()))]);
    assert_eq!(doc.get("k"), Some("b".into()));
}

#[test]
fn more_heads_than_dependencies_are_joined_step_by_step() {
    let mut doc = MapDocument::new(DOC);
    for device in 1..=100 {
        let mut alone = MapDocument::new(DOC);
        let change = write(&mut alone, actor(device), &[("k", Some(Value::Int(device.into())))]);
        receive(&mut doc, &change).unwrap();
    }
    assert_eq!((doc.heads().len(), doc.candidates("k").len()), (100, 100));
    write(&mut doc, actor(1), &[("k", Some("one".into()))]);
    assert_eq!(doc.heads().len(), 37);
    write(&mut doc, actor(1), &[("k", Some("two".into()))]);
    assert_eq!((doc.heads().len(), doc.candidates("k").len()), (1, 1));
}

#[test]
fn a_change_vetted_for_another_document_is_refused() {
    let other = MapDocument::new(DocumentId::from_bytes([4; 32]));
    let change = other.author(other.next_position(actor(1)), &[("k", Some(Value::Null))]).unwrap();
    let mut doc = MapDocument::new(DOC);
    let error = doc.apply_vetted(change).unwrap_err();
    assert!(matches!(error, DocumentError::OtherDocument { .. }));
    assert!(doc.heads().is_empty());
}

#[test]
fn changes_vetted_together_are_all_taken() {
    let mut source = MapDocument::new(DOC);
    let a = write(&mut source, actor(1), &[("a", Some("1".into()))]);
    let mut other = MapDocument::new(DOC);
    let b = write(&mut other, actor(2), &[("b", Some("2".into()))]);
    let mut doc = MapDocument::new(DOC);
    let first = doc.gate(&a.2, doc.next_position(actor(1))).unwrap();
    let second = doc.gate(&b.2, doc.next_position(actor(2))).unwrap();
    doc.apply_vetted(first).unwrap();
    doc.apply_vetted(second).unwrap();
    assert_eq!(doc.entries().len(), 2);
    assert!(doc.contains(&doc.tip(&actor(1)).unwrap().1));
    assert!(!doc.contains(&ChangeHash::from_bytes([1; 32])));
}

#[test]
fn loading_names_the_stored_change_that_does_not_hold() {
    let mut doc = MapDocument::new(DOC);
    let mut stored: Vec<_> =
        (0..4).map(|i| write(&mut doc, actor(1), &[("k", Some(Value::Int(i)))])).collect();
    stored.reverse();
    let loaded = load(&stored).unwrap();
    assert_eq!((loaded.heads(), loaded.entries()), (doc.heads(), doc.entries()));
    assert_eq!((loaded.id(), loaded.tip(&actor(1))), (DOC, doc.tip(&actor(1))));
    let reason = |stored: &[Written]| match load(stored).unwrap_err() {
        DocumentError::Stored { reason, .. } => reason.name(),
        other => panic!("{other}"),
    };
    assert_eq!(reason(&stored[..2]), "previous");
    assert_eq!(reason(&[stored[3].clone(), stored[1].clone()]), "previous");
    let mut damaged = stored.clone();
    damaged[0].2[30] ^= 1;
    assert_eq!(reason(&damaged), "checksum");
    let mut misplaced = stored.clone();
    misplaced[0].1 = 7;
    assert_eq!(reason(&misplaced), "sequence");
}

#[test]
fn stock_automerge_reads_the_same_map() {
    let mut doc = MapDocument::new(DOC);
    let mut other = MapDocument::new(DOC);
    let mut raw = vec![
        write(&mut doc, actor(1), &[("k", Some("a".into())), ("x", Some(Value::Null))]),
        write(&mut other, actor(2), &[("k", Some("b".into()))]),
    ];
    receive(&mut doc, &raw[1]).unwrap();
    raw.push(write(&mut doc, actor(1), &[("x", None), ("y", Some(Value::Uint(1)))]));
    let mut stock = Automerge::new();
    let changes =
        raw.iter().map(|(_, _, bytes)| automerge::Change::from_bytes(bytes.clone()).unwrap());
    stock.apply_changes(changes).unwrap();
    assert_eq!(sorted_heads(&stock), doc.heads());
    let keys: Vec<_> = stock.keys(ROOT).collect();
    assert_eq!(keys, doc.entries().into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    assert_eq!(stock.get(ROOT, "k").unwrap().unwrap().0.as_str(), doc.get("k").unwrap().as_text());
}

#[test]
fn stock_automerge_loads_a_page_of_two_chains() {
    let mut chunks = Vec::new();
    let mut expected = Vec::new();
    for device in 1..=2u8 {
        let mut previous = None;
        for n in 1..=200u64 {
            let (time_ms, tag) = (1_000_000 + n * 60 + u64::from(device), u32::from(device));
            let value = [vec![2, device], n.to_be_bytes().to_vec()].concat();
            let change = build(actor(device), n, previous, tag, time_ms, &value).unwrap();
            previous = Some(change.hash);
            let (fields, _) = LogFields::parse(&change.bytes).unwrap();
            expected.push((fields.key(), value));
            chunks.push(change);
        }
    }
    expected.sort();
    chunks.rotate_left(123);
    let page = LogPage::load(chunks.iter().map(|change| change.bytes.as_slice())).unwrap();
    assert_eq!(page.entries(), expected);
    assert_eq!(page.heads().len(), 2);
    let saved = page.inner.save();
    let again = Automerge::load(&saved).unwrap();
    let mut back: Vec<_> = again.get_changes(&[]).iter().map(|c| c.raw_bytes().to_vec()).collect();
    let mut original: Vec<_> = chunks.iter().map(|change| change.bytes.clone()).collect();
    back.sort();
    original.sort();
    assert_eq!(back, original);

    // A gap, and bytes that are no log change.
    let gap = chunks.iter().skip(1).map(|change| change.bytes.as_slice());
    assert_eq!(LogPage::load(gap).unwrap_err(), DocumentError::Page);
    assert!(matches!(LogPage::load([&b"x"[..]]), Err(DocumentError::StoredLog { .. })));
}

/// What a device does in one step: write some keys, or take in what another one wrote.
#[derive(Debug, Clone)]
enum Step {
    Write { device: u8, keys: Vec<u8>, value: u8 },
    Meet { from: u8, to: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (0..3u8, prop::collection::vec(0..5u8, 1..4), any::<u8>())
        .prop_map(|(device, keys, value)| Step::Write { device, keys, value });
    let meet = (0..3u8, 0..3u8).prop_map(|(from, to)| Step::Meet { from, to });
    prop::collection::vec(prop_oneof![write, meet], 1..25)
}

fn catch_up(to: &mut MapDocument, held: &mut Vec<Written>, from: &[Written]) {
    for change in from {
        if !held.contains(change) {
            receive(to, change).unwrap();
            held.push(change.clone());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every replica with the same changes shows the same, in whatever order they came.
    #[test]
    fn any_replicas_converge(steps in steps(), seed in any::<u64>()) {
        let mut docs: Vec<_> = (0..3).map(|_| MapDocument::new(DOC)).collect();
        let mut held: Vec<Vec<Written>> = vec![Vec::new(); 3];
        for step in steps {
            match step {
                Step::Write { device, keys, value } => {
                    let at = usize::from(device);
                    let keys: Vec<_> = keys.iter().map(|key| format!("k{key}")).collect();
                    let value = (value > 60).then(|| Value::Int(value.into()));
                    let edits: Vec<_> =
                        keys.iter().map(|key| (key.as_str(), value.clone())).collect();
                    let position = docs[at].next_position(actor(device + 1));
                    match docs[at].author(position, &edits) {
                        Ok(change) => {
                            held[at].push((actor(device + 1), position.n, change.bytes().to_vec()));
                            docs[at].apply_vetted(change).unwrap();
                        }
                        Err(error) => prop_assert_eq!(error, DocumentError::Nothing),
                    }
                }
                Step::Meet { from, to } => {
                    let source = held[usize::from(from)].clone();
                    let to = usize::from(to);
                    catch_up(&mut docs[to], &mut held[to], &source);
                }
            }
        }
        for (from, to) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
            let source = held[from].clone();
            catch_up(&mut docs[to], &mut held[to], &source);
        }
        let mut shuffled = held[0].clone();
        shuffled.sort_by_key(|change| blake3::hash(&[&seed.to_be_bytes()[..], &change.2].concat()).as_bytes()[..8].to_vec());
        docs.push(load(&shuffled).unwrap());
        for doc in &docs[1..] {
            prop_assert_eq!(doc.entries(), docs[0].entries());
            prop_assert_eq!(doc.heads(), docs[0].heads());
            for (key, _) in doc.entries() {
                prop_assert_eq!(doc.candidates(&key), docs[0].candidates(&key));
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let doc = MapDocument::new(DOC);
        prop_assert!(doc.gate(&bytes, doc.next_position(actor(1))).is_err());
        prop_assert!(LogPage::load([bytes.as_slice()]).is_err());
        let chunk = crate::change::raw::chunk(1, &bytes);
        prop_assert!(doc.gate(&chunk, doc.next_position(actor(1))).is_err());
    }

    #[test]
    fn flipped_bits_are_refused(bit in 0usize..8 * 130) {
        let doc = MapDocument::new(DOC);
        let position = doc.next_position(actor(1));
        let change = doc.author(position, &[("k", Some("value".into()))]).unwrap();
        let mut bytes = change.bytes().to_vec();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(doc.gate(&bytes, position).is_err());
    }
}

#[test]
fn a_run_takes_what_is_taken_one_by_one_whatever_others_wrote_meanwhile() {
    let (mut laptop, mut phone) = (MapDocument::new(DOC), MapDocument::new(DOC));
    let mut stored = Vec::new();
    for n in 0..40u64 {
        let key = format!("k{}", n % 5);
        let value = (n % 7 != 3).then_some(Value::Uint(n));
        let (doc, who) = if n % 10 == 9 { (&mut phone, actor(2)) } else { (&mut laptop, actor(1)) };
        if value.is_none() && doc.get(&key).is_none() {
            continue;
        }
        let change = write(doc, who, &[(&key, value), ("last", Some(Value::Uint(n)))]);
        if n % 20 == 19 {
            receive(&mut laptop, &change).unwrap();
        } else if n % 10 == 9 {
            let held: Vec<_> = stored.iter().chain([&change]).cloned().collect();
            laptop = load(&held).unwrap();
            phone = load(&held).unwrap();
        }
        stored.push(change);
    }
    let of = |who: Actor, from: u64| {
        let own = stored.iter().filter(move |change| change.0 == who && change.1 >= from);
        own.map(|change| change.2.as_slice())
    };
    let mut run = MapDocument::new(DOC);
    while run.tip(&actor(1)).map(|tip| tip.0) != laptop.tip(&actor(1)).map(|tip| tip.0) {
        let before = run.heads();
        for who in [actor(1), actor(2)] {
            let next = run.next_position(who).n;
            run.extend(who, of(who, next));
        }
        assert_ne!(run.heads(), before);
    }
    assert_eq!((run.heads(), run.entries()), (laptop.heads(), laptop.entries()));
    assert_eq!(load(&stored).unwrap().entries(), laptop.entries());
    // Nothing after the first that is not right, and that is left as it is.
    let mut short = MapDocument::new(DOC);
    let mut chunks: Vec<_> = of(actor(1), 1).collect();
    chunks.remove(3);
    assert_eq!(short.extend(actor(1), chunks).len(), 3);
}
