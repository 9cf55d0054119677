//! Names, topics and reasons that are sealed: members or readers see them, who carries them does not.

use super::{grant, private, role, settle, village};
use crate::entropy::SeededEntropy;
use crate::hash::{ChangeId, HubId};
use crate::hub::{Verdict, texts_of_channel, texts_of_hub};
use crate::limits::EPOCH_AGE_MS_MAX;
use crate::model::entry::{
    ChannelChange, ChannelFields, History, HubAction, HubOperation, HubSetting, Permissions, Rank,
    Readers, RoleRef,
};
use crate::replica::HubStart;
use crate::seal::{SealPlace, SealedEntry};
use crate::sync::tests::hubs::private::hostile::key_of;
use crate::sync::tests::hubs::{fields, start};
use crate::sync::tests::replicas::{Home, NOW, link, person};

/// Name and topic of a channel, as a home shows them.
fn shown(home: &Home, hub: &HubId, channel: &ChangeId) -> (String, String, bool) {
    let view = home.replica.hub(hub, |hub| hub.channel(channel)).unwrap().unwrap();
    (view.name, view.topic, view.closed)
}

fn open(name: &str, topic: &str) -> (String, String, bool) {
    (name.into(), topic.into(), false)
}

fn closed() -> (String, String, bool) {
    (String::new(), String::new(), true)
}

/// Whether anything in a store has these bytes.
fn holds(home: &Home, text: &str) -> bool {
    let mut held = false;
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    let look = &mut |_, key: &[u8], value: &[u8]| held |= has(key) || has(value);
    home.replica.dump(look).unwrap();
    held
}

fn topic(channel: ChangeId, text: &str) -> HubAction {
    HubAction::ChangeChannel { channel, change: ChannelChange::Topic(text.into()) }
}

#[test]
fn the_name_of_a_private_channel_is_for_its_readers() {
    let ((mut network, accounts, hub, general, _), board, _) = village(80, History::FromJoin);
    let made = ChannelFields {
        topic: "the missing money".into(),
        category: "shut doors".into(),
        readers: Some(Readers { roles: vec![board], history: History::FromJoin }),
        ..fields("treasurers")
    };
    let founder = &network.parties[0].replica;
    let made = HubAction::CreateChannel(made);
    let secret = founder.hub_operation(&hub, made, "nobody may know", NOW + 50).unwrap();
    let clear = topic(general, "for all to see");
    founder.hub_operation(&hub, clear, "", NOW + 51).unwrap();
    settle(&mut network);
    let expected = open("treasurers", "the missing money");
    for home in &network.parties[..3] {
        assert_eq!(shown(home, &hub, &secret), expected);
        let reason = home.replica.hub(&hub, |hub| {
            let record = hub.record_of(&secret).unwrap();
            (record.reason.to_owned(), record.closed)
        });
        assert_eq!(reason.unwrap(), ("nobody may know".to_owned(), false));
    }
    let other = &network.parties[3];
    assert_eq!(shown(other, &hub, &secret), closed());
    assert!(holds(other, "for all to see"), "the search does not find what is there");
    for home in &network.parties {
        for text in ["treasurers", "the missing money", "shut doors", "nobody may know"] {
            assert!(!holds(home, text), "{text}");
        }
    }
    // Who manages channels says what it is about from now on, if he reads it.
    let founder = &network.parties[0];
    let (rank, permissions) = (Rank::of_role(9).unwrap(), Permissions::MANAGE_CHANNELS);
    let warden = HubAction::DefineRole { name: "warden".into(), rank, permissions };
    let warden = founder.replica.hub_operation(&hub, warden, "", NOW + 52).unwrap();
    for (n, account) in (0..).zip([accounts[1], accounts[3]]) {
        grant(founder, &hub, account, warden, NOW + 53 + n);
    }
    settle(&mut network);
    let refused = network.parties[3].replica.hub_operation(&hub, topic(secret, "x"), "", NOW + 60);
    assert!(refused.unwrap_err().to_string().contains("none of your roles reads it"));
    let one = &network.parties[1].replica;
    one.hub_operation(&hub, topic(secret, "where it went"), "", NOW + 61).unwrap();
    settle(&mut network);
    for home in &network.parties[..3] {
        assert_eq!(shown(home, &hub, &secret), open("treasurers", "where it went"));
    }
    assert_eq!(shown(&network.parties[3], &hub, &secret).0, "");
}

#[test]
fn who_comes_later_sees_names_and_who_was_taken_out_no_new_ones() {
    let ((mut network, accounts, hub, ..), board, secret) = village(81, History::FromJoin);
    assert_eq!(shown(&network.parties[3], &hub, &secret), closed());
    let founder = &network.parties[0];
    let role = RoleRef::Role(board);
    founder.replica.revoke_role(&hub, &accounts[2], role, "", NOW + 60).unwrap();
    grant(founder, &hub, accounts[3], board, NOW + 61);
    founder.replica.hub_operation(&hub, topic(secret, "without him"), "", NOW + 62).unwrap();
    settle(&mut network);
    for home in &network.parties {
        home.replica.mend_conversations(NOW + 70).unwrap();
    }
    settle(&mut network);
    // What was said before he came he does not read, and what it is called he does.
    for at in [0, 1, 3] {
        assert_eq!(shown(&network.parties[at], &hub, &secret), open("board", "without him"));
    }
    assert_eq!(shown(&network.parties[2], &hub, &secret), ("board".into(), String::new(), true));
    // So does a device that is linked later.
    let phone = link(&network.parties[1], 81_900, "phone");
    phone.replica.serve_hub(&hub, true).unwrap();
    network.parties.push(phone);
    network.connect(1, 4);
    settle(&mut network);
    network.parties[1].replica.mend_conversations(NOW + 71).unwrap();
    settle(&mut network);
    assert_eq!(shown(&network.parties[4], &hub, &secret), open("board", "without him"));
}

#[test]
fn who_makes_a_channel_for_others_names_it_to_them() {
    let ((mut network, accounts, hub, ..), board, _) = village(84, History::FromJoin);
    let founder = &network.parties[0];
    let (rank, permissions) = (Rank::of_role(9).unwrap(), Permissions::MANAGE_CHANNELS);
    let warden = HubAction::DefineRole { name: "warden".into(), rank, permissions };
    let warden = founder.replica.hub_operation(&hub, warden, "", NOW + 52).unwrap();
    grant(founder, &hub, accounts[3], warden, NOW + 53);
    settle(&mut network);
    // He reads none of it himself.
    let made = private("vault", &[board], History::FromJoin);
    let vault = network.parties[3].replica.hub_operation(&hub, made, "", NOW + 54).unwrap();
    settle(&mut network);
    for home in &network.parties[..3] {
        assert_eq!(shown(home, &hub, &vault), open("vault", ""));
    }
    // A key that he has is used for nothing that they say.
    network.parties[1].replica.mend_conversations(NOW + 55).unwrap();
    network.parties[0].replica.hub_operation(&hub, topic(vault, "gold"), "", NOW + 56).unwrap();
    settle(&mut network);
    assert_eq!(shown(&network.parties[2], &hub, &vault), open("vault", "gold"));
    assert_eq!(shown(&network.parties[3], &hub, &vault).1, "");
    // Who comes later is told all the same.
    grant(&network.parties[0], &hub, accounts[3], board, NOW + 57);
    settle(&mut network);
    for home in &network.parties {
        home.replica.mend_conversations(NOW + 58).unwrap();
    }
    settle(&mut network);
    assert_eq!(shown(&network.parties[3], &hub, &vault), open("vault", "gold"));
}

#[test]
fn a_text_that_is_too_long_is_refused_before_it_is_sealed() {
    let (home, _) = person(84_500, "laptop");
    let start = HubStart { private: true, ..start("Cellar") };
    let hub = home.replica.create_hub(start, NOW).unwrap();
    let general = home.replica.hub(&hub, |hub| hub.channels()[0].id).unwrap();
    let before = home.replica.hub(&hub, |hub| hub.len()).unwrap();
    let heading = ChannelFields { category: "x".repeat(65), ..fields("racks") };
    let about = HubSetting::About("x".repeat(1025));
    let name = |name: &str| HubAction::Set(HubSetting::Name(name.into()));
    let (long, why) = (topic(general, &"x".repeat(1025)), "x".repeat(257));
    let cases = [
        (HubAction::CreateChannel(heading), ""),
        (HubAction::Set(about), ""),
        (name(""), "why"),
        (long, ""),
        (name("Attic"), &why),
    ];
    for (n, (action, reason)) in (1..).zip(cases) {
        let told = format!("{action:?}");
        assert!(home.replica.hub_operation(&hub, action, reason, NOW + n).is_err(), "{told}");
    }
    assert_eq!(home.replica.hub(&hub, |hub| hub.len()).unwrap(), before);
    home.replica.hub_operation(&hub, topic(general, &"x".repeat(1024)), "", NOW + 9).unwrap();
    assert_eq!(shown(&home, &hub, &general).1.len(), 1024);
}

#[test]
fn names_stay_though_who_gave_them_has_gone() {
    let ((mut network, accounts, hub, ..), board, secret) = village(85, History::FromJoin);
    let founder = &network.parties[0];
    let (rank, permissions) = (Rank::of_role(9).unwrap(), Permissions::MANAGE_CHANNELS);
    let warden = HubAction::DefineRole { name: "warden".into(), rank, permissions };
    let warden = founder.replica.hub_operation(&hub, warden, "", NOW + 52).unwrap();
    grant(founder, &hub, accounts[1], warden, NOW + 53);
    settle(&mut network);
    // A week later, so that the key is his.
    let later = NOW + EPOCH_AGE_MS_MAX + 60;
    let named = &network.parties[1].replica;
    named.hub_operation(&hub, topic(secret, "his words"), "", later).unwrap();
    settle(&mut network);
    network.parties[1].replica.leave_hub(&hub, later + 1).unwrap();
    settle(&mut network);
    // Nobody passed the key on but he, and what he wrote until then stays.
    let keys = texts_of_channel(&secret);
    let told = |home: &Home| {
        let state = &mut home.replica.lock();
        let talk = home.replica.channel_talk(state, &hub, &keys).unwrap().unwrap();
        (talk.epochs.len(), talk.lost.len())
    };
    assert_eq!(told(&network.parties[0]), (2, 0));
    grant(&network.parties[0], &hub, accounts[3], board, later + 2);
    settle(&mut network);
    network.parties[0].replica.mend_conversations(later + 3).unwrap();
    settle(&mut network);
    for at in [0, 2, 3] {
        assert_eq!(shown(&network.parties[at], &hub, &secret), open("board", "his words"), "{at}");
    }
}

#[test]
fn a_channel_that_others_read_from_now_on_is_named_to_them() {
    let ((mut network, _, hub, ..), _, secret) = village(82, History::FromJoin);
    let all = ChannelChange::Readers(Readers::of_all());
    let all = HubAction::ChangeChannel { channel: secret, change: all };
    network.parties[0].replica.hub_operation(&hub, all, "", NOW + 60).unwrap();
    settle(&mut network);
    network.parties[0].replica.mend_conversations(NOW + 61).unwrap();
    settle(&mut network);
    assert_eq!(shown(&network.parties[3], &hub, &secret), open("board", ""));
}

#[test]
fn several_operations_of_one_commit_open() {
    let (home, _) = person(82_500, "laptop");
    let start = HubStart { private: true, about: "damp".into(), ..start("Cellar") };
    let hub = home.replica.create_hub(start, NOW).unwrap();
    let actions = vec![
        HubAction::CreateChannel(fields("racks")),
        HubAction::Set(HubSetting::Name("Wine cellar".into())),
    ];
    home.replica.hub_operations(&hub, actions, "spring", NOW + 1).unwrap();
    role(&home, &hub, "cellarman", 3, NOW + 2);
    let look = |home: &Home| {
        home.replica.hub(&hub, |hub| {
            let names: Vec<String> = hub.channels().into_iter().map(|view| view.name).collect();
            let roles: Vec<String> = hub.roles().into_iter().map(|view| view.name).collect();
            let reasons = hub.audit().iter().filter(|record| record.reason == "spring").count();
            let settings = hub.settings();
            (settings.name, settings.about, settings.closed, names, roles, reasons)
        })
    };
    let (name, about, closed, names, roles, reasons) = look(&home).unwrap();
    assert_eq!((name.as_str(), about.as_str(), closed), ("Wine cellar", "damp", false));
    assert_eq!((names, reasons), (vec!["general".to_owned(), "racks".to_owned()], 2));
    assert_eq!(roles, ["cellarman", ""]);
    for text in ["Cellar", "Wine", "damp", "general", "racks", "spring", "cellarman"] {
        assert!(!holds(&home, text), "{text}");
    }
    // One key for all of them, and for the channels that everybody there reads.
    let state = &mut home.replica.lock();
    let talk = home.replica.channel_talk(state, &hub, &texts_of_hub(&hub)).unwrap().unwrap();
    assert_eq!(talk.epochs.len(), 1);
}

/// An operation as its author seals it in his own place, or another.
fn forged(
    home: &Home,
    hub: &HubId,
    secret: &ChangeId,
    n: u64,
    plain: Option<&[u8]>,
) -> HubOperation {
    let key = key_of(home, hub, &texts_of_channel(secret));
    let mut operation = HubOperation {
        seen: home.replica.hub(hub, |hub| hub.cite(None)).unwrap(),
        reason: String::new(),
        action: topic(*secret, "forged"),
        texts: None,
    };
    let own = operation.take_texts().unwrap();
    let place = home.replica.next_in_hub_log(hub);
    let place = SealPlace { n: place.n + n, ..place };
    let plain = plain.unwrap_or(&own);
    let entropy = SeededEntropy::new(3);
    let sealed = SealedEntry::seal(&key, &place, &operation.clear(), plain, &entropy);
    operation.texts = Some(sealed.unwrap());
    operation
}

#[test]
fn texts_that_do_not_open_hide_nothing_but_themselves() {
    let ((mut network, _, hub, ..), _, secret) = village(83, History::FromJoin);
    let too_long = {
        let mut w = crate::codec::Writer::new();
        w.text("").text(&"x".repeat(1025));
        w.finish()
    };
    let cases: [(&str, u64, Option<&[u8]>); 4] = [
        ("what another place says", 1, None),
        ("a text that is too long", 0, Some(&too_long)),
        ("no texts at all", 0, Some(&[])),
        ("the texts of another action", 0, Some(&[0, 1, b'a', 1, b'b'])),
    ];
    for (n, (what, ahead, plain)) in (0..).zip(cases) {
        let liar = &network.parties[0];
        let operation = forged(liar, &hub, &secret, ahead, plain);
        let id = liar.replica.write_operation(&hub, operation, NOW + 60 + n);
        settle(&mut network);
        for home in &network.parties[..3] {
            assert_eq!(shown(home, &hub, &secret), ("board".into(), String::new(), true), "{what}");
            let record = home.replica.hub(&hub, |hub| {
                let record = hub.record_of(&id).unwrap();
                (record.closed, matches!(record.verdict, Verdict::Counts(_)))
            });
            assert_eq!(record.unwrap(), (true, true), "{what}");
        }
    }
    // What opens comes into its place again.
    let founder = &network.parties[0].replica;
    founder.hub_operation(&hub, topic(secret, "as it was"), "", NOW + 80).unwrap();
    settle(&mut network);
    assert_eq!(shown(&network.parties[1], &hub, &secret), open("board", "as it was"));
    // A key of another channel's texts names nothing here.
    let made = private("diary", &[], History::All);
    let diary = network.parties[0].replica.hub_operation(&hub, made, "", NOW + 81).unwrap();
    settle(&mut network);
    let key = key_of(&network.parties[0], &hub, &texts_of_channel(&diary));
    let mut operation = forged(&network.parties[0], &hub, &secret, 0, None);
    let texts = operation.texts.take().unwrap();
    let place = network.parties[0].replica.next_in_hub_log(&hub);
    let plain = [&[0, 1][..], b"y"].concat();
    let entropy = SeededEntropy::new(4);
    let sealed = SealedEntry::seal(&key, &place, &operation.clear(), &plain, &entropy).unwrap();
    assert_ne!(sealed.epoch, texts.epoch);
    operation.texts = Some(sealed);
    network.parties[0].replica.write_operation(&hub, operation, NOW + 82);
    settle(&mut network);
    assert!(shown(&network.parties[1], &hub, &secret).2);
}
