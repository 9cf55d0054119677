//! Channels where people look anyway: in the feed, in what they missed, in the search.

use mosaic_tests::home::{Home, field, until};
use serde_json::Value;

fn texts(records: &[Value]) -> Vec<String> {
    records.iter().filter(|one| one["text"].is_string()).map(|one| field(one, "text")).collect()
}

#[test]
fn channels_stand_in_the_feed_in_what_was_missed_and_in_the_search() {
    let root = tempfile::tempdir().unwrap();
    let (ada, bob) = (Home::init(root.path(), "ada"), Home::init(root.path(), "bob"));
    ada.ok(&["hub", "create", "Boats", "--channel", "general", "--channel", "plans"]);
    let node = ada.node();
    let ticket = ada.ok(&["hub", "invite", "Boats"]);
    bob.ok(&["hub", "join", ticket.lines().next().unwrap()]);
    for n in 0..3 {
        bob.ok(&["post", &format!("post {n}")]);
        bob.ok(&["hub", "send", "Boats/general", &format!("ferry {n}")]);
    }
    let ferry =
        bob.ok(&["hub", "send", "Boats/plans", "ferry for you", "--mention", &ada.account()]);
    ada.ok(&["follow", &bob.account()]);
    until("all of it came", || {
        bob.sync(&node.ticket());
        ada.json(&["feed"]).len() == 3 && ada.json(&["hub", "read", "Boats/plans"]).len() == 1
    });
    // One order, whichever kind, and page by page the same.
    let both = ["feed", "--in", "Boats"];
    let all = ada.json(&both);
    let wanted = ["ferry for you", "ferry 2", "post 2", "ferry 1", "post 1", "ferry 0", "post 0"];
    assert_eq!(texts(&all), wanted);
    let mut paged: Vec<Value> = Vec::new();
    loop {
        let last = paged.last().map(|last| field(last, "id"));
        let after = last.iter().flat_map(|id| ["--before", id]);
        let args: Vec<&str> = both.into_iter().chain(["-n", "2"]).chain(after).collect();
        let page = ada.json(&args);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let general = ada.json(&["feed", "--in", "Boats/general", "--from", &bob.account()]);
    assert_eq!(texts(&general), wanted[1..]);
    // What was missed is counted, of channels too, until it is read.
    let unread = |args: &[&str]| -> Vec<(String, u64, u64)> {
        let records = ada.json(args);
        let of = records.iter().filter(|one| one["type"] == "unread");
        let number = |one: &Value, name: &str| one[name].as_u64().unwrap();
        of.map(|one| (field(one, "name"), number(one, "messages"), number(one, "mentions")))
            .collect()
    };
    let missed = [("Boats/general".to_owned(), 3, 0), ("Boats/plans".to_owned(), 1, 1)];
    assert_eq!(unread(&["catchup"]), missed);
    let read = ada.json(&["feed", "--in", "Boats/general", "--unread"]);
    assert_eq!(texts(&read), wanted[1..]);
    assert_eq!(unread(&["catchup", "--mark-read"]), missed[1..]);
    assert!(unread(&["catchup"]).is_empty());
    assert!(ada.json(&["feed", "--in", "Boats", "--unread"]).is_empty());
    // Of a message of another what can be done is said.
    let refused = ada.run(&["hub", "message", "delete", &ferry]);
    let hint = format!("mosaic hub mod hide {}", &ferry[..8]);
    assert!(refused.code == 4 && refused.err.contains(&hint), "{}", refused.err);
    // Found with the rest or alone, and no more once it is hidden.
    assert_eq!(texts(&ada.json(&["search", "ferry", "in:Boats"])).len(), 4);
    ada.ok(&["hub", "mod", "purge", &ferry]);
    assert_eq!(texts(&ada.json(&["search", "ferry"])), ["ferry 2", "ferry 1", "ferry 0"]);
    // Whom one mutes is in none of them.
    ada.ok(&["mute", &bob.account()]);
    assert!(ada.json(&["search", "ferry"]).is_empty());
    assert!(ada.json(&both).is_empty());
    let mine = ada.ok(&["hub", "send", "Boats/plans", "tide tables"]);
    until("it came to the other", || {
        bob.sync(&node.ticket());
        texts(&bob.json(&["hub", "read", "Boats/plans"])).contains(&"tide tables".to_owned())
    });
    let refused = bob.run(&["hub", "message", "delete", &mine]);
    let hint = format!("mosaic hub report message {}", &mine[..8]);
    assert!(refused.code == 4 && refused.err.contains(&hint), "{}", refused.err);
    node.stop();
    assert_eq!(ada.json(&["store", "rebuild"])[0]["equal"], true);
}
