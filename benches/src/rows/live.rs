//! What a post waits for on its way, and what many writers at once share.

use std::sync::{Arc, Barrier};
use std::thread::scope;

use mosaic_engine::identity::Verifier;
use mosaic_engine::store::Store;
use mosaic_engine::store::memory::MemoryStore;

use super::Context;
use crate::child::fan::post;
use crate::measure::cpu;
use crate::measure::ratio::Spread;
use crate::measure::wall_ns;
use crate::meeting::Meeting;
use crate::report::Measure;
use crate::workload::author::{Author, Parcel};
use crate::workload::{hub, prose};
use crate::{Page, disk_store, two_devices};

/// Writers at once.
const WRITERS: [u64; 3] = [1, 8, 64];

/// Where the time of one post goes, on the clock: medians and quartiles.
pub(super) fn parts(context: &Context) -> Vec<Measure> {
    let posts = context.pick(1, 100, 400, 400);
    let folders = [context.folder(), context.folder()];
    let disk = way([0, 1].map(|side: usize| disk_store(folders[side].path())), context, posts);
    let memory: [Arc<dyn Store>; 2] = [Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new())];
    let memory = way(memory, context, posts);
    let more = |of: fn(&Way) -> u64| -> Spread {
        // What the disk adds: what is left of one over the median of the other.
        let without = Spread::of(memory.iter().map(|way| of(way) as f64 / 1e3).collect()).median;
        Spread::of(disk.iter().map(|way| of(way) as f64 / 1e3 - without).collect())
    };
    let of = |ways: &[Way], of: fn(&Way) -> u64| {
        Spread::of(ways.iter().map(|way| of(way) as f64 / 1e3).collect())
    };
    let [sign, verify] = signatures(posts);
    let parts = [
        ("1 written: change, link, rows, in memory", of(&memory, |way| way.post)),
        ("1a of that the signature", sign),
        ("2 committed: database and fsync", more(|way| way.post)),
        ("3 framed, and the answer read", of(&disk, |way| way.sender)),
        ("4 checked at the peer, in rows, in memory", of(&memory, |way| way.receiver)),
        ("4a of that the signature", verify),
        ("5 committed at the peer: database and fsync", more(|way| way.receiver)),
        ("all of it, without a line", of(&disk, |way| way.post + way.sender + way.receiver)),
    ];
    let case = "one post, part by part, on the clock";
    let shown = parts.into_iter().map(|(what, spread)| {
        let mut part = Measure::shown(case, what, "µs", spread.median);
        part.quartiles = Some([spread.low, spread.high]);
        part
    });
    shown.collect()
}

/// Nanoseconds of one post.
struct Way {
    post: u64,
    sender: u64,
    receiver: u64,
}

fn way(stores: [Arc<dyn Store>; 2], context: &Context, posts: u64) -> Vec<Way> {
    let [from, to] = stores;
    let (writer, reader) = (hub::node(from, context.seed), hub::node(to, context.seed + 1));
    hub::keep(&reader, &[writer.account().expect("an account")]);
    (0..100).for_each(|n| _ = post(&writer, n));
    let mut meeting = Meeting::new([&writer, &reader], 4);
    assert!(meeting.rest().equal);
    let ways = (0..posts)
        .map(|n| {
            let begun = wall_ns();
            let news = post(&writer, 100 + n);
            let post = wall_ns() - begun;
            let before = meeting.handled_ns();
            meeting.news(0, vec![news]);
            meeting.settle();
            let after = meeting.handled_ns();
            meeting.rest();
            Way { post, sender: after[0] - before[0], receiver: after[1] - before[1] }
        })
        .collect();
    drop(meeting);
    for replica in [writer, reader] {
        replica.close().expect("a closed replica");
    }
    ways
}

/// What signing a head and checking it takes.
fn signatures(times: u64) -> [Spread; 2] {
    let [laptop, _] = two_devices();
    let page = Page::write(&laptop, 1);
    let timed = |work: &dyn Fn()| {
        let one = |_| {
            let begun = wall_ns();
            work();
            (wall_ns() - begun) as f64 / 1e3
        };
        Spread::of((0..times.max(20)).map(one).collect())
    };
    let (n, link) = (page.head.n(), page.head.link());
    let sign = timed(&|| {
        let (device, secret) = (&laptop.device, &laptop.secret);
        let life = laptop.incarnation;
        let head = mosaic_engine::chain::VerifiedHead::sign(
            &page.description,
            device,
            secret,
            life,
            n,
            link,
        );
        std::hint::black_box(head.expect("a head"));
    });
    let verifier = Verifier::new();
    let verify = timed(&|| {
        let head = page.head.signed().verify(&page.description, &laptop.device, &verifier);
        std::hint::black_box(head.expect("a head"));
    });
    [sign, verify]
}

/// Many writers at once, at one store.
pub(super) fn together(context: &Context) -> Vec<Measure> {
    let posts = context.pick(64, 640, 6_400, 6_400);
    WRITERS
        .iter()
        .flat_map(|writers| [own(context, *writers, posts), pushed(context, *writers, posts)])
        .flatten()
        .collect()
}

/// Threads of one node, each of which posts as soon as its last post is durable.
fn own(context: &Context, writers: u64, posts: u64) -> Vec<Measure> {
    let folder = context.folder();
    let store = disk_store(folder.path());
    let node = hub::node(Arc::clone(&store), context.seed);
    let before = store.stats().fsyncs;
    let (ns, ()) = cpu(|| {
        scope(|threads| {
            for writer in 0..writers {
                let node = &node;
                threads.spawn(move || {
                    (0..posts / writers).for_each(|n| _ = post(node, writer * posts + n));
                });
            }
        });
    });
    let fsyncs = store.stats().fsyncs - before;
    node.close().expect("a closed replica");
    figures(&format!("{writers} clients post at one node at once"), writers, [fsyncs, ns], posts)
}

/// Peers that push at the same time, each with an account of its own.
fn pushed(context: &Context, writers: u64, posts: u64) -> Vec<Measure> {
    let each = posts / writers;
    let mut authors: Vec<Author> = (0..writers).map(|n| Author::new(context.seed, n)).collect();
    let firsts: Vec<Parcel> = authors.iter_mut().map(Author::parcel).collect();
    let parcels: Vec<Vec<Parcel>> = (0..)
        .zip(&mut authors)
        .map(|(number, author)| {
            let mut seeded = crate::workload::Seeded::new(context.seed ^ number);
            let one = |n| {
                author.post(prose::text(n, 120, &mut seeded));
                author.parcel()
            };
            (0..each).map(one).collect()
        })
        .collect();
    let folder = context.folder();
    let store = disk_store(folder.path());
    let node = hub::node(Arc::clone(&store), context.seed + 3);
    let accounts: Vec<_> = authors.iter().map(|author| author.account).collect();
    hub::keep(&node, &accounts);
    for (author, parcel) in authors.iter().zip(&firsts) {
        parcel.give(&author.device, &node);
    }
    let (before, all) = (store.stats().fsyncs, Barrier::new(parcels.len()));
    let (ns, ()) = cpu(|| {
        scope(|threads| {
            for (author, parcels) in authors.iter().zip(&parcels) {
                let (node, device, all) = (&node, author.device, &all);
                threads.spawn(move || {
                    all.wait();
                    parcels.iter().for_each(|parcel| parcel.give(&device, node));
                });
            }
        });
    });
    let fsyncs = store.stats().fsyncs - before;
    node.close().expect("a closed replica");
    figures(&format!("{writers} peers push at once"), writers, [fsyncs, ns], posts)
}

fn figures(case: &str, writers: u64, [fsyncs, ns]: [u64; 2], posts: u64) -> Vec<Measure> {
    // Alone, each waits for the disk; of many at once, at least two should share.
    let allowed = if writers == 1 { 1.0 } else { 0.5 };
    let each = |of: u64| of as f64 / posts as f64;
    vec![
        Measure::shown(case, "fsyncs a post", "", each(fsyncs)).at_most(allowed),
        Measure::shown(case, "processor time a post", "µs", each(ns) / 1e3),
    ]
}
