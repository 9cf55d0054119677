//! Archives: where an outbox and the files beside it come from. Names in an archive only choose
//! what is read; nothing is ever written under them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::fs::File as Disk;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use mosaic_engine::limits::ATTACHMENT_BYTES_MAX;
use mosaic_node::api::types::{AttachFile, ErrorKind};
use tempfile::TempDir;

use super::{File, bytes_of};
use crate::error::Failure;

/// Bytes of an outbox: it is held in memory.
const OUTBOX_BYTES_MAX: u64 = 256 * 1024 * 1024;
const OUTBOX: &str = "outbox.json";
/// Where the addresses of files and their paths in the archive agree.
const MEDIA: &str = "media_attachments/";
const HINT: &str = "mosaic help import mastodon";

/// The files beside an outbox.
#[derive(Debug, Default)]
pub(super) struct Media {
    from: Kind,
    /// What was unpacked, by [`name_of`]; it goes with this.
    unpacked: BTreeMap<String, PathBuf>,
    folder: Option<TempDir>,
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
            return Ok((bytes, of(Kind::Folder(path.to_owned()))));
        }
        match magic(path) {
            Some([b'P', b'K', 3 | 5, _]) => {
                let bytes = zip_outbox(path).map_err(|error| damaged(path, &error))?;
                Ok((bytes, of(Kind::Zip(path.to_owned()))))
            }
            Some([0x1f, 0x8b, ..]) => {
                let bytes = tar_outbox(path).map_err(|error| damaged(path, &error))?;
                Ok((bytes, of(Kind::Tar(path.to_owned()))))
            }
            _ => Ok((bytes_of(path, OUTBOX_BYTES_MAX)?, Self::default())),
        }
    }

    /// Unpacks files to a folder that goes with this.
    ///
    /// # Errors
    /// If the archive is damaged, or the disk is full.
    pub(super) fn unpack(mut self, wanted: &BTreeSet<String>) -> Result<Self, Failure> {
        let mut wanted: BTreeSet<String> = wanted.iter().filter_map(|path| name_of(path)).collect();
        if wanted.is_empty() {
            return Ok(self);
        }
        match &self.from {
            Kind::Nothing => {}
            Kind::Folder(root) => {
                let found = wanted.into_iter().map(|name| (name.clone(), root.join(name)));
                self.unpacked = found.filter(|(_, path)| path.is_file()).collect();
            }
            Kind::Zip(path) => {
                let path = path.clone();
                let each = |wanted: &mut BTreeSet<String>, to: &mut Unpacking| {
                    let mut archive = zip::ZipArchive::new(Disk::open(&path)?)?;
                    for at in 0..archive.len() {
                        let mut entry = archive.by_index(at)?;
                        let name = entry.name().unwrap_or_default().into_owned();
                        to.take(wanted, &name, &mut entry)?;
                    }
                    Ok(())
                };
                self.fill(&path, &mut wanted, each)?;
            }
            Kind::Tar(path) => {
                let path = path.clone();
                let each = |wanted: &mut BTreeSet<String>, to: &mut Unpacking| {
                    for entry in tar::Archive::new(gzip(&path)?).entries()? {
                        let mut entry = entry?;
                        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                        to.take(wanted, &name, &mut entry)?;
                    }
                    Ok(())
                };
                self.fill(&path, &mut wanted, each)?;
            }
        }
        Ok(self)
    }

    fn fill(
        &mut self,
        path: &Path,
        wanted: &mut BTreeSet<String>,
        each: impl FnOnce(&mut BTreeSet<String>, &mut Unpacking) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let folder = tempfile::tempdir().map_err(|error| damaged(path, &error))?;
        let mut to = Unpacking { folder: folder.path().to_owned(), files: BTreeMap::new() };
        each(wanted, &mut to).map_err(|error| damaged(path, &error))?;
        self.unpacked = to.files;
        self.folder = Some(folder);
        Ok(())
    }

    /// Returns a file to attach, if it is there.
    pub(super) fn attach(&self, file: &File) -> Option<AttachFile> {
        let name = name_of(&file.path)?;
        let path = self.unpacked.get(&name)?;
        let label = name.rsplit('/').next().unwrap_or_default();
        Some(AttachFile {
            path: path.to_str()?.to_owned(),
            alt: file.alt.clone(),
            name: Some(label.to_owned()),
            media_type: file.media_type.clone(),
            keep_metadata: false,
        })
    }
}

/// Where files of an archive are put.
struct Unpacking {
    folder: PathBuf,
    files: BTreeMap<String, PathBuf>,
}

impl Unpacking {
    fn take(
        &mut self,
        wanted: &mut BTreeSet<String>,
        name: &str,
        from: &mut impl Read,
    ) -> io::Result<()> {
        let Some(name) = name_of(name).filter(|name| wanted.remove(name)) else { return Ok(()) };
        let path = self.folder.join(self.files.len().to_string());
        let Entry::Vacant(place) = self.files.entry(name) else { return Ok(()) };
        let mut file = Disk::create(&path)?;
        let size = io::copy(&mut from.take(ATTACHMENT_BYTES_MAX + 1), &mut file)?;
        if size > ATTACHMENT_BYTES_MAX {
            return std::fs::remove_file(&path);
        }
        place.insert(path);
        Ok(())
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

fn gzip(path: &Path) -> io::Result<MultiGzDecoder<io::BufReader<Disk>>> {
    let mut file = Disk::open(path)?;
    file.rewind()?;
    Ok(MultiGzDecoder::new(io::BufReader::new(file)))
}

fn zip_outbox(path: &Path) -> io::Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Disk::open(path)?)?;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at)?;
        if entry.name().is_ok_and(|name| is_outbox(&name)) {
            return bounded(&mut entry);
        }
    }
    Err(missing())
}

fn tar_outbox(path: &Path) -> io::Result<Vec<u8>> {
    for entry in tar::Archive::new(gzip(path)?).entries()? {
        let mut entry = entry?;
        if is_outbox(&String::from_utf8_lossy(&entry.path_bytes())) {
            return bounded(&mut entry);
        }
    }
    Err(missing())
}

/// The outbox stands at the top, or in one folder.
fn is_outbox(name: &str) -> bool {
    let name = name.strip_prefix("./").unwrap_or(name);
    name == OUTBOX || name.split_once('/').is_some_and(|(_, rest)| rest == OUTBOX)
}

fn bounded(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(OUTBOX_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > OUTBOX_BYTES_MAX {
        let message = format!("its {OUTBOX} has more than {OUTBOX_BYTES_MAX} bytes");
        return Err(io::Error::other(message));
    }
    Ok(bytes)
}

fn missing() -> io::Error {
    io::Error::other(format!("there is no {OUTBOX} in it"))
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
