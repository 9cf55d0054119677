//! The signature over the newest link of a chain.

use std::fmt;

use crate::chain::{ChainError, ChainKey};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{Description, DocumentKind};
use crate::hash::{AccountId, Incarnation, Link, SpaceId};
use crate::identity::{DeviceSecret, Domain, Signature, VerifiedDevice, Verifier};
use crate::limits::{MAP_CHANGES_MAX, PAGE_ENTRIES_MAX, PAGE_MODIFICATIONS_MAX, TEXT_CHANGES_MAX};

/// What kind of changes a chain holds. Bytes 0x14 and 0x15 are reserved for sealed logs and
/// checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ChainKind {
    /// Log changes of the one form.
    Log = 0x10,
    /// Map changes.
    Map = 0x11,
    /// Text changes.
    Text = 0x12,
    /// Map changes, sealed.
    SealedMap = 0x13,
}

impl ChainKind {
    /// Returns the kind of the chains of a document.
    #[must_use]
    pub const fn of(kind: DocumentKind) -> Self {
        match kind {
            DocumentKind::AccountLog
            | DocumentKind::Wall
            | DocumentKind::Guest
            | DocumentKind::HubLog
            | DocumentKind::Channel
            | DocumentKind::Conversation => Self::Log,
            DocumentKind::Profile => Self::Map,
            DocumentKind::Private => Self::SealedMap,
            DocumentKind::Text => Self::Text,
        }
    }

    /// Returns how many changes one chain may have.
    #[must_use]
    pub const fn changes_max(self) -> u64 {
        match self {
            Self::Log => PAGE_ENTRIES_MAX + PAGE_MODIFICATIONS_MAX,
            Self::Map | Self::SealedMap => MAP_CHANGES_MAX,
            Self::Text => TEXT_CHANGES_MAX,
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("chain kind")? {
            0x10 => Ok(Self::Log),
            0x11 => Ok(Self::Map),
            0x12 => Ok(Self::Text),
            0x13 => Ok(Self::SealedMap),
            value => Err(DecodeError::Unknown { reading: "chain kind", value }),
        }
    }
}

/// What a device claims about a chain of its own, not yet checked.
///
/// Only what routing needs can be read from it; everything else needs
/// [`SignedHead::verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct SignedHead {
    kind: ChainKind,
    space: SpaceId,
    chain: ChainKey,
    n: u64,
    link: Link,
    signature: Signature,
}

impl SignedHead {
    /// Length of the encoding in bytes.
    pub const LEN: usize = 1 + 32 + ChainKey::LEN + 8 + 32 + Signature::LEN;

    /// Encodes: `kind u8 ‖ space 32 ‖ doc 32 ‖ device 32 ‖ incarnation 16 ‖ n u64be ‖
    /// link 32 ‖ signature 64`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.signed_bytes();
        bytes.extend_from_slice(self.signature.as_bytes());
        bytes
    }

    /// Reads one head; nothing is verified.
    ///
    /// # Errors
    /// If cut short or of unknown kind.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: ChainKind::decode(reader)?,
            space: SpaceId::from_bytes(reader.array("space")?),
            chain: ChainKey::decode(reader)?,
            n: reader.u64("chain length")?,
            link: Link::from_bytes(reader.array("link")?),
            signature: Signature::from_bytes(reader.array("signature")?),
        })
    }

    /// Reads exactly one head; nothing is verified.
    ///
    /// # Errors
    /// As [`SignedHead::decode`], and if bytes are left.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let head = Self::decode(&mut reader)?;
        reader.end()?;
        Ok(head)
    }

    /// Returns the chain it claims to be of.
    #[must_use]
    pub const fn claimed_chain(&self) -> ChainKey {
        self.chain
    }

    /// Returns the space it claims to be in.
    #[must_use]
    pub const fn claimed_space(&self) -> SpaceId {
        self.space
    }

    /// Returns how many changes it claims.
    #[must_use]
    pub const fn claimed_n(&self) -> u64 {
        self.n
    }

    /// Returns the link that it claims to prove; not verified.
    #[must_use]
    pub const fn claimed_link(&self) -> Link {
        self.link
    }

    /// Checks that the head belongs to the described document, is by a device of the
    /// account that writes it, within limits, and signed by that device.
    ///
    /// # Errors
    /// Which of these does not hold; the signature is checked last.
    pub fn verify(
        &self,
        description: &Description,
        device: &VerifiedDevice,
        verifier: &Verifier,
    ) -> Result<VerifiedHead, ChainError> {
        let expected = ChainKind::of(description.kind);
        if self.chain.doc != description.id() || self.space != description.space.id() {
            return Err(ChainError::Document);
        }
        if self.kind != expected {
            return Err(ChainError::Kind { expected, found: self.kind });
        }
        if self.chain.device != device.device() || description.account != device.account() {
            return Err(ChainError::Writer);
        }
        check_length(self.kind, self.n)?;
        let message = self.signed_bytes();
        verifier.verify(&self.chain.device, Domain::Head, &message, &self.signature)?;
        Ok(VerifiedHead { signed: self.clone(), account: device.account() })
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(self.kind as u8).raw(self.space.as_bytes());
        self.chain.encode(&mut w);
        w.u64(self.n).raw(self.link.as_bytes());
        w.finish()
    }
}

impl fmt::Debug for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (doc, device) = (self.chain.doc.short(), self.chain.device.short());
        write!(f, "SignedHead({:?} {doc} by {device}, claims n {})", self.kind, self.n)
    }
}

/// A head whose signature, writer and document are proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHead {
    signed: SignedHead,
    account: AccountId,
}

impl VerifiedHead {
    /// Signs the newest link of an own chain; what is signed here needs no check.
    ///
    /// # Errors
    /// If `secret` is not `device`'s, `device` is not of the account that writes the
    /// document, or `n` is 0 or over the chain's limit.
    pub fn sign(
        description: &Description,
        device: &VerifiedDevice,
        secret: &DeviceSecret,
        incarnation: Incarnation,
        n: u64,
        link: Link,
    ) -> Result<Self, ChainError> {
        secret.check_is(device.device())?;
        if description.account != device.account() {
            return Err(ChainError::Writer);
        }
        let kind = ChainKind::of(description.kind);
        check_length(kind, n)?;
        let chain = ChainKey { doc: description.id(), device: device.device(), incarnation };
        let mut signed = SignedHead {
            kind,
            space: description.space.id(),
            chain,
            n,
            link,
            signature: Signature::from_bytes([0; Signature::LEN]),
        };
        signed.signature = secret.sign(Domain::Head, &signed.signed_bytes());
        Ok(Self { signed, account: device.account() })
    }

    /// Returns the head as it travels and is stored.
    #[must_use]
    pub const fn signed(&self) -> &SignedHead {
        &self.signed
    }

    /// Returns the account whose device signed.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Returns the chain.
    #[must_use]
    pub const fn chain(&self) -> ChainKey {
        self.signed.chain
    }

    /// Returns the space.
    #[must_use]
    pub const fn space(&self) -> SpaceId {
        self.signed.space
    }

    /// Returns the kind of the chain's changes.
    #[must_use]
    pub const fn kind(&self) -> ChainKind {
        self.signed.kind
    }

    /// Returns the number of changes.
    #[must_use]
    pub const fn n(&self) -> u64 {
        self.signed.n
    }

    /// Returns the running hash after them.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.signed.link
    }
}

const fn check_length(kind: ChainKind, n: u64) -> Result<(), ChainError> {
    let max = kind.changes_max();
    if n == 0 || n > max { Err(ChainError::Length { n, max }) } else { Ok(()) }
}
