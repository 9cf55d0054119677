//! Conversations over whole replicas: what is sealed here opens there, and nowhere else.

mod bundle;
mod caps;
mod devices;
mod expiry;
mod forgetting;
mod forms;
mod gone;
mod groups;
mod hostile;
mod keys;
mod members;
mod openers;
mod oracle;
mod policy;
pub(super) mod prekeys;
mod reading;
mod weekly;

use super::replicas::{Home, NOW, link, person};
use crate::description::{SectionClass, Space};
use crate::hash::{AccountId, ChangeId, ConversationId};
use crate::replica::{
    BundleFile, ConversationStanding, Delivery, DirectDraft, EngineError, MessageStanding, Replica,
    Subscription, Text,
};
use crate::sync::Options;
use crate::sync::exchange::{Exchange, Section};
use crate::sync::sim::{Faults, Network};

pub(super) fn network(seed: u64, homes: Vec<Home>) -> Network<Home> {
    let options = Options { check_every_ms: Some(1000), ..Options::default() };
    Network::new(seed, homes, Faults::default(), options)
}

pub(super) fn say(
    replica: &Replica,
    id: &ConversationId,
    text: &str,
    now: u64,
) -> Result<ChangeId, EngineError> {
    let draft = DirectDraft { text: text.into(), ..DirectDraft::default() };
    replica.say_directly(None, id, &draft, now)
}

/// What is shown of a conversation, in order.
pub(super) fn texts(replica: &Replica, id: &ConversationId) -> Vec<String> {
    let Ok(messages) = replica.conversation(id, 10_000) else { return Vec::new() };
    let shown = messages.into_iter().map(|message| match (message.standing, message.text) {
        (MessageStanding::Open, Text::Here(text)) => text,
        (MessageStanding::Open, other) => format!("{other:?}"),
        (standing, _) => format!("{standing:?}"),
    });
    shown.collect()
}

pub(super) fn run(network: &mut Network<Home>) {
    network.spread_news();
    network.run_for(6000).unwrap();
}

/// Two people who follow each other, on one line.
pub(super) fn friends(seed: u64) -> (Network<Home>, AccountId, AccountId, usize) {
    let (ada, bob) = (person(seed, "laptop"), person(seed + 1, "pc"));
    ada.0.replica.follow(bob.1, None, NOW).unwrap();
    bob.0.replica.follow(ada.1, None, NOW).unwrap();
    let mut network = network(seed, vec![ada.0, bob.0]);
    let line = network.connect(0, 1);
    network.run_for(6000).unwrap();
    (network, ada.1, bob.1, line)
}

#[test]
fn two_friends_talk() {
    let (mut network, ada, bob, _) = friends(100);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "hello Bob", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    let other = network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    assert_eq!(id, other);
    assert_eq!(texts(&network.parties[1].replica, &id), ["hello Bob"]);
    say(&network.parties[1].replica, &id, "hello Ada", NOW + 4).unwrap();
    run(&mut network);
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &id), ["hello Bob", "hello Ada"]);
    }
    // One key for both: the answer did not open another.
    let epochs = |home: &Home| {
        let mut state = home.replica.lock();
        let (_, talk) = home.replica.known_conversation(&mut state, &id).unwrap();
        talk.epochs.len()
    };
    assert_eq!(network.parties.iter().map(epochs).collect::<Vec<_>>(), [1, 1]);
    let views = network.parties[0].replica.conversations().unwrap();
    assert_eq!((views.len(), views[0].unread, views[0].messages), (1, 1, 2));
    network.parties[0].replica.mark_conversation_read(&id, true, NOW + 5).unwrap();
    assert_eq!(network.parties[0].replica.conversations().unwrap()[0].unread, 0);
    run(&mut network);
    let messages = network.parties[1].replica.conversation(&id, 10).unwrap();
    assert_eq!(messages[1].delivery, Some(Delivery::Read));
    assert_eq!(messages[1].read_by, [ada]);
}

#[test]
fn edits_and_deletions_reach_the_other() {
    let (mut network, _, bob, _) = friends(110);
    let ada = &network.parties[0].replica;
    let id = ada.converse_with(bob, NOW + 1).unwrap();
    let first = say(ada, &id, "helo", NOW + 2).unwrap();
    let second = say(ada, &id, "secret", NOW + 3).unwrap();
    ada.edit_directly(&first, "hello", NOW + 4).unwrap();
    ada.edit_directly(&second, "more secret", NOW + 5).unwrap();
    network.refresh();
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id), ["hello", "more secret"]);
    network.parties[0].replica.delete_directly(&second, NOW + 6).unwrap();
    run(&mut network);
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &id), ["hello", "Deleted"]);
        assert!(home.replica.verify().unwrap().problems.is_empty());
    }
    let refused = network.parties[1].replica.delete_directly(&first, NOW + 7).unwrap_err();
    assert!(refused.to_string().contains("is not yours"), "{refused}");
}

#[test]
fn who_never_meet_talk_through_a_node_that_both_allow() {
    let (ada, bob) = (person(120, "laptop"), person(121, "pc"));
    let (relay, relay_account) = person(122, "relay");
    relay.replica.subscribe(Subscription::whole(ada.1)).unwrap();
    ada.0.replica.follow(bob.1, None, NOW).unwrap();
    bob.0.replica.follow(ada.1, None, NOW).unwrap();
    let device = relay.replica.device().unwrap();
    ada.0.replica.set_keeper(&device, true).unwrap();
    bob.0.replica.set_keeper(&device, true).unwrap();
    relay.replica.subscribe(Subscription::whole(bob.1)).unwrap();
    let mut network = network(120, vec![ada.0, bob.0, relay]);
    // First both are there once, one after the other, so that their devices are known.
    for n in [0, 1, 0] {
        let line = network.connect(n, 2);
        run(&mut network);
        network.disconnect(line);
    }
    let id = network.parties[0].replica.converse_with(bob.1, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "are you there?", NOW + 2).unwrap();
    let state = |network: &Network<Home>, n: usize| {
        let messages = network.parties[n].replica.conversation(&id, 10).unwrap();
        messages.last().unwrap().delivery
    };
    assert_eq!(state(&network, 0), Some(Delivery::Queued));
    let line = network.connect(0, 2);
    run(&mut network);
    assert_eq!(state(&network, 0), Some(Delivery::Stored));
    network.disconnect(line);
    let line = network.connect(1, 2);
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id), ["are you there?"]);
    say(&network.parties[1].replica, &id, "yes", NOW + 3).unwrap();
    run(&mut network);
    network.disconnect(line);
    network.connect(0, 2);
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id), ["are you there?", "yes"]);
    assert_eq!(relay_account, network.parties[2].replica.account().unwrap());
    assert!(network.parties[2].replica.conversations().unwrap().is_empty());
    assert!(network.parties[2].replica.conversation(&id, 1).is_err());
}

#[test]
fn strangers_land_among_requests() {
    let (ada, bob) = (person(130, "laptop"), person(131, "pc"));
    ada.0.replica.follow(bob.1, None, NOW).unwrap();
    let mut network = network(130, vec![ada.0, bob.0]);
    network.connect(0, 1);
    run(&mut network);
    let id = network.parties[0].replica.converse_with(bob.1, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "buy this", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    let bob = &network.parties[1].replica;
    let views = bob.conversations().unwrap();
    assert_eq!(views.len(), 1);
    assert_eq!((views[0].standing, views[0].messages), (ConversationStanding::Requested, 1));
    assert_eq!(texts(bob, &id), ["buy this"]);
    let told = bob.journal(0, 1000).unwrap();
    assert!(!format!("{told:?}").contains(&id.to_string()));
    bob.answer_request(&id, false, NOW + 3).unwrap();
    assert_eq!(bob.conversations().unwrap()[0].standing, ConversationStanding::Ignored);
    bob.answer_request(&id, true, NOW + 4).unwrap();
    say(bob, &id, "no, thank you", NOW + 5).unwrap();
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id), ["buy this", "no, thank you"]);
}

#[test]
fn a_device_linked_later_reads_all_of_it() {
    let (mut network, _, bob, _) = friends(140);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    say(&network.parties[1].replica, &id, "two", NOW + 3).unwrap();
    run(&mut network);
    let phone = link(&network.parties[0], 145, "phone");
    network.parties.push(phone);
    network.connect(0, 2);
    run(&mut network);
    assert_eq!(texts(&network.parties[2].replica, &id), ["Waiting", "Waiting"]);
    network.parties[0].replica.mend_conversations(NOW + 4).unwrap();
    run(&mut network);
    assert_eq!(texts(&network.parties[2].replica, &id), ["one", "two"]);
    // Doing it again writes nothing.
    let section = |home: &Home| {
        let space = Space::Conversation(id).id();
        let class = SectionClass::Private;
        home.replica.digest(&Section { space, class }).unwrap()
    };
    let before = section(&network.parties[0]);
    network.parties[0].replica.mend_conversations(NOW + 5).unwrap();
    assert_eq!(section(&network.parties[0]), before);
    // What is said after it was revoked it does not read; what was said before it does.
    let device = network.parties[2].replica.device().unwrap();
    network.parties[0].replica.revoke_device(device, "lost", NOW + 6).unwrap();
    say(&network.parties[0].replica, &id, "three", NOW + 7).unwrap();
    run(&mut network);
    say(&network.parties[1].replica, &id, "four", NOW + 8).unwrap();
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id), ["one", "two", "three", "four"]);
    assert_eq!(texts(&network.parties[1].replica, &id), ["one", "two", "three", "four"]);
    let phone = texts(&network.parties[2].replica, &id);
    assert_eq!(phone[..2], ["one", "two"]);
    assert!(phone[2..].iter().all(|text| text == "Waiting"), "{phone:?}");
}

#[test]
fn groups_come_and_go() {
    let homes: Vec<(Home, AccountId)> = (150..154).map(|seed| person(seed, "laptop")).collect();
    let accounts: Vec<AccountId> = homes.iter().map(|(_, account)| *account).collect();
    for (home, _) in &homes {
        for account in &accounts {
            home.replica.follow(*account, None, NOW).unwrap();
        }
    }
    let mut network = network(150, homes.into_iter().map(|(home, _)| home).collect());
    for n in 1..4 {
        network.connect(0, n);
    }
    run(&mut network);
    let founder = &network.parties[0].replica;
    let id = founder.found_group("Garden", &accounts[1..3], NOW + 1).unwrap();
    say(founder, &id, "one", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    run(&mut network);
    for n in [0, 1, 2] {
        assert_eq!(texts(&network.parties[n].replica, &id), ["one"], "{n}");
        let view = &network.parties[n].replica.conversations().unwrap()[0];
        assert_eq!((view.title.as_deref(), view.others.len()), (Some("Garden"), 2));
    }
    assert!(network.parties[3].replica.conversations().unwrap().is_empty());
    // The first guest goes, while he says something that the founder has not heard.
    say(&network.parties[1].replica, &id, "late", NOW + 3).unwrap();
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[1], false, NOW + 4).unwrap();
    founder.change_member(&id, accounts[3], true, NOW + 5).unwrap();
    say(founder, &id, "two", NOW + 6).unwrap();
    network.refresh();
    run(&mut network);
    run(&mut network);
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id), ["one", "two"]);
    assert_eq!(texts(&network.parties[2].replica, &id), ["one", "two"]);
    assert_eq!(texts(&network.parties[3].replica, &id), ["two"]);
    let gone = texts(&network.parties[1].replica, &id);
    assert!(!gone.contains(&"two".to_owned()), "{gone:?}");
    let refused = say(&network.parties[3].replica, &id, "hello", NOW + 7);
    refused.unwrap();
    run(&mut network);
    assert_eq!(texts(&network.parties[2].replica, &id), ["one", "two", "hello"]);
    let denied = network.parties[2].replica.change_member(&id, accounts[3], false, NOW + 8);
    assert!(matches!(denied, Err(EngineError::Denied(_))));
    network.parties[2].replica.change_member(&id, accounts[2], false, NOW + 9).unwrap();
    let refused = say(&network.parties[2].replica, &id, "too late", NOW + 10).unwrap_err();
    assert!(refused.to_string().contains("no more"), "{refused}");
}

#[test]
fn what_somebody_has_fetched_stays_so_when_he_leaves() {
    let (mut network, _, bob, line) = friends(195);
    let ada = &network.parties[0].replica;
    let id = ada.converse_with(bob, NOW + 1).unwrap();
    say(ada, &id, "hello", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.disconnect(line);
    let device = network.parties[1].replica.device().unwrap();
    let ada = &network.parties[0].replica;
    let delivery = || ada.conversation(&id, 10).unwrap()[0].delivery;
    assert_eq!(delivery(), Some(Delivery::Fetched));
    ada.forget_visitor(&device).unwrap();
    assert_eq!(delivery(), Some(Delivery::Fetched));
    let wall = Section { space: Space::Account(bob).id(), class: SectionClass::Public };
    assert_eq!(ada.peer_tips(&device, &wall).unwrap(), []);
    // Who is to be forgotten is.
    ada.forget_peer(&device).unwrap();
    assert_eq!(delivery(), Some(Delivery::Queued));
}

#[test]
fn who_answers_a_message_has_it_and_what_was_said_before() {
    let (mut network, _, bob, line) = friends(166);
    network.disconnect(line);
    let [ada, other] = [0, 1].map(|at| &network.parties[at].replica);
    let id = ada.converse_with(bob, NOW + 1).unwrap();
    for (n, text) in (2..).zip(["one", "two", "three", "four"]) {
        say(ada, &id, text, NOW + n).unwrap();
    }
    let carry = |from: &Replica, to: &Replica, now: u64| {
        let file = from.bundle_conversations(&[id]).unwrap();
        to.take_bundle(BundleFile::read(&file.into()).unwrap(), now).unwrap();
    };
    let far = || -> Vec<&str> {
        let said = ada.conversation(&id, usize::MAX).unwrap();
        said.iter().filter_map(|message| message.delivery).map(|far| far.name()).collect()
    };
    carry(ada, other, NOW + 10);
    assert_eq!(far(), ["queued"; 4]);
    let named = |text: &str| {
        let said = other.conversation(&id, usize::MAX).unwrap();
        said.into_iter().find(|message| message.text == Text::Here(text.into())).unwrap().id
    };
    let target = Some(named("three"));
    let answer = DirectDraft { text: "so it is".into(), target, expires_after_ms: None };
    other.say_directly(None, &id, &answer, NOW + 13).unwrap();
    carry(other, ada, NOW + 14);
    assert_eq!(far(), ["fetched", "fetched", "fetched", "queued"]);
}
