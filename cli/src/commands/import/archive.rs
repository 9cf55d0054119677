//! Archives: where an outbox and the files beside it come from. Names in an archive only choose
//! what is read; nothing is ever written under them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File as Disk;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mosaic_engine::limits::ATTACHMENT_BYTES_MAX;
use mosaic_node::api::types::{AttachFile, ErrorKind};

use super::{File, bytes_of, tarball};
use crate::error::Failure;

/// Bytes of an outbox: it is held in memory.
const OUTBOX_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes at the end of a zip in which its directory is said to be: a comment may follow.
const ZIP_END_BYTES: u64 = 22 + 65_535;
const OUTBOX: &str = "outbox.json";
/// Where the addresses of files and their paths in the archive agree.
const MEDIA: &str = "media_attachments/";
const HINT: &str = "mosaic help import mastodon";

/// The files beside an outbox.
#[derive(Debug, Default)]
pub(super) struct Media {
    /// Whether they keep their metadata.
    pub(super) keep_metadata: bool,
    from: Kind,
    /// What was unpacked, by [`name_of`]; it goes with this.
    unpacked: BTreeMap<String, Place>,
    folder: Option<Folder>,
}

/// What became of a file of an archive.
#[derive(Debug)]
pub(super) enum Place {
    Here(PathBuf),
    TooLarge,
    Linked,
}

/// A folder for what is unpacked; one import at a time has it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Its lock goes with the process, so that what a killed one left behind is found.
    _lock: Disk,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Nothing,
    Folder(PathBuf),
    Zip(PathBuf),
    Tar(PathBuf),
}

impl Media {
    /// Opens a folder, an archive or an outbox alone; returns the outbox.
    ///
    /// # Errors
    /// If it is none of them, cannot be read or is too large.
    pub(super) fn open(path: &Path) -> Result<(Vec<u8>, Self), Failure> {
        let of = |from| Self { from, ..Self::default() };
        if path.is_dir() {
            let bytes = bytes_of(&path.join(OUTBOX), OUTBOX_BYTES_MAX)?;
            return Ok((bytes, of(Kind::folder(path)?)));
        }
        match magic(path) {
            Some([b'P', b'K', 3 | 5, _]) => {
                Ok((outbox(path, unzip)?, of(Kind::Zip(path.to_owned()))))
            }
            Some([0x1f, 0x8b, ..]) => {
                Ok((outbox(path, tarball::each)?, of(Kind::Tar(path.to_owned()))))
            }
            _ => Ok((bytes_of(path, OUTBOX_BYTES_MAX)?, of(Kind::beside(path)?))),
        }
    }

    /// Unpacks files to a folder in `state` that goes with this.
    ///
    /// # Errors
    /// If the archive is damaged, the disk is full, or another import does it.
    pub(super) fn unpack(
        mut self,
        wanted: &BTreeSet<String>,
        state: &Path,
    ) -> Result<Self, Failure> {
        let mut wanted: BTreeSet<String> = wanted.iter().filter_map(|path| name_of(path)).collect();
        match &self.from {
            Kind::Nothing => {}
            Kind::Folder(root) => {
                for name in wanted {
                    if let Some(place) = Place::below(root, &name) {
                        self.unpacked.insert(name, place);
                    }
                }
            }
            _ if wanted.is_empty() => {}
            Kind::Zip(path) | Kind::Tar(path) => {
                let folder = Folder::new(state)?;
                let mut to = Unpacking { folder: &folder.path, files: BTreeMap::new() };
                let done = match self.from {
                    Kind::Zip(_) => unzip(path, &mut |name, from| to.take(&mut wanted, name, from)),
                    _ => tarball::each(path, &mut |name, from| to.take(&mut wanted, name, from)),
                };
                done.map_err(|error| damaged(path, &error))?;
                self.unpacked = to.files;
                self.folder = Some(folder);
            }
        }
        Ok(self)
    }

    /// Returns a file to attach, or why it is not.
    pub(super) fn attach(&self, file: &File) -> Result<AttachFile, &'static str> {
        let missing = "files that are not there";
        let name = name_of(&file.path).ok_or(missing)?;
        let path = match self.unpacked.get(&name).ok_or(missing)? {
            Place::Here(path) => path,
            Place::TooLarge => return Err("files larger than an attachment may be"),
            Place::Linked => return Err("files behind symbolic links"),
        };
        let label = name.rsplit('/').next().unwrap_or_default();
        Ok(AttachFile {
            path: path.to_str().ok_or(missing)?.to_owned(),
            alt: file.alt.clone(),
            name: Some(label.to_owned()),
            media_type: file.media_type.clone(),
            keep_metadata: self.keep_metadata,
        })
    }
}

impl Kind {
    fn folder(path: &Path) -> Result<Self, Failure> {
        // The node, which opens what is in it, may run elsewhere.
        path.canonicalize().map(Self::Folder).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            Failure::hinted(ErrorKind::Error, message, HINT)
        })
    }

    /// What lies beside an outbox that was unpacked.
    fn beside(outbox: &Path) -> Result<Self, Failure> {
        if outbox == Path::new("-") {
            return Ok(Self::Nothing);
        }
        let parent = outbox.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        match parent.join(MEDIA).is_dir() {
            true => Self::folder(parent),
            false => Ok(Self::Nothing),
        }
    }
}

impl Place {
    /// A file of a folder; `None` if it is not there.
    pub(super) fn below(root: &Path, name: &str) -> Option<Self> {
        let path = root.join(name);
        let real = path.canonicalize().ok()?;
        if real != path {
            // Whoever made the archive chose where it leads, and what is imported is public.
            return Some(Self::Linked);
        }
        real.is_file().then(|| Self::of(real))
    }

    fn of(path: PathBuf) -> Self {
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.len() > ATTACHMENT_BYTES_MAX => Self::TooLarge,
            _ => Self::Here(path),
        }
    }
}

impl Folder {
    pub(super) fn new(state: &Path) -> Result<Self, Failure> {
        let path = state.join("import");
        let cannot = |error: io::Error| {
            let message = format!("cannot use {}: {error}", path.display());
            Failure::hinted(ErrorKind::Error, message, HINT)
        };
        std::fs::create_dir_all(state).map_err(cannot)?;
        let lock = Disk::create(state.join("import.lock")).map_err(cannot)?;
        if lock.try_lock().is_err() {
            let message = "another import is under way here".to_owned();
            return Err(Failure::hinted(ErrorKind::Conflict, message, "mosaic status"));
        }
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
            _ => {}
        }
        mosaic_node::home::private_folder(&path)
            .map_err(|error| cannot(io::Error::other(error)))?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Where files of an archive are put.
struct Unpacking<'a> {
    folder: &'a Path,
    files: BTreeMap<String, Place>,
}

impl Unpacking<'_> {
    /// Whether it was the last one wanted.
    fn take(
        &mut self,
        wanted: &mut BTreeSet<String>,
        name: &str,
        from: &mut dyn Read,
    ) -> io::Result<bool> {
        let Some(name) = name_of(name).filter(|name| wanted.remove(name)) else {
            return Ok(false);
        };
        let path = self.folder.join(self.files.len().to_string());
        let mut file = Disk::create(&path)?;
        let size = io::copy(&mut from.take(ATTACHMENT_BYTES_MAX + 1), &mut file)?;
        let mut place = Place::Here(path.clone());
        if size > ATTACHMENT_BYTES_MAX {
            std::fs::remove_file(&path)?;
            place = Place::TooLarge;
        }
        self.files.insert(name, place);
        Ok(wanted.is_empty())
    }
}

/// The part of an address or path by which a file is known; `None` if it leads elsewhere.
fn name_of(path: &str) -> Option<String> {
    let at = path.find(MEDIA)?;
    let name = path.get(at..)?.split(['?', '#']).next()?;
    let plain = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(fits)
    };
    name.split('/').all(plain).then(|| name.to_owned())
}

/// The first bytes of a file.
fn magic(path: &Path) -> Option<[u8; 4]> {
    let mut bytes = [0; 4];
    if path == Path::new("-") {
        return None;
    }
    Disk::open(path).ok()?.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Opens a zip whose directory is where it ends: a search for it would read all of a large file.
fn zip(path: &Path) -> io::Result<zip::ZipArchive<Disk>> {
    let mut file = Disk::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(ZIP_END_BYTES)))?;
    let mut end = Vec::new();
    (&file).take(ZIP_END_BYTES).read_to_end(&mut end)?;
    if !end.windows(4).any(|bytes| bytes == b"PK\x05\x06") {
        return Err(io::Error::other("its end is missing"));
    }
    Ok(zip::ZipArchive::new(file)?)
}

fn unzip(path: &Path, look: tarball::Look<'_>) -> io::Result<()> {
    let mut archive = zip(path)?;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at)?;
        let name = entry.name().unwrap_or_default().into_owned();
        if look(&name, &mut entry)? {
            return Ok(());
        }
    }
    Ok(())
}

type Each = fn(&Path, tarball::Look<'_>) -> io::Result<()>;

/// Reads the outbox of an archive.
fn outbox(path: &Path, each: Each) -> Result<Vec<u8>, Failure> {
    let mut bytes = None;
    let mut look = |name: &str, from: &mut dyn Read| {
        if is_outbox(name) {
            bytes = Some(bounded(from)?);
        }
        Ok(bytes.is_some())
    };
    each(path, &mut look).map_err(|error| damaged(path, &error))?;
    let missing = || damaged(path, &io::Error::other(format!("there is no {OUTBOX} in it")));
    bytes.ok_or_else(missing)
}

/// The outbox stands at the top, or in one folder.
fn is_outbox(name: &str) -> bool {
    let name = name.strip_prefix("./").unwrap_or(name);
    name == OUTBOX || name.split_once('/').is_some_and(|(_, rest)| rest == OUTBOX)
}

fn bounded(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(OUTBOX_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > OUTBOX_BYTES_MAX {
        let message = format!("its {OUTBOX} has more than {OUTBOX_BYTES_MAX} bytes");
        return Err(io::Error::other(message));
    }
    Ok(bytes)
}

fn damaged(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot read the archive {}: {error}", path.display());
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Error,
        _ => ErrorKind::Usage,
    };
    Failure::hinted(kind, message, HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        let name = "media_attachments/files/109/1/original/ab.png";
        assert_eq!(name_of(&format!("/{name}")).as_deref(), Some(name));
        assert_eq!(name_of(&format!("https://a.example/x/{name}?v=1")).as_deref(), Some(name));
        for bad in [
            "/etc/passwd",
            "media_attachments/../../etc/passwd",
            "media_attachments//etc/passwd",
            "media_attachments/a\u{1b}[2J.png",
            "media_attachments/.ssh",
        ] {
            assert_eq!(name_of(bad), None, "{bad}");
        }
    }
}
