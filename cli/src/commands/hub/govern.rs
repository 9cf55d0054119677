//! `hub member`, `hub role`, `hub mod`.

use clap::{Args, Subcommand};
use mosaic_node::api::types::{
    HubChange, HubOwners, HubQuota, MemberBan, MemberGrant, MemberKick, MemberList, MemberRevoke,
    MemberUnban, ModerationAct, ModerationAdopt, ModerationExtend, ModerationLog, ModerationUndo,
    Record, ReportDismiss, ReportList, RoleChange, RoleCreate, RoleList,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::quantity;
use crate::render::short;

const CREATE_HELP: &str = "\
Permissions: send, react, attach, mention, invite, pin, hide, purge, kick, ban, manage-channels,
manage-roles, manage-hub, rekey, notary; all for all of them. What holders of a role do acts on
members of lower rank only, and nobody gives what he does not hold.";

const UNDO_HELP: &str = "\
Bans, kicks, grants and whatever else the member did count for nothing from then on, on every
replica, and so does what followed from them. What is listed stays: texts that were purged are gone,
and what a higher rank adopted counts by that.";

const REPORTS_HELP: &str = "\
A report is dealt with when its message is hidden or purged, when its author is kicked or banned
after it, or when somebody who may hide messages and is not reported himself dismisses it. It is open
again when that is taken back. Reports are sealed to the devices that moderators had when they were
made: who becomes one later, and devices linked later, do not read earlier ones.";

const OWNERS_HELP: &str = "\
A change takes place when more than half of the owners have said the same, each with this command.
Until then nothing is different. Owners may do everything, and nobody acts on them.";

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Hub
    #[arg(value_name = "HUB")]
    hub: String,
    /// A new name, at most 64 bytes
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it says about itself, at most 1,024 bytes
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// Whether nobody can join, whatever ticket he has: true or false
    #[arg(long, value_name = "BOOL")]
    closed: Option<bool>,
    /// What nodes keep of each member, such as 64MB; 0 leaves it to them
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    member_quota: Option<u64>,
    /// Why, for the log; at most 256 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

impl Set {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = HubChange {
            hub: self.hub,
            name: self.name,
            about: self.about,
            joins_closed: self.closed,
            member_bytes: self.member_quota,
            reason: self.reason,
        };
        context.show(&request).await
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// List the members of a hub
    List {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
    },
    /// See what members have on this node, and limit it
    Quota {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// What this node takes of each member from now on, such as 64MB; 0: no limit
        #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
        each: Option<u64>,
        /// What it takes of all members together; 0: no limit
        #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
        all: Option<u64>,
    },
    /// Let somebody in, or give a member a role
    Grant {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Account id or @petname
        #[arg(value_name = "WHO")]
        who: String,
        /// Role; default: that of every member
        #[arg(value_name = "ROLE")]
        role: Option<String>,
    },
    /// Take a role from a member
    Revoke {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Account id or @petname
        #[arg(value_name = "WHO")]
        who: String,
        /// Role; default: that of every member
        #[arg(value_name = "ROLE")]
        role: Option<String>,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Remove a member, who may be invited again
    Kick {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Account id or @petname
        #[arg(value_name = "WHO")]
        who: String,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Remove a member for good: what is here of him stays
    Ban {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Account id or @petname
        #[arg(value_name = "WHO")]
        who: String,
        /// Nothing of him stays
        #[arg(long)]
        purge: bool,
        /// Ban as well who came in by his invitations, and by theirs
        #[arg(long)]
        with_invitees: bool,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Say who is to own the hub
    #[command(after_long_help = OWNERS_HELP)]
    Owners {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// All owners that it is to have: account ids or @petnames
        #[arg(value_name = "WHO", required = true)]
        owners: Vec<String>,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// End the bans and removals of somebody
    Unban {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Account id or @petname
        #[arg(value_name = "WHO")]
        who: String,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// List the roles of a hub
    List {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
    },
    /// Define a role
    #[command(after_long_help = CREATE_HELP)]
    Create {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Its name, at most 64 bytes
        #[arg(value_name = "NAME")]
        name: String,
        /// How high it stands, 1 to 1000
        #[arg(long, value_name = "N", default_value_t = 1)]
        rank: u64,
        /// What its holders may do, with commas between
        #[arg(long, value_name = "PERMISSIONS", value_delimiter = ',')]
        allow: Vec<String>,
    },
    /// Change what a role gives, or its name
    #[command(after_long_help = CREATE_HELP)]
    Change {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Role; everyone is that of every member
        #[arg(value_name = "ROLE")]
        role: String,
        /// A new name, at most 64 bytes
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// All that its holders may do from now on, with commas between
        #[arg(long, value_name = "PERMISSIONS", value_delimiter = ',', num_args = 0..)]
        allow: Option<Vec<String>>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mod {
    /// Hide messages from everybody
    Hide(Target),
    /// Show hidden messages again
    Restore(Target),
    /// Hide messages for good and have their texts dropped
    Purge(Target),
    /// Show messages above their channel
    Pin(Target),
    /// Take pins down
    Unpin(Target),
    /// Change the hub's name or settings, or close it to newcomers
    Set(Set),
    /// Make all that a member of lower rank did count for nothing
    #[command(after_long_help = UNDO_HELP)]
    Undo {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Account id or @petname
        #[arg(value_name = "WHO")]
        who: String,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Make an operation of another your own, so that it counts by your power
    Adopt {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Operation, as the log lists it
        #[arg(value_name = "ID")]
        id: String,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Have a ban, kick or revocation leave all that is here of the one it removed
    Extend {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Operation, as the log lists it
        #[arg(value_name = "ID")]
        id: String,
        /// Why, for the log; at most 256 bytes
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// List reports that nobody dealt with yet, newest first
    #[command(after_long_help = REPORTS_HELP)]
    Reports {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Also those that were dealt with
        #[arg(long)]
        all: bool,
        /// Add names as this home calls people, under --json too
        #[arg(long)]
        names: bool,
    },
    /// Say that a report needs nothing more
    Dismiss {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// Report, as reports lists it
        #[arg(value_name = "ID")]
        id: String,
        /// Open it again
        #[arg(long)]
        reopen: bool,
        /// Why; everybody can read it
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// List every operation, valid or not, newest first
    Log {
        /// Hub
        #[arg(value_name = "HUB")]
        hub: String,
        /// At most so many
        #[arg(short = 'n', long, value_name = "N")]
        limit: Option<u64>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Messages; - reads ids from stdin
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Why, for the log; at most 256 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

fn said(record: &Record) -> Option<String> {
    let Record::Operation(done) = record else { return None };
    let about = done.about.as_deref().map(short).unwrap_or_default();
    Some(format!("{} {about}: done.", done.action))
}

impl Member {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let print = Print::Nothing;
        match self {
            Self::List { hub } => context.list(&MemberList { hub }).await,
            Self::Quota { hub, each, all } => {
                context.list(&HubQuota { hub, member_bytes: each, all_bytes: all }).await
            }
            Self::Grant { hub, who, role } => {
                context.answer(&MemberGrant { hub, who, role }, print, &said).await
            }
            Self::Revoke { hub, who, role, reason } => {
                context.answer(&MemberRevoke { hub, who, role, reason }, print, &said).await
            }
            Self::Kick { hub, who, reason } => {
                context.answer(&MemberKick { hub, who, reason }, print, &said).await
            }
            Self::Ban { hub, who, purge, with_invitees, reason } => {
                let request = MemberBan { hub, who, purge, with_invitees, reason };
                context.answer(&request, print, &said).await
            }
            Self::Owners { hub, owners, reason } => {
                context.list(&HubOwners { hub, owners, reason }).await
            }
            Self::Unban { hub, who, reason } => {
                context.answer(&MemberUnban { hub, who, reason }, print, &said).await
            }
        }
    }
}

impl Role {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::List { hub } => context.list(&RoleList { hub }).await,
            Self::Create { hub, name, rank, allow } => {
                let rank = Some(rank);
                context
                    .answer(&RoleCreate { hub, name, rank, allow }, Print::Value, &|_| None)
                    .await
            }
            Self::Change { hub, role, name, allow } => {
                context.show(&RoleChange { hub, role, name, allow }).await
            }
        }
    }
}

impl Mod {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Hide(target) => target.run(context, "hide").await,
            Self::Restore(target) => target.run(context, "restore").await,
            Self::Purge(target) => target.run(context, "purge").await,
            Self::Pin(target) => target.run(context, "pin").await,
            Self::Unpin(target) => target.run(context, "unpin").await,
            Self::Set(set) => set.run(context).await,
            Self::Undo { hub, who, reason } => {
                context.show(&ModerationUndo { hub, who, reason }).await
            }
            Self::Adopt { hub, id, reason } => {
                let request = ModerationAdopt { hub, id, reason };
                context.answer(&request, Print::Nothing, &said).await
            }
            Self::Extend { hub, id, reason } => {
                let request = ModerationExtend { hub, id, reason };
                context.answer(&request, Print::Nothing, &said).await
            }
            Self::Reports { hub, all, names } => {
                let names = names || !context.output.is_json();
                context.list(&ReportList { hub, own: false, all, names }).await
            }
            Self::Dismiss { hub, id, reopen, reason } => {
                let request = ReportDismiss { hub, id, reopen, reason };
                context.answer(&request, Print::Nothing, &said).await
            }
            Self::Log { hub, limit } => context.list(&ModerationLog { hub, limit }).await,
        }
    }
}

impl Target {
    async fn run(self, context: &mut Context<'_>, act: &str) -> Result<(), Failure> {
        let Self { ids, reason } = self;
        let request = |id| ModerationAct { id, act: act.to_owned(), reason: reason.clone() };
        context.each(&ids, request, Print::Nothing, &said).await
    }
}
