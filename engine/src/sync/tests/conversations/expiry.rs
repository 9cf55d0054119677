//! How long texts are kept: whose word counts, and that damage holds up nothing else.

use super::{friends, run, say};
use crate::hash::{ChangeId, ConversationId};
use crate::replica::{DirectDraft, Replica};
use crate::store::{Batch, Table, keys};
use crate::sync::tests::replicas::NOW;

const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// When a text that is said now is dropped; 0 is never.
fn dropped_at(replica: &Replica, id: &ConversationId, now: u64) -> u64 {
    let said = say(replica, id, "now", now).unwrap();
    let all = replica.conversation(id, 100).unwrap();
    all.iter().find(|message| message.id == said).unwrap().expires_ms
}

#[test]
fn a_word_of_a_time_to_come_does_not_count_and_a_clock_that_is_behind_can_speak() {
    let (mut network, ada, bob, _) = friends(960);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "hello", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    // Whose clock is a year ahead says that everything goes at once.
    network.parties[1].replica.expire_conversation(&id, 1, NOW + YEAR_MS).unwrap();
    run(&mut network);
    let ada = &network.parties[0].replica;
    assert_eq!(dropped_at(ada, &id, NOW + 10), 0);
    ada.expire_conversation(&id, 5000, NOW + 2000).unwrap();
    assert_eq!(dropped_at(ada, &id, NOW + 2001), NOW + 7001);
    run(&mut network);
    assert_eq!(dropped_at(&network.parties[1].replica, &id, NOW + 2002), NOW + 7002);
    // Whose clock is behind takes it back all the same.
    network.parties[1].replica.expire_conversation(&id, 0, NOW + 20).unwrap();
    run(&mut network);
    assert_eq!(dropped_at(&network.parties[0].replica, &id, NOW + 2003), 0);
}

#[test]
fn one_that_is_damaged_keeps_no_other_from_being_dropped() {
    let (network, _, bob, _) = friends(961);
    let ada = &network.parties[0].replica;
    let id = ada.converse_with(bob, NOW + 1).unwrap();
    let expiring = |text: &str, at: u64| -> ChangeId {
        let draft = DirectDraft {
            text: text.into(),
            expires_after_ms: Some(1000),
            ..DirectDraft::default()
        };
        ada.say_directly(None, &id, &draft, at).unwrap()
    };
    let rotten = expiring("rotten", NOW + 2);
    expiring("whole", NOW + 3);
    let row = ada.entry_row(&rotten).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Truth, keys::chain_change(&row.chain(), row.n), b"rot".to_vec());
    ada.store().commit(batch).unwrap();
    assert!(texts_held(ada) > 1);
    let before = texts_held(ada);
    assert!(ada.expire(NOW + 2000).is_err());
    assert_eq!(texts_held(ada), before - 1);
    assert_eq!(ada.next_expiry().unwrap(), Some(NOW + 1002), "it is looked at again");
}

/// Bodies that are here, of whatever.
fn texts_held(replica: &Replica) -> usize {
    let rows = replica.store().scan(Table::Meta, keys::BODIES, None, false, 1000).unwrap();
    rows.iter().filter(|(_, row)| row.len() > 1).count()
}
