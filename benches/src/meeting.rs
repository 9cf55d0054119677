//! Two replicas in one process that talk through real sessions: every byte and leg counted.
//!
//! A leg is one message one way. Time here is legs: all frames take one, a pack two (asked
//! for and given), so that what a round needs comes out exactly, on any machine.

use std::collections::BTreeMap;

use bytes::Bytes;
use mosaic_engine::hash::BlobHash;
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::sync::outcome::{Counters, Outcome, OutcomeKind};
use mosaic_engine::sync::{CloseReason, Input, News, Options, Output, Role, Session};
use mosaic_engine::wire::FRAME_PREFIX_BYTES;

use crate::TIME_MS;
use crate::measure::wall_ns;

const TICK_MS: u64 = 250;
const CHECK_MS: u64 = 60_000;
/// Ticks without a frame after which nothing more is expected.
const QUIET_TICKS: u32 = 12;

/// Names of the messages by their type byte.
pub const MESSAGES: [&str; 22] = [
    "?",
    "Open",
    "Answer",
    "Check",
    "Total",
    "Tips",
    "Want",
    "Give",
    "WantBodies",
    "Bodies",
    "End",
    "Done",
    "Taken",
    "Again",
    "Close",
    "Cells",
    "More",
    "Compared",
    "Sums",
    "Meet",
    "Met",
    "Newest",
];

const GIVE: u8 = 7;
const BODIES: u8 = 9;
const NEWEST: u8 = 21;

/// What went over the line from one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of frames by type, length included.
    pub bytes: [u64; MESSAGES.len()],
    /// Frames.
    pub frames: u64,
    /// Bytes of packs given.
    pub packs: u64,
}

impl Traffic {
    /// Bytes of all frames.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Bytes of what is said to find out what differs, and that it arrived: all frames but
    /// those that carry chains and bodies.
    #[must_use]
    pub fn finding(&self) -> u64 {
        let carries = [GIVE, BODIES, NEWEST].map(|kind| self.bytes[usize::from(kind)]);
        self.all() - carries.iter().sum::<u64>()
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            bytes: std::array::from_fn(|at| self.bytes[at] - before.bytes[at]),
            frames: self.frames - before.frames,
            packs: self.packs - before.packs,
        }
    }
}

/// What a stretch of a meeting came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Met {
    /// What each side sent.
    pub sent: [Traffic; 2],
    /// Counters of each side's session.
    pub counters: [Counters; 2],
    /// Legs until the last chain or body had arrived; until the last frame where none did.
    pub arrived: u64,
    /// Legs until both sides knew that they are equal, or gave up.
    pub legs: u64,
    /// Times that the line fell silent and a clock had to tick before it went on.
    pub waits: u64,
    /// Rounds that ended, at the opener.
    pub rounds: u64,
    /// Whether the last round of both said that all sections are equal and nothing is missing.
    pub equal: bool,
    /// Why a session closed.
    pub closed: Option<CloseReason>,
    /// Legs until the newest of what is asked for was there, before the rest of it, and all bytes
    /// until then.
    pub newest: Option<(u64, u64)>,
}

impl Met {
    /// Changes that were sent to who had them.
    #[must_use]
    pub fn resent(&self) -> u64 {
        let sum = |of: fn(&Counters) -> u64| self.counters.iter().map(of).sum::<u64>();
        sum(|c| c.changes_sent).saturating_sub(sum(|c| c.changes))
    }

    /// Changes that were new to the side that got them.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.counters.iter().map(|counters| counters.changes).sum()
    }

    /// Bytes of finding out, both ways.
    #[must_use]
    pub fn finding(&self) -> u64 {
        self.sent.iter().map(Traffic::finding).sum()
    }

    /// Bytes of frames without changes and bodies in them, both ways.
    #[must_use]
    pub fn control(&self) -> u64 {
        self.counters[0].control_bytes
    }

    /// All bytes, both ways: frames and packs.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.sent.iter().map(|sent| sent.all() + sent.packs).sum()
    }

    /// All bytes without those of bodies, both ways.
    #[must_use]
    pub fn without_bodies(&self) -> u64 {
        self.total().saturating_sub(self.counters[0].body_bytes)
    }

    /// Signatures checked, both sides.
    #[must_use]
    pub fn signatures(&self) -> u64 {
        self.counters.iter().map(|counters| counters.signatures_checked).sum()
    }

    /// What each message cost, both ways: for the one who looks for the reason.
    #[must_use]
    pub fn by_message(&self) -> String {
        let of = |at: usize| self.sent[0].bytes[at] + self.sent[1].bytes[at];
        let named = MESSAGES.iter().enumerate().filter(|(at, _)| of(*at) > 0);
        named.map(|(at, name)| format!("{name} {}", of(at))).collect::<Vec<_>>().join(", ")
    }
}

/// Sees each frame on its way, with the side that sent it, and may change or drop it.
pub type Tamper<'a> = Box<dyn FnMut(usize, Bytes) -> Option<Bytes> + 'a>;

/// Brings a pack, by hash and size, in another way than out of the giver's memory.
pub type Fetch<'a> = Box<dyn FnMut(&BlobHash, u64) -> Option<Bytes> + 'a>;

enum Event {
    Input(Input),
    Frame(Bytes),
}

/// Two sessions and what is on its way between them.
pub struct Meeting<'a> {
    homes: [&'a Replica; 2],
    sessions: [Session; 2],
    queue: BTreeMap<(u64, u64), (usize, Event)>,
    serial: u64,
    clock: [u64; 2],
    now_ms: u64,
    told: Met,
    last: [Option<(Outcome, u64)>; 2],
    arrived: u64,
    begun: (Met, u64),
    silenced: bool,
    handled_ns: [u64; 2],
    tamper: Option<Tamper<'a>>,
    fetch: Option<Fetch<'a>>,
}

impl std::fmt::Debug for Meeting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meeting").field("told", &self.told).finish_non_exhaustive()
    }
}

impl<'a> Meeting<'a> {
    /// Connects two replicas; the first dials. Nothing is said yet.
    #[must_use]
    pub fn new(homes: [&'a Replica; 2], salt: u8) -> Self {
        let [a, b] = homes.map(Exchange::own_device);
        let options = Options { check_every_ms: Some(CHECK_MS), ..Options::default() };
        let sessions = [
            Session::new(Role::Initiator, b, [salt; 16], options.clone()),
            Session::new(Role::Responder, a, [salt; 16], options),
        ];
        let mut meeting = Self {
            homes,
            sessions,
            queue: BTreeMap::new(),
            serial: 0,
            clock: [0; 2],
            now_ms: TIME_MS,
            told: Met::default(),
            last: [None, None],
            arrived: 0,
            begun: Default::default(),
            silenced: false,
            handled_ns: [0; 2],
            tamper: None,
            fetch: None,
        };
        meeting.at(0, 1, Event::Input(Input::Start));
        meeting.at(0, 0, Event::Input(Input::Start));
        meeting
    }

    /// Connects two replicas and lets them talk until they rest.
    #[must_use]
    pub fn whole(homes: [&'a Replica; 2], salt: u8) -> Met {
        Self::new(homes, salt).rest()
    }

    /// Tells a side what it has committed.
    pub fn news(&mut self, side: usize, news: Vec<News>) {
        let at = self.clock[side];
        self.at(at, side, Event::Input(Input::News(news)));
    }

    /// Lets somebody on the line change or drop frames.
    pub fn tamper(&mut self, tamper: Tamper<'a>) {
        self.tamper = Some(tamper);
    }

    /// Brings packs in another way.
    pub fn fetch_by(&mut self, fetch: Fetch<'a>) {
        self.fetch = Some(fetch);
    }

    /// Lets a minute pass in which nothing is written: the opener checks whether they are equal.
    pub fn pass_a_minute(&mut self) -> Met {
        self.now_ms += CHECK_MS;
        self.rest()
    }

    /// Nanoseconds on the clock that each side has spent on what it heard.
    #[must_use]
    pub const fn handled_ns(&self) -> [u64; 2] {
        self.handled_ns
    }

    /// Goes on until nothing is on its way, and no clock has ticked.
    pub fn settle(&mut self) {
        self.drain();
    }

    /// Goes on until nothing more is said; returns what was, since the last rest.
    pub fn rest(&mut self) -> Met {
        let mut quiet = 0;
        while quiet < QUIET_TICKS && self.told.closed.is_none() {
            let before = self.told.sent.iter().map(|sent| sent.frames).sum::<u64>();
            self.drain();
            self.now_ms += TICK_MS;
            for side in 0..2 {
                let at = self.clock[side];
                self.at(at, side, Event::Input(Input::Tick));
            }
            self.silenced = true;
            self.drain();
            let after = self.told.sent.iter().map(|sent| sent.frames).sum::<u64>();
            let busy = self.sessions.iter().any(Session::is_busy);
            quiet = if before == after && !busy { quiet + 1 } else { 0 };
        }
        self.report()
    }

    fn report(&mut self) -> Met {
        let mut whole = self.told.clone();
        whole.counters = [self.sessions[0].counters(), self.sessions[1].counters()];
        let (begun, from) =
            std::mem::replace(&mut self.begun, (whole.clone(), self.clock[0].max(self.clock[1])));
        let equal = |last: &Option<(Outcome, u64)>| {
            last.as_ref().is_some_and(|(outcome, _)| {
                outcome.is_equal() && outcome.missing_here == 0 && outcome.missing_there == 0
            })
        };
        let legs = self.last.iter().flatten().map(|(_, at)| *at).max().unwrap_or(0);
        let met = Met {
            sent: std::array::from_fn(|side| whole.sent[side].since(&begun.sent[side])),
            counters: std::array::from_fn(|side| whole.counters[side].since(&begun.counters[side])),
            arrived: if self.arrived > from {
                self.arrived - from
            } else {
                legs.saturating_sub(from)
            },
            legs: legs.saturating_sub(from),
            waits: whole.waits - begun.waits,
            rounds: whole.rounds - begun.rounds,
            equal: self.last.iter().all(equal),
            closed: whole.closed,
            newest: whole.newest,
        };
        // What comes after a rest counts from there.
        self.silenced = false;
        let now = self.clock[0].max(self.clock[1]);
        self.clock = [now; 2];
        met
    }

    fn at(&mut self, leg: u64, side: usize, event: Event) {
        self.serial += 1;
        self.queue.insert((leg, self.serial), (side, event));
    }

    fn drain(&mut self) {
        while let Some(((leg, _), (side, event))) = self.queue.pop_first() {
            if self.told.closed.is_some() {
                return;
            }
            self.clock[side] = self.clock[side].max(leg);
            let input = match event {
                Event::Input(input) => input,
                Event::Frame(frame) => Input::Frame(frame),
            };
            let begun = wall_ns();
            self.sessions[side].handle(self.now_ms, input, self.homes[side]);
            self.handled_ns[side] += wall_ns() - begun;
            while let Some(output) = self.sessions[side].poll() {
                self.output(side, output);
            }
        }
    }

    fn output(&mut self, side: usize, output: Output) {
        let now = self.clock[side];
        match output {
            Output::Send(frame) => {
                if std::mem::take(&mut self.silenced) {
                    self.told.waits += 1;
                }
                let kind = frame.get(FRAME_PREFIX_BYTES).copied().unwrap_or(0);
                if matches!(kind, GIVE | BODIES) {
                    self.arrived = now + 1;
                }
                let sent = &mut self.told.sent[side];
                sent.bytes[usize::from(kind).min(MESSAGES.len() - 1)] += frame.len() as u64;
                sent.frames += 1;
                if kind == NEWEST {
                    self.told.newest = Some((now + 1, self.told.total()));
                }
                let body = frame.slice(FRAME_PREFIX_BYTES..);
                let body = match &mut self.tamper {
                    Some(tamper) => tamper(side, body),
                    None => Some(body),
                };
                if let Some(body) = body {
                    self.at(now + 1, 1 - side, Event::Frame(body));
                }
            }
            Output::Fetch(pack) => {
                let bytes = match &mut self.fetch {
                    Some(fetch) => fetch(&pack.hash, pack.size),
                    None => self.serve(1 - side, side, &pack.hash),
                };
                self.told.sent[1 - side].packs += bytes.as_ref().map_or(0, Bytes::len) as u64;
                self.arrived = now + 2;
                let input = Input::Fetched { hash: pack.hash, bytes };
                self.at(now + 2, side, Event::Input(input));
            }
            Output::Finished(outcome) => {
                if side == 0 && outcome.kind == OutcomeKind::Round {
                    self.told.rounds += 1;
                }
                self.last[side] = Some((*outcome, now));
            }
            Output::Continue => self.at(now, side, Event::Input(Input::Continue)),
            Output::Close(reason) => self.told.closed = Some(reason),
        }
    }

    fn serve(&self, giver: usize, taker: usize, hash: &BlobHash) -> Option<Bytes> {
        let remote = self.homes[taker].own_device();
        self.homes[giver].blob_for(&remote, hash).expect("a store")
    }
}
