//! The engine against the reference.

use super::random;
use super::reference::{evaluate, outcome};
use super::world::{Believing, Dice, FALSE_PROOF, settled};
use super::*;

/// Hubs of the default run; all of them with the environment variable below.
const HUBS: u64 = 240;
const HUBS_VARIABLE: &str = "MOSAIC_HUBS";

/// How many random hubs to make: 20,000 were compared for the record.
pub(super) fn hubs() -> u64 {
    std::env::var(HUBS_VARIABLE).ok().and_then(|n| n.parse().ok()).unwrap_or(HUBS)
}

#[test]
fn the_engine_agrees_with_the_reference_whatever_comes_when() {
    let mut vouched = 0;
    for seed in 0..hubs() {
        let mut dice = Dice(seed ^ 0x5eed);
        let world = random::hub(seed, 5 + dice.below(40));
        let expected = evaluate(&world.genesis, &world.items, None);
        assert_eq!(outcome(&world.hub()), expected, "seed {seed}, at once");

        // One by one, in any order: what comes too early waits.
        let mut items = world.items.clone();
        dice.shuffle(&mut items);
        let mut hub = Hub::new(world.genesis.clone());
        for item in items {
            hub.insert([item], &Believing);
        }
        assert_eq!(hub.waiting(), 0, "seed {seed}");
        assert_eq!(outcome(&hub), expected, "seed {seed}, one by one");
        assert_eq!(hub.audit(), world.hub().audit(), "seed {seed}");
        vouched += hub.audit().iter().filter(|record| is_vouched(record)).count();
    }
    assert!(vouched as u64 > hubs() / 20, "{vouched} joins hold by a word alone");
}

/// Whether a join counts whose proof is false.
fn is_vouched(record: &Record<'_>) -> bool {
    let proof = Some(FALSE_PROOF);
    let joins = matches!(record.action, HubAction::Join { proof: of, .. } if *of == proof);
    joins && matches!(record.verdict, Verdict::Counts(_))
}

#[test]
fn every_beginning_of_a_hub_agrees_with_the_reference() {
    for seed in 0..hubs() / 20 {
        let world = random::hub(seed + 1_000_000, 30);
        let mut hub = Hub::new(world.genesis.clone());
        for (at, item) in world.items.iter().enumerate() {
            hub.insert([item.clone()], &Believing);
            let expected = evaluate(&world.genesis, &world.items[..=at], None);
            assert_eq!(outcome(&hub), expected, "seed {seed}, after {at}");
        }
    }
}

#[test]
fn small_hubs_come_out_alike_in_every_order_of_delivery() {
    for seed in 0..hubs() / 40 {
        let world = random::hub(seed + 2_000_000, 6);
        let last = world.items.len() - 6;
        let (before, after) = world.items.split_at(last);
        let expected = settled(&world.genesis, &world.items);
        let mut order: Vec<usize> = (0..after.len()).collect();
        permutations(&mut order, after.len(), &mut |order| {
            let mut hub = settled(&world.genesis, before);
            for at in order {
                hub.insert([after[*at].clone()], &Believing);
            }
            assert_eq!(hub.audit(), expected.audit(), "seed {seed}, order {order:?}");
            assert_eq!(hub.members(), expected.members(), "seed {seed}, order {order:?}");
        });
    }
}

/// Calls `each` with every order (Heap's algorithm).
pub(super) fn permutations(order: &mut Vec<usize>, n: usize, each: &mut dyn FnMut(&[usize])) {
    if n <= 1 {
        return each(order);
    }
    for at in 0..n {
        permutations(order, n - 1, each);
        order.swap(if n.is_multiple_of(2) { at } else { 0 }, n - 1);
    }
}
