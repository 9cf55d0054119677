//! `mosaic`: the command line. It renders; everything else is behind the local API.

mod allocator;
mod args;
mod commands;
mod context;
mod editor;
mod error;
#[cfg(test)]
mod hints;
mod input;
mod jq;
mod log;
mod output;
mod pager;
mod passphrase;
mod paths;
mod quantity;
mod render;
mod sanitize;
mod whole;

use std::io;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use mosaic_node::api::types::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::Failure;

fn main() -> ExitCode {
    let parsed = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(early) => return early.finish(),
    };
    let mut output = match output::Output::new(&parsed.globals) {
        Ok(output) => output,
        Err(failure) => return output::refuse(&parsed.globals, failure),
    };
    let outcome = commands::run(parsed, &mut output);
    output.finish(outcome)
}

/// What ends a command before it is done.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// How long it may take.
    limit: Option<Duration>,
    /// Whether Ctrl-C ends it; a node has its own way to stop.
    on_interrupt: bool,
}

/// Waits without holding up timeouts and Ctrl-C.
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs what blocks, such as waiting for stdin, on a thread of its own, so that timeouts and
/// Ctrl-C end the command all the same; the thread then ends with the process.
///
/// # Errors
/// Those of `work`.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Failure::new(ErrorKind::Error, error.to_string())),
    }
}

/// As [`apart`], and calls `tell` now and then meanwhile.
///
/// # Errors
/// Those of `work`.
async fn apart_telling<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    every: Duration,
    mut tell: impl FnMut(),
) -> Result<T, Failure> {
    let mut working = std::pin::pin!(apart(work));
    loop {
        match tokio::time::timeout(every, &mut working).await {
            Ok(done) => return done,
            Err(_) => tell(),
        }
    }
}

/// Runs a command of the user's in a shell that reads `input`; it ends with whoever waits for it.
///
/// # Errors
/// If there is no shell, or it was lost.
async fn shell(command: &str, input: Vec<u8>) -> io::Result<ExitStatus> {
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).kill_on_drop(true);
    let mut child = shell.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read what it is given has its reasons.
        let _ = stdin.write_all(&input).await;
    }
    child.wait().await
}

/// Runs a program without a shell; returns what it prints, and how it ended. It ends with whoever
/// waits for it.
///
/// # Errors
/// If it does not start, was lost, or prints more than `bytes_max`.
async fn printed_by(
    words: &[String],
    (stdin, stderr): (Stdio, Stdio),
    bytes_max: usize,
) -> io::Result<(Zeroizing<Vec<u8>>, ExitStatus)> {
    let (program, args) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut command = tokio::process::Command::new(program);
    command.args(args).stdin(stdin).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut printed = Zeroizing::new(Vec::with_capacity(bytes_max));
    if let Some(stdout) = child.stdout.take() {
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        stdout.take(limit).read_to_end(&mut printed).await?;
    }
    if printed.len() >= bytes_max {
        return Err(io::Error::other(format!("it prints more than {bytes_max} bytes")));
    }
    Ok((printed, child.wait().await?))
}

/// Waits for Ctrl-C, or for what asks a process to end: `timeout`, or a service manager.
///
/// # Errors
/// The system knows no signals.
async fn asked_to_end() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Does something until it is done or it is [asked to end](asked_to_end), in a node too that does
/// not serve yet; that is caught before `work` begins.
///
/// # Errors
/// Those of `work`, and `interrupted`.
async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        _ = asked_to_end() => Err(Failure::new(ErrorKind::Interrupted, "interrupted")),
        done = work => done,
    }
}

/// Runs two things side by side until both are done.
async fn both<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    tokio::join!(one, other)
}

/// Runs a command on a runtime of its own until it is done, the time is over, or the user
/// interrupts; the store is closed whatever happened.
fn drive<'a>(
    stop: Stop,
    context: &mut Context<'a>,
    command: impl AsyncFnOnce(&mut Context<'a>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ErrorKind::Error, format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(async {
        let late = async {
            match stop.limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let interrupted = async {
            match stop.on_interrupt {
                true => asked_to_end().await,
                false => std::future::pending().await,
            }
        };
        if stop.on_interrupt {
            // What waits without giving way to others looks here.
            tokio::spawn(async {
                if asked_to_end().await.is_ok() {
                    jq::INTERRUPTED.store(true, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        let outcome = tokio::select! {
            // In order: the handler of Ctrl-C is in place before the command starts.
            biased;
            _ = interrupted => Err(Failure::new(ErrorKind::Interrupted, "interrupted")),
            () = late => Err(Failure::late()),
            outcome = command(context) => outcome,
        };
        context.close().await;
        outcome
    });
    // A thread that still waits for stdin does not hold up the end.
    runtime.shutdown_background();
    outcome
}
