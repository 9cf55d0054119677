//! The journal has no holes, tells when and about what, and never tells of what is not stored.

use std::sync::Arc;

use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Event, JOURNAL_EVENTS_MAX, Once, Replica, ReplicaOptions};
use mosaic_engine::store::Store;
use mosaic_engine::store::faulty::{Fault, Faulty};
use mosaic_engine::store::memory::MemoryStore;

use super::{NOW, draft, give, link, person};

fn numbers(replica: &Replica) -> Vec<u64> {
    let part = replica.journal(0, usize::MAX).unwrap();
    assert_eq!(part.events.first().map_or(0, |event| event.number), part.oldest);
    assert_eq!(part.events.last().map_or(0, |event| event.number), part.newest);
    part.events.iter().map(|event| event.number).collect()
}

#[test]
fn numbers_rise_by_one_over_everything_that_happens() {
    let (laptop, _) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let post = laptop.post(draft("a"), None, NOW + 5).unwrap();
    laptop.react(post, "👍", NOW + 6).unwrap();
    laptop.unreact(post, "👍", NOW + 7).unwrap();
    laptop.note("node.ready", NOW + 8).unwrap();
    give(&laptop, &phone);
    for replica in [&laptop, &phone] {
        let numbers = numbers(replica);
        assert!(numbers.len() >= 4);
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
    let events = laptop.journal(0, usize::MAX).unwrap().events;
    let kinds = events.iter().rev().take(4).map(|event| (event.time_ms, &event.event));
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds[0], (NOW + 8, &Event::Note { text: "node.ready".into() }));
    let (_, Event::Entry { kind: 0x11, target: Some((reaction, 0x05)), .. }) = kinds[1] else {
        panic!("{kinds:?}")
    };
    let (_, Event::Entry { id, kind: 0x05, target: Some((about, 0x02)), .. }) = kinds[2] else {
        panic!("{kinds:?}")
    };
    assert_eq!((id, *about), (reaction, post));
    assert_eq!(kinds[2].0, NOW + 6);
}

/// Reopens what a fault left, and hands it over once it no longer strikes.
fn crashes(work: impl Fn(&Replica), check: impl Fn(&Replica, bool)) {
    let base = MemoryStore::new();
    let secret = || DeviceSecret::generate(&SeededEntropy::new(1001));
    let open = |store: Arc<dyn Store>, seed| {
        let options = ReplicaOptions { secret: Some(secret()), fresh_incarnation: false };
        Replica::open(store, Arc::new(SeededEntropy::new(seed)), options)
    };
    let options = ReplicaOptions { secret: None, fresh_incarnation: false };
    let first =
        Replica::open(Arc::new(base.clone()), Arc::new(SeededEntropy::new(1)), options).unwrap();
    first.create_account(secret(), "laptop", [7; 32], NOW).unwrap();
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail] {
        for n in 1.. {
            let faulty = Arc::new(Faulty::new(base.snapshot()).failing(n, fault));
            if let Ok(laptop) = open(faulty.clone(), 2) {
                work(&laptop);
            }
            let struck = faulty.struck();
            check(&open(Arc::new(faulty.inner().snapshot()), 3).unwrap(), struck);
            if !struck {
                break;
            }
        }
    }
}

#[test]
fn what_a_crash_undoes_is_not_told_and_what_it_leaves_is() {
    let work = |laptop: &Replica| {
        for n in 0..3 {
            let _ = laptop.post(draft("x"), None, NOW + n);
        }
    };
    crashes(work, |again, struck| {
        let events = again.journal(0, usize::MAX).unwrap().events;
        let told = events.iter().filter(|e| matches!(e.event, Event::Entry { kind: 2, .. }));
        let wall = again.wall(&again.account().unwrap(), None, 100).unwrap();
        assert_eq!(told.count(), wall.len());
        assert!(struck || wall.len() == 3);
        let numbers = numbers(again);
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    });
}

#[test]
fn a_key_is_there_with_what_was_written_under_it_or_not_at_all() {
    let once = Once::new("release-1", b"text").unwrap();
    let work = |laptop: &Replica| {
        let _ = laptop.post_once(Some(&once), draft("text"), None, NOW + 1);
    };
    crashes(work, |again, _| {
        let first = again.post_once(Some(&once), draft("text"), None, NOW + 2).unwrap();
        let second = again.post_once(Some(&once), draft("text"), None, NOW + 3).unwrap();
        assert_eq!(first, second);
        assert_eq!(again.wall(&again.account().unwrap(), None, 100).unwrap().len(), 1);
    });
}

#[test]
fn the_oldest_events_make_room() {
    let (ada, _) = person(1, "ada");
    let last = ada.journal(0, 1).unwrap().newest;
    // A note is an event as any other, and quick.
    for n in 0..JOURNAL_EVENTS_MAX {
        ada.note("x", NOW + n).unwrap();
    }
    let part = ada.journal(0, 1).unwrap();
    assert_eq!((part.oldest, part.newest), (last + 1, last + JOURNAL_EVENTS_MAX));
    assert_eq!(part.events[0].number, last + 1);
    assert!(ada.note(&"x".repeat(4097), NOW).is_err());
}
