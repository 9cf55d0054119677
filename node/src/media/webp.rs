//! WebP: chunks of a RIFF, whose size comes first: a look at all of it, then the copy.

use std::io::{BufReader, Read, Seek, SeekFrom, Write};

use super::{CopyError, array, bytes, copy as copy_bytes, orientation, skip};

/// Bits of the extended header that say there is metadata.
const EXIF_BIT: u8 = 0x08;
const XMP_BIT: u8 = 0x04;

/// Chunks without which an image looks otherwise; all others are left out.
const KEPT: [&[u8; 4]; 7] = [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];

/// What a look found.
#[derive(Default)]
struct Found {
    /// Bytes of the chunks that are kept, headers counted.
    kept: u64,
    orientation: Option<u8>,
    pictured: bool,
}

/// Copies the picture. What follows its end is left out.
pub(super) fn copy(
    from: &mut (impl Read + Seek),
    to: &mut (impl Write + ?Sized),
) -> Result<(), CopyError> {
    let mut from = BufReader::new(from);
    let end = header(&mut from)?;
    let found = look(&mut from, end)?;
    if !found.pictured {
        return Err(CopyError::Malformed("there is no picture in it"));
    }
    from.seek(SeekFrom::Start(0))?;
    header(&mut from)?;
    let exif = found.orientation.map(orientation::exif);
    let added = exif.as_ref().map_or(0, |exif| 8 + exif.len() as u64);
    let size = u32::try_from(found.kept + added + 4);
    let size = size.map_err(|_| CopyError::Malformed("it is too large"))?;
    to.write_all(b"RIFF")?;
    to.write_all(&size.to_le_bytes())?;
    to.write_all(b"WEBP")?;
    chunks(&mut from, end, |from, kind, length, padded| {
        if !KEPT.contains(&&kind) {
            return skip(from, padded).map_err(Into::into);
        }
        to.write_all(&kind)?;
        to.write_all(&u32::try_from(length).unwrap_or(0).to_le_bytes())?;
        if &kind == b"VP8X" {
            let [flags] = array(from)?;
            let exif_bit = if exif.is_some() { EXIF_BIT } else { 0 };
            to.write_all(&[flags & !(EXIF_BIT | XMP_BIT) | exif_bit])?;
            return copy_bytes(from, to, padded - 1).map_err(Into::into);
        }
        copy_bytes(from, to, padded).map_err(Into::into)
    })?;
    if let Some(exif) = exif {
        to.write_all(b"EXIF")?;
        to.write_all(&u32::try_from(exif.len()).unwrap_or(0).to_le_bytes())?;
        to.write_all(&exif)?;
    }
    Ok(())
}

/// Reads the first chunk's header; returns how many bytes follow.
fn header(from: &mut impl Read) -> Result<u64, CopyError> {
    let head: [u8; 4] = array(from)?;
    let size = u32::from_le_bytes(array(from)?);
    let kind: [u8; 4] = array(from)?;
    if &head != b"RIFF" || &kind != b"WEBP" || size < 4 {
        return Err(CopyError::Malformed("it does not begin as a WebP"));
    }
    Ok(u64::from(size) - 4)
}

fn look(from: &mut impl Read, end: u64) -> Result<Found, CopyError> {
    let (mut found, mut extended) = (Found::default(), false);
    chunks(from, end, |from, kind, length, padded| {
        if &kind == b"VP8X" && length < 10 {
            return Err(CopyError::Malformed("a chunk is too short"));
        }
        extended |= &kind == b"VP8X";
        found.pictured |= [b"VP8 ", b"VP8L", b"ANMF"].contains(&&kind);
        if KEPT.contains(&&kind) {
            found.kept += 8 + padded;
        }
        if &kind == b"EXIF" && extended && length <= orientation::EXIF_BYTES_MAX {
            let mut exif = bytes(from, padded)?;
            // as some write it
            if exif.starts_with(b"Exif\0\0") {
                exif.drain(..6);
            }
            found.orientation = orientation::read(exif);
            return Ok(());
        }
        skip(from, padded).map_err(Into::into)
    })?;
    Ok(found)
}

/// Calls `act` for each chunk, which is to read all of it: its kind, length, and length padded.
fn chunks<R: Read>(
    from: &mut R,
    end: u64,
    mut act: impl FnMut(&mut R, [u8; 4], u64, u64) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let mut left = end;
    while left >= 8 {
        let kind: [u8; 4] = array(from)?;
        let length = u64::from(u32::from_le_bytes(array(from)?));
        let padded = length + length % 2;
        left -= 8;
        if padded > left {
            return Err(CopyError::Malformed("a chunk is longer than the file"));
        }
        left -= padded;
        act(from, kind, length, padded)?;
    }
    if left == 0 { Ok(()) } else { Err(CopyError::Malformed("it ends too early")) }
}
