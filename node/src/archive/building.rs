//! The folder in which a home is built before it gets its name. One for each home: what a process
//! that was killed left in it is gone when the next one begins.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::api::types::{ErrorKind, ErrorRecord};
use crate::error::NodeError;
use crate::home;

const LOCK: &str = "lock";

/// The folder, as long as this lives.
#[derive(Debug)]
pub(super) struct Building {
    path: PathBuf,
    _above: Above,
    _lock: File,
}

/// Folders above it that were not there, the innermost first.
#[derive(Debug)]
struct Above(Vec<PathBuf>);

impl Drop for Above {
    fn drop(&mut self) {
        // those in which a home came to be stay
        for folder in &self.0 {
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Building {
    /// Makes it beside `root`, or empties what was left of one.
    ///
    /// # Errors
    /// `conflict` if another process builds there; the file system refuses.
    pub(super) fn beside(root: &Path, name: &str) -> Result<Self, ErrorRecord> {
        let parent = root.parent().unwrap_or(Path::new("/"));
        let above = parent.ancestors().take_while(|folder| !folder.exists());
        let above = Above(above.map(Path::to_owned).collect());
        fs::create_dir_all(parent).map_err(NodeError::file("create", parent))?;
        let mut folder = OsString::from(name);
        folder.push(root.file_name().unwrap_or_default());
        let path = parent.join(folder);
        home::private_folder(&path)?;
        let lock = path.join(LOCK);
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&lock);
        let lock = lock.map_err(NodeError::file("create", &path))?;
        if lock.try_lock().is_err() {
            let message = format!("another import into {} is under way", root.display());
            return Err(ErrorRecord::new(ErrorKind::Conflict, message).with_hint("mosaic status"));
        }
        let building = Self { path, _above: above, _lock: lock };
        building.empty()?;
        Ok(building)
    }

    /// A folder in it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn empty(&self) -> Result<(), NodeError> {
        let failed = |error: io::Error| NodeError::file("empty", &self.path)(error);
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let removed = match entry.file_type().map_err(failed)?.is_dir() {
                true => fs::remove_dir_all(entry.path()),
                false if entry.file_name() == LOCK => Ok(()),
                false => fs::remove_file(entry.path()),
            };
            removed.map_err(failed)?;
        }
        Ok(())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // what stays is gone when the next one begins
        let _ = fs::remove_dir_all(&self.path);
    }
}
