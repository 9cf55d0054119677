//! What people look at first comes first: the newest of a space of which much is on its way.

use std::collections::BTreeMap;

use crate::hash::SpaceId;
use crate::sync::exchange::{Exchange, ExchangeError, ExchangeResult, Newest, Section};
use crate::sync::finish::FAULTS_MAX;
use crate::sync::give::{Giver, Job};
use crate::sync::outbox::Outbox;
use crate::sync::round::Stage;
use crate::sync::session::{Fault, PROTOCOL, Session};
use crate::wire::{Message, Scope, ScopeKind};

/// Changes of a space from which its newest is given before them: fewer are there as soon.
const CHANGES_MIN: u64 = 500;
/// Chains, likewise.
const CHAINS_MIN: u64 = 100;
/// Messages with the newest of one space that are looked at in one session.
const MESSAGES_MAX: u8 = 4;
/// Spaces of which they are.
const SPACES_MAX: usize = 64;

impl Giver {
    /// Spaces of which much is asked for that was not shown before, for the first time: a section
    /// of each.
    pub(super) fn large(&mut self, scope: Scope, jobs: &[Job]) -> Vec<Section> {
        let mut asked: BTreeMap<SpaceId, (Section, u64, u64)> = BTreeMap::new();
        for job in jobs {
            if let Job::Chain(chain) = job
                && chain.first_n == 1
                && !chain.bare
                && scope.kind != ScopeKind::Push
            {
                let of = asked.entry(chain.section.space).or_insert((chain.section, 0, 0));
                of.1 += 1;
                of.2 += chain.tip.held_n;
            }
        }
        asked.retain(|space, (_, chains, changes)| {
            (*chains >= CHAINS_MIN || *changes >= CHANGES_MIN) && self.newest.insert(*space)
        });
        asked.into_values().map(|(section, ..)| section).collect()
    }

    pub(super) fn send_newest(
        &self,
        section: &Section,
        exchange: &dyn Exchange,
        out: &mut Outbox,
    ) -> ExchangeResult<()> {
        for newest in exchange.newest(&self.remote, section)? {
            out.send(&Message::Newest(newest));
        }
        Ok(())
    }
}

impl Session {
    /// Takes what the remote says is the newest of something, to be shown before the rest comes.
    pub(super) fn on_newest(
        &mut self,
        now_ms: u64,
        newest: Newest,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        // Who gives it was asked for the rest just now.
        let asked = self.round.as_ref().is_some_and(|round| round.stage == Stage::Exchange);
        if !asked || !self.has_room_for(&newest) {
            return Ok(());
        }
        match exchange.receive_newest(newest, now_ms) {
            Ok((signatures, faults)) => {
                self.out.counters.signatures_checked += signatures;
                self.faults = self.faults.saturating_add(faults);
                // Each costs a signature's worth of work; who is honest has none to give.
                if self.faults > FAULTS_MAX { Err(PROTOCOL) } else { Ok(()) }
            }
            // The same comes again with the rest.
            Err(ExchangeError::Store(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is about one space, and not too much of it.
    fn has_room_for(&mut self, newest: &Newest) -> bool {
        let mut spaces = newest.excerpts.iter().map(|excerpt| excerpt.description.space.id());
        let Some(space) = spaces.next().filter(|first| spaces.all(|other| other == *first)) else {
            return false;
        };
        if !self.newest.contains_key(&space) && self.newest.len() >= SPACES_MAX {
            return false;
        }
        let taken = self.newest.entry(space).or_default();
        *taken = taken.saturating_add(1);
        *taken <= MESSAGES_MAX
    }
}
