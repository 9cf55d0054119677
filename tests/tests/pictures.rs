//! The picture of a profile travels with it.

use std::fs;

use mosaic_tests::home::{Home, Node};

/// A picture of so many bytes.
fn picture(filler: u8, bytes: usize) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], contents: &[u8]| {
        let length = u32::try_from(contents.len()).unwrap().to_be_bytes();
        [&length[..], kind, contents, &[0; 4]].concat()
    };
    let (head, end) = (chunk(b"IHDR", &[0; 13]), chunk(b"IEND", b""));
    let signature = b"\x89PNG\r\n\x1a\n";
    let rest = bytes - signature.len() - head.len() - end.len() - 12;
    [&signature[..], &head, &chunk(b"IDAT", &vec![filler; rest]), &end].concat()
}

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
    let pictures = [picture(7, 300_000), picture(9, 1000), picture(8, 70_000)];
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

#[test]
fn only_pictures_are_taken_and_what_they_say_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "ada");
    let file = root.path().join("picture.png");
    let set = |bytes: &[u8], more: &[&str]| {
        fs::write(&file, bytes).unwrap();
        let args = ["profile", "set", "--avatar", file.to_str().unwrap()];
        home.run(&[&args, more].concat())
    };
    let whole = picture(3, 5000);
    for (bytes, why) in [
        (&b"hello"[..], "no picture"),
        (b"", "no picture"),
        (b"II*\0abcdefgh", "TIFF"),
        (&whole[..4000], "ends too early"),
        (&picture(3, (1 << 20) + 1), "more than 1048576 bytes"),
    ] {
        let refused = set(bytes, &[]);
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(refused.err.contains(why), "{}", refused.err);
        assert_eq!(blobs(&home), 0);
        assert!(home.json(&["profile", "show"])[0].get("avatar").is_none());
    }
    // a comment before the end
    let mut said = whole.clone();
    let text = b"\0\0\0\x0atEXtAuthor\0Ada\0\0\0\0";
    said.splice(said.len() - 12..said.len() - 12, text.iter().copied());
    assert_eq!(set(&said, &[]).code, 0);
    assert_eq!(saved(&home, &home.account()), whole);
    assert_eq!(set(&said, &["--keep-metadata"]).code, 0);
    assert_eq!(saved(&home, &home.account()), said);
    assert_eq!(home.json(&["store", "gc", "--dry-run"])[0]["freed_bytes"], 0);
}
