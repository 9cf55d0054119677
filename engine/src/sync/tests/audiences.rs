//! Audiences over whole replicas: whom a post is for reads it in his feed, and nobody else.

use super::conversations::prekeys::{copied, open, tend};
use super::conversations::{network, run};
use super::replicas::{Home, NOW, draft, link, person, texts};
use crate::description::{Description, Section, SectionClass, Space};
use crate::hash::{AccountId, ChangeId, ConversationId};
use crate::limits::PREKEY_AGE_MS_MAX;
use crate::model::entry::{ConversationGenesis, Entry, Membership};
use crate::replica::{ConversationStanding, EngineError, Replica, Subscription, Text, Work};
use crate::store::{Table, keys};
use crate::sync::exchange::Exchange;
use crate::sync::sim::Network;

const FRIENDS: &str = "list:friends";

/// Texts of a feed or wall, newest first, with whom each is for.
fn marked(posts: Vec<crate::replica::PostView>) -> Vec<(String, Option<String>)> {
    let shown = posts.into_iter().map(|post| match post.text {
        Text::Here(text) => (text, post.audience),
        other => (format!("{other:?}"), post.audience),
    });
    shown.collect()
}

fn feed(home: &Home) -> Vec<String> {
    marked(home.replica.feed(None, 1000).unwrap()).into_iter().map(|(text, _)| text).collect()
}

/// Lets the author's node learn whose devices somebody has, as following him does.
fn village(seed: u64, others: u64) -> (Network<Home>, Vec<AccountId>) {
    let people: Vec<_> = (0..=others).map(|n| person(seed + n, "laptop")).collect();
    let accounts: Vec<AccountId> = people.iter().map(|(_, account)| *account).collect();
    let ada = &people[0].0.replica;
    for (home, account) in &people[1..] {
        home.replica.follow(accounts[0], None, NOW).unwrap();
        ada.follow(*account, None, NOW).unwrap();
    }
    let mut network = network(seed, people.into_iter().map(|(home, _)| home).collect());
    for n in 1..=others as usize {
        network.connect(0, n);
    }
    run(&mut network);
    (network, accounts)
}

pub(super) fn settle(network: &mut Network<Home>) {
    for _ in 0..3 {
        network.refresh();
        run(network);
    }
}

fn post(replica: &Replica, id: &ConversationId, text: &str, now: u64) -> ChangeId {
    replica.post_to(None, id, text, now).unwrap()
}

#[test]
fn who_is_in_it_reads_it_in_his_feed_and_nobody_else() {
    let (mut network, people) = village(400, 2);
    let ada = &network.parties[0].replica;
    let id = ada.create_audience(FRIENDS, NOW + 1).unwrap();
    ada.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    ada.post(draft("for all".into()), None, NOW + 3).unwrap();
    let limited = post(ada, &id, "for friends", NOW + 4);
    ada.post(draft("for all again".into()), None, NOW + 5).unwrap();
    settle(&mut network);
    let own = marked(network.parties[0].replica.wall(&people[0], None, 10).unwrap());
    let both = ["for all again", "for friends", "for all"];
    assert_eq!(own.iter().map(|(text, _)| text).collect::<Vec<_>>(), both);
    assert_eq!(own[1].1.as_deref(), Some(FRIENDS));
    let read = marked(network.parties[1].replica.feed(None, 10).unwrap());
    assert_eq!(read.iter().map(|(text, _)| text).collect::<Vec<_>>(), both);
    assert_eq!(read[1].1.as_deref(), Some("limited"));
    assert_eq!(feed(&network.parties[2]), ["for all again", "for all"]);
    assert!(network.parties[2].replica.show(&limited).is_err());
    assert!(network.parties[1].replica.conversations().unwrap().is_empty());
    // A list that goes on shows each once.
    for home in &network.parties[..2] {
        let (mut cursor, mut seen) = (None, Vec::new());
        loop {
            let part = home.replica.feed(cursor, 1).unwrap();
            let Some(last) = part.last() else { break };
            cursor = Some(crate::replica::Cursor { time_ms: last.time_ms, id: last.id });
            seen.extend(marked(part).into_iter().map(|(text, _)| text));
        }
        assert_eq!(seen, both);
    }
    // Somebody who follows no more does not see it; once he follows again he does.
    let bob = &network.parties[1].replica;
    bob.set_listed(crate::replica::FOLLOWS, people[0], false, NOW + 6).unwrap();
    assert!(bob.show(&limited).is_err());
    bob.follow(people[0], None, NOW + 7).unwrap();
    assert!(bob.show(&limited).is_ok());
}

#[test]
fn edits_and_deletions_reach_readers() {
    let (mut network, people) = village(410, 1);
    let ada = &network.parties[0].replica;
    let id = ada.create_audience("followers", NOW + 1).unwrap();
    ada.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    let first = post(ada, &id, "frist", NOW + 3);
    let second = post(ada, &id, "regretted", NOW + 4);
    ada.edit(first, "first", NOW + 5).unwrap();
    ada.edit(second, "still regretted", NOW + 6).unwrap();
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), ["still regretted", "first"]);
    assert_eq!(network.parties[1].replica.history(&first).unwrap().len(), 2);
    network.parties[0].replica.delete(second, NOW + 7).unwrap();
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), ["Deleted", "first"]);
    let bob = &network.parties[1].replica;
    for denied in [
        bob.reply(first, draft("hello".into()), NOW + 8).map(drop),
        bob.react(first, "👍", NOW + 8).map(drop),
        bob.repost(None, first, NOW + 8).map(drop),
        bob.edit(first, "mine", NOW + 8).map(drop),
        bob.delete(first, NOW + 8).map(drop),
    ] {
        assert!(matches!(denied, Err(EngineError::Denied(_))), "{denied:?}");
    }
    for home in &network.parties {
        assert!(home.replica.verify().unwrap().problems.is_empty());
    }
}

#[test]
fn whom_the_author_blocks_reads_nothing_more() {
    let (mut network, people) = village(470, 2);
    let ada = &network.parties[0].replica;
    let id = ada.create_audience(FRIENDS, NOW + 1).unwrap();
    ada.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    ada.change_reader(&id, people[2], true, false, NOW + 2).unwrap();
    post(ada, &id, "before", NOW + 3);
    // Another device blocked him, which knew nothing of the audience: nobody took him out.
    ada.set_listed(crate::replica::BLOCKS, people[1], true, NOW + 4).unwrap();
    let denied = ada.change_reader(&id, people[1], true, false, NOW + 5);
    assert!(matches!(denied, Err(EngineError::Denied(_))), "{denied:?}");
    post(ada, &id, "after", NOW + 6);
    assert_eq!(ada.audiences().unwrap()[0].members, [people[2]]);
    settle(&mut network);
    assert_eq!(feed(&network.parties[2]), ["after", "before"]);
}

#[test]
fn an_empty_audience_is_told_to_nobody_and_a_withdrawn_post_stays_so() {
    let (mut network, people) = village(480, 2);
    let ada = &network.parties[0].replica;
    let id = ada.create_audience(FRIENDS, NOW + 1).unwrap();
    for refused in ["public", "list:public", "list:me", "list:followers", "list:limited"] {
        assert!(ada.create_audience(refused, NOW + 1).is_err(), "{refused}");
    }
    settle(&mut network);
    for home in &network.parties[1..] {
        let kept = home.replica.conversations_kept(&mut home.replica.lock()).unwrap();
        assert!(kept.is_empty(), "told of an audience that nobody is in");
    }
    let ada = &network.parties[0].replica;
    ada.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    let regretted = post(ada, &id, "regretted", NOW + 3);
    ada.delete(regretted, NOW + 4).unwrap();
    let edited = ada.edit(regretted, "again", NOW + 5);
    assert!(matches!(edited, Err(EngineError::Invalid(_))), "{edited:?}");
}

#[test]
fn who_comes_later_reads_from_then_on_or_all_of_it() {
    let (mut network, people) = village(420, 3);
    let ada = &network.parties[0].replica;
    let id = ada.create_audience(FRIENDS, NOW + 1).unwrap();
    ada.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    post(ada, &id, "one", NOW + 3);
    ada.change_reader(&id, people[2], true, false, NOW + 4).unwrap();
    ada.change_reader(&id, people[3], true, true, NOW + 4).unwrap();
    post(ada, &id, "two", NOW + 5);
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), ["two", "one"]);
    assert_eq!(feed(&network.parties[2]), ["two"]);
    assert_eq!(feed(&network.parties[3]), ["two", "one"]);
    let ada = &network.parties[0].replica;
    let views = ada.audiences().unwrap();
    assert_eq!((views.len(), views[0].posts, views[0].members.len()), (1, 2, 3));
    assert!(ada.change_reader(&id, people[3], true, false, NOW + 6).is_err());
}

#[test]
fn who_was_taken_out_reads_nothing_new() {
    let (mut network, people) = village(430, 2);
    let phone = link(&network.parties[0], 435, "phone");
    network.parties.push(phone);
    let line = network.connect(0, 3);
    let ada = &network.parties[0].replica;
    let id = ada.create_audience(FRIENDS, NOW + 1).unwrap();
    for account in &people[1..] {
        ada.change_reader(&id, *account, true, false, NOW + 2).unwrap();
    }
    post(ada, &id, "one", NOW + 3);
    settle(&mut network);
    network.parties[0].replica.mend_conversations(NOW + 4).unwrap();
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), ["one"]);
    assert_eq!(feed(&network.parties[3]), ["one"]);
    // On one device he is taken out, on the other somebody else is at the same time.
    network.disconnect(line);
    let (laptop, phone) = (&network.parties[0].replica, &network.parties[3].replica);
    laptop.change_reader(&id, people[1], false, false, NOW + 5).unwrap();
    let two = post(laptop, &id, "two", NOW + 6);
    phone.change_reader(&id, people[1], false, false, NOW + 5).unwrap();
    phone.change_reader(&id, people[2], false, false, NOW + 5).unwrap();
    let three = post(phone, &id, "three", NOW + 7);
    network.connect(0, 3);
    network.connect(1, 3);
    settle(&mut network);
    assert_eq!(feed(&network.parties[0]), ["three", "two", "one"]);
    assert_eq!(feed(&network.parties[3]), ["three", "two", "one"]);
    let four = post(&network.parties[3].replica, &id, "four", NOW + 8);
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), ["one"]);
    // Of what was posted where nobody knew yet that he is out he may have read.
    assert!(!feed(&network.parties[2]).contains(&"four".to_owned()));
    for id in [two, three, four] {
        assert!(network.parties[1].replica.show(&id).is_err());
    }
    assert!(opens_for(&network, 1, &id, &[two, three, four]).is_empty());
    assert!(opens_for(&network, 2, &id, &[three, four]).is_empty());
}

/// Which of these posts somebody could open if he had all bytes: with all keys for his devices
/// that the author's node holds.
fn opens_for(
    network: &Network<Home>,
    who: usize,
    id: &ConversationId,
    posts: &[ChangeId],
) -> Vec<ChangeId> {
    let (author, reader) = (&network.parties[0].replica, &network.parties[who].replica);
    let device = reader.device().unwrap();
    let (kept, talk) = author.known_conversation(&mut author.lock(), id).unwrap();
    let space = Space::Conversation(*id).id();
    let mut hints = Vec::new();
    for (epoch, known) in talk.epochs.iter().chain(&talk.lost) {
        for (_, copy) in known.wraps.get(&device).into_iter().flatten() {
            if reader.opens_copy(copy, epoch, &space) {
                hints.push(crate::seal::hint_of(epoch));
            }
        }
    }
    assert!(kept.genesis.audience && !hints.is_empty());
    let sealed_with = |post: &&ChangeId| {
        let (_, entry) = author.entry(post).unwrap().unwrap();
        let Entry::Sealed(sealed) = entry else { panic!("{entry:?}") };
        hints.contains(&sealed.entry.epoch)
    };
    posts.iter().filter(sealed_with).copied().collect()
}

#[test]
fn devices_that_are_linked_later_read_all_and_revoked_ones_nothing_new() {
    let (mut network, people) = village(440, 1);
    let ada = &network.parties[0].replica;
    let id = ada.create_audience(FRIENDS, NOW + 1).unwrap();
    let me = ada.create_audience("me", NOW + 1).unwrap();
    ada.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    assert!(ada.change_reader(&me, people[1], true, false, NOW + 2).is_err());
    post(ada, &id, "one", NOW + 3);
    post(ada, &me, "diary", NOW + 4);
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), ["one"]);
    let own = link(&network.parties[0], 445, "phone");
    let theirs = link(&network.parties[1], 446, "phone");
    network.parties.extend([own, theirs]);
    let lines = [(0, 2), (1, 3)].map(|(a, b)| network.connect(a, b));
    settle(&mut network);
    // Whom somebody follows his new device knows once it was in sync.
    for line in lines {
        network.disconnect(line);
    }
    for (a, b) in [(0, 2), (1, 3)] {
        network.connect(a, b);
    }
    settle(&mut network);
    let lacks = |network: &Network<Home>| {
        [1, 2, 3].map(|at| {
            let replica = &network.parties[at].replica;
            replica.posts_without_key(&replica.feed_accounts().unwrap()).unwrap()
        })
    };
    assert_eq!(lacks(&network), [0, 2, 1]);
    network.parties[0].replica.mend_conversations(NOW + 5).unwrap();
    settle(&mut network);
    assert_eq!(lacks(&network), [0, 0, 0]);
    assert_eq!(feed(&network.parties[2]), ["diary", "one"]);
    assert_eq!(feed(&network.parties[3]), ["one"]);
    // Doing it again writes nothing.
    let section = Section { space: Space::Conversation(id).id(), class: SectionClass::Private };
    let before = network.parties[0].replica.digest(&section).unwrap();
    network.parties[0].replica.mend_conversations(NOW + 6).unwrap();
    assert_eq!(network.parties[0].replica.digest(&section).unwrap(), before);
    let lost = network.parties[3].replica.device().unwrap();
    network.parties[1].replica.revoke_device(lost, "lost", NOW + 7).unwrap();
    settle(&mut network);
    let two = post(&network.parties[0].replica, &id, "two", NOW + 8);
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), ["two", "one"]);
    assert!(!feed(&network.parties[3]).contains(&"two".to_owned()));
    assert!(opens_for(&network, 3, &id, &[two]).is_empty());
}

#[test]
fn what_a_reader_writes_there_is_refused() {
    let (mut network, people) = village(450, 2);
    let ada = &network.parties[0].replica;
    let id = ada.create_audience(FRIENDS, NOW + 1).unwrap();
    ada.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    post(ada, &id, "one", NOW + 3);
    settle(&mut network);
    let bob = &network.parties[1].replica;
    assert!(matches!(bob.post_to(None, &id, "mine", NOW + 4), Err(EngineError::Denied(_))));
    assert!(bob.change_reader(&id, people[2], true, false, NOW + 4).is_err());
    let denied = super::conversations::say(bob, &id, "mine", NOW + 4);
    assert!(matches!(denied, Err(EngineError::Denied(_))));
    // A page that he writes all the same, and in which he lets somebody in.
    let page = Description::conversation(id, people[1], 0);
    let change = Membership { account: people[2], round: 9, present: true, cut: Vec::new() };
    let mut state = bob.lock();
    let mut work = Work::default();
    let entry = Entry::Membership(Box::new(change));
    bob.append(&mut state, &mut work, &page, entry, NOW + 5).unwrap();
    bob.finish(state, work).unwrap();
    settle(&mut network);
    let pages = |home: &Home| {
        let mut state = home.replica.lock();
        home.replica.documents(&mut state, &Space::Conversation(id).id()).unwrap().len()
    };
    assert_eq!(pages(&network.parties[0]), 1);
    assert_eq!(pages(&network.parties[2]), 0);
    for home in &network.parties[..2] {
        let mut state = home.replica.lock();
        let (_, talk) = home.replica.known_conversation(&mut state, &id).unwrap();
        assert!(!talk.is_member(&people[2]));
    }
}

#[test]
fn devices_that_make_one_of_the_same_name_make_the_same_one() {
    let (laptop, _) = person(460, "laptop");
    let phone = link(&laptop, 465, "phone");
    let mut network = network(460, vec![laptop, phone]);
    let line = network.connect(0, 1);
    run(&mut network);
    network.disconnect(line);
    let made = [0, 1].map(|n: usize| {
        let replica = &network.parties[n].replica;
        let id = replica.create_audience(FRIENDS, NOW + 1).unwrap();
        post(replica, &id, ["left", "right"][n], NOW + 2 + n as u64);
        assert_eq!(replica.create_audience(FRIENDS, NOW + 3).unwrap(), id);
        id
    });
    assert_eq!(made[0], made[1]);
    network.connect(0, 1);
    settle(&mut network);
    for home in &network.parties {
        home.replica.mend_conversations(NOW + 5).unwrap();
    }
    settle(&mut network);
    for home in &network.parties {
        assert_eq!(feed(home), ["right", "left"]);
        assert_eq!(home.replica.audiences().unwrap().len(), 1);
    }
    for name in
        ["", "friends", "list:", "list: x", "list:a\nb", &format!("list:{}", "x".repeat(65))]
    {
        let refused = network.parties[0].replica.create_audience(name, NOW + 4);
        assert!(matches!(refused, Err(EngineError::Invalid(_))), "{name}");
    }
}

#[test]
fn who_carries_it_cannot_read_it_and_strangers_learn_of_nothing() {
    const CANARY: &str = "canary-for-friends-4e7b";
    const CONTROL: &str = "canary-for-all-88c0";
    const NAME: &str = "canary-of-a-name-19";
    let (ada, author) = person(470, "laptop");
    let (bob, reader) = person(471, "pc");
    let (relay, _) = person(472, "relay");
    let (stranger, _) = person(473, "stranger");
    let (theirs, _) = person(474, "their relay");
    for home in [&relay, &stranger] {
        home.replica.subscribe(Subscription::whole(author)).unwrap();
    }
    theirs.replica.subscribe(Subscription::whole(reader)).unwrap();
    ada.replica.follow(reader, None, NOW).unwrap();
    bob.replica.follow(author, None, NOW).unwrap();
    ada.replica.set_keeper(&relay.replica.device().unwrap(), true).unwrap();
    bob.replica.set_keeper(&relay.replica.device().unwrap(), true).unwrap();
    bob.replica.set_keeper(&theirs.replica.device().unwrap(), true).unwrap();
    relay.replica.subscribe(Subscription::whole(reader)).unwrap();
    let mut network = network(470, vec![ada, bob, relay, stranger, theirs]);
    // Author and reader never meet.
    for (a, b) in [(0, 2), (1, 2), (2, 3), (0, 3), (1, 4), (1, 3)] {
        network.connect(a, b);
    }
    run(&mut network);
    let ada = &network.parties[0].replica;
    ada.post(draft(CONTROL.into()), None, NOW + 1).unwrap();
    let id = ada.create_audience(&format!("list:{NAME}"), NOW + 2).unwrap();
    ada.change_reader(&id, reader, true, false, NOW + 3).unwrap();
    post(ada, &id, CANARY, NOW + 4);
    settle(&mut network);
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), [CANARY, CONTROL]);
    let found = |home: &Home, text: &str| {
        let mut count = 0;
        home.replica
            .dump(&mut |_, key, value| {
                let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|w| w == text.as_bytes());
                count += usize::from(holds(key) || holds(value));
            })
            .unwrap();
        count
    };
    let pages = |home: &Home| {
        let mut state = home.replica.lock();
        home.replica.documents(&mut state, &Space::Conversation(id).id()).unwrap().len()
    };
    for home in &network.parties[2..4] {
        assert!(found(home, CONTROL) > 0);
    }
    for home in &network.parties[2..] {
        assert_eq!((found(home, CANARY), found(home, NAME)), (0, 0));
        assert!(!texts(&home.replica, &author).iter().any(|(_, text)| text.contains(CANARY)));
    }
    // The reader does not learn what the author calls it.
    assert_eq!(found(&network.parties[1], NAME), 0);
    assert_eq!(pages(&network.parties[2]), 1);
    assert_eq!(pages(&network.parties[4]), 1, "who keeps the reader carries what he may read");
    assert_eq!(pages(&network.parties[3]), 0);
    let section = Section { space: Space::Conversation(id).id(), class: SectionClass::Private };
    let stranger = network.parties[3].replica.device().unwrap();
    for n in [0, 1, 2, 4] {
        let replica = &network.parties[n].replica;
        assert!(!replica.may_read(&stranger, &section).unwrap());
        assert!(replica.introductions_to(&stranger, None).unwrap().1.is_empty());
        assert!(!replica.journal(0, 1000).unwrap().events.is_empty() || n > 1);
    }
}

#[test]
fn audiences_that_nobody_founded_keep_none_out() {
    let (mut network, people) = village(480, 2);
    // Somebody whom both follow tells of many in the name of the author.
    let (bob, author) = (&network.parties[1].replica, people[0]);
    bob.follow(people[2], None, NOW).unwrap();
    let eve = &network.parties[2].replica;
    let device = eve.device().unwrap();
    let mut w = crate::codec::Writer::new();
    eve.path(&device).unwrap().unwrap().encode(&mut w);
    let path = w.finish();
    let forged = |n: u8| ConversationGenesis::audience([n; 16], author);
    for n in 0..80 {
        let spaces = [bytes::Bytes::from(forged(n).encode())];
        bob.take_introductions(&device, &path, &spaces).unwrap();
    }
    let kept = |replica: &Replica| {
        let kept = replica.conversations_kept(&mut replica.lock()).unwrap();
        kept.values().filter(|kept| kept.genesis.audience).cloned().collect::<Vec<_>>()
    };
    assert_eq!(kept(bob).len(), 64);
    assert!(kept(bob).iter().all(|kept| kept.standing == ConversationStanding::Carried));
    let ada = &network.parties[0].replica;
    let id = ada.create_audience(FRIENDS, NOW + 1).unwrap();
    ada.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    post(ada, &id, "one", NOW + 3);
    settle(&mut network);
    assert_eq!(feed(&network.parties[1]), ["one"]);
    assert_eq!(kept(&network.parties[1].replica).len(), 64);
    // From somebody whom nobody here knows nothing is taken.
    let (stranger, _) = person(489, "pc");
    let device = stranger.replica.device().unwrap();
    let mut w = crate::codec::Writer::new();
    stranger.replica.path(&device).unwrap().unwrap().encode(&mut w);
    let spaces = [bytes::Bytes::from(forged(99).encode())];
    let bob = &network.parties[1].replica;
    assert!(!bob.take_introductions(&device, &w.finish(), &spaces).unwrap());
}

#[test]
fn no_exact_length_is_told() {
    let (ada, _) = person(490, "laptop");
    let ada = &ada.replica;
    let id = ada.create_audience("me", NOW + 1).unwrap();
    let longest = crate::limits::SEALED_TEXT_BYTES_MAX;
    let mut sizes = std::collections::BTreeMap::new();
    for length in (1..100).chain([1000, longest]) {
        let at = post(ada, &id, &"x".repeat(length), NOW + 1 + length as u64);
        let (_, entry) = ada.entry(&at).unwrap().unwrap();
        let Entry::Sealed(sealed) = entry else { panic!("{entry:?}") };
        // With the salt.
        *sizes.entry(sealed.bodies[0].size - 16).or_insert(0) += 1;
        assert_eq!(sealed.entry.ciphertext.len(), 16);
    }
    let sizes: Vec<_> = sizes.into_iter().collect();
    assert_eq!(sizes, [(32, 31), (64, 32), (96, 32), (128, 4), (1024, 1), (252 * 1024, 1)]);
    let shown = ada.feed(None, 1).unwrap();
    assert_eq!(shown[0].text, Text::Here("x".repeat(longest)));
    let refused = ada.post_to(None, &id, &"x".repeat(longest + 1), NOW + 9);
    assert!(matches!(refused, Err(EngineError::TextTooLong { .. })));
}

#[test]
fn a_reader_whose_home_was_put_back_reads_what_was_posted_since() {
    let (mut network, people) = village(480, 1);
    let id = network.parties[0].replica.create_audience(FRIENDS, NOW + 1).unwrap();
    network.parties[0].replica.change_reader(&id, people[1], true, false, NOW + 2).unwrap();
    post(&network.parties[0].replica, &id, "before", NOW + 3);
    settle(&mut network);
    // Audiences have no use for prekeys.
    tend(&mut network, NOW + 3);
    for home in &network.parties {
        let none = home.replica.store().scan(Table::Meta, keys::PREKEYS, None, false, 1).unwrap();
        assert!(none.is_empty());
    }
    // Both have prekeys, as who talks with somebody has.
    for (n, other) in [(0, people[1]), (1, people[0])] {
        network.parties[n].replica.converse_with(other, NOW + 4).unwrap();
    }
    tend(&mut network, NOW + 5);
    tend(&mut network, NOW + PREKEY_AGE_MS_MAX + 6);
    post(&network.parties[0].replica, &id, "since", NOW + PREKEY_AGE_MS_MAX + 7);
    settle(&mut network);
    // He cannot ask: no prekey that he lost may close it, and his author may be gone.
    let reader = &network.parties[1];
    let rows = copied(&**reader.replica.store(), &[keys::PREKEYS, keys::KEYRING]);
    assert_eq!(feed(&open(rows, reader, true, 489)), ["since", "before"]);
}
