//! A phone is revoked: what it writes afterwards is void, whatever it claims.

use mosaic_tests::home::{Home, Node, link};

fn meet(home: &Home, node: &Node) {
    let _ = home.sync(&node.ticket());
}

fn texts(home: &Home, account: &str) -> Vec<String> {
    let wall = home.json(&["wall", "list", account]);
    wall.iter().map(|post| post["text"].as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn what_a_revoked_phone_writes_is_void_everywhere() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    let (early, late) = (Home::init(root.path(), "early"), Home::init(root.path(), "late"));
    let account = laptop.account();
    for hub in [&early, &late] {
        hub.ok(&["sub", "add", &account]);
    }
    let (first, second) = (early.node(), late.node());
    phone.ok(&["post", "before"]);
    meet(&phone, &first);
    meet(&laptop, &first);
    assert_eq!(texts(&laptop, &account), ["before"]);
    laptop.ok(&["device", "revoke", "phone", "--confirm", "phone", "--reason", "lost"]);
    // The phone does not know yet, and writes on.
    phone.ok(&["post", "after"]);
    phone.ok(&["profile", "set", "--bio", "thief"]);
    // One hub hears of the revocation first, the other of the thief.
    meet(&laptop, &first);
    meet(&phone, &first);
    assert_eq!(texts(&early, &account), ["before"]);
    // The phone has heard of its end by now: it can write nothing more.
    let refused = phone.run(&["post", "again"]);
    assert_eq!(refused.code, 4, "{}", refused.err);
    let status = phone.json(&["status"]);
    assert!(status[0]["warnings"][0].as_str().unwrap().contains("revoked"), "{status:?}");
    meet(&phone, &second);
    meet(&laptop, &second);
    meet(&laptop, &first);
    for home in [&laptop, &early, &late, &phone] {
        assert_eq!(texts(home, &account), ["before"], "{}", home.path.display());
        let profile = home.ok(&["profile", "show", &account, "--json"]);
        assert!(!profile.contains("thief"), "{profile}");
    }
    first.stop();
    second.stop();
    for home in [&laptop, &early, &late] {
        assert_eq!(home.run(&["store", "verify"]).code, 0, "{}", home.path.display());
    }
}

#[test]
fn a_thief_who_is_heard_first_loses_when_the_revocation_comes() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    let hub = Home::init(root.path(), "hub");
    let account = laptop.account();
    hub.ok(&["sub", "add", &account]);
    let node = hub.node();
    laptop.ok(&["device", "revoke", "phone", "--confirm", "phone"]);
    phone.ok(&["post", "stolen"]);
    meet(&phone, &node);
    assert_eq!(texts(&hub, &account), ["stolen"]);
    meet(&laptop, &node);
    assert_eq!(texts(&hub, &account), Vec::<String>::new());
    assert_eq!(texts(&laptop, &account), Vec::<String>::new());
}
