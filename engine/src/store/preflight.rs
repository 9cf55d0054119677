//! Looks at the database's files before the database does: it would silently cut its journal at
//! the first damage, and it does not check the checksums of its own version files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use super::{
    CommitNumber, Damage, StoreError,
    archive::{contents, tables_of_version},
    files::{replace_file, sync_dir},
    format::StoreId,
    journal::{
        Inspection, JournalState, WholeBatch, inspect, read_trimmed, rebuild, repaired_sequences,
        whole_batches,
    },
};

/// Directories of the database's trees: its own, then one a table.
const TREES: [&str; 4] = ["0", "1", "2", "3"];

/// What was found before the database was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreflightReport {
    /// Journals looked at.
    pub journals: usize,
    /// Whole batches in them.
    pub batches: u64,
    /// Last commit seen in them.
    pub last_commit: CommitNumber,
    /// An unfinished batch that was cut off, as a power cut leaves it.
    pub torn: Option<TornTail>,
}

/// See [`PreflightReport::torn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The journal.
    pub file: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// The copy of what was cut off.
    pub kept: PathBuf,
}

/// What [`DiskStore::salvage`](super::disk::DiskStore::salvage) did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Whole batches kept, in all journals.
    pub batches: u64,
    /// Bytes left out.
    pub lost_bytes: u64,
    /// Where the damaged files were copied to.
    pub aside: PathBuf,
}

/// Checks version files and journals. Changes nothing, except that a torn tail is cut off when
/// everything else is in order.
pub(super) fn preflight(database: &Path, id: StoreId) -> Result<PreflightReport, StoreError> {
    check_versions(database)?;
    let mut report = PreflightReport::default();
    let mut torn = None;
    let journals = inspect_all(database, id)?;
    let active = journals.len().saturating_sub(1);
    for (index, (path, seen)) in journals.iter().enumerate() {
        report.journals += 1;
        report.batches += seen.good.len() as u64;
        match &seen.state {
            JournalState::Clean => {}
            // a sealed journal was flushed as a whole: it has no unfinished tail
            JournalState::Torn { at } if index == active => torn = Some((path, *at)),
            JournalState::Torn { at } | JournalState::Damaged { at, .. } => {
                return Err(damaged(path, *at, &seen.state));
            }
        }
        if let Some(row) = seen.good.last().and_then(|batch| batch.commit) {
            report.last_commit = report.last_commit.max(row.last);
        }
    }
    if let Some((path, at)) = torn {
        report.torn = Some(cut(path, at as u64)?);
    }
    Ok(report)
}

/// Copies damaged journals aside and leaves only their whole batches in place. Returns `None`
/// when no journal is damaged.
pub(super) fn salvage_journals(
    database: &Path,
    id: StoreId,
    aside: &Path,
) -> Result<Option<Salvaged>, StoreError> {
    let seen = inspect_all(database, id)?;
    let active = seen.len().saturating_sub(1);
    let damaged = |(index, state): (usize, &JournalState)| match state {
        JournalState::Clean => false,
        JournalState::Torn { .. } => index != active,
        JournalState::Damaged { .. } => true,
    };
    if !seen.iter().map(|(_, seen)| &seen.state).enumerate().any(damaged) {
        return Ok(None);
    }
    let (mut journals, mut all) = (Vec::new(), Vec::new());
    for (path, _) in seen {
        let (bytes, _) = read_trimmed(&path).map_err(|e| StoreError::io("read", &path, e))?;
        let last = all.last().and_then(|batch: &WholeBatch| batch.commit).map(|row| row.last);
        let whole = whole_batches(&bytes, 0, id, last);
        all.extend_from_slice(&whole);
        journals.push((path, bytes, whole));
    }
    let mut sequences = repaired_sequences(&all).into_iter();
    let mut done = Salvaged { batches: all.len() as u64, lost_bytes: 0, aside: aside.to_owned() };
    for (path, bytes, whole) in journals {
        let numbers: Vec<u64> = sequences.by_ref().take(whole.len()).collect();
        let kept = rebuild(&bytes, &whole, &numbers);
        if kept != bytes {
            set_aside(&path, aside)?;
            replace_file(&path, &kept)?;
            done.lost_bytes += (bytes.len() - kept.len()) as u64;
        }
    }
    Ok(Some(done))
}

fn set_aside(path: &Path, aside: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(aside).map_err(|error| StoreError::io("create", aside, error))?;
    let copy = aside.join(path.file_name().unwrap_or_default());
    fs::copy(path, &copy)
        .and_then(|_| File::open(&copy)?.sync_all())
        .map_err(|error| StoreError::io("copy", path, error))?;
    sync_dir(aside)
}

fn inspect_all(database: &Path, id: StoreId) -> Result<Vec<(PathBuf, Inspection)>, StoreError> {
    let mut seen: Vec<(PathBuf, Inspection)> = Vec::new();
    let mut before: Option<WholeBatch> = None;
    for path in journals(database)? {
        let (bytes, len) =
            read_trimmed(&path).map_err(|error| StoreError::io("read", &path, error))?;
        let inspection = inspect(&bytes, len, id, before.as_ref());
        before = inspection.good.last().copied().or(before);
        seen.push((path, inspection));
    }
    Ok(seen)
}

/// Lists the journals, oldest first.
pub(super) fn journals(database: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let entries = fs::read_dir(database).map_err(|e| StoreError::io("list", database, e))?;
    for entry in entries {
        let path = entry.map_err(|error| StoreError::io("list", database, error))?.path();
        if path.extension().is_none_or(|extension| extension != "jnl") {
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|s| s.parse().ok());
        let Some(number) = number else {
            return Err(StoreError::corrupt(path, "not the name of a journal"));
        };
        found.push((number, path));
    }
    found.sort();
    if found.is_empty() {
        return Err(StoreError::corrupt(database, "the journal is missing"));
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn damaged(path: &Path, at: usize, state: &JournalState) -> StoreError {
    let whole = match state {
        JournalState::Damaged { after, .. } => *after,
        _ => 0,
    };
    StoreError::Corrupt(Box::new(Damage {
        file: path.to_owned(),
        offset: Some(at as u64),
        table: None,
        detail: format!("a committed batch is damaged, whole batches after it: {whole}"),
        salvageable: true,
    }))
}

/// Keeps the torn bytes beside the journal and cuts them off.
fn cut(path: &Path, at: u64) -> Result<TornTail, StoreError> {
    let kept = path.with_extension("torn");
    let copy = || -> io::Result<()> {
        let (bytes, _) = read_trimmed(path)?;
        let mut file = File::create(&kept)?;
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        file.write_all(bytes.get(from..).unwrap_or_default())?;
        file.sync_all()?;
        let journal = OpenOptions::new().write(true).open(path)?;
        journal.set_len(at)?;
        journal.sync_all()
    };
    copy().map_err(|error| StoreError::io("cut", path, error))?;
    Ok(TornTail { file: path.to_owned(), offset: at, kept })
}

/// Checks the version files: the database trusts them blindly and deletes tables they omit.
fn check_versions(database: &Path) -> Result<(), StoreError> {
    let marker = database.join("version");
    if read_whole(&marker)? != b"FJL\x03" {
        return Err(StoreError::corrupt(marker, "not the version marker of the database"));
    }
    for tree in TREES {
        let tree = database.join("keyspaces").join(tree);
        let current = tree.join("current");
        let bytes = read_whole(&current)?;
        let parsed = bytes.split_first_chunk::<8>().and_then(|(number, rest)| {
            let (checksum, kind) = rest.split_first_chunk::<16>()?;
            (kind == [0]).then_some((u64::from_le_bytes(*number), u128::from_le_bytes(*checksum)))
        });
        let Some((number, checksum)) = parsed else {
            return Err(StoreError::corrupt(current, "the pointer to the version is malformed"));
        };
        let version = tree.join(format!("v{number}"));
        if checksum_of(&version)? != checksum {
            return Err(StoreError::corrupt(version, "the list of tables does not match"));
        }
        check_tables(&tree, &version)?;
    }
    Ok(())
}

/// Checks the frames of the tables that a version lists; others are leftovers.
fn check_tables(tree: &Path, version: &Path) -> Result<(), StoreError> {
    let tables = tables_of_version(version).map_err(|error| missing_is_damage(version, error))?;
    let Some(tables) = tables else {
        return Err(StoreError::corrupt(version, "the list of tables cannot be read"));
    };
    for table in tables {
        let path = tree.join("tables").join(table.to_string());
        if contents(&path).map_err(|error| missing_is_damage(&path, error))?.is_none() {
            return Err(StoreError::corrupt(path, "the frame of the table file is damaged"));
        }
    }
    Ok(())
}

/// Returns the checksum that the database records for a whole file.
pub(super) fn checksum_of(path: &Path) -> Result<u128, StoreError> {
    let hash = || -> io::Result<u128> {
        let mut hasher = Xxh3::new();
        let mut file = File::open(path)?;
        let mut buffer = vec![0u8; 1 << 16];
        loop {
            match io::Read::read(&mut file, &mut buffer) {
                Ok(0) => return Ok(hasher.digest128()),
                Ok(read) => hasher.update(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    hash().map_err(|error| missing_is_damage(path, error))
}

fn read_whole(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|error| missing_is_damage(path, error))
}

fn missing_is_damage(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::corrupt(path, "the file is missing"),
        _ => StoreError::io("read", path, error),
    }
}
