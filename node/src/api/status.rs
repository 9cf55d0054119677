//! Everything on one page.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::authority::Authority;
use mosaic_engine::hash::DeviceId;
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::Exchange;

use super::answer::blocking;
use super::names;
use super::node::overall;
use super::resolve;
use super::sync_status;
use super::types::{ErrorRecord, Record, Status, StatusShow, rfc3339};
use crate::app::App;
use crate::kept;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    blocking(router, status)
}

fn status(app: &App, _: StatusShow) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let (account, device) = (replica.account()?, replica.device()?);
    let states = sync_status::all(app, &replica)?;
    let counted: Vec<_> = states
        .iter()
        .filter(|(_, state)| state.section != "visitors")
        .map(|(_, state)| state.state.as_str())
        .collect();
    let sync_state = overall(&counted).to_owned();
    let peers = sync_status::peers(app, &replica)?;
    let (connected, away) = match app.running_network() {
        Some(network) => {
            let live = |device: &&DeviceId| network.peers().live(device).is_some();
            let here = peers.keys().filter(live).count();
            (network.peers().all_live().len(), peers.len() - here)
        }
        None => (0, peers.len()),
    };
    let (mut missing_changes, mut missing_bodies) = (0u64, 0u64);
    for section in replica.kept_sections().map_err(sync_status::failed)? {
        // What a revoked device wrote beyond its cut is nowhere missing.
        for open in replica.incomplete(&section, usize::MAX).map_err(sync_status::failed)? {
            let count = open.tip.n.saturating_sub(open.tip.held_n);
            missing_changes = missing_changes.saturating_add(count);
        }
        let missing = replica.missing_bodies_count(&section).map_err(sync_status::failed)?;
        missing_bodies = missing_bodies.saturating_add(missing);
    }
    let authority = replica.authority(&account)?;
    let writing = authority.as_ref().map_or(0, |authority| {
        authority.devices.keys().filter(|device| authority.may_write(device)).count()
    });
    let warnings = warnings(app, &replica, authority.as_deref(), &device)?;
    let count = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
    Ok(Record::Status(Status {
        account: Some(account.to_string()),
        name: resolve::profile_name(&replica, &account)?,
        device: Some(device.to_string()),
        device_name: names::own_device_name(&replica, &device),
        devices: count(writing),
        home: app.home().display().to_string(),
        node_running: app.is_node(),
        node_started_at: app.node().map(|node| rfc3339(node.started_ms)),
        peers_connected: count(connected),
        peers_away: count(away),
        sync_state,
        unsent_changes: sync_status::unsent(&replica, &peers)?,
        missing_changes,
        missing_bodies,
        documents: count(replica.document_list()?.len()),
        store_bytes: replica.store().stats().disk_bytes,
        warnings,
    }))
}

/// What the user should know: of the store, of the words, of this device's standing.
fn warnings(
    app: &App,
    replica: &Replica,
    authority: Option<&Authority>,
    device: &DeviceId,
) -> Result<Vec<String>, ErrorRecord> {
    let mut warnings = app.warnings();
    let damaged = replica.damaged_bodies()?.len();
    if damaged > 0 {
        warnings.push(format!(
            "{damaged} damaged {} set aside: the next sync fetches what a peer still has",
            if damaged == 1 { "body is" } else { "bodies are" },
        ));
    }
    if kept::is_kept(app.home()) {
        warnings.push(
            "the recovery words are still on this device: put them on paper with mosaic identity \
             recovery"
                .to_owned(),
        );
    }
    if authority.is_some_and(|authority| authority.recovery.frozen) {
        warnings.push(
            "this account is frozen: it was recovered with different words, and nothing new of \
             it counts; tell those who know you"
                .to_owned(),
        );
    }
    let own = authority.and_then(|authority| authority.devices.get(device));
    if own.is_some_and(|standing| standing.revoked.is_some()) {
        warnings
            .push("this device was revoked: what is written here counts nowhere else".to_owned());
    } else if own.is_some_and(|standing| standing.suspended) {
        warnings.push("this device is suspended: what is written here does not count".to_owned());
    }
    Ok(warnings)
}
