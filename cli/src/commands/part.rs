//! Which part of a long list is wanted.

use std::io::IsTerminal;

use clap::Args;

use crate::context::Context;
use crate::quantity;

/// Posts that a terminal shows unless told otherwise.
const SCREEN_LIMIT: u64 = 20;

/// The part of a list of posts.
#[derive(Debug, Args)]
pub(super) struct Part {
    /// At most so many; default: 20 on a terminal, else all
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Only posts older than this one
    #[arg(long, value_name = "ID")]
    pub(super) before: Option<String>,
    /// Only since then: 2h, yesterday, 2026-11-22 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = quantity::instant)]
    pub(super) since: Option<String>,
    /// Only before then
    #[arg(long, value_name = "TIME", value_parser = quantity::instant)]
    pub(super) until: Option<String>,
}

impl Part {
    /// Returns what was asked for; else a screenful for a person and all for a pipe.
    pub(super) fn limit(&self, context: &Context<'_>) -> Option<u64> {
        let screen = context.output.is_terminal() && std::io::stdout().is_terminal();
        self.limit.or(screen.then_some(SCREEN_LIMIT))
    }
}
