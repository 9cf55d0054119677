//! Records as lines that no terminal obeys.
//!
//! JSON itself escapes only what is below U+0020. A record may hold a stranger's text, and may
//! be printed on a terminal as it is: what moves a cursor or hides is escaped too, as `\u009b`,
//! which reads back as the same text.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// Whether `c` moves the cursor, turns the direction, or takes no room.
#[must_use]
pub const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0d}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns a value as JSON in which nothing hidden stands as it is; empty if it has no JSON.
pub(super) fn plain(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    match value.serialize(&mut Serializer::with_formatter(&mut out, Plain)) {
        Ok(()) => out,
        Err(_) => Vec::new(),
    }
}

struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_hidden) {
            let (clear, from) = rest.split_at(at);
            writer.write_all(clear.as_bytes())?;
            let mut chars = from.chars();
            let hidden = chars.next().unwrap_or_default();
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_comes_back_and_none_is_obeyed() {
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        let line = String::from_utf8(plain(&all)).unwrap();
        assert!(!line.chars().any(is_hidden));
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), all);
        assert_eq!(plain(&"a\u{9b}2J\u{e0041}"), br#""a\u009b2J\udb40\udc41""#);
        assert_eq!(plain(&"Zoë 👍"), "\"Zoë 👍\"".as_bytes());
    }
}
