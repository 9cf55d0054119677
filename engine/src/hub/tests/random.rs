//! Random hubs: populated ones, in which members do everything that a member can, allowed or
//! not, having seen only a part of what there is, on several devices, some of them forked.

use super::world::{Dice, FALSE_PROOF, World, account};
use super::*;
use crate::model::entry::{Permissions, RoleRef, SealedReport};

/// Accounts of a random hub: owners, admins of rank 50, moderators of rank 20, members.
pub(super) const PEOPLE: u8 = 9;

/// What is there to be named.
pub(super) struct Things {
    roles: Vec<(usize, u16)>,
    invites: Vec<usize>,
    joins: Vec<usize>,
    removals: Vec<usize>,
    reports: Vec<usize>,
    others: Vec<usize>,
}

/// Makes a hub of about `size` operations beyond those that populate it.
pub(super) fn hub(seed: u64, size: usize) -> World {
    let mut dice = Dice(seed);
    let owners: &[u8] = if dice.percent(50) { &[0] } else { &[0, 1, 2] };
    let mut world = World::new(owners, PEOPLE, seed);
    let mut things = populate(&mut world);
    let second = dice.pick(&[3u8, 5]);
    let device = world.add_device(second);
    world.show_all(device);
    for _ in 0..size {
        let writer = if dice.percent(80) { dice.below(7) } else { dice.below(world.writers.len()) };
        if dice.percent(50) {
            let other = dice.below(world.writers.len());
            world.meet(writer, other);
        }
        let action = action(&mut dice, &world, &things, world.writers[writer].account);
        // Who wrote the first invitation is the one whose word counts, mostly.
        let issuer = matches!(action, HubAction::Vouch { .. }) && dice.percent(60);
        let writer = if issuer { 0 } else { writer };
        let item = if dice.percent(4) {
            fork(&mut dice, &mut world, writer, action)
        } else {
            world.say(writer, action)
        };
        note(&world, &mut things, item);
    }
    world
}

/// The owner names admins, an admin names moderators, a moderator lets members in.
fn populate(world: &mut World) -> Things {
    let manage = Permissions::MANAGE_ROLES | Permissions::INVITE;
    let power = manage | Permissions::KICK | Permissions::BAN | Permissions::MANAGE_HUB;
    let admin = world.define(0, 50, power);
    let moderator = world.define(0, 20, power);
    let helper = world.define(0, 5, Permissions::INVITE);
    world.grant(0, 3, admin);
    world.grant(0, 4, admin);
    world.grant(3, 5, moderator);
    world.grant(3, 6, moderator);
    for who in 7..PEOPLE {
        let action = HubAction::Grant { account: account(who), role: RoleRef::Everyone };
        let item = world.say(5, action);
        world.show_everybody(item);
    }
    // An invitation with a key, so that there is something to prove.
    let (role, key) = (RoleRef::Everyone, Some(DeviceId::from_bytes([9; 32])));
    let invite = HubAction::Invite { role, key, uses: 0, expires_ms: 0, account: None };
    let invite = world.say(0, invite);
    world.show_everybody(invite);
    Things {
        roles: vec![(admin, 50), (moderator, 20), (helper, 5)],
        invites: vec![invite],
        joins: Vec::new(),
        removals: Vec::new(),
        reports: Vec::new(),
        others: Vec::new(),
    }
}

/// An operation on an older version of the device's own log.
fn fork(dice: &mut Dice, world: &mut World, writer: usize, action: HubAction) -> usize {
    let chain = world.writers[writer].chain;
    let own: Vec<usize> =
        (0..world.items.len()).filter(|at| world.items[*at].chain == chain).collect();
    let after = if own.is_empty() { None } else { Some(dice.pick(&own)) };
    let seen: Vec<usize> = if dice.percent(50) && !world.items.is_empty() {
        vec![dice.below(world.items.len())]
    } else {
        Vec::new()
    };
    let item = world.append(writer, after, &seen, action);
    if dice.percent(50) {
        world.writers[writer].last = Some(item);
    }
    item
}

fn note(world: &World, things: &mut Things, item: usize) {
    let Entry::Hub(operation) = &world.items[item].entry else { return };
    match &operation.action {
        HubAction::DefineRole { rank, .. } => things.roles.push((item, rank.number())),
        HubAction::Invite { .. } => things.invites.push(item),
        HubAction::Revoke { .. } | HubAction::Kick { .. } | HubAction::Ban { .. } => {
            things.removals.push(item);
        }
        HubAction::Join { .. } => things.joins.push(item),
        HubAction::Report(_) => things.reports.push(item),
        _ => things.others.push(item),
    }
}

/// Something that the account may or may not do.
pub(super) fn action(dice: &mut Dice, world: &World, things: &Things, author: u8) -> HubAction {
    let who = account(u8::try_from(dice.below(usize::from(PEOPLE))).unwrap());
    let role = |dice: &mut Dice| match dice.percent(30) {
        true => RoleRef::Everyone,
        false => world.role(dice.pick(&things.roles).0),
    };
    let links = |dice: &mut Dice| {
        let mut links: Vec<Link> =
            (0..dice.below(3)).map(|_| world.link(dice.below(world.items.len()))).collect();
        links.sort_unstable();
        links.dedup();
        links
    };
    let any = |dice: &mut Dice| world.id(dice.below(world.items.len()));
    let of = |dice: &mut Dice, from: &[usize]| match from.is_empty() || dice.percent(10) {
        true => world.id(dice.below(world.items.len())),
        false => world.id(dice.pick(from)),
    };
    match dice.below(116) {
        0..25 => HubAction::Grant { account: who, role: role(dice) },
        25..30 => HubAction::Revoke { account: who, role: role(dice), cut: vec![] },
        30..40 => HubAction::Kick { account: who, cut: vec![] },
        40..50 => HubAction::Ban { account: who, cut: vec![], purge: dice.percent(20) },
        50..54 => HubAction::ExtendCut {
            removal: of(dice, &things.removals),
            operations: links(dice),
            cut: vec![],
        },
        54..58 => HubAction::Undo { account: who, keep: links(dice) },
        58..63 => HubAction::Lift { operation: of(dice, &things.removals) },
        63..67 => HubAction::Adopt { operation: any(dice) },
        67..70 => succession(dice, world, author),
        70..71 => HubAction::Leave { cut: vec![] },
        71..77 => HubAction::Invite {
            role: role(dice),
            key: dice.percent(50).then(|| DeviceId::from_bytes([9; 32])),
            uses: u32::try_from(dice.below(3)).unwrap(),
            expires_ms: if dice.percent(10) { 1_030 } else { 0 },
            account: dice.percent(30).then_some(who),
        },
        77..79 => HubAction::CloseInvite { invite: of(dice, &things.invites) },
        79..86 | 108.. => {
            let proofs = [None, Some(FALSE_PROOF), Some(Signature::from_bytes([1; 64]))];
            HubAction::Join { invite: of(dice, &things.invites), proof: dice.pick(&proofs) }
        }
        86..89 => HubAction::DefineRole {
            name: "r".into(),
            rank: Rank::of_role(dice.pick(&[50, 30, 20, 5, 0])).unwrap(),
            permissions: permissions(dice),
        },
        89..93 => HubAction::ChangeRole {
            role: role(dice),
            name: "c".into(),
            permissions: permissions(dice),
        },
        93..95 => HubAction::Report(SealedReport {
            epoch: crate::hash::EpochId::from_bytes([author; 32]),
            wraps: vec![crate::model::entry::Wrap {
                device: DeviceId::from_bytes([author; 32]),
                sealed: vec![author; crate::seal::WRAP_BYTES],
            }],
            sealed: Vec::new(),
        }),
        95..97 => HubAction::Dismiss { report: of(dice, &things.reports) },
        100..108 => vouch((0..=dice.below(4)).map(|_| of(dice, &things.joins))),
        _ => HubAction::Set(crate::model::entry::HubSetting::JoinsClosed(true)),
    }
}

fn vouch(joins: impl Iterator<Item = ChangeId>) -> HubAction {
    let joins: std::collections::BTreeSet<ChangeId> = joins.collect();
    HubAction::Vouch { joins: joins.into_iter().collect() }
}

fn permissions(dice: &mut Dice) -> Permissions {
    let own = Permissions::MANAGE_ROLES | Permissions::INVITE | Permissions::BAN;
    let bits = u32::try_from(dice.next() & 0x7fff).unwrap();
    let all = Permissions::from_bits(bits).unwrap();
    if dice.percent(70) { all & own } else { all }
}

fn succession(dice: &mut Dice, world: &World, author: u8) -> HubAction {
    let first = world.genesis.owners_id();
    let sets: [&[u8]; 3] = [&[0, 1], &[1, 2, 3], &[0, 1, 2, 3]];
    let set = dice.pick(&sets);
    let owners: Vec<AccountId> = set.iter().map(|n| account(*n)).collect();
    let from = match dice.below(10) {
        0 | 1 => {
            first.followed_by(&sets[dice.below(3)].iter().map(|n| account(*n)).collect::<Vec<_>>())
        }
        2 => crate::hash::OwnersId::from_bytes([author; 32]),
        _ => first,
    };
    HubAction::Succession { from, owners }
}
