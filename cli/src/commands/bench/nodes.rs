//! Whole nodes, each with its store on disk and a UDP socket of its own on loopback.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mosaic_node::api::types::{
    ErrorKind, ErrorRecord, IdentityCreate, NodeStop, NodeTicket, PostCreate, Record, Request,
    SyncResult, SyncRun, WallList,
};
use mosaic_node::client::Client;
use mosaic_node::{App, AppOptions, ServeOptions, clock};

use super::Sample;
use crate::error::Failure;

/// How long a node may take to answer.
const PATIENCE_MS: u64 = 10_000;

/// A new folder that goes with all that is in it.
pub(super) fn folder() -> Result<tempfile::TempDir, Failure> {
    tempfile::tempdir()
        .map_err(|error| Failure::new(ErrorKind::Error, format!("no temporary folder: {error}")))
}

/// Opens a home; it gets an identity of its own if it has none.
pub(super) async fn home(folder: &Path) -> Result<(Arc<App>, Client), Failure> {
    let app = App::open(AppOptions {
        home: folder.join("home"),
        state_dir: folder.join("state"),
        ..AppOptions::default()
    })?;
    let client = Client::local(app.router());
    account(&client).await?;
    Ok((app, client))
}

/// Returns the account of a home, created if there is none.
pub(super) async fn account(client: &Client) -> Result<String, Failure> {
    let device_name = Some("bench".to_owned());
    let create = IdentityCreate { device_name, if_missing: true, ..Default::default() };
    let records = ask(client, &create).await?;
    let found = records.into_iter().find_map(|record| match record {
        Record::Identity(identity) => Some(identity.account),
        _ => None,
    });
    found.ok_or_else(|| failed("a home has no account"))
}

/// Writes posts number `from` to `to`, without the last.
pub(super) async fn write(
    client: &Client,
    seed: u64,
    (from, to): (u64, u64),
) -> Result<(), Failure> {
    for n in from..to {
        ask(client, &post(seed, n)).await?;
    }
    Ok(())
}

/// Serves a home on loopback while `work` is done with it.
pub(super) async fn serving<T>(
    app: Arc<App>,
    client: &Client,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let listen = vec![([127, 0, 0, 1], 0).into()];
    let serving = mosaic_node::serve(app, ServeOptions { listen, ..ServeOptions::default() });
    let work = async {
        let done = work.await;
        let stopped = ask(client, &NodeStop {}).await;
        done.and_then(|done| stopped.map(|_| done))
    };
    let (served, done) = crate::both(serving, work).await;
    // Why it could not serve explains why nobody could sync.
    served?;
    done
}

/// Posts at the author, and waits until all readers show it, who do not ask for it. Returns how
/// long the author took, and how long until the last reader showed it.
pub(super) async fn push(
    author: &Client,
    readers: &[Client],
    post: &PostCreate,
) -> Result<[u64; 2], Failure> {
    let started = clock::instant();
    let posted = first_post(ask(author, post).await?);
    let committed = clock::instant().saturating_duration_since(started);
    let (who, id) = posted.ok_or_else(|| failed("the author gave no post"))?;
    let newest = WallList { who: Some(who), limit: Some(1), ..WallList::default() };
    for reader in readers {
        while first_post(ask(reader, &newest).await?).is_none_or(|(_, newest)| newest != id) {
            if clock::elapsed_ms(started) > PATIENCE_MS {
                return Err(failed("the post was not pushed"));
            }
            crate::pause(Duration::from_millis(1)).await;
        }
    }
    let shown = clock::instant().saturating_duration_since(started);
    Ok([committed, shown].map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)))
}

pub(super) fn post(seed: u64, n: u64) -> PostCreate {
    let text = format!("Post {n} of seed {seed}: the ferry was late again, so we walked.");
    PostCreate { text, ..PostCreate::default() }
}

/// Returns the ticket of the author's node once it listens.
pub(super) async fn ticket(author: &Client) -> Result<String, Failure> {
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
            Err(_) => crate::pause(Duration::from_millis(5)).await,
        }
    }
}

pub(super) async fn sync(client: &Client, ticket: &str) -> Result<Sample, Failure> {
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

/// Returns author and id of the first post among records.
pub(super) fn first_post(records: Vec<Record>) -> Option<(String, String)> {
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
pub(super) async fn ask<R: Request>(client: &Client, request: &R) -> Result<Vec<Record>, Failure> {
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

pub(super) fn failed(reason: &str) -> Failure {
    Failure::new(ErrorKind::Error, format!("the benchmark failed: {reason}"))
}
