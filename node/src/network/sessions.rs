//! Opens, accepts and ends sync sessions; at most one with each peer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use iroh::protocol::{AcceptError, ProtocolHandler};
use mosaic_engine::hash::DeviceId;
use mosaic_engine::model::entry::BodyRef;
use mosaic_engine::replica::{Replica, Section};
use mosaic_engine::sync::exchange::{Exchange, ExchangeError};
use mosaic_engine::sync::keys::Salt;
use mosaic_engine::sync::outcome::{Counters, Outcome, SectionState};
use mosaic_engine::sync::{CloseReason, News, Options, Role, Session};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::NetworkLimits;
use super::dialling::Dialling;
use super::files::{Pass, fetch_wanted};
use super::transfer::{Transfers, stream};
use crate::blobs::{BlobHandler, Direct, FetchError};
use crate::endpoint::Net;
use crate::error::NodeError;
use crate::peers::{Live, Peers, section_key};
use crate::places::{Place, Places};
use crate::refusals::{Counts, Door, Refusals};
use crate::session::{
    COMMANDS_WAITING, Command, Fetcher, Files, Finished, HANDSHAKE_TIMEOUT, Report, SYNC_ALPN,
    Seat, Tally, drive, reply,
};
use crate::standing::Standing;
use crate::ticket::NodeTicket;

/// Outcomes of one session that wait to be written down.
const OUTCOMES_WAITING: usize = 64;
/// How long a peer that lacks files is left to fetch them before it is asked again.
const FETCH_PAUSE: Duration = Duration::from_millis(200);
/// How often it is asked again without having come further.
const FETCH_TRIES: u32 = 3;

/// How often a peer is asked whose session gave way to another one.
const ASK_TRIES: u32 = 4;
/// How long the other session is left to arrive.
const GIVE_WAY_PAUSE: Duration = Duration::from_millis(250);

/// All sync sessions of an endpoint.
#[derive(Debug)]
pub(crate) struct Sessions {
    net: Net,
    replica: Arc<Replica>,
    peers: Arc<Peers>,
    places: Places,
    idle: Duration,
    dialling: Dialling,
    transfers: Transfers,
    blobs: BlobHandler,
    refusals: Arc<Refusals>,
}

/// Accepts sessions.
#[derive(Clone, Debug)]
pub(super) struct SyncHandler(Arc<Sessions>);

impl ProtocolHandler for SyncHandler {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let remote = DeviceId::from_bytes(*connection.remote_id().as_bytes());
        let Some(place) = self.0.place(remote).await else {
            self.0.refusals.turn_away(&remote, Door::Sessions);
            connection.close(1u32.into(), b"busy");
            return Ok(());
        };
        let opened = timeout(HANDSHAKE_TIMEOUT, connection.accept_bi()).await;
        let Ok(Ok(stream)) = opened else {
            connection.close(2u32.into(), b"no stream");
            return Ok(());
        };
        let running = self.0.clone().run(Role::Responder, connection, stream, None, place);
        if let Some(running) = running {
            running.await;
        }
        Ok(())
    }
}

impl Sessions {
    pub(super) fn new(
        net: Net,
        replica: Arc<Replica>,
        peers: Arc<Peers>,
        blobs: BlobHandler,
        limits: &NetworkLimits,
    ) -> Self {
        let (places, idle) = (Places::new(limits.sessions), limits.stranger_idle);
        let (transfers, refusals) = (Transfers::new(replica.clone()), Arc::default());
        let dialling = Dialling::default();
        Self { net, replica, peers, places, idle, dialling, transfers, blobs, refusals }
    }

    /// Finds a place for a device that calls; a stranger may get that of an idle one.
    async fn place(&self, remote: DeviceId) -> Option<Place> {
        let peers = self.peers.clone();
        let standing = tokio::task::spawn_blocking(move || peers.standing(&remote)).await;
        let standing = standing.ok()?.ok()?;
        let mut closed = false;
        let entering = async {
            loop {
                let left = self.places.left();
                if let Some(place) = self.places.enter(standing, remote) {
                    return Some(place);
                }
                closed = closed
                    || standing == Standing::Stranger && self.peers.close_idle_stranger(self.idle);
                if !closed {
                    return None;
                }
                left.await;
            }
        };
        timeout(HANDSHAKE_TIMEOUT, entering).await.ok().flatten()
    }

    pub(super) fn handler(self: &Arc<Self>) -> SyncHandler {
        SyncHandler(self.clone())
    }

    pub(crate) const fn net(&self) -> &Net {
        &self.net
    }

    pub(crate) const fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    pub(crate) const fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// Bytes of attachments that moved between this node and a peer since the start.
    pub(crate) fn files(&self, peer: &DeviceId) -> Files {
        self.blobs.files(peer).now()
    }

    /// What was not taken since the start, over all peers or of one.
    pub(crate) fn refused(&self, peer: Option<&DeviceId>) -> Counts {
        if let Some(peer) = peer {
            return self.refusals.of(peer);
        }
        let mut counts = self.refusals.all();
        counts.turn_away(Door::Blob, self.blobs.refused());
        counts
    }

    /// The open session with a peer.
    fn open(&self, device: &DeviceId) -> Option<Live> {
        self.peers.live(device).filter(|live| live.connection.close_reason().is_none())
    }

    /// Opens a session unless there is one; `asked` gets what the first round came to. Those who
    /// dial the same peer at once wait for each other.
    pub(crate) async fn dial(
        self: &Arc<Self>,
        ticket: &NodeTicket,
        asked: Option<oneshot::Sender<Report>>,
    ) -> Result<(), NodeError> {
        let turn = self.dialling.turn(ticket.device);
        let _turn = turn.wait().await;
        match (self.open(&ticket.device), asked) {
            (Some(live), Some(asker)) => {
                let before = live.tally.session();
                // the receiver learns of a session that is gone
                let _ = live.commands.send(Command::Round(asker, before)).await;
                Ok(())
            }
            (Some(_), None) => Ok(()),
            (None, asked) => self.dial_alone(ticket, asked).await,
        }
    }

    async fn dial_alone(
        self: &Arc<Self>,
        ticket: &NodeTicket,
        asked: Option<oneshot::Sender<Report>>,
    ) -> Result<(), NodeError> {
        let peer = ticket.device.short();
        let cut = |error: &dyn std::fmt::Display| {
            let (peer, reason) = (peer.clone(), error.to_string());
            NodeError::Unreachable { peer, reason }
        };
        let place = self.places.enter(Standing::Own, ticket.device);
        let place = place.ok_or_else(|| cut(&"too many sessions"))?;
        let known = self.peers.records().contains_key(&ticket.device);
        let connection = match self.net.connect(ticket, SYNC_ALPN).await {
            Ok(connection) => connection,
            Err(error) => {
                let (peers, device, reason) =
                    (self.peers.clone(), ticket.device, error.to_string());
                let noted = tokio::task::spawn_blocking(move || {
                    let known = peers.records().contains_key(&device);
                    known.then(|| peers.update(&device, |record| record.failure = Some(reason)))
                });
                let _ = noted.await;
                return Err(error);
            }
        };
        let stream = connection.open_bi().await.map_err(|error| cut(&error))?;
        if known && !self.peers.records().contains_key(&ticket.device) {
            connection.close(0u32.into(), b"forgotten");
            return Err(cut(&"it was forgotten meanwhile"));
        }
        let running = self.clone().run(Role::Initiator, connection, stream, asked, place);
        match running {
            Some(running) => {
                tokio::spawn(running);
                Ok(())
            }
            // it dialled us at the same moment, and that session stands
            None if self.open(&ticket.device).is_some() => Ok(()),
            None => Err(cut(&"it is dialling us at this moment")),
        }
    }

    /// Compares with a peer now, over the open session or a new one, and lets both sides fetch
    /// the files that are named.
    pub(crate) async fn round(self: &Arc<Self>, ticket: &NodeTicket) -> Result<Report, NodeError> {
        let live = self.peers.live(&ticket.device);
        let before = live.map_or_else(Files::default, |live| live.tally.files());
        let report = self.rounds(ticket).await?;
        let Some(live) = self.peers.live(&ticket.device) else { return Ok(report) };
        let files = live.tally.files();
        let counters = files.since(before).added_to(report.counters);
        Ok(Report { counters, total: live.tally.total(), ..report })
    }

    /// What is known of a round that was not answered in time.
    pub(crate) fn unanswered(&self, device: &DeviceId) -> Report {
        let total = self.peers.live(device).map(|live| live.tally.total()).unwrap_or_default();
        let (counters, failures) = (Counters::default(), Vec::new());
        Report { outcome: None, counters, total, ended: None, failures }
    }

    async fn rounds(self: &Arc<Self>, ticket: &NodeTicket) -> Result<Report, NodeError> {
        let mut report = self.ask(ticket).await?;
        let mut tries = FETCH_TRIES;
        loop {
            let live = self.peers.live(&ticket.device);
            let (Some(outcome), Some(live)) = (&mut report.outcome, live) else {
                return Ok(report);
            };
            if outcome.missing_here > 0 {
                report.failures = self.fetch_files(&live, outcome).await;
            }
            if outcome.missing_there == 0 || tries == 0 {
                return Ok(report);
            }
            // it may be fetching files from us at this moment
            let missing = outcome.missing_there;
            sleep(FETCH_PAUSE).await;
            while self.blobs.is_busy(&ticket.device) && self.open(&ticket.device).is_some() {
                sleep(FETCH_PAUSE).await;
            }
            // a peer that has gone meanwhile lacks what it lacked
            let Ok(again) = self.ask(ticket).await else { return Ok(report) };
            let fewer = again.outcome.as_ref().is_some_and(|again| again.missing_there < missing);
            tries = if fewer { FETCH_TRIES } else { tries - 1 };
            report = Report { counters: sum(&report.counters, &again.counters), ..again };
        }
    }

    /// Has the peer compared with; again if the session gave way to another one meanwhile.
    async fn ask(self: &Arc<Self>, ticket: &NodeTicket) -> Result<Report, NodeError> {
        let mut tries = ASK_TRIES;
        loop {
            let (asker, report) = oneshot::channel();
            self.dial(ticket, Some(asker)).await?;
            let report = report.await;
            tries -= 1;
            let gave_way = report.as_ref().map_or(true, |report| {
                let ended = report.ended.is_none_or(|reason| reason == CloseReason::Remote);
                let whole = |outcome: &Outcome| {
                    !outcome.sections.iter().any(|section| section.state == SectionState::Failed)
                };
                ended && !report.outcome.as_ref().is_some_and(whole)
            });
            if !gave_way || tries == 0 {
                return report.map_err(|_| NodeError::Unreachable {
                    peer: ticket.device.short(),
                    reason: "the session ended".to_owned(),
                });
            }
            // the session that was preferred may still be on its way
            sleep(GIVE_WAY_PAUSE).await;
        }
    }

    /// Fetches the files that an outcome left open, and corrects what it says is missing. Returns
    /// why some did not come.
    async fn fetch_files(&self, live: &Live, outcome: &mut Outcome) -> Vec<String> {
        let sections: Vec<_> = outcome.sections.iter().map(|section| section.section).collect();
        let pass = self.fetch_from(&live.fetcher, &live.tally, sections.clone()).await;
        let (replica, before) = (self.replica.clone(), outcome.missing_here);
        let counting = tokio::task::spawn_blocking(move || {
            let counts = sections.iter().map(|section| replica.missing_count(section));
            counts.sum::<Result<u64, _>>()
        });
        if let Ok(Ok(missing)) = counting.await {
            outcome.missing_here = missing.min(before);
        }
        pass.failures
    }

    /// Fetches wanted files from one peer, and has the other sessions do the same.
    async fn fetch_from(&self, fetcher: &Fetcher, tally: &Tally, sections: Vec<Section>) -> Pass {
        let remote = fetcher.remote();
        let begun = || {
            for (device, live) in self.peers.all_live() {
                if device != remote {
                    live.wanted.notify_one();
                }
            }
        };
        fetch_wanted(&self.replica, &self.transfers, (fetcher, tally), sections, begun).await
    }

    /// Fetches one file from the first peer that serves it, those with open sessions first; where
    /// one fails, the next goes on.
    pub(crate) async fn fetch_file(
        self: &Arc<Self>,
        file: &BodyRef,
        mut sink: impl FnMut(&[u8]) -> Result<(), FetchError> + Send,
    ) -> Result<(), FetchError> {
        let (mut failure, mut given) = (FetchError::Absent, 0u64);
        for (device, record) in self.peers.records() {
            if self.peers.live(&device).is_none()
                && self.dial(&record.ticket(device), None).await.is_err()
            {
                continue;
            }
            let Some(live) = self.peers.live(&device) else { continue };
            let from = given;
            let mut giving = Direct(|offset: u64, bytes: Bytes| {
                given = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
                sink(&bytes)
            });
            match stream(&live.fetcher, file, from, &mut giving).await {
                Ok(()) => return Ok(()),
                Err(error @ FetchError::Stored(_)) => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Tells every session which chains grew; one that does not keep up compares later.
    pub(crate) fn tell(&self, news: &[News]) {
        for (_, live) in self.peers.all_live() {
            if live.commands.try_send(Command::News(news.to_vec())).is_err() {
                live.lag.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    /// Has every session compare again: what is kept here has changed.
    pub(crate) fn refresh(&self) {
        for (_, live) in self.peers.all_live() {
            if live.commands.try_send(Command::Refresh).is_err() {
                live.lag.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    /// Ends every session.
    pub(super) async fn end(&self) {
        for (_, live) in self.peers.all_live() {
            live.connection.close(0u32.into(), b"closing");
        }
        tokio::task::yield_now().await;
    }

    /// Waits until all have ended and are written down.
    pub(super) async fn ended(&self, limit: Duration) {
        let _ = timeout(limit, self.places.empty()).await;
    }

    /// Takes the session in and returns what runs it; `None` if another one is preferred.
    fn run(
        self: Arc<Self>,
        role: Role,
        connection: Connection,
        stream: (SendStream, RecvStream),
        asked: Option<oneshot::Sender<Report>>,
        place: Place,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let remote = DeviceId::from_bytes(*connection.remote_id().as_bytes());
        let mut salt = Salt::default();
        // The same at both ends, from the handshake; a connection carries one session.
        if connection.export_keying_material(&mut salt, b"mosaic sync salt 1", b"").is_err() {
            connection.close(2u32.into(), b"no keys");
            return None;
        }
        let session = Session::new(role, remote, salt, self.options(role, &remote));
        let (commands, waiting) = mpsc::channel(COMMANDS_WAITING);
        let (outcomes, noted) = mpsc::channel(OUTCOMES_WAITING);
        let fetcher = Arc::new(Fetcher::new(self.net.clone(), &connection));
        let (lag, tally) = (Arc::default(), Arc::new(Tally::new(self.blobs.files(&remote))));
        let (refresh, wanted) = (commands.clone(), Arc::new(Notify::new()));
        let live = Live {
            commands,
            connection: connection.clone(),
            fetcher: fetcher.clone(),
            tally: tally.clone(),
            dialled: role == Role::Initiator,
            lag: Arc::clone(&lag),
            wanted: wanted.clone(),
        };
        if !self.peers.enter(self.net.device(), remote, live) {
            connection.close(3u32.into(), b"another session");
            return None;
        }
        let (replica, files_from) = (self.replica.clone(), (fetcher.clone(), tally.clone()));
        let refusals = self.refusals.clone();
        let commands = waiting;
        let seat = Seat { remote, replica, fetcher, commands, outcomes, tally, lag, refusals };
        Some(async move {
            let noting = tokio::spawn(note_all(self.peers.clone(), noted, wanted.clone()));
            let fetching = tokio::spawn(self.clone().fetch_all(files_from, refresh, wanted));
            drive(session, connection.clone(), stream, seat, asked).await;
            let _ = noting.await;
            fetching.abort();
            self.peers.leave(&remote, &connection);
            let peers = self.peers.clone();
            let left = tokio::task::spawn_blocking(move || peers.forget_visitor(&remote)).await;
            if let Ok(Err(error)) = left {
                tracing::warn!(%error, "what a stranger showed was not forgotten");
            }
            drop(place);
        })
    }

    /// Strangers that dial are asked for no receipts: what is asked for tells what is one's own.
    fn options(&self, role: Role, remote: &DeviceId) -> Options {
        let receipts = role == Role::Initiator || self.peers.knows(remote);
        Options { receipts, ..Options::default() }
    }

    /// Fetches wanted files each time an outcome leaves some open, or another session begins to
    /// fetch one.
    async fn fetch_all(
        self: Arc<Self>,
        (fetcher, tally): (Arc<Fetcher>, Arc<Tally>),
        commands: mpsc::Sender<Command>,
        wanted: Arc<Notify>,
    ) {
        loop {
            wanted.notified().await;
            let (replica, record) = (self.replica.clone(), self.peers.record(&fetcher.remote()));
            let shared = tokio::task::spawn_blocking(move || {
                let mut sections = replica.kept_sections()?;
                // a hash tells what is read here: to nobody who does not keep the same
                sections.retain(|section| {
                    let known = record.sections.get(&section_key(section));
                    known.is_some_and(|section| section.kept_there)
                });
                Ok::<_, ExchangeError>(sections)
            });
            let Ok(Ok(sections)) = shared.await else { continue };
            if self.fetch_from(&fetcher, &tally, sections).await.came > 0 {
                // the other side shall know that they are here
                let _ = commands.try_send(Command::Refresh);
            }
        }
    }
}

const fn sum(a: &Counters, b: &Counters) -> Counters {
    Counters {
        round_trips: a.round_trips + b.round_trips,
        frames: a.frames + b.frames,
        control_bytes: a.control_bytes + b.control_bytes,
        inline_bytes: a.inline_bytes + b.inline_bytes,
        blob_bytes: a.blob_bytes + b.blob_bytes,
        body_bytes: a.body_bytes + b.body_bytes,
        changes: a.changes + b.changes,
        changes_sent: a.changes_sent + b.changes_sent,
        bodies: a.bodies + b.bodies,
        signatures_checked: a.signatures_checked + b.signatures_checked,
    }
}

async fn note_all(peers: Arc<Peers>, mut finished: mpsc::Receiver<Finished>, wanted: Arc<Notify>) {
    while let Some(Finished { outcome, replies }) = finished.recv().await {
        let (peers, missing) = (peers.clone(), outcome.missing_here);
        let noted = tokio::task::spawn_blocking(move || peers.note(&outcome)).await;
        if let Ok(Err(error)) = noted {
            tracing::warn!(%error, "an outcome was not written down");
        }
        reply(replies);
        if missing > 0 {
            wanted.notify_one();
        }
    }
}
