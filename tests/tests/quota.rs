//! A subscription under a limit: what is not kept is not fetched, and comes when it is read.

use std::process::Stdio;
use std::sync::Arc;

use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::hash::AccountId;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Replica, ReplicaOptions, Subscription};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_node::ticket::NodeTicket;
use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, field, until};
use mosaic_tests::liar::hub::{Hub, Show};
use mosaic_tests::liar::net::NetHub;
use serde_json::{Value, json};

/// Bytes of one post's text.
const TEXT_BYTES: usize = 8_000;
/// A page of 1,024 posts.
const PAGE_BYTES: u64 = 1024 * (TEXT_BYTES as u64 + 250);

/// Bytes of all bodies, and the limit. `MOSAIC_QUOTA_MB` sets another number of megabytes, with
/// a limit of a tenth.
fn sizes() -> (usize, u64) {
    let megabytes: Option<usize> =
        std::env::var("MOSAIC_QUOTA_MB").ok().and_then(|count| count.parse().ok());
    match megabytes {
        Some(count) => (count * 1_000_000, count as u64 * 100_000),
        None => (20_000_000, 13_500_000),
    }
}

fn held(home: &Home, account: &str) -> u64 {
    home.json(&["sub", "show", account])[0]["held_bytes"].as_u64().expect("held bytes")
}

/// Bytes that a sync moved, as the reader counts them.
fn moved(result: &Value) -> u64 {
    let fields = ["control_bytes", "inline_bytes", "blob_bytes", "body_bytes"];
    fields.iter().map(|field| result[field].as_u64().expect("a count")).sum()
}

/// The posts that a command lists, without what it says beside them.
fn posts(home: &Home, args: &[&str]) -> Vec<Value> {
    let mut records = home.json(&[&["wall", "list"], args].concat());
    records.retain(|record| record["type"] == "post");
    records
}

fn number(post: &Value) -> usize {
    let text = post["text"].as_str().unwrap_or("?");
    text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn a_subscription_neither_holds_nor_fetches_more_than_its_limit_and_a_page() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "hub"));
    let account = laptop.account();
    let (total, limit) = sizes();
    let node = laptop.node();
    let api = Api::of(&laptop.path);
    let text = "x".repeat(TEXT_BYTES);
    let count = total / TEXT_BYTES;
    for n in 0..count {
        api.call("/v1/post/create", &json!({ "text": format!("{n} {text}") }));
    }
    hub.ok(&["sub", "add", &account, "--max-bytes", &limit.to_string()]);
    let ticket = node.ticket();
    let result = hub.sync(&ticket);
    assert_eq!(result["state"], "in-sync", "{result}");
    let (first, kept) = (moved(&result), held(&hub, &account));
    println!("{total} bytes of posts, limit {limit}: held {kept}, sent {first}");
    assert!(kept <= limit && kept + PAGE_BYTES > limit, "{kept} of {limit}");
    assert!(first <= limit + limit / 10, "{first} sent for {kept}");
    // What was left out by choice is not missing.
    let sub = &hub.json(&["sub", "show", &account])[0];
    assert_eq!((&sub["state"], &sub["missing_changes"]), (&json!("limited"), &json!(0)), "{sub}");
    for _ in 0..3 {
        let result = hub.sync(&ticket);
        assert_eq!(result["state"], "in-sync", "{result}");
        assert!(moved(&result) <= 10_000, "{result}");
    }
    assert_eq!(held(&hub, &account), kept);
    // New posts come, and an older page is fetched when somebody reads on.
    api.call("/v1/post/create", &json!({ "text": format!("{count} {text}") }));
    hub.sync(&ticket);
    let wall = posts(&hub, &[&account]);
    assert_eq!(number(&wall[0]), count);
    let oldest = wall.last().expect("a post");
    let last = field(oldest, "id");
    let older = posts(&hub, &[&account, "--limit", "20", "--before", &last]);
    assert_eq!(older.len(), 20, "{older:?}");
    assert_eq!(number(&older[0]) + 1, number(oldest));
    let kept = held(&hub, &account);
    println!("one new post and one older page: held {kept}");
    assert!(kept <= limit + PAGE_BYTES, "{kept}");
    // So is one that is named, and a list without a limit says that it is not all.
    let own = posts(&laptop, &[]);
    let first = field(own.last().expect("a post"), "id");
    let shown = &hub.json(&["wall", "show", &first])[0];
    assert!(shown["text"].as_str().is_some_and(|text| text.starts_with("0 ")), "{shown}");
    assert!(hub.run(&["wall", "list", &account]).err.contains("not kept here"));
    drop(api);
    stay_under_the_limit_when_readers_go_away(&hub, &account, &ticket, &own);
    // Nothing of one's own is given up.
    assert_eq!(own.len(), count + 1);
    assert!(own.iter().all(|post| post["text"].is_string()));
    assert_eq!(hub.run(&["store", "verify"]).code, 0);
    // Who reads from a hub that keeps a part is told that it is not all; a limit that is lifted
    // brings the rest.
    node.stop();
    let served = hub.node();
    let bob = Home::init(root.path(), "bob");
    bob.ok(&["sub", "add", &account]);
    let result = bob.sync(&served.ticket());
    assert_eq!(result["state"], "differs", "{result}");
    served.stop();
    // A post that is not kept is not one that nobody knows.
    let done = hub.run(&["wall", "show", &first]);
    assert!(done.code == 5 && done.err.contains("not kept here"), "{done:?}");
    assert_eq!(laptop.run(&["wall", "show", &"0".repeat(64)]).code, 13);
    let node = laptop.node();
    hub.ok(&["sub", "add", &account, "--max-bytes", "none"]);
    let result = hub.sync(&node.ticket());
    assert_eq!(result["state"], "in-sync", "{result}");
    assert_eq!(posts(&hub, &[&account]).len(), count + 1);
    hub.ok(&["sub", "remove", &account]);
    assert!(posts(&hub, &[&account]).is_empty());
    node.stop();
}

/// Reads old posts under a limit below any page; readers are killed when something has come, and
/// so is the node in the end.
fn stay_under_the_limit_when_readers_go_away(
    hub: &Home,
    account: &str,
    ticket: &str,
    wall: &[Value],
) {
    let limit = 1_000_000;
    hub.ok(&["sub", "add", account, "--max-bytes", &limit.to_string()]);
    let node = hub.node();
    hub.sync(ticket);
    let newest = held(hub, account);
    assert!(newest > limit && newest < PAGE_BYTES, "{newest}");
    let text = "x".repeat(TEXT_BYTES);
    for n in [10, 1500, 20] {
        let id = field(&wall[wall.len() - 1 - n], "id");
        let mut reader = hub.command(&["wall", "show", &id]);
        let mut reader =
            reader.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a reader");
        let before = held(hub, account);
        until("something comes", || {
            let now = held(hub, account);
            assert!(now <= limit + PAGE_BYTES, "{now}");
            now != before || reader.try_wait().expect("a state").is_some()
        });
        reader.kill().expect("killed");
        reader.wait().expect("an end");
        let id = field(&wall[wall.len() - 2 - n], "id");
        let shown = &hub.json(&["wall", "show", &id])[0];
        assert_eq!(shown["text"], format!("{} {text}", n + 1), "{id}");
        let now = held(hub, account);
        println!("reader killed, next post shown: held {now}");
        assert!(now <= limit + PAGE_BYTES, "{now}");
    }
    // Two who read different pages do not take them from each other.
    let readers = [30, 1520].map(|n| {
        let id = field(&wall[wall.len() - 1 - n], "id");
        let mut reader = hub.command(&["wall", "show", &id]);
        reader.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a reader")
    });
    let codes = readers.map(|mut reader| reader.wait().expect("an end").code());
    assert_eq!(codes, [Some(0); 2]);
    assert!(held(hub, account) <= limit + PAGE_BYTES);
    node.kill();
    let node = hub.node();
    hub.sync(ticket);
    assert_eq!(held(hub, account), newest);
    assert!(posts(hub, &[account]).iter().all(|post| post["text"].is_string()));
    node.stop();
}

#[test]
fn an_older_page_from_a_hub_that_lies_is_not_shown() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, bob) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "bob"));
    let ada = laptop.account();
    let secret = DeviceSecret::generate(&SeededEntropy::new(91));
    let options = ReplicaOptions { secret: None, fresh_incarnation: false };
    let entropy = Arc::new(SeededEntropy::new(92));
    let inner = Replica::open(Arc::new(MemoryStore::new()), entropy, options).unwrap();
    let copy = DeviceSecret::generate(&SeededEntropy::new(91));
    inner.create_account(copy, "hub", [0; 32], 1).unwrap();
    inner.subscribe(Subscription::whole(AccountId::parse_hex(&ada).unwrap())).unwrap();
    let hub = Arc::new(Hub::new(Arc::new(inner)));
    let mut net = NetHub::new(&secret, hub.clone());
    let node = laptop.node();
    let api = Api::of(&laptop.path);
    for n in 0..1030 {
        api.call("/v1/post/create", &json!({ "text": format!("{n} of many") }));
    }
    drop(api);
    net.meet(&NodeTicket::parse(&node.ticket()).unwrap()).expect("a round");
    node.stop();
    bob.ok(&["sub", "add", &ada, "--max-bytes", "1"]);
    bob.sync(&net.ticket().to_string());
    let wall = posts(&bob, &[&ada]);
    assert_eq!(wall.len(), 6, "{wall:?}");
    let oldest = field(wall.last().expect("a post"), "id");
    let read = || posts(&bob, &[&ada, "--limit", "5", "--before", &oldest]);
    for lie in [Show::AlteredChanges, Show::AlteredBodies] {
        hub.set_show(lie);
        let seen = read();
        assert!(seen.iter().all(|post| !post["text"].is_string()), "{seen:?}");
    }
    assert_eq!(bob.run(&["store", "verify"]).code, 0);
}
