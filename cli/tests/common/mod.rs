//! The program in a home of its own.

use std::process::{Command, Output, Stdio};

/// Returns a command whose home is empty and whose surroundings say nothing.
pub fn mosaic(home: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mosaic"));
    command.env_clear();
    command.env("HOME", home).env("MOSAIC_HOME", home.join("home"));
    command.env("MOSAIC_STATE", home.join("state"));
    command.stdin(Stdio::null());
    command
}

pub fn run(home: &std::path::Path, args: &[&str]) -> Output {
    mosaic(home).args(args).output().expect("mosaic runs")
}
