//! M2: what verification costs a change, over its hash.

use std::hint::black_box;

use mosaic_engine::chain::extend;
use mosaic_engine::hash::ChangeId;
use mosaic_engine::identity::Verifier;

use super::Context;
use crate::measure::cpu;
use crate::measure::ratio::Spread;
use crate::report::{Measure, Row};
use crate::{Page, two_devices};

pub(super) fn run(context: &Context) -> Row {
    let [laptop, _] = two_devices();
    let page = Page::write(&laptop, 1_024);
    let changes = page.changes.len() as f64;
    let stored: Vec<&[u8]> = page.changes.iter().map(|change| &*change.bytes).collect();
    let origin = page.chain.origin(&page.description.space.id());
    let verifier = Verifier::new();
    let rounds = context.pick(1, 50, 400, 400);
    let (mut hashing, mut proving, mut one) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..context.pairs().max(3) {
        let each = |ns: u64| ns as f64 / 1e3 / f64::from(rounds);
        let hash = || stored.iter().map(|bytes| ChangeId::of(bytes)).collect::<Vec<_>>();
        hashing.push(each(cpu(|| (0..rounds).for_each(|_| _ = black_box(hash()))).0) / changes);
        let ids = page.ids();
        let prove = || {
            let head = page.head.signed();
            let head = head.verify(&page.description, &laptop.device, &verifier).expect("a head");
            head.prove(0, origin, &ids).expect("a good chain")
        };
        proving.push(each(cpu(|| (0..rounds).for_each(|_| _ = black_box(prove()))).0) / changes);
        let live = || {
            let head = page.head.signed();
            let head = head.verify(&page.description, &laptop.device, &verifier).expect("a head");
            (head, extend(&origin, 1, &ids[0]))
        };
        one.push(each(cpu(|| (0..rounds).for_each(|_| _ = black_box(live()))).0));
    }
    let [hashing, proving, one] = [hashing, proving, one].map(Spread::of);
    let measure = |case: &str, what: &str, spread: Spread| {
        let mut measure = Measure::shown(case, what, "µs", spread.median);
        measure.quartiles = Some([spread.low, spread.high]);
        measure
    };
    let bulk = "a page of 1,024 changes under one head";
    Row {
        name: "M2".into(),
        title: "Verification".into(),
        method: "A signed head, and the links of the changes under it, beside the BLAKE3 hash of \
                 the changes that nobody is spared. Live: one head for one change."
            .into(),
        measures: vec![
            measure(bulk, "a change, over its hash", proving).at_most(1.0),
            measure(bulk, "the hash of a change", hashing),
            measure("live", "a change with a head of its own", one).limit(32.0),
        ],
        plots: Vec::new(),
    }
}
