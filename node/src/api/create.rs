//! What new entries have in common: a key under which they are written once, and waiting until
//! others hold them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use mosaic_engine::chain::ChainKey;
use mosaic_engine::hash::{ChangeId, DeviceId};
use mosaic_engine::replica::{Once, Replica, Section};
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::sync::outcome::Outcome as Round;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::{Answer, Outcome, Sink, route};
use super::sync;
use super::sync_status::failed;
use super::types::{
    DmSend, ErrorKind, ErrorRecord, MessageSend, Notice, PostCreate, Record, Request, WallComment,
};
use crate::app::App;
use crate::clock;
use crate::network::Network;

/// How long to wait for replicas unless told otherwise.
const TIMEOUT_MS: u64 = 120_000;
/// Peers asked at once.
const PEERS_AT_ONCE: usize = 16;
/// How long after a peer was asked in vain it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A request that writes one new entry.
pub(super) trait Creates: Request + Clone {
    /// The key under which it is written once.
    fn key(&self) -> Option<&str>;
    /// The same without what may differ when it is asked for again.
    fn arguments(&self) -> Self;
    /// How many others are to hold it before the answer ends, and how long that may take.
    fn waits(&self) -> (Option<u64>, Option<u64>);
}

macro_rules! creates {
    ($name:ident) => {
        impl Creates for $name {
            fn key(&self) -> Option<&str> {
                self.idempotency_key.as_deref()
            }
            fn arguments(&self) -> Self {
                let (idempotency_key, wait_replicas, timeout_ms) = (None, None, None);
                Self { idempotency_key, wait_replicas, timeout_ms, ..self.clone() }
            }
            fn waits(&self) -> (Option<u64>, Option<u64>) {
                (self.wait_replicas, self.timeout_ms)
            }
        }
    };
}
creates!(PostCreate);
creates!(WallComment);
creates!(MessageSend);
creates!(DmSend);

/// Returns the key of a request, with what is asked for under it.
pub(super) fn once<R: Creates>(request: &R) -> Result<Option<Once>, ErrorRecord> {
    let Some(key) = request.key() else { return Ok(None) };
    let arguments = serde_json::to_string(&request.arguments())
        .map_err(|error| ErrorRecord::new(ErrorKind::Usage, error.to_string()))?;
    Ok(Some(Once::new(key, format!("{} {arguments}", R::PATH).as_bytes())?))
}

/// Adds an operation that writes one new entry and may wait until others hold it. The entry is
/// answered first, whatever becomes of the waiting.
pub(super) fn creating<R: Creates>(
    router: Router<Arc<App>>,
    write: fn(&App, R) -> Result<Record, ErrorRecord>,
) -> Router<Arc<App>> {
    route::<R, _, _>(router, move |app, request| async move {
        let (replicas, timeout_ms) = request.waits();
        let writing = app.clone();
        let written = tokio::task::spawn_blocking(move || write(&writing, request)).await;
        let record =
            written.map_err(|error| ErrorRecord::new(ErrorKind::Error, error.to_string()))??;
        let Some(wanted) = replicas.filter(|wanted| *wanted > 0) else { return Ok(record.into()) };
        let limit = Duration::from_millis(timeout_ms.unwrap_or(TIMEOUT_MS));
        waiting(app, record, usize::try_from(wanted).unwrap_or(usize::MAX), limit)
    })
}

fn waiting(app: Arc<App>, record: Record, wanted: usize, limit: Duration) -> Outcome {
    let deadline = Instant::from_std(clock::instant()) + limit;
    Ok(Answer::running(move |sink| async move {
        let id = id_of(&record);
        let _ = sink.send(record).await;
        let Some(id) = id else { return Ok(()) };
        let held = Held::of(&app, id).await?;
        let mut there = BTreeSet::new();
        loop {
            held.ask(wanted, deadline, &mut there).await?;
            if there.len() >= wanted {
                return held.tell(&sink, &there).await;
            }
            if Instant::from_std(clock::instant()) >= deadline {
                let message = format!(
                    "{} is written here; after {} ms it is on {} of {wanted} replicas",
                    id.short(),
                    limit.as_millis(),
                    there.len()
                );
                let error = ErrorRecord::new(ErrorKind::Timeout, message);
                return Err(error.with_hint("mosaic sync status"));
            }
            tokio::select! {
                () = sleep(ASK_AGAIN) => {}
                () = sink.closed() => return Ok(()),
                () = app.stopping().cancelled() => {
                    let message = format!("{} is written; the node is stopping", id.short());
                    return Err(ErrorRecord::new(ErrorKind::NoNode, message));
                }
            }
        }
    }))
}

fn id_of(record: &Record) -> Option<ChangeId> {
    match record {
        Record::Post(post) => ChangeId::parse_hex(&post.id),
        Record::Comment(comment) => ChangeId::parse_hex(&comment.id),
        Record::Message(message) => ChangeId::parse_hex(&message.id),
        Record::DirectMessage(message) => ChangeId::parse_hex(&message.id),
        _ => None,
    }
}

/// An entry that others are to hold.
struct Held {
    network: Arc<Network>,
    replica: Arc<Replica>,
    section: Section,
    chain: ChainKey,
    n: u64,
    /// Whether it has files: who keeps a part may leave them out.
    files: bool,
}

impl Held {
    async fn of(app: &Arc<App>, id: ChangeId) -> Result<Self, ErrorRecord> {
        let (network, replica) = (app.network().await?, app.replica()?);
        let (section, chain, n) = replica.place_of(&id)?;
        let files = !replica.show(&id)?.attachments.is_empty();
        Ok(Self { network, replica, section, chain, n, files })
    }

    /// Compares with every peer that is not known to hold it yet.
    async fn ask(
        &self,
        wanted: usize,
        deadline: Instant,
        there: &mut BTreeSet<DeviceId>,
    ) -> Result<(), ErrorRecord> {
        let peers = sync::peers(&self.network, &self.replica, &[])?;
        let mut waiting = peers.into_iter().filter(|peer| !there.contains(&peer.device));
        let waiting: Vec<_> = waiting.by_ref().collect();
        let mut waiting = waiting.into_iter();
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < PEERS_AT_ONCE
                && let Some(peer) = waiting.next()
            {
                let network = self.network.clone();
                asking.spawn(async move {
                    let report = timeout_at(deadline, network.round(&peer)).await;
                    (peer.device, report)
                });
            }
            let Some(asked) = asking.join_next().await else { return Ok(()) };
            let Ok((device, Ok(Ok(report)))) = asked else { continue };
            if let Some(round) = report.outcome
                && self.is_there(&device, &round)?
            {
                there.insert(device);
                if there.len() >= wanted {
                    return Ok(());
                }
            }
        }
    }

    /// Whether the peer said of itself that the entry is committed there: it keeps the section
    /// and not only a part of it, leaves no files out if there are some, knows the chain that far,
    /// lacks nothing, and its store did not fail.
    fn is_there(&self, device: &DeviceId, round: &Round) -> Result<bool, ErrorRecord> {
        let mut sections = round.sections.iter();
        let kept = sections.any(|known| {
            let left_out = known.sparing_there || (self.files && known.partial_there);
            known.section == self.section && known.kept_there && !left_out
        });
        let whole = round.missing_there == 0 && round.durable_there != Some(false);
        if !kept || !whole {
            return Ok(false);
        }
        let shown = self.replica.shown(device, &self.section).map_err(failed)?;
        Ok(shown.iter().any(|(chain, n)| *chain == self.chain && *n >= self.n))
    }

    async fn tell(&self, sink: &Sink, there: &BTreeSet<DeviceId>) -> Result<(), ErrorRecord> {
        let names = there.iter().map(|device| {
            let known = self.network.peers().record(device);
            super::names::peer_name(&self.replica, device, &known).unwrap_or_else(|| device.short())
        });
        let names: Vec<_> = names.collect();
        let message = format!("Committed on {} too: {}.", names.len(), names.join(", "));
        let _ = sink.send(Record::Notice(Notice { message })).await;
        Ok(())
    }
}
