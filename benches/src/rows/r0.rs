//! R0: two replicas that are equal.

use super::Context;
use crate::floor;
use crate::meeting::Meeting;
use crate::report::{Measure, Row};
use crate::workload::wall::{Apart, accounts};

pub(super) fn run(context: &Context) -> Row {
    let sizes: &[(u64, u64)] = context.pick(
        &[(1_000, 10)][..],
        &[(1_000, 10), (20_000, 100)],
        &[(1_000, 10), (100_000, 1_000), (1_000_000, 1_000)],
        &[(1_000, 10), (100_000, 1_000), (1_000_000, 1_000), (1_000_000, 10_000)],
    );
    let mut measures = Vec::new();
    for (changes, authors) in sizes {
        context.say(&format!("{changes} changes by {authors} accounts"));
        let mut progress = context.progress("writing");
        let apart = accounts(context.seed, *authors, *changes, &[], &mut progress);
        measures.extend(equal(&apart, *changes, *authors));
    }
    Row {
        name: "R0".into(),
        title: "Two equal replicas find out that they are equal".into(),
        method:
            "Two hubs that keep the same accounts and never met; then the same session after a \
                 minute. Frames with their lengths, both ways; transport not counted. Beside it \
                 automerge::sync over the same documents, each with a message of its own."
                .into(),
        measures,
        plots: Vec::new(),
    }
}

fn equal(apart: &Apart, changes: u64, authors: u64) -> Vec<Measure> {
    let nodes = [apart.base.node(), apart.base.node()];
    let mut meeting = Meeting::new([&nodes[0], &nodes[1]], 1);
    let first = meeting.rest();
    let again = meeting.pass_a_minute();
    let later = Meeting::whole([&nodes[0], &nodes[1]], 2);
    let mut out = Vec::new();
    let automerge = if changes <= 100_000 {
        {
            let documents = floor::documents(apart.base.replica());
            Some(floor::sync_all(&documents, [&documents, &documents]))
        }
    } else {
        None
    };
    for (name, met) in [("first contact", &first), ("same session", &again), ("met before", &later)]
    {
        let case = format!("{changes} changes, {authors} accounts, {name}");
        let each = met.sent.iter().map(|sent| sent.all() + sent.packs).max().unwrap_or(0);
        let mut bytes = Measure::exact(&case, "bytes each way, at most", "B", each);
        bytes = bytes.at_most(64.0).limit(16.0);
        if let (Some([cold, kept]), true) = (&automerge, name != "same session") {
            let peer = if name == "first contact" { cold } else { kept };
            bytes = bytes.beside("automerge::sync", peer.total as f64 / 2.0);
        }
        out.push(bytes);
        out.push(Measure::exact(&case, "legs", "legs", met.legs).at_most(2.0).limit(1.0));
        assert!(met.equal, "{case}: {met:?}");
    }
    out
}
