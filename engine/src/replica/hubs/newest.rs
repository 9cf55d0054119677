//! What a newcomer is given of a hub before all the rest: its owners' logs, and the newest
//! messages, each as the end of its chain.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::chain::ChainKey;
use crate::change::log::LogFields;
use crate::description::DocumentKind;
use crate::hash::{ChangeHash, ChangeId, DeviceId, HubId, Link};
use crate::limits::{BODY_SALT_BYTES, MESSAGE_BYTES_MAX};
use crate::model::entry::Entry;
use crate::replica::exchange::order;
use crate::replica::{EngineError, MessageState, MessageView, Replica, Text};
use crate::sync::exchange::{Exchange, ExchangeResult, KnownTip, Newest, Section};
use crate::wire::{Changes, Content, EXCERPTS_MAX, Excerpt};

/// Messages of the channel that was written in last: as many as a screen shows.
const FIRST_CHANNEL: usize = 50;
/// Messages of each other one.
const OTHER_CHANNELS: usize = 10;
/// Bytes of all ends of chains, with their texts.
const BYTES_MAX: usize = 64 * 1024;
/// Bytes of all logs of owners.
const LOGS_BYTES_MAX: usize = 32 * 1024;
/// Bytes of one end of a chain: who reacted a thousand times since is waited for.
const EXCERPT_BYTES_MAX: usize = 16 * 1024;
/// Changes of one.
pub(super) const EXCERPT_CHANGES_MAX: usize = 256;
/// Bytes of a text, salt included.
pub(super) const TEXT_BYTES_MAX: u64 = 4 * 1024 + BODY_SALT_BYTES as u64;
/// Bytes of one message.
const MESSAGE_ROOM: usize = MESSAGE_BYTES_MAX - 64;

impl Replica {
    /// The newest of a hub, if this is a section of one.
    pub(in crate::replica) fn newest_of(
        &self,
        remote: &DeviceId,
        section: &Section,
    ) -> ExchangeResult<Vec<Newest>> {
        let mut state = self.lock();
        let space = self.space_of(&mut state, &section.space)?;
        let Some(hub) = space.and_then(|space| space.hub()) else { return Ok(Vec::new()) };
        let Some(known) = self.hub_of(&mut state, &hub)? else { return Ok(Vec::new()) };
        let channels = known.channels();
        let channels = channels.iter().filter(|view| !view.archived).map(|view| view.id).collect();
        let owners = known.owners();
        drop(known);
        let mut tips = Vec::new();
        for (doc, description) in self.documents(&mut state, &section.space)? {
            if description.kind == DocumentKind::HubLog && owners.contains(&description.account) {
                tips.extend(self.document_tips(&mut state, &doc, order(&description))?);
            }
        }
        drop(state);
        let mut logs = Vec::new();
        for tip in tips {
            logs.extend(self.end_of(&tip, 1, LOGS_BYTES_MAX)?);
        }
        logs.sort_by_cached_key(Excerpt::encoded_len);
        let mut giving = Giving { left: LOGS_BYTES_MAX, room: 0, messages: Vec::new() };
        for log in logs {
            giving.add(log, Vec::new());
        }
        giving.left = BYTES_MAX;
        let shown = self.newest_messages(&hub, channels)?;
        let texts: BTreeMap<ChangeId, &str> = shown
            .iter()
            .filter_map(|view| match &view.text {
                Text::Here(text) => Some((view.id, text.as_str())),
                _ => None,
            })
            .collect();
        for (chain, n) in self.newest_ends(&shown)? {
            let tips = self.chain_tips(&chain)?;
            let Some((_, tip)) = tips.first().filter(|_| tips.len() == 1) else { continue };
            if let Some(end) = self.end_of(tip, n, EXCERPT_BYTES_MAX)? {
                if end.part.content.len() > EXCERPT_CHANGES_MAX {
                    continue;
                }
                giving.add(end, self.texts_of_end(remote, tip, n, &texts)?);
            }
        }
        Ok(giving.messages)
    }

    /// The chains that the newest messages stand in, each with the first of these, newest first.
    fn newest_ends(&self, shown: &[MessageView]) -> ExchangeResult<Vec<(ChainKey, u64)>> {
        let mut ends: Vec<(ChainKey, u64)> = Vec::new();
        for view in shown {
            let Some(row) = self.entry_row(&view.id)? else { continue };
            match ends.iter_mut().find(|(chain, _)| *chain == row.chain()) {
                Some((_, first)) => *first = row.n.min(*first),
                None => ends.push((row.chain(), row.n)),
            }
        }
        Ok(ends)
    }

    /// The newest messages that are shown, channel by channel, first that which was written in
    /// last.
    fn newest_messages(
        &self,
        hub: &HubId,
        channels: Vec<ChangeId>,
    ) -> ExchangeResult<Vec<MessageView>> {
        let mut written = Vec::new();
        for channel in channels {
            let newest = self.next_messages(&channel, &mut None, 1)?;
            written.extend(newest.first().map(|(time_ms, ..)| (*time_ms, channel)));
        }
        written.sort_unstable_by(|a, b| b.cmp(a));
        let (mut views, mut limit) = (Vec::new(), FIRST_CHANNEL);
        for (_, channel) in written {
            views.extend(self.stored_channel(hub, &channel, None, limit, false)?);
            limit = OTHER_CHANNELS;
            if views.len() >= EXCERPTS_MAX {
                break;
            }
        }
        views.retain(|view| view.state == MessageState::Shown && !view.deleted);
        Ok(views)
    }

    /// The end of a chain from a change on; `None` if it is not all here, or too long.
    fn end_of(
        &self,
        tip: &KnownTip,
        first_n: u64,
        bytes_max: usize,
    ) -> ExchangeResult<Option<Excerpt>> {
        if tip.held_n < tip.n {
            return Ok(None);
        }
        let part = self.tip_part(tip, first_n, bytes_max)?;
        let whole = |content: &Content| matches!(content, Content::Changes(Changes::Log(_)));
        let Some(part) = part.filter(|part| part.last_n() == tip.n && whole(&part.content)) else {
            return Ok(None);
        };
        let Some(known) = self.introduce(tip)? else { return Ok(None) };
        let previous = match first_n {
            1 => None,
            _ => Some(self.before(tip, first_n - 1)?),
        };
        let (path, description, head) = (known.path, known.description, known.head);
        Ok(Some(Excerpt { path, description, head, previous, part }))
    }

    /// Link and Automerge's name of a change that is here.
    fn before(&self, tip: &KnownTip, n: u64) -> ExchangeResult<(Link, ChangeHash)> {
        let corrupt = || EngineError::Corrupt(format!("change {n} of a chain is missing"));
        let description =
            self.description(&mut self.lock(), &tip.chain.doc)?.ok_or_else(corrupt)?;
        let link = self.link_at(&description, &tip.chain, n)?;
        let id = self.change_ids(&tip.chain, n, n)?.pop().ok_or_else(corrupt)?;
        let bytes = self.blob_bytes(&id.blob())?.ok_or_else(corrupt)?;
        let (_, hash) = LogFields::parse(&bytes).map_err(EngineError::corrupt)?;
        Ok((link, hash))
    }

    /// Short texts that the end of a chain names and that are shown as they are: what moderators
    /// hid, and what somebody wrote after he was banned, is the same in no list.
    fn texts_of_end(
        &self,
        remote: &DeviceId,
        tip: &KnownTip,
        first_n: u64,
        shown: &BTreeMap<ChangeId, &str>,
    ) -> ExchangeResult<Vec<Bytes>> {
        let mut texts = Vec::new();
        for item in self.log_items(&tip.chain, first_n, tip.n)? {
            let (id, body) = match &item.entry {
                Entry::Message(message) => (item.id, message.body),
                Entry::Poll(poll) => (item.id, poll.body),
                Entry::Edit { target, body } => (*target, *body),
                _ => continue,
            };
            let Some(text) = shown.get(&id).filter(|_| body.size <= TEXT_BYTES_MAX) else {
                continue;
            };
            let bytes = self.body(remote, &body.hash)?;
            let same = |bytes: &Bytes| bytes.get(BODY_SALT_BYTES..) == Some(text.as_bytes());
            texts.extend(bytes.filter(same));
        }
        Ok(texts)
    }
}

/// What is given, as messages.
struct Giving {
    /// Bytes left for all that comes.
    left: usize,
    /// Bytes left in the last message.
    room: usize,
    messages: Vec<Newest>,
}

impl Giving {
    /// Adds an end of a chain with its texts, if there is room for it.
    fn add(&mut self, end: Excerpt, texts: Vec<Bytes>) {
        let bytes = end.encoded_len() + texts.iter().map(|text| text.len() + 4).sum::<usize>();
        if bytes > self.left.min(MESSAGE_ROOM) {
            return;
        }
        let full =
            self.messages.last().is_none_or(|message| message.excerpts.len() >= EXCERPTS_MAX);
        if full || bytes > self.room {
            self.messages.push(Newest::default());
            self.room = MESSAGE_ROOM;
        }
        self.left -= bytes;
        self.room -= bytes;
        if let Some(message) = self.messages.last_mut() {
            message.excerpts.push(end);
            message.bodies.extend(texts);
        }
    }
}
