//! A signed head without what its receiver knows of the chain.

use super::{HEAD_BYTES, HeadBytes, Part};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::Link;
use crate::limits::HEAD_AHEAD_MAX;

const SIGNATURE_BYTES: usize = 64;
/// Kind, space and chain, which all heads of one chain begin with.
const CHAIN_BYTES: usize = HEAD_BYTES - 8 - Link::LEN - SIGNATURE_BYTES;

/// The head of a chain of which the receiver showed a tip in this round. Nothing of it is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownHead {
    /// Name of the chain in this round.
    pub name: u32,
    /// Changes that it covers, from 1.
    pub n: u64,
    /// Its link; `None` where the changes that are given with it lead to it.
    pub link: Option<Link>,
    /// Its signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl KnownHead {
    /// What is left of a head; `linked` if it goes with changes that lead to its link.
    ///
    /// # Errors
    /// Never for a whole head; the type is that of the reader.
    pub fn of(name: u32, head: &HeadBytes, linked: bool) -> Result<Self, DecodeError> {
        let mut r = Reader::new(head);
        r.take(CHAIN_BYTES, "chain")?;
        let n = r.u64("n")?;
        let link = Link::from_bytes(r.array("link")?);
        Ok(Self { name, n, link: Some(link).filter(|_| !linked), signature: r.array("signature")? })
    }

    /// Puts the head together again, from any other one of its chain, and its link.
    #[must_use]
    pub fn whole(&self, other: &HeadBytes, link: &Link) -> HeadBytes {
        let mut head = *other;
        let rest = [&self.n.to_be_bytes()[..], link.as_bytes(), &self.signature].concat();
        for (to, from) in head.iter_mut().skip(CHAIN_BYTES).zip(rest) {
            *to = from;
        }
        head
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.u32(self.name).varint(self.n);
        if let Some(link) = &self.link {
            w.raw(link.as_bytes());
        }
        w.raw(&self.signature);
    }

    pub(super) fn read(r: &mut Reader<'_>, linked: bool) -> Result<Self, DecodeError> {
        let (name, n) = (r.u32("chain name")?, r.varint(HEAD_AHEAD_MAX, "n")?);
        if n == 0 {
            return Err(DecodeError::Rule("a head of no changes"));
        }
        let link = if linked { None } else { Some(Link::from_bytes(r.array("link")?)) };
        Ok(Self { name, n, link, signature: r.array("signature")? })
    }

    /// Whether changes lead to it, if it says so.
    pub(super) fn is_led_to(&self, parts: &[Part]) -> bool {
        self.link.is_some() || parts.last().is_some_and(|part| part.last_n() == self.n)
    }
}
