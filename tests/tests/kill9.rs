//! The node is killed while posts go through it: every id it told is there afterwards.

use std::collections::BTreeSet;
use std::sync::mpsc;

use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, field};
use serde_json::json;

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
