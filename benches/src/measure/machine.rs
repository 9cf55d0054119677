//! Where and of what a report was made.

use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine a report was made on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the processor.
    pub cpu: String,
    /// Processors to run on.
    pub cores: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Operating system and its version.
    pub kernel: String,
    /// Load averages over 1, 5 and 15 minutes as the report began.
    pub load: String,
    /// The compiler.
    pub rustc: String,
}

impl Machine {
    /// Looks at this one.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = cpu.and_then(|rest| rest.split_once(':')).map_or("unknown", |(_, name)| name);
        let memory = read("/proc/meminfo");
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let total = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        let load = read("/proc/loadavg");
        let load: Vec<&str> = load.split_whitespace().take(3).collect();
        Self {
            cpu: cpu.trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_bytes: total.unwrap_or(0) * 1024,
            kernel: format!(
                "{} {}",
                std::env::consts::OS,
                read("/proc/sys/kernel/osrelease").trim()
            ),
            load: load.join(" "),
            rustc: said("rustc", &["--version"]),
        }
    }
}

/// The commit that the working copy stands on, with `+` behind it if something is changed.
#[must_use]
pub fn commit() -> String {
    let head = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    if head.is_empty() { "unknown".to_owned() } else { head + if changed { "+" } else { "" } }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let out = Command::new(program).args(arguments).current_dir(folder).output();
    let out = out.ok().filter(|out| out.status.success());
    out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}
