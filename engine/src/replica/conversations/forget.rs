//! Keys of texts that expire: each is erased once all that was sealed with it is over.
//!
//! In its place a mark stays, until when that was so: a text that comes later and is not over yet opens
//! the key again, if anybody still has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::age::KeyUse;
use super::{Circle, ConversationStanding, KeptConversation, Talk};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{ChangeId, EpochId};
use crate::model::entry::Spoken;
use crate::replica::{EngineError, Replica, State};
use crate::seal::hint_of;
use crate::store::{Batch, Table, keys};

/// Edits under one erased key that are told from messages.
const EDITS_MAX: usize = 1024;
/// First byte of a mark; rows of keys that are here begin with another.
const KIND: u8 = 0;

/// That a key was erased.
#[derive(Debug, Clone, Default)]
pub(crate) struct Erased {
    /// All that was sealed with it was over then.
    pub until_ms: u64,
    /// Of that what were edits: nobody can tell any more, and an edit is no message.
    pub edits: Arc<BTreeSet<ChangeId>>,
}

impl Erased {
    /// Whether a clock made it that was ahead of the one of now: then it is not so yet.
    pub(crate) const fn is_ahead(&self, now_ms: u64) -> bool {
        now_ms > 0 && self.until_ms > now_ms
    }

    /// `0 ‖ until u64be ‖ count varint ‖ edit 32 each`.
    fn row(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(KIND).u64(self.until_ms).varint(self.edits.len() as u64);
        for edit in &*self.edits {
            w.raw(edit.as_bytes());
        }
        w.finish()
    }

    /// Reads a mark; `None` if the row is another.
    pub(crate) fn parse(row: &[u8]) -> Option<Self> {
        let read = |mut r: Reader<'_>| -> Result<Self, DecodeError> {
            let until_ms = r.u64("until when")?;
            let count = r.count(EDITS_MAX, "edits")?;
            let edits = (0..count).map(|_| r.array("edit").map(ChangeId::from_bytes));
            let edits = Arc::new(edits.collect::<Result<_, _>>()?);
            r.end()?;
            Ok(Self { until_ms, edits })
        };
        let rest = row.strip_prefix(&[KIND])?;
        read(Reader::new(rest)).ok()
    }
}

impl Replica {
    /// Erases keys with which only texts that are over were sealed, and with which nothing is sealed
    /// any more; returns how many.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn forget_keys(&self, now_ms: u64) -> Result<u64, EngineError> {
        let mut state = self.lock();
        if state.own.is_none() {
            return Ok(0);
        }
        let (mut erased, mut failed) = (0, None);
        let kept = self.conversations_kept(&mut state)?;
        // Of what is carried for others nothing opens here.
        let own = |kept: &&KeptConversation| kept.standing != ConversationStanding::Carried;
        for conversation in kept.values().filter(own) {
            // One that is damaged holds up no other.
            match self.forget_keys_of(&mut state, conversation, now_ms) {
                Ok(count) => erased += count,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(erased), Err)
    }

    fn forget_keys_of(
        &self,
        state: &mut State,
        kept: &KeptConversation,
        now_ms: u64,
    ) -> Result<u64, EngineError> {
        let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
        let due = self.due_keys(state, kept, &talk, now_ms)?;
        if !due.is_empty() {
            self.erase_keys(state, kept, &talk, &due)?;
        }
        Ok(due.len() as u64)
    }

    fn due_keys(
        &self,
        state: &mut State,
        kept: &KeptConversation,
        talk: &Talk,
        now_ms: u64,
    ) -> Result<Vec<EpochId>, EngineError> {
        let mut due = Vec::new();
        for (epoch, known) in talk.epochs.iter().chain(&talk.lost) {
            let spent = || {
                let hint = hint_of(epoch);
                talk.ages.is_spent(&hint, known.since_ms, now_ms, KeyUse::Expiring)
            };
            if known.until_ms <= now_ms
                && spent()
                && !due.contains(epoch)
                && !self.is_erased(state, &Circle::Conversation(kept.id), epoch, known.until_ms)?
            {
                due.push(*epoch);
            }
        }
        Ok(due)
    }

    fn erase_keys(
        &self,
        state: &mut State,
        kept: &KeptConversation,
        talk: &Talk,
        due: &[EpochId],
    ) -> Result<(), EngineError> {
        let circle = Circle::Conversation(kept.id);
        let all = self.open_all(state, kept, talk)?;
        let mut batch = Batch::new();
        for epoch in due {
            let edits = all.iter().filter(|opened| match &opened.what {
                Ok((Spoken::Edit { .. }, key)) => key.id() == *epoch,
                _ => false,
            });
            let edits = edits.take(EDITS_MAX).map(|opened| opened.id).collect();
            let known = talk.epochs.get(epoch).or_else(|| talk.lost.get(epoch));
            let until_ms = known.map_or(0, |known| known.until_ms);
            let erased = Erased { until_ms, edits: Arc::new(edits) };
            batch.put(Table::Meta, keys::keyring(&circle.bound_to(), epoch), erased.row());
        }
        drop(all);
        for epoch in due {
            state.unsaved_keys.remove(&keys::keyring(&circle.bound_to(), epoch));
            state.circle_keys.remove(&(circle, *epoch));
        }
        self.store.commit(batch)?;
        Ok(())
    }
}
