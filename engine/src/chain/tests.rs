use proptest::prelude::*;

use super::*;
use crate::description::{Description, DocumentKind};
use crate::entropy::SeededEntropy;
use crate::identity::{CertificatePath, DeviceSecret, Genesis, VerifiedDevice, Verifier};
use crate::limits::{HEAD_AHEAD_MAX, MAP_CHANGES_MAX, TEXT_CHANGES_MAX, TEXT_LABEL_BYTES};

struct Writing {
    secret: DeviceSecret,
    device: VerifiedDevice,
    wall: Description,
}

const LIFE: Incarnation = Incarnation::from_bytes([7; 16]);

fn writing(seed: u64) -> Writing {
    let entropy = SeededEntropy::new(seed);
    let secret = DeviceSecret::generate(&entropy);
    let genesis = Genesis::create(&secret, [0; 32], 1, &entropy);
    let device = CertificatePath::first(genesis).verify(&Verifier::new()).unwrap();
    let wall = Description::own(device.account(), DocumentKind::Wall, 0);
    Writing { secret, device, wall }
}

impl Writing {
    fn chain(&self, description: &Description) -> ChainKey {
        ChainKey { doc: description.id(), device: self.device.device(), incarnation: LIFE }
    }

    fn origin(&self) -> Link {
        self.chain(&self.wall).origin(&self.wall.space.id())
    }

    /// Links 0 to the number of ids.
    fn links(&self, ids: &[ChangeId]) -> Vec<Link> {
        let mut links = vec![self.origin()];
        for (n, id) in (1..).zip(ids) {
            links.push(extend(links.last().unwrap(), n, id));
        }
        links
    }

    fn sign(&self, n: u64, link: Link) -> VerifiedHead {
        VerifiedHead::sign(&self.wall, &self.device, &self.secret, LIFE, n, link).unwrap()
    }

    fn verify(&self, bytes: &[u8]) -> Result<VerifiedHead, ChainError> {
        SignedHead::from_bytes(bytes)?.verify(&self.wall, &self.device, &Verifier::new())
    }
}

fn ids(count: u8, salt: &[u8]) -> Vec<ChangeId> {
    (0..count).map(|i| ChangeId::of(&[&[i], salt].concat())).collect()
}

#[test]
fn head_round_trips_and_verifies() {
    let w = writing(1);
    let head = w.sign(3, Link::from_bytes([5; 32]));
    let bytes = head.signed().encode();
    assert_eq!((bytes.len(), bytes[0]), (SignedHead::LEN, 0x10));
    assert_eq!(SignedHead::LEN, 217);
    let verifier = Verifier::new();
    let signed = SignedHead::from_bytes(&bytes).unwrap();
    assert_eq!(signed.claimed_chain(), w.chain(&w.wall));
    assert_eq!((signed.claimed_n(), signed.claimed_space()), (3, w.wall.space.id()));
    assert_eq!(signed.verify(&w.wall, &w.device, &verifier), Ok(head.clone()));
    assert_eq!(verifier.checked(), 1);
    assert_eq!((head.n(), head.link()), (3, Link::from_bytes([5; 32])));
    assert_eq!((head.kind(), head.account()), (ChainKind::Log, w.device.account()));
}

#[test]
fn every_flipped_bit_of_a_head_is_refused() {
    let w = writing(1);
    let bytes = w.sign(3, Link::from_bytes([5; 32])).signed().encode();
    assert!(w.verify(&bytes).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(w.verify(&altered).is_err(), "bit {bit}");
    }
}

#[test]
fn heads_of_other_documents_devices_and_lengths_are_refused_by_name() {
    let (w, other) = (writing(1), writing(2));
    let head = w.sign(1, Link::from_bytes([5; 32]));
    let verify = |description: &Description, device: &VerifiedDevice| {
        head.signed().verify(description, device, &Verifier::new()).unwrap_err().name()
    };
    let next_page = Description::own(w.device.account(), DocumentKind::Wall, 1);
    assert_eq!(verify(&next_page, &w.device), "head_document");
    assert_eq!(verify(&w.wall, &other.device), "head_writer");

    let again = |alter: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = head.signed().encode();
        alter(&mut bytes);
        let signature = w.secret.sign(crate::identity::Domain::Head, &bytes[..153]);
        bytes[153..].copy_from_slice(signature.as_bytes());
        w.verify(&bytes).map_err(|error| error.name())
    };
    let n = |n: u64| again(&|bytes| bytes[113..121].copy_from_slice(&n.to_be_bytes()));
    assert_eq!(n(0), Err("head_length"));
    assert_eq!(n(2048).map(|head| head.n()), Ok(2048));
    assert_eq!(n(2049), Err("head_length"));
    assert_eq!(n(u64::MAX), Err("head_length"));
    assert_eq!(again(&|bytes| bytes[0] = 0x11), Err("head_kind"));
    for reserved in [0x00, 0x0f, 0x14, 0x15, 0xff] {
        assert_eq!(again(&|bytes| bytes[0] = reserved), Err("head_decode"));
    }
    assert_eq!(again(&|bytes| bytes[1] ^= 1), Err("head_document"));
    assert_eq!(again(&|bytes| bytes[33] ^= 1), Err("head_document"));
    assert_eq!(again(&|bytes| bytes[65] ^= 1), Err("head_writer"));

    // A right signature of a device, in a document that another account writes.
    let theirs = Description::own(other.device.account(), DocumentKind::Wall, 0);
    let mut bytes = head.signed().encode();
    bytes[1..33].copy_from_slice(theirs.space.id().as_bytes());
    bytes[33..65].copy_from_slice(theirs.id().as_bytes());
    let signature = w.secret.sign(crate::identity::Domain::Head, &bytes[..153]);
    bytes[153..].copy_from_slice(signature.as_bytes());
    let foreign = SignedHead::from_bytes(&bytes).unwrap();
    let verified = foreign.verify(&theirs, &w.device, &Verifier::new());
    assert_eq!(verified, Err(ChainError::Writer));

    let mut guest = w.wall.clone();
    guest.account = other.device.account();
    let signed = VerifiedHead::sign(&guest, &w.device, &w.secret, LIFE, 1, w.origin());
    assert_eq!(signed, Err(ChainError::Writer));
    let signed = VerifiedHead::sign(&w.wall, &w.device, &other.secret, LIFE, 1, w.origin());
    assert_eq!(signed.unwrap_err().name(), "identity_wrong_secret");
    let map = Description::own(w.device.account(), DocumentKind::Profile, 0);
    let sign = |n| VerifiedHead::sign(&map, &w.device, &w.secret, LIFE, n, w.origin());
    assert!(sign(MAP_CHANGES_MAX).is_ok());
    assert_eq!(sign(MAP_CHANGES_MAX + 1).unwrap_err().name(), "head_length");
    assert_eq!(sign(0).unwrap_err().name(), "head_length");
    let text = Description::text(w.device.account(), &[1; TEXT_LABEL_BYTES]);
    let sign = |n| VerifiedHead::sign(&text, &w.device, &w.secret, LIFE, n, w.origin());
    assert!(sign(TEXT_CHANGES_MAX).is_ok());
    assert_eq!(sign(TEXT_CHANGES_MAX + 1).unwrap_err().name(), "head_length");
}

#[test]
fn ids_are_proven_from_the_start_and_as_a_suffix() {
    let w = writing(1);
    let ids = ids(5, b"");
    let links = w.links(&ids);
    let head = w.sign(5, links[5]);
    let whole = head.prove(0, links[0], &ids).unwrap();
    assert_eq!((whole.len(), whole.base(), whole.base_link()), (5, 0, links[0]));
    let steps: Vec<_> = whole.iter().collect();
    assert_eq!(steps[4], (5, ids[4], links[5]));
    let suffix = head.prove(3, links[3], &ids[3..]).unwrap();
    assert_eq!(suffix.iter().next(), Some((4, ids[3], links[4])));
    assert!(head.prove(5, links[5], &[]).unwrap().is_empty());

    let refuse = |base, link, ids: &[ChangeId]| {
        assert_eq!(head.prove(base, link, ids), Err(ChainError::Broken));
    };
    refuse(0, links[0], &ids[..4]);
    refuse(1, links[0], &ids[1..]);
    refuse(0, links[1], &ids);
    refuse(3, links[2], &ids[3..]);
    refuse(u64::MAX, links[5], &ids);
    let mut swapped = ids.clone();
    swapped.swap(1, 2);
    refuse(0, links[0], &swapped);
    let mut replaced = ids.clone();
    replaced[0] = ChangeId::of(b"other");
    refuse(0, links[0], &replaced);
}

#[test]
fn a_whole_chain_begins_at_its_own_origin() {
    let w = writing(1);
    let foreign = Link::from_bytes([1; 32]);
    let id = ChangeId::of(b"a");
    let head = w.sign(1, extend(&foreign, 1, &id));
    assert_eq!(head.prove(0, foreign, &[id]), Err(ChainError::Broken));
}

#[test]
fn link_bytes_are_frozen() {
    let chain = ChainKey {
        doc: DocumentId::from_bytes([1; 32]),
        device: DeviceId::from_bytes([2; 32]),
        incarnation: Incarnation::from_bytes([3; 16]),
    };
    let space = SpaceId::from_bytes([4; 32]);
    let mut hasher = blake3::Hasher::new_derive_key("mosaic chain 1");
    hasher.update(&[4; 32]).update(&[1; 32]).update(&[2; 32]).update(&[3; 16]);
    assert_eq!(chain.origin(&space).as_bytes(), hasher.finalize().as_bytes());
    let mut hasher = blake3::Hasher::new_derive_key("mosaic link 1");
    hasher.update(&[9; 32]).update(&[0, 0, 0, 0, 0, 0, 1, 2]).update(&[8; 32]);
    let link = extend(&Link::from_bytes([9; 32]), 258, &ChangeId::from_bytes([8; 32]));
    assert_eq!(link.as_bytes(), hasher.finalize().as_bytes());
}

/// Two histories that share their first two changes.
fn forked(
    w: &Writing,
    a_len: u8,
    b_len: u8,
) -> (VerifiedHead, VerifiedHead, Vec<Link>, Vec<ChangeId>) {
    let common = ids(2, b"common");
    let a = [common.clone(), ids(a_len - 2, b"a")].concat();
    let b = [common, ids(b_len - 2, b"b")].concat();
    let (a_links, b_links) = (w.links(&a), w.links(&b));
    let a_head = w.sign(u64::from(a_len), *a_links.last().unwrap());
    let b_head = w.sign(u64::from(b_len), *b_links.last().unwrap());
    (a_head, b_head, b_links, b)
}

fn decode_proof(bytes: &[u8]) -> Result<ForkProof, DecodeError> {
    let mut r = Reader::new(bytes);
    let proof = ForkProof::decode(&mut r)?;
    r.end()?;
    Ok(proof)
}

#[test]
fn fork_proofs_hold_and_flipped_bits_are_refused() {
    let w = writing(1);
    let (a, b, links, ids) = forked(&w, 3, 5);
    let fork = ForkProof::make(&b, &a, links[3], ids[3..].to_vec()).unwrap();
    assert_eq!((fork.a(), fork.b(), fork.chain()), (&a, &b, a.chain()));
    let mut bytes = Writer::new();
    fork.proof().encode(&mut bytes);
    let bytes = bytes.finish();
    assert_eq!(bytes.len(), 217 + 217 + 32 + 1 + 64);
    let verify = |bytes: &[u8]| decode_proof(bytes)?.verify(&w.wall, &w.device, &Verifier::new());
    assert_eq!(verify(&bytes), Ok(fork));
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&altered).is_err(), "bit {bit}");
    }
}

#[test]
fn heads_that_agree_are_no_fork() {
    let w = writing(1);
    let (a, b, links, ids) = forked(&w, 3, 5);
    let prefix = w.sign(3, links[3]);
    let make = |one: &VerifiedHead, other: &VerifiedHead, link, ids: &[ChangeId]| {
        ForkProof::make(one, other, link, ids.to_vec()).unwrap_err()
    };
    assert_eq!(make(&prefix, &b, links[3], &ids[3..]), ChainError::NoFork);
    // The longer head's own link in place of its link at the shorter one's length.
    assert_eq!(make(&prefix, &b, b.link(), &[]), ChainError::Broken);
    assert_eq!(make(&a, &a, a.link(), &[]), ChainError::NoFork);
    assert_eq!(make(&a, &b, links[3], &ids[4..]), ChainError::Broken);
    assert_eq!(make(&a, &b, links[2], &ids[3..]), ChainError::Broken);
    let elsewhere = writing(2).sign(3, links[3]);
    assert_eq!(make(&a, &elsewhere, links[3], &[]), ChainError::Document);
    // A proof with the heads the wrong way round.
    let fork = ForkProof::make(&a, &b, links[3], ids[3..].to_vec()).unwrap();
    let mut proof = fork.proof().clone();
    std::mem::swap(&mut proof.a, &mut proof.b);
    let error = proof.verify(&w.wall, &w.device, &Verifier::new()).unwrap_err();
    assert_eq!(error, ChainError::NoFork);
}

#[test]
fn equally_long_forks_have_one_form() {
    let w = writing(1);
    let (a, b, ..) = forked(&w, 4, 4);
    let longer = if a.link() < b.link() { &b } else { &a };
    let one = ForkProof::make(&a, &b, longer.link(), vec![]).unwrap();
    let other = ForkProof::make(&b, &a, longer.link(), vec![]).unwrap();
    assert_eq!(one, other);
    let mut proof = one.proof().clone();
    std::mem::swap(&mut proof.a, &mut proof.b);
    proof.branch_link = one.a().link();
    assert!(proof.verify(&w.wall, &w.device, &Verifier::new()).is_err());
}

#[test]
fn fork_proofs_are_bounded() {
    let w = writing(1);
    let (a, b, links, _) = forked(&w, 3, 5);
    let proof = |count: u64| {
        let ids = vec![ChangeId::of(b"x"); usize::try_from(count).unwrap()];
        let (a, b) = (a.signed().clone(), b.signed().clone());
        let mut bytes = Writer::new();
        ForkProof { a, b, branch_link: links[3], ids }.encode(&mut bytes);
        decode_proof(&bytes.finish())
    };
    assert!(proof(HEAD_AHEAD_MAX).is_ok());
    assert!(matches!(proof(HEAD_AHEAD_MAX + 1), Err(DecodeError::TooLarge { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let w = writing(1);
        prop_assert!(w.verify(&bytes).is_err());
        let fork = decode_proof(&bytes)
            .is_ok_and(|proof| proof.verify(&w.wall, &w.device, &Verifier::new()).is_ok());
        prop_assert!(!fork);
    }

    #[test]
    fn only_the_very_ids_lead_to_the_head(
        count in 1u8..20, base in 0u8..20, at in 0usize..20, byte in 0usize..32, bit in 0u8..8,
    ) {
        let w = writing(1);
        let base = base.min(count - 1);
        let ids = ids(count, b"p");
        let links = w.links(&ids);
        let head = w.sign(u64::from(count), links[usize::from(count)]);
        let (start, link) = (u64::from(base), links[usize::from(base)]);
        let mut suffix = ids[usize::from(base)..].to_vec();
        prop_assert!(head.prove(start, link, &suffix).is_ok());
        let at = at % suffix.len();
        let mut altered = *suffix[at].as_bytes();
        altered[byte] ^= 1 << bit;
        suffix[at] = ChangeId::from_bytes(altered);
        prop_assert!(head.prove(start, link, &suffix).is_err());
    }
}
