//! Small durable steps on files, each fsynced before it returns.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use super::StoreError;

/// How the name of a file begins that is about to take another one's place.
pub(super) const NEW_FILE_PREFIX: &str = ".new-";

/// Bytes of the disk that large blobs leave free, for the commits of everything else: a store that
/// cannot write its journal takes nothing any more.
pub(super) const RESERVE_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes of the disk that commits leave free, for what the database writes by itself later: one that
/// cannot do that stops, and nobody can tell what of the last commit is there.
pub(super) const COMMIT_RESERVE_BYTES: u64 = 8 * 1024 * 1024;

/// Returns the bytes that are free on the disk of `path`; `None` where the system does not say.
#[cfg(unix)]
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(path).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(not(unix))]
pub(super) fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Flushes a directory: a created, renamed or removed name in it is durable afterwards.
pub(super) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| StoreError::io("flush directory", path, error))
}

/// Replaces a file as a whole: readers see the old bytes or the new ones.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(NEW_FILE_PREFIX)
        .tempfile_in(parent)
        .map_err(|error| StoreError::io("create a file in", parent, error))?;
    temporary
        .write_all(bytes)
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(|error| StoreError::io("write", path, error))?;
    temporary.persist(path).map_err(|error| StoreError::io("rename to", path, error.error))?;
    sync_dir(parent)
}

/// Creates a directory that only its owner may enter, with its parents.
pub(super) fn create_private_dir(path: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(|error| StoreError::io("create directory", path, error))
}

/// Returns the bytes that everything under `path` takes on disk, holes not counted.
pub(super) fn disk_usage(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return allocated(&metadata);
    }
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries.flatten().map(|entry| disk_usage(&entry.path())).sum()
}

#[cfg(unix)]
fn allocated(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks().saturating_mul(512)
}

#[cfg(not(unix))]
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}
