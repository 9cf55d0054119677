//! `watch`: events as they happen.

use clap::Args;
use mosaic_node::api::types::EventWatch;

use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Only these events, separated by commas, for example post.created
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// First replay what came after this number
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// End after so many
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
}

impl Watch {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = EventWatch { types: self.types, since: self.since, count: self.count };
        context.show(&request).await
    }
}
