//! E2: one post, live.

use std::sync::Arc;

use mosaic_engine::replica::{Draft, Replica};
use mosaic_engine::sync::News;
use mosaic_engine::sync::exchange::Exchange;

use super::live::{parts, together};
use super::{Context, Size};
use crate::TIME_MS;
use crate::floor::changes_of;
use crate::measure::cpu;
use crate::measure::ratio::Spread;
use crate::meeting::{Meeting, Met};
use crate::report::{Measure, Row};
use crate::workload::{Seeded, hub, prose};

const TEXT_BYTES: usize = 120;

pub(super) fn run(context: &Context) -> Row {
    let folders = [context.folder(), context.folder()];
    let stores = [0, 1].map(|side: usize| crate::disk_store(folders[side].path()));
    let writer = hub::node(Arc::clone(&stores[0]), context.seed);
    let reader = hub::node(Arc::clone(&stores[1]), context.seed + 1);
    hub::keep(&reader, &[writer.account().expect("an account")]);
    for n in 0..100 {
        post(&writer, n);
    }
    let mut meeting = Meeting::new([&writer, &reader], 3);
    assert!(meeting.rest().equal);
    let posts = context.pick(3, 20, 200, 200);
    let (mut lasts, mut times) = (Vec::new(), Vec::new());
    for n in 0..posts {
        let fsyncs = || stores.iter().map(|store| store.stats().fsyncs).collect::<Vec<_>>();
        let before = fsyncs();
        let (ns, (id, at)) = cpu(|| {
            let id = post(&writer, 100 + n);
            let (section, chain, at) = writer.place_of(&id).expect("a place");
            meeting.news(0, vec![News { section, chain, from_n: at }]);
            meeting.settle();
            (id, (section, chain, at))
        });
        let shown = fsyncs().iter().sum::<u64>() - before.iter().sum::<u64>();
        assert!(reader.place_of(&id).is_ok(), "not there");
        let met = meeting.rest();
        let size = sizes(&writer, &at.0, &at.1, at.2);
        let after = fsyncs();
        let synced = before.iter().zip(&after).map(|(a, b)| b - a).collect::<Vec<_>>();
        times.push(ns as f64 / 1e3);
        lasts.push(Pushed { met, fsyncs: synced, shown, size });
    }
    let mut measures = figures(&lasts, Spread::of(times));
    if context.size > Size::Counts {
        context.say("part by part");
        measures.extend(parts(context));
        context.say("many writers at once");
        measures.extend(together(context));
    }
    for store in &stores {
        store.close().expect("a closed store");
    }
    Row {
        name: "E2".into(),
        title: "One post, from its commit to the other side's".into(),
        method: "Two replicas on disk with an idle session between them; the first posts, and \
                 tells it. Wire: all frames of the push, both ways. The change's own size is that \
                 of its stored bytes. Part by part: each part on the clock, the disk's as what a \
                 store on disk takes longer than one in memory. Many at once: own posts by threads \
                 of one node, and chains that come from as many peers."
            .into(),
        measures,
        plots: Vec::new(),
    }
}

fn post(writer: &Replica, n: u64) -> mosaic_engine::hash::ChangeId {
    let text = prose::text(n, TEXT_BYTES, &mut Seeded::new(n));
    let draft = Draft { text, ..Draft::default() };
    writer.post(draft, None, TIME_MS + 1_000 * n).expect("a post")
}

/// Stored bytes of a change, and of its body.
pub(super) fn sizes(
    writer: &Replica,
    section: &mosaic_engine::sync::exchange::Section,
    chain: &mosaic_engine::chain::ChainKey,
    n: u64,
) -> (u64, u64) {
    let (_, tip) = writer.chain_tips(chain).expect("tips")[0];
    let change = changes_of(writer, section, &tip).pop().expect("a change").len() as u64;
    let bodies = writer.bodies_of(&tip, n, n).expect("bodies");
    (change, bodies.iter().map(|body| body.size + 16).sum())
}

/// What one post came to.
struct Pushed {
    met: Met,
    /// Fsyncs of writer and reader until both rest.
    fsyncs: Vec<u64>,
    /// Fsyncs of both until the reader has it and the writer knows.
    shown: u64,
    /// Bytes of the change and of its body.
    size: (u64, u64),
}

fn figures(lasts: &[Pushed], time: Spread) -> Vec<Measure> {
    let Pushed { met, fsyncs, size: (change, body), .. } = lasts.last().expect("a post");
    assert!(met.equal, "{met:?}");
    let worst = lasts.iter().map(|post| post.shown).max();
    let case = "one post";
    let own = change + body;
    let mut cost = Measure::shown(case, "processor time, both sides", "µs", time.median);
    cost.quartiles = Some([time.low, time.high]);
    vec![
        Measure::exact(case, "legs of the push", "legs", met.legs).at_most(2.0).limit(1.0),
        Measure::exact(case, "fsyncs of the writer, until both rest", "", fsyncs[0]),
        Measure::exact(case, "fsyncs of the reader, until both rest", "", fsyncs[1]),
        Measure::exact(case, "fsyncs until it is there and known to be", "", worst.unwrap_or(0))
            .at_most(3.0),
        Measure::exact(case, "bytes of the change", "B", *change),
        Measure::exact(case, "bytes of the body", "B", *body),
        Measure::exact(case, "bytes on the wire, both ways", "B", met.total())
            .at_most((own + 200) as f64)
            .limit(own as f64),
        Measure::exact(case, "signatures checked", "", met.signatures()).limit(1.0),
        cost,
    ]
}
