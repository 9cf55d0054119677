//! Hubs over real nodes: one that outlives its founder, and members who act apart.

use std::collections::BTreeSet;

use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, Node, field};
use serde_json::{Value, json};

/// What is the same for everybody of an answer: without how one home calls people and hubs, and
/// without what it says about the one who asks.
fn common(records: Vec<Value>) -> Vec<Value> {
    const OWN: [&str; 8] =
        ["alias", "listed", "served", "standing", "rank", "permissions", "name", "author_name"];
    let strip = |mut record: Value| {
        let kind = record["type"].as_str().unwrap_or_default().to_owned();
        if let Some(fields) = record.as_object_mut() {
            fields.retain(|name, _| {
                let of_hub = kind == "hub" && name != "name";
                let own = OWN.contains(&name.as_str());
                !(own && (of_hub || (kind == "member" && name == "name")))
            });
        }
        record
    };
    records.into_iter().map(strip).collect()
}

/// Everything that a home shows of a hub.
fn all_of(home: &Home, hub: &str) -> Vec<Value> {
    let mut all = common(home.json(&["hub", "show", hub]));
    let channels: Vec<String> = all
        .iter()
        .filter(|record| record["type"] == "channel")
        .map(|channel| format!("{hub}/{}", field(channel, "id")))
        .collect();
    assert!(!channels.is_empty());
    for channel in channels {
        all.extend(home.json(&["hub", "read", &channel, "--all"]));
    }
    for args in [["hub", "member", "list"], ["hub", "role", "list"], ["hub", "mod", "log"]] {
        all.extend(common(home.json(&[&args[..], &[hub]].concat())));
    }
    all
}

fn meet(home: &Home, node: &Node) {
    let result = home.sync(&node.ticket());
    assert_eq!(result["state"], "in-sync", "{result}");
}

#[test]
fn a_hub_goes_on_when_its_founder_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let home = |name: &str| Home::init(root.path(), name);
    let (founder, bob, carol) = (home("founder"), home("bob"), home("carol"));
    let hub = field(&founder.json(&["hub", "create", "Makers", "--channel", "general"])[0], "id");
    let general = format!("{hub}/general");
    founder.ok(&["hub", "role", "create", &hub, "hosts", "--rank", "5", "--allow", "invite,kick"]);
    for n in 0..20 {
        founder.ok(&["hub", "send", &general, &format!("message {n}")]);
    }
    let node = founder.node();
    bob.ok(&["hub", "join", &founder.ok(&["hub", "invite", &hub, "--role", "hosts"])]);
    bob.ok(&["hub", "send", &general, "I am bob"]);
    meet(&bob, &node);
    let before = all_of(&founder, &hub);
    // Nobody hears of the founder's machine again.
    node.kill();
    std::fs::remove_dir_all(&founder.path).unwrap();
    assert_eq!(all_of(&bob, &hub), before);
    let node = bob.node();
    carol.ok(&["hub", "join", &bob.ok(&["hub", "invite", &hub])]);
    meet(&carol, &node);
    let shown = all_of(&carol, &hub);
    assert!(before.iter().filter(|r| r["type"] == "message").all(|m| shown.contains(m)));
    assert!(before.iter().filter(|r| r["type"] == "operation").all(|o| shown.contains(o)));
    assert_eq!(shown.iter().filter(|record| record["type"] == "member").count(), 3);
    carol.ok(&["hub", "send", &general, "I am carol"]);
    meet(&carol, &node);
    assert_eq!(all_of(&carol, &hub), all_of(&bob, &hub));
    node.stop();
    for home in [&bob, &carol] {
        assert_eq!(home.run(&["store", "verify"]).code, 0);
    }
}

/// A private hub and its private channel: who has a ticket joins at a member's node and reads; who knows
/// the id and asks for all of it has nothing, and no file of his holds a word of it.
#[test]
fn a_private_hub_is_there_for_its_members_alone() {
    let root = tempfile::tempdir().unwrap();
    let home = |name: &str| Home::init(root.path(), name);
    let (founder, bob, carol, stranger) =
        (home("founder"), home("bob"), home("carol"), home("stranger"));
    let hub = &founder.json(&["hub", "create", "Cellarium", "--private", "--channel", "wine"])[0];
    let hub = field(hub, "id");
    let wine = format!("{hub}/wine");
    founder.ok(&["hub", "role", "create", &hub, "hosts", "--rank", "5", "--allow", "invite"]);
    let node = founder.node();
    bob.ok(&["hub", "join", &founder.ok(&["hub", "invite", &hub, "--role", "hosts"])]);
    // Of all of the past that is for him he reads what comes from now on.
    founder.ok(&["hub", "send", &wine, "the vintage is corked"]);
    meet(&bob, &node);
    let texts = |home: &Home| home.ok(&["hub", "read", &wine, "--jq", ".text"]);
    assert_eq!(texts(&bob), "the vintage is corked");
    // A stranger knows the id, keeps whatever he is given of it, and asks.
    stranger.ok(&["hub", "serve", &hub]);
    stranger.sync(&node.ticket());
    assert_ne!(stranger.run(&["hub", "read", &wine]).code, 0);
    let unknown = &stranger.json(&["hub", "list"])[0];
    assert_eq!((field(unknown, "name"), field(unknown, "standing")), ("".into(), "unknown".into()));
    node.stop();
    // Another joins at somebody who joined.
    let node = bob.node();
    carol.ok(&["hub", "join", &bob.ok(&["hub", "invite", &hub])]);
    assert_eq!(carol.json(&["hub", "list"])[0]["name"], "Cellarium");
    stranger.sync(&node.ticket());
    let unknown = &stranger.json(&["hub", "list"])[0];
    assert_eq!(field(unknown, "standing"), "unknown");
    node.stop();
}

/// Nothing that is private, nor what may be, is explained as if everybody read it.
#[test]
fn what_is_private_in_hubs_is_not_explained_as_open() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let explained = |item: &str| ada.ok(&["privacy", "explain", item]);
    let for_all = "everybody who reaches a node";
    let closed = |item: &str, strangers: &str| {
        let said = explained(item);
        assert!(!said.contains(for_all) && said.contains(strangers), "{item}: {said}");
    };
    let log = |hub: &str| {
        let listed = ada.json(&["hub", "mod", "log", hub]);
        let ids: Vec<_> = listed.iter().map(|operation| field(operation, "id")).collect();
        assert!(!ids.is_empty());
        ids
    };
    // What is written by a reaction, which is no message.
    let entries = || -> BTreeSet<String> {
        let rows = ada.json(&["store", "dump"]);
        let entries = rows.iter().filter(|row| row["table"] == "rows");
        entries
            .filter_map(|row| Some(row["key"].as_str()?.strip_prefix("65")?.to_owned()))
            .collect()
    };
    let reaction_to = |message: &str| {
        let before = entries();
        ada.ok(&["hub", "message", "react", message, "👍"]);
        let written: Vec<_> = entries().difference(&before).cloned().collect();
        assert!(!written.is_empty());
        written
    };
    ada.ok(&["hub", "create", "Cellar", "--private", "--channel", "wine"]);
    let corked = ada.ok(&["hub", "send", "Cellar/wine", "corked"]);
    ada.ok(&["hub", "role", "create", "Cellar", "hosts", "--rank", "5"]);
    let nothing = "not even that there is something";
    for item in ["Cellar", "Cellar/wine", &corked] {
        closed(item, nothing);
    }
    for entry in reaction_to(&corked).into_iter().chain(log("Cellar")) {
        closed(&entry, nothing);
    }
    ada.ok(&["hub", "create", "Makers", "--channel", "general"]);
    ada.ok(&["hub", "channel", "create", "Makers/board", "--private"]);
    let [open, sealed] = ["Makers/general", "Makers/board"].map(|channel| {
        let message = ada.ok(&["hub", "send", channel, "a word"]);
        (reaction_to(&message), message)
    });
    let keepers = "what those see who keep the hub and cannot read it";
    for item in sealed.0.iter().chain([&sealed.1]).map(String::as_str).chain(["Makers/board"]) {
        closed(item, keepers);
    }
    for item in
        open.0.iter().chain([&open.1]).map(String::as_str).chain(["Makers", "Makers/general"])
    {
        assert!(explained(item).contains(for_all), "{item}");
    }
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// One member: a home whose node runs, and the way to it.
struct Member {
    home: Home,
    node: Node,
    api: Api,
    account: String,
}

impl Member {
    fn new(root: &std::path::Path, name: &str) -> Self {
        let home = Home::init(root, name);
        let account = home.account();
        let node = home.node();
        let api = Api::of(&home.path);
        Self { home, node, api, account }
    }

    /// Does something that may be refused; whether it was done.
    fn act(&self, path: &str, body: &Value) -> bool {
        let records = self.api.try_call(path, body);
        let fault = records.iter().find(|record| record["type"] == "error");
        // What is refused is refused for a reason that a person is told.
        if let Some(fault) = fault {
            let name = field(fault, "name");
            assert!(
                ["denied", "not_found", "usage", "conflict", "ambiguous"].contains(&name.as_str()),
                "{path} {body}: {fault}"
            );
        }
        fault.is_none()
    }

    fn messages(&self, channel: &str) -> Vec<String> {
        let body = json!({"channel": channel, "limit": 8});
        let records = self.api.try_call("/v1/message/list", &body);
        records.iter().filter_map(|m| Some(m["id"].as_str()?.to_owned())).collect()
    }
}

/// One random operation of a member.
fn operate(member: &Member, hub: &str, accounts: &[String], dice: &mut Dice, n: usize) -> bool {
    let channels = member.api.try_call("/v1/channel/list", &json!({"hub": hub}));
    let channels: Vec<String> =
        channels.iter().map(|c| format!("{hub}/{}", field(c, "id"))).collect();
    let channel = dice.pick(&channels).clone();
    let who = dice.pick(accounts).clone();
    let messages = member.messages(&channel);
    let about = |dice: &mut Dice| match messages.is_empty() {
        true => "00000000".to_owned(),
        false => dice.pick(&messages).clone(),
    };
    let role = ["mods", "helpers", "everyone"][dice.below(3)];
    let (path, body) = match dice.below(24) {
        0 => (
            "channel/create",
            json!({"channel": format!("{hub}/room {n}"), "topic": "",
            "category": "", "read_only": false}),
        ),
        1 => ("channel/change", json!({"channel": channel, "topic": format!("topic {n}")})),
        2 => ("channel/change", json!({"channel": channel, "archived": dice.below(3) == 0})),
        3 => (
            "channel/rules",
            json!({"channel": channel, "who": format!("role:{role}"),
            "allow": ["attach"], "deny": ["react"], "reason": ""}),
        ),
        4 | 5 => ("member/grant", json!({"hub": hub, "who": who, "role": role})),
        6 => ("member/revoke", json!({"hub": hub, "who": who, "role": role, "reason": ""})),
        7 => ("member/kick", json!({"hub": hub, "who": who, "reason": "noise"})),
        8 => (
            "member/ban",
            json!({"hub": hub, "who": who, "purge": dice.below(4) == 0,
            "with_invitees": false, "reason": ""}),
        ),
        9 => ("member/unban", json!({"hub": hub, "who": who})),
        10 => ("moderation/act", json!({"id": about(dice), "act": "purge", "reason": ""})),
        11 => ("moderation/act", json!({"id": about(dice), "act": "hide", "reason": ""})),
        12 => ("moderation/act", json!({"id": about(dice), "act": "pin", "reason": ""})),
        13 => ("moderation/undo", json!({"hub": hub, "who": who, "reason": ""})),
        14 => ("hub/change", json!({"hub": hub, "about": format!("about {n}"), "reason": ""})),
        15 => ("message/react", json!({"id": about(dice), "emoji": "👍", "remove": false})),
        16 => ("message/edit", json!({"id": about(dice), "text": format!("other {n}")})),
        17 => ("message/delete", json!({"id": about(dice)})),
        18 => (
            "message/send",
            json!({"channel": channel, "text": format!("answer {n}"),
            "reply_to": about(dice)}),
        ),
        _ => ("message/send", json!({"channel": channel, "text": format!("text {n}")})),
    };
    member.act(&format!("/v1/{path}"), &body)
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// `MOSAIC_HUB_ROGUE` sets how many bans, and how many purges.
#[test]
fn a_rogue_moderator_is_undone_by_one_command() {
    let count = number("MOSAIC_HUB_ROGUE", 40);
    let root = tempfile::tempdir().unwrap();
    let [founder, rogue, victim] =
        ["founder", "rogue", "victim"].map(|name| Member::new(root.path(), name));
    let hub = field(&founder.home.json(&["hub", "create", "Makers"])[0], "id");
    let args = ["hub", "role", "create", &hub, "mods", "--rank", "10", "--allow", "all"];
    founder.home.ok(&args);
    for (member, role) in [(&rogue, "mods"), (&victim, "everyone")] {
        let ticket = founder.home.ok(&["hub", "invite", &hub, "--role", role]);
        member.home.ok(&["hub", "join", &ticket]);
    }
    let channel = field(&founder.api.call("/v1/channel/list", &json!({"hub": hub})), "id");
    let channel = format!("{hub}/{channel}");
    let messages: Vec<String> = (0..count)
        .map(|n| {
            let text = format!("a good message {n}");
            field(
                &victim.api.call("/v1/message/send", &json!({"channel": channel, "text": text})),
                "id",
            )
        })
        .collect();
    let spread = || {
        for member in [&rogue, &victim, &rogue, &victim] {
            member.home.sync(&founder.node.ticket());
        }
    };
    spread();
    for id in &messages {
        let purge = json!({"id": id, "act": "purge", "reason": "hate"});
        rogue.api.call("/v1/moderation/act", &purge);
    }
    for n in 0..count {
        let who = if n == 0 { victim.account.clone() } else { format!("{n:064x}") };
        let ban = json!({"hub": hub, "who": who, "purge": false, "with_invitees": false,
            "reason": "hate"});
        rogue.api.call("/v1/member/ban", &ban);
    }
    spread();
    let good = |member: &Member| {
        let list = json!({"channel": channel, "limit": 10_000});
        let shown = member.api.try_call("/v1/message/list", &list);
        let text = |m: &Value| m["text"].as_str().is_some_and(|t| t.starts_with("a good message"));
        shown.iter().filter(|message| text(message)).count()
    };
    assert_eq!([&founder, &rogue, &victim].map(good), [0; 3]);
    let undone = founder.home.json(&["hub", "mod", "undo", &hub, &rogue.account]);
    // What stays: texts that were dropped here, each with its purge.
    let listed = undone.iter().filter(|record| record["action"] == "purge").count();
    assert_eq!((undone[0]["action"].as_str(), listed), (Some("undo"), count), "{:?}", undone[0]);
    spread();
    // Everybody is in again. Texts that all have dropped are gone, and shown as missing.
    let members = founder.home.json(&["hub", "member", "list", &hub]);
    assert!(members.iter().any(|member| member["account"] == victim.account.as_str()));
    let log = founder.home.json(&["hub", "mod", "log", &hub]);
    let counts =
        |name: &str| log.iter().filter(|op| op["action"] == name && op["counts"] == true).count();
    assert_eq!((counts("ban"), counts("purge")), (0, 0));
    let list = json!({"channel": channel, "limit": 10_000});
    let shown = founder.api.try_call("/v1/message/list", &list);
    let missing = |message: &&Value| message["state"] == "shown" && message["missing"] == true;
    assert_eq!(shown.iter().filter(missing).count(), count);
    println!("{count} bans undone, {count} purges listed of {} records", undone.len());
}

/// `MOSAIC_HUB_NODES_FIRST`, `MOSAIC_HUB_NODES_SEEDS` and `MOSAIC_HUB_NODES_OPS` set how much is done.
#[test]
fn members_with_nodes_who_act_apart_see_the_same() {
    let first = number("MOSAIC_HUB_NODES_FIRST", 1);
    let (seeds, operations) =
        (number("MOSAIC_HUB_NODES_SEEDS", 1), number("MOSAIC_HUB_NODES_OPS", 120));
    for seed in first..first + seeds {
        let root = tempfile::tempdir().unwrap();
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed as u64).wrapping_mul(0x2545_f491));
        let people: Vec<Member> =
            (0..5).map(|n| Member::new(root.path(), &format!("person{n}"))).collect();
        let founder = &people[0];
        let hub = field(&founder.home.json(&["hub", "create", "Makers"])[0], "id");
        let create = |name: &str, rank: &str, allow: &str| {
            let args = ["hub", "role", "create", &hub, name, "--rank", rank, "--allow", allow];
            founder.home.ok(&args);
        };
        create("mods", "10", "all");
        create("helpers", "5", "send,react,invite,hide,pin,kick");
        for member in &people[1..] {
            let ticket = founder.home.ok(&["hub", "invite", &hub, "--role", "helpers"]);
            member.home.ok(&["hub", "join", &ticket]);
        }
        let accounts: Vec<String> = people.iter().map(|member| member.account.clone()).collect();
        let mut done = 0;
        for n in 0..operations {
            let member = dice.below(people.len());
            done += usize::from(operate(&people[member], &hub, &accounts, &mut dice, n));
            if dice.below(8) == 0 {
                let (a, b) = (dice.below(people.len()), dice.below(people.len()));
                if a != b {
                    people[a].home.sync(&people[b].node.ticket());
                }
            }
        }
        // Twice around, and everybody has what everybody wrote.
        for _ in 0..2 {
            for member in &people[1..] {
                member.home.sync(&founder.node.ticket());
            }
        }
        let expected = all_of(&founder.home, &hub);
        for (number, member) in people.iter().enumerate() {
            assert_eq!(all_of(&member.home, &hub), expected, "seed {seed}, member {number}");
        }
        assert!(done > operations / 4, "seed {seed}: {done} of {operations} were done");
        println!("seed {seed}: {done} of {operations} done, {} records alike", expected.len());
    }
}
