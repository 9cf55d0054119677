//! `store`: the database of this home.

mod backup;

use clap::{Subcommand, ValueEnum};
use mosaic_engine::store::STORE_FORMAT;
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use mosaic_node::NodeError;
use mosaic_node::api::types::{
    ErrorRecord, MetaVersion, Migration, Record, StoreDump, StoreGc, StoreRebuild, StoreStats,
    StoreVerify,
};

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
    /// Write a backup of everything as it is now; a node may go on writing
    Backup(backup::BackupTo),
    /// Make this home, which must be empty, from a backup
    Restore(backup::RestoreFrom),
    /// Bring the store to the format of this program, as every command does
    Migrate {
        /// Only say what would be done
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
            Self::Backup(backup) => backup.run(context).await,
            Self::Restore(restore) => restore.run(context).await,
            Self::Migrate { dry_run } => migrate(dry_run, context).await,
            Self::Dump { table, values } => {
                let table = table.map(|table| match table {
                    Table::Truth => "truth".to_owned(),
                    Table::Rows => "rows".to_owned(),
                    Table::Meta => "meta".to_owned(),
                });
                context.list(&StoreDump { table, values }).await
            }
        }
    }
}

fn path(context: &mut Context<'_>) -> Result<(), Failure> {
    let path = context.paths.home.join("store");
    context.output.object("store_path", &[("path", &path.display().to_string())])
}

async fn migrate(dry_run: bool, context: &mut Context<'_>) -> Result<(), Failure> {
    let options = DiskOptions::new(&context.paths.home, &context.paths.state);
    let look = DiskStore::look(&options).map_err(ErrorRecord::from)?;
    let none = || NodeError::NoIdentity { home: context.paths.home.clone() };
    let from = look.ok_or_else(none).map_err(ErrorRecord::from)?.format;
    let older = from != STORE_FORMAT && !dry_run;
    if older {
        // opening is what brings a store up to date
        context.records(&MetaVersion {}).await?;
    }
    let record = Migration { from, to: STORE_FORMAT, migrated: older.into() };
    context.output.record(&Record::Migration(record))?;
    context.output.flush()
}
