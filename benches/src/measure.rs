//! What is measured, and how: processor time, ratios with their spread, memory, the machine.

pub mod machine;
pub mod process;
pub mod ratio;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of this process since it began, all threads, in nanoseconds.
#[must_use]
pub fn cpu_ns() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

/// A clock that only goes on, in nanoseconds: for progress, never for a result.
#[must_use]
pub fn wall_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let (seconds, rest) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + rest
}

/// Runs `work` and returns the processor time it took, in nanoseconds, beside what it gave.
pub fn cpu<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = cpu_ns();
    let done = work();
    (cpu_ns() - before, done)
}
