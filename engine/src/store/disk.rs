//! The store on disk.
//!
//! ```text
//! home/lock            held while open, names the process
//! home/highwater       last commit, also in the state folder
//! home/marker          recognises a copied home
//! home/salvaged        exists from a salvage until it is settled
//! home/restored        the same of a backup that was put back
//! home/store/format    version and id, read before anything is touched
//! home/store/db/       fjall: truth, rows, meta
//! home/store/blobs/    blobs over 16 KiB
//! ```

mod blobs;
mod partial;
mod reading;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::hash::{BlobHash, derive};

use self::blobs::DiskBlobWriter;
use self::partial::OpenPartials;
use self::tables::Tables;
use super::{
    Batch, BlobInfo, BlobWriter, CommitNumber, PartialBlob, PartialInfo, Pending, Row, RowVisitor,
    Store, StoreError, StoreStats, Table, TableStats,
    blob_files::BlobFiles,
    files::{
        COMMIT_RESERVE_BYTES, RESERVE_BYTES, create_private_dir, disk_usage, free_bytes,
        replace_file, sync_dir,
    },
    format::{Format, StoreId, migrate},
    highwater::{Mark, Marks, check_marker, read_mark, write_marker},
    lock::HomeLock,
    preflight::{preflight, salvage_journals},
    range::is_reserved,
    writer::{Group, Sink, Writer},
};

pub use self::snapshot::{Look, Snapshot};
pub use super::{
    format::STORE_FORMAT,
    highwater::Why,
    preflight::{PreflightReport, Salvaged, TornTail},
};

/// Prefix in the meta table of the rows of large blobs: the size of each as u64be.
const BLOB_PREFIX: &[u8] = b"\xffblob";
const NEW_PREFIX: &str = "store.new-";
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Where a store lives.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The home directory; created if it is missing.
    pub home: PathBuf,
    /// A directory outside the home for the second high-water mark; created if it is missing.
    pub state: PathBuf,
    /// Bytes of the block cache.
    pub cache_bytes: u64,
}

impl DiskOptions {
    /// Takes both directories and the usual cache.
    pub fn new(home: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), state: state.into(), cache_bytes: CACHE_BYTES }
    }

    fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    fn marks(&self) -> [PathBuf; 2] {
        [self.home.join("highwater"), self.state.join("highwater")]
    }

    fn marker(&self) -> PathBuf {
        self.home.join("marker")
    }

    fn salvaged(&self) -> PathBuf {
        self.home.join("salvaged")
    }
}

/// An opened store and what was noticed on the way.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: DiskStore,
    /// Whether it was created just now.
    pub created: bool,
    /// What the preflight saw.
    pub preflight: PreflightReport,
    /// Why this may not be the newest state of the store. The caller starts a new incarnation,
    /// commits it and calls [`DiskStore::settle`]; until then each opening reports it.
    pub rolled_back: Option<Why>,
    /// The format before a migration.
    pub migrated_from: Option<u32>,
}

/// The store on disk. Clones share it; the last one dropped, or [`Store::close`], closes it.
#[derive(Clone, Debug)]
pub struct DiskStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: DiskOptions,
    id: StoreId,
    // before the tables: dropping the writer commits what waits
    writer: Writer,
    tables: RwLock<Option<Arc<Tables>>>,
    marks: Arc<Mutex<MarkState>>,
    blobs: BlobFiles,
    // putting and removing one blob must not cross
    blob_steps: Mutex<()>,
    open_partials: Mutex<OpenPartials>,
    blob_rows: AtomicU64,
    blob_bytes: AtomicU64,
}

#[derive(Debug)]
struct MarkState {
    marks: Marks,
    settled: bool,
    last: CommitNumber,
}

struct DiskSink {
    tables: Arc<Tables>,
    marks: Arc<Mutex<MarkState>>,
}

impl DiskStore {
    /// Opens the store of a home, or creates it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`], [`StoreError::FormatTooNew`] and [`StoreError::Corrupt`] change
    /// nothing on disk. [`StoreError::DiskFull`], [`StoreError::Io`].
    pub fn open(options: &DiskOptions) -> Result<Opened, StoreError> {
        create_private_dir(&options.home)?;
        create_private_dir(&options.state)?;
        let lock = HomeLock::acquire(&options.home.join("lock"))?;
        let store = options.store();
        let created = !store.exists();
        if created {
            remove_unfinished(&options.home)?;
            create(options)?;
        }
        let mut format = Format::read(&store.join("format"))?;
        format.check_known()?;
        let migrated_from = migrate(&store, &mut format)?;
        let database = store.join("db");
        let preflight = preflight(&database, format.id)?;
        let (tables, last) =
            Tables::open(&database, format.id, options.cache_bytes, lock, preflight.last_commit)?;
        let (rolled_back, highest) = examine(options, format.id, created, last)?;
        let store = Self::start(options, format.id, tables, highest, rolled_back.is_none())?;
        if rolled_back.is_none() && (created || !options.marker().exists()) {
            store.settle()?;
        }
        Ok(Opened { store, created, preflight, rolled_back, migrated_from })
    }

    /// Copies damaged journals into a new directory `salvage-N` of the home and keeps their whole
    /// batches. Returns `None` when no journal is damaged. The next opening reports
    /// [`Why::Salvaged`].
    ///
    /// # Errors
    ///
    /// As [`DiskStore::open`].
    pub fn salvage(options: &DiskOptions) -> Result<Option<Salvaged>, StoreError> {
        let _lock = HomeLock::acquire(&options.home.join("lock"))?;
        let format = Format::read(&options.store().join("format"))?;
        format.check_known()?;
        let aside = (1u32..)
            .map(|n| options.home.join(format!("salvage-{n}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| options.home.join("salvage"));
        // first of all: an interrupted salvage must be reported as well
        replace_file(&options.salvaged(), b"")?;
        let done = salvage_journals(&options.store().join("db"), format.id, &aside)?;
        if done.is_none() {
            fs::remove_file(options.salvaged())
                .map_err(|error| StoreError::io("remove", options.salvaged(), error))?;
        }
        Ok(done)
    }

    /// Sets all marks anew: what [`Opened::rolled_back`] reported has been acted on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], [`StoreError::DiskFull`].
    pub fn settle(&self) -> Result<(), StoreError> {
        let options = &self.inner.options;
        let mut state = lock(&self.inner.marks);
        write_marker(self.inner.id, &options.marker())?;
        let last = state.last;
        state.marks.write(last)?;
        state.marks.sync()?;
        for (path, _) in options.doubts() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", path, error));
                }
                _ => {}
            }
        }
        sync_dir(&options.home)?;
        state.settled = true;
        Ok(())
    }

    /// Calls `listener` when a commit fails: from then on the store takes no more until it is
    /// opened anew. Must not call the store.
    pub fn on_failure(&self, listener: impl FnOnce(&str) + Send + 'static) {
        self.inner.writer.on_failure(Box::new(listener));
    }

    /// Holds commits back until called with `false`, so that a test can count fsyncs exactly.
    #[cfg(any(test, feature = "test-utils"))]
    pub fn hold_commits(&self, hold: bool) {
        self.inner.writer.pause(hold);
    }

    fn start(
        options: &DiskOptions,
        id: StoreId,
        tables: Tables,
        last: CommitNumber,
        settled: bool,
    ) -> Result<Self, StoreError> {
        let tables = Arc::new(tables);
        let known =
            |hash: &BlobHash| tables.raw_get(Table::Meta, &blob_key(hash)).map(|row| row.is_some());
        let root = options.store().join("blobs");
        let mut lost = Batch::new();
        for key in partial::recover(&root, &tables)? {
            lost.delete(Table::Meta, key);
        }
        let blobs = BlobFiles::open(&root, known)?;
        let (mut rows, mut bytes) = (0u64, 0u64);
        for (_, size) in tables.own_rows(BLOB_PREFIX, None, usize::MAX)? {
            rows += 1;
            bytes = bytes.saturating_add(decode_size(&size).unwrap_or(0));
        }
        let marks = Marks::open(id, &options.marks())?;
        let marks = Arc::new(Mutex::new(MarkState { marks, settled, last }));
        let sink = DiskSink { tables: Arc::clone(&tables), marks: Arc::clone(&marks) };
        let inner = Inner {
            options: options.clone(),
            id,
            writer: Writer::start(sink, last)?,
            tables: RwLock::new(Some(tables)),
            marks,
            blobs,
            blob_steps: Mutex::new(()),
            open_partials: Mutex::default(),
            blob_rows: AtomicU64::new(rows),
            blob_bytes: AtomicU64::new(bytes),
        };
        if !lost.is_empty() {
            inner.writer.submit(lost)?.wait()?;
        }
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Store for DiskStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if is_reserved(table, key) || key.is_empty() {
            return Ok(None);
        }
        self.inner.tables()?.raw_get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        start: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.inner.tables()?.scan(table, prefix, start, reverse, limit)
    }

    fn submit(&self, batch: Batch) -> Result<Pending, StoreError> {
        batch.check()?;
        self.check_room(&batch)?;
        self.inner.writer.submit(batch)
    }

    fn verify(&self, table: Table, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        self.inner.tables()?.walk(table, visit)
    }

    fn verify_files(&self) -> Result<(), StoreError> {
        self.inner.tables()?.verify_files()
    }

    fn blob_create(&self, size_max: u64) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.inner.tables()?;
        let blob = self.inner.blobs.begin(size_max)?;
        Ok(Box::new(DiskBlobWriter::new(Arc::clone(&self.inner), blob)))
    }

    fn blobs_put(&self, blobs: &[(BlobHash, Bytes)]) -> Result<(), StoreError> {
        self.inner.tables()?;
        self.inner.put_blobs(blobs)
    }

    fn blob_info(&self, hash: &BlobHash) -> Result<Option<BlobInfo>, StoreError> {
        self.inner.blob_info(hash)
    }

    fn blob_read(
        &self,
        hash: &BlobHash,
        offset: u64,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some(info) = self.inner.blob_info(hash)? else { return Ok(None) };
        self.inner.blobs.read(hash, info.size, offset, len).map(Some)
    }

    fn blob_groups(
        &self,
        hash: &BlobHash,
        first: u64,
        count: usize,
    ) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
        let Some(info) = self.inner.blob_info(hash)? else { return Ok(None) };
        self.inner.blobs.groups(hash, info.size, first, count).map(Some)
    }

    fn blob_check(&self, blob: &BlobInfo) -> Result<(), StoreError> {
        self.inner.blobs.check(&blob.hash, blob.size)
    }

    fn blob_set_aside(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        Ok(self.inner.forget_blobs(std::slice::from_ref(hash), BlobFiles::set_aside)? > 0)
    }

    fn blobs(&self, after: Option<&BlobHash>, limit: usize) -> Result<Vec<BlobInfo>, StoreError> {
        let after = after.map(blob_key);
        let rows = self.inner.tables()?.own_rows(BLOB_PREFIX, after.as_deref(), limit)?;
        rows.iter().map(|(key, value)| self.inner.decode_blob(key, value)).collect()
    }

    fn blobs_remove(&self, hashes: &[BlobHash]) -> Result<u64, StoreError> {
        self.inner.forget_blobs(hashes, BlobFiles::remove)
    }

    fn blob_footprint(&self, hash: &BlobHash) -> Result<u64, StoreError> {
        self.inner.tables().map(|_| self.inner.blobs.footprint(hash))
    }

    fn blobs_set_aside(&self) -> Result<Vec<BlobHash>, StoreError> {
        self.inner.tables().and_then(|_| self.inner.blobs.set_asides())
    }

    fn partial_open(&self, hash: &BlobHash, size: u64) -> Result<Box<dyn PartialBlob>, StoreError> {
        self.inner.partial_open(hash, size)
    }

    fn partials(&self) -> Result<Vec<PartialInfo>, StoreError> {
        self.inner.partials()
    }

    fn partial_remove(&self, hash: &BlobHash, size: u64) -> Result<bool, StoreError> {
        self.inner.partial_remove(hash, size)
    }

    fn room(&self) -> Option<u64> {
        Some(free_bytes(self.inner.blobs.root())?.saturating_sub(RESERVE_BYTES))
    }

    fn stats(&self) -> StoreStats {
        let counters = self.inner.writer.counters();
        let tables = self.inner.tables().ok();
        let table = |table| tables.as_ref().map(|t| t.stats(table)).unwrap_or_default();
        StoreStats {
            commits: counters.commits,
            fsyncs: counters.fsyncs,
            bytes_written: counters.bytes,
            last_commit: counters.last,
            truth: table(Table::Truth),
            rows: table(Table::Rows),
            meta: table(Table::Meta),
            blobs: TableStats {
                rows: self.inner.blob_rows.load(Ordering::Relaxed),
                bytes: self.inner.blob_bytes.load(Ordering::Relaxed),
            },
            disk_bytes: disk_usage(&self.inner.options.store()),
        }
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.writer.close();
        let tables = self.inner.tables.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(tables) = tables else { return Ok(()) };
        let flushed = tables.flush();
        let marked = lock(&self.inner.marks).marks.sync();
        // Whoever still reads keeps the database open, and the journal as it is.
        let closed = match Arc::into_inner(tables) {
            Some(tables) if flushed.is_ok() => tables.close(),
            _ => Ok(()),
        };
        flushed.and(marked).and(closed)
    }
}

impl Inner {
    fn tables(&self) -> Result<Arc<Tables>, StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.clone().ok_or(StoreError::Closed)
    }

    fn blob_info(&self, hash: &BlobHash) -> Result<Option<BlobInfo>, StoreError> {
        let key = blob_key(hash);
        let row = self.tables()?.raw_get(Table::Meta, &key)?;
        row.map(|value| self.decode_blob(&key, &value)).transpose()
    }

    fn count_blob(&self, size: u64) {
        self.blob_rows.fetch_add(1, Ordering::Relaxed);
        self.blob_bytes.fetch_add(size, Ordering::Relaxed);
    }

    fn decode_blob(&self, key: &[u8], value: &[u8]) -> Result<BlobInfo, StoreError> {
        let hash = key.strip_prefix(BLOB_PREFIX).and_then(|hash| <[u8; 32]>::try_from(hash).ok());
        match (hash, decode_size(value)) {
            (Some(hash), Some(size)) => Ok(BlobInfo { hash: BlobHash::from_bytes(hash), size }),
            _ => Err(StoreError::corrupt(self.options.store(), "the row of a blob is malformed")),
        }
    }
}

impl DiskStore {
    /// Refuses what would fill the disk while the database still works. What adds no truth may
    /// go in all the same: collecting garbage makes room.
    fn check_room(&self, batch: &Batch) -> Result<(), StoreError> {
        if !batch.adds_to(Table::Truth) {
            return Ok(());
        }
        let path = self.inner.blobs.root();
        let wanted = COMMIT_RESERVE_BYTES.saturating_add(batch.bytes() as u64);
        match free_bytes(path) {
            Some(free) if free < wanted => Err(StoreError::DiskFull { path: path.to_owned() }),
            _ => Ok(()),
        }
    }
}

impl Sink for DiskSink {
    fn commit(&mut self, group: Group) -> Result<(), StoreError> {
        let last = group.last;
        self.tables.commit(group)?;
        let mut state = lock(&self.marks);
        state.last = last;
        if state.settled {
            // the commit is durable whatever becomes of its mark, and a mark that lags is harmless
            let _ = state.marks.write(last);
        }
        Ok(())
    }
}

/// Compares the store with its marks; returns the highest commit number known from either.
fn examine(
    options: &DiskOptions,
    id: StoreId,
    created: bool,
    last: CommitNumber,
) -> Result<(Option<Why>, CommitNumber), StoreError> {
    let (mut why, mut highest) = (None, last);
    let fresh = last == CommitNumber(0);
    for path in options.marks() {
        match read_mark(id, &path)? {
            Mark::At(mark) if mark > highest => {
                why = Some(Why::Behind { store: last, mark });
                highest = mark;
            }
            Mark::At(_) => {}
            Mark::Missing if fresh => {}
            Mark::Damaged if created => why = why.or(Some(Why::Replaced)),
            Mark::Missing => why = why.or(Some(Why::MarkMissing(path))),
            Mark::Damaged => why = why.or(Some(Why::MarkDamaged(path))),
        }
    }
    if let Some((_, left)) = options.doubts().into_iter().find(|(path, _)| path.exists()) {
        why = Some(left);
    }
    if why.is_none() && !created {
        why = check_marker(id, &options.marker())?
            .filter(|why| !fresh || !matches!(why, Why::MarkMissing(_)));
    }
    Ok((why, highest))
}

/// Creates a store beside its place and renames it there: it exists whole or not at all.
fn create(options: &DiskOptions) -> Result<(), StoreError> {
    let home = &options.home;
    let fail = |error| StoreError::io("create a directory in", home, error);
    let dir = tempfile::Builder::new()
        .prefix(NEW_PREFIX)
        .rand_bytes(20)
        .tempdir_in(home)
        .map_err(fail)?;
    let name = dir.path().to_string_lossy().into_owned();
    let digest = derive("mosaic store id 1", &[name.as_bytes()]);
    let id = StoreId(*digest.first_chunk::<16>().unwrap_or(&[0; 16]));
    let database = dir.path().join("db");
    Tables::create(&database, id, options.cache_bytes)?;
    BlobFiles::create(&dir.path().join("blobs"))?;
    Format { version: STORE_FORMAT, id }.write(&dir.path().join("format"))?;
    sync_dir(&database)?;
    sync_dir(dir.path())?;
    let path = dir.keep();
    fs::rename(&path, options.store())
        .map_err(|error| StoreError::io("rename", path.as_path(), error))?;
    sync_dir(home)
}

/// Removes what an interrupted creation left behind.
fn remove_unfinished(home: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(home).map_err(|error| StoreError::io("list", home, error))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(NEW_PREFIX) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(|error| StoreError::io("remove", path, error))?;
        }
    }
    Ok(())
}

fn blob_key(hash: &BlobHash) -> Vec<u8> {
    [BLOB_PREFIX, hash.as_bytes()].concat()
}

fn decode_size(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
