//! For whom something is sealed and what opens it: a passphrase, or keys of the tool `age`.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::iter;
use std::str::FromStr;

use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{Encryptor, x25519};

use super::header::Bounded;
use super::{MAX_WORK, Passphrase, SealError, refused};

/// Recipients of one file, and keys of one file of keys.
pub const MAX_HOLDERS: usize = 64;
/// Bytes of a file of keys.
pub const MAX_KEY_FILE: usize = 64 * 1024;
/// How a secret key begins, as a person may give one by mistake.
const SECRET: &str = "AGE-SECRET-KEY-";

/// For whom something is sealed.
#[derive(Clone)]
pub enum Sealing {
    /// Whoever knows it.
    Passphrase(Passphrase),
    /// The holders of the secret halves.
    Recipients(Vec<x25519::Recipient>),
}

/// What opens something sealed.
#[derive(Clone)]
pub enum Opening {
    /// A passphrase.
    Passphrase(Passphrase),
    /// Secret keys, of which one has to fit.
    Keys(Vec<x25519::Identity>),
}

/// Why texts name no holders.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HolderError {
    /// It is something else.
    #[error(
        "'{0}' is no recipient of age: they are as age-keygen prints them, age1 and 58 letters"
    )]
    Recipient(String),
    /// What should stay where it is.
    #[error(
        "a recipient begins with age1; this is a secret key, which is nothing for a command line"
    )]
    Secret,
    /// Neither a key nor a comment.
    #[error("line {0} is no key of age, which begins with AGE-SECRET-KEY-1")]
    Line(usize),
    /// None at all.
    #[error("there is no key in it")]
    NoKey,
    /// More than [`MAX_HOLDERS`].
    #[error("there are more than {MAX_HOLDERS}")]
    TooMany,
}

impl Sealing {
    /// Reads recipients, `age1…` each.
    ///
    /// # Errors
    /// One is no recipient, or there are too many.
    pub fn recipients<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, HolderError> {
        let mut all = Vec::new();
        for text in texts {
            if text.to_ascii_uppercase().starts_with(SECRET) {
                return Err(HolderError::Secret);
            }
            let short = || text.chars().take(80).collect();
            let known = x25519::Recipient::from_str(text.trim());
            all.push(known.map_err(|_| HolderError::Recipient(short()))?);
        }
        match all.len() {
            0 => Err(HolderError::NoKey),
            1..=MAX_HOLDERS => Ok(Self::Recipients(all)),
            _ => Err(HolderError::TooMany),
        }
    }

    /// Seals what is written into it; without `finish` at its end the result does not open.
    ///
    /// # Errors
    /// The writer fails, or the system has no randomness.
    pub(crate) fn writer<W: Write>(&self, out: W) -> io::Result<StreamWriter<W>> {
        let recipients = match self {
            Self::Passphrase(passphrase) => return super::writer(out, passphrase),
            Self::Recipients(recipients) => recipients,
        };
        let all = recipients.iter().map(|one| one as &dyn age::Recipient);
        Encryptor::with_recipients(all).map_err(io::Error::other)?.wrap_output(out)
    }
}

impl Opening {
    /// Reads a file of keys as `age-keygen` writes it: a key a line, comments after `#`.
    ///
    /// # Errors
    /// A line is something else, or there is no key.
    pub fn keys(file: &str) -> Result<Self, HolderError> {
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(file.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(x25519::Identity::from_str(line).map_err(|_| HolderError::Line(number))?);
        }
        match keys.len() {
            0 => Err(HolderError::NoKey),
            1..=MAX_HOLDERS => Ok(Self::Keys(keys)),
            _ => Err(HolderError::TooMany),
        }
    }

    /// Opens what was sealed for it. A read fails where it was altered or cut.
    ///
    /// # Errors
    /// See [`SealError`].
    pub(crate) fn reader<R: BufRead>(
        &self,
        input: R,
    ) -> Result<StreamReader<Bounded<R>>, SealError> {
        let sealed = super::header(input)?;
        match self {
            Self::Passphrase(passphrase) => {
                if !sealed.is_scrypt() {
                    return Err(SealError::NotForPassphrase);
                }
                let secret = SecretString::clone(&passphrase.0);
                let mut identity = age::scrypt::Identity::new(secret);
                identity.set_max_work_factor(MAX_WORK);
                let one = iter::once(&identity as &dyn age::Identity);
                sealed.decrypt(one).map_err(refused)
            }
            Self::Keys(keys) => {
                if sealed.is_scrypt() {
                    return Err(SealError::NotForKeys);
                }
                let all = keys.iter().map(|one| one as &dyn age::Identity);
                sealed.decrypt(all).map_err(refused)
            }
        }
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing(_)")
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(_)")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use age::secrecy::ExposeSecret;

    use super::*;

    fn opened(sealed: &[u8], with: &Opening) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::new();
        with.reader(sealed)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn sealed(for_whom: &Sealing) -> Vec<u8> {
        let mut out = for_whom.writer(Vec::new()).unwrap();
        out.write_all(b"whole").unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn any_of_its_holders_opens_it_and_nobody_else() {
        let keys: Vec<_> = (0..3).map(|_| x25519::Identity::generate()).collect();
        let texts: Vec<_> = keys.iter().take(2).map(|key| key.to_public().to_string()).collect();
        let file = sealed(&Sealing::recipients(texts.iter().map(String::as_str)).unwrap());
        let with = |key: &x25519::Identity| {
            let text = format!("# a comment\n\n{}\r\n", key.to_string().expose_secret());
            opened(&file, &Opening::keys(&text).unwrap())
        };
        assert_eq!(with(&keys[0]).unwrap(), b"whole");
        assert_eq!(with(&keys[1]).unwrap(), b"whole");
        assert!(matches!(with(&keys[2]), Err(SealError::WrongPassphrase)));
        let passphrase = Passphrase::from_bytes(b"x").unwrap();
        let by_word = Opening::Passphrase(passphrase.clone());
        assert!(matches!(opened(&file, &by_word), Err(SealError::NotForPassphrase)));
        let word = sealed(&Sealing::Passphrase(passphrase));
        assert_eq!(opened(&word, &by_word).unwrap(), b"whole");
        assert!(matches!(opened(&word, &Opening::Keys(keys)), Err(SealError::NotForKeys)));
    }

    #[test]
    fn what_names_no_holder_is_refused() {
        let recipients = |text: &str| Sealing::recipients(iter::once(text)).unwrap_err();
        assert_eq!(recipients("bob"), HolderError::Recipient("bob".to_owned()));
        assert_eq!(recipients("AGE-SECRET-KEY-1QQ"), HolderError::Secret);
        let key = x25519::Identity::generate();
        let public = key.to_public().to_string();
        let many = iter::repeat_n(public.as_str(), MAX_HOLDERS + 1);
        assert_eq!(Sealing::recipients(many).unwrap_err(), HolderError::TooMany);
        assert_eq!(Sealing::recipients(iter::empty()).unwrap_err(), HolderError::NoKey);
        assert_eq!(Opening::keys("# none\n").unwrap_err(), HolderError::NoKey);
        assert_eq!(Opening::keys("# one\nage1x").unwrap_err(), HolderError::Line(2));
    }
}
