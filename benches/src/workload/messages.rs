//! Messages of many accounts, each on a wall of its own, at one hub.

use mosaic_engine::hash::{AccountId, DeviceId};
use mosaic_engine::replica::Replica;

use super::author::{Author, Parcel};
use super::{Seeded, hub, prose, share};

/// Accounts whose parcels are taken in one go.
const PARCELS: u64 = 64;

/// Account number `number` with its messages, written.
#[must_use]
pub fn author(seed: u64, number: u64, messages: u64) -> Author {
    let mut author = Author::new(seed, number);
    let mut seeded = Seeded::new(seed ^ (number << 8));
    for n in 0..messages {
        let bytes = prose::message_bytes(&mut seeded);
        author.post(prose::text(n, bytes, &mut seeded));
    }
    author
}

/// Writes messages of many accounts and hands them to a hub. Returns the accounts.
pub fn write(
    hub: &Replica,
    seed: u64,
    messages: u64,
    authors: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Vec<AccountId> {
    let from = DeviceId::from_bytes([1; 32]);
    let (mut accounts, mut kept, mut batch) = (Vec::new(), Vec::new(), Parcel::default());
    for number in 0..authors {
        let mut author = author(seed, number, share(messages, authors, number));
        kept.push(author.account);
        batch.append(author.parcel());
        if number % PARCELS == PARCELS - 1 || number + 1 == authors {
            hub::keep(hub, &kept);
            accounts.append(&mut kept);
            std::mem::take(&mut batch).give(&from, hub);
            progress(number + 1, authors);
        }
    }
    accounts
}
