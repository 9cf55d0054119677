//! `feed`: the walls we follow.

use clap::Args;
use mosaic_node::api::types::FeedList;

use super::limit;
use crate::context::Context;
use crate::error::Failure;
use crate::quantity;

#[derive(Debug, Args)]
pub(crate) struct Feed {
    /// Only posts by this account: id or @petname
    #[arg(long, value_name = "WHO")]
    from: Option<String>,
    /// At most so many; default: 20 on a terminal, else all
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Only posts older than this one
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// Only since then: 2h, yesterday, 2026-11-22 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = quantity::instant)]
    since: Option<String>,
    /// Only before then
    #[arg(long, value_name = "TIME", value_parser = quantity::instant)]
    until: Option<String>,
    /// Only what you have not read, and remember it as read
    #[arg(long)]
    unread: bool,
}

impl Feed {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = FeedList {
            from: self.from,
            limit: limit(self.limit, context),
            before: self.before,
            since: self.since,
            until: self.until,
            unread: self.unread,
            mark_read: self.unread,
        };
        context.show(&request).await
    }
}
