//! From a text as it is shown to one as it is wanted, in insertions and deletions.

use std::collections::HashSet;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::change::Actor;
use crate::change::prescan::OperationId;
use crate::change::text::TextOperation;

/// Characters of both sides up to which a difference is looked for character by character; in
/// longer ones lines are compared first, then what differs of them.
const CHARACTERS_COMPARED_MAX: usize = 4096;

/// A shown character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) object: OperationId,
    pub(super) id: OperationId,
    pub(super) character: char,
}

/// A part of the shown text, and what is to stand in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    pub(super) deleted: Range<usize>,
    pub(super) inserted: Vec<char>,
}

/// One edit: `deleted` characters from place `at` on give way to `inserted`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Splice {
    /// Characters before it.
    pub at: usize,
    /// Characters deleted there.
    pub deleted: usize,
    /// What is inserted in their place.
    pub inserted: String,
}

/// How many characters an edit inserted and deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextCounts {
    /// Inserted.
    pub inserted: u64,
    /// Deleted.
    pub deleted: u64,
}

/// What differs between the shown text and the wanted one, from front to back.
pub(super) fn diff(shown: &[Element], wanted: &[char]) -> Vec<Hunk> {
    let old: Vec<char> = shown.iter().map(|element| element.character).collect();
    let mut hunks = Vec::new();
    compare(&old, wanted, 0, true, &mut hunks);
    hunks
}

fn compare(old: &[char], new: &[char], at: usize, by_lines: bool, hunks: &mut Vec<Hunk>) {
    let front = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (old.get(front..).unwrap_or_default(), new.get(front..).unwrap_or_default());
    let back = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let old = old.get(..old.len() - back).unwrap_or_default();
    let new = new.get(..new.len() - back).unwrap_or_default();
    let at = at + front;
    if old.is_empty() && new.is_empty() {
        return;
    }
    let small = old.len() + new.len() <= CHARACTERS_COMPARED_MAX;
    if old.is_empty() || new.is_empty() || !(small || by_lines) {
        hunks.push(Hunk { deleted: at..at + old.len(), inserted: new.to_vec() });
        return;
    }
    if small {
        for operation in capture_diff_slices(Algorithm::Myers, old, new) {
            push_difference(&operation, new, at, hunks);
        }
        return;
    }
    let (old_lines, new_lines) = (lines(old), lines(new));
    let (mut old_at, mut new_at) = (Offsets::default(), Offsets::default());
    for operation in capture_diff_slices(Algorithm::Myers, &old_lines, &new_lines) {
        let (_, old_range, new_range) = operation.as_tag_tuple();
        let old_part = old_at.pass(&old_lines, &old_range);
        let new_part = new_at.pass(&new_lines, &new_range);
        let start = at + old_part.start;
        let old_part = old.get(old_part).unwrap_or_default();
        let new_part = new.get(new_part).unwrap_or_default();
        compare(old_part, new_part, start, false, hunks);
    }
}

fn push_difference(operation: &DiffOp, new: &[char], at: usize, hunks: &mut Vec<Hunk>) {
    if matches!(operation, DiffOp::Equal { .. }) {
        return;
    }
    let (_, old, inserted) = operation.as_tag_tuple();
    let inserted = new.get(inserted).unwrap_or_default().to_vec();
    let deleted = at + old.start..at + old.end;
    match hunks.last_mut() {
        Some(last) if last.deleted.end == deleted.start => {
            last.deleted.end = deleted.end;
            last.inserted.extend(inserted);
        }
        _ => hunks.push(Hunk { deleted, inserted }),
    }
}

fn lines(text: &[char]) -> Vec<&[char]> {
    text.split_inclusive(|c| *c == '\n').collect()
}

/// Where ranges of lines begin and end, in characters.
#[derive(Default)]
struct Offsets {
    line: usize,
    character: usize,
}

impl Offsets {
    /// Goes on to the end of a range of lines; returns the range of characters.
    fn pass(&mut self, lines: &[&[char]], range: &Range<usize>) -> Range<usize> {
        let length = |range: Range<usize>| -> usize {
            lines.get(range).unwrap_or_default().iter().map(|line| line.len()).sum()
        };
        let start = self.character + length(self.line..range.start);
        let end = start + length(range.clone());
        (self.line, self.character) = (range.end, end);
        start..end
    }
}

/// What splices come to in the end, of a text of so many characters; `None` if one reaches
/// beyond the text as it is by then.
pub(super) fn compose(length: usize, splices: &[Splice]) -> Option<Vec<Hunk>> {
    // Pieces of the result: kept ranges of the text, and what is new between them.
    let mut pieces = vec![Piece::Kept(0..length)];
    for splice in splices {
        let (before, rest) = split(pieces, splice.at)?;
        let (_, after) = split(rest, splice.deleted)?;
        pieces = before;
        if !splice.inserted.is_empty() {
            pieces.push(Piece::New(splice.inserted.chars().collect()));
        }
        pieces.extend(after);
    }
    let mut hunks = Vec::new();
    let mut at = 0;
    let mut inserted = Vec::new();
    for piece in pieces.into_iter().chain([Piece::Kept(length..length)]) {
        match piece {
            Piece::New(text) => inserted.extend(text),
            Piece::Kept(range) => {
                if range.start > at || !inserted.is_empty() {
                    let inserted = std::mem::take(&mut inserted);
                    hunks.push(Hunk { deleted: at..range.start, inserted });
                }
                at = range.end;
            }
        }
    }
    Some(hunks)
}

enum Piece {
    Kept(Range<usize>),
    New(Vec<char>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Kept(range) => range.len(),
            Self::New(text) => text.len(),
        }
    }
}

/// Splits pieces after `count` characters.
fn split(pieces: Vec<Piece>, count: usize) -> Option<(Vec<Piece>, Vec<Piece>)> {
    let (mut before, mut after, mut left) = (Vec::new(), Vec::new(), count);
    for piece in pieces {
        let len = piece.len();
        if left >= len {
            left -= len;
            // An empty piece of the text marks nothing.
            if len > 0 {
                before.push(piece);
            }
        } else if left == 0 {
            after.push(piece);
        } else {
            match piece {
                Piece::Kept(range) => {
                    let middle = range.start + left;
                    before.push(Piece::Kept(range.start..middle));
                    after.push(Piece::Kept(middle..range.end));
                }
                Piece::New(mut text) => {
                    after.push(Piece::New(text.split_off(left)));
                    before.push(Piece::New(text));
                }
            }
            left = 0;
        }
    }
    (left == 0).then_some((before, after))
}

/// Where operations go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The first text.
    pub(super) object: OperationId,
    pub(super) actor: Actor,
    /// Counter of the first operation.
    pub(super) first: u64,
}

/// Turns hunks of the text that was read into operations on the one that is shown, after those
/// that are there. What is not shown any more is neither deleted again nor written after.
pub(super) fn edits(
    read: &[Element],
    shown: &[Element],
    hunks: &[Hunk],
    place: &Place,
    operations: &mut Vec<TextOperation>,
) -> TextCounts {
    let same = std::ptr::eq(read, shown);
    let there: HashSet<OperationId> =
        if same { HashSet::new() } else { shown.iter().map(|element| element.id).collect() };
    let is_shown = |element: &&Element| same || there.contains(&element.id);
    let mut counts = TextCounts::default();
    for hunk in hunks {
        let before = read.get(..hunk.deleted.start).unwrap_or_default();
        let before = before.iter().rev().find(is_shown);
        // At the end of one text and the start of the next it is the end.
        let object = before.map_or(place.object, |before| before.object);
        let mut after = before.map(|before| before.id);
        for character in &hunk.inserted {
            let counter = place.first + operations.len() as u64;
            operations.push(TextOperation::Insert { object, after, character: *character });
            after = Some(OperationId { counter, actor: place.actor });
            counts.inserted += 1;
        }
        let deleted = read.get(hunk.deleted.clone()).unwrap_or_default();
        for element in deleted.iter().filter(is_shown) {
            let (object, element) = (element.object, element.id);
            operations.push(TextOperation::Delete { object, element });
            counts.deleted += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests;
