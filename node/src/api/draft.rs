//! Drafts, and posts that go out later.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::DraftId;
use mosaic_engine::model::entry::EntryRef;
use mosaic_engine::replica::{DraftEdit, Replica, SavedDraft};

use super::answer::blocking;
use super::resolve;
use super::types::{
    Deleted, Draft, DraftCreate, DraftDelete, DraftEdit as DraftEditRequest, DraftList, DraftPost,
    DraftShow, ErrorKind, ErrorRecord, Quote, Record, parse_rfc3339, rfc3339,
};
use super::view::{self, Extras};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<DraftCreate, _>(router, create);
    let router = blocking::<DraftList, _>(router, |app, _: DraftList| {
        let drafts = app.replica()?.drafts()?;
        Ok(drafts.iter().map(record).collect::<Vec<_>>())
    });
    let router = blocking::<DraftShow, _>(router, |app, r: DraftShow| {
        let replica = app.replica()?;
        shown(&replica, replica.resolve_draft(&r.id)?)
    });
    let router = blocking::<DraftEditRequest, _>(router, edit);
    let router = blocking::<DraftDelete, _>(router, delete);
    blocking::<DraftPost, _>(router, post)
}

fn record(draft: &SavedDraft) -> Record {
    Record::Draft(Draft {
        id: draft.id.to_string(),
        text: draft.text.clone(),
        edited_at: rfc3339(draft.edited_ms),
        at: draft.scheduled.filter(|_| !draft.posted).map(|(at_ms, _)| rfc3339(at_ms)),
        device: draft.scheduled.filter(|_| !draft.posted).map(|(_, device)| device.to_string()),
        quote: draft
            .quote
            .map(|quote| Quote { author: quote.account.to_string(), id: quote.entry.to_string() }),
        conflicts: Some(draft.others.clone()).filter(|others| !others.is_empty()),
    })
}

fn shown(replica: &Replica, id: DraftId) -> Result<Record, ErrorRecord> {
    let drafts = replica.drafts()?;
    let draft = drafts.iter().find(|draft| draft.id == id);
    draft.map(record).ok_or_else(|| {
        let message = format!("no draft starts with '{id}'");
        ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic draft list")
    })
}

fn quote(replica: &Replica, id: Option<&str>) -> Result<Option<EntryRef>, ErrorRecord> {
    let Some(id) = id else { return Ok(None) };
    let entry = resolve::entry(replica, id)?;
    let post = replica.show(&entry)?;
    if post.audience.is_some() {
        let message = format!("{} is not for everybody: it cannot be quoted", entry.short());
        return Err(ErrorRecord::new(ErrorKind::Denied, message).with_hint("mosaic feed"));
    }
    Ok(Some(EntryRef { account: post.account, entry }))
}

/// Reads when a draft is to go out; a time that is over is a mistake, never "at once".
fn coming(at: &str) -> Result<u64, ErrorRecord> {
    let usage = |message: String| ErrorRecord::new(ErrorKind::Usage, message);
    let at_ms = parse_rfc3339(at).ok_or_else(|| usage(format!("'{at}' is no RFC 3339 time")))?;
    if at_ms <= clock::now_ms() {
        let message = format!("{at} is over: a post is scheduled for a time to come");
        return Err(usage(message).with_hint("mosaic post TEXT"));
    }
    Ok(at_ms)
}

fn create(app: &App, request: DraftCreate) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let edit = DraftEdit {
        text: Some(request.text),
        quote: quote(&replica, request.quote.as_deref())?,
        at_ms: request.at.as_deref().map(coming).transpose()?.map(Some),
    };
    let id = replica.save_draft(None, edit, clock::now_ms())?;
    shown(&replica, id)
}

fn edit(app: &App, request: DraftEditRequest) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let id = replica.resolve_draft(&request.id)?;
    let at_ms = match (request.at.as_deref(), request.unschedule) {
        (Some(_), true) => {
            let message = "a draft cannot get a time and lose it at once";
            return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic draft list"));
        }
        (Some(at), false) => Some(Some(coming(at)?)),
        (None, true) => Some(None),
        (None, false) => None,
    };
    let edit = DraftEdit { text: request.text, quote: None, at_ms };
    if edit != DraftEdit::default() {
        replica.save_draft(Some(id), edit, clock::now_ms())?;
    }
    shown(&replica, id)
}

fn delete(app: &App, request: DraftDelete) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    each(&request.ids, "deleted", |text| {
        let id = replica.resolve_draft(text)?;
        replica.delete_draft(id, clock::now_ms())?;
        Ok(Record::Deleted(Deleted { id: id.to_string() }))
    })
}

fn post(app: &App, request: DraftPost) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    each(&request.ids, "posted", |text| {
        let id = replica.post_draft(replica.resolve_draft(text)?, clock::now_ms())?;
        view::either(&replica, &id, Extras::default())
    })
}

/// Does something to each of several: one record or error each, and how many failed at the end.
fn each(
    ids: &[String],
    done: &str,
    act: impl Fn(&str) -> Result<Record, ErrorRecord>,
) -> Result<Vec<Record>, ErrorRecord> {
    if let [only] = ids {
        return Ok(vec![act(only)?]);
    }
    if ids.is_empty() {
        let error = ErrorRecord::new(ErrorKind::Usage, "no draft named");
        return Err(error.with_hint("mosaic draft list"));
    }
    let mut failed = 0;
    let mut records: Vec<Record> = ids
        .iter()
        .map(|text| {
            act(text).unwrap_or_else(|error| {
                failed += 1;
                Record::Error(error)
            })
        })
        .collect();
    if failed > 0 && failed < ids.len() {
        let message = format!("{failed} of {} were not {done}", ids.len());
        records.push(Record::Error(ErrorRecord::new(ErrorKind::Partial, message)));
    }
    Ok(records)
}
