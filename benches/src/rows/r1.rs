//! R1: much in common, something new at both sides.

use super::{Context, Size};
use crate::floor;
use crate::measure::cpu;
use crate::meeting::{Meeting, Met};
use crate::peers::{self, Found};
use crate::report::plot::{Line, Plot};
use crate::report::{Measure, Row};
use crate::workload::wall::{Apart, accounts, chains_moved, guests};

const NEWS: &[u64] = &[0, 1, 10, 1_000, 100_000];

pub(super) fn run(context: &Context) -> Row {
    let cases: &[(u64, u64)] = context.pick(
        &[(2_000, 10)][..],
        &[(20_000, 10), (20_000, 200)],
        &[(100_000, 10), (100_000, 1_000), (1_000_000, 1_000)],
        &[(1_000_000, 10), (1_000_000, 100), (1_000_000, 1_000), (1_000_000, 10_000)],
    );
    let (mut measures, mut lines) = (Vec::new(), Vec::new());
    for (changes, authors) in cases {
        let news: Vec<u64> = NEWS.iter().copied().filter(|d| *d <= changes / 10).collect();
        context.say(&format!("{changes} changes by {authors} accounts, each with a wall"));
        let mut progress = context.progress("writing");
        let apart = accounts(context.seed, *authors, *changes, &news, &mut progress);
        lines.push(steps(context, "accounts", &apart, *authors, &news, &mut measures));
        drop(apart);
        context.say(&format!("{changes} changes on one wall with {authors} guests"));
        let apart = guests(context.seed, *authors, *changes, &news, &mut progress);
        lines.push(steps(context, "guests", &apart, *authors, &news, &mut measures));
    }
    Row {
        name: "R1".into(),
        title: "Two replicas with much in common and something new at each of them".into(),
        method: "Two hubs made of one history; then d new changes, half of the accounts' at one, \
                 half at the other. First contact: they never met. Met before: they were equal, \
                 and parted. Bytes to find out: all frames, both ways, but those that carry \
                 chains or bodies (signed heads, paths, changes)."
            .into(),
        measures,
        plots: vec![Plot {
            name: "r1-bytes".into(),
            title: "R1: bytes to find out what differs, first contact".into(),
            x: "changes that are new, half at each side".into(),
            y: "bytes, both ways".into(),
            lines: distinct(lines.into_iter().flatten()),
        }],
    }
}

/// Leaves out a bound that is drawn already.
fn distinct(lines: impl Iterator<Item = Line>) -> Vec<Line> {
    let mut drawn: Vec<Line> = Vec::new();
    for line in lines {
        let same = |other: &Line| other.bound && other.points == line.points;
        if !line.bound || !drawn.iter().any(same) {
            drawn.push(line);
        }
    }
    drawn
}

fn steps(
    context: &Context,
    shape: &str,
    apart: &Apart,
    authors: u64,
    news: &[u64],
    out: &mut Vec<Measure>,
) -> Vec<Line> {
    let (mut points, mut allowed) = (Vec::new(), Vec::new());
    let before = [apart.base.node(), apart.base.node()];
    let met = Meeting::whole([&before[0], &before[1]], 7);
    assert!(met.equal, "{met:?}");
    let common = apart.common;
    let git = git(context, shape, common, authors, news);
    let beside = common <= 150_000 && context.size > Size::Counts;
    for (number, d) in news.iter().enumerate() {
        let known = beside.then(|| floor::documents(apart.base.replica()));
        let (mut automerge, mut others) = (None, Vec::new());
        for (name, nodes) in [("first contact", None), ("met before", Some(&before))] {
            let case = format!("{common} changes, {authors} {shape}, d={d}, {name}");
            context.say(&case);
            let fresh;
            let nodes = match nodes {
                Some(known) => {
                    apart.part(number, known);
                    known
                }
                None => {
                    fresh = [apart.base.node(), apart.base.node()];
                    for (node, parcel) in fresh.iter().zip(&apart.steps[number]) {
                        parcel.give(&mosaic_engine::hash::DeviceId::from_bytes([2; 32]), node);
                    }
                    &fresh
                }
            };
            let moved = chains_moved(nodes);
            if let Some(known) = &known
                && automerge.is_none()
            {
                let after = [floor::documents(&nodes[0]), floor::documents(&nodes[1])];
                automerge = Some(floor::sync_all(known, [&after[0], &after[1]]));
                others = peers::find([&nodes[0], &nodes[1]]);
            }
            let (ns, met) = cpu(|| Meeting::whole([&nodes[0], &nodes[1]], 8 + number as u8));
            assert!(met.equal, "{case}: {met:?}");
            context.say(&format!("{case}: {}", met.by_message()));
            let theirs =
                automerge.map(|[cold, kept]| if name == "met before" { kept } else { cold });
            out.extend(figures(&case, &met, moved, ns, theirs.as_ref(), &others));
            let mut all =
                Measure::exact(&case, "all bytes, what is new included", "B", met.total());
            if let Some(bytes) = git.get(number) {
                all = all.beside("git fetch, one way", *bytes as f64);
            }
            out.push(all);
            if name == "first contact" {
                points.push((*d as f64, met.finding() as f64));
                allowed.push((*d as f64, target(moved)));
            }
        }
    }
    let name = format!("{common} changes, {authors} {shape}");
    vec![Line::measured(&name, points), Line::bound(&format!("allowed, {name}"), allowed)]
}

/// Bytes of a `git fetch` of what is new in each step: all of it goes one way.
fn git(context: &Context, shape: &str, common: u64, authors: u64, news: &[u64]) -> Vec<u64> {
    #[cfg(feature = "peers")]
    if shape == "accounts" && common <= 150_000 && context.size > Size::Counts {
        let folder = context.folder();
        let told = peers::fetched(folder.path(), context.seed, (common, authors), news);
        return told.iter().flatten().map(|fetched| fetched.up + fetched.down).collect();
    }
    let _ = (context, shape, common, authors, news);
    Vec::new()
}

/// Bytes allowed for finding out that `moved` chains differ.
fn target(moved: u64) -> f64 {
    1_300.0 + 70.0 * moved.saturating_sub(20) as f64
}

fn figures(
    case: &str,
    met: &Met,
    moved: u64,
    ns: u64,
    automerge: Option<&floor::Synced>,
    others: &[Found],
) -> Vec<Measure> {
    let mut finding =
        Measure::exact(case, "bytes to find out", "B", met.finding()).at_most(target(moved));
    let mut legs =
        Measure::exact(case, "legs until all is there", "legs", met.arrived).at_most(3.0);
    for found in others {
        finding = finding.beside(found.name, found.bytes as f64);
        legs = legs.beside(found.name, found.legs as f64);
    }
    let mut control = Measure::exact(case, "control bytes", "B", met.control());
    if let Some(theirs) = automerge {
        let theirs = theirs.control as f64;
        control = control.beside("automerge::sync", theirs).at_most(theirs / 100.0);
    }
    vec![
        Measure::exact(case, "chains that differ", "", moved),
        finding,
        control,
        legs,
        Measure::exact(case, "legs until both know it", "legs", met.legs),
        Measure::exact(case, "waits for a clock", "", met.waits),
        Measure::exact(case, "changes sent again", "", met.resent()).at_most(0.0),
        Measure::shown(case, "processor time, both sides", "ms", ns as f64 / 1e6),
    ]
}
