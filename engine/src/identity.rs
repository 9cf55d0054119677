//! Who writes: accounts, devices, and the path of certificates between them.
//!
//! ```text
//! genesis ──► first device (rank 200) ──certificate──► device (rank < 200) ──► …
//!    ├─ hash = AccountId
//!    └─ recovery policy ──words──► recovered device (rank > 200) ──certificate──► …
//! ```
//!
//! [`CertificatePath`] is what travels; [`VerifiedDevice`] is what may be believed, and
//! only [`CertificatePath::verify`] and [`VerifiedDevice::admit`] make one.

mod certificate;
mod genesis;
mod recovery;
mod secret;
mod signature;

use thiserror::Error;

use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, DeviceId, PolicyId, SealKey};
use crate::limits::CERTIFICATES_MAX;

pub use certificate::{Certificate, CertificateOffer};
pub use genesis::Genesis;
pub use recovery::{
    RECOVERED_RANK_MAX, RECOVERED_RANK_MIN, RecoveryCertificate, RecoveryPolicy, RecoverySecret,
    Rotation,
};
pub use secret::DeviceSecret;
pub use signature::{Domain, Signature, Verifier};

/// Rank of an account's first device.
pub const FIRST_DEVICE_RANK: u8 = 200;
/// Rank a device gives to another one when nothing else is asked for.
pub const LINKED_DEVICE_RANK: u8 = 100;

/// Why an identity is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The bytes do not decode.
    #[error("identity does not decode: {0}")]
    Decode(#[from] DecodeError),
    /// A signing or seal key of small order, or no key at all.
    #[error("a key is weak or no point of its curve")]
    WeakKey,
    /// A signature does not verify.
    #[error("signature of {signer} does not verify")]
    Signature {
        /// The key it should be by.
        signer: DeviceId,
    },
    /// A certificate is for another account.
    #[error("certificate belongs to account {found}, not to {expected}")]
    Account {
        /// The account of the path.
        expected: AccountId,
        /// The account the certificate names.
        found: AccountId,
    },
    /// A certificate is not by the device before it in the path.
    #[error("certificate is issued by {found}, the path goes through {expected}")]
    Issuer {
        /// The device before it.
        expected: DeviceId,
        /// The issuer it names.
        found: DeviceId,
    },
    /// A rank is 0, or not below the issuer's.
    #[error("rank {rank} is not between 1 and {max}")]
    Rank {
        /// The rank found.
        rank: u8,
        /// The highest that the issuer may give.
        max: u8,
    },
    /// The rank of a device that words bring in is none of those.
    #[error("rank {rank} is not between {RECOVERED_RANK_MIN} and {RECOVERED_RANK_MAX}")]
    RecoveredRank {
        /// The rank found.
        rank: u8,
    },
    /// These are not the words that the account commits to.
    #[error("recovery policy {found} is not the one that the account commits to")]
    Policy {
        /// The policy found.
        found: PolicyId,
    },
    /// A device stands twice in one path.
    #[error("device {device} stands twice in the path")]
    Repeated {
        /// Which.
        device: DeviceId,
    },
    /// More certificates than a path may have.
    #[error("path of {count} certificates, limit {CERTIFICATES_MAX}")]
    TooLong {
        /// How many.
        count: usize,
    },
    /// The secret key belongs to another device.
    #[error("the secret key is of device {found}, not of {expected}")]
    WrongSecret {
        /// The device that has to sign.
        expected: DeviceId,
        /// The device the secret belongs to.
        found: DeviceId,
    },
    /// A certificate is offered for a seal key that the device does not hold.
    #[error("certificate names seal key {found}, which the device does not hold")]
    WrongSealKey {
        /// The key it names.
        found: SealKey,
    },
}

impl IdentityError {
    /// Returns a stable name for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Decode(_) => "identity_decode",
            Self::WeakKey => "identity_weak_key",
            Self::Signature { .. } => "identity_signature",
            Self::Account { .. } => "identity_account",
            Self::Issuer { .. } => "identity_issuer",
            Self::Rank { .. } => "identity_rank",
            Self::RecoveredRank { .. } => "identity_recovered_rank",
            Self::Policy { .. } => "identity_policy",
            Self::Repeated { .. } => "identity_repeated",
            Self::TooLong { .. } => "identity_too_long",
            Self::WrongSecret { .. } => "identity_wrong_secret",
            Self::WrongSealKey { .. } => "identity_wrong_seal_key",
        }
    }
}

/// A claim that a device belongs to an account, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePath {
    /// The record that the account's id is the hash of.
    pub genesis: Genesis,
    /// The device at which the path begins, if words brought it in; else it is the first one.
    pub recovery: Option<RecoveryCertificate>,
    /// From that device to the claimed one, each issued by the device before; together with
    /// `recovery` at most [`CERTIFICATES_MAX`].
    pub certificates: Vec<Certificate>,
}

impl CertificatePath {
    /// Starts the path of an account's first device.
    #[must_use]
    pub const fn first(genesis: Genesis) -> Self {
        Self { genesis, recovery: None, certificates: Vec::new() }
    }

    /// Starts the path of a device that words brought in.
    #[must_use]
    pub const fn recovered(genesis: Genesis, recovery: RecoveryCertificate) -> Self {
        Self { genesis, recovery: Some(recovery), certificates: Vec::new() }
    }

    /// Returns this path, one certificate longer.
    #[must_use]
    pub fn with(mut self, certificate: Certificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// Returns the device at the end, claimed only.
    #[must_use]
    pub fn claimed_device(&self) -> DeviceId {
        match (self.certificates.last(), &self.recovery) {
            (Some(last), _) => last.device,
            (None, Some(recovery)) => recovery.device,
            (None, None) => self.genesis.device,
        }
    }

    /// Returns the account of the genesis record.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.genesis.account()
    }

    /// Encodes: `genesis ‖ varint count ‖ recovery certificate, if any ‖ certificates`.
    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.genesis.encode()).varint(self.records() as u64);
        if let Some(recovery) = &self.recovery {
            writer.raw(&recovery.encode());
        }
        for certificate in &self.certificates {
            writer.raw(&certificate.encode());
        }
    }

    /// Reads one path; nothing is verified.
    ///
    /// # Errors
    /// If malformed, or longer than [`CERTIFICATES_MAX`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let genesis = Genesis::decode(reader)?;
        let count = reader.count(CERTIFICATES_MAX, "certificates")?;
        let recovery = (count > 0 && RecoveryCertificate::begins(reader.rest()))
            .then(|| RecoveryCertificate::decode(reader))
            .transpose()?;
        let certificates = (usize::from(recovery.is_some())..count)
            .map(|_| Certificate::decode(reader))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { genesis, recovery, certificates })
    }

    fn records(&self) -> usize {
        self.certificates.len() + usize::from(self.recovery.is_some())
    }

    /// Checks every key, rank and signature of the path.
    ///
    /// # Errors
    /// What is wrong with the first record that does not hold.
    pub fn verify(&self, verifier: &Verifier) -> Result<VerifiedDevice, IdentityError> {
        if self.records() > CERTIFICATES_MAX {
            return Err(IdentityError::TooLong { count: self.records() });
        }
        let first = match &self.recovery {
            None => VerifiedDevice::first(&self.genesis)?,
            Some(recovery) => VerifiedDevice::recovered(&self.genesis, recovery, verifier)?,
        };
        self.certificates.iter().try_fold(first, |device, next| device.admit(next, verifier))
    }
}

/// A device that is proven to belong to an account. Says nothing about revocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifiedDevice {
    account: AccountId,
    device: DeviceId,
    seal_key: SealKey,
    rank: u8,
    /// The path begins at a device that words brought in.
    recovered: bool,
    issuers: Vec<DeviceId>,
}

impl VerifiedDevice {
    /// Returns the first device of an account: the account's id commits to it.
    ///
    /// # Errors
    /// If one of its keys is weak.
    pub fn first(genesis: &Genesis) -> Result<Self, IdentityError> {
        signature::check_device_key(&genesis.device)?;
        signature::check_seal_key(&genesis.seal_key)?;
        Ok(Self {
            account: genesis.account(),
            device: genesis.device,
            seal_key: genesis.seal_key,
            rank: FIRST_DEVICE_RANK,
            recovered: false,
            issuers: Vec::new(),
        })
    }

    /// Verifies a device that the words of an account brought in.
    ///
    /// # Errors
    /// If the certificate is for another account, by other words than those that the genesis
    /// commits to, of a wrong rank, for a weak key, or not signed by words and device.
    pub fn recovered(
        genesis: &Genesis,
        certificate: &RecoveryCertificate,
        verifier: &Verifier,
    ) -> Result<Self, IdentityError> {
        certificate.verify(genesis, verifier)?;
        Ok(Self {
            account: certificate.account,
            device: certificate.device,
            seal_key: certificate.seal_key,
            rank: certificate.rank,
            recovered: true,
            issuers: Vec::new(),
        })
    }

    /// Verifies a certificate that this device issued.
    ///
    /// # Errors
    /// If the certificate is for another account, by another issuer, of a rank not below
    /// this device's, for a device of this path, for a weak key, not signed by both, or if
    /// the path would grow beyond [`CERTIFICATES_MAX`].
    pub fn admit(
        &self,
        certificate: &Certificate,
        verifier: &Verifier,
    ) -> Result<Self, IdentityError> {
        let device = certificate.device;
        if certificate.account != self.account {
            let (expected, found) = (self.account, certificate.account);
            return Err(IdentityError::Account { expected, found });
        }
        if certificate.issuer != self.device {
            let (expected, found) = (self.device, certificate.issuer);
            return Err(IdentityError::Issuer { expected, found });
        }
        self.check_rank(certificate.rank)?;
        if device == self.device || self.issuers.contains(&device) {
            return Err(IdentityError::Repeated { device });
        }
        let before = self.issuers.len() + usize::from(self.recovered);
        if before >= CERTIFICATES_MAX {
            return Err(IdentityError::TooLong { count: before + 1 });
        }
        signature::check_seal_key(&certificate.seal_key)?;
        certificate.verify_signatures(verifier)?;
        let mut issuers = self.issuers.clone();
        issuers.push(self.device);
        let (seal_key, rank) = (certificate.seal_key, certificate.rank);
        let recovered = self.recovered;
        Ok(Self { account: self.account, device, seal_key, rank, recovered, issuers })
    }

    /// Returns the account it belongs to.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Returns the device.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Returns the key to which epoch keys are sealed.
    #[must_use]
    pub const fn seal_key(&self) -> SealKey {
        self.seal_key
    }

    /// Returns its rank among the account's devices.
    #[must_use]
    pub const fn rank(&self) -> u8 {
        self.rank
    }

    /// Whether the account's words brought in the device, or the one its path begins at: a
    /// recovery leaves it as it is.
    #[must_use]
    pub const fn is_recovered(&self) -> bool {
        self.recovered
    }

    /// Returns the devices that vouch for it, the first device first; empty for that one.
    #[must_use]
    pub fn issuers(&self) -> &[DeviceId] {
        &self.issuers
    }

    /// Checks a rank that this device wants to give.
    pub(crate) const fn check_rank(&self, rank: u8) -> Result<(), IdentityError> {
        let highest = FIRST_DEVICE_RANK - 1;
        let below = self.rank.saturating_sub(1);
        let max = if below < highest { below } else { highest };
        if rank == 0 || rank > max {
            return Err(IdentityError::Rank { rank, max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
