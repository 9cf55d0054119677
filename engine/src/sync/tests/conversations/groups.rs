//! Groups of which somebody tells who is nobody's, and what a node carries for whom.

use super::prekeys::{copied, open};
use super::{friends, network, run, say, texts};
use crate::description::{Section, SectionClass, Space};
use crate::hash::AccountId;
use crate::model::entry::ConversationGenesis;
use crate::replica::{ConversationStanding, Delivery, EngineError, GroupChange, Subscription};
use crate::store::{Table, keys};
use crate::sync::exchange::{Exchange, Reason};
use crate::sync::sim::Network;
use crate::sync::tests::replicas::{Home, NOW, person};

/// Tells a home of conversations, as a device of the teller.
pub(super) fn introduce(to: &Home, teller: &Home, genesis: &[ConversationGenesis]) -> bool {
    let all: Vec<Vec<u8>> = genesis.iter().map(ConversationGenesis::encode).collect();
    introduce_all(to, teller, &all)
}

fn introduce_all(to: &Home, teller: &Home, all: &[Vec<u8>]) -> bool {
    let device = teller.replica.device().unwrap();
    let mut w = crate::codec::Writer::new();
    teller.replica.path(&device).unwrap().unwrap().encode(&mut w);
    let path = w.finish();
    let mut taken = false;
    for part in all.chunks(16) {
        let spaces: Vec<_> = part.iter().map(|one| bytes::Bytes::from(one.clone())).collect();
        taken |= to.replica.take_introductions(&device, &path, &spaces).unwrap();
    }
    taken
}

fn group(founder: AccountId, others: &[AccountId], nonce: u16) -> ConversationGenesis {
    let mut members = [&[founder], others].concat();
    members.sort_unstable();
    members.dedup();
    let [a, b] = nonce.to_be_bytes();
    let mut bytes = [1; 16];
    bytes[..2].copy_from_slice(&[a, b]);
    ConversationGenesis { nonce: bytes, founder: Some(founder), members, audience: false }
}

fn told(home: &Home) -> usize {
    home.replica.scan_all(Table::Meta, keys::CONVERSATIONS).unwrap().len()
}

#[test]
fn a_group_that_does_not_name_the_account_comes_from_a_friend_or_not_at_all() {
    let (bob, account) = person(500, "pc");
    let (eve, eve_account) = person(501, "pc");
    let (friend, friend_account) = person(502, "pc");
    let other = person(503, "pc").1;
    bob.replica.follow(friend_account, None, NOW).unwrap();
    let of_eve: Vec<_> = (0..70).map(|n| group(eve_account, &[other], n)).collect();
    assert!(!introduce(&bob, &eve, &of_eve));
    assert_eq!(told(&bob), 0);
    // A friend tells of as many as there is room for, if he says that Bob came to them, and they take no
    // place of a request.
    let of_friend: Vec<_> = (0..70).map(|n| group(friend_account, &[other], n)).collect();
    assert!(!introduce(&bob, &friend, &of_friend));
    assert_eq!(told(&bob), 0);
    let later = |genesis: &ConversationGenesis| [&genesis.encode()[..], &[1]].concat();
    let of_friend: Vec<_> = of_friend.iter().map(later).collect();
    let of_eve: Vec<_> = of_eve.iter().map(later).collect();
    assert!(!introduce_all(&bob, &eve, &of_eve));
    assert!(introduce_all(&bob, &friend, &of_friend));
    assert_eq!(told(&bob), 64);
    let to_bob: Vec<_> = (100..170).map(|n| group(eve_account, &[account], n)).collect();
    assert!(introduce(&bob, &eve, &to_bob));
    let mut state = bob.replica.lock();
    let kept = bob.replica.conversations_kept(&mut state).unwrap();
    let of = |standing| kept.values().filter(|kept| kept.standing == standing).count();
    assert_eq!((of(ConversationStanding::Requested), of(ConversationStanding::Carried)), (64, 64));
}

#[test]
fn who_is_added_later_hears_of_it_from_a_friend() {
    let (mut network, ada, bob, _) = friends(510);
    let (cleo, third) = person(515, "pc");
    network.parties.push(cleo);
    network.parties[0].replica.follow(third, None, NOW).unwrap();
    network.parties[2].replica.follow(ada, None, NOW).unwrap();
    network.connect(0, 2);
    run(&mut network);
    let founder = &network.parties[0].replica;
    let id = founder.found_group("later", &[bob], NOW + 1).unwrap();
    say(founder, &id, "before", NOW + 2).unwrap();
    founder.change_member(&id, third, true, NOW + 3).unwrap();
    say(founder, &id, "since", NOW + 4).unwrap();
    network.refresh();
    run(&mut network);
    run(&mut network);
    assert_eq!(texts(&network.parties[2].replica, &id), ["since"]);
    say(&network.parties[2].replica, &id, "hello", NOW + 5).unwrap();
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id), ["before", "since", "hello"]);
}

/// A node that somebody names, and that follows him, is given nothing of his groups: it is in none of them
/// and keeps nobody's whole account, so nothing is missing there.
#[test]
fn a_friend_who_is_named_carries_no_group_and_both_are_in_sync() {
    let (mut network, _, bob, line) = friends(530);
    let (cleo, third) = person(535, "pc");
    cleo.replica.follow(network.parties[0].replica.account().unwrap(), None, NOW).unwrap();
    network.parties.push(cleo);
    let keeper = network.parties[2].replica.device().unwrap();
    network.parties[0].replica.set_keeper(&keeper, true).unwrap();
    network.connect(0, 2);
    run(&mut network);
    let founder = &network.parties[1].replica;
    let ada = network.parties[0].replica.account().unwrap();
    assert_ne!(bob, third);
    let id = founder.found_group("two", &[ada], NOW + 1).unwrap();
    run(&mut network);
    network.disconnect(line);
    let said = say(&network.parties[0].replica, &id, "while he is away", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.outcomes.clear();
    run(&mut network);
    assert_eq!(told(&network.parties[2]), 0);
    assert!(network.outcomes.iter().all(|(_, o)| o.is_equal() && o.missing_there == 0));
    let messages = network.parties[0].replica.conversation(&id, 10).unwrap();
    let one = messages.iter().find(|message| message.id == said).unwrap();
    assert_eq!(one.delivery, Some(Delivery::Queued));
}

/// What was said before somebody came is for those who were there: that he has its bytes says nothing.
#[test]
fn who_came_later_fetched_nothing_that_was_said_before() {
    let (mut network, ada, bob, line) = friends(540);
    let (cleo, third) = person(545, "pc");
    network.parties.push(cleo);
    network.parties[0].replica.follow(third, None, NOW).unwrap();
    network.parties[2].replica.follow(ada, None, NOW).unwrap();
    network.connect(0, 2);
    run(&mut network);
    network.disconnect(line);
    let founder = &network.parties[0].replica;
    let id = founder.found_group("later", &[bob], NOW + 1).unwrap();
    say(founder, &id, "before", NOW + 2).unwrap();
    founder.change_member(&id, third, true, NOW + 3).unwrap();
    say(founder, &id, "since", NOW + 4).unwrap();
    network.refresh();
    run(&mut network);
    run(&mut network);
    assert_eq!(texts(&network.parties[2].replica, &id), ["since"]);
    let messages = network.parties[0].replica.conversation(&id, 10).unwrap();
    let far: Vec<_> = messages.iter().map(|message| message.delivery.unwrap()).collect();
    assert_eq!(far, [Delivery::Queued, Delivery::Fetched]);
}

#[test]
fn a_node_carries_so_many_conversations_of_a_stranger() {
    let (relay, _) = person(520, "relay");
    let (ada, kept) = person(521, "laptop");
    let (eve, stranger) = person(522, "pc");
    relay.replica.subscribe(Subscription::whole(kept)).unwrap();
    let many: Vec<_> = (0..300).map(|n| group(stranger, &[kept], n)).collect();
    assert!(introduce(&relay, &eve, &many));
    assert_eq!(told(&relay), 256);
    // Not so of whom it is there for, also where he came later.
    let other = person(523, "pc").1;
    let own: Vec<_> = (0..300).map(|n| group(kept, &[stranger], 1000 + n)).collect();
    let came: Vec<_> = (0..10).map(|n| group(stranger, &[other], 2000 + n)).collect();
    assert!(introduce(&relay, &ada, &own) && introduce(&relay, &ada, &came));
    assert_eq!(told(&relay), 256 + 300 + 10);
    assert!(!introduce(&relay, &eve, &[group(stranger, &[kept], 3000)]));
    // Two people whom nobody here keeps are nobody's business.
    assert!(!introduce(&relay, &ada, &[ConversationGenesis::between(stranger, other)]));
}

/// What the relay said of chains that it did not take whole.
fn refused_by(network: &Network<Home>, of: &Home, section: &Section) -> Vec<(u64, u64)> {
    let device = of.replica.device().unwrap();
    let tips = network.parties[2].replica.tips(section).unwrap();
    let his = tips.iter().filter(|tip| tip.chain.device == device);
    his.map(|tip| (tip.held_n, tip.n)).collect()
}

#[test]
fn a_node_carries_so_many_bytes_of_a_stranger() {
    let (ada, kept) = person(530, "laptop");
    let (eve, stranger) = person(531, "pc");
    let (relay, _) = person(532, "relay");
    relay.replica.subscribe(Subscription::whole(kept)).unwrap();
    let device = relay.replica.device().unwrap();
    for (home, other) in [(&ada, stranger), (&eve, kept)] {
        home.replica.follow(other, None, NOW).unwrap();
        home.replica.set_keeper(&device, true).unwrap();
    }
    let mut network = network(530, vec![ada, eve, relay]);
    network.connect(0, 2);
    network.connect(1, 2);
    let first = network.connect(0, 1);
    run(&mut network);
    network.disconnect(first);
    let id = network.parties[1].replica.converse_with(kept, NOW + 1).unwrap();
    let other = network.parties[0].replica.converse_with(stranger, NOW + 1).unwrap();
    assert_eq!(id, other);
    for n in 0..6 {
        let long = format!("{n} {}", "x".repeat(100 * 1024));
        say(&network.parties[1].replica, &id, &long, NOW + 2 + n).unwrap();
        say(&network.parties[0].replica, &id, &long, NOW + 2 + n).unwrap();
    }
    network.refresh();
    run(&mut network);
    run(&mut network);
    let section = Section { space: Space::Conversation(id).id(), class: SectionClass::Private };
    let [ada, eve, relay] = &network.parties[..] else { panic!("three") };
    let his = refused_by(&network, eve, &section);
    assert!(his.iter().all(|(held, n)| held < n) && !his.is_empty(), "{his:?}");
    assert!(refused_by(&network, ada, &section).iter().all(|(held, n)| held == n));
    assert_eq!(relay.replica.missing_count(&section).unwrap(), 0, "it is not asked for again");
    // He is told why.
    let told = network.outcomes.iter().filter(|(who, _)| *who == 1);
    let told = format!("{:?}", told.collect::<Vec<_>>());
    assert!(told.contains(&format!("{:?}", Reason::Quota)), "{told}");
}

#[test]
fn a_node_that_begins_to_keep_an_account_while_connected_carries_its_conversations() {
    let (mut network, ada, bob, _) = friends(520);
    let (node, _) = person(523, "node");
    let teller = &network.parties[0].replica;
    teller.set_keeper(&node.replica.device().unwrap(), true).unwrap();
    let id = teller.converse_with(bob, NOW + 1).unwrap();
    say(teller, &id, "carried", NOW + 2).unwrap();
    network.parties.push(node);
    network.connect(2, 0);
    run(&mut network);
    assert_eq!(told(&network.parties[2]), 0);
    network.parties[2].replica.subscribe(Subscription::whole(ada)).unwrap();
    network.refresh();
    run(&mut network);
    assert_eq!(told(&network.parties[2]), 1);
    let section = Section { space: Space::Conversation(id).id(), class: SectionClass::Private };
    let digest = |at: usize| network.parties[at].replica.digest(&section).unwrap();
    assert_eq!(digest(2), digest(0));
}

/// What a home showed once it may have lost since, with all else that came after a backup.
#[test]
fn a_home_that_was_put_back_is_told_of_its_conversations_again() {
    for opener in [0, 1] {
        let (mut network, _, bob, line) = friends(530);
        let before = copied(&**network.parties[1].replica.store(), &[]);
        let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
        say(&network.parties[0].replica, &id, "hello", NOW + 2).unwrap();
        network.spread_news();
        run(&mut network);
        assert_eq!(texts(&network.parties[1].replica, &id), ["hello"]);
        // Both sides have shown what they have.
        network.disconnect(line);
        let line = network.connect(opener, 1 - opener);
        run(&mut network);
        network.disconnect(line);
        network.parties[1] = open(before, &network.parties[1], true, 539);
        assert!(network.parties[1].replica.conversation(&id, 1).is_err());
        network.connect(1 - opener, opener);
        run(&mut network);
        assert_eq!(texts(&network.parties[1].replica, &id), ["hello"], "{opener}");
    }
}

#[test]
fn a_change_of_a_group_is_made_whole_or_not_at_all() {
    let (network, _, bob, _) = friends(510);
    let eve = person(512, "pc").1;
    let ada = &network.parties[0].replica;
    let id = ada.found_group("Two", &[bob], NOW + 1).unwrap();
    let section = Section { space: Space::Conversation(id).id(), class: SectionClass::Private };
    let before = ada.digest(&section).unwrap();
    let title = |title: &str| Some(title.to_owned());
    let remove = || vec![bob];
    for (refused, why) in [
        (GroupChange { remove: remove(), title: title(""), ..GroupChange::default() }, "1 to 64"),
        (GroupChange { remove: vec![bob, bob], ..GroupChange::default() }, "no member"),
        (GroupChange { add: vec![eve, bob], ..GroupChange::default() }, "already a member"),
        // Her devices are not known here.
        (
            GroupChange { add: vec![eve], title: title("Three"), ..GroupChange::default() },
            "devices",
        ),
    ] {
        let error = ada.change_group(&id, &refused, NOW + 2).unwrap_err();
        assert!(matches!(error, EngineError::Denied(_) | EngineError::Invalid(_)));
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(ada.digest(&section).unwrap(), before, "{why}");
    }
    // Nor is anything sealed while one takes part whose devices are not known.
    let add = GroupChange { add: vec![eve], ..GroupChange::default() };
    ada.change_group(&id, &add, NOW + 2).unwrap();
    let added = ada.digest(&section).unwrap();
    let change = GroupChange { remove: remove(), title: title("One"), ..GroupChange::default() };
    let error = ada.change_group(&id, &change, NOW + 3).unwrap_err();
    assert!(error.to_string().contains("devices"), "{error}");
    assert_eq!(ada.digest(&section).unwrap(), added);
    let change = GroupChange { remove: vec![bob, eve], ..change };
    ada.change_group(&id, &change, NOW + 3).unwrap();
    let views = ada.conversations().unwrap();
    let view = views.iter().find(|view| view.id == id).unwrap();
    assert_eq!((view.title.as_deref(), view.others.len()), (Some("One"), 0));
}
