//! The record an account begins with; the account's id is its hash.

use crate::codec::{DecodeError, Reader, Writer};
use crate::entropy::{Entropy, random};
use crate::hash::{AccountId, DeviceId, SealKey, derive};
use crate::identity::DeviceSecret;

const KIND: u8 = 0x01;
const VERSION: u8 = 1;

/// What an [`AccountId`] commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The first device.
    pub device: DeviceId,
    /// The key to which epoch keys are sealed for it.
    pub seal_key: SealKey,
    /// Hash of the recovery policy.
    pub recovery: [u8; 32],
    /// Makes two accounts of one device differ.
    pub nonce: [u8; 16],
    /// Claimed time of creation, milliseconds since 1970.
    pub created_ms: u64,
}

impl Genesis {
    /// Length of the encoding in bytes.
    pub const LEN: usize = 2 + 32 + 32 + 32 + 16 + 8;

    /// Begins a new account on the device that holds `secret`.
    #[must_use]
    pub fn create(
        secret: &DeviceSecret,
        recovery: [u8; 32],
        created_ms: u64,
        entropy: &dyn Entropy,
    ) -> Self {
        Self {
            device: secret.id(),
            seal_key: secret.seal_key(),
            recovery,
            nonce: random(entropy),
            created_ms,
        }
    }

    /// Encodes: `0x01 ‖ version 1 ‖ device 32 ‖ seal key 32 ‖ recovery 32 ‖ nonce 16 ‖
    /// created_ms u64be`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(KIND).u8(VERSION).raw(self.device.as_bytes()).raw(self.seal_key.as_bytes());
        w.raw(&self.recovery).raw(&self.nonce).u64(self.created_ms);
        w.finish()
    }

    /// Reads one record.
    ///
    /// # Errors
    /// If cut short, or of another kind or version.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        expect(reader, KIND, "genesis kind")?;
        expect(reader, VERSION, "genesis version")?;
        Ok(Self {
            device: DeviceId::from_bytes(reader.array("device")?),
            seal_key: SealKey::from_bytes(reader.array("seal key")?),
            recovery: reader.array("recovery policy")?,
            nonce: reader.array("nonce")?,
            created_ms: reader.u64("creation time")?,
        })
    }

    /// Returns the account's id: `derive_key("mosaic account 1", encoded record)`.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId::from_bytes(derive("mosaic account 1", &[&self.encode()]))
    }
}

/// Reads one byte that has only one legal value.
pub(super) fn expect(
    reader: &mut Reader<'_>,
    byte: u8,
    reading: &'static str,
) -> Result<(), DecodeError> {
    let value = reader.u8(reading)?;
    if value == byte { Ok(()) } else { Err(DecodeError::Unknown { reading, value }) }
}
