//! What opens sealed keys: a passphrase, and what it has opened in this process.
//!
//! Trying a passphrase takes some tenths of a second and 128 MiB. A home reads its keys more than
//! once, so what was opened last is remembered; the keys are in memory for as long anyway.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::seal::{self, Passphrase, SealError};

/// A passphrase that is handed down to whatever reads the keys; clones remember together.
#[derive(Clone)]
pub struct Unlock {
    passphrase: Passphrase,
    last: Arc<Mutex<Option<Opened>>>,
}

/// Sealed bytes, and what was in them.
struct Opened {
    sealed: Vec<u8>,
    clear: Zeroizing<Vec<u8>>,
}

impl Unlock {
    /// Takes a passphrase; nothing is tried yet.
    #[must_use]
    pub fn new(passphrase: Passphrase) -> Self {
        Self { passphrase, last: Arc::default() }
    }

    /// Writes the passphrase as a line, for the pipe to a process of ours.
    ///
    /// # Errors
    /// The writer fails.
    pub fn hand_over(&self, out: &mut impl Write) -> io::Result<()> {
        self.passphrase.write_line(out)
    }

    /// Seals a few bytes.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn seal(&self, clear: &[u8]) -> io::Result<Vec<u8>> {
        seal::seal(clear, &self.passphrase)
    }

    /// Opens a few bytes; the same ones again cost nothing.
    ///
    /// # Errors
    /// See [`SealError`].
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        // held while it is tried: whoever asks meanwhile waits for the answer
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|known| known.sealed == sealed) {
            return Ok(known.clear.clone());
        }
        let clear = seal::open(sealed, &self.passphrase)?;
        *last = Some(Opened { sealed: sealed.to_owned(), clear: clear.clone() });
        Ok(clear)
    }
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unlock(_)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unlock(text: &str) -> Unlock {
        Unlock::new(Passphrase::from_bytes(text.as_bytes()).unwrap())
    }

    #[test]
    fn what_was_opened_is_remembered_and_nothing_else() {
        let right = unlock("open sesame");
        let sealed = right.seal(b"keys").unwrap();
        assert_eq!(*right.open(&sealed).unwrap(), b"keys");
        let again = right.clone();
        assert_eq!(again.last.lock().unwrap().as_ref().unwrap().sealed, sealed);
        assert_eq!(*again.open(&sealed).unwrap(), b"keys");
        let mut altered = sealed.clone();
        let last = altered.len() - 1;
        altered[last] ^= 1;
        assert!(matches!(right.open(&altered), Err(SealError::Io(_))));
        assert!(matches!(unlock("sesame").open(&sealed), Err(SealError::WrongPassphrase)));
        let mut line = Vec::new();
        right.hand_over(&mut line).unwrap();
        assert_eq!(line, b"open sesame\n");
        assert_eq!(format!("{right:?}"), "Unlock(_)");
    }
}
