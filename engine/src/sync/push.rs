//! News on an idle connection: given unasked, answered once, one at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::chain::ChainKey;
use crate::description::SectionClass;
use crate::sync::exchange::{Exchange, ExchangeResult, Parting, Section};
use crate::sync::finish::DIGESTS_PER_FRAME;
use crate::sync::give::{ChainJob, Job};
use crate::sync::ledger::Ledger;
use crate::sync::missing::counts;
use crate::sync::outcome::{Counters, Outcome, OutcomeKind, SectionState};
use crate::sync::session::{Fault, PROTOCOL, Session};
use crate::wire::{Done, Message, Reason, Scope, ScopeKind, SectionDigest};

/// The push under way.
#[derive(Debug, Default)]
pub(super) struct Push {
    number: u64,
    open: Option<Sent>,
    /// What was given of conversations of which both talk no more: up to which change.
    parted: HashMap<ChainKey, u64>,
    /// It was looked at what there is to give of them; no such news came since.
    looked: bool,
}

#[derive(Debug)]
struct Sent {
    chains: Vec<(Section, ChainKey, u64)>,
    sections: BTreeSet<Section>,
    before: Counters,
}

impl Push {
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// There may be something to give of conversations of which both talk no more.
    pub(super) const fn look_again(&mut self) {
        self.looked = false;
    }
}

impl Session {
    /// Sends waiting news if nothing else is under way.
    pub(super) fn advance_push(
        &mut self,
        now_ms: u64,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let idle = self.round.is_none() && self.push.open.is_none() && self.rounds > 0;
        if !idle || (self.news.is_empty() && self.push.looked) {
            return Ok(());
        }
        let mut from: BTreeMap<ChainKey, (Section, u64)> = BTreeMap::new();
        for news in std::mem::take(&mut self.news) {
            let entry = from.entry(news.chain).or_insert((news.section, news.from_n));
            entry.1 = entry.1.min(news.from_n);
        }
        let before = self.out.counters;
        let mut sent = Sent { chains: Vec::new(), sections: BTreeSet::new(), before };
        let mut jobs = Vec::new();
        for (chain, (section, from_n)) in from {
            let welcome = self.reference(&section).is_some_and(|(_, kept)| kept);
            if !welcome || !exchange.may_read(&self.remote, &section)? {
                self.push.looked &= section.class != SectionClass::Private;
                continue;
            }
            let tips = exchange.chain_tips(&chain)?;
            let [(now_in, tip)] = tips.as_slice() else {
                self.reopen = true;
                self.ask_for_round(now_ms);
                continue;
            };
            let has = self.peer_has.get(&chain).copied().unwrap_or(0);
            if *now_in != section || tip.n <= has {
                continue;
            }
            let first_n = from_n.max(has + 1);
            let (tip, describe) = (*tip, first_n == 1);
            // Who keeps a part keeps the newest page, and asks for others by itself.
            let bare = self.is_spared(&section) && tip.page < newest_page(&section, exchange)?;
            let (fork, last_n) = (false, u64::MAX);
            let name = None;
            let job = ChainJob { section, tip, first_n, describe, fork, bare, last_n, name };
            jobs.push(Job::Chain(job));
            sent.chains.push((section, chain, tip.n));
            sent.sections.insert(section);
        }
        if !self.push.looked {
            self.push.looked = true;
            self.part(&mut sent, &mut jobs, exchange)?;
        }
        if jobs.is_empty() {
            return Ok(());
        }
        self.touch(now_ms);
        self.push.number += 1;
        let scope = Scope { kind: ScopeKind::Push, id: self.push.number };
        self.push.open = Some(sent);
        if self.giver.queue(scope, jobs) { Ok(()) } else { Err(PROTOCOL) }
    }

    /// Gives what says that the remote, or who is here, takes part in a conversation no more.
    fn part(
        &mut self,
        sent: &mut Sent,
        jobs: &mut Vec<Job>,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<()> {
        for parting in exchange.partings(&self.remote)? {
            let Parting { section: of, through, tip, first_n, last_n } = parting;
            let given = self.push.parted.get(&tip.chain).copied().unwrap_or(0);
            if given >= last_n || self.reference(&of).is_some_and(|(_, kept)| kept) {
                continue;
            }
            self.push.parted.insert(tip.chain, last_n);
            let describe = first_n == 1;
            let (fork, bare) = (false, false);
            let (section, name) = (through, None);
            let job = ChainJob { section, tip, first_n, describe, fork, bare, last_n, name };
            jobs.push(Job::Chain(job));
            sent.chains.push((of, tip.chain, last_n.min(tip.n)));
        }
        Ok(())
    }

    /// Everything of the remote's push is committed: says so.
    pub(super) fn answer_push(
        &mut self,
        now_ms: u64,
        scope: Scope,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let mut ledger = std::mem::take(&mut self.received);
        ledger.settle_gaps(exchange)?;
        let Some(key) = self.key.clone() else { return Err(PROTOCOL) };
        let (mut digests, mut sections, mut missing) = (Vec::new(), Vec::new(), 0);
        for section in &ledger.touched {
            if counts(section) {
                missing += exchange.missing_bodies_count(section)?;
            }
            if let Some((reference, _)) = self.reference(section) {
                let digest = self.digest(section, exchange)?;
                digests.push(SectionDigest { section: reference, digest });
                // Whether both are equal now is for the sender of the news to see.
                sections.push(self.section_outcome(*section, true, true, exchange)?);
            }
        }
        // A burst may touch more than a frame names; what is not told is compared later.
        digests.truncate(DIGESTS_PER_FRAME);
        let done = Done {
            scope,
            more: false,
            committed: !ledger.store_failed,
            missing,
            all: None,
            sections: digests,
            causes: ledger.told(&key),
            causes_total: ledger.causes_total,
        };
        let before = self.out.counters;
        self.out.send(&Message::Done(done));
        self.repaired = None;
        if ledger.causes.iter().any(|cause| !cause.reason.is_refusal()) {
            self.reopen = true;
            self.ask_when_settled(now_ms);
        }
        for section in &ledger.touched {
            // Heads came whose changes are wanted.
            if exchange.spares(section)? && !exchange.incomplete(section, 1)?.is_empty() {
                self.ask_for_round(now_ms);
            }
        }
        let number = scope.id;
        self.report(OutcomeKind::Received, number, sections, ledger, (missing, None), before);
        Ok(())
    }

    pub(super) fn on_push_done(
        &mut self,
        now_ms: u64,
        done: Done,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        if done.scope.id != self.push.number || done.more {
            return Err(PROTOCOL);
        }
        let Some(sent) = self.push.open.take() else { return Err(PROTOCOL) };
        self.out.counters.round_trips += 1;
        let (mut sections, mut equal) = (Vec::new(), true);
        for section in &sent.sections {
            let reference = self.reference(section).map(|(reference, _)| reference);
            let told = done.sections.iter().find(|told| Some(told.section) == reference);
            let own = self.digest(section, exchange)?;
            let same = told.is_some_and(|told| told.digest == own);
            equal &= same;
            sections.push(self.section_outcome(*section, same, true, exchange)?);
        }
        let mut ledger = Ledger::default();
        self.add_theirs(&mut ledger, Some(&done), exchange)?;
        if ledger.causes_total == 0 {
            for (section, chain, n) in &sent.chains {
                self.note_peer_has(*chain, *n);
                self.note_shown(*section, *chain, *n, exchange)?;
            }
        }
        for outcome in &sections {
            // What came to both some other way is not known to be there before a round says so.
            if ledger.causes_total > 0 || outcome.state != SectionState::Equal {
                self.equal_noted.remove(&outcome.section);
            }
        }
        let repairable = |reason: Reason| {
            matches!(reason, Reason::Gap | Reason::Link | Reason::Pack | Reason::Authority)
        };
        if ledger.causes.iter().any(|cause| repairable(cause.reason)) {
            self.reopen = true;
            self.ask_when_settled(now_ms);
        } else if !equal && ledger.causes_total == 0 && self.news.is_empty() {
            self.ask_when_settled(now_ms);
        }
        let counted = sections.iter().filter(|outcome| counts(&outcome.section));
        let missing: u64 = counted.map(|outcome| outcome.missing_bodies).sum();
        if done.missing > missing {
            // What it lacks may have come here since the news were sent.
            self.ask_when_settled(now_ms);
        }
        // It speaks of the sections pushed to only: less may be missing there after a round,
        // which speaks of all.
        self.missing_there = self.missing_there.max(done.missing);
        let there = Some(done.committed);
        let number = done.scope.id;
        self.report(OutcomeKind::Pushed, number, sections, ledger, (missing, there), sent.before);
        Ok(())
    }

    fn report(
        &mut self,
        kind: OutcomeKind,
        number: u64,
        sections: Vec<crate::sync::outcome::SectionOutcome>,
        ledger: Ledger,
        (missing_here, durable_there): (u64, Option<bool>),
        before: Counters,
    ) {
        let outcome = Outcome {
            remote: self.remote,
            kind,
            number,
            complete: true,
            sections,
            durable_here: !ledger.store_failed,
            durable_there,
            causes: ledger.causes,
            causes_total: ledger.causes_total,
            forks: ledger.forks,
            older: Vec::new(),
            gaps: ledger.gaps,
            missing_here,
            missing_there: self.missing_there,
            counters: self.out.counters.since(&before),
        };
        self.out.finished(outcome);
    }
}

/// The newest page of a space.
fn newest_page(section: &Section, exchange: &dyn Exchange) -> ExchangeResult<u64> {
    let public = Section { space: section.space, class: SectionClass::Public };
    let pages = exchange.tips(&public)?.into_iter().map(|tip| tip.page);
    Ok(pages.filter(|page| *page != u64::MAX).max().unwrap_or(0))
}
