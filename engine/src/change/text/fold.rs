//! Text changes without what a receiver can work out: columns over many changes of one chain,
//! deflated. Unfolding builds every chunk again, byte for byte.
//!
//! ```text
//! folded = deflate( 11 times: length varint ‖ column )
//! ```
//!
//! What stays is how many operations each change has, when it was made, what it builds on beside
//! the change before, and of each operation whether it inserts, near which character, and what.
//! Places are differences from the character touched before, so that typing on costs nothing.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::gate::TextDraft;
use super::{MAKE_COUNTER, TextOperation, TextScan, prescan_text};
use crate::change::prescan::OperationId;
use crate::change::{Actor, ChainPosition};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::ChangeHash;
use crate::limits::{
    CHANGE_BYTES_MAX, CHANGE_DEPENDENCIES_MAX, TEXT_COUNTER_MAX, TEXT_OPERATIONS_MAX,
};

/// Bytes of the columns of one fold: those of a full chain, however scattered its edits are.
const COLUMNS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Actors that the operations of one fold name.
const ACTORS_MAX: usize = 4096;
/// What an operation counts beside its bytes: it takes time, even if it takes no bytes.
const OPERATION_WEIGHT: usize = 8;

/// What unfolded changes weigh: their bytes, and something for each operation.
#[must_use]
pub fn weight(chunks: &[impl AsRef<[u8]>]) -> usize {
    let weigh = |chunk: &[u8]| {
        let operations = prescan_text(chunk).map_or(0, |scan| scan.operations.len());
        chunk.len() + OPERATION_WEIGHT * operations
    };
    chunks.iter().map(|chunk| weigh(chunk.as_ref())).sum()
}

/// Run-length coded numbers: `count ‖ value` each.
#[derive(Default)]
struct Runs {
    out: Writer,
    last: Option<(u64, u64)>,
}

impl Runs {
    fn push(&mut self, value: u64) {
        match &mut self.last {
            Some((count, known)) if *known == value => *count += 1,
            _ => {
                self.flush();
                self.last = Some((1, value));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((count, value)) = self.last.take() {
            self.out.varint(count).varint(value);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.out.finish()
    }
}

/// Reads [`Runs`], one value after the other.
struct Values<'a> {
    r: Reader<'a>,
    left: u64,
    value: u64,
}

impl<'a> Values<'a> {
    fn next(&mut self) -> Result<u64, DecodeError> {
        if self.left == 0 {
            self.left = self.r.varint(u64::MAX, "length of a run")?;
            self.value = self.r.varint(u64::MAX, "value of a run")?;
            if self.left == 0 {
                return Err(DecodeError::Rule("a run of no length"));
            }
        }
        self.left -= 1;
        Ok(self.value)
    }

    fn end(self) -> Result<(), DecodeError> {
        if self.left > 0 {
            return Err(DecodeError::Rule("a run is longer than what it is about"));
        }
        self.r.end()
    }
}

const fn zigzag(value: i64) -> u64 {
    u64::from_ne_bytes(((value << 1) ^ (value >> 63)).to_ne_bytes())
}

const fn signed(value: u64) -> i64 {
    let half = i64::from_ne_bytes((value >> 1).to_ne_bytes());
    if value & 1 == 0 { half } else { !half }
}

/// Numbers of actors: the chain's own is 0.
#[derive(Default)]
struct Actors(Vec<Actor>);

impl Actors {
    fn number(&mut self, actor: &Actor) -> Option<u64> {
        let place = self.0.iter().position(|known| known == actor).unwrap_or_else(|| {
            self.0.push(*actor);
            self.0.len() - 1
        });
        (place < ACTORS_MAX).then_some(place as u64)
    }
}

/// The columns while they are written.
#[derive(Default)]
struct Columns {
    actors: Actors,
    counts: Runs,
    times: Runs,
    starts: Runs,
    dependency_counts: Runs,
    dependencies: Writer,
    deletes: Runs,
    objects: Runs,
    owners: Runs,
    places: Runs,
    characters: Writer,
}

/// The character that an operation touched last.
#[derive(Clone, Copy, Default)]
struct Touched(u64);

impl Columns {
    fn operation(&mut self, touched: &mut Touched, own: u64, what: &TextOperation) -> Option<()> {
        let (object, element, character) = match what {
            // It follows from that the change depends on nothing.
            TextOperation::Make => return Some(()),
            TextOperation::Insert { object, after, character } => (object, *after, Some(character)),
            TextOperation::Delete { object, element } => (object, Some(*element), None),
        };
        self.deletes.push(u64::from(character.is_none()));
        let object = self.actors.number(&object.actor)?;
        self.objects.push(object);
        let owner = match &element {
            Some(element) => self.actors.number(&element.actor)?,
            None => 0,
        };
        self.owners.push(owner);
        let counter = element.map_or(0, |element| element.counter);
        let step = i64::try_from(counter).ok()?.checked_sub(i64::try_from(touched.0).ok()?)?;
        self.places.push(zigzag(step));
        touched.0 = if character.is_some() { own } else { counter };
        if let Some(character) = character {
            self.characters.raw(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Some(())
    }

    fn finish(self) -> Option<Vec<u8>> {
        let mut actors = Writer::new();
        // The first is the chain's own, which the receiver knows.
        for actor in self.actors.0.iter().skip(1) {
            actors.raw(actor.as_bytes());
        }
        let mut all = Writer::new();
        all.bytes(&actors.finish());
        let runs = [
            self.counts,
            self.times,
            self.starts,
            self.dependency_counts,
            self.deletes,
            self.objects,
            self.owners,
            self.places,
        ];
        for column in runs {
            all.bytes(&column.finish());
        }
        all.bytes(&self.dependencies.finish()).bytes(&self.characters.finish());
        let all = all.finish();
        if all.len() > COLUMNS_BYTES_MAX {
            return None;
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&all).ok()?;
        encoder.finish().ok()
    }
}

/// Folds consecutive changes of a chain; `None` if some are not what would be built of it.
#[must_use]
pub fn fold(actor: &Actor, first_n: u64, chunks: &[impl AsRef<[u8]>]) -> Option<Vec<u8>> {
    let folded = columns_of(actor, first_n, chunks)?.finish()?;
    let built = unfold(actor, first_n, chunks.len(), &folded, &mut usize::MAX.clone()).ok()?;
    let same = built.iter().zip(chunks).all(|(built, chunk)| built == chunk.as_ref());
    (same && built.len() == chunks.len()).then_some(folded)
}

fn columns_of(actor: &Actor, first_n: u64, chunks: &[impl AsRef<[u8]>]) -> Option<Columns> {
    let mut columns = Columns::default();
    columns.actors.number(actor)?;
    let mut before: Option<TextScan> = None;
    let mut touched = Touched::default();
    for (n, chunk) in (first_n..).zip(chunks) {
        let scan = prescan_text(chunk.as_ref()).ok()?;
        if scan.actor != *actor || scan.sequence != n {
            return None;
        }
        let known = before.as_ref();
        columns.counts.push(scan.operations.len() as u64);
        let since = known.map_or(0, |known| known.time_ms);
        columns.times.push(zigzag(i64::try_from(scan.time_ms).ok()?.checked_sub_unsigned(since)?));
        let next = known.map_or(0, |known| known.last_operation() + 1);
        columns.starts.push(scan.start_operation.checked_sub(next)?);
        let previous = known.map(|known| known.hash);
        let others: Vec<&ChangeHash> =
            scan.dependencies.iter().filter(|hash| Some(**hash) != previous).collect();
        if previous.is_some() && others.len() + 1 != scan.dependencies.len() {
            return None;
        }
        columns.dependency_counts.push(others.len() as u64);
        for hash in others {
            columns.dependencies.raw(hash.as_bytes());
        }
        for (counter, operation) in (scan.start_operation..).zip(&scan.operations) {
            columns.operation(&mut touched, counter, operation)?;
        }
        before = Some(scan);
    }
    Some(columns)
}

/// Builds the changes of a chain that were folded, `count` of them from `first_n` on. Takes
/// their [`weight`] from `room`.
///
/// # Errors
/// If malformed, or over a limit or the room; nothing larger is ever made.
pub fn unfold(
    actor: &Actor,
    first_n: u64,
    count: usize,
    folded: &[u8],
    room: &mut usize,
) -> Result<Vec<Vec<u8>>, DecodeError> {
    let columns = inflate(folded)?;
    let mut unfolding = Unfolding::new(actor, &columns)?;
    let mut chunks = Vec::new();
    for n in (first_n..).take(count) {
        let chunk = unfolding.change(n, room)?;
        chunks.push(chunk);
    }
    unfolding.end()?;
    Ok(chunks)
}

fn inflate(folded: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = DeflateDecoder::new(folded);
    let mut columns = Vec::new();
    let limit = COLUMNS_BYTES_MAX as u64 + 1;
    decoder
        .by_ref()
        .take(limit)
        .read_to_end(&mut columns)
        .map_err(|_| DecodeError::Rule("folded changes do not inflate"))?;
    if columns.len() > COLUMNS_BYTES_MAX {
        let (value, max) = (columns.len() as u64, COLUMNS_BYTES_MAX as u64);
        return Err(DecodeError::TooLarge { reading: "folded changes", value, max });
    }
    if decoder.total_in() != folded.len() as u64 {
        return Err(DecodeError::Rule("bytes after folded changes"));
    }
    Ok(columns)
}

/// The columns while they are read.
struct Unfolding<'a> {
    actors: Vec<Actor>,
    counts: Values<'a>,
    times: Values<'a>,
    starts: Values<'a>,
    dependency_counts: Values<'a>,
    deletes: Values<'a>,
    objects: Values<'a>,
    owners: Values<'a>,
    places: Values<'a>,
    dependencies: Reader<'a>,
    characters: std::str::Chars<'a>,
    touched: Touched,
    time_ms: u64,
    next: u64,
    previous: Option<ChangeHash>,
}

impl<'a> Unfolding<'a> {
    fn new(actor: &Actor, columns: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(columns);
        let mut column = |what| r.bytes(COLUMNS_BYTES_MAX, what);
        let named = column("actors")?;
        let mut actors = vec![*actor];
        let mut names = Reader::new(named);
        while !names.is_empty() {
            if actors.len() >= ACTORS_MAX {
                return Err(DecodeError::Rule("too many actors of folded changes"));
            }
            actors.push(Actor::from_bytes(names.array("actor")?));
        }
        let values = |data| Values { r: Reader::new(data), left: 0, value: 0 };
        let unfolding = Self {
            actors,
            counts: values(column("operation counts")?),
            times: values(column("times")?),
            starts: values(column("first operations")?),
            dependency_counts: values(column("dependency counts")?),
            deletes: values(column("kinds of operations")?),
            objects: values(column("texts")?),
            owners: values(column("owners of characters")?),
            places: values(column("places")?),
            dependencies: Reader::new(column("dependencies")?),
            characters: std::str::from_utf8(column("characters")?)
                .map_err(|_| DecodeError::Rule("characters are not UTF-8"))?
                .chars(),
            touched: Touched::default(),
            time_ms: 0,
            next: 0,
            previous: None,
        };
        r.end()?;
        Ok(unfolding)
    }

    fn change(&mut self, n: u64, room: &mut usize) -> Result<Vec<u8>, DecodeError> {
        let count = bounded(self.counts.next()?, TEXT_OPERATIONS_MAX, "operations of a change")?;
        let weight = OPERATION_WEIGHT * count;
        let over = DecodeError::Rule("folded changes unfold beyond their room");
        *room = room.checked_sub(weight).ok_or(over.clone())?;
        let step = signed(self.times.next()?);
        let wrong = DecodeError::Rule("a number of folded changes is out of range");
        self.time_ms = self.time_ms.checked_add_signed(step).ok_or(wrong.clone())?;
        let start = self.next.checked_add(self.starts.next()?);
        let start = start.filter(|start| *start <= TEXT_COUNTER_MAX).ok_or(wrong.clone())?;
        let others = bounded(
            self.dependency_counts.next()?,
            CHANGE_DEPENDENCIES_MAX,
            "dependencies of a change",
        )?;
        let mut dependencies: Vec<ChangeHash> = self.previous.into_iter().collect();
        for _ in 0..others {
            dependencies.push(ChangeHash::from_bytes(self.dependencies.array("dependency")?));
        }
        let makes = dependencies.is_empty();
        let mut operations = Vec::with_capacity(count);
        for counter in (start..).take(count) {
            let make = makes && operations.is_empty();
            operations.push(if make { TextOperation::Make } else { self.operation(counter)? });
        }
        let position =
            ChainPosition { actor: *self.actors.first().ok_or(wrong.clone())?, n, previous: None };
        let (start_operation, time_ms) = (start, self.time_ms);
        let operations = &operations;
        let draft = TextDraft { position, dependencies, start_operation, time_ms, operations };
        let chunk = draft.build().map_err(|_| wrong.clone())?;
        if chunk.len() > CHANGE_BYTES_MAX {
            return Err(wrong);
        }
        *room = room.checked_sub(chunk.len()).ok_or(over)?;
        self.previous = Some(prescan_text(&chunk).map_err(|_| wrong)?.hash);
        self.next = start + count as u64;
        Ok(chunk)
    }

    fn operation(&mut self, counter: u64) -> Result<TextOperation, DecodeError> {
        let deletes = self.deletes.next()?;
        let object = self.objects.next()?;
        let object = OperationId { counter: MAKE_COUNTER, actor: self.actor(object)? };
        let owner = self.owners.next()?;
        let actor = self.actor(owner)?;
        let wrong = DecodeError::Rule("a place of folded changes is out of range");
        let place = self.touched.0.checked_add_signed(signed(self.places.next()?));
        let place = place.filter(|place| *place <= TEXT_COUNTER_MAX).ok_or(wrong.clone())?;
        let element = OperationId { counter: place, actor };
        match deletes {
            0 => {
                let character = self.characters.next();
                let character = character.ok_or(DecodeError::Rule("characters are missing"))?;
                if place == 0 && owner != 0 {
                    return Err(wrong);
                }
                self.touched.0 = counter;
                let after = (place > 0).then_some(element);
                Ok(TextOperation::Insert { object, after, character })
            }
            1 => {
                self.touched.0 = place;
                Ok(TextOperation::Delete { object, element })
            }
            _ => Err(DecodeError::Rule("an operation neither inserts nor deletes")),
        }
    }

    fn actor(&self, number: u64) -> Result<Actor, DecodeError> {
        let actor = usize::try_from(number).ok().and_then(|number| self.actors.get(number));
        actor.copied().ok_or(DecodeError::Rule("an actor of folded changes is not listed"))
    }

    fn end(self) -> Result<(), DecodeError> {
        let runs = [
            self.counts,
            self.times,
            self.starts,
            self.dependency_counts,
            self.deletes,
            self.objects,
            self.owners,
            self.places,
        ];
        for column in runs {
            column.end()?;
        }
        if !self.characters.as_str().is_empty() {
            return Err(DecodeError::Rule("characters that nothing inserts"));
        }
        self.dependencies.end()
    }
}

fn bounded(value: u64, max: usize, reading: &'static str) -> Result<usize, DecodeError> {
    let fits = usize::try_from(value).ok().filter(|value| *value <= max);
    fits.ok_or(DecodeError::TooLarge { reading, value, max: max as u64 })
}

#[cfg(test)]
mod tests;
