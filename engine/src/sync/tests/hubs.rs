//! Hubs over whole replicas: what members do apart comes to the same everywhere.

mod newest;
pub(super) mod private;
mod random;
mod reports;
mod room;
mod unread;
mod vouches;
pub(super) mod withheld;

use super::replicas::{Home, NOW, person};
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, ChangeId, HubId};
use crate::identity::DeviceSecret;
use crate::model::entry::{
    ChannelChange, ChannelFields, EntryRef, HubAction, HubSetting, Permissions, Rank, RoleRef,
};
use crate::replica::{
    EngineError, HubStart, MessageDraft, MessageState, MessageView, Text, Ticket,
};
use crate::sync::Options;
use crate::sync::exchange::Exchange;
use crate::sync::sim::{Faults, Network};

pub(super) fn fields(name: &str) -> ChannelFields {
    ChannelFields {
        name: name.into(),
        topic: String::new(),
        category: String::new(),
        read_only: false,
        readers: None,
    }
}

fn start(name: &str) -> HubStart {
    HubStart {
        name: name.into(),
        about: String::new(),
        everyone: Permissions::SEND | Permissions::REACT,
        channels: vec![fields("general")],
        forked_from: None,
        private: false,
    }
}

pub(super) fn say(
    home: &Home,
    hub: &HubId,
    channel: &ChangeId,
    text: &str,
    now: u64,
) -> Result<ChangeId, EngineError> {
    let draft = MessageDraft { text: text.into(), ..MessageDraft::default() };
    home.replica.say(None, hub, channel, draft, now)
}

fn texts(home: &Home, hub: &HubId, channel: &ChangeId) -> Vec<String> {
    let views = home.replica.channel(hub, channel, None, 10_000, false).unwrap();
    views.iter().map(shown).collect()
}

fn shown(view: &MessageView) -> String {
    match (&view.state, &view.text) {
        (MessageState::Shown, Text::Here(text)) => text.clone(),
        (MessageState::Shown, other) => format!("{other:?}"),
        (state, _) => format!("{state:?}"),
    }
}

/// The network, the accounts, the hub, its channel, the lines from the founder to the guests.
pub(super) type Village = (Network<Home>, Vec<AccountId>, HubId, ChangeId, Vec<usize>);

/// Founder and guests in one network, the guests members by one open invitation.
pub(super) fn hub_of(people: u64, seed: u64) -> Village {
    let (homes, accounts): (Vec<Home>, Vec<AccountId>) =
        (0..people).map(|n| person(seed * 100 + 500 + n, "laptop")).unzip();
    let founder = &homes[0].replica;
    let hub = founder.create_hub(start("Gardeners"), NOW).unwrap();
    let channel = founder.hub(&hub, |hub| hub.channels()[0].id).unwrap();
    let key = DeviceSecret::generate(&SeededEntropy::new(9));
    let invite = HubAction::Invite {
        role: RoleRef::Everyone,
        key: Some(key.id()),
        uses: 0,
        expires_ms: 0,
        account: None,
    };
    let invite = founder.hub_operation(&hub, invite, "", NOW + 1).unwrap();
    let options = Options { check_every_ms: Some(1000), ..Options::default() };
    let mut network = Network::new(seed, homes, Faults::default(), options);
    let mut lines = Vec::new();
    for n in 1..network.parties.len() {
        let guest = &network.parties[n].replica;
        guest.serve_hub(&hub, true).unwrap();
        lines.push(network.connect(0, n));
        network.run_for(5000).unwrap();
        let guest = &network.parties[n].replica;
        guest
            .join_hub(&Ticket { hub, invite, key: Some(&key), texts: &[] }, NOW + 2 + n as u64)
            .unwrap();
        network.spread_news();
        network.run_for(5000).unwrap();
    }
    (network, accounts, hub, channel, lines)
}

/// Has the founder make somebody a moderator who may do everything below his rank.
fn appoint(founder: &Home, hub: &HubId, account: &AccountId) {
    let founder = &founder.replica;
    let (rank, permissions) = (Rank::of_role(5).unwrap(), Permissions::ALL);
    let role = HubAction::DefineRole { name: "mod".into(), rank, permissions };
    let role = RoleRef::Role(founder.hub_operation(hub, role, "", NOW + 50).unwrap());
    let grant = HubAction::Grant { account: *account, role };
    founder.hub_operation(hub, grant, "", NOW + 51).unwrap();
}

#[test]
fn who_joins_by_a_ticket_reads_and_writes() {
    let (mut network, accounts, hub, channel, _) = hub_of(3, 1);
    let stranger = person(900, "pc").0;
    assert!(matches!(
        say(&stranger, &hub, &channel, "hello", NOW),
        Err(EngineError::NotFound { what: "hub", .. })
    ));
    for home in &network.parties {
        let members = home.replica.hub(&hub, |hub| hub.members()).unwrap();
        assert_eq!(members.keys().copied().collect::<Vec<_>>(), {
            let mut all = accounts.clone();
            all.sort_unstable();
            all
        });
    }
    for (n, home) in (0u64..).zip(&network.parties) {
        say(home, &hub, &channel, &format!("I am {n}"), NOW + 100 + n).unwrap();
    }
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in &network.parties {
        assert_eq!(texts(home, &hub, &channel), ["I am 2", "I am 1", "I am 0"]);
    }
    // Banned with what the founder has seen: what the guest says meanwhile is void.
    let founder = &network.parties[0].replica;
    founder.ban(&hub, &accounts[1], false, "noise", NOW + 200).unwrap();
    say(&network.parties[1], &hub, &channel, "too late", NOW + 201).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in &network.parties {
        assert_eq!(texts(home, &hub, &channel), ["I am 2", "I am 1", "I am 0"]);
    }
    let refused = say(&network.parties[1], &hub, &channel, "again", NOW + 300).unwrap_err();
    assert_eq!(refused.to_string(), "you are banned from this hub");
}

#[test]
fn a_hub_outlives_its_founder() {
    let (mut network, accounts, hub, channel, lines) = hub_of(3, 2);
    for (n, home) in (0u64..).zip(&network.parties) {
        say(home, &hub, &channel, &format!("I am {n}"), NOW + 100 + n).unwrap();
    }
    network.spread_news();
    network.run_for(10_000).unwrap();
    let invite = network.parties[1].replica.hub(&hub, |hub| hub.invites()[0].id).unwrap();
    let before = network.parties[1].replica.hub_items(&hub).len();
    // Nobody hears of the founder's machine again.
    for line in lines {
        network.disconnect(line);
    }
    let (newcomer, account) = person(777, "phone");
    newcomer.replica.serve_hub(&hub, true).unwrap();
    network.parties.push(newcomer);
    network.connect(1, 3);
    network.connect(1, 2);
    network.run_for(10_000).unwrap();
    let newcomer = &network.parties[3];
    let key = DeviceSecret::generate(&SeededEntropy::new(9));
    newcomer
        .replica
        .join_hub(&Ticket { hub, invite, key: Some(&key), texts: &[] }, NOW + 500)
        .unwrap();
    say(newcomer, &hub, &channel, "I am new", NOW + 501).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    let members: Vec<AccountId> = accounts.iter().copied().chain([account]).collect();
    for home in &network.parties[1..] {
        assert_eq!(texts(home, &hub, &channel), ["I am new", "I am 2", "I am 1", "I am 0"]);
        let found = home.replica.hub(&hub, |hub| hub.members()).unwrap();
        assert!(members.iter().all(|member| found.contains_key(member)));
        assert_eq!(home.replica.hub_items(&hub).len(), before + 1);
    }
}

/// The rows of the table of bans against posts: what was seen, what the cut holds, and what comes
/// of it on every replica.
#[test]
fn a_ban_leaves_what_its_cut_holds_and_nothing_else() {
    let (mut network, accounts, hub, channel, lines) = hub_of(4, 3);
    appoint(&network.parties[0], &hub, &accounts[1]);
    say(&network.parties[2], &hub, &channel, "seen by both", NOW + 60).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    // The founder sees one more than the moderator, and the guest goes on alone.
    network.disconnect(lines[0]);
    let guest = &network.parties[2];
    say(guest, &hub, &channel, "seen by the founder alone", NOW + 61).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    network.disconnect(lines[1]);
    let [founder, other, guest, _] = &network.parties[..] else { panic!("four") };
    say(guest, &hub, &channel, "seen by nobody", NOW + 62).unwrap();
    founder.replica.ban(&hub, &accounts[2], false, "", NOW + 70).unwrap();
    assert_eq!(texts(founder, &hub, &channel), ["seen by the founder alone", "seen by both"]);
    // Two bans with different cuts: what both leave stays.
    other.replica.ban(&hub, &accounts[2], false, "", NOW + 71).unwrap();
    network.connect(0, 1);
    network.connect(0, 2);
    network.run_for(20_000).unwrap();
    for home in &network.parties {
        assert_eq!(texts(home, &hub, &channel), ["seen by both"]);
    }
    // Who knows that he was banned is told so; a message that names the ban counts nowhere.
    let refused = say(&network.parties[2], &hub, &channel, "again", NOW + 80).unwrap_err();
    assert_eq!(refused.to_string(), "you are banned from this hub");
    // A purging ban leaves nothing.
    network.parties[0].replica.ban(&hub, &accounts[2], true, "", NOW + 90).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in &network.parties {
        assert_eq!(texts(home, &hub, &channel), Vec::<String>::new());
    }
}

#[test]
fn what_a_member_wrote_before_leaving_stays_and_nothing_after() {
    let (mut network, _, hub, channel, _) = hub_of(2, 4);
    let guest = &network.parties[1];
    say(guest, &hub, &channel, "before", NOW + 60).unwrap();
    guest.replica.leave_hub(&hub, NOW + 61).unwrap();
    let refused = say(guest, &hub, &channel, "after", NOW + 62).unwrap_err();
    let told = "you are no member of this hub: join it with an invitation";
    assert_eq!(refused.to_string(), told);
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in &network.parties {
        assert_eq!(texts(home, &hub, &channel), ["before"]);
    }
    let founder = &network.parties[0].replica;
    let error = founder.leave_hub(&hub, NOW + 70).unwrap_err();
    assert_eq!(error.to_string(), "you own this hub: owners do not leave it");
}

#[test]
fn what_is_purged_is_dropped_everywhere_and_comes_back_if_the_purge_is_void() {
    let (mut network, accounts, hub, channel, _) = hub_of(3, 5);
    appoint(&network.parties[0], &hub, &accounts[1]);
    let guest = &network.parties[2];
    let message = say(guest, &hub, &channel, "a home address", NOW + 60).unwrap();
    guest.replica.edit(message, "a better home address", NOW + 61).unwrap();
    say(guest, &hub, &channel, "weather", NOW + 62).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    let held = |home: &Home| {
        let mut held = String::new();
        home.replica
            .dump(&mut |_, _, value| held.push_str(&String::from_utf8_lossy(value)))
            .unwrap();
        held.contains("home address")
    };
    assert!(network.parties.iter().all(held));
    let entry = EntryRef { account: accounts[2], entry: message };
    let moderator = &network.parties[1].replica;
    moderator.hub_operation(&hub, HubAction::Purge { entry }, "", NOW + 70).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in &network.parties {
        assert!(!held(home));
        let read = texts(home, &hub, &channel);
        assert_eq!(read[0], "weather");
        assert!(read[1].starts_with("Purged"), "{read:?}");
    }
    // Undone by a higher rank: what was dropped everywhere stays away, and is wanted again.
    let undo = HubAction::Undo { account: accounts[1], keep: Vec::new() };
    network.parties[0].replica.hub_operation(&hub, undo, "", NOW + 80).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in &network.parties {
        assert_eq!(texts(home, &hub, &channel), ["weather", "Missing"]);
        let section = home.replica.place_of(&message).unwrap().0;
        assert_eq!(home.replica.missing_bodies_count(&section).unwrap(), 2);
    }
}

#[test]
fn who_blocks_a_member_follows_the_hub_all_the_same() {
    let (mut network, accounts, hub, channel, _) = hub_of(3, 6);
    appoint(&network.parties[0], &hub, &accounts[1]);
    network.spread_news();
    network.run_for(10_000).unwrap();
    let blocking = &network.parties[2].replica;
    blocking.set_listed(crate::replica::BLOCKS, accounts[1], true, NOW + 60).unwrap();
    // What the blocked one does is named by what the founder does next.
    let topic = ChannelChange::Topic("plants".into());
    let change = HubAction::ChangeChannel { channel, change: topic };
    network.parties[1].replica.hub_operation(&hub, change, "", NOW + 70).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    let founder = &network.parties[0].replica;
    let made = HubAction::CreateChannel(fields("news"));
    let made = founder.hub_operation(&hub, made, "", NOW + 80).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in &network.parties {
        let (channels, waiting) =
            home.replica.hub(&hub, |hub| (hub.channels(), hub.waiting())).unwrap();
        assert_eq!(waiting, 0);
        assert!(channels.iter().any(|view| view.id == made));
        assert!(channels.iter().any(|view| view.topic == "plants"));
    }
}

#[test]
fn what_strangers_write_is_named_by_nobody_until_they_are_members() {
    let (mut network, _, hub, _, _) = hub_of(2, 7);
    let (stranger, account) = person(888, "phone");
    stranger.replica.serve_hub(&hub, true).unwrap();
    network.parties.push(stranger);
    network.connect(0, 2);
    network.run_for(10_000).unwrap();
    let named = |home: &Home| home.replica.hub(&hub, |hub| hub.cite(None)).unwrap();
    let before = named(&network.parties[0]);
    network.parties[2].replica.write_unasked(
        &hub,
        HubAction::Set(HubSetting::Name("Mine".into())),
        NOW + 60,
    );
    network.spread_news();
    network.run_for(10_000).unwrap();
    let founder = &network.parties[0];
    let void = founder.replica.hub(&hub, |hub| hub.audit().len()).unwrap();
    assert!(founder.replica.hub_items(&hub).iter().any(|item| item.account == account));
    assert_eq!(named(founder), before);
    // Once he is let in, what he wrote is named with it.
    let grant = HubAction::Grant { account, role: RoleRef::Everyone };
    founder.replica.hub_operation(&hub, grant, "", NOW + 70).unwrap();
    let after = named(founder);
    let link = founder.replica.hub_items(&hub).iter().find(|i| i.account == account).unwrap().link;
    assert!(after.contains(&link), "{void}");
    assert_eq!(founder.replica.hub(&hub, |hub| hub.settings().name).unwrap(), "Gardeners");
}

#[test]
fn a_cut_is_extended_to_what_came_since() {
    let (mut network, accounts, hub, channel, lines) = hub_of(3, 32);
    network.disconnect(lines[0]);
    say(&network.parties[1], &hub, &channel, "before the ban", NOW + 60).unwrap();
    let founder = &network.parties[0].replica;
    let ban = founder.ban(&hub, &accounts[1], false, "", NOW + 70).unwrap();
    network.connect(0, 1);
    network.run_for(10_000).unwrap();
    assert_eq!(texts(&network.parties[0], &hub, &channel), Vec::<String>::new());
    let founder = &network.parties[0].replica;
    assert_eq!(
        founder.extend_cut(&hub, &ban, "he had not heard of it", NOW + 80).unwrap().len(),
        1
    );
    let nobody =
        founder.hub_operation(&hub, HubAction::Set(HubSetting::JoinsClosed(true)), "", NOW);
    let refused = founder.extend_cut(&hub, &nobody.unwrap(), "", NOW + 81).unwrap_err();
    assert!(refused.to_string().contains("removes nobody"), "{refused}");
    network.spread_news();
    network.run_for(10_000).unwrap();
    for home in &network.parties {
        assert_eq!(texts(home, &hub, &channel), ["before the ban"]);
    }
}
