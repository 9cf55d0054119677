//! Prekeys: keys of a device that change, and that it forgets. What is sealed to one of them opens for
//! nobody once the device has erased its half.

use std::fmt;

use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{EpochKey, SUITE, SealError, WRAP_BYTES, space_wrap_info};
use crate::entropy::{Entropy, random};
use crate::hash::{EpochId, SealKey, SpaceId};
use crate::identity::DeviceSecret;

/// Bytes by which a copy of a key tells the prekey that it is for.
pub const PREKEY_TAG_BYTES: usize = 4;
/// Bytes of a key sealed to a prekey.
pub const PREKEY_WRAP_BYTES: usize = WRAP_BYTES + PREKEY_TAG_BYTES;

const PREKEY_SUITE: u8 = 2;

/// First bytes of a prekey.
pub type PrekeyTag = [u8; PREKEY_TAG_BYTES];

/// The points of small order, in their one canonical form: whatever is agreed on with one of them is
/// zero.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    *b"\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\
       \xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00",
    *b"\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\
       \x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57",
    *b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
       \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
];

/// Whether something can be sealed to a key: its one canonical form, and of no small order.
#[must_use]
pub fn is_usable(key: &SealKey) -> bool {
    let bytes = key.as_bytes();
    let [first, middle @ .., last] = bytes;
    let beyond = *last == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xed;
    *last < 0x80 && !beyond && !SMALL_ORDER.contains(bytes)
}

/// What a prekey is told by.
#[must_use]
pub fn tag_of(prekey: &SealKey) -> PrekeyTag {
    prekey.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The prekey that a copy of a key names, if it is for one.
#[must_use]
pub fn prekey_of(copy: &[u8]) -> Option<PrekeyTag> {
    let (suite, rest) = copy.split_first()?;
    let tag = rest.first_chunk::<PREKEY_TAG_BYTES>()?;
    (*suite == PREKEY_SUITE && copy.len() == PREKEY_WRAP_BYTES).then_some(*tag)
}

/// What of a device is sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealTo {
    /// The key that its certificate names, as long as no other is known.
    Fixed(SealKey),
    /// The prekey that it published last.
    Prekey(SealKey),
}

impl SealTo {
    /// The prekey.
    #[must_use]
    pub const fn prekey(&self) -> Option<SealKey> {
        match self {
            Self::Fixed(_) => None,
            Self::Prekey(key) => Some(*key),
        }
    }
}

/// The secret half of a prekey; wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PrekeySecret {
    half: [u8; 32],
    #[zeroize(skip)]
    public: SealKey,
}

impl PrekeySecret {
    /// Makes a new one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        loop {
            if let Some(secret) = Self::from_bytes(Zeroizing::new(random(entropy))) {
                return secret;
            }
        }
    }

    /// Restores one; `None` if it gives no usable key.
    #[must_use]
    pub fn from_bytes(half: Zeroizing<[u8; 32]>) -> Option<Self> {
        let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&*half).ok()?;
        let public = X25519HkdfSha256::sk_to_pk(&private).to_bytes();
        let public = SealKey::from_bytes(public.as_slice().try_into().ok()?);
        is_usable(&public).then_some(Self { half: *half, public })
    }

    /// Its bytes, for a row that is sealed itself.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.half)
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> SealKey {
        self.public
    }
}

impl fmt::Debug for PrekeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrekeySecret(of {})", self.public.short())
    }
}

impl EpochKey {
    /// Seals a key of a conversation, or of a report in a hub, to what is known of a device. A copy for
    /// a prekey is `suite 2 ‖ first 4 bytes of the prekey ‖ encapsulated key 32 ‖ ciphertext 48`.
    ///
    /// # Errors
    /// If the key is not usable.
    pub fn wrap_to(
        &self,
        space: &SpaceId,
        to: &SealTo,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, SealError> {
        match to {
            SealTo::Fixed(key) => self.wrap_in(space, key, entropy),
            SealTo::Prekey(key) => {
                let copy = self.wrap_in(space, key, entropy)?;
                let rest = copy.get(1..).unwrap_or_default();
                Ok([&[PREKEY_SUITE][..], &tag_of(key), rest].concat())
            }
        }
    }

    /// Opens a copy that is for this device: with its fixed key, or with the half of the prekey that the
    /// copy names, if it is among `halves`.
    ///
    /// # Errors
    /// As [`EpochKey::unwrap_in`].
    pub fn open_copy<'a>(
        copy: &[u8],
        epoch: &EpochId,
        space: &SpaceId,
        secret: &DeviceSecret,
        halves: impl IntoIterator<Item = &'a PrekeySecret>,
    ) -> Result<Self, SealError> {
        #[cfg(test)]
        COPIES_OPENED.set(COPIES_OPENED.get() + 1);
        let Some(tag) = prekey_of(copy) else {
            return Self::unwrap_in(copy, epoch, space, secret);
        };
        let rest = copy.get(1 + PREKEY_TAG_BYTES..).unwrap_or_default();
        let plain = [&[SUITE][..], rest].concat();
        let info = space_wrap_info(space);
        let named = halves.into_iter().filter(|half| tag_of(&half.public) == tag);
        let mut tried = named.map(|half| Self::unwrap_with(&plain, epoch, &info, &half.half));
        tried.find(Result::is_ok).unwrap_or(Err(SealError::Wrap))
    }
}

#[cfg(test)]
thread_local! {
    /// How many copies were tried.
    pub(crate) static COPIES_OPENED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn a_copy_opens_with_the_half_of_its_prekey_alone() {
        let entropy = SeededEntropy::new(1);
        let device = DeviceSecret::generate(&entropy);
        let [half, other] = [(); 2].map(|()| PrekeySecret::generate(&entropy));
        let space = SpaceId::from_bytes([1; 32]);
        let key = EpochKey::generate(&entropy);
        let copy = key.wrap_to(&space, &SealTo::Prekey(half.public()), &entropy).unwrap();
        assert_eq!((copy.len(), copy[0]), (85, 2));
        assert_eq!(prekey_of(&copy), Some(tag_of(&half.public())));
        let open = |copy: &[u8], space: &SpaceId, halves: &[PrekeySecret]| {
            EpochKey::open_copy(copy, &key.id(), space, &device, halves)
        };
        assert_eq!(open(&copy, &space, &[other.clone(), half.clone()]), Ok(key.clone()));
        assert_eq!(open(&copy, &space, &[other]), Err(SealError::Wrap));
        assert_eq!(open(&copy, &space, &[]), Err(SealError::Wrap));
        let halves = [half.clone()];
        assert!(open(&copy, &SpaceId::from_bytes([2; 32]), &halves).is_err());
        for bit in 0..copy.len() * 8 {
            let mut altered = copy.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&altered, &space, &halves).is_err(), "bit {bit}");
        }
        for len in 0..copy.len() {
            assert!(open(&copy[..len], &space, &halves).is_err());
        }
        let fixed = key.wrap_to(&space, &SealTo::Fixed(device.seal_key()), &entropy).unwrap();
        assert_eq!((fixed.len(), prekey_of(&fixed)), (WRAP_BYTES, None));
        assert_eq!(open(&fixed, &space, &[]), Ok(key.clone()));
        let again = PrekeySecret::from_bytes(half.to_bytes()).unwrap();
        assert_eq!(again.public(), half.public());
        assert!(!format!("{half:?}").contains(&format!("{:02x}", half.to_bytes()[0]).repeat(2)));
    }

    #[test]
    fn keys_of_small_order_and_in_another_form_are_not_usable() {
        let entropy = SeededEntropy::new(2);
        let (key, space) = (EpochKey::generate(&entropy), SpaceId::from_bytes([1; 32]));
        let p = {
            let mut p = [0xff; 32];
            (p[0], p[31]) = (0xed, 0x7f);
            p
        };
        let mut refused = SMALL_ORDER.to_vec();
        // The same in forms that are not canonical: p, p + 1, and with the bit that X25519 ignores.
        refused.extend([p, {
            let mut one = p;
            one[0] = 0xee;
            one
        }]);
        let high = SMALL_ORDER.map(|mut point| {
            point[31] |= 0x80;
            point
        });
        refused.extend(high);
        for point in refused {
            let point = SealKey::from_bytes(point);
            assert!(!is_usable(&point), "{point}");
            assert_eq!(key.wrap_in(&space, &point, &entropy), Err(SealError::SealKey), "{point}");
        }
        let mut two = p;
        two[0] = 0xef;
        assert!(!is_usable(&SealKey::from_bytes(two)), "the second form of 2");
        for _ in 0..100 {
            assert!(is_usable(&PrekeySecret::generate(&entropy).public()));
        }
    }
}
