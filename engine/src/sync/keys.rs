//! Names and digests that mean something in one session only.
//!
//! Keyed by a fresh salt and both devices, so that a stranger learns of spaces only
//! those he can name already, and nobody can prepare two links that look alike.

use crate::chain::ChainKey;
use crate::description::SectionClass;
use crate::hash::{DeviceId, Link, SpaceId, derive};
use crate::sketch::{Item, ItemHash};
use crate::sync::exchange::{KnownTip, Section};
use crate::wire::{ShortTag, Tag};

/// What both ends of one connection have in common and nobody else knows: makes every name and
/// digest of a session worthless elsewhere.
pub type Salt = [u8; 16];

/// The key of one session.
#[derive(Debug, Clone)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// Derives the key.
    #[must_use]
    pub fn new(salt: &Salt, initiator: &DeviceId, responder: &DeviceId) -> Self {
        let parts: [&[u8]; 3] = [salt, initiator.as_bytes(), responder.as_bytes()];
        Self(derive("mosaic sync session 1", &parts))
    }

    /// Names a space.
    #[must_use]
    pub fn space(&self, space: &SpaceId) -> ShortTag {
        short(&self.tag(1, &[space.as_bytes()]))
    }

    /// Names a chain.
    #[must_use]
    pub fn chain(&self, chain: &ChainKey) -> Tag {
        let ChainKey { doc, device, incarnation } = chain;
        self.tag(2, &[doc.as_bytes(), device.as_bytes(), incarnation.as_bytes()])
    }

    /// Stands for a link.
    #[must_use]
    pub fn link(&self, link: &Link) -> ShortTag {
        short(&self.tag(3, &[link.as_bytes()]))
    }

    /// Stands for the known heads of a section.
    #[must_use]
    pub fn section(&self, section: &Section, digest: &[u8; 32]) -> Tag {
        self.tag(4, &[section.space.as_bytes(), &[section.class as u8], digest])
    }

    /// Stands for the known heads of many sections, in the order given.
    #[must_use]
    pub fn total(&self, sections: &[Tag]) -> ShortTag {
        short(&self.tag(5, &[sections.as_flattened()]))
    }

    /// Stands for the known heads of the sections compared in a round, each after its place in the
    /// list, in that order.
    #[must_use]
    pub fn compared(&self, sections: &[u8]) -> ShortTag {
        short(&self.tag(10, &[sections]))
    }

    /// Names the list that a round agreed on, also for later sessions.
    #[must_use]
    pub fn list(&self, round: u64) -> Tag {
        self.tag(6, &[&round.to_be_bytes()])
    }

    /// Names a list by what is in it.
    #[must_use]
    pub fn own_list(&self, entries: &[u8]) -> ShortTag {
        short(&self.tag(9, &[entries]))
    }

    /// Names a chain in one round: another time another chain may share its name.
    #[must_use]
    pub fn chain_in(&self, round: u64, chain: &ChainKey) -> u32 {
        let ChainKey { doc, device, incarnation } = chain;
        let round = round.to_be_bytes();
        let parts: [&[u8]; 4] = [&round, doc.as_bytes(), device.as_bytes(), incarnation.as_bytes()];
        let [a, b, c, d, ..] = self.tag(7, &parts);
        u32::from_be_bytes([a, b, c, d])
    }

    /// The part of a keyed link that a tip carries in a list or sketch.
    #[must_use]
    pub fn link_part(&self, link: &Link) -> u32 {
        let [a, b, c, ..] = self.link(link);
        u32::from_be_bytes([0, a, b, c]) >> 4
    }

    /// A tip as it travels.
    #[must_use]
    pub fn item(&self, round: u64, tip: &KnownTip) -> Item {
        Item::new(self.chain_in(round, &tip.chain), tip.n, self.link_part(&tip.link))
    }

    /// A tip as it travels in sums that go beyond what both keep: of its link there are 8 bits,
    /// before the 12 of its section.
    #[must_use]
    pub fn item_of(&self, round: u64, section: &Section, tip: &KnownTip) -> Item {
        let part = section_part(round, space_name(&self.space(&section.space)), section.class);
        let link = self.link_part(&tip.link) & LINK_MASK | part;
        Item::new(self.chain_in(round, &tip.chain), tip.n, link)
    }

    /// What a sketch needs of an item.
    #[must_use]
    pub fn item_hash(&self, item: Item) -> ItemHash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[8]).update(&item.to_bytes());
        let [a, b, c, rest @ ..] = *hasher.finalize().as_bytes();
        let word = |from: usize| {
            let bytes = rest.get(from..).and_then(<[u8]>::first_chunk).copied();
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        ItemHash { check: u32::from_be_bytes([0, a, b, c]), seed: word(0), signs: word(8) }
    }

    fn tag(&self, kind: u8, parts: &[&[u8]]) -> Tag {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[kind]);
        for part in parts {
            hasher.update(part);
        }
        let mut out = Tag::default();
        hasher.finalize_xof().fill(&mut out);
        out
    }
}

/// Bits of the link of an [`SessionKey::item_of`] that are of a link.
pub const LINK_MASK: u32 = 0xf_f000;

/// The first 52 bits of the name of a space: what a sketch of lists holds of it.
#[must_use]
pub const fn space_name(tag: &ShortTag) -> u64 {
    u64::from_be_bytes(*tag) >> 12
}

/// Twelve bits by which a tip shows which section it is in; of a space others in each round, so
/// that sections that look alike in one do not in the next.
#[must_use]
pub const fn section_part(round: u64, space: u64, class: SectionClass) -> u32 {
    let [.., high, low] = (space >> (round % 41 * 7 % 41)).to_be_bytes();
    let bits = (high as u32) << 8 | low as u32;
    (bits + ((class as u32) << 10)) & 0xfff
}

/// Returns the first half of a tag.
#[must_use]
pub fn short(tag: &Tag) -> ShortTag {
    let [a, b, c, d, e, f, g, h, ..] = *tag;
    [a, b, c, d, e, f, g, h]
}
