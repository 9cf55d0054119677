//! Texts of the web as plain ones.

use std::fmt::Write;

use html2text::config::Config;
use html2text::render::{TextDecorator, TrivialDecorator};

/// No line is broken but where the page breaks it.
const WIDTH: usize = 4000;
/// How deep elements may stand in each other: more is no text of a person.
const DEPTH_MAX: usize = 256;
/// How deep nodes of a page may: a parser adds what tags leave out.
const NODES_DEPTH_MAX: usize = 2 * DEPTH_MAX + 8;
/// How many tags a text may have: the parser looks back at all that is open for each.
const TAGS_MAX: usize = 65_536;
/// Elements that hold nothing, or end where the next one of them begins.
const ALONE: [&str; 9] = ["br", "img", "hr", "input", "wbr", "p", "li", "meta", "link"];
/// Elements that need no end tag.
const ENDED_BY_OTHERS: [&str; 11] =
    ["td", "tr", "th", "tbody", "thead", "tfoot", "dt", "dd", "option", "rt", "rp"];

/// Turns HTML into text. With `links`, what a link leads to stands below; without, only what it
/// says, as for texts that show their addresses.
pub(super) fn of_html(html: &str, links: bool) -> String {
    if html.matches('<').count() > TAGS_MAX || depth(html) > DEPTH_MAX {
        return html.to_owned();
    }
    let rendered = if links {
        rendered(html2text::config::plain().link_footnotes(true), html)
    } else {
        rendered(html2text::config::with_decorator(TrivialDecorator::new()), html)
    };
    match rendered {
        Ok(Some(text)) => tidy(&text),
        Ok(None) | Err(_) => html.to_owned(),
    }
}

/// Takes a text out of the indentation of the file that it stood in.
pub(super) fn of_plain(text: &str) -> String {
    text.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

/// `None` if it turns out to be too deep, which would end the program.
fn rendered<D: TextDecorator>(
    config: Config<D>,
    html: &str,
) -> Result<Option<String>, html2text::Error> {
    let config = config.raw_mode(true).no_link_wrapping().allow_width_overflow();
    let page = config.parse_html(html.as_bytes())?;
    let mut next = vec![(page.document.clone(), 0)];
    while let Some((node, depth)) = next.pop() {
        if depth > NODES_DEPTH_MAX {
            return Ok(None);
        }
        next.extend(node.children.borrow().iter().map(|child| (child.clone(), depth + 1)));
    }
    let tree = config.dom_to_render_tree(&page)?;
    config.render_to_string(tree, WIDTH).map(Some)
}

/// How deep elements stand in each other, as far as tags tell without a parser, which would take
/// too long for what nobody wrote.
fn depth(html: &str) -> usize {
    let (mut open, mut deepest, mut rest) = (Vec::new(), 0, html);
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if let Some(comment) = rest.strip_prefix('!').filter(|rest| rest.starts_with("--")) {
            let Some((_, after)) = comment.split_once("-->") else { break };
            rest = after;
            continue;
        }
        if deepest > DEPTH_MAX {
            break;
        }
        let (tag, ends) = match rest.strip_prefix('/') {
            Some(tag) => (tag, true),
            None => (rest, false),
        };
        if !tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let Some((tag, after)) = tag_of(tag) else { break };
        rest = after;
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if ends || is_one_of(name, &ENDED_BY_OTHERS) {
            close(&mut open, name);
        }
        if ends {
            continue;
        }
        if !tag.ends_with('/') && !is_one_of(name, &ALONE) {
            open.push(name);
            deepest = deepest.max(open.len());
        }
    }
    deepest
}

/// Cuts behind a tag: one ends with `>`, but not with one in a value.
fn tag_of(rest: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut before = ' ';
    let end = rest.find(|c: char| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') && before == '=' => quote = Some(c),
            None if c == '>' => return true,
            _ => {}
        }
        if !c.is_ascii_whitespace() {
            before = c;
        }
        false
    })?;
    Some((rest.get(..end)?, rest.get(end + 1..)?))
}

/// Closes an element, and what in it needs no end. An end of what is not open, or has in it what
/// needs one, closes nothing: else ends alone would hide how deep the rest is.
fn close(open: &mut Vec<&str>, name: &str) {
    let inside = open.iter().rev().take_while(|inner| {
        !inner.eq_ignore_ascii_case(name) && is_one_of(inner, &ENDED_BY_OTHERS)
    });
    let at = open.len() - inside.count();
    if at.checked_sub(1).and_then(|at| open.get(at)).is_some_and(|it| it.eq_ignore_ascii_case(name))
    {
        open.truncate(at - 1);
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
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
    fn only_what_is_open_is_closed() {
        for flat in [
            "<ul><li>a<li>b</ul>",
            "<table><tr><td>a<td>b<tr><td>c</table>",
            "<b>x</b><!-- <div> --><br/><a href='x>y'>z</a>",
            "a < b, <3 & <a",
            "<DIV>x</div>",
        ] {
            assert!(depth(&flat.repeat(1000)) <= 3, "{flat}: {}", depth(&flat.repeat(1000)));
        }
        for deep in [
            "<div></x>",
            "<div></ div>",
            "<div><!--</div>-->",
            "<div title='></div>'>",
            "<b><div></b>",
            "<p><font size=1></p>",
        ] {
            assert!(depth(&deep.repeat(1000)) > DEPTH_MAX, "{deep}");
            assert!(!of_html(&format!("{}x", deep.repeat(1000)), true).is_empty(), "{deep}");
        }
        assert_eq!(
            of_html(&"<table><tr><td>x</table>".repeat(300), false).matches('x').count(),
            300
        );
    }

    #[test]
    fn tags_are_looked_at_once() {
        // Each of them looked to the end before, and 4 MiB of them took minutes.
        for tag in ["<a", "<a x='", "<!--", "</", "<td>"] {
            assert!(depth(&tag.repeat(4 * 1024 * 1024 / tag.len())) <= DEPTH_MAX + 1, "{tag}");
        }
    }

    #[test]
    fn what_nobody_wrote_ends_nothing() {
        // Deeper than tags tell: in a drawing a title is no text.
        let hidden = "<svg><title><b title='</title>'>".repeat(20_000);
        assert!(!of_html(&format!("{hidden}x"), true).is_empty());
        for tag in ["<ul><li>", "<table><td>"] {
            assert!(!of_html(&format!("{}x", tag.repeat(250)), true).is_empty(), "{tag}");
        }
        for tag in ["<div>", "<b>", "<blockquote>", "<table><tr><td>", "<ul><li>"] {
            let deep = tag.repeat(100_000);
            assert!(!of_html(&format!("{deep}x"), true).is_empty());
        }
        assert_eq!(of_html("", true), "");
        assert_eq!(of_html("a < b & c", false), "a < b & c");
    }
}
