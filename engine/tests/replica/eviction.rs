//! Limits of a subscription under readers who ask for old pages and go away in the middle.

use mosaic_engine::replica::History;
use mosaic_engine::store::disk::{DiskOptions, DiskStore};

use super::*;

/// Bytes of a text: large enough to be kept as a file.
const TEXT_BYTES: usize = 40_000;
/// Less than any page weighs.
const LIMIT: u64 = 100_000;

/// A post that fills a ninth of a page: its entry is as long as entries get.
fn large(laptop: &Replica, number: u64) {
    let body = laptop.add_file(&mut number.to_be_bytes().as_slice(), 1000).unwrap();
    let attachment = Attachment {
        body,
        media_type: "text/plain".into(),
        name: "file".into(),
        alt: "d".repeat(2000),
    };
    let text = format!("{number} {}", "x".repeat(TEXT_BYTES));
    let post = Draft { text, attachments: vec![attachment; 14] };
    laptop.post(post, None, NOW + number).unwrap();
}

/// A wall of four pages, the last one with three posts.
fn wall() -> (Replica, AccountId) {
    let (laptop, ada) = person(1, "laptop");
    (0..30).for_each(|number| large(&laptop, number));
    (laptop, ada)
}

/// A hub on a store that outlives it.
fn hub(store: &Arc<dyn Store>, fresh: bool) -> Replica {
    let secret = || DeviceSecret::generate(&SeededEntropy::new(1003));
    let options = ReplicaOptions { secret: (!fresh).then(secret), fresh_incarnation: false };
    let replica = Replica::open(store.clone(), Arc::new(SeededEntropy::new(3)), options).unwrap();
    if fresh {
        replica.create_account(secret(), "hub", [7; 32], NOW).unwrap();
    }
    replica
}

/// Bytes that are here of each page.
fn pages(replica: &Replica, ada: &AccountId) -> Vec<u64> {
    replica.pages_used(ada).unwrap().iter().map(|page| page.bytes).collect()
}

/// Fetches what is asked for, of the bodies the first `bodies_max`.
fn fetch(from: &Replica, to: &Replica, bodies_max: usize) {
    let remote = to.own_device();
    for section in to.kept_sections().unwrap() {
        let mut moved = Vec::new();
        for asked in to.incomplete(&section, 1000).unwrap() {
            let intro = from.introduce(&asked.tip).unwrap().unwrap();
            let part = from.part(&asked.tip, 1, usize::MAX).unwrap().unwrap();
            moved.push(Received {
                path: intro.path,
                description: Some(intro.description),
                head: intro.head,
                fork: false,
                parts: vec![part],
            });
        }
        to.receive(&from.own_device(), moved, NOW).unwrap();
        let wanted = to.missing_bodies(&section, None, bodies_max).unwrap();
        let bodies = wanted.iter().map(|body| from.body(&remote, &body.hash).unwrap().unwrap());
        to.receive_bodies(&from.own_device(), bodies.collect()).unwrap();
    }
}

#[test]
fn more_than_the_limit_and_a_page_is_never_here_whoever_is_interrupted() {
    let (laptop, ada) = wall();
    let whole = pages(&laptop, &ada);
    let newest = *whole.last().unwrap();
    assert!(whole.len() == 4 && newest > LIMIT, "{whole:?}");
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let reader = hub(&store, true);
    reader.subscribe(Subscription { bytes_max: LIMIT, ..Subscription::whole(ada) }).unwrap();
    give(&laptop, &reader);
    assert_eq!(pages(&reader, &ada), [0, 0, 0, newest]);
    // The page asked for takes the place even of the newest one.
    reader.demand_page(&ada, 0).unwrap();
    fetch(&laptop, &reader, 1000);
    assert_eq!(pages(&reader, &ada), [whole[0], 0, 0, 0]);
    // Another one, in the middle of which the reader is killed.
    reader.demand_page(&ada, 1).unwrap();
    assert_eq!(pages(&reader, &ada), [0; 4]);
    fetch(&laptop, &reader, 4);
    let part = pages(&reader, &ada)[1];
    assert!(part > 4 * TEXT_BYTES as u64 && part < whole[1], "{part}");
    drop(reader);
    let reader = hub(&store, false);
    assert_eq!(pages(&reader, &ada), [0, part, 0, 0]);
    // The next one gives up what that left.
    reader.demand_page(&ada, 2).unwrap();
    assert_eq!(pages(&reader, &ada), [0; 4]);
    fetch(&laptop, &reader, 1000);
    assert_eq!(pages(&reader, &ada), [0, 0, whole[2], 0]);
    drop(reader);
    // So do a restart and a sync.
    let reader = hub(&store, false);
    reader.settle_limits().unwrap();
    assert_eq!(pages(&reader, &ada), [0; 4]);
    fetch(&laptop, &reader, 1000);
    assert_eq!(pages(&reader, &ada), [0, 0, 0, newest]);
    sound(&reader);
}

#[test]
fn the_newest_page_comes_back_with_a_sync_and_with_a_new_post() {
    let (laptop, ada) = wall();
    let (reader, _) = person(3, "hub");
    reader.subscribe(Subscription { bytes_max: LIMIT, ..Subscription::whole(ada) }).unwrap();
    give(&laptop, &reader);
    for number in 30..32 {
        reader.demand_page(&ada, 0).unwrap();
        fetch(&laptop, &reader, 1000);
        assert!(texts(&reader, &ada)[0].starts_with("8 "));
        if number == 30 {
            reader.settle_limits().unwrap();
            fetch(&laptop, &reader, 1000);
            assert!(texts(&reader, &ada)[0].starts_with("29 "));
        } else {
            large(&laptop, number);
            give(&laptop, &reader);
            assert!(texts(&reader, &ada)[0].starts_with("31 "));
        }
        let held = pages(&reader, &ada);
        assert_eq!(held[..3], [0; 3]);
    }
}

#[test]
fn heads_are_the_newest_page_and_what_is_asked_for() {
    let (laptop, ada) = wall();
    let (reader, _) = person(3, "hub");
    reader.subscribe(Subscription { history: History::Heads, ..Subscription::whole(ada) }).unwrap();
    give(&laptop, &reader);
    let whole = pages(&laptop, &ada);
    assert_eq!(pages(&reader, &ada), [0, 0, 0, whole[3]]);
    reader.demand_page(&ada, 1).unwrap();
    fetch(&laptop, &reader, 1000);
    assert_eq!(pages(&reader, &ada), [0, whole[1], 0, whole[3]]);
}

#[test]
fn a_page_comes_and_goes_in_a_few_commits() {
    let (laptop, ada) = person(1, "laptop");
    for number in 0..60 {
        laptop.post(draft(&format!("{number} {}", "x".repeat(TEXT_BYTES))), None, NOW).unwrap();
    }
    let root = tempfile::tempdir().unwrap();
    let options = DiskOptions::new(root.path().join("home"), root.path().join("state"));
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(&options).unwrap().store);
    let reader = hub(&store, true);
    reader.subscribe(Subscription::whole(ada)).unwrap();
    let commits = |act: &dyn Fn()| {
        let before = store.stats().commits;
        act();
        store.stats().commits - before
    };
    give(&laptop, &reader);
    assert_eq!(store.stats().blobs.rows, 60);
    // The page, a look at what others wrote, the files.
    assert_eq!(commits(&|| reader.evict_page(&ada, 0).unwrap()), 3);
    assert_eq!((store.stats().blobs.rows, pages(&reader, &ada)), (0, vec![0]));
    // The changes; the files, and that they are here.
    reader.demand_page(&ada, 0).unwrap();
    assert_eq!(commits(&|| fetch(&laptop, &reader, 1000)), 3);
    assert_eq!(pages(&reader, &ada), pages(&laptop, &ada));
    sound(&reader);
}
