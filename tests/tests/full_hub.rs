//! A hub that cannot write any more: nobody is told that it has what it has not.

use std::process::{Command, Stdio};

use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, Node};
use serde_json::{Value, json};

const POSTS: usize = 300;

/// Starts the node of a home that may write no file longer than some hundred kilobytes; a longer
/// one fails as on a full disk. It takes no rights to arrange.
fn node_with_little_room(home: &Home) -> Node {
    let plain = home.command(&["node", "run"]);
    let mut command = Command::new("/bin/sh");
    command.env_clear().stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        command.env(name, value.expect("a value"));
    }
    let script = "trap '' XFSZ; ulimit -f 1500; exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(plain.get_program()).args(plain.get_args());
    home.node_as(command)
}

/// What the laptop says of its public section at the hub.
fn public(laptop: &Home) -> Value {
    let states = laptop.json(&["sync", "status"]);
    let public = states.into_iter().find(|state| state["section"] == "public");
    public.expect("the public section")
}

#[test]
fn a_hub_whose_store_failed_is_not_said_to_have_what_it_lacks() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "hub"));
    let account = laptop.account();
    hub.ok(&["sub", "add", &account]);
    let mut node = node_with_little_room(&hub);
    let ticket = node.ticket();
    let writing = laptop.node();
    let api = Api::of(&laptop.path);
    let text = "x".repeat(9000);
    for n in 0..POSTS {
        api.call("/v1/post/create", &json!({ "text": format!("{n} {text}") }));
    }
    drop(api);
    writing.stop();
    // The hub says that its store failed, and how much it lacks; the laptop says so too.
    let done = laptop.run(&["sync", "--peer", &ticket, "--timeout", "60s"]);
    assert_eq!(done.code, 3, "{}{}", done.out, done.err);
    assert!(done.out.contains("store"), "{}", done.out);
    let state = public(&laptop);
    assert_eq!((&state["state"], &state["durable"]), (&json!("differs"), &json!(false)), "{state}");
    let lacks = state["peer_missing_bodies"].as_u64().expect("a number");
    let unsent = state["unsent_changes"].as_u64().expect("a number");
    assert!(lacks + unsent > 0, "{state}");
    assert!(state["reasons"].to_string().contains("its store failed"), "{state}");
    assert_eq!(laptop.run(&["status", "--check"]).code, 3);
    // It goes on serving, counts what it put off, and does not say that its author lacks it.
    assert!(node.runs());
    let status = hub.json(&["node", "status"]).swap_remove(0);
    assert!(status["deferred"]["store"].as_u64() > Some(0), "{status}");
    assert_eq!(status["refused"], json!({}), "{status}");
    for state in hub.json(&["sync", "status"]) {
        assert_eq!(state["unsent_changes"], 0, "{state}");
    }
    node.kill();
    assert_eq!(hub.run(&["store", "verify"]).code, 0);
    // With room again all of it comes, and only then it is said to be there.
    let node = hub.node();
    let result = laptop.sync(&node.ticket());
    assert_eq!(result["state"], "in-sync", "{result}");
    let state = public(&laptop);
    assert_eq!((&state["state"], &state["durable"]), (&json!("in-sync"), &json!(true)), "{state}");
    assert_eq!(state["peer_missing_bodies"], 0, "{state}");
    assert_eq!(laptop.run(&["status", "--check"]).code, 0);
    let wall = laptop.ok(&["wall", "list", &account, "--json"]);
    assert_eq!(hub.ok(&["wall", "list", &account, "--json"]), wall);
    node.stop();
}
