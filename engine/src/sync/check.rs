//! Checks: whether all of a list that both know is equal, and if not, what differs.
//!
//! Replicas that met before know about how much is new at each of them. So the opener sends its
//! sketch with the check; the responder reads from it what differs, gives what it alone has and
//! asks for the rest, in the frames that answer the check.

use crate::sync::exchange::{Exchange, ExchangeResult};
use crate::sync::keys::SessionKey;
use crate::sync::round::{Round, Stage};
use crate::sync::session::{Fault, PROTOCOL, Role, Session};
use crate::wire::{Message, ShortTag, Then, Told};

impl Session {
    /// Asks whether all of a list that both know is equal.
    pub(super) fn send_check(
        &mut self,
        round: &mut Round,
        list: Option<ShortTag>,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let digest = self.total(exchange)?;
        round.total = digest;
        let own = self.missing(exchange)?;
        (round.missing.0, round.counted) = (own.all, own.counted);
        let told = match self.tell(round, exchange)? {
            Some(told) => told,
            None if list.is_some() => Told::Estimate(self.estimate_all(round.number, exchange)?),
            None => Told::Digest,
        };
        round.whole = told != Told::Digest;
        round.told = matches!(told, Told::Sums(_) | Told::Follows);
        let (number, missing) = (round.number, own.all);
        self.out.send(&Message::Check { round: number, list, missing, digest, told });
        Ok(())
    }

    pub(super) fn on_check(
        &mut self,
        number: u64,
        list: Option<ShortTag>,
        missing: u64,
        (digest, told): (ShortTag, Told),
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let fits = self.role == Role::Responder && self.round.is_none() && number > self.rounds;
        if !fits || list.is_some() != self.key.is_none() {
            return Err(PROTOCOL);
        }
        self.meter_round()?;
        self.rounds = number;
        if told == Told::Follows {
            // Unless it turns out to be wanted.
            self.passing = number;
        }
        if !self.takes_up(list, exchange)? {
            self.out.send(&unknown(number));
            return Ok(());
        }
        let mut round = Round::new(number, false, self.out.counters);
        round.whole = told != Told::Digest;
        let total = self.total(exchange)?;
        let own = self.missing(exchange)?;
        (round.missing, round.counted) = ((missing, own.all), own.counted);
        round.mend = round.missing != (0, 0) && self.repaired != Some(round.missing);
        let equal = total == digest;
        // A list that the opener thinks of may have grown here meanwhile.
        if !equal && round.whole && list.is_none() && !self.stands(exchange)? {
            self.out.send(&unknown(number));
            return Ok(());
        }
        let mut plan = false;
        match &told {
            _ if equal => {}
            Told::Digest => {}
            Told::Estimate(estimate) => self.tell_all(&mut round, Some(estimate), exchange)?,
            Told::Sums(_) | Told::Follows => plan = !self.keeps_parts(exchange)?,
        }
        let then = match (round.tips_open, round.mend) {
            _ if plan => Then::Plan,
            (true, _) => Then::Tips,
            (false, true) => Then::Repair,
            (false, false) => Then::Nothing,
        };
        let missing = own.all;
        self.out.send(&Message::Total { round: number, missing, then, digest: total });
        if plan {
            self.passing = 0;
            round.mend = round.missing != (0, 0);
            round.stage = Stage::Listing;
            self.round = Some(round);
            return match told {
                Told::Sums(sums) => self.on_sums(number, Vec::new(), &sums, exchange),
                _ => Ok(()),
            };
        }
        round.stage = Stage::Exchange;
        if round.tips_open {
            self.round = Some(round);
        } else if equal {
            round.whole = false;
            round.peer_end = true;
            self.round = Some(round);
        }
        Ok(())
    }

    /// Takes up the list that a session's first check names; whether there is one to talk about.
    fn takes_up(
        &mut self,
        list: Option<ShortTag>,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<bool> {
        let Some(name) = list else { return Ok(true) };
        let own = exchange.own_device();
        let key = SessionKey::new(&self.salt, &self.remote, &own);
        let found = self.find_list(&name, &key, exchange)?;
        self.key = Some(key);
        let Some(found) = found else { return Ok(false) };
        self.list = found;
        self.listed_with = Some(self.standing(exchange)?);
        Ok(true)
    }

    /// Whether the list is still what it would be now, as far as this side knows.
    fn stands(&self, exchange: &dyn Exchange) -> ExchangeResult<bool> {
        Ok(self.listed_with == Some(self.standing(exchange)?))
    }

    pub(super) fn on_total(
        &mut self,
        now_ms: u64,
        number: u64,
        (missing, then): (u64, Then),
        digest: ShortTag,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let Some(mut round) = self.round.take() else { return Err(PROTOCOL) };
        let fits = round.stage == Stage::Opening && !round.opened && round.number == number;
        let answers = match then {
            _ if round.met => then == Then::Unknown,
            Then::Nothing | Then::Repair => true,
            Then::Unknown => round.whole,
            Then::Tips => round.whole && !round.told,
            Then::Plan => round.told,
        };
        if !fits || !answers || self.role != Role::Initiator {
            return Err(PROTOCOL);
        }
        self.out.counters.round_trips += 1;
        round.missing.1 = missing;
        round.mend = then == Then::Repair;
        if let Then::Tips | Then::Plan = then {
            round.mend = round.missing != (0, 0);
            round.stage = if then == Then::Tips { Stage::Listing } else { Stage::Exchange };
            self.round = Some(round);
            return Ok(());
        }
        // Compared as of the check: what was committed here since then is pushed.
        if then == Then::Unknown || round.total != digest {
            self.plain |= round.met;
            self.reopen = true;
            return self.start_round(now_ms, exchange);
        }
        round.whole = false;
        round.keep_to_itself();
        round.stage = Stage::Exchange;
        round.peer_end = true;
        self.round = Some(round);
        Ok(())
    }

    /// Keyed digest over all common sections.
    pub(super) fn total(&self, exchange: &dyn Exchange) -> ExchangeResult<ShortTag> {
        let mut digests = Vec::new();
        for (_, section) in self.sections() {
            digests.push(self.digest(&section, exchange)?);
        }
        Ok(self.key.as_ref().map(|key| key.total(&digests)).unwrap_or_default())
    }
}

/// The answer to who has a list in mind that is not known here.
pub(super) fn unknown(round: u64) -> Message {
    Message::Total { round, missing: 0, then: Then::Unknown, digest: ShortTag::default() }
}
