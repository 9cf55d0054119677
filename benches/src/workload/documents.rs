//! Many documents of the distribution that a provider of such documents published: half have
//! two changes or fewer, one in a thousand has more than 1,310, the largest has 27,444.

use super::author::Author;
use super::wall::Apart;
use super::{Seeded, author::Parcel, hub::Base, prose};

/// Changes of the largest document.
const LARGEST: u64 = 27_444;
/// `ln(1310 / 2) / 3.09`: a log-normal with median 2 whose 99.9th percentile is 1,310.
const DEVIATION: f64 = 2.098;
/// `ln(44000 / 187) / 2.326`: the same of bodies, median 187 bytes, 99th percentile 44 KB.
const BODY_DEVIATION: f64 = 2.347;
const BODY_MEDIAN: f64 = 187.0;
/// Parcels taken in one go.
const PARCELS: u64 = 64;

/// Returns the number of changes of document `number` of `documents`.
#[must_use]
pub fn changes_of(number: u64, documents: u64, seeded: &mut Seeded) -> u64 {
    if number + 1 == documents && documents >= 10_000 {
        return LARGEST;
    }
    let size = (2.0 * (DEVIATION * seeded.normal()).exp()).round() as u64;
    size.clamp(1, LARGEST)
}

/// Returns the bytes of a body, at most `limit`.
#[must_use]
pub fn body_bytes(limit: usize, seeded: &mut Seeded) -> usize {
    let size = (BODY_MEDIAN * (BODY_DEVIATION * seeded.normal()).exp()) as usize;
    size.clamp(1, limit)
}

/// Walls of `documents` accounts, and then one new post on `news` of them in each step, half
/// at one hub, half at the other. Bodies are cut at `body_limit` bytes.
pub fn walls(
    seed: u64,
    documents: u64,
    body_limit: usize,
    news: &[u64],
    progress: &mut dyn FnMut(u64, u64),
) -> Apart {
    let base = Base::new(seed);
    let mut sizes = Seeded::new(seed);
    let mut steps: Vec<[Parcel; 2]> = news.iter().map(|_| Default::default()).collect();
    let (mut common, mut batch, mut kept) = (0, Parcel::default(), Vec::new());
    for number in 0..documents {
        let mut seeded = Seeded::new(seed ^ (number << 8));
        let mut author = Author::new(seed, number);
        for n in 0..changes_of(number, documents, &mut sizes) {
            let bytes = body_bytes(body_limit, &mut seeded);
            author.post(prose::text(n, bytes, &mut seeded));
        }
        let parcel = author.parcel();
        common += parcel.changes;
        kept.push(author.account);
        batch.append(parcel);
        if number % PARCELS == PARCELS - 1 || number + 1 == documents {
            base.keep(&std::mem::take(&mut kept));
            base.take(&std::mem::take(&mut batch));
            progress(number + 1, documents);
        }
        for (step, new) in steps.iter_mut().zip(news) {
            if number < *new {
                author.post(prose::text(number, 64, &mut seeded));
                step[(number % 2) as usize].append(author.parcel());
            }
        }
    }
    Apart { base, steps, common }
}
