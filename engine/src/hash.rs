//! Names of things: every 32 bytes has a type of its own.

use std::fmt;

/// Declares a fixed-size id with lower-case hex text form.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $len:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Wraps raw bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Returns the raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Parses the full lower-case or upper-case hex form.
            #[must_use]
            pub fn parse_hex(text: &str) -> Option<Self> {
                let mut out = [0u8; $len];
                let digits = text.as_bytes();
                if digits.len() != 2 * $len {
                    return None;
                }
                for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
                    let (high, low) = (pair.first()?, pair.get(1)?);
                    *byte = (hex_digit(*high)? << 4) | hex_digit(*low)?;
                }
                Some(Self(out))
            }

            /// Returns the first 8 hex digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string().chars().take(8).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    };
}

id_type!(
    /// BLAKE3 of a blob's bytes; the same number as an iroh blob hash.
    BlobHash, 32);
id_type!(
    /// BLAKE3 of a change's stored bytes; also the public id of the entry it carries.
    ChangeId, 32);
id_type!(
    /// Automerge's SHA-256 name of a change chunk.
    ChangeHash, 32);
id_type!(
    /// A person: `derive_key("mosaic account 1", genesis bytes)`.
    AccountId, 32);
id_type!(
    /// An Ed25519 verifying key of one device; also its network endpoint id.
    DeviceId, 32);
id_type!(
    /// Documents under one authority.
    SpaceId, 32);
id_type!(
    /// One Automerge document: hash of its description.
    DocumentId, 32);
id_type!(
    /// Running hash of a chain up to some change.
    Link, 32);
id_type!(
    /// One writing life of a device: 16 random bytes.
    Incarnation, 16);
id_type!(
    /// A draft: 16 random bytes.
    DraftId, 16);
id_type!(
    /// Name of an epoch key: its hash.
    EpochId, 32);
id_type!(
    /// X25519 public key of a device, to which epoch keys are sealed.
    SealKey, 32);

id_type!(
    /// A hub: `derive_key("mosaic hub 1", genesis bytes)`; the root of its space.
    HubId, 32);
id_type!(
    /// A conversation: `derive_key("mosaic conversation 1", genesis bytes)`; the root of its space.
    ConversationId, 32);
id_type!(
    /// One set of a hub's owners, with all sets before it.
    OwnersId, 32);
id_type!(
    /// Ed25519 verifying key that an account's recovery words derive.
    RecoveryKey, 32);
id_type!(
    /// Name of a recovery policy: its hash. An account's genesis commits to one.
    PolicyId, 32);

impl BlobHash {
    /// Hashes bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl ChangeId {
    /// Names stored change bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The same number seen as a blob.
    #[must_use]
    pub const fn blob(&self) -> BlobHash {
        BlobHash(self.0)
    }
}

/// BLAKE3 `derive_key` over the concatenation of `parts`; `context` is the domain.
#[must_use]
pub fn derive(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_survives_a_round_trip() {
        let id = BlobHash::of(b"x");
        assert_eq!(BlobHash::parse_hex(&id.to_string()), Some(id));
        assert_eq!(BlobHash::parse_hex("zz"), None);
        assert_eq!(id.short().len(), 8);
    }
}
