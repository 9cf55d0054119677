//! The project's own source, read as text: what the rules about it are checked on.

use std::path::{Path, PathBuf};

use crate::binary::workspace;

/// A file of the repository.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path below the root, with forward slashes.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// Returns the text without comments and without what stands between quotes.
    #[must_use]
    pub fn code(&self) -> String {
        strip(&self.text)
    }

    /// Returns [`SourceFile::code`] up to the unit tests, which stand last in a file.
    #[must_use]
    pub fn code_without_tests(&self) -> String {
        let code = self.code();
        let tests = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
        code[..tests].to_owned()
    }
}

/// Returns the text files of the repository with one of `endings`, sorted by path.
///
/// # Panics
/// If a folder or file cannot be read.
#[must_use]
pub fn files(endings: &[&str]) -> Vec<SourceFile> {
    let root = workspace();
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)))
        .map(|path| SourceFile {
            text: std::fs::read_to_string(&path).expect("a text file"),
            path: path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned(),
        })
        .collect()
}

fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
    for item in std::fs::read_dir(folder).expect("a folder") {
        let path = item.expect("a folder's item").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != ".git" {
                walk(&path, out);
            }
        } else {
            out.push(path);
        }
    }
}

/// Returns the first path segments that `code` names after `crate::`, braces opened.
#[must_use]
pub fn crate_names(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_names(group)),
            None => names.push(identifier(rest)),
        }
    }
    names
}

fn group_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(identifier(group[start..at].trim_start()));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Blanks comments, strings and character literals; line breaks stay.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = skipped(rest);
        let (taken, tail) = rest.split_at(if skip == 0 { first.len_utf8() } else { skip });
        if skip == 0 {
            out.push(first);
        } else {
            out.extend(taken.chars().filter(|c| *c == '\n'));
        }
        rest = tail;
    }
    out
}

/// Bytes of the comment or literal that `text` starts with, 0 if it starts with neither.
fn skipped(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = 1 + hashes + 1;
            return text[body..].find(&close).map_or(text.len(), |end| body + end + close.len());
        }
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    // 'x' and '\n', not the lifetime 'x
    let mut letters = text.chars();
    if letters.next() == Some('\'') {
        let second = letters.next();
        if second == Some('\\') || letters.next() == Some('\'') {
            return quoted(text, '\'');
        }
    }
    0
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = "let a = \"crate::no\"; // crate::no\n/* crate::no */ let b: &'a str = r#\"crate::no\"#; let c = '\"'; crate::yes::Name;";
        assert_eq!(crate_names(&strip(text)), ["yes"]);
        assert!(strip(text).contains("&'a str"));
    }

    #[test]
    fn groups_are_opened() {
        let code = "use crate::{\n    hash::{A, B},\n    codec::Reader, limits,\n};\nmycrate::no;";
        assert_eq!(crate_names(code), ["hash", "codec", "limits"]);
    }
}
