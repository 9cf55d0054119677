//! Sealing the entries and bodies of conversations and private channels. They are many and short, so
//! what a seal adds is kept small: of the epoch's id 8 bytes are told, a salt of 8 bytes makes the key
//! of each entry in place of a nonce beside it, and a body is proven by the entry that names its hash.
//!
//! What was sealed before, in the first form, is read as ever. Nothing is sealed in it any more.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::padding::Padded;
use super::{EpochKey, KEY_CHECK_LEN, NONCE_LEN, SealError, SealPlace, TAG_LEN, key_check};
use crate::codec::{DecodeError, Reader, Writer};
use crate::entropy::{Entropy, random};
use crate::hash::{ChangeId, DocumentId, EpochId, SpaceId, derive};
use crate::limits::{BODY_SALT_BYTES, SEALED_BYTES_MAX};

/// Bytes of an epoch's id that a sealed entry tells.
pub const EPOCH_HINT_BYTES: usize = 8;

const FIRST_SALT_LEN: usize = 16;
const SALT_LEN: usize = 8;
const STREAM_NONCE_LEN: usize = 12;

/// How something is sealed; told in the clear, and sealed along with the other clear fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealForm {
    /// As it was until the second: read, and written no more.
    First,
    /// With less beside it.
    Second,
}

/// Makes the key of an entry, in one of two forms. Beside it the key is made of document, device,
/// incarnation and number, so it has only to tell apart what a device that was copied writes twice in
/// one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealSalt {
    /// Of the first form.
    First([u8; FIRST_SALT_LEN]),
    /// Of the second.
    Second([u8; SALT_LEN]),
}

impl SealSalt {
    const fn form(&self) -> SealForm {
        match self {
            Self::First(_) => SealForm::First,
            Self::Second(_) => SealForm::Second,
        }
    }

    const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::First(salt) => salt,
            Self::Second(salt) => salt,
        }
    }
}

/// An entry that only those who hold its epoch's key can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEntry {
    /// First bytes of the epoch's id.
    pub epoch: [u8; EPOCH_HINT_BYTES],
    /// Commits to the key: no entry opens to two texts under two keys.
    pub check: [u8; KEY_CHECK_LEN],
    /// Makes the key of this entry.
    pub salt: SealSalt,
    /// XChaCha20-Poly1305 of what it says, padded.
    pub ciphertext: Vec<u8>,
}

impl SealedEntry {
    /// Bytes that sealing adds to what an entry says, but for its padding.
    pub const OVERHEAD_BYTES: usize = EPOCH_HINT_BYTES + KEY_CHECK_LEN + SALT_LEN + TAG_LEN;

    /// Seals what stands at `place` beside a clear `header`, which says that it is of the second form.
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
        Self::seal_as(key, place, header, plain, SealSalt::Second(random(entropy)))
    }

    /// Seals as it was done in the first form.
    #[cfg(test)]
    pub(crate) fn seal_first(
        key: &EpochKey,
        place: &SealPlace,
        header: &[u8],
        plain: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Self, SealError> {
        Self::seal_as(key, place, header, plain, SealSalt::First(random(entropy)))
    }

    fn seal_as(
        key: &EpochKey,
        place: &SealPlace,
        header: &[u8],
        plain: &[u8],
        salt: SealSalt,
    ) -> Result<Self, SealError> {
        let id = key.id();
        let entry_key = entry_key(key, place, &salt);
        let aad = [&place.associated(&id), header].concat();
        let padded = padded_of(salt.form()).pad(plain);
        let ciphertext = XChaCha20Poly1305::new((&*entry_key).into())
            .encrypt(&XNonce::from([0; NONCE_LEN]), Payload { msg: &padded, aad: &aad })
            .map_err(|_| SealError::Size { len: plain.len() })?;
        Ok(Self { epoch: hint_of(&id), check: key_check(&entry_key), salt, ciphertext })
    }

    /// Returns how it is sealed, and with it the texts that it brings.
    #[must_use]
    pub const fn form(&self) -> SealForm {
        self.salt.form()
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
        padded_of(self.form()).strip(padded).ok_or(SealError::Open)
    }

    /// Appends it: the last field of an entry.
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.raw(&self.epoch).raw(&self.check).raw(self.salt.as_bytes()).raw(&self.ciphertext);
    }

    /// Reads one to the end of the bytes, of the form that the entry tells.
    pub(crate) fn decode(r: &mut Reader<'_>, form: SealForm) -> Result<Self, DecodeError> {
        Self::decode_within(r, form, SEALED_BYTES_MAX)
    }

    /// As [`SealedEntry::decode`], with a limit of its own for the ciphertext.
    pub(crate) fn decode_within(
        r: &mut Reader<'_>,
        form: SealForm,
        bytes_max: usize,
    ) -> Result<Self, DecodeError> {
        let (epoch, check) = (r.array("epoch")?, r.array("key check")?);
        let salt = match form {
            SealForm::First => SealSalt::First(r.array("salt")?),
            SealForm::Second => SealSalt::Second(r.array("salt")?),
        };
        let length = r.rest().len();
        if length > bytes_max {
            let (value, max) = (length as u64, bytes_max as u64);
            return Err(DecodeError::TooLarge { reading: "sealed entry", value, max });
        }
        let ciphertext = r.take(length, "sealed entry")?.to_vec();
        Ok(Self { epoch, check, salt, ciphertext })
    }
}

/// What a sealed entry tells of its epoch.
#[must_use]
pub fn hint_of(epoch: &EpochId) -> [u8; EPOCH_HINT_BYTES] {
    epoch.as_bytes().first_chunk().copied().unwrap_or_default()
}

const fn padded_of(form: SealForm) -> Padded {
    match form {
        SealForm::First => Padded::FirstEntry,
        SealForm::Second => Padded::Entry,
    }
}

fn entry_key(key: &EpochKey, place: &SealPlace, salt: &SealSalt) -> Zeroizing<[u8; 32]> {
    let chain = &place.chain;
    let parts: [&[u8]; 6] = [
        &key.0,
        chain.doc.as_bytes(),
        chain.device.as_bytes(),
        chain.incarnation.as_bytes(),
        &place.n.to_be_bytes(),
        salt.as_bytes(),
    ];
    Zeroizing::new(match salt.form() {
        SealForm::First => derive("mosaic entry key 1", &parts),
        SealForm::Second => derive("mosaic entry key 2", &parts),
    })
}

/// What a sealed body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedText {
    /// The text.
    pub text: Vec<u8>,
    /// What it says beside it, in place of its entry.
    pub beside: Beside,
}

/// What a sealed body says beside its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// The message that it answers.
    Answers(ChangeId),
    /// Whom it mentions: the text begins with that.
    Mentions,
}

/// Seals a body of a document, in the second form: `salt 16 ‖ ChaCha20` of it padded, with a key that
/// the salt makes.
///
/// Nothing in it proves that it was not altered: its entry names its hash, sealed along and signed.
///
/// # Errors
/// If it is longer than the cipher takes.
pub fn seal_body(
    key: &EpochKey,
    place: (&SpaceId, &DocumentId),
    text: &[u8],
    beside: &Beside,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, SealError> {
    let salt: [u8; BODY_SALT_BYTES] = random(entropy);
    let mut body = match beside {
        Beside::Nothing => Padded::Text.pad(text),
        Beside::Answers(target) => Padded::Answer.pad(&[text, target.as_bytes()].concat()),
        Beside::Mentions => Padded::Mentions.pad(text),
    };
    run_stream(&body_key("mosaic body key 2", key, place, &salt), &mut body)
        .ok_or(SealError::Size { len: text.len() })?;
    Ok([&salt[..], &body].concat())
}

/// Opens a body of a document, which has the hash that an entry of this form names.
///
/// # Errors
/// If it is not the padded text of a body of this document under this key.
pub fn open_body(
    key: &EpochKey,
    place: (&SpaceId, &DocumentId),
    form: SealForm,
    sealed: &[u8],
) -> Result<SealedText, SealError> {
    let (salt, ciphertext) =
        sealed.split_first_chunk::<BODY_SALT_BYTES>().ok_or(SealError::Open)?;
    let padded = match form {
        SealForm::First => {
            let key = body_key("mosaic body key 1", key, place, salt);
            let payload = Payload { msg: ciphertext, aad: place.0.as_bytes() };
            let padded = XChaCha20Poly1305::new((&*key).into())
                .decrypt(&XNonce::from([0; NONCE_LEN]), payload)
                .map_err(|_| SealError::Open)?;
            let text = Padded::Text.strip(padded).ok_or(SealError::Open)?;
            return Ok(SealedText { text, beside: Beside::Nothing });
        }
        SealForm::Second => {
            let mut padded = ciphertext.to_vec();
            let key = body_key("mosaic body key 2", key, place, salt);
            run_stream(&key, &mut padded).ok_or(SealError::Open)?;
            padded
        }
    };
    let kind = Padded::of_text(&padded);
    let mut text = kind.strip(padded).ok_or(SealError::Open)?;
    let beside = match kind {
        Padded::Answer => {
            let target = *text.last_chunk::<32>().ok_or(SealError::Open)?;
            text.truncate(text.len().saturating_sub(target.len()));
            Beside::Answers(ChangeId::from_bytes(target))
        }
        Padded::Mentions => Beside::Mentions,
        _ => Beside::Nothing,
    };
    Ok(SealedText { text, beside })
}

/// Seals a body as it was done in the first form.
#[cfg(test)]
pub(crate) fn seal_first_body(
    key: &EpochKey,
    place: (&SpaceId, &DocumentId),
    text: &[u8],
    entropy: &dyn Entropy,
) -> Vec<u8> {
    let salt: [u8; BODY_SALT_BYTES] = random(entropy);
    let payload = Payload { msg: &Padded::Text.pad(text), aad: place.0.as_bytes() };
    let key = body_key("mosaic body key 1", key, place, &salt);
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let ciphertext = cipher.encrypt(&XNonce::from([0; NONCE_LEN]), payload).unwrap();
    [&salt[..], &ciphertext].concat()
}

/// Adds the stream of a key that is used for nothing else; `None` if it is not long enough.
fn run_stream(key: &[u8; 32], bytes: &mut [u8]) -> Option<()> {
    let nonce = [0; STREAM_NONCE_LEN];
    ChaCha20::new(key.into(), &nonce.into()).try_apply_keystream(bytes).ok()
}

fn body_key(
    context: &str,
    key: &EpochKey,
    (space, doc): (&SpaceId, &DocumentId),
    salt: &[u8; BODY_SALT_BYTES],
) -> Zeroizing<[u8; 32]> {
    let parts: [&[u8]; 4] = [&key.0, space.as_bytes(), doc.as_bytes(), salt];
    Zeroizing::new(derive(context, &parts))
}

#[cfg(test)]
mod tests;
