//! Random hubs: ten members act apart, meet in random pairs, and come to the same.

use std::fmt::Write as _;

use super::{fields, hub_of, say};
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, ChangeId, HubId, Link};
use crate::hub::Hub;
use crate::hub::reference::{evaluate, outcome};
use crate::identity::{DeviceSecret, Signature};
use crate::model::entry::{
    ChannelChange, EntryRef, HubAction, Permissions, PollKind, Rank, RoleRef, Who,
};
use crate::replica::{EngineError, MessageDraft, MessageState, Replica, Ticket};
use crate::sync::sim::{Chance, Network};
use crate::sync::tests::replicas::{Home, NOW};

/// Seeds of the default run, and operations of each; for the record `MOSAIC_HUB_SEEDS` and
/// `MOSAIC_HUB_OPS` ask for more.
const SEEDS: u64 = 6;
const OPERATIONS: u64 = 250;
const PEOPLE: u64 = 10;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

/// What one member can choose from.
struct Sight {
    members: Vec<AccountId>,
    channels: Vec<ChangeId>,
    roles: Vec<ChangeId>,
    operations: Vec<(ChangeId, AccountId)>,
    invites: Vec<ChangeId>,
    joins: Vec<ChangeId>,
    messages: Vec<(ChangeId, AccountId, bool)>,
}

fn pick<T: Copy>(chance: &mut Chance, from: &[T]) -> Option<T> {
    from.get(usize::try_from(chance.below(from.len() as u64)).unwrap()).copied()
}

fn sight(replica: &Replica, hub: &HubId, accounts: &[AccountId], chance: &mut Chance) -> Sight {
    let mut sight = replica
        .hub(hub, |hub| Sight {
            members: hub.members().into_keys().collect(),
            channels: hub.channels().iter().map(|channel| channel.id).collect(),
            roles: hub
                .roles()
                .iter()
                .filter_map(|role| match role.role {
                    RoleRef::Role(id) => Some(id),
                    RoleRef::Everyone => None,
                })
                .collect(),
            operations: hub.audit().iter().rev().take(30).map(|r| (r.id, r.account)).collect(),
            invites: hub.invites().iter().map(|invite| invite.id).collect(),
            joins: joins(hub),
            messages: Vec::new(),
        })
        .unwrap();
    if sight.members.is_empty() {
        sight.members = accounts.to_vec();
    }
    if let Some(channel) = pick(chance, &sight.channels) {
        let views = replica.channel(hub, &channel, None, 12, false).unwrap();
        sight.messages =
            views.iter().map(|view| (view.id, view.account, view.poll.is_some())).collect();
    }
    sight
}

/// Operations by which somebody joined, or tried to.
fn joins(hub: &Hub) -> Vec<ChangeId> {
    let audit = hub.audit().into_iter();
    let joins = audit.filter(|record| matches!(record.action, HubAction::Join { .. }));
    joins.map(|record| record.id).collect()
}

/// The key of all tickets that have one.
fn ticket_key() -> DeviceSecret {
    DeviceSecret::generate(&SeededEntropy::new(77))
}

/// Joins by an invitation: with the ticket, without it, or with a proof that nobody signed.
fn enter(
    replica: &Replica,
    hub: &HubId,
    invite: ChangeId,
    chance: &mut Chance,
    now: u64,
) -> Result<(), EngineError> {
    let key = ticket_key();
    if chance.below(3) == 0 {
        let proof = Some(Signature::from_bytes([0; 64]));
        replica.write_knowing(hub, HubAction::Join { invite, proof }, now);
        return Ok(());
    }
    let key = (chance.below(2) == 0).then_some(&key);
    replica.join_hub(&Ticket { hub: *hub, invite, key, texts: &[] }, now).map(drop)
}

/// Vouches for joins, of own invitations or not; who is refused may do it all the same.
fn vouch(
    replica: &Replica,
    hub: &HubId,
    seen: &Sight,
    chance: &mut Chance,
    now: u64,
) -> Result<(), EngineError> {
    let none = || EngineError::Invalid("nothing to choose from".into());
    let mut joins = vec![pick(chance, &seen.joins).ok_or_else(none)?];
    joins.extend((0..chance.below(4)).filter_map(|_| pick(chance, &seen.joins)));
    joins.extend(pick(chance, &seen.operations).map(|(id, _)| id));
    joins.sort_unstable();
    joins.dedup();
    let action = HubAction::Vouch { joins };
    if chance.below(3) == 0 {
        replica.write_unasked(hub, action, now);
        return Ok(());
    }
    replica.hub_operation(hub, action, "", now).map(drop)
}

/// Operations on the hub itself.
fn govern(
    replica: &Replica,
    hub: &HubId,
    seen: &Sight,
    chance: &mut Chance,
    now: u64,
) -> Result<(), EngineError> {
    let none = || EngineError::Invalid("nothing to choose from".into());
    let account = pick(chance, &seen.members).ok_or_else(none)?;
    let channel = pick(chance, &seen.channels);
    let role = pick(chance, &seen.roles).map_or(RoleRef::Everyone, RoleRef::Role);
    let operation = pick(chance, &seen.operations).map(|(id, _)| id);
    let some = Permissions::from_bits(
        u32::try_from(chance.below(u64::from(Permissions::ALL.bits()) + 1)).unwrap(),
    )
    .unwrap();
    let action = match chance.below(20) {
        0 => {
            let rank = Rank::of_role(u16::try_from(1 + chance.below(5)).unwrap()).unwrap();
            HubAction::DefineRole { name: format!("r{now}"), rank, permissions: some }
        }
        1..=4 => HubAction::Grant { account, role },
        5 => return replica.revoke_role(hub, &account, role, "", now).map(drop),
        6 => return replica.kick(hub, &account, "", now).map(drop),
        7 => return replica.ban(hub, &account, chance.below(3) == 0, "", now).map(drop),
        8 => HubAction::CreateChannel(fields(["talk", "work"][usize::from(now.is_multiple_of(2))])),
        9 => HubAction::ChangeChannel {
            channel: channel.ok_or_else(none)?,
            change: match chance.below(3) {
                0 => ChannelChange::Topic(format!("t{now}")),
                1 => ChannelChange::ReadOnly(chance.below(2) == 0),
                _ => ChannelChange::Archived(chance.below(4) == 0),
            },
        },
        10 => HubAction::ChannelRules {
            channel: channel.ok_or_else(none)?,
            who: if chance.below(2) == 0 { Who::Role(role) } else { Who::Account(account) },
            allow: Permissions::NONE,
            deny: some & Permissions::SEND,
        },
        11 => HubAction::ChangeRole { role, name: format!("c{now}"), permissions: some },
        12 => HubAction::Lift { operation: operation.ok_or_else(none)? },
        13 => HubAction::Adopt { operation: operation.ok_or_else(none)? },
        14 => HubAction::Undo { account, keep: Vec::<Link>::new() },
        15 => HubAction::Invite {
            role,
            key: (chance.below(2) == 0).then(|| ticket_key().id()),
            uses: u32::try_from(chance.below(3)).unwrap(),
            expires_ms: 0,
            account: None,
        },
        16 => {
            let invite = pick(chance, &seen.invites).ok_or_else(none)?;
            return enter(replica, hub, invite, chance, now);
        }
        17 | 18 => return vouch(replica, hub, seen, chance, now),
        _ => {
            let (entry, account, _) = pick(chance, &seen.messages).ok_or_else(none)?;
            let entry = EntryRef { account, entry };
            if chance.below(2) == 0 {
                HubAction::Hide { entry }
            } else {
                HubAction::Purge { entry }
            }
        }
    };
    replica.hub_operation(hub, action, "", now).map(drop)
}

/// What people write.
fn talk(
    replica: &Replica,
    hub: &HubId,
    seen: &Sight,
    chance: &mut Chance,
    now: u64,
) -> Result<(), EngineError> {
    let none = || EngineError::Invalid("nothing to choose from".into());
    let message = pick(chance, &seen.messages);
    let channel = pick(chance, &seen.channels).ok_or_else(none)?;
    let (target, _, poll) = message.unwrap_or((channel, seen.members[0], false));
    match chance.below(12) {
        0 => replica.react(target, "👍", now).map(drop),
        1 => replica.edit(target, &format!("edited {now}"), now).map(drop),
        2 => replica.delete(target, now).map(drop),
        3 => {
            let options = vec!["yes".to_owned(), "no".to_owned()];
            replica.ask(hub, &channel, "?", PollKind::Single, options, now).map(drop)
        }
        4 | 5 if poll => {
            let choice = u8::try_from(chance.below(2)).unwrap();
            replica.vote(target, vec![choice], now).map(drop)
        }
        6 if poll => replica.close_poll(target, now).map(drop),
        7 | 8 if message.is_some() => {
            let (_, channel) = (target, replica.message(&target)?.channel);
            let draft = MessageDraft {
                text: format!("answer {now}"),
                target: Some(target),
                mentions: vec![Who::Account(seen.members[0])],
                ..MessageDraft::default()
            };
            replica.say(None, hub, &channel, draft, now).map(drop)
        }
        _ => {
            let draft = MessageDraft { text: format!("said {now}"), ..MessageDraft::default() };
            replica.say(None, hub, &channel, draft, now).map(drop)
        }
    }
}

/// Everything that people read of a hub.
fn dump(replica: &Replica, hub: &HubId) -> String {
    let mut out = String::new();
    let channels = replica
        .hub(hub, |known| {
            writeln!(out, "{:?} {:?} {:?}", known.id(), known.settings(), known.owners()).unwrap();
            for role in known.roles() {
                writeln!(out, "{role:?}").unwrap();
            }
            for (account, member) in known.members() {
                writeln!(out, "{account} {member:?}").unwrap();
            }
            for invite in known.invites() {
                writeln!(out, "{invite:?}").unwrap();
            }
            for record in known.audit() {
                writeln!(out, "{record:?}").unwrap();
            }
            known.channels()
        })
        .unwrap();
    for channel in channels {
        writeln!(out, "{channel:?}").unwrap();
        for view in replica.channel(hub, &channel.id, None, usize::MAX, false).unwrap() {
            writeln!(out, "{view:?}").unwrap();
        }
    }
    out
}

/// Gives members roles of several ranks, so that they have something to quarrel about.
fn appoint(founder: &Replica, hub: &HubId, accounts: &[AccountId], chance: &mut Chance) {
    let mut roles = Vec::new();
    for rank in 1..5 {
        let action = HubAction::DefineRole {
            name: format!("rank {rank}"),
            rank: Rank::of_role(rank).unwrap(),
            permissions: Permissions::ALL,
        };
        roles.push(founder.hub_operation(hub, action, "", NOW + 500).unwrap());
    }
    for account in &accounts[1..] {
        let role = RoleRef::Role(pick(chance, &roles).unwrap());
        let action = HubAction::Grant { account: *account, role };
        founder.hub_operation(hub, action, "", NOW + 501).unwrap();
    }
}

/// Counts what is unread by reading all of it.
fn unread_by_hand(replica: &Replica, hub: &HubId, since_ms: u64) -> Vec<(ChangeId, u64, u64)> {
    let me = replica.account().unwrap();
    let (channels, member) =
        replica.hub(hub, |hub| (hub.channels(), hub.members().remove(&me))).unwrap();
    let roles = member.map(|member| member.roles).unwrap_or_default();
    let mut out = Vec::new();
    for channel in channels {
        let readers = replica.hub(hub, |hub| hub.readers(&channel.id)).unwrap();
        if readers.is_some_and(|readers| !readers.contains(&me)) {
            continue;
        }
        let views = replica.channel(hub, &channel.id, None, usize::MAX, true).unwrap();
        let others = views.into_iter().filter(|view| {
            let shown = view.state == MessageState::Shown && !view.deleted;
            shown && view.account != me && view.time_ms > since_ms
        });
        let others: Vec<_> = others.collect();
        let mentions = others.iter().filter(|view| {
            view.mentions.iter().any(|who| match who {
                Who::Account(account) => *account == me,
                Who::Role(RoleRef::Everyone) => true,
                Who::Role(RoleRef::Role(role)) => roles.contains(role),
            })
        });
        out.push((channel.id, others.len() as u64, mentions.count() as u64));
    }
    out
}

fn check_unread(replica: &Replica, hub: &HubId, seed: u64) {
    let since_ms = NOW + 2_000;
    for unread in replica.unread_channels(hub).unwrap() {
        assert_eq!(unread.since_ms, 0);
        replica.mark_channel_read(&unread.channel, since_ms, NOW + 20_000_000).unwrap();
    }
    let counted: Vec<_> = replica
        .unread_channels(hub)
        .unwrap()
        .iter()
        .map(|unread| (unread.channel, unread.messages, unread.mentions))
        .collect();
    assert_eq!(counted, unread_by_hand(replica, hub, since_ms), "seed {seed}");
}

fn meet(network: &mut Network<Home>, a: usize, b: usize) {
    let line = network.connect(a, b);
    network.run_for(4_000).unwrap();
    network.disconnect(line);
    network.run_for(500).unwrap();
}

fn run(seed: u64) {
    let mut chance = Chance::new(seed);
    let (mut network, accounts, hub, channel, lines) = hub_of(PEOPLE, seed);
    appoint(&network.parties[0].replica, &hub, &accounts, &mut chance);
    network.spread_news();
    network.run_for(5_000).unwrap();
    for line in lines {
        network.disconnect(line);
    }
    let mut done = [0u64; 2];
    for n in 0..number("MOSAIC_HUB_OPS").unwrap_or(OPERATIONS) {
        let who = usize::try_from(chance.below(PEOPLE)).unwrap();
        let replica = &network.parties[who].replica;
        let now = NOW + 1000 + n * 10 - chance.below(60);
        let seen = sight(replica, &hub, &accounts, &mut chance);
        let result = match chance.below(10) {
            0..4 => govern(replica, &hub, &seen, &mut chance, now),
            _ => talk(replica, &hub, &seen, &mut chance, now),
        };
        match result {
            Ok(()) => done[0] += 1,
            Err(
                EngineError::Denied(_) | EngineError::Invalid(_) | EngineError::NotFound { .. },
            ) => done[1] += 1,
            Err(error) => panic!("seed {seed}: {error}"),
        }
        if chance.below(12) == 0 {
            let other = usize::try_from(chance.below(PEOPLE)).unwrap();
            if other != who {
                meet(&mut network, who, other);
            }
        }
    }
    let _ = say(&network.parties[0], &hub, &channel, "at the end", NOW + 10_000_000);
    for n in 1..network.parties.len() {
        network.connect(0, n);
    }
    network.run_for(30_000).unwrap();
    let expected = dump(&network.parties[0].replica, &hub);
    for (n, home) in network.parties.iter().enumerate() {
        let found = dump(&home.replica, &hub);
        if found != expected {
            let differs = |(a, b): &(&str, &str)| a != b;
            let line = expected.lines().zip(found.lines()).find(differs);
            panic!("seed {seed}: replica {n} differs: {line:#?}");
        }
    }
    let replica = &network.parties[0].replica;
    let items = replica.hub_items(&hub);
    let genesis = replica.hub(&hub, |hub| hub.genesis().clone()).unwrap();
    let settled = replica.hub(&hub, outcome).unwrap();
    assert_eq!(settled, evaluate(&genesis, &items, None), "seed {seed}");
    for home in &network.parties {
        check_unread(&home.replica, &hub, seed);
    }
    if number("MOSAIC_HUB_SHOW").is_some() {
        println!("seed {seed}: {done:?}, {} operations, {} bytes", items.len(), expected.len());
    }
}

#[test]
fn members_who_act_apart_come_to_the_same() {
    let first = number("MOSAIC_HUB_FIRST").unwrap_or(0);
    for seed in first..first + number("MOSAIC_HUB_SEEDS").unwrap_or(SEEDS) {
        run(seed);
    }
}
