//! The bytes of entries that stand in account logs alone.

use super::{Entry, REASON_BYTES_MAX, ReplyPolicy, WRAP_BYTES_MAX, Wrap};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, DeviceId, EpochId, SealKey};
use crate::identity::{RecoveryCertificate, RecoveryPolicy, Rotation, Signature};
use crate::limits::{DEVICE_NAME_BYTES_MAX, DEVICES_MAX, ROTATION_DEVICES_MAX};
use crate::seal::is_usable;

/// Appends the fields of an entry of an account log; of others nothing.
pub(super) fn write(w: &mut Writer, entry: &Entry) {
    match entry {
        Entry::AddDevice { certificate, name } => {
            w.bytes(certificate).text(name);
        }
        Entry::RenameDevice { device, name } => {
            w.raw(device.as_bytes()).text(name);
        }
        Entry::Suspend { device } | Entry::Restore { device } => {
            w.raw(device.as_bytes());
        }
        Entry::Revoke { device, reason } => {
            w.raw(device.as_bytes()).text(reason);
        }
        Entry::Admit { account } | Entry::Refuse { account } => {
            w.raw(account.as_bytes());
        }
        Entry::Policy { reply } => {
            w.u8(*reply as u8);
        }
        Entry::Epoch { epoch, wraps } => {
            w.raw(epoch.as_bytes()).varint(wraps.len() as u64);
            for wrap in wraps {
                w.raw(wrap.device.as_bytes()).bytes(&wrap.sealed);
            }
        }
        Entry::Recovery { policy, claim } => {
            w.raw(&policy.encode()).raw(claim.as_bytes());
        }
        Entry::Recover { certificate, name } => {
            w.bytes(certificate).text(name);
        }
        Entry::Rotate { rotation, seen } => {
            w.bytes(rotation).varint(seen.len() as u64);
            for device in seen {
                w.raw(device.as_bytes());
            }
        }
        Entry::Prekey { key } => {
            w.raw(key.as_bytes());
        }
        _ => {}
    }
}

/// Reads the fields of an entry of an account log.
pub(super) fn read(kind: u8, r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    Ok(match kind {
        0x20 => Entry::AddDevice {
            certificate: r.bytes(512, "certificate")?.to_vec(),
            name: r.text(DEVICE_NAME_BYTES_MAX, "device name")?.to_owned(),
        },
        0x21 => Entry::RenameDevice {
            device: DeviceId::from_bytes(r.array("device")?),
            name: r.text(DEVICE_NAME_BYTES_MAX, "device name")?.to_owned(),
        },
        0x22 => Entry::Suspend { device: DeviceId::from_bytes(r.array("device")?) },
        0x23 => Entry::Restore { device: DeviceId::from_bytes(r.array("device")?) },
        0x24 => Entry::Revoke {
            device: DeviceId::from_bytes(r.array("device")?),
            reason: r.text(REASON_BYTES_MAX, "reason")?.to_owned(),
        },
        0x25 => Entry::Admit { account: AccountId::from_bytes(r.array("account")?) },
        0x26 => Entry::Refuse { account: AccountId::from_bytes(r.array("account")?) },
        0x27 => Entry::Policy {
            reply: match r.u8("reply policy")? {
                1 => ReplyPolicy::Everyone,
                2 => ReplyPolicy::Admitted,
                3 => ReplyPolicy::Nobody,
                value => return Err(DecodeError::Unknown { reading: "reply policy", value }),
            },
        },
        0x28 => {
            let epoch = EpochId::from_bytes(r.array("epoch")?);
            let count = r.count(DEVICES_MAX, "wraps")?;
            let mut wraps = Vec::with_capacity(count);
            for _ in 0..count {
                wraps.push(Wrap {
                    device: DeviceId::from_bytes(r.array("device")?),
                    sealed: r.bytes(WRAP_BYTES_MAX, "wrap")?.to_vec(),
                });
            }
            Entry::Epoch { epoch, wraps }
        }
        0x29 => Entry::Recovery {
            policy: RecoveryPolicy::decode(r)?,
            claim: Signature::from_bytes(r.array("recovery claim")?),
        },
        0x2a => Entry::Recover {
            certificate: r.bytes(RecoveryCertificate::LEN_MAX, "recovery certificate")?.to_vec(),
            name: r.text(DEVICE_NAME_BYTES_MAX, "device name")?.to_owned(),
        },
        0x2b => {
            let rotation = r.bytes(Rotation::LEN, "rotation")?.to_vec();
            let count = r.count(ROTATION_DEVICES_MAX, "devices seen")?;
            let seen = (0..count).map(|_| r.array("device").map(DeviceId::from_bytes));
            Entry::Rotate { rotation, seen: seen.collect::<Result<_, _>>()? }
        }
        0x2c => {
            let key = SealKey::from_bytes(r.array("prekey")?);
            if !is_usable(&key) {
                return Err(DecodeError::Rule("a prekey to which nothing can be sealed"));
            }
            Entry::Prekey { key }
        }
        value => return Err(DecodeError::Unknown { reading: "entry kind", value }),
    })
}
