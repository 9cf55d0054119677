//! Attachments: through kills, from several peers, in and out of folders, and what they take.
//!
//! `MOSAIC_MEDIA_MB` sets the size of the file that is fetched, 40 unless told otherwise.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mosaic_tests::home::{Home, Node, field, until};
use serde_json::Value;

const MIB: u64 = 1024 * 1024;
/// What a kill may cost.
const LOST_MAX: u64 = 4 * MIB;
/// Memory that no node goes beyond.
const MEMORY_MAX: u64 = 200 * MIB;

fn size() -> u64 {
    let asked = std::env::var("MOSAIC_MEDIA_MB").ok().and_then(|count| count.parse::<u64>().ok());
    asked.unwrap_or(40) * MIB
}

/// A file that does not compress, written piece by piece.
fn make_file(path: &Path, bytes: u64, seed: u64) {
    let mut file = File::create(path).unwrap();
    let mut state = seed | 1;
    let mut left = bytes;
    while left > 0 {
        let piece: Vec<u8> = (0..8192)
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        let now = usize::try_from(left.min(piece.len() as u64)).unwrap();
        file.write_all(&piece[..now]).unwrap();
        left -= now as u64;
    }
}

fn same(a: &Path, b: &Path) -> bool {
    let (mut a, mut b) = (File::open(a).unwrap(), File::open(b).unwrap());
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let (n, m) = (a.read(&mut left).unwrap(), b.read(&mut right).unwrap());
        if n != m || left[..n] != right[..m] {
            return false;
        }
        if n == 0 {
            return true;
        }
    }
}

/// Bytes on disk of what is on its way in.
fn partial(home: &Home) -> u64 {
    let Ok(entries) = fs::read_dir(home.path.join("store/blobs/partial")) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|m| m.blocks() * 512).sum()
}

/// The most memory that a process had.
fn peak(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Bytes of files that a node gave to another one since its start.
fn given(home: &Home, to: &Home) -> u64 {
    let device = field(&to.json(&["status"])[0], "device");
    let peers = home.json(&["node", "peers"]);
    let peer = peers.iter().find(|peer| peer["device"] == device.as_str());
    peer.map_or(0, |peer| peer["file_out_bytes"].as_u64().unwrap())
}

fn missing(home: &Home) -> u64 {
    home.json(&["status"])[0]["missing_bodies"].as_u64().unwrap()
}

fn attach(home: &Home, path: &Path, text: &str) -> String {
    field(&home.json(&["post", text, "--attach", path.to_str().unwrap()])[0], "id")
}

fn blobs(home: &Home) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in fs::read_dir(home.path.join("store/blobs")).unwrap().flatten() {
        found.extend(fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.path()));
    }
    found
}

#[test]
fn a_receiver_that_is_killed_twice_fetches_only_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let file = root.path().join("film.bin");
    make_file(&file, size(), 7);
    let node = ada.node();
    let post = attach(&ada, &file, "a film");
    bob.ok(&["sub", "add", &ada.account()]);
    // whom she keeps she remembers while he is away
    ada.ok(&["sub", "add", &bob.account()]);
    let mut wanted = size();
    let mut told = Vec::new();
    for part in 1..=2 {
        let before = given(&ada, &bob);
        let receiver = bob.node();
        bob.ok(&["node", "connect", &node.ticket()]);
        until("a part has come", || partial(&bob) >= size() * part / 3);
        receiver.kill();
        let fetched = given(&ada, &bob) - before;
        assert!(fetched <= wanted + LOST_MAX, "{fetched} of {wanted}");
        wanted = size().saturating_sub(partial(&bob));
        told.push(fetched);
    }
    assert!(wanted > 0 && told.iter().all(|fetched| *fetched > 0), "{wanted} after {told:?}");
    let before = given(&ada, &bob);
    let receiver = bob.node();
    until("the file is here", || missing(&bob) == 0);
    told.push(given(&ada, &bob) - before);
    let last = told.last().copied().unwrap();
    assert!(last <= wanted + LOST_MAX, "{last} of {wanted}");
    let synced = bob.sync(&node.ticket());
    assert_eq!(synced["state"], "in-sync", "{synced}");
    let saved = root.path().join("saved.bin");
    bob.ok(&["wall", "save", &post, "--output", saved.to_str().unwrap()]);
    assert!(same(&file, &saved));
    let peaks = [peak(&node), peak(&receiver)];
    println!("fetched {told:?} of {}, VmHWM {peaks:?}", size());
    assert!(peaks.iter().all(|peak| *peak <= MEMORY_MAX), "{peaks:?}");
    assert_eq!(partial(&bob), 0);
    for home in [&ada, &bob] {
        assert_eq!(home.json(&["store", "gc", "--dry-run"])[0]["items"], 0);
    }
    receiver.stop();
    node.stop();
    bob.ok(&["store", "verify"]);
}

#[test]
fn a_file_comes_from_both_who_have_it() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let (hub, reader) = (Home::init(root.path(), "hub"), Home::init(root.path(), "reader"));
    let file = root.path().join("film.bin");
    make_file(&file, size(), 9);
    let nodes = [ada.node(), hub.node()];
    let post = attach(&ada, &file, "a film");
    hub.ok(&["sub", "add", &ada.account()]);
    ada.ok(&["sub", "add", &hub.account()]);
    let met = hub.sync(&nodes[0].ticket());
    assert_eq!((&met["state"], &met["missing_bodies"]), (&"in-sync".into(), &0.into()), "{met}");
    // what the giver says of it is what the taker says
    assert!(met["body_bytes"].as_u64().unwrap() >= size(), "{met}");
    assert!(given(&ada, &hub) >= size());
    reader.ok(&["sub", "add", &ada.account()]);
    let tickets = nodes.each_ref().map(Node::ticket);
    let [first, second] = tickets.each_ref().map(String::as_str);
    let results = reader.json(&["sync", "--peer", first, "--peer", second, "--timeout", "120s"]);
    let brought: Vec<u64> = results
        .iter()
        .filter(|record| record["type"] == "sync_result")
        .map(|record| record["body_bytes"].as_u64().unwrap())
        .collect();
    println!("brought {brought:?} of {}", size());
    assert!(brought.len() == 2 && brought.iter().all(|bytes| *bytes > MIB), "{results:?}");
    let sum: u64 = brought.iter().sum();
    assert!((size()..size() + LOST_MAX).contains(&sum), "{brought:?}");
    let saved = root.path().join("saved.bin");
    reader.ok(&["wall", "save", &post, "--output", saved.to_str().unwrap()]);
    assert!(same(&file, &saved));
    for node in nodes {
        node.stop();
    }
}

#[test]
fn a_file_that_cannot_be_attached_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let (fine, huge) = (root.path().join("fine.bin"), root.path().join("huge.bin"));
    make_file(&fine, 300_000, 3);
    File::create(&huge).unwrap().set_len(10_000_000_000).unwrap();
    let broken = root.path().join("broken.jpg");
    fs::write(&broken, b"\xff\xd8\xff\xe0\0\x10JFIF\0").unwrap();
    let none = blobs(&ada).len();
    let node = ada.node();
    for (wrong, why) in [
        (&huge, "10000000000 bytes, limit 4294967296"),
        (&broken, "cannot remove the metadata"),
        (&root.path().to_owned(), "not a file"),
    ] {
        let (fine, wrong) = (fine.to_str().unwrap(), wrong.to_str().unwrap());
        let refused = ada.run(&["post", "x", "--attach", fine, "--attach", wrong]);
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(refused.err.contains(why), "{}", refused.err);
        assert_eq!(blobs(&ada).len(), none, "{:?}", blobs(&ada));
    }
    for name in ["../x", "a/b", "a\u{1b}b", ".."] {
        let fine = fine.to_str().unwrap();
        let refused = ada.run(&["post", "x", "--attach", fine, "--name", name]);
        assert_eq!(refused.code, 2, "{name:?}: {}", refused.err);
    }
    assert_eq!(blobs(&ada).len(), none);
    assert!(ada.json(&["wall", "list"]).is_empty());
    let kept = ada.json(&["post", "x", "--attach", broken.to_str().unwrap(), "--keep-metadata"]);
    assert_eq!(kept[0]["attachments"][0]["size_bytes"], 11, "{kept:?}");
    node.stop();
}

#[test]
fn what_is_saved_stays_in_its_folder() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let odd = root.path().join("..%2f\u{1b}[2J.ssh\\x");
    fs::write(&odd, "odd").unwrap();
    let post = ada.json(&["post", "x", "--attach", odd.to_str().unwrap()]).remove(0);
    let label = field(&post["attachments"][0], "name");
    assert_eq!(label, "..%2f_[2J.ssh_x");
    let folder = root.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let save = || {
        let (id, folder) = (field(&post, "id"), folder.to_str().unwrap());
        ada.run(&["wall", "save", &id, "--output", folder])
    };
    assert_eq!(save().code, 0);
    let written: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect();
    assert_eq!(written, [folder.join("_..%2f_[2J.ssh_x")]);
    assert_eq!(fs::read_to_string(&written[0]).unwrap(), "odd");
    // neither over a file nor through a link
    assert_eq!(save().code, 15);
    fs::remove_file(&written[0]).unwrap();
    std::os::unix::fs::symlink(root.path().join("elsewhere"), &written[0]).unwrap();
    assert_eq!(save().code, 15);
    assert!(!root.path().join("elsewhere").exists());
}

#[test]
fn a_collection_frees_what_a_dry_run_says_with_and_without_a_node() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let file = root.path().join("file.bin");
    make_file(&file, 700_000, 5);
    let post = attach(&ada, &file, "stays");
    let gone = attach(&ada, &file, "goes");
    ada.ok(&["wall", "delete", &gone]);
    let gc = |args: &[&str]| {
        let mut records = ada.json(&[&["store", "gc"], args].concat());
        for record in &mut records {
            record.as_object_mut().unwrap().remove("elapsed_ms");
            record.as_object_mut().unwrap().remove("dry_run");
        }
        records
    };
    let nothing: Vec<Value> = gc(&["--dry-run"]);
    assert_eq!(nothing[0]["freed_bytes"], 0, "{nothing:?}");
    // a damaged remainder of something that was deleted since
    let aside = ada.path.join("store/blobs/damaged");
    fs::create_dir_all(&aside).unwrap();
    fs::write(aside.join("ab".repeat(32)), vec![1; 9000]).unwrap();
    let alone = gc(&["--dry-run"]);
    assert_eq!(alone.len(), 2, "{alone:?}");
    let node = ada.node();
    assert_eq!(gc(&["--dry-run"]), alone);
    assert_eq!(gc(&[]), alone);
    assert_eq!(gc(&[]), nothing);
    node.stop();
    assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
    ada.ok(&["wall", "save", &post, "--output", root.path().join("saved").to_str().unwrap()]);
    ada.ok(&["store", "verify"]);
}
