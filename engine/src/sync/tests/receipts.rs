//! Receipts of who holds what: given at the end of a round, and looked at.

use std::cell::Cell;
use std::collections::VecDeque;

use bytes::Bytes;

use super::hubs::hub_of;
use super::replicas::{Home, NOW, draft, link, person};
use crate::description::Space;
use crate::hash::{AccountId, DeviceId};
use crate::model::entry::Attachment;
use crate::replica::{BLOCKS, Draft, Holder, MessageDraft, Replica, Subscription};
use crate::sync::Options;
use crate::sync::exchange::{Exchange, Hold};
use crate::sync::session::{CloseReason, Input, Output, Role, Session};
use crate::wire::{FRAME_PREFIX_BYTES, Message, Probe};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Two sessions over a line on which frames can be altered, until nothing moves.
fn meet(a: &Replica, b: &Replica, now_ms: u64, alter: &dyn Fn(Message) -> Option<Message>) {
    let closed = meet_all(a, b, now_ms, &|_, message| alter(message).into_iter().collect());
    assert_eq!(closed, []);
}

/// Sessions as above: what comes instead of a message of the opener (0) or the other (1). Returns
/// why they closed.
fn meet_all(
    a: &Replica,
    b: &Replica,
    now_ms: u64,
    alter: &dyn Fn(usize, Message) -> Vec<Message>,
) -> Vec<CloseReason> {
    let mut closed = Vec::new();
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
                    Output::Close(reason) => closed.push(reason),
                }
            }
            for frame in sent {
                let message = Message::decode(&frame).unwrap();
                for message in alter(n, message) {
                    let frame = Bytes::from(message.encode()).slice(FRAME_PREFIX_BYTES..);
                    ends[1 - n].2.push_back(frame);
                }
            }
        }
    }
    closed
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
    assert_eq!((holder.at_ms, holder.until_ms), (5000, 5000 + 14 * DAY_MS));
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
    // The one heard longest ago made room.
    assert!(all.iter().all(|holder| holder.device != hub.replica.own_device()));
    // What ran out makes room first, and one's own devices are kept before others.
    let phone = link(&laptop, 43, "phone").replica.own_device();
    let note = |device: &DeviceId, hold: &Hold, now_ms| {
        laptop.replica.take_hold(device, &space, hold, now_ms).unwrap().unwrap();
    };
    let secret = crate::identity::DeviceSecret::generate(&crate::entropy::SeededEntropy::new(1043));
    assert_eq!(secret.id(), phone);
    note(&phone, &Hold::sign(&secret, &space, (3, digest), (2001, 2000 + DAY_MS)), 2001);
    for seed in 0..80 {
        let entropy = crate::entropy::SeededEntropy::new(9500 + seed);
        let secret = crate::identity::DeviceSecret::generate(&entropy);
        let hold = Hold::sign(&secret, &space, (3, digest), (2500 + seed, 2 * DAY_MS));
        note(&secret.id(), &hold, 2600);
    }
    let all = holders(&laptop, &ada, 2600);
    assert!(all.len() == 64 && all.iter().any(|holder| holder.device == phone));
}

#[test]
fn what_was_not_asked_for_is_passed_over() {
    let (laptop, hub, ada) = keeper(44);
    let tag = Cell::new(None);
    // Under the name that was asked for it is taken, under another not.
    for (at_ms, flip) in [(2000, 1), (3000, 0)] {
        let closed = meet_all(&laptop.replica, &hub.replica, at_ms, &|n, message| match message {
            Message::AskHolds { spaces } if n == 0 => {
                tag.set(Some(spaces[0]));
                vec![]
            }
            Message::Done(done) if n == 1 => {
                let mut name = tag.get().unwrap();
                name[0] ^= flip;
                let holds = vec![(name, receipt(&hub, &ada, at_ms))];
                vec![Message::Holds { holds }, Message::Done(done)]
            }
            other => vec![other],
        });
        assert_eq!(closed, []);
        assert_eq!(holders(&laptop, &ada, at_ms).len(), 1 - usize::from(flip));
        laptop.replica.post(draft("more".into()), None, at_ms).unwrap();
    }
}

#[test]
fn asking_is_answered_once_a_round_and_for_what_both_keep() {
    let (laptop, hub, ada) = keeper(50);
    let asked = Cell::new(0);
    meet(&laptop.replica, &hub.replica, 1000, &|message| {
        if let Message::AskHolds { spaces } = &message {
            asked.set(asked.get() + spaces.len());
        }
        Some(message)
    });
    // The keeper asks for nothing of his own: the other does not keep it.
    assert_eq!((asked.get(), holders(&laptop, &ada, 1000).len()), (1, 1));
    let twice = |n, message| match message {
        message @ Message::AskHolds { .. } if n == 0 => vec![message.clone(), message],
        other => vec![other],
    };
    let closed = meet_all(&laptop.replica, &hub.replica, 2000, &twice);
    assert!(closed.contains(&CloseReason::Protocol), "{closed:?}");
    // And few parts are asked for in one.
    let many = |n, message| match message {
        message @ Message::Probe { .. } if n == 0 => vec![message; 5],
        other => vec![other],
    };
    let closed = meet_all(&laptop.replica, &hub.replica, 3000, &many);
    assert!(closed.contains(&CloseReason::Protocol), "{closed:?}");
}

#[test]
fn a_part_of_a_file_is_answered_by_nobody() {
    let (laptop, hub, _) = keeper(60);
    let replica = &laptop.replica;
    let probe = |size: usize| {
        let body = replica.add_file(&mut vec![7u8; size].as_slice(), 1 << 20).unwrap();
        let file = Attachment {
            body,
            media_type: "image/png".into(),
            name: "a.png".into(),
            alt: String::new(),
        };
        replica.post(Draft { text: String::new(), attachments: vec![file] }, None, 2).unwrap();
        Probe { body: body.hash, from: 0, len: 10, nonce: [1; 16] }
    };
    let stranger = hub.replica.own_device();
    assert!(replica.answer(&stranger, &probe(100)).unwrap().is_some());
    assert_eq!(replica.answer(&stranger, &probe(400_000)).unwrap(), None);
}

#[test]
fn nobody_is_asked_for_a_part_of_what_he_did_not_sign_for() {
    let (laptop, hub, ada) = keeper(70);
    meet(&laptop.replica, &hub.replica, 1000, &honest);
    let (space, by) = (Space::Account(ada).id(), hub.replica.own_device());
    let take = |hold: &Hold| laptop.replica.take_hold(&by, &space, hold, 2000).unwrap().unwrap();
    let hold = receipt(&hub, &ada, 2000);
    assert!(take(&hold).is_some());
    laptop.replica.post(draft("more".into()), None, 2000).unwrap();
    assert_eq!(take(&hold), None);
}

#[test]
fn who_passes_somebody_by_does_not_sign_for_all() {
    let (mut network, accounts, hub, channel, _) = hub_of(3, 80);
    let space = Space::Hub(hub).id();
    let reader = network.parties[2].replica.own_device();
    let signs = |home: &Home| home.replica.hold(&reader, &space, NOW + 90).unwrap().is_some();
    assert!(network.parties.iter().all(signs));
    network.parties[2].replica.set_listed(BLOCKS, accounts[1], true, NOW + 60).unwrap();
    let said = MessageDraft { text: "hello".into(), ..MessageDraft::default() };
    network.parties[1].replica.say(None, &hub, &channel, said, NOW + 70).unwrap();
    network.spread_news();
    network.run_for(10_000).unwrap();
    assert_eq!(network.parties.iter().map(signs).collect::<Vec<_>>(), [true, true, false]);
}
