//! Keys under a passphrase: what opens them, what does not, and what a stopped home shows.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mosaic_tests::home::{Done, Home, field, link};

const ONE: &str = "open sesame";
const OTHER: &str = "correct horse";

/// A file with a passphrase; its path as an argument.
fn file(root: &Path, name: &str, text: &str) -> String {
    let path = root.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs a command that reads a pipe.
fn piped(home: &Home, args: &[&str], input: &str) -> Done {
    let mut command = home.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code().unwrap_or(128),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn says(done: &Done, code: i32, words: &str) {
    assert_eq!(done.code, code, "{}{}", done.out, done.err);
    assert!(done.err.contains(words), "{}", done.err);
    let errors = done.err.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), usize::from(code != 0), "{}", done.err);
}

fn key(home: &Home) -> PathBuf {
    home.path.join("device.key")
}

fn is_sealed(home: &Home) -> bool {
    let mode = fs::metadata(key(home)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::read(key(home)).unwrap().starts_with(b"age-encryption.org/v1\n-> scrypt ")
}

/// Every file below a folder, with what is in it.
fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap() {
            is if is.is_dir() => found.extend(files(&path)),
            is if is.is_file() => found.push((path.clone(), fs::read(&path).unwrap())),
            _ => {}
        }
    }
    found
}

#[test]
fn keys_open_with_their_passphrase_alone() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path(), "laptop");
    let (one, other) = (file(root.path(), "one", ONE), file(root.path(), "other", OTHER));
    home.ok(&["init", "--name", "Ada", "--passphrase-file", &one]);
    assert!(is_sealed(&home));
    let names = |home: &Home| {
        let mut names: Vec<_> = files(&home.path).into_iter().map(|(path, _)| path).collect();
        names.sort();
        names
    };
    let before = (names(&home), fs::read(key(&home)).unwrap());
    let path = key(&home).display().to_string();
    let list = ["wall", "list"];
    says(&home.run(&list), 12, &format!("{path} is sealed, and no passphrase was given"));
    let wrong = home.run(&["wall", "list", "--passphrase-file", &other]);
    says(&wrong, 12, &format!("the passphrase does not open {path}"));
    let json = home.run(&["wall", "list", "--json", "--passphrase-file", &other]);
    assert_eq!((json.code, json.err.lines().count()), (12, 1), "{}", json.err);
    for (name, text, words) in [
        ("empty", "", "the passphrase is empty"),
        ("line", "\nopen sesame\n", "the passphrase is empty"),
        ("long", &"a".repeat(1025), "longer than 1024 bytes"),
        ("bell", "open\u{7}sesame", "a control character"),
    ] {
        let file = file(root.path(), name, text);
        says(&home.run(&["wall", "list", "--passphrase-file", &file]), 2, words);
        let none = Home::new(root.path(), "none");
        says(&none.run(&["init", "--passphrase-file", &file]), 2, words);
        assert!(!none.path.exists());
    }
    says(&home.run(&["wall", "list", "--passphrase-file", "/nowhere/x"]), 13, "/nowhere/x");
    assert_eq!((names(&home), fs::read(key(&home)).unwrap()), before);
    // each way to give it
    let id = home.ok(&["post", "one", "--passphrase-file", &one]);
    let mut command = home.command(&["post", "two"]);
    let output = command.env("MOSAIC_PASSPHRASE_FILE", &one).output().unwrap();
    assert!(output.status.success());
    let text = piped(&home, &["post", "-", "--passphrase-file", "-"], "open sesame\nthree\n");
    assert_eq!(text.code, 0, "{}", text.err);
    let wall = home.ok(&["wall", "list", "--passphrase-file", &one]);
    assert!(wall.contains(&id) && wall.contains("three") && !wall.contains("sesame"), "{wall}");
    let doctor = home.json(&["doctor"]);
    let keys = doctor.iter().find(|check| check["name"] == "keys").unwrap();
    assert!(field(keys, "message").ends_with("sealed with a passphrase"), "{keys}");
}

#[test]
fn a_program_of_the_settings_prints_it_and_no_shell_reads_that() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path(), "laptop");
    file(root.path(), "my one", "open sesame\nmore\n");
    let set = |words: &str| home.ok(&["config", "set", "keys.passphrase_command", words]);
    let trap = root.path().join("trap");
    let one = root.path().join("my one").display().to_string();
    fs::create_dir_all(&home.path).unwrap();
    fs::set_permissions(&home.path, fs::Permissions::from_mode(0o700)).unwrap();
    set(&format!("/bin/cat '{one}'"));
    // whoever has set it means all keys that are made here
    home.ok(&["init", "--name", "Ada"]);
    assert!(is_sealed(&home));
    home.ok(&["post", "hello"]);
    for (words, code, says_so) in [
        ("/bin/false".to_owned(), 1, "/bin/false ended with exit status: 1"),
        ("/nowhere/program".to_owned(), 1, "/nowhere/program: No such file"),
        ("/bin/true".to_owned(), 1, "the passphrase is empty"),
        ("/bin/cat /dev/zero".to_owned(), 1, "it prints more than 65536 bytes"),
        (format!("/bin/cat '{one}'; touch {}", trap.display()), 1, "ended with exit status"),
        (format!("/bin/echo $(touch {})", trap.display()), 12, "does not open"),
    ] {
        set(&words);
        says(&home.run(&["post", "x"]), code, says_so);
        assert!(!trap.exists(), "{words}");
    }
    let unclosed = home.run(&["config", "set", "keys.passphrase_command", "cat 'x"]);
    says(&unclosed, 2, "each quote closed");
    assert_eq!(home.run(&["config", "unset", "keys.passphrase_command"]).code, 0);
    says(&home.run(&["post", "x"]), 12, "no passphrase was given");
}

#[test]
fn a_passphrase_is_set_changed_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let account = home.account();
    let (one, other) = (file(root.path(), "one", ONE), file(root.path(), "other", OTHER));
    let clear = fs::read(key(&home)).unwrap();
    let change = ["identity", "passphrase"];
    says(&home.run(&change), 2, "--new-passphrase-file FILE");
    assert_eq!(fs::read(key(&home)).unwrap(), clear);
    home.ok(&["identity", "passphrase", "--new-passphrase-file", &one]);
    assert!(is_sealed(&home));
    let sealed = fs::read(key(&home)).unwrap();
    says(&home.run(&["identity", "passphrase", "--remove"]), 12, "no passphrase was given");
    let wrong = ["identity", "passphrase", "--new-passphrase-file", &one];
    says(&home.run(&[&wrong[..], &["--passphrase-file", &other]].concat()), 12, "does not open");
    // both from one pipe, the present one first
    let both = [&change[..], &["--passphrase-file", "-", "--new-passphrase-file", "-"]].concat();
    says(&piped(&home, &both, "open sesame\n\n"), 2, "the passphrase is empty");
    assert_eq!(fs::read(key(&home)).unwrap(), sealed);
    let done = piped(&home, &both, "open sesame\ncorrect horse\n");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(is_sealed(&home));
    says(&home.run(&["post", "x", "--passphrase-file", &one]), 12, "does not open");
    home.ok(&["post", "x", "--passphrase-file", &other]);
    let mut start = home.command(&["node", "start", "--passphrase-file", &other]);
    assert!(start.status().unwrap().success());
    let running = home.run(&["identity", "passphrase", "--remove", "--passphrase-file", &other]);
    says(&running, 11, "a node is running");
    assert!(running.err.contains("mosaic node stop"), "{}", running.err);
    // what needs the keys themselves asks for them beside a running node too
    let words = root.path().join("words").display().to_string();
    says(&home.run(&["identity", "recovery", "--output", &words]), 12, "no passphrase");
    home.ok(&["identity", "recovery", "--output", &words, "--passphrase-file", &other]);
    home.ok(&["identity", "rotate", "--confirm", "laptop"]);
    home.ok(&["node", "stop"]);
    let removed = ["identity", "passphrase", "--remove", "--json", "--passphrase-file", &other];
    assert_eq!(home.ok(&removed), r#"{"type":"keys","state":"clear"}"#);
    assert_eq!(fs::read(key(&home)).unwrap(), clear);
    home.ok(&["identity", "passphrase", "--remove"]);
    assert_eq!(home.account(), account);
    assert_eq!(home.run(&["store", "verify"]).code, 0);
}

#[test]
fn a_node_is_handed_the_passphrase_and_its_commands_need_none() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path(), "laptop");
    let (one, other) = (file(root.path(), "one", ONE), file(root.path(), "other", OTHER));
    home.ok(&["init", "--name", "Ada", "--passphrase-file", &one]);
    says(&home.run(&["node", "start"]), 12, "no passphrase was given");
    says(&home.run(&["node", "start", "--passphrase-file", &other]), 12, "does not open");
    says(&home.run(&["node", "run", "--passphrase-file", &other]), 12, "does not open");
    assert!(piped(&home, &["node", "start", "--passphrase-file", "-"], ONE).code == 0);
    let pid = home.json(&["node", "status"])[0]["pid"].as_u64().unwrap();
    for seen in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{pid}/{seen}")).unwrap();
        assert!(!holds(&bytes, ONE.as_bytes()), "{seen}");
    }
    home.ok(&["post", "one"]);
    home.ok(&["node", "reload"]);
    assert_eq!(home.run(&["store", "verify"]).code, 0);
    // refused before the node is stopped
    says(&home.run(&["node", "restart"]), 12, "no passphrase was given");
    assert_eq!(home.json(&["node", "status"])[0]["pid"].as_u64().unwrap(), pid);
    home.ok(&["node", "restart", "--passphrase-file", &one]);
    assert_ne!(home.json(&["node", "status"])[0]["pid"].as_u64().unwrap(), pid);
    home.ok(&["post", "two"]);
    home.ok(&["node", "stop"]);
    let node = home.node_as(home.command(&["node", "run", "--passphrase-file", &one]));
    assert_eq!(home.json(&["wall", "list"]).len(), 2);
    node.stop();
}

#[test]
fn a_backup_carries_the_keys_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path(), "laptop");
    let one = file(root.path(), "one", ONE);
    home.ok(&["init", "--name", "Ada", "--passphrase-file", &one]);
    let command = format!("/bin/cat {one}");
    home.ok(&["config", "set", "keys.passphrase_command", &command]);
    home.ok(&["config", "set", "log.days", "3"]);
    home.ok(&["draft", "create", "later"]);
    let backup = root.path().join("backup").display().to_string();
    home.ok(&["store", "backup", "--include-keys", &backup]);
    let back = Home::new(root.path(), "back");
    back.ok(&["store", "restore", &backup]);
    assert_eq!(fs::read(key(&back)).unwrap(), fs::read(key(&home)).unwrap());
    // settings of a backup run no program
    let settings = fs::read_to_string(back.path.join("config.toml")).unwrap();
    assert!(settings.contains("days = 3") && !settings.contains("cat"), "{settings}");
    says(&back.run(&["post", "x"]), 12, "no passphrase was given");
    back.ok(&["post", "x", "--passphrase-file", &one]);
}

#[test]
fn keys_of_a_link_and_of_a_recovery_are_sealed_too() {
    let root = tempfile::tempdir().unwrap();
    let (ada, hub) = (Home::init(root.path(), "ada"), Home::init(root.path(), "hub"));
    let one = file(root.path(), "one", ONE);
    let words = root.path().join("words").display().to_string();
    ada.ok(&["identity", "recovery", "--output", &words]);
    hub.ok(&["sub", "add", &ada.account()]);
    ada.ok(&["mute", &hub.account()]);
    let node = ada.node();
    let ticket = ada.ok(&["device", "invite", "--no-wait"]);
    let phone = Home::new(root.path(), "phone");
    phone.ok(&["device", "link", &ticket, "--passphrase-file", &one]);
    assert!(is_sealed(&phone));
    assert!(!phone.path.join("device.key.pending").exists());
    phone.ok(&["post", "from the phone", "--passphrase-file", &one]);
    node.stop();
    let kept = hub.node();
    ada.sync(&kept.ticket());
    let back = Home::new(root.path(), "back");
    let recover = ["init", "--recover", &words, "--peer", &kept.ticket()];
    back.ok(&[&recover[..], &["--passphrase-file", &one]].concat());
    assert!(is_sealed(&back));
    says(&back.run(&["post", "x"]), 12, "no passphrase was given");
    back.ok(&["post", "x", "--passphrase-file", &one]);
    kept.stop();
}

fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|part| part == secret)
}

/// The files of a home and of its state that hold one of these.
fn showing(home: &Home, root: &Path, secrets: &[(&str, Vec<u8>)]) -> Vec<String> {
    let mut all = files(&home.path);
    all.extend(files(&root.join("laptop.state")));
    let mut found = Vec::new();
    for (path, bytes) in all {
        for (what, _) in secrets.iter().filter(|(_, secret)| holds(&bytes, secret)) {
            found.push(format!("{what} in {}", path.display()));
        }
    }
    found
}

#[test]
fn a_stopped_home_shows_nothing_that_is_private() {
    let root = tempfile::tempdir().unwrap();
    let (home, bob) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "bob"));
    let phone = link(&home, root.path(), "phone");
    let keys = fs::read(key(&home)).unwrap();
    home.ok(&["follow", &bob.account(), "--as", "canary-petname"]);
    home.ok(&["draft", "create", "canary draft"]);
    home.ok(&["post", "canary scheduled", "--at", "2099-01-01T00:00:00Z"]);
    home.ok(&["post", "canary public"]);
    let node = home.node();
    let draft = home.ok(&["draft", "create", "canary second"]);
    home.ok(&["draft", "edit", &draft, "canary edited"]);
    let _ = phone.run(&["sync", "--peer", &node.ticket(), "--timeout", "20s"]);
    assert_eq!(home.run(&["search", "canary"]).code, 0);
    home.ok(&["catchup", "--mark-read"]);
    node.stop();
    let words = root.path().join("words").display().to_string();
    home.ok(&["identity", "recovery", "--output", &words]);
    let words = fs::read_to_string(&words).unwrap();
    let words = words.lines().last().unwrap().as_bytes()[..20].to_vec();
    let secrets: Vec<(&str, Vec<u8>)> = vec![
        ("a petname", b"canary-petname".to_vec()),
        ("a draft", b"canary draft".to_vec()),
        ("a scheduled post", b"canary scheduled".to_vec()),
        ("a draft of the node", b"canary second".to_vec()),
        ("an edited draft", b"canary edited".to_vec()),
        ("the recovery words", words),
        ("the signing key", keys[..32].to_vec()),
        ("the sealing key", keys[32..].to_vec()),
    ];
    // the search finds what is there: the keys are, and what is public
    let public = [("a post", b"canary public".to_vec())];
    assert!(!showing(&home, root.path(), &public).is_empty());
    let before = showing(&home, root.path(), &secrets);
    assert!(before.iter().all(|found| found.ends_with("device.key")), "{before:?}");
    assert_eq!(before.len(), 2, "{before:?}");
    let one = file(root.path(), "one", "canary passphrase");
    home.ok(&["identity", "passphrase", "--new-passphrase-file", &one]);
    home.ok(&["post", "canary public", "--passphrase-file", &one]);
    home.ok(&["draft", "create", "canary draft", "--passphrase-file", &one]);
    home.ok(&["node", "start", "--passphrase-file", &one]);
    home.ok(&["node", "stop"]);
    let mut secrets = secrets;
    secrets.push(("the passphrase", b"canary passphrase".to_vec()));
    assert_eq!(showing(&home, root.path(), &secrets), Vec::<String>::new());
    let drafts = home.ok(&["draft", "list", "--passphrase-file", &one]);
    assert!(drafts.contains("canary edited") && drafts.contains("canary scheduled"), "{drafts}");
}
