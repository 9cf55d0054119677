//! What a device can do with other software: entries that no honest replica writes, signed
//! as they should be.

use mosaic_engine::chain::{ChainKey, VerifiedHead, extend};
use mosaic_engine::change::{Actor, log};
use mosaic_engine::codec::Writer;
use mosaic_engine::description::{Description, DocumentKind};
use mosaic_engine::hash::{BlobHash, DeviceId, Incarnation, Link};
use mosaic_engine::identity::{CertificateOffer, CertificatePath, Genesis, Verifier};
use mosaic_engine::model::entry::{BodyRef, Entry, EntryRef, Tip, Wrap};
use mosaic_engine::seal::{EpochKey, SealPlace, seal};
use mosaic_engine::sync::exchange::Reason;
use mosaic_engine::wire::{Changes, Content, LogItem};

use super::forks::give_whole;
use super::*;

pub(crate) struct Forger {
    secret: DeviceSecret,
    path: CertificatePath,
    life: Incarnation,
}

const LIFE: Incarnation = Incarnation::from_bytes([9; 16]);

impl Forger {
    pub(crate) fn stranger(seed: u64) -> Self {
        let secret = DeviceSecret::generate(&SeededEntropy::new(seed));
        let genesis = Genesis::create(&secret, [7; 32], NOW, &SeededEntropy::new(seed + 1));
        Self { secret, path: CertificatePath::first(genesis), life: LIFE }
    }

    /// A second device of an account, with a will of its own.
    pub(crate) fn linked(first: &Replica, seed: u64) -> Self {
        let secret = DeviceSecret::generate(&SeededEntropy::new(seed));
        let offer =
            first.offer_device(secret.id(), secret.seal_key(), LINKED_DEVICE_RANK, NOW).unwrap();
        let certificate = offer.accept(&secret).unwrap();
        let path = first.add_device(&certificate, "phone", NOW).unwrap();
        Self { secret, path, life: LIFE }
    }

    /// The same device with another writing life.
    pub(crate) fn in_life(self, life: Incarnation) -> Self {
        Self { life, ..self }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.path.account()
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.secret.id()
    }

    fn key(&self, description: &Description) -> ChainKey {
        ChainKey { doc: description.id(), device: self.id(), incarnation: self.life }
    }

    fn sign(&self, description: &Description, n: usize, link: Link, changes: Changes) -> Received {
        let device = self.path.verify(&Verifier::default()).unwrap();
        let n = n as u64;
        let head =
            VerifiedHead::sign(description, &device, &self.secret, self.life, n, link).unwrap();
        let mut path = Writer::new();
        self.path.encode(&mut path);
        Received {
            path: path.finish().into(),
            description: Some(description.clone()),
            head: head.signed().encode().try_into().unwrap(),
            fork: false,
            parts: vec![Part { first_n: 1, content: Content::Changes(changes) }],
        }
    }

    /// A whole chain of entries, and their ids.
    pub(crate) fn write(
        &self,
        description: &Description,
        entries: &[Entry],
    ) -> (Received, Vec<ChangeId>) {
        let key = self.key(description);
        let origin = key.origin(&description.space.id());
        let (mut link, mut previous) = (origin, None);
        let (mut ids, mut items) = (Vec::new(), Vec::new());
        for (n, entry) in (1..).zip(entries) {
            let value = entry.encode();
            let (actor, tag) = (Actor::of(&key), log::tag(&origin));
            let built = log::build(actor, n, previous, tag, NOW, &value).unwrap();
            link = extend(&link, n, &built.id);
            previous = Some(built.hash);
            ids.push(built.id);
            items.push(LogItem { time_ms: NOW, value: value.into() });
        }
        (self.sign(description, entries.len(), link, Changes::Log(items)), ids)
    }

    /// A chain of one sealed change that holds `plain`.
    fn seal(&self, description: &Description, epoch: &EpochKey, plain: &[u8]) -> Received {
        let key = self.key(description);
        let space = description.space.id();
        let place = SealPlace { space, chain: key, n: 1, previous_link: key.origin(&space) };
        let stored = seal(epoch, &place, plain, &SeededEntropy::new(5)).unwrap();
        let link = extend(&key.origin(&space), 1, &ChangeId::of(&stored));
        self.sign(description, 1, link, Changes::Raw(vec![stored.into()]))
    }
}

pub(crate) fn reply(target: ChangeId, names: ChangeId) -> Entry {
    let body = BodyRef { hash: names.blob(), size: 40 };
    Entry::Reply { target, body, attachments: Vec::new() }
}

fn hub_of(accounts: &[AccountId]) -> Replica {
    let (hub, _) = person(3, "hub");
    for account in accounts {
        hub.subscribe(Subscription::whole(*account)).unwrap();
    }
    hub
}

pub(crate) fn take(to: &Replica, from: &Forger, received: Received) -> Verdict {
    let receipt = to.receive(&from.id(), vec![received], NOW).unwrap();
    receipt.chains.first().unwrap().verdict
}

#[test]
fn a_change_named_as_a_body_is_not_dropped_with_it() {
    let (laptop, ada) = person(1, "laptop");
    let hub = hub_of(&[ada]);
    let post = laptop.post(draft("hello"), None, NOW).unwrap();
    give(&laptop, &hub);
    let mallory = Forger::stranger(50);
    let page = Description::guest(ada, mallory.account(), 0);
    let first = reply(post, post);
    let (_, ids) = mallory.write(&page, std::slice::from_ref(&first));
    let withdrawn = Entry::Tombstone { target: ids[0] };
    let (chain, _) = mallory.write(&page, &[first, withdrawn]);
    assert_eq!(take(&hub, &mallory, chain), Verdict::Accepted { held_n: 2 });
    assert_eq!(texts(&hub, &ada), ["hello"]);
    sound(&hub);
}

#[test]
fn a_path_that_anybody_can_write_keeps_no_device_out() {
    let (laptop, ada) = person(1, "laptop");
    let hub = hub_of(&[ada]);
    let mallory = Forger::stranger(50);
    // A first record needs no signature: this one names the laptop.
    let genesis = Genesis { device: laptop.own_device(), ..mallory.path.genesis.clone() };
    let path = CertificatePath::first(genesis);
    let page = Description::guest(ada, path.account(), 0);
    let target = ChangeId::of(b"any");
    let own = Description::guest(ada, mallory.account(), 0);
    let (mut forged, _) = mallory.write(&own, &[reply(target, target)]);
    forged.head[33..65].copy_from_slice(page.id().as_bytes());
    forged.head[65..97].copy_from_slice(laptop.own_device().as_bytes());
    let mut bytes = Writer::new();
    path.encode(&mut bytes);
    let forged = Received { path: bytes.finish().into(), description: Some(page), ..forged };
    assert!(matches!(take(&hub, &mallory, forged), Verdict::Refused(_)));
    laptop.post(draft("hello"), None, NOW).unwrap();
    give(&laptop, &hub);
    assert_eq!(texts(&hub, &ada), ["hello"]);
}

#[test]
fn a_refused_guest_does_not_come_in_by_another_wall() {
    let (laptop, ada) = person(1, "laptop");
    let mallory = Forger::stranger(50);
    let hub = hub_of(&[ada, mallory.account()]);
    let post = laptop.post(draft("hello"), None, NOW).unwrap();
    laptop.admit_guest(mallory.account(), false, NOW).unwrap();
    give(&laptop, &hub);
    let elsewhere = Description::guest(mallory.account(), mallory.account(), 0);
    let (chain, _) = mallory.write(&elsewhere, &[reply(post, post)]);
    assert_eq!(take(&hub, &mallory, chain), Verdict::Accepted { held_n: 1 });
    assert_eq!(hub.replies(&post, true, false).unwrap(), []);
    assert_eq!(hub.show(&post).unwrap().replies, 0);
}

#[test]
fn a_revoked_device_does_not_extend_its_own_cut() {
    let (ada_laptop, ada) = person(1, "laptop");
    let (pc, bob) = person(4, "pc");
    let hub = hub_of(&[ada]);
    let post = ada_laptop.post(draft("hello"), None, NOW).unwrap();
    give(&ada_laptop, &hub);
    let phone = Forger::linked(&pc, 60);
    let page = Description::guest(ada, bob, 0);
    let ChainKey { doc, device, incarnation } = phone.key(&page);
    let link = Link::from_bytes([1; 32]);
    let tips = vec![Tip { doc, device, incarnation, n: 1000, link }];
    let cut = Entry::Cut { device: pc.own_device(), tips };
    let (chain, _) = phone.write(&page, &[cut, reply(post, post)]);
    assert_eq!(take(&hub, &phone, chain), Verdict::Accepted { held_n: 2 });
    give(&pc, &hub);
    assert_eq!(hub.replies(&post, true, false).unwrap().len(), 1);
    pc.revoke_device(phone.id(), "stolen", NOW + 1).unwrap();
    give(&pc, &hub);
    assert_eq!(hub.replies(&post, true, false).unwrap(), []);
}

#[test]
fn junk_that_was_sealed_when_it_came_spoils_no_map() {
    let (laptop, ada) = person(1, "laptop");
    let bob = AccountId::from_bytes([8; 32]);
    laptop.set_listed(BLOCKS, bob, true, NOW).unwrap();
    let phone = Forger::linked(&laptop, 60);
    let documents = laptop.document_list().unwrap();
    let (_, blocks) = documents.into_iter().find(|(_, d)| d.kind == DocumentKind::Private).unwrap();
    let epoch = EpochKey::generate(&SeededEntropy::new(70));
    let sealed = phone.seal(&blocks, &epoch, b"no change at all");
    assert_eq!(take(&laptop, &phone, sealed), Verdict::Accepted { held_n: 1 });
    // Now the key comes.
    let seal_key = DeviceSecret::generate(&SeededEntropy::new(1001)).seal_key();
    let wrapped = epoch.wrap(&ada, &seal_key, &SeededEntropy::new(71)).unwrap();
    let wraps = vec![Wrap { device: laptop.own_device(), sealed: wrapped }];
    let account = Description::own(ada, DocumentKind::AccountLog, 0);
    let (log, _) = phone.write(&account, &[Entry::Epoch { epoch: epoch.id(), wraps }]);
    assert_eq!(take(&laptop, &phone, log), Verdict::Accepted { held_n: 1 });
    assert!(laptop.accounts_in(BLOCKS).unwrap().contains(&bob));
    let eve = AccountId::from_bytes([6; 32]);
    laptop.set_listed(BLOCKS, eve, true, NOW + 1).unwrap();
    assert_eq!(laptop.accounts_in(BLOCKS).unwrap().len(), 2);
}

#[test]
fn a_guest_does_not_say_which_page_is_the_newest() {
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription { bytes_max: 1000, ..Subscription::whole(ada) }).unwrap();
    let post = laptop.post(draft("hello"), None, NOW).unwrap();
    give(&laptop, &hub);
    let mallory = Forger::stranger(50);
    let page = Description::guest(ada, mallory.account(), 1000);
    let many: Vec<Entry> = (0..100).map(|_| reply(post, post)).collect();
    let (chain, _) = mallory.write(&page, &many);
    assert!(matches!(take(&hub, &mallory, chain), Verdict::Deferred(_)));
    assert_eq!(texts(&hub, &ada), ["hello"]);
}

#[test]
fn a_suspended_laptop_of_higher_rank_frees_itself() {
    let (laptop, _) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    give(&laptop, &phone);
    phone.suspend_device(laptop.own_device(), true, NOW + 1).unwrap();
    give(&phone, &laptop);
    assert!(laptop.post(draft("hello"), None, NOW + 2).is_err());
    laptop.suspend_device(laptop.own_device(), false, NOW + 2).unwrap();
    laptop.post(draft("hello"), None, NOW + 3).unwrap();
    laptop.revoke_device(phone.own_device(), "stolen", NOW + 4).unwrap();
}

#[test]
fn what_nobody_could_read_is_not_written() {
    let (laptop, ada) = person(1, "laptop");
    let body = laptop.add_file(&mut &b"bytes"[..], 100).unwrap();
    let attachment = Attachment {
        body,
        media_type: "image/png".into(),
        name: "x".repeat(300),
        alt: String::new(),
    };
    let bad = Draft { text: "look".into(), attachments: vec![attachment] };
    assert!(laptop.post(bad, None, NOW).is_err());
    laptop.post(draft("hello"), None, NOW).unwrap();
    assert_eq!(texts(&laptop, &ada), ["hello"]);
    sound(&laptop);
}

#[test]
fn a_feed_goes_on_through_many_posts_of_one_time() {
    let (laptop, _) = person(1, "laptop");
    for n in 0..60 {
        laptop.post(draft(&n.to_string()), None, NOW).unwrap();
    }
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), None);
    loop {
        let page = laptop.feed(cursor, 7).unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(mosaic_engine::replica::Cursor { time_ms: last.time_ms, id: last.id });
        for view in &page {
            assert!(seen.insert(view.id));
        }
    }
    assert_eq!(seen.len(), 60);
}

#[test]
fn an_edit_that_builds_on_a_void_one_is_not_lost() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let tablet = link(&laptop, 6, "tablet");
    let hub = hub_of(&[ada]);
    give(&laptop, &phone);
    give(&laptop, &tablet);
    phone.edit_profile(vec![("name".into(), Some("Thief".into()))], NOW).unwrap();
    give(&phone, &hub);
    give(&phone, &tablet);
    laptop.revoke_device(phone.own_device(), "stolen", NOW + 1).unwrap();
    give(&laptop, &hub);
    assert_eq!(hub.profile(&ada).unwrap(), []);
    tablet.edit_profile(vec![("bio".into(), Some("honest".into()))], NOW + 2).unwrap();
    give(&tablet, &hub);
    let profile = hub.profile(&ada).unwrap();
    assert!(profile.iter().any(|field| field.key == "bio"));
    sound(&hub);
}

#[test]
fn a_cut_of_one_branch_keeps_nothing_of_another() {
    let (laptop, ada) = person(1, "laptop");
    let phone = Forger::linked(&laptop, 2);
    let hub = hub_of(&[ada]);
    give(&laptop, &hub);
    let page = Description::own(ada, DocumentKind::Wall, 0);
    let post = |n: u8| Entry::Post {
        body: BodyRef { hash: BlobHash::of(&[n]), size: 20 },
        attachments: Vec::new(),
        quote: None,
        origin: None,
        text: None,
    };
    let (seen, _) = phone.write(&page, &[post(1)]);
    let (other, _) = phone.write(&page, &[post(2), post(3)]);
    assert_eq!(take(&laptop, &phone, seen), Verdict::Accepted { held_n: 1 });
    assert_eq!(take(&hub, &phone, other), Verdict::Accepted { held_n: 2 });
    assert_eq!(hub.wall(&ada, None, 10).unwrap().len(), 2);
    laptop.revoke_device(phone.id(), "lost", NOW).unwrap();
    give(&laptop, &hub);
    assert_eq!(laptop.wall(&ada, None, 10).unwrap().len(), 1);
    assert_eq!(hub.wall(&ada, None, 10).unwrap().len(), 0);
}

#[test]
fn a_body_that_two_entries_name_goes_with_the_last_of_them() {
    let (laptop, ada) = person(1, "laptop");
    let phone = Forger::linked(&laptop, 2);
    let page = Description::own(ada, DocumentKind::Wall, 0);
    let mut blob = vec![0; 16];
    blob.extend_from_slice(b"shared");
    let body = BodyRef { hash: BlobHash::of(&blob), size: blob.len() as u64 };
    let post =
        |quote| Entry::Post { body, attachments: Vec::new(), quote, origin: None, text: None };
    let other = EntryRef { account: ada, entry: ChangeId::of(b"any") };
    let (_, ids) = phone.write(&page, &[post(None), post(Some(other))]);
    let gone = |n: usize| Entry::Tombstone { target: ids[n] };
    let all = [post(None), post(Some(other)), gone(0), gone(1)];
    let orders: [&[usize]; 3] = [&[1, 2, 3, 4], &[3, 4], &[2, 4]];
    for order in orders {
        let hub = hub_of(&[ada]);
        give(&laptop, &hub);
        for n in order {
            let (chain, _) = phone.write(&page, &all[..*n]);
            take(&hub, &phone, chain);
            hub.receive_bodies(&phone.id(), vec![blob.clone().into()]).unwrap();
            let shown = |id| hub.show(id).unwrap().text;
            let here = Text::Here("shared".into());
            let expected = if *n < 4 { here } else { Text::Deleted };
            assert_eq!(shown(&ids[1.min(n - 1)]), expected, "{n} of {order:?}");
        }
        let mut found = false;
        hub.dump(&mut |_, _, value| found |= value.ends_with(b"shared")).unwrap();
        assert!(!found);
        sound(&hub);
    }
}

#[test]
fn a_page_far_ahead_leads_nobody_there() {
    let (laptop, ada) = person(1, "laptop");
    let phone = Forger::linked(&laptop, 2);
    let tablet = link(&laptop, 6, "tablet");
    let post = |n: u8| Entry::Post {
        body: BodyRef { hash: BlobHash::of(&[n]), size: 20 },
        attachments: Vec::new(),
        quote: None,
        origin: None,
        text: None,
    };
    for page in [1 << 32, (1 << 32) - 1, 1_000_000, 1] {
        for kind in [DocumentKind::Wall, DocumentKind::AccountLog] {
            let entry = match kind {
                DocumentKind::Wall => post(1),
                _ => Entry::RenameDevice { device: phone.id(), name: "x".into() },
            };
            let ahead = Description::own(ada, kind, page);
            let (chain, _) = phone.write(&ahead, std::slice::from_ref(&entry));
            assert_eq!(take(&laptop, &phone, chain), Verdict::Accepted { held_n: 1 });
        }
    }
    let page_of = |replica: &Replica, id: &ChangeId| {
        let doc = replica.show(id).unwrap().doc;
        let documents = replica.document_list().unwrap();
        documents.into_iter().find(|(other, _)| *other == doc).unwrap().1.page
    };
    let first = laptop.post(draft("here"), None, NOW + 1).unwrap();
    assert_eq!(page_of(&laptop, &first), 0);
    laptop.revoke_device(phone.id(), "stolen", NOW + 2).unwrap();
    give(&laptop, &tablet);
    let second = tablet.post(draft("and here"), None, NOW + 3).unwrap();
    assert_eq!(page_of(&tablet, &second), 0);
    // Pages that are full are turned as ever, over what stands in the next one.
    for n in 0..1200 {
        laptop.post(draft("x"), None, NOW + 4 + n).unwrap();
    }
    let last = laptop.post(draft("last"), None, NOW + 2000).unwrap();
    assert_eq!(page_of(&laptop, &last), 1);
    give(&laptop, &tablet);
    let after = tablet.post(draft("after"), None, NOW + 2001).unwrap();
    assert_eq!(page_of(&tablet, &after), 1);
    sound(&tablet);
}

/// What the account log settles, as people are told.
fn standing(replica: &Replica, account: &AccountId) -> Vec<(DeviceId, String, bool)> {
    let authority = replica.authority(account).unwrap().unwrap();
    let devices = authority.devices.iter();
    devices.map(|(id, device)| (*id, device.name.clone(), device.revoked.is_some())).collect()
}

#[test]
fn a_cut_of_one_branch_lets_no_other_bring_in_devices() {
    let (laptop, ada) = person(1, "laptop");
    let phone = Forger::linked(&laptop, 2);
    let log = Description::own(ada, DocumentKind::AccountLog, 0);
    let thief = DeviceSecret::generate(&SeededEntropy::new(99));
    let verified = phone.path.verify(&Verifier::default()).unwrap();
    let offer =
        CertificateOffer::issue(&verified, &phone.secret, thief.id(), thief.seal_key(), 50, NOW);
    let certificate = offer.unwrap().accept(&thief).unwrap();
    let add = Entry::AddDevice { certificate: certificate.encode(), name: "thief".into() };
    let name = |name: &str| Entry::RenameDevice { device: phone.id(), name: name.into() };
    let shown = phone.write(&log, &[name("old"), name("shown"), name("seen")]).0;
    let hidden = phone.write(&log, &[name("old"), add.clone()]).0;
    let longer = phone.write(&log, &[name("old"), add, name("x"), name("y")]).0;
    take(&laptop, &phone, shown.clone());
    // Some hear of the hidden branch first, some of the revocation.
    let before = [&hidden, &longer].map(|branch| {
        let hub = hub_of(&[ada]);
        give(&laptop, &hub_of(&[ada]));
        take(&hub, &phone, branch.clone());
        hub
    });
    laptop.revoke_device(phone.id(), "stolen", NOW + 1).unwrap();
    let after = [&hidden, &longer].map(|branch| {
        let hub = hub_of(&[ada]);
        let tips = laptop.tips(&laptop.kept_sections().unwrap()[0]).unwrap();
        assert!(!tips.is_empty());
        for tip in tips.iter().filter(|tip| tip.chain.device != phone.id()) {
            let intro = laptop.introduce(tip).unwrap().unwrap();
            let parts = laptop.part(tip, 1, usize::MAX).unwrap().into_iter().collect();
            let (path, description) = (intro.path, Some(intro.description));
            let chain = Received { path, description, head: intro.head, fork: false, parts };
            hub.receive(&laptop.own_device(), vec![chain], NOW).unwrap();
        }
        take(&hub, &phone, branch.clone());
        hub
    });
    let expected = standing(&laptop, &ada);
    assert!(!expected.iter().any(|(device, ..)| *device == thief.id()));
    for hub in before.iter().chain(&after) {
        give(&laptop, hub);
        assert!(!standing(hub, &ada).iter().any(|(device, ..)| *device == thief.id()));
        for _ in 0..2 {
            give_whole(&laptop, hub, true);
        }
        assert_eq!(standing(hub, &ada), expected);
        sound(hub);
    }
}

#[test]
fn an_invalid_change_is_judged_by_everybody_who_hears_of_it() {
    let (laptop, ada) = person(1, "laptop");
    let phone = Forger::linked(&laptop, 2);
    let (hub, newcomer) = (hub_of(&[ada]), person(4, "pc").0);
    newcomer.subscribe(Subscription::whole(ada)).unwrap();
    give(&laptop, &hub);
    let page = Description::own(ada, DocumentKind::Wall, 0);
    let post = |n: u8| Entry::Post {
        body: BodyRef { hash: BlobHash::of(&[n]), size: 20 },
        attachments: Vec::new(),
        quote: None,
        origin: None,
        text: None,
    };
    let misplaced = Entry::RenameDevice { device: phone.id(), name: "x".into() };
    let (chain, _) = phone.write(&page, &[post(1), misplaced, post(2)]);
    assert_eq!(take(&hub, &phone, chain), Verdict::Refused(Reason::InvalidChange));
    give(&hub, &newcomer);
    for replica in [&hub, &newcomer] {
        assert_eq!(replica.wall(&ada, None, 10).unwrap().len(), 1);
        for section in replica.kept_sections().unwrap() {
            assert_eq!(replica.incomplete(&section, 10).unwrap(), []);
        }
        sound(replica);
    }
    agree(&hub, &newcomer);
}
