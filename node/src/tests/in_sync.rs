//! What may be called in sync, and what may not.

use mosaic_engine::hash::{AccountId, DeviceId};
use mosaic_engine::sync::exchange::{Exchange, Reason, Section};
use mosaic_engine::sync::outcome::{
    Cause, Counters, Outcome, OutcomeKind, SectionOutcome, SectionState, Side,
};

use super::*;
use crate::peers::{Peers, section_key};
use crate::ticket::NodeTicket;

async fn sync_of(node: &Node, other: &Node, asked: SyncRun) -> SyncResult {
    let peers = vec![other.ticket().await];
    let records = all(&node.client, SyncRun { peers, ..asked }).await;
    match records.first() {
        Some(Record::SyncResult(result)) => result.clone(),
        _ => panic!("{records:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_nothing_of_an_account_is_not_in_sync_with_it() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::new(&root, "ada"), Home::new(&root, "bob"));
    ada.init("Ada").await;
    bob.init("Bob").await;
    let (ada, bob) = (ada.serve().await, bob.serve().await);
    let (of_ada, of_bob) = (ada.replica().account().unwrap(), bob.replica().account().unwrap());
    ada.replica().subscribe(Subscription::whole(of_bob)).unwrap();
    ada.post("nobody has this");

    let target =
        |account: AccountId| SyncRun { targets: vec![account.to_string()], ..SyncRun::default() };
    let copies = SyncRun { replicas: Some(1), ..SyncRun::default() };
    for asked in [target(of_bob), SyncRun::default()] {
        let about_bob = sync_of(&ada, &bob, asked).await;
        assert_eq!(about_bob.state, "in-sync", "{about_bob:?}");
    }
    for asked in [copies.clone(), target(of_ada)] {
        let about_ada = sync_of(&ada, &bob, asked).await;
        assert_eq!(about_ada.state, "differs", "{about_ada:?}");
        let said = about_ada.reasons.iter().any(|reason| reason.starts_with("not kept there"));
        assert!(said, "{about_ada:?}");
    }

    bob.replica().subscribe(Subscription::whole(of_ada)).unwrap();
    let kept = sync_of(&ada, &bob, copies).await;
    assert_eq!(kept.state, "in-sync", "{kept:?}");
    ada.stop().await;
    bob.stop().await;
}

fn outcome(
    remote: DeviceId,
    section: Section,
    kind: OutcomeKind,
    state: SectionState,
    causes: Vec<Cause>,
    missing_there: u64,
) -> Outcome {
    let kept_there = true;
    let (sparing_there, partial_there, missing_bodies) = (false, false, 0);
    Outcome {
        remote,
        kind,
        number: 1,
        complete: true,
        sections: vec![SectionOutcome {
            section,
            state,
            kept_there,
            sparing_there,
            partial_there,
            missing_bodies,
        }],
        causes_total: causes.len() as u64,
        causes,
        forks: Vec::new(),
        older: Vec::new(),
        gaps: Vec::new(),
        durable_here: true,
        durable_there: None,
        missing_here: 0,
        missing_there,
        counters: Counters::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn news_from_a_peer_do_not_make_equal_what_differs() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(&root, "laptop");
    home.init("Ada").await;
    let app = home.open();
    let replica = app.replica().unwrap();
    let peers = Peers::load(replica.clone()).unwrap();
    let remote = DeviceId::from_bytes([9; 32]);
    // Of strangers nothing is remembered.
    let ticket = NodeTicket { device: remote, addresses: Vec::new() };
    peers.remember(&ticket, None, true).unwrap();
    let section = replica.kept_sections().unwrap().remove(0);
    let heard = |kind, state, causes, missing_there| {
        outcome(remote, section, kind, state, causes, missing_there)
    };
    let note = |outcome: Outcome| {
        peers.note(&outcome).unwrap();
        let record = peers.record(&remote);
        let known = record.sections.get(&section_key(&section)).unwrap().clone();
        (known.state, known.digest, known.reasons.len(), record.missing_there)
    };
    let cause = Cause {
        side: Side::Here,
        section: Some(section),
        chain: None,
        from_n: 1,
        reason: Reason::Limit,
    };
    let digest = replica.digest(&section).unwrap();
    let digest = blake3::Hash::from_bytes(digest).to_hex().to_string();

    let refused = note(heard(OutcomeKind::Round, SectionState::Differs, vec![cause], 3));
    assert_eq!(refused, ("differs".to_owned(), digest.clone(), 1, 3));
    let told = note(heard(OutcomeKind::Received, SectionState::Equal, vec![], 3));
    assert_eq!(told, refused, "news say nothing of what was refused before");
    let cut_off = note(heard(OutcomeKind::Round, SectionState::Failed, vec![], 0));
    assert_eq!((cut_off.0.as_str(), cut_off.3), ("failed", 3));

    let equal = note(heard(OutcomeKind::Round, SectionState::Equal, vec![], 0));
    assert_eq!(equal, ("equal".to_owned(), digest, 0, 0));
    let told = note(heard(OutcomeKind::Received, SectionState::Equal, vec![], 0));
    assert_eq!(told, equal);
    let (state, digest, ..) =
        note(heard(OutcomeKind::Received, SectionState::Equal, vec![cause], 0));
    assert_eq!((state.as_str(), digest.as_str()), ("equal", ""), "nobody knows any more");

    // Who is equal has a store again; news say nothing of it.
    let (round, received) = (OutcomeKind::Round, OutcomeKind::Received);
    for (kind, state, told, is) in [
        (round, SectionState::Differs, Some(false), Some(false)),
        (received, SectionState::Equal, None, Some(false)),
        (round, SectionState::Equal, None, None),
        (round, SectionState::Equal, Some(true), Some(true)),
        (round, SectionState::Equal, None, Some(true)),
    ] {
        note(Outcome { durable_there: told, ..heard(kind, state, vec![], 0) });
        assert_eq!(peers.record(&remote).sections[&section_key(&section)].durable_there, is);
    }
    app.close().await;
}
