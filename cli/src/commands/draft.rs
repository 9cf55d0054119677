//! `draft`: posts that are not made yet.

use clap::{Args, Subcommand};
use mosaic_node::api::types::{
    DraftCreate, DraftDelete, DraftEdit, DraftList, DraftPost, DraftShow, Record,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input::{self, TextSource};
use crate::quantity;
use crate::render::short;

#[derive(Debug, Subcommand)]
pub(crate) enum Draft {
    /// List your drafts, the last changed first
    List,
    /// Show drafts
    Show {
        /// Drafts; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Keep a draft, sealed, for your own devices
    Create(Create),
    /// Give a draft a new text or another time
    Edit(Edit),
    /// Delete drafts, on all your devices
    Delete {
        /// Drafts; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Post drafts now
    Post {
        /// Drafts; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The text.
    #[command(flatten)]
    text: TextSource,
    /// Quote a post or comment
    #[arg(long, value_name = "ID")]
    quote: Option<String>,
    /// Post it then: 2h, 18:30, 2026-12-24 09:00 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = quantity::coming)]
    at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// Draft
    #[arg(value_name = "ID")]
    id: String,
    /// The text.
    #[command(flatten)]
    text: TextSource,
    /// Post it then: 2h, 18:30, 2026-12-24 09:00 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = quantity::coming)]
    at: Option<String>,
    /// Do not post it by itself any more
    #[arg(long, conflicts_with = "at")]
    unschedule: bool,
}

impl Draft {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::List => context.list(&DraftList {}).await,
            Self::Show { ids } => {
                context.output.page();
                context.each(&ids, |id| DraftShow { id }, Print::Records, &|_| None).await
            }
            Self::Create(create) => create.run(context).await,
            Self::Edit(edit) => edit.run(context).await,
            Self::Delete { ids } => {
                let request = DraftDelete { ids: input::ids(&ids).await? };
                let say = |record: &Record| match record {
                    Record::Deleted(deleted) => {
                        Some(format!("Deleted draft {}.", short(&deleted.id)))
                    }
                    _ => None,
                };
                context.answer(&request, Print::Nothing, &say).await
            }
            Self::Post { ids } => {
                let request = DraftPost { ids: input::ids(&ids).await? };
                let say = |record: &Record| {
                    matches!(record, Record::Post(_)).then(|| "Posted to your wall.".to_owned())
                };
                context.answer(&request, Print::Value, &say).await
            }
        }
    }
}

impl Create {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let text = self.text.read(context, false, "").await?.unwrap_or_default();
        keep(context, DraftCreate { text, quote: self.quote, at: self.at }).await
    }
}

impl Edit {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let only_time = self.at.is_some() || self.unschedule;
        let editor = self.text.wants_editor(context.globals.no_input, only_time);
        let before = if editor { text_of(&self.id, context).await? } else { String::new() };
        let text = self.text.read(context, only_time, &before).await?;
        let request = DraftEdit { id: self.id, text, at: self.at, unschedule: self.unschedule };
        context.answer(&request, Print::Nothing, &said).await
    }
}

/// Returns the text that an editor starts with; what lost becomes a draft of its own.
async fn text_of(id: &str, context: &mut Context<'_>) -> Result<String, Failure> {
    let records = context.records(&DraftShow { id: id.to_owned() }).await?;
    let draft = records.into_iter().find_map(|record| match record {
        Record::Draft(draft) => Some(draft),
        _ => None,
    });
    Ok(draft.map(|draft| draft.text).unwrap_or_default())
}

/// Keeps a draft and prints its id.
pub(super) async fn keep(context: &mut Context<'_>, request: DraftCreate) -> Result<(), Failure> {
    context.answer(&request, Print::Value, &said).await
}

fn said(record: &Record) -> Option<String> {
    let Record::Draft(draft) = record else { return None };
    Some(match &draft.at {
        Some(at) => format!(
            "Goes out {} from whichever of your devices runs a node then.",
            quantity::show_local(at)
        ),
        None => "Kept as a draft for your own devices.".to_owned(),
    })
}
