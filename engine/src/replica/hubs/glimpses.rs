//! The newest messages of hubs of which the rest is still on its way: signed by who wrote them,
//! but nobody can tell yet whether their authors are members.

use std::collections::{BTreeMap, HashMap};
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;

use super::page::{ChannelCursor, MessageState, MessageView};
use crate::chain::{ChainKey, extend};
use crate::change::{Actor, log};
use crate::description::DocumentKind;
use crate::hash::{BlobHash, ChangeId, HubId};
use crate::limits::BODY_SALT_BYTES;
use crate::model::entry::{BodyRef, Entry};
use crate::replica::prove::Proof;
use crate::replica::{EngineError, Replica, Text};
use crate::sync::exchange::{Newest, Received};
use crate::view::fits;
use crate::wire::{Changes, Content, Excerpt, Part};

/// Hubs of which newest messages are kept in memory.
const HUBS_MAX: usize = 16;
/// Messages of each.
const MESSAGES_MAX: usize = 256;

/// Messages whose chains are not here, by hub.
#[derive(Debug, Default)]
pub(in crate::replica) struct Glimpses(BTreeMap<HubId, BTreeMap<ChangeId, MessageView>>);

impl Glimpses {
    fn note(&mut self, hub: HubId, views: Vec<MessageView>) {
        if !self.0.contains_key(&hub) && self.0.len() >= HUBS_MAX {
            self.0.pop_first();
        }
        let known = self.0.entry(hub).or_default();
        known.extend(views.into_iter().map(|view| (view.id, view)));
        while known.len() > MESSAGES_MAX {
            let oldest = known.values().min_by_key(|view| view.time_ms).map(|view| view.id);
            oldest.and_then(|oldest| known.remove(&oldest));
        }
    }
}

impl Replica {
    fn glimpses(&self) -> MutexGuard<'_, Glimpses> {
        self.glimpses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the newest of hubs that are kept here. Returns how many signatures were checked, and
    /// how much of it was false.
    pub(in crate::replica) fn take_newest(
        &self,
        newest: Newest,
    ) -> Result<(u64, u32), EngineError> {
        let before = self.verifier.checked();
        let (logs, ends): (Vec<Excerpt>, Vec<Excerpt>) = newest
            .excerpts
            .into_iter()
            .partition(|excerpt| excerpt.description.kind == DocumentKind::HubLog);
        let whole = logs.into_iter().filter(|excerpt| excerpt.previous.is_none());
        let logs: Vec<Received> = whole.map(|log| received(&log, vec![log.part.clone()])).collect();
        let mut faults = 0;
        if !logs.is_empty() {
            self.take_chains(logs, Vec::new())?;
        }
        let bodies = newest.bodies.into_iter().map(|body| (BlobHash::of(&body), body)).collect();
        let ends: Vec<(Excerpt, (usize, Received))> = ends
            .into_iter()
            .map(|end| {
                let bare = received(&end, Vec::new());
                (end, (0, bare))
            })
            .collect();
        let (ends, heads): (Vec<Excerpt>, Vec<(usize, Received)>) = ends.into_iter().unzip();
        for (end, proof) in ends.iter().zip(self.prove(&heads)?) {
            let Ok(proof) = proof else {
                faults += 1;
                continue;
            };
            match self.glimpses_in(end, &proof, &bodies)? {
                Some((hub, views)) => self.glimpses().note(hub, views),
                None => faults += 1,
            }
        }
        Ok((self.verifier.checked() - before, faults))
    }

    /// The messages of the end of a chain whose head is proven; `None` if it does not lead there,
    /// or is of no channel.
    fn glimpses_in(
        &self,
        end: &Excerpt,
        proof: &Proof,
        bodies: &HashMap<BlobHash, Bytes>,
    ) -> Result<Option<(HubId, Vec<MessageView>)>, EngineError> {
        let description = &proof.description;
        let place = description.space.hub().zip(description.channel_id());
        let (Some((hub, channel)), Some(entries)) = (place, entries_of(end, proof)) else {
            return Ok(None);
        };
        if self.is_blocked(&mut self.lock(), &description.account)? {
            return Ok(Some((hub, Vec::new())));
        }
        let text = |body: &BodyRef| match bodies.get(&body.hash) {
            Some(bytes) => {
                let text = bytes.get(BODY_SALT_BYTES..).unwrap_or_default();
                Text::Here(String::from_utf8_lossy(text).into_owned())
            }
            None => Text::Missing,
        };
        let mut views: BTreeMap<ChangeId, MessageView> = BTreeMap::new();
        for Read { id, time_ms, entry } in entries {
            match &entry {
                Entry::Message(_) | Entry::Poll(_) => {
                    let author = (description.account, proof.key.device, proof.key.doc);
                    let view = MessageView::bare((hub, channel), author, id, time_ms, &entry, text);
                    views.extend(view.map(|view| (id, view)));
                }
                Entry::Edit { target, body } => {
                    if let Some(view) = views.get_mut(target) {
                        (view.text, view.edited_ms) = (text(body), Some(time_ms));
                    }
                }
                Entry::Tombstone { target } => drop(views.remove(target)),
                _ => {}
            }
        }
        let unproven = |view| MessageView { state: MessageState::Unproven, ..view };
        Ok(Some((hub, views.into_values().map(unproven).collect())))
    }

    /// Adds to a list of a channel what is known of its newest messages before they are here.
    pub(super) fn add_glimpses(
        &self,
        hub: &HubId,
        channel: &ChangeId,
        cursor: Option<ChannelCursor>,
        limit: usize,
        views: &mut Vec<MessageView>,
    ) -> Result<(), EngineError> {
        let mut some = self.glimpsed(hub)?;
        some.retain(|view| {
            view.channel == *channel
                && cursor.is_none_or(|cursor| view.order() > cursor.order(channel))
        });
        if !some.is_empty() {
            views.append(&mut some);
            views.sort_by_key(MessageView::order);
            views.truncate(limit);
        }
        Ok(())
    }

    /// What is known of the newest messages of a hub and is not here yet.
    pub(crate) fn glimpsed(&self, hub: &HubId) -> Result<Vec<MessageView>, EngineError> {
        let mut glimpses = self.glimpses();
        let Some(known) = glimpses.0.get_mut(hub) else { return Ok(Vec::new()) };
        let mut here = Vec::new();
        for id in known.keys() {
            if self.entry_row(id)?.is_some() {
                here.push(*id);
            }
        }
        for id in here {
            known.remove(&id);
        }
        Ok(known.values().cloned().collect())
    }
}

impl Replica {
    /// A message that is known before it is here.
    pub(super) fn glimpse(&self, id: &ChangeId) -> Option<MessageView> {
        self.glimpses().0.values().find_map(|views| views.get(id)).cloned()
    }
}

fn received(excerpt: &Excerpt, parts: Vec<Part>) -> Received {
    Received {
        path: excerpt.path.clone(),
        description: Some(excerpt.description.clone()),
        head: excerpt.head,
        fork: false,
        parts,
    }
}

/// An entry as it was read.
struct Read {
    id: ChangeId,
    time_ms: u64,
    entry: Entry,
}

/// The entries of the end of a chain; `None` if it does not lead to the proven head.
fn entries_of(end: &Excerpt, proof: &Proof) -> Option<Vec<Read>> {
    let Content::Changes(Changes::Log(items)) = &end.part.content else { return None };
    let key: &ChainKey = &proof.key;
    let origin = key.origin(&proof.description.space.id());
    let (actor, tag) = (Actor::of(key), log::tag(&origin));
    let (mut link, mut last) =
        end.previous.map_or((origin, None), |(link, hash)| (link, Some(hash)));
    let mut entries = Vec::with_capacity(items.len());
    for (n, item) in (end.part.first_n..).zip(items) {
        let built = log::build(actor, n, last, tag, item.time_ms, &item.value).ok()?;
        let entry = Entry::decode(&item.value).ok()?;
        if !fits(proof.description.kind, &entry) {
            return None;
        }
        link = extend(&link, n, &built.id);
        last = Some(built.hash);
        entries.push(Read { id: built.id, time_ms: item.time_ms, entry });
    }
    (end.part.last_n() == proof.head.n && link == proof.head.link).then_some(entries)
}
