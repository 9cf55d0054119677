//! Texts written in the editor of the person, and never lost.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mosaic_node::api::types::ErrorKind;
use tempfile::NamedTempFile;

use crate::error::Failure;

/// The editor if the environment names none.
const EDITOR_DEFAULT: &str = "vi";
/// Folder, in that of the state, of texts that did not go anywhere.
const UNSENT: &str = "unsent";

/// A text in an editor, in a file that only its owner reads.
#[derive(Debug)]
pub(crate) struct Written {
    file: NamedTempFile,
    before: String,
}

impl Written {
    /// Makes the file, with what the editor starts with, and an ending that tells it what it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn begin(state: &Path, before: &str, suffix: &str) -> Result<Self, Failure> {
        let folder = state.join(UNSENT);
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let mut file =
                tempfile::Builder::new().prefix("text-").suffix(suffix).tempfile_in(&folder)?;
            file.write_all(before.as_bytes())?;
            Ok(file)
        };
        Ok(Self { file: make().map_err(failed)?, before: before.to_owned() })
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Keeps the file, after a command that failed, if there is something new in it. Returns
    /// where it is.
    pub(crate) fn keep(self) -> Option<PathBuf> {
        let text = fs::read_to_string(self.path()).ok();
        if text.is_some_and(|text| text.trim().is_empty() || text == self.before) {
            return None;
        }
        let kept = self.path().to_owned();
        self.file.into_temp_path().keep().ok();
        Some(kept)
    }
}

/// Opens a file in `$VISUAL` or `$EDITOR` and waits for its end.
///
/// # Errors
/// If there is no such program or it failed.
pub(crate) fn edit(path: &Path) -> Result<(), Failure> {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR"));
    let editor = editor.unwrap_or_else(|| EDITOR_DEFAULT.to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(EDITOR_DEFAULT);
    let status = Command::new(program)
        .args(words)
        .arg(path)
        .status()
        .map_err(|error| failed(io::Error::new(error.kind(), format!("{program}: {error}"))))?;
    if status.success() {
        return Ok(());
    }
    let message = format!("the editor {program} ended with {status}: nothing was done");
    Err(Failure::new(ErrorKind::Interrupted, message))
}

fn failed(error: io::Error) -> Failure {
    Failure::new(ErrorKind::Error, format!("cannot edit the text: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let written = Written::begin(folder.path(), "before", ".md").unwrap();
        let path = written.path().to_owned();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(written.keep(), None);
        assert!(!path.exists());
        let written = Written::begin(folder.path(), "", ".md").unwrap();
        fs::write(written.path(), "half a poem").unwrap();
        let kept = written.keep().unwrap();
        assert_eq!(fs::read_to_string(kept).unwrap(), "half a poem");
    }
}
