//! Watching what happens here.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::replica::{Event as Happened, Replica};
use serde_json::{Map, Value};

use super::answer::{Answer, Outcome, Sink, route};
use super::types::{ErrorKind, ErrorRecord, Event, EventWatch, Record, rfc3339};
use crate::app::App;
use crate::clock;

/// Events read from the journal at once.
const STEP: usize = 256;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    route(router, watch)
}

async fn watch(app: Arc<App>, request: EventWatch) -> Outcome {
    let replica = app.replica()?;
    if let Some(unknown) = request.types.iter().find(|wanted| !EVENTS.contains(&wanted.as_str())) {
        let message = format!("'{unknown}' is no event; there are {}", EVENTS.join(", "));
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic help watch"));
    }
    Ok(Answer::running(move |sink| async move {
        let mut news = app.news();
        let from = match request.since {
            Some(since) => since,
            None => read(&replica, 0, |replica, _| Ok(replica.journal_end()?)).await?,
        };
        let mut watcher = Watcher { replica, request, sink, next: from, sent: 0 };
        loop {
            news.borrow_and_update();
            if watcher.catch_up().await? {
                return Ok(());
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return Ok(()) },
                () = watcher.sink.closed() => return Ok(()),
                () = app.stopping().cancelled() => return Ok(()),
            }
        }
    }))
}

struct Watcher {
    replica: Arc<Replica>,
    request: EventWatch,
    sink: Sink,
    /// Number of the last event seen.
    next: u64,
    sent: u64,
}

impl Watcher {
    /// Sends what is new; `true` when nothing more is wanted.
    async fn catch_up(&mut self) -> Result<bool, ErrorRecord> {
        loop {
            let since = self.next;
            let (events, oldest) =
                read(&self.replica, since, |replica, since| Ok(replica.journal(since, STEP)?))
                    .await?;
            if events.is_empty() {
                return Ok(false);
            }
            if oldest > since.saturating_add(1) {
                self.send(oldest.saturating_sub(1), "gap", None, None, Map::new()).await;
            }
            for (number, event) in events {
                self.next = number;
                let Some((name, actor, doc, data)) = describe(&event) else { continue };
                let wanted = self.request.types.is_empty()
                    || self.request.types.iter().any(|wanted| wanted == name);
                if !wanted {
                    continue;
                }
                if !self.send(number, name, actor, doc, data).await {
                    return Ok(true);
                }
                self.sent += 1;
                if self.request.count.is_some_and(|count| self.sent >= count) {
                    return Ok(true);
                }
            }
        }
    }

    async fn send(
        &self,
        seq: u64,
        event: &str,
        actor: Option<String>,
        doc: Option<String>,
        data: Map<String, Value>,
    ) -> bool {
        let time = rfc3339(clock::now_ms());
        let record = Event { seq, time, event: event.to_owned(), actor, doc, data };
        self.sink.send(Record::Event(record)).await.is_ok()
    }
}

async fn read<T: Send + 'static>(
    replica: &Arc<Replica>,
    since: u64,
    work: impl FnOnce(&Replica, u64) -> Result<T, ErrorRecord> + Send + 'static,
) -> Result<T, ErrorRecord> {
    let replica = replica.clone();
    let read = tokio::task::spawn_blocking(move || work(&replica, since)).await;
    read.map_err(|error| ErrorRecord::new(ErrorKind::Error, error.to_string()))?
}

type Described = (&'static str, Option<String>, Option<String>, Map<String, Value>);

fn describe(event: &Happened) -> Option<Described> {
    match event {
        Happened::Entry { id, kind, account, doc, local } => {
            let mut data = Map::new();
            data.insert("id".to_owned(), Value::String(id.to_string()));
            data.insert("local".to_owned(), Value::Bool(*local));
            let (actor, doc) = (Some(account.to_string()), Some(doc.to_string()));
            Some((event_name(*kind)?, actor, doc, data))
        }
        Happened::Head { chain } => {
            let mut data = Map::new();
            data.insert("device".to_owned(), Value::String(chain.device.to_string()));
            Some(("head.known", None, Some(chain.doc.to_string()), data))
        }
        _ => None,
    }
}

/// Every event there is.
const EVENTS: [&str; 18] = [
    "comment.created",
    "comment.hidden",
    "comment.shown",
    "device.linked",
    "device.renamed",
    "device.restored",
    "device.revoked",
    "device.suspended",
    "gap",
    "guest.admitted",
    "guest.refused",
    "head.known",
    "map.changed",
    "policy.changed",
    "post.created",
    "post.deleted",
    "post.edited",
    "reaction.added",
];

/// Names of entry kinds; page starts, cuts and keys happen for the engine's own sake.
const fn event_name(kind: u8) -> Option<&'static str> {
    match kind {
        0x00 => Some("map.changed"),
        0x02 | 0x03 => Some("post.created"),
        0x04 => Some("comment.created"),
        0x05 => Some("reaction.added"),
        0x10 => Some("post.edited"),
        0x11 => Some("post.deleted"),
        0x12 => Some("comment.hidden"),
        0x13 => Some("comment.shown"),
        0x20 => Some("device.linked"),
        0x21 => Some("device.renamed"),
        0x22 => Some("device.suspended"),
        0x23 => Some("device.restored"),
        0x24 => Some("device.revoked"),
        0x25 => Some("guest.admitted"),
        0x26 => Some("guest.refused"),
        0x27 => Some("policy.changed"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_named_and_documented() {
        let named = (0..=u8::MAX).filter_map(event_name).chain(["gap", "head.known"]);
        let named: std::collections::BTreeSet<_> = named.collect();
        assert_eq!(named.into_iter().collect::<Vec<_>>(), EVENTS);
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md"));
        let text = text.unwrap();
        for event in EVENTS {
            assert!(text.contains(&format!("`{event}`")), "{event} is not in docs/api.md");
        }
    }
}
