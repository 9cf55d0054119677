//! The digest of a section: over 256 parts, by the first byte of the document's id, so that who
//! adds to a section of many documents hashes one part of it anew.

use std::collections::BTreeMap;

use crate::codec::Writer;
use crate::hash::derive;
use crate::sync::exchange::KnownTip;

/// Digests of the parts that are not empty.
pub type Parts = BTreeMap<u8, [u8; 32]>;

/// The part of a section that a tip is in.
#[must_use]
pub const fn part_of(tip: &KnownTip) -> u8 {
    let [first, ..] = *tip.chain.doc.as_bytes();
    first
}

/// Returns the digests of all parts that tips are in; in any order.
#[must_use]
pub fn parts(mut tips: Vec<KnownTip>) -> Parts {
    tips.sort_unstable_by_key(|tip| (tip.chain, tip.n, tip.link));
    let parts = tips.chunk_by(|a, b| part_of(a) == part_of(b));
    parts.filter_map(|tips| Some((part_of(tips.first()?), digest_of(tips)))).collect()
}

/// Returns the digest of a section by those of its parts.
#[must_use]
pub fn whole(parts: &Parts) -> [u8; 32] {
    let mut w = Writer::with_capacity(parts.len() * 33);
    for (part, digest) in parts {
        w.u8(*part).raw(digest);
    }
    derive("mosaic section digest 2", &[&w.finish()])
}

/// Returns the digest of a section by all its tips.
#[must_use]
pub fn section_digest(tips: Vec<KnownTip>) -> [u8; 32] {
    whole(&parts(tips))
}

fn digest_of(tips: &[KnownTip]) -> [u8; 32] {
    let mut w = Writer::with_capacity(tips.len() * 120);
    for tip in tips {
        tip.chain.encode(&mut w);
        w.u64(tip.n).raw(tip.link.as_bytes());
    }
    derive("mosaic section part 1", &[&w.finish()])
}
