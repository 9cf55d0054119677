//! `status`: everything on one page.

use clap::Args;
use mosaic_node::api::types::{ErrorKind, Record, StatusShow};

use crate::context::{Context, Print};
use crate::error::Failure;

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Fail with code 3 unless everything is in sync
    #[arg(long)]
    check: bool,
}

impl Status {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let state = std::cell::RefCell::new(String::new());
        let see = |record: &Record| {
            if let Record::Status(status) = record {
                state.replace(status.sync_state.clone());
            }
            None
        };
        context.answer(&StatusShow {}, Print::Records, &see).await?;
        let state = state.into_inner();
        if self.check && state != "in-sync" {
            return Err(Failure::new(ErrorKind::Partial, format!("not in sync: {state}")));
        }
        Ok(())
    }
}
