//! What is remembered of peers, and which of them are connected.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::endpoint::Connection;
use mosaic_engine::chain::ChainKey;
use mosaic_engine::hash::DeviceId;
use mosaic_engine::replica::{EngineError, Replica, Section};
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::sync::outcome::{Cause, Outcome, OutcomeKind, SectionState, Side};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

use crate::clock;
use crate::endpoint::Net;
use crate::session::{Command, Fetcher, Tally};
use crate::standing::Standing;
use crate::ticket::{Address, NodeTicket, TICKET_ADDRESSES_MAX};

/// Peers remembered; beyond it those that nobody asked for make room, longest away first.
pub(crate) const PEERS_MAX: usize = 4096;
/// Reasons kept of one section.
const REASONS_MAX: usize = 8;

/// What is stored of a peer between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PeerRecord {
    /// Whether the user named it: by a ticket, or to connect to it.
    pub asked: bool,
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
    /// Whether the peer keeps only a part of it, by its own choice.
    pub sparing_there: bool,
    /// Whether the peer may lack files of it, by its own choice.
    pub partial_there: bool,
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
    pub tally: Arc<Tally>,
    /// Whether this side opened it.
    pub dialled: bool,
    /// News were lost: it is to compare when it has time.
    pub lag: Arc<AtomicBool>,
    /// Files are wanted: it is to look for those that its peer has.
    pub wanted: Arc<Notify>,
}

/// All peers, remembered and connected.
#[derive(Debug)]
pub(crate) struct Peers {
    replica: Arc<Replica>,
    inner: Mutex<Inner>,
    writing: Mutex<()>,
    peers_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    records: HashMap<DeviceId, PeerRecord>,
    /// Of connected strangers, until they leave.
    visitors: HashMap<DeviceId, PeerRecord>,
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

    /// Whether this home met it by its user's wish.
    pub(crate) fn chosen(&self) -> bool {
        self.asked || self.dial || self.name.is_some() || !self.addresses.is_empty()
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
        let records: HashMap<_, _> = Self::stored(&replica)?.into_iter().collect();
        for (device, _) in records.iter().filter(|(_, record)| record.asked) {
            replica.set_keeper(device, true)?;
        }
        let inner = Mutex::new(Inner { records, ..Inner::default() });
        Ok(Self { replica, inner, writing: Mutex::default(), peers_max: PEERS_MAX })
    }

    /// The records as they are stored, without those of devices that are strangers by now.
    pub(crate) fn stored(replica: &Replica) -> Result<BTreeMap<DeviceId, PeerRecord>, EngineError> {
        let mut records = BTreeMap::new();
        for (device, bytes) in replica.peers()? {
            let Ok(record) = serde_json::from_slice::<PeerRecord>(&bytes) else { continue };
            if record.chosen() || Standing::of(replica, &device)? != Standing::Stranger {
                records.insert(device, record);
            }
        }
        Ok(records)
    }

    /// The records of all that are remembered, by device.
    pub(crate) fn records(&self) -> BTreeMap<DeviceId, PeerRecord> {
        self.lock().records.iter().map(|(device, record)| (*device, record.clone())).collect()
    }

    /// Those, and the strangers who are connected.
    pub(crate) fn met(&self) -> BTreeMap<DeviceId, PeerRecord> {
        let mut met = self.records();
        let inner = self.lock();
        for device in inner.live.keys() {
            let visitor = || inner.visitors.get(device).cloned().unwrap_or_default();
            met.entry(*device).or_insert_with(visitor);
        }
        met
    }

    /// One record; empty for somebody never compared.
    pub(crate) fn record(&self, device: &DeviceId) -> PeerRecord {
        let inner = self.lock();
        let record = inner.records.get(device).or_else(|| inner.visitors.get(device));
        record.cloned().unwrap_or_default()
    }

    /// How we stand with a device; a peer that the user named counts as ours. May block.
    pub(crate) fn standing(&self, device: &DeviceId) -> Result<Standing, EngineError> {
        if self.lock().records.get(device).is_some_and(PeerRecord::chosen) {
            return Ok(Standing::Own);
        }
        Standing::of(&self.replica, device)
    }

    /// Closes the session of the stranger with whom nothing moved for the longest time, if it is
    /// longer than `idle`; returns whether there was one.
    pub(crate) fn close_idle_stranger(&self, idle: Duration) -> bool {
        let inner = self.lock();
        let strangers = inner.live.iter().filter(|(device, live)| {
            !inner.records.contains_key(*device) && live.connection.close_reason().is_none()
        });
        let longest = strangers
            .map(|(_, live)| (live.tally.idle(), live))
            .filter(|(quiet, _)| *quiet >= idle)
            .max_by_key(|(quiet, _)| *quiet);
        if let Some((_, live)) = longest {
            live.connection.close(1u32.into(), b"busy");
        }
        longest.is_some()
    }

    /// Changes a record and stores it; committed when it returns. May block.
    pub(crate) fn update(
        &self,
        device: &DeviceId,
        change: impl FnOnce(&mut PeerRecord),
    ) -> Result<PeerRecord, EngineError> {
        // records are stored in the order in which they change
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(device)?;
        let mut inner = self.lock();
        let visitor = inner.visitors.remove(device);
        let record = inner.records.entry(*device).or_insert_with(|| visitor.unwrap_or_default());
        change(record);
        let record = record.clone();
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
        // whom the user chose may keep what is private here, sealed as it is
        self.replica.set_keeper(&ticket.device, true)?;
        self.update(&ticket.device, |record| {
            record.asked = true;
            record.reached_at(ticket);
            record.dial |= dial;
            if name.is_some() {
                record.name = name;
            }
        })
    }

    /// Forgets a peer and ends the session with it; `None` if it was not known. May block.
    pub(crate) fn forget(&self, device: &DeviceId) -> Result<Option<PeerRecord>, EngineError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.lock();
        let (record, live) = (inner.records.remove(device), inner.live.remove(device));
        drop(inner);
        if let Some(live) = live {
            live.connection.close(0u32.into(), b"forgotten");
        }
        if record.is_some() {
            self.replica.set_keeper(device, false)?;
            self.replica.forget_peer(device)?;
        }
        Ok(record)
    }

    /// Whether there is a record of a device: it was dialled, or showed something that is kept.
    pub(crate) fn knows(&self, device: &DeviceId) -> bool {
        self.lock().records.contains_key(device)
    }

    /// Forgets what a stranger showed, once it has left. May block.
    pub(crate) fn forget_visitor(&self, device: &DeviceId) -> Result<(), EngineError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = self.lock();
        let stays = inner.records.contains_key(device) || inner.live.contains_key(device);
        drop(inner);
        if stays { Ok(()) } else { self.replica.forget_visitor(device) }
    }

    /// Makes room for one more record if there is none of `device` and all places are taken.
    fn make_room(&self, device: &DeviceId) -> Result<(), EngineError> {
        let mut inner = self.lock();
        if inner.records.contains_key(device) || inner.records.len() < self.peers_max {
            return Ok(());
        }
        let unasked = inner
            .records
            .iter()
            .filter(|(device, record)| !record.chosen() && !inner.live.contains_key(*device));
        let oldest = unasked.min_by_key(|(_, record)| record.seen_ms);
        let Some(oldest) = oldest.map(|(device, _)| *device) else {
            let message = format!("{} peers are remembered: forget one first", self.peers_max);
            return Err(EngineError::Denied(message));
        };
        inner.records.remove(&oldest);
        drop(inner);
        self.replica.forget_peer(&oldest)
    }

    /// Takes note of an outcome; of a stranger's only for as long as it is connected: whoever
    /// calls shall not stand in the answer to what is in sync. May block.
    pub(crate) fn note(&self, outcome: &Outcome) -> Result<(), EngineError> {
        let now = clock::now_ms();
        let mut digests = Vec::new();
        for section in &outcome.sections {
            let digest = self.replica.digest(&section.section);
            let digest = digest.map_err(|error| EngineError::Corrupt(error.to_string()))?;
            digests.push(blake3::Hash::from_bytes(digest).to_hex().to_string());
        }
        let change = |record: &mut PeerRecord| {
            record.seen_ms = now;
            record.failure = None;
            // A round that was cut off knows nothing of it.
            if outcome.sections.iter().any(|section| section.state != SectionState::Failed) {
                record.missing_there = outcome.missing_there;
            }
            // What it does not talk about any more it does not keep any more.
            if outcome.kind == OutcomeKind::Round && outcome.complete {
                record.sections.values_mut().for_each(|known| known.kept_there = false);
            }
            for (section, digest) in outcome.sections.iter().zip(digests) {
                let key = section_key(&section.section);
                let known = record.sections.entry(key).or_default();
                if outcome.kind == OutcomeKind::Received {
                    // Who is told something learns nothing new about whether both are equal: what
                    // was equal still is, unless something was not taken; then nobody knows.
                    let taken = outcome.causes_total == 0;
                    if known.state == state_name(SectionState::Equal) {
                        known.digest = if taken { digest } else { String::new() };
                    }
                } else if outcome.kind == OutcomeKind::Round || section.state == SectionState::Equal
                {
                    known.state = state_name(section.state).to_owned();
                    known.digest = digest;
                    known.reasons = reasons(&self.replica, outcome, &section.section);
                }
                // Whoever was cut off did not come to say what it keeps.
                if section.state != SectionState::Failed {
                    known.kept_there = section.kept_there;
                    known.sparing_there = section.sparing_there;
                    known.partial_there = section.partial_there;
                }
                known.missing_bodies = section.missing_bodies;
                // Who is equal shows what it committed: what failed there before is past.
                let past =
                    outcome.kind == OutcomeKind::Round && section.state == SectionState::Equal;
                let before = known.durable_there.filter(|sure| *sure || !past);
                known.durable_there = outcome.durable_there.or(before);
                known.checked_ms = now;
            }
        };
        if self.keeps(outcome)? {
            self.update(&outcome.remote, change)?;
            return Ok(());
        }
        let mut inner = self.lock();
        if inner.live.contains_key(&outcome.remote) {
            change(inner.visitors.entry(outcome.remote).or_default());
        }
        Ok(())
    }

    /// Whether what comes of a session with this device is remembered.
    fn keeps(&self, outcome: &Outcome) -> Result<bool, EngineError> {
        if self.lock().records.contains_key(&outcome.remote) {
            return Ok(true);
        }
        // before the first round nothing of a device is known that a look could find
        Ok(outcome.kind == OutcomeKind::Round
            && Standing::of(&self.replica, &outcome.remote)? != Standing::Stranger)
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
            inner.visitors.remove(device);
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

fn reasons(replica: &Replica, outcome: &Outcome, section: &Section) -> Vec<String> {
    let about = |cause: &&Cause| cause.section.is_none_or(|of| of == *section);
    let mut lines: Vec<_> = outcome.causes.iter().filter(about).map(reason).collect();
    // a chain that nothing is known of may be of any section
    let here = |chain: &ChainKey| {
        let tips = replica.chain_tips(chain).unwrap_or_default();
        tips.first().is_none_or(|(of, _)| of == section)
    };
    let gaps = outcome.gaps.iter().filter(|gap| here(&gap.chain)).map(|gap| {
        format!("page {} that later pages name is missing there", gap.chain.doc.short())
    });
    let older = outcome.older.iter().filter(|older| older.section == *section).map(|older| {
        let chain = older.chain.doc.short();
        format!(
            "it shows {} of {} changes of {chain} that it showed before",
            older.now, older.before
        )
    });
    let forks = outcome.forks.iter().filter(|fork| here(&fork.chain)).map(|fork| {
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
