//! `store`: the database of this home.

use clap::{Subcommand, ValueEnum};
use mosaic_node::api::types::{StoreDump, StoreGc, StoreRebuild, StoreStats, StoreVerify};

use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Print the folder of the store
    Path,
    /// Show how much is in it
    Stats,
    /// Read and check everything; code 16 if something is damaged
    Verify,
    /// Drop all rebuildable rows, build them again and compare
    Rebuild,
    /// Give back the room of what nothing names any more
    Gc {
        /// Remove nothing, and print what a real run would remove
        #[arg(long)]
        dry_run: bool,
    },
    /// Print every key with the hash of its value
    Dump {
        /// Only this table
        #[arg(long, value_name = "TABLE")]
        table: Option<Table>,
        /// Print the values too, as hex
        #[arg(long)]
        values: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Table {
    /// What is written once
    Truth,
    /// What can be rebuilt
    Rows,
    /// Small mutable state
    Meta,
}

impl Store {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Path => path(context),
            Self::Stats => context.show(&StoreStats {}).await,
            Self::Verify => context.show(&StoreVerify {}).await,
            Self::Rebuild => context.show(&StoreRebuild {}).await,
            Self::Gc { dry_run } => context.show(&StoreGc { dry_run }).await,
            Self::Dump { table, values } => {
                let table = table.map(|table| match table {
                    Table::Truth => "truth".to_owned(),
                    Table::Rows => "rows".to_owned(),
                    Table::Meta => "meta".to_owned(),
                });
                context.show(&StoreDump { table, values }).await
            }
        }
    }
}

fn path(context: &mut Context<'_>) -> Result<(), Failure> {
    let path = context.paths.home.join("store");
    context.output.object("store_path", &[("path", &path.display().to_string())])
}
