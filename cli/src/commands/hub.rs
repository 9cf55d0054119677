//! `hub`: communities with channels.

mod channel;
mod govern;
mod message;
mod report;

use std::time::Duration;

use clap::{Args, Subcommand};
use mosaic_node::api::types::{
    Hub as HubRecord, HubCreate, HubInvite, HubInvites, HubJoin, HubLeave, HubList, HubServe,
    HubShow, HubUninvite, HubUnread, Record,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input;
use crate::quantity;
use crate::render::short;

#[derive(Debug, Subcommand)]
pub(crate) enum Hub {
    /// Create a hub that you own
    Create {
        /// Its name, at most 64 bytes
        #[arg(value_name = "NAME")]
        name: String,
        /// A channel that it begins with; default: general
        #[arg(long = "channel", value_name = "NAME")]
        channels: Vec<String>,
        /// What it says about itself, at most 1,024 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        about: String,
        /// Split it off from a hub: channels and roles as there, and nobody in it but you
        #[arg(long, value_name = "HUB")]
        from: Option<String>,
        /// Nobody but its members may know of it, and all its channels are private; it stays so
        #[arg(long)]
        private: bool,
    },
    /// List the hubs that are kept here, or what of them you have not read
    List {
        /// Count what others wrote since you read it last, channel by channel
        #[arg(long)]
        unread: bool,
        /// Count it as read from now on, on all your devices
        #[arg(long, requires = "unread")]
        mark_read: bool,
    },
    /// Show a hub and its channels
    Show {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
    },
    /// Make a ticket by which others join, or see and close invitations
    Invite(Invite),
    /// Join a hub by a ticket
    ///
    /// The node that the ticket names is remembered, and you let it keep what is private, sealed as it is,
    /// as with `mosaic node connect`. `mosaic node forget` ends that.
    Join {
        /// The ticket; - reads it from stdin
        #[arg(value_name = "TICKET")]
        ticket: String,
        /// What you call the hub
        #[arg(long = "as", value_name = "NAME")]
        alias: Option<String>,
    },
    /// Leave a hub: what you wrote stays
    Leave {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Keep nothing new of it here either
        #[arg(long)]
        forget: bool,
    },
    /// Keep a hub on this node for whoever asks, member or not
    Serve {
        /// Hub; the full id of one that is not here yet
        #[arg(value_name = "HUB")]
        hub: String,
        /// Not any more
        #[arg(long)]
        stop: bool,
    },
    /// List, create and change channels
    #[command(subcommand, disable_help_subcommand = true)]
    Channel(channel::Channel),
    /// Write into a channel
    Send(message::Send),
    /// Read a channel or a thread
    Read(message::Read),
    /// Edit, delete and react to messages
    #[command(subcommand, disable_help_subcommand = true)]
    Message(message::Message),
    /// Ask, vote and close polls
    #[command(subcommand, disable_help_subcommand = true)]
    Poll(message::Poll),
    /// List, let in, kick and ban members; say who owns the hub
    #[command(subcommand, disable_help_subcommand = true)]
    Member(govern::Member),
    /// List, create and change roles
    #[command(subcommand, disable_help_subcommand = true)]
    Role(govern::Role),
    /// Report a message or a member to moderators
    #[command(subcommand, disable_help_subcommand = true, after_long_help = report::HELP)]
    Report(report::Report),
    /// Hide, purge and pin messages, see reports, undo a moderator, set the hub, read the log
    #[command(subcommand, disable_help_subcommand = true)]
    Mod(govern::Mod),
}

#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// Hub
    #[arg(value_name = "HUB")]
    hub: String,
    /// The role that it gives
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// For so many accounts; default: any number
    #[arg(long, value_name = "N")]
    uses: Option<u64>,
    /// Good for so long, for example 7d
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    expires: Option<Duration>,
    /// For this account alone: id or @petname
    #[arg(long, value_name = "WHO")]
    who: Option<String>,
    /// List the invitations instead
    #[arg(long, conflicts_with_all = ["role", "uses", "expires", "who"])]
    list: bool,
    /// Close an invitation instead
    #[arg(long, value_name = "ID", conflicts_with_all = ["role", "uses", "expires", "who", "list"])]
    close: Option<String>,
}

impl Hub {
    /// Whether it waits for others, within the time of `--timeout`.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self, Self::Send(send) if send.waits())
    }

    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Create { name, channels, about, from, private } => {
                let request = HubCreate { name, about, channels, from, private };
                let say = |record: &Record| {
                    said(record, |hub| {
                        let invite = format!("mosaic hub invite {}", short(&hub.id));
                        format!("{} is a hub of yours. Invite people: {invite}", called(hub))
                    })
                };
                context.answer(&request, Print::Value, &say).await
            }
            Self::List { unread: true, mark_read } => {
                context.list(&HubUnread { hub: None, mark_read }).await
            }
            Self::List { .. } => context.list(&HubList {}).await,
            Self::Show { hub } => context.list(&HubShow { hub }).await,
            Self::Invite(invite) => invite.run(context).await,
            Self::Join { ticket, alias } => {
                let ticket = input::word_or_stdin(&ticket).await?;
                let say = |record: &Record| {
                    said(record, |hub| match hub.standing.as_str() {
                        "owner" | "member" => format!("You are in {}.", called(hub)),
                        _ => format!(
                            "{} was told that you want in. The invitation was taken by more than it \
                             is for: somebody has to let you in.",
                            called(hub)
                        ),
                    })
                };
                context.answer(&HubJoin { ticket, alias }, Print::Value, &say).await
            }
            Self::Leave { hub, forget } => {
                let say = |record: &Record| {
                    said(record, |hub| format!("You are out of {}.", called(hub)))
                };
                context.answer(&HubLeave { hub, forget }, Print::Nothing, &say).await
            }
            Self::Serve { hub, stop } => {
                let say = |record: &Record| {
                    said(record, |hub| match hub.served {
                        true if hub.private.0 => {
                            format!("This node keeps {} for its members.", short(&hub.id))
                        }
                        true => format!("This node keeps {} for whoever asks.", short(&hub.id)),
                        false => format!("This node was told to keep {} no more.", short(&hub.id)),
                    })
                };
                context.answer(&HubServe { hub, stop }, Print::Nothing, &say).await
            }
            Self::Channel(command) => command.run(context).await,
            Self::Send(command) => command.run(context).await,
            Self::Read(command) => command.run(context).await,
            Self::Message(command) => command.run(context).await,
            Self::Poll(command) => command.run(context).await,
            Self::Member(command) => command.run(context).await,
            Self::Role(command) => command.run(context).await,
            Self::Report(command) => command.run(context).await,
            Self::Mod(command) => command.run(context).await,
        }
    }
}

impl Invite {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let hub = self.hub;
        if self.list {
            return context.list(&HubInvites { hub }).await;
        }
        if let Some(id) = self.close {
            let say = |record: &Record| {
                let Record::Operation(done) = record else { return None };
                let about = done.about.as_deref().unwrap_or_default();
                Some(format!("Nobody joins by {} any more.", short(about)))
            };
            return context.answer(&HubUninvite { hub, id }, Print::Nothing, &say).await;
        }
        let request = HubInvite {
            hub,
            role: self.role,
            uses: self.uses,
            expires_ms: self.expires.map(quantity::millis),
            who: self.who,
        };
        let say = |record: &Record| {
            matches!(record, Record::Ticket(_))
                .then(|| "Whoever has this joins with: mosaic hub join TICKET".to_owned())
        };
        context.answer(&request, Print::Ticket, &say).await
    }
}

/// What a hub is called; its id while the key of its name is not here.
fn called(hub: &HubRecord) -> String {
    match hub.alias.as_ref().unwrap_or(&hub.name) {
        name if name.is_empty() => short(&hub.id),
        name => name.clone(),
    }
}

fn said(record: &Record, words: impl Fn(&HubRecord) -> String) -> Option<String> {
    match record {
        Record::Hub(hub) => Some(words(hub)),
        _ => None,
    }
}
