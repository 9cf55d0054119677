//! `hub channel`.

use std::time::Duration;

use clap::{Args, Subcommand};
use mosaic_node::api::types::{
    ChannelCreate, ChannelEdit, ChannelList, ChannelReaders, ChannelRules, Record,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::quantity;

/// What of a private channel is given to who becomes a reader later.
const HISTORIES: [&str; 2] = ["from-join", "all"];

#[derive(Debug, Subcommand)]
pub(crate) enum Channel {
    /// List the channels of a hub
    List {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
    },
    /// Create a channel
    Create {
        /// Hub, a slash, and the name, at most 64 bytes
        #[arg(value_name = "HUB/CHANNEL")]
        channel: String,
        /// What it is about, at most 1,024 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        topic: String,
        /// The heading that it stands under, at most 64 bytes
        #[arg(long, value_name = "NAME", default_value = "")]
        category: String,
        /// Only those write there who manage channels
        #[arg(long)]
        read_only: bool,
        /// Its readers alone can read what is written there; it stays so
        #[arg(long)]
        private: bool,
        /// With --private: a role whose holders read it; without one, every member does
        #[arg(long = "role", value_name = "ROLE", requires = "private")]
        roles: Vec<String>,
        /// With --private: what is given to who becomes a reader later
        #[arg(long, value_name = "HISTORY", requires = "private", value_parser = HISTORIES)]
        history: Option<String>,
    },
    /// Change a channel
    Change(Change),
    /// Say who reads a private channel from now on
    Readers {
        /// Channel
        #[arg(value_name = "HUB/CHANNEL")]
        channel: String,
        /// A role whose holders read it, or everyone; as it was if only --history is said
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// What is given to who becomes a reader later; as it was if not said
        #[arg(long, value_name = "HISTORY", value_parser = HISTORIES)]
        history: Option<String>,
    },
    /// Say what a role or a member may and may not do in a channel, whatever roles say
    Rules {
        /// Channel
        #[arg(value_name = "HUB/CHANNEL")]
        channel: String,
        /// role:NAME, where role:everyone are all members, or an account id or @petname
        #[arg(value_name = "WHO")]
        who: String,
        /// Permissions that they have there, with commas between
        #[arg(long, value_name = "PERMISSIONS", value_delimiter = ',')]
        allow: Vec<String>,
        /// Permissions that they lack there, with commas between
        #[arg(long, value_name = "PERMISSIONS", value_delimiter = ',')]
        deny: Vec<String>,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Channel
    #[arg(value_name = "HUB/CHANNEL")]
    channel: String,
    /// A new name, at most 64 bytes
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is about, at most 1,024 bytes
    #[arg(long, value_name = "TEXT")]
    topic: Option<String>,
    /// The heading that it stands under, at most 64 bytes
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Whether only those write there who manage channels: true or false
    #[arg(long, value_name = "BOOL")]
    read_only: Option<bool>,
    /// Whether nobody writes there any more: true or false
    #[arg(long, value_name = "BOOL")]
    archived: Option<bool>,
    /// How long a member waits between two messages; 0s for not at all
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    slow: Option<Duration>,
}

impl Channel {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::List { hub } => context.list(&ChannelList { hub }).await,
            Self::Create { channel, topic, category, read_only, private, roles, history } => {
                let request =
                    ChannelCreate { channel, topic, category, read_only, private, roles, history };
                let say = |record: &Record| {
                    matches!(record, Record::Channel(_)).then(|| "The channel is there.".to_owned())
                };
                context.answer(&request, Print::Value, &say).await
            }
            Self::Rules { channel, who, allow, deny, reason } => {
                context.show(&ChannelRules { channel, who, allow, deny, reason }).await
            }
            Self::Readers { channel, roles, history } => {
                context.show(&ChannelReaders { channel, roles, history }).await
            }
            Self::Change(change) => {
                let request = ChannelEdit {
                    channel: change.channel,
                    name: change.name,
                    topic: change.topic,
                    category: change.category,
                    read_only: change.read_only,
                    archived: change.archived,
                    slow_ms: change.slow.map(quantity::millis),
                };
                context.show(&request).await
            }
        }
    }
}
