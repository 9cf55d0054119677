//! `post`: the everyday verb.

use std::path::PathBuf;

use clap::Args;
use mosaic_node::api::types::{DraftCreate, PostCreate, Record};

use super::draft;
use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input::{self, Attachments, Creating, TextSource};
use crate::quantity;

#[derive(Debug, Args)]
pub(crate) struct Post {
    /// The text.
    #[command(flatten)]
    text: TextSource,
    /// Post a long text, to be edited with doc edit: a file, or - for stdin
    #[arg(long = "text", value_name = "FILE", conflicts_with_all = ["text", "file", "edit", "at"])]
    long: Option<PathBuf>,
    /// The files.
    #[command(flatten)]
    attachments: Attachments,
    /// Whom it is for: public, followers, me or list:NAME
    #[arg(long, value_name = "WHO")]
    #[arg(conflicts_with_all = ["long", "attach", "quote", "at"])]
    audience: Option<String>,
    /// Quote a post or comment
    #[arg(long, value_name = "ID")]
    quote: Option<String>,
    /// Once, and on how many devices.
    #[command(flatten)]
    creating: Creating,
    /// Post it later: 2h, 18:30, 2026-12-24 09:00 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = quantity::coming)]
    #[arg(conflicts_with_all = ["attach", "idempotency_key", "wait_replicas"])]
    at: Option<String>,
}

impl Post {
    /// Whether it waits for others, within the time of `--timeout`.
    pub(crate) const fn waits(&self) -> bool {
        self.creating.wait_replicas.is_some()
    }

    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let quote = self.quote.is_some() && self.at.is_none();
        let optional = !self.attachments.is_empty() || quote;
        let text = match &self.long {
            Some(path) => input::long_text(path, &context.globals.help).await?,
            None => self.text.read(context, optional, "").await?.unwrap_or_default(),
        };
        if self.at.is_some() {
            let request = DraftCreate { text, quote: self.quote, at: self.at };
            return draft::keep(context, request).await;
        }
        let request = PostCreate {
            text,
            attachments: self.attachments.files(&context.globals.help)?,
            quote: self.quote,
            long: self.long.is_some(),
            audience: self.audience,
            idempotency_key: self.creating.idempotency_key,
            wait_replicas: self.creating.wait_replicas,
            timeout_ms: context.globals.timeout.map(quantity::millis),
        };
        let say = |record: &Record| match record {
            Record::Post(post) => Some(match &post.audience {
                None => "Posted to your wall.".to_owned(),
                Some(audience) if audience == "me" => {
                    "Posted for your own devices alone.".to_owned()
                }
                Some(audience) => format!("Posted for {audience} alone."),
            }),
            _ => None,
        };
        context.answer(&request, Print::Value, &say).await
    }
}
