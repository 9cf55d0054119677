//! The doctor names what is wrong with a home, and how to mend it; it changes nothing.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use mosaic_tests::home::{Home, until};
use serde_json::Value;

/// What one check of it says.
fn check(home: &Home, name: &str) -> Value {
    let checks = home.json(&["doctor"]);
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check of {name} in {checks:?}")).clone()
}

/// One check fails or warns with these words, has a way to mend it, and decides the exit code.
fn says(home: &Home, name: &str, state: &str, words: &str) {
    let found = check(home, name);
    assert_eq!(found["state"], state, "{found}");
    assert!(found["message"].as_str().unwrap().contains(words), "{found}");
    assert!(!found["fix"].as_str().unwrap().is_empty(), "{found}");
    let done = home.run(&["doctor"]);
    assert_eq!(done.code, i32::from(state == "fail"), "{}{}", done.out, done.err);
    assert!(done.out.contains(words), "{}", done.out);
}

fn is_well(home: &Home) {
    let done = home.run(&["doctor", "--json"]);
    assert_eq!(done.code, 0, "{}", done.out);
    for line in done.out.lines() {
        let check: Value = serde_json::from_str(line).unwrap();
        assert_eq!(check["state"], "ok", "{check}");
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_store_that_does_not_open() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    home.ok(&["post", "hello"]);
    is_well(&home);
    let format = home.path.join("store/format");
    let right = fs::read(&format).unwrap();
    let mut wrong = right.clone();
    wrong[20] ^= 1;
    fs::write(&format, wrong).unwrap();
    says(&home, "store", "fail", "format");
    assert_eq!(home.run(&["wall", "list"]).code, 16);
    assert_eq!(home.run(&["store", "migrate"]).code, 16);
    fs::write(&format, &right).unwrap();
    is_well(&home);
    // an older store in its place
    let mark = home.path.join("highwater");
    let right = fs::read(&mark).unwrap();
    fs::remove_file(&mark).unwrap();
    says(&home, "store", "warn", "a new life");
    fs::write(&mark, right).unwrap();
    is_well(&home);
    fs::remove_dir_all(home.path.join("store")).unwrap();
    says(&home, "store", "fail", "there is none");
    assert_eq!(home.run(&["wall", "list"]).code, 16);
}

#[test]
fn keys_and_folders_that_others_can_read() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let key = home.path.join("device.key");
    mode(&key, 0o644);
    says(&home, "keys", "fail", "mode 644");
    assert!(check(&home, "keys")["fix"].as_str().unwrap().starts_with("chmod 600 "));
    mode(&key, 0o600);
    mode(&home.path, 0o755);
    says(&home, "home", "fail", "mode 755");
    mode(&home.path, 0o700);
    is_well(&home);
    fs::rename(&key, root.path().join("aside")).unwrap();
    says(&home, "keys", "fail", "is missing");
    assert!(!check(&home, "keys")["fix"].as_str().unwrap().contains("mosaic init"));
    assert_eq!(home.run(&["wall", "list"]).code, 16);
}

#[test]
fn who_holds_the_store() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    // a command that waits, with the store open
    let mut command = home.command(&["device", "invite"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut other = command.spawn().unwrap();
    other.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    says(&home, "lock", "warn", &format!("process {} holds the store", other.id()));
    assert_eq!(home.run(&["wall", "list"]).code, 11);
    other.kill().unwrap();
    other.wait().unwrap();
    is_well(&home);
    let node = home.node();
    is_well(&home);
    // one whose socket is gone
    fs::remove_file(mosaic_node::socket_path(&home.path)).unwrap();
    says(&home, "lock", "fail", &format!("the node (pid {}) holds the store", node.pid()));
    node.kill();
    let node = home.node();
    node.kill();
    until("nobody holds the store", || check(&home, "lock")["state"] == "ok");
    says(&home, "node", "warn", "was left by a node that was killed");
}

#[test]
fn a_clock_that_is_behind() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    is_well(&home);
    let lock = fs::File::options().write(true).open(home.path.join("lock")).unwrap();
    lock.set_modified(SystemTime::now() + Duration::from_secs(24 * 3600)).unwrap();
    says(&home, "clock", "warn", "the store was written at");
}

#[test]
fn settings_that_are_wrong_and_an_address_that_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    home.ok(&["config", "set", "node.listen", &address]);
    says(&home, "listen", "fail", &address);
    drop(taken);
    is_well(&home);
    let file = home.path.join("config.toml");
    fs::write(&file, "# mine\n[node]\nlann = true\n").unwrap();
    says(&home, "settings", "fail", "line 3: no setting 'node.lann'; did you mean 'node.lan'?");
    // everything that would use them refuses with the line and the name that was meant
    for command in [&["node", "run"][..], &["node", "start"], &["config", "list"]] {
        let done = home.run(command);
        assert_eq!(done.code, 2, "{command:?}: {}", done.err);
        assert!(done.err.contains("line 3") && done.err.contains("did you mean"), "{}", done.err);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\n[node]\nlann = true\n");
}
