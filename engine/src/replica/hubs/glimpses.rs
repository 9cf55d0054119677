//! The newest messages of hubs of which the rest is still on its way: signed by who wrote them,
//! but nobody can tell yet whether their authors are members.

use std::collections::{BTreeMap, HashMap};
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;

use super::newest::{EXCERPT_CHANGES_MAX, TEXT_BYTES_MAX};
use super::page::{ChannelCursor, MessageState, MessageView};
use crate::chain::{ChainKey, extend};
use crate::change::{Actor, log};
use crate::description::{Description, DocumentKind, Section, SectionClass, Space};
use crate::hash::{BlobHash, ChangeId, HubId};
use crate::limits::BODY_SALT_BYTES;
use crate::model::entry::{BodyRef, Entry, EntryRef};
use crate::replica::prove::{Proof, Proven};
use crate::replica::receive::{Source, Stop};
use crate::replica::{EngineError, Replica, Text};
use crate::sync::exchange::{ExchangeResult, Newest, Received};
use crate::view::fits;
use crate::wire::{Changes, Content, EXCERPTS_MAX, Excerpt, HeadBytes, Part};

/// Hubs of which newest messages are kept in memory.
const HUBS_MAX: usize = 16;
/// Messages of each.
const MESSAGES_MAX: usize = 256;
/// Of them, those of one account.
const ACCOUNT_MESSAGES_MAX: usize = 16;
/// Heads of each hub that are kept: as many as one message brings ends.
const HEADS_MAX: usize = EXCERPTS_MAX;
/// How much later than now a message may say that it was written.
const AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// What is known of the newest of hubs before their chains are here.
#[derive(Debug, Default)]
pub(in crate::replica) struct Glimpses(BTreeMap<HubId, Glimpsed>);

/// What is known of the newest of one hub.
#[derive(Debug, Default)]
struct Glimpsed {
    views: BTreeMap<ChangeId, MessageView>,
    /// Heads of the ends in which they stand: they are not checked again when the chains come.
    heads: BTreeMap<ChainKey, Proven>,
}

impl Glimpses {
    fn note(&mut self, hub: HubId, key: ChainKey, head: Proven, views: Vec<MessageView>) {
        if !self.0.contains_key(&hub) && self.0.len() >= HUBS_MAX {
            self.0.pop_first();
        }
        let known = self.0.entry(hub).or_default();
        if known.heads.len() < HEADS_MAX || known.heads.contains_key(&key) {
            known.heads.insert(key, head);
        }
        for view in views {
            let account = view.account;
            known.views.insert(view.id, view);
            drop_oldest(&mut known.views, ACCOUNT_MESSAGES_MAX, |view| view.account == account);
            drop_oldest(&mut known.views, MESSAGES_MAX, |_| true);
        }
    }
}

/// Drops the oldest of some messages if they are more than `most`.
fn drop_oldest(
    known: &mut BTreeMap<ChangeId, MessageView>,
    most: usize,
    of: impl Fn(&MessageView) -> bool,
) {
    let some = || known.values().filter(|view| of(view));
    if some().count() > most {
        let oldest = some().min_by_key(|view| (view.time_ms, view.id)).map(|view| view.id);
        oldest.and_then(|oldest| known.remove(&oldest));
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
            let receipt = self.take_chains(Source::Anybody, logs, Vec::new())?;
            let false_ones = receipt.chains.iter().filter(|chain| chain.verdict.is_fault());
            faults += u32::try_from(false_ones.count()).unwrap_or(u32::MAX);
        }
        let mut bodies = newest.bodies;
        bodies.retain(|body| body.len() as u64 <= TEXT_BYTES_MAX);
        let bodies = bodies.into_iter().map(|body| (BlobHash::of(&body), body)).collect();
        let ends: Vec<(Excerpt, (usize, Received))> = ends
            .into_iter()
            .map(|end| {
                let bare = received(&end, Vec::new());
                (end, (0, bare))
            })
            .collect();
        let (ends, heads): (Vec<Excerpt>, Vec<(usize, Received)>) = ends.into_iter().unzip();
        for (end, proof) in ends.iter().zip(self.prove(Source::Anybody, &heads)?) {
            let proof = match proof {
                Ok(proof) => proof,
                Err(Stop::Engine(error)) => return Err(error),
                Err(Stop::Verdict(verdict)) => {
                    faults += u32::from(verdict.is_fault());
                    continue;
                }
            };
            match self.glimpses_in(end, &proof, &bodies)? {
                Some((hub, views)) => self.glimpses().note(hub, proof.key, proof.head, views),
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
        let latest_ms = self.lock().now_ms.saturating_add(AHEAD_MS_MAX);
        let text = |body: &BodyRef| match bodies.get(&body.hash) {
            Some(bytes) if bytes.len() as u64 == body.size => {
                let text = bytes.get(BODY_SALT_BYTES..).unwrap_or_default();
                Text::Here(String::from_utf8_lossy(text).into_owned())
            }
            _ => Text::Missing,
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
                    // Of an edit that does not count the text does not come.
                    if let (Some(view), text @ Text::Here(_)) = (views.get_mut(target), text(body))
                    {
                        (view.text, view.edited_ms) = (text, Some(time_ms));
                    }
                }
                Entry::Tombstone { target } => drop(views.remove(target)),
                _ => {}
            }
        }
        let unproven = |view| MessageView { state: MessageState::Unproven, ..view };
        views.retain(|_, view| view.time_ms <= latest_ms && view.text != Text::Missing);
        Ok(Some((hub, views.into_values().map(unproven).collect())))
    }

    /// What is known of the newest messages of a channel and is not here yet, after a place.
    pub(super) fn glimpses_of(
        &self,
        hub: &HubId,
        channel: &ChangeId,
        cursor: Option<ChannelCursor>,
    ) -> Result<Vec<MessageView>, EngineError> {
        self.glimpses_where(hub, |view| {
            view.channel == *channel
                && cursor.is_none_or(|cursor| view.order() > cursor.order(channel))
        })
    }

    /// What is known of the newest messages of a hub and is not here yet.
    #[cfg(test)]
    pub(crate) fn glimpsed(&self, hub: &HubId) -> Result<Vec<MessageView>, EngineError> {
        self.glimpses_where(hub, |_| true)
    }

    /// How many heads of ends of chains of a hub are remembered.
    #[cfg(test)]
    pub(crate) fn glimpsed_heads(&self, hub: &HubId) -> usize {
        self.glimpses().0.get(hub).map_or(0, |known| known.heads.len())
    }

    /// A message that is known before it is here.
    pub(super) fn glimpse(&self, id: &ChangeId) -> Result<Option<MessageView>, EngineError> {
        let hub = self
            .glimpses()
            .0
            .iter()
            .find_map(|(hub, of)| of.views.contains_key(id).then_some(*hub));
        let Some(hub) = hub else { return Ok(None) };
        Ok(self.glimpses_where(&hub, |view| view.id == *id)?.pop())
    }

    /// Some of the newest messages of a hub, without those that are here and those that are known
    /// to be none.
    fn glimpses_where(
        &self,
        hub: &HubId,
        wanted: impl Fn(&MessageView) -> bool,
    ) -> Result<Vec<MessageView>, EngineError> {
        let views: Vec<MessageView> = match self.glimpses().0.get(hub) {
            Some(known) => known.views.values().filter(|view| wanted(view)).cloned().collect(),
            None => return Ok(Vec::new()),
        };
        if views.is_empty() {
            return Ok(views);
        }
        let mut state = self.lock();
        let known = self.hub_of(&mut state, hub)?;
        let mut out = Vec::with_capacity(views.len());
        for view in views {
            let named = EntryRef { account: view.account, entry: view.id };
            let is_none = known.as_ref().is_some_and(|known| {
                known.is_banned(&view.account) || known.moderation(&named).is_some()
            });
            if is_none || self.is_blocked(&mut state, &view.account)? {
                continue;
            }
            if self.entry_row(&view.id)?.is_none() {
                out.push(view);
            }
        }
        Ok(out)
    }

    /// A head that was verified when the end of its chain was shown, if it is exactly this one. The
    /// description has to be the chain's.
    pub(in crate::replica) fn glimpsed_head(
        &self,
        description: &Description,
        key: &ChainKey,
        head: &HeadBytes,
    ) -> Option<Proven> {
        let hub = description.space.hub()?;
        let glimpses = self.glimpses();
        let known = glimpses.0.get(&hub)?.heads.get(key)?;
        (known.bytes == *head).then(|| known.clone())
    }

    /// Lets go of the newest messages of a hub.
    pub(super) fn drop_glimpses(&self, hub: &HubId) {
        self.glimpses().0.remove(hub);
    }

    /// Lets go of the newest messages of hubs of which all that is known is here: what was not
    /// among it is nobody's.
    pub(in crate::replica) fn drop_settled_glimpses(&self) -> ExchangeResult<()> {
        let hubs: Vec<HubId> = self.glimpses().0.keys().copied().collect();
        for hub in hubs {
            if self.hub_of(&mut self.lock(), &hub)?.is_none() {
                continue;
            }
            let space = Space::Hub(hub).id();
            let section = |class| Section { space, class };
            let missing = self.section_missing(&section(SectionClass::Authority))?
                + self.section_missing(&section(SectionClass::Public))?;
            if missing == 0 {
                self.drop_glimpses(&hub);
            }
        }
        Ok(())
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
    if items.len() > EXCERPT_CHANGES_MAX {
        return None;
    }
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
