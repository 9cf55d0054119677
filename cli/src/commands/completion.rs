//! `completion`: scripts for shells.

use clap::Args;
use clap_complete::Shell;

use crate::args;
use crate::error::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut args::tree(), "mosaic", &mut script);
        output.bytes(&script)
    }
}
