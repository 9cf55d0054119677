//! `node logs`: what the node in the background has written, a file a day.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mosaic_node::api::types::{ErrorKind, ErrorRecord};

use crate::context::Context;
use crate::error::Failure;
use crate::log::{FILE_PREFIX, FILE_SUFFIX};

/// Bytes read back from the end of a file at most.
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
        let folder = context.paths.logs();
        let failed = |error: io::Error| {
            let message = format!("cannot read the log in {}: {error}", folder.display());
            Failure::from(ErrorRecord::new(ErrorKind::Error, message).with_hint("mosaic status"))
        };
        let files = files(&folder).map_err(failed)?;
        let Some(newest) = files.last() else {
            let message = format!("there is no log in {}", folder.display());
            return Err(ErrorRecord::new(ErrorKind::NotFound, message)
                .with_hint("mosaic node start")
                .into());
        };
        let mut last = VecDeque::new();
        for path in files.iter().rev() {
            let wanted = self.lines.saturating_sub(last.len());
            let lines = File::open(path).and_then(|mut file| tail(&mut file, wanted));
            lines.map_err(failed)?.into_iter().rev().for_each(|line| last.push_front(line));
            if last.len() >= self.lines {
                break;
            }
        }
        for line in last {
            print(context, &line)?;
        }
        if self.follow {
            follow(context, &folder, newest).await.map(|never| match never {})
        } else {
            Ok(())
        }
    }
}

/// Prints what is added to the newest file, and goes on with the next day's.
async fn follow(
    context: &mut Context<'_>,
    folder: &Path,
    newest: &Path,
) -> Result<std::convert::Infallible, Failure> {
    use std::io::{Seek, SeekFrom};
    let failed =
        |error: io::Error| Failure::new(ErrorKind::Error, format!("cannot read the log: {error}"));
    let mut path = newest.to_owned();
    let mut file = File::open(&path).map_err(failed)?;
    file.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        if reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            if line.ends_with(b"\n") {
                print(context, &String::from_utf8_lossy(&line))?;
                line.clear();
            }
            continue;
        }
        match files(folder).map_err(failed)?.pop() {
            Some(next) if next > path => {
                reader = BufReader::new(File::open(&next).map_err(failed)?);
                path = next;
            }
            _ => crate::pause(LOOK_AGAIN).await,
        }
    }
}

/// Returns the files of the log, the oldest first.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(FILE_PREFIX) && name.ends_with(FILE_SUFFIX)
    });
    files.sort();
    Ok(files)
}

fn print(context: &mut Context<'_>, line: &str) -> Result<(), Failure> {
    let line = line.trim_end_matches('\n');
    context.output.object("log", &[("line", line)])
}

/// Returns the last lines of a file.
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

/// Returns the last lines of a file, for an error message.
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

    #[test]
    fn days_are_in_order_and_other_files_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        assert!(files(&folder.path().join("none")).unwrap().is_empty());
        for name in
            ["node.2026-11-25.log", "node.2026-11-24.log", "start.err", "node.2027-01-01.log"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = files(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["node.2026-11-24.log", "node.2026-11-25.log", "node.2027-01-01.log"]);
    }
}
