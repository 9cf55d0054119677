//! What it costs to believe a chain: one signature for its head, one hash a change.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signature, VerifyingKey};
use mosaic_benches::{Page, two_devices};
use mosaic_engine::chain::SignedHead;
use mosaic_engine::hash::derive;
use mosaic_engine::identity::{Domain, Verifier};

fn head(c: &mut Criterion) {
    let [laptop, phone] = two_devices();
    let page = Page::write(&laptop, 1);
    let bytes = page.head.signed().encode();
    let mut group = c.benchmark_group("verify/head");

    group.bench_function("mosaic", |b| {
        let verifier = Verifier::new();
        b.iter(|| {
            let head = SignedHead::from_bytes(&bytes).expect("a head");
            head.verify(&page.description, &laptop.device, &verifier).expect("a good head")
        });
    });
    group.bench_function("floor: ed25519 verify_strict", |b| {
        let key = VerifyingKey::from_bytes(laptop.device.device().as_bytes()).expect("a key");
        let (signed, signature) = bytes.split_at(bytes.len() - Signature::BYTE_SIZE);
        let signature = Signature::from_slice(signature).expect("a signature");
        let message = [Domain::Head.prefix(), signed].concat();
        b.iter(|| key.verify_strict(&message, &signature).expect("a good signature"));
    });
    group.bench_function("mosaic, with the path of a linked device", |b| {
        let page = Page::write(&phone, 1);
        let verifier = Verifier::new();
        b.iter(|| {
            let device = phone.path.verify(&verifier).expect("a good path");
            page.head.signed().verify(&page.description, &device, &verifier).expect("a good head")
        });
    });
    group.finish();
}

fn links(c: &mut Criterion) {
    let [laptop, _] = two_devices();
    let page = Page::write(&laptop, 1024);
    let ids = page.ids();
    let origin = page.chain.origin(&page.description.space.id());
    let mut group = c.benchmark_group("verify/links of 1,024 changes");
    group.throughput(Throughput::Elements(1024));
    group.bench_function("mosaic", |b| {
        b.iter(|| page.head.prove(0, origin, &ids).expect("a good chain"));
    });
    group.bench_function("floor: BLAKE3 of 72 bytes each", |b| {
        b.iter_batched(
            || [7u8; 72],
            |mut input| {
                for _ in 0..1024 {
                    let link = derive("mosaic link 1", &[&input]);
                    input[..32].copy_from_slice(&link);
                }
                input
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, head, links);
criterion_main!(benches);
