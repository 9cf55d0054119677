//! Texts as they are typed: one character inserted or deleted, then the next.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use mosaic_engine::document::Splice;
use serde::Deserialize;

use super::{Seeded, prose};

/// Bytes that a trace may unfold to.
const TRACE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Where the published trace is, in the crate that carries it.
const PAPER: &str = "benches/automerge-paper.json.gz";
/// That crate.
const CARRIER: &str = "loro-internal-";

/// What somebody typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The edits, in order.
    pub edits: Vec<Splice>,
    /// What the text is in the end, if that is known beforehand.
    pub end: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    start_content: String,
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    patches: Vec<(usize, usize, String)>,
}

/// Reads a trace in the form of Gentle's collection of editing traces: JSON, gzipped.
///
/// # Errors
/// If it cannot be read, is of another form, or does not begin with an empty text.
pub fn read(path: &Path) -> Result<Typed, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let mut text = String::new();
    let mut unfolded = GzDecoder::new(file).take(TRACE_BYTES_MAX);
    unfolded.read_to_string(&mut text).map_err(|error| wrong(&error))?;
    let file: File = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    if !file.start_content.is_empty() {
        return Err(wrong(&"begins with a text"));
    }
    let patches = file.txns.into_iter().flat_map(|transaction| transaction.patches);
    let edits = patches.map(|(at, deleted, inserted)| Splice { at, deleted, inserted });
    Ok(Typed { edits: edits.collect(), end: Some(file.end_content) })
}

/// Looks for the published trace among the sources that cargo has unpacked.
#[must_use]
pub fn found() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let crates = registries.filter_map(|registry| std::fs::read_dir(registry.path()).ok());
    let mut found: Vec<PathBuf> = crates
        .flat_map(|crates| crates.flatten())
        .filter(|folder| folder.file_name().to_string_lossy().starts_with(CARRIER))
        .map(|folder| folder.path().join(PAPER))
        .filter(|file| file.is_file())
        .collect();
    found.sort();
    found.pop()
}

/// Types `edits` edits of the shape of the published trace, of which these are the figures:
/// runs of insertions with a median of 9 and of deletions with a median of 2, a character
/// each; seven runs of deletions on ten of insertions; after half of them the cursor stays.
#[must_use]
pub fn typed(seed: u64, edits: usize) -> Typed {
    let mut seeded = Seeded::new(seed);
    let (mut out, mut length, mut at) = (Vec::with_capacity(edits), 0, 0usize);
    let mut words = prose::text(0, 2 * edits.max(64), &mut seeded).into_bytes().into_iter();
    let run = |median: f64, deviation: f64, seeded: &mut Seeded| {
        (median * (deviation * seeded.normal()).exp()).clamp(1.0, 500.0) as usize
    };
    while out.len() < edits {
        if seeded.below(2) == 0 {
            let far = run(40.0, 1.5, &mut seeded);
            at = if seeded.below(2) == 0 { at.saturating_sub(far) } else { at + far };
            at = at.min(length);
        }
        for _ in 0..run(9.0, 1.7, &mut seeded).min(edits - out.len()) {
            let letter = char::from(words.next().unwrap_or(b' '));
            out.push(Splice { at, deleted: 0, inserted: letter.to_string() });
            (at, length) = (at + 1, length + 1);
        }
        if seeded.below(10) < 7 {
            for _ in 0..run(2.0, 1.6, &mut seeded).min(at).min(edits - out.len()) {
                (at, length) = (at - 1, length - 1);
                out.push(Splice { at, deleted: 1, inserted: String::new() });
            }
        }
    }
    Typed { edits: out, end: None }
}
