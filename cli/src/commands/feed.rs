//! `feed`: the walls we follow.

use clap::Args;
use mosaic_node::api::types::FeedList;

use super::part::Part;
use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Args)]
pub(crate) struct Feed {
    /// Only posts by this account: id or @petname
    #[arg(long, value_name = "WHO")]
    from: Option<String>,
    /// Also messages of this channel, or of all in a hub; may be repeated
    #[arg(long = "in", value_name = "HUB/CHANNEL")]
    channels: Vec<String>,
    #[command(flatten)]
    part: Part,
    /// Only what you have not read, and remember it as read
    #[arg(long)]
    unread: bool,
}

impl Feed {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = FeedList {
            from: self.from,
            channels: self.channels,
            limit: self.part.limit(context),
            before: self.part.before,
            since: self.part.since,
            until: self.part.until,
            unread: self.unread,
            mark_read: self.unread,
        };
        context.list(&request).await
    }
}
