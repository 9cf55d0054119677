//! The one place where a signature is checked.
//!
//! Always the strict check over the exact bytes received: a lenient or a batched one
//! accepts other signatures, and replicas would part ways.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::VerifyingKey;

use crate::hash::{DeviceId, SealKey};
use crate::identity::IdentityError;

/// What a signature is for. It is part of the signed bytes, so that a signature of one
/// kind is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Domain {
    /// A device certificate, signed by issuer and device.
    Device,
    /// The head of a chain.
    Head,
    /// What recovery words say, and a device that they bring in.
    Recovery,
    /// An account that takes up an invitation to a hub, signed by the key of its ticket.
    Invite,
    /// That a device holds all of a space.
    Hold,
}

impl Domain {
    /// Returns the bytes that precede the message, ending in a zero byte.
    #[must_use]
    pub const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Device => b"mosaic device 1\0",
            Self::Head => b"mosaic head 1\0",
            Self::Recovery => b"mosaic recovery 1\0",
            Self::Invite => b"mosaic invite 1\0",
            Self::Hold => b"mosaic hold 1\0",
        }
    }

    /// Returns the bytes that are signed.
    pub(super) fn message(self, message: &[u8]) -> Vec<u8> {
        [self.prefix(), message].concat()
    }
}

/// An Ed25519 signature, not yet checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; Self::LEN]);

impl Signature {
    /// Length in bytes.
    pub const LEN: usize = 64;

    /// Wraps raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Signature({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

/// Checks signatures and counts how many.
#[derive(Debug, Default)]
pub struct Verifier {
    checked: AtomicU64,
}

impl Verifier {
    /// Starts at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { checked: AtomicU64::new(0) }
    }

    /// Returns how many signatures were checked, whatever came of it.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Checks one signature.
    ///
    /// # Errors
    /// If the key is weak or no key, or the signature is not this key's over these bytes.
    #[expect(clippy::disallowed_methods, reason = "this is the one call site")]
    pub fn verify(
        &self,
        device: &DeviceId,
        domain: Domain,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), IdentityError> {
        self.checked.fetch_add(1, Ordering::Relaxed);
        let key = check_device_key(device)?;
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        key.verify_strict(&domain.message(message), &signature)
            .map_err(|_| IdentityError::Signature { signer: *device })
    }
}

/// Refuses what is no key, and keys of small order, for which forging is easy.
pub(super) fn check_device_key(device: &DeviceId) -> Result<VerifyingKey, IdentityError> {
    let key = VerifyingKey::from_bytes(device.as_bytes()).map_err(|_| IdentityError::WeakKey)?;
    if key.is_weak() || key.as_bytes() != device.as_bytes() {
        return Err(IdentityError::WeakKey);
    }
    Ok(key)
}

/// Refuses seal keys of small order: nothing can be sealed to them.
pub(super) fn check_seal_key(key: &SealKey) -> Result<(), IdentityError> {
    let mut bytes = *key.as_bytes();
    if let Some(last) = bytes.last_mut() {
        *last &= 0x7f;
    }
    if SMALL_ORDER.contains(&bytes) { Err(IdentityError::WeakKey) } else { Ok(()) }
}

/// The u-coordinates of small order on Curve25519, as every encoding of them below 2^255.
pub(super) const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    point(0x01, 0x00, 0x00),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    point(0xec, 0xff, 0x7f),
    point(0xed, 0xff, 0x7f),
    point(0xee, 0xff, 0x7f),
];

/// A number whose little-endian bytes are all alike but for the first and the last.
const fn point(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    let [low, .., high] = &mut bytes;
    *low = first;
    *high = last;
    bytes
}
