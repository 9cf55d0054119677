//! What everybody reads: posts, profiles, hubs.

use super::super::hubs::hub_of;
use super::*;
use crate::hash::HubId;
use crate::replica::{MessageDraft, Text};
use crate::sync::exchange::Exchange;

#[test]
fn claim_posts_are_for_all() {
    let scene = scene(600);
    for who in [ADA, BOB, RELAY, STRANGER, FRIEND, PHONE] {
        let view = scene.replica(who).show(&scene.post).unwrap();
        assert_eq!(view.text, Text::Here(POST.into()));
        assert_eq!((view.account, view.time_ms), (scene.ada, NOW + 1));
        assert_eq!(view.device, scene.device(ADA));
    }
    assert!(scene.rows_with(STRANGER, POST.as_bytes()) > 0);
}

#[test]
fn claim_followers_keep_posts() {
    let scene = scene(610);
    let public = Section { space: Space::Account(scene.ada).id(), class: SectionClass::Public };
    for who in [BOB, RELAY, STRANGER, FRIEND, PHONE] {
        assert!(scene.replica(who).kept_sections().unwrap().contains(&public));
    }
    let bob = Space::Account(scene.bob).id();
    let kept = scene.replica(FRIEND).kept_sections().unwrap();
    assert!(!kept.contains(&Section { space: bob, class: SectionClass::Public }));
    // Of who takes part with somebody it keeps the stranger has the devices at most.
    let replica = scene.replica(STRANGER);
    let of_bob = replica.documents(&mut replica.lock(), &bob).unwrap();
    assert!(of_bob.iter().all(|(_, page)| page.kind == DocumentKind::AccountLog));
}

#[test]
fn claim_it_showed_it() {
    let scene = scene(620);
    let ada = scene.replica(ADA);
    // A node remembers whom it met.
    ada.put_peer(&scene.device(STRANGER), Vec::new()).unwrap();
    for id in [scene.post, scene.limited, scene.direct] {
        let holders = ada.holders_of(&id).unwrap();
        for who in [RELAY, PHONE] {
            assert!(holders.contains(&scene.device(who)), "{who}");
        }
        // Bob has it, and never met her: nothing is said of him.
        assert!(!holders.contains(&scene.device(ADA)) && !holders.contains(&scene.device(BOB)));
        assert_eq!(holders.contains(&scene.device(STRANGER)), id == scene.post);
    }
    for id in [scene.audience, scene.talk] {
        let holders = ada.holders_of_conversation(&id).unwrap();
        assert!([RELAY, PHONE].iter().all(|who| holders.contains(&scene.device(*who))));
        assert!(!holders.contains(&scene.device(STRANGER)));
    }
    // Of what nobody has been given since nobody showed anything.
    let new = ada.post(draft("new".into()), None, NOW + 9).unwrap();
    assert!(ada.holders_of(&new).unwrap().is_empty());
}

#[test]
fn claim_deleted_posts_leave_a_place() {
    let mut scene = scene(630);
    scene.replica(ADA).delete(scene.post, NOW + 9).unwrap();
    settle(&mut scene.network);
    for who in [ADA, BOB, RELAY, STRANGER, FRIEND, PHONE] {
        let view = scene.replica(who).show(&scene.post).unwrap();
        assert!(view.deleted && view.text == Text::Deleted);
        assert!(scene.replica(who).is_text_dropped(&scene.post).unwrap());
        assert_eq!((view.time_ms, view.device), (NOW + 1, scene.device(ADA)));
        assert_eq!(scene.rows_with(who, POST.as_bytes()), 0, "{who}");
    }
}

#[test]
fn claim_profiles_keep_what_was() {
    let mut scene = scene(640);
    let edit = vec![("bio".into(), Some("new".into()))];
    scene.replica(ADA).edit_profile(edit, NOW + 9).unwrap();
    settle(&mut scene.network);
    for who in [BOB, RELAY, STRANGER, FRIEND] {
        let profile = scene.replica(who).profile(&scene.ada).unwrap();
        assert!(profile.iter().any(|field| field.value.as_text() == Some("new")));
        assert!(scene.rows_with(who, BIO.as_bytes()) > 0, "{who}");
    }
}

#[test]
fn claim_accounts_show_devices_and_walls() {
    let scene = scene(650);
    for who in [BOB, RELAY, STRANGER, FRIEND] {
        let known = scene.replica(who).authority(&scene.ada).unwrap().unwrap();
        let names: Vec<_> = known.devices.values().map(|device| device.name.as_str()).collect();
        assert_eq!(names.len(), 2);
        assert!(names.contains(&"laptop") && names.contains(&"phone"));
        let profile = scene.replica(who).profile(&scene.ada).unwrap();
        assert!(profile.iter().any(|field| field.value.as_text() == Some(BIO)));
        assert!(scene.replica(who).show(&scene.post).is_ok());
    }
}

#[test]
fn claim_a_thief_writes_until_revoked() {
    let mut scene = scene(660);
    let thief = scene.replica(PHONE);
    let before = thief.post(draft("of a thief".into()), None, NOW + 9).unwrap();
    settle(&mut scene.network);
    assert!(scene.replica(FRIEND).show(&before).is_ok());
    let stolen = scene.device(PHONE);
    scene.replica(ADA).revoke_device(stolen, "stolen", NOW + 10).unwrap();
    let after = scene.replica(PHONE).post(draft("late".into()), None, NOW + 11).unwrap();
    for who in [FRIEND, STRANGER, RELAY] {
        scene.network.connect(PHONE, who);
    }
    settle(&mut scene.network);
    for who in [ADA, BOB, RELAY, STRANGER, FRIEND] {
        let wall = super::super::replicas::texts(scene.replica(who), &scene.ada);
        assert!(wall.iter().any(|(id, _)| *id == before), "{who}");
        assert!(wall.iter().all(|(id, _)| *id != after), "{who}");
    }
}

/// A hub of two with a message in it, and two strangers, one of whom keeps the hub.
fn hub_scene(seed: u64) -> (Network<Home>, HubId, ChangeId, ChangeId) {
    let (mut network, _, hub, channel, _) = hub_of(2, seed);
    let message = MessageDraft { text: POST.into(), ..MessageDraft::default() };
    let id = network.parties[1].replica.say(None, &hub, &channel, message, NOW + 100).unwrap();
    for (n, keeps) in [(1, true), (2, false)] {
        let (stranger, _) = person(seed * 100 + 590 + n, "pc");
        if keeps {
            stranger.replica.serve_hub(&hub, true).unwrap();
        }
        network.parties.push(stranger);
        let at = network.parties.len() - 1;
        network.connect(0, at);
    }
    settle(&mut network);
    (network, hub, channel, id)
}

#[test]
fn claim_hubs_are_for_all() {
    let (network, hub, channel, _) = hub_scene(7);
    let read = network.parties[2].replica.channel(&hub, &channel, None, 10, false).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].text, Text::Here(POST.into()));
    assert_eq!(read[0].time_ms, NOW + 100);
}

#[test]
fn claim_members_keep_hubs() {
    let (network, hub, ..) = hub_scene(8);
    let pages = |who: usize| {
        let replica = &network.parties[who].replica;
        replica.documents(&mut replica.lock(), &Space::Hub(hub).id()).unwrap().len()
    };
    assert!(pages(0) > 0);
    assert_eq!([pages(1), pages(2), pages(3)], [pages(0), pages(0), 0]);
}

#[test]
fn claim_deleted_messages_leave_a_place() {
    let (mut network, hub, channel, id) = hub_scene(9);
    network.parties[1].replica.delete(id, NOW + 101).unwrap();
    settle(&mut network);
    for home in &network.parties[..3] {
        let read = home.replica.channel(&hub, &channel, None, 10, true).unwrap();
        assert!(read.iter().all(|view| view.text == Text::Deleted));
        let holds = |bytes: &[u8]| bytes.windows(POST.len()).any(|part| part == POST.as_bytes());
        let mut rows = 0;
        let count = &mut |_, _: &[u8], value: &[u8]| rows += usize::from(holds(value));
        home.replica.dump(count).unwrap();
        assert_eq!(rows, 0);
        assert!(home.replica.entry_row(&id).unwrap().is_some());
        assert!(home.replica.is_text_dropped(&id).unwrap());
    }
}
