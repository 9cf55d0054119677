//! Why a target is missed: where the cost is, and what would be next.

const REASONS: &[(&str, &str, &str)] = &[];

/// Returns what is known about a miss.
#[must_use]
pub fn reason(row: &str, what: &str) -> String {
    let known = REASONS.iter().find(|(r, w, _)| *r == row && *w == what);
    known.map_or_else(
        || format!("{what}: not looked into yet"),
        |(_, _, reason)| format!("{what}: {reason}"),
    )
}
