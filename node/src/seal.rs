//! Sealing with a passphrase: files in the format of `age`, which the plain tool `age` opens.
//!
//! The format is that of <https://c2sp.org/age>: a header with the work of `scrypt`, then
//! ChaCha20-Poly1305 over blocks of 64 KiB, the last of which is marked. So a stream is written
//! and read in constant memory, and one that is cut short does not open.

mod header;
mod holders;

use std::io::{self, BufRead, Read, Write};
use std::iter;

use age::scrypt::{Identity, Recipient};
use age::secrecy::{ExposeSecret, SecretString};
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use header::Bounded;
pub use holders::{HolderError, MAX_HOLDERS, MAX_KEY_FILE, Opening, Sealing};

/// Work to try a passphrase, as a power of two: 128 MiB and some tenths of a second.
const WORK: u8 = 17;
/// The most work a file may ask for: 1 GiB. What the tool `age` writes asks for 18.
const MAX_WORK: u8 = 20;
/// How every sealed file begins.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// Longest passphrase in bytes.
pub const MAX_PASSPHRASE: usize = 1024;

/// A passphrase: 1 to [`MAX_PASSPHRASE`] bytes of UTF-8 without control characters. Never printed.
#[derive(Clone)]
pub struct Passphrase(SecretString);

/// Why something sealed did not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The passphrase is another one, or the header was altered: `age` cannot tell.
    #[error("the passphrase does not open it")]
    WrongPassphrase,
    /// Not a file sealed with a passphrase, or one of a form we do not know.
    #[error("it is not sealed with a passphrase: {0}")]
    NotSealed(String),
    /// It is sealed with a passphrase, and keys were given.
    #[error("it is sealed with a passphrase, not for the holder of a key")]
    NotForKeys,
    /// It is for the holder of a key, and a passphrase was given.
    #[error("it is sealed for the holder of a key, not with a passphrase")]
    NotForPassphrase,
    /// It asks for more work than we do for anybody.
    #[error("it asks for 2^{0} units of work to try a passphrase, and 2^{MAX_WORK} is the most")]
    TooMuchWork(u8),
    /// The reader failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why a text is no passphrase.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PassphraseError {
    /// No character at all.
    #[error("the passphrase is empty")]
    Empty,
    /// More than [`MAX_PASSPHRASE`] bytes.
    #[error("the passphrase is longer than {MAX_PASSPHRASE} bytes")]
    TooLong,
    /// Bytes that a terminal or an editor put there unseen.
    #[error("the passphrase holds a control character or is not UTF-8")]
    Unprintable,
}

impl Passphrase {
    /// Takes the first line of what a file, a command or a terminal gave, without its line end.
    ///
    /// # Errors
    /// It is empty, too long or not printable.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PassphraseError> {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|_| PassphraseError::Unprintable)?;
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if text.len() > MAX_PASSPHRASE {
            return Err(PassphraseError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PassphraseError::Unprintable);
        }
        Ok(Self(SecretString::from(text.to_owned())))
    }

    /// The text, for the request that seals with it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Writes it as a line.
    pub(crate) fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.reveal().as_bytes())?;
        out.write_all(b"\n")
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(_)")
    }
}

/// Whether bytes begin as something sealed does.
pub(crate) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Looks whether something is sealed; what was read for that comes again.
///
/// # Errors
/// The reader fails.
pub(crate) fn peek<R: Read>(mut from: R) -> io::Result<(bool, impl Read)> {
    let mut first = Vec::new();
    Read::take(&mut from, MAGIC.len() as u64).read_to_end(&mut first)?;
    Ok((is_sealed(&first), io::Cursor::new(first).chain(from)))
}

/// Seals what is written into it; without `finish` at its end the result does not open.
///
/// # Errors
/// The writer fails.
pub(crate) fn writer<W: Write>(out: W, passphrase: &Passphrase) -> io::Result<StreamWriter<W>> {
    let mut recipient = Recipient::new(passphrase.0.clone());
    recipient.set_work_factor(WORK);
    let sealed = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient));
    sealed.map_err(io::Error::other)?.wrap_output(out)
}

/// Opens what [`writer`] or `age --passphrase` sealed. A read fails where it was altered or cut.
///
/// # Errors
/// See [`SealError`].
pub(crate) fn reader<R: BufRead>(
    input: R,
    passphrase: &Passphrase,
) -> Result<StreamReader<Bounded<R>>, SealError> {
    let sealed = header(input)?;
    if !sealed.is_scrypt() {
        return Err(SealError::NotSealed("it is for the holder of a key".to_owned()));
    }
    let mut identity = Identity::new(passphrase.0.clone());
    identity.set_max_work_factor(MAX_WORK);
    sealed.decrypt(iter::once(&identity as &dyn age::Identity)).map_err(refused)
}

/// Reads the header of what was sealed, in bounded memory.
fn header<R: BufRead>(input: R) -> Result<Decryptor<Bounded<R>>, SealError> {
    let (input, end) = Bounded::new(input);
    let sealed = Decryptor::new_buffered(input).map_err(refused)?;
    end.reached();
    Ok(sealed)
}

/// Seals a few bytes.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn seal(bytes: &[u8], passphrase: &Passphrase) -> io::Result<Vec<u8>> {
    let mut out = writer(Vec::new(), passphrase)?;
    out.write_all(bytes)?;
    out.finish()
}

/// Opens a few bytes: at most as many as were sealed.
///
/// # Errors
/// See [`SealError`].
pub(crate) fn open(bytes: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
    reader(bytes, passphrase)?.read_to_end(&mut out)?;
    Ok(out)
}

fn refused(error: DecryptError) -> SealError {
    match error {
        DecryptError::DecryptionFailed
        | DecryptError::KeyDecryptionFailed
        | DecryptError::NoMatchingKeys => SealError::WrongPassphrase,
        // the passphrase has opened its part of the header by then
        DecryptError::InvalidMac => {
            io::Error::new(io::ErrorKind::InvalidData, "its header was altered").into()
        }
        DecryptError::ExcessiveWork { required, .. } => SealError::TooMuchWork(required),
        DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.into(),
        error => SealError::NotSealed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_passphrase_alone() {
        let sealed = seal(b"secret", &passphrase("open sesame")).unwrap();
        assert!(is_sealed(&sealed));
        assert_eq!(*open(&sealed, &passphrase("open sesame\r\n")).unwrap(), b"secret");
        let wrong = open(&sealed, &passphrase("open sesam"));
        assert!(matches!(wrong, Err(SealError::WrongPassphrase)));
        assert!(matches!(open(b"plain", &passphrase("x")), Err(SealError::NotSealed(_))));
        for end in [10, sealed.len() / 2, sealed.len() - 1] {
            assert!(open(&sealed[..end], &passphrase("open sesame")).is_err(), "{end}");
        }
    }

    #[test]
    fn a_header_without_an_end_is_not_read_to_it() {
        let line = io::repeat(b'a');
        let stanzas = b"-> X25519 a\nAAAA\n".repeat(20_000);
        let endless: [Box<dyn Read>; 2] = [Box::new(line), Box::new(io::Cursor::new(stanzas))];
        for rest in endless {
            let input = io::BufReader::new(MAGIC.chain(rest));
            let Err(error) = reader(input, &passphrase("x")) else { panic!("opened") };
            assert!(matches!(error, SealError::Io(_)), "{error}");
            assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
        }
        let whole = vec![7; 200_000];
        let key = passphrase("k");
        assert_eq!(*open(&seal(&whole, &key).unwrap(), &key).unwrap(), whole);
    }

    #[test]
    fn a_cut_stream_and_a_flipped_bit_do_not_open() {
        let key = passphrase("k");
        let text = vec![7; 200_000];
        let sealed = seal(&text, &key).unwrap();
        assert_eq!(*open(&sealed, &key).unwrap(), text);
        let block = sealed.len() - 200_000 % 65_536 - 16;
        assert!(open(&sealed[..block], &key).is_err());
        let mut flipped = sealed;
        flipped[100_000] ^= 1;
        assert!(matches!(open(&flipped, &key), Err(SealError::Io(_))));
    }

    #[test]
    fn work_without_a_bound_is_refused_before_it_is_done() {
        let mut recipient = Recipient::new(SecretString::from("x".to_owned()));
        recipient.set_work_factor(1);
        let all = iter::once(&recipient as &dyn age::Recipient);
        let mut out = Encryptor::with_recipients(all).unwrap().wrap_output(Vec::new()).unwrap();
        out.write_all(b"x").unwrap();
        let sealed = String::from_utf8_lossy(&out.finish().unwrap()).replace(" 1\n", " 40\n");
        let refused = open(sealed.as_bytes(), &passphrase("x"));
        assert!(matches!(refused, Err(SealError::TooMuchWork(40))), "{refused:?}");
    }

    #[test]
    fn a_passphrase_is_one_printable_line() {
        let all = ["", "\n", "a\u{7}", "a\tb"].map(|text| Passphrase::from_bytes(text.as_bytes()));
        use PassphraseError::{Empty, TooLong, Unprintable};
        assert_eq!(all.map(Result::unwrap_err), [Empty, Empty, Unprintable, Unprintable]);
        assert_eq!(Passphrase::from_bytes(&[b'a'; 1025]).unwrap_err(), TooLong);
        assert_eq!(Passphrase::from_bytes(b"\xff").unwrap_err(), Unprintable);
        assert_eq!(format!("{:?}", passphrase("hush")), "Passphrase(_)");
    }
}
