//! Sealing: the changes of private documents, and the epoch keys that open them.
//!
//! ```text
//! epoch key ──HPKE──► one wrap for each device
//!     └─ with (document, device, incarnation, n) ──► message key ──► sealed change
//! ```
//!
//! Chains cover the sealed bytes, so whoever has no key can still verify and pass them on.
//! No key means "not yet"; only what does not open under the right key is invalid.

use std::convert::Infallible;
use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader, Writer};
use crate::entropy::{Entropy, random};
use crate::hash::{AccountId, EpochId, Link, SealKey, SpaceId, derive};
use crate::identity::{DeviceSecret, RecoverySecret};
use crate::limits::CHANGE_BYTES_MAX;

mod entry;
mod padding;
mod prekey;
mod report;
mod rest;

#[cfg(test)]
pub(crate) use entry::seal_first_body;
pub use entry::{
    Beside, EPOCH_HINT_BYTES, SealForm, SealSalt, SealedEntry, SealedText, hint_of, open_body,
    seal_body,
};
pub use padding::{ENTRY_STEP_BYTES, TEXT_STEP_BYTES};
#[cfg(test)]
pub(crate) use prekey::COPIES_OPENED;
pub use prekey::{
    PREKEY_TAG_BYTES, PREKEY_WRAP_BYTES, PrekeySecret, PrekeyTag, SealTo, is_usable, prekey_of,
    tag_of,
};
pub use report::{open_report, seal_report};
pub use rest::{open_at_rest, seal_at_rest};

/// Bytes that sealing adds to a change.
pub const SEAL_OVERHEAD_BYTES: usize = 2 + 32 + KEY_CHECK_LEN + NONCE_LEN + TAG_LEN;
/// Bytes of one wrapped epoch key.
pub const WRAP_BYTES: usize = 1 + 32 + 32 + TAG_LEN;

const KIND: u8 = 0x53;
const VERSION: u8 = 1;
const SUITE: u8 = 1;
const KEY_CHECK_LEN: usize = 16;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
const WRAP_INFO: &[u8] = b"mosaic epoch wrap 1";
const SPACE_WRAP_INFO: &[u8] = b"mosaic conversation wrap 1";

/// Why something was not sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The bytes do not decode: invalid for ever.
    #[error("sealed change does not decode: {0}")]
    Decode(#[from] DecodeError),
    /// Longer than a change may be, once sealed.
    #[error("sealed change of {len} bytes, limit {CHANGE_BYTES_MAX}")]
    Size {
        /// Length in bytes.
        len: usize,
    },
    /// Sealed with another epoch's key: not yet readable.
    #[error("sealed under epoch {found}, the key is of {given}")]
    OtherEpoch {
        /// The epoch it names.
        found: EpochId,
        /// The epoch of the key at hand.
        given: EpochId,
    },
    /// It names this epoch but was made with another key: invalid for ever.
    #[error("key check does not fit the epoch key")]
    KeyCheck,
    /// Altered, or sealed for another place: invalid for ever.
    #[error("sealed change does not open")]
    Open,
    /// The wrap is of an unknown suite, cut short, for another device or another epoch.
    #[error("wrapped epoch key does not open")]
    Wrap,
    /// The device's seal key is no usable key.
    #[error("seal key is not usable")]
    SealKey,
}

impl SealError {
    /// Returns a stable name for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Decode(_) => "seal_decode",
            Self::Size { .. } => "seal_size",
            Self::OtherEpoch { .. } => "seal_other_epoch",
            Self::KeyCheck => "seal_key_check",
            Self::Open => "seal_open",
            Self::Wrap => "seal_wrap",
            Self::SealKey => "seal_key",
        }
    }
}

/// A key of an account's private sector, or of a conversation; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct EpochKey([u8; 32]);

impl EpochKey {
    /// Makes a new key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(random(entropy))
    }

    /// Restores a key.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the key's bytes, for a key file.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// Returns the epoch it is the key of: `derive_key("mosaic epoch 1", key)`.
    #[must_use]
    pub fn id(&self) -> EpochId {
        EpochId::from_bytes(derive("mosaic epoch 1", &[&self.0]))
    }

    /// Seals the key to a device: `suite 1 ‖ encapsulated key 32 ‖ ciphertext 48`.
    ///
    /// # Errors
    /// If `seal_key` is of small order.
    pub fn wrap(
        &self,
        account: &AccountId,
        seal_key: &SealKey,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, SealError> {
        self.wrap_as(&wrap_info(account), seal_key, entropy)
    }

    /// [`EpochKey::wrap`] for a key of a conversation, or of a report in a hub.
    ///
    /// # Errors
    /// As there.
    pub fn wrap_in(
        &self,
        space: &SpaceId,
        seal_key: &SealKey,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, SealError> {
        self.wrap_as(&space_wrap_info(space), seal_key, entropy)
    }

    fn wrap_as(
        &self,
        info: &[u8],
        seal_key: &SealKey,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, SealError> {
        let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(seal_key.as_bytes())
            .map_err(|_| SealError::SealKey)?;
        let (encapsulated, ciphertext) =
            hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &public,
                info,
                &self.0,
                &[],
                &mut Rng(entropy),
            )
            .map_err(|_| SealError::SealKey)?;
        Ok([&[SUITE][..], &encapsulated.to_bytes(), &ciphertext].concat())
    }

    /// Opens a wrap that is for this device, and checks that it holds `epoch`'s key.
    ///
    /// # Errors
    /// If the wrap is of another suite, cut short, altered, for another device or account,
    /// or holds another key.
    pub fn unwrap(
        wrap: &[u8],
        epoch: &EpochId,
        account: &AccountId,
        secret: &DeviceSecret,
    ) -> Result<Self, SealError> {
        Self::unwrap_with(wrap, epoch, &wrap_info(account), secret.sealing())
    }

    /// [`EpochKey::unwrap`] for a wrap that is for recovery words.
    ///
    /// # Errors
    /// As there.
    pub fn recover(
        wrap: &[u8],
        epoch: &EpochId,
        account: &AccountId,
        words: &RecoverySecret,
    ) -> Result<Self, SealError> {
        Self::unwrap_with(wrap, epoch, &wrap_info(account), words.sealing())
    }

    /// [`EpochKey::unwrap`] for a key of a conversation, or of a report in a hub.
    ///
    /// # Errors
    /// As there.
    pub fn unwrap_in(
        wrap: &[u8],
        epoch: &EpochId,
        space: &SpaceId,
        secret: &DeviceSecret,
    ) -> Result<Self, SealError> {
        Self::unwrap_with(wrap, epoch, &space_wrap_info(space), secret.sealing())
    }

    fn unwrap_with(
        wrap: &[u8],
        epoch: &EpochId,
        info: &[u8],
        sealing: &[u8; 32],
    ) -> Result<Self, SealError> {
        if wrap.len() != WRAP_BYTES {
            return Err(SealError::Wrap);
        }
        let mut r = Reader::new(wrap);
        if r.u8("suite")? != SUITE {
            return Err(SealError::Wrap);
        }
        let encapsulated: [u8; 32] = r.array("encapsulated key")?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&encapsulated)
            .map_err(|_| SealError::Wrap)?;
        let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(sealing)
            .map_err(|_| SealError::Wrap)?;
        let key = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &private,
            &encapsulated,
            info,
            r.rest(),
            &[],
        );
        let opened = Zeroizing::new(key.map_err(|_| SealError::Wrap)?);
        let key = Self(opened.as_slice().try_into().map_err(|_| SealError::Wrap)?);
        if key.id() == *epoch { Ok(key) } else { Err(SealError::Wrap) }
    }
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKey(of {})", self.id().short())
    }
}

/// Where a sealed change stands; it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealPlace {
    /// The space of the document.
    pub space: SpaceId,
    /// The chain.
    pub chain: ChainKey,
    /// Number of the change, from 1.
    pub n: u64,
    /// The chain's link before it.
    pub previous_link: Link,
}

impl SealPlace {
    fn associated(&self, epoch: &EpochId) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(self.space.as_bytes());
        self.chain.encode(&mut w);
        w.u64(self.n).raw(self.previous_link.as_bytes()).raw(epoch.as_bytes());
        w.finish()
    }

    fn message_key(&self, epoch_key: &EpochKey) -> Zeroizing<[u8; 32]> {
        let parts: [&[u8]; 5] = [
            &epoch_key.0,
            self.chain.doc.as_bytes(),
            self.chain.device.as_bytes(),
            self.chain.incarnation.as_bytes(),
            &self.n.to_be_bytes(),
        ];
        Zeroizing::new(derive("mosaic message key 1", &parts))
    }
}

/// Seals a change of a private document; the result is what is stored and chained.
///
/// # Errors
/// If the change is longer than [`CHANGE_BYTES_MAX`] less [`SEAL_OVERHEAD_BYTES`].
pub fn seal(
    key: &EpochKey,
    place: &SealPlace,
    change: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, SealError> {
    let len = change.len().saturating_add(SEAL_OVERHEAD_BYTES);
    if len > CHANGE_BYTES_MAX {
        return Err(SealError::Size { len });
    }
    let epoch = key.id();
    let message_key = place.message_key(key);
    let nonce: [u8; NONCE_LEN] = random(entropy);
    let payload = Payload { msg: change, aad: &place.associated(&epoch) };
    let ciphertext = XChaCha20Poly1305::new((&*message_key).into())
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| SealError::Size { len })?;
    let mut w = Writer::new();
    w.u8(KIND).u8(VERSION).raw(epoch.as_bytes()).raw(&key_check(&message_key));
    w.raw(&nonce).raw(&ciphertext);
    Ok(w.finish())
}

/// The stored bytes of a sealed change, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedChange<'a> {
    epoch: EpochId,
    key_check: [u8; KEY_CHECK_LEN],
    nonce: [u8; NONCE_LEN],
    ciphertext: &'a [u8],
}

impl<'a> SealedChange<'a> {
    /// Takes stored bytes apart; needs no key.
    ///
    /// # Errors
    /// If too long, cut short, or of another kind or version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SealError> {
        if bytes.len() > CHANGE_BYTES_MAX {
            return Err(SealError::Size { len: bytes.len() });
        }
        let mut r = Reader::new(bytes);
        for (byte, reading) in [(KIND, "sealed change kind"), (VERSION, "sealed change version")] {
            let value = r.u8(reading)?;
            if value != byte {
                return Err(DecodeError::Unknown { reading, value }.into());
            }
        }
        let sealed = Self {
            epoch: EpochId::from_bytes(r.array("epoch")?),
            key_check: r.array("key check")?,
            nonce: r.array("nonce")?,
            ciphertext: r.rest(),
        };
        r.take(TAG_LEN, "sealed change")?;
        Ok(sealed)
    }

    /// Returns the epoch whose key opens it.
    #[must_use]
    pub const fn epoch(&self) -> EpochId {
        self.epoch
    }

    /// Opens the change that stands at `place`.
    ///
    /// # Errors
    /// [`SealError::OtherEpoch`] if this is not the key; otherwise the change is invalid.
    pub fn open(&self, key: &EpochKey, place: &SealPlace) -> Result<Vec<u8>, SealError> {
        let given = key.id();
        if given != self.epoch {
            return Err(SealError::OtherEpoch { found: self.epoch, given });
        }
        let message_key = place.message_key(key);
        if key_check(&message_key) != self.key_check {
            return Err(SealError::KeyCheck);
        }
        let payload = Payload { msg: self.ciphertext, aad: &place.associated(&self.epoch) };
        XChaCha20Poly1305::new((&*message_key).into())
            .decrypt(&XNonce::from(self.nonce), payload)
            .map_err(|_| SealError::Open)
    }
}

/// Commits to the key: no ciphertext opens to two texts under two keys.
fn key_check(message_key: &[u8; 32]) -> [u8; KEY_CHECK_LEN] {
    let [check @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        derive("mosaic key check 1", &[message_key]);
    check
}

fn wrap_info(account: &AccountId) -> Vec<u8> {
    [WRAP_INFO, account.as_bytes()].concat()
}

fn space_wrap_info(space: &SpaceId) -> Vec<u8> {
    [SPACE_WRAP_INFO, space.as_bytes()].concat()
}

/// Our entropy under the trait that the sealing library asks for.
struct Rng<'a>(&'a dyn Entropy);

impl TryRng for Rng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(random(self.0)))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(random(self.0)))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Rng<'_> {}

#[cfg(test)]
mod tests;
