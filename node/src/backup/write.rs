//! A snapshot as a stream.

use std::io::{self, Write};

use mosaic_engine::store::disk::Snapshot;
use mosaic_engine::store::{StoreError, Table};

use super::layout::{BLOBS, CHUNK_BYTES, HEADER, HOME, Header, ROWS, put_row};
use crate::tarball::Writer;

/// Writes a backup; in bounded memory, whatever is in the store.
///
/// # Errors
/// `to` takes no more, or the store is damaged.
pub(crate) fn write(
    snapshot: &Snapshot,
    header: &Header,
    files: &[(&'static str, Vec<u8>)],
    to: impl Write,
) -> io::Result<()> {
    let mut archive = Writer::new(to)?;
    archive.put(HEADER, &serde_json::to_vec(header)?)?;
    for (name, bytes) in files {
        archive.put(&format!("{HOME}{name}"), bytes)?;
    }
    for table in Table::ALL {
        rows(&mut archive, snapshot, table)?;
    }
    for blob in snapshot.blobs() {
        let file = snapshot.blob(blob).map_err(io::Error::other)?;
        let hash = archive.stream(&format!("{BLOBS}{}", blob.hash), blob.size, file)?;
        if hash.as_bytes() != blob.hash.as_bytes() {
            let damage = StoreError::corrupt(blob.hash.to_string(), "the bytes do not match");
            return Err(io::Error::other(damage));
        }
    }
    archive.finish().map(drop)
}

fn rows(archive: &mut Writer<impl Write>, snapshot: &Snapshot, table: Table) -> io::Result<()> {
    let (mut chunk, mut number) = (Vec::new(), 0u64);
    let mut failed = None;
    let walked = snapshot.rows(table, &mut |key, value| {
        put_row(&mut chunk, key, value);
        if chunk.len() >= CHUNK_BYTES {
            let name = format!("{ROWS}{}/{number}", table.name());
            number += 1;
            let put = archive.put(&name, &chunk);
            chunk.clear();
            put.map_err(|error| {
                failed = Some(error);
                StoreError::Closed
            })?;
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    walked.map_err(io::Error::other)?;
    if chunk.is_empty() {
        return Ok(());
    }
    archive.put(&format!("{ROWS}{}/{number}", table.name()), &chunk)
}
