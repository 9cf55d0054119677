//! Keys are sealed with for a week, by the clock of who writes.

use super::{friends, run, say, texts};
use crate::hash::{ChangeId, ConversationId, EpochId};
use crate::limits::EPOCH_AGE_MS_MAX;
use crate::model::entry::Entry;
use crate::seal::hint_of;
use crate::sync::tests::replicas::{Home, NOW};

fn epochs(home: &Home, id: &ConversationId) -> Vec<EpochId> {
    let (_, talk) = home.replica.known_conversation(&mut home.replica.lock(), id).unwrap();
    talk.epochs.keys().copied().collect()
}

/// The key that a message was sealed with.
fn sealed_with(home: &Home, id: &ConversationId, message: &ChangeId) -> EpochId {
    let Some((_, Entry::Sealed(sealed))) = home.replica.entry(message).unwrap() else {
        panic!("not sealed")
    };
    let mut all = epochs(home, id).into_iter();
    all.find(|epoch| hint_of(epoch) == sealed.entry.epoch).unwrap()
}

#[test]
fn the_next_message_after_a_week_opens_a_key() {
    let (mut network, ada, bob, _) = friends(940);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    let first = say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    let week = NOW + 3 + EPOCH_AGE_MS_MAX;
    let last = say(&network.parties[1].replica, &id, "two", week - 2).unwrap();
    let next = say(&network.parties[1].replica, &id, "three", week + EPOCH_AGE_MS_MAX).unwrap();
    let again = say(&network.parties[1].replica, &id, "four", week + EPOCH_AGE_MS_MAX + 1).unwrap();
    run(&mut network);
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    let key = |message: &ChangeId| sealed_with(bob, &id, message);
    assert_eq!(key(&first), key(&last), "it is no week since it was opened");
    assert_ne!(key(&next), key(&last));
    assert_eq!(key(&again), key(&next));
    // Who goes on uses the newest one, also with a clock that is behind.
    let late = say(&ada.replica, &id, "five", NOW + 4).unwrap();
    assert_eq!(sealed_with(ada, &id, &late), key(&next));
    run(&mut network);
    for home in &network.parties {
        assert_eq!(epochs(home, &id).len(), 2);
        let mut read = texts(&home.replica, &id);
        read.sort_unstable();
        assert_eq!(read, ["five", "four", "one", "three", "two"]);
    }
}

#[test]
fn an_audience_gets_a_key_a_week_and_clocks_that_jump_make_no_storm() {
    let (network, ..) = friends(950);
    let ada = &network.parties[0];
    let id = ada.replica.create_audience("me", NOW + 1).unwrap();
    for n in 0..20 {
        ada.replica.post_to(None, &id, "week", NOW + 2 + n * EPOCH_AGE_MS_MAX / 4).unwrap();
    }
    assert_eq!(epochs(ada, &id).len(), 5);
    for n in 0..40 {
        let now = if n % 2 == 0 { NOW } else { NOW + 500 * EPOCH_AGE_MS_MAX };
        ada.replica.post_to(None, &id, "jump", now).unwrap();
    }
    assert_eq!(epochs(ada, &id).len(), 6);
}
