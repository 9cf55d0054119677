//! The store as it was at one commit, and what can be seen of one without opening it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::super::blob_files::blob_path;
use super::super::format::Format;
use super::super::highwater::{Mark, Why, check_marker, read_mark};
use super::super::journal::{COMMIT_KEY, CommitRow};
use super::super::{BlobInfo, CommitNumber, RowVisitor, StoreError, Table};
use super::tables::{RowsAt, Tables};
use super::{BLOB_PREFIX, DiskOptions, DiskStore, lock};

/// Everything that was committed up to one commit; commits go on meanwhile. Large blobs are held
/// by links to their files, which go when this is dropped.
pub struct Snapshot {
    pub(super) tables: Arc<Tables>,
    pub(super) rows: RowsAt,
    pub(super) commit: CommitNumber,
    pub(super) blobs: Vec<BlobInfo>,
    links: TempDir,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("commit", &self.commit).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The last commit that is in it.
    #[must_use]
    pub const fn commit(&self) -> CommitNumber {
        self.commit
    }

    /// The large blobs, in order.
    #[must_use]
    pub fn blobs(&self) -> &[BlobInfo] {
        &self.blobs
    }

    /// Opens the bytes of a large blob; they are not verified.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn blob(&self, blob: &BlobInfo) -> Result<File, StoreError> {
        let path = self.links.path().join(blob.hash.to_string());
        File::open(&path).map_err(|error| StoreError::io("open", path, error))
    }

    /// Walks a whole table in key order, without the store's own rows; returns their number.
    ///
    /// # Errors
    /// As [`super::Store::verify`].
    pub fn rows(&self, table: Table, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        self.tables.walk_at(&self.rows, table, visit)
    }
}

/// What is seen of a store from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its format.
    pub format: u32,
    /// Why it may not be the newest of its kind, as far as its marks say.
    pub doubt: Option<Why>,
}

impl DiskStore {
    /// Holds on to what is committed now.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::Corrupt`] if the file of a blob is missing,
    /// [`StoreError::Io`] if links cannot be made.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let root = self.inner.options.store().join("blobs");
        let tmp = root.join("tmp");
        let links = tempfile::Builder::new()
            .prefix("snapshot-")
            .tempdir_in(&tmp)
            .map_err(|error| StoreError::io("create a directory in", &tmp, error))?;
        // no blob comes or goes between the rows and the links
        let _step = lock(&self.inner.blob_steps);
        let tables = self.inner.tables()?;
        let rows = tables.rows_at();
        let mut found = Vec::new();
        tables.walk_own(&rows, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        let (mut commit, mut blobs) = (None, Vec::new());
        for (key, value) in &found {
            if key == COMMIT_KEY {
                commit = CommitRow::decode(value).map(|row| row.last);
            } else if key.starts_with(BLOB_PREFIX) {
                blobs.push(self.inner.decode_blob(key, value)?);
            }
        }
        let missing = || StoreError::corrupt(&root, "the commit row is missing");
        for blob in &blobs {
            let from = blob_path(&root, &blob.hash);
            let to = links.path().join(blob.hash.to_string());
            fs::hard_link(&from, to).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => StoreError::corrupt(&from, "the file is missing"),
                _ => StoreError::io("link", &from, error),
            })?;
        }
        Ok(Snapshot { rows, commit: commit.ok_or_else(missing)?, tables, blobs, links })
    }

    /// Looks at a store without opening or changing it; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged format file, [`StoreError::FormatTooNew`],
    /// [`StoreError::Io`].
    pub fn look(options: &DiskOptions) -> Result<Option<Look>, StoreError> {
        if !options.store().exists() {
            return Ok(None);
        }
        let format = Format::read(&options.store().join("format"))?;
        format.check_known()?;
        let [inside, outside] = options.marks();
        let here = read_mark(format.id, &inside)?;
        let there = read_mark(format.id, &outside)?;
        let doubt = match (here, there) {
            (Mark::At(store), Mark::At(mark)) if store < mark => Some(Why::Behind { store, mark }),
            (Mark::At(_), Mark::At(_)) => check_marker(format.id, &options.marker())?,
            (Mark::Damaged, _) => Some(Why::MarkDamaged(inside)),
            (_, Mark::Damaged) => Some(Why::MarkDamaged(outside)),
            // both are missing until the first commit
            (Mark::Missing, Mark::Missing) => None,
            (Mark::Missing, _) => Some(Why::MarkMissing(inside)),
            (_, Mark::Missing) => Some(Why::MarkMissing(outside)),
        };
        let left = options.doubts().into_iter().find(|(path, _)| path.exists());
        Ok(Some(Look { format: format.version, doubt: left.map(|(_, why)| why).or(doubt) }))
    }

    /// Notes in a home that its store was put back from a backup: the next opening reports it.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::DiskFull`].
    pub fn mark_restored(options: &DiskOptions) -> Result<(), StoreError> {
        super::replace_file(&options.restored(), b"")
    }
}

impl DiskOptions {
    pub(super) fn restored(&self) -> PathBuf {
        self.home.join("restored")
    }

    /// Files whose presence says why the store may be an older one.
    pub(super) fn doubts(&self) -> [(PathBuf, Why); 2] {
        [(self.salvaged(), Why::Salvaged), (self.restored(), Why::Restored)]
    }
}
