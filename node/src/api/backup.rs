//! The backup of a store, as a stream of bytes; the one answer that has no records.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;

use super::answer::raw;
use super::stream;
use super::types::{ErrorKind, ErrorRecord, StoreBackup, rfc3339};
use crate::app::App;
use crate::backup;
use crate::clock;
use crate::home::{Home, read_bounded, read_secret};

/// Bytes of a file of the home.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Header of the answer with the number of the last commit that is in it.
pub const COMMIT_HEADER: &str = "mosaic-commit";

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    raw::<StoreBackup, _, _>(router, |app, request| async move {
        let begun = tokio::task::spawn_blocking(move || begin(&app, &request)).await;
        begun.map_err(|error| ErrorRecord::new(ErrorKind::Error, error.to_string()))?
    })
}

fn begin(app: &App, request: &StoreBackup) -> Result<Response, ErrorRecord> {
    let replica = app.replica()?;
    let snapshot = app.disk()?.snapshot()?;
    let commit = snapshot.commit().0;
    let header = backup::header(
        commit,
        &replica.account()?.to_string(),
        &replica.device()?.to_string(),
        rfc3339(clock::now_ms()),
        request.include_keys,
    );
    let mut files = Vec::new();
    let settings = app.settings_file();
    if settings.exists() {
        files.push(("config.toml", read_bounded(&settings, FILE_BYTES_MAX)?));
    }
    if request.include_keys {
        let home = Home::open_or_create(app.home())?;
        files.push(("device.key", read_secret(&home.key_file(), FILE_BYTES_MAX)?));
    }
    let headers =
        [("content-type", "application/zstd".to_owned()), (COMMIT_HEADER, commit.to_string())];
    Ok(stream::answer(headers, "backup", move |to| backup::write(&snapshot, &header, &files, to)))
}
