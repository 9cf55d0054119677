//! No log tells what people wrote, nor what only they may know, however much it tells.

use std::path::Path;
use std::process::Stdio;

use mosaic_node::ticket::LinkTicket;
use mosaic_node::words::Words;
use mosaic_tests::home::{Home, until};

/// Texts that are planted where people write.
const PLANTED: [&str; 5] = [
    "planted-post-7f3a",
    "planted-comment-7f3a",
    "planted-bio-7f3a",
    "planted-petname-7f3a",
    "planted-file-7f3a",
];

/// What keys are put under.
const PASSPHRASES: [&str; 2] = ["planted-passphrase-7f3a", "planted-other-passphrase-7f3a"];

/// Every way in which bytes are commonly written down.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    vec![
        bytes.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        list.join(", ").into_bytes(),
    ]
}

/// Runs a command at a level, and returns what it logged.
fn logged(home: &Home, level: &[&str], args: &[&str]) -> Vec<u8> {
    // Under --json nothing but the log is said.
    let mut command = home.command(&[level, args, &["--json"]].concat());
    if level.is_empty() {
        command.env("MOSAIC_LOG", "trace");
    }
    let output = command.stdout(Stdio::null()).output().expect("mosaic runs");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {err}");
    output.stderr
}

/// A home whose keys are put under one passphrase, then under another.
fn sealed(root: &Path, level: &[&str]) -> Vec<u8> {
    let home = Home::new(root, "sealed");
    let mut log = Vec::new();
    for (n, passphrase) in PASSPHRASES.iter().enumerate() {
        std::fs::write(root.join(format!("passphrase-{n}")), passphrase).expect("a file");
    }
    let [one, other] = [0, 1].map(|n| root.join(format!("passphrase-{n}")).display().to_string());
    log.extend(logged(&home, level, &["init", "--passphrase-file", &one]));
    let change = ["identity", "passphrase", "--passphrase-file", &one];
    let change = [&change[..], &["--new-passphrase-file", &other]].concat();
    log.extend(logged(&home, level, &change));
    log.extend(logged(&home, level, &["node", "start", "--passphrase-file", &other]));
    log.extend(logged(&home, level, &["node", "stop"]));
    let wrong = home.run(&[level, &["status", "--passphrase-file", &one]].concat());
    assert_eq!(wrong.code, 12, "{}", wrong.err);
    log.extend(wrong.err.into_bytes());
    for state in std::fs::read_dir(root.join("sealed.state")).expect("states").flatten() {
        for file in std::fs::read_dir(state.path().join("log")).into_iter().flatten().flatten() {
            log.extend(std::fs::read(file.path()).expect("a log"));
        }
    }
    log
}

/// A whole run: two people, a linked device, posts, comments, files, and all of it synced.
fn run(level: &[&str]) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let mut log = Vec::new();
    let mut node = ada.command(&[level, &["node", "run"]].concat());
    if level.is_empty() {
        node.env("MOSAIC_LOG", "trace");
    }
    let node = ada.node_as(node);
    let file = root.path().join("file");
    std::fs::write(&file, PLANTED[4].repeat(5000)).unwrap();
    let post = ada.ok(&["post", PLANTED[0], "--attach", file.to_str().unwrap()]);
    ada.ok(&["profile", "set", "--bio", PLANTED[2]]);
    log.extend(logged(&bob, level, &["follow", &ada.account(), "--as", PLANTED[3]]));
    log.extend(logged(&bob, level, &["sync", "--peer", &node.ticket()]));
    log.extend(logged(&bob, level, &["wall", "comment", &post, PLANTED[1]]));
    log.extend(logged(&bob, level, &["sync", "--peer", &node.ticket()]));
    let ticket = ada.ok(&["device", "invite", "--no-wait"]);
    let phone = Home::new(root.path(), "phone");
    log.extend(logged(&phone, level, &["device", "link", &ticket, "--name", "phone"]));
    until("the comment is there", || ada.json(&["wall", "show", &post]).len() == 2);
    let words = root.path().join("words");
    let file = words.to_str().unwrap();
    log.extend(logged(&ada, level, &["identity", "recovery", "--output", file]));
    let back = Home::new(root.path(), "back");
    bob.ok(&["sub", "add", &ada.account()]);
    ada.ok(&["mute", &"1".repeat(64)]);
    let hub = bob.node();
    ada.sync(&hub.ticket());
    log.extend(logged(&back, level, &["init", "--recover", file, "--peer", &hub.ticket()]));
    hub.stop();
    node.stop();
    log.extend(sealed(root.path(), level));
    log.extend(std::fs::read(root.path().join("ada.log")).unwrap());
    let mut secrets = vec![("a link ticket".to_owned(), ticket.clone().into_bytes())];
    for form in forms(&LinkTicket::parse(&ticket).unwrap().secret) {
        secrets.push(("the secret of a link ticket".to_owned(), form));
    }
    let words = Words::parse(&std::fs::read_to_string(&words).unwrap()).unwrap();
    secrets.push(("the recovery words".to_owned(), words.to_text().as_bytes().to_vec()));
    let listed: Vec<u8> = words.list()[..3].join("\", \"").into_bytes();
    secrets.push(("the recovery words".to_owned(), listed));
    for form in forms(words.seed()) {
        secrets.push(("what the recovery words stand for".to_owned(), form));
    }
    for home in [&ada, &bob, &phone, &back] {
        let key = std::fs::read(home.path.join("device.key")).unwrap();
        // Whole keys, and each of the halves that are secrets of their own.
        for part in key.chunks(32).filter(|part| part.len() == 32) {
            secrets.extend(forms(part).into_iter().map(|form| ("a key".to_owned(), form)));
        }
    }
    for planted in PLANTED.into_iter().chain(PASSPHRASES) {
        secrets
            .extend(forms(planted.as_bytes()).into_iter().map(|form| (planted.to_owned(), form)));
    }
    (log, secrets)
}

fn holds(log: &[u8], secret: &[u8]) -> bool {
    log.windows(secret.len()).any(|part| part == secret)
}

#[test]
fn no_log_tells_a_text_a_key_or_a_ticket() {
    // By default a node logs; with -vv also details; with the filter `trace`, everything there is.
    for level in [&["--quiet"][..], &["-vv"], &[]] {
        let (log, secrets) = run(level);
        for (what, secret) in &secrets {
            assert!(!holds(&log, secret), "{level:?}: {what} is in the log");
        }
        if level != ["--quiet"] {
            assert!(log.len() > 1000, "{level:?} logs {} bytes", log.len());
        }
    }
}
