//! The benchmarks by name.

mod d1;
mod d2;
mod e1;
mod e2;
mod e3;
mod e9;
mod h1;
mod h2;
mod live;
mod m1;
mod m2;
mod m4;
mod r0;
mod r1;
mod r4;
mod r5;
mod r6;
#[cfg(feature = "peers")]
mod small;
mod storage;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::measure::wall_ns;
use crate::report::Row;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Exact counts alone: seconds.
    Counts,
    /// About two minutes.
    Quick,
    /// About half an hour.
    Whole,
    /// Hours.
    Full,
}

impl Size {
    /// Its name in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Quick => "quick",
            Self::Whole => "whole",
            Self::Full => "full",
        }
    }
}

/// How a run is made.
#[derive(Debug)]
pub struct Context {
    /// How much is measured.
    pub size: Size,
    /// Where all histories come from.
    pub seed: u64,
    /// A folder on a disk.
    pub scratch: PathBuf,
    /// The benchmark that runs.
    pub current: Cell<&'static str>,
    /// When progress was last told.
    pub told_ns: Cell<u64>,
    /// A published editing trace, if one was named.
    pub trace: Option<PathBuf>,
    /// Kills of E9, if another number was named.
    pub kills: Option<u64>,
    /// Runs of S, if another number was named.
    pub runs: Option<u64>,
    /// Parts that did not run, and why.
    pub left_out: RefCell<BTreeMap<String, String>>,
}

impl Context {
    /// Begins a run.
    #[must_use]
    pub const fn new(size: Size, seed: u64, scratch: PathBuf) -> Self {
        Self {
            size,
            seed,
            scratch,
            current: Cell::new(""),
            told_ns: Cell::new(0),
            trace: None,
            kills: None,
            runs: None,
            left_out: RefCell::new(BTreeMap::new()),
        }
    }

    /// Chooses by size.
    pub fn pick<T>(&self, counts: T, quick: T, whole: T, full: T) -> T {
        match self.size {
            Size::Counts => counts,
            Size::Quick => quick,
            Size::Whole => whole,
            Size::Full => full,
        }
    }

    /// Says why a part did not run.
    pub fn not_run(&self, part: &str, reason: &str) {
        self.left_out.borrow_mut().insert(part.to_owned(), reason.to_owned());
    }

    /// Tells on stderr what is done now.
    pub fn say(&self, what: &str) {
        if self.size == Size::Counts {
            return;
        }
        self.told_ns.set(wall_ns());
        eprintln!("{}: {what}", self.current.get());
    }

    /// Tells how far something is, every few seconds.
    pub fn progress<'a>(&'a self, what: &'a str) -> impl FnMut(u64, u64) + use<'a> {
        move |done, all| {
            if wall_ns().saturating_sub(self.told_ns.get()) > 3_000_000_000 {
                self.say(&format!("{what}: {done} of {all}"));
            }
        }
    }

    /// A new folder on the disk, removed with what is in it when it is dropped.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn folder(&self) -> tempfile::TempDir {
        std::fs::create_dir_all(&self.scratch).expect("a folder for scratch");
        tempfile::tempdir_in(&self.scratch).expect("a folder")
    }

    /// Pairs of an interleaved comparison.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pick(1, 3, 9, 9)
    }

    /// Pairs of one of so many changes: what takes long is measured once where time is short.
    #[must_use]
    pub fn pairs_of(&self, changes: u64) -> usize {
        if self.size == Size::Quick && changes >= 100_000 { 1 } else { self.pairs() }
    }
}

/// A benchmark: its name, and what runs it.
pub type Benchmark = (&'static str, fn(&Context) -> Row);

/// All of them, in the order of a report.
pub const ALL: &[Benchmark] = &[
    ("R0", r0::run),
    ("R1", r1::run),
    ("R4", r4::run),
    ("R5", r5::run),
    ("R6", r6::run),
    ("E1", e1::run),
    ("E2", e2::run),
    ("E3", e3::run),
    ("E7", storage::size),
    ("E8", storage::known),
    ("E9", e9::run),
    ("D1", d1::run),
    ("D2", d2::run),
    ("H1", h1::run),
    ("H2", h2::run),
    ("M1", m1::run),
    ("M2", m2::run),
    ("M3", storage::opening),
    ("M4", m4::run),
    #[cfg(feature = "peers")]
    ("S", small::run),
];
