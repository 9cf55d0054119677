//! Documents, their heads and changes.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::change::value::Value;
use mosaic_engine::description::{Audience, Description};
use mosaic_engine::hash::{AccountId, ChangeHash, ChangeId, DocumentId};
use mosaic_engine::replica::{ChainView, ChangeView, Replica, TextEdit};

use super::answer::blocking;
use super::resolve;
use super::sync_status::root;
use super::types::{
    Change, DocCat, DocChanges, DocEdit, DocHeads, DocHistory, DocList, DocPacks, Document,
    DocumentValue, ErrorKind, ErrorRecord, Head, History, Pack, Record, TextEdited, rfc3339,
};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<DocList, _>(router, list);
    let router = blocking::<DocHeads, _>(router, heads);
    let router = blocking::<DocChanges, _>(router, changes);
    let router = blocking::<DocPacks, _>(router, packs);
    let router = blocking::<DocCat, _>(router, cat);
    let router = blocking::<DocEdit, _>(router, edit);
    blocking::<DocHistory, _>(router, history)
}

type Listed = (DocumentId, Description);

/// Documents in order of space, kind, account and page. What is kept of somebody else's private
/// part is nobody's business here.
fn documents(replica: &Replica, who: Option<AccountId>) -> Result<Vec<Listed>, ErrorRecord> {
    let own = replica.account()?;
    let mut documents = replica.document_list()?;
    documents.retain(|(_, d)| who.is_none() || d.space.account() == who);
    documents.retain(|(_, d)| d.audience == Audience::Public || d.account == own);
    documents.sort_by(|(_, a), (_, b)| {
        let key = |d: &Description| (d.space, d.kind, d.account, d.page, d.generation);
        key(a).cmp(&key(b)).then_with(|| a.label.cmp(&b.label))
    });
    Ok(documents)
}

fn list(app: &App, request: DocList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let who = match &request.who {
        Some(who) => Some(resolve::account(&replica, Some(who))?),
        None => None,
    };
    if let Some(kind) = &request.kind
        && !["account", "profile", "wall", "guest", "hub", "channel", "private", "text"]
            .contains(&kind.as_str())
    {
        let message = format!(
            "no kind '{kind}': account, profile, wall, guest, hub, channel, private or text"
        );
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic doc list"));
    }
    let mut records = Vec::new();
    for (doc, d) in documents(&replica, who)? {
        if request.kind.as_deref().is_some_and(|kind| kind != d.kind.name()) {
            continue;
        }
        let chains = replica.heads(&doc)?;
        records.push(Record::Document(Document {
            id: doc.to_string(),
            space: root(&d.space),
            account: d.account.to_string(),
            kind: d.kind.name().into(),
            page: d.page,
            chains: chains.len() as u64,
            known_changes: chains.iter().map(|chain| chain.n).sum(),
            held_changes: chains.iter().map(|chain| chain.held).sum(),
            held_bytes: chains.iter().map(|chain| chain.bytes).sum(),
        }));
    }
    Ok(records)
}

fn heads(app: &App, request: DocHeads) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let mut records = Vec::new();
    for (doc, d) in chosen(&replica, &request.docs, request.who.as_deref())? {
        let chains = replica.heads(&doc)?;
        records.extend(chains.iter().map(|chain| head(&doc, &d, chain)));
    }
    Ok(records)
}

/// The documents that are named, or all public ones of a space.
fn chosen(
    replica: &Replica,
    docs: &[String],
    who: Option<&str>,
) -> Result<Vec<Listed>, ErrorRecord> {
    if !docs.is_empty() {
        return docs.iter().map(|text| document(replica, text)).collect();
    }
    let who = resolve::account(replica, who)?;
    let mut all = documents(replica, Some(who))?;
    all.retain(|(_, d)| d.kind.name() != "private");
    Ok(all)
}

fn packs(app: &App, request: DocPacks) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let mut records = Vec::new();
    for (doc, d) in chosen(&replica, &request.docs, request.who.as_deref())? {
        let Some(page) = replica.closed_page(&doc)? else { continue };
        records.push(Record::Pack(Pack {
            doc: doc.to_string(),
            kind: d.kind.name().into(),
            page: d.page,
            hash: page.pack.hash.to_string(),
            size_bytes: page.pack.size,
            chains: page.chains.len() as u64,
            changes: page.chains.iter().map(|(_, n)| n).sum(),
        }));
    }
    Ok(records)
}

fn document(replica: &Replica, text: &str) -> Result<Listed, ErrorRecord> {
    let doc = replica.resolve_document(text)?;
    let found = documents(replica, None)?.into_iter().find(|(id, _)| *id == doc);
    found.ok_or_else(|| {
        ErrorRecord::new(ErrorKind::NotFound, format!("document {doc} is not here"))
            .with_hint("mosaic doc list")
    })
}

fn head(doc: &DocumentId, d: &Description, chain: &ChainView) -> Record {
    Record::Head(Head {
        doc: doc.to_string(),
        kind: d.kind.name().into(),
        account: d.account.to_string(),
        page: d.page,
        device: chain.key.device.to_string(),
        incarnation: chain.key.incarnation.to_string(),
        n: chain.n,
        link: chain.link.to_string(),
    })
}

fn changes(app: &App, request: DocChanges) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let (doc, _) = document(&replica, &request.doc)?;
    let since = match &request.since {
        Some(text) => Some(change(&replica, &doc, text)?),
        None => None,
    };
    let all = replica.changes(&doc)?;
    let from = all.iter().find(|view| Some(view.id) == since).map(|view| (view.key, view.n));
    let after = |view: &&ChangeView| from.is_none_or(|(key, n)| view.key != key || view.n > n);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    Ok(all
        .iter()
        .filter(after)
        .map(|view| {
            Record::Change(Change {
                id: view.id.to_string(),
                doc: doc.to_string(),
                device: view.key.device.to_string(),
                incarnation: view.key.incarnation.to_string(),
                n: view.n,
                hash: view.hash.map(|hash| hash.to_string()),
                deps: view
                    .dependencies
                    .as_ref()
                    .map(|deps| deps.iter().map(ToString::to_string).collect()),
                size_bytes: view.bytes.len() as u64,
                standing: view.standing().into(),
                // What is shown is what a stock Automerge takes: opened, if it was sealed.
                raw: request.raw.then(|| hex(view.plain.as_deref().unwrap_or(&view.bytes))),
            })
        })
        .collect())
}

fn change(replica: &Replica, doc: &DocumentId, text: &str) -> Result<ChangeId, ErrorRecord> {
    let prefix = text.to_ascii_lowercase();
    let fits = |view: &ChangeView| prefix.len() >= 4 && view.id.to_string().starts_with(&prefix);
    let found: Vec<ChangeId> =
        replica.changes(doc)?.iter().filter(|view| fits(view)).map(|view| view.id).collect();
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(ErrorRecord::new(
            ErrorKind::NotFound,
            format!("no change of this document starts with '{text}'"),
        )
        .with_hint(format!("mosaic doc changes {}", doc.short()))),
        several => {
            let message = format!("'{text}' fits {} changes", several.len());
            let candidates = several.iter().map(ToString::to_string).collect();
            Err(ErrorRecord { candidates, ..ErrorRecord::new(ErrorKind::Ambiguous, message) })
        }
    }
}

fn cat(app: &App, request: DocCat) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let (doc, d) = text_document(&replica, &request.doc)?;
    let (heads, values) = replica.values(&doc)?;
    Ok(Record::DocumentValue(DocumentValue {
        doc: doc.to_string(),
        kind: d.kind.name().into(),
        heads: heads.iter().map(ToString::to_string).collect(),
        value: values.into_iter().map(|(key, value)| (key, json(value))).collect(),
    }))
}

/// A document, or the one that holds the text of a post.
fn text_document(replica: &Replica, text: &str) -> Result<Listed, ErrorRecord> {
    let error = match document(replica, text) {
        Ok(found) => return Ok(found),
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        Err(error) => return Err(error),
    };
    let Ok(post) = resolve::entry(replica, text) else { return Err(error) };
    match replica.document_of_post(&post) {
        Ok(Some(doc)) => document(replica, &doc.to_string()),
        Ok(None) => {
            let message = format!("the text of {} is no document", post.short());
            let hint = format!("mosaic wall edit {}", post.short());
            Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(hint))
        }
        Err(_) => Err(error),
    }
}

fn edit(app: &App, request: DocEdit) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let (doc, _) = text_document(&replica, &request.doc)?;
    let edit = if request.heads.is_empty() {
        TextEdit::Replace(request.text)
    } else {
        let heads = request.heads.iter().map(|head| ChangeHash::parse_hex(head));
        let heads: Option<Vec<ChangeHash>> = heads.collect();
        let heads = heads
            .ok_or_else(|| ErrorRecord::new(ErrorKind::Usage, "a head is 64 hexadecimal digits"))?;
        TextEdit::ReplaceSince { heads, text: request.text }
    };
    let edited = replica.edit_text(&doc, &edit, clock::now_ms())?;
    let heads = replica.read_text(&doc)?.heads;
    Ok(Record::TextEdited(TextEdited {
        doc: doc.to_string(),
        id: edited.change.to_string(),
        inserted: edited.counts.inserted,
        deleted: edited.counts.deleted,
        heads: heads.iter().map(ToString::to_string).collect(),
    }))
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => value.into(),
        Value::Int(value) | Value::Timestamp(value) => value.into(),
        Value::Uint(value) => value.into(),
        Value::Text(text) => text.into(),
        Value::Bytes(bytes) => {
            serde_json::json!({ "bytes": data_encoding::HEXLOWER.encode(&bytes) })
        }
        _ => serde_json::Value::Null,
    }
}

fn history(app: &App, request: DocHistory) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let (doc, _) = document(&replica, &request.doc)?;
    let mut records = Vec::new();
    for view in replica.changes(&doc)? {
        for (action, target) in view.actions() {
            records.push(Record::History(History {
                doc: doc.to_string(),
                id: view.id.to_string(),
                device: view.key.device.to_string(),
                incarnation: view.key.incarnation.to_string(),
                n: view.n,
                created_at: Some(view.time_ms).filter(|ms| *ms > 0).map(rfc3339),
                action: action.into(),
                target,
                standing: view.standing().into(),
            }));
        }
    }
    Ok(records)
}
