//! A tar in zstd whose last entry has a hash over all of them: what a backup and the archive of an
//! account are made of.
//!
//! It is written and read as a stream, in as much memory as one entry of a few megabytes takes.
//! Nothing of it becomes a path: names are compared with those that are known. The hash finds what
//! is missing, not who altered it.

use std::io::{self, Read, Write};

use mosaic_engine::store::StoreError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use crate::api::types::ErrorRecord;

/// Last entry.
const END: &str = "end.json";
/// Bytes of an entry of JSON.
pub(crate) const NOTE_BYTES_MAX: u64 = 64 * 1024;
/// Compression: the usual level.
const LEVEL: i32 = 3;
/// Largest distance over which the compression looks back, as a power of two: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// First bytes of what the compression makes.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes of zeros that may follow the last entry; `tar` fills up to 10 KiB.
const REST_BYTES_MAX: u64 = 64 * 1024;

/// What the last entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    entries: u64,
    blake3: String,
}

/// Hash over names, sizes and contents of all entries so far.
#[derive(Debug, Default)]
struct Sum {
    hasher: blake3::Hasher,
    entries: u64,
}

impl Sum {
    fn begin(&mut self, name: &str, size: u64) {
        self.entries += 1;
        self.hasher.update(&(name.len() as u64).to_be_bytes());
        self.hasher.update(name.as_bytes());
        self.hasher.update(&size.to_be_bytes());
    }

    fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    fn end(&self) -> End {
        End { entries: self.entries, blake3: self.hasher.finalize().to_hex().to_string() }
    }
}

/// Writes entries; without `finish` at its end the result does not open.
pub(crate) struct Writer<W: Write> {
    tar: Builder<zstd::Encoder<'static, W>>,
    sum: Sum,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(to: W) -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(to, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { tar: Builder::new(encoder), sum: Sum::default() })
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// The writer takes no more; so below.
    pub(crate) fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.stream(name, bytes.len() as u64, bytes).map(drop)
    }

    /// Appends an entry of exactly `size` bytes; returns their hash.
    pub(crate) fn stream(
        &mut self,
        name: &str,
        size: u64,
        from: impl Read,
    ) -> io::Result<blake3::Hash> {
        let mut header = Header::new_gnu();
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

    /// Writes the end; returns what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let end = serde_json::to_vec(&self.sum.end())?;
        self.put(END, &end)?;
        let mut to = self.tar.into_inner()?.finish()?;
        to.flush()?;
        Ok(to)
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

/// Why something is not read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is something else.
    Other(String),
    /// It is cut short or altered.
    Damaged(String),
    /// Not its fault.
    Told(ErrorRecord),
}

impl Fault {
    pub(crate) fn damaged(why: impl std::fmt::Display) -> Self {
        Self::Damaged(why.to_string())
    }
}

impl<E: Into<ErrorRecord>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Told(error.into())
    }
}

/// An entry that is being read.
pub(crate) struct Entry<'a> {
    /// What it is called: any text.
    pub(crate) name: &'a str,
    /// The bytes that it says it has.
    pub(crate) size: u64,
    from: &'a mut dyn Read,
    sum: &'a mut Sum,
    left: u64,
}

impl Entry<'_> {
    /// Reads it whole, if it has at most `limit` bytes.
    pub(crate) fn bytes(&mut self, limit: u64) -> Result<Vec<u8>, Fault> {
        if self.size > limit {
            let (name, size) = (shown(self.name), self.size);
            return Err(Fault::Damaged(format!("{name} has {size} bytes, over {limit}")));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(Fault::damaged)?;
        Ok(bytes)
    }

    /// Reads it as JSON.
    pub(crate) fn note<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        serde_json::from_slice(&self.bytes(NOTE_BYTES_MAX)?).map_err(Fault::damaged)
    }

    /// Says that there is no such entry.
    pub(crate) fn unknown(&self) -> Fault {
        Fault::Damaged(format!("entry '{}'", shown(self.name)))
    }
}

impl Read for Entry<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let into = bytes.get_mut(..room).unwrap_or_default();
        if into.is_empty() {
            return Ok(0);
        }
        let read = self.from.read(into)?;
        if read == 0 {
            let message = format!("{} ends early", shown(self.name));
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.sum.update(into.get(..read).unwrap_or_default());
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Calls `take` for each entry but the last one, which it compares with all before it. Only what
/// `take` reads is looked at before; it reads an entry whole, or fails.
pub(crate) fn read(
    from: &mut dyn Read,
    take: &mut dyn FnMut(&mut Entry<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut first = Vec::new();
    Read::take(&mut *from, ZSTD.len() as u64).read_to_end(&mut first).map_err(Fault::damaged)?;
    if first != ZSTD {
        return Err(Fault::Other("it does not begin like one".to_owned()));
    }
    let whole = io::Cursor::new(first).chain(from);
    let mut decoder = zstd::Decoder::new(whole).map_err(Fault::damaged)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(Fault::damaged)?;
    let mut archive = Archive::new(decoder);
    read_entries(&mut archive, take)?;
    check_rest(archive.into_inner())
}

fn read_entries(
    archive: &mut Archive<impl Read>,
    take: &mut dyn FnMut(&mut Entry<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    // raw: no entry tells another one's name, in as many bytes as it likes
    let mut entries = archive.entries().map_err(Fault::damaged)?.raw(true);
    let mut sum = Sum::default();
    while let Some(entry) = entries.next() {
        let mut entry = entry.map_err(Fault::damaged)?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(Fault::damaged("an entry is no file"));
        }
        let size = entry.size();
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(Fault::damaged)?;
        let expected = sum.end();
        if name != END {
            sum.begin(&name, size);
        }
        let (from, left) = (&mut entry, size);
        let mut reading = Entry { name: &name, size, from, sum: &mut sum, left };
        if name != END {
            take(&mut reading)?;
            if reading.left > 0 {
                return Err(reading.unknown());
            }
            continue;
        }
        if reading.note::<End>()? != expected {
            return Err(Fault::damaged("its checksum is another"));
        }
        drop(entry);
        if entries.next().is_some() {
            return Err(Fault::damaged("something follows its end"));
        }
        return Ok(());
    }
    match sum.entries {
        0 => Err(Fault::Other("it is empty".to_owned())),
        _ => Err(Fault::damaged("its end is missing")),
    }
}

/// What follows the last entry are zeros, and the check of the compression.
fn check_rest(mut from: impl Read) -> Result<(), Fault> {
    let mut rest = Vec::new();
    from.by_ref().take(REST_BYTES_MAX).read_to_end(&mut rest).map_err(Fault::damaged)?;
    if rest.iter().any(|byte| *byte != 0) || rest.len() as u64 == REST_BYTES_MAX {
        return Err(Fault::damaged("something follows its end"));
    }
    Ok(())
}

/// A name for a message, short.
fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}
