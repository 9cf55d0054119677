//! Receipts of who holds what: given at the end of a round, and looked at.

use std::collections::VecDeque;

use bytes::Bytes;

use super::replicas::{Home, draft, link, person};
use crate::description::Section;
use crate::description::Space;
use crate::hash::{AccountId, DeviceId};
use crate::replica::{Holder, Replica, Subscription};
use crate::sync::Options;
use crate::sync::exchange::{Exchange, Hold};
use crate::sync::session::{Input, Output, Role, Session};
use crate::wire::{FRAME_PREFIX_BYTES, HOLDS_MAX, Message};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Two sessions over a line on which frames can be altered, until nothing moves.
fn meet(a: &Replica, b: &Replica, now_ms: u64, alter: &dyn Fn(Message) -> Option<Message>) {
    let options = Options { receipts: true, ..Options::default() };
    let session = |role, remote| Session::new(role, remote, [3; 16], options.clone());
    let mut ends = [
        (session(Role::Initiator, b.own_device()), a, VecDeque::new()),
        (session(Role::Responder, a.own_device()), b, VecDeque::new()),
    ];
    ends[0].0.handle(now_ms, Input::Start, a);
    let mut quiet = 0;
    while quiet < 4 {
        quiet += 1;
        for n in 0..2 {
            let (session, exchange, inbox) = &mut ends[n];
            while let Some(frame) = inbox.pop_front() {
                session.handle(now_ms, Input::Frame(frame), *exchange);
            }
            let mut sent = Vec::new();
            while let Some(output) = session.poll() {
                quiet = 0;
                match output {
                    Output::Send(frame) => sent.push(frame.slice(FRAME_PREFIX_BYTES..)),
                    Output::Fetch(pack) => {
                        let bytes = if n == 0 { b } else { a };
                        let bytes = bytes.blob_for(&exchange.own_device(), &pack.hash).unwrap();
                        session.handle(
                            now_ms,
                            Input::Fetched { hash: pack.hash, bytes },
                            *exchange,
                        );
                    }
                    Output::Continue => session.handle(now_ms, Input::Continue, *exchange),
                    Output::Finished(_) => {}
                    Output::Close(reason) => panic!("{reason:?}: {:?}", session.error()),
                }
            }
            for frame in sent {
                let message = Message::decode(&frame).unwrap();
                if let Some(message) = alter(message) {
                    let frame = Bytes::from(message.encode()).slice(FRAME_PREFIX_BYTES..);
                    ends[1 - n].2.push_back(frame);
                }
            }
        }
    }
}

fn honest(message: Message) -> Option<Message> {
    Some(message)
}

/// Ada's laptop with a post, and somebody who keeps her wall.
fn keeper(seed: u64) -> (Home, Home, AccountId) {
    let (laptop, ada) = person(seed, "laptop");
    let (keeper, _) = person(seed + 1, "hub");
    keeper.replica.subscribe(Subscription::whole(ada)).unwrap();
    laptop.replica.post(draft("hello".into()), None, 1).unwrap();
    (laptop, keeper, ada)
}

fn holders(home: &Home, ada: &AccountId, now_ms: u64) -> Vec<Holder> {
    home.replica.holders(&Space::Account(*ada), now_ms).unwrap()
}

#[test]
fn who_holds_all_signs_it_at_the_end_of_the_round() {
    let (laptop, hub, ada) = keeper(1);
    meet(&laptop.replica, &hub.replica, 1000, &honest);
    let [holder] = holders(&laptop, &ada, 1000)[..] else { panic!() };
    assert_eq!(holder.device, hub.replica.own_device());
    assert_eq!((holder.at_ms, holder.until_ms), (1000, 1000 + 14 * DAY_MS));
    assert_eq!((holder.complete, holder.private), (true, false));
    // It was asked for a part of the one body there is.
    assert_eq!((holder.checked_ms, holder.failed_ms), (Some(1000), None));
    // What was written since it does not hold.
    laptop.replica.post(draft("more".into()), None, 2000).unwrap();
    assert!(!holders(&laptop, &ada, 2000)[0].complete);
    meet(&hub.replica, &laptop.replica, 3000, &honest);
    let [holder] = holders(&laptop, &ada, 3000)[..] else { panic!() };
    assert_eq!((holder.at_ms, holder.complete), (3000, true));
    assert!(holders(&laptop, &ada, 3000 + 14 * DAY_MS).is_empty());
    // A device of one's own holds what is private too; the keeper asked for nothing of his.
    laptop.replica.follow(AccountId::from_bytes([7; 32]), None, 3500).unwrap();
    let phone = link(&laptop, 3, "phone");
    meet(&phone.replica, &laptop.replica, 4000, &honest);
    let all = holders(&laptop, &ada, 4000);
    assert_eq!(all.iter().map(|holder| holder.private).collect::<Vec<_>>(), [true, false]);
    assert!(holders(&hub, &ada, 4000).is_empty());
    laptop.replica.forget_peer(&phone.replica.own_device()).unwrap();
    assert_eq!(holders(&laptop, &ada, 4000).len(), 1);
}

#[test]
fn who_keeps_a_part_signs_nothing() {
    let (laptop, hub, ada) = keeper(10);
    let limited = Subscription { body_bytes_max: 10, ..Subscription::whole(ada) };
    hub.replica.subscribe(limited).unwrap();
    meet(&laptop.replica, &hub.replica, 1000, &honest);
    assert!(holders(&laptop, &ada, 1000).is_empty());
}

#[test]
fn who_does_not_have_what_he_signed_for_is_found_out() {
    let (laptop, hub, ada) = keeper(20);
    let silent = |message| match message {
        Message::Probed { .. } => None,
        other => Some(other),
    };
    let wrong = |message| match message {
        Message::Probed { number, .. } => Some(Message::Probed { number, answer: None }),
        other => Some(other),
    };
    meet(&laptop.replica, &hub.replica, 1000, &silent);
    let holder = holders(&laptop, &ada, 1000)[0];
    assert_eq!((holder.checked_ms, holder.failed_ms), (None, None));
    meet(&laptop.replica, &hub.replica, 2000, &wrong);
    assert_eq!(holders(&laptop, &ada, 2000)[0].failed_ms, Some(2000));
    // Another receipt does not hide it: only a right answer does.
    meet(&laptop.replica, &hub.replica, 3000, &silent);
    assert_eq!(holders(&laptop, &ada, 3000)[0].failed_ms, Some(2000));
    meet(&laptop.replica, &hub.replica, 4000, &honest);
    let holder = holders(&laptop, &ada, 4000)[0];
    assert_eq!((holder.checked_ms, holder.failed_ms), (Some(4000), None));
}

/// A receipt as the keeper could sign it, with other times.
fn receipt(keeper: &Home, ada: &AccountId, at_ms: u64) -> Hold {
    let space = Space::Account(*ada).id();
    let of = keeper.replica.hold(&keeper.replica.own_device(), &space, at_ms).unwrap();
    of.unwrap()
}

#[test]
fn a_receipt_counts_for_its_signer_and_no_longer_than_it_can_be_true() {
    let (laptop, hub, ada) = keeper(30);
    meet(&laptop.replica, &hub.replica, 1000, &|message| match message {
        Message::Holds { .. } => None,
        other => Some(other),
    });
    assert!(holders(&laptop, &ada, 1000).is_empty());
    let (space, by) = (Space::Account(ada).id(), hub.replica.own_device());
    let note = |by: &DeviceId, hold: &Hold, now| laptop.replica.take_hold(by, &space, hold, now);
    let hold = receipt(&hub, &ada, 1000);
    // Nobody else's word, no altered one, none about another space.
    let other = DeviceId::from_bytes([7; 32]);
    assert!(note(&other, &hold, 1000).unwrap().is_none());
    let altered = Hold { digest: [1; 32], ..hold };
    assert!(note(&by, &altered, 1000).unwrap().is_none());
    let elsewhere = Space::Account(AccountId::from_bytes([7; 32])).id();
    assert!(laptop.replica.take_hold(&by, &elsewhere, &hold, 1000).unwrap().is_none());
    // One that has run out is as good as none; a clock that is ahead does not make it longer.
    assert!(note(&by, &hold, 1000 + 15 * DAY_MS).unwrap().is_some());
    assert!(holders(&laptop, &ada, 1000).is_empty());
    note(&by, &receipt(&hub, &ada, 1000 * DAY_MS), 5000).unwrap().unwrap();
    let holder = holders(&laptop, &ada, 5000)[0];
    assert_eq!((holder.at_ms, holder.until_ms), (5000, 5000 + 30 * DAY_MS));
}

#[test]
fn receipts_are_bounded_and_unasked_ones_are_passed_over() {
    let (laptop, hub, ada) = keeper(40);
    let space = Space::Account(ada).id();
    meet(&laptop.replica, &hub.replica, 1000, &honest);
    let digest = receipt(&hub, &ada, 1).digest;
    for seed in 0..80 {
        let secret = crate::identity::DeviceSecret::generate(&crate::entropy::SeededEntropy::new(
            9000 + seed,
        ));
        let hold = Hold::sign(&secret, &space, (3, digest), (2000, 3000 + seed));
        laptop.replica.take_hold(&secret.id(), &space, &hold, 2000).unwrap().unwrap();
    }
    let all = holders(&laptop, &ada, 2000);
    assert_eq!(all.len(), 64);
    // Those that end soonest made room.
    assert!(all.iter().all(|holder| holder.until_ms >= 3000 + 17));
    assert!(all.iter().any(|holder| holder.device == hub.replica.own_device()));
    // Who did not ask takes nothing, and asking is answered once a round.
    let (friend, bob) = person(50, "pc");
    friend.replica.subscribe(Subscription::whole(ada)).unwrap();
    let unasked = receipt(&hub, &ada, 2000);
    meet(&friend.replica, &hub.replica, 2000, &|message| match message {
        Message::AskHolds { .. } => {
            Some(Message::Holds { holds: vec![([9; 8], unasked); HOLDS_MAX] })
        }
        other => Some(other),
    });
    assert!(holders(&friend, &ada, 2000).is_empty() && holders(&friend, &bob, 2000).is_empty());
    assert!(friend.replica.digest(&Section::all_of(&space)[1]).is_ok());
}
