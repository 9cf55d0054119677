//! `catchup`: what was not read yet.

use clap::Args;
use mosaic_node::api::types::CatchupList;

use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Args)]
pub(crate) struct Catchup {
    /// At most so many of each kind; the rest is counted
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Remember all of it as read, on all your devices
    #[arg(long)]
    mark_read: bool,
}

impl Catchup {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        context.show(&CatchupList { limit: self.limit, mark_read: self.mark_read }).await
    }
}
