//! `export mosaic`: the whole own account, sealed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use mosaic_node::api::CONTENTS_HEADER;
use mosaic_node::api::types::{
    AccountExported, ErrorKind, ErrorRecord, IdentityExport, Progress, Record,
};
use mosaic_node::archive::Contents;

use crate::context::Context;
use crate::error::Failure;
use crate::passphrase::{Ask, Purpose};

pub(super) const HELP: &str = "\
In it are your account, profile and wall, replies of others there and yours
elsewhere, what is private, texts, attachments and the keys of this device, but no
walls of others, peers, subscriptions, settings nor the passphrase of the keys.

The file opens with plain tools: age -d FILE | zstd -d | tar t
Without keys it need not be sealed, and goes in with the recovery words alone.

Examples:
  mosaic export mosaic --output me.mosaic
  mosaic export mosaic --archive-passphrase-file secret --output me.mosaic
  mosaic export mosaic --recipient age1... | ssh box 'cat > me.mosaic'";

const HINT: &str = "mosaic export mosaic --archive-passphrase-file FILE --output FILE";
const ARCHIVE: Purpose = Purpose {
    of: "the archive",
    instead: "--archive-passphrase-file FILE, or a key",
    nothing: "no archive was made",
    hint: HINT,
};

#[derive(Debug, Args)]
pub(crate) struct Account {
    /// New file, whole or not at all; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Seal it with the first line of FILE; - is stdin; else ask
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    archive_passphrase_file: Option<PathBuf>,
    /// Seal it for a key of age, age1...; repeat for more
    #[arg(long = "recipient", value_name = "KEY")]
    recipients: Vec<String>,
    /// Leave the keys of this device out
    #[arg(long)]
    without_keys: bool,
}

/// Where an archive goes: a file gets its name when it is whole.
enum Target {
    Stdout(io::Stdout),
    File(Beside),
}

impl Account {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut target = self.target()?;
        let request = self.request(context).await?;
        let sealed = request.passphrase.is_some() || !request.recipients.is_empty();
        let mut answer = context.call(&request).await?;
        if answer.status() >= 300 {
            let line = answer.line().await?.unwrap_or_default();
            return Err(match serde_json::from_slice(&line) {
                Ok(Record::Error(error)) => error.into(),
                _ => Failure::new(ErrorKind::Error, "the node gives no archive"),
            });
        }
        let header = answer.header(CONTENTS_HEADER).unwrap_or_default().to_owned();
        let contents: Contents = serde_json::from_str(&header).unwrap_or_default();
        let mut progress = Progress { op: "export".to_owned(), ..Progress::default() };
        progress.total_bytes = Some(contents.bytes()).filter(|bytes| *bytes > 0);
        let mut size_bytes = 0u64;
        while let Some(bytes) = answer.bytes().await? {
            target.write_all(&bytes).map_err(|error| self.cannot(error))?;
            size_bytes = size_bytes.saturating_add(bytes.len() as u64);
            progress.done_bytes = size_bytes;
            context.output.progress(&progress);
        }
        target.flush().map_err(|error| self.cannot(error))?;
        if let Target::File(file) = target {
            file.keep().map_err(|error| self.cannot(error))?;
            let commit = serde_json::from_str::<serde_json::Value>(&header).ok();
            let commit = commit.and_then(|value| value.get("commit")?.as_u64());
            let record = Record::AccountExported(AccountExported {
                path: self.output.display().to_string(),
                commit: commit.unwrap_or_default(),
                size_bytes,
                keys: !self.without_keys,
                sealed,
                documents: contents.documents,
                blobs: contents.bodies.saturating_add(contents.files),
                missing: contents.missing,
            });
            context.output.record(&record)?;
            context.output.flush()?;
        }
        if contents.missing > 0 {
            let message = format!(
                "{} texts or attachments are not here, and not in it: mosaic sync, then export again",
                contents.missing
            );
            context.output.talk(&message);
        }
        context.output.talk(match (self.without_keys, sealed) {
            (false, _) => "Whoever opens this archive can write as you: keep it safe.",
            (true, true) => "It has no keys: it goes in with your recovery words.",
            (true, false) => {
                "It has no keys and is not sealed: anybody reads your wall in it; it goes in with \
                 your recovery words."
            }
        });
        Ok(())
    }

    async fn request(&self, context: &mut Context<'_>) -> Result<IdentityExport, Failure> {
        let recipients = self.recipients.clone();
        let without_keys = self.without_keys;
        let file = self.archive_passphrase_file.as_deref();
        let passphrase = match recipients.is_empty() && (file.is_some() || !without_keys) {
            true => Some(context.passphrase_for(ARCHIVE, Ask::New, file).await?),
            false => None,
        };
        let passphrase = passphrase.map(|passphrase| passphrase.reveal().to_owned());
        Ok(IdentityExport { without_keys, passphrase, recipients })
    }

    fn target(&self) -> Result<Target, Failure> {
        if self.output.as_os_str() == "-" {
            let stdout = io::stdout();
            if stdout.is_terminal() {
                let message = "an archive is nothing for a terminal: name a file, or use a pipe";
                return Err(Failure::usage(message, HINT));
            }
            return Ok(Target::Stdout(stdout));
        }
        if self.output.symlink_metadata().is_ok() {
            return Err(self.exists());
        }
        Ok(Target::File(Beside::of(&self.output).map_err(|error| self.cannot(error))?))
    }

    fn exists(&self) -> Failure {
        let message = format!("{} exists already", self.output.display());
        ErrorRecord::new(ErrorKind::Conflict, message)
            .with_hint("mosaic export mosaic --output NEW_FILE")
            .into()
    }

    fn cannot(&self, error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => return Failure::Closed,
            io::ErrorKind::AlreadyExists => return self.exists(),
            _ => {}
        }
        let message =
            format!("cannot write {}: {error}; no archive was made", self.output.display());
        Failure::hinted(ErrorKind::Error, message, HINT)
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(beside) => beside.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(beside) => beside.file.flush(),
        }
    }
}

/// A file under another name in the same folder, always the same: what a process that was killed
/// left of it is gone when the next one begins.
struct Beside {
    file: File,
    path: PathBuf,
    name: PathBuf,
}

impl Beside {
    fn of(name: &Path) -> io::Result<Self> {
        let mut part = std::ffi::OsString::from(".");
        part.push(name.file_name().unwrap_or_default());
        part.push(".part");
        let path = name.with_file_name(part);
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        if file.try_lock().is_err() {
            return Err(io::Error::other("another export writes there"));
        }
        file.set_len(0)?;
        Ok(Self { file, path, name: name.to_owned() })
    }

    /// Gives it its name, if nothing has it by now; durable when it returns.
    fn keep(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::hard_link(&self.path, &self.name)?;
        let folder = self.name.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // what stays is written over by the next one
        let _ = fs::remove_file(&self.path);
    }
}
