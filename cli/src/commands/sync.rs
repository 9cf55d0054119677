//! `sync`: meet the peers now, or see what is missing where.

use std::cell::Cell;

use clap::{Args, Subcommand};
use mosaic_node::api::types::{Record, SyncHolders, SyncRun, SyncStatus};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::quantity;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Sync {
    /// What to do instead of syncing everything.
    #[command(subcommand)]
    command: Option<SyncCommand>,
    /// What and with whom.
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum SyncCommand {
    /// Sync now; the same as without the word
    Run(Run),
    /// Show what is in sync, what is missing and why, without asking anybody
    Status {
        /// Account ids or @petnames; default: all that are kept here
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// List who signed that he holds all that you wrote, or a hub, and until when
    #[command(after_long_help = HOLDERS_HELP)]
    Holders {
        /// Hub; default: what is yours
        #[arg(value_name = "HUB")]
        hub: Option<String>,
    },
}

const HOLDERS_HELP: &str = "\
A node that keeps the whole of your space, or of a hub that you are in, signs that at the end of a
sync, for 14 days. It is then asked for a part of something that it should have: checked says when it
last had it, failed that it had not. What is written later is not in what it signed (behind) until the
next sync.";

#[derive(Debug, Args)]
struct Run {
    /// Account ids or @petnames; default: all that are kept here
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Only with this peer: ticket, device id or name; repeat for more
    ///
    /// You let one that you name keep what is private, sealed as it is, as with `mosaic node connect`.
    /// `mosaic node forget` ends that.
    #[arg(long, value_name = "PEER")]
    peer: Vec<String>,
    /// Succeed as soon as so many peers are in sync
    #[arg(long, value_name = "N")]
    replicas: Option<u64>,
}

impl Sync {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let run = match self.command {
            Some(SyncCommand::Status { targets }) => {
                return status(targets, context).await;
            }
            Some(SyncCommand::Holders { hub }) => return holders(hub, context).await,
            Some(SyncCommand::Run(run)) => run,
            None => self.run,
        };
        let request = SyncRun {
            targets: run.targets,
            peers: run.peer,
            replicas: run.replicas,
            timeout_ms: context.globals.timeout.map(quantity::millis),
        };
        context.show(&request).await
    }
}

/// Nothing to show is worth a sentence: it does not mean that all is well.
async fn status(targets: Vec<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let seen = Cell::new(false);
    let note = |_: &Record| {
        seen.set(true);
        None
    };
    context.answer(&SyncStatus { targets }, Print::Records, &note).await?;
    if !seen.get() {
        let sentence =
            "No device that was met keeps anything of it: there is no copy but this one.";
        context.output.talk(sentence);
    }
    Ok(())
}

async fn holders(hub: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    let seen = Cell::new(false);
    let note = |_: &Record| {
        seen.set(true);
        None
    };
    context.answer(&SyncHolders { hub }, Print::Records, &note).await?;
    if !seen.get() {
        context.output.talk("Nobody signed that he holds all of it.");
    }
    Ok(())
}
