//! Who takes part, and what of whom is heard, whatever came first.

use std::collections::{BTreeMap, BTreeSet};

use super::{friends, network, run, say, texts};
use crate::description::{DocumentKind, Space};
use crate::hash::{AccountId, ChangeId, ConversationId};
use crate::model::entry::{ConversationGenesis, Entry, Membership};
use crate::replica::{Delivery, EngineError, MessageStanding, Replica, Subscription, Taking};
use crate::sync::exchange::Exchange;
use crate::sync::sim::{Chance, Network};
use crate::sync::tests::conversations::hostile::forge;
use crate::sync::tests::replicas::{Home, NOW, link, person};
use crate::wire::CarriedChain;

/// Round, presence, whether he left, and cut of everybody.
type Members = BTreeMap<AccountId, (u64, bool, bool, Vec<String>)>;

fn genesis_of(replica: &Replica, id: &ConversationId) -> ConversationGenesis {
    let kept = replica.conversations_kept(&mut replica.lock()).unwrap();
    kept.get(&Space::Conversation(*id).id()).unwrap().genesis.clone()
}

fn members(replica: &Replica, id: &ConversationId) -> Members {
    let genesis = genesis_of(replica, id);
    let talk = replica.talk_of(&mut replica.lock(), id, &genesis).unwrap();
    let told = talk.members.iter().map(|(account, member)| {
        let cut = member.cut.iter().map(|tip| format!("{tip:?}")).collect();
        (*account, (member.round, member.present, member.left, cut))
    });
    told.collect()
}

/// Sealed entries that are heard.
fn heard(replica: &Replica, id: &ConversationId) -> BTreeSet<ChangeId> {
    let genesis = genesis_of(replica, id);
    let mut state = replica.lock();
    let talk = replica.talk_of(&mut state, id, &genesis).unwrap();
    let mut out = BTreeSet::new();
    for (doc, page) in replica.documents(&mut state, &Space::Conversation(*id).id()).unwrap() {
        for (key, chain) in replica.chains_of(&mut state, &doc).unwrap() {
            for item in replica.log_items(&key, 1, chain.held).unwrap() {
                if matches!(item.entry, Entry::Sealed(_)) && talk.hears(&page.account, &key, item.n)
                {
                    out.insert(item.id);
                }
            }
        }
    }
    out
}

/// What somebody would carry of the pages of a conversation, or of those logs of accounts that are
/// here.
pub(super) fn carried(replica: &Replica, id: Option<&ConversationId>) -> Vec<CarriedChain> {
    let mut out = Vec::new();
    for (doc, page) in replica.document_list().unwrap() {
        let wanted = match id {
            Some(id) => page.space == Space::Conversation(*id),
            None => page.kind == DocumentKind::AccountLog,
        };
        if wanted {
            for tip in replica.carried_tips(&doc).unwrap() {
                out.extend(replica.carry(&tip).unwrap());
            }
        }
    }
    out
}

struct World {
    network: Network<Home>,
    id: ConversationId,
    chance: Chance,
    now: u64,
    accounts: Vec<AccountId>,
    /// All states of all pages that were ever shown.
    states: Vec<CarriedChain>,
}

impl World {
    /// Founder with two devices, a member with two, two members, and somebody who may come.
    fn new(seed: u64) -> Self {
        let people: Vec<(Home, AccountId)> =
            (0..5).map(|n| person(seed * 1000 + n, "laptop")).collect();
        let accounts: Vec<AccountId> = people.iter().map(|(_, account)| *account).collect();
        for (home, _) in &people {
            for account in &accounts {
                home.replica.follow(*account, None, NOW).unwrap();
            }
        }
        let mut homes: Vec<Home> = people.into_iter().map(|(home, _)| home).collect();
        for n in [0, 1] {
            let phone = link(&homes[n], seed * 1000 + 500 + n as u64, "phone");
            homes.push(phone);
        }
        let network = network(seed, homes);
        let id = ConversationId::from_bytes([0; 32]);
        let (chance, now, states) = (Chance::new(seed), NOW + 10, Vec::new());
        let mut world = Self { network, id, chance, now, accounts, states };
        world.everybody_meets();
        let founder = &world.network.parties[0].replica;
        world.id = founder.found_group("Group", &world.accounts[..4], NOW + 1).unwrap();
        say(founder, &world.id, "welcome", NOW + 2).unwrap();
        world.everybody_meets();
        world
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.chance.below(n as u64)).unwrap()
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

    fn step(&mut self) {
        let at = self.below(self.network.parties.len());
        let (who, other) = (self.below(self.accounts.len()), self.below(7));
        let account = self.accounts[who];
        self.now += 1;
        let replica = &self.network.parties[at].replica;
        // What may not be done is refused.
        let _: Result<ChangeId, EngineError> = match self.chance.below(12) {
            0..=2 => replica.change_member(&self.id, account, true, self.now),
            3 | 4 => replica.change_member(&self.id, account, false, self.now),
            5 => replica.change_member(&self.id, replica.account().unwrap(), false, self.now),
            6..=8 => say(replica, &self.id, &format!("message {}", self.now), self.now),
            _ => {
                if other != at {
                    self.meet(at, other);
                }
                return;
            }
        };
        let device = replica.device().unwrap();
        let mine = carried(replica, Some(&self.id)).into_iter();
        self.states.extend(mine.filter(|chain| {
            crate::wire::head_route(&chain.head).is_ok_and(|route| route.chain.device == device)
        }));
    }

    /// A node that carries the group, and is given everything that was ever shown in an order of its
    /// own; then, as in every session, what it lacks.
    fn observer(&mut self, n: u64) -> Replica {
        let (home, _) = person(90_000 + n, "relay");
        let relay = home.replica;
        relay.subscribe(Subscription::whole(self.accounts[0])).unwrap();
        let genesis = genesis_of(&self.network.parties[0].replica, &self.id);
        let taking = relay.take_up_by_hand(&genesis, None, &BTreeSet::new()).unwrap();
        assert_eq!(taking, Taking::Kept);
        let mut parts: Vec<CarriedChain> = self.states.clone();
        parts.extend(self.network.parties.iter().flat_map(|home| carried(&home.replica, None)));
        for last in (1..parts.len()).rev() {
            parts.swap(last, self.below(last + 1));
        }
        for part in parts {
            relay.take_carried(vec![part], self.now).unwrap();
        }
        for _ in 0..4 {
            for home in &self.network.parties {
                let logs = carried(&home.replica, None).into_iter();
                let all = logs.chain(carried(&home.replica, Some(&self.id))).collect();
                relay.take_carried(all, self.now).unwrap();
            }
        }
        relay
    }
}

fn history(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..20 + world.chance.below(20) {
        world.step();
    }
    world.everybody_meets();
    let first = world.observer(0);
    let (all, said) = (members(&first, &world.id), heard(&first, &world.id));
    for n in 1..4 {
        let other = world.observer(n);
        assert_eq!(all, members(&other, &world.id), "seed {seed}, observer {n}");
        assert_eq!(said, heard(&other, &world.id), "seed {seed}, observer {n}");
    }
    let mut shown: BTreeMap<AccountId, Vec<String>> = BTreeMap::new();
    for (at, home) in world.network.parties.iter().enumerate() {
        let account = home.replica.account().unwrap();
        let knows = home.replica.known_conversation(&mut home.replica.lock(), &world.id).is_ok();
        let present = all.get(&account).is_some_and(|member| member.1);
        if !present {
            // Whoever has gone was told.
            let denied = say(&home.replica, &world.id, "?", world.now + 1);
            assert!(denied.is_err(), "seed {seed}: {at} has gone and writes");
            continue;
        }
        assert!(knows, "seed {seed}: {at}");
        assert_eq!(all, members(&home.replica, &world.id), "seed {seed}: {at}");
        assert_eq!(said, heard(&home.replica, &world.id), "seed {seed}: {at}");
        let mut texts = texts(&home.replica, &world.id);
        texts.retain(|text| !text.starts_with("Waiting"));
        if let Some(other) = shown.insert(account, texts.clone()) {
            // Keys that were passed on lately may be on their way.
            let (a, b): (BTreeSet<_>, BTreeSet<_>) =
                (other.iter().collect(), texts.iter().collect());
            assert!(a.is_subset(&b) || b.is_subset(&a), "seed {seed}: {at}");
        }
    }
}

/// `MOSAIC_DM_FIRST` and `MOSAIC_DM_SEEDS` set which histories, and how many.
#[test]
fn who_takes_part_depends_on_no_order() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("MOSAIC_DM_FIRST").unwrap_or(1);
    for seed in first..first + number("MOSAIC_DM_SEEDS").unwrap_or(6) {
        history(seed);
    }
}

/// A group of the first and all others, on lines from the first.
pub(super) fn group(
    seed: u64,
    count: u64,
) -> (Network<Home>, Vec<AccountId>, ConversationId, Vec<usize>) {
    let people: Vec<(Home, AccountId)> = (0..count).map(|n| person(seed + n, "laptop")).collect();
    let accounts: Vec<AccountId> = people.iter().map(|(_, account)| *account).collect();
    for (home, _) in &people {
        for account in &accounts {
            home.replica.follow(*account, None, NOW).unwrap();
        }
    }
    let mut network = network(seed, people.into_iter().map(|(home, _)| home).collect());
    let lines = (1..network.parties.len()).map(|n| network.connect(0, n)).collect();
    run(&mut network);
    let id = network.parties[0].replica.found_group("Group", &accounts, NOW + 1).unwrap();
    network.refresh();
    run(&mut network);
    (network, accounts, id, lines)
}

/// How many changes of somebody's pages are here.
pub(super) fn held(replica: &Replica, id: &ConversationId, account: &AccountId) -> u64 {
    let mut state = replica.lock();
    let pages = replica.documents(&mut state, &Space::Conversation(*id).id()).unwrap();
    let mut held = 0;
    for (doc, _) in pages.iter().filter(|(_, page)| page.account == *account) {
        let chains = replica.chains_of(&mut state, doc).unwrap();
        held += chains.iter().map(|(_, chain)| chain.held).sum::<u64>();
    }
    held
}

#[test]
fn a_claimed_round_keeps_nobody_from_being_added_again() {
    let (mut network, accounts, id, _) = group(600, 3);
    let round = 50;
    let leaves = Membership { account: accounts[1], round, present: false, cut: Vec::new() };
    forge(&network.parties[1].replica, &id, Entry::Membership(Box::new(leaves)), NOW + 2);
    run(&mut network);
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[1], false, NOW + 3).unwrap();
    founder.change_member(&id, accounts[1], true, NOW + 4).unwrap();
    say(founder, &id, "again", NOW + 5).unwrap();
    network.refresh();
    run(&mut network);
    for home in &network.parties {
        assert!(members(&home.replica, &id)[&accounts[1]].1);
    }
    assert_eq!(texts(&network.parties[1].replica, &id), ["again"]);
}

#[test]
fn who_was_taken_out_is_told_and_writes_no_more() {
    let (mut network, accounts, id, lines) = group(610, 3);
    say(&network.parties[1].replica, &id, "one", NOW + 2).unwrap();
    let phone = link(&network.parties[1], 615, "phone");
    network.parties.push(phone);
    let own = network.connect(1, 3);
    run(&mut network);
    network.disconnect(lines[0]);
    network.disconnect(own);
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[1], false, NOW + 3).unwrap();
    say(founder, &id, "without him", NOW + 4).unwrap();
    let late = say(&network.parties[1].replica, &id, "late", NOW + 5).unwrap();
    // Packs with what he is told are for him, whoever knows their hash.
    let device = |at: usize| network.parties[at].replica.device().unwrap();
    let founder = &network.parties[0].replica;
    let through = founder.partings_to(&device(1)).unwrap()[0].through;
    assert!(founder.may_read(&device(1), &through).unwrap());
    assert!(!founder.may_read(&device(2), &through).unwrap());
    network.connect(0, 1);
    run(&mut network);
    // He is given the founder's page up to what says so, and nothing of what comes after it.
    let removal = held(&network.parties[0].replica, &id, &accounts[0]) - 2;
    assert_eq!(held(&network.parties[1].replica, &id, &accounts[0]), removal);
    say(&network.parties[0].replica, &id, "without him", NOW + 5).unwrap();
    run(&mut network);
    assert_eq!(held(&network.parties[1].replica, &id, &accounts[0]), removal);
    let gone = &network.parties[1].replica;
    let denied = say(gone, &id, "later", NOW + 6).unwrap_err();
    assert!(denied.to_string().contains("no more"), "{denied}");
    let messages = gone.conversation(&id, 10).unwrap();
    let late = messages.iter().find(|message| message.id == late).unwrap();
    assert!(matches!(late.standing, MessageStanding::Refused(_)), "{late:?}");
    assert_eq!(late.delivery, None, "it is on no way");
    assert!(!texts(gone, &id).contains(&"without him".to_owned()));
    // His other device hears it from him, or from anybody who takes part.
    network.connect(1, 3);
    run(&mut network);
    assert!(say(&network.parties[3].replica, &id, "later", NOW + 7).is_err());
    for home in [0, 2] {
        assert_eq!(
            texts(&network.parties[home].replica, &id),
            ["one", "without him", "without him"]
        );
    }
}

#[test]
fn other_devices_of_who_left_are_told_by_anybody() {
    let (mut network, _, id, _) = group(620, 2);
    say(&network.parties[1].replica, &id, "bye", NOW + 2).unwrap();
    let phone = link(&network.parties[1], 625, "phone");
    network.parties.push(phone);
    let own = network.connect(1, 2);
    run(&mut network);
    network.disconnect(own);
    let me = network.parties[1].replica.account().unwrap();
    network.parties[1].replica.change_member(&id, me, false, NOW + 3).unwrap();
    run(&mut network);
    // The phone meets the founder alone.
    let line = network.connect(2, 0);
    run(&mut network);
    assert!(say(&network.parties[2].replica, &id, "still here?", NOW + 4).is_err());
    network.disconnect(line);
    assert_eq!(texts(&network.parties[0].replica, &id), ["bye"]);
}

#[test]
fn who_has_gone_and_revokes_a_device_takes_nothing_back() {
    for leaves in [true, false] {
        let (mut network, accounts, id, lines) = group(630, 3);
        let phone = link(&network.parties[1], 635, "phone");
        network.parties.push(phone);
        let own = network.connect(1, 3);
        run(&mut network);
        network.parties[1].replica.mend_conversations(NOW + 1).unwrap();
        run(&mut network);
        say(&network.parties[3].replica, &id, "from the phone", NOW + 2).unwrap();
        run(&mut network);
        // One member hears nothing of it until all is over.
        network.disconnect(lines[1]);
        let (at, account) = if leaves { (1, accounts[1]) } else { (0, accounts[1]) };
        network.parties[at].replica.change_member(&id, account, false, NOW + 3).unwrap();
        run(&mut network);
        let device = network.parties[3].replica.device().unwrap();
        network.parties[1].replica.revoke_device(device, "sold", NOW + 4).unwrap();
        network.disconnect(own);
        network.refresh();
        run(&mut network);
        network.connect(0, 2);
        run(&mut network);
        for home in [0, 2] {
            let shown = texts(&network.parties[home].replica, &id);
            assert_eq!(shown, ["from the phone"], "{leaves} {home}");
        }
    }
}

#[test]
fn what_is_said_of_its_way_is_said_of_what_counts() {
    let (mut network, _, id, _) = group(640, 2);
    let said = say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    run(&mut network);
    let messages = network.parties[0].replica.conversation(&id, 10).unwrap();
    let one = messages.iter().find(|message| message.id == said).unwrap();
    assert_eq!(one.delivery, Some(Delivery::Fetched));
}

#[test]
fn nobody_is_given_pages_of_a_group_that_he_does_not_keep() {
    let (mut network, _, bob, line) = friends(650);
    network.disconnect(line);
    let founder = &network.parties[0].replica;
    let id = founder.found_group("Two", &[bob], NOW + 1).unwrap();
    say(founder, &id, "hello", NOW + 2).unwrap();
    let device = network.parties[1].replica.device().unwrap();
    assert_eq!(founder.partings(&device).unwrap(), []);
    // Once he showed that he has some of it, he is given what the founder adds.
    network.connect(0, 1);
    run(&mut network);
    let founder = &network.parties[0].replica;
    say(founder, &id, "more", NOW + 3).unwrap();
    assert_eq!(founder.partings(&device).unwrap().len(), 1);
}
