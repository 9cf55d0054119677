//! The receiving half: a queue of messages in order, each waiting for its packs.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::chain::ChainKey;
use crate::codec::DecodeError;
use crate::hash::BlobHash;
use crate::sync::exchange::{ExchangeResult, PackRef, Received};
use crate::sync::outbox::Outbox;
use crate::wire::{
    ChainGive, GivenHead, HeadBytes, KnownHead, Message, PATH_SLOTS, Pack, Part, Reason, Scope,
};

/// Messages waiting at which a session asks not to be given more.
const UNITS_WISHED_MAX: usize = 256;
/// Bytes of them.
const BYTES_WISHED_MAX: usize = 1024 * 1024;
/// Messages waiting at which a session ends: its peer ignores the window.
const UNITS_MAX: usize = 4096;
/// Bytes of packs being fetched or waiting to be used.
const FETCH_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Acknowledged at the latest after as many messages with packs: fewer than the giver's
/// window holds of the largest.
const TAKEN_EVERY: u64 = 2;
/// Bytes of small messages that wait for the next ones, to be one commit with them.
const GROUP_BYTES_WISHED: u64 = 128 * 1024;
/// Messages in one commit.
const GROUP_UNITS_MAX: usize = 64;
/// Packs remembered for their bytes being of no use, so as not to fetch them again.
const SPOILT_MAX: usize = 256;

/// One chain as received, with the path that it names.
#[derive(Debug)]
pub struct TakenChain {
    pub give: ChainGive,
    pub path: Option<Bytes>,
}

/// Chains that nobody can verify, as something is not known here: to certificate paths, and to
/// names in this round.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Unknown {
    pub paths: usize,
    pub names: usize,
}

/// One message to act on.
#[derive(Debug)]
pub enum Work {
    Chains(Vec<TakenChain>, Vec<Bytes>),
    Bodies(Vec<Bytes>),
    End,
}

#[derive(Debug)]
struct Unit {
    scope: Scope,
    work: Work,
    packs: Vec<PackRef>,
    bytes: usize,
}

#[derive(Debug)]
enum Fetch {
    Pending(u64),
    Ready(Bytes),
    Failed(Reason),
}

/// A message whose packs have come, or have failed; or several of chains, with the bodies that
/// follow them, to be one commit.
#[derive(Debug)]
pub struct Ready {
    pub scope: Scope,
    pub work: Work,
    /// The packs that came and are what they should be.
    pub packs: Vec<Pack>,
    /// Bytes of packs of changes that came, and of those of bodies.
    pub pack_bytes: (u64, u64),
    /// Why some pack is of no use: refused for its bytes, or deferred as it did not come.
    pub fault: Option<Reason>,
}

impl Ready {
    /// Takes another message along: its chains, or the bodies of those that are here.
    fn join(&mut self, next: Self) {
        let Work::Chains(chains, bodies) = &mut self.work else { return };
        match next.work {
            Work::Chains(more, inline) => {
                chains.extend(more);
                bodies.extend(inline);
            }
            Work::Bodies(inline) => bodies.extend(inline),
            Work::End => {}
        }
        for pack in next.packs {
            match pack {
                Pack::Changes(_) => self.packs.push(pack),
                Pack::Bodies(more) => bodies.extend(more),
            }
        }
        self.pack_bytes.0 += next.pack_bytes.0;
        self.pack_bytes.1 += next.pack_bytes.1;
        self.fault = next.fault;
    }
}

/// What is on its way here.
#[derive(Debug)]
pub struct Taker {
    units: VecDeque<Unit>,
    bytes: usize,
    paths: HashMap<u8, Bytes>,
    fetches: HashMap<BlobHash, Fetch>,
    /// The refusal binds these bytes, never the chains that were to be in them.
    spoilt: HashMap<BlobHash, Reason>,
    parallel: usize,
    taken: u64,
}

impl Taker {
    pub fn new(parallel: usize) -> Self {
        Self {
            units: VecDeque::new(),
            bytes: 0,
            paths: HashMap::with_capacity(PATH_SLOTS),
            fetches: HashMap::new(),
            spoilt: HashMap::new(),
            parallel: parallel.max(1),
            taken: 0,
        }
    }

    /// Queues a message; false if the peer sends far beyond what is taken.
    pub fn push(&mut self, message: Message, bytes: usize) -> bool {
        let (scope, work, packs) = match message {
            Message::Give { scope, paths, packs, chains, bodies } => {
                // A slice would hold its whole frame for as long as the slot is used.
                let paths = paths.into_iter();
                self.paths.extend(paths.map(|(slot, p)| (slot, Bytes::copy_from_slice(&p))));
                let path = |give: &ChainGive| match &give.head {
                    GivenHead::Whole { path, .. } => self.paths.get(path).cloned(),
                    GivenHead::Known(_) => None,
                };
                let chains = chains.into_iter();
                let chains = chains.map(|give| TakenChain { path: path(&give), give });
                (scope, Work::Chains(chains.collect(), bodies), packs)
            }
            // What is absent there stays missing here; nothing else follows from it.
            Message::Bodies { scope, inline, packs, absent: _ } => {
                (scope, Work::Bodies(inline), packs)
            }
            Message::End { scope } => (scope, Work::End, Vec::new()),
            _ => return false,
        };
        self.bytes += bytes;
        self.units.push_back(Unit { scope, work, packs, bytes });
        self.units.len() <= UNITS_MAX
    }

    /// Whether the session should be given more frames.
    pub fn wants_frames(&self) -> bool {
        self.units.len() < UNITS_WISHED_MAX && self.bytes < BYTES_WISHED_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    pub fn is_fetching(&self) -> bool {
        self.fetches.values().any(|fetch| matches!(fetch, Fetch::Pending(_)))
    }

    /// Notes what came of a fetch; others than asked for are ignored.
    pub fn fetched(&mut self, hash: BlobHash, result: Option<Bytes>) {
        if let Some(fetch) = self.fetches.get_mut(&hash)
            && let Fetch::Pending(size) = fetch
        {
            *fetch = match result {
                Some(bytes) if BlobHash::of(&bytes) != hash => Fetch::Failed(Reason::Pack),
                Some(bytes) if bytes.len() as u64 != *size => Fetch::Failed(Reason::Malformed),
                Some(bytes) => Fetch::Ready(bytes),
                None => Fetch::Failed(Reason::Pack),
            };
        }
    }

    /// Asks for packs, in the order of need.
    pub fn schedule(&mut self, out: &mut Outbox) {
        let (mut pending, mut bytes) = (0, 0);
        for fetch in self.fetches.values() {
            match fetch {
                Fetch::Pending(size) => {
                    pending += 1;
                    bytes += size;
                }
                Fetch::Ready(ready) => bytes += ready.len() as u64,
                Fetch::Failed(_) => {}
            }
        }
        for pack in self.units.iter().flat_map(|unit| &unit.packs) {
            if self.fetches.contains_key(&pack.hash) {
                continue;
            }
            if let Some(reason) = self.spoilt.get(&pack.hash) {
                self.fetches.insert(pack.hash, Fetch::Failed(*reason));
                continue;
            }
            if pending >= self.parallel || (bytes > 0 && bytes + pack.size > FETCH_BYTES_MAX) {
                break;
            }
            pending += 1;
            bytes += pack.size;
            self.fetches.insert(pack.hash, Fetch::Pending(pack.size));
            out.fetch(*pack);
        }
    }

    /// Takes the next messages if all their packs have come or failed.
    pub fn next(&mut self) -> Option<Ready> {
        if !self.is_settled(self.units.front()?) || self.gathers() {
            return None;
        }
        let mut ready = self.take_front()?;
        let mut units = 1;
        while units < GROUP_UNITS_MAX && self.joins(&ready) {
            let Some(next) = self.take_front() else { break };
            ready.join(next);
            units += 1;
        }
        Some(ready)
    }

    fn is_settled(&self, unit: &Unit) -> bool {
        unit.packs.iter().all(|pack| {
            matches!(self.fetches.get(&pack.hash), Some(Fetch::Ready(_) | Fetch::Failed(_)))
        })
    }

    /// Whether what has come waits for what is just being fetched: chains for their bodies, and
    /// little for more.
    fn gathers(&self) -> bool {
        let Some(front) = self.units.front() else { return false };
        let mut bytes = 0;
        for unit in self.units.iter().take(GROUP_UNITS_MAX) {
            let joins = match unit.work {
                Work::Chains(..) => bytes < GROUP_BYTES_WISHED,
                Work::Bodies(_) => matches!(front.work, Work::Chains(..)),
                Work::End => false,
            };
            if !joins || unit.scope != front.scope {
                return false;
            }
            for pack in &unit.packs {
                match self.fetches.get(&pack.hash) {
                    Some(Fetch::Pending(_)) => return true,
                    Some(Fetch::Ready(ready)) => bytes += ready.len() as u64,
                    // It waits for room, or is of no use.
                    None | Some(Fetch::Failed(_)) => return false,
                }
            }
        }
        false
    }

    /// Whether the next message is taken along.
    fn joins(&self, ready: &Ready) -> bool {
        let Some(next) = self.units.front() else { return false };
        let fits = match (&ready.work, &next.work) {
            (Work::Chains(..), Work::Bodies(_)) => true,
            (Work::Chains(..), Work::Chains(..)) => {
                ready.pack_bytes.0 + ready.pack_bytes.1 < GROUP_BYTES_WISHED
            }
            _ => false,
        };
        let useful = |pack: &PackRef| matches!(self.fetches.get(&pack.hash), Some(Fetch::Ready(_)));
        fits && ready.fault.is_none()
            && next.scope == ready.scope
            && !next.packs.is_empty()
            && next.packs.iter().all(useful)
    }

    fn take_front(&mut self) -> Option<Ready> {
        let unit = self.units.pop_front()?;
        self.bytes -= unit.bytes;
        let (mut packs, mut pack_bytes, mut fault) = (Vec::new(), 0, None);
        for pack in &unit.packs {
            let reason = match self.fetches.remove(&pack.hash) {
                Some(Fetch::Ready(bytes)) => {
                    pack_bytes += bytes.len() as u64;
                    match decode(&bytes, &unit.work) {
                        Ok(pack) => {
                            packs.push(pack);
                            continue;
                        }
                        Err(reason) => self.spoil(pack.hash, reason),
                    }
                }
                Some(Fetch::Failed(reason)) => reason,
                // Named twice in one message.
                Some(Fetch::Pending(_)) | None => Reason::Malformed,
            };
            fault = Some(fault.map_or(reason, |known| reason.min(known)));
        }
        if !unit.packs.is_empty() {
            self.taken += 1;
        }
        let pack_bytes = match unit.work {
            Work::Bodies(_) => (0, pack_bytes),
            Work::Chains(..) | Work::End => (pack_bytes, 0),
        };
        Some(Ready { scope: unit.scope, work: unit.work, packs, pack_bytes, fault })
    }

    fn spoil(&mut self, hash: BlobHash, reason: Reason) -> Reason {
        if self.spoilt.len() >= SPOILT_MAX {
            self.spoilt.clear();
        }
        self.spoilt.insert(hash, reason);
        reason
    }

    /// Tells the sender how far this side has come.
    pub fn acknowledge(&mut self, out: &mut Outbox) {
        if self.taken >= TAKEN_EVERY || (self.taken > 0 && self.units.is_empty()) {
            out.send(&Message::Taken { count: self.taken });
            self.taken = 0;
        }
    }
}

/// Reads a pack that came whole; the bytes are those of its hash, so that what is wrong with
/// them is wrong for ever.
fn decode(bytes: &Bytes, work: &Work) -> Result<Pack, Reason> {
    match (Pack::decode(bytes), work) {
        (Ok(pack @ Pack::Changes(_)), Work::Chains(..))
        | (Ok(pack @ Pack::Bodies(_)), Work::Bodies(_)) => Ok(pack),
        (Err(DecodeError::TooLarge { .. } | DecodeError::TooLong { .. }), _) => Err(Reason::Limit),
        (Ok(_) | Err(_), _) => Err(Reason::Malformed),
    }
}

/// Puts chains and the packs of their message together. `whole` returns the path and the head of
/// a chain that is given by its name.
pub fn assemble(
    chains: Vec<TakenChain>,
    packs: Vec<Pack>,
    mut whole: impl FnMut(&KnownHead, &[Part]) -> ExchangeResult<Option<(Bytes, HeadBytes)>>,
) -> ExchangeResult<(Vec<Received>, Unknown)> {
    let mut ranges: HashMap<ChainKey, Vec<Part>> = HashMap::new();
    for pack in packs {
        if let Pack::Changes(list) = pack {
            for range in list {
                ranges.entry(range.chain).or_default().extend(range.parts);
            }
        }
    }
    let (mut received, mut unknown) = (Vec::with_capacity(chains.len()), Unknown::default());
    for TakenChain { give, path } in chains {
        let ChainGive { head, fork, mut parts } = give;
        let (path, description, head) = match (head, path) {
            (GivenHead::Whole { description, head, .. }, Some(path)) => (path, description, head),
            (GivenHead::Whole { .. }, None) => {
                unknown.paths += 1;
                continue;
            }
            (GivenHead::Known(known), _) => {
                let Some((path, head)) = whole(&known, &parts)? else {
                    unknown.names += 1;
                    continue;
                };
                (path, None, head)
            }
        };
        if let Some(chain) = ChainGive::chain_of(&head)
            && let Some(packed) = ranges.remove(&chain)
        {
            parts.extend(packed);
        }
        parts.sort_by_key(|part| part.first_n);
        received.push(Received { path, description, head, fork, parts });
    }
    Ok((received, unknown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BodyPacker, ScopeKind};

    fn messages(rounds: [u64; 2]) -> ([Message; 2], PackRef, Bytes) {
        let [chains, bodies] = rounds.map(|id| Scope { kind: ScopeKind::Round, id });
        let mut packer = BodyPacker::new();
        packer.add(&[7; 32]);
        let bytes = packer.take();
        let pack = PackRef { hash: BlobHash::of(&bytes), size: bytes.len() as u64 };
        let (paths, packs) = (Vec::new(), Vec::new());
        let give =
            Message::Give { scope: chains, paths, packs, chains: Vec::new(), bodies: Vec::new() };
        let (inline, absent) = (Vec::new(), Vec::new());
        ([give, Message::Bodies { scope: bodies, inline, packs: vec![pack], absent }], pack, bytes)
    }

    fn taking(rounds: [u64; 2]) -> (Taker, PackRef, Bytes) {
        let (messages, pack, bytes) = messages(rounds);
        let mut taker = Taker::new(4);
        assert!(messages.into_iter().all(|message| taker.push(message, 10)));
        taker.schedule(&mut Outbox::default());
        (taker, pack, bytes)
    }

    #[test]
    fn chains_wait_for_their_bodies_and_are_taken_with_them() {
        let (mut taker, pack, bytes) = taking([1, 1]);
        assert!(taker.next().is_none());
        taker.fetched(pack.hash, Some(bytes.clone()));
        let ready = taker.next().unwrap();
        assert!(matches!(&ready.work, Work::Chains(_, bodies) if bodies.len() == 1));
        assert_eq!((ready.pack_bytes, ready.fault), ((0, bytes.len() as u64), None));
        assert!(taker.next().is_none() && taker.is_empty());
    }

    #[test]
    fn bodies_that_do_not_come_keep_no_chain_back_and_are_told_apart() {
        let (mut taker, pack, _) = taking([1, 1]);
        taker.fetched(pack.hash, None);
        let chains = taker.next().unwrap();
        assert!(matches!(&chains.work, Work::Chains(_, bodies) if bodies.is_empty()));
        assert_eq!(chains.fault, None);
        assert_eq!(taker.next().unwrap().fault, Some(Reason::Pack));
    }

    #[test]
    fn what_belongs_to_another_request_is_not_waited_for() {
        let (mut taker, _, _) = taking([1, 2]);
        assert!(taker.next().is_some() && taker.next().is_none());
    }
}
