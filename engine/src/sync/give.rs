//! The sending half: turns chains and bodies that the other side lacks into frames.
//!
//! Frames are made only as fast as they are written, packs only as fast as they are
//! fetched, so that neither memory nor store fills up for a slow peer.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;

use crate::hash::{BlobHash, DeviceId, SpaceId};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::sync::exchange::{
    Exchange, ExchangeResult, Introduction, KnownTip, PackRef, PagePack, Section,
};
use crate::sync::outbox::Outbox;
use crate::wire::{
    BodyPacker, ChainGive, ChangePacker, GivenHead, KnownHead, Message, PATH_SLOTS, Part, Scope,
    ScopeKind, head_route,
};

/// Inline change bytes of a round or push, each way.
pub const INLINE_CHANGES_MAX: usize = 128 * 1024;
/// Inline body bytes of a round or push, each way.
pub const INLINE_BODIES_MAX: usize = 128 * 1024;
/// Messages with packs that the other side is not through with.
pub const WINDOW: usize = 32;
/// Bytes of their packs at which no more are made: what waits to be fetched is in memory.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of packs that the other side asked for and was through with unfetched, at which the
/// session ends. Lines break, but not as often.
const UNFETCHED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Jobs and bodies waiting; more is a peer that asks without reading.
pub const JOBS_MAX: usize = 262_144;

const FRAME_ROOM: usize = MESSAGE_BYTES_MAX - 64;
/// Inline change bytes of one chain: they are in one frame, beside its head and path.
const INLINE_CHAIN_MAX: usize = FRAME_ROOM / 2;
const PACK_BYTES_WISHED: usize = 256 * 1024;
const BODY_PACK_BYTES_WISHED: usize = 1024 * 1024;
const PIECE_BYTES_MAX: usize = 1024 * 1024;
const PIECES_MAX: usize = 64;

/// A chain to send.
#[derive(Debug, Clone)]
pub struct ChainJob {
    pub section: Section,
    pub tip: KnownTip,
    pub first_n: u64,
    pub describe: bool,
    pub fork: bool,
    /// The head alone.
    pub bare: bool,
    /// The last change of which more than the id is given.
    pub last_n: u64,
    /// What the chain is called in this round, if the other side showed a tip of it there.
    pub name: Option<u32>,
}

/// Something to send.
#[derive(Debug)]
pub enum Job {
    Chain(ChainJob),
    Body { section: Section, hash: BlobHash },
}

#[derive(Debug)]
struct Batch {
    scope: Scope,
    /// Sections of which the newest goes first.
    newest: Vec<Section>,
    jobs: VecDeque<Job>,
    bodies: VecDeque<WantedBody>,
    changes_left: usize,
    bodies_left: usize,
}

#[derive(Debug, Clone, Copy)]
struct WantedBody {
    section: Section,
    hash: BlobHash,
    /// The other side asked for it, and is told if it is not here.
    asked: bool,
}

#[derive(Debug)]
struct Prepared {
    job: ChainJob,
    intro: Introduction,
    head_n: u64,
    parts: Vec<Part>,
    bytes: usize,
}

/// What is on its way to the other side.
#[derive(Debug)]
pub struct Giver {
    pub(super) remote: DeviceId,
    batches: VecDeque<Batch>,
    waiting: usize,
    prepared: Option<Prepared>,
    page: Option<(BlobHash, Option<PagePack>)>,
    slots: PathSlots,
    unread: VecDeque<Vec<PackRef>>,
    unread_bytes: u64,
    unfetched_bytes: u64,
    /// Spaces of which the newest was given.
    pub(super) newest: HashSet<SpaceId>,
}

impl Giver {
    pub fn new(remote: DeviceId) -> Self {
        Self {
            remote,
            batches: VecDeque::new(),
            waiting: 0,
            prepared: None,
            page: None,
            slots: PathSlots::default(),
            unread: VecDeque::new(),
            unread_bytes: 0,
            unfetched_bytes: 0,
            newest: HashSet::new(),
        }
    }

    /// Queues as many jobs as there is room for, the first ones first; returns how many
    /// there was none for.
    pub fn queue_what_fits(&mut self, scope: Scope, mut jobs: Vec<Job>) -> usize {
        sort(&mut jobs);
        let rest = jobs.split_off(jobs.len().min(JOBS_MAX.saturating_sub(self.waiting)));
        self.queue(scope, jobs);
        rest.len()
    }

    /// Queues jobs; false if too many wait already. Authority goes first, then newest
    /// pages.
    pub fn queue(&mut self, scope: Scope, mut jobs: Vec<Job>) -> bool {
        if self.waiting + jobs.len() > JOBS_MAX || self.batches.len() > JOBS_MAX / 64 {
            return false;
        }
        sort(&mut jobs);
        self.waiting += jobs.len();
        let newest = self.large(scope, &jobs);
        self.batches.push_back(Batch {
            scope,
            newest,
            jobs: jobs.into(),
            bodies: VecDeque::new(),
            changes_left: INLINE_CHANGES_MAX,
            bodies_left: INLINE_BODIES_MAX,
        });
        true
    }

    /// Whether another [`Giver::step`] would send something. One message may always be
    /// under way, so that nobody waits for others for ever.
    pub fn has_work(&self, exchange: &dyn Exchange) -> bool {
        let room = self.unread.len() < WINDOW && self.unread_bytes < WINDOW_BYTES;
        !self.batches.is_empty() && (self.unread.is_empty() || (room && !exchange.is_crowded()))
    }

    /// The other side is through with `count` messages; false if it was not sent as
    /// many, or makes packs be made that it does not fetch.
    pub fn taken(&mut self, count: u64, exchange: &dyn Exchange) -> ExchangeResult<bool> {
        for _ in 0..count {
            let Some(packs) = self.unread.pop_front() else { return Ok(false) };
            for pack in &packs {
                self.unread_bytes = self.unread_bytes.saturating_sub(pack.size);
                if !exchange.release_pack(pack)? {
                    self.unfetched_bytes += pack.size;
                }
            }
        }
        Ok(self.unfetched_bytes <= UNFETCHED_BYTES_MAX)
    }

    fn await_fetch(&mut self, packs: &[PackRef]) {
        self.unread_bytes += packs.iter().map(|pack| pack.size).sum::<u64>();
        self.unread.push_back(packs.to_vec());
    }

    /// Releases all packs: the session is over.
    pub fn close(&mut self, exchange: &dyn Exchange) {
        for pack in self.unread.drain(..).flatten() {
            // The session is over either way; the replica ages packs out by itself.
            let _ = exchange.release_pack(&pack);
        }
        self.batches.clear();
    }

    /// Sends one or a few frames.
    pub fn step(&mut self, exchange: &dyn Exchange, out: &mut Outbox) -> ExchangeResult<()> {
        let Some(mut batch) = self.batches.pop_front() else { return Ok(()) };
        if let Some(section) = batch.newest.pop() {
            self.send_newest(&section, exchange, out)?;
        } else if !batch.bodies.is_empty() {
            self.send_bodies(&mut batch, exchange, out)?;
        } else if self.prepared.is_some() || matches!(batch.jobs.front(), Some(Job::Chain(_))) {
            self.send_chains(&mut batch, exchange, out)?;
        } else if !batch.jobs.is_empty() {
            while let Some(Job::Body { section, hash }) = batch.jobs.front() {
                let (section, hash) = (*section, *hash);
                batch.bodies.push_back(WantedBody { section, hash, asked: true });
                batch.jobs.pop_front();
                self.waiting = self.waiting.saturating_sub(1);
            }
        } else {
            out.send(&Message::End { scope: batch.scope });
            self.page = None;
            return Ok(());
        }
        self.batches.push_front(batch);
        Ok(())
    }

    fn send_chains(
        &mut self,
        batch: &mut Batch,
        exchange: &dyn Exchange,
        out: &mut Outbox,
    ) -> ExchangeResult<()> {
        if self.prepared.is_none() && self.send_page(batch, exchange, out)? {
            return Ok(());
        }
        let mut frame = Frame::default();
        let mut packer = ChangePacker::new();
        self.slots.begin_frame();
        while let Some(ready) = self.next(batch, exchange)? {
            let inline = ready.bytes <= batch.changes_left.min(INLINE_CHAIN_MAX);
            let alone = ready.job.fork && !inline;
            let other = frame.section.is_some_and(|section| section != ready.job.section);
            let mixed = frame.has_chains() && (inline != packer.is_empty() || alone || other);
            let room = frame.bytes + ready.intro.path.len() + if inline { ready.bytes } else { 0 };
            let full = room + 512 > FRAME_ROOM || packer.bytes() >= PACK_BYTES_WISHED;
            if mixed || (full && frame.has_chains()) {
                self.prepared = Some(ready);
                break;
            }
            out.counters.changes_sent += changes(&ready.parts);
            queue_bodies(batch, &ready, exchange)?;
            let section = ready.job.section;
            if inline {
                batch.changes_left -= ready.bytes;
                frame.push(&mut self.slots, ready);
                continue;
            }
            packer.add(ready.job.tip.chain, &ready.parts);
            frame.push(&mut self.slots, Prepared { parts: Vec::new(), ..ready });
            frame.section = Some(section);
            if alone {
                break;
            }
        }
        if let (Some(section), false) = (frame.section, packer.is_empty()) {
            frame.packs.push(exchange.register_pack(&section, packer.finish())?);
        }
        self.add_bodies(batch, &mut frame, exchange)?;
        self.send_frame(batch.scope, frame, out);
        Ok(())
    }

    /// Sends the chains of a closed page by its one pack; false if the next job is none.
    fn send_page(
        &mut self,
        batch: &mut Batch,
        exchange: &dyn Exchange,
        out: &mut Outbox,
    ) -> ExchangeResult<bool> {
        let mut frame = Frame::default();
        self.slots.begin_frame();
        while let Some(Job::Chain(job)) = batch.jobs.front() {
            if job.fork || job.bare || job.first_n != 1 || batch.scope.kind == ScopeKind::Push {
                break;
            }
            let (tip, section) = (job.tip, job.section);
            let Some(page) = self.page_of(&section, &tip, exchange)? else { break };
            let covered = page.chains.iter().any(|(chain, n)| *chain == tip.chain && *n == tip.n);
            let other = frame.packs.first().is_some_and(|pack| *pack != page.pack);
            if !covered || other || frame.bytes + 4096 > FRAME_ROOM {
                break;
            }
            let Some(Job::Chain(job)) = batch.jobs.pop_front() else { break };
            self.waiting = self.waiting.saturating_sub(1);
            let Some(intro) = exchange.introduce(&tip)? else { continue };
            if frame.packs.is_empty() {
                frame.packs.push(page.pack);
            }
            let ready = Prepared { job, intro, head_n: tip.n, parts: Vec::new(), bytes: 0 };
            out.counters.changes_sent += tip.n;
            queue_bodies(batch, &ready, exchange)?;
            frame.push(&mut self.slots, ready);
        }
        let sent = frame.has_chains();
        self.send_frame(batch.scope, frame, out);
        Ok(sent)
    }

    fn page_of(
        &mut self,
        section: &Section,
        tip: &KnownTip,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Option<PagePack>> {
        let doc = BlobHash::from_bytes(*tip.chain.doc.as_bytes());
        if let Some((known, page)) = &self.page
            && *known == doc
        {
            return Ok(page.clone());
        }
        let page = exchange.page_pack(section, &tip.chain.doc)?;
        self.page = Some((doc, page.clone()));
        Ok(page)
    }

    /// The next chain with its data; chains no longer known are passed over.
    fn next(
        &mut self,
        batch: &mut Batch,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Option<Prepared>> {
        if let Some(ready) = self.prepared.take() {
            return Ok(Some(ready));
        }
        while let Some(Job::Chain(job)) = batch.jobs.front() {
            let (tip, section) = (job.tip, job.section);
            let whole =
                !job.fork && !job.bare && job.first_n == 1 && batch.scope.kind != ScopeKind::Push;
            let covers = |page: PagePack| page.chains.contains(&(tip.chain, tip.n));
            if whole && self.page_of(&section, &tip, exchange)?.is_some_and(covers) {
                return Ok(None);
            }
            let Some(Job::Chain(job)) = batch.jobs.pop_front() else { break };
            self.waiting = self.waiting.saturating_sub(1);
            if let Some(ready) = prepare(job, exchange)? {
                return Ok(Some(ready));
            }
        }
        Ok(None)
    }

    /// Small bodies travel in the frame of their changes, to be committed with them.
    fn add_bodies(
        &self,
        batch: &mut Batch,
        frame: &mut Frame,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<()> {
        while let Some(WantedBody { hash, .. }) = batch.bodies.front().copied() {
            let Some(body) = exchange.body(&self.remote, &hash)? else {
                batch.bodies.pop_front();
                continue;
            };
            let bytes = body.len() + 4;
            if bytes > batch.bodies_left || frame.bytes + bytes > FRAME_ROOM {
                break;
            }
            batch.bodies.pop_front();
            batch.bodies_left -= bytes;
            frame.bytes += bytes;
            frame.bodies.push(body);
        }
        Ok(())
    }

    fn send_frame(&mut self, scope: Scope, frame: Frame, out: &mut Outbox) {
        if !frame.has_chains() {
            return;
        }
        out.counters.blob_bytes += frame.packs.iter().map(|pack| pack.size).sum::<u64>();
        if !frame.packs.is_empty() {
            self.await_fetch(&frame.packs);
        }
        let Frame { paths, packs, chains, bodies, .. } = frame;
        out.send(&Message::Give { scope, paths, packs, chains, bodies });
    }

    fn send_bodies(
        &mut self,
        batch: &mut Batch,
        exchange: &dyn Exchange,
        out: &mut Outbox,
    ) -> ExchangeResult<()> {
        let (mut inline, mut absent, mut packs) = (Vec::new(), Vec::new(), Vec::new());
        let mut inline_bytes = 0;
        let mut packer = BodyPacker::new();
        let mut section = None;
        while let Some(WantedBody { section: of, hash, asked }) = batch.bodies.front().copied() {
            if absent.len() >= 512 || packer.bytes() >= BODY_PACK_BYTES_WISHED {
                break;
            }
            if *section.get_or_insert(of) != of {
                break;
            }
            let Some(body) = exchange.body(&self.remote, &hash)? else {
                if asked && batch.scope.kind == ScopeKind::Answer {
                    absent.push(hash);
                }
                batch.bodies.pop_front();
                continue;
            };
            let bytes = body.len() + 4;
            if bytes > batch.bodies_left || bytes > FRAME_ROOM / 2 {
                packer.add(&body);
            } else if inline_bytes + bytes > FRAME_ROOM / 2 {
                break;
            } else {
                batch.bodies_left -= bytes;
                inline_bytes += bytes;
                inline.push(body);
            }
            batch.bodies.pop_front();
        }
        if let (Some(section), false) = (section, packer.is_empty()) {
            let pack = exchange.register_pack(&section, packer.take())?;
            out.counters.body_bytes += pack.size;
            packs.push(pack);
            self.await_fetch(&packs);
        }
        if !(inline.is_empty() && absent.is_empty() && packs.is_empty()) {
            out.send(&Message::Bodies { scope: batch.scope, inline, packs, absent });
        }
        Ok(())
    }
}

fn sort(jobs: &mut [Job]) {
    jobs.sort_by_key(|job| match job {
        Job::Chain(c) => (c.section.class, u64::MAX - c.tip.page, Some(c.tip.chain)),
        Job::Body { section, .. } => (section.class, 0, None),
    });
}

fn queue_bodies(
    batch: &mut Batch,
    ready: &Prepared,
    exchange: &dyn Exchange,
) -> ExchangeResult<()> {
    let job = &ready.job;
    if job.bare {
        return Ok(());
    }
    for body in exchange.bodies_of(&job.tip, job.first_n, ready.head_n.min(job.last_n))? {
        let (section, hash) = (job.section, body.hash);
        batch.bodies.push_back(WantedBody { section, hash, asked: false });
    }
    Ok(())
}

fn changes(parts: &[Part]) -> u64 {
    parts.iter().map(|part| part.content.len() as u64).sum()
}

fn prepare(mut job: ChainJob, exchange: &dyn Exchange) -> ExchangeResult<Option<Prepared>> {
    // Head and data, then the newer head alone: one head proves one run of changes.
    if job.tip.held_n < job.tip.n
        && job.first_n <= job.tip.held_n
        && let Some(older) = exchange.proof(&job.tip)?
        && job.first_n <= older.n
    {
        job.tip = older;
    }
    let Some(intro) = exchange.introduce(&job.tip)? else { return Ok(None) };
    let head_n = head_route(&intro.head).map_or(0, |route| route.n);
    let (mut parts, mut next): (Vec<Part>, u64) = (Vec::new(), job.first_n);
    while !job.bare && next <= head_n && parts.len() < PIECES_MAX {
        let (found, last) = match next <= job.last_n {
            true => (exchange.part(&job.tip, next, PIECE_BYTES_MAX)?, head_n.min(job.last_n)),
            false => (exchange.ids(&job.tip, next, PIECE_BYTES_MAX)?, head_n),
        };
        let Some(mut part) = found else { break };
        // A change committed after the head was read is not covered by it.
        part.truncate(last);
        if part.content.is_empty() || part.first_n != next {
            break;
        }
        next = part.last_n() + 1;
        parts.push(part);
    }
    let bytes = parts.iter().map(Part::encoded_len).sum();
    Ok(Some(Prepared { job, intro, head_n, parts, bytes }))
}

#[derive(Default)]
struct Frame {
    section: Option<Section>,
    paths: Vec<(u8, Bytes)>,
    packs: Vec<PackRef>,
    chains: Vec<ChainGive>,
    bodies: Vec<Bytes>,
    bytes: usize,
}

impl Frame {
    const fn has_chains(&self) -> bool {
        !self.chains.is_empty()
    }

    fn push(&mut self, slots: &mut PathSlots, ready: Prepared) {
        let head = known_head(&ready).map(GivenHead::Known);
        let Prepared { job, intro, parts, .. } = ready;
        let head = head.unwrap_or_else(|| {
            let (path, new) = slots.assign(&intro.path);
            if new {
                self.bytes += intro.path.len() + 4;
                self.paths.push((path, intro.path));
            }
            let description = job.describe.then_some(intro.description);
            GivenHead::Whole { path, description, head: intro.head }
        });
        let chain = ChainGive { head, fork: job.fork, parts };
        self.bytes += chain.encoded_len();
        self.chains.push(chain);
    }
}

/// The head without what the other side knows of a chain that it showed.
fn known_head(ready: &Prepared) -> Option<KnownHead> {
    let Prepared { job, intro, head_n, parts, .. } = ready;
    let name = job.name.filter(|_| !job.describe && !job.fork)?;
    let linked = parts.last().is_some_and(|part| part.last_n() == *head_n);
    KnownHead::of(name, &intro.head, linked).ok()
}

/// Which certificate paths the other side remembers.
#[derive(Debug, Default)]
struct PathSlots {
    known: HashMap<BlobHash, u8>,
    slots: HashMap<u8, BlobHash>,
    next: u8,
    in_frame: HashSet<u8>,
}

impl PathSlots {
    fn begin_frame(&mut self) {
        self.in_frame.clear();
    }

    /// The slot of a path, and whether the path must be sent.
    fn assign(&mut self, path: &Bytes) -> (u8, bool) {
        let hash = BlobHash::of(path);
        if let Some(slot) = self.known.get(&hash) {
            self.in_frame.insert(*slot);
            return (*slot, false);
        }
        let mut tries = 0;
        // A frame is too short for as many paths as there are slots.
        while self.in_frame.contains(&self.next) && tries < PATH_SLOTS {
            self.next = self.next.wrapping_add(1);
            tries += 1;
        }
        let slot = self.next;
        self.next = self.next.wrapping_add(1);
        if let Some(old) = self.slots.insert(slot, hash) {
            self.known.remove(&old);
        }
        self.known.insert(hash, slot);
        self.in_frame.insert(slot);
        (slot, true)
    }
}
