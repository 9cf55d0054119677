//! The end of every write: one batch, one wait for the disk, and then everybody is told.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::append::may_pipeline;
use super::peers::ALONG_MAX;
use super::{COMMIT_BYTES_WISHED, EngineError, Event, Replica, StateGuard, Work};
use crate::hash::DocumentId;
use crate::store::StoreError;

impl Replica {
    /// Commits what has gathered once it is a lot, and goes on; others may come between.
    pub(crate) fn commit_large<'a>(
        &'a self,
        state: StateGuard<'a>,
        work: &mut Work,
    ) -> Result<StateGuard<'a>, EngineError> {
        if work.bytes() < COMMIT_BYTES_WISHED {
            return Ok(state);
        }
        let mut large = std::mem::take(work);
        work.arriving = std::mem::take(&mut large.arriving);
        work.arrived = large.arrived;
        self.finish(state, large)?;
        Ok(self.lock())
    }

    /// Ends a commit: signs heads, numbers events, waits for the disk, tells listeners.
    pub(crate) fn finish<'a>(
        &'a self,
        mut state: StateGuard<'a>,
        mut work: Work,
    ) -> Result<(), EngineError> {
        if let Some(why) = &state.failed {
            return Err(StoreError::ReadOnly { reason: why.clone() }.into());
        }
        self.store_large(&std::mem::take(&mut work.large))?;
        let gone = !work.edited.is_empty();
        work.put_runs();
        self.mark_unsettled(&mut state, &mut work)?;
        self.note_searchable(&mut work)?;
        self.note_pictures(&mut state, &mut work)?;
        let docs: BTreeSet<DocumentId> = work.chains.iter().map(|key| key.doc).collect();
        state.forget_uses(&docs);
        Self::mark_hubs(&mut state, &work);
        Self::mark_talks(&mut state, &work);
        self.sign_heads(&mut state, &mut work)?;
        let journal_before = state.journal;
        self.write_journal(&mut state, &mut work)?;
        Self::forget_derived(&mut state, &work);
        let everywhere = Self::changes_wants(&state, &work);
        let spaces = std::mem::take(&mut work.spaces);
        let counted = (!everywhere).then_some(&spaces);
        state.forget_missing(counted);
        // Who is admitted to a section is in an account log.
        let judges = !work.accounts.is_empty();
        let touched = (!judges).then_some(&docs);
        state.forget_digests(&spaces, touched);
        if !work.batch.is_empty() {
            work.batch.append(state.take_along(ALONG_MAX));
        }
        let events = std::mem::take(&mut work.events);
        let files = std::mem::take(&mut work.files);
        let early = may_pipeline(&work, &events);
        let waiting = self.store.submit(std::mem::take(&mut work.batch));
        let durable = match waiting {
            Err(error) => Err(error),
            Ok(pending) if early => {
                state.dirty = false;
                drop(state);
                let durable = pending.wait();
                state = self.lock();
                // Others were shown digests and counts without this commit meanwhile.
                state.forget_uses(&docs);
                state.forget_digests(&spaces, touched);
                state.forget_missing(counted);
                durable
            }
            Ok(pending) => pending.wait(),
        };
        if let Err(error) = durable {
            // What is over a limit or finds no room was not written at all; anything else, who
            // knows.
            if matches!(error, StoreError::Refused { .. } | StoreError::DiskFull { .. }) {
                state.journal = journal_before;
            } else {
                state.failed = Some(error.to_string());
            }
            state.dirty = true;
            return Err(error.into());
        }
        if !early {
            state.dirty = false;
        }
        if gone {
            self.offered.forget();
        }
        drop(state);
        self.tell(&events);
        // After the rows: a crash between them leaves a file too many, never one too few.
        // One that stays harms nobody, and the commit stands either way.
        let _ = self.remove_files(&files);
        Ok(())
    }

    fn tell(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        // They may write and listen themselves.
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners.iter() {
            listener(events);
        }
    }
}
