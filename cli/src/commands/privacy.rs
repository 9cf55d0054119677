//! `privacy`: who sees what.

use clap::{Args, Subcommand};
use mosaic_node::api::types::PrivacyExplain;

use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Privacy {
    /// Say who can read something, who has it, and what others see of it
    ///
    /// What is known here is said: readers by the keys that were given out, holders by what their
    /// devices showed. Each sentence is one of a fixed set, and a test of this program fails when
    /// it is true no more. Devices of others may do otherwise.
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Id of anything, an audience, HUB/CHANNEL, wall, profile, or dm:, follow:, block:, mute: and WHO
    #[arg(value_name = "ITEM")]
    item: String,
    /// Add names as this home calls people, under --json too
    #[arg(long)]
    names: bool,
}

impl Privacy {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self::Explain(Explain { item, names }) = self;
        let names = names || !context.output.is_json();
        context.list(&PrivacyExplain { item, names }).await
    }
}
