use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Counting, NOW};
use crate::authority::{Authority, LogItem};
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, ChangeId, DeviceId, DocumentId, Incarnation, Link, PolicyId};
use crate::identity::{
    CertificateOffer, CertificatePath, DeviceSecret, Genesis, RecoverySecret, Rotation, Verifier,
};
use crate::model::entry::{Entry, Tip};

fn words(seed: u8) -> RecoverySecret {
    RecoverySecret::derive(&[seed; 32]).unwrap()
}

fn secret(seed: u64) -> DeviceSecret {
    DeviceSecret::generate(&SeededEntropy::new(seed))
}

/// An account that the words of seed 0 recover, and what was written into its log.
struct Log {
    path: CertificatePath,
    items: Vec<LogItem>,
}

impl Log {
    fn new() -> Self {
        let recovery = *words(0).policy().id().as_bytes();
        let genesis = Genesis::create(&secret(1), recovery, NOW, &SeededEntropy::new(2));
        Self { path: CertificatePath::first(genesis), items: Vec::new() }
    }

    fn account(&self) -> AccountId {
        self.path.account()
    }

    fn say(&mut self, by: DeviceId, entry: Entry) {
        let n = self.items.iter().filter(|item| item.device == by).count() as u64 + 1;
        let id = ChangeId::of(&[by.as_bytes().as_slice(), &n.to_be_bytes()].concat());
        let (doc, incarnation) = (DOC, LIFE);
        self.items.push(LogItem { id, doc, device: by, incarnation, n, time_ms: NOW + n, entry });
    }

    fn recover(&mut self, by: u8, rotations: Vec<Rotation>, device: u64, rank: u8) -> DeviceId {
        let new = secret(device);
        let certificate = words(by).certify(self.account(), rotations, &new, rank, NOW).unwrap();
        let (certificate, name) = (certificate.encode(), format!("r{device}"));
        self.say(new.id(), Entry::Recover { certificate, name });
        new.id()
    }

    fn rotate(&mut self, by: DeviceId, from: u8, to: u8, seen: &[DeviceId]) -> Rotation {
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        let rotation = words(from).rotate(self.account(), words(to).policy().id(), &seen, NOW);
        self.say(by, Entry::Rotate { rotation: rotation.encode(), seen });
        rotation
    }

    fn revoke(&mut self, by: DeviceId, device: DeviceId, cut: u64) {
        let link = Link::from_bytes([0; 32]);
        let tip = Tip { doc: DOC, device, incarnation: LIFE, n: cut, link };
        self.say(by, Entry::Cut { device, tips: vec![tip] });
        self.say(by, Entry::Revoke { device, reason: "lost".into() });
    }

    fn fold(&self) -> Authority {
        let first = self.path.verify(&Verifier::default()).unwrap();
        let items = &self.items;
        Authority::fold(&first, &self.path, items, &mut Counting::default(), &|tip| tip.n)
    }
}

const DOC: DocumentId = DocumentId::from_bytes([1; 32]);
const LIFE: Incarnation = Incarnation::from_bytes([2; 16]);

fn policy(seed: u8) -> PolicyId {
    words(seed).policy().id()
}

#[test]
fn words_outrank_a_stolen_first_device() {
    let mut log = Log::new();
    let stolen = secret(1).id();
    log.say(stolen, Entry::Admit { account: AccountId::from_bytes([8; 32]) });
    let new = log.recover(0, vec![], 10, 201);
    log.revoke(new, stolen, 1);
    // What the thief knows and does, before and after he hears of it.
    log.say(stolen, Entry::Suspend { device: new });
    log.revoke(stolen, new, 0);
    let authority = log.fold();
    assert!(authority.may_write(&new) && !authority.may_write(&stolen));
    assert!(authority.guests.contains_key(&AccountId::from_bytes([8; 32])), "what was stays");
    // Even a suspension that stands inside a later, wider cut holds nobody back.
    let other = log.recover(0, vec![], 11, 201);
    log.revoke(other, stolen, 9);
    let authority = log.fold();
    assert!(authority.may_write(&new) && authority.may_write(&other));
    assert!(!authority.may_write(&stolen) && !authority.recovery.frozen);
}

#[test]
fn who_recovers_later_and_knows_it_can_take_out_the_one_before() {
    let mut log = Log::new();
    let first = log.recover(0, vec![], 10, 201);
    let second = log.recover(0, vec![], 11, 202);
    log.revoke(first, second, 1);
    assert!(log.fold().may_write(&second));
    log.revoke(second, first, 1);
    let authority = log.fold();
    assert!(authority.may_write(&second) && !authority.may_write(&first));
    let highest = authority.recovery.highest.unwrap();
    assert_eq!((highest.device, highest.rank), (second, 202));
}

#[test]
fn a_device_without_words_changes_nothing_about_them() {
    let mut log = Log::new();
    let stolen = secret(1).id();
    let forged = words(9).certify(log.account(), vec![], &secret(20), 254, NOW).unwrap();
    let name = "x".to_owned();
    log.say(stolen, Entry::Recover { certificate: forged.encode(), name });
    log.rotate(stolen, 9, 8, &[]);
    let mut honest = words(0).rotate(log.account(), policy(3), &[], NOW);
    honest.next = policy(9);
    log.say(stolen, Entry::Rotate { rotation: honest.encode(), seen: vec![] });
    let claim = words(9).claim(&log.account());
    log.say(stolen, Entry::Recovery { policy: *words(9).policy(), claim });
    let recovery = log.fold().recovery;
    assert_eq!((recovery.committed, recovery.policy, recovery.frozen), (policy(0), None, false));
    assert_eq!(log.fold().devices.len(), 1);
}

#[test]
fn new_words_take_over_and_old_ones_freeze() {
    let mut log = Log::new();
    let seen = log.recover(0, vec![], 10, 201);
    let rotation = log.rotate(seen, 0, 1, &[seen]);
    let recovery = log.fold().recovery;
    assert_eq!((recovery.committed, recovery.frozen), (policy(1), false));
    let newer = log.recover(1, vec![rotation], 11, 201);
    let authority = log.fold();
    assert!(authority.may_write(&seen) && authority.may_write(&newer));
    // Somebody finds the old sheet of paper.
    let thief = log.recover(0, vec![], 12, 202);
    let authority = log.fold();
    assert!(authority.recovery.frozen);
    assert!(authority.may_write(&seen), "what both agree on stays");
    assert!(!authority.devices.contains_key(&thief) && !authority.devices.contains_key(&newer));
    // To say that the old words had seen it does not help him.
    log.rotate(thief, 0, 1, &[seen, thief]);
    let authority = log.fold();
    assert!(authority.recovery.frozen && !authority.devices.contains_key(&thief));
}

#[test]
fn a_rotation_without_its_list_knows_nobody_but_all() {
    let mut log = Log::new();
    let (a, b) = (log.recover(0, vec![], 10, 201), log.recover(0, vec![], 11, 201));
    let mut seen = [a, b];
    seen.sort_unstable();
    let rotation = words(0).rotate(log.account(), policy(1), &seen, NOW);
    // Only the certificate of a device under the new words tells of it.
    log.recover(1, vec![rotation.clone()], 12, 201);
    assert!(!log.fold().recovery.frozen);
    log.items.retain(|item| item.device != b);
    assert!(log.fold().recovery.frozen, "for now");
    log.say(a, Entry::Rotate { rotation: rotation.encode(), seen: seen.to_vec() });
    assert!(!log.fold().recovery.frozen);
}

/// One thing that somebody writes.
#[derive(Debug, Clone)]
enum Act {
    Recover { words: u8, device: u64, rank: u8 },
    Rotate { from: u8, to: u8, seen: Vec<u64> },
    Revoke { by: u64, device: u64, cut: u64 },
    Suspend { by: u64, device: u64 },
    Link { by: u64, device: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    let device = || prop_oneof![Just(1u64), 10u64..14];
    prop_oneof![
        3 => (0u8..2, 10u64..14, 201u8..204)
            .prop_map(|(words, device, rank)| Act::Recover { words, device, rank }),
        1 => (0u8..2, 1u8..3, prop::collection::vec(10u64..14, 0..3))
            .prop_map(|(from, to, seen)| Act::Rotate { from, to, seen }),
        2 => (device(), device(), 0u64..4).prop_map(|(by, device, cut)| Act::Revoke { by, device, cut }),
        1 => (device(), device()).prop_map(|(by, device)| Act::Suspend { by, device }),
        1 => (device(), 20u64..22).prop_map(|(by, device)| Act::Link { by, device }),
    ]
}

fn play(acts: &[Act]) -> Log {
    let mut log = Log::new();
    let mut rotations = Vec::new();
    for act in acts {
        match act {
            Act::Recover { words, device, rank } => {
                let led: Vec<Rotation> =
                    if *words == 0 { vec![] } else { rotations.iter().take(1).cloned().collect() };
                log.recover(*words, led, *device, *rank);
            }
            Act::Rotate { from, to, seen } => {
                let seen: BTreeSet<DeviceId> = seen.iter().map(|d| secret(*d).id()).collect();
                let seen: Vec<DeviceId> = seen.into_iter().collect();
                let rotation = log.rotate(secret(1).id(), *from, *to, &seen);
                if *from == 0 && *to == 1 {
                    rotations.push(rotation);
                }
            }
            Act::Revoke { by, device, cut } => {
                log.revoke(secret(*by).id(), secret(*device).id(), *cut);
            }
            Act::Suspend { by, device } => {
                log.say(secret(*by).id(), Entry::Suspend { device: secret(*device).id() });
            }
            Act::Link { by, device } => {
                let (by, new) = (secret(*by), secret(*device));
                let folded = log.fold();
                let Some(standing) = folded.devices.get(&by.id()) else { continue };
                let offer = CertificateOffer::issue(
                    &standing.verified,
                    &by,
                    new.id(),
                    new.seal_key(),
                    50,
                    NOW,
                );
                let certificate = offer.unwrap().accept(&new).unwrap().encode();
                log.say(by.id(), Entry::AddDevice { certificate, name: "linked".into() });
            }
        }
    }
    log
}

/// The same items in another order, each chain in its own.
fn shuffled(items: &[LogItem], order: &[usize]) -> Vec<LogItem> {
    let mut chains: Vec<Vec<LogItem>> = Vec::new();
    for item in items {
        match chains.iter_mut().find(|chain| chain[0].device == item.device) {
            Some(chain) => chain.push(item.clone()),
            None => chains.push(vec![item.clone()]),
        }
    }
    let mut out = Vec::new();
    let mut turn = order.iter().cycle();
    while !chains.is_empty() {
        let at = turn.next().unwrap() % chains.len();
        out.push(chains[at].remove(0));
        if chains[at].is_empty() {
            chains.remove(at);
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_same_set_gives_the_same_verdict_in_any_order(
        acts in prop::collection::vec(act(), 1..14),
        order in prop::collection::vec(0usize..64, 1..32),
    ) {
        let log = play(&acts);
        let folded = log.fold();
        let other = Log { path: log.path.clone(), items: shuffled(&log.items, &order) };
        prop_assert_eq!(&other.fold(), &folded);
        // Frozen exactly if the words of the genesis say two things, or those after them do.
        let mut committed = (policy(0), 0u8);
        let frozen = loop {
            let successors: BTreeSet<(u8, Vec<DeviceId>)> = acts.iter().filter_map(|act| {
                let Act::Rotate { from, to, seen } = act else { return None };
                let seen: BTreeSet<DeviceId> = seen.iter().map(|d| secret(*d).id()).collect();
                (*from == committed.1).then(|| (*to, seen.into_iter().collect()))
            }).collect();
            let led = acts.iter().any(|act| matches!(act, Act::Rotate { from: 0, to: 1, .. }));
            let recovered: BTreeSet<DeviceId> = acts.iter().filter_map(|act| match act {
                Act::Recover { words, device, .. } if *words == committed.1 => {
                    (*words == 0 || led).then(|| secret(*device).id())
                }
                _ => None,
            }).collect();
            let next: BTreeSet<u8> = successors.iter().map(|(to, _)| *to).collect();
            let unseen = |device: &DeviceId| successors.iter().any(|(_, seen)| !seen.contains(device));
            if next.len() > 1 || recovered.iter().any(unseen) {
                break true;
            }
            match next.first() {
                // A policy that follows itself, or the end of what the test plays.
                Some(to) if *to > committed.1 => committed = (policy(*to), *to),
                _ => break false,
            }
        };
        if acts.iter().all(|act| !matches!(act, Act::Rotate { from: 1, to: 1, .. })) {
            let early = first_recover_before_rotation(&acts);
            prop_assert!(early || folded.recovery.frozen == frozen, "{:?}", folded.recovery);
        }
        // Whatever devices say, words bring in whom they bring in, unless they disagree.
        let bottom = folded.devices.values().all(|standing| {
            !standing.suspended || standing.verified.rank() <= 200
                || log.items.iter().any(|item| matches!(&item.entry, Entry::Suspend { device }
                    if *device == standing.verified.device()
                        && folded.devices.get(&item.device).is_some_and(|by| by.verified.rank() > 200)))
        });
        prop_assert!(bottom);
    }
}

/// A device of the second words whose certificate was made before the test had a rotation to
/// lead to them: it does not verify.
fn first_recover_before_rotation(acts: &[Act]) -> bool {
    let rotated = acts.iter().position(|act| matches!(act, Act::Rotate { from: 0, to: 1, .. }));
    acts.iter().enumerate().any(|(at, act)| {
        matches!(act, Act::Recover { words: 1, .. }) && rotated.is_none_or(|rotated| at < rotated)
    })
}
