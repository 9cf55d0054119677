//! Searching and catching up, against a slow reference that reads everything.
#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

use mosaic_engine::model::entry::EntryRef;
use mosaic_engine::replica::{Catchup, Cursor, Found, GroupKind, Hit, MUTES, PostView};
use mosaic_engine::search::{Filter, Query, mentions};
use mosaic_engine::store::Table;
use proptest::prelude::*;

use super::*;

/// Accounts by the names that queries of these tests use.
type Names<'a> = &'a [(&'a str, AccountId)];

pub(super) fn filter(text: &str, names: Names<'_>) -> Filter {
    let who = |name: &str, _| names.iter().find(|(known, _)| *known == name).map(|(_, id)| *id);
    let query = Query::parse(text).unwrap();
    let place = |_: &str, _| Err(());
    let when = |text: &str, _| text.parse().map_err(drop);
    query.resolve(|name, at| who(name, at).ok_or(()), place, when).unwrap()
}

/// Posts and comments among what a search found.
pub(super) fn posts(found: Found) -> Vec<PostView> {
    let post = |hit| match hit {
        Hit::Wall(view) => Some(*view),
        Hit::Channel(_) => None,
    };
    found.hits.into_iter().filter_map(post).collect()
}

fn found(replica: &Replica, text: &str, names: Names<'_>) -> Vec<String> {
    let views = posts(replica.search(&filter(text, names), None, 1000).unwrap());
    views.into_iter().map(|view| said(&view)).collect()
}

fn said(view: &PostView) -> String {
    if let Text::Here(text) = &view.text { text.clone() } else { String::new() }
}

/// Everything that the views show, newest first: walls of all, and what is below each post.
fn everything(replica: &Replica, accounts: &[AccountId]) -> Vec<PostView> {
    let mut all = Vec::new();
    for account in accounts {
        let mut cursor = None;
        loop {
            let views = replica.wall(account, cursor, 7).unwrap();
            let Some(last) = views.last() else { break };
            cursor = Some(Cursor { time_ms: last.time_ms, id: last.id });
            for view in views {
                all.extend(replica.replies(&view.id, false, false).unwrap());
                all.push(view);
            }
        }
    }
    // A list of comments shows each where it stands; the claimed time is its own.
    let mut all: Vec<PostView> = all.iter().map(|view| replica.show(&view.id).unwrap()).collect();
    all.sort_by_key(|view| (!view.time_ms, view.id));
    let unseen = unseen(replica);
    all.retain(|view| !is_below(replica, view, &unseen));
    all
}

/// Whether a comment stands below one of somebody left out.
fn is_below(replica: &Replica, view: &PostView, unseen: &[AccountId]) -> bool {
    let mut above = view.target;
    while let Some(id) = above {
        let next = replica.show(&id).unwrap();
        if next.target.is_some() && unseen.contains(&next.account) {
            return true;
        }
        above = next.target;
    }
    false
}

fn unseen(replica: &Replica) -> Vec<AccountId> {
    [BLOCKS, MUTES].iter().flat_map(|list| replica.accounts_in(list).unwrap()).collect()
}

/// What a query is expected to find, by reading everything. It knows words of ASCII letters only.
fn expected(
    replica: &Replica,
    accounts: &[AccountId],
    text: &str,
    names: Names<'_>,
) -> Vec<ChangeId> {
    let unseen = unseen(replica);
    let filter = filter(text, names);
    let named: Vec<AccountId> = filter.from.clone();
    let fits = |view: &PostView| {
        let text = said(view).to_lowercase();
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let phrases = filter.phrases.iter().all(|(wanted, phrase)| {
            let sought: Vec<&str> = phrase.words.iter().collect();
            let here = words.windows(sought.len()).any(|window| {
                window.iter().zip(&sought).enumerate().all(|(n, (word, sought))| {
                    let open = phrase.open && n + 1 == window.len();
                    word == sought || (open && word.starts_with(sought))
                })
            });
            here == *wanted && view.text != Text::Missing
        });
        phrases
            && (named.is_empty() || named.contains(&view.account))
            && !filter.not_from.contains(&view.account)
            && view.time_ms >= filter.since_ms
            && filter.until_ms.is_none_or(|until| view.time_ms < until)
            && (filter.has.is_empty() || text.contains("https://"))
    };
    let all = everything(replica, accounts).into_iter().filter(|view| {
        let left_out = unseen.contains(&view.account) && !named.contains(&view.account);
        !view.deleted && view.repost.is_none() && !left_out && fits(view)
    });
    all.map(|view| view.id).collect()
}

const QUERIES: &[&str] = &[
    "river",
    "river ferry",
    "\"the river\"",
    "fer*",
    "-river",
    "ferry -late",
    "r* -\"the river\"",
    "from:ada",
    "from:bob river",
    "from:ada from:bob -from:carol",
    "has:link",
    "after:1700000000004 before:1700000000012",
    "before:0",
];

/// One thing that somebody does; what it is about is chosen by a number.
#[derive(Debug, Clone)]
enum Act {
    Post(usize, String),
    Comment(usize, usize, String),
    Quote(usize, usize, String),
    React(usize, usize),
    Edit(usize, usize, String),
    Delete(usize, usize),
    Hide(usize, usize, bool),
    Mute(usize, usize, bool),
    Give(usize, usize),
    Search(usize),
    Read(usize),
    Evict(usize, usize),
}

fn texts_of_words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "river",
        "the",
        "ferry",
        "Ferry",
        "late",
        "walk",
        "https://a.org",
        "rivers",
        "ADA",
    ]);
    prop::collection::vec(word, 0..5).prop_map(|words| format!("w {}", words.join(" ")))
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..4usize;
    let what = 0..64usize;
    prop_oneof![
        4 => (who.clone(), texts_of_words()).prop_map(|(a, t)| Act::Post(a, t)),
        4 => (who.clone(), what.clone(), texts_of_words()).prop_map(|(a, b, t)| Act::Comment(a, b, t)),
        1 => (who.clone(), what.clone(), texts_of_words()).prop_map(|(a, b, t)| Act::Quote(a, b, t)),
        2 => (who.clone(), what.clone()).prop_map(|(a, b)| Act::React(a, b)),
        3 => (who.clone(), what.clone(), texts_of_words()).prop_map(|(a, b, t)| Act::Edit(a, b, t)),
        2 => (who.clone(), what.clone()).prop_map(|(a, b)| Act::Delete(a, b)),
        2 => (who.clone(), what.clone(), any::<bool>()).prop_map(|(a, b, h)| Act::Hide(a, b, h)),
        1 => (who.clone(), 0..3usize, any::<bool>()).prop_map(|(a, b, m)| Act::Mute(a, b, m)),
        5 => (who.clone(), who.clone()).prop_map(|(a, b)| Act::Give(a, b)),
        2 => who.clone().prop_map(Act::Search),
        1 => who.clone().prop_map(Act::Read),
        1 => (who, 0..3usize).prop_map(|(a, b)| Act::Evict(a, b)),
    ]
}

/// Ada with two devices, Bob and Carol, each of whom follows the others.
fn everybody() -> (Vec<Replica>, Vec<AccountId>) {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (bob_at, bob) = person(3, "bob");
    let (carol_at, carol) = person(4, "carol");
    let accounts = vec![ada, bob, carol];
    let all = vec![laptop, phone, bob_at, carol_at];
    for replica in [&all[0], &all[2], &all[3]] {
        for account in accounts.iter().filter(|account| replica.account().ok() != Some(**account)) {
            replica.follow(*account, None, NOW).unwrap();
        }
    }
    for _ in 0..2 {
        for from in &all {
            for to in all.iter().filter(|to| to.own_device() != from.own_device()) {
                give(from, to);
            }
        }
    }
    (all, accounts)
}

fn run(all: &[Replica], accounts: &[AccountId], act: &Act, now: u64) {
    let chosen = |at: usize, n: usize| {
        let seen = everything(&all[at], accounts);
        (!seen.is_empty()).then(|| seen[n % seen.len()].id)
    };
    match act {
        Act::Post(at, text) => drop(all[*at].post(draft(text), None, now)),
        Act::Comment(at, n, text) => {
            chosen(*at, *n).map(|id| all[*at].reply(id, draft(text), now));
        }
        Act::Quote(at, n, text) => {
            if let Some(entry) = chosen(*at, *n) {
                let account = all[*at].show(&entry).unwrap().account;
                let _ = all[*at].post(draft(text), Some(EntryRef { account, entry }), now);
            }
        }
        Act::React(at, n) => drop(chosen(*at, *n).map(|id| all[*at].react(id, "👍", now))),
        Act::Edit(at, n, text) => drop(chosen(*at, *n).map(|id| all[*at].edit(id, text, now))),
        Act::Delete(at, n) => drop(chosen(*at, *n).map(|id| all[*at].delete(id, now))),
        Act::Hide(at, n, hidden) => {
            drop(chosen(*at, *n).map(|id| all[*at].hide(id, *hidden, now)));
        }
        Act::Mute(at, whom, muted) => {
            let (account, me) = (accounts[*whom], all[*at].account().unwrap());
            if account != me {
                drop(all[*at].set_listed(MUTES, account, *muted, now));
            }
        }
        Act::Give(from, to) if from != to => drop(give(&all[*from], &all[*to])),
        Act::Give(..) => {}
        Act::Search(at) => drop(all[*at].search(&filter("river", &[]), None, 3).unwrap()),
        Act::Read(at) => {
            let unread = all[*at].catchup(1).unwrap();
            let _ = all[*at].mark_caught_up(&unread, now);
        }
        Act::Evict(at, whom) => drop(all[*at].evict_page(&accounts[*whom], 0)),
    }
}

fn check(replica: &Replica, accounts: &[AccountId], names: Names<'_>) {
    for query in QUERIES {
        let wanted = expected(replica, accounts, query, names);
        let sought = filter(query, names);
        let views = posts(replica.search(&sought, None, usize::MAX).unwrap());
        let ids: Vec<ChangeId> = views.iter().map(|view| view.id).collect();
        assert_eq!(ids, wanted, "{query}");
        for view in &views {
            assert_eq!(*view, replica.show(&view.id).unwrap());
        }
        // Page by page it is the same.
        let mut paged = Vec::new();
        let mut cursor = None;
        loop {
            let page = posts(replica.search(&sought, cursor, 2).unwrap());
            let Some(last) = page.last() else { break };
            cursor = Some(replica.cursor_at(&last.id).unwrap());
            paged.extend(page.iter().map(|view| view.id));
        }
        assert_eq!(paged, wanted, "{query}, in pages");
    }
}

/// Counts what is unread by reading everything.
fn check_unread(replica: &Replica, accounts: &[AccountId]) {
    let me = replica.account().unwrap();
    let unseen = unseen(replica);
    let unread = replica.catchup(3).unwrap();
    let all = everything(replica, accounts);
    let seen =
        |view: &PostView| !view.deleted && view.account != me && !unseen.contains(&view.account);
    let author = |id: &ChangeId| replica.show(id).ok().map(|view| view.account);
    let answers = |view: &PostView| view.target.and_then(|id| author(&id)) == Some(me);
    let named = |view: &PostView| mentions(&said(view), &me);
    let since = |kind| group(&unread, kind).since_ms;
    let count = |kind, fits: &dyn Fn(&PostView) -> bool| {
        let new = all.iter().filter(|view| view.time_ms > since(kind) && seen(view) && fits(view));
        new.count() as u64
    };
    let posts = count(GroupKind::Posts, &|view| view.target.is_none());
    let replies = count(GroupKind::Replies, &answers);
    let mentions = count(GroupKind::Mentions, &|view| named(view) && !answers(view));
    let quotes = count(GroupKind::Quotes, &|view| {
        let of_me = view.quote.or(view.repost).is_some_and(|quote| quote.account == me);
        of_me && !named(view)
    });
    for (kind, expected) in [
        (GroupKind::Posts, posts),
        (GroupKind::Replies, replies),
        (GroupKind::Mentions, mentions),
        (GroupKind::Quotes, quotes),
    ] {
        let group = group(&unread, kind);
        assert_eq!(group.count, expected, "{kind:?}");
        assert_eq!(group.items.len() as u64, expected.min(3), "{kind:?}");
    }
    if since(GroupKind::Reactions) == 0 {
        let mine = all.iter().filter(|view| view.account == me && !view.deleted);
        let given = mine.flat_map(|view| view.reactions.values().flatten());
        let others = given.filter(|account| **account != me && !unseen.contains(account));
        assert_eq!(group(&unread, GroupKind::Reactions).count, others.count() as u64);
    }
}

fn group(unread: &Catchup, kind: GroupKind) -> &mosaic_engine::replica::Group {
    unread.groups.iter().find(|group| group.kind == kind).unwrap()
}

#[test]
fn what_was_given_up_leaves_nothing_in_the_index() {
    let (laptop, ada) = person(1, "laptop");
    let (bob_at, bob) = person(3, "bob");
    let (carol_at, _) = person(4, "carol");
    for replica in [&bob_at, &carol_at] {
        replica.follow(ada, None, NOW).unwrap();
    }
    carol_at.follow(bob, None, NOW).unwrap();
    let first = laptop.post(draft("a river"), None, NOW).unwrap();
    let second = laptop.post(draft("a ferry"), None, NOW).unwrap();
    laptop.edit(second, "two ferries", NOW + 1).unwrap();
    give(&laptop, &bob_at);
    bob_at.reply(first, draft("a lake"), NOW + 2).unwrap();
    bob_at.reply(second, draft("an oar"), NOW + 2).unwrap();
    let equal = |replica: &Replica, when: &str| {
        let rebuilt = replica.rebuild_index().unwrap();
        assert!(rebuilt.equal, "{when}: {rebuilt:?}");
    };
    for (n, from) in [&laptop, &bob_at, &laptop].into_iter().enumerate() {
        // The changes come before the texts, and are indexed in between.
        give_changes(from, &carol_at);
        let _ = found(&carol_at, "river", &[]);
        equal(&carol_at, "without texts");
        match n {
            0 => drop(laptop.delete(second, NOW + 3).unwrap()),
            1 => drop(give(&laptop, &carol_at)),
            _ => drop(give(&bob_at, &carol_at)),
        };
        give_changes(&laptop, &carol_at);
        equal(&carol_at, "one of them withdrawn");
    }
    for replica in [&bob_at, &carol_at] {
        let _ = found(replica, "lake", &[]);
        replica.evict_page(&ada, 0).unwrap();
        equal(replica, "given up");
        give_changes(&laptop, replica);
        let _ = found(replica, "lake", &[]);
        replica.evict_page(&ada, 0).unwrap();
        let _ = found(replica, "lake", &[]);
        assert!(!holds(replica, Table::Rows, b"sw"), "nothing waits for a text");
        equal(replica, "given up before the texts came");
    }
}

#[test]
fn a_reaction_that_came_before_its_post_is_known_to_answer_it() {
    let (all, accounts) = everybody();
    let post = Act::Post(0, "w ".into());
    let acts = [post, Act::Give(0, 2), Act::React(2, 6), Act::Evict(2, 0), Act::Give(2, 3)];
    for (n, act) in acts.iter().enumerate() {
        run(&all, &accounts, act, NOW + n as u64);
    }
    let _ = all[3].search(&filter("w", &[]), None, 1).unwrap();
    let _ = (give(&all[0], &all[2]), give(&all[0], &all[3]));
    for replica in &all {
        let rebuilt = replica.rebuild_index().unwrap();
        assert!(rebuilt.equal, "{rebuilt:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn what_is_found_is_what_is_shown(acts in prop::collection::vec(act(), 1..40)) {
        let (all, accounts) = everybody();
        let names = [("ada", accounts[0]), ("bob", accounts[1]), ("carol", accounts[2])];
        for (n, act) in acts.iter().enumerate() {
            run(&all, &accounts, act, NOW + n as u64);
        }
        for replica in &all {
            check(replica, &accounts, &names);
            check_unread(replica, &accounts);
            // Some have given up pages, and have not got them again.
            let rebuilt = replica.rebuild_index().unwrap();
            assert!(rebuilt.equal, "{rebuilt:?}");
        }
        for _ in 0..3 {
            for from in &all {
                for to in all.iter().filter(|to| to.own_device() != from.own_device()) {
                    give(from, to);
                }
            }
        }
        for replica in &all {
            check(replica, &accounts, &names);
            check_unread(replica, &accounts);
            sound(replica);
            let rebuilt = replica.rebuild_index().unwrap();
            assert!(rebuilt.equal, "{rebuilt:?}");
            check(replica, &accounts, &names);
        }
        for query in QUERIES {
            assert_eq!(
                found(&all[0], query, &names),
                found(&all[1], query, &names),
                "{query} on two devices"
            );
        }
        let counts = |replica: &Replica| {
            let unread = replica.catchup(0).unwrap();
            unread.groups.into_iter().map(|group| group.count).collect::<Vec<_>>()
        };
        assert_eq!(counts(&all[0]), counts(&all[1]));
    }
}

/// Whether bytes are anywhere in the rows of the store, keys and values.
fn holds(replica: &Replica, table: Table, word: &[u8]) -> bool {
    let mut found = false;
    let has = |bytes: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    replica.dump(&mut |t, key, value| found |= t == table && (has(key) || has(value))).unwrap();
    found
}

#[test]
fn what_is_deleted_leaves_the_index_in_the_same_commit() {
    let (laptop, ada) = person(1, "laptop");
    let post = laptop.post(draft("the zeppelin landed"), None, NOW).unwrap();
    assert_eq!(found(&laptop, "zeppelin", &[]).len(), 1);
    assert!(holds(&laptop, Table::Rows, b"zeppelin"));
    laptop.delete(post, NOW + 1).unwrap();
    // Nobody searched in between: the commit itself took it out.
    for table in Table::ALL {
        assert!(!holds(&laptop, table, b"zeppelin"), "{table}");
    }
    assert!(found(&laptop, "zeppelin", &[]).is_empty());
    assert!(found(&laptop, "from:ada", &[("ada", ada)]).is_empty());
}

#[test]
fn what_is_hidden_leaves_the_index_and_comes_back() {
    let (laptop, ada) = person(1, "laptop");
    let (bob_at, _) = person(3, "bob");
    bob_at.subscribe(Subscription::whole(ada)).unwrap();
    let post = laptop.post(draft("hello"), None, NOW).unwrap();
    give(&laptop, &bob_at);
    let comment = bob_at.reply(post, draft("a zeppelin"), NOW + 1).unwrap();
    let below = bob_at.reply(comment, draft("two zeppelins"), NOW + 2).unwrap();
    give(&bob_at, &laptop);
    assert_eq!(found(&laptop, "zeppelin*", &[]), ["two zeppelins", "a zeppelin"]);
    laptop.hide(comment, true, NOW + 3).unwrap();
    assert!(!holds(&laptop, Table::Rows, b"zeppelin\0"));
    // Below what is hidden nothing is shown, and nothing is found.
    assert!(found(&laptop, "zeppelin*", &[]).is_empty());
    laptop.hide(comment, false, NOW + 4).unwrap();
    assert_eq!(found(&laptop, "zeppelin*", &[]), ["two zeppelins", "a zeppelin"]);
    laptop.hide(below, true, NOW + 5).unwrap();
    assert_eq!(found(&laptop, "zeppelin*", &[]), ["a zeppelin"]);
}

#[test]
fn what_a_revoked_device_hid_and_wrote_follows_its_standing() {
    let (laptop, ada) = person(1, "laptop");
    let phone = link(&laptop, 2, "phone");
    let (bob_at, _) = person(3, "bob");
    bob_at.subscribe(Subscription::whole(ada)).unwrap();
    let post = laptop.post(draft("hello"), None, NOW).unwrap();
    give(&laptop, &bob_at);
    let comment = bob_at.reply(post, draft("a zeppelin"), NOW + 1).unwrap();
    give(&bob_at, &laptop);
    give(&laptop, &phone);
    // The phone is lost; whoever has it hides the comment and posts.
    phone.hide(comment, true, NOW + 3).unwrap();
    phone.post(draft("thief"), None, NOW + 3).unwrap();
    give(&phone, &bob_at);
    assert!(found(&bob_at, "zeppelin", &[]).is_empty());
    assert_eq!(found(&bob_at, "thief", &[]), ["thief"]);
    laptop.suspend_device(phone.own_device(), true, NOW + 4).unwrap();
    give(&laptop, &bob_at);
    assert_eq!(found(&bob_at, "zeppelin", &[]), ["a zeppelin"]);
    assert!(found(&bob_at, "thief", &[]).is_empty());
    laptop.suspend_device(phone.own_device(), false, NOW + 5).unwrap();
    give(&laptop, &bob_at);
    assert!(found(&bob_at, "zeppelin", &[]).is_empty());
    assert_eq!(found(&bob_at, "thief", &[]), ["thief"]);
    laptop.revoke_device(phone.own_device(), "lost", NOW + 6).unwrap();
    give(&laptop, &bob_at);
    let rebuilt = bob_at.rebuild_index().unwrap();
    assert!(rebuilt.equal);
}

#[test]
fn an_edit_replaces_the_text_that_is_found() {
    let (laptop, _) = person(1, "laptop");
    let post = laptop.post(draft("crème brûlée 東京都"), None, NOW).unwrap();
    for query in ["CREME", "brule*", "東京", "京都", "\"creme brulee\""] {
        assert_eq!(found(&laptop, query, &[]).len(), 1, "{query}");
    }
    laptop.edit(post, "tarte", NOW + 1).unwrap();
    assert!(found(&laptop, "creme", &[]).is_empty());
    assert_eq!(found(&laptop, "tarte is:edited", &[]), ["tarte"]);
}

#[test]
fn a_crash_at_any_step_parts_nothing() {
    let base = Arc::new(MemoryStore::new());
    let open = |store: Arc<dyn Store>| {
        let secret = DeviceSecret::generate(&SeededEntropy::new(1001));
        let options = ReplicaOptions { secret: Some(secret), fresh_incarnation: false };
        Replica::open(store, Arc::new(SeededEntropy::new(9)), options)
    };
    let first = Replica::open(
        base.clone(),
        Arc::new(SeededEntropy::new(8)),
        ReplicaOptions { secret: None, fresh_incarnation: false },
    )
    .unwrap();
    let secret = DeviceSecret::generate(&SeededEntropy::new(1001));
    let ada = first.create_account(secret, "laptop", [7; 32], NOW).unwrap();
    let gone = first.post(draft("zeppelin"), None, NOW).unwrap();
    first.settle_index().unwrap();
    let faults = [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail];
    for (n, fault) in (0..).zip(faults.into_iter().cycle()) {
        let faulty = Arc::new(Faulty::new(base.snapshot()).failing(n, fault));
        let mut deleted = false;
        if let Ok(laptop) = open(faulty.clone()) {
            let _ = laptop.post(draft("river"), None, NOW + 1);
            let _ = laptop.search(&filter("river", &[]), None, 9);
            deleted = laptop.delete(gone, NOW + 2).is_ok();
            let _ = laptop.search(&filter("zeppelin", &[]), None, 9);
        }
        let again = open(Arc::new(faulty.inner().snapshot())).unwrap();
        if deleted {
            assert!(!holds(&again, Table::Rows, b"zeppelin"), "crash at {n}");
        }
        check(&again, &[ada], &[("ada", ada), ("bob", ada), ("carol", ada)]);
        assert!(again.rebuild_index().unwrap().equal, "crash at {n}");
        if !faulty.struck() {
            break;
        }
    }
}

#[test]
fn a_mark_made_on_one_device_is_read_on_the_other() {
    let (all, _) = everybody();
    let [laptop, phone, bob_at, _] = all.as_slice() else { panic!("four") };
    let ada = laptop.account().unwrap();
    let post = laptop.post(draft("hello"), None, NOW + 1).unwrap();
    give(laptop, bob_at);
    bob_at.reply(post, draft("hi"), NOW + 2).unwrap();
    bob_at.post(draft(&format!("ask @{}", ada.short())), None, NOW + 3).unwrap();
    bob_at.react(post, "👍", NOW + 4).unwrap();
    give(bob_at, laptop);
    give(laptop, phone);
    give(bob_at, phone);
    let counts = |replica: &Replica| {
        let unread = replica.catchup(9).unwrap();
        unread.groups.into_iter().map(|group| group.count).collect::<Vec<_>>()
    };
    assert_eq!(counts(laptop), [1, 1, 1, 0, 1]);
    assert_eq!(counts(phone), [1, 1, 1, 0, 1]);
    laptop.mark_caught_up(&laptop.catchup(0).unwrap(), NOW + 5).unwrap();
    give(laptop, phone);
    assert_eq!(counts(phone), [0, 0, 0, 0, 0]);
    assert_eq!(phone.feed_read_ms().unwrap(), NOW + 3);
    // What comes later is unread on both again.
    bob_at.reply(post, draft("still there?"), NOW + 9).unwrap();
    give(bob_at, phone);
    assert_eq!(counts(phone), [0, 1, 0, 0, 0]);
}
