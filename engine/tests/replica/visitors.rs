//! What strangers may make a replica keep.

use mosaic_engine::description::{Description, DocumentKind};
use mosaic_engine::hash::BlobHash;
use mosaic_engine::model::entry::{BodyRef, Entry};
use mosaic_engine::sync::exchange::Reason;

use super::hostile::{Forger, take};
use super::*;

const TEXT: u64 = 256 * 1024 + 16;

fn long_reply(target: ChangeId, n: u8) -> Entry {
    let body = BodyRef { hash: BlobHash::of(&[n]), size: TEXT };
    Entry::Reply { target, body, attachments: Vec::new() }
}

fn held(replica: &Replica, page: &Description) -> u64 {
    let heads = replica.heads(&page.id()).unwrap();
    heads.iter().map(|head| head.held).sum()
}

#[test]
fn strangers_have_a_quota_each_and_together() {
    let (laptop, ada) = person(1, "laptop");
    let (hub, other) = (person(3, "hub").0, person(4, "hub").0);
    for hub in [&hub, &other] {
        hub.subscribe(Subscription::whole(ada)).unwrap();
    }
    let post = laptop.post(draft("hello"), None, NOW).unwrap();
    give(&laptop, &hub);
    give(&laptop, &other);
    let entries: Vec<Entry> = (0..70).map(|n| long_reply(post, n)).collect();
    let mut stored = 0;
    for seed in 0..20 {
        let mallory = Forger::stranger(100 + 2 * seed);
        let page = Description::guest(ada, mallory.account(), 0);
        let (chain, _) = mallory.write(&page, &entries);
        // Somebody else heard of a part of it only.
        let (part, _) = mallory.write(&page, &entries[..1]);
        take(&other, &mallory, part);
        take(&other, &mallory, chain.clone());
        assert_eq!(take(&hub, &mallory, chain), Verdict::Deferred(Reason::Quota));
        let his = held(&hub, &page);
        assert!(his * TEXT <= 16 << 20, "{his}");
        stored += his;
    }
    assert!(stored * TEXT <= 256 << 20 && stored * TEXT > 250 << 20, "{stored}");
    agree(&hub, &other);
    // What there is no room for is not asked for again, and others are not disturbed.
    for section in hub.kept_sections().unwrap() {
        assert_eq!(hub.incomplete(&section, 10).unwrap(), []);
    }
    laptop.post(draft("still here"), None, NOW + 1).unwrap();
    let (friend, bob) = person(5, "pc");
    friend.follow(ada, None, NOW).unwrap();
    give(&laptop, &friend);
    friend.reply(post, draft(&"hi ada ".repeat(30_000)), NOW + 2).unwrap();
    give(&friend, &hub);
    assert_eq!(hub.show(&post).unwrap().replies, stored);
    laptop.admit_guest(bob, true, NOW + 3).unwrap();
    give(&laptop, &hub);
    give(&friend, &hub);
    assert_eq!(hub.show(&post).unwrap().replies, stored + 1);
    assert!(texts(&hub, &ada).contains(&"still here".to_owned()));
    sound(&hub);
}

#[test]
fn a_visitor_makes_nobody_keep_an_endless_account_log() {
    let (laptop, ada) = person(1, "laptop");
    let (hub, _) = person(3, "hub");
    hub.subscribe(Subscription::whole(ada)).unwrap();
    let post = laptop.post(draft("hello"), None, NOW).unwrap();
    give(&laptop, &hub);
    let mallory = Forger::stranger(100);
    let page = Description::guest(ada, mallory.account(), 0);
    let (chain, _) = mallory.write(&page, &[long_reply(post, 1)]);
    take(&hub, &mallory, chain);
    let reason = "x".repeat(200);
    let revoke = Entry::Revoke { device: laptop.own_device(), reason };
    let entries = vec![revoke; 1000];
    let mut refused = 0;
    for page in 0..8 {
        let log = Description::own(mallory.account(), DocumentKind::AccountLog, page);
        let (chain, _) = mallory.write(&log, &entries);
        if take(&hub, &mallory, chain) == Verdict::Deferred(Reason::Quota) {
            refused += 1;
        }
    }
    assert!(refused >= 2, "{refused}");
    sound(&hub);
}
