//! Private channels: their readers read them, who carries them does not.

mod hostile;
mod names;
mod policy;

use super::{Village, appoint, fields, hub_of, say, texts};
use crate::hash::{AccountId, ChangeId, HubId};
use crate::model::entry::{
    ChannelChange, ChannelFields, EntryRef, History, HubAction, Permissions, Rank, Readers,
    RoleRef, Who,
};
use crate::replica::{MessageDraft, MessageState, Sealing, Text};
use crate::sync::sim::Network;
use crate::sync::tests::replicas::{Home, NOW, link};

/// A private channel for holders of some roles.
pub(super) fn private(name: &str, roles: &[ChangeId], history: History) -> HubAction {
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    let readers = Some(Readers { roles, history });
    HubAction::CreateChannel(ChannelFields { readers, ..fields(name) })
}

/// Everybody hears everything.
pub(in crate::sync::tests) fn settle(network: &mut Network<Home>) {
    network.spread_news();
    network.run_for(10_000).unwrap();
}

/// A role without permissions of its own.
pub(super) fn role(founder: &Home, hub: &HubId, name: &str, rank: u16, now: u64) -> ChangeId {
    let (rank, permissions) = (Rank::of_role(rank).unwrap(), Permissions::NONE);
    let define = HubAction::DefineRole { name: name.into(), rank, permissions };
    founder.replica.hub_operation(hub, define, "", now).unwrap()
}

pub(super) fn grant(founder: &Home, hub: &HubId, account: AccountId, role: ChangeId, now: u64) {
    let grant = HubAction::Grant { account, role: RoleRef::Role(role) };
    founder.replica.hub_operation(hub, grant, "", now).unwrap();
}

/// Founder, two who hold the role that reads, and one member who does not.
pub(in crate::sync::tests) fn village(
    seed: u64,
    history: History,
) -> (Village, ChangeId, ChangeId) {
    let (mut network, accounts, hub, channel, lines) = hub_of(4, seed);
    let founder = &network.parties[0];
    let board = role(founder, &hub, "trustees", 3, NOW + 40);
    grant(founder, &hub, accounts[1], board, NOW + 41);
    grant(founder, &hub, accounts[2], board, NOW + 42);
    let made = private("board", &[board], history);
    let secret = founder.replica.hub_operation(&hub, made, "", NOW + 43).unwrap();
    settle(&mut network);
    ((network, accounts, hub, channel, lines), board, secret)
}

/// Why messages show no text.
fn sealed(home: &Home, hub: &HubId, channel: &ChangeId) -> Vec<Option<Sealing>> {
    let views = home.replica.channel(hub, channel, None, 100, false).unwrap();
    views.iter().map(|view| view.sealed).collect()
}

/// Whether what a home shows of a channel has some text in it.
fn finds(home: &Home, hub: &HubId, channel: &ChangeId, text: &str) -> bool {
    let views = home.replica.channel(hub, channel, None, 100, true).unwrap();
    views.iter().any(|view| format!("{view:?}").contains(text))
}

#[test]
fn readers_read_and_who_carries_does_not() {
    let ((mut network, accounts, hub, channel, _), _, secret) = village(60, History::FromJoin);
    let first = say(&network.parties[0], &hub, &secret, "the money is gone", NOW + 60).unwrap();
    settle(&mut network);
    let draft = MessageDraft {
        text: "all of it?".into(),
        target: Some(first),
        mentions: vec![Who::Account(accounts[2])],
        ..MessageDraft::default()
    };
    let answer = network.parties[1].replica.say(None, &hub, &secret, draft, NOW + 61).unwrap();
    network.parties[2].replica.react(first, "👍", NOW + 62).unwrap();
    network.parties[0].replica.edit(first, "some money is gone", NOW + 63).unwrap();
    settle(&mut network);
    for home in &network.parties[..3] {
        assert_eq!(texts(home, &hub, &secret), ["all of it?", "some money is gone"]);
        let view = home.replica.message(&first).unwrap();
        assert_eq!(view.reactions.keys().collect::<Vec<_>>(), ["👍"]);
        assert_eq!((view.replies, view.edited_ms), (1, Some(NOW + 63)));
        let thread = home.replica.thread(&first).unwrap();
        assert_eq!(thread.iter().map(|(depth, _)| *depth).collect::<Vec<_>>(), [0, 1]);
        let view = home.replica.message(&answer).unwrap();
        assert_eq!(view.mentions, [Who::Account(accounts[2])]);
    }
    // Who carries it has the same messages in the same order, and no word of them.
    let other = &network.parties[3];
    let views = other.replica.channel(&hub, &secret, None, 100, false).unwrap();
    assert_eq!(views.iter().map(|view| view.id).collect::<Vec<_>>(), [answer, first]);
    assert_eq!(sealed(other, &hub, &secret), [Some(Sealing::ToOthers); 2]);
    assert_eq!(views[0].target, Some(first));
    assert!(views.iter().all(|view| view.reactions.is_empty() && view.mentions.is_empty()));
    assert_eq!((views[1].replies, other.replica.thread(&first).unwrap().len()), (1, 2));
    for word in ["money", "all of it"] {
        assert!(!finds(other, &hub, &secret, word));
        assert!(finds(&network.parties[1], &hub, &secret, word));
    }
    say(&network.parties[0], &hub, &channel, "for everybody", NOW + 69).unwrap();
    settle(&mut network);
    let other = &network.parties[3];
    let held = |word: &str| {
        let mut held = false;
        let holds = |bytes: &[u8]| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        let look = &mut |_, key: &[u8], value: &[u8]| held |= holds(key) || holds(value);
        other.replica.dump(look).unwrap();
        held
    };
    assert!(held("for everybody"), "the search does not find what is there");
    assert!(!held("money") && !held("all of it"));
    let refused = say(other, &hub, &secret, "let me in", NOW + 70).unwrap_err();
    assert!(refused.to_string().contains("you lack a permission"), "{refused}");
    let unread = |at: usize| {
        let all = network.parties[at].replica.unread_channels(&hub).unwrap();
        let one = all.into_iter().find(|unread| unread.channel == secret);
        one.map(|one| (one.messages, one.mentions))
    };
    // What is sealed to others is not unread.
    assert_eq!((unread(2), unread(3), unread(1)), (Some((2, 1)), None, Some((1, 0))));
}

#[test]
fn who_loses_the_role_reads_nothing_new() {
    let ((mut network, accounts, hub, _, _), board, secret) = village(61, History::FromJoin);
    say(&network.parties[0], &hub, &secret, "before", NOW + 60).unwrap();
    settle(&mut network);
    let role = RoleRef::Role(board);
    network.parties[0].replica.revoke_role(&hub, &accounts[2], role, "", NOW + 61).unwrap();
    say(&network.parties[0], &hub, &secret, "after", NOW + 62).unwrap();
    settle(&mut network);
    say(&network.parties[1], &hub, &secret, "so it is", NOW + 63).unwrap();
    settle(&mut network);
    for home in &network.parties[..2] {
        assert_eq!(texts(home, &hub, &secret), ["so it is", "after", "before"]);
    }
    let out = &network.parties[2];
    let to_others = Some(Sealing::ToOthers);
    assert_eq!(sealed(out, &hub, &secret), [to_others, to_others, None]);
    assert!(!finds(out, &hub, &secret, "so it is") && finds(out, &hub, &secret, "before"));
    // He mends what he can, and so do the others: it comes to nothing.
    for (n, home) in (0..).zip(&network.parties) {
        home.replica.mend_conversations(NOW + 70 + n).unwrap();
    }
    settle(&mut network);
    assert_eq!(sealed(&network.parties[2], &hub, &secret), [to_others, to_others, None]);
}

#[test]
fn who_comes_later_reads_what_the_history_gives() {
    for (seed, history) in [(62, History::FromJoin), (63, History::All)] {
        let ((mut network, accounts, hub, _, _), board, secret) = village(seed, history);
        say(&network.parties[0], &hub, &secret, "before", NOW + 60).unwrap();
        settle(&mut network);
        grant(&network.parties[0], &hub, accounts[3], board, NOW + 61);
        settle(&mut network);
        for (n, home) in (0..).zip(&network.parties) {
            home.replica.mend_conversations(NOW + 70 + n).unwrap();
        }
        settle(&mut network);
        say(&network.parties[1], &hub, &secret, "after", NOW + 80).unwrap();
        settle(&mut network);
        let newcomer = &network.parties[3];
        let all = history == History::All;
        let before = if all { "before" } else { "Missing" };
        assert_eq!(texts(newcomer, &hub, &secret), ["after", before], "{history:?}");
        // With all of the past given nobody opens another key.
        let keys = |home: &Home| {
            let mut state = home.replica.lock();
            home.replica.channel_talk(&mut state, &hub, &secret).unwrap().unwrap().epochs.len()
        };
        assert_eq!(keys(newcomer), if all { 1 } else { 2 });
        say(newcomer, &hub, &secret, "hello", NOW + 90).unwrap();
        settle(&mut network);
        for home in &network.parties {
            assert_eq!(texts(home, &hub, &secret)[..2], ["hello", "after"]);
        }
    }
}

#[test]
fn moderation_goes_on_without_a_word_of_it() {
    let ((mut network, accounts, hub, _, _), _, secret) = village(64, History::FromJoin);
    // A moderator who reads nothing of it.
    appoint(&network.parties[0], &hub, &accounts[3]);
    let author = &network.parties[1];
    let [kept, hidden, purged, taken] = ["kept", "hidden", "purged", "taken back"]
        .map(|text| say(author, &hub, &secret, text, NOW + 60).unwrap());
    settle(&mut network);
    let moderator = &network.parties[3].replica;
    let named = |entry| EntryRef { account: accounts[1], entry };
    let act = |action| moderator.hub_operation(&hub, action, "", NOW + 70).unwrap();
    act(HubAction::Hide { entry: named(hidden) });
    act(HubAction::Purge { entry: named(purged) });
    network.parties[1].replica.delete(taken, NOW + 71).unwrap();
    settle(&mut network);
    for home in &network.parties {
        let state = |id: &ChangeId| home.replica.message(id).unwrap();
        assert!(matches!(state(&hidden).state, MessageState::Hidden { .. }));
        assert!(matches!(state(&purged).state, MessageState::Purged { .. }));
        assert_eq!((state(&purged).text, state(&purged).sealed), (Text::Deleted, None));
        assert!(state(&taken).deleted && state(&taken).text == Text::Deleted);
        assert!(!state(&kept).deleted);
        assert!(home.replica.verify().unwrap().problems.is_empty());
    }
    // Banned with what the moderator has of it, sealed as it is: that stays, and no more.
    let guest = &network.parties[1];
    network.parties[3].replica.ban(&hub, &accounts[1], false, "", NOW + 80).unwrap();
    say(guest, &hub, &secret, "too late", NOW + 81).unwrap();
    settle(&mut network);
    for home in &network.parties {
        let views = home.replica.channel(&hub, &secret, None, 100, false).unwrap();
        assert_eq!(views.len(), 4);
        assert!(views.iter().any(|view| view.id == kept));
    }
}

#[test]
fn a_device_linked_later_reads_all_and_a_revoked_one_nothing_new() {
    let ((mut network, _, hub, _, _), _, secret) = village(65, History::FromJoin);
    say(&network.parties[0], &hub, &secret, "before", NOW + 60).unwrap();
    settle(&mut network);
    let phone = link(&network.parties[1], 6_599, "phone");
    let device = phone.replica.device().unwrap();
    network.parties.push(phone);
    network.connect(1, 4);
    network.connect(0, 4);
    network.parties[4].replica.serve_hub(&hub, true).unwrap();
    network.refresh();
    settle(&mut network);
    for (n, home) in (0..).zip(&network.parties) {
        home.replica.mend_conversations(NOW + 70 + n).unwrap();
    }
    settle(&mut network);
    assert_eq!(texts(&network.parties[4], &hub, &secret), ["before"]);
    say(&network.parties[4], &hub, &secret, "from the phone", NOW + 80).unwrap();
    settle(&mut network);
    assert_eq!(texts(&network.parties[2], &hub, &secret), ["from the phone", "before"]);
    network.parties[1].replica.revoke_device(device, "lost", NOW + 81).unwrap();
    say(&network.parties[1], &hub, &secret, "it was stolen", NOW + 82).unwrap();
    settle(&mut network);
    say(&network.parties[0], &hub, &secret, "bad luck", NOW + 83).unwrap();
    settle(&mut network);
    let told = ["bad luck", "it was stolen", "from the phone", "before"];
    for home in &network.parties[..3] {
        assert_eq!(texts(home, &hub, &secret), told);
    }
    assert!(!texts(&network.parties[4], &hub, &secret).iter().any(|text| text.contains("luck")));
}

#[test]
fn who_changes_the_readers_is_above_all_their_roles() {
    let ((mut network, accounts, hub, general, _), board, secret) = village(66, History::FromJoin);
    // A manager below the board, and one above it.
    let founder = &network.parties[0];
    let permissions = Permissions::MANAGE_CHANNELS;
    let manager = |name: &str, rank| {
        let rank = Rank::of_role(rank).unwrap();
        let define = HubAction::DefineRole { name: name.into(), rank, permissions };
        founder.replica.hub_operation(&hub, define, "", NOW + 50).unwrap()
    };
    let (low, high) = (manager("low", 2), manager("high", 4));
    grant(founder, &hub, accounts[3], low, NOW + 51);
    grant(founder, &hub, accounts[1], high, NOW + 52);
    settle(&mut network);
    let change = |roles: Vec<ChangeId>, channel| HubAction::ChangeChannel {
        channel,
        change: ChannelChange::Readers(Readers { roles, history: History::All }),
    };
    let below = &network.parties[3].replica;
    for roles in [vec![low], vec![], vec![board]] {
        let refused = below.hub_operation(&hub, change(roles, secret), "", NOW + 60).unwrap_err();
        assert!(refused.to_string().contains("rank above"), "{refused}");
    }
    // What every member reads he may change, until it is for those above him.
    let lounge = below.hub_operation(&hub, private("lounge", &[], History::All), "", NOW + 61);
    let lounge = lounge.unwrap();
    settle(&mut network);
    let above = &network.parties[1].replica;
    above.hub_operation(&hub, change(vec![board], lounge), "", NOW + 62).unwrap();
    above.hub_operation(&hub, change(vec![low], secret), "", NOW + 63).unwrap();
    settle(&mut network);
    let below = &network.parties[3].replica;
    below.hub_operation(&hub, change(vec![], lounge), "", NOW + 64).unwrap_err();
    below.hub_operation(&hub, change(vec![], secret), "", NOW + 65).unwrap_err();
    for home in &network.parties {
        let read = |channel: &ChangeId| home.replica.hub(&hub, |hub| hub.readers(channel)).unwrap();
        let set = |some: &[usize]| {
            some.iter().map(|n| accounts[*n]).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(read(&secret), Some(set(&[0, 3])));
        assert_eq!(read(&lounge), Some(set(&[0, 1, 2])));
        assert_eq!(read(&general), None);
    }
    // Of two that did not know of each other both hold.
    let (first, other) = (&network.parties[0].replica, &network.parties[1].replica);
    first.hub_operation(&hub, change(vec![board], secret), "", NOW + 70).unwrap();
    other.hub_operation(&hub, change(vec![low], secret), "", NOW + 71).unwrap();
    settle(&mut network);
    for home in &network.parties {
        let read = home.replica.hub(&hub, |hub| hub.readers(&secret)).unwrap();
        assert_eq!(read.unwrap().into_iter().collect::<Vec<_>>(), [accounts[0]]);
    }
}
