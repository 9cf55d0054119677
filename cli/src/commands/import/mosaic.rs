//! `import mosaic`: a home from the archive of an account.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Args;
use mosaic_node::Unlock;
use mosaic_node::api::types::{AccountImported, ErrorKind, ErrorRecord, Progress, Record};
use mosaic_node::archive::{self, Imported, Importing};
use mosaic_node::keys::{self, KeyState};
use mosaic_node::seal::{MAX_KEY_FILE, Opening};

use crate::context::Context;
use crate::error::Failure;
use crate::input;
use crate::passphrase::{Ask, Purpose};

pub(super) const HELP: &str = "\
All is verified, without a network, before the home appears; a file that is cut short
or altered leaves nothing. The device goes on with a new life. Walls that you follow
come with the next sync. An archive without keys needs the recovery words, and makes
this home a new device; mosaic init --recover with --peer takes the others out.

Examples:
  mosaic --home new import mosaic me.mosaic
  mosaic --home new import mosaic --identity-file key.txt me.mosaic
  age -d me.mosaic | mosaic --home new import mosaic -";

const HINT: &str = "mosaic import mosaic --archive-passphrase-file FILE ARCHIVE";
const ARCHIVE: Purpose = Purpose {
    of: "the archive",
    instead: "--archive-passphrase-file FILE, or a key",
    nothing: "nothing was imported",
    hint: HINT,
};
/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct Account {
    /// The archive; - reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Sealed with the first line of FILE; - is stdin; else ask
    #[arg(long, value_name = "FILE", conflicts_with = "identity_file")]
    archive_passphrase_file: Option<PathBuf>,
    /// Sealed for a key in this file, as age-keygen writes it
    #[arg(long, value_name = "FILE")]
    identity_file: Option<PathBuf>,
    /// Recovery words, if it has no keys; - reads stdin
    #[arg(long, value_name = "FILE")]
    recover: Option<PathBuf>,
    /// Verify everything, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// How long it is waited for an import that was stopped; it stops at the next bytes that it reads.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Counts the bytes that were read, until it is stopped.
struct Counted<R> {
    from: R,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// Stops an import that is no longer waited for, so that nothing of it is left.
struct StopOnDrop {
    stop: Arc<AtomicBool>,
    ended: mpsc::Receiver<()>,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Nobody sends: it ends when the other end is gone.
        let _ = self.ended.recv_timeout(STOP_WITHIN);
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let read = self.from.read(bytes)?;
        self.done.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Account {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        self.check_stdin()?;
        let (from, total_bytes) = self.open().await?;
        let looked = crate::apart(move || Ok(archive::peek(from))).await?;
        let (sealed, from) = looked.map_err(|error| self.cannot(&error))?;
        let opening = self.opening(context, sealed).await?;
        let words = match &self.recover {
            Some(file) => {
                let no_input = context.globals.no_input;
                Some(input::words(context.output, no_input, file).await?.to_string())
            }
            None => None,
        };
        let unlock = self.unlock(context).await?;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (running, ended) = mpsc::channel();
        let _stopping = StopOnDrop { stop: stop.clone(), ended };
        let from = Counted { from, done: done.clone(), stop: stop.clone() };
        let asked = Importing { opening, words, unlock, dry_run: self.dry_run, stop };
        let home = context.paths.home.clone();
        let work = move || {
            let _running = running;
            archive::import(from, &home, &asked).map_err(Failure::from)
        };
        let tell = || {
            let (op, done_bytes) = ("import".to_owned(), done.load(Ordering::Relaxed));
            let progress = Progress { op, done_bytes, total_bytes, ..Progress::default() };
            context.output.progress(&progress);
        };
        let imported = crate::apart_telling(work, TELL_EVERY, tell).await?;
        self.tell(context, imported)
    }

    /// What seals the keys in their new home, if a passphrase for them is given.
    async fn unlock(&self, context: &mut Context<'_>) -> Result<Option<Unlock>, Failure> {
        let state = keys::state(&context.paths.home).map_err(ErrorRecord::from)?;
        if self.dry_run || state != KeyState::Missing {
            return Ok(None);
        }
        context.passphrases.makes_keys = true;
        context.unlock().await
    }

    fn tell(&self, context: &mut Context<'_>, imported: Imported) -> Result<(), Failure> {
        let keys = imported.keys;
        let contents = imported.contents;
        let record = Record::AccountImported(AccountImported {
            account: imported.account,
            device: imported.device,
            created_at: imported.created_at,
            commit: imported.commit,
            keys,
            documents: contents.documents,
            changes: imported.changes,
            blobs: contents.bodies.saturating_add(contents.files),
            missing: contents.missing,
            left_out: imported.left_out,
            dry_run: self.dry_run,
        });
        context.output.record(&record)?;
        context.output.flush()?;
        context.output.talk(match (self.dry_run, keys) {
            (true, _) => "Verified. Nothing was changed.",
            (false, true) => "Imported and verified. What is newer comes with: mosaic sync",
            (false, false) => {
                "Imported and verified, as a new device. Once it has met the others: mosaic device list"
            }
        });
        Ok(())
    }

    /// Only one thing can come from stdin.
    fn check_stdin(&self) -> Result<(), Failure> {
        let dash = |path: &PathBuf| path == Path::new("-");
        let also = [&self.archive_passphrase_file, &self.recover, &self.identity_file];
        let also = also.into_iter().flatten().filter(|path| dash(path)).count();
        if also + usize::from(dash(&self.file)) > 1 {
            return Err(Failure::usage("only one thing can come from stdin", HINT));
        }
        Ok(())
    }

    async fn open(&self) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
        if self.file == Path::new("-") {
            return Ok((Box::new(io::stdin()), None));
        }
        let path = self.file.clone();
        // One that is a pipe is there when somebody writes to it.
        let file = crate::apart(move || Ok(File::open(path))).await?;
        let file = file.map_err(|error| self.cannot(&error))?;
        let metadata = file.metadata().map_err(|error| self.cannot(&error))?;
        if metadata.is_dir() {
            let message = format!("{} is a folder", self.file.display());
            return Err(Failure::usage(message, HINT));
        }
        Ok((Box::new(file), Some(metadata.len())))
    }

    async fn opening(
        &self,
        context: &mut Context<'_>,
        sealed: bool,
    ) -> Result<Option<Opening>, Failure> {
        if let Some(path) = &self.identity_file {
            let path = path.clone();
            return crate::apart(move || holder(&path)).await.map(Some);
        }
        let file = self.archive_passphrase_file.as_deref();
        if file.is_none() && !sealed {
            return Ok(None);
        }
        let passphrase = context.passphrase_for(ARCHIVE, Ask::Present, file).await?;
        Ok(Some(Opening::Passphrase(passphrase)))
    }

    fn cannot(&self, error: &io::Error) -> Failure {
        let message = format!("cannot read {}: {error}", self.file.display());
        Failure::hinted(kind(error), message, "mosaic help import mosaic")
    }
}

fn holder(path: &Path) -> Result<Opening, Failure> {
    let shown = path.display();
    let limit = u64::try_from(MAX_KEY_FILE).unwrap_or(u64::MAX);
    let mut text = zeroize::Zeroizing::new(String::new());
    let from: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).map_err(|error| {
            let message = format!("cannot read {shown}: {error}");
            Failure::hinted(kind(&error), message, "mosaic help import mosaic")
        })?),
    };
    from.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(|error| {
        let message = format!("cannot read {shown}: {error}");
        Failure::hinted(ErrorKind::Error, message, "mosaic help import mosaic")
    })?;
    if text.len() > MAX_KEY_FILE {
        let message = format!("{shown} is longer than a file of keys: {MAX_KEY_FILE} bytes");
        return Err(Failure::usage(message, "mosaic help import mosaic"));
    }
    Opening::keys(&text)
        .map_err(|error| Failure::usage(format!("{shown}: {error}"), "mosaic help import mosaic"))
}

fn kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Error,
    }
}
