//! R6: ten thousand documents, few of them changed.

use super::Context;
use crate::measure::cpu;
use crate::meeting::{Meeting, Met};
use crate::report::{Measure, Row};
use crate::workload::documents::walls;
use crate::workload::wall::chains_moved;

/// Bodies are cut here: they do not travel in what is measured, and would fill the memory.
const BODY_BYTES_MAX: usize = 1_024;

pub(super) fn run(context: &Context) -> Row {
    let (documents, news): (u64, &[u64]) = context.pick(
        (100, &[0, 10]),
        (500, &[0, 10, 50]),
        (10_000, &[0, 10, 1_000]),
        (10_000, &[0, 10, 1_000]),
    );
    let mut progress = context.progress("writing documents");
    let apart = walls(context.seed, documents, BODY_BYTES_MAX, news, &mut progress);
    let mut measures = Vec::new();
    let known = [apart.base.node(), apart.base.node()];
    let mut meeting = Meeting::new([&known[0], &known[1]], 5);
    meeting.rest();
    let from = mosaic_engine::hash::DeviceId::from_bytes([2; 32]);
    for (number, k) in news.iter().enumerate() {
        let case = |name: &str| format!("{documents} documents, {k} changed, {name}");
        let fresh = [apart.base.node(), apart.base.node()];
        for (node, parcel) in fresh.iter().zip(&apart.steps[number]) {
            parcel.give(&from, node);
        }
        let moved = chains_moved(&fresh);
        let (ns, met) = cpu(|| Meeting::whole([&fresh[0], &fresh[1]], 6));
        measures.extend(figures(context, &case("first contact"), &met, *k, moved, ns));
        apart.part(number, &known);
        let (ns, met) = cpu(|| meeting.pass_a_minute());
        measures.extend(figures(context, &case("same session"), &met, *k, moved, ns));
        if number + 1 == news.len() {
            let (ns, met) = cpu(|| Meeting::whole([&known[0], &known[1]], 9));
            let case = format!("{documents} documents, 0 changed, met before");
            measures.extend(figures(context, &case, &met, 0, 0, ns));
        }
    }
    Row {
        name: "R6".into(),
        title: "Many documents of the published distribution, few of them changed".into(),
        method: format!(
            "{documents} accounts with a wall each, {} changes in all; then a post on each of k \
             walls, half at one hub, half at the other. Bytes to find out as in R1.",
            apart.common
        ),
        measures,
        plots: Vec::new(),
    }
}

fn figures(context: &Context, case: &str, met: &Met, k: u64, moved: u64, ns: u64) -> Vec<Measure> {
    assert!(met.equal, "{case}: {met:?}");
    context.say(&format!("{case}: {}", met.by_message()));
    let allowed = if k == 0 { 128.0 } else { 130.0 * k as f64 };
    vec![
        Measure::exact(case, "chains that differ", "", moved),
        Measure::exact(case, "bytes to find out", "B", met.finding()).at_most(allowed),
        Measure::exact(case, "control bytes", "B", met.control()),
        Measure::exact(case, "legs until all is there", "legs", met.arrived).at_most(if k == 0 {
            2.0
        } else {
            3.0
        }),
        Measure::exact(case, "legs until both know it", "legs", met.legs),
        Measure::exact(case, "changes sent again", "", met.resent()).at_most(0.0),
        Measure::shown(case, "processor time, both sides", "ms", ns as f64 / 1e6),
    ]
}
