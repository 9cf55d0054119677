//! Texts of the web as plain ones.

use std::fmt::Write;

use html2text::config::Config;
use html2text::render::{TextDecorator, TrivialDecorator};

/// No line is broken but where the page breaks it.
const WIDTH: usize = 4000;
/// How deep elements may stand in each other: more is no text of a person.
const DEPTH_MAX: usize = 256;

/// Turns HTML into text. With `links`, what a link leads to stands below; without, only what it
/// says, as for texts that show their addresses.
pub(super) fn of_html(html: &str, links: bool) -> String {
    if depth(html) > DEPTH_MAX {
        return html.to_owned();
    }
    let rendered = if links {
        rendered(html2text::config::plain().link_footnotes(true), html)
    } else {
        rendered(html2text::config::with_decorator(TrivialDecorator::new()), html)
    };
    match rendered {
        Ok(text) => tidy(&text),
        Err(_) => html.to_owned(),
    }
}

/// Takes a text out of the indentation of the file that it stood in.
pub(super) fn of_plain(text: &str) -> String {
    text.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

fn rendered<D: TextDecorator>(config: Config<D>, html: &str) -> Result<String, html2text::Error> {
    let config = config.raw_mode(true).no_link_wrapping().allow_width_overflow();
    config.string_from_read(html.as_bytes(), WIDTH)
}

/// An upper bound of how deep elements stand in each other.
fn depth(html: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for (at, _) in html.match_indices('<') {
        match html.as_bytes().get(at + 1) {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(byte) if byte.is_ascii_alphabetic() => {
                let end = html.get(at..).and_then(|rest| rest.find('>')).unwrap_or(0);
                let tag = html.get(at + 1..at + end).unwrap_or_default();
                let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next();
                let void = ["br", "img", "hr", "input", "wbr", "p", "li", "meta", "link"];
                if !tag.ends_with('/')
                    && !name.is_some_and(|name| void.contains(&name.to_ascii_lowercase().as_str()))
                {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
            }
            _ => {}
        }
    }
    deepest
}

/// Ends of lines without spaces, no line of a rule longer than three, no two empty lines.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let line = line.trim_end();
        let rule = !line.is_empty() && line.chars().all(|c| c == '─' || c == '-');
        let line = if rule && line.len() > 3 { "---" } else { line };
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            // Writing to a text does not fail.
            let _ = writeln!(out, "{line}");
        }
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_texts() {
        let page = "<h1>Boats</h1><p>One &amp; two.<br>Three <b>four</b>, \
                    <a href=\"https://a.example/x\">there</a>.</p><hr><ul><li>a<li>b</ul>";
        let text = of_html(page, true);
        for part in ["Boats", "One & two.\nThree", "[there][1]", "[1]: https://a.example/x", "* a"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("----"), "{text}");
        let plain =
            of_html("<p>see <a href=\"https://b.example\"><span>b.example</span></a></p>", false);
        assert_eq!(plain, "see b.example");
    }

    #[test]
    fn what_nobody_wrote_ends_nothing() {
        for tag in ["<div>", "<b>", "<blockquote>", "<table><tr><td>", "<ul><li>"] {
            let deep = tag.repeat(100_000);
            assert!(!of_html(&format!("{deep}x"), true).is_empty());
        }
        assert_eq!(of_html("", true), "");
        assert_eq!(of_html("a < b & c", false), "a < b & c");
    }
}
