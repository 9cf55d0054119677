//! Keys of what is known of peers.

use super::join;
use crate::hash::{DeviceId, SpaceId};

/// What is known of a peer.
#[must_use]
pub fn peer(device: &DeviceId) -> Vec<u8> {
    join(b'o', &[device.as_bytes()])
}

/// All records about peers.
pub const PEERS: &[u8] = b"o";

/// What sections are talked about with a peer, where this side opened the session or where not.
#[must_use]
pub fn agreed(peer: &DeviceId, opener: bool) -> Vec<u8> {
    join(b'L', &[peer.as_bytes(), &[u8::from(opener)]])
}

/// What a device signed that it holds of a space.
#[must_use]
pub fn hold(space: &SpaceId, device: &DeviceId) -> Vec<u8> {
    join(b'H', &[space.as_bytes(), device.as_bytes()])
}

/// What all devices signed that they hold of a space.
#[must_use]
pub fn holds(space: &SpaceId) -> Vec<u8> {
    join(b'H', &[space.as_bytes()])
}

/// All of them.
pub const HOLDS: &[u8] = b"H";

/// Reads the device out of a key of [`hold`].
#[must_use]
pub fn parse_hold(key: &[u8]) -> Option<DeviceId> {
    Some(DeviceId::from_bytes(*key.last_chunk::<32>()?))
}
