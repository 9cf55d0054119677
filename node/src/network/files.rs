//! Attachments: fetched as blobs of their own, verified while they stream.

use std::sync::Arc;

use mosaic_engine::model::entry::BodyRef;
use mosaic_engine::replica::{Replica, Section};

use super::transfer::{Transfers, Worked};
use crate::blobs::FetchError;
use crate::session::{Fetcher, Tally};

/// Files fetched for one section in one go.
const FILES_MAX: usize = 1024;
/// Reasons told of one go.
const FAILURES_MAX: usize = 8;

/// What one look at the wanted files came to.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Files that came, from this peer and others.
    pub(super) came: u64,
    /// Why others did not.
    pub(super) failures: Vec<String>,
}

impl Pass {
    fn note(&mut self, file: &BodyRef, worked: Result<Worked, FetchError>) {
        match worked {
            Ok(Worked::Came) => self.came += 1,
            Ok(Worked::Idle) => {}
            Err(error) => {
                tracing::info!(%error, hash = %file.hash, "a file did not come");
                // what a peer does not have is no news, and another one may
                if self.failures.len() < FAILURES_MAX && error != FetchError::Absent {
                    let size = file.size;
                    self.failures.push(format!("a file of {size} bytes did not come: {error}"));
                }
            }
        }
    }
}

/// Fetches the files of `sections` that are wanted here from one peer, beside others who do the
/// same; returns when they are here, or the peer has no more of them.
pub(super) async fn fetch_wanted(
    replica: &Arc<Replica>,
    transfers: &Transfers,
    (fetcher, tally): (&Fetcher, &Tally),
    sections: Vec<Section>,
    begun: impl Fn(),
) -> Pass {
    let looking = replica.clone();
    let wanted = tokio::task::spawn_blocking(move || {
        let mut wanted = Vec::new();
        for section in sections {
            let files = looking.missing_files(&section).unwrap_or_default();
            wanted.extend(files.into_iter().take(FILES_MAX));
        }
        wanted.sort_by_key(|file| (file.hash, file.size));
        wanted.dedup();
        wanted
    });
    let (mut pass, mut later) = (Pass::default(), Vec::new());
    for file in wanted.await.unwrap_or_default() {
        let transfer = match transfers.join(file, &begun).await {
            Ok(Some(transfer)) => transfer,
            Ok(None) => continue,
            Err(error) => {
                pass.note(&file, Err(error));
                continue;
            }
        };
        let worked = tokio::select! {
            worked = transfer.work(fetcher, tally, false) => worked,
            // without its session nobody is there to ask for the others either
            () = fetcher.over() => return pass,
        };
        if worked == Ok(Worked::Idle) {
            later.push((file, transfer));
        }
        pass.note(&file, worked);
    }
    for (file, transfer) in later {
        let worked = tokio::select! {
            worked = transfer.work(fetcher, tally, true) => worked,
            () = fetcher.over() => return pass,
        };
        pass.note(&file, worked);
    }
    pass
}
