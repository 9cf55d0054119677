//! Rows of several changes: consecutive log changes of a chain that one commit brings share a row.
//!
//! ```text
//! key    n ‖ chain ‖ last ‖ first
//! value  tag u32 ‖ before 0 or 1 ‖ [hash of the change before] ‖ ids ‖ hashes of all but the last
//!        ‖ times, each as what it is more than the one before ‖ entries
//! ```
//!
//! Each change is built and compared with its id alone, as if it had a row of its own. Where rows
//! of single changes may be in the way (ids of what was not kept) each gets its own in their place.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::gathered::{put_edited, put_gathered, put_single};
use super::stored::{ChainItem, StoredChange};
use super::wall_rows::{drop_listed, put_listed};
use super::{EngineError, Replica, Work};
use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{Description, DocumentKind};
use crate::hash::{AccountId, BlobHash, ChangeHash, ChangeId, DocumentId};
use crate::limits::ENTRY_BYTES_MAX;
use crate::store::{Batch, Table, keys};

/// Changes that share a row: of one of them all are read.
const RUN_CHANGES_MAX: usize = 64;
/// Bytes of entries that share a row.
const RUN_BYTES_MAX: usize = 64 * 1024;
/// Rows that are read at once.
const STEP: usize = 256;

/// Changes that wait for those that come after them in the same commit, by chain.
#[derive(Debug, Default)]
pub(super) struct Runs {
    waiting: BTreeMap<ChainKey, Run>,
    /// Small bodies of runs that are in the batch already.
    left: Vec<(DocumentId, BlobHash, Bytes)>,
    bytes: usize,
}

#[derive(Debug)]
struct Run {
    first: u64,
    changes: Vec<StoredChange>,
    /// Rows of their own are to be put in the place of what is there.
    single: bool,
    /// The account whose wall lists them.
    wall: Option<AccountId>,
    /// Small bodies that came along, with the numbers of the changes that name them.
    bodies: Vec<(u64, BlobHash, Bytes)>,
    /// Their bodies do not share a row: some of an earlier commit may be in its place.
    apart: bool,
}

/// What a commit holds in the end: a body that came along may have been withdrawn by another change.
type Needed = BTreeSet<(BlobHash, Option<DocumentId>)>;

impl Runs {
    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Work {
    /// Adds a log change to the commit, and what the wall of an account lists of it.
    pub(super) fn put_log_change(
        &mut self,
        key: ChainKey,
        n: u64,
        change: StoredChange,
        single: bool,
        wall: Option<AccountId>,
    ) {
        self.runs.bytes += change.row_bytes();
        let run = self.runs.waiting.entry(key).or_insert_with(|| Run {
            first: n,
            changes: Vec::new(),
            single,
            wall,
            bodies: Vec::new(),
            apart: false,
        });
        run.single |= single;
        if run.first + run.changes.len() as u64 == n {
            run.changes.push(change);
            return;
        }
        let changes = vec![change];
        let new = Run { first: n, changes, single, wall, bodies: Vec::new(), apart: false };
        let mut run = std::mem::replace(run, new);
        // What the rest of the commit withdraws is not in the batch yet.
        let bodies = std::mem::take(&mut run.bodies).into_iter();
        self.runs.left.extend(bodies.map(|(_, hash, blob)| (key.doc, hash, blob)));
        put_run(&mut self.batch, &self.needed, &key, &run);
    }

    /// Puts what waits into the batch.
    pub(super) fn put_runs(&mut self) {
        put_edited(&mut self.batch, std::mem::take(&mut self.edited));
        let runs = std::mem::take(&mut self.runs);
        for (key, run) in runs.waiting {
            put_run(&mut self.batch, &self.needed, &key, &run);
        }
        for (doc, hash, blob) in runs.left {
            if self.needed.contains(&(hash, Some(doc))) {
                put_single(&mut self.batch, &hash, &doc, &blob);
            }
        }
    }
}

/// The bodies among changes `first..=last` of a run that are still held.
fn bodies_of_run(
    run: &Run,
    needed: &Needed,
    doc: DocumentId,
    first: u64,
    last: u64,
) -> Vec<(BlobHash, Bytes)> {
    let here = run.bodies.iter().filter(|(n, ..)| (first..=last).contains(n));
    let held = here.filter(|(_, hash, _)| needed.contains(&(*hash, Some(doc))));
    held.map(|(_, hash, blob)| (*hash, blob.clone())).collect()
}

fn put_run(batch: &mut Batch, needed: &Needed, key: &ChainKey, run: &Run) {
    if run.single || run.apart {
        for (hash, blob) in bodies_of_run(run, needed, key.doc, 0, u64::MAX) {
            put_single(batch, &hash, &key.doc, &blob);
        }
    }
    if run.single {
        for (n, change) in (run.first..).zip(&run.changes) {
            put_changes(batch, key, n, std::slice::from_ref(change), run.wall.as_ref());
        }
        return;
    }
    let (mut first, mut rest) = (run.first, run.changes.as_slice());
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |change: &&StoredChange| {
            bytes += change.value.len();
            bytes <= RUN_BYTES_MAX
        };
        let count = rest.iter().take(RUN_CHANGES_MAX).take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count.min(rest.len()));
        put_changes(batch, key, first, now, run.wall.as_ref());
        if !run.apart && !run.bodies.is_empty() {
            let last = first + now.len() as u64 - 1;
            put_gathered(batch, key, first, &bodies_of_run(run, needed, key.doc, first, last));
        }
        first += now.len() as u64;
        rest = later;
    }
}

fn put_changes(
    batch: &mut Batch,
    key: &ChainKey,
    first: u64,
    changes: &[StoredChange],
    wall: Option<&AccountId>,
) {
    if let Some(wall) = wall {
        put_listed(batch, wall, key, first, changes);
    }
    match changes {
        [] => {}
        [one] => batch.put(Table::Truth, keys::chain_change(key, first), one.encode()),
        several => {
            let last = first + several.len() as u64 - 1;
            batch.put(Table::Truth, keys::chain_run(key, first, last), encode(several));
        }
    }
}

fn encode(changes: &[StoredChange]) -> Vec<u8> {
    let size = changes.iter().map(|change| 70 + change.value.len()).sum();
    let mut w = Writer::with_capacity(size);
    w.u32(changes.first().map_or(0, |change| change.tag));
    match changes.first().and_then(|change| change.previous) {
        None => w.u8(0),
        Some(hash) => w.u8(1).raw(hash.as_bytes()),
    };
    for change in changes {
        w.raw(change.id.as_bytes());
    }
    for hash in changes.iter().skip(1).map(|change| change.previous) {
        w.raw(hash.unwrap_or(ChangeHash::from_bytes([0; 32])).as_bytes());
    }
    let mut before = 0u64;
    for change in changes {
        w.zigzag(change.time_ms.wrapping_sub(before).cast_signed());
        before = change.time_ms;
    }
    for change in changes {
        w.bytes(&change.value);
    }
    w.finish()
}

fn decode(row: &Bytes, count: usize) -> Result<Vec<ChainItem>, DecodeError> {
    let mut r = Reader::new(row);
    let tag = r.u32("run tag")?;
    let mut hashes = vec![match r.u8("run previous")? {
        0 => None,
        _ => Some(ChangeHash::from_bytes(r.array("run previous")?)),
    }];
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(ChangeId::from_bytes(r.array("run id")?));
    }
    for _ in 1..count {
        hashes.push(Some(ChangeHash::from_bytes(r.array("run hash")?)));
    }
    let (mut times, mut time_ms) = (Vec::with_capacity(count), 0u64);
    for _ in 0..count {
        time_ms = time_ms.wrapping_add(r.zigzag("run time")?.cast_unsigned());
        times.push(time_ms);
    }
    let mut items = Vec::with_capacity(count);
    for ((id, previous), time_ms) in ids.into_iter().zip(hashes).zip(times) {
        let value = row.slice_ref(r.bytes(ENTRY_BYTES_MAX, "run entry")?);
        let stored = Some(StoredChange { id, previous, tag, time_ms, value });
        items.push(ChainItem { id, stored });
    }
    r.end()?;
    Ok(items)
}

/// What a chain row holds: the number of its first change, and its changes.
pub(super) fn items_of(key: &[u8], row: &Bytes) -> Result<(u64, Vec<ChainItem>), EngineError> {
    let numbers = keys::parse_chain_row(key);
    let (first, last) = numbers.ok_or_else(|| EngineError::corrupt("chain row key"))?;
    if first == last {
        let item = ChainItem::decode(row).map_err(EngineError::corrupt)?;
        return Ok((first, vec![item]));
    }
    // Each has an id there.
    let most = (row.len() / ChangeId::LEN) as u64;
    let count = last.checked_sub(first).filter(|more| *more < most);
    let count = count.and_then(|more| usize::try_from(more + 1).ok());
    let count = count.ok_or_else(|| EngineError::corrupt("chain row"))?;
    Ok((first, decode(row, count).map_err(EngineError::corrupt)?))
}

impl Replica {
    /// Puts a small body that came with change `n` of a chain into the commit, beside those of the
    /// changes around it.
    pub(super) fn put_body_of(
        &self,
        work: &mut Work,
        key: &ChainKey,
        n: u64,
        (hash, blob): (BlobHash, Bytes),
    ) -> Result<(), EngineError> {
        // Only where a second one comes: what is said live comes alone.
        let second = work.runs.waiting.get(key).filter(|run| run.bodies.len() == 1);
        let taken = match second.map(|run| run.first) {
            Some(first) => self.are_bodies_in_the_way(work, key, first)?,
            None => false,
        };
        match work.runs.waiting.get_mut(key) {
            Some(run) => {
                run.apart |= taken;
                work.runs.bytes += blob.len();
                run.bodies.push((n, hash, blob));
            }
            None => put_single(&mut work.batch, &hash, &key.doc, &blob),
        }
        Ok(())
    }

    /// Changes `first..=last` of a chain, as far as they are listed.
    pub(super) fn chain_items(
        &self,
        key: &ChainKey,
        first: u64,
        last: u64,
    ) -> Result<Vec<ChainItem>, EngineError> {
        let mut out = Vec::new();
        let (mut next, mut start) = (first, keys::chain_change(key, first));
        let prefix = keys::chain_prefix(key);
        while next <= last {
            let left = usize::try_from((last - next).saturating_add(1)).unwrap_or(STEP);
            let limit = left.min(STEP);
            let rows = self.store.scan(Table::Truth, &prefix, Some(&start), false, limit)?;
            for (place, row) in &rows {
                let (row_first, items) = items_of(place, row)?;
                for (n, item) in (row_first..).zip(items) {
                    if (next..=last).contains(&n) {
                        out.push(item);
                        next = n + 1;
                    }
                }
                if next > last {
                    break;
                }
            }
            let Some((place, _)) = rows.last().filter(|_| rows.len() == limit) else { break };
            start = [place.as_ref(), &[0]].concat();
        }
        Ok(out)
    }

    /// One change of a chain.
    pub(super) fn chain_item(
        &self,
        key: &ChainKey,
        n: u64,
    ) -> Result<Option<ChainItem>, EngineError> {
        let place = keys::chain_change(key, n);
        if let Some(row) = self.store.get(Table::Truth, &place)? {
            return Ok(Some(ChainItem::decode(&row).map_err(EngineError::corrupt)?));
        }
        Ok(self.chain_items(key, n, n)?.pop())
    }

    /// Whether rows of a chain may be where change `n` and those after it belong. It is asked once
    /// for all that one commit brings.
    pub(super) fn is_in_the_way(
        &self,
        work: &Work,
        key: &ChainKey,
        n: u64,
    ) -> Result<bool, EngineError> {
        if work.bridged.contains(key) {
            return Ok(true);
        }
        if work.documents.contains(&key.doc) || work.runs.waiting.contains_key(key) {
            return Ok(false);
        }
        let (prefix, start) = (keys::chain_prefix(key), keys::chain_change(key, n));
        Ok(!self.store.scan(Table::Truth, &prefix, Some(&start), false, 1)?.is_empty())
    }

    /// Takes the rows of all changes of a chain from one on away, and what they share on a wall.
    pub(super) fn drop_chain_rows(
        &self,
        work: &mut Work,
        key: &ChainKey,
        from: u64,
        description: &Description,
    ) -> Result<(), EngineError> {
        let wall = (description.kind == DocumentKind::Wall).then_some(&description.account);
        let prefix = keys::chain_prefix(key);
        let mut start = keys::chain_change(key, from);
        loop {
            let rows = self.store.scan(Table::Truth, &prefix, Some(&start), false, STEP)?;
            for (place, row) in &rows {
                let (first, items) = items_of(place, row)?;
                if let Some(wall) = wall {
                    drop_listed(&mut work.batch, wall, key, first, &items);
                }
                let before = usize::try_from(from.saturating_sub(first)).unwrap_or(0);
                let kept: Vec<StoredChange> =
                    items.into_iter().take(before).filter_map(|item| item.stored).collect();
                work.batch.delete(Table::Truth, place.to_vec());
                put_changes(&mut work.batch, key, first, &kept, wall);
            }
            let Some((place, _)) = rows.last().filter(|_| rows.len() == STEP) else { break };
            start = [place.as_ref(), &[0]].concat();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Operation;

    fn change(n: u8) -> StoredChange {
        StoredChange {
            id: ChangeId::from_bytes([n; 32]),
            previous: (n > 1).then(|| ChangeHash::from_bytes([n - 1; 32])),
            tag: 9,
            time_ms: u64::from(n % 3) * 1_000_000,
            value: vec![n; usize::from(n)].into(),
        }
    }

    fn key() -> ChainKey {
        ChainKey {
            doc: DocumentId::from_bytes([1; 32]),
            device: crate::hash::DeviceId::from_bytes([2; 32]),
            incarnation: crate::hash::Incarnation::from_bytes([3; 16]),
        }
    }

    #[test]
    fn a_body_withdrawn_after_a_gap_of_the_same_commit_is_not_put() {
        let (key, mut work) = (key(), Work::default());
        let bodies: Vec<Bytes> = [&b"kept"[..], b"withdrawn"].map(Bytes::from_static).to_vec();
        for (n, body) in (1u8..).zip(&bodies) {
            work.put_log_change(key, u64::from(n), change(n), false, None);
            let hash = BlobHash::of(body);
            work.needed.insert((hash, Some(key.doc)));
            let run = work.runs.waiting.get_mut(&key).unwrap();
            run.bodies.push((u64::from(n), hash, body.clone()));
        }
        work.put_log_change(key, 5, change(5), false, None);
        work.needed.remove(&(BlobHash::of(b"withdrawn"), Some(key.doc)));
        work.put_runs();
        let with = |wanted: &[u8]| {
            let put = |one: &&Operation| matches!(one, Operation::Put { value, .. } if value.ends_with(wanted));
            work.batch.operations().iter().filter(put).count()
        };
        assert_eq!((with(b"kept"), with(b"withdrawn")), (1, 0));
    }

    #[test]
    fn a_run_gives_back_what_went_in_and_nothing_else() {
        let key = key();
        for first in [1u8, 4] {
            let changes: Vec<_> = (first..first + 5).map(change).collect();
            let row = Bytes::from(encode(&changes));
            let place = keys::chain_run(&key, u64::from(first), u64::from(first) + 4);
            let (at, items) = items_of(&place, &row).unwrap();
            let back: Vec<_> = items.into_iter().filter_map(|item| item.stored).collect();
            assert_eq!((at, back), (u64::from(first), changes));
            assert!(items_of(&place, &row.slice(..row.len() - 1)).is_err());
            assert!(items_of(&place, &Bytes::from([&row[..], &[0]].concat())).is_err());
            for (first, last) in [(u64::from(first), u64::MAX), (9, 5), (0, u64::MAX)] {
                assert!(items_of(&keys::chain_run(&key, first, last), &row).is_err());
            }
        }
        assert_eq!(change(5).encode().len(), change(5).row_bytes());
        assert_eq!(change(1).encode().len(), change(1).row_bytes());
    }
}
