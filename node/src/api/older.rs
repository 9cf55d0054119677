//! Walls of which older pages were given up for room: fetched again when somebody reads on.

use std::sync::Arc;

use mosaic_engine::hash::AccountId;
use mosaic_engine::replica::Replica;

use super::answer::Outcome;
use super::types::{ErrorKind, ErrorRecord, Notice, Record, WallList};
use super::{resolve, wall};
use crate::app::App;

/// A page that is known but was given up.
#[derive(Clone, Copy)]
struct Gone {
    account: AccountId,
    page: u64,
}

/// Lists a wall. Where a list with a limit comes to a page that is not kept here, the page is
/// fetched from a peer, verified like any other, and stays until another one is asked for.
pub(super) async fn list(app: Arc<App>, request: WallList) -> Outcome {
    let (looking, asked) = (app.clone(), request.clone());
    let listed = tokio::task::spawn_blocking(move || {
        let replica = looking.replica()?;
        let start = wall::cursor(&replica, asked.before.as_deref())?;
        let records = wall::list(&looking, &asked, start)?;
        let limit = asked.limit.map_or(0, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let posts = records.iter().filter(|record| matches!(record, Record::Post(_))).count();
        let gone = if posts < limit { next_page(&looking, &asked, &records)? } else { None };
        Ok::<_, ErrorRecord>((records, gone, start))
    });
    let (mut records, gone, start) = listed.await.map_err(|error| failed(&error))??;
    let Some(gone) = gone else { return Ok(records.into()) };
    if fetch(&app, gone).await? {
        let again = tokio::task::spawn_blocking(move || wall::list(&app, &request, start)).await;
        return Ok(again.map_err(|error| failed(&error))??.into());
    }
    let message = "Older posts are not kept here, and no peer gave them.".to_owned();
    records.push(Record::Notice(Notice { message }));
    Ok(records.into())
}

/// The newest page below what was listed, if it was given up.
fn next_page(
    app: &App,
    request: &WallList,
    records: &[Record],
) -> Result<Option<Gone>, ErrorRecord> {
    let replica = app.replica()?;
    let account = resolve::account(&replica, request.who.as_deref())?;
    if account == replica.account()? {
        return Ok(None);
    }
    let post = |record: &Record| match record {
        Record::Post(post) => Some(post.id.clone()),
        _ => None,
    };
    let last = records.iter().rev().find_map(post).or_else(|| request.before.clone());
    let below = match last {
        Some(id) => page_of(&replica, &id)?,
        None => u64::MAX,
    };
    let pages = replica.pages_used(&account)?;
    let next = pages.into_iter().filter(|page| page.page < below).max_by_key(|page| page.page);
    Ok(next.filter(|page| page.evicted).map(|page| Gone { account, page: page.page }))
}

fn page_of(replica: &Replica, id: &str) -> Result<u64, ErrorRecord> {
    let post = replica.show(&resolve::entry(replica, id)?)?;
    let documents = replica.document_list()?;
    let found = documents.into_iter().find(|(doc, _)| *doc == post.doc);
    Ok(found.map_or(u64::MAX, |(_, description)| description.page))
}

/// Asks for the page and compares with peers until one has brought it.
async fn fetch(app: &Arc<App>, gone: Gone) -> Result<bool, ErrorRecord> {
    let replica = app.replica()?;
    let network = app.network().await?;
    let asking = replica.clone();
    let asked =
        tokio::task::spawn_blocking(move || asking.demand_page(&gone.account, gone.page)).await;
    asked.map_err(|error| failed(&error))??;
    for (device, record) in network.peers().records() {
        let known = !record.addresses.is_empty() || network.peers().live(&device).is_some();
        if !known || network.round(&record.ticket(device)).await.is_err() {
            continue;
        }
        let looking = replica.clone();
        let here = tokio::task::spawn_blocking(move || {
            let pages = looking.pages_used(&gone.account)?;
            let page = pages.into_iter().find(|page| page.page == gone.page);
            Ok::<_, ErrorRecord>(page.is_some_and(|page| !page.evicted && page.bytes > 0))
        });
        if here.await.map_err(|error| failed(&error))?? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn failed(error: &impl ToString) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Error, error.to_string())
}
