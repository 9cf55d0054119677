//! From the bytes of a closed page's pack to proven changes.

use automerge::{Automerge, Change};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mosaic_benches::{Page, two_devices};
use mosaic_engine::change::Actor;
use mosaic_engine::change::log::{build, tag};
use mosaic_engine::hash::BlobHash;
use mosaic_engine::identity::Verifier;
use mosaic_engine::wire::{Changes, Content, Pack};

const POSTS: u64 = 1024;

fn ingest(c: &mut Criterion) {
    let [laptop, _] = two_devices();
    let page = Page::write(&laptop, POSTS);
    let pack = page.pack();
    let stored: Vec<Vec<u8>> = page.changes.iter().map(|change| change.bytes.clone()).collect();
    let mut group = c.benchmark_group("ingest/pack of 1,024 posts");
    group.throughput(Throughput::Elements(POSTS));

    group.bench_function("mosaic: decode, build, link, verify", |b| {
        let origin = page.chain.origin(&page.description.space.id());
        let verifier = Verifier::new();
        b.iter(|| {
            let Ok(Pack::Changes(ranges)) = Pack::decode(&pack) else { panic!("a pack") };
            let Content::Changes(Changes::Log(items)) = &ranges[0].parts[0].content else {
                panic!("a range of log changes")
            };
            let actor = Actor::of(&ranges[0].chain);
            let mut previous = None;
            let mut ids = Vec::with_capacity(items.len());
            for (n, item) in (1..).zip(items) {
                let change = build(actor, n, previous, tag(&origin), item.time_ms, &item.value)
                    .expect("a log change");
                previous = Some(change.hash);
                ids.push(change.id);
            }
            let head = page.head.signed();
            let head = head.verify(&page.description, &laptop.device, &verifier).expect("a head");
            head.prove(0, origin, &ids).expect("a good chain")
        });
    });
    group.bench_function("floor: BLAKE3 of the pack", |b| b.iter(|| BlobHash::of(&pack)));
    group.bench_function("floor: BLAKE3 of the changes", |b| {
        b.iter(|| stored.iter().fold(0, |sum, bytes| sum ^ BlobHash::of(bytes).as_bytes()[0]));
    });
    group.bench_function("beside: Automerge parses and applies the changes", |b| {
        b.iter_batched(
            || stored.clone(),
            |stored| {
                let changes = stored.into_iter().map(|b| Change::from_bytes(b).expect("a change"));
                let mut document = Automerge::new();
                document.apply_changes(changes).expect("good changes");
                document
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
