//! Lies leave no trace in memory. One test alone in its process: memory is measured.

use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::Exchange;
use mosaic_tests::liar::author::Author;
use mosaic_tests::liar::table::{Offer, map_lies, post, wall};
use mosaic_tests::people::{NOW_MS, enrol, entropy, person, resident_bytes};

#[test]
fn bombs_and_forged_heads_leave_no_trace_in_memory() {
    let (laptop, _) = person(1, "laptop");
    let entropy = entropy(99);
    let secret = DeviceSecret::generate(&*entropy);
    let path = enrol(&laptop, &secret, "phone");
    let author = Author::enrolled(secret, path, entropy);
    bombs(&laptop, &author);
    flood(&laptop, &author);
}

fn tell(replica: &Replica, author: &Author, offer: &Offer) {
    let given = vec![offer.received.clone()];
    replica.receive(&author.device(), given, NOW_MS).unwrap();
}

fn bombs(laptop: &Replica, author: &Author) {
    // Once for what the allocator keeps, then in earnest.
    for lie in map_lies(author) {
        tell(laptop, author, &lie);
    }
    let lies = map_lies(author);
    let before = resident_bytes();
    for lie in &lies {
        tell(laptop, author, lie);
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 2_000_000, "{grown} bytes");
}

fn flood(laptop: &Replica, author: &Author) {
    let forged = |count: u64| {
        for _ in 0..count {
            let mut chain = author.chain(&wall(author, 0));
            chain.entry(NOW_MS, post().encode());
            let mut received = chain.offer(author);
            received.head[200] ^= 1;
            laptop.receive(&author.device(), vec![received], NOW_MS).unwrap();
        }
    };
    forged(500);
    let before = resident_bytes();
    forged(5000);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 1_000_000, "{grown} bytes");
}
