//! The transcripts in `cmd/` are the manual, and they are true: each runs in a home of its own.

#![expect(clippy::expect_used, reason = "a test that cannot start has failed")]

mod common;
mod leaves;
mod stopped;

use std::path::{Path, PathBuf};

use stopped::Stopped;

/// The transcripts, in order of their names.
fn transcripts() -> Vec<PathBuf> {
    let files =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd")).expect("the folder");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths
}

/// Whether a line of a transcript runs the command: its words, after flags of every command.
fn runs(line: &str, command: &[String]) -> bool {
    // a command may be called mosaic itself
    line.match_indices("mosaic ").any(|(at, name)| {
        let call = line.get(at + name.len()..).unwrap_or_default();
        let words = call.split([' ', '\'', ')', ';']).skip_while(|word| word.starts_with('-'));
        words.take(command.len()).eq(command.iter().map(String::as_str))
    })
}

#[test]
fn every_command_stands_in_a_transcript() {
    let mut lines = Vec::new();
    for path in transcripts() {
        let text = std::fs::read_to_string(path).expect("it is there");
        lines.extend(text.lines().filter(|line| line.starts_with("$ ")).map(str::to_owned));
    }
    let home = tempfile::tempdir().expect("a folder");
    let commands = leaves::leaves(home.path(), &[]);
    assert!(commands.len() > 70, "{commands:?}");
    for command in commands {
        assert!(lines.iter().any(|line| runs(line, &command)), "no transcript of {command:?}");
    }
}

#[test]
fn transcripts_are_true() {
    // A line with ids of its own goes through a shell, which has to find the program.
    let program = Path::new(env!("CARGO_BIN_EXE_mosaic"));
    let folders = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{folders}", program.parent().expect("it is there").display());
    for transcript in transcripts() {
        let folder = tempfile::tempdir().expect("a folder");
        let cases = trycmd::TestCases::new();
        cases
            .env("HOME", folder.path().display().to_string())
            .env("MOSAIC_HOME", folder.path().join("home").display().to_string())
            .env("MOSAIC_STATE", folder.path().join("state").display().to_string())
            .env("NO_COLOR", "1")
            .env("TZ", "UTC")
            .env("PATH", &path)
            .register_bin("sh", Path::new("/bin/sh"));
        // What they write goes with the folder.
        std::env::set_current_dir(folder.path()).expect("it is there");
        cases.case(transcript);
        let _stopped = Stopped(folder.path().to_owned());
        cases.run();
    }
}
