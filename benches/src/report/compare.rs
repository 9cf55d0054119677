//! What changed from one report to another.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Kind, Measure, Report, SCHEMA};

/// Reads a report.
///
/// # Errors
/// If the file cannot be read, or is of another schema.
pub fn read(path: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let report: Report =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    if report.schema != SCHEMA {
        let found = report.schema;
        return Err(format!("{}: schema {found}, this program reads {SCHEMA}", path.display()));
    }
    Ok(report)
}

/// Returns a line for each figure that differs: a count if it differs at all, a ratio if the
/// spreads do not touch, and what is in one report only.
///
/// # Errors
/// If the reports are of different modes or seeds: they measured different things.
pub fn differences(before: &Report, after: &Report) -> Result<Vec<String>, String> {
    for (what, a, b) in [
        ("mode", before.mode.clone(), after.mode.clone()),
        ("seed", before.seed.to_string(), after.seed.to_string()),
    ] {
        if a != b {
            return Err(format!("the reports do not compare: {what} {a} and {b}"));
        }
    }
    let (old, new) = (figures(before), figures(after));
    let mut lines = Vec::new();
    for (key, measure) in &new {
        match old.get(key) {
            None => lines.push(format!("{key}: new, {}", measure.ours)),
            Some(known) if differs(known, measure) => lines.push(line(key, known, measure)),
            Some(_) => {}
        }
    }
    lines
        .extend(old.keys().filter(|key| !new.contains_key(*key)).map(|key| format!("{key}: gone")));
    Ok(lines)
}

/// Returns all figures of a report by name.
fn figures(report: &Report) -> BTreeMap<String, &Measure> {
    let of = |row: &'_ super::Row, measure: &Measure| {
        format!("{} {}: {}", row.name, measure.case, measure.what)
    };
    let rows = report.rows.iter();
    rows.flat_map(|row| row.measures.iter().map(move |m| (of(row, m), m))).collect()
}

fn differs(before: &Measure, after: &Measure) -> bool {
    match after.kind {
        Kind::Exact => before.ours != after.ours,
        Kind::Ratio => {
            let spread = |m: &Measure| m.quartiles.unwrap_or([m.ours; 2]);
            let ([a_low, a_high], [b_low, b_high]) = (spread(before), spread(after));
            b_low > a_high || b_high < a_low
        }
        Kind::Shown => false,
    }
}

/// Says from what to what a figure changed.
#[must_use]
pub fn line(key: &str, before: &Measure, after: &Measure) -> String {
    let (a, b) = (before.ours, after.ours);
    let part = if a == 0.0 { String::new() } else { format!(", {:+.1} %", (b / a - 1.0) * 100.0) };
    let unit = if after.unit.is_empty() { String::new() } else { format!(" {}", after.unit) };
    match after.kind {
        Kind::Exact => format!("{key}: {a} → {b}{unit} ({:+}{part})", b - a),
        Kind::Ratio | Kind::Shown => {
            format!("{key}: {a:.3} → {b:.3}{unit} ({part})").replace("(, ", "(")
        }
    }
}
