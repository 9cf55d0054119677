//! Hubs over whole replicas: what members do apart comes to the same everywhere.

mod random;

use super::replicas::{Home, NOW, person};
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, ChangeId, HubId};
use crate::identity::DeviceSecret;
use crate::model::entry::{ChannelFields, HubAction, Permissions, RoleRef};
use crate::replica::{
    EngineError, HubStart, MessageDraft, MessageState, MessageView, Text, Ticket,
};
use crate::sync::Options;
use crate::sync::sim::{Faults, Network};

pub(super) fn fields(name: &str) -> ChannelFields {
    ChannelFields {
        name: name.into(),
        topic: String::new(),
        category: String::new(),
        read_only: false,
    }
}

fn start(name: &str) -> HubStart {
    HubStart {
        name: name.into(),
        about: String::new(),
        everyone: Permissions::SEND | Permissions::REACT,
        channels: vec![fields("general")],
        forked_from: None,
    }
}

fn say(
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
type Village = (Network<Home>, Vec<AccountId>, HubId, ChangeId, Vec<usize>);

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
        guest.join_hub(&Ticket { hub, invite, key: Some(&key) }, NOW + 2 + n as u64).unwrap();
        network.spread_news();
        network.run_for(5000).unwrap();
    }
    (network, accounts, hub, channel, lines)
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
