//! Posts whose text is a document, and what becomes of it when they are withdrawn.

use super::{ChainState, Draft, EngineError, Once, Replica, State, Text, TextEdit, Version, Work};
use crate::chain::ChainKey;
use crate::change::text::prescan_text;
use crate::description::{Description, TextLabel};
use crate::hash::{AccountId, ChangeHash, ChangeId, DocumentId};
use crate::model::entry::{Entry, EntryRef};
use crate::store::{Table, keys};

/// Versions of a text that are listed: each is put together from the whole text.
const VERSIONS_MAX: usize = 100;

impl Replica {
    /// Writes a post whose text is a document of its own, which can be as long as a text may be
    /// and is edited character by character; durable when it returns.
    ///
    /// # Errors
    /// As [`Replica::post_once`].
    pub fn post_long(
        &self,
        once: Option<&Once>,
        draft: Draft,
        quote: Option<EntryRef>,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        self.write_post(once, draft, quote, true, now_ms)
    }

    /// The document that holds the text of a post; `None` if its text is a body.
    ///
    /// # Errors
    /// If the post is not here or the store fails.
    pub fn document_of_post(&self, id: &ChangeId) -> Result<Option<DocumentId>, EngineError> {
        let missing = || EngineError::NotFound { what: "post", text: id.to_string() };
        let (row, entry) = self.entry(id)?.ok_or_else(missing)?;
        let mut state = self.lock();
        let description = self.description(&mut state, &row.doc)?.ok_or_else(missing)?;
        let Entry::Post { text: Some(label), .. } = entry else { return Ok(None) };
        Ok(Some(Self::text_of_label(&description.account, &label)))
    }

    /// Gives a post with a document for its text a new text, as part of a commit.
    pub(super) fn edit_long(
        &self,
        state: &mut State,
        work: &mut Work,
        label: &TextLabel,
        text: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let doc = Self::text_of_label(&account, label);
        let description = self.text_here(state, &doc)?;
        let edit = TextEdit::Replace(text.to_owned());
        Ok(self.write_text(state, work, &description, &edit, now_ms)?.change)
    }

    /// The text of a document as a post shows it, and when it was last changed.
    pub(super) fn long_text(
        &self,
        state: &mut State,
        account: &AccountId,
        label: &TextLabel,
    ) -> Result<(Text, u64), EngineError> {
        let doc = Self::text_of_label(account, label);
        let Some(description) = self.description(state, &doc)? else {
            return Ok((Text::Missing, 0));
        };
        if self.is_text_gone(state, &Work::default(), &doc)? {
            return Ok((Text::Deleted, 0));
        }
        if !self.chains_of(state, &doc)?.iter().any(|(_, chain)| chain.held > 0) {
            return Ok((Text::Missing, 0));
        }
        let shown = match self.shown_text(state, &description) {
            Ok(shown) => shown,
            Err(EngineError::Corrupt(_) | EngineError::MissingBlob(_)) => {
                return Ok((Text::Damaged, 0));
            }
            Err(error) => return Err(error),
        };
        Ok((Text::Here(shown.text()), shown.changed_ms()))
    }

    /// The newest versions of a text, oldest first: one for each edit, however many changes it
    /// took.
    pub(super) fn long_versions(
        &self,
        state: &mut State,
        account: &AccountId,
        label: &TextLabel,
    ) -> Result<Vec<Version>, EngineError> {
        let doc = Self::text_of_label(account, label);
        let Ok(description) = self.text_here(state, &doc) else { return Ok(Vec::new()) };
        let mut edits: Vec<(u64, ChangeId, ChainKey, ChangeHash)> = Vec::new();
        for change in self.merged_changes(state, &description, &doc)? {
            let Ok(scan) = prescan_text(&change.plain) else { continue };
            let id = ChangeId::of(&change.plain);
            match edits.last_mut() {
                Some(last) if last.2 == change.key && last.0 == scan.time_ms => {
                    *last = (scan.time_ms, id, change.key, scan.hash);
                }
                _ => edits.push((scan.time_ms, id, change.key, scan.hash)),
            }
        }
        edits.sort_unstable_by_key(|(time_ms, id, ..)| (*time_ms, *id));
        edits.drain(..edits.len().saturating_sub(VERSIONS_MAX));
        let shown = self.shown_text(state, &description)?;
        let versions = edits.into_iter().filter_map(|(time_ms, id, key, hash)| {
            let text = Text::Here(shown.text_at(&[hash])?);
            Some(Version { id, device: key.device, time_ms, text })
        });
        Ok(versions.collect())
    }

    /// Whether a text is withdrawn: posts name it, and all of them are.
    pub(super) fn is_text_gone(
        &self,
        state: &mut State,
        work: &Work,
        doc: &DocumentId,
    ) -> Result<bool, EngineError> {
        let mut posts: Vec<(ChangeId, DocumentId)> = Vec::new();
        for (key, _) in self.scan_all(Table::Rows, &keys::text_posts(doc))? {
            let Some(id) = keys::parse_last(&key) else { continue };
            posts.extend(self.entry_row(&id)?.map(|row| (id, row.doc)));
        }
        for (id, (row, entry)) in &work.entries {
            let Entry::Post { text: Some(label), .. } = entry else { continue };
            let author = self.description(state, &row.doc)?.map(|page| page.account);
            if author.is_some_and(|author| Self::text_of_label(&author, label) == *doc) {
                posts.push((*id, row.doc));
            }
        }
        for (id, page) in &posts {
            if !self.is_withdrawn(state, work, id, page)? {
                return Ok(false);
            }
        }
        Ok(!posts.is_empty())
    }

    /// Drops the text that a withdrawn entry of a page names, if it names one.
    pub(super) fn drop_long_text(
        &self,
        state: &mut State,
        work: &mut Work,
        page: &DocumentId,
        entry: &Entry,
    ) -> Result<(), EngineError> {
        let Entry::Post { text: Some(label), .. } = entry else { return Ok(()) };
        let Some(page) = self.description(state, page)? else { return Ok(()) };
        self.drop_text(state, work, &page.account, label)
    }

    /// Whether the changes of a text are wanted here: it is not withdrawn, and of a wall that is
    /// kept in part a post that is here names it.
    pub(super) fn is_text_wanted(
        &self,
        state: &mut State,
        work: &Work,
        description: &Description,
    ) -> Result<bool, EngineError> {
        let doc = description.id();
        if self.is_text_gone(state, work, &doc)? {
            return Ok(false);
        }
        let in_part = self.limits(state)?.contains_key(&description.space.id());
        Ok(!in_part || !self.scan_all(Table::Rows, &keys::text_posts(&doc))?.is_empty())
    }

    /// Drops the bytes of a text that is withdrawn. What remains is that there was one: its
    /// description, who wrote it, and the ids of its changes, which the signed heads name.
    fn drop_text(
        &self,
        state: &mut State,
        work: &mut Work,
        account: &AccountId,
        label: &TextLabel,
    ) -> Result<(), EngineError> {
        let doc = Self::text_of_label(account, label);
        if !self.is_text_gone(state, work, &doc)? {
            return Ok(());
        }
        let Some(description) = self.description(state, &doc)? else { return Ok(()) };
        let space = description.space.id();
        for (key, mut chain) in self.chains_of(state, &doc)? {
            if chain.held == 0 {
                continue;
            }
            let stored = self.change_ids(&key, 1, chain.held)?;
            let fresh = work.text_changes.remove(&key).unwrap_or_default();
            for id in stored.iter().chain(&fresh) {
                self.drop_text_change(work, id)?;
            }
            let none = ChainState::fresh(key.origin(&space));
            chain.held = none.held;
            chain.link = none.link;
            chain.last = none.last;
            chain.entries = none.entries;
            chain.bytes = none.bytes;
            state.dirty = true;
            state.chains.insert(key, chain);
            work.chains.insert(key);
        }
        work.maps.insert(doc);
        work.spaces.insert(space);
        state.texts.remove(&doc);
        state.shown_texts.remove(&doc);
        Ok(())
    }

    fn drop_text_change(&self, work: &mut Work, id: &ChangeId) -> Result<(), EngineError> {
        let blob = id.blob();
        work.batch.delete(Table::Truth, keys::blob(&blob));
        work.batch.delete(Table::Rows, keys::entry(id));
        work.needed.remove(&(blob, None));
        work.large.retain(|(hash, _)| *hash != blob);
        if self.store.blob_info(&blob)?.is_some() {
            work.files.push(blob);
        }
        Ok(())
    }

    /// Notes a change of a text that this commit adds, in case it is withdrawn by it too.
    pub(super) fn note_text_change(work: &mut Work, key: ChainKey, id: ChangeId) {
        work.text_changes.entry(key).or_default().push(id);
    }
}
