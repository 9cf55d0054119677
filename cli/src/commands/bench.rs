//! `bench`: merge and sync on this machine, small enough to run by hand.

mod live;
mod merge;
mod nodes;
mod sync;

use clap::{Args, Subcommand, ValueEnum};
use mosaic_node::api::types::{Bench as Measured, Record};
use mosaic_node::clock;

use crate::context::Context;
use crate::error::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Two devices edited one profile apart: gate and merge what the other wrote
    Merge(Options),
    /// Two nodes on loopback: fetch walls, compare when equal, come back, push one new post
    Sync(sync::Sync),
    /// Many nodes on loopback that keep one wall: a post is shown at all of them
    Live(live::Live),
}

/// What every benchmark takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How much to measure
    #[arg(long, value_name = "SIZE", default_value = "small")]
    size: Size,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,
    /// Where the data comes from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Size {
    /// A second or less
    Small,
    /// Some seconds
    Medium,
    /// As much as a document may hold
    Large,
}

impl Bench {
    pub(crate) async fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Merge(options) => merge::run(options, context.output).await,
            Self::Sync(options) => sync::run(options, context.output).await,
            Self::Live(options) => live::run(options, context.output).await,
        }
    }
}

/// Prints what the runs of one case took.
fn report(
    suite: &str,
    case: &str,
    options: &Options,
    samples: &[Sample],
    output: &mut Output,
) -> Result<(), Failure> {
    let mut took: Vec<u64> = samples.iter().map(|sample| sample.elapsed_us).collect();
    took.sort_unstable();
    let last = samples.last().copied().unwrap_or_default();
    output.record(&Record::Bench(Measured {
        suite: suite.to_owned(),
        case: case.to_owned(),
        runs: options.runs,
        changes: last.changes,
        median_us: percentile(&took, 50),
        p95_us: percentile(&took, 95),
        wire_bytes: last.wire_bytes,
        seed: options.seed,
    }))
}

/// One run.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    elapsed_us: u64,
    changes: u64,
    wire_bytes: Option<u64>,
}

/// Returns how long `work` took in microseconds, and what it gave.
fn timed<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let start = clock::instant();
    let result = work();
    let elapsed = clock::instant().saturating_duration_since(start);
    (u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), result)
}

/// Returns the value that `percent` of the sorted ones do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last * percent).div_ceil(100)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 95)), (51, 96));
        assert_eq!(percentile(&[7], 95), 7);
        assert_eq!(percentile(&[], 50), 0);
    }
}
