//! `sub`: what is kept here.

use std::time::Duration;

use clap::{Args, Subcommand};
use mosaic_node::api::types::{BlobRule, Record, SubAdd, SubList, SubRemove, SubShow};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::quantity;
use crate::render::short;

const ADD_HELP: &str = "\
A wall is kept in pages of up to 1024 posts: some 30 MB if all have long texts. Older pages go
first, and come back when somebody reads them. A page comes whole, so that as much as one page
more than the limit may be here. The files of the database may take some 70 MB more than all that
is held.";

#[derive(Debug, Subcommand)]
pub(crate) enum Sub {
    /// Keep somebody's wall here, or change how much of it
    #[command(after_long_help = ADD_HELP)]
    Add(Add),
    /// List what is kept here
    List,
    /// Show one of them
    Show {
        /// Account id or @petname
        #[arg(value_name = "TARGET")]
        target: String,
    },
    /// Stop keeping somebody's wall here
    Remove {
        /// Account ids or @petnames; - reads them from stdin
        #[arg(value_name = "TARGET", required = true)]
        targets: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Account id or @petname; the full id for somebody not known here yet
    #[arg(value_name = "TARGET")]
    target: String,
    /// Keep what is younger: 90d, or full, or heads: the newest page and no older one
    #[arg(long, value_name = "TIME", value_parser = history)]
    history: Option<History>,
    /// Keep blobs: all, none, or up to a size such as 10MB each
    #[arg(long, value_name = "WHICH", value_parser = blobs)]
    blobs: Option<BlobRule>,
    /// Hold at most this, for example 20000000 or 2GB, and a page; none lifts the limit
    #[arg(long, value_name = "SIZE", value_parser = limit)]
    max_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum History {
    Full,
    Heads,
    Younger(Duration),
}

impl Sub {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Add(add) => {
                let request = SubAdd {
                    target: add.target,
                    history_ms: match add.history {
                        Some(History::Younger(age)) => Some(quantity::millis(age)),
                        Some(History::Full) => Some(u64::MAX),
                        Some(History::Heads) => Some(0),
                        None => None,
                    },
                    blobs: add.blobs,
                    max_bytes: add.max_bytes,
                };
                let say = |record: &Record| said(record, "is kept here");
                context.answer(&request, Print::Nothing, &say).await
            }
            Self::List => context.list(&SubList {}).await,
            Self::Show { target } => context.show(&SubShow { target }).await,
            Self::Remove { targets } => {
                let say = |record: &Record| said(record, "is no longer kept here");
                let request = |target| SubRemove { target };
                context.each(&targets, request, Print::Nothing, &say).await
            }
        }
    }
}

fn said(record: &Record, what: &str) -> Option<String> {
    let Record::Sub(sub) = record else { return None };
    let target = match &sub.petname {
        Some(name) => format!("@{name}"),
        None => short(&sub.target),
    };
    Some(format!("The wall of {target} {what}."))
}

fn history(text: &str) -> Result<History, String> {
    match text {
        "full" => Ok(History::Full),
        "heads" => Ok(History::Heads),
        age => quantity::duration(age).map(History::Younger),
    }
}

fn limit(text: &str) -> Result<u64, String> {
    if text == "none" { Ok(u64::MAX) } else { quantity::bytes(text) }
}

fn blobs(text: &str) -> Result<BlobRule, String> {
    match text {
        "all" => Ok(BlobRule::All),
        "none" => Ok(BlobRule::None),
        size => quantity::bytes(size).map(BlobRule::UpToBytes),
    }
}
