//! `post`: the everyday verb.

use clap::Args;
use mosaic_node::api::types::{PostCreate, Record};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input::{Attachments, Creating, TextSource};
use crate::quantity;

#[derive(Debug, Args)]
pub(crate) struct Post {
    /// The text.
    #[command(flatten)]
    text: TextSource,
    /// The files.
    #[command(flatten)]
    attachments: Attachments,
    /// Quote a post or comment
    #[arg(long, value_name = "ID")]
    quote: Option<String>,
    /// Once, and on how many devices.
    #[command(flatten)]
    creating: Creating,
}

impl Post {
    /// Whether it waits for others, within the time of `--timeout`.
    pub(crate) const fn waits(&self) -> bool {
        self.creating.wait_replicas.is_some()
    }

    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let optional = !self.attachments.is_empty() || self.quote.is_some();
        let text =
            self.text.read(context.globals.no_input, optional, "").await?.unwrap_or_default();
        let request = PostCreate {
            text,
            attachments: self.attachments.files()?,
            quote: self.quote,
            idempotency_key: self.creating.idempotency_key,
            wait_replicas: self.creating.wait_replicas,
            timeout_ms: context.globals.timeout.map(quantity::millis),
        };
        let say = |record: &Record| {
            matches!(record, Record::Post(_)).then(|| "Posted to your wall.".to_owned())
        };
        context.answer(&request, Print::Value, &say).await
    }
}
