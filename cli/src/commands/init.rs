//! `init`: the identity of this home.

use clap::Args;
use mosaic_node::api::types::{IdentityCreate, Record};

use crate::context::{Context, Print};
use crate::error::Failure;

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
}

impl Init {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
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
        context.answer(&request, Print::Value, &say).await
    }
}
