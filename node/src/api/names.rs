//! What people call devices and peers.

use mosaic_engine::hash::{AccountId, DeviceId};
use mosaic_engine::replica::Replica;

use super::failure::NODE_TICKET;
use super::types::{ErrorKind, ErrorRecord};
use crate::network::Network;
use crate::peers::PeerRecord;
use crate::ticket::NodeTicket;

/// Digits that a prefix of an id needs.
const PREFIX_DIGITS_MIN: usize = 4;

/// Finds peers by ticket, by name, or by device id prefix.
pub(super) fn peer(
    network: &Network,
    replica: &Replica,
    text: &str,
) -> Result<NodeTicket, ErrorRecord> {
    let text = text.trim();
    let ticket = |start: &str| start.eq_ignore_ascii_case("mosaic");
    if text.get(..6).is_some_and(ticket) && text.len() > 32 {
        return NodeTicket::parse(text)
            .map_err(|error| ErrorRecord::from(error).with_hint(NODE_TICKET));
    }
    let records = network.peers().records();
    let named: Vec<_> = records
        .iter()
        .filter(|(device, record)| peer_name(replica, device, record).as_deref() == Some(text))
        .map(|(device, _)| *device)
        .collect();
    let digits = text.to_ascii_lowercase();
    let fits = |device: &DeviceId| {
        digits.len() >= PREFIX_DIGITS_MIN && device.to_string().starts_with(&digits)
    };
    let found = if named.is_empty() {
        records.keys().filter(|device| fits(device)).copied().collect()
    } else {
        named
    };
    match found.as_slice() {
        [only] => Ok(network.peers().record(only).ticket(*only)),
        [] => {
            let message = format!("no peer is called or starts with '{text}'");
            Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic sync status"))
        }
        several => Err(ambiguous("peer", text, several)),
    }
}

/// What we call a peer: its local name, or, for a device of our account, its name there.
pub(super) fn peer_name(
    replica: &Replica,
    device: &DeviceId,
    record: &PeerRecord,
) -> Option<String> {
    record.name.clone().or_else(|| own_device_name(replica, device))
}

/// The name of a device of our account.
pub(super) fn own_device_name(replica: &Replica, device: &DeviceId) -> Option<String> {
    let authority = replica.authority(&replica.account().ok()?).ok().flatten()?;
    authority.devices.get(device).map(|standing| standing.name.clone())
}

/// The account a device belongs to, as far as its certificates are known here.
pub(super) fn account_of(replica: &Replica, device: &DeviceId) -> Option<AccountId> {
    replica.path(device).ok().flatten().map(|path| path.account())
}

fn ambiguous(what: &str, text: &str, several: &[impl ToString]) -> ErrorRecord {
    let message = format!("'{text}' fits {} {what}s", several.len());
    let candidates = several.iter().map(ToString::to_string).collect();
    ErrorRecord { candidates, ..ErrorRecord::new(ErrorKind::Ambiguous, message) }
}
