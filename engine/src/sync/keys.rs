//! Names and digests that mean something in one session only.
//!
//! Keyed by a fresh salt and both devices, so that a stranger learns of spaces only
//! those he can name already, and nobody can prepare two links that look alike.

use crate::chain::ChainKey;
use crate::hash::{DeviceId, Link, SpaceId, derive};
use crate::sync::exchange::Section;
use crate::wire::{Salt, ShortTag, Tag};

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
    pub fn space(&self, space: &SpaceId) -> Tag {
        self.tag(1, &[space.as_bytes()])
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
    pub fn total(&self, sections: &[Tag]) -> Tag {
        self.tag(5, &[sections.as_flattened()])
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

/// Returns the first half of a tag.
#[must_use]
pub fn short(tag: &Tag) -> ShortTag {
    let [a, b, c, d, e, f, g, h, ..] = *tag;
    [a, b, c, d, e, f, g, h]
}
