//! Reading channels: every member's pages merged into one order, the same on all replicas.

use std::cell::RefCell;
use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::messages::message_needs;
use super::{PollView, Sealing};
use crate::chain::ChainKey;
use crate::description::Description;
use crate::hash::{AccountId, ChangeId, DeviceId, DocumentId, HubId, Link};
use crate::hub::{Content, ContentStanding, Hub, Moderation, Why};
use crate::model::entry::{
    Attachment, BodyRef, Claimed, Entry, EntryRef, Permissions, PrivateWhat, Said, Tip, Who,
};
use crate::replica::conversations::Keys;
use crate::replica::{EngineError, Replica, State, Text};
use crate::store::{Table, keys};
use crate::view::EntryRow;

/// Where the list of a channel goes on: strictly after this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelCursor {
    /// Time of the last message seen.
    pub time_ms: u64,
    /// Who wrote it.
    pub account: AccountId,
    /// Its id.
    pub id: ChangeId,
}

impl ChannelCursor {
    /// Its place in the list of a channel.
    pub(super) fn order(&self, channel: &ChangeId) -> Vec<u8> {
        keys::message(channel, self.time_ms, &self.account, &self.id)
    }
}

/// Rows of a channel that are read at once.
pub(super) const STEP: usize = 256;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// It counts.
    Shown,
    /// A moderator hid it.
    Hidden {
        /// The operation.
        by: ChangeId,
    },
    /// A moderator had its text dropped.
    Purged {
        /// The operation.
        by: ChangeId,
    },
    /// It is signed, and all that its author's role follows from is still on its way.
    Unproven,
    /// It names operations that are not here: nobody can tell yet.
    Deferred,
    /// It counts for nothing.
    Void {
        /// Why.
        why: Why,
    },
}

/// A message or a poll as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Its id.
    pub id: ChangeId,
    /// The hub.
    pub hub: HubId,
    /// The channel.
    pub channel: ChangeId,
    /// Who wrote it.
    pub account: AccountId,
    /// Which device wrote it.
    pub device: DeviceId,
    /// The document it stands in.
    pub doc: DocumentId,
    /// When, as claimed.
    pub time_ms: u64,
    /// What it answers.
    pub target: Option<ChangeId>,
    /// The text, or the question of a poll.
    pub text: Text,
    /// Why it shows no text, of a sealed message that is not open here.
    pub sealed: Option<Sealing>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// Whom it mentions.
    pub mentions: Vec<Who>,
    /// Where it was imported from, and who wrote it there, as claimed.
    pub claimed: Option<Claimed>,
    /// Its options and votes, of a poll.
    pub poll: Option<PollView>,
    /// When it was last edited, as claimed.
    pub edited_ms: Option<u64>,
    /// Withdrawn by its author.
    pub deleted: bool,
    /// What became of it.
    pub state: MessageState,
    /// Written without knowing of a change that does not allow it any more.
    pub late: bool,
    /// Its chain has another branch.
    pub disputed: bool,
    /// Emoji and who gave them.
    pub reactions: BTreeMap<String, BTreeSet<AccountId>>,
    /// Messages that answer it and count.
    pub replies: u64,
}

/// A hub while it is read, with what chains in its channels say of it.
pub(super) struct Reading {
    pub hub: Arc<Hub>,
    pub seen: Seen,
    /// Keys of private channels.
    pub keys: HashMap<ChangeId, Arc<Keys>>,
}

/// Of chains: what their authors had seen of the hub, from which change on.
pub(super) type Seen = HashMap<ChainKey, Vec<(u64, Vec<Link>)>>;

impl Reading {
    pub(super) fn of(hub: Arc<Hub>) -> Self {
        Self { hub, seen: HashMap::new(), keys: HashMap::new() }
    }

    /// What the author of change `n` had seen of the hub, if that was read.
    pub(super) fn seen_until(&self, key: &ChainKey, n: u64) -> Vec<Link> {
        let rows = self.seen.get(key).map(Vec::as_slice).unwrap_or_default();
        let rows = rows.iter().take_while(|(first, _)| *first <= n);
        rows.flat_map(|(_, links)| links.iter().copied()).collect()
    }

    /// How often the author of change `n` had seen something new of the hub, if that was read.
    pub(super) fn seen_by(&self, key: &ChainKey, n: u64) -> Option<usize> {
        let rows = self.seen.get(key)?;
        Some(rows.iter().take_while(|(first, _)| *first <= n).count())
    }
}

impl Replica {
    /// Messages of a channel, newest first, strictly after `cursor`: those that count, and with
    /// `all` those too that do not.
    ///
    /// # Errors
    /// If the hub is not here, or the store fails or is damaged.
    pub fn channel(
        &self,
        hub: &HubId,
        channel: &ChangeId,
        cursor: Option<ChannelCursor>,
        limit: usize,
        all: bool,
    ) -> Result<Vec<MessageView>, EngineError> {
        // Before the rows: what comes meanwhile is in one of both.
        let glimpses = self.glimpses_of(hub, channel, cursor)?;
        let mut out = self.stored_channel(hub, channel, cursor, limit, all)?;
        let known: HashSet<ChangeId> = out.iter().map(|view| view.id).collect();
        let before = out.len();
        out.extend(glimpses.into_iter().filter(|view| !known.contains(&view.id)));
        if out.len() > before {
            out.sort_by_key(MessageView::order);
            out.truncate(limit);
        }
        Ok(out)
    }

    /// Those of which the chains are here.
    pub(super) fn stored_channel(
        &self,
        hub: &HubId,
        channel: &ChangeId,
        cursor: Option<ChannelCursor>,
        limit: usize,
        all: bool,
    ) -> Result<Vec<MessageView>, EngineError> {
        let mut place = cursor.map(|cursor| {
            let mut key = cursor.order(channel);
            key.push(0);
            key
        });
        let mut out = Vec::new();
        while out.len() < limit {
            let rows = self.next_messages(channel, &mut place, limit.min(STEP))?;
            if rows.is_empty() {
                break;
            }
            let mut state = self.lock();
            let mut reading = Reading::of(self.known_hub(&mut state, hub)?);
            for (_, _, id) in rows {
                let view = self.message_in(&mut state, &mut reading, &id)?;
                let Some(view) = view.filter(|view| all || view.counts()) else { continue };
                out.push(view);
                if out.len() == limit {
                    break;
                }
            }
        }
        Ok(out)
    }

    /// Times, authors and ids of the next messages of a channel, newest first; `place` moves on.
    pub(super) fn next_messages(
        &self,
        channel: &ChangeId,
        place: &mut Option<Vec<u8>>,
        step: usize,
    ) -> Result<Vec<(u64, AccountId, ChangeId)>, EngineError> {
        let prefix = keys::messages(channel);
        let rows = self.store.scan(Table::Rows, &prefix, place.as_deref(), false, step)?;
        if let Some((last, _)) = rows.last() {
            *place = Some([last.as_ref(), &[0]].concat());
        }
        Ok(rows.iter().filter_map(|(key, _)| keys::parse_message(key)).collect())
    }

    /// One message of a hub that is here.
    ///
    /// # Errors
    /// If it is not here, or the store fails or is damaged.
    pub fn message(&self, id: &ChangeId) -> Result<MessageView, EngineError> {
        let mut state = self.lock();
        let missing = || EngineError::NotFound { what: "message", text: id.to_string() };
        let Some((hub, _)) = self.channel_of(&mut state, id)? else {
            drop(state);
            return self.glimpse(id)?.ok_or_else(missing);
        };
        let mut reading = Reading::of(self.known_hub(&mut state, &hub)?);
        self.message_in(&mut state, &mut reading, id)?.ok_or_else(missing)
    }

    /// The messages that answer a message and each other, oldest first, each followed by those
    /// that answer it, with how deep they stand.
    ///
    /// # Errors
    /// If it is not here, or the store fails or is damaged.
    pub fn thread(&self, id: &ChangeId) -> Result<Vec<(usize, MessageView)>, EngineError> {
        let root = self.message(id)?;
        let mut state = self.lock();
        let missing = || EngineError::NotFound { what: "message", text: id.to_string() };
        let (hub, channel) = self.channel_of(&mut state, id)?.ok_or_else(missing)?;
        let mut reading = Reading::of(self.known_hub(&mut state, &hub)?);
        let mut out = Vec::new();
        let mut seen = BTreeSet::from([*id]);
        let mut waiting = vec![(0, root)];
        while let Some((depth, view)) = waiting.pop() {
            let mut level = Vec::new();
            for (key, value) in self.scan_all(Table::Rows, &keys::responses(&view.id))? {
                let (Some(id), [0x07 | 0x0c]) = (keys::parse_last(&key), value.as_ref()) else {
                    continue;
                };
                let Some(mut answer) = self.message_in(&mut state, &mut reading, &id)? else {
                    continue;
                };
                if answer.channel == channel && answer.counts() && seen.insert(id) {
                    answer.time_ms = answer.time_ms.max(view.time_ms);
                    level.push((depth + 1, answer));
                }
            }
            level.sort_by_key(|(_, view)| (view.time_ms, view.account, view.id));
            waiting.extend(level.into_iter().rev());
            out.push((depth, view));
        }
        Ok(out)
    }

    /// What people see of a message; `None` if it is not here.
    pub(super) fn message_in(
        &self,
        state: &mut State,
        reading: &mut Reading,
        id: &ChangeId,
    ) -> Result<Option<MessageView>, EngineError> {
        let Some((row, entry)) = self.entry(id)? else { return Ok(None) };
        let Some(description) = self.description(state, &row.doc)? else { return Ok(None) };
        let (Some(channel), Some(hub)) = (description.channel_id(), description.space.hub()) else {
            return Ok(None);
        };
        let author = (description.account, row.device, row.doc);
        let bare =
            MessageView::bare((hub, channel), author, *id, row.time_ms, &entry, |_| Text::Missing);
        let Some(mut view) = bare else { return Ok(None) };
        self.read_message(state, reading, &description, (&row, &entry), &mut view)?;
        let need = entry_needs(&entry);
        let standing = self.standing_of(state, reading, &description, &row, need)?;
        match standing {
            ContentStanding::Counts { late } => view.late = late,
            ContentStanding::Deferred => view.state = MessageState::Deferred,
            ContentStanding::Void(why) => view.state = MessageState::Void { why },
        }
        view.disputed = !self.branches(state, &row.chain())?.is_empty();
        if view.counts() {
            let named = EntryRef { account: description.account, entry: *id };
            view.state = match reading.hub.moderation(&named) {
                None => MessageState::Shown,
                Some(Moderation::Hidden { by }) => MessageState::Hidden { by },
                Some(Moderation::Purged { by }) => MessageState::Purged { by },
            };
            self.modify_message(state, reading, &mut view, &row)?;
            self.add_answers(state, reading, &mut view, &entry)?;
        }
        if matches!(view.state, MessageState::Purged { .. }) {
            view.withdraw();
        }
        Ok(Some(view))
    }

    /// Reads the text of a message, as far as it is here and opens.
    fn read_message(
        &self,
        state: &mut State,
        reading: &mut Reading,
        page: &Arc<Description>,
        (row, entry): (&EntryRow, &Entry),
        view: &mut MessageView,
    ) -> Result<(), EngineError> {
        match entry {
            Entry::Message(message) => view.text = self.text(&message.body, &row.doc)?,
            Entry::Poll(poll) => view.text = self.text(&poll.body, &row.doc)?,
            Entry::Private(private) => {
                let said = self.said(state, reading, page, (row, private))?;
                if let Ok((Said::Message { mentions }, _)) = &said {
                    view.mentions.clone_from(mentions);
                }
                match self.private_text(page, private, &said)? {
                    Ok(opened) => {
                        view.text = opened.text;
                        view.mentions.extend(opened.mentions);
                    }
                    Err(why) => view.sealed = Some(why),
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Edits and withdrawals of a message.
    fn modify_message(
        &self,
        state: &mut State,
        reading: &mut Reading,
        view: &mut MessageView,
        row: &EntryRow,
    ) -> Result<(), EngineError> {
        let Some(description) = self.description(state, &row.doc)? else { return Ok(()) };
        for modification in self.modifications(state, &view.id, row)? {
            match &modification.entry {
                Entry::Tombstone { .. } => view.deleted = true,
                Entry::Edit { body, .. } => {
                    let by = &modification.row;
                    let need = Permissions::SEND;
                    let standing = self.standing_of(state, reading, &description, by, need)?;
                    if matches!(standing, ContentStanding::Counts { .. }) {
                        view.text = self.text(body, &row.doc)?;
                        view.edited_ms = Some(by.time_ms);
                    }
                }
                Entry::Private(private) => {
                    let by = &modification.row;
                    let need = Permissions::SEND;
                    let standing = self.standing_of(state, reading, &description, by, need)?;
                    if !matches!(standing, ContentStanding::Counts { .. }) {
                        continue;
                    }
                    let said = self.said(state, reading, &description, (by, private))?;
                    match self.private_text(&description, private, &said)? {
                        // What does not open counts for nothing, in its own place.
                        Err(Sealing::Refused(_)) => continue,
                        Ok(opened) => (view.text, view.sealed) = (opened.text, None),
                        Err(why) => (view.text, view.sealed) = (Text::Missing, Some(why)),
                    }
                    view.edited_ms = Some(by.time_ms);
                }
                _ => {}
            }
        }
        if view.deleted {
            view.withdraw();
        }
        Ok(())
    }

    /// Reactions to a message, the number of those that answer it, and the votes of a poll.
    fn add_answers(
        &self,
        state: &mut State,
        reading: &mut Reading,
        view: &mut MessageView,
        entry: &Entry,
    ) -> Result<(), EngineError> {
        for (key, _) in self.scan_all(Table::Rows, &keys::responses(&view.id))? {
            let Some(id) = keys::parse_last(&key) else { continue };
            let Some((row, answer)) = self.entry(&id)? else { continue };
            let Some(page) = self.description(state, &row.doc)? else { continue };
            if page.channel_id() != Some(view.channel)
                || !matches!(answer, Entry::Reaction { .. } | Entry::Message(_) | Entry::Private(_))
            {
                continue;
            }
            let need = entry_needs(&answer);
            let standing = self.standing_of(state, reading, &page, &row, need)?;
            if !matches!(standing, ContentStanding::Counts { .. })
                || self.is_taken_back(state, &id, &row)?
            {
                continue;
            }
            match answer {
                Entry::Reaction { emoji, .. } => {
                    view.reactions.entry(emoji).or_default().insert(page.account);
                }
                Entry::Private(private) if row.kind == 0x0d => {
                    let said = self.said(state, reading, &page, (&row, &private))?;
                    if let Ok((Said::Reaction { emoji }, _)) = said {
                        view.reactions.entry(emoji).or_default().insert(page.account);
                    }
                }
                _ => {
                    let named = EntryRef { account: page.account, entry: id };
                    view.replies += u64::from(reading.hub.moderation(&named).is_none());
                }
            }
        }
        if let Entry::Poll(poll) = entry {
            view.poll = Some(self.count_votes(state, reading, view, poll)?);
        }
        Ok(())
    }

    /// Whether a tombstone takes an entry back.
    pub(super) fn is_taken_back(
        &self,
        state: &mut State,
        id: &ChangeId,
        row: &EntryRow,
    ) -> Result<bool, EngineError> {
        let all = self.modifications(state, id, row)?;
        Ok(all.iter().any(|by| matches!(by.entry, Entry::Tombstone { .. })))
    }

    /// What is concluded about an entry of a channel.
    pub(super) fn standing_of(
        &self,
        state: &mut State,
        reading: &mut Reading,
        description: &Arc<Description>,
        row: &EntryRow,
        need: Permissions,
    ) -> Result<ContentStanding, EngineError> {
        let key = row.chain();
        if self.is_hidden(state, description, &key, row.n)? {
            return Ok(ContentStanding::Void(Why::Device));
        }
        let Some(channel) = description.channel_id() else {
            return Ok(ContentStanding::Void(Why::Unseen));
        };
        if Self::is_misplaced(&reading.hub, &channel, row.kind) {
            return Ok(ContentStanding::Void(Why::NotSealed));
        }
        let rows = match reading.seen.entry(key) {
            Slot::Occupied(rows) => rows.into_mut(),
            Slot::Vacant(place) => place.insert(self.seen_rows(&key)?),
        };
        let seen: Vec<Link> = rows
            .iter()
            .take_while(|(n, _)| *n <= row.n)
            .flat_map(|(_, links)| links.iter().copied())
            .collect();
        // What cannot be told yet is given the benefit of the doubt, as with revoked devices.
        let lent = RefCell::new((state, None));
        let agreed = |tip: &Tip| {
            let mut lent = lent.borrow_mut();
            match self.agreed(lent.0, description, tip) {
                Ok(agreed) => agreed.unwrap_or(tip.n),
                Err(error) => {
                    lent.1 = Some(error);
                    0
                }
            }
        };
        let standing = reading.hub.standing(&Content {
            account: description.account,
            channel,
            seen: &seen,
            need,
            chain: key,
            n: row.n,
            agreed: &agreed,
        });
        match lent.into_inner().1 {
            Some(error) => Err(error),
            None => Ok(standing),
        }
    }
}

impl MessageView {
    /// A message or a poll as it was written; `None` of anything else.
    pub(super) fn bare(
        (hub, channel): (HubId, ChangeId),
        (account, device, doc): (AccountId, DeviceId, DocumentId),
        id: ChangeId,
        time_ms: u64,
        entry: &Entry,
        text: impl Fn(&BodyRef) -> Text,
    ) -> Option<Self> {
        let mut view = Self {
            id,
            hub,
            channel,
            account,
            device,
            doc,
            time_ms,
            target: None,
            text: Text::Missing,
            sealed: None,
            attachments: Vec::new(),
            mentions: Vec::new(),
            claimed: None,
            poll: None,
            edited_ms: None,
            deleted: false,
            state: MessageState::Shown,
            late: false,
            disputed: false,
            reactions: BTreeMap::new(),
            replies: 0,
        };
        match entry {
            Entry::Message(message) => {
                view.text = text(&message.body);
                view.target = message.target;
                view.attachments.clone_from(&message.attachments);
                view.mentions.clone_from(&message.mentions);
                view.claimed.clone_from(&message.claimed);
            }
            Entry::Poll(poll) => view.text = text(&poll.body),
            Entry::Private(private) => match private.what {
                PrivateWhat::Message { target, .. } => view.target = target,
                _ => return None,
            },
            _ => return None,
        }
        Some(view)
    }

    /// Shows nothing of what was withdrawn or purged.
    fn withdraw(&mut self) {
        (self.text, self.sealed) = (Text::Deleted, None);
        self.attachments.clear();
        self.mentions.clear();
    }

    /// Whether it counts, be it hidden.
    #[must_use]
    pub const fn counts(&self) -> bool {
        !matches!(
            self.state,
            MessageState::Unproven | MessageState::Deferred | MessageState::Void { .. }
        )
    }

    /// Its place in the list of its channel, newest first.
    pub(super) fn order(&self) -> Vec<u8> {
        self.cursor().order(&self.channel)
    }

    /// Where a list goes on after it.
    #[must_use]
    pub const fn cursor(&self) -> ChannelCursor {
        ChannelCursor { time_ms: self.time_ms, account: self.account, id: self.id }
    }
}

/// What the author of an entry in a channel needs.
pub(super) fn entry_needs(entry: &Entry) -> Permissions {
    match entry {
        Entry::Message(message) => {
            message_needs(!message.attachments.is_empty(), &message.mentions)
        }
        Entry::Reaction { .. } | Entry::Vote { .. } => Permissions::REACT,
        Entry::Private(private) if private.what.kind() == 0x0d => Permissions::REACT,
        _ => Permissions::SEND,
    }
}
