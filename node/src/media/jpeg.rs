//! JPEG: segments up to the end of the image, and what stands between them.

use std::io::{BufRead, BufReader, Read, Write};

use super::{CopyError, array, bytes, orientation};

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;

/// Copies the picture. What follows its end (second pictures, films) is left out.
pub(super) fn copy(from: &mut impl Read, to: &mut (impl Write + ?Sized)) -> Result<(), CopyError> {
    let mut from = BufReader::new(from);
    if array::<2>(&mut from)? != [0xff, SOI] {
        return Err(CopyError::Malformed("it does not begin as a JPEG"));
    }
    to.write_all(&[0xff, SOI])?;
    let (mut framed, mut turned) = (false, false);
    let mut marker = next_marker(&mut from)?;
    loop {
        match marker {
            EOI if framed => break,
            EOI => return Err(CopyError::Malformed("there is no picture in it")),
            // stands alone
            0x01 | 0xd0..=0xd7 => marker = next_marker(&mut from)?,
            0x00 | SOI => return Err(CopyError::Malformed("a segment is none")),
            _ => {
                let length = u16::from_be_bytes(array(&mut from)?);
                let length = length.checked_sub(2);
                let length = length.ok_or(CopyError::Malformed("a segment is too short"))?;
                let contents = bytes(&mut from, u64::from(length))?;
                if let Some(kept) = kept(marker, contents, &mut turned) {
                    write(to, marker, &kept)?;
                }
                framed |= is_frame(marker);
                marker = match marker {
                    SOS => scan(&mut from, to)?,
                    _ => next_marker(&mut from)?,
                };
            }
        }
    }
    to.write_all(&[0xff, EOI])?;
    Ok(())
}

/// What of a segment is needed to show the picture.
fn kept(marker: u8, mut contents: Vec<u8>, turned: &mut bool) -> Option<Vec<u8>> {
    match marker {
        // frames, tables, restarts, scans
        0xc0..=0xcf | 0xda..=0xdf => Some(contents),
        APP0 if contents.starts_with(b"JFIF\0") && contents.len() >= 14 => {
            // no small picture
            contents.truncate(12);
            contents.extend_from_slice(&[0, 0]);
            Some(contents)
        }
        APP1 if contents.starts_with(b"Exif\0\0") && !*turned => {
            let number = orientation::read(contents.split_off(6))?;
            *turned = true;
            contents.extend_from_slice(&orientation::exif(number));
            Some(contents)
        }
        // how colours are meant
        APP2 if contents.starts_with(b"ICC_PROFILE\0") => Some(contents),
        APP14 if contents.starts_with(b"Adobe") => Some(contents),
        _ => None,
    }
}

const fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf if marker != 0xc4 && marker != 0xc8 && marker != 0xcc)
}

fn write(to: &mut (impl Write + ?Sized), marker: u8, contents: &[u8]) -> Result<(), CopyError> {
    let length = u16::try_from(contents.len().saturating_add(2));
    let length = length.map_err(|_| CopyError::Malformed("a segment is too long"))?;
    to.write_all(&[0xff, marker])?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(contents)?;
    Ok(())
}

/// Copies what is coded up to the next marker; returns that.
fn scan(from: &mut impl BufRead, to: &mut (impl Write + ?Sized)) -> Result<u8, CopyError> {
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Err(CopyError::Malformed("it ends too early"));
        }
        let plain = buffer.iter().position(|byte| *byte == 0xff).unwrap_or(buffer.len());
        to.write_all(buffer.get(..plain).unwrap_or_default())?;
        let marked = plain < buffer.len();
        from.consume(plain);
        if marked {
            match next_marker(from)? {
                // a byte of the picture, or a restart
                stays @ (0x00 | 0xd0..=0xd7) => to.write_all(&[0xff, stays])?,
                marker => return Ok(marker),
            }
        }
    }
}

fn next_marker(from: &mut impl Read) -> Result<u8, CopyError> {
    if array::<1>(from)? != [0xff] {
        return Err(CopyError::Malformed("there is something between two segments"));
    }
    loop {
        let [marker] = array(from)?;
        if marker != 0xff {
            return Ok(marker);
        }
    }
}
