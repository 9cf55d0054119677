//! Two who may keep different things: sums of a list in place of the list.
//!
//! Each space is an item of its name and of what is kept of it. The opener sends sums of powers of
//! its spaces, and of the tips of all it offers. The responder reads from the first how its own
//! list differs, and so what both keep; from the second what differs in that. Where the lists have
//! little in common, the list is told as it is.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::hash::SpaceId;
use crate::sketch::sums::{SUMS_MAX, sums};
use crate::sketch::{Difference, Estimate, Item, apart};
use crate::sync::check::unknown;
use crate::sync::exchange::{Exchange, ExchangeResult, Section};
use crate::sync::keys::{LINK_MASK, SessionKey, section_part, space_name};
use crate::sync::list::{CLASSES, ListEntry, bit};
use crate::sync::round::{Round, SPACES_MAX, Stage};
use crate::sync::session::{Fault, PROTOCOL, Role, Session};
use crate::sync::tips::{Named, Peeling, SKETCH_TIPS_MAX, SUMS_TIPS_MAX, Sending};
use crate::wire::{AnswerEntry, Message, ShortTag, Then};

/// Sums of a short list: an account of its own at each side, and one space that is kept otherwise.
const SPACES_SUMS_MIN: usize = 4;
/// Sums of a long list.
const SPACES_SUMS_MAX: usize = 8;
/// Sums of tips of a short list; where that is all too little, the list is shorter.
const TIPS_SUMS_MIN: usize = 24;
/// Bytes of a list for each sum of tips: the sums take at most half of what it would.
const LIST_BYTES_A_SUM: usize = 16;
/// What tells the item of a space from that of a tip: a tip never has so many changes.
const SPACE_ITEM: u64 = 0xf00;

/// What the opener sent: sums of its list, an estimate, sums of its tips.
type Told = (Vec<u64>, Option<Estimate>, Vec<u64>);

/// What the responder says of spaces, by their places.
type Answers = Vec<(u64, AnswerEntry)>;

/// Sections that the opener offers and that are not common, as its tips show them.
type Absent = HashSet<u32>;

impl Session {
    /// Asks what differs without telling the list; false if the list is as good. Initiator only.
    pub(super) fn send_meet(
        &mut self,
        round: &mut Round,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<bool> {
        let Some(key) = self.key.clone() else { return Ok(false) };
        if self.plain || self.options.meet_sums == 0 {
            return Ok(false);
        }
        let own = self.own_spaces(&key, exchange)?;
        let items: Vec<u64> = own.iter().map(|(item, _)| item.number()).collect();
        self.list = own.into_iter().map(|(_, entry)| entry).collect();
        if items.len() > SPACES_MAX || self.keeps_parts(exchange)? {
            return Ok(false);
        }
        let Some((spaces_sums, tips_sums, many)) = self.provide(exchange)? else {
            return Ok(false);
        };
        self.listed_with = Some(self.standing(exchange)?);
        let missing = self.missing(exchange)?;
        (round.missing.0, round.counted) = (missing.all, missing.counted);
        (round.opened, round.met, round.whole) = (false, true, true);
        for (reference, section) in self.sections() {
            round.digests.push((reference, self.digest(&section, exchange)?));
        }
        let spaces = sums(items, spaces_sums);
        let estimate = if many { Some(self.estimate_all(round.number, exchange)?) } else { None };
        let tips = if tips_sums > 0 {
            let tips = self.named_beyond(&key, round.number, exchange)?;
            round.sending.insert(Sending::new(Vec::new(), tips, tips_sums, 0)).sums()
        } else {
            Vec::new()
        };
        let (number, first, missing) = (round.number, self.first, missing.all);
        self.out.send(&Message::Meet { round: number, first, missing, spaces, estimate, tips });
        Ok(true)
    }

    /// How many sums of spaces and of tips, and whether there are many tips; `None` if the list
    /// costs no more, or there is little to compare.
    fn provide(&self, exchange: &dyn Exchange) -> ExchangeResult<Option<(usize, usize, bool)>> {
        let (mut plain, mut tips) = (13 * self.list.len(), 0);
        for (_, section) in self.sections() {
            let count = exchange.tips_count(&section)?;
            let estimated = count >= self.options.sketch_from;
            plain += 8 + if estimated { Estimate::default().0.len() } else { 0 };
            tips += count;
        }
        let spaces = (SPACES_SUMS_MIN + self.list.len() / 64).min(SPACES_SUMS_MAX);
        let most = self.options.meet_sums.min(self.options.sums_max).min(SUMS_MAX);
        let sums = (plain / LIST_BYTES_A_SUM).max(TIPS_SUMS_MIN).min(most);
        let cost = 8 * (spaces + sums) + 24;
        // Who has next to nothing asks for all of it.
        let better = most > 0 && plain >= cost && tips >= self.list.len();
        let always = self.options.sketch_from == 0;
        if tips > SKETCH_TIPS_MAX || !(better || always) {
            return Ok(None);
        }
        let sums = if tips > SUMS_TIPS_MAX { 0 } else { sums };
        Ok(Some((spaces, sums, sums == 0 || tips >= self.options.sketch_from)))
    }

    /// Takes a message of who begins with sums of a list, or tells of conversations.
    pub(super) fn on_meeting(
        &mut self,
        now_ms: u64,
        message: Message,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        match message {
            Message::Meet { round, first, missing, spaces, estimate, tips } => {
                let told = (spaces, estimate, tips);
                self.on_meet((round, first), missing, &told, exchange)
            }
            Message::Met { round, missing, then, digest, answers } => {
                self.on_met(now_ms, round, (missing, then), digest, &answers, exchange)
            }
            Message::Introduce { path, spaces } => {
                self.on_introduce(now_ms, &path, &spaces, exchange)
            }
            message => self.on_holding(now_ms, message, exchange),
        }
    }

    fn on_meet(
        &mut self,
        (number, first): (u64, bool),
        missing: u64,
        (spaces, estimate, tips): &Told,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let fits = self.role == Role::Responder && self.round.is_none() && number > self.rounds;
        if !fits || first != self.key.is_none() {
            return Err(PROTOCOL);
        }
        let (own, remote, salt) = (exchange.own_device(), self.remote, self.salt);
        let key = self.key.get_or_insert_with(|| SessionKey::new(&salt, &remote, &own)).clone();
        self.meter_round()?;
        self.rounds = number;
        self.listed_with = Some(self.standing(exchange)?);
        let read = self.read_list(&key, number, spaces, exchange)?;
        let parts = read.is_none() || self.keeps_parts(exchange)?;
        let Some((answers, absent)) = read.filter(|_| !parts) else {
            self.list.clear();
            self.out.send(&unknown(number));
            return Ok(());
        };
        let mut round = Round::new(number, false, self.out.counters);
        (round.met, round.whole) = (true, true);
        let own = self.missing(exchange)?;
        (round.missing, round.counted) = ((missing, own.all), own.counted);
        round.mend = round.missing != (0, 0) && self.repaired != Some(round.missing);
        let named = self.named_beyond(&key, number, exchange)?;
        let found = read_tips(tips, &named, &absent);
        let equal = found == Some(Difference::default());
        if found.is_none() {
            self.tell_all(&mut round, estimate.as_ref(), exchange)?;
        }
        let then = match &found {
            None if round.tips_open => Then::Tips,
            Some(_) if !equal => Then::Plan,
            Some(_) if round.mend => Then::Repair,
            _ => Then::Nothing,
        };
        let (missing, digest) = (own.all, self.total(exchange)?);
        self.out.send(&Message::Met { round: number, missing, then, digest, answers });
        round.stage = Stage::Exchange;
        match (then, found) {
            (Then::Plan, Some(difference)) => {
                round.mend = round.missing != (0, 0);
                round.peeling = Some(Peeling::through(named, difference, LINK_MASK));
                self.round = Some(round);
                self.plan(exchange)?;
            }
            (Then::Tips, _) => self.round = Some(round),
            // Where nothing could be told, the list comes.
            (_, None) => {}
            _ => {
                (round.whole, round.peer_end) = (false, true);
                self.round = Some(round);
            }
        }
        Ok(())
    }

    fn on_met(
        &mut self,
        now_ms: u64,
        number: u64,
        (missing, then): (u64, Then),
        digest: ShortTag,
        answers: &[(u64, AnswerEntry)],
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let Some(mut round) = self.round.take() else { return Err(PROTOCOL) };
        let fits = round.stage == Stage::Opening && round.met && round.number == number;
        if !fits || then == Then::Unknown || self.role != Role::Initiator {
            return Err(PROTOCOL);
        }
        self.take_answers(answers)?;
        self.out.counters.round_trips += 1;
        round.missing.1 = missing;
        if let Then::Tips | Then::Plan = then {
            round.mend = round.missing != (0, 0);
            round.stage = if then == Then::Tips { Stage::Listing } else { Stage::Exchange };
            if then == Then::Tips {
                round.keep_to_itself();
            }
            self.round = Some(round);
            return Ok(());
        }
        // Compared as of the question: what was committed here since then is pushed.
        let common = |(reference, _): &&_| self.resolve(reference).is_some();
        let digests: Vec<_> =
            round.digests.iter().filter(common).map(|(_, digest)| *digest).collect();
        if self.key.as_ref().map(|key| key.total(&digests)) != Some(digest) {
            (self.reopen, self.plain) = (true, true);
            if then == Then::Nothing {
                return self.start_round(now_ms, exchange);
            }
            // Once both have looked for what they lack.
            round.met = false;
            self.ask_for_round(now_ms);
        }
        round.mend = then == Then::Repair;
        round.whole = false;
        round.keep_to_itself();
        round.stage = Stage::Exchange;
        round.peer_end = true;
        self.round = Some(round);
        Ok(())
    }

    /// Of all else the responder keeps what the opener keeps.
    fn take_answers(&mut self, answers: &[(u64, AnswerEntry)]) -> Result<(), Fault> {
        let mut least = 0;
        for (place, answer) in answers {
            let entry = usize::try_from(*place).ok().and_then(|place| self.list.get_mut(place));
            let Some(entry) = entry.filter(|_| *place >= least) else { return Err(PROTOCOL) };
            if answer.held & !entry.offered != 0 || answer.differ | answer.sparing != 0 {
                return Err(PROTOCOL);
            }
            least = place + 1;
            entry.common = answer.held;
            entry.kept_there = answer.kept;
            entry.partial_there = answer.partial;
        }
        Ok(())
    }

    /// The own list by rising item, as if the other side kept the same.
    fn own_spaces(
        &self,
        key: &SessionKey,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Vec<(Item, ListEntry)>> {
        let mut own = Vec::new();
        for (space, mask) in self.kept(exchange)? {
            let partial = partial(&space, mask, exchange)?;
            let tag = key.space(&space);
            own.push((
                item(space_name(&tag), mask, partial),
                ListEntry {
                    space: Some(space),
                    tag,
                    offered: mask,
                    common: mask,
                    kept_there: mask,
                    kept_here: mask,
                    sparing_there: 0,
                    partial_there: partial,
                },
            ));
        }
        own.sort_unstable_by_key(|(item, _)| *item);
        Ok(own)
    }

    /// Takes up the opener's list, read from its sums; `None` if it cannot be.
    fn read_list(
        &mut self,
        key: &SessionKey,
        number: u64,
        sums: &[u64],
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Option<(Answers, Absent)>> {
        let mut list = self.own_spaces(key, exchange)?;
        let numbers: HashSet<u64> = list.iter().map(|(item, _)| item.number()).collect();
        let Some(apart) = apart(sums, &numbers) else { return Ok(None) };
        list.retain(|(item, _)| !apart.own.contains(item));
        let readable = self.readable(key, exchange)?;
        let readable: HashMap<u64, (SpaceId, u8)> =
            readable.iter().map(|(tag, known)| (space_name(tag), *known)).collect();
        let kept = self.kept(exchange)?;
        let mut absent = Absent::new();
        for theirs in &apart.theirs {
            let Some((name, offered, partial)) = read_item(*theirs) else { return Ok(None) };
            let known = readable.get(&name);
            let common = known.map_or(0, |(_, held)| held & offered);
            let space = known.map(|(space, _)| *space);
            let mask = space.and_then(|space| kept.get(&space)).copied().unwrap_or(0);
            // What is held and not kept is rare.
            if common & !mask != 0 {
                return Ok(None);
            }
            let not_common = |class: &_| offered & !common & bit(*class) != 0;
            let missing = CLASSES.into_iter().filter(not_common);
            absent.extend(missing.map(|class| section_part(number, name, class)));
            let entry = ListEntry {
                space,
                tag: (name << 12).to_be_bytes(),
                offered,
                common,
                kept_there: common,
                kept_here: common,
                sparing_there: 0,
                partial_there: partial & common,
            };
            list.push((*theirs, entry));
        }
        list.sort_unstable_by_key(|(item, _)| *item);
        let spaces: BTreeSet<SpaceId> = list.iter().filter_map(|(_, entry)| entry.space).collect();
        let known = list.iter().filter(|(_, entry)| entry.space.is_some()).count();
        if list.len() > SPACES_MAX || spaces.len() != known {
            return Ok(None);
        }
        let mut answers = Answers::new();
        for (place, (item, entry)) in list.iter().enumerate() {
            if apart.theirs.contains(item) {
                let common = entry.common;
                let own = entry.space.map(|space| partial(&space, common, exchange));
                let partial = own.transpose()?.unwrap_or(0);
                let answer =
                    AnswerEntry { held: common, kept: common, differ: 0, sparing: 0, partial };
                answers.push((place as u64, answer));
            }
        }
        self.list = list.into_iter().map(|(_, entry)| entry).collect();
        Ok(Some((answers, absent)))
    }

    /// Tips of all sections in the list, with what tells their section.
    fn named_beyond(
        &self,
        key: &SessionKey,
        round: u64,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Vec<Named>> {
        let mut named = Vec::new();
        for (reference, section) in self.sections() {
            let tips = exchange.tips(&section)?.into_iter();
            named.extend(tips.map(|tip| (key.item_of(round, &section, &tip), reference, tip)));
        }
        Ok(named)
    }
}

/// What differs in common sections, by the opener's sums; `None` if they do not tell.
fn read_tips(sums: &[u64], own: &[Named], absent: &Absent) -> Option<Difference> {
    if own.len() > SUMS_TIPS_MAX {
        return None;
    }
    let numbers: HashSet<u64> = own.iter().map(|(item, ..)| item.number()).collect();
    let mut apart = apart(sums, &numbers)?;
    // No chain's tips are in two sections.
    let chains: HashSet<u32> = own.iter().map(|(item, ..)| item.tag()).collect();
    apart.theirs.retain(|item| {
        chains.contains(&item.tag()) || !absent.contains(&(item.link() & !LINK_MASK))
    });
    Some(apart)
}

/// Classes of a space that may lack files here.
fn partial(space: &SpaceId, mask: u8, exchange: &dyn Exchange) -> ExchangeResult<u8> {
    let mut partial = 0;
    for class in CLASSES.into_iter().filter(|class| mask & bit(*class) != 0) {
        let section = Section { space: *space, class };
        partial |= if exchange.is_partial(&section)? { bit(class) } else { 0 };
    }
    Ok(partial)
}

/// A space as an item: its name around what is kept of it.
fn item(name: u64, mask: u8, partial: u8) -> Item {
    let [.., a, b, c, d, e, f, g, h] = (name << 12).to_be_bytes();
    let tag = u32::from_be_bytes([a, b, c, d]);
    let rest = u32::from_be_bytes([e, f, g, h]) >> 12;
    Item::new(tag, SPACE_ITEM | u64::from(mask << 4 | partial), rest)
}

fn read_item(item: Item) -> Option<(u64, u8, u8)> {
    let [.., masks] = item.n().to_be_bytes();
    let (offered, partial) = (masks >> 4, masks & 0x0f);
    let fits = item.n() & SPACE_ITEM == SPACE_ITEM && offered != 0 && partial & !offered == 0;
    let name = u64::from(item.tag()) << 20 | u64::from(item.link());
    fits.then_some((name, offered, partial))
}
