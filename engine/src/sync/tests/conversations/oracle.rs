//! Who does not know of a conversation learns nothing of it by pushing what he guesses.

use bytes::Bytes;

use super::{network, run, say, texts};
use crate::chain::ChainKey;
use crate::description::{Description, DocumentKind, Section, SectionClass, Space};
use crate::hash::{AccountId, DeviceId};
use crate::model::entry::ConversationGenesis;
use crate::replica::{BundleFile, Replica};
use crate::sync::exchange::{Exchange, Received, Verdict};
use crate::sync::tests::replicas::{Home, NOW, person};
use crate::wire::{Excerpt, HEAD_BYTES, Newest};

/// The first chain of a document with all its changes, as its holder would give it.
fn chain_of(replica: &Replica, description: &Description) -> (ChainKey, Received) {
    let mut state = replica.lock();
    let chains = replica.chains_of(&mut state, &description.id()).unwrap();
    drop(state);
    let key = chains[0].0;
    let tip = replica.chain_tips(&key).unwrap()[0].1;
    let known = replica.introduce(&tip).unwrap().unwrap();
    let part = replica.part(&tip, 1, 1 << 20).unwrap().unwrap();
    let received = Received {
        path: known.path,
        description: Some(known.description),
        head: known.head,
        fork: false,
        parts: vec![part],
    };
    (key, received)
}

/// What somebody can make of what he guesses or was told.
fn guesses(of: &Received) -> Vec<Received> {
    let mut all = vec![of.clone()];
    let change = |all: &mut Vec<Received>, with: &dyn Fn(&mut Received)| {
        let mut other = of.clone();
        with(&mut other);
        all.push(other);
    };
    change(&mut all, &|r| r.description = None);
    change(&mut all, &|r| r.head[HEAD_BYTES - 1] ^= 1);
    change(&mut all, &|r| r.path = Bytes::from_static(b"no path"));
    change(&mut all, &|r| r.parts.clear());
    change(&mut all, &|r| r.fork = true);
    change(&mut all, &|r| r.description = Some(other()));
    all
}

fn other() -> Description {
    Description::own(AccountId::from_bytes([3; 32]), DocumentKind::Wall, 0)
}

fn answers(home: &Home, by: &DeviceId, guesses: &[Received]) -> Vec<(u64, bool, Verdict)> {
    let mut out = Vec::new();
    for guess in guesses {
        let receipt = home.replica.receive(by, vec![guess.clone()], NOW).unwrap();
        let told = receipt.chains[0];
        out.push((receipt.signatures_checked, told.section.is_some(), told.verdict));
    }
    out
}

/// Faults that the newest of a hub counts: of too many a session ends.
fn faults(home: &Home, of: &Received) -> Vec<(u64, u32)> {
    let count = |change: &dyn Fn(&mut Excerpt)| {
        let mut excerpt = Excerpt {
            path: of.path.clone(),
            description: of.description.clone().unwrap(),
            head: of.head,
            previous: None,
            part: of.parts[0].clone(),
        };
        change(&mut excerpt);
        let newest = Newest { excerpts: vec![excerpt], bodies: Vec::new() };
        home.replica.receive_newest(newest, NOW).unwrap()
    };
    vec![
        count(&|_| {}),
        count(&|e| e.head[HEAD_BYTES - 1] ^= 1),
        count(&|e| e.description = other()),
    ]
}

/// Ada talks with Bob and follows nobody; Cleo never heard of Bob, and Eve knows all three and
/// has been given pages by Bob.
#[test]
fn pushing_tells_nobody_who_talks_with_whom() {
    let (ada, bob) = (person(400, "laptop"), person(401, "pc"));
    let (cleo, eve) = (person(402, "laptop"), person(403, "pc"));
    let id = ada.0.replica.converse_with(bob.1, NOW + 1).unwrap();
    let card = Bytes::from(bob.0.replica.bundle_conversations(&[]).unwrap());
    ada.0.replica.take_bundle(BundleFile::read(&card).unwrap(), NOW + 2).unwrap();
    say(&ada.0.replica, &id, "hello", NOW + 3).unwrap();
    let mut network = network(400, vec![ada.0, bob.0]);
    network.connect(0, 1);
    run(&mut network);
    let [ada, bob] = &network.parties[..] else { panic!("two") };
    bob.replica.converse_with(network.parties[0].replica.account().unwrap(), NOW + 4).unwrap();
    say(&bob.replica, &id, "and to you", NOW + 5).unwrap();

    let (by, friend) = (eve.0.replica.device().unwrap(), bob.replica.device().unwrap());
    let mut told = Vec::new();
    for description in [
        Description::conversation(id, bob.replica.account().unwrap(), 0),
        Description::own(bob.replica.account().unwrap(), DocumentKind::AccountLog, 0),
    ] {
        let (_, chain) = chain_of(&bob.replica, &description);
        let guesses = guesses(&chain);
        let here = answers(ada, &by, &guesses);
        assert_eq!(here, answers(&cleo.0, &by, &guesses), "{:?}", description.kind);
        assert_eq!(faults(ada, &chain), faults(&cleo.0, &chain), "{:?}", description.kind);
        assert!(here.iter().all(|(signatures, ..)| *signatures == 0));
        told.push((chain, here));
    }
    assert_eq!(texts(&ada.replica, &id), ["hello"]);
    // From him whose words they are it comes in.
    for (chain, here) in told {
        let taken = answers(ada, &friend, &[chain]);
        assert!(matches!(taken[0].2, Verdict::Accepted { .. }), "{taken:?} {here:?}");
    }
    assert_eq!(texts(&ada.replica, &id).len(), 2);
}

#[test]
fn the_log_of_whom_somebody_writes_to_is_for_those_who_take_part() {
    let (ada, bob) = (person(410, "laptop"), person(411, "pc"));
    let (eve, _) = person(413, "pc");
    let id = ada.0.replica.converse_with(bob.1, NOW + 1).unwrap();
    let card = Bytes::from(bob.0.replica.bundle_conversations(&[]).unwrap());
    ada.0.replica.take_bundle(BundleFile::read(&card).unwrap(), NOW + 2).unwrap();
    assert_eq!(id, ConversationGenesis::between(ada.1, bob.1).id());
    let section = Section { space: Space::Account(bob.1).id(), class: SectionClass::Authority };
    assert!(ada.0.replica.held_sections().unwrap().contains(&section));
    let log = Description::own(bob.1, DocumentKind::AccountLog, 0);
    let entry = {
        let mut state = ada.0.replica.lock();
        let (key, chain) = ada.0.replica.chains_of(&mut state, &log.id()).unwrap().remove(0);
        ada.0.replica.log_items(&key, 1, chain.held).unwrap()[0].id
    };
    let gives = |to: &Home| {
        let device = to.replica.device().unwrap();
        let reads = ada.0.replica.may_read(&device, &section).unwrap();
        assert_eq!(reads, ada.0.replica.blob_for(&device, &entry.blob()).unwrap().is_some());
        reads
    };
    assert!(!gives(&eve));
    // Bob's device shows itself by what it signed in the log; the own ones are known.
    assert!(gives(&bob.0) && gives(&ada.0));
    // A follower of Bob says so in public, and gives his log to anybody.
    ada.0.replica.follow(bob.1, None, NOW + 3).unwrap();
    assert!(gives(&eve));
}
