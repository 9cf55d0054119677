//! Answers requests for blobs.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bao_tree::io::EncodeError;
use bao_tree::io::sync::{ReadAt, encode_ranges_validated};
use bytes::{Bytes, BytesMut};
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use iroh::protocol::{AcceptError, ProtocolHandler};
use iroh_blobs::protocol::{
    ChunkRanges, ERR_INTERNAL, ERR_LIMIT, ERR_PERMISSION, GetManyRequest, GetRequest,
};
use mosaic_engine::hash::{BlobHash, DeviceId};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::outboard::{Outboards, Reader};
use super::{BlobSource, HASHES_PER_REQUEST_MAX, OpenBlob, WRITE_BYTES};
use crate::clock;
use crate::places::{Place, PlaceLimits, Places};
use crate::session::FileCounts;
use crate::standing::Standing;

/// Bytes of the ranges of a request: some hundred ranges, cheap to read.
const RANGES_BYTES_MAX: usize = 1024;
/// Bytes of a whole request.
const REQUEST_BYTES_MAX: usize = 8 + HASHES_PER_REQUEST_MAX * 32 + RANGES_BYTES_MAX;
/// Pieces of [`WRITE_BYTES`] that wait between the reading thread and the network.
const PIECES_WAITING: usize = 4;

/// Remotes of which files are counted; beyond it those that are away are forgotten.
const COUNTED_MAX: usize = 4096;

/// Bytes that the transport takes before the remote has to read, with room to spare.
const TRANSPORT_BYTES: u64 = 16 * 1024 * 1024;

const TYPE_GET: u8 = 0;
const TYPE_GET_MANY: u8 = 9;

/// How much a handler does at once and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Requests of devices of kept accounts answered at once; each holds a thread.
    pub requests_max: usize,
    /// Requests of all others answered at once.
    pub requests_of_strangers_max: usize,
    /// Requests of one remote answered at once, over all its connections.
    pub requests_per_remote_max: usize,
    /// Requests answered at once on one connection.
    pub requests_per_connection_max: usize,
    /// How long a whole request may take to arrive.
    pub request_timeout: Duration,
    /// How long a remote may go without reading, and how long a request may wait for its turn.
    pub stall_timeout: Duration,
    /// Bytes a second that a remote has to read, over the whole answer, while others wait.
    pub least_bytes_per_s: u64,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            requests_max: 64,
            requests_of_strangers_max: 32,
            requests_per_remote_max: 16,
            requests_per_connection_max: 8,
            request_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            least_bytes_per_s: 16 * 1024,
        }
    }
}

impl ServeLimits {
    const fn places(&self) -> PlaceLimits {
        PlaceLimits {
            own: self.requests_max,
            kept: self.requests_max,
            strangers: self.requests_of_strangers_max,
            each: self.requests_per_remote_max,
        }
    }
}

/// The handler for [`super::BLOBS_ALPN`]. Clones share counters and limits.
#[derive(Clone, Debug)]
pub struct BlobHandler {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Arc<dyn BlobSource>,
    limits: ServeLimits,
    running: Places,
    /// Requests that wait for a place.
    waiting: AtomicUsize,
    outboards: Outboards,
    bytes_sent: AtomicU64,
    /// Bytes of stored blobs that moved between this node and each remote.
    files: Mutex<HashMap<DeviceId, Arc<FileCounts>>>,
    refused: AtomicU64,
}

impl BlobHandler {
    /// Serves what `source` allows.
    #[must_use]
    pub fn new(source: Arc<dyn BlobSource>, limits: ServeLimits) -> Self {
        let (running, waiting) = (Places::new(limits.places()), AtomicUsize::new(0));
        let outboards = Outboards::default();
        let (bytes_sent, files, refused) = (AtomicU64::new(0), Mutex::default(), AtomicU64::new(0));
        let shared =
            Shared { source, limits, running, waiting, outboards, bytes_sent, files, refused };
        Self { shared: Arc::new(shared) }
    }

    /// Bytes written to all remotes so far.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.shared.bytes_sent.load(Ordering::Relaxed)
    }

    /// Bytes of stored blobs that moved between this node and `remote` since the start; counts on
    /// while it is held. Of remotes that nobody asks about nothing is counted.
    #[must_use]
    pub(crate) fn files(&self, remote: &DeviceId) -> Arc<FileCounts> {
        let mut files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= COUNTED_MAX {
            files.retain(|_, counts| Arc::strong_count(counts) > 1);
        }
        files.entry(*remote).or_default().clone()
    }

    /// Whether anything is being served to `remote` at this moment.
    #[must_use]
    pub fn is_busy(&self, remote: &DeviceId) -> bool {
        self.shared.running.holds(remote)
    }

    /// Requests that wait for a place at this moment.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Requests refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl ProtocolHandler for BlobHandler {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let remote = DeviceId::from_bytes(*connection.remote_id().as_bytes());
        let own = Arc::new(Semaphore::new(self.shared.limits.requests_per_connection_max));
        loop {
            let Ok(permit) = own.clone().acquire_owned().await else { break };
            let Ok((send, recv)) = connection.accept_bi().await else { break };
            let shared = self.shared.clone();
            tokio::spawn(async move {
                shared.answer(remote, send, recv).await;
                drop(permit);
            });
        }
        Ok(())
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, remote: DeviceId, mut send: SendStream, mut recv: RecvStream) {
        let read = timeout(self.limits.request_timeout, recv.read_to_end(REQUEST_BYTES_MAX)).await;
        let Ok(Ok(request)) = read else {
            self.refuse(&mut send, &mut recv, ERR_LIMIT);
            return;
        };
        let Some(place) = self.place(remote).await else {
            return self.refuse(&mut send, &mut recv, ERR_LIMIT);
        };
        let (pieces, mut waiting) = mpsc::channel(PIECES_WAITING);
        let shared = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let refusal = shared.produce(remote, &request, &pieces);
            drop(place);
            refusal
        });
        let (start, mut written) = (clock::instant(), 0u64);
        while let Some(piece) = waiting.recv().await {
            let length = u64::try_from(Bytes::len(&piece)).unwrap_or(0);
            match timeout(self.limits.stall_timeout, send.write_chunk(piece)).await {
                Ok(Ok(())) => self.bytes_sent.fetch_add(length, Ordering::Relaxed),
                Ok(Err(_)) => break,
                Err(_) => return self.refuse(&mut send, &mut recv, ERR_LIMIT),
            };
            written = written.saturating_add(length);
            if self.is_too_slow(written, start) {
                return self.refuse(&mut send, &mut recv, ERR_LIMIT);
            }
        }
        drop(waiting);
        match reading.await {
            Ok(Ok(())) => {
                let _ = send.finish();
            }
            Ok(Err(code)) => self.refuse(&mut send, &mut recv, code),
            Err(_) => self.refuse(&mut send, &mut recv, ERR_INTERNAL),
        }
    }

    /// Waits for a place among the requests answered at once.
    async fn place(self: &Arc<Self>, remote: DeviceId) -> Option<Place> {
        let shared = self.clone();
        let known = tokio::task::spawn_blocking(move || shared.source.knows(remote)).await.ok()?;
        let standing = if known { Standing::Kept } else { Standing::Stranger };
        if let Some(place) = self.running.enter(standing, remote) {
            return Some(place);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let entering = async {
            loop {
                let left = self.running.left();
                if let Some(place) = self.running.enter(standing, remote) {
                    return place;
                }
                left.await;
            }
        };
        let place = timeout(self.limits.stall_timeout, entering).await.ok();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        place
    }

    /// Whether somebody waits for the place of a remote that reads as slowly as this.
    fn is_too_slow(&self, written: u64, start: Instant) -> bool {
        let least = self.limits.least_bytes_per_s.saturating_mul(clock::elapsed_ms(start)) / 1000;
        // what the transport holds back counts as read
        let read = written.saturating_add(TRANSPORT_BYTES);
        self.waiting.load(Ordering::Relaxed) > 0 && read < least
    }

    fn refuse(&self, send: &mut SendStream, recv: &mut RecvStream, code: VarInt) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let _ = recv.stop(code);
        let _ = send.reset(code);
    }

    /// Reads and encodes everything asked for; the error is the code to refuse with.
    fn produce(
        &self,
        remote: DeviceId,
        request: &[u8],
        pieces: &mpsc::Sender<Bytes>,
    ) -> Result<(), VarInt> {
        let wanted = parse(request)?;
        let mut out = Pieces { gathered: BytesMut::new(), pieces };
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(&remote).cloned();
        // one after the other: a thousand of them opened at once would be as many in memory
        for (hash, ranges) in wanted {
            let blob = self.readable(remote, hash)?;
            let files = files.as_deref().filter(|_| matches!(blob.open, OpenBlob::Stored(_)));
            self.encode(&Counting { blob, files }, &ranges, &mut out)?;
        }
        out.send().map_err(|_| ERR_INTERNAL)
    }

    /// Unknown, forbidden and unreadable: one answer.
    fn readable(&self, remote: DeviceId, hash: BlobHash) -> Result<Reader<'_>, VarInt> {
        let open = self.source.open(remote, &hash).ok().flatten().ok_or(ERR_PERMISSION)?;
        Ok(Reader { source: &*self.source, hash, open })
    }

    fn encode(
        &self,
        counting: &Counting<'_>,
        ranges: &ChunkRanges,
        out: &mut Pieces<'_>,
    ) -> Result<(), VarInt> {
        let blob = &counting.blob;
        let Some(outboard) = self.outboards.pairs(blob).map_err(|_| ERR_PERMISSION)? else {
            self.source.damaged(&blob.hash);
            return Err(ERR_PERMISSION);
        };
        io::Write::write_all(out, &blob.size().to_le_bytes()).map_err(|_| ERR_INTERNAL)?;
        encode_ranges_validated(counting, outboard, ranges, &mut *out).map_err(|error| {
            if matches!(
                error,
                EncodeError::LeafHashMismatch(_) | EncodeError::ParentHashMismatch(_)
            ) {
                self.source.damaged(&blob.hash);
            }
            ERR_PERMISSION
        })
    }
}

/// Counts the bytes of a blob that go out.
struct Counting<'a> {
    blob: Reader<'a>,
    files: Option<&'a FileCounts>,
}

impl ReadAt for Counting<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.blob.read_at(offset, buffer)?;
        if let Some(files) = self.files {
            files.gave(u64::try_from(read).unwrap_or(0));
        }
        Ok(read)
    }
}

/// Gathers what `bao_tree` writes into pieces that the transport bears.
struct Pieces<'a> {
    gathered: BytesMut,
    pieces: &'a mpsc::Sender<Bytes>,
}

impl Pieces<'_> {
    fn send(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = self.gathered.split().freeze();
        self.pieces.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl io::Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= WRITE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a request into hashes and ranges, and refuses every kind but plain blobs.
fn parse(request: &[u8]) -> Result<Vec<(BlobHash, ChunkRanges)>, VarInt> {
    let (kind, body) = request.split_first().ok_or(ERR_PERMISSION)?;
    match *kind {
        TYPE_GET if body.len() <= 32 + RANGES_BYTES_MAX => {
            let get: GetRequest = postcard::from_bytes(body).map_err(|_| ERR_PERMISSION)?;
            // children of a root would be hashes read out of its bytes
            match get.ranges.as_single() {
                Some((0, ranges)) => Ok(vec![(hash(get.hash), ranges.clone())]),
                Some(_) | None => Err(ERR_PERMISSION),
            }
        }
        TYPE_GET_MANY if ranges_bytes(body).is_some_and(|bytes| bytes <= RANGES_BYTES_MAX) => {
            let many: GetManyRequest = postcard::from_bytes(body).map_err(|_| ERR_PERMISSION)?;
            let ranges = many.ranges.iter_infinite().cloned();
            let wanted = many.hashes.iter().map(|of| hash(*of)).zip(ranges);
            Ok(wanted.filter(|(_, ranges)| !ranges.is_empty()).collect())
        }
        TYPE_GET | TYPE_GET_MANY => Err(ERR_LIMIT),
        _ => Err(ERR_PERMISSION),
    }
}

/// How many bytes of a `GetMany` follow its hashes; `None` if it names too many.
fn ranges_bytes(body: &[u8]) -> Option<usize> {
    let (count, rest) = postcard::take_from_bytes::<usize>(body).ok()?;
    if count > HASHES_PER_REQUEST_MAX {
        return None;
    }
    rest.len().checked_sub(count.checked_mul(32)?)
}

fn hash(of: iroh_blobs::Hash) -> BlobHash {
    BlobHash::from_bytes(*of.as_bytes())
}
