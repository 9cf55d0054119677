//! Keys of the rows that are derived from entries.

use super::join;
use crate::chain::ChainKey;
use crate::hash::{AccountId, ChangeId, DocumentId};

/// Entry row.
#[must_use]
pub fn entry(id: &ChangeId) -> Vec<u8> {
    join(b'e', &[id.as_bytes()])
}

/// Wall index row; newest first.
#[must_use]
pub fn wall(account: &AccountId, time_ms: u64, id: &ChangeId) -> Vec<u8> {
    join(b'w', &[account.as_bytes(), &(!time_ms).to_be_bytes(), id.as_bytes()])
}

/// All wall rows of an account.
#[must_use]
pub fn wall_prefix(account: &AccountId) -> Vec<u8> {
    join(b'w', &[account.as_bytes()])
}

/// Reads time and entry out of a wall row's key.
#[must_use]
pub fn parse_wall(key: &[u8]) -> Option<(u64, ChangeId)> {
    let rest = key.get(33..)?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let id: [u8; 32] = rest.try_into().ok()?;
    Some((!u64::from_be_bytes(*time), ChangeId::from_bytes(id)))
}

/// Channel index row; newest first.
#[must_use]
pub fn message(channel: &ChangeId, time_ms: u64, account: &AccountId, id: &ChangeId) -> Vec<u8> {
    let time = (!time_ms).to_be_bytes();
    join(b'c', &[channel.as_bytes(), &time, account.as_bytes(), id.as_bytes()])
}

/// All rows of a channel.
#[must_use]
pub fn messages(channel: &ChangeId) -> Vec<u8> {
    join(b'c', &[channel.as_bytes()])
}

/// Reads time, account and entry out of a channel row's key.
#[must_use]
pub fn parse_message(key: &[u8]) -> Option<(u64, AccountId, ChangeId)> {
    let (time, rest) = key.get(33..)?.split_first_chunk::<8>()?;
    let (account, rest) = rest.split_first_chunk::<32>()?;
    let id: [u8; 32] = rest.try_into().ok()?;
    let time_ms = !u64::from_be_bytes(*time);
    Some((time_ms, AccountId::from_bytes(*account), ChangeId::from_bytes(id)))
}

/// Row of what an author had seen of a hub from an entry on.
#[must_use]
pub fn seen(chain: &ChainKey, n: u64) -> Vec<u8> {
    let mut key = seen_prefix(chain);
    key.extend_from_slice(&n.to_be_bytes());
    key
}

/// All such rows of a chain.
#[must_use]
pub fn seen_prefix(chain: &ChainKey) -> Vec<u8> {
    let ChainKey { doc, device, incarnation } = chain;
    join(b'k', &[doc.as_bytes(), device.as_bytes(), incarnation.as_bytes()])
}

/// Row of an entry that tells of a key of a channel.
#[must_use]
pub fn channel_key(channel: &ChangeId, id: &ChangeId) -> Vec<u8> {
    join(b'l', &[channel.as_bytes(), id.as_bytes()])
}

/// All such rows of a channel.
#[must_use]
pub fn channel_keys(channel: &ChangeId) -> Vec<u8> {
    join(b'l', &[channel.as_bytes()])
}

/// Modification row.
#[must_use]
pub fn modification(target: &ChangeId, id: &ChangeId) -> Vec<u8> {
    join(b'm', &[target.as_bytes(), id.as_bytes()])
}

/// All modifications of an entry.
#[must_use]
pub fn modifications(target: &ChangeId) -> Vec<u8> {
    join(b'm', &[target.as_bytes()])
}

/// Reply or reaction row.
#[must_use]
pub fn response(target: &ChangeId, id: &ChangeId) -> Vec<u8> {
    join(b'x', &[target.as_bytes(), id.as_bytes()])
}

/// All replies to and reactions on an entry.
#[must_use]
pub fn responses(target: &ChangeId) -> Vec<u8> {
    join(b'x', &[target.as_bytes()])
}

/// Row of a post that an account imported.
#[must_use]
pub fn origin(account: &AccountId, origin: &[u8; 32], id: &ChangeId) -> Vec<u8> {
    join(b'o', &[account.as_bytes(), origin, id.as_bytes()])
}

/// All rows of what an account imported under one origin.
#[must_use]
pub fn origins(account: &AccountId, origin: &[u8; 32]) -> Vec<u8> {
    join(b'o', &[account.as_bytes(), origin])
}

/// Row of a post whose text is a document.
#[must_use]
pub fn text_post(doc: &DocumentId, id: &ChangeId) -> Vec<u8> {
    join(b't', &[doc.as_bytes(), id.as_bytes()])
}

/// All posts whose text is this document.
#[must_use]
pub fn text_posts(doc: &DocumentId) -> Vec<u8> {
    join(b't', &[doc.as_bytes()])
}
