//! Homes that lost something: they say what, and nobody becomes a stranger by it.

use std::fs;

use mosaic_tests::home::{Done, Home};
use serde_json::Value;

fn says(done: &Done, code: i32, words: &str) {
    assert_eq!(done.code, code, "{}", done.err);
    assert!(done.err.contains(words), "{}", done.err);
    assert!(!done.err.contains("mosaic init"), "{}", done.err);
}

/// Reading, checking and making an identity all end with 16.
fn is_half(home: &Home, words: &str) {
    let commands: [&[&str]; 6] = [
        &["wall", "list"],
        &["follow", "list"],
        &["store", "verify"],
        &["post", "x"],
        &["init", "--name", "Stranger"],
        &["init", "--if-missing"],
    ];
    for command in commands {
        says(&home.run(command), 16, words);
    }
}

#[test]
fn a_home_without_its_key_or_its_store_says_so() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let account = home.account();
    home.ok(&["post", "hello"]);
    let (key, store) = (home.path.join("device.key"), home.path.join("store"));
    let aside = root.path().join("aside");
    fs::rename(&key, &aside).unwrap();
    is_half(&home, "device.key is missing");
    fs::rename(&aside, &key).unwrap();
    fs::rename(&store, &aside).unwrap();
    is_half(&home, "store is missing");
    assert!(!store.exists());
    fs::rename(&aside, &store).unwrap();
    assert_eq!(home.account(), account);
    assert_eq!(home.json(&["identity", "list"]).len(), 1);
    says(&home.run(&["init"]), 15, "already belongs");
}

#[test]
fn a_flipped_bit_of_the_key_is_found() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let key = home.path.join("device.key");
    let right = fs::read(&key).unwrap();
    // one bit of each half, and a file that ends early
    let flipped = |at: usize| {
        let mut bytes = right.clone();
        bytes[at] ^= 2;
        bytes
    };
    for wrong in [flipped(3), flipped(40), right[..63].to_vec(), Vec::new()] {
        fs::write(&key, wrong).unwrap();
        is_half(&home, "device.key");
    }
    fs::write(&key, &right).unwrap();
    let node = home.node();
    assert_eq!(home.run(&["store", "verify"]).code, 0);
    fs::write(&key, flipped(40)).unwrap();
    let verify = home.run(&["store", "verify"]);
    assert_eq!(verify.code, 16, "{}", verify.out);
    assert!(verify.out.contains("device.key"), "{}", verify.out);
    fs::write(&key, &right).unwrap();
    node.stop();
}

#[test]
fn keys_whose_account_was_committed_get_their_name() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let (key, pending) = (home.path.join("device.key"), home.path.join("device.key.pending"));
    assert!(!pending.exists());
    // as when the power goes between the commit and the new name
    fs::rename(&key, &pending).unwrap();
    home.ok(&["post", "hello"]);
    assert!(key.exists() && !pending.exists());
    assert_eq!(home.run(&["store", "verify"]).code, 0);
}

#[test]
fn keys_of_an_identity_in_the_making_are_no_identity() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let (key, pending) = (home.path.join("device.key"), home.path.join("device.key.pending"));
    fs::rename(&key, &pending).unwrap();
    fs::remove_dir_all(home.path.join("store")).unwrap();
    assert_eq!(home.run(&["wall", "list"]).code, 10);
    home.ok(&["init", "--name", "laptop"]);
    assert!(key.exists() && !pending.exists());
}

#[test]
fn a_home_that_cannot_be_read_is_not_one_without_identity() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path(), "laptop");
    std::os::unix::fs::symlink(&home.path, &home.path).unwrap();
    let done = home.run(&["wall", "list"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("cannot read"), "{}", done.err);
}

#[test]
fn a_home_behind_a_link_is_the_same_home() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let link = root.path().join("link");
    std::os::unix::fs::symlink(&home.path, &link).unwrap();
    let through = home.at(link);
    through.ok(&["post", "through the link"]);
    for home in [&home, &through] {
        let status = &home.json(&["status"])[0];
        let warnings = status["warnings"].as_array().expect("warnings");
        let words =
            |warning: &Value| warning.as_str().is_some_and(|w| w.contains("recovery words"));
        assert!(warnings.iter().all(words), "{status}");
    }
    // a copy is told in words
    let copied = root.path().join("copy");
    let done = std::process::Command::new("cp").arg("-a").arg(&home.path).arg(&copied).status();
    assert!(done.unwrap().success());
    let copy = home.at(copied);
    let warnings = copy.json(&["status"])[0]["warnings"].to_string();
    assert!(warnings.contains("is missing; a new life begins"), "{warnings}");
}
