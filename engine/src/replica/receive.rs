//! Taking chains from a peer: cheapest check first, one commit for account logs, one for
//! the rest.
//!
//! Order of checks: decode → description → kept here → certificate path → head signature
//! → standing → build or gate → ids and links against the head → commit. What is refused
//! never removes a known head, so that digests of honest peers become equal.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::append::{LogChange, has_room};
use super::forks::place;
use super::prove::{Proof, Proven};
use super::steps::{Built, Step, StepData};
use super::{ChainState, EngineError, KnownDevice, Replica, State, Work};
use crate::chain::{ChainKey, SignedHead};
use crate::description::{Description, DocumentKind, SectionClass};
use crate::hash::{BlobHash, ChangeId, DeviceId};
use crate::model::entry::Entry;
use crate::sync::exchange::{ChainReceipt, GapReport, Reason, Receipt, Received, Section, Verdict};
use crate::view;

/// Chains with known heads of one revoked or blocked device in one space: more is a flood.
const UNHELD_CHAINS_MAX: usize = 64;

/// The same for devices of one issuer that the account's log does not name (any more).
const UNNAMED_CHAINS_MAX: usize = 512;

/// Up to which change a chain is stored, and the verdict about what lies beyond.
pub(super) type Limit = (u64, Verdict);

const UNLIMITED: Limit = (u64::MAX, Verdict::Accepted { held_n: u64::MAX });

/// Where something comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The user brought it: a file.
    Hand,
    /// A peer gave it.
    Peer(&'a DeviceId),
    /// A peer gave it, and it is nothing that only some may give.
    Anybody,
}

/// A stop on the way: what the peer is told.
#[derive(Debug)]
pub(super) enum Stop {
    Engine(EngineError),
    Verdict(Verdict),
}

impl<E: Into<EngineError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

pub(super) const fn refused(reason: Reason) -> Stop {
    Stop::Verdict(Verdict::Refused(reason))
}

pub(super) const fn deferred(reason: Reason) -> Stop {
    Stop::Verdict(Verdict::Deferred(reason))
}

/// What is settled about one received chain before its data is looked at.
pub(super) struct Arrival {
    pub description: Arc<Description>,
    pub key: ChainKey,
    pub section: Section,
    pub head: Proven,
    pub chain: ChainState,
    /// The device, if it was not known before.
    pub introduced: Option<KnownDevice>,
}

/// Turns in which chains of maps and texts that came together may wait for each other: so often
/// their devices can have written in turn.
const TURNS_MAX: usize = 64;

/// A received chain that is to be taken.
struct Waiting {
    index: usize,
    received: Received,
    proof: Result<Proof, Stop>,
}

impl Waiting {
    /// The same once more, if it is one that can wait for another chain.
    fn again(&self) -> Option<Self> {
        let proof = self.proof.as_ref().ok().filter(|proof| !proof.description.kind.is_log())?;
        let (received, proof) = (self.received.clone(), Ok(proof.clone()));
        Some(Self { index: self.index, received, proof })
    }
}

impl Replica {
    /// Verifies and stores what a peer gave, bodies together with the changes that name
    /// them; durable when it returns.
    pub(crate) fn take_chains(
        &self,
        source: Source<'_>,
        chains: Vec<Received>,
        bodies: Vec<Bytes>,
    ) -> Result<Receipt, EngineError> {
        let before = self.verifier.checked();
        let mut receipt = Receipt::default();
        let mut order: Vec<(usize, Received)> = chains.into_iter().enumerate().collect();
        let total = order.len();
        let rank = |received: &Received| match received.description.as_ref().map(|d| d.kind) {
            Some(DocumentKind::AccountLog) => 0,
            Some(DocumentKind::HubLog) => 1,
            _ => 2u8,
        };
        order.sort_by_key(|(index, received)| (rank(received), *index));
        let mut receipts = BTreeMap::new();
        let mut arriving: HashMap<BlobHash, Bytes> =
            bodies.into_iter().map(|body| (BlobHash::of(&body), body)).collect();
        // Who is a device, and who a member, is asked for in what is committed.
        let end = |upto: u8| order.iter().take_while(|(_, r)| rank(r) <= upto).count();
        let (accounts, hubs) = (end(0), end(1));
        let rest = order.split_off(hubs);
        let logs = order.split_off(accounts);
        for part in [order, logs, rest] {
            if part.is_empty() {
                continue;
            }
            let proofs = self.prove(source, &part)?;
            let mut state = self.lock();
            let mut work = Work { arriving: std::mem::take(&mut arriving), ..Work::default() };
            let mut left: Vec<Waiting> = part
                .into_iter()
                .zip(proofs)
                .map(|((index, received), proof)| Waiting { index, received, proof })
                .collect();
            for turn in 0..TURNS_MAX {
                let before = receipt.changes;
                for next in std::mem::take(&mut left) {
                    let index = next.index;
                    let again = next.again();
                    let Waiting { received, proof, .. } = next;
                    let result =
                        self.take_chain(&mut state, &mut work, received, proof, &mut receipt)?;
                    if result.verdict == Verdict::Deferred(Reason::Gap) {
                        left.extend(again);
                    }
                    receipts.insert(index, result);
                    state = self.commit_large(state, &mut work)?;
                }
                if left.is_empty() || (turn > 0 && receipt.changes == before) {
                    break;
                }
            }
            arriving = std::mem::take(&mut work.arriving);
            receipt.bodies += work.arrived;
            self.finish(state, work)?;
        }
        self.settle_withdrawals()?;
        self.settle_purges()?;
        if !arriving.is_empty() {
            receipt.bodies += self.take_bodies(arriving.into_values().collect())?.0;
        }
        receipt.chains = (0..total).filter_map(|index| receipts.remove(&index)).collect();
        receipt.signatures_checked = self.verifier.checked() - before;
        Ok(receipt)
    }

    fn take_chain(
        &self,
        state: &mut State,
        work: &mut Work,
        received: Received,
        proof: Result<Proof, Stop>,
        receipt: &mut Receipt,
    ) -> Result<ChainReceipt, EngineError> {
        let mut answer = ChainReceipt {
            chain: None,
            section: None,
            from_n: 1,
            verdict: Verdict::Refused(Reason::Malformed),
        };
        let Ok(head) = SignedHead::from_bytes(&received.head) else { return Ok(answer) };
        answer.chain = Some(head.claimed_chain());
        answer.verdict = match proof.and_then(|proof| self.arrive(state, proof)) {
            Err(Stop::Engine(error)) => return Err(error),
            Err(Stop::Verdict(verdict)) => verdict,
            Ok(arrival) => {
                answer.section = Some(arrival.section);
                answer.from_n = arrival.chain.held + 1;
                match self.take_data(state, work, arrival, received, receipt) {
                    Err(Stop::Engine(error)) => return Err(error),
                    Err(Stop::Verdict(verdict)) => verdict,
                    Ok((from_n, verdict)) => {
                        answer.from_n = from_n;
                        verdict
                    }
                }
            }
        };
        Ok(answer)
    }

    /// Where a proven head meets what is here by now.
    fn arrive(&self, state: &mut State, proof: Proof) -> Result<Arrival, Stop> {
        let Proof { key, description, device, head } = proof;
        let section = self.section_of(state, &description)?;
        if !self.keeps(state, &section)? {
            return Err(refused(Reason::NotKept));
        }
        let new = self.known_device(state, &key.device)?.is_none();
        let introduced = new.then(|| (*device).clone());
        let chain = self.chain(state, &section.space, &key)?;
        Ok(Arrival { description, key, section, head, chain, introduced })
    }

    fn take_data(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: Arrival,
        received: Received,
        receipt: &mut Receipt,
    ) -> Result<(u64, Verdict), Stop> {
        let mut limit = self.writable_up_to(state, &arrival)?;
        if arrival.head.n > arrival.chain.known {
            self.return_to_newest(state, &arrival.description)?;
        }
        let mut steps = match self.steps(&arrival, &received.parts, received.fork) {
            Err(Stop::Verdict(verdict)) if verdict == Verdict::Deferred(Reason::Gap) => {
                if arrival.chain.held < arrival.chain.known {
                    state.gapped.insert(arrival.key, state.now_ms);
                }
                return Err(Stop::Verdict(verdict));
            }
            steps => steps?,
        };
        if limit.1 == Verdict::Refused(Reason::Void) {
            self.look_at_cut(state, &arrival, received.fork, &steps, &mut limit)?;
        }
        if limit.0 == 0 && arrival.chain.known == 0 && self.too_many_unheld(state, &arrival)? {
            return Err(refused(Reason::Quota));
        }
        limit = self.narrowed(state, &arrival, limit)?;
        if !steps.is_empty() && !self.takes_page(state, &arrival.description)? {
            limit = (arrival.chain.held, Verdict::Deferred(Reason::Quota));
        }
        self.look_at_text(state, work, &arrival, &mut limit)?;
        if let Some(device) = arrival.introduced.clone() {
            self.remember_device(state, work, device);
        }
        self.notice_own(state, work, &arrival)?;
        if received.fork && self.goes_on(&arrival, &steps)? {
            steps.drain(..place(arrival.chain.held).min(steps.len()));
        } else if received.fork
            || (arrival.head.n == arrival.chain.known
                && arrival.head.link != arrival.chain.known_link)
        {
            return self.take_fork(state, work, &arrival, &steps, receipt);
        } else if self.is_known_branch(state, &arrival)? {
            return Ok((1, Verdict::Accepted { held_n: arrival.chain.held }));
        }
        self.ensure_document(state, work, &arrival.description)?;
        self.know_head(state, work, &arrival);
        let ids: Vec<ChangeId> = steps.iter().map(|step| step.id).collect();
        let (stored, stop) = self.store_steps(state, work, &arrival, steps, limit)?;
        receipt.changes += stored;
        let chain = self.chain(state, &arrival.section.space, &arrival.key)?;
        let held_n = chain.held;
        let room = stop != Some(Verdict::Deferred(Reason::Quota));
        if room && chain.known_link == arrival.head.link {
            let rest = ids.get(place(stored)..).unwrap_or_default();
            Self::keep_ids(work, &arrival.key, held_n + 1, rest);
            if arrival.description.kind == DocumentKind::AccountLog && !rest.is_empty() {
                work.accounts.insert(arrival.description.account);
            }
        }
        if !room || ids.is_empty() || arrival.head.n < chain.known {
            self.keep_proof(work, &arrival, &chain)?;
        }
        if !ids.is_empty() {
            state.gapped.remove(&arrival.key);
        }
        self.note_gaps(state, work, &arrival, receipt)?;
        Ok((held_n + 1, stop.unwrap_or(Verdict::Accepted { held_n })))
    }

    /// Up to which change a chain may be stored, and what is said of the rest: beyond a cut
    /// nothing, of an unknown device nothing new. A block is nobody's business:
    /// it looks like a lack of room.
    fn writable_up_to(&self, state: &mut State, arrival: &Arrival) -> Result<Limit, Stop> {
        let description = &arrival.description;
        if description.kind == DocumentKind::HubLog {
            // The hub judges what counts of them, and others name them: all replicas hold the same.
            return Ok(UNLIMITED);
        }
        if self.is_blocked(state, &description.account)? {
            return Ok((0, Verdict::Deferred(Reason::Quota)));
        }
        let Some(authority) = self.authority_of(state, &description.account)? else {
            return Ok(UNLIMITED);
        };
        if authority.recovery.frozen && description.kind != DocumentKind::AccountLog {
            return Ok((arrival.chain.held, Verdict::Deferred(Reason::Authority)));
        }
        let log_here = self.last_page(state, &description.account, DocumentKind::AccountLog)?;
        let Some(standing) = authority.devices.get(&arrival.key.device) else {
            // Without the account's log only the certificate path speaks for a device.
            let judged = log_here.is_some() && description.kind != DocumentKind::AccountLog;
            let unknown = (arrival.chain.held, Verdict::Deferred(Reason::Authority));
            return Ok(if judged { unknown } else { UNLIMITED });
        };
        if standing.revoked.is_some() {
            let held = arrival.chain.held;
            let up_to = match self.cut_of(state, description, &arrival.key)? {
                Some(cut)
                    if self
                        .agreed(state, description, &cut)?
                        .is_some_and(|common| common < held) =>
                {
                    held
                }
                Some(cut) => cut.n,
                None => 0,
            };
            return Ok((up_to, Verdict::Refused(Reason::Void)));
        }
        // What a suspended device writes is kept, whoever heard of what first; the view
        // decides what is shown of it.
        Ok(UNLIMITED)
    }

    /// Of a revoked device nothing is stored that leads past what its cut names, and beyond
    /// the cut only what changes that count build on.
    fn look_at_cut(
        &self,
        state: &mut State,
        arrival: &Arrival,
        whole: bool,
        steps: &[Step],
        limit: &mut Limit,
    ) -> Result<(), EngineError> {
        let Arrival { description, key, chain, section, .. } = arrival;
        let (from, link) =
            if whole { (0, key.origin(&section.space)) } else { (chain.held, chain.link) };
        if let Some(cut) = self.cut_of(state, description, key)?
            && Self::passes_by(from, link, steps, &cut)
        {
            limit.0 = limit.0.min(chain.held);
        }
        if !whole {
            let awaited = self.awaited_up_to(state, description, key, chain, steps)?;
            limit.0 = limit.0.max(awaited);
        }
        Ok(())
    }

    /// A peer that shows of the own chain what is not known here: this store is a restored
    /// or copied one. From now on it writes under a new life, so that nothing is written
    /// twice under one number.
    fn notice_own(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
    ) -> Result<(), EngineError> {
        let own = state.own.as_ref().is_some_and(|own| {
            own.device() == arrival.key.device && own.incarnation == arrival.key.incarnation
        });
        if own && self.is_unknown(arrival)? {
            self.start_new_life(state, work)?;
        }
        Ok(())
    }

    /// Notes a head as the newest known one of its chain.
    fn know_head(&self, state: &mut State, work: &mut Work, arrival: &Arrival) {
        let chain = state.chains.entry(arrival.key).or_insert_with(|| arrival.chain.clone());
        if arrival.head.n > chain.known {
            state.dirty = true;
            chain.head = arrival.head.bytes.clone();
            chain.known = arrival.head.n;
            chain.known_link = arrival.head.link;
            work.chains.insert(arrival.key);
            work.spaces.insert(arrival.section.space);
        }
    }

    /// Stores proven changes one by one until one is not valid. Returns how many.
    fn store_steps(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        steps: Vec<Step>,
        limit: Limit,
    ) -> Result<(u64, Option<Verdict>), Stop> {
        if arrival.description.kind == DocumentKind::Text {
            return self.store_text(state, work, arrival, &steps, limit);
        }
        let before = self.chain_mut(state, &arrival.section.space, &arrival.key)?.held;
        let mut stored = self.store_map_run(state, work, arrival, &steps, limit.0)?;
        for step in steps.into_iter().skip(place(stored)) {
            let held = before + stored;
            if held >= limit.0 {
                return Ok((stored, Some(limit.1)));
            }
            let bytes = step.bytes();
            let result = match step.data {
                StepData::Id => Err(deferred(Reason::NotHeld)),
                StepData::Log(built) => self.store_log(state, work, arrival, step.id, built),
                StepData::Raw(bytes) => self
                    .store_map(state, work, &arrival.description, arrival.key, &bytes)
                    .map_err(Stop::from)?
                    .map_or(Ok(()), |verdict| Err(Stop::Verdict(verdict))),
            };
            match result {
                Ok(()) => stored += 1,
                Err(Stop::Verdict(verdict)) => {
                    if matches!(verdict, Verdict::Refused(_)) {
                        self.mark_invalid(state, work, arrival, held + 1);
                        // Others come to the verdict themselves, by these bytes.
                        work.put_blob(&step.id.blob(), bytes);
                    }
                    return Ok((stored, Some(verdict)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((stored, None))
    }

    /// As [`Replica::store_steps`], of a text: its changes are taken together.
    fn store_text(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        steps: &[Step],
        limit: Limit,
    ) -> Result<(u64, Option<Verdict>), Stop> {
        let before = self.chain(state, &arrival.section.space, &arrival.key)?.held;
        let (stored, stop) = self.store_text_steps(state, work, arrival, steps, limit)?;
        let held = before + stored;
        if let (Some(Verdict::Refused(_)), Some(step)) = (stop, steps.get(place(stored)))
            && held < limit.0
        {
            self.mark_invalid(state, work, arrival, held + 1);
            work.put_blob(&step.id.blob(), step.bytes());
        }
        Ok((stored, stop))
    }

    /// Of a text that is withdrawn nothing is stored, and of one that no post here names nothing
    /// where the wall is kept in part.
    fn look_at_text(
        &self,
        state: &mut State,
        work: &Work,
        arrival: &Arrival,
        limit: &mut Limit,
    ) -> Result<(), EngineError> {
        if arrival.description.kind != DocumentKind::Text
            || self.is_text_wanted(state, work, &arrival.description)?
        {
            return Ok(());
        }
        let gone = self.is_text_gone(state, work, &arrival.key.doc)?;
        let verdict = match gone {
            true => Verdict::Refused(Reason::Deleted),
            false => Verdict::Deferred(Reason::Quota),
        };
        *limit = (limit.0.min(arrival.chain.held), verdict);
        Ok(())
    }

    fn store_log(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        id: ChangeId,
        built: Built,
    ) -> Result<(), Stop> {
        let Built { hash, bytes: _, time_ms, tag, value } = built;
        let entry = Entry::decode(&value).map_err(|_| refused(Reason::InvalidChange))?;
        if !view::fits(arrival.description.kind, &entry) || entry.encode() != value {
            return Err(refused(Reason::InvalidChange));
        }
        let chain = self.chain_mut(state, &arrival.section.space, &arrival.key)?;
        let starts = chain.held == 0 && arrival.description.page > 0;
        if matches!(entry, Entry::PageStart { .. }) && !starts {
            return Err(refused(Reason::InvalidChange));
        }
        if !has_room(chain, &entry, value.len()) {
            return Err(refused(Reason::Limit));
        }
        if !self.take_visitor_room(state, work, arrival, &entry, value.len())? {
            return Err(deferred(Reason::Quota));
        }
        let change = LogChange { time_ms, entry, value, tag, id, hash };
        Ok(self.add_log_change(state, work, &arrival.description, arrival.key, change, false)?)
    }

    fn mark_invalid(&self, state: &mut State, work: &mut Work, arrival: &Arrival, n: u64) {
        if let Some(chain) = state.chains.get_mut(&arrival.key) {
            chain.invalid_from = n;
            work.chains.insert(arrival.key);
        }
    }

    /// Whether a device, or devices that one issuer brought in and that the account's log
    /// does not name, have as many chains here as only a flood has.
    fn too_many_unheld(&self, state: &mut State, arrival: &Arrival) -> Result<bool, Stop> {
        let device = arrival.key.device;
        let authority = self.authority_of(state, &arrival.description.account)?;
        let named = authority.is_none_or(|authority| authority.devices.contains_key(&device));
        let issuer = match &arrival.introduced {
            Some(known) => known.issuer(),
            None => self.issuer_of(state, &device)?,
        };
        let mut unheld = 0;
        for (doc, _) in self.documents(state, &arrival.section.space)? {
            for (key, chain) in self.chains_of(state, &doc)? {
                let counts = key.device == device
                    || (!named && self.issuer_of(state, &key.device)? == issuer);
                unheld += usize::from(counts && chain.held == 0);
            }
        }
        Ok(unheld > if named { UNHELD_CHAINS_MAX } else { UNNAMED_CHAINS_MAX })
    }

    fn issuer_of(
        &self,
        state: &mut State,
        device: &DeviceId,
    ) -> Result<Option<DeviceId>, EngineError> {
        Ok(self.known_device(state, device)?.and_then(|known| known.issuer()))
    }

    /// Pages that a page start names and that are not known here at all.
    fn note_gaps(
        &self,
        state: &mut State,
        work: &Work,
        arrival: &Arrival,
        receipt: &mut Receipt,
    ) -> Result<(), Stop> {
        let named: Vec<_> = work
            .entries
            .values()
            .filter(|(row, _)| row.doc == arrival.key.doc && row.device == arrival.key.device)
            .filter_map(|(_, entry)| match entry {
                Entry::PageStart { previous } => Some(previous.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        for tip in named {
            let key = ChainKey { doc: tip.doc, device: tip.device, incarnation: tip.incarnation };
            if self.chain(state, &arrival.section.space, &key)?.known < tip.n {
                receipt.gaps.push(GapReport { chain: key, n: tip.n });
            }
        }
        Ok(())
    }

    /// The section a document belongs to, as this replica sees it.
    pub(crate) fn section_of(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<Section, EngineError> {
        let class = match description.kind {
            DocumentKind::AccountLog | DocumentKind::HubLog => SectionClass::Authority,
            DocumentKind::Profile
            | DocumentKind::Wall
            | DocumentKind::Text
            | DocumentKind::Channel => SectionClass::Public,
            DocumentKind::Private | DocumentKind::Conversation => SectionClass::Private,
            DocumentKind::Guest => {
                let admitted = match description.space.account() {
                    Some(owner) => self
                        .authority_of(state, &owner)?
                        .is_some_and(|authority| authority.is_admitted(&description.account)),
                    None => false,
                };
                let own = description.space.account() == Some(description.account);
                if own || admitted { SectionClass::Public } else { SectionClass::Visitors }
            }
        };
        Ok(Section { space: description.space.id(), class })
    }
}
