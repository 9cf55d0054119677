//! `watch`: events as they happen.

use clap::Args;
use mosaic_node::api::types::{ErrorKind, EventWatch, Record};

use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Only these events, separated by commas, for example post.created
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// First replay what came after this number; a gap line tells what is no longer kept
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// End after so many
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Run this in a shell for each event, one after the other; it gets the JSON on stdin
    #[arg(long, value_name = "CMD", conflicts_with = "jq")]
    exec: Option<String>,
}

impl Watch {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = EventWatch { types: self.types, since: self.since, count: self.count };
        let Some(command) = self.exec else { return context.show(&request).await };
        let mut answer = context.call(&request).await?;
        // While a command runs no event is read: they wait in the journal of the node.
        while let Some(line) = answer.line().await? {
            match serde_json::from_slice::<Record>(&line) {
                Ok(Record::Error(error)) => return Err(error.into()),
                Ok(Record::Event(event)) => hand(&command, &line, event.seq).await?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Runs a command for one event. One that fails ends it all, so that no event is passed over.
async fn hand(command: &str, line: &[u8], seq: u64) -> Result<(), Failure> {
    let again = format!("mosaic watch --since {}", seq.saturating_sub(1));
    let failed = |why: String| {
        let message = format!("the command of --exec {why} at event {seq}");
        Failure::hinted(ErrorKind::Error, message, again.clone())
    };
    let ran = crate::shell(command, [line, b"\n"].concat()).await;
    let status = ran.map_err(|error| failed(format!("did not run ({error})")))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(failed(format!("ended with code {code}"))),
        None => Err(failed("was ended by a signal".to_owned())),
    }
}
