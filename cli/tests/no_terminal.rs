//! No command waits for somebody who is not there, and every failure is told as asked.

#![expect(clippy::expect_used, reason = "a test that cannot start has failed")]

mod common;
mod leaves;
mod stopped;

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::{mosaic, run};
use leaves::leaves;
use stopped::Stopped;

#[test]
fn every_leaf_command_ends_without_a_terminal() {
    let home = tempfile::tempdir().expect("a folder");
    let _stopped = Stopped(home.path().to_owned());
    let leaves = leaves(home.path(), &[]);
    assert!(leaves.len() > 50, "{leaves:?}");
    for leaf in leaves.iter().filter(|leaf| leaf[0] != "demo" && leaf[0] != "bench") {
        let mut args: Vec<&str> = leaf.iter().map(String::as_str).collect();
        args.extend(["--timeout", "1s"]);
        let output = run(home.path(), &args);
        let code = output.status.code().expect("no signal");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(code == 0 || !stderr.is_empty(), "{leaf:?} says nothing");
        assert!(!stderr.contains('\u{1b}'), "{leaf:?} paints a pipe");
        let told = stderr.contains("hint: mosaic ");
        assert!(code == 0 || told, "{leaf:?} gives no hint:\n{stderr}");
        assert_ne!(code, 101, "{leaf:?} panicked:\n{stderr}");
    }
}

#[test]
fn the_program_knows_its_commit() {
    let git = |args: &[&str]| {
        let output =
            Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let tracked = git(&["ls-files", "--error-unmatch", "build.rs"]);
    let commit = tracked.and_then(|_| git(&["rev-parse", "--short=12", "HEAD"]));
    let told = option_env!("MOSAIC_COMMIT").map(str::to_owned);
    // a package without a repository knows of none
    assert!(commit.is_none() || told == commit, "{told:?} {commit:?}");
    let home = tempfile::tempdir().expect("a folder");
    for args in [&["version", "--json"][..], &["api", "meta/version"]] {
        let output = run(home.path(), args);
        let text = String::from_utf8_lossy(&output.stdout);
        let field = told.as_ref().map(|commit| format!("\"commit\":\"{commit}\""));
        assert!(output.status.success() && text.contains(&field.unwrap_or_default()), "{text}");
    }
}

/// How long a command may take that has nobody to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a command whose standard input is closed, not even empty.
fn run_closed(home: &std::path::Path, args: &[String]) -> Output {
    let mut command = mosaic(home);
    let program = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" <&-", "sh"]).arg(program).args(args);
    shell.env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.expect("a value"));
    }
    command = shell;
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mosaic runs");
    let pid = child.id();
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let ended = ended.recv_timeout(PATIENCE);
    if ended.is_err() {
        let kill = format!("kill -9 {pid}");
        let _ = Command::new("sh").args(["-c", &kill]).status();
    }
    assert!(ended.is_ok(), "{args:?} waits for somebody who is not there");
    ended.expect("it ended").expect("mosaic ends")
}

#[test]
fn every_leaf_command_ends_by_itself_with_closed_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let _stopped = Stopped(folder.path().to_owned());
    for with_identity in [false, true] {
        if with_identity {
            assert!(run(folder.path(), &["init", "--name", "Ada"]).status.success());
        }
        for leaf in leaves(folder.path(), &[]) {
            let words: Vec<&str> = leaf.iter().map(String::as_str).collect();
            // Those that stay, or work for long, are meant to; one makes the identity.
            let stays = match words[..] {
                ["demo" | "bench", ..] | ["node", "wait"] => true,
                ["node", "run" | "start"] | ["device", "invite"] => with_identity,
                ["init"] => !with_identity,
                _ => false,
            };
            if stays {
                continue;
            }
            let output = run_closed(folder.path(), &leaf);
            assert!(output.status.code().is_some_and(|code| code != 101), "{leaf:?}");
        }
    }
}

#[test]
fn under_json_every_line_of_every_leaf_is_an_object() {
    let home = tempfile::tempdir().expect("a folder");
    let _stopped = Stopped(home.path().to_owned());
    for leaf in leaves(home.path(), &[]) {
        if matches!(leaf[0].as_str(), "demo" | "bench" | "completion" | "man" | "export") {
            continue;
        }
        let mut args: Vec<&str> = leaf.iter().map(String::as_str).collect();
        args.extend(["--timeout", "1s", "--json"]);
        let output = run(home.path(), &args);
        for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            assert!(line.starts_with(b"{\"type\":\""), "{leaf:?}");
        }
        let code = output.status.code().expect("no signal");
        let stderr = String::from_utf8_lossy(&output.stderr);
        for line in stderr.lines() {
            let object: serde_json::Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{leaf:?}: {error}: {line}"));
            assert!(object["type"].is_string(), "{leaf:?}");
        }
        if code != 0 {
            let last = stderr.lines().last().unwrap_or_default();
            let error: serde_json::Value = serde_json::from_str(last).expect("an error");
            assert_eq!(error["code"], code, "{leaf:?}: {stderr}");
            let hint = error["hint"].as_str().unwrap_or_default();
            assert!(hint.starts_with("mosaic"), "{leaf:?}: {stderr}");
        }
    }
}

#[test]
fn a_bare_call_is_answered_with_help_on_stderr() {
    let home = tempfile::tempdir().expect("a folder");
    let output = run(home.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: mosaic"));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let home = tempfile::tempdir().expect("a folder");
    let mut child = mosaic(home.path())
        .args(["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mosaic runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("mosaic ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

/// Waits for the end of a child that holds an open pipe as its stdin.
fn end(mut child: std::process::Child) -> Option<i32> {
    let stdin = child.stdin.take();
    let ended = child.wait().expect("mosaic ends").code();
    drop(stdin);
    ended
}

/// Whether the process handles SIGINT itself.
#[cfg(target_os = "linux")]
fn catches_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).expect("a mask") & (1 << 1) != 0
}

#[test]
fn a_pipe_that_stays_open_does_not_hold_up_the_timeout() {
    let home = tempfile::tempdir().expect("a folder");
    let made = run(home.path(), &["init", "--name", "Ada"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for args in [&["post", "-"][..], &["wall", "delete", "-"], &["device", "link", "-"]] {
        let mut command = mosaic(home.path());
        command.args(args).args(["--timeout", "100ms"]).stdin(Stdio::piped());
        assert_eq!(end(command.spawn().expect("mosaic runs")), Some(124), "{args:?}");
    }
    let bench = ["bench", "merge", "--size", "large", "--runs", "100", "--timeout", "10ms"];
    assert_eq!(run(home.path(), &bench).status.code(), Some(124));
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_the_wait_for_a_pipe() {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = mosaic(home.path());
    let child = command.args(["post", "-"]).stdin(Stdio::piped()).spawn().expect("mosaic runs");
    while !catches_interrupts(child.id()) {
        std::thread::yield_now();
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
    assert_eq!(end(child), Some(130));
}

#[test]
fn what_cannot_be_undone_names_the_flag_that_confirms_it() {
    let home = tempfile::tempdir().expect("a folder");
    let output = run(home.path(), &["device", "revoke", "phone"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--confirm NAME"));
}

#[test]
fn a_node_that_does_not_answer_is_code_17() {
    let home = tempfile::tempdir().expect("a folder");
    for args in [&["node", "status"][..], &["--node", "/nowhere/node.sock", "status"], &["watch"]] {
        assert_eq!(run(home.path(), args).status.code(), Some(17), "{args:?}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("man");
    let args = ["man", folder.to_str().expect("a path")];
    assert!(run(home.path(), &args).status.success());
    let pages = std::fs::read_dir(&folder).expect("the pages").count();
    assert!(pages > leaves(home.path(), &[]).len(), "{pages} pages");
}

#[test]
fn the_api_is_documented_whole() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let text = std::fs::read_to_string(path).expect("docs/api.md");
    for path in mosaic_node::api::types::PATHS {
        let name = path.trim_start_matches("/v1/");
        assert!(text.contains(&format!("`{name}`")), "{name} is not in docs/api.md");
    }
}
