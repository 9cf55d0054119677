//! A commit under way: wait for it, await it, or be called back.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{CommitNumber, StoreError};

type Outcome = Result<CommitNumber, StoreError>;
type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// A submitted batch. Dropping it does not undo the batch.
#[must_use = "a batch is not durable before its Pending resolves"]
pub struct Pending {
    slot: Arc<Slot>,
}

/// The writer's half of a [`Pending`]. Dropped unanswered, it answers [`StoreError::Closed`].
pub struct Completion {
    slot: Option<Arc<Slot>>,
}

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Open,
    Woken(Waker),
    Called(Callback),
    Done(Outcome),
}

impl Pending {
    /// Makes both halves.
    pub fn new() -> (Completion, Self) {
        let slot = Arc::new(Slot::default());
        (Completion { slot: Some(Arc::clone(&slot)) }, Self { slot })
    }

    /// Makes a pending commit that is already answered.
    pub fn ready(outcome: Outcome) -> Self {
        let (completion, pending) = Self::new();
        completion.complete(outcome);
        pending
    }

    /// Blocks the thread until the batch is fsynced.
    ///
    /// # Errors
    ///
    /// Why the batch was not acknowledged.
    pub fn wait(self) -> Outcome {
        let mut state = self.slot.lock();
        loop {
            if let State::Done(outcome) = &*state {
                return outcome.clone();
            }
            state = self.slot.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns the outcome if it is known.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match &*self.slot.lock() {
            State::Done(outcome) => Some(outcome.clone()),
            _ => None,
        }
    }

    /// Calls `callback` once with the outcome: on the writer's thread, or at once if it is known.
    /// It must be quick and must not call the store.
    pub fn on_done(self, callback: impl FnOnce(Outcome) + Send + 'static) {
        let mut state = self.slot.lock();
        if let State::Done(outcome) = &*state {
            let outcome = outcome.clone();
            drop(state);
            callback(outcome);
        } else {
            *state = State::Called(Box::new(callback));
        }
    }
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.slot.lock();
        if let State::Done(outcome) = &*state {
            return Poll::Ready(outcome.clone());
        }
        *state = State::Woken(context.waker().clone());
        Poll::Pending
    }
}

impl Completion {
    /// Answers.
    pub fn complete(mut self, outcome: Outcome) {
        self.answer(outcome);
    }

    fn answer(&mut self, outcome: Outcome) {
        let Some(slot) = self.slot.take() else { return };
        let before = mem::replace(&mut *slot.lock(), State::Done(outcome.clone()));
        slot.done.notify_all();
        match before {
            State::Woken(waker) => waker.wake(),
            State::Called(callback) => callback(outcome),
            State::Open | State::Done(_) => {}
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.answer(Err(StoreError::Closed));
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.outcome()).finish()
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("answered", &self.slot.is_none()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        task::{Wake, Waker},
        thread,
    };

    use super::*;

    #[test]
    fn wait_returns_what_was_answered() {
        let (completion, pending) = Pending::new();
        let waiter = thread::spawn(move || pending.wait());
        completion.complete(Ok(CommitNumber(7)));
        assert!(matches!(waiter.join(), Ok(Ok(CommitNumber(7)))));
    }

    #[test]
    fn a_dropped_completion_answers_closed() {
        let (completion, pending) = Pending::new();
        drop(completion);
        assert!(matches!(pending.wait(), Err(StoreError::Closed)));
    }

    #[test]
    fn callbacks_run_once_before_or_after() {
        let (sender, receiver) = mpsc::channel();
        let (completion, pending) = Pending::new();
        let early = sender.clone();
        pending.on_done(move |outcome| early.send(outcome.is_ok()).unwrap());
        completion.complete(Ok(CommitNumber(1)));
        Pending::ready(Err(StoreError::Closed))
            .on_done(move |outcome| sender.send(outcome.is_ok()).unwrap());
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_future_is_woken() {
        struct Flag(mpsc::Sender<()>);
        impl Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.send(()).unwrap();
            }
        }
        let (sender, receiver) = mpsc::channel();
        let waker = Waker::from(Arc::new(Flag(sender)));
        let mut context = Context::from_waker(&waker);
        let (completion, mut pending) = Pending::new();
        assert!(Pin::new(&mut pending).poll(&mut context).is_pending());
        completion.complete(Ok(CommitNumber(2)));
        receiver.recv().unwrap();
        assert!(matches!(
            Pin::new(&mut pending).poll(&mut context),
            Poll::Ready(Ok(CommitNumber(2)))
        ));
    }
}
