//! Keys of rows about conversations.

use super::join;
use crate::hash::{ConversationId, DeviceId};

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
