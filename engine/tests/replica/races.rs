//! What is read while a commit is on its way to the disk, and what is not read twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mosaic_engine::description::Section;
use mosaic_engine::hash::BlobHash;
use mosaic_engine::store::{
    Batch, BlobInfo, BlobWriter, Completion, PartialBlob, PartialInfo, Pending, Row, RowVisitor,
    StoreError, StoreStats, Table,
};

use super::*;

type Hook = Box<dyn FnOnce() + Send>;
/// Batches that wait, and how many may before all are let through.
type Waiting = (Vec<(Batch, Completion)>, usize);

/// A store whose commits wait until they are let through.
struct Slow {
    inner: MemoryStore,
    waiting: Mutex<Option<Waiting>>,
    submitted: Sender<()>,
    /// Called once before all rows are read.
    before_rows: Mutex<Option<Hook>>,
    scans: AtomicU64,
    /// No file can be removed.
    stuck: AtomicBool,
}

impl std::fmt::Debug for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slow")
    }
}

impl Slow {
    fn new() -> (Arc<Self>, Receiver<()>) {
        let (submitted, receiver) = channel();
        let store = Self {
            inner: MemoryStore::new(),
            waiting: Mutex::default(),
            submitted,
            before_rows: Mutex::default(),
            scans: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
        };
        (Arc::new(store), receiver)
    }

    fn hold(&self, count: usize) {
        *self.waiting.lock().unwrap() = Some((Vec::new(), count));
    }

    fn release(&self) {
        let waiting = self.waiting.lock().unwrap().take();
        for (batch, completion) in waiting.into_iter().flat_map(|(batches, _)| batches) {
            completion.complete(self.inner.commit(batch));
        }
    }
}

impl Store for Slow {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        start: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        let hook = match table {
            Table::Rows if prefix.is_empty() => self.before_rows.lock().unwrap().take(),
            _ => None,
        };
        if let Some(hook) = hook {
            hook();
        }
        self.inner.scan(table, prefix, start, reverse, limit)
    }

    fn submit(&self, batch: Batch) -> Result<Pending, StoreError> {
        let mut waiting = self.waiting.lock().unwrap();
        let Some((batches, count)) = &mut *waiting else {
            drop(waiting);
            return self.inner.submit(batch);
        };
        let (completion, pending) = Pending::new();
        batches.push((batch, completion));
        let all = batches.len() > *count;
        drop(waiting);
        let _ = self.submitted.send(());
        if all {
            self.release();
        }
        Ok(pending)
    }

    fn verify(&self, table: Table, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        self.inner.verify(table, visit)
    }

    fn verify_files(&self) -> Result<(), StoreError> {
        self.inner.verify_files()
    }

    fn blob_create(&self, size_max: u64) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.inner.blob_create(size_max)
    }

    fn blobs_put(&self, blobs: &[(BlobHash, Bytes)]) -> Result<(), StoreError> {
        self.inner.blobs_put(blobs)
    }

    fn blob_info(&self, hash: &BlobHash) -> Result<Option<BlobInfo>, StoreError> {
        self.inner.blob_info(hash)
    }

    fn blob_read(
        &self,
        hash: &BlobHash,
        offset: u64,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        self.inner.blob_read(hash, offset, len)
    }

    fn blob_groups(
        &self,
        hash: &BlobHash,
        first: u64,
        count: usize,
    ) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
        self.inner.blob_groups(hash, first, count)
    }

    fn blob_check(&self, blob: &BlobInfo) -> Result<(), StoreError> {
        self.inner.blob_check(blob)
    }

    fn blob_set_aside(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        self.inner.blob_set_aside(hash)
    }

    fn blobs(&self, after: Option<&BlobHash>, limit: usize) -> Result<Vec<BlobInfo>, StoreError> {
        self.inner.blobs(after, limit)
    }

    fn blobs_remove(&self, hashes: &[BlobHash]) -> Result<u64, StoreError> {
        if self.stuck.load(Ordering::Relaxed) {
            return Err(StoreError::ReadOnly { reason: "stuck".into() });
        }
        self.inner.blobs_remove(hashes)
    }

    fn blob_footprint(&self, hash: &BlobHash) -> Result<u64, StoreError> {
        self.inner.blob_footprint(hash)
    }

    fn blobs_set_aside(&self) -> Result<Vec<BlobHash>, StoreError> {
        self.inner.blobs_set_aside()
    }

    fn partial_open(&self, hash: &BlobHash, size: u64) -> Result<Box<dyn PartialBlob>, StoreError> {
        self.inner.partial_open(hash, size)
    }

    fn partials(&self) -> Result<Vec<PartialInfo>, StoreError> {
        self.inner.partials()
    }

    fn partial_remove(&self, hash: &BlobHash, size: u64) -> Result<bool, StoreError> {
        self.inner.partial_remove(hash, size)
    }

    fn room(&self) -> Option<u64> {
        self.inner.room()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

fn slow_person(seed: u64) -> (Arc<Slow>, Receiver<()>, Arc<Replica>) {
    let (store, submitted) = Slow::new();
    let entropy = Arc::new(SeededEntropy::new(seed));
    let options = ReplicaOptions { secret: None, fresh_incarnation: false };
    let replica = Replica::open(store.clone(), entropy, options).unwrap();
    let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 1000));
    replica.create_account(secret, "Ada", [7; 32], NOW).unwrap();
    (store, submitted, Arc::new(replica))
}

fn keeps(replica: &Replica, account: AccountId) -> bool {
    let space = mosaic_engine::description::Space::Account(account).id();
    let public = Section { space, class: SectionClass::Public };
    replica.kept_sections().unwrap().contains(&public)
}

#[test]
fn a_subscription_counts_from_the_moment_it_is_on_the_disk() {
    let (store, submitted, replica) = slow_person(91);
    let bob = AccountId::from_bytes([5; 32]);
    for wanted in [true, false] {
        store.hold(usize::MAX);
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| match wanted {
                true => replica.subscribe(Subscription::whole(bob)),
                false => replica.unsubscribe(&bob),
            });
            submitted.recv().unwrap();
            assert_eq!(keeps(&replica, bob), !wanted, "not on the disk yet");
            store.release();
            changing.join().unwrap().unwrap();
        });
        assert_eq!(keeps(&replica, bob), wanted);
    }
}

#[test]
fn a_check_of_a_replica_that_is_written_to_finds_no_damage() {
    let (store, submitted, replica) = slow_person(92);
    replica.post(draft("one"), None, NOW).unwrap();
    assert_eq!(replica.verify().unwrap().problems, Vec::<String>::new());
    // A post whose commit is under way while its chain is looked at.
    store.hold(1);
    let problems = std::thread::scope(|scope| {
        let posting = scope.spawn(|| replica.post(draft("two"), None, NOW));
        submitted.recv().unwrap();
        let problems = replica.verify().unwrap().problems;
        store.release();
        posting.join().unwrap().unwrap();
        problems
    });
    assert_eq!(problems, Vec::<String>::new());
    // And one that is there before all rows are read.
    let writer = Arc::clone(&replica);
    *store.before_rows.lock().unwrap() = Some(Box::new(move || {
        writer.post(draft("three"), None, NOW).unwrap();
    }));
    assert_eq!(replica.verify().unwrap().problems, Vec::<String>::new());
    assert!(store.before_rows.lock().unwrap().is_none());
}

#[test]
fn a_listener_may_write_and_listen() {
    let (_, _, replica) = slow_person(93);
    let (heard, hearing) = channel();
    let inner = Arc::downgrade(&replica);
    replica.listen(Box::new(move |_| {
        let Some(replica) = inner.upgrade() else { return };
        if replica.wall(&replica.account().unwrap(), None, 10).unwrap().len() < 2 {
            replica.post(draft("answer"), None, NOW).unwrap();
            let heard = heard.clone();
            replica.listen(Box::new(move |_| heard.send(()).unwrap()));
        }
    }));
    replica.post(draft("one"), None, NOW).unwrap();
    replica.post(draft("two"), None, NOW).unwrap();
    assert!(hearing.recv().is_ok());
}

/// What `from` knows of a section, without any bodies.
fn changes_of(from: &Replica, section: &Section) -> Vec<Received> {
    let mut all = Vec::new();
    for tip in from.tips(section).unwrap() {
        let intro = from.introduce(&tip).unwrap().unwrap();
        let part = from.part(&tip, 1, usize::MAX).unwrap();
        all.push(Received {
            path: intro.path,
            description: Some(intro.description),
            head: intro.head,
            fork: false,
            parts: part.into_iter().collect(),
        });
    }
    all
}

#[test]
fn a_second_look_reads_nothing_until_something_changes() {
    let (store, _, hub) = slow_person(94);
    let (ada, account) = person(95, "ada");
    hub.subscribe(Subscription::whole(account)).unwrap();
    let space = mosaic_engine::description::Space::Account(account).id();
    let section = Section { space, class: SectionClass::Public };
    let scans = || store.scans.load(Ordering::Relaxed);
    let look = || {
        let before = scans();
        let missing = hub.missing_count(&section).unwrap();
        let digest = hub.digest(&section).unwrap();
        let kept = hub.kept_sections().unwrap();
        hub.tips(&section).unwrap();
        ((missing, digest, kept), scans() - before)
    };
    for number in 1..4 {
        ada.post(draft(&format!("post {number}")), None, NOW).unwrap();
        hub.receive(&ada.own_device(), changes_of(&ada, &section), NOW).unwrap();
        let (first, _) = look();
        assert_eq!(first.0, number, "bodies were not given");
        assert_eq!(first.1, ada.digest(&section).unwrap());
        assert_eq!(look(), (first, 0));
    }
    let body = hub.missing_bodies(&section, None, 1).unwrap()[0];
    let bytes = ada.body(&hub.own_device(), &body.hash).unwrap().unwrap();
    hub.receive_bodies(&ada.own_device(), vec![bytes]).unwrap();
    assert_eq!(look().0.0, 2);
    ada.post(draft("one more"), None, NOW).unwrap();
    let mut bare = changes_of(&ada, &section);
    bare.iter_mut().for_each(|chain| chain.parts.clear());
    hub.receive(&ada.own_device(), bare, NOW).unwrap();
    assert_eq!(look().0.0, 3, "a chain that is not whole");
    hub.set_listed(BLOCKS, account, true, NOW).unwrap();
    let blocked = look().0.0;
    let counted = hub.missing_bodies_count(&section).unwrap();
    assert_eq!(blocked, counted + hub.incomplete(&section, 9).unwrap().len() as u64);
    assert!(blocked < 3, "nothing is wanted of whom is blocked");
    hub.set_listed(BLOCKS, account, false, NOW + 1).unwrap();
    assert_eq!(look().0.0, 3);

    // A guest brings his account's log with him, though nothing was followed.
    let (bob, of_bob) = person(96, "bob");
    bob.subscribe(Subscription::whole(account)).unwrap();
    give(&ada, &bob);
    let post = bob.wall(&account, None, 10).unwrap()[0].id;
    bob.reply(post, draft("hello"), NOW).unwrap();
    let space = mosaic_engine::description::Space::Account(of_bob).id();
    let log = Section { space, class: SectionClass::Authority };
    assert!(!hub.kept_sections().unwrap().contains(&log));
    give(&bob, &hub);
    assert!(hub.kept_sections().unwrap().contains(&log));
}

#[test]
fn a_file_that_cannot_be_removed_undoes_no_commit() {
    let (store, _, replica) = slow_person(97);
    let (heard, hearing) = channel();
    let id = replica.post(draft(&"x".repeat(20_000)), None, NOW).unwrap();
    replica.listen(Box::new(move |_| heard.send(()).unwrap()));
    store.stuck.store(true, Ordering::Relaxed);
    replica.delete(id, NOW).unwrap();
    assert!(hearing.try_recv().is_ok(), "nobody was told");
    let wall = replica.wall(&replica.account().unwrap(), None, 10).unwrap();
    assert!(!wall.iter().any(|view| matches!(view.text, Text::Here(_))));
}
