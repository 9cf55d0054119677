//! Posts that go out later: from a running node, also after it was down, and once.

use mosaic_node::api::types::rfc3339;
use mosaic_node::clock;
use mosaic_tests::home::{Home, link, until};

fn texts(home: &Home) -> Vec<String> {
    let posts = home.json(&["wall", "list"]);
    posts.iter().map(|post| post["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_scheduled_post_goes_out_from_a_running_node_once() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let node = home.node();
    let soon = rfc3339(clock::now_ms() + 5000);
    let id = home.ok(&["post", "--at", &soon, "in time"]);
    let draft = &home.json(&["draft", "show", &id])[0];
    assert_eq!(draft["at"], soon, "{draft}");
    until("the post is out", || texts(&home) == ["in time"]);
    assert!(home.json(&["draft", "list"]).is_empty());
    assert!(home.json(&["wall", "list"])[0]["created_at"].as_str() >= Some(soon.as_str()));
    // One whose time comes while no node runs goes out with the next start; another is called off.
    let soon = rfc3339(clock::now_ms() + 5000);
    let off = home.ok(&["post", "--at", &soon, "never"]);
    home.ok(&["post", "--at", &soon, "late"]);
    home.ok(&["draft", "delete", &off]);
    node.stop();
    until("its time has come", || rfc3339(clock::now_ms()) > soon);
    assert_eq!(texts(&home), ["in time"]);
    let node = home.node();
    until("the post is out", || texts(&home) == ["late", "in time"]);
    node.stop();
    let node = home.node();
    assert_eq!(texts(&home), ["late", "in time"]);
    node.stop();
    assert_eq!(home.run(&["post", "--at", &soon, "x"]).code, 2);
}

#[test]
fn drafts_reach_the_other_device_and_end_on_both() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    let id = laptop.ok(&["draft", "create", "from the laptop"]);
    let node = laptop.node();
    phone.sync(&node.ticket());
    assert_eq!(phone.json(&["draft", "show", &id])[0]["text"], "from the laptop");
    phone.ok(&["draft", "post", &id]);
    phone.sync(&node.ticket());
    assert!(laptop.json(&["draft", "list"]).is_empty());
    assert_eq!(texts(&laptop), ["from the laptop"]);
    node.stop();
}
