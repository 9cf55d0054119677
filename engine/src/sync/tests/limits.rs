//! Subscriptions that keep a part: heads first, and nothing on the line that is not kept.

use super::replicas::{Home, NOW, draft, last, person, texts};
use crate::hash::AccountId;
use crate::model::entry::Attachment;
use crate::replica::{Draft, History, Replica, Subscription, Text};
use crate::sync::Options;
use crate::sync::exchange::Exchange;
use crate::sync::outcome::{Counters, OutcomeKind};
use crate::sync::sim::{Faults, Network};

const TEXT_BYTES: usize = 40_000;
/// A page of nine posts, each with a text and 28 kB of descriptions.
const PAGE_BYTES: u64 = 9 * (TEXT_BYTES as u64 + 32_000);

/// A post that fills a ninth of a page: its entry is as long as entries get.
fn large(replica: &Replica, number: u64) -> Draft {
    let body = replica.add_file(&mut number.to_be_bytes().as_slice(), 1000).unwrap();
    let attachment = Attachment {
        body,
        media_type: "text/plain".into(),
        name: "file".into(),
        alt: "d".repeat(2000),
    };
    let text = format!("{number} {}", "x".repeat(TEXT_BYTES));
    Draft { text, attachments: vec![attachment; 14] }
}

/// A laptop with a wall of `posts` large posts, and a hub that keeps a part of it.
fn pair(posts: u64, subscription: impl Fn(AccountId) -> Subscription) -> (Vec<Home>, AccountId) {
    let ((laptop, ada), (hub, _)) = (person(1, "laptop"), person(2, "hub"));
    for number in 0..posts {
        laptop.replica.post(large(&laptop.replica, number), None, NOW + number).unwrap();
    }
    hub.replica.subscribe(subscription(ada)).unwrap();
    (vec![laptop, hub], ada)
}

fn network(homes: Vec<Home>) -> Network<Home> {
    let options = Options { check_every_ms: Some(5000), ..Options::default() };
    let network = Network::new(1, homes, Faults::default(), options);
    network.parties.iter().for_each(|home| drop(crate::sync::sim::Party::take_news(home)));
    network
}

fn data(counters: &Counters) -> u64 {
    counters.inline_bytes + counters.blob_bytes + counters.body_bytes
}

fn held(home: &Home, ada: &AccountId) -> u64 {
    home.replica.pages_used(ada).unwrap().iter().map(|page| page.bytes).sum()
}

#[test]
fn what_will_not_be_kept_is_not_sent_whoever_dials() {
    let limit = 4 * PAGE_BYTES;
    for dialler in [0, 1] {
        let (homes, ada) =
            pair(90, |ada| Subscription { bytes_max: limit, ..Subscription::whole(ada) });
        let mut network = network(homes);
        network.connect(dialler, 1 - dialler);
        network.run_for(3000).unwrap();
        let outcome = last(&network, 1, OutcomeKind::Round);
        assert!(outcome.is_equal() && outcome.causes_total == 0, "{outcome:?}");
        assert_eq!(outcome.missing_here, 0);
        let first = data(&network.counters(0, dialler ^ 1).unwrap());
        let kept = held(&network.parties[1], &ada);
        assert!(kept <= limit && kept + PAGE_BYTES > limit, "{kept} of {limit}");
        assert!(first <= limit + PAGE_BYTES, "{first} on the line for {kept}");
        let seen = texts(&network.parties[1].replica, &ada);
        assert!(seen[0].1.starts_with("89 ") && seen.len() < 45, "{}", seen.len());
        // Looking again fetches nothing again.
        for _ in 0..5 {
            network.refresh();
            network.run_for(5000).unwrap();
        }
        let again = data(&network.counters(0, dialler ^ 1).unwrap());
        assert!(again <= first + 1000, "{again} after {first}");
        assert_eq!(held(&network.parties[1], &ada), kept);
    }
}

#[test]
fn new_posts_arrive_at_once_and_the_oldest_pages_go() {
    let limit = 3 * PAGE_BYTES;
    let (homes, ada) =
        pair(30, |ada| Subscription { bytes_max: limit, ..Subscription::whole(ada) });
    let mut network = network(homes);
    network.connect(0, 1);
    network.run_for(3000).unwrap();
    let hub = &network.parties[1].replica;
    let oldest = texts(hub, &ada).pop().unwrap().0;
    let mine = hub.reply(oldest, draft("mine".into()), NOW).unwrap();
    for number in 30..60 {
        let laptop = &network.parties[0].replica;
        laptop.post(large(laptop, number), None, NOW + number).unwrap();
        network.spread_news();
        network.run_for(2000).unwrap();
        let seen = texts(&network.parties[1].replica, &ada);
        assert!(seen[0].1.starts_with(&format!("{number} ")), "{:.10}", seen[0].1);
        assert!(held(&network.parties[1], &ada) <= limit + PAGE_BYTES);
    }
    let all = data(&network.counters(0, 1).unwrap());
    // What was there, what was posted, and nothing twice.
    assert!(all <= limit + PAGE_BYTES + 30 * (PAGE_BYTES / 9), "{all}");
    let hub = &network.parties[1].replica;
    // The page that was answered is gone, the own answer is not.
    assert!(hub.show(&oldest).is_err());
    assert_eq!(hub.show(&mine).unwrap().text, Text::Here("mine".into()));
    for section in hub.kept_sections().unwrap() {
        assert_eq!(hub.missing_count(&section).unwrap(), 0);
    }
}

#[test]
fn a_page_that_is_not_kept_comes_when_asked_for_and_a_larger_limit_brings_more() {
    let limit = 3 * PAGE_BYTES;
    let subscription = |ada| Subscription { bytes_max: limit, ..Subscription::whole(ada) };
    let (homes, ada) = pair(90, subscription);
    let mut network = network(homes);
    network.connect(0, 1);
    network.run_for(3000).unwrap();
    for page in [0, 4] {
        let before = data(&network.counters(0, 1).unwrap());
        network.parties[1].replica.demand_page(&ada, page).unwrap();
        network.refresh();
        network.run_for(3000).unwrap();
        let fetched = data(&network.counters(0, 1).unwrap()) - before;
        assert!(fetched <= 2 * PAGE_BYTES, "{fetched}");
        let pages = network.parties[1].replica.pages_used(&ada).unwrap();
        assert!(pages.iter().any(|used| used.page == page && used.bytes > 0), "{pages:?}");
        assert!(held(&network.parties[1], &ada) <= limit + PAGE_BYTES);
    }
    let more = Subscription { bytes_max: 2 * limit, ..Subscription::whole(ada) };
    network.parties[1].replica.subscribe(more).unwrap();
    network.refresh();
    network.run_for(5000).unwrap();
    let kept = held(&network.parties[1], &ada);
    assert!(kept > limit + PAGE_BYTES && kept <= 2 * limit, "{kept}");
}

#[test]
fn old_pages_and_large_files_stay_where_they_are() {
    let age = 100_000;
    let young = |ada| Subscription { history: History::Recent(age), ..Subscription::whole(ada) };
    let (homes, ada) = pair(0, young);
    let mut network = network(homes);
    let laptop = &network.parties[0].replica;
    let now = network.now_ms();
    for number in 0..110u64 {
        let time = if number < 90 { number } else { now };
        laptop.post(large(laptop, number), None, time).unwrap();
    }
    network.connect(1, 0);
    network.run_for(3000).unwrap();
    let outcome = last(&network, 1, OutcomeKind::Round);
    assert!(outcome.is_equal() && outcome.missing_here == 0, "{outcome:?}");
    let pages = network.parties[1].replica.pages_used(&ada).unwrap();
    let here = pages.iter().filter(|page| page.bytes > 0).count();
    assert!((2..=4).contains(&here), "{pages:?}");

    let small = |ada| Subscription { body_bytes_max: 1000, ..Subscription::whole(ada) };
    let (homes, ada) = pair(3, small);
    let laptop = &homes[0].replica;
    let body = laptop.add_file(&mut [7u8; 100_000].as_slice(), 1_000_000).unwrap();
    let file = Attachment { body, media_type: "a/b".into(), name: "f".into(), alt: "f".into() };
    laptop.post(Draft { attachments: vec![file], ..draft("file".into()) }, None, NOW).unwrap();
    let mut network = self::network(homes);
    network.connect(1, 0);
    network.run_for(3000).unwrap();
    let outcome = last(&network, 1, OutcomeKind::Round);
    assert!(outcome.is_equal() && outcome.missing_here == 0, "{outcome:?}");
    assert!(held(&network.parties[1], &ada) < 4 * 80_000);
}
