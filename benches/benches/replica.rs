//! The front door: a durable post, taking in a wall, reading it.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use mosaic_benches::{TIME_MS, author, disk_store, everything_public, post, reader};
use mosaic_engine::hash::BlobHash;
use mosaic_engine::store::Table;
use mosaic_engine::store::memory::MemoryStore;
use mosaic_engine::sync::exchange::Exchange;

const POSTS: u64 = 1000;

fn append(c: &mut Criterion) {
    let folder = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (ours, theirs) = (folder(), folder());
    let laptop = author(disk_store(ours.path()), 0);
    let mut group = c.benchmark_group("append/durable post");
    let mut n = 0;
    group.bench_function("mosaic", |b| {
        b.iter(|| {
            n += 1;
            post(&laptop, n)
        });
    });
    group.bench_function("floor: fjall batch of the same rows, fdatasync", |b| {
        let database = Database::builder(theirs.path()).open().expect("a database");
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default).expect("a keyspace");
        b.iter(|| {
            n += 1;
            let name = *BlobHash::of(&n.to_be_bytes()).as_bytes();
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            // change, body, chain index, head, entry, wall
            for (row, bytes) in [162, 91, 32, 300, 97, 8].into_iter().enumerate() {
                let mut key = name.to_vec();
                key.extend_from_slice(&row.to_be_bytes());
                batch.insert(&rows, key, vec![7; bytes]);
            }
            batch.commit().expect("a commit");
        });
    });
    group.finish();
    laptop.close().expect("a closed replica");
}

fn ingest(c: &mut Criterion) {
    let laptop = author(Arc::new(MemoryStore::new()), POSTS);
    let (account, device) = (laptop.account().expect("one"), laptop.device().expect("one"));
    let [authority, public] = everything_public(&laptop);
    let mut group = c.benchmark_group("ingest/wall of 1,000 posts into an empty replica");
    group.sample_size(10).throughput(Throughput::Elements(POSTS));
    group.bench_function("mosaic, memory store", |b| {
        b.iter_batched(
            || {
                let hub = reader(account);
                hub.receive(&device, authority.clone(), TIME_MS).expect("a receipt");
                (hub, public.clone())
            },
            |(hub, public)| {
                let receipt = hub.receive(&device, public, TIME_MS).expect("a receipt");
                assert_eq!(receipt.changes, POSTS, "{receipt:?}");
                hub
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn view(c: &mut Criterion) {
    let laptop = author(Arc::new(MemoryStore::new()), POSTS);
    let account = laptop.account().expect("an account");
    let mut group = c.benchmark_group("view/newest 50 of a wall of 1,000 posts");
    group.throughput(Throughput::Elements(50));
    group.bench_function("mosaic, memory store", |b| {
        b.iter(|| laptop.wall(&account, None, 50).expect("a wall"));
    });
    group.bench_function("floor: 50 rows, 50 changes and 50 bodies of the same store", |b| {
        let posts = laptop.wall(&account, None, 50).expect("a wall");
        let store = laptop.store();
        b.iter(|| {
            let rows = store.scan(Table::Rows, b"w", None, false, 50).expect("rows");
            let found = posts.iter().filter(|post| {
                let change = mosaic_engine::store::keys::blob(&post.id.blob());
                let bytes = store.get(Table::Truth, &change).expect("a store");
                // the body is of the same size, and so costs the same to get and hash
                let again = store.get(Table::Truth, &change).expect("a store");
                bytes.is_some_and(|b| BlobHash::of(&b) == post.id.blob()) && again.is_some()
            });
            (rows.len(), found.count())
        });
    });
    group.finish();
}

criterion_group!(benches, append, ingest, view);
criterion_main!(benches);
