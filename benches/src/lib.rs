//! What the benchmarks share: one account with two devices, pages of posts, profiles.
//!
//! Every benchmark stands beside its floor: the least work that could give the same
//! result with the same hash, signature, database or CRDT. What lies between is Mosaic's.

pub mod child;
pub mod counts;
pub mod floor;
pub mod measure;
pub mod meeting;
pub mod peers;
pub mod report;
pub mod rows;
pub mod workload;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::chain::{ChainKey, VerifiedHead, extend};
use mosaic_engine::change::log::{build, tag};
use mosaic_engine::change::value::Value;
use mosaic_engine::change::{Actor, BuiltChange};
use mosaic_engine::description::{Description, DocumentKind, SectionClass};
use mosaic_engine::document::MapDocument;
use mosaic_engine::entropy::{SeededEntropy, random};
use mosaic_engine::hash::{AccountId, BlobHash, ChangeId, Incarnation, Link};
use mosaic_engine::identity::{
    CertificateOffer, CertificatePath, DeviceSecret, Genesis, LINKED_DEVICE_RANK, VerifiedDevice,
    Verifier,
};
use mosaic_engine::model::entry::{BodyRef, Entry};
use mosaic_engine::replica::{Draft, Replica, ReplicaOptions, Subscription};
use mosaic_engine::store::Store;
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_engine::sync::exchange::{Exchange, KnownTip, Received, Section};
use mosaic_engine::wire::{ChangePacker, Changes, Content, LogItem, Part};

/// When everything here was written.
pub const TIME_MS: u64 = 1_790_000_000_000;

/// A device that may write.
#[derive(Debug)]
pub struct Writer {
    /// Its keys.
    pub secret: DeviceSecret,
    /// What its certificates prove.
    pub device: VerifiedDevice,
    /// What proves it.
    pub path: CertificatePath,
    /// Its writing life.
    pub incarnation: Incarnation,
}

/// Returns the laptop and the phone of one account.
///
/// # Panics
/// If the engine refuses its own certificates.
#[must_use]
pub fn two_devices() -> [Writer; 2] {
    let entropy = SeededEntropy::new(1);
    let secret = DeviceSecret::generate(&entropy);
    let genesis = Genesis::create(&secret, random(&entropy), TIME_MS, &entropy);
    let device = VerifiedDevice::first(&genesis).expect("the first device");
    let phone = DeviceSecret::generate(&entropy);
    let (id, seal_key) = (phone.id(), phone.seal_key());
    let certificate =
        CertificateOffer::issue(&device, &secret, id, seal_key, LINKED_DEVICE_RANK, TIME_MS)
            .and_then(|offer| offer.accept(&phone))
            .expect("a certificate");
    let linked = device.admit(&certificate, &Verifier::new()).expect("the second device");
    let path = CertificatePath::first(genesis);
    let incarnation = Incarnation::from_bytes(random(&entropy));
    let laptop = Writer { secret, device, path: path.clone(), incarnation };
    let incarnation = Incarnation::from_bytes(random(&entropy));
    let phone = Writer { secret: phone, device: linked, path: path.with(certificate), incarnation };
    [laptop, phone]
}

/// A page of posts by one device.
#[derive(Debug)]
pub struct Page {
    /// The document.
    pub description: Description,
    /// The chain.
    pub chain: ChainKey,
    /// Its changes, in order.
    pub changes: Vec<BuiltChange>,
    /// Their fields, as they travel.
    pub items: Vec<LogItem>,
    /// The signed head over all of them.
    pub head: VerifiedHead,
}

impl Page {
    /// Writes `count` posts with detached bodies, one a second, 1 to 1,024.
    ///
    /// # Panics
    /// If the engine refuses its own posts.
    #[must_use]
    pub fn write(writer: &Writer, count: u64) -> Self {
        let account: AccountId = writer.device.account();
        let description = Description::own(account, DocumentKind::Wall, 0);
        let chain = ChainKey {
            doc: description.id(),
            device: writer.device.device(),
            incarnation: writer.incarnation,
        };
        let origin = chain.origin(&description.space.id());
        let mut link: Link = origin;
        let mut changes: Vec<BuiltChange> = Vec::new();
        let mut items = Vec::new();
        for n in 1..=count {
            let body = BodyRef { hash: BlobHash::of(&n.to_be_bytes()), size: 91 };
            let value = Entry::Post {
                body,
                attachments: Vec::new(),
                quote: None,
                origin: None,
                text: None,
            }
            .encode();
            let time_ms = TIME_MS + 1000 * n;
            let previous = changes.last().map(|change| change.hash);
            let change = build(Actor::of(&chain), n, previous, tag(&origin), time_ms, &value)
                .expect("a log change");
            link = extend(&link, n, &change.id);
            changes.push(change);
            items.push(LogItem { time_ms, value: value.into() });
        }
        let (device, secret) = (&writer.device, &writer.secret);
        let head =
            VerifiedHead::sign(&description, device, secret, writer.incarnation, count, link)
                .expect("a head");
        Self { description, chain, changes, items, head }
    }

    /// Returns the ids of the changes.
    #[must_use]
    pub fn ids(&self) -> Vec<ChangeId> {
        self.changes.iter().map(|change| change.id).collect()
    }

    /// Returns the page's pack.
    #[must_use]
    pub fn pack(&self) -> Bytes {
        let mut packer = ChangePacker::new();
        let content = Content::Changes(Changes::Log(self.items.clone()));
        packer.add(self.chain, &[Part { first_n: 1, content }]);
        packer.finish()
    }
}

/// Returns `count` edits of a profile by one device that saw nothing of the other: each
/// puts one of 16 keys.
///
/// # Panics
/// If the engine refuses its own edits.
#[must_use]
pub fn profile_edits(writer: &Writer, count: u64) -> (ChainKey, Vec<Bytes>) {
    let description = Description::own(writer.device.account(), DocumentKind::Profile, 0);
    let doc = description.id();
    let chain = ChainKey { doc, device: writer.device.device(), incarnation: writer.incarnation };
    let actor = Actor::of(&chain);
    let mut document = MapDocument::new(doc);
    let mut stored = Vec::new();
    for n in 0..count {
        let (key, value) = (format!("field/{}", n % 16), Value::Text(format!("value {n}")));
        let edits = [(key.as_str(), Some(value))];
        let change = document.author(document.next_position(actor), &edits).expect("an edit");
        stored.push(Bytes::copy_from_slice(change.bytes()));
        document.apply_vetted(change).expect("an edit that was just vetted");
    }
    (chain, stored)
}

/// Opens a store in a folder that is on disk, not in memory, wherever that matters.
///
/// # Panics
/// If it does not open.
#[must_use]
pub fn disk_store(folder: &Path) -> Arc<dyn Store> {
    let options = DiskOptions::new(folder.join("home"), folder.join("state"));
    Arc::new(DiskStore::open(&options).expect("a store").store)
}

/// Opens a replica without an identity.
///
/// # Panics
/// If it does not open.
#[must_use]
pub fn replica(store: Arc<dyn Store>, seed: u64) -> Replica {
    let options = ReplicaOptions { secret: None, fresh_incarnation: false };
    Replica::open(store, Arc::new(SeededEntropy::new(seed)), options).expect("a replica")
}

/// Opens a replica of a new account with `posts` posts, in memory.
///
/// # Panics
/// If the engine refuses its own writing.
#[must_use]
pub fn author(store: Arc<dyn Store>, posts: u64) -> Replica {
    let entropy = SeededEntropy::new(7);
    let author = replica(store, 8);
    author
        .create_account(DeviceSecret::generate(&entropy), "laptop", random(&entropy), TIME_MS)
        .expect("an account");
    for n in 0..posts {
        post(&author, n);
    }
    author
}

/// Writes post number `n`, about 75 bytes of text.
///
/// # Panics
/// If the engine refuses it.
pub fn post(author: &Replica, n: u64) -> ChangeId {
    let text =
        format!("Post {n:06}: the ferry was late again, so we walked along the river instead.");
    author.post(Draft { text, ..Draft::default() }, None, TIME_MS + n).expect("a post")
}

/// Returns everything public that `from` holds, as a peer would send it: the account log
/// first, the rest after it.
///
/// # Panics
/// If the engine cannot read its own store.
#[must_use]
pub fn everything_public(from: &Replica) -> [Vec<Received>; 2] {
    let sections = from.held_sections().expect("sections");
    let of = |class: SectionClass| {
        let chosen: Vec<&Section> = sections.iter().filter(|s| s.class == class).collect();
        let tips = chosen.iter().flat_map(|section| from.tips(section).expect("tips"));
        tips.map(|tip| received(from, &tip)).collect()
    };
    [of(SectionClass::Authority), of(SectionClass::Public)]
}

fn received(from: &Replica, tip: &KnownTip) -> Received {
    let known = from.introduce(tip).expect("a store").expect("a known tip");
    let part = from.part(tip, 1, usize::MAX).expect("a store").expect("a held chain");
    Received {
        path: known.path,
        description: Some(known.description),
        head: known.head,
        fork: false,
        parts: vec![part],
    }
}

/// Opens an empty replica in memory that keeps everything of `account`.
///
/// # Panics
/// If the engine refuses to.
#[must_use]
pub fn reader(account: AccountId) -> Replica {
    let reader = replica(Arc::new(MemoryStore::new()), 9);
    let whole = Subscription::whole(account);
    reader.subscribe(whole).expect("a subscription");
    reader
}
