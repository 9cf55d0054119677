//! A report for people.

use std::fmt::Write as _;

use super::{Measure, Report, Row, explain};

/// Returns the whole report.
#[must_use]
pub fn whole(report: &Report) -> String {
    let mut out = String::new();
    let machine = &report.machine;
    let _ = writeln!(out, "# Benchmarks\n");
    let _ = writeln!(
        out,
        "Made by `cargo run --release -p mosaic-benches{} -- report{}{}` at commit {}, seed {}, on \
         {} ({} cores, {:.0} GiB), {}, load {}, {}.\n",
        if report.not_run.contains_key("negentropy") { "" } else { " --features peers" },
        if report.mode == "whole" { "" } else { " --" },
        if report.mode == "whole" { "" } else { &report.mode },
        report.commit,
        report.seed,
        machine.cpu,
        machine.cores,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
        machine.load,
        machine.rustc,
    );
    let versions: Vec<String> =
        report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = writeln!(out, "Versions: {}.\n", versions.join(", "));
    let _ = writeln!(
        out,
        "Bytes, legs and counts are exact and the same on every machine; a leg is one message one \
         way. Ratios are of processor time in one process, run in turn, with quartiles; other \
         times are those of this machine. Transport (QUIC, TLS, the trees of blob transfer) is \
         not counted for anybody.\n"
    );
    out.push_str(&summary(report));
    let ran = |name: &str| report.rows.iter().any(|row| row.name == name);
    if ran("E1") && ran("M1") {
        let _ = writeln!(out, "\n![What a change costs](cost-of-a-change.svg)");
    }
    for row in &report.rows {
        out.push_str(&table(row));
    }
    if !report.not_run.is_empty() {
        let _ = writeln!(out, "\n## Not run\n");
        for (name, reason) in &report.not_run {
            let _ = writeln!(out, "- {name}: {reason}");
        }
    }
    out
}

/// Returns one line a benchmark: how many targets are met, and the worst miss.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut out = String::from("| benchmark | | targets met | worst miss |\n|--|--|--|--|\n");
    for row in &report.rows {
        let judged: Vec<&Measure> = row.measures.iter().filter(|m| m.met().is_some()).collect();
        let met = judged.iter().filter(|m| m.met() == Some(true)).count();
        let beyond = |m: &&&Measure| m.beyond().unwrap_or(0.0);
        let missed = judged.iter().filter(|m| m.met() == Some(false));
        let worst = missed.max_by(|a, b| beyond(a).total_cmp(&beyond(b)));
        let worst = worst.map_or(String::new(), |m| {
            format!("{}: {} {} ({})", m.case, m.what, number(m.ours, &m.unit), verdict(m))
        });
        let _ =
            writeln!(out, "| {} | {} | {met} of {} | {worst} |", row.name, row.title, judged.len());
    }
    out
}

fn table(row: &Row) -> String {
    let mut out = format!("\n## {} — {}\n\n{}\n\n", row.name, row.title, row.method);
    out.push_str("| case | what | ours | peers | limit | target | |\n|--|--|--|--|--|--|--|\n");
    for measure in &row.measures {
        let unit = &measure.unit;
        let peers = measure.peers.iter().map(|(name, v)| format!("{name} {}", number(*v, unit)));
        let spread = measure.quartiles.map_or(String::new(), |[low, high]| {
            format!(" ({}–{})", number(low, ""), number(high, ""))
        });
        let target = match (measure.target, measure.target_min) {
            (Some(target), _) => format!("≤ {}", number(target, unit)),
            (None, Some(target)) => format!("≥ {}", number(target, unit)),
            (None, None) => String::new(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {}{spread} | {} | {} | {target} | {} |",
            measure.case,
            measure.what,
            number(measure.ours, unit),
            peers.collect::<Vec<_>>().join(", "),
            measure.limit.map(|limit| number(limit, unit)).unwrap_or_default(),
            verdict(measure),
        );
    }
    for plot in &row.plots {
        let _ = writeln!(out, "\n![{}]({}.svg)", plot.title, plot.name);
    }
    let mut told = Vec::new();
    for measure in row.measures.iter().filter(|measure| measure.met() == Some(false)) {
        let reason = explain::reason(&row.name, &measure.what);
        if !told.contains(&reason) {
            told.push(reason);
        }
    }
    if !told.is_empty() {
        out.push_str("\nWhat is missed, and why:\n\n");
        for reason in told {
            let _ = writeln!(out, "- {reason}");
        }
    }
    out
}

fn verdict(measure: &Measure) -> String {
    match (measure.met(), measure.beyond()) {
        (Some(true), _) => "met".to_owned(),
        (Some(false), Some(beyond)) if beyond.is_finite() => {
            format!("missed, {} × what is allowed", number(beyond, ""))
        }
        (Some(false), _) => "missed, none is allowed".to_owned(),
        (None, _) => String::new(),
    }
}

/// Writes a number with its unit: whole above a hundred, three figures below.
fn number(value: f64, unit: &str) -> String {
    let digits = if value.fract() == 0.0 || value.abs() >= 100.0 {
        grouped(value.round() as i64)
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else if value.abs() >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    };
    if unit.is_empty() { digits } else { format!("{digits} {unit}") }
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}
