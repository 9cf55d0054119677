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

/// The wall clock as it was when this was made, and steady from then on: setting the clock moves
/// no deadline.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    wall_ms: u64,
    start: Instant,
}

impl Steady {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self { wall_ms: now_ms(), start: instant() }
    }

    /// Returns milliseconds since 1970, never fewer than before.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.wall_ms.saturating_add(elapsed_ms(self.start))
    }
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
