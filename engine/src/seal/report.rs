//! Sealing what a report says, with a key that is used for nothing else.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{EpochKey, NONCE_LEN, SealError};
use crate::hash::{AccountId, HubId, derive};

/// Seals what `author` reports to moderators of `hub`; the key seals nothing but this.
///
/// # Errors
/// If it is longer than the cipher takes.
pub fn seal_report(
    key: &EpochKey,
    hub: &HubId,
    author: &AccountId,
    report: &[u8],
) -> Result<Vec<u8>, SealError> {
    let place = [hub.as_bytes().as_slice(), author.as_bytes()].concat();
    XChaCha20Poly1305::new((&*report_key(key)).into())
        .encrypt(&XNonce::from([0; NONCE_LEN]), Payload { msg: report, aad: &place })
        .map_err(|_| SealError::Size { len: report.len() })
}

/// Opens what [`seal_report`] sealed.
///
/// # Errors
/// If it was altered, or is somebody else's, in another hub or under another key.
pub fn open_report(
    key: &EpochKey,
    hub: &HubId,
    author: &AccountId,
    sealed: &[u8],
) -> Result<Vec<u8>, SealError> {
    let place = [hub.as_bytes().as_slice(), author.as_bytes()].concat();
    XChaCha20Poly1305::new((&*report_key(key)).into())
        .decrypt(&XNonce::from([0; NONCE_LEN]), Payload { msg: sealed, aad: &place })
        .map_err(|_| SealError::Open)
}

fn report_key(key: &EpochKey) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(derive("mosaic hub report 1", &[&key.0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn a_report_opens_for_its_author_in_its_hub_under_its_key() {
        let entropy = SeededEntropy::new(1);
        let (key, other) = (EpochKey::generate(&entropy), EpochKey::generate(&entropy));
        let (hub, author) = (HubId::from_bytes([1; 32]), AccountId::from_bytes([2; 32]));
        let sealed = seal_report(&key, &hub, &author, b"look").unwrap();
        assert_eq!(open_report(&key, &hub, &author, &sealed).unwrap(), b"look");
        assert!(open_report(&other, &hub, &author, &sealed).is_err());
        assert!(open_report(&key, &HubId::from_bytes([3; 32]), &author, &sealed).is_err());
        assert!(open_report(&key, &hub, &AccountId::from_bytes([3; 32]), &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(open_report(&key, &hub, &author, &altered).is_err(), "bit {bit}");
        }
    }
}
