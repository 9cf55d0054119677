//! What is said to be in sync, or on another copy, is: after guests were admitted and refused, after
//! a hub keeps less, and where it keeps a part.

use mosaic_tests::home::{Home, Node, field};
use serde_json::{Value, json};

/// Syncs, and expects nothing to complain of.
fn agree(home: &Home, node: &Node) {
    let result = home.sync(&node.ticket());
    assert_eq!(result["state"], "in-sync", "{result}");
    assert_eq!(result["reasons"], json!([]), "{result}");
}

fn all_in_sync(home: &Home) {
    let states = home.json(&["sync", "status"]);
    assert!(!states.is_empty());
    for state in states {
        assert_eq!(state["state"], "in-sync", "{state}");
        assert_eq!(state["reasons"], json!([]), "{state}");
    }
}

#[test]
fn a_guest_who_is_admitted_and_refused_leaves_nobody_behind() {
    let root = tempfile::tempdir().unwrap();
    let [ada, hub, bob] = ["ada", "hub", "bob"].map(|name| Home::init(root.path(), name));
    let (account, guest) = (ada.account(), bob.account());
    hub.ok(&["sub", "add", &account]);
    let node = hub.node();
    let post = ada.ok(&["post", "hello"]);
    agree(&ada, &node);
    bob.ok(&["follow", &account]);
    bob.sync(&node.ticket());
    bob.ok(&["wall", "comment", &post, "hi"]);
    bob.sync(&node.ticket());
    agree(&ada, &node);
    for decision in ["admit", "refuse", "admit"] {
        ada.ok(&["wall", decision, &guest]);
        agree(&ada, &node);
        all_in_sync(&ada);
        ada.ok(&["post", decision]);
        agree(&ada, &node);
        all_in_sync(&ada);
        bob.sync(&node.ticket());
        all_in_sync(&bob);
    }
    node.stop();
}

#[test]
fn who_keeps_a_wall_no_more_is_no_copy_of_it() {
    let root = tempfile::tempdir().unwrap();
    let [ada, hub] = ["ada", "hub"].map(|name| Home::init(root.path(), name));
    let account = ada.account();
    hub.ok(&["sub", "add", &account]);
    let node = hub.node();
    ada.ok(&["post", "hello"]);
    agree(&ada, &node);
    assert_eq!(ada.json(&["status"])[0]["unsent_changes"], 0);
    hub.ok(&["sub", "remove", &account]);
    ada.sync(&node.ticket());
    let status = ada.json(&["status"]).remove(0);
    assert_ne!(status["unsent_changes"], 0, "{status}");
    hub.ok(&["sub", "add", &account]);
    agree(&ada, &node);
    assert_eq!(ada.json(&["status"])[0]["unsent_changes"], 0);
    node.stop();
}

#[test]
fn a_hub_that_calls_and_keeps_nothing_more_is_no_copy() {
    let root = tempfile::tempdir().unwrap();
    let [ada, hub] = ["ada", "hub"].map(|name| Home::init(root.path(), name));
    let account = ada.account();
    hub.ok(&["sub", "add", &account]);
    ada.ok(&["post", "hello"]);
    let node = hub.node();
    agree(&ada, &node);
    node.stop();
    let open = ada.node();
    // From now on it is the hub that calls.
    let _ = hub.sync(&open.ticket());
    all_in_sync(&ada);
    hub.ok(&["sub", "remove", &account]);
    let _ = hub.run(&["sync", "--peer", &open.ticket()]);
    for state in ada.json(&["sync", "status"]) {
        assert_ne!(state["state"], "in-sync", "{state}");
        assert_eq!(state["durable"], Value::Null, "{state}");
    }
    assert_ne!(ada.json(&["status"])[0]["unsent_changes"], 0);
    open.stop();
}

#[test]
fn who_leaves_files_out_is_no_copy_of_them() {
    let root = tempfile::tempdir().unwrap();
    let [ada, hub] = ["ada", "hub"].map(|name| Home::init(root.path(), name));
    let account = ada.account();
    hub.ok(&["sub", "add", &account, "--blobs", "none"]);
    let node = hub.node();
    let file = root.path().join("file");
    std::fs::write(&file, vec![7; 300_000]).unwrap();
    let with_file = ["post", "waits", "-a", file.to_str().unwrap(), "--wait-replicas", "1"];
    let _ = ada.sync(&node.ticket());
    // A text alone is there whatever is left out.
    ada.ok(&["post", "a text", "--wait-replicas", "1", "--timeout", "60s"]);
    let waited = ada.run(&[&with_file[..], &["--timeout", "2s"]].concat());
    assert_eq!(waited.code, 124, "{}", waited.err);
    // The waiting was cut off: that says nothing of what the hub keeps.
    assert!(public(&ada)["reasons"].to_string().contains("left out there"), "{}", public(&ada));
    let _ = ada.sync(&node.ticket());
    let public = public(&ada);
    assert_eq!(public["state"], "in-sync", "{public}");
    assert_eq!(public["durable"], Value::Null, "{public}");
    assert!(public["reasons"].to_string().contains("left out there"), "{public}");
    hub.ok(&["sub", "add", &account, "--blobs", "all"]);
    let done = ada.run(&[&with_file[..], &["--timeout", "60s"]].concat());
    assert_eq!(done.code, 0, "{}", done.err);
    node.stop();
}

#[test]
fn who_keeps_a_part_is_no_copy() {
    let root = tempfile::tempdir().unwrap();
    let [ada, hub] = ["ada", "hub"].map(|name| Home::init(root.path(), name));
    let account = ada.account();
    hub.ok(&["sub", "add", &account, "--history", "90d"]);
    let node = hub.node();
    let _ = ada.sync(&node.ticket());
    let waited = ada.run(&["post", "waits", "--wait-replicas", "1", "--timeout", "2s"]);
    assert_eq!(waited.code, 124, "{}", waited.err);
    // The hub knows all heads, and may hold nothing of what they stand for.
    let _ = ada.sync(&node.ticket());
    assert_eq!(public(&ada)["state"], "in-sync");
    assert_ne!(ada.json(&["status"])[0]["unsent_changes"], 0);
    hub.ok(&["sub", "add", &account, "--history", "full"]);
    ada.ok(&["post", "arrives", "--wait-replicas", "1", "--timeout", "60s"]);
    assert_eq!(ada.json(&["status"])[0]["unsent_changes"], 0);
    node.stop();
}

/// How the public section of the first peer stands.
fn public(home: &Home) -> Value {
    let mut states = home.json(&["sync", "status"]).into_iter();
    states.find(|state| field(state, "section") == "public").unwrap()
}
