//! Sentences that follow from a seed.

/// A stream of sentences; one seed gives one stream.
pub(super) struct Words {
    state: u64,
}

impl Words {
    const LIST: [&'static str; 16] = [
        "rain", "window", "letter", "slowly", "harbour", "green", "under", "morning", "tea",
        "walks", "paper", "bright", "the", "old", "bridge", "sings",
    ];

    pub(super) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns 4 to 12 words.
    pub(super) fn sentence(&mut self) -> String {
        let count = 4 + self.next() % 9;
        let mut words = Vec::new();
        for _ in 0..count {
            let index = usize::try_from(self.next() % 16).unwrap_or(0);
            words.extend(Self::LIST.get(index).copied());
        }
        words.join(" ")
    }

    /// One step of SplitMix64 (Steele, Lea and Flood, 2014).
    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let (mut a, mut b, mut c) = (Words::new(1), Words::new(1), Words::new(2));
        let first = a.sentence();
        assert_eq!(first, b.sentence());
        assert_ne!(first, c.sentence());
        assert_ne!(first, a.sentence());
        assert!(first.split(' ').count() >= 4);
    }
}
