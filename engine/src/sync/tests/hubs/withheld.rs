//! Private hubs: their members have them, and to anybody else they are not there.

use std::collections::BTreeSet;

use super::private::settle;
use super::{say, start, texts};
use crate::description::{Section, SectionClass, Space};
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, ChangeId, HubId};
use crate::hub::{Hub, texts_of_hub};
use crate::identity::DeviceSecret;
use crate::model::entry::{ChannelChange, HubAction, HubSetting, RoleRef};
use crate::replica::{HubStart, INVITATION_KEYS_MAX, Ticket};
use crate::seal::EpochKey;
use crate::sync::Options;
use crate::sync::sim::{Faults, Network};
use crate::sync::tests::replicas::{Home, NOW, link, person};

pub(in crate::sync::tests) struct Village {
    pub network: Network<Home>,
    pub accounts: Vec<AccountId>,
    pub hub: HubId,
    channel: ChangeId,
    pub invite: ChangeId,
    key: DeviceSecret,
    /// Keys of names that tickets bring along.
    texts: Vec<EpochKey>,
}

/// A private hub in which each joins at the one who joined before him.
pub(in crate::sync::tests) fn village(people: u64, seed: u64) -> Village {
    let (homes, accounts): (Vec<Home>, Vec<AccountId>) =
        (0..people).map(|n| person(seed * 100 + 50_000 + n, "laptop")).unzip();
    let founder = &homes[0].replica;
    let hub = founder.create_hub(HubStart { private: true, ..start("Cellar") }, NOW).unwrap();
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
    let network = Network::new(seed, homes, Faults::default(), options);
    let mut village = Village { network, accounts, hub, channel, invite, key, texts: Vec::new() };
    for n in 1..village.network.parties.len() {
        village.join(n, n - 1);
    }
    village
}

impl Village {
    fn ticket(&self) -> Ticket<'_> {
        Ticket { hub: self.hub, invite: self.invite, key: Some(&self.key), texts: &self.texts }
    }

    fn join(&mut self, guest: usize, host: usize) {
        let replica = &self.network.parties[guest].replica;
        replica.serve_hub(&self.hub, true).unwrap();
        replica.show_ticket(&self.ticket()).unwrap();
        self.network.connect(guest, host);
        self.network.run_for(8000).unwrap();
        let replica = &self.network.parties[guest].replica;
        replica.join_hub(&self.ticket(), NOW + 2 + guest as u64).unwrap();
        settle(&mut self.network);
    }

    /// Whether a home has anything of the hub.
    pub fn has_any(&self, at: usize) -> bool {
        let replica = &self.network.parties[at].replica;
        let space = Space::Hub(self.hub).id();
        let any = !replica.documents(&mut replica.lock(), &space).unwrap().is_empty();
        any || replica.hub(&self.hub, |_| ()).is_ok()
    }
}

#[test]
fn members_join_at_any_member_and_read() {
    let village = village(3, 1);
    let mut network = village.network;
    for (n, home) in (0u64..).zip(&network.parties) {
        say(home, &village.hub, &village.channel, &format!("I am {n}"), NOW + 100 + n).unwrap();
    }
    settle(&mut network);
    for home in &network.parties {
        let members = home.replica.hub(&village.hub, |hub| hub.members()).unwrap();
        assert!(village.accounts.iter().all(|account| members.contains_key(account)));
        assert_eq!(texts(home, &village.hub, &village.channel)[0], "I am 2");
        let private = home.replica.hub(&village.hub, |hub| hub.is_private(&village.channel));
        assert_eq!(private.unwrap(), Some(true));
    }
    // Who came last was not there when the first wrote, and reads him all the same.
    let all = ["I am 2", "I am 1", "I am 0"];
    assert_eq!(texts(&network.parties[2], &village.hub, &village.channel), all);
}

/// The name of the hub and those of its channels, as a home shows them.
fn names(home: &Home, hub: &HubId) -> (String, Vec<String>) {
    let read = |hub: &Hub| {
        let channels = hub.channels().into_iter().map(|view| view.name);
        (hub.settings().name, channels.collect())
    };
    home.replica.hub(hub, read).unwrap()
}

/// What the operation that named the hub last tells of its key.
fn newest_hint(home: &Home, hub: &HubId) -> [u8; 8] {
    home.replica.hub(hub, |hub| hub.text_hints(&texts_of_hub(&hub.id())).last()).unwrap().unwrap()
}

#[test]
fn names_are_for_members_and_come_with_the_ticket() {
    let mut village = village(2, 6);
    let hub = village.hub;
    let cellar = || ("Cellar".to_owned(), vec!["general".to_owned()]);
    assert_eq!(names(&village.network.parties[0], &hub), cellar());
    // Whose ticket brought no keys waits until somebody has passed them on.
    assert_eq!(names(&village.network.parties[1], &hub), (String::new(), vec![String::new()]));
    village.network.parties[0].replica.mend_conversations(NOW + 50).unwrap();
    settle(&mut village.network);
    assert_eq!(names(&village.network.parties[1], &hub), cellar());
    // With keys there is nothing to wait for, whoever lets him in.
    village.texts = village.network.parties[1].replica.invitation_keys(&hub).unwrap();
    let (home, account) = person(59_600, "laptop");
    village.network.parties.push(home);
    let keys = village.texts.clone();
    village.texts = vec![EpochKey::generate(&SeededEntropy::new(11))];
    village.texts.extend(keys);
    village.join(2, 1);
    assert_eq!(names(&village.network.parties[2], &hub), cellar());
    // Who is out does not get the key of what it is called from then on.
    let founder = &village.network.parties[0];
    let before = newest_hint(founder, &hub);
    founder.replica.kick(&hub, &account, "drank it all", NOW + 60).unwrap();
    let name = HubAction::Set(HubSetting::Name("Attic".into()));
    founder.replica.hub_operation(&hub, name, "", NOW + 61).unwrap();
    assert_ne!(newest_hint(founder, &hub), before);
    settle(&mut village.network);
    assert_eq!(names(&village.network.parties[1], &hub).0, "Attic");
    assert_eq!(names(&village.network.parties[2], &hub).0, "Cellar");
    let reason = |at: usize| {
        let read = |hub: &Hub| hub.audit().iter().any(|record| record.reason == "drank it all");
        village.network.parties[at].replica.hub(&hub, read).unwrap()
    };
    assert!(reason(0) && reason(1) && !reason(2));
}

#[test]
fn however_many_keys_there_are_the_ticket_has_that_of_the_name() {
    const WEEK_MS: u64 = 8 * 24 * 60 * 60 * 1000;
    let mut village = village(1, 16);
    let (hub, channel) = (village.hub, village.channel);
    let founder = &village.network.parties[0];
    let mut hints = BTreeSet::from([newest_hint(founder, &hub)]);
    for week in 1..9 {
        let action = match week {
            4 => HubAction::Set(HubSetting::Name("Attic".into())),
            _ => HubAction::ChangeChannel {
                channel,
                change: ChannelChange::Topic(format!("week {week}")),
            },
        };
        founder.replica.hub_operation(&hub, action, "", NOW + week * WEEK_MS).unwrap();
        hints.insert(newest_hint(founder, &hub));
    }
    assert!(hints.len() > INVITATION_KEYS_MAX, "{} keys", hints.len());
    village.texts = founder.replica.invitation_keys(&hub).unwrap();
    assert_eq!(village.texts.len(), INVITATION_KEYS_MAX);
    village.network.parties.push(person(59_700, "laptop").0);
    village.join(1, 0);
    assert_eq!(names(&village.network.parties[1], &hub).0, "Attic");
}

/// The second member shows the ticket again and joins.
fn come_back(village: &mut Village, now: u64) {
    let (hub, account) = (village.hub, village.accounts[1]);
    let is_in = |village: &Village, at: usize| {
        let members = village.network.parties[at].replica.hub(&hub, |hub| hub.members()).unwrap();
        members.contains_key(&account)
    };
    assert!(!is_in(village, 0));
    village.network.parties[1].replica.show_ticket(&village.ticket()).unwrap();
    village.network.connect(1, 0);
    village.network.run_for(8000).unwrap();
    assert!(!is_in(village, 1), "he has not heard that he is out");
    village.network.parties[1].replica.join_hub(&village.ticket(), now).unwrap();
    say(&village.network.parties[1], &hub, &village.channel, "here again", now + 1).unwrap();
    settle(&mut village.network);
    assert_eq!([0, 1].map(|at| is_in(village, at)), [true, true]);
    assert_eq!(texts(&village.network.parties[0], &hub, &village.channel)[0], "here again");
}

#[test]
fn who_left_comes_back_by_the_same_ticket() {
    let mut village = village(2, 8);
    village.network.parties[1].replica.leave_hub(&village.hub, NOW + 50).unwrap();
    settle(&mut village.network);
    come_back(&mut village, NOW + 60);
}

#[test]
fn who_was_taken_out_and_has_not_heard_of_it_comes_back_by_a_ticket() {
    let mut village = village(2, 9);
    let (hub, account) = (village.hub, village.accounts[1]);
    village.network.parties[0].replica.kick(&hub, &account, "", NOW + 50).unwrap();
    settle(&mut village.network);
    let own = village.network.parties[1].replica.hub(&hub, |hub| hub.rank(&account));
    assert!(own.unwrap().is_some(), "he was told");
    come_back(&mut village, NOW + 60);
}

#[test]
fn who_showed_a_ticket_as_a_member_and_is_taken_out_is_given_nothing_more() {
    let mut village = village(3, 11);
    let (hub, account) = (village.hub, village.accounts[1]);
    village.network.parties[1].replica.show_ticket(&village.ticket()).unwrap();
    village.network.connect(1, 2);
    village.network.connect(2, 0);
    settle(&mut village.network);
    village.network.parties[0].replica.kick(&hub, &account, "", NOW + 50).unwrap();
    say(&village.network.parties[0], &hub, &village.channel, "without him", NOW + 51).unwrap();
    settle(&mut village.network);
    assert_eq!(texts(&village.network.parties[2], &hub, &village.channel), ["without him"]);
    assert!(texts(&village.network.parties[1], &hub, &village.channel).is_empty());
}

#[test]
fn who_is_taken_out_again_and_again_comes_back_by_the_same_ticket_each_time() {
    let mut village = village(3, 12);
    let (hub, account) = (village.hub, village.accounts[1]);
    village.network.connect(1, 2);
    village.network.connect(2, 0);
    let member = |village: &Village, who: usize| {
        let rank = village.network.parties[who].replica.hub(&hub, |hub| hub.rank(&account));
        rank.unwrap().is_some()
    };
    for n in 0..3 {
        let now = NOW + 50 + n * 10;
        village.network.parties[0].replica.kick(&hub, &account, "", now).unwrap();
        let alone = format!("without him {n}");
        say(&village.network.parties[0], &hub, &village.channel, &alone, now + 1).unwrap();
        settle(&mut village.network);
        // He is told nothing, and what he showed before lets him in no more.
        assert!(member(&village, 1) && !member(&village, 2));
        assert!(!texts(&village.network.parties[1], &hub, &village.channel).contains(&alone));
        village.network.parties[1].replica.show_ticket(&village.ticket()).unwrap();
        village.network.spread_news();
        settle(&mut village.network);
        assert!(!member(&village, 1));
        village.network.parties[1].replica.join_hub(&village.ticket(), now + 2).unwrap();
        settle(&mut village.network);
        assert!((0..3).all(|who| member(&village, who)), "{n}");
        say(&village.network.parties[1], &hub, &village.channel, "here again", now + 3).unwrap();
        settle(&mut village.network);
        assert!(
            texts(&village.network.parties[0], &hub, &village.channel)
                .contains(&"here again".to_owned())
        );
    }
}

#[test]
fn who_left_is_given_nothing_by_a_member_whom_he_meets_later() {
    let mut village = village(4, 13);
    let (hub, account) = (village.hub, village.accounts[1]);
    village.network.parties[1].replica.leave_hub(&hub, NOW + 50).unwrap();
    settle(&mut village.network);
    let rank =
        |who: usize| village.network.parties[who].replica.hub(&hub, |hub| hub.rank(&account));
    assert_eq!((rank(1).unwrap(), rank(3).unwrap()), (None, None));
    say(&village.network.parties[3], &hub, &village.channel, "without him", NOW + 51).unwrap();
    // He showed his ticket when he came, and shows it to nobody else.
    village.network.connect(1, 3);
    settle(&mut village.network);
    let host = &village.network.parties[3].replica;
    let device = village.network.parties[1].replica.device().unwrap();
    assert!(!host.may_enter(&mut host.lock(), &device, &hub).unwrap());
}

#[test]
fn who_left_unheard_comes_back_by_a_ticket() {
    let mut village = village(2, 10);
    // He leaves, and shows the ticket to somebody for whom he is a member still.
    village.network.parties[1].replica.leave_hub(&village.hub, NOW + 50).unwrap();
    let account = village.accounts[1];
    village.network.parties[1].replica.show_ticket(&village.ticket()).unwrap();
    village.network.connect(1, 0);
    village.network.run_for(8000).unwrap();
    village.network.parties[1].replica.join_hub(&village.ticket(), NOW + 60).unwrap();
    settle(&mut village.network);
    let rank = village.network.parties[0].replica.hub(&village.hub, |hub| hub.rank(&account));
    assert!(rank.unwrap().is_some());
}

#[test]
fn to_a_stranger_it_is_not_there() {
    let mut village = village(2, 2);
    say(&village.network.parties[0], &village.hub, &village.channel, "wine", NOW + 60).unwrap();
    // He knows its id, keeps it if he is given it, and asks both who have it.
    let (stranger, account) = person(59_000, "pc");
    stranger.replica.serve_hub(&village.hub, true).unwrap();
    village.network.parties.push(stranger);
    village.network.connect(2, 0);
    village.network.connect(1, 2);
    settle(&mut village.network);
    assert!(!village.has_any(2));
    // With a key that he made up he is told as much, and with another's signature too.
    let other = DeviceSecret::generate(&SeededEntropy::new(10));
    let ticket = Ticket { hub: village.hub, invite: village.invite, key: Some(&other), texts: &[] };
    village.network.parties[2].replica.show_ticket(&ticket).unwrap();
    village.network.spread_news();
    settle(&mut village.network);
    assert!(!village.has_any(2));
    // The logs of those who are in it are shown to nobody because of it.
    let section = |account: AccountId| Section {
        space: Space::Account(account).id(),
        class: SectionClass::Authority,
    };
    let device = village.network.parties[2].replica.device().unwrap();
    let host = &village.network.parties[0].replica;
    assert!(!host.readable(&device, &section(village.accounts[1])).unwrap());
    assert!(host.readable(&device, &section(village.accounts[0])).unwrap());
    let fellow = village.network.parties[1].replica.device().unwrap();
    assert!(host.readable(&fellow, &section(village.accounts[1])).unwrap());
    // With the ticket itself he is let in.
    let ticket = village.ticket();
    village.network.parties[2].replica.show_ticket(&ticket).unwrap();
    settle(&mut village.network);
    assert!(village.has_any(2));
    village.network.parties[2].replica.join_hub(&village.ticket(), NOW + 80).unwrap();
    settle(&mut village.network);
    let members =
        village.network.parties[0].replica.hub(&village.hub, |hub| hub.members()).unwrap();
    assert!(members.contains_key(&account));
}

#[test]
fn who_was_removed_is_given_nothing_more() {
    let mut village = village(3, 3);
    say(&village.network.parties[0], &village.hub, &village.channel, "before", NOW + 60).unwrap();
    settle(&mut village.network);
    let replica = &village.network.parties[0].replica;
    replica.kick(&village.hub, &village.accounts[2], "", NOW + 61).unwrap();
    let fields = super::private::private("after", &[], crate::model::entry::History::All);
    replica.hub_operation(&village.hub, fields, "", NOW + 62).unwrap();
    say(&village.network.parties[0], &village.hub, &village.channel, "after", NOW + 63).unwrap();
    settle(&mut village.network);
    let channels = |at: usize| {
        let replica = &village.network.parties[at].replica;
        replica.hub(&village.hub, |hub| hub.channels().len()).unwrap()
    };
    assert_eq!((channels(1), channels(2)), (2, 1));
    let [_, fellow, out] = &village.network.parties[..] else { panic!("three") };
    assert_eq!(texts(fellow, &village.hub, &village.channel), ["after", "before"]);
    assert_eq!(texts(out, &village.hub, &village.channel), ["before"]);
}

#[test]
fn another_device_of_a_member_has_it_without_a_ticket() {
    let mut village = village(2, 4);
    say(&village.network.parties[0], &village.hub, &village.channel, "before", NOW + 60).unwrap();
    settle(&mut village.network);
    let phone = link(&village.network.parties[1], 59_100, "phone");
    phone.replica.serve_hub(&village.hub, true).unwrap();
    village.network.parties.push(phone);
    village.network.connect(2, 1);
    settle(&mut village.network);
    village.network.parties[1].replica.mend_conversations(NOW + 70).unwrap();
    settle(&mut village.network);
    assert_eq!(texts(&village.network.parties[2], &village.hub, &village.channel), ["before"]);
}
