//! The table of exit codes, row by row: each code comes out of a command that earned it.

use std::process::{Command, Stdio};

use mosaic_tests::home::{Done, Home, field};

/// Rows of the table of `mosaic help exit-codes`.
fn table(home: &Home) -> Vec<(i32, String)> {
    let text = home.ok(&["help", "exit-codes"]);
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
    });
    rows.collect()
}

/// Checks that a command ends with a code and says so under `--json`, on stderr alone.
fn ends(home: &Home, args: &[&str], code: i32, name: &str) -> Done {
    let done = home.run(&[args, &["--json"]].concat());
    assert_eq!(done.code, code, "{args:?}: {}", done.err);
    if code != 0 {
        let last = done.err.lines().last().unwrap_or_default();
        let error: serde_json::Value = serde_json::from_str(last).expect("an error");
        assert_eq!(
            (error["code"].as_i64(), field(&error, "name")),
            (Some(code.into()), name.into())
        );
        assert_eq!(field(&error, "type"), "error");
        assert!(field(&error, "hint").starts_with("mosaic"), "{error}");
    }
    done
}

#[test]
fn each_row_of_the_table_is_what_a_command_ends_with() {
    let root = tempfile::tempdir().unwrap();
    let empty = Home::new(root.path(), "empty");
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let post = ada.ok(&["post", "one"]);
    let mut seen = Vec::new();
    let mut row = |home: &Home, args: &[&str], code: i32, name: &str| {
        seen.push((code, name.to_owned()));
        ends(home, args, code, name)
    };
    row(&ada, &["status"], 0, "ok");
    // A folder where a file should be written.
    row(&ada, &["man", "/proc/none"], 1, "error");
    row(&ada, &["wall", "lst"], 2, "usage");
    ends(&ada, &["post", "--no-input"], 2, "usage");
    row(&ada, &["wall", "delete", &post, "beefbeef"], 3, "partial");
    ada.ok(&["wall", "policy", "nobody"]);
    let node = ada.node();
    let post = ada.ok(&["post", "two"]);
    bob.ok(&["follow", &ada.account()]);
    bob.sync(&node.ticket());
    row(&bob, &["wall", "comment", &post, "hm"], 4, "denied");
    let ticket = node.ticket();
    node.stop();
    row(&bob, &["sync", "--peer", &ticket, "--timeout", "20s"], 5, "retry");
    row(&empty, &["wall", "list"], 10, "no_identity");
    locked(&ada, &mut row);
    row(&sealed(root.path()), &["wall", "list"], 12, "wrong_passphrase");
    row(&ada, &["wall", "show", "beefbeef"], 13, "not_found");
    ambiguous(&ada, &mut row);
    row(&ada, &["init", "--name", "again"], 15, "conflict");
    row(&ada, &["watch"], 17, "no_node");
    row(&ada, &["post", "x", "--wait-replicas", "1", "--timeout", "100ms"], 124, "timeout");
    interrupted(&ada);
    seen.push((130, "interrupted".to_owned()));
    std::fs::write(bob.path.join("device.key"), [7; 64]).unwrap();
    let done = bob.run(&["post", "x", "--json"]);
    seen.push((16, "corrupt".to_owned()));
    assert_eq!(done.code, 16, "{}", done.err);
    seen.sort();
    assert_eq!(seen, table(&ada));
}

/// A home whose keys nobody opens.
fn sealed(root: &std::path::Path) -> Home {
    let (home, file) = (Home::new(root, "sealed"), root.join("passphrase"));
    std::fs::write(&file, "open sesame\n").expect("a file");
    home.ok(&["init", "--passphrase-file", file.to_str().expect("a path")]);
    home
}

type Row<'a> = &'a mut dyn FnMut(&Home, &[&str], i32, &str) -> Done;

/// Another process holds the store: a command that waits for the rest of its text.
fn locked(home: &Home, row: Row<'_>) {
    let mut command = home.command(&["device", "invite"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut other = command.spawn().expect("mosaic");
    let mut ticket = [0; 4];
    std::io::Read::read_exact(other.stdout.as_mut().expect("a pipe"), &mut ticket)
        .expect("a ticket");
    row(home, &["wall", "list"], 11, "locked");
    let _ = other.kill();
    let _ = other.wait();
}

/// Posts until two ids begin alike.
fn ambiguous(home: &Home, row: Row<'_>) {
    let node = home.node();
    let api = mosaic_tests::api::Api::of(&home.path);
    let mut begun = std::collections::BTreeSet::new();
    loop {
        let record = api.call("/v1/post/create", &serde_json::json!({"text": "again"}));
        let prefix = field(&record, "id")[..4].to_owned();
        if !begun.insert(prefix.clone()) {
            let done = row(home, &["wall", "show", &prefix], 14, "ambiguous");
            let error: serde_json::Value = serde_json::from_str(done.err.trim()).expect("an error");
            assert!(error["candidates"].as_array().expect("candidates").len() >= 2);
            break;
        }
    }
    node.stop();
}

fn interrupted(home: &Home) {
    let mut command = home.command(&["post", "-"]);
    command.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("mosaic");
    let status = format!("/proc/{}/status", child.id());
    mosaic_tests::home::until("it handles Ctrl-C", || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).unwrap_or(0) & 2 != 0
    });
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
    let stdin = child.stdin.take();
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    drop(stdin);
}

#[test]
fn usage_errors_are_one_object_too() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(root.path(), "empty");
    for args in [&["pst"][..], &["wall"], &["wall", "show"], &["feed", "--no-such"], &[]] {
        let done = ends(&home, args, 2, "usage");
        assert_eq!(done.err.lines().count(), 1, "{args:?}: {}", done.err);
        assert!(done.out.is_empty());
    }
    // --jq asks for JSON as well, wherever it stands.
    for args in [&["--jq", ".", "pst"][..], &["feed", "--jq=.a |"], &["feed", "--jq", "nosuch"]] {
        let done = home.run(args);
        let error: serde_json::Value = serde_json::from_str(done.err.trim()).expect("an error");
        assert_eq!((done.code, error["code"].as_u64()), (2, Some(2)), "{args:?}");
    }
}
