//! `wall`: posts, comments, reactions, and who may write them.

mod write;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mosaic_node::api::types::{ReplyRule, WallHistory, WallList, WallPolicy, WallSave, WallShow};

use super::part::Part;
use super::post::Post;
use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input::{self, Attachments, Creating, TextSource};

#[derive(Debug, Subcommand)]
pub(crate) enum Wall {
    /// List the posts of a wall, newest first
    List(List),
    /// Show posts with their comments
    Show {
        /// Posts or comments; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        /// Also show texts that lost against a concurrent edit
        #[arg(long)]
        conflicts: bool,
        /// Also show hidden and refused comments
        #[arg(long)]
        hidden: bool,
        /// Add names as this home calls people, under --json too
        #[arg(long)]
        names: bool,
    },
    /// Post to your wall; the same as mosaic post
    Post(Post),
    /// Give a post or comment of yours a new text
    Edit {
        /// Post or comment
        #[arg(value_name = "ID")]
        id: String,
        /// The text.
        #[command(flatten)]
        text: TextSource,
        /// Take the text of an earlier version, as wall history lists them
        #[arg(long, value_name = "VERSION", conflicts_with_all = ["text", "file", "edit"])]
        restore: Option<String>,
    },
    /// Delete posts or comments of yours
    Delete {
        /// Posts or comments; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Comment on a post or comment
    #[command(visible_alias = "reply")]
    Comment {
        /// Post or comment to answer
        #[arg(value_name = "ID")]
        id: String,
        /// The text.
        #[command(flatten)]
        text: TextSource,
        /// The files.
        #[command(flatten)]
        attachments: Attachments,
        /// Once, and on how many devices.
        #[command(flatten)]
        creating: Creating,
    },
    /// React with an emoji
    React {
        /// Post or comment; - reads ids from stdin
        #[arg(value_name = "ID")]
        id: String,
        /// The emoji
        #[arg(value_name = "EMOJI")]
        emoji: String,
        /// Take the reaction back
        #[arg(long)]
        remove: bool,
    },
    /// Take a reaction back
    Unreact {
        /// Post or comment; - reads ids from stdin
        #[arg(value_name = "ID")]
        id: String,
        /// The emoji
        #[arg(value_name = "EMOJI")]
        emoji: String,
    },
    /// Hide a guest's comment on your wall
    Hide {
        /// Comments; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Show a hidden comment again
    Unhide {
        /// Comments; - reads ids from stdin
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// List every text a post or comment had
    History {
        /// Post or comment
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Show or set who may comment
    Policy {
        /// The new rule for your wall
        #[arg(value_name = "RULE")]
        reply: Option<Rule>,
        /// Whose wall to look at: id or @petname; default: yours
        #[arg(long, value_name = "WHO", conflicts_with = "reply")]
        who: Option<String>,
    },
    /// Make a guest part of your wall
    Admit {
        /// Account ids or @petnames; - reads them from stdin
        #[arg(value_name = "WHO", required = true)]
        who: Vec<String>,
    },
    /// Show nothing of a guest on your wall any more
    Refuse {
        /// Account ids or @petnames; - reads them from stdin
        #[arg(value_name = "WHO", required = true)]
        who: Vec<String>,
    },
    /// Save an attachment to a file
    Save {
        /// Post or comment
        #[arg(value_name = "ID")]
        id: String,
        /// Which attachment, from 0
        #[arg(long, value_name = "N", default_value_t = 0)]
        index: u64,
        /// File to write, which must not be there yet, or folder to write it to
        #[arg(short, long, value_name = "PATH", default_value = ".")]
        output: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Account id or @petname; default: you
    #[arg(value_name = "WHO")]
    who: Option<String>,
    #[command(flatten)]
    part: Part,
    /// Also show texts that lost against a concurrent edit
    #[arg(long)]
    conflicts: bool,
    /// Also list deleted posts
    #[arg(long)]
    deleted: bool,
    /// Add names as this home calls people, under --json too
    #[arg(long)]
    names: bool,
}

/// Who may comment.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Rule {
    /// Everybody who is not refused
    Everyone,
    /// Accounts you admitted
    Admitted,
    /// Nobody but you
    Nobody,
}

impl Wall {
    /// Whether it waits for others, within the time of `--timeout`.
    pub(crate) const fn waits(&self) -> bool {
        match self {
            Self::Post(post) => post.waits(),
            Self::Comment { creating, .. } => creating.wait_replicas.is_some(),
            _ => false,
        }
    }

    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context).await,
            Self::Show { ids, conflicts, hidden, names } => {
                let names = names || !context.output.is_json();
                let request = |id| WallShow { id, conflicts, hidden, names };
                context.output.page();
                context.each(&ids, request, Print::Records, &|_| None).await
            }
            Self::Post(post) => post.run(context).await,
            Self::Edit { id, text, restore: None } => write::edit(id, &text, context).await,
            Self::Edit { id, restore: Some(version), .. } => {
                write::restore(id, &version, context).await
            }
            Self::Delete { ids } => write::delete(&ids, context).await,
            Self::Comment { id, text, attachments, creating } => {
                write::comment(id, &text, &attachments, creating, context).await
            }
            Self::React { id, emoji, remove: false } => write::react(id, emoji, context).await,
            Self::React { id, emoji, remove: true } | Self::Unreact { id, emoji } => {
                write::unreact(id, emoji, context).await
            }
            Self::Hide { ids } => write::hide(&ids, context).await,
            Self::Unhide { ids } => write::unhide(&ids, context).await,
            Self::History { id } => context.list(&WallHistory { id }).await,
            Self::Policy { reply, who } => {
                let reply = reply.map(Rule::reply);
                context.show(&WallPolicy { who, reply }).await
            }
            Self::Admit { who } => write::admit(&who, context).await,
            Self::Refuse { who } => write::refuse(&who, context).await,
            Self::Save { id, index, output } => {
                let path = input::absolute_text(&output)?;
                let request = WallSave { id, index: Some(index), path };
                context.answer(&request, Print::Value, &|_| None).await
            }
        }
    }
}

impl List {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = WallList {
            who: self.who,
            limit: self.part.limit(context),
            before: self.part.before,
            since: self.part.since,
            until: self.part.until,
            conflicts: self.conflicts,
            deleted: self.deleted,
            names: self.names || !context.output.is_json(),
        };
        context.list(&request).await
    }
}

impl Rule {
    const fn reply(self) -> ReplyRule {
        match self {
            Self::Everyone => ReplyRule::Everyone,
            Self::Admitted => ReplyRule::Admitted,
            Self::Nobody => ReplyRule::Nobody,
        }
    }
}
