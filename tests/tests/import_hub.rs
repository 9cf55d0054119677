//! Archives of other places into channels of hubs: whole, once, and after a break.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mosaic_tests::home::{Home, field, until};
use serde_json::{Value, json};

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn import(home: &Home, kind: &str, file: &Path, channel: &str, more: &[&str]) -> Value {
    let args = [&["import", kind, file.to_str().unwrap(), "--hub", channel], more].concat();
    let last = home.json(&args).last().unwrap().clone();
    assert_eq!(last["type"], "import", "{last}");
    last
}

/// Mails that each answer the one before, the newest first.
fn mails(count: u64) -> String {
    let mail = |n: u64| {
        let (minute, hour) = (n % 60, n / 60 % 24);
        format!(
            "From p{n}@boats.example Tue Jan  5 10:00:00 2021\nFrom: Person {n} <p{n}@boats.example>\n\
             Date: Tue, 5 Jan 2021 {hour:02}:{minute:02}:00 +0000\nMessage-ID: <{n}@boats.example>\n\
             References: <{}@boats.example>\nSubject: Mail {n}\n\ntext {n}\n\n",
            n.wrapping_sub(1)
        )
    };
    (0..count).rev().map(mail).collect()
}

#[test]
fn a_killed_import_goes_on_with_nothing_twice_and_nothing_lost() {
    const COUNT: u64 = 1200;
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    ada.ok(&["hub", "create", "Boats", "--channel", "mail"]);
    let file = write(root.path(), "boats.mbox", mails(COUNT).as_bytes());
    let mut command =
        ada.command(&["import", "mbox", file.to_str().unwrap(), "--hub", "Boats/mail"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // A part is there, and it is killed at whatever comes next.
    for _ in 0..300 {
        lines.next().unwrap().unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    let done = import(&ada, "mbox", &file, "Boats/mail", &[]);
    let known = done["known"].as_u64().unwrap();
    assert!((300..COUNT).contains(&known), "{done}");
    assert_eq!(done["added"], COUNT - known, "{done}");
    assert_eq!(import(&ada, "mbox", &file, "Boats/mail", &[])["known"], COUNT);
    let shown = ada.json(&["hub", "read", "Boats/mail", "-n", "2000"]);
    assert_eq!(shown.len() as u64, COUNT);
    let mut ids: Vec<String> = shown.iter().map(|one| field(&one["origin"], "id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, COUNT);
    // All but the first answer the one before, although the file has them the other way round.
    let by_id = |id: &str| shown.iter().find(|one| one["id"] == id).unwrap();
    let mut answers = 0;
    for one in &shown {
        let Some(target) = one["reply_to"].as_str() else { continue };
        let n = |one: &Value| field(one, "origin_author").replace("Person ", "").parse::<u64>();
        assert_eq!(n(by_id(target)).unwrap() + 1, n(one).unwrap());
        answers += 1;
    }
    assert_eq!(answers, COUNT - 1);
    assert_eq!(ada.run(&["store", "verify"]).code, 0);
}

#[test]
fn files_come_along_and_only_those_of_the_export() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    ada.ok(&["hub", "create", "Boats", "--channel", "chat"]);
    let folder = root.path().join("export");
    std::fs::create_dir_all(folder.join("chat.json_Files/.git")).unwrap();
    write(&folder, "chat.json_Files/a.txt", b"oars");
    write(&folder, "chat.json_Files/.git/config", b"secret");
    write(&folder, "notes.txt", b"secret");
    let outside = write(root.path(), "key", b"secret");
    std::os::unix::fs::symlink(&outside, folder.join("chat.json_Files/link")).unwrap();
    let attachment = |url: &str| json!({ "url": url, "fileName": "x/../y.txt" });
    let own = ["a.txt", "link", "none", ".git/config", "../notes.txt", "none/a.txt"];
    let mut urls = own.map(|name| format!("chat.json_Files/{name}")).to_vec();
    let others = ["notes.txt", "./notes.txt", "../key", outside.to_str().unwrap()];
    urls.extend(others.map(str::to_owned));
    let all: Vec<Value> = urls.iter().map(|url| attachment(url)).collect();
    let many: Vec<Value> = vec![attachment("chat.json_Files/a.txt"); 20];
    let list = json!([
        { "id": "1", "content": "all", "attachments": all },
        { "id": "2", "content": "", "attachments": many },
        { "id": "3", "content": "é".repeat(200_000) },
        { "id": "4", "content": "later", "timestamp": "2999-01-01T00:00:00Z" },
        { "id": "1", "content": "again" },
    ]);
    let export = json!({ "messages": list }).to_string();
    let file = write(&folder, "chat.json", export.as_bytes());
    // Beside a node, which reads the files, it is the same.
    let node = ada.node();
    let done = import(&ada, "discord", &file, "Boats/chat", &[]);
    let left = json!({
        "dates before 1970, to come or missing": 4, "ends of long texts, which are attached": 1,
        "files behind symbolic links": 1, "files more than a message may have": 4,
        "files outside the folder of the export": 6, "files that are not there": 2, "twice in the file": 1,
    });
    assert_eq!((&done["added"], &done["skipped"]), (&json!(4), &left), "{done}");
    let shown = ada.json(&["hub", "read", "Boats/chat"]);
    let of = |id: &str| shown.iter().find(|one| one["origin"]["id"] == id).unwrap();
    let files = |id: &str| of(id)["attachments"].as_array().unwrap().len();
    assert_eq!(["discord:1", "discord:2", "discord:3"].map(files), [1, 16, 1]);
    assert_eq!(of("discord:1")["attachments"][0]["name"], "x_.._y.txt");
    assert_eq!(of("discord:3")["attachments"][0]["size_bytes"], 400_000);
    let cut = field(of("discord:3"), "text");
    assert!(cut.ends_with("the whole text is attached as text.txt]") && cut.len() <= 256 * 1024);
    node.stop();
}

#[test]
fn who_may_not_write_there_imports_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let hub = field(&ada.json(&["hub", "create", "Boats", "--channel", "mail"])[0], "id");
    ada.ok(&["hub", "channel", "create", "Boats/news", "--read-only"]);
    let file = write(root.path(), "boats.mbox", mails(3).as_bytes());
    let node = ada.node();
    bob.ok(&["hub", "serve", &hub]);
    until("the hub came", || {
        bob.sync(&node.ticket());
        bob.run(&["hub", "channel", "list", &hub]).out.contains("news")
    });
    let args = ["import", "mbox", file.to_str().unwrap(), "--hub", "Boats/mail"];
    let refused = bob.run(&args);
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(refused.err.contains("you are no member of this hub"), "{}", refused.err);
    // Nor does it say that it would.
    assert_eq!(bob.run(&[&args[..], &["--dry-run"]].concat()).code, 4);
    let ticket = ada.ok(&["hub", "invite", "Boats"]);
    bob.ok(&["hub", "join", ticket.lines().next().unwrap()]);
    let refused = bob.run(&["import", "mbox", args[2], "--hub", "Boats/news"]);
    assert!(refused.code == 4 && refused.err.contains("read-only"), "{}", refused.err);
    assert_eq!(import(&bob, "mbox", &file, "Boats/mail", &[])["added"], 3);
    bob.sync(&node.ticket());
    let shown = ada.json(&["hub", "read", "Boats/mail"]);
    let authors: Vec<String> = shown.iter().map(|one| field(one, "origin_author")).collect();
    assert_eq!(authors, ["Person 2", "Person 1", "Person 0"]);
    assert!(shown.iter().all(|one| one["author"] == bob.account()));
    node.stop();
}

#[test]
fn a_file_that_is_none_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    ada.ok(&["hub", "create", "Boats", "--channel", "mail"]);
    let empty = write(root.path(), "empty", b"");
    assert_eq!(import(&ada, "mbox", &empty, "Boats/mail", &[])["found"], 0);
    let mut bytes = vec![0x80; 4096];
    bytes.extend_from_slice(b"From a Tue Jan  5 10:00:00 2021\n");
    let noise = write(root.path(), "noise", &bytes);
    for (kind, file, code) in [
        ("discord", &empty, 2),
        ("mbox", &noise, 2),
        ("discord", &noise, 2),
        ("mbox", &root.path().to_owned(), 1),
        ("mbox", &root.path().join("none"), 13),
    ] {
        let done = ada.run(&["import", kind, file.to_str().unwrap(), "--hub", "Boats/mail"]);
        assert_eq!(done.code, code, "{kind} {}: {}", file.display(), done.err);
    }
    assert!(ada.json(&["hub", "read", "Boats/mail"]).is_empty());
}
