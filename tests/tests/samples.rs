//! Every command in use, under `--json`: each record fits its schema, and no command is left out.

use std::collections::{BTreeMap, BTreeSet};

use mosaic_node::api::types::openapi;
use mosaic_tests::home::{Home, field};
use mosaic_tests::schema::is_record;
use serde_json::Value;

/// Commands that print no records: files, words, scripts, a log, what only changes a file, and a
/// node that runs until stopped.
const NO_RECORDS: [&str; 9] = [
    "completion",
    "config edit",
    "config set",
    "config unset",
    "dm block",
    "identity recovery",
    "man",
    "node logs",
    "node run",
];

/// Records that no operation answers: the command line prints them by itself.
const LOCAL: [(&str, &[&str]); 9] = [
    ("config_path", &["path"]),
    ("config_schema", &["schema"]),
    ("demo", &["scene", "text"]),
    ("import", &["source"]),
    ("keys", &["state"]),
    ("metrics", &["text"]),
    ("store_path", &["path"]),
    ("unit", &["text"]),
    ("unit_path", &["path"]),
];

/// Words of every leaf command, as the help names them.
fn leaves(home: &Home, path: &[String]) -> Vec<String> {
    let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = home.ok(&args);
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = names.take_while(|line| line.starts_with("  "));
    // What a description runs on to is indented more.
    let names = names.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|n| *n != "help");
    let mut found = Vec::new();
    for name in names {
        let path: Vec<String> = path.iter().cloned().chain([name.to_owned()]).collect();
        found.extend(leaves(home, &path));
    }
    if found.is_empty() { vec![path.join(" ")] } else { found }
}

struct Samples {
    document: Value,
    /// Records of each leaf command.
    seen: BTreeMap<String, usize>,
    leaves: BTreeSet<String>,
}

impl Samples {
    /// Runs a command that succeeds, and checks its records; returns the first one.
    fn take(&mut self, home: &Home, args: &[&str]) -> Value {
        let done = home.run(&[args, &["--json"]].concat());
        assert_eq!(done.code, 0, "{args:?}: {}", done.err);
        let leaf = self.leaf(args);
        let mut first = Value::Null;
        for line in done.out.lines() {
            let record: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{args:?}: {e}: {line}"));
            let local = LOCAL.iter().find(|(name, _)| record["type"] == *name);
            let fits = match local {
                Some((_, fields)) if fields.iter().all(|field| !record[field].is_null()) => Ok(()),
                _ => is_record(&self.document, &record),
            };
            fits.unwrap_or_else(|why| panic!("{args:?}: {why}"));
            *self.seen.entry(leaf.clone()).or_default() += 1;
            if first.is_null() {
                first = record;
            }
        }
        for line in done.err.lines() {
            let record: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{args:?}: {e}: {line}"));
            is_record(&self.document, &record).unwrap_or_else(|why| panic!("{args:?}: {why}"));
        }
        first
    }

    /// The longest leaf that the words begin with.
    fn leaf(&self, args: &[&str]) -> String {
        (1..=args.len())
            .rev()
            .map(|count| args[..count].join(" "))
            .find(|words| self.leaves.contains(words))
            // Some commands do something by themselves and have others below them.
            .unwrap_or_else(|| args[0].to_owned())
    }
}

#[test]
fn every_command_has_a_sample_that_fits_its_schema() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::new(root.path(), "ada"), Home::new(root.path(), "bob"));
    let leaves: BTreeSet<String> = leaves(&ada, &[]).into_iter().collect();
    let mut all = Samples { document: openapi(), seen: BTreeMap::new(), leaves };
    people(&mut all, &ada, &bob);
    let post = writing(&mut all, &ada, root.path());
    nodes(&mut all, &ada, &bob, &post);
    settings(&mut all, &ada, root.path());
    inside(&mut all, &ada);
    let silent: Vec<_> = all
        .leaves
        .iter()
        .filter(|leaf| !NO_RECORDS.contains(&leaf.as_str()) && !all.seen.contains_key(*leaf))
        .collect();
    assert!(silent.is_empty(), "no JSON sample of: {silent:?}");
}

fn people(all: &mut Samples, ada: &Home, bob: &Home) {
    all.take(ada, &["init", "--name", "Ada", "--device", "laptop"]);
    all.take(bob, &["init", "--name", "Bob"]);
    let bob = bob.account();
    all.take(ada, &["identity", "show"]);
    all.take(ada, &["identity", "list"]);
    all.take(ada, &["identity", "rotate", "--confirm", "Ada"]);
    all.take(ada, &["profile", "set", "--bio", "at sea"]);
    all.take(ada, &["profile", "edit", "at sea again"]);
    all.take(ada, &["profile", "show"]);
    for args in [
        &["follow", &bob, "--as", "bob"][..],
        &["follow", "list"],
        &["mute", &bob],
        &["mute", "list"],
        &["unmute", &bob],
        &["unfollow", &bob],
        &["block", &bob, "--note", "sells watches"],
        &["block", "list"],
        &["unblock", &bob],
        &["sub", "add", &bob],
        &["sub", "list"],
        &["sub", "show", &bob],
        &["sub", "remove", &bob],
        &["device", "list"],
        &["device", "rename", "laptop", "desk"],
    ] {
        all.take(ada, args);
    }
}

fn writing(all: &mut Samples, ada: &Home, root: &std::path::Path) -> String {
    let picture = root.join("a.png");
    // The smallest picture there is.
    std::fs::write(&picture, PNG).unwrap();
    let picture = picture.to_str().unwrap();
    all.take(ada, &["profile", "set", "--avatar", picture]);
    let out = |name: &str| root.join(name).to_str().unwrap().to_owned();
    all.take(ada, &["profile", "avatar", "--output", &out("avatar")]);
    let feed = out("feed.json");
    std::fs::write(&feed, FEED).unwrap();
    all.take(ada, &["import", "feed", &feed]);
    let outbox = out("outbox.json");
    std::fs::write(&outbox, r#"{"orderedItems":[]}"#).unwrap();
    all.take(ada, &["import", "mastodon", &outbox]);
    into_a_hub(all, ada, root);
    for kind in ["atom", "json", "html"] {
        all.take(ada, &["export", kind, "--output", &out(kind)]);
    }
    let post = field(&all.take(ada, &["post", "one", "--attach", picture]), "id");
    all.take(ada, &["wall", "post", "two"]);
    let comment = field(&all.take(ada, &["wall", "comment", &post, "hm"]), "id");
    drafts(all, ada);
    for args in [
        &["wall", "edit", &post, "better"][..],
        &["wall", "react", &post, "👍"],
        &["wall", "unreact", &post, "👍"],
        &["wall", "history", &post],
        &["wall", "show", &post],
        &["wall", "list"],
        &["wall", "policy", "everyone"],
        &["wall", "save", &post, "--output", &out("saved")],
        &["wall", "delete", &comment],
        &["feed"],
        &["search", "better"],
        &["catchup"],
    ] {
        all.take(ada, args);
    }
    post
}

fn drafts(all: &mut Samples, ada: &Home) {
    let draft = field(&all.take(ada, &["draft", "create", "later", "--at", "2h"]), "id");
    let other = field(&all.take(ada, &["post", "much later", "--at", "2h"]), "id");
    for args in [
        &["draft", "edit", &draft, "soon", "--unschedule"][..],
        &["draft", "show", &draft],
        &["draft", "list"],
        &["draft", "post", &draft],
        &["draft", "delete", &other],
    ] {
        all.take(ada, args);
    }
}

fn nodes(all: &mut Samples, ada: &Home, bob: &Home, post: &str) {
    all.take(ada, &["node", "start"]);
    for args in [
        &["node", "wait"][..],
        &["node", "status"],
        &["status"],
        &["api", "wall/list"],
        &["watch", "--since", "0", "-n", "1"],
        &["node", "metrics"],
        &["config", "set", "log.filter", "mosaic_node=debug"],
        &["node", "reload"],
        &["node", "restart"],
        &["device", "invite", "--no-wait"],
    ] {
        all.take(ada, args);
    }
    let ticket = field(&all.take(ada, &["node", "ticket"]), "ticket");
    bob.ok(&["follow", &ada.account()]);
    all.take(bob, &["sync", "run", "--peer", &ticket]);
    all.take(bob, &["sync", "status"]);
    let comment = bob.ok(&["wall", "comment", post, "from Bob"]);
    bob.ok(&["sync", "--peer", &ticket]);
    let who = bob.account();
    for args in [
        &["wall", "hide", &comment][..],
        &["wall", "unhide", &comment],
        &["wall", "admit", &who],
        &["wall", "refuse", &who],
    ] {
        all.take(ada, args);
    }
    bob.ok(&["node", "start"]);
    all.take(bob, &["node", "connect", &ticket, "--name", "ada"]);
    all.take(bob, &["node", "peers"]);
    all.take(bob, &["node", "forget", "ada"]);
    bob.ok(&["node", "stop"]);
    hubs(all, ada, bob);
    letters(all, ada);
    devices(all, ada, bob);
    all.take(ada, &["node", "stop"]);
}

fn into_a_hub(all: &mut Samples, ada: &Home, root: &std::path::Path) {
    ada.ok(&["hub", "create", "Archive", "--channel", "old"]);
    for (kind, text) in [
        ("mbox", "From a Tue Jan  5 10:00:00 2021\nSubject: boats\n\nboats\n"),
        ("discord", r#"{"messages":[{"id":"1","content":"boats"},{}]}"#),
    ] {
        let file = root.join(kind);
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        all.take(ada, &["import", kind, file, "--hub", "Archive/old"]);
    }
}

fn letters(all: &mut Samples, ada: &Home) {
    let folder = tempfile::tempdir().unwrap();
    let eve = Home::new(folder.path(), "eve");
    eve.ok(&["init", "--name", "Eve"]);
    let (me, who) = (ada.account(), eve.account());
    let (card, letters) = (folder.path().join("card"), folder.path().join("letters"));
    let (card, letters) = (card.to_str().unwrap(), letters.to_str().unwrap());
    all.take(ada, &["dm", "bundle", "export", card, "--all"]);
    eve.ok(&["follow", &me]);
    eve.ok(&["dm", "bundle", "import", card]);
    eve.ok(&["dm", "send", &me, "ahoy"]);
    eve.ok(&["dm", "bundle", "export", letters, "--all"]);
    all.take(ada, &["dm", "bundle", "import", letters]);
    for act in ["requests", "ignore", "accept"] {
        let args = ["dm", act, &who];
        all.take(ada, if act == "requests" { &args[..2] } else { &args });
    }
    let id = field(&all.take(ada, &["dm", "send", &who, "and who are you?"]), "id");
    for args in [
        &["dm", "list"][..],
        &["dm", "read", &who],
        &["dm", "edit", &id, "who are you?"],
        &["dm", "delete", &id],
        &["dm", "expire", &who, "1d"],
        &["dm", "group", "create", "Sea", "--with", &who],
        &["dm", "group", "change", "Sea", "--title", "Sky"],
    ] {
        all.take(ada, args);
    }
    for args in [
        &["audience", "create", "friends"][..],
        &["audience", "add", "friends", &who, "--past"],
        &["audience", "list"],
        &["audience", "members", "friends"],
        &["post", "for friends", "--audience", "list:friends"],
        &["privacy", "explain", "list:friends"],
        &["audience", "remove", "friends", &who],
    ] {
        all.take(ada, args);
    }
    ada.ok(&["dm", "block", &who]);
}

fn hubs(all: &mut Samples, ada: &Home, bob: &Home) {
    all.take(ada, &["hub", "create", "Makers", "--channel", "general"]);
    let who = bob.account();
    let ticket = field(&all.take(ada, &["hub", "invite", "Makers", "--uses", "5"]), "ticket");
    all.take(bob, &["hub", "join", &ticket, "--as", "makers"]);
    let general = "Makers/general";
    let message = field(&all.take(bob, &["hub", "send", general, "hello"]), "id");
    bob.ok(&["sync"]);
    all.take(bob, &["sync", "holders", "makers"]);
    let invite = ada.json(&["hub", "invite", "Makers", "--list"]);
    let invite = field(&invite[0], "id");
    all.take(ada, &["hub", "invite", "Makers", "--close", &invite]);
    let report = all.take(ada, &["hub", "report", "message", &message, "--reason", "rude"]);
    all.take(ada, &["hub", "mod", "dismiss", "Makers", &field(&report, "id")]);
    let poll = ["hub", "poll", "create", general, "When?", "--option", "Thu", "--option", "Fri"];
    let poll = field(&all.take(ada, &poll), "id");
    let own = field(&all.take(ada, &["hub", "send", general, "mine"]), "id");
    all.take(ada, &["hub", "role", "create", "Makers", "mods", "--allow", "hide,pin"]);
    let grant = field(&all.take(ada, &["hub", "member", "grant", "Makers", &who, "mods"]), "id");
    for args in [
        &["hub", "list"][..],
        &["hub", "show", "Makers"],
        &["hub", "serve", "Makers"],
        &["hub", "channel", "create", "Makers/plans", "--topic", "what next"],
        &["hub", "channel", "create", "Makers/board", "--private"],
        &["hub", "channel", "readers", "Makers/board", "--history", "all"],
        &["hub", "channel", "list", "Makers"],
        &["hub", "channel", "change", "Makers/plans", "--archived", "true"],
        &["hub", "list", "--unread"],
        &["hub", "read", general],
        &["hub", "message", "edit", &own, "mine, mended"],
        &["hub", "message", "react", &message, "👍"],
        &["hub", "message", "delete", &own],
        &["hub", "poll", "vote", &poll, "Thu"],
        &["hub", "poll", "close", &poll],
        &["hub", "role", "list", "Makers"],
        &["hub", "member", "list", "Makers"],
        &["hub", "member", "quota", "Makers", "--each", "64MB"],
        &["hub", "report", "member", "Makers", &who, "--reason", "noise"],
        &["hub", "report", "list", "Makers"],
        &["hub", "mod", "reports", "Makers"],
        &["hub", "mod", "hide", &message],
        &["hub", "mod", "restore", &message],
        &["hub", "mod", "pin", &message],
        &["hub", "mod", "unpin", &message],
        &["hub", "mod", "purge", &message],
        &["hub", "mod", "adopt", "Makers", &grant],
        &["hub", "member", "kick", "Makers", &who],
        &["hub", "member", "revoke", "Makers", &who, "mods"],
        &["hub", "member", "ban", "Makers", &who],
        &["hub", "member", "unban", "Makers", &who],
        &["hub", "mod", "undo", "Makers", &who],
        &["hub", "mod", "log", "Makers", "-n", "3"],
    ] {
        all.take(ada, args);
    }
    rules_of_hubs(all, ada, &who);
    all.take(bob, &["hub", "leave", "makers", "--forget"]);
}

fn rules_of_hubs(all: &mut Samples, ada: &Home, who: &str) {
    let log = ada.json(&["hub", "mod", "log", "Makers"]);
    let kick = log.iter().find(|one| one["action"] == "kick").unwrap();
    ada.ok(&["hub", "create", "Menders"]);
    for args in [
        &["hub", "role", "change", "Makers", "mods", "--name", "keepers"][..],
        &["hub", "channel", "rules", "Makers/general", "role:everyone", "--deny", "attach"],
        &["hub", "mod", "set", "Makers", "--about", "We make"],
        &["hub", "mod", "extend", "Makers", &field(kick, "id")],
        &["hub", "member", "owners", "Menders", &ada.account(), who],
    ] {
        all.take(ada, args);
    }
}

fn devices(all: &mut Samples, ada: &Home, bob: &Home) {
    let ticket = ada.ok(&["device", "invite", "--no-wait"]);
    let phone = Home::new(bob.path.parent().unwrap(), "phone");
    all.take(&phone, &["device", "link", &ticket, "--name", "phone"]);
    all.take(ada, &["device", "suspend", "phone"]);
    all.take(ada, &["device", "restore", "phone"]);
    all.take(ada, &["device", "revoke", "phone", "--confirm", "phone"]);
}

fn settings(all: &mut Samples, ada: &Home, root: &std::path::Path) {
    let backup = root.join("ada.backup");
    let backup = backup.to_str().unwrap();
    for args in [
        &["config", "get", "node.lan"][..],
        &["config", "list", "--origin"],
        &["config", "path"],
        &["config", "schema"],
        &["config", "unset", "log.filter"],
        &["doctor"],
        &["node", "install", "--print"],
        &["node", "install"],
        &["node", "uninstall"],
        &["store", "migrate", "--dry-run"],
        &["store", "backup", backup, "--include-keys"],
    ] {
        all.take(ada, args);
    }
    let restored = Home::new(root, "restored");
    all.take(&restored, &["store", "restore", backup]);
    let (secret, archive) = (root.join("passphrase"), root.join("ada.mosaic"));
    std::fs::write(&secret, "open sesame\n").unwrap();
    let (secret, archive) = (secret.to_str().unwrap(), archive.to_str().unwrap());
    all.take(&restored, &["identity", "passphrase", "--new-passphrase-file", secret]);
    let sealed = ["--archive-passphrase-file", secret];
    all.take(ada, &[&["export", "mosaic", "-o", archive], &sealed[..]].concat());
    let imported = Home::new(root, "imported");
    all.take(&imported, &[&["import", "mosaic", archive], &sealed[..]].concat());
}

fn inside(all: &mut Samples, ada: &Home) {
    for args in [
        &["store", "path"][..],
        &["store", "stats"],
        &["store", "verify"],
        &["store", "rebuild"],
        &["store", "gc", "--dry-run"],
        &["store", "dump", "--table", "meta"],
        &["doc", "heads"],
        &["version"],
        &["bench", "merge", "--size", "small", "--runs", "1"],
        &["bench", "sync", "--size", "small", "--runs", "1"],
        &["bench", "live", "--size", "small", "--runs", "1"],
        &["demo"],
    ] {
        all.take(ada, args);
    }
    let documents = ada.json(&["doc", "list", "--kind", "wall"]);
    all.take(ada, &["doc", "list"]);
    let wall = field(&documents[0], "id");
    all.take(ada, &["doc", "changes", &wall]);
    all.take(ada, &["doc", "cat", &wall]);
    all.take(ada, &["doc", "history", &wall]);
    let text = ada.path.with_file_name("long.txt");
    std::fs::write(&text, "A long text.\n").unwrap();
    let text = text.to_str().unwrap();
    let long = field(&all.take(ada, &["post", "--text", text]), "id");
    std::fs::write(text, "A longer text.\n").unwrap();
    all.take(ada, &["doc", "edit", &long, "--file", text]);
    all.take(ada, &["doc", "cat", &long]);
    // A pack is of a full page.
    let node = ada.node();
    let api = mosaic_tests::api::Api::of(&ada.path);
    for n in 0..1025 {
        api.call("/v1/post/create", &serde_json::json!({"text": n.to_string()}));
    }
    node.stop();
    all.take(ada, &["doc", "packs"]);
}

const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0a, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x62, 0, 1, 0, 0, 5, 0, 1, 0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

const FEED: &str = r#"{"version":"https://jsonfeed.org/version/1.1","title":"Old blog","items":
    [{"id":"https://blog.example/1","content_text":"Boats"}]}"#;
