//! GIF: blocks up to the trailer.

use std::io::{BufReader, Read, Write};

use super::{CopyError, array, bytes, copy as copy_bytes};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2c;
const TRAILER: u8 = 0x3b;
const TEXT: u8 = 0x01;
const CONTROL: u8 = 0xf9;
const APPLICATION: u8 = 0xff;

/// Applications whose blocks say how often an animation runs.
const LOOPS: [&[u8]; 2] = [b"NETSCAPE2.0", b"ANIMEXTS1.0"];

/// Copies the picture. What follows its end is left out.
pub(super) fn copy(from: &mut impl Read, to: &mut (impl Write + ?Sized)) -> Result<(), CopyError> {
    let mut from = BufReader::new(from);
    let head: [u8; 13] = array(&mut from)?;
    to.write_all(&head)?;
    let [.., flags, _, _] = head;
    copy_bytes(&mut from, to, table_bytes(flags))?;
    let mut pictured = false;
    loop {
        match array::<1>(&mut from)? {
            [TRAILER] => break,
            [IMAGE] => {
                pictured = true;
                let place: [u8; 9] = array(&mut from)?;
                to.write_all(&[IMAGE])?;
                to.write_all(&place)?;
                let [.., flags] = place;
                // with the size of a code
                copy_bytes(&mut from, to, table_bytes(flags) + 1)?;
                blocks(&mut from, Some(&mut *to))?;
            }
            [EXTENSION] => extension(&mut from, to)?,
            _ => return Err(CopyError::Malformed("a block is none")),
        }
    }
    if !pictured {
        return Err(CopyError::Malformed("there is no picture in it"));
    }
    to.write_all(&[TRAILER])?;
    Ok(())
}

fn extension(from: &mut impl Read, to: &mut (impl Write + ?Sized)) -> Result<(), CopyError> {
    let [label, length] = array(from)?;
    let first = bytes(from, u64::from(length))?;
    let loops = label == APPLICATION && LOOPS.contains(&first.as_slice());
    let kept = matches!(label, TEXT | CONTROL) || loops;
    if kept {
        to.write_all(&[EXTENSION, label, length])?;
        to.write_all(&first)?;
    }
    match length {
        // it is the end of the blocks already
        0 => Ok(()),
        _ if kept => blocks(from, Some(to)),
        _ => blocks(from, None::<&mut std::io::Sink>),
    }
}

/// Bytes of the table of colours that flags announce.
fn table_bytes(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << (u64::from(flags & 7) + 1) }
}

/// Copies blocks, or passes over them, up to the empty one.
fn blocks(
    from: &mut impl Read,
    mut to: Option<&mut (impl Write + ?Sized)>,
) -> Result<(), CopyError> {
    loop {
        let [length] = array(from)?;
        let block = bytes(from, u64::from(length))?;
        if let Some(to) = to.as_deref_mut() {
            to.write_all(&[length])?;
            to.write_all(&block)?;
        }
        if length == 0 {
            return Ok(());
        }
    }
}
