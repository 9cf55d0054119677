//! The picture of a profile travels with it.

use std::fs;

use mosaic_tests::home::{Home, Node};

fn set(home: &Home, bytes: &[u8], alt: &str) {
    let file = home.path.with_extension("png");
    fs::write(&file, bytes).unwrap();
    home.ok(&["profile", "set", "--avatar", file.to_str().unwrap(), "--bio", alt]);
}

fn saved(home: &Home, who: &str) -> Vec<u8> {
    let file = home.path.with_extension("saved");
    home.ok(&["profile", "avatar", who, "--output", file.to_str().unwrap()]);
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    bytes
}

fn meet(home: &Home, node: &Node) {
    let result = home.sync(&node.ticket());
    assert_eq!(result["missing_bodies"], 0, "{result}");
    assert_eq!(result["peer_missing_bodies"], 0, "{result}");
}

fn blobs(home: &Home) -> u64 {
    home.json(&["store", "stats"])[0]["blobs"].as_u64().unwrap()
}

#[test]
fn a_picture_reaches_whoever_keeps_the_profile() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let hub = Home::init(root.path(), "hub");
    let reader = Home::init(root.path(), "reader");
    let account = laptop.account();
    hub.ok(&["sub", "add", &account]);
    reader.ok(&["sub", "add", &account]);
    // larger and smaller than what is fetched as a file of its own, and back
    let pictures = [vec![7; 300_000], vec![9; 1000], vec![8; 70_000]];
    for picture in &pictures {
        set(&laptop, picture, &format!("of {} bytes", picture.len()));
        let node = hub.node();
        meet(&laptop, &node);
        meet(&reader, &node);
        node.stop();
        // nobody else is there any more
        for home in [&laptop, &hub, &reader] {
            assert_eq!(&saved(home, &account), picture, "{}", home.path.display());
            assert_eq!(blobs(home), 1, "the one before has gone from {}", home.path.display());
            let profile = &home.json(&["profile", "show", &account])[0];
            assert_eq!(profile["avatar"]["size_bytes"], picture.len(), "{profile}");
        }
    }
    laptop.ok(&["profile", "set", "--unset", "avatar"]);
    assert_eq!(laptop.run(&["profile", "avatar", "-o", "/nowhere/x"]).code, 13);
    assert_eq!(blobs(&laptop), 0);
    for home in [&laptop, &hub, &reader] {
        home.ok(&["store", "verify"]);
    }
}
