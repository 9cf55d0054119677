//! The home folder: where everything of one identity lies, and who may read it.
//!
//! ```text
//! HOME/            0700
//!   device.key     0600   the device's two secrets, sealed if there is a passphrase;
//!                         device.key.pending until it has an account
//!   recovery.words 0600   the recovery words, sealed to them, until somebody has them on paper
//!   config.toml    0600
//!   node.port      0600   the port of the node's last run
//!   store/                the engine's database and large blobs
//!   run/           0700   the node's socket, pid and log
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::NodeError;

mod process;

pub use process::Process;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Permission bits of the group and of others.
const OTHERS: u32 = 0o077;
/// Bytes of a Unix socket path, one less than what the kernel's structure holds.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A home folder that exists and is ours alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// Opens the folder at `root`, making it with mode 0700 if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made, belongs to somebody else, or others may enter it.
    pub fn open_or_create(root: &Path) -> Result<Self, NodeError> {
        private_folder(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Names what is in the folder at `root`, for a look that makes and checks nothing.
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The device's secrets.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.root.join("device.key")
    }

    /// Keys that belong to no account yet: an identity is being made, or was when the power
    /// went.
    #[must_use]
    pub fn pending_key_file(&self) -> PathBuf {
        self.root.join("device.key.pending")
    }

    /// The process id of a running node; it counts only while that process holds the store.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.root.join("run").join("node.pid")
    }

    /// What exists only while a node runs.
    ///
    /// # Errors
    /// As [`Home::open_or_create`].
    pub fn run_folder(&self) -> Result<PathBuf, NodeError> {
        let folder = self.root.join("run");
        private_folder(&folder)?;
        Ok(folder)
    }
}

/// Returns where the node of `home` listens: inside the home, or, when that path is too long for
/// a socket, under the user's runtime folder with a name derived from the home's path.
#[must_use]
pub fn socket_path(home: &Path) -> PathBuf {
    let home = fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
    let inside = home.join("run").join("node.sock");
    if inside.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return inside;
    }
    let name = blake3::hash(home.as_os_str().as_bytes()).to_hex();
    let name = name.get(..16).unwrap_or_default();
    let user = rustix::process::getuid().as_raw();
    let runtime = PathBuf::from(format!("/run/user/{user}"));
    let base = if runtime.is_dir() {
        runtime.join("mosaic")
    } else {
        std::env::temp_dir().join(format!("mosaic-{user}"))
    };
    base.join(format!("{name}.sock"))
}

/// Permission bits of a file that is meant for others too, as the user's umask has them.
static SHARED_MODE: OnceLock<u32> = OnceLock::new();

/// Lets this process make files of mode 0600 and folders of mode 0700 from now on: the database
/// below the home makes files that know nothing of it.
pub(crate) fn keep_private() {
    SHARED_MODE.get_or_init(|| {
        let asked = rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
        0o666 & !asked.bits()
    });
}

/// Makes a file that was written for the user himself as any other program would make it.
///
/// # Errors
/// The file system refuses.
pub fn share(file: &File) -> io::Result<()> {
    SHARED_MODE.get().map_or(Ok(()), |mode| file.set_permissions(fs::Permissions::from_mode(*mode)))
}

/// Returns the process that has the store of a home open.
#[must_use]
pub fn holder(root: &Path) -> Option<u32> {
    let file = File::open(root.join("lock")).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_pid(file),
        _ => None,
    }
}

/// Returns the process that is the node of a home, whether its socket is there or not.
#[must_use]
pub fn node_process(root: &Path) -> Option<u32> {
    let file = File::open(root.join("run").join("node.pid")).ok()?;
    let pid = read_pid(file)?;
    holder(root).filter(|holder| *holder == pid)
}

fn read_pid(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Makes `path` with mode 0700, or checks that it is a folder of ours that nobody else enters. One
/// of ours that is empty gets that mode.
///
/// # Errors
/// See [`Home::open_or_create`].
pub fn private_folder(path: &Path) -> Result<(), NodeError> {
    match DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(NodeError::file("create", path)(error)),
    }
    let found = fs::metadata(path).map_err(NodeError::file("read", path))?;
    if !found.is_dir() {
        let error = io::Error::from(io::ErrorKind::NotADirectory);
        return Err(NodeError::file("use", path)(error));
    }
    if close_empty(path, &found).map_err(NodeError::file("use", path))? {
        return Ok(());
    }
    check_mode(path, &found, FOLDER_MODE)
}

/// Takes an empty folder of ours from everybody else; whether it was one. A folder with special
/// bits is there for others, and one that somebody put something into meanwhile is left as it was.
fn close_empty(path: &Path, found: &fs::Metadata) -> io::Result<bool> {
    let mode = found.permissions().mode() & 0o7777;
    let ours = found.uid() == rustix::process::getuid().as_raw();
    let is_empty = || Ok::<_, io::Error>(fs::read_dir(path)?.next().is_none());
    if !ours || mode & OTHERS == 0 || mode & 0o7000 != 0 || !is_empty()? {
        return Ok(false);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE))?;
    let closed = is_empty()?;
    if !closed {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(closed)
}

/// Reads a secret of at most `bytes_max` bytes.
///
/// # Errors
/// The file is missing, longer, somebody else's, or readable by others.
pub fn read_secret(path: &Path, bytes_max: usize) -> Result<Vec<u8>, NodeError> {
    let file = File::open(path).map_err(NodeError::file("read", path))?;
    let found = file.metadata().map_err(NodeError::file("read", path))?;
    check_mode(path, &found, FILE_MODE)?;
    read_at_most(path, file, bytes_max)
}

/// Reads a whole file of at most `bytes_max` bytes.
///
/// # Errors
/// The file cannot be read or is longer.
pub fn read_bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, NodeError> {
    let file = File::open(path).map_err(NodeError::file("read", path))?;
    read_at_most(path, file, bytes_max)
}

/// Writes a new file of mode 0600, whole or not at all; committed when this returns.
///
/// # Errors
/// [`NodeError::Exists`] if there is one already: a key is never overwritten.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let written = write_beside(path, bytes)?;
    let linked = fs::hard_link(&written, path);
    let _ = fs::remove_file(&written);
    match linked {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(NodeError::Exists { path: path.to_owned() })
        }
        Err(error) => Err(NodeError::file("write", path)(error)),
    }
}

/// Replaces a file of mode 0600, whole or not at all; committed when this returns.
///
/// # Errors
/// The file system refuses.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let written = write_beside(path, bytes)?;
    rename(&written, path)
}

/// Gives a file another name in its folder; committed when this returns.
///
/// # Errors
/// The file system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), NodeError> {
    fs::rename(from, to).map_err(NodeError::file("write", to))?;
    sync_folder(to)
}

/// How the name of a file goes on until all of it is there; the process id follows.
const BESIDE: &str = ".new-";

/// Whether a file was to get the name before its last part, and was not whole yet or still had
/// both.
pub(crate) fn is_beside(name: &str) -> bool {
    let id = name.rsplit_once(BESIDE).map(|(_, id)| id);
    id.is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, NodeError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("{BESIDE}{}", std::process::id()));
    let beside = path.with_file_name(name);
    // a leftover of a process that had our id and was killed
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&beside)
        .map_err(NodeError::file("write", &beside))?;
    file.write_all(bytes).map_err(NodeError::file("write", &beside))?;
    file.sync_all().map_err(NodeError::file("sync", &beside))?;
    Ok(beside)
}

pub(crate) fn sync_folder(path: &Path) -> Result<(), NodeError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(NodeError::file("sync", folder))
}

fn read_at_most(path: &Path, file: File, bytes_max: usize) -> Result<Vec<u8>, NodeError> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(NodeError::file("read", path))?;
    if bytes.len() > bytes_max {
        let reason = format!("longer than {bytes_max} bytes");
        return Err(NodeError::Damaged { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

fn check_mode(path: &Path, found: &fs::Metadata, wanted: u32) -> Result<(), NodeError> {
    let mode = found.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(NodeError::LooseMode { path: path.to_owned(), mode, wanted });
    }
    if found.uid() != rustix::process::getuid().as_raw() {
        let error = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user");
        return Err(NodeError::file("use", path)(error));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn secrets_are_private_whole_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open_or_create(&folder.path().join("a/b")).unwrap();
        let mode = fs::metadata(home.root()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        let key = home.key_file();
        write_new(&key, b"secret").unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(write_new(&key, b"other"), Err(NodeError::Exists { .. })));
        assert_eq!(read_secret(&key, 6).unwrap(), b"secret");
        assert!(matches!(read_secret(&key, 5), Err(NodeError::Damaged { .. })));
        replace(&key, b"third").unwrap();
        assert_eq!(read_secret(&key, 6).unwrap(), b"third");
        assert_eq!(fs::read_dir(home.root()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open_or_create(&folder.path().join("home")).unwrap();
        let key = home.key_file();
        write_new(&key, b"secret").unwrap();
        chmod(&key, 0o640);
        assert!(matches!(read_secret(&key, 64), Err(NodeError::LooseMode { mode: 0o640, .. })));
        chmod(home.root(), 0o755);
        assert!(matches!(
            Home::open_or_create(home.root()),
            Err(NodeError::LooseMode { mode: 0o755, .. })
        ));
    }

    #[test]
    fn an_empty_folder_of_ours_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        chmod(&home, 0o755);
        Home::open_or_create(&home).unwrap();
        assert_eq!(mode(&home), 0o700);
        // as /tmp, and one that is in use
        chmod(&home, 0o1777);
        let loose = |result| matches!(result, Err(NodeError::LooseMode { .. }));
        assert!(loose(Home::open_or_create(&home)));
        fs::write(home.join("notes"), "mine").unwrap();
        chmod(&home, 0o755);
        assert!(loose(Home::open_or_create(&home)));
        assert_eq!(mode(&home), 0o755);
    }

    #[test]
    fn a_long_home_has_a_short_socket() {
        let short = socket_path(Path::new("/nowhere/home"));
        assert_eq!(short, Path::new("/nowhere/home/run/node.sock"));
        let long = PathBuf::from(format!("/nowhere/{}", "x".repeat(200)));
        let (one, two) = (socket_path(&long), socket_path(&long.join("y")));
        assert!(one.as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        assert_ne!(one, two);
    }
}
