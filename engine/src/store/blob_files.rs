//! Large blobs as files. A blob counts only once its row is committed; the row follows the fsync
//! of its files and directories.
//!
//! ```text
//! blobs/ab/ab12…          the bytes
//! blobs/ab/ab12….groups   chaining values of its groups of 16 KiB
//! blobs/tmp/              being written; emptied when the store is opened
//! blobs/partial/          on their way in, see `disk::partial`
//! blobs/damaged/ab12…     was damaged; goes when the blob comes again or is removed
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use tempfile::NamedTempFile;

use crate::hash::BlobHash;

use super::{
    BLOB_READ_BYTES_MAX, GROUP_BYTES, StoreError,
    files::{
        NEW_FILE_PREFIX, RESERVE_BYTES, create_private_dir, disk_usage, free_bytes, replace_file,
        sync_dir,
    },
    groups::{GroupValue, fit, group_value},
};

/// Blobs whose group values have been checked against their hash since the store was opened.
const CHECKED_MAX: usize = 4096;
/// Groups of a new blob between two looks at the room that is left: a mebibyte, so that texts and
/// changes never ask.
const ROOM_EVERY_GROUPS: u64 = 64;
/// What the system answers when the disk cannot read a place.
const DISK_CANNOT_READ: i32 = 5;

/// The directory of the blob files.
#[derive(Debug)]
pub(super) struct BlobFiles {
    root: PathBuf,
    checked: Mutex<HashSet<BlobHash>>,
}

/// A blob under way in `tmp`.
#[derive(Debug)]
pub(super) struct NewBlob {
    bytes: NamedTempFile,
    groups: NamedTempFile,
    hasher: blake3::Hasher,
    group: Vec<u8>,
    index: u64,
    size: u64,
    size_max: u64,
}

impl BlobFiles {
    /// Creates the directories.
    pub(super) fn create(root: &Path) -> Result<(), StoreError> {
        for dir in [root.join("tmp"), root.join("partial")] {
            create_private_dir(&dir)?;
        }
        sync_dir(root)
    }

    /// Opens the directory, empties `tmp` and removes files without a row. What is in `partial`
    /// has been looked at before.
    pub(super) fn open(
        root: &Path,
        known: impl Fn(&BlobHash) -> Result<bool, StoreError>,
    ) -> Result<Self, StoreError> {
        let tmp = root.join("tmp");
        create_private_dir(&tmp)?;
        for path in list(&tmp)? {
            match path.is_dir() {
                // links of a snapshot
                true => fs::remove_dir_all(&path)
                    .map_err(|error| StoreError::io("remove", &path, error))?,
                false => remove(&path)?,
            }
        }
        for dir in list(root)?.into_iter().filter(|dir| is_shard(dir)) {
            for path in list(&dir)? {
                let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                let left = match BlobHash::parse_hex(stem) {
                    Some(hash) => !known(&hash)?,
                    None => stem.starts_with(NEW_FILE_PREFIX),
                };
                if left {
                    remove(&path)?;
                }
            }
        }
        Ok(Self { root: root.to_owned(), checked: Mutex::default() })
    }

    /// Starts a blob.
    pub(super) fn begin(&self, size_max: u64) -> Result<NewBlob, StoreError> {
        let tmp = self.root.join("tmp");
        let file =
            || NamedTempFile::new_in(&tmp).map_err(|e| StoreError::io("create a file in", &tmp, e));
        Ok(NewBlob {
            bytes: file()?,
            groups: file()?,
            hasher: blake3::Hasher::new(),
            group: Vec::with_capacity(GROUP_BYTES),
            index: 0,
            size: 0,
            size_max,
        })
    }

    /// Moves finished blobs to their places, durably; their rows must follow.
    pub(super) fn place(&self, blobs: BTreeMap<BlobHash, NewBlob>) -> Result<(), StoreError> {
        // all are written by now: the first flush finds the disk at work on the others too
        for file in blobs.values().flat_map(|blob| [&blob.groups, &blob.bytes]) {
            let flushed = file.as_file().sync_all();
            flushed.map_err(|error| StoreError::io("flush", file.path(), error))?;
        }
        let hashes: Vec<BlobHash> = blobs.keys().copied().collect();
        let mut dirs = BTreeSet::new();
        for (hash, blob) in blobs {
            let (path, dir) = self.shard(&hash)?;
            for (file, path) in [(blob.groups, groups_path(&path)), (blob.bytes, path)] {
                file.persist(&path)
                    .map_err(|error| StoreError::io("rename to", &path, error.error))?;
            }
            dirs.insert(dir);
        }
        dirs.iter().try_for_each(|dir| sync_dir(dir))?;
        hashes.iter().try_for_each(|hash| remove(&self.aside(hash)))
    }

    /// Moves files that are complete and fsynced to their place, durably; the row must follow.
    pub(super) fn adopt(&self, bytes: &Path, hash: &BlobHash) -> Result<(), StoreError> {
        let (path, dir) = self.shard(hash)?;
        for (from, to) in [(groups_path(bytes), groups_path(&path)), (bytes.to_owned(), path)] {
            fs::rename(&from, &to).map_err(|error| StoreError::io("rename to", &to, error))?;
        }
        sync_dir(&dir)?;
        sync_dir(bytes.parent().unwrap_or(&self.root))?;
        remove(&self.aside(hash))
    }

    /// The path of a blob in a directory that is there.
    fn shard(&self, hash: &BlobHash) -> Result<(PathBuf, PathBuf), StoreError> {
        let path = self.path(hash);
        let dir = path.parent().unwrap_or(&self.root).to_owned();
        if !dir.exists() {
            create_private_dir(&dir)?;
            sync_dir(&self.root)?;
        }
        Ok((path, dir))
    }

    /// Bytes on disk of a blob, of what was set aside of it too.
    pub(super) fn footprint(&self, hash: &BlobHash) -> u64 {
        let path = self.path(hash);
        [&path, &groups_path(&path), &self.aside(hash)].into_iter().map(|p| disk_usage(p)).sum()
    }

    /// Hashes of what was set aside.
    pub(super) fn set_asides(&self) -> Result<Vec<BlobHash>, StoreError> {
        let dir = self.root.join("damaged");
        if !dir.exists() {
            return Ok(Vec::new());
        }
        let names = list(&dir)?.into_iter().filter_map(|path| {
            path.file_name().and_then(|name| name.to_str()).and_then(BlobHash::parse_hex)
        });
        let mut hashes: Vec<_> = names.collect();
        hashes.sort();
        Ok(hashes)
    }

    /// Removes the files of a blob whose row is gone.
    pub(super) fn remove(&self, hash: &BlobHash) -> Result<(), StoreError> {
        self.checked().remove(hash);
        let path = self.path(hash);
        remove(&groups_path(&path))?;
        remove(&path)?;
        remove(&self.aside(hash))
    }

    /// Moves the bytes of a blob out of the way.
    pub(super) fn set_aside(&self, hash: &BlobHash) -> Result<(), StoreError> {
        self.checked().remove(hash);
        let (path, aside) = (self.path(hash), self.aside(hash));
        create_private_dir(aside.parent().unwrap_or(&self.root))?;
        match fs::rename(&path, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("rename", &path, error))
            }
            _ => remove(&groups_path(&path)),
        }
    }

    /// Looks whether the bytes are there and as many as they should be.
    pub(super) fn check(&self, hash: &BlobHash, size: u64) -> Result<(), StoreError> {
        let path = self.path(hash);
        let found = fs::metadata(&path).map_err(|error| missing(&path, error))?.len();
        if found == size {
            return Ok(());
        }
        Err(damage(&path, found.min(size), "the file has another size"))
    }

    /// Reads a range of a blob of `size` bytes, verified.
    pub(super) fn read(
        &self,
        hash: &BlobHash,
        size: u64,
        offset: u64,
        len: usize,
    ) -> Result<Bytes, StoreError> {
        let len = len.min(BLOB_READ_BYTES_MAX);
        let end = offset.saturating_add(len as u64).min(size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        self.check_groups(hash, size)?;
        let group = GROUP_BYTES as u64;
        let (first, after) = (offset / group, end.div_ceil(group));
        let path = self.path(hash);
        let from = first * group;
        let bytes = read_at(&path, from, (after * group).min(size) - from)?;
        let values = self.values(hash, first, after - first)?;
        for ((index, part), value) in (first..).zip(bytes.chunks(GROUP_BYTES)).zip(&values) {
            if group_value(index, part) != *value {
                return Err(damage(&path, index * group, "the bytes do not match their hash"));
            }
        }
        let start = usize::try_from(offset - from).unwrap_or(usize::MAX);
        let stop = usize::try_from(end - from).unwrap_or(usize::MAX);
        let bytes = Bytes::from(bytes);
        if stop > bytes.len() || start > stop {
            return Err(damage(&path, offset, "the file is too short"));
        }
        Ok(bytes.slice(start..stop))
    }

    /// Returns group values, checked against the hash.
    pub(super) fn groups(
        &self,
        hash: &BlobHash,
        size: u64,
        first: u64,
        count: usize,
    ) -> Result<Vec<GroupValue>, StoreError> {
        self.check_groups(hash, size)?;
        let total = size.div_ceil(GROUP_BYTES as u64);
        let count = (count as u64).min(total.saturating_sub(first)).min(1 << 15);
        self.values(hash, first, count)
    }

    /// Checks the group values against the hash, once a blob. They follow from the bytes: damaged
    /// ones are made again.
    fn check_groups(&self, hash: &BlobHash, size: u64) -> Result<(), StoreError> {
        if self.checked().contains(hash) {
            return Ok(());
        }
        if !self.groups_fit(hash, size)? {
            self.make_groups(hash, size)?;
        }
        let mut checked = self.checked();
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(*hash);
        Ok(())
    }

    fn groups_fit(&self, hash: &BlobHash, size: u64) -> Result<bool, StoreError> {
        let total = size.div_ceil(GROUP_BYTES as u64);
        let Ok(values) = self.values(hash, 0, total) else { return Ok(false) };
        fit(hash, &values, || read_at(&self.path(hash), 0, size))
    }

    fn make_groups(&self, hash: &BlobHash, size: u64) -> Result<(), StoreError> {
        let path = self.path(hash);
        let (mut hasher, mut values) = (blake3::Hasher::new(), Vec::new());
        let total = size.div_ceil(GROUP_BYTES as u64);
        for index in 0..total {
            let from = index * GROUP_BYTES as u64;
            let group = read_at(&path, from, (size - from).min(GROUP_BYTES as u64))?;
            hasher.update(&group);
            values.extend_from_slice(&group_value(index, &group));
        }
        if hasher.finalize().as_bytes() != hash.as_bytes() {
            return Err(damage(&path, 0, "the bytes do not match their hash"));
        }
        replace_file(&groups_path(&path), &values)
    }

    fn values(
        &self,
        hash: &BlobHash,
        first: u64,
        count: u64,
    ) -> Result<Vec<GroupValue>, StoreError> {
        let path = groups_path(&self.path(hash));
        let bytes = read_at(&path, first.saturating_mul(32), count.saturating_mul(32))?;
        Ok(bytes.as_chunks::<32>().0.to_vec())
    }

    /// Where the blobs are.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, hash: &BlobHash) -> PathBuf {
        blob_path(&self.root, hash)
    }

    fn aside(&self, hash: &BlobHash) -> PathBuf {
        self.root.join("damaged").join(hash.to_string())
    }

    fn checked(&self) -> std::sync::MutexGuard<'_, HashSet<BlobHash>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NewBlob {
    /// Appends bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > self.size_max {
            return Err(StoreError::Refused { what: "blob", found: size, limit: self.size_max });
        }
        self.size = size;
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let room = GROUP_BYTES - self.group.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.group.extend_from_slice(now);
            bytes = later;
            if self.group.len() == GROUP_BYTES {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Writes what is left; returns hash and size.
    pub(super) fn seal(&mut self) -> Result<(BlobHash, u64), StoreError> {
        if !self.group.is_empty() {
            self.end_group()?;
        }
        Ok((BlobHash::from_bytes(*self.hasher.finalize().as_bytes()), self.size))
    }

    fn end_group(&mut self) -> Result<(), StoreError> {
        let value = group_value(self.index, &self.group);
        let write = |file: &mut NamedTempFile, bytes: &[u8]| {
            file.write_all(bytes).map_err(|error| StoreError::io("write", file.path(), error))
        };
        if self.index % ROOM_EVERY_GROUPS == ROOM_EVERY_GROUPS - 1
            && free_bytes(self.bytes.path()).is_some_and(|free| free < RESERVE_BYTES)
        {
            return Err(StoreError::DiskFull { path: self.bytes.path().to_owned() });
        }
        write(&mut self.bytes, &self.group)?;
        write(&mut self.groups, &value)?;
        self.index += 1;
        self.group.clear();
        Ok(())
    }
}

/// Returns where the bytes of a complete blob are, below the directory of the blob files.
pub(super) fn blob_path(root: &Path, hash: &BlobHash) -> PathBuf {
    let name = hash.to_string();
    root.join(name.get(..2).unwrap_or_default()).join(&name)
}

/// Where the group values beside these bytes are.
pub(super) fn groups_path(path: &Path) -> PathBuf {
    path.with_extension("groups")
}

fn is_shard(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.len() == 2)
}

pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(dir).map_err(|error| StoreError::io("list", dir, error))?;
    entries
        .map(|entry| entry.map(|e| e.path()).map_err(|error| StoreError::io("list", dir, error)))
        .collect()
}

pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Reads exactly `len` bytes; `len` is bounded by the callers.
pub(super) fn read_at(path: &Path, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(len).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| missing(path, error))?;
    if bytes.len() as u64 != len {
        return Err(damage(path, offset + bytes.len() as u64, "the file is too short"));
    }
    Ok(bytes)
}

fn missing(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::corrupt(path, "the file is missing"),
        _ if error.raw_os_error() == Some(DISK_CANNOT_READ) => {
            StoreError::corrupt(path, "the disk cannot read it")
        }
        _ => StoreError::io("read", path, error),
    }
}

fn damage(path: &Path, offset: u64, detail: &str) -> StoreError {
    let mut error = StoreError::corrupt(path, detail);
    if let StoreError::Corrupt(damage) = &mut error {
        damage.offset = Some(offset);
    }
    error
}
