//! PNG: chunks up to the end of the image.

use std::io::{BufReader, Read, Write};

use super::{CopyError, array, bytes, copy as copy_bytes, orientation, skip};

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Chunks without which an image looks otherwise; all others are left out.
const KEPT: [&[u8; 4]; 20] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB",
    b"cICP", b"mDCV", b"cLLI", b"bKGD", b"hIST", b"pHYs", b"sPLT", b"acTL", b"fcTL", b"fdAT",
];

/// Copies the picture. What follows its end is left out.
pub(super) fn copy(from: &mut impl Read, to: &mut (impl Write + ?Sized)) -> Result<(), CopyError> {
    let mut from = BufReader::new(from);
    if array::<8>(&mut from)? != SIGNATURE {
        return Err(CopyError::Malformed("it does not begin as a PNG"));
    }
    to.write_all(SIGNATURE)?;
    let (mut first, mut pictured) = (true, false);
    loop {
        let length = u32::from_be_bytes(array(&mut from)?);
        let kind: [u8; 4] = array(&mut from)?;
        if first != (&kind == b"IHDR") || length > i32::MAX.cast_unsigned() {
            return Err(CopyError::Malformed("a chunk is none"));
        }
        first = false;
        pictured |= &kind == b"IDAT";
        let length = u64::from(length);
        if &kind == b"eXIf" && length <= orientation::EXIF_BYTES_MAX {
            let turned = orientation::read(bytes(&mut from, length)?);
            skip(&mut from, 4)?;
            if let Some(number) = turned {
                write(to, kind, &orientation::exif(number))?;
            }
        } else if KEPT.contains(&&kind) {
            to.write_all(&u32::try_from(length).unwrap_or(0).to_be_bytes())?;
            to.write_all(&kind)?;
            // with its checksum
            copy_bytes(&mut from, to, length + 4)?;
        } else {
            skip(&mut from, length + 4)?;
        }
        if &kind == b"IEND" {
            break;
        }
    }
    if pictured { Ok(()) } else { Err(CopyError::Malformed("there is no picture in it")) }
}

fn write(to: &mut (impl Write + ?Sized), kind: [u8; 4], contents: &[u8]) -> std::io::Result<()> {
    let checked = [&kind[..], contents].concat();
    to.write_all(&u32::try_from(contents.len()).unwrap_or(0).to_be_bytes())?;
    to.write_all(&checked)?;
    to.write_all(&checksum(&checked).to_be_bytes())
}

/// CRC-32 as PNG uses it.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}
