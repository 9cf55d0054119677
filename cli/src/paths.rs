//! Where things are when nobody says.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use mosaic_engine::hash::derive;
use mosaic_node::api::types::ErrorKind;

use crate::args::Globals;
use crate::error::Failure;

/// The folders of one home.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Everything that belongs to the home.
    pub(crate) home: PathBuf,
    /// What must not travel with a copy of the home: high-water marks.
    pub(crate) state: PathBuf,
    /// The file of the settings.
    pub(crate) config: PathBuf,
}

impl Paths {
    /// Finds them: `--home`, else the user's data folder; the state folder is beside it, one
    /// for each home, so that a backup put back is noticed.
    ///
    /// # Errors
    /// If there is neither a home nor a working directory.
    pub(crate) fn find(globals: &Globals) -> Result<Self, Failure> {
        let strategy = etcetera::choose_base_strategy();
        let unknown = |_| {
            let message = "cannot find a home folder: neither --home nor HOME is set";
            Failure::usage(message, "mosaic --home DIR status")
        };
        let home = match &globals.home {
            Some(home) => home.clone(),
            None => strategy.as_ref().map_err(|_| ()).map_err(unknown)?.data_dir().join("mosaic"),
        };
        Self::of(&home)
    }

    /// Returns the folders of a given home.
    ///
    /// # Errors
    /// If there is no working directory.
    pub(crate) fn of(home: &Path) -> Result<Self, Failure> {
        let home = absolute(home)?;
        let strategy = etcetera::choose_base_strategy();
        let base = match std::env::var_os("MOSAIC_STATE") {
            Some(base) => absolute(Path::new(&base))?,
            None => match &strategy {
                Ok(strategy) => strategy
                    .state_dir()
                    .unwrap_or_else(|| strategy.data_dir().join("state"))
                    .join("mosaic"),
                Err(_) => home.join("state"),
            },
        };
        let state = base.join(state_name(&resolved(&home)));
        let config = config_file(&home, strategy.as_ref().ok());
        Ok(Self { home, state, config })
    }

    /// Returns where a node in the background logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.state.join("log")
    }
}

/// Returns the file of the settings: inside the home, or in the user's configuration folder if
/// the home is the one that needs no name.
fn config_file(home: &Path, strategy: Option<&impl BaseStrategy>) -> PathBuf {
    let inside = home.join("config.toml");
    match strategy {
        Some(strategy) if home == strategy.data_dir().join("mosaic") && !inside.exists() => {
            strategy.config_dir().join("mosaic").join("config.toml")
        }
        _ => inside,
    }
}

/// Makes a path that means the same in another process.
///
/// # Errors
/// If there is no working directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        Failure::new(ErrorKind::Usage, format!("cannot resolve {}: {error}", path.display()))
    })
}

/// Follows the links in a path as far as it exists, so that a home has one name.
fn resolved(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for part in path.ancestors() {
        if let Ok(found) = std::fs::canonicalize(part) {
            return missing.into_iter().rev().fold(found, |path, name| path.join(name));
        }
        missing.extend(part.file_name());
    }
    path.to_owned()
}

/// Names the state folder of a home: eight bytes of the hash of its path.
fn state_name(home: &Path) -> String {
    let hash = derive("mosaic state folder 1", &[home.as_os_str().as_encoded_bytes()]);
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_do_not_share_their_state() {
        let (a, b) = (state_name(Path::new("/a")), state_name(Path::new("/b")));
        assert_ne!(a, b);
        assert_eq!(a.len(), 16);
    }

    #[test]
    fn a_home_has_one_state_whatever_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let state = |home: &Path| Paths::of(home).unwrap().state;
        assert_eq!(state(&real), state(&link));
        let new = state(&link.join("a/b"));
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        assert_eq!(new, state(&link.join("a/b")));
        assert_eq!(new, state(&real.join("a/b")));
    }
}
