//! A subscription under a limit: never exceeded by more than a page.

use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, until};
use serde_json::json;

/// Bytes of all bodies; `MOSAIC_QUOTA_MB` sets another number of megabytes.
fn total() -> usize {
    let megabytes = std::env::var("MOSAIC_QUOTA_MB").ok().and_then(|count| count.parse().ok());
    megabytes.unwrap_or(20) * 1_000_000
}

#[test]
fn a_subscription_never_holds_more_than_its_limit_and_a_page() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "hub"));
    let account = laptop.account();
    let limit = total() / 10;
    let node = laptop.node();
    let api = Api::of(&laptop.path);
    let text = "x".repeat(8_000);
    let posts = total() / text.len();
    for n in 0..posts {
        api.call("/v1/post/create", &json!({ "text": format!("{n} {text}") }));
    }
    drop(api);
    hub.ok(&["sub", "add", &account, "--max-bytes", &limit.to_string()]);
    let ticket = node.ticket();
    let held = || {
        let shown = hub.json(&["sub", "show", &account]);
        shown[0]["held_bytes"].as_u64().expect("held bytes")
    };
    // A page of 1,024 posts is the unit.
    let page = 1024 * (text.len() as u64 + 200);
    for _ in 0..3 {
        let result = hub.sync(&ticket);
        assert!(held() <= limit as u64 + page, "{} of {limit}: {result}", held());
    }
    assert!(held() > 0);
    let wall = hub.json(&["wall", "list", &account]);
    let newest = wall[0]["text"].as_str().unwrap_or("?");
    assert!(newest.starts_with(&format!("{} ", posts - 1)), "{newest:.20}");
    // Nothing of one's own is given up.
    let own = laptop.json(&["wall", "list"]);
    assert_eq!(own.len(), posts);
    assert!(own.iter().all(|post| post["text"].is_string()));
    until("the store is sound", || hub.run(&["store", "verify"]).code == 0);
    node.stop();
}
