//! What a revocation settles, whatever came first.

use mosaic_engine::description::Description;
use mosaic_engine::hash::Incarnation;

use super::hostile::{Forger, reply, take};
use super::*;

/// Gives all that several replicas have, in turn, until all had every chance.
fn settle(all: &[&Replica]) {
    for _ in 0..3 {
        for from in all {
            for to in all.iter().filter(|to| to.own_device() != from.own_device()) {
                give(from, to);
            }
        }
    }
}

fn fields(replica: &Replica, account: &AccountId) -> Vec<(String, Value)> {
    let profile = replica.profile(account).unwrap();
    profile.into_iter().map(|field| (field.key, field.value)).collect()
}

fn put(key: &str, value: &str) -> Vec<(String, Option<Value>)> {
    vec![(key.into(), Some(value.into()))]
}

#[test]
fn honest_edits_on_void_ones_reach_all_whatever_came_first() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let tablet = link(&laptop, 6, "tablet");
    give(&laptop, &phone);
    give(&laptop, &tablet);
    let watching = |seed| {
        let (hub, _) = person(seed, "hub");
        hub.subscribe(Subscription::whole(ada)).unwrap();
        hub
    };
    let (early, late, latest) = (watching(3), watching(4), watching(5));
    // The tablet builds on what the phone wrote, twice, before it hears of the revocation.
    for n in 0..3 {
        phone.edit_profile(put("name", &format!("Thief {n}")), NOW).unwrap();
    }
    give(&phone, &tablet);
    tablet.edit_profile(put("bio", "honest"), NOW + 2).unwrap();
    tablet.edit_profile(put("city", "London"), NOW + 3).unwrap();
    phone.edit_profile(put("name", "Nobody builds on this"), NOW + 4).unwrap();
    give(&phone, &early);
    laptop.revoke_device(phone.own_device(), "stolen", NOW + 1).unwrap();
    // One hears of the writing first, one of the revocation, one of the tablet.
    give(&tablet, &early);
    give(&laptop, &early);
    give(&laptop, &late);
    give(&phone, &late);
    give(&tablet, &late);
    give(&laptop, &latest);
    give(&tablet, &latest);
    give(&phone, &latest);
    settle(&[&laptop, &tablet, &early, &late, &latest]);
    let expected = fields(&early, &ada);
    assert!(expected.contains(&("city".into(), "London".into())), "{expected:?}");
    assert!(expected.contains(&("name".into(), "Thief 2".into())), "{expected:?}");
    for replica in [&laptop, &tablet, &late, &latest] {
        assert_eq!(fields(replica, &ada), expected);
        agree(&early, replica);
        sound(replica);
        for section in replica.kept_sections().unwrap() {
            assert_eq!(replica.incomplete(&section, 10).unwrap(), []);
        }
    }
    // Who comes now hears all of it from one of them, whatever that one kept.
    for from in [&early, &late, &latest, &laptop] {
        let newcomer = watching(20);
        give(from, &newcomer);
        assert_eq!(fields(&newcomer, &ada), expected);
        agree(&newcomer, from);
    }
}

#[test]
fn sealed_edits_on_void_ones_reach_own_devices_whatever_came_first() {
    let (laptop, _) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let tablet = link(&laptop, 6, "tablet");
    give(&laptop, &phone);
    give(&laptop, &tablet);
    let account = |n: u8| AccountId::from_bytes([n; 32]);
    phone.set_listed(BLOCKS, account(1), true, NOW).unwrap();
    phone.set_listed(BLOCKS, account(2), true, NOW).unwrap();
    give(&phone, &tablet);
    tablet.set_listed(BLOCKS, account(3), true, NOW).unwrap();
    tablet.set_listed(BLOCKS, account(4), true, NOW).unwrap();
    phone.set_listed(BLOCKS, account(5), true, NOW).unwrap();
    laptop.revoke_device(phone.own_device(), "stolen", NOW + 1).unwrap();
    settle(&[&laptop, &tablet]);
    let expected = std::collections::BTreeSet::from([1, 2, 3, 4].map(account));
    for replica in [&laptop, &tablet] {
        assert_eq!(replica.accounts_in(BLOCKS).unwrap(), expected);
    }
    agree(&laptop, &tablet);
    // The laptop goes on where all agree.
    laptop.set_listed(BLOCKS, account(6), true, NOW + 2).unwrap();
    settle(&[&laptop, &tablet]);
    assert_eq!(tablet.accounts_in(BLOCKS).unwrap().len(), 5);
}

#[test]
fn what_stays_of_a_cut_chain_reaches_newcomers() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (hub, _) = person(3, "hub");
    let (late, _) = person(4, "late");
    for replica in [&hub, &late] {
        replica.subscribe(Subscription::whole(ada)).unwrap();
    }
    give(&laptop, &phone);
    phone.post(draft("before"), None, NOW).unwrap();
    give(&phone, &laptop);
    laptop.revoke_device(phone.own_device(), "lost", NOW + 1).unwrap();
    phone.post(draft("after"), None, NOW + 2).unwrap();
    give(&laptop, &hub);
    give(&phone, &hub);
    phone.post(draft("and after"), None, NOW + 3).unwrap();
    give(&phone, &hub);
    give(&hub, &late);
    assert_eq!(texts(&hub, &ada), ["before"]);
    assert_eq!(texts(&late, &ada), ["before"]);
    agree(&hub, &late);
    sound(&hub);
    sound(&late);
}

#[test]
fn a_void_tombstone_withdraws_nothing_for_long() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let tablet = link(&laptop, 6, "tablet");
    let (early, late) = (person(3, "hub").0, person(4, "hub").0);
    for hub in [&early, &late] {
        hub.subscribe(Subscription::whole(ada)).unwrap();
    }
    let post = laptop.post(draft("mine"), None, NOW).unwrap();
    let edited = laptop.post(draft("old"), None, NOW + 1).unwrap();
    laptop.edit(edited, "new", NOW + 2).unwrap();
    for replica in [&phone, &tablet, &early] {
        give(&laptop, replica);
    }
    phone.delete(post, NOW + 3).unwrap();
    phone.delete(edited, NOW + 3).unwrap();
    give(&phone, &early);
    assert_eq!(texts(&early, &ada), ["Deleted", "Deleted"]);
    laptop.revoke_device(phone.own_device(), "stolen", NOW + 4).unwrap();
    give(&laptop, &early);
    give(&laptop, &late);
    give(&phone, &late);
    for replica in [&laptop, &early, &late] {
        assert_eq!(texts(replica, &ada), ["new", "mine"]);
        sound(replica);
    }
    // What a device that counts withdraws stays withdrawn.
    give(&laptop, &tablet);
    tablet.delete(post, NOW + 5).unwrap();
    settle(&[&tablet, &early, &late, &laptop]);
    for replica in [&tablet, &laptop, &early, &late] {
        assert_eq!(texts(replica, &ada), ["new", "Deleted"]);
        sound(replica);
    }
}

#[test]
fn a_later_cut_lets_tombstones_count_again() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    let tablet = link_ranked(&laptop, 6, "tablet", 150);
    let post = laptop.post(draft("slip"), None, NOW).unwrap();
    for replica in [&phone, &tablet, &hub] {
        give(&laptop, replica);
    }
    phone.delete(post, NOW + 1).unwrap();
    give(&phone, &tablet);
    give(&phone, &hub);
    laptop.revoke_device(phone.own_device(), "lost", NOW + 2).unwrap();
    give(&laptop, &hub);
    assert_eq!(texts(&hub, &ada), ["slip"]);
    // The tablet had seen the phone's deletion: its cut lets it stand.
    tablet.revoke_device(phone.own_device(), "lost", NOW + 3).unwrap();
    give(&tablet, &hub);
    assert_eq!(hub.show(&post).unwrap().text, Text::Deleted);
    let mut found = false;
    hub.dump(&mut |_, _, value| found |= value.windows(4).any(|bytes| bytes == b"slip")).unwrap();
    assert!(!found);
    sound(&hub);
}

#[test]
fn a_thief_with_many_lives_is_revoked_like_any_other() {
    let (laptop, ada) = person(1, "laptop");
    let (friend, bob) = person(4, "pc");
    laptop.follow(bob, None, NOW).unwrap();
    let target = friend.post(draft("hello"), None, NOW).unwrap();
    give(&friend, &laptop);
    let mut phone = Forger::linked(&laptop, 60);
    let page = Description::guest(bob, ada, 0);
    for life in 0..300u16 {
        let mut bytes = [1; 16];
        bytes[..2].copy_from_slice(&life.to_be_bytes());
        phone = phone.in_life(Incarnation::from_bytes(bytes));
        let (chain, _) = phone.write(&page, &[reply(target, target)]);
        assert_eq!(take(&laptop, &phone, chain), Verdict::Accepted { held_n: 1 });
    }
    laptop.revoke_device(phone.id(), "stolen", NOW + 1).unwrap();
    let authority = laptop.authority(&ada).unwrap().unwrap();
    assert!(authority.devices.get(&phone.id()).unwrap().revoked.is_some());
    assert_eq!(laptop.show(&target).unwrap().replies, 300);
    sound(&laptop);
}

#[test]
fn chains_of_a_device_that_is_no_longer_named_are_known_to_all() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link_ranked(&laptop, 2, "phone", 150);
    let (early, late) = (person(3, "hub").0, person(4, "hub").0);
    for hub in [&early, &late] {
        hub.subscribe(Subscription::whole(ada)).unwrap();
    }
    give(&laptop, &phone);
    let tablet = link(&phone, 6, "tablet");
    give(&phone, &tablet);
    tablet.post(draft("from the tablet"), None, NOW).unwrap();
    give(&phone, &early);
    give(&tablet, &early);
    assert_eq!(texts(&early, &ada), ["from the tablet"]);
    // The laptop had not heard of the tablet.
    laptop.revoke_device(phone.own_device(), "lost", NOW + 1).unwrap();
    give(&laptop, &early);
    give(&laptop, &late);
    settle(&[&early, &late, &tablet]);
    for hub in [&early, &late] {
        assert_eq!(texts(hub, &ada), Vec::<String>::new());
        for section in hub.kept_sections().unwrap() {
            assert_eq!(hub.incomplete(&section, 10).unwrap(), []);
        }
        sound(hub);
    }
    agree(&early, &late);
}

#[test]
fn what_a_suspended_device_writes_is_kept_and_held_back() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (early, late) = (person(3, "hub").0, person(4, "hub").0);
    for hub in [&early, &late] {
        hub.subscribe(Subscription::whole(ada)).unwrap();
    }
    give(&laptop, &phone);
    phone.post(draft("before"), None, NOW).unwrap();
    give(&phone, &laptop);
    laptop.suspend_device(phone.own_device(), true, NOW + 1).unwrap();
    phone.post(draft("after"), None, NOW + 2).unwrap();
    phone.edit_profile(put("name", "Thief"), NOW + 2).unwrap();
    give(&phone, &early);
    assert_eq!(texts(&early, &ada), ["after", "before"]);
    give(&laptop, &late);
    settle(&[&laptop, &early, &late]);
    give(&phone, &late);
    settle(&[&laptop, &early, &late]);
    for replica in [&early, &late, &laptop] {
        assert_eq!(texts(replica, &ada), ["before"]);
        assert_eq!(fields(replica, &ada), []);
        for section in replica.kept_sections().unwrap() {
            assert_eq!(replica.incomplete(&section, 10).unwrap(), []);
        }
    }
    // It was in the other coat: nothing is lost.
    laptop.suspend_device(phone.own_device(), false, NOW + 3).unwrap();
    settle(&[&laptop, &early, &late, &phone]);
    for replica in [&early, &late, &laptop, &phone] {
        assert_eq!(texts(replica, &ada), ["after", "before"]);
        assert_eq!(fields(replica, &ada).len(), 1);
        agree(&laptop, replica);
        sound(replica);
    }
}

#[test]
fn a_suspended_thief_destroys_nothing_and_gains_nothing_by_being_revoked() {
    for revoked in [true, false] {
        let (laptop, ada) = person(1, "laptop");
        let phone = link(&laptop, 2, "phone");
        let (early, late) = (person(3, "hub").0, person(4, "hub").0);
        for hub in [&early, &late] {
            hub.subscribe(Subscription::whole(ada)).unwrap();
        }
        give(&laptop, &phone);
        let of_phone = phone.post(draft("by phone"), None, NOW).unwrap();
        give(&phone, &laptop);
        let of_laptop = laptop.post(draft("by laptop"), None, NOW + 1).unwrap();
        settle(&[&laptop, &phone, &early, &late]);
        let good = ["by laptop", "by phone"];
        laptop.suspend_device(phone.own_device(), true, NOW + 2).unwrap();
        phone.post(draft("late"), None, NOW + 3).unwrap();
        phone.edit_profile(put("bio", "Thief"), NOW + 3).unwrap();
        for post in [of_phone, of_laptop] {
            phone.edit(post, "altered", NOW + 4).unwrap();
            phone.delete(post, NOW + 5).unwrap();
        }
        // One hub hears of the thief first, the other of the suspension.
        give(&phone, &early);
        give(&laptop, &late);
        give(&phone, &late);
        settle(&[&laptop, &early, &late]);
        for replica in [&laptop, &early, &late] {
            assert_eq!(texts(replica, &ada), good);
        }
        if revoked {
            laptop.revoke_device(phone.own_device(), "", NOW + 6).unwrap();
            settle(&[&laptop, &early, &late]);
            for replica in [&laptop, &early, &late] {
                assert_eq!(texts(replica, &ada), good);
                assert_eq!(fields(replica, &ada), []);
            }
        } else {
            laptop.suspend_device(phone.own_device(), false, NOW + 6).unwrap();
            settle(&[&laptop, &early, &late]);
            for replica in [&laptop, &early, &late] {
                assert_eq!(texts(replica, &ada), ["late", "Deleted", "Deleted"]);
            }
        }
        for replica in [&early, &late] {
            agree(&laptop, replica);
            sound(replica);
        }
    }
}

#[test]
fn a_device_that_had_written_nothing_is_suspended_too() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    laptop.post(draft("mine"), None, NOW).unwrap();
    give(&laptop, &phone);
    laptop.suspend_device(phone.own_device(), true, NOW + 1).unwrap();
    phone.post(draft("late"), None, NOW + 2).unwrap();
    settle(&[&laptop, &phone]);
    assert_eq!(texts(&laptop, &ada), ["mine"]);
    laptop.suspend_device(phone.own_device(), false, NOW + 3).unwrap();
    assert_eq!(texts(&laptop, &ada), ["late", "mine"]);
}

#[test]
fn a_claimed_time_gives_nobody_the_last_word() {
    use mosaic_engine::model::entry::ReplyPolicy;
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let tablet = link(&laptop, 6, "tablet");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    give(&laptop, &phone);
    give(&laptop, &tablet);
    let policy = |replica: &Replica| replica.authority(&ada).unwrap().unwrap().policy;
    // A clock that is far ahead is not believed more than the word that answers it.
    tablet.set_reply_policy(ReplyPolicy::Nobody, NOW * 2).unwrap();
    give(&tablet, &laptop);
    laptop.set_reply_policy(ReplyPolicy::Admitted, NOW + 1).unwrap();
    assert_eq!(policy(&laptop), ReplyPolicy::Admitted);
    // A thief names the last moment of all; once he is revoked others have the last word.
    give(&laptop, &phone);
    phone.set_reply_policy(ReplyPolicy::Nobody, u64::MAX).unwrap();
    give(&phone, &laptop);
    assert_eq!(policy(&laptop), ReplyPolicy::Nobody);
    laptop.revoke_device(phone.own_device(), "stolen", NOW + 2).unwrap();
    assert_eq!(policy(&laptop), ReplyPolicy::Admitted);
    laptop.set_reply_policy(ReplyPolicy::Everyone, NOW + 3).unwrap();
    // One device's words hold in the order in which it said them.
    let suspended = |replica: &Replica| {
        let authority = replica.authority(&ada).unwrap().unwrap();
        authority.devices.get(&tablet.own_device()).unwrap().suspended
    };
    laptop.suspend_device(tablet.own_device(), true, NOW + 3_600_000).unwrap();
    assert!(suspended(&laptop));
    laptop.suspend_device(tablet.own_device(), false, NOW + 4).unwrap();
    give(&phone, &hub);
    give(&laptop, &hub);
    for replica in [&laptop, &hub] {
        assert!(!suspended(replica));
        assert_eq!(policy(replica), ReplyPolicy::Everyone);
    }
}

#[test]
fn a_device_linked_while_another_is_revoked_gets_the_new_key() {
    let (laptop, _) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let tablet = link_ranked(&laptop, 6, "tablet", 150);
    give(&laptop, &phone);
    give(&laptop, &tablet);
    let bob = AccountId::from_bytes([9; 32]);
    laptop.revoke_device(phone.own_device(), "stolen", NOW).unwrap();
    let watch = link(&tablet, 7, "watch");
    laptop.follow(bob, None, NOW + 1).unwrap();
    settle(&[&laptop, &tablet, &watch]);
    assert!(tablet.accounts_in("follows").unwrap().contains(&bob));
    assert!(!watch.accounts_in("follows").unwrap().contains(&bob));
    let entries = |replica: &Replica| {
        let authority = replica.authority(&replica.account().unwrap()).unwrap().unwrap();
        authority.epochs.len()
    };
    let before = entries(&tablet);
    // Whoever holds the key and writes anything seals it to the new device, once.
    tablet.post(draft("hello"), None, NOW + 2).unwrap();
    tablet.post(draft("again"), None, NOW + 3).unwrap();
    assert_eq!(entries(&tablet), before + 1);
    settle(&[&laptop, &tablet, &watch]);
    assert!(watch.accounts_in("follows").unwrap().contains(&bob));
    laptop.post(draft("me too"), None, NOW + 4).unwrap();
    assert_eq!(entries(&laptop), before + 1);
    // The revoked one gets nothing.
    let authority = laptop.authority(&laptop.account().unwrap()).unwrap().unwrap();
    let (_, newest) = authority.epochs.last().unwrap();
    assert!(newest.iter().all(|wrap| wrap.device != phone.own_device()));
}

#[test]
fn devices_that_a_revoked_one_brought_in_stay_and_are_named() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link_ranked(&laptop, 2, "phone", 150);
    give(&laptop, &phone);
    let tablet = link_ranked(&phone, 6, "tablet", 120);
    give(&phone, &tablet);
    let watch = link(&tablet, 7, "watch");
    give(&phone, &laptop);
    give(&tablet, &laptop);
    laptop.revoke_device(phone.own_device(), "stolen", NOW).unwrap();
    let brought_in = || {
        let authority = laptop.authority(&ada).unwrap().unwrap();
        assert!(authority.may_write(&watch.own_device()));
        authority.brought_in(&phone.own_device())
    };
    let mut both = vec![tablet.own_device(), watch.own_device()];
    both.sort_unstable();
    assert_eq!(brought_in(), both);
    laptop.revoke_device(tablet.own_device(), "too", NOW + 1).unwrap();
    assert_eq!(brought_in(), [watch.own_device()]);
}
