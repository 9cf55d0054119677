//! The recovery words: 24 words of the BIP 39 English list, which stand for 32 random bytes.

use std::fmt;

use bip39::{Error, Language, Mnemonic};
use mosaic_engine::entropy::Entropy;
use mosaic_engine::identity::RecoverySecret;
use thiserror::Error;
use zeroize::Zeroizing;

/// How many words there are.
pub const WORDS: usize = 24;
/// Bytes of a text that words are read from.
pub const WORDS_BYTES_MAX: usize = 4096;
/// Letters that tell every word of the list from every other one.
const TELLING_LETTERS: usize = 4;

/// Why a text is no recovery words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WordsError {
    /// More or fewer words.
    #[error("there are {found} words, recovery words are {WORDS}")]
    Count {
        /// How many.
        found: usize,
    },
    /// A word is not in the list.
    #[error("word {place} of {WORDS}, '{word}', is not in the list of words{}", hint(.close))]
    Unknown {
        /// Which, from 1.
        place: usize,
        /// What was written.
        word: String,
        /// A word of the list that begins like it.
        close: Option<&'static str>,
    },
    /// All words are in the list, and do not belong together.
    #[error(
        "each of these words is in the list, but together they are no recovery words: one of them \
         is another one, or some changed places"
    )]
    Checksum,
}

fn hint(close: &Option<&'static str>) -> String {
    close.map(|word| format!(": perhaps '{word}'")).unwrap_or_default()
}

/// Recovery words; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(Zeroizing<[u8; 32]>);

impl Words {
    /// Makes new words.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(seed.as_mut());
        Self(seed)
    }

    /// Restores words from the bytes they stand for.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// Returns the bytes they stand for.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads words out of a text. Lines that begin with `#` and numbers before words are passed
    /// over, upper and lower case are the same, and the first four letters of a word will do.
    ///
    /// # Errors
    /// Which word is wrong, as far as that can be told.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words = lines.flat_map(str::split_whitespace);
        let words: Vec<&str> = words.filter(|word| !is_number(word)).collect();
        let mut known = Zeroizing::new(String::with_capacity(WORDS * 9));
        for (at, word) in words.iter().enumerate() {
            let lower = Zeroizing::new(word.to_lowercase());
            let close = closest(&lower);
            let full = close.filter(|full| is_short_for(&lower, full));
            let Some(full) = full else {
                let (place, word) = (at + 1, word.chars().take(32).collect());
                return Err(WordsError::Unknown { place, word, close });
            };
            known.push_str(full);
            known.push(' ');
        }
        if words.len() != WORDS {
            return Err(WordsError::Count { found: words.len() });
        }
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, known.trim_end());
        let mnemonic = mnemonic.map_err(|error| match error {
            Error::BadWordCount(found) => WordsError::Count { found },
            _ => WordsError::Checksum,
        })?;
        let (bytes, _) = mnemonic.to_entropy_array();
        let bytes = Zeroizing::new(bytes);
        let seed = bytes.first_chunk::<32>().ok_or(WordsError::Checksum)?;
        Ok(Self(Zeroizing::new(*seed)))
    }

    /// Returns the words, one blank between them.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
        for word in self.list() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// Returns the words in their order.
    #[must_use]
    pub fn list(&self) -> Vec<&'static str> {
        // 32 bytes always make words
        let mnemonic = Mnemonic::from_entropy_in(Language::English, &*self.0);
        mnemonic.map(|mnemonic| mnemonic.words().collect()).unwrap_or_default()
    }

    /// Derives the keys; `None` if the words give no usable ones, which has never been seen.
    #[must_use]
    pub fn secret(&self) -> Option<RecoverySecret> {
        RecoverySecret::derive(&self.0)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words")
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.trim_end_matches(['.', ')', ':']);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word stands for one of the list: it is it, or its first four letters.
fn is_short_for(word: &str, full: &str) -> bool {
    word == full || (word.chars().count() == TELLING_LETTERS && full.starts_with(word))
}

/// The word of the list itself, or the one that begins most like it.
fn closest(word: &str) -> Option<&'static str> {
    let english = Language::English;
    let list = english.word_list();
    if let Some(exact) = english.find_word(word) {
        return list.get(usize::from(exact)).copied();
    }
    let letters: Vec<char> = word.chars().collect();
    (2..=letters.len().min(8)).rev().find_map(|count| {
        let prefix: String = letters.iter().take(count).collect();
        let begin = english.words_by_prefix_iter(&prefix);
        begin.min_by_key(|full| full.len().abs_diff(word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    #[test]
    fn words_come_back_however_they_are_written() {
        let words = Words::generate(&OsEntropy::open().unwrap());
        let text = words.to_text();
        assert_eq!(words.list().len(), WORDS);
        assert!(Words::parse(&text).unwrap() == words);
        assert!(Words::parse(&text.to_uppercase()).unwrap() == words);
        let numbered: Vec<String> =
            (1..).zip(words.list()).map(|(n, w)| format!("{n}. {w}")).collect();
        assert!(
            Words::parse(&format!("# Keep them.\n{}\n", numbered.join("\n"))).unwrap() == words
        );
        let short: Vec<String> = words.list().iter().map(|w| w.chars().take(4).collect()).collect();
        assert!(Words::parse(&short.join(" ")).unwrap() == words);
        assert_eq!(format!("{words:?}"), "Words");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let words = Words::from_seed([0; 32]);
        let list = words.list();
        assert_eq!(list[0], "abandon");
        let with = |place: usize, word: &'static str| {
            let mut list = list.clone();
            list[place - 1] = word;
            Words::parse(&list.join(" ")).unwrap_err()
        };
        let unknown = with(7, "abandn");
        assert_eq!(
            unknown.to_string(),
            "word 7 of 24, 'abandn', is not in the list of words: perhaps 'abandon'"
        );
        assert!(with(3, "xyzzy").to_string().starts_with("word 3 of 24, 'xyzzy', is not"));
        assert_eq!(with(3, "zoo"), WordsError::Checksum);
        let short = Words::parse(&list[..23].join(" ")).unwrap_err();
        assert_eq!(short.to_string(), "there are 23 words, recovery words are 24");
        assert_eq!(Words::parse(""), Err(WordsError::Count { found: 0 }));
    }

    #[test]
    fn the_known_vector_holds() {
        let text = Words::from_seed([0xff; 32]).to_text();
        assert!(text.starts_with("zoo zoo zoo zoo") && text.ends_with("zoo vote"), "{}", *text);
    }
}
