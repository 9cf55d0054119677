//! git, as a process, over `file://`: the same texts, a commit each, a branch an account.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::workload::{Seeded, prose, share};

/// What a fetch took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes that the fetching side sent.
    pub up: u64,
    /// Bytes that it got, commits included.
    pub down: u64,
}

/// Copies a repository of `changes` commits by `authors`, adds `news` commits to it in each
/// step, and fetches them: what each fetch took. `None` without git.
#[must_use]
pub fn fetched(
    folder: &Path,
    seed: u64,
    (changes, authors): (u64, u64),
    news: &[u64],
) -> Option<Vec<Fetched>> {
    let (source, copy) = (folder.join("source"), folder.join("copy"));
    git(folder, &["init", "-q", "--bare", "source"])?;
    git(folder, &["init", "-q", "--bare", "copy"])?;
    let mut written = vec![0; usize::try_from(authors).ok()?];
    write(&source, seed, changes, authors, &mut written)?;
    fetch(&source, &copy, folder)?;
    let mut later = Vec::new();
    for d in news {
        if *d > 0 {
            write(&source, seed, *d, authors.min(20).min(*d), &mut written)?;
        }
        later.push(fetch(&source, &copy, folder)?);
    }
    Some(later)
}

fn git(folder: &Path, arguments: &[&str]) -> Option<()> {
    let status = Command::new("git").args(arguments).current_dir(folder).status().ok()?;
    status.success().then_some(())
}

/// Adds commits of empty trees, each with a text.
fn write(
    repository: &Path,
    seed: u64,
    changes: u64,
    authors: u64,
    written: &mut [u64],
) -> Option<()> {
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(repository)
        .stdin(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = std::io::BufWriter::new(child.stdin.take()?);
    for (number, count) in (0..authors).zip(written.iter_mut()) {
        let mut seeded = Seeded::new(seed ^ (number << 8) ^ *count);
        let mut first = true;
        for _ in 0..share(changes, authors, number) {
            let text = prose::text(*count, 24, &mut seeded);
            let time = 1_790_000_000 + *count;
            let mut commit = format!("commit refs/heads/{number}\n");
            let _ = writeln!(commit, "committer A <a@a> {time} +0000\ndata {}", text.len());
            let _ = writeln!(commit, "{text}");
            // fast-import remembers branches of its own run only.
            if first && *count > 0 {
                let _ = writeln!(commit, "from refs/heads/{number}^0");
            }
            first = false;
            input.write_all(commit.as_bytes()).ok()?;
            *count += 1;
        }
    }
    input.flush().ok()?;
    drop(input);
    child.wait().ok()?.success().then_some(())
}

/// Fetches all branches through a program that counts what it passes on.
fn fetch(source: &Path, copy: &Path, folder: &Path) -> Option<Fetched> {
    let script = folder.join("count.sh");
    let text = "#!/bin/sh\ntee \"$COUNTED/up\" | git-upload-pack \"$@\" | tee \"$COUNTED/down\"\n";
    std::fs::write(&script, text).ok()?;
    let status = Command::new("git")
        .args(["fetch", "-q", "--upload-pack"])
        .arg(format!("sh {}", script.display()))
        .arg(format!("file://{}", source.display()))
        .arg("+refs/heads/*:refs/heads/*")
        .env("COUNTED", folder)
        .current_dir(copy)
        .status()
        .ok()?;
    let bytes = |name: &str| std::fs::metadata(folder.join(name)).map(|m| m.len()).ok();
    let told = Fetched { up: bytes("up")?, down: bytes("down")? };
    status.success().then_some(told)
}
