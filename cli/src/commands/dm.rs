//! `dm`: messages that only those can read whom they are for.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mosaic_node::api::types::{
    BundleExported, DmAnswer, DmChange, DmDelete, DmEdit, DmExpire, DmExport, DmGroup, DmImport,
    DmList, DmRead, DmSend, ErrorKind, Record,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input::{Creating, TextSource};
use crate::quantity;
use crate::render::short;
use crate::whole::{Kind, Whole};

const BUNDLE: Kind = Kind {
    a: "a bundle",
    name: "bundle",
    hint: "mosaic dm bundle export FILE",
    elsewhere: "mosaic dm bundle export NEW_FILE",
};

#[derive(Debug, Subcommand)]
pub(crate) enum Dm {
    /// Write to somebody, or to a group
    Send(Send),
    /// List conversations, newest first
    List {
        /// Also those that you ignore
        #[arg(long)]
        ignored: bool,
    },
    /// Read a conversation; it counts as read
    Read(Read),
    /// Give a message of yours another text
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
    /// Have texts dropped some time after they were written
    ///
    /// Everybody who has them drops them then, by his own clock: who takes part, and nodes that carry
    /// them. Who copied a text keeps it, and so does a program that does not heed it.
    Expire(Expire),
    /// List what strangers wrote; nothing of it notifies you
    Requests,
    /// Take part in what a stranger began
    Accept(Who),
    /// Hear no more of what a stranger began; nobody is told
    Ignore(Who),
    /// Block who began it: nothing new of theirs is kept
    Block(Who),
    /// Begin and change conversations of several
    #[command(subcommand, disable_help_subcommand = true)]
    Group(Group),
    /// Carry conversations by hand, sealed as they are
    #[command(subcommand, disable_help_subcommand = true)]
    Bundle(Bundle),
}

#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Account, conversation or title
    #[arg(value_name = "WHO")]
    who: String,
}

#[derive(Debug, Args)]
pub(crate) struct Expire {
    /// Account, conversation or title
    #[arg(value_name = "WHO")]
    who: String,
    /// After how long, for example 1d or 12h; off for never
    #[arg(value_name = "AFTER", value_parser = after)]
    after_ms: u64,
}

/// Reads after how long something is dropped, in milliseconds; 0 for never.
fn after(text: &str) -> Result<u64, String> {
    match text {
        "off" => Ok(0),
        _ => match quantity::millis(quantity::duration(text)?) {
            0 => Err("no time at all: off keeps it".to_owned()),
            after_ms => Ok(after_ms),
        },
    }
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Account, conversation or title
    #[arg(value_name = "WHO")]
    who: String,
    /// The text.
    #[command(flatten)]
    text: TextSource,
    /// Answer this message
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// Drop the text after so long, whatever the conversation has; off for never
    #[arg(long, value_name = "AFTER", value_parser = after)]
    expire: Option<u64>,
    /// Once, and on how many devices.
    #[command(flatten)]
    creating: Creating,
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    /// Account, conversation or title
    #[arg(value_name = "WHO")]
    who: String,
    /// At most so many, the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// Leave it unread
    #[arg(long)]
    keep_unread: bool,
    /// Tell who takes part that you read it
    #[arg(long, conflicts_with = "keep_unread")]
    tell: bool,
    /// Add names as this home calls people, under --json too
    #[arg(long)]
    names: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Begin a conversation of several
    Create {
        /// Its title, which its members alone can read
        #[arg(value_name = "TITLE")]
        title: String,
        /// Who takes part besides you; repeat for more
        #[arg(long = "with", value_name = "WHO", required = true)]
        members: Vec<String>,
    },
    /// Bring somebody in, take somebody out, give it a title, or leave
    Change {
        /// Conversation or title
        #[arg(value_name = "GROUP")]
        who: String,
        /// A new title
        #[arg(long, value_name = "TITLE")]
        title: Option<String>,
        /// Who comes, and reads what is written from then on
        #[arg(long, value_name = "WHO")]
        add: Vec<String>,
        /// Who goes, and reads nothing of it
        #[arg(long, value_name = "WHO")]
        remove: Vec<String>,
        /// Leave it
        #[arg(long)]
        leave: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bundle {
    /// Write conversations into a file
    Export {
        /// The file to write, which must not exist, or - for stdout
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Which
        #[arg(value_name = "WHO")]
        who: Vec<String>,
        /// All that you take part in, and so with whom you talk
        #[arg(long, conflicts_with = "who")]
        all: bool,
    },
    /// Take in what somebody wrote into a file
    ///
    /// Of a file that is damaged what is whole goes in, what is not is named, and the code is 3; where
    /// nothing is whole nothing goes in, and it is 16.
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Dm {
    /// Whether it waits for others, within the time of `--timeout`.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self, Self::Send(send) if send.creating.wait_replicas.is_some())
    }

    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let names = !context.output.is_json();
        match self {
            Self::Send(send) => send.run(context).await,
            Self::List { ignored } => {
                context.list(&DmList { requests: false, ignored, names }).await
            }
            Self::Read(read) => read.run(context).await,
            Self::Edit { id, text } => {
                let text = text.read(context, false, "").await?.unwrap_or_default();
                context.answer(&DmEdit { id, text }, Print::Nothing, &|_| None).await
            }
            Self::Delete { ids } => {
                let say = |record: &Record| match record {
                    Record::Deleted(deleted) => Some(format!("Deleted {}.", short(&deleted.id))),
                    _ => None,
                };
                context.each(&ids, |id| DmDelete { id }, Print::Nothing, &say).await
            }
            Self::Expire(Expire { who, after_ms }) => {
                let after_ms = Some(after_ms).filter(|after_ms| *after_ms > 0);
                let request = DmExpire { who, after_ms };
                context.answer(&request, Print::Nothing, &expiry).await
            }
            Self::Requests => context.list(&DmList { requests: true, ignored: false, names }).await,
            Self::Accept(Who { who }) => answer(context, who, "accept").await,
            Self::Ignore(Who { who }) => answer(context, who, "ignore").await,
            Self::Block(Who { who }) => answer(context, who, "block").await,
            Self::Group(command) => command.run(context).await,
            Self::Bundle(command) => command.run(context).await,
        }
    }
}

fn expiry(record: &Record) -> Option<String> {
    let Record::Conversation(conversation) = record else { return None };
    Some(match conversation.expires_after_ms {
        Some(_) => "What is written from now on is dropped after that time.".to_owned(),
        None => "What is written from now on is kept.".to_owned(),
    })
}

async fn answer(context: &mut Context<'_>, who: String, act: &str) -> Result<(), Failure> {
    let act = act.to_owned();
    context.answer(&DmAnswer { who, act }, Print::Nothing, &|_| None).await
}

impl Send {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let text = self.text.read(context, false, "").await?.unwrap_or_default();
        let request = DmSend {
            who: self.who,
            text,
            reply_to: self.reply_to,
            expires_ms: self.expire,
            idempotency_key: self.creating.idempotency_key,
            wait_replicas: self.creating.wait_replicas,
            timeout_ms: context.globals.timeout.map(quantity::millis),
        };
        context.answer(&request, Print::Value, &|_| None).await
    }
}

impl Read {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = DmRead {
            who: self.who,
            limit: Some(self.limit),
            mark_read: !self.keep_unread,
            tell: self.tell,
            names: self.names || !context.output.is_json(),
        };
        context.list(&request).await
    }
}

impl Group {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Create { title, members } => {
                context.answer(&DmGroup { title, members }, Print::Value, &|_| None).await
            }
            Self::Change { who, title, add, remove, leave } => {
                let request = DmChange { who, title, add, remove, leave };
                context.answer(&request, Print::Nothing, &|_| None).await
            }
        }
    }
}

impl Bundle {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Export { file, who, all } => {
                if who.is_empty() && !all {
                    let why = "no conversation was named: a bundle also tells with whom you talk";
                    return Err(Failure::usage(why, "mosaic dm bundle export FILE --all"));
                }
                let mut whole = Whole::begin(BUNDLE, &file)?;
                let mut answer = context.call(&DmExport { who, all }).await?;
                if answer.status() >= 300 {
                    let line = answer.line().await?.unwrap_or_default();
                    return Err(match serde_json::from_slice(&line) {
                        Ok(Record::Error(error)) => error.into(),
                        _ => Failure::new(ErrorKind::Error, "the node gives no bundle"),
                    });
                }
                while let Some(bytes) = answer.bytes().await? {
                    whole.write(&bytes)?;
                }
                if let Some(size_bytes) = whole.keep()? {
                    let path = file.display().to_string();
                    let record = Record::BundleExported(BundleExported { path, size_bytes });
                    context.output.record(&record)?;
                    context.output.flush()?;
                }
                Ok(())
            }
            Self::Import { file } => {
                let path = std::path::absolute(&file)
                    .map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))?;
                let path = path.display().to_string();
                context.show(&DmImport { path }).await
            }
        }
    }
}
