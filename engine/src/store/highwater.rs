//! Marks outside the database: how far it has been, and which files it was.
//!
//! After each commit its number is written, without a flush, to a 16-byte file in the home and to
//! another in the state folder. A store behind one of them was rolled back: an old copy put back,
//! a lost journal, a disk that lied. The marker file in the home carries its own file identity,
//! so that a copy of the whole home is recognised too.
//!
//! ```text
//! high water   number u64be ‖ check 8
//! marker       store id 16 ‖ device u64be ‖ file u64be ‖ birth u128be (ns) ‖ check 8
//! ```

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use crate::hash::derive;

use super::{CommitNumber, StoreError, files::sync_dir, format::StoreId};

/// Why a store is not known to be the newest of its kind: its device must write on in a new
/// incarnation, or it may sign two different changes with one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The store has fewer commits than it once had.
    Behind {
        /// The last commit that is there.
        store: CommitNumber,
        /// The last commit that was acknowledged.
        mark: CommitNumber,
    },
    /// The home is a copy of another one.
    Copied,
    /// A mark is missing.
    MarkMissing(PathBuf),
    /// A mark cannot be read, or belongs to another store.
    MarkDamaged(PathBuf),
    /// The store is new although the state folder knows an older one.
    Replaced,
    /// Damaged parts of the store were set aside.
    Salvaged,
    /// It was put back from a backup.
    Restored,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { store, mark } => {
                write!(f, "the store ends at commit {}, it has been at {}", store.0, mark.0)
            }
            Self::Copied => f.write_str("the store is a copy"),
            Self::MarkMissing(path) => write!(f, "the mark {} is missing", path.display()),
            Self::MarkDamaged(path) => write!(f, "the mark {} is not readable", path.display()),
            Self::Replaced => f.write_str("the store is new, an older one was here"),
            Self::Salvaged => f.write_str("damaged parts of the store were set aside"),
            Self::Restored => f.write_str("the store was put back from a backup"),
        }
    }
}

/// The two high-water files, open for overwriting.
#[derive(Debug)]
pub(super) struct Marks {
    id: StoreId,
    files: Vec<(PathBuf, File)>,
}

/// What a mark file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Missing,
    Damaged,
    At(CommitNumber),
}

impl Marks {
    /// Opens the files, creating them empty.
    pub(super) fn open(id: StoreId, paths: &[PathBuf]) -> Result<Self, StoreError> {
        let mut files = Vec::new();
        for path in paths {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(|error| StoreError::io("open", path, error))?;
            files.push((path.clone(), file));
        }
        Ok(Self { id, files })
    }

    /// Overwrites both marks, without a flush: a mark that lags is harmless.
    pub(super) fn write(&mut self, number: CommitNumber) -> Result<(), StoreError> {
        let bytes = encode_mark(self.id, number);
        for (path, file) in &mut self.files {
            file.seek(SeekFrom::Start(0))
                .and_then(|_| file.write_all(&bytes))
                .map_err(|error| StoreError::io("write", path.as_path(), error))?;
        }
        Ok(())
    }

    /// Flushes both marks.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        for (path, file) in &self.files {
            file.sync_all().map_err(|error| StoreError::io("flush", path.as_path(), error))?;
        }
        Ok(())
    }
}

/// Reads one high-water file.
pub(super) fn read_mark(id: StoreId, path: &Path) -> Result<Mark, StoreError> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(64).read_to_end(&mut bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Mark::Missing),
        Err(error) => Err(error),
    }
    .map_err(|error| StoreError::io("read", path, error))?;
    // opened for the first time, but the process died before its first mark
    if bytes.is_empty() {
        return Ok(Mark::Missing);
    }
    let Some(number) = bytes.first_chunk::<8>() else { return Ok(Mark::Damaged) };
    let number = CommitNumber(u64::from_be_bytes(*number));
    Ok(if bytes == encode_mark(id, number) { Mark::At(number) } else { Mark::Damaged })
}

fn encode_mark(id: StoreId, number: CommitNumber) -> [u8; 16] {
    let number = number.0.to_be_bytes();
    let digest = derive("mosaic high water 1", &[&id.0, &number]);
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(number.iter().chain(&digest)) {
        *to = *from;
    }
    bytes
}

/// Writes a fresh marker file that carries its own identity.
pub(super) fn write_marker(id: StoreId, path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(parent)
        .map_err(|error| StoreError::io("create a file in", parent, error))?;
    let write = |file: &mut File| -> std::io::Result<()> {
        file.write_all(&encode_marker(id, &file.metadata()?))?;
        file.sync_all()
    };
    write(temporary.as_file_mut()).map_err(|error| StoreError::io("write", path, error))?;
    temporary.persist(path).map_err(|error| StoreError::io("rename to", path, error.error))?;
    sync_dir(parent)
}

/// Says what is wrong with the marker file, if anything is.
pub(super) fn check_marker(id: StoreId, path: &Path) -> Result<Option<Why>, StoreError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Some(Why::MarkMissing(path.to_owned())));
        }
        Err(error) => return Err(StoreError::io("read", path, error)),
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(256).read_to_end(&mut bytes))
        .map_err(|error| StoreError::io("read", path, error))?;
    let (Some((body, check)), Some(own)) =
        (bytes.split_last_chunk::<8>(), bytes.first_chunk::<16>())
    else {
        return Ok(Some(Why::MarkDamaged(path.to_owned())));
    };
    if *check != marker_check(body) || *own != id.0 {
        return Ok(Some(Why::MarkDamaged(path.to_owned())));
    }
    Ok((!same_file(body, &marker_body(id, &metadata))).then_some(Why::Copied))
}

/// A birth time settles it; without one the device number counts, which a reboot may change.
fn same_file(written: &[u8], found: &[u8]) -> bool {
    let part = |bytes: &[u8], from: usize, to: usize| bytes.get(from..to).map(<[u8]>::to_vec);
    let birth = part(found, 32, 48);
    if birth.as_ref().is_some_and(|birth| birth.iter().any(|byte| *byte != 0)) {
        return part(written, 24, 48) == part(found, 24, 48);
    }
    written == found
}

fn encode_marker(id: StoreId, metadata: &fs::Metadata) -> Vec<u8> {
    let mut bytes = marker_body(id, metadata);
    let check = marker_check(&bytes);
    bytes.extend(check);
    bytes
}

fn marker_body(id: StoreId, metadata: &fs::Metadata) -> Vec<u8> {
    let (device, file) = file_identity(metadata);
    let birth = metadata
        .created()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos());
    let mut bytes = id.0.to_vec();
    bytes.extend(device.to_be_bytes());
    bytes.extend(file.to_be_bytes());
    bytes.extend(birth.to_be_bytes());
    bytes
}

fn marker_check(body: &[u8]) -> [u8; 8] {
    let digest = derive("mosaic marker 1", &[body]);
    *digest.first_chunk::<8>().unwrap_or(&[0; 8])
}

#[cfg(unix)]
fn file_identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_identity(_metadata: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StoreId = StoreId([3; 16]);

    #[test]
    fn a_mark_is_read_back_and_any_flipped_bit_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("highwater");
        assert_eq!(read_mark(ID, &path).unwrap(), Mark::Missing);
        let mut marks = Marks::open(ID, std::slice::from_ref(&path)).unwrap();
        marks.write(CommitNumber(5)).unwrap();
        marks.write(CommitNumber(6)).unwrap();
        assert_eq!(read_mark(ID, &path).unwrap(), Mark::At(CommitNumber(6)));
        assert_eq!(read_mark(StoreId([4; 16]), &path).unwrap(), Mark::Damaged);
        let good = fs::read(&path).unwrap();
        assert_eq!(good.len(), 16);
        for bit in 0..128 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_mark(ID, &path).unwrap(), Mark::Damaged);
        }
    }

    #[test]
    fn a_copied_marker_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("marker"), dir.path().join("copy"));
        assert!(matches!(check_marker(ID, &path).unwrap(), Some(Why::MarkMissing(_))));
        write_marker(ID, &path).unwrap();
        assert_eq!(check_marker(ID, &path).unwrap(), None);
        fs::copy(&path, &copy).unwrap();
        assert_eq!(check_marker(ID, &copy).unwrap(), Some(Why::Copied));
        fs::rename(&path, dir.path().join("moved")).unwrap();
        assert_eq!(check_marker(ID, &dir.path().join("moved")).unwrap(), None);
        let mut bytes = fs::read(&copy).unwrap();
        bytes[20] ^= 1;
        fs::write(&copy, bytes).unwrap();
        assert!(matches!(check_marker(ID, &copy).unwrap(), Some(Why::MarkDamaged(_))));
    }
}
