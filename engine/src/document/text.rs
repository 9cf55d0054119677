//! Text documents: one text that the devices of an account write character by character.
//!
//! Two devices can each make the text before they know of each other. Both texts stay, and
//! what is shown is one after the other, in the order of their makers: nothing is lost, and
//! every replica shows the same.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, AutomergeError, ObjId, ROOT, ReadDoc, ScalarValueRef, ValueRef};

use super::{DocumentError, StoredChange, sorted_heads, stored_error};
use crate::change::gate::{GateError, TrialFailure, automerge_hash, operation_id};
use crate::change::prescan::OperationId;
use crate::change::text::gate::{ExaminedText, TextDraft, examine};
use crate::change::text::past::Past;
use crate::change::text::{MAKE_COUNTER, TEXT_KEY, TextOperation, prescan_text};
use crate::change::{Actor, ChainPosition};
use crate::hash::{ChangeHash, DocumentId};
use crate::limits::{CHANGE_DEPENDENCIES_MAX, TEXT_COUNTER_MAX};

mod edit;

use edit::{Element, edits};
pub use edit::{Splice, TextCounts};

/// Operations of one change of our own: scattered ones of so many fit the bytes of a change.
const OPERATIONS_WISHED: usize = 2048;

/// A text document: characters, many devices.
#[derive(Debug, Clone)]
pub struct TextDocument {
    doc: DocumentId,
    inner: Automerge,
    past: Past,
    tips: BTreeMap<Actor, (u64, ChangeHash)>,
    changed_ms: u64,
    weight: u64,
}

/// What became of consecutive changes of one chain.
#[derive(Debug)]
pub struct Extended {
    /// Automerge's names of those that were taken, in order.
    pub hashes: Vec<ChangeHash>,
    /// Why the next one was not; none if all were.
    pub stop: Option<GateError>,
}

/// Changes of our own, each after the one before, not yet taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextDrafts {
    /// Their chunks, in order.
    pub chunks: Vec<Vec<u8>>,
    /// Characters inserted and deleted.
    pub counts: TextCounts,
}

impl TextDocument {
    /// Starts an empty document.
    #[must_use]
    pub fn new(doc: DocumentId) -> Self {
        let (inner, past) = (Automerge::new(), Past::default());
        Self { doc, inner, past, tips: BTreeMap::new(), changed_ms: 0, weight: 0 }
    }

    /// Makes the document from its stored changes, in any order.
    ///
    /// Every change passes the rules again, and is read back from the whole document.
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
            ordered.push((prescan_text(change.bytes).map_err(fail)?.start_operation, change));
        }
        // Each change starts above all it depends on, so this order has dependencies first.
        ordered.sort_by_key(|(start, change)| (*start, change.actor, change.n));
        let mut document = Self::new(doc);
        let mut examined = Vec::with_capacity(ordered.len());
        for (_, change) in &ordered {
            let fail = |reason| stored_error(change.bytes, reason);
            let position = document.next_position(change.actor);
            let position = ChainPosition { n: change.n, ..position };
            examined.push(document.admit(change.bytes, &position).map_err(fail)?);
        }
        if let Err(error) = trial(&mut document.inner, &examined) {
            let first = ordered.first().map_or(&[][..], |(_, change)| change.bytes);
            return Err(stored_error(first, error));
        }
        Ok(document)
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

    /// Takes in the next changes of a chain, as far as they pass the gate: the rules one by
    /// one, then one trial of all of them on one copy of the document.
    pub fn extend<'a>(
        &mut self,
        actor: Actor,
        changes: impl IntoIterator<Item = &'a [u8]>,
    ) -> Extended {
        let before = self.tip(&actor);
        let mut examined = Vec::new();
        let mut stop = None;
        for bytes in changes {
            let position = self.next_position(actor);
            match self.admit(bytes, &position) {
                Ok(change) => examined.push(change),
                Err(error) => {
                    stop = Some(error);
                    break;
                }
            }
        }
        if !examined.is_empty() {
            let mut copy = self.inner.clone();
            if trial(&mut copy, &examined).is_ok() {
                self.inner = copy;
            } else {
                self.withdraw(actor, before, &examined);
                stop = self.extend_singly(actor, &mut examined);
            }
        }
        let hashes = examined.iter().map(|change| change.scan.hash).collect();
        Extended { hashes, stop }
    }

    /// Takes in what passed the rules one by one, and leaves in `examined` what was taken.
    fn extend_singly(
        &mut self,
        actor: Actor,
        examined: &mut Vec<ExaminedText>,
    ) -> Option<GateError> {
        let mut stop = None;
        let mut taken = Vec::new();
        for change in examined.drain(..) {
            let before = self.tip(&actor);
            let position = self.next_position(actor);
            let result = self.admit(change.change.raw_bytes(), &position);
            let mut copy = self.inner.clone();
            match result.and_then(|_| trial(&mut copy, std::slice::from_ref(&change))) {
                Ok(()) => {
                    self.inner = copy;
                    taken.push(change);
                }
                Err(error) => {
                    self.withdraw(actor, before, std::slice::from_ref(&change));
                    stop = Some(error);
                    break;
                }
            }
        }
        *examined = taken;
        stop
    }

    /// Lets a change through the rules, and notes it as held.
    fn admit(&mut self, bytes: &[u8], position: &ChainPosition) -> Result<ExaminedText, GateError> {
        let change = examine(&self.past, bytes, position)?;
        self.past.add(&change.scan).ok_or(GateError::Quarantined(TrialFailure::Refused))?;
        self.tips.insert(change.scan.actor, (change.scan.sequence, change.scan.hash));
        self.changed_ms = self.changed_ms.max(change.scan.time_ms);
        self.weight += bytes.len() as u64;
        Ok(change)
    }

    fn withdraw(
        &mut self,
        actor: Actor,
        before: Option<(u64, ChangeHash)>,
        examined: &[ExaminedText],
    ) {
        for change in examined.iter().rev() {
            self.past.remove(&change.scan);
        }
        match before {
            Some(tip) => self.tips.insert(actor, tip),
            None => self.tips.remove(&actor),
        };
    }

    /// Builds changes of our own that make the text `text`, by the fewest insertions and
    /// deletions that are found; of an empty document they make the text first.
    ///
    /// They pass the gate when they are taken in by [`TextDocument::extend`].
    ///
    /// # Errors
    /// If the position is not the next one of its chain, nothing changes, or the document
    /// comes to its limit of [`TEXT_COUNTER_MAX`] operations.
    pub fn replace(
        &self,
        position: ChainPosition,
        text: &str,
        time_ms: u64,
    ) -> Result<TextDrafts, DocumentError> {
        self.author(position, time_ms, None, |shown| {
            let wanted: Vec<char> = text.chars().collect();
            edit::diff(shown, &wanted)
        })
    }

    /// As [`TextDocument::replace`], by somebody who had read the text at `base`: only what he
    /// changed is changed, and what was written since stays.
    ///
    /// # Errors
    /// As [`TextDocument::replace`]; [`DocumentError::Base`] if a change of `base` is not here.
    pub fn replace_since(
        &self,
        position: ChainPosition,
        base: &[ChangeHash],
        text: &str,
        time_ms: u64,
    ) -> Result<TextDrafts, DocumentError> {
        if !base.iter().all(|hash| self.contains(hash)) {
            return Err(DocumentError::Base);
        }
        let read = self.shown_elements(Some(base));
        self.author(position, time_ms, Some(&read), |shown| {
            let wanted: Vec<char> = text.chars().collect();
            edit::diff(shown, &wanted)
        })
    }

    /// Builds changes of our own that splice the text, one splice after the other.
    ///
    /// # Errors
    /// As [`TextDocument::replace`]; [`DocumentError::Range`] if a splice reaches beyond the text.
    pub fn splice(
        &self,
        position: ChainPosition,
        splices: &[Splice],
        time_ms: u64,
    ) -> Result<TextDrafts, DocumentError> {
        let length = self.shown_elements(None).len();
        let hunks = edit::compose(length, splices).ok_or(DocumentError::Range)?;
        self.author(position, time_ms, None, |_| hunks)
    }

    fn author(
        &self,
        position: ChainPosition,
        time_ms: u64,
        read: Option<&Shown>,
        hunks: impl FnOnce(&[Element]) -> Vec<edit::Hunk>,
    ) -> Result<TextDrafts, DocumentError> {
        if position != self.next_position(position.actor) {
            return Err(DocumentError::Position { n: position.n });
        }
        let mut dependencies: Vec<_> = position.previous.into_iter().collect();
        let heads = self.heads();
        for head in &heads {
            if dependencies.len() < CHANGE_DEPENDENCIES_MAX && !dependencies.contains(head) {
                dependencies.push(*head);
            }
        }
        let whole = heads.iter().all(|head| dependencies.contains(head));
        let shown = self.shown_elements((!whole).then_some(dependencies.as_slice()));
        let highest = self.past.seen(&dependencies).map_or(0, |seen| seen.highest);
        let first = highest + 1;
        let mut operations = Vec::new();
        let object = match shown.first_object {
            Some(object) => object,
            None => {
                operations.push(TextOperation::Make);
                OperationId { counter: MAKE_COUNTER, actor: position.actor }
            }
        };
        let read = read.map_or(&shown.elements, |read| &read.elements);
        let hunks = hunks(read);
        let place = edit::Place { object, actor: position.actor, first };
        let counts = edits(read, &shown.elements, &hunks, &place, &mut operations);
        if operations.is_empty() {
            return Err(DocumentError::Nothing);
        }
        if highest.saturating_add(operations.len() as u64) > TEXT_COUNTER_MAX {
            return Err(DocumentError::TextLength);
        }
        let chunks = Self::build(position, dependencies, first, time_ms, &operations)?;
        Ok(TextDrafts { chunks, counts })
    }

    fn build(
        mut position: ChainPosition,
        mut dependencies: Vec<ChangeHash>,
        mut start_operation: u64,
        time_ms: u64,
        operations: &[TextOperation],
    ) -> Result<Vec<Vec<u8>>, DocumentError> {
        let mut chunks = Vec::new();
        for operations in operations.chunks(OPERATIONS_WISHED) {
            let draft = TextDraft { position, dependencies, start_operation, time_ms, operations };
            let bytes = draft.build()?;
            let hash = prescan_text(&bytes).map_err(GateError::Invalid)?.hash;
            chunks.push(bytes);
            start_operation += operations.len() as u64;
            position = ChainPosition { n: position.n + 1, previous: Some(hash), ..position };
            dependencies = vec![hash];
        }
        Ok(chunks)
    }

    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> String {
        let objects = self.objects(None);
        objects.iter().filter_map(|object| self.inner.text(object).ok()).collect()
    }

    /// Returns the text as it was when these changes and their past were all there was;
    /// `None` if one of them is not here.
    #[must_use]
    pub fn text_at(&self, changes: &[ChangeHash]) -> Option<String> {
        if !changes.iter().all(|hash| self.contains(hash)) {
            return None;
        }
        let heads: Vec<_> = changes.iter().map(automerge_hash).collect();
        let objects = self.objects(Some(&heads));
        Some(objects.iter().filter_map(|object| self.inner.text_at(object, &heads).ok()).collect())
    }

    /// Returns the latest time that a change claims, milliseconds since 1970.
    #[must_use]
    pub const fn changed_ms(&self) -> u64 {
        self.changed_ms
    }

    /// Returns the bytes of its stored changes, which it takes some times of in memory.
    #[must_use]
    pub const fn weight(&self) -> u64 {
        self.weight
    }

    /// Returns the changes that nothing depends on yet, sorted.
    #[must_use]
    pub fn heads(&self) -> Vec<ChangeHash> {
        sorted_heads(&self.inner)
    }

    /// Whether a change is in the document.
    #[must_use]
    pub fn contains(&self, hash: &ChangeHash) -> bool {
        self.past.place_of(hash).is_some()
    }

    /// The texts, in the order of those who made them.
    fn objects(&self, heads: Option<&[automerge::ChangeHash]>) -> Vec<ObjId> {
        let found = match heads {
            None => self.inner.get_all(ROOT, TEXT_KEY),
            Some(heads) => self.inner.get_all_at(ROOT, TEXT_KEY, heads),
        };
        let mut objects: Vec<_> = found.unwrap_or_default().into_iter().map(|(_, id)| id).collect();
        objects.sort_by_key(|id| operation_id(id).map(|id| id.actor));
        objects
    }

    fn shown_elements(&self, dependencies: Option<&[ChangeHash]>) -> Shown {
        let heads: Option<Vec<_>> =
            dependencies.map(|hashes| hashes.iter().map(automerge_hash).collect());
        let mut shown = Shown { first_object: None, elements: Vec::new() };
        for id in self.objects(heads.as_deref()) {
            let Some(object) = operation_id(&id) else { continue };
            shown.first_object.get_or_insert(object);
            let range = match &heads {
                None => self.inner.list_range(&id, ..),
                Some(heads) => self.inner.list_range_at(&id, .., heads),
            };
            for item in range {
                let ValueRef::Scalar(ScalarValueRef::Str(text)) = &item.value else { continue };
                let (Some(character), Some(id)) = (text.chars().next(), operation_id(&item.id()))
                else {
                    continue;
                };
                shown.elements.push(Element { object, id, character });
            }
        }
        shown
    }

    /// Lets tests look for damage that the interface would not show.
    #[cfg(test)]
    pub(crate) const fn automerge(&self) -> &Automerge {
        &self.inner
    }
}

/// The characters of a document with their names.
struct Shown {
    first_object: Option<OperationId>,
    elements: Vec<Element>,
}

impl Shown {
    const fn len(&self) -> usize {
        self.elements.len()
    }
}

/// Applies changes and reads each back, byte for byte. The document is lost if this fails.
fn trial(doc: &mut Automerge, examined: &[ExaminedText]) -> Result<(), GateError> {
    catch_unwind(AssertUnwindSafe(|| {
        let changes: Vec<_> = examined.iter().map(|change| change.change.clone()).collect();
        match doc.apply_changes(changes) {
            Ok(()) => {}
            Err(AutomergeError::DuplicateSeqNumber(n, _)) => return Err(GateError::Forked { n }),
            Err(_) => return Err(GateError::Quarantined(TrialFailure::Refused)),
        }
        for change in examined {
            let back = doc.get_change_by_hash(&automerge_hash(&change.scan.hash));
            if back.is_none_or(|back| back.raw_bytes() != change.change.raw_bytes()) {
                return Err(GateError::Quarantined(TrialFailure::ReadBack));
            }
        }
        Ok(())
    }))
    .map_err(|_| GateError::Quarantined(TrialFailure::Panic))?
}

#[cfg(test)]
mod tests;
