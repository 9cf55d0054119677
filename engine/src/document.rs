//! Documents over Automerge: maps and texts that are merged, pages that are shown.
//!
//! Stored chunks are the truth. A document here is made from them, and thrown away; no
//! saved form of Automerge's is ever loaded, and nothing reaches it unvetted.

use std::collections::BTreeMap;

use automerge::{Automerge, ROOT, ReadDoc};
use thiserror::Error;

use crate::change::gate::{
    Draft, Examined, GateError, Run, apply, automerge_hash, change_hash, examine, operation_id,
    trial,
};
use crate::change::log::{LogError, LogFields};
use crate::change::malformed::Malformed;
use crate::change::prescan::prescan;
use crate::change::value::Value;
use crate::change::{Actor, ChainPosition};
use crate::hash::{ChangeHash, ChangeId, DocumentId};
use crate::limits::{CHANGE_DEPENDENCIES_MAX, TEXT_COUNTER_MAX};

mod text;

pub use text::{Extended, Splice, TextCounts, TextDocument, TextDrafts};

/// Why a document cannot be made or changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// A stored change does not pass the gate.
    #[error("stored change {id}: {reason}")]
    Stored {
        /// Which.
        id: ChangeId,
        /// What the gate says.
        reason: GateError,
    },
    /// A stored log change is not in the one form.
    #[error("stored log change {id}: {reason}")]
    StoredLog {
        /// Which.
        id: ChangeId,
        /// What is wrong.
        reason: LogError,
    },
    /// Automerge does not take a page's changes; a dependency may be missing.
    #[error("the page does not load into automerge")]
    Page,
    /// A vetted change is for another document.
    #[error("change was vetted for document {found}, not for {expected}")]
    OtherDocument {
        /// This document.
        expected: DocumentId,
        /// The change's.
        found: DocumentId,
    },
    /// The position is not the next one of the chain.
    #[error("change {n} is not the next one of its chain")]
    Position {
        /// The number asked for.
        n: u64,
    },
    /// What a text was read at is not here.
    #[error("the text was read at changes that are not here")]
    Base,
    /// A splice reaches beyond the text.
    #[error("a splice reaches beyond the text")]
    Range,
    /// The text comes to its limit.
    #[error(
        "more than {TEXT_COUNTER_MAX} characters were written into this text; begin another one"
    )]
    TextLength,
    /// Edits that change nothing.
    #[error("nothing to change")]
    Nothing,
    /// The change does not pass the gate.
    #[error(transparent)]
    Gate(#[from] GateError),
}

/// A change that passed the whole gate of one document, trial included.
///
/// Only [`MapDocument::gate`] makes one.
#[derive(Debug)]
pub struct GatedChange {
    doc: DocumentId,
    examined: Examined,
    trial: Automerge,
    version: u64,
}

impl GatedChange {
    /// Returns Automerge's name of it.
    #[must_use]
    pub const fn hash(&self) -> ChangeHash {
        self.examined.scan.hash
    }

    /// Returns our name of it, if it is stored unsealed.
    #[must_use]
    pub const fn id(&self) -> ChangeId {
        self.examined.id
    }

    /// Returns the uncompressed chunk.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.examined.change.raw_bytes()
    }
}

/// A stored change with the place in its chain that the chain's links prove.
#[derive(Debug, Clone, Copy)]
pub struct StoredChange<'a> {
    /// The chain's actor.
    pub actor: Actor,
    /// Number in the chain, from 1.
    pub n: u64,
    /// The uncompressed chunk.
    pub bytes: &'a [u8],
}

/// One of the values that concurrent edits left under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The value.
    pub value: Value,
    /// The change that put it.
    pub change: ChangeHash,
    /// The chain that the change is of.
    pub actor: Actor,
}

/// A map document: text keys, scalar values, many devices.
#[derive(Debug, Clone)]
pub struct MapDocument {
    doc: DocumentId,
    inner: Automerge,
    tips: BTreeMap<Actor, (u64, ChangeHash)>,
    version: u64,
}

impl MapDocument {
    /// Starts an empty document.
    #[must_use]
    pub fn new(doc: DocumentId) -> Self {
        Self { doc, inner: Automerge::new(), tips: BTreeMap::new(), version: 0 }
    }

    /// Makes the document from its stored changes, in any order.
    ///
    /// Every change passes the gate again; only the copy for the trial is saved, since the
    /// whole document is thrown away when one fails.
    ///
    /// # Errors
    /// If a change does not pass, or what it depends on is not given.
    pub fn load<'a>(
        doc: DocumentId,
        stored: impl IntoIterator<Item = StoredChange<'a>>,
    ) -> Result<Self, DocumentError> {
        let mut ordered = Vec::new();
        for change in stored {
            let fail = |reason| stored_error(change.bytes, GateError::Invalid(reason));
            ordered.push((prescan(change.bytes).map_err(fail)?.start_operation, change));
        }
        // Each change starts above all it depends on, so this order has dependencies first.
        ordered.sort_by_key(|(start, change)| (*start, change.actor, change.n));
        if let Some(document) = Self::load_at_once(doc, &ordered) {
            return Ok(document);
        }
        let mut document = Self::new(doc);
        for (_, change) in ordered {
            let fail = |reason| stored_error(change.bytes, reason);
            let previous = document.tip(&change.actor).map(|(_, hash)| hash);
            let position = ChainPosition { actor: change.actor, n: change.n, previous };
            let examined = examine(&document.inner, change.bytes, &position).map_err(fail)?;
            document.apply_in_place(&examined).map_err(fail)?;
        }
        Ok(document)
    }

    /// Makes the document of changes in the order of what they build on; `None` if something is
    /// not right with one of them.
    fn load_at_once(doc: DocumentId, ordered: &[(u64, StoredChange<'_>)]) -> Option<Self> {
        let mut document = Self::new(doc);
        let mut run = Run::new(Automerge::new())?;
        for (_, change) in ordered {
            let position = ChainPosition {
                n: change.n,
                ..ChainPosition::after(change.actor, document.tip(&change.actor))
            };
            let hash = run.take(change.bytes, &position).ok()?;
            document.advance(change.actor, (change.n, hash));
        }
        document.inner = run.finish()?;
        Some(document)
    }

    /// Takes in changes of one chain, one after the other, that pass the gate, and returns their
    /// names; stops before the first that does not. They are tried together: if Automerge does
    /// not take all of them none is taken in, and each is to be tried alone.
    pub fn extend<'a>(
        &mut self,
        actor: Actor,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<ChangeHash> {
        let Some(mut run) = Run::new(self.inner.clone()) else { return Vec::new() };
        let mut position = self.next_position(actor);
        let mut taken = Vec::new();
        for bytes in chunks {
            let Ok(hash) = run.take(bytes, &position) else { break };
            taken.push((position.n, hash));
            position = ChainPosition::after(actor, Some((position.n, hash)));
        }
        let Some(inner) = run.finish() else { return Vec::new() };
        self.inner = inner;
        for tip in &taken {
            self.advance(actor, *tip);
        }
        taken.into_iter().map(|(_, hash)| hash).collect()
    }

    /// As [`MapDocument::load`], but leaves out what does not pass and what builds on that:
    /// changes that were sealed when they came were stored before anybody could look.
    #[must_use]
    pub fn load_sound(doc: DocumentId, stored: &[StoredChange<'_>]) -> Self {
        let scanned = stored.iter().filter_map(|change| {
            prescan(change.bytes).ok().map(|scan| (scan.start_operation, *change))
        });
        let mut ordered: Vec<_> = scanned.collect();
        ordered.sort_by_key(|(start, change)| (*start, change.actor, change.n));
        let mut document = Self::new(doc);
        for (_, change) in ordered {
            let position = document.next_position(change.actor);
            if let (true, Ok(gated)) =
                (position.n == change.n, document.gate(change.bytes, position))
                && let Err(_unsound) = document.apply_vetted(gated)
            {
                break;
            }
        }
        document
    }

    /// Returns the document's id.
    #[must_use]
    pub const fn id(&self) -> DocumentId {
        self.doc
    }

    /// Returns number and hash of the newest change of a chain.
    #[must_use]
    pub fn tip(&self, actor: &Actor) -> Option<(u64, ChangeHash)> {
        self.tips.get(actor).copied()
    }

    /// Returns where the next change of a chain has to stand.
    #[must_use]
    pub fn next_position(&self, actor: Actor) -> ChainPosition {
        ChainPosition::after(actor, self.tip(&actor))
    }

    /// Lets a change through the gate; the document stays as it is.
    ///
    /// # Errors
    /// [`GateError::Invalid`] is for ever and the same everywhere; [`GateError::Deferred`]
    /// ends when the missing changes are here; see [`GateError`] for the others.
    pub fn gate(&self, bytes: &[u8], expected: ChainPosition) -> Result<GatedChange, GateError> {
        let examined = examine(&self.inner, bytes, &expected)?;
        let trial = trial(&self.inner, &examined)?;
        Ok(GatedChange { doc: self.doc, examined, trial, version: self.version })
    }

    /// Takes in a change that passed the gate of this document. A change that is held
    /// already changes nothing.
    ///
    /// # Errors
    /// If it was vetted for another document, or another change took its place meanwhile.
    pub fn apply_vetted(&mut self, change: GatedChange) -> Result<(), DocumentError> {
        if change.doc != self.doc {
            let (expected, found) = (self.doc, change.doc);
            return Err(DocumentError::OtherDocument { expected, found });
        }
        let scan = &change.examined.scan;
        let tip = (scan.sequence, scan.hash);
        let next = if change.version == self.version {
            change.trial
        } else {
            trial(&self.inner, &change.examined)?
        };
        self.inner = next;
        self.advance(scan.actor, tip);
        Ok(())
    }

    /// Builds a change of our own: `Some` puts, `None` deletes.
    ///
    /// It depends on the document's heads (on 64 changes at most, the chain's own previous
    /// one among them), and has passed the same gate as a stranger's. The document stays as
    /// it is until [`MapDocument::apply_vetted`].
    ///
    /// # Errors
    /// If the position is not the next one of its chain, the edits change nothing, or the
    /// change does not pass the gate: a key or value is too long, or there are too many.
    pub fn author(
        &self,
        position: ChainPosition,
        edits: &[(&str, Option<Value>)],
    ) -> Result<GatedChange, DocumentError> {
        if position != self.next_position(position.actor) {
            return Err(DocumentError::Position { n: position.n });
        }
        let mut dependencies: Vec<_> = position.previous.into_iter().collect();
        for head in self.heads() {
            if dependencies.len() < CHANGE_DEPENDENCIES_MAX && !dependencies.contains(&head) {
                dependencies.push(head);
            }
        }
        let draft = Draft { position, dependencies, edits };
        let bytes = draft.build(&self.inner)?.ok_or(DocumentError::Nothing)?;
        Ok(self.gate(&bytes, position)?)
    }

    /// Returns the value under a key; of several, the one that all replicas show.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        let (value, _) = self.inner.get(ROOT, key).ok()??;
        value.as_scalar().and_then(|scalar| Value::try_from(scalar).ok())
    }

    /// Returns keys and values, in the order of keys.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Value)> {
        self.inner.keys(ROOT).filter_map(|key| self.get(&key).map(|value| (key, value))).collect()
    }

    /// Returns all values that concurrent edits left under a key, the shown one first;
    /// one if there is no conflict, none if there is no value.
    #[must_use]
    pub fn candidates(&self, key: &str) -> Vec<Candidate> {
        let all = self.inner.get_all(ROOT, key).unwrap_or_default();
        // Automerge shows the last one.
        all.iter()
            .rev()
            .filter_map(|(value, id)| {
                Some(Candidate {
                    value: Value::try_from(value.as_scalar()?).ok()?,
                    change: change_hash(&self.inner.hash_for_opid(id)?),
                    actor: operation_id(id)?.actor,
                })
            })
            .collect()
    }

    /// Returns the values that lost to the shown one.
    #[must_use]
    pub fn conflicts(&self, key: &str) -> Vec<Candidate> {
        self.candidates(key).into_iter().skip(1).collect()
    }

    /// Returns the changes that nothing depends on yet, sorted.
    #[must_use]
    pub fn heads(&self) -> Vec<ChangeHash> {
        sorted_heads(&self.inner)
    }

    /// Whether a change is in the document.
    #[must_use]
    pub fn contains(&self, hash: &ChangeHash) -> bool {
        self.inner.get_change_meta_by_hash(&automerge_hash(hash)).is_some()
    }

    /// Lets tests look for damage that the interface would not show.
    #[cfg(test)]
    pub(crate) const fn automerge(&self) -> &Automerge {
        &self.inner
    }

    fn apply_in_place(&mut self, examined: &Examined) -> Result<(), GateError> {
        let inner = &mut self.inner;
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| apply(inner, examined)))
            .map_err(|_| GateError::Quarantined(crate::change::gate::TrialFailure::Panic))??;
        let scan = &examined.scan;
        self.advance(scan.actor, (scan.sequence, scan.hash));
        Ok(())
    }

    fn advance(&mut self, actor: Actor, tip: (u64, ChangeHash)) {
        let known = self.tips.entry(actor).or_insert(tip);
        if known.0 < tip.0 {
            *known = tip;
        }
        self.version += 1;
    }
}

fn stored_error(bytes: &[u8], reason: GateError) -> DocumentError {
    DocumentError::Stored { id: ChangeId::of(bytes), reason }
}

fn sorted_heads(doc: &Automerge) -> Vec<ChangeHash> {
    let mut heads: Vec<_> = doc.get_heads().iter().map(change_hash).collect();
    heads.sort_unstable();
    heads
}

/// A page of a log as Automerge shows it: for looking at, nothing is derived from it.
#[derive(Debug)]
pub struct LogPage {
    inner: Automerge,
}

impl LogPage {
    /// Makes a page from stored chunks of all its chains, in any order.
    ///
    /// # Errors
    /// If a chunk is not of the one form, or one before it in its chain is not given.
    pub fn load<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, DocumentError> {
        let mut changes = Vec::new();
        for bytes in chunks {
            let (fields, _) = LogFields::parse(bytes)
                .map_err(|reason| DocumentError::StoredLog { id: ChangeId::of(bytes), reason })?;
            let change = automerge::Change::from_bytes(bytes.to_vec())
                .map_err(|_| stored_error(bytes, GateError::Invalid(Malformed::Parser)))?;
            changes.push((fields.n, fields.actor, change));
        }
        changes.sort_by_key(|(n, actor, _)| (*actor, *n));
        let hashes: Vec<_> = changes.iter().map(|(_, _, change)| change.hash()).collect();
        let inner = std::panic::catch_unwind(move || {
            let mut inner = Automerge::new();
            let changes = changes.into_iter().map(|(_, _, change)| change);
            inner.apply_changes(changes).map(|()| inner)
        });
        let inner = inner.ok().and_then(Result::ok).ok_or(DocumentError::Page)?;
        let held = |hash| inner.get_change_meta_by_hash(hash).is_some();
        if hashes.iter().all(held) { Ok(Self { inner }) } else { Err(DocumentError::Page) }
    }

    /// Returns keys and encoded entries, the newest first.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Vec<u8>)> {
        self.inner
            .keys(ROOT)
            .filter_map(|key| {
                let (value, _) = self.inner.get(ROOT, key.as_str()).ok()??;
                Some((key, value.as_bytes()?.to_vec()))
            })
            .collect()
    }

    /// Returns the newest change of each chain, sorted.
    #[must_use]
    pub fn heads(&self) -> Vec<ChangeHash> {
        sorted_heads(&self.inner)
    }
}

#[cfg(test)]
mod tests;
