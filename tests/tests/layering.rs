//! The rules of the house that no compiler holds: who may name whom, and what no file says.

use std::collections::BTreeMap;

use mosaic_tests::binary::workspace;
use mosaic_tests::source::{SourceFile, crate_names, files};

/// The engine's modules from the bottom up. A module names modules of lower rows freely;
/// of its own row and above only what [`BESIDE`] lists.
const LAYERS: &[&[&str]] = &[
    &["limits", "codec", "hash", "entropy"],
    &["description"],
    &["identity"],
    &["chain", "change"],
    &["model", "seal", "search", "sketch"],
    &["document", "wire", "authority", "hub"],
    &["store", "view", "sync"],
    &["replica"],
];

/// Names within one row, each with its reason.
const BESIDE: &[(&str, &str)] = &[
    // a fork proof and a change are about the links of one chain
    ("change", "chain"),
    // rows are built under the keys that the store gives them
    ("view", "store"),
    // an entry of a conversation has the form that sealing gives it
    ("model", "seal"),
];

/// Who may name a foreign crate: (crate, where paths may start, in which folders it is held).
const FOREIGN: &[(&str, &[&str], &[&str])] = &[
    ("automerge", &["engine/src/change", "engine/src/document"], &["engine/", "node/", "cli/"]),
    ("fjall", &["engine/src/store/disk"], &["engine/", "node/", "cli/"]),
    ("xxhash_rust", &["engine/src/store/"], &["engine/", "node/", "cli/"]),
    ("ed25519_dalek", &["engine/src/identity"], &["engine/", "node/", "cli/"]),
    (
        "hpke",
        &["engine/src/seal", "engine/src/identity/secret", "engine/src/identity/recovery"],
        &["engine/", "node/", "cli/"],
    ),
    ("age", &["node/src/seal"], &["engine/", "node/", "cli/"]),
    ("bip39", &["node/src/words"], &["engine/", "node/", "cli/"]),
    ("similar", &["engine/src/document/text"], &["engine/", "node/", "cli/"]),
    ("flate2", &["engine/src/change/text"], &["engine/"]),
    ("unicode_normalization", &["engine/src/search"], &["engine/", "node/", "cli/"]),
    ("chacha20poly1305", &["engine/src/seal"], &["engine/", "node/", "cli/"]),
    ("iroh", &["node/src"], &["engine/", "node/", "cli/"]),
    ("iroh_blobs", &["node/src"], &["engine/", "node/", "cli/"]),
    (
        "tokio",
        &["node/src", "cli/src/main.rs", "cli/src/commands/demo/"],
        &["engine/", "node/", "cli/"],
    ),
    ("axum", &["node/src"], &["engine/", "node/", "cli/"]),
    ("serde", &["node/src", "cli/src"], &["engine/", "node/", "cli/"]),
    ("serde_json", &["node/src", "cli/src"], &["engine/", "node/", "cli/"]),
    ("getrandom", &["node/src"], &["engine/", "node/", "cli/"]),
];

#[test]
fn imports_only_go_down() {
    let rank: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(row, names)| names.iter().map(move |name| (*name, row)))
        .collect();
    let mut wrong = Vec::new();
    for file in production("engine/src/") {
        let Some(module) = engine_module(&file.path) else { continue };
        let Some(own) = rank.get(module) else {
            wrong.push(format!("{}: module {module} has no place in the layers", file.path));
            continue;
        };
        let code = file.code_without_tests();
        for name in crate_names(&code).into_iter().chain(root_names(&file.path, &code)) {
            let fine = name == module
                || BESIDE.contains(&(module, name.as_str()))
                || rank.get(name.as_str()).is_some_and(|other| other < own);
            if !fine {
                wrong.push(format!("{}: {module} names {name}", file.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn foreign_crates_have_one_door() {
    let mut wrong = Vec::new();
    for (name, doors, held) in FOREIGN {
        for folder in *held {
            for file in production(folder) {
                if doors.iter().any(|door| file.path.starts_with(door)) {
                    continue;
                }
                if mentions(&file.code_without_tests(), name) {
                    wrong.push(format!("{} names {name}", file.path));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn only_the_clock_asks_the_time() {
    let words = ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "Utc::now"];
    let mut wrong = Vec::new();
    for file in production("") {
        if file.path.starts_with("node/src/clock") {
            continue;
        }
        let code = file.code_without_tests();
        for word in words.iter().filter(|word| code.contains(*word)) {
            wrong.push(format!("{} calls {word}", file.path));
        }
    }
    none(&wrong);
}

#[test]
fn signatures_are_checked_in_one_place() {
    let mut calls = Vec::new();
    let mut wrong = Vec::new();
    for file in production("") {
        let code = file.code_without_tests();
        calls.extend(code.matches("verify_strict").map(|_| file.path.clone()));
        if code.contains("verify_batch") {
            wrong.push(format!(
                "{}: a batch check can accept what the strict one refuses",
                file.path
            ));
        }
    }
    assert_eq!(calls, ["engine/src/identity/signature.rs"], "call sites of verify_strict");
    none(&wrong);
}

#[test]
fn engine_types_are_not_serialised_by_accident() {
    let mut wrong = Vec::new();
    for file in production("engine/") {
        let code = file.code();
        for word in ["Serialize", "println!", "eprintln!", "process::exit", "env::var"] {
            if code.contains(word) {
                wrong.push(format!("{} says {word}", file.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_file_of_tests_is_run() {
    let text = |path: &str| std::fs::read_to_string(workspace().join(path)).expect("a file");
    let manifest = text("tests/Cargo.toml");
    let programs: Vec<_> = files(&[".rs"])
        .into_iter()
        .filter_map(|file| {
            Some(file.path.strip_prefix("tests/tests/")?.trim_end_matches(".rs").to_owned())
        })
        .collect();
    let (roots, modules): (Vec<_>, Vec<_>) = programs
        .into_iter()
        .partition(|name| manifest.contains(&format!("[[test]]\nname = \"{name}\"\n")));
    let roots: String = roots.iter().map(|name| text(&format!("tests/tests/{name}.rs"))).collect();
    let lost: Vec<_> = modules
        .into_iter()
        .filter(|name| !roots.contains(&format!("\nmod {name};\n")))
        .map(|name| format!("no program of tests has tests/tests/{name}.rs"))
        .collect();
    none(&lost);
}

#[test]
fn files_fit_a_head() {
    let long: Vec<String> = files(&[".rs"])
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > 600)
        .map(|(lines, path)| format!("{path} has {lines} lines"))
        .collect();
    none(&long);
}

#[test]
fn nothing_is_left_unfinished() {
    // Written apart, so that this file does not find itself.
    let marks = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["#[ig", "nore"].concat(),
        ["FIX", "ME"].concat(),
        ["TO", "DO"].concat(),
        ["HA", "CK"].concat(),
    ];
    let mut wrong = Vec::new();
    for file in files(&[".rs", ".toml", ".md", ".yml"]) {
        for mark in marks.iter().filter(|mark| file.text.contains(mark.as_str())) {
            wrong.push(format!("{} says {mark}", file.path));
        }
    }
    none(&wrong);
}

#[test]
fn names_say_what_things_are() {
    let vague = ["util", "utils", "helper", "helpers", "manager", "misc", "common", "data", "info"];
    let mut wrong = Vec::new();
    for file in files(&[".rs"]) {
        let stem = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        if vague.contains(&stem) {
            wrong.push(format!("{}: name it after what it holds", file.path));
        }
        let code = file.code();
        for prefix in ["fn get_", "fn do_", "fn process_"] {
            for (at, _) in code.match_indices(prefix) {
                let name: String = code[at + 3..].chars().take_while(|c| *c != '(').collect();
                wrong.push(format!("{}: fn {name}", file.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn assertions_assert_something() {
    let mut wrong = Vec::new();
    for file in files(&[".rs"]) {
        for (number, line) in file.code().lines().enumerate() {
            let line = line.trim();
            let idle = line.starts_with("matches!(") && line.ends_with(");");
            if idle || line.contains("assert!(true") {
                wrong.push(format!("{}:{}: {line}", file.path, number + 1));
            }
        }
    }
    none(&wrong);
}

#[test]
fn the_repository_names_no_machine() {
    let roots = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["/ho", "me/"].concat()];
    let mut wrong = Vec::new();
    for file in files(&[".rs", ".toml", ".md", ".yml", ".lock", "run", ".sh"]) {
        for (number, line) in file.text.lines().enumerate() {
            let at_root = |at: usize| {
                !line[..at]
                    .ends_with(|before: char| before.is_alphanumeric() || "$]".contains(before))
            };
            let found =
                |root: &String| line.match_indices(root.as_str()).any(|(at, _)| at_root(at));
            if roots.iter().any(found) {
                wrong.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none(&wrong);
}

/// Files of the shipped crates below `prefix`, whole test files left out.
fn production(prefix: &str) -> Vec<SourceFile> {
    let all = files(&[".rs"]);
    let shipped = ["engine/src/", "node/src/", "cli/src/"];
    all.iter()
        .filter(|file| shipped.iter().any(|root| file.path.starts_with(root)))
        .filter(|file| file.path.starts_with(prefix))
        .filter(|file| !is_test_file(file, &all))
        .cloned()
        .collect()
}

/// Whether the file is declared `#[cfg(test)] mod name;` by its parent, or lies below one.
fn is_test_file(file: &SourceFile, all: &[SourceFile]) -> bool {
    let path = file.path.trim_end_matches(".rs");
    path.match_indices('/').map(|(at, _)| at).chain([path.len()]).any(|end| {
        let Some((folder, name)) = path[..end].rsplit_once('/') else { return false };
        let parents = [format!("{folder}.rs"), format!("{folder}/lib.rs")];
        let declaration = format!("#[cfg(test)]\nmod {name};");
        all.iter()
            .any(|parent| parents.contains(&parent.path) && parent.text.contains(&declaration))
    })
}

/// Returns the module of the engine that a file belongs to; the crate root has none.
fn engine_module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("engine/src/")?;
    let module = inside.split(['/', '.']).next()?;
    (module != "lib").then_some(module)
}

/// Returns the modules of the crate root that `super::` chains of a file reach.
fn root_names(path: &str, code: &str) -> Vec<String> {
    let inside = path.trim_start_matches("engine/src/").trim_end_matches(".rs");
    let climb = "super::".repeat(inside.split('/').count());
    code.match_indices(&climb)
        .filter(|(at, _)| !code[..*at].ends_with("super::"))
        .map(|(at, _)| {
            let rest = &code[at + climb.len()..];
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        })
        .collect()
}

/// Whether a crate is named as a path or imported.
fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let own_path = code[..at].ends_with("::") || code[..at].ends_with('.');
        let after = &code[at + name.len()..];
        let whole = !before.is_alphanumeric() && before != '_' && !own_path;
        whole
            && (after.starts_with("::")
                || code[..at].ends_with("use ")
                || code[..at].ends_with("crate "))
    })
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
