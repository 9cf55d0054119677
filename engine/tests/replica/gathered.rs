//! Small bodies that came together, in rows of several.

use bytes::Bytes;
use mosaic_engine::hash::{BlobHash, ChangeId};
use mosaic_engine::replica::{Replica, Subscription, Text};
use mosaic_engine::store::{Batch, Row, Table, keys};
use mosaic_engine::sync::exchange::Exchange;

use super::stored::rows_with;
use super::{NOW, collected, draft, give, give_once, link, person, replica, sound};

fn rows(replica: &Replica, kind: &[u8]) -> Vec<Row> {
    replica.store().scan(Table::Meta, kind, None, false, 10_000).unwrap()
}

/// How many bodies have rows of their own, how many share some, and in how many rows.
fn counts(replica: &Replica) -> (usize, usize, usize) {
    let own = rows(replica, keys::BODIES).iter().filter(|(_, row)| row.len() > 1).count();
    (own, rows(replica, keys::GATHERED).len(), rows(replica, b"A").len())
}

/// The bodies of a row of several.
fn bodies(row: &Bytes) -> Vec<Bytes> {
    let mut rest = row.clone();
    let count = usize::from(rest.split_to(1).as_ref().first().copied().unwrap());
    let lengths = rest.split_to(2 * count);
    let length = |pair: &[u8]| usize::from(u16::from_be_bytes(pair.try_into().unwrap()));
    lengths.chunks(2).map(|pair| rest.split_to(length(pair))).collect()
}

/// Writes all bodies into rows of their own, as before store format 5.
pub(super) fn as_single(replica: &Replica) {
    let docs = replica.document_list().unwrap();
    let mut batch = Batch::new();
    for (key, row) in rows(replica, b"A") {
        let (doc, _) =
            docs.iter().find(|(doc, _)| key.get(1..17) == doc.as_bytes().get(..16)).unwrap();
        for body in bodies(&row).iter().filter(|body| !body.is_empty()) {
            let hash = BlobHash::of(body);
            batch.put(Table::Meta, keys::body(&hash, doc), [&[1], &body[..]].concat());
            batch.delete(Table::Meta, keys::body_in_run(&hash, doc));
        }
        batch.delete(Table::Meta, key);
    }
    replica.store().commit(batch).unwrap();
}

/// Gives changes together with their bodies, as a session does, and then what is missing still.
fn give_all(from: &Replica, to: &Replica) {
    give_once(from, to, true);
    give(from, to);
}

fn post(replica: &Replica, from: u64, count: u64) -> Vec<ChangeId> {
    (from..from + count)
        .map(|n| replica.post(draft(&format!("text number {n}.")), None, NOW + n).unwrap())
        .collect()
}

#[test]
fn bodies_that_come_together_share_rows_and_are_each_what_they_were() {
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let mut posts = post(&laptop, 0, 150);
    assert_eq!(counts(&laptop), (150, 0, 0), "what is written one by one is alone");
    give_all(&laptop, &phone);
    let (own, shared, runs) = counts(&phone);
    assert!(own <= 1 && shared >= 149 && (3..5).contains(&runs), "{own} {shared} {runs}");
    // One that comes alone is alone, and others after it share a row.
    posts.extend(post(&laptop, 150, 1));
    give_all(&laptop, &phone);
    assert_eq!(counts(&phone).1, shared);
    posts.extend(post(&laptop, 151, 20));
    give_all(&laptop, &phone);
    assert_eq!((counts(&phone).1, counts(&phone).2), (shared + 20, runs + 1));
    // From rows of several into rows of several.
    let tablet = link(&laptop, 3, "tablet");
    give_all(&phone, &tablet);
    assert!(counts(&tablet).1 >= 165, "{:?}", counts(&tablet));
    let held = laptop.bodies_held().unwrap();
    for replica in [&phone, &tablet] {
        assert_eq!(
            replica.wall(&account, None, 200).unwrap(),
            laptop.wall(&account, None, 200).unwrap()
        );
        assert_eq!(replica.bodies_held().unwrap(), held);
        sound(replica);
    }
    // What is withdrawn leaves no byte behind, and takes no other along.
    laptop.delete(posts[70], NOW + 200).unwrap();
    laptop.delete(posts[71], NOW + 201).unwrap();
    laptop.delete(posts[3], NOW + 202).unwrap();
    laptop.edit(posts[80], "another text", NOW + 203).unwrap();
    for replica in [&phone, &tablet] {
        give_all(&laptop, replica);
        for gone in ["text number 70.", "text number 71.", "text number 3."] {
            assert_eq!(rows_with(replica, gone), 0, "{gone}");
        }
        assert_eq!(rows_with(replica, "text number 69."), 1);
        assert_eq!(
            replica.wall(&account, None, 200).unwrap(),
            laptop.wall(&account, None, 200).unwrap()
        );
        assert_eq!(replica.bodies_held().unwrap(), laptop.bodies_held().unwrap());
        assert!(replica.garbage().unwrap().is_empty());
        sound(replica);
    }
}

#[test]
fn what_is_given_up_goes_out_of_rows_of_several_and_comes_again() {
    let (laptop, account) = person(1, "ada");
    post(&laptop, 0, 100);
    let hub = replica(4);
    hub.subscribe(Subscription::whole(account)).unwrap();
    give_all(&laptop, &hub);
    assert!(counts(&hub).1 >= 99);
    hub.evict_page(&account, 0).unwrap();
    assert_eq!(counts(&hub), (0, 0, 0));
    assert_eq!(rows_with(&hub, "text number"), 0);
    sound(&hub);
}

#[test]
fn a_row_of_before_is_read_beside_rows_of_several() {
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let posts = post(&laptop, 0, 40);
    give_all(&laptop, &phone);
    as_single(&phone);
    assert_eq!((counts(&phone).1, counts(&phone).2), (0, 0));
    post(&laptop, 40, 40);
    give_all(&laptop, &phone);
    assert!(counts(&phone).0 >= 40 && counts(&phone).1 >= 40);
    laptop.delete(posts[5], NOW + 200).unwrap();
    let tablet = link(&laptop, 3, "tablet");
    give_all(&laptop, &phone);
    give_all(&phone, &tablet);
    for replica in [&phone, &tablet] {
        assert_eq!(rows_with(replica, "text number 5."), 0);
        assert_eq!(
            replica.wall(&account, None, 200).unwrap(),
            laptop.wall(&account, None, 200).unwrap()
        );
        sound(replica);
    }
}

#[test]
fn a_tombstone_of_the_same_commit_keeps_the_text_out() {
    let (laptop, account) = person(1, "ada");
    let posts = post(&laptop, 0, 10);
    // Given while it was there, with the changes that withdraw it.
    let hub = replica(4);
    hub.subscribe(Subscription::whole(account)).unwrap();
    let early = replica(5);
    early.subscribe(Subscription::whole(account)).unwrap();
    give_all(&laptop, &early);
    let kept: Vec<Bytes> = rows(&early, b"A").iter().flat_map(|(_, row)| bodies(row)).collect();
    laptop.delete(posts[4], NOW + 20).unwrap();
    let (changes, _) = collected(&laptop, &hub);
    hub.receive_with(&laptop.own_device(), changes, kept, NOW).unwrap();
    assert_eq!(rows_with(&hub, "text number 4."), 0);
    assert_eq!(rows_with(&hub, "text number 5."), 1);
    sound(&hub);
}

#[test]
fn a_damaged_body_of_a_row_is_named_alone_and_fetched_again() {
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let posts = post(&laptop, 0, 30);
    give_all(&laptop, &phone);
    let (key, row) = rows(&phone, b"A").into_iter().next_back().unwrap();
    let mut damaged = row.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let mut batch = Batch::new();
    batch.put(Table::Meta, key.clone(), damaged);
    phone.store().commit(batch).unwrap();
    let shown = phone.show(&posts[29]).unwrap();
    assert_eq!(shown.text, Text::Damaged);
    assert!(phone.verify().unwrap().problems.len() == 1);
    assert_eq!(phone.damaged_bodies().unwrap().len(), 1);
    assert_eq!(rows_with(&phone, "text number 28."), 1);
    give_all(&laptop, &phone);
    sound(&phone);
    assert_eq!(phone.show(&posts[29]).unwrap(), laptop.show(&posts[29]).unwrap());
    // Without the row all of its bodies are missed, and come again.
    let mut batch = Batch::new();
    batch.delete(Table::Meta, key);
    phone.store().commit(batch).unwrap();
    assert!(phone.verify().unwrap().problems.len() >= 20);
    give_all(&laptop, &phone);
    sound(&phone);
    assert_eq!(phone.wall(&account, None, 200).unwrap(), laptop.wall(&account, None, 200).unwrap());
}

#[test]
fn who_asks_for_a_hash_that_begins_alike_gets_nothing_and_harms_nobody() {
    let (laptop, _) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    post(&laptop, 0, 30);
    give_all(&laptop, &phone);
    let before = counts(&phone);
    let asks = laptop.own_device();
    for body in rows(&phone, b"A").iter().flat_map(|(_, row)| bodies(row)) {
        let hash = BlobHash::of(&body);
        let mut alike = *hash.as_bytes();
        alike[31] ^= 1;
        assert_eq!(phone.body(&asks, &BlobHash::from_bytes(alike)).unwrap(), None);
        assert_eq!(phone.set_damaged_aside().unwrap(), 0);
        assert_eq!(phone.body(&asks, &hash).unwrap(), Some(body));
    }
    assert_eq!(counts(&phone), before);
    assert_eq!(rows_with(&phone, "text number 7."), 1);
    sound(&phone);
}
