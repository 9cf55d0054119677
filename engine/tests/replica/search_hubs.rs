//! Messages of channels are found, and only those that are shown.
#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

use mosaic_engine::hash::HubId;
use mosaic_engine::model::entry::{ChannelFields, EntryRef, HubAction, Permissions, RoleRef};
use mosaic_engine::replica::{Found, Hit, HubStart, MUTES, MessageDraft};
use mosaic_engine::search::{Inside, Query};

use super::*;

struct Club {
    hub: HubId,
    channels: Vec<ChangeId>,
}

fn club(replica: &Replica) -> Club {
    let channel = |name: &str| ChannelFields {
        name: name.into(),
        topic: String::new(),
        category: String::new(),
        read_only: false,
        readers: None,
    };
    let start = HubStart {
        name: "Boats".into(),
        about: String::new(),
        everyone: Permissions::SEND,
        channels: vec![channel("general"), channel("plans")],
        forked_from: None,
        private: false,
    };
    let hub = replica.create_hub(start, NOW).unwrap();
    let channels = replica.hub(&hub, |hub| hub.channels()).unwrap();
    let id = |name: &str| channels.iter().find(|view| view.name == name).unwrap().id;
    Club { hub, channels: vec![id("general"), id("plans")] }
}

fn say(replica: &Replica, club: &Club, channel: usize, text: &str, at: u64) -> ChangeId {
    let draft = MessageDraft { text: text.into(), ..MessageDraft::default() };
    replica.say(None, &club.hub, &club.channels[channel], draft, NOW + at).unwrap()
}

fn search(replica: &Replica, club: &Club, text: &str) -> Found {
    let place = |name: &str, _| match name {
        "Boats" => Ok(Inside::Hub(club.hub)),
        "Boats/general" => Ok(Inside::Channel(club.channels[0])),
        "Boats/plans" => Ok(Inside::Channel(club.channels[1])),
        _ => Err(()),
    };
    let me = replica.account().unwrap();
    let query = Query::parse(text).unwrap();
    let filter = query.resolve(|_, _| Ok(me), place, |_, _| Err(())).unwrap();
    replica.search(&filter, None, 100).unwrap()
}

fn texts(replica: &Replica, club: &Club, text: &str) -> Vec<String> {
    let said = |text: &Text| if let Text::Here(text) = text { text.clone() } else { String::new() };
    let hits = search(replica, club, text).hits;
    let text = |hit: &Hit| match hit {
        Hit::Wall(view) => said(&view.text),
        Hit::Channel(view) => said(&view.text),
    };
    hits.iter().map(text).collect()
}

#[test]
fn messages_are_found_by_words_and_place() {
    let (ada, _) = person(1, "ada");
    let club = club(&ada);
    ada.post(draft("the river on a wall"), None, NOW + 1).unwrap();
    let first = say(&ada, &club, 0, "the river in general", 2);
    say(&ada, &club, 1, "the river of plans https://boats.example", 3);
    let draft =
        MessageDraft { text: "an answer".into(), target: Some(first), ..MessageDraft::default() };
    ada.say(None, &club.hub, &club.channels[0], draft, NOW + 4).unwrap();
    for (query, wanted) in [
        (
            "river",
            &[
                "the river of plans https://boats.example",
                "the river in general",
                "the river on a wall",
            ][..],
        ),
        ("river in:Boats", &["the river of plans https://boats.example", "the river in general"]),
        ("in:Boats/general", &["an answer", "the river in general"]),
        (
            "river -in:Boats/general",
            &["the river of plans https://boats.example", "the river on a wall"],
        ),
        (
            "river in:Boats/general in:Boats/plans is:message",
            &["the river of plans https://boats.example", "the river in general"],
        ),
        ("is:comment", &["an answer"]),
        ("is:post", &["the river on a wall"]),
        ("has:reply", &["the river in general"]),
        ("has:link from:me", &["the river of plans https://boats.example"]),
        ("nothing in:Boats", &[]),
    ] {
        assert_eq!(texts(&ada, &club, query), wanted, "{query}");
    }
    assert!(ada.rebuild_index().unwrap().equal);
}

#[test]
fn what_a_channel_does_not_show_is_not_found() {
    let (ada, _) = person(1, "ada");
    let (bob, account) = person(2, "bob");
    let club = club(&ada);
    let grant = HubAction::Grant { account, role: RoleRef::Everyone };
    ada.hub_operation(&club.hub, grant, "", NOW + 1).unwrap();
    bob.serve_hub(&club.hub, true).unwrap();
    give(&ada, &bob);
    let texts_of = ["edited", "deleted", "hidden", "purged", "kept"];
    let ids: Vec<ChangeId> = (1..)
        .zip(texts_of)
        .map(|(at, text)| say(&bob, &club, 0, &format!("secret {text}"), at + 1))
        .collect();
    give(&bob, &ada);
    assert_eq!(texts(&ada, &club, "secret").len(), 5);
    bob.edit(ids[0], "public", NOW + 10).unwrap();
    bob.delete(ids[1], NOW + 11).unwrap();
    give(&bob, &ada);
    let named = |entry| EntryRef { account, entry };
    let hide = HubAction::Hide { entry: named(ids[2]) };
    let hide = ada.hub_operation(&club.hub, hide, "", NOW + 12).unwrap();
    let purge = HubAction::Purge { entry: named(ids[3]) };
    ada.hub_operation(&club.hub, purge, "", NOW + 13).unwrap();
    give(&ada, &bob);
    for replica in [&ada, &bob] {
        assert_eq!(texts(replica, &club, "secret"), ["secret kept"]);
        assert_eq!(texts(replica, &club, "in:Boats"), ["secret kept", "public"]);
        // Of a text that is gone no word stays behind in the index.
        let mut held = false;
        replica
            .dump(&mut |_, key, _| held |= key.windows(6).any(|word| word == b"purged"))
            .unwrap();
        assert!(!held);
        assert!(replica.rebuild_index().unwrap().equal);
    }
    // What is shown again is found again; whom one mutes is not, unless he is named.
    ada.hub_operation(&club.hub, HubAction::Lift { operation: hide }, "", NOW + 14).unwrap();
    assert_eq!(texts(&ada, &club, "secret"), ["secret kept", "secret hidden"]);
    ada.set_listed(MUTES, account, true, NOW + 15).unwrap();
    assert!(texts(&ada, &club, "secret").is_empty());
    // Whoever is no member any more keeps what he said, unless it is purged with him.
    ada.ban(&club.hub, &account, true, "", NOW + 16).unwrap();
    give(&ada, &bob);
    assert!(texts(&bob, &club, "in:Boats").is_empty());
}
