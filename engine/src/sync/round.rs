//! A round: from the first digest to the truth about each section.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::chain::ChainKey;
use crate::hash::{BlobHash, SpaceId};
use crate::sketch::{Estimate, Item};
use crate::sync::exchange::{Exchange, ExchangeResult, KnownTip, Section};
use crate::sync::keys::{SessionKey, short, space_name};
use crate::sync::ledger::Ledger;
use crate::sync::list::{CLASSES, ListEntry, bit};
use crate::sync::missing::Missing;
use crate::sync::outcome::{Counters, OlderReport};
use crate::sync::plan::Own;
use crate::sync::session::{Fault, PROTOCOL, Role, Session};
use crate::sync::tips::{Peeling, Sending};
use crate::wire::{
    AnswerEntry, Done, Message, Offer, OpenEntry, SectionRef, ShortTag, Tag, WantName,
};

/// Spaces in one list; what is beyond is not talked about.
pub const SPACES_MAX: usize = 16_384;
/// Tips listed in one round; a section with more is not listed whole.
pub const TIPS_MAX: usize = 65_536;

const ENTRIES_PER_FRAME: usize = 1000;
const ANSWERS_PER_FRAME: usize = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The opener waits for an answer, or the responder for the rest of the list.
    Opening,
    /// The opener waits for tips.
    Listing,
    /// Chains and bodies go both ways.
    Exchange,
}

/// Where the search for what is missing stands: section, then chains or bodies.
#[derive(Debug, Default)]
pub struct Repair {
    pub section: usize,
    pub chains_asked: bool,
    /// Chains asked for where a part is kept, with what was held of each then.
    pub asked: HashMap<ChainKey, u64>,
    pub after: Option<BlobHash>,
    pub finished: bool,
}

/// A round under way.
#[derive(Debug)]
pub struct Round {
    pub number: u64,
    pub opened: bool,
    /// It began with sums of a list.
    pub met: bool,
    pub stage: Stage,
    /// Spaces that the opener may know about, by their names: while its list comes.
    pub readable: BTreeMap<ShortTag, (SpaceId, u8)>,
    /// What opener and responder lacked at the beginning.
    pub missing: (u64, u64),
    /// What of it counts, here.
    pub counted: u64,
    /// Digest over all common sections that the opener sent.
    pub total: ShortTag,
    /// Of all sections that the opener offered to whom it did not know.
    pub digests: Vec<(SectionRef, Tag)>,
    pub answered: usize,
    pub compared: Vec<SectionRef>,
    /// The opener's estimates of sections that differ.
    pub estimates: HashMap<SectionRef, Estimate>,
    /// Which sections differ shows by their tips alone.
    pub whole: bool,
    /// This side tells its tips beforehand, and the responder plans.
    pub told: bool,
    pub listed: Vec<(SectionRef, KnownTip)>,
    pub listed_sent: usize,
    pub tips_open: bool,
    pub sending: Option<Sending>,
    pub tips: Vec<(SectionRef, Item)>,
    /// Own tips of chains that were compared, where this side compared them.
    pub names: Own,
    pub peeling: Option<Peeling>,
    pub peer_end: bool,
    /// Digests are equal, yet both look for what they lack.
    pub mend: bool,
    /// Requests under way, with the chains asked for and not given yet.
    pub outstanding: HashMap<u64, usize>,
    /// How often the other side asked for each chain.
    pub asked: HashMap<ChainKey, u8>,
    pub repair: Repair,
    /// What this side lacked when it said that it is done.
    pub done_sent: Option<u64>,
    pub theirs: Option<Done>,
    pub ledger: Ledger,
    pub older: Vec<OlderReport>,
    pub before: Counters,
}

impl Round {
    pub fn new(number: u64, opened: bool, before: Counters) -> Self {
        Self {
            number,
            opened,
            met: false,
            stage: Stage::Opening,
            readable: BTreeMap::new(),
            missing: (0, 0),
            counted: 0,
            total: ShortTag::default(),
            digests: Vec::new(),
            answered: 0,
            compared: Vec::new(),
            estimates: HashMap::new(),
            whole: false,
            told: false,
            listed: Vec::new(),
            listed_sent: 0,
            tips_open: false,
            sending: None,
            tips: Vec::new(),
            names: Own::new(),
            peeling: None,
            peer_end: false,
            mend: false,
            outstanding: HashMap::new(),
            asked: HashMap::new(),
            repair: Repair::default(),
            done_sent: None,
            theirs: None,
            ledger: Ledger::default(),
            older: Vec::new(),
            before,
        }
    }

    /// Tells nothing of this side's tips any more.
    pub fn keep_to_itself(&mut self) {
        (self.tips_open, self.sending, self.listed) = (false, None, Vec::new());
    }

    /// Counts sections among those compared.
    pub fn compare(&mut self, sections: impl IntoIterator<Item = SectionRef>) {
        let mut known: HashSet<SectionRef> = self.compared.iter().copied().collect();
        self.compared.extend(sections.into_iter().filter(|reference| known.insert(*reference)));
    }

    /// The tips that a name in a request stands for.
    pub fn named(&self, name: &WantName) -> Vec<(SectionRef, KnownTip)> {
        match name {
            WantName::Listed(number) => {
                let number = usize::try_from(*number).unwrap_or(usize::MAX);
                self.listed.get(number).copied().into_iter().collect()
            }
            WantName::Found(item) => {
                let found = self.sending.as_ref().map(|sending| sending.find(*item));
                let found = found.unwrap_or_default().iter();
                found.map(|(_, reference, tip)| (*reference, *tip)).collect()
            }
            WantName::Tagged(..) => Vec::new(),
        }
    }
}

impl Session {
    /// Begins a round, with the whole list where it is needed. Initiator only.
    pub(super) fn start_round(
        &mut self,
        now_ms: u64,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        if self.round.is_some() || self.role != Role::Initiator {
            return Ok(());
        }
        self.touch(now_ms);
        self.round_ms = now_ms;
        self.meter.spend(now_ms);
        self.rounds += 1;
        let recalled = if self.key.is_none() {
            let own = exchange.own_device();
            let key = SessionKey::new(&self.salt, &own, &self.remote);
            let recalled = self.recall(&key, exchange)?;
            self.first = true;
            self.key = Some(key);
            recalled
        } else {
            None
        };
        let mut round = Round::new(self.rounds, self.reopen, self.out.counters);
        if let Some((name, list)) = recalled {
            self.list = list;
            self.listed_with = Some(self.standing(exchange)?);
            round.opened = false;
            self.send_check(&mut round, Some(name), exchange)?;
        } else if self.reopen && !self.send_meet(&mut round, exchange)? {
            let missing = self.send_open(round.number, exchange)?;
            (round.missing.0, round.counted) = (missing.all, missing.counted);
        } else if !self.reopen {
            self.send_check(&mut round, None, exchange)?;
        }
        self.reopen = false;
        self.first = false;
        self.round = Some(round);
        Ok(())
    }

    fn send_open(&mut self, round: u64, exchange: &dyn Exchange) -> ExchangeResult<Missing> {
        let first = self.first;
        let Some(key) = self.key.clone() else { return Ok(Missing::default()) };
        self.listed_with = Some(self.standing(exchange)?);
        self.list = self
            .kept(exchange)?
            .into_iter()
            .take(SPACES_MAX)
            .map(|(space, mask)| ListEntry {
                space: Some(space),
                tag: key.space(&space),
                offered: mask,
                common: mask,
                kept_there: 0,
                kept_here: mask,
                sparing_there: 0,
                partial_there: 0,
            })
            .collect();
        let missing = self.missing(exchange)?;
        let mut entries = Vec::with_capacity(self.list.len());
        for entry in &self.list {
            let Some(space) = entry.space else { continue };
            let (mut sections, mut sparing, mut partial) = (Vec::new(), 0, 0);
            for class in CLASSES.into_iter().filter(|class| entry.offered & bit(*class) != 0) {
                let section = Section { space, class };
                let digest = short(&key.section(&section, &exchange.digest(&section)?));
                let estimate = self.estimate_of(round, &section, exchange)?;
                sections.push(Offer { class, digest, estimate });
                sparing |= if exchange.spares(&section)? { bit(class) } else { 0 };
                partial |= if exchange.is_partial(&section)? { bit(class) } else { 0 };
            }
            entries.push(OpenEntry { tag: entry.tag, sections, sparing, partial });
        }
        let mut pages: Vec<_> = entries.chunks(ENTRIES_PER_FRAME).map(<[_]>::to_vec).collect();
        if pages.is_empty() {
            pages.push(Vec::new());
        }
        let last = pages.len() - 1;
        for (number, entries) in pages.into_iter().enumerate() {
            let (first, more) = (first && number == 0, number < last);
            let missing = missing.all;
            self.out.send(&Message::Open { round, first, more, missing, entries });
        }
        Ok(missing)
    }

    /// Classes kept here of each space that the remote may know about.
    pub(super) fn kept(&self, exchange: &dyn Exchange) -> ExchangeResult<BTreeMap<SpaceId, u8>> {
        let mut spaces: BTreeMap<SpaceId, u8> = BTreeMap::new();
        for section in exchange.kept_sections()? {
            if exchange.may_read(&self.remote, &section)? {
                *spaces.entry(section.space).or_default() |= bit(section.class);
            }
        }
        Ok(spaces)
    }

    /// Wants a new list if more is kept than was talked about: a guest's page brings the
    /// guest's account log with it.
    pub(super) fn note_growth(
        &mut self,
        now_ms: u64,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        if !self.grown || self.round.is_some() || self.rounds == 0 {
            return Ok(());
        }
        self.grown = false;
        let Some(key) = &self.key else { return Ok(()) };
        let masks = |e: &ListEntry| (space_name(&e.tag), (e.offered, e.common & e.kept_here));
        let known: BTreeMap<u64, (u8, u8)> = self.list.iter().map(masks).collect();
        let initiator = self.role == Role::Initiator;
        let more = self.kept(exchange)?.into_iter().any(|(space, kept)| {
            let (offered, talked) =
                known.get(&space_name(&key.space(&space))).copied().unwrap_or((0, 0));
            if initiator { kept & !offered != 0 } else { kept & offered & !talked != 0 }
        });
        if more {
            self.reopen = true;
            self.ask_for_round(now_ms);
        }
        Ok(())
    }

    pub(super) fn on_open(
        &mut self,
        number: u64,
        first: bool,
        more: bool,
        missing: u64,
        entries: Vec<OpenEntry>,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        if self.role != Role::Responder || first != self.key.is_none() {
            return Err(PROTOCOL);
        }
        let (own, remote, salt) = (exchange.own_device(), self.remote, self.salt);
        self.key.get_or_insert_with(|| SessionKey::new(&salt, &remote, &own));
        let Some(key) = self.key.clone() else { return Err(PROTOCOL) };
        match &self.round {
            None if number > self.rounds => {
                self.meter_round()?;
                self.rounds = number;
                self.list.clear();
                self.listed_with = Some(self.standing(exchange)?);
                let mut round = Round::new(number, true, self.out.counters);
                round.readable = self.readable(&key, exchange)?;
                self.round = Some(round);
            }
            Some(round) if round.stage == Stage::Opening && round.number == number => {}
            _ => return Err(PROTOCOL),
        }
        if self.list.len() + entries.len() > SPACES_MAX {
            return Err(PROTOCOL);
        }
        let Some(mut round) = self.round.take() else { return Err(PROTOCOL) };
        for entry in entries {
            let offered = entry.sections.iter().fold(0, |mask, offer| mask | bit(offer.class));
            let known = round.readable.get(&entry.tag);
            let common = known.map_or(0, |(_, held)| held & offered);
            let space = known.map(|(space, _)| *space);
            for Offer { class, digest, estimate } in entry.sections {
                let Some(space) = space.filter(|_| common & bit(class) != 0) else { continue };
                let section = Section { space, class };
                if short(&key.section(&section, &exchange.digest(&section)?)) != digest {
                    let reference = SectionRef { entry: self.list.len() as u64, class };
                    round.compared.push(reference);
                    round.estimates.extend(estimate.map(|estimate| (reference, estimate)));
                }
            }
            let (tag, kept_there, kept_here) = (entry.tag, common, 0);
            let (sparing_there, partial_there) = (entry.sparing, entry.partial);
            self.list.push(ListEntry {
                space,
                tag,
                offered,
                common,
                kept_there,
                kept_here,
                sparing_there,
                partial_there,
            });
        }
        if !more {
            round.readable = BTreeMap::new();
            let own = self.missing(exchange)?;
            (round.missing, round.counted) = ((missing, own.all), own.counted);
            self.answer(&mut round, exchange)?;
        }
        self.round = Some(round);
        Ok(())
    }

    /// Spaces the remote may know about, by their names in this session.
    pub(super) fn readable(
        &self,
        key: &SessionKey,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<BTreeMap<ShortTag, (SpaceId, u8)>> {
        let mut out: BTreeMap<ShortTag, (SpaceId, u8)> = BTreeMap::new();
        for section in exchange.held_sections()? {
            if exchange.may_read(&self.remote, &section)? {
                let tag = key.space(&section.space);
                out.entry(tag).or_insert((section.space, 0)).1 |= bit(section.class);
            }
        }
        Ok(out)
    }

    fn answer(&mut self, round: &mut Round, exchange: &dyn Exchange) -> ExchangeResult<()> {
        let kept: HashSet<Section> = exchange.kept_sections()?.into_iter().collect();
        let mut answers: Vec<AnswerEntry> = Vec::with_capacity(self.list.len());
        for entry in &mut self.list {
            let of = |class| entry.space.map(|space| Section { space, class });
            let keeps = |class| of(class).is_some_and(|section| kept.contains(&section));
            let mask = CLASSES.into_iter().filter(|class| keeps(*class));
            let kept = mask.fold(0, |mask, class| mask | bit(class)) & entry.common;
            entry.kept_here = kept;
            let (mut sparing, mut partial) = (0, 0);
            for class in CLASSES.into_iter().filter(|class| kept & bit(*class) != 0) {
                let Some(section) = of(class) else { continue };
                sparing |= if exchange.spares(&section)? { bit(class) } else { 0 };
                partial |= if exchange.is_partial(&section)? { bit(class) } else { 0 };
            }
            answers.push(AnswerEntry { held: entry.common, kept, differ: 0, sparing, partial });
        }
        for reference in &round.compared {
            let place = usize::try_from(reference.entry).unwrap_or(usize::MAX);
            if let Some(answer) = answers.get_mut(place) {
                answer.differ |= bit(reference.class);
            }
        }
        let mut pages: Vec<_> = answers.chunks(ANSWERS_PER_FRAME).map(<[_]>::to_vec).collect();
        if pages.is_empty() {
            pages.push(Vec::new());
        }
        let last = pages.len() - 1;
        let (number, missing) = (round.number, round.missing.1);
        for (page, entries) in pages.into_iter().enumerate() {
            let more = page < last;
            self.out.send(&Message::Answer { round: number, more, missing, entries });
        }
        self.list_tips(round, exchange)?;
        self.tally.absorb(&mut round.ledger.tally);
        round.stage = Stage::Exchange;
        round.peer_end = round.compared.is_empty();
        round.mend = round.missing != (0, 0);
        Ok(())
    }

    pub(super) fn on_answer(
        &mut self,
        number: u64,
        more: bool,
        missing: u64,
        entries: &[AnswerEntry],
    ) -> Result<(), Fault> {
        let Some(mut round) = self.round.take() else { return Err(PROTOCOL) };
        let fits = round.stage == Stage::Opening && round.opened && round.number == number;
        if !fits || self.role != Role::Initiator {
            return Err(PROTOCOL);
        }
        for answer in entries {
            let Some(entry) = self.list.get_mut(round.answered) else { return Err(PROTOCOL) };
            if answer.held & !entry.offered != 0 {
                return Err(PROTOCOL);
            }
            entry.common = answer.held;
            entry.kept_there = answer.kept;
            entry.sparing_there = answer.sparing;
            entry.partial_there = answer.partial;
            for class in CLASSES.into_iter().filter(|class| answer.differ & bit(*class) != 0) {
                round.compared.push(SectionRef { entry: round.answered as u64, class });
            }
            round.answered += 1;
        }
        if !more {
            if round.answered != self.list.len() {
                return Err(PROTOCOL);
            }
            self.out.counters.round_trips += 1;
            round.missing.1 = missing;
            round.compared.sort_by_key(|reference| (reference.class, reference.entry));
            if round.compared.is_empty() {
                round.stage = Stage::Exchange;
                round.peer_end = true;
                round.mend = round.missing != (0, 0);
            } else {
                round.stage = Stage::Listing;
            }
        }
        self.round = Some(round);
        Ok(())
    }
}
