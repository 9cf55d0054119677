//! The engine as a library: an account on disk, a post, and a wall read back.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "clock and talk are its own")]
use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mosaic_engine::entropy::Entropy;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Draft, Replica, ReplicaOptions, Text};
use mosaic_engine::store::disk::{DiskOptions, DiskStore};

/// Randomness is the caller's, as are the clock and the network.
#[derive(Debug)]
struct System;
impl Entropy for System {
    fn fill(&self, out: &mut [u8]) {
        while getrandom::fill(out).is_err() {}
    }
}

/// Runs it.
pub fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let options = DiskOptions::new(folder.path().join("home"), folder.path().join("state"));
    let store = Arc::new(DiskStore::open(&options)?.store);
    let none = ReplicaOptions { secret: None, fresh_incarnation: false };
    let replica = Replica::open(store, Arc::new(System), none)?;
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let account =
        replica.create_account(DeviceSecret::generate(&System), "desk", [0; 32], now_ms)?;
    let draft = Draft { text: "Hello".to_owned(), attachments: Vec::new() };
    let id = replica.post(draft, None, now_ms)?;
    for post in replica.wall(&account, None, 10)? {
        assert_eq!((post.id, &post.text), (id, &Text::Here("Hello".to_owned())));
        println!("{account} wrote {:?} as {id}", post.text);
    }
    Ok(())
}
