//! R5: what somebody can do to two replicas that want to become equal.

use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Draft, Replica, ReplicaOptions};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_engine::wire::Message;

use super::Context;
use crate::TIME_MS;
use crate::meeting::{Meeting, Met};
use crate::report::{Measure, Row};
use crate::workload::wall::{accounts, guests};
use crate::workload::{Seeded, hub};

pub(super) fn run(context: &Context) -> Row {
    let mut measures = equivocation(context);
    measures.extend(withheld(context));
    measures.extend(altered(context));
    measures.extend(flood(context));
    Row {
        name: "R5".into(),
        title: "Hostile peers and members".into(),
        method: "c: a device's store is copied and both copies write on under the same numbers; \
                 the two hubs that took one branch each meet. d: a peer lists heads and gives \
                 nothing for them, then an honest one comes; frames of a session are altered, \
                 then it is dialled again. a: a wall with as many visitors as are let in. \
                 Converged: all sections equal, nothing missing, no session more."
            .into(),
        measures,
        plots: Vec::new(),
    }
}

fn told(case: &str, met: &Met, honest: &Met) -> Vec<Measure> {
    vec![
        Measure::exact(case, "converged", "", u64::from(met.equal)).at_least(1.0),
        Measure::exact(case, "control bytes", "B", met.control())
            .beside("honest", honest.control() as f64)
            .at_most(4.0 * honest.control() as f64),
        Measure::exact(case, "legs", "legs", met.legs).beside("honest", honest.legs as f64),
    ]
}

fn post(replica: &Replica, text: &str, n: u64) {
    let draft = Draft { text: text.to_owned(), ..Draft::default() };
    replica.post(draft, None, TIME_MS + 1_000 * n).expect("a post");
}

/// One device, two stores: both write change 3.
fn equivocation(context: &Context) -> Vec<Measure> {
    let secret = || DeviceSecret::generate(&SeededEntropy::new(context.seed + 5));
    let store = MemoryStore::new();
    let first = crate::replica(Arc::new(store.clone()), context.seed);
    let account = first.create_account(secret(), "laptop", [7; 32], TIME_MS).expect("an account");
    post(&first, "in common", 1);
    let options = ReplicaOptions { secret: Some(secret()), fresh_incarnation: false };
    let entropy = Arc::new(SeededEntropy::new(context.seed + 9));
    let second = Replica::open(Arc::new(store.snapshot()), entropy, options).expect("a replica");
    for (replica, name) in [(&first, "first"), (&second, "second")] {
        for n in 2..5 {
            post(replica, &format!("{name} {n}"), n);
        }
    }
    let hubs = [11, 12].map(|n| {
        let hub = hub::node(Arc::new(MemoryStore::new()), context.seed + n);
        hub::keep(&hub, &[account]);
        hub
    });
    for (hub, replica) in hubs.iter().zip([&first, &second]) {
        let met = Meeting::whole([replica, hub], 1);
        assert!(met.equal, "{met:?}");
    }
    let met = Meeting::whole([&hubs[0], &hubs[1]], 2);
    let again = Meeting::whole([&hubs[0], &hubs[1]], 3);
    let case = "c: equivocation, two branches meet";
    let mut out = told(case, &met, &met);
    out.push(
        Measure::exact(case, "equal in the next session", "", u64::from(again.equal)).at_least(1.0),
    );
    let shown = hubs.iter().map(|hub| hub.wall(&account, None, 50).expect("a wall").len());
    let shown: Vec<usize> = shown.collect();
    let alike = u64::from(shown[0] == shown[1]);
    out.push(Measure::exact(case, "both show the same number of posts", "", alike).at_least(1.0));
    out
}

/// A peer that lists everything and gives nothing; then an honest one.
fn withheld(context: &Context) -> Vec<Measure> {
    let apart = accounts(context.seed, 20, 200, &[20, 20], &mut |_, _| {});
    let nodes = apart.step(0);
    let honest = Meeting::whole([&nodes[0], &nodes[1]], 1);
    let nodes = apart.step(1);
    let mut meeting = Meeting::new([&nodes[0], &nodes[1]], 2);
    meeting.tamper(Box::new(|side, frame| {
        let gives = matches!(Message::decode(&frame), Ok(Message::Give { .. }));
        (side == 0 || !gives).then_some(frame)
    }));
    let lied = meeting.rest();
    let met = Meeting::whole([&nodes[0], &nodes[1]], 3);
    let case = "d: a peer withholds what it listed, then an honest session";
    let mut out = told(case, &met, &honest);
    out.push(Measure::exact(case, "control bytes of the lying session", "B", lied.control()));
    out.push(Measure::exact(case, "rounds of the lying session", "", lied.rounds).at_most(3.0));
    out
}

/// Frames with one thing changed; then the line is dialled again.
fn altered(context: &Context) -> Vec<Measure> {
    let runs = context.pick(5, 20, 100, 100);
    let apart = accounts(context.seed, 6, 60, &[6], &mut |_, _| {});
    let mut chance = Seeded::new(context.seed);
    let (mut converged, mut closed) = (0, 0);
    let base = &apart.base;
    let from = mosaic_engine::hash::DeviceId::from_bytes([2; 32]);
    for _ in 0..runs {
        let nodes = [base.node(), base.node()];
        for (node, parcel) in nodes.iter().zip(&apart.steps[0]) {
            parcel.give(&from, node);
        }
        let mut meeting = Meeting::new([&nodes[0], &nodes[1]], 2);
        let (target, mut number) = (chance.below(8), 0);
        let mut own = chance.clone();
        chance.next();
        meeting.tamper(Box::new(move |_, frame: Bytes| {
            number += 1;
            if number != target + 1 {
                return Some(frame);
            }
            let place = own.below(frame.len() as u64) as usize;
            let mut bytes = frame.to_vec();
            bytes[place] ^= 1 << own.below(8);
            Some(bytes.into())
        }));
        closed += u64::from(meeting.rest().closed.is_some());
        converged += u64::from(Meeting::whole([&nodes[0], &nodes[1]], 3).equal);
    }
    let case = format!("d: one bit of a frame altered, {runs} sessions, each dialled again");
    vec![
        Measure::exact(&case, "converged", "", converged).at_least(runs as f64),
        Measure::exact(&case, "sessions that ended for it", "", closed),
    ]
}

/// A wall on which many visitors have a page each.
fn flood(context: &Context) -> Vec<Measure> {
    let many = context.pick(50, 300, 3_000, 10_000);
    let few = guests(context.seed, 10, 40, &[10], &mut |_, _| {});
    let nodes = few.step(0);
    let honest = Meeting::whole([&nodes[0], &nodes[1]], 1);
    let flooded = guests(context.seed, many, 4 * many, &[10], &mut |_, _| {});
    let nodes = flooded.step(0);
    let met = Meeting::whole([&nodes[0], &nodes[1]], 2);
    told(&format!("a: {many} visitors on one wall beside 10"), &met, &honest)
}
