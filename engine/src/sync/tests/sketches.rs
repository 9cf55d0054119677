//! Sections of many chains: sketches instead of lists, and lists taken up again.

use bytes::Bytes;

use super::model::Model;
use super::{ALL, OPEN, assert_same, last_round, pair, rest};
use crate::description::DocumentKind;
use crate::sketch::{CELL_BYTES, COUNTERS, Cell, Estimate};
use crate::sync::exchange::Exchange;
use crate::sync::outcome::OutcomeKind;
use crate::sync::sim::{Faults, Network};
use crate::sync::{Input, Options, Output, Role, Session};
use crate::wire::{FRAME_PREFIX_BYTES, Message};

use super::hostile::talk;

fn options() -> Options {
    Options { check_every_ms: None, ..Options::default() }
}

fn network(parties: impl Into<Vec<Model>>) -> Network<Model> {
    let mut network = Network::new(1, parties.into(), Faults::default(), options());
    network.connect(0, 1);
    network
}

/// Two devices that both have `pages` pages of the first, and are not connected any more.
fn apart(pages: usize) -> Network<Model> {
    let parties = pair();
    for n in 0..pages * super::model::PAGE_CHANGES {
        parties[0].write(DocumentKind::Wall, &format!("common {n}"), n as u64);
    }
    let mut network = network(parties);
    rest(&mut network);
    assert_same(&network.parties);
    network.disconnect(0);
    network.outcomes.clear();
    network.parties[0].forget_news();
    network
}

/// Connects both again; returns round trips, control bytes and changes of the first round.
fn meet(network: &mut Network<Model>) -> (u64, u64, u64) {
    network.connect(0, 1);
    rest(network);
    assert_same(&network.parties);
    let rounds: Vec<_> = network
        .outcomes
        .iter()
        .filter(|(who, outcome)| *who == 0 && outcome.kind == OutcomeKind::Round)
        .collect();
    let (_, outcome) = rounds.last().unwrap();
    assert!(outcome.is_equal(), "{outcome:?}");
    assert_eq!(rounds.len(), 1, "{rounds:?}");
    let counters = outcome.counters;
    (counters.round_trips, counters.control_bytes, counters.changes + counters.changes_sent)
}

#[test]
fn few_differences_among_many_chains_cost_a_sketch_and_one_round_trip() {
    for met in [true, false] {
        let mut network = apart(400);
        network.parties[0].write(DocumentKind::Wall, "from the laptop", 9);
        for n in 0..4 {
            network.parties[1].write(DocumentKind::Wall, &format!("from the phone {n}"), 9);
        }
        if !met {
            network.parties.iter().for_each(Model::forget_shown);
        }
        // A head is 217 bytes, and goes with what is sent.
        let (trips, bytes, changes) = meet(&mut network);
        assert_eq!((trips, changes), (if met { 1 } else { 2 }, 5));
        let (plain, heads) = (400 * 8, 4 * 217);
        assert!(bytes < plain / 4 + heads, "{bytes}");
    }
}

#[test]
fn news_of_the_opener_say_how_long_its_sketch_has_to_be() {
    for (own, theirs) in [(1, 1), (20, 20), (40, 30), (90, 90), (400, 400)] {
        let mut network = apart(500);
        for (who, pages_more) in [(0, own), (1, theirs)] {
            for n in 0..pages_more * super::model::PAGE_CHANGES {
                network.parties[who].write(DocumentKind::Wall, &format!("{who} {n}"), 9);
            }
        }
        let (trips, _, changes) = meet(&mut network);
        let written = (own + theirs) * super::model::PAGE_CHANGES;
        assert_eq!((trips, changes), (1, written as u64), "{own} {theirs}");
    }
}

#[test]
fn more_news_of_the_responder_than_the_sketch_tells_are_found_by_a_longer_one() {
    let mut network = apart(300);
    for n in 0..40 * super::model::PAGE_CHANGES {
        network.parties[1].write(DocumentKind::Wall, &format!("from the phone {n}"), 9);
    }
    let mut seen = Vec::new();
    let homes: [Model; 2] = std::mem::take(&mut network.parties).try_into().unwrap();
    let talk = talk(&[&homes[0], &homes[1]], &mut |side, frame| {
        seen.push((side, Message::decode(&frame).unwrap()));
        Some(frame)
    });
    assert_same(&homes);
    assert!(talk.outcomes.iter().all(|outcomes| outcomes.last().unwrap().is_equal()));
    let more = |(side, message): &(usize, Message)| {
        matches!(message, Message::More { estimate: Some(_), .. }) && *side == 1
    };
    assert_eq!(seen.iter().filter(|one| more(one)).count(), 1, "{seen:?}");
    let cells = seen.iter().map(|(_, message)| match message {
        Message::Cells { cells, .. } => cells.len(),
        _ => 0,
    });
    assert!(cells.sum::<usize>() * CELL_BYTES < 2300, "{seen:?}");
}

#[test]
fn a_sketch_that_turns_out_not_to_be_needed_is_passed_over() {
    let mut network = apart(400);
    for n in 0..60 * super::model::PAGE_CHANGES {
        network.parties[0].write(DocumentKind::Wall, &format!("from the laptop {n}"), 9);
    }
    // The other one has it from somebody else.
    network.parties[1].take_all(&network.parties[0]);
    let homes: [Model; 2] = std::mem::take(&mut network.parties).try_into().unwrap();
    let mut cells = 0;
    let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
        let message = Message::decode(&frame).unwrap();
        cells += usize::from(matches!(message, Message::Cells { .. }));
        Some(frame)
    });
    assert_eq!((cells, talk.frames), (1, 3));
    assert!(talk.outcomes.iter().all(|outcomes| outcomes.last().unwrap().is_equal()));
}

#[test]
fn equal_chains_cost_two_frames_however_many() {
    let mut network = apart(300);
    let (trips, bytes, changes) = meet(&mut network);
    assert_eq!((trips, changes), (1, 0));
    assert!(bytes <= 64 + 20, "{bytes}");
}

#[test]
fn a_difference_that_no_sketch_is_shorter_for_is_listed() {
    let mut network = apart(60);
    for n in 0..60 * super::model::PAGE_CHANGES {
        network.parties[1].write(DocumentKind::Wall, &format!("from the phone {n}"), 9);
    }
    let (trips, _, changes) = meet(&mut network);
    assert_eq!((trips, changes), (1, 360));
}

#[test]
fn both_sides_of_a_fork_are_found_by_a_sketch() {
    let mut network = apart(100);
    let twin = Model::new(10, 1);
    twin.take_all(&network.parties[0]);
    let chain = network.parties[0].write(DocumentKind::Wall, "a branch", 9);
    assert_eq!(twin.write(DocumentKind::Wall, "another branch", 9), chain);
    network.parties[1].take_all(&twin);
    network.connect(0, 1);
    rest(&mut network);
    let forks = network.outcomes.iter().filter(|(who, _)| *who == 0).flat_map(|(_, o)| &o.forks);
    assert_eq!(forks.map(|fork| fork.chain).collect::<Vec<_>>(), [chain]);
    let [a, b] = &network.parties[..] else { panic!() };
    assert_eq!(a.chain_tips(&chain).unwrap().len(), 2);
    assert_eq!(b.chain_tips(&chain).unwrap().len(), 2);
}

/// Two replicas with 200 chains in common and a few apart, for talk with tampering.
fn two() -> [Model; 2] {
    let mut network = apart(200);
    for n in 0..3 {
        network.parties[0].write(DocumentKind::Wall, &format!("from the laptop {n}"), 9);
        network.parties[1].write(DocumentKind::Wall, &format!("from the phone {n}"), 9);
    }
    let homes: [Model; 2] = std::mem::take(&mut network.parties).try_into().unwrap();
    homes.iter().for_each(Model::forget_shown);
    homes
}

fn unframed(message: &Message) -> Bytes {
    Bytes::from(message.encode()).slice(FRAME_PREFIX_BYTES..)
}

#[test]
fn a_sketch_that_is_too_short_is_made_longer_and_then_given_up() {
    let (mut cells_sent, mut asked, mut listed) = (0, 0, 0);
    let homes = two();
    // The responder believes that nothing differs, and its first cells never fit.
    let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
        let Ok(message) = Message::decode(&frame) else { return Some(frame) };
        match message {
            Message::Sums { round, sections, mut sums } => {
                sums[0] ^= 1;
                return Some(unframed(&Message::Sums { round, sections, sums }));
            }
            Message::Cells { round, last, sections, mut cells } => {
                cells_sent += cells.len();
                cells[0] = Cell::from_bytes([7; CELL_BYTES]);
                return Some(unframed(&Message::Cells { round, last, sections, cells }));
            }
            Message::More { .. } => asked += 1,
            Message::Tips { .. } => listed += 1,
            _ => {}
        }
        Some(frame)
    });
    assert_same(&homes);
    assert!(asked >= 2 && listed == 1, "{cells_sent} {asked} {listed}");
    assert!(cells_sent * CELL_BYTES <= 200 * 8, "{cells_sent}");
    assert!(talk.outcomes.iter().all(|outcomes| outcomes.last().unwrap().is_equal()));
}

#[test]
fn who_sends_a_sketch_cell_by_cell_is_sent_away() {
    let homes = two();
    let session =
        |role, side: usize| Session::new(role, homes[1 - side].device, [3; 16], Options::default());
    let (mut opener, mut responder) = (session(Role::Initiator, 0), session(Role::Responder, 1));
    let frames = |session: &mut Session| -> Vec<Bytes> {
        let outputs = std::iter::from_fn(|| session.poll());
        let sent = outputs.filter_map(|output| match output {
            Output::Send(frame) => Some(frame.slice(FRAME_PREFIX_BYTES..)),
            _ => None,
        });
        sent.collect()
    };
    opener.handle(1000, Input::Start, &homes[0]);
    for frame in frames(&mut opener) {
        responder.handle(1000, Input::Frame(frame), &homes[1]);
    }
    let mut begun = None;
    for frame in frames(&mut responder) {
        match Message::decode(&frame).unwrap() {
            Message::Sums { round, sections, .. } => begun = Some((round, sections)),
            _ => opener.handle(1000, Input::Frame(frame), &homes[0]),
        }
    }
    let (round, mut sections) = begun.unwrap();
    let closed = (0..1000).position(|_| {
        let sections = std::mem::take(&mut sections);
        let cells = vec![Cell::from_bytes([7; CELL_BYTES])];
        let cells = Message::Cells { round, last: false, sections, cells };
        opener.handle(1000, Input::Frame(unframed(&cells)), &homes[0]);
        frames(&mut opener)
            .iter()
            .any(|frame| matches!(Message::decode(frame), Ok(Message::Close { .. })))
    });
    assert_eq!(closed, Some(128));
}

#[test]
fn an_estimate_of_nonsense_costs_bytes_and_nothing_else() {
    for fill in [0, 1, 90, 255] {
        let homes = two();
        let talk = talk(&[&homes[0], &homes[1]], &mut |_, frame| {
            let Ok(Message::Open { round, first, more, missing, mut entries }) =
                Message::decode(&frame)
            else {
                return Some(frame);
            };
            for offer in entries.iter_mut().flat_map(|entry| &mut entry.sections) {
                offer.estimate = offer.estimate.map(|_| Estimate([fill; COUNTERS]));
            }
            Some(unframed(&Message::Open { round, first, more, missing, entries }))
        });
        assert_same(&homes);
        assert!(talk.outcomes[0].last().unwrap().is_equal());
    }
}

/// Two replicas that keep `spaces` accounts, some of which only one of them has.
fn keepers(spaces: u8) -> [Model; 2] {
    let (a, b) = (Model::new(200, 20), Model::new(201, 20));
    a.keep(20, &ALL);
    b.keep(20, &ALL);
    for account in 0..spaces {
        let author = Model::new(account, account);
        author.write(DocumentKind::AccountLog, "begins", 1);
        author.write(DocumentKind::Wall, "writes", 2);
        a.keep(account, &OPEN).take_all(&author);
        b.keep(account, &OPEN).take_all(&author);
    }
    [a, b]
}

#[test]
fn who_keeps_the_same_needs_no_list_at_the_first_meeting() {
    let mut network = network(keepers(100));
    rest(&mut network);
    let outcome = last_round(&network, 0);
    assert!(outcome.is_equal() && outcome.number == 1);
    assert_eq!((outcome.counters.round_trips, outcome.sections.len()), (1, 202));
    assert!(outcome.counters.control_bytes <= 100, "{:?}", outcome.counters);
}

#[test]
fn few_changes_among_many_spaces_cost_one_round_trip_and_a_sketch() {
    let [a, b] = keepers(100);
    for account in [3, 4, 5] {
        let author = Model::new(account, account);
        for text in ["begins", "goes on"] {
            author.write(DocumentKind::AccountLog, text, 1);
        }
        b.take_all(&author);
    }
    let mut network = network([a, b]);
    rest(&mut network);
    assert_same(&network.parties);
    let outcome = last_round(&network, 0);
    assert!(outcome.is_equal() && outcome.number == 1, "{outcome:?}");
    assert_eq!((outcome.counters.round_trips, outcome.counters.changes), (2, 3));
    assert!(outcome.counters.control_bytes <= 2000, "{:?}", outcome.counters);
}

#[test]
fn a_list_is_taken_up_again_until_something_of_it_changes() {
    let [a, b] = keepers(60);
    // The other one keeps more: the list is not what both keep.
    b.keep(100, &ALL);
    let mut network = network([a, b]);
    rest(&mut network);
    let first = last_round(&network, 0).counters;
    assert!((300..600).contains(&first.control_bytes), "{first:?}");
    for kept_more in [false, true] {
        network.disconnect(0);
        network.outcomes.clear();
        if kept_more {
            network.parties[1].keep(101, &OPEN);
        }
        network.connect(0, 1);
        rest(&mut network);
        let outcome = last_round(&network, 0);
        assert!(outcome.is_equal());
        assert_eq!(outcome.counters.control_bytes <= 100, !kept_more, "{outcome:?}");
        assert!(outcome.counters.control_bytes <= 600, "{outcome:?}");
        assert_eq!(outcome.sections.len(), 122);
    }
}
