//! The one thread that writes. While a fsync runs the next group gathers by itself: no timer.
//!
//! On the first failure it answers everybody, refuses what comes later and never tries again.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use bytes::Bytes;

use super::{Batch, CommitNumber, Completion, Operation, Pending, StoreError, Table};

/// Batches in one group.
pub(super) const GROUP_BATCHES_MAX: usize = 256;
/// Bytes in one group; a larger batch goes alone.
pub(super) const GROUP_BYTES_MAX: usize = 1024 * 1024;
/// Batches that may wait; a submitter waits for room beyond.
const QUEUE_BATCHES_MAX: usize = 4096;
/// Bytes that may wait.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The last value of each key, or that it is gone.
pub(super) type Effects = BTreeMap<(Table, Bytes), Option<Bytes>>;

/// Several batches, to be made durable with one fsync, all or nothing.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) first: CommitNumber,
    pub(super) last: CommitNumber,
    pub(super) effects: Effects,
}

/// What makes a group durable.
pub(super) trait Sink: Send + 'static {
    /// Commits atomically; returns after the fsync.
    fn commit(&mut self, group: Group) -> Result<(), StoreError>;
}

/// What the writer has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: u64,
    pub(super) fsyncs: u64,
    pub(super) bytes: u64,
    pub(super) last: CommitNumber,
}

/// The queue and its thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    drained: Condvar,
}

struct Queue {
    waiting: VecDeque<(Batch, Completion)>,
    bytes: usize,
    paused: bool,
    state: State,
    counters: Counters,
}

enum State {
    Open,
    Closing,
    Failed(String),
}

impl Writer {
    /// Starts the thread; the next commit gets the number after `last`.
    pub(super) fn start(sink: impl Sink, last: CommitNumber) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                bytes: 0,
                paused: false,
                state: State::Open,
                counters: Counters { last, ..Counters::default() },
            }),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("store writer".to_owned())
            .spawn(move || worker.run(sink))
            .map_err(|error| StoreError::io("start a thread for", "store writer", error))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a batch, waiting for room.
    pub(super) fn submit(&self, batch: Batch) -> Result<Pending, StoreError> {
        let mut queue = self.shared.lock();
        loop {
            match &queue.state {
                State::Open => {}
                State::Closing => return Err(StoreError::Closed),
                State::Failed(reason) => {
                    return Err(StoreError::ReadOnly { reason: reason.clone() });
                }
            }
            let full = queue.waiting.len() >= QUEUE_BATCHES_MAX
                || (queue.bytes.saturating_add(batch.bytes()) > QUEUE_BYTES_MAX
                    && !queue.waiting.is_empty());
            if !full {
                break;
            }
            queue = self.shared.drained.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let (completion, pending) = Pending::new();
        queue.bytes = queue.bytes.saturating_add(batch.bytes());
        queue.waiting.push_back((batch, completion));
        drop(queue);
        self.shared.filled.notify_one();
        Ok(pending)
    }

    /// Returns the counters.
    pub(super) fn counters(&self) -> Counters {
        self.shared.lock().counters
    }

    /// Holds commits back, or lets them go: makes grouping exact in tests.
    #[cfg(any(test, feature = "test-utils"))]
    pub(super) fn pause(&self, paused: bool) {
        self.shared.lock().paused = paused;
        self.shared.filled.notify_one();
    }

    /// Commits what waits, then ends the thread. Closing twice is no error.
    pub(super) fn close(&self) {
        {
            let mut queue = self.shared.lock();
            queue.paused = false;
            if matches!(queue.state, State::Open) {
                queue.state = State::Closing;
            }
        }
        self.shared.filled.notify_one();
        self.shared.drained.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // the thread catches panics of the sink, so there is nothing to learn from joining
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut sink: impl Sink) {
        while let Some((group, batches, bytes, answers)) = self.next_group() {
            let last = group.last;
            let first = group.first;
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| sink.commit(group)))
                .unwrap_or_else(|_| Err(StoreError::ReadOnly { reason: "panic".to_owned() }));
            match outcome {
                Ok(()) => {
                    self.count(batches, bytes, last);
                    for (number, answer) in (first.0..).zip(answers) {
                        answer.complete(Ok(CommitNumber(number)));
                    }
                }
                Err(error) => self.fail(&error, answers),
            }
        }
    }

    /// Waits for work; `None` when closed and drained, or failed.
    fn next_group(&self) -> Option<(Group, u64, u64, Vec<Completion>)> {
        let mut queue = self.lock();
        loop {
            match &queue.state {
                State::Failed(_) => return None,
                State::Closing if queue.waiting.is_empty() => return None,
                _ if !queue.waiting.is_empty() && !queue.paused => break,
                _ => {
                    queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        let first = CommitNumber(queue.counters.last.0.saturating_add(1));
        let (mut effects, mut answers) = (Effects::new(), Vec::new());
        let mut bytes = 0usize;
        while let Some((batch, answer)) = queue.waiting.pop_front() {
            let after = bytes.saturating_add(batch.bytes());
            if !answers.is_empty()
                && (answers.len() >= GROUP_BATCHES_MAX || after > GROUP_BYTES_MAX)
            {
                queue.waiting.push_front((batch, answer));
                break;
            }
            bytes = after;
            queue.bytes = queue.bytes.saturating_sub(batch.bytes());
            collect(batch, &mut effects);
            answers.push(answer);
        }
        drop(queue);
        self.drained.notify_all();
        let batches = answers.len() as u64;
        let last = CommitNumber(first.0.saturating_add(batches).saturating_sub(1));
        Some((Group { first, last, effects }, batches, bytes as u64, answers))
    }

    fn count(&self, batches: u64, bytes: u64, last: CommitNumber) {
        let counters = &mut self.lock().counters;
        counters.commits += batches;
        counters.fsyncs += 1;
        counters.bytes += bytes;
        counters.last = last;
    }

    fn fail(&self, error: &StoreError, answers: Vec<Completion>) {
        let reason = error.to_string();
        let waiting = {
            let mut queue = self.lock();
            queue.state = State::Failed(reason.clone());
            queue.bytes = 0;
            std::mem::take(&mut queue.waiting)
        };
        self.drained.notify_all();
        for answer in answers {
            answer.complete(Err(error.clone()));
        }
        for (_, answer) in waiting {
            answer.complete(Err(StoreError::ReadOnly { reason: reason.clone() }));
        }
    }
}

/// Applies a batch over earlier effects: the later operation on a key wins.
pub(super) fn collect(batch: Batch, effects: &mut Effects) {
    for operation in batch.into_operations() {
        match operation {
            Operation::Put { table, key, value } => effects.insert((table, key), Some(value)),
            Operation::Delete { table, key } => effects.insert((table, key), None),
        };
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("counters", &self.counters()).finish_non_exhaustive()
    }
}
