//! Images, told by their bytes, and copied without what they say about who took them where.
//!
//! What is needed to show the picture is copied, everything else is not: what a camera, a phone or
//! an editor writes beside it is dropped without being understood. Of the orientation, which an
//! image would be shown wrongly without, the number from 1 to 8 stays. A file is read and written
//! piece by piece, whatever its size.

mod gif;
mod jpeg;
mod orientation;
mod png;
mod webp;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes at the beginning of a file that tell what it is.
pub(crate) const MAGIC_BYTES: usize = 32;

/// A kind of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// JPEG, whatever is around it.
    Jpeg,
    /// PNG and APNG.
    Png,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
    /// One that can hold metadata which nobody here knows how to remove.
    Other(&'static str),
}

/// Why an image was not copied.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// It is not what its first bytes say, or ends too early.
    Malformed(&'static str),
    /// Reading or writing failed.
    Io(io::Error),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Malformed("it ends too early"),
            _ => Self::Io(error),
        }
    }
}

impl Image {
    /// What a file is that begins with these bytes; `None` if it is no image.
    pub(crate) fn of(magic: &[u8]) -> Option<Self> {
        let at =
            |offset: usize, bytes: &[u8]| magic.get(offset..).is_some_and(|m| m.starts_with(bytes));
        let brand = |names: &[&[u8; 4]]| at(4, b"ftyp") && names.iter().any(|name| at(8, *name));
        Some(if at(0, &[0xff, 0xd8, 0xff]) {
            Self::Jpeg
        } else if at(0, png::SIGNATURE) {
            Self::Png
        } else if at(0, b"RIFF") && at(8, b"WEBP") {
            Self::Webp
        } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
            Self::Gif
        } else if at(0, b"II*\0") || at(0, b"MM\0*") || at(0, b"II+\0") || at(0, b"MM\0+") {
            Self::Other("TIFF")
        } else if brand(&[b"avif", b"avis"]) {
            Self::Other("AVIF")
        } else if brand(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
            Self::Other("HEIF")
        } else if at(4, b"JXL \r\n\x87\n") || at(0, &[0xff, 0x0a]) {
            Self::Other("JPEG XL")
        } else if at(4, b"jP  \r\n\x87\n") {
            Self::Other("JPEG 2000")
        } else {
            return None;
        })
    }

    /// Its media type, where there is one kind only.
    pub(crate) const fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Jpeg => Some("image/jpeg"),
            Self::Png => Some("image/png"),
            Self::Webp => Some("image/webp"),
            Self::Gif => Some("image/gif"),
            Self::Other(_) => None,
        }
    }

    /// Copies an image without its metadata.
    ///
    /// # Errors
    /// If it is malformed or of a kind that cannot be copied so, or reading or writing fails; what
    /// was written until then is worth nothing.
    pub(crate) fn copy(
        self,
        from: &mut (impl Read + Seek),
        to: &mut (impl Write + ?Sized),
    ) -> Result<(), CopyError> {
        from.seek(SeekFrom::Start(0))?;
        match self {
            Self::Jpeg => jpeg::copy(from, to),
            Self::Png => png::copy(from, to),
            Self::Webp => webp::copy(from, to),
            Self::Gif => gif::copy(from, to),
            Self::Other(_) => Err(CopyError::Malformed("nobody here can read it")),
        }
    }
}

/// Reads exactly so many bytes.
fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads so many bytes into memory; the caller bounds them.
fn bytes(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Copies so many bytes.
fn copy(from: &mut impl Read, to: &mut (impl Write + ?Sized), length: u64) -> io::Result<()> {
    let copied = io::copy(&mut from.take(length), to)?;
    if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Passes over so many bytes.
fn skip(from: &mut impl Read, length: u64) -> io::Result<()> {
    copy(from, &mut io::sink(), length)
}
