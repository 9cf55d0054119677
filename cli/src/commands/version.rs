//! `version`: program, API and store.

use clap::Args;
use mosaic_node::api::types::{Record, VersionInfo};

use crate::error::Failure;
use crate::output::Output;

/// The commit that this program is built of, where the build knew it.
pub(crate) const COMMIT: Option<&str> = option_env!("MOSAIC_COMMIT");

#[derive(Debug, Args)]
pub(crate) struct Version {}

impl Version {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        output.record(&Record::VersionInfo(VersionInfo::of_this_program(COMMIT)))
    }
}
