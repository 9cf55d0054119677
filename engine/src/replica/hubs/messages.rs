//! Writing into channels.

use std::collections::hash_map::Entry as Slot;

use super::page::STEP;
use super::private::check_private;
use super::{Plain, PlainWhat};
use crate::description::{Description, DocumentKind};
use crate::hash::{AccountId, ChangeId, HubId, Link};
use crate::hub::Hub;
use crate::limits::{
    HUB_SEEN_MAX, MENTIONS_MAX, PAGE_BYTES_MAX, PAGE_MODIFICATIONS_MAX, POLL_OPTION_BYTES_MAX,
    POLL_OPTIONS_MAX,
};
use crate::model::entry::{
    Attachment, Claimed, Entry, Message, Permissions, Poll, PollKind, Said, Who,
};
use crate::replica::posts::check_draft;
use crate::replica::{Draft, EngineError, Once, Replica, State, Work};
use crate::store::{Table, keys};

/// Bytes of what may have to be said before an entry: what was seen of the hub.
const SEEN_BYTES_MAX: usize = 16 + HUB_SEEN_MAX * size_of::<Link>();
/// Bytes of an edit.
const EDIT_BYTES_MAX: usize = 512;
/// Bytes of a reaction.
const REACTION_BYTES_MAX: usize = 512;

/// What a message is made of.
#[derive(Debug, Clone, Default)]
pub struct MessageDraft {
    /// The text; at most 256 KiB.
    pub text: String,
    /// Files, stored before by [`Replica::add_file`].
    pub attachments: Vec<Attachment>,
    /// The message that it answers.
    pub target: Option<ChangeId>,
    /// Whom it mentions.
    pub mentions: Vec<Who>,
    /// Where it was imported from.
    pub claimed: Option<Claimed>,
}

impl Replica {
    /// Writes a message into a channel; durable when it returns. Once under a key.
    ///
    /// # Errors
    /// [`EngineError::Denied`] if the own account may not write there, with the reason; if the
    /// draft is over a limit, the channel or what it answers is not here, this device may not
    /// write, or the store fails.
    pub fn say(
        &self,
        once: Option<&Once>,
        hub: &HubId,
        channel: &ChangeId,
        draft: MessageDraft,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if let Some(written) = self.find_once(once)? {
            return Ok(written);
        }
        let mut work = Work::default();
        let id = self.write_message(&mut state, &mut work, hub, channel, draft, now_ms)?;
        self.note_once(&mut work, once, &id)?;
        self.finish(state, work)?;
        Ok(id)
    }

    pub(super) fn write_message(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        channel: &ChangeId,
        draft: MessageDraft,
        time_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let MessageDraft { text, attachments, target, mut mentions, claimed } = draft;
        let plain = Draft { text, attachments };
        check_draft(&plain)?;
        mentions.sort_unstable();
        mentions.dedup();
        if mentions.len() > MENTIONS_MAX {
            let message = format!("{} mentions, limit {MENTIONS_MAX}", mentions.len());
            return Err(EngineError::Invalid(message));
        }
        if let Some(target) = &target {
            self.check_answered(state, work, channel, target)?;
        }
        let need = message_needs(!plain.attachments.is_empty(), &mentions);
        self.check_member(state, hub, channel, need)?;
        if claimed.is_none() {
            self.check_pace(state, hub, channel, time_ms)?;
        }
        if self.is_private_channel(state, hub, channel)? {
            check_private(plain.attachments.len(), mentions.len(), claimed.is_some())?;
            let text = Some(plain.text.as_str());
            let what = PlainWhat::Message(target);
            let plain = Plain { what, text, said: Said::Message { mentions } };
            return self.write_private(state, work, (hub, channel), None, &plain, time_ms);
        }
        let body = self.put_body(work, plain.text.as_bytes())?;
        let attachments = plain.attachments;
        let message = Message { target, body, attachments, mentions, claimed };
        let entry = Entry::Message(Box::new(message));
        self.check_hub_room(state, hub, &entry)?;
        self.append_to_channel(state, work, hub, channel, entry, time_ms)
    }

    /// Asks a question in a channel.
    ///
    /// # Errors
    /// If there are fewer than two options or more than [`POLL_OPTIONS_MAX`], one is empty or too
    /// long, or as [`Replica::say`].
    pub fn ask(
        &self,
        hub: &HubId,
        channel: &ChangeId,
        question: &str,
        kind: PollKind,
        options: Vec<String>,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        check_draft(&Draft { text: question.to_owned(), attachments: Vec::new() })?;
        if !(2..=POLL_OPTIONS_MAX).contains(&options.len()) {
            let message =
                format!("a poll has 2 to {POLL_OPTIONS_MAX} options, not {}", options.len());
            return Err(EngineError::Invalid(message));
        }
        if let Some(option) =
            options.iter().find(|option| !(1..=POLL_OPTION_BYTES_MAX).contains(&option.len()))
        {
            let message = format!(
                "an option of a poll has 1 to {POLL_OPTION_BYTES_MAX} bytes, '{option}' has {}",
                option.len()
            );
            return Err(EngineError::Invalid(message));
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        self.check_member(&mut state, hub, channel, Permissions::SEND)?;
        if self.is_private_channel(&mut state, hub, channel)? {
            let why = "polls are not sealed yet: a private channel takes none";
            return Err(EngineError::Denied(why.into()));
        }
        let mut work = Work::default();
        let body = self.put_body(&mut work, question.as_bytes())?;
        let entry = Entry::Poll(Box::new(Poll { body, kind, options }));
        self.check_hub_room(&mut state, hub, &entry)?;
        let id = self.append_to_channel(&mut state, &mut work, hub, channel, entry, now_ms)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Writes an entry to the own newest page of a channel, which says what was seen of the hub.
    pub(in crate::replica) fn append_to_channel(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        channel: &ChangeId,
        entry: Entry,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let row = Description::channel(*hub, channel, me, 0);
        // Room for what may have to be said first.
        let room = entry.encode().len() + SEEN_BYTES_MAX;
        let (page, start) = self.page_for(state, &row, room)?;
        if let Some(start) = start {
            self.append(state, work, &page, start, now_ms)?;
        }
        self.say_seen(state, work, hub, &page, now_ms)?;
        self.append(state, work, &page, entry, now_ms)
    }

    /// Says on a page of a channel what was seen of the hub, where that is more than before.
    pub(super) fn say_seen(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        page: &Description,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let mut links = self.known_hub(state, hub)?.cite(None);
        // One that has no room for this and what follows gives way to one that says all anew.
        let (_, chain) = self.own_chain(state, page)?;
        let room = (SEEN_BYTES_MAX + EDIT_BYTES_MAX) as u64;
        if chain.modifications + 2 > PAGE_MODIFICATIONS_MAX || chain.bytes + room > PAGE_BYTES_MAX {
            self.start_new_life(state, work)?;
        }
        let (key, _) = self.own_chain(state, page)?;
        let said = match state.seen.entry(key) {
            Slot::Occupied(said) => said.into_mut(),
            Slot::Vacant(place) => {
                let rows = self.seen_rows(&key)?;
                place.insert(rows.into_iter().flat_map(|(_, links)| links).collect())
            }
        };
        links.retain(|link| !said.contains(link));
        if links.is_empty() {
            return Ok(());
        }
        self.append(state, work, page, Entry::Seen { links: links.clone() }, now_ms)?;
        // A full chain was followed by one of another life.
        let (key, _) = self.own_chain(state, page)?;
        state.dirty = true;
        state.seen.entry(key).or_default().extend(links);
        Ok(())
    }

    /// What a chain in a channel says was seen of the hub, and from which entry on.
    pub(super) fn seen_rows(
        &self,
        key: &crate::chain::ChainKey,
    ) -> Result<Vec<(u64, Vec<Link>)>, EngineError> {
        let mut out = Vec::new();
        for (key, value) in self.scan_all(Table::Rows, &keys::seen_prefix(key))? {
            let Some(n) = key.last_chunk::<8>() else { continue };
            let links = value.as_chunks::<32>().0.iter().map(|link| Link::from_bytes(*link));
            out.push((u64::from_be_bytes(*n), links.collect()));
        }
        Ok(out)
    }

    /// Refuses what the own account may not do in a channel, with the reason.
    pub(super) fn check_member(
        &self,
        state: &mut State,
        hub: &HubId,
        channel: &ChangeId,
        need: Permissions,
    ) -> Result<(), EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let known = self.known_hub(state, hub)?;
        if known.permissions(&me, Some(channel)).contains(need) {
            return Ok(());
        }
        Err(why_not(&known, &me, channel, need))
    }

    /// Refuses a message that comes sooner than the channel's members agreed on.
    fn check_pace(
        &self,
        state: &mut State,
        hub: &HubId,
        channel: &ChangeId,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let known = self.known_hub(state, hub)?;
        let slow_ms = known.slow_ms(channel);
        let free = known.permissions(&me, Some(channel)).contains(Permissions::MANAGE_CHANNELS);
        if slow_ms == 0 || free {
            return Ok(());
        }
        let since = now_ms.saturating_sub(slow_ms);
        let (none, least) = (AccountId::from_bytes([0; 32]), ChangeId::from_bytes([0; 32]));
        let mut place = Some(keys::message(channel, now_ms, &none, &least));
        let mut last = None;
        while last.is_none() {
            let rows = self.next_messages(channel, &mut place, STEP)?;
            let since = rows.iter().take_while(|(time_ms, ..)| *time_ms > since);
            let recent: Vec<_> = since.collect();
            last = recent.iter().find(|(_, account, _)| *account == me).map(|(time, ..)| *time);
            if rows.is_empty() || recent.len() < rows.len() {
                break;
            }
        }
        let Some(last) = last else { return Ok(()) };
        let wait = (last + slow_ms).saturating_sub(now_ms).div_ceil(1000);
        let every = slow_ms.div_ceil(1000);
        Err(EngineError::Denied(format!(
            "this channel takes a message of each member every {every} s; wait {wait} s"
        )))
    }

    fn check_answered(
        &self,
        state: &mut State,
        work: &Work,
        channel: &ChangeId,
        target: &ChangeId,
    ) -> Result<(), EngineError> {
        let row = match work.entries.get(target) {
            Some((row, _)) => Some(*row),
            None => self.entry_row(target)?,
        };
        let missing = || EngineError::NotFound { what: "message", text: target.to_string() };
        let row = row.ok_or_else(missing)?;
        let description = self.description(state, &row.doc)?.ok_or_else(missing)?;
        match matches!(row.kind, 0x07 | 0x08 | 0x0c) && description.channel_id() == Some(*channel) {
            true => Ok(()),
            false => Err(EngineError::Invalid(format!(
                "{} is no message of this channel",
                target.short()
            ))),
        }
    }

    /// The hub and channel that an entry stands in, if it stands in one.
    pub(crate) fn channel_of(
        &self,
        state: &mut State,
        id: &ChangeId,
    ) -> Result<Option<(HubId, ChangeId)>, EngineError> {
        let Some(row) = self.entry_row(id)? else { return Ok(None) };
        let Some(description) = self.description(state, &row.doc)? else { return Ok(None) };
        Ok(description.space.hub().zip(description.channel_id()))
    }

    /// Before a page of a channel is modified: the own account must be able to, and the page
    /// says what was seen.
    pub(crate) fn prepare_modification(
        &self,
        state: &mut State,
        work: &mut Work,
        page: &Description,
        withdraws: bool,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let (Some(hub), DocumentKind::Channel) = (page.space.hub(), page.kind) else {
            return Ok(());
        };
        let Some(channel) = page.channel_id() else { return Ok(()) };
        if withdraws {
            // One's own words can always be taken back.
            return Ok(());
        }
        self.check_member(state, &hub, &channel, Permissions::SEND)?;
        self.say_seen(state, work, &hub, page, now_ms)
    }

    /// The page of a channel for the own reaction to an entry there.
    pub(crate) fn reaction_page(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        channel: &ChangeId,
        now_ms: u64,
    ) -> Result<Description, EngineError> {
        self.check_member(state, hub, channel, Permissions::REACT)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let row = Description::channel(*hub, channel, me, 0);
        let (page, start) = self.page_for(state, &row, SEEN_BYTES_MAX + REACTION_BYTES_MAX)?;
        if let Some(start) = start {
            self.append(state, work, &page, start, now_ms)?;
        }
        self.say_seen(state, work, hub, &page, now_ms)?;
        Ok(page)
    }
}

/// What a message needs.
pub(super) fn message_needs(attaches: bool, mentions: &[Who]) -> Permissions {
    let mut need = Permissions::SEND;
    if attaches {
        need = need | Permissions::ATTACH;
    }
    if mentions.iter().any(|who| matches!(who, Who::Role(_))) {
        need = need | Permissions::MENTION;
    }
    need
}

/// Why an account may not do something in a channel, and what would help.
fn why_not(hub: &Hub, me: &AccountId, channel: &ChangeId, need: Permissions) -> EngineError {
    let channels = hub.channels();
    let Some(view) = channels.iter().find(|view| view.id == *channel) else {
        return EngineError::NotFound { what: "channel", text: channel.to_string() };
    };
    // What has a sealed name goes by its id.
    let name = if view.name.is_empty() { channel.short() } else { view.name.clone() };
    let why = if hub.is_banned(me) {
        "you are banned from this hub".to_owned()
    } else if hub.rank(me).is_none() {
        "you are no member of this hub: join it with an invitation".to_owned()
    } else if view.archived {
        format!("channel '{name}' is archived: nobody writes there any more")
    } else if view.read_only {
        format!("channel '{name}' is read-only for you")
    } else {
        let has = hub.permissions(me, Some(channel));
        let missing: Vec<&str> = Permissions::NAMES
            .iter()
            .filter(|(bit, _)| need.contains(*bit) && !has.contains(*bit))
            .map(|(_, name)| *name)
            .collect();
        format!("you lack a permission in channel '{name}': {}", missing.join(", "))
    };
    EngineError::Denied(why)
}
