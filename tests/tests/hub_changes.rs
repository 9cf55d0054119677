//! Changes of hubs, and what is said of those that are refused.

use mosaic_tests::home::{Home, field, until};

fn create(home: &Home, name: &str, private: bool) -> String {
    let args = ["hub", "create", name, "--channel", "quay"];
    let private = private.then_some("--private");
    field(&home.json(&args.into_iter().chain(private).collect::<Vec<_>>())[0], "id")
}

#[test]
fn what_is_changed_together_is_changed_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let long = "t".repeat(1025);
    for private in [false, true] {
        let hub = create(&ada, "Nets", private);
        let quay = format!("{hub}/quay");
        let before = ada.json(&["hub", "mod", "log", &hub]).len();
        let refused = ada.run(&[
            "hub", "channel", "change", &quay, "--name", "pier", "--topic", &long, "--slow", "5s",
        ]);
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(refused.err.contains("topic has 1025 bytes, limit 1024"), "{}", refused.err);
        assert!(refused.err.contains("hint: mosaic hub channel change --help"), "{}", refused.err);
        let channels = ada.json(&["hub", "channel", "list", &hub]);
        assert_eq!(channels[0]["name"], "quay", "private: {private}");
        assert_eq!(ada.json(&["hub", "mod", "log", &hub]).len(), before);
        // and what is whole is one change after the other
        ada.ok(&["hub", "channel", "change", &quay, "--name", "pier", "--topic", "boats"]);
        let channels = ada.json(&["hub", "channel", "list", &hub]);
        assert_eq!(
            (&channels[0]["name"], &channels[0]["topic"]),
            (&"pier".into(), &"boats".into())
        );
        assert_eq!(ada.json(&["hub", "mod", "log", &hub]).len(), before + 2);
    }
}

#[test]
fn the_log_tells_what_was_changed_and_why() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let hub = create(&ada, "Nets", true);
    let quay = format!("{hub}/quay");
    let change = ["hub", "channel", "change", &quay, "--topic", "boats", "--archived", "true"];
    ada.ok(&change);
    ada.ok(&["hub", "channel", "change", &quay, "--topic", ""]);
    ada.ok(&["hub", "channel", "readers", &quay, "--role", "everyone", "--history", "all"]);
    let who = bob.account();
    // Nobody is taken out of where he is not.
    let kicked = ada.run(&["hub", "member", "kick", &hub, &who]);
    assert_eq!(kicked.code, 13, "{}", kicked.err);
    assert!(kicked.err.contains("is no member of this hub"), "{}", kicked.err);
    ada.ok(&["hub", "member", "ban", &hub, &who]);
    ada.ok(&["hub", "member", "unban", &hub, &who, "--reason", "a mistake"]);
    let log = ada.json(&["hub", "mod", "log", &hub]);
    let mut details: Vec<&str> = log
        .iter()
        .filter(|done| done["action"] == "change-channel")
        .filter_map(|done| done["detail"].as_str())
        .collect();
    details.sort_unstable();
    let readers = "read by everyone, history all";
    assert_eq!(details, ["archived", readers, "topic: boats", "topic: none"]);
    let lifted = log.iter().find(|done| done["action"] == "lift").unwrap();
    assert_eq!(lifted["reason"], "a mistake");
}

#[test]
fn nothing_is_called_as_what_does_not_open() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let hub = create(&ada, "Nets", true);
    let (quay, sealed) = (format!("{hub}/quay"), format!("{hub}/(sealed)"));
    for args in [
        &["hub", "create", "(sealed)"][..],
        &["hub", "channel", "create", &sealed],
        &["hub", "channel", "change", &quay, "--name", "(sealed)"],
        &["hub", "role", "create", &hub, "(sealed)"],
    ] {
        let refused = ada.run(args);
        assert_eq!(refused.code, 2, "{args:?}: {}", refused.err);
        assert!(refused.err.contains("a name that does not open"), "{}", refused.err);
    }
}

#[test]
fn who_may_not_is_told_why() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let hub = create(&ada, "Nets", false);
    let node = ada.node();
    ada.ok(&[
        "hub",
        "role",
        "create",
        &hub,
        "crew",
        "--rank",
        "10",
        "--allow",
        "send,manage-channels",
    ]);
    ada.ok(&["hub", "channel", "create", &format!("{hub}/secret"), "--private", "--role", "crew"]);
    bob.ok(&["hub", "join", &ada.ok(&["hub", "invite", &hub])]);
    let channels = bob.json(&["hub", "channel", "list", &hub]);
    let secret = channels.iter().find(|channel| channel["sealed"] == true).unwrap();
    let id = field(secret, "id");
    let said = |args: &[&str]| {
        let refused = bob.run(args);
        assert_eq!(refused.code, 4, "{args:?}: {}", refused.err);
        refused.err
    };
    let send = said(&["hub", "send", &format!("{hub}/{id}"), "hello"]);
    assert!(send.contains(&format!("in channel '{}'", &id[..8])), "{send}");
    ada.ok(&["hub", "member", "grant", &hub, &bob.account(), "crew"]);
    bob.sync(&node.ticket());
    let den = format!("{hub}/den");
    let create = said(&["hub", "channel", "create", &den, "--private", "--role", "crew"]);
    assert!(create.contains("create-channel needs a rank above 10; yours is 10"), "{create}");
    // Whose invitation is over, and who is banned.
    ada.ok(&["hub", "member", "ban", &hub, &bob.account()]);
    let banned = said(&["hub", "join", &ada.ok(&["hub", "invite", &hub])]);
    assert!(banned.contains("you are banned from this hub"), "{banned}");
    let cellar = self::create(&ada, "Cellar", true);
    let ticket = ada.ok(&["hub", "invite", &cellar]);
    let invite = field(&ada.json(&["hub", "invite", &cellar, "--list"])[0], "id");
    ada.ok(&["hub", "invite", &cellar, "--close", &invite]);
    let closed = bob.run(&["hub", "join", &ticket]);
    assert!(closed.err.contains("the invitation is over"), "{}", closed.err);
    node.stop();
}

#[test]
fn to_a_message_of_another_one_can_answer() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let node = bob.node();
    ada.ok(&["follow", &bob.account()]);
    bob.ok(&["follow", &ada.account()]);
    ada.sync(&node.ticket());
    ada.ok(&["dm", "send", &bob.account(), "hello"]);
    let mut read = Vec::new();
    until("the message is there", || {
        ada.sync(&node.ticket());
        let listed = bob.json(&["dm", "list"]);
        read = if listed.is_empty() { listed } else { bob.json(&["dm", "read", &ada.account()]) };
        !read.is_empty()
    });
    let id = field(&read[0], "id");
    let refused = bob.run(&["dm", "delete", &id]);
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(refused.err.contains("hint: mosaic dm send "), "{}", refused.err);
    assert!(refused.err.contains(&format!("TEXT --reply-to {}", &id[..8])), "{}", refused.err);
    node.stop();
}

/// One member who comes and goes is as many joins as members who stay.
#[test]
fn the_node_of_who_invited_vouches_for_those_who_joined() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    let hub = create(&ada, "Nets", false);
    let node = ada.node();
    let ticket = ada.ok(&["hub", "invite", &hub]);
    for n in 0..32 {
        if n > 0 {
            bob.ok(&["hub", "leave", &hub]);
        }
        bob.ok(&["hub", "join", &ticket]);
    }
    bob.sync(&node.ticket());
    ada.sync(&bob.node().ticket());
    let log = ada.json(&["hub", "mod", "log", &hub]);
    let vouched: Vec<_> = log.iter().filter(|done| done["action"] == "vouch").collect();
    assert_eq!(vouched.len(), 1, "{log:?}");
    let said = (&vouched[0]["detail"], &vouched[0]["counts"], &vouched[0]["by"]);
    assert_eq!(said, (&"for 32 joins".into(), &true.into(), &ada.account().into()));
    assert!(ada.ok(&["hub", "mod", "log", &hub]).contains("for 32 joins"));
    let explained = ada.run(&["privacy", "explain", &field(vouched[0], "id")]);
    assert_eq!(explained.code, 0, "{}", explained.err);
}
