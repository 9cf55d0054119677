//! What expired opens for nobody: not for who takes a device and has recorded all that was ever sent.

use std::sync::Arc;

use super::prekeys::{DAY_MS, copied, open, talking, tend};
use super::{run, say, texts};
use crate::description::Space;
use crate::hash::{ChangeId, ConversationId};
use crate::limits::{PREKEY_AGE_MS_MAX, PREKEY_KEPT_MS};
use crate::replica::{DirectDraft, Replica};
use crate::seal::open_at_rest;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Store, Table, keys};
use crate::sync::tests::replicas::{Home, NOW, link};

const HOUR_MS: u64 = DAY_MS / 24;

fn burning(replica: &Replica, id: &ConversationId, text: &str, now: u64, ms: u64) -> ChangeId {
    let draft =
        DirectDraft { text: text.into(), expires_after_ms: Some(ms), ..DirectDraft::default() };
    replica.say_directly(None, id, &draft, now).unwrap()
}

/// All rows, and what a device's keys open of them.
fn all_bytes(home: &Home) -> Vec<Vec<u8>> {
    let store = home.replica.store();
    let state = home.replica.lock();
    let secret = &state.own.as_ref().unwrap().secret;
    let mut all = Vec::new();
    for table in Table::ALL {
        for (key, value) in store.scan(table, b"", None, false, 1_000_000).unwrap() {
            for purpose in ["prekey", "keyring"] {
                // Halves have two numbers before them.
                for start in [0, 16] {
                    let sealed = value.get(start..).unwrap_or_default();
                    all.extend(open_at_rest(secret, purpose, sealed).ok().map(|b| b.to_vec()));
                }
            }
            all.extend([key.to_vec(), value.to_vec()]);
        }
    }
    all
}

fn holds(all: &[Vec<u8>], bytes: &[u8]) -> bool {
    all.iter().any(|row| row.windows(bytes.len()).any(|part| part == bytes))
}

/// What somebody reads who has a device as it is now, and recorded what it had before.
fn stolen(home: &Home, recorded: &Arc<MemoryStore>, id: &ConversationId, seed: u64) -> Vec<String> {
    let store = copied(&**recorded, &[keys::PREKEYS, keys::KEYRING]);
    let mut batch = Batch::new();
    for kind in [keys::PREKEYS, keys::KEYRING] {
        let rows = home.replica.store().scan(Table::Meta, kind, None, false, 1000).unwrap();
        // A thief does not heed marks.
        for (key, value) in rows.into_iter().filter(|(_, value)| value[0] != 0 || kind == b"P") {
            batch.put(Table::Meta, key.to_vec(), value.to_vec());
        }
    }
    store.commit(batch).unwrap();
    texts(&open(store, home, false, seed).replica, id)
}

#[test]
fn what_expired_opens_for_no_thief_once_keys_and_halves_are_forgotten() {
    let (mut network, id, _) = talking(1300);
    let secret = "burn after reading";
    let ada = &network.parties[0].replica;
    let first = burning(ada, &id, secret, NOW + 10, HOUR_MS);
    run(&mut network);
    say(&network.parties[1].replica, &id, "lasting", NOW + 11).unwrap();
    run(&mut network);
    let ada = &network.parties[0].replica;
    ada.edit_directly(&first, "burn before reading", NOW + 12).unwrap();
    run(&mut network);
    let before = ["one", "burn before reading", "lasting"];
    let mut known = Vec::new();
    let mut recorded = Vec::new();
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &id), before);
        home.replica.write_along().unwrap();
        let hint = match home.replica.entry(&first).unwrap() {
            Some((_, crate::model::entry::Entry::Sealed(sealed))) => sealed.entry.epoch,
            other => panic!("{other:?}"),
        };
        let state = home.replica.lock();
        let mut held = state.circle_keys.values().filter_map(|held| held.key.clone());
        let key = held.find(|key| crate::seal::hint_of(&key.id()) == hint).unwrap();
        let half = state.own.as_ref().unwrap().newest_half().unwrap().secret.to_bytes();
        drop(state);
        let all = all_bytes(home);
        assert!(holds(&all, &*key.to_bytes()) && holds(&all, &*half), "the search finds them");
        recorded.push(copied(&**home.replica.store(), &[]));
        known.push((key.to_bytes().to_vec(), half.to_vec()));
    }
    // Nothing is over yet but the text; then the key; then the halves of the prekeys.
    for (n, home) in network.parties.iter().enumerate() {
        assert_eq!(stolen(home, &recorded[n], &id, 1305), before);
    }
    tend(&mut network, NOW + 2 * HOUR_MS);
    tend(&mut network, NOW + 2 * DAY_MS);
    for (n, home) in network.parties.iter().enumerate() {
        assert_eq!(texts(&home.replica, &id), ["one", "Expired", "lasting"]);
        let all = all_bytes(home);
        assert!(!holds(&all, &known[n].0), "the key is erased");
        // A copy of it still opens for who has the device.
        assert_eq!(stolen(home, &recorded[n], &id, 1306), before);
    }
    tend(&mut network, NOW + PREKEY_AGE_MS_MAX + DAY_MS);
    tend(&mut network, NOW + PREKEY_AGE_MS_MAX + PREKEY_KEPT_MS + 2 * DAY_MS);
    tend(&mut network, NOW + PREKEY_AGE_MS_MAX + PREKEY_KEPT_MS + 3 * DAY_MS);
    for (n, home) in network.parties.iter().enumerate() {
        assert_eq!(texts(&home.replica, &id), ["one", "Expired", "lasting"]);
        let all = all_bytes(home);
        let (key, half) = &known[n];
        for bytes in [&key[..], half, secret.as_bytes(), b"burn before reading"] {
            assert!(!holds(&all, bytes), "{n}");
        }
        let read = stolen(home, &recorded[n], &id, 1307);
        assert!(!read.iter().any(|text| text.starts_with("burn")), "{read:?}");
        // Nor can he tell the edit from a message.
        assert_eq!(read, ["one", "Waiting", "lasting", "Waiting"]);
        assert!(home.replica.verify().unwrap().problems.is_empty());
        let again = open(copied(&**home.replica.store(), &[]), home, false, 1308);
        assert_eq!(texts(&again.replica, &id), ["one", "Expired", "lasting"]);
    }
    // The next one has a key of its own.
    burning(&network.parties[1].replica, &id, "again", NOW + 100 * DAY_MS, HOUR_MS);
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id).last().unwrap(), "again");
}

#[test]
fn a_text_that_comes_after_its_key_was_erased_is_read_while_it_is_not_over() {
    let (mut network, id, line) = talking(1310);
    burning(&network.parties[0].replica, &id, "short", NOW + 10, HOUR_MS);
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id), ["one", "short"]);
    network.disconnect(line);
    burning(&network.parties[1].replica, &id, "late", NOW + 20, 200 * DAY_MS);
    for n in [2, 40, 120] {
        tend(&mut network, NOW + n * DAY_MS);
    }
    assert_eq!(texts(&network.parties[0].replica, &id), ["one", "Expired"]);
    network.connect(0, 1);
    network.refresh();
    run(&mut network);
    for n in 121..125 {
        tend(&mut network, NOW + n * DAY_MS);
    }
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &id), ["one", "Expired", "late"]);
    }
    tend(&mut network, NOW + 300 * DAY_MS);
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &id), ["one", "Expired", "Expired"]);
    }
}

#[test]
fn a_device_that_is_linked_later_is_told_that_it_expired_and_asks_for_nothing() {
    let (mut network, id, _) = talking(1320);
    burning(&network.parties[0].replica, &id, "short", NOW + 10, HOUR_MS);
    run(&mut network);
    tend(&mut network, NOW + 2 * DAY_MS);
    let phone = link(&network.parties[0], 1325, "phone");
    network.parties.push(phone);
    network.connect(0, 2);
    run(&mut network);
    for n in 3..6 {
        tend(&mut network, NOW + n * DAY_MS);
    }
    let phone = &network.parties[2].replica;
    assert_eq!(texts(phone, &id), ["one", "Expired"]);
    let (_, talk) = phone.known_conversation(&mut phone.lock(), &id).unwrap();
    assert!(talk.epochs.values().all(|known| known.asks.is_empty()));
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_hides_nothing_that_comes_later_and_forgets_no_half() {
    let (mut network, id, _) = talking(1340);
    burning(&network.parties[0].replica, &id, "for a week", NOW + 10, 7 * DAY_MS);
    run(&mut network);
    let bob = &network.parties[1].replica;
    bob.tend_prekeys(NOW + PREKEY_AGE_MS_MAX + 4).unwrap();
    let halves = || bob.store().scan(Table::Meta, keys::PREKEYS, None, false, 10).unwrap().len();
    assert_eq!(halves(), 2);
    let ahead = NOW + 365 * DAY_MS;
    bob.expire(ahead).unwrap();
    assert_eq!(bob.forget_keys(ahead).unwrap(), 1);
    bob.tend_prekeys(ahead).unwrap();
    assert_eq!(halves(), 3);
    bob.expire(NOW + 20).unwrap();
    assert_eq!(texts(bob, &id), ["one", "Expired"]);
    // Of the same day, with the same key.
    burning(&network.parties[0].replica, &id, "for a day", NOW + 30, DAY_MS);
    run(&mut network);
    let bob = &network.parties[1].replica;
    assert_eq!(texts(bob, &id).last().unwrap(), "for a day");
    bob.expire(NOW + 8 * DAY_MS).unwrap();
    bob.forget_keys(NOW + 8 * DAY_MS).unwrap();
    assert_eq!(texts(bob, &id), ["one", "Expired", "Expired"]);
}

#[test]
fn a_conversation_that_is_damaged_keeps_no_other_key_from_being_erased() {
    let (network, whole, _) = talking(1350);
    let ada = &network.parties[0].replica;
    let bob = network.parties[1].replica.account().unwrap();
    let other = ada.found_group("other", &[bob], NOW + 5).unwrap();
    let said = [whole, other]
        .map(|id| (Space::Conversation(id).id(), burning(ada, &id, "burn", NOW + 10, HOUR_MS)));
    // The one that is looked at first.
    let (_, rotten) = said.into_iter().min().unwrap();
    let row = ada.entry_row(&rotten).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Truth, keys::chain_change(&row.chain(), row.n), b"rot".to_vec());
    ada.store().commit(batch).unwrap();
    ada.lock().talks.clear();
    let erased = || {
        let rows = ada.store().scan(Table::Meta, keys::KEYRING, None, false, 100).unwrap();
        rows.iter().filter(|(_, row)| row[0] == 0).count()
    };
    assert_eq!(erased(), 0);
    assert!(ada.forget_keys(NOW + 2 * DAY_MS).is_err());
    assert_eq!(erased(), 1);
}
