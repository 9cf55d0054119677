//! What the recovery words of an account can do: bring in a device above all others, and
//! give way to new words.
//!
//! ```text
//! words ──derive──► signing key, rotation key, X25519 secret
//!            policy = signing key ‖ hash of the rotation key ‖ X25519 key
//! genesis ──commits to──► policy ──signing key──► claim, recovery certificates
//!                            └──rotation key──► rotation ──► the policy of other words
//! ```

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use zeroize::{Zeroize, Zeroizing};

use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, DeviceId, PolicyId, RecoveryKey, SealKey, derive};
use crate::identity::genesis::expect;
use crate::identity::signature::{Domain, Signature, Verifier, check_seal_key};
use crate::identity::{DeviceSecret, FIRST_DEVICE_RANK, Genesis, IdentityError};
use crate::limits::ROTATIONS_MAX;

const POLICY_KIND: u8 = 0x03;
const CERTIFICATE_KIND: u8 = 0x04;
const ROTATION_KIND: u8 = 0x05;
const CLAIM_KIND: u8 = 0x06;
const VERSION: u8 = 1;

/// Lowest rank of a device that words bring in: above every other device.
pub const RECOVERED_RANK_MIN: u8 = FIRST_DEVICE_RANK + 1;
/// Highest rank of such a device.
pub const RECOVERED_RANK_MAX: u8 = 254;

/// What words derive, in public; a genesis record commits to its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryPolicy {
    /// Signs claims and recovery certificates.
    pub key: RecoveryKey,
    /// Hash of the key that signs the rotation to other words.
    pub next: [u8; 32],
    /// The key to which epoch keys of the private sector are sealed.
    pub seal_key: SealKey,
}

impl RecoveryPolicy {
    /// Length of the encoding in bytes.
    pub const LEN: usize = 2 + 3 * 32;

    /// Encodes: `0x03 ‖ version 1 ‖ key 32 ‖ next 32 ‖ seal key 32`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(POLICY_KIND).u8(VERSION).raw(self.key.as_bytes()).raw(&self.next);
        w.raw(self.seal_key.as_bytes());
        w.finish()
    }

    /// Reads one policy.
    ///
    /// # Errors
    /// If cut short, or of another kind or version.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        expect(reader, POLICY_KIND, "recovery policy kind")?;
        expect(reader, VERSION, "recovery policy version")?;
        Ok(Self {
            key: RecoveryKey::from_bytes(reader.array("recovery key")?),
            next: reader.array("rotation key hash")?,
            seal_key: SealKey::from_bytes(reader.array("recovery seal key")?),
        })
    }

    /// Returns its name: `derive_key("mosaic recovery policy 1", encoded policy)`.
    #[must_use]
    pub fn id(&self) -> PolicyId {
        PolicyId::from_bytes(derive("mosaic recovery policy 1", &[&self.encode()]))
    }

    /// Returns the name under which epoch keys are sealed to the words.
    #[must_use]
    pub const fn recipient(&self) -> DeviceId {
        DeviceId::from_bytes(*self.key.as_bytes())
    }

    /// Checks the signature by which the words claim an account: without it anybody could
    /// begin an account that commits to other people's words.
    ///
    /// # Errors
    /// If the key is weak or the signature is not its own.
    pub fn check_claim(
        &self,
        account: &AccountId,
        claim: &Signature,
        verifier: &Verifier,
    ) -> Result<(), IdentityError> {
        check_seal_key(&self.seal_key)?;
        let message = claim_bytes(account, &self.id());
        verifier.verify(&self.recipient(), Domain::Recovery, &message, claim)
    }
}

fn claim_bytes(account: &AccountId, policy: &PolicyId) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(CLAIM_KIND).u8(VERSION).raw(account.as_bytes()).raw(policy.as_bytes());
    w.finish()
}

/// Everything that words derive; wiped from memory when dropped.
pub struct RecoverySecret {
    signing: SigningKey,
    rotating: SigningKey,
    sealing: [u8; 32],
    policy: RecoveryPolicy,
}

impl RecoverySecret {
    /// Derives the keys from the 32 bytes that the words stand for; `None` if they give no
    /// usable key, which has never been seen.
    #[must_use]
    pub fn derive(seed: &[u8; 32]) -> Option<Self> {
        let key = |context| Zeroizing::new(derive(context, &[seed]));
        let signing = SigningKey::from_bytes(&key("mosaic recovery signing key 1"));
        let rotating = SigningKey::from_bytes(&key("mosaic recovery rotation key 1"));
        let sealing = key("mosaic recovery sealing key 1");
        let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&*sealing).ok()?;
        let public = X25519HkdfSha256::sk_to_pk(&private).to_bytes();
        let policy = RecoveryPolicy {
            key: RecoveryKey::from_bytes(signing.verifying_key().to_bytes()),
            next: next_of(rotating.verifying_key().as_bytes()),
            seal_key: SealKey::from_bytes(public.as_slice().try_into().ok()?),
        };
        Some(Self { signing, rotating, sealing: *sealing, policy })
    }

    /// Returns the policy of these words.
    #[must_use]
    pub const fn policy(&self) -> &RecoveryPolicy {
        &self.policy
    }

    /// Claims an account that commits to these words.
    #[must_use]
    pub fn claim(&self, account: &AccountId) -> Signature {
        self.sign(&self.signing, &claim_bytes(account, &self.policy.id()))
    }

    /// Brings in the device of `secret`. `rotations` lead from the genesis to these words.
    ///
    /// # Errors
    /// If the rank is no rank of a recovered device, or there are too many rotations.
    pub fn certify(
        &self,
        account: AccountId,
        rotations: Vec<Rotation>,
        secret: &DeviceSecret,
        rank: u8,
        issued_ms: u64,
    ) -> Result<RecoveryCertificate, IdentityError> {
        check_rank(rank)?;
        if rotations.len() > ROTATIONS_MAX {
            return Err(IdentityError::TooLong { count: rotations.len() });
        }
        let blank = Signature::from_bytes([0; Signature::LEN]);
        let mut certificate = RecoveryCertificate {
            account,
            rotations,
            policy: self.policy,
            device: secret.id(),
            seal_key: secret.seal_key(),
            rank,
            issued_ms,
            recovery_signature: blank,
            device_signature: blank,
        };
        let message = certificate.signed_bytes();
        certificate.recovery_signature = self.sign(&self.signing, &message);
        certificate.device_signature = secret.sign(Domain::Recovery, &message);
        Ok(certificate)
    }

    /// Gives way to the words of another policy. `seen` are the devices recovered by these
    /// words so far, sorted: any other makes the account freeze.
    #[must_use]
    pub fn rotate(
        &self,
        account: AccountId,
        next: PolicyId,
        seen: &[DeviceId],
        issued_ms: u64,
    ) -> Rotation {
        let mut rotation = Rotation {
            account,
            policy: self.policy,
            key: RecoveryKey::from_bytes(self.rotating.verifying_key().to_bytes()),
            next,
            seen: Rotation::digest(seen),
            issued_ms,
            signature: Signature::from_bytes([0; Signature::LEN]),
        };
        rotation.signature = self.sign(&self.rotating, &rotation.signed_bytes());
        rotation
    }

    /// Returns the X25519 secret, for opening what is sealed to the words.
    pub(crate) const fn sealing(&self) -> &[u8; 32] {
        &self.sealing
    }

    fn sign(&self, key: &SigningKey, message: &[u8]) -> Signature {
        Signature::from_bytes(key.sign(&Domain::Recovery.message(message)).to_bytes())
    }
}

impl Drop for RecoverySecret {
    fn drop(&mut self) {
        self.sealing.zeroize();
    }
}

impl fmt::Debug for RecoverySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoverySecret(of {})", self.policy.id().short())
    }
}

/// Words give way to others: signed by the key whose hash their policy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The account.
    pub account: AccountId,
    /// The policy that ends.
    pub policy: RecoveryPolicy,
    /// Its rotation key.
    pub key: RecoveryKey,
    /// The policy that follows.
    pub next: PolicyId,
    /// [`Rotation::digest`] of the devices recovered under the policy that ends.
    pub seen: [u8; 32],
    /// Claimed time, milliseconds since 1970.
    pub issued_ms: u64,
    /// By the rotation key.
    pub signature: Signature,
}

impl Rotation {
    /// Length of the encoding in bytes.
    pub const LEN: usize = 2 + 32 + RecoveryPolicy::LEN + 32 + 32 + 32 + 8 + Signature::LEN;

    /// Returns what `seen` holds for these devices, in rising order.
    #[must_use]
    pub fn digest(seen: &[DeviceId]) -> [u8; 32] {
        let parts: Vec<&[u8]> = seen.iter().map(|device| device.as_bytes().as_slice()).collect();
        derive("mosaic recovery seen 1", &parts)
    }

    /// Encodes: `0x05 ‖ version 1 ‖ account 32 ‖ policy ‖ rotation key 32 ‖ next policy 32 ‖
    /// seen 32 ‖ issued_ms u64be ‖ signature 64`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.signed_bytes();
        bytes.extend_from_slice(self.signature.as_bytes());
        bytes
    }

    /// Reads one rotation; nothing is verified.
    ///
    /// # Errors
    /// If cut short, or of another kind or version.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        expect(reader, ROTATION_KIND, "rotation kind")?;
        expect(reader, VERSION, "rotation version")?;
        Ok(Self {
            account: AccountId::from_bytes(reader.array("account")?),
            policy: RecoveryPolicy::decode(reader)?,
            key: RecoveryKey::from_bytes(reader.array("rotation key")?),
            next: PolicyId::from_bytes(reader.array("next policy")?),
            seen: reader.array("devices seen")?,
            issued_ms: reader.u64("time of issue")?,
            signature: Signature::from_bytes(reader.array("rotation signature")?),
        })
    }

    /// Checks that the policy's rotation key signed this for the account.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify(&self, account: &AccountId, verifier: &Verifier) -> Result<(), IdentityError> {
        check_account(account, &self.account)?;
        if next_of(self.key.as_bytes()) != self.policy.next {
            return Err(IdentityError::Policy { found: self.policy.id() });
        }
        let key = DeviceId::from_bytes(*self.key.as_bytes());
        verifier.verify(&key, Domain::Recovery, &self.signed_bytes(), &self.signature)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(ROTATION_KIND).u8(VERSION).raw(self.account.as_bytes()).raw(&self.policy.encode());
        w.raw(self.key.as_bytes()).raw(self.next.as_bytes()).raw(&self.seen).u64(self.issued_ms);
        w.finish()
    }
}

/// A device that words bring in, signed by the words and by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryCertificate {
    /// The account.
    pub account: AccountId,
    /// From the policy of the genesis to `policy`; at most [`ROTATIONS_MAX`].
    pub rotations: Vec<Rotation>,
    /// The policy whose words sign.
    pub policy: RecoveryPolicy,
    /// The new device.
    pub device: DeviceId,
    /// The key to which epoch keys are sealed for it.
    pub seal_key: SealKey,
    /// Its rank: who recovers later, knowing of it, takes a higher one.
    pub rank: u8,
    /// Claimed time of issue, milliseconds since 1970.
    pub issued_ms: u64,
    /// By the policy's key.
    pub recovery_signature: Signature,
    /// By the new device: it agrees, and holds its key.
    pub device_signature: Signature,
}

impl RecoveryCertificate {
    /// Bytes of the longest encoding.
    pub const LEN_MAX: usize = 2
        + 32
        + 1
        + ROTATIONS_MAX * Rotation::LEN
        + RecoveryPolicy::LEN
        + 32
        + 32
        + 1
        + 8
        + 2 * Signature::LEN;

    /// Whether bytes begin as one does.
    pub(super) fn begins(bytes: &[u8]) -> bool {
        bytes.first() == Some(&CERTIFICATE_KIND)
    }

    /// Encodes: `0x04 ‖ version 1 ‖ account 32 ‖ count varint ‖ rotations ‖ policy ‖ device 32 ‖
    /// seal key 32 ‖ rank u8 ‖ issued_ms u64be ‖ recovery signature 64 ‖ device signature 64`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.signed_bytes();
        bytes.extend_from_slice(self.recovery_signature.as_bytes());
        bytes.extend_from_slice(self.device_signature.as_bytes());
        bytes
    }

    /// Reads one certificate; nothing is verified.
    ///
    /// # Errors
    /// If cut short, of another kind or version, or with more than [`ROTATIONS_MAX`] rotations.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        expect(reader, CERTIFICATE_KIND, "recovery certificate kind")?;
        expect(reader, VERSION, "recovery certificate version")?;
        let account = AccountId::from_bytes(reader.array("account")?);
        let count = reader.count(ROTATIONS_MAX, "rotations")?;
        let rotations =
            (0..count).map(|_| Rotation::decode(reader)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            account,
            rotations,
            policy: RecoveryPolicy::decode(reader)?,
            device: DeviceId::from_bytes(reader.array("device")?),
            seal_key: SealKey::from_bytes(reader.array("seal key")?),
            rank: reader.u8("rank")?,
            issued_ms: reader.u64("time of issue")?,
            recovery_signature: Signature::from_bytes(reader.array("recovery signature")?),
            device_signature: Signature::from_bytes(reader.array("device signature")?),
        })
    }

    /// Reads exactly one certificate.
    ///
    /// # Errors
    /// As [`RecoveryCertificate::decode`], and if bytes are left.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let certificate = Self::decode(&mut reader)?;
        reader.end()?;
        Ok(certificate)
    }

    /// Checks that the rotations lead from the genesis to the policy, keys, rank and all
    /// signatures.
    pub(super) fn verify(
        &self,
        genesis: &Genesis,
        verifier: &Verifier,
    ) -> Result<(), IdentityError> {
        let account = genesis.account();
        check_account(&account, &self.account)?;
        check_rank(self.rank)?;
        check_seal_key(&self.seal_key)?;
        check_seal_key(&self.policy.seal_key)?;
        if self.rotations.len() > ROTATIONS_MAX {
            return Err(IdentityError::TooLong { count: self.rotations.len() });
        }
        let mut committed = PolicyId::from_bytes(genesis.recovery);
        for rotation in &self.rotations {
            check_policy(&rotation.policy, &committed)?;
            committed = rotation.next;
        }
        check_policy(&self.policy, &committed)?;
        for rotation in &self.rotations {
            rotation.verify(&account, verifier)?;
        }
        let message = self.signed_bytes();
        let words = self.policy.recipient();
        verifier.verify(&words, Domain::Recovery, &message, &self.recovery_signature)?;
        verifier.verify(&self.device, Domain::Recovery, &message, &self.device_signature)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(CERTIFICATE_KIND).u8(VERSION).raw(self.account.as_bytes());
        w.varint(self.rotations.len() as u64);
        for rotation in &self.rotations {
            w.raw(&rotation.encode());
        }
        w.raw(&self.policy.encode()).raw(self.device.as_bytes()).raw(self.seal_key.as_bytes());
        w.u8(self.rank).u64(self.issued_ms);
        w.finish()
    }
}

fn next_of(rotation_key: &[u8; 32]) -> [u8; 32] {
    derive("mosaic recovery next 1", &[rotation_key])
}

fn check_account(expected: &AccountId, found: &AccountId) -> Result<(), IdentityError> {
    if expected == found {
        return Ok(());
    }
    Err(IdentityError::Account { expected: *expected, found: *found })
}

fn check_policy(policy: &RecoveryPolicy, committed: &PolicyId) -> Result<(), IdentityError> {
    let found = policy.id();
    if found == *committed { Ok(()) } else { Err(IdentityError::Policy { found }) }
}

const fn check_rank(rank: u8) -> Result<(), IdentityError> {
    if rank < RECOVERED_RANK_MIN || rank > RECOVERED_RANK_MAX {
        return Err(IdentityError::RecoveredRank { rank });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
