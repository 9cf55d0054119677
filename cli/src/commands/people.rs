//! `follow`, `block`, `mute` and their opposites.

use clap::{Args, Subcommand};
use mosaic_node::api::types::{
    BlockAdd, BlockList, BlockRemove, FollowAdd, FollowList, FollowRemove, MuteAdd, MuteList,
    MuteRemove, Record, Relation,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::render::short;

/// People.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Account ids or @petnames; - reads them from stdin
    #[arg(value_name = "WHO", required = true)]
    who: Vec<String>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Follow {
    /// Account id; the full one for somebody not known here yet
    #[arg(value_name = "WHO", required = true)]
    who: Option<String>,
    /// What you call them, used as @NAME
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Or a list.
    #[command(subcommand)]
    list: Option<ListFollows>,
}

#[derive(Debug, Subcommand)]
enum ListFollows {
    /// List whom you follow
    List,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Block {
    /// Account ids or @petnames; - reads them from stdin
    #[arg(value_name = "WHO", required = true)]
    who: Vec<String>,
    /// Why, for your own devices alone; '' takes it away
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Or a list.
    #[command(subcommand)]
    list: Option<ListBlocks>,
}

#[derive(Debug, Subcommand)]
enum ListBlocks {
    /// List whom you block
    List,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Mute {
    /// Account ids or @petnames; - reads them from stdin
    #[arg(value_name = "WHO", required = true)]
    who: Vec<String>,
    /// Or a list.
    #[command(subcommand)]
    list: Option<ListMutes>,
}

#[derive(Debug, Subcommand)]
enum ListMutes {
    /// List whom you mute
    List,
}

impl Follow {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Some(who) = self.who else { return context.list(&FollowList {}).await };
        let name = self.name.map(|name| name.trim_start_matches('@').to_owned());
        let say = |record: &Record| said(record, "You follow");
        context.answer(&FollowAdd { who, name }, Print::Nothing, &say).await
    }
}

impl Block {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        if self.list.is_some() {
            return context.list(&BlockList {}).await;
        }
        let say = |record: &Record| said(record, "You block");
        let request = |who| BlockAdd { who, note: self.note.clone() };
        context.each(&self.who, request, Print::Nothing, &say).await
    }
}

impl Mute {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        if self.list.is_some() {
            return context.list(&MuteList {}).await;
        }
        let say = |record: &Record| said(record, "You mute");
        context.each(&self.who, |who| MuteAdd { who }, Print::Nothing, &say).await
    }
}

impl Who {
    pub(crate) async fn unfollow(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let say = |record: &Record| said(record, "You no longer follow");
        context.each(&self.who, |who| FollowRemove { who }, Print::Nothing, &say).await
    }

    pub(crate) async fn unblock(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let say = |record: &Record| said(record, "You no longer block");
        context.each(&self.who, |who| BlockRemove { who }, Print::Nothing, &say).await
    }

    pub(crate) async fn unmute(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let say = |record: &Record| said(record, "You no longer mute");
        context.each(&self.who, |who| MuteRemove { who }, Print::Nothing, &say).await
    }
}

fn said(record: &Record, what: &str) -> Option<String> {
    let (Record::Follow(relation) | Record::Block(relation) | Record::Mute(relation)) = record
    else {
        return None;
    };
    Some(format!("{what} {}.", called(relation)))
}

fn called(relation: &Relation) -> String {
    match (&relation.petname, &relation.name) {
        (Some(petname), _) => format!("@{petname}"),
        (None, Some(name)) => format!("{name} ({})", short(&relation.account)),
        (None, None) => short(&relation.account),
    }
}
