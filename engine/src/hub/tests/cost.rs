//! What one more operation costs in an old hub. The counts are asserted; the times are for
//! people: `MOSAIC_HUB_OPERATIONS=100000 cargo test --release --workspace --lib
//! hub::tests::cost -- --nocapture`.

use std::time::{Duration, Instant};

use super::world::{Believing, Dice, World, account};
use super::*;
use crate::model::entry::{HubSetting, Permissions, RoleRef};

/// Operations of the large hub in the default run.
const OPERATIONS: usize = 5_000;
/// Devices of admins that write in turn.
const ADMINS: usize = 20;

fn operations() -> usize {
    let set = std::env::var("MOSAIC_HUB_OPERATIONS").ok();
    set.and_then(|n| n.parse().ok()).unwrap_or(OPERATIONS)
}

/// A hub of so many operations: admins who have seen everything let members in, remove them
/// and let them in again, change channels and settings.
fn grown(operations: usize) -> World {
    let mut world = World::new(&[0], u8::try_from(ADMINS + 1).unwrap(), 1);
    let admin = world.define(0, 50, Permissions::ALL);
    for n in 1..=ADMINS {
        world.grant(0, u8::try_from(n).unwrap(), admin);
    }
    let mut dice = Dice(7);
    let mut last = world.items.len() - 1;
    let mut devices: Vec<usize> = (0..=ADMINS).collect();
    while world.items.len() < operations {
        let n = 1 + dice.below(ADMINS);
        // A page is full after a thousand operations, and the next one is another chain.
        if world.writers[devices[n]].last.is_some_and(|last| world.items[last].n >= 1_000) {
            devices[n] = world.turn_page(devices[n]);
        }
        let who = AccountId::from_bytes(*blake3::hash(&dice.next().to_be_bytes()[5..]).as_bytes());
        let action = match dice.below(10) {
            0..6 => HubAction::Grant { account: who, role: RoleRef::Everyone },
            6 | 7 => HubAction::Kick { account: who, cut: vec![] },
            _ => HubAction::Set(HubSetting::JoinsClosed(dice.percent(50))),
        };
        world.writers[devices[n]].seen = vec![last];
        last = world.say(devices[n], action);
    }
    world.writers[0].seen = vec![last];
    world
}

#[test]
#[expect(clippy::disallowed_methods, reason = "figures for people; nothing depends on them")]
fn a_grant_at_the_frontier_is_judged_alone_however_old_the_hub() {
    for size in [100, operations()] {
        let mut world = grown(size);
        let start = Instant::now();
        let mut hub = world.hub();
        let whole = start.elapsed();
        let mut times: Vec<Duration> = Vec::new();
        for n in 0..1_000u32 {
            let who = AccountId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes());
            let grant = world.say(0, HubAction::Grant { account: who, role: RoleRef::Everyone });
            let item = world.items[grant].clone();
            let start = Instant::now();
            let settled = hub.insert([item], &Believing);
            times.push(start.elapsed());
            let one = Settled { placed: 1, judged: 1, weighed: 1, changed: 0 };
            assert_eq!(settled, one, "in a hub of {size}");
            if world.items.last().is_some_and(|item| item.n >= 1_000) {
                break;
            }
        }
        times.sort_unstable();
        println!("{size} operations: {whole:?}; a grant then: {:?}", times[times.len() / 2]);
    }
}

#[test]
fn a_removal_has_judged_what_its_author_had_not_seen_of_its_subject() {
    let mut world = grown(operations());
    let unseen = 50;
    for _ in 0..unseen {
        world.say(7, HubAction::Set(HubSetting::JoinsClosed(true)));
    }
    let mut hub = world.hub();
    let ban = HubAction::Ban { account: account(7), cut: vec![], purge: false };
    let ban = world.say(0, ban);
    let settled = hub.insert([world.items[ban].clone()], &Believing);
    // The ban, and fifty settings: nobody else, and no older operation of his.
    assert_eq!((settled.judged, settled.changed), (1 + unseen, unseen));
    assert_eq!(settled.weighed, 1);

    // Lifting it has the same judged once more.
    let lift = world.say(0, HubAction::Lift { operation: world.id(ban) });
    let settled = hub.insert([world.items[lift].clone()], &Believing);
    assert_eq!((settled.judged, settled.changed), (1 + unseen, unseen));
}

/// A moderator's thousand bans, taken back by one operation.
#[test]
fn a_thousand_bans_are_undone_by_one_operation() {
    let mut world = grown(1_000);
    let before = world.hub().members();
    for n in 0..1_000u32 {
        if n == 500 {
            let turned = world.turn_page(3);
            assert_eq!(turned, world.writers.len() - 1);
        }
        let writer = if n < 500 { 3 } else { world.writers.len() - 1 };
        let who = before.keys().nth(n as usize % before.len()).copied().unwrap();
        world.say(writer, HubAction::Ban { account: who, cut: vec![], purge: false });
    }
    let mut hub = world.hub();
    assert!(hub.members().len() < before.len() / 2, "most are gone");
    world.show_all(0);
    let undo = world.say(0, HubAction::Undo { account: account(3), keep: vec![] });
    hub.insert([world.items[undo].clone()], &Believing);
    // All his acts are gone: whom he had let in before is out as well, nobody else.
    let brought_in = |who: &AccountId| {
        world.items.iter().any(|item| {
            item.account == account(3)
                && matches!(&item.entry, Entry::Hub(operation)
                    if matches!(&operation.action, HubAction::Grant { account, .. } if account == who))
        })
    };
    for (who, Member { rank, .. }) in before {
        if !brought_in(&who) {
            assert!(hub.rank(&who) >= Some(rank), "{who} lost something");
        }
    }
}

/// What nobody is waiting for is waited for without growing anything else.
#[test]
fn operations_without_their_past_wait() {
    let world = grown(300);
    let mut hub = Hub::new(world.genesis.clone());
    let settled = hub.insert(world.items[1..].iter().cloned(), &Believing);
    assert_eq!((settled.placed, hub.len(), hub.waiting()), (0, 0, world.items.len() - 1));
    assert_eq!(hub.missing().copied().collect::<Vec<_>>(), [world.link(0)]);
    let settled = hub.insert([world.items[0].clone()], &Believing);
    assert_eq!((settled.placed, hub.waiting()), (world.items.len(), 0));
}

/// Ten thousand operations by somebody who may do nothing cost what they are, and no more.
#[test]
fn a_flood_by_a_stranger_changes_nothing() {
    let mut world = grown(500);
    let mut hub = world.hub();
    let members = hub.members();
    let mut writer = world.add_device(200);
    for n in 0..10_000 {
        if n % 1_000 == 999 {
            writer = world.turn_page(writer);
        }
        let who = account(u8::try_from(n % 20).unwrap());
        let flood = world.say(writer, HubAction::Ban { account: who, cut: vec![], purge: true });
        let settled = hub.insert([world.items[flood].clone()], &Believing);
        assert_eq!((settled.judged, settled.weighed), (1, 0));
    }
    assert_eq!(hub.members(), members);
}

/// Nor do ten thousand leavings by a member: the first one counts.
#[test]
fn who_leaves_again_and_again_leaves_once() {
    let mut world = grown(500);
    let role = RoleRef::Everyone;
    let grant = world.say(0, HubAction::Grant { account: account(200), role });
    let mut hub = world.hub();
    let mut writer = world.add_device(200);
    world.show(writer, grant);
    for n in 0..10_000 {
        if n % 1_000 == 999 {
            writer = world.turn_page(writer);
        }
        let leave = world.say(writer, HubAction::Leave { cut: vec![] });
        let settled = hub.insert([world.items[leave].clone()], &Believing);
        assert_eq!((settled.judged, settled.weighed), (1, usize::from(n == 0)));
    }
    assert_eq!(hub.rank(&account(200)), None);
}
