//! What members of a hub may have at a node, and that nobody else suffers.

use std::sync::Arc;

use super::private::private;
use super::*;
use crate::model::entry::History;
use crate::replica::{HubLimits, Replica, ReplicaOptions};
use crate::store::{Batch, Table};

const KIB: u64 = 1024;

/// A text of so many KiB, told apart by its number.
fn long(kib: usize, number: u64) -> String {
    format!("{number} {}", "x".repeat(kib * 1024))
}

fn used(home: &Home, hub: &HubId, account: &AccountId) -> (u64, bool) {
    let used = home.replica.hub_use(hub).unwrap();
    let all: u64 = used.members.iter().map(|member| member.bytes).sum();
    assert_eq!(used.bytes, all);
    let his = used.members.into_iter().find(|member| member.account == *account);
    his.map_or((0, false), |member| (member.bytes, member.full))
}

fn settle(network: &mut Network<Home>) {
    network.spread_news();
    network.run_for(20_000).unwrap();
}

#[test]
fn a_member_who_floods_a_hub_is_held_at_his_limit_and_nobody_else() {
    let (mut network, accounts, hub, channel, _) = hub_of(3, 51);
    let limits = HubLimits { member_bytes: 64 * KIB, all_bytes: 0 };
    network.parties[0].replica.limit_hub(&hub, limits).unwrap();
    let mut first = None;
    for n in 0..40 {
        let said = say(&network.parties[1], &hub, &channel, &long(4, n), NOW + 100 + n);
        first.get_or_insert(said.unwrap());
        say(&network.parties[2], &hub, &channel, &format!("hello {n}"), NOW + 100 + n).unwrap();
        if n % 10 == 9 {
            settle(&mut network);
        }
    }
    let founder = &network.parties[0];
    let (bytes, full) = used(founder, &hub, &accounts[1]);
    assert!(full && bytes <= 64 * KIB && bytes > 56 * KIB, "{bytes}");
    assert!(!used(founder, &hub, &accounts[2]).1);
    let read = texts(founder, &hub, &channel);
    assert_eq!(read.iter().filter(|text| text.starts_with("hello")).count(), 40);
    assert!(read.len() < 60);
    // What he has at himself is his own business, and nobody goes on asking.
    assert_eq!(texts(&network.parties[1], &hub, &channel).len(), 80);
    let section = founder.replica.place_of(&first.unwrap()).unwrap().0;
    assert_eq!(founder.replica.incomplete(&section, 100).unwrap(), Vec::new());
    // With more room the rest comes.
    founder.replica.limit_hub(&hub, HubLimits::default()).unwrap();
    settle(&mut network);
    network.run_for(60_000).unwrap();
    assert_eq!(texts(&network.parties[0], &hub, &channel).len(), 80);
    assert!(!used(&network.parties[0], &hub, &accounts[1]).1);
}

#[test]
fn what_a_hub_gives_its_members_holds_at_their_own_node_too() {
    let (mut network, accounts, hub, channel, _) = hub_of(2, 52);
    let rule = HubAction::Set(HubSetting::MemberQuotaBytes(20 * KIB));
    network.parties[0].replica.hub_operation(&hub, rule, "", NOW + 50).unwrap();
    settle(&mut network);
    let guest = &network.parties[1];
    let first = say(guest, &hub, &channel, &long(10, 1), NOW + 100).unwrap();
    let error = say(guest, &hub, &channel, &long(10, 2), NOW + 101).unwrap_err().to_string();
    assert!(error.contains("20480 bytes"), "{error}");
    let error = guest.replica.edit(first, &long(10, 2), NOW + 102).unwrap_err().to_string();
    assert!(error.contains("20480 bytes"), "{error}");
    guest.replica.delete(first, NOW + 102).unwrap();
    say(guest, &hub, &channel, &long(10, 3), NOW + 103).unwrap();
    settle(&mut network);
    let (here, there) = (
        used(&network.parties[0], &hub, &accounts[1]),
        used(&network.parties[1], &hub, &accounts[1]),
    );
    assert_eq!(here, there);
    assert!(here.0 > 10 * KIB && here.0 < 20 * KIB && !here.1, "{here:?}");
    // Told to give more, everybody does.
    let rule = HubAction::Set(HubSetting::MemberQuotaBytes(0));
    network.parties[0].replica.hub_operation(&hub, rule, "", NOW + 200).unwrap();
    settle(&mut network);
    say(&network.parties[1], &hub, &channel, &long(10, 4), NOW + 300).unwrap();
}

#[test]
fn what_is_sealed_and_reactions_count_like_all_else() {
    let (mut network, _, hub, channel, _) = hub_of(2, 55);
    let founder = &network.parties[0].replica;
    let made = private("board", &[], History::FromJoin);
    let board = founder.hub_operation(&hub, made, "", NOW + 40).unwrap();
    let rule = HubAction::Set(HubSetting::MemberQuotaBytes(24 * KIB));
    founder.hub_operation(&hub, rule, "", NOW + 50).unwrap();
    let target = say(&network.parties[0], &hub, &channel, "hello", NOW + 51).unwrap();
    settle(&mut network);
    let guest = &network.parties[1];
    say(guest, &hub, &board, &long(10, 1), NOW + 100).unwrap();
    for channel in [&board, &channel] {
        let error = say(guest, &hub, channel, &long(10, 2), NOW + 101).unwrap_err().to_string();
        assert!(error.contains("24576 bytes"), "{error}");
    }
    say(guest, &hub, &channel, &long(4, 3), NOW + 102).unwrap();
    let error = guest.replica.react(target, "👍", NOW + 103).unwrap_err().to_string();
    assert!(error.contains("24576 bytes"), "{error}");
}

#[test]
fn a_member_at_his_limit_can_still_withdraw() {
    let (mut network, accounts, hub, channel, _) = hub_of(2, 53);
    let limits = HubLimits { member_bytes: 0, all_bytes: 64 * KIB };
    network.parties[0].replica.limit_hub(&hub, limits).unwrap();
    let mut said = Vec::new();
    for n in 0..4 {
        said.push(say(&network.parties[1], &hub, &channel, &long(7, n), NOW + 100 + n).unwrap());
        settle(&mut network);
    }
    let before = used(&network.parties[0], &hub, &accounts[1]);
    assert!(!before.1 && before.0 > 28 * KIB, "{before:?}");
    network.parties[1].replica.delete(said[0], NOW + 200).unwrap();
    settle(&mut network);
    let after = used(&network.parties[0], &hub, &accounts[1]);
    assert!(after.0 < before.0 - 6 * KIB, "{after:?}");
    // Together they may have 64 KiB, of which one who comes first has half.
    say(&network.parties[1], &hub, &channel, &long(20, 9), NOW + 300).unwrap();
    settle(&mut network);
    assert!(used(&network.parties[0], &hub, &accounts[1]).1);
    assert_eq!(texts(&network.parties[0], &hub, &channel).len(), 4);
}

#[test]
fn a_store_that_never_counted_comes_to_the_same() {
    let (mut network, accounts, hub, channel, _) = hub_of(2, 54);
    let mut said = Vec::new();
    for n in 0..12 {
        said.push(say(&network.parties[1], &hub, &channel, &long(1, n), NOW + 100 + n).unwrap());
    }
    settle(&mut network);
    network.parties[1].replica.edit(said[1], "shorter", NOW + 200).unwrap();
    network.parties[1].replica.delete(said[2], NOW + 201).unwrap();
    settle(&mut network);
    let founder = &network.parties[0];
    let counted = founder.replica.hub_use(&hub).unwrap();
    let open = || {
        let store = Arc::clone(founder.replica.store());
        let options = ReplicaOptions { secret: None, fresh_incarnation: false };
        Replica::open(store, Arc::new(SeededEntropy::new(77)), options).unwrap()
    };
    assert_eq!(open().hub_use(&hub).unwrap(), counted);
    let mut batch = Batch::new();
    let mut rows = 0;
    for (key, _) in founder.replica.store().scan(Table::Meta, b"U", None, false, 100).unwrap() {
        batch.delete(Table::Meta, key.to_vec());
        rows += 1;
    }
    assert_eq!(rows, 2, "one who wrote, and that all is counted");
    founder.replica.store().commit(batch).unwrap();
    assert_eq!(open().hub_use(&hub).unwrap(), counted);
    assert!(used(founder, &hub, &accounts[1]).0 > 11 * KIB);
}
