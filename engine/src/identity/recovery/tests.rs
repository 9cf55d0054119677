use proptest::prelude::*;

use super::*;
use crate::entropy::SeededEntropy;
use crate::identity::{Certificate, CertificateOffer, CertificatePath, LINKED_DEVICE_RANK};
use crate::limits::CERTIFICATES_MAX;

/// [`ROTATIONS_MAX`], as a seed.
const MOST: u8 = 4;

fn words(seed: u8) -> RecoverySecret {
    RecoverySecret::derive(&[seed; 32]).unwrap()
}

fn device(seed: u64) -> DeviceSecret {
    DeviceSecret::generate(&SeededEntropy::new(seed))
}

fn genesis(words: &RecoverySecret) -> Genesis {
    let recovery = *words.policy().id().as_bytes();
    Genesis::create(&device(1), recovery, 1, &SeededEntropy::new(2))
}

/// A recovered device after `count` changes of words.
fn recovered(count: u8) -> (CertificatePath, DeviceSecret) {
    let genesis = genesis(&words(0));
    let account = genesis.account();
    let rotations: Vec<Rotation> = (0..count)
        .map(|n| words(n).rotate(account, words(n + 1).policy().id(), &[], u64::from(n)))
        .collect();
    let secret = device(3);
    let certificate = words(count).certify(account, rotations, &secret, 201, 9).unwrap();
    (CertificatePath::recovered(genesis, certificate), secret)
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

#[test]
fn words_bring_in_a_device_above_all_and_it_links_others() {
    for count in [0, 1, MOST] {
        let (path, secret) = recovered(count);
        assert_eq!(decode(&encode(&path)).as_ref(), Ok(&path));
        let verified = path.verify(&Verifier::new()).unwrap();
        assert_eq!((verified.device(), verified.rank()), (secret.id(), 201));
        assert!(verified.is_recovered() && verified.issuers().is_empty());
        let phone = device(4);
        let rank = LINKED_DEVICE_RANK;
        let offer = |rank| {
            CertificateOffer::issue(&verified, &secret, phone.id(), phone.seal_key(), rank, 1)
        };
        assert_eq!(offer(200).unwrap_err().name(), "identity_rank");
        let linked = path.with(offer(rank).unwrap().accept(&phone).unwrap());
        assert_eq!(decode(&encode(&linked)).as_ref(), Ok(&linked));
        let verified = linked.verify(&Verifier::new()).unwrap();
        assert_eq!((verified.rank(), verified.is_recovered()), (100, true));
        assert_eq!(verified.issuers(), [secret.id()]);
    }
}

#[test]
fn the_longest_path_fits_where_paths_go() {
    let (mut path, mut issuer) = recovered(MOST);
    assert_eq!(usize::from(MOST), ROTATIONS_MAX);
    assert_eq!(path.recovery.as_ref().unwrap().encode().len(), RecoveryCertificate::LEN_MAX);
    let mut rank = 199;
    for seed in 0..CERTIFICATES_MAX as u64 - 1 {
        let by = path.verify(&Verifier::new()).unwrap();
        let next = device(50 + seed);
        let offer =
            CertificateOffer::issue(&by, &issuer, next.id(), next.seal_key(), rank, 1).unwrap();
        path = path.with(offer.accept(&next).unwrap());
        (issuer, rank) = (next, rank - 1);
    }
    assert!(path.verify(&Verifier::new()).is_ok());
    assert!(encode(&path).len() <= 4096, "{}", encode(&path).len());
    let last = path.verify(&Verifier::new()).unwrap();
    let next = device(99);
    let offer = CertificateOffer::issue(&last, &issuer, next.id(), next.seal_key(), 1, 1).unwrap();
    let certificate: Certificate = offer.accept(&next).unwrap();
    let error = last.admit(&certificate, &Verifier::new()).unwrap_err();
    assert_eq!(error.name(), "identity_too_long");
    assert!(decode(&encode(&path.with(certificate))).is_err());
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = encode(&recovered(1).0);
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let outcome = decode(&altered)
            .map_err(IdentityError::from)
            .and_then(|path| path.verify(&Verifier::new()));
        assert!(outcome.is_err(), "bit {bit}");
    }
}

#[test]
fn other_words_ranks_and_accounts_are_refused_by_name() {
    let genesis = genesis(&words(0));
    let (account, secret) = (genesis.account(), device(3));
    let name = |certificate: RecoveryCertificate| {
        let path = CertificatePath::recovered(genesis.clone(), certificate);
        path.verify(&Verifier::new()).unwrap_err().name()
    };
    let other = words(7).certify(account, vec![], &secret, 201, 9).unwrap();
    assert_eq!(name(other), "identity_policy");
    let elsewhere = AccountId::from_bytes([1; 32]);
    let elsewhere = words(0).certify(elsewhere, vec![], &secret, 201, 9).unwrap();
    assert_eq!(name(elsewhere), "identity_account");
    for rank in [200, 255] {
        assert!(words(0).certify(account, vec![], &secret, rank, 9).is_err());
    }
    // A rotation by a key that the policy does not commit to, and one of other words.
    let mut stolen = words(7).rotate(account, words(1).policy().id(), &[], 1);
    stolen.policy = *words(0).policy();
    let forged = words(1).certify(account, vec![stolen], &secret, 201, 9).unwrap();
    assert_eq!(name(forged), "identity_policy");
    let skipped = words(1).rotate(account, words(2).policy().id(), &[], 1);
    let skipped = words(2).certify(account, vec![skipped], &secret, 201, 9).unwrap();
    assert_eq!(name(skipped), "identity_policy");
    let mut unsigned = words(0).certify(account, vec![], &secret, 201, 9).unwrap();
    unsigned.recovery_signature = unsigned.device_signature;
    assert_eq!(name(unsigned), "identity_signature");
}

#[test]
fn a_claim_is_for_one_account_by_its_own_words() {
    let (account, other) = (genesis(&words(0)).account(), genesis(&words(1)).account());
    let claim = words(0).claim(&account);
    let check = |words: &RecoverySecret, account: &AccountId| {
        words.policy().check_claim(account, &claim, &Verifier::new())
    };
    assert!(check(&words(0), &account).is_ok());
    assert!(check(&words(0), &other).is_err());
    assert!(check(&words(1), &account).is_err());
}

#[test]
fn what_words_derive_is_frozen() {
    let policy = *words(0).policy();
    assert_eq!(policy.encode().len(), RecoveryPolicy::LEN);
    let expected = "cb3898f6c73f320d";
    assert!(policy.id().to_string().starts_with(expected), "{}", policy.id());
    assert_eq!(Domain::Recovery.prefix(), b"mosaic recovery 1\0");
    assert_eq!(format!("{:?}", words(0)), format!("RecoverySecret(of {})", policy.id().short()));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        let _ = RecoveryCertificate::from_bytes(&bytes);
        let _ = Rotation::decode(&mut Reader::new(&bytes));
        let _ = RecoveryPolicy::decode(&mut Reader::new(&bytes));
    }
}
