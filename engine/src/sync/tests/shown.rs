//! What a replica knows of what a peer has.

use super::replicas::{NOW, draft, person};
use crate::description::{SectionClass, Space};
use crate::sync::Options;
use crate::sync::exchange::{Exchange, Section};
use crate::sync::sim::{Faults, Network};

#[test]
fn what_both_have_from_somebody_else_is_known_once_they_compare_it() {
    let people: Vec<_> = (0..3).map(|n| person(70 + n, "laptop")).collect();
    let accounts: Vec<_> = people.iter().map(|(_, account)| *account).collect();
    let parties: Vec<_> = people.into_iter().map(|(home, _)| home).collect();
    let options = Options { check_every_ms: None, ..Options::default() };
    let mut network = Network::new(7, parties, Faults::default(), options);
    // Two that have met already come by the wall of a third, each from him and at other times.
    network.connect(0, 1);
    network.run_to_rest(10_000).unwrap();
    let author = &network.parties[2].replica;
    author.post(draft("seen by both".into()), None, NOW).unwrap();
    for n in 0..2 {
        network.parties[n].replica.follow(accounts[2], None, NOW + 1).unwrap();
        let line = network.connect(n, 2);
        network.run_to_rest(10_000).unwrap();
        network.disconnect(line);
    }
    let space = Space::Account(accounts[2]).id();
    let section = Section { space, class: SectionClass::Public };
    network.refresh();
    network.run_to_rest(10_000).unwrap();
    let shown = |n: usize| {
        let remote = network.parties[1 - n].replica.own_device();
        network.parties[n].replica.peer_tips(&remote, &section).unwrap().len()
    };
    let held = network.parties[0].replica.tips(&section).unwrap().len();
    assert!(held > 0);
    assert_eq!([shown(0), shown(1)], [held, held]);
}
