//! A node with the walls of some authors, and an empty one: it fetches everything, both compare
//! when nothing is new, it comes back after it was away, and one new post is pushed.

use std::path::Path;

use clap::Args;
use mosaic_node::api::types::SubAdd;
use mosaic_node::client::Client;

use super::nodes::{account, ask, folder, home, post, push, serving, sync, ticket, write};
use super::{Options, Sample, Size, report};
use crate::error::Failure;
use crate::output::Output;

#[derive(Debug, Clone, Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    options: Options,
    /// Posts in all, instead of those of a size
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    posts: Option<u64>,
    /// Accounts that wrote them, each a wall
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    authors: u64,
    /// Posts that are new when the reader comes back
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    new: u64,
}

pub(super) async fn run(sync: &Sync, output: &mut Output) -> Result<(), Failure> {
    let posts = sync.posts.unwrap_or(match sync.options.size {
        Size::Small => 200,
        Size::Medium => 2000,
        Size::Large => 20_000,
    });
    let folder = folder()?;
    let (app, hub) = home(&folder.path().join("hub")).await?;
    // The first author's posts are the hub's own.
    let share = |author: u64| posts / sync.authors + u64::from(author < posts % sync.authors);
    write(&hub, sync.options.seed, (0, share(0))).await?;
    let mut accounts = vec![account(&hub).await?];
    for author in 1..sync.authors {
        let folder = folder.path().join(format!("author-{author}"));
        accounts.push(bring(sync, &folder, (author, share(author)), &hub).await?);
    }
    let measured = measure(sync, posts, folder.path(), &hub, &accounts, output);
    serving(app, &hub, measured).await
}

/// Writes an author's wall at a node of his own and lets the hub fetch it. Returns the account.
async fn bring(
    options: &Sync,
    folder: &Path,
    (author, posts): (u64, u64),
    hub: &Client,
) -> Result<String, Failure> {
    let (app, client) = home(folder).await?;
    write(&client, options.options.seed.wrapping_add(author), (0, posts)).await?;
    let account = account(&client).await?;
    let work = async {
        ask(hub, &SubAdd { target: account.clone(), ..SubAdd::default() }).await?;
        sync(hub, &ticket(&client).await?).await
    };
    serving(app, &client, work).await?;
    Ok(account)
}

async fn measure(
    Sync { options, authors, new, .. }: &Sync,
    posts: u64,
    folder: &Path,
    hub: &Client,
    accounts: &[String],
    output: &mut Output,
) -> Result<(), Failure> {
    let ticket = ticket(hub).await?;
    let [mut first, mut equal, mut back, mut one] = [const { Vec::new() }; 4];
    let mut written = posts;
    for run in 0..options.runs {
        let folder = folder.join(format!("reader-{run}"));
        let (reader, client) = home(&folder).await?;
        for account in accounts {
            ask(&client, &SubAdd { target: account.clone(), ..SubAdd::default() }).await?;
        }
        first.push(sync(&client, &ticket).await?);
        equal.push(sync(&client, &ticket).await?);
        drop(client);
        reader.close().await;
        write(hub, options.seed, (written, written + new)).await?;
        let (reader, client) = home(&folder).await?;
        back.push(sync(&client, &ticket).await?);
        let readers = [client];
        let [_, elapsed_us] = push(hub, &readers, &post(options.seed, written + new)).await?;
        one.push(Sample { elapsed_us, changes: 1, wire_bytes: None });
        written += new + 1;
        drop(readers);
        reader.close().await;
    }
    let walls = if *authors == 1 { String::new() } else { format!("-{authors}-walls") };
    report("sync", &format!("empty-node-{posts}-posts{walls}"), options, &first, output)?;
    report("sync", "equal", options, &equal, output)?;
    report("sync", &format!("back-after-{new}-posts"), options, &back, output)?;
    report("sync", "live-push-of-one-post", options, &one, output)
}
