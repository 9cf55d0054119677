//! Every hint that stands in the code is a command that the parser takes.

use std::fs;
use std::path::Path;

use crate::args;
use crate::error::Early;

/// Stands for what a hint fills in: an id, a name, a number.
const FILLED_IN: &str = "12345678";

/// Collects the literals of the code that begin like a command.
fn collect(folder: &Path, hints: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, hints);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code = |line: &&str| !line.trim_start().starts_with("//") && !line.contains("derive(");
        for line in text.lines().filter(code) {
            for start in line.split("\"mosaic ").skip(1) {
                let hint = start.split('"').next().unwrap_or_default();
                // One that begins with what is filled in is a name of ours, not a command.
                if !hint.starts_with('{') {
                    hints.push(hint.to_owned());
                }
            }
        }
    }
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut hints = Vec::new();
    collect(&root.join("cli/src"), &mut hints);
    collect(&root.join("node/src"), &mut hints);
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
