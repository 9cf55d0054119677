//! Seeded histories, written by real accounts through the public API of `Replica`.
//!
//! The same seed gives the same accounts, texts and times for ever; what differs between two
//! reports is then the code.

pub mod author;
pub mod community;
pub mod documents;
pub mod hub;
pub mod messages;
pub mod prose;
pub mod talk;
pub mod trace;
pub mod wall;

/// Numbers from a seed: SplitMix64, as published by Steele, Lea and Flood (2014).
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`, 0 if that is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        let next = self.next();
        if bound == 0 { 0 } else { next % bound }
    }

    /// Returns a number of `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a number of the normal distribution with mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let (a, b) = (1.0 - self.unit(), self.unit());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

/// Divides `total` as evenly as it goes among `parts`; returns the share of number `part`.
#[must_use]
pub const fn share(total: u64, parts: u64, part: u64) -> u64 {
    total / parts + if part < total % parts { 1 } else { 0 }
}
