#![expect(clippy::cast_possible_truncation, reason = "the numbers of tests are small")]

mod audiences;
mod claims;
mod conversations;
mod hostile;
mod hubs;
mod known;
mod limits;
mod meetings;
mod model;
mod receipts;
mod replicas;
mod shown;
mod sketches;

use std::collections::BTreeSet;

use crate::description::{DocumentKind, SectionClass};
use crate::sync::Options;
use crate::sync::ledger::Ledger;
use crate::sync::outcome::{CAUSES_KEPT_MAX, Cause, Outcome, OutcomeKind, SectionState, Side};
use crate::sync::sim::{Chance, Faults, Network, Unrest};
use crate::wire::Reason;

use crate::sync::exchange::Exchange;
use model::Model;

const ALL: [SectionClass; 4] =
    [SectionClass::Authority, SectionClass::Public, SectionClass::Visitors, SectionClass::Private];
const OPEN: [SectionClass; 2] = [SectionClass::Authority, SectionClass::Public];

fn pair() -> [Model; 2] {
    let (laptop, phone) = (Model::new(10, 1), Model::new(11, 1));
    laptop.keep(1, &ALL);
    phone.keep(1, &ALL);
    [laptop, phone]
}

fn network(parties: impl Into<Vec<Model>>) -> Network<Model> {
    let options = Options { check_every_ms: None, ..Options::default() };
    let mut network = Network::new(1, parties.into(), Faults::default(), options);
    network.connect(0, 1);
    network
}

fn rest(network: &mut Network<Model>) {
    network.run_to_rest(100_000).unwrap();
}

fn assert_same(parties: &[Model]) {
    for (number, a) in parties.iter().enumerate() {
        for b in &parties[number + 1..] {
            let theirs = b.sections();
            for section in a.sections().iter().filter(|section| theirs.contains(section)) {
                assert_eq!(a.digest(section), b.digest(section), "{section:?}");
                assert_eq!(a.held(section), b.held(section), "{section:?}");
            }
        }
    }
}

fn last_round(network: &Network<Model>, who: usize) -> &Outcome {
    let mine = network.outcomes.iter().rev().filter(|(party, _)| *party == who);
    let mut rounds = mine.map(|(_, outcome)| outcome).filter(|o| o.kind == OutcomeKind::Round);
    rounds.next().unwrap()
}

#[test]
fn two_devices_that_wrote_apart_agree_in_one_round() {
    let parties = pair();
    for n in 0..40 {
        parties[0].write(DocumentKind::Wall, &format!("laptop {n}"), 1000 + n);
        parties[1].write(DocumentKind::Wall, &format!("phone {n}"), 1000 + n);
    }
    parties[0].write(DocumentKind::AccountLog, "joins", 5);
    parties[1].write(DocumentKind::Private, "follows", 6);
    let mut network = network(parties);
    rest(&mut network);
    assert_same(&network.parties);
    let outcome = last_round(&network, 0);
    assert!(outcome.is_equal(), "{outcome:?}");
    assert_eq!((outcome.number, outcome.counters.round_trips), (1, 2));
    assert_eq!((outcome.counters.changes, outcome.counters.changes_sent), (41, 41));
    assert_eq!(outcome.durable_there, Some(true));
    assert!(last_round(&network, 1).is_equal());
}

#[test]
fn equal_peers_on_an_open_connection_need_one_round_trip_and_few_bytes() {
    let parties = pair();
    parties[0].write(DocumentKind::Wall, "one", 1);
    let mut network = network(parties);
    rest(&mut network);
    let before = network.counters(0, 0).unwrap();
    network.refresh();
    rest(&mut network);
    let after = network.counters(0, 0).unwrap().since(&before);
    assert_eq!(after.round_trips, 1);
    assert!(after.control_bytes <= 300, "{after:?}");
}

#[test]
fn a_check_is_smaller_still() {
    let options = Options { check_every_ms: Some(1000), ..Options::default() };
    let mut network = Network::new(1, pair().into(), Faults::default(), options);
    network.parties[0].write(DocumentKind::Wall, "one", 1);
    network.connect(0, 1);
    network.run_for(900).unwrap();
    let before = network.counters(0, 0).unwrap();
    network.run_for(1000).unwrap();
    let after = network.counters(0, 0).unwrap().since(&before);
    assert_eq!((after.round_trips, after.frames), (1, 2));
    assert!(after.control_bytes <= 66, "{after:?}");
}

#[test]
fn one_new_post_takes_one_round_trip_in_either_direction() {
    for writer in 0..2 {
        let mut network = network(pair());
        rest(&mut network);
        network.parties[writer].write(DocumentKind::Wall, "hello", 7);
        network.spread_news();
        rest(&mut network);
        assert_same(&network.parties);
        let (_, pushed) =
            network.outcomes.iter().find(|(_, o)| o.kind == OutcomeKind::Pushed).unwrap();
        assert_eq!(pushed.counters.round_trips, 1);
        assert!(pushed.is_equal());
        assert!(pushed.durable_there == Some(true) && pushed.missing_there == 0);
        let again = network.outcomes.iter().filter(|(_, o)| o.kind == OutcomeKind::Pushed).count();
        assert_eq!(again, 1, "the news must not come back");
    }
}

#[test]
fn a_body_missing_at_the_hub_is_told_and_mended() {
    let [laptop, phone] = pair();
    laptop.write(DocumentKind::Wall, "kept", 1);
    laptop.write(DocumentKind::Wall, "lost", 2);
    laptop.drop_body("lost", false);
    let mut network = network([laptop, phone]);
    rest(&mut network);
    let outcome = last_round(&network, 1);
    assert!(outcome.is_equal());
    assert_eq!((outcome.missing_here, outcome.missing_there), (1, 1));
    // A third replica that has it mends both.
    let third = Model::new(12, 1);
    third.keep(1, &ALL);
    network.parties.push(third);
    network.connect(1, 2);
    rest(&mut network);
    assert_eq!(last_round(&network, 2).missing_there, 1);
}

#[test]
fn a_push_elsewhere_does_not_hide_what_is_missing_there() {
    let [laptop, phone] = pair();
    laptop.write(DocumentKind::Wall, "lost", 1);
    laptop.drop_body("lost", false);
    let mut network = network([laptop, phone]);
    rest(&mut network);
    assert_eq!(last_round(&network, 0).missing_there, 1);
    network.parties[0].write(DocumentKind::Private, "elsewhere", 2);
    network.spread_news();
    rest(&mut network);
    let pushed = network.outcomes.iter().find(|(_, o)| o.kind == OutcomeKind::Pushed).unwrap();
    assert_eq!(pushed.1.missing_there, 1, "{:?}", pushed.1);
}

#[test]
fn what_visitors_keep_to_themselves_makes_nobody_look_incomplete() {
    let [laptop, phone] = pair();
    laptop.write(DocumentKind::Guest, "promised", 1);
    laptop.drop_body("promised", false);
    let mut network = network([laptop, phone]);
    rest(&mut network);
    let outcome = last_round(&network, 1);
    assert!(outcome.is_equal());
    assert_eq!((outcome.missing_here, outcome.missing_there), (0, 0));
    let visitors = network.parties[1].sections()[2];
    assert_eq!(network.parties[1].missing_bodies_count(&visitors), Ok(1));
    // Yet it is asked for wherever it may be.
    let third = Model::new(12, 1);
    third.keep(1, &ALL);
    third.write(DocumentKind::Private, "promised", 1);
    network.parties.push(third);
    network.connect(1, 2);
    rest(&mut network);
    assert_eq!(network.parties[1].missing_bodies_count(&visitors), Ok(0));
}

#[test]
fn deleted_bodies_do_not_come_back_and_cost_nothing() {
    let [laptop, phone] = pair();
    laptop.write(DocumentKind::Wall, "regret", 1);
    let mut network = network([laptop, phone]);
    rest(&mut network);
    network.parties[1].drop_body("regret", true);
    for _ in 0..20 {
        network.refresh();
        rest(&mut network);
    }
    assert_eq!(last_round(&network, 1).missing_here, 0);
    let held = network.parties[1].held(&network.parties[1].sections()[1]);
    assert!(held.iter().all(|(.., bodies)| *bodies == 0));
}

#[test]
fn a_failed_store_is_told_and_the_next_round_mends_it() {
    let [laptop, phone] = pair();
    laptop.write(DocumentKind::Wall, "one", 1);
    phone.state.borrow_mut().store_fails = true;
    let mut network = network([laptop, phone]);
    network.run_for(10).unwrap();
    let outcome = last_round(&network, 0);
    assert_eq!(outcome.durable_there, Some(false));
    assert!(!outcome.is_equal());
    let cause = outcome.causes.first().unwrap();
    assert_eq!((cause.side, cause.reason), (Side::There, Reason::Store));
    network.parties[1].state.borrow_mut().store_fails = false;
    rest(&mut network);
    network.run_for(3_000).unwrap();
    assert_same(&network.parties);
}

#[test]
fn what_is_refused_is_declared_and_ends() {
    let [laptop, phone] = pair();
    laptop.write(DocumentKind::Wall, "one", 1);
    phone.state.borrow_mut().refused.insert(laptop.device);
    let mut network = network([laptop, phone]);
    rest(&mut network);
    let outcome = last_round(&network, 0);
    assert_eq!(outcome.number, 1, "a refusal is no reason to try again");
    let differs = outcome.sections.iter().filter(|s| s.state == SectionState::Differs);
    assert_eq!(differs.count(), 1);
    assert_eq!(outcome.causes.first().map(|c| c.reason), Some(Reason::Blocked));
}

#[test]
fn an_older_head_is_reported() {
    let [laptop, phone] = pair();
    let chain = laptop.write(DocumentKind::Wall, "one", 1);
    laptop.write(DocumentKind::Wall, "two", 2);
    let mut network = network([laptop, phone]);
    rest(&mut network);
    for shower in 0..2 {
        network.parties[shower].roll_back(&chain, 1);
        network.refresh();
        rest(&mut network);
        let reports = network.outcomes.iter().filter(|(who, _)| *who == 1 - shower);
        let older: Vec<_> = reports.flat_map(|(_, outcome)| &outcome.older).collect();
        assert_eq!(older.first().map(|o| (o.chain, o.before)), Some((chain, 2)), "{shower}");
        assert_same(&network.parties);
        network.outcomes.clear();
    }
}

#[test]
fn both_branches_of_a_fork_reach_everybody() {
    let mut parties = Vec::from(pair());
    for text in ["left", "right"] {
        let twin = Model::new(12, 1);
        twin.keep(1, &ALL);
        twin.write(DocumentKind::Wall, "common", 1);
        twin.write(DocumentKind::Wall, text, 2);
        if text == "right" {
            twin.write(DocumentKind::Wall, "longer", 3);
        }
        parties.push(twin);
    }
    let mut network = network(parties);
    network.connect(0, 2);
    network.connect(1, 3);
    rest(&mut network);
    network.run_for(10_000).unwrap();
    rest(&mut network);
    assert_same(&network.parties);
    let section = network.parties[0].sections()[1];
    assert_eq!(network.parties[0].held(&section).len(), 2);
    assert!(network.outcomes.iter().any(|(_, outcome)| !outcome.forks.is_empty()));
}

#[test]
fn strangers_learn_nothing_and_private_sections_stay_home() {
    let (laptop, stranger) = (Model::new(10, 1), Model::new(20, 2));
    laptop.keep(1, &ALL);
    stranger.keep(1, &ALL).keep(2, &ALL);
    laptop.write(DocumentKind::Private, "follows", 1);
    laptop.write(DocumentKind::Wall, "public", 1);
    let mut network = network([laptop, stranger]);
    rest(&mut network);
    let sections = &last_round(&network, 0).sections;
    assert!(sections.iter().all(|section| section.section.class != SectionClass::Private));
    let private = network.parties[0].sections()[3];
    assert_eq!(network.parties[1].held(&private).len(), 0);
    assert_eq!(sections.len(), 3);
}

fn history(seed: u64) -> Result<(), Unrest> {
    let mut chance = Chance::new(seed);
    let count = 2 + chance.below(4);
    let parties: Vec<Model> = (0..count)
        .map(|number| {
            let account = u8::try_from(1 + number % 2).unwrap();
            let device = account * 10 + u8::try_from(number / 2).unwrap();
            let model = Model::new(device, account);
            model.keep(account, &ALL);
            model.keep(3 - account, &OPEN);
            model.state.borrow_mut().page_packs = chance.below(2) == 0;
            model
        })
        .collect();
    let faults = Faults {
        delay_ms_max: chance.below(120),
        breaks: [0, 10, 60][chance.below(3) as usize],
        failed_fetches: [0, 200][chance.below(2) as usize],
    };
    // Sketches and noted lists, or none, whatever is shorter.
    let (sketch_from, recall_from) = ([0, 1, 48][seed as usize % 3], [0, 4][seed as usize / 3 % 2]);
    let (sums_max, check_every_ms) = ([0, 96][seed as usize / 6 % 2], Some(20_000));
    let options =
        Options { check_every_ms, sketch_from, sums_max, recall_from, ..Options::default() };
    let mut network = Network::new(seed, parties, faults, options);
    for party in 1..network.parties.len() {
        let other = chance.below(party as u64) as usize;
        network.connect(party, other);
    }
    let kinds = [DocumentKind::Wall, DocumentKind::AccountLog, DocumentKind::Private];
    for act in 0..20 + chance.below(60) {
        let who = chance.below(count) as usize;
        let kind = kinds[[0, 0, 0, 0, 1, 2][chance.below(6) as usize]];
        let long = if chance.below(10) == 0 { "x".repeat(9000) } else { String::new() };
        network.parties[who].write(kind, &format!("{seed} {act} {long}"), act);
        match chance.below(3) {
            0 => network.spread_news(),
            1 => network.run_for(chance.below(400))?,
            _ => {}
        }
    }
    network.spread_news();
    network.heal();
    network.run_to_rest(200_000)?;
    network.refresh();
    network.run_to_rest(200_000)?;
    network.run_for(90_000)?;
    network.run_to_rest(200_000)?;
    let all: BTreeSet<_> = network.parties.iter().flat_map(Model::sections).collect();
    for section in all {
        let keepers = network.parties.iter().filter(|p| p.sections().contains(&section));
        let held: BTreeSet<_> = keepers.map(|party| party.held(&section)).collect();
        // Private documents travel between own devices, which need not be neighbours.
        if section.class != SectionClass::Private {
            if held.len() > 1 {
                for (w, o) in network.outcomes.iter().rev().take(40).rev() {
                    println!(
                        "{w} {:?} {} eq {} miss {}/{} causes {:?}",
                        o.kind,
                        o.number,
                        o.is_equal(),
                        o.missing_here,
                        o.missing_there,
                        o.causes
                    );
                }
            }
            assert!(held.len() <= 1, "seed {seed}: {section:?} {held:?}");
        }
    }
    Ok(())
}

#[test]
fn random_histories_over_bad_lines_converge() {
    let seeds = std::env::var("SYNC_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let first = std::env::var("SYNC_FIRST").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        if let Err(unrest) = history(seed) {
            panic!("{unrest}");
        }
    }
}

#[test]
fn a_gap_that_was_filled_is_no_cause_and_what_the_other_side_says_stands() {
    let model = Model::new(1, 1);
    let chain = model.write(DocumentKind::Wall, "one", 1);
    let mut ledger = Ledger::default();
    for (from_n, reason) in [(1, Reason::Gap), (2, Reason::Gap), (1, Reason::Quota)] {
        ledger.blame(None, Some(chain), from_n, reason);
    }
    // It lacks the chain that is whole here.
    let (side, section, reason) = (Side::There, None, Reason::Gap);
    ledger.causes.push(Cause { side, section, chain: Some(chain), from_n: 1, reason });
    ledger.causes_total += 1;
    ledger.settle_gaps(&model).unwrap();
    let left: Vec<_> = ledger.causes.iter().map(|c| (c.side, c.from_n, c.reason)).collect();
    assert_eq!(
        left,
        [
            (Side::Here, 1, Reason::Quota),
            (Side::Here, 2, Reason::Gap),
            (Side::There, 1, Reason::Gap)
        ]
    );
    assert_eq!(ledger.causes_total, 3);
}

#[test]
fn more_gaps_than_an_outcome_names_are_ended_all_the_same() {
    let model = Model::new(1, 1);
    let chain = model.write(DocumentKind::Wall, "one", 1);
    let mut ledger = Ledger::default();
    for _ in 0..=CAUSES_KEPT_MAX {
        ledger.blame(None, Some(chain), 1, Reason::Gap);
    }
    ledger.blame(None, Some(chain), 1, Reason::Quota);
    ledger.settle_gaps(&model).unwrap();
    let left: Vec<_> = ledger.causes.iter().map(|cause| cause.reason).collect();
    assert_eq!((left, ledger.causes_total), (vec![Reason::Quota], 1));
}
