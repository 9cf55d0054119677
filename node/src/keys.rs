//! The keys of a home, and whether they and its store are one identity's.
//!
//! `device.key` is there from the moment its account is committed, until then the keys have
//! another name. So a home with only one of the two has lost the other, and must not be taken
//! for one in which an identity can be made.
//!
//! The file holds the keys as they are or, under a passphrase, sealed in the format of `age`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{EngineError, Replica};
use zeroize::Zeroizing;

use crate::api::types::ErrorRecord;
use crate::entropy::OsEntropy;
use crate::error::NodeError;
use crate::home::{self, Home};
use crate::seal::{self, SealError};
use crate::unlock::Unlock;

/// Bytes of a key file: sealed ones are some 250.
const FILE_BYTES_MAX: usize = 4096;

/// What of its keys can be seen from outside a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// No keys, or those of an identity in the making.
    Missing,
    /// Keys as they are.
    Clear,
    /// Keys under a passphrase, in this file.
    Sealed(PathBuf),
}

/// Looks at the keys of a home; nothing is opened.
///
/// # Errors
/// A file is there and cannot be read.
pub fn state(root: &Path) -> Result<KeyState, NodeError> {
    let home = Home::at(root);
    for (path, in_force) in [(home.key_file(), true), (home.pending_key_file(), false)] {
        if exists(&path)? {
            return Ok(match seal::is_sealed(&stored(&path)?) {
                true => KeyState::Sealed(path),
                false if in_force => KeyState::Clear,
                false => KeyState::Missing,
            });
        }
    }
    Ok(KeyState::Missing)
}

/// Opens the keys of a home once, so that whoever is handed `unlock` need not try it.
///
/// # Errors
/// They are there and cannot be read.
pub fn check(root: &Path, unlock: Option<&Unlock>) -> Result<(), NodeError> {
    read(&Home::at(root), unlock).map(drop)
}

/// Whether a home has an identity, or the beginning of one.
///
/// # Errors
/// The home cannot be read, or it has keys without a store.
pub(crate) fn has_store(root: &Path) -> Result<bool, NodeError> {
    let store = root.join("store");
    let found = exists(&store)?;
    if !found && exists(&root.join("device.key"))? {
        let reason = "is missing, although device.key is there".to_owned();
        return Err(NodeError::HalfIdentity { path: store, reason });
    }
    Ok(found)
}

/// Reads the keys of a home: those of its device, else those of one in the making.
///
/// # Errors
/// They are there and cannot be read, or not with this passphrase.
pub(crate) fn read(
    home: &Home,
    unlock: Option<&Unlock>,
) -> Result<Option<DeviceSecret>, NodeError> {
    for path in [home.key_file(), home.pending_key_file()] {
        if exists(&path)? {
            return read_file(&path, unlock).map(Some);
        }
    }
    Ok(None)
}

/// Makes the keys of a device that has no account yet, sealed if there is a passphrase. Those of
/// an earlier try are used again.
///
/// # Errors
/// They cannot be written, or those of an earlier try not be read.
pub(crate) fn make(
    home: &Home,
    entropy: &OsEntropy,
    unlock: Option<&Unlock>,
) -> Result<DeviceSecret, NodeError> {
    if let Some(secret) = read(home, unlock)? {
        let path = home.pending_key_file();
        if unlock.is_some() && exists(&path)? && !seal::is_sealed(&stored(&path)?) {
            replace(&path, &secret, unlock)?;
        }
        return Ok(secret);
    }
    let secret = DeviceSecret::generate(entropy);
    let path = home.pending_key_file();
    home::write_new(&path, &encode(&path, &secret, unlock)?)?;
    Ok(secret)
}

/// Writes the keys of an account that came from elsewhere.
///
/// # Errors
/// The file system refuses, or there are keys already.
pub(crate) fn put(
    home: &Home,
    secret: &DeviceSecret,
    unlock: Option<&Unlock>,
) -> Result<(), NodeError> {
    let path = home.key_file();
    home::write_new(&path, &encode(&path, secret, unlock)?)
}

/// Writes keys anew under another passphrase, or none; committed when it returns. At no moment is
/// there no file that opens; the bytes of the old one are overwritten where the disk allows it.
///
/// # Errors
/// The file system refuses, and the old file is as it was.
pub(crate) fn replace(
    path: &Path,
    secret: &DeviceSecret,
    unlock: Option<&Unlock>,
) -> Result<(), NodeError> {
    let bytes = encode(path, secret, unlock)?;
    // what is about to be the only copy is opened before it is
    decode(path, &bytes, unlock)?;
    let old = OpenOptions::new().write(true).open(path);
    home::replace(path, &bytes)?;
    if let Err(error) = old.and_then(wipe) {
        tracing::warn!(%error, "the old key file was removed, and not overwritten");
    }
    Ok(())
}

/// Overwrites a file that has no name any more. One that has, as by a backup of hard links, is
/// somebody's.
fn wipe(mut file: File) -> io::Result<()> {
    let found = file.metadata()?;
    if found.nlink() > 0 {
        return Ok(());
    }
    let len = usize::try_from(found.len()).unwrap_or_default().min(FILE_BYTES_MAX);
    file.write_all(&vec![0; len])?;
    file.sync_all()
}

/// Removes what a crash left of files of keys and words in the making. Whoever calls holds the
/// store.
///
/// # Errors
/// The file system refuses.
pub(crate) fn sweep(home: &Home) -> Result<(), NodeError> {
    let failed = |error| NodeError::file("read", home.root())(error);
    for entry in fs::read_dir(home.root()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let secret = ["device.key", "recovery.words"].iter().any(|start| name.starts_with(start));
        if secret && home::is_beside(&name) {
            fs::remove_file(entry.path()).map_err(NodeError::file("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Gives keys their name for good, after their account was committed.
///
/// # Errors
/// The file system refuses; opening the home does it again.
pub(crate) fn settle(home: &Home) -> Result<(), NodeError> {
    if exists(&home.key_file())? || !exists(&home.pending_key_file())? {
        return Ok(());
    }
    home::rename(&home.pending_key_file(), &home.key_file())
}

/// What opening a store with these keys, or none, ended in, as far as the keys are to blame.
pub(crate) fn blame(home: &Home, error: EngineError) -> ErrorRecord {
    let EngineError::WrongKeys { expected } = error else { return error.into() };
    let reason = format!("holds other keys than those of device {expected}, whose store this is");
    NodeError::HalfIdentity { path: home.key_file(), reason }.into()
}

/// Refuses a store that has an owner and came without keys.
///
/// # Errors
/// That, or the store fails.
pub(crate) fn check_owner(home: &Home, replica: &Replica) -> Result<(), ErrorRecord> {
    let Some(account) = replica.owner()? else { return Ok(()) };
    let reason = format!("is missing, although the store belongs to account {account}");
    Err(NodeError::HalfIdentity { path: home.key_file(), reason }.into())
}

/// Compares the key file with the keys that were read when the home was opened.
///
/// # Errors
/// It is gone, or it changed.
pub(crate) fn check_file(
    home: &Home,
    replica: &Replica,
    unlock: Option<&Unlock>,
) -> Result<(), ErrorRecord> {
    let path = home.key_file();
    let same = exists(&path)? && replica.has_keys(&read_file(&path, unlock)?)?;
    if same {
        return Ok(());
    }
    let device = replica.device()?;
    Err(blame(home, EngineError::WrongKeys { expected: device }))
}

fn read_file(path: &Path, unlock: Option<&Unlock>) -> Result<DeviceSecret, NodeError> {
    decode(path, &stored(path)?, unlock)
}

/// What a key file holds; nothing if it is longer than any.
fn stored(path: &Path) -> Result<Zeroizing<Vec<u8>>, NodeError> {
    match home::read_secret(path, FILE_BYTES_MAX) {
        Err(NodeError::Damaged { .. }) => Ok(Zeroizing::default()),
        read => read.map(Zeroizing::new),
    }
}

fn encode(
    path: &Path,
    secret: &DeviceSecret,
    unlock: Option<&Unlock>,
) -> Result<Zeroizing<Vec<u8>>, NodeError> {
    let clear = secret.to_bytes();
    match unlock {
        None => Ok(Zeroizing::new(clear.to_vec())),
        Some(unlock) => {
            unlock.seal(&*clear).map(Zeroizing::new).map_err(NodeError::file("seal", path))
        }
    }
}

fn decode(path: &Path, bytes: &[u8], unlock: Option<&Unlock>) -> Result<DeviceSecret, NodeError> {
    let opened = match (seal::is_sealed(bytes), unlock) {
        (false, _) => None,
        (true, None) => return Err(NodeError::Sealed { path: path.to_owned() }),
        (true, Some(unlock)) => Some(unlock.open(bytes).map_err(|error| not_opened(path, &error))?),
    };
    let clear = opened.as_ref().map_or(bytes, |opened| opened.as_slice());
    let secret = clear.try_into().ok().and_then(DeviceSecret::from_bytes);
    secret.ok_or_else(|| NodeError::HalfIdentity {
        path: path.to_owned(),
        reason: format!("is damaged: it does not hold {} bytes of keys", DeviceSecret::LEN),
    })
}

/// Why a sealed file did not open, as far as it can be told from a wrong passphrase.
fn not_opened(path: &Path, error: &SealError) -> NodeError {
    let path = path.to_owned();
    match error {
        SealError::WrongPassphrase => NodeError::WrongPassphrase { path },
        error => NodeError::HalfIdentity { path, reason: format!("is damaged: {error}") },
    }
}

/// Not to be told apart from "missing" is not "missing".
fn exists(path: &Path) -> Result<bool, NodeError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(NodeError::file("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::ErrorKind;
    use crate::seal::Passphrase;

    fn unlock(text: &str) -> Unlock {
        Unlock::new(Passphrase::from_bytes(text.as_bytes()).unwrap())
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("home");
        assert!(!has_store(&root).unwrap());
        std::os::unix::fs::symlink(&root, &root).unwrap();
        assert!(matches!(has_store(&root), Err(NodeError::File { .. })));
        let error = NodeError::file("read", &root)(io::ErrorKind::PermissionDenied.into());
        assert_eq!(ErrorRecord::from(error).kind(), ErrorKind::Denied);
    }

    #[test]
    fn keys_in_the_making_are_sealed_even_if_they_were_begun_without() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open_or_create(&folder.path().join("home")).unwrap();
        let entropy = OsEntropy::open().unwrap();
        let begun = make(&home, &entropy, None).unwrap();
        assert_eq!(state(home.root()).unwrap(), KeyState::Missing);
        let key = unlock("k");
        assert_eq!(make(&home, &entropy, Some(&key)).unwrap().id(), begun.id());
        assert_eq!(state(home.root()).unwrap(), KeyState::Sealed(home.pending_key_file()));
        for (given, kind) in [(None, "sealed"), (Some(unlock("x")), "wrong")] {
            let error = make(&home, &entropy, given.as_ref()).unwrap_err();
            let found = match error {
                NodeError::Sealed { .. } => "sealed",
                NodeError::WrongPassphrase { .. } => "wrong",
                _ => "other",
            };
            assert_eq!(found, kind);
            assert_eq!(ErrorRecord::from(error).kind(), ErrorKind::WrongPassphrase);
        }
        settle(&home).unwrap();
        assert_eq!(state(home.root()).unwrap(), KeyState::Sealed(home.key_file()));
        assert_eq!(read(&home, Some(&key)).unwrap().unwrap().id(), begun.id());
    }

    #[test]
    fn an_altered_file_is_told_apart_from_a_wrong_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open_or_create(&folder.path().join("home")).unwrap();
        let key = unlock("k");
        make(&home, &OsEntropy::open().unwrap(), Some(&key)).unwrap();
        settle(&home).unwrap();
        let path = home.key_file();
        let right = stored(&path).unwrap();
        let mac = right.windows(4).position(|part| part == b"--- ").unwrap() + 4;
        let mut flipped: Vec<Vec<u8>> = [5, mac, right.len() - 1]
            .map(|at| {
                let mut bytes = right.to_vec();
                bytes[at] ^= 1;
                bytes
            })
            .to_vec();
        flipped.extend([30, mac + 2, right.len() - 1].map(|end| right[..end].to_vec()));
        for bytes in flipped {
            fs::write(&path, &bytes).unwrap();
            let error = read(&home, Some(&key)).unwrap_err();
            assert!(matches!(error, NodeError::HalfIdentity { .. }), "{error}");
            assert_eq!(ErrorRecord::from(error).kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn a_replaced_file_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open_or_create(&folder.path().join("home")).unwrap();
        let secret = make(&home, &OsEntropy::open().unwrap(), None).unwrap();
        settle(&home).unwrap();
        let (path, clear) = (home.key_file(), secret.to_bytes());
        let kept = folder.path().join("kept");
        fs::hard_link(&path, &kept).unwrap();
        let held = File::open(&path).unwrap();
        let key = unlock("k");
        replace(&path, &secret, Some(&key)).unwrap();
        // somebody's other name for it is left alone
        assert_eq!(fs::read(&kept).unwrap(), *clear);
        replace(&path, &secret, None).unwrap();
        let mut nameless = File::open(&path).unwrap();
        replace(&path, &secret, Some(&key)).unwrap();
        let mut read_back = Vec::new();
        io::Read::read_to_end(&mut nameless, &mut read_back).unwrap();
        assert_eq!(read_back, [0; DeviceSecret::LEN]);
        drop(held);
        for left in ["device.key.new-1", "device.key.pending.new-23", "recovery.words.next.new-4"] {
            fs::write(home.root().join(left), *clear).unwrap();
        }
        sweep(&home).unwrap();
        let names: Vec<_> =
            fs::read_dir(home.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["device.key"]);
    }
}
