//! One process owns a home: an advisory lock on a file that names the owner.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    process,
};

use super::StoreError;

/// Holds the lock until dropped; the operating system drops it with the process, however it ends.
#[derive(Debug)]
pub(super) struct HomeLock {
    _file: File,
}

impl HomeLock {
    /// Takes the lock at once or not at all.
    pub(super) fn acquire(path: &Path) -> Result<Self, StoreError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| StoreError::io("open", path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path, error)),
        }
        write_pid(&mut file).map_err(|error| StoreError::io("write", path, error))?;
        Ok(Self { _file: file })
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_learns_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = HomeLock::acquire(&path).unwrap();
        let second = HomeLock::acquire(&path).unwrap_err();
        assert!(matches!(second, StoreError::Locked { pid: Some(pid) } if pid == process::id()));
        drop(first);
        HomeLock::acquire(&path).unwrap();
    }
}
