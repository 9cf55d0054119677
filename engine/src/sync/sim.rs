//! A seeded network without I/O: delays, broken connections, failed fetches.
//!
//! Time is a number, chance is a seed: a failing run names its seed and can be run
//! again. Frames of one connection keep their order, connections do not wait for each
//! other.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::codec::DecodeError;
use crate::hash::{BlobHash, DeviceId};
use crate::sync::exchange::Exchange;
use crate::sync::outcome::{Counters, Outcome};
use crate::sync::{Input, News, Options, Output, Role, Session};
use crate::wire::{FRAME_PREFIX_BYTES, frame_length};

/// A replica in the simulated network.
pub trait Party {
    /// The replica as a session sees it.
    fn exchange(&self) -> &dyn Exchange;
    /// A pack or other blob as `remote` gets it by hash.
    fn serve(&self, remote: &DeviceId, hash: &BlobHash) -> Option<Bytes>;
    /// Commits since the last call.
    fn take_news(&self) -> Vec<News>;
}

/// What goes wrong, and how often.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Longest delay of a frame or fetch.
    pub delay_ms_max: u64,
    /// Frames in 1,000 at which the connection breaks instead.
    pub breaks: u64,
    /// Fetches in 1,000 that fail.
    pub failed_fetches: u64,
}

/// A small generator; the same numbers for the same seed, for ever.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `bound` (0 if that is 0).
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        if bound == 0 { 0 } else { z % bound }
    }

    /// Returns random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| u8::try_from(self.below(256)).unwrap_or(0))
    }
}

/// Why a run did not come to rest, with what is needed to run it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}: {what}, after {steps} steps and {now_ms} ms")]
pub struct Unrest {
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub what: String,
    /// Steps done.
    pub steps: u64,
    /// Simulated time.
    pub now_ms: u64,
}

#[derive(Debug)]
enum Event {
    Frame { line: usize, life: u64, side: usize, frame: Bytes },
    Fetched { line: usize, life: u64, side: usize, hash: BlobHash, bytes: Option<Bytes> },
    Dial { line: usize },
    Tick { line: usize, life: u64 },
}

#[derive(Debug)]
struct Line {
    ends: [usize; 2],
    sessions: Option<[Session; 2]>,
    life: u64,
    clear_at: [u64; 2],
    up: bool,
}

/// Parties, the lines between them, and everything on its way.
#[derive(Debug)]
pub struct Network<P> {
    /// The replicas.
    pub parties: Vec<P>,
    /// What rounds and pushes came to: who, and what.
    pub outcomes: Vec<(usize, Outcome)>,
    /// Connections that broke or ended themselves.
    pub broken: u64,
    seed: u64,
    chance: Chance,
    faults: Faults,
    options: Options,
    now_ms: u64,
    serial: u64,
    steps: u64,
    lines: Vec<Line>,
    events: BTreeMap<(u64, u64), Event>,
}

const TICK_MS: u64 = 250;

impl<P: Party> Network<P> {
    /// Sets parties beside each other, not connected.
    #[must_use]
    pub fn new(seed: u64, parties: Vec<P>, faults: Faults, options: Options) -> Self {
        Self {
            parties,
            outcomes: Vec::new(),
            broken: 0,
            seed,
            chance: Chance::new(seed),
            faults,
            options,
            now_ms: 1_000_000,
            serial: 0,
            steps: 0,
            lines: Vec::new(),
            events: BTreeMap::new(),
        }
    }

    /// Connects two parties; the first dials first. Broken connections are dialled
    /// again by either.
    pub fn connect(&mut self, a: usize, b: usize) -> usize {
        let line = self.lines.len();
        let ends = [a, b];
        self.lines.push(Line { ends, sessions: None, life: 0, clear_at: [0; 2], up: true });
        self.at(0, Event::Dial { line });
        line
    }

    /// Ends a connection for good.
    pub fn disconnect(&mut self, line: usize) {
        if let Some(line) = self.lines.get_mut(line) {
            line.up = false;
        }
        self.break_line(line);
    }

    /// Stops all faults, so that a run can come to rest.
    pub const fn heal(&mut self) {
        self.faults.breaks = 0;
        self.faults.failed_fetches = 0;
    }

    /// Simulated time.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Counters of one end of a line, while it is connected.
    #[must_use]
    pub fn counters(&self, line: usize, side: usize) -> Option<Counters> {
        let sessions = self.lines.get(line)?.sessions.as_ref()?;
        Some(sessions.get(side)?.counters())
    }

    /// Asks for a round on every line.
    pub fn refresh(&mut self) {
        for line in 0..self.lines.len() {
            self.input(line, 0, Input::Refresh);
        }
    }

    /// Gives the commits of all parties to their sessions.
    pub fn spread_news(&mut self) {
        for party in 0..self.parties.len() {
            self.news_of(party);
        }
    }

    /// Runs for a while, at rest or not.
    ///
    /// # Errors
    /// If a frame has an impossible length.
    pub fn run_for(&mut self, ms: u64) -> Result<(), Unrest> {
        let until = self.now_ms + ms;
        while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= until) {
            self.step()?;
        }
        self.now_ms = until;
        Ok(())
    }

    /// Runs until nothing but ticks is on its way and no session is busy.
    ///
    /// # Errors
    /// If that takes more than `steps_max` steps, or a frame has an impossible length.
    pub fn run_to_rest(&mut self, steps_max: u64) -> Result<(), Unrest> {
        let until = self.steps + steps_max;
        // Ticks must pass for what was put off to happen.
        let mut quiet_since = self.now_ms;
        while self.now_ms < quiet_since + 4 * TICK_MS {
            if self.steps >= until {
                return Err(self.unrest("no rest"));
            }
            self.step()?;
            if !self.at_rest() {
                quiet_since = self.now_ms;
            }
        }
        Ok(())
    }

    fn at_rest(&self) -> bool {
        let idle = |line: &Line| match &line.sessions {
            Some(sessions) => sessions.iter().all(|session| !session.is_busy()),
            None => !line.up,
        };
        self.events.values().all(|event| matches!(event, Event::Tick { .. }))
            && self.lines.iter().all(idle)
    }

    fn unrest(&self, what: impl Into<String>) -> Unrest {
        Unrest { seed: self.seed, what: what.into(), steps: self.steps, now_ms: self.now_ms }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.serial += 1;
        self.events.insert((at.max(self.now_ms), self.serial), event);
    }

    /// Lets the next thing happen.
    pub(super) fn step(&mut self) -> Result<(), Unrest> {
        self.steps += 1;
        let Some(((at, _), event)) = self.events.pop_first() else {
            self.now_ms += TICK_MS;
            return Ok(());
        };
        self.now_ms = at;
        match event {
            Event::Dial { line } => self.dial(line),
            Event::Tick { line, life } => {
                if self.life(line) == Some(life) {
                    self.input(line, 0, Input::Tick);
                    self.input(line, 1, Input::Tick);
                    self.at(at + TICK_MS, Event::Tick { line, life });
                }
            }
            Event::Frame { line, life, side, frame } => {
                if self.life(line) == Some(life) {
                    if self.chance.below(1000) < self.faults.breaks {
                        self.break_line(line);
                        return Ok(());
                    }
                    let body = unframe(&frame).map_err(|e| self.unrest(e.to_string()))?;
                    self.input(line, side, Input::Frame(body));
                }
            }
            Event::Fetched { line, life, side, hash, bytes } => {
                if self.life(line) == Some(life) {
                    self.input(line, side, Input::Fetched { hash, bytes });
                }
            }
        }
        Ok(())
    }

    fn life(&self, line: usize) -> Option<u64> {
        self.lines.get(line).filter(|line| line.sessions.is_some()).map(|line| line.life)
    }

    fn dial(&mut self, line: usize) {
        let salt = self.chance.bytes();
        let Some(found) = self.lines.get_mut(line) else { return };
        if !found.up || found.sessions.is_some() {
            return;
        }
        // After a break either side may be the one that dials.
        if found.life > 0 && self.chance.below(2) == 1 {
            found.ends.reverse();
        }
        let devices =
            found.ends.map(|end| self.parties.get(end).map(|p| p.exchange().own_device()));
        let [Some(a), Some(b)] = devices else { return };
        let options = self.options.clone();
        found.sessions = Some([
            Session::new(Role::Initiator, b, salt, options.clone()),
            Session::new(Role::Responder, a, salt, options),
        ]);
        found.life += 1;
        found.clear_at = [self.now_ms; 2];
        let life = found.life;
        self.at(self.now_ms + TICK_MS, Event::Tick { line, life });
        self.input(line, 1, Input::Start);
        self.input(line, 0, Input::Start);
    }

    fn break_line(&mut self, line: usize) {
        self.input(line, 0, Input::Closed);
        self.input(line, 1, Input::Closed);
        if let Some(found) = self.lines.get_mut(line)
            && found.sessions.take().is_some()
        {
            self.broken += 1;
            let up = found.up;
            let again = self.now_ms + 1 + self.chance.below(200);
            if up {
                self.at(again, Event::Dial { line });
            }
        }
    }

    fn input(&mut self, line: usize, side: usize, input: Input) {
        let mut inputs = vec![input];
        let mut over = false;
        let mut who = None;
        while let Some(input) = inputs.pop() {
            let now_ms = self.now_ms;
            let Some(found) = self.lines.get_mut(line) else { return };
            let (life, Some(sessions)) = (found.life, &mut found.sessions) else { return };
            let (Some(&end), Some(&other)) = (found.ends.get(side), found.ends.get(1 - side))
            else {
                return;
            };
            let (Some(session), Some(party)) = (sessions.get_mut(side), self.parties.get(end))
            else {
                return;
            };
            who = Some(end);
            session.handle(now_ms, input, party.exchange());
            let mut outputs = Vec::new();
            while let Some(output) = session.poll() {
                outputs.push(output);
            }
            for output in outputs {
                match output {
                    Output::Send(frame) => self.post(line, life, 1 - side, frame),
                    Output::Fetch(pack) => {
                        let own = self.parties.get(end).map(|p| p.exchange().own_device());
                        let failed = self.chance.below(1000) < self.faults.failed_fetches;
                        let bytes = own.and_then(|own| {
                            self.parties.get(other).and_then(|p| p.serve(&own, &pack.hash))
                        });
                        let bytes = bytes.filter(|_| !failed);
                        let at = self.now_ms + 1 + self.chance.below(2 * self.faults.delay_ms_max);
                        let hash = pack.hash;
                        self.at(at, Event::Fetched { line, life, side, hash, bytes });
                    }
                    Output::Finished(outcome) => self.outcomes.push((end, *outcome)),
                    Output::Continue => inputs.push(Input::Continue),
                    Output::Close(_) => over = true,
                }
            }
        }
        if let Some(who) = who {
            self.news_of(who);
        }
        if over {
            self.break_line(line);
        }
    }

    fn post(&mut self, line: usize, life: u64, side: usize, frame: Bytes) {
        let delay = self.chance.below(self.faults.delay_ms_max + 1);
        let now = self.now_ms;
        let Some(found) = self.lines.get_mut(line) else { return };
        let Some(clear_at) = found.clear_at.get_mut(side) else { return };
        *clear_at = (*clear_at).max(now + delay);
        let at = *clear_at;
        self.at(at, Event::Frame { line, life, side, frame });
    }

    fn news_of(&mut self, party: usize) {
        let Some(news) = self.parties.get(party).map(Party::take_news) else { return };
        if news.is_empty() {
            return;
        }
        for line in 0..self.lines.len() {
            for side in 0..2 {
                let ends = self.lines.get(line).map(|line| line.ends);
                if ends.and_then(|ends| ends.get(side).copied()) == Some(party) {
                    self.input(line, side, Input::News(news.clone()));
                }
            }
        }
    }
}

fn unframe(frame: &Bytes) -> Result<Bytes, DecodeError> {
    let prefix = frame.first_chunk::<FRAME_PREFIX_BYTES>();
    let length = frame_length(*prefix.ok_or(DecodeError::Rule("a frame without its length"))?)?;
    let body = frame.slice(FRAME_PREFIX_BYTES..);
    if body.len() == length { Ok(body) } else { Err(DecodeError::Rule("a frame of other length")) }
}
