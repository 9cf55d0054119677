//! Texts that two devices write, and posts whose text is a document.

use mosaic_engine::document::Splice;
use mosaic_engine::hash::DocumentId;
use mosaic_engine::limits::{LONG_TEXT_BYTES_MAX, TEXT_CHANGES_MAX};
use mosaic_engine::replica::{EngineError, History, TextEdit};

use super::*;

fn replace(replica: &Replica, doc: &DocumentId, text: &str, now: u64) {
    replica.edit_text(doc, &TextEdit::Replace(text.into()), now).unwrap();
}

fn read(replica: &Replica, doc: &DocumentId) -> String {
    replica.read_text(doc).unwrap().text
}

/// A laptop and a phone of one person, a hub that keeps everything.
fn three() -> (Replica, Replica, Replica, AccountId) {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    give(&laptop, &phone);
    (laptop, phone, hub, ada)
}

#[test]
fn two_devices_write_one_text_and_read_the_same() {
    let (laptop, phone, hub, _) = three();
    let doc = laptop.create_text("one two three", NOW).unwrap();
    give(&laptop, &phone);
    replace(&laptop, &doc, "one TWO three", NOW + 1);
    let splice = Splice { at: 13, deleted: 0, inserted: " four".into() };
    phone.edit_text(&doc, &TextEdit::Splices(vec![splice]), NOW + 2).unwrap();
    give(&phone, &hub);
    give(&laptop, &hub);
    give(&hub, &phone);
    give(&hub, &laptop);
    for replica in [&laptop, &phone, &hub] {
        assert_eq!(read(replica, &doc), "one TWO three four");
        sound(replica);
    }
    agree(&laptop, &hub);
    agree(&phone, &hub);
    let edited = laptop.edit_text(&doc, &TextEdit::Replace("one".into()), NOW + 3).unwrap();
    assert_eq!((edited.counts.inserted, edited.counts.deleted), (0, 15));
    assert_eq!(laptop.text_version(&doc, &edited.change).unwrap(), "one");
    let changes = laptop.changes(&doc).unwrap();
    let first = changes.iter().min_by_key(|change| change.time_ms).unwrap();
    assert_eq!(laptop.text_version(&doc, &first.id).unwrap(), "one two three");
    assert_eq!((first.time_ms, first.actions()), (NOW, vec![("type", Some("+13 -0".into()))]));
    let nothing = laptop.edit_text(&doc, &TextEdit::Replace("one".into()), NOW + 4);
    assert!(matches!(nothing, Err(EngineError::Invalid(_))), "{nothing:?}");
    let theirs = hub.edit_text(&doc, &TextEdit::Replace("x".into()), NOW + 4);
    assert!(matches!(theirs, Err(EngineError::Denied(_))), "{theirs:?}");
}

#[test]
fn devices_that_wrote_in_turn_are_caught_up_with_in_one_go() {
    let (laptop, phone, hub, _) = three();
    let doc = laptop.create_text("0", NOW).unwrap();
    for n in 1..=20u64 {
        let (writer, other) = if n % 2 == 0 { (&laptop, &phone) } else { (&phone, &laptop) };
        give_changes(other, writer);
        let text = read(writer, &doc) + &n.to_string();
        replace(writer, &doc, &text, NOW + n);
    }
    give(&phone, &laptop);
    let receipt = give_changes(&laptop, &hub);
    assert!(receipt.chains.iter().all(|c| matches!(c.verdict, Verdict::Accepted { .. })));
    assert_eq!(read(&hub, &doc), read(&laptop, &doc));
    agree(&laptop, &hub);
}

#[test]
fn what_a_text_has_no_room_for_begins_a_new_life() {
    let (laptop, phone, ..) = three();
    let doc = laptop.create_text("", NOW).unwrap();
    for n in 1..TEXT_CHANGES_MAX {
        let splice = Splice { at: 0, deleted: 0, inserted: "x".into() };
        laptop.edit_text(&doc, &TextEdit::Splices(vec![splice]), NOW + n).unwrap();
    }
    let chains = laptop.heads(&doc).unwrap();
    assert_eq!((chains.len(), chains[0].n), (1, TEXT_CHANGES_MAX));
    replace(&laptop, &doc, "short", NOW + 5000);
    assert_eq!(laptop.heads(&doc).unwrap().len(), 2);
    give(&laptop, &phone);
    assert_eq!(read(&phone, &doc), "short");
    sound(&phone);
}

#[test]
fn a_text_may_be_so_long_and_no_longer() {
    let (laptop, ..) = three();
    let whale = "\u{1f40b}";
    let longest = whale.repeat(LONG_TEXT_BYTES_MAX / whale.len());
    let over = laptop.create_text(&(longest.clone() + "x"), NOW).unwrap_err();
    assert!(over.to_string().contains("limit 524288"), "{over}");
    let doc = laptop.create_text(&longest, NOW).unwrap();
    assert_eq!(read(&laptop, &doc), longest);
}

#[test]
fn a_long_post_is_shown_edited_found_and_merged() {
    let (laptop, phone, hub, ada) = three();
    let long = "a line about whales\n".repeat(3000);
    let post = laptop.post_long(None, draft(&long), None, NOW).unwrap();
    give(&laptop, &phone);
    give(&laptop, &hub);
    assert_eq!(texts(&hub, &ada), std::slice::from_ref(&long));
    let doc = hub.show(&post).unwrap().text_document.unwrap();
    assert_eq!(hub.document_of_post(&post).unwrap(), Some(doc));
    assert_eq!(hub.show(&post).unwrap().edited_ms, None);
    laptop.edit(post, &("About the sea\n".to_owned() + &long), NOW + 10).unwrap();
    phone.edit(post, &(long.clone() + "The end.\n"), NOW + 20).unwrap();
    give(&laptop, &hub);
    give(&phone, &hub);
    give(&hub, &laptop);
    let both = format!("About the sea\n{long}The end.\n");
    for replica in [&laptop, &hub] {
        let shown = replica.show(&post).unwrap();
        assert_eq!((shown.text, shown.edited_ms), (Text::Here(both.clone()), Some(NOW + 20)));
        assert!(shown.conflicts.is_empty());
        sound(replica);
    }
    assert_eq!(laptop.history(&post).unwrap().len(), 3);
    hub.settle_index().unwrap();
    for (words, found) in [("whales end", 1), ("about sea", 1), ("secret", 0)] {
        let filter = search::filter(words, &[]);
        assert_eq!(hub.search(&filter, None, 10).unwrap().hits.len(), found, "{words}");
    }
    let stranger = hub.edit(post, "mine", NOW + 30);
    assert!(matches!(stranger, Err(EngineError::Denied(_))), "{stranger:?}");
}

#[test]
fn a_deleted_post_takes_its_text_along() {
    let (laptop, phone, hub, ada) = three();
    let post = laptop.post_long(None, draft("secret words"), None, NOW).unwrap();
    let doc = laptop.document_of_post(&post).unwrap().unwrap();
    give(&laptop, &phone);
    give(&laptop, &hub);
    let bytes: Vec<_> = hub.changes(&doc).unwrap().iter().map(|change| change.id).collect();
    laptop.delete(post, NOW + 1).unwrap();
    // The phone goes on writing, as it has not heard of it.
    replace(&phone, &doc, "secret words, and more", NOW + 2);
    give(&laptop, &hub);
    let receipt = give_changes(&phone, &hub);
    let verdicts: Vec<_> = receipt.chains.iter().map(|chain| chain.verdict).collect();
    let deleted = Verdict::Refused(mosaic_engine::wire::Reason::Deleted);
    assert!(verdicts.contains(&deleted), "{verdicts:?}");
    give(&hub, &phone);
    give(&phone, &laptop);
    for replica in [&laptop, &phone, &hub] {
        let shown = replica.show(&post).unwrap();
        assert_eq!((shown.text, shown.deleted), (Text::Deleted, true));
        assert!(replica.read_text(&doc).is_err());
        let edited = replica.edit_text(&doc, &TextEdit::Replace("again".into()), NOW + 3);
        assert!(edited.is_err(), "{edited:?}");
        let heads = replica.heads(&doc).unwrap();
        assert!(heads.iter().all(|chain| chain.held == 0 && chain.n > 0), "{heads:?}");
        for id in &bytes {
            assert!(replica.blob_for(&hub.own_device(), &id.blob()).unwrap().is_none());
        }
        sound(replica);
    }
    // Whoever comes later gets ids in the place of the text, and misses nothing.
    let (friend, _) = person(4, "friend");
    friend.subscribe(Subscription::whole(ada)).unwrap();
    give(&hub, &friend);
    assert_eq!(friend.show(&post).unwrap().text, Text::Deleted);
    agree(&hub, &friend);
    for section in friend.kept_sections().unwrap() {
        assert_eq!(friend.missing_count(&section).unwrap(), 0, "{section:?}");
    }
    sound(&friend);
}

#[test]
fn a_text_and_the_word_that_deletes_it_may_come_in_any_order() {
    for text_first in [true, false] {
        let (laptop, _, hub, ada) = three();
        let post = laptop.post_long(None, draft("secret words"), None, NOW).unwrap();
        let kept = laptop.post_long(None, draft("kept words"), None, NOW + 1).unwrap();
        give(&laptop, &hub);
        let doc = laptop.document_of_post(&post).unwrap().unwrap();
        laptop.delete(post, NOW + 2).unwrap();
        let (late, _) = person(5, "late");
        late.subscribe(Subscription::whole(ada)).unwrap();
        // The hub has not heard of it, the laptop has no text any more.
        let (first, second) = if text_first { (&hub, &laptop) } else { (&laptop, &hub) };
        give(first, &late);
        give(second, &late);
        assert_eq!(late.show(&post).unwrap().text, Text::Deleted);
        assert_eq!(late.show(&kept).unwrap().text, Text::Here("kept words".into()));
        assert!(late.heads(&doc).unwrap().iter().all(|chain| chain.held == 0));
        sound(&late);
    }
}

#[test]
fn a_void_tombstone_gives_the_text_back() {
    let (laptop, phone, hub, _) = three();
    let post = laptop.post_long(None, draft("words"), None, NOW).unwrap();
    give(&laptop, &phone);
    give(&laptop, &hub);
    let (copy, _) = person(6, "copy");
    copy.subscribe(Subscription::whole(laptop.account().unwrap())).unwrap();
    give(&laptop, &copy);
    laptop.revoke_device(phone.own_device(), "stolen", NOW + 5).unwrap();
    phone.delete(post, NOW + 1).unwrap();
    give(&phone, &hub);
    assert_eq!(hub.show(&post).unwrap().text, Text::Deleted);
    give(&laptop, &hub);
    assert_ne!(hub.show(&post).unwrap().text, Text::Deleted);
    give(&copy, &hub);
    assert_eq!(hub.show(&post).unwrap().text, Text::Here("words".into()));
    sound(&hub);
}

#[test]
fn whoever_keeps_a_part_of_a_wall_takes_the_texts_of_posts_that_are_here() {
    let (laptop, _, _, ada) = three();
    let loose = laptop.create_text("no post names it", NOW).unwrap();
    let post = laptop.post_long(None, draft("words"), None, NOW + 1).unwrap();
    let (reader, _) = person(7, "reader");
    let part = Subscription { history: History::Recent(1), ..Subscription::whole(ada) };
    reader.subscribe(part).unwrap();
    give(&laptop, &reader);
    assert_eq!(reader.show(&post).unwrap().text, Text::Here("words".into()));
    assert!(reader.heads(&loose).unwrap().iter().all(|chain| chain.held == 0));
    for section in reader.kept_sections().unwrap() {
        assert_eq!(reader.missing_count(&section).unwrap(), 0, "{section:?}");
    }
    sound(&reader);
}

#[test]
fn what_a_revoked_device_typed_after_its_cut_is_not_shown() {
    let (laptop, phone, hub, _) = three();
    let doc = laptop.create_text("shared", NOW).unwrap();
    give(&laptop, &phone);
    replace(&phone, &doc, "shared, and more", NOW + 1);
    give(&phone, &laptop);
    give(&laptop, &hub);
    laptop.revoke_device(phone.own_device(), "stolen", NOW + 2).unwrap();
    replace(&phone, &doc, "graffiti", NOW + 3);
    give(&phone, &hub);
    give(&laptop, &hub);
    for replica in [&laptop, &hub] {
        assert_eq!(read(replica, &doc), "shared, and more");
        sound(replica);
    }
    replace(&laptop, &doc, "shared, and mine", NOW + 4);
    give(&laptop, &hub);
    assert_eq!(read(&hub, &doc), "shared, and mine");
}
