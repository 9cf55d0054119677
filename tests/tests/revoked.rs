//! A phone is revoked: what it writes afterwards is void, whatever it claims.

use std::collections::BTreeSet;

use mosaic_tests::home::{Home, Node, field, link, until};

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

/// Who has something is told by device, and of a revoked one that it is.
#[test]
fn of_holders_that_were_revoked_that_is_said() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    ada.ok(&["follow", &laptop.account()]);
    for device in [&laptop, &phone] {
        device.ok(&["follow", &ada.account()]);
    }
    let node = ada.node();
    until("the devices are known", || {
        meet(&laptop, &node);
        meet(&phone, &node);
        ada.ok(&["identity", "list", "--json"]).contains(&laptop.account())
    });
    ada.ok(&["audience", "create", "crew"]);
    ada.ok(&["audience", "add", "crew", &laptop.account()]);
    ada.ok(&["post", "for the crew", "--audience", "list:crew"]);
    ada.ok(&["dm", "send", &laptop.account(), "for you"]);
    let holders = || -> BTreeSet<String> {
        let said = ada.json(&["privacy", "explain", "list:crew"]);
        let texts = said.iter().map(|claim| field(claim, "text"));
        texts.filter(|text| text.ends_with("as it showed")).collect()
    };
    let nodes = [&laptop, &phone].map(|device| {
        let of_device = device.node();
        device.ok(&["node", "connect", &node.ticket()]);
        of_device
    });
    until("both showed it", || holders().len() == 2);
    let read = |more: &[&str]| phone.run(&[&["dm", "read", &ada.account()], more].concat());
    until("the phone has it", || read(&["--keep-unread"]).out.contains("for you"));
    assert!(holders().iter().all(|text| text.ends_with(" of others, as it showed")));
    laptop.ok(&["device", "revoke", "phone", "--confirm", "phone"]);
    until("it is known", || {
        let said = holders();
        let revoked = said.iter().filter(|text| text.contains("of others, revoked since, "));
        said.len() == 2 && revoked.count() == 1
    });
    // What it has it shows, though it may write nothing, not even that it was read.
    until("the phone knows", || phone.run(&["post", "again"]).code == 4);
    let shown = read(&[]);
    assert!(shown.code == 0 && shown.out.contains("for you"), "{shown:?}");
    node.stop();
    nodes.into_iter().for_each(Node::stop);
}
