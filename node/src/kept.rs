//! The recovery words of an account while they are still on its first device: sealed to the
//! device's keys, in a file of mode 0600, until somebody says that he has them on paper.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mosaic_engine::entropy::Entropy;
use mosaic_engine::hash::PolicyId;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::seal::{open_at_rest, seal_at_rest};

use crate::error::NodeError;
use crate::home::{self, Home};
use crate::keys;
use crate::unlock::Unlock;
use crate::words::Words;

const PURPOSE: &str = "recovery words";
/// Bytes of the file.
const FILE_BYTES_MAX: usize = 256;

fn file(root: &Path) -> PathBuf {
    root.join("recovery.words")
}

/// Whether the words are still on this device.
#[must_use]
pub fn is_kept(root: &Path) -> bool {
    file(root).symlink_metadata().is_ok()
}

/// The words as the file has them, sealed to the device.
pub(crate) fn sealed(root: &Path) -> Result<Option<Vec<u8>>, NodeError> {
    if !is_kept(root) {
        return Ok(None);
    }
    home::read_secret(&file(root), FILE_BYTES_MAX).map(Some)
}

/// Puts back what [`sealed`] gave, if it opens with the keys.
pub(crate) fn put_back(home: &Home, secret: &DeviceSecret, sealed: &[u8]) -> Result<(), NodeError> {
    let path = file(home.root());
    open_at_rest(secret, PURPOSE, sealed).map_err(|error| damaged(&path, &error))?;
    home::replace(&path, sealed)
}

/// Words that are to follow those in force, until the account's log says so.
fn next_file(root: &Path) -> PathBuf {
    root.join("recovery.words.next")
}

/// Puts words into the home, in the place of others; committed when it returns.
pub(crate) fn keep(
    home: &Home,
    secret: &DeviceSecret,
    words: &Words,
    entropy: &dyn Entropy,
) -> Result<(), NodeError> {
    write(&file(home.root()), secret, words, entropy)
}

/// Puts words beside those in force, before the account is told of them.
pub(crate) fn keep_next(
    home: &Home,
    secret: &DeviceSecret,
    words: &Words,
    entropy: &dyn Entropy,
) -> Result<(), NodeError> {
    write(&next_file(home.root()), secret, words, entropy)
}

/// Gives words that were to follow their place, if they are in force now, else drops them: a
/// crash may have come between the two files and the log.
pub(crate) fn settle_next(
    root: &Path,
    secret: &DeviceSecret,
    committed: &PolicyId,
) -> Result<(), NodeError> {
    let next = next_file(root);
    let Some(words) = read_file(&next, secret)? else { return Ok(()) };
    let policy = words.secret().map(|secret| secret.policy().id());
    if policy.as_ref() == Some(committed) {
        return home::rename(&next, &file(root));
    }
    fs::remove_file(&next).map_err(NodeError::file("remove", &next))?;
    home::sync_folder(&next)
}

/// Whether words wait to follow those in force.
pub(crate) fn has_next(root: &Path) -> bool {
    next_file(root).symlink_metadata().is_ok()
}

fn write(
    path: &Path,
    secret: &DeviceSecret,
    words: &Words,
    entropy: &dyn Entropy,
) -> Result<(), NodeError> {
    let sealed = seal_at_rest(secret, PURPOSE, words.seed(), entropy);
    let sealed = sealed.map_err(|error| damaged(path, &error))?;
    home::replace(path, &sealed)
}

/// Reads the words; `None` if they are not on this device.
pub(crate) fn read(root: &Path, secret: &DeviceSecret) -> Result<Option<Words>, NodeError> {
    read_file(&file(root), secret)
}

fn read_file(path: &Path, secret: &DeviceSecret) -> Result<Option<Words>, NodeError> {
    let sealed = match home::read_secret(path, FILE_BYTES_MAX) {
        Err(NodeError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(None);
        }
        read => read?,
    };
    let seed = open_at_rest(secret, PURPOSE, &sealed).map_err(|error| damaged(path, &error))?;
    let seed = seed.as_slice().try_into().map_err(|error| damaged(path, &error))?;
    Ok(Some(Words::from_seed(seed)))
}

/// Reads the words that are still in a home, without opening its store.
///
/// # Errors
/// There is no identity, or a file cannot be read, is damaged, or is sealed with another
/// passphrase.
pub fn words(root: &Path, unlock: Option<&Unlock>) -> Result<Option<Words>, NodeError> {
    if !is_kept(root) {
        return Ok(None);
    }
    let home = Home::open_or_create(root)?;
    let no_identity = || NodeError::NoIdentity { home: root.to_owned() };
    let secret = keys::read(&home, unlock)?.ok_or_else(no_identity)?;
    read(root, &secret)
}

/// Takes the words off this device; returns whether they were there. Committed when it returns.
///
/// # Errors
/// The file system refuses.
pub fn forget(root: &Path) -> Result<bool, NodeError> {
    let path = file(root);
    match fs::remove_file(&path) {
        Ok(()) => home::sync_folder(&path).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(NodeError::file("remove", &path)(error)),
    }
}

fn damaged(path: &Path, reason: &impl ToString) -> NodeError {
    NodeError::Damaged { path: path.to_owned(), reason: reason.to_string() }
}
