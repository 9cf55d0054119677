//! The three tables in fjall. Nothing else names fjall.

use std::{
    fs::OpenOptions,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use bytes::Bytes;
use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions, LsmError,
    PersistMode, Readable, config::PartitioningPolicy,
};

use super::super::{
    CommitNumber, RESERVED_META_BYTE, Row, RowVisitor, StoreError, Table, TableStats,
    files::{COMMIT_RESERVE_BYTES, free_bytes},
    format::StoreId,
    journal::{COMMIT_KEY, CommitRow, META_KEYSPACE},
    lock::HomeLock,
    preflight::{checksum_of, journals},
    range::{bounds, is_reserved},
    writer::Group,
};

/// A row costs about twice its bytes while it is in memory, and what peers make a node hold has to
/// stay small; but each table that is written is merged with all of the level below it, so that
/// small ones cost more the more there is. A database keeps the sizes it was created with.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
const META_MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// With several, one of them passes on what it leaves to the others over and over while they merge.
const WORKERS: usize = 1;
/// Above these the database would make its caller wait without looking whether it still works.
const SEALED_MEMTABLES_MAX: usize = 1;
const LEVEL_0_TABLES_MAX: usize = 18;
const POLL: Duration = Duration::from_millis(2);
/// Polls until a flush that does not end counts as failed: one minute.
const POLLS_MAX: usize = 30_000;

/// Rows as they were at one commit.
pub(super) struct RowsAt(fjall::Snapshot);

/// The open database.
pub(super) struct Tables {
    database: Database,
    truth: Keyspace,
    rows: Keyspace,
    meta: Keyspace,
    path: PathBuf,
    id: StoreId,
    _lock: Option<HomeLock>,
}

/// Filters and indexes of tables below the first level, which are not kept in memory, are read
/// block by block. Whole, those of a table are some megabytes: the cache holds few of them, and
/// looking up one row reads and checks all of it.
fn in_parts() -> PartitioningPolicy {
    PartitioningPolicy::new([false, true])
}

impl Tables {
    /// Creates the database with its three tables and commit 0, and closes it.
    pub(super) fn create(path: &Path, id: StoreId, cache_bytes: u64) -> Result<(), StoreError> {
        let tables = Self::connect(path, id, cache_bytes, None)?;
        let none = CommitNumber(0);
        let group = Group { first: none, last: none, effects: Default::default() };
        tables.commit(group)?;
        tables.flush()?;
        tables.close()
    }

    /// Opens the database and returns its last commit; `seen` is the last one in its journals.
    pub(super) fn open(
        path: &Path,
        id: StoreId,
        cache_bytes: u64,
        lock: HomeLock,
        seen: CommitNumber,
    ) -> Result<(Self, CommitNumber), StoreError> {
        let tables = Self::connect(path, id, cache_bytes, Some(lock))?;
        let row = tables.raw_get(Table::Meta, COMMIT_KEY)?;
        let row = row.as_deref().and_then(CommitRow::decode).filter(|row| row.id == id);
        let Some(row) = row else {
            return Err(tables.damage(Table::Meta, "the commit row is missing"));
        };
        if row.last < seen {
            let detail = format!("commit {} of the journal is missing", seen.0);
            return Err(tables.damage(Table::Meta, &detail));
        }
        Ok((tables, row.last))
    }

    fn connect(
        path: &Path,
        id: StoreId,
        cache_bytes: u64,
        lock: Option<HomeLock>,
    ) -> Result<Self, StoreError> {
        let connect = || {
            let database = Database::builder(path)
                .cache_size(cache_bytes)
                .journal_compression(CompressionType::None)
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(WORKERS)
                .open()?;
            let open = |table: Table, bytes: u64| {
                database.keyspace(table.name(), || {
                    KeyspaceCreateOptions::default()
                        .max_memtable_size(bytes)
                        .filter_block_partitioning_policy(in_parts())
                        .index_block_partitioning_policy(in_parts())
                })
            };
            let truth = open(Table::Truth, MEMTABLE_BYTES)?;
            let rows = open(Table::Rows, MEMTABLE_BYTES)?;
            let meta = open(Table::Meta, META_MEMTABLE_BYTES)?;
            Ok((database, truth, rows, meta))
        };
        let (database, truth, rows, meta) = contain(path, connect)?;
        if (truth.id(), rows.id(), meta.id()) != (1, 2, META_KEYSPACE) {
            return Err(StoreError::corrupt(path, "the tables are not where they belong"));
        }
        Ok(Self { database, truth, rows, meta, path: path.to_owned(), id, _lock: lock })
    }

    /// Commits a group with one fsync.
    pub(super) fn commit(&self, group: Group) -> Result<(), StoreError> {
        self.wait_for_room()?;
        let row = CommitRow {
            first: group.first,
            last: group.last,
            floor: self.database.seqno(),
            id: self.id,
        };
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for ((table, key), value) in group.effects {
            match value {
                Some(value) => batch.insert(self.keyspace(table), key, value),
                None => batch.remove(self.keyspace(table), key),
            }
        }
        batch.insert(&self.meta, COMMIT_KEY, row.encode());
        let outcome = contain(&self.path, || batch.commit());
        outcome.map_err(|error| self.explain(error))
    }

    /// Returns a value, the store's own rows included.
    pub(super) fn raw_get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = contain(&self.path, || self.keyspace(table).get(key));
        Ok(value.map_err(|error| self.locate(table, error))?.map(Bytes::from))
    }

    /// See `Store::scan`.
    pub(super) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        start: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let Some(range) = bounds(table, prefix, start, reverse)? else { return Ok(Vec::new()) };
        let collect = || collect(self.keyspace(table).range::<Vec<u8>, _>(range), reverse, limit);
        contain(&self.path, collect).map_err(|error| self.locate(table, error))
    }

    /// As [`Tables::raw_get`], of rows held on to.
    pub(super) fn raw_at(
        &self,
        rows: &RowsAt,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Bytes>, StoreError> {
        let value = contain(&self.path, || rows.0.get(self.keyspace(table), key));
        Ok(value.map_err(|error| self.locate(table, error))?.map(Bytes::from))
    }

    /// As [`Tables::scan`], of rows held on to.
    pub(super) fn scan_at(
        &self,
        rows: &RowsAt,
        table: Table,
        prefix: &[u8],
        start: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let Some(range) = bounds(table, prefix, start, reverse)? else { return Ok(Vec::new()) };
        let range = || rows.0.range::<Vec<u8>, _>(self.keyspace(table), range);
        contain(&self.path, || collect(range(), reverse, limit))
            .map_err(|error| self.locate(table, error))
    }

    /// Walks the store's own rows with this prefix.
    pub(super) fn own_rows(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        // What was walked already is not read again.
        let first = after.map_or_else(|| prefix.to_vec(), |after| [after, &[0]].concat());
        let collect = || {
            self.meta
                .range(first.max(prefix.to_vec())..)
                .map(|guard| guard.into_inner().map(|(k, v)| (Bytes::from(k), Bytes::from(v))))
                .take_while(|row| row.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)))
                .take(limit)
                .collect::<fjall::Result<Vec<Row>>>()
        };
        contain(&self.path, collect).map_err(|error| self.locate(Table::Meta, error))
    }

    /// Calls `visit` for every row of a table; the store's own rows are read but not shown.
    pub(super) fn walk(&self, table: Table, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        let iter = contain(&self.path, || Ok(self.keyspace(table).iter()))?;
        self.walk_through(iter, table, false, visit)
    }

    /// Holds on to the rows that are committed now.
    pub(super) fn rows_at(&self) -> RowsAt {
        RowsAt(self.database.snapshot())
    }

    /// As [`Tables::walk`], of rows held on to.
    pub(super) fn walk_at(
        &self,
        rows: &RowsAt,
        table: Table,
        visit: &mut RowVisitor<'_>,
    ) -> Result<u64, StoreError> {
        let iter = contain(&self.path, || Ok(rows.0.iter(self.keyspace(table))))?;
        self.walk_through(iter, table, false, visit)
    }

    /// Calls `visit` for the store's own rows among those held on to.
    pub(super) fn walk_own(
        &self,
        rows: &RowsAt,
        visit: &mut RowVisitor<'_>,
    ) -> Result<u64, StoreError> {
        let own = [RESERVED_META_BYTE];
        let iter = contain(&self.path, || Ok(rows.0.prefix(&self.meta, own)))?;
        self.walk_through(iter, Table::Meta, true, visit)
    }

    fn walk_through(
        &self,
        mut iter: fjall::Iter,
        table: Table,
        own: bool,
        visit: &mut RowVisitor<'_>,
    ) -> Result<u64, StoreError> {
        let mut rows = 0;
        loop {
            let next =
                contain(&self.path, || iter.next().map(fjall::Guard::into_inner).transpose())
                    .map_err(|error| self.locate(table, error))?;
            let Some((key, value)) = next else { return Ok(rows) };
            if is_reserved(table, &key) != own {
                continue;
            }
            rows += 1;
            visit(&key, &value)?;
        }
    }

    /// Compares every table file with the checksum that was recorded when it was written.
    pub(super) fn verify_files(&self) -> Result<(), StoreError> {
        Table::ALL.into_iter().try_for_each(|table| self.verify_files_of(table))
    }

    /// Returns rows (approximately) and bytes on disk of a table.
    pub(super) fn stats(&self, table: Table) -> TableStats {
        let keyspace = self.keyspace(table);
        let stats = || {
            Ok(TableStats { rows: keyspace.approximate_len() as u64, bytes: keyspace.disk_space() })
        };
        contain(&self.path, stats).unwrap_or_default()
    }

    /// Writes the memtables to table files, so that the next start replays nothing.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        for table in Table::ALL {
            contain(&self.path, || self.keyspace(table).rotate_memtable())
                .map_err(|error| self.explain(error))?;
        }
        self.wait_until(|keyspace| keyspace.sealed_memtable_count() == 0)?;
        contain(&self.path, || self.database.persist(PersistMode::SyncAll))
            .map_err(|error| self.explain(error))
    }

    /// Closes the database after a flush. What its journal holds is in tables then: it is emptied,
    /// so that the next start does not read it twice to find out.
    pub(super) fn close(self) -> Result<(), StoreError> {
        let Self { database, truth, rows, meta, path, _lock, .. } = self;
        drop((truth, rows, meta));
        drop(database);
        // One that was sealed is deleted by the database itself, in order.
        let [journal] = &*journals(&path)? else { return Ok(()) };
        let empty = || {
            let file = OpenOptions::new().write(true).open(journal)?;
            file.set_len(0)?;
            file.sync_all()
        };
        empty().map_err(|error| StoreError::io("empty", journal, error))
    }

    fn wait_for_room(&self) -> Result<(), StoreError> {
        self.wait_until(|keyspace| {
            keyspace.sealed_memtable_count() <= SEALED_MEMTABLES_MAX
                && keyspace.l0_table_count() <= LEVEL_0_TABLES_MAX
        })
    }

    /// The database tells nobody when a flush ends, and waits for ever itself if it failed.
    fn wait_until(&self, ready: impl Fn(&Keyspace) -> bool) -> Result<(), StoreError> {
        for _ in 0..POLLS_MAX {
            // notices a database that a background thread has given up
            contain(&self.path, || self.database.persist(PersistMode::Buffer))
                .map_err(|error| self.explain(error))?;
            if Table::ALL.into_iter().all(|table| ready(self.keyspace(table))) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(StoreError::ReadOnly { reason: "a flush of the database does not end".to_owned() })
    }

    /// A poisoned database does not say why: if a file is damaged, or the disk is full, that is
    /// why. How much of a write that failed for that is there when it is opened again, nobody knows.
    fn explain(&self, error: StoreError) -> StoreError {
        let full = match &error {
            StoreError::DiskFull { .. } => true,
            StoreError::ReadOnly { .. } => {
                free_bytes(&self.path).is_some_and(|free| free < COMMIT_RESERVE_BYTES)
            }
            _ => return error,
        };
        match self.verify_files() {
            Err(found @ StoreError::Corrupt(_)) => found,
            _ if full => {
                let path = self.path.display();
                let reason =
                    format!("disk is full at {path}, and the last write may be there then");
                StoreError::ReadOnly { reason }
            }
            _ => error,
        }
    }

    /// The database names neither table nor file of a damaged block: finds them.
    fn locate(&self, table: Table, error: StoreError) -> StoreError {
        if error.damage().is_none() {
            return error;
        }
        match self.verify_files_of(table) {
            Err(found @ StoreError::Corrupt(_)) => found,
            _ => match error {
                StoreError::Corrupt(mut damage) => {
                    damage.table = Some(table);
                    self.keyspace(table).path().clone_into(&mut damage.file);
                    StoreError::Corrupt(damage)
                }
                other => other,
            },
        }
    }

    fn verify_files_of(&self, table: Table) -> Result<(), StoreError> {
        let version = self.keyspace(table).tree.current_version();
        for file in version.iter_tables() {
            let detail = match checksum_of(&file.path) {
                Ok(found) if found == file.checksum().into_u128() => continue,
                Ok(_) => "the table file does not match its checksum",
                // a compaction may have just replaced it
                Err(StoreError::Corrupt(_)) => continue,
                Err(error) => return Err(error),
            };
            let mut error = StoreError::corrupt(file.path.as_ref(), detail);
            if let StoreError::Corrupt(damage) = &mut error {
                damage.table = Some(table);
            }
            return Err(error);
        }
        Ok(())
    }

    fn damage(&self, table: Table, detail: &str) -> StoreError {
        self.locate(table, StoreError::corrupt(&self.path, detail))
    }

    const fn keyspace(&self, table: Table) -> &Keyspace {
        match table {
            Table::Truth => &self.truth,
            Table::Rows => &self.rows,
            Table::Meta => &self.meta,
        }
    }
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tables").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Takes at most `limit` rows of a range.
fn collect(iter: fjall::Iter, reverse: bool, limit: usize) -> fjall::Result<Vec<Row>> {
    let row = |guard: fjall::Guard| {
        guard.into_inner().map(|(key, value)| (Bytes::from(key), Bytes::from(value)))
    };
    if reverse {
        iter.rev().take(limit).map(row).collect()
    } else {
        iter.take(limit).map(row).collect()
    }
}

/// Runs a call into the database: its panics on damaged files become errors.
fn contain<T>(path: &Path, call: impl FnOnce() -> fjall::Result<T>) -> Result<T, StoreError> {
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome.map_err(|error| translate(path, error)),
        Err(_) => Err(StoreError::corrupt(path, "the database gave up on its own files")),
    }
}

fn translate(path: &Path, error: fjall::Error) -> StoreError {
    use std::io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => {
            match error.kind() {
                // an offset that no file has comes from a damaged file, too
                UnexpectedEof | InvalidData | InvalidInput | NotFound => {
                    StoreError::corrupt(path, format!("a file is incomplete: {error}"))
                }
                _ => StoreError::io("use", path, error),
            }
        }
        fjall::Error::Poisoned => {
            StoreError::ReadOnly { reason: "the database stopped after a failure".to_owned() }
        }
        fjall::Error::Locked => StoreError::Locked { pid: None },
        fjall::Error::Storage(error) => StoreError::corrupt(path, format!("{error:?}")),
        error => StoreError::corrupt(path, format!("{error:?}")),
    }
}
