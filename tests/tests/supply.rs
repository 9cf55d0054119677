//! What the project is made of: licences, sources, forbidden and unused dependencies.
//! `deny.toml` says what is allowed.

use std::collections::BTreeSet;
use std::process::Command;

use mosaic_tests::binary::workspace;
use mosaic_tests::source::files;
use serde_json::Value;

#[test]
fn licences_sources_and_bans_are_as_deny_toml_says() {
    let rules = rules();
    let licences = strings(&rules["licenses"]["allow"]);
    let registries = strings(&rules["sources"]["allow-registry"]);
    let banned: BTreeSet<String> = rules["bans"]["deny"]
        .as_array()
        .expect("a list of bans")
        .iter()
        .filter_map(|ban| Some(ban["name"].as_str()?.to_owned()))
        .collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let name = text(&package, "name");
        let label = format!("{name} {}", text(&package, "version"));
        if !permits(text(&package, "license"), &licences) {
            wrong.push(format!("{label}: licence {:?}", text(&package, "license")));
        }
        let source = text(&package, "source");
        let known = registries.iter().any(|r| source.strip_prefix("registry+") == Some(r));
        if !source.is_empty() && !known {
            wrong.push(format!("{label}: source {source}"));
        }
        if banned.contains(name) {
            wrong.push(format!("{label}: banned"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_dependency_is_used() {
    let sources = files(&[".rs"]);
    let mut wrong = Vec::new();
    for folder in ["engine", "node", "cli", "benches", "tests"] {
        let manifest = std::fs::read_to_string(workspace().join(folder).join("Cargo.toml"))
            .expect("a manifest")
            .parse::<toml::Table>()
            .expect("TOML");
        for table in ["dependencies", "dev-dependencies"] {
            let Some(wanted) = manifest.get(table).and_then(toml::Value::as_table) else {
                continue;
            };
            for name in wanted.keys() {
                let word = name.replace('-', "_");
                let used = sources
                    .iter()
                    .filter(|file| file.path.starts_with(&format!("{folder}/")))
                    .any(|file| names(&file.code(), &word));
                if !used {
                    wrong.push(format!("{folder}/Cargo.toml: {name} is not used"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_foundation_is_pinned() {
    let manifest = std::fs::read_to_string(workspace().join("Cargo.toml")).expect("the manifest");
    let manifest = manifest.parse::<toml::Table>().expect("TOML");
    let wanted = manifest["workspace"]["dependencies"].as_table().expect("dependencies");
    for name in ["automerge", "fjall", "iroh", "iroh-blobs"] {
        let version = wanted[name].as_str().or_else(|| wanted[name].get("version")?.as_str());
        assert!(version.is_some_and(|version| version.starts_with('=')), "{name} is not pinned");
    }
}

/// Packages that this platform's builds consist of. Offline: a test asks nobody.
fn packages() -> Vec<Value> {
    let host = Command::new("rustc").args(["-vV"]).output().expect("rustc starts");
    let host = String::from_utf8(host.stdout).expect("UTF-8");
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let out = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform",
            host,
        ])
        .current_dir(workspace())
        .output()
        .expect("cargo starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn rules() -> toml::Table {
    let text = std::fs::read_to_string(workspace().join("deny.toml")).expect("deny.toml");
    text.parse().expect("TOML")
}

fn strings(list: &toml::Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().filter_map(|item| Some(item.as_str()?.to_owned())).collect()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// Whether an SPDX expression can be met with `allowed` alone. AND binds tighter than OR.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    !tokens.is_empty() && any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all_of(rest, allowed);
    while let Some((&"OR", tail)) = rest.split_first() {
        *rest = tail;
        met |= all_of(rest, allowed);
    }
    met
}

fn all_of(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one_of(rest, allowed);
    while let Some((&"AND", tail)) = rest.split_first() {
        *rest = tail;
        met &= one_of(rest, allowed);
    }
    met
}

fn one_of(rest: &mut &[&str], allowed: &[String]) -> bool {
    let Some((first, tail)) = rest.split_first() else { return false };
    *rest = tail;
    if *first == "(" {
        let met = any_of(rest, allowed);
        let closed = rest.split_first();
        *rest = closed.map_or(&[], |(_, tail)| tail);
        return met && closed.is_some_and(|(token, _)| *token == ")");
    }
    let mut name = (*first).to_owned();
    if let ["WITH", exception, tail @ ..] = *rest {
        name = format!("{name} WITH {exception}");
        *rest = tail;
    }
    allowed.contains(&name)
}

/// Whether `word` stands in `code` as a whole word.
fn names(code: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(inside)
            && !code[at + word.len()..].chars().next().is_some_and(inside)
    })
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    assert!(permits("MIT", &allowed) && permits("GPL-3.0 OR MIT", &allowed));
    assert!(permits("MIT AND (GPL-3.0 OR Apache-2.0 WITH LLVM-exception)", &allowed));
    assert!(permits("Apache-2.0/MIT", &allowed));
    assert!(!permits("", &allowed) && !permits("MIT AND GPL-3.0", &allowed));
    assert!(!permits("(MIT", &allowed) && !permits("Apache-2.0", &allowed));
}
