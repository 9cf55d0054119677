//! M1: taking in changes, with everything that belongs to it.

use std::sync::Arc;

use automerge::{Automerge, Change};
use mosaic_engine::hash::DeviceId;
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::{Exchange, Received};
use mosaic_engine::wire::{Changes, Content, Part};

use super::Context;
use crate::floor::changes_of;
use crate::measure::cpu;
use crate::measure::ratio::{Compared, interleaved};
use crate::report::plot::{GROWTH_MAX, Line, Plot, growth};
use crate::report::{Measure, Row};
use crate::workload::author::{Author, Parcel};
use crate::workload::{hub, messages};
use crate::{TIME_MS, disk_store};

/// Messages of one account: a page nearly full.
const PER_AUTHOR: u64 = 1_000;

pub(super) fn run(context: &Context) -> Row {
    let sizes: &[u64] = context.pick(
        &[1_000][..],
        &[2_000, 10_000, 100_000],
        &[10_000, 100_000],
        &[10_000, 100_000, 1_000_000],
    );
    let (mut measures, mut own, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for changes in sizes {
        context.say(&format!("log pages, {changes} changes"));
        let (figures, [ours, theirs]) = pages(context, *changes);
        measures.extend(figures);
        own.push((*changes as f64, ours));
        other.push((*changes as f64, theirs));
    }
    context.say("one at a time");
    measures.extend(live(context));
    context.say("map documents");
    measures.extend(maps(context));
    if let Some((size, times)) = growth(&own) {
        let case = format!("{size} changes");
        let what = "processor time a change over that at 10,000";
        measures.push(Measure::shown(&case, what, "×", times).at_most(GROWTH_MAX));
    }
    Row {
        name: "M1".into(),
        title: "Taking in changes: checked, in rows, durable".into(),
        method:
            "Ours: chains as they come from a peer into an empty replica on disk: certificate, \
                 signature, links, rows, bodies and fsyncs. Beside it Automerge's apply_changes of \
                 the same changes in memory, from their bytes; parsed beforehand where it is said."
                .into(),
        measures,
        plots: vec![Plot {
            name: "m1-time".into(),
            title: "M1: processor time of taking in log pages".into(),
            x: "changes".into(),
            y: "microseconds a change".into(),
            lines: vec![
                Line::measured("mosaic: verified, rows, stored on disk", own),
                Line::measured("automerge: from_bytes, apply_changes", other),
            ],
        }],
    }
}

/// Walls of many accounts, and the same changes page by page as Automerge reads them.
fn written(seed: u64, changes: u64) -> (Vec<Author>, Vec<Parcel>, Vec<Vec<Vec<u8>>>) {
    let (mut authors, mut parcels, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..changes.div_ceil(PER_AUTHOR) {
        let mut author = messages::author(seed, number, PER_AUTHOR.min(changes));
        parcels.push(author.parcel());
        chunks.extend(stored(&author.replica));
        authors.push(author);
    }
    (authors, parcels, chunks)
}

/// Stored changes of all public documents of a replica, by document.
fn stored(replica: &Replica) -> Vec<Vec<Vec<u8>>> {
    use mosaic_engine::description::SectionClass;
    let mut out = Vec::new();
    for section in replica.held_sections().expect("sections") {
        if section.class == SectionClass::Public {
            for tip in replica.tips(&section).expect("tips") {
                out.push(changes_of(replica, &section, &tip));
            }
        }
    }
    out
}

fn pages(context: &Context, changes: u64) -> (Vec<Measure>, [f64; 2]) {
    let (authors, parcels, chunks) = written(context.seed, changes);
    let accounts: Vec<_> = authors.iter().map(|author| author.account).collect();
    drop(authors);
    let mut counted = (0, 0);
    let compared = interleaved(
        context.pairs_of(changes),
        || {
            let (ns, stats) = take(context, &accounts, &parcels);
            counted = stats;
            ns
        },
        || cpu(|| chunks.iter().map(|page| apply(parse(page))).collect::<Vec<_>>()).0,
    );
    let parsed: Vec<Vec<Change>> = chunks.iter().map(|page| parse(page)).collect();
    let (applying, _) = cpu(|| parsed.into_iter().map(apply).collect::<Vec<_>>());
    let case = format!("log pages, {changes} changes");
    let each = |ns: f64| ns / 1e3 / changes as f64;
    let measures = vec![
        Measure::ratio(&case, "processor time over apply_changes", compared.ratio).at_most(1.0),
        Measure::shown(&case, "processor time a change", "µs", each(compared.ours_ns.median))
            .beside("automerge, from bytes", each(compared.theirs_ns.median))
            .beside("automerge, parsed", each(applying as f64)),
        Measure::exact(&case, "bytes committed", "B", counted.0),
        Measure::shown(&case, "fsyncs", "", counted.1 as f64),
    ];
    (measures, [each(compared.ours_ns.median), each(compared.theirs_ns.median)])
}

/// Takes parcels into an empty replica on disk; returns the time, bytes committed and fsyncs.
fn take(
    context: &Context,
    accounts: &[mosaic_engine::hash::AccountId],
    parcels: &[Parcel],
) -> (u64, (u64, u64)) {
    let folder = context.folder();
    let store = disk_store(folder.path());
    let reader = hub::node(Arc::clone(&store), context.seed + 5);
    hub::keep(&reader, accounts);
    let from = DeviceId::from_bytes([3; 32]);
    let before = store.stats();
    let given: Vec<Parcel> = parcels.to_vec();
    let (ns, ()) = cpu(|| given.iter().for_each(|parcel| parcel.give(&from, &reader)));
    let after = store.stats();
    reader.close().expect("a closed replica");
    (ns, (after.bytes_written - before.bytes_written, after.fsyncs - before.fsyncs))
}

fn parse(page: &[Vec<u8>]) -> Vec<Change> {
    page.iter().map(|bytes| Change::from_bytes(bytes.clone()).expect("a change")).collect()
}

fn apply(page: Vec<Change>) -> Automerge {
    let mut document = Automerge::new();
    document.apply_changes(page).expect("good changes");
    document
}

/// One change at a time, each with its own head and fsync, as news come.
fn live(context: &Context) -> Vec<Measure> {
    let posts = context.pick(20, 200, 1_000, 1_000);
    let mut author = Author::new(context.seed, 1);
    let first = author.parcel();
    let parcels: Vec<Parcel> = (0..posts)
        .map(|n| {
            author.post(format!("{n}: the ferry was late again, so we walked along the river"));
            author.parcel()
        })
        .collect();
    let chunks = stored(&author.replica);
    let compared = interleaved(
        context.pairs(),
        || {
            let folder = context.folder();
            let store = disk_store(folder.path());
            let reader = hub::node(store, context.seed + 6);
            hub::keep(&reader, &[author.account]);
            let from = author.device;
            first.give(&from, &reader);
            let (ns, ()) = cpu(|| parcels.iter().for_each(|parcel| parcel.give(&from, &reader)));
            reader.close().expect("a closed replica");
            ns
        },
        || {
            let changes: Vec<Change> = chunks.iter().flat_map(|page| parse(page)).collect();
            let mut document = Automerge::new();
            let one = |change: Change| document.apply_changes([change]).expect("a good change");
            cpu(|| changes.into_iter().for_each(one)).0
        },
    );
    spent("one at a time, each signed and fsynced", compared, posts, None)
}

fn spent(case: &str, compared: Compared, changes: u64, target: Option<f64>) -> Vec<Measure> {
    let each = |ns: f64| ns / 1e3 / changes as f64;
    let mut ratio = Measure::ratio(case, "processor time over apply_changes", compared.ratio);
    ratio.target = target;
    vec![
        ratio,
        Measure::shown(case, "processor time a change", "µs", each(compared.ours_ns.median))
            .beside("automerge", each(compared.theirs_ns.median)),
    ]
}

/// Profiles: documents in which edits merge.
fn maps(context: &Context) -> Vec<Measure> {
    let (accounts, edits) = context.pick((1, 50), (4, 500), (20, 1_000), (20, 1_000));
    let (mut parcels, mut names, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..accounts {
        let mut author = Author::new(context.seed, number);
        for n in 0..edits {
            let edit = (format!("field/{}", n % 16), Some(format!("value {n}").as_str().into()));
            author.replica.edit_profile(vec![edit], TIME_MS + 10 + n).expect("an edit");
        }
        let parcel = author.parcel();
        chunks.extend(parcel.chains.iter().map(raw));
        parcels.push(parcel);
        names.push(author.account);
    }
    let compared = interleaved(
        context.pairs(),
        || take(context, &names, &parcels).0,
        || cpu(|| chunks.iter().map(|page| apply(parse(page))).collect::<Vec<_>>()).0,
    );
    let case = format!("map documents, {edits} edits of each of {accounts} profiles");
    spent(&case, compared, accounts * edits, Some(4.0))
}

fn raw(chain: &Received) -> Vec<Vec<u8>> {
    let bytes = |part: &Part| match &part.content {
        Content::Changes(Changes::Raw(raw)) => raw.iter().map(|b| b.to_vec()).collect(),
        _ => Vec::new(),
    };
    chain.parts.iter().flat_map(bytes).collect()
}
