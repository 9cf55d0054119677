//! Keys of rows about conversations.

use super::join;
use crate::hash::{ChangeId, ConversationId, DeviceId, EpochId, SealKey, SpaceId};

/// What conversations that were told of here began with.
pub const CONVERSATIONS: &[u8] = b"C";
/// What a conversation began with.
#[must_use]
pub fn conversation(id: &ConversationId) -> Vec<u8> {
    join(b'C', &[id.as_bytes()])
}

/// Who told of conversations.
pub const TELLERS: &[u8] = b"T";
/// Who told of a conversation.
#[must_use]
pub fn teller(id: &ConversationId) -> Vec<u8> {
    join(b'T', &[id.as_bytes()])
}

/// Peers that may keep what is private here, sealed.
pub const KEEPERS: &[u8] = b"K";
/// A peer that may keep what is private here, sealed.
#[must_use]
pub fn keeper(device: &DeviceId) -> Vec<u8> {
    join(b'K', &[device.as_bytes()])
}

/// Texts that are dropped some day, by when.
pub const EXPIRING: &[u8] = b"E";
/// An entry whose texts are dropped some day.
#[must_use]
pub fn expiring(at_ms: u64, id: &ChangeId) -> Vec<u8> {
    join(b'E', &[&at_ms.to_be_bytes(), id.as_bytes()])
}

/// Halves of prekeys of this device.
pub const PREKEYS: &[u8] = b"P";
/// The half of a prekey of this device.
#[must_use]
pub fn prekey(public: &SealKey) -> Vec<u8> {
    join(b'P', &[public.as_bytes()])
}

/// Keys of conversations and private channels, and of reports, that opened here.
pub const KEYRING: &[u8] = b"N";
/// A key that opened here.
#[must_use]
pub fn keyring(bound_to: &SpaceId, epoch: &EpochId) -> Vec<u8> {
    join(b'N', &[bound_to.as_bytes(), epoch.as_bytes()])
}

/// Keys of one circle that opened here.
#[must_use]
pub fn keyring_of(bound_to: &SpaceId) -> Vec<u8> {
    join(b'N', &[bound_to.as_bytes()])
}

/// When, and the entry.
#[must_use]
pub fn parse_expiring(key: &[u8]) -> Option<(u64, ChangeId)> {
    let at_ms = u64::from_be_bytes(*key.get(1..)?.first_chunk()?);
    Some((at_ms, ChangeId::from_bytes(*key.last_chunk()?)))
}
