//! One device vouches for another; both sign the same bytes.

use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, DeviceId, SealKey};
use crate::identity::genesis::expect;
use crate::identity::signature::{Domain, Signature, Verifier};
use crate::identity::{DeviceSecret, IdentityError, VerifiedDevice};

const KIND: u8 = 0x02;
const VERSION: u8 = 1;
const SIGNED_LEN: usize = 2 + 32 + 32 + 32 + 1 + 8 + 32;

/// A device's claim to belong to an account, signed by its issuer and by itself.
///
/// Believe it only after [`VerifiedDevice::admit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The account.
    pub account: AccountId,
    /// The new device.
    pub device: DeviceId,
    /// The key to which epoch keys are sealed for it.
    pub seal_key: SealKey,
    /// Its rank, from 1 to one below the issuer's.
    pub rank: u8,
    /// Claimed time of issue, milliseconds since 1970.
    pub issued_ms: u64,
    /// The device that vouches for it.
    pub issuer: DeviceId,
    /// The issuer's signature.
    pub issuer_signature: Signature,
    /// The new device's signature: it agrees, and holds its key.
    pub device_signature: Signature,
}

impl Certificate {
    /// Length of the encoding in bytes.
    pub const LEN: usize = SIGNED_LEN + 2 * Signature::LEN;

    /// Encodes: `0x02 ‖ version 1 ‖ account 32 ‖ device 32 ‖ seal key 32 ‖ rank u8 ‖
    /// issued_ms u64be ‖ issuer 32 ‖ issuer signature 64 ‖ device signature 64`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&self.signed_bytes()).raw(self.issuer_signature.as_bytes());
        w.raw(self.device_signature.as_bytes());
        w.finish()
    }

    /// Reads one certificate; nothing is verified.
    ///
    /// # Errors
    /// If cut short, or of another kind or version.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offer = CertificateOffer::decode(reader)?;
        let device_signature = Signature::from_bytes(reader.array("device signature")?);
        Ok(Self { device_signature, ..offer.0 })
    }

    /// Reads exactly one certificate.
    ///
    /// # Errors
    /// As [`Certificate::decode`], and if bytes are left.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let certificate = Self::decode(&mut reader)?;
        reader.end()?;
        Ok(certificate)
    }

    /// Checks both signatures, nothing else.
    pub(super) fn verify_signatures(&self, verifier: &Verifier) -> Result<(), IdentityError> {
        let message = self.signed_bytes();
        verifier.verify(&self.issuer, Domain::Device, &message, &self.issuer_signature)?;
        verifier.verify(&self.device, Domain::Device, &message, &self.device_signature)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(KIND).u8(VERSION).raw(self.account.as_bytes()).raw(self.device.as_bytes());
        w.raw(self.seal_key.as_bytes()).u8(self.rank).u64(self.issued_ms);
        w.raw(self.issuer.as_bytes());
        w.finish()
    }
}

/// A certificate that the new device has not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOffer(Certificate);

impl CertificateOffer {
    /// Vouches for a device.
    ///
    /// # Errors
    /// If `secret` is not the issuer's, or the rank is not below the issuer's.
    pub fn issue(
        issuer: &VerifiedDevice,
        secret: &DeviceSecret,
        device: DeviceId,
        seal_key: SealKey,
        rank: u8,
        issued_ms: u64,
    ) -> Result<Self, IdentityError> {
        secret.check_is(issuer.device())?;
        issuer.check_rank(rank)?;
        let mut certificate = Certificate {
            account: issuer.account(),
            device,
            seal_key,
            rank,
            issued_ms,
            issuer: issuer.device(),
            issuer_signature: Signature::from_bytes([0; Signature::LEN]),
            device_signature: Signature::from_bytes([0; Signature::LEN]),
        };
        certificate.issuer_signature = secret.sign(Domain::Device, &certificate.signed_bytes());
        Ok(Self(certificate))
    }

    /// Returns the account that is offered.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.0.account
    }

    /// Returns the device it is for.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.0.device
    }

    /// Returns the rank that is offered.
    #[must_use]
    pub const fn rank(&self) -> u8 {
        self.0.rank
    }

    /// Signs as the new device.
    ///
    /// # Errors
    /// If `secret` is of another device, or holds another seal key.
    pub fn accept(mut self, secret: &DeviceSecret) -> Result<Certificate, IdentityError> {
        secret.check_is(self.0.device)?;
        if secret.seal_key() != self.0.seal_key {
            return Err(IdentityError::WrongSealKey { found: self.0.seal_key });
        }
        self.0.device_signature = secret.sign(Domain::Device, &self.0.signed_bytes());
        Ok(self.0)
    }

    /// Encodes the certificate up to and with the issuer's signature.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.0.signed_bytes();
        bytes.extend_from_slice(self.0.issuer_signature.as_bytes());
        bytes
    }

    /// Reads one offer; nothing is verified.
    ///
    /// # Errors
    /// If cut short, or of another kind or version.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        expect(reader, KIND, "certificate kind")?;
        expect(reader, VERSION, "certificate version")?;
        Ok(Self(Certificate {
            account: AccountId::from_bytes(reader.array("account")?),
            device: DeviceId::from_bytes(reader.array("device")?),
            seal_key: SealKey::from_bytes(reader.array("seal key")?),
            rank: reader.u8("rank")?,
            issued_ms: reader.u64("time of issue")?,
            issuer: DeviceId::from_bytes(reader.array("issuer")?),
            issuer_signature: Signature::from_bytes(reader.array("issuer signature")?),
            device_signature: Signature::from_bytes([0; Signature::LEN]),
        }))
    }
}
