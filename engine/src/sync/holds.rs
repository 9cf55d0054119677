//! Receipts of who holds what. Asked for early in a round, they are given at its end, before the last
//! word: they are about what both have then. Of what is said to be held a part is asked for, with
//! something random in it, so that a hash that was kept in its place is of no use.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::SpaceId;
use crate::sync::exchange::{Exchange, ExchangeResult, Hold, Probe};
use crate::sync::session::{Fault, PROTOCOL, Session};
use crate::wire::{HOLDS_MAX, Message, ShortTag};

/// Probes answered in one session.
const PROBES_MAX: u32 = 256;

/// What was asked of each other in a session.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// The last round in which receipts were asked for.
    asked_in: u64,
    /// Spaces that they were asked of, by name.
    asked: BTreeMap<ShortTag, SpaceId>,
    /// Messages of the remote that asked.
    taken: u64,
    /// Spaces that the remote asks for, until the round ends.
    due: Vec<SpaceId>,
    /// Spaces of which a part was looked at.
    probed: BTreeSet<SpaceId>,
    /// Probes under way: the space, and the right answer.
    probes: BTreeMap<u64, (SpaceId, [u8; 32])>,
    /// Probes answered.
    answered: u32,
}

impl Session {
    /// Asks for receipts, once a round.
    pub(super) fn ask_for_holds(
        &mut self,
        now_ms: u64,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<()> {
        let begun = self.round.is_some() && self.holds.asked_in < self.rounds;
        let Some(key) = self.key.as_ref().filter(|_| self.options.receipts && begun) else {
            return Ok(());
        };
        let first = self.holds.asked_in == 0;
        self.holds.asked_in = self.rounds;
        let mut due = exchange.holds_due(&self.remote, first, now_ms)?;
        due.truncate(HOLDS_MAX);
        self.holds.asked = due.into_iter().map(|space| (key.space(&space), space)).collect();
        if !self.holds.asked.is_empty() {
            let spaces = self.holds.asked.keys().copied().collect();
            self.out.send(&Message::AskHolds { spaces });
        }
        Ok(())
    }

    pub(super) fn on_holding(
        &mut self,
        now_ms: u64,
        message: Message,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        match message {
            Message::AskHolds { spaces } => self.on_ask_holds(&spaces, exchange),
            Message::Holds { holds } => {
                for (tag, hold) in holds {
                    if let Some(space) = self.holds.asked.remove(&tag) {
                        self.take_hold(now_ms, space, &hold, exchange)?;
                    }
                }
                Ok(())
            }
            Message::Probe { number, probe } => self.on_probe(number, &probe, exchange),
            Message::Probed { number, answer } => {
                if let Some((space, right)) = self.holds.probes.remove(&number) {
                    let held = answer == Some(right);
                    exchange.note_probed(&self.remote, &space, held, now_ms)?;
                }
                Ok(())
            }
            _ => Err(PROTOCOL),
        }
    }

    fn on_ask_holds(&mut self, spaces: &[ShortTag], exchange: &dyn Exchange) -> Result<(), Fault> {
        self.holds.taken += 1;
        let Some(key) = self.key.clone().filter(|_| self.holds.taken <= self.rounds) else {
            return Err(PROTOCOL);
        };
        let kept = self.kept(exchange)?.into_keys();
        let asked: BTreeSet<&ShortTag> = spaces.iter().collect();
        self.holds.due = kept.filter(|space| asked.contains(&key.space(space))).collect();
        match &self.round {
            Some(round) if round.done_sent.is_none() => Ok(()),
            _ => Ok(self.tell_holds(exchange)?),
        }
    }

    /// Gives the receipts that were asked for.
    pub(super) fn tell_holds(&mut self, exchange: &dyn Exchange) -> ExchangeResult<()> {
        let due = std::mem::take(&mut self.holds.due);
        let Some(key) = self.key.as_ref().filter(|_| !due.is_empty()) else { return Ok(()) };
        let mut holds = Vec::with_capacity(due.len());
        for space in due {
            if let Some(hold) = exchange.hold(&self.remote, &space, self.heard_ms)? {
                holds.push((key.space(&space), hold));
            }
        }
        if !holds.is_empty() {
            self.out.send(&Message::Holds { holds });
        }
        Ok(())
    }

    fn take_hold(
        &mut self,
        now_ms: u64,
        space: SpaceId,
        hold: &Hold,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        self.out.counters.signatures_checked += 1;
        let Some(look) = exchange.take_hold(&self.remote, &space, hold, now_ms)? else {
            self.faults += 1;
            return Ok(());
        };
        // Once a session for each space.
        if let Some((probe, right)) = look
            && self.holds.probed.insert(space)
        {
            let number = self.holds.probed.len() as u64;
            self.holds.probes.insert(number, (space, right));
            self.out.send(&Message::Probe { number, probe });
        }
        Ok(())
    }

    fn on_probe(
        &mut self,
        number: u64,
        probe: &Probe,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        self.holds.answered += 1;
        if self.holds.answered > PROBES_MAX {
            return Err(PROTOCOL);
        }
        let body = exchange.body(&self.remote, &probe.body)?;
        let answer = body.and_then(|body| probe.answer(&body));
        self.out.send(&Message::Probed { number, answer });
        Ok(())
    }
}
