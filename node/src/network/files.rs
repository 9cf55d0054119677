//! Attachments: fetched from a peer as blobs of their own, verified while they stream.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use mosaic_engine::hash::BlobHash;
use mosaic_engine::model::entry::BodyRef;
use mosaic_engine::replica::{Replica, Section};

use crate::blobs::{FetchCaps, FetchError, Want, fetch_streaming};
use crate::session::Fetcher;

/// Files fetched for one section in one go.
const FILES_MAX: usize = 1024;

/// Files that some session is fetching at this moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetching(Arc<Mutex<HashSet<BlobHash>>>);

/// Holds a file's place among those being fetched.
struct Place {
    fetching: Fetching,
    hash: BlobHash,
}

impl Fetching {
    fn begin(&self, hash: BlobHash) -> Option<Place> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(hash).then(|| Place { fetching: self.clone(), hash })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.fetching.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.hash);
    }
}

/// Fetches the files of `sections` that are wanted here; returns how many came, and their bytes.
pub(super) async fn fetch_wanted(
    replica: &Arc<Replica>,
    fetcher: &Fetcher,
    fetching: &Fetching,
    sections: Vec<Section>,
) -> (u64, u64) {
    let looking = replica.clone();
    let wanted = tokio::task::spawn_blocking(move || {
        let mut wanted = Vec::new();
        for section in sections {
            let files = looking.missing_files(&section).unwrap_or_default();
            wanted.extend(files.into_iter().take(FILES_MAX));
        }
        wanted.sort_by_key(|file| file.hash);
        wanted.dedup_by_key(|file| file.hash);
        wanted
    });
    let (mut came, mut bytes) = (0, 0u64);
    for file in wanted.await.unwrap_or_default() {
        let Some(_place) = fetching.begin(file.hash) else { continue };
        match fetch_one(replica, fetcher, &file).await {
            Ok(true) => {
                came += 1;
                bytes = bytes.saturating_add(file.size);
            }
            Ok(false) => {}
            Err(error) => tracing::info!(%error, hash = %file.hash, "a file did not come"),
        }
    }
    (came, bytes)
}

async fn fetch_one(
    replica: &Arc<Replica>,
    fetcher: &Fetcher,
    file: &BodyRef,
) -> Result<bool, FetchError> {
    let stored = |error: &dyn std::fmt::Display| FetchError::Cut(error.to_string());
    let (beginning, body) = (replica.clone(), *file);
    let begun = tokio::task::spawn_blocking(move || beginning.begin_file(&body)).await;
    let begun = begun.map_err(|error| stored(&error))?.map_err(|error| stored(&error))?;
    let Some(mut intake) = begun else { return Ok(false) };
    stream(fetcher, file, |bytes| intake.write(bytes).map_err(|error| stored(&error))).await?;
    let ending = replica.clone();
    let ended = tokio::task::spawn_blocking(move || ending.finish_file(intake)).await;
    ended.map_err(|error| stored(&error))?.map_err(|error| stored(&error))?;
    Ok(true)
}

/// Fetches the bytes of one file in order, salt included.
pub(super) async fn stream(
    fetcher: &Fetcher,
    file: &BodyRef,
    mut sink: impl FnMut(&[u8]) -> Result<(), FetchError> + Send,
) -> Result<(), FetchError> {
    let gone = || FetchError::Cut("the peer is not connected".to_owned());
    let connection = fetcher.connection().await.ok_or_else(gone)?;
    let want = Want { hash: file.hash, size: Some(file.size) };
    let caps =
        FetchCaps { blob_bytes_max: file.size, total_bytes_max: file.size, ..FetchCaps::default() };
    fetch_streaming(&connection, want, 0, caps, |_, piece| sink(&piece)).await?;
    Ok(())
}
