//! Receipts of who holds what. Asked for early in a round, they are given at its end, before the last
//! word: they are about what both have then. Of what is said to be held a part is asked for, with
//! something random in it, so that a hash that was kept in its place is of no use.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::SpaceId;
use crate::sync::exchange::{Exchange, ExchangeResult, Hold, Look, Probe};
use crate::sync::round::Stage;
use crate::sync::session::{Fault, PROTOCOL, Role, Session};
use crate::wire::{HOLDS_MAX, Message, ShortTag};

/// Parts that are asked for in one round: each makes the other side read a body.
const PROBES_ROUND_MAX: u32 = 4;

/// What was asked of each other in a session.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// The last round in which receipts were asked for.
    asked_in: u64,
    /// Spaces that they were asked of, by name.
    asked: BTreeMap<ShortTag, SpaceId>,
    /// Messages of the remote that asked.
    taken: Share,
    /// Spaces that the remote asks for, until the round ends.
    due: Vec<SpaceId>,
    /// Spaces of which a part was looked at.
    probed: BTreeSet<SpaceId>,
    /// Probes under way: the space, and the right answer.
    probes: BTreeMap<u64, (SpaceId, [u8; 32])>,
    /// Parts asked for.
    sent: Share,
    /// Probes answered.
    answered: Share,
}

/// What was spent in the present round.
#[derive(Debug, Default)]
struct Share {
    round: u64,
    spent: u32,
}

impl Share {
    /// Spends one of `most` a round; false if all are spent. Whatever number a round has, what was
    /// not spent in those before is not saved up.
    const fn spend(&mut self, round: u64, most: u32) -> bool {
        if self.round != round {
            (self.round, self.spent) = (round, 0);
        }
        self.spent = self.spent.saturating_add(1);
        self.spent <= most
    }
}

impl Session {
    /// Asks for receipts of what both keep, once a round: when it is known what that is.
    pub(super) fn ask_for_holds(
        &mut self,
        now_ms: u64,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<()> {
        let listed = self.round.as_ref().is_some_and(|round| round.stage != Stage::Opening);
        let begun = listed && self.holds.asked_in < self.rounds;
        let Some(key) = self.key.clone().filter(|_| self.options.receipts && begun) else {
            return Ok(());
        };
        let first = self.holds.asked_in == 0;
        self.holds.asked_in = self.rounds;
        let common: BTreeSet<SpaceId> =
            self.sections().into_iter().map(|(_, section)| section.space).collect();
        let mut due = exchange.holds_due(&self.remote, first, now_ms)?;
        // Of what only this side keeps the other need not hear that it is in the list.
        due.retain(|space| common.contains(space));
        if due.len() > HOLDS_MAX {
            // Each session begins elsewhere.
            let [a, b, c, d, ..] = self.salt;
            let start = u32::from_be_bytes([a, b, c, d]) as usize % due.len();
            due.rotate_left(start);
            due.truncate(HOLDS_MAX);
        }
        self.holds.asked = due.into_iter().map(|space| (key.space(&space), space)).collect();
        if !self.holds.asked.is_empty() {
            let spaces = self.holds.asked.keys().copied().collect();
            self.out.send(&Message::AskHolds { spaces });
        }
        Ok(())
    }

    /// How often what is due `each` round may come in one. What a responder sends in a round may
    /// come when its opener has begun the next one.
    const fn in_a_round(&self, each: u32) -> u32 {
        match self.role {
            Role::Initiator => 2 * each,
            Role::Responder => each,
        }
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
        // Rounds are metered, so this is too.
        let most = self.in_a_round(1);
        let fits = self.holds.taken.spend(self.rounds, most);
        let Some(key) = self.key.clone().filter(|_| fits && self.rounds > 0) else {
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
        if let Some(look) = look {
            self.look_at(space, look);
        }
        Ok(())
    }

    /// Asks for a part of a space, once a session, and of few spaces in a round.
    fn look_at(&mut self, space: SpaceId, (probe, right): Look) {
        let holds = &mut self.holds;
        if holds.probed.contains(&space) || !holds.sent.spend(self.rounds, PROBES_ROUND_MAX) {
            return;
        }
        holds.probed.insert(space);
        let number = holds.probed.len() as u64;
        holds.probes.insert(number, (space, right));
        self.out.send(&Message::Probe { number, probe });
    }

    fn on_probe(
        &mut self,
        number: u64,
        probe: &Probe,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let most = self.in_a_round(PROBES_ROUND_MAX);
        if self.rounds == 0 || !self.holds.answered.spend(self.rounds, most) {
            return Err(PROTOCOL);
        }
        let answer = exchange.answer(&self.remote, probe)?;
        self.out.send(&Message::Probed { number, answer });
        Ok(())
    }
}
