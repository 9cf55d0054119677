//! Peers that lie, flood, fall silent or send any bytes at all.

use bytes::Bytes;

use super::model::{Model, body};
use super::{ALL, network, pair};
use crate::description::{DocumentKind, SectionClass};
use crate::hash::{BlobHash, DeviceId};
use crate::sync::exchange::Exchange;
use crate::sync::give::{Giver, JOBS_MAX, Job};
use crate::sync::outcome::{Outcome, OutcomeKind, SectionState};
use crate::sync::sim::{Chance, Faults, Network, Party};
use crate::sync::take::Taker;
use crate::sync::{CloseReason, Input, Options, Output, Role, Session};
use crate::wire::{
    ChainGive, FRAME_PREFIX_BYTES, GivenHead, HEAD_BYTES, Message, Reason, Scope, ScopeKind,
    SectionRef, Told,
};

fn drain(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll()).collect()
}

/// What an exchange of frames without delay came to.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub(super) outcomes: [Vec<Outcome>; 2],
    pub(super) closed: [Option<CloseReason>; 2],
    pub(super) frames: usize,
}

/// Lets two replicas talk; `tamper` sees each frame on its way and may change or drop it.
pub(super) fn talk(
    homes: &[&Model; 2],
    tamper: &mut dyn FnMut(usize, Bytes) -> Option<Bytes>,
) -> Talk {
    let options = Options { check_every_ms: None, ..Options::default() };
    let device = |side: usize| homes[side].own_device();
    let mut sessions = [
        Session::new(Role::Initiator, device(1), [3; 16], options.clone()),
        Session::new(Role::Responder, device(0), [3; 16], options),
    ];
    let mut talk = Talk::default();
    let mut inputs = std::collections::VecDeque::from([(1, Input::Start), (0, Input::Start)]);
    while let Some((side, input)) = inputs.pop_front() {
        sessions[side].handle(1000, input, homes[side]);
        for output in drain(&mut sessions[side]) {
            match output {
                Output::Send(frame) => {
                    talk.frames += 1;
                    assert!(talk.frames < 20_000, "no end");
                    let frame = frame.slice(FRAME_PREFIX_BYTES..);
                    if let Some(frame) = tamper(side, frame) {
                        inputs.push_back((1 - side, Input::Frame(frame)));
                    }
                }
                Output::Fetch(pack) => {
                    let bytes = homes[1 - side].serve(&device(side), &pack.hash);
                    inputs.push_back((side, Input::Fetched { hash: pack.hash, bytes }));
                }
                Output::Finished(outcome) => talk.outcomes[side].push(*outcome),
                Output::Continue => inputs.push_back((side, Input::Continue)),
                Output::Close(reason) => talk.closed[side] = Some(reason),
            }
        }
    }
    talk
}

fn busy_pair() -> [Model; 2] {
    let homes = pair();
    for n in 0..9 {
        homes[0].write(DocumentKind::Wall, &format!("laptop {n}"), n);
        homes[1].write(DocumentKind::Wall, &format!("phone {n} {}", "x".repeat(4000)), n);
    }
    homes[1].write(DocumentKind::AccountLog, "joins", 1);
    homes[0].drop_body("laptop 3", false);
    homes
}

#[test]
fn any_bytes_end_a_session_without_harm() {
    let [laptop, _] = pair();
    laptop.write(DocumentKind::Wall, "one", 1);
    let mut chance = Chance::new(9);
    for _ in 0..2000 {
        let role = if chance.below(2) == 0 { Role::Initiator } else { Role::Responder };
        let remote = DeviceId::from_bytes([11; 32]);
        let mut session = Session::new(role, remote, [1; 16], Options::default());
        session.handle(0, Input::Start, &laptop);
        for _ in 0..4 {
            let mut bytes = vec![u8::try_from(chance.below(16)).unwrap()];
            let length = chance.below(60);
            bytes.extend((0..length).map(|_| u8::try_from(chance.below(4)).unwrap()));
            session.handle(1, Input::Frame(bytes.into()), &laptop);
            drain(&mut session);
        }
    }
}

#[test]
fn a_recorded_session_with_one_thing_changed_ends_and_harms_nothing() {
    let count = {
        let [a, b] = busy_pair();
        let talk = talk(&[&a, &b], &mut |_, frame| Some(frame));
        assert!(talk.outcomes[0].last().unwrap().is_equal());
        talk.frames as u64
    };
    let mut chance = Chance::new(5);
    let mut closed = 0;
    for _ in 0..600 {
        let [a, b] = busy_pair();
        let (target, act) = (chance.below(count), chance.below(5));
        let mut number = 0;
        let talk = talk(&[&a, &b], &mut |_, frame| {
            number += 1;
            if number != target + 1 {
                return Some(frame);
            }
            let place = usize::try_from(chance.below(frame.len() as u64)).unwrap();
            let mut bytes = frame.to_vec();
            match act {
                0 | 1 => bytes[place] ^= 1 << chance.below(8),
                2 => bytes.truncate(place),
                3 => bytes.insert(place, 0xff),
                _ => return None,
            }
            Some(bytes.into())
        });
        closed += usize::from(talk.closed.iter().any(Option::is_some));
    }
    assert!(closed > 200, "{closed}");
}

#[test]
fn heads_without_changes_are_told_and_not_asked_for_without_end() {
    let [laptop, phone] = pair();
    phone.write(DocumentKind::Wall, "promised", 1);
    let talk = talk(&[&laptop, &phone], &mut |side, frame| {
        let give = matches!(Message::decode(&frame), Ok(Message::Give { .. }));
        (side == 0 || !give).then_some(frame)
    });
    let rounds = &talk.outcomes[0];
    assert_eq!(rounds.len(), 2, "one retry and no more");
    for round in rounds {
        assert!(round.causes.iter().any(|cause| cause.reason == Reason::NotHeld));
        assert!(round.sections.iter().any(|s| s.state == SectionState::Differs));
    }
}

#[test]
fn a_pack_of_other_bytes_is_told_and_nothing_of_it_stored() {
    let [laptop, phone] = pair();
    for n in 0..20 {
        phone.write(DocumentKind::Wall, &format!("{n}"), n);
    }
    phone.state.borrow_mut().spoilt = true;
    let talk = talk(&[&laptop, &phone], &mut |_, frame| Some(frame));
    let round = talk.outcomes[0].first().unwrap();
    assert!(round.causes.iter().any(|cause| cause.reason == Reason::Pack), "{round:?}");
    assert!(round.missing_here > 0);
}

#[test]
fn a_remote_that_never_agrees_costs_less_and_less() {
    let options = Options { check_every_ms: None, ..Options::default() };
    let homes = Vec::from(pair());
    homes[1].state.borrow_mut().restless = true;
    let mut network = Network::new(1, homes, Faults::default(), options);
    network.connect(0, 1);
    network.run_for(120_000).unwrap();
    let rounds = network.outcomes.iter();
    let rounds = rounds.filter(|(who, o)| *who == 0 && o.kind == OutcomeKind::Round).count();
    assert!((3..16).contains(&rounds), "{rounds}");
}

#[test]
fn floods_of_checks_and_of_repeated_wants_end_the_session() {
    let [laptop, phone] = pair();
    let mut session = Session::new(Role::Responder, phone.device, [0; 16], Options::default());
    let open =
        |round, first| Message::Open { round, first, more: false, missing: 0, entries: vec![] };
    let give = |session: &mut Session, message: &Message| {
        let frame = Bytes::from(message.encode()).slice(FRAME_PREFIX_BYTES..);
        session.handle(5, Input::Frame(frame), &laptop);
        drain(session).iter().any(|output| matches!(output, Output::Close(_)))
    };
    assert!(!give(&mut session, &open(1, true)));
    let closed = (2..200).any(|round| {
        let (list, digest, told) = (None, [0; 8], Told::Digest);
        give(&mut session, &Message::Check { round, list, missing: 0, digest, told })
    });
    assert!(closed);

    phone.write(DocumentKind::Wall, "one", 1);
    let mut wants = 0;
    let talk = talk(&[&laptop, &phone], &mut |side, frame| {
        let Ok(Message::Want { request, items }) = Message::decode(&frame) else {
            return Some(frame);
        };
        assert_eq!(side, 0);
        wants += 1;
        let items = items.iter().cycle().take(1000).copied().collect();
        Some(Bytes::from(Message::Want { request, items }.encode()).slice(FRAME_PREFIX_BYTES..))
    });
    assert_eq!((wants, talk.closed[1]), (1, Some(CloseReason::Protocol)));
}

fn long_texts(home: &Model, count: usize) {
    for n in 0..count {
        home.write(DocumentKind::Wall, &format!("{n} {}", "x".repeat(30_000)), n as u64);
    }
}

#[test]
fn little_is_announced_at_a_time_and_all_of_it_arrives() {
    for crowded in [false, true] {
        let [laptop, phone] = pair();
        long_texts(&phone, 300);
        phone.state.borrow_mut().page_packs = false;
        phone.state.borrow_mut().crowded = crowded;
        let talk = talk(&[&laptop, &phone], &mut |_, frame| Some(frame));
        assert_eq!(talk.outcomes[0].last().unwrap().missing_here, 0);
        let state = phone.state.borrow();
        let most = state.announced_bytes_max;
        assert_eq!(state.announced_bytes, 0);
        assert!(most <= if crowded { 2_000_000 } else { 6_000_000 }, "{most}");
    }
}

#[test]
fn who_lets_packs_be_made_and_fetches_none_is_sent_away() {
    let [laptop, phone] = pair();
    long_texts(&phone, 650);
    phone.state.borrow_mut().page_packs = false;
    phone.state.borrow_mut().unfetched = true;
    let talk = talk(&[&laptop, &phone], &mut |_, frame| Some(frame));
    assert_eq!(talk.closed[1], Some(CloseReason::Protocol));
}

#[test]
fn bodies_are_asked_for_in_rounds_only() {
    let homes = pair();
    homes[0].write(DocumentKind::Wall, "one", 1);
    let mut ends = [
        Session::new(Role::Initiator, homes[1].device, [3; 16], Options::default()),
        Session::new(Role::Responder, homes[0].device, [0; 16], Options::default()),
    ];
    let mut inputs = std::collections::VecDeque::from([(1, Input::Start), (0, Input::Start)]);
    while let Some((side, input)) = inputs.pop_front() {
        ends[side].handle(1000, input, &homes[side]);
        for output in drain(&mut ends[side]) {
            if let Output::Send(frame) = output {
                inputs.push_back((1 - side, Input::Frame(frame.slice(FRAME_PREFIX_BYTES..))));
            }
        }
    }
    assert!(!ends[1].is_busy());
    let section = SectionRef { entry: 0, class: SectionClass::Public };
    let hashes = vec![BlobHash::of(&body("one"))];
    let want = Message::WantBodies { request: 99, section, hashes }.encode();
    ends[1].handle(1000, Input::Frame(Bytes::from(want).slice(FRAME_PREFIX_BYTES..)), &homes[1]);
    let closed = drain(&mut ends[1]).pop();
    assert!(matches!(closed, Some(Output::Close(CloseReason::Protocol))), "{closed:?}");
}

#[test]
fn who_gives_nothing_but_false_heads_is_sent_away() {
    let [laptop, phone] = pair();
    phone.write(DocumentKind::Wall, "one", 1);
    let mut opener = Session::new(Role::Initiator, phone.device, [3; 16], Options::default());
    opener.handle(1000, Input::Start, &laptop);
    let mut session = Session::new(Role::Responder, laptop.device, [3; 16], Options::default());
    session.handle(1000, Input::Start, &phone);
    for output in drain(&mut opener) {
        if let Output::Send(frame) = output {
            session.handle(1000, Input::Frame(frame.slice(FRAME_PREFIX_BYTES..)), &phone);
        }
    }
    drain(&mut session);
    let closed = [0, 1, 2].map(|_| {
        let scope = Scope { kind: ScopeKind::Round, id: 1 };
        let head = [7; HEAD_BYTES];
        let head = GivenHead::Whole { path: 0, description: None, head };
        let chain = ChainGive { head, fork: false, parts: vec![] };
        let (paths, chains) = (vec![(0, Bytes::from_static(b"path"))], vec![chain; 100]);
        let give = Message::Give { scope, paths, packs: vec![], chains, bodies: vec![] }.encode();
        let frame = Bytes::from(give).slice(FRAME_PREFIX_BYTES..);
        session.handle(1000, Input::Frame(frame), &phone);
        drain(&mut session).iter().any(|output| matches!(output, Output::Close(_)))
    });
    assert_eq!(closed, [false, false, true]);
}

#[test]
fn who_is_revoked_while_connected_gets_nothing_more() {
    let mut network = network(pair());
    network.run_to_rest(1000).unwrap();
    network.parties[0].state.borrow_mut().revoked.insert(network.parties[1].device);
    network.parties[0].write(DocumentKind::Private, "secret", 1);
    network.parties[0].write(DocumentKind::Wall, "public", 1);
    network.spread_news();
    network.run_to_rest(1000).unwrap();
    let held = |at: usize| network.parties[1].held(&network.parties[1].sections()[at]).len();
    assert_eq!(network.parties[1].sections().len(), ALL.len());
    assert_eq!((held(1), held(3)), (1, 0));
}

#[test]
fn silence_ends_a_session() {
    let [laptop, phone] = pair();
    let mut session = Session::new(Role::Initiator, phone.device, [1; 16], Options::default());
    session.handle(1000, Input::Start, &laptop);
    drain(&mut session);
    session.handle(20_000, Input::Tick, &laptop);
    assert!(drain(&mut session).is_empty());
    session.handle(40_000, Input::Tick, &laptop);
    let outputs = drain(&mut session);
    assert!(matches!(outputs.last(), Some(Output::Close(CloseReason::Silence))));
    assert!(outputs.iter().any(|output| match output {
        Output::Finished(outcome) =>
            outcome.sections.iter().all(|s| s.state == SectionState::Failed),
        _ => false,
    }));
}

#[test]
fn a_path_that_is_remembered_holds_no_frame() {
    let mut taker = Taker::new(1);
    let frame = Bytes::from(vec![7; 60_000]);
    let scope = Scope { kind: ScopeKind::Round, id: 1 };
    let paths = vec![(0, frame.slice(100..300))];
    let give = Message::Give { scope, paths, packs: vec![], chains: vec![], bodies: vec![] };
    assert!(taker.push(give, 60_000));
    assert!(taker.next().is_some() && frame.is_unique());
}

#[test]
fn more_than_one_round_gives_is_left_for_the_next() {
    let mut giver = Giver::new(DeviceId::from_bytes([1; 32]));
    let section = pair()[0].sections()[1];
    let job = |_| Job::Body { section, hash: BlobHash::of(b"any") };
    let scope = Scope { kind: ScopeKind::Round, id: 1 };
    assert_eq!(giver.queue_what_fits(scope, (0..JOBS_MAX + 5).map(job).collect()), 5);
    assert_eq!(giver.queue_what_fits(scope, (0..3).map(job).collect()), 3);
}
