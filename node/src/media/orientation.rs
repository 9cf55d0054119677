//! The one thing of an image's Exif that stays: which way is up.

use exif::{In, Reader, Tag};

/// Bytes of Exif that are looked at; a segment of JPEG has no more.
pub(super) const EXIF_BYTES_MAX: u64 = 64 * 1024;

/// Reads the orientation out of Exif; `None` if it is the usual one, or cannot be read.
pub(super) fn read(exif: Vec<u8>) -> Option<u8> {
    let fields = Reader::new().read_raw(exif).ok()?;
    let field = fields.get_field(Tag::Orientation, In::PRIMARY)?;
    let number = u8::try_from(field.value.get_uint(0)?).ok()?;
    (2..=8).contains(&number).then_some(number)
}

/// Exif with nothing in it but an orientation.
pub(super) fn exif(orientation: u8) -> Vec<u8> {
    let mut tiff = b"MM\0*\0\0\0\x08".to_vec();
    // one field: tag 0x0112, of type short, once
    tiff.extend_from_slice(b"\0\x01\x01\x12\0\x03\0\0\0\x01");
    // its value, and no further directory
    tiff.extend_from_slice(&[0, orientation, 0, 0, 0, 0, 0, 0]);
    tiff
}
