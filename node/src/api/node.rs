//! The node itself: its state, its peers, its address, its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::DeviceId;
use mosaic_engine::replica::Replica;

use super::answer::{Answer, Outcome, blocking, route};
use super::failure::NODE_TICKET;
use super::names;
use super::sync_status;
use super::types::{
    API_VERSION, ErrorKind, ErrorRecord, Node, NodeConnect, NodeForget, NodePeers, NodeReload,
    NodeStatus, NodeStop, NodeTicket as TicketRequest, Peer, Record, Setting, Ticket, rfc3339,
};
use crate::app::App;
use crate::network::Network;
use crate::peers::{Live, PeerRecord};
use crate::reload::Changed;
use crate::ticket::NodeTicket;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = route(router, status);
    let router = route(router, stop);
    let router = blocking(router, reload);
    let router = route(router, peers);
    let router = route(router, connect);
    let router = route(router, forget);
    route(router, ticket)
}

async fn status(app: Arc<App>, _: NodeStatus) -> Outcome {
    Ok(node(&app, "running")?.into())
}

async fn stop(app: Arc<App>, _: NodeStop) -> Outcome {
    let record = node(&app, "stopping")?;
    app.note("node.stopping").await;
    // requests that run, this one among them, are answered first
    app.stopping().cancel();
    Ok(record.into())
}

fn reload(app: &App, _: NodeReload) -> Result<Vec<Record>, ErrorRecord> {
    let (settings, changed) = crate::reload::reload(app)?;
    let record = |change: &Changed| {
        let state = if change.applied { "applied" } else { "needs_restart" };
        Record::Setting(Setting {
            state: Some(state.to_owned()),
            ..Setting::of(&settings, change.key)
        })
    };
    Ok(changed.iter().map(record).collect())
}

fn node(app: &App, state: &str) -> Result<Record, ErrorRecord> {
    let no_node = || ErrorRecord::new(ErrorKind::NoNode, "no node is running for this home");
    let info = app.node().ok_or_else(no_node)?;
    let network = app.running_network();
    let addresses = network.as_ref().map(|network| network.net().listening()).unwrap_or_default();
    let counts = network.as_ref().map(|network| network.sessions().refused(None));
    let counts = counts.unwrap_or_default();
    Ok(Record::Node(Node {
        state: state.to_owned(),
        pid: std::process::id(),
        started_at: rfc3339(info.started_ms),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: API_VERSION,
        home: app.home().display().to_string(),
        socket: info.socket.display().to_string(),
        device: network.map(|network| network.net().device().to_string()),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        listen: info.listen.iter().map(ToString::to_string).collect(),
        relay: info.relay.clone(),
        lan: info.lan,
        supervised: info.watched,
        warnings: app.warnings(),
        refused: named(counts.refused),
        deferred: named(counts.deferred),
    }))
}

async fn peers(app: Arc<App>, request: NodePeers) -> Outcome {
    let (replica, network) = (app.replica()?, app.network().await?);
    let listing = tokio::task::spawn_blocking(move || {
        let states = sync_status::all(&app, &replica)?;
        let mut list = Vec::new();
        for (device, record) in network.peers().met() {
            let live = network.peers().live(&device);
            if live.is_none() && request.connected {
                continue;
            }
            let id = device.to_string();
            let of_peer: Vec<_> = states
                .iter()
                .filter(|(_, state)| state.peer == id && state.section != "visitors")
                .map(|(_, state)| state.state.as_str())
                .collect();
            let state = overall(&of_peer);
            list.push(Record::Peer(peer(&network, &replica, &device, &record, live, state)));
        }
        Ok::<_, ErrorRecord>(list)
    });
    let list = listing.await.map_err(|error| failed(&error))??;
    Ok(Answer::Records(list))
}

async fn connect(app: Arc<App>, request: NodeConnect) -> Outcome {
    let ticket = NodeTicket::parse(&request.ticket)
        .map_err(|error| ErrorRecord::from(error).with_hint(NODE_TICKET))?;
    let (replica, network) = (app.replica()?, app.network().await?);
    if ticket.device == network.net().device() {
        return Err(ErrorRecord::new(ErrorKind::Usage, "that is this node's own ticket"));
    }
    let (peers, remembered, name) = (network.peers().clone(), ticket.clone(), request.name);
    let noting = tokio::task::spawn_blocking(move || peers.remember(&remembered, name, true));
    noting.await.map_err(|error| failed(&error))??;
    if network.peers().live(&ticket.device).is_none() {
        network.sessions().dial(&ticket, None).await?;
    }
    let record = network.peers().record(&ticket.device);
    let live = network.peers().live(&ticket.device);
    Ok(Record::Peer(peer(&network, &replica, &ticket.device, &record, live, "unknown")).into())
}

async fn forget(app: Arc<App>, request: NodeForget) -> Outcome {
    let (replica, network) = (app.replica()?, app.network().await?);
    let device = names::peer(&network, &replica, &request.peer)?.device;
    let forgetting = tokio::task::spawn_blocking(move || {
        let name = names::peer_name(&replica, &device, &network.peers().record(&device));
        let Some(record) = network.peers().forget(&device)? else {
            let message = format!("{} is no peer of this node", device.short());
            return Err(
                ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic node peers")
            );
        };
        let forgotten = peer(&network, &replica, &device, &record, None, "unknown");
        Ok(Record::Peer(Peer { name, forgotten: true.into(), ..forgotten }))
    });
    Ok(forgetting.await.map_err(|error| failed(&error))??.into())
}

async fn ticket(app: Arc<App>, _: TicketRequest) -> Outcome {
    let network: Arc<Network> = app.network().await?;
    let ticket = network.net().ticket().to_string();
    Ok(Record::Ticket(Ticket { kind: "node".to_owned(), ticket, expires_at: None }).into())
}

fn peer(
    network: &Network,
    replica: &Replica,
    device: &DeviceId,
    record: &PeerRecord,
    live: Option<Live>,
    sync_state: &str,
) -> Peer {
    let (sent, received) = network.net().traffic(device);
    let counts = network.sessions().refused(Some(device));
    let open = live.filter(|live| live.connection.close_reason().is_none());
    let rtt_ms = open.as_ref().and_then(|live| {
        let paths = live.connection.paths();
        let selected = paths.iter().find(|path| path.is_selected());
        selected.and_then(|path| u64::try_from(path.rtt().as_millis()).ok())
    });
    let files = network.sessions().files(device);
    Peer {
        device: device.to_string(),
        account: names::account_of(replica, device).map(|account| account.to_string()),
        name: names::peer_name(replica, device, record),
        state: if open.is_some() { "connected" } else { "away" }.to_owned(),
        address: record.addresses.first().cloned(),
        rtt_ms,
        in_bytes: Some(record.in_bytes.saturating_add(received)),
        out_bytes: Some(record.out_bytes.saturating_add(sent)),
        file_in_bytes: Some(files.fetched),
        file_out_bytes: Some(files.given),
        sync_state: sync_state.to_owned(),
        refused: named(counts.refused),
        deferred: named(counts.deferred),
        seen_at: (record.seen_ms > 0).then(|| rfc3339(record.seen_ms)),
        forgotten: false.into(),
    }
}

fn named(counts: BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// One word for many sections: the worst of them.
pub(super) fn overall(states: &[&str]) -> &'static str {
    if states.iter().any(|state| *state == "differs" || *state == "failed") {
        "differs"
    } else if states.is_empty() || states.contains(&"unknown") {
        "unknown"
    } else {
        "in-sync"
    }
}

fn failed(error: &impl ToString) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Error, error.to_string())
}
