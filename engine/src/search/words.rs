//! Words of a text, folded: case and diacritics make no difference, compatibility forms (full
//! width, ligatures) are what they stand for. Scripts that set no spaces between words give one
//! word a character; a run of characters in a query is then found wherever it stands.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::TEXT_TERMS_MAX;

/// The words of a text, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// Returns the words of a text, up to the one that would be one different word too many.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut words = Vec::new();
        let mut different = BTreeSet::new();
        let mut word = String::new();
        let mut take = |word: &mut String| {
            let word = std::mem::take(word);
            if word.is_empty() {
                return true;
            }
            if !different.contains(&word) {
                if different.len() == TEXT_TERMS_MAX {
                    return false;
                }
                different.insert(word.clone());
            }
            words.push(word);
            true
        };
        for c in fold(text) {
            let room = if c.is_alphanumeric() && is_alone(c) {
                let room = take(&mut word);
                word.push(c);
                room && take(&mut word)
            } else if c.is_alphanumeric() || (is_combining_mark(c) && !word.is_empty()) {
                word.push(c);
                true
            } else {
                take(&mut word)
            };
            if !room {
                return Self(words);
            }
        }
        take(&mut word);
        Self(words)
    }

    /// Walks the words in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether `phrase` stands in it, word after word; the last may be the beginning of
    /// a word if `open`.
    #[must_use]
    pub fn has(&self, phrase: &Self, open: bool) -> bool {
        let Some((last, first)) = phrase.0.split_last() else { return true };
        self.0.windows(phrase.0.len()).any(|window| {
            window.split_last().is_some_and(|(end, start)| {
                start == first && (end == last || (open && end.starts_with(last.as_str())))
            })
        })
    }
}

/// Folds a text, character by character.
fn fold(text: &str) -> impl Iterator<Item = char> {
    let plain = text.nfkd().filter(|c| !is_diacritic(*c));
    let lower = plain.flat_map(char::to_lowercase).flat_map(spell);
    lower.nfc().collect::<Vec<char>>().into_iter()
}

/// Marks that are folded away: those that Latin, Greek and Cyrillic letters carry, and the
/// points of Hebrew and Arabic. Elsewhere a mark makes another letter.
const fn is_diacritic(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}'
            | '\u{483}'..='\u{487}'
            | '\u{591}'..='\u{5bd}'
            | '\u{5bf}'
            | '\u{5c1}'..='\u{5c2}'
            | '\u{610}'..='\u{61a}'
            | '\u{64b}'..='\u{65f}'
            | '\u{670}'
    )
}

/// Letters that have no decomposition and a customary spelling without their stroke or tail.
fn spell(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'ß' => ('s', Some('s')),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'þ' => ('t', Some('h')),
        'ø' => ('o', None),
        'đ' | 'ð' => ('d', None),
        'ł' => ('l', None),
        'ħ' => ('h', None),
        'ŧ' => ('t', None),
        'ı' => ('i', None),
        'ς' => ('σ', None),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

/// Whether a character is a word by itself: Thai to Burmese, Khmer, kana, ideographs.
const fn is_alone(c: char) -> bool {
    matches!(
        c,
        '\u{e00}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3005}'..='\u{3007}'
            | '\u{3040}'..='\u{30ff}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        Words::of(text).0
    }

    #[test]
    fn case_and_diacritics_make_no_difference() {
        for (one, other) in [
            ("Crème Brûlée", "creme brulee"),
            ("STRASSE", "straße"),
            ("ΣΊΣΥΦΟΣ", "σισυφος"),
            ("Ёлка", "елка"),
            ("Łódź", "lodz"),
            ("İstanbul", "ISTANBUL"),
            ("ﬁn ２０２６", "fin 2026"),
            ("שָׁלוֹם", "שלום"),
        ] {
            assert_eq!(words(one), words(other), "{one}");
        }
        assert_ne!(words("が"), words("か"));
        assert_ne!(words("한국"), words("항국"));
        assert_eq!(words("한국어").len(), 1);
    }

    #[test]
    fn words_end_where_nothing_is_a_letter() {
        assert_eq!(
            words("don't e-mail @ada_b #rust ❤️ 3.14"),
            ["don", "t", "e", "mail", "ada", "b", "rust", "3", "14"]
        );
        assert_eq!(words("東京タワー"), ["東", "京", "タ", "ワ", "ー"]);
        assert!(words("!!! … ❤️").is_empty());
        assert_eq!(words("हिन्दी में").len(), 2);
    }

    #[test]
    fn phrases_stand_word_after_word() {
        let text = Words::of("The river ran; the ferry was late. 東京都");
        for (phrase, open, fits) in [
            ("ferry was", false, true),
            ("was ferry", false, false),
            ("ferry wa", false, false),
            ("ferry wa", true, true),
            ("京都", false, true),
            ("都京", false, false),
            ("late", false, true),
        ] {
            assert_eq!(text.has(&Words::of(phrase), open), fits, "{phrase}");
        }
    }

    #[test]
    fn a_text_of_too_many_words_ends_early() {
        let text: String = (0..TEXT_TERMS_MAX + 10).map(|n| format!("w{n} w0 ")).collect();
        let words = words(&text);
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), TEXT_TERMS_MAX);
        assert_eq!(words.len(), 2 * TEXT_TERMS_MAX);
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = words(&text);
            prop_assert_eq!(words(&once.join(" ")), once);
        }
    }
}
