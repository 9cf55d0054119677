//! What every store must do, whatever it is made of. Each check starts with an empty store and may
//! open it again.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed check is a panic")]

use std::{
    io::Cursor,
    sync::{Arc, Barrier, mpsc},
    thread,
};

use bytes::Bytes;

use crate::hash::BlobHash;

use super::{
    BATCH_BYTES_MAX, BLOB_READ_BYTES_MAX, Batch, CommitNumber, GROUP_BYTES, KEY_BYTES_MAX,
    PARTIAL_STEP_BYTES, RESERVED_META_BYTE, Row, Store, StoreError, Table, VALUE_BYTES_MAX,
};

/// Opens one store again and again; each opening sees what the one before committed. The one
/// before has been closed.
pub type Reopen = Box<dyn FnMut() -> Arc<dyn Store>>;

/// Runs every check; `fresh` makes an empty store for each.
///
/// # Panics
///
/// When the store does not conform.
pub fn check_all(fresh: &mut dyn FnMut() -> Reopen) {
    let checks: [fn(&mut Reopen); 13] = [
        batches_are_whole,
        the_later_operation_wins,
        scans_keep_order_and_bounds,
        limits_are_kept,
        commits_are_numbered_across_openings,
        everything_survives_reopening,
        many_submitters_all_commit,
        closing_commits_what_waits,
        blobs_are_kept_and_read_in_ranges,
        blobs_are_capped_and_named,
        many_blobs_come_and_go_at_once,
        parts_of_blobs_are_kept_and_go_on,
        parts_that_make_another_blob_are_refused,
    ];
    for check in checks {
        check(&mut fresh());
    }
}

fn put(table: Table, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(table, key.to_vec(), value.to_vec());
    batch
}

fn keys(rows: &[Row]) -> Vec<&[u8]> {
    rows.iter().map(|(key, _)| key.as_ref()).collect()
}

fn batches_are_whole(reopen: &mut Reopen) {
    let store = reopen();
    let mut batch = Batch::new();
    for table in Table::ALL {
        batch.put(table, b"k".to_vec(), table.name().as_bytes().to_vec());
    }
    store.commit(batch).unwrap();
    for table in Table::ALL {
        assert_eq!(store.get(table, b"k").unwrap().as_deref(), Some(table.name().as_bytes()));
        assert_eq!(store.get(table, b"other").unwrap(), None);
    }
    let mut batch = Batch::new();
    batch.delete(Table::Rows, b"k".to_vec());
    batch.delete(Table::Rows, b"absent".to_vec());
    batch.put(Table::Truth, b"empty".to_vec(), Bytes::new());
    store.commit(batch).unwrap();
    assert_eq!(store.get(Table::Rows, b"k").unwrap(), None);
    assert_eq!(store.get(Table::Truth, b"empty").unwrap(), Some(Bytes::new()));
    assert!(store.get(Table::Truth, b"k").unwrap().is_some());
    store.close().unwrap();
}

fn the_later_operation_wins(reopen: &mut Reopen) {
    let store = reopen();
    let mut batch = put(Table::Rows, b"a", b"1");
    batch.put(Table::Rows, b"a".to_vec(), b"2".to_vec());
    batch.put(Table::Rows, b"b".to_vec(), b"1".to_vec());
    batch.delete(Table::Rows, b"b".to_vec());
    let pending: Vec<_> = [batch, put(Table::Rows, b"a", b"3"), put(Table::Rows, b"a", b"4")]
        .into_iter()
        .map(|batch| store.submit(batch).unwrap())
        .collect();
    for pending in pending {
        pending.wait().unwrap();
    }
    assert_eq!(store.get(Table::Rows, b"a").unwrap().as_deref(), Some(&b"4"[..]));
    assert_eq!(store.get(Table::Rows, b"b").unwrap(), None);
    store.close().unwrap();
}

fn scans_keep_order_and_bounds(reopen: &mut Reopen) {
    let store = reopen();
    let mut batch = Batch::new();
    for key in [&b"a"[..], b"b", b"b\x00", b"b\x01", b"b\xfe", b"b\xff", b"b\xff\xff", b"c"] {
        batch.put(Table::Rows, key.to_vec(), key.to_vec());
        batch.put(Table::Meta, key.to_vec(), key.to_vec());
    }
    batch.put(Table::Rows, b"\xff".to_vec(), b"\xff".to_vec());
    batch.put(Table::Rows, b"\xff\xff".to_vec(), b"\xff\xff".to_vec());
    store.commit(batch).unwrap();
    let scan = |prefix: &[u8], start: Option<&[u8]>, reverse: bool, limit: usize| {
        store.scan(Table::Rows, prefix, start, reverse, limit).unwrap()
    };
    let all = scan(b"", None, false, usize::MAX);
    assert_eq!(all.len(), 10);
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(all.iter().all(|(key, value)| key == value));
    let mut backwards = scan(b"", None, true, usize::MAX);
    backwards.reverse();
    assert_eq!(all, backwards);
    let under_b = [&b"b"[..], b"b\x00", b"b\x01", b"b\xfe", b"b\xff", b"b\xff\xff"];
    assert_eq!(keys(&scan(b"b", None, false, 100)), under_b);
    assert_eq!(keys(&scan(b"b", None, false, 2)), under_b[..2]);
    assert_eq!(keys(&scan(b"b", None, true, 2)), [&b"b\xff\xff"[..], b"b\xff"]);
    assert_eq!(keys(&scan(b"b", Some(b"b\x01"), false, 2)), [&b"b\x01"[..], b"b\xfe"]);
    assert_eq!(keys(&scan(b"b", Some(b"b\x02"), true, 2)), [&b"b\x01"[..], b"b\x00"]);
    assert_eq!(keys(&scan(b"\xff", None, false, 9)), [&b"\xff"[..], b"\xff\xff"]);
    assert_eq!(keys(&scan(b"\xff", Some(b"\xff\xff"), false, 9)), [&b"\xff\xff"[..]]);
    assert!(scan(b"b", None, false, 0).is_empty() && scan(b"bb", None, false, 9).is_empty());
    assert!(store.scan(Table::Rows, b"b", Some(b"a"), false, 1).is_err());
    // the store's own rows are nobody else's
    assert_eq!(store.scan(Table::Meta, b"", None, false, 99).unwrap().len(), 8);
    assert_eq!(store.scan(Table::Meta, b"", None, true, 1).unwrap()[0].0.as_ref(), b"c");
    assert!(store.scan(Table::Meta, &[RESERVED_META_BYTE], None, false, 9).unwrap().is_empty());
    let mut walked = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        walked.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        Ok(())
    };
    assert_eq!(store.verify(Table::Rows, &mut visit).unwrap(), 10);
    assert_eq!(walked, all);
    assert_eq!(store.verify(Table::Meta, &mut |_, _| Ok(())).unwrap(), 8);
    let stop = store.verify(Table::Rows, &mut |_, _| Err(StoreError::Closed));
    assert!(matches!(stop, Err(StoreError::Closed)));
    store.verify_files().unwrap();
    store.close().unwrap();
}

fn limits_are_kept(reopen: &mut Reopen) {
    let store = reopen();
    let refused = |batch: Batch| matches!(store.submit(batch), Err(StoreError::Refused { .. }));
    assert!(refused(put(Table::Rows, b"", b"x")));
    assert!(refused(put(Table::Rows, &[1; KEY_BYTES_MAX + 1], b"x")));
    assert!(refused(put(Table::Rows, b"k", &vec![1; VALUE_BYTES_MAX + 1])));
    assert!(refused(put(Table::Meta, &[RESERVED_META_BYTE, 1], b"x")));
    let mut large = Batch::new();
    for n in 0..=(BATCH_BYTES_MAX / VALUE_BYTES_MAX) {
        large.put(Table::Rows, format!("{n}"), vec![0; VALUE_BYTES_MAX]);
    }
    assert!(refused(large));
    store.commit(put(Table::Rows, &[1; KEY_BYTES_MAX], &vec![1; VALUE_BYTES_MAX])).unwrap();
    let value = store.get(Table::Rows, &[1; KEY_BYTES_MAX]).unwrap().unwrap();
    assert_eq!(value.len(), VALUE_BYTES_MAX);
    store.close().unwrap();
}

fn commits_are_numbered_across_openings(reopen: &mut Reopen) {
    let store = reopen();
    for n in 1..=3 {
        assert_eq!(store.commit(put(Table::Rows, b"k", b"v")).unwrap(), CommitNumber(n));
    }
    assert_eq!(store.commit(Batch::new()).unwrap(), CommitNumber(4));
    let stats = store.stats();
    assert_eq!((stats.commits, stats.last_commit), (4, CommitNumber(4)));
    assert_eq!(stats.bytes_written, 6);
    assert!(stats.fsyncs <= 4 && stats.rows.rows >= 1);
    store.close().unwrap();
    let store = reopen();
    assert_eq!(store.stats().last_commit, CommitNumber(4));
    assert_eq!(store.commit(Batch::new()).unwrap(), CommitNumber(5));
    store.close().unwrap();
}

fn everything_survives_reopening(reopen: &mut Reopen) {
    for round in 0..4u8 {
        let store = reopen();
        for before in 0..round {
            for n in 0..200u32 {
                let key = [&[before][..], &n.to_be_bytes()].concat();
                let kept = store.get(Table::Truth, &key).unwrap();
                assert_eq!(kept.as_deref(), Some(&[before; 100][..]));
            }
        }
        assert_eq!(
            store.scan(Table::Truth, b"", None, false, 9999).unwrap().len(),
            usize::from(round) * 200
        );
        for n in 0..200u32 {
            let key = [&[round][..], &n.to_be_bytes()].concat();
            drop(store.submit(put(Table::Truth, &key, &[round; 100])).unwrap());
        }
        store.commit(Batch::new()).unwrap();
        store.close().unwrap();
    }
}

fn many_submitters_all_commit(reopen: &mut Reopen) {
    let store = reopen();
    let barrier = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8u8)
        .map(|thread| {
            let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                let mut last = CommitNumber(0);
                for n in 0..25u8 {
                    let number = store.commit(put(Table::Rows, &[thread, n], &[n])).unwrap();
                    assert!(number > last);
                    assert!(store.get(Table::Rows, &[thread, n]).unwrap().is_some());
                    last = number;
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(store.stats().last_commit, CommitNumber(200));
    assert_eq!(store.scan(Table::Rows, b"", None, false, 999).unwrap().len(), 200);
    let (sender, receiver) = mpsc::channel();
    store
        .submit(Batch::new())
        .unwrap()
        .on_done(move |outcome| sender.send(outcome.unwrap()).unwrap());
    assert_eq!(receiver.recv().unwrap(), CommitNumber(201));
    store.close().unwrap();
}

fn closing_commits_what_waits(reopen: &mut Reopen) {
    let store = reopen();
    let pending: Vec<_> =
        (0..100u8).map(|n| store.submit(put(Table::Rows, &[n], &[n])).unwrap()).collect();
    store.close().unwrap();
    store.close().unwrap();
    for pending in pending {
        pending.wait().unwrap();
    }
    assert!(matches!(store.get(Table::Rows, &[1]), Err(StoreError::Closed)));
    assert!(matches!(store.submit(Batch::new()), Err(StoreError::Closed)));
    drop(store);
    let store = reopen();
    assert_eq!(store.scan(Table::Rows, b"", None, false, 999).unwrap().len(), 100);
    store.close().unwrap();
}

fn sample(len: u32) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn blobs_are_kept_and_read_in_ranges(reopen: &mut Reopen) {
    let mut store = reopen();
    let samples: Vec<Vec<u8>> =
        [0, 1, 16384, 16385, 100_000, 3_000_000].map(sample).into_iter().collect();
    for bytes in &samples {
        let info = store.blob_put(&mut Cursor::new(bytes), 1 << 30).unwrap();
        assert_eq!((info.hash, info.size), (BlobHash::of(bytes), bytes.len() as u64));
    }
    for _ in 0..2 {
        for bytes in &samples {
            let hash = BlobHash::of(bytes);
            assert_eq!(store.blob_info(&hash).unwrap().unwrap().size, bytes.len() as u64);
            for (offset, len) in [(0, 10), (5, 16384), (16383, 2), (90_000, 1 << 20), (1 << 40, 5)]
            {
                let found = store.blob_read(&hash, offset, len).unwrap().unwrap();
                let from = usize::try_from(offset).unwrap().min(bytes.len());
                let to = from.saturating_add(len.min(BLOB_READ_BYTES_MAX)).min(bytes.len());
                assert_eq!(found, &bytes[from..to]);
            }
            let groups = store.blob_groups(&hash, 0, 999).unwrap().unwrap();
            assert_eq!(groups.len(), bytes.len().div_ceil(16384));
        }
        store.close().unwrap();
        drop(store);
        store = reopen();
    }
    let first = store.blobs(None, 4).unwrap();
    let rest = store.blobs(Some(&first[3].hash), 9).unwrap();
    assert_eq!((first.len(), rest.len()), (4, 2));
    assert_eq!(store.stats().blobs.rows, 6);
    store.verify_files().unwrap();
    let hash = BlobHash::of(&samples[4]);
    assert!(store.blob_remove(&hash).unwrap());
    assert!(!store.blob_remove(&hash).unwrap());
    assert_eq!(store.blob_read(&hash, 0, 1).unwrap(), None);
    assert_eq!(store.blobs(None, 99).unwrap().len(), 5);
    store.close().unwrap();
}

fn blobs_are_capped_and_named(reopen: &mut Reopen) {
    let store = reopen();
    let bytes = sample(40_000);
    let over = store.blob_put(&mut Cursor::new(&bytes), 39_999);
    assert!(matches!(over, Err(StoreError::Refused { limit: 39_999, .. })));
    store.blob_put(&mut Cursor::new(&bytes), 40_000).unwrap();
    let other = sample(20_000);
    let mut writer = store.blob_create(1 << 20).unwrap();
    writer.write(&other).unwrap();
    let wrong = writer.finish(Some(&BlobHash::of(b"something else")));
    assert!(matches!(wrong, Err(StoreError::Refused { .. })));
    assert_eq!(store.blob_info(&BlobHash::of(&other)).unwrap(), None);
    let mut abandoned = store.blob_create(1 << 20).unwrap();
    abandoned.write(&other).unwrap();
    drop(abandoned);
    assert_eq!(store.blobs(None, 9).unwrap().len(), 1);
    store.close().unwrap();
}

fn many_blobs_come_and_go_at_once(reopen: &mut Reopen) {
    let store = reopen();
    let blobs: Vec<(BlobHash, Bytes)> = (0..100)
        .map(|n| Bytes::from(sample(20_000 + n)))
        .map(|bytes| (BlobHash::of(&bytes), bytes))
        .collect();
    let hashes: Vec<BlobHash> = blobs.iter().map(|(hash, _)| *hash).collect();
    let before = store.stats().commits;
    store.blobs_put(&blobs).unwrap();
    // One is named twice, and all are here already.
    store.blobs_put(&[blobs.clone(), blobs[..1].to_vec()].concat()).unwrap();
    assert!(store.stats().commits - before <= 1);
    assert_eq!(store.stats().blobs.rows, 100);
    let strange = (BlobHash::of(b"another"), Bytes::from_static(b"strange"));
    assert!(matches!(store.blobs_put(&[strange]), Err(StoreError::Refused { .. })));
    store.close().unwrap();
    let store = reopen();
    for (hash, bytes) in &blobs {
        assert_eq!(store.blob_read(hash, 0, 1 << 20).unwrap().as_ref(), Some(bytes));
    }
    let before = store.stats().commits;
    let twice = [&hashes[..], &hashes[..1]].concat();
    assert_eq!(store.blobs_remove(&twice).unwrap(), 100);
    assert!(store.stats().commits - before <= 1);
    assert_eq!(store.blobs_remove(&hashes).unwrap(), 0);
    assert_eq!((store.stats().blobs.rows, store.stats().blobs.bytes), (0, 0));
    assert_eq!(store.blob_info(&hashes[0]).unwrap(), None);
    store.close().unwrap();
}

/// Writes the groups of `bytes` that begin in `range`.
fn write_groups(
    partial: &mut dyn super::PartialBlob,
    bytes: &[u8],
    range: std::ops::Range<usize>,
) -> u64 {
    let mut fresh = 0;
    for (index, group) in bytes.chunks(GROUP_BYTES).enumerate() {
        let offset = index * GROUP_BYTES;
        if range.contains(&offset) && partial.write(offset as u64, group).unwrap() {
            fresh += group.len() as u64;
        }
    }
    fresh
}

fn parts_of_blobs_are_kept_and_go_on(reopen: &mut Reopen) {
    const PARTS: [std::ops::Range<usize>; 3] = [200_000..400_000, 0..16_384, 900_000..1_000_000];
    for len in [0, 1, 16_384, 16_385, 1_000_000u32] {
        let bytes = sample(len);
        let (hash, size) = (BlobHash::of(&bytes), bytes.len() as u64);
        let mut held = 0;
        for part in PARTS {
            let store = reopen();
            let mut partial = store.partial_open(&hash, size).unwrap();
            assert!(matches!(store.partial_open(&hash, size), Err(StoreError::Busy(_))));
            assert!(!store.partial_remove(&hash, size).unwrap(), "it is open");
            let missing: u64 = partial.missing().iter().map(|part| part.end - part.start).sum();
            assert_eq!(missing, size - held);
            held += write_groups(&mut *partial, &bytes, part.clone());
            assert_eq!(write_groups(&mut *partial, &bytes, part), 0, "written twice");
            partial.checkpoint().unwrap();
            assert!(partial.write(5, &[0]).is_err() && partial.write(0, &[0; 99_999]).is_err());
            let whole = partial.missing().is_empty();
            assert_eq!(partial.finish().is_ok(), whole, "{len}");
            let kept = store.partials().unwrap();
            assert_eq!(kept.iter().map(|p| p.held).sum::<u64>(), if whole { 0 } else { held });
            assert!(kept.iter().all(|partial| !partial.open));
            assert_eq!(store.blob_info(&hash).unwrap().is_some(), whole);
            store.close().unwrap();
            if whole {
                break;
            }
        }
        let store = reopen();
        let mut partial = store.partial_open(&hash, size).unwrap();
        write_groups(&mut *partial, &bytes, 0..usize::MAX);
        assert_eq!(partial.finish().unwrap().size, size);
        let read = store.blob_read(&hash, 0, BLOB_READ_BYTES_MAX).unwrap().unwrap();
        assert!(read == bytes && store.partials().unwrap().is_empty());
        store.close().unwrap();
    }
    let store = reopen();
    let bytes = sample(u32::try_from(PARTIAL_STEP_BYTES).unwrap() * 2);
    let hash = BlobHash::of(&bytes);
    let mut partial = store.partial_open(&hash, bytes.len() as u64).unwrap();
    write_groups(&mut *partial, &bytes, 0..bytes.len() * 3 / 4);
    drop(partial);
    let info = store.partials().unwrap().remove(0);
    assert_eq!(info.held, PARTIAL_STEP_BYTES, "what came after the last step is lost");
    assert!(info.disk_bytes >= info.held);
    assert!(store.partial_remove(&hash, info.size).unwrap());
    assert!(!store.partial_remove(&hash, info.size).unwrap());
    assert!(store.partials().unwrap().is_empty());
    store.close().unwrap();
}

fn parts_that_make_another_blob_are_refused(reopen: &mut Reopen) {
    let store = reopen();
    for len in [100, 100_000] {
        let bytes = sample(len);
        let hash = BlobHash::of(b"something else");
        let mut partial = store.partial_open(&hash, u64::from(len)).unwrap();
        write_groups(&mut *partial, &bytes, 0..usize::MAX);
        assert!(matches!(partial.finish(), Err(StoreError::Refused { .. })));
        assert_eq!(store.blob_info(&hash).unwrap(), None);
        assert!(store.partials().unwrap().is_empty(), "it could never become whole");
    }
    store.close().unwrap();
}
