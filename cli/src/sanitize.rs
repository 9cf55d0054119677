//! Text of strangers, before a terminal sees it.
//!
//! A post may hold escape sequences that rename the window, hidden text, or marks that turn
//! the reading direction around. Here they become visible: `\u{202e}`.

use std::fmt::Write as _;

use mosaic_node::api::types::is_hidden;

/// Returns `text` as one line: line breaks, tabs and backslashes are escaped too, so that a
/// field of tab-separated output cannot break out of its column.
pub(crate) fn field(text: &str) -> String {
    clean(text, |c, out| match c {
        '\n' => push(out, "\\n"),
        '\r' => push(out, "\\r"),
        '\t' => push(out, "\\t"),
        '\\' => push(out, "\\\\"),
        _ => false,
    })
}

/// Returns `text` as one line for people: line breaks and tabs become spaces.
pub(crate) fn line(text: &str) -> String {
    clean(text, |c, out| match c {
        '\n' | '\t' => push(out, " "),
        _ => false,
    })
}

/// Returns one line of a text for people: a tab becomes four spaces. A line break in it is none
/// of the text's own, and becomes a space.
pub(crate) fn row(text: &str) -> String {
    clean(text, |c, out| match c {
        '\n' => push(out, " "),
        '\t' => push(out, "    "),
        _ => false,
    })
}

fn push(out: &mut String, text: &str) -> bool {
    out.push_str(text);
    true
}

fn clean(text: &str, known: impl Fn(char, &mut String) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let joins = c == JOINER && joinable(before) && chars.peek().copied().is_some_and(joinable);
        if !known(c, &mut out) {
            if joins || !is_hidden(c) {
                out.push(c);
            } else {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
        before = c;
    }
    out
}

const JOINER: char = '\u{200d}';

/// Whether a zero-width joiner beside `c` makes one picture of several: between emoji.
const fn joinable(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_sequence_is_shown_and_not_obeyed() {
        let post = "hi\u{1b}]0;owned\u{7}\u{1b}[2J";
        assert_eq!(line(post), r"hi\u{1b}]0;owned\u{7}\u{1b}[2J");
    }

    #[test]
    fn every_latin_character_bidi_and_zero_width_mark_as_the_golden_file_says() {
        let mut all: Vec<char> = (0..=0xff).filter_map(char::from_u32).collect();
        all.extend("\u{61c}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}".chars());
        all.extend("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}".chars());
        all.extend("\u{2028}\u{2029}\u{2060}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}".chars());
        all.extend("\u{3164}\u{e0041}".chars());
        let mut shown = String::new();
        for c in all {
            let text = c.to_string();
            let point = u32::from(c);
            let _ = writeln!(shown, "{point:05x} {} | {}", field(&text), line(&text));
        }
        let golden = include_str!("sanitize_golden.txt");
        assert_eq!(shown, golden, "the golden file should be:\n{shown}");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let text = format!("a{c}b");
            for out in [field(&text), line(&text), row(&text)] {
                assert!(!out.chars().any(char::is_control), "{:x}", u32::from(c));
            }
        }
    }

    #[test]
    fn families_stay_together_and_hidden_joiners_do_not() {
        let family = "👩\u{200d}👩\u{200d}👧";
        assert_eq!(line(family), family);
        assert_eq!(line("❤\u{fe0f}\u{200d}🔥"), "❤\u{fe0f}\u{200d}🔥");
        assert_eq!(line("a\u{200d}b"), r"a\u{200d}b");
    }

    #[test]
    fn fields_cannot_break_out_of_their_column() {
        assert_eq!(field("a\tb\nc\\d"), r"a\tb\nc\\d");
        assert_eq!(row("a\tb\nc"), "a    b c");
    }
}
