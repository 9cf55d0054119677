//! E1: a first copy of everything, into an empty replica.

use std::sync::Arc;

use automerge::Automerge;
use mosaic_engine::hash::AccountId;
use mosaic_engine::replica::Replica;

use super::{Context, Size};
use crate::child::{self, Told};
use crate::floor;
use crate::measure::cpu;
use crate::measure::process::written;
use crate::measure::ratio::interleaved;
use crate::meeting::{Meeting, Met};
use crate::report::plot::{GROWTH_MAX, Line, Plot, growth};
use crate::report::{Measure, Row};
use crate::workload::{hub, messages};

pub(super) fn run(context: &Context) -> Row {
    let sizes: &[(u64, u64)] = context.pick(
        &[(1_000, 10)][..],
        &[(1_000, 10), (10_000, 100), (100_000, 1_000)],
        &[(1_000, 10), (10_000, 100), (100_000, 1_000)],
        &[(1_000, 10), (10_000, 100), (100_000, 1_000), (1_000_000, 1_000)],
    );
    let (mut measures, mut own, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for (changes, authors) in sizes {
        let (figures, [ours, theirs]) = copy(context, *changes, *authors);
        measures.extend(figures);
        own.push((*changes as f64, ours));
        other.push((*changes as f64, theirs));
    }
    if let Some((size, times)) = growth(&own) {
        let case = format!("{size} changes");
        let what = "processor time a change over that at 10,000";
        measures.push(Measure::shown(&case, what, "×", times).at_most(GROWTH_MAX));
    }
    Row {
        name: "E1".into(),
        title: "A first copy of everything into an empty replica".into(),
        method: "A hub with messages of many accounts, on disk, and an empty replica on disk that \
                 keeps the same accounts. Floor: the sum of Automerge's save() over the same log \
                 documents; bodies travel beside it and are counted apart. Processor time: the \
                 whole process, both ends, verification, bodies and every fsync of ours included, \
                 over automerge::sync of the same documents in memory, peers that never met."
            .into(),
        measures,
        plots: vec![Plot {
            name: "e1-time".into(),
            title: "E1: processor time of a first copy, both ends".into(),
            x: "changes".into(),
            y: "microseconds a change".into(),
            lines: vec![
                Line::measured("mosaic: verified, stored on disk", own),
                Line::measured("automerge::sync, in memory", other),
            ],
        }],
    }
}

fn copy(context: &Context, changes: u64, authors: u64) -> (Vec<Measure>, [f64; 2]) {
    let folder = context.folder();
    let source = hub::node(crate::disk_store(folder.path()), context.seed);
    context.say(&format!("writing {changes} messages by {authors} accounts"));
    let mut progress = context.progress("accounts");
    let accounts = messages::write(&source, context.seed, changes, authors, &mut progress);
    let documents = floor::documents(&source);
    let floor = floor::saved_bytes(&documents);
    let mut last = None;
    let mut number = 0;
    let compared = interleaved(
        context.pairs_of(changes),
        || {
            number += 1;
            context.say(&format!("{changes} changes: copy {number}"));
            let (ns, copied) = ours(context, &source, &accounts, number);
            last = Some(copied);
            ns
        },
        || theirs(&documents).0,
    );
    let automerge = theirs(&documents).1;
    let others = others(&documents);
    drop(documents);
    let told = (context.size > Size::Counts).then(|| {
        context.say("a receiver in a process of its own");
        child::give(&source, &accounts, context.folder().path(), context.seed + 77)
    });
    let Copied { met, fsyncs, committed, disk, written, bodies } = last.expect("a copy");
    let case = format!("{changes} changes, {authors} accounts");
    let per = |of: u64, by: u64| of as f64 / by.max(1) as f64;
    let changes_bytes = met.without_bodies();
    let allowed = 1.1 * floor as f64 + 300.0 * authors as f64;
    let each = [&compared.ours_ns, &compared.theirs_ns].map(|t| t.median / 1e3 / changes as f64);
    let mut measures = vec![
        Measure::exact(&case, "bytes without bodies", "B", changes_bytes)
            .at_most(allowed)
            .limit(floor as f64)
            .beside("automerge::sync", automerge.total as f64),
        Measure::exact(&case, "control bytes", "B", met.control())
            .beside("automerge::sync", automerge.control as f64),
        Measure::exact(&case, "inline bytes of changes", "B", met.counters[0].inline_bytes),
        Measure::exact(&case, "pack bytes of changes", "B", met.counters[1].blob_bytes),
        Measure::exact(&case, "bytes of bodies", "B", met.counters[1].body_bytes),
        Measure::exact(&case, "all bytes", "B", met.total()).limit((floor + bodies) as f64),
        Measure::shown(&case, "bytes over floor", "×", per(changes_bytes, floor))
            .at_most(1.1 + 300.0 * authors as f64 / floor as f64),
        Measure::exact(&case, "signatures checked", "", met.signatures())
            .at_most(1.2 * authors as f64 + 100.0),
        Measure::exact(&case, "legs until all is there", "legs", met.arrived),
        Measure::exact(&case, "changes sent again", "", met.resent()).at_most(0.0),
        Measure::ratio(&case, "processor time over automerge::sync", compared.ratio).at_most(0.5),
        Measure::shown(&case, "processor time a change", "µs", each[0])
            .beside("automerge::sync", each[1]),
        Measure::shown(&case, "pairs of runs", "", compared.pairs as f64),
        Measure::shown(&case, "fsyncs of the receiver", "", fsyncs as f64),
        Measure::shown(&case, "bytes committed a change", "B", per(committed, changes)),
        Measure::shown(&case, "bytes written a change", "B", per(written, changes)),
        Measure::shown(&case, "bytes on disk a change", "B", per(disk, changes)),
    ];
    put_beside(&mut measures, others, changes);
    measures.extend(told.iter().flat_map(|told| memory(&case, told)));
    (measures, each)
}

/// What a receiver in a process of its own took of memory.
fn memory(case: &str, told: &Told) -> [Measure; 2] {
    assert!(told.equal, "{case}: the receiver in its own process is not equal");
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    [
        Measure::shown(case, "highest memory of the receiver", "MiB", mib(told.peak_rss))
            .at_most(150.0 * 1e6 / f64::from(1 << 20)),
        Measure::shown(case, "memory of the receiver before", "MiB", mib(told.rss_before)),
    ]
}

/// Puts what other libraries take beside ours.
fn put_beside(measures: &mut [Measure], others: Vec<(&str, f64, f64)>, changes: u64) {
    for (name, bytes, ns) in others {
        for measure in &mut *measures {
            match &*measure.what {
                "bytes without bodies" => measure.peers.insert(name.into(), bytes),
                "processor time a change" => {
                    measure.peers.insert(name.into(), ns / 1e3 / changes as f64)
                }
                _ => continue,
            };
        }
    }
}

/// What other libraries take for the same documents: name, bytes, nanoseconds.
fn others(documents: &floor::Documents) -> Vec<(&'static str, f64, f64)> {
    #[cfg(feature = "peers")]
    {
        let copies = crate::peers::copies(documents);
        copies.into_iter().map(|c| (c.name, c.bytes as f64, c.ns as f64)).collect()
    }
    #[cfg(not(feature = "peers"))]
    {
        let _ = documents;
        Vec::new()
    }
}

/// What one copy came to.
struct Copied {
    met: Met,
    fsyncs: u64,
    committed: u64,
    disk: u64,
    written: u64,
    bodies: u64,
}

fn ours(context: &Context, source: &Replica, accounts: &[AccountId], number: u64) -> (u64, Copied) {
    let folder = context.folder();
    let store = crate::disk_store(folder.path());
    let reader = hub::node(Arc::clone(&store), context.seed + 1_000 + number);
    hub::keep(&reader, accounts);
    let (before, io) = (store.stats(), written());
    let (ns, met) = cpu(|| Meeting::whole([&reader, source], number as u8));
    assert!(met.equal, "{met:?}");
    if number == 1 {
        context.say(&met.by_message());
    }
    let after = store.stats();
    let copied = Copied {
        fsyncs: after.fsyncs - before.fsyncs,
        committed: after.bytes_written - before.bytes_written,
        disk: after.disk_bytes,
        written: written() - io,
        bodies: reader.bodies_held().expect("a store").1,
        met,
    };
    reader.close().expect("a closed replica");
    (ns, copied)
}

/// Automerge's sync of the same documents into empty ones.
fn theirs(documents: &floor::Documents) -> (u64, floor::Synced) {
    let mut told = floor::Synced::default();
    let mut spent = 0;
    for document in documents.values() {
        let mut docs = [Automerge::new(), document.clone()];
        let (ns, synced) = cpu(|| floor::sync(&mut docs, &mut floor::strangers()));
        assert_eq!(docs[0].get_heads(), docs[1].get_heads());
        spent += ns;
        told.add(&synced);
    }
    (spent, told)
}
