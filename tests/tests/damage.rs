//! Damaged bodies: noticed, said, and fetched again; everything else goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, Node, field};
use serde_json::{Value, json};

/// A laptop and the hub that keeps its wall: three large texts, a file and small texts.
struct Cast {
    root: tempfile::TempDir,
    laptop: Home,
    hub: Home,
    account: String,
}

const POSTS: usize = 6;

fn cast() -> Cast {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "hub"));
    let account = laptop.account();
    for n in 0..3 {
        let text = root.path().join(format!("text{n}"));
        fs::write(&text, format!("{n} large ").repeat(12_000 + n)).unwrap();
        laptop.ok(&["post", "--file", text.to_str().unwrap()]);
    }
    let file = root.path().join("file");
    fs::write(&file, vec![7; 300_000]).unwrap();
    laptop.ok(&["post", "with a file", "--attach", file.to_str().unwrap()]);
    laptop.ok(&["post", "small"]);
    laptop.ok(&["post", "small too"]);
    hub.ok(&["sub", "add", &account]);
    let cast = Cast { root, laptop, hub, account };
    let node = cast.hub.node();
    let met = cast.laptop.sync(&node.ticket());
    assert_eq!(field(&met, "state"), "in-sync", "{met}");
    node.stop();
    assert_eq!(cast.blobs().len(), 4);
    cast
}

impl Cast {
    /// The hub's blob files, smallest first: three texts, one file.
    fn blobs(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in fs::read_dir(self.hub.path.join("store/blobs")).unwrap() {
            let folder = folder.unwrap();
            if folder.file_name().len() == 2 {
                let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
                found.extend(files.filter(|path| path.extension().is_none()));
            }
        }
        found.sort_by_key(|path| fs::metadata(path).unwrap().len());
        found
    }

    fn wall(&self, home: &Home) -> Vec<Value> {
        let records = home.json(&["wall", "list", &self.account]);
        records.into_iter().filter(|record| record["type"] == "post").collect()
    }

    fn missing(&self) -> u64 {
        self.hub.json(&["status"])[0]["missing_bodies"].as_u64().unwrap()
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn hash(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn damaged_bodies_are_missing_until_they_are_fetched_again() {
    let cast = cast();
    let blobs = cast.blobs();
    let right: Vec<Vec<u8>> = blobs.iter().map(|path| fs::read(path).unwrap()).collect();
    fs::remove_file(&blobs[0]).unwrap();
    fs::write(&blobs[3], &right[3][..100]).unwrap();
    // Files of another length are seen at once, altered bytes when they are read.
    assert_eq!(cast.missing(), 2);
    flip(&blobs[1]);
    let verify = cast.hub.run(&["store", "verify"]);
    assert_eq!(verify.code, 16, "{}", verify.out);
    for path in [&blobs[0], &blobs[1], &blobs[3]] {
        assert!(verify.out.contains(&hash(path)), "{}", verify.out);
    }
    assert!(verify.out.contains("the next sync fetches it again"), "{}", verify.out);
    assert!(verify.err.contains("mosaic sync"), "{}", verify.err);
    assert_eq!(cast.missing(), 3);
    let status = cast.hub.json(&["status"]);
    assert!(status[0]["warnings"].to_string().contains("3 damaged bodies"), "{}", status[0]);
    let listed = cast.hub.run(&["wall", "list", &cast.account]);
    assert_eq!(listed.code, 16, "{}", listed.err);
    let wall = cast.wall(&cast.hub);
    assert_eq!(wall.len(), POSTS);
    assert_eq!(wall.iter().filter(|post| post["missing"] == true).count(), 2, "{wall:?}");

    let node = cast.hub.node();
    let met = cast.laptop.sync(&node.ticket());
    assert_eq!(field(&met, "state"), "in-sync", "{met}");
    assert_eq!(met["peer_missing_bodies"], 0, "{met}");
    node.stop();
    assert_eq!(cast.missing(), 0);
    for (path, right) in blobs.iter().zip(&right) {
        assert!(fs::read(path).unwrap() == *right, "{}", path.display());
    }
    cast.hub.ok(&["store", "verify"]);
    cast.hub.ok(&["wall", "list", &cast.account]);
    let left = fs::read_dir(cast.hub.path.join("store/blobs/damaged")).unwrap().count();
    assert_eq!(left, 0);
}

/// A new reader of the damaged hub; returns what its first sync came to.
fn read(cast: &Cast, node: &Node, name: &str) -> (Home, Value) {
    let reader = Home::init(cast.root.path(), name);
    reader.ok(&["sub", "add", &cast.account]);
    let met = reader.sync(&node.ticket());
    (reader, met)
}

#[test]
fn one_damaged_text_does_not_keep_the_others_from_readers() {
    let cast = cast();
    let blobs = cast.blobs();
    flip(&blobs[1]);
    let node = cast.hub.node();
    let (reader, met) = read(&cast, &node, "reader");
    let wall = cast.wall(&reader);
    assert_eq!(wall.len(), POSTS, "{met}");
    assert_eq!(wall.iter().filter(|post| post["missing"] == true).count(), 1, "{wall:?}");
    assert_eq!(met["missing_bodies"], 1, "{met}");
    assert_eq!(met["peer_missing_bodies"], 1, "{met}");
    let states = reader.json(&["sync", "status"]);
    assert!(states.iter().all(|state| state["state"] != "failed"), "{states:?}");
    let told = format!("{states:?}");
    assert!(told.contains("missing there"), "{told}");
    let log = fs::read_to_string(cast.root.path().join("hub.log")).unwrap();
    let line = log.lines().find(|line| line.contains(&hash(&blobs[1]))).expect(&log);
    assert!(line.contains("WARN"), "{line}");

    // Whoever has it brings it; then the reader gets it too.
    let met = cast.laptop.sync(&node.ticket());
    assert_eq!(met["peer_missing_bodies"], 0, "{met}");
    let met = reader.sync(&node.ticket());
    assert_eq!(met["missing_bodies"], 0, "{met}");
    assert!(cast.wall(&reader).iter().all(|post| post["text"].is_string()));
    node.stop();
}

#[test]
fn a_list_shows_what_is_sound() {
    let cast = cast();
    flip(&cast.blobs()[0]);
    let listed = cast.hub.run(&["wall", "list", &cast.account, "--json"]);
    assert_eq!(listed.code, 16, "{}", listed.err);
    let posts: Vec<Value> =
        listed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(posts.len(), POSTS, "{}", listed.out);
    assert_eq!(posts.iter().filter(|post| post["missing"] == true).count(), 1);
    assert_eq!(posts.iter().filter(|post| post["text"].is_string()).count(), POSTS - 1);
    assert!(listed.err.contains("mosaic sync"), "{}", listed.err);
}

#[test]
fn a_node_whose_store_failed_says_so_and_goes_on_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let hub = Home::init(root.path(), "hub");
    // A limit on the size of files is a full disk that needs no rights: 1.5 MB.
    let plain = hub.command(&["node", "run"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 3000; exec \"$@\"", "sh"]);
    limited.arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    limited.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let node = hub.node_as(limited);
    let api = Api::of(&hub.path);
    let text = "x".repeat(12_000);
    let refused = (0..1000).find_map(|n| {
        let body = json!({ "text": format!("{n} {text}") });
        let answer = api.try_call("/v1/post/create", &body).remove(0);
        (answer["type"] == "error").then_some(answer)
    });
    assert_eq!(refused.expect("a refusal")["code"], 1);
    drop(api);
    let post = hub.run(&["post", "later"]);
    assert_eq!(post.code, 1, "{}", post.err);
    assert!(post.err.contains("mosaic node restart"), "{}", post.err);
    for shown in [hub.json(&["status"]), hub.json(&["node", "status"])] {
        assert!(shown[0]["warnings"].to_string().contains("the store failed"), "{}", shown[0]);
    }
    let log = fs::read_to_string(root.path().join("hub.log")).unwrap();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("the store failed")));
    node.stop();
    let node = hub.node();
    hub.ok(&["post", "later"]);
    assert!(!hub.json(&["status"])[0]["warnings"].to_string().contains("failed"));
    node.stop();
}
