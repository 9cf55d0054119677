use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A hash as a session makes it, under a small key.
fn hash(key: u64) -> impl Fn(Item) -> ItemHash + Copy {
    move |item| {
        let hash = blake3::Hasher::new_derive_key("test of the sketch")
            .update(&key.to_be_bytes())
            .update(&item.to_bytes())
            .finalize();
        let (words, _) = hash.as_bytes().as_chunks::<8>();
        let [check, seed, signs, _] = words else { unreachable!() };
        let check = u32::try_from(u64::from_be_bytes(*check) >> 40).unwrap();
        ItemHash { check, seed: u64::from_be_bytes(*seed), signs: u64::from_be_bytes(*signs) }
    }
}

fn item(number: u64) -> Item {
    Item::from_bytes(*blake3::hash(&number.to_be_bytes()).as_bytes().first_chunk().unwrap())
}

fn hashed(items: &BTreeSet<Item>, key: u64) -> Vec<(Item, ItemHash)> {
    items.iter().map(|item| (*item, hash(key)(*item))).collect()
}

/// The difference, and how many cells it took.
fn reconcile(
    own: &BTreeSet<Item>,
    theirs: &BTreeSet<Item>,
    key: u64,
    step: usize,
) -> (Difference, usize) {
    let mut encoder = Encoder::new(hashed(theirs, key));
    let mut decoder = Decoder::new(&hashed(own, key));
    loop {
        let cells: Vec<Cell> =
            encoder.cells(step).into_iter().map(|cell| Cell::from_bytes(cell.to_bytes())).collect();
        decoder.take(&cells, hash(key)).unwrap();
        if let Some(difference) = decoder.difference() {
            return (difference, decoder.taken());
        }
        assert!(decoder.taken() < 4 * (own.len() + theirs.len()) + 64, "it never ends");
    }
}

fn sets(common: u64, own: u64, theirs: u64, seed: u64) -> [BTreeSet<Item>; 2] {
    let base = seed << 32;
    let of = |from: u64, count: u64| (from..from + count).map(item);
    let shared = of(base, common);
    let one = shared.clone().chain(of(base + common, own)).collect();
    [one, shared.chain(of(base + common + own, theirs)).collect()]
}

proptest! {
    #[test]
    fn what_differs_is_found(
        common in 0u64..400,
        own in 0u64..60,
        theirs in 0u64..60,
        seed in 0u64..1000,
        step in 1usize..40,
    ) {
        let [a, b] = sets(common, own, theirs, seed);
        let (difference, _) = reconcile(&a, &b, seed, step);
        prop_assert_eq!(difference.own, a.difference(&b).copied().collect::<Vec<_>>());
        prop_assert_eq!(difference.theirs, b.difference(&a).copied().collect::<Vec<_>>());
    }

    #[test]
    fn cells_made_in_pieces_are_the_same_cells(count in 0u64..100, cut in 0usize..50) {
        let items = hashed(&(0..count).map(item).collect(), 1);
        let whole = Encoder::new(items.iter().copied()).cells(50);
        let mut pieces = Encoder::new(items);
        let mut made = pieces.cells(cut);
        made.extend(pieces.cells(50 - cut));
        prop_assert_eq!(pieces.made(), 50);
        prop_assert_eq!(made, whole);
    }

    #[test]
    fn cells_of_nobody_come_to_an_end(bytes in prop::collection::vec(any::<[u8; CELL_BYTES]>(), 0..300)) {
        let cells: Vec<Cell> = bytes.into_iter().map(Cell::from_bytes).collect();
        let mut decoder = Decoder::new(&hashed(&(0..50).map(item).collect(), 3));
        let _ = decoder.take(&cells, hash(3));
        prop_assert!(decoder.peeled.len() <= cells.len() + 1);
    }

    #[test]
    fn items_survive_the_wire(tag: u32, n in 0..=ITEM_N_MAX, link: u32) {
        let one = Item::new(tag, n, link);
        prop_assert_eq!(Item::from_bytes(one.to_bytes()), one);
        prop_assert_eq!((one.tag(), one.n(), one.link()), (tag, n, link & LINK_MASK));
    }
}

#[test]
fn numbers_beyond_the_highest_count_as_that() {
    assert_eq!(Item::new(1, ITEM_N_MAX + 1, 2), Item::new(1, ITEM_N_MAX, 2));
    assert_eq!(Item::new(1, u64::MAX, 2).tag(), 1);
}

#[test]
fn equal_sets_take_one_cell() {
    let [a, b] = sets(1000, 0, 0, 7);
    assert_eq!(reconcile(&a, &b, 5, 1), (Difference::default(), 1));
}

#[test]
fn a_difference_takes_few_cells_whatever_is_common() {
    for (d, cells_max) in [(2u64, 6.0), (10, 2.6), (40, 2.0), (200, 1.6), (1000, 1.45)] {
        let mut took = Vec::new();
        for seed in 0..20 {
            let [a, b] = sets(400, d / 2, d / 2, seed);
            took.push(reconcile(&a, &b, seed, 1).1);
        }
        took.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let ratio = took[18] as f64 / d as f64;
        assert!(ratio <= cells_max, "{d}: {ratio} cells an item at the worst but one");
    }
}

#[test]
fn an_item_that_would_be_peeled_for_ever_is_an_error() {
    // Cells that hold one item each, though it belongs into all of them: peeling it from
    // one puts it into the others.
    let one = item(1);
    let found = hash(9)(one);
    let mut cell = Cell::default();
    cell.add(one, &found);
    let mut walk = Walk::new(found.seed);
    let mut cells = vec![Cell::default(); 64];
    walk.step();
    while let Some(place) = usize::try_from(walk.at).ok().and_then(|at| cells.get_mut(at)) {
        *place = cell;
        walk.step();
    }
    let mut decoder = Decoder::new(&[]);
    assert_eq!(decoder.take(&cells, hash(9)), Err(Senseless));
}

#[test]
fn estimates_are_near() {
    for d in [0u64, 2, 20, 200, 1000] {
        let mut sum = 0;
        for seed in 0..40 {
            let [a, b] = sets(300, d / 2, d / 2, seed);
            let estimate = |set: &BTreeSet<Item>| {
                let mut estimate = Estimate::default();
                hashed(set, seed).iter().for_each(|(_, hash)| estimate.add(hash));
                estimate
            };
            sum += estimate(&a).difference(&estimate(&b));
        }
        let (mean, d) = (sum / 40, usize::try_from(d).unwrap());
        assert!(mean.abs_diff(d) <= d / 5 + 1, "{d}: {mean}");
    }
}

#[test]
fn an_estimate_of_many_says_many() {
    let [a, b] = sets(0, 20_000, 20_000, 1);
    let estimate = |set: &BTreeSet<Item>| {
        let mut estimate = Estimate::default();
        hashed(set, 1).iter().for_each(|(_, hash)| estimate.add(hash));
        estimate
    };
    assert!(estimate(&a).difference(&estimate(&b)) >= ESTIMATE_MAX);
}
