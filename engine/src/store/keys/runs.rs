//! Keys of rows that say something of several entries.

use super::{join, parse_chain_suffix};
use crate::chain::ChainKey;
use crate::hash::AccountId;

/// The chain of a name.
#[must_use]
pub fn chain_name(name: &[u8; 8]) -> Vec<u8> {
    join(b'n', &[name])
}

/// A chain as a value.
#[must_use]
pub fn chain_bytes(chain: &ChainKey) -> Vec<u8> {
    let (doc, device, life) = (&chain.doc, &chain.device, &chain.incarnation);
    [doc.as_bytes(), device.as_bytes(), &life.as_bytes()[..]].concat()
}

/// Wall index row of the posts among changes `first..=last` of a chain; those with the newest post
/// first.
#[must_use]
pub fn wall_run(
    account: &AccountId,
    newest_ms: u64,
    chain: &ChainKey,
    first: u64,
    last: u64,
) -> Vec<u8> {
    let (doc, device, life) = (&chain.doc, &chain.device, &chain.incarnation);
    let chain: [&[u8]; 3] = [doc.as_bytes(), device.as_bytes(), life.as_bytes()];
    let [newest, first, last] = [!newest_ms, first, last].map(u64::to_be_bytes);
    join(b'v', &[account.as_bytes(), &newest, chain[0], chain[1], chain[2], &last, &first])
}

/// All such rows of an account.
#[must_use]
pub fn wall_runs(account: &AccountId) -> Vec<u8> {
    join(b'v', &[account.as_bytes()])
}

/// Reads the time of the newest post, chain, first and last change out of the key of such a row.
#[must_use]
pub fn parse_wall_run(key: &[u8]) -> Option<(u64, ChainKey, u64, u64)> {
    let rest = key.strip_prefix(b"v")?.get(32..)?;
    let (newest, rest) = rest.split_first_chunk::<8>()?;
    let (chain, numbers) = rest.split_first_chunk::<80>()?;
    let (last, first) = numbers.split_first_chunk::<8>()?;
    let first = u64::from_be_bytes(first.try_into().ok()?);
    let chain = parse_chain_suffix(chain)?;
    Some((!u64::from_be_bytes(*newest), chain, first, u64::from_be_bytes(*last)))
}

/// Reads the account out of the key of such a row.
#[must_use]
pub fn parse_wall_owner(key: &[u8]) -> Option<AccountId> {
    Some(AccountId::from_bytes(*key.strip_prefix(b"v")?.first_chunk::<32>()?))
}
