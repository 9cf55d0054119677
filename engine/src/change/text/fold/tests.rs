use proptest::prelude::*;

use super::*;
use crate::document::{Splice, TextDocument};
use crate::hash::DocumentId;

const DOC: DocumentId = DocumentId::from_bytes([3; 32]);

fn actor(byte: u8) -> Actor {
    Actor::from_bytes([byte; 16])
}

/// Writes a splice on a device of its own, if that changes anything.
fn write(
    doc: &mut TextDocument,
    who: u8,
    at: usize,
    deleted: usize,
    text: &str,
    now: u64,
) -> Vec<Vec<u8>> {
    let length = doc.text().chars().count();
    let at = at.min(length);
    let splice = Splice { at, deleted: deleted.min(length - at), inserted: text.into() };
    let Ok(drafts) = doc.splice(doc.next_position(actor(who)), &[splice], now) else {
        return vec![];
    };
    let extended = doc.extend(actor(who), drafts.chunks.iter().map(Vec::as_slice));
    assert_eq!(extended.stop, None);
    drafts.chunks
}

fn unfold_all(
    first_n: u64,
    chunks: &[Vec<u8>],
    folded: &[u8],
) -> Result<Vec<Vec<u8>>, DecodeError> {
    unfold(&actor(1), first_n, chunks.len(), folded, &mut 100_000_000)
}

#[test]
fn typing_costs_little_and_comes_back_whole() {
    let mut doc = TextDocument::new(DOC);
    let mut chunks = Vec::new();
    let text = "It was a dark and stormy night; the rain fell in torrents. ".repeat(5);
    for (at, character) in text.chars().enumerate() {
        chunks.extend(write(&mut doc, 1, at, 0, &character.to_string(), 1_000 + 70 * at as u64));
    }
    for at in (200..220).rev() {
        chunks.extend(write(&mut doc, 1, at, 1, "", 50_000));
    }
    let raw: usize = chunks.iter().map(Vec::len).sum();
    let folded = fold(&actor(1), 1, &chunks).unwrap();
    assert!(folded.len() < 250 && raw > 30_000, "{} of {raw}", folded.len());
    assert_eq!(unfold_all(1, &chunks, &folded).unwrap(), chunks);
    // A piece that begins later names the change before.
    let folded = fold(&actor(1), 101, &chunks[100..]).unwrap();
    assert_eq!(unfold_all(101, &chunks[100..], &folded).unwrap(), chunks[100..]);
}

#[test]
fn what_is_no_text_change_in_its_place_is_not_folded() {
    let mut doc = TextDocument::new(DOC);
    let chunks = write(&mut doc, 1, 0, 0, "abc", 1);
    assert!(fold(&actor(1), 1, &chunks).is_some());
    assert!(fold(&actor(2), 1, &chunks).is_none());
    assert!(fold(&actor(1), 2, &chunks).is_none());
    assert!(fold(&actor(1), 1, &[chunks[0].clone(), chunks[0].clone()]).is_none());
    assert!(fold(&actor(1), 1, &[b"no change".to_vec()]).is_none());
    for lie in crate::change::lies::first_text_lies(actor(1)) {
        // What could be built is given as it is where it would not come out the same.
        if let Some(folded) = fold(&actor(1), 1, std::slice::from_ref(&lie.bytes)) {
            let back = unfold(&actor(1), 1, 1, &folded, &mut 1_000_000).unwrap();
            assert_eq!(back, [lie.bytes], "{}", lie.what);
        }
    }
}

#[test]
fn nothing_unfolds_beyond_its_room() {
    let mut doc = TextDocument::new(DOC);
    let chunks = write(&mut doc, 1, 0, 0, &"x".repeat(2000), 1);
    let folded = fold(&actor(1), 1, &chunks).unwrap();
    let weight = weight(&chunks);
    assert!(folded.len() < 100 && weight > 15_000);
    let with = |mut room: usize| unfold(&actor(1), 1, 1, &folded, &mut room).map(|_| room);
    assert_eq!(with(weight), Ok(0));
    assert!(with(weight - 1).is_err());
    // More changes than there are, and fewer.
    assert!(unfold(&actor(1), 1, 2, &folded, &mut 100_000).is_err());
    assert!(unfold(&actor(1), 1, 0, &folded, &mut 100_000).is_err());
    // Columns that say they are endless.
    let deflate = |columns: &[u8]| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(columns).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = deflate(&vec![0; COLUMNS_BYTES_MAX + 1]);
    assert!(bomb.len() < 10_000);
    let large = unfold(&actor(1), 1, 1, &bomb, &mut 100_000).unwrap_err();
    assert!(matches!(large, DecodeError::TooLarge { .. }), "{large}");
    let mut endless = Writer::new();
    endless.bytes(&[]);
    for _ in 0..8 {
        let mut run = Writer::new();
        run.varint(u64::MAX).varint(4000);
        endless.bytes(&run.finish());
    }
    endless.bytes(&[]).bytes(&[]);
    assert!(unfold(&actor(1), 1, 2048, &deflate(&endless.finish()), &mut 100_000_000).is_err());
    let trailing = [folded.clone(), vec![0]].concat();
    assert!(unfold(&actor(1), 1, 1, &trailing, &mut 100_000).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_several_devices_write_comes_back(
        steps in prop::collection::vec((1..4u8, 0..40usize, 0..6usize, "[a-zé☀]{0,8}", 0..9u64), 1..40),
        cut in 0..10usize,
    ) {
        let mut doc = TextDocument::new(DOC);
        let mut behind = TextDocument::new(DOC);
        let mut own = Vec::new();
        for (who, at, deleted, text, now) in steps {
            // The third does not see the others, and makes a text of its own.
            let chunks = match who {
                3 => write(&mut behind, 3, at, deleted, &text, now),
                _ => write(&mut doc, who, at, deleted, &text, now),
            };
            match who {
                1 => own.extend(chunks),
                3 => drop(doc.extend(actor(3), chunks.iter().map(Vec::as_slice))),
                _ => {}
            }
        }
        let cut = cut.min(own.len());
        for (first_n, chunks) in [(1, &own[..cut]), (1 + cut as u64, &own[cut..])] {
            let folded = fold(&actor(1), first_n, chunks).unwrap();
            prop_assert_eq!(unfold_all(first_n, chunks, &folded).unwrap(), chunks);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_bounded(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        columns in prop::collection::vec(prop::collection::vec(0..6u8, 0..12), 11),
        count in 0..50usize,
    ) {
        let _ = unfold(&actor(1), 1, count, &bytes, &mut 100_000);
        let mut all = Writer::new();
        for column in &columns {
            all.bytes(column);
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&all.finish()).unwrap();
        let mut room = 100_000;
        if let Ok(chunks) = unfold(&actor(1), 1, count, &encoder.finish().unwrap(), &mut room) {
            let bytes: usize = chunks.iter().map(Vec::len).sum();
            prop_assert!(bytes + room <= 100_000);
        }
    }
}
