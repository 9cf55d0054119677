//! Blobs on their way in, and crashes at every step of it.

use proptest::prelude::*;

use super::*;
use crate::hash::BlobHash;
use crate::store::{GROUP_BYTES, PARTIAL_STEP_BYTES, PartialBlob, faulty::Fault};

const SIZE: usize = 5_000_000;

fn bytes(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(b"sample").finalize_xof().fill(&mut bytes);
    bytes
}

fn write(partial: &mut dyn PartialBlob, bytes: &[u8], group: usize) -> Result<bool, StoreError> {
    let offset = group * GROUP_BYTES;
    let end = (offset + GROUP_BYTES).min(bytes.len());
    partial.write(offset as u64, &bytes[offset..end])
}

/// Takes in what is missing, last group first; the error is what a crash leaves.
fn take_in(store: &dyn Store, hash: &BlobHash, bytes: &[u8]) -> Result<u64, StoreError> {
    let mut partial = store.partial_open(hash, bytes.len() as u64)?;
    let mut fetched = 0;
    for range in partial.missing().into_iter().rev() {
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        let groups = start / GROUP_BYTES..end.div_ceil(GROUP_BYTES);
        for group in groups.rev() {
            write(&mut *partial, bytes, group)?;
            fetched += 1;
        }
    }
    partial.finish()?;
    Ok(fetched)
}

fn files(place: &Place) -> usize {
    let partial = place.home().join("store/blobs/partial");
    fs::read_dir(partial).unwrap().count()
}

#[test]
fn whichever_step_crashes_what_counts_is_right_and_the_rest_comes() {
    let bytes = bytes(SIZE);
    let (hash, groups) = (BlobHash::of(&bytes), SIZE.div_ceil(GROUP_BYTES) as u64);
    // around the opening, a checkpoint, and the end; and what never comes to its turn
    let steps = [1, 2, 128, 129, 130, 250, groups + 1, groups + 2, groups + 3];
    for (fault, n) in [Fault::CrashBefore, Fault::CrashAfter, Fault::DiskFull]
        .into_iter()
        .flat_map(|fault| steps.map(|n| (fault, n)))
    {
        let place = Place::new();
        let store = Faulty::new(place.open().store).failing(n, fault);
        let done = take_in(&store, &hash, &bytes);
        assert_eq!((store.struck(), done.is_err()), (n < groups + 3, n < groups + 3), "step {n}");
        drop(store);
        let store = place.open().store;
        let held = store.partials().unwrap().first().map_or(0, |partial| partial.held);
        if store.blob_info(&hash).unwrap().is_none() {
            let fetched = take_in(&store, &hash, &bytes).unwrap();
            let missing = SIZE as u64 - held;
            assert_eq!(fetched, missing.div_ceil(GROUP_BYTES as u64), "step {n}");
            // as few as were promised
            let written = n.saturating_sub(2).min(groups) * GROUP_BYTES as u64;
            assert!(written.min(SIZE as u64) <= held + PARTIAL_STEP_BYTES, "step {n}: {held}");
        }
        assert!(store.blob_read(&hash, 0, 1 << 20).unwrap().unwrap() == bytes[..1 << 20]);
        assert_eq!((files(&place), store.partials().unwrap().len()), (0, 0), "step {n}");
    }
}

#[test]
fn a_crash_between_move_and_row_is_undone() {
    let bytes = bytes(300_000);
    let (hash, name) = (BlobHash::of(&bytes), BlobHash::of(&bytes).to_string());
    let place = Place::new();
    let store = place.open().store;
    let mut partial = store.partial_open(&hash, 300_000).unwrap();
    for group in 0..19 {
        write(&mut *partial, &bytes, group).unwrap();
    }
    partial.checkpoint().unwrap();
    drop(partial);
    store.close().unwrap();
    drop(store);
    let blobs = place.home().join("store/blobs");
    let (from, to) = (blobs.join("partial"), blobs.join(&name[..2]));
    fs::create_dir_all(&to).unwrap();
    // of the two files one has been moved, or both
    for ends in [&[".groups"][..], &["", ".groups"]] {
        for end in ends {
            let moved = from.join(format!("{name}-300000{end}"));
            fs::rename(moved, to.join(format!("{name}{end}"))).unwrap();
        }
        let store = place.open().store;
        assert_eq!(store.partials().unwrap()[0].held, 300_000);
        assert!(!to.join(&name).exists());
        store.close().unwrap();
    }
    let store = place.open().store;
    assert_eq!(take_in(&store, &hash, &bytes).unwrap(), 0);
    store.close().unwrap();
}

#[test]
fn parts_whose_files_are_short_begin_anew() {
    let bytes = bytes(300_000);
    let (hash, name) = (BlobHash::of(&bytes), BlobHash::of(&bytes).to_string());
    for end in ["", ".groups"] {
        let place = Place::new();
        let store = place.open().store;
        let mut partial = store.partial_open(&hash, 300_000).unwrap();
        write(&mut *partial, &bytes, 7).unwrap();
        partial.checkpoint().unwrap();
        drop(partial);
        store.close().unwrap();
        drop(store);
        let path = place.home().join("store/blobs/partial").join(format!("{name}-300000{end}"));
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        let store = place.open().store;
        assert_eq!((files(&place), store.partials().unwrap().len()), (0, 0));
        assert_eq!(take_in(&store, &hash, &bytes).unwrap(), 19);
        store.close().unwrap();
    }
}

#[test]
fn what_is_damaged_on_the_way_is_refused_as_a_whole() {
    let bytes = bytes(300_000);
    let (hash, name) = (BlobHash::of(&bytes), BlobHash::of(&bytes).to_string());
    let place = Place::new();
    let store = place.open().store;
    let mut partial = store.partial_open(&hash, 300_000).unwrap();
    write(&mut *partial, &bytes, 3).unwrap();
    partial.checkpoint().unwrap();
    drop(partial);
    let path = place.home().join("store/blobs/partial").join(format!("{name}-300000.groups"));
    let mut values = fs::read(&path).unwrap();
    values[100] ^= 1;
    fs::write(&path, values).unwrap();
    assert!(matches!(take_in(&store, &hash, &bytes), Err(StoreError::Refused { .. })));
    assert_eq!((files(&place), store.blob_info(&hash).unwrap()), (0, None));
    assert_eq!(take_in(&store, &hash, &bytes).unwrap(), 19);
    store.close().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn groups_come_in_any_order_over_any_number_of_runs(
        size in 1usize..600_000,
        order in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..60),
    ) {
        let bytes = bytes(size);
        let hash = BlobHash::of(&bytes);
        let place = Place::new();
        let (mut held, mut durable) = (std::collections::BTreeSet::new(), 0);
        let mut store = place.open().store;
        let mut partial = store.partial_open(&hash, size as u64).unwrap();
        for (index, step) in order {
            let group = index.index(size.div_ceil(GROUP_BYTES));
            prop_assert_eq!(write(&mut *partial, &bytes, group).unwrap(), held.insert(group));
            if step == 0 {
                partial.checkpoint().unwrap();
                durable = held.len();
                drop(partial);
                store.close().unwrap();
                drop(store);
                store = place.open().store;
                partial = store.partial_open(&hash, size as u64).unwrap();
            }
        }
        drop(partial);
        let all = size.div_ceil(GROUP_BYTES);
        prop_assert_eq!(take_in(&store, &hash, &bytes).unwrap(), (all - durable) as u64);
        prop_assert_eq!(store.blob_read(&hash, 0, 1 << 20).unwrap().unwrap(), &bytes[..]);
        prop_assert_eq!(files(&place), 0);
    }
}
