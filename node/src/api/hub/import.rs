//! Messages that were written elsewhere.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::{ChangeId, HubId};
use mosaic_engine::model::entry::{Claimed, Origin, Permissions};
use mosaic_engine::replica::{
    EngineError, IMPORT_POSTS_MAX, MessageDraft, MessageImport as Import, Replica,
};

use super::name;
use crate::api::answer::blocking;
use crate::api::attach::Added;
use crate::api::types::{ErrorKind, ErrorRecord, ImportMessage, Imported, MessageImport, Record};
use crate::api::wall::time;
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    blocking::<MessageImport, _>(router, import)
}

fn import(app: &App, request: MessageImport) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let count = request.messages.len();
    if count > IMPORT_POSTS_MAX {
        let message = format!("{count} messages to import, limit {IMPORT_POSTS_MAX}");
        return Err(ErrorRecord::new(ErrorKind::Usage, message));
    }
    let (hub, channel) = name::channel(&replica, &request.channel)?;
    // Whoever may not write there is told so, also where nothing would be written.
    replica
        .import_messages(&hub, &channel, Vec::new(), 0)
        .map_err(name::refused(hub, "mosaic hub send --help"))?;
    let attaches = may_attach(&replica, &hub, &channel)?;
    let now_ms = clock::now_ms();
    let mut done = Vec::with_capacity(count);
    let (mut files, mut new) = (Vec::new(), Vec::new());
    for message in request.messages {
        let mut record = Imported { origin: message.id.clone(), ..Imported::default() };
        let time_ms = time(message.created_at.as_deref())?.unwrap_or(now_ms).min(now_ms);
        if let Some(id) = replica.imported_message(&channel, &message.id)? {
            record.state = "known".to_owned();
            record.id = Some(id.to_string());
            done.push(record);
            continue;
        }
        record.state = "new".to_owned();
        if !request.dry_run {
            let wanted = if attaches { message.attachments.as_slice() } else { &[] };
            let (added, mut reasons) = Added::those_that_can_be(&replica, wanted)?;
            if wanted.len() < message.attachments.len() {
                reasons.push("you may not attach files in this channel".to_owned());
            }
            let import = of(message, &added, time_ms);
            match Replica::check_message(&import.draft) {
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
    let written = replica.import_messages(&hub, &channel, new, now_ms);
    let mut written = written.map_err(name::refused(hub, "mosaic hub send --help"))?.into_iter();
    drop(files);
    for record in done.iter_mut().filter(|record| record.state == "new") {
        if let Some(imported) = written.next() {
            record.id = Some(imported.id.to_string());
            record.state = if imported.added { "added" } else { "known" }.to_owned();
        }
    }
    Ok(done.into_iter().map(Record::Imported).collect())
}

fn may_attach(replica: &Replica, hub: &HubId, channel: &ChangeId) -> Result<bool, ErrorRecord> {
    let me = replica.account()?;
    let may = replica.hub(hub, |hub| hub.permissions(&me, Some(channel)))?;
    Ok(may.contains(Permissions::ATTACH))
}

fn of(message: ImportMessage, added: &Added<'_>, time_ms: u64) -> Import {
    let ImportMessage { mut text, author, source, id, link, after, .. } = message;
    let (link, attachments) = (link.unwrap_or_default(), added.attachments());
    if text.trim().is_empty() && attachments.is_empty() {
        // All it was is not here; whoever looks for it finds where it was.
        text.clone_from(if link.is_empty() { &id } else { &link });
    }
    let claimed = Some(Claimed { origin: Origin { source, id, link }, author });
    let draft = MessageDraft { text, attachments, claimed, ..MessageDraft::default() };
    Import { draft, after, time_ms }
}
