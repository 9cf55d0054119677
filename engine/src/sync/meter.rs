//! How often one side makes the other compare all there is.

/// Milliseconds in which one comparison is earned.
const EARNED_MS: u64 = 250;
/// Comparisons that may be saved up.
const SAVED_MAX: u64 = 12;
/// Comparisons that this side keeps in hand: frames may arrive closer together than they
/// were sent.
const KEPT_BACK: u64 = 4;
/// Comparisons that one round may lead to: a check, a sketch of the list after it, the list
/// itself, and once more.
const ROUND_MAX: u64 = 4;

/// What was spent and not yet earned again.
#[derive(Debug, Default)]
pub struct Meter {
    at_ms: u64,
    spent_ms: u64,
}

impl Meter {
    const fn owed(&self, now_ms: u64) -> u64 {
        self.spent_ms.saturating_sub(now_ms.saturating_sub(self.at_ms))
    }

    /// Spends one comparison; false if that is more than there is.
    pub const fn spend(&mut self, now_ms: u64) -> bool {
        self.spent_ms = self.owed(now_ms).saturating_add(EARNED_MS);
        self.at_ms = now_ms;
        self.spent_ms <= SAVED_MAX * EARNED_MS
    }

    /// Whether the other side, which counts too, would bear another round.
    pub const fn allows_round(&self, now_ms: u64) -> bool {
        self.owed(now_ms) <= (SAVED_MAX - KEPT_BACK - ROUND_MAX) * EARNED_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_to_it_is_never_sent_away() {
        let (mut own, mut theirs) = (Meter::default(), Meter::default());
        let mut rounds = 0;
        for now_ms in 0..60_000 {
            if own.allows_round(now_ms) {
                rounds += 1;
                for _ in 0..ROUND_MAX {
                    own.spend(now_ms);
                    assert!(theirs.spend(now_ms), "{now_ms}");
                }
            }
        }
        assert_eq!(rounds, 60_000 / (EARNED_MS * ROUND_MAX) + 1);
    }

    #[test]
    fn a_burst_is_borne_and_no_more() {
        let mut meter = Meter::default();
        assert!((0..SAVED_MAX).all(|_| meter.spend(5)));
        assert!(!meter.spend(5));
        let mut meter = Meter::default();
        assert!((0..100).all(|n| meter.spend(n * EARNED_MS)));
    }
}
