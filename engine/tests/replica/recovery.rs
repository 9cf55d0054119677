//! Everything is lost but the words and a hub.

use mosaic_engine::identity::{CertificatePath, RecoverySecret};
use mosaic_engine::replica::{EngineError, FOLLOWS, PETNAMES, READ_MARKS, Recoverable, TakenOut};

use super::*;

fn words(seed: u8) -> RecoverySecret {
    RecoverySecret::derive(&[seed; 32]).unwrap()
}

fn ada(seed: u64) -> (Replica, AccountId) {
    let replica = replica(seed);
    let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 1000));
    let account = replica.create_recoverable(secret, "laptop", &words(0), NOW).unwrap();
    (replica, account)
}

fn hub_for(seed: u64, accounts: &[AccountId]) -> Replica {
    let (hub, _) = person(seed, "hub");
    for account in accounts {
        hub.subscribe(Subscription::whole(*account)).unwrap();
    }
    hub
}

/// Gives all to a hub, what is private too.
fn back_up(device: &Replica, hub: &Replica) {
    device.set_keeper(&hub.own_device(), true).unwrap();
    give(device, hub);
}

fn find(hub: &Replica, words: &RecoverySecret) -> Recoverable {
    hub.recoverable(&words.policy().id()).unwrap().unwrap()
}

/// An empty machine with the words and a hub: the device, not yet known to anybody.
fn certified(hub: &Replica, words: &RecoverySecret, seed: u64) -> Replica {
    let found = find(hub, words);
    let new = replica(seed);
    let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 1000));
    let (account, rank) = (found.genesis.account(), found.next_rank());
    let certificate = words.certify(account, found.rotations.clone(), &secret, rank, NOW).unwrap();
    new.adopt(secret, CertificatePath::recovered(found.genesis, certificate)).unwrap();
    give(hub, &new);
    new
}

fn finish(new: &Replica, hub: &Replica, words: &RecoverySecret, name: &str) -> TakenOut {
    new.announce_recovery(name, NOW + 10).unwrap();
    back_up(new, hub);
    give(hub, new);
    new.open_backup(words).unwrap();
    give(hub, new);
    let taken = new.finish_recovery(words, NOW + 11).unwrap();
    back_up(new, hub);
    taken
}

fn recover(hub: &Replica, words: &RecoverySecret, seed: u64) -> (Replica, TakenOut) {
    let new = certified(hub, words, seed);
    let taken = finish(&new, hub, words, "new");
    (new, taken)
}

fn private(replica: &Replica) -> Vec<Vec<(String, Value)>> {
    let map = |name| {
        let fields = replica.private_map(name).unwrap();
        fields.into_iter().map(|field| (field.key, field.value)).collect()
    };
    [FOLLOWS, BLOCKS, PETNAMES, READ_MARKS, "drafts of a later version"].map(map).into()
}

#[test]
fn all_comes_back_from_words_and_a_hub() {
    let (laptop, account) = ada(1);
    let phone = link(&laptop, 2, "phone");
    give(&laptop, &phone);
    let (bob, bob_id) = person(5, "bob");
    let hub = hub_for(3, &[account, bob_id]);
    let post = bob.post(draft("by bob"), None, NOW).unwrap();
    give(&bob, &hub);
    laptop.edit_profile(vec![("name".into(), Some("Ada".into()))], NOW).unwrap();
    laptop.post(draft("from the laptop"), None, NOW).unwrap();
    phone.post(draft("from the phone"), None, NOW + 1).unwrap();
    laptop.follow(bob_id, Some("bobby"), NOW).unwrap();
    phone.set_listed(BLOCKS, AccountId::from_bytes([9; 32]), true, NOW).unwrap();
    phone
        .edit_private("drafts of a later version", vec![("1".into(), Some("x".into()))], NOW)
        .unwrap();
    give(&hub, &laptop);
    laptop.reply(post, draft("hello bob"), NOW + 2).unwrap();
    for (a, b) in [(&laptop, &phone), (&phone, &laptop)] {
        give(a, b);
    }
    back_up(&laptop, &hub);
    // The laptop has nothing that the hub has not: it is the yardstick.
    let (new, taken) = recover(&hub, &words(0), 10);
    assert_eq!(taken.devices.len(), 2);
    assert_eq!((taken.others.len(), taken.keys > 0), (0, true));
    assert_eq!(private(&new), private(&laptop));
    assert_eq!(private(&new)[1].len() + private(&new)[4].len(), 2);
    assert_eq!(texts(&new, &account), texts(&laptop, &account));
    assert_eq!(new.profile(&account).unwrap(), laptop.profile(&account).unwrap());
    assert_eq!(texts(&new, &bob_id), ["by bob"]);
    // What was said on the walls of others before stays too.
    let (reader, _) = person(20, "reader");
    reader.subscribe(Subscription::whole(account)).unwrap();
    reader.subscribe(Subscription::whole(bob_id)).unwrap();
    give(&hub, &reader);
    assert_eq!(reader.replies(&post, true, false).unwrap().len(), 1);
    // The devices of before are out, wherever their words go first.
    phone.post(draft("by the thief"), None, NOW + 30).unwrap();
    laptop.post(draft("by another"), None, NOW + 30).unwrap();
    for thief in [&phone, &laptop] {
        give(thief, &hub);
        give(thief, &reader);
        give(thief, &new);
    }
    give(&hub, &reader);
    for replica in [&hub, &reader, &new] {
        assert_eq!(texts(replica, &account), ["from the phone", "from the laptop"]);
        sound(replica);
    }
    give(&hub, &phone);
    let refused = phone.post(draft("again"), None, NOW + 40).unwrap_err();
    assert!(matches!(refused, EngineError::Revoked(_)), "{refused}");
    // They are given nothing private any more, and could not read it.
    new.set_listed(BLOCKS, bob_id, true, NOW + 50).unwrap();
    give(&new, &hub);
    give(&hub, &phone);
    assert!(!phone.accounts_in(BLOCKS).unwrap().contains(&bob_id));
    // Life goes on: the next phone, and the next loss.
    let tablet = link(&new, 30, "tablet");
    give(&new, &tablet);
    assert_eq!(private(&tablet), private(&new));
    tablet.post(draft("from the tablet"), None, NOW + 60).unwrap();
    back_up(&tablet, &hub);
    let (last, taken) = recover(&hub, &words(0), 40);
    assert_eq!((taken.devices.len(), taken.others.len()), (0, 2));
    assert_eq!(texts(&last, &account)[0], "from the tablet");
    assert_eq!(private(&last), private(&new));
    last.revoke_device(new.own_device(), "lost as well", NOW + 70).unwrap();
}

#[test]
fn two_recoveries_with_the_same_words_merge() {
    let (laptop, account) = ada(1);
    laptop.follow(AccountId::from_bytes([9; 32]), Some("nine"), NOW).unwrap();
    laptop.post(draft("before"), None, NOW).unwrap();
    let hubs = [hub_for(3, &[account]), hub_for(4, &[account])];
    back_up(&laptop, &hubs[0]);
    // The second hub has seen one post less.
    back_up(&laptop, &hubs[1]);
    laptop.post(draft("after"), None, NOW + 1).unwrap();
    give(&laptop, &hubs[0]);
    let (one, _) = recover(&hubs[0], &words(0), 10);
    let (two, _) = recover(&hubs[1], &words(0), 11);
    one.post(draft("one"), None, NOW + 20).unwrap();
    two.post(draft("two"), None, NOW + 21).unwrap();
    two.set_petname(AccountId::from_bytes([9; 32]), Some("neun"), NOW + 22).unwrap();
    for _ in 0..2 {
        back_up(&one, &hubs[0]);
        back_up(&two, &hubs[1]);
        for (device, hub) in [(&one, &hubs[1]), (&two, &hubs[0])] {
            back_up(device, hub);
            give(hub, device);
        }
    }
    for replica in [&one, &two, &hubs[0], &hubs[1]] {
        assert_eq!(texts(replica, &account), ["two", "one", "after", "before"]);
        let authority = replica.authority(&account).unwrap().unwrap();
        assert!(authority.may_write(&one.own_device()) && authority.may_write(&two.own_device()));
        assert!(!authority.may_write(&laptop.own_device()) && !authority.recovery.frozen);
        sound(replica);
    }
    // Each reads what the other wrote in private.
    one.open_backup(&words(0)).unwrap();
    let name = AccountId::from_bytes([9; 32]);
    assert_eq!(two.petname(&name).unwrap().as_deref(), Some("neun"));
    one.post(draft("that mends keys"), None, NOW + 30).unwrap();
    agree(&hubs[0], &hubs[1]);
}

#[test]
fn recovery_goes_on_where_it_was_broken_off() {
    let (laptop, account) = ada(1);
    laptop.follow(AccountId::from_bytes([9; 32]), Some("nine"), NOW).unwrap();
    let hub = hub_for(3, &[account]);
    back_up(&laptop, &hub);
    let new = certified(&hub, &words(0), 10);
    new.announce_recovery("new", NOW + 10).unwrap();
    back_up(&new, &hub);
    // Later, with the words typed again.
    let taken = finish(&new, &hub, &words(0), "new");
    assert_eq!(taken.devices, [laptop.own_device()]);
    let log = |replica: &Replica| replica.changes(&account_log(&account)).unwrap().len();
    let before = log(&new);
    let taken = finish(&new, &hub, &words(0), "new");
    assert_eq!((taken.devices.len(), log(&new)), (0, before), "and nothing is done twice");
    assert_eq!(private(&new), private(&laptop));
}

fn account_log(account: &AccountId) -> mosaic_engine::hash::DocumentId {
    use mosaic_engine::description::{Description, DocumentKind};
    Description::own(*account, DocumentKind::AccountLog, 0).id()
}

#[test]
fn nobody_finds_an_account_by_words_that_are_not_its_own() {
    let (laptop, account) = ada(1);
    let hub = hub_for(3, &[account]);
    assert_eq!(hub.recoverable(&words(0).policy().id()).unwrap(), None);
    back_up(&laptop, &hub);
    assert_eq!(find(&hub, &words(0)).genesis.account(), account);
    assert_eq!(hub.recoverable(&words(1).policy().id()).unwrap(), None);
    // An account of somebody else that commits to Ada's words, which anybody can begin.
    let mallory = replica(50);
    let secret = DeviceSecret::generate(&SeededEntropy::new(1050));
    let policy = *words(0).policy();
    let commitment = *policy.id().as_bytes();
    let fake = mallory.create_account(secret, "fake", commitment, NOW).unwrap();
    hub.subscribe(Subscription::whole(fake)).unwrap();
    give(&mallory, &hub);
    assert_eq!(find(&hub, &words(0)).genesis.account(), account);
}

#[test]
fn changed_words_recover_and_old_ones_freeze() {
    let (laptop, account) = ada(1);
    laptop.follow(AccountId::from_bytes([9; 32]), Some("nine"), NOW).unwrap();
    let (hub, other) = (hub_for(3, &[account]), hub_for(4, &[account]));
    back_up(&laptop, &hub);
    back_up(&laptop, &other);
    assert!(laptop.rotate_recovery(&words(7), &words(1), NOW + 1).is_err());
    laptop.rotate_recovery(&words(0), &words(1), NOW + 1).unwrap();
    back_up(&laptop, &hub);
    assert_eq!(hub.recoverable(&words(0).policy().id()).unwrap(), None, "the old ones gave way");
    let (new, taken) = recover(&hub, &words(1), 10);
    assert_eq!(taken.devices, [laptop.own_device()]);
    assert_eq!(private(&new), private(&laptop));
    // Elsewhere somebody uses the old ones, where nothing of it is known.
    let (thief, _) = recover(&other, &words(0), 11);
    thief.post(draft("mine"), None, NOW + 20).unwrap();
    back_up(&thief, &other);
    for _ in 0..2 {
        give(&new, &other);
        give(&thief, &hub);
        give(&hub, &new);
        give(&other, &thief);
    }
    for replica in [&new, &thief, &hub, &other] {
        let authority = replica.authority(&account).unwrap().unwrap();
        assert!(authority.recovery.frozen);
        assert!(!authority.devices.contains_key(&thief.own_device()));
        assert!(!authority.devices.contains_key(&new.own_device()));
    }
    let refused = new.post(draft("no"), None, NOW + 30).unwrap_err();
    assert!(matches!(refused, EngineError::Frozen(_)), "{refused}");
    assert_eq!(texts(&hub, &account), Vec::<String>::new());
    assert!(find(&hub, &words(0)).frozen);
}

#[test]
fn a_hub_gives_what_is_private_to_own_devices_alone() {
    let (laptop, account) = ada(1);
    let phone = link(&laptop, 2, "phone");
    give(&laptop, &phone);
    let hub = hub_for(3, &[account]);
    // To a hub that nobody here chose nothing private is given.
    laptop.set_petname(AccountId::from_bytes([9; 32]), Some("canary"), NOW).unwrap();
    give(&laptop, &hub);
    let section = laptop.kept_sections().unwrap();
    let private = section.iter().find(|s| s.class == SectionClass::Private).unwrap();
    assert!(hub.tips(private).unwrap().is_empty());
    back_up(&laptop, &hub);
    let tips = hub.tips(private).unwrap();
    assert!(!tips.is_empty());
    let (stranger, _) = person(20, "stranger");
    stranger.subscribe(Subscription::whole(account)).unwrap();
    assert!(!hub.may_read(&stranger.own_device(), private).unwrap());
    assert!(hub.may_read(&phone.own_device(), private).unwrap());
    give(&hub, &stranger);
    assert!(stranger.tips(private).unwrap().is_empty());
    give(&hub, &phone);
    let name = AccountId::from_bytes([9; 32]);
    assert_eq!(phone.petname(&name).unwrap().as_deref(), Some("canary"));
    // Nobody reads it there.
    assert_eq!(hub.petname(&name).unwrap(), None);
    laptop.revoke_device(phone.own_device(), "lost", NOW + 1).unwrap();
    give(&laptop, &hub);
    assert!(!hub.may_read(&phone.own_device(), private).unwrap());
    sound(&hub);
}
