//! A laptop, a phone and a hub: written offline, met, agreed.

use std::process::Command;

use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, Node, field, link, until};
use serde_json::{Value, json};

const POSTS: usize = 500;
const EDITS: usize = 50;

fn write(home: &Home, who: &str, common: &str) {
    let node = home.node();
    let api = Api::of(&home.path);
    let mut ids = Vec::new();
    for n in 0..POSTS {
        let post = api.call("/v1/post/create", &json!({ "text": format!("{who} {n}") }));
        ids.push(field(&post, "id"));
    }
    for (n, id) in ids.iter().take(EDITS).enumerate() {
        let text = format!("{who} {n}, edited");
        api.call("/v1/wall/edit", &json!({ "id": id, "text": text }));
    }
    api.call("/v1/wall/edit", &json!({ "id": common, "text": format!("by the {who}") }));
    home.ok(&["profile", "set", "--bio", who]);
    drop(api);
    node.stop();
}

#[test]
fn a_node_told_to_end_as_it_begins_ends_well() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    let socket = mosaic_node::socket_path(&home.path);
    for _ in 0..5 {
        let mut node = home.command(&["node", "run"]).spawn().unwrap();
        until("the socket is there", || socket.exists());
        let told = Command::new("kill").arg(node.id().to_string()).status().unwrap();
        assert!(told.success());
        assert!(node.wait().unwrap().success());
        assert!(!socket.exists());
    }
}

/// Starts the hub's node with a subscription to the account.
fn serve(hub: &Home, account: &str) -> Node {
    hub.ok(&["sub", "add", account]);
    hub.node()
}

fn meet(home: &Home, hub: &Node) -> Value {
    let result = home.sync(&hub.ticket());
    assert_eq!(result["state"], "in-sync", "{result}");
    result
}

/// What a home says of one section of its own space.
fn status(home: &Home, section: &str) -> Value {
    let mut told = home.json(&["sync", "status"]);
    told.retain(|state| state["section"] == section);
    told.swap_remove(0)
}

#[test]
fn two_devices_and_a_hub_agree_to_the_byte() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let common = laptop.ok(&["post", "before"]);
    let phone = link(&laptop, root.path(), "phone");
    let account = laptop.account();
    let hub = Home::init(root.path(), "hub");
    write(&laptop, "laptop", &common);
    write(&phone, "phone", &common);
    let node = serve(&hub, &account);
    meet(&laptop, &node);
    // Nobody has heard of what the phone wrote, and it says so.
    let unsent = status(&phone, "public");
    assert_eq!(unsent["state"], "differs", "{unsent}");
    assert_eq!(unsent["unsent_changes"], POSTS + EDITS + 2, "{unsent}");
    meet(&phone, &node);
    // Now the hub has more than the laptop knows of; afterwards both have all.
    meet(&laptop, &node);
    let device = field(&hub.json(&["identity", "show"])[0], "device");
    let told = laptop.json(&["sync", "status"]);
    let of_hub: Vec<_> = told.iter().filter(|state| state["peer"] == device.as_str()).collect();
    assert!(!of_hub.is_empty(), "{told:?}");
    for state in of_hub {
        assert_eq!(state["state"], "in-sync", "{state}");
        assert_eq!(state["durable"], true, "{state}");
    }
    for (what, args) in [
        ("wall", vec!["wall", "list", &account, "--json"]),
        ("profile", vec!["profile", "show", &account, "--json"]),
        ("heads", vec!["doc", "heads", "--who", &account, "--json"]),
        ("conflicts", vec!["wall", "show", &common, "--conflicts", "--json"]),
    ] {
        let here = laptop.ok(&args);
        assert!(here.len() > 10, "{what}: {here}");
        assert_eq!(here, phone.ok(&args), "{what} on the phone");
        assert_eq!(here, hub.ok(&args), "{what} on the hub");
    }
    let wall = laptop.json(&["wall", "list", &account]);
    assert_eq!(wall.len(), 2 * POSTS + 1);
    let shown = laptop.ok(&["wall", "show", &common, "--conflicts", "--json"]);
    assert!(shown.contains("by the laptop") && shown.contains("by the phone"), "{shown}");
    let profile = laptop.ok(&["profile", "show", "--json"]);
    assert!(profile.contains("laptop") || profile.contains("phone"), "{profile}");
    for home in [&laptop, &phone] {
        assert_eq!(home.run(&["store", "verify"]).code, 0);
    }
    node.stop();
    assert_eq!(hub.run(&["store", "verify"]).code, 0);
    until("the hub is stopped", || hub.run(&["node", "status"]).code == 17);
}
