//! Drives a sync session over one stream of one connection.
//!
//! ```text
//! reader ──frames──► driver ──bytes──► writer          fetches: packs by blob transfer
//!                      │ session.handle, on a thread that may block
//! ```
//! The reader only reads; nothing the driver does lets small frames pile up in the transport.

mod driver;
mod stream;
mod tally;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use iroh::endpoint::Connection;
use mosaic_engine::hash::{BlobHash, DeviceId};
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::PackRef;
use mosaic_engine::sync::outcome::{Counters, Outcome};
use mosaic_engine::sync::{CloseReason, News};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::blobs::{BLOBS_ALPN, FetchCaps, Want, fetch_many};
use crate::endpoint::Net;
use crate::refusals::Refusals;
use crate::ticket::NodeTicket;

pub(crate) use driver::drive;
pub(crate) use tally::{FileCounts, Files, Tally};

/// The protocol name.
pub const SYNC_ALPN: &[u8] = b"mosaic/sync/1";
/// How long the stream of a new connection may take to open.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Commands that wait for a busy session; beyond it news are dropped and a round finds them.
pub(crate) const COMMANDS_WAITING: usize = 64;

/// What others ask of a running session.
#[derive(Debug)]
pub(crate) enum Command {
    /// Compare now and tell what came of it, and what moved since the sums were these.
    Round(oneshot::Sender<Report>, Counters),
    /// Chains grew here.
    News(Vec<News>),
    /// What is kept here has changed, or news were lost.
    Refresh,
}

/// What came of a round that was asked for, its retry included.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The last round's outcome; `None` if the session ended first.
    pub outcome: Option<Outcome>,
    /// Bytes and acts since it was asked for.
    pub counters: Counters,
    /// The sums of the session since it was opened, files fetched beside it included.
    pub total: Counters,
    /// Why the session ended, if it did.
    pub ended: Option<CloseReason>,
    /// Why files did not come, one line each.
    pub failures: Vec<String>,
}

/// Who asked for a round, and what came of it.
pub(crate) type Reply = (oneshot::Sender<Report>, Report);

/// An outcome, and those who are told once it is remembered.
#[derive(Debug)]
pub(crate) struct Finished {
    pub outcome: Outcome,
    pub replies: Vec<Reply>,
}

/// Tells those who asked; who waits no more is not told.
pub(crate) fn reply(replies: Vec<Reply>) {
    for (asker, report) in replies {
        let _ = asker.send(report);
    }
}

/// What a driver needs besides its stream.
#[derive(Debug)]
pub(crate) struct Seat {
    pub remote: DeviceId,
    pub replica: Arc<Replica>,
    pub fetcher: Arc<Fetcher>,
    pub commands: mpsc::Receiver<Command>,
    /// Gets every outcome, to be remembered.
    pub outcomes: mpsc::Sender<Finished>,
    pub tally: Arc<Tally>,
    /// Set when commands did not fit.
    pub lag: Arc<AtomicBool>,
    /// Counts what is not taken.
    pub refusals: Arc<Refusals>,
}

/// Fetches packs from the peer of a session over a connection of their own.
#[derive(Debug)]
pub(crate) struct Fetcher {
    net: Net,
    peer: NodeTicket,
    /// Resolved when the session's own connection has ended.
    over: CancellationToken,
    connection: Mutex<Option<Connection>>,
}

impl Fetcher {
    /// Fetches from where `connection` leads.
    pub(crate) fn new(net: Net, connection: &Connection) -> Self {
        let (peer, over) = (Net::other_end(connection), CancellationToken::new());
        let (closed, ending) = (connection.weak_handle().closed(), over.clone());
        tokio::spawn(async move {
            let _ = closed.await;
            ending.cancel();
        });
        Self { net, peer, over, connection: Mutex::new(None) }
    }

    /// The peer.
    pub(crate) const fn remote(&self) -> DeviceId {
        self.peer.device
    }

    /// Resolves when the session it belongs to has ended.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Returns the pack, or `None` if it did not come whole and right.
    pub(crate) async fn pack(&self, pack: PackRef) -> (BlobHash, Option<bytes::Bytes>) {
        let wants = [Want { hash: pack.hash, size: Some(pack.size) }];
        let Some(connection) = self.connection().await else { return (pack.hash, None) };
        let mut fetched = None;
        fetch_many(&connection, &wants, FetchCaps::default(), |_, result| match result {
            Ok(bytes) => fetched = Some(bytes),
            Err(error) => tracing::info!(%error, pack = %pack.hash, "a pack did not come"),
        })
        .await;
        (pack.hash, fetched)
    }

    /// Returns the connection, made anew if it has gone.
    pub(crate) async fn connection(&self) -> Option<Connection> {
        let mut kept = self.connection.lock().await;
        if let Some(open) = kept.as_ref().filter(|open| open.close_reason().is_none()) {
            return Some(open.clone());
        }
        match self.net.connect(&self.peer, BLOBS_ALPN).await {
            Ok(connection) => {
                *kept = Some(connection.clone());
                Some(connection)
            }
            Err(error) => {
                tracing::info!(%error, "no connection for blobs");
                None
            }
        }
    }
}
