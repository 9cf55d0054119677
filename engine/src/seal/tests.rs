use proptest::prelude::*;

use super::*;
use crate::entropy::SeededEntropy;
use crate::hash::{DeviceId, DocumentId, Incarnation};

fn place() -> SealPlace {
    SealPlace {
        space: SpaceId::from_bytes([1; 32]),
        chain: ChainKey {
            doc: DocumentId::from_bytes([2; 32]),
            device: DeviceId::from_bytes([3; 32]),
            incarnation: Incarnation::from_bytes([4; 16]),
        },
        n: 5,
        previous_link: Link::from_bytes([6; 32]),
    }
}

fn open(key: &EpochKey, place: &SealPlace, bytes: &[u8]) -> Result<Vec<u8>, SealError> {
    SealedChange::parse(bytes)?.open(key, place)
}

#[test]
fn sealed_changes_open_at_their_place_and_hide_their_text() {
    let entropy = SeededEntropy::new(1);
    let key = EpochKey::generate(&entropy);
    let change = b"follows bob, mutes eve";
    let sealed = seal(&key, &place(), change, &entropy).unwrap();
    assert_eq!(sealed.len(), change.len() + SEAL_OVERHEAD_BYTES);
    assert_eq!(SEAL_OVERHEAD_BYTES, 90);
    assert_eq!((sealed[0], sealed[1]), (0x53, 1));
    assert_eq!(SealedChange::parse(&sealed).unwrap().epoch(), key.id());
    assert_eq!(open(&key, &place(), &sealed).unwrap(), change);
    assert!(!sealed.windows(3).any(|window| window == b"bob"));
    // Sealed again, every byte that could tell so differs.
    let again = seal(&key, &place(), change, &entropy).unwrap();
    assert_ne!(again[50..], sealed[50..]);
    assert_ne!(again[90..], sealed[90..]);
}

#[test]
fn every_flipped_bit_of_a_sealed_change_is_refused() {
    let entropy = SeededEntropy::new(1);
    let key = EpochKey::generate(&entropy);
    let sealed = seal(&key, &place(), b"text", &entropy).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let error = open(&key, &place(), &altered).unwrap_err();
        let expected = match bit / 8 {
            0 | 1 => "seal_decode",
            2..34 => "seal_other_epoch",
            34..50 => "seal_key_check",
            _ => "seal_open",
        };
        assert_eq!(error.name(), expected, "bit {bit}");
    }
}

#[test]
fn a_sealed_change_opens_nowhere_else() {
    let entropy = SeededEntropy::new(1);
    let key = EpochKey::generate(&entropy);
    let sealed = seal(&key, &place(), b"text", &entropy).unwrap();
    let refused = |alter: &dyn Fn(&mut SealPlace)| {
        let mut elsewhere = place();
        alter(&mut elsewhere);
        open(&key, &elsewhere, &sealed).unwrap_err().name()
    };
    assert_eq!(refused(&|p| p.space = SpaceId::from_bytes([9; 32])), "seal_open");
    assert_eq!(refused(&|p| p.previous_link = Link::from_bytes([9; 32])), "seal_open");
    assert_eq!(refused(&|p| p.n = 6), "seal_key_check");
    assert_eq!(refused(&|p| p.chain.doc = DocumentId::from_bytes([9; 32])), "seal_key_check");
    assert_eq!(refused(&|p| p.chain.device = DeviceId::from_bytes([9; 32])), "seal_key_check");
    assert_eq!(
        refused(&|p| p.chain.incarnation = Incarnation::from_bytes([9; 16])),
        "seal_key_check"
    );
}

#[test]
fn another_epochs_key_is_not_yet_and_not_never() {
    let entropy = SeededEntropy::new(1);
    let (key, other) = (EpochKey::generate(&entropy), EpochKey::generate(&entropy));
    let sealed = seal(&key, &place(), b"text", &entropy).unwrap();
    let error = open(&other, &place(), &sealed).unwrap_err();
    assert_eq!(error, SealError::OtherEpoch { found: key.id(), given: other.id() });
}

#[test]
fn sealed_bytes_are_within_the_limit_of_a_change() {
    let entropy = SeededEntropy::new(1);
    let key = EpochKey::generate(&entropy);
    let longest = vec![0; CHANGE_BYTES_MAX - SEAL_OVERHEAD_BYTES];
    let sealed = seal(&key, &place(), &longest, &entropy).unwrap();
    assert_eq!(sealed.len(), CHANGE_BYTES_MAX);
    assert_eq!(open(&key, &place(), &sealed).unwrap(), longest);
    let over = vec![0; longest.len() + 1];
    let error = seal(&key, &place(), &over, &entropy).unwrap_err();
    assert_eq!(error, SealError::Size { len: CHANGE_BYTES_MAX + 1 });
    let error = SealedChange::parse(&[0x53; CHANGE_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(error.name(), "seal_size");
    for len in 0..SEAL_OVERHEAD_BYTES {
        assert_eq!(SealedChange::parse(&sealed[..len]).unwrap_err().name(), "seal_decode");
    }
}

/// The bytes that the documentation promises, put together by hand.
#[test]
fn sealed_bytes_are_frozen() {
    let key = EpochKey::from_bytes([7; 32]);
    let place = place();
    let n = 5u64.to_be_bytes();
    let epoch = derive("mosaic epoch 1", &[&[7; 32]]);
    assert_eq!(key.id().as_bytes(), &epoch);
    let message_key = derive("mosaic message key 1", &[&[7; 32], &[2; 32], &[3; 32], &[4; 16], &n]);
    let associated = [&[1; 32][..], &[2; 32], &[3; 32], &[4; 16], &n, &[6; 32], &epoch].concat();
    let nonce = [8; 24];
    let payload = Payload { msg: b"text", aad: &associated };
    let ciphertext = XChaCha20Poly1305::new((&message_key).into())
        .encrypt(&XNonce::from(nonce), payload)
        .unwrap();
    let check = derive("mosaic key check 1", &[&message_key]);
    let bytes = [&[0x53, 1][..], &epoch, &check[..16], &nonce, &ciphertext].concat();
    assert_eq!(open(&key, &place, &bytes).unwrap(), b"text");
}

#[test]
fn wraps_open_for_their_device_account_and_epoch_alone() {
    let entropy = SeededEntropy::new(1);
    let (ada, eve) = (DeviceSecret::generate(&entropy), DeviceSecret::generate(&entropy));
    let (account, other) = (AccountId::from_bytes([1; 32]), AccountId::from_bytes([2; 32]));
    let key = EpochKey::generate(&entropy);
    let wrap = key.wrap(&account, &ada.seal_key(), &entropy).unwrap();
    assert_eq!((wrap.len(), wrap[0]), (WRAP_BYTES, 1));
    assert_eq!(WRAP_BYTES, 81);
    let unwrap = |wrap: &[u8], epoch: EpochId, account, secret| {
        EpochKey::unwrap(wrap, &epoch, account, secret)
    };
    assert_eq!(unwrap(&wrap, key.id(), &account, &ada), Ok(key.clone()));
    assert_eq!(unwrap(&wrap, key.id(), &account, &eve), Err(SealError::Wrap));
    assert_eq!(unwrap(&wrap, key.id(), &other, &ada), Err(SealError::Wrap));
    let epoch = EpochId::from_bytes([1; 32]);
    assert_eq!(unwrap(&wrap, epoch, &account, &ada), Err(SealError::Wrap));
    assert_ne!(key.wrap(&account, &ada.seal_key(), &entropy).unwrap(), wrap);
    for bit in 0..wrap.len() * 8 {
        let mut altered = wrap.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        // X25519 ignores the highest bit of a public key, but HPKE binds the bytes.
        assert_eq!(unwrap(&altered, key.id(), &account, &ada), Err(SealError::Wrap), "bit {bit}");
    }
    for len in [0, 1, 33, WRAP_BYTES - 1] {
        assert_eq!(unwrap(&wrap[..len], key.id(), &account, &ada), Err(SealError::Wrap));
    }
    let longer = [&wrap[..], &[0]].concat();
    assert_eq!(unwrap(&longer, key.id(), &account, &ada), Err(SealError::Wrap));
}

#[test]
fn keys_do_not_print() {
    let key = EpochKey::from_bytes([0xab; 32]);
    assert_eq!(format!("{key:?}"), format!("EpochKey(of {})", key.id().short()));
    assert_eq!(EpochKey::from_bytes(*key.to_bytes()), key);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let key = EpochKey::from_bytes([7; 32]);
        prop_assert!(open(&key, &place(), &bytes).is_err());
        let headed = [&[0x53, 1][..], key.id().as_bytes(), &bytes].concat();
        prop_assert!(open(&key, &place(), &headed).is_err());
        let secret = DeviceSecret::generate(&SeededEntropy::new(1));
        let account = AccountId::from_bytes([1; 32]);
        prop_assert!(EpochKey::unwrap(&bytes, &key.id(), &account, &secret).is_err());
    }
}
