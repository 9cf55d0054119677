//! A client that hears no answer asks again with its key, and there is one post all the same.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use mosaic_tests::home::{Home, field};
use serde_json::json;

/// Rounds of each kind.
const ROUNDS: usize = 100;

fn texts(home: &Home) -> Vec<String> {
    home.json(&["wall", "list"]).iter().map(|post| field(post, "text")).collect()
}

/// Sends a whole request to the node and hangs up before the reply.
fn send_and_go(home: &Home, path: &str, body: &serde_json::Value) {
    let body = body.to_string();
    let mut stream = UnixStream::connect(mosaic_node::socket_path(&home.path)).expect("a node");
    let head = format!("POST {path} HTTP/1.1\r\nhost: mosaic\r\ncontent-length: {}", body.len());
    write!(stream, "{head}\r\n\r\n{body}").expect("sent");
}

fn post_args(n: usize) -> [String; 4] {
    ["post".into(), format!("post {n}"), "--idempotency-key".into(), format!("key-{n}")]
}

#[test]
fn clients_that_go_between_sending_and_reply_post_once() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let node = home.node();
    for n in 0..ROUNDS {
        let body = json!({"text": format!("post {n}"), "idempotency_key": format!("key-{n}")});
        send_and_go(&home, "/v1/post/create", &body);
        let args = post_args(n);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let id = home.ok(&args);
        assert_eq!(home.ok(&args), id, "the retry of a retry");
    }
    node.stop();
    // The keys outlive the node, and count without one too.
    let again = home.ok(&["post", "post 7", "--idempotency-key", "key-7"]);
    let shown = home.json(&["wall", "show", &again]);
    assert_eq!(field(&shown[0], "text"), "post 7");
    let texts = texts(&home);
    assert_eq!(texts.len(), ROUNDS);
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), ROUNDS);
}

#[test]
fn clients_that_are_killed_at_any_moment_post_once() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let mut survived = 0;
    for n in 0..ROUNDS {
        let args = post_args(n);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = home.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("mosaic runs");
        // From before it reads its arguments to after it has ended.
        std::thread::sleep(Duration::from_millis(n as u64));
        let _ = child.kill();
        survived += usize::from(child.wait().expect("an end").success());
        home.ok(&args);
    }
    assert!(survived < ROUNDS, "nothing was killed");
    assert_eq!(texts(&home).len(), ROUNDS);
}

#[test]
fn a_key_with_other_arguments_is_a_conflict() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let id = home.ok(&["post", "one", "--idempotency-key", "k"]);
    let other = home.run(&["post", "two", "--idempotency-key", "k"]);
    assert_eq!(other.code, 15, "{}", other.err);
    assert!(other.err.contains(&id[..8]), "{}", other.err);
    assert_eq!(home.run(&["post", "x", "--idempotency-key", ""]).code, 2);
    let comment = home.ok(&["wall", "comment", &id, "c", "--idempotency-key", "c"]);
    assert_eq!(home.ok(&["wall", "comment", &id, "c", "--idempotency-key", "c"]), comment);
    assert_eq!(home.run(&["wall", "comment", &id, "c", "--idempotency-key", "k"]).code, 15);
    assert_eq!(home.json(&["wall", "show", &id]).len(), 2);
}
