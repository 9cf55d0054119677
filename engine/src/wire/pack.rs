//! Packs: many changes or bodies in one blob.
//!
//! A pack of changes leaves out what its receiver can build. It is a pure function of
//! the ranges in it, so that any holder of a closed page has the same pack.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::range::{PARTS_MAX, read_packed, write_packed};
use super::{ChainRange, Part};
use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{DeviceId, DocumentId, Incarnation};
use crate::limits::{BODY_BYTES_MAX, BODY_SALT_BYTES, PACK_BYTES_MAX};

const MAGIC: &[u8; 4] = b"MOP1";
const KIND_CHANGES: u8 = 1;
const KIND_BODIES: u8 = 2;
/// Fewest bytes of a document with one chain, and of a chain: bounds both counts.
const DOCUMENT_BYTES_MIN: usize = DocumentId::LEN + 1;
const CHAIN_BYTES_MIN: usize = DeviceId::LEN + Incarnation::LEN + 3;
/// Changes in one pack: small ones must not unfold to many times the pack's size.
const PACK_CHANGES_MAX: usize = PACK_BYTES_MAX / 64;
/// What the folded changes of one pack may weigh.
const PACK_UNFOLDED_MAX: usize = 3 * PACK_BYTES_MAX;
/// How many times its bytes what is folded in a pack may weigh, about: whoever fills packs by
/// their bytes stays far below the limit.
const UNFOLDED_TIMES_MAX: usize = 8;
const BODY_SIZE_MAX: usize = BODY_BYTES_MAX + BODY_SALT_BYTES;

/// A decoded pack; byte strings share the pack's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pack {
    /// Changes, by rising chain and number.
    Changes(Vec<ChainRange>),
    /// Bodies: `salt ‖ bytes` each.
    Bodies(Vec<Bytes>),
}

impl Pack {
    /// Decodes a pack of at most [`PACK_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// If malformed, over a limit, not in the one form that the packers give, or with
    /// bytes left over.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        if bytes.len() > PACK_BYTES_MAX {
            return Err(DecodeError::TooLarge {
                reading: "pack",
                value: bytes.len() as u64,
                max: PACK_BYTES_MAX as u64,
            });
        }
        let mut r = Reader::new(bytes);
        if r.array::<4>("pack magic")? != *MAGIC {
            return Err(DecodeError::Rule("not a pack"));
        }
        let pack = match r.u8("pack kind")? {
            KIND_CHANGES => Self::Changes(read_documents(bytes, &mut r)?),
            KIND_BODIES => Self::Bodies(read_bodies(bytes, &mut r)?),
            value => return Err(DecodeError::Unknown { reading: "pack kind", value }),
        };
        r.end()?;
        Ok(pack)
    }
}

fn read_documents(bytes: &Bytes, r: &mut Reader<'_>) -> Result<Vec<ChainRange>, DecodeError> {
    let documents = r.count(bytes.len() / DOCUMENT_BYTES_MIN, "documents")?;
    let mut out: Vec<ChainRange> = Vec::new();
    let (mut changes, mut room) = (0usize, PACK_UNFOLDED_MAX);
    for _ in 0..documents {
        let doc = DocumentId::from_bytes(r.array("document")?);
        let chains = r.count(bytes.len() / CHAIN_BYTES_MIN, "chains")?;
        if chains == 0 {
            return Err(DecodeError::Rule("a document without chains"));
        }
        for _ in 0..chains {
            let device = DeviceId::from_bytes(r.array("device")?);
            let incarnation = Incarnation::from_bytes(r.array("incarnation")?);
            let chain = ChainKey { doc, device, incarnation };
            let pieces = r.count(PARTS_MAX, "parts")?;
            let mut parts = Vec::with_capacity(pieces);
            for _ in 0..pieces {
                let part = read_packed(bytes, r, &chain, &mut room)?;
                changes += part.content.len();
                if changes > PACK_CHANGES_MAX {
                    return Err(DecodeError::TooLarge {
                        reading: "changes of a pack",
                        value: changes as u64,
                        max: PACK_CHANGES_MAX as u64,
                    });
                }
                parts.push(part);
            }
            if out.last().is_some_and(|last| last.chain >= chain) {
                return Err(DecodeError::Rule("chains are not in strictly rising order"));
            }
            out.push(ChainRange { chain, parts });
        }
    }
    Ok(out)
}

fn read_bodies(bytes: &Bytes, r: &mut Reader<'_>) -> Result<Vec<Bytes>, DecodeError> {
    let count = r.count(bytes.len(), "bodies")?;
    let mut out = Vec::new();
    for _ in 0..count {
        let body = r.bytes(BODY_SIZE_MAX, "body")?;
        if body.len() < BODY_SALT_BYTES {
            return Err(DecodeError::Rule("a body shorter than its salt"));
        }
        out.push(bytes.slice_ref(body));
    }
    Ok(out)
}

/// Collects ranges and writes the one pack of them.
#[derive(Debug, Default)]
pub struct ChangePacker {
    ranges: BTreeMap<ChainKey, Vec<u8>>,
    bytes: usize,
}

impl ChangePacker {
    /// Starts empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the pieces of a chain, at most 64; adding a chain again replaces it.
    pub fn add(&mut self, chain: ChainKey, parts: &[Part]) {
        let mut w = Writer::new();
        w.varint(parts.len() as u64);
        let unfolded: usize = parts.iter().map(|part| write_packed(&mut w, &chain, part)).sum();
        self.bytes += unfolded / UNFOLDED_TIMES_MAX;
        self.bytes += w.len() + CHAIN_BYTES_MIN + DOCUMENT_BYTES_MIN;
        self.ranges.insert(chain, w.finish());
    }

    /// Bytes of the pack, about, never less; more where it unfolds to much.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it has no range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Writes the pack.
    #[must_use]
    pub fn finish(self) -> Bytes {
        let mut documents: BTreeMap<DocumentId, Vec<(ChainKey, Vec<u8>)>> = BTreeMap::new();
        for (chain, encoded) in self.ranges {
            documents.entry(chain.doc).or_default().push((chain, encoded));
        }
        let mut w = Writer::new();
        w.raw(MAGIC).u8(KIND_CHANGES).varint(documents.len() as u64);
        for (doc, chains) in documents {
            w.raw(doc.as_bytes()).varint(chains.len() as u64);
            for (chain, encoded) in chains {
                w.raw(chain.device.as_bytes()).raw(chain.incarnation.as_bytes()).raw(&encoded);
            }
        }
        w.finish().into()
    }
}

/// Collects bodies and writes a pack of them.
#[derive(Debug, Default)]
pub struct BodyPacker {
    out: Writer,
    count: u64,
}

impl BodyPacker {
    /// Starts empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `salt ‖ bytes`.
    pub fn add(&mut self, body: &[u8]) {
        self.out.bytes(body);
        self.count += 1;
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    /// Whether it has no body.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes the pack, leaving the packer empty.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        let mut w = Writer::new();
        w.raw(MAGIC).u8(KIND_BODIES).varint(self.count).raw(&self.out.take());
        self.count = 0;
        w.finish().into()
    }
}
