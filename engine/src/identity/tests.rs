use proptest::prelude::*;

use super::signature::SMALL_ORDER;
use super::*;
use crate::entropy::SeededEntropy;

/// An account with a first device, a second one, and a third that the second vouches for.
struct Family {
    secrets: Vec<DeviceSecret>,
    path: CertificatePath,
}

fn linked(
    issuer: &CertificatePath,
    issuer_secret: &DeviceSecret,
    secret: &DeviceSecret,
    rank: u8,
) -> CertificatePath {
    let by = issuer.verify(&Verifier::new()).unwrap();
    let offer =
        CertificateOffer::issue(&by, issuer_secret, secret.id(), secret.seal_key(), rank, 7)
            .unwrap();
    let offer = CertificateOffer::decode(&mut Reader::new(&offer.encode())).unwrap();
    issuer.clone().with(offer.accept(secret).unwrap())
}

fn family(devices: usize) -> Family {
    let entropy = SeededEntropy::new(5);
    let secrets: Vec<_> = (0..devices).map(|_| DeviceSecret::generate(&entropy)).collect();
    let mut path = CertificatePath::first(Genesis::create(&secrets[0], [9; 32], 1, &entropy));
    let mut rank = FIRST_DEVICE_RANK;
    for pair in secrets.windows(2) {
        rank = (rank - 1).min(LINKED_DEVICE_RANK);
        path = linked(&path, &pair[0], &pair[1], rank);
    }
    Family { secrets, path }
}

fn encode(path: &CertificatePath) -> Vec<u8> {
    let mut w = Writer::new();
    path.encode(&mut w);
    w.finish()
}

fn decode(bytes: &[u8]) -> Result<CertificatePath, DecodeError> {
    let mut r = Reader::new(bytes);
    let path = CertificatePath::decode(&mut r)?;
    r.end()?;
    Ok(path)
}

/// Puts right signatures under an altered certificate.
fn signed_again(mut c: Certificate, issuer: &DeviceSecret, device: &DeviceSecret) -> Certificate {
    let bytes = c.encode();
    let message = &bytes[..Certificate::LEN - 2 * Signature::LEN];
    c.issuer_signature = issuer.sign(Domain::Device, message);
    c.device_signature = device.sign(Domain::Device, message);
    c
}

#[test]
fn path_of_three_devices_verifies_and_round_trips() {
    let family = family(3);
    let bytes = encode(&family.path);
    assert_eq!(bytes.len(), Genesis::LEN + 1 + 2 * Certificate::LEN);
    assert_eq!((Genesis::LEN, Certificate::LEN), (122, 267));
    assert_eq!(decode(&bytes).as_ref(), Ok(&family.path));
    let verifier = Verifier::new();
    let device = family.path.verify(&verifier).unwrap();
    assert_eq!(verifier.checked(), 4);
    assert_eq!(device.account(), family.path.genesis.account());
    assert_eq!(device.device(), family.secrets[2].id());
    assert_eq!(device.device(), family.path.claimed_device());
    assert_eq!(device.seal_key(), family.secrets[2].seal_key());
    assert_eq!(device.rank(), 99);
    assert_eq!(device.issuers(), [family.secrets[0].id(), family.secrets[1].id()]);
}

#[test]
fn first_device_needs_no_signature() {
    let family = family(1);
    let verifier = Verifier::new();
    let device = family.path.verify(&verifier).unwrap();
    assert_eq!((device.rank(), verifier.checked()), (FIRST_DEVICE_RANK, 0));
    assert!(device.issuers().is_empty());
}

#[test]
fn genesis_bytes_are_frozen() {
    let genesis = Genesis {
        device: DeviceId::from_bytes([1; 32]),
        seal_key: SealKey::from_bytes([2; 32]),
        recovery: [3; 32],
        nonce: [4; 16],
        created_ms: 5,
    };
    let bytes = genesis.encode();
    let expected =
        [&[1, 1][..], &[1; 32], &[2; 32], &[3; 32], &[4; 16], &[0, 0, 0, 0, 0, 0, 0, 5]].concat();
    assert_eq!(bytes, expected);
    assert_eq!(Domain::Device.prefix(), b"mosaic device 1\0");
    assert_eq!(Domain::Head.prefix(), b"mosaic head 1\0");
}

#[test]
fn every_flipped_bit_of_a_path_is_refused() {
    let family = family(2);
    let honest = family.path.verify(&Verifier::new()).unwrap();
    let bytes = encode(&family.path);
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let outcome = decode(&altered).map_err(IdentityError::from).and_then(|path| {
            let device = path.verify(&Verifier::new())?;
            Ok((path, device))
        });
        assert!(outcome.is_err(), "bit {bit}: {outcome:?} beside {honest:?}");
    }
}

#[test]
fn every_flipped_bit_of_a_genesis_is_another_account() {
    let family = family(1);
    let bytes = family.path.genesis.encode();
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        if let Ok(genesis) = Genesis::decode(&mut Reader::new(&altered)) {
            assert_ne!(genesis.account(), family.path.account(), "bit {bit}");
        } else {
            assert!(bit < 16, "bit {bit}");
        }
    }
}

#[test]
fn what_a_certificate_may_not_say_is_refused_by_name() {
    let family = family(3);
    let (root, phone, tablet) = (&family.secrets[0], &family.secrets[1], &family.secrets[2]);
    let honest = &family.path.certificates[0];
    let altered = |change: &dyn Fn(&mut Certificate)| {
        let mut certificate = honest.clone();
        change(&mut certificate);
        signed_again(certificate, root, phone)
    };
    let first = CertificatePath::first(family.path.genesis.clone());
    let refuse = |certificate: Certificate| {
        first.clone().with(certificate).verify(&Verifier::new()).unwrap_err().name()
    };
    let weak = DeviceId::from_bytes([0; 32]);
    let cases: [(&str, Certificate); 9] = [
        ("identity_account", altered(&|c| c.account = AccountId::from_bytes([1; 32]))),
        ("identity_issuer", altered(&|c| c.issuer = tablet.id())),
        ("identity_rank", altered(&|c| c.rank = 0)),
        ("identity_rank", altered(&|c| c.rank = FIRST_DEVICE_RANK)),
        ("identity_rank", altered(&|c| c.rank = 255)),
        ("identity_repeated", altered(&|c| c.device = root.id())),
        ("identity_weak_key", altered(&|c| c.device = weak)),
        ("identity_weak_key", altered(&|c| c.seal_key = SealKey::from_bytes([0; 32]))),
        ("identity_signature", altered(&|c| c.device = tablet.id())),
    ];
    for (name, certificate) in cases {
        assert_eq!(refuse(certificate.clone()), name, "{certificate:?}");
    }
    assert_eq!(
        first.with(altered(&|c| c.rank = 199)).verify(&Verifier::new()).unwrap().rank(),
        199
    );
}

#[test]
fn both_signatures_are_needed() {
    let family = family(2);
    for (issuer, device) in [(0, 0), (1, 1)] {
        let mut path = family.path.clone();
        let honest = path.certificates[0].clone();
        path.certificates[0] =
            signed_again(honest, &family.secrets[issuer], &family.secrets[device]);
        let expected = family.secrets[1 - issuer].id();
        let error = path.verify(&Verifier::new()).unwrap_err();
        assert_eq!(error, IdentityError::Signature { signer: expected });
    }
}

#[test]
fn a_signature_of_another_purpose_is_refused() {
    let secret = DeviceSecret::generate(&SeededEntropy::new(1));
    let signature = secret.sign(Domain::Head, b"message");
    let verifier = Verifier::new();
    assert!(verifier.verify(&secret.id(), Domain::Head, b"message", &signature).is_ok());
    assert!(verifier.verify(&secret.id(), Domain::Device, b"message", &signature).is_err());
    assert!(verifier.verify(&secret.id(), Domain::Head, b"massage", &signature).is_err());
    assert_eq!(verifier.checked(), 3);
}

#[test]
fn signatures_that_lenient_checks_accept_are_refused() {
    let secret = DeviceSecret::generate(&SeededEntropy::new(1));
    let honest = *secret.sign(Domain::Head, b"m").as_bytes();
    // S + L signs the same under a check that reduces S.
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut unreduced = honest;
    let mut carry = 0u16;
    for (byte, add) in unreduced[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    let verify = |device: &DeviceId, signature: [u8; 64]| {
        Verifier::new().verify(device, Domain::Head, b"m", &Signature::from_bytes(signature))
    };
    assert_eq!(verify(&secret.id(), honest), Ok(()));
    assert!(verify(&secret.id(), unreduced).is_err());
    // The identity as key and as R with S = 0 satisfies the equation for every message.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut forged = [0; 64];
    forged[0] = 1;
    assert_eq!(verify(&DeviceId::from_bytes(identity), forged), Err(IdentityError::WeakKey));
    // The same point in a second encoding, and a key that is no point.
    let mut second = [0xff; 32];
    second[0] = 0xee;
    second[31] = 0x7f;
    assert_eq!(verify(&DeviceId::from_bytes(second), forged), Err(IdentityError::WeakKey));
    let mut nowhere = [0; 32];
    nowhere[0] = 2;
    assert_eq!(verify(&DeviceId::from_bytes(nowhere), forged), Err(IdentityError::WeakKey));
}

/// The equation alone holds here: R is the identity, and S the challenge times the secret.
#[test]
fn a_commitment_of_small_order_is_refused_though_the_equation_holds() {
    use ed25519_dalek::Verifier as _;
    use sha2::{Digest, Sha512};

    fn times<S>(secret: S, bytes: &[u8]) -> S
    where
        S: Copy + From<u64> + std::ops::Mul<Output = S> + std::ops::Add<Output = S>,
    {
        let byte = S::from(256u64);
        secret * bytes.iter().rev().fold(S::from(0), |sum, b| sum * byte + S::from(u64::from(*b)))
    }
    let secret = DeviceSecret::generate(&SeededEntropy::new(1));
    let message = Domain::Head.message(b"m");
    let mut forged = [0; 64];
    forged[0] = 1;
    let challenge = Sha512::new()
        .chain_update(&forged[..32])
        .chain_update(secret.id().as_bytes())
        .chain_update(&message)
        .finalize();
    let signing = ed25519_dalek::SigningKey::from_bytes(&secret.signing_seed());
    forged[32..].copy_from_slice(times(signing.to_scalar(), &challenge).as_bytes());
    let lenient = ed25519_dalek::Signature::from_bytes(&forged);
    assert!(signing.verifying_key().verify(&message, &lenient).is_ok());
    let forged = Signature::from_bytes(forged);
    let error = Verifier::new().verify(&secret.id(), Domain::Head, b"m", &forged);
    assert_eq!(error, Err(IdentityError::Signature { signer: secret.id() }));
}

#[test]
fn nothing_can_be_sealed_to_a_refused_seal_key() {
    let entropy = SeededEntropy::new(3);
    let key = crate::seal::EpochKey::generate(&entropy);
    let account = AccountId::from_bytes([1; 32]);
    for mut bytes in SMALL_ORDER {
        for high_bit in [0, 0x80] {
            bytes[31] |= high_bit;
            let weak = SealKey::from_bytes(bytes);
            assert_eq!(signature::check_seal_key(&weak), Err(IdentityError::WeakKey));
            assert!(key.wrap(&account, &weak, &entropy).is_err(), "{weak}");
        }
    }
}

#[test]
fn path_length_is_limited() {
    let at_limit = family(CERTIFICATES_MAX + 1);
    assert!(at_limit.path.verify(&Verifier::new()).is_ok());
    let last = at_limit.path.verify(&Verifier::new()).unwrap();
    let extra = DeviceSecret::generate(&SeededEntropy::new(77));
    let secret = at_limit.secrets.last().unwrap();
    let offer = CertificateOffer::issue(&last, secret, extra.id(), extra.seal_key(), 1, 1).unwrap();
    let certificate = offer.accept(&extra).unwrap();
    let error = last.admit(&certificate, &Verifier::new()).unwrap_err();
    assert_eq!(error.name(), "identity_too_long");
    let over = at_limit.path.with(certificate);
    let verifier = Verifier::new();
    assert_eq!(over.verify(&verifier).unwrap_err().name(), "identity_too_long");
    assert_eq!(verifier.checked(), 0);
    assert!(matches!(decode(&encode(&over)), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn only_the_right_secret_signs_and_ranks_fall() {
    let family = family(2);
    let (root, phone) = (&family.secrets[0], &family.secrets[1]);
    let first = VerifiedDevice::first(&family.path.genesis).unwrap();
    let issue = |secret: &DeviceSecret, rank| {
        CertificateOffer::issue(&first, secret, phone.id(), phone.seal_key(), rank, 1)
    };
    assert_eq!(issue(phone, 100).unwrap_err().name(), "identity_wrong_secret");
    assert_eq!(issue(root, 200).unwrap_err().name(), "identity_rank");
    assert_eq!(issue(root, 0).unwrap_err().name(), "identity_rank");
    let offer = issue(root, 199).unwrap();
    assert_eq!((offer.device(), offer.rank(), offer.account()), (phone.id(), 199, first.account()));
    assert_eq!(offer.clone().accept(root).unwrap_err().name(), "identity_wrong_secret");
    assert!(offer.accept(phone).is_ok());
    let other_key = root.seal_key();
    let offer = CertificateOffer::issue(&first, root, phone.id(), other_key, 100, 1).unwrap();
    let error = offer.accept(phone).unwrap_err();
    assert_eq!(error, IdentityError::WrongSealKey { found: other_key });
}

#[test]
fn an_account_of_weak_keys_is_refused() {
    let honest = family(1).path.genesis;
    let (device, seal_key) = (DeviceId::from_bytes([0; 32]), SealKey::from_bytes([0; 32]));
    let refused = |genesis| VerifiedDevice::first(&genesis).unwrap_err();
    assert_eq!(refused(Genesis { device, ..honest.clone() }), IdentityError::WeakKey);
    assert_eq!(refused(Genesis { seal_key, ..honest }), IdentityError::WeakKey);
}

#[test]
fn secrets_survive_their_byte_form_and_do_not_print() {
    let secret = DeviceSecret::generate(&SeededEntropy::new(8));
    let bytes = secret.to_bytes();
    let back = DeviceSecret::from_bytes(&bytes).unwrap();
    assert_eq!((back.id(), back.seal_key()), (secret.id(), secret.seal_key()));
    assert_eq!(&secret.signing_seed()[..], &bytes[..32]);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!hex.contains(&format!("{secret:?}")[16..24]) || hex.len() == 128);
    assert_eq!(format!("{secret:?}"), format!("DeviceSecret(of {})", secret.id().short()));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = Genesis::decode(&mut Reader::new(&bytes));
        let _ = Certificate::from_bytes(&bytes);
        let _ = CertificateOffer::decode(&mut Reader::new(&bytes));
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn altered_paths_are_refused_without_panic(
        at in 0usize..656, byte in any::<u8>(), cut in 0usize..657,
    ) {
        let honest = encode(&family(3).path);
        let mut altered = honest.clone();
        altered[at] = byte;
        altered.truncate(cut);
        let verified = decode(&altered).ok().and_then(|path| path.verify(&Verifier::new()).ok());
        prop_assert_eq!(verified.is_some(), altered == honest);
    }
}
