//! What is remembered of peers, and which of them are connected.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iroh::endpoint::Connection;
use mosaic_engine::hash::DeviceId;
use mosaic_engine::replica::{EngineError, Replica, Section};
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::sync::outcome::{Cause, Outcome, OutcomeKind, SectionState, Side};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::clock;
use crate::endpoint::Net;
use crate::session::{Command, Fetcher};
use crate::ticket::{Address, NodeTicket, TICKET_ADDRESSES_MAX};

/// Peers remembered; strangers beyond it are served but not remembered.
pub(crate) const PEERS_MAX: usize = 4096;
/// Reasons kept of one section.
const REASONS_MAX: usize = 8;

/// What is stored of a peer between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PeerRecord {
    /// Local name.
    pub name: Option<String>,
    /// Where it was reached last, `ip:port` or a relay's URL.
    pub addresses: Vec<String>,
    /// Whether the node dials it by itself.
    pub dial: bool,
    /// When it was last connected.
    pub seen_ms: u64,
    /// UDP bytes received from it and sent to it in earlier runs.
    pub in_bytes: u64,
    /// See `in_bytes`.
    pub out_bytes: u64,
    /// Why the last attempt came to nothing.
    pub failure: Option<String>,
    /// Bodies and chains it said it lacks, when it was last compared.
    pub missing_there: u64,
    /// What the last comparison came to, by section.
    pub sections: BTreeMap<String, SectionRecord>,
}

/// How a section stood when it was last compared with a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SectionRecord {
    /// `equal`, `differs` or `failed`.
    pub state: String,
    /// Digest here at that time, as hex.
    pub digest: String,
    /// Whether the peer keeps it.
    pub kept_there: bool,
    /// Bodies wanted and not held here.
    pub missing_bodies: u64,
    /// Whether the peer said that all of it is committed there.
    pub durable_there: Option<bool>,
    /// When.
    pub checked_ms: u64,
    /// What was not taken, one line each.
    pub reasons: Vec<String>,
}

/// A peer with an open session.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub commands: mpsc::Sender<Command>,
    pub connection: Connection,
    pub fetcher: Arc<Fetcher>,
    /// Whether this side opened it.
    pub dialled: bool,
    /// News were lost: it is to compare when it has time.
    pub lag: Arc<AtomicBool>,
}

/// All peers, remembered and connected.
#[derive(Debug)]
pub(crate) struct Peers {
    replica: Arc<Replica>,
    inner: Mutex<Inner>,
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    records: HashMap<DeviceId, PeerRecord>,
    live: HashMap<DeviceId, Live>,
}

impl PeerRecord {
    /// The addresses as a ticket.
    pub(crate) fn ticket(&self, device: DeviceId) -> NodeTicket {
        let addresses = self.addresses.iter().map(|text| match text.parse() {
            Ok(socket) => Address::Socket(socket),
            Err(_) => Address::Relay(text.clone()),
        });
        NodeTicket { device, addresses: addresses.collect() }
    }

    fn reached_at(&mut self, ticket: &NodeTicket) {
        if !ticket.addresses.is_empty() {
            let texts = ticket.addresses.iter().map(|address| match address {
                Address::Socket(socket) => socket.to_string(),
                Address::Relay(url) => url.clone(),
            });
            self.addresses = texts.take(TICKET_ADDRESSES_MAX).collect();
        }
    }
}

/// How a section is named in records.
pub(crate) fn section_key(section: &Section) -> String {
    format!("{}/{}", section.space, section.class as u8)
}

impl Peers {
    /// Reads the remembered peers. A record that this version cannot read is forgotten: it holds
    /// nothing that the next session does not bring again.
    pub(crate) fn load(replica: Arc<Replica>) -> Result<Self, EngineError> {
        let records = Self::stored(&replica)?.into_iter().collect();
        let inner = Mutex::new(Inner { records, live: HashMap::new() });
        Ok(Self { replica, inner, writing: Mutex::default() })
    }

    /// The records as they are stored.
    pub(crate) fn stored(replica: &Replica) -> Result<BTreeMap<DeviceId, PeerRecord>, EngineError> {
        let stored = replica.peers()?.into_iter();
        Ok(stored
            .filter_map(|(device, bytes)| Some((device, serde_json::from_slice(&bytes).ok()?)))
            .collect())
    }

    /// All records, by device.
    pub(crate) fn records(&self) -> BTreeMap<DeviceId, PeerRecord> {
        self.lock().records.iter().map(|(device, record)| (*device, record.clone())).collect()
    }

    /// One record; empty for a stranger.
    pub(crate) fn record(&self, device: &DeviceId) -> PeerRecord {
        self.lock().records.get(device).cloned().unwrap_or_default()
    }

    /// Changes a record and stores it; committed when it returns. May block.
    pub(crate) fn update(
        &self,
        device: &DeviceId,
        change: impl FnOnce(&mut PeerRecord),
    ) -> Result<PeerRecord, EngineError> {
        // records are stored in the order in which they change
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.lock();
        let full = inner.records.len() >= PEERS_MAX && !inner.records.contains_key(device);
        let mut record = inner.records.get(device).cloned().unwrap_or_default();
        change(&mut record);
        if full {
            return Ok(record);
        }
        inner.records.insert(*device, record.clone());
        drop(inner);
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        self.replica.put_peer(device, bytes)?;
        Ok(record)
    }

    /// Remembers where a peer was reached, and whether to dial it from now on.
    pub(crate) fn remember(
        &self,
        ticket: &NodeTicket,
        name: Option<String>,
        dial: bool,
    ) -> Result<PeerRecord, EngineError> {
        self.update(&ticket.device, |record| {
            record.reached_at(ticket);
            record.dial |= dial;
            if name.is_some() {
                record.name = name;
            }
        })
    }

    /// Takes note of an outcome. May block.
    pub(crate) fn note(&self, outcome: &Outcome) -> Result<(), EngineError> {
        let now = clock::now_ms();
        let mut digests = Vec::new();
        for section in &outcome.sections {
            let digest = self.replica.digest(&section.section);
            let digest = digest.map_err(|error| EngineError::Corrupt(error.to_string()))?;
            digests.push(blake3::Hash::from_bytes(digest).to_hex().to_string());
        }
        self.update(&outcome.remote, |record| {
            record.seen_ms = now;
            record.failure = None;
            record.missing_there = outcome.missing_there;
            for (section, digest) in outcome.sections.iter().zip(digests) {
                let key = section_key(&section.section);
                let known = record.sections.entry(key).or_default();
                if outcome.kind == OutcomeKind::Round || section.state == SectionState::Equal {
                    known.state = state_name(section.state).to_owned();
                    known.digest = digest;
                    known.reasons = reasons(outcome, &section.section);
                }
                known.kept_there = section.kept_there;
                known.missing_bodies = section.missing_bodies;
                known.durable_there = outcome.durable_there.or(known.durable_there);
                known.checked_ms = now;
            }
        })?;
        Ok(())
    }

    /// The open session with a peer.
    pub(crate) fn live(&self, device: &DeviceId) -> Option<Live> {
        self.lock().live.get(device).cloned()
    }

    /// All open sessions.
    pub(crate) fn all_live(&self) -> Vec<(DeviceId, Live)> {
        self.lock().live.iter().map(|(device, live)| (*device, live.clone())).collect()
    }

    /// Takes a session in. Two devices that dial each other at once keep the one that the
    /// smaller id opened; `false` means that the new one is not kept.
    pub(crate) fn enter(&self, own: DeviceId, device: DeviceId, live: Live) -> bool {
        let mut inner = self.lock();
        if let Some(other) = inner.live.get(&device)
            && other.connection.close_reason().is_none()
            && other.dialled != live.dialled
        {
            let ours_wins = own < device;
            if live.dialled != ours_wins {
                return false;
            }
        }
        if let Some(old) = inner.live.insert(device, live) {
            old.connection.close(0u32.into(), b"replaced");
        }
        true
    }

    /// Takes a session out once its connection has gone.
    pub(crate) fn leave(&self, device: &DeviceId, connection: &Connection) {
        let mut inner = self.lock();
        let same = |live: &Live| live.connection.stable_id() == connection.stable_id();
        if inner.live.get(device).is_some_and(same) {
            inner.live.remove(device);
        }
    }

    /// Adds the traffic of this run to the records; once, at its end. May block.
    pub(crate) fn keep_traffic(&self, net: &Net) -> Result<(), EngineError> {
        for device in self.records().into_keys() {
            let (sent, received) = net.traffic(&device);
            if sent > 0 || received > 0 {
                self.update(&device, |record| {
                    record.in_bytes = record.in_bytes.saturating_add(received);
                    record.out_bytes = record.out_bytes.saturating_add(sent);
                })?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stable name of a state.
pub(crate) const fn state_name(state: SectionState) -> &'static str {
    match state {
        SectionState::Equal => "equal",
        SectionState::Differs => "differs",
        SectionState::Failed => "failed",
    }
}

fn reasons(outcome: &Outcome, section: &Section) -> Vec<String> {
    let about = |cause: &&Cause| cause.section.is_none_or(|of| of == *section);
    let mut lines: Vec<_> = outcome.causes.iter().filter(about).map(reason).collect();
    let gaps = outcome.gaps.iter().map(|gap| {
        format!("page {} that later pages name is missing there", gap.chain.doc.short())
    });
    let older = outcome.older.iter().filter(|older| older.section == *section).map(|older| {
        let chain = older.chain.doc.short();
        format!(
            "it shows {} of {} changes of {chain} that it showed before",
            older.now, older.before
        )
    });
    let forks = outcome.forks.iter().map(|fork| {
        format!(
            "device {} wrote two branches of {}",
            fork.chain.device.short(),
            fork.chain.doc.short()
        )
    });
    lines.extend(gaps.chain(older).chain(forks));
    lines.dedup();
    lines.truncate(REASONS_MAX);
    lines
}

/// One line about something that was not taken.
pub(crate) fn reason(cause: &Cause) -> String {
    let side = match cause.side {
        Side::Here => "not taken here",
        Side::There => "not taken there",
    };
    let name = cause.reason.name();
    match cause.chain {
        Some(chain) => {
            let (doc, device) = (chain.doc.short(), chain.device.short());
            format!("{side}: {name}, {doc} of device {device} from change {}", cause.from_n)
        }
        None => format!("{side}: {name}"),
    }
}
