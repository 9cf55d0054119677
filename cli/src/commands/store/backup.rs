//! `store backup` and `store restore`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use mosaic_node::api::COMMIT_HEADER;
use mosaic_node::api::types::{Backup, ErrorKind, ErrorRecord, Record, Restored, StoreBackup};
use mosaic_node::backup;
use mosaic_node::keys::{self, KeyState};
use tempfile::NamedTempFile;

use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Args)]
pub(crate) struct BackupTo {
    /// The file to write, which must not exist, or - for stdout
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also the keys of this device: who has the backup is you
    #[arg(long)]
    include_keys: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreFrom {
    /// The backup, or - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Where a backup goes: a file gets its name when it is whole.
enum Target {
    Stdout(io::Stdout),
    File(NamedTempFile),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

impl BackupTo {
    pub(super) async fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut target = self.target()?;
        let request = StoreBackup { include_keys: self.include_keys };
        let mut answer = context.call(&request).await?;
        if answer.status() >= 300 {
            let line = answer.line().await?.unwrap_or_default();
            return Err(match serde_json::from_slice(&line) {
                Ok(Record::Error(error)) => error.into(),
                _ => Failure::new(ErrorKind::Error, "the node gives no backup"),
            });
        }
        let commit = answer.header(COMMIT_HEADER).and_then(|text| text.parse().ok());
        let mut size_bytes = 0u64;
        while let Some(bytes) = answer.bytes().await? {
            target.write_all(&bytes).map_err(|error| self.cannot(error))?;
            size_bytes = size_bytes.saturating_add(bytes.len() as u64);
        }
        target.flush().map_err(|error| self.cannot(error))?;
        if let Target::File(file) = target {
            size_bytes = self.keep(file)?;
            let record = Record::Backup(Backup {
                path: self.file.display().to_string(),
                commit: commit.unwrap_or_default(),
                size_bytes,
                keys: self.include_keys,
            });
            context.output.record(&record)?;
            context.output.flush()?;
        }
        if self.include_keys {
            context.output.talk(match keys::state(&context.paths.home) {
                Ok(KeyState::Sealed(_)) => {
                    "Whoever has this backup and the passphrase can write as you: keep them apart."
                }
                _ => "Whoever can read this backup can write as you: keep it safe.",
            });
        }
        Ok(())
    }

    fn target(&self) -> Result<Target, Failure> {
        if self.file.as_os_str() == "-" {
            let stdout = io::stdout();
            if stdout.is_terminal() {
                let message = "a backup is nothing for a terminal: name a file, or use a pipe";
                return Err(Failure::usage(message, "mosaic store backup FILE"));
            }
            return Ok(Target::Stdout(stdout));
        }
        if self.file.symlink_metadata().is_ok() {
            return Err(self.exists());
        }
        let folder = self.folder();
        let file = tempfile::Builder::new().prefix(".mosaic-backup-").tempfile_in(folder);
        Ok(Target::File(file.map_err(|error| self.cannot(error))?))
    }

    fn folder(&self) -> &Path {
        let parent = self.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new("."))
    }

    /// Gives a whole backup its name, durably; returns its size.
    fn keep(&self, file: NamedTempFile) -> Result<u64, Failure> {
        file.as_file().sync_all().map_err(|error| self.cannot(error))?;
        let size = file.as_file().metadata().map_err(|error| self.cannot(error))?.len();
        if let Err(error) = file.persist_noclobber(&self.file) {
            return Err(match error.error.kind() {
                io::ErrorKind::AlreadyExists => self.exists(),
                _ => self.cannot(error.error),
            });
        }
        let synced = File::open(self.folder()).and_then(|folder| folder.sync_all());
        synced.map_err(|error| self.cannot(error))?;
        Ok(size)
    }

    fn exists(&self) -> Failure {
        let message = format!("{} exists already", self.file.display());
        ErrorRecord::new(ErrorKind::Conflict, message)
            .with_hint("mosaic store backup NEW_FILE")
            .into()
    }

    fn cannot(&self, error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::Closed;
        }
        let message = format!("cannot write {}: {error}; no backup was made", self.file.display());
        ErrorRecord::new(ErrorKind::Error, message).with_hint("mosaic store backup FILE").into()
    }
}

impl RestoreFrom {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let from: Box<dyn Read + Send> = if self.file.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            let file = File::open(&self.file).map_err(|error| {
                let kind = match error.kind() {
                    io::ErrorKind::NotFound => ErrorKind::NotFound,
                    _ => ErrorKind::Error,
                };
                let message = format!("cannot read {}: {error}", self.file.display());
                ErrorRecord::new(kind, message).with_hint("mosaic help store restore")
            })?;
            Box::new(file)
        };
        let home = context.paths.home.clone();
        let work = move || backup::restore(from, &home).map_err(Failure::from);
        let restored = crate::apart(work).await?;
        let keys = restored.keys;
        let record = Record::Restored(Restored {
            account: restored.account,
            device: restored.device,
            created_at: restored.created_at,
            commit: restored.commit,
            keys,
            changes: restored.changes,
            blobs: restored.blobs,
        });
        context.output.record(&record)?;
        context.output.flush()?;
        let next = match keys {
            true => "Restored and verified. What is newer comes back with: mosaic sync".to_owned(),
            false => format!(
                "Restored and verified, without keys: put device.key into {} to write on.",
                context.paths.home.display()
            ),
        };
        context.output.talk(&next);
        Ok(())
    }
}
