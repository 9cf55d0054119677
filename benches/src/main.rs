//! The report of the benchmarks: run them, compare two reports.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mosaic_benches::report::compare;
use mosaic_benches::report::run::{Plan, run};
use mosaic_benches::rows::Size;
use mosaic_benches::{child, counts};

/// Measures Mosaic beside its limits and its peers.
#[derive(Debug, Parser)]
#[command(name = "mosaic-benches", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs benchmarks and writes report.json, report.md and plots
    Report(ReportOptions),
    /// Prints what changed from one report to another: counts that differ at all, ratios whose
    /// spreads do not touch
    Compare {
        /// The earlier report.json
        #[arg(value_name = "A.json")]
        before: PathBuf,
        /// The later one
        #[arg(value_name = "B.json")]
        after: PathBuf,
    },
    /// Holds exact counts of small runs against counts.txt; fails if one changed
    Counts {
        /// Take the new counts for right
        #[arg(long)]
        bless: bool,
        /// Where stores are put while they are measured
        #[arg(long, value_name = "DIR", default_value = SCRATCH)]
        scratch: PathBuf,
    },
    /// One end of a measured session, started by the report
    #[command(hide = true)]
    Child {
        /// What to do
        task: PathBuf,
        /// Where to say what it came to
        told: PathBuf,
    },
}

const SCRATCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/benches-scratch");
const OUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks");

#[derive(Debug, Args)]
struct ReportOptions {
    /// Only these benchmarks, by name, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Small sizes: some minutes
    #[arg(long)]
    quick: bool,
    /// Also the largest sizes: more than an hour
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Where the report is written
    #[arg(long, value_name = "DIR", default_value = OUT)]
    out: PathBuf,
    /// Where stores are put while they are measured; on a disk, not in memory
    #[arg(long, value_name = "DIR", default_value = SCRATCH)]
    scratch: PathBuf,
    /// Where the histories come from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// The editing trace automerge-paper.json.gz; otherwise that of cargo's copy of the crate
    /// loro-internal, if there is one
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How often E9 kills
    #[arg(long, value_name = "N")]
    kills: Option<u64>,
    /// How often S copies everything
    #[arg(long, value_name = "N")]
    runs: Option<u64>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Report(options) => run(&Plan {
            only: options.only,
            size: match (options.quick, options.full) {
                (true, _) => Size::Quick,
                (_, true) => Size::Full,
                _ => Size::Whole,
            },
            out: options.out,
            scratch: options.scratch,
            seed: options.seed,
            trace: options.trace,
            kills: options.kills,
            runs: options.runs,
        }),
        Command::Compare { before, after } => compared(&before, &after),
        Command::Counts { bless, scratch } => counts::run(bless, scratch, 1),
        Command::Child { task, told } => child::be(&task, &told),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn compared(before: &Path, after: &Path) -> Result<(), String> {
    let lines = compare::differences(&compare::read(before)?, &compare::read(after)?)?;
    for line in &lines {
        println!("{line}");
    }
    println!("{} differences", lines.len());
    Ok(())
}
