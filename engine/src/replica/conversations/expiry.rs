//! Texts that are dropped when their time is over, by the clock of whoever has them.
//!
//! When stands in the clear beside what is sealed: who carries a conversation drops them, too. It is
//! dropped what would be withdrawn, and nothing of it is asked for again.

use super::read::{Opened, open_entry};
use super::{Circle, KeptConversation, Talk};
use crate::hash::{ChangeId, ConversationId};
use crate::limits::{EXPIRED_AT_ONCE_MAX, EXPIRY_MS_MAX};
use crate::model::entry::{Sealed, Spoken};
use crate::replica::{EngineError, Replica, State, Work};
use crate::seal::SealPlace;
use crate::store::{Table, keys};

/// Milliseconds that another's clock may be ahead.
const AHEAD_MS: u64 = 300_000;

/// Bytes of entries without a text that are remembered of a conversation until they are open: some
/// thousand of those that honest programs write.
const ASIDES_BYTES_MAX: usize = 512 * 1024;

/// Sealed entries without a text of which it is not known that they say something else than how long
/// texts are kept.
#[derive(Debug, Default)]
pub(super) struct Asides {
    told: Vec<(SealPlace, Sealed)>,
    /// Bytes that they take.
    bytes: usize,
    expires: bool,
    /// There were more than are remembered.
    many: bool,
}

impl Asides {
    /// Notes an entry, and where it stands.
    pub(super) fn note(&mut self, sealed: &Sealed, place: SealPlace) {
        if sealed.bodies.is_empty() && !self.many {
            self.told.push((place, sealed.clone()));
            self.bytes += size(sealed);
            self.many = self.bytes > ASIDES_BYTES_MAX;
            if self.many {
                (self.told, self.bytes) = (Vec::new(), 0);
            }
        }
    }
}

/// Bytes that an entry without a text takes while it is remembered.
fn size(sealed: &Sealed) -> usize {
    size_of::<(SealPlace, Sealed)>() + sealed.entry.ciphertext.len()
}

impl Replica {
    /// Has the texts of what is written into a conversation from now on dropped after so long,
    /// 0 for never. Everybody who takes part may say so; the latest word counts.
    ///
    /// # Errors
    /// If the time is longer than [`EXPIRY_MS_MAX`], or as [`Replica::say_directly`].
    pub fn expire_conversation(
        &self,
        id: &ConversationId,
        after_ms: u64,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        check_expiry(after_ms)?;
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (kept, _) = self.known_conversation(&mut state, id)?;
        if kept.genesis.audience {
            return Err(EngineError::Denied("posts to an audience do not expire".into()));
        }
        // By a clock that is behind it would not be the latest word.
        let said_ms =
            self.expiry_said(&mut state, &kept, now_ms)?.map_or(0, |(at_ms, _)| at_ms + 1);
        let now_ms = now_ms.max(said_ms);
        let mut work = Work::default();
        let spoken = Spoken::Expiry { after_ms };
        let written = self.speak(&mut state, &mut work, id, &spoken, None, now_ms)?;
        self.finish(state, work)?;
        Ok(written)
    }

    /// After how long texts of a conversation are dropped, 0 for never.
    pub(super) fn expiry_of(
        &self,
        state: &mut State,
        kept: &KeptConversation,
        now_ms: u64,
    ) -> Result<u64, EngineError> {
        Ok(self.expiry_said(state, kept, now_ms)?.map_or(0, |(_, after_ms)| after_ms))
    }

    fn expiry_said(
        &self,
        state: &mut State,
        kept: &KeptConversation,
        now_ms: u64,
    ) -> Result<Option<(u64, u64)>, EngineError> {
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        if !self.may_expire(state, kept, &talk)? {
            return Ok(None);
        }
        Ok(expiry_in(&self.open_all(state, kept, &talk)?, now_ms))
    }

    /// Whether anybody may have said how long texts are kept: mostly nobody did, and then nothing has
    /// to be opened to write one more.
    fn may_expire(
        &self,
        state: &mut State,
        kept: &KeptConversation,
        talk: &Talk,
    ) -> Result<bool, EngineError> {
        let Some(known) = state.talks.get_mut(&kept.id) else { return Ok(true) };
        let mut asides = std::mem::take(&mut known.asides);
        if !asides.told.is_empty() {
            let keys = self.keys_by_hint(state, &Circle::Conversation(kept.id), talk)?;
            // What opens says the same for ever.
            asides.told.retain(|(place, sealed)| {
                let opened = open_entry(sealed, place, keys.get(&sealed.entry.epoch));
                !matches!(opened, Ok((spoken, _)) if !matches!(spoken, Spoken::Expiry { .. }))
            });
            asides.bytes = asides.told.iter().map(|(_, sealed)| size(sealed)).sum();
            asides.expires = asides.told.iter().any(|(place, sealed)| {
                open_entry(sealed, place, keys.get(&sealed.entry.epoch)).is_ok()
            });
        }
        let expires = asides.many || asides.expires;
        if let Some(known) = state.talks.get_mut(&kept.id) {
            known.asides = asides;
        }
        Ok(expires)
    }

    /// When the next texts are to be dropped.
    ///
    /// # Errors
    /// If the store fails.
    pub fn next_expiry(&self) -> Result<Option<u64>, EngineError> {
        let rows = self.store.scan(Table::Meta, keys::EXPIRING, None, false, 1)?;
        Ok(rows.first().and_then(|(key, _)| keys::parse_expiring(key)).map(|(at_ms, _)| at_ms))
    }

    /// Drops the texts whose time is over, with what edits them; returns how many messages and
    /// edits that were. From then on nothing that is over by this clock is taken in.
    ///
    /// # Errors
    /// If the store fails; if something is damaged, after all else was dropped.
    pub fn expire(&self, now_ms: u64) -> Result<u64, EngineError> {
        self.lock().expired_ms = now_ms;
        let (mut dropped, mut damage) = (0, None);
        let mut start: Option<Vec<u8>> = None;
        loop {
            let from = start.as_deref();
            let rows =
                self.store.scan(Table::Meta, keys::EXPIRING, from, false, EXPIRED_AT_ONCE_MAX)?;
            let due = rows.iter().filter_map(|(key, _)| keys::parse_expiring(key));
            let due: Vec<(u64, ChangeId)> = due.take_while(|(at_ms, _)| *at_ms <= now_ms).collect();
            let Some((last_ms, last)) = due.last() else {
                return damage.map_or(Ok(dropped), Err);
            };
            start = Some([keys::expiring(*last_ms, last).as_slice(), &[0]].concat());
            match self.drop_expired(&due) {
                Ok(count) => dropped += count,
                // One that cannot be read keeps no other from being dropped.
                Err(_) => {
                    for one in &due {
                        match self.drop_expired(std::slice::from_ref(one)) {
                            Ok(count) => dropped += count,
                            Err(error) => damage = Some(error),
                        }
                    }
                }
            }
        }
    }

    fn drop_expired(&self, due: &[(u64, ChangeId)]) -> Result<u64, EngineError> {
        let mut state = self.lock();
        let (mut work, mut dropped) = (Work::default(), 0);
        for (at_ms, id) in due {
            work.batch.delete(Table::Meta, keys::expiring(*at_ms, id));
            // What is here no more has no texts.
            if let Some(row) = self.entry_row(id)? {
                self.drop_bodies(&mut state, &mut work, id, &row.doc)?;
                dropped += 1;
            }
        }
        self.finish(state, work)?;
        Ok(dropped)
    }
}

/// What was said last of how long texts are kept, and when, as claimed; of what was said by rising
/// time. What claims to be of a time to come does not count until then: it would be the last word
/// for as long.
pub(super) fn expiry_in(said: &[Opened], now_ms: u64) -> Option<(u64, u64)> {
    let until_ms = now_ms.saturating_add(AHEAD_MS);
    let known = said.iter().rev().filter(|opened| opened.time_ms <= until_ms);
    let mut expiry = known.filter_map(|opened| match &opened.what {
        Ok((Spoken::Expiry { after_ms }, _)) => Some((opened.time_ms, *after_ms)),
        _ => None,
    });
    expiry.next()
}

pub(super) fn check_expiry(after_ms: u64) -> Result<(), EngineError> {
    if after_ms <= EXPIRY_MS_MAX {
        return Ok(());
    }
    let days = EXPIRY_MS_MAX / (24 * 3_600_000);
    Err(EngineError::Invalid(format!("texts are kept for ever or at most {days} days")))
}
