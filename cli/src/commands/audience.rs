//! `audience`: whom posts are for.

use clap::{Args, Subcommand};
use mosaic_node::api::types::{AudienceChange, AudienceCreate, AudienceList, AudienceMembers};

use crate::context::{Context, Print};
use crate::error::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Audience {
    /// List your audiences
    List,
    /// Make a list of readers
    Create {
        /// What it is called; your own devices alone learn it
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Let accounts read what you post to an audience from now on
    Add {
        /// Which, and who.
        #[command(flatten)]
        who: Readers,
        /// What was posted before, too
        #[arg(long)]
        past: bool,
    },
    /// Let accounts read nothing new of an audience
    Remove {
        /// Which, and who.
        #[command(flatten)]
        who: Readers,
    },
    /// List who reads an audience
    Members {
        /// followers, or a list
        #[arg(value_name = "NAME")]
        name: String,
        /// Add names as this home calls people, under --json too
        #[arg(long)]
        names: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Readers {
    /// followers, or a list
    #[arg(value_name = "NAME")]
    name: String,
    /// Accounts
    #[arg(value_name = "WHO", required = true)]
    who: Vec<String>,
}

impl Audience {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::List => context.list(&AudienceList {}).await,
            Self::Create { name } => {
                context.answer(&AudienceCreate { name }, Print::Value, &|_| None).await
            }
            Self::Add { who: Readers { name, who }, past } => {
                let request = AudienceChange { name, add: who, past, ..AudienceChange::default() };
                context.answer(&request, Print::Nothing, &|_| None).await
            }
            Self::Remove { who: Readers { name, who } } => {
                let request = AudienceChange { name, remove: who, ..AudienceChange::default() };
                context.answer(&request, Print::Nothing, &|_| None).await
            }
            Self::Members { name, names } => {
                let names = names || !context.output.is_json();
                context.list(&AudienceMembers { name, names }).await
            }
        }
    }
}
