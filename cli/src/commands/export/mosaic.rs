//! `export mosaic`: the whole own account, sealed.

use std::path::PathBuf;

use clap::Args;
use mosaic_node::api::CONTENTS_HEADER;
use mosaic_node::api::types::{AccountExported, ErrorKind, IdentityExport, Progress, Record};
use mosaic_node::archive::Contents;

use crate::context::Context;
use crate::error::Failure;
use crate::passphrase::{Ask, Purpose};
use crate::whole::{Kind, Whole};

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
const KIND: Kind = Kind {
    a: "an archive",
    name: "archive",
    hint: HINT,
    elsewhere: "mosaic export mosaic --output NEW_FILE",
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

impl Account {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut whole = Whole::begin(KIND, &self.output)?;
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
        while let Some(bytes) = answer.bytes().await? {
            progress.done_bytes = whole.write(&bytes)?;
            context.output.progress(&progress);
        }
        if let Some(size_bytes) = whole.keep()? {
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
}
