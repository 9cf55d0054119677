//! Two nodes, each with its store on disk and its own UDP socket on loopback: an empty one
//! fetches a wall, both compare when nothing is new, and one new post is pushed.

use std::path::Path;
use std::sync::Arc;

use mosaic_node::api::types::{
    ErrorKind, ErrorRecord, IdentityCreate, NodeStop, NodeTicket, PostCreate, Record, Request,
    SubAdd, SyncResult, SyncRun, WallList,
};
use mosaic_node::client::Client;
use mosaic_node::{App, AppOptions, ServeOptions, clock};

use super::{Options, Sample, Size, report};
use crate::error::Failure;
use crate::output::Output;

/// How long the author's node may take to answer.
const PATIENCE_MS: u64 = 10_000;

pub(super) async fn run(options: &Options, output: &mut Output) -> Result<(), Failure> {
    let posts = match options.size {
        Size::Small => 200,
        Size::Medium => 2000,
        Size::Large => 20_000,
    };
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::new(ErrorKind::Error, format!("no temporary folder: {error}")))?;
    let (app, author) = home(&folder.path().join("author")).await?;
    for n in 0..posts {
        ask(&author, &post(options.seed, n)).await?;
    }
    let listen = vec![([127, 0, 0, 1], 0).into()];
    let serving = mosaic_node::serve(app, ServeOptions { listen, ..ServeOptions::default() });
    let work = async {
        let done = measure(options, posts, folder.path(), &author, output).await;
        let stopped = ask(&author, &NodeStop {}).await;
        done.and(stopped.map(|_| ()))
    };
    let (served, done) = crate::both(serving, work).await;
    // Why it could not serve explains why nobody could sync.
    served?;
    done
}

async fn measure(
    options: &Options,
    posts: u64,
    folder: &Path,
    author: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let ticket = ticket(author).await?;
    let mut account = String::new();
    for record in ask(author, &IdentityCreate { if_missing: true, ..Default::default() }).await? {
        if let Record::Identity(identity) = record {
            account = identity.account;
        }
    }
    let (mut first, mut equal, mut one) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..options.runs {
        let (reader, client) = home(&folder.join(format!("reader-{run}"))).await?;
        let sub = SubAdd { target: account.clone(), ..SubAdd::default() };
        ask(&client, &sub).await?;
        first.push(sync(&client, &ticket).await?);
        equal.push(sync(&client, &ticket).await?);
        one.push(push(author, &client, &post(options.seed, posts + run)).await?);
        drop(client);
        reader.close().await;
    }
    report("sync", &format!("empty-node-{posts}-posts"), options, &first, output)?;
    report("sync", "equal", options, &equal, output)?;
    report("sync", "live-push-of-one-post", options, &one, output)
}

/// Opens a home with an identity of its own.
async fn home(folder: &Path) -> Result<(Arc<App>, Client), Failure> {
    let app = App::open(AppOptions {
        home: folder.join("home"),
        state_dir: folder.join("state"),
        ..AppOptions::default()
    })?;
    let client = Client::local(app.router());
    let device_name = Some("bench".to_owned());
    ask(&client, &IdentityCreate { device_name, ..Default::default() }).await?;
    Ok((app, client))
}

fn post(seed: u64, n: u64) -> PostCreate {
    let text = format!("Post {n} of seed {seed}: the ferry was late again, so we walked.");
    PostCreate { text, ..PostCreate::default() }
}

/// Returns the ticket of the author's node once it listens.
async fn ticket(author: &Client) -> Result<String, Failure> {
    let started = clock::instant();
    loop {
        match ask(author, &NodeTicket {}).await {
            Ok(records) => {
                let ticket = records.into_iter().find_map(|record| match record {
                    Record::Ticket(ticket) => Some(ticket.ticket),
                    _ => None,
                });
                return ticket.ok_or_else(|| failed("the node gave no ticket"));
            }
            Err(failure) if clock::elapsed_ms(started) > PATIENCE_MS => return Err(failure),
            Err(_) => crate::pause(std::time::Duration::from_millis(5)).await,
        }
    }
}

async fn sync(client: &Client, ticket: &str) -> Result<Sample, Failure> {
    let request = SyncRun { peers: vec![ticket.to_owned()], ..SyncRun::default() };
    let started = clock::instant();
    let records = ask(client, &request).await?;
    let elapsed = clock::instant().saturating_duration_since(started);
    let result = records.into_iter().find_map(|record| match record {
        Record::SyncResult(result) => Some(result),
        _ => None,
    });
    let result = result.ok_or_else(|| failed("the sync gave no result"))?;
    if result.state != "in-sync" {
        return Err(failed(&format!("{}: {}", result.state, result.reasons.join("; "))));
    }
    Ok(Sample {
        elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        changes: result.changes,
        wire_bytes: Some(wire_bytes(&result)),
    })
}

/// Posts, and waits until the reader's wall shows it; nobody asks for it.
async fn push(author: &Client, reader: &Client, post: &PostCreate) -> Result<Sample, Failure> {
    let started = clock::instant();
    let posted = first_post(ask(author, post).await?);
    let (who, id) = posted.ok_or_else(|| failed("the author gave no post"))?;
    let newest = WallList { who: Some(who), limit: Some(1), ..WallList::default() };
    while first_post(ask(reader, &newest).await?).is_none_or(|(_, newest)| newest != id) {
        if clock::elapsed_ms(started) > PATIENCE_MS {
            return Err(failed("the post was not pushed"));
        }
        crate::pause(std::time::Duration::from_millis(1)).await;
    }
    let elapsed = clock::instant().saturating_duration_since(started);
    let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    Ok(Sample { elapsed_us, changes: 1, wire_bytes: None })
}

/// Returns author and id of the first post among records.
fn first_post(records: Vec<Record>) -> Option<(String, String)> {
    records.into_iter().find_map(|record| match record {
        Record::Post(post) => Some((post.author, post.id)),
        _ => None,
    })
}

fn wire_bytes(result: &SyncResult) -> u64 {
    let parts = [result.control_bytes, result.inline_bytes, result.blob_bytes, result.body_bytes];
    parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
}

/// Sends a request and returns its records; the last error is the outcome.
async fn ask<R: Request>(client: &Client, request: &R) -> Result<Vec<Record>, Failure> {
    let mut answer = client.call(request).await?;
    let mut records = Vec::new();
    let mut outcome: Result<(), ErrorRecord> = Ok(());
    while let Some(line) = answer.line().await? {
        match serde_json::from_slice(&line) {
            Ok(Record::Error(error)) => outcome = Err(error),
            Ok(record) => records.push(record),
            Err(error) => return Err(failed(&error.to_string())),
        }
    }
    outcome?;
    Ok(records)
}

fn failed(reason: &str) -> Failure {
    Failure::new(ErrorKind::Error, format!("the benchmark failed: {reason}"))
}
