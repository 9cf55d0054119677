//! An archive becomes a home: whole and verified, or not at all.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mosaic_engine::identity::{DeviceSecret, RecoverySecret};
use mosaic_engine::store::disk::{DiskOptions, DiskStore};

use super::building::Building;
use super::layout::{Contents, HEADER, Header};
use super::taking::Taking;
use crate::api::device_name;
use crate::api::types::{ErrorKind, ErrorRecord};
use crate::backup::check_empty;
use crate::error::NodeError;
use crate::home::{self, Home};
use crate::kept;
use crate::keys;
use crate::seal::{self, Opening, SealError};
use crate::tarball::{self, Fault};
use crate::unlock::Unlock;
use crate::words::Words;

/// What to run to see what is to be given.
const HELP: &str = "mosaic help import mosaic";

/// How an archive is imported.
#[derive(Debug, Default)]
pub struct Importing {
    /// What opens it, if it is sealed.
    pub opening: Option<Opening>,
    /// The recovery words, for an archive without keys.
    pub words: Option<String>,
    /// What seals the keys in the home.
    pub unlock: Option<Unlock>,
    /// Verify everything, and keep nothing.
    pub dry_run: bool,
    /// Set by whoever wants no home any more: it does not appear after that.
    pub stop: Arc<AtomicBool>,
}

/// What came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Whose it is.
    pub account: String,
    /// The device that this home is.
    pub device: String,
    /// When the archive was made.
    pub created_at: String,
    /// The commit that it shows.
    pub commit: u64,
    /// Whether the keys were in it.
    pub keys: bool,
    /// What it says to hold.
    pub contents: Contents,
    /// Changes that were verified.
    pub changes: u64,
    /// Chains of which not everything is kept here: void, of somebody who is blocked, or in a
    /// conversation that others began.
    pub left_out: u64,
}

/// Makes the home at `root` from an archive. The home must not exist, or be an empty folder; it
/// appears when everything in it has been verified. Its device begins a new life when it is
/// opened.
///
/// # Errors
/// `conflict` if there is something; `usage` if it is no archive, or not what opens it;
/// `wrong_passphrase`; `corrupt` if it is cut short, altered, or does not verify; `error` if the
/// disk is full; `interrupted` if it was stopped. Nothing is left.
pub fn import(from: impl Read, root: &Path, asked: &Importing) -> Result<Imported, ErrorRecord> {
    if !asked.dry_run {
        check_empty(root, "an account", "mosaic --home NEW_FOLDER import mosaic FILE")?;
    }
    let recovering = match &asked.words {
        Some(words) => Some((secret(words)?, device_name(None)?)),
        None => None,
    };
    home::keep_private();
    let building = Building::beside(root, ".mosaic-import-")?;
    let options = DiskOptions::new(building.join("home"), building.join("state"));
    let (sealed, from) = seal::peek(from).map_err(damaged)?;
    let mut taking = Taking::new(&options, building.join("later"), recovering.as_ref());
    let mut take = |entry: &mut tarball::Entry<'_>| {
        if entry.name == HEADER && taking.header().is_none() {
            let header = entry.note::<Header>()?;
            check_keys(&header, asked)?;
            return taking.begin(header);
        }
        taking.take(entry)
    };
    let read = match (&asked.opening, sealed) {
        (Some(opening), true) => {
            let mut opened = opening.reader(BufReader::new(from)).map_err(|e| shut(e, opening))?;
            tarball::read(&mut opened, &mut take)
        }
        (None, false) => tarball::read(&mut BufReader::new(from), &mut take),
        (None, true) => return Err(usage("the archive is sealed: it needs a passphrase or a key")),
        (Some(_), false) => return Err(usage("the archive is not sealed, or it is none")),
    };
    read.map_err(told)?;
    let (imported, owned) = taking.finish().map_err(told)?;
    if asked.dry_run {
        return Ok(imported);
    }
    if asked.stop.load(Ordering::Relaxed) {
        return Err(ErrorRecord::new(ErrorKind::Interrupted, "interrupted"));
    }
    settle(&options, root, owned, asked.unlock.as_ref())?;
    Ok(imported)
}

/// What opens the home from now on, and what else is kept with it.
pub(super) struct Owned {
    pub secret: DeviceSecret,
    pub words: Option<Vec<u8>>,
}

/// Gives a home that was built and verified its name.
fn settle(
    options: &DiskOptions,
    root: &Path,
    owned: Option<Owned>,
    unlock: Option<&Unlock>,
) -> Result<(), ErrorRecord> {
    let home = Home::open_or_create(&options.home)?;
    if let Some(owned) = owned {
        keys::put(&home, &owned.secret, unlock)?;
        if let Some(words) = &owned.words {
            kept::put_back(&home, &owned.secret, words)?;
        }
    }
    DiskStore::mark_restored(options)?;
    fs::rename(&options.home, root).map_err(NodeError::file("write", root))?;
    let parent = root.parent().unwrap_or(Path::new("/"));
    let synced = File::open(parent).and_then(|parent| parent.sync_all());
    Ok(synced.map_err(NodeError::file("sync", parent))?)
}

fn check_keys(header: &Header, asked: &Importing) -> Result<(), Fault> {
    let words = asked.words.is_some();
    if header.keys && words {
        return Err(usage("the archive has its keys: it needs no recovery words").into());
    }
    if !header.keys && !words && !asked.dry_run {
        let message = "the archive has no keys: it needs the recovery words of the account";
        return Err(ErrorRecord::new(ErrorKind::Usage, message)
            .with_hint("mosaic import mosaic --recover WORDS FILE")
            .into());
    }
    Ok(())
}

fn secret(words: &str) -> Result<RecoverySecret, ErrorRecord> {
    let words = Words::parse(words).map_err(|error| usage(&error.to_string()))?;
    words.secret().ok_or_else(|| usage("these words give no usable keys"))
}

fn usage(message: &str) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Usage, message).with_hint(HELP)
}

fn damaged(why: impl std::fmt::Display) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Corrupt, format!("the archive is cut short or damaged: {why}"))
        .with_hint("mosaic import mosaic --dry-run OTHER_FILE")
}

fn told(fault: Fault) -> ErrorRecord {
    match fault {
        Fault::Other(why) => usage(&format!("this is no archive of mosaic: {why}")),
        Fault::Damaged(why) => damaged(why),
        Fault::Told(error) => error,
    }
}

fn shut(error: SealError, opening: &Opening) -> ErrorRecord {
    match error {
        SealError::WrongPassphrase => {
            let message = match opening {
                Opening::Passphrase(_) => "the passphrase does not open the archive",
                Opening::Keys(_) => "none of the keys opens the archive",
            };
            ErrorRecord::new(ErrorKind::WrongPassphrase, message).with_hint(HELP)
        }
        SealError::NotForKeys | SealError::NotForPassphrase => usage(&error.to_string()),
        error => damaged(error),
    }
}
