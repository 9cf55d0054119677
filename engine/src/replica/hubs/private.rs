//! Private channels: their readers alone can read what is said there.
//!
//! What the hub judges by stands in the clear, so that who carries a channel comes to the same order,
//! the same counts and the same verdicts as its readers. Who reads it follows from the hub alone; keys
//! are opened, passed on and chosen as those of conversations are.

use std::sync::Arc;

use super::page::Reading;
use crate::description::{Description, Space};
use crate::hash::{ChangeId, HubId};
use crate::hub::{ContentStanding, Hub};
use crate::limits::{CHANNEL_DEVICES_MAX, PRIVATE_MENTIONS_MAX, SEALED_BYTES_MAX};
use crate::model::entry::{Entry, Permissions, Private, PrivateWhat, Said};
use crate::replica::conversations::{
    Circle, Closed, Devices, Hints, KeyUse, Keys, Member, OTHER_KEY, OpenedText, Talk, asked_under,
    note_epoch, open_with,
};
use crate::replica::{EngineError, Replica, State, Text, Work};
use crate::seal::{EpochKey, SealPlace, SealedEntry};
use crate::store::{Table, keys};
use crate::view::EntryRow;

/// Room that is made for a sealed entry, whatever it says.
pub(super) const PRIVATE_ROOM_BYTES: usize = SEALED_BYTES_MAX + 256;

/// Why a sealed message shows no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// Its key is for this account, and not here yet.
    Waiting,
    /// Its key is not for this account.
    ToOthers,
    /// It does not open, or says what it cannot say: for ever.
    Refused(&'static str),
}

impl Sealing {
    /// Stable name for JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::ToOthers => "to_others",
            Self::Refused(_) => "refused",
        }
    }
}

/// What is written into a private channel, before it is sealed.
pub(in crate::replica) struct Plain<'a> {
    pub what: PlainWhat,
    pub text: Option<&'a str>,
    pub said: Said,
}

/// What an entry is going to be.
#[derive(Clone, Copy)]
pub(in crate::replica) enum PlainWhat {
    Message(Option<ChangeId>),
    Reaction(ChangeId),
    Edit(ChangeId),
}

impl Replica {
    /// Whether an entry of a hub cannot stand where it does: in the clear in a private channel, or
    /// sealed in another.
    pub(super) fn is_misplaced(hub: &Hub, channel: &ChangeId, kind: u8) -> bool {
        let sealed = matches!(kind, 0x0c | 0x0d | 0x18);
        let clear = matches!(kind, 0x05 | 0x07 | 0x08 | 0x0a | 0x10);
        match hub.is_private(channel) {
            Some(true) => clear,
            Some(false) => sealed,
            None => false,
        }
    }

    /// Whether a channel of a hub that is here is private.
    pub(in crate::replica) fn is_private_channel(
        &self,
        state: &mut State,
        hub: &HubId,
        channel: &ChangeId,
    ) -> Result<bool, EngineError> {
        Ok(self.hub_of(state, hub)?.is_some_and(|hub| hub.is_private(channel) == Some(true)))
    }

    /// Who reads a private channel, and what is told of its keys; `None` if it is not private.
    pub(crate) fn channel_talk(
        &self,
        state: &mut State,
        hub: &HubId,
        channel: &ChangeId,
    ) -> Result<Option<Arc<Talk>>, EngineError> {
        let Some(known) = self.hub_of(state, hub)? else { return Ok(None) };
        let circle = Circle::Channel(*hub, *channel);
        if let Some((changes, talk)) = state.channel_talks.get(&circle)
            && *changes == state.hub_changes
        {
            return Ok(Some(talk.clone()));
        }
        let Some(readers) = known.readers(channel) else { return Ok(None) };
        let mut talk = Talk { shares_past: known.shares_past(channel), ..Talk::default() };
        for account in readers {
            talk.members.insert(account, Member { present: true, ..Member::default() });
        }
        if talk.shares_past {
            for account in known.members().into_keys() {
                let _ = talk.members.entry(account).or_default();
            }
        }
        let mut reading = Reading::of(known);
        for (key, _) in self.scan_all(Table::Rows, &keys::channel_keys(channel))? {
            let Some(id) = keys::parse_last(&key) else { continue };
            let Some((row, entry)) = self.entry(&id)? else { continue };
            let Some(page) = self.description(state, &row.doc)? else { continue };
            let Entry::Epoch { epoch, wraps } = &entry else { continue };
            if page.space.hub() != Some(*hub) || page.channel_id() != Some(*channel) {
                continue;
            }
            let _ = talk.members.entry(page.account).or_default();
            let need = Permissions::NONE;
            let standing = self.standing_of(state, &mut reading, &page, &row, need)?;
            // What names operations that are not here is read and not passed on: the key may have been
            // opened because of a removal that they tell of.
            let heard = matches!(standing, ContentStanding::Counts { .. });
            let given = asked_under(&row.device, wraps).is_none()
                && wraps.iter().any(|wrap| !wrap.sealed.is_empty());
            if given && matches!(standing, ContentStanding::Void(_)) {
                talk.tainted.insert(*epoch);
            }
            // Where all of the past is given, somebody may have given it to who was removed since.
            if heard && given && talk.shares_past {
                let seen = reading.seen_until(&row.chain(), row.n);
                if !reading.hub.knows_removals(channel, &seen) {
                    talk.tainted.insert(*epoch);
                }
            }
            let epochs = if heard { &mut talk.epochs } else { &mut talk.lost };
            note_epoch(epochs, &row.device, row.time_ms, &entry);
        }
        drop(reading);
        let talk = Arc::new(talk);
        state.channel_talks.insert(circle, (state.hub_changes, talk.clone()));
        Ok(Some(talk))
    }

    /// The key to seal with now in a private channel, or for texts.
    pub(super) fn channel_key(
        &self,
        state: &mut State,
        work: &mut Work,
        of: (&HubId, &ChangeId),
        now_ms: u64,
    ) -> Result<EpochKey, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let (circle, talk, devices) = self.channel_devices(state, work, of, now_ms)?;
        if !talk.is_member(&me) {
            let why = "this channel is private, and none of your roles reads it";
            return Err(EngineError::Denied(why.into()));
        }
        self.current_key(state, work, (&circle, KeyUse::Lasting), (&talk, &devices), now_ms)
    }

    /// Whom is sealed for in a private channel, or texts.
    pub(super) fn channel_devices(
        &self,
        state: &mut State,
        work: &mut Work,
        (hub, channel): (&HubId, &ChangeId),
        now_ms: u64,
    ) -> Result<(Circle, Arc<Talk>, Devices), EngineError> {
        let talk = self.channel_talk(state, hub, channel)?;
        let talk = talk.ok_or_else(|| EngineError::Denied("nobody reads this channel".into()))?;
        self.tend_prekey(state, work, now_ms)?;
        let devices = self.devices_of(state, &talk)?;
        let count = devices.count();
        if count > CHANNEL_DEVICES_MAX {
            let names = self.known_hub(state, hub)?.is_for_texts(channel);
            let what = match names {
                true => "those who see names and reasons (leave the reason out)",
                false => "the readers of this channel",
            };
            return Err(EngineError::Denied(format!(
                "{what} have {count} devices, limit {CHANNEL_DEVICES_MAX}"
            )));
        }
        Ok((Circle::Channel(*hub, *channel), talk, devices))
    }

    /// Seals what is said in a private channel and writes it: an edit to the page of what it edits, all
    /// else to the own newest page.
    pub(in crate::replica) fn write_private(
        &self,
        state: &mut State,
        work: &mut Work,
        (hub, channel): (&HubId, &ChangeId),
        page: Option<&Description>,
        plain: &Plain<'_>,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let key = self.channel_key(state, work, (hub, channel), now_ms)?;
        let page = match page {
            Some(page) => page.clone(),
            None => {
                let row = Description::channel(*hub, channel, me, 0);
                let (page, start) = self.page_for(state, &row, PRIVATE_ROOM_BYTES * 3)?;
                if let Some(start) = start {
                    self.append(state, work, &page, start, now_ms)?;
                }
                page
            }
        };
        self.say_seen(state, work, hub, &page, now_ms)?;
        let mentions = match &plain.said {
            Said::Message { mentions } => mentions.as_slice(),
            _ => &[],
        };
        let what = match (plain.what, plain.text) {
            (PlainWhat::Reaction(target), _) => PrivateWhat::Reaction { target },
            (PlainWhat::Message(target), text) => {
                let text = (text.unwrap_or_default(), None, mentions);
                let body = self.put_sealed_body(work, &key, &page, text)?;
                PrivateWhat::Message { target, body }
            }
            (PlainWhat::Edit(target), text) => {
                let text = (text.unwrap_or_default(), None, &[][..]);
                let body = self.put_sealed_body(work, &key, &page, text)?;
                PrivateWhat::Edit { target, body }
            }
        };
        let (chain_key, chain) = self.own_chain(state, &page)?;
        let place = place_of(&page, chain_key, chain.held + 1);
        let entry =
            SealedEntry::seal(&key, &place, &what.header(), &plain.said.encode(), &*self.entropy)
                .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let entry = Entry::Private(Box::new(Private { what, entry }));
        self.check_hub_room(state, hub, &entry)?;
        self.append(state, work, &page, entry, now_ms)
    }

    /// Writes into an own page of a channel as a liar does, and says where it will stand.
    #[cfg(test)]
    pub(crate) fn forge_in_channel(
        &self,
        hub: &HubId,
        channel: &ChangeId,
        now_ms: u64,
        make: impl FnOnce(&SealPlace) -> Entry,
    ) -> ChangeId {
        self.forge_with_texts(hub, channel, now_ms, |place| (make(place), Vec::new()))
    }

    /// As [`Replica::forge_in_channel`], with the bytes of bodies.
    #[cfg(test)]
    pub(crate) fn forge_with_texts(
        &self,
        hub: &HubId,
        channel: &ChangeId,
        now_ms: u64,
        make: impl FnOnce(&SealPlace) -> (Entry, Vec<bytes::Bytes>),
    ) -> ChangeId {
        let me = self.account().unwrap();
        let mut state = self.lock();
        let mut work = Work::default();
        let row = Description::channel(*hub, channel, me, 0);
        let (page, start) = self.page_for(&mut state, &row, PRIVATE_ROOM_BYTES).unwrap();
        if let Some(start) = start {
            self.append(&mut state, &mut work, &page, start, now_ms).unwrap();
        }
        self.say_seen(&mut state, &mut work, hub, &page, now_ms).unwrap();
        let (key, chain) = self.own_chain(&mut state, &page).unwrap();
        let (entry, texts) = make(&place_of(&page, key, chain.held + 1));
        work.arriving
            .extend(texts.into_iter().map(|text| (crate::hash::BlobHash::of(&text), text)));
        let id = self.append(&mut state, &mut work, &page, entry, now_ms).unwrap();
        self.finish(state, work).unwrap();
        id
    }

    /// What a sealed entry of a channel says, and the key of its text.
    pub(super) fn said(
        &self,
        state: &mut State,
        reading: &mut Reading,
        page: &Description,
        (row, private): (&EntryRow, &Private),
    ) -> Result<Result<(Said, EpochKey), Sealing>, EngineError> {
        let (Some(hub), Some(channel)) = (page.space.hub(), page.channel_id()) else {
            return Ok(Err(Sealing::Refused("stands in no channel")));
        };
        let keys = match reading.keys.get(&channel) {
            Some(keys) => keys.clone(),
            None => {
                let keys = Arc::new(self.keys_of_channel(state, &hub, &channel)?);
                reading.keys.insert(channel, keys.clone());
                keys
            }
        };
        let said = open(private, &place_of(page, row.chain(), row.n), &keys);
        if let Ok((_, key)) = &said {
            self.keep_key(state, &Circle::Channel(hub, channel), key);
        }
        Ok(said)
    }

    /// The emoji of a sealed reaction, if it opens.
    pub(in crate::replica) fn private_emoji(
        &self,
        state: &mut State,
        page: &Description,
        (row, private): (&EntryRow, &Private),
    ) -> Result<Option<String>, EngineError> {
        let Some(hub) = page.space.hub() else { return Ok(None) };
        let Some(known) = self.hub_of(state, &hub)? else { return Ok(None) };
        let said = self.said(state, &mut Reading::of(known), page, (row, private))?;
        Ok(match said {
            Ok((Said::Reaction { emoji }, _)) => Some(emoji),
            _ => None,
        })
    }

    pub(super) fn keys_of_channel(
        &self,
        state: &mut State,
        hub: &HubId,
        channel: &ChangeId,
    ) -> Result<Keys, EngineError> {
        if state.own.is_none() {
            return Ok(Keys::new());
        }
        match self.channel_talk(state, hub, channel)? {
            Some(talk) => self.keys_by_hint(state, &Circle::Channel(*hub, *channel), &talk),
            None => Ok(Keys::new()),
        }
    }

    /// Of a sealed message or edit, whether it opens, its text, and whom that mentions.
    pub(super) fn private_text(
        &self,
        page: &Description,
        private: &Private,
        said: &Result<(Said, EpochKey), Sealing>,
    ) -> Result<Result<OpenedText, Sealing>, EngineError> {
        let Some(body) = private.what.body() else { return Ok(Ok(Text::Missing.into())) };
        let key = match said {
            Ok((_, key)) => key,
            Err(why) => {
                // That a text was withdrawn everybody sees.
                let deleted = self.text_state(&body, &page.id())? == Text::Deleted;
                return Ok(if deleted { Ok(Text::Deleted.into()) } else { Err(*why) });
            }
        };
        let place = (&page.space.id(), &page.id());
        let opened = self.open_message(place, (&body, private.entry.form()), key)?;
        let may_mention = match said {
            // What it mentions is said in one place.
            Ok((Said::Message { mentions }, _)) => mentions.is_empty(),
            _ => false,
        };
        let fits = opened.text != Text::Damaged
            && opened.answers.is_none()
            && (may_mention || opened.mentions.is_empty());
        Ok(if fits { Ok(opened) } else { Err(Sealing::Refused("its text is not what was sealed")) })
    }

    /// What there is of a body, without its text.
    fn text_state(
        &self,
        body: &crate::model::entry::BodyRef,
        doc: &crate::hash::DocumentId,
    ) -> Result<Text, EngineError> {
        let row = self.store.get(Table::Meta, &keys::body(&body.hash, doc))?.unwrap_or_default();
        Ok(match crate::replica::BodyState::parse(&row) {
            Some(crate::replica::BodyState::Dropped) => Text::Deleted,
            _ => Text::Missing,
        })
    }

    /// Passes keys of private channels on that the own account reads, answers who asks, and asks.
    pub(in crate::replica) fn mend_channels(
        &self,
        state: &mut State,
        work: &mut Work,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let Some(me) = state.own.as_ref().map(|own| own.account) else { return Ok(()) };
        for kept in self.hubs_kept(state)? {
            let Some(known) = self.hub_of(state, &kept.id)? else { continue };
            if known.rank(&me).is_none() {
                continue;
            }
            let circles = known.circles();
            drop(known);
            for channel in circles {
                let Some(talk) = self.channel_talk(state, &kept.id, &channel)? else { continue };
                if !talk.is_member(&me) || (talk.epochs.is_empty() && talk.lost.is_empty()) {
                    continue;
                }
                let devices = self.devices_of(state, &talk)?;
                let circle = Circle::Channel(kept.id, channel);
                if !talk.lost.is_empty() {
                    let used = self.hints_used_in(state, &kept.id, &channel)?;
                    self.recover_lost(state, work, (&circle, &used), (&talk, &devices), now_ms)?;
                }
                self.mend_circle(state, work, &circle, (&talk, &devices), now_ms)?;
            }
        }
        Ok(())
    }

    /// Whether the own account reads any private channel.
    pub(in crate::replica) fn reads_channels(
        &self,
        state: &mut State,
    ) -> Result<bool, EngineError> {
        let Some(me) = state.own.as_ref().map(|own| own.account) else { return Ok(false) };
        for kept in self.hubs_kept(state)? {
            let Some(known) = self.hub_of(state, &kept.id)? else { continue };
            let mut circles = known.circles().into_iter();
            if circles.any(|channel| known.readers(&channel).is_some_and(|all| all.contains(&me))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What all that stands in a channel tells of the keys that it was sealed with.
    pub(in crate::replica) fn hints_here(
        &self,
        state: &mut State,
        hub: &HubId,
        channel: &ChangeId,
    ) -> Result<Hints, EngineError> {
        let mut used = self.text_hints(state, hub, channel)?;
        for (doc, page) in self.documents(state, &Space::Hub(*hub).id())? {
            if page.channel_id() != Some(*channel) {
                continue;
            }
            for (key, chain) in self.chains_of(state, &doc)? {
                for item in self.log_items(&key, 1, chain.held)? {
                    if let Entry::Private(private) = item.entry {
                        used.insert(private.entry.epoch);
                    }
                }
            }
        }
        Ok(used)
    }

    /// What operations of a hub tell of the keys of their texts, if that is what a name stands for.
    fn text_hints(
        &self,
        state: &mut State,
        hub: &HubId,
        name: &ChangeId,
    ) -> Result<Hints, EngineError> {
        let known = self.known_hub(state, hub)?;
        Ok(if known.is_for_texts(name) { known.text_hints(name).collect() } else { Hints::new() })
    }

    /// What messages of a channel that count tell of the keys that they were sealed with.
    fn hints_used_in(
        &self,
        state: &mut State,
        hub: &HubId,
        channel: &ChangeId,
    ) -> Result<Hints, EngineError> {
        let mut used = self.text_hints(state, hub, channel)?;
        let mut reading = Reading::of(self.known_hub(state, hub)?);
        for (key, _) in self.scan_all(Table::Rows, &keys::messages(channel))? {
            let Some((_, _, id)) = keys::parse_message(&key) else { continue };
            let Some((row, Entry::Private(private))) = self.entry(&id)? else { continue };
            let Some(page) = self.description(state, &row.doc)? else { continue };
            if used.contains(&private.entry.epoch) {
                continue;
            }
            let need = Permissions::SEND;
            let standing = self.standing_of(state, &mut reading, &page, &row, need)?;
            if matches!(standing, ContentStanding::Counts { .. }) {
                used.insert(private.entry.epoch);
            }
        }
        Ok(used)
    }

    /// Notes what a commit changes about private channels that are in memory.
    pub(in crate::replica) fn mark_channels(state: &mut State, work: &Work) {
        let told = |(_, entry): &(EntryRow, Entry)| matches!(entry, Entry::Epoch { .. });
        if !work.accounts.is_empty() || !work.cuts.is_empty() || work.entries.values().any(told) {
            state.channel_talks.clear();
            state.key_changes += 1;
        }
    }
}

/// Where an entry of a private channel stands, for its seal.
pub(super) fn place_of(page: &Description, chain: crate::chain::ChainKey, n: u64) -> SealPlace {
    let space = page.space.id();
    // The key of an entry is made of its chain and number.
    SealPlace { space, chain, n, previous_link: chain.origin(&space) }
}

/// Opens a sealed entry with one of some keys.
fn open(private: &Private, place: &SealPlace, keys: &Keys) -> Result<(Said, EpochKey), Sealing> {
    let known = keys.get(&private.entry.epoch);
    match open_with(&private.entry, place, &private.clear(), known) {
        Ok((plain, key)) => {
            let said = Said::decode(&plain, private.entry.form(), &private.what);
            Ok((said.map_err(|_| Sealing::Refused("says what it cannot say"))?, key))
        }
        // Nothing expires in a channel: no key of one is erased.
        Err(Closed::Waiting | Closed::Erased) => Err(Sealing::Waiting),
        Err(Closed::Unknown | Closed::ToOthers) => Err(Sealing::ToOthers),
        Err(Closed::OtherKey) => Err(Sealing::Refused(OTHER_KEY)),
        Err(Closed::Broken) => Err(Sealing::Refused("does not open")),
    }
}

/// Checks that a message can be sealed.
pub(super) fn check_private(
    attachments: usize,
    mentions: usize,
    imported: bool,
) -> Result<(), EngineError> {
    let why = if attachments > 0 {
        "files are not sealed yet: a private channel takes none"
    } else if imported {
        "nothing is imported into a private channel yet"
    } else if mentions > PRIVATE_MENTIONS_MAX {
        return Err(EngineError::Invalid(format!(
            "{mentions} mentions, limit {PRIVATE_MENTIONS_MAX} in a private channel"
        )));
    } else {
        return Ok(());
    };
    Err(EngineError::Denied(why.into()))
}
