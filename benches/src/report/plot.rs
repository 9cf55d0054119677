//! Plots of a report, as SVG.

use std::path::Path;

use plotters::coord::combinators::IntoLogRange as _;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::Report;

/// A plot: lines over the same axes, both logarithmic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// Name of the file, without its ending.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What runs to the right.
    pub x: String,
    /// What runs upwards.
    pub y: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Whether it is a limit or target: drawn thin and grey.
    pub bound: bool,
    /// Its points by rising x.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A measured line.
    #[must_use]
    pub fn measured(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), bound: false, points }
    }

    /// What is allowed or possible.
    #[must_use]
    pub fn bound(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), bound: true, points }
    }
}

/// Returns how much more a change costs at the largest size than at 10,000 changes, with that
/// size; `None` where it was not measured.
#[must_use]
pub fn growth(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let (_, base) = points.iter().find(|(changes, _)| *changes == 10_000.0)?;
    let (size, cost) = points.last().filter(|(changes, _)| *changes > 10_000.0)?;
    Some((*size, cost / base))
}

/// What a change costs, to copy and to take in, in one plot.
fn together(report: &Report) -> Option<Plot> {
    let of = |name: &str| {
        let mut plots = report.rows.iter().flat_map(|row| &row.plots);
        plots.find(|plot| plot.name == name)
    };
    let (copy, take) = (of("e1-time")?, of("m1-time")?);
    let mut lines = Vec::new();
    for (from, plot) in [("E1", copy), ("M1", take)] {
        for line in &plot.lines {
            let times = growth(&line.points)
                .map_or(String::new(), |(_, times)| format!(" ({times:.2} × that at 10,000)"));
            lines.push(Line { name: format!("{from} {}{times}", line.name), ..line.clone() });
        }
        lines.extend(plot.lines.first().and_then(|own| allowed(from, &own.points)));
    }
    Some(Plot {
        name: "cost-of-a-change".into(),
        title: "Processor time a change by the number of changes".into(),
        lines,
        ..copy.clone()
    })
}

/// How much more a change may cost at any size than at 10,000 changes.
pub const GROWTH_MAX: f64 = 1.3;

/// The line that ours must not come to beyond 10,000 changes.
fn allowed(from: &str, points: &[(f64, f64)]) -> Option<Line> {
    let (size, _) = growth(points)?;
    let (_, base) = points.iter().find(|(changes, _)| *changes == 10_000.0)?;
    let most = base * GROWTH_MAX;
    let name = format!("{from} allowed: {GROWTH_MAX} × that at 10,000");
    Some(Line::bound(&name, vec![(10_000.0, most), (size, most)]))
}

/// Draws all plots of a report into a folder.
///
/// # Errors
/// If a file cannot be written.
pub fn all(report: &Report, folder: &Path) -> Result<(), String> {
    let together = together(report);
    for plot in report.rows.iter().flat_map(|row| &row.plots).chain(&together) {
        let path = folder.join(format!("{}.svg", plot.name));
        draw(plot, &path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 50, 32),
    RGBColor(0, 128, 80),
    RGBColor(150, 80, 180),
    RGBColor(200, 140, 0),
    RGBColor(90, 90, 90),
];

fn draw(plot: &Plot, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    // On a logarithmic axis nothing is nothing: it is drawn at half.
    let shown = |value: f64| value.max(0.5);
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let range = |of: fn(&(f64, f64)) -> f64, above: f64| {
        let low = points().map(of).map(shown).fold(f64::MAX, f64::min);
        let high = points().map(of).map(shown).fold(f64::MIN_POSITIVE, f64::max);
        if low > high { 1.0..10.0 } else { low / 1.3..high * above }
    };
    // Above the lines there is room for their names.
    let room = 2.0 + plot.lines.len() as f64;
    let root = SVGBackend::new(path, (900, 560)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(&plot.title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(range(|p| p.0, 1.6).log_scale(), range(|p| p.1, room).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(&plot.x)
        .y_desc(&plot.y)
        .light_line_style(WHITE)
        .x_label_formatter(&|x| plain(*x))
        .y_label_formatter(&|y| plain(*y))
        .draw()?;
    let mut colours = COLOURS.iter().cycle();
    for line in &plot.lines {
        let colour = match line.bound {
            true => RGBColor(150, 150, 150),
            false => *colours.next().unwrap_or(&BLACK),
        };
        let style = colour.stroke_width(if line.bound { 1 } else { 2 });
        let points: Vec<_> = line.points.iter().map(|(x, y)| (shown(*x), shown(*y))).collect();
        let drawn = chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        drawn
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        if !line.bound {
            let dots = points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    root.present()?;
    Ok(())
}

fn plain(value: f64) -> String {
    if value < 1.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
