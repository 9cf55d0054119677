//! Many small changes from store to store, beside the stock way. Built with `peers`.

use std::sync::Arc;

use super::Context;
use crate::disk_store;
use crate::measure::ratio::Spread;
use crate::peers::{Carried, carry, stock};
use crate::report::{Measure, Row};
use crate::workload::{hub, messages};

/// Bytes of a change and its body together, about, and of a stock blob.
const BYTES: usize = 300;

pub(super) fn run(context: &Context) -> Row {
    let (changes, authors) = context.pick((500, 5), (5_000, 50), (100_000, 100), (100_000, 100));
    let folder = context.folder();
    let source = Arc::new(hub::node(disk_store(folder.path()), context.seed));
    let mut progress = context.progress("accounts");
    let accounts = messages::write(&source, context.seed, changes, authors, &mut progress);
    let (mut ours, mut theirs): (Vec<Carried>, Vec<Carried>) = (Vec::new(), Vec::new());
    let own = || carry(&source, &accounts, context.folder().path(), context.seed + 50);
    let other = || stock(changes, BYTES, context.folder().path(), context.seed);
    let pairs = context.pick(1, 3, 5, 9);
    for number in 0..pairs {
        context.say(&format!("pair {number}"));
        if number % 2 == 0 {
            ours.push(own());
            theirs.push(other());
        } else {
            theirs.push(other());
            ours.push(own());
        }
    }
    // What may fail once in a while shows in many runs.
    let runs = context.runs.unwrap_or(100).max(pairs);
    let mut again = Vec::new();
    for number in pairs..runs {
        context.progress("once more, ours alone")(number, runs);
        again.push(own());
    }
    source.close().expect("a closed replica");
    let case = format!("{changes} changes, {authors} accounts");
    let ratio = |of: fn(&Carried) -> u64| {
        let pairs = theirs.iter().zip(&ours);
        Spread::of(pairs.map(|(them, us)| of(them) as f64 / of(us) as f64).collect())
    };
    let each = |all: &[Carried], of: fn(&Carried) -> u64| {
        let times = all.iter().map(|one| of(one) as f64 / 1e3 / changes as f64).collect();
        Spread::of(times).median
    };
    let lost = |all: &[Carried]| all.iter().map(|one| one.lost).sum::<u64>();
    let failed = lost(&ours) + lost(&again);
    Row {
        name: "S".into(),
        title: "Small changes from store to store, over loopback".into(),
        method: "Ours: everything of the accounts into an empty replica on disk, frames in this \
                 process, packs by our blob handler over QUIC; a change and its body are 270 bytes \
                 in the mean. Stock: as many blobs of 300 bytes by GetMany, 1,000 a request, from \
                 an FsStore into an FsStore, synced at the end."
            .into(),
        measures: vec![
            Measure::ratio(&case, "stock processor time over ours", ratio(|c| c.cpu_ns))
                .at_least(5.0),
            Measure::ratio(&case, "stock time over ours, on the clock", ratio(|c| c.wall_ns)),
            Measure::shown(&case, "processor time a change", "µs", each(&ours, |c| c.cpu_ns))
                .beside("iroh-blobs GetMany", each(&theirs, |c| c.cpu_ns)),
            Measure::exact(&case, "runs of ours", "", runs),
            Measure::exact(&case, "requests that failed, or connections lost", "", failed)
                .beside("iroh-blobs GetMany", lost(&theirs) as f64)
                .at_most(0.0),
        ],
        plots: Vec::new(),
    }
}
