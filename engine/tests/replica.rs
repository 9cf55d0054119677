//! Replicas over memory stores, exchanging by hand: what one writes the other shows.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::change::value::Value;
use mosaic_engine::description::SectionClass;
use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::hash::{AccountId, ChangeId};
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::model::entry::{Attachment, ReplyPolicy};
use mosaic_engine::replica::{
    BLOCKS, Draft, FileIntake, LINKED_DEVICE_RANK, Replica, ReplicaOptions, Subscription, Text,
};
use mosaic_engine::store::faulty::{Fault, Faulty};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_engine::store::{GROUP_BYTES, Store};
use mosaic_engine::sync::exchange::{Exchange, Receipt, Received, Verdict};
use mosaic_engine::wire::Part;

#[path = "replica/carry.rs"]
mod carry;
#[path = "replica/drafts.rs"]
mod drafts;
#[path = "replica/eviction.rs"]
mod eviction;
#[path = "replica/forks.rs"]
mod forks;
#[path = "replica/garbage.rs"]
mod garbage;
#[path = "replica/gathered.rs"]
mod gathered;
#[path = "replica/hostile.rs"]
mod hostile;
#[path = "replica/import.rs"]
mod import;
#[path = "replica/journal.rs"]
mod journal;
#[path = "replica/limits.rs"]
mod limits;
#[path = "replica/once.rs"]
mod once;
#[path = "replica/races.rs"]
mod races;
#[path = "replica/recovery.rs"]
mod recovery;
#[path = "replica/search.rs"]
mod search;
#[path = "replica/search_hubs.rs"]
mod search_hubs;
#[path = "replica/standing.rs"]
mod standing;
#[path = "replica/stored.rs"]
mod stored;
#[path = "replica/texts.rs"]
mod texts;
#[path = "replica/visitors.rs"]
mod visitors;

const NOW: u64 = 1_700_000_000_000;

fn replica(seed: u64) -> Replica {
    let store = Arc::new(MemoryStore::new());
    let entropy = Arc::new(SeededEntropy::new(seed));
    Replica::open(store, entropy, ReplicaOptions { secret: None, fresh_incarnation: false })
        .unwrap()
}

fn person(seed: u64, name: &str) -> (Replica, AccountId) {
    let replica = replica(seed);
    let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 1000));
    let account = replica.create_account(secret, name, [7; 32], NOW).unwrap();
    (replica, account)
}

fn link(first: &Replica, seed: u64, name: &str) -> Replica {
    link_ranked(first, seed, name, LINKED_DEVICE_RANK)
}

fn link_ranked(first: &Replica, seed: u64, name: &str, rank: u8) -> Replica {
    let second = replica(seed);
    let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 1000));
    let offer = first.offer_device(secret.id(), secret.seal_key(), rank, NOW).unwrap();
    let certificate = offer.accept(&secret).unwrap();
    let path = first.add_device(&certificate, name, NOW).unwrap();
    second.adopt(secret, path).unwrap();
    second
}

/// Gives everything `from` has that `to` keeps, bodies included, until nothing moves.
fn give(from: &Replica, to: &Replica) -> Receipt {
    let remote = to.own_device();
    let mut total = Receipt::default();
    for _ in 0..3 {
        let receipt = give_changes(from, to);
        total.chains.extend(receipt.chains);
        total.changes += receipt.changes;
        let mut bodies = Vec::new();
        for section in to.kept_sections().unwrap() {
            for body in to.missing_bodies(&section, None, 1000).unwrap() {
                bodies.extend(from.body(&remote, &body.hash).unwrap());
            }
        }
        to.receive_bodies(&from.own_device(), bodies).unwrap();
    }
    total
}

/// Gives the changes alone, once.
fn give_changes(from: &Replica, to: &Replica) -> Receipt {
    give_once(from, to, false)
}

/// Gives the changes, once, and their bodies along if `bodies` says so.
fn give_once(from: &Replica, to: &Replica, bodies: bool) -> Receipt {
    let (moved, mut along) = collected(from, to);
    along.truncate(if bodies { along.len() } else { 0 });
    to.receive_with(&from.own_device(), moved, along, NOW).unwrap()
}

/// Changes that `to` lacks, and their bodies.
fn collected(from: &Replica, to: &Replica) -> (Vec<Received>, Vec<Bytes>) {
    let remote = to.own_device();
    let (mut moved, mut along) = (Vec::new(), Vec::new());
    let mut sections = to.kept_sections().unwrap();
    sections.sort_by_key(|section| section.class);
    for section in sections {
        if !from.may_read(&remote, &section).unwrap() {
            continue;
        }
        for tip in from.tips(&section).unwrap() {
            let held = to.chain_tips(&tip.chain).unwrap();
            let held = held.iter().map(|(_, known)| known.held_n).max().unwrap_or(0);
            let proof = from.proof(&tip).unwrap().filter(|proof| proof.n > held);
            for tip in proof.into_iter().chain([tip]) {
                let intro = from.introduce(&tip).unwrap().unwrap();
                let mut parts = Vec::new();
                while let Some(part) = from.part(&tip, next(&parts, held), usize::MAX).unwrap()
                    && !part.content.is_empty()
                {
                    parts.push(part);
                }
                for body in from.bodies_of(&tip, held + 1, tip.n).unwrap() {
                    along.extend(from.body(&remote, &body.hash).unwrap());
                }
                moved.push(Received {
                    path: intro.path,
                    description: Some(intro.description),
                    head: intro.head,
                    fork: false,
                    parts,
                });
            }
        }
    }
    (moved, along)
}

fn next(parts: &[Part], held: u64) -> u64 {
    parts.last().map_or(held, Part::last_n) + 1
}

fn draft(text: &str) -> Draft {
    Draft { text: text.into(), attachments: Vec::new() }
}

fn texts(replica: &Replica, account: &AccountId) -> Vec<String> {
    let wall = replica.wall(account, None, 10_000).unwrap();
    wall.into_iter()
        .map(|view| match view.text {
            Text::Here(text) => text,
            other => format!("{other:?}"),
        })
        .collect()
}

fn agree(a: &Replica, b: &Replica) {
    for section in a.kept_sections().unwrap() {
        if section.class == SectionClass::Private && !a.may_read(&b.own_device(), &section).unwrap()
        {
            continue;
        }
        if b.kept_sections().unwrap().contains(&section) {
            assert_eq!(a.digest(&section).unwrap(), b.digest(&section).unwrap(), "{section:?}");
        }
    }
}

fn sound(replica: &Replica) {
    let report = replica.verify().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let rebuilt = replica.rebuild().unwrap();
    assert_eq!((rebuilt.mended, rebuilt.removed), (0, 0));
}

#[test]
fn two_devices_and_a_hub_agree() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    give(&laptop, &phone);
    for n in 0..30 {
        laptop.post(draft(&format!("laptop {n}")), None, NOW + n).unwrap();
        phone.post(draft(&format!("phone {n}")), None, NOW + 100 + n).unwrap();
    }
    laptop.edit_profile(vec![("name".into(), Some("Ada".into()))], NOW).unwrap();
    phone.edit_profile(vec![("name".into(), Some("Ada L".into()))], NOW).unwrap();
    phone.edit_profile(vec![("bio".into(), Some("here".into()))], NOW).unwrap();
    give(&laptop, &hub);
    give(&phone, &hub);
    give(&hub, &laptop);
    give(&hub, &phone);
    for replica in [&laptop, &phone, &hub] {
        assert_eq!(texts(replica, &ada), texts(&laptop, &ada));
        assert_eq!(texts(replica, &ada).len(), 60);
        let profile = replica.profile(&ada).unwrap();
        assert_eq!(profile, laptop.profile(&ada).unwrap());
        assert_eq!(profile.iter().find(|f| f.key == "name").unwrap().conflicts.len(), 1);
        sound(replica);
    }
    agree(&laptop, &hub);
    agree(&phone, &hub);
    agree(&laptop, &phone);
}

#[test]
fn private_maps_reach_own_devices_only() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (hub, _) = person(3, "hub");
    let bob = AccountId::from_bytes([9; 32]);
    hub.subscribe(Subscription::whole(ada)).unwrap();
    laptop.follow(bob, Some("bob"), NOW).unwrap();
    give(&laptop, &hub);
    give(&laptop, &phone);
    assert!(phone.accounts_in("follows").unwrap().contains(&bob));
    assert_eq!(phone.petname(&bob).unwrap().as_deref(), Some("bob"));
    let private = laptop
        .kept_sections()
        .unwrap()
        .into_iter()
        .find(|section| section.class == SectionClass::Private)
        .unwrap();
    assert!(!laptop.may_read(&hub.own_device(), &private).unwrap());
    assert!(hub.tips(&private).unwrap().is_empty());
    let change = laptop.tips(&private).unwrap().into_iter().next().unwrap();
    let id = laptop.changes(&change.chain.doc).unwrap().into_iter().next().unwrap().id;
    assert!(laptop.blob_for(&hub.own_device(), &id.blob()).unwrap().is_none());
    assert!(laptop.blob_for(&phone.own_device(), &id.blob()).unwrap().is_some());
    agree(&laptop, &phone);
}

#[test]
fn a_revoked_phone_counts_up_to_its_cut() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    give(&laptop, &phone);
    phone.post(draft("before"), None, NOW).unwrap();
    give(&phone, &laptop);
    laptop.revoke_device(phone.own_device(), "lost", NOW + 1).unwrap();
    phone.post(draft("after"), None, NOW - 50).unwrap();
    phone.edit_profile(vec![("name".into(), Some("Thief".into()))], NOW).unwrap();
    // The hub hears of the thief's writing first, then of the revocation.
    give(&phone, &hub);
    assert_eq!(texts(&hub, &ada), ["before", "after"]);
    give(&laptop, &hub);
    assert_eq!(texts(&hub, &ada), ["before"]);
    assert_eq!(hub.profile(&ada).unwrap(), []);
    let receipt = give(&phone, &laptop);
    assert_eq!(texts(&laptop, &ada), ["before"]);
    assert!(receipt.chains.iter().any(|c| matches!(c.verdict, Verdict::Refused(_))));
    give(&laptop, &phone);
    assert!(phone.post(draft("again"), None, NOW).is_err());
    assert_eq!(texts(&phone, &ada), ["before"]);
    // The revoked device reads nothing new of the private sector.
    laptop.follow(AccountId::from_bytes([5; 32]), None, NOW).unwrap();
    let private = laptop
        .kept_sections()
        .unwrap()
        .into_iter()
        .find(|section| section.class == SectionClass::Private)
        .unwrap();
    assert!(!laptop.may_read(&phone.own_device(), &private).unwrap());
    sound(&hub);
    sound(&laptop);
}

#[test]
fn guests_reply_are_hidden_refused_and_blocked() {
    let (ada_laptop, ada) = person(1, "laptop");
    let (bob_pc, bob) = person(4, "pc");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    bob_pc.follow(ada, None, NOW).unwrap();
    let post: ChangeId = ada_laptop.post(draft("hello"), None, NOW).unwrap();
    give(&ada_laptop, &hub);
    give(&hub, &bob_pc);
    let reply = bob_pc.reply(post, draft("hi ada"), NOW + 5).unwrap();
    bob_pc.react(post, "👍", NOW + 6).unwrap();
    assert_eq!(
        bob_pc.react(post, "👍", NOW + 7).unwrap(),
        bob_pc.react(post, "👍", NOW + 8).unwrap()
    );
    give(&bob_pc, &hub);
    give(&hub, &ada_laptop);
    let view = ada_laptop.show(&post).unwrap();
    assert_eq!(view.replies, 1);
    assert_eq!(view.reactions.get("👍"), Some(&vec![bob]));
    assert_eq!(ada_laptop.replies(&post, false, true).unwrap().first().unwrap().id, reply);
    ada_laptop.hide(reply, true, NOW + 9).unwrap();
    assert!(ada_laptop.replies(&post, false, true).unwrap().is_empty());
    ada_laptop.hide(reply, false, NOW + 10).unwrap();
    assert_eq!(ada_laptop.replies(&post, false, true).unwrap().len(), 1);
    ada_laptop.set_listed(BLOCKS, bob, true, NOW + 11).unwrap();
    assert!(ada_laptop.replies(&post, false, true).unwrap().is_empty());
    assert_eq!(ada_laptop.show(&post).unwrap().replies, 1);
    ada_laptop.admit_guest(bob, false, NOW + 12).unwrap();
    give(&ada_laptop, &hub);
    assert_eq!(hub.show(&post).unwrap().replies, 0);
    give(&hub, &bob_pc);
    assert!(bob_pc.reply(post, draft("again"), NOW + 13).is_err());
    ada_laptop.set_reply_policy(ReplyPolicy::Nobody, NOW + 14).unwrap();
    sound(&hub);
}

#[test]
fn a_withdrawn_body_is_gone_everywhere() {
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    let id = laptop.post(draft("a secret slip"), None, NOW).unwrap();
    laptop.edit(id, "a secret slip, edited", NOW + 1).unwrap();
    give(&laptop, &hub);
    assert_eq!(texts(&hub, &ada), ["a secret slip, edited"]);
    laptop.delete(id, NOW + 2).unwrap();
    give(&laptop, &hub);
    for replica in [&laptop, &hub] {
        assert_eq!(replica.show(&id).unwrap().text, Text::Deleted);
        let mut found = false;
        replica.dump(&mut |_, _, value| found |= value.windows(6).any(|w| w == b"secret")).unwrap();
        assert!(!found);
        sound(replica);
    }
}

#[test]
fn pages_turn_and_name_the_page_before() {
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    for n in 0..2100 {
        laptop.post(draft("x"), None, NOW + n).unwrap();
    }
    let pages = laptop.document_list().unwrap();
    assert_eq!(pages.iter().filter(|(_, d)| d.kind.name() == "wall").count(), 3);
    let before = laptop.signatures_checked();
    give(&laptop, &hub);
    assert_eq!(laptop.signatures_checked(), before);
    assert!(hub.signatures_checked() <= 12, "{}", hub.signatures_checked());
    assert_eq!(texts(&hub, &ada).len(), 2100);
    agree(&laptop, &hub);
    sound(&hub);
}

#[test]
fn values_of_maps_are_typed() {
    let (laptop, ada) = person(1, "laptop");
    laptop.edit_profile(vec![("n".into(), Some(Value::Int(3)))], NOW).unwrap();
    assert_eq!(laptop.profile(&ada).unwrap().first().unwrap().value, Value::Int(3));
    assert!(laptop.edit_profile(vec![(String::new(), Some(Value::Int(3)))], NOW).is_err());
}

#[test]
fn a_store_put_back_takes_its_own_posts_back_and_forks_nothing() {
    let secret = || DeviceSecret::generate(&SeededEntropy::new(77));
    let store = MemoryStore::new();
    let open = |store: MemoryStore, seed, identity: bool| {
        let secret = identity.then(secret);
        let options = ReplicaOptions { secret, fresh_incarnation: false };
        Replica::open(Arc::new(store), Arc::new(SeededEntropy::new(seed)), options).unwrap()
    };
    let laptop = open(store.clone(), 1, false);
    let ada = laptop.create_account(secret(), "laptop", [7; 32], NOW).unwrap();
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    laptop.post(draft("common"), None, NOW).unwrap();
    let copy = store.snapshot();
    for n in 0..5 {
        laptop.post(draft(&format!("first life {n}")), None, NOW + n).unwrap();
    }
    give(&laptop, &hub);
    // The copy is put back, hears of its own future, and writes on.
    let again = open(copy, 3, true);
    give(&hub, &again);
    for n in 0..5 {
        again.post(draft(&format!("second life {n}")), None, NOW + 10 + n).unwrap();
    }
    let receipt = give(&again, &hub);
    assert!(receipt.forks.is_empty());
    assert_eq!(texts(&hub, &ada).len(), 11);
    assert_eq!(texts(&again, &ada), texts(&hub, &ada));
    agree(&again, &hub);
    sound(&again);
}

#[test]
fn a_subscription_stays_under_its_limit_and_fetches_on_demand() {
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(3, "hub");
    let limit = 400_000;
    hub.subscribe(Subscription { bytes_max: limit, ..Subscription::whole(ada) }).unwrap();
    for n in 0..4000 {
        laptop.post(draft(&format!("{n} {}", "x".repeat(100))), None, NOW + n).unwrap();
    }
    let page_bytes = laptop.pages_used(&ada).unwrap().iter().map(|p| p.bytes).max().unwrap();
    give(&laptop, &hub);
    let used =
        |replica: &Replica| replica.pages_used(&ada).unwrap().iter().map(|p| p.bytes).sum::<u64>();
    assert!(used(&hub) <= limit + page_bytes, "{} of {limit}", used(&hub));
    agree(&laptop, &hub);
    let newest = texts(&hub, &ada);
    assert!(newest.len() >= 900 && newest.len() < 4000, "{}", newest.len());
    assert!(newest.first().unwrap().starts_with("3999 "));
    hub.demand_page(&ada, 0).unwrap();
    give(&laptop, &hub);
    assert!(texts(&hub, &ada).iter().any(|text| text.starts_with("5 ")));
    assert!(laptop.evict_page(&ada, 0).is_err());
    sound(&hub);
    sound(&laptop);
}

fn take_in(intake: &mut FileIntake, bytes: &[u8]) {
    for (index, group) in bytes.chunks(GROUP_BYTES).enumerate() {
        intake.write((index * GROUP_BYTES) as u64, group).unwrap();
    }
}

#[test]
fn a_large_file_is_streamed_in_and_out() {
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|n| n.to_be_bytes()[3]).collect();
    let body = laptop.add_file(&mut bytes.as_slice(), 2_000_000).unwrap();
    let attachment = Attachment {
        body,
        media_type: "image/png".into(),
        name: "cat.png".into(),
        alt: "a cat".into(),
    };
    let draft = Draft { text: "look".into(), attachments: vec![attachment.clone()] };
    laptop.post(draft, None, NOW).unwrap();
    give(&laptop, &hub);
    let section = hub
        .kept_sections()
        .unwrap()
        .into_iter()
        .find(|section| hub.missing_bodies_count(section).unwrap() > 0)
        .unwrap();
    let wanted = hub.missing_files(&section).unwrap();
    assert_eq!(wanted.iter().map(|body| body.hash).collect::<Vec<_>>(), [body.hash]);
    assert!(hub.copy_file(&attachment, &mut Vec::new()).is_err());
    let blob = laptop.blob_for(&hub.own_device(), &body.hash).unwrap().unwrap();
    let mut wrong = hub.begin_file(&body).unwrap().unwrap();
    take_in(&mut wrong, &vec![0; blob.len()]);
    assert!(hub.finish_file(wrong).is_err());
    let mut intake = hub.begin_file(&body).unwrap().unwrap();
    assert_eq!(intake.missing_bytes(), body.size, "nothing of the wrong one stays");
    take_in(&mut intake, &blob[..GROUP_BYTES * 20]);
    intake.checkpoint().unwrap();
    drop(intake);
    let mut intake = hub.begin_file(&body).unwrap().unwrap();
    let rest = GROUP_BYTES as u64 * 20..body.size;
    assert_eq!(intake.missing(), [rest]);
    assert!(hub.begin_file(&body).is_err(), "it is being taken in");
    take_in(&mut intake, &blob);
    hub.finish_file(intake).unwrap();
    assert_eq!(hub.missing_bodies_count(&section).unwrap(), 0);
    let mut out = Vec::new();
    hub.copy_file(&attachment, &mut out).unwrap();
    assert_eq!(out, bytes);
    assert!(hub.begin_file(&body).unwrap().is_none());
    sound(&hub);
}

#[test]
fn whatever_call_fails_nothing_acknowledged_is_lost() {
    let base = MemoryStore::new();
    let secret = || DeviceSecret::generate(&SeededEntropy::new(1001));
    let open = |store: Arc<dyn Store>, seed, identity: bool| {
        let secret = identity.then(secret);
        let options = ReplicaOptions { secret, fresh_incarnation: false };
        Replica::open(store, Arc::new(SeededEntropy::new(seed)), options)
    };
    let laptop = open(Arc::new(base.clone()), 1, false).unwrap();
    laptop.create_account(secret(), "laptop", [7; 32], NOW).unwrap();
    for n in 0..1023 {
        laptop.post(draft("x"), None, NOW + n).unwrap();
    }
    // One more post fits the page; the second turns it.
    for n in 0.. {
        let faulty = Arc::new(Faulty::new(base.snapshot()).failing(n, Fault::Fail));
        let mut acknowledged = Vec::new();
        if let Ok(laptop) = open(faulty.clone(), 2, true) {
            for text in ["fits", "turns", "goes on"] {
                acknowledged.extend(laptop.post(draft(text), None, NOW + 5000));
            }
        }
        let again = open(Arc::new(faulty.inner().snapshot()), 3, true).unwrap();
        for id in &acknowledged {
            again.show(id).unwrap();
        }
        sound(&again);
        if !faulty.struck() {
            assert_eq!(acknowledged.len(), 3);
            assert!(n > 10, "{n}");
            return;
        }
    }
}
