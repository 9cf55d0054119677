//! Lies about heads, certificate paths and descriptions.

use bytes::Bytes;
use mosaic_engine::chain::extend;
use mosaic_engine::description::{Description, DocumentKind};
use mosaic_engine::hash::{AccountId, ChangeId, DeviceId, Link};
use mosaic_engine::identity::{CertificatePath, DeviceSecret, Domain, Genesis};
use mosaic_engine::sync::exchange::Received;
use mosaic_engine::wire::{HEAD_BYTES, Reason};

use super::author::{Author, Chain, encode_path, head};
use super::table::{Answer, Offer, offer, post, profile};

const SIGNATURE: Answer = Answer::Refused(Reason::Signature);
const MALFORMED: Answer = Answer::Refused(Reason::Malformed);
const CERTIFICATE: Answer = Answer::Refused(Reason::Certificate);
/// Where the signature begins in a head.
const SIGNED_BYTES: usize = HEAD_BYTES - 64;
/// The order of the group of Ed25519, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Lies about heads and who signs them.
#[must_use]
pub fn head_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let mut all = signature_lies(author, now_ms);
    all.extend(claim_lies(author, now_ms));
    all.extend(path_lies(author, now_ms));
    all
}

fn honest(author: &Author, now_ms: u64) -> Chain {
    let mut chain = author.chain(&author.page(0));
    chain.entry(now_ms, author.honest().encode());
    chain
}

fn signature_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let altered = |what: &str, alter: &dyn Fn(&mut Vec<u8>)| {
        let mut received = honest(author, now_ms).offer(author);
        let mut bytes = received.head.to_vec();
        alter(&mut bytes);
        received.head = head(&bytes);
        offer(format!("head: {what}"), received, SIGNATURE)
    };
    let other = Author::stranger(author.entropy().clone(), now_ms);
    let resigned = |bytes: &mut Vec<u8>, secret: &DeviceSecret, domain| {
        let signature = secret.sign(domain, &bytes[..SIGNED_BYTES]);
        bytes[SIGNED_BYTES..].copy_from_slice(signature.as_bytes());
    };
    vec![
        altered("a bit of the signature's point", &|bytes| bytes[SIGNED_BYTES] ^= 1),
        altered("a bit of the signature's number", &|bytes| bytes[SIGNED_BYTES + 40] ^= 1),
        altered("no signature", &|bytes| bytes[SIGNED_BYTES..].fill(0)),
        altered("the number plus the group's order", &|bytes| {
            add_order(&mut bytes[SIGNED_BYTES + 32..]);
        }),
        altered("a point of small order", &|bytes| {
            bytes[SIGNED_BYTES..].fill(0);
            bytes[SIGNED_BYTES] = 1;
        }),
        altered("signed by somebody else", &|bytes| {
            resigned(bytes, other.secret(), Domain::Head);
        }),
        altered("signed as a certificate", &|bytes| {
            resigned(bytes, author.secret(), Domain::Device);
        }),
        altered("another number than signed", &|bytes| bytes[SIGNED_BYTES - 33] ^= 2),
        altered("another link than signed", &|bytes| bytes[SIGNED_BYTES - 1] ^= 1),
        altered("another writing life than signed", &|bytes| bytes[100] ^= 1),
    ]
}

fn add_order(number: &mut [u8]) {
    let mut carry = 0u16;
    for (byte, add) in number.iter_mut().zip(ORDER) {
        let [low, high] = (u16::from(*byte) + u16::from(add) + carry).to_le_bytes();
        *byte = low;
        carry = u16::from(high);
    }
}

/// Heads that are signed, and claim too much.
fn claim_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let signed = |what: &str, answer, alter: &dyn Fn(&mut Chain)| {
        let mut chain = honest(author, now_ms);
        alter(&mut chain);
        let mut received = chain.offer(author);
        received.description = Some(author.page(0));
        offer(format!("head: {what}"), received, answer)
    };
    let limit = Answer::Refused(Reason::Limit);
    let link = Answer::Refused(Reason::Link);
    let elsewhere = author.page(7).id();
    vec![
        signed("of no change", limit, &|c| c.n = 0),
        signed("of 2,049 changes", limit, &|c| c.n = 2049),
        signed("of u64::MAX changes", limit, &|c| c.n = u64::MAX),
        signed("of more changes than given", link, &|c| c.n = 2),
        signed("of another link", link, &|c| c.link = Link::from_bytes([7; 32])),
        signed("of a change that is not given", link, &|c| {
            c.link = extend(&c.link, 2, &ChangeId::of(b"unseen"));
            c.n = 2;
        }),
        signed("as a map", MALFORMED, &|c| c.kind = 0x11),
        signed("of a kind that comes later", MALFORMED, &|c| c.kind = 0x12),
        signed("of an unheard of kind", MALFORMED, &|c| c.kind = 0),
        signed("of another document", MALFORMED, &|c| c.key.doc = elsewhere),
        signed("of another space", MALFORMED, &|c| {
            c.space = profile(author).space.id();
            c.space = mosaic_engine::hash::SpaceId::from_bytes([9; 32]);
        }),
    ]
}

/// Who signs, and for which document.
fn path_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let entropy = author.entropy();
    let stranger = Author::stranger(entropy.clone(), now_ms);
    let description = author.page(0);
    let forged = |what: &str, answer, path: Bytes| {
        let mut chain = stranger.chain(&description);
        chain.entry(now_ms, author.honest().encode());
        let received = Received { path, ..chain.offer(&stranger) };
        offer(format!("path: {what}"), received, answer)
    };
    let mut broken = author.path_bytes().to_vec();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    let renamed = CertificatePath::first(Genesis {
        device: stranger.device(),
        ..author.path().genesis.clone()
    });
    let mut all = vec![
        forged("of the true author", CERTIFICATE, author.path_bytes()),
        forged("of another account", CERTIFICATE, stranger.path_bytes()),
        forged("with another first device", CERTIFICATE, encode_path(&renamed)),
        forged("of nothing", MALFORMED, Bytes::new()),
        forged("with a byte behind it", MALFORMED, {
            [stranger.path_bytes().as_ref(), &[0]].concat().into()
        }),
        forged("of 255 certificates", MALFORMED, {
            let mut bytes = author.path().genesis.encode();
            bytes.push(255);
            bytes.extend(vec![2; 255]);
            bytes.into()
        }),
        forged("cut short", MALFORMED, stranger.path_bytes().slice(..40)),
    ];
    if let Some(self_made) = self_made(author, &stranger) {
        all.push(forged("with a certificate by nobody", CERTIFICATE, self_made));
    }
    all.extend(description_lies(author, now_ms));
    all.push(weak(author, now_ms));
    all
}

/// Chains in the first wall page of somebody else's account, by devices that are not his.
#[must_use]
pub fn forged_chains(forger: &Author, victim: &CertificatePath, now_ms: u64) -> Vec<Received> {
    let description = Description::own(victim.account(), DocumentKind::Wall, 0);
    let renamed =
        CertificatePath::first(Genesis { device: forger.device(), ..victim.genesis.clone() });
    let paths = [forger.path_bytes(), encode_path(&renamed), encode_path(victim)];
    let chain = || {
        let mut chain = forger.chain(&description);
        chain.entry(now_ms, post().encode());
        chain.offer(forger)
    };
    paths.into_iter().map(|path| Received { path, ..chain() }).collect()
}

/// The true path, one certificate longer, which the last device did not sign.
fn self_made(author: &Author, stranger: &Author) -> Option<Bytes> {
    let own = CertificatePath::first(stranger.path().genesis.clone());
    let verified = own.verify(&mosaic_engine::identity::Verifier::new()).ok()?;
    let victim = DeviceSecret::generate(&**author.entropy());
    let offer = mosaic_engine::identity::CertificateOffer::issue(
        &verified,
        stranger.secret(),
        victim.id(),
        victim.seal_key(),
        1,
        0,
    );
    let mut certificate = offer.ok()?.accept(&victim).ok()?;
    certificate.account = author.account();
    certificate.issuer = author.device();
    certificate.device = stranger.device();
    Some(encode_path(&author.path().clone().with(certificate)))
}

fn description_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let with = |what: &str, answer, description: Option<Description>, of: &Description| {
        let mut chain = author.chain(of);
        chain.entry(now_ms, author.honest().encode());
        let received = Received { description, ..chain.offer(author) };
        offer(format!("description: {what}"), received, answer)
    };
    let page = author.page(41);
    let unknown = AccountId::from_bytes([5; 32]);
    let elsewhere = Description::own(unknown, DocumentKind::Wall, 0);
    let gap = Answer::Deferred(Reason::Gap);
    let not_kept = Answer::Refused(Reason::NotKept);
    vec![
        with("none, of a document unheard of", gap, None, &page),
        with("of another document", MALFORMED, Some(author.page(42)), &page),
        with("of a space that is not kept", not_kept, Some(elsewhere.clone()), &elsewhere),
    ]
}

/// A device key for which anybody can sign.
fn weak(author: &Author, now_ms: u64) -> Offer {
    let mut key = [0; 32];
    key[0] = 1;
    let device = DeviceId::from_bytes(key);
    let genesis = Genesis { device, ..author.path().genesis.clone() };
    let path = CertificatePath::first(genesis);
    let description = Description::guest(author.account(), path.account(), 0);
    let mut chain = author.chain(&description);
    chain.key.device = device;
    chain.entry(now_ms, author.honest().encode());
    let received = Received { path: encode_path(&path), ..chain.offer(author) };
    offer("path: a key of small order", received, CERTIFICATE)
}
