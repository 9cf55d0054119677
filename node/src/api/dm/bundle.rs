//! Conversations in files that are carried by hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use mosaic_engine::hash::ConversationId;
use mosaic_engine::replica::{
    BUNDLE_BYTES_MAX, BundleFile, BundleReceipt, DamagedPart, EngineError, Replica,
};
use mosaic_engine::wire::Reason;

use super::conversation;
use crate::api::answer::{blocking, raw};
use crate::api::types::{
    BundleImported, DmExport, DmImport, ErrorKind, ErrorRecord, Notice, Record,
};
use crate::app::App;
use crate::clock;
use crate::home::read_bounded;

/// Damaged parts of a file that are named one by one.
const DAMAGED_NAMED_MAX: usize = 4;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<DmImport, _>(router, import);
    raw::<DmExport, _, _>(router, |app, request| async move {
        let made = tokio::task::spawn_blocking(move || export(&app, &request)).await;
        made.map_err(|error| ErrorRecord::new(ErrorKind::Error, error.to_string()))?
    })
}

fn export(app: &App, request: &DmExport) -> Result<Response, ErrorRecord> {
    let replica = app.replica()?;
    if request.who.is_empty() && !request.all {
        let message = "no conversation was named: a bundle also tells with whom you talk";
        return Err(ErrorRecord::new(ErrorKind::Usage, message)
            .with_hint("mosaic dm bundle export FILE --all"));
    }
    let ids = request.who.iter().map(|who| Ok(conversation(&replica, who)?.id));
    let ids = ids.collect::<Result<Vec<ConversationId>, ErrorRecord>>()?;
    let bytes = replica.bundle_conversations(&ids)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

fn import(app: &App, request: DmImport) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let bytes = read_bounded(Path::new(&request.path), BUNDLE_BYTES_MAX)?;
    let path = request.path.escape_debug();
    let file = BundleFile::read(&bytes.into()).map_err(|error| {
        let (kind, message) = match error {
            EngineError::Invalid(why) => {
                (ErrorKind::Usage, format!("'{path}' is not a bundle: {why}"))
            }
            EngineError::Corrupt(why) => {
                let nothing = "is damaged, and nothing of it was taken in";
                (ErrorKind::Corrupt, format!("'{path}' {nothing}: {why}"))
            }
            error => return error.into(),
        };
        ErrorRecord::new(kind, message).with_hint("mosaic dm bundle export FILE WHO")
    })?;
    let parts = file.parts();
    let taken = replica.take_bundle(file, clock::now_ms())?;
    replica.mend_conversations(clock::now_ms())?;
    app.kept_changed();
    let mut records = vec![Record::BundleImported(BundleImported {
        conversations: taken.conversations,
        refused: taken.refused,
        changes: taken.changes,
        texts: taken.bodies,
        left: taken.left,
        damaged: taken.damaged.len() as u64,
    })];
    if let Some(message) = refused_of(&taken) {
        records.push(Record::Notice(Notice { message }));
    }
    if let Some(message) = left_of(&taken) {
        records.push(Record::Notice(Notice { message }));
    }
    if !taken.damaged.is_empty() {
        let message = format!(
            "{} of {parts} parts of '{path}' {} damaged and left out: {}; ask for the file again",
            taken.damaged.len(),
            if taken.damaged.len() == 1 { "is" } else { "are" },
            named(&replica, &taken.damaged)
        );
        let error = ErrorRecord::new(ErrorKind::Partial, message);
        records.push(Record::Error(error.with_hint("mosaic dm bundle import FILE")));
    }
    Ok(records)
}

/// Says why conversations of a file are not kept, if some are not.
fn refused_of(taken: &BundleReceipt) -> Option<String> {
    let others = taken.refused.saturating_sub(taken.full).saturating_sub(taken.blocked);
    let why = [
        (taken.full, "have no room now: answer some requests, then import it again"),
        (taken.blocked, "are by somebody you block"),
        (others, "are for others"),
    ];
    let why: Vec<String> = why
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
    (!why.is_empty()).then(|| format!("Not taken of its conversations: {}.", why.join(", ")))
}

/// Says why chains of a file were left, if some were.
fn left_of(taken: &BundleReceipt) -> Option<String> {
    let why = taken.left_by.iter().map(|(reason, count)| {
        let why = match reason {
            Reason::NotKept => "of what you do not keep",
            Reason::Void => "written after its author or device was taken out",
            Reason::Quota | Reason::Limit => {
                "for which there is no room now, or by somebody you block"
            }
            Reason::Authority => "by devices or members that are not known here yet",
            Reason::Gap => "before which something is missing",
            Reason::Forbidden => "by who may not write there",
            _ => "that do not verify",
        };
        (why, *count)
    });
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (why, count) in why {
        *counts.entry(why).or_default() += count;
    }
    let told: Vec<String> = counts.iter().map(|(why, count)| format!("{count} {why}")).collect();
    (!told.is_empty()).then(|| format!("Chains left: {}.", told.join(", ")))
}

/// Says what the first parts of a file were that are damaged.
fn named(replica: &Replica, damaged: &[DamagedPart]) -> String {
    let some = damaged.iter().take(DAMAGED_NAMED_MAX);
    let mut words: Vec<String> = some.map(|one| part(replica, one)).collect();
    if damaged.len() > DAMAGED_NAMED_MAX {
        words.push(format!("{} more", damaged.len() - DAMAGED_NAMED_MAX));
    }
    words.join(", ")
}

fn part(replica: &Replica, part: &DamagedPart) -> String {
    let with = |id: ConversationId| {
        let views = replica.conversations().unwrap_or_default();
        let view = views.into_iter().find(|view| view.id == id && view.founder.is_none());
        view.and_then(|view| view.others.first().copied())
    };
    let what = if part.text { "a text" } else { "changes" };
    let of = match part.of {
        Some(id) => match with(id) {
            Some(account) => format!("of the conversation with {}", account.short()),
            None => format!("of conversation {}", id.short()),
        },
        None if part.text => "of nothing that is here".to_owned(),
        None => "of an account's log".to_owned(),
    };
    format!("{what} {of} (byte {})", part.at)
}
