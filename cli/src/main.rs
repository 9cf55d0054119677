//! `mosaic`: the command line. It renders; everything else is behind the local API.

mod args;
mod commands;
mod context;
mod error;
mod input;
mod log;
mod output;
mod paths;
mod quantity;
mod render;
mod sanitize;

use std::process::ExitCode;
use std::time::Duration;

use mosaic_node::api::types::ErrorKind;

use crate::context::Context;
use crate::error::Failure;

fn main() -> ExitCode {
    let parsed = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(early) => return early.finish(),
    };
    let mut output = output::Output::new(&parsed.globals);
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
                true => tokio::signal::ctrl_c().await,
                false => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            // In order: the handler of Ctrl-C is in place before the command starts.
            biased;
            _ = interrupted => Err(Failure::new(ErrorKind::Interrupted, "interrupted")),
            () = late => Err(Failure::new(ErrorKind::Timeout, "the time given by --timeout is over")),
            outcome = command(context) => outcome,
        };
        context.close().await;
        outcome
    });
    // A thread that still waits for stdin does not hold up the end.
    runtime.shutdown_background();
    outcome
}
