//! H2: one more operation in a hub that is old.

use mosaic_engine::hash::{AccountId, BlobHash, HubId};
use mosaic_engine::model::entry::{HubAction, Permissions, RoleRef};
use mosaic_engine::replica::HubStart;

use super::Context;
use crate::TIME_MS;
use crate::measure::cpu;
use crate::measure::ratio::interleaved;
use crate::report::{Measure, Row};
use crate::workload::author::Author;

/// Operations of a hub that is young.
const YOUNG: u64 = 100;
/// Grants that are taken as one, and how often.
const GRANTS: u64 = 20;
const PAIRS: usize = 25;

pub(super) fn run(context: &Context) -> Row {
    let sizes: &[u64] =
        context.pick(&[1_000][..], &[10_000], &[10_000, 100_000], &[10_000, 100_000]);
    let measures = sizes.iter().flat_map(|operations| grants(context, *operations));
    Row {
        name: "H2".into(),
        title: "A grant in an old hub".into(),
        method:
            "An owner lets accounts in by hand, one operation each, in two hubs in turn: one of \
                 100 operations and one of many; each is made, signed, judged and stored, in \
                 memory."
                .into(),
        measures: measures.collect(),
        plots: Vec::new(),
    }
}

fn grants(context: &Context, operations: u64) -> Vec<Measure> {
    context.say(&format!("a hub of {operations} operations"));
    let mut young = Founder::new(context.seed);
    let mut old = Founder::new(context.seed + 1);
    young.grant(YOUNG);
    old.grant(operations);
    let compared = interleaved(
        PAIRS,
        || cpu(|| old.grant(GRANTS)).0 / GRANTS,
        || cpu(|| young.grant(GRANTS)).0 / GRANTS,
    );
    let case = format!("{operations} operations");
    let us = |ns: f64| ns / 1e3;
    vec![
        Measure::ratio(&case, "processor time of a grant over that at 100", compared.ratio)
            .at_most(1.5),
        Measure::shown(&case, "processor time of a grant", "µs", us(compared.ours_ns.median)),
        Measure::shown(&case, "at 100 operations", "µs", us(compared.theirs_ns.median)),
    ]
}

/// Somebody who lets in one account after the other.
struct Founder {
    author: Author,
    hub: HubId,
    granted: u64,
}

impl Founder {
    fn new(seed: u64) -> Self {
        let author = Author::new(seed, u64::from(u32::MAX));
        let start = HubStart {
            name: "Makers".into(),
            about: String::new(),
            everyone: Permissions::SEND,
            channels: Vec::new(),
            forked_from: None,
            private: false,
        };
        let hub = author.replica.create_hub(start, TIME_MS).expect("a hub");
        Self { author, hub, granted: 0 }
    }

    fn grant(&mut self, count: u64) {
        for _ in 0..count {
            self.granted += 1;
            let who = BlobHash::of(&self.granted.to_be_bytes());
            let account = AccountId::from_bytes(*who.as_bytes());
            let grant = HubAction::Grant { account, role: RoleRef::Everyone };
            let now_ms = TIME_MS + self.granted;
            self.author.replica.hub_operation(&self.hub, grant, "", now_ms).expect("a grant");
        }
    }
}
