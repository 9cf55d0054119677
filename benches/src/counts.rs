//! Exact counts in a short form, held against a file of the repository: bytes, legs,
//! signatures, fsyncs. They are the same on every machine, so any change is a change of the
//! code, for better or worse, and has to be said.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::report::Kind;
use crate::rows::{ALL, Context, Size};

/// The command that takes new counts for right.
const BLESS: &str = "cargo run --release --bin mosaic-benches -- counts --bless";

/// Measures all counts and compares them with the file, or writes it.
///
/// # Errors
/// If a count differs, saying from what to what; or the file cannot be read or written.
pub fn run(bless: bool, scratch: PathBuf, seed: u64) -> Result<(), String> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt"));
    let context = Context::new(Size::Counts, seed, scratch);
    let mut counted = BTreeMap::new();
    // What is measured beside a peer alone is not in every build.
    for (name, benchmark) in ALL.iter().filter(|(name, _)| *name != "S") {
        context.current.set(name);
        for measure in benchmark(&context).measures {
            if measure.kind == Kind::Exact {
                counted.insert(format!("{name}: {}: {}", measure.case, measure.what), measure.ours);
            }
        }
    }
    if bless {
        let mut text = String::new();
        for (name, value) in &counted {
            let _ = writeln!(text, "{name} = {value}");
        }
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{} counts written to {}", counted.len(), path.display());
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let changed = changes(&text, &counted);
    if changed.is_empty() {
        println!("{} counts are as in {}", counted.len(), path.display());
        return Ok(());
    }
    Err(format!(
        "{}\n{} of {} counts changed. If that is meant: {BLESS}",
        changed.join("\n"),
        changed.len(),
        counted.len()
    ))
}

fn changes(text: &str, counted: &BTreeMap<String, f64>) -> Vec<String> {
    let known: BTreeMap<&str, f64> = text
        .lines()
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(" = ")?;
            Some((name, value.parse().ok()?))
        })
        .collect();
    let mut changed = Vec::new();
    for (name, value) in counted {
        match known.get(name.as_str()) {
            None => changed.push(format!("{name}: new, {value}")),
            Some(before) if before != value => {
                changed.push(format!("{name}: {before} → {value} ({:+})", value - before));
            }
            Some(_) => {}
        }
    }
    let gone = known.keys().filter(|name| !counted.contains_key(**name));
    changed.extend(gone.map(|name| format!("{name}: gone")));
    changed
}
