//! Texts that are dropped when their time is over, by the clock of whoever has them.
//!
//! When stands in the clear beside what is sealed: who carries a conversation drops them, too. It is
//! dropped what would be withdrawn, and nothing of it is asked for again.

use super::KeptConversation;
use crate::hash::{ChangeId, ConversationId};
use crate::limits::{EXPIRED_AT_ONCE_MAX, EXPIRY_MS_MAX};
use crate::model::entry::Spoken;
use crate::replica::{EngineError, Replica, State, Work};
use crate::store::{Table, keys};

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
    ) -> Result<u64, EngineError> {
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        let all = self.open_all(state, kept, &talk)?;
        Ok(expiry_in(all.iter().filter_map(|opened| Some(&opened.what.as_ref().ok()?.0))))
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
    /// If the store fails or is damaged.
    pub fn expire(&self, now_ms: u64) -> Result<u64, EngineError> {
        self.lock().expired_ms = now_ms;
        let mut dropped = 0;
        loop {
            let rows =
                self.store.scan(Table::Meta, keys::EXPIRING, None, false, EXPIRED_AT_ONCE_MAX)?;
            let due = rows.iter().filter_map(|(key, _)| keys::parse_expiring(key));
            let due: Vec<(u64, ChangeId)> = due.take_while(|(at_ms, _)| *at_ms <= now_ms).collect();
            if due.is_empty() {
                return Ok(dropped);
            }
            let mut state = self.lock();
            let mut work = Work::default();
            for (at_ms, id) in &due {
                work.batch.delete(Table::Meta, keys::expiring(*at_ms, id));
                // What is here no more has no texts.
                if let Some(row) = self.entry_row(id)? {
                    self.drop_bodies(&mut state, &mut work, id, &row.doc)?;
                    dropped += 1;
                }
            }
            self.finish(state, work)?;
        }
    }
}

/// What was said last of how long texts are kept, of what was said by rising time.
pub(super) fn expiry_in<'a>(said: impl Iterator<Item = &'a Spoken>) -> u64 {
    let expiry = said.filter_map(|spoken| match spoken {
        Spoken::Expiry { after_ms } => Some(*after_ms),
        _ => None,
    });
    expiry.last().unwrap_or(0)
}

pub(super) fn check_expiry(after_ms: u64) -> Result<(), EngineError> {
    if after_ms <= EXPIRY_MS_MAX {
        return Ok(());
    }
    let days = EXPIRY_MS_MAX / (24 * 3_600_000);
    Err(EngineError::Invalid(format!("texts are kept for ever or at most {days} days")))
}
