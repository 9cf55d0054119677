//! `node logs`: what the node in the background has written.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use mosaic_node::api::types::ErrorKind;

use super::start::log_path;
use crate::context::Context;
use crate::error::Failure;

/// Bytes read back from the end of the log at most.
const TAIL_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How often the log is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Last lines to print
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: usize,
    /// Go on printing what is added
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    pub(super) async fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let path = log_path(context);
        let failed = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Error,
            };
            let message = format!("cannot read the log {}: {error}", path.display());
            Failure::from(
                mosaic_node::api::types::ErrorRecord::new(kind, message)
                    .with_hint("mosaic node start"),
            )
        };
        let mut file = File::open(&path).map_err(failed)?;
        for line in tail(&mut file, self.lines).map_err(failed)? {
            print(context, &line)?;
        }
        if !self.follow {
            return Ok(());
        }
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                crate::pause(LOOK_AGAIN).await;
            } else if line.ends_with(b"\n") {
                print(context, &String::from_utf8_lossy(&line))?;
                line.clear();
            }
        }
    }
}

fn print(context: &mut Context<'_>, line: &str) -> Result<(), Failure> {
    let line = line.trim_end_matches('\n');
    context.output.object("log", &[("line", line)])
}

/// Returns the last lines of a file, and leaves it at its end.
fn tail(file: &mut File, lines: usize) -> io::Result<VecDeque<String>> {
    use std::io::{Seek, SeekFrom};
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.by_ref().take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    let mut last = VecDeque::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if last.len() == lines {
            last.pop_front();
        }
        if lines > 0 {
            last.push_back(String::from_utf8_lossy(line).into_owned());
        }
    }
    Ok(last)
}

/// Returns the last lines of a log, for an error message.
pub(super) fn last_words(path: &Path) -> String {
    let last = File::open(path).and_then(|mut file| tail(&mut file, 3)).unwrap_or_default();
    last.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_lines_come_back() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\nthree").unwrap();
        assert_eq!(tail(&mut file, 2).unwrap(), ["two\n", "three"]);
        assert!(tail(&mut file, 0).unwrap().is_empty());
        assert_eq!(tail(&mut file, 9).unwrap().len(), 3);
    }
}
