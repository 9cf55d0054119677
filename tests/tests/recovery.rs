//! Everything is lost but the recovery words and a hub's ticket.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mosaic_tests::home::{Done, Home, field, link};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

const BLOCKED: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const PETNAME: &str = "canary-petname-9c1e";

/// Writes the words of a home to a file, as a person would.
fn words_of(home: &Home, root: &Path) -> PathBuf {
    let path = root.join(format!("words-of-{}", home.account()));
    home.ok(&["identity", "recovery", "--output", path.to_str().unwrap()]);
    path
}

fn recover(home: &Home, words: &Path, ticket: &str, name: &str) -> Value {
    let words = words.to_str().unwrap();
    let records = home.json(&["init", "--recover", words, "--peer", ticket, "--device", name]);
    records.into_iter().find(|record| record["type"] == "recovered").expect("a recovery")
}

/// Everything of a home that has to come back.
fn shown(home: &Home) -> Vec<Vec<Value>> {
    let commands: [&[&str]; 6] = [
        &["profile", "show"],
        &["wall", "list"],
        &["feed"],
        &["follow", "list"],
        &["block", "list"],
        &["mute", "list"],
    ];
    commands.map(|command| home.json(command)).into()
}

fn wipe(home: &Home) {
    std::fs::remove_dir_all(&home.path).unwrap();
}

fn texts(home: &Home, account: &str) -> Vec<String> {
    home.json(&["wall", "list", account]).iter().map(|post| field(post, "text")).collect()
}

fn state_of(home: &Home, device: &str) -> String {
    let devices = home.json(&["device", "list"]);
    let found = devices.iter().find(|known| known["name"] == device);
    field(found.unwrap_or_else(|| panic!("no {device} in {devices:?}")), "state")
}

/// Bytes of all files below a folder.
fn bytes_below(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes_below(&path, bytes);
        } else if path.is_file() {
            bytes.extend(std::fs::read(&path).unwrap());
        }
    }
}

fn holds(bytes: &[u8], canary: &str) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
}

#[test]
fn all_comes_back_and_the_old_devices_are_out() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    let (hub, bob) = (Home::init(root.path(), "hub"), Home::init(root.path(), "bob"));
    let (ada, bob_id) = (laptop.account(), bob.account());
    hub.ok(&["sub", "add", &ada]);
    hub.ok(&["sub", "add", &bob_id]);
    let node = hub.node();
    let ticket = node.ticket();
    bob.ok(&["post", "by bob"]);
    bob.sync(&ticket);
    laptop.ok(&["profile", "set", "--bio", "a bio"]);
    laptop.ok(&["post", "from the laptop"]);
    phone.ok(&["post", "from the phone"]);
    laptop.ok(&["follow", &bob_id, "--as", PETNAME]);
    phone.ok(&["block", BLOCKED]);
    laptop.ok(&["mute", BLOCKED]);
    for _ in 0..2 {
        for device in [&laptop, &phone] {
            let result = device.sync(&ticket);
            assert_eq!(result["state"], "in-sync", "{result}");
        }
    }
    let before = shown(&laptop);
    assert!(before.iter().all(|records| !records.is_empty()), "{before:?}");
    // The hub has all of it, and can read nothing of what is private.
    let mut bytes = Vec::new();
    bytes_below(&hub.path, &mut bytes);
    assert!(!holds(&bytes, PETNAME) && holds(&bytes, "from the phone"));
    let listed = hub.json(&["doc", "list"]);
    assert!(!listed.iter().any(|doc| doc["kind"] == "private"), "{listed:?}");
    // Both are gone; a copy of the phone is in the wrong hands.
    let words = words_of(&laptop, root.path());
    let stolen = phone.at(root.path().join("stolen"));
    std::fs::rename(&phone.path, &stolen.path).unwrap();
    wipe(&laptop);
    let new = Home::new(root.path(), "new");
    let recovered = recover(&new, &words, &ticket, "new");
    assert_eq!(recovered["account"], ada.as_str());
    assert_eq!(
        (recovered["private"].clone(), &recovered["others"]),
        (true.into(), &Value::from(Vec::<Value>::new()))
    );
    assert_eq!(recovered["revoked"].as_array().unwrap().len(), 2);
    assert_eq!(shown(&new), before);
    // Whatever the thief writes, and to whomever he gives it first.
    stolen.ok(&["post", "by the thief"]);
    bob.ok(&["follow", &ada]);
    bob.sync(&ticket);
    let open = bob.node();
    stolen.sync(&open.ticket());
    stolen.sync(&ticket);
    bob.ok(&["sync", "--peer", &ticket]);
    for home in [&hub, &bob, &new] {
        let _ = new.sync(&ticket);
        let texts = texts(home, &ada);
        assert_eq!(texts, ["from the phone", "from the laptop"], "{}", home.path.display());
    }
    open.stop();
    let refused = stolen.run(&["post", "again"]);
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert_eq!(state_of(&new, "phone"), "revoked");
    // What is private now is given to no device of before.
    new.ok(&["unblock", BLOCKED]);
    new.sync(&ticket);
    stolen.sync(&ticket);
    assert!(!stolen.json(&["block", "list"]).is_empty());
    node.stop();
    for home in [&hub, &bob, &new] {
        assert_eq!(home.run(&["store", "verify"]).code, 0, "{}", home.path.display());
    }
}

#[test]
fn a_second_machine_with_the_same_words_merges() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "hub"));
    let ada = laptop.account();
    hub.ok(&["sub", "add", &ada]);
    let node = hub.node();
    let ticket = node.ticket();
    laptop.ok(&["post", "before"]);
    laptop.ok(&["follow", &hub.account(), "--as", PETNAME]);
    laptop.sync(&ticket);
    let words = words_of(&laptop, root.path());
    wipe(&laptop);
    let (one, two) = (Home::new(root.path(), "one"), Home::new(root.path(), "two"));
    recover(&one, &words, &ticket, "one");
    let recovered = recover(&two, &words, &ticket, "two");
    assert_eq!(recovered["others"].as_array().unwrap().len(), 1);
    one.ok(&["post", "one"]);
    two.ok(&["post", "two"]);
    for home in [&one, &two, &one] {
        assert_eq!(home.sync(&ticket)["state"], "in-sync");
    }
    for home in [&one, &two] {
        assert_eq!(texts(home, &ada), ["two", "one", "before"]);
        assert_eq!(state_of(home, "one"), "active");
        assert_eq!(state_of(home, "two"), "active");
        assert_eq!(state_of(home, "laptop"), "revoked");
        assert_eq!(home.json(&["follow", "list"])[0]["petname"], PETNAME);
    }
    // The later one can take out the one before, should that be lost as well.
    two.ok(&["device", "revoke", "one", "--confirm", "one"]);
    two.sync(&ticket);
    one.sync(&ticket);
    assert_eq!(one.run(&["post", "again"]).code, 4);
    // And asked once more, a recovery that is done changes nothing.
    let again = recover(&two, &words, &ticket, "two");
    assert_eq!(
        (&again["revoked"], &again["others"]),
        (&Value::from(Vec::<Value>::new()), &Value::from(Vec::<Value>::new()))
    );
}

fn refused(home: &Home, words: &str, ticket: &str) -> Done {
    let mut command = home.command(&["init", "--recover", "-", "--peer", ticket]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(words.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!home.path.exists(), "nothing is left of it");
    Done {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn wrong_words_and_other_peoples_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let (ada, hub) = (Home::init(root.path(), "ada"), Home::init(root.path(), "hub"));
    let node = hub.node();
    let ticket = node.ticket();
    let file = words_of(&ada, root.path());
    let words = std::fs::read_to_string(&file).unwrap();
    let line = words.lines().last().unwrap().to_owned();
    let new = Home::new(root.path(), "new");
    let mut list: Vec<&str> = line.split(' ').collect();
    assert_eq!(list.len(), 24);
    let unknown = refused(&new, &line, &ticket);
    assert_eq!(unknown.code, 13, "{}", unknown.err);
    assert!(unknown.err.contains("no account with these words"), "{}", unknown.err);
    let (seventh, last) = (list[6], list[23]);
    list[6] = "mosaik";
    let wrong = refused(&new, &list.join(" "), &ticket);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("word 7 of 24, 'mosaik'"), "{}", wrong.err);
    list[6] = seventh;
    list[23] = if last == "abandon" { "ability" } else { "abandon" };
    let first = list.remove(0);
    let short = refused(&new, &list.join(" "), &ticket);
    assert!(short.err.contains("there are 23 words"), "{}", short.err);
    list.insert(0, if first == "zoo" { "zone" } else { "zoo" });
    let checksum = refused(&new, &list.join(" "), &ticket);
    // One text in 256 of wrong words has a right checksum, and is then of no account.
    assert!([2, 13].contains(&checksum.code), "{}", checksum.err);
    assert_eq!(refused(&new, "", &ticket).code, 2);
    assert_eq!(refused(&new, &"word ".repeat(5000), &ticket).code, 2);
    assert_eq!(refused(&new, &line, "mosaicnodenonsense").code, 2);
    node.stop();
    assert_eq!(refused(&new, &line, &ticket).code, 5);
}

/// Runs a command whose output is a terminal; returns what that shows.
fn on_a_terminal(home: &Home, args: &[&str], answer: &str) -> (bool, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    let slave = || {
        use std::os::unix::fs::OpenOptionsExt;
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(&name).unwrap()
    };
    let mut command = home.command(args);
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
    drop(command);
    let mut master = File::from(master);
    master.write_all(answer.as_bytes()).unwrap();
    let (mut shown, mut part) = (Vec::new(), [0; 4096]);
    // When the last one who has the other side open goes, reading ends with an error.
    while let Ok(count @ 1..) = master.read(&mut part) {
        shown.extend_from_slice(&part[..count]);
    }
    (child.wait().unwrap().success(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn words_are_shown_to_people_and_leave_the_device() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "ada");
    let file = words_of(&home, root.path());
    let words = std::fs::read_to_string(&file).unwrap();
    let words: Vec<&str> = words.lines().last().unwrap().split(' ').collect();
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let path = file.to_str().unwrap();
    assert_eq!(home.run(&["identity", "recovery", "-o", path]).code, 15, "never overwritten");
    for args in [
        &["identity", "recovery"][..],
        &["identity", "recovery", "--json"],
        &["identity", "recovery", "-o", "-"],
    ] {
        let piped = home.run(args);
        assert_eq!((piped.code, piped.out.as_str()), (2, ""), "{args:?}");
        assert!(!words.iter().any(|word| word.len() > 5 && piped.err.contains(word)));
    }
    let (done, shown) = on_a_terminal(&home, &["identity", "recovery"], "");
    assert!(done, "{shown}");
    let mut rest = shown.as_str();
    for word in &words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word} in {shown}"));
        rest = &rest[at..];
    }
    // They stay until somebody says that he has them.
    assert_eq!(home.run(&["identity", "recovery", "--forget"]).code, 2);
    let (done, shown) = on_a_terminal(&home, &["identity", "recovery", "--forget"], "no\n");
    assert!(!done, "{shown}");
    let (done, shown) = on_a_terminal(&home, &["identity", "recovery", "--forget"], "kept\n");
    assert!(done, "{shown}");
    let gone = home.run(&["identity", "recovery", "-o", root.path().join("x").to_str().unwrap()]);
    assert_eq!(gone.code, 13, "{}", gone.err);
    assert!(!root.path().join("x").exists());
}

#[test]
fn replaced_words_are_worth_nothing_and_using_them_freezes() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let ada = laptop.account();
    let hubs = ["hub", "other"].map(|name| Home::init(root.path(), name));
    let nodes = hubs.each_ref().map(|hub| {
        hub.ok(&["sub", "add", &ada]);
        hub.node()
    });
    let tickets = nodes.each_ref().map(|node| node.ticket());
    laptop.ok(&["post", "before"]);
    laptop.ok(&["block", BLOCKED]);
    for ticket in &tickets {
        laptop.sync(ticket);
    }
    let old = words_of(&laptop, root.path());
    assert_eq!(laptop.run(&["identity", "rotate", "--confirm", "wrong"]).code, 2);
    laptop.ok(&["identity", "rotate", "--confirm", "laptop"]);
    std::fs::rename(&old, root.path().join("old")).unwrap();
    let old = root.path().join("old");
    let new = words_of(&laptop, root.path());
    assert_ne!(std::fs::read(&old).unwrap(), std::fs::read(&new).unwrap());
    laptop.sync(&tickets[0]);
    wipe(&laptop);
    // Where the change is known the old words find nothing; elsewhere they still do.
    let words = old.to_str().unwrap();
    let (thief, one) = (Home::new(root.path(), "thief"), Home::new(root.path(), "one"));
    assert_eq!(thief.run(&["init", "--recover", words, "--peer", &tickets[0]]).code, 13);
    recover(&one, &new, &tickets[0], "one");
    recover(&thief, &old, &tickets[1], "thief");
    // Both meet: nobody wins in silence.
    for (home, ticket) in [(&one, &tickets[1]), (&thief, &tickets[0]), (&one, &tickets[0])] {
        home.sync(ticket);
    }
    for home in [&one, &thief, &hubs[0], &hubs[1]] {
        let shown = home.json(&["identity", "show", &ada]);
        assert_eq!(shown[0]["recovery"], "frozen", "{}", home.path.display());
    }
    for home in [&one, &thief] {
        let refused = home.run(&["post", "mine"]);
        assert_eq!(refused.code, 4, "{}", refused.err);
        assert!(refused.err.contains("frozen"), "{}", refused.err);
        assert!(home.ok(&["status"]).contains("frozen"));
    }
    let late = Home::new(root.path(), "late");
    let refused = late.run(&["init", "--recover", words, "--peer", &tickets[0]]);
    assert_eq!(refused.code, 4, "{}", refused.err);
}

#[test]
fn a_node_that_never_got_what_is_private_does_not_end_it() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let ada = laptop.account();
    let [first, second] = ["first", "second"].map(|name| Home::init(root.path(), name));
    for hub in [&first, &second] {
        hub.ok(&["sub", "add", &ada]);
    }
    laptop.ok(&["block", BLOCKED]);
    laptop.ok(&["post", "before"]);
    let node = first.node();
    laptop.sync(&node.ticket());
    // The second one keeps the account too, and has it from the first one alone.
    second.sync(&node.ticket());
    let other = second.node();
    let words = words_of(&laptop, root.path());
    wipe(&laptop);
    let new = Home::new(root.path(), "new");
    let init = ["init", "--recover", words.to_str().unwrap(), "--peer"];
    let refused = new.run(&[&init[..], &[&other.ticket()]].concat());
    assert_eq!(refused.code, 3, "{} {}", refused.out, refused.err);
    assert!(refused.err.contains("--without-private"), "{}", refused.err);
    assert_eq!(texts(&second, &ada), ["before"]);
    // With one more that has it, it goes on in the same home.
    new.ok(&[&init[..], &[&node.ticket()]].concat());
    assert_eq!(new.json(&["block", "list"]).len(), 1);
    other.stop();
    node.stop();
}
