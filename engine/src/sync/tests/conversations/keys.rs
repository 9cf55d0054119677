//! Keys stay with those who were given them, whatever others say of them.

use super::hostile::{forge, sealed_entries};
use super::prekeys::{copied, open};
use super::{friends, network, run, say, texts};
use crate::description::Space;
use crate::entropy::SeededEntropy;
use crate::hash::{ConversationId, DeviceId, EpochId, SealKey};
use crate::model::entry::{ConversationGenesis, Entry, Wrap};
use crate::replica::{ConversationStanding, EngineError};
use crate::seal::{EpochKey, WRAP_BYTES, hint_of};
use crate::store::keys;
use crate::sync::exchange::Exchange;
use crate::sync::tests::replicas::{Home, NOW, link, person};

fn device(home: &Home) -> DeviceId {
    home.replica.device().unwrap()
}

fn seal_key(home: &Home) -> SealKey {
    let path = home.replica.path(&device(home)).unwrap().unwrap();
    path.verify(&home.replica.verifier).unwrap().seal_key()
}

/// Says that a device has a key, with bytes that are no copy of it, and asks for one.
fn claim(home: &Home, id: &ConversationId, epoch: EpochId, now: u64) {
    let wraps = vec![Wrap { device: device(home), sealed: vec![7; WRAP_BYTES] }];
    forge(&home.replica, id, Entry::Epoch { epoch, wraps }, now);
    forge(&home.replica, id, Entry::Epoch { epoch, wraps: Vec::new() }, now + 1);
}

/// Whether any copy that `of` knows opens for `to`.
fn opens(of: &Home, to: &Home, id: &ConversationId, epoch: &EpochId) -> bool {
    let mut state = of.replica.lock();
    let (_, talk) = of.replica.known_conversation(&mut state, id).unwrap();
    drop(state);
    let space = Space::Conversation(*id).id();
    let copies = talk.epochs.get(epoch).and_then(|known| known.wraps.get(&device(to)));
    let mut copies = copies.into_iter().flatten();
    copies.any(|(_, copy)| to.replica.opens_copy(copy, epoch, &space))
}

#[test]
fn a_key_is_given_to_nobody_who_says_that_he_has_it() {
    let people: Vec<(Home, _)> = (300..303).map(|seed| person(seed, "laptop")).collect();
    let accounts: Vec<_> = people.iter().map(|(_, account)| *account).collect();
    for (home, _) in &people {
        for account in &accounts {
            home.replica.follow(*account, None, NOW).unwrap();
        }
    }
    let mut network = network(300, people.into_iter().map(|(home, _)| home).collect());
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        network.connect(a, b);
    }
    run(&mut network);
    let ada = &network.parties[0].replica;
    let secret = ada.converse_with(accounts[1], NOW + 1).unwrap();
    let with_eve = ada.converse_with(accounts[2], NOW + 1).unwrap();
    let group = ada.found_group("two", &accounts[..2], NOW + 1).unwrap();
    for id in [&secret, &with_eve, &group] {
        say(ada, id, "before", NOW + 2).unwrap();
    }
    network.refresh();
    run(&mut network);
    network.parties[0].replica.change_member(&group, accounts[2], true, NOW + 3).unwrap();
    network.refresh();
    run(&mut network);
    let newest = |id: &ConversationId| {
        let ada = &network.parties[0].replica;
        let (_, talk) = ada.known_conversation(&mut ada.lock(), id).unwrap();
        *talk.epochs.keys().next().unwrap()
    };
    let (of_secret, of_group) = (newest(&secret), newest(&group));
    // Eve names the key of another conversation as one of theirs, and that of before she came.
    let eve = &network.parties[2];
    eve.replica.converse_with(accounts[0], NOW + 4).unwrap();
    claim(eve, &with_eve, of_secret, NOW + 5);
    claim(eve, &group, of_group, NOW + 5);
    run(&mut network);
    for _ in 0..2 {
        for home in &network.parties[..2] {
            home.replica.mend_conversations(NOW + 7).unwrap();
        }
        run(&mut network);
    }
    let [ada, bob, eve] = &network.parties[..] else { panic!("three") };
    assert!(!opens(ada, eve, &with_eve, &of_secret));
    for home in [ada, bob, eve] {
        assert!(!opens(home, eve, &group, &of_group));
    }
    assert!(!texts(&eve.replica, &group).contains(&"before".to_owned()));
    say(&bob.replica, &group, "since", NOW + 9).unwrap();
    run(&mut network);
    let eve = &network.parties[2].replica;
    assert!(texts(eve, &group).contains(&"since".to_owned()));
}

#[test]
fn a_key_that_a_thief_made_is_read_and_never_sealed_with_again() {
    let (mut network, _, bob, line) = friends(310);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    let phone = link(&network.parties[0], 315, "phone");
    network.parties.push(phone);
    let own = network.connect(0, 2);
    let third = network.connect(1, 2);
    network.refresh();
    run(&mut network);
    network.parties[0].replica.mend_conversations(NOW + 3).unwrap();
    run(&mut network);
    say(&network.parties[1].replica, &id, "two", NOW + 4).unwrap();
    run(&mut network);
    // The laptop revokes the phone; Bob hears the phone alone, which makes a key.
    network.disconnect(line);
    network.disconnect(own);
    let thief = device(&network.parties[2]);
    network.parties[0].replica.revoke_device(thief, "stolen", NOW + 5).unwrap();
    let key = EpochKey::generate(&SeededEntropy::new(9));
    let space = Space::Conversation(id).id();
    let mut wraps: Vec<Wrap> = network
        .parties
        .iter()
        .map(|home| {
            let sealed = key.wrap_in(&space, &seal_key(home), &SeededEntropy::new(3)).unwrap();
            Wrap { device: device(home), sealed }
        })
        .collect();
    wraps.sort_by_key(|wrap| wrap.device);
    forge(&network.parties[2].replica, &id, Entry::Epoch { epoch: key.id(), wraps }, NOW + 6);
    run(&mut network);
    say(&network.parties[1].replica, &id, "under it", NOW + 7).unwrap();
    let hints = |home: &Home| -> Vec<_> {
        sealed_entries(&home.replica, &id).iter().map(|sealed| sealed.entry.epoch).collect()
    };
    let stolen = hint_of(&key.id());
    let under = |home: &Home| hints(home).iter().filter(|hint| **hint == stolen).count();
    assert_eq!(under(&network.parties[1]), 1, "Bob does not know better");
    network.disconnect(third);
    network.connect(0, 1);
    network.refresh();
    run(&mut network);
    for round in 0..3u64 {
        for home in [0, 1] {
            network.parties[home].replica.mend_conversations(NOW + 10 + round).unwrap();
        }
        run(&mut network);
        say(&network.parties[0].replica, &id, "from the laptop", NOW + 20 + round).unwrap();
        say(&network.parties[1].replica, &id, "from Bob", NOW + 20 + round).unwrap();
        run(&mut network);
    }
    for home in &network.parties[..2] {
        let shown = texts(&home.replica, &id);
        assert!(shown.contains(&"under it".to_owned()), "{shown:?}");
        assert_eq!(shown.iter().filter(|text| *text == "from Bob").count(), 3);
        assert_eq!(under(home), 1, "the thief's key was used again");
    }
}

#[test]
fn who_founded_a_group_is_believed_when_he_wrote_in_it() {
    let (ada, account) = person(320, "pc");
    let (eve, eve_account) = person(321, "pc");
    let (bob, bob_account) = person(322, "pc");
    ada.replica.follow(bob_account, None, NOW).unwrap();
    let mut members = vec![account, bob_account, eve_account];
    members.sort_unstable();
    let genesis = ConversationGenesis {
        founder: Some(bob_account),
        members,
        nonce: [4; 16],
        audience: false,
    };
    let introduce = |teller: &Home| {
        let mut w = crate::codec::Writer::new();
        teller.replica.path(&device(teller)).unwrap().unwrap().encode(&mut w);
        let spaces = [bytes::Bytes::from(genesis.encode())];
        ada.replica.take_introductions(&device(teller), &w.finish(), &spaces).unwrap()
    };
    assert!(introduce(&eve));
    let standing = || {
        let kept = ada.replica.conversations_kept(&mut ada.replica.lock()).unwrap();
        kept.values().find(|kept| kept.id == genesis.id()).unwrap().standing
    };
    assert_eq!(standing(), ConversationStanding::Requested);
    // Of the founder himself it is another matter once a page of his is here; his device is
    // remembered.
    assert!(introduce(&bob));
    assert!(!introduce(&bob));
    assert_eq!(standing(), ConversationStanding::Requested);
}

#[test]
fn a_device_that_an_opener_knew_as_revoked_is_given_that_key_by_nobody() {
    let (mut network, _, bob, _) = friends(330);
    let phone = link(&network.parties[1], 335, "phone");
    network.parties.push(phone);
    network.connect(1, 2);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "hello", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    run(&mut network);
    let ada = network.parties[0].replica.account().unwrap();
    network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    run(&mut network);
    // Ada has heard that the phone was revoked, and opens a key; nobody else has.
    let space = Space::Conversation(id).id();
    let key = EpochKey::generate(&SeededEntropy::new(337));
    let [laptop, desk, phone] = &network.parties[..] else { panic!("three") };
    let copy = |home: &Home| Wrap {
        device: device(home),
        sealed: key.wrap_in(&space, &seal_key(home), &SeededEntropy::new(338)).unwrap(),
    };
    let mut wraps =
        vec![copy(laptop), copy(desk), Wrap { device: device(phone), sealed: Vec::new() }];
    wraps.sort_by_key(|wrap| wrap.device);
    forge(&laptop.replica, &id, Entry::Epoch { epoch: key.id(), wraps }, NOW + 4);
    // As do keys that exclude nobody.
    let other = EpochKey::generate(&SeededEntropy::new(339));
    let sealed = |home: &Home| Wrap {
        device: device(home),
        sealed: other.wrap_in(&space, &seal_key(home), &SeededEntropy::new(340)).unwrap(),
    };
    let mut wraps = vec![sealed(laptop), sealed(desk)];
    wraps.sort_by_key(|wrap| wrap.device);
    forge(&laptop.replica, &id, Entry::Epoch { epoch: other.id(), wraps }, NOW + 5);
    run(&mut network);
    for n in 0..3 {
        network.parties[1].replica.mend_conversations(NOW + 6 + n).unwrap();
        run(&mut network);
    }
    let [laptop, desk, phone] = &network.parties[..] else { panic!("three") };
    assert!(opens(desk, phone, &id, &other.id()), "keys are passed on");
    for home in [laptop, desk, phone] {
        assert!(!opens(home, phone, &id, &key.id()));
    }
    // Nor does it make a difference that it asks.
    phone.replica.mend_conversations(NOW + 10).unwrap();
    forge(&phone.replica, &id, Entry::Epoch { epoch: key.id(), wraps: Vec::new() }, NOW + 11);
    run(&mut network);
    network.parties[1].replica.mend_conversations(NOW + 12).unwrap();
    run(&mut network);
    let [_, desk, phone] = &network.parties[..] else { panic!("three") };
    assert!(!opens(desk, phone, &id, &key.id()));
}

/// What an archive brings along is the device's own, or nothing of it is taken.
#[test]
fn rows_of_keys_are_taken_by_the_device_that_sealed_them_alone() {
    let (mut network, _, bob, _) = friends(545);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "hello", NOW + 2).unwrap();
    network.spread_news();
    run(&mut network);
    let home = &network.parties[0];
    home.replica.tend_prekeys(NOW + 3).unwrap();
    let rows = home.replica.carried_keys().unwrap();
    assert!(!rows.is_empty());
    let remade =
        || open(copied(&**home.replica.store(), &[keys::PREKEYS, keys::KEYRING]), home, true, 549);
    let altered = |at: usize| {
        let mut rows = rows.clone();
        let mut name = rows[0].0.to_vec();
        name[at] ^= 1;
        rows[0].0 = name.into();
        rows
    };
    for refused in [altered(0), altered(rows[0].0.len() - 1)] {
        let remade = remade();
        let before = remade.replica.carried_keys().unwrap();
        assert!(matches!(remade.replica.take_carried_keys(&refused), Err(EngineError::Corrupt(_))));
        assert_eq!(remade.replica.carried_keys().unwrap(), before);
    }
    let (other, _) = person(546, "pc");
    assert!(matches!(other.replica.take_carried_keys(&rows), Err(EngineError::Corrupt(_))));
    let remade = remade();
    remade.replica.take_carried_keys(&rows).unwrap();
    assert!(rows.iter().all(|row| remade.replica.carried_keys().unwrap().contains(row)));
    assert_eq!(remade.replica.verify().unwrap().problems, Vec::<String>::new());
}
