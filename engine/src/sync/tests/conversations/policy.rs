//! Random histories of a group: devices are linked and revoked, members come, go and leave, keys are
//! passed on, everybody writes, and homes meet in any order. Who can read what is compared with rules that this test
//! works out for itself, from who knew what when he wrote.

mod counts;

use std::collections::{BTreeMap, BTreeSet};

use self::counts::Said;
use super::{network, texts};
use crate::hash::{AccountId, ChangeId, ConversationId, DeviceId, EpochId};
use crate::limits::EPOCH_AGE_MS_MAX;
use crate::replica::{Circle, DirectDraft};
use crate::seal::hint_of;
use crate::sync::sim::{Chance, Network};
use crate::sync::tests::replicas::{Home, NOW, link, person};

/// What happened, and the entry by which a home knows it.
#[derive(Debug, Clone)]
enum Fact {
    /// With what the one who revoked it had of what it did: the rest counts for nothing.
    Revoked {
        device: DeviceId,
        kept: BTreeSet<ChangeId>,
        /// Where the conversation itself says so, if the device had said something there.
        cuts: BTreeSet<ChangeId>,
    },
    Linked(DeviceId),
    /// By the founder; who goes with what counts of him then.
    Member {
        account: AccountId,
        round: u64,
        present: bool,
        heard: BTreeSet<ChangeId>,
    },
    /// By himself, with the same.
    Left {
        account: AccountId,
        round: u64,
        heard: BTreeSet<ChangeId>,
    },
}

/// The rules, apart from the code that they are about.
#[derive(Debug, Default)]
struct Policy {
    facts: Vec<(Option<ChangeId>, Fact)>,
    /// Which device brought a fact about.
    by: BTreeMap<ChangeId, DeviceId>,
    /// Whose each device is, and whether it was there from the beginning.
    devices: BTreeMap<DeviceId, AccountId>,
    founders: BTreeSet<AccountId>,
    /// Who may read what was sealed under a key, as it was written.
    audience: BTreeMap<EpochId, BTreeSet<DeviceId>>,
    /// And once keys were passed on.
    passed_on: BTreeMap<EpochId, BTreeSet<DeviceId>>,
    /// Who else may have been given a key meanwhile, by somebody to whom he was entitled then.
    given: BTreeMap<EpochId, BTreeSet<DeviceId>>,
    messages: Vec<Said>,
}

impl Policy {
    /// Devices of members in good standing, and those that are out, by the facts that a home
    /// knows; of a device that it never heard of it knows neither.
    fn judge(&self, home: Option<&Home>) -> (BTreeSet<DeviceId>, BTreeSet<DeviceId>) {
        let knows = |id: &Option<ChangeId>| match (home, id) {
            (None, _) | (_, None) => true,
            (Some(home), Some(id)) => home.replica.entry_row(id).unwrap().is_some(),
        };
        let known: Vec<&(Option<ChangeId>, Fact)> =
            self.facts.iter().filter(|(id, _)| knows(id)).collect();
        let void = |id: &ChangeId| {
            known.iter().any(|(_, fact)| match fact {
                Fact::Revoked { device, kept, .. } => {
                    self.by.get(id) == Some(device) && !kept.contains(id)
                }
                _ => false,
            })
        };
        let counts = |id: &Option<ChangeId>| id.as_ref().is_none_or(|id| !void(id));
        let known: Vec<&Fact> =
            known.iter().filter(|(id, _)| counts(id)).map(|(_, fact)| fact).collect();
        let mut members: BTreeMap<AccountId, (u64, bool)> =
            self.founders.iter().map(|account| (*account, (0, false))).collect();
        for fact in &known {
            if let Fact::Member { account, round, present, .. } = fact {
                // Later rounds count more; within one, going counts more than coming.
                let now = (*round, !*present);
                let before = members.get(account).copied().unwrap_or((0, true));
                members.insert(*account, before.max(now));
            }
        }
        for fact in &known {
            // The founder's word first: of the round that he is in somebody may leave.
            if let Fact::Left { account, round, .. } = fact
                && members.get(account) == Some(&(*round, false))
            {
                members.insert(*account, (*round, true));
            }
        }
        let linked = |device: &DeviceId| {
            known.iter().any(|fact| matches!(fact, Fact::Linked(other) if other == device))
        };
        let revoked = |device: &DeviceId| {
            known
                .iter()
                .any(|fact| matches!(fact, Fact::Revoked { device: other, .. } if other == device))
        };
        let (mut entitled, mut out) = (BTreeSet::new(), BTreeSet::new());
        for (device, account) in &self.devices {
            let member = members.get(account).is_some_and(|(_, gone)| !gone);
            if !member || revoked(device) {
                out.insert(*device);
            } else if linked(device) {
                entitled.insert(*device);
            }
        }
        (entitled, out)
    }

    fn entitled(&self) -> BTreeSet<DeviceId> {
        self.judge(None).0
    }

    /// Somebody wrote: what he sealed with goes to whom he thought entitled.
    fn wrote(&mut self, home: &Home, id: ChangeId, epoch: EpochId, text: String) {
        let (entitled, out) = self.judge(Some(home));
        let audience = self.audience.entry(epoch).or_default();
        assert!(audience.is_disjoint(&out), "sealed to somebody who is out, as he knew");
        audience.extend(entitled);
        let device = home.replica.device().unwrap();
        self.messages.push(Said { id, epoch, text, device });
    }

    /// Somebody passed keys on, as he knew who is in: to devices of accounts that hold them.
    fn mended(&mut self, home: &Home, id: &ConversationId) {
        let (entitled, _) = self.judge(Some(home));
        let mut audiences = self.audience.clone();
        // Keys under which titles stand and no message yet are passed on as well.
        if let Ok((_, talk)) = home.replica.known_conversation(&mut home.replica.lock(), id) {
            for (epoch, known) in &talk.epochs {
                audiences.entry(*epoch).or_insert_with(|| known.wraps.keys().copied().collect());
            }
        }
        for (epoch, audience) in &audiences {
            let given = self.given.entry(*epoch).or_default();
            let holders: BTreeSet<AccountId> = audience
                .union(given)
                .filter_map(|device| self.devices.get(device))
                .copied()
                .collect();
            given.extend(entitled.iter().filter(|device| {
                self.devices.get(device).is_some_and(|account| holders.contains(account))
            }));
        }
    }

    /// Keys were passed on where everybody knew everything.
    fn passed_on(&mut self) {
        let entitled = self.entitled();
        self.passed_on = self.audience.clone();
        for audience in self.passed_on.values_mut() {
            let accounts: BTreeSet<AccountId> =
                audience.iter().filter_map(|device| self.devices.get(device)).copied().collect();
            let more = entitled.iter().filter(|device| {
                self.devices.get(device).is_some_and(|account| accounts.contains(account))
            });
            audience.extend(more.copied().collect::<Vec<_>>());
        }
    }
}

struct World {
    network: Network<Home>,
    policy: Policy,
    id: ConversationId,
    chance: Chance,
    seed: u64,
    now: u64,
    /// When texts are over.
    over_ms: BTreeMap<String, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let people: Vec<(Home, AccountId)> =
            (0..4).map(|n| person(seed * 1000 + n, "laptop")).collect();
        let accounts: Vec<AccountId> = people.iter().map(|(_, account)| *account).collect();
        let mut policy = Policy::default();
        for (home, account) in &people {
            for other in &accounts {
                home.replica.follow(*other, None, NOW).unwrap();
            }
            let device = home.replica.device().unwrap();
            policy.devices.insert(device, *account);
            policy.facts.push((None, Fact::Linked(device)));
        }
        policy.founders.extend(&accounts[..3]);
        let network = network(seed, people.into_iter().map(|(home, _)| home).collect());
        let mut world = Self {
            network,
            policy,
            id: ConversationId::from_bytes([0; 32]),
            chance: Chance::new(seed),
            seed,
            now: NOW + 10,
            over_ms: BTreeMap::new(),
        };
        world.everybody_meets();
        let founder = &world.network.parties[0].replica;
        world.id = founder.found_group("Group", &accounts[..3], NOW + 1).unwrap();
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

    /// Everybody hears everything that is for him.
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
        // One in four is dropped after some days.
        let days = self.chance.below(4).saturating_sub(2) * (1 + self.chance.below(90));
        let after_ms = days * EPOCH_AGE_MS_MAX / 7;
        let draft = DirectDraft {
            text: text.clone(),
            expires_after_ms: Some(after_ms),
            ..DirectDraft::default()
        };
        let said = home.replica.say_directly(None, &self.id, &draft, self.now);
        let Ok(id) = said else { return };
        if after_ms > 0 {
            self.over_ms.insert(text.clone(), self.now + after_ms);
        }
        let epoch = epoch_of(home, &self.id, &id);
        self.policy.wrote(home, id, epoch, text);
        // Who writes passes on what he holds.
        self.policy.mended(home, &self.id);
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
        let phone = link(home, self.seed * 1000 + 500 + count, "phone");
        let device = phone.replica.device().unwrap();
        let added = home.replica.authority(&account).unwrap().unwrap();
        assert!(added.devices.contains_key(&device));
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
        if home.replica.revoke_device(device, "lost", self.now).is_ok() {
            let log = newest(home, &account, 0x24);
            let his = self.policy.by.iter().filter(|(_, by)| **by == device);
            let kept = his.map(|(id, _)| *id);
            let said = self.policy.messages.iter().filter(|said| said.device == device);
            let kept = kept.chain(said.map(|said| said.id));
            let kept = kept.filter(|id| home.replica.entry_row(id).unwrap().is_some()).collect();
            let cuts = counts::cuts_of(home, &self.id, &device);
            self.policy.facts.push((Some(log), Fact::Revoked { device, kept, cuts }));
        }
    }

    fn member(&mut self) {
        let accounts: Vec<AccountId> = self.policy.devices.values().copied().collect();
        let account = accounts[usize::try_from(self.chance.below(accounts.len() as u64)).unwrap()];
        self.now += 1;
        // Any device of the founder, each with what it knows.
        let founder = self.device(0).1;
        let at = self.pick();
        if self.device(at).1 != founder || account == founder {
            return;
        }
        let home = &self.network.parties[at];
        let Ok((_, talk)) = home.replica.known_conversation(&mut home.replica.lock(), &self.id)
        else {
            return;
        };
        let known = talk.members.get(&account).cloned().unwrap_or_default();
        let present = !known.present;
        let round = known.round + u64::from(present);
        let heard = self.policy.heard_of(home, &account);
        if let Ok(id) = home.replica.change_member(&self.id, account, present, self.now) {
            self.policy.by.insert(id, home.replica.device().unwrap());
            self.policy.facts.push((Some(id), Fact::Member { account, round, present, heard }));
        }
    }

    fn leave(&mut self, at: usize) {
        let (_, account) = self.device(at);
        // A founder who leaves takes the word that all of this is measured by along.
        if account == self.device(0).1 {
            return;
        }
        self.now += 1;
        let home = &self.network.parties[at];
        let Ok((_, talk)) = home.replica.known_conversation(&mut home.replica.lock(), &self.id)
        else {
            return;
        };
        let round = talk.members.get(&account).map_or(0, |member| member.round);
        let heard = self.policy.heard_of(home, &account);
        if let Ok(id) = home.replica.change_member(&self.id, account, false, self.now) {
            self.policy.by.insert(id, home.replica.device().unwrap());
            self.policy.facts.push((Some(id), Fact::Left { account, round, heard }));
        }
    }

    fn mend(&mut self, at: usize) {
        self.now += 1;
        let home = &self.network.parties[at];
        self.policy.mended(home, &self.id);
        home.replica.mend_conversations(self.now).unwrap();
    }

    /// Weeks go by, and somebody's node looks at his prekey and at what is over.
    fn leap(&mut self, at: usize) {
        self.now += (1 + self.chance.below(5)) * EPOCH_AGE_MS_MAX;
        self.tick(at);
    }

    /// What a node does now and then.
    fn tick(&self, at: usize) {
        let replica = &self.network.parties[at].replica;
        replica.expire(self.now).unwrap();
        replica.forget_keys(self.now).unwrap();
        replica.tend_prekeys(self.now).unwrap();
    }

    /// Compares what is with what should be; returns how many messages count and are closed to everybody
    /// who is still there.
    fn check(&self) -> usize {
        let founder = &self.network.parties[0];
        // All copies that anybody has of any key.
        let mut copies: BTreeMap<(EpochId, DeviceId), Vec<Vec<u8>>> = BTreeMap::new();
        for home in &self.network.parties {
            let mut state = home.replica.lock();
            let Ok((_, talk)) = home.replica.known_conversation(&mut state, &self.id) else {
                continue;
            };
            for (epoch, known) in talk.epochs.iter().chain(&talk.lost) {
                for (device, wraps) in &known.wraps {
                    let all = copies.entry((*epoch, *device)).or_default();
                    all.extend(wraps.iter().map(|(_, copy)| copy.clone()));
                }
            }
        }
        let circle = Circle::Conversation(self.id);
        let counts = self.policy.counting(founder);
        let over = |said: &Said| self.over_ms.get(&said.text).is_some_and(|over| *over <= self.now);
        let heard = |said: &Said| counts.contains(&said.id) && !over(said);
        let used: BTreeSet<EpochId> =
            self.policy.messages.iter().filter(|said| heard(said)).map(|said| said.epoch).collect();
        let entitled = self.policy.entitled();
        let opens = |at: usize, epoch: &EpochId| {
            let copies = copies.get(&(*epoch, self.device(at).0)).map_or(&[][..], Vec::as_slice);
            self.network.parties[at].replica.opens_circle(&circle, epoch, copies)
        };
        let all = 0..self.network.parties.len();
        let inside: Vec<usize> = all.filter(|at| entitled.contains(&self.device(*at).0)).collect();
        // What nobody hears any more need not be passed on, and it may have been sealed to a prekey that
        // is forgotten; then somebody who is still there has to have it. Who is out asks for nothing.
        let given_again =
            |epoch: &EpochId| used.contains(epoch) && inside.iter().any(|at| opens(*at, epoch));
        for (at, home) in self.network.parties.iter().enumerate() {
            let (device, account) = self.device(at);
            for Said { epoch, text, .. } in &self.policy.messages {
                let opens = opens(at, epoch);
                let must = entitled.contains(&device)
                    && self.policy.passed_on[epoch].contains(&device)
                    && given_again(epoch);
                let given = self.policy.given.get(epoch);
                let may = self.policy.passed_on[epoch].contains(&device)
                    || given.is_some_and(|given| given.contains(&device));
                let told = format!("seed {}: {account} at {at}, {text}", self.seed);
                assert!(opens || !must, "cannot open, {told}");
                assert!(may || !opens, "opens, {told}");
            }
            let shown = texts(&home.replica, &self.id);
            // Who is in reads all he may, and of the rest nothing.
            if entitled.contains(&device) {
                for said in &self.policy.messages {
                    let Said { epoch, text, .. } = said;
                    let passed = self.policy.passed_on[epoch].contains(&device);
                    let must = passed && given_again(epoch);
                    let given = self.policy.given.get(epoch);
                    let may = passed || given.is_some_and(|given| given.contains(&device));
                    let shows = shown.contains(text);
                    let told = format!("seed {}: {text} at {at}: {shown:?}", self.seed);
                    assert!((may && heard(said)) || !shows, "is shown, {told}");
                    assert!(shows || !must || !heard(said), "is not shown, {told}");
                }
            }
        }
        let lost = |said: &&Said| heard(said) && !given_again(&said.epoch);
        self.policy.messages.iter().filter(lost).count()
    }
}

/// The key that a message was sealed with, by what it tells of it.
fn epoch_of(home: &Home, id: &ConversationId, message: &ChangeId) -> EpochId {
    let Some((_, crate::model::entry::Entry::Sealed(sealed))) =
        home.replica.entry(message).unwrap()
    else {
        panic!("not sealed");
    };
    let (_, talk) = home.replica.known_conversation(&mut home.replica.lock(), id).unwrap();
    *talk.epochs.keys().find(|epoch| hint_of(epoch) == sealed.entry.epoch).unwrap()
}

/// The newest entry of a kind in an account's log that this device wrote.
fn newest(home: &Home, account: &AccountId, kind: u8) -> ChangeId {
    let page = crate::description::Description::own(
        *account,
        crate::description::DocumentKind::AccountLog,
        0,
    );
    let mut state = home.replica.lock();
    let (key, chain) = home.replica.own_chain(&mut state, &page).unwrap();
    let items = home.replica.log_items(&key, 1, chain.held).unwrap();
    items.into_iter().rev().find(|item| item.entry.kind() == kind).unwrap().id
}

/// Messages of one history, and those that nobody opens any more.
fn history(seed: u64) -> (usize, usize) {
    let mut world = World::new(seed);
    let steps = 24 + world.chance.below(24);
    for _ in 0..steps {
        let at = world.pick();
        match world.chance.below(17) {
            0 => world.link(at),
            1 => world.revoke(at),
            2 | 3 => world.member(),
            4..=8 => world.write(at),
            9 => world.leave(at),
            10 | 11 => world.mend(at),
            12 | 13 => world.leap(at),
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
        // Who is out heard last of what was so when he was in: his keys are his to pass on among
        // his own devices, which is no question here.
        let entitled = world.policy.entitled();
        for (at, home) in world.network.parties.iter().enumerate() {
            if !entitled.contains(&world.device(at).0) {
                continue;
            }
            world.now += 1;
            world.tick(at);
            home.replica.mend_conversations(world.now).unwrap();
        }
        world.everybody_meets();
    }
    (0..world.network.parties.len()).for_each(|at| world.tick(at));
    world.policy.passed_on();
    let lost = world.check();
    (world.policy.messages.len(), lost)
}

/// `MOSAIC_DM_FIRST` and `MOSAIC_DM_SEEDS` set which histories, and how many; each names its seed
/// where it fails.
#[test]
fn who_reads_what_is_what_the_rules_say() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("MOSAIC_DM_FIRST").unwrap_or(1);
    let seeds = number("MOSAIC_DM_SEEDS").unwrap_or(12);
    let (mut messages, mut lost) = (0, 0);
    for (of_one, closed) in (first..first + seeds).map(history) {
        (messages, lost) = (messages + of_one, lost + closed);
    }
    println!(
        "{seeds} histories with {messages} messages, {lost} of them closed to all who are left"
    );
}
