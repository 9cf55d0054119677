//! Sealing what stays on one device to the keys of that device.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{NONCE_LEN, SealError};
use crate::codec::{DecodeError, Reader, Writer};
use crate::entropy::{Entropy, random};
use crate::hash::derive;
use crate::identity::DeviceSecret;

const KIND: u8 = 0x54;
const VERSION: u8 = 1;

/// Seals bytes so that only the keys of this device open them, for the purpose named:
/// `0x54 ‖ version 1 ‖ nonce 24 ‖ XChaCha20-Poly1305`.
///
/// # Errors
/// If they are longer than the cipher takes.
pub fn seal_at_rest(
    secret: &DeviceSecret,
    purpose: &str,
    bytes: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, SealError> {
    let nonce: [u8; NONCE_LEN] = random(entropy);
    let payload = Payload { msg: bytes, aad: purpose.as_bytes() };
    let ciphertext = XChaCha20Poly1305::new((&*key(secret, purpose)).into())
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| SealError::Size { len: bytes.len() })?;
    let mut w = Writer::new();
    w.u8(KIND).u8(VERSION).raw(&nonce).raw(&ciphertext);
    Ok(w.finish())
}

/// Opens what [`seal_at_rest`] sealed for the same purpose.
///
/// # Errors
/// If it is none, was altered, or is for other keys or another purpose.
pub fn open_at_rest(
    secret: &DeviceSecret,
    purpose: &str,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut r = Reader::new(sealed);
    for (byte, reading) in [(KIND, "kind at rest"), (VERSION, "version at rest")] {
        let value = r.u8(reading)?;
        if value != byte {
            return Err(DecodeError::Unknown { reading, value }.into());
        }
    }
    let nonce: [u8; NONCE_LEN] = r.array("nonce")?;
    let payload = Payload { msg: r.rest(), aad: purpose.as_bytes() };
    let opened = XChaCha20Poly1305::new((&*key(secret, purpose)).into())
        .decrypt(&XNonce::from(nonce), payload);
    opened.map(Zeroizing::new).map_err(|_| SealError::Open)
}

fn key(secret: &DeviceSecret, purpose: &str) -> Zeroizing<[u8; 32]> {
    let keys = secret.to_bytes();
    Zeroizing::new(derive("mosaic key at rest 1", &[&*keys, purpose.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn opens_with_the_same_keys_for_the_same_purpose_only() {
        let entropy = SeededEntropy::new(1);
        let (own, other) = (DeviceSecret::generate(&entropy), DeviceSecret::generate(&entropy));
        let sealed = seal_at_rest(&own, "words", b"secret", &entropy).unwrap();
        assert_eq!(&**open_at_rest(&own, "words", &sealed).unwrap(), b"secret");
        assert_eq!(open_at_rest(&other, "words", &sealed), Err(SealError::Open));
        assert_eq!(open_at_rest(&own, "other", &sealed), Err(SealError::Open));
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(open_at_rest(&own, "words", &altered).is_err(), "bit {bit}");
        }
        assert!(open_at_rest(&own, "words", &sealed[..20]).is_err());
    }
}
