//! The first contact of two who may keep different things.

use bytes::Bytes;
use proptest::prelude::*;

use super::hostile::talk;
use super::model::{Model, space_of};
use super::{ALL, OPEN, assert_same};
use crate::description::{DocumentKind, SectionClass};
use crate::hash::{AccountId, DeviceId};
use crate::sync::keys::{SessionKey, section_part, space_name};
use crate::sync::outcome::Outcome;
use crate::sync::{Input, Options, Output, Role, Session};
use crate::wire::{AnswerEntry, FRAME_PREFIX_BYTES, Message, Then};

/// Two of different accounts: the devices 200 and 210, each with an account log of its own.
fn hubs() -> [Model; 2] {
    let [a, b] = [Model::new(200, 20), Model::new(210, 21)];
    for (hub, account) in [(&a, 20), (&b, 21)] {
        hub.keep(account, &ALL);
        hub.write(DocumentKind::AccountLog, "begins", 1);
    }
    [a, b]
}

/// An account with `posts` posts on its wall.
pub(super) fn author(account: u8, posts: usize) -> Model {
    let author = Model::new(account, account);
    author.write(DocumentKind::AccountLog, "begins", 1);
    for n in 0..posts {
        author.write(DocumentKind::Wall, &format!("{account} {n}"), n as u64);
    }
    author
}

/// Two that keep these accounts and have all of them.
pub(super) fn mirrors(accounts: u8, posts: usize) -> [Model; 2] {
    let hubs = hubs();
    for account in 100..100 + accounts {
        let author = author(account, posts);
        hubs.iter().for_each(|hub| {
            hub.keep(account, &OPEN).take_all(&author);
        });
    }
    hubs
}

/// What two said, with who said it, and what their last rounds came to.
fn meet(homes: &[Model; 2]) -> (Vec<(usize, Message)>, [Outcome; 2]) {
    let mut said = Vec::new();
    let talk = talk(&[&homes[0], &homes[1]], &mut |side, frame| {
        said.push((side, Message::decode(&frame).unwrap()));
        Some(frame)
    });
    let last = |side: usize| talk.outcomes[side].last().unwrap().clone();
    (said, [last(0), last(1)])
}

fn bytes(said: &[(usize, Message)], side: usize) -> usize {
    let sent = said.iter().filter(|(from, _)| *from == side);
    sent.map(|(_, message)| message.encode().len()).sum()
}

/// How often the other side's turn came before this message.
fn turns(said: &[(usize, Message)], is: impl Fn(&Message) -> bool) -> usize {
    let until = said.iter().rposition(|(_, message)| is(message)).unwrap();
    1 + said[..=until].windows(2).filter(|pair| pair[0].0 != pair[1].0).count()
}

fn is_give(message: &Message) -> bool {
    matches!(message, Message::Give { .. })
}

#[test]
fn equal_mirrors_cost_two_frames_however_many_spaces() {
    for accounts in [10, 100] {
        let homes = mirrors(accounts, 1);
        let (said, outcomes) = meet(&homes);
        assert!(outcomes.iter().all(Outcome::is_equal));
        assert_eq!(outcomes[0].sections.len(), 2 * usize::from(accounts));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(bytes(&said, 0) <= 480 && bytes(&said, 1) <= 40, "{said:?}");
        // It is noted, and next time it is named.
        let (said, outcomes) = meet(&homes);
        assert!(matches!(said[0].1, Message::Check { list: Some(_), .. }), "{said:?}");
        assert!(said.len() == 2 && outcomes.iter().all(Outcome::is_equal));
    }
}

#[test]
fn what_is_new_at_either_side_is_there_with_the_third_message() {
    for moved in 1..=20 {
        let homes = mirrors(100, 1);
        for n in 0..moved {
            let author = author(100 + n, 2);
            homes[usize::from(n % 2)].take_all(&author);
        }
        let (said, outcomes) = meet(&homes);
        assert_same(&homes);
        assert!(outcomes.iter().all(Outcome::is_equal), "{moved}: {outcomes:?}");
        assert!(matches!(said[1].1, Message::Met { then: Then::Plan, .. }), "{moved}: {said:?}");
        assert!(turns(&said, is_give) <= 3, "{moved}: {said:?}");
        assert_eq!(outcomes[0].counters.changes_sent, u64::from(moved / 2 + moved % 2));
        assert_eq!(outcomes[1].counters.changes_sent, u64::from(moved / 2));
        let finding = said.iter().filter(|(_, message)| !is_give(message));
        let finding: usize = finding.map(|(_, message)| message.encode().len()).sum();
        assert!(finding <= 1300, "{moved}: {finding}");
    }
}

#[test]
fn more_than_the_sums_tell_is_found_by_a_sketch_or_list_of_what_both_keep() {
    let homes = mirrors(100, 1);
    for n in 0..60 {
        homes[usize::from(n % 2)].take_all(&author(100 + n, 2));
    }
    let (said, outcomes) = meet(&homes);
    assert_same(&homes);
    assert!(outcomes.iter().all(Outcome::is_equal));
    assert!(matches!(said[1].1, Message::Met { then: Then::Tips, .. }), "{said:?}");
    assert!(turns(&said, is_give) <= 4);
    assert!(!said.iter().any(|(_, message)| matches!(message, Message::Open { .. })));
}

#[test]
fn lists_with_little_in_common_are_told_as_they_are() {
    let homes = hubs();
    for account in 100..160 {
        let author = author(account, 1);
        let side = usize::from(account % 3 == 0);
        homes[side].keep(account, &OPEN).take_all(&author);
        if account % 20 == 0 {
            homes[1 - side].keep(account, &OPEN);
        }
    }
    let (said, outcomes) = meet(&homes);
    assert_same(&homes);
    assert!(outcomes.iter().all(Outcome::is_equal));
    let told: Vec<_> = said.iter().take(3).map(|(_, message)| message).collect();
    let [Message::Meet { .. }, Message::Total { then, .. }, Message::Open { .. }] = told[..] else {
        panic!("{said:?}")
    };
    assert_eq!(*then, Then::Unknown);
}

#[test]
fn who_follows_the_other_gets_its_account_and_else_it_stays_unnamed() {
    for (follower, followed) in [(0, 21), (1, 20)] {
        let homes = mirrors(30, 1);
        homes[follower].keep(followed, &OPEN);
        let (said, outcomes) = meet(&homes);
        assert_same(&homes);
        assert!(outcomes.iter().all(Outcome::is_equal), "{outcomes:?}");
        assert_eq!(outcomes[0].sections.len(), 62, "{outcomes:?}");
        assert_eq!(turns(&said, is_give), if follower == 0 { 2 } else { 3 });
        let both = outcomes.iter().flat_map(|outcome| &outcome.sections);
        assert!(both.into_iter().all(|one| one.section.class != SectionClass::Private));
    }
}

#[test]
fn sums_of_nonsense_cost_bytes_and_nothing_else() {
    for (spaces_too, fill) in [(false, 0), (false, 7), (true, 0), (true, 7), (true, u64::MAX)] {
        let homes = mirrors(40, 1);
        homes[1].take_all(&author(100, 2));
        homes[0].take_all(&author(101, 2));
        let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
            let Ok(Message::Meet { round, first, missing, mut spaces, estimate, mut tips }) =
                Message::decode(&frame)
            else {
                return Some(frame);
            };
            tips.iter_mut().for_each(|sum| *sum = fill);
            if spaces_too {
                spaces.iter_mut().for_each(|sum| *sum = fill);
            }
            let meet = Message::Meet { round, first, missing, spaces, estimate, tips };
            Some(Bytes::from(meet.encode()).slice(FRAME_PREFIX_BYTES..))
        });
        assert_same(&homes);
        assert!(talk.outcomes.iter().all(|outcomes| outcomes.last().unwrap().is_equal()));
    }
}

#[test]
fn an_answer_that_claims_other_than_what_was_offered_ends_the_session() {
    let answer = |held, kept| AnswerEntry { held, kept, differ: 0, sparing: 0, partial: 0 };
    let none = answer(0, 0);
    let lies: [(Then, Vec<(u64, AnswerEntry)>); 7] = [
        (Then::Unknown, vec![]),
        (Then::Nothing, vec![(41, none)]),
        (Then::Nothing, vec![(u64::MAX, none)]),
        (Then::Nothing, vec![(3, none), (3, none)]),
        (Then::Nothing, vec![(3, none), (2, none)]),
        (Then::Plan, vec![(0, answer(15, 15))]),
        (Then::Tips, vec![(0, AnswerEntry { differ: 1, ..answer(1, 1) })]),
    ];
    for (said, lie) in lies {
        let homes = mirrors(40, 1);
        let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
            let Ok(Message::Met { round, missing, digest, .. }) = Message::decode(&frame) else {
                return Some(frame);
            };
            let met = Message::Met { round, missing, then: said, digest, answers: lie.clone() };
            Some(Bytes::from(met.encode()).slice(FRAME_PREFIX_BYTES..))
        });
        assert!(talk.outcomes[0].iter().all(|outcome| !outcome.complete), "{said:?} {lie:?}");
        assert!(!talk.outcomes[0].is_empty());
    }
}

#[test]
fn a_digest_that_does_not_fit_leads_to_the_list() {
    let homes = mirrors(40, 1);
    let mut opens = 0;
    let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| match Message::decode(&frame) {
        Ok(Message::Met { round, missing, then, answers, .. }) => {
            let met = Message::Met { round, missing, then, digest: [7; 8], answers };
            Some(Bytes::from(met.encode()).slice(FRAME_PREFIX_BYTES..))
        }
        Ok(Message::Open { .. }) => {
            opens += 1;
            Some(frame)
        }
        _ => Some(frame),
    });
    assert_eq!(opens, 1);
    assert!(talk.outcomes.iter().all(|outcomes| outcomes.last().unwrap().is_equal()));
}

#[test]
fn a_tip_that_looks_like_one_of_a_section_not_kept_is_found_in_the_next_round() {
    let part = |key: &SessionKey, round, account: u8, class| {
        let space = space_of(AccountId::from_bytes([account; 32])).id();
        section_part(round, space_name(&key.space(&space)), class)
    };
    let three = [SectionClass::Authority, SectionClass::Public, SectionClass::Visitors];
    let mut looked_at = 0;
    for device in 200..210 {
        let a = Model::new(device, 20);
        let key = SessionKey::new(&[3; 16], &a.device, &DeviceId::from_bytes([210; 32]));
        let own = three.map(|class| part(&key, 1, 20, class));
        let Some(account) =
            (100..200).find(|one| own.contains(&part(&key, 1, *one, SectionClass::Public)))
        else {
            continue;
        };
        let [_, b] = mirrors(100, 0);
        a.keep(20, &ALL).write(DocumentKind::AccountLog, "begins", 1);
        for account in 100..200 {
            a.keep(account, &OPEN).take_all(&author(account, 0));
        }
        a.take_all(&author(account, 1));
        let homes = [a, b];
        let (_, outcomes) = meet(&homes);
        assert_same(&homes);
        assert!(outcomes.iter().all(|outcome| outcome.is_equal() && outcome.number == 2));
        looked_at += 1;
    }
    assert!(looked_at > 0);
}

#[test]
fn devices_of_one_account_that_keep_other_things_need_no_list_either() {
    let [a, b] = [Model::new(200, 20), Model::new(201, 20)];
    for (number, home) in [&a, &b].into_iter().enumerate() {
        home.keep(20, &ALL).write(DocumentKind::Private, "follows", 1);
        for account in 100..160 {
            home.keep(account, &OPEN).take_all(&author(account, 1));
        }
        let other = 160 + number as u8;
        home.keep(other, &OPEN).take_all(&author(other, 1));
    }
    let homes = [a, b];
    let (said, outcomes) = meet(&homes);
    assert_same(&homes);
    assert!(outcomes.iter().all(Outcome::is_equal));
    assert!(!said.iter().any(|(_, message)| matches!(message, Message::Open { .. })));
    let private = |outcome: &Outcome| {
        outcome.sections.iter().any(|one| one.section.class == SectionClass::Private)
    };
    assert!(outcomes.iter().all(private));
}

#[test]
fn who_asks_for_a_round_waits_for_no_tick_of_the_other() {
    let homes = mirrors(2, 1);
    let session =
        |role, side: usize| Session::new(role, homes[1 - side].device, [3; 16], Options::default());
    let mut sessions = [session(Role::Initiator, 0), session(Role::Responder, 1)];
    // Rounds that the responder sees the end of before both are silent.
    let talk = |sessions: &mut [Session; 2], now_ms| {
        let (mut rounds, mut side, mut quiet) = (0, 0, 0);
        while quiet < 2 {
            let outputs: Vec<_> = std::iter::from_fn(|| sessions[side].poll()).collect();
            quiet = if outputs.is_empty() { quiet + 1 } else { 0 };
            for output in outputs {
                match output {
                    Output::Send(frame) => {
                        let frame = Input::Frame(frame.slice(FRAME_PREFIX_BYTES..));
                        sessions[1 - side].handle(now_ms, frame, &homes[1 - side]);
                    }
                    Output::Finished(_) if side == 1 => rounds += 1,
                    _ => {}
                }
            }
            side = 1 - side;
        }
        rounds
    };
    sessions[0].handle(0, Input::Start, &homes[0]);
    assert_eq!(talk(&mut sessions, 0), 1);
    let ask = |session: &mut Session, now_ms| {
        session.handle(now_ms, Input::Refresh, &homes[1]);
        session.handle(now_ms, Input::Tick, &homes[1]);
    };
    ask(&mut sessions[1], 2000);
    assert_eq!(talk(&mut sessions, 2000), 1);
    // Once a second at most.
    ask(&mut sessions[1], 2500);
    assert_eq!(talk(&mut sessions, 2500), 0);
    sessions[0].handle(3000, Input::Tick, &homes[0]);
    assert_eq!(talk(&mut sessions, 3000), 1);
}

#[test]
fn numbers_of_rounds_have_no_end() {
    let homes = mirrors(40, 1);
    let mut session = Session::new(Role::Responder, homes[0].device, [3; 16], Options::default());
    let round = u64::MAX;
    let meet = |first| Message::Meet {
        round,
        first,
        missing: u64::MAX,
        spaces: vec![1; 96],
        estimate: None,
        tips: vec![u64::MAX; 96],
    };
    for (first, then) in [(true, Some(Then::Unknown)), (false, None)] {
        let frame = Bytes::from(meet(first).encode()).slice(FRAME_PREFIX_BYTES..);
        session.handle(0, Input::Frame(frame), &homes[1]);
        let Some(Output::Send(frame)) = session.poll() else { panic!() };
        match (Message::decode(&frame.slice(FRAME_PREFIX_BYTES..)).unwrap(), then) {
            (Message::Total { then, .. }, Some(expected)) => assert_eq!(then, expected),
            (Message::Close { .. }, None) => {}
            (other, _) => panic!("{other:?}"),
        }
        while session.poll().is_some() {}
    }
}

/// What one keeps and has of an account.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Nothing, its log, its log and wall, all but what is private.
    classes: usize,
    posts: usize,
}

const CLASSES: [&[SectionClass]; 4] = [
    &[],
    &[SectionClass::Authority],
    &OPEN,
    &[SectionClass::Authority, SectionClass::Public, SectionClass::Visitors],
];

fn kept(alike: u32) -> impl Strategy<Value = [Kept; 2]> {
    let one = (0usize..4, 0usize..4).prop_map(|(classes, posts)| Kept { classes, posts });
    let moved = prop_oneof![Just(0usize), 0usize..8];
    prop_oneof![
        alike => (2usize..4, 1usize..4, moved).prop_map(|(classes, posts, more)| {
            let first = Kept { classes, posts };
            [first, Kept { posts: posts + more, ..first }]
        }),
        1 => [one.clone(), one],
    ]
}

fn accounts() -> impl Strategy<Value = Vec<[Kept; 2]>> {
    (0usize..4).prop_flat_map(|alike| {
        let alike = [1, 9, 40, 200][alike];
        prop::collection::vec(kept(alike), 0..60)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whoever_keeps_whatever_is_equal_afterwards(accounts in accounts(), swap: bool) {
        let homes = hubs();
        for (number, both) in accounts.iter().enumerate() {
            let account = 100 + number as u8;
            for (side, one) in both.iter().enumerate() {
                let hub = &homes[side ^ usize::from(swap)];
                if one.classes > 0 {
                    hub.keep(account, CLASSES[one.classes]);
                    if one.posts > 0 {
                        hub.take_kept(&author(account, one.posts - 1));
                    }
                }
            }
        }
        let (said, outcomes) = meet(&homes);
        assert_same(&homes);
        for outcome in &outcomes {
            prop_assert!(outcome.is_equal(), "{:?}", outcome);
            // One that was told wrong by a short name is told by another.
            prop_assert!(outcome.number <= 3, "{:?}", outcome);
        }
        let opens = said.iter().filter(|(_, message)| matches!(message, Message::Open { .. }));
        prop_assert!(opens.count() <= 1);
        // Nothing is sent to who has it, or does not keep it.
        let [a, b] = outcomes.map(|outcome| outcome.counters);
        prop_assert!(a.changes_sent == b.changes && b.changes_sent == a.changes);
    }
}
