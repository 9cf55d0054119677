//! How many take part, and how many keys are asked for.

use super::hostile::forge;
use super::{friends, network, run, say, texts};
use crate::description::Space;
use crate::entropy::SeededEntropy;
use crate::hash::AccountId;
use crate::limits::CONVERSATION_MEMBERS_MAX;
use crate::model::entry::{Entry, Membership, Wrap};
use crate::seal::{EpochKey, WRAP_BYTES};
use crate::sync::tests::conversations::hostile::entries;
use crate::sync::tests::replicas::{Home, NOW, person};

fn others(count: usize) -> Vec<AccountId> {
    (0..count).map(|n| AccountId::from_bytes([n as u8 + 1; 32])).collect()
}

#[test]
fn so_many_take_part_in_a_group() {
    let (home, _) = person(800, "laptop");
    let founder = &home.replica;
    let most = CONVERSATION_MEMBERS_MAX;
    for count in [most - 1, most] {
        // None of the others is known here, so no title can be sealed to them; the group is begun.
        let error = founder.found_group("Many", &others(count - 1), NOW).unwrap_err();
        assert!(error.to_string().contains("not known here"), "{count}: {error}");
    }
    let error = founder.found_group("Many", &others(most), NOW).unwrap_err();
    assert!(error.to_string().contains("65 members, limit 64"), "{error}");
    // One less than the limit is begun with; one more comes, and no other.
    let id = founder.conversations().unwrap();
    let id = id.iter().find(|view| view.others.len() == most - 2).unwrap().id;
    let (late, over) = (AccountId::from_bytes([200; 32]), AccountId::from_bytes([201; 32]));
    founder.change_member(&id, late, true, NOW + 1).unwrap();
    let error = founder.change_member(&id, over, true, NOW + 2).unwrap_err();
    assert!(error.to_string().contains("limit 64 members"), "{error}");
    // Another program brings in more: it counts nowhere, until there is room.
    let comes = Membership { account: over, round: 1, present: true, cut: Vec::new() };
    forge(founder, &id, Entry::Membership(Box::new(comes)), NOW + 3);
    let present = || {
        let (_, talk) = founder.known_conversation(&mut founder.lock(), &id).unwrap();
        let count = talk.members.keys().filter(|account| talk.is_member(account)).count();
        (count, talk.is_member(&late), talk.is_member(&over))
    };
    assert_eq!(present(), (most, true, false));
    // What he said is heard all the same, and he can be taken out.
    let key = crate::chain::ChainKey {
        doc: crate::description::Description::conversation(id, over, 0).id(),
        device: founder.device().unwrap(),
        incarnation: crate::hash::Incarnation::from_bytes([1; 16]),
    };
    let hears = || {
        let (_, talk) = founder.known_conversation(&mut founder.lock(), &id).unwrap();
        talk.hears(&over, &key, 7)
    };
    assert!(hears());
    founder.change_member(&id, over, false, NOW + 4).unwrap();
    assert!(!hears());
    let comes = Membership { account: over, round: 2, present: true, cut: Vec::new() };
    forge(founder, &id, Entry::Membership(Box::new(comes)), NOW + 4);
    assert_eq!(present(), (most, true, false));
    founder.change_member(&id, late, false, NOW + 5).unwrap();
    assert_eq!(present(), (most, false, true));
}

/// Nobody asks for a round, as the users of these nodes do nothing.
#[test]
fn who_is_added_hears_of_it_on_a_line_that_stands() {
    let people: Vec<(Home, AccountId)> = (810..813).map(|seed| person(seed, "laptop")).collect();
    let accounts: Vec<AccountId> = people.iter().map(|(_, account)| *account).collect();
    for (home, _) in &people {
        for account in &accounts {
            home.replica.follow(*account, None, NOW).unwrap();
        }
    }
    let mut network = network(810, people.into_iter().map(|(home, _)| home).collect());
    network.connect(0, 1);
    // The third meets the second alone.
    let first = network.connect(0, 2);
    run(&mut network);
    let id = network.parties[0].replica.found_group("Two", &accounts[..2], NOW + 1).unwrap();
    network.refresh();
    run(&mut network);
    network.disconnect(first);
    network.connect(1, 2);
    run(&mut network);
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[2], true, NOW + 2).unwrap();
    say(founder, &id, "welcome", NOW + 3).unwrap();
    run(&mut network);
    run(&mut network);
    assert_eq!(texts(&network.parties[2].replica, &id), ["welcome"]);
}

#[test]
fn so_many_keys_are_asked_for_and_passed_on_at_once() {
    let (mut network, _, bob, _) = friends(820);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    let asks = |home: &Home| {
        let device = home.replica.device().unwrap();
        let of = |(by, entry): &(_, Entry)| {
            *by == device && matches!(entry, Entry::Epoch { wraps, .. } if wraps.is_empty())
        };
        entries(&home.replica, &id).iter().filter(|entry| of(entry)).count()
    };
    let me = bob.replica.device().unwrap();
    // Keys without end, of which no copy opens.
    for n in 0..70 {
        let epoch = EpochKey::generate(&SeededEntropy::new(n)).id();
        let wraps = vec![Wrap { device: me, sealed: vec![7; WRAP_BYTES] }];
        forge(&ada.replica, &id, Entry::Epoch { epoch, wraps }, NOW + 3 + n);
    }
    run(&mut network);
    let bob = &network.parties[1];
    for round in 0..3 {
        bob.replica.mend_conversations(NOW + 100 + round).unwrap();
    }
    assert_eq!(asks(bob), 64);
    // Somebody asks for many at once: some are answered at once, the rest after them.
    for n in 100..140 {
        let key = EpochKey::generate(&SeededEntropy::new(n));
        let space = Space::Conversation(id).id();
        let wraps = network.parties.iter().map(|home| {
            let device = home.replica.device().unwrap();
            let path = home.replica.path(&device).unwrap().unwrap();
            let seal_key = path.verify(&home.replica.verifier).unwrap().seal_key();
            let sealed = key.wrap_in(&space, &seal_key, &SeededEntropy::new(n)).unwrap();
            Wrap { device, sealed }
        });
        let mut wraps: Vec<Wrap> = wraps.collect();
        wraps.sort_by_key(|wrap| wrap.device);
        forge(&network.parties[0].replica, &id, Entry::Epoch { epoch: key.id(), wraps }, NOW + 200);
        let ask = Entry::Epoch { epoch: key.id(), wraps: Vec::new() };
        forge(&network.parties[0].replica, &id, ask, NOW + 201);
    }
    run(&mut network);
    let bob = &network.parties[1];
    let written = |home: &Home| {
        let of = |(by, entry): &(_, Entry)| *by == me && matches!(entry, Entry::Epoch { .. });
        entries(&home.replica, &id).iter().filter(|entry| of(entry)).count()
    };
    let before = written(bob);
    bob.replica.mend_conversations(NOW + 300).unwrap();
    assert_eq!(written(bob) - before, 16);
    for round in 1..5 {
        bob.replica.mend_conversations(NOW + 300 + round).unwrap();
    }
    assert_eq!(written(bob) - before, 40);
}
