//! Many small changes from store to store over loopback: ours in packs, and stock iroh-blobs
//! by GetMany, a blob a change.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use iroh::endpoint::{Connection, NetReportConfig, PortmapperConfig, presets};
use iroh::protocol::{ProtocolHandler, Router};
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey};
use iroh_blobs::protocol::GetManyRequest;
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::{BlobsProtocol, Hash};
use mosaic_engine::hash::{AccountId, BlobHash, DeviceId};
use mosaic_engine::replica::Replica;
use mosaic_node::blobs::{
    BLOBS_ALPN, BlobHandler, BlobSource, FetchCaps, OpenBlob, ServeLimits, Want, fetch_many,
};
use tokio::runtime::Runtime;

use crate::disk_store;
use crate::measure::{cpu_ns, wall_ns};
use crate::meeting::Meeting;
use crate::workload::{Seeded, hub};

/// Hashes of one request, as many as ours asks for at most.
const HASHES: usize = 1_000;

/// What moving all changes took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Processor time of both ends, in nanoseconds.
    pub cpu_ns: u64,
    /// Time on the clock.
    pub wall_ns: u64,
    /// Connections that were lost on the way.
    pub lost: u64,
}

/// Two endpoints on loopback, the first of which serves.
struct Rig {
    runtime: Runtime,
    router: Router,
    client: Endpoint,
    connection: Connection,
}

impl Rig {
    fn new(runtime: Runtime, handler: impl ProtocolHandler) -> Self {
        let (router, client, connection) = runtime.block_on(async {
            let (server, client) = (bind(1).await, bind(2).await);
            let router = Router::builder(server.clone()).accept(BLOBS_ALPN, handler).spawn();
            let address = server
                .bound_sockets()
                .into_iter()
                .fold(EndpointAddr::new(server.id()), EndpointAddr::with_ip_addr);
            let connection = client.connect(address, BLOBS_ALPN).await;
            (router, client, connection.expect("a connection"))
        });
        Self { runtime, router, client, connection }
    }

    fn close(self) {
        self.runtime.block_on(async {
            self.client.close().await;
            self.router.shutdown().await.expect("a closed router");
        });
    }
}

/// Binds an endpoint to the loopback interface.
async fn bind(seed: u8) -> Endpoint {
    let endpoint = Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&[seed; 32]))
        .alpns(vec![BLOBS_ALPN.to_vec()])
        .relay_mode(RelayMode::Disabled)
        .clear_address_lookup()
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(NetReportConfig::minimal())
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .expect("an address of this machine");
    endpoint.bind().await.expect("an endpoint")
}

#[derive(Debug)]
struct Served(Arc<Replica>);

impl BlobSource for Served {
    fn open(&self, remote: DeviceId, hash: &BlobHash) -> io::Result<Option<OpenBlob>> {
        let found = self.0.blob_for(&remote, hash).map_err(io::Error::other)?;
        Ok(found.map(OpenBlob::Memory))
    }

    fn read(&self, _: &BlobHash, _: u64, _: usize) -> io::Result<Bytes> {
        Err(io::Error::other("all blobs are in memory"))
    }

    fn damaged(&self, hash: &BlobHash) {
        panic!("{hash} is damaged");
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// Moves everything of some accounts from a replica on disk to an empty one on disk: frames in
/// this process, packs by our blob handler over loopback.
///
/// # Panics
/// If a replica or the network fails.
#[must_use]
pub fn carry(source: &Arc<Replica>, accounts: &[AccountId], folder: &Path, seed: u64) -> Carried {
    let handler = BlobHandler::new(Arc::new(Served(Arc::clone(source))), ServeLimits::default());
    let rig = Rig::new(runtime(), handler);
    let reader = hub::node(disk_store(folder), seed);
    hub::keep(&reader, accounts);
    let lost = std::cell::Cell::new(0);
    let (spent, begun) = (cpu_ns(), wall_ns());
    let mut meeting = Meeting::new([&reader, source], 11);
    meeting.fetch_by(Box::new(|hash, size| {
        let mut got = None;
        let wants = [Want { hash: *hash, size: Some(size) }];
        let fetched = fetch_many(&rig.connection, &wants, FetchCaps::default(), |_, result| {
            got = result.ok();
        });
        rig.runtime.block_on(fetched);
        lost.set(lost.get() + u64::from(got.is_none()));
        got
    }));
    let met = meeting.rest();
    assert!(met.equal, "{met:?}");
    drop(meeting);
    reader.close().expect("a closed replica");
    let carried =
        Carried { cpu_ns: cpu_ns() - spent, wall_ns: wall_ns() - begun, lost: lost.get() };
    rig.close();
    carried
}

/// Moves `count` blobs of `bytes` bytes from one stock store on disk to another.
///
/// # Panics
/// If a store or the network fails.
#[must_use]
pub fn stock(count: u64, bytes: usize, folder: &Path, seed: u64) -> Carried {
    let runtime = runtime();
    let (from, to) = (folder.join("from"), folder.join("to"));
    let (source, hashes, _tags) = runtime.block_on(async {
        let store = FsStore::load(&from).await.expect("a store");
        let mut seeded = Seeded::new(seed);
        let batch = store.blobs().batch().await.expect("a batch");
        let (mut hashes, mut tags): (Vec<Hash>, Vec<_>) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let blob: Vec<u8> = (0..bytes).map(|_| seeded.next() as u8).collect();
            let tag = batch.add_bytes(blob).temp_tag().await.expect("a blob");
            hashes.push(tag.hash());
            tags.push(tag);
        }
        drop(batch);
        (store, hashes, tags)
    });
    let rig = Rig::new(runtime, BlobsProtocol::new(&source, None));
    let carried = rig.runtime.block_on(async {
        let store = FsStore::load(&to).await.expect("a store");
        let (spent, begun) = (cpu_ns(), wall_ns());
        let mut lost = 0;
        for some in hashes.chunks(HASHES) {
            let request: GetManyRequest = some.iter().copied().collect();
            let done = store.remote().execute_get_many(rig.connection.clone(), request);
            lost += u64::from(done.complete().await.is_err());
        }
        store.sync_db().await.expect("a synced store");
        let carried = Carried { cpu_ns: cpu_ns() - spent, wall_ns: wall_ns() - begun, lost };
        store.shutdown().await.expect("a closed store");
        carried
    });
    rig.close();
    carried
}
