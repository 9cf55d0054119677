//! The keys of a home, and whether they and its store are one identity's.
//!
//! `device.key` is there from the moment its account is committed, until then the keys have
//! another name. So a home with only one of the two has lost the other, and must not be taken
//! for one in which an identity can be made.

use std::io;
use std::path::Path;

use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{EngineError, Replica};

use crate::api::types::ErrorRecord;
use crate::entropy::OsEntropy;
use crate::error::NodeError;
use crate::home::{self, Home};

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
/// They are there and cannot be read.
pub(crate) fn read(home: &Home) -> Result<Option<DeviceSecret>, NodeError> {
    for path in [home.key_file(), home.pending_key_file()] {
        if exists(&path)? {
            return read_file(&path).map(Some);
        }
    }
    Ok(None)
}

/// Makes the keys of a device that has no account yet.
///
/// # Errors
/// They cannot be written.
pub(crate) fn make(home: &Home, entropy: &OsEntropy) -> Result<DeviceSecret, NodeError> {
    let secret = DeviceSecret::generate(entropy);
    home::write_new(&home.pending_key_file(), &*secret.to_bytes())?;
    Ok(secret)
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
pub(crate) fn check_file(home: &Home, replica: &Replica) -> Result<(), ErrorRecord> {
    let path = home.key_file();
    let same = exists(&path)? && replica.has_keys(&read_file(&path)?)?;
    if same {
        return Ok(());
    }
    let device = replica.device()?;
    Err(blame(home, EngineError::WrongKeys { expected: device }))
}

fn read_file(path: &Path) -> Result<DeviceSecret, NodeError> {
    let bytes = match home::read_secret(path, DeviceSecret::LEN) {
        Err(NodeError::Damaged { .. }) => Vec::new(),
        read => read?,
    };
    let secret = bytes.as_slice().try_into().ok().and_then(DeviceSecret::from_bytes);
    secret.ok_or_else(|| NodeError::HalfIdentity {
        path: path.to_owned(),
        reason: format!("is damaged: it does not hold {} bytes of keys", DeviceSecret::LEN),
    })
}

/// Not to be told apart from "missing" is not "missing".
fn exists(path: &Path) -> Result<bool, NodeError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(NodeError::file("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::ErrorKind;

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
}
