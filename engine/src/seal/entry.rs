//! Sealing the entries and bodies of conversations. Entries are many and short, so what a seal adds
//! is kept small: of the epoch's id 8 bytes are told, and a salt of 16 bytes makes the key of each
//! entry in place of a nonce beside it.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::padding::Padded;
use super::{EpochKey, KEY_CHECK_LEN, NONCE_LEN, SealError, SealPlace, TAG_LEN, key_check};
use crate::entropy::{Entropy, random};
use crate::hash::{DocumentId, EpochId, SpaceId, derive};
use crate::limits::BODY_SALT_BYTES;

/// Bytes of an epoch's id that a sealed entry tells.
pub const EPOCH_HINT_BYTES: usize = 8;
/// Bytes that sealing adds to a body, but for its padding.
pub const BODY_SEAL_BYTES: usize = TAG_LEN;

const SALT_LEN: usize = 16;

/// An entry that only those who hold its epoch's key can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEntry {
    /// First bytes of the epoch's id.
    pub epoch: [u8; EPOCH_HINT_BYTES],
    /// Commits to the key: no entry opens to two texts under two keys.
    pub check: [u8; KEY_CHECK_LEN],
    /// Makes the key of this entry.
    pub salt: [u8; SALT_LEN],
    /// XChaCha20-Poly1305 of what it says, padded.
    pub ciphertext: Vec<u8>,
}

impl SealedEntry {
    /// Bytes that sealing adds to what an entry says, but for its padding.
    pub const OVERHEAD_BYTES: usize = EPOCH_HINT_BYTES + KEY_CHECK_LEN + SALT_LEN + TAG_LEN;

    /// Seals what stands at `place` beside a clear `header`.
    ///
    /// # Errors
    /// If it is longer than the cipher takes.
    pub fn seal(
        key: &EpochKey,
        place: &SealPlace,
        header: &[u8],
        plain: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Self, SealError> {
        let id = key.id();
        let salt: [u8; SALT_LEN] = random(entropy);
        let entry_key = entry_key(key, place, &salt);
        let aad = [&place.associated(&id), header].concat();
        let ciphertext = XChaCha20Poly1305::new((&*entry_key).into())
            .encrypt(
                &XNonce::from([0; NONCE_LEN]),
                Payload { msg: &Padded::Entry.pad(plain), aad: &aad },
            )
            .map_err(|_| SealError::Size { len: plain.len() })?;
        Ok(Self { epoch: hint_of(&id), check: key_check(&entry_key), salt, ciphertext })
    }

    /// Opens what stands at `place` beside a clear `header`.
    ///
    /// # Errors
    /// [`SealError::OtherEpoch`] if this is not the key, [`SealError::KeyCheck`] if it was made
    /// with another key whose epoch looks the same; otherwise the entry is invalid for ever.
    pub fn open(
        &self,
        key: &EpochKey,
        place: &SealPlace,
        header: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let id = key.id();
        if hint_of(&id) != self.epoch {
            return Err(SealError::OtherEpoch { found: id, given: id });
        }
        let entry_key = entry_key(key, place, &self.salt);
        if key_check(&entry_key) != self.check {
            return Err(SealError::KeyCheck);
        }
        let aad = [&place.associated(&id), header].concat();
        let padded = XChaCha20Poly1305::new((&*entry_key).into())
            .decrypt(&XNonce::from([0; NONCE_LEN]), Payload { msg: &self.ciphertext, aad: &aad })
            .map_err(|_| SealError::Open)?;
        Padded::Entry.strip(padded).ok_or(SealError::Open)
    }
}

/// What a sealed entry tells of its epoch.
#[must_use]
pub fn hint_of(epoch: &EpochId) -> [u8; EPOCH_HINT_BYTES] {
    epoch.as_bytes().first_chunk().copied().unwrap_or_default()
}

fn entry_key(key: &EpochKey, place: &SealPlace, salt: &[u8; SALT_LEN]) -> Zeroizing<[u8; 32]> {
    let chain = &place.chain;
    let parts: [&[u8]; 6] = [
        &key.0,
        chain.doc.as_bytes(),
        chain.device.as_bytes(),
        chain.incarnation.as_bytes(),
        &place.n.to_be_bytes(),
        salt,
    ];
    Zeroizing::new(derive("mosaic entry key 1", &parts))
}

/// Seals a body of a document: `salt 16 ‖ XChaCha20-Poly1305` of it padded, with a key that the
/// salt makes.
///
/// # Errors
/// If it is longer than the cipher takes.
pub fn seal_body(
    key: &EpochKey,
    place: (&SpaceId, &DocumentId),
    plain: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, SealError> {
    let salt: [u8; BODY_SALT_BYTES] = random(entropy);
    let padded = Padded::Text.pad(plain);
    let payload = Payload { msg: &padded, aad: place.0.as_bytes() };
    let ciphertext = XChaCha20Poly1305::new((&*body_key(key, place, &salt)).into())
        .encrypt(&XNonce::from([0; NONCE_LEN]), payload)
        .map_err(|_| SealError::Size { len: plain.len() })?;
    Ok([&salt[..], &ciphertext].concat())
}

/// Opens a body of a document.
///
/// # Errors
/// If it was altered, sealed with another key or for another document.
pub fn open_body(
    key: &EpochKey,
    place: (&SpaceId, &DocumentId),
    sealed: &[u8],
) -> Result<Vec<u8>, SealError> {
    let (salt, ciphertext) =
        sealed.split_first_chunk::<BODY_SALT_BYTES>().ok_or(SealError::Open)?;
    let payload = Payload { msg: ciphertext, aad: place.0.as_bytes() };
    let padded = XChaCha20Poly1305::new((&*body_key(key, place, salt)).into())
        .decrypt(&XNonce::from([0; NONCE_LEN]), payload)
        .map_err(|_| SealError::Open)?;
    Padded::Text.strip(padded).ok_or(SealError::Open)
}

fn body_key(
    key: &EpochKey,
    (space, doc): (&SpaceId, &DocumentId),
    salt: &[u8; BODY_SALT_BYTES],
) -> Zeroizing<[u8; 32]> {
    let parts: [&[u8]; 4] = [&key.0, space.as_bytes(), doc.as_bytes(), salt];
    Zeroizing::new(derive("mosaic body key 1", &parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::ChainKey;
    use crate::entropy::SeededEntropy;
    use crate::hash::{DeviceId, Incarnation, Link};

    fn place(n: u64) -> SealPlace {
        let chain = ChainKey {
            doc: DocumentId::from_bytes([2; 32]),
            device: DeviceId::from_bytes([3; 32]),
            incarnation: Incarnation::from_bytes([4; 16]),
        };
        let previous_link = Link::from_bytes([5; 32]);
        SealPlace { space: SpaceId::from_bytes([1; 32]), chain, n, previous_link }
    }

    #[test]
    fn entries_open_where_they_stand_and_nowhere_else() {
        let entropy = SeededEntropy::new(1);
        let (key, other) = (EpochKey::generate(&entropy), EpochKey::generate(&entropy));
        let sealed = SealedEntry::seal(&key, &place(7), b"head", b"hello", &entropy).unwrap();
        assert_eq!(sealed.ciphertext.len() + 40, 64 + SealedEntry::OVERHEAD_BYTES);
        assert_eq!(sealed.open(&key, &place(7), b"head").unwrap(), b"hello");
        assert!(matches!(
            sealed.open(&other, &place(7), b"head"),
            Err(SealError::OtherEpoch { .. })
        ));
        assert_eq!(sealed.open(&key, &place(7), b"hear"), Err(SealError::Open));
        // Another place makes another key, or does not fit what was sealed along.
        assert_eq!(sealed.open(&key, &place(8), b"head"), Err(SealError::KeyCheck));
        let mut moved = place(7);
        moved.previous_link = Link::from_bytes([6; 32]);
        assert_eq!(sealed.open(&key, &moved, b"head"), Err(SealError::Open));
        let mut moved = place(7);
        moved.space = SpaceId::from_bytes([9; 32]);
        assert_eq!(sealed.open(&key, &moved, b"head"), Err(SealError::Open));
        let mut moved = place(7);
        moved.chain.doc = DocumentId::from_bytes([9; 32]);
        assert_eq!(sealed.open(&key, &moved, b"head"), Err(SealError::KeyCheck));
        for byte in 0..sealed.ciphertext.len() {
            let mut altered = sealed.clone();
            altered.ciphertext[byte] ^= 1;
            assert_eq!(altered.open(&key, &place(7), b"head"), Err(SealError::Open));
        }
    }

    #[test]
    fn bodies_open_in_their_document_only() {
        let entropy = SeededEntropy::new(1);
        let (key, other) = (EpochKey::generate(&entropy), EpochKey::generate(&entropy));
        let (space, doc) = (SpaceId::from_bytes([1; 32]), DocumentId::from_bytes([2; 32]));
        let sealed = seal_body(&key, (&space, &doc), b"text", &entropy).unwrap();
        assert_eq!(sealed.len(), BODY_SALT_BYTES + 32 + BODY_SEAL_BYTES);
        assert_eq!(open_body(&key, (&space, &doc), &sealed).unwrap(), b"text");
        assert!(open_body(&other, (&space, &doc), &sealed).is_err());
        assert!(open_body(&key, (&space, &DocumentId::from_bytes([3; 32])), &sealed).is_err());
        assert!(open_body(&key, (&space, &doc), &sealed[..10]).is_err());
        for byte in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[byte] ^= 1;
            assert!(open_body(&key, (&space, &doc), &altered).is_err());
        }
    }
}
