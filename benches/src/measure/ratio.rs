//! Ratios of two works that are run in turn, A B B A, so that a machine that slows down or
//! speeds up meanwhile does it to both.

/// Median and quartiles of several ratios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// A quarter of the values is below.
    pub low: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters.
    pub high: f64,
}

impl Spread {
    /// Returns median and quartiles.
    ///
    /// # Panics
    /// If there are no values, or one is no number.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "no values");
        values.sort_by(|a, b| a.partial_cmp(b).expect("a number"));
        Self { low: at(&values, 0.25), median: at(&values, 0.5), high: at(&values, 0.75) }
    }
}

fn at(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len() - 1;
    let place = part * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// What two works took.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Ours divided by theirs.
    pub ratio: Spread,
    /// Nanoseconds of ours.
    pub ours_ns: Spread,
    /// Nanoseconds of theirs.
    pub theirs_ns: Spread,
    /// How often each ran.
    pub pairs: usize,
}

/// Processor time of all runs of a comparison after which no more are begun.
const ENOUGH_NS: f64 = 60e9;

/// Runs two works `pairs` times each, in turn, fewer if that takes very long; each returns the
/// nanoseconds that count.
pub fn interleaved(
    pairs: usize,
    mut ours: impl FnMut() -> u64,
    mut theirs: impl FnMut() -> u64,
) -> Compared {
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for pair in 0..pairs.max(1) {
        if pair % 2 == 0 {
            own.push(ours() as f64);
            other.push(theirs() as f64);
        } else {
            other.push(theirs() as f64);
            own.push(ours() as f64);
        }
        if own.iter().chain(&other).sum::<f64>() > ENOUGH_NS {
            break;
        }
    }
    let pairs = own.len();
    let ratios = own.iter().zip(&other).map(|(a, b)| a / b.max(1.0)).collect();
    let (ours_ns, theirs_ns) = (Spread::of(own), Spread::of(other));
    Compared { ratio: Spread::of(ratios), ours_ns, theirs_ns, pairs }
}
