//! What a newcomer sees before all the rest is there.

use super::*;
use crate::description::{SectionClass, Space};
use crate::hash::DeviceId;
use crate::sync::exchange::{Exchange, Newest, Received, Section};

fn channels_of(hub: &HubId) -> Section {
    Section { space: Space::Hub(*hub).id(), class: SectionClass::Public }
}

fn newcomer(hub: &HubId) -> Home {
    let (newcomer, _) = person(777, "phone");
    newcomer.replica.serve_hub(hub, true).unwrap();
    newcomer
}

fn given(home: &Home, hub: &HubId) -> Vec<Newest> {
    home.replica.newest(&DeviceId::from_bytes([1; 32]), &channels_of(hub)).unwrap()
}

/// What is shown of the newest messages: text, author, time.
fn screen(home: &Home, hub: &HubId, channel: &ChangeId) -> Vec<(ChangeId, AccountId, u64, Text)> {
    let views = home.replica.channel(hub, channel, None, 50, false).unwrap();
    views.into_iter().map(|v| (v.id, v.account, v.time_ms, v.text)).collect()
}

/// A hub in which everybody wrote, in turns, and changed some of it.
fn busy(seed: u64, messages: u64) -> Village {
    let (mut network, accounts, hub, channel, lines) = hub_of(4, seed);
    for n in 0..messages {
        let home = &network.parties[(n % 4) as usize];
        let said = say(home, &hub, &channel, &format!("message {n}"), NOW + 1000 + n).unwrap();
        match n {
            _ if n + 3 == messages => drop(home.replica.delete(said, NOW + 9000)),
            _ if n + 5 == messages => {
                home.replica.edit(said, "better words", NOW + 9001).map(drop).unwrap();
            }
            _ => {}
        }
    }
    network.spread_news();
    network.run_for(60_000).unwrap();
    (network, accounts, hub, channel, lines)
}

#[test]
fn the_newest_is_shown_before_the_rest_and_says_that_it_is_not_proven() {
    let (mut network, _, hub, channel, _) = busy(21, 900);
    let source = screen(&network.parties[0], &hub, &channel);
    let home = newcomer(&hub);
    for newest in given(&network.parties[0], &hub) {
        let (signatures, faults) = home.replica.receive_newest(newest, NOW).unwrap();
        assert!((1..=5).contains(&signatures) && faults == 0, "{signatures} {faults}");
    }
    // The owner's log is there, and so the hub's name and channels.
    assert_eq!(home.replica.hub(&hub, |hub| hub.channels()[0].id).unwrap(), channel);
    let shown = screen(&home, &hub, &channel);
    let some = shown.len();
    let counted: Vec<_> = source.iter().filter(|(.., text)| *text != Text::Deleted).collect();
    assert!(some >= 49, "{some}");
    assert!(shown.iter().zip(counted).all(|(a, b)| a == b), "{shown:?}");
    assert!(shown.iter().any(|(.., text)| *text == Text::Here("better words".into())));
    let views = home.replica.channel(&hub, &channel, None, 50, false).unwrap();
    let foreign = views.iter().filter(|view| view.state == MessageState::Unproven).count();
    assert_eq!(foreign, some);
    // Pages of a list are the same list.
    let first = home.replica.channel(&hub, &channel, None, 20, false).unwrap();
    let rest = home.replica.channel(&hub, &channel, Some(first[19].cursor()), 50, false).unwrap();
    let pages: Vec<ChangeId> = first.iter().chain(&rest).map(|view| view.id).collect();
    assert_eq!(pages, shown.iter().map(|(id, ..)| *id).collect::<Vec<_>>());
    assert_eq!(home.replica.message(&pages[3]).unwrap(), first[3]);
    // Then the rest comes, and nothing is unproven any more.
    network.parties.push(home);
    network.connect(4, 1);
    network.run_for(60_000).unwrap();
    let home = &network.parties[4];
    assert_eq!(screen(home, &hub, &channel), source);
    let views = home.replica.channel(&hub, &channel, None, 1000, true).unwrap();
    assert_eq!(views.len(), 900);
    assert!(views.iter().all(|view| view.state == MessageState::Shown));
    assert!(home.replica.glimpsed(&hub).unwrap().is_empty());
}

fn names(given: &[Newest], text: &str) -> bool {
    given.iter().flat_map(|newest| &newest.bodies).any(|body| body.ends_with(text.as_bytes()))
}

#[test]
fn what_is_not_shown_does_not_travel() {
    let (mut network, accounts, hub, channel, lines) = busy(24, 900);
    let bad = say(&network.parties[1], &hub, &channel, "spam for all", NOW + 2000).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    assert!(names(&given(&network.parties[0], &hub), "spam for all"));
    network.disconnect(lines[1]);
    let founder = &network.parties[0].replica;
    let entry = EntryRef { account: accounts[1], entry: bad };
    founder.hub_operation(&hub, HubAction::Hide { entry }, "", NOW + 3000).unwrap();
    founder.ban(&hub, &accounts[2], false, "", NOW + 3001).unwrap();
    say(&network.parties[2], &hub, &channel, "never mind the ban", NOW + 3002).unwrap();
    network.connect(0, 2);
    network.run_for(20_000).unwrap();
    let all = network.parties[0].replica.channel(&hub, &channel, None, 50, true).unwrap();
    let [first, second, ..] = &all[..] else { panic!("they are here") };
    assert!(matches!(first.state, MessageState::Void { .. }), "{first:?}");
    assert!(matches!(second.state, MessageState::Hidden { .. }), "{second:?}");
    let given = given(&network.parties[0], &hub);
    assert!(!names(&given, "spam for all") && !names(&given, "never mind the ban"));
    // Who only knows that they are there shows nothing of them.
    let home = newcomer(&hub);
    for newest in given {
        assert_eq!(home.replica.receive_newest(newest, NOW).unwrap().1, 0);
    }
    let shown = screen(&home, &hub, &channel);
    assert!(shown.len() >= 40, "{}", shown.len());
    assert!(shown.iter().all(|(id, ..)| *id != first.id && *id != second.id));
}

#[test]
fn nothing_stays_of_what_is_made_up() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let (mut network, accounts, hub, channel, lines) = hub_of(4, 25);
    network.disconnect(lines[2]);
    for n in 0..20 {
        say(&network.parties[3], &hub, &channel, &format!("lie {n}"), NOW + 5000 + n).unwrap();
    }
    say(&network.parties[3], &hub, &channel, "later lie", NOW + 2 * DAY_MS).unwrap();
    let lies = given(&network.parties[3], &hub);
    let show = |home: &Home| {
        for newest in lies.clone() {
            home.replica.receive_newest(newest, NOW + 6000).unwrap();
        }
        texts(home, &hub, &channel)
    };
    // No more of one account than a few, and nothing of days to come.
    let shown = show(&network.parties[1]);
    assert_eq!(shown, vec!["Unproven"; 16]);
    assert_eq!(network.parties[1].replica.glimpsed(&hub).unwrap().len(), 16);
    network.refresh();
    network.run_for(20_000).unwrap();
    assert_eq!(texts(&network.parties[1], &hub, &channel), Vec::<String>::new());
    // Nor of whom is banned, nor once the hub is not kept any more.
    network.parties[0].replica.ban(&hub, &accounts[3], false, "", NOW + 7000).unwrap();
    assert_eq!(show(&network.parties[0]), Vec::<String>::new());
    assert_eq!(show(&network.parties[2]).len(), 16);
    network.parties[2].replica.serve_hub(&hub, false).unwrap();
    assert!(network.parties[2].replica.glimpsed(&hub).unwrap().is_empty());
}

#[test]
fn a_session_brings_the_newest_first_where_much_is_missing_and_forgets_its_heads() {
    for (messages, first) in [(900, true), (100, false)] {
        let (mut network, _, hub, _, _) = busy(22, messages);
        network.parties.push(newcomer(&hub));
        network.connect(4, 0);
        let mut ends = 0;
        for _ in 0..10_000 {
            network.step().unwrap();
            ends = ends.max(network.parties[4].replica.glimpsed_heads(&hub));
        }
        network.run_for(60_000).unwrap();
        assert_eq!(ends, if first { 4 } else { 0 }, "{messages}");
        assert_eq!(network.parties[4].replica.glimpsed_heads(&hub), 0);
    }
}

#[test]
fn a_head_that_was_shown_vouches_for_nothing_but_itself() {
    let (network, _, hub, _, _) = busy(26, 900);
    let shown = given(&network.parties[0], &hub);
    let home = newcomer(&hub);
    for newest in shown.clone() {
        home.replica.receive_newest(newest, NOW).unwrap();
    }
    let by = network.parties[0].replica.device().unwrap();
    let ends: Vec<_> = shown
        .into_iter()
        .flat_map(|newest| newest.excerpts)
        .filter(|excerpt| excerpt.previous.is_some())
        .collect();
    assert!(ends.len() >= 3);
    let offer = |home: &Home, change: &dyn Fn(&mut Received)| {
        let bare = ends.iter().map(|end| {
            let (path, description) = (end.path.clone(), Some(end.description.clone()));
            let mut bare =
                Received { path, description, head: end.head, fork: false, parts: Vec::new() };
            change(&mut bare);
            bare
        });
        let receipt = home.replica.receive(&by, bare.collect(), NOW).unwrap();
        (receipt.signatures_checked, receipt.chains.iter().filter(|c| c.verdict.is_fault()).count())
    };
    let all = ends.len();
    // Another number, link or signature is checked, and is false.
    for at in [120, 121, 152, 153, 185] {
        assert_eq!(offer(&home, &|bare| bare.head[at] ^= 1), (all as u64, all), "{at}");
    }
    // So is another device's path; the owner's device is known by its log.
    let other = ends[0].path.clone();
    let (signatures, faults) = offer(&home, &|bare| bare.path = other.clone());
    assert!(signatures == 0 && faults + 2 >= all, "{signatures} {faults}");
    // The same head is not checked again, but where nothing was shown.
    assert_eq!(offer(&home, &|_| {}), (0, 0));
    assert_eq!(offer(&newcomer(&hub), &|_| {}), (all as u64, 0));
}

#[test]
fn what_is_false_in_the_newest_is_not_shown() {
    let (network, _, hub, channel, _) = busy(23, 900);
    let whole = given(&network.parties[0], &hub);
    let mut spoilt = 0;
    let mut spoil = |change: &dyn Fn(&mut crate::wire::Excerpt)| {
        let home = newcomer(&hub);
        let mut faults = 0;
        for mut newest in whole.clone() {
            newest.excerpts.retain(|excerpt| excerpt.previous.is_some());
            newest.excerpts.iter_mut().for_each(change);
            faults += home.replica.receive_newest(newest, NOW).unwrap().1;
        }
        spoilt += 1;
        assert!(faults >= 4, "{spoilt}: {faults}");
        assert!(home.replica.glimpsed(&hub).unwrap().is_empty(), "{spoilt}");
    };
    spoil(&|excerpt| excerpt.head[210] ^= 1);
    spoil(&|excerpt| excerpt.head[120] ^= 1);
    spoil(&|excerpt| excerpt.part.first_n += 1);
    spoil(&|excerpt| {
        let (link, _) = excerpt.previous.as_mut().unwrap();
        *link = crate::hash::Link::from_bytes([7; 32]);
    });
    spoil(&|excerpt| {
        let (_, hash) = excerpt.previous.as_mut().unwrap();
        *hash = crate::hash::ChangeHash::from_bytes([7; 32]);
    });
    spoil(&|excerpt| {
        let crate::wire::Content::Changes(crate::wire::Changes::Log(items)) =
            &mut excerpt.part.content
        else {
            panic!("log changes")
        };
        items[0].time_ms += 1;
    });
    spoil(&|excerpt| {
        excerpt.description = crate::description::Description::channel(
            hub,
            &ChangeId::from_bytes([3; 32]),
            excerpt.description.account,
            0,
        );
    });
    // A text that is not the one that is named is nobody's.
    let home = newcomer(&hub);
    for mut newest in whole.clone() {
        for body in &mut newest.bodies {
            *body = [&body[..], b"!"].concat().into();
        }
        home.replica.receive_newest(newest, NOW).unwrap();
    }
    assert!(home.replica.channel(&hub, &channel, None, 50, false).unwrap().is_empty());
    // Nobody's hub is looked at who does not keep it.
    let (stranger, _) = person(778, "pc");
    for newest in whole {
        stranger.replica.receive_newest(newest, NOW).unwrap();
    }
    assert!(stranger.replica.glimpsed(&hub).unwrap().is_empty());
}
