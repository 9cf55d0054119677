//! Comparing with peers now.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use mosaic_engine::description::{SectionClass, Space};
use mosaic_engine::hash::{DeviceId, SpaceId};
use mosaic_engine::replica::{Replica, Section};
use mosaic_engine::sync::exchange::{Exchange, ExchangeError};
use mosaic_engine::sync::outcome::{Counters, Outcome as Round, SectionOutcome, SectionState};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout_at};

use super::answer::{Answer, Outcome, Sink, blocking, route};
use super::hub;
use super::moved::Moved;
use super::names;
use super::resolve;
use super::sync_status::status;
use super::types::{ErrorKind, ErrorRecord, Record, SessionTotals, SyncResult, SyncRun};
use crate::app::App;
use crate::clock;
use crate::error::NodeError;
use crate::mending::mend_keys;
use crate::network::Network;
use crate::peers::reason;
use crate::session::Report;
use crate::ticket::NodeTicket;

/// Peers met at once.
const PEERS_AT_ONCE: usize = 16;
/// How often is told how much has moved.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// How long a peer may take unless told otherwise.
const TIMEOUT_MS: u64 = 120_000;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = route(router, run);
    blocking(router, status)
}

async fn run(app: Arc<App>, request: SyncRun) -> Outcome {
    let replica = app.replica()?;
    let asked = Asked::new(&replica, &request)?;
    let network = app.network().await?;
    let peers = peers(&network, &replica, &request.peers)?;
    if peers.is_empty() {
        return Err(ErrorRecord::new(ErrorKind::Retry, "no peer is known")
            .with_hint("mosaic node connect TICKET"));
    }
    let settling = replica.clone();
    let settled = tokio::task::spawn_blocking(move || settling.settle_limits()).await;
    settled.map_err(|error| ErrorRecord::new(ErrorKind::Error, error.to_string()))??;
    let given = !request.peers.is_empty();
    let wanted = request.replicas.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let limit = Duration::from_millis(request.timeout_ms.unwrap_or(TIMEOUT_MS));
    Ok(Answer::running(move |sink| async move {
        if given {
            remember(&network, &peers).await;
        }
        let of = wanted.unwrap_or(peers.len());
        let deadline = Instant::from_std(clock::instant()) + limit;
        let until = (deadline, limit);
        let tally = meet(&network, &replica, &peers, &asked, wanted, until, sink).await;
        // What a node that runs does between, once it is heard who was revoked.
        if !tally.met.is_empty() && mend(&app).await {
            pass_on(&network, &tally.met, deadline).await;
        }
        match tally {
            Tally { met, .. } if met.len() >= of => Ok(()),
            Tally { late, .. } if late > 0 => {
                let message = format!("not done after {} ms", limit.as_millis());
                Err(ErrorRecord::new(ErrorKind::Timeout, message))
            }
            Tally { unreachable, .. } if unreachable == peers.len() => {
                Err(ErrorRecord::new(ErrorKind::Retry, "no peer was reachable"))
            }
            Tally { met, .. } => {
                let message = format!("{} of {of} peers are in sync", met.len());
                Err(ErrorRecord::new(ErrorKind::Partial, message))
            }
        }
    }))
}

/// Asks for keys that are missing here, and passes on those that others lack; whether anything was
/// written.
async fn mend(app: &Arc<App>) -> bool {
    let mut news = app.news();
    news.mark_unchanged();
    let Ok(replica) = app.replica() else { return false };
    let mended = tokio::task::spawn_blocking(move || mend_keys(&replica, clock::now_ms())).await;
    if let Ok(Err(error)) = mended {
        tracing::warn!(%error, "keys of conversations were not passed on");
    }
    news.has_changed().unwrap_or(false)
}

/// Brings what was written after they were met to those who were in sync, and are there still.
async fn pass_on(network: &Arc<Network>, met: &[NodeTicket], deadline: Instant) {
    let mut running = JoinSet::new();
    for ticket in met.iter().filter(|ticket| network.peers().live(&ticket.device).is_some()) {
        let (network, ticket) = (network.clone(), ticket.clone());
        running.spawn(async move { timeout_at(deadline, network.round(&ticket)).await.is_ok() });
    }
    while running.join_next().await.is_some() {}
}

/// What a comparison is to be about.
struct Asked {
    /// These spaces only; all if there are none.
    spaces: Vec<SpaceId>,
    /// Spaces that have to be kept there, by the name the user has for them.
    copies: Vec<(SpaceId, String)>,
}

impl Asked {
    /// Copies are asked for by targets, or by a number of them. Else it is no failure of a sync
    /// that a friend's node keeps nothing of what is written here.
    fn new(replica: &Replica, request: &SyncRun) -> Result<Self, ErrorRecord> {
        let targets = &request.targets;
        let spaces = spaces(replica, targets)?;
        let mut copies: Vec<_> = spaces.iter().copied().zip(targets.iter().cloned()).collect();
        if copies.is_empty() && request.replicas.is_some() {
            let own = Space::Account(replica.account()?).id();
            copies.push((own, "what is written here".to_owned()));
        }
        Ok(Self { spaces, copies })
    }

    /// What the peer does not keep.
    fn not_kept(&self, round: &Round) -> Vec<&str> {
        let kept = |space: SpaceId| {
            let public = Section { space, class: SectionClass::Public };
            round.sections.iter().any(|known| known.section == public && known.kept_there)
        };
        let copies = self.copies.iter().filter(|(space, _)| !kept(*space));
        copies.map(|(_, name)| name.as_str()).collect()
    }
}

#[derive(Default)]
struct Tally {
    /// Who is in sync.
    met: Vec<NodeTicket>,
    unreachable: usize,
    late: usize,
}

async fn meet(
    network: &Arc<Network>,
    replica: &Arc<Replica>,
    peers: &[NodeTicket],
    asked: &Asked,
    wanted: Option<usize>,
    (deadline, limit): (Instant, Duration),
    sink: Sink,
) -> Tally {
    let mut tally = Tally::default();
    let mut telling = Telling::new(network, &sink);
    let mut running = JoinSet::new();
    let mut waiting = peers.iter().cloned();
    loop {
        while running.len() < PEERS_AT_ONCE
            && let Some(ticket) = waiting.next()
        {
            telling.begin(ticket.device);
            let network = network.clone();
            running.spawn(async move {
                let start = clock::instant();
                let report = timeout_at(deadline, network.round(&ticket)).await.ok();
                (ticket, report, clock::elapsed_ms(start))
            });
        }
        let Some(met) = telling.until_one_of(&mut running).await else { return tally };
        let Ok((ticket, report, elapsed_ms)) = met else { continue };
        telling.moved.end(&ticket.device);
        let late = report.is_none();
        let unanswered = || Ok(network.sessions().unanswered(&ticket.device));
        let mut report = report.unwrap_or_else(unanswered);
        if let Ok(Report { outcome: Some(round), .. }) = &mut report
            && !asked.spaces.is_empty()
        {
            narrow(replica, round, &asked.spaces).await;
        }
        let mut record = result(report, asked);
        if late {
            tally.late += 1;
            record.reasons = vec![format!("not done after {} ms", limit.as_millis())];
        }
        record.peer = ticket.device.to_string();
        record.elapsed_ms = elapsed_ms;
        let known = network.peers().record(&ticket.device);
        record.peer_name = names::peer_name(replica, &ticket.device, &known);
        match record.state.as_str() {
            "in-sync" => tally.met.push(ticket),
            "unreachable" => tally.unreachable += 1,
            _ => {}
        }
        let _ = sink.send(Record::SyncResult(record)).await;
        if wanted.is_some_and(|wanted| tally.met.len() >= wanted) {
            return tally;
        }
    }
}

/// What is told while peers are met.
struct Telling<'a> {
    moved: Moved,
    ticks: Interval,
    network: &'a Network,
    sink: &'a Sink,
}

impl<'a> Telling<'a> {
    fn new(network: &'a Network, sink: &'a Sink) -> Self {
        let first = Instant::from_std(clock::instant()) + TOLD_EVERY;
        let mut ticks = interval_at(first, TOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { moved: Moved::default(), ticks, network, sink }
    }

    fn begin(&mut self, device: DeviceId) {
        let live = self.network.peers().live(&device);
        self.moved.begin(device, live.map(|live| live.tally.total()));
    }

    /// Waits until one is done, and tells meanwhile how much moves. Nobody waits for a slow
    /// reader, who learns more a second later.
    async fn until_one_of<T: 'static>(
        &mut self,
        running: &mut JoinSet<T>,
    ) -> Option<Result<T, JoinError>> {
        loop {
            tokio::select! {
                biased;
                met = running.join_next() => return met,
                _ = self.ticks.tick() => {}
            }
            let peers = self.network.peers();
            let total = |device: &DeviceId| peers.live(device).map(|live| live.tally.total());
            for progress in self.moved.news(total) {
                let _ = self.sink.try_send(Record::Progress(progress));
            }
        }
    }
}

/// Whether everything that counts is the same on both sides, and nothing is missing.
pub(super) fn in_sync(round: &Round) -> bool {
    let whole = round.missing_here == 0 && round.missing_there == 0;
    counted(round, &[]) && whole
}

/// Leaves of what is missing here what is missing of `spaces`. Only the peer knows of which space it
/// lacks bodies: these stay.
async fn narrow(replica: &Arc<Replica>, round: &mut Round, spaces: &[SpaceId]) {
    let mut sections = round.sections.clone();
    sections.retain(|section| spaces.contains(&section.section.space));
    let replica = replica.clone();
    let counting = tokio::task::spawn_blocking(move || {
        let mut missing = 0u64;
        for SectionOutcome { section, .. } in &sections {
            let chains = replica.incomplete(section, usize::MAX)?.len();
            let bodies = replica.missing_bodies_count(section)?;
            missing = missing.saturating_add(bodies).saturating_add(chains as u64);
        }
        Ok::<_, ExchangeError>(missing)
    });
    if let Ok(Ok(missing)) = counting.await {
        round.missing_here = missing.min(round.missing_here);
    }
}

/// Guests who were not admitted are kept as far as there is room: they do not count.
fn counted(round: &Round, spaces: &[SpaceId]) -> bool {
    let counts = |section: &&SectionOutcome| {
        section.section.class != SectionClass::Visitors
            && (spaces.is_empty() || spaces.contains(&section.section.space))
    };
    let mut sections = round.sections.iter().filter(counts).peekable();
    // Of no sections all are equal, and nothing is known.
    sections.peek().is_some() && sections.all(|section| section.state == SectionState::Equal)
}

fn result(report: Result<Report, NodeError>, asked: &Asked) -> SyncResult {
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let state = match error {
                NodeError::Unreachable { .. } => "unreachable",
                _ => "failed",
            };
            let reasons = vec![error.to_string()];
            return SyncResult { state: state.to_owned(), reasons, ..SyncResult::default() };
        }
    };
    let (counters, failures) = (report.counters, report.failures);
    let mut record = SyncResult {
        round_trips: counters.round_trips,
        control_bytes: counters.control_bytes,
        inline_bytes: counters.inline_bytes,
        blob_bytes: counters.blob_bytes,
        body_bytes: counters.body_bytes,
        changes: counters.changes.saturating_add(counters.changes_sent),
        signatures_checked: counters.signatures_checked,
        in_changes: counters.changes,
        out_changes: counters.changes_sent,
        session: Some(totals(&report.total)),
        ..SyncResult::default()
    };
    let ended = report.ended.map(|reason| format!("the session ended early: {}", reason.name()));
    let Some(round) = report.outcome else {
        record.state = "failed".to_owned();
        let lost = || "the connection ended before all was compared".to_owned();
        record.reasons = vec![ended.unwrap_or_else(lost)];
        return record;
    };
    record.missing_bodies = round.missing_here;
    record.peer_missing_bodies = Some(round.missing_there);
    record.reasons = reasons(&round);
    record.reasons.extend(failures);
    let missing = round.missing_here > 0 || round.missing_there > 0;
    let unsure = round.durable_there == Some(false) || !round.durable_here;
    let not_kept = asked.not_kept(&round);
    if !round.sections.is_empty() {
        record.reasons.extend(not_kept.iter().map(|name| format!("not kept there: {name}")));
    }
    let kept = not_kept.is_empty();
    let equal = kept && counted(&round, &asked.spaces) && !missing && !unsure;
    let about = |space: &SpaceId| asked.spaces.is_empty() || asked.spaces.contains(space);
    let mut sections = round.sections.iter().filter(|section| about(&section.section.space));
    let failed = sections.any(|section| section.state == SectionState::Failed);
    record.reasons.extend(ended);
    record.state = match (failed, equal) {
        (true, _) => "failed",
        (_, true) => "in-sync",
        _ => "differs",
    }
    .to_owned();
    record
}

const fn totals(of: &Counters) -> SessionTotals {
    SessionTotals {
        round_trips: of.round_trips,
        control_bytes: of.control_bytes,
        inline_bytes: of.inline_bytes,
        blob_bytes: of.blob_bytes,
        body_bytes: of.body_bytes,
        signatures_checked: of.signatures_checked,
        in_changes: of.changes,
        out_changes: of.changes_sent,
    }
}

fn reasons(round: &Round) -> Vec<String> {
    let mut lines: Vec<_> = round.causes.iter().map(reason).collect();
    if round.missing_here > 0 {
        lines.push(format!("{} bodies or chains are missing here", round.missing_here));
    }
    if round.missing_there > 0 {
        lines.push(format!("{} bodies or chains are missing there", round.missing_there));
    }
    if round.durable_there == Some(false) {
        lines.push("not committed there: its store failed".to_owned());
    }
    if round.sections.is_empty() {
        lines.push("no space in common: nothing that is kept here is kept there".to_owned());
    }
    for gap in &round.gaps {
        lines.push(format!("page {} is missing there, later pages name it", gap.chain.doc.short()));
    }
    for older in &round.older {
        let doc = older.chain.doc.short();
        lines.push(format!(
            "it shows {} of {} changes of {doc} that it showed before",
            older.now, older.before
        ));
    }
    for fork in &round.forks {
        lines.push(format!(
            "device {} wrote two branches of {}",
            fork.chain.device.short(),
            fork.chain.doc.short()
        ));
    }
    lines
}

/// The spaces of the named accounts and hubs.
pub(super) fn spaces(replica: &Replica, targets: &[String]) -> Result<Vec<SpaceId>, ErrorRecord> {
    let space = |target: &String| match hub::resolved(replica, target) {
        Ok(hub) => Ok(Space::Hub(hub).id()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(Space::Account(resolve::account(replica, Some(target))?).id())
        }
        Err(error) => Err(error),
    };
    targets.iter().map(space).collect()
}

/// The named peers, or all that can be reached in some way.
pub(super) fn peers(
    network: &Network,
    replica: &Replica,
    named: &[String],
) -> Result<Vec<NodeTicket>, ErrorRecord> {
    if !named.is_empty() {
        return named.iter().map(|text| names::peer(network, replica, text)).collect();
    }
    let records = network.peers().records();
    let known = records.iter().filter(|(device, record)| {
        !record.addresses.is_empty() || network.peers().live(device).is_some()
    });
    Ok(known.map(|(device, record)| record.ticket(*device)).collect())
}

async fn remember(network: &Network, peers: &[NodeTicket]) {
    let (kept, tickets) = (network.peers().clone(), peers.to_vec());
    let remembered = tokio::task::spawn_blocking(move || {
        tickets.iter().try_for_each(|ticket| kept.remember(ticket, None, false).map(|_| ()))
    });
    if !matches!(remembered.await, Ok(Ok(()))) {
        tracing::warn!("a peer was not remembered");
    }
}
