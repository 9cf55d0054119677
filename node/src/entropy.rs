//! Randomness of the operating system, for the engine.

use mosaic_engine::entropy::Entropy;

use crate::error::NodeError;

/// The operating system's source. It was seen to work when one is made.
#[derive(Clone, Copy, Debug)]
pub struct OsEntropy(());

impl OsEntropy {
    /// Opens the source.
    ///
    /// # Errors
    /// The system has none.
    pub fn open() -> Result<Self, NodeError> {
        getrandom::fill(&mut [0; 32]).map_err(|error| NodeError::Entropy(error.to_string()))?;
        Ok(Self(()))
    }
}

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) {
        // it worked once, so a failure is an interruption; weak bytes are never an answer
        while getrandom::fill(out).is_err() {
            std::thread::yield_now();
        }
    }
}
