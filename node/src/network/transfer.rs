//! Files on their way in, each from as many peers at once as have it.
//!
//! ```text
//! session with A ─┐ parts             groups, verified
//! session with B ─┼──────► Segments ──────────────────► a thread that writes ──► store
//! session with C ─┘                    few wait
//! ```
//!
//! Every session works at the files that it may have, so a second peer joins by itself; a peer
//! that fails, lies or is slow costs only what it was asked for, which others then bring.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use mosaic_engine::hash::{BlobHash, DeviceId};
use mosaic_engine::model::entry::BodyRef;
use mosaic_engine::replica::{EngineError, FileIntake, Replica};
use mosaic_engine::store::StoreError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::segments::{PART_BYTES_MAX, PART_BYTES_MIN, Part, Segments};
use crate::blobs::{FetchCaps, FetchError, Sink, Want, fetch_range};
use crate::clock;
use crate::session::{Fetcher, Tally};

/// Groups that wait for the thread that writes: half a mebibyte.
const GROUPS_WAITING: usize = 32;
/// How often somebody with nothing to do looks whether others are slow.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A part that came faster is followed by one of double size.
const FAST_PART: Duration = Duration::from_millis(700);
/// How long the last writer of a file may take to let go of it.
const LET_GO: Duration = Duration::from_millis(50);
const LET_GO_TRIES: u32 = 200;

/// All files on their way in.
#[derive(Debug)]
pub(super) struct Transfers {
    replica: Arc<Replica>,
    running: Mutex<HashMap<(BlobHash, u64), Weak<Transfer>>>,
}

/// One file on its way in.
#[derive(Debug)]
pub(super) struct Transfer {
    file: BodyRef,
    state: Mutex<State>,
    changed: Notify,
    groups: mpsc::Sender<(u64, Bytes)>,
}

#[derive(Debug)]
struct State {
    segments: Segments,
    /// What came of it; an error is of our own store.
    ended: Option<Result<(), String>>,
    /// Bytes that each peer brought.
    sources: BTreeMap<DeviceId, u64>,
    /// Peers that bring something at this moment: one part each, so that little is on its way.
    bringing: BTreeSet<DeviceId>,
}

/// What a session's work at a file came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worked {
    /// The file is here.
    Came,
    /// Others bring what is left.
    Idle,
}

impl Transfers {
    pub(super) fn new(replica: Arc<Replica>) -> Self {
        Self { replica, running: Mutex::default() }
    }

    /// Joins the transfer of a file, or begins it, which `begun` is told; `None` if nothing here
    /// wants the file any more.
    pub(super) async fn join(
        &self,
        file: BodyRef,
        begun: impl Fn(),
    ) -> Result<Option<Arc<Transfer>>, FetchError> {
        for _ in 0..LET_GO_TRIES {
            if let Some(running) = self.running(&file) {
                return Ok(Some(running));
            }
            let replica = self.replica.clone();
            let begin = tokio::task::spawn_blocking(move || replica.begin_file(&file)).await;
            match begin.map_err(|error| FetchError::Stored(error.to_string()))? {
                Ok(Some(intake)) => {
                    begun();
                    return Ok(Some(self.begin(intake)));
                }
                Ok(None) => return Ok(None),
                // somebody else begins, or the one before ends
                Err(EngineError::Store(StoreError::Busy(_))) => sleep(LET_GO).await,
                Err(error) => return Err(FetchError::Stored(error.to_string())),
            }
        }
        Err(FetchError::Stored("it is being stored already".to_owned()))
    }

    fn running(&self, file: &BodyRef) -> Option<Arc<Transfer>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&(file.hash, file.size)).and_then(Weak::upgrade)
    }

    fn begin(&self, intake: FileIntake) -> Arc<Transfer> {
        let (groups, waiting) = mpsc::channel(GROUPS_WAITING);
        let segments = Segments::new(intake.missing());
        let state =
            State { segments, ended: None, sources: BTreeMap::new(), bringing: BTreeSet::new() };
        let (file, state, changed) = (intake.body(), Mutex::new(state), Notify::new());
        let transfer = Arc::new(Transfer { file, state, changed, groups });
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, transfer| transfer.strong_count() > 0);
        running.insert((file.hash, file.size), Arc::downgrade(&transfer));
        let (replica, told) = (self.replica.clone(), Arc::downgrade(&transfer));
        tokio::task::spawn_blocking(move || {
            let ended = write(&replica, intake, waiting);
            if let Some(transfer) = told.upgrade() {
                transfer.end(ended);
            }
        });
        transfer
    }
}

/// Writes what comes until the file is whole or nobody brings any more of it. What came stays for
/// the next time, unless there is no room for it.
fn write(
    replica: &Replica,
    mut intake: FileIntake,
    mut waiting: mpsc::Receiver<(u64, Bytes)>,
) -> Result<(), String> {
    let failed = |error: EngineError| error.to_string();
    while intake.missing_bytes() > 0 {
        let Some((offset, group)) = waiting.blocking_recv() else {
            return intake.checkpoint().map_err(failed);
        };
        if let Err(error) = intake.write(offset, &group) {
            let file = intake.body().hash;
            tracing::warn!(%error, hash = %file, "a file was not stored");
            if let Err(error) = replica.drop_file(intake) {
                tracing::warn!(%error, hash = %file, "what came of a file was not removed");
            }
            return Err(error.to_string());
        }
    }
    replica.finish_file(intake).map_err(failed)
}

impl State {
    /// A part for a peer that brings none yet.
    fn take(&mut self, remote: DeviceId, bytes_max: u64) -> Option<Part> {
        if self.bringing.contains(&remote) {
            return None;
        }
        let part = self.segments.take(bytes_max, clock::instant())?;
        self.bringing.insert(remote);
        Some(part)
    }

    /// Shares out what is slow, for a peer that has nothing to bring.
    fn share(&mut self, remote: DeviceId) {
        if !self.bringing.contains(&remote) {
            self.segments.share(clock::instant());
        }
    }
}

impl Transfer {
    /// Brings parts of the file from one peer for as long as there are some that nobody brings;
    /// with `stay`, until the file is here.
    ///
    /// # Errors
    /// The peer does not have it, or failed; what it did not bring is left to others.
    pub(super) async fn work(
        &self,
        fetcher: &Fetcher,
        tally: &Tally,
        stay: bool,
    ) -> Result<Worked, FetchError> {
        let mut bytes_max = PART_BYTES_MIN;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (part, all_came) = {
                let mut state = self.lock();
                if let Some(ended) = state.ended.clone() {
                    return ended.map(|()| Worked::Came).map_err(FetchError::Stored);
                }
                (state.take(fetcher.remote(), bytes_max), state.segments.is_empty())
            };
            let Some(part) = part else {
                if !all_came && !stay {
                    return Ok(Worked::Idle);
                }
                if timeout(LOOK_EVERY, changed).await.is_err() {
                    self.lock().share(fetcher.remote());
                }
                continue;
            };
            let begun = clock::instant();
            self.bring(part, fetcher, tally).await?;
            if clock::instant().saturating_duration_since(begun) < FAST_PART {
                bytes_max = (bytes_max * 2).min(PART_BYTES_MAX);
            }
        }
    }

    async fn bring(&self, part: Part, fetcher: &Fetcher, tally: &Tally) -> Result<(), FetchError> {
        let gone = || FetchError::Cut("the peer is not connected".to_owned());
        let (range, over) = (part.range.clone(), part.over.clone());
        // whatever ends this gives back what did not come
        let mut bringing = Bringing { transfer: self, part, tally, remote: fetcher.remote() };
        let connection = fetcher.connection().await.ok_or_else(gone)?;
        let want = Want { hash: self.file.hash, size: Some(self.file.size) };
        let bytes = fetch_range(&connection, want, range, caps(&self.file), &mut bringing);
        let fetched = tokio::select! {
            fetched = bytes => fetched,
            () = over.cancelled() => return Err(FetchError::Cut("it was too slow".to_owned())),
        };
        match fetched {
            // as much as was left for it
            Err(FetchError::Enough) => Ok(()),
            fetched => fetched,
        }
    }

    fn end(&self, ended: Result<(), String>) {
        let sources = {
            let mut state = self.lock();
            state.ended = Some(ended.clone());
            state.sources.clone()
        };
        if ended.is_ok() {
            let from: Vec<String> = sources
                .iter()
                .map(|(device, bytes)| format!("{} {bytes}", device.short()))
                .collect();
            tracing::info!(hash = %self.file.hash, size = self.file.size, ?from, "a file came");
        }
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part on its way from one peer.
struct Bringing<'a> {
    transfer: &'a Transfer,
    part: Part,
    tally: &'a Tally,
    remote: DeviceId,
}

impl Sink for Bringing<'_> {
    async fn put(&mut self, offset: u64, group: Bytes) -> Result<(), FetchError> {
        let length = u64::try_from(group.len()).unwrap_or(0);
        self.tally.fetched(length);
        let sent = self.transfer.groups.send((offset, group)).await;
        let mut state = self.transfer.lock();
        let brought = state.sources.entry(self.remote).or_default();
        *brought = brought.saturating_add(length);
        let go_on = state.segments.came(self.part.worker, offset.saturating_add(length));
        match (sent, go_on) {
            (Ok(()), true) => Ok(()),
            // the rest is somebody else's, or there is none; or nobody writes any more
            _ => Err(FetchError::Enough),
        }
    }
}

impl Drop for Bringing<'_> {
    fn drop(&mut self) {
        let mut state = self.transfer.lock();
        state.segments.give_back(self.part.worker);
        state.bringing.remove(&self.remote);
        drop(state);
        self.transfer.changed.notify_waiters();
    }
}

/// Fetches the bytes of one file in order from `offset` on, salt included.
pub(super) async fn stream(
    fetcher: &Fetcher,
    file: &BodyRef,
    offset: u64,
    sink: &mut impl Sink,
) -> Result<(), FetchError> {
    let gone = || FetchError::Cut("the peer is not connected".to_owned());
    let connection = fetcher.connection().await.ok_or_else(gone)?;
    let want = Want { hash: file.hash, size: Some(file.size) };
    fetch_range(&connection, want, offset..file.size, caps(file), sink).await
}

fn caps(file: &BodyRef) -> FetchCaps {
    FetchCaps { blob_bytes_max: file.size, total_bytes_max: file.size, ..FetchCaps::default() }
}
