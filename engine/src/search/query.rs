//! What people type to find something, read into conditions. Total and bounded: any text is
//! either a query or an error that says where.

use std::fmt;

use super::{Fact, FileKind, QUERY_BYTES_MAX, QUERY_CONDITIONS_MAX, Words, has_link};
use crate::hash::{AccountId, ChangeId, HubId};

/// Why a query cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// Which character, from 1.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {} of the query: {}", self.at, self.what)
    }
}

impl std::error::Error for QueryError {}

/// Words that stand one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// The words.
    pub words: Words,
    /// The last one is only the beginning of a word.
    pub open: bool,
}

/// What an entry may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Has {
    /// A file.
    Attachment,
    /// A file that claims to be of this kind.
    File(FileKind),
    /// An address of the web in its text.
    Link,
    /// A comment that is shown.
    Reply,
    /// A reaction that is shown.
    Reaction,
}

/// What an entry may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A post.
    Post,
    /// A comment, or a message that answers one.
    Comment,
    /// A post that quotes.
    Quote,
    /// One of them whose text was changed.
    Edited,
    /// A message or a poll in a channel of a hub.
    Message,
}

/// Where in a hub an entry may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// In any of its channels.
    Hub(HubId),
    /// In this one.
    Channel(ChangeId),
}

/// What one condition asks for. People, channels and times are still as they were typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Words.
    Phrase(Phrase),
    /// An author.
    From(String),
    /// A hub or channel.
    In(String),
    /// Something it has.
    Has(Has),
    /// Something it is.
    Is(Kind),
    /// Written before a time.
    Before(String),
    /// Written at a time or later.
    After(String),
}

/// One condition of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Where it stands: which character, from 1.
    pub at: usize,
    /// Whether it must be so, or must not.
    pub wanted: bool,
    /// What it asks for.
    pub wish: Wish,
}

/// A query: conditions that all must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The conditions, at least one.
    pub conditions: Vec<Condition>,
}

/// A query with people, channels and times known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Words it must have, or must not have.
    pub phrases: Vec<(bool, Phrase)>,
    /// Authors, any of whom will do; none means all.
    pub from: Vec<AccountId>,
    /// Authors that will not do.
    pub not_from: Vec<AccountId>,
    /// Hubs and channels, any of which will do; none means that it may stand on a wall as well.
    pub inside: Vec<Inside>,
    /// Hubs and channels that will not do.
    pub not_inside: Vec<Inside>,
    /// What it must have, or must not have.
    pub has: Vec<(bool, Has)>,
    /// What it must be, or must not be.
    pub is: Vec<(bool, Kind)>,
    /// Not before this time.
    pub since_ms: u64,
    /// Before this time.
    pub until_ms: Option<u64>,
}

impl Filter {
    /// Whether the words and links of a text are as asked for; no text fits only who asks
    /// for none.
    #[must_use]
    pub fn fits_text(&self, text: Option<&str>) -> bool {
        let links = self.has.iter().filter(|(_, has)| *has == Has::Link);
        let Some(text) = text else { return self.phrases.is_empty() && links.count() == 0 };
        let words = if self.phrases.is_empty() { Words::default() } else { Words::of(text) };
        let mut phrases = self.phrases.iter();
        phrases.all(|(wanted, phrase)| words.has(&phrase.words, phrase.open) == *wanted)
            && links.into_iter().all(|(wanted, _)| has_link(text) == *wanted)
    }

    /// Facts that each entry sought has.
    #[must_use]
    pub fn facts(&self) -> Vec<Fact> {
        let has = self.has.iter().filter(|(wanted, _)| *wanted).filter_map(|(_, has)| match has {
            Has::Attachment => Some(Fact::File(None)),
            Has::File(kind) => Some(Fact::File(Some(*kind))),
            Has::Link => Some(Fact::Link),
            Has::Reply | Has::Reaction => None,
        });
        let is = self.is.iter().filter(|(wanted, _)| *wanted).filter_map(|(_, kind)| match kind {
            Kind::Comment => Some(Fact::Comment),
            Kind::Quote => Some(Fact::Quote),
            Kind::Message => Some(Fact::Message),
            Kind::Post | Kind::Edited => None,
        });
        has.chain(is).collect()
    }
}

const FILTERS: &str = "from: in: has: is: before: after:";
/// Their names.
const FILTER_NAMES: [&str; 6] = ["from", "in", "has", "is", "before", "after"];

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// Where it is no query, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > QUERY_BYTES_MAX {
            let what = format!("{} bytes, limit {QUERY_BYTES_MAX}", text.len());
            return Err(wrong(1, what, "ask for fewer words"));
        }
        let chars: Vec<char> = text.chars().collect();
        let mut conditions = Vec::new();
        let mut at = 0;
        while let Some(c) = chars.get(at) {
            if c.is_whitespace() {
                at += 1;
                continue;
            }
            if conditions.len() == QUERY_CONDITIONS_MAX {
                let what = format!("more than {QUERY_CONDITIONS_MAX} conditions");
                return Err(wrong(at + 1, what, "ask for fewer words"));
            }
            let (condition, next) = condition(&chars, at)?;
            conditions.push(condition);
            at = next;
        }
        if conditions.is_empty() {
            let hint = "name a word, or from:@name, has:link, after:2d";
            return Err(wrong(1, "nothing to look for", hint));
        }
        Ok(Self { conditions })
    }

    /// Looks up people, hubs or channels, and times.
    ///
    /// # Errors
    /// What `who`, `place` or `when` fail with; they are told where in the query the text stands.
    pub fn resolve<E>(
        &self,
        mut who: impl FnMut(&str, usize) -> Result<AccountId, E>,
        mut place: impl FnMut(&str, usize) -> Result<Inside, E>,
        mut when: impl FnMut(&str, usize) -> Result<u64, E>,
    ) -> Result<Filter, E> {
        let mut filter = Filter::default();
        for Condition { at, wanted, wish } in &self.conditions {
            match wish {
                Wish::Phrase(phrase) => filter.phrases.push((*wanted, phrase.clone())),
                Wish::Has(has) => filter.has.push((*wanted, *has)),
                Wish::Is(kind) => filter.is.push((*wanted, *kind)),
                Wish::From(text) => {
                    let account = who(text, *at)?;
                    let list = if *wanted { &mut filter.from } else { &mut filter.not_from };
                    list.push(account);
                }
                Wish::In(text) => {
                    let inside = place(text, *at)?;
                    let list = if *wanted { &mut filter.inside } else { &mut filter.not_inside };
                    list.push(inside);
                }
                Wish::Before(text) => {
                    let time = when(text, *at)?;
                    filter.until_ms = Some(filter.until_ms.map_or(time, |known| known.min(time)));
                }
                Wish::After(text) => filter.since_ms = filter.since_ms.max(when(text, *at)?),
            }
        }
        Ok(filter)
    }
}

fn wrong(at: usize, what: impl Into<String>, hint: impl Into<String>) -> QueryError {
    QueryError { at, what: what.into(), hint: hint.into() }
}

/// Reads one condition that begins at `start`; returns it and where the next may begin.
fn condition(chars: &[char], start: usize) -> Result<(Condition, usize), QueryError> {
    let wanted = chars.get(start) != Some(&'-');
    let begin = if wanted { start } else { start + 1 };
    let at = start + 1;
    if chars.get(begin) == Some(&'"') {
        let (text, next) = quoted(chars, begin)?;
        let wish = phrase(&text, at, false)?;
        return Ok((Condition { at, wanted, wish }, next));
    }
    let end = token_end(chars, begin);
    let token: String = chars.get(begin..end).unwrap_or_default().iter().collect();
    if token.is_empty() {
        let hint = "write the word right after it: -word";
        return Err(wrong(at, "a '-' without a word", hint));
    }
    let wish = match field(&token) {
        Some((name, value)) => filter(name, value, at, wanted)?,
        None => word(&token, at)?,
    };
    Ok((Condition { at, wanted, wish }, end))
}

/// Where a word, or a filter and its value, ends. A value between quotation marks may have blanks.
fn token_end(chars: &[char], begin: usize) -> usize {
    let find = |from: usize, fits: fn(char) -> bool| {
        let rest = chars.get(from..).unwrap_or_default();
        rest.iter().position(|c| fits(*c)).map(|at| from + at)
    };
    let end = |from| find(from, char::is_whitespace).unwrap_or(chars.len());
    let named = |colon: &usize| {
        let name: String = chars.get(begin..*colon).unwrap_or_default().iter().collect();
        FILTER_NAMES.iter().any(|filter| filter.eq_ignore_ascii_case(&name))
    };
    let value = find(begin, |c| c == ':').filter(named).map(|colon| colon + 1);
    let open = value.filter(|open| chars.get(*open) == Some(&'"'));
    end(open.and_then(|open| find(open + 1, |c| c == '"')).unwrap_or(begin))
}

/// What stands between two quotation marks, and where it goes on after them.
fn quoted(chars: &[char], open: usize) -> Result<(String, usize), QueryError> {
    let rest = chars.get(open + 1..).unwrap_or_default();
    let Some(len) = rest.iter().position(|c| *c == '"') else {
        let hint = "end the phrase with another \"";
        return Err(wrong(open + 1, "a quotation mark that is not closed", hint));
    };
    Ok((rest.iter().take(len).collect(), open + len + 2))
}

/// A name and what follows its colon. Addresses and times of day are words, and a name with
/// nothing after it unless it is that of a filter.
fn field(token: &str) -> Option<(&str, &str)> {
    let (name, value) = token.split_once(':')?;
    let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
    let filter = FILTER_NAMES.iter().any(|filter| filter.eq_ignore_ascii_case(name));
    let some = filter || !value.is_empty();
    (named && some && !value.starts_with("//")).then_some((name, value))
}

fn word(token: &str, at: usize) -> Result<Wish, QueryError> {
    match token.strip_suffix('*') {
        Some(start) => phrase(start, at, true),
        None => phrase(token, at, false),
    }
}

fn phrase(text: &str, at: usize, open: bool) -> Result<Wish, QueryError> {
    let words = Words::of(text);
    if words.is_empty() {
        let what = format!("'{text}' has no letter and no digit");
        return Err(wrong(at, what, "name a word"));
    }
    Ok(Wish::Phrase(Phrase { words, open }))
}

fn filter(name: &str, value: &str, at: usize, wanted: bool) -> Result<Wish, QueryError> {
    let value = value.trim_matches('"');
    if value.is_empty() {
        let hint = format!("name it right after the colon; for the word write \"{name}\"");
        return Err(wrong(at, format!("'{name}:' without what it looks for"), hint));
    }
    match name.to_ascii_lowercase().as_str() {
        "from" => Ok(Wish::From(value.to_owned())),
        "in" => Ok(Wish::In(value.to_owned())),
        "has" => has(value, at).map(Wish::Has),
        "is" => kind(value, at).map(Wish::Is),
        "before" if wanted => Ok(Wish::Before(value.to_owned())),
        "after" if wanted => Ok(Wish::After(value.to_owned())),
        "before" | "after" => {
            let other = if name.eq_ignore_ascii_case("before") { "after" } else { "before" };
            Err(wrong(at, "a time cannot be excluded", format!("{other}:{value}")))
        }
        _ => {
            let what = format!("'{name}:' is no filter");
            let hint = format!("filters are {FILTERS}; for the words write \"{name}:{value}\"");
            Err(wrong(at, what, hint))
        }
    }
}

fn has(value: &str, at: usize) -> Result<Has, QueryError> {
    match value.to_ascii_lowercase().as_str() {
        "attachment" | "file" => Ok(Has::Attachment),
        "image" => Ok(Has::File(FileKind::Image)),
        "audio" => Ok(Has::File(FileKind::Audio)),
        "video" => Ok(Has::File(FileKind::Video)),
        "link" => Ok(Has::Link),
        "reply" | "comment" => Ok(Has::Reply),
        "reaction" => Ok(Has::Reaction),
        _ => {
            let hint = "has: takes attachment, image, audio, video, link, reply or reaction";
            Err(wrong(at, format!("nothing has '{value}'"), hint))
        }
    }
}

fn kind(value: &str, at: usize) -> Result<Kind, QueryError> {
    match value.to_ascii_lowercase().as_str() {
        "post" => Ok(Kind::Post),
        "comment" | "reply" => Ok(Kind::Comment),
        "quote" => Ok(Kind::Quote),
        "edited" => Ok(Kind::Edited),
        "message" => Ok(Kind::Message),
        _ => {
            let hint = "is: takes post, comment, quote, edited or message";
            Err(wrong(at, format!("nothing is '{value}'"), hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wishes(text: &str) -> Vec<(bool, Wish)> {
        let query = Query::parse(text).unwrap();
        query.conditions.into_iter().map(|c| (c.wanted, c.wish)).collect()
    }

    fn words(text: &str, open: bool) -> Wish {
        Wish::Phrase(Phrase { words: Words::of(text), open })
    }

    #[test]
    fn queries_are_read() {
        assert_eq!(
            wishes("Ferry -late \"the river\" walk*"),
            [
                (true, words("ferry", false)),
                (false, words("late", false)),
                (true, words("the river", false)),
                (true, words("walk", true)),
            ]
        );
        assert_eq!(
            wishes("from:@bob -has:link is:quote before:2d after:2026-11-22"),
            [
                (true, Wish::From("@bob".into())),
                (false, Wish::Has(Has::Link)),
                (true, Wish::Is(Kind::Quote)),
                (true, Wish::Before("2d".into())),
                (true, Wish::After("2026-11-22".into())),
            ]
        );
        assert_eq!(
            wishes("in:\"Book club/general\" -in:club"),
            [(true, Wish::In("Book club/general".into())), (false, Wish::In("club".into()))]
        );
        for word in ["https://example.org/a:b", "12:30", "note:", "e-mail", "东京"] {
            assert_eq!(wishes(word), [(true, words(word, false))], "{word}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, at, what) in [
            ("", 1, "nothing to look for"),
            ("   ", 1, "nothing to look for"),
            ("a form:@bob", 3, "'form:' is no filter"),
            ("ünï \"open", 5, "a quotation mark that is not closed"),
            ("a -", 3, "a '-' without a word"),
            ("a !!!", 3, "'!!!' has no letter and no digit"),
            ("a \"\"", 3, "'' has no letter and no digit"),
            ("*", 1, "'' has no letter and no digit"),
            ("has:wings", 1, "nothing has 'wings'"),
            ("is:odd", 1, "nothing is 'odd'"),
            ("-before:2d", 1, "a time cannot be excluded"),
            ("ferry from:", 7, "'from:' without what it looks for"),
            ("from:\"\"", 1, "'from:' without what it looks for"),
            ("-has: link", 1, "'has:' without what it looks for"),
            ("After:", 1, "'After:' without what it looks for"),
        ] {
            let error = Query::parse(text).unwrap_err();
            assert_eq!((error.at, error.what.as_str()), (at, what), "{text}");
            assert!(!error.hint.is_empty());
        }
        let many = "a ".repeat(QUERY_CONDITIONS_MAX);
        assert!(Query::parse(&many).is_ok());
        let more = Query::parse(&format!("{many}b")).unwrap_err();
        assert_eq!(more.at, 2 * QUERY_CONDITIONS_MAX + 1);
        assert!(Query::parse(&"a".repeat(QUERY_BYTES_MAX)).is_ok());
        assert!(Query::parse(&"a".repeat(QUERY_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_an_error_inside_it(text in "\\PC{0,60}|[-a-z:\"* ]{0,40}") {
            match Query::parse(&text) {
                Ok(query) => {
                    prop_assert!(!query.conditions.is_empty());
                    for condition in query.conditions {
                        prop_assert!((1..=text.chars().count()).contains(&condition.at));
                    }
                }
                Err(error) => prop_assert!((1..=text.chars().count().max(1)).contains(&error.at)),
            }
        }
    }
}
