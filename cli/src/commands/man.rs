//! `man`: the manual pages.

use std::path::PathBuf;

use clap::Args;
use mosaic_node::api::types::ErrorKind;

use crate::args;
use crate::error::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where to write them; made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Man {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            let message = format!("cannot write to {}: {error}", self.dir.display());
            Failure::hinted(ErrorKind::Error, message, "mosaic help man")
        };
        std::fs::create_dir_all(&self.dir).map_err(failed)?;
        clap_mangen::generate_to(args::tree(), &self.dir).map_err(failed)?;
        output.talk(&format!("Manual pages are in {}.", self.dir.display()));
        Ok(())
    }
}
