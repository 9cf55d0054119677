//! Lies over the network: an endpoint of our own on the loopback interface.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::{
    Connection, NetReportConfig, PortmapperConfig, RecvStream, SendStream, presets,
};
use iroh::protocol::Router;
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey};
use mosaic_engine::hash::{BlobHash, DeviceId};
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::sync::Role;
use mosaic_engine::sync::exchange::PackRef;
use mosaic_engine::sync::outcome::Outcome;
use mosaic_engine::wire::{ALPN, FRAME_PREFIX_BYTES, Message, frame_length};
use mosaic_node::blobs::{BLOBS_ALPN, BlobHandler, BlobSource, OpenBlob, ServeLimits};
use mosaic_node::ticket::{Address, NodeTicket};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::hub::Hub;
use super::line::Line;
use super::pump::{HubProtocol, Source};

/// How long to wait for a node that should answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Binds an endpoint with the device's key to the loopback interface.
///
/// # Panics
/// If it does not bind.
pub async fn bind(secret: &DeviceSecret) -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&secret.signing_seed()))
        .alpns(vec![ALPN.to_vec(), BLOBS_ALPN.to_vec()])
        .relay_mode(RelayMode::Disabled)
        .clear_address_lookup()
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(NetReportConfig::minimal())
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .expect("an address of this machine")
        .bind()
        .await
        .expect("an endpoint")
}

/// Where a ticket leads.
///
/// # Panics
/// If its device is no key.
#[must_use]
pub fn address(ticket: &NodeTicket) -> EndpointAddr {
    let id = EndpointId::from_bytes(ticket.device.as_bytes()).expect("a device key");
    ticket.addresses.iter().fold(EndpointAddr::new(id), |to, address| match address {
        Address::Socket(socket) => to.with_ip_addr(*socket),
        Address::Relay(_) => to,
    })
}

/// The ticket of an endpoint.
#[must_use]
pub fn ticket(endpoint: &Endpoint) -> NodeTicket {
    let device = DeviceId::from_bytes(*endpoint.id().as_bytes());
    let addresses = endpoint.bound_sockets().into_iter().map(Address::Socket).collect();
    NodeTicket { device, addresses }
}

#[derive(Debug, Default)]
struct Shelf(Mutex<HashMap<BlobHash, Bytes>>);

impl BlobSource for Shelf {
    fn open(&self, _remote: DeviceId, hash: &BlobHash) -> io::Result<Option<OpenBlob>> {
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(blobs.get(hash).cloned().map(OpenBlob::Memory))
    }

    fn read(&self, _hash: &BlobHash, _offset: u64, _length: usize) -> io::Result<Bytes> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn damaged(&self, _hash: &BlobHash) {}
}

/// A line to a running node.
#[derive(Debug)]
pub struct NetLine {
    runtime: Runtime,
    endpoint: Endpoint,
    to: EndpointAddr,
    shelf: Arc<Shelf>,
    router: Option<Router>,
    session: Option<(Connection, SendStream, RecvStream)>,
}

impl NetLine {
    /// Binds a socket; nothing is sent before [`Line::open`].
    ///
    /// # Panics
    /// If it does not bind.
    #[must_use]
    pub fn new(secret: &DeviceSecret, to: &NodeTicket) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let endpoint = runtime.block_on(bind(secret));
        let shelf = Arc::new(Shelf::default());
        let handler = BlobHandler::new(shelf.clone(), ServeLimits::default());
        let router = runtime.block_on(async {
            Router::builder(endpoint.clone()).accept(BLOBS_ALPN, handler).spawn()
        });
        let to = address(to);
        Self { runtime, endpoint, to, shelf, router: Some(router), session: None }
    }
}

impl Drop for NetLine {
    fn drop(&mut self) {
        self.session = None;
        if let Some(router) = self.router.take() {
            let _ = self.runtime.block_on(router.shutdown());
        }
    }
}

impl Line for NetLine {
    fn open(&mut self) {
        self.session = None;
        let (endpoint, to) = (self.endpoint.clone(), self.to.clone());
        let session = self.runtime.block_on(async move {
            let connection = tokio::time::timeout(PATIENCE, endpoint.connect(to, ALPN)).await;
            let connection = connection.expect("an answer in time").expect("a connection");
            let (send, recv) = connection.open_bi().await.expect("a stream");
            (connection, send, recv)
        });
        self.session = Some(session);
    }

    fn send(&mut self, bytes: &[u8]) {
        let Some((_, send, _)) = &mut self.session else { return };
        if self.runtime.block_on(send.write_all(bytes)).is_err() {
            // What the node said before it closed can still be read.
            let _ = send.finish();
        }
    }

    fn receive(&mut self) -> Option<Message> {
        let (_, _, recv) = self.session.as_mut()?;
        let read = self.runtime.block_on(async {
            let mut prefix = [0; FRAME_PREFIX_BYTES];
            recv.read_exact(&mut prefix).await.ok()?;
            let mut frame = vec![0; frame_length(prefix).ok()?];
            recv.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        });
        let message = read.and_then(|frame| Message::decode(&frame).ok());
        if message.is_none() {
            self.session = None;
        }
        message
    }

    fn serve(&mut self, bytes: Bytes) -> PackRef {
        let (hash, size) = (BlobHash::of(&bytes), bytes.len() as u64);
        let mut blobs = self.shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.clear();
        blobs.insert(hash, bytes);
        PackRef { hash, size }
    }
}

/// A lying hub that listens and dials.
#[derive(Debug)]
pub struct NetHub {
    runtime: Runtime,
    protocol: HubProtocol,
    router: Option<Router>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
}

impl NetHub {
    /// Listens as the device of `secret`.
    ///
    /// # Panics
    /// If it does not bind.
    #[must_use]
    pub fn new(secret: &DeviceSecret, hub: Arc<Hub>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let endpoint = runtime.block_on(bind(secret));
        let (sender, outcomes) = mpsc::unbounded_channel();
        let blobs = BlobHandler::new(Arc::new(Source(hub.clone())), ServeLimits::default());
        let packs = Arc::default();
        let protocol = HubProtocol { hub, outcomes: sender, endpoint: endpoint.clone(), packs };
        let router = runtime.block_on(async {
            Router::builder(endpoint)
                .accept(BLOBS_ALPN, blobs)
                .accept(ALPN, protocol.clone())
                .spawn()
        });
        Self { runtime, protocol, router: Some(router), outcomes }
    }

    /// How to connect to it.
    #[must_use]
    pub fn ticket(&self) -> NodeTicket {
        ticket(&self.protocol.endpoint)
    }

    /// Packs that it was told to fetch so far.
    #[must_use]
    pub fn packs(&self) -> Vec<PackRef> {
        self.protocol.packs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Dials a node and returns what the first round came to; `None` if the session ended
    /// first.
    ///
    /// # Panics
    /// If the node does not answer.
    pub fn meet(&mut self, node: &NodeTicket) -> Option<Outcome> {
        let (protocol, to) = (self.protocol.clone(), address(node));
        while self.outcomes.try_recv().is_ok() {}
        self.runtime.block_on(async {
            let connection = protocol.endpoint.connect(to, ALPN).await.expect("a connection");
            let stream = connection.open_bi().await.expect("a stream");
            let blobs = protocol.connect_blobs(&connection).await;
            let closing = connection.clone();
            let session = tokio::spawn(async move {
                protocol.run(Role::Initiator, connection, stream, blobs).await;
            });
            let outcome = tokio::time::timeout(PATIENCE, self.outcomes.recv()).await;
            closing.close(0u32.into(), b"enough");
            let _ = session.await;
            outcome.ok().flatten()
        })
    }
}

impl Drop for NetHub {
    fn drop(&mut self) {
        if let Some(router) = self.router.take() {
            let _ = self.runtime.block_on(router.shutdown());
        }
    }
}
