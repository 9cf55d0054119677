//! What both directions agree on.

use mosaic_engine::store::{STORE_FORMAT, Table};
use serde::{Deserialize, Serialize};

/// Version of the layout.
pub(super) const FORMAT: u32 = 1;
/// First entry.
pub(super) const HEADER: &str = "backup.json";
/// Where files of the home are.
pub(super) const HOME: &str = "home/";
/// Where rows are.
pub(super) const ROWS: &str = "rows/";
/// Where large blobs are.
pub(super) const BLOBS: &str = "blobs/";
/// Files of the home that a backup may hold, each with the most bytes it may have.
pub(super) const HOME_FILES: [(&str, u64); 2] =
    [("config.toml", 64 * 1024), ("device.key", 64 * 1024)];
/// Bytes of rows at which the next entry begins.
pub(super) const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of an entry of rows: a chunk, and the row that ends it.
pub(super) const CHUNK_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the first entry says. A later version may say more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub format: u32,
    pub store_format: u32,
    pub program: String,
    pub commit: u64,
    pub account: String,
    pub device: String,
    pub created_at: String,
    pub keys: bool,
}

/// Describes a backup that is made now.
pub(crate) fn header(
    commit: u64,
    account: &str,
    device: &str,
    created_at: String,
    keys: bool,
) -> Header {
    Header {
        format: FORMAT,
        store_format: STORE_FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        commit,
        account: account.to_owned(),
        device: device.to_owned(),
        created_at,
        keys,
    }
}

/// Appends a row to a chunk.
pub(super) fn put_row(chunk: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for part in [key, value] {
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        chunk.extend_from_slice(&len.to_be_bytes());
    }
    chunk.extend_from_slice(key);
    chunk.extend_from_slice(value);
}

/// Takes the first row off a chunk; `None` if it is not whole.
pub(super) fn take_row<'a>(chunk: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (key_len, rest) = chunk.split_first_chunk::<4>()?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*key_len) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*value_len) as usize)?;
    *chunk = rest;
    Some((key, value))
}

/// Finds a table by name.
pub(super) fn table(name: &str) -> Option<Table> {
    Table::ALL.into_iter().find(|table| table.name() == name)
}
