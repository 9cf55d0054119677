//! `init`: the identity of this home, new or recovered.

use std::path::PathBuf;

use clap::Args;
use mosaic_node::api::types::{IdentityCreate, IdentityRecover, Record};
use mosaic_node::kept;

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input;
use crate::render::short;

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Your name, for your profile
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Name of this device; default: the host's
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Succeed and change nothing if there is an identity already
    #[arg(long)]
    if_missing: bool,
    /// Get your account back with its recovery words, from a file or - for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "if_missing"], requires = "peer")]
    recover: Option<PathBuf>,
    /// Ticket of a node that keeps your account; repeat for more
    #[arg(long, value_name = "TICKET", requires = "recover")]
    peer: Vec<String>,
    /// Recover even if follows, blocks and petnames are nowhere to be had
    #[arg(long, requires = "recover")]
    without_private: bool,
}

impl Init {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        context.passphrases.makes_keys = true;
        if let Some(file) = &self.recover {
            let no_input = context.globals.no_input;
            let words = input::words(context.output, no_input, file).await?;
            let request = IdentityRecover {
                words: words.to_string(),
                peers: self.peer,
                device_name: self.device,
                without_private: self.without_private,
            };
            return context.answer(&request, Print::Value, &recovered).await;
        }
        let request = IdentityCreate {
            name: self.name,
            device_name: self.device,
            if_missing: self.if_missing,
        };
        let say = |record: &Record| match record {
            Record::Identity(identity) => {
                let device = identity.device_name.as_deref().unwrap_or("this device");
                Some(format!("Your identity is on {device}. Next: mosaic post \"Hello\""))
            }
            _ => None,
        };
        context.answer(&request, Print::Value, &say).await?;
        if kept::is_kept(&context.paths.home) {
            context.output.talk("Keep the recovery words: mosaic identity recovery");
        }
        Ok(())
    }
}

/// What a recovery changed, for a person.
fn recovered(record: &Record) -> Option<String> {
    let Record::Recovered(recovered) = record else { return None };
    let mut say = format!("You are back, on {}.", recovered.name);
    match recovered.revoked.len() {
        0 => {}
        1 => say.push_str(" The device of before is out."),
        count => say.push_str(&format!(" The {count} devices of before are out.")),
    }
    if !recovered.private {
        say.push_str(" Follows, blocks and petnames were nowhere to be had.");
    }
    if !recovered.others.is_empty() {
        let ids: Vec<_> = recovered.others.iter().map(|id| short(id)).collect();
        say.push_str(&format!(
            " These stay, which the same words brought in: {}. Revoke one that is lost with mosaic \
             device revoke.",
            ids.join(", ")
        ));
    }
    Some(say)
}
