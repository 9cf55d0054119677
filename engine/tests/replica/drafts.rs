//! Drafts on two devices: nothing is lost, and what goes out goes out once.

use mosaic_engine::limits::DRAFT_BYTES_MAX;
use mosaic_engine::replica::{DRAFT_TURN_MS, DraftEdit, DueDrafts, SavedDraft};

use super::*;

fn text(text: &str) -> DraftEdit {
    DraftEdit { text: Some(text.into()), ..DraftEdit::default() }
}

fn at(text: &str, at_ms: u64) -> DraftEdit {
    DraftEdit { text: Some(text.into()), at_ms: Some(Some(at_ms)), ..DraftEdit::default() }
}

fn kept(replica: &Replica) -> Vec<String> {
    let mut texts: Vec<_> = replica.drafts().unwrap().into_iter().map(|d| d.text).collect();
    texts.sort();
    texts
}

fn only(replica: &Replica) -> SavedDraft {
    let mut drafts = replica.drafts().unwrap();
    assert_eq!(drafts.len(), 1, "{drafts:?}");
    drafts.remove(0)
}

fn meet(a: &Replica, b: &Replica) {
    give(a, b);
    give(b, a);
    give(a, b);
}

/// A laptop and a phone that know each other.
fn pair() -> (Replica, Replica, AccountId) {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    meet(&laptop, &phone);
    (laptop, phone, ada)
}

#[test]
fn a_draft_reaches_own_devices_and_nobody_else() {
    let (laptop, phone, ada) = pair();
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    let id = laptop.save_draft(None, text("not yet"), NOW).unwrap();
    meet(&laptop, &phone);
    give(&laptop, &hub);
    assert_eq!(only(&phone).text, "not yet");
    assert_eq!(phone.resolve_draft(&id.to_string()[..4]).unwrap(), id);
    assert!(hub.drafts().unwrap().is_empty() && texts(&hub, &ada).is_empty());
    phone.post_draft(id, NOW + 1).unwrap();
    meet(&laptop, &phone);
    assert_eq!(texts(&laptop, &ada), ["not yet"]);
    assert!(laptop.drafts().unwrap().is_empty());
    laptop.save_draft(Some(id), text("again"), NOW + 2).unwrap_err();
    let id = laptop.save_draft(None, text("never"), NOW + 3).unwrap();
    meet(&laptop, &phone);
    phone.delete_draft(id, NOW + 4).unwrap();
    meet(&laptop, &phone);
    assert!(laptop.drafts().unwrap().is_empty());
    sound(&laptop);
    sound(&phone);
}

#[test]
fn concurrent_edits_of_one_draft_are_both_kept() {
    let (laptop, phone, _) = pair();
    let id = laptop.save_draft(None, text("first"), NOW).unwrap();
    meet(&laptop, &phone);
    laptop.save_draft(Some(id), text("on the laptop"), NOW + 1).unwrap();
    phone.save_draft(Some(id), text("on the phone"), NOW + 2).unwrap();
    meet(&laptop, &phone);
    let shown = only(&laptop);
    assert_eq!(shown, only(&phone));
    assert_eq!(shown.others.len(), 1);
    let mut both = vec![shown.text.clone(), shown.others[0].clone()];
    both.sort();
    assert_eq!(both, ["on the laptop", "on the phone"]);
    // The next edit, even on both at once, makes one draft of its own of the one that lost.
    laptop.save_draft(Some(id), text("third"), NOW + 3).unwrap();
    phone.save_draft(Some(id), text("third"), NOW + 3).unwrap();
    meet(&laptop, &phone);
    let mut expected = vec![shown.others[0].clone(), "third".to_owned()];
    expected.sort();
    assert_eq!(kept(&laptop), expected);
    assert_eq!(kept(&phone), expected);
}

#[test]
fn what_was_changed_meanwhile_survives_removal_and_posting() {
    let (laptop, phone, ada) = pair();
    let gone = laptop.save_draft(None, text("a"), NOW).unwrap();
    let sent = laptop.save_draft(None, at("b", NOW + 10), NOW).unwrap();
    meet(&laptop, &phone);
    laptop.delete_draft(gone, NOW + 20).unwrap();
    laptop.post_draft(sent, NOW + 20).unwrap();
    phone.save_draft(Some(gone), text("a, better"), NOW + 5).unwrap();
    phone.save_draft(Some(sent), at("b, better", NOW + 15), NOW + 5).unwrap();
    meet(&laptop, &phone);
    assert_eq!(kept(&laptop), ["a, better", "b, better"]);
    assert_eq!(kept(&phone), kept(&laptop));
    // What went out does not go out by itself again.
    for replica in [&laptop, &phone] {
        assert_eq!(replica.due_drafts(0, NOW + 1_000_000).unwrap(), DueDrafts::default());
        assert_eq!(texts(replica, &ada), ["b"]);
    }
}

#[test]
fn the_device_that_set_the_time_is_first_and_others_wait_their_turn() {
    let (laptop, phone, ada) = pair();
    let id = laptop.save_draft(None, at("later", NOW + 1000), NOW).unwrap();
    meet(&laptop, &phone);
    let next = |replica: &Replica| replica.due_drafts(0, NOW).unwrap().next_ms;
    assert_eq!(next(&laptop), Some(NOW + 1000));
    assert_eq!(next(&phone), Some(NOW + 1000 + DRAFT_TURN_MS));
    assert_eq!(laptop.due_drafts(0, NOW + 1000).unwrap().now, [id]);
    assert_eq!(phone.due_drafts(0, NOW + 1000 + DRAFT_TURN_MS).unwrap().now, [id]);
    // Who has only just started listens first.
    let started = NOW + 5000;
    assert_eq!(laptop.due_drafts(started, started).unwrap().next_ms, Some(started + DRAFT_TURN_MS));
    // The laptop is away: the phone posts it, and the laptop learns of it before its turn.
    phone.post_draft(id, NOW + 1000 + DRAFT_TURN_MS).unwrap();
    meet(&phone, &laptop);
    assert_eq!(laptop.due_drafts(0, NOW + 1_000_000).unwrap(), DueDrafts::default());
    assert_eq!(texts(&laptop, &ada), ["later"]);
}

#[test]
fn two_that_could_not_see_each_other_leave_one_post() {
    let (laptop, phone, ada) = pair();
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    let id = laptop.save_draft(None, at("once", NOW + 1000), NOW).unwrap();
    meet(&laptop, &phone);
    let first = laptop.post_draft(id, NOW + 1000).unwrap();
    let second = phone.post_draft(id, NOW + 1000 + DRAFT_TURN_MS).unwrap();
    for replica in [&laptop, &phone] {
        assert_eq!(replica.settle_drafts(NOW + 40_000).unwrap(), 0);
    }
    meet(&laptop, &phone);
    assert_eq!(laptop.settle_drafts(NOW + 50_000).unwrap(), 1);
    assert_eq!(phone.settle_drafts(NOW + 50_000).unwrap(), 1);
    meet(&laptop, &phone);
    give(&laptop, &hub);
    for replica in [&laptop, &phone, &hub] {
        assert!(!replica.show(&first).unwrap().deleted);
        assert!(replica.show(&second).unwrap().deleted);
        assert_eq!(replica.settle_drafts(NOW + 60_000).unwrap_or(0), 0);
        sound(replica);
    }
}

#[test]
fn a_suspended_device_posts_nothing_and_a_time_can_be_taken_back() {
    let (laptop, phone, _) = pair();
    let id = laptop.save_draft(None, at("later", NOW), NOW).unwrap();
    meet(&laptop, &phone);
    laptop.suspend_device(phone.own_device(), true, NOW + 1).unwrap();
    meet(&laptop, &phone);
    assert_eq!(phone.due_drafts(0, NOW + 1_000_000).unwrap(), DueDrafts::default());
    let back = DraftEdit { at_ms: Some(None), ..DraftEdit::default() };
    laptop.save_draft(Some(id), back, NOW + 2).unwrap();
    assert_eq!(only(&laptop).scheduled, None);
    assert_eq!(laptop.due_drafts(0, NOW + 1_000_000).unwrap(), DueDrafts::default());
}

#[test]
fn drafts_have_a_text_and_a_limit() {
    let (laptop, _) = person(1, "laptop");
    assert!(laptop.save_draft(None, DraftEdit::default(), NOW).is_err());
    assert!(laptop.save_draft(None, text(" \n"), NOW).is_err());
    assert!(laptop.save_draft(None, text(&"a".repeat(DRAFT_BYTES_MAX + 1)), NOW).is_err());
    let id = laptop.save_draft(None, text(&"ä".repeat(DRAFT_BYTES_MAX / 2)), NOW).unwrap();
    assert_eq!(only(&laptop).text.len(), DRAFT_BYTES_MAX);
    assert!(laptop.resolve_draft("beef").is_err() && laptop.resolve_draft("").is_err());
    laptop.post_draft(id, NOW).unwrap();
    assert!(laptop.post_draft(id, NOW).is_err());
}
