//! Changes as programs before store format 2 wrote them: a row of the id, and a blob.

use mosaic_engine::hash::{AccountId, BlobHash};
use mosaic_engine::replica::{Cursor, PostView, Replica, Subscription};
use mosaic_engine::store::{Batch, Table, keys};
use mosaic_engine::view::EntryRow;

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
pub(super) fn rows_with(replica: &Replica, wanted: &str) -> usize {
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
    super::gathered::as_single(replica);
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

/// Wall rows of a replica: of one post, and of several.
fn wall_rows(replica: &Replica) -> (usize, usize) {
    let count =
        |kind: &[u8]| replica.store().scan(Table::Rows, kind, None, false, 10_000).unwrap().len();
    (count(b"w"), count(b"v"))
}

/// All posts of a wall, read in pages.
fn paged(replica: &Replica, account: &AccountId, limit: usize) -> Vec<PostView> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = replica.wall(account, cursor, limit).unwrap();
        let Some(last) = page.last() else { return all };
        cursor = Some(Cursor { time_ms: last.time_ms, id: last.id });
        all.extend(page);
    }
}

#[test]
fn posts_that_come_together_share_rows_of_the_wall_and_are_listed_in_order() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    // Clocks that jump, and posts of one time.
    let mut posts = Vec::new();
    for n in 0..300u64 {
        let time = NOW + n * 7919 % 151 * 1000 + n / 100 * DAY;
        posts.push(laptop.post(draft("a post"), None, time).unwrap());
        if n % 10 == 3 {
            phone.post(draft("from the phone"), None, time + n % 20).unwrap();
        }
    }
    // Two of one commit that lie far apart.
    for n in 0..2 {
        laptop.post(draft("far apart"), None, NOW + n * 30 * DAY).unwrap();
    }
    give(&phone, &laptop);
    let tablet = link(&laptop, 3, "tablet");
    give(&laptop, &tablet);
    let (single, several) = wall_rows(&tablet);
    assert!(single < 150 && several > 3, "{single} {several}");
    let wall = laptop.wall(&account, None, 1000).unwrap();
    assert_eq!(wall.len(), 332);
    assert!(wall.is_sorted_by_key(|post| (!post.time_ms, post.id)));
    for replica in [&laptop, &tablet] {
        assert_eq!(replica.wall(&account, None, 1000).unwrap(), wall);
        for limit in [1, 7, 64, 300] {
            assert!(paged(replica, &account, limit) == wall, "{limit}");
        }
        sound(replica);
    }
    // A row that says something else is named, and built again.
    let rows = tablet.store().scan(Table::Rows, b"v", None, false, 10).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Rows, rows[0].0.clone(), (NOW - 1).to_be_bytes().to_vec());
    batch.delete(Table::Rows, rows[1].0.clone());
    tablet.store().commit(batch).unwrap();
    assert!(tablet.verify().unwrap().problems.len() >= 2);
    let rebuilt = tablet.rebuild().unwrap();
    assert!(rebuilt.mended > 2 && rebuilt.removed == 1, "{rebuilt:?}");
    sound(&tablet);
    assert!(paged(&tablet, &account, 7) == wall);
    // What is given up takes its rows along.
    let hub = replica(4);
    hub.subscribe(Subscription::whole(account)).unwrap();
    give(&laptop, &hub);
    assert!(wall_rows(&hub).1 > 3);
    hub.evict_page(&account, 0).unwrap();
    assert_eq!(wall_rows(&hub), (0, 0));
    sound(&hub);
}

/// Rows that say where entries are: whole ones, and short ones.
fn entry_rows(replica: &Replica) -> (usize, usize) {
    let rows = replica.store().scan(Table::Rows, b"e", None, false, 10_000).unwrap();
    let (short, whole): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, row)| row.len() < 30);
    (whole.len(), short.len())
}

#[test]
fn a_chain_of_several_entries_is_named_once() {
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let posts: Vec<_> =
        (0..150u64).map(|n| laptop.post(draft("a text"), None, NOW + n).unwrap()).collect();
    laptop.edit(posts[9], "another text", NOW + 201).unwrap();
    give(&laptop, &phone);
    for replica in [&laptop, &phone] {
        let (whole, short) = entry_rows(replica);
        assert!(whole < 20 && short > 140, "{whole} {short}");
        assert_eq!(replica.wall(&account, None, 200).unwrap().len(), 150);
        sound(replica);
    }
    // A row of before says all of it, and is right.
    let names = phone.store().scan(Table::Rows, b"n", None, false, 10).unwrap();
    let mut batch = Batch::new();
    for (key, row) in phone.store().scan(Table::Rows, b"e", None, false, 60).unwrap() {
        let named = names.iter().find(|(name, _)| row.len() < 30 && name[1..] == row[..8]);
        if let Some((_, chain)) = named {
            let chain = keys::parse_head(&[b"h", &chain[..]].concat()).unwrap();
            let row = EntryRow::decode_short(&row, &chain).unwrap();
            batch.put(Table::Rows, key, row.encode());
        }
    }
    assert!(batch.len() > 40);
    phone.store().commit(batch).unwrap();
    sound(&phone);
    // A name that is lost takes rows along until they are built again.
    let mut batch = Batch::new();
    for (key, _) in names {
        batch.delete(Table::Rows, key);
    }
    phone.store().commit(batch).unwrap();
    assert!(!phone.verify().unwrap().problems.is_empty());
    assert!(phone.rebuild().unwrap().mended > 80);
    sound(&phone);
    assert_eq!(phone.wall(&account, None, 200).unwrap(), laptop.wall(&account, None, 200).unwrap());
    assert_eq!(phone.show(&posts[9]).unwrap(), laptop.show(&posts[9]).unwrap());
}
