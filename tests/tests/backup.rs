//! Backups: taken while a node writes, put back whole and verified, or not at all.

use std::path::{Path, PathBuf};

use mosaic_tests::api::Writer;
use mosaic_tests::home::{Home, field};
use serde_json::Value;

fn path(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// The first changes of a chain, and how many there are.
fn changes(home: &Home, doc: &str) -> Vec<(u64, String)> {
    let records = home.json(&["doc", "changes", doc]);
    records.iter().map(|change| (change["n"].as_u64().unwrap(), field(change, "id"))).collect()
}

fn posts(home: &Home) -> Vec<String> {
    let mut ids: Vec<String> =
        home.json(&["wall", "list", "-n", "100000"]).iter().map(|post| field(post, "id")).collect();
    ids.reverse();
    ids
}

fn heads(home: &Home) -> Vec<Value> {
    home.json(&["doc", "heads"])
}

/// Files and folders beside `home`.
fn beside(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.parent().unwrap()).unwrap();
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_taken_while_a_node_writes_restores_to_what_was_there() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let picture = root.path().join("large.bin");
    std::fs::write(&picture, vec![7; 300_000]).unwrap();
    home.ok(&["post", "with a file", "--attach", path(&picture)]);
    let node = home.node();
    let writer = Writer::begin(&home);
    let before = writer.told(20);
    let file = root.path().join("laptop.backup");
    home.ok(&["store", "backup", path(&file), "--include-keys"]);
    // written on after the cut
    let _ = writer.told(5);
    writer.end();

    let copy = Home::new(root.path(), "copy");
    copy.ok(&["store", "restore", path(&file)]);
    is_marked(&copy);
    let verify = copy.run(&["store", "verify"]);
    assert_eq!(verify.code, 0, "{}{}", verify.out, verify.err);
    let (all, kept) = (posts(&home), posts(&copy));
    assert!(kept.len() > before.len() && kept.len() < all.len(), "{} {}", kept.len(), all.len());
    assert_eq!(kept, all[..kept.len()], "a prefix of what was written");
    for id in &before {
        assert!(kept.contains(id), "an acknowledged post is missing");
    }
    for head in heads(&copy) {
        let doc = field(&head, "doc");
        let (there, here) = (changes(&home, &doc), changes(&copy, &doc));
        assert_eq!(here, there[..here.len()]);
        assert_eq!(here.last().unwrap().0, head["n"].as_u64().unwrap());
    }
    // with nobody writing, the cut is everything
    let second = root.path().join("second.backup");
    home.ok(&["store", "backup", path(&second), "--include-keys"]);
    let equal = Home::new(root.path(), "equal");
    equal.ok(&["store", "restore", path(&second)]);
    assert_eq!(heads(&equal), heads(&home));
    node.stop();
    assert_eq!(home.run(&["store", "verify"]).code, 0);
    // the copy lives a life of its own: nothing forks
    copy.ok(&["post", "of the copy"]);
    assert_eq!(heads(&copy).len(), heads(&home).len() + 1, "a chain of a new life");
    home.ok(&["post", "of the old life"]);
    both_lives_meet(root.path(), &home, &copy);
}

/// Whoever looks sees what it comes from, before it is opened for the first time.
fn is_marked(home: &Home) {
    let doctor = home.run(&["doctor"]);
    assert!(doctor.out.contains("put back from a backup: the device begins"), "{}", doctor.out);
}

/// The old life and the restored one share a device: at a hub nothing forks, nothing is lost.
fn both_lives_meet(root: &Path, home: &Home, copy: &Home) {
    let hub = Home::init(root, "hub");
    hub.ok(&["sub", "add", &home.account()]);
    let node = hub.node();
    for life in [home, copy, home] {
        let result = life.sync(&node.ticket());
        assert!(!result["reasons"].to_string().contains("fork"), "{result}");
    }
    node.stop();
    let (all, account) = (posts(home), home.account());
    assert_eq!(posts(copy), all);
    let texts: Vec<String> =
        home.json(&["wall", "list", "-n", "2"]).iter().map(|post| field(post, "text")).collect();
    assert_eq!(texts, ["of the old life", "of the copy"]);
    let heads = |home: &Home| home.json(&["doc", "heads", "--who", &account]);
    assert_eq!(heads(home), heads(copy));
    assert_eq!(heads(home), heads(&hub));
    for home in [home, copy, &hub] {
        assert_eq!(home.run(&["store", "verify"]).code, 0, "{}", home.path.display());
        assert!(!home.ok(&["wall", "list", &account, "--json"]).contains("disputed"));
    }
}

#[test]
fn what_is_no_whole_backup_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    home.ok(&["post", "hello"]);
    let plain = root.path().join("plain.backup");
    home.ok(&["store", "backup", path(&plain)]);
    assert_eq!(home.run(&["store", "backup", path(&plain)]).code, 15, "never overwritten");
    let bytes = std::fs::read(&plain).unwrap();
    let odd = root.path().join("odd");
    let target = root.path().join("target/home");
    let copy = Home::new(&root.path().join("target"), "home");
    std::fs::create_dir(root.path().join("target")).unwrap();
    let refused = |bytes: &[u8], code: i32, says: &str| {
        std::fs::write(&odd, bytes).unwrap();
        let done = copy.run(&["store", "restore", path(&odd)]);
        assert_eq!(done.code, code, "{}", done.err);
        assert!(done.err.contains(says), "{}", done.err);
        assert!(!target.exists() && beside(&target).is_empty(), "{:?}", beside(&target));
    };
    refused(b"", 2, "no backup of mosaic");
    refused(b"#!/bin/sh\necho no\n", 2, "no backup of mosaic");
    refused(b"age-encryption.org/v1\n", 2, "age -d");
    for cut in [5, bytes.len() / 3, bytes.len() - 1] {
        refused(&bytes[..cut], 16, "cut short or damaged");
    }
    for at in [bytes.len() / 4, bytes.len() / 2, bytes.len() - 3] {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        refused(&altered, 16, "cut short or damaged");
    }
    // never over something that is there
    std::fs::write(&odd, &bytes).unwrap();
    copy.ok(&["store", "restore", path(&odd)]);
    assert_eq!(copy.run(&["store", "restore", path(&odd)]).code, 15);
    // without keys it says so, and the store is whole
    let bare = Home::new(root.path(), "bare");
    let done = bare.run(&["store", "restore", path(&plain)]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("without keys"), "{}", done.err);
    std::fs::copy(home.path.join("device.key"), bare.path.join("device.key")).unwrap();
    assert_eq!(bare.run(&["store", "verify"]).code, 0);
}

#[test]
fn a_backup_goes_through_pipes() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    home.ok(&["post", "hello"]);
    let bytes = home.command(&["store", "backup", "-", "--include-keys"]).output().unwrap();
    assert!(bytes.status.success());
    let copy = Home::new(root.path(), "copy");
    let mut restore = copy.command(&["store", "restore", "-"]);
    let mut child = restore.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &bytes.stdout).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(posts(&copy), posts(&home));
    // in the place of the home that was lost, whose marks are still in the state folder
    let kept = heads(&home).len();
    home.ok(&["post", "after the backup"]);
    std::fs::remove_dir_all(&home.path).unwrap();
    let file = root.path().join("kept");
    std::fs::write(&file, &bytes.stdout).unwrap();
    home.ok(&["store", "restore", path(&file)]);
    is_marked(&home);
    home.ok(&["post", "of the new life"]);
    assert_eq!(heads(&home).len(), kept + 1, "a chain of a new life");
    assert_eq!(home.run(&["store", "verify"]).code, 0);
    let doctor = home.run(&["doctor"]);
    assert!(!doctor.out.contains("put back"), "settled: {}", doctor.out);
}
