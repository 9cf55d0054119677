//! The network of one home: who is met, who is served, who is dialled.

mod dialling;
mod files;
mod growth;
mod segments;
mod sessions;
mod transfer;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::Connection;
use iroh::protocol::{AcceptError, ProtocolHandler, Router};
use mosaic_engine::entropy::Entropy;
use mosaic_engine::hash::DeviceId;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::Replica;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::types::ErrorRecord;
use crate::blobs::{BLOBS_ALPN, BlobHandler, ServeLimits};
use crate::clock;
use crate::endpoint::{Net, NetOptions};
use crate::error::NodeError;
use crate::link::{Invite, Invites, LINK_ALPN, LinkHandler};
use crate::peers::Peers;
use crate::places::{PlaceLimits, Places};
use crate::recovery::{RECOVER_ALPN, RecoverHandler};
use crate::session::{Report, SYNC_ALPN};
use crate::source::Source;
use crate::ticket::{LinkTicket, NodeTicket};

use growth::Growth;
pub(crate) use sessions::Sessions;

/// How often peers that should be connected are looked at.
const REDIAL_EVERY: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to reach a peer.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// How long sessions may take to end when the network closes.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1500);

/// How many others are served at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetworkLimits {
    /// Sync sessions.
    pub sessions: PlaceLimits,
    /// Connections over which blobs are read.
    pub readers: PlaceLimits,
    /// Connections of devices that want to be linked.
    pub links: PlaceLimits,
    /// Connections of those who look for an account by its words.
    pub recoveries: PlaceLimits,
    /// A stranger with whom nothing moved for so long makes room for the next one.
    pub stranger_idle: Duration,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        let links = PlaceLimits { own: 16, kept: 16, strangers: 64, each: 4 };
        let recoveries = PlaceLimits { own: 4, kept: 4, strangers: 16, each: 1 };
        let (sessions, readers) = (PlaceLimits::default(), PlaceLimits::default());
        Self { sessions, readers, links, recoveries, stranger_idle: Duration::from_secs(10) }
    }
}

/// A bound endpoint with its protocols, and the sessions over it.
#[derive(Debug)]
pub(crate) struct Network {
    sessions: Arc<Sessions>,
    invites: Invites,
    router: Router,
    stopping: CancellationToken,
}

impl Network {
    /// Binds the endpoint and begins to serve.
    pub(crate) async fn start(
        secret: &DeviceSecret,
        replica: Arc<Replica>,
        entropy: Arc<dyn Entropy>,
        options: &NetOptions,
        limits: &NetworkLimits,
    ) -> Result<Arc<Self>, ErrorRecord> {
        let loading = replica.clone();
        let peers = tokio::task::spawn_blocking(move || Peers::load(loading)).await;
        let peers = peers.map_err(|error| NodeError::Entropy(error.to_string()))??;
        let net = Net::bind(&secret.signing_seed(), options, Vec::new()).await?;
        let source = Arc::new(Source(replica.clone()));
        let invites = Invites::default();
        let blobs = BlobHandler::new(source.clone(), ServeLimits::default());
        let peers = Arc::new(peers);
        let served = blobs.clone();
        let sessions = Sessions::new(net.clone(), replica.clone(), peers.clone(), served, limits);
        let sessions = Arc::new(sessions);
        let recover = RecoverHandler::new(replica.clone());
        let link = LinkHandler::new(source, net.device(), invites.clone(), entropy);
        let router = Router::builder(net.endpoint().clone())
            .accept(SYNC_ALPN, gate(&net, &peers, None, sessions.handler()))
            .accept(BLOBS_ALPN, gate(&net, &peers, Some(limits.readers), blobs))
            .accept(LINK_ALPN, gate(&net, &peers, Some(limits.links), link))
            .accept(RECOVER_ALPN, gate(&net, &peers, Some(limits.recoveries), recover))
            .spawn();
        let stopping = CancellationToken::new();
        let growth = Growth::watch(&replica);
        tokio::spawn(growth.spread(sessions.clone(), stopping.clone()));
        Ok(Arc::new(Self { sessions, invites, router, stopping }))
    }

    /// Keeps sessions with the peers that are to be dialled, and with known devices that appear
    /// in the local network, until the network closes.
    pub(crate) fn keep_connected(self: &Arc<Self>) {
        let (network, stopping) = (self.clone(), self.stopping.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = network.redial() => {}
                () = stopping.cancelled() => {}
            }
        });
        let (network, stopping) = (self.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let found = network.net().watch_lan(|ticket| network.found_in_lan(ticket));
            tokio::select! {
                () = found => {}
                () = stopping.cancelled() => {}
            }
        });
    }

    /// The endpoint.
    pub(crate) fn net(&self) -> &Net {
        self.sessions.net()
    }

    /// The peers.
    pub(crate) fn peers(&self) -> &Arc<Peers> {
        self.sessions.peers()
    }

    /// The sessions.
    pub(crate) const fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Opens an invitation for a new device.
    pub(crate) fn invite(
        &self,
        ttl_ms: u64,
        entropy: &dyn Entropy,
    ) -> (LinkTicket, oneshot::Receiver<Invite>) {
        self.invites.open(self.net().ticket(), ttl_ms, entropy)
    }

    /// Compares with a peer now, over the open session or a new one.
    pub(crate) async fn round(&self, ticket: &NodeTicket) -> Result<Report, NodeError> {
        self.sessions.round(ticket).await
    }

    /// Ends all sessions and closes the endpoint.
    pub(crate) async fn close(&self) {
        self.stopping.cancel();
        self.sessions.end().await;
        if timeout(CLOSE_TIMEOUT, self.router.shutdown()).await.is_err() {
            tracing::warn!("the endpoint did not close in time");
        }
        self.sessions.ended(CLOSE_TIMEOUT).await;
        let _ = timeout(CLOSE_TIMEOUT, self.net().quiet()).await;
        let (peers, net) = (self.peers().clone(), self.net().clone());
        let kept = tokio::task::spawn_blocking(move || peers.keep_traffic(&net)).await;
        if !matches!(kept, Ok(Ok(()))) {
            tracing::warn!("the traffic of this run was not written down");
        }
    }

    async fn redial(&self) {
        let mut pauses: HashMap<DeviceId, Pause> = HashMap::new();
        let mut dialling = JoinSet::new();
        loop {
            let now = Instant::from_std(clock::instant());
            for (device, record) in self.peers().records() {
                let due = pauses.get(&device).is_none_or(|pause| pause.until <= now);
                if !record.dial || !due || self.peers().live(&device).is_some() {
                    continue;
                }
                // not again while this attempt runs
                let length = pauses.get(&device).map_or(REDIAL_EVERY, |pause| pause.length);
                pauses.insert(device, Pause { until: now + BACKOFF_MAX, length });
                let (sessions, ticket) = (self.sessions.clone(), record.ticket(device));
                dialling.spawn(async move { (device, sessions.dial(&ticket, None).await) });
            }
            tokio::select! {
                () = sleep(REDIAL_EVERY) => {}
                Some(Ok((device, dialled))) = dialling.join_next() => {
                    let length = pauses.remove(&device).map_or(REDIAL_EVERY, |pause| pause.length);
                    if let Err(error) = dialled {
                        tracing::debug!(%error, "a peer was not reached");
                        let until = Instant::from_std(clock::instant()) + length;
                        let length = (length * 2).min(BACKOFF_MAX);
                        pauses.insert(device, Pause { until, length });
                    }
                }
            }
        }
    }

    /// Dials a device of the local network if we know it; strangers are left alone.
    fn found_in_lan(&self, ticket: NodeTicket) {
        let known = self.peers().records().contains_key(&ticket.device);
        if !known || self.peers().live(&ticket.device).is_some() {
            return;
        }
        let sessions = self.sessions.clone();
        tokio::spawn(async move {
            if let Err(error) = sessions.dial(&ticket, None).await {
                tracing::debug!(%error, "a device of the local network was not reached");
            }
        });
    }
}

/// When a peer that was not reached is dialled again.
struct Pause {
    until: Instant,
    length: Duration,
}

/// What every connection that a handler accepts passes: its traffic is counted, it takes a place
/// if the handler has none of its own, and it is closed when the handler is done with it.
#[derive(Debug)]
struct Gate<H> {
    handler: H,
    net: Net,
    peers: Arc<Peers>,
    places: Option<Places>,
}

fn gate<H: ProtocolHandler>(
    net: &Net,
    peers: &Arc<Peers>,
    limits: Option<PlaceLimits>,
    handler: H,
) -> Gate<H> {
    Gate { handler, net: net.clone(), peers: peers.clone(), places: limits.map(Places::new) }
}

impl<H: ProtocolHandler> ProtocolHandler for Gate<H> {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        self.net.count(&connection);
        let Some(places) = &self.places else { return self.handler.accept(connection).await };
        let device = DeviceId::from_bytes(*connection.remote_id().as_bytes());
        let peers = self.peers.clone();
        let standing = tokio::task::spawn_blocking(move || peers.standing(&device)).await;
        let place = match standing {
            Ok(Ok(standing)) => places.enter(standing, device),
            _ => None,
        };
        if place.is_none() {
            connection.close(1u32.into(), b"busy");
            return Ok(());
        }
        let accepted = self.handler.accept(connection.clone()).await;
        connection.close(0u32.into(), b"done");
        drop(place);
        accepted
    }

    async fn shutdown(&self) {
        self.handler.shutdown().await;
    }
}
