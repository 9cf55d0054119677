//! Receipts: what a device says it holds of a space, and looking whether it does.

use super::message::ShortTag;
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::SectionClass;
use crate::hash::{BlobHash, DeviceId, SpaceId, derive};
use crate::identity::{DeviceSecret, Domain, Signature, Verifier};

/// Receipts asked for, or given, in one message.
pub const HOLDS_MAX: usize = 64;
/// Bytes of a body that are asked for at once.
pub const PROBE_BYTES_MAX: u64 = 4096;

/// What a device says it holds: all of some sections of a space, up to these heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The sections; bit `class - 1`.
    pub classes: u8,
    /// Over the known heads of these sections: see [`Hold::digest_of`].
    pub digest: [u8; 32],
    /// When it says so, by its clock.
    pub at_ms: u64,
    /// Until when it means to hold them.
    pub until_ms: u64,
    /// By the device's key, over space, classes, digest and times.
    pub signature: Signature,
}

impl Hold {
    /// Bytes of one.
    pub const LEN: usize = 1 + 32 + 8 + 8 + Signature::LEN;

    /// Signs that the device holds so much of a space.
    #[must_use]
    pub fn sign(
        secret: &DeviceSecret,
        space: &SpaceId,
        (classes, digest): (u8, [u8; 32]),
        (at_ms, until_ms): (u64, u64),
    ) -> Self {
        let unsigned = Signature::from_bytes([0; Signature::LEN]);
        let hold = Self { classes, digest, at_ms, until_ms, signature: unsigned };
        let signature = secret.sign(Domain::Hold, &hold.message(space));
        Self { signature, ..hold }
    }

    /// Whether a device signed this of a space.
    #[must_use]
    pub fn is_by(&self, device: &DeviceId, space: &SpaceId, verifier: &Verifier) -> bool {
        verifier.verify(device, Domain::Hold, &self.message(space), &self.signature).is_ok()
    }

    fn message(&self, space: &SpaceId) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(space.as_bytes()).u8(self.classes).raw(&self.digest);
        w.u64(self.at_ms).u64(self.until_ms);
        w.finish()
    }

    /// Stands for the known heads of sections of one space, by rising class.
    #[must_use]
    pub fn digest_of(sections: &[(SectionClass, [u8; 32])]) -> [u8; 32] {
        let mut w = Writer::new();
        for (class, digest) in sections {
            w.u8(*class as u8).raw(digest);
        }
        derive("mosaic hold digest 1", &[&w.finish()])
    }

    /// Appends `classes u8 ‖ digest 32 ‖ at u64 ‖ until u64 ‖ signature 64`.
    pub fn encode(&self, w: &mut Writer) {
        w.u8(self.classes).raw(&self.digest).u64(self.at_ms).u64(self.until_ms);
        w.raw(self.signature.as_bytes());
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is cut short, or names no class or an unknown one.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let classes = r.u8("classes held")?;
        if classes == 0 || classes > 0x0f {
            return Err(DecodeError::Unknown { reading: "classes held", value: classes });
        }
        Ok(Self {
            classes,
            digest: r.array("digest")?,
            at_ms: r.u64("time")?,
            until_ms: r.u64("time")?,
            signature: Signature::from_bytes(r.array("signature")?),
        })
    }
}

/// Asks for the hash of a part of a body, with something before it that was not known earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The body.
    pub body: BlobHash,
    /// First byte.
    pub from: u64,
    /// Bytes, 1 to [`PROBE_BYTES_MAX`].
    pub len: u64,
    /// Random.
    pub nonce: [u8; 16],
}

impl Probe {
    /// What to answer, if this is the body: `derive_key("mosaic probe 1", nonce ‖ bytes)`.
    #[must_use]
    pub fn answer(&self, body: &[u8]) -> Option<[u8; 32]> {
        let from = usize::try_from(self.from).ok()?;
        let end = from.checked_add(usize::try_from(self.len).ok()?)?;
        Some(derive("mosaic probe 1", &[&self.nonce, body.get(from..end)?]))
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.raw(self.body.as_bytes()).varint(self.from).varint(self.len).raw(&self.nonce);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let probe = Self {
            body: BlobHash::from_bytes(r.array("body")?),
            from: r.varint(u64::MAX, "first byte")?,
            len: r.varint(PROBE_BYTES_MAX, "bytes")?,
            nonce: r.array("nonce")?,
        };
        if probe.len == 0 { Err(DecodeError::Rule("a probe of nothing")) } else { Ok(probe) }
    }
}

/// A receipt in a message, with the keyed name of its space.
pub type TaggedHold = (ShortTag, Hold);
