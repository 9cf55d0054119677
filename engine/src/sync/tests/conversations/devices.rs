//! Devices that come while nobody follows anybody, and who is told that somebody has left.

use super::groups::introduce;
use super::{network, run, say, texts};
use crate::description::Space;
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, ConversationId};
use crate::identity::{CertificatePath, DeviceSecret, RecoverySecret};
use crate::replica::Subscription;
use crate::sync::sim::Network;
use crate::sync::tests::replicas::{Home, NOW, link, person, replica};

/// Ada wrote to Bob, who accepted and follows nobody; a hub keeps what is hers.
fn one_sided(seed: u64, ada: Home, account: AccountId) -> (Network<Home>, ConversationId) {
    let ((bob, bob_account), (hub, _)) = (person(seed + 1, "pc"), person(seed + 2, "hub"));
    hub.replica.subscribe(Subscription::whole(account)).unwrap();
    ada.replica.follow(bob_account, None, NOW).unwrap();
    ada.replica.set_keeper(&hub.replica.device().unwrap(), true).unwrap();
    let mut network = network(seed, vec![ada, bob, hub]);
    let line = network.connect(0, 1);
    run(&mut network);
    let id = network.parties[0].replica.converse_with(bob_account, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "it is me", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.answer_request(&id, true, NOW + 3).unwrap();
    say(&network.parties[1].replica, &id, "hello", NOW + 4).unwrap();
    network.refresh();
    run(&mut network);
    network.disconnect(line);
    let line = network.connect(0, 2);
    run(&mut network);
    network.disconnect(line);
    assert_eq!(texts(&network.parties[0].replica, &id), ["it is me", "hello"]);
    (network, id)
}

#[test]
fn a_linked_device_that_alone_is_there_is_talked_with() {
    let (ada, account) = person(900, "laptop");
    let (mut network, id) = one_sided(900, ada, account);
    let phone = link(&network.parties[0], 905, "phone");
    network.parties.push(phone);
    let line = network.connect(0, 3);
    run(&mut network);
    run(&mut network);
    network.disconnect(line);
    network.connect(3, 1);
    run(&mut network);
    // Once its log is here the next round has the pages.
    network.refresh();
    run(&mut network);
    say(&network.parties[1].replica, &id, "to the phone", NOW + 10).unwrap();
    run(&mut network);
    run(&mut network);
    let shown = texts(&network.parties[3].replica, &id);
    assert_eq!(shown.last().map(String::as_str), Some("to the phone"), "{shown:?}");
}

#[test]
fn who_recovers_is_talked_with_and_the_stolen_device_is_not() {
    let words = RecoverySecret::derive(&[0; 32]).unwrap();
    let ada = replica(920);
    let secret = DeviceSecret::generate(&SeededEntropy::new(1920));
    let account = ada.create_recoverable(secret, "laptop", &words, NOW).unwrap();
    let (mut network, id) = one_sided(920, Home::new(ada), account);
    let found = network.parties[2].replica.recoverable(&words.policy().id()).unwrap().unwrap();
    let new = replica(925);
    let secret = DeviceSecret::generate(&SeededEntropy::new(1925));
    let rank = found.next_rank();
    let certificate =
        words.certify(account, found.rotations.clone(), &secret, rank, NOW + 5).unwrap();
    new.adopt(secret, CertificatePath::recovered(found.genesis, certificate)).unwrap();
    new.set_keeper(&network.parties[2].replica.device().unwrap(), true).unwrap();
    network.parties.push(Home::new(new));
    let line = network.connect(3, 2);
    run(&mut network);
    network.parties[3].replica.announce_recovery("new", NOW + 6).unwrap();
    run(&mut network);
    network.parties[3].replica.open_backup(&words).unwrap();
    run(&mut network);
    network.parties[3].replica.finish_recovery(&words, NOW + 7).unwrap();
    network.refresh();
    run(&mut network);
    network.disconnect(line);
    network.connect(3, 1);
    run(&mut network);
    run(&mut network);
    let stolen = network.connect(0, 1);
    say(&network.parties[1].replica, &id, "to the new one", NOW + 10).unwrap();
    run(&mut network);
    run(&mut network);
    network.disconnect(stolen);
    let last = |at: usize| texts(&network.parties[at].replica, &id).pop().unwrap_or_default();
    assert_eq!((&*last(3), &*last(1)), ("to the new one", "to the new one"));
    assert_ne!(last(0), "to the new one");
}

#[test]
fn that_somebody_left_is_told_to_who_took_part_alone() {
    let (ada, bob) = (person(940, "laptop"), person(941, "pc"));
    let (eve, _) = person(942, "pc");
    ada.0.replica.follow(bob.1, None, NOW).unwrap();
    bob.0.replica.follow(ada.1, None, NOW).unwrap();
    let mut network = network(940, vec![ada.0, bob.0, eve]);
    let line = network.connect(0, 1);
    run(&mut network);
    let id = network.parties[1].replica.found_group("Group", &[ada.1], NOW + 1).unwrap();
    network.refresh();
    run(&mut network);
    let ada = &network.parties[0].replica;
    ada.change_member(&id, ada.account().unwrap(), false, NOW + 2).unwrap();
    run(&mut network);
    network.disconnect(line);
    let (ada, bob, eve) = (&network.parties[0], &network.parties[1], &network.parties[2]);
    let kept = ada.replica.conversations_kept(&mut ada.replica.lock()).unwrap();
    let genesis = kept.get(&Space::Conversation(id).id()).unwrap().genesis.clone();
    let device = |home: &Home| home.replica.device().unwrap();
    introduce(ada, eve, std::slice::from_ref(&genesis));
    assert!(ada.replica.partings_to(&device(eve)).unwrap().is_empty());
    assert!(ada.replica.lock().parting_with.is_empty());
    introduce(ada, bob, std::slice::from_ref(&genesis));
    assert_eq!(ada.replica.lock().parting_with.len(), 1);
    // Somebody who is blocked is told nothing; one account takes few places.
    let bob_account = bob.replica.account().unwrap();
    for n in 0..40 {
        let device = crate::hash::DeviceId::from_bytes([n; 32]);
        let mut state = ada.replica.lock();
        ada.replica.note_asked(&mut state, (&device, bob_account), &genesis).unwrap();
    }
    assert_eq!(ada.replica.lock().parting_with[&bob_account].len(), 16);
    ada.replica.lock().parting_with.clear();
    ada.replica.set_listed(crate::replica::BLOCKS, bob_account, true, NOW + 3).unwrap();
    introduce(ada, bob, &[genesis]);
    assert!(ada.replica.lock().parting_with.is_empty());
}

/// Somebody who came to a group later, by a founder he does not follow, accepts it and links a device: it has
/// the group from his first one alone.
#[test]
fn a_device_linked_later_has_groups_that_its_account_came_to() {
    let (mut network, ada, bob, _) = super::friends(960);
    let (cleo, third) = person(965, "laptop");
    cleo.replica.follow(ada, None, NOW).unwrap();
    network.parties.push(cleo);
    for home in [0, 1] {
        network.parties[home].replica.follow(third, None, NOW).unwrap();
    }
    let lines = [network.connect(0, 2), network.connect(1, 2)];
    run(&mut network);
    let founder = &network.parties[1].replica;
    let id = founder.found_group("later", &[ada, bob], NOW + 1).unwrap();
    run(&mut network);
    let founder = &network.parties[1].replica;
    founder.change_member(&id, third, true, NOW + 2).unwrap();
    say(founder, &id, "welcome", NOW + 3).unwrap();
    network.refresh();
    run(&mut network);
    run(&mut network);
    network.parties[2].replica.answer_request(&id, true, NOW + 4).unwrap();
    assert_eq!(texts(&network.parties[2].replica, &id), ["welcome"]);
    lines.iter().for_each(|line| network.disconnect(*line));
    let phone = link(&network.parties[2], 968, "phone");
    network.parties.push(phone);
    network.connect(2, 3);
    for now in [NOW + 5, NOW + 6] {
        run(&mut network);
        network.parties[2].replica.mend_conversations(now).unwrap();
    }
    run(&mut network);
    assert_eq!(texts(&network.parties[3].replica, &id), ["welcome"]);
}
