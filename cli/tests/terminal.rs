//! What only happens where a person sits: colour, the pager, the editor. `script` is the terminal.

#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test that cannot start has failed")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::run;

const ESCAPE: char = '\u{1b}';

/// A home with an identity and a post.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    assert!(run(home.path(), &["init", "--name", "Ada"]).status.success());
    assert!(run(home.path(), &["post", "Hello"]).status.success());
    home
}

/// Runs a command line on a terminal of its own, with more in its environment.
fn on_terminal(home: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new("script");
    let line = std::iter::once(env!("CARGO_BIN_EXE_mosaic")).chain(args.iter().copied());
    command.args(["-q", "-e", "-c", &line.collect::<Vec<_>>().join(" "), "/dev/null"]);
    command.env_clear().env("HOME", home).env("MOSAIC_HOME", home.join("home"));
    command.env("MOSAIC_STATE", home.join("state")).env("TERM", "xterm");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("PAGER", "cat").envs(env.iter().copied()).stdin(Stdio::null());
    command.output().expect("script runs")
}

fn shown(home: &Path, args: &[&str], env: &[(&str, &str)]) -> String {
    let output = on_terminal(home, args, env);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?} {env:?}: {text}");
    text
}

/// Writes a program that stands for an editor: a shell script whose `$1` is the text.
fn editor(home: &Path, script: &str) -> String {
    let path = home.join("editor");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("a program");
    path.display().to_string()
}

fn walls(home: &Path) -> String {
    String::from_utf8_lossy(&run(home, &["wall", "list"]).stdout).into_owned()
}

/// Texts that were kept because what they were for failed.
fn unsent(home: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|file| file.path()).collect::<Vec<_>>()
    };
    let states = below(&home.join("state"));
    states.iter().flat_map(|state| below(&state.join("unsent"))).collect()
}

#[test]
fn colour_is_for_a_terminal_that_wants_it() {
    let home = home();
    let list = ["wall", "list"];
    assert!(shown(home.path(), &list, &[]).contains(ESCAPE));
    for env in [("NO_COLOR", "1"), ("TERM", "dumb"), ("MOSAIC_COLOR", "never")] {
        assert!(!shown(home.path(), &list, &[env]).contains(ESCAPE), "{env:?}");
    }
    for args in [&["wall", "list", "--json"][..], &["wall", "list", "--color", "never"]] {
        assert!(!shown(home.path(), args, &[]).contains(ESCAPE), "{args:?}");
    }
    assert!(!walls(home.path()).contains(ESCAPE));
}

#[test]
fn long_output_goes_through_the_pager_of_the_person() {
    let home = home();
    let pager = ("MOSAIC_PAGER", "sed s/^/paged:/");
    assert!(shown(home.path(), &["wall", "list"], &[pager]).contains("paged:"));
    assert!(shown(home.path(), &["wall", "list"], &[]).contains("Hello"));
    for args in [&["wall", "list", "--no-pager"][..], &["store", "path"], &["post", "x"]] {
        assert!(!shown(home.path(), args, &[pager]).contains("paged:"), "{args:?}");
    }
    // What is for a program comes as it is, also to a terminal.
    for args in [&["wall", "list", "--json"][..], &["wall", "list", "--jq", ".text"]] {
        let text = shown(home.path(), args, &[pager]);
        assert!(text.contains("Hello") && !text.contains("paged:"), "{args:?}: {text}");
    }
    let text = shown(home.path(), &["wall", "list"], &[pager, ("MOSAIC_JSON", "1")]);
    assert!(text.contains("Hello") && !text.contains("paged:"), "{text}");
    assert!(!shown(home.path(), &["feed"], &[pager, ("MOSAIC_NO_PAGER", "1")]).contains("paged:"));
    // One that leaves at once is no failure, and one that is not there no loss.
    shown(home.path(), &["wall", "list"], &[("MOSAIC_PAGER", "true")]);
    let text = shown(home.path(), &["wall", "list"], &[("MOSAIC_PAGER", "/nowhere/pager")]);
    assert!(text.contains("Hello"), "{text}");
}

#[test]
fn a_text_comes_from_the_editor() {
    let home = home();
    let program = editor(home.path(), "echo written here >> \"$1\"");
    shown(home.path(), &["post"], &[("VISUAL", &program), ("EDITOR", "false")]);
    assert!(walls(home.path()).contains("written here"), "{}", walls(home.path()));
    let id = walls(home.path()).split('\t').next().expect("an id").to_owned();
    shown(home.path(), &["wall", "edit", &id, "-e"], &[("EDITOR", &program)]);
    // It began with the text that was there.
    let versions = run(home.path(), &["wall", "history", &id]).stdout;
    assert!(String::from_utf8_lossy(&versions).contains("written here\\nwritten here"));
    shown(home.path(), &["profile", "edit"], &[("EDITOR", &program)]);
    shown(home.path(), &["wall", "comment", &id], &[("EDITOR", &program)]);
    shown(home.path(), &["draft", "create"], &[("EDITOR", &program)]);
    assert_eq!(unsent(home.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_text_that_did_not_go_anywhere_is_kept() {
    let home = home();
    let before = walls(home.path());
    let program = editor(home.path(), "echo half a poem > \"$1\"; exit 1");
    let output = on_terminal(home.path(), &["post", "-e"], &[("EDITOR", &program)]);
    assert!(!output.status.success());
    assert_eq!(walls(home.path()), before);
    let kept = unsent(home.path());
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read_to_string(&kept[0]).expect("the text"), "half a poem\n");
    let mode = fs::metadata(&kept[0]).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Your text is kept in"));
    // Nothing written is nothing to keep.
    let output = on_terminal(home.path(), &["post"], &[("EDITOR", "true")]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!((walls(home.path()), unsent(home.path()).len()), (before, 1));
    // Not only the editor may fail.
    let program = editor(home.path(), "echo to nobody > \"$1\"");
    let comment = ["wall", "comment", "beef"];
    let output = on_terminal(home.path(), &comment, &[("EDITOR", &program)]);
    assert_eq!(output.status.code(), Some(13));
    assert_eq!(unsent(home.path()).len(), 2);
}

/// Somebody who types an answer to each question once it is there; returns the exit code and all
/// that is on the screen.
fn typing(home: &Path, line: &str, answers: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new("script");
    let line = line.replace("mosaic ", &format!("{} ", env!("CARGO_BIN_EXE_mosaic")));
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    command.env_clear().env("HOME", home).env("MOSAIC_HOME", home.join("home"));
    command.env("MOSAIC_STATE", home.join("state")).env("TERM", "xterm");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("script runs");
    let mut keyboard = child.stdin.take().expect("a keyboard");
    let mut screen = child.stdout.take().expect("a screen");
    let mut shown = Vec::new();
    for (question, answer) in answers {
        let mut byte = [0];
        // each question is the last thing on the screen until it is answered
        while !shown.ends_with(question.as_bytes()) {
            screen.read_exact(&mut byte).expect("a question");
            shown.extend(byte);
        }
        keyboard.write_all(answer.as_bytes()).expect("it is read");
    }
    screen.read_to_end(&mut shown).expect("an end");
    let code = child.wait().expect("an end").code();
    (code, String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn a_passphrase_is_asked_for_and_not_shown() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let (new, again) = ("New passphrase of the keys: ", "The same again: ");
    let init = "mosaic init --name Ada --passphrase-file -";
    let (code, shown) = typing(home, init, &[(new, "open sesame\n"), (again, "open barley\n")]);
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("the two are not the same"), "{shown}");
    assert!(!home.join("home").exists());
    let (code, shown) = typing(home, init, &[(new, "open sesame\n"), (again, "open sesame\n")]);
    assert_eq!(code, Some(0), "{shown}");
    let asked = "Passphrase of the keys: ";
    for (answer, expected) in [("open sesame\n", 0), ("open barley\n", 12), ("\n", 2)] {
        let (code, shown) = typing(home, "mosaic post Hello", &[(asked, answer)]);
        assert_eq!(code, Some(expected), "{shown}");
        assert!(!shown.contains("sesame") && !shown.contains("barley"), "{shown}");
    }
    let answers = [(asked, "open sesame\n"), (new, "open wheat\n"), (again, "open wheat\n")];
    let (code, shown) = typing(home, "mosaic identity passphrase", &answers);
    assert_eq!(code, Some(0), "{shown}");
    // who goes leaves a terminal that shows what is typed
    for command in ["mosaic post Hello", "mosaic node run"] {
        let line = format!("trap : INT; {command}; echo code $?; stty -a");
        let (_, shown) = typing(home, &line, &[(asked, "\u{3}")]);
        assert!(shown.contains("code 130"), "{shown}");
        let modes: Vec<_> = shown.split([' ', ';', '\r', '\n']).collect();
        assert!(modes.contains(&"echo") && modes.contains(&"-echonl"), "{shown}");
    }
}
