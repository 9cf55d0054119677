//! Copies, peers and the node.

use std::collections::BTreeMap;

use mosaic_node::api::types::{BlobRule, Holder, Node, Peer, Status, Sub, SyncResult, SyncState};

use super::{Cell, Fields, View, count, short};
use crate::quantity::{show_age, show_bytes};

const DAY_MS: u64 = 86_400_000;

pub(super) fn sub(sub: &Sub) -> View {
    let history = match sub.history_ms {
        None => "full".to_owned(),
        Some(0) => "heads".to_owned(),
        Some(ms) if ms % DAY_MS == 0 => format!("{}d", ms / DAY_MS),
        Some(ms) => format!("{}s", ms / 1000),
    };
    let blobs = match sub.blobs {
        None | Some(BlobRule::All) => "all".to_owned(),
        Some(BlobRule::None) => "none".to_owned(),
        Some(BlobRule::UpToBytes(bytes)) => show_bytes(bytes),
    };
    let target = match &sub.petname {
        Some(name) => Cell::Name(format!("@{name}")),
        None if sub.own => Cell::Name("own".to_owned()),
        None => Cell::Name(String::new()),
    };
    View::Row(vec![
        Cell::Id(sub.target.clone()),
        target,
        Cell::Text(history),
        Cell::Text(blobs),
        Cell::Bytes(sub.held_bytes),
        sub.max_bytes.map_or_else(|| Cell::Text("no limit".to_owned()), Cell::Bytes),
        Cell::Text(need(&sub.state, sub.missing_changes, sub.missing_bodies)),
    ])
}

/// Returns `in-sync`, or what is missing.
fn need(state: &str, changes: u64, bodies: u64) -> String {
    let mut needs = Vec::new();
    if changes > 0 {
        needs.push(count(changes, "change"));
    }
    if bodies > 0 {
        needs.push(count(bodies, "body"));
    }
    if needs.is_empty() { state.to_owned() } else { format!("{state}: need {}", needs.join(", ")) }
}

pub(super) fn holder(holder: &Holder) -> View {
    let peer = match &holder.peer_name {
        Some(name) => Cell::Name(name.clone()),
        None => Cell::Id(holder.peer.clone()),
    };
    let time = |at: &Option<String>| Cell::Time(at.clone().unwrap_or_default());
    View::Row(vec![
        peer,
        Cell::Text(holder.state.clone()),
        Cell::Text(if holder.private.0 { "with what is private" } else { "" }.to_owned()),
        Cell::Time(holder.signed_at.clone()),
        Cell::Time(holder.until.clone()),
        time(&holder.checked_at),
    ])
}

pub(super) fn sync_result(result: &SyncResult) -> View {
    let peer = match &result.peer_name {
        Some(name) => Cell::Name(name.clone()),
        None => Cell::Id(result.peer.clone()),
    };
    let mut cells = vec![peer, Cell::Text(result.state.clone())];
    if result.state != "unreachable" {
        let bytes =
            [result.control_bytes, result.inline_bytes, result.blob_bytes, result.body_bytes];
        cells.push(Cell::Text(format!(
            "{} in, {} out, {}, {}",
            result.in_changes,
            result.out_changes,
            show_bytes(bytes.iter().fold(0, |sum: u64, part| sum.saturating_add(*part))),
            count(result.round_trips, "round trip"),
        )));
        cells.push(Cell::Text(count(result.signatures_checked, "signature")));
        cells.push(Cell::Millis(result.elapsed_ms));
    }
    if result.missing_bodies > 0 {
        cells.push(Cell::Text(format!("lacks {}", count(result.missing_bodies, "body"))));
    }
    cells.push(Cell::Text(result.reasons.join("; ")));
    View::Row(cells)
}

pub(super) fn sync_state(state: &SyncState) -> View {
    let peer = match &state.peer_name {
        Some(name) => Cell::Name(name.clone()),
        None => Cell::Id(state.peer.clone()),
    };
    let mut said = Vec::new();
    if state.unsent_changes > 0 {
        said.push(format!("{} to send", count(state.unsent_changes, "change")));
    }
    if state.missing_changes > 0 {
        said.push(format!("{} to fetch", count(state.missing_changes, "change")));
    }
    if state.missing_bodies > 0 {
        said.push(format!("{} to fetch", count(state.missing_bodies, "body")));
    }
    if state.peer_missing_bodies > 0 {
        said.push(format!("it lacks {}", count(state.peer_missing_bodies, "body")));
    }
    match state.durable {
        Some(true) => said.push("durable there".to_owned()),
        Some(false) => said.push("not durable there".to_owned()),
        None => {}
    }
    said.extend(state.reasons.iter().cloned());
    View::Row(vec![
        peer,
        Cell::Id(state.target.clone()),
        Cell::Text(state.section.clone()),
        Cell::Text(state.state.clone()),
        Cell::Text(said.join("; ")),
        Cell::Time(state.checked_at.clone().unwrap_or_default()),
    ])
}

pub(super) fn status(status: &Status) -> View {
    let mut fields = Fields::default();
    match &status.account {
        Some(account) => {
            let name = status.name.clone().unwrap_or_else(|| short(account));
            let device = status.device_name.clone().unwrap_or_default();
            fields = fields
                .put("identity", Cell::Name(name))
                .put("account", Cell::Text(account.clone()))
                .put("device", Cell::Text(format!("{device} ({} in all)", status.devices)));
        }
        None => fields = fields.put("identity", Cell::Text("none yet".to_owned())),
    }
    let node = match (&status.node_started_at, status.node_running) {
        (Some(since), true) => format!("running since {}", show_age(since)),
        (None, true) => "running".to_owned(),
        (_, false) => "not running".to_owned(),
    };
    let peers = format!("{} connected, {} away", status.peers_connected, status.peers_away);
    let mut sync = need(&status.sync_state, status.missing_changes, status.missing_bodies);
    if status.unsent_changes > 0 {
        sync.push_str(&format!(", {} on no other copy", count(status.unsent_changes, "change")));
    }
    fields = fields
        .put("node", Cell::Text(node))
        .put("peers", Cell::Text(peers))
        .put("sync", Cell::Text(sync))
        .put("documents", Cell::Count(status.documents, ""))
        .put("store", Cell::Bytes(status.store_bytes))
        .put("home", Cell::Text(status.home.clone()));
    for warning in &status.warnings {
        fields = fields.put("warning", Cell::Text(warning.clone()));
    }
    fields.view()
}

pub(super) fn node(node: &Node) -> View {
    let mut fields = Fields::default()
        .put("state", Cell::Text(node.state.clone()))
        .put("pid", Cell::Count(u64::from(node.pid), ""))
        .put("started", Cell::Time(node.started_at.clone()))
        .put("version", Cell::Text(node.version.clone()))
        .put("api", Cell::Text(format!("v{}", node.api)))
        .put("home", Cell::Text(node.home.clone()))
        .put("socket", Cell::Text(node.socket.clone()))
        .maybe("device", node.device.clone().map(Cell::Text));
    for address in &node.addresses {
        fields = fields.put("address", Cell::Text(address.clone()));
    }
    let lan = if node.lan { "looks for peers" } else { "off" };
    fields = fields
        .maybe("relay", node.relay.clone().map(Cell::Text))
        .put("lan", Cell::Text(lan.to_owned()))
        .maybe("refused", counted(&node.refused).map(Cell::Text))
        .maybe("deferred", counted(&node.deferred).map(Cell::Text));
    for warning in &node.warnings {
        fields = fields.put("warning", Cell::Text(warning.clone()));
    }
    fields.view()
}

/// Returns counts as `reason 2, other 1`; `None` if there are none.
fn counted(counts: &BTreeMap<String, u64>) -> Option<String> {
    let parts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

pub(super) fn peer(peer: &Peer) -> View {
    let traffic = match (peer.in_bytes, peer.out_bytes) {
        (Some(received), Some(sent)) => {
            format!("rx {} tx {}", show_bytes(received), show_bytes(sent))
        }
        _ => String::new(),
    };
    let refused = peer.refused.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let refused = if refused > 0 { format!("{refused} refused") } else { String::new() };
    View::Row(vec![
        Cell::Id(peer.device.clone()),
        Cell::Name(peer.name.clone().unwrap_or_default()),
        Cell::Text(peer.state.clone()),
        Cell::text(peer.address.as_deref()),
        Cell::Text(peer.rtt_ms.map(|ms| format!("{ms} ms")).unwrap_or_default()),
        Cell::Text(traffic),
        Cell::Text(peer.sync_state.clone()),
        Cell::Text(refused),
        Cell::Time(peer.seen_at.clone().unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(need("in-sync", 0, 0), "in-sync");
        assert_eq!(need("differs", 2, 1), "differs: need 2 changes, 1 body");
    }

    #[test]
    fn only_reasons_that_occurred_are_named() {
        assert_eq!(counted(&BTreeMap::new()), None);
        let counts = BTreeMap::from([("link".to_owned(), 2), ("malformed".to_owned(), 1)]);
        assert_eq!(counted(&counts).as_deref(), Some("link 2, malformed 1"));
    }

    #[test]
    fn an_unreachable_peer_has_no_numbers() {
        let result = SyncResult {
            peer: "hub".into(),
            state: "unreachable".into(),
            reasons: vec!["no answer".into()],
            ..SyncResult::default()
        };
        let View::Row(cells) = sync_result(&result) else { panic!("no row") };
        let cells: Vec<String> = cells.iter().map(Cell::plain).collect();
        assert_eq!(cells, ["hub", "unreachable", "no answer"]);
    }
}
