//! Writing an attachment to a file, fetched from a peer if it is not here.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use mosaic_engine::limits::BODY_SALT_BYTES;
use mosaic_engine::model::entry::Attachment;
use mosaic_engine::replica::EngineError;

use super::answer::{Outcome, route};
use super::label;
use super::profile;
use super::resolve;
use super::types::{ErrorKind, ErrorRecord, ProfilePicture, Record, Saved, WallSave};
use crate::app::App;
use crate::blobs::FetchError;
use crate::home;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = route(router, |app, request: WallSave| {
        let path = PathBuf::from(&request.path);
        let again = save_again(&request);
        save(app, path, again, move |app| attachment(app, &request))
    });
    route(router, |app, request: ProfilePicture| {
        let path = PathBuf::from(&request.path);
        let again = "mosaic profile avatar --output NEW_FILE".to_owned();
        save(app, path, again, move |app| picture(app, request.who.as_deref()))
    })
}

/// Saves the same attachment elsewhere.
fn save_again(request: &WallSave) -> String {
    let id = &request.id;
    match request.index {
        None | Some(0) => format!("mosaic wall save {id} --output NEW_FILE"),
        Some(index) => format!("mosaic wall save {id} --index {index} --output NEW_FILE"),
    }
}

async fn save(
    app: Arc<App>,
    path: PathBuf,
    again: String,
    find: impl FnOnce(&App) -> Result<Attachment, ErrorRecord> + Send + 'static,
) -> Outcome {
    if !path.is_absolute() {
        return Err(ErrorRecord::new(ErrorKind::Usage, "the path is not absolute"));
    }
    let finding = app.clone();
    let found = tokio::task::spawn_blocking(move || find(&finding)).await;
    let attachment = found.map_err(|error| failed(&error))??;
    let path = if path.is_dir() { path.join(label::file_name(&attachment.name)) } else { path };
    let target = Target { path: path.clone(), again };
    let (here, wanted, first) = (app.clone(), attachment.clone(), target.clone());
    let copied = tokio::task::spawn_blocking(move || copy(&here, &wanted, &first)).await;
    let size_bytes = match copied.map_err(|error| failed(&error))?? {
        Some(size) => size,
        None => fetch(&app, &attachment, &target).await?,
    };
    let (path, hash) = (path.display().to_string(), attachment.body.hash.to_string());
    Ok(Record::Saved(Saved { path, size_bytes, hash }).into())
}

fn attachment(app: &App, request: &WallSave) -> Result<Attachment, ErrorRecord> {
    let replica = app.replica()?;
    let post = replica.show(&resolve::entry(&replica, &request.id)?)?;
    let index = usize::try_from(request.index.unwrap_or(0)).unwrap_or(usize::MAX);
    let count = post.attachments.len();
    post.attachments.into_iter().nth(index).ok_or_else(|| {
        let message = format!("{} has {count} attachments", post.id.short());
        ErrorRecord::new(ErrorKind::NotFound, message)
    })
}

fn picture(app: &App, who: Option<&str>) -> Result<Attachment, ErrorRecord> {
    let replica = app.replica()?;
    profile::picture(&replica, &resolve::account(&replica, who)?)
}

/// Copies what is here; `None` if it is not.
fn copy(app: &App, attachment: &Attachment, target: &Target) -> Result<Option<u64>, ErrorRecord> {
    let mut new = NewFile::create(target)?;
    match app.replica()?.copy_file(attachment, &mut new.file) {
        Ok(size) => {
            new.keep().map_err(|error| target.cannot_write(&error))?;
            Ok(Some(size))
        }
        Err(EngineError::MissingBlob(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn fetch(
    app: &Arc<App>,
    attachment: &Attachment,
    target: &Target,
) -> Result<u64, ErrorRecord> {
    let network = app.network().await?;
    let mut new = NewFile::create(target)?;
    let (mut salt, mut size) = (BODY_SALT_BYTES, 0u64);
    let fetched = network.sessions().fetch_file(&attachment.body, |bytes| {
        let skipped = salt.min(bytes.len());
        salt -= skipped;
        let bytes = bytes.get(skipped..).unwrap_or_default();
        size = size.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        new.file.write_all(bytes).map_err(|error| FetchError::Stored(error.to_string()))
    });
    fetched.await.map_err(|error| {
        let message = format!("the file is not here, and no peer gave it: {error}");
        ErrorRecord::new(ErrorKind::Retry, message)
    })?;
    new.keep().map_err(|error| target.cannot_write(&error))?;
    Ok(size)
}

/// Where to write.
#[derive(Clone)]
struct Target {
    path: PathBuf,
    /// The command that writes elsewhere.
    again: String,
}

impl Target {
    fn cannot_write(&self, error: &io::Error) -> ErrorRecord {
        let message = format!("cannot write {}: {error}", self.path.display());
        ErrorRecord::new(ErrorKind::Error, message).with_hint(&self.again)
    }
}

/// A file that did not exist before; removed again unless kept.
struct NewFile {
    file: File,
    path: Option<PathBuf>,
}

impl NewFile {
    fn create(target: &Target) -> Result<Self, ErrorRecord> {
        let path = &target.path;
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Self { file, path: Some(path.clone()) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let message = format!("{} exists already", path.display());
                Err(ErrorRecord::new(ErrorKind::Conflict, message).with_hint(&target.again))
            }
            Err(error) => Err(target.cannot_write(&error)),
        }
    }

    fn keep(mut self) -> io::Result<()> {
        home::share(&self.file)?;
        self.file.sync_all()?;
        self.path = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn failed(error: &impl ToString) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Error, error.to_string())
}
