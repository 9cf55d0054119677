//! Chains that leave a replica with everything that verifies them, in a file instead of a session.

use bytes::Bytes;

use super::range::{PARTS_MAX, read_part, write_part};
use super::{Content, HEAD_BYTES, HeadBytes, PATH_BYTES_MAX, Part};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::Description;
use crate::limits::PACK_BYTES_MAX;

const MAGIC: &[u8; 4] = b"MOC1";
/// Fewest bytes of a chain: bounds their count.
const CHAIN_BYTES_MIN: usize = HEAD_BYTES + 64;
/// Changes of one bundle: small ones must not unfold to many times its size.
const BUNDLE_CHANGES_MAX: usize = PACK_BYTES_MAX / 64;

/// A chain, and what a stranger needs to verify it; nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedChain {
    /// Encoded certificate path of the head's device.
    pub path: Bytes,
    /// The document.
    pub description: Description,
    /// The encoded head.
    pub head: HeadBytes,
    /// Another branch of a chain that comes before it, whole.
    pub fork: bool,
    /// Its changes, consecutive from 1, as far as they are held; then ids in their place.
    pub parts: Vec<Part>,
}

impl CarriedChain {
    /// How many changes come with their bytes, from the first on.
    #[must_use]
    pub fn held(&self) -> u64 {
        let whole = |part: &&Part| matches!(part.content, Content::Changes(_));
        self.parts.iter().take_while(whole).map(|part| part.content.len() as u64).sum()
    }

    fn encode(&self, w: &mut Writer) {
        w.bytes(&self.path).raw(&self.description.encode()).raw(&self.head);
        w.u8(u8::from(self.fork)).varint(self.parts.len() as u64);
        for part in &self.parts {
            write_part(w, part);
        }
    }

    fn decode(bytes: &Bytes, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let path = bytes.slice_ref(r.bytes(PATH_BYTES_MAX, "certificate path")?);
        let description = Description::decode(r)?;
        let head = r.array("head")?;
        let fork = match r.u8("fork")? {
            0 => false,
            1 => true,
            value => return Err(DecodeError::Unknown { reading: "fork", value }),
        };
        let count = r.count(PARTS_MAX, "parts")?;
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            parts.push(read_part(bytes, r)?);
        }
        Ok(Self { path, description, head, fork, parts })
    }
}

/// Collects chains and writes a bundle of them.
#[derive(Debug, Default)]
pub struct ChainBundler {
    out: Writer,
    count: u64,
}

impl ChainBundler {
    /// Starts empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a chain.
    pub fn add(&mut self, chain: &CarriedChain) {
        chain.encode(&mut self.out);
        self.count += 1;
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    /// Whether it has no chain.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes the bundle, leaving the bundler empty.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        let mut w = Writer::new();
        w.raw(MAGIC).varint(self.count).raw(&self.out.take());
        self.count = 0;
        w.finish().into()
    }
}

/// Decodes a bundle of at most [`PACK_BYTES_MAX`] bytes.
///
/// # Errors
/// If malformed, over a limit, or with bytes left over.
pub fn read_bundle(bytes: &Bytes) -> Result<Vec<CarriedChain>, DecodeError> {
    let (len, max) = (bytes.len() as u64, PACK_BYTES_MAX as u64);
    if len > max {
        return Err(DecodeError::TooLarge { reading: "bundle", value: len, max });
    }
    let mut r = Reader::new(bytes);
    if r.array::<4>("bundle magic")? != *MAGIC {
        return Err(DecodeError::Rule("not a bundle of chains"));
    }
    let count = r.count(bytes.len() / CHAIN_BYTES_MIN, "chains")?;
    let (mut chains, mut changes) = (Vec::new(), 0usize);
    for _ in 0..count {
        let chain = CarriedChain::decode(bytes, &mut r)?;
        changes += chain.parts.iter().map(|part| part.content.len()).sum::<usize>();
        if changes > BUNDLE_CHANGES_MAX {
            let (value, max) = (changes as u64, BUNDLE_CHANGES_MAX as u64);
            return Err(DecodeError::TooLarge { reading: "changes of a bundle", value, max });
        }
        chains.push(chain);
    }
    r.end()?;
    Ok(chains)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::DocumentKind;
    use crate::hash::{AccountId, ChangeId};
    use crate::wire::{Changes, LogItem};

    fn chain() -> CarriedChain {
        let items = (0..3u8).map(|n| LogItem { time_ms: 7, value: vec![n; 9].into() }).collect();
        CarriedChain {
            path: Bytes::from_static(b"path"),
            description: Description::own(AccountId::from_bytes([1; 32]), DocumentKind::Wall, 2),
            head: [9; HEAD_BYTES],
            fork: false,
            parts: vec![
                Part { first_n: 1, content: Content::Changes(Changes::Log(items)) },
                Part { first_n: 4, content: Content::Ids(vec![ChangeId::from_bytes([3; 32])]) },
            ],
        }
    }

    #[test]
    fn a_bundle_comes_back_and_nothing_else_is_one() {
        let fork = CarriedChain { fork: true, parts: Vec::new(), ..chain() };
        let mut bundler = ChainBundler::new();
        bundler.add(&chain());
        bundler.add(&fork);
        let bytes = bundler.take();
        assert!(bundler.is_empty() && bundler.bytes() == 0);
        let read = read_bundle(&bytes).unwrap();
        assert_eq!(read, [chain(), fork]);
        assert_eq!([read[0].held(), read[1].held()], [3, 0]);
        for end in 0..bytes.len() {
            assert!(read_bundle(&bytes.slice(..end)).is_err(), "cut at {end}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(read_bundle(&longer.into()).is_err());
        for at in [0, 4] {
            let mut other = bytes.to_vec();
            other[at] ^= 0x40;
            assert!(read_bundle(&other.into()).is_err());
        }
        let long = vec![0; PACK_BYTES_MAX + 1];
        assert!(matches!(read_bundle(&long.into()), Err(DecodeError::TooLarge { .. })));
    }

    #[test]
    fn a_bundle_names_as_many_changes_as_its_limit() {
        let ids = |count: usize| {
            let ids = vec![ChangeId::from_bytes([0; 32]); 2048];
            let part = Part { first_n: 1, content: Content::Ids(ids) };
            let mut bundler = ChainBundler::new();
            for _ in 0..count {
                bundler.add(&CarriedChain { parts: vec![part.clone()], ..chain() });
            }
            read_bundle(&bundler.take())
        };
        assert_eq!(ids(128).unwrap().len(), 128);
        assert!(matches!(ids(129), Err(DecodeError::TooLarge { .. })));
    }
}
