//! The liar against a running node: everything is refused for its reason, and the node
//! keeps serving; and a hub of hers that lies over the network.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use mosaic_engine::change::lies::deflated_zeros;
use mosaic_engine::change::raw;
use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::hash::DeviceId;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Replica, ReplicaOptions, Subscription};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_node::ticket::NodeTicket;
use mosaic_tests::home::{Home, field};
use mosaic_tests::liar::author::{Author, encode_path};
use mosaic_tests::liar::heads::forged_chains;
use mosaic_tests::liar::homes::{Counted, enrolled, resident_bytes};
use mosaic_tests::liar::hub::{Hub, Show};
use mosaic_tests::liar::line::{Heard, Speaker, Way};
use mosaic_tests::liar::net::{NetHub, NetLine};
use mosaic_tests::liar::pump::now_ms;
use mosaic_tests::liar::table::{Answer, lies, map_lies, post, wall};
use serde_json::Value;

/// What one round of bombs may leave behind.
const GROWN_BYTES_MAX: u64 = 2_000_000;

#[test]
fn every_lie_is_refused_by_a_running_node() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = mosaic_tests::home::link(&laptop, root.path(), "phone");
    let author = enrolled(&phone);
    laptop.ok(&["post", "before"]);
    let mut node = laptop.node();
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    let mut speaker = Speaker::new(NetLine::new(author.secret(), &ticket));
    let (mut wrong, mut offered) = (BTreeMap::new(), Counted::default());
    for way in [Way::Inline, Way::Pack] {
        for lie in lies(&author, now_ms()) {
            let heard = speaker.offer(&lie.received, way);
            offered.add(&lie.answer);
            if heard != Heard::Answer(lie.answer) {
                wrong.insert((way.name(), lie.what), (heard, lie.answer));
            }
        }
    }
    assert!(wrong.is_empty(), "heard, and expected: {wrong:#?}");
    // Everything is warm now: the bombs again, under watch. The store writes its buffers out when
    // it likes; what the bombs leave behind they leave each time.
    let mut grown = u64::MAX;
    for _ in 0..8 {
        if grown < GROWN_BYTES_MAX {
            break;
        }
        let before = resident_bytes(&node);
        for lie in map_lies(&author) {
            for way in [Way::Inline, Way::Pack] {
                assert_eq!(speaker.offer(&lie.received, way), Heard::Answer(lie.answer));
                offered.add(&lie.answer);
            }
        }
        grown = grown.min(resident_bytes(&node).saturating_sub(before));
    }
    assert!(grown < GROWN_BYTES_MAX, "{grown} bytes");
    for garbage in [&[0, 0, 0, 1, 99][..], &[0xff; 4], &[0, 0, 0, 2, 7, 0xff]] {
        assert!(matches!(speaker.say(garbage), Heard::Closed(_)), "{garbage:?}");
        *offered.refused.entry("frame".to_owned()).or_default() += 1;
    }
    let mut honest = author.chain(&wall(&author, 0));
    honest.entry(now_ms(), post().encode());
    let answer = speaker.offer(&honest.offer(&author), Way::Inline);
    assert_eq!(answer, Heard::Answer(Answer::Accepted));
    assert!(node.runs());
    // Each reason was counted exactly as often as it was deserved.
    assert_eq!(Counted::of(&laptop), offered);
    let peers = laptop.json(&["node", "peers"]);
    let phone = peers.iter().find(|peer| field(peer, "device") == author.device().to_string());
    assert_eq!(Counted::in_record(phone.expect("the phone as a peer")), offered);
    let shown = laptop.ok(&["node", "status"]);
    let count = offered.refused["invalid_change"];
    assert!(shown.contains(&format!("invalid_change {count}")), "{shown}");
    laptop.ok(&["post", "after"]);
    let wall = laptop.ok(&["wall", "list", "--json"]);
    assert!(wall.contains("before") && wall.contains("after"), "{wall}");
    drop(speaker);
    node.stop();
    assert_eq!(laptop.run(&["store", "verify"]).code, 0);
}

fn liar(args: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_liar")).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[test]
fn the_program_offers_any_file_and_says_what_the_node_said() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = mosaic_tests::home::link(&laptop, root.path(), "phone");
    let author = enrolled(&phone);
    let (key, path) = (phone.path.join("device.key"), root.path().join("phone.path"));
    std::fs::write(&path, encode_path(author.path())).unwrap();
    let bombs = [
        ("deflated", raw::chunk(2, &deflated_zeros(256 << 20))),
        ("small", raw::chunk(2, &deflated_zeros(8 << 20))),
        ("random", (0u16..5000).map(|n| n.wrapping_mul(40_503).to_le_bytes()[1]).collect()),
    ];
    let mut files = Vec::new();
    for (name, bytes) in bombs {
        files.push(root.path().join(name));
        std::fs::write(files.last().unwrap(), bytes).unwrap();
    }
    let node = laptop.node();
    let ticket = node.ticket();
    let mut args = vec!["offer", "--key", text(&key), "--path", text(&path), "--node", &ticket];
    for file in &files {
        args.extend(["--file", text(file)]);
    }
    let told = liar(&args);
    assert!(told.len() >= 18, "{told:?}");
    let mut said = BTreeMap::<String, u64>::new();
    for line in &told {
        assert_eq!(field(line, "verdict"), "refused", "{line}");
        assert_eq!(line.get("expected"), None, "{line}");
        *said.entry(field(line, "reason")).or_default() += 1;
    }
    let counted = Counted { refused: said, ..Counted::default() };
    assert_eq!(Counted::of(&laptop), counted);
    // Somebody who is nobody here.
    let nobody = root.path().join("nobody.key");
    let identity = liar(&["identity", text(&nobody)]);
    assert_eq!(identity[0]["type"], "identity");
    let told =
        liar(&["offer", "--key", text(&nobody), "--node", &ticket, "--file", text(&files[2])]);
    for line in &told {
        assert_eq!(
            (line["verdict"].as_str(), line["reason"].as_str()),
            (Some("refused"), Some("not_kept"))
        );
    }
    laptop.ok(&["post", "still here"]);
    node.stop();
    assert_eq!(laptop.run(&["store", "verify"]).code, 0);
}

fn texts(home: &Home, account: &str) -> Vec<String> {
    let wall = home.json(&["wall", "list", account]);
    wall.iter().map(|post| post["text"].as_str().unwrap_or("missing").to_owned()).collect()
}

#[test]
fn a_hub_that_lies_over_the_network_is_not_believed() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, bob) = (Home::init(root.path(), "laptop"), Home::init(root.path(), "bob"));
    let ada = laptop.account();
    let store = MemoryStore::new();
    let secret = || DeviceSecret::generate(&SeededEntropy::new(81));
    let open = |store: MemoryStore, own: bool| {
        let options = ReplicaOptions { secret: own.then(secret), fresh_incarnation: false };
        let entropy = Arc::new(SeededEntropy::new(82));
        Arc::new(Replica::open(Arc::new(store), entropy, options).unwrap())
    };
    let inner = open(store.clone(), false);
    inner.create_account(secret(), "hub", [0; 32], 1).unwrap();
    let account = mosaic_engine::hash::AccountId::parse_hex(&ada).unwrap();
    inner.subscribe(Subscription::whole(account)).unwrap();
    let hub = Arc::new(Hub::new(inner.clone()));
    let mut net = NetHub::new(&secret(), hub.clone());
    laptop.ok(&["post", "first"]);
    let node = laptop.node();
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    net.meet(&ticket).expect("a round");
    let older = store.snapshot();
    laptop.ok(&["post", "second"]);
    net.meet(&ticket).expect("a round");
    bob.ok(&["follow", &ada]);
    // Bodies with a bit altered: missing, and said to be.
    hub.set_show(Show::AlteredBodies);
    let result = bob.sync(&net.ticket().to_string());
    assert_eq!(texts(&bob, &ada), ["missing", "missing"]);
    assert_eq!(result["missing_bodies"], 2, "{result}");
    assert_ne!(result["state"], "in-sync", "{result}");
    hub.set_show(Show::Truth);
    bob.sync(&net.ticket().to_string());
    assert_eq!(texts(&bob, &ada), ["second", "first"]);
    // A device that Ada never had.
    let forger = Author::stranger(Arc::new(SeededEntropy::new(83)), now_ms());
    let device = DeviceId::from_bytes(*ticket.device.as_bytes());
    let first = inner.path(&device).unwrap().expect("the laptop's path");
    hub.set_show(Show::Also(forged_chains(&forger, &first, now_ms())));
    let result = bob.sync(&net.ticket().to_string());
    assert!(result["reasons"].to_string().contains("certificate"), "{result}");
    assert_eq!(texts(&bob, &ada), ["second", "first"]);
    // The day before yesterday once more.
    hub.set_show(Show::Truth);
    hub.become_replica(open(older, true));
    let result = bob.sync(&net.ticket().to_string());
    let told = format!("{result} {:?}", bob.json(&["sync", "status"]));
    assert!(told.contains("showed before"), "{told}");
    assert_eq!(texts(&bob, &ada), ["second", "first"]);
    node.stop();
    assert_eq!(bob.run(&["store", "verify"]).code, 0);
}
