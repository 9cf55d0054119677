//! A store that fails at its n-th call: sweep n over a whole run and nothing is left untried.

use std::{
    fmt, io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::hash::BlobHash;

use super::{
    Batch, BlobInfo, BlobWriter, PartialBlob, PartialInfo, Pending, Row, RowVisitor, Store,
    StoreError, StoreStats, Table,
};

/// What happens at the n-th call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails. A failed write makes the store read-only, as a failed fsync does.
    Fail,
    /// As [`Fault::Fail`], but for want of room.
    DiskFull,
    /// The process dies before the call has any effect.
    CrashBefore,
    /// The process dies after the call has taken effect, before it is answered.
    CrashAfter,
}

/// Wraps a store and counts its calls. All methods but `room`, `stats` and `close` count, those of
/// a partial blob too.
pub struct Faulty<S> {
    inner: S,
    state: Arc<Mutex<State>>,
}

/// A partial blob whose writes count.
struct FaultyPartial {
    inner: Box<dyn PartialBlob>,
    state: Arc<Mutex<State>>,
}

struct State {
    calls: u64,
    plan: Option<(u64, Fault)>,
    dead: bool,
    read_only: bool,
}

enum Verdict {
    Pass,
    Fail(StoreError),
    /// Do it, then say this.
    Lose(StoreError),
}

impl<S: Store> Faulty<S> {
    /// Wraps a store; nothing fails yet.
    pub fn new(inner: S) -> Self {
        let state = State { calls: 0, plan: None, dead: false, read_only: false };
        Self { inner, state: Arc::new(Mutex::new(state)) }
    }

    /// Lets the `n`-th call from now (counted from 1) fail.
    #[must_use]
    pub fn failing(self, n: u64, fault: Fault) -> Self {
        {
            let mut state = self.lock();
            state.plan = Some((state.calls + n, fault));
        }
        self
    }

    /// Returns the calls so far.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Returns whether the fault has happened.
    pub fn struck(&self) -> bool {
        let state = self.lock();
        state.plan.is_some_and(|(at, _)| state.calls >= at)
    }

    /// Returns the wrapped store.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn call<T>(
        &self,
        writes: bool,
        call: impl FnOnce(&S) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let verdict = self.lock().verdict(writes);
        verdict.over(|| call(&self.inner))
    }
}

impl State {
    fn verdict(&mut self, writes: bool) -> Verdict {
        if self.dead {
            return Verdict::Fail(StoreError::Closed);
        }
        self.calls += 1;
        match self.plan.filter(|(at, _)| *at == self.calls) {
            None if writes && self.read_only => {
                Verdict::Fail(StoreError::ReadOnly { reason: "injected failure".to_owned() })
            }
            None => Verdict::Pass,
            Some((_, Fault::CrashBefore)) => {
                self.dead = true;
                Verdict::Fail(StoreError::Closed)
            }
            Some((_, Fault::CrashAfter)) => {
                self.dead = true;
                Verdict::Lose(StoreError::Closed)
            }
            Some((_, fault)) => {
                self.read_only |= writes;
                let kind = match fault {
                    Fault::DiskFull => io::ErrorKind::StorageFull,
                    _ => io::ErrorKind::Other,
                };
                Verdict::Fail(StoreError::io("use", "faulty", io::Error::from(kind)))
            }
        }
    }
}

impl Verdict {
    fn over<T>(self, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self {
            Self::Pass => call(),
            Self::Fail(error) => Err(error),
            Self::Lose(error) => call().and(Err(error)),
        }
    }
}

impl PartialBlob for FaultyPartial {
    fn missing(&self) -> Vec<Range<u64>> {
        self.inner.missing()
    }

    fn write(&mut self, offset: u64, group: &[u8]) -> Result<bool, StoreError> {
        let verdict = lock(&self.state).verdict(true);
        verdict.over(|| self.inner.write(offset, group))
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let verdict = lock(&self.state).verdict(true);
        verdict.over(|| self.inner.checkpoint())
    }

    fn finish(self: Box<Self>) -> Result<BlobInfo, StoreError> {
        let verdict = lock(&self.state).verdict(true);
        verdict.over(|| self.inner.finish())
    }
}

impl fmt::Debug for FaultyPartial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyPartial").field("inner", &self.inner).finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Store> Store for Faulty<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.call(false, |inner| inner.get(table, key))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        start: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.call(false, |inner| inner.scan(table, prefix, start, reverse, limit))
    }

    fn submit(&self, batch: Batch) -> Result<Pending, StoreError> {
        batch.check()?;
        let verdict = self.lock().verdict(true);
        match verdict {
            Verdict::Pass => self.inner.submit(batch),
            Verdict::Fail(error @ (StoreError::Closed | StoreError::ReadOnly { .. })) => Err(error),
            // the fsync fails, not the call
            Verdict::Fail(error) => Ok(Pending::ready(Err(error))),
            Verdict::Lose(error) => {
                self.inner.commit(batch)?;
                Ok(Pending::ready(Err(error)))
            }
        }
    }

    fn verify(&self, table: Table, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        self.call(false, |inner| inner.verify(table, visit))
    }

    fn verify_files(&self) -> Result<(), StoreError> {
        self.call(false, Store::verify_files)
    }

    fn blob_create(&self, size_max: u64) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.call(true, |inner| inner.blob_create(size_max))
    }

    fn blobs_put(&self, blobs: &[(BlobHash, Bytes)]) -> Result<(), StoreError> {
        self.call(true, |inner| inner.blobs_put(blobs))
    }

    fn blob_info(&self, hash: &BlobHash) -> Result<Option<BlobInfo>, StoreError> {
        self.call(false, |inner| inner.blob_info(hash))
    }

    fn blob_read(
        &self,
        hash: &BlobHash,
        offset: u64,
        len: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        self.call(false, |inner| inner.blob_read(hash, offset, len))
    }

    fn blob_groups(
        &self,
        hash: &BlobHash,
        first: u64,
        count: usize,
    ) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
        self.call(false, |inner| inner.blob_groups(hash, first, count))
    }

    fn blob_check(&self, blob: &BlobInfo) -> Result<(), StoreError> {
        self.call(false, |inner| inner.blob_check(blob))
    }

    fn blob_set_aside(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        self.call(true, |inner| inner.blob_set_aside(hash))
    }

    fn blobs(&self, after: Option<&BlobHash>, limit: usize) -> Result<Vec<BlobInfo>, StoreError> {
        self.call(false, |inner| inner.blobs(after, limit))
    }

    fn blobs_remove(&self, hashes: &[BlobHash]) -> Result<u64, StoreError> {
        self.call(true, |inner| inner.blobs_remove(hashes))
    }

    fn blob_footprint(&self, hash: &BlobHash) -> Result<u64, StoreError> {
        self.call(false, |inner| inner.blob_footprint(hash))
    }

    fn blobs_set_aside(&self) -> Result<Vec<BlobHash>, StoreError> {
        self.call(false, Store::blobs_set_aside)
    }

    fn partial_open(&self, hash: &BlobHash, size: u64) -> Result<Box<dyn PartialBlob>, StoreError> {
        let inner = self.call(true, |inner| inner.partial_open(hash, size))?;
        Ok(Box::new(FaultyPartial { inner, state: Arc::clone(&self.state) }))
    }

    fn partials(&self) -> Result<Vec<PartialInfo>, StoreError> {
        self.call(false, Store::partials)
    }

    fn partial_remove(&self, hash: &BlobHash, size: u64) -> Result<bool, StoreError> {
        self.call(true, |inner| inner.partial_remove(hash, size))
    }

    fn room(&self) -> Option<u64> {
        self.inner.room()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

impl<S: fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStore;
    use super::*;

    const KEYS: u8 = 6;

    fn put(n: u8) -> Batch {
        let mut batch = Batch::new();
        batch.put(Table::Truth, vec![n], vec![n; 9]);
        batch.put(Table::Rows, vec![n], vec![n]);
        batch
    }

    /// A careful caller: reads, writes, reads back. Returns what was acknowledged.
    fn run(store: &Faulty<MemoryStore>) -> Vec<u8> {
        let mut acknowledged = Vec::new();
        for n in 0..KEYS {
            if store.get(Table::Truth, &[n]).is_ok_and(|found| found.is_none())
                && store.commit(put(n)).is_ok()
            {
                acknowledged.push(n);
            }
            let _ = store.scan(Table::Rows, b"", None, false, 99);
        }
        acknowledged
    }

    #[test]
    fn whichever_call_fails_acknowledged_batches_stay_and_none_is_half() {
        for fault in [Fault::Fail, Fault::DiskFull, Fault::CrashBefore, Fault::CrashAfter] {
            let mut n = 1;
            loop {
                let store = Faulty::new(MemoryStore::new()).failing(n, fault);
                let acknowledged = run(&store);
                let struck = store.struck();
                let durable = store.inner().crash();
                let mut extra = 0;
                for key in 0..KEYS {
                    let truth = durable.get(Table::Truth, &[key]).unwrap();
                    let row = durable.get(Table::Rows, &[key]).unwrap();
                    assert_eq!(truth.is_some(), row.is_some(), "half a batch");
                    assert!(truth.is_some() || !acknowledged.contains(&key), "lost at call {n}");
                    extra += usize::from(truth.is_some() && !acknowledged.contains(&key));
                }
                // the one whose answer died with the process
                assert!(extra <= usize::from(fault == Fault::CrashAfter));
                if !struck {
                    assert_eq!((acknowledged.len(), n), (usize::from(KEYS), store.calls() + 1));
                    break;
                }
                n += 1;
            }
            assert_eq!(n, 19, "every one of 18 calls was tried");
        }
    }

    #[test]
    fn after_a_failed_fsync_nothing_is_written_but_reads_go_on() {
        let store = Faulty::new(MemoryStore::new());
        store.commit(put(1)).unwrap();
        let store = store.failing(1, Fault::DiskFull);
        assert!(matches!(store.commit(put(2)), Err(StoreError::DiskFull { .. })));
        assert!(matches!(store.commit(put(3)), Err(StoreError::ReadOnly { .. })));
        assert!(store.get(Table::Truth, &[1]).unwrap().is_some());
        assert!(store.get(Table::Truth, &[2]).unwrap().is_none());
    }
}
