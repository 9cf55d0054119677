//! Two devices edited one profile apart; one of them takes in what the other wrote.

use automerge::{Automerge, Change};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mosaic_benches::{profile_edits, two_devices};
use mosaic_engine::change::Actor;
use mosaic_engine::document::{MapDocument, StoredChange};

const EDITS: u64 = 100;

fn merge(c: &mut Criterion) {
    let devices = two_devices();
    let [(chain, own), (other_chain, theirs)] = devices.map(|device| profile_edits(&device, EDITS));
    let actor = Actor::of(&chain);
    let load = || {
        let stored = (1..).zip(&own).map(|(n, bytes)| StoredChange { actor, n, bytes });
        MapDocument::load(chain.doc, stored).expect("an own profile")
    };
    let mut group = c.benchmark_group("merge/profile, 100 edits each");
    group.throughput(Throughput::Elements(EDITS));

    group.bench_function("mosaic: gate and apply one by one", |b| {
        let other = Actor::of(&other_chain);
        b.iter_batched(
            load,
            |mut document| {
                for bytes in &theirs {
                    let position = document.next_position(other);
                    let change = document.gate(bytes, position).expect("a good change");
                    document.apply_vetted(change).expect("a vetted change");
                }
                document
            },
            BatchSize::LargeInput,
        );
    });
    let parse = |stored: &[bytes::Bytes]| -> Vec<Change> {
        stored.iter().map(|b| Change::from_bytes(b.to_vec()).expect("a change")).collect()
    };
    let automerge = |stored: &[bytes::Bytes]| {
        let mut document = Automerge::new();
        document.apply_changes(parse(stored)).expect("good changes");
        document
    };
    group.bench_function("floor: Automerge parses and applies them at once", |b| {
        b.iter_batched(
            || automerge(&own),
            |mut document| {
                document.apply_changes(parse(&theirs)).expect("good changes");
                document
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("floor: Automerge merge", |b| {
        b.iter_batched(
            || (automerge(&own), automerge(&theirs)),
            |(mut document, mut other)| {
                document.merge(&mut other).expect("a merge");
                document
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, merge);
criterion_main!(benches);
