//! The store on disk, and what may happen to it.

mod damage;
mod partial;
mod process;

use std::{path::Path, sync::Arc, thread};

use tempfile::TempDir;

use super::*;
use crate::store::{conformance, faulty::Faulty, memory::MemoryStore};

/// A home and a state folder.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn options(&self) -> DiskOptions {
        DiskOptions::new(self.dir.path().join("home"), self.dir.path().join("state"))
    }

    /// Opens the store. A child of another test holds our lock as well until it runs its own
    /// program: that passes.
    fn open(&self) -> Opened {
        let own = Some(std::process::id());
        for _ in 0..1_000_000 {
            match DiskStore::open(&self.options()) {
                Err(StoreError::Locked { pid }) if pid == own => thread::yield_now(),
                opened => return opened.unwrap(),
            }
        }
        panic!("this process holds the lock itself");
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }
}

fn put(n: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Truth, n.to_be_bytes().to_vec(), value(n));
    batch.put(Table::Rows, (n % 7).to_be_bytes().to_vec(), n.to_be_bytes().to_vec());
    batch
}

fn value(n: u64) -> Vec<u8> {
    blake3::hash(&n.to_be_bytes()).as_bytes().repeat(3)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_disk_store_conforms() {
    conformance::check_all(&mut || {
        let place = Place::new();
        Box::new(move || Arc::new(place.open().store))
    });
}

#[test]
fn the_memory_store_conforms() {
    conformance::check_all(&mut || {
        let mut store = MemoryStore::new();
        Box::new(move || {
            store = store.crash();
            Arc::new(store.clone())
        })
    });
}

#[test]
fn the_faulty_store_conforms_while_nothing_fails() {
    conformance::check_all(&mut || {
        let mut store = MemoryStore::new();
        Box::new(move || {
            store = store.crash();
            Arc::new(Faulty::new(store.clone()))
        })
    });
    conformance::check_all(&mut || {
        let place = Place::new();
        Box::new(move || Arc::new(Faulty::new(place.open().store)))
    });
}

#[test]
fn waiting_batches_share_one_fsync() {
    let place = Place::new();
    let store = place.open().store;
    store.hold_commits(true);
    let threads: Vec<_> = (0..64)
        .map(|n| {
            let store = store.clone();
            thread::spawn(move || store.submit(put(n)).unwrap())
        })
        .collect();
    let pending: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(store.stats().fsyncs, 0);
    assert!(pending.iter().all(|pending| pending.outcome().is_none()));
    store.hold_commits(false);
    let mut numbers: Vec<_> = pending.into_iter().map(|p| p.wait().unwrap().0).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
    let stats = store.stats();
    assert_eq!((stats.commits, stats.fsyncs), (64, 1));
    store.close().unwrap();
}

#[test]
fn a_second_opening_names_the_first_process() {
    let place = Place::new();
    let opened = place.open();
    let second = DiskStore::open(&place.options());
    let own = std::process::id();
    assert!(matches!(second, Err(StoreError::Locked { pid: Some(pid) }) if pid == own));
    opened.store.close().unwrap();
    place.open().store.close().unwrap();
}

#[test]
fn a_format_of_the_future_is_refused_untouched() {
    let place = Place::new();
    place.open().store.close().unwrap();
    let path = place.home().join("store/format");
    let format = Format::read(&path).unwrap();
    Format { version: STORE_FORMAT + 1, ..format }.write(&path).unwrap();
    let before = snapshot(&place.home());
    let refused = DiskStore::open(&place.options());
    assert!(matches!(refused, Err(StoreError::FormatTooNew { found: 6, supported: 5 })));
    assert_eq!(snapshot(&place.home()), before);
    format.write(&path).unwrap();
    place.open().store.close().unwrap();
}

/// Everything under a directory but the lock, which says who tried.
fn snapshot(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else if path.file_name().is_some_and(|name| name != "lock") {
            let (bytes, _) = super::super::journal::read_trimmed(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

#[test]
fn a_closed_store_leaves_nothing_to_replay() {
    let place = Place::new();
    let journal = place.home().join("store/db/0.jnl");
    for round in 0..4u64 {
        let opened = place.open();
        assert_eq!((opened.preflight.batches, opened.rolled_back), (0, None));
        for n in 0..round {
            assert_eq!(
                opened.store.get(Table::Truth, &n.to_be_bytes()).unwrap().unwrap(),
                value(n)
            );
        }
        let before = opened.store.stats().last_commit;
        assert_eq!(opened.store.commit(put(round)).unwrap().0, before.0 + 1);
        assert_ne!(fs::metadata(&journal).unwrap().len(), 0);
        opened.store.close().unwrap();
        assert_eq!(fs::metadata(&journal).unwrap().len(), 0);
    }
    // Somebody still reads: all stays as it is, and is replayed.
    let store = place.open().store;
    store.commit(put(9)).unwrap();
    let look = store.snapshot().unwrap();
    store.close().unwrap();
    drop(look);
    drop(store);
    let opened = place.open();
    assert!(opened.preflight.batches > 0);
    assert_eq!(opened.store.get(Table::Truth, &9u64.to_be_bytes()).unwrap().unwrap(), value(9));
}

#[test]
fn an_interrupted_creation_is_begun_again() {
    let place = Place::new();
    let torn = place.home().join("store.new-abc/db");
    fs::create_dir_all(&torn).unwrap();
    fs::write(torn.join("0.jnl"), b"half").unwrap();
    let opened = place.open();
    assert!(opened.created && opened.rolled_back.is_none());
    opened.store.close().unwrap();
    assert!(!place.home().join("store.new-abc").exists());
    let again = place.open();
    assert!(!again.created && again.rolled_back.is_none());
    drop(again);
    // killed between the creation and its first marks
    for path in place.options().marks() {
        fs::write(path, b"").unwrap();
    }
    fs::remove_file(place.options().marker()).unwrap();
    assert_eq!(place.open().rolled_back, None);
    assert!(place.options().marker().exists());
}

#[test]
fn an_older_copy_put_back_is_reported_until_settled() {
    let place = Place::new();
    let store = place.open().store;
    store.commit(put(1)).unwrap();
    store.close().unwrap();
    let backup = place.dir.path().join("backup");
    copy_tree(&place.home().join("store"), &backup);
    let store = place.open().store;
    store.commit(put(2)).unwrap();
    store.close().unwrap();
    drop(store);
    fs::remove_dir_all(place.home().join("store")).unwrap();
    copy_tree(&backup, &place.home().join("store"));
    for _ in 0..2 {
        let opened = place.open();
        let expected = Why::Behind { store: CommitNumber(1), mark: CommitNumber(2) };
        assert_eq!(opened.rolled_back, Some(expected));
        opened.store.close().unwrap();
    }
    let opened = place.open();
    assert_eq!(opened.store.commit(put(3)).unwrap(), CommitNumber(3));
    opened.store.settle().unwrap();
    opened.store.commit(put(4)).unwrap();
    opened.store.close().unwrap();
    let opened = place.open();
    assert_eq!(opened.rolled_back, None);
    assert_eq!(opened.store.stats().last_commit, CommitNumber(4));
}

#[test]
fn a_copy_of_everything_is_recognised() {
    let place = Place::new();
    let store = place.open().store;
    store.commit(put(1)).unwrap();
    store.close().unwrap();
    let copy = Place::new();
    copy_tree(place.dir.path(), copy.dir.path());
    assert_eq!(copy.open().rolled_back, Some(Why::Copied));
    let opened = copy.open();
    opened.store.settle().unwrap();
    drop(opened);
    assert_eq!(copy.open().rolled_back, None);
    assert_eq!(place.open().rolled_back, None);
}

#[test]
fn missing_and_foreign_marks_are_reported() {
    let place = Place::new();
    let opened = place.open();
    opened.store.commit(put(1)).unwrap();
    drop(opened);
    let [home_mark, state_mark] = place.options().marks();
    for path in [&home_mark, &state_mark] {
        let bytes = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(place.open().rolled_back, Some(Why::MarkMissing(path.clone())));
        fs::write(path, [1; 16]).unwrap();
        assert_eq!(place.open().rolled_back, Some(Why::MarkDamaged(path.clone())));
        fs::write(path, bytes).unwrap();
        assert_eq!(place.open().rolled_back, None);
    }
    fs::remove_dir_all(place.home()).unwrap();
    let opened = place.open();
    assert!(opened.created);
    assert_eq!(opened.rolled_back, Some(Why::Replaced));
}

#[test]
fn interrupted_blobs_leave_nothing_behind() {
    let place = Place::new();
    let store = place.open().store;
    let dynamic: &dyn Store = &store;
    let info = dynamic.blob_put(&mut &[7u8; 50_000][..], 1 << 20).unwrap();
    store.close().unwrap();
    let blobs = place.home().join("store/blobs");
    fs::write(blobs.join("tmp/x"), b"half").unwrap();
    fs::create_dir_all(blobs.join("00")).unwrap();
    let orphan = blobs.join("00").join("00".repeat(32));
    fs::write(&orphan, b"renamed, but its row was never committed").unwrap();
    fs::write(blobs.join("partial/x"), b"begun, with no row").unwrap();
    drop(store);
    let store = place.open().store;
    assert!(!orphan.exists() && !blobs.join("tmp/x").exists());
    assert!(!blobs.join("partial/x").exists());
    assert_eq!(store.blob_read(&info.hash, 49_999, 9).unwrap().unwrap().len(), 1);
}

#[test]
fn a_damaged_blob_is_set_aside_until_it_comes_again() {
    let place = Place::new();
    let store = place.open().store;
    let dynamic: &dyn Store = &store;
    let bytes = [7u8; 50_000];
    let info = dynamic.blob_put(&mut &bytes[..], 1 << 20).unwrap();
    let blobs = place.home().join("store/blobs");
    let name = info.hash.to_string();
    let path = blobs.join(&name[..2]).join(&name);
    store.blob_check(&info).unwrap();
    fs::write(&path, &bytes[1..]).unwrap();
    assert!(matches!(store.blob_check(&info), Err(StoreError::Corrupt(_))));
    assert!(matches!(store.blob_read(&info.hash, 49_990, 9), Err(StoreError::Corrupt(_))));
    assert!(store.blob_set_aside(&info.hash).unwrap());
    assert_eq!((store.blob_info(&info.hash).unwrap(), store.stats().blobs.rows), (None, 0));
    let aside = blobs.join("damaged").join(&name);
    assert_eq!(fs::read(&aside).unwrap(), &bytes[1..]);
    assert!(!store.blob_set_aside(&info.hash).unwrap(), "there is none now");
    assert!(aside.exists());
    dynamic.blob_put(&mut &bytes[..], 1 << 20).unwrap();
    assert_eq!(store.blob_read(&info.hash, 0, 60_000).unwrap().unwrap(), &bytes[..]);
    assert!(!aside.exists());
    fs::remove_file(&path).unwrap();
    assert!(store.blob_set_aside(&info.hash).unwrap());
    fs::write(&aside, b"withdrawn meanwhile").unwrap();
    assert!(!store.blob_remove(&info.hash).unwrap());
    assert!(!aside.exists());
}

#[test]
fn damaged_group_values_are_made_again() {
    let place = Place::new();
    for size in [0usize, 900, 16_384, 50_000] {
        let store = place.open().store;
        let dynamic: &dyn Store = &store;
        let info = dynamic.blob_put(&mut &vec![9u8; size][..], 1 << 20).unwrap();
        drop(store);
        let name = info.hash.to_string();
        let path = place.home().join("store/blobs").join(&name[..2]).join(format!("{name}.groups"));
        let right = fs::read(&path).unwrap();
        for wrong in [None, Some(vec![1; right.len()]), Some(vec![1; 7])] {
            match wrong {
                None => fs::remove_file(&path).unwrap(),
                Some(wrong) => fs::write(&path, wrong).unwrap(),
            }
            let store = place.open().store;
            assert_eq!(store.blob_read(&info.hash, 0, 60_000).unwrap().unwrap().len(), size);
            assert!(size == 0 || fs::read(&path).unwrap() == right);
        }
    }
}

#[test]
fn a_snapshot_is_a_store_that_stays_as_it_was() {
    let place = Place::new();
    let store = place.open().store;
    let large = vec![7; 40_000];
    let hash = BlobHash::of(&large);
    let mut writer = store.blob_create(large.len() as u64).unwrap();
    writer.write(&large).unwrap();
    writer.finish(Some(&hash)).unwrap();
    store.commit(put(1)).unwrap();
    let snapshot = store.snapshot().unwrap();
    store.commit(put(2)).unwrap();
    assert!(store.blob_remove(&hash).unwrap());
    let key = |n: u64| n.to_be_bytes();
    assert_eq!(snapshot.get(Table::Truth, &key(1)).unwrap().unwrap(), value(1));
    assert_eq!(snapshot.get(Table::Truth, &key(2)).unwrap(), None);
    let rows = snapshot.scan(Table::Truth, &[], None, true, 10).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(store.scan(Table::Truth, &[], None, true, 10).unwrap().len(), 2);
    assert_eq!(snapshot.blob_info(&hash).unwrap().unwrap().size, 40_000);
    assert_eq!(snapshot.blob_read(&hash, 39_990, 100).unwrap().unwrap(), vec![7; 10]);
    assert_eq!(Store::blobs(&snapshot, Some(&hash), 10).unwrap(), []);
    // it waits for nothing, and takes nothing
    let at = Snapshot::commit(&snapshot);
    assert_eq!(Store::commit(&snapshot, Batch::new()).unwrap(), at);
    assert!(matches!(Store::commit(&snapshot, put(3)), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(snapshot.blob_create(1), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(snapshot.blob_remove(&hash), Err(StoreError::ReadOnly { .. })));
}
