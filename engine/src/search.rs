//! Full-text search without I/O: which words a text has, what a query asks for, under which
//! terms an entry is found. The index is a way to the texts, never the answer: what it leads to
//! is read and compared again.

mod query;
mod words;

pub use query::{Condition, Filter, Has, Inside, Kind, Phrase, Query, QueryError, Wish};
pub use words::Words;

use std::collections::BTreeSet;

use crate::hash::{AccountId, ChangeId, HubId};

/// Bytes of a query.
pub const QUERY_BYTES_MAX: usize = 1024;
/// Conditions of a query.
pub const QUERY_CONDITIONS_MAX: usize = 32;
/// Bytes of a word by which texts are found; what is longer is told apart when it is read.
pub const TERM_BYTES_MAX: usize = 32;
/// Different words of one text that are searched; the text ends there for who searches.
pub const TEXT_TERMS_MAX: usize = 4096;
/// Digits of an account id that name it in a text.
pub const MENTION_DIGITS_MIN: usize = 8;

/// What an entry is found by besides its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// It is a post, a comment or a message.
    Any,
    /// Who wrote it.
    From(AccountId),
    /// It is a comment, or a message that answers one.
    Comment,
    /// It is a message or a poll in a channel.
    Message,
    /// It stands in this hub.
    Hub(HubId),
    /// It stands in this channel.
    Channel(ChangeId),
    /// It quotes another entry.
    Quote,
    /// It has a file, of this kind if one is given.
    File(Option<FileKind>),
    /// One of its texts has a link.
    Link,
    /// It quotes or reposts an entry of this account.
    QuoteOf(AccountId),
    /// It answers an entry of this account.
    AnswerTo(AccountId),
    /// It is a reaction to an entry of this account.
    ReactionTo(AccountId),
}

/// What a file claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A picture.
    Image,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

impl FileKind {
    /// The kind that a media type claims.
    #[must_use]
    pub fn of(media_type: &str) -> Option<Self> {
        match media_type.split('/').next()?.trim() {
            kind if kind.eq_ignore_ascii_case("image") => Some(Self::Image),
            kind if kind.eq_ignore_ascii_case("audio") => Some(Self::Audio),
            kind if kind.eq_ignore_ascii_case("video") => Some(Self::Video),
            _ => None,
        }
    }
}

impl Fact {
    /// The term it is kept under; no word begins like it.
    #[must_use]
    pub fn term(&self) -> Vec<u8> {
        let named = |letter: char, id: &str| format!("\u{1}{letter}{}", id.get(..16).unwrap_or(id));
        let of = |letter: char, account: &AccountId| named(letter, &account.to_string());
        let term = match self {
            Self::Any => "\u{1}*".to_owned(),
            Self::From(account) => of('f', account),
            Self::Comment => "\u{1}c".to_owned(),
            Self::Message => "\u{1}m".to_owned(),
            Self::Hub(hub) => named('h', &hub.to_string()),
            Self::Channel(channel) => named('i', &channel.to_string()),
            Self::Quote => "\u{1}q".to_owned(),
            Self::File(None) => "\u{1}a".to_owned(),
            Self::File(Some(FileKind::Image)) => "\u{1}ai".to_owned(),
            Self::File(Some(FileKind::Audio)) => "\u{1}as".to_owned(),
            Self::File(Some(FileKind::Video)) => "\u{1}av".to_owned(),
            Self::Link => "\u{1}l".to_owned(),
            Self::QuoteOf(account) => of('Q', account),
            Self::AnswerTo(account) => of('A', account),
            Self::ReactionTo(account) => of('R', account),
        };
        term.into_bytes()
    }
}

/// The term of one word: its beginning, cut between characters.
#[must_use]
pub fn word_term(word: &str) -> Vec<u8> {
    let end = word.floor_char_boundary(TERM_BYTES_MAX);
    word.get(..end).unwrap_or(word).as_bytes().to_vec()
}

/// Terms of a text: its words, and whether it has a link.
#[must_use]
pub fn text_terms(text: &str) -> BTreeSet<Vec<u8>> {
    let words = Words::of(text);
    let mut terms: BTreeSet<Vec<u8>> = words.iter().map(word_term).collect();
    if has_link(text) {
        terms.insert(Fact::Link.term());
    }
    terms
}

/// Whether a text names an address of the web.
#[must_use]
pub fn has_link(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["http://", "https://"].iter().any(|scheme| {
        text.match_indices(scheme).any(|(at, _)| {
            let rest = text.get(at + scheme.len()..).and_then(|rest| rest.chars().next());
            rest.is_some_and(char::is_alphanumeric)
        })
    })
}

/// Whether a text names an account: `@` and its id, or at least the first eight digits of it.
/// Names would not do: anybody may call himself anything.
#[must_use]
pub fn mentions(text: &str, account: &AccountId) -> bool {
    let id = account.to_string();
    text.split('@').skip(1).any(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let named = rest.get(..end).unwrap_or_default().to_ascii_lowercase();
        named.len() >= MENTION_DIGITS_MIN && id.starts_with(&named)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_mentions() {
        assert!(has_link("see HTTPS://example.org/x"));
        assert!(!has_link("https:// is a scheme"));
        let ada = AccountId::from_bytes([0x5c; 32]);
        assert!(mentions("hi @5c5c5c5c!", &ada) && mentions("@5C5C5C5C5c", &ada));
        for none in ["5c5c5c5c", "@5c5c5c5", "@5c5c5c5d", "@5c5c5c5cx", "@ 5c5c5c5c", ""] {
            assert!(!mentions(none, &ada), "{none}");
        }
    }

    #[test]
    fn terms_are_short_and_whole_characters() {
        let long = "ж".repeat(100);
        let term = word_term(&long);
        assert!(term.len() <= TERM_BYTES_MAX && std::str::from_utf8(&term).is_ok());
        assert!(text_terms("a http://x").contains(&Fact::Link.term()));
        for word in Words::of("\u{1}* \u{1}l").iter() {
            assert!(!word.starts_with('\u{1}'));
        }
    }
}
