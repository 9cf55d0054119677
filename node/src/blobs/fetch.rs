//! Fetches blobs from one remote, verified while they stream.

use std::ops::Range;
use std::time::Duration;

use bao_tree::io::BaoContentItem;
use bytes::Bytes;
use iroh::endpoint::Connection;
use iroh_blobs::Hash;
use iroh_blobs::get::fsm::{
    self, AtBlobHeader, AtEndBlob, BlobContentNext, ConnectedNext, EndBlobNext,
};
use iroh_blobs::protocol::{ChunkRanges, ChunkRangesExt, GetManyRequest, GetRequest};
use mosaic_engine::hash::BlobHash;
use tokio::time::timeout;

use super::HASHES_PER_REQUEST_MAX;

/// Bytes that are verified as one.
const PIECE_BYTES: u64 = mosaic_engine::store::GROUP_BYTES as u64;
/// Bytes reserved before any of them has arrived.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

/// A blob to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Its hash.
    pub hash: BlobHash,
    /// Its size, if somebody said it; another size is refused before a byte of it is read.
    pub size: Option<u64>,
}

/// What a fetch may cost.
#[derive(Clone, Copy, Debug)]
pub struct FetchCaps {
    /// Bytes of one blob.
    pub blob_bytes_max: u64,
    /// Bytes of all blobs of the call together.
    pub total_bytes_max: u64,
    /// How long the remote may send nothing.
    pub stall_timeout: Duration,
}

impl Default for FetchCaps {
    fn default() -> Self {
        Self {
            blob_bytes_max: 16 * 1024 * 1024,
            total_bytes_max: 256 * 1024 * 1024,
            stall_timeout: Duration::from_secs(30),
        }
    }
}

/// What a fetch did cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchStats {
    /// Requests made.
    pub requests: u64,
    /// Bytes of blobs received and verified.
    pub payload_bytes: u64,
    /// All bytes read: blobs, sizes and hash pairs.
    pub read_bytes: u64,
    /// Bytes of requests.
    pub request_bytes: u64,
}

/// Why a blob did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The remote refuses it or does not have it; the two cannot be told apart.
    #[error("the peer does not serve it")]
    Absent,
    /// It is larger than allowed, or not of the size that was said.
    #[error("it has {found} bytes, expected {expected}")]
    Size {
        /// The size that the remote claims.
        found: u64,
        /// The largest, or the only, size accepted.
        expected: u64,
    },
    /// The bytes are not those the hash names.
    #[error("its bytes do not have its hash")]
    Wrong,
    /// The remote stopped sending, or the connection ended.
    #[error("the transfer was cut off: {0}")]
    Cut(String),
    /// What came could not be stored here.
    #[error("it was not stored: {0}")]
    Stored(String),
    /// Whoever takes the bytes wants no more.
    #[error("no more of it is wanted")]
    Enough,
}

/// Takes the verified bytes of a blob.
pub trait Sink: Send {
    /// Takes a piece: 16 KiB, or less at the end of the blob.
    fn put(
        &mut self,
        offset: u64,
        piece: Bytes,
    ) -> impl Future<Output = Result<(), FetchError>> + Send;
}

/// A sink that waits for nothing.
#[derive(Debug)]
pub struct Direct<F>(pub F);

impl<F: FnMut(u64, Bytes) -> Result<(), FetchError> + Send> Sink for Direct<F> {
    async fn put(&mut self, offset: u64, piece: Bytes) -> Result<(), FetchError> {
        (self.0)(offset, piece)
    }
}

/// Fetches whole blobs into memory and gives each to `sink` as it is complete. Blobs that a
/// common request could not bring are asked for one by one.
pub async fn fetch_many(
    connection: &Connection,
    wants: &[Want],
    caps: FetchCaps,
    mut sink: impl FnMut(BlobHash, Result<Bytes, FetchError>) + Send,
) -> FetchStats {
    let mut fetch =
        Fetch { connection, caps, left: caps.total_bytes_max, stats: FetchStats::default() };
    for group in wants.chunks(HASHES_PER_REQUEST_MAX) {
        let mut group = group.to_vec();
        group.sort_unstable_by_key(|want| want.hash);
        group.dedup_by_key(|want| want.hash);
        let missing = match group.as_slice() {
            [_] => group,
            _ => fetch.group(group, &mut sink).await,
        };
        for want in missing {
            let fetched = fetch.single(want).await;
            sink(want.hash, fetched);
        }
    }
    fetch.stats
}

/// Fetches a byte range of one blob of any size, giving verified pieces in order to `sink`. The
/// range grows to whole pieces of 16 KiB.
///
/// # Errors
/// As [`FetchError`]; pieces given before an error are right and can be kept.
pub async fn fetch_range(
    connection: &Connection,
    want: Want,
    range: Range<u64>,
    caps: FetchCaps,
    sink: &mut impl Sink,
) -> Result<(), FetchError> {
    let mut fetch =
        Fetch { connection, caps, left: caps.total_bytes_max, stats: FetchStats::default() };
    let start = range.start / PIECE_BYTES * PIECE_BYTES;
    let end = range.end.div_ceil(PIECE_BYTES).saturating_mul(PIECE_BYTES);
    let chunks = ChunkRanges::bytes(start..end);
    let request = GetRequest::blob_ranges(iroh_hash(want.hash), chunks);
    let header = fetch.start(request).await?;
    fetch.content(header, want, sink).await?;
    Ok(())
}

struct Fetch<'a> {
    connection: &'a Connection,
    caps: FetchCaps,
    left: u64,
    stats: FetchStats,
}

impl Fetch<'_> {
    /// Makes one request for all and returns what it did not settle.
    async fn group(
        &mut self,
        wants: Vec<Want>,
        sink: &mut (impl FnMut(BlobHash, Result<Bytes, FetchError>) + Send),
    ) -> Vec<Want> {
        let mut done = 0;
        let request: GetManyRequest = wants.iter().map(|want| iroh_hash(want.hash)).collect();
        self.stats.requests += 1;
        self.stats.request_bytes += 8 + 32 * u64::try_from(wants.len()).unwrap_or(0);
        let started = fsm::start_get_many(self.connection.clone(), request, Default::default());
        let Ok(Ok(Ok(mut next))) = timeout(self.caps.stall_timeout, started).await else {
            return wants;
        };
        while let Some(want) = wants.get(done) {
            let header = next.next(iroh_hash(want.hash));
            let Ok((end, bytes)) = self.whole(header, *want).await else { break };
            done += 1;
            sink(want.hash, Ok(bytes));
            match end.next() {
                EndBlobNext::MoreChildren(more) => next = more,
                EndBlobNext::Closing(_) => break,
            }
        }
        wants.get(done..).unwrap_or_default().to_vec()
    }

    async fn single(&mut self, want: Want) -> Result<Bytes, FetchError> {
        let header = self.start(GetRequest::blob(iroh_hash(want.hash))).await?;
        self.whole(header, want).await.map(|(_, bytes)| bytes)
    }

    async fn start(&mut self, request: GetRequest) -> Result<AtBlobHeader, FetchError> {
        self.stats.requests += 1;
        self.stats.request_bytes += 40;
        let initial = fsm::start(self.connection.clone(), request, Default::default());
        let stall = self.caps.stall_timeout;
        let opened = timeout(stall, initial.next()).await.map_err(|_| stalled())?;
        let connected = opened.map_err(|error| FetchError::Cut(error.to_string()))?;
        let started = timeout(stall, connected.next()).await.map_err(|_| stalled())?;
        match started.map_err(|error| FetchError::Cut(error.to_string()))? {
            ConnectedNext::StartRoot(root) => Ok(root.next()),
            ConnectedNext::StartChild(_) | ConnectedNext::Closing(_) => Err(FetchError::Absent),
        }
    }

    async fn whole(
        &mut self,
        header: AtBlobHeader,
        want: Want,
    ) -> Result<(AtEndBlob, Bytes), FetchError> {
        let reserve = want.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(reserve.min(RESERVE_BYTES_MAX));
        let mut gather = Direct(|_, piece: Bytes| {
            bytes.extend_from_slice(&piece);
            Ok(())
        });
        let (end, _) = self.content(header, want, &mut gather).await?;
        Ok((end, bytes.into()))
    }

    async fn content(
        &mut self,
        header: AtBlobHeader,
        want: Want,
        sink: &mut impl Sink,
    ) -> Result<(AtEndBlob, u64), FetchError> {
        let stall = self.caps.stall_timeout;
        let read = timeout(stall, header.next()).await.map_err(|_| stalled())?;
        let (mut content, size) = read.map_err(|_| FetchError::Absent)?;
        let allowed = self.caps.blob_bytes_max.min(self.left);
        match want.size {
            Some(expected) if expected != size => {
                return Err(FetchError::Size { found: size, expected });
            }
            _ if size > allowed => return Err(FetchError::Size { found: size, expected: allowed }),
            _ => self.left -= size,
        }
        self.stats.read_bytes += 8;
        loop {
            match timeout(stall, content.next()).await.map_err(|_| stalled())? {
                BlobContentNext::Done(end) => return Ok((end, size)),
                BlobContentNext::More((more, item)) => {
                    content = more;
                    match item.map_err(|error| decode_error(&error))? {
                        BaoContentItem::Parent(_) => self.stats.read_bytes += 64,
                        BaoContentItem::Leaf(leaf) => {
                            let length = u64::try_from(leaf.data.len()).unwrap_or(0);
                            self.stats.read_bytes += length;
                            self.stats.payload_bytes += length;
                            sink.put(leaf.offset, leaf.data).await?;
                        }
                    }
                }
            }
        }
    }
}

fn decode_error(error: &fsm::DecodeError) -> FetchError {
    match error {
        fsm::DecodeError::ParentHashMismatch { .. } | fsm::DecodeError::LeafHashMismatch { .. } => {
            FetchError::Wrong
        }
        other => FetchError::Cut(other.to_string()),
    }
}

fn stalled() -> FetchError {
    FetchError::Cut("the peer sends nothing".to_owned())
}

fn iroh_hash(hash: BlobHash) -> Hash {
    Hash::from_bytes(*hash.as_bytes())
}
