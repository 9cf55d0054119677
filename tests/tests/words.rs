//! What commands say when they refuse, and what they say to do next.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mosaic_tests::home::{Done, Home};

fn says(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{}", done.err);
    for word in words {
        assert!(done.err.contains(word), "no '{word}' in: {}", done.err);
    }
}

#[test]
fn refusals_say_what_is_true_and_what_helps() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let post = home.ok(&["post", "hello"]);
    says(&home.run(&["wall", "show", "b"]), 2, &["at least 4 digits"]);
    says(&home.run(&["wall", "unhide", &post]), 15, &["is not hidden"]);
    says(&home.run(&["device", "invite", "--ttl", "0s"]), 2, &["hint: mosaic device invite"]);
    let usage = home.run(&["wall", "show"]);
    assert!(!usage.err.contains("--home"), "{}", usage.err);
    says(&home.run(&["sync", "status"]), 0, &["no copy but this one"]);
    // accounts of which nothing is here yet
    let stranger = "abab".repeat(16);
    home.ok(&["follow", &stranger, "--as", "dup"]);
    home.ok(&["follow", &"cdcd".repeat(16), "--as", "dup"]);
    home.ok(&["sub", "show", "abab"]);
    says(&home.run(&["unfollow", "@dup"]), 14, &["hint: mosaic follow list"]);
    home.ok(&["unfollow", "abab"]);
    assert!(!home.ok(&["follow", "list"]).contains(&stranger));
    says(&home.run(&["dm", "ignore", "64"]), 2, &["hint: mosaic dm list"]);
    let archive = ["--archive-passphrase-file", "nowhere", "--output", "archive"];
    let refused = home.run(&[&["export", "mosaic"], &archive[..]].concat());
    says(&refused, 13, &["nowhere", "hint: mosaic export mosaic --archive-passphrase-file"]);
    // tickets as QR codes have them
    let node = home.node();
    let other = Home::init(root.path(), "other");
    let result = other.sync(&node.ticket().to_ascii_uppercase());
    assert_eq!(result["type"], "sync_result", "{result}");
    let refused = other.run(&["wall", "comment", &post, "hi"]);
    assert_ne!(refused.code, 0, "{}", refused.err);
    let account = home.ok(&["identity", "show", "--jq", ".account"]);
    other.ok(&["follow", &account]);
    other.sync(&node.ticket());
    for command in ["edit", "delete"] {
        let text = if command == "edit" { &["mine"][..] } else { &[] };
        let refused = other.run(&[&["wall", command, post.as_str()], text].concat());
        says(&refused, 4, &["who wrote something changes", "hint: mosaic mute"]);
    }
    node.stop();
}

fn private(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::symlink_metadata(&path).unwrap();
        let mode = found.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o} {}", path.display());
        if found.is_dir() {
            private(&path);
        }
    }
}

#[test]
fn all_files_of_a_home_are_private_and_saved_ones_are_not() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let (file, saved) = (root.path().join("file"), root.path().join("saved"));
    fs::write(&file, vec![1; 100_000]).unwrap();
    let post = home.ok(&["post", "with a file", "-a", file.to_str().unwrap()]);
    private(&home.path);
    home.ok(&["wall", "save", &post, "--output", saved.to_str().unwrap()]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&saved), mode(&file));
}
