//! Text documents: long texts that the own devices write character by character.

use std::sync::Arc;

use super::maps::drop_orphans;
use super::receive::{Arrival, Stop};
use super::steps::Step;
use super::{ChainState, EngineError, Replica, State, Work};
use crate::chain::ChainKey;
use crate::change::gate::GateError;
use crate::change::{Actor, ChainPosition};
use crate::description::{Description, DocumentKind, TextLabel};
use crate::document::{DocumentError, Splice, StoredChange, TextCounts, TextDocument, TextDrafts};
use crate::hash::{AccountId, ChangeHash, ChangeId, DocumentId};
use crate::limits::{
    LONG_TEXT_BYTES_MAX, TEXT_BYTES_MAX, TEXT_CHANGES_MAX, TEXT_DOCUMENT_BYTES_MAX,
};
use crate::store::{Table, keys};
use crate::sync::exchange::{Reason, Verdict};

/// What to do to a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextEdit {
    /// Make it this text, by the fewest insertions and deletions that are found.
    Replace(String),
    /// So, by somebody who had read it at these changes: what was written since stays.
    ReplaceSince {
        /// The changes that nothing built on then.
        heads: Vec<ChangeHash>,
        /// The text it is to be.
        text: String,
    },
    /// One splice after the other.
    Splices(Vec<Splice>),
}

/// What an edit of a text came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEdited {
    /// The last change that it took.
    pub change: ChangeId,
    /// Characters inserted and deleted.
    pub counts: TextCounts,
}

/// A text as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextView {
    /// The changes that nothing builds on yet, sorted.
    pub heads: Vec<ChangeHash>,
    /// The text.
    pub text: String,
}

impl Replica {
    /// Begins a text; durable when it returns.
    ///
    /// # Errors
    /// If the text is over a limit, this device may not write, or the store fails.
    pub fn create_text(&self, text: &str, now_ms: u64) -> Result<DocumentId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let mut work = Work::default();
        let (_, doc) = self.begin_text(&mut state, &mut work, text, now_ms)?;
        self.finish(state, work)?;
        Ok(doc)
    }

    /// Begins a text as part of a commit.
    pub(super) fn begin_text(
        &self,
        state: &mut State,
        work: &mut Work,
        text: &str,
        now_ms: u64,
    ) -> Result<(TextLabel, DocumentId), EngineError> {
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let label: TextLabel = crate::entropy::random(&*self.entropy);
        let description = Description::text(account, &label);
        let edit = TextEdit::Replace(text.to_owned());
        self.write_text(state, work, &description, &edit, now_ms)?;
        Ok((label, description.id()))
    }

    /// Edits an own text; durable when it returns.
    ///
    /// # Errors
    /// If it is not an own text that is here, nothing changes, the text comes to a limit, this
    /// device may not write, or the store fails.
    pub fn edit_text(
        &self,
        doc: &DocumentId,
        edit: &TextEdit,
        now_ms: u64,
    ) -> Result<TextEdited, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let description = self.text_here(&mut state, doc)?;
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        if description.account != account {
            return Err(EngineError::Denied(format!("{} is not yours", doc.short())));
        }
        let mut work = Work::default();
        let edited = self.write_text(&mut state, &mut work, &description, edit, now_ms)?;
        self.finish(state, work)?;
        Ok(edited)
    }

    /// A text as it is now.
    ///
    /// # Errors
    /// If it is not a text that is here, or the store fails or is damaged.
    pub fn read_text(&self, doc: &DocumentId) -> Result<TextView, EngineError> {
        let mut state = self.lock();
        let description = self.text_here(&mut state, doc)?;
        let shown = self.shown_text(&mut state, &description)?;
        Ok(TextView { heads: shown.heads(), text: shown.text() })
    }

    /// A text as its writer saw it right after one of its changes.
    ///
    /// # Errors
    /// As [`Replica::read_text`], or if it has no such change that counts.
    pub fn text_version(&self, doc: &DocumentId, change: &ChangeId) -> Result<String, EngineError> {
        let mut state = self.lock();
        let description = self.text_here(&mut state, doc)?;
        let missing = || EngineError::NotFound { what: "change", text: change.to_string() };
        let row = self.entry_row(change)?.filter(|row| row.doc == *doc).ok_or_else(missing)?;
        let bytes = self.held_bytes(&change.blob())?.ok_or_else(missing)?;
        let names = super::maps::names_of(DocumentKind::Text, &bytes)
            .ok_or_else(|| EngineError::corrupt(format!("change {} of a text", row.n)))?;
        let shown = self.shown_text(&mut state, &description)?;
        shown.text_at(&[names.hash]).ok_or_else(missing)
    }

    /// The description of a text that is here and not withdrawn.
    pub(super) fn text_here(
        &self,
        state: &mut State,
        doc: &DocumentId,
    ) -> Result<Arc<Description>, EngineError> {
        let description =
            self.description(state, doc)?.ok_or(EngineError::MissingDocument(*doc))?;
        if description.kind != DocumentKind::Text {
            return Err(EngineError::Invalid(format!("{} is not a text", doc.short())));
        }
        if self.is_text_gone(state, &Work::default(), doc)? {
            return Err(EngineError::Invalid(format!("text {} is deleted", doc.short())));
        }
        if !self.chains_of(state, doc)?.iter().any(|(_, chain)| chain.held > 0) {
            return Err(EngineError::NotFound { what: "text", text: doc.to_string() });
        }
        Ok(description)
    }

    /// Writes an edit as part of a commit.
    pub(super) fn write_text(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Description,
        edit: &TextEdit,
        now_ms: u64,
    ) -> Result<TextEdited, EngineError> {
        if let TextEdit::Replace(text) | TextEdit::ReplaceSince { text, .. } = edit
            && text.len() > LONG_TEXT_BYTES_MAX
        {
            let (bytes, bytes_max) = (text.len(), LONG_TEXT_BYTES_MAX);
            return Err(EngineError::TextTooLong { bytes, bytes_max });
        }
        work.now_ms = work.now_ms.max(now_ms);
        let description = self.ensure_document(state, work, description)?;
        let (mut key, mut chain) = self.own_chain(state, &description)?;
        let mut drafts = self.author_text(state, &description, key, &chain, edit, now_ms)?;
        // Of what is not here any more a number must not be written twice.
        if chain.held < chain.known || !fits(&chain, &drafts.chunks) {
            self.start_new_life(state, work)?;
            (key, chain) = self.own_chain(state, &description)?;
            drafts = self.author_text(state, &description, key, &chain, edit, now_ms)?;
        }
        let bytes: u64 = drafts.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let held = self.text_bytes(state, &key.doc)?;
        if !fits(&chain, &drafts.chunks) || held.saturating_add(bytes) > TEXT_DOCUMENT_BYTES_MAX {
            return Err(EngineError::Invalid("the text has no room for so much".into()));
        }
        state.dirty = true;
        if state.shown_texts.contains_key(&key.doc) {
            // What is shown leaves something out: both are made again after the commit.
            work.maps.insert(key.doc);
        }
        let TextDrafts { chunks, counts } = drafts;
        let shown = self.shown_text(state, &description)?;
        let extended = shown.extend(Actor::of(&key), chunks.iter().map(Vec::as_slice));
        if let Some(error) = extended.stop {
            return Err(EngineError::Invalid(error.to_string()));
        }
        let mut last = None;
        for (chunk, hash) in chunks.into_iter().zip(extended.hashes) {
            let hash = Some(hash);
            last = Some(self.add_map_change(state, work, &description, key, chunk, hash, true)?);
        }
        self.mark_text_posts(work, &key.doc)?;
        work.signed.insert(key, description);
        let change = last.ok_or_else(|| EngineError::Invalid("nothing to change".into()))?;
        Ok(TextEdited { change, counts })
    }

    fn author_text(
        &self,
        state: &mut State,
        description: &Arc<Description>,
        key: ChainKey,
        chain: &ChainState,
        edit: &TextEdit,
        now_ms: u64,
    ) -> Result<TextDrafts, EngineError> {
        let shown = self.shown_text(state, description)?;
        let position =
            ChainPosition { actor: Actor::of(&key), n: chain.held + 1, previous: chain.last };
        let drafts = match edit {
            TextEdit::Replace(text) => shown.replace(position, text, now_ms),
            TextEdit::ReplaceSince { heads, text } => {
                shown.replace_since(position, heads, text, now_ms)
            }
            TextEdit::Splices(splices) => shown.splice(position, splices, now_ms),
        };
        drafts.map_err(|error| match error {
            DocumentError::Nothing => EngineError::Invalid("nothing to change".into()),
            other => EngineError::Invalid(other.to_string()),
        })
    }

    /// Takes received changes of a text whose place in the chain is proven, with one trial for
    /// all of them. Returns how many, and why not the next one.
    pub(super) fn store_text_steps(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        steps: &[Step],
        limit: (u64, Verdict),
    ) -> Result<(u64, Option<Verdict>), Stop> {
        let Arrival { description, key, section, .. } = arrival;
        let chain = self.chain(state, &section.space, key)?;
        let mut room = chain.clone();
        let mut left = TEXT_DOCUMENT_BYTES_MAX.saturating_sub(self.text_bytes(state, &key.doc)?);
        let (mut chunks, mut stop) = (Vec::new(), None);
        for step in steps {
            if room.held >= limit.0 {
                stop = Some(limit.1);
                break;
            }
            let Some(bytes) = step.raw() else {
                stop = Some(Verdict::Deferred(Reason::NotHeld));
                break;
            };
            let size = bytes.len() as u64;
            if !has_room(&room, bytes.len()) {
                stop = Some(Verdict::Refused(Reason::Limit));
            } else if size > left {
                stop = Some(Verdict::Deferred(Reason::Quota));
            }
            if stop.is_some() {
                break;
            }
            (room.held, room.bytes, left) = (room.held + 1, room.bytes + size, left - size);
            chunks.push(bytes.clone());
        }
        if chunks.is_empty() {
            return Ok((0, stop));
        }
        let extended = self.extend_text(state, description, key, &chunks)?;
        let stored = extended.hashes.len();
        if let Some(error) = extended.stop {
            stop = Some(self.text_verdict(state, description, key, room.held, error)?);
        }
        let mut hidden = false;
        for (hash, chunk) in extended.hashes.into_iter().zip(&chunks) {
            let n = self.chain(state, &section.space, key)?.held + 1;
            hidden |= self.is_hidden(state, description, key, n)?;
            Self::arrived(state, &key.doc, &hash);
            let chunk = chunk.to_vec();
            self.add_map_change(state, work, description, *key, chunk, Some(hash), false)?;
        }
        if hidden || state.shown_texts.contains_key(&key.doc) {
            // What is shown is worked out again after the commit.
            work.maps.insert(key.doc);
        }
        if stored > 0 {
            self.mark_text_posts(work, &key.doc)?;
        }
        Ok((stored as u64, stop))
    }

    fn extend_text(
        &self,
        state: &mut State,
        description: &Arc<Description>,
        key: &ChainKey,
        chunks: &[bytes::Bytes],
    ) -> Result<crate::document::Extended, EngineError> {
        self.load_text(state, description)?;
        let text = state.texts.entry(key.doc).or_insert_with(|| TextDocument::new(key.doc));
        state.dirty = true;
        Ok(text.extend(Actor::of(key), chunks.iter().map(AsRef::as_ref)))
    }

    fn text_verdict(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        n: u64,
        error: GateError,
    ) -> Result<Verdict, EngineError> {
        Ok(match error {
            GateError::Deferred { missing } => {
                let void = self.is_void(state, description, key, n)?;
                let counts = !void || Self::awaits(state, &key.doc);
                Self::await_dependencies(state, key.doc, missing.into_iter().filter(|_| counts));
                Verdict::Deferred(Reason::Gap)
            }
            GateError::Quarantined(_) => Verdict::Deferred(Reason::Deferred),
            _ => Verdict::Refused(Reason::InvalidChange),
        })
    }

    /// The text as people see it; an empty one if nothing is here.
    pub(super) fn shown_text<'a>(
        &self,
        state: &'a mut State,
        description: &Arc<Description>,
    ) -> Result<&'a mut TextDocument, EngineError> {
        self.load_text(state, description)?;
        let doc = description.id();
        if state.shown_texts.contains_key(&doc) {
            return Ok(state.shown_texts.entry(doc).or_insert_with(|| TextDocument::new(doc)));
        }
        Ok(state.texts.entry(doc).or_insert_with(|| TextDocument::new(doc)))
    }

    /// Puts a text into the cache: of all held changes; and, where that differs, of those that
    /// are shown and those that they build on.
    fn load_text(
        &self,
        state: &mut State,
        description: &Arc<Description>,
    ) -> Result<(), EngineError> {
        let doc = description.id();
        if state.texts.contains_key(&doc) {
            return Ok(());
        }
        let (loaded, _) = drop_orphans(self.merged_changes(state, description, &doc)?);
        let kept = self.kept(state, description, &loaded)?;
        let stored = |change: &'_ super::maps::Loaded| (Actor::of(&change.key), change.n);
        let load = |wanted: &dyn Fn(usize) -> bool| {
            let wanted = loaded.iter().enumerate().filter(|(index, _)| wanted(*index));
            TextDocument::load(
                doc,
                wanted.map(|(_, change)| {
                    let (actor, n) = stored(change);
                    StoredChange { actor, n, bytes: &change.plain }
                }),
            )
            .map_err(EngineError::corrupt)
        };
        let whole = load(&|_| true)?;
        if kept.len() < loaded.len() {
            state.shown_texts.insert(doc, load(&|index| kept.contains(&index))?);
        }
        state.texts.insert(doc, whole);
        Ok(())
    }

    /// Stored bytes of all chains of a text.
    fn text_bytes(&self, state: &mut State, doc: &DocumentId) -> Result<u64, EngineError> {
        Ok(self.chains_of(state, doc)?.iter().map(|(_, chain)| chain.bytes).sum())
    }

    /// Leaves marks for the search index: posts whose text this is are to be looked at again.
    fn mark_text_posts(&self, work: &mut Work, doc: &DocumentId) -> Result<(), EngineError> {
        for (key, _) in self.scan_all(Table::Rows, &keys::text_posts(doc))? {
            if let Some(id) = keys::parse_last(&key) {
                work.batch.put(Table::Meta, keys::unindexed_entry(&id), Vec::new());
            }
        }
        Ok(())
    }

    /// The text document of a label that a post names.
    pub(super) fn text_of_label(account: &AccountId, label: &TextLabel) -> DocumentId {
        Description::text(*account, label).id()
    }
}

/// Whether a chain may take a change of so many stored bytes: the same rule for our own as for
/// what others wrote, else nobody takes what we wrote.
const fn has_room(chain: &ChainState, bytes: usize) -> bool {
    chain.held < TEXT_CHANGES_MAX && chain.bytes.saturating_add(bytes as u64) <= TEXT_BYTES_MAX
}

/// Whether a chain may take all these changes.
fn fits(chain: &ChainState, chunks: &[Vec<u8>]) -> bool {
    let bytes: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    chain.held.saturating_add(chunks.len() as u64) <= TEXT_CHANGES_MAX
        && chain.bytes.saturating_add(bytes) <= TEXT_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Link;

    #[test]
    fn a_chain_has_room_up_to_its_limits() {
        let full = |held, bytes| ChainState {
            held,
            bytes,
            ..ChainState::fresh(Link::from_bytes([1; 32]))
        };
        assert!(has_room(&full(TEXT_CHANGES_MAX - 1, 0), 1));
        assert!(!has_room(&full(TEXT_CHANGES_MAX, 0), 1));
        assert!(has_room(&full(0, TEXT_BYTES_MAX - 10), 10));
        assert!(!has_room(&full(0, TEXT_BYTES_MAX - 10), 11));
        let chunks = vec![vec![0; 5]; 2];
        assert!(fits(&full(TEXT_CHANGES_MAX - 2, TEXT_BYTES_MAX - 10), &chunks));
        assert!(!fits(&full(TEXT_CHANGES_MAX - 1, 0), &chunks));
        assert!(!fits(&full(0, TEXT_BYTES_MAX - 9), &chunks));
    }
}
