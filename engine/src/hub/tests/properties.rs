//! What must hold of every hub, for the engine and for the reference, and every rule of the
//! reference that is left out must break one of these.

use std::collections::BTreeSet;

use super::compare::hubs;
use super::random::{self, PEOPLE};
use super::reference::{Fault, Outcome, evaluate, outcome};
use super::world::{Believing, Dice, FALSE_PROOF, World, account, settled};
use super::*;
use crate::model::entry::{Permissions, RoleRef};

type Evaluate<'a> = &'a dyn Fn(&World) -> Outcome;
type Property = fn(&World, &mut Dice, Evaluate<'_>) -> bool;

/// Checks all properties on one random hub; returns the first that does not hold.
fn broken(seed: u64, evaluate: Evaluate<'_>) -> Option<&'static str> {
    let mut dice = Dice(seed ^ 0xabcd);
    let world = random::hub(seed, 5 + dice.below(30));
    let properties: [(&str, Property); 11] = [
        ("order of arrival", arrival_order_is_irrelevant),
        ("lower ranks", lower_ranks_change_nothing_above),
        ("banned", who_is_banned_changes_nothing_any_more),
        ("equals", |_, dice, evaluate| equals_cannot_act_on_each_other(dice, evaluate)),
        ("undoing", undoing_is_as_if_it_had_not_been),
        ("owners", |_, dice, evaluate| owners_change_by_majority(dice, evaluate)),
        ("contested", |_, dice, evaluate| two_successors_are_none(dice, evaluate)),
        ("invitation", |_, dice, evaluate| an_invitation_is_never_overdrawn(dice, evaluate)),
        ("weak", |_, dice, evaluate| weaker_ones_take_nothing_back(dice, evaluate)),
        ("own rank", |_, dice, evaluate| nobody_gives_his_own_rank(dice, evaluate)),
        ("vouching", |_, dice, evaluate| who_invited_vouches_and_nobody_else(dice, evaluate)),
    ];
    properties
        .into_iter()
        .find(|(_, holds)| !holds(&world, &mut dice, evaluate))
        .map(|(name, _)| name)
}

#[test]
fn every_property_holds_for_the_engine() {
    for seed in 0..hubs() / 2 {
        let by_engine = |world: &World| outcome(&world.hub());
        assert_eq!(broken(seed, &by_engine), None, "seed {seed}");
    }
}

#[test]
fn every_property_holds_for_the_reference() {
    for seed in 0..hubs() / 4 {
        let plain = |world: &World| evaluate(&world.genesis, &world.items, None);
        assert_eq!(broken(seed, &plain), None, "seed {seed}");
    }
}

#[test]
fn every_rule_left_out_breaks_a_property() {
    let faults = [
        Fault::GrantAtOwnRank,
        Fault::EqualsRemove,
        Fault::NoStrongRemoval,
        Fault::WeakBan,
        Fault::BranchesAlike,
        Fault::HalfOfOwners,
        Fault::FirstSuccessor,
        Fault::OwnersForEver,
        Fault::UndoEquals,
        Fault::ArrivalOrder,
        Fault::BottomUp,
        Fault::NoSurplus,
        Fault::ExtendFromBelow,
        Fault::LiftFromBelow,
        Fault::AnybodyVouches,
    ];
    for fault in faults {
        let faulty = |world: &World| evaluate(&world.genesis, &world.items, Some(fault));
        let killed = (0..2_000).any(|seed| broken(seed, &faulty).is_some());
        assert!(killed, "{fault:?} breaks no property");
    }
}

/// The world with other operations in the place of some: links and ids stay.
fn with_nothing_at(world: &World, drop: impl Fn(&HubItem) -> bool) -> World {
    let mut other = world.clone();
    for item in &mut other.items {
        if drop(item)
            && let Entry::Hub(operation) = &mut item.entry
        {
            operation.action = HubAction::Checkpoint { number: 0 };
        }
    }
    other
}

fn action(item: &HubItem) -> &HubAction {
    match &item.entry {
        Entry::Hub(operation) => &operation.action,
        _ => unreachable!("worlds hold operations alone"),
    }
}

/// What people say about themselves counts whatever rank they have, and so does their word for who
/// came by invitations of theirs.
fn is_about_oneself(item: &HubItem) -> bool {
    matches!(
        action(item),
        HubAction::Leave { .. }
            | HubAction::Join { .. }
            | HubAction::Succession { .. }
            | HubAction::Vouch { .. }
    )
}

fn arrival_order_is_irrelevant(world: &World, dice: &mut Dice, evaluate: Evaluate<'_>) -> bool {
    let mut other = world.clone();
    dice.shuffle(&mut other.items);
    evaluate(world) == evaluate(&other)
}

fn lower_ranks_change_nothing_above(
    world: &World,
    dice: &mut Dice,
    evaluate: Evaluate<'_>,
) -> bool {
    let rank = Rank::of_role(dice.pick(&[50, 30, 20, 5, 0])).unwrap();
    let before = evaluate(world);
    // What is adopted counts by the adopter's rank as well.
    let adopted: BTreeSet<ChangeId> = world
        .items
        .iter()
        .filter_map(|item| match action(item) {
            HubAction::Adopt { operation } => Some(*operation),
            _ => None,
        })
        .collect();
    let after = evaluate(&with_nothing_at(world, |item| {
        !is_about_oneself(item)
            && !adopted.contains(&item.id)
            && before.counts.get(&item.id).is_none_or(|by| *by <= rank)
    }));
    let above = |outcome: &Outcome| {
        let ranks = outcome.ranks.iter().filter(|(_, of)| **of >= rank);
        ranks.map(|(account, of)| (*account, *of)).collect::<Vec<_>>()
    };
    above(&before) == above(&after)
}

/// Somebody above a member bans him, having seen everything. Whatever the member signs from
/// then on, on any old version, forked from any of his own, changes nothing.
fn who_is_banned_changes_nothing_any_more(
    world: &World,
    dice: &mut Dice,
    evaluate: Evaluate<'_>,
) -> bool {
    let mut world = world.clone();
    let subject = dice.pick(&[1u8, 2, 3, 5, 7]);
    let before = evaluate(&world);
    let rank = |who: u8| before.ranks.get(&account(who)).copied();
    let able: Vec<u8> = (0..PEOPLE)
        .filter(|who| *who != subject && rank(*who) > rank(subject) && rank(*who).is_some())
        .collect();
    if able.is_empty() || rank(subject) == Some(Rank::OWNER) {
        return true;
    }
    let boss = dice.pick(&able);
    world.show_all(usize::from(boss));
    let ban = world.say(
        usize::from(boss),
        HubAction::Ban { account: account(subject), cut: vec![], purge: false },
    );
    let sealed = evaluate(&world);
    if sealed.counts.get(&world.id(ban)).copied() < rank(boss) {
        // His highest role does not ban.
        return true;
    }
    let evil = world.items.len();
    let moderator = world.items.iter().position(
        |item| matches!(action(item), HubAction::DefineRole { rank, .. } if rank.number() == 20),
    );
    let moderator = world.role(moderator.unwrap());
    for _ in 0..6 {
        let action = match dice.below(4) {
            0 => HubAction::Grant { account: account(8), role: moderator },
            1 => HubAction::Grant { account: account(subject), role: moderator },
            2 => HubAction::Kick { account: account(6), cut: vec![] },
            _ => HubAction::Ban { account: account(7), cut: vec![], purge: false },
        };
        let chain = world.writers[usize::from(subject)].chain;
        let own: Vec<usize> =
            (0..world.items.len()).filter(|at| world.items[*at].chain == chain).collect();
        let after = if own.is_empty() || dice.percent(20) { None } else { Some(dice.pick(&own)) };
        let seen = [dice.below(world.items.len()), dice.below(world.items.len())];
        world.append(usize::from(subject), after, &seen, action);
    }
    let after = evaluate(&world);
    after.ranks == sealed.ranks
        && after.holds == sealed.holds
        && world.items[evil..].iter().all(|item| !after.counts.contains_key(&item.id))
}

/// A hub with an owner, admins 1 and 2, moderator 3 and member 4.
fn small(dice: &mut Dice) -> World {
    let mut world = World::new(&[0], 6, dice.next());
    let admin = world.define(0, 50, Permissions::ALL);
    let moderator = world.define(0, 20, Permissions::ALL);
    world.grant(0, 1, admin);
    world.grant(0, 2, admin);
    world.grant(0, 3, moderator);
    let member = HubAction::Grant { account: account(4), role: RoleRef::Everyone };
    let member = world.say(0, member);
    world.show_everybody(member);
    world
}

fn equals_cannot_act_on_each_other(dice: &mut Dice, evaluate: Evaluate<'_>) -> bool {
    let mut world = small(dice);
    let before = evaluate(&world);
    for (writer, other) in [(1, 2), (2, 1)] {
        let target = account(other);
        let action = match dice.below(3) {
            0 => HubAction::Ban { account: target, cut: vec![], purge: false },
            1 => HubAction::Kick { account: target, cut: vec![] },
            _ => HubAction::Undo { account: target, keep: vec![] },
        };
        world.say(writer, action);
        world.say(writer, HubAction::Kick { account: account(4), cut: vec![] });
    }
    let after = evaluate(&world);
    let kicks = world.items.iter().filter(|item| matches!(action(item), HubAction::Kick { .. }));
    let mut kicks =
        kicks.filter(|item| *action(item) == HubAction::Kick { account: account(4), cut: vec![] });
    after.ranks.get(&account(1)) == before.ranks.get(&account(1))
        && after.ranks.get(&account(2)) == before.ranks.get(&account(2))
        && kicks.all(|item| after.counts.contains_key(&item.id))
}

/// One operation by somebody above takes back all that a member did, and what came of it.
fn undoing_is_as_if_it_had_not_been(
    world: &World,
    dice: &mut Dice,
    evaluate: Evaluate<'_>,
) -> bool {
    let rogue = account(dice.pick(&[3u8, 4, 5, 6]));
    let theirs: BTreeSet<ChangeId> =
        world.items.iter().filter(|item| item.account == rogue).map(|item| item.id).collect();
    let adopted = world.items.iter().any(
        |item| matches!(action(item), HubAction::Adopt { operation } if theirs.contains(operation)),
    );
    let before = evaluate(world);
    let owner = account(0);
    let as_owner = theirs.iter().any(|id| before.counts.get(id) == Some(&Rank::OWNER));
    let ruled = |outcome: &Outcome| outcome.ranks.get(&owner) == Some(&Rank::OWNER);
    if adopted || as_owner || !ruled(&before) {
        return true;
    }
    let without =
        evaluate(&with_nothing_at(world, |item| item.account == rogue && !is_about_oneself(item)));
    let mut undone = world.clone();
    undone.show_all(0);
    let undo = undone.say(0, HubAction::Undo { account: rogue, keep: vec![] });
    let after = evaluate(&undone);
    if after.counts.get(&undone.id(undo)) != Some(&Rank::OWNER) {
        return true;
    }
    after.ranks == without.ranks && after.holds == without.holds
}

fn owners_change_by_majority(dice: &mut Dice, evaluate: Evaluate<'_>) -> bool {
    let mut world = World::new(&[0, 1, 2, 3], 6, dice.next());
    let id = world.genesis.owners_id();
    let next: Vec<AccountId> = [1, 2, 4].map(account).to_vec();
    let succession = HubAction::Succession { from: id, owners: next };
    // Half of four is not more than half.
    for owner in [1, 2] {
        world.say(owner, succession.clone());
    }
    let half = evaluate(&world);
    if half.ranks.contains_key(&account(4)) {
        return false;
    }
    let third = world.say(3, succession);
    world.show(4, third);
    for owner in [1, 2] {
        world.meet(4, owner);
    }
    let after = evaluate(&world);
    // Owner 0 has not heard of it, and owner 3 acts as if he had not.
    let late = world.say(0, HubAction::Kick { account: account(5), cut: vec![] });
    let old = world.append(3, None, &[], HubAction::Kick { account: account(5), cut: vec![] });
    let new = world.say(4, HubAction::Kick { account: account(5), cut: vec![] });
    let counts = evaluate(&world).counts;
    after.ranks.keys().copied().collect::<Vec<_>>() == [1, 2, 4].map(account)
        && !counts.contains_key(&world.id(late))
        && !counts.contains_key(&world.id(old))
        && counts.contains_key(&world.id(new))
}

fn two_successors_are_none(dice: &mut Dice, evaluate: Evaluate<'_>) -> bool {
    let mut world = World::new(&[0, 1, 2], 6, dice.next());
    let id = world.genesis.owners_id();
    for (owners, signed) in [([0u8, 1], [0, 1]), ([1, 2], [1, 2])] {
        let owners: Vec<AccountId> = owners.iter().map(|n| account(*n)).collect();
        for writer in signed {
            world.say(writer, HubAction::Succession { from: id, owners: owners.clone() });
        }
    }
    evaluate(&world).ranks.keys().copied().collect::<Vec<_>>() == [0, 1, 2].map(account)
}

fn an_invitation_is_never_overdrawn(dice: &mut Dice, evaluate: Evaluate<'_>) -> bool {
    let mut world = small(dice);
    let uses = 1 + u32::try_from(dice.below(3)).unwrap();
    let role = RoleRef::Everyone;
    let invite =
        world.say(1, HubAction::Invite { role, key: None, uses, expires_ms: 0, account: None });
    let first = world.writers.len();
    for guest in 100..110 {
        let writer = world.add_device(guest);
        world.show(writer, invite);
        if dice.percent(30) {
            let other = first + dice.below(writer - first + 1);
            world.meet(writer, other);
        }
        world.say(writer, HubAction::Join { invite: world.id(invite), proof: None });
    }
    let joined = evaluate(&world).ranks.keys().filter(|who| **who >= account(100)).count();
    joined <= uses as usize
}

/// Extending a cut, taking back an operation and overcoming a ban need its rank.
fn weaker_ones_take_nothing_back(dice: &mut Dice, evaluate: Evaluate<'_>) -> bool {
    let mut world = small(dice);
    let missed = world.say(3, HubAction::Kick { account: account(4), cut: vec![] });
    let ban = world.say(0, HubAction::Ban { account: account(3), cut: vec![], purge: false });
    for item in [missed, ban] {
        world.show(1, item);
    }
    let before = evaluate(&world);
    let (removal, operations) = (world.id(ban), vec![world.link(missed)]);
    world.say(1, HubAction::ExtendCut { removal, operations, cut: vec![] });
    world.say(1, HubAction::Lift { operation: removal });
    world.say(1, HubAction::Grant { account: account(3), role: RoleRef::Everyone });
    let after = evaluate(&world);
    before.ranks == after.ranks && !after.counts.contains_key(&world.id(missed))
}

fn nobody_gives_his_own_rank(dice: &mut Dice, evaluate: Evaluate<'_>) -> bool {
    let mut world = small(dice);
    let admin = world.role(0);
    world.say(1, HubAction::Grant { account: account(4), role: admin });
    evaluate(&world).ranks.get(&account(4)) == Some(&Rank::EVERYONE)
}

/// A proof that the ticket's key did not sign is as good as one that it did, once who invited says so.
fn who_invited_vouches_and_nobody_else(dice: &mut Dice, evaluate: Evaluate<'_>) -> bool {
    let mut world = small(dice);
    let (role, key) = (RoleRef::Everyone, Some(DeviceId::from_bytes([9; 32])));
    let invite = HubAction::Invite { role, key, uses: 0, expires_ms: 0, account: None };
    let invite = world.say(1, invite);
    let (id, proof) = (world.id(invite), Some(FALSE_PROOF));
    let mut joins = Vec::new();
    for guest in [100, 101] {
        let writer = world.add_device(guest);
        world.show(writer, invite);
        joins.push(world.say(writer, HubAction::Join { invite: id, proof }));
    }
    let before = evaluate(&world);
    let mut all: Vec<ChangeId> = joins.iter().map(|join| world.id(*join)).collect();
    all.sort_unstable();
    let other = dice.pick(&[0, 2, 3, 4]);
    world.show_all(other);
    let others = world.say(other, HubAction::Vouch { joins: all });
    let by_other = evaluate(&world);
    let own = world.say(1, HubAction::Vouch { joins: vec![world.id(joins[1])] });
    let after = evaluate(&world);
    let inside = |outcome: &Outcome| [100, 101].map(|n| outcome.ranks.contains_key(&account(n)));
    inside(&before) == [false; 2]
        && inside(&by_other) == [false; 2]
        && inside(&after) == [false, true]
        && !after.counts.contains_key(&world.id(others))
        && after.counts.contains_key(&world.id(own))
}

#[test]
fn no_power_depends_on_a_hash() {
    for seed in 0..hubs() / 10 {
        let world = random::hub(seed, 30);
        let other = rehashed(&world);
        let ranks = |world: &World| world.hub().members().into_iter().map(|(a, m)| (a, m.rank));
        assert!(ranks(&world).eq(ranks(&other)), "seed {seed}");
        let verdicts = |world: &World| {
            let hub = world.hub();
            let counts = |item: &HubItem| match hub.verdict(&item.id) {
                Some(Verdict::Counts(rank)) => Some(rank),
                _ => None,
            };
            world.items.iter().map(counts).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(&world), verdicts(&other), "seed {seed}");
    }
}

/// The same hub with other ids, and so other links.
fn rehashed(world: &World) -> World {
    let mut bytes: BTreeMap<[u8; 32], [u8; 32]> = BTreeMap::new();
    let mut other = world.clone();
    for item in &mut other.items {
        let id = ChangeId::of(&[item.id.as_bytes(), &b"other"[..]].concat());
        bytes.insert(*item.id.as_bytes(), *id.as_bytes());
        let previous = bytes.get(item.previous.as_bytes()).copied();
        let previous = previous.map_or(item.previous, Link::from_bytes);
        let link = crate::chain::extend(&previous, item.n, &id);
        bytes.insert(*item.link.as_bytes(), *link.as_bytes());
        (item.id, item.previous, item.link) = (id, previous, link);
        rename(item, &bytes);
    }
    other
}

fn rename(item: &mut HubItem, names: &BTreeMap<[u8; 32], [u8; 32]>) {
    let Entry::Hub(operation) = &mut item.entry else { return };
    let links = |links: &mut Vec<Link>| {
        for link in links.iter_mut() {
            *link = names.get(link.as_bytes()).copied().map_or(*link, Link::from_bytes);
        }
        links.sort_unstable();
    };
    let id = |id: &mut ChangeId| {
        *id = names.get(id.as_bytes()).copied().map_or(*id, ChangeId::from_bytes);
    };
    links(&mut operation.seen);
    match &mut operation.action {
        HubAction::ChangeRole { role, .. }
        | HubAction::Grant { role, .. }
        | HubAction::Revoke { role, .. }
        | HubAction::Invite { role, .. } => {
            if let RoleRef::Role(role) = role {
                id(role);
            }
        }
        HubAction::ExtendCut { removal, operations, .. } => {
            id(removal);
            links(operations);
        }
        HubAction::Undo { keep, .. } => links(keep),
        HubAction::Lift { operation: named }
        | HubAction::Adopt { operation: named }
        | HubAction::CloseInvite { invite: named }
        | HubAction::Dismiss { report: named }
        | HubAction::Join { invite: named, .. } => id(named),
        HubAction::Vouch { joins } => {
            joins.iter_mut().for_each(id);
            joins.sort_unstable();
        }
        _ => {}
    }
}

#[test]
fn a_hub_is_settled_alike_at_once_and_bit_by_bit() {
    for seed in 0..hubs() / 10 {
        let world = random::hub(seed + 3_000_000, 40);
        let half = world.items.len() / 2;
        let mut hub = settled(&world.genesis, &world.items[half..]);
        hub.insert(world.items[..half].iter().cloned(), &Believing);
        assert_eq!(hub.audit(), world.hub().audit(), "seed {seed}");
        assert_eq!(hub.channels(), world.hub().channels());
        assert_eq!(hub.roles(), world.hub().roles());
        assert_eq!(hub.invites(), world.hub().invites());
        assert_eq!(hub.settings(), world.hub().settings());
    }
}
