//! `version`: program, API and store.

use clap::Args;
use mosaic_node::api::types::{API_VERSION, Record, VersionInfo};

use crate::error::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Version {}

impl Version {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let record = Record::VersionInfo(VersionInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: API_VERSION,
            store_format: mosaic_engine::store::STORE_FORMAT,
        });
        output.record(&record)
    }
}
