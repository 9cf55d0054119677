//! `hub send`, `hub read`, `hub message`, `hub poll`.

use clap::{Args, Subcommand, ValueEnum};
use mosaic_node::api::types::{
    MessageDelete, MessageEdit, MessageList, MessageReact, MessageSend, MessageThread, PollClose,
    PollCreate, PollVote, Record,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input::{Attachments, Creating, TextSource};
use crate::quantity;
use crate::render::short;

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Channel
    #[arg(value_name = "HUB/CHANNEL")]
    channel: String,
    /// The text.
    #[command(flatten)]
    text: TextSource,
    /// Answer this message
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// Mention somebody: id, @petname, or role:NAME; role:everyone for all
    #[arg(long = "mention", value_name = "WHO")]
    mentions: Vec<String>,
    /// The files.
    #[command(flatten)]
    attachments: Attachments,
    /// Once, and on how many devices.
    #[command(flatten)]
    creating: Creating,
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    /// Channel
    #[arg(value_name = "HUB/CHANNEL", required_unless_present = "thread")]
    channel: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// Only what is older than this message
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// A message and all that answers it
    #[arg(long, value_name = "ID", conflicts_with_all = ["channel", "before", "all"])]
    thread: Option<String>,
    /// Also what was hidden, and what counts for nothing, with the reason
    #[arg(long)]
    all: bool,
    /// Add names as this home calls people, under --json too
    #[arg(long)]
    names: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Message {
    /// Give a message of yours a new text
    Edit {
        /// Message
        #[arg(value_name = "ID")]
        id: String,
        /// The text.
        #[command(flatten)]
        text: TextSource,
    },
    /// Delete messages of yours
    Delete {
        /// Messages; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// React with an emoji
    React {
        /// Message; - reads ids from stdin
        #[arg(value_name = "ID")]
        id: String,
        /// The emoji
        #[arg(value_name = "EMOJI")]
        emoji: String,
        /// Take the reaction back
        #[arg(long)]
        remove: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Poll {
    /// Ask a question
    Create {
        /// Channel
        #[arg(value_name = "HUB/CHANNEL")]
        channel: String,
        /// The question
        #[arg(value_name = "QUESTION")]
        text: String,
        /// An answer to choose from; two or more
        #[arg(long = "option", value_name = "TEXT", required = true)]
        options: Vec<String>,
        /// How votes are counted
        #[arg(long, value_name = "KIND", default_value = "single")]
        kind: Kind,
    },
    /// Vote; the vote before is replaced
    Vote {
        /// Poll
        #[arg(value_name = "ID")]
        id: String,
        /// Options by text, or by number from 1; none takes the vote back
        #[arg(value_name = "OPTION")]
        choices: Vec<String>,
    },
    /// Close a poll of yours: the votes that are here count, and no others
    Close {
        /// Poll
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// How votes are counted.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// One option each
    Single,
    /// Any number of options
    Multiple,
    /// Options from the best down, counted by instant runoff
    Ranked,
}

impl Send {
    /// Whether it waits for others, within the time of `--timeout`.
    pub(crate) const fn waits(&self) -> bool {
        self.creating.wait_replicas.is_some()
    }

    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let optional = !self.attachments.is_empty();
        let text = self.text.read(context, optional, "").await?.unwrap_or_default();
        let request = MessageSend {
            channel: self.channel,
            text,
            attachments: self.attachments.files(&context.globals.help)?,
            reply_to: self.reply_to,
            mentions: self.mentions,
            idempotency_key: self.creating.idempotency_key,
            wait_replicas: self.creating.wait_replicas,
            timeout_ms: context.globals.timeout.map(quantity::millis),
        };
        context.answer(&request, Print::Value, &|_| None).await
    }
}

impl Read {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let names = self.names || !context.output.is_json();
        if let Some(id) = self.thread {
            return context.list(&MessageThread { id, names }).await;
        }
        let request = MessageList {
            channel: self.channel.unwrap_or_default(),
            limit: Some(self.limit),
            before: self.before,
            all: self.all,
            names,
        };
        context.list(&request).await
    }
}

impl Message {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Edit { id, text } => {
                let text = text.read(context, false, "").await?.unwrap_or_default();
                context.answer(&MessageEdit { id, text }, Print::Nothing, &|_| None).await
            }
            Self::Delete { ids } => {
                let say = |record: &Record| match record {
                    Record::Deleted(deleted) => Some(format!("Deleted {}.", short(&deleted.id))),
                    _ => None,
                };
                context.each(&ids, |id| MessageDelete { id }, Print::Nothing, &say).await
            }
            Self::React { id, emoji, remove } => {
                let request = |id| MessageReact { id, emoji: emoji.clone(), remove };
                context.each(&[id], request, Print::Nothing, &|_| None).await
            }
        }
    }
}

impl Poll {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Create { channel, text, options, kind } => {
                let kind = match kind {
                    Kind::Single => "single",
                    Kind::Multiple => "multiple",
                    Kind::Ranked => "ranked",
                };
                let request = PollCreate { channel, text, options, kind: Some(kind.to_owned()) };
                context.answer(&request, Print::Value, &|_| None).await
            }
            Self::Vote { id, choices } => context.show(&PollVote { id, choices }).await,
            Self::Close { id } => context.show(&PollClose { id }).await,
        }
    }
}
