//! `hub report`.

use clap::Subcommand;
use mosaic_node::api::types::{Record, ReportList, ReportMember, ReportMessage};

use crate::context::{Context, Print};
use crate::error::Failure;

pub(super) const HELP: &str = "\
Everybody who keeps the hub sees that you report something, and when. What, and why, opens for
the devices of those who may hide messages there, and for yours; not for whom it is about. A short
text of the message goes along sealed, so that it can be judged if its author withdraws it.";

#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    /// Report messages
    Message {
        /// Messages; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Report a member
    Member {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Account id or @petname
        #[arg(value_name = "WHO")]
        who: String,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// List what you reported, and what became of it
    List {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
    },
}

fn said(record: &Record) -> Option<String> {
    matches!(record, Record::Report(_)).then(|| "Reported to the moderators.".to_owned())
}

impl Report {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Message { ids, reason } => {
                let request = |id| ReportMessage { id, reason: reason.clone() };
                context.each(&ids, request, Print::Value, &said).await
            }
            Self::Member { hub, who, reason } => {
                context.answer(&ReportMember { hub, who, reason }, Print::Value, &said).await
            }
            Self::List { hub } => {
                let names = !context.output.is_json();
                context.list(&ReportList { hub, own: true, all: true, names }).await
            }
        }
    }
}
