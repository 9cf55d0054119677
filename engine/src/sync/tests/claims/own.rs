//! What is for the own devices alone: drafts, and whom one follows, blocks and mutes.

use super::*;
use crate::identity::CertificatePath;
use crate::replica::{BLOCKS, FOLLOWS, MUTES};
use crate::sync::exchange::Exchange;

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

#[test]
fn claim_own_devices_and_words_open_it() {
    let mut scene = scene(800);
    let drafts = |replica: &Replica| -> Vec<String> {
        replica.drafts().unwrap().into_iter().map(|draft| draft.text).collect()
    };
    for who in [ADA, PHONE] {
        assert_eq!(drafts(scene.replica(who)), [DRAFT]);
        assert!(scene.replica(who).accounts_in(FOLLOWS).unwrap().contains(&scene.bob));
    }
    assert!(drafts(scene.replica(RELAY)).is_empty());
    // Who has the words opens it from a node that keeps it, whatever became of the devices.
    let found = scene.replica(RELAY).recoverable(&scene.words.policy().id()).unwrap().unwrap();
    let new = replica(807);
    let secret = DeviceSecret::generate(&SeededEntropy::new(1807));
    let rank = found.next_rank();
    let certificate =
        scene.words.certify(scene.ada, found.rotations.clone(), &secret, rank, NOW + 9).unwrap();
    new.adopt(secret, CertificatePath::recovered(found.genesis, certificate)).unwrap();
    new.set_keeper(&scene.device(RELAY), true).unwrap();
    scene.network.parties.push(Home::new(new));
    scene.network.connect(RELAY, 6);
    settle(&mut scene.network);
    scene.replica(6).announce_recovery("new", NOW + 10).unwrap();
    settle(&mut scene.network);
    assert!(drafts(scene.replica(6)).is_empty());
    scene.replica(6).open_backup(&scene.words).unwrap();
    assert_eq!(drafts(scene.replica(6)), [DRAFT]);
}

#[test]
fn claim_keepers_keep_private_maps() {
    let scene = scene(810);
    assert!(scene.private_changes(ADA) > 0);
    for who in [RELAY, PHONE] {
        assert_eq!(scene.private_changes(who), scene.private_changes(ADA), "{who}");
    }
    for who in [BOB, STRANGER, FRIEND] {
        assert_eq!(scene.private_changes(who), 0, "{who}");
    }
}

#[test]
fn claim_keepers_see_sizes_of_private_maps() {
    let scene = scene(820);
    let ada = scene.replica(ADA);
    let [blocked, other] = [0xb1, 0xb3].map(|byte| AccountId::from_bytes([byte; 32]));
    ada.block(blocked, Some("sells watches"), NOW + 9).unwrap();
    // Without a note the one that there is stays; one that is too long changes nothing, an empty one
    // takes it away.
    ada.block(blocked, None, NOW + 9).unwrap();
    let long = "x".repeat(crate::limits::BLOCK_NOTE_BYTES_MAX + 1);
    ada.block(other, Some(&long), NOW + 9).unwrap_err();
    assert!(!ada.accounts_in(BLOCKS).unwrap().contains(&other));
    ada.block(other, Some("a mistake"), NOW + 9).unwrap();
    ada.block(other, Some(""), NOW + 9).unwrap();
    ada.set_listed(MUTES, AccountId::from_bytes([0xb2; 32]), true, NOW + 9).unwrap();
    let mut scene = scene;
    settle(&mut scene.network);
    let phone = scene.replica(PHONE);
    assert_eq!(phone.accounts_in(BLOCKS).unwrap(), [blocked, other].into());
    assert_eq!(phone.block_note(&blocked).unwrap().as_deref(), Some("sells watches"));
    assert_eq!(phone.block_note(&other).unwrap(), None);
    let words: [&[u8]; 6] =
        [DRAFT.as_bytes(), &[0xb1; 32], &[0xb2; 32], b"b1b1b1b1", b"b2b2b2b2", b"watches"];
    for canary in words {
        assert_eq!(scene.rows_with(RELAY, canary), 0);
    }
    let replica = scene.replica(RELAY);
    let mut state = replica.lock();
    let mut seen = 0;
    for (doc, page) in replica.documents(&mut state, &Space::Account(scene.ada).id()).unwrap() {
        if page.kind == DocumentKind::Private {
            for (key, chain) in replica.chains_of(&mut state, &doc).unwrap() {
                assert!(chain.bytes > 0);
                assert!([scene.device(ADA), scene.device(PHONE)].contains(&key.device));
                seen += chain.held;
            }
        }
    }
    drop(state);
    assert!(seen > 0 && replica.drafts().unwrap().is_empty());
}

#[test]
fn claim_strangers_see_nothing_private() {
    let scene = scene(830);
    let section = private_of(scene.ada);
    for who in [BOB, STRANGER, FRIEND] {
        assert_eq!(scene.rows_with(who, DRAFT.as_bytes()), 0);
        let device = scene.device(who);
        for home in [ADA, RELAY, PHONE] {
            assert!(!scene.replica(home).may_read(&device, &section).unwrap());
        }
    }
    // Whom she follows stands in nothing that they hold.
    for who in [STRANGER, FRIEND] {
        assert_eq!(scene.rows_with(who, scene.bob.as_bytes()), 0);
        assert_eq!(scene.rows_with(who, scene.bob.to_string().as_bytes()), 0);
    }
}

#[test]
fn claim_peers_learn_what_both_keep() {
    let scene = scene(840);
    let bob = Space::Account(scene.bob).id();
    let told = |who: usize| {
        let outcomes = scene.network.outcomes.iter().filter(|(home, _)| *home == who);
        let with_ada = outcomes.filter(|(_, outcome)| outcome.remote == scene.device(ADA));
        with_ada.flat_map(|(_, outcome)| &outcome.sections).any(|of| of.section.space == bob)
    };
    assert!(told(RELAY), "it keeps him, too");
    assert!(!told(STRANGER) && !told(FRIEND));
}

#[test]
fn claim_private_maps_keep_what_was() {
    let mut scene = scene(850);
    let before = scene.private_changes(RELAY);
    scene.replica(ADA).delete_draft(scene.draft, NOW + 9).unwrap();
    settle(&mut scene.network);
    assert!(scene.replica(ADA).drafts().unwrap().is_empty());
    assert!(scene.replica(PHONE).drafts().unwrap().is_empty());
    assert!(scene.private_changes(RELAY) > before, "nothing is taken away there");
    for who in [ADA, PHONE] {
        let opened = opened_private(scene.replica(who), scene.ada);
        assert!(opened.iter().any(|change| holds(change, DRAFT.as_bytes())), "{who}");
    }
}
