//! What takes room and serves nothing is found and given back; nothing else is.

use mosaic_engine::hash::BlobHash;
use mosaic_engine::replica::{Garbage, GarbageKind};
use mosaic_engine::store::{Batch, Table, keys};
use proptest::prelude::*;

use super::*;

/// A store with some of everything.
struct Full {
    laptop: Replica,
    hub: Replica,
    posts: Vec<ChangeId>,
}

fn file(replica: &Replica, n: usize, bytes: usize) -> Attachment {
    let bytes: Vec<u8> = (0..bytes).map(|at| (at * 31 + n * 7).to_le_bytes()[0]).collect();
    let body = replica.add_file(&mut bytes.as_slice(), 1 << 30).unwrap();
    let (media_type, name, alt) = (String::new(), format!("{n}"), String::new());
    Attachment { body, media_type, name, alt }
}

/// A laptop with posts of every size, and a hub that keeps all of it but the large files.
fn full(posts: usize) -> Full {
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    let posts = (0..posts).map(|n| {
        let attachment = file(&laptop, n, 300_000 + n);
        let (body, attachments) = (attachment.body, vec![attachment]);
        let text = "text".repeat(if n % 2 == 0 { 1 } else { 10_000 });
        let draft = Draft { text, attachments };
        let id = laptop.post(draft, None, NOW + n as u64).unwrap();
        laptop.release_file(&body).unwrap();
        id
    });
    let posts = posts.collect();
    give(&laptop, &hub);
    Full { laptop, hub, posts }
}

fn bytes(found: &[Garbage]) -> u64 {
    found.iter().map(|item| item.bytes).sum()
}

/// A dry run and a real one say the same, and after it there is nothing left to say.
fn collect(replica: &Replica) -> Vec<Garbage> {
    let sizes = || {
        let stats = replica.store().stats();
        [stats.truth, stats.rows, stats.meta, stats.blobs]
    };
    let before = sizes();
    let dry = replica.garbage().unwrap();
    assert_eq!(sizes(), before, "a dry run changes nothing");
    let done = replica.collect_garbage().unwrap();
    assert_eq!((bytes(&dry), &dry), (bytes(&done), &done));
    assert_eq!(replica.garbage().unwrap(), []);
    sound(replica);
    done
}

/// All bytes that are kept, in tables and beside them.
fn kept(replica: &Replica) -> u64 {
    let stats = replica.store().stats();
    let partials = replica.store().partials().unwrap();
    let parts: u64 = partials.iter().map(|partial| partial.disk_bytes).sum();
    stats.truth.bytes + stats.blobs.bytes + parts
}

#[test]
fn what_is_named_is_no_garbage() {
    let Full { laptop, hub, .. } = full(4);
    assert_eq!(collect(&laptop), []);
    assert_eq!(collect(&hub), []);
}

#[test]
fn a_file_that_waits_for_its_post_stays() {
    let Full { laptop, .. } = full(1);
    let waiting = file(&laptop, 9, 50_000);
    assert_eq!(collect(&laptop), []);
    let draft = Draft { text: "late".into(), attachments: vec![waiting.clone()] };
    laptop.post(draft, None, NOW + 9).unwrap();
    laptop.release_file(&waiting.body).unwrap();
    assert_eq!(collect(&laptop), []);
    let given_up = file(&laptop, 10, 50_000);
    laptop.release_file(&given_up.body).unwrap();
    assert_eq!(laptop.store().blob_info(&given_up.body.hash).unwrap(), None, "gone at once");
}

#[test]
fn a_part_stays_as_long_as_it_is_wanted() {
    let Full { laptop, hub, posts } = full(2);
    let section = |replica: &Replica| {
        let sections = replica.kept_sections().unwrap();
        sections.into_iter().find(|s| !replica.missing_files(s).unwrap().is_empty())
    };
    let wanted = hub.missing_files(&section(&hub).unwrap()).unwrap();
    for body in &wanted {
        let blob = laptop.blob_for(&hub.own_device(), &body.hash).unwrap().unwrap();
        let mut intake = hub.begin_file(body).unwrap().unwrap();
        intake.write(0, &blob[..GROUP_BYTES]).unwrap();
        intake.checkpoint().unwrap();
        assert_eq!(hub.garbage().unwrap(), [], "it is open");
    }
    assert_eq!(collect(&hub), []);
    // deleted: what came of its file goes with it
    laptop.delete(posts[0], NOW + 100).unwrap();
    give(&laptop, &hub);
    assert_eq!(hub.store().partials().unwrap().len(), 1);
    assert_eq!(collect(&hub), []);
    // no longer fetched, since files are not to be kept: nothing wants the other
    let ada = laptop.account().unwrap();
    let small = Subscription { body_bytes_max: 1000, ..Subscription::whole(ada) };
    hub.subscribe(small).unwrap();
    let found = collect(&hub);
    assert_eq!(found.iter().map(|item| item.kind).collect::<Vec<_>>(), [GarbageKind::Partial]);
    assert!(hub.store().partials().unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_dry_run_says_exactly_what_the_real_one_frees(
        deleted in proptest::collection::vec(any::<bool>(), 4),
        files in proptest::collection::vec(0usize..60_000, 0..4),
        rows in proptest::collection::vec(0usize..9_000, 0..4),
        parts in 0usize..4,
    ) {
        let Full { laptop, hub, posts } = full(4);
        for (id, _) in posts.iter().zip(&deleted).filter(|(_, deleted)| **deleted) {
            laptop.delete(*id, NOW + 50).unwrap();
        }
        // left by whoever ended before it could name them
        for len in &files {
            laptop.store().blob_put(&mut &vec![3u8; *len][..], 1 << 20).unwrap();
        }
        let mut batch = Batch::new();
        for len in &rows {
            let blob = vec![5u8; *len];
            batch.put(Table::Truth, keys::blob(&BlobHash::of(&blob)), blob);
        }
        laptop.store().commit(batch).unwrap();
        for n in 0..parts {
            let bytes = vec![n.to_le_bytes()[0]; 40_000];
            let hash = BlobHash::of(&bytes);
            let mut partial = laptop.store().partial_open(&hash, 40_000).unwrap();
            partial.write(0, &bytes[..GROUP_BYTES]).unwrap();
            partial.checkpoint().unwrap();
        }
        let before = kept(&laptop);
        let freed = bytes(&collect(&laptop));
        prop_assert_eq!(before - kept(&laptop), freed);
        // what is not deleted reads as before, and still reaches others
        give(&laptop, &hub);
        let ada = laptop.account().unwrap();
        let left = deleted.iter().filter(|deleted| !**deleted).count();
        let readable = |replica: &Replica| {
            let posts = replica.wall(&ada, None, 99).unwrap();
            posts.into_iter().filter(|post| matches!(post.text, Text::Here(_))).count()
        };
        prop_assert_eq!((readable(&laptop), readable(&hub)), (left, left));
    }
}
