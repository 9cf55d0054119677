//! The store beside bare fjall with the same settings: what the contract costs.
//!
//! `CARGO_TARGET_TMPDIR` lies on disk, so that an fsync is one.

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use mosaic_benches::disk_store;
use mosaic_engine::hash::BlobHash;
use mosaic_engine::store::{Batch, Table};

/// Bytes of a value: a change with its head and rows.
const VALUE: [u8; 300] = [7; 300];
const GROUP: u64 = 64;
const ROWS: u64 = 10_000;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn bare(folder: &Path) -> (Database, Keyspace) {
    let database = Database::builder(folder).open().expect("a database");
    let keyspace = database.keyspace("truth", KeyspaceCreateOptions::default).expect("a keyspace");
    (database, keyspace)
}

fn key(n: u64) -> [u8; 32] {
    *BlobHash::of(&n.to_be_bytes()).as_bytes()
}

fn commit(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/durable commit");
    let (ours, theirs) = (folder(), folder());
    let store = disk_store(ours.path());
    let (database, keyspace) = bare(theirs.path());
    let mut n = 0;

    group.bench_function("mosaic, one", |b| {
        b.iter(|| {
            n += 1;
            let mut batch = Batch::new();
            batch.put(Table::Truth, key(n).to_vec(), VALUE.to_vec());
            store.commit(batch).expect("a commit")
        });
    });
    group.bench_function("floor: fjall batch with fdatasync", |b| {
        b.iter(|| {
            n += 1;
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            batch.insert(&keyspace, key(n), VALUE);
            batch.commit().expect("a commit");
        });
    });
    group.throughput(Throughput::Elements(GROUP));
    group.bench_function("mosaic, 64 in flight", |b| {
        b.iter(|| {
            let submit = |n: u64| {
                let mut batch = Batch::new();
                batch.put(Table::Truth, key(n).to_vec(), VALUE.to_vec());
                store.submit(batch).expect("a place in the queue")
            };
            let pending: Vec<_> = (n..n + GROUP).map(submit).collect();
            n += GROUP;
            pending.into_iter().map(|one| one.wait().expect("a commit")).max()
        });
    });
    group.bench_function("floor: fjall batch of 64 with fdatasync", |b| {
        b.iter(|| {
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            (n..n + GROUP).for_each(|n| batch.insert(&keyspace, key(n), VALUE));
            n += GROUP;
            batch.commit().expect("a commit");
        });
    });
    group.finish();
    store.close().expect("a closed store");
}

fn get(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/get");
    let (ours, theirs) = (folder(), folder());
    let store = disk_store(ours.path());
    let (database, keyspace) = bare(theirs.path());
    let mut batch = Batch::new();
    let mut floor = database.batch().durability(Some(PersistMode::SyncData));
    for n in 0..ROWS {
        batch.put(Table::Truth, key(n).to_vec(), VALUE.to_vec());
        floor.insert(&keyspace, key(n), VALUE);
    }
    store.commit(batch).expect("a commit");
    floor.commit().expect("a commit");
    let mut n = 0;

    group.bench_function("mosaic", |b| {
        b.iter(|| {
            n = (n + 7919) % ROWS;
            store.get(Table::Truth, &key(n)).expect("a store").expect("a value")
        });
    });
    group.bench_function("floor: fjall", |b| {
        b.iter(|| {
            n = (n + 7919) % ROWS;
            keyspace.get(key(n)).expect("a database").expect("a value")
        });
    });
    group.finish();
    store.close().expect("a closed store");
}

criterion_group!(benches, commit, get);
criterion_main!(benches);
