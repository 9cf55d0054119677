//! `watch`: numbers without a hole, over restarts and kills, and a gap that is told.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use mosaic_engine::replica::JOURNAL_EVENTS_MAX;
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use mosaic_engine::store::{Batch, Store, Table, keys};
use mosaic_tests::home::{Home, field};
use serde_json::Value;

fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["seq"].as_u64().expect("a number")).collect()
}

fn names(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| field(event, "event")).collect()
}

fn watch(home: &Home, args: &[&str]) -> Vec<Value> {
    home.json(&[&["watch"], args].concat())
}

#[test]
fn numbers_rise_by_one_over_stops_and_kills() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let mut told = Vec::new();
    for round in 0..6 {
        let node = home.node();
        told.push(home.ok(&["post", &format!("post {round}")]));
        if round % 2 == 0 {
            node.stop();
        } else {
            node.kill();
        }
        told.push(home.ok(&["post", &format!("alone {round}")]));
    }
    let node = home.node();
    let done = home.run(&["watch", "--since", "0", "--timeout", "2s", "--json"]);
    assert_eq!(done.code, 124, "{}", done.err);
    let events: Vec<Value> = done.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(seqs(&events), (1..=events.len() as u64).collect::<Vec<_>>());
    let posts = events.iter().filter(|event| event["event"] == "post.created");
    let posts: Vec<_> = posts.map(|event| field(&event["data"], "id")).collect();
    assert_eq!(posts, told);
    let ready = names(&events).iter().filter(|name| *name == "node.ready").count();
    let stopping = names(&events).iter().filter(|name| *name == "node.stopping").count();
    assert_eq!((ready, stopping), (7, 3));
    // From anywhere on, the rest is the same.
    let middle = events.len() / 2;
    let count = (events.len() - middle).to_string();
    let rest = watch(&home, &["--since", &middle.to_string(), "-n", &count]);
    assert_eq!(rest, events[middle..]);
    node.stop();
}

#[test]
fn what_is_no_longer_kept_is_told_first() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    home.ok(&["post", "one"]);
    let state = root.path().join("laptop.state");
    let disk = DiskStore::open(&DiskOptions::new(&home.path, &state)).unwrap();
    let rows = disk.store.scan(Table::Meta, keys::JOURNAL, None, false, 1000).unwrap();
    let mut batch = Batch::new();
    for (key, _) in &rows[..rows.len() - 1] {
        batch.delete(Table::Meta, key.clone());
    }
    disk.store.commit(batch).unwrap();
    disk.store.close().unwrap();
    drop(disk);
    // A row holds the events of one commit and document; the post is one of its own.
    let (first, last) = keys::parse_journal(&rows.last().unwrap().0).unwrap();
    assert!(rows.len() > 1 && first == last && (3..JOURNAL_EVENTS_MAX).contains(&last));
    let node = home.node();
    let events = watch(&home, &["--since", "1", "-n", "2"]);
    assert_eq!(names(&events), ["gap", "post.created", "node.ready"]);
    assert_eq!(seqs(&events), [last - 1, last, last + 1]);
    assert_eq!(
        (&events[0]["data"]["first"], &events[0]["data"]["last"]),
        (&2.into(), &(last - 1).into())
    );
    // A number that this store never gave out: it was put back.
    let mut child = piped(&home, &["--since", "100000"]);
    let first = line(&mut child);
    assert_eq!((field(&first, "event"), first["seq"].as_u64()), ("gap".into(), Some(last + 1)));
    end(child);
    node.stop();
}

fn piped(home: &Home, args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let args = [&["watch", "--json"], args].concat();
    let mut child = home.command(&args).stdout(Stdio::piped()).spawn().expect("mosaic runs");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    (child, out)
}

fn line(child: &mut (Child, BufReader<std::process::ChildStdout>)) -> Value {
    let mut line = String::new();
    child.1.read_line(&mut line).expect("a line");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn end(mut child: (Child, BufReader<std::process::ChildStdout>)) {
    let _ = child.0.kill();
    let _ = child.0.wait();
}

#[test]
fn events_come_at_once_say_what_they_are_about_and_end_with_the_node() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let node = home.node();
    let now = watch(&home, &["--since", "0", "-n", "1", "--types", "node.ready"]);
    let mut child = piped(&home, &["--since", &seqs(&now)[0].to_string()]);
    // Each line is read before the next thing is done: nothing waits for a buffer to fill.
    let post = home.ok(&["post", "planted"]);
    let event = line(&mut child);
    assert_eq!(field(&event, "event"), "post.created");
    assert_eq!(field(&event["data"], "text"), "planted");
    let comment = home.ok(&["wall", "comment", &post, "hm"]);
    let event = line(&mut child);
    assert_eq!(field(&event["data"], "id"), comment);
    assert_eq!(field(&event["data"], "target"), post);
    for (args, name) in [
        (vec!["wall", "edit", &comment, "oh"], "comment.edited"),
        (vec!["wall", "edit", &post, "better"], "post.edited"),
        (vec!["wall", "react", &post, "👍"], "reaction.added"),
        (vec!["wall", "unreact", &post, "👍"], "reaction.removed"),
        (vec!["wall", "delete", &comment], "comment.deleted"),
        (vec!["wall", "delete", &post], "post.deleted"),
        (vec!["profile", "set", "--bio", "x"], "map.changed"),
    ] {
        home.ok(&args);
        assert_eq!(field(&line(&mut child), "event"), name);
    }
    node.stop();
    assert_eq!(field(&line(&mut child), "event"), "node.stopping");
    assert_eq!(child.0.wait().expect("an end").code(), Some(17));
}

#[test]
fn a_command_gets_each_event_and_its_failure_ends_the_watch() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let node = home.node();
    for n in 0..3 {
        home.ok(&["post", &format!("post {n}")]);
    }
    let out = root.path().join("out");
    let exec = format!("cat >> {}", out.display());
    let posts = ["watch", "--since", "0", "--types", "post.created", "-n", "3", "--exec"];
    home.ok(&[&posts[..], &[&exec]].concat());
    let lines = std::fs::read_to_string(&out).unwrap();
    let texts: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let texts: Vec<_> = texts.iter().map(|event| field(&event["data"], "text")).collect();
    assert_eq!(texts, ["post 0", "post 1", "post 2"]);
    let failing = home.run(&[&posts[..], &["grep -qv 'post 1'"]].concat());
    assert_eq!(failing.code, 1, "{}", failing.err);
    let hint = failing.err.lines().last().unwrap_or_default().to_owned();
    let since = hint.rsplit(' ').next().unwrap_or_default();
    let again = watch(&home, &["--types", "post.created", "-n", "1", "--since", since]);
    assert_eq!(field(&again[0]["data"], "text"), "post 1", "{hint}");
    // It outlives the watch; what the watch prints is not left open by it.
    let sleep = "exec sleep 10 >/dev/null 2>&1";
    let endless = home.run(&[&posts[..], &[sleep, "--timeout", "300ms"]].concat());
    assert_eq!(endless.code, 124);
    let mut bad = home.command(&["watch", "--types", "nothing"]);
    assert_eq!(bad.output().unwrap().status.code(), Some(2));
    std::io::stderr().flush().unwrap();
    node.stop();
}
