//! A report: what was measured, beside what it is measured against.

pub mod compare;
pub mod explain;
pub mod markdown;
pub mod plot;
pub mod run;
pub mod versions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::machine::Machine;
use crate::measure::ratio::Spread;

/// Version of the schema of `report.json`: a reader of another version must not guess.
pub const SCHEMA: u32 = 1;

/// Everything that one run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `quick`, `whole` or `full`: sizes differ, so reports of two modes do not compare.
    pub mode: String,
    /// Where all histories come from.
    pub seed: u64,
    /// The working copy it was built from.
    pub commit: String,
    /// The machine.
    pub machine: Machine,
    /// Versions of what is compared, by crate or program.
    pub versions: BTreeMap<String, String>,
    /// The benchmarks that ran.
    pub rows: Vec<Row>,
    /// Those that did not, and peers that did not, with the reason.
    pub not_run: BTreeMap<String, String>,
}

/// A benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Short name, as in `--only`.
    pub name: String,
    /// What it is about, in a sentence.
    pub title: String,
    /// What is measured how, for the reader who doubts.
    pub method: String,
    /// The figures.
    pub measures: Vec<Measure>,
    /// Lines over some of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plots: Vec<plot::Plot>,
}

/// How a figure may be compared with an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The same on every machine and in every run.
    Exact,
    /// A ratio of processor times in one process, with its spread.
    Ratio,
    /// Depends on the machine: shown, never judged between reports.
    Shown,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Which case of the benchmark.
    pub case: String,
    /// What is counted.
    pub what: String,
    /// In which unit.
    pub unit: String,
    /// How it may be compared.
    pub kind: Kind,
    /// Ours.
    pub ours: f64,
    /// Quartiles of ours, where it was measured several times.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quartiles: Option<[f64; 2]>,
    /// Others at the same, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub peers: BTreeMap<String, f64>,
    /// What nobody can do better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<f64>,
    /// What ours has to stay at or below.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<f64>,
    /// What ours has to reach at least, where more is better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_min: Option<f64>,
}

impl Measure {
    /// A count that is the same everywhere.
    #[must_use]
    pub fn exact(case: &str, what: &str, unit: &str, ours: u64) -> Self {
        Self::new(case, what, unit, Kind::Exact, ours as f64)
    }

    /// A figure of this machine.
    #[must_use]
    pub fn shown(case: &str, what: &str, unit: &str, ours: f64) -> Self {
        Self::new(case, what, unit, Kind::Shown, ours)
    }

    /// A ratio of processor times.
    #[must_use]
    pub fn ratio(case: &str, what: &str, spread: Spread) -> Self {
        let mut measure = Self::new(case, what, "×", Kind::Ratio, spread.median);
        measure.quartiles = Some([spread.low, spread.high]);
        measure
    }

    fn new(case: &str, what: &str, unit: &str, kind: Kind, ours: f64) -> Self {
        Self {
            case: case.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            kind,
            ours,
            quartiles: None,
            peers: BTreeMap::new(),
            limit: None,
            target: None,
            target_min: None,
        }
    }

    /// Sets what ours has to stay at or below.
    #[must_use]
    pub const fn at_most(mut self, target: f64) -> Self {
        self.target = Some(target);
        self
    }

    /// Sets what ours has to reach.
    #[must_use]
    pub const fn at_least(mut self, target: f64) -> Self {
        self.target_min = Some(target);
        self
    }

    /// Sets what nobody can do better.
    #[must_use]
    pub const fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Puts what another does beside it.
    #[must_use]
    pub fn beside(mut self, peer: &str, value: f64) -> Self {
        self.peers.insert(peer.to_owned(), value);
        self
    }

    /// Whether the target is met, if there is one. A ratio misses only if its whole spread is
    /// beyond: the machine may have had a bad moment.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        let [low, high] = self.quartiles.unwrap_or([self.ours; 2]);
        if let Some(target) = self.target {
            return Some(low <= target);
        }
        self.target_min.map(|target| high >= target)
    }

    /// How far beyond its target it is: 1.0 is on it, 2.0 twice as much as allowed.
    #[must_use]
    pub fn beyond(&self) -> Option<f64> {
        match (self.target, self.target_min) {
            (Some(target), _) => Some(self.ours / target),
            (None, Some(target)) => Some(target / self.ours),
            (None, None) => None,
        }
    }
}
