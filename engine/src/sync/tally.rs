//! How often something of a remote was not taken, by reason.

use std::collections::BTreeMap;

use crate::wire::Reason;

/// Counts by reason: as many as there are reasons, whatever a remote does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Reason, u64>);

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, reason: Reason) {
        let count = self.0.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds what was counted elsewhere, which is then empty.
    pub fn absorb(&mut self, other: &mut Self) {
        for (reason, count) in std::mem::take(&mut other.0) {
            let known = self.0.entry(reason).or_default();
            *known = known.saturating_add(count);
        }
    }

    /// Returns how often it was for this reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.0.get(&reason).copied().unwrap_or(0)
    }

    /// Returns the counts that are not zero, refusals first.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }

    /// Returns whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_move() {
        let (mut all, mut some) = (Tally::default(), Tally::default());
        all.add(Reason::Gap);
        some.add(Reason::Gap);
        some.add(Reason::Malformed);
        all.absorb(&mut some);
        assert!(some.is_empty());
        let counts: Vec<_> = all.iter().collect();
        assert_eq!(counts, [(Reason::Malformed, 1), (Reason::Gap, 2)]);
        assert_eq!((all.of(Reason::Gap), all.of(Reason::Link)), (2, 0));
    }
}
