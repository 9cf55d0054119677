//! Random histories of a private channel: devices are linked and revoked, the role that reads is given and
//! taken, members are kicked, keys are passed on, everybody writes, and homes meet in any order. Who can
//! read what is compared with rules that this test works out for itself, from who knew what when he wrote.

use std::collections::{BTreeMap, BTreeSet};

use super::{grant, private, role, say};
use crate::description::{Description, DocumentKind};
use crate::hash::{AccountId, ChangeId, DeviceId, EpochId, HubId};
use crate::limits::EPOCH_AGE_MS_MAX;
use crate::model::entry::{ChannelChange, Entry, History, HubAction, RoleRef};
use crate::replica::{Circle, Text};
use crate::seal::hint_of;
use crate::sync::sim::{Chance, Network};
use crate::sync::tests::hubs::hub_of;
use crate::sync::tests::replicas::{Home, NOW, link};

/// What happened, by the entry from which a home knows it.
#[derive(Debug, Clone)]
enum Fact {
    Linked(DeviceId),
    Revoked(DeviceId),
    /// Whether an account reads the channel from then on: the founder alone says so, one after the other.
    Reads(AccountId, bool),
}

/// What somebody knew when he opened a key.
#[derive(Debug, Default, Clone)]
struct Opened {
    facts: BTreeSet<usize>,
    revoked: BTreeSet<DeviceId>,
}

#[derive(Debug, Default)]
struct Policy {
    facts: Vec<(Option<ChangeId>, Fact)>,
    devices: BTreeMap<DeviceId, AccountId>,
    all: bool,
    opened: BTreeMap<EpochId, Opened>,
    /// Devices to which a key goes when it is sealed with.
    audience: BTreeMap<EpochId, BTreeSet<DeviceId>>,
    /// Devices to which it may have been given besides, by somebody who knew what its opener knew.
    given: BTreeMap<EpochId, BTreeSet<DeviceId>>,
    /// Devices that have it once everybody knew everything and passed keys on.
    passed_on: BTreeMap<EpochId, BTreeSet<DeviceId>>,
    messages: Vec<(ChangeId, EpochId, String)>,
    /// What the channel is about, as was said last, and what the founder knew then.
    topic: Option<(String, BTreeSet<usize>)>,
}

impl Policy {
    fn known(&self, home: Option<&Home>) -> BTreeSet<usize> {
        let knows = |id: &Option<ChangeId>| match (home, id) {
            (Some(home), Some(id)) => home.replica.entry_row(id).unwrap().is_some(),
            _ => true,
        };
        let known = self.facts.iter().enumerate().filter(|(_, (id, _))| knows(id));
        known.map(|(at, _)| at).collect()
    }

    /// Devices that read, and those that are out, by some facts.
    fn judge(&self, known: &BTreeSet<usize>) -> (BTreeSet<DeviceId>, BTreeSet<DeviceId>) {
        let mut reads: BTreeMap<AccountId, bool> = BTreeMap::new();
        let (mut linked, mut revoked) = (BTreeSet::new(), BTreeSet::new());
        for at in known {
            match &self.facts[*at].1 {
                Fact::Reads(account, reading) => drop(reads.insert(*account, *reading)),
                Fact::Linked(device) => drop(linked.insert(*device)),
                Fact::Revoked(device) => drop(revoked.insert(*device)),
            }
        }
        let (mut entitled, mut out) = (BTreeSet::new(), BTreeSet::new());
        for (device, account) in &self.devices {
            if !reads.get(account).copied().unwrap_or(false) || revoked.contains(device) {
                out.insert(*device);
            } else if linked.contains(device) {
                entitled.insert(*device);
            }
        }
        (entitled, out)
    }

    fn wrote(&mut self, home: &Home, id: ChangeId, epoch: EpochId, text: String) {
        let facts = self.known(Some(home));
        let (entitled, out) = self.judge(&facts);
        // Who comes is given what was written by those who had not heard of it, if all of the past is.
        let comes = |device: &DeviceId| {
            let later = self.facts.iter().enumerate().filter(|(at, _)| !facts.contains(at));
            let of = self.devices.get(device);
            let admitted = |fact: &Fact| matches!(fact, Fact::Reads(who, true) if Some(who) == of);
            self.all && later.into_iter().any(|(_, (_, fact))| admitted(fact))
        };
        let known = |device: &DeviceId| {
            facts.iter().any(|at| matches!(&self.facts[*at].1, Fact::Revoked(of) if of == device))
        };
        let out: BTreeSet<DeviceId> =
            out.into_iter().filter(|device| known(device) || !comes(device)).collect();
        let audience = self.audience.entry(epoch).or_default();
        let told = "sealed to somebody who is out, as he knew";
        assert!(audience.is_disjoint(&out), "{text}: {told}");
        audience.extend(&entitled);
        let revoked = facts.iter().filter_map(|at| match &self.facts[*at].1 {
            Fact::Revoked(device) => Some(*device),
            _ => None,
        });
        let revoked = revoked.collect();
        self.opened.entry(epoch).or_insert(Opened { facts, revoked });
        self.messages.push((id, epoch, text));
    }

    /// Who may see what the channel is about: who read it when that was said, by what its author knew,
    /// and who came later, whatever he gets of what was written before.
    fn sees_topic(&self) -> BTreeSet<DeviceId> {
        let Some((_, facts)) = &self.topic else { return BTreeSet::new() };
        let (mut sees, out) = self.judge(facts);
        let later = self.facts.iter().enumerate().filter(|(at, _)| !facts.contains(at));
        let later: Vec<&Fact> = later.map(|(_, (_, fact))| fact).collect();
        for (device, account) in &self.devices {
            let revoked = facts
                .iter()
                .any(|at| matches!(&self.facts[*at].1, Fact::Revoked(gone) if gone == device));
            let came = later.iter().any(|fact| match fact {
                Fact::Linked(linked) => linked == device && !out.contains(device),
                Fact::Reads(of, true) => of == account,
                _ => false,
            });
            if came && !revoked {
                sees.insert(*device);
            }
        }
        sees
    }

    /// Somebody passed keys on, as he knew who reads.
    fn mended(&mut self, home: &Home) {
        let known = self.known(Some(home));
        let (entitled, _) = self.judge(&known);
        for (epoch, audience) in &self.audience {
            let opened = &self.opened[epoch];
            let given = self.given.entry(*epoch).or_default();
            let holders: BTreeSet<AccountId> = audience
                .union(given)
                .filter_map(|device| self.devices.get(device))
                .copied()
                .collect();
            // To accounts that do not hold it by him alone who knows of the hub what its opener knew.
            let roles =
                opened.facts.iter().filter(|at| matches!(self.facts[**at].1, Fact::Reads(..)));
            let to_all = self.all && roles.into_iter().all(|at| known.contains(at));
            given.extend(entitled.iter().filter(|device| {
                let holds = self.devices.get(device).is_some_and(|of| holders.contains(of));
                (holds || to_all) && !opened.revoked.contains(device)
            }));
        }
    }

    /// Keys were passed on where everybody knew everything.
    fn passed_on(&mut self) {
        let (entitled, _) = self.judge(&self.known(None));
        self.passed_on = self.audience.clone();
        for audience in self.passed_on.values_mut() {
            let accounts: BTreeSet<AccountId> =
                audience.iter().filter_map(|device| self.devices.get(device)).copied().collect();
            let of_them = |device: &&DeviceId| {
                self.all || self.devices.get(device).is_some_and(|of| accounts.contains(of))
            };
            audience.extend(entitled.iter().filter(of_them).copied().collect::<Vec<_>>());
        }
    }
}

struct World {
    network: Network<Home>,
    policy: Policy,
    hub: HubId,
    channel: ChangeId,
    board: ChangeId,
    chance: Chance,
    seed: u64,
    now: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let (mut network, accounts, hub, _, lines) = hub_of(4, 7_000 + seed);
        let founder = &network.parties[0];
        let board = role(founder, &hub, "board", 3, NOW + 40);
        let mut policy = Policy { all: seed.is_multiple_of(2), ..Policy::default() };
        policy.facts.push((None, Fact::Reads(accounts[0], true)));
        for (n, account) in (0..).zip(&accounts[1..3]) {
            grant(founder, &hub, *account, board, NOW + 41 + n);
            policy.facts.push((None, Fact::Reads(*account, true)));
        }
        let history = if policy.all { History::All } else { History::FromJoin };
        let made = private("board", &[board], history);
        let channel = founder.replica.hub_operation(&hub, made, "", NOW + 45).unwrap();
        for home in &network.parties {
            let device = home.replica.device().unwrap();
            policy.devices.insert(device, home.replica.account().unwrap());
            policy.facts.push((None, Fact::Linked(device)));
        }
        super::settle(&mut network);
        for line in lines {
            network.disconnect(line);
        }
        let (chance, now) = (Chance::new(seed), NOW + 100);
        let mut world = Self { network, policy, hub, channel, board, chance, seed, now };
        world.everybody_meets();
        world
    }

    fn pick(&mut self) -> usize {
        let count = self.network.parties.len() as u64;
        usize::try_from(self.chance.below(count)).unwrap()
    }

    fn meet(&mut self, a: usize, b: usize) {
        let line = self.network.connect(a, b);
        self.network.spread_news();
        self.network.run_for(4000).unwrap();
        self.network.disconnect(line);
    }

    fn everybody_meets(&mut self) {
        for _ in 0..2 {
            for a in 0..self.network.parties.len() {
                for b in 0..a {
                    self.meet(a, b);
                }
            }
        }
    }

    fn device(&self, at: usize) -> (DeviceId, AccountId) {
        let replica = &self.network.parties[at].replica;
        (replica.device().unwrap(), replica.account().unwrap())
    }

    fn write(&mut self, at: usize) {
        self.now += 1;
        let text = format!("message {}", self.now);
        let home = &self.network.parties[at];
        let (device, account) = self.device(at);
        // A device that was linked just now has the log that says so before it writes anything.
        let known = home.replica.authority(&account).unwrap();
        if !known.is_some_and(|known| known.devices.contains_key(&device)) {
            return;
        }
        let Ok(id) = say(home, &self.hub, &self.channel, &text, self.now) else { return };
        let Some((_, Entry::Private(sealed))) = home.replica.entry(&id).unwrap() else {
            panic!("not sealed");
        };
        let mut state = home.replica.lock();
        let talk =
            home.replica.channel_talk(&mut state, &self.hub, &self.channel).unwrap().unwrap();
        drop(state);
        let found = talk.epochs.keys().find(|epoch| hint_of(epoch) == sealed.entry.epoch);
        let Some(epoch) = found.copied() else {
            let lost: Vec<_> =
                talk.lost.keys().filter(|epoch| hint_of(epoch) == sealed.entry.epoch).collect();
            let view = home.replica.message(&id).unwrap();
            panic!(
                "seed {}: {at} {:?} {lost:?} {:?}",
                self.seed,
                view.state,
                self.policy.facts.last()
            );
        };
        self.policy.wrote(home, id, epoch, text);
    }

    fn link(&mut self, at: usize) {
        // The first four are laptops, which rank above what they link.
        if self.network.parties.len() >= 8 || at >= 4 {
            return;
        }
        let count = self.network.parties.len() as u64;
        let home = &self.network.parties[at];
        if home.replica.check_writer(&mut home.replica.lock()).is_err() {
            return;
        }
        let (_, account) = self.device(at);
        let phone = link(home, self.seed * 1000 + 900_000 + count, "phone");
        phone.replica.serve_hub(&self.hub, true).unwrap();
        let device = phone.replica.device().unwrap();
        self.policy.devices.insert(device, account);
        let log = newest(home, &account, 0x20);
        self.policy.facts.push((Some(log), Fact::Linked(device)));
        self.network.parties.push(phone);
    }

    fn revoke(&mut self, at: usize) {
        let (me, account) = self.device(at);
        let others =
            self.policy.devices.iter().filter(|(device, of)| **of == account && **device != me);
        let Some(device) = others.map(|(device, _)| *device).next_back() else { return };
        self.now += 1;
        let home = &self.network.parties[at];
        // Whoever governs stays the one that he is.
        if device != self.device(0).0
            && home.replica.revoke_device(device, "lost", self.now).is_ok()
        {
            let log = newest(home, &account, 0x24);
            self.policy.facts.push((Some(log), Fact::Revoked(device)));
        }
    }

    fn govern(&mut self) {
        let at = usize::try_from(1 + self.chance.below(3)).unwrap();
        let (_, account) = self.device(at);
        self.now += 1;
        let founder = &self.network.parties[0].replica;
        let (hub, now) = (self.hub, self.now);
        let role = RoleRef::Role(self.board);
        let readers = founder.hub(&hub, |hub| hub.readers(&self.channel)).unwrap().unwrap();
        let reads = readers.contains(&account);
        let done = match (reads, self.chance.below(2)) {
            (true, 0) => founder.kick(&hub, &account, "", now),
            (true, _) => founder.revoke_role(&hub, &account, role, "", now),
            (false, _) => {
                let action = HubAction::Grant { account, role };
                founder.hub_operation(&hub, action, "", now)
            }
        };
        self.policy.facts.push((Some(done.unwrap()), Fact::Reads(account, !reads)));
    }

    fn name(&mut self) {
        self.now += 1;
        let text = format!("topic {}", self.now);
        let change = ChannelChange::Topic(text.clone());
        let action = HubAction::ChangeChannel { channel: self.channel, change };
        let founder = &self.network.parties[0];
        founder.replica.hub_operation(&self.hub, action, "", self.now).unwrap();
        self.policy.topic = Some((text, self.policy.known(Some(founder))));
    }

    fn mend(&mut self, at: usize) {
        self.now += 1;
        let home = &self.network.parties[at];
        self.policy.mended(home);
        home.replica.mend_conversations(self.now).unwrap();
    }

    /// Weeks go by, and somebody's node looks at his prekey.
    fn leap(&mut self, at: usize) {
        self.now += (1 + self.chance.below(5)) * EPOCH_AGE_MS_MAX;
        self.network.parties[at].replica.tend_prekeys(self.now).unwrap();
    }

    /// What the channel is about shows for all who read it, and for nobody who was out.
    fn check_topic(&self) {
        let Some((topic, _)) = &self.policy.topic else { return };
        let (entitled, _) = self.policy.judge(&self.policy.known(None));
        let may = self.policy.sees_topic();
        for (at, home) in self.network.parties.iter().enumerate() {
            let (device, account) = self.device(at);
            let view = home.replica.hub(&self.hub, |hub| hub.channel(&self.channel)).unwrap();
            let told = format!("seed {}: {account} at {at}, {topic}", self.seed);
            let shows = view.unwrap().topic == *topic;
            assert!(may.contains(&device) || !shows, "is shown, {told}");
            assert!(shows || !entitled.contains(&device), "is not shown, {told}");
        }
    }

    fn check(&self) {
        let mut copies: BTreeMap<(EpochId, DeviceId), Vec<Vec<u8>>> = BTreeMap::new();
        for home in &self.network.parties {
            let mut state = home.replica.lock();
            let talk = home.replica.channel_talk(&mut state, &self.hub, &self.channel).unwrap();
            for (epoch, known) in talk.iter().flat_map(|talk| talk.epochs.iter().chain(&talk.lost))
            {
                for (device, wraps) in &known.wraps {
                    let all = copies.entry((*epoch, *device)).or_default();
                    all.extend(wraps.iter().map(|(_, copy)| copy.clone()));
                }
            }
        }
        let circle = Circle::Channel(self.hub, self.channel);
        let read = |home: &Home| {
            home.replica.channel(&self.hub, &self.channel, None, 10_000, false).unwrap()
        };
        let order: Vec<ChangeId> = read(&self.network.parties[0]).iter().map(|m| m.id).collect();
        let used: BTreeSet<EpochId> = self
            .policy
            .messages
            .iter()
            .filter(|(id, ..)| order.contains(id))
            .map(|(_, epoch, _)| *epoch)
            .collect();
        let (entitled, _) = self.policy.judge(&self.policy.known(None));
        for (at, home) in self.network.parties.iter().enumerate() {
            let (device, account) = self.device(at);
            let views = read(home);
            // One order everywhere, whoever reads it.
            assert_eq!(views.iter().map(|m| m.id).collect::<Vec<_>>(), order, "seed {}", self.seed);
            for (id, epoch, text) in &self.policy.messages {
                let copies = copies.get(&(*epoch, device)).map_or(&[][..], Vec::as_slice);
                let opens = home.replica.opens_circle(&circle, epoch, copies);
                // What nobody hears any more need not be passed on, and it may have been sealed to a
                // prekey that is forgotten; who is out asks for nothing again.
                let must = used.contains(epoch)
                    && entitled.contains(&device)
                    && self.policy.passed_on[epoch].contains(&device);
                let given = self.policy.given.get(epoch);
                let may = self.policy.passed_on[epoch].contains(&device)
                    || given.is_some_and(|given| given.contains(&device));
                let told = format!("seed {}: {account} at {at}, {text}", self.seed);
                assert!(opens || !must, "cannot open, {told}");
                assert!(may || !opens, "opens, {told}");
                let shows = views.iter().any(|view| view.text == Text::Here(text.clone()));
                assert!(may || !shows, "is shown, {told}");
                if entitled.contains(&device) && order.contains(id) {
                    assert!(shows || !must, "is not shown, {told}");
                }
            }
        }
    }
}

/// The newest entry of a kind in an account's log that this device wrote.
fn newest(home: &Home, account: &AccountId, kind: u8) -> ChangeId {
    let page = Description::own(*account, DocumentKind::AccountLog, 0);
    let mut state = home.replica.lock();
    let (key, chain) = home.replica.own_chain(&mut state, &page).unwrap();
    let items = home.replica.log_items(&key, 1, chain.held).unwrap();
    items.into_iter().rev().find(|item| item.entry.kind() == kind).unwrap().id
}

fn history(seed: u64) {
    println!("seed {seed}");
    let mut world = World::new(seed);
    let steps = 24 + world.chance.below(24);
    for _ in 0..steps {
        let at = world.pick();
        match world.chance.below(16) {
            0 => world.link(at),
            1 => world.revoke(at),
            2 | 3 => world.govern(),
            4..=8 => world.write(at),
            9 => world.mend(at),
            10 => world.name(),
            11 | 12 => world.leap(at),
            _ => {
                let other = world.pick();
                if other != at {
                    world.meet(at, other);
                }
            }
        }
    }
    world.everybody_meets();
    // Who lost a prekey asks anew, once he knows, and is answered once that is known.
    for _ in 0..4 {
        let (entitled, _) = world.policy.judge(&world.policy.known(None));
        for at in 0..world.network.parties.len() {
            if entitled.contains(&world.device(at).0) {
                world.mend(at);
            }
        }
        world.everybody_meets();
    }
    world.policy.passed_on();
    world.check();
    world.check_topic();
}

/// `MOSAIC_PRIVATE_FIRST` and `MOSAIC_PRIVATE_SEEDS` set which histories, and how many; each names its
/// seed where it fails.
#[test]
fn who_reads_what_is_what_the_rules_say() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("MOSAIC_PRIVATE_FIRST").unwrap_or(1);
    for seed in first..first + number("MOSAIC_PRIVATE_SEEDS").unwrap_or(12) {
        history(seed);
    }
}
