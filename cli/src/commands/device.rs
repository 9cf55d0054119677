//! `device`: the devices of the account.

use std::time::Duration;

use clap::Subcommand;
use mosaic_node::api::types::{
    DeviceInvite, DeviceLink, DeviceList, DeviceRename, DeviceRestore, DeviceRevoke, DeviceSuspend,
    Record,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input;
use crate::quantity;

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Print a ticket with which another device joins your account
    Invite {
        /// How long the ticket is good for
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = quantity::duration)]
        ttl: Duration,
        /// Print the ticket and go; a running node answers the other device
        #[arg(long)]
        no_wait: bool,
    },
    /// Join this home to the account that printed a ticket
    Link {
        /// The ticket, or - to read it from stdin
        #[arg(value_name = "TICKET")]
        ticket: String,
        /// Name of this device; default: the host's
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// List the devices of an account
    List {
        /// Account id or @petname; default: you
        #[arg(value_name = "WHO")]
        who: Option<String>,
    },
    /// Give a device another name
    Rename {
        /// Device id or name
        #[arg(value_name = "DEVICE")]
        device: String,
        /// The new name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Suspend a device until it is restored
    Suspend {
        /// Device id or name
        #[arg(value_name = "DEVICE")]
        device: String,
    },
    /// End a suspension
    Restore {
        /// Device id or name
        #[arg(value_name = "DEVICE")]
        device: String,
    },
    /// Revoke a device for ever: it can no longer act as you
    Revoke {
        /// Device id or name
        #[arg(value_name = "DEVICE")]
        device: String,
        /// Type the device's name again, instead of being asked
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Why, for your other devices to read
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

impl Device {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Invite { ttl, no_wait } => invite(ttl, no_wait, context).await,
            Self::Link { ticket, name } => {
                context.passphrases.makes_keys = true;
                let ticket = input::word_or_stdin(&ticket).await?;
                context.answer(&DeviceLink { ticket, name }, Print::Value, &linked).await
            }
            Self::List { who } => context.show(&DeviceList { who }).await,
            Self::Rename { device, name } => {
                let say = |record: &Record| named(record, "is now called", true);
                context.answer(&DeviceRename { device, name }, Print::Nothing, &say).await
            }
            Self::Suspend { device } => {
                let say =
                    |record: &Record| named(record, "may not write until it is restored", false);
                context.answer(&DeviceSuspend { device }, Print::Nothing, &say).await
            }
            Self::Restore { device } => {
                let say = |record: &Record| named(record, "may write again", false);
                context.answer(&DeviceRestore { device }, Print::Nothing, &say).await
            }
            Self::Revoke { device, confirm, reason } => {
                revoke(device, confirm, reason, context).await
            }
        }
    }
}

async fn invite(ttl: Duration, no_wait: bool, context: &mut Context<'_>) -> Result<(), Failure> {
    let request = DeviceInvite { ttl_ms: Some(quantity::millis(ttl)), wait: !no_wait };
    let say = |record: &Record| match record {
        Record::Ticket(_) if no_wait => {
            Some("On the other device run: mosaic device link TICKET".to_owned())
        }
        Record::Ticket(_) => Some(
            "On the other device run: mosaic device link TICKET. Waiting; Ctrl-C stops.".to_owned(),
        ),
        record => linked(record),
    };
    // The new device's id is not what this command was asked for: only the ticket is printed.
    context.answer(&request, Print::Ticket, &say).await
}

fn linked(record: &Record) -> Option<String> {
    let Record::Linked(linked) = record else { return None };
    Some(format!("Linked: {}. Check that both screens show: {}", linked.name, linked.code))
}

fn named(record: &Record, what: &str, whole: bool) -> Option<String> {
    let Record::Device(device) = record else { return None };
    if whole {
        return Some(format!("{} {what} {}.", crate::render::short(&device.id), device.name));
    }
    Some(format!("{} {what}.", device.name))
}

async fn revoke(
    device: String,
    confirm: Option<String>,
    reason: Option<String>,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let confirm = match confirm {
        Some(name) => name,
        None => {
            let question = format!("Revoke {device} for ever? Type its name to go on:");
            let no_input = context.globals.no_input;
            let flag = ("--confirm NAME", "mosaic device revoke DEVICE");
            input::confirmation(context.output, no_input, &question, flag).await?
        }
    };
    let say = |record: &Record| {
        let what = "can no longer act as you; peers learn it at their next sync";
        Some(format!("{}{}", named(record, what, false)?, stay(record)))
    };
    context.answer(&DeviceRevoke { device, confirm, reason }, Print::Nothing, &say).await
}

/// What a revocation leaves: the devices that the revoked one had brought in.
fn stay(record: &Record) -> String {
    let Record::Device(device) = record else { return String::new() };
    let ids: Vec<_> =
        device.brought_in.iter().flatten().map(|id| crate::render::short(id)).collect();
    if ids.is_empty() {
        return String::new();
    }
    format!(
        " It had brought in {}, which can still act as you: revoke them too unless you know them.",
        ids.join(", ")
    )
}
