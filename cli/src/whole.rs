//! What is worth something only when it is whole: a new file that gets its name then, a stream
//! whose reader stays to the end.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mosaic_node::api::types::ErrorKind;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::error::Failure;

/// How failures speak of what is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// With its article.
    pub(crate) a: &'static str,
    /// Without.
    pub(crate) name: &'static str,
    /// The command that writes one.
    pub(crate) hint: &'static str,
    /// The command that writes one to another file.
    pub(crate) elsewhere: &'static str,
}

/// Where it goes.
enum Target {
    Stdout(io::Stdout),
    File(NewFile),
}

/// What is written on its way out.
pub(crate) struct Whole<'a> {
    kind: Kind,
    path: &'a Path,
    target: Target,
    size_bytes: u64,
}

impl<'a> Whole<'a> {
    /// Begins to write to a new file, or to stdout for `-`.
    ///
    /// # Errors
    /// If the file exists or cannot be made, or stdout is a terminal.
    pub(crate) fn begin(kind: Kind, path: &'a Path) -> Result<Self, Failure> {
        let target = if path.as_os_str() == "-" {
            let stdout = io::stdout();
            if stdout.is_terminal() {
                let message =
                    format!("{} is nothing for a terminal: name a file, or use a pipe", kind.a);
                return Err(Failure::usage(message, kind.hint));
            }
            Target::Stdout(stdout)
        } else {
            let file = NewFile::create(path).map_err(|error| cannot(kind, path, &error))?;
            Target::File(file)
        };
        Ok(Self { kind, path, target, size_bytes: 0 })
    }

    /// Writes the next bytes; returns how many there are by now.
    ///
    /// # Errors
    /// If the disk is full, or the reader has gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<u64, Failure> {
        let written = match &mut self.target {
            Target::Stdout(stdout) => stdout.write_all(bytes),
            Target::File(new) => new.file.write_all(bytes),
        };
        written.map_err(|error| cannot(self.kind, self.path, &error))?;
        self.size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        Ok(self.size_bytes)
    }

    /// Gives a file its name, durably; returns its bytes, or `None` if it is no file.
    ///
    /// # Errors
    /// As [`Whole::write`], and if the file exists by now.
    pub(crate) fn keep(self) -> Result<Option<u64>, Failure> {
        let kept = match self.target {
            Target::Stdout(mut stdout) => stdout.flush().map(|()| None),
            Target::File(file) => file.keep().map(|()| Some(self.size_bytes)),
        };
        kept.map_err(|error| cannot(self.kind, self.path, &error))
    }
}

fn cannot(kind: Kind, path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let message = format!("{shown} exists already");
            Failure::hinted(ErrorKind::Conflict, message, kind.elsewhere)
        }
        io::ErrorKind::BrokenPipe => {
            let message = format!("the reader has gone: what it got is no {}", kind.name);
            Failure::hinted(ErrorKind::Error, message, kind.hint)
        }
        _ => {
            let message = format!("cannot write {shown}: {error}; no {} was made", kind.name);
            Failure::hinted(ErrorKind::Error, message, kind.hint)
        }
    }
}

/// A file under another name in the same folder, always the same: what a process that was killed
/// left there is gone when the next one begins. Nothing is ever written into a file that was
/// found, as it may have another name by now, or another owner.
#[derive(Debug)]
struct NewFile {
    file: File,
    part: PathBuf,
    name: PathBuf,
    named: bool,
}

impl NewFile {
    /// Makes a file for the user alone.
    fn create(name: &Path) -> io::Result<Self> {
        if name.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut part = OsString::from(".");
        part.push(name.file_name().unwrap_or_default());
        part.push(".part");
        let part = name.with_file_name(part);
        remove_left(&part)?;
        let mut options = OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(&part);
        let file = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => busy(),
            _ => error,
        })?;
        lock(&file)?;
        // Until it was locked another one could take it for what somebody left.
        let there = part.symlink_metadata().map_err(|_| busy())?;
        let own = file.metadata()?;
        if (there.dev(), there.ino()) != (own.dev(), own.ino()) {
            return Err(busy());
        }
        Ok(Self { file, part, name: name.to_owned(), named: false })
    }

    /// Gives it its name, if nothing has it by now; durable when it returns.
    fn keep(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        match rustix::fs::renameat_with(CWD, &self.part, CWD, &self.name, RenameFlags::NOREPLACE) {
            Ok(()) => self.named = true,
            // Not every file system knows it.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::hard_link(&self.part, &self.name)?;
            }
            Err(error) => return Err(error.into()),
        }
        let folder = self.name.parent().filter(|parent| !parent.as_os_str().is_empty());
        let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all());
        // What may be gone after a power cut is not there.
        synced.inspect_err(|_| drop(fs::remove_file(&self.name)))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            // What stays goes when the next one begins.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Removes what a process left that is no more.
fn remove_left(part: &Path) -> io::Result<()> {
    let in_the_way =
        |why: &str| io::Error::other(format!("{} is in the way: {why}", part.display()));
    // Neither followed nor waited for: it may be anything.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(part, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(in_the_way("it is no file")),
        Err(error) => return Err(in_the_way(&io::Error::from(error).to_string())),
    };
    if !file.metadata()?.is_file() {
        return Err(in_the_way("it is no file"));
    }
    lock(&file)?;
    fs::remove_file(part)
}

fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => busy(),
        TryLockError::Error(error) => error,
    })
}

fn busy() -> io::Error {
    io::Error::other("another command writes it right now")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn written(name: &Path, text: &str) -> io::Result<()> {
        let mut new = NewFile::create(name)?;
        new.file.write_all(text.as_bytes())?;
        new.keep()
    }

    #[test]
    fn what_was_left_is_removed_and_never_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let (name, part) = (folder.path().join("me"), folder.path().join(".me.part"));
        // Killed between the two names of one file; the whole one was moved away since.
        let old = folder.path().join("old");
        fs::write(&part, "an older archive").unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o666)).unwrap();
        fs::hard_link(&part, &old).unwrap();
        written(&name, "new").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "an older archive");
        assert_eq!(fs::read_to_string(&name).unwrap(), "new");
        assert_eq!(fs::metadata(&name).unwrap().mode() & 0o777, 0o600);
        assert!(!part.exists());
        assert_eq!(written(&name, "x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_is_in_the_way_is_said_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (name, part) = (folder.path().join("me"), folder.path().join(".me.part"));
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        symlink(&theirs, &part).unwrap();
        assert!(written(&name, "x").unwrap_err().to_string().contains("no file"));
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        fs::remove_file(&part).unwrap();
        fs::create_dir(&part).unwrap();
        assert!(written(&name, "x").unwrap_err().to_string().contains("no file"));
        assert!(!name.exists());
    }

    #[test]
    fn one_writes_at_a_time_and_nobody_takes_a_name_that_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("me");
        let first = NewFile::create(&name).unwrap();
        assert!(NewFile::create(&name).unwrap_err().to_string().contains("right now"));
        fs::write(&name, "somebody").unwrap();
        assert_eq!(first.keep().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&name).unwrap(), "somebody");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
