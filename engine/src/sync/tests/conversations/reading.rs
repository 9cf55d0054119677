//! What counts as read: what was here, and nothing else.

use super::hostile::{forge, seal};
use super::{friends, run, say, texts};
use crate::codec::DecodeError;
use crate::hash::ChangeId;
use crate::limits::READ_TARGETS_MAX;
use crate::model::entry::{Entry, Spoken};
use crate::replica::{Delivery, MessageStanding};
use crate::seal::SealForm;
use crate::sync::tests::replicas::{NOW, link};

const YEAR_MS: u64 = 31_536_000_000;

#[test]
fn a_message_of_the_future_makes_nothing_before_it_read() {
    let (mut network, ada, bob, line) = friends(700);
    let phone = link(&network.parties[0], 705, "phone");
    network.parties.push(phone);
    let own = network.connect(0, 2);
    run(&mut network);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[0].replica.mend_conversations(NOW + 2).unwrap();
    network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    run(&mut network);
    // The phone writes, and nobody hears it; the laptop claims another year.
    network.disconnect(own);
    let late = say(&network.parties[2].replica, &id, "from the phone", NOW + 4).unwrap();
    say(&network.parties[0].replica, &id, "from the future", NOW + YEAR_MS).unwrap();
    run(&mut network);
    let bob = &network.parties[1].replica;
    assert_eq!(bob.conversations().unwrap()[0].unread, 2);
    bob.mark_conversation_read(&id, true, NOW + 5).unwrap();
    assert_eq!(bob.conversations().unwrap()[0].unread, 0);
    run(&mut network);
    network.disconnect(line);
    network.connect(0, 2);
    network.connect(1, 2);
    network.refresh();
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id).len(), 3);
    // What came since is new, and nobody is told that it was read.
    assert_eq!(network.parties[1].replica.conversations().unwrap()[0].unread, 1);
    let told = |network: &crate::sync::sim::Network<_>, id: &ChangeId| {
        let home: &crate::sync::tests::replicas::Home = &network.parties[2];
        let of = ada_bob(home);
        let messages = home.replica.conversation(&of, 10).unwrap();
        messages.into_iter().find(|message| message.id == *id).unwrap().delivery
    };
    assert_eq!(told(&network, &late), Some(Delivery::Fetched));
    network.parties[1].replica.mark_conversation_read(&id, true, NOW + 6).unwrap();
    assert_eq!(network.parties[1].replica.conversations().unwrap()[0].unread, 0);
    run(&mut network);
    assert_eq!(told(&network, &late), Some(Delivery::Read));
}

fn ada_bob(home: &crate::sync::tests::replicas::Home) -> crate::hash::ConversationId {
    home.replica.conversations().unwrap()[0].id
}

#[test]
fn a_claim_about_what_is_not_there_yet_says_nothing() {
    let (mut network, ada, bob, _) = friends(710);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    let first = say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    let bob = &network.parties[1].replica;
    bob.converse_with(ada, NOW + 3).unwrap();
    // Bob claims to have read his own message of later, and one that nobody knows.
    let own = say(bob, &id, "later", NOW + YEAR_MS).unwrap();
    let targets = vec![own, ChangeId::from_bytes([9; 32])];
    let claim = seal(bob, &id, &Spoken::Read { targets }.encode());
    forge(bob, &id, Entry::Sealed(Box::new(claim)), NOW + 4);
    run(&mut network);
    let messages = network.parties[0].replica.conversation(&id, 10).unwrap();
    let first = messages.iter().find(|message| message.id == first).unwrap();
    assert!(first.read_by.is_empty(), "{first:?}");
    assert_eq!(first.delivery, Some(Delivery::Fetched));
}

#[test]
fn what_a_later_version_says_is_shown_as_that_and_ends_nothing() {
    let (mut network, ada, bob, _) = friends(720);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "before", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    let author = &network.parties[0].replica;
    let sealed = seal(author, &id, &[77, 1, 2]);
    forge(author, &id, Entry::Sealed(Box::new(sealed)), NOW + 5);
    say(author, &id, "after", NOW + 6).unwrap();
    run(&mut network);
    for home in &network.parties {
        let messages = home.replica.conversation(&id, 10).unwrap();
        let standings: Vec<_> = messages.iter().map(|message| message.standing).collect();
        let later = MessageStanding::Refused("of a later version");
        assert_eq!(standings, [MessageStanding::Open, later, MessageStanding::Open]);
        assert_eq!(texts(&home.replica, &id)[2], "after");
    }
    assert_eq!(network.parties[1].replica.conversations().unwrap()[0].messages, 2);
}

#[test]
fn so_many_messages_are_named_as_read_at_once() {
    let of = |count: usize| {
        let targets = (0..count).map(|n| ChangeId::from_bytes([n as u8; 32])).collect();
        Spoken::Read { targets }
    };
    for count in [1, READ_TARGETS_MAX - 1, READ_TARGETS_MAX] {
        assert_eq!(Spoken::decode(&of(count).encode(), SealForm::Second, 0), Ok(of(count)));
    }
    assert!(matches!(
        Spoken::decode(&of(0).encode(), SealForm::Second, 0),
        Err(DecodeError::Rule(_))
    ));
    let over = Spoken::decode(&of(READ_TARGETS_MAX + 1).encode(), SealForm::Second, 0);
    assert!(matches!(over, Err(DecodeError::TooLarge { .. })), "{over:?}");
}

#[test]
fn what_names_one_message_as_read_has_the_bytes_it_always_had() {
    let read = Spoken::Read { targets: vec![ChangeId::from_bytes([5; 32])] };
    let bytes = [&[6][..], &[5; 32]].concat();
    assert_eq!(Spoken::decode(&bytes, SealForm::Second, 0), Ok(read.clone()));
    assert_eq!(read.encode(), bytes);
}
