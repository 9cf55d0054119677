//! What is known of each peer and section, without asking anybody.

use std::collections::{BTreeMap, HashMap};

use mosaic_engine::chain::ChainKey;
use mosaic_engine::description::{SectionClass, Space};
use mosaic_engine::hash::{DeviceId, SpaceId};
use mosaic_engine::replica::{Replica, Section};
use mosaic_engine::sync::exchange::{Exchange, ExchangeError, KnownTip};

use super::names;
use super::sync::spaces;
use super::types::{ErrorKind, ErrorRecord, Record, SyncState, SyncStatus, rfc3339};
use crate::app::App;
use crate::peers::{PeerRecord, Peers, SectionRecord, section_key};
use crate::standing::Standing;

/// Chains looked at for what is missing in one section.
const CHAINS_MAX: usize = 16 * 1024;

/// Every kept section at every peer that may read it.
pub(super) fn status(app: &App, request: SyncStatus) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let wanted = spaces(&replica, &request.targets)?;
    let states = all(app, &replica)?;
    let states = states
        .into_iter()
        .filter(|(section, _)| wanted.is_empty() || wanted.contains(&section.space));
    Ok(states.map(|(_, state)| Record::SyncStatus(state)).collect())
}

/// The state of every kept section at every peer that keeps it too, or that was never met.
pub(super) fn all(app: &App, replica: &Replica) -> Result<Vec<(Section, SyncState)>, ErrorRecord> {
    let records = peers(app, replica)?;
    let owners = owners(replica)?;
    let mut states = Vec::new();
    for section in replica.kept_sections().map_err(failed)? {
        for (device, record) in &records {
            let known = record.sections.get(&section_key(&section));
            let relevant = match known {
                Some(known) => known.kept_there,
                // one that was met and keeps nothing of ours matters only if it is to be met again
                None => record.sections.is_empty() && (record.dial || record.seen_ms == 0),
            };
            if !relevant || !replica.may_read(device, &section).map_err(failed)? {
                continue;
            }
            let mut state = one(replica, device, record, &section, known)?;
            let owner = owners.get(&section.space).cloned();
            state.target = owner.unwrap_or_else(|| section.space.to_string());
            states.push((section, state));
        }
    }
    Ok(states)
}

/// The peers that count: those the user named, and devices of the accounts that are kept.
pub(super) fn peers(
    app: &App,
    replica: &Replica,
) -> Result<BTreeMap<DeviceId, PeerRecord>, ErrorRecord> {
    let Some(network) = app.running_network() else { return Ok(Peers::stored(replica)?) };
    let mut counted = BTreeMap::new();
    for (device, record) in network.peers().records() {
        if record.chosen() || Standing::of(replica, &device)? != Standing::Stranger {
            counted.insert(device, record);
        }
    }
    Ok(counted)
}

fn one(
    replica: &Replica,
    device: &DeviceId,
    record: &PeerRecord,
    section: &Section,
    known: Option<&SectionRecord>,
) -> Result<SyncState, ErrorRecord> {
    let shown: HashMap<ChainKey, u64> =
        replica.shown(device, section).map_err(failed)?.into_iter().collect();
    let (mut unsent, mut missing, mut absent) = (0u64, 0u64, 0u64);
    let mut known_here: HashMap<ChainKey, u64> = HashMap::new();
    for tip in replica.tips(section).map_err(failed)? {
        let there = held_there(device, &tip, shown.get(&tip.chain));
        unsent = unsent.saturating_add(tip.n.saturating_sub(there));
        absent = absent.saturating_add(tip.n.saturating_sub(tip.held_n));
        let here = known_here.entry(tip.chain).or_default();
        *here = tip.n.max(*here);
    }
    for (chain, n) in &shown {
        let here = known_here.get(chain).copied().unwrap_or(0);
        missing = missing.saturating_add(n.saturating_sub(here));
    }
    for open in replica.incomplete(section, CHAINS_MAX).map_err(failed)? {
        missing = missing.saturating_add(open.tip.n.saturating_sub(open.tip.held_n));
    }
    let missing_bodies = replica.missing_bodies_count(section).map_err(failed)?;
    // a peer says how many it lacks, not where; account logs name none, visitors do not count
    let missing_there = match section.class {
        SectionClass::Authority | SectionClass::Visitors => 0,
        _ => record.missing_there,
    };
    let digest = replica.digest(section).map_err(failed)?;
    let digest = blake3::Hash::from_bytes(digest).to_hex();
    let mut state = SyncState {
        peer: device.to_string(),
        peer_name: names::peer_name(replica, device, record),
        section: class_name(section.class).to_owned(),
        // what it said was not about what has been written here since
        // nor about files that it leaves out
        durable: known
            .filter(|known| known.durable_there == Some(false) || !known.partial_there)
            .and_then(|known| known.durable_there)
            .filter(|sure| !sure || unsent == 0),
        unsent_changes: unsent,
        missing_changes: missing,
        missing_bodies,
        peer_missing_bodies: missing_there,
        reasons: known.map(|known| known.reasons.clone()).unwrap_or_default(),
        checked_at: known.map(|known| rfc3339(known.checked_ms)),
        ..SyncState::default()
    };
    let open = unsent > 0 || missing > 0 || missing_bodies > 0 || missing_there > 0;
    state.state = match known {
        None => "unknown",
        Some(known) if known.state == "failed" => "failed",
        Some(known) if known.state == "differs" || open => "differs",
        Some(known) if known.durable_there == Some(false) => "differs",
        Some(known) if known.digest.as_str() != digest.as_str() => "unknown",
        Some(_) => "in-sync",
    }
    .to_owned();
    explain(&mut state);
    if known.is_some_and(|known| known.partial_there) {
        state.reasons.push("files or pages may be left out there, by its limits".to_owned());
    }
    if missing == 0 && absent > 0 {
        state.reasons.push(match absent {
            1 => "1 change is known and not kept here, by choice".to_owned(),
            _ => format!("{absent} changes are known and not kept here, by choice"),
        });
    }
    if let Some(failure) = &record.failure {
        state.reasons.push(failure.clone());
    }
    Ok(state)
}

/// Up to which change a device has a chain: what it showed, and all of what it wrote itself.
fn held_there(device: &DeviceId, tip: &KnownTip, shown: Option<&u64>) -> u64 {
    if tip.chain.device == *device { tip.n } else { shown.copied().unwrap_or(0) }
}

/// Says in words what the numbers say.
fn explain(state: &mut SyncState) {
    let lines = [
        (state.unsent_changes, "change is", "changes are", "not known to be there"),
        (state.missing_changes, "change known there is", "changes known there are", "missing here"),
        (state.missing_bodies, "body is", "bodies are", "missing here"),
        (state.peer_missing_bodies, "body or chain is", "bodies or chains are", "missing there"),
    ];
    for (count, one, many, what) in lines {
        if count > 0 {
            let subject = if count == 1 { one } else { many };
            state.reasons.push(format!("{count} {subject} {what}"));
        }
    }
    if state.durable == Some(false) {
        state.reasons.push("not committed there: its store failed".to_owned());
    }
}

/// Changes that no peer is known to have and to keep. Who keeps only a part may have their heads
/// alone.
pub(super) fn unsent(
    replica: &Replica,
    peers: &BTreeMap<DeviceId, PeerRecord>,
) -> Result<u64, ErrorRecord> {
    let mut unsent = 0u64;
    for section in replica.kept_sections().map_err(failed)? {
        let mut there: HashMap<ChainKey, u64> = HashMap::new();
        let of = section_key(&section);
        for (device, record) in peers {
            // What it showed once and keeps no more is no copy, nor is a head of which it may
            // hold nothing.
            let known = record.sections.get(&of);
            if known.is_some_and(|known| !known.kept_there || known.sparing_there) {
                continue;
            }
            for (chain, n) in replica.shown(device, &section).map_err(failed)? {
                let known = there.entry(chain).or_default();
                *known = n.max(*known);
            }
        }
        for tip in replica.tips(&section).map_err(failed)? {
            let wrote = peers.contains_key(&tip.chain.device);
            let known = there.get(&tip.chain).copied().unwrap_or(0);
            let known = if wrote { tip.n } else { known };
            unsent = unsent.saturating_add(tip.n.saturating_sub(known));
        }
    }
    Ok(unsent)
}

/// The accounts and hubs whose spaces are known here, by the spaces' ids.
fn owners(replica: &Replica) -> Result<HashMap<SpaceId, String>, ErrorRecord> {
    let documents = replica.document_list()?;
    let known = documents.iter().map(|(_, description)| description.space);
    let own = Space::Account(replica.account()?);
    let subscribed = replica.subscriptions()?.into_iter().map(|sub| Space::Account(sub.account));
    let hubs = replica.hubs()?.into_iter().map(|hub| Space::Hub(hub.id));
    Ok(known
        .chain([own])
        .chain(subscribed)
        .chain(hubs)
        .map(|space| (space.id(), root(&space)))
        .collect())
}

/// Id of the account or hub whose space it is.
pub(super) fn root(space: &Space) -> String {
    match space {
        Space::Account(id) => id.to_string(),
        Space::Hub(id) => id.to_string(),
        _ => String::new(),
    }
}

const fn class_name(class: SectionClass) -> &'static str {
    match class {
        SectionClass::Authority => "authority",
        SectionClass::Public => "public",
        SectionClass::Visitors => "visitors",
        SectionClass::Private => "private",
    }
}

pub(super) fn failed(error: ExchangeError) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Error, error.to_string())
}
