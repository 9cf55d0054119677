//! Archives of accounts that are in hubs and conversations: with keys and without, they go in again.

use std::path::Path;

use mosaic_tests::archives::{export, heads, path, secret, verified};
use mosaic_tests::home::{Home, Node, field, until};
use serde_json::Value;

fn meet(home: &Home, node: &Node) {
    let result = home.sync(&node.ticket());
    assert_eq!(result["state"], "in-sync", "{result}");
}

fn create(home: &Home, name: &str, private: bool) -> String {
    let args = ["hub", "create", name, "--channel", "quay"];
    let private = private.then_some("--private");
    field(&home.json(&args.into_iter().chain(private).collect::<Vec<_>>())[0], "id")
}

/// Heads of what the account wrote, but in conversations: those that others began come by sync.
fn heads_but_talk(home: &Home) -> Vec<Value> {
    heads(home).into_iter().filter(|head| head["kind"] != "conversation").collect()
}

/// The channel of a hub, by its id: its name may be sealed.
fn quay(home: &Home, hub: &str) -> String {
    format!("{hub}/{}", field(&home.json(&["hub", "channel", "list", hub])[0], "id"))
}

/// What somebody wrote in a channel, as `home` reads it.
fn said(home: &Home, channel: &str, by: &str) -> Vec<String> {
    let read = home.json(&["hub", "read", channel, "--all"]);
    let text = |one: &Value| one["text"].as_str().unwrap_or_default().to_owned();
    read.iter().filter(|one| one["author"] == *by).map(text).collect()
}

/// Ada, who has hubs and is in those of bob, and left one; and bob's node, which has all of them.
struct Village {
    ada: Home,
    bob: Home,
    node: Node,
    own: [String; 2],
    others: [String; 2],
}

fn village(root: &Path) -> Village {
    let (ada, bob) = (Home::init(root, "ada"), Home::init(root, "bob"));
    let own = [create(&ada, "Sails", false), create(&ada, "Oars", true)];
    let others = [create(&bob, "Nets", false), create(&bob, "Ropes", true)];
    let left = create(&bob, "Old", true);
    for hub in &own {
        ada.ok(&["hub", "send", &format!("{hub}/quay"), "by ada"]);
    }
    let node = bob.node();
    for hub in others.iter().chain([&left]) {
        ada.ok(&["hub", "join", &bob.ok(&["hub", "invite", hub])]);
        ada.ok(&["hub", "send", &format!("{hub}/quay"), "by ada"]);
    }
    ada.ok(&["hub", "leave", &left]);
    bob.ok(&["hub", "serve", &own[0]]);
    let (adas, bobs) = (ada.account(), bob.account());
    bob.ok(&["follow", &adas]);
    ada.ok(&["follow", &bobs]);
    ada.ok(&["dm", "send", &bobs, "to bob alone"]);
    bob.ok(&["dm", "group", "create", "Crew", "--with", &adas]);
    // The first round tells who is who, the second of groups.
    meet(&ada, &node);
    meet(&ada, &node);
    ada.ok(&["dm", "send", "Crew", "to the crew"]);
    ada.ok(&["dm", "group", "create", "Guests", "--with", &bobs]);
    ada.ok(&["dm", "send", "Guests", "to the guests"]);
    meet(&ada, &node);
    Village { ada, bob, node, own, others }
}

/// What the archive has of hubs is here at once, and the rest after meeting who has it: no node runs here.
fn lives_on(village: &Village, copy: &Home) {
    let Village { ada, bob, node, own, others } = village;
    let account = copy.account();
    let listed = copy.json(&["hub", "list"]);
    for hub in own.iter().chain(others) {
        assert!(listed.iter().any(|one| one["id"] == **hub), "{listed:?}");
    }
    assert_eq!(said(copy, &quay(ada, &own[0]), &account), ["by ada"]);
    let waits = copy.run(&["hub", "channel", "list", &others[0]]);
    assert_eq!(waits.code, 13, "{}", waits.err);
    assert!(waits.err.contains("nothing of hub") && waits.err.contains("hint: mosaic sync"));
    assert!(copy.ok(&["hub", "list"]).contains("(not here yet)"));
    let quays = [quay(bob, &others[0]), quay(bob, &others[1])];
    // Keys of what is sealed come once a device of bob has met this one.
    until("what was said is here", || {
        meet(copy, node);
        let private = said(copy, &quays[1], &account);
        private == ["by ada"] && said(copy, &quays[0], &account) == ["by ada"]
    });
    for channel in quays.iter().chain([&quay(ada, &own[1])]) {
        copy.ok(&["hub", "send", channel, "again"]);
    }
    copy.ok(&["dm", "send", &bob.account(), "again"]);
    meet(copy, node);
    for channel in &quays {
        assert_eq!(said(bob, channel, &account), ["again", "by ada"], "{channel}");
    }
    verified(copy);
}

#[test]
fn an_archive_with_keys_of_somebody_in_hubs_goes_in() {
    let root = tempfile::tempdir().unwrap();
    let village = village(root.path());
    let (secret, file) = (secret(root.path()), root.path().join("ada.mosaic"));
    export(&village.ada, &secret, &file);
    let copy = Home::new(root.path(), "copy");
    copy.ok(&["import", "mosaic", "--archive-passphrase-file", &secret, path(&file)]);
    verified(&copy);
    assert_eq!(heads_but_talk(&copy), heads_but_talk(&village.ada));
    // What nobody else has the keys of opens at once.
    let (own, account) = (&village.own[1], copy.account());
    assert_eq!(copy.json(&["hub", "show", own])[0]["name"], "Oars");
    assert_eq!(said(&copy, &format!("{own}/quay"), &account), ["by ada"]);
    assert!(
        copy.ok(&["dm", "read", &village.bob.account(), "--keep-unread"]).contains("to bob alone")
    );
    lives_on(&village, &copy);
    village.node.stop();
}

#[test]
fn an_archive_without_keys_of_somebody_in_hubs_goes_in() {
    let root = tempfile::tempdir().unwrap();
    let village = village(root.path());
    let words = root.path().join("words");
    village.ada.ok(&["identity", "recovery", "--output", path(&words)]);
    let before = heads(&village.ada);
    let file = root.path().join("ada.mosaic");
    village.ada.ok(&["export", "mosaic", "--without-keys", "--output", path(&file)]);
    let copy = Home::new(root.path(), "copy");
    copy.ok(&["import", "mosaic", path(&file), "--recover", path(&words), "--dry-run"]);
    copy.ok(&["import", "mosaic", path(&file), "--recover", path(&words)]);
    verified(&copy);
    assert_eq!(heads(&village.ada), before);
    lives_on(&village, &copy);
    village.node.stop();
}
