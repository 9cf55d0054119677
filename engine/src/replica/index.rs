//! The search index: rows in the store, beside what they lead to.
//!
//! A commit that touches an entry leaves a mark beside it, one small row, in the same batch;
//! what the mark stands for is done later, from the store alone, before anybody searches. So
//! writing stays as quick as it was, and index and store cannot part: not in a crash either.
//! What must not be found any more is taken out in the very commit that says so.
//! ```text
//! commit:  change, body, head, rows … + mark        (tombstone, hide: − terms of the target)
//! settle:  marks ──► terms of the texts that are held ──► − old terms, + new terms, − mark
//! ```
//! An entry is found by the words of all its texts that are held, as it is by its own. Which of
//! them is shown, and whether anything is, is asked when it is found.

use std::collections::{BTreeMap, BTreeSet};

use super::{EngineError, Replica, State, Text, Work};
use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{AccountId, BlobHash, ChangeId, DocumentId};
use crate::model::entry::{Attachment, BodyRef, Entry};
use crate::search::{Fact, FileKind, TERM_BYTES_MAX, TEXT_TERMS_MAX, text_terms};
use crate::store::{Batch, Operation, Table, keys};
use crate::view::{EntryRow, bodies_of};

/// Marks that are worked off under one lock and one commit: readers wait for as long.
const STEP: usize = 64;
/// Way of making the index; another one is built anew.
const INDEX_FORMAT: &[u8] = &[3];
const SETTING_INDEX: &str = "index";
/// Texts that one entry waits for, the newest first.
const ENTRY_TEXTS_MAX: usize = 1024;
/// Terms of one entry: those of its newest texts, and what else it is found by. They fit a row.
const ENTRY_TERMS_MAX: usize = 6 * TEXT_TERMS_MAX;

/// What [`Replica::rebuild_index`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexRebuilt {
    /// Rows that were there.
    pub before: u64,
    /// Rows that the texts give.
    pub rows: u64,
    /// Whether they are the same, key by key.
    pub equal: bool,
}

/// New entries of a commit by their chain: from, to, and the last one's id.
type Runs = BTreeMap<ChainKey, (u64, u64, ChangeId)>;

/// By what an entry is found, as it is stored.
#[derive(Debug, Default, PartialEq, Eq)]
struct FoundBy {
    time_ms: u64,
    terms: BTreeSet<Vec<u8>>,
    /// Its texts that are not here.
    missing: BTreeSet<BlobHash>,
}

impl FoundBy {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u64(self.time_ms).varint(self.terms.len() as u64);
        for term in &self.terms {
            w.bytes(term);
        }
        w.varint(self.missing.len() as u64);
        for hash in &self.missing {
            w.raw(hash.as_bytes());
        }
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let time_ms = r.u64("index time")?;
        let count = r.count(ENTRY_TERMS_MAX, "index terms")?;
        let mut terms = BTreeSet::new();
        for _ in 0..count {
            terms.insert(r.bytes(TERM_BYTES_MAX, "index term")?.to_vec());
        }
        let count = r.count(ENTRY_TEXTS_MAX, "index texts")?;
        let mut missing = BTreeSet::new();
        for _ in 0..count {
            missing.insert(BlobHash::from_bytes(r.array("index text")?));
        }
        r.end()?;
        Ok(Self { time_ms, terms, missing })
    }
}

impl Replica {
    /// Leaves marks in a commit for what it changes, and takes out of the index what it
    /// withdraws, hides or gives up.
    pub(super) fn note_searchable(&self, work: &mut Work) -> Result<(), EngineError> {
        let mut marks = BTreeSet::new();
        let mut runs = Runs::new();
        let mut gone = BTreeSet::new();
        for operation in work.batch.operations() {
            match operation {
                Operation::Put { table: Table::Rows, key, value } => match key.first() {
                    Some(b'e') if value.last().copied().is_some_and(is_found) => {
                        let Some(id) = keys::parse_last(key) else { continue };
                        let Some((row, _)) = work.entries.get(&id) else { continue };
                        let run = runs.entry(row.chain()).or_insert((row.n, row.n, id));
                        *run = (run.0.min(row.n), run.1.max(row.n), id);
                    }
                    Some(b'm') => {
                        let Some(target) = target(key) else { continue };
                        marks.insert(target);
                        if matches!(value.as_ref(), [0x11 | 0x12]) {
                            gone.insert(target);
                        }
                    }
                    _ => {}
                },
                Operation::Delete { table: Table::Rows, key } => match key.first() {
                    // Whom an answer to it answers is not known any more.
                    Some(b'e') => {
                        gone.extend(keys::parse_last(key));
                        marks.extend(keys::parse_last(key));
                    }
                    Some(b'm') => marks.extend(target(key)),
                    _ => {}
                },
                Operation::Put { table: Table::Meta, key, .. }
                | Operation::Delete { table: Table::Meta, key } => {
                    // A moderator had a message purged, or that came to nothing.
                    gone.extend(keys::parse_purged(key));
                    marks.extend(keys::parse_purged(key));
                }
                _ => {}
            }
        }
        for id in &gone {
            if let Some(known) = self.found_by(id)? {
                take_out(&mut work.batch, id, &known);
            }
        }
        for (chain, (first, last, id)) in runs {
            if first == last {
                marks.insert(id);
            } else {
                let last = last.to_be_bytes().to_vec();
                work.batch.put(Table::Meta, keys::unindexed_run(&chain, first), last);
            }
        }
        for id in marks {
            work.batch.put(Table::Meta, keys::unindexed_entry(&id), Vec::new());
        }
        for doc in &work.cuts {
            work.batch.put(Table::Meta, keys::unindexed_document(doc), Vec::new());
        }
        for account in &work.accounts {
            work.batch.put(Table::Meta, keys::unindexed_account(account), Vec::new());
        }
        Ok(())
    }

    /// Leaves marks for the entries that waited for a text.
    pub(super) fn note_text(&self, batch: &mut Batch, hash: &BlobHash) -> Result<(), EngineError> {
        for (key, _) in self.scan_all(Table::Rows, &keys::awaiting_text(hash))? {
            if let Some(id) = keys::parse_last(&key) {
                batch.put(Table::Meta, keys::unindexed_entry(&id), Vec::new());
            }
        }
        Ok(())
    }

    /// Leaves marks for the entries of a document that have a text no more.
    pub(super) fn note_text_gone(
        &self,
        state: &mut State,
        batch: &mut Batch,
        hash: &BlobHash,
        doc: &DocumentId,
    ) -> Result<(), EngineError> {
        for (key, chain) in self.chains_of(state, doc)? {
            for n in 1..=chain.held {
                // An entry that is damaged itself is found by nothing.
                for item in self.log_items(&key, n, n).unwrap_or_default() {
                    if bodies_of(&item.entry).iter().any(|body| body.hash == *hash) {
                        let id = match item.entry {
                            Entry::Edit { target, .. } => target,
                            _ => item.id,
                        };
                        batch.put(Table::Meta, keys::unindexed_entry(&id), Vec::new());
                    }
                }
            }
        }
        Ok(())
    }

    /// Brings the index up to date; returns how many entries were looked at. Writers wait for
    /// one step of it at most.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn settle_index(&self) -> Result<u64, EngineError> {
        if self.setting(SETTING_INDEX)?.as_deref() != Some(INDEX_FORMAT) {
            self.drop_index()?;
        }
        let (mut count, mut from) = (0, None);
        loop {
            count += self.settle_step(&mut from)?;
            // What came behind is seen by the next walk, from the beginning.
            if from.is_none() && !self.is_unsettled()? {
                return Ok(count);
            }
        }
    }

    fn is_unsettled(&self) -> Result<bool, EngineError> {
        Ok(!self.store.scan(Table::Meta, keys::UNINDEXED, None, false, 1)?.is_empty())
    }

    /// Works off some marks, and says where the next ones are. A walk that began at the first
    /// mark each time would pass all that were worked off, which the store forgets late.
    fn settle_step(&self, from: &mut Option<Vec<u8>>) -> Result<u64, EngineError> {
        if from.is_none() && !self.is_unsettled()? {
            return Ok(0);
        }
        let mut state = self.lock();
        // What was handed to the store before is read below.
        self.store.commit(Batch::new())?;
        let marks = self.store.scan(Table::Meta, keys::UNINDEXED, from.as_deref(), false, STEP)?;
        *from = None;
        let mut batch = Batch::new();
        let mut again = BTreeSet::new();
        let mut looked = 0;
        for (key, value) in &marks {
            // The rest of a run that is cut comes after this place.
            *from = Some([key.as_ref(), &[0]].concat());
            if let Some((chain, first)) = keys::parse_unindexed_run(key) {
                let run = (first, value.as_ref());
                looked += self.index_run(&mut state, &mut batch, &chain, run, &mut again)?;
                if looked >= STEP as u64 || batch.bytes() > super::COMMIT_BYTES_WISHED {
                    break;
                }
                continue;
            }
            match (key.get(1), key.last_chunk::<32>()) {
                (Some(b'e'), Some(id)) => {
                    let id = ChangeId::from_bytes(*id);
                    again.extend(self.index(&mut state, &mut batch, &id)?);
                }
                (Some(b'd'), Some(doc)) => {
                    let doc = DocumentId::from_bytes(*doc);
                    again.extend(self.modified_by(&mut state, &doc)?);
                }
                (Some(b'a'), Some(account)) => {
                    let account = AccountId::from_bytes(*account);
                    self.mark_documents(&mut state, &mut batch, &account)?;
                }
                _ => {}
            }
            looked += 1;
            batch.delete(Table::Meta, key.clone());
            if batch.bytes() > super::COMMIT_BYTES_WISHED {
                break;
            }
        }
        for id in again {
            batch.put(Table::Meta, keys::unindexed_entry(&id), Vec::new());
        }
        self.store.commit(batch)?;
        Ok(looked)
    }

    /// Indexes the first entries of a run anew, and marks the rest.
    fn index_run(
        &self,
        state: &mut State,
        batch: &mut Batch,
        chain: &ChainKey,
        (first, last): (u64, &[u8]),
        again: &mut BTreeSet<ChangeId>,
    ) -> Result<u64, EngineError> {
        batch.delete(Table::Meta, keys::unindexed_run(chain, first));
        let Some(last) = last.first_chunk::<8>().map(|last| u64::from_be_bytes(*last)) else {
            return Ok(0);
        };
        let now = last.min(first.saturating_add(STEP as u64 - 1));
        let ids = self.change_ids(chain, first, now)?;
        for id in &ids {
            again.extend(self.index(state, batch, id)?);
        }
        if now < last {
            let last = last.to_be_bytes().to_vec();
            batch.put(Table::Meta, keys::unindexed_run(chain, now + 1), last);
        }
        Ok(ids.len() as u64)
    }

    fn mark_documents(
        &self,
        state: &mut State,
        batch: &mut Batch,
        account: &AccountId,
    ) -> Result<(), EngineError> {
        for space in self.known_spaces()? {
            for (doc, description) in self.documents(state, &space)? {
                if description.account == *account && description.kind.is_log() {
                    batch.put(Table::Meta, keys::unindexed_document(&doc), Vec::new());
                }
            }
        }
        Ok(())
    }

    /// Entries that modifications in a document name.
    fn modified_by(
        &self,
        state: &mut State,
        doc: &DocumentId,
    ) -> Result<BTreeSet<ChangeId>, EngineError> {
        let mut targets = BTreeSet::new();
        for (key, chain) in self.chains_of(state, doc)? {
            if chain.modifications == 0 {
                continue;
            }
            for item in self.log_items(&key, 1, chain.held)? {
                match item.entry {
                    Entry::Edit { target, .. }
                    | Entry::Tombstone { target }
                    | Entry::Hide { target }
                    | Entry::Unhide { target } => {
                        targets.insert(target);
                    }
                    _ => {}
                }
            }
        }
        Ok(targets)
    }

    /// Indexes one entry anew; returns entries that are to be looked at again because of it.
    fn index(
        &self,
        state: &mut State,
        batch: &mut Batch,
        id: &ChangeId,
    ) -> Result<BTreeSet<ChangeId>, EngineError> {
        let known = self.found_by(id)?;
        let wanted = self.wanted(state, id)?;
        let mut again = BTreeSet::new();
        if known.is_none() {
            // Answers that came first could not know whom they answer.
            for (key, _) in self.scan_all(Table::Rows, &keys::responses(id))? {
                // A reaction to what is not here is found by nothing yet.
                again.extend(keys::parse_last(&key));
            }
        }
        let known = known.unwrap_or_default();
        if known != wanted {
            take_out(batch, id, &known);
            put_in(batch, id, &wanted);
        }
        Ok(again)
    }

    /// By what an entry is found.
    fn found_by(&self, id: &ChangeId) -> Result<Option<FoundBy>, EngineError> {
        let Some(bytes) = self.store.get(Table::Rows, &keys::found_by(id))? else {
            return Ok(None);
        };
        Ok(Some(FoundBy::decode(&bytes).map_err(EngineError::corrupt)?))
    }

    /// By what an entry should be found.
    fn wanted(&self, state: &mut State, id: &ChangeId) -> Result<FoundBy, EngineError> {
        let mut wanted = FoundBy::default();
        let Some((row, entry)) = self.entry(id)? else { return Ok(wanted) };
        let Some(description) = self.description(state, &row.doc)? else { return Ok(wanted) };
        let is_text = matches!(
            entry,
            Entry::Post { .. } | Entry::Reply { .. } | Entry::Message(_) | Entry::Poll(_)
        );
        let is_other = matches!(entry, Entry::Repost { .. } | Entry::Reaction { .. });
        let gone = self.is_withdrawn(state, &Work::default(), id, &row.doc)?
            || self.is_purged(state, &Work::default(), id, &row.doc)?;
        if gone || !(is_text || is_other) || self.is_hidden_now(state, id, &row)? {
            return Ok(wanted);
        }
        wanted.time_ms = row.time_ms;
        let mut terms: BTreeSet<_> = self.facts_of(state, &entry)?.iter().map(Fact::term).collect();
        if is_text {
            terms.extend([Fact::Any, Fact::From(description.account)].iter().map(Fact::term));
            if let Some((hub, channel)) = description.space.hub().zip(description.channel_id()) {
                let places = [Fact::Message, Fact::Hub(hub), Fact::Channel(channel)];
                terms.extend(places.iter().map(Fact::term));
            }
            for body in self.texts_of(id, &row, &entry)? {
                let Text::Here(text) = self.text(&body, &row.doc)? else {
                    if wanted.missing.len() < ENTRY_TEXTS_MAX {
                        wanted.missing.insert(body.hash);
                    }
                    continue;
                };
                if terms.len() + TEXT_TERMS_MAX < ENTRY_TERMS_MAX {
                    terms.extend(text_terms(&text));
                }
            }
        }
        if let Entry::Post { text: Some(label), .. } = &entry
            && let (Text::Here(text), _) = self.long_text(state, &description.account, label)?
        {
            terms.extend(text_terms(&text));
        }
        wanted.terms = terms;
        Ok(wanted)
    }

    fn is_hidden_now(
        &self,
        state: &mut State,
        id: &ChangeId,
        row: &EntryRow,
    ) -> Result<bool, EngineError> {
        let modifications = self.modifications(state, id, row)?;
        Ok(modifications.iter().fold(false, |hidden, modification| match modification.entry {
            Entry::Hide { .. } => true,
            Entry::Unhide { .. } => false,
            _ => hidden,
        }))
    }

    /// All texts that an entry has or had, the newest first.
    fn texts_of(
        &self,
        id: &ChangeId,
        row: &EntryRow,
        entry: &Entry,
    ) -> Result<Vec<BodyRef>, EngineError> {
        let mut texts = Vec::new();
        for (key, value) in self.scan_all(Table::Rows, &keys::modifications(id))? {
            let (Some(edit), [0x10]) = (keys::parse_last(&key), value.as_ref()) else { continue };
            if let Some((by, Entry::Edit { body, .. })) = self.entry(&edit)?
                && by.doc == row.doc
            {
                texts.push((by.time_ms, edit, body));
            }
        }
        texts.sort_by_key(|(time_ms, edit, _)| std::cmp::Reverse((*time_ms, *edit)));
        let own = match entry {
            Entry::Post { body, .. } | Entry::Reply { body, .. } => Some(*body),
            Entry::Message(message) => Some(message.body),
            Entry::Poll(poll) => Some(poll.body),
            _ => None,
        };
        Ok(texts.into_iter().map(|(_, _, body)| body).chain(own).collect())
    }

    fn facts_of(&self, state: &mut State, entry: &Entry) -> Result<Vec<Fact>, EngineError> {
        Ok(match entry {
            Entry::Post { attachments, quote, .. } => {
                let quotes = quote.iter().flat_map(|q| [Fact::Quote, Fact::QuoteOf(q.account)]);
                quotes.chain(files(attachments)).collect()
            }
            Entry::Repost { target } => vec![Fact::QuoteOf(target.account)],
            Entry::Reply { target, attachments, .. } => {
                let author = self.author(state, target)?;
                let answers = author.map(Fact::AnswerTo);
                [Fact::Comment].into_iter().chain(answers).chain(files(attachments)).collect()
            }
            Entry::Message(message) => {
                let answer = message.target.is_some().then_some(Fact::Comment);
                answer.into_iter().chain(files(&message.attachments)).collect()
            }
            Entry::Reaction { target, .. } => {
                self.author(state, target)?.map(Fact::ReactionTo).into_iter().collect()
            }
            _ => Vec::new(),
        })
    }

    /// Who wrote an entry.
    pub(super) fn author(
        &self,
        state: &mut State,
        id: &ChangeId,
    ) -> Result<Option<AccountId>, EngineError> {
        let Some(row) = self.entry_row(id)? else { return Ok(None) };
        Ok(self.description(state, &row.doc)?.map(|description| description.account))
    }

    /// Drops the index and builds it again from what is here.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn rebuild_index(&self) -> Result<IndexRebuilt, EngineError> {
        self.settle_index()?;
        let (before, was) = self.index_digest()?;
        self.drop_index()?;
        self.settle_index()?;
        let (rows, is) = self.index_digest()?;
        Ok(IndexRebuilt { before, rows, equal: was == is })
    }

    /// How many rows the index has, and the hash of all of them.
    pub(super) fn index_digest(&self) -> Result<(u64, BlobHash), EngineError> {
        let mut hasher = blake3::Hasher::new();
        let mut count = 0;
        let mut start: Option<Vec<u8>> = None;
        loop {
            let rows = self.store.scan(Table::Rows, keys::SEARCH, start.as_deref(), false, STEP)?;
            let Some((last, _)) = rows.last() else { break };
            let mut next = last.to_vec();
            next.push(0);
            start = Some(next);
            for (key, value) in &rows {
                count += 1;
                hasher.update(&(key.len() as u64).to_be_bytes()).update(key);
                hasher.update(&(value.len() as u64).to_be_bytes()).update(value);
            }
        }
        Ok((count, BlobHash::from_bytes(*hasher.finalize().as_bytes())))
    }

    /// Takes all out and marks every entry. The setting comes last: after a crash it begins
    /// again.
    fn drop_index(&self) -> Result<(), EngineError> {
        let mut unset = Batch::new();
        unset.delete(Table::Meta, keys::setting(SETTING_INDEX));
        self.store.commit(unset)?;
        let state = self.lock();
        loop {
            let rows = self.store.scan(Table::Rows, keys::SEARCH, None, false, 16 * STEP)?;
            if rows.is_empty() {
                break;
            }
            let mut batch = Batch::new();
            for (key, _) in rows {
                batch.delete(Table::Rows, key);
            }
            self.store.commit(batch)?;
        }
        drop(state);
        let mut start: Option<Vec<u8>> = None;
        loop {
            let rows = self.store.scan(Table::Rows, b"e", start.as_deref(), false, 16 * STEP)?;
            let Some((last, _)) = rows.last() else { break };
            let mut next = last.to_vec();
            next.push(0);
            start = Some(next);
            let mut batch = Batch::new();
            for (key, value) in &rows {
                let Some(id) = keys::parse_last(key) else { continue };
                if value.last().copied().is_some_and(is_found) {
                    batch.put(Table::Meta, keys::unindexed_entry(&id), Vec::new());
                }
            }
            self.store.commit(batch)?;
        }
        let mut set = Batch::new();
        set.put(Table::Meta, keys::setting(SETTING_INDEX), INDEX_FORMAT.to_vec());
        self.store.commit(set)?;
        Ok(())
    }
}

/// Whether entries of a kind are found: posts, reposts, comments, reactions, messages, polls.
const fn is_found(kind: u8) -> bool {
    matches!(kind, 0x02..=0x05 | 0x07 | 0x08)
}

/// The entry that a modification row is about.
fn target(key: &[u8]) -> Option<ChangeId> {
    Some(ChangeId::from_bytes(*key.strip_prefix(b"m")?.first_chunk::<32>()?))
}

fn files(attachments: &[Attachment]) -> impl Iterator<Item = Fact> {
    attachments.iter().flat_map(|file| {
        let kind = FileKind::of(&file.media_type).map(|kind| Fact::File(Some(kind)));
        std::iter::once(Fact::File(None)).chain(kind)
    })
}

fn take_out(batch: &mut Batch, id: &ChangeId, known: &FoundBy) {
    for term in &known.terms {
        batch.delete(Table::Rows, keys::posting(term, known.time_ms, id));
    }
    for hash in &known.missing {
        batch.delete(Table::Rows, keys::awaits_text(hash, id));
    }
    if !known.terms.is_empty() {
        batch.delete(Table::Rows, keys::found_by(id));
    }
}

fn put_in(batch: &mut Batch, id: &ChangeId, wanted: &FoundBy) {
    for term in &wanted.terms {
        batch.put(Table::Rows, keys::posting(term, wanted.time_ms, id), Vec::new());
    }
    for hash in &wanted.missing {
        batch.put(Table::Rows, keys::awaits_text(hash, id), Vec::new());
    }
    if !wanted.terms.is_empty() {
        batch.put(Table::Rows, keys::found_by(id), wanted.encode());
    }
}
