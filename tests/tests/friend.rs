//! Bob follows Ada through a hub while she is off: replies, and what she can do about them.

use mosaic_tests::home::{Home, Node, link};
use serde_json::Value;

fn meet(home: &Home, node: &Node) {
    let result = home.sync(&node.ticket());
    assert!(result["state"] != "unreachable" && result["state"] != "failed", "{result}");
}

fn comments(home: &Home, post: &str) -> Vec<Value> {
    let mut records = home.json(&["wall", "show", post]);
    records.retain(|record| record["type"] == "comment");
    records
}

#[test]
fn a_friend_replies_and_is_hidden_refused_and_blocked() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    let (hub, bob) = (Home::init(root.path(), "hub"), Home::init(root.path(), "bob"));
    let (ada, bob_id) = (laptop.account(), bob.account());
    hub.ok(&["sub", "add", &ada]);
    let node = hub.node();
    let post = laptop.ok(&["post", "hello"]);
    meet(&laptop, &node);
    // Ada is off. Bob has nothing but the hub.
    bob.ok(&["follow", &ada]);
    meet(&bob, &node);
    let feed = bob.json(&["feed"]);
    assert!(feed.iter().any(|entry| entry["text"] == "hello"), "{feed:?}");
    // Bob is off as well while he writes.
    let comment = bob.ok(&["wall", "comment", &post, "hi ada"]);
    bob.ok(&["wall", "react", &post, "👍"]);
    meet(&bob, &node);
    for device in [&laptop, &phone] {
        meet(device, &node);
        assert_eq!(comments(device, &post).len(), 1, "{}", device.path.display());
        let shown = device.json(&["wall", "show", &post]);
        assert_eq!(shown[0]["reactions"]["👍"], 1, "{shown:?}");
    }
    laptop.ok(&["wall", "hide", &comment]);
    assert!(comments(&laptop, &post).is_empty());
    meet(&laptop, &node);
    assert!(comments(&hub, &post).is_empty());
    laptop.ok(&["wall", "unhide", &comment]);
    assert_eq!(comments(&laptop, &post).len(), 1);
    // A block is nobody's business: nothing of it leaves Ada's devices but what is sealed.
    meet(&laptop, &node);
    let before = hub.ok(&["doc", "heads", "--who", &ada, "--json"]);
    laptop.ok(&["block", &bob_id]);
    assert!(comments(&laptop, &post).is_empty());
    meet(&laptop, &node);
    assert_eq!(hub.ok(&["doc", "heads", "--who", &ada, "--json"]), before);
    let listed = hub.json(&["doc", "list", &ada]);
    assert!(listed.iter().all(|document| document["kind"] != "private"), "{listed:?}");
    assert!(hub.json(&["block", "list"]).is_empty());
    assert_eq!(comments(&hub, &post).len(), 1);
    let told = bob.sync(&node.ticket()).to_string();
    assert!(!told.contains("block"), "{told}");
    // A refusal is public, and everybody keeps to it.
    laptop.ok(&["wall", "refuse", &bob_id]);
    meet(&laptop, &node);
    assert!(comments(&hub, &post).is_empty());
    meet(&bob, &node);
    assert_eq!(bob.run(&["wall", "comment", &post, "again"]).code, 4);
    // What is private goes from device to device, sealed on its way through the hub.
    let blocked = |home: &Home| {
        home.json(&["block", "list"]).iter().any(|entry| entry["account"] == bob_id.as_str())
    };
    assert!(!blocked(&phone));
    meet(&phone, &node);
    assert!(blocked(&phone) && !blocked(&hub));
    assert_eq!(comments(&hub, &post).len(), 0);
    node.stop();
    for home in [&laptop, &phone, &hub, &bob] {
        assert_eq!(home.run(&["store", "verify"]).code, 0, "{}", home.path.display());
    }
}
