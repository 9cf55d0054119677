//! Watching what happens here.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::ChangeId;
use mosaic_engine::replica::{Event as Happened, JournalPart, Journaled, Replica, Text};
use serde::{Deserialize, Serialize};
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
        let next = match request.since {
            Some(since) => since,
            None => read(&replica, |replica| Ok(replica.journal(u64::MAX, 0)?.newest)).await?,
        };
        let mut watcher = Watcher { replica, request, sink, next, sent: 0 };
        loop {
            news.borrow_and_update();
            if watcher.catch_up().await? {
                return Ok(());
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return Ok(()) },
                () = watcher.sink.closed() => return Ok(()),
                () = app.stopping().cancelled() => break,
            }
        }
        // That it stops is an event too.
        if watcher.catch_up().await? {
            return Ok(());
        }
        let hint = format!("mosaic watch --since {}", watcher.next);
        Err(ErrorRecord::new(ErrorKind::NoNode, "the node has stopped").with_hint(hint))
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

/// An event as it is sent.
struct Line {
    event: Event,
    /// The entry whose text belongs to it.
    text_of: Option<ChangeId>,
}

impl Watcher {
    /// Sends what is new; `true` when nothing more is wanted.
    async fn catch_up(&mut self) -> Result<bool, ErrorRecord> {
        loop {
            let since = self.next;
            let part = read(&self.replica, move |replica| Ok(replica.journal(since, STEP)?));
            let part = part.await?;
            if let Some(gap) = gap(since, &part) {
                self.next = gap.seq;
                if self.sink.send(Record::Event(gap)).await.is_err() {
                    return Ok(true);
                }
                continue;
            }
            if part.events.is_empty() {
                return Ok(false);
            }
            for happened in part.events {
                self.next = happened.number;
                let Some(line) = describe(happened) else { continue };
                if self.wants(&line.event.event) && self.send(line).await? {
                    return Ok(true);
                }
            }
        }
    }

    fn wants(&self, event: &str) -> bool {
        self.request.types.is_empty() || self.request.types.iter().any(|wanted| wanted == event)
    }

    /// Sends an event; `true` if it was the last one.
    async fn send(&mut self, line: Line) -> Result<bool, ErrorRecord> {
        let Line { mut event, text_of } = line;
        if let Some(id) = text_of {
            let text = read(&self.replica, move |replica| Ok(text_of_entry(replica, &id)));
            if let Some(text) = text.await? {
                event.data.insert("text".to_owned(), Value::String(text));
            }
        }
        if self.sink.send(Record::Event(event)).await.is_err() {
            return Ok(true);
        }
        self.sent += 1;
        Ok(self.request.count.is_some_and(|count| self.sent >= count))
    }
}

/// Says what is not in the journal although it was asked for: what is older than it, or, in a
/// store that was put back, what is newer.
fn gap(since: u64, part: &JournalPart) -> Option<Event> {
    let (seq, first, last) = if part.oldest > since.saturating_add(1) {
        let last = part.oldest.saturating_sub(1);
        (last, since.saturating_add(1), last)
    } else if since > part.newest {
        (part.newest, part.newest.saturating_add(1), since)
    } else {
        return None;
    };
    let mut data = Map::new();
    data.insert("first".to_owned(), first.into());
    data.insert("last".to_owned(), last.into());
    let (time, event) = (rfc3339(clock::now_ms()), "gap".to_owned());
    Some(Event { seq, time, event, actor: None, doc: None, data })
}

/// The text that a post, a comment or an edit shows now.
fn text_of_entry(replica: &Replica, id: &ChangeId) -> Option<String> {
    let text = match replica.message(id) {
        Ok(view) => view.text,
        Err(_) => replica.show(id).ok()?.text,
    };
    match text {
        Text::Here(text) => Some(text),
        _ => None,
    }
}

async fn read<T: Send + 'static>(
    replica: &Arc<Replica>,
    work: impl FnOnce(&Replica) -> Result<T, ErrorRecord> + Send + 'static,
) -> Result<T, ErrorRecord> {
    let replica = replica.clone();
    let read = tokio::task::spawn_blocking(move || work(&replica)).await;
    read.map_err(|error| ErrorRecord::new(ErrorKind::Error, error.to_string()))?
}

/// Puts an event of the journal into words.
fn describe(happened: Journaled) -> Option<Line> {
    let Journaled { number: seq, time_ms, event } = happened;
    let time = rfc3339(if time_ms == 0 { clock::now_ms() } else { time_ms });
    let mut data = Map::new();
    match event {
        // What somebody had seen of a hub is nothing that happened.
        Happened::Entry { kind: 0x16, .. } => None,
        Happened::Entry { id, kind, account, doc, local, target } => {
            let event = event_name(kind, target.map(|(_, kind)| kind)).to_owned();
            data.insert("id".to_owned(), Value::String(id.to_string()));
            data.insert("local".to_owned(), Value::Bool(local));
            if let Some((target, _)) = target {
                data.insert("target".to_owned(), Value::String(target.to_string()));
            }
            let text_of = match kind {
                0x02 | 0x04 | 0x07 | 0x08 => Some(id),
                0x10 => target.map(|(target, _)| target),
                _ => None,
            };
            let (actor, doc) = (Some(account.to_string()), Some(doc.to_string()));
            Some(Line { event: Event { seq, time, event, actor, doc, data }, text_of })
        }
        Happened::Note { text } => {
            let Note { event, data } = serde_json::from_str(&text).ok()?;
            let event = Event { seq, time, event, actor: None, doc: None, data };
            Some(Line { event, text_of: None })
        }
        _ => None,
    }
}

/// What this program notes in the journal by itself.
#[derive(Serialize, Deserialize)]
struct Note {
    event: String,
    data: Map<String, Value>,
}

/// Puts an event of the node's own into the journal. One that cannot be written is logged: the
/// node goes on.
pub(crate) fn note(replica: &Replica, event: &str, data: &[(&str, String)]) {
    let data = data.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into()));
    let note = Note { event: event.to_owned(), data: data.collect() };
    let text = serde_json::to_string(&note).unwrap_or_default();
    if let Err(error) = replica.note(&text, clock::now_ms()) {
        tracing::warn!(%error, event, "an event was not noted");
    }
}

/// Every event there is.
const EVENTS: [&str; 48] = [
    "channel.changed",
    "comment.created",
    "comment.deleted",
    "comment.edited",
    "comment.hidden",
    "comment.shown",
    "device.cut",
    "device.linked",
    "device.recovered",
    "device.renamed",
    "device.restored",
    "device.revoked",
    "device.suspended",
    "direct.changed",
    "direct.created",
    "direct.removed",
    "entry.created",
    "gap",
    "guest.admitted",
    "guest.refused",
    "hub.changed",
    "keys.changed",
    "map.changed",
    "member.banned",
    "member.joined",
    "member.left",
    "member.removed",
    "message.created",
    "message.edited",
    "message.moderated",
    "message.removed",
    "node.ready",
    "node.stopping",
    "page.started",
    "policy.changed",
    "poll.closed",
    "poll.voted",
    "post.created",
    "post.deleted",
    "post.edited",
    "reaction.added",
    "reaction.removed",
    "recovery.declared",
    "recovery.rotated",
    "report.created",
    "report.dismissed",
    "role.changed",
    "text.changed",
];

/// Names of entry kinds, by what they are about.
const fn event_name(kind: u8, target: Option<u8>) -> &'static str {
    match (kind, target) {
        (0x00, _) => "map.changed",
        (0x01, _) => "page.started",
        (0x02 | 0x03, _) => "post.created",
        (0x04, _) => "comment.created",
        (0x05 | 0x0d, _) => "reaction.added",
        (0x07 | 0x08 | 0x0c, _) => "message.created",
        (0x09, _) => "text.changed",
        (0x0a, _) => "poll.voted",
        (0x0b, _) => "direct.created",
        (0x10, Some(0x04)) => "comment.edited",
        (0x10, Some(0x07 | 0x08)) | (0x18, _) => "message.edited",
        (0x10, _) => "post.edited",
        (0x11, Some(0x04)) => "comment.deleted",
        (0x11, Some(0x05 | 0x0d)) => "reaction.removed",
        (0x11, Some(0x07 | 0x08 | 0x0c)) => "message.removed",
        (0x11, Some(0x0b)) => "direct.removed",
        (0x11, _) => "post.deleted",
        (0x12, _) => "comment.hidden",
        (0x13, _) => "comment.shown",
        (0x14, _) => "device.cut",
        (0x15, _) => "poll.closed",
        (0x17, _) => "direct.changed",
        (0x20, _) => "device.linked",
        (0x21, _) => "device.renamed",
        (0x22, _) => "device.suspended",
        (0x23, _) => "device.restored",
        (0x24, _) => "device.revoked",
        (0x25, _) => "guest.admitted",
        (0x26, _) => "guest.refused",
        (0x27, _) => "policy.changed",
        (0x28 | 0x2c, _) => "keys.changed",
        (0x29, _) => "recovery.declared",
        (0x2a, _) => "device.recovered",
        (0x2b, _) => "recovery.rotated",
        (0x41..=0x44, _) => "role.changed",
        (0x45, _) => "member.removed",
        (0x46, _) => "member.banned",
        (0x4c, _) => "member.left",
        (0x4f, _) => "member.joined",
        (0x50..=0x52 | 0x5a, _) => "channel.changed",
        (0x54..=0x56, _) => "message.moderated",
        (0x58, _) => "report.created",
        (0x59, _) => "report.dismissed",
        (0x40..=0x57 | 0x5c, _) => "hub.changed",
        // Of a kind that a newer version of this program wrote.
        _ => "entry.created",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_named_and_documented() {
        let targets = [None, Some(0x04), Some(0x05), Some(0x07), Some(0x0b)];
        let named = (0..=u8::MAX).flat_map(|kind| targets.map(|target| event_name(kind, target)));
        let own = ["gap", "node.ready", "node.stopping"];
        let named = named.chain(own);
        let named: std::collections::BTreeSet<_> = named.collect();
        assert_eq!(named.into_iter().collect::<Vec<_>>(), EVENTS);
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md"));
        let text = text.unwrap();
        for event in EVENTS {
            assert!(text.contains(&format!("`{event}`")), "{event} is not in docs/api.md");
        }
    }
}
