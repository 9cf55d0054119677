//! Against the stock implementation at either end, and against liars.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use iroh::endpoint::Connection;
use iroh::protocol::{AcceptError, ProtocolHandler, Router};
use iroh_blobs::api::blobs::Bitfield;
use iroh_blobs::protocol::{
    ChunkRanges, ChunkRangesExt, GetManyRequest, GetRequest, ObserveRequest, PushRequest,
};
use iroh_blobs::store::mem::MemStore;
use iroh_blobs::{BlobsProtocol, Hash};

use super::*;
use crate::endpoint::{Net, NetOptions};

const SIZES: [usize; 9] = [0, 1, 300, 1024, 16_384, 16_385, 70_000, 1_000_000, 5_000_001];

#[derive(Debug, Default)]
struct Held {
    blobs: HashMap<BlobHash, Bytes>,
    private: Vec<BlobHash>,
    damaged: AtomicU64,
    asked: Mutex<Vec<&'static str>>,
}

impl Held {
    fn add(&mut self, bytes: impl Into<Bytes>) -> BlobHash {
        let bytes = bytes.into();
        let hash = BlobHash::of(&bytes);
        self.blobs.insert(hash, bytes);
        hash
    }
}

impl BlobSource for Held {
    fn open(&self, _: DeviceId, hash: &BlobHash) -> io::Result<Option<OpenBlob>> {
        self.asked.lock().unwrap().push("open");
        let found = self.blobs.get(hash).filter(|_| !self.private.contains(hash));
        Ok(found.map(|bytes| match bytes.len() {
            0..500 => OpenBlob::Memory(bytes.clone()),
            size => OpenBlob::Stored(size as u64),
        }))
    }
    fn read(&self, hash: &BlobHash, offset: u64, length: usize) -> io::Result<Bytes> {
        self.asked.lock().unwrap().push("read");
        let start = usize::try_from(offset).unwrap();
        Ok(self.blobs[hash].slice(start..start + length))
    }
    fn groups(
        &self,
        hash: &BlobHash,
        first: u64,
        count: usize,
    ) -> io::Result<Option<Vec<[u8; 32]>>> {
        use blake3::hazmat::HasherExt;
        let bytes = &self.blobs[hash];
        // of every other blob, as if some had lost them
        let at_hand = bytes.len().is_multiple_of(2);
        let groups = bytes.chunks(16_384).enumerate().skip(usize::try_from(first).unwrap());
        let values = groups.take(count.min(100)).map(|(index, group)| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset((index * 16_384) as u64);
            hasher.update(group).finalize_non_root()
        });
        Ok(at_hand.then(|| values.collect()))
    }
    fn damaged(&self, _: &BlobHash) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }
}

fn blob(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|at| ((at / 7 + seed * 31) ^ at).to_le_bytes()[0]).collect()
}

fn iroh_hash(hash: BlobHash) -> Hash {
    Hash::from_bytes(*hash.as_bytes())
}

async fn net(seed: u8) -> Net {
    Net::bind(&[seed; 32], &NetOptions::default(), vec![]).await.unwrap()
}

struct Rig {
    router: Router,
    client: Net,
    ticket: crate::ticket::NodeTicket,
    connection: Connection,
}

async fn rig(handler: impl ProtocolHandler) -> Rig {
    let (server, client) = (net(1).await, net(2).await);
    let router = Router::builder(server.endpoint().clone()).accept(BLOBS_ALPN, handler).spawn();
    let ticket = server.ticket();
    let connection = client.connect(&ticket, BLOBS_ALPN).await.unwrap();
    Rig { router, client, ticket, connection }
}

impl Rig {
    async fn fetch(&self, wants: &[Want]) -> HashMap<BlobHash, Result<Bytes, FetchError>> {
        let mut got = HashMap::new();
        fetch_many(&self.connection, wants, FetchCaps::default(), |hash, result| {
            got.insert(hash, result);
        })
        .await;
        got
    }

    async fn close(self) {
        self.client.close().await;
        self.router.shutdown().await.unwrap();
    }
}

fn wants(hashes: &[BlobHash]) -> Vec<Want> {
    hashes.iter().map(|hash| Want { hash: *hash, size: None }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_reads_from_us() {
    let mut held = Held::default();
    let hashes: Vec<_> = SIZES.iter().map(|size| held.add(blob(*size, *size))).collect();
    let rig = rig(BlobHandler::new(Arc::new(held), ServeLimits::default())).await;
    let stock = MemStore::new();
    for (hash, size) in hashes.iter().zip(SIZES) {
        stock.remote().fetch(rig.connection.clone(), iroh_hash(*hash)).await.unwrap();
        assert_eq!(stock.get_bytes(iroh_hash(*hash)).await.unwrap(), blob(size, size));
    }
    let many = MemStore::new();
    let request: GetManyRequest = hashes.iter().map(|hash| iroh_hash(*hash)).collect();
    many.remote().execute_get_many(rig.connection.clone(), request).await.unwrap();
    for (hash, size) in hashes.iter().zip(SIZES) {
        assert_eq!(many.get_bytes(iroh_hash(*hash)).await.unwrap(), blob(size, size));
    }
    let ranged = MemStore::new();
    let large = iroh_hash(hashes[8]);
    let request = GetRequest::blob_ranges(large, ChunkRanges::bytes(100_000..200_000));
    ranged.remote().execute_get(rig.connection.clone(), request).await.unwrap();
    let part: Bitfield = ranged.observe(large).await.unwrap();
    assert!(!part.is_complete() && part.total_bytes() >= 100_000);
    ranged.remote().fetch(rig.connection.clone(), large).await.unwrap();
    assert_eq!(ranged.get_bytes(large).await.unwrap(), blob(SIZES[8], SIZES[8]));
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn we_read_from_a_stock_provider_and_keep_what_came() {
    let stock = MemStore::new();
    let mut hashes = Vec::new();
    for size in SIZES {
        let tag = stock.add_bytes(blob(size, size)).await.unwrap();
        hashes.push(BlobHash::from_bytes(*tag.hash.as_bytes()));
    }
    let unknown = BlobHash::of(b"nobody has this");
    let rig = rig(BlobsProtocol::new(&stock, None)).await;
    let mut asked = wants(&hashes);
    asked.push(Want { hash: unknown, size: None });
    let got = rig.fetch(&asked).await;
    for (hash, size) in hashes.iter().zip(SIZES) {
        assert_eq!(got[hash].as_deref(), Ok(&blob(size, size)[..]), "{size}");
    }
    assert!(got[&unknown].is_err());
    let (mut pieces, from) = (Vec::new(), 3_000_000);
    let want = Want { hash: hashes[8], size: Some(SIZES[8] as u64) };
    let mut sink = Direct(|offset, piece| {
        pieces.push((offset, piece));
        Ok(())
    });
    let rest = from..SIZES[8] as u64;
    fetch_range(&rig.connection, want, rest, FetchCaps::default(), &mut sink).await.unwrap();
    assert_eq!(pieces[0].0, from & !0x3fff);
    let tail: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.to_vec()).collect();
    assert_eq!(tail, blob(SIZES[8], SIZES[8])[usize::try_from(pieces[0].0).unwrap()..]);
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_small_blobs_arrive_in_few_requests() {
    let mut held = Held::default();
    let hashes: Vec<_> = (0..5_000).map(|n| held.add(blob(300, n))).collect();
    let mut unique = hashes.clone();
    unique.sort();
    unique.dedup();
    let rig = rig(BlobHandler::new(Arc::new(held), ServeLimits::default())).await;
    let mut count = 0;
    let stats = fetch_many(&rig.connection, &wants(&unique), FetchCaps::default(), |_, result| {
        result.unwrap();
        count += 1;
    })
    .await;
    assert_eq!(count, unique.len());
    assert_eq!(stats.requests, unique.len().div_ceil(HASHES_PER_REQUEST_MAX) as u64);
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_private_and_damaged_get_the_same_answer() {
    let mut held = Held::default();
    let private = held.add(blob(300, 1));
    held.private.push(private);
    let open = held.add(blob(300, 2));
    let (small, large) = (held.add(blob(400, 3)), held.add(blob(40_000, 4)));
    held.blobs.insert(small, blob(400, 5).into());
    held.blobs.insert(large, blob(40_000, 5).into());
    let held = Arc::new(held);
    let rig = rig(BlobHandler::new(held.clone(), ServeLimits::default())).await;
    let unknown = BlobHash::of(b"nobody has this");
    let mut answers = Vec::new();
    for hash in [unknown, private, small, large] {
        let request = GetRequest::blob(iroh_hash(hash));
        answers.push(raw(&rig.connection, iroh_blobs::protocol::Request::Get(request)).await);
        let many: GetManyRequest = [iroh_hash(open), iroh_hash(hash)].into_iter().collect();
        let answer = raw(&rig.connection, iroh_blobs::protocol::Request::GetMany(many)).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert!(answers.iter().all(|answer| answer == &Err("reset 1".to_owned())), "{answers:?}");
    assert!(held.damaged.load(Ordering::Relaxed) >= 2);
    let got = rig.fetch(&wants(&[open, private, unknown])).await;
    assert!(got[&open].is_ok() && got[&private] == got[&unknown] && got[&private].is_err());
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_ask_for_more_than_blobs_are_refused() {
    use iroh_blobs::protocol::Request;
    let mut held = Held::default();
    let secret = held.add(blob(300, 1));
    held.private.push(secret);
    let bait = held.add(Bytes::copy_from_slice(secret.as_bytes()));
    let rig = rig(BlobHandler::new(Arc::new(held), ServeLimits::default())).await;
    let many: GetManyRequest =
        (0..=HASHES_PER_REQUEST_MAX).map(|n| Hash::new(n.to_le_bytes())).collect();
    for request in [
        Request::Get(GetRequest::all(iroh_hash(bait))),
        Request::Observe(ObserveRequest::new(iroh_hash(bait))),
        Request::Push(PushRequest::new(
            iroh_hash(bait),
            iroh_blobs::protocol::ChunkRangesSeq::root(),
        )),
        Request::GetMany(many),
        Request::Slot2,
    ] {
        let answer = raw(&rig.connection, request).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert!(rig.fetch(&wants(&[bait])).await[&bait].is_ok());
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blobs_of_a_request_are_opened_one_after_the_other() {
    let mut held = Held::default();
    let hashes: Vec<_> = (0..3).map(|n| held.add(blob(5_000, n))).collect();
    let held = Arc::new(held);
    let rig = rig(BlobHandler::new(held.clone(), ServeLimits::default())).await;
    assert!(rig.fetch(&wants(&hashes)).await.values().all(Result::is_ok));
    let asked = held.asked.lock().unwrap().clone();
    assert!(asked.windows(2).all(|pair| pair != ["open", "open"]), "{asked:?}");
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_gives_way_to_who_waits() {
    let mut held = Held::default();
    // more than the transport takes from us without anybody reading
    let (large, small) = (held.add(vec![7; 48 << 20]), held.add(blob(300, 2)));
    let limits = ServeLimits {
        requests_of_strangers_max: 1,
        stall_timeout: std::time::Duration::from_secs(600),
        least_bytes_per_s: u64::MAX,
        ..ServeLimits::default()
    };
    let handler = BlobHandler::new(Arc::new(held), limits);
    let rig = rig(handler.clone()).await;
    let (mut send, mut recv) = rig.connection.open_bi().await.unwrap();
    let request = iroh_blobs::protocol::Request::Get(GetRequest::blob(iroh_hash(large)));
    send.write_all(&postcard::to_stdvec(&request).unwrap()).await.unwrap();
    send.finish().unwrap();
    recv.read_exact(&mut [0; 8]).await.unwrap();
    let other = net(3).await;
    let connection = other.connect(&rig.ticket, BLOBS_ALPN).await.unwrap();
    let waiting = tokio::spawn(async move {
        let mut got = None;
        let caps = FetchCaps { stall_timeout: limits.stall_timeout, ..FetchCaps::default() };
        fetch_many(&connection, &wants(&[small]), caps, |_, result| got = Some(result)).await;
        got
    });
    while handler.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let rest = recv.read_to_end(64 << 20).await;
    assert!(rest.is_err(), "the answer is cut off");
    assert!(waiting.await.unwrap().unwrap().is_ok());
    other.close().await;
    rig.close().await;
}

async fn raw(
    connection: &Connection,
    request: iroh_blobs::protocol::Request,
) -> Result<Vec<u8>, String> {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    let _ = send.write_all(&postcard::to_stdvec(&request).unwrap()).await;
    let _ = send.finish();
    recv.read_to_end(1 << 20).await.map_err(|error| match error {
        iroh::endpoint::ReadToEndError::Read(iroh::endpoint::ReadError::Reset(code)) => {
            format!("reset {code}")
        }
        other => other.to_string(),
    })
}

/// Answers every request with the same bytes.
#[derive(Clone, Debug)]
struct Liar(Vec<u8>);

impl ProtocolHandler for Liar {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        while let Ok((mut send, mut recv)) = connection.accept_bi().await {
            let _ = recv.read_to_end(1 << 20).await;
            let _ = send.write_all(&self.0).await;
            let _ = send.finish();
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_provider_is_refused() {
    let good = blob(300, 1);
    let (small, large) = (BlobHash::of(&good), BlobHash::of(&blob(100_000, 2)));
    let framed = |size: u64, bytes: &[u8]| [&size.to_le_bytes()[..], bytes].concat();
    let cases = [
        ("wrong bytes", small, framed(300, &[9; 300])),
        ("truncated", small, framed(300, &good[..100])),
        ("nothing", small, Vec::new()),
        ("another size", small, framed(301, &[&good[..], &[0]].concat())),
        ("size 0", small, framed(0, &[])),
        ("half of all numbers", large, framed(u64::MAX / 2, &[9; 100_000])),
        ("the largest number", large, framed(u64::MAX, &[9; 100_000])),
        ("over the cap", large, framed(17 << 20, &[9; 64])),
        ("wrong hash pairs", large, framed(100_000, &[9; 100_000])),
    ];
    for (name, hash, bytes) in cases {
        let rig = rig(Liar(bytes)).await;
        let alone = rig.fetch(&wants(&[hash])).await;
        assert!(alone[&hash].is_err(), "{name}: {alone:?}");
        let together = rig.fetch(&wants(&[hash, BlobHash::of(name.as_bytes())])).await;
        assert!(together.values().all(Result::is_err), "{name}: {together:?}");
        rig.close().await;
    }
}
