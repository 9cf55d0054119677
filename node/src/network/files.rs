//! Attachments: fetched from a peer as blobs of their own, verified while they stream.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use mosaic_engine::hash::BlobHash;
use mosaic_engine::model::entry::BodyRef;
use mosaic_engine::replica::{Replica, Section};
use tokio::sync::Notify;

use crate::blobs::{FetchCaps, FetchError, Want, fetch_streaming};
use crate::session::{Fetcher, Tally};

/// Files fetched for one section in one go.
const FILES_MAX: usize = 1024;

/// Files that some session is fetching at this moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetching {
    running: Arc<Mutex<HashSet<BlobHash>>>,
    ended: Arc<Notify>,
}

/// Holds a file's place among those being fetched.
struct Place {
    fetching: Fetching,
    hash: BlobHash,
}

impl Fetching {
    fn begin(&self, hash: BlobHash) -> Option<Place> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(hash).then(|| Place { fetching: self.clone(), hash })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.fetching.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.hash);
        drop(running);
        self.fetching.ended.notify_waiters();
    }
}

/// Fetches the files of `sections` that are wanted here, and waits for those that another
/// session fetches at this moment.
pub(super) async fn fetch_all_wanted(
    replica: &Arc<Replica>,
    from: (&Fetcher, &Tally),
    fetching: &Fetching,
    sections: &[Section],
) {
    loop {
        // before the look, so that no end between it and the wait is missed
        let ended = fetching.ended.notified();
        let pass = fetch_wanted(replica, from, fetching, sections.to_vec()).await;
        if !pass.taken {
            return;
        }
        tokio::select! {
            () = ended => {}
            () = from.0.over() => return,
        }
    }
}

/// What one look at the wanted files came to.
pub(super) struct Pass {
    /// Files that came.
    pub(super) came: u64,
    /// Whether another session is fetching one of them.
    taken: bool,
}

/// Fetches the files of `sections` that are wanted here and that no other session is fetching.
pub(super) async fn fetch_wanted(
    replica: &Arc<Replica>,
    (fetcher, tally): (&Fetcher, &Tally),
    fetching: &Fetching,
    sections: Vec<Section>,
) -> Pass {
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
    let mut pass = Pass { came: 0, taken: false };
    for file in wanted.await.unwrap_or_default() {
        let Some(_place) = fetching.begin(file.hash) else {
            pass.taken = true;
            continue;
        };
        let fetched = tokio::select! {
            fetched = fetch_one(replica, fetcher, &file) => fetched,
            // without its session nobody is there to ask for the others either
            () = fetcher.over() => return pass,
        };
        match fetched {
            Ok(true) => {
                pass.came += 1;
                tally.fetched(file.size);
            }
            Ok(false) => {}
            Err(error) => tracing::info!(%error, hash = %file.hash, "a file did not come"),
        }
    }
    pass
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
