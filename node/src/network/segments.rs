//! Who brings which part of a file: parts are handed out, come back when a peer fails, and are
//! shared out again when one is slow.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Parts end between two groups.
const GROUP_BYTES: u64 = mosaic_engine::store::GROUP_BYTES as u64;
/// Bytes that a peer is asked for first.
pub(super) const PART_BYTES_MIN: u64 = 1024 * 1024;
/// Bytes that a fast peer is asked for at once.
pub(super) const PART_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A part that takes longer than this is shared with whoever has nothing to do.
const SHARED_AFTER: Duration = Duration::from_secs(2);
/// One that takes longer than this is taken over, if it is too small to be shared.
const TAKEN_AFTER: Duration = Duration::from_secs(5);
/// A peer from which nothing came may be reading the whole file first.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// Parts smaller than this are not shared.
const SHARED_BYTES_MIN: u64 = 512 * 1024;

/// The parts of one file.
#[derive(Debug, Default)]
pub(super) struct Segments {
    waiting: VecDeque<Range<u64>>,
    held: HashMap<u64, Held>,
    workers: u64,
}

/// A part that somebody brings.
#[derive(Debug)]
struct Held {
    /// What of it has not come.
    range: Range<u64>,
    came: u64,
    since: Instant,
    over: CancellationToken,
}

/// A part to bring.
#[derive(Debug)]
pub(super) struct Part {
    /// Who brings it.
    pub(super) worker: u64,
    /// Where it is.
    pub(super) range: Range<u64>,
    /// Resolved when somebody else brings the rest.
    pub(super) over: CancellationToken,
}

impl Segments {
    /// Everything that is missing, and nobody who brings it.
    pub(super) fn new(missing: Vec<Range<u64>>) -> Self {
        Self { waiting: missing.into(), ..Self::default() }
    }

    /// Whether all of it has come.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.held.is_empty()
    }

    /// Hands out at most `bytes_max` bytes of what nobody brings.
    pub(super) fn take(&mut self, bytes_max: u64, now: Instant) -> Option<Part> {
        let next = self.waiting.front_mut()?;
        let length = bytes_max.max(GROUP_BYTES) / GROUP_BYTES * GROUP_BYTES;
        let range = next.start..next.end.min(next.start.saturating_add(length));
        next.start = range.end;
        if next.is_empty() {
            self.waiting.pop_front();
        }
        self.workers += 1;
        let (worker, over) = (self.workers, CancellationToken::new());
        let held = Held { range: range.clone(), came: 0, since: now, over: over.clone() };
        self.held.insert(worker, held);
        Some(Part { worker, range, over })
    }

    /// Notes that `worker` brought what ends at `end`; returns whether it is to go on.
    pub(super) fn came(&mut self, worker: u64, end: u64) -> bool {
        let Some(held) = self.held.get_mut(&worker) else { return false };
        held.came = held.came.saturating_add(end.saturating_sub(held.range.start));
        held.range.start = held.range.start.max(end);
        if held.range.is_empty() {
            self.held.remove(&worker);
            return false;
        }
        true
    }

    /// Takes back what `worker` did not bring.
    pub(super) fn give_back(&mut self, worker: u64) {
        if let Some(held) = self.held.remove(&worker) {
            self.waiting.push_front(held.range);
        }
    }

    /// Shares out the part that would come last: half of it, or all if that is little. Returns
    /// whether there is something to take now.
    pub(super) fn share(&mut self, now: Instant) -> bool {
        let slowest = self.held.iter().map(|(worker, held)| (held.expected(now), *worker)).max();
        let Some((expected, worker)) = slowest else { return false };
        let Some(held) = self.held.get_mut(&worker) else { return false };
        let left = held.range.end - held.range.start;
        let limit = match held.came {
            0 => SILENT_AFTER,
            _ if left < SHARED_BYTES_MIN => TAKEN_AFTER,
            _ => SHARED_AFTER,
        };
        if expected < limit {
            return false;
        }
        let keeps = match held.came {
            0 => 0,
            _ if left < SHARED_BYTES_MIN => 0,
            _ => (left / 2).div_ceil(GROUP_BYTES) * GROUP_BYTES,
        };
        let middle = held.range.start + keeps;
        self.waiting.push_front(middle..held.range.end);
        held.range.end = middle;
        if held.range.is_empty()
            && let Some(held) = self.held.remove(&worker)
        {
            held.over.cancel();
        }
        true
    }
}

impl Held {
    /// How long the rest of it takes, at the pace so far; for as long as nothing came, as long as
    /// that has been.
    fn expected(&self, now: Instant) -> Duration {
        let spent = now.saturating_duration_since(self.since);
        let left = self.range.end - self.range.start;
        match self.came {
            0 => spent,
            came => {
                let ms = spent.as_millis().saturating_mul(u128::from(left)) / u128::from(came);
                Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1024 * 1024;

    fn start() -> Instant {
        crate::clock::instant()
    }

    #[test]
    fn every_byte_is_handed_out_once_and_what_fails_comes_back() {
        let mut segments = Segments::new(vec![0..5 * MB, 7 * MB..7 * MB + 5]);
        let now = start();
        let first = segments.take(2 * MB, now).unwrap();
        let second = segments.take(MB + 1, now).unwrap();
        assert_eq!((first.range, second.range.clone()), (0..2 * MB, 2 * MB..3 * MB));
        assert!(segments.came(first.worker, GROUP_BYTES));
        segments.give_back(first.worker);
        assert!(!segments.came(first.worker, MB), "it brings nothing any more");
        let mut left = Vec::new();
        while let Some(part) = segments.take(PART_BYTES_MAX, now) {
            assert!(!segments.came(part.worker, part.range.end));
            left.push(part.range);
        }
        assert_eq!(left, [GROUP_BYTES..2 * MB, 3 * MB..5 * MB, 7 * MB..7 * MB + 5]);
        assert!(!segments.is_empty());
        assert!(!segments.came(second.worker, 3 * MB) && segments.is_empty());
    }

    #[test]
    fn a_slow_one_shares_and_a_silent_one_gives_all() {
        let (large, small) = (0..4 * MB, 0..GROUP_BYTES + 5);
        let mut segments = Segments::new(vec![large]);
        let now = start();
        let slow = segments.take(4 * MB, now).unwrap();
        assert!(!segments.share(now + Duration::from_secs(1)), "it has only begun");
        assert!(segments.came(slow.worker, MB));
        assert!(!segments.share(now + Duration::from_millis(300)), "it is fast enough");
        let late = now + Duration::from_secs(30);
        assert!(segments.share(late));
        let half = segments.take(PART_BYTES_MAX, late).unwrap();
        assert_eq!(half.range, MB + 3 * MB / 2..4 * MB);
        assert!(!slow.over.is_cancelled());
        assert!(!segments.came(half.worker, half.range.end));
        assert!(!segments.came(slow.worker, MB + 3 * MB / 2) && segments.is_empty());
        let mut segments = Segments::new(vec![small]);
        let silent = segments.take(MB, now).unwrap();
        assert!(!segments.share(now + Duration::from_secs(9)), "it may be reading");
        assert!(segments.share(now + Duration::from_secs(11)) && silent.over.is_cancelled());
        assert_eq!(segments.take(MB, now).unwrap().range, silent.range);
    }
}
