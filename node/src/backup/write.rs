//! A snapshot as a stream.

use std::io::{self, Read, Write};

use mosaic_engine::store::disk::Snapshot;
use mosaic_engine::store::{StoreError, Table};
use tar::{Builder, EntryType, Header as TarHeader};

use super::layout::{BLOBS, CHUNK_BYTES, END, HEADER, HOME, Header, ROWS, Sum, put_row};

/// Compression: the usual level.
const LEVEL: i32 = 3;

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
    let mut encoder = zstd::Encoder::new(to, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut archive = Archive { tar: Builder::new(encoder), sum: Sum::default() };
    archive.put(HEADER, &serde_json::to_vec(header)?)?;
    for (name, bytes) in files {
        archive.put(&format!("{HOME}{name}"), bytes)?;
    }
    for table in Table::ALL {
        archive.rows(snapshot, table)?;
    }
    for blob in snapshot.blobs() {
        let file = snapshot.blob(blob).map_err(io::Error::other)?;
        let hash = archive.stream(&format!("{BLOBS}{}", blob.hash), blob.size, file)?;
        if hash.as_bytes() != blob.hash.as_bytes() {
            let damage = StoreError::corrupt(blob.hash.to_string(), "the bytes do not match");
            return Err(io::Error::other(damage));
        }
    }
    let end = serde_json::to_vec(&archive.sum.end())?;
    archive.put(END, &end)?;
    archive.tar.into_inner()?.finish()?.flush()
}

struct Archive<W: Write> {
    tar: Builder<W>,
    sum: Sum,
}

impl<W: Write> Archive<W> {
    fn rows(&mut self, snapshot: &Snapshot, table: Table) -> io::Result<()> {
        let (mut chunk, mut number) = (Vec::new(), 0u64);
        let mut failed = None;
        let walked = snapshot.rows(table, &mut |key, value| {
            put_row(&mut chunk, key, value);
            if chunk.len() >= CHUNK_BYTES {
                let name = format!("{ROWS}{}/{number}", table.name());
                number += 1;
                let put = self.put(&name, &chunk);
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
        self.put(&format!("{ROWS}{}/{number}", table.name()), &chunk)
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.stream(name, bytes.len() as u64, bytes).map(drop)
    }

    /// Appends an entry of exactly `size` bytes; returns their hash.
    fn stream(&mut self, name: &str, size: u64, from: impl Read) -> io::Result<blake3::Hash> {
        let mut header = TarHeader::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_path(name)?;
        header.set_mode(0o600);
        header.set_size(size);
        header.set_cksum();
        self.sum.begin(name, size);
        let mut counted = Counted {
            from: from.take(size),
            sum: &mut self.sum,
            own: blake3::Hasher::new(),
            read: 0,
        };
        self.tar.append(&header, &mut counted)?;
        if counted.read != size {
            let message = format!("{name} has {} bytes, not {size}", counted.read);
            return Err(io::Error::other(StoreError::corrupt(name, message)));
        }
        Ok(counted.own.finalize())
    }
}

/// Hashes what is read.
struct Counted<'a, R> {
    from: R,
    sum: &'a mut Sum,
    own: blake3::Hasher,
    read: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        let got = bytes.get(..read).unwrap_or_default();
        self.sum.update(got);
        self.own.update(got);
        self.read += read as u64;
        Ok(read)
    }
}
