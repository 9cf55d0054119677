//! Reads the frame of the database's table and version files (sfa 1). The database allocates for
//! what a table of contents claims before it looks at its checksum: so it is checked first.
//!
//! ```text
//! sections ‖ contents ‖ "SFA!" ‖ 1 ‖ 0 ‖ checksum of the contents u128 ‖ their place u64 ‖ len u64
//! contents   "TOC!" ‖ count u32 ‖ (place u64 ‖ len u64 ‖ name len u16 ‖ name)*
//! ```

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use xxhash_rust::xxh3::xxh3_128;

const TRAILER_BYTES: u64 = 38;
/// Bytes of contents: a handful of sections take a few hundred.
const CONTENTS_BYTES_MAX: u64 = 64 * 1024;

/// Checks trailer and contents of a file; `None` if they do not fit together.
pub(super) fn contents(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let Some(end) = len.checked_sub(TRAILER_BYTES) else { return Ok(None) };
    let trailer = read(&mut file, end, TRAILER_BYTES)?;
    let Some((checksum, at)) = parse_trailer(&trailer) else { return Ok(None) };
    let Some(size) = end.checked_sub(at).filter(|size| *size <= CONTENTS_BYTES_MAX) else {
        return Ok(None);
    };
    let contents = read(&mut file, at, size)?;
    Ok((xxh3_128(&contents) == checksum).then_some(contents))
}

/// Returns the numbers of the tables that a version file lists. The file has been verified.
pub(super) fn tables_of_version(path: &Path) -> io::Result<Option<Vec<u64>>> {
    let Some(contents) = contents(path)? else { return Ok(None) };
    let Some((at, len)) = section(&contents, b"tables") else { return Ok(None) };
    let bytes = read(&mut File::open(path)?, at, len)?;
    Ok(parse_tables(&bytes))
}

fn read(file: &mut File, at: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse_trailer(bytes: &[u8]) -> Option<(u128, u64)> {
    let rest = bytes.strip_prefix(b"SFA!\x01\x00")?;
    let (checksum, rest) = rest.split_first_chunk::<16>()?;
    let (at, _) = rest.split_first_chunk::<8>()?;
    Some((u128::from_le_bytes(*checksum), u64::from_le_bytes(*at)))
}

fn section(contents: &[u8], wanted: &[u8]) -> Option<(u64, u64)> {
    let (count, mut rest) = contents.strip_prefix(b"TOC!")?.split_first_chunk::<4>()?;
    for _ in 0..u32::from_le_bytes(*count) {
        let (at, after) = rest.split_first_chunk::<8>()?;
        let (len, after) = after.split_first_chunk::<8>()?;
        let (name_len, after) = after.split_first_chunk::<2>()?;
        let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*name_len)))?;
        if name == wanted {
            return Some((u64::from_le_bytes(*at), u64::from_le_bytes(*len)));
        }
        rest = after;
    }
    None
}

/// levels u8 ‖ (runs u8 ‖ (tables u32 ‖ (id u64 ‖ checksum kind u8 ‖ checksum u128 ‖ u64)*)*)*
fn parse_tables(bytes: &[u8]) -> Option<Vec<u64>> {
    let mut tables = Vec::new();
    let (levels, mut rest) = bytes.split_first()?;
    for _ in 0..*levels {
        let (runs, after) = rest.split_first()?;
        rest = after;
        for _ in 0..*runs {
            let (count, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            for _ in 0..u32::from_le_bytes(*count) {
                let (table, after) = rest.split_first_chunk::<33>()?;
                let (id, _) = table.split_first_chunk::<8>()?;
                tables.push(u64::from_le_bytes(*id));
                rest = after;
            }
        }
    }
    rest.is_empty().then_some(tables)
}
