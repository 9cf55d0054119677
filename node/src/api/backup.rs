//! The backup of a store, as a stream of bytes; the one answer that has no records.

use std::io::{self, Write};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::answer::raw;
use super::types::{ErrorKind, ErrorRecord, StoreBackup, rfc3339};
use crate::app::App;
use crate::backup;
use crate::clock;
use crate::home::{Home, read_bounded, read_secret};

/// Bytes of one piece of the stream.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for a slow reader.
const PIECES_WAITING: usize = 8;
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
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let to = Pieces { sender: sender.clone(), piece: Vec::with_capacity(PIECE_BYTES) };
        if let Err(error) = backup::write(&snapshot, &header, &files, to) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!(%error, "the backup broke off");
            }
            let _ = sender.blocking_send(Err(error));
        }
    });
    let kind =
        [("content-type", "application/zstd".to_owned()), (COMMIT_HEADER, commit.to_string())];
    Ok((kind, Body::from_stream(ReceiverStream::new(pieces))).into_response())
}

/// Hands pieces over to the answer, and waits while it is full.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(piece.into())).map_err(gone)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES.saturating_sub(self.piece.len()).min(bytes.len());
        self.piece.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if self.piece.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}
