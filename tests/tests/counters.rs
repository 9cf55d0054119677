//! What a sync says of the wire is what the loopback interface saw.

use std::process::Command;

use mosaic_tests::binary::binary;
use mosaic_tests::home::{Home, Node};

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|done| done.status.success())
}

/// Bytes that the loopback interface of a namespace has received.
fn received(name: &str) -> u64 {
    let args = ["netns", "exec", name, "cat", "/proc/net/dev"];
    let text = Command::new("ip").args(args).output().expect("ip runs").stdout;
    let text = String::from_utf8(text).expect("text");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).expect("lo");
    line.split_whitespace().next().expect("a number").parse().expect("a number")
}

#[test]
fn the_counters_agree_with_the_interface() {
    let name = format!("mosaic-count-{}", std::process::id());
    if !ip(&["netns", "add", &name]) || !ip(&["-n", &name, "link", "set", "lo", "up"]) {
        println!("skipped: this system makes no network namespaces");
        ip(&["netns", "delete", &name]);
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    // Much text that does not compress, and files of several sizes.
    for n in 0..40u64 {
        let text: String = (0..2000).map(|at| noise(n * 2000 + at)).collect();
        ada.ok(&["post", &text]);
    }
    for (n, bytes) in [300_000, 1_100_000, 4_000_000u64].into_iter().enumerate() {
        let file = root.path().join(format!("file{n}"));
        let text: String = (0..bytes).map(|at| noise(at * 31 + n as u64)).collect();
        std::fs::write(&file, text).unwrap();
        ada.ok(&["post", "a file", "--attach", file.to_str().unwrap()]);
    }
    bob.ok(&["sub", "add", &ada.account()]);
    let inside = |home: &Home, args: &[&str]| {
        let plain = home.command(args);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &name]).arg(binary()).args(args).env_clear();
        for (key, value) in plain.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    };
    let node = ada.node_as(inside(&ada, &["node", "run"]));
    let before = received(&name);
    let synced = inside(&bob, &["sync", "--peer", &node.ticket(), "--json"]).output().unwrap();
    let seen = received(&name) - before;
    drop(node);
    ip(&["netns", "delete", &name]);
    let (out, err) =
        (String::from_utf8_lossy(&synced.stdout), String::from_utf8_lossy(&synced.stderr));
    assert!(synced.status.success(), "{out}{err}");
    let line = String::from_utf8(synced.stdout).unwrap();
    let result: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let parts = ["control_bytes", "inline_bytes", "blob_bytes", "body_bytes"];
    let told: u64 = parts.iter().map(|part| result[*part].as_u64().unwrap()).sum();
    assert!(told > 5_400_000, "{result}");
    assert!(told.abs_diff(seen) * 10 <= seen, "told {told}, the interface saw {seen}: {result}");
}

#[test]
fn a_sync_that_takes_long_says_how_much_moves() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let (there, here) = (ada.node(), bob.node());
    let ticket = there.ticket();
    bob.ok(&["sub", "add", &ada.account()]);
    bob.sync(&ticket);
    // It is asked, and does not answer.
    signal(&there, "STOP");
    let done = bob.run(&["sync", "--peer", &ticket, "--json", "--timeout", "5s"]);
    signal(&there, "CONT");
    assert_eq!(done.code, 124, "{done:?}");
    let told = done.err.lines().map(|line| serde_json::from_str(line).expect("an object"));
    let told: Vec<serde_json::Value> = told.collect();
    let progress = told.iter().find(|told| told["type"] == "progress");
    let progress = progress.unwrap_or_else(|| panic!("{done:?}"));
    assert!(progress["op"] == "sync" && progress["done_bytes"].as_u64() > Some(0), "{progress}");
    let result: serde_json::Value = serde_json::from_str(done.out.trim()).unwrap();
    assert_eq!(progress["peer"], result["peer"]);
    there.stop();
    here.stop();
}

fn signal(node: &Node, name: &str) {
    let kill = format!("kill -{name} {}", node.pid());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
}

/// A letter that nobody foresees.
fn noise(at: u64) -> char {
    let mixed =
        at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    char::from(b'!' + u8::try_from((mixed >> 40) % 90).unwrap())
}
