//! Times at the edge: milliseconds since 1970 inside, RFC 3339 in UTC outside.

use jiff::Timestamp;

/// Returns `ms` since 1970 as `2026-11-22T07:30:52.506Z`; times beyond the year 9999 are
/// shown as its last millisecond.
#[must_use]
pub fn rfc3339(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}

/// Reads an RFC 3339 time; `None` if it is none or before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_come_back() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_332_652_506), "2026-11-22T07:30:52.506Z");
        assert_eq!(parse_rfc3339("2026-11-22T07:30:52.506Z"), Some(1_795_332_652_506));
        assert_eq!(parse_rfc3339("2026-11-22T08:30:52.506+01:00"), Some(1_795_332_652_506));
        assert_eq!(parse_rfc3339("yesterday"), None);
        assert!(rfc3339(u64::MAX).starts_with("9999-12-"));
    }
}
