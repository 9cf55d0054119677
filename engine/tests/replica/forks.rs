//! Chains with two histories, as a store that was copied makes them.

use mosaic_engine::description::DocumentKind;

use super::*;

/// Gives every known head with its whole chain, as a session does where chains are forked.
pub(crate) fn give_whole(from: &Replica, to: &Replica, forked: bool) -> Receipt {
    let mut moved = Vec::new();
    let mut sections = to.kept_sections().unwrap();
    sections.sort_by_key(|section| section.class);
    for section in sections {
        let tips = from.tips(&section).unwrap();
        for tip in &tips {
            let branches = tips.iter().filter(|other| other.chain == tip.chain).count();
            let intro = from.introduce(tip).unwrap().unwrap();
            moved.push(Received {
                path: intro.path,
                description: Some(intro.description),
                head: intro.head,
                fork: forked || branches > 1,
                parts: from.part(tip, 1, usize::MAX).unwrap().into_iter().collect(),
            });
        }
    }
    to.receive(&from.own_device(), moved, NOW).unwrap()
}

/// A laptop, a copy of it that knows nothing of what the laptop writes from now on, and
/// the account.
fn copied() -> (Replica, Replica, AccountId) {
    let secret = || DeviceSecret::generate(&SeededEntropy::new(77));
    let store = MemoryStore::new();
    let open = |store: MemoryStore, seed, identity: bool| {
        let secret = identity.then(secret);
        let options = ReplicaOptions { secret, fresh_incarnation: false };
        Replica::open(Arc::new(store), Arc::new(SeededEntropy::new(seed)), options).unwrap()
    };
    let laptop = open(store.clone(), 1, false);
    let ada = laptop.create_account(secret(), "laptop", [7; 32], NOW).unwrap();
    laptop.post(draft("common"), None, NOW).unwrap();
    let again = open(store.snapshot(), 3, true);
    (laptop, again, ada)
}

fn hub_of(ada: AccountId, seed: u64) -> Replica {
    let (hub, _) = person(seed, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    hub
}

#[test]
fn a_forked_chain_reaches_newcomers_and_its_branches_may_grow() {
    let (laptop, again, ada) = copied();
    let hub = hub_of(ada, 3);
    laptop.post(draft("one"), None, NOW + 1).unwrap();
    again.post(draft("two"), None, NOW + 2).unwrap();
    give(&laptop, &hub);
    let receipt = give_whole(&again, &hub, true);
    assert_eq!(receipt.forks.iter().filter(|fork| fork.new).count(), 1);
    let (newcomer, _) = person(5, "newcomer");
    newcomer.subscribe(Subscription::whole(ada)).unwrap();
    give_whole(&hub, &newcomer, false);
    let wall = newcomer.wall(&ada, None, 10).unwrap();
    assert_eq!(wall.len(), 2);
    assert!(wall.iter().any(|view| view.disputed));
    agree(&hub, &newcomer);
    for n in 0..6 {
        again.post(draft("more"), None, NOW + 3 + n).unwrap();
        give_whole(&again, &hub, true);
    }
    give_whole(&hub, &newcomer, false);
    agree(&hub, &newcomer);
    // Who hears of the other branch writes on under a new life.
    give_whole(&hub, &laptop, true);
    laptop.post(draft("after"), None, NOW + 20).unwrap();
    give(&laptop, &hub);
    assert!(texts(&hub, &ada).contains(&"after".to_owned()));
}

#[test]
fn a_branch_that_is_shorter_reaches_everybody() {
    let (laptop, again, ada) = copied();
    let (hub, other) = (hub_of(ada, 3), hub_of(ada, 4));
    for n in 0..5 {
        laptop.post(draft(&format!("one {n}")), None, NOW + n).unwrap();
    }
    again.post(draft("two"), None, NOW + 2).unwrap();
    give(&laptop, &hub);
    give(&laptop, &other);
    give_whole(&again, &hub, true);
    let newcomer = hub_of(ada, 5);
    for _ in 0..2 {
        for to in [&other, &newcomer] {
            give_whole(&hub, to, false);
        }
    }
    for replica in [&other, &newcomer] {
        agree(&hub, replica);
        assert!(replica.wall(&ada, None, 10).unwrap().iter().all(|view| view.disputed));
        assert_eq!(replica.wall(&ada, None, 10).unwrap().len(), 6);
        sound(replica);
    }
}

/// Gives the newest head of the wall alone.
fn give_head(from: &Replica, to: &Replica) {
    for section in to.kept_sections().unwrap() {
        for tip in from.tips(&section).unwrap() {
            let intro = from.introduce(&tip).unwrap().unwrap();
            let wall = intro.description.kind == DocumentKind::Wall;
            let description = Some(intro.description);
            let (path, head) = (intro.path, intro.head);
            let bare = Received { path, description, head, fork: false, parts: Vec::new() };
            to.receive(&from.own_device(), wall.then_some(bare).into_iter().collect(), NOW)
                .unwrap();
        }
    }
}

#[test]
fn what_is_held_stays_proven_under_a_bare_head() {
    let (laptop, ada) = person(1, "laptop");
    let (hub, newcomer) = (hub_of(ada, 3), hub_of(ada, 4));
    laptop.post(draft("one"), None, NOW).unwrap();
    give(&laptop, &hub);
    laptop.post(draft("two"), None, NOW + 1).unwrap();
    give_head(&laptop, &hub);
    for _ in 0..2 {
        give(&hub, &newcomer);
    }
    assert_eq!(texts(&newcomer, &ada), ["one"]);
    agree(&hub, &newcomer);
    agree(&hub, &laptop);
    give(&laptop, &newcomer);
    assert_eq!(texts(&newcomer, &ada), ["two", "one"]);
    sound(&hub);
}

#[test]
fn a_bare_head_of_another_branch_keeps_nobody_from_his_own() {
    let (laptop, again, ada) = copied();
    let (hub, other) = (hub_of(ada, 3), hub_of(ada, 4));
    for n in 0..5 {
        laptop.post(draft(&format!("one {n}")), None, NOW + n).unwrap();
    }
    again.post(draft("two"), None, NOW + 2).unwrap();
    give(&again, &hub);
    // The longer branch is known by its head only.
    give_head(&laptop, &hub);
    again.post(draft("three"), None, NOW + 3).unwrap();
    give_whole(&again, &hub, true);
    assert_eq!(hub.wall(&ada, None, 10).unwrap().len(), 3);
    for _ in 0..2 {
        give(&hub, &other);
    }
    assert_eq!(other.wall(&ada, None, 10).unwrap().len(), 3);
    agree(&hub, &other);
    // Now what lies behind it shows the fork: both branches are known, one is followed.
    give_whole(&laptop, &hub, true);
    assert_eq!(hub.wall(&ada, None, 10).unwrap().len(), 3);
    assert!(hub.wall(&ada, None, 10).unwrap().iter().all(|view| view.disputed));
    let newcomer = hub_of(ada, 5);
    for _ in 0..3 {
        give_whole(&hub, &newcomer, false);
        give_whole(&hub, &other, false);
    }
    agree(&hub, &newcomer);
    agree(&hub, &other);
    sound(&hub);
    sound(&other);
}
