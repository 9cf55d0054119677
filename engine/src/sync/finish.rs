//! Taking what has come, saying so, and the verdict at the end.

use bytes::Bytes;

use crate::chain::ChainKey;
use crate::codec::Writer;
use crate::description::SectionClass;
use crate::sync::exchange::{
    ChainReceipt, Exchange, ExchangeError, ExchangeResult, Received, Section, Verdict,
};
use crate::sync::ledger::Ledger;
use crate::sync::outcome::{
    CAUSES_KEPT_MAX, Cause, OlderReport, Outcome, OutcomeKind, SectionOutcome, SectionState, Side,
};
use crate::sync::round::{Round, Stage};
use crate::sync::session::{Fault, PROTOCOL, Role, Session};
use crate::sync::take::{Ready, Work, assemble};
use crate::sync::tally::Tally;
use crate::wire::{
    ChainCause, Done, HeadRoute, KnownHead, Message, Pack, Part, Reason, Scope, ScopeKind,
    SectionDigest, ShortTag, Tag, head_route,
};

/// Digests of sections in one frame.
pub(super) const DIGESTS_PER_FRAME: usize = 2000;
/// Chains of an equal section that the remote need not be told of again.
const EQUAL_NOTED_MAX: usize = 1024;
/// Milliseconds between rounds that the responder asks for.
const AGAIN_MS_MIN: u64 = 1000;
/// Chains with a false form, signature, certificate or link at which a session ends.
pub(super) const FAULTS_MAX: u32 = 256;

impl Session {
    /// Returns what was not taken here since the last call, by reason.
    #[must_use]
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Acts on a message whose packs are here.
    pub(super) fn take(
        &mut self,
        now_ms: u64,
        ready: Ready,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let pushed = ready.scope.kind == ScopeKind::Push;
        if !pushed && self.round.as_ref().is_none_or(|round| round.stage != Stage::Exchange) {
            return Err(PROTOCOL);
        }
        let mut ledger = std::mem::take(self.ledger(pushed));
        let Ready { scope, work, packs, pack_bytes, fault } = ready;
        let taken = match work {
            Work::Chains(chains, bodies) => {
                self.out.counters.blob_bytes += pack_bytes.0;
                self.out.counters.body_bytes += pack_bytes.1;
                if let (ScopeKind::Answer, Some(round)) = (scope.kind, &mut self.round)
                    && let Some(left) = round.outstanding.get_mut(&scope.id)
                {
                    *left = left.saturating_sub(chains.len());
                }
                let whole =
                    |head: &KnownHead, parts: &[Part]| self.whole_head(head, parts, exchange);
                let (received, unknown) = assemble(chains, packs, whole)?;
                for _ in 0..unknown.paths {
                    ledger.blame(None, None, 0, Reason::Malformed);
                    self.faults += 1;
                }
                // Two chains may share a name, in the next round they do not; but seldom.
                for _ in 0..unknown.names {
                    ledger.blame(None, None, 0, Reason::Gap);
                    self.faults += 1;
                }
                self.take_chains(now_ms, received, bodies, fault, &mut ledger, exchange)
            }
            Work::Bodies(inline) => {
                self.out.counters.body_bytes += pack_bytes.1;
                self.take_bodies(inline, packs, fault, &mut ledger, exchange)
            }
            Work::End => {
                *self.ledger(pushed) = ledger;
                return self.take_end(now_ms, scope, exchange);
            }
        };
        self.tally.absorb(&mut ledger.tally);
        *self.ledger(pushed) = ledger;
        taken
    }

    fn ledger(&mut self, pushed: bool) -> &mut Ledger {
        match &mut self.round {
            Some(round) if !pushed => &mut round.ledger,
            _ => &mut self.received,
        }
    }

    fn take_chains(
        &mut self,
        now_ms: u64,
        received: Vec<Received>,
        bodies: Vec<Bytes>,
        fault: Option<Reason>,
        ledger: &mut Ledger,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let route = |chain: &Received| {
            let route = head_route(&chain.head).ok()?;
            Some((route, is_short(chain, route.n)))
        };
        let routes: Vec<Option<(HeadRoute, bool)>> = received.iter().map(route).collect();
        let mut receipt = match exchange.receive_with(&self.remote, received, bodies, now_ms) {
            Ok(receipt) => receipt,
            Err(ExchangeError::Store(_)) => {
                ledger.store_failed = true;
                for (route, _) in routes.into_iter().flatten() {
                    ledger.blame(None, Some(route.chain), 1, Reason::Store);
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.out.counters.changes += receipt.changes;
        self.out.counters.bodies += receipt.bodies;
        self.out.counters.signatures_checked += receipt.signatures_checked;
        let before = ledger.causes_total;
        let faults = receipt.chains.iter().filter(|chain| is_fault(&chain.verdict, fault)).count();
        self.faults = self.faults.saturating_add(u32::try_from(faults).unwrap_or(u32::MAX));
        for (route, chain) in routes.iter().zip(&mut receipt.chains) {
            let Some((route, short)) = route else { continue };
            if let Verdict::Accepted { .. } = chain.verdict {
                self.note_peer_has(route.chain, route.n);
                if let Some(section) = chain.section {
                    self.note_shown(section, route.chain, route.n, exchange)?;
                }
            }
            if let Some(reason) = fault.filter(|_| *short) {
                explain(chain, route.n, reason);
            }
        }
        ledger.add(&receipt);
        if let Some(reason) = fault.filter(|_| ledger.causes_total == before) {
            ledger.blame(None, None, 0, reason);
        }
        // Each costs a signature's worth of work; who is honest has none to give.
        if self.faults > FAULTS_MAX { Err(PROTOCOL) } else { Ok(()) }
    }

    fn take_bodies(
        &mut self,
        mut inline: Vec<Bytes>,
        packs: Vec<Pack>,
        fault: Option<Reason>,
        ledger: &mut Ledger,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        for pack in packs {
            if let Pack::Bodies(bodies) = pack {
                inline.extend(bodies);
            }
        }
        if let Some(reason) = fault {
            let reason = if reason.is_refusal() { reason } else { Reason::Bodies };
            ledger.blame(None, None, 0, reason);
        }
        if inline.is_empty() {
            return Ok(());
        }
        match exchange.receive_bodies(&self.remote, inline) {
            Ok(receipt) => self.out.counters.bodies += receipt.stored,
            Err(ExchangeError::Store(_)) => {
                ledger.store_failed = true;
                ledger.blame(None, None, 0, Reason::Store);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn take_end(
        &mut self,
        now_ms: u64,
        scope: Scope,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        match (scope.kind, &mut self.round) {
            (ScopeKind::Push, _) => self.answer_push(now_ms, scope, exchange),
            (ScopeKind::Round, Some(round)) if round.number == scope.id => {
                round.peer_end = true;
                Ok(())
            }
            (ScopeKind::Answer, Some(round)) => {
                let Some(left) = round.outstanding.remove(&scope.id) else {
                    return Err(PROTOCOL);
                };
                for _ in 0..left {
                    round.ledger.blame(None, None, 0, Reason::NotHeld);
                }
                self.tally.absorb(&mut round.ledger.tally);
                Ok(())
            }
            _ => Err(PROTOCOL),
        }
    }

    pub(super) fn on_done(&mut self, done: Done) -> Result<(), Fault> {
        let Some(round) = &mut self.round else { return Err(PROTOCOL) };
        let fits = round.stage == Stage::Exchange && done.scope.id == round.number;
        let over = round.theirs.as_ref().is_some_and(|theirs| !theirs.more);
        if !fits || over {
            return Err(PROTOCOL);
        }
        let mut sections = round.theirs.take().map(|theirs| theirs.sections).unwrap_or_default();
        sections.extend(&done.sections);
        let all = 4 * self.list.len();
        if sections.len() > if round.whole { all } else { round.compared.len() } {
            return Err(PROTOCOL);
        }
        round.theirs = Some(Done { sections, ..done });
        Ok(())
    }

    /// Moves the round on as far as it goes.
    pub(super) fn advance_round(
        &mut self,
        now_ms: u64,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let Some(round) = &self.round else { return Ok(()) };
        if round.stage != Stage::Exchange {
            return Ok(());
        }
        if round.compared.is_empty() && !round.mend && !round.whole {
            return self.finish(now_ms, exchange);
        }
        if !self.taker.is_empty() || !round.outstanding.is_empty() || !round.peer_end {
            return Ok(());
        }
        if !round.repair.finished {
            if self.ask_for_missing(exchange)? {
                return Ok(());
            }
            if let Some(round) = &mut self.round {
                round.repair.finished = true;
            }
        }
        if let Some(round) = &mut self.round {
            round.ledger.settle_gaps(exchange)?;
        }
        self.say_done(exchange)?;
        let over = |round: &Round| round.theirs.as_ref().is_some_and(|theirs| !theirs.more);
        if self.round.as_ref().is_some_and(over) {
            return self.finish(now_ms, exchange);
        }
        Ok(())
    }

    fn say_done(&mut self, exchange: &dyn Exchange) -> Result<(), Fault> {
        if self.round.as_ref().is_none_or(|round| round.done_sent.is_some()) {
            return Ok(());
        }
        self.compare_touched();
        self.tell_holds(exchange)?;
        let (Some(round), Some(key)) = (&self.round, &self.key) else { return Ok(()) };
        let missing = self.missing(exchange)?.counted;
        let whole = round.ledger.causes_total == 0 && !round.ledger.store_failed;
        let all = if whole { Some(self.compared(round, exchange)?) } else { None };
        let mut sections = Vec::new();
        let listed = if whole { &[][..] } else { &round.compared };
        for reference in listed {
            let Some(section) = self.resolve(reference) else { continue };
            let digest = self.digest(&section, exchange)?;
            sections.push(SectionDigest { section: *reference, digest });
        }
        let scope = Scope { kind: ScopeKind::Round, id: round.number };
        let template = Done {
            scope,
            more: true,
            committed: !round.ledger.store_failed,
            missing,
            all,
            sections: Vec::new(),
            causes: Vec::new(),
            causes_total: round.ledger.causes_total,
        };
        let causes = round.ledger.told(key);
        let mut pages = sections.chunks(DIGESTS_PER_FRAME).peekable();
        while let Some(page) = pages.next() {
            if pages.peek().is_some() {
                let sections = page.to_vec();
                self.out.send(&Message::Done(Done { sections, ..template.clone() }));
            } else {
                sections = page.to_vec();
                break;
            }
        }
        self.out.send(&Message::Done(Done { more: false, sections, causes, ..template }));
        if let Some(round) = &mut self.round {
            round.done_sent = Some(missing);
        }
        Ok(())
    }

    /// Digest over all compared sections as they are now.
    fn compared(&self, round: &Round, exchange: &dyn Exchange) -> ExchangeResult<ShortTag> {
        let mut compared = round.compared.clone();
        // Names of tips are short where a list was told by sums: what was taken for another shows.
        if round.met && round.whole {
            compared = self.sections().into_iter().map(|(reference, _)| reference).collect();
        }
        compared.sort_unstable();
        let mut w = Writer::new();
        for reference in compared {
            let Some(section) = self.resolve(&reference) else { continue };
            w.varint(reference.entry).u8(reference.class as u8);
            w.raw(&self.digest(&section, exchange)?);
        }
        Ok(self.key.as_ref().map(|key| key.compared(&w.finish())).unwrap_or_default())
    }

    /// Where tips alone told what differs, a section new to this side is known by what came.
    fn compare_touched(&mut self) {
        let Some(round) = self.round.as_ref().filter(|round| round.whole) else { return };
        let touched: Vec<_> = round.ledger.touched.iter().copied().collect();
        let touched: Vec<_> =
            touched.iter().filter_map(|section| Some(self.reference(section)?.0)).collect();
        if let Some(round) = &mut self.round {
            round.compare(touched);
        }
    }

    /// Ends the round with its verdict; tries once more where that may help.
    fn finish(&mut self, now_ms: u64, exchange: &dyn Exchange) -> Result<(), Fault> {
        let Some(mut round) = self.round.take() else { return Ok(()) };
        self.tell_holds(exchange)?;
        let theirs = round.theirs.take();
        let their_before = match self.role {
            Role::Initiator => round.missing.1,
            Role::Responder => round.missing.0,
        };
        let missing_here = round.done_sent.unwrap_or(round.counted);
        // Without a last word what it said before still holds, as far as it lacks that much.
        let last_told = self.missing_there.min(their_before);
        let missing_there = theirs.as_ref().map_or(last_told, |theirs| theirs.missing);
        self.missing_there = missing_there;
        let mut ledger = std::mem::take(&mut round.ledger);
        self.add_theirs(&mut ledger, theirs.as_ref(), exchange)?;
        ledger.settle_gaps(exchange)?;
        let older = still_older(&round, exchange)?;
        // Asking again for the same helps only where something went wrong.
        self.repaired = Some(round.missing).filter(|_| ledger.causes_total == 0);
        let all = theirs.as_ref().and_then(|theirs| theirs.all);
        let alike = all.is_some() && all == Some(self.compared(&round, exchange)?);
        let doubt = round.met && round.whole && all.is_some() && !alike;
        let mut sections = Vec::new();
        for (reference, section) in self.sections() {
            let compared = doubt || round.compared.contains(&reference);
            let told = theirs.iter().flat_map(|theirs| &theirs.sections);
            let told = told.filter(|told| told.section == reference).map(|told| told.digest).next();
            let same = || Ok::<_, Fault>(Some(self.digest(&section, exchange)?) == told);
            let equal = !compared || alike || (told.is_some() && same()?);
            let outcome = self.section_outcome(section, equal, missing_here > 0, exchange)?;
            if !equal {
                self.equal_noted.remove(&section);
            } else if self.equal_noted.insert(section) || compared {
                self.note_equal(&section, exchange)?;
            }
            sections.push(outcome);
        }
        let outcome = Outcome {
            remote: self.remote,
            kind: OutcomeKind::Round,
            number: round.number,
            complete: true,
            sections,
            durable_here: !ledger.store_failed,
            durable_there: theirs.as_ref().map(|theirs| theirs.committed),
            causes: ledger.causes,
            causes_total: ledger.causes_total,
            forks: ledger.forks,
            older,
            gaps: ledger.gaps,
            missing_here,
            missing_there,
            counters: self.out.counters.since(&round.before),
        };
        if (round.opened || round.met) && outcome.is_equal() {
            self.note_list(round.number, exchange)?;
        }
        exchange.settle_newest()?;
        self.plain |= !doubt && !outcome.is_equal();
        self.note_common();
        self.after_round(now_ms, &outcome, exchange)?;
        self.out.finished(outcome);
        Ok(())
    }

    fn after_round(
        &mut self,
        now_ms: u64,
        outcome: &Outcome,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        if self.role == Role::Responder {
            return Ok(());
        }
        let later = self.options.check_every_ms.map(|every| now_ms + every);
        if outcome.is_equal() {
            self.retried = false;
            self.settle_ms = self.options.settle_ms;
            if self.check_due.is_none() {
                self.check_due = later;
            }
            return Ok(());
        }
        self.reopen = true;
        let hopeful = outcome.causes.iter().any(|cause| !cause.reason.is_refusal());
        if !hopeful && outcome.causes_total > 0 {
            self.check_due = later;
        } else if self.retried {
            self.ask_when_settled(now_ms);
        } else {
            self.retried = true;
            self.start_round(now_ms, exchange)?;
        }
        Ok(())
    }

    /// A round that the responder asks for begins at once: who asked waits for it.
    pub(super) fn on_again(&mut self, now_ms: u64, exchange: &dyn Exchange) -> Result<(), Fault> {
        if self.role == Role::Responder {
            return Err(PROTOCOL);
        }
        let due = now_ms.max(self.round_ms + AGAIN_MS_MIN);
        self.reopen = true;
        self.check_due = Some(self.check_due.map_or(due, |earlier| earlier.min(due)));
        self.begin_due_round(now_ms, exchange)
    }

    /// Starts a round, or asks for one, if it is time for it and nothing is under way.
    pub(super) fn begin_due_round(
        &mut self,
        now_ms: u64,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let may = self.role == Role::Responder || self.meter.allows_round(now_ms);
        if may && self.check_due.is_some_and(|due| due <= now_ms) && !self.is_busy() {
            self.check_due = None;
            match self.role {
                Role::Initiator => self.start_round(now_ms, exchange)?,
                Role::Responder => self.out.send(&Message::Again),
            }
        }
        Ok(())
    }

    fn note_equal(&mut self, section: &Section, exchange: &dyn Exchange) -> Result<(), Fault> {
        for (number, tip) in exchange.tips(section)?.into_iter().enumerate() {
            self.note_shown(*section, tip.chain, tip.n, exchange)?;
            if number < EQUAL_NOTED_MAX {
                self.note_peer_has(tip.chain, tip.n);
            }
        }
        Ok(())
    }

    pub(super) fn section_outcome(
        &self,
        section: Section,
        equal: bool,
        missing: bool,
        exchange: &dyn Exchange,
    ) -> Result<SectionOutcome, Fault> {
        Ok(SectionOutcome {
            section,
            state: if equal { SectionState::Equal } else { SectionState::Differs },
            kept_there: self.reference(&section).is_some_and(|(_, kept)| kept),
            sparing_there: self.is_spared(&section),
            partial_there: self.is_partial(&section),
            missing_bodies: if missing { exchange.missing_bodies_count(&section)? } else { 0 },
        })
    }

    /// Adds what the other side says it did not take.
    pub(super) fn add_theirs(
        &self,
        ledger: &mut Ledger,
        theirs: Option<&Done>,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let (Some(theirs), Some(key)) = (theirs, &self.key) else { return Ok(()) };
        ledger.causes_total = ledger.causes_total.saturating_add(theirs.causes_total);
        if theirs.causes.is_empty() {
            return Ok(());
        }
        let mut names: Vec<(Tag, Section, ChainKey)> = Vec::new();
        for told in &theirs.sections {
            let Some(section) = self.resolve(&told.section) else { continue };
            for tip in exchange.tips(&section)? {
                names.push((key.chain(&tip.chain), section, tip.chain));
            }
        }
        for ChainCause { tag, from_n, reason } in &theirs.causes {
            let named = names.iter().find(|(name, ..)| name == tag);
            if ledger.causes.len() < CAUSES_KEPT_MAX {
                ledger.causes.push(Cause {
                    side: Side::There,
                    section: named.map(|(_, section, _)| *section),
                    chain: named.map(|(.., chain)| *chain),
                    from_n: *from_n,
                    reason: *reason,
                });
            }
        }
        Ok(())
    }

    /// The session ends within a round or push: nothing can be said about it.
    pub(super) fn abandon(&mut self, exchange: &dyn Exchange) {
        let round = self.round.take();
        let Some(mut round) = round else { return };
        // A store that fails here has failed the round already.
        let _ = round.ledger.settle_gaps(exchange);
        let failed = |(_, section)| SectionOutcome {
            section,
            state: SectionState::Failed,
            kept_there: self.reference(&section).is_some_and(|(_, kept)| kept),
            sparing_there: self.is_spared(&section),
            partial_there: self.is_partial(&section),
            missing_bodies: exchange.missing_bodies_count(&section).unwrap_or(0),
        };
        let outcome = Outcome {
            remote: self.remote,
            kind: OutcomeKind::Round,
            number: round.number,
            complete: false,
            sections: self.sections().into_iter().map(failed).collect(),
            durable_here: !round.ledger.store_failed,
            durable_there: None,
            causes: round.ledger.causes,
            causes_total: round.ledger.causes_total,
            forks: round.ledger.forks,
            older: round.older,
            gaps: round.ledger.gaps,
            missing_here: self.missing(exchange).map_or(0, |missing| missing.counted),
            missing_there: self.missing_there,
            counters: self.out.counters.since(&round.before),
        };
        self.out.finished(outcome);
    }
}

/// Which chains the remote really shows less of. A guest's page changes its section when the owner
/// of the wall admits or refuses the guest: who knew of that first compared it in another one.
fn still_older(round: &Round, exchange: &dyn Exchange) -> Result<Vec<OlderReport>, ExchangeError> {
    let mut open = Vec::new();
    for older in &round.older {
        let tips = exchange.chain_tips(&older.chain)?;
        let moved = tips.iter().any(|(section, _)| *section != older.section);
        if !moved && older.section.class != SectionClass::Visitors {
            open.push(*older);
        }
    }
    Ok(open)
}

/// Whether nobody honest gives such a chain. Without its pack a good one may look as if it
/// led elsewhere.
const fn is_fault(verdict: &Verdict, pack: Option<Reason>) -> bool {
    match verdict {
        Verdict::Refused(Reason::Signature | Reason::Certificate) => true,
        Verdict::Refused(Reason::Malformed | Reason::Link) => pack.is_none(),
        Verdict::Accepted { .. } | Verdict::Deferred(_) | Verdict::Refused(_) => false,
    }
}

/// Whether the changes that came cannot be all of the chain.
fn is_short(chain: &Received, n: u64) -> bool {
    let mut next = 1;
    for part in &chain.parts {
        if part.first_n > next {
            return true;
        }
        next = next.max(part.last_n() + 1);
    }
    next <= n
}

/// Says of a chain that lacks changes why it does: they were to be in a pack.
fn explain(chain: &mut ChainReceipt, n: u64, reason: Reason) {
    match chain.verdict {
        Verdict::Accepted { held_n } if held_n >= n => return,
        Verdict::Accepted { .. }
        | Verdict::Deferred(Reason::Gap)
        | Verdict::Refused(Reason::Link) => {}
        Verdict::Deferred(_) | Verdict::Refused(_) => return,
    }
    let refusal = reason.is_refusal();
    chain.verdict = if refusal { Verdict::Refused(reason) } else { Verdict::Deferred(reason) };
}
