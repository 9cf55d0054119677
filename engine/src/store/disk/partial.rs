//! Blobs on their way in.
//!
//! ```text
//! blobs/partial/HASH-SIZE          the bytes, with holes
//! blobs/partial/HASH-SIZE.groups   chaining values of the groups that are here, at their places
//! ```
//!
//! Which groups count stands in a row of the database, a bit each. It is committed only after both
//! files are fsynced, so it never runs ahead of them. A complete blob is moved to its place, then
//! one commit takes this row away and puts the blob's own; a crash between the two is undone when
//! the store is opened.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::hash::BlobHash;
use crate::store::{
    Batch, BlobInfo, GROUP_BYTES, PARTIAL_STEP_BYTES, PartialBlob, PartialInfo, StoreError, Table,
    blob_files::{blob_path, groups_path, list, read_at, remove},
    files::{RESERVE_BYTES, create_private_dir, disk_usage, free_bytes, sync_dir},
    group_set::GroupSet,
    groups::{GroupValue, fit, group_value},
};

use super::{Inner, Tables, blob_key, lock};

/// Prefix in the meta table of the rows of partial blobs: which groups are here.
const PARTIAL_PREFIX: &[u8] = b"\xffpart";

/// Blobs that are open at this moment.
pub(super) type OpenPartials = BTreeSet<(BlobHash, u64)>;

/// A partial blob that is open.
#[derive(Debug)]
struct DiskPartial {
    store: Arc<Inner>,
    hash: BlobHash,
    size: u64,
    path: PathBuf,
    bytes: File,
    position: u64,
    held: GroupSet,
    /// Values of groups written since the last checkpoint.
    fresh: Vec<(u64, GroupValue)>,
    fresh_bytes: u64,
}

impl Inner {
    pub(super) fn partial_open(
        self: &Arc<Self>,
        hash: &BlobHash,
        size: u64,
    ) -> Result<Box<dyn PartialBlob>, StoreError> {
        if !lock(&self.open_partials).insert((*hash, size)) {
            return Err(StoreError::Busy(*hash));
        }
        let opened = self.open_files(hash, size);
        if opened.is_err() {
            lock(&self.open_partials).remove(&(*hash, size));
        }
        Ok(Box::new(opened?))
    }

    fn open_files(self: &Arc<Self>, hash: &BlobHash, size: u64) -> Result<DiskPartial, StoreError> {
        let row = self.tables()?.raw_get(Table::Meta, &partial_key(hash, size))?;
        let known = row.and_then(|row| GroupSet::decode(size, &row));
        let fresh = known.is_none();
        let held = known.unwrap_or_else(|| GroupSet::empty(size));
        let dir = self.blobs.root().join("partial");
        create_private_dir(&dir)?;
        let wanted = (size - held.bytes()).saturating_add(RESERVE_BYTES);
        if free_bytes(&dir).is_some_and(|free| free < wanted) {
            return Err(StoreError::DiskFull { path: dir });
        }
        let path = dir.join(name(hash, size));
        let bytes = open_file(&path, fresh)?;
        if fresh {
            open_file(&groups_path(&path), true)?;
            sync_dir(&dir)?;
        }
        let (store, hash) = (Arc::clone(self), *hash);
        let (position, fresh, fresh_bytes) = (0, Vec::new(), 0);
        Ok(DiskPartial { store, hash, size, path, bytes, position, held, fresh, fresh_bytes })
    }

    pub(super) fn partials(&self) -> Result<Vec<PartialInfo>, StoreError> {
        let open = lock(&self.open_partials).clone();
        let rows = self.tables()?.own_rows(PARTIAL_PREFIX, None, usize::MAX)?;
        let mut partials: Vec<PartialInfo> = rows
            .iter()
            .filter_map(|(key, row)| {
                let (hash, size) = parse_key(key)?;
                let held = GroupSet::decode(size, row)?.bytes();
                let open = open.contains(&(hash, size));
                let disk_bytes = self.partial_bytes(&hash, size);
                Some(PartialInfo { hash, size, held, disk_bytes, open })
            })
            .collect();
        // begun, and nothing of it durable yet
        for (hash, size) in open {
            if !partials.iter().any(|known| (known.hash, known.size) == (hash, size)) {
                let disk_bytes = self.partial_bytes(&hash, size);
                partials.push(PartialInfo { hash, size, held: 0, disk_bytes, open: true });
            }
        }
        partials.sort_by_key(|partial| (partial.hash, partial.size));
        Ok(partials)
    }

    fn partial_bytes(&self, hash: &BlobHash, size: u64) -> u64 {
        let path = self.blobs.root().join("partial").join(name(hash, size));
        disk_usage(&path).saturating_add(disk_usage(&groups_path(&path)))
    }

    pub(super) fn partial_remove(&self, hash: &BlobHash, size: u64) -> Result<bool, StoreError> {
        // held all the time: it must not be opened while it goes
        let open = lock(&self.open_partials);
        if open.contains(&(*hash, size)) {
            return Ok(false);
        }
        self.remove_files(hash, size)
    }

    fn remove_files(&self, hash: &BlobHash, size: u64) -> Result<bool, StoreError> {
        let key = partial_key(hash, size);
        let known = self.tables()?.raw_get(Table::Meta, &key)?.is_some();
        if known {
            let mut batch = Batch::new();
            batch.delete(Table::Meta, key);
            self.writer.submit(batch)?.wait()?;
        }
        let path = self.blobs.root().join("partial").join(name(hash, size));
        remove(&groups_path(&path))?;
        remove(&path)?;
        Ok(known)
    }
}

impl DiskPartial {
    fn append(&mut self, offset: u64, group: &[u8]) -> std::io::Result<()> {
        if self.position != offset {
            self.bytes.seek(SeekFrom::Start(offset))?;
        }
        // after a failed write nobody knows where the file stands
        self.position = u64::MAX;
        self.bytes.write_all(group)?;
        self.position = offset + group.len() as u64;
        Ok(())
    }

    /// Writes the values of the groups since the last checkpoint, neighbours in one go.
    fn write_values(&mut self) -> Result<(), StoreError> {
        let path = groups_path(&self.path);
        self.fresh.sort_unstable_by_key(|(group, _)| *group);
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            for run in self.fresh.chunk_by(|(a, _), (b, _)| a + 1 == *b) {
                let first = run.first().map_or(0, |(group, _)| *group);
                let values: Vec<u8> = run.iter().flat_map(|(_, value)| *value).collect();
                file.seek(SeekFrom::Start(first.saturating_mul(32)))?;
                file.write_all(&values)?;
            }
            file.sync_data()
        };
        write().map_err(|error| StoreError::io("write", &path, error))
    }

    fn is_right(&self) -> Result<bool, StoreError> {
        let total = self.size.div_ceil(GROUP_BYTES as u64);
        let values = read_at(&groups_path(&self.path), 0, total.saturating_mul(32))?;
        fit(&self.hash, values.as_chunks::<32>().0, || read_at(&self.path, 0, self.size))
    }
}

impl PartialBlob for DiskPartial {
    fn missing(&self) -> Vec<Range<u64>> {
        self.held.missing()
    }

    fn write(&mut self, offset: u64, group: &[u8]) -> Result<bool, StoreError> {
        let Some(index) = self.held.group_at(offset, group.len()) else {
            return Err(StoreError::refused("part of a blob", group.len(), GROUP_BYTES));
        };
        if self.held.contains(index) {
            return Ok(false);
        }
        self.append(offset, group).map_err(|error| StoreError::io("write", &self.path, error))?;
        self.held.insert(index);
        self.fresh.push((index, group_value(index, group)));
        self.fresh_bytes += group.len() as u64;
        if self.fresh_bytes >= PARTIAL_STEP_BYTES {
            if free_bytes(&self.path).is_some_and(|free| free < RESERVE_BYTES) {
                return Err(StoreError::DiskFull { path: self.path.clone() });
            }
            self.checkpoint()?;
        }
        Ok(true)
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        self.bytes.sync_data().map_err(|error| StoreError::io("flush", &self.path, error))?;
        self.write_values()?;
        let mut batch = Batch::new();
        batch.put(Table::Meta, partial_key(&self.hash, self.size), self.held.encode());
        self.store.writer.submit(batch)?.wait()?;
        self.fresh.clear();
        self.fresh_bytes = 0;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<BlobInfo, StoreError> {
        if !self.held.is_whole() {
            let (found, limit) = (self.held.bytes(), self.size);
            return Err(StoreError::Refused { what: "incomplete blob", found, limit });
        }
        self.checkpoint()?;
        let (store, hash, size) = (Arc::clone(&self.store), self.hash, self.size);
        if !self.is_right()? {
            store.remove_files(&hash, size)?;
            let what = "blob of another hash";
            return Err(StoreError::Refused { what, found: size, limit: 0 });
        }
        let _step = lock(&store.blob_steps);
        if let Some(info) = store.blob_info(&hash)? {
            store.remove_files(&hash, size)?;
            return Ok(info);
        }
        store.blobs.adopt(&self.path, &hash)?;
        let mut batch = Batch::new();
        batch.delete(Table::Meta, partial_key(&hash, size));
        batch.put(Table::Meta, blob_key(&hash), size.to_be_bytes().to_vec());
        store.writer.submit(batch)?.wait()?;
        store.count_blob(size);
        Ok(BlobInfo { hash, size })
    }
}

impl Drop for DiskPartial {
    fn drop(&mut self) {
        let mut open = lock(&self.store.open_partials);
        // what never came to a checkpoint has no row that would find its files again
        let known = self
            .store
            .tables()
            .and_then(|tables| tables.raw_get(Table::Meta, &partial_key(&self.hash, self.size)));
        if matches!(known, Ok(None)) {
            let _ = remove(&groups_path(&self.path));
            let _ = remove(&self.path);
        }
        open.remove(&(self.hash, self.size));
    }
}

/// Looks at the partial blobs of a store that is being opened: moves back what a crash left at its
/// place without a row, and removes files that no row speaks of. Returns the keys of rows whose
/// files are gone or too short.
pub(super) fn recover(root: &Path, tables: &Tables) -> Result<Vec<Vec<u8>>, StoreError> {
    let dir = root.join("partial");
    create_private_dir(&dir)?;
    let (mut lost, mut kept) = (Vec::new(), BTreeSet::new());
    for (key, row) in tables.own_rows(PARTIAL_PREFIX, None, usize::MAX)? {
        let found = parse_key(&key).and_then(|(hash, size)| {
            let held = GroupSet::decode(size, &row)?;
            Some((hash, dir.join(name(&hash, size)), held))
        });
        let Some((hash, path, held)) = found else {
            lost.push(key.to_vec());
            continue;
        };
        if tables.raw_get(Table::Meta, &blob_key(&hash))?.is_none() {
            let placed = blob_path(root, &hash);
            for (to, from) in [(&path, &placed), (&groups_path(&path), &groups_path(&placed))] {
                if !to.exists() && from.exists() {
                    fs::rename(from, to).map_err(|error| StoreError::io("rename", from, error))?;
                }
            }
        }
        let reaches = |path: &Path, bytes: u64| {
            fs::metadata(path).is_ok_and(|metadata| metadata.len() >= bytes)
        };
        if reaches(&path, held.end_bytes())
            && reaches(&groups_path(&path), held.end().saturating_mul(32))
        {
            kept.insert(groups_path(&path));
            kept.insert(path);
        } else {
            lost.push(key.to_vec());
        }
    }
    for path in list(&dir)?.into_iter().filter(|path| !kept.contains(path)) {
        remove(&path)?;
    }
    Ok(lost)
}

fn open_file(path: &Path, anew: bool) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(anew).truncate(anew);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map_err(|error| StoreError::io("open", path, error))
}

fn name(hash: &BlobHash, size: u64) -> String {
    format!("{hash}-{size}")
}

fn partial_key(hash: &BlobHash, size: u64) -> Vec<u8> {
    [PARTIAL_PREFIX, hash.as_bytes(), &size.to_be_bytes()].concat()
}

fn parse_key(key: &[u8]) -> Option<(BlobHash, u64)> {
    let (hash, size) = key.strip_prefix(PARTIAL_PREFIX)?.split_first_chunk::<32>()?;
    Some((BlobHash::from_bytes(*hash), u64::from_be_bytes(size.try_into().ok()?)))
}
