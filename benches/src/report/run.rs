//! Runs benchmarks and writes what they came to.

use std::path::{Path, PathBuf};

use super::{Report, SCHEMA, markdown, plot};
use crate::measure::machine::{Machine, commit};
use crate::measure::wall_ns;
use crate::peers;
use crate::rows::{ALL, Context, Size};

/// What to run, and where to put it.
#[derive(Debug)]
pub struct Plan {
    /// Names of benchmarks; none means all.
    pub only: Vec<String>,
    /// How much is measured.
    pub size: Size,
    /// Folder of the report.
    pub out: PathBuf,
    /// Folder of stores that are measured.
    pub scratch: PathBuf,
    /// Where the histories come from.
    pub seed: u64,
    /// Kills of E9, if another number was named.
    pub kills: Option<u64>,
    /// Runs of S, if another number was named.
    pub runs: Option<u64>,
    /// A published editing trace, if one was named.
    pub trace: Option<PathBuf>,
}

/// Runs a plan: progress on stderr, a summary on stdout, the report in its folder.
///
/// # Errors
/// If a name is not one of a benchmark, or a file cannot be written.
pub fn run(plan: &Plan) -> Result<(), String> {
    for name in &plan.only {
        if !ALL.iter().any(|(known, _)| known == name) {
            let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
            return Err(format!("no benchmark {name}: there are {}", names.join(", ")));
        }
    }
    let mut report = Report {
        schema: SCHEMA,
        mode: plan.size.name().to_owned(),
        seed: plan.seed,
        commit: commit(),
        machine: Machine::here(),
        versions: super::versions::all(),
        rows: Vec::new(),
        not_run: peers::not_run(),
    };
    let mut context = Context::new(plan.size, plan.seed, plan.scratch.clone());
    context.trace = plan.trace.clone();
    (context.kills, context.runs) = (plan.kills, plan.runs);
    for (name, benchmark) in ALL {
        if !plan.only.is_empty() && !plan.only.iter().any(|wanted| wanted == name) {
            report.not_run.insert((*name).to_owned(), "not asked for".to_owned());
            continue;
        }
        context.current.set(name);
        let begun = wall_ns();
        report.rows.push(benchmark(&context));
        context.say(&format!("done in {:.1} s", (wall_ns() - begun) as f64 / 1e9));
        report.not_run.append(&mut context.left_out.borrow_mut());
        // What is measured stays, whatever happens to the next one.
        write(&report, &plan.out)?;
    }
    print!("{}", markdown::summary(&report));
    Ok(())
}

fn write(report: &Report, folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())? + "\n";
    std::fs::write(folder.join("report.json"), json).map_err(failed)?;
    std::fs::write(folder.join("report.md"), markdown::whole(report)).map_err(failed)?;
    plot::all(report, folder)
}
