//! One session with one remote: frames in, frames out, no I/O.
//!
//! ```text
//!  opener                                responder
//!    Open (spaces, digests) ───────────►
//!    ◄── Answer (what differs), Tips or Cells
//!    Want, Give…, End ─────────────────►            packs are fetched beside
//!    ◄───────────────── Give…, End, Done
//!    Done ─────────────────────────────►
//!         Check (Sums) ► ◄─ Total, Want, Give…      of a list that still stands
//!         Give, End ───► ◄──────── Done             news, in either direction
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use crate::chain::ChainKey;
use crate::description::SectionClass;
use crate::hash::{BlobHash, DeviceId, SpaceId};
use crate::sketch::sums::SUMS_MAX;
use crate::sync::agreed::Standing;
use crate::sync::exchange::{Exchange, ExchangeError, ExchangeResult, PackRef, Section};
use crate::sync::give::Giver;
use crate::sync::holds::Holds;
use crate::sync::introduce::Introduced;
use crate::sync::keys::{Salt, SessionKey};
use crate::sync::ledger::Ledger;
use crate::sync::list::ListEntry;
use crate::sync::meter::Meter;
use crate::sync::outbox::Outbox;
use crate::sync::outcome::{Counters, Outcome};
use crate::sync::push::Push;
use crate::sync::round::Round;
use crate::sync::take::Taker;
use crate::sync::tally::Tally;
use crate::wire::{FRAME_PREFIX_BYTES, Message, ScopeKind};

/// Bytes of frames made before the first of them is written.
const OUT_BYTES_MAX: usize = 128 * 1024;
/// Chains whose state at the remote is remembered, to spare it what it has.
const PEER_HAS_MAX: usize = 8192;
/// News waiting; beyond it a round finds what changed.
const NEWS_MAX: usize = 4096;

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The dialer: opens the stream and every round.
    Initiator,
    /// The other.
    Responder,
}

/// Knobs of a session.
#[derive(Debug, Clone)]
pub struct Options {
    /// Packs fetched at once.
    pub fetches_max: usize,
    /// Milliseconds without a frame or a fetched pack, while something is awaited,
    /// after which the session ends.
    pub silence_ms_max: u64,
    /// Milliseconds between checks of an idle connection; `None`: only when asked.
    pub check_every_ms: Option<u64>,
    /// Milliseconds before a difference that nobody explains is looked at again;
    /// doubles each time, up to a minute.
    pub settle_ms: u64,
    /// Tips of a section from which on a sketch of them is thought of; 0: whatever is shorter.
    pub sketch_from: usize,
    /// Sums of powers in a sketch at most; 0: cells alone.
    pub sums_max: usize,
    /// Sums of tips in the first message to who may keep something else; 0: the list at once.
    pub meet_sums: usize,
    /// Spaces in a list from which on it is not listed again where it still stands.
    pub recall_from: usize,
    /// Ask who holds what, and look whether it is true.
    pub receipts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fetches_max: 4,
            silence_ms_max: 30_000,
            check_every_ms: Some(60_000),
            settle_ms: 500,
            sketch_from: 48,
            sums_max: SUMS_MAX,
            meet_sums: 44,
            recall_from: 4,
            receipts: false,
        }
    }
}

/// A chain grew by a commit here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// Its section.
    pub section: Section,
    /// The chain.
    pub chain: ChainKey,
    /// First new change, from 1.
    pub from_n: u64,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The stream is open: the initiator begins.
    Start,
    /// A frame without its length; see [`crate::wire::frame_length`].
    Frame(Bytes),
    /// A pack came, or (`None`) did not.
    Fetched {
        /// Which.
        hash: BlobHash,
        /// Its bytes.
        bytes: Option<Bytes>,
    },
    /// Commits of this replica, from whatever source.
    News(Vec<News>),
    /// Asks for a round soon: the kept sections changed, or a user wants to know.
    Refresh,
    /// All frames polled so far are written.
    Continue,
    /// Time passed; wanted once a second or so.
    Tick,
    /// The connection is gone.
    Closed,
}

/// What is to be done, in order.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes: a frame, length in front.
    Send(Bytes),
    /// Fetch a pack by blob transfer; answer with [`Input::Fetched`].
    Fetch(PackRef),
    /// A round or push ended.
    Finished(Box<Outcome>),
    /// There is more to send: give [`Input::Continue`] when all so far is written.
    Continue,
    /// Close the connection; nothing follows.
    Close(CloseReason),
}

/// Why a session ended itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum CloseReason {
    /// Bytes that are no frame of this protocol.
    Malformed = 1,
    /// A frame out of place, or over a limit of the session.
    Protocol = 2,
    /// Nothing heard for too long.
    Silence = 3,
    /// The replica could not go on.
    Store = 4,
    /// The remote said so.
    Remote = 5,
}

impl CloseReason {
    /// Stable name for logs and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Protocol => "protocol",
            Self::Silence => "silence",
            Self::Store => "store",
            Self::Remote => "remote",
        }
    }
}

/// Why handling an input ends the session.
#[derive(Debug)]
pub(super) enum Fault {
    Close(CloseReason),
    Exchange(ExchangeError),
}

impl From<ExchangeError> for Fault {
    fn from(error: ExchangeError) -> Self {
        Self::Exchange(error)
    }
}

pub(super) const PROTOCOL: Fault = Fault::Close(CloseReason::Protocol);

/// A session; see the module.
#[derive(Debug)]
pub struct Session {
    pub(super) role: Role,
    pub(super) remote: DeviceId,
    pub(super) options: Options,
    pub(super) salt: Salt,
    pub(super) key: Option<SessionKey>,
    pub(super) list: Vec<ListEntry>,
    /// The next frame is the first one.
    pub(super) first: bool,
    /// What of this replica the list was made with.
    pub(super) listed_with: Option<Standing>,
    pub(super) rounds: u64,
    pub(super) round: Option<Round>,
    pub(super) push: Push,
    pub(super) giver: Giver,
    pub(super) taker: Taker,
    pub(super) out: Outbox,
    pub(super) requests: u64,
    /// Chains the remote gave that nobody may give.
    pub(super) faults: u32,
    /// Messages with the newest of a space that it gave.
    pub(super) newest: BTreeMap<SpaceId, u8>,
    pub(super) news: Vec<News>,
    pub(super) received: Ledger,
    pub(super) peer_has: HashMap<ChainKey, u64>,
    /// What the remote showed and the replica has not noted yet.
    shown: BTreeMap<Section, BTreeMap<ChainKey, u64>>,
    shown_count: usize,
    pub(super) repaired: Option<(u64, u64)>,
    /// Sections of which all tips were noted as shown by the remote.
    pub(super) equal_noted: BTreeSet<Section>,
    pub(super) missing_there: u64,
    pub(super) check_due: Option<u64>,
    pub(super) settle_ms: u64,
    pub(super) retried: bool,
    pub(super) reopen: bool,
    /// Lists are told as they are: sums of one were of no use.
    pub(super) plain: bool,
    /// Round of which the opener's tips are passed over: they were not needed.
    pub(super) passing: u64,
    /// A chain is new here: perhaps more is kept than was talked about.
    pub(super) grown: bool,
    pub(super) round_ms: u64,
    pub(super) tally: Tally,
    pub(super) meter: Meter,
    pub(super) introduced: Introduced,
    pub(super) holds: Holds,
    pub(super) heard_ms: u64,
    closed: bool,
    error: Option<ExchangeError>,
}

impl Session {
    /// Begins a session over an authenticated connection. `salt` is the same at both of its
    /// ends, fresh with it, and known to nobody else.
    #[must_use]
    pub fn new(role: Role, remote: DeviceId, salt: Salt, options: Options) -> Self {
        Self {
            role,
            remote,
            salt,
            key: None,
            list: Vec::new(),
            first: false,
            listed_with: None,
            rounds: 0,
            round: None,
            push: Push::default(),
            giver: Giver::new(remote),
            taker: Taker::new(options.fetches_max),
            out: Outbox::default(),
            requests: 0,
            faults: 0,
            newest: BTreeMap::new(),
            news: Vec::new(),
            received: Ledger::default(),
            peer_has: HashMap::new(),
            shown: BTreeMap::new(),
            shown_count: 0,
            repaired: None,
            equal_noted: BTreeSet::new(),
            missing_there: 0,
            check_due: None,
            settle_ms: options.settle_ms,
            retried: false,
            reopen: true,
            plain: false,
            passing: 0,
            grown: false,
            round_ms: 0,
            tally: Tally::default(),
            meter: Meter::default(),
            introduced: Introduced::default(),
            holds: Holds::default(),
            heard_ms: 0,
            closed: false,
            error: None,
            options,
        }
    }

    /// Takes an input. What is to be done then comes from [`Session::poll`].
    pub fn handle(&mut self, now_ms: u64, input: Input, exchange: &dyn Exchange) {
        if self.closed {
            return;
        }
        let under_way = self.round.as_ref().map(|round| (round.number, round.before));
        let done = self.act(now_ms, input, exchange).and_then(|()| self.advance(now_ms, exchange));
        let reason = match done {
            Ok(()) => return,
            Err(Fault::Close(reason)) => reason,
            Err(Fault::Exchange(error)) => {
                self.error = Some(error);
                CloseReason::Store
            }
        };
        if let (None, Some((number, before))) = (&self.round, under_way) {
            self.round = Some(Round::new(number, true, before));
        }
        self.end(reason, exchange);
    }

    /// Returns the next thing to do.
    #[must_use]
    pub fn poll(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// Whether more frames are welcome; while they are not, the stream should not be read.
    #[must_use]
    pub fn wants_frames(&self) -> bool {
        self.taker.wants_frames()
    }

    /// Whether a round or push is under way here.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.round.is_some() || self.push.is_open() || !self.news.is_empty()
    }

    /// Bytes and acts of the whole session.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.out.counters
    }

    /// Why the replica could not go on, after [`CloseReason::Store`].
    #[must_use]
    pub const fn error(&self) -> Option<&ExchangeError> {
        self.error.as_ref()
    }

    fn act(&mut self, now_ms: u64, input: Input, exchange: &dyn Exchange) -> Result<(), Fault> {
        match input {
            Input::Start => {
                self.heard_ms = now_ms;
                if self.role == Role::Initiator {
                    self.start_round(now_ms, exchange)?;
                }
            }
            Input::Frame(frame) => {
                self.heard_ms = now_ms;
                let message =
                    Message::decode(&frame).map_err(|_| Fault::Close(CloseReason::Malformed))?;
                let bytes = frame.len() + FRAME_PREFIX_BYTES;
                self.out.count(&message, bytes);
                self.on_message(now_ms, message, bytes, exchange)?;
            }
            Input::Fetched { hash, bytes } => {
                self.heard_ms = now_ms;
                self.taker.fetched(hash, bytes);
            }
            Input::News(news) => self.note_news(now_ms, news),
            Input::Refresh => {
                self.hear_again(exchange)?;
                self.reopen = true;
                self.introduced.look_again();
                self.retried = false;
                self.ask_for_round(now_ms);
            }
            Input::Continue => {}
            Input::Tick => self.tick(now_ms, exchange)?,
            Input::Closed => {
                self.closed = true;
                self.flush_shown(exchange)?;
                self.giver.close(exchange);
                self.abandon(exchange);
            }
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        now_ms: u64,
        message: Message,
        bytes: usize,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        if self.key.is_none()
            && !matches!(
                message,
                Message::Open { .. }
                    | Message::Meet { .. }
                    | Message::Check { list: Some(_), .. }
                    | Message::Close { .. }
            )
        {
            return Err(PROTOCOL);
        }
        match message {
            Message::Open { round, first, more, missing, entries } => {
                self.on_open(round, first, more, missing, entries, exchange)
            }
            Message::Answer { round, more, missing, entries } => {
                self.on_answer(round, more, missing, &entries)
            }
            Message::Check { round, list, missing, digest, told } => {
                self.on_check(round, list, missing, (digest, told), exchange)
            }
            Message::Total { round, missing, then, digest } => {
                self.on_total(now_ms, round, (missing, then), digest, exchange)
            }
            Message::Cells { round, last, sections, cells } => {
                self.on_cells(round, last, sections, &cells, exchange)
            }
            Message::Sums { round, sections, sums } => {
                self.on_sums(round, sections, &sums, exchange)
            }
            Message::More { round, estimate } => self.on_more(round, estimate.as_ref()),
            Message::Compared { round, sections } => self.on_compared(round, &sections),
            Message::Tips { round, last, groups } => self.on_tips(round, last, groups, exchange),
            Message::Want { request, items } => self.on_want(request, &items, exchange),
            Message::WantBodies { request, section, hashes } => {
                self.on_want_bodies(request, section, hashes, exchange)
            }
            Message::Newest(newest) => self.on_newest(now_ms, newest, exchange),
            message @ (Message::Give { .. } | Message::Bodies { .. } | Message::End { .. }) => {
                if self.taker.push(message, bytes) {
                    Ok(())
                } else {
                    Err(PROTOCOL)
                }
            }
            Message::Done(done) if done.scope.kind == ScopeKind::Push => {
                self.on_push_done(now_ms, done, exchange)
            }
            Message::Done(done) => self.on_done(done),
            Message::Taken { count } => {
                if self.giver.taken(count, exchange)? {
                    Ok(())
                } else {
                    Err(PROTOCOL)
                }
            }
            Message::Again => self.on_again(now_ms, exchange),
            Message::Close { .. } => Err(Fault::Close(CloseReason::Remote)),
            message => self.on_meeting(now_ms, message, exchange),
        }
    }

    /// Does what can be done now: takes what has come, moves round and pushes on, sends.
    fn advance(&mut self, now_ms: u64, exchange: &dyn Exchange) -> Result<(), Fault> {
        if self.closed {
            return Ok(());
        }
        while let Some(ready) = self.taker.next() {
            self.take(now_ms, ready, exchange)?;
        }
        self.taker.schedule(&mut self.out);
        self.taker.acknowledge(&mut self.out);
        // Before a round in which nothing differs is over.
        self.ask_for_holds(now_ms, exchange)?;
        self.advance_round(now_ms, exchange)?;
        self.note_growth(now_ms, exchange)?;
        self.introduce(exchange)?;
        self.advance_push(now_ms, exchange)?;
        while self.out.bytes() < OUT_BYTES_MAX {
            if self.send_tips() {
                continue;
            }
            if !self.giver.has_work(exchange) {
                return Ok(());
            }
            self.giver.step(exchange, &mut self.out)?;
        }
        self.out.go_on();
        Ok(())
    }

    fn tick(&mut self, now_ms: u64, exchange: &dyn Exchange) -> Result<(), Fault> {
        self.flush_shown(exchange)?;
        let waiting = self.round.is_some() || self.push.is_open();
        if waiting
            && !self.taker.is_fetching()
            && now_ms.saturating_sub(self.heard_ms) > self.options.silence_ms_max
        {
            return Err(Fault::Close(CloseReason::Silence));
        }
        self.begin_due_round(now_ms, exchange)
    }

    /// Something is awaited from now on.
    pub(super) const fn touch(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
    }

    /// Counts what the initiator makes this side compare.
    pub(super) fn meter_round(&mut self) -> Result<(), Fault> {
        if self.meter.spend(self.heard_ms) { Ok(()) } else { Err(PROTOCOL) }
    }

    /// Wants a round at the next tick.
    pub(super) fn ask_for_round(&mut self, now_ms: u64) {
        self.check_due = Some(now_ms);
    }

    /// Wants a round when things have settled; each time later.
    pub(super) fn ask_when_settled(&mut self, now_ms: u64) {
        let due = now_ms + self.settle_ms;
        self.settle_ms = (self.settle_ms * 2).min(60_000);
        self.check_due = Some(self.check_due.map_or(due, |earlier| earlier.min(due)));
    }

    fn note_news(&mut self, now_ms: u64, news: Vec<News>) {
        if news.iter().any(|news| news.from_n == 1) {
            self.grown = true;
            self.introduced.look_again();
        }
        // Somebody may have come into a conversation.
        if news.iter().any(|news| news.section.class == SectionClass::Private) {
            self.introduced.look_again();
        }
        if self.news.len() + news.len() > NEWS_MAX {
            self.news.clear();
            self.reopen = true;
            self.ask_for_round(now_ms);
            return;
        }
        self.news.extend(news);
    }

    /// Notes that the remote has a chain up to `n`.
    pub(super) fn note_peer_has(&mut self, chain: ChainKey, n: u64) {
        if self.peer_has.len() >= PEER_HAS_MAX {
            self.peer_has.clear();
        }
        let known = self.peer_has.entry(chain).or_insert(0);
        *known = n.max(*known);
    }

    /// Notes that the remote shows a chain up to `n`; written down at the next tick, so
    /// that no answer waits for it.
    pub(super) fn note_shown(
        &mut self,
        section: Section,
        chain: ChainKey,
        n: u64,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<()> {
        let known = self.shown.entry(section).or_default().entry(chain).or_insert(0);
        *known = n.max(*known);
        self.shown_count += 1;
        if self.shown_count >= PEER_HAS_MAX { self.flush_shown(exchange) } else { Ok(()) }
    }

    pub(super) fn flush_shown(&mut self, exchange: &dyn Exchange) -> ExchangeResult<()> {
        self.shown_count = 0;
        for (section, tips) in std::mem::take(&mut self.shown) {
            let tips: Vec<_> = tips.into_iter().collect();
            exchange.record_shown(&self.remote, &section, &tips)?;
        }
        Ok(())
    }

    fn end(&mut self, reason: CloseReason, exchange: &dyn Exchange) {
        self.closed = true;
        self.giver.close(exchange);
        self.abandon(exchange);
        self.out.send(&Message::Close { code: reason as u8 });
        self.out.close(reason);
    }
}
