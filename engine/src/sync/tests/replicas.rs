//! The simulator over whole replicas: real chains, real gate, memory stores.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::chain::ChainKey;
use crate::description::SectionClass;
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, BlobHash, ChangeId, DeviceId, DocumentId};
use crate::identity::DeviceSecret;
use crate::replica::{
    Draft, Event, LINKED_DEVICE_RANK, Replica, ReplicaOptions, Subscription, Text,
};
use crate::store::memory::MemoryStore;
use crate::sync::exchange::{Exchange, Section};
use crate::sync::outcome::{Outcome, OutcomeKind};
use crate::sync::sim::{Chance, Faults, Network, Party, Unrest};
use crate::sync::{News, Options};

pub(super) const NOW: u64 = 1_700_000_000_000;

#[derive(Debug)]
pub(super) struct Home {
    pub(super) replica: Replica,
    grown: Arc<Mutex<BTreeSet<DocumentId>>>,
    told: Mutex<HashMap<ChainKey, u64>>,
}

impl Home {
    pub(super) fn new(replica: Replica) -> Self {
        let grown = Arc::new(Mutex::new(BTreeSet::new()));
        let noted = Arc::clone(&grown);
        replica.listen(Box::new(move |events| {
            noted.lock().unwrap().extend(events.iter().filter_map(|event| match event {
                Event::Entry { doc, .. } => Some(*doc),
                Event::Head { chain } => Some(chain.doc),
                Event::Note { .. } => None,
            }));
        }));
        Self { replica, grown, told: Mutex::default() }
    }
}

impl Party for Home {
    fn exchange(&self) -> &dyn Exchange {
        &self.replica
    }

    fn serve(&self, remote: &DeviceId, hash: &BlobHash) -> Option<Bytes> {
        self.replica.blob_for(remote, hash).unwrap()
    }

    fn take_news(&self) -> Vec<News> {
        let grown = std::mem::take(&mut *self.grown.lock().unwrap());
        let mut told = self.told.lock().unwrap();
        let mut news = Vec::new();
        for head in grown.iter().flat_map(|doc| self.replica.heads(doc).unwrap()) {
            let before = told.insert(head.key, head.held).unwrap_or(0);
            if head.held > before {
                let section = self.replica.chain_tips(&head.key).unwrap()[0].0;
                news.push(News { section, chain: head.key, from_n: before + 1 });
            }
        }
        news
    }
}

pub(super) fn replica(seed: u64) -> Replica {
    let store = Arc::new(MemoryStore::new());
    let options = ReplicaOptions { secret: None, fresh_incarnation: false };
    Replica::open(store, Arc::new(SeededEntropy::new(seed)), options).unwrap()
}

pub(super) fn person(seed: u64, name: &str) -> (Home, AccountId) {
    let replica = replica(seed);
    let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 1000));
    let account = replica.create_account(secret, name, [7; 32], NOW).unwrap();
    (Home::new(replica), account)
}

pub(super) fn link(first: &Home, seed: u64, name: &str) -> Home {
    let second = replica(seed);
    let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 1000));
    let first = &first.replica;
    let offer =
        first.offer_device(secret.id(), secret.seal_key(), LINKED_DEVICE_RANK, NOW).unwrap();
    let certificate = offer.accept(&secret).unwrap();
    let path = first.add_device(&certificate, name, NOW).unwrap();
    second.adopt(secret, path).unwrap();
    Home::new(second)
}

pub(super) fn draft(text: String) -> Draft {
    Draft { text, attachments: Vec::new() }
}

pub(super) fn texts(replica: &Replica, account: &AccountId) -> Vec<(ChangeId, String)> {
    let wall = replica.wall(account, None, 100_000).unwrap();
    wall.into_iter()
        .map(|view| match view.text {
            Text::Here(text) => (view.id, text),
            other => (view.id, format!("{other:?}")),
        })
        .collect()
}

/// Laptop and phone of one person, a hub, a friend; all keep the person's wall.
fn village(seed: u64) -> (Vec<Home>, AccountId) {
    let (laptop, ada) = person(seed * 10 + 1, "laptop");
    let phone = link(&laptop, seed * 10 + 2, "phone");
    let (hub, _) = person(seed * 10 + 3, "hub");
    let (friend, _) = person(seed * 10 + 4, "pc");
    hub.replica.subscribe(Subscription::whole(ada)).unwrap();
    friend.replica.follow(ada, None, NOW).unwrap();
    (vec![laptop, phone, hub, friend], ada)
}

fn act(home: &Home, ada: &AccountId, friend: bool, chance: &mut Chance, number: u64) {
    let replica = &home.replica;
    let now = NOW + number * 10;
    let seen = texts(replica, ada);
    let target = seen.get(chance.below(seen.len() as u64) as usize).map(|(id, _)| *id);
    let text = format!("{number} {}", "x".repeat([0, 40, 3000][chance.below(3) as usize]));
    // What may not be done (an edit of something withdrawn) is refused, and that is fine.
    let _ = match (friend, chance.below(10), target) {
        (true, 0..5, Some(target)) => replica.reply(target, draft(text), now).map(drop),
        (true, _, Some(target)) => replica.react(target, "👍", now).map(drop),
        (true, ..) => Ok(()),
        (_, 0, Some(target)) => replica.edit(target, &text, now).map(drop),
        (_, 1, Some(target)) => replica.delete(target, now).map(drop),
        (_, 2, _) => {
            replica.edit_profile(vec![("bio".into(), Some((&*text).into()))], now).map(drop)
        }
        (_, 4, _) => replica.post_long(None, draft(text), None, now).map(drop),
        (_, 3, _) => replica.follow(AccountId::from_bytes([number as u8; 32]), None, now).map(drop),
        _ => replica.post(draft(text), None, now).map(drop),
    };
}

fn tips(replica: &Replica, section: &Section) -> BTreeSet<(ChainKey, u64, u64)> {
    let tips = replica.tips(section).unwrap();
    tips.into_iter().map(|tip| (tip.chain, tip.n, tip.held_n)).collect()
}

fn agree(homes: &[Home], ada: &AccountId, seed: u64) {
    let reference = texts(&homes[0].replica, ada);
    for home in homes {
        assert_eq!(texts(&home.replica, ada), reference, "seed {seed}");
    }
    let sections: Vec<Section> = homes[0].replica.kept_sections().unwrap();
    for section in sections {
        for home in &homes[1..] {
            let kept = home.replica.kept_sections().unwrap().contains(&section);
            let own = section.class != SectionClass::Private
                || homes[0].replica.may_read(&home.replica.own_device(), &section).unwrap();
            if kept && own {
                assert_eq!(
                    tips(&homes[0].replica, &section),
                    tips(&home.replica, &section),
                    "seed {seed}: {section:?}"
                );
                let digest = home.replica.digest(&section).unwrap();
                assert_eq!(homes[0].replica.digest(&section).unwrap(), digest, "seed {seed}");
                assert_eq!(home.replica.missing_bodies_count(&section).unwrap(), 0, "seed {seed}");
            }
        }
    }
}

fn history(seed: u64) -> Result<(), Unrest> {
    let mut chance = Chance::new(seed);
    let (homes, ada) = village(seed);
    let faults = Faults {
        delay_ms_max: chance.below(120),
        breaks: [0, 10, 40][chance.below(3) as usize],
        failed_fetches: [0, 200][chance.below(2) as usize],
    };
    // Every other time lists are told by sums, however short.
    let sketch_from = [48, 0][seed as usize % 2];
    let options = Options { check_every_ms: Some(6_000), sketch_from, ..Options::default() };
    let mut network = Network::new(seed, homes, faults, options);
    network.connect(0, 2);
    network.connect(1, 2);
    network.connect(3, 2);
    if chance.below(2) == 0 {
        network.connect(0, 1);
    }
    for number in 0..5 + chance.below(25) {
        let who = [0, 1, 3][chance.below(3) as usize];
        act(&network.parties[who], &ada, who == 3, &mut chance, number);
        match chance.below(3) {
            0 => network.spread_news(),
            1 => network.run_for(chance.below(400))?,
            _ => {}
        }
    }
    network.heal();
    network.spread_news();
    // Laptop and phone may have only each other for their private documents.
    network.connect(1, 0);
    network.run_to_rest(100_000)?;
    network.run_for(20_000)?;
    network.run_to_rest(100_000)?;
    for (who, o) in &network.outcomes {
        if std::env::var("REPLICA_SHOW").is_ok() {
            let c: Vec<_> = o
                .sections
                .iter()
                .map(|s| (s.section.class as u8, s.state, s.missing_bodies))
                .collect();
            println!(
                "{who} {:?} {} {c:?} miss {}/{} {:?}",
                o.kind, o.number, o.missing_here, o.missing_there, o.causes
            );
        }
    }
    agree(&network.parties, &ada, seed);
    Ok(())
}

#[test]
fn whole_replicas_converge_over_bad_lines() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("REPLICA_FIRST").unwrap_or(0);
    for seed in first..first + number("REPLICA_SEEDS").unwrap_or(12) {
        if let Err(unrest) = history(seed) {
            panic!("{unrest}");
        }
    }
}

pub(super) fn last(network: &Network<Home>, who: usize, kind: OutcomeKind) -> &Outcome {
    let found = network.outcomes.iter().rev().find(|(w, o)| *w == who && o.kind == kind);
    &found.unwrap().1
}

#[test]
fn the_yardsticks_hold_on_whole_replicas() {
    let posts = std::env::var("REPLICA_POSTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2500u64);
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(2, "hub");
    hub.replica.subscribe(Subscription::whole(ada)).unwrap();
    for number in 0..posts {
        laptop.replica.post(draft(format!("post number {number}")), None, NOW + number).unwrap();
    }
    let options = Options { check_every_ms: Some(5000), ..Options::default() };
    let mut network = Network::new(1, vec![laptop, hub], Faults::default(), options);
    network.parties[0].take_news();
    network.connect(0, 1);
    network.run_for(3000).unwrap();
    let outcome = last(&network, 1, OutcomeKind::Round);
    let all = outcome.counters;
    println!("{posts} posts: {all:?}");
    assert!(outcome.is_equal() && outcome.missing_here == 0, "{outcome:?}");
    assert_eq!(texts(&network.parties[1].replica, &ada).len() as u64, posts);
    assert!(all.signatures_checked <= 60);
    assert!(all.control_bytes + all.inline_bytes <= 64 * 1024);
    assert!(all.blob_bytes + all.inline_bytes <= 70 * posts);

    network.parties[0].replica.post(draft("one more".into()), None, NOW + posts).unwrap();
    network.spread_news();
    network.run_for(100).unwrap();
    let pushed = last(&network, 0, OutcomeKind::Pushed);
    println!("one post: {:?}", pushed.counters);
    assert!(pushed.is_equal() && pushed.durable_there == Some(true) && pushed.missing_there == 0);
    assert_eq!(pushed.counters.round_trips, 1);
    assert_eq!(texts(&network.parties[1].replica, &ada).len() as u64, posts + 1);

    let before = network.counters(0, 0).unwrap();
    network.run_for(5000).unwrap();
    let check = network.counters(0, 0).unwrap().since(&before);
    println!("equal: {check:?}");
    assert_eq!(check.round_trips, 1);
    assert!(check.control_bytes <= 300);
}

#[test]
fn a_home_put_back_keeps_both_of_its_lives_and_forks_nothing() {
    let secret = || DeviceSecret::generate(&SeededEntropy::new(77));
    let store = MemoryStore::new();
    let open = |store: MemoryStore, seed, options| {
        Replica::open(Arc::new(store), Arc::new(SeededEntropy::new(seed)), options).unwrap()
    };
    let fresh = ReplicaOptions { secret: None, fresh_incarnation: false };
    let laptop = open(store.clone(), 1, fresh);
    let ada = laptop.create_account(secret(), "laptop", [7; 32], NOW).unwrap();
    laptop.post(draft("common".into()), None, NOW).unwrap();
    let copy = store.snapshot();
    for n in 0..5 {
        laptop.post(draft(format!("first life {n}")), None, NOW + n).unwrap();
    }
    let (hub, _) = person(3, "hub");
    hub.replica.subscribe(Subscription::whole(ada)).unwrap();
    let options = Options { check_every_ms: Some(1000), ..Options::default() };
    let mut network = Network::new(1, vec![Home::new(laptop), hub], Faults::default(), options);
    let line = network.connect(0, 1);
    network.run_for(5000).unwrap();
    network.disconnect(line);
    let back = ReplicaOptions { secret: Some(secret()), fresh_incarnation: true };
    let again = open(copy, 3, back);
    for n in 0..5 {
        again.post(draft(format!("second life {n}")), None, NOW + 10 + n).unwrap();
    }
    network.parties[0] = Home::new(again);
    network.outcomes.clear();
    network.connect(0, 1);
    network.run_for(20_000).unwrap();
    assert!(network.outcomes.len() >= 20);
    assert!(network.outcomes.iter().all(|(_, outcome)| outcome.forks.is_empty()));
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &ada).len(), 11);
    }
    agree(&network.parties, &ada, 1);
}

#[test]
fn what_a_revoked_phone_writes_afterwards_is_void_everywhere() {
    let (homes, ada) = village(5);
    let options = Options { check_every_ms: Some(1000), ..Options::default() };
    let mut network = Network::new(1, homes, Faults::default(), options);
    let lines = [network.connect(0, 2), network.connect(1, 2), network.connect(3, 2)];
    network.parties[1].replica.post(draft("before".into()), None, NOW).unwrap();
    network.spread_news();
    network.run_for(5000).unwrap();
    network.disconnect(lines[1]);
    let phone = network.parties[1].replica.own_device();
    network.parties[0].replica.revoke_device(phone, "lost", NOW + 5).unwrap();
    for n in 0..3 {
        network.parties[1].replica.post(draft(format!("thief {n}")), None, NOW - n).unwrap();
    }
    // The friend hears of the thief's writing before the revocation has come around.
    network.connect(1, 3);
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in [0, 2, 3] {
        let seen = texts(&network.parties[home].replica, &ada);
        assert_eq!(seen.len(), 1, "{home}: {seen:?}");
    }
}

/// A laptop, a phone, a hub, a friend, and a copy of the phone that knows nothing of what
/// the phone writes from now on.
fn copied(seed: u64) -> (Vec<Home>, AccountId) {
    let (laptop, ada) = person(seed * 10 + 1, "laptop");
    let store = Arc::new(MemoryStore::new());
    let options = || ReplicaOptions { secret: None, fresh_incarnation: false };
    let entropy = |more| Arc::new(SeededEntropy::new(seed * 10 + more));
    let secret = || DeviceSecret::generate(&*entropy(1002));
    let phone = Replica::open(store.clone(), entropy(2), options()).unwrap();
    let (first, of_phone) = (&laptop.replica, secret());
    let (id, seal) = (of_phone.id(), of_phone.seal_key());
    let offer = first.offer_device(id, seal, LINKED_DEVICE_RANK, NOW).unwrap();
    let path = first.add_device(&offer.accept(&of_phone).unwrap(), "phone", NOW).unwrap();
    phone.adopt(of_phone, path).unwrap();
    phone.post(draft("common".into()), None, NOW).unwrap();
    let options = ReplicaOptions { secret: Some(secret()), ..options() };
    let twin = Replica::open(Arc::new(store.snapshot()), entropy(3), options).unwrap();
    let (hub, _) = person(seed * 10 + 4, "hub");
    let (friend, _) = person(seed * 10 + 5, "friend");
    hub.replica.subscribe(Subscription::whole(ada)).unwrap();
    friend.replica.follow(ada, None, NOW).unwrap();
    (vec![laptop, Home::new(phone), hub, friend, Home::new(twin)], ada)
}

/// Branches of every length meet in every order: all know the same, and once the account
/// has settled it, all show the same.
fn quarrel(seed: u64) -> Result<(), Unrest> {
    let mut chance = Chance::new(seed);
    let (homes, ada) = copied(seed);
    let options = Options { check_every_ms: Some(2_000), ..Options::default() };
    let delay_ms_max = chance.below(80);
    let faults = Faults { delay_ms_max, ..Faults::default() };
    let mut network = Network::new(seed, homes, faults, options);
    for (who, hub) in [(0, 2), (1, 2), (3, 2), (4, 3)] {
        network.connect(who, hub);
        network.run_for(chance.below(300))?;
    }
    let phone = network.parties[1].replica.own_device();
    for (who, name) in [(1, "phone"), (4, "copy")] {
        for number in 0..chance.below(4) {
            let text = format!("{name} {number}");
            network.parties[who].replica.post(draft(text), None, NOW + number).unwrap();
        }
    }
    network.spread_news();
    // They look every two seconds whether anything differs, each at a time of its own: there is never rest.
    network.run_for(60_000)?;
    let others = [0, 2, 3];
    let kept = network.parties[0].replica.kept_sections().unwrap();
    for section in kept.iter().filter(|section| section.class != SectionClass::Private) {
        let digests = others.map(|who| network.parties[who].replica.digest(section).unwrap());
        assert!(digests.iter().all(|d| *d == digests[0]), "seed {seed}: {section:?}");
    }
    network.parties[0].replica.revoke_device(phone, "copied", NOW + 50).unwrap();
    network.spread_news();
    network.run_for(90_000)?;
    // Nothing goes on between them but a look now and then.
    network.outcomes.clear();
    network.run_for(20_000)?;
    assert!(network.outcomes.iter().all(|(_, o)| o.is_equal() && o.counters.changes_sent == 0));
    let walls = others.map(|who| texts(&network.parties[who].replica, &ada));
    assert!(walls.iter().all(|wall| *wall == walls[0]), "seed {seed}: {walls:#?}");
    assert!(walls[0].iter().any(|(_, text)| text == "common"), "seed {seed}: {walls:#?}");
    Ok(())
}

#[test]
fn copies_of_a_device_part_nobody_for_good() {
    let first = std::env::var("REPLICA_FIRST").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in first..first + 12u64 {
        if let Err(unrest) = quarrel(seed) {
            panic!("{unrest}");
        }
    }
}

/// A phone writes before and after its revocation, a tablet builds on that; who hears of
/// what first is left to chance, and a newcomer meets only one of them.
fn revocation(seed: u64) -> Result<(), Unrest> {
    let mut chance = Chance::new(seed);
    let (mut homes, ada) = village(seed);
    homes.push(link(&homes[0], seed * 10 + 5, "tablet"));
    let (newcomer, _) = person(seed * 10 + 6, "newcomer");
    newcomer.replica.subscribe(Subscription::whole(ada)).unwrap();
    homes.push(newcomer);
    let options = Options { check_every_ms: Some(2_000), ..Options::default() };
    let mut network = Network::new(seed, homes, Faults::default(), options);
    let edit = |network: &Network<Home>, who: usize, key: &str, value: String| {
        let edits = vec![(key.to_owned(), Some(value.as_str().into()))];
        network.parties[who].replica.edit_profile(edits, NOW).unwrap();
    };
    let phone = network.parties[1].replica.own_device();
    network.parties[1].replica.post(draft("before".into()), None, NOW).unwrap();
    edit(&network, 1, "name", "Ada".into());
    let lines = [network.connect(0, 2), network.connect(1, 2), network.connect(4, 2)];
    network.run_for(6_000)?;
    for line in lines {
        network.disconnect(line);
    }
    for n in 0..1 + chance.below(4) {
        network.parties[1].replica.post(draft(format!("after {n}")), None, NOW + n).unwrap();
        edit(&network, 1, "name", format!("Thief {n}"));
    }
    let line = network.connect(1, 4);
    network.run_for(6_000)?;
    network.disconnect(line);
    edit(&network, 4, "bio", "honest".into());
    edit(&network, 4, "city", "London".into());
    network.parties[1].replica.post(draft("last".into()), None, NOW + 9).unwrap();
    edit(&network, 1, "name", "Nobody saw this".into());
    network.parties[0].replica.revoke_device(phone, "lost", NOW + 5).unwrap();
    for _ in 0..5 {
        let from = [0, 1, 4][chance.below(3) as usize];
        let line = network.connect(from, [2, 3][chance.below(2) as usize]);
        network.run_for(4_000)?;
        network.disconnect(line);
    }
    for (one, other) in [(0, 2), (3, 2), (4, 2), (4, 0)] {
        network.connect(one, other);
    }
    network.run_for(20_000)?;
    network.connect(5, [0, 2, 3, 4][chance.below(4) as usize]);
    network.run_for(20_000)?;
    let heads = |who: usize, section: &Section| {
        let tips = network.parties[who].replica.tips(section).unwrap();
        tips.into_iter().map(|tip| (tip.chain, tip.n, tip.link)).collect::<BTreeSet<_>>()
    };
    for who in [2, 3, 4, 5] {
        let replica = &network.parties[who].replica;
        let first = &network.parties[0].replica;
        assert_eq!(texts(replica, &ada), texts(first, &ada), "seed {seed}, {who}");
        assert_eq!(
            replica.profile(&ada).unwrap(),
            first.profile(&ada).unwrap(),
            "seed {seed}, {who}"
        );
        assert_eq!(replica.profile(&ada).unwrap().len(), 3, "seed {seed}, {who}");
        for section in network.parties[5].replica.kept_sections().unwrap() {
            if replica.kept_sections().unwrap().contains(&section)
                && first.kept_sections().unwrap().contains(&section)
            {
                assert_eq!(heads(who, &section), heads(0, &section), "seed {seed}, {who}");
                assert_eq!(replica.incomplete(&section, 9).unwrap(), [], "seed {seed}, {who}");
            }
        }
    }
    Ok(())
}

#[test]
fn honest_replicas_agree_about_a_revocation_whoever_heard_first() {
    for seed in 0..10 {
        if let Err(unrest) = revocation(seed) {
            panic!("{unrest}");
        }
    }
}
