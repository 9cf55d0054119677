//! H1: a channel that many members of a hub write in, and somebody who comes new.

use std::sync::Arc;

use mosaic_engine::replica::Replica;

use super::Context;
use crate::TIME_MS;
use crate::measure::{cpu, wall_ns};
use crate::meeting::Meeting;
use crate::report::{Measure, Row};
use crate::workload::community::{self, Community};
use crate::workload::hub;

/// Messages that a reader looks at first.
const SCREEN: usize = 50;
/// How often they are read.
const READS: usize = 100;

pub(super) fn run(context: &Context) -> Row {
    let sizes: &[(u64, u64)] = context.pick(
        &[(500, 20)][..],
        &[(500, 20), (10_000, 200)],
        &[(10_000, 200), (100_000, 1_000)],
        &[(10_000, 200), (100_000, 1_000)],
    );
    let measures =
        sizes.iter().flat_map(|(messages, members)| newcomer(context, *messages, *members));
    Row {
        name: "H1".into(),
        title: "A channel of a hub: joining, and reading its newest messages".into(),
        method: "One node keeps a hub in whose channel many members wrote, each apart from the \
                 others; a new account with an empty store on disk keeps the hub too, and meets \
                 it. Reads are of the newest 50 messages, whose authors, roles and edits are \
                 looked at each time."
            .into(),
        measures: measures.collect(),
        plots: Vec::new(),
    }
}

fn newcomer(context: &Context, messages: u64, members: u64) -> Vec<Measure> {
    let folder = context.folder();
    let source = hub::node(crate::disk_store(folder.path()), context.seed);
    context.say(&format!("{members} members write {messages} messages"));
    let mut progress = context.progress("members");
    let community = community::write(&source, context.seed, messages, members, &mut progress);
    let case = format!("{messages} messages, {members} members");
    let own = context.folder();
    let store = crate::disk_store(own.path());
    let reader = hub::node(Arc::clone(&store), context.seed + 1);
    reader.serve_hub(&community.hub, true).expect("a hub");
    context.say("a newcomer");
    let (ns, met) = cpu(|| Meeting::whole([&reader, &source], 1));
    assert!(met.equal, "{met:?}");
    context.say(&met.by_message());
    // Where little is there it comes at once.
    let (legs, bytes) = met.newest.unwrap_or((met.arrived, met.total()));
    let (first_ns, _) = cpu(|| read(&reader, &community));
    community.admit(&reader, community.last_ms);
    let mut reads: Vec<u64> = (0..READS)
        .map(|_| {
            let begun = wall_ns();
            read(&reader, &community);
            wall_ns() - begun
        })
        .collect();
    reads.sort_unstable();
    let us = |ns: u64| ns as f64 / 1e3;
    let (unread_ns, unread) = cpu(|| reader.unread_channels(&community.hub).expect("a hub"));
    assert_eq!(unread[0].messages, messages);
    let (index_ns, indexed) = cpu(|| reader.settle_index().expect("an index"));
    assert!(indexed >= messages);
    let stats = store.stats();
    vec![
        Measure::exact(&case, "legs until the newest 50 are shown", "legs", legs).at_most(6.0),
        Measure::exact(&case, "bytes until then", "B", bytes).at_most(150e3),
        Measure::exact(&case, "all bytes", "B", met.total()),
        Measure::exact(&case, "signatures checked", "", met.signatures())
            .at_most(1.2 * members as f64 + 100.0),
        Measure::exact(&case, "legs until all is there", "legs", met.arrived),
        Measure::shown(
            &case,
            "processor time a message, both ends",
            "µs",
            us(ns) / messages as f64,
        ),
        Measure::shown(&case, "first read of the newest 50", "ms", us(first_ns) / 1e3),
        Measure::shown(&case, "read of the newest 50, median", "µs", us(reads[READS / 2])),
        Measure::shown(&case, "read of the newest 50, p95", "µs", us(reads[READS * 95 / 100])),
        Measure::shown(&case, "counting what is unread, all of it", "ms", us(unread_ns) / 1e3),
        Measure::shown(
            &case,
            "indexing for search, a message",
            "µs",
            us(index_ns) / messages as f64,
        ),
        Measure::shown(
            &case,
            "bytes on disk a message",
            "B",
            stats.disk_bytes as f64 / messages as f64,
        ),
    ]
}

fn read(replica: &Replica, community: &Community) {
    let Community { hub, channel, .. } = community;
    let views = replica.channel(hub, channel, None, SCREEN, false).expect("a channel");
    assert_eq!(views.len(), SCREEN);
    assert!(views.windows(2).all(|pair| pair[0].time_ms >= pair[1].time_ms));
    assert!(views[0].time_ms >= TIME_MS);
}
