//! The only place that asks the machine what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Returns the wall clock in milliseconds since 1970; a clock before that reads as 0.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that may ask")]
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|age| u64::try_from(age.as_millis()).ok())
        .unwrap_or(0)
}

/// Returns a monotonic instant, for deadlines and durations.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that may ask")]
pub fn instant() -> Instant {
    Instant::now()
}

/// Returns whole milliseconds since `start`.
#[must_use]
pub fn elapsed_ms(start: Instant) -> u64 {
    u64::try_from(instant().saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX)
}
