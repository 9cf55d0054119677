//! A backup becomes a home: whole and verified, or not at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use mosaic_engine::hash::BlobHash;
use mosaic_engine::limits::ATTACHMENT_BYTES_MAX;
use mosaic_engine::replica::{Replica, ReplicaOptions};
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use mosaic_engine::store::{Batch, STORE_FORMAT, Store, StoreError, Table};

use super::layout::{
    BLOBS, CHUNK_BYTES_MAX, FORMAT, HEADER, HOME, HOME_FILES, Header, ROWS, table, take_row,
};
use crate::api::types::{ErrorKind, ErrorRecord};
use crate::config::{PASSPHRASE_COMMAND, without};
use crate::entropy::OsEntropy;
use crate::error::NodeError;
use crate::home;
use crate::seal;
use crate::tarball::{self, Entry, Fault, NOTE_BYTES_MAX};

/// Bytes of a blob that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Whose home it is.
    pub account: String,
    /// Its device.
    pub device: String,
    /// When the backup was made.
    pub created_at: String,
    /// The last commit that is in it.
    pub commit: u64,
    /// Whether the keys were in it.
    pub keys: bool,
    /// Changes that were verified.
    pub changes: u64,
    /// Bodies that were verified.
    pub blobs: u64,
}

/// Makes the home at `root` from a backup. The home must not exist, or be an empty folder; it
/// appears when everything in it has been verified. Its device begins a new life when it is
/// opened.
///
/// # Errors
/// `conflict` if there is something; `usage` if it is no backup; `corrupt` if it is cut short, altered, or does not verify; `error` if the disk is full. Nothing is left.
pub fn restore(from: impl Read, root: &Path) -> Result<Restored, ErrorRecord> {
    check_empty(root, "a backup", "mosaic --home NEW_FOLDER store restore FILE")?;
    home::keep_private();
    let parent = root.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(NodeError::file("create", parent))?;
    let building = tempfile::Builder::new()
        .prefix(".mosaic-restore-")
        .tempdir_in(parent)
        .map_err(NodeError::file("create a folder in", parent))?;
    let options = DiskOptions::new(building.path().join("home"), building.path().join("state"));
    let mut restored = build(from, &options)?;
    verify(&options, &mut restored)?;
    DiskStore::mark_restored(&options)?;
    fs::rename(&options.home, root).map_err(NodeError::file("write", root))?;
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(NodeError::file("sync", parent))?;
    Ok(restored)
}

pub(crate) fn check_empty(root: &Path, what: &str, hint: &str) -> Result<(), ErrorRecord> {
    let occupied = match fs::read_dir(root) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(NodeError::file("read", root)(error).into()),
    };
    if occupied {
        let message = format!("{} is not empty: {what} goes into an empty home", root.display());
        return Err(ErrorRecord::new(ErrorKind::Conflict, message).with_hint(hint));
    }
    Ok(())
}

fn no_backup(why: &str) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Usage, format!("this is no backup of mosaic: {why}"))
        .with_hint("mosaic help store backup")
}

fn damaged(why: impl std::fmt::Display) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Corrupt, format!("the backup is cut short or damaged: {why}"))
        .with_hint("mosaic help store restore")
}

/// Reads everything into a new home.
fn build(from: impl Read, options: &DiskOptions) -> Result<Restored, ErrorRecord> {
    let (sealed, from) = seal::peek(from).map_err(damaged)?;
    if sealed {
        return Err(no_backup("it is sealed, open it with age -d"));
    }
    let mut reading = Reading { options, header: None, store: None };
    let done = tarball::read(&mut io::BufReader::new(from), &mut |entry| reading.take(entry));
    done.map_err(|fault| match fault {
        Fault::Other(why) => no_backup(&why),
        Fault::Damaged(why) => damaged(why),
        Fault::Told(error) => error,
    })?;
    if let Some(store) = reading.store.take() {
        store.close()?;
    }
    reading.header.as_ref().map(summary).ok_or_else(|| no_backup("it is empty"))
}

fn summary(header: &Header) -> Restored {
    Restored {
        account: header.account.clone(),
        device: header.device.clone(),
        created_at: header.created_at.clone(),
        commit: header.commit,
        keys: header.keys,
        ..Restored::default()
    }
}

fn check_header(header: Header) -> Result<Header, ErrorRecord> {
    let newer = |what: &str, found: u32, known: u32| {
        let message = format!(
            "the backup has {what} {found}, this program knows {what}s up to {known}: use mosaic {} \
             or later",
            header.program
        );
        Err(ErrorRecord::new(ErrorKind::Error, message).with_hint("mosaic version"))
    };
    if header.format > FORMAT {
        return newer("format", header.format, FORMAT);
    }
    if header.store_format > STORE_FORMAT {
        return newer("store format", header.store_format, STORE_FORMAT);
    }
    Ok(header)
}

struct Reading<'a> {
    options: &'a DiskOptions,
    header: Option<Header>,
    store: Option<DiskStore>,
}

impl Reading<'_> {
    fn take(&mut self, entry: &mut Entry<'_>) -> Result<(), Fault> {
        let name = entry.name;
        let Some(store) = self.store.clone() else {
            if name != HEADER {
                return Err(Fault::Other("it is an archive of something else".to_owned()));
            }
            self.header = Some(check_header(entry.note()?)?);
            self.store = Some(DiskStore::open(self.options)?.store);
            return Ok(());
        };
        if let Some(file) = name.strip_prefix(HOME) {
            let known = HOME_FILES.iter().find(|(known, _)| *known == file);
            let (file, limit) = known.ok_or_else(|| entry.unknown())?;
            let mut bytes = entry.bytes(*limit)?;
            if *file == "config.toml" {
                bytes = without_programs(bytes);
            }
            return Ok(home::write_new(&self.options.home.join(file), &bytes)?);
        }
        if let Some(rows) = name.strip_prefix(ROWS) {
            let table = rows.split('/').next().and_then(table);
            let table = table.ok_or_else(|| entry.unknown())?;
            return commit(&store, table, &entry.bytes(CHUNK_BYTES_MAX)?);
        }
        let hash = name.strip_prefix(BLOBS).and_then(BlobHash::parse_hex);
        let hash = hash.ok_or_else(|| entry.unknown())?;
        take_blob(&store, &hash, entry)
    }
}

/// Settings without the one that runs a program: a backup may be somebody else's.
fn without_programs(settings: Vec<u8>) -> Vec<u8> {
    let Ok(mut text) = String::from_utf8(settings.clone()) else { return settings };
    // as a table has it, and as one name in quotes; whatever else is wrong, for that can be mended
    while let Ok(Some(less)) = without(&text, PASSPHRASE_COMMAND) {
        text = less;
    }
    text.into_bytes()
}

fn take_blob(store: &DiskStore, hash: &BlobHash, entry: &mut Entry<'_>) -> Result<(), Fault> {
    let size = entry.size;
    if size > ATTACHMENT_BYTES_MAX.saturating_add(NOTE_BYTES_MAX) {
        return Err(Fault::Damaged(format!("a blob of {size} bytes")));
    }
    let mut writer = store.blob_create(size)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = entry.read(&mut buffer).map_err(Fault::damaged)?;
        if read == 0 {
            break;
        }
        writer.write(buffer.get(..read).unwrap_or_default())?;
    }
    match writer.finish(Some(hash)) {
        Err(StoreError::Refused { .. }) => {
            Err(Fault::Damaged(format!("the bytes of blob {hash} are others")))
        }
        done => Ok(done.map(drop)?),
    }
}

fn commit(store: &DiskStore, table: Table, mut chunk: &[u8]) -> Result<(), Fault> {
    let mut batch = Batch::new();
    while !chunk.is_empty() {
        let (key, value) =
            take_row(&mut chunk).ok_or_else(|| Fault::damaged("a row is not whole"))?;
        batch.put(table, key.to_vec(), value.to_vec());
    }
    match batch.check() {
        Ok(()) => Ok(store.commit(batch).map(drop)?),
        Err(error) => Err(Fault::damaged(error)),
    }
}

/// Reads and checks everything, as `store verify` does.
fn verify(options: &DiskOptions, restored: &mut Restored) -> Result<(), ErrorRecord> {
    let store = DiskStore::open(options)?.store;
    let replica = Replica::open(
        Arc::new(store),
        Arc::new(OsEntropy::open()?),
        ReplicaOptions { secret: None, fresh_incarnation: false },
    )?;
    let report = replica.verify()?;
    if let Some(problem) = report.problems.first() {
        let (problem, count) = (problem.clone(), report.problems.len());
        replica.close()?;
        return Err(damaged(format!("{count} faults in it, the first: {problem}")));
    }
    let owner = replica.owner()?.map(|account| account.to_string()).unwrap_or_default();
    (restored.changes, restored.blobs) = (report.changes, report.bodies);
    replica.close()?;
    if owner != restored.account {
        return Err(damaged(format!("it says {} and holds {owner}", restored.account)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_backup_brings_a_program_to_run() {
        let kept = "[node]\nlan = true\n";
        for settings in [
            "[keys]\npassphrase_command = \"rm x\"\n",
            "\"keys.passphrase_command\" = \"rm x\"\nkeys.passphrase_command = \"rm y\"\n",
            "keys = { passphrase_command = \"rm x\" }\n",
            // wrong as a whole, until somebody mends it
            "[log]\ndats = 1\n[keys]\npassphrase_command = \"rm x\"\n",
        ] {
            let left = without_programs(format!("{settings}{kept}").into_bytes());
            let left = String::from_utf8(left).unwrap();
            assert!(!left.contains("rm") && left.ends_with(kept), "{left}");
        }
    }
}
