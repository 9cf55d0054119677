//! A node that posts, and the nodes that keep its wall: how long until all show it.

use clap::Args;
use mosaic_node::api::types::SubAdd;
use mosaic_node::client::Client;

use super::nodes::{account, ask, folder, home, post, push, serving, sync, ticket};
use super::{Options, Sample, Size, report};
use crate::error::Failure;
use crate::output::Output;

#[derive(Debug, Clone, Args)]
pub(crate) struct Live {
    #[command(flatten)]
    options: Options,
    /// Nodes that keep the wall, instead of those of a size
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=200))]
    subscribers: Option<u64>,
}

pub(super) async fn run(live: &Live, output: &mut Output) -> Result<(), Failure> {
    let subscribers = live.subscribers.unwrap_or(match live.options.size {
        Size::Small => 3,
        Size::Medium => 20,
        Size::Large => 100,
    });
    let folder = folder()?;
    let (app, author) = home(&folder.path().join("author")).await?;
    let wall = SubAdd { target: account(&author).await?, ..SubAdd::default() };
    ask(&author, &post(live.options.seed, 0)).await?;
    let work = async {
        let ticket = ticket(&author).await?;
        let (mut apps, mut readers) = (Vec::new(), Vec::new());
        for number in 0..subscribers {
            let (app, reader) = home(&folder.path().join(format!("reader-{number}"))).await?;
            ask(&reader, &wall).await?;
            sync(&reader, &ticket).await?;
            apps.push(app);
            readers.push(reader);
        }
        let measured = measure(&live.options, &author, &readers, output).await;
        drop(readers);
        for app in apps {
            app.close().await;
        }
        measured
    };
    serving(app, &author, work).await
}

async fn measure(
    options: &Options,
    author: &Client,
    readers: &[Client],
    output: &mut Output,
) -> Result<(), Failure> {
    let (mut committed, mut shown) = (Vec::new(), Vec::new());
    for run in 0..options.runs {
        let took = push(author, readers, &post(options.seed, run + 1)).await?;
        let [at_author, everywhere] =
            took.map(|elapsed_us| Sample { elapsed_us, changes: 1, wire_bytes: None });
        committed.push(at_author);
        shown.push(everywhere);
    }
    report("live", "committed", options, &committed, output)?;
    report("live", &format!("shown-at-{}-nodes", readers.len()), options, &shown, output)
}
