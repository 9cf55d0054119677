use automerge::transaction::Transactable;
use automerge::{ActorId, ObjType};
use proptest::prelude::*;

use super::*;
use crate::limits::TEXT_OPERATIONS_MAX;

const DOC: DocumentId = DocumentId::from_bytes([3; 32]);
const NOW: u64 = 1_700_000_000_000;

fn actor(byte: u8) -> Actor {
    Actor::from_bytes([byte; 16])
}

type Written = (Actor, u64, Vec<u8>);

fn take(doc: &mut TextDocument, who: Actor, chunks: &[Vec<u8>]) -> Vec<Written> {
    let first = doc.next_position(who).n;
    let extended = doc.extend(who, chunks.iter().map(Vec::as_slice));
    assert_eq!((extended.stop, extended.hashes.len()), (None, chunks.len()));
    (first..).zip(chunks).map(|(n, bytes)| (who, n, bytes.clone())).collect()
}

/// Makes the text another one, and returns the changes as they are stored.
fn write(doc: &mut TextDocument, who: u8, text: &str) -> Vec<Written> {
    let drafts = doc.replace(doc.next_position(actor(who)), text, NOW).unwrap();
    take(doc, actor(who), &drafts.chunks)
}

fn receive(doc: &mut TextDocument, changes: &[Written]) {
    for (who, n, bytes) in changes {
        assert_eq!(doc.next_position(*who).n, *n);
        take(doc, *who, std::slice::from_ref(bytes));
    }
}

fn load(stored: &[Written]) -> Result<TextDocument, DocumentError> {
    TextDocument::load(
        DOC,
        stored.iter().map(|(actor, n, bytes)| StoredChange { actor: *actor, n: *n, bytes }),
    )
}

#[test]
fn a_text_is_written_changed_and_read_as_it_was() {
    let mut doc = TextDocument::new(DOC);
    let mut stored = write(&mut doc, 1, "The rain in Spain");
    let before = doc.heads();
    stored.extend(write(&mut doc, 1, "The sun in Spain ☀"));
    assert_eq!(doc.text(), "The sun in Spain ☀");
    assert_eq!(doc.text_at(&before).as_deref(), Some("The rain in Spain"));
    assert_eq!(doc.text_at(&[]).as_deref(), Some(""));
    assert_eq!(doc.text_at(&[ChangeHash::from_bytes([9; 32])]), None);
    let scan = prescan_text(&stored[1].2).unwrap();
    assert_eq!((scan.counts(), scan.time_ms), ((4, 3), NOW));
    let error = doc.replace(doc.next_position(actor(1)), &doc.text(), NOW).unwrap_err();
    assert_eq!(error, DocumentError::Nothing);
    stored.reverse();
    let again = load(&stored).unwrap();
    assert_eq!((again.text(), again.heads()), (doc.text(), doc.heads()));
    // An empty text is one, too.
    let mut empty = TextDocument::new(DOC);
    write(&mut empty, 1, "");
    assert_eq!(empty.text(), "");
    assert_eq!(empty.heads().len(), 1);
}

#[test]
fn long_texts_are_several_changes() {
    let mut doc = TextDocument::new(DOC);
    let long: String = (0..OPERATIONS_WISHED * 3)
        .map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap()))
        .collect();
    let stored = write(&mut doc, 1, &long);
    assert_eq!((stored.len(), doc.text()), (4, long.clone()));
    let odd: String =
        long.chars().enumerate().map(|(n, c)| if n % 2 == 0 { 'é' } else { c }).collect();
    let stored = [stored, write(&mut doc, 1, &odd)].concat();
    assert_eq!(doc.text(), odd);
    assert!(stored.iter().all(|(_, _, bytes)| bytes.len() <= crate::limits::CHANGE_BYTES_MAX));
    assert_eq!(load(&stored).unwrap().text(), odd);
    let gone = write(&mut doc, 1, "");
    assert_eq!((gone.len(), doc.text().as_str()), (3, ""));
}

#[test]
fn splices_say_where_and_what() {
    let mut doc = TextDocument::new(DOC);
    write(&mut doc, 1, "hello world");
    let splice = |at, deleted, inserted: &str| Splice { at, deleted, inserted: inserted.into() };
    let splices = [splice(0, 5, "HELLO"), splice(5, 0, ","), splice(7, 5, "")];
    let drafts = doc.splice(doc.next_position(actor(1)), &splices, NOW).unwrap();
    assert_eq!(drafts.counts, TextCounts { inserted: 6, deleted: 10 });
    take(&mut doc, actor(1), &drafts.chunks);
    assert_eq!(doc.text(), "HELLO, ");
    let beyond = doc.splice(doc.next_position(actor(1)), &[splice(8, 0, "x")], NOW);
    assert_eq!(beyond.unwrap_err(), DocumentError::Range);
}

#[test]
fn what_was_written_since_the_text_was_read_stays() {
    let mut doc = TextDocument::new(DOC);
    write(&mut doc, 1, "alpha beta gamma delta");
    let read = doc.heads();
    let splice = |at, deleted, inserted: &str| Splice { at, deleted, inserted: inserted.into() };
    let splices = [splice(6, 5, ""), splice(0, 0, "<")];
    let drafts = doc.splice(doc.next_position(actor(2)), &splices, NOW).unwrap();
    take(&mut doc, actor(2), &drafts.chunks);
    let at = doc.next_position(actor(1));
    let drafts = doc.replace_since(at, &read, "alpha be2ta gamma delta!", NOW).unwrap();
    assert_eq!(drafts.counts, TextCounts { inserted: 2, deleted: 0 });
    take(&mut doc, actor(1), &drafts.chunks);
    // What "2" was written into is gone; it stands where that was.
    assert_eq!(doc.text(), "<alpha 2gamma delta!");
    let at = doc.next_position(actor(1));
    let gone = doc.replace_since(at, &read, "alpha gamma delta", NOW);
    assert_eq!(gone, Err(DocumentError::Nothing));
    let nowhere = [ChangeHash::from_bytes([9; 32])];
    assert_eq!(doc.replace_since(at, &nowhere, "x", NOW), Err(DocumentError::Base));
}

#[test]
fn what_automerge_types_is_what_we_build() {
    let mut doc = TextDocument::new(DOC);
    let mut theirs = Automerge::new().with_actor(ActorId::from(actor(1).as_bytes()));
    let mut transaction = theirs.transaction();
    let text = transaction.put_object(ROOT, TEXT_KEY, ObjType::Text).unwrap();
    transaction.splice_text(&text, 0, 0, "abc é").unwrap();
    transaction.commit();
    let mut check = |theirs: &Automerge, wanted: &str| {
        let drafts = doc.replace(doc.next_position(actor(1)), wanted, 0).unwrap();
        assert_eq!(drafts.chunks.len(), 1);
        let expected = theirs.get_last_local_change().unwrap();
        assert_eq!(drafts.chunks[0], expected.raw_bytes());
        take(&mut doc, actor(1), &drafts.chunks);
    };
    check(&theirs, "abc é");
    for (at, deleted, inserted) in [(5, 0, "xyz"), (1, 2, ""), (0, 0, "☀"), (3, 3, "")] {
        let mut transaction = theirs.transaction();
        transaction.splice_text(&text, at, deleted, inserted).unwrap();
        transaction.commit();
        let wanted = theirs.text(&text).unwrap();
        check(&theirs, &wanted);
    }
}

#[test]
fn concurrent_edits_are_both_in_the_text() {
    let mut laptop = TextDocument::new(DOC);
    let mut phone = TextDocument::new(DOC);
    receive(&mut phone, &write(&mut laptop, 1, "one two three"));
    let a = write(&mut laptop, 1, "one TWO three");
    let b = write(&mut phone, 2, "one two three four");
    receive(&mut laptop, &b);
    receive(&mut phone, &a);
    assert_eq!(laptop.text(), "one TWO three four");
    assert_eq!((phone.text(), phone.heads()), (laptop.text(), laptop.heads()));
    // What both delete is deleted once, and what follows builds on both.
    let a = write(&mut laptop, 1, "TWO three four");
    let b = write(&mut phone, 2, "TWO three 4");
    receive(&mut laptop, &b);
    receive(&mut phone, &a);
    assert_eq!((laptop.text(), phone.text()), ("TWO three 4".into(), "TWO three 4".into()));
    let c = write(&mut phone, 2, "!");
    receive(&mut laptop, &c);
    assert_eq!((laptop.heads().len(), laptop.text().as_str()), (1, "!"));
}

#[test]
fn two_texts_made_at_once_both_stay() {
    let mut laptop = TextDocument::new(DOC);
    let mut phone = TextDocument::new(DOC);
    let a = write(&mut laptop, 1, "from the laptop. ");
    let b = write(&mut phone, 2, "from the phone.");
    receive(&mut laptop, &b);
    receive(&mut phone, &a);
    assert_eq!(laptop.text(), "from the laptop. from the phone.");
    assert_eq!((phone.text(), phone.heads()), (laptop.text(), laptop.heads()));
    // Both are edited as one text, across where they meet.
    let c = write(&mut phone, 2, "From the laptop, and from the phone!");
    receive(&mut laptop, &c);
    assert_eq!(laptop.text(), "From the laptop, and from the phone!");
    let d = write(&mut laptop, 1, "");
    receive(&mut phone, &d);
    let e = write(&mut phone, 3, "new");
    receive(&mut laptop, &e);
    assert_eq!((laptop.text().as_str(), phone.text().as_str()), ("new", "new"));
    assert_eq!(load(&[a, b, c, d, e].concat()).unwrap().text(), "new");
}

#[test]
fn more_heads_than_dependencies_are_joined_step_by_step() {
    let mut doc = TextDocument::new(DOC);
    let first = write(&mut doc, 1, "x");
    for device in 2..=100 {
        let mut alone = TextDocument::new(DOC);
        receive(&mut alone, &first);
        let typed = write(&mut alone, device, "xy");
        receive(&mut doc, &typed);
    }
    assert_eq!((doc.heads().len(), doc.text().len()), (99, 100));
    write(&mut doc, 1, "");
    assert!(doc.text().len() < 100 && doc.heads().len() < 99);
    for _ in 0..3 {
        if !doc.text().is_empty() {
            write(&mut doc, 1, "");
        }
    }
    assert_eq!((doc.heads().len(), doc.text().as_str()), (1, ""));
}

#[test]
fn what_is_not_ready_waits_and_what_stops_leaves_what_was_before() {
    let mut source = TextDocument::new(DOC);
    let a = write(&mut source, 1, "a");
    let b = write(&mut source, 2, "ab");
    let c = write(&mut source, 1, "abc");
    let mut doc = TextDocument::new(DOC);
    let both = [a[0].2.as_slice(), c[0].2.as_slice()];
    let extended = doc.extend(actor(1), both);
    let missing = vec![source.tip(&actor(2)).unwrap().1];
    assert_eq!(extended.stop, Some(GateError::Deferred { missing }));
    assert_eq!((extended.hashes.len(), doc.text().as_str()), (1, "a"));
    receive(&mut doc, &b);
    receive(&mut doc, &c);
    assert_eq!((doc.text(), doc.heads()), (source.text(), source.heads()));
}

#[test]
fn of_two_changes_with_one_number_the_second_is_a_fork() {
    let mut doc = TextDocument::new(DOC);
    let twin = |text: &str| {
        TextDocument::new(DOC)
            .replace(ChainPosition { actor: actor(1), n: 1, previous: None }, text, NOW)
            .unwrap()
            .chunks
    };
    take(&mut doc, actor(1), &twin("a"));
    let past = doc.past.clone();
    let at = ChainPosition { actor: actor(1), n: 1, previous: None };
    let error = examine(&past, &twin("b")[0], &at).unwrap_err();
    assert_eq!(error, GateError::Forked { n: 1 });
}

#[test]
fn a_failed_trial_leaves_the_document_as_it_was() {
    let mut source = TextDocument::new(DOC);
    let stored =
        [write(&mut source, 1, "abc"), write(&mut source, 1, "abd"), write(&mut source, 1, "a")]
            .concat();
    let mut doc = TextDocument::new(DOC);
    receive(&mut doc, &stored[..1]);
    // Automerge holds another change of this number than the rules know of.
    let mut other = TextDocument::new(DOC);
    receive(&mut other, &stored[..1]);
    let twin = write(&mut other, 1, "abx");
    doc.inner = other.inner.clone();
    let extended = doc.extend(actor(1), stored[1..].iter().map(|(_, _, bytes)| bytes.as_slice()));
    assert_eq!((extended.stop, extended.hashes.len()), (Some(GateError::Forked { n: 2 }), 0));
    assert_eq!(doc.tip(&actor(1)).unwrap().0, 1);
    let twin: Vec<&[u8]> = twin.iter().map(|(_, _, bytes)| bytes.as_slice()).collect();
    let extended = doc.extend(actor(1), twin);
    assert_eq!((extended.stop, extended.hashes.len(), doc.text().as_str()), (None, 1, "abx"));
}

#[test]
fn loading_names_the_stored_change_that_does_not_hold() {
    let mut doc = TextDocument::new(DOC);
    let stored =
        [write(&mut doc, 1, "a"), write(&mut doc, 1, "ab"), write(&mut doc, 1, "abc")].concat();
    let reason = |stored: &[Written]| match load(stored).unwrap_err() {
        DocumentError::Stored { reason, .. } => reason.name(),
        other => panic!("{other}"),
    };
    assert_eq!(reason(&stored[1..]), "previous");
    let mut damaged = stored.clone();
    damaged[0].2[30] ^= 1;
    assert_eq!(reason(&damaged), "checksum");
    let mut misplaced = stored;
    misplaced[0].1 = 7;
    assert_eq!(reason(&misplaced), "sequence");
}

#[test]
fn the_text_ends_at_its_limit_of_operations() {
    let doc = TextDocument::new(DOC);
    let at = doc.next_position(actor(1));
    let full = usize::try_from(TEXT_COUNTER_MAX).unwrap();
    let text = "a".repeat(full - 1);
    assert_eq!(doc.replace(at, &text, NOW).unwrap().chunks.len(), full / OPERATIONS_WISHED);
    assert_eq!(doc.replace(at, &(text + "a"), NOW).unwrap_err(), DocumentError::TextLength);
    const { assert!(OPERATIONS_WISHED <= TEXT_OPERATIONS_MAX) };
}

/// What a device does in one step: change the text, or take in what another one wrote.
#[derive(Debug, Clone)]
enum Step {
    Write { device: u8, at: usize, deleted: usize, inserted: String },
    Meet { from: u8, to: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (0..3u8, 0..30usize, 0..5usize, "[a-cé☀]{0,6}")
        .prop_map(|(device, at, deleted, inserted)| Step::Write { device, at, deleted, inserted });
    let meet = (0..3u8, 0..3u8).prop_map(|(from, to)| Step::Meet { from, to });
    prop::collection::vec(prop_oneof![write, meet], 1..30)
}

fn catch_up(to: &mut TextDocument, held: &mut Vec<Written>, from: &[Written]) {
    for change in from {
        if !held.contains(change) {
            receive(to, std::slice::from_ref(change));
            held.push(change.clone());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every replica with the same changes shows the same text, in whatever order they came.
    #[test]
    fn any_replicas_converge(steps in steps(), seed in any::<u64>()) {
        let mut docs: Vec<_> = (0..3).map(|_| TextDocument::new(DOC)).collect();
        let mut held: Vec<Vec<Written>> = vec![Vec::new(); 3];
        for step in steps {
            match step {
                Step::Write { device, at, deleted, inserted } => {
                    let place = usize::from(device);
                    let doc = &mut docs[place];
                    let length = doc.text().chars().count();
                    let at = at.min(length);
                    let splice = Splice { at, deleted: deleted.min(length - at), inserted };
                    let who = actor(device + 1);
                    match doc.splice(doc.next_position(who), &[splice], NOW) {
                        Ok(drafts) => held[place].extend(take(doc, who, &drafts.chunks)),
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
        let mut stock = Automerge::new();
        stock.apply_changes(shuffled.iter().map(|(_, _, bytes)| automerge::Change::from_bytes(bytes.clone()).unwrap()).collect::<Vec<_>>()).unwrap();
        for doc in &docs[1..] {
            prop_assert_eq!(doc.text(), docs[0].text());
            prop_assert_eq!(doc.heads(), docs[0].heads());
        }
        prop_assert_eq!(sorted_heads(&stock), docs[0].heads());
        if let Some((_, id)) = stock.get(ROOT, TEXT_KEY).unwrap() {
            prop_assert!(docs[0].text().contains(&stock.text(&id).unwrap()));
        }
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut doc = TextDocument::new(DOC);
        prop_assert!(doc.extend(actor(1), [bytes.as_slice()]).stop.is_some());
        let chunk = crate::change::raw::chunk(1, &bytes);
        prop_assert!(doc.extend(actor(1), [chunk.as_slice()]).stop.is_some());
    }

    #[test]
    fn flipped_bits_are_refused(bit in 0usize..8 * 130) {
        let mut doc = TextDocument::new(DOC);
        let mut bytes = doc.replace(doc.next_position(actor(1)), "value", NOW).unwrap().chunks.remove(0);
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(doc.extend(actor(1), [bytes.as_slice()]).stop.is_some());
    }
}
