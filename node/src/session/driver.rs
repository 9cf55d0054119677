//! The loop that feeds a session and does what it says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iroh::endpoint::{Connection, RecvStream, SendStream};
use mosaic_engine::hash::BlobHash;
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::outcome::{Counters, Outcome, OutcomeKind};
use mosaic_engine::sync::{CloseReason, Input, Output, Session};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::stream::{Writer, read};
use super::{Command, Finished, Reply, Report, Seat, reply};
use crate::clock::Steady;
use crate::refusals::Door;

const TICK: Duration = Duration::from_secs(1);
/// Askers of rounds that wait at once.
const ASKERS_MAX: usize = 64;

/// Runs `session` until it ends or the connection does. `asked` wants the result of the first
/// round of a dialler.
pub(crate) async fn drive(
    session: Session,
    connection: Connection,
    stream: (SendStream, RecvStream),
    seat: Seat,
    asked: Option<oneshot::Sender<Report>>,
) {
    let (send, recv) = stream;
    let mut driver = Driver {
        session: Some(session),
        replica: seat.replica.clone(),
        clock: Steady::begin(),
        writer: Writer::new(send),
        fetches: JoinSet::new(),
        go_on: false,
        running: asked.into_iter().map(|asker| (asker, Counters::default())).collect(),
        waiting: Vec::new(),
        ended: None,
        seat,
    };
    driver.run(read(recv)).await;
    let reason = driver.ended.unwrap_or(CloseReason::Remote);
    connection.close(u32::from(reason as u8).into(), reason.name().as_bytes());
}

struct Driver {
    /// Away while a thread handles an input.
    session: Option<Session>,
    replica: Arc<Replica>,
    clock: Steady,
    writer: Writer,
    fetches: JoinSet<(BlobHash, Option<Bytes>)>,
    go_on: bool,
    /// Those who wait for the round under way, with the sums when it was asked for.
    running: Vec<(oneshot::Sender<Report>, Counters)>,
    /// Those who wait for the next one.
    waiting: Vec<(oneshot::Sender<Report>, Counters)>,
    ended: Option<CloseReason>,
    seat: Seat,
}

impl Driver {
    async fn run(&mut self, mut frames: mpsc::Receiver<Bytes>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Some(Input::Start);
        loop {
            if let Some(input) = next.take() {
                self.handle(input).await;
                self.begin_asked_round().await;
            }
            if self.ended.is_some() {
                break;
            }
            let reading = self.session.as_ref().is_some_and(Session::wants_frames);
            next = tokio::select! {
                frame = frames.recv(), if reading => match frame {
                    Some(frame) => Some(Input::Frame(frame)),
                    None => break,
                },
                Some(fetched) = self.fetches.join_next() => {
                    fetched.ok().map(|(hash, bytes)| Input::Fetched { hash, bytes })
                }
                wrote = self.writer.wrote() => {
                    if !wrote {
                        break;
                    }
                    let go_on = self.go_on && self.writer.is_idle();
                    self.go_on &= !go_on;
                    go_on.then_some(Input::Continue)
                }
                command = self.seat.commands.recv() => match command {
                    Some(command) => Some(self.command(command)),
                    None => break,
                },
                _ = ticks.tick() => Some(self.tick()),
            };
        }
        self.handle(Input::Closed).await;
        reply(self.replies(None));
    }

    fn tick(&self) -> Input {
        if self.seat.lag.swap(false, Ordering::Relaxed) { Input::Refresh } else { Input::Tick }
    }

    fn command(&mut self, command: Command) -> Input {
        match command {
            Command::News(news) => Input::News(news),
            Command::Refresh => Input::Refresh,
            Command::Round(asker, before) => {
                if self.waiting.len() < ASKERS_MAX {
                    self.waiting.push((asker, before));
                }
                Input::Tick
            }
        }
    }

    /// Starts the round that somebody waits for, once nothing is under way.
    async fn begin_asked_round(&mut self) {
        let busy = self.session.as_ref().is_none_or(Session::is_busy);
        if busy || self.waiting.is_empty() || !self.running.is_empty() {
            return;
        }
        self.running = std::mem::take(&mut self.waiting);
        self.handle(Input::Refresh).await;
        self.handle(Input::Tick).await;
    }

    /// Gives the session an input on a thread that may block, and does what it says.
    async fn handle(&mut self, input: Input) {
        let Some(mut session) = self.session.take() else { return };
        let (replica, clock) = (self.replica.clone(), self.clock);
        let handled = tokio::task::spawn_blocking(move || {
            session.handle(clock.now_ms(), input, &*replica);
            let outputs: Vec<_> = std::iter::from_fn(|| session.poll()).collect();
            let untaken = session.take_tally();
            (session, outputs, untaken)
        });
        let Ok((session, outputs, untaken)) = handled.await else {
            tracing::error!("a session failed and is closed");
            self.ended = Some(CloseReason::Store);
            return;
        };
        self.seat.tally.set(session.counters());
        self.session = Some(session);
        // before the peer hears of it
        self.seat.refusals.note(&self.seat.remote, &untaken);
        let (mut batch, mut finished) = (BytesMut::new(), Vec::new());
        for output in outputs {
            match output {
                Output::Send(bytes) => batch.extend_from_slice(&bytes),
                Output::Fetch(pack) => {
                    let fetcher = self.seat.fetcher.clone();
                    self.fetches.spawn(async move { fetcher.pack(pack).await });
                }
                Output::Finished(outcome) => finished.push(*outcome),
                Output::Continue => self.go_on = true,
                Output::Close(reason) => {
                    if let Some(door) = Door::of_close(reason) {
                        self.seat.refusals.turn_away(&self.seat.remote, door);
                    }
                    self.ended = Some(reason);
                }
            }
        }
        if !self.writer.write(batch.freeze()) && self.ended.is_none() {
            self.ended = Some(CloseReason::Silence);
        }
        for outcome in finished {
            self.finished(outcome);
        }
    }

    fn finished(&mut self, outcome: Outcome) {
        // a round that left a difference is followed by one more at once
        let settled = outcome.is_equal() || !self.session.as_ref().is_some_and(Session::is_busy);
        let replies = match outcome.kind == OutcomeKind::Round && settled {
            true => self.replies(Some(&outcome)),
            false => Vec::new(),
        };
        // Whoever asks for the status next finds what the answer says.
        if let Err(lost) = self.seat.outcomes.try_send(Finished { outcome, replies }) {
            tracing::debug!("an outcome was not remembered");
            reply(lost.into_inner().replies);
        }
    }

    fn replies(&mut self, outcome: Option<&Outcome>) -> Vec<Reply> {
        let (now, total, ended) = (self.seat.tally.session(), self.seat.tally.total(), self.ended);
        let of = |(asker, before): (_, Counters)| {
            let (outcome, counters) = (outcome.cloned(), now.since(&before));
            (asker, Report { outcome, counters, total, ended, failures: Vec::new() })
        };
        self.running.drain(..).map(of).collect()
    }
}
