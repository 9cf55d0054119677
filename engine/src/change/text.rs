//! Changes of text documents: the bounded look at one, and building one.
//!
//! A text document has one text under one key of its root. The first change of a chain that
//! depends on nothing makes it; every other operation inserts one character or deletes one.

pub mod fold;
pub(crate) mod gate;
mod operations;
pub(crate) mod past;

use crate::change::Actor;
use crate::change::columns::Column;
use crate::change::frame::{Header, Times, read_header};
use crate::change::malformed::Malformed;
use crate::change::prescan::OperationId;
use crate::hash::ChangeHash;
use crate::limits::{TEXT_COUNTER_MAX, TEXT_TIME_MS_MAX};

/// The key of the root under which the text stands.
pub const TEXT_KEY: &str = "text";

/// Counter of the operation that makes a text: the first of a document.
pub(crate) const MAKE_COUNTER: u64 = 1;

/// One operation of a text change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextOperation {
    /// Makes a text under [`TEXT_KEY`].
    Make,
    /// Inserts a character.
    Insert {
        /// The text.
        object: OperationId,
        /// The character after which it stands; none at the start.
        after: Option<OperationId>,
        /// The character.
        character: char,
    },
    /// Deletes a character.
    Delete {
        /// The text.
        object: OperationId,
        /// The character.
        element: OperationId,
    },
}

/// What a text change claims; its form holds, its claims are not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextScan {
    /// Automerge's name of the change.
    pub hash: ChangeHash,
    /// Who claims to write.
    pub actor: Actor,
    /// Claimed number in the chain.
    pub sequence: u64,
    /// Counter of the first operation.
    pub start_operation: u64,
    /// Claimed time, milliseconds since 1970.
    pub time_ms: u64,
    /// What it depends on, sorted.
    pub dependencies: Vec<ChangeHash>,
    /// What it does, in order; at least one.
    pub operations: Vec<TextOperation>,
}

impl TextScan {
    /// Returns how many characters it inserts and deletes.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.operations.iter().fold((0, 0), |(inserted, deleted), operation| match operation {
            TextOperation::Make => (inserted, deleted),
            TextOperation::Insert { .. } => (inserted + 1, deleted),
            TextOperation::Delete { .. } => (inserted, deleted + 1),
        })
    }

    /// Counter of the last operation.
    #[must_use]
    pub(crate) const fn last_operation(&self) -> u64 {
        self.start_operation + self.operations.len() as u64 - 1
    }
}

/// Looks at the bytes of a text change.
///
/// # Errors
/// The first thing that no text change may be or hold.
pub fn prescan_text(bytes: &[u8]) -> Result<TextScan, Malformed> {
    let (header, mut r) = read_header(bytes, Times::UpTo(TEXT_TIME_MS_MAX))?;
    let columns = operations::Columns::read(&mut r)?;
    if !r.is_empty() {
        return Err(Malformed::ExtraBytes { len: r.rest().len() });
    }
    let operations = columns.operations(&header.actors)?;
    header.check_counters(operations.len(), TEXT_COUNTER_MAX)?;
    check_make(&header, &operations)?;
    let Header { hash, actor, sequence, start_operation, dependencies, time_ms, .. } = header;
    Ok(TextScan { hash, actor, sequence, start_operation, time_ms, dependencies, operations })
}

/// A change that depends on nothing makes the text, in its first operation; no other does.
fn check_make(header: &Header, operations: &[TextOperation]) -> Result<(), Malformed> {
    let makes = operations.iter().filter(|operation| **operation == TextOperation::Make).count();
    let first = operations.first() == Some(&TextOperation::Make);
    let alone = header.dependencies.is_empty();
    match (alone, first, makes) {
        (true, true, 1) | (false, false, 0) => Ok(()),
        _ => Err(Malformed::Make),
    }
}

#[cfg(test)]
mod tests;
