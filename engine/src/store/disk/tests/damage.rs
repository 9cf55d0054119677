//! Flipped bits in every kind of file: refused, reported or harmless, never silent.
//!
//! `MOSAIC_FLIPS` sets how many are tried, `MOSAIC_SEED` where they start.

use std::{
    collections::BTreeMap,
    env,
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
};

use super::*;
use crate::store::journal::read_trimmed;

/// Files of a place with their bytes, trailing zeros left out, and lengths.
type Snapshot = BTreeMap<PathBuf, (Vec<u8>, u64)>;
type Content = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

const BLOB_BYTES: usize = 70_000;
const ROWS: u64 = 160;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

fn take(dir: &Path, into: &mut Snapshot) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            take(&path, into);
        } else if path.file_name().is_some_and(|name| name != "lock") {
            let found = read_trimmed(&path).unwrap();
            into.insert(path, found);
        }
    }
}

/// Writes every file back in place, so that it stays the same file, and removes the others.
fn restore(dir: &Path, snapshot: &Snapshot) {
    let mut found = Snapshot::new();
    take(dir, &mut found);
    for path in found.keys().filter(|path| !snapshot.contains_key(*path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, content) in snapshot {
        if found.get(path) != Some(content) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
            file.write_all(&content.0).unwrap();
            file.set_len(content.1).unwrap();
        }
    }
}

fn flip(path: &Path, bit: usize) {
    let (mut bytes, len) = read_trimmed(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// Reads everything that can be read, and checks it.
fn content(store: &DiskStore) -> Result<Content, StoreError> {
    let mut content = Content::new();
    for table in Table::ALL {
        store.verify(table, &mut |key, value| {
            content.insert((table, key.to_vec()), value.to_vec());
            Ok(())
        })?;
    }
    for blob in store.blobs(None, usize::MAX)? {
        let bytes = store.blob_read(&blob.hash, 0, BLOB_BYTES)?.unwrap();
        assert_eq!(BlobHash::of(&bytes), blob.hash, "wrong bytes of a blob");
        content.insert((Table::Meta, blob_key(&blob.hash)), bytes.to_vec());
    }
    for ((table, key), value) in &content {
        if !is_reserved(*table, key) {
            assert_eq!(store.get(*table, key)?.as_deref(), Some(value.as_slice()), "get and walk");
        }
    }
    Ok(content)
}

/// A store with table files, journal and blob, as a killed process leaves it.
fn prepare(place: &Place) -> Content {
    let store = place.open().store;
    for n in 0..ROWS / 2 {
        drop(store.submit(put(n)).unwrap());
    }
    let dynamic: &dyn Store = &store;
    dynamic.blob_put(&mut &[42u8; BLOB_BYTES][..], 1 << 20).unwrap();
    store.close().unwrap();
    drop(store);
    let store = place.open().store;
    for n in ROWS / 2..ROWS {
        store.commit(put(n)).unwrap();
    }
    content(&store).unwrap()
}

/// What became of one flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Refused,
    Salvaged,
    Reported,
    FoundByReading,
    Harmless,
}

fn judge(place: &Place, expected: &Content) -> Verdict {
    let opened = match DiskStore::open(&place.options()) {
        Err(StoreError::Corrupt(damage)) if damage.salvageable => {
            salvage_and_count(place, expected);
            return Verdict::Salvaged;
        }
        Err(StoreError::Corrupt(_)) => return Verdict::Refused,
        Err(other) => panic!("neither opened nor damaged: {other}"),
        Ok(opened) => opened,
    };
    let outcome = content(&opened.store);
    if opened.rolled_back.is_none()
        && let Ok(found) = &outcome
    {
        // reading alone must never show anything else, whatever a scrub finds afterwards
        assert!(found == expected, "content changed in silence");
    }
    let scrubbed = opened.store.verify_files();
    match (opened.rolled_back, outcome.and_then(|found| scrubbed.map(|()| found))) {
        (_, Err(StoreError::Corrupt(_))) => Verdict::FoundByReading,
        (_, Err(other)) => panic!("neither read nor damaged: {other}"),
        (Some(_), Ok(found)) => {
            let lost = expected.iter().filter(|(key, _)| !found.contains_key(*key)).count();
            assert!(lost <= 1, "{lost} rows lost at the end");
            Verdict::Reported
        }
        (None, Ok(_)) => Verdict::Harmless,
    }
}

fn salvage_and_count(place: &Place, expected: &Content) {
    let salvaged = DiskStore::salvage(&place.options()).unwrap().unwrap();
    assert!(salvaged.aside.read_dir().unwrap().next().is_some());
    let opened = place.open();
    assert_eq!(opened.rolled_back, Some(Why::Salvaged));
    let found = content(&opened.store).unwrap();
    opened.store.verify_files().unwrap();
    let lost = expected.iter().filter(|(key, _)| !found.contains_key(*key)).count();
    assert!(lost <= 1, "{lost} rows lost by one flipped bit");
    assert!(salvaged.batches >= 1);
}

/// Chooses a kind of file first: small files are as important as large ones.
fn kind(path: &Path) -> &'static str {
    let name = path.file_name().unwrap().to_str().unwrap();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jnl") => "journal",
        Some("groups") => "blob groups",
        _ if path.components().any(|part| part.as_os_str() == "blobs") => "blob",
        _ if path.components().any(|part| part.as_os_str() == "tables") => "table",
        _ if name == "current" => "current",
        _ if name.starts_with('v') && name != "version" => "table list",
        _ => "small",
    }
}

#[test]
fn a_flipped_bit_is_never_silent() {
    let place = Place::new();
    let expected = prepare(&place);
    let mut snapshot = Snapshot::new();
    take(place.dir.path(), &mut snapshot);
    let mut kinds: BTreeMap<&str, Vec<&PathBuf>> = BTreeMap::new();
    for (path, (bytes, _)) in &snapshot {
        if !bytes.is_empty() {
            kinds.entry(kind(path)).or_default().push(path);
        }
    }
    let kinds: Vec<_> = kinds.into_iter().collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert_eq!(judge(&place, &expected), Verdict::Harmless, "nothing flipped");
    restore(place.dir.path(), &snapshot);
    let (flips, seed) = (number("MOSAIC_FLIPS", 210), number("MOSAIC_SEED", 1));
    let mut seen: BTreeMap<(&str, Verdict), u64> = BTreeMap::new();
    for n in 0..flips {
        let mut random = Random(seed.wrapping_add(n).wrapping_mul(0x5851_f42d_4c95_7f2d));
        let (kind, paths) = &kinds[usize::try_from(n).unwrap() % kinds.len()];
        let path = paths[random.below(paths.len())];
        let bit = random.below(snapshot[path].0.len() * 8);
        flip(path, bit);
        let trial =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&place, &expected)));
        let verdict = trial.unwrap_or_else(|_| {
            panic!("MOSAIC_SEED={} MOSAIC_FLIPS=1: {} bit {bit}", seed + n, path.display())
        });
        *seen.entry((*kind, verdict)).or_default() += 1;
        restore(place.dir.path(), &snapshot);
    }
    if env::var_os("MOSAIC_FLIPS").is_some() {
        writeln!(std::io::stdout(), "{seen:#?}").unwrap();
    }
    assert_eq!(judge(&place, &expected), Verdict::Harmless, "everything restored");
}

#[test]
fn a_torn_tail_is_cut_and_kept() {
    let place = Place::new();
    let store = place.open().store;
    for n in 0..5 {
        store.commit(put(n)).unwrap();
    }
    drop(store);
    let journal = place.home().join("store/db/0.jnl");
    let (good, _) = read_trimmed(&journal).unwrap();
    for tail in [1usize, 13, 40, 90] {
        // the beginning of a batch, as a power cut leaves it
        let torn = [&good[..], &good[..tail]].concat();
        fs::write(&journal, &torn).unwrap();
        let opened = place.open();
        let cut = opened.preflight.torn.clone().unwrap();
        assert_eq!(cut.offset, good.len() as u64);
        assert_eq!(fs::read(cut.kept).unwrap(), read_trimmed_bytes(&good[..tail]));
        assert_eq!(opened.rolled_back, None);
        for n in 0..5u64 {
            let kept = opened.store.get(Table::Truth, &n.to_be_bytes()).unwrap();
            assert_eq!(kept.as_deref(), Some(&value(n)[..]));
        }
    }
}

fn read_trimmed_bytes(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)]
}

#[test]
fn a_lost_last_batch_is_told_by_the_mark() {
    let place = Place::new();
    let store = place.open().store;
    for n in 0..5 {
        store.commit(put(n)).unwrap();
    }
    drop(store);
    let journal = place.home().join("store/db/0.jnl");
    let (good, _) = read_trimmed(&journal).unwrap();
    fs::write(&journal, &good[..good.len() - 1]).unwrap();
    let opened = place.open();
    assert!(opened.preflight.torn.is_some());
    let expected = Why::Behind { store: CommitNumber(4), mark: CommitNumber(5) };
    assert_eq!(opened.rolled_back, Some(expected));
    drop(opened);
    fs::remove_file(&journal).unwrap();
    assert!(matches!(DiskStore::open(&place.options()), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_flipped_bit_in_unused_space_changes_nothing() {
    let place = Place::new();
    let store = place.open().store;
    store.commit(put(0)).unwrap();
    let expected = content(&store).unwrap();
    drop(store);
    let journal = place.home().join("store/db/0.jnl");
    let (bytes, _) = read_trimmed(&journal).unwrap();
    let mut file = OpenOptions::new().write(true).open(&journal).unwrap();
    // as the database preallocates it
    file.set_len(1 << 26).unwrap();
    file.seek(SeekFrom::Start(bytes.len() as u64 + 5000)).unwrap();
    file.write_all(&[4]).unwrap();
    let opened = place.open();
    assert!(opened.preflight.torn.is_some() && opened.rolled_back.is_none());
    assert_eq!(content(&opened.store).unwrap(), expected);
}

#[test]
fn damage_in_the_middle_is_refused_untouched() {
    let place = Place::new();
    let store = place.open().store;
    for n in 0..5 {
        store.commit(put(n)).unwrap();
    }
    drop(store);
    let journal = place.home().join("store/db/0.jnl");
    let (good, _) = read_trimmed(&journal).unwrap();
    flip(&journal, good.len() * 4);
    let before = snapshot(&place.home());
    let Err(StoreError::Corrupt(damage)) = DiskStore::open(&place.options()) else {
        panic!("opened a damaged journal");
    };
    assert!(damage.salvageable && damage.file == journal && damage.offset.is_some());
    assert_eq!(snapshot(&place.home()), before);
    let salvaged = DiskStore::salvage(&place.options()).unwrap().unwrap();
    assert_eq!(salvaged.batches, 4, "four of five");
    let opened = place.open();
    assert_eq!(opened.rolled_back, Some(Why::Salvaged));
    opened.store.settle().unwrap();
    drop(opened);
    assert_eq!(place.open().rolled_back, None);
    assert_eq!(DiskStore::salvage(&place.options()).unwrap(), None);
}
