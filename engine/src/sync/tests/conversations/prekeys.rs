//! Prekeys: what is said is sealed to them, goes on opening once they are forgotten, and what was sealed to
//! a lost one is asked for again.

use std::sync::Arc;

use super::{friends, run, say, texts};
use crate::entropy::SeededEntropy;
use crate::hash::{ConversationId, SealKey};
use crate::identity::DeviceSecret;
use crate::limits::{EPOCH_AGE_MS_MAX, PREKEY_AGE_MS_MAX, PREKEY_KEPT_MS};
use crate::model::entry::Entry;
use crate::replica::{EngineError, Replica, ReplicaOptions};
use crate::seal::{hint_of, prekey_of, tag_of};
use crate::store::faulty::{Fault, Faulty};
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Store, Table, keys};
use crate::sync::sim::Network;
use crate::sync::tests::replicas::{Home, NOW, link};

pub(super) const DAY_MS: u64 = 24 * 3_600_000;

/// All rows of a store in another one, but those of some kinds.
pub(in crate::sync::tests) fn copied(store: &dyn Store, without: &[&[u8]]) -> Arc<MemoryStore> {
    let copy = MemoryStore::new();
    for table in Table::ALL {
        let rows = store.scan(table, b"", None, false, 1_000_000).unwrap();
        let mut batch = Batch::new();
        for (key, value) in rows {
            if table != Table::Meta || !without.iter().any(|kind| key.starts_with(kind)) {
                batch.put(table, key.to_vec(), value.to_vec());
            }
        }
        copy.commit(batch).unwrap();
    }
    Arc::new(copy)
}

pub(in crate::sync::tests) fn open(
    store: Arc<MemoryStore>,
    of: &Home,
    fresh_incarnation: bool,
    seed: u64,
) -> Home {
    Home::new(opened(store, of, fresh_incarnation, seed).unwrap())
}

fn opened(
    store: Arc<dyn Store>,
    of: &Home,
    fresh_incarnation: bool,
    seed: u64,
) -> Result<Replica, EngineError> {
    let secret = of.replica.lock().own.as_ref().unwrap().secret.to_bytes();
    let secret = DeviceSecret::from_bytes(&secret).unwrap();
    let options = ReplicaOptions { secret: Some(secret), fresh_incarnation };
    Replica::open(store, Arc::new(SeededEntropy::new(seed)), options)
}

/// The prekeys that a device said, as somebody knows them.
fn prekeys(by: &Home, of: &Home) -> Vec<SealKey> {
    let (account, device) = (of.replica.account().unwrap(), of.replica.device().unwrap());
    let authority = by.replica.authority(&account).unwrap().unwrap();
    authority.prekeys.get(&device).into_iter().flatten().map(|prekey| prekey.key).collect()
}

/// What the copies for a device are sealed to, of all keys: prekeys by their numbers, from 1; 0 is the
/// fixed key.
fn sealed_to(by: &Home, of: &Home, id: &ConversationId) -> Vec<usize> {
    let said: Vec<_> = prekeys(by, of).iter().map(tag_of).collect();
    let (_, talk) = by.replica.known_conversation(&mut by.replica.lock(), id).unwrap();
    let device = of.replica.device().unwrap();
    let mut epochs: Vec<_> = talk.epochs.values().collect();
    epochs.sort_by_key(|known| known.since_ms);
    let copies = epochs.into_iter().flat_map(|known| known.wraps.get(&device)).flatten();
    let place = |tag| said.iter().position(|said| *said == tag).map_or(usize::MAX, |at| at + 1);
    copies.map(|(_, copy)| prekey_of(copy).map_or(0, place)).collect()
}

pub(in crate::sync::tests) fn tend(network: &mut Network<Home>, now: u64) {
    for home in &network.parties {
        home.replica.expire(now).unwrap();
        home.replica.forget_keys(now).unwrap();
        home.replica.tend_prekeys(now).unwrap();
        home.replica.mend_conversations(now).unwrap();
    }
    run(network);
}

pub(super) fn talking(seed: u64) -> (Network<Home>, ConversationId, usize) {
    let (mut network, ada, bob, line) = friends(seed);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    tend(&mut network, NOW + 4);
    (network, id, line)
}

#[test]
fn keys_are_sealed_to_prekeys_once_they_are_known_and_a_restart_changes_nothing() {
    let (mut network, id, _) = talking(1200);
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    // Ada published hers before she sealed to herself, Bob when he was found to take part.
    assert_eq!((prekeys(bob, ada).len(), prekeys(ada, bob).len()), (1, 1));
    assert_eq!((sealed_to(bob, ada, &id), sealed_to(bob, bob, &id)), (vec![1], vec![0]));
    say(&ada.replica, &id, "two", NOW + EPOCH_AGE_MS_MAX + 2).unwrap();
    run(&mut network);
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    assert_eq!((sealed_to(bob, ada, &id), sealed_to(bob, bob, &id)), (vec![1, 1], vec![0, 1]));
    assert_eq!(texts(&bob.replica, &id), ["one", "two"]);
    bob.replica.write_along().unwrap();
    let store = copied(&**bob.replica.store(), &[keys::KEYRING]);
    assert_eq!(texts(&open(store, bob, false, 1203).replica, &id), ["one", "two"]);
    // Nothing is published twice, and reading publishes nothing.
    for _ in 0..2 {
        tend(&mut network, NOW + EPOCH_AGE_MS_MAX + 3);
    }
    network.parties[0].replica.mend_conversations(NOW + 2 * PREKEY_AGE_MS_MAX).unwrap();
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    assert_eq!((prekeys(ada, ada).len(), prekeys(bob, bob).len()), (1, 1));
    assert!(bob.replica.verify().unwrap().problems.is_empty());
    assert!(ada.replica.verify().unwrap().problems.is_empty());
}

#[test]
fn what_opened_is_in_the_keyring_and_nothing_else() {
    let (network, id, _) = talking(1210);
    let bob = &network.parties[1];
    assert_eq!(texts(&bob.replica, &id), ["one"]);
    bob.replica.write_along().unwrap();
    // It opens without a copy: with neither halves nor what is said of keys.
    let store = copied(&**bob.replica.store(), &[keys::PREKEYS]);
    let rows = store.scan(Table::Meta, keys::KEYRING, None, false, 10).unwrap();
    assert_eq!(rows.len(), 1);
    let mut batch = Batch::new();
    let mut rotten = rows[0].1.to_vec();
    rotten[40] ^= 1;
    batch.put(Table::Meta, rows[0].0.to_vec(), rotten);
    let again = open(store, bob, false, 1213);
    let before = crate::seal::COPIES_OPENED.get();
    assert_eq!(texts(&again.replica, &id), ["one"]);
    assert_eq!(crate::seal::COPIES_OPENED.get(), before, "it was opened once more");
    assert!(again.replica.verify().unwrap().problems.is_empty());
    // A damaged row is told of, and the key opened anew.
    again.replica.store().commit(batch).unwrap();
    assert_eq!(again.replica.verify().unwrap().problems.len(), 1);
    let store = copied(&**again.replica.store(), &[]);
    assert_eq!(texts(&open(store, bob, false, 1214).replica, &id), ["one"]);
    assert_eq!(crate::seal::COPIES_OPENED.get(), before + 1);
}

#[test]
fn a_home_that_was_put_back_asks_for_what_was_sealed_to_prekeys_that_it_lost() {
    let (mut network, id, line) = talking(1220);
    let bob = &network.parties[1];
    let old = copied(&**bob.replica.store(), &[]);
    // After that backup Bob publishes another prekey, under which he is told two keys.
    let later = NOW + PREKEY_AGE_MS_MAX + 10;
    tend(&mut network, later);
    for n in 0..2 {
        let now = later + 1 + n * EPOCH_AGE_MS_MAX;
        say(&network.parties[0].replica, &id, &format!("later {n}"), now).unwrap();
        run(&mut network);
    }
    let now = later + 2 * EPOCH_AGE_MS_MAX;
    assert_eq!(texts(&network.parties[1].replica, &id), ["one", "later 0", "later 1"]);
    let again = open(old, &network.parties[1], true, 1224);
    assert_eq!(texts(&again.replica, &id), ["one"]);
    network.disconnect(line);
    network.parties[1] = again;
    network.connect(0, 1);
    network.refresh();
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id), ["one", "Waiting", "Waiting"]);
    // He notices as soon as he knows, publishes one and asks; and is answered under it, once.
    for n in 0..3 {
        tend(&mut network, now + n);
    }
    assert_eq!(texts(&network.parties[1].replica, &id), ["one", "later 0", "later 1"]);
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    assert_eq!(prekeys(ada, bob).len(), 3);
    let mut all = sealed_to(ada, bob, &id);
    all.sort_unstable();
    assert_eq!(all, [0, 2, 2, 3, 3]);
    say(&bob.replica, &id, "thank you", now + 10).unwrap();
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id).last().unwrap(), "thank you");
}

#[test]
fn who_was_away_for_months_seals_to_a_prekey_that_is_forgotten_and_is_read_all_the_same() {
    let (mut network, id, line) = talking(1230);
    network.disconnect(line);
    let mut now = NOW + 5;
    for _ in 0..6 {
        now += PREKEY_AGE_MS_MAX;
        network.parties[1].replica.tend_prekeys(now).unwrap();
    }
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    assert_eq!((prekeys(ada, bob).len(), prekeys(bob, bob).len()), (1, 7));
    let halves = bob.replica.store().scan(Table::Meta, keys::PREKEYS, None, false, 100).unwrap();
    assert_eq!(halves.len() as u64, 1 + PREKEY_KEPT_MS / PREKEY_AGE_MS_MAX, "old ones are erased");
    say(&ada.replica, &id, "I am back", now).unwrap();
    network.connect(0, 1);
    network.refresh();
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id), ["one", "Waiting"]);
    for n in 1..4 {
        tend(&mut network, now + n * DAY_MS);
    }
    assert_eq!(texts(&network.parties[1].replica, &id), ["one", "I am back"]);
    // What is answered stays answered.
    let digest = |home: &Home| {
        let space = crate::description::Space::Conversation(id).id();
        let class = crate::description::SectionClass::Private;
        let section = crate::sync::exchange::Section { space, class };
        crate::sync::exchange::Exchange::digest(&home.replica, &section).unwrap()
    };
    let before = digest(&network.parties[0]);
    for n in 4..8 {
        tend(&mut network, now + n * DAY_MS);
    }
    assert_eq!(digest(&network.parties[0]), before);
}

#[test]
fn a_prekey_is_published_with_its_half_or_not_at_all() {
    let (network, _, _) = talking(1240);
    let bob = &network.parties[1];
    bob.replica.write_along().unwrap();
    let later = NOW + PREKEY_AGE_MS_MAX + 10;
    for fault in [Fault::Fail, Fault::DiskFull, Fault::CrashBefore, Fault::CrashAfter] {
        let (mut published, mut not) = (0, 0);
        for n in 1.. {
            let store = copied(&**bob.replica.store(), &[]).snapshot();
            let store = Arc::new(Faulty::new(store).failing(n, fault));
            if let Ok(replica) = opened(store.clone(), bob, false, 1240 + n) {
                let _ = replica.tend_prekeys(later);
            }
            if !store.struck() {
                break;
            }
            let left = open(Arc::new(store.inner().crash()), bob, false, 5000 + n);
            let halves = left.replica.store().scan(Table::Meta, keys::PREKEYS, None, false, 9);
            let halves: Vec<_> = halves.unwrap().into_iter().map(|(key, _)| key).collect();
            let said = prekeys(&left, &left);
            // All that others can see has its half, and nothing waits for a second try.
            assert!(said.iter().all(|key| halves.iter().any(|row| row.ends_with(key.as_bytes()))));
            assert_eq!(halves.len(), said.len(), "{fault:?} at {n}");
            *(if said.len() == 2 { &mut published } else { &mut not }) += 1;
            left.replica.tend_prekeys(later).unwrap();
            assert_eq!(prekeys(&left, &left).len(), 2, "{fault:?} at {n}");
            assert!(left.replica.verify().unwrap().problems.is_empty());
        }
        assert!(not > 0 && published > 0, "{fault:?}: {not}, {published}");
    }
}

#[test]
fn a_prekey_that_a_revoked_device_says_beyond_its_cut_counts_for_nothing() {
    let (mut network, id, _) = talking(1250);
    let phone = link(&network.parties[1], 1255, "phone");
    network.parties.push(phone);
    let own = network.connect(1, 2);
    let third = network.connect(0, 2);
    run(&mut network);
    tend(&mut network, NOW + 10);
    tend(&mut network, NOW + 11);
    let [ada, bob, phone] = &network.parties[..] else { panic!("three") };
    assert_eq!(texts(&phone.replica, &id), ["one"]);
    assert_eq!((prekeys(ada, phone).len(), prekeys(bob, phone).len()), (1, 1));
    // Bob revokes it while it is elsewhere, where it says another one.
    network.disconnect(own);
    let [_, bob, phone] = &network.parties[..] else { panic!("three") };
    let stolen = phone.replica.device().unwrap();
    let later = NOW + PREKEY_AGE_MS_MAX + 20;
    bob.replica.revoke_device(stolen, "lost", later).unwrap();
    phone.replica.tend_prekeys(later).unwrap();
    assert_eq!(prekeys(phone, phone).len(), 2);
    run(&mut network);
    for _ in 0..2 {
        tend(&mut network, later + 1);
    }
    let [ada, bob, phone] = &network.parties[..] else { panic!("three") };
    assert_eq!((prekeys(ada, phone).len(), prekeys(bob, phone).len()), (1, 1));
    let said = say(&ada.replica, &id, "without it", later + 2).unwrap();
    run(&mut network);
    let [ada, bob, phone] = &network.parties[..] else { panic!("three") };
    assert_eq!(texts(&bob.replica, &id), ["one", "without it"]);
    assert!(!texts(&phone.replica, &id).contains(&"without it".to_owned()));
    let (_, talk) = ada.replica.known_conversation(&mut ada.replica.lock(), &id).unwrap();
    let Some((_, Entry::Sealed(sealed))) = ada.replica.entry(&said).unwrap() else { panic!() };
    let mut used = talk.epochs.iter().filter(|(e, _)| hint_of(e) == sealed.entry.epoch);
    assert!(used.all(|(_, known)| !known.wraps.contains_key(&stolen)));
    network.disconnect(third);
}

#[test]
fn two_that_change_their_prekeys_at_once_read_each_other() {
    let (mut network, id, line) = talking(1260);
    network.disconnect(line);
    let later = NOW + PREKEY_AGE_MS_MAX + 20;
    for (n, text) in ["from Ada", "from Bob"].into_iter().enumerate() {
        let replica = &network.parties[n].replica;
        replica.tend_prekeys(later).unwrap();
        say(replica, &id, text, later + 1).unwrap();
    }
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    assert_eq!((prekeys(ada, bob).len(), prekeys(bob, bob).len()), (1, 2));
    network.connect(0, 1);
    network.refresh();
    run(&mut network);
    for home in &network.parties {
        let mut read = texts(&home.replica, &id);
        read.sort_unstable();
        assert_eq!(read, ["from Ada", "from Bob", "one"]);
    }
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    let (_, talk) = ada.replica.known_conversation(&mut ada.replica.lock(), &id).unwrap();
    assert!(talk.epochs.values().all(|known| known.asks.is_empty()));
    assert_eq!((prekeys(ada, bob).len(), prekeys(bob, ada).len()), (2, 2));
}

#[test]
fn two_homes_of_one_device_do_not_answer_each_other_without_end() {
    let (mut network, id, _) = talking(1270);
    let twin =
        open(copied(&**network.parties[1].replica.store(), &[]), &network.parties[1], true, 7);
    network.parties.push(twin);
    network.connect(0, 2);
    let later = NOW + PREKEY_AGE_MS_MAX + 20;
    for n in 0..8 {
        tend(&mut network, later + n * DAY_MS / 24);
    }
    // Each changed its own once, and once more for that of the other at most.
    let said = prekeys(&network.parties[0], &network.parties[1]).len();
    assert!((3..=5).contains(&said), "{said}");
    say(&network.parties[0].replica, &id, "which one?", later + DAY_MS / 2).unwrap();
    run(&mut network);
    let reads = |home: &Home| texts(&home.replica, &id) == ["one", "which one?"];
    assert!(network.parties[1..].iter().any(reads), "the one whose prekey was said last");
}
