//! The secret keys of one device.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use zeroize::{Zeroize, Zeroizing};

use crate::entropy::Entropy;
use crate::hash::{DeviceId, SealKey};
use crate::identity::IdentityError;
use crate::identity::signature::{Domain, Signature};

/// An Ed25519 signing key and an X25519 secret; wiped from memory when dropped.
pub struct DeviceSecret {
    signing: SigningKey,
    sealing: [u8; 32],
    seal_key: SealKey,
}

impl DeviceSecret {
    /// Length of the byte form.
    pub const LEN: usize = 64;

    /// Makes new keys.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        loop {
            entropy.fill(bytes.as_mut());
            if let Some(secret) = Self::from_bytes(&bytes) {
                return secret;
            }
        }
    }

    /// Restores keys from `signing seed 32 ‖ X25519 secret 32`; `None` if either gives no
    /// usable key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (seed, sealing) = bytes.split_first_chunk::<32>()?;
        let sealing: [u8; 32] = sealing.try_into().ok()?;
        let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&sealing).ok()?;
        let public = X25519HkdfSha256::sk_to_pk(&private).to_bytes();
        let seal_key = SealKey::from_bytes(public.as_slice().try_into().ok()?);
        Some(Self { signing: SigningKey::from_bytes(seed), sealing, seal_key })
    }

    /// Returns `signing seed 32 ‖ X25519 secret 32`, for a key file.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        let (seed, sealing) = bytes.split_at_mut(32);
        seed.copy_from_slice(self.signing.as_bytes());
        sealing.copy_from_slice(&self.sealing);
        bytes
    }

    /// Returns the signing seed, for the network endpoint of the same key.
    #[must_use]
    pub fn signing_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.signing.as_bytes())
    }

    /// Returns the device these keys are of.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId::from_bytes(self.signing.verifying_key().to_bytes())
    }

    /// Returns the public key to which epoch keys are sealed.
    #[must_use]
    pub const fn seal_key(&self) -> SealKey {
        self.seal_key
    }

    /// Signs `message` for one purpose.
    #[must_use]
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature::from_bytes(self.signing.sign(&domain.message(message)).to_bytes())
    }

    /// Returns the X25519 secret, for opening what is sealed to this device.
    pub(crate) const fn sealing(&self) -> &[u8; 32] {
        &self.sealing
    }

    /// Refuses to act for another device.
    pub(crate) fn check_is(&self, expected: DeviceId) -> Result<(), IdentityError> {
        let found = self.id();
        if found == expected { Ok(()) } else { Err(IdentityError::WrongSecret { expected, found }) }
    }
}

impl Drop for DeviceSecret {
    fn drop(&mut self) {
        self.sealing.zeroize();
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceSecret(of {})", self.id().short())
    }
}
