//! Reads the database's journal format (fjall 3, uncompressed) without trusting it.
//!
//! ```text
//! batch   1 ‖ count u32 ‖ sequence u64 ‖ items ‖ 3 ‖ xxh3 of the items u64 ‖ "FJL" 3
//! item    2 ‖ kind ‖ compression 0 ‖ keyspace u64 ‖ key len u16 ‖ len u32 ‖ len u32 ‖ key ‖ value
//! ```
//!
//! The database's own checksum covers the items only. Every batch of ours also carries a commit
//! row; with its numbers a damaged count, sequence number or order is seen as well.

use std::{
    fs::File,
    hash::Hasher,
    io::{self, Read},
    path::Path,
};

use xxhash_rust::xxh3::Xxh3;

use super::{CommitNumber, format::StoreId};

/// Key in the meta table of the row that each batch writes.
pub(super) const COMMIT_KEY: &[u8] = b"\xffcommit";
/// Keyspace of the meta table.
pub(super) const META_KEYSPACE: u64 = 3;

/// A sequence number this far above what the commit row expects is damage.
const SEQUENCE_SLACK: u64 = 1 << 32;
/// Offset of the sequence number in a batch.
const SEQUENCE_AT: usize = 5;
const TRAILER: &[u8] = b"FJL\x03";
const CHUNK_BYTES: usize = 1 << 20;

/// The value of the commit row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommitRow {
    /// First commit of the group.
    pub(super) first: CommitNumber,
    /// Last commit of the group.
    pub(super) last: CommitNumber,
    /// The database's next sequence number when the group was built.
    pub(super) floor: u64,
    /// Whose store it is.
    pub(super) id: StoreId,
}

impl CommitRow {
    /// Returns the 40 bytes of the row.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(40);
        bytes.extend(self.first.0.to_be_bytes());
        bytes.extend(self.last.0.to_be_bytes());
        bytes.extend(self.floor.to_be_bytes());
        bytes.extend(self.id.0);
        bytes
    }

    /// Reads the row back.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk::<8>()?;
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let (floor, rest) = rest.split_first_chunk::<8>()?;
        let id = <[u8; 16]>::try_from(rest).ok()?;
        Some(Self {
            first: CommitNumber(u64::from_be_bytes(*first)),
            last: CommitNumber(u64::from_be_bytes(*last)),
            floor: u64::from_be_bytes(*floor),
            id: StoreId(id),
        })
    }
}

/// A whole batch whose checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WholeBatch {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) sequence: u64,
    pub(super) commit: Option<CommitRow>,
}

/// What a journal looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inspection {
    /// Good batches from the start.
    pub(super) good: Vec<WholeBatch>,
    /// The file's length; bytes after the last non-zero one are not looked at.
    pub(super) len: u64,
    pub(super) state: JournalState,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JournalState {
    /// Nothing but zeros after the good batches.
    Clean,
    /// An unfinished batch after the good ones, and no whole one after it.
    Torn { at: usize },
    /// Damage with whole batches after it, or a whole batch that contradicts itself.
    Damaged { at: usize, after: usize },
}

/// Reads a file without its trailing zeros; returns the bytes and the file's length.
pub(super) fn read_trimmed(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let (mut bytes, mut zeros) = (Vec::new(), 0usize);
    let mut chunk = vec![0u8; CHUNK_BYTES];
    loop {
        let read = match file.read(&mut chunk) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
        let used = without_zeros(part);
        if used > 0 {
            bytes.resize(bytes.len() + zeros, 0);
            zeros = 0;
            bytes.extend_from_slice(part.get(..used).unwrap_or_default());
        }
        zeros += read - used;
    }
    Ok((bytes, len))
}

/// Length of bytes without the zeros at their end. Most of a journal is zeros, so they are compared
/// many at a time.
fn without_zeros(mut bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    while let Some(rest) = bytes.strip_suffix(&ZEROS) {
        bytes = rest;
    }
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
}

/// Looks at the bytes of a journal, after `before`, the last batch of the journal before it.
pub(super) fn inspect(
    bytes: &[u8],
    len: u64,
    id: StoreId,
    before: Option<&WholeBatch>,
) -> Inspection {
    let mut good: Vec<WholeBatch> = Vec::new();
    let mut at = 0;
    while let Some(batch) = parse_batch(bytes, at) {
        let last = good.last().or(before);
        if !plausible(&batch, id) || last.is_some_and(|last| !follows(&batch, last)) {
            if plausible(&batch, id) {
                // the sequence number before has no checksum, the floor of this batch has
                at = good.pop().map_or(at, |last| last.start);
            }
            let after = whole_batches(bytes, at + 1, id, None).len();
            return Inspection { good, len, state: JournalState::Damaged { at, after } };
        }
        at = batch.end;
        good.push(batch);
    }
    if bytes.get(at..).unwrap_or_default().iter().all(|byte| *byte == 0) {
        return Inspection { good, len, state: JournalState::Clean };
    }
    let after = whole_batches(bytes, at + 1, id, None).len();
    let state =
        if after == 0 { JournalState::Torn { at } } else { JournalState::Damaged { at, after } };
    Inspection { good, len, state }
}

/// Finds every whole batch of this store from a place on, whatever lies between them.
pub(super) fn whole_batches(
    bytes: &[u8],
    from: usize,
    id: StoreId,
    before: Option<CommitNumber>,
) -> Vec<WholeBatch> {
    let (mut found, mut at, mut last) = (Vec::new(), from, before);
    while at < bytes.len() {
        let batch = parse_batch(bytes, at).and_then(|batch| Some((batch, batch.commit?)));
        match batch {
            Some((batch, row)) if row.id == id && last.is_none_or(|last| row.first > last) => {
                (at, last) = (batch.end, Some(row.last));
                found.push(batch);
            }
            _ => at += 1,
        }
    }
    found
}

/// Sets sequence numbers right that cannot be: any number from the floor of its own batch to the
/// floor of the next keeps the order. Takes the batches of all journals; returns the new numbers.
pub(super) fn repaired_sequences(batches: &[WholeBatch]) -> Vec<u64> {
    let floor = |batch: &WholeBatch| batch.commit.map_or(0, |row| row.floor);
    let ends = batches.iter().skip(1).map(floor).chain([u64::MAX]);
    let repair = |(batch, end): (&WholeBatch, u64)| {
        let own = floor(batch);
        let possible = own..end.min(own.saturating_add(SEQUENCE_SLACK));
        if possible.contains(&batch.sequence) { batch.sequence } else { own }
    };
    batches.iter().zip(ends).map(repair).collect()
}

/// Writes whole batches one after the other, with these sequence numbers.
pub(super) fn rebuild(bytes: &[u8], batches: &[WholeBatch], sequences: &[u64]) -> Vec<u8> {
    let mut journal = Vec::new();
    for (batch, sequence) in batches.iter().zip(sequences) {
        let body = batch.start + SEQUENCE_AT + 8;
        journal.extend(bytes.get(batch.start..batch.start + SEQUENCE_AT).unwrap_or_default());
        journal.extend(sequence.to_le_bytes());
        journal.extend(bytes.get(body..batch.end).unwrap_or_default());
    }
    journal
}

/// Whether the numbers of a batch agree with each other.
fn plausible(batch: &WholeBatch, id: StoreId) -> bool {
    batch.commit.is_some_and(|row| {
        row.id == id
            && row.first <= row.last
            && batch.sequence >= row.floor
            && batch.sequence - row.floor < SEQUENCE_SLACK
    })
}

/// Whether a plausible batch may stand after `last`.
fn follows(batch: &WholeBatch, last: &WholeBatch) -> bool {
    match (batch.commit, last.commit) {
        (Some(row), Some(before)) => row.floor > last.sequence && row.first.0 > before.last.0,
        _ => false,
    }
}

fn parse_batch(bytes: &[u8], start: usize) -> Option<WholeBatch> {
    let mut reader = Reader { bytes, at: start };
    if reader.u8()? != 1 {
        return None;
    }
    let count = reader.u32()?;
    let sequence = reader.u64()?;
    if count == 0 {
        return None;
    }
    let mut hasher = Xxh3::new();
    let mut commit = None;
    for _ in 0..count {
        let from = reader.at;
        if let Some(row) = parse_item(&mut reader)? {
            commit = Some(row);
        }
        hasher.update(bytes.get(from..reader.at)?);
    }
    if reader.u8()? != 3 || reader.u64()? != hasher.finish() || reader.take(4)? != TRAILER {
        return None;
    }
    Some(WholeBatch { start, end: reader.at, sequence, commit })
}

/// Reads one item; the inner value is the commit row if this is it.
#[expect(clippy::option_option, reason = "outside: not an item; inside: not a commit row")]
fn parse_item(reader: &mut Reader<'_>) -> Option<Option<CommitRow>> {
    match reader.u8()? {
        2 => {
            // value or tombstone, uncompressed: nothing else is ever written
            if reader.u8()? > 1 || reader.u8()? != 0 {
                return None;
            }
            let keyspace = reader.u64()?;
            let key_len = usize::from(reader.u16()?);
            let (len, stored_len) = (reader.u32()?, reader.u32()?);
            if len != stored_len {
                return None;
            }
            let key = reader.take(key_len)?;
            let value = reader.take(usize::try_from(len).ok()?)?;
            let ours = keyspace == META_KEYSPACE && key == COMMIT_KEY;
            Some(if ours { CommitRow::decode(value) } else { None })
        }
        _ => None,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(n)?;
        let part = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(part)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StoreId = StoreId([9; 16]);

    fn item(keyspace: u64, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0];
        bytes.extend(keyspace.to_le_bytes());
        bytes.extend(u16::try_from(key.len()).unwrap().to_le_bytes());
        bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        bytes.extend(key);
        bytes.extend(value);
        bytes
    }

    fn batch(n: u64) -> Vec<u8> {
        let row =
            CommitRow { first: CommitNumber(n), last: CommitNumber(n), floor: 10 * n, id: ID };
        let items =
            [item(1, b"key", &[5; 40]), item(META_KEYSPACE, COMMIT_KEY, &row.encode())].concat();
        let mut hasher = Xxh3::new();
        hasher.update(&items);
        let mut bytes = vec![1];
        bytes.extend(2u32.to_le_bytes());
        bytes.extend((10 * n).to_le_bytes());
        bytes.extend(&items);
        bytes.push(3);
        bytes.extend(hasher.finish().to_le_bytes());
        bytes.extend(TRAILER);
        bytes
    }

    fn look(bytes: &[u8]) -> Inspection {
        inspect(bytes, bytes.len() as u64, ID, None)
    }

    #[test]
    fn every_cut_is_a_torn_tail_and_keeps_the_whole_batches() {
        let journal = [batch(1), batch(2), batch(3)].concat();
        let whole = look(&journal);
        assert_eq!((whole.good.len(), &whole.state), (3, &JournalState::Clean));
        for cut in 0..journal.len() {
            let seen = look(&journal[..cut]);
            let good = cut / batch(1).len();
            assert_eq!(seen.good.len(), good);
            let at = good * batch(1).len();
            let clean = at == cut;
            assert_eq!(seen.state == JournalState::Clean, clean, "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen_and_costs_one_batch() {
        let journal = [batch(1), batch(2), batch(3), vec![0; 64]].concat();
        let len = batch(1).len();
        for bit in 0..journal.len() * 8 {
            let mut bytes = journal.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let seen = look(&bytes);
            let hit = bit / 8 / len;
            match seen.state {
                // a higher sequence number between its neighbours changes nothing
                JournalState::Clean => {
                    let sequence = (hit * len + 5)..(hit * len + 13);
                    assert!(sequence.contains(&(bit / 8)), "bit {bit}");
                    assert_eq!(seen.good.len(), 3);
                }
                JournalState::Torn { at } => {
                    assert!(hit >= 2, "bit {bit}");
                    assert_eq!(at, hit.min(3) * len);
                }
                JournalState::Damaged { at, .. } => {
                    assert!(hit < 3 && at == hit * len, "bit {bit}");
                    let whole = whole_batches(&bytes, 0, ID, None);
                    // nothing is lost when only the sequence number was hit
                    let sequence = (hit * len + 5)..(hit * len + 13);
                    let expected = if sequence.contains(&(bit / 8)) { 3 } else { 2 };
                    assert_eq!(whole.len(), expected, "bit {bit}");
                    let salvaged = rebuild(&bytes, &whole, &repaired_sequences(&whole));
                    let again = look(&salvaged);
                    assert_eq!((again.good.len(), again.state), (expected, JournalState::Clean));
                }
            }
        }
    }

    #[test]
    fn batches_of_another_store_are_not_taken_for_ours() {
        let mut journal = batch(1);
        journal[3] ^= 1;
        journal.extend(batch(2));
        let other = StoreId([1; 16]);
        let seen = inspect(&journal, journal.len() as u64, other, None);
        assert_eq!(seen.state, JournalState::Torn { at: 0 });
    }
}
