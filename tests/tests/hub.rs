//! A hub that lies: never shown as true, and reported where it shows.

use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::hash::{AccountId, BlobHash, DeviceId};
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Replica, ReplicaOptions, Subscription};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::sync::outcome::Outcome;
use mosaic_engine::sync::sim::{Faults, Network, Party};
use mosaic_engine::sync::{News, Options};
use mosaic_engine::wire::Reason;
use mosaic_tests::liar::author::Author;
use mosaic_tests::liar::heads::forged_chains;
use mosaic_tests::liar::hub::{Hub, Show};
use mosaic_tests::people::{NOW_MS, draft, enrol, entropy, person, texts};

/// A replica, honest or not, in a simulated network.
enum One {
    Honest(Arc<Replica>),
    Hub(Arc<Hub>),
}

impl Party for One {
    fn exchange(&self) -> &dyn Exchange {
        match self {
            Self::Honest(replica) => &**replica,
            Self::Hub(hub) => &**hub,
        }
    }

    fn serve(&self, remote: &DeviceId, hash: &BlobHash) -> Option<Bytes> {
        match self {
            Self::Honest(replica) => replica.blob_for(remote, hash).unwrap(),
            Self::Hub(hub) => hub.blob(remote, hash),
        }
    }

    fn take_news(&self) -> Vec<News> {
        Vec::new()
    }
}

/// Lets both meet once; returns what `a` says of it.
fn meet(a: &Arc<Replica>, hub: &Arc<Hub>) -> Vec<Outcome> {
    let parties = vec![One::Honest(a.clone()), One::Hub(hub.clone())];
    let mut network = Network::new(1, parties, Faults::default(), Options::default());
    let line = network.connect(0, 1);
    network.run_for(5000).unwrap();
    network.disconnect(line);
    let mine = network.outcomes.into_iter().filter(|(who, _)| *who == 0);
    mine.map(|(_, outcome)| outcome).collect()
}

struct Cast {
    laptop: Arc<Replica>,
    ada: AccountId,
    hub: Arc<Hub>,
    bob: Arc<Replica>,
}

/// Ada writes; her hub holds it; Bob follows her through the hub alone.
fn cast() -> Cast {
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(3, "hub");
    let (bob, _) = person(4, "pc");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    bob.follow(ada, None, NOW_MS).unwrap();
    let laptop = Arc::new(laptop);
    for n in 0..5 {
        laptop.post(draft(&format!("post {n}")), None, NOW_MS + n).unwrap();
    }
    let hub = Arc::new(Hub::new(Arc::new(hub)));
    let met = meet(&laptop, &hub);
    assert!(met.iter().all(Outcome::is_equal), "{met:#?}");
    assert_eq!(texts(&hub.replica(), &ada).len(), 5);
    Cast { laptop, ada, hub, bob: Arc::new(bob) }
}

#[test]
fn an_honest_hub_gives_everything() {
    let Cast { ada, hub, bob, laptop } = cast();
    let met = meet(&bob, &hub);
    assert!(met.last().unwrap().is_equal(), "{met:#?}");
    assert_eq!(texts(&bob, &ada), texts(&laptop, &ada));
}

#[test]
fn altered_bodies_are_missing_and_said_to_be() {
    let Cast { ada, hub, bob, laptop } = cast();
    for show in [Show::AlteredBodies, Show::NoBodies] {
        hub.set_show(show);
        let met = meet(&bob, &hub);
        assert_eq!(met.last().unwrap().missing_here, 5, "{met:#?}");
        assert_eq!(texts(&bob, &ada), ["Missing"; 5]);
    }
    hub.set_show(Show::Truth);
    meet(&bob, &hub);
    assert_eq!(texts(&bob, &ada), texts(&laptop, &ada));
}

#[test]
fn altered_changes_and_ids_are_not_taken() {
    let Cast { ada, hub, bob, laptop } = cast();
    for (show, reason) in [(Show::AlteredChanges, Reason::Link), (Show::IdsOnly, Reason::NotHeld)] {
        hub.set_show(show.clone());
        let met = meet(&bob, &hub);
        let told = met.iter().flat_map(|outcome| &outcome.causes).any(|c| c.reason == reason);
        assert!(told, "{show:?}: {met:#?}");
        assert_eq!(texts(&bob, &ada), Vec::<String>::new());
        assert_eq!(bob.verify().unwrap().problems, Vec::<String>::new());
    }
    hub.set_show(Show::Truth);
    meet(&bob, &hub);
    assert_eq!(texts(&bob, &ada), texts(&laptop, &ada));
}

#[test]
fn a_forged_device_writes_nothing() {
    let Cast { ada, hub, bob, laptop } = cast();
    let path = laptop.path(&laptop.own_device()).unwrap().unwrap();
    let forger = Author::stranger(entropy(50), NOW_MS);
    hub.set_show(Show::Also(forged_chains(&forger, &path, NOW_MS)));
    let met = meet(&bob, &hub);
    let refused = met.iter().flat_map(|outcome| &outcome.causes);
    let refused: Vec<_> = refused.map(|cause| cause.reason).collect();
    assert!(refused.contains(&Reason::Certificate), "{met:#?}");
    assert_eq!(texts(&bob, &ada), texts(&laptop, &ada));
    assert!(met.iter().any(|outcome| !outcome.is_equal()));
}

#[test]
fn an_older_state_is_reported_and_not_believed() {
    let (laptop, ada) = person(1, "laptop");
    let laptop = Arc::new(laptop);
    let secret = || DeviceSecret::generate(&*entropy(77));
    let store = MemoryStore::new();
    let open = |store: MemoryStore, secret| {
        let options = ReplicaOptions { secret, fresh_incarnation: false };
        Arc::new(Replica::open(Arc::new(store), entropy(6), options).unwrap())
    };
    let inner = open(store.clone(), None);
    inner.create_account(secret(), "hub", [7; 32], NOW_MS).unwrap();
    inner.subscribe(Subscription::whole(ada)).unwrap();
    let hub = Arc::new(Hub::new(inner));
    let (bob, _) = person(4, "pc");
    bob.follow(ada, None, NOW_MS).unwrap();
    let bob = Arc::new(bob);
    laptop.post(draft("first"), None, NOW_MS).unwrap();
    meet(&laptop, &hub);
    let older = store.snapshot();
    laptop.post(draft("second"), None, NOW_MS + 1).unwrap();
    meet(&laptop, &hub);
    meet(&bob, &hub);
    assert_eq!(texts(&bob, &ada), ["second", "first"]);
    hub.become_replica(open(older, Some(secret())));
    let met = meet(&bob, &hub);
    let older: Vec<_> = met.iter().flat_map(|outcome| &outcome.older).collect();
    assert!(older.iter().any(|report| report.now < report.before), "{met:#?}");
    assert_eq!(texts(&bob, &ada), ["second", "first"]);
}

#[test]
fn a_missing_page_is_noticed_by_the_page_behind_it() {
    let Cast { ada, hub, bob, laptop } = cast();
    for n in 0..2100 {
        laptop.post(draft("x"), None, NOW_MS + 10 + n).unwrap();
    }
    meet(&laptop, &hub);
    hub.set_show(Show::WithoutPage(1));
    let met = meet(&bob, &hub);
    let gaps: usize = met.iter().map(|outcome| outcome.gaps.len()).sum();
    assert!(gaps > 0, "{met:#?}");
    let all = texts(&laptop, &ada).len();
    let seen = texts(&bob, &ada).len();
    assert!(seen > 0 && seen < all, "{seen} of {all}");
    hub.set_show(Show::Truth);
    meet(&bob, &hub);
    assert_eq!(texts(&bob, &ada).len(), all);
}

#[test]
fn a_second_branch_is_kept_as_evidence_and_nothing_is_lost() {
    let (laptop, ada) = person(1, "laptop");
    let laptop = Arc::new(laptop);
    let secret = || DeviceSecret::generate(&*entropy(78));
    let store = MemoryStore::new();
    let open = |store: MemoryStore, seed, secret| {
        let options = ReplicaOptions { secret, fresh_incarnation: false };
        Arc::new(Replica::open(Arc::new(store), entropy(seed), options).unwrap())
    };
    let phone = open(store.clone(), 8, None);
    let path = enrol(&laptop, &secret(), "phone");
    phone.adopt(secret(), path).unwrap();
    let phone_hub = Arc::new(Hub::new(phone.clone()));
    meet(&laptop, &phone_hub);
    phone.post(draft("common"), None, NOW_MS).unwrap();
    let clone = open(store.snapshot(), 9, Some(secret()));
    phone.post(draft("one story"), None, NOW_MS + 1).unwrap();
    clone.post(draft("another story"), None, NOW_MS + 2).unwrap();
    meet(&laptop, &phone_hub);
    assert_eq!(texts(&laptop, &ada), ["one story", "common"]);
    let met = meet(&laptop, &Arc::new(Hub::new(clone)));
    let forks: Vec<_> = met.iter().flat_map(|outcome| &outcome.forks).collect();
    assert!(forks.iter().any(|fork| fork.new), "{met:#?}");
    let shown = texts(&laptop, &ada);
    assert!(shown.contains(&"one story".to_owned()), "{shown:?}");
    assert!(shown.contains(&"common".to_owned()), "{shown:?}");
    assert_eq!(laptop.verify().unwrap().problems, Vec::<String>::new());
}
