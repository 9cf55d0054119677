//! Digests of sections, of which a commit makes those parts be worked out again that it touches.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::exchange::order;
use super::{EngineError, Replica, State};
use crate::hash::{DocumentId, SpaceId};
use crate::sync::digest::{Parts, parts, whole};
use crate::sync::exchange::{KnownTip, Section};

/// What is known of a section's digest.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    parts: Parts,
    /// Parts that changed since.
    stale: BTreeSet<u8>,
    whole: [u8; 32],
}

impl State {
    /// Drops the digests of spaces that change: of the parts that these documents are in, or all.
    pub(super) fn forget_digests(
        &mut self,
        spaces: &BTreeSet<SpaceId>,
        docs: Option<&BTreeSet<DocumentId>>,
    ) {
        for section in spaces.iter().flat_map(Section::all_of) {
            match (docs, self.digests.get_mut(&section)) {
                (Some(docs), Some(digest)) => digest.stale.extend(docs.iter().map(part_of)),
                (None, Some(_)) => drop(self.digests.remove(&section)),
                (_, None) => {}
            }
        }
    }
}

impl Replica {
    /// Digest over the known heads of a section.
    pub(crate) fn section_digest(
        &self,
        state: &mut State,
        section: &Section,
    ) -> Result<[u8; 32], EngineError> {
        // Taken out: what fails on the way is worked out from the beginning.
        let mut digest = match state.digests.remove(section) {
            Some(digest) => digest,
            None => {
                let parts = parts(self.section_tips(state, section)?);
                Digest { whole: whole(&parts), parts, stale: BTreeSet::new() }
            }
        };
        if !digest.stale.is_empty() {
            for part in std::mem::take(&mut digest.stale) {
                let tips = self.part_tips(state, section, part)?;
                digest.parts.remove(&part);
                digest.parts.extend(parts(tips));
            }
            digest.whole = whole(&digest.parts);
        }
        let found = digest.whole;
        state.digests.insert(*section, digest);
        Ok(found)
    }

    /// Known heads of a section in the documents of one part.
    fn part_tips(
        &self,
        state: &mut State,
        section: &Section,
        part: u8,
    ) -> Result<Vec<KnownTip>, EngineError> {
        self.load_documents(state, &section.space)?;
        let docs = state.docs.get(&section.space).into_iter();
        let docs: Vec<DocumentId> =
            docs.flat_map(|docs| docs.range(documents_in(part))).copied().collect();
        let mut tips = Vec::new();
        for doc in docs {
            let Some(description) = self.description(state, &doc)? else { continue };
            if self.section_of(state, &description)?.class == section.class {
                tips.extend(self.document_tips(state, &doc, order(&description))?);
            }
        }
        Ok(tips)
    }
}

const fn part_of(doc: &DocumentId) -> u8 {
    let [first, ..] = *doc.as_bytes();
    first
}

fn documents_in(part: u8) -> RangeInclusive<DocumentId> {
    let (mut first, mut last) = ([0; 32], [u8::MAX; 32]);
    for bytes in [&mut first, &mut last] {
        let [byte, ..] = bytes;
        *byte = part;
    }
    DocumentId::from_bytes(first)..=DocumentId::from_bytes(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::ChainKey;
    use crate::hash::{DeviceId, Incarnation, Link};
    use crate::sync::digest::section_digest;

    #[test]
    fn a_part_is_what_begins_with_its_byte() {
        for part in [0, 1, 255] {
            let range = documents_in(part);
            for byte in [0, 1, 2, 254, 255] {
                let mut id = [byte; 32];
                id[0] = part;
                let id = DocumentId::from_bytes(id);
                assert!(range.contains(&id) && part_of(&id) == part);
                assert_eq!(range.contains(&DocumentId::from_bytes([byte; 32])), byte == part);
            }
        }
    }

    #[test]
    fn the_digest_is_of_the_set_of_heads_alone() {
        let tip = |doc: u8, n: u64| KnownTip {
            chain: ChainKey {
                doc: DocumentId::from_bytes([doc; 32]),
                device: DeviceId::from_bytes([1; 32]),
                incarnation: Incarnation::from_bytes([2; 16]),
            },
            n,
            link: Link::from_bytes([doc; 32]),
            held_n: 0,
            page: 0,
        };
        let tips = [tip(7, 1), tip(3, 2), tip(3, 1), tip(9, 4)];
        let digest = section_digest(tips.to_vec());
        let mut other = tips.map(|tip| KnownTip { held_n: tip.n, page: 5, ..tip }).to_vec();
        other.reverse();
        assert_eq!(section_digest(other.clone()), digest);
        for at in 0..other.len() {
            let mut less = other.clone();
            less.remove(at);
            assert_ne!(section_digest(less), digest);
            let mut more = other.clone();
            more[at].n += 1;
            assert_ne!(section_digest(more), digest);
        }
        assert_ne!(section_digest(Vec::new()), digest);
    }
}
