//! The one thread that writes. While a fsync runs the next group gathers by itself: no timer.
//!
//! On the first failure it answers everybody, refuses what comes later and never tries again.

use std::{
    collections::VecDeque,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use super::{
    Batch, CommitNumber, Completion, Pending, StoreError,
    effects::{Effects, collect},
};

/// Batches in one group.
pub(super) const GROUP_BATCHES_MAX: usize = 256;
/// Bytes in one group; a larger batch goes alone.
pub(super) const GROUP_BYTES_MAX: usize = 1024 * 1024;
/// Batches that may wait; a submitter waits for room beyond.
const QUEUE_BATCHES_MAX: usize = 4096;
/// Bytes that may wait.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;

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
    on_failure: Option<FailureListener>,
}

/// Called with the first failure.
pub(super) type FailureListener = Box<dyn FnOnce(&str) + Send>;

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
                on_failure: None,
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

    /// Calls `listener` when a commit fails, after which there are no more.
    pub(super) fn on_failure(&self, listener: FailureListener) {
        self.shared.lock().on_failure = Some(listener);
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
        // a callback may drop the last handle: the thread cannot wait for itself
        if let Some(thread) = thread.filter(|t| t.thread().id() != thread::current().id()) {
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
        let (mut group, mut answers) = (Vec::new(), Vec::new());
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
            group.push(batch);
            answers.push(answer);
        }
        drop(queue);
        self.drained.notify_all();
        let batches = answers.len() as u64;
        let last = CommitNumber(first.0.saturating_add(batches).saturating_sub(1));
        let effects = collect(group);
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
        let (waiting, listener) = {
            let mut queue = self.lock();
            queue.state = State::Failed(reason.clone());
            queue.bytes = 0;
            (std::mem::take(&mut queue.waiting), queue.on_failure.take())
        };
        self.drained.notify_all();
        if let Some(listener) = listener {
            listener(&reason);
        }
        for answer in answers {
            answer.complete(Err(error.clone()));
        }
        for (_, answer) in waiting {
            answer.complete(Err(StoreError::ReadOnly { reason: reason.clone() }));
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::Table;
    use super::*;

    /// Reports each group and waits for permission to answer.
    struct Gate {
        seen: Sender<(u64, u64)>,
        answer: Receiver<Result<(), StoreError>>,
    }

    impl Sink for Gate {
        fn commit(&mut self, group: Group) -> Result<(), StoreError> {
            self.seen.send((group.first.0, group.last.0)).unwrap();
            self.answer.recv().unwrap()
        }
    }

    type Gated = (Writer, Receiver<(u64, u64)>, Sender<Result<(), StoreError>>);

    fn gated() -> Gated {
        let (seen, groups) = channel();
        let (answers, answer) = channel();
        let writer = Writer::start(Gate { seen, answer }, CommitNumber(0)).unwrap();
        (writer, groups, answers)
    }

    fn put(len: usize) -> Batch {
        let mut batch = Batch::new();
        batch.put(Table::Rows, vec![1], vec![0; len]);
        batch
    }

    #[test]
    fn what_waits_during_a_fsync_becomes_one_group() {
        let (writer, groups, answers) = gated();
        let first = writer.submit(put(1)).unwrap();
        assert_eq!(groups.recv().unwrap(), (1, 1));
        let rest: Vec<_> = (0..63).map(|_| writer.submit(put(1)).unwrap()).collect();
        answers.send(Ok(())).unwrap();
        assert_eq!(first.wait().unwrap(), CommitNumber(1));
        assert_eq!(groups.recv().unwrap(), (2, 64));
        answers.send(Ok(())).unwrap();
        for (n, pending) in (2..).zip(rest) {
            assert_eq!(pending.wait().unwrap(), CommitNumber(n));
        }
        let counters = writer.counters();
        assert_eq!((counters.commits, counters.fsyncs), (64, 2));
    }

    #[test]
    fn a_group_keeps_its_limits() {
        let (writer, groups, answers) = gated();
        writer.pause(true);
        for _ in 0..300 {
            drop(writer.submit(put(1)).unwrap());
        }
        for len in [GROUP_BYTES_MAX - 1, 1, 1, 5 * GROUP_BYTES_MAX] {
            drop(writer.submit(put(len)).unwrap());
        }
        writer.pause(false);
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(groups.recv().unwrap());
            answers.send(Ok(())).unwrap();
        }
        assert_eq!(seen, [(1, 256), (257, 300), (301, 301), (302, 303), (304, 304)]);
    }

    #[test]
    fn a_failed_fsync_is_never_tried_again() {
        for fatal in [
            StoreError::io("flush", "disk", std::io::Error::other("fsync")),
            StoreError::io("write", "disk", std::io::ErrorKind::StorageFull.into()),
        ] {
            let (writer, groups, answers) = gated();
            let first = writer.submit(put(1)).unwrap();
            groups.recv().unwrap();
            let waiting = writer.submit(put(1)).unwrap();
            answers.send(Err(fatal.clone())).unwrap();
            assert_eq!(first.wait().unwrap_err().to_string(), fatal.to_string());
            assert!(matches!(waiting.wait(), Err(StoreError::ReadOnly { .. })));
            assert!(matches!(writer.submit(put(1)), Err(StoreError::ReadOnly { .. })));
            writer.close();
            assert!(groups.try_recv().is_err());
            assert_eq!(writer.counters().commits, 0);
        }
    }

    #[test]
    fn a_panicking_sink_answers_everybody() {
        struct Panics;
        impl Sink for Panics {
            fn commit(&mut self, _group: Group) -> Result<(), StoreError> {
                panic!("on purpose");
            }
        }
        let writer = Writer::start(Panics, CommitNumber(0)).unwrap();
        assert!(matches!(writer.submit(put(1)).unwrap().wait(), Err(StoreError::ReadOnly { .. })));
        writer.close();
    }

    #[test]
    fn a_callback_may_drop_the_last_handle() {
        let (writer, groups, answers) = gated();
        let (sent, dropped) = channel();
        let writer = Arc::new(writer);
        let pending = writer.submit(put(1)).unwrap();
        groups.recv().unwrap();
        pending.on_done(move |outcome| {
            drop(writer);
            sent.send(outcome.is_ok()).unwrap();
        });
        answers.send(Ok(())).unwrap();
        assert!(dropped.recv().unwrap());
    }

    #[test]
    fn a_full_queue_makes_submitters_wait() {
        let (writer, groups, answers) = gated();
        let writer = Arc::new(writer);
        let mut pending = vec![writer.submit(put(1)).unwrap()];
        groups.recv().unwrap();
        pending.extend((0..QUEUE_BATCHES_MAX).map(|_| writer.submit(put(1)).unwrap()));
        let (sent, arrived) = channel();
        let late = Arc::clone(&writer);
        let thread = thread::spawn(move || {
            let pending = late.submit(put(1)).unwrap();
            sent.send(()).unwrap();
            pending.wait().unwrap()
        });
        assert!(arrived.try_recv().is_err());
        for _ in 0..=QUEUE_BATCHES_MAX.div_ceil(GROUP_BATCHES_MAX) + 1 {
            // one answer a group; the last ones may find nobody
            let _ = answers.send(Ok(()));
        }
        arrived.recv().unwrap();
        for pending in pending {
            pending.wait().unwrap();
        }
        assert_eq!(thread.join().unwrap(), CommitNumber(QUEUE_BATCHES_MAX as u64 + 2));
    }
}
