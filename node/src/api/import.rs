//! Posts that were written elsewhere.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::ChangeId;
use mosaic_engine::model::entry::Origin;
use mosaic_engine::replica::{Draft, EngineError, IMPORT_POSTS_MAX, Import, Replica};

use super::answer::blocking;
use super::attach::Added;
use super::types::{ErrorKind, ErrorRecord, ImportPost, Imported, PostImport, Record};
use super::wall::time;
use crate::app::App;
use crate::clock;

/// How posts of Mosaic are called in feeds.
const OWN_SCHEME: &str = "urn:mosaic:";

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    blocking::<PostImport, _>(router, import)
}

fn import(app: &App, request: PostImport) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    if request.posts.len() > IMPORT_POSTS_MAX {
        let message = format!("{} posts to import, limit {IMPORT_POSTS_MAX}", request.posts.len());
        return Err(ErrorRecord::new(ErrorKind::Usage, message));
    }
    let now_ms = clock::now_ms();
    let mut done = Vec::with_capacity(request.posts.len());
    let (mut files, mut new) = (Vec::new(), Vec::new());
    for post in request.posts {
        let record = |state: &str, id: Option<ChangeId>| Imported {
            origin: post.id.clone(),
            state: state.to_owned(),
            id: id.map(|id| id.to_string()),
            reasons: None,
        };
        let time_ms = time(post.created_at.as_deref())?.unwrap_or(now_ms).min(now_ms);
        if let Some(id) = known(&replica, &post.id)? {
            done.push(record("known", Some(id)));
            continue;
        }
        let mut record = record("new", None);
        if !request.dry_run {
            let (added, mut reasons) = Added::those_that_can_be(&replica, &post.attachments)?;
            let import = of(post, &added, time_ms);
            match Replica::check_import(&import) {
                Ok(()) => {
                    new.push(import);
                    files.push(added);
                }
                Err(error @ (EngineError::Invalid(_) | EngineError::TextTooLong { .. })) => {
                    reasons.push(error.to_string());
                    record.state = "refused".to_owned();
                }
                Err(error) => return Err(error.into()),
            }
            record.reasons = Some(reasons).filter(|reasons| !reasons.is_empty());
        }
        done.push(record);
    }
    let mut written = replica.import(new, now_ms)?.into_iter();
    drop(files);
    for record in done.iter_mut().filter(|record| record.state == "new") {
        if let Some(imported) = written.next() {
            record.id = Some(imported.id.to_string());
            record.state = if imported.added { "added" } else { "known" }.to_owned();
        }
    }
    Ok(done.into_iter().map(Record::Imported).collect())
}

fn of(post: ImportPost, added: &Added<'_>, time_ms: u64) -> Import {
    let (mut text, link, attachments) =
        (post.text, post.link.unwrap_or_default(), added.attachments());
    if text.trim().is_empty() && attachments.is_empty() {
        // All it was is not here; whoever looks for it finds where it was.
        text.clone_from(if link.is_empty() { &post.id } else { &link });
    }
    Import {
        draft: Draft { text, attachments },
        origin: Origin { source: post.source, id: post.id, link },
        after: post.after,
        time_ms,
    }
}

/// Returns what is here already: imported before, or written here and only coming back.
fn known(replica: &Replica, id: &str) -> Result<Option<ChangeId>, ErrorRecord> {
    if let Some(own) = id.strip_prefix(OWN_SCHEME).and_then(ChangeId::parse_hex)
        && let Ok(view) = replica.show(&own)
        && view.account == replica.account()?
    {
        return Ok(Some(own));
    }
    Ok(replica.imported(id)?)
}
