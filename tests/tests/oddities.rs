//! Valid and strange: taken, shown, and nothing breaks.

use std::sync::Arc;

use mosaic_engine::entropy::{Entropy, SeededEntropy};
use mosaic_engine::hash::ChangeId;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Replica, ReplicaOptions};
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use mosaic_engine::sync::exchange::Exchange;
use mosaic_node::ticket::NodeTicket;
use mosaic_tests::home::{Home, link};
use mosaic_tests::liar::author::Author;
use mosaic_tests::liar::line::{Heard, Speaker, Way};
use mosaic_tests::liar::net::NetLine;
use mosaic_tests::liar::odd::oddities;
use mosaic_tests::liar::pump::now_ms;
use mosaic_tests::liar::table::Answer;
use mosaic_tests::people::{NOW_MS, draft, enrol, entropy, person, texts};

#[test]
fn strange_entries_are_taken_and_do_no_harm() {
    let (laptop, ada) = person(1, "laptop");
    let entropy = entropy(99);
    let secret = DeviceSecret::generate(&*entropy);
    let path = enrol(&laptop, &secret, "phone");
    let author = Author::enrolled(secret, path, entropy);
    let known = laptop.post(draft("mine"), None, NOW_MS).unwrap();
    let odd = oddities(&author, known, NOW_MS);
    for offer in &odd {
        let given = vec![offer.received.clone()];
        let receipt = laptop.receive(&author.device(), given, NOW_MS).unwrap();
        assert_eq!(Answer::of(&receipt.chains[0].verdict), offer.answer, "{}", offer.what);
    }
    // One of the entries edits it, and its text is not here.
    let shown = laptop.wall(&ada, None, 1000).unwrap();
    assert!(shown.iter().any(|view| view.id == known), "{shown:?}");
    let after = laptop.post(draft("after"), None, NOW_MS + 1).unwrap();
    laptop.edit(after, "after all", NOW_MS + 2).unwrap();
    laptop.follow(mosaic_engine::hash::AccountId::from_bytes([4; 32]), None, NOW_MS).unwrap();
    assert!(texts(&laptop, &ada).contains(&"after all".to_owned()));
    assert_eq!(laptop.verify().unwrap().problems, Vec::<String>::new());
    let rebuilt = laptop.rebuild().unwrap();
    assert_eq!((rebuilt.mended, rebuilt.removed), (0, 0));
}

#[test]
fn a_deleted_body_stays_deleted_however_often_it_comes_again() {
    let (laptop, _) = person(1, "laptop");
    let id = laptop.post(draft("a secret slip"), None, NOW_MS).unwrap();
    let tips = laptop.kept_sections().unwrap().into_iter();
    let tip = tips
        .flat_map(|section| laptop.tips(&section).unwrap())
        .find(|tip| !laptop.bodies_of(tip, 1, 10).unwrap().is_empty());
    let body = laptop.bodies_of(&tip.unwrap(), 1, 10).unwrap()[0];
    let own = laptop.own_device();
    let bytes = laptop.body(&own, &body.hash).unwrap().expect("the body");
    laptop.delete(id, NOW_MS + 1).unwrap();
    let before = laptop.store().stats();
    for _ in 0..1000 {
        let receipt = laptop.receive_bodies(&own, vec![bytes.clone()]).unwrap();
        assert_eq!((receipt.stored, receipt.refused), (0, 1));
    }
    assert_eq!(laptop.body(&own, &body.hash).unwrap(), None);
    assert_eq!(laptop.store().stats().bytes_written, before.bytes_written);
}

#[test]
fn a_running_node_shows_strange_entries() {
    let root = tempfile::tempdir().unwrap();
    let laptop = Home::init(root.path(), "laptop");
    let phone = link(&laptop, root.path(), "phone");
    let known = ChangeId::parse_hex(&laptop.ok(&["post", "mine"])).unwrap();
    let author = enrolled(&phone);
    let node = laptop.node();
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    let mut speaker = Speaker::new(NetLine::new(author.secret(), &ticket));
    for offer in oddities(&author, known, now_ms()) {
        let heard = speaker.offer(&offer.received, Way::Inline);
        assert_eq!(heard, Heard::Answer(offer.answer), "{}", offer.what);
    }
    drop(speaker);
    let commands: [&[&str]; 12] = [
        &["wall", "list"],
        &["wall", "list", "--deleted", "--conflicts"],
        &["wall", "show", &known.to_string(), "--hidden", "--conflicts"],
        &["wall", "history", &known.to_string()],
        &["feed"],
        &["device", "list"],
        &["doc", "list"],
        &["doc", "heads"],
        &["profile", "show"],
        &["sub", "list"],
        &["sync", "status"],
        &["status"],
    ];
    for args in commands {
        for json in [false, true] {
            let args = if json { [args, &["--json"]].concat() } else { args.to_vec() };
            let done = laptop.run(&args);
            assert_eq!(done.code, 0, "{args:?}: {}", done.err);
            // JSON carries text as it is, but for control characters.
            assert!(!done.out.contains('\u{1b}'), "{args:?}");
            assert!(json || !done.out.contains('\u{202e}'), "{args:?}");
        }
    }
    for doc in laptop.json(&["doc", "list"]) {
        let doc = mosaic_tests::home::field(&doc, "id");
        for verb in ["cat", "history", "changes"] {
            let done = laptop.run(&["doc", verb, &doc]);
            assert_eq!(done.code, 0, "doc {verb} {doc}: {}", done.err);
            assert!(!done.out.contains('\u{1b}'), "doc {verb} {doc}");
        }
    }
    laptop.ok(&["post", "after"]);
    node.stop();
    assert_eq!(laptop.run(&["store", "verify"]).code, 0);
    assert_eq!(laptop.run(&["store", "rebuild"]).code, 0);
}

fn enrolled(home: &Home) -> Author {
    let bytes = std::fs::read(home.path.join("device.key")).unwrap();
    let secret = || DeviceSecret::from_bytes(&bytes.as_slice().try_into().unwrap()).unwrap();
    let marks = tempfile::tempdir().unwrap();
    let disk = DiskStore::open(&DiskOptions::new(&home.path, marks.path())).unwrap();
    let options = ReplicaOptions { secret: Some(secret()), fresh_incarnation: false };
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(91));
    let store = Arc::new(disk.store.clone());
    let replica = Replica::open(store, entropy.clone(), options).unwrap();
    let path = replica.path(&replica.device().unwrap()).unwrap().expect("a path");
    replica.close().unwrap();
    Author::enrolled(secret(), path, entropy)
}
