//! The transcripts in `cmd/` are the manual, and they are true: each runs in a home of its own.

use std::path::PathBuf;
use std::process::Command;

/// Stops the node of a home, should a transcript have left one behind.
struct Stopped(PathBuf);

impl Drop for Stopped {
    fn drop(&mut self) {
        let mut stop = Command::new(env!("CARGO_BIN_EXE_mosaic"));
        let _ = stop.arg("--home").arg(&self.0).args(["node", "stop"]).output();
    }
}

#[test]
fn transcripts_are_true() {
    for transcript in [
        "first_minutes",
        "mistakes",
        "profile",
        "pipes",
        "recovery",
        "scripts",
        "node",
        "search",
        "settings",
        "backup",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cases = trycmd::TestCases::new();
        cases
            .env("HOME", folder.path().display().to_string())
            .env("MOSAIC_HOME", folder.path().join("home").display().to_string())
            .env("MOSAIC_STATE", folder.path().join("state").display().to_string())
            .env("NO_COLOR", "1");
        // What they write goes with the folder.
        std::env::set_current_dir(folder.path()).unwrap();
        cases.case(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/").to_owned() + transcript + ".md",
        );
        let _stopped = Stopped(folder.path().join("home"));
        cases.run();
    }
}
