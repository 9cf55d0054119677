//! A backup becomes a home: whole and verified, or not at all.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use mosaic_engine::hash::BlobHash;
use mosaic_engine::limits::ATTACHMENT_BYTES_MAX;
use mosaic_engine::replica::{Replica, ReplicaOptions};
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use mosaic_engine::store::{Batch, STORE_FORMAT, Store, Table};
use tar::{Archive, EntryType};

use super::layout::{
    BLOBS, CHUNK_BYTES_MAX, END, End, FORMAT, HEADER, HOME, HOME_FILES, Header, NOTE_BYTES_MAX,
    ROWS, Sum, WINDOW_LOG_MAX, table, take_row,
};
use crate::api::types::{ErrorKind, ErrorRecord};
use crate::config::{Draft, PASSPHRASE_COMMAND};
use crate::entropy::OsEntropy;
use crate::error::NodeError;
use crate::home;

/// First bytes of what the compression makes.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// First bytes of what the tool `age` sealed.
const AGE: [u8; 4] = *b"age-";
/// Bytes of zeros that may follow the last entry; `tar` fills up to 10 KiB.
const REST_BYTES_MAX: u64 = 64 * 1024;
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
    check_empty(root)?;
    home::keep_private();
    let parent = root.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(NodeError::file("create", parent))?;
    let building = tempfile::Builder::new()
        .prefix(".mosaic-restore-")
        .tempdir_in(parent)
        .map_err(NodeError::file("create a folder in", parent))?;
    let options = DiskOptions::new(building.path().join("home"), building.path().join("state"));
    let mut restored = build(&mut BufReader::new(from), &options)?;
    verify(&options, &mut restored)?;
    DiskStore::mark_restored(&options)?;
    fs::rename(&options.home, root).map_err(NodeError::file("write", root))?;
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(NodeError::file("sync", parent))?;
    Ok(restored)
}

fn check_empty(root: &Path) -> Result<(), ErrorRecord> {
    let occupied = match fs::read_dir(root) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(NodeError::file("read", root)(error).into()),
    };
    if occupied {
        let message = format!("{} is not empty: a backup goes into an empty home", root.display());
        return Err(ErrorRecord::new(ErrorKind::Conflict, message)
            .with_hint("mosaic --home NEW_FOLDER store restore FILE"));
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
fn build(from: &mut dyn Read, options: &DiskOptions) -> Result<Restored, ErrorRecord> {
    let mut first = Vec::new();
    Read::take(&mut *from, ZSTD.len() as u64).read_to_end(&mut first).map_err(damaged)?;
    if first == AGE {
        return Err(no_backup("it is sealed, open it with age -d"));
    }
    if first != ZSTD {
        return Err(no_backup("it does not begin like one"));
    }
    let whole = io::Cursor::new(first).chain(from);
    let mut decoder = zstd::Decoder::new(whole).map_err(damaged)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
    let mut archive = Archive::new(decoder);
    let restored = read_entries(&mut archive, options)?;
    check_rest(archive.into_inner())?;
    Ok(restored)
}

/// What follows the last entry are zeros, and the check of the compression.
fn check_rest(mut from: impl Read) -> Result<(), ErrorRecord> {
    let mut rest = Vec::new();
    from.by_ref().take(REST_BYTES_MAX).read_to_end(&mut rest).map_err(damaged)?;
    if rest.iter().any(|byte| *byte != 0) || rest.len() as u64 == REST_BYTES_MAX {
        return Err(damaged("something follows its end"));
    }
    Ok(())
}

fn read_entries(
    archive: &mut Archive<impl Read>,
    options: &DiskOptions,
) -> Result<Restored, ErrorRecord> {
    // raw: no entry tells another one's name, in as many bytes as it likes
    let mut entries = archive.entries().map_err(damaged)?.raw(true);
    let mut reading = Reading { sum: Sum::default(), options, store: None };
    let mut header: Option<Header> = None;
    while let Some(entry) = entries.next() {
        let mut entry = entry.map_err(damaged)?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(damaged("an entry is no file"));
        }
        let size = entry.size();
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(damaged)?;
        match &header {
            None if name == HEADER => {
                let found = reading.note::<Header>(&mut entry, &name, size)?;
                header = Some(check_header(found)?);
                reading.store = Some(DiskStore::open(options)?.store);
            }
            None => return Err(no_backup("it is an archive of something else")),
            Some(header) if name == END => {
                let expected = reading.sum.end();
                let found = reading.note::<End>(&mut entry, &name, size)?;
                if found != expected {
                    return Err(damaged("its checksum is another"));
                }
                if let Some(store) = reading.store.take() {
                    store.close()?;
                }
                drop(entry);
                if entries.next().is_some() {
                    return Err(damaged("something follows its end"));
                }
                return Ok(summary(header));
            }
            Some(_) => reading.entry(&mut entry, &name, size)?,
        }
    }
    match header {
        Some(_) => Err(damaged("its end is missing")),
        None => Err(no_backup("it is empty")),
    }
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
    sum: Sum,
    options: &'a DiskOptions,
    store: Option<DiskStore>,
}

impl Reading<'_> {
    fn entry(&mut self, from: &mut dyn Read, name: &str, size: u64) -> Result<(), ErrorRecord> {
        if let Some(file) = name.strip_prefix(HOME) {
            let known = HOME_FILES.iter().find(|(known, _)| *known == file);
            let (file, limit) = known.ok_or_else(|| damaged(format!("'{file}' in the home")))?;
            let mut bytes = self.bytes(from, name, size, *limit)?;
            if *file == "config.toml" {
                bytes = without_programs(bytes);
            }
            return Ok(home::write_new(&self.options.home.join(file), &bytes)?);
        }
        let Some(store) = self.store.clone() else { return Err(damaged("no header")) };
        if let Some(rows) = name.strip_prefix(ROWS) {
            let table = rows.split('/').next().and_then(table);
            let table = table.ok_or_else(|| damaged(format!("rows of '{rows}'")))?;
            let bytes = self.bytes(from, name, size, CHUNK_BYTES_MAX)?;
            return commit(&store, table, &bytes);
        }
        let hash = name.strip_prefix(BLOBS).and_then(BlobHash::parse_hex);
        let hash = hash.ok_or_else(|| damaged(format!("entry '{name}'")))?;
        if size > ATTACHMENT_BYTES_MAX.saturating_add(NOTE_BYTES_MAX) {
            return Err(damaged(format!("a blob of {size} bytes")));
        }
        self.sum.begin(name, size);
        let mut writer = store.blob_create(size)?;
        let mut buffer = vec![0; READ_BYTES];
        let mut left = size;
        while left > 0 {
            let read = from.read(&mut buffer).map_err(damaged)?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Err(damaged("a blob ends early"));
            }
            self.sum.update(bytes);
            writer.write(bytes)?;
            left = left.saturating_sub(read as u64);
        }
        match writer.finish(Some(&hash)) {
            Err(mosaic_engine::store::StoreError::Refused { .. }) => {
                Err(damaged(format!("the bytes of blob {hash} are others")))
            }
            done => done.map(drop).map_err(ErrorRecord::from),
        }
    }

    fn note<T: serde::de::DeserializeOwned>(
        &mut self,
        from: &mut dyn Read,
        name: &str,
        size: u64,
    ) -> Result<T, ErrorRecord> {
        let bytes = self.bytes(from, name, size, NOTE_BYTES_MAX)?;
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    fn bytes(
        &mut self,
        from: &mut dyn Read,
        name: &str,
        size: u64,
        limit: u64,
    ) -> Result<Vec<u8>, ErrorRecord> {
        if size > limit {
            return Err(damaged(format!("{name} has {size} bytes, over {limit}")));
        }
        let mut bytes = Vec::new();
        from.take(size).read_to_end(&mut bytes).map_err(damaged)?;
        if bytes.len() as u64 != size {
            return Err(damaged(format!("{name} ends early")));
        }
        self.sum.begin(name, size);
        self.sum.update(&bytes);
        Ok(bytes)
    }
}

/// Settings without the one that runs a program: a backup may be somebody else's.
fn without_programs(settings: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&settings).into_owned();
    let without = Draft::parse(text).ok().and_then(|draft| {
        let key = draft.values().iter().find(|(key, _)| key.name == PASSPHRASE_COMMAND)?.0;
        draft.without(key).ok()
    });
    without.map_or(settings, |draft| draft.text().as_bytes().to_vec())
}

fn commit(store: &DiskStore, table: Table, mut chunk: &[u8]) -> Result<(), ErrorRecord> {
    let mut batch = Batch::new();
    while !chunk.is_empty() {
        let (key, value) = take_row(&mut chunk).ok_or_else(|| damaged("a row is not whole"))?;
        batch.put(table, key.to_vec(), value.to_vec());
    }
    match batch.check() {
        Ok(()) => Ok(store.commit(batch).map(drop)?),
        Err(error) => Err(damaged(error)),
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
