//! Walls of which older pages were given up for room: fetched again when somebody reads on.

use std::sync::Arc;

use mosaic_engine::hash::{AccountId, ChangeId};
use mosaic_engine::replica::{Cursor, Replica, Subscription, Text};

use super::answer::Outcome;
use super::types::{ErrorKind, ErrorRecord, Notice, Record, WallList, WallShow};
use super::{resolve, wall};
use crate::app::App;

/// The turn of one reader.
type Turn = tokio::sync::OwnedMutexGuard<()>;

/// A page that is known but was given up.
#[derive(Clone, Copy)]
struct Gone {
    account: AccountId,
    page: u64,
}

/// What one look at a wall came to.
struct Look {
    records: Vec<Record>,
    /// The page to go on with, if it is known and not here.
    gone: Option<Gone>,
    last: Option<Cursor>,
}

/// Lists a wall. Where a list with a limit comes to a page that is not kept here, the page is
/// fetched from a peer, verified like any other, and stays until another one is asked for; so
/// on until there is as much as was asked for. A list that stops before such a page says so.
pub(super) async fn list(app: Arc<App>, mut request: WallList) -> Outcome {
    let mut turn = match &request.before {
        Some(id) => bring(&app, id, None).await?,
        None => None,
    };
    let (looking, before) = (app.clone(), request.before.take());
    let start =
        tokio::task::spawn_blocking(move || wall::cursor(&*looking.replica()?, before.as_deref()));
    let mut start = start.await.map_err(|error| failed(&error))??;
    let mut records = Vec::new();
    loop {
        let (looking, asked) = (app.clone(), request.clone());
        let looked = tokio::task::spawn_blocking(move || look(&looking, &asked, start)).await;
        let found = looked.map_err(|error| failed(&error))??;
        let is_post = |record: &&Record| matches!(record, Record::Post(_));
        let came = found.records.iter().filter(is_post).count() as u64;
        // What is sealed is said once, however often it is looked.
        let told = records.iter().any(|record| matches!(record, Record::Notice(_)));
        let again = |record: &Record| told && matches!(record, Record::Notice(_));
        records.extend(found.records.into_iter().filter(|record| !again(record)));
        start = found.last.or(start);
        let wanted = request.limit.map(|limit| limit.saturating_sub(came));
        let Some(gone) = found.gone.filter(|_| wanted != Some(0)) else { break };
        request.limit = wanted;
        if wanted.is_some() && turn.is_none() {
            // another reader may have had this page fetched, or given up, meanwhile
            turn = Some(app.turn_to_read().await);
        }
        if wanted.is_none() || !fetch(&app, gone).await? {
            let message = match wanted {
                Some(_) => "Older posts are not kept here, and no peer gave them.",
                None => "Older posts are not kept here; --before and --limit fetch them.",
            };
            records.push(Record::Notice(Notice { message: message.to_owned() }));
            break;
        }
    }
    Ok(records.into())
}

/// Shows a post; one on a page that is not kept here is fetched if its whole id is named.
pub(super) async fn show(app: Arc<App>, request: WallShow) -> Outcome {
    let turn = bring(&app, &request.id, None).await?;
    let is_whole = ChangeId::parse_hex(request.id.trim()).is_some();
    let request = Arc::new(request);
    let show = || {
        let (showing, asked) = (app.clone(), request.clone());
        let shown = tokio::task::spawn_blocking(move || wall::show(&showing, &asked));
        async { shown.await.map_err(|error| failed(&error))? }
    };
    match show().await {
        // its page was here, and had to go for that of another reader
        Err(gone) if gone.kind() == ErrorKind::NotFound && turn.is_none() && is_whole => {
            let turn = app.turn_to_read().await;
            let _turn = bring(&app, &request.id, Some(turn)).await?;
            Ok(show().await?.into())
        }
        shown => Ok(shown?.into()),
    }
}

fn look(app: &App, request: &WallList, start: Option<Cursor>) -> Result<Look, ErrorRecord> {
    let replica = app.replica()?;
    let records = wall::list(app, request, start)?;
    let post = |record: &Record| match record {
        Record::Post(post) => Some(post.id.clone()),
        _ => None,
    };
    let last = match records.iter().rev().find_map(post) {
        Some(id) => wall::cursor(&replica, Some(&id))?,
        None => start,
    };
    // Posts to audiences stand on pages of their own, all of which are here.
    let public = |record: &Record| match record {
        Record::Post(post) if post.audience.is_none() => Some(post.id.clone()),
        _ => None,
    };
    let on_wall = match records.iter().rev().find_map(public) {
        Some(id) => wall::cursor(&replica, Some(&id))?,
        None => start,
    };
    let gone = next_page(&replica, request, on_wall)?;
    Ok(Look { records, gone, last })
}

/// Where an entry may be that cannot be shown.
enum Sought {
    /// Here; some of its text may be on its way in, on this page.
    Here(Option<Gone>),
    /// Perhaps on one of these pages.
    On(Vec<Gone>),
}

/// Fetches pages that are not kept here, newest first, until the entry is here. It stays for as
/// long as the turn is held: the next reader's page takes its place. Without a turn one is taken,
/// if it is needed.
///
/// # Errors
/// `retry` if it may be on one that nobody gave.
async fn bring(app: &Arc<App>, id: &str, turn: Option<Turn>) -> Result<Option<Turn>, ErrorRecord> {
    let Some(id) = ChangeId::parse_hex(id.trim()) else { return Ok(turn) };
    let replica = app.replica()?;
    let look = || {
        let looking = replica.clone();
        let sought = tokio::task::spawn_blocking(move || seek(&looking, &id));
        async { sought.await.map_err(|error| failed(&error))? }
    };
    let turn = match turn {
        Some(turn) => turn,
        None if matches!(look().await?, Sought::Here(None)) => return Ok(None),
        None => app.turn_to_read().await,
    };
    // whoever had the turn before may have brought it, or given it up
    let pages = match look().await? {
        Sought::Here(None) => return Ok(Some(turn)),
        Sought::Here(Some(page)) => {
            fetch(app, page).await?;
            return Ok(Some(turn));
        }
        Sought::On(pages) => pages,
    };
    for page in pages {
        let looking = replica.clone();
        // Who does not give this page will not give the next one.
        if !fetch(app, page).await? {
            return Err(unreached(app, &id).await);
        }
        let here = tokio::task::spawn_blocking(move || looking.show(&id).is_ok()).await;
        if here.map_err(|error| failed(&error))? {
            break;
        }
    }
    Ok(Some(turn))
}

fn seek(replica: &Replica, id: &ChangeId) -> Result<Sought, ErrorRecord> {
    let limits = replica.subscriptions()?.into_iter().filter(Subscription::is_limited);
    if let Ok(post) = replica.show(id) {
        let documents = replica.document_list()?;
        let description = documents.into_iter().find(|(doc, _)| *doc == post.doc);
        let place = description.and_then(|(_, d)| Some((d.space.account()?, d.page)));
        let missing = post.text == Text::Missing;
        let page = place.filter(|_| missing).map(|(account, page)| Gone { account, page });
        let mut limits = limits.map(|limit| limit.account);
        return Ok(Sought::Here(page.filter(|page| limits.any(|limit| limit == page.account))));
    }
    let mut gone = Vec::new();
    for account in limits.map(|limit| limit.account) {
        let pages = replica.pages_used(&account)?.into_iter().rev();
        let absent = pages.filter(|page| page.evicted);
        gone.extend(absent.map(|page| Gone { account, page: page.page }));
    }
    Ok(Sought::On(gone))
}

/// What is said of an entry that is not here, while a page on which it may be is not to be had.
async fn unreached(app: &Arc<App>, id: &ChangeId) -> ErrorRecord {
    let known = app.network().await.is_ok_and(|network| !network.peers().records().is_empty());
    let message = format!(
        "{} is not kept here, and no peer that may have it gave its page: it was left out for a \
         limit, or there is no such post",
        id.short()
    );
    let hint = if known { "mosaic sync status" } else { "mosaic node connect TICKET" };
    ErrorRecord::new(ErrorKind::Retry, message).with_hint(hint)
}

/// The newest page below what was listed, if it is known and not here.
fn next_page(
    replica: &Replica,
    request: &WallList,
    last: Option<Cursor>,
) -> Result<Option<Gone>, ErrorRecord> {
    let account = resolve::account(replica, request.who.as_deref())?;
    if account == replica.account()? {
        return Ok(None);
    }
    let below = match last {
        Some(cursor) => page_of(replica, &cursor.id)?,
        None => u64::MAX,
    };
    let pages = replica.pages_used(&account)?;
    if request.limit.is_none() {
        let newest = pages.into_iter().rev().find(|page| page.evicted);
        return Ok(newest.map(|page| Gone { account, page: page.page }));
    }
    let next = pages.into_iter().filter(|page| page.page < below).max_by_key(|page| page.page);
    Ok(next.filter(|page| page.evicted).map(|page| Gone { account, page: page.page }))
}

fn page_of(replica: &Replica, id: &ChangeId) -> Result<u64, ErrorRecord> {
    let post = replica.show(id)?;
    let documents = replica.document_list()?;
    let found = documents.into_iter().find(|(doc, _)| *doc == post.doc);
    let on_wall = found.filter(|(_, description)| description.space.account().is_some());
    Ok(on_wall.map_or(u64::MAX, |(_, description)| description.page))
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
