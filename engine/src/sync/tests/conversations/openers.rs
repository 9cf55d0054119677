//! Who opens keys and gives different ones to different people: of one name that cannot be, and of two
//! nothing of what others say is lost.

use super::hostile::forge;
use super::members::group;
use super::{run, say, texts};
use crate::description::{Description, Space};
use crate::entropy::SeededEntropy;
use crate::hash::{BlobHash, ConversationId};
use crate::model::entry::{BodyRef, Entry, Sealed, Spoken, Wrap};
use crate::replica::{MessageStanding, Replica, Work};
use crate::seal::{Beside, EpochKey, SealPlace, SealedEntry, seal_body};
use crate::sync::sim::Network;
use crate::sync::tests::replicas::{Home, NOW};

fn key(seed: u64) -> EpochKey {
    EpochKey::generate(&SeededEntropy::new(seed))
}

/// Copies of keys, each for somebody's device.
fn copies(network: &Network<Home>, id: &ConversationId, of: &[(usize, &EpochKey)]) -> Vec<Wrap> {
    let space = Space::Conversation(*id).id();
    let copy = |(who, key): &(usize, &EpochKey)| {
        let replica = &network.parties[*who].replica;
        let (account, device) = (replica.account().unwrap(), replica.device().unwrap());
        let known = network.parties[1].replica.authority(&account).unwrap().unwrap();
        let seal_key = known.devices[&device].verified.seal_key();
        let sealed = key.wrap_in(&space, &seal_key, &SeededEntropy::new(8)).unwrap();
        Wrap { device, sealed }
    };
    let mut wraps: Vec<Wrap> = of.iter().map(copy).collect();
    wraps.sort_by_key(|wrap| wrap.device);
    wraps
}

/// Says something under a key of the author's choice.
fn say_under(replica: &Replica, id: &ConversationId, key: &EpochKey, text: &str, now: u64) {
    let page = Description::conversation(*id, replica.account().unwrap(), 0);
    let (mut state, mut work) = (replica.lock(), Work::default());
    let (chain, held) = replica.own_chain(&mut state, &page).unwrap();
    let (space, n, previous_link) = (page.space.id(), held.held + 1, held.link);
    let place = SealPlace { space, chain, n, previous_link };
    let entropy = SeededEntropy::new(n);
    let text =
        seal_body(key, (&space, &chain.doc), text.as_bytes(), &Beside::Nothing, &entropy).unwrap();
    let bodies = vec![BodyRef { hash: BlobHash::of(&text), size: text.len() as u64 }];
    work.arriving.insert(bodies[0].hash, text.into());
    let plain = Spoken::Message { target: None }.encode();
    let header = Sealed::header(&bodies, 0);
    let entry = SealedEntry::seal(key, &place, &header, &plain, &entropy).unwrap();
    let entry = Entry::Sealed(Box::new(Sealed { bodies, expires_ms: 0, entry }));
    replica.append(&mut state, &mut work, &page, entry, now).unwrap();
    replica.finish(state, work).unwrap();
}

fn standings(home: &Home, id: &ConversationId) -> Vec<MessageStanding> {
    let shown = home.replica.conversation(id, 100).unwrap();
    shown.into_iter().map(|message| message.standing).collect()
}

#[test]
fn one_name_is_one_key_for_all() {
    let (mut network, _, id, _) = group(710, 3);
    let (mine, other) = (key(1), key(2));
    // For the last of them another key than is named.
    let wraps = copies(&network, &id, &[(0, &mine), (1, &mine), (2, &other)]);
    let liar = &network.parties[1].replica;
    forge(liar, &id, Entry::Epoch { epoch: mine.id(), wraps }, NOW + 2);
    say_under(liar, &id, &mine, "for some", NOW + 3);
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id), ["for some"]);
    assert_eq!(standings(&network.parties[2], &id), [MessageStanding::Waiting]);
    say(&network.parties[2].replica, &id, "honest", NOW + 4).unwrap();
    run(&mut network);
    // Whose copy does not open says so, and whoever holds the key answers.
    for round in 0..2 {
        for home in &network.parties {
            home.replica.mend_conversations(NOW + 5 + round).unwrap();
        }
        run(&mut network);
    }
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &id), ["for some", "honest"]);
    }
}

#[test]
fn two_keys_for_two_people_lose_nothing_of_others() {
    let (mut network, _, id, _) = group(720, 3);
    say(&network.parties[0].replica, &id, "before", NOW + 2).unwrap();
    run(&mut network);
    let (one, two) = (key(3), key(4));
    for (key, who, text, now) in [(&one, 0, "to one", NOW + 3), (&two, 2, "to two", NOW + 5)] {
        let wraps = copies(&network, &id, &[(1, key), (who, key)]);
        let liar = &network.parties[1].replica;
        forge(liar, &id, Entry::Epoch { epoch: key.id(), wraps }, now);
        say_under(liar, &id, key, text, now + 1);
    }
    run(&mut network);
    say(&network.parties[0].replica, &id, "after", NOW + 7).unwrap();
    say(&network.parties[2].replica, &id, "after, too", NOW + 8).unwrap();
    run(&mut network);
    for (who, shown) in [(0, "to one"), (2, "to two")] {
        let texts = texts(&network.parties[who].replica, &id);
        assert_eq!(texts, ["before", shown, "after", "after, too"]);
    }
    // What is said to one of them is said with that key by nobody else.
    assert_eq!(texts(&network.parties[1].replica, &id).len(), 5);
}
