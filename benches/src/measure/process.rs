//! What the kernel says about this process.

/// Highest resident memory so far, in bytes; 0 where `/proc` is not.
#[must_use]
pub fn peak_rss() -> u64 {
    status("VmHWM:")
}

/// Resident memory now, in bytes; 0 where `/proc` is not.
#[must_use]
pub fn rss() -> u64 {
    status("VmRSS:")
}

/// Bytes this process caused to be written to disks so far; 0 where `/proc` does not say.
#[must_use]
pub fn written() -> u64 {
    field(&read("/proc/self/io"), "write_bytes:")
}

fn status(name: &str) -> u64 {
    field(&read("/proc/self/status"), name) * 1024
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
