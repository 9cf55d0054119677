//! Every hint that stands in the code is a command that the parser takes.

use std::fs;
use std::path::Path;

use crate::args;
use crate::error::Early;

/// Stands for what a hint fills in: an id, a name, a number.
const FILLED_IN: &str = "12345678";

/// Calls whose last argument is a hint.
const CALLS: [&str; 3] = ["Failure::hinted(", "Failure::usage(", ".with_hint("];

/// Collects the code of a folder, without its tests.
fn collect(folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
            continue;
        }
        if path.ends_with("cli/src/hints.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code = |line: &&str| !line.trim_start().starts_with("//") && !line.contains("derive(");
        files.push(text.lines().filter(code).collect::<Vec<_>>().join("\n"));
    }
}

/// The code of this program and of its node.
fn code() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    collect(&root.join("cli/src"), &mut files);
    collect(&root.join("node/src"), &mut files);
    files
}

/// The literals that begin like a command.
fn commands(code: &str) -> Vec<&str> {
    let starts = code.lines().flat_map(|line| line.split("\"mosaic ").skip(1));
    let hints = starts.map(|start| start.split('"').next().unwrap_or_default());
    // One that begins with what is filled in is a name of ours, not a command.
    hints.filter(|hint| !hint.starts_with('{')).collect()
}

/// Cuts what stands before `end` at the level of brackets where `code` begins, at each comma.
fn parts(code: &str, end: char) -> Vec<&str> {
    let (mut level, mut begun, mut parts) = (0, 0, Vec::new());
    let mut chars = code.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            // A bracket by itself, not one of the code.
            '\'' if code[at..].get(2..3) == Some("'") => {
                chars.nth(1);
            }
            '"' => loop {
                match chars.next() {
                    Some((_, '\\')) => _ = chars.next(),
                    Some((_, '"')) | None => break,
                    _ => {}
                }
            },
            _ if level == 0 && (c == end || c == ',') => {
                parts.push(code[begun..at].trim());
                begun = at + 1;
                if c == end {
                    break;
                }
            }
            '(' | '[' | '{' => level += 1,
            ')' | ']' | '}' => level -= 1,
            _ => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// What a name of `code` stands for; nothing if it comes from elsewhere.
fn values<'a>(code: &'a str, name: &str) -> Vec<&'a str> {
    let starts = [format!("const {name}: &str ="), format!("let {name} =")];
    let mut values = Vec::new();
    for start in &starts {
        let given = code.split(start.as_str()).skip(1);
        values.extend(given.filter_map(|value| parts(value, ';').first().copied()));
    }
    values
}

/// The hints that do not begin like a command.
fn no_commands(code: &str) -> Vec<&str> {
    let mut hints = Vec::new();
    for call in CALLS {
        hints.extend(code.split(call).skip(1).filter_map(|rest| parts(rest, ')').pop()));
    }
    for field in [" hint: ", " elsewhere: "] {
        let given = code.split(field).skip(1).filter(|rest| rest.starts_with('"'));
        hints.extend(given.filter_map(|rest| parts(rest, '}').first().copied()));
    }
    let named: Vec<&str> = hints.iter().flat_map(|hint| values(code, hint)).collect();
    hints.extend(named);
    let literals = hints.into_iter().filter(|hint| hint.contains('"'));
    // One that begins with what is filled in is somebody else's, or looked at by its name.
    literals.filter(|hint| !hint.contains("\"mosaic ") && !hint.contains("\"{")).collect()
}

/// Puts something where a hint leaves room, and takes quotes away.
fn filled_in(hint: &str) -> String {
    let mut text = String::new();
    let mut rest = hint;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        text.push_str(FILLED_IN);
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    text.replace('\'', "")
}

#[test]
fn every_hint_is_a_command() {
    let files = code();
    let hints: Vec<&str> = files.iter().flat_map(|code| commands(code)).collect();
    assert!(hints.len() > 100, "{}", hints.len());
    let mut wrong = Vec::new();
    for hint in &hints {
        for command in format!("mosaic {}", filled_in(hint)).split(" && ") {
            let parsed = args::parse(command.split_whitespace().map(Into::into));
            if let Err(Early::Clap(error, ..)) = parsed
                && error.use_stderr()
            {
                wrong.push(format!("{command}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_else_is_a_hint() {
    let files = code();
    let wrong: Vec<&str> = files.iter().flat_map(|code| no_commands(code)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for hint in [
        "error.with_hint(\"--keep it\")",
        "let hint = match x { 1 => \"no\", _ => y };\nFailure::usage(format!(\"a, {b})\"), hint)",
        "const H: &str = \"no\";\nFailure::hinted(\nkind,\nmessage,\nH,\n)",
        "Purpose { of: \"x\", hint: \"no\" }",
    ] {
        assert_eq!(no_commands(hint).len(), 1, "{hint}");
    }
    assert!(no_commands("Failure::usage(\"no (\", format!(\"mosaic {x}\"))").is_empty());
}
