//! Where randomness comes from: the engine is handed it, it never asks the system.

use std::fmt;

/// A source of unpredictable bytes.
///
/// The implementation over the operating system lives outside the engine; it does not
/// return before every byte is filled.
pub trait Entropy: fmt::Debug + Send + Sync {
    /// Fills `out` with unpredictable bytes.
    fn fill(&self, out: &mut [u8]);
}

/// Returns `N` unpredictable bytes.
#[must_use]
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut out = [0; N];
    entropy.fill(&mut out);
    out
}

/// Repeatable bytes from a seed, for tests and simulations. Never for keys of people.
#[cfg(any(test, feature = "test-utils"))]
pub struct SeededEntropy {
    stream: std::sync::Mutex<blake3::OutputReader>,
}

#[cfg(any(test, feature = "test-utils"))]
impl SeededEntropy {
    /// Starts the stream that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("mosaic test entropy 1");
        hasher.update(&seed.to_be_bytes());
        Self { stream: std::sync::Mutex::new(hasher.finalize_xof()) }
    }
}

#[cfg(any(test, feature = "test-utils"))]
impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        let mut stream = self.stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        stream.fill(out);
    }
}

#[cfg(any(test, feature = "test-utils"))]
impl fmt::Debug for SeededEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededEntropy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let (a, b, c) = (SeededEntropy::new(1), SeededEntropy::new(1), SeededEntropy::new(2));
        let first: [u8; 40] = random(&a);
        assert_eq!(first, random::<40>(&b));
        assert_ne!(first, random::<40>(&a));
        assert_ne!(first, random::<40>(&c));
    }
}
