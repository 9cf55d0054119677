//! Changes as programs before store format 2 wrote them: a row of the id, and a blob.

use mosaic_engine::hash::BlobHash;
use mosaic_engine::replica::{Replica, Subscription};
use mosaic_engine::store::{Batch, Table, keys};

use super::{NOW, draft, give, give_once, link, person, replica, sound};

/// Writes all log changes as they were stored before; returns how many.
fn as_blobs(replica: &Replica) -> u64 {
    let mut batch = Batch::new();
    let mut count = 0;
    for (doc, description) in replica.document_list().unwrap() {
        if !description.kind.is_log() {
            continue;
        }
        for change in replica.changes(&doc).unwrap() {
            let id = change.id.as_bytes().to_vec();
            batch.put(Table::Truth, keys::chain_change(&change.key, change.n), id);
            batch.put(Table::Truth, keys::blob(&change.id.blob()), change.bytes);
            count += 1;
        }
    }
    replica.store().commit(batch).unwrap();
    count
}

#[test]
fn changes_stored_as_blobs_are_shown_given_verified_and_written_on() {
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let old: Vec<_> = (0..3).map(|n| laptop.post(draft("old"), None, NOW + n).unwrap()).collect();
    laptop.edit(old[0], "older", NOW + 9).unwrap();
    assert!(as_blobs(&laptop) >= 4);
    laptop.post(draft("new"), None, NOW + 10).unwrap();
    give(&laptop, &phone);
    for replica in [&laptop, &phone] {
        let wall = replica.wall(&account, None, 10).unwrap();
        assert_eq!(wall.len(), 4);
        let verified = replica.verify().unwrap();
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
        assert!(replica.garbage().unwrap().is_empty());
        let rebuilt = replica.rebuild().unwrap();
        assert_eq!((rebuilt.mended, rebuilt.removed), (0, 0));
    }
    let same = |doc| laptop.values(doc).unwrap() == phone.values(doc).unwrap();
    assert!(laptop.document_list().unwrap().iter().all(|(doc, d)| !d.kind.is_log() || same(doc)));
}

/// Chain rows of a replica: of one change, and of several.
fn chain_rows(replica: &Replica) -> (usize, usize) {
    let rows = replica.store().scan(Table::Truth, keys::CHAINS, None, false, 10_000).unwrap();
    let numbers = rows.iter().filter_map(|(key, _)| keys::parse_chain_row(key));
    let (single, several): (Vec<_>, Vec<_>) = numbers.partition(|(first, last)| first == last);
    (single.len(), several.len())
}

#[test]
fn changes_that_come_together_share_rows_and_are_each_what_they_were() {
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let posts: Vec<_> =
        (0..150u64).map(|n| laptop.post(draft("a text"), None, NOW + n).unwrap()).collect();
    let (single, several) = chain_rows(&laptop);
    assert!(single >= 150 && several < 3, "{single} {several}");
    give(&laptop, &phone);
    let (single, several) = chain_rows(&phone);
    assert!(single < 10 && (3..10).contains(&several), "{single} {several}");
    laptop.delete(posts[70], NOW + 200).unwrap();
    laptop.edit(posts[71], "another text", NOW + 201).unwrap();
    give(&laptop, &phone);
    let tablet = link(&laptop, 3, "tablet");
    give(&phone, &tablet);
    for replica in [&phone, &tablet] {
        assert_eq!(
            replica.wall(&account, None, 200).unwrap(),
            laptop.wall(&account, None, 200).unwrap()
        );
        for id in &posts {
            assert_eq!(replica.show(id).unwrap(), laptop.show(id).unwrap());
        }
        let verified = replica.verify().unwrap();
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
        assert!(replica.garbage().unwrap().is_empty());
        let rebuilt = replica.rebuild().unwrap();
        assert_eq!((rebuilt.mended, rebuilt.removed), (0, 0));
    }
}

/// Rows of a replica that hold these bytes.
fn rows_with(replica: &Replica, wanted: &str) -> usize {
    let mut count = 0;
    let visit = &mut |_, _: &[u8], value: &[u8]| {
        count += usize::from(value.windows(wanted.len()).any(|part| part == wanted.as_bytes()));
    };
    replica.dump(visit).unwrap();
    count
}

fn blob_rows(replica: &Replica) -> usize {
    let rows = replica.store().scan(Table::Truth, keys::BLOBS, None, false, 10_000).unwrap();
    rows.len()
}

/// Writes all bodies as they were stored before format 4; returns how many.
fn as_apart(replica: &Replica) -> usize {
    let mut batch = Batch::new();
    let mut count = 0;
    for (key, row) in replica.store().scan(Table::Meta, keys::BODIES, None, false, 10_000).unwrap()
    {
        if row.len() > 1 {
            let hash = key.get(1..).and_then(|rest| rest.first_chunk::<32>()).unwrap();
            let hash = BlobHash::from_bytes(*hash);
            batch.put(Table::Truth, keys::blob(&hash), row.slice(1..));
            batch.put(Table::Meta, key, row.slice(..1));
            count += 1;
        }
    }
    replica.store().commit(batch).unwrap();
    count
}

#[test]
fn a_small_body_goes_with_the_row_that_says_it_is_held() {
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let hub = replica(3);
    hub.subscribe(Subscription::whole(account)).unwrap();
    let before = blob_rows(&laptop);
    let long = "a long text".repeat(200);
    let posts: Vec<_> = ["first words", "second words", "third words", &long]
        .iter()
        .zip(0u64..)
        .map(|(text, n)| laptop.post(draft(text), None, NOW + n).unwrap())
        .collect();
    give(&laptop, &phone);
    give_once(&laptop, &hub, true);
    for replica in [&laptop, &phone, &hub] {
        assert_eq!(rows_with(replica, "first words"), 1);
        sound(replica);
    }
    assert_eq!(blob_rows(&laptop), before + 1, "the long one");
    // Those that are stored as before are told of, given, and dropped like the others.
    assert!(as_apart(&phone) >= 3);
    sound(&phone);
    let tablet = link(&laptop, 4, "tablet");
    give(&phone, &tablet);
    laptop.delete(posts[0], NOW + 10).unwrap();
    laptop.edit(posts[1], "other words", NOW + 11).unwrap();
    laptop.delete(posts[1], NOW + 12).unwrap();
    laptop.delete(posts[3], NOW + 13).unwrap();
    for replica in [&laptop, &phone, &hub, &tablet] {
        give(&laptop, replica);
        for gone in ["first words", "second words", "other words", "a long text"] {
            assert_eq!(rows_with(replica, gone), 0, "{gone}");
        }
        assert_eq!(rows_with(replica, "third words"), 1);
        let wall = replica.wall(&account, None, 10).unwrap();
        assert_eq!(wall, laptop.wall(&account, None, 10).unwrap());
        sound(replica);
    }
    hub.evict_page(&account, 0).unwrap();
    assert_eq!(rows_with(&hub, "third words"), 0);
    sound(&hub);
}
