//! What docs/scripting.md promises: its script, picking fields, and a node of another version.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use mosaic_tests::binary::{binary, workspace};
use mosaic_tests::home::{Home, field};
use serde_json::Value;

/// Runs a script of the documents in a home.
fn script(home: &Home, name: &str, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let folder = binary().parent().expect("the folder of mosaic");
    let mut command = Command::new("bash");
    command.arg(workspace().join("docs").join(name)).args(args).stdin(Stdio::null());
    command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    let state = home.path.with_extension("state");
    command.env("HOME", &state).env("MOSAIC_HOME", &home.path).env("MOSAIC_STATE", &state);
    let output = command.envs(env.iter().copied()).output().expect("bash runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(128), text(output.stdout), text(output.stderr))
}

#[test]
fn the_script_of_the_documents_runs_and_runs_again() {
    let root = tempfile::tempdir().unwrap();
    let (ci, hub) = (Home::new(root.path(), "ci"), Home::init(root.path(), "hub"));
    ci.ok(&["init", "--name", "ci"]);
    hub.ok(&["sub", "add", &ci.account()]);
    let node = hub.node();
    let notes = root.path().join("CHANGELOG.md");
    std::fs::write(&notes, "Everything is better now.\n").unwrap();
    let ticket = node.ticket();
    let kept = root.path().join("ci.backup");
    let kept = kept.to_str().unwrap();
    let env = [("TAG", "v1.2.0"), ("HUB", ticket.as_str()), ("BACKUP", kept)];
    let run = || script(&ci, "release-notes.sh", &[notes.to_str().unwrap()], &env);
    let (code, id, err) = run();
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("posted at 20") && err.contains(", 0 replies"), "{err}");
    let (code, again, err) = run();
    assert_eq!((code, &again), (0, &id), "{err}");
    assert_eq!(ci.json(&["wall", "list"]).len(), 1);
    let anew = Home::new(root.path(), "anew");
    anew.ok(&["store", "restore", kept]);
    assert_eq!(field(&anew.json(&["wall", "list"])[0], "id"), id.trim());
    node.kill();
    let there = hub.json(&["wall", "show", id.trim()]);
    assert_eq!(field(&there[0], "text"), "Everything is better now.");
    // The hub is away: nothing is printed, and it says why it ended.
    let (code, out, err) = script(&ci, "release-notes.sh", &[notes.to_str().unwrap()], &env);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("no peer was reachable"), "{err}");
}

#[test]
fn fields_are_picked_line_by_line_from_a_stream() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let node = home.node();
    let mut command = home.command(&["watch", "--types", "post.created", "--jq", ".data.text"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().expect("mosaic runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    // A post may come before the watch begins: then the next one is the first.
    let mut posted = 0;
    let first = std::thread::scope(|scope| {
        let reading = scope.spawn(|| lines.next().expect("a line").expect("text"));
        while !reading.is_finished() {
            home.ok(&["post", &format!("post \"{posted}\"")]);
            posted += 1;
        }
        reading.join().expect("a line")
    });
    assert!(first.starts_with("post \"") && first.ends_with('"'), "{first}");
    watch.kill().expect("killed");
    watch.wait().expect("an end");
    node.stop();
    assert_eq!(home.run(&["post", "x", "--jq", "nonsense"]).code, 2);
    let endless = home.run(&["wall", "list", "--jq", "def f: f; f", "--timeout", "300ms"]);
    assert_eq!(endless.code, 124, "{}", endless.err);
    let texts = home.ok(&["wall", "list", "--jq", "select(.text == \"x\")"]);
    assert_eq!(texts, "", "what is not understood is not begun");
}

/// Answers one call after another as a node of another version would.
fn other_version(socket: &Path, record: &'static str) {
    let listener = UnixListener::bind(socket).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
            let mut bytes = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                let line = line.to_lowercase();
                if let Some(count) = line.strip_prefix("content-length:") {
                    bytes = count.trim().parse().unwrap_or(0);
                }
            }
            let _ = reader.read_exact(&mut vec![0; bytes]);
            let head = "HTTP/1.1 200 OK\r\nmosaic-version: 9.9.9\r\nconnection: close";
            let _ =
                write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{record}\n", record.len() + 1);
        }
    });
}

#[test]
fn a_node_of_another_version_is_named_once_and_passed_through() {
    const RECORD: &str = r#"{"type":"post","new":{"b":1,"a":2},"id":"ab","text":"hi"}"#;
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path(), "home");
    let socket = root.path().join("node.sock");
    other_version(&socket, RECORD);
    let done = home.run(&["--node", socket.to_str().unwrap(), "wall", "list", "--json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    // Fields that this program does not know, in the order in which they came.
    assert_eq!(done.out.trim_end(), RECORD);
    let notices: Vec<Value> = done.err.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(notices.len(), 1, "{}", done.err);
    assert!(field(&notices[0], "message").contains("version 9.9.9"), "{}", done.err);
    let quiet = home.run(&["--node", socket.to_str().unwrap(), "wall", "list", "-q"]);
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
}

#[test]
fn versions_are_told() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path(), "home");
    let version = &home.json(&["version"])[0];
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["api"], 1);
    assert!(version["store_format"].is_u64());
}
