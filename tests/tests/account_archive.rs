//! A whole account as a sealed file: out, wiped, in again; verified, or nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use mosaic_tests::api::Writer;
use mosaic_tests::archives::{
    beside, bytes_that_do_not_pack, export, heads, path, secret, verified,
};
use mosaic_tests::home::{Home, Node, field, link, until};
use serde_json::{Value, json};

fn meet(home: &Home, node: &Node) {
    let result = home.sync(&node.ticket());
    assert!(result["state"] != "unreachable" && result["state"] != "failed", "{result}");
    assert!(!result["reasons"].to_string().contains("fork"), "{result}");
}

/// What a person sees of the account.
fn seen(home: &Home) -> Vec<String> {
    let account = home.account();
    let mut posts: Vec<String> =
        home.json(&["wall", "list", "-n", "1000"]).iter().map(Value::to_string).collect();
    for post in home.json(&["wall", "list", "-n", "1000"]) {
        posts.push(home.ok(&["wall", "show", &field(&post, "id"), "--json"]));
    }
    for args in [&["profile", "show", &account][..], &["draft", "list"]] {
        posts.push(home.ok(&[args, &["--json"]].concat()));
    }
    // what those who are followed call themselves is theirs, and comes by sync
    let follows = home.json(&["follow", "list"]);
    posts.extend(follows.iter().map(|one| format!("{} {}", one["account"], one["petname"])));
    posts.push(home.ok(&["block", "list", "--json"]));
    posts.push(home.ok(&["device", "list", "--json"]).replace("\"this\":true,", ""));
    posts
}

/// An account with everything: a phone, one that was revoked, friends, a file, private things.
fn full_account(root: &Path) -> (Home, Node) {
    let ada = Home::init(root, "ada");
    let (bob, hub) = (Home::init(root, "bob"), Home::init(root, "hub"));
    let phone = link(&ada, root, "phone");
    let stolen = link(&ada, root, "stolen");
    let account = ada.account();
    hub.ok(&["sub", "add", &account]);
    hub.ok(&["sub", "add", &bob.account()]);
    let node = hub.node();
    let large = root.join("large.bin");
    std::fs::write(&large, vec![7; 3_000_000]).unwrap();
    let small = root.join("small.txt");
    std::fs::write(&small, "0 1 2\n").unwrap();
    let post = ada.ok(&["post", "hello", "--attach", path(&large), "--attach", path(&small)]);
    ada.ok(&["post", "long", "--attach", path(&small)]);
    let gone = ada.ok(&["post", "not this"]);
    ada.ok(&["wall", "delete", &gone]);
    ada.ok(&["wall", "edit", &post, "hello!"]);
    ada.ok(&["profile", "set", "--bio", "boats"]);
    ada.ok(&["draft", "create", "not yet"]);
    stolen.ok(&["post", "before the theft"]);
    let bobs = bob.ok(&["post", "by bob"]);
    for home in [&ada, &phone, &stolen, &bob] {
        meet(home, &node);
    }
    bob.ok(&["follow", &account]);
    ada.ok(&["follow", &bob.account(), "--as", "bob"]);
    for home in [&bob, &ada] {
        meet(home, &node);
    }
    bob.ok(&["wall", "comment", &post, "hi ada"]);
    ada.ok(&["wall", "comment", &bobs, "hi bob"]);
    phone.ok(&["profile", "set", "--bio", "boats and kites"]);
    ada.ok(&["profile", "set", "--link", "https://a.example"]);
    ada.ok(&["device", "revoke", "stolen", "--confirm", "stolen"]);
    stolen.ok(&["post", "after the theft"]);
    for home in [&phone, &bob, &stolen, &ada, &ada] {
        let _ = home.sync(&node.ticket());
    }
    (ada, node)
}

#[test]
fn an_account_is_exported_wiped_and_imported() {
    let root = tempfile::tempdir().unwrap();
    let (ada, hub) = full_account(root.path());
    let (before, shown, secret) = (heads(&ada), seen(&ada), secret(root.path()));
    let file = root.path().join("ada.mosaic");
    let record = &ada.json(&[
        "export",
        "mosaic",
        "--archive-passphrase-file",
        &secret,
        "--output",
        path(&file),
    ])[0];
    assert_eq!((&record["keys"], &record["sealed"]), (&json!(true), &json!(true)), "{record}");
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let twice = ada.run(&[
        "export",
        "mosaic",
        "--archive-passphrase-file",
        &secret,
        "--output",
        path(&file),
    ]);
    assert_eq!(twice.code, 15, "never overwritten: {}", twice.err);
    let import = ["import", "mosaic", "--archive-passphrase-file", &secret, path(&file)];
    assert_eq!(ada.run(&import).code, 15, "never over an account");
    assert_eq!(heads(&ada), before);

    std::fs::remove_dir_all(&ada.path).unwrap();
    let dry = ada.json(&[&import[..], &["--dry-run"]].concat());
    assert_eq!(dry[0]["dry_run"], true);
    assert!(!ada.path.exists());
    let done = ada.json(&import);
    assert_eq!(done[0]["changes"], dry[0]["changes"], "{done:?}");
    assert_eq!(done[0]["account"], *ada.account());
    verified(&ada);
    assert_eq!(heads(&ada), before, "heads are equal");
    assert_eq!(seen(&ada), shown);
    // what it followed comes again, and its words are kept as they were
    assert!(ada.path.join("recovery.words").exists());
    meet(&ada, &hub);
    let feed = ada.json(&["feed"]);
    assert!(feed.iter().any(|entry| entry["text"] == "by bob"), "{feed:?}");
    hub.stop();
}

#[test]
fn the_old_home_and_the_imported_one_live_on_without_a_fork() {
    let root = tempfile::tempdir().unwrap();
    let old = Home::init(root.path(), "old");
    let hub = Home::init(root.path(), "hub");
    old.ok(&["post", "first"]);
    let (secret, account) = (secret(root.path()), old.account());
    hub.ok(&["sub", "add", &account]);
    let file = root.path().join("old.mosaic");
    export(&old, &secret, &file);
    let new = Home::new(root.path(), "new");
    new.ok(&["import", "mosaic", "--archive-passphrase-file", &secret, path(&file)]);
    assert_eq!(heads(&new), heads(&old));
    new.ok(&["post", "of the new home"]);
    new.ok(&["profile", "set", "--bio", "new"]);
    new.ok(&["draft", "create", "a new draft"]);
    old.ok(&["post", "of the old home"]);
    old.ok(&["profile", "set", "--bio", "old"]);
    let node = hub.node();
    for home in [&old, &new, &old, &new] {
        meet(home, &node);
    }
    node.stop();
    let texts = |home: &Home| -> Vec<String> {
        home.json(&["wall", "list", &account]).iter().map(|post| field(post, "text")).collect()
    };
    for home in [&old, &new, &hub] {
        let mut texts = texts(home);
        texts.sort();
        assert_eq!(texts, ["first", "of the new home", "of the old home"]);
        assert!(!home.ok(&["wall", "list", &account, "--json"]).contains("disputed"));
        verified(home);
    }
    assert_eq!(heads(&old), heads(&new));
    assert_eq!(old.ok(&["draft", "list", "--json"]), new.ok(&["draft", "list", "--json"]));
}

#[test]
fn what_is_exported_while_a_node_writes_is_one_moment() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "home");
    let node = home.node();
    let writer = Writer::begin(&home);
    let before = writer.told(20);
    let (file, secret) = (root.path().join("home.mosaic"), secret(root.path()));
    export(&home, &secret, &file);
    let _ = writer.told(5);
    writer.end();
    let posts = |home: &Home| -> Vec<String> {
        let posts = home.json(&["wall", "list", "-n", "100000"]);
        posts.iter().rev().map(|post| field(post, "id")).collect()
    };
    let copy = Home::new(root.path(), "copy");
    copy.ok(&["import", "mosaic", "--archive-passphrase-file", &secret, path(&file)]);
    verified(&copy);
    let (all, kept) = (posts(&home), posts(&copy));
    assert!(kept.len() >= before.len() && kept.len() < all.len(), "{} {}", kept.len(), all.len());
    assert_eq!(kept, all[..kept.len()], "a prefix of what was written");
    node.stop();
}

#[test]
fn whoever_is_killed_begins_again() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "home");
    let large = root.path().join("large.bin");
    std::fs::write(&large, bytes_that_do_not_pack(40_000_000)).unwrap();
    home.ok(&["post", "large", "--attach", path(&large)]);
    let secret = secret(root.path());
    let folder = root.path().join("target");
    std::fs::create_dir(&folder).unwrap();
    let (copy, file) = (Home::new(&folder, "home"), folder.join("home.mosaic"));
    let export =
        ["export", "mosaic", "--archive-passphrase-file", &secret, "--output", path(&file)];
    let import = ["import", "mosaic", "--archive-passphrase-file", &secret, path(&file)];
    // killed as soon as there is something to see of it
    let killed = |home: &Home, args: &[&str], begun: &dyn Fn() -> bool| {
        let mut child = home.command(args).stderr(Stdio::null()).spawn().unwrap();
        while !begun() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    };
    killed(&home, &export, &|| folder.join(".home.mosaic.part").exists());
    assert!(!file.exists());
    home.ok(&export);
    assert_eq!(beside(&copy.path), std::slice::from_ref(&file));
    for begun in [".mosaic-import-home", ".mosaic-import-home/home/store"] {
        killed(&copy, &import, &|| folder.join(begun).exists());
        assert!(!copy.path.exists());
    }
    // who can still tidy up does
    std::fs::remove_dir_all(folder.join(".mosaic-import-home")).unwrap();
    for signal in ["INT", "TERM"] {
        let mut child = copy.command(&import).stderr(Stdio::null()).spawn().unwrap();
        while !folder.join(".mosaic-import-home/home/store").exists() {
            assert_eq!(child.try_wait().unwrap(), None);
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert_eq!(beside(&copy.path), std::slice::from_ref(&file), "{signal}");
    }
    copy.ok(&import);
    assert_eq!(beside(&copy.path).len(), 2, "{:?}", beside(&copy.path));
    verified(&copy);
    assert_eq!(heads(&copy), heads(&home));
}

#[test]
fn an_archive_without_keys_goes_in_with_the_recovery_words() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "home");
    home.ok(&["post", "hello"]);
    home.ok(&["draft", "create", "not yet"]);
    let words = root.path().join("words");
    home.ok(&["identity", "recovery", "--output", path(&words)]);
    let file = root.path().join("home.mosaic");
    home.ok(&["export", "mosaic", "--without-keys", "--output", path(&file)]);
    let other = Home::init(root.path(), "other");
    let others = root.path().join("others");
    other.ok(&["identity", "recovery", "--output", path(&others)]);
    let copy = Home::new(root.path(), "copy");
    let refused = copy.run(&["import", "mosaic", path(&file), "--recover", path(&others)]);
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(!copy.path.exists());
    let done = copy.json(&["import", "mosaic", path(&file), "--recover", path(&words)]);
    assert_eq!(done[0]["account"], *home.account());
    assert_ne!(done[0]["device"], home.json(&["device", "list"])[0]["device"]);
    verified(&copy);
    copy.ok(&["post", "from the new device"]);
    assert_eq!(copy.json(&["draft", "list"])[0]["text"], "not yet");
    // the old device is not out: both go on
    let hub = Home::init(root.path(), "hub");
    hub.ok(&["sub", "add", &home.account()]);
    let node = hub.node();
    home.ok(&["post", "from the old device"]);
    for life in [&home, &copy, &home] {
        meet(life, &node);
    }
    node.stop();
    assert_eq!(heads(&home), heads(&copy));
    assert_eq!(home.json(&["wall", "list"]).len(), 3);
}

#[test]
fn an_archive_is_whole_or_a_failure_where_nobody_reads_it_too() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "home");
    let large = root.path().join("large.bin");
    std::fs::write(&large, bytes_that_do_not_pack(1_000_000)).unwrap();
    home.ok(&["post", "large", "--attach", path(&large)]);
    let secret = secret(root.path());
    for args in
        [&["export", "mosaic", "--archive-passphrase-file", &secret][..], &["store", "backup", "-"]]
    {
        let mut child =
            home.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("the reader has gone"), "{args:?}: {said}");
    }
}

#[test]
fn what_fails_or_only_looks_leaves_no_folder() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "home");
    let (secret, file) = (secret(root.path()), root.path().join("home.mosaic"));
    export(&home, &secret, &file);
    let short = root.path().join("short.mosaic");
    std::fs::write(&short, &std::fs::read(&file).unwrap()[..1000]).unwrap();
    let there = root.path().join("there");
    std::fs::create_dir(&there).unwrap();
    // its state folder is elsewhere
    let copy = home.at(there.join("a/b/copy"));
    let import = ["import", "mosaic", "--archive-passphrase-file", &secret];
    copy.ok(&[&import[..], &[path(&file), "--dry-run"]].concat());
    assert!(beside(&there.join("a")).is_empty(), "{:?}", beside(&there.join("a")));
    assert_eq!(copy.run(&[&import[..], &[path(&short)]].concat()).code, 16);
    assert!(beside(&there.join("a")).is_empty(), "{:?}", beside(&there.join("a")));
    copy.ok(&[&import[..], &[path(&file)]].concat());
    verified(&copy);
}

#[test]
fn a_pipe_that_nobody_writes_to_is_not_waited_for_longer_than_asked() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "home");
    let (secret, file) = (secret(root.path()), root.path().join("home.mosaic"));
    export(&home, &secret, &file);
    let pipe = root.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let copy = Home::new(root.path(), "copy");
    let keys = ["--identity-file", path(&pipe), path(&file)];
    for from in [&keys[..], &["--archive-passphrase-file", &secret, path(&pipe)]] {
        let args = [&["import", "mosaic", "--timeout", "1s"], from].concat();
        let mut child = copy.command(&args).stderr(Stdio::null()).spawn().unwrap();
        until("it gives up", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(124), "{args:?}");
        assert!(!copy.path.exists());
    }
}
