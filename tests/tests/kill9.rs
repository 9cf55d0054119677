//! The node is killed while posts go through it, and while it copies: every id it told is there
//! afterwards.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;

use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, field};
use serde_json::{Value, json};

/// Kills in a row; `MOSAIC_KILLS` sets another number.
fn kills() -> usize {
    std::env::var("MOSAIC_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(15)
}

#[test]
fn no_acknowledged_post_is_lost_when_the_node_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let mut told = BTreeSet::new();
    for round in 0..kills() {
        let node = home.node();
        let path = home.path.clone();
        let (ids, heard) = mpsc::channel();
        let writer = std::thread::spawn(move || {
            let api = Api::of(&path);
            for n in 0.. {
                let text = format!("round {round}, post {n}");
                let records = api.try_call("/v1/post/create", &json!({ "text": text }));
                let posted = records.first().filter(|record| record["type"] == "post");
                let Some(post) = posted else { return };
                if ids.send(field(post, "id")).is_err() {
                    return;
                }
            }
        });
        // At another moment each time, always between two posts or within one.
        for _ in 0..=round % 7 {
            told.insert(heard.recv().expect("a post"));
        }
        node.kill();
        writer.join().unwrap();
        told.extend(heard.try_iter());
    }
    let verify = home.run(&["store", "verify"]);
    assert_eq!(verify.code, 0, "{}{}", verify.out, verify.err);
    let wall: BTreeSet<String> =
        home.json(&["wall", "list"]).iter().map(|post| field(post, "id")).collect();
    let lost: Vec<_> = told.difference(&wall).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), told.len());
    assert!(told.len() >= kills());
}

/// Posts that the author writes between two kills of the reader.
const POSTS: usize = 60;

#[test]
fn no_copied_post_that_was_told_is_lost_when_the_reader_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let [author, reader] = ["author", "reader"].map(|name| Home::init(root.path(), name));
    let serving = author.node();
    let (api, ticket) = (Api::of(&author.path), serving.ticket());
    reader.ok(&["sub", "add", &author.account()]);
    let (mut told, mut since) = (BTreeSet::new(), 0);
    for round in 0..kills().div_ceil(3) {
        for n in 0..POSTS {
            api.call("/v1/post/create", &json!({ "text": format!("round {round}, post {n}") }));
        }
        let node = reader.node();
        let seq = since.to_string();
        let mut watch = reader.command(&["watch", "--since", &seq, "--json", "--timeout", "60s"]);
        let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut copy = reader.command(&["sync", "--peer", &ticket, "--timeout", "60s"]);
        let mut copy = copy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        // Told of this many, at another one each time; then what was told before it was gone.
        let wanted = 1 + 17 * round % POSTS;
        let mut hear = |wanted: usize| {
            let mut heard = 0;
            while heard < wanted {
                let Some(Ok(line)) = lines.next() else { return heard };
                let event: Value = serde_json::from_str(&line).unwrap();
                if event["event"] == "post.created" {
                    since = event["seq"].as_u64().unwrap();
                    told.insert(field(&event["data"], "id"));
                    heard += 1;
                }
            }
            heard
        };
        assert_eq!(hear(wanted), wanted, "round {round}");
        node.kill();
        hear(usize::MAX);
        watch.wait().unwrap();
        copy.wait().unwrap();
    }
    let verify = reader.run(&["store", "verify"]);
    assert_eq!(verify.code, 0, "{}{}", verify.out, verify.err);
    let list = ["wall", "list", &author.account(), "--limit", "1000"];
    let wall: BTreeSet<String> = reader.json(&list).iter().map(|post| field(post, "id")).collect();
    let lost: Vec<_> = told.difference(&wall).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), told.len());
    assert!(told.len() >= kills().div_ceil(3));
}
