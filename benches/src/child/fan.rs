//! A hub in a process of its own, with many subscribers at the other end of its pipes.
//!
//! A frame that is heard or said begins with the number of its subscriber, `u16be`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::hash::{AccountId, ChangeId, DeviceId};
use mosaic_engine::replica::{Draft, Replica};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::sync::outcome::OutcomeKind;
use mosaic_engine::sync::{CloseReason, Input, News, Options, Output, Role, Session};
use mosaic_engine::wire::FRAME_PREFIX_BYTES;
use serde::{Deserialize, Serialize};

use super::{FRAME, Line, Task, Told, array, end, start};
use crate::measure::process::{peak_rss, rss};
use crate::measure::{cpu_ns, wall_ns};
use crate::workload::{Seeded, hub, prose};
use crate::{TIME_MS, disk_store};

/// Posts that are there before anybody subscribes: a first copy in frames.
const BEFORE: u64 = 20;
/// All subscribers have what is there.
const READY: u8 = b'R';
/// Longer than a session waits for an answer.
const SILENCE_MS: u64 = 31_000;

/// A hub and who reads it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fan {
    /// Home of the hub.
    pub home: PathBuf,
    /// Where randomness comes from.
    pub seed: u64,
    /// Subscribers, each with a session.
    pub subscribers: u16,
    /// How many of them, the first ones, never read again once they have what is there.
    pub slow: u16,
    /// Posts that are then written, one after the other.
    pub posts: u64,
}

/// A post with a text of 120 bytes.
///
/// # Panics
/// If the engine refuses it.
pub fn written(writer: &Replica, n: u64) -> ChangeId {
    let text = prose::text(n, 120, &mut Seeded::new(n));
    let draft = Draft { text, ..Draft::default() };
    writer.post(draft, None, TIME_MS + 1_000 * n).expect("a post")
}

/// The same, as what sessions are told of it.
///
/// # Panics
/// As [`written`].
pub fn post(writer: &Replica, n: u64) -> News {
    let (section, chain, from_n) = writer.place_of(&written(writer, n)).expect("a place");
    News { section, chain, from_n }
}

/// Is the hub.
pub(super) fn be(fan: &Fan) -> io::Result<Told> {
    let store = disk_store(&fan.home);
    let replica = hub::node(Arc::clone(&store), fan.seed);
    (0..BEFORE).for_each(|n| _ = post(&replica, n));
    let mut serving = Serving::new(&replica, fan, Line::new(io::stdin(), io::stdout()))?;
    while serving.go_on()? != READY {}
    let told = Told { rss_before: rss(), ..Told::default() };
    let (fsyncs, begun, spent) = (store.stats().fsyncs, wall_ns(), cpu_ns());
    serving.silent = fan.slow;
    for n in 0..fan.posts {
        let news = post(&replica, BEFORE + n);
        for at in 0..fan.subscribers {
            serving.handle(at, Input::News(vec![news]))?;
        }
        serving.line.flush()?;
        while serving.sessions[usize::from(fan.slow)..].iter().any(Session::is_busy) {
            serving.go_on()?;
        }
    }
    let told = Told {
        cpu_ns: cpu_ns() - spent,
        wall_ns: wall_ns() - begun,
        fsyncs: store.stats().fsyncs - fsyncs,
        rss: rss(),
        equal: true,
        ..told
    };
    serving.now_ms += SILENCE_MS;
    (0..fan.subscribers).try_for_each(|at| serving.handle(at, Input::Tick))?;
    let queued = serving.queued.iter().map(|queue| queue.iter().map(Bytes::len).sum::<usize>());
    let queued_max = queued.max().unwrap_or(0) as u64;
    let given_up = serving.given_up;
    drop(serving);
    replica.close().expect("a closed replica");
    Ok(Told { peak_rss: peak_rss(), queued_max, given_up, ..told })
}

/// All sessions of a hub.
struct Serving<'a> {
    replica: &'a Replica,
    line: Line<io::Stdout>,
    sessions: Vec<Session>,
    /// So many of the first subscribers do not read.
    silent: u16,
    /// What waits for each of those.
    queued: Vec<Vec<Bytes>>,
    given_up: u64,
    now_ms: u64,
}

impl<'a> Serving<'a> {
    fn new(replica: &'a Replica, fan: &Fan, mut line: Line<io::Stdout>) -> io::Result<Self> {
        let account = replica.account().expect("an account");
        line.say(
            FRAME,
            &[replica.own_device().as_bytes(), account.as_bytes().as_slice()].concat(),
        )?;
        let mut sessions = Vec::new();
        for _ in 0..fan.subscribers {
            let (_, device) = line.hear()?;
            let device = DeviceId::from_bytes(array(&device)?);
            sessions.push(Session::new(Role::Responder, device, [9; 16], Options::default()));
        }
        let queued = vec![Vec::new(); sessions.len()];
        let (silent, given_up, now_ms) = (0, 0, TIME_MS);
        Ok(Self { replica, line, sessions, silent, queued, given_up, now_ms })
    }

    /// Does what the next message asks for; returns its kind.
    fn go_on(&mut self) -> io::Result<u8> {
        let (kind, bytes) = self.line.hear()?;
        if kind == FRAME {
            let (at, frame) = numbered(&bytes)?;
            self.handle(at, Input::Frame(frame))?;
        }
        Ok(kind)
    }

    fn handle(&mut self, at: u16, input: Input) -> io::Result<()> {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let session = &mut self.sessions[usize::from(at)];
            session.handle(self.now_ms, input, self.replica);
            while let Some(output) = session.poll() {
                match output {
                    Output::Send(frame) if at < self.silent => {
                        self.queued[usize::from(at)].push(frame);
                    }
                    Output::Send(frame) => say(&mut self.line, at, &frame)?,
                    Output::Continue => next = Some(Input::Continue),
                    Output::Close(CloseReason::Silence) => self.given_up += 1,
                    Output::Close(reason) => return Err(io::Error::other(reason.name())),
                    Output::Fetch(_) => return Err(io::Error::other("a pack")),
                    Output::Finished(_) => {}
                }
            }
        }
        Ok(())
    }
}

fn say<W: Write>(line: &mut Line<W>, at: u16, frame: &Bytes) -> io::Result<()> {
    line.say(FRAME, &[&at.to_be_bytes(), &frame[FRAME_PREFIX_BYTES..]].concat())
}

fn numbered(bytes: &Bytes) -> io::Result<(u16, Bytes)> {
    let (number, _) = bytes.split_first_chunk().ok_or_else(|| io::Error::other("no number"))?;
    Ok((u16::from_be_bytes(*number), bytes.slice(2..)))
}

/// Starts a hub in a child and subscribes to it, so often as it is told; returns what it came
/// to once each subscriber that reads has each post.
///
/// # Panics
/// If the child cannot be started, or fails, or a post is missing.
#[must_use]
pub fn subscribe(fan: &Fan, folder: &Path) -> Told {
    let mut child = start(&Task::Fan(fan.clone()), folder);
    let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take());
    let mut line = Line::new(output.expect("a pipe"), input);
    let (_, hello) = line.hear().expect("a hub");
    let remote = DeviceId::from_bytes(array(&hello[..32]).expect("a device"));
    let account = AccountId::from_bytes(array(&hello[32..]).expect("an account"));
    let mut readers: Vec<(Replica, Session)> = (0..fan.subscribers)
        .map(|at| {
            let reader = hub::node(Arc::new(MemoryStore::new()), fan.seed + 100 + u64::from(at));
            hub::keep(&reader, &[account]);
            line.say(FRAME, reader.own_device().as_bytes()).expect("a pipe");
            (reader, Session::new(Role::Initiator, remote, [9; 16], Options::default()))
        })
        .collect();
    let mut unequal = readers.len();
    for (at, (reader, session)) in (0..).zip(&mut readers) {
        unequal -= usize::from(take(&mut line, at, session, reader, Input::Start));
    }
    // The hub goes when it has nothing more to say.
    while let Ok((_, bytes)) = line.hear() {
        let (at, frame) = numbered(&bytes).expect("a number");
        let (reader, session) = &mut readers[usize::from(at)];
        if take(&mut line, at, session, reader, Input::Frame(frame)) {
            unequal -= 1;
            if unequal == 0 {
                line.say(READY, &[]).expect("a pipe");
            }
        }
    }
    drop(line);
    let all = usize::try_from(BEFORE + fan.posts).expect("a count");
    for (at, (reader, _)) in readers.iter().enumerate().skip(usize::from(fan.slow)) {
        assert_eq!(reader.wall(&account, None, all + 1).expect("a wall").len(), all, "{at}");
    }
    end(child, folder)
}

/// Whether the first round of a reader ended by this, with all there.
fn take<W: Write>(
    line: &mut Line<W>,
    at: u16,
    session: &mut Session,
    reader: &Replica,
    input: Input,
) -> bool {
    let (mut next, mut equal) = (Some(input), false);
    while let Some(input) = next.take() {
        session.handle(TIME_MS, input, reader);
        while let Some(output) = session.poll() {
            match output {
                // The hub may have gone.
                Output::Send(frame) => _ = say(line, at, &frame),
                Output::Continue => next = Some(Input::Continue),
                Output::Finished(outcome) => {
                    let whole = outcome.is_equal() && outcome.missing_here == 0;
                    equal |= outcome.kind == OutcomeKind::Round && whole;
                }
                Output::Fetch(_) => panic!("a pack"),
                Output::Close(reason) => panic!("closed: {}", reason.name()),
            }
        }
    }
    equal
}
