//! `identity`: who we are, whom we know.

use clap::Subcommand;
use mosaic_node::api::types::{IdentityList, IdentityShow};

use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// Show your account, or somebody's
    Show {
        /// Account id or @petname; default: you
        #[arg(value_name = "WHO")]
        who: Option<String>,
    },
    /// List the accounts known here, yours first
    List,
}

impl Identity {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Show { who } => context.show(&IdentityShow { who }).await,
            Self::List => context.show(&IdentityList {}).await,
        }
    }
}
