//! `--wait-replicas`: it ends when others have the post on disk, and says so when they have not.

use mosaic_tests::home::{Home, field, until};

#[test]
fn waiting_ends_with_the_copy_or_with_the_time() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "hub"));
    // Nobody is known: the post is written and its id printed all the same.
    let alone = laptop.run(&["post", "alone", "--wait-replicas", "1", "--timeout", "300ms"]);
    assert_eq!(alone.code, 124, "{}", alone.err);
    assert!(alone.err.contains("is on 0 of 1 replicas"), "{}", alone.err);
    assert_eq!(laptop.json(&["wall", "show", alone.out.trim()]).len(), 1);

    let serving = hub.node();
    laptop.ok(&["follow", &hub.account()]);
    let _ = laptop.run(&["sync", "--peer", &serving.ticket(), "--timeout", "60s"]);
    // A peer that keeps nothing of ours holds no copy, however much in sync it is.
    let stranger =
        laptop.run(&["post", "kept by nobody", "--wait-replicas", "1", "--timeout", "2s"]);
    assert_eq!(stranger.code, 124, "{}", stranger.err);

    hub.ok(&["sub", "add", &laptop.account()]);
    let id = laptop.ok(&["post", "kept", "--wait-replicas", "1", "--timeout", "60s"]);
    // With a node that runs as well, and for comments.
    let node = laptop.node();
    let comment =
        ["wall", "comment", &id, "so is this", "--wait-replicas", "1", "--timeout", "60s"];
    let comment = laptop.run(&comment);
    assert_eq!(comment.code, 0, "{}", comment.err);
    assert!(comment.err.contains("Committed on 1"), "{}", comment.err);
    serving.kill();
    // The hub was killed right after: what it said of its disk is true.
    let shown = hub.json(&["wall", "show", &id]);
    assert_eq!(field(&shown[0], "text"), "kept");
    assert_eq!(field(&shown[1], "id"), comment.out.trim());

    let away = laptop.run(&["post", "hub away", "--wait-replicas", "1", "--timeout", "1s"]);
    assert_eq!(away.code, 124);
    // Asking again with the same key waits for the same post.
    let keyed = ["post", "keyed", "--idempotency-key", "k", "--wait-replicas", "1", "--timeout"];
    let first = laptop.run(&[&keyed[..], &["1s"]].concat());
    assert_eq!(first.code, 124);
    let serving = hub.node();
    let second = laptop.run(&[&keyed[..], &["60s"]].concat());
    assert_eq!(second.code, 0, "{}", second.err);
    assert_eq!(first.out, second.out);
    until("the hub has it", || hub.run(&["wall", "show", second.out.trim()]).code == 0);
    serving.stop();
    node.stop();
}
