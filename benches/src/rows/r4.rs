//! R4: many authors, few of them moved.

use super::Context;
use crate::meeting::Meeting;
use crate::report::plot::{Line, Plot};
use crate::report::{Measure, Row};
use crate::workload::wall::{Apart, accounts, guests};

/// Bytes of an author in a plain version vector: a key and a counter.
const VECTOR_BYTES: u64 = 35;
/// Authors that moved: two, twenty.
const NEWS: &[u64] = &[2, 20];

pub(super) fn run(context: &Context) -> Row {
    let sizes: &[u64] = context.pick(
        &[10, 50][..],
        &[10, 100, 500],
        &[10, 100, 1_000, 10_000],
        &[10, 100, 1_000, 10_000, 100_000],
    );
    let (mut measures, mut lines) = (Vec::new(), Vec::new());
    for shape in ["accounts", "guests"] {
        let mut points = vec![Vec::new(); NEWS.len()];
        for authors in sizes {
            context.say(&format!("{authors} {shape}"));
            let mut progress = context.progress("writing");
            let write = if shape == "accounts" { accounts } else { guests };
            // Three replies of ten changes are by guests: each writes three.
            let changes = if shape == "accounts" { 2 } else { 10 } * authors;
            let apart = write(context.seed, *authors, changes, NEWS, &mut progress);
            for (number, moved) in NEWS.iter().enumerate() {
                let (figures, bytes) = step(&apart, number, *authors, shape, *moved);
                measures.extend(figures);
                points[number].push((*authors as f64, bytes));
            }
        }
        for (points, moved) in points.into_iter().zip(NEWS) {
            lines.push(Line::measured(&format!("{shape}, {moved} moved"), points));
        }
    }
    let vector = sizes.iter().map(|n| (*n as f64, (n * VECTOR_BYTES) as f64)).collect();
    lines.push(Line::bound("plain version vector", vector));
    Row {
        name: "R4".into(),
        title: "Many authors, few of whom wrote anything new".into(),
        method: "As R1 at first contact, with two (accounts) or three (guests) changes an author. \
                 Limit: a plain version vector of 35 bytes an author, sent one way."
            .into(),
        measures,
        plots: vec![Plot {
            name: "r4-authors".into(),
            title: "R4: bytes to find out, first contact".into(),
            x: "authors".into(),
            y: "bytes, both ways".into(),
            lines,
        }],
    }
}

fn step(
    apart: &Apart,
    number: usize,
    authors: u64,
    shape: &str,
    moved: u64,
) -> (Vec<Measure>, f64) {
    let nodes = apart.step(number);
    let met = Meeting::whole([&nodes[0], &nodes[1]], 4);
    let case = format!("{authors} {shape}, {moved} moved");
    assert!(met.equal, "{case}: {met:?}");
    let vector = authors * VECTOR_BYTES;
    let mut bytes = Measure::exact(&case, "bytes to find out", "B", met.finding())
        .beside("version vector", vector as f64);
    if authors >= 1_000 {
        bytes = bytes.at_most(vector as f64 / 10.0);
    }
    let legs = Measure::exact(&case, "legs until all is there", "legs", met.arrived).at_most(3.0);
    (vec![bytes, legs], met.finding() as f64)
}
