//! Chains with two histories, as a store that was copied makes them.

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
