//! `store backup` and `store restore`.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;
use mosaic_node::api::COMMIT_HEADER;
use mosaic_node::api::types::{Backup, ErrorKind, ErrorRecord, Record, Restored, StoreBackup};
use mosaic_node::backup;
use mosaic_node::keys::{self, KeyState};

use crate::context::Context;
use crate::error::Failure;
use crate::whole::{Kind, Whole};

const BACKUP: Kind = Kind {
    a: "a backup",
    name: "backup",
    hint: "mosaic store backup FILE",
    elsewhere: "mosaic store backup NEW_FILE",
};

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

impl BackupTo {
    pub(super) async fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut whole = Whole::begin(BACKUP, &self.file)?;
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
        while let Some(bytes) = answer.bytes().await? {
            whole.write(&bytes)?;
        }
        if let Some(size_bytes) = whole.keep()? {
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
