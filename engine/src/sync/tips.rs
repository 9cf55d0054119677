//! Which chains differ: the tips of one side, as plain lists or as a sketch of them.
//!
//! A plain list costs what there is, a sketch what differs. Where both met before, the opener
//! sends a sketch with its check, for as much as is new here and as much again. Else the
//! responder sends one: the opener's estimates tell beforehand whether it is shorter and how long
//! it has to be. One that turns out too short is made longer when asked, and given up for the
//! list where that has become shorter.

use std::collections::HashSet;

use crate::sketch::sums::{SUMS_MAX, sums};
use crate::sketch::{
    CELL_BYTES, Cell, Decoder, Difference, ESTIMATE_MAX, Encoder, Estimate, Item, apart,
};
use crate::sync::exchange::{Exchange, ExchangeResult, KnownTip, Section};
use crate::sync::keys::SessionKey;
use crate::sync::round::{Round, Stage, TIPS_MAX};
use crate::sync::session::{Fault, PROTOCOL, Role, Session};
use crate::wire::{Message, Reason, SectionRef, TipGroup, Told};

/// Tips in one sketch; more are listed as far as a list goes.
pub const SKETCH_TIPS_MAX: usize = 131_072;
/// Cells that one round takes.
const CELLS_MAX: usize = 131_072;
/// Tips that sums are made of at most: each takes a multiplication for each sum.
pub const SUMS_TIPS_MAX: usize = 20_000;
const TIPS_PER_FRAME: usize = 5000;
const CELLS_PER_FRAME: usize = 5000;
/// Frames of cells in one round: half as many again each time, in full frames, are fewer. Each
/// costs a walk over all that came before.
const CELL_FRAMES_MAX: usize = 128;

/// A tip by the name it has in this round.
pub type Named = (Item, SectionRef, KnownTip);

/// The sketch of one side.
#[derive(Debug)]
pub struct Sending {
    sections: Vec<SectionRef>,
    /// By rising item.
    tips: Vec<Named>,
    /// Made when the first cells are wanted.
    encoder: Option<Encoder>,
    /// Sums to send, before any cells.
    sums: usize,
    summed: usize,
    due: usize,
    begun: bool,
}

impl Sending {
    /// A sketch of tips of sections, or of all common ones; by sums, or else by cells.
    pub fn new(sections: Vec<SectionRef>, mut tips: Vec<Named>, sums: usize, cells: usize) -> Self {
        tips.sort_unstable_by_key(|(item, ..)| *item);
        let due = if sums > 0 { 0 } else { cells };
        Self { sections, tips, encoder: None, sums, summed: 0, due, begun: false }
    }

    /// The sums that are due.
    pub fn sums(&mut self) -> Vec<u64> {
        self.summed = std::mem::take(&mut self.sums);
        self.begun = true;
        let numbers: HashSet<u64> = self.tips.iter().map(|(item, ..)| item.number()).collect();
        sums(numbers, self.summed)
    }

    /// The next cells that are due, of one frame.
    fn cells(&mut self, key: &SessionKey) -> Vec<Cell> {
        let hashed = || self.tips.iter().map(|(item, ..)| (*item, key.item_hash(*item)));
        let encoder = self.encoder.get_or_insert_with(|| Encoder::new(hashed()));
        let cells = encoder.cells(self.due.min(CELLS_PER_FRAME));
        self.due -= cells.len();
        cells
    }

    fn made(&self) -> usize {
        let made = self.encoder.as_ref().map_or(0, Encoder::made);
        usize::try_from(made).unwrap_or(usize::MAX)
    }

    /// The tips that were found as this item.
    pub fn find(&self, item: Item) -> &[Named] {
        let from = self.tips.partition_point(|(one, ..)| *one < item);
        let to = self.tips.partition_point(|(one, ..)| *one <= item);
        self.tips.get(from..to).unwrap_or_default()
    }

    /// The tips of the chain that is called so.
    pub fn called(&self, name: u32) -> &[Named] {
        let from = self.tips.partition_point(|(one, ..)| one.tag() < name);
        let to = self.tips.partition_point(|(one, ..)| one.tag() <= name);
        self.tips.get(from..to).unwrap_or_default()
    }

    /// Whether a plain list would be as short as this many cells.
    fn is_beaten_at(&self, cells: usize) -> bool {
        cells * CELL_BYTES >= self.tips.len() * Item::LEN || cells > CELLS_MAX
    }
}

/// The other side's reading of it.
#[derive(Debug)]
pub struct Peeling {
    pub sections: Vec<SectionRef>,
    pub own: Vec<Named>,
    /// From the first cells on.
    decoder: Option<Decoder>,
    /// The cells made no sense: a list is waited for.
    senseless: bool,
    taken: usize,
    frames: usize,
    summed: bool,
    /// What the sums told.
    read: Option<Difference>,
    /// Bits of an item's link that are of a link.
    pub link_mask: u32,
}

impl Peeling {
    pub fn new(sections: Vec<SectionRef>, own: Vec<Named>) -> Self {
        Self {
            sections,
            own,
            decoder: None,
            senseless: false,
            taken: 0,
            frames: 0,
            summed: false,
            read: None,
            link_mask: u32::MAX,
        }
    }

    /// One that is through.
    pub fn through(own: Vec<Named>, difference: Difference, link_mask: u32) -> Self {
        Self { read: Some(difference), link_mask, ..Self::new(Vec::new(), own) }
    }

    fn read(&mut self, theirs: &[u64]) {
        let numbers: HashSet<u64> = self.own.iter().map(|(item, ..)| item.number()).collect();
        self.read = apart(theirs, &numbers);
    }

    fn take(&mut self, key: &SessionKey, cells: &[Cell]) {
        self.taken += cells.len();
        if self.senseless {
            return;
        }
        let own = &self.own;
        let decoder = self.decoder.get_or_insert_with(|| {
            let hashed: Vec<_> =
                own.iter().map(|(item, ..)| (*item, key.item_hash(*item))).collect();
            Decoder::new(&hashed)
        });
        if decoder.take(cells, |item| key.item_hash(item)).is_err() {
            (self.decoder, self.senseless) = (None, true);
        }
    }

    /// What differs, if it can be read.
    pub fn difference(&self) -> Option<Difference> {
        let peeled = || self.decoder.as_ref().and_then(Decoder::difference);
        self.read.clone().or_else(peeled)
    }
}

/// Sums that are enough for about this many items, mostly: the estimate may be too low by more
/// than a third.
const fn provision_sums(estimate: usize) -> usize {
    estimate + estimate * 3 / 5 + 4
}

/// Items that an opener has its sketch tell apart, if its own news make so many: the other side
/// may have as many, or one chain that went on, and one sum more tells that these are all.
const fn provision_both(own: usize) -> usize {
    2 * own + 4
}

/// Cells that are enough for this many items, mostly.
const fn cells(items: usize) -> usize {
    (items * 34).div_ceil(25) + 3 * items.isqrt() + 4
}

/// Cells that are enough for about this many items, mostly. Few differences take up to two
/// cells each, many 1.36; the estimate may be too low by a half.
const fn provision(estimate: usize) -> usize {
    cells(estimate + estimate / 2)
}

impl Session {
    /// Sections with many tips are offered with an estimate.
    pub(super) fn estimate_of(
        &self,
        round: u64,
        section: &Section,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Option<Estimate>> {
        if exchange.tips_count(section)? < self.options.sketch_from {
            return Ok(None);
        }
        Ok(Some(self.estimate(round, section, exchange)?))
    }

    /// Estimate over all tips of a section.
    pub(super) fn estimate(
        &self,
        round: u64,
        section: &Section,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Estimate> {
        let Some(key) = &self.key else { return Ok(Estimate::default()) };
        let items = exchange.tips(section)?.into_iter().map(|tip| key.item(round, &tip));
        Ok(estimate(key, items))
    }

    /// Estimate over all tips of all common sections.
    pub(super) fn estimate_all(
        &self,
        round: u64,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Estimate> {
        let mut all = Estimate::default();
        for (_, section) in self.sections() {
            all.join(&self.estimate(round, &section, exchange)?);
        }
        Ok(all)
    }

    /// Whether one of both keeps only a part of a common section: then heads are asked for by
    /// their place in a list.
    pub(super) fn keeps_parts(&self, exchange: &dyn Exchange) -> ExchangeResult<bool> {
        for (_, section) in self.sections() {
            if self.is_spared(&section) || exchange.spares(&section)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells the tips of all common sections beforehand, as far as what the remote showed says
    /// how much is new to it. `None` where that says too little. Opener only.
    pub(super) fn tell(
        &mut self,
        round: &mut Round,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Option<Told>> {
        if self.keeps_parts(exchange)? {
            return Ok(None);
        }
        self.flush_shown(exchange)?;
        let (mut tips, mut known) = (Vec::new(), Vec::new());
        for (reference, section) in self.sections() {
            let of_section = exchange.tips(&section)?;
            known.extend(of_section.iter().map(|tip| (section, *tip)));
            tips.extend(self.named(round.number, reference, of_section));
        }
        if tips.is_empty() || tips.len() > SKETCH_TIPS_MAX {
            return Ok(None);
        }
        let own = exchange.unshown(&self.remote, &known)?;
        // They never met.
        if own == tips.len() {
            return Ok(None);
        }
        let items = provision_both(own);
        if items <= self.options.sums_max.min(SUMS_MAX) && tips.len() <= SUMS_TIPS_MAX {
            let mut sending = Sending::new(Vec::new(), tips, items, 0);
            let sums = sending.sums();
            round.sending = Some(sending);
            return Ok(Some(Told::Sums(sums)));
        }
        let sending = Sending::new(Vec::new(), tips, 0, cells(items));
        round.tips_open = true;
        if !sending.is_beaten_at(sending.due) {
            round.sending = Some(sending);
        } else if sending.tips.len() <= TIPS_MAX {
            round.listed = by_section(sending.tips);
        } else {
            round.tips_open = false;
            return Ok(None);
        }
        Ok(Some(Told::Follows))
    }

    /// Chooses how the sections that differ are told. Responder only.
    pub(super) fn list_tips(
        &self,
        round: &mut Round,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<()> {
        round.compared.sort_by_key(|reference| (reference.class, reference.entry));
        let (mut plain, mut sections, mut tips) = (Vec::new(), Vec::new(), Vec::new());
        let mut theirs = Estimate::default();
        for reference in round.compared.clone() {
            let Some(section) = self.resolve(&reference) else { continue };
            let known = exchange.tips(&section)?;
            match round.estimates.get(&reference) {
                // Who keeps a part asks for heads by their place in a list.
                Some(estimate) if !self.is_spared(&section) => {
                    theirs.join(estimate);
                    tips.extend(self.named(round.number, reference, known));
                    sections.push(reference);
                }
                _ => plain.push((section, reference, known)),
            }
        }
        if let Some(sending) = self.sketch(&theirs, sections.clone(), &mut tips) {
            round.sending = Some(sending);
        } else {
            for reference in sections {
                let Some(section) = self.resolve(&reference) else { continue };
                let known = tips.iter().filter(|(_, of, _)| *of == reference);
                plain.push((section, reference, known.map(|(.., tip)| *tip).collect()));
            }
            plain.sort_by_key(|(_, reference, _)| (reference.class, reference.entry));
        }
        for (section, reference, tips) in plain {
            list(round, section, reference, tips);
        }
        round.tips_open = !round.compared.is_empty();
        Ok(())
    }

    /// Tells the tips of all common sections, for an opener that does not know which of them
    /// differ, as a list if there is no estimate; nothing if somebody keeps a part only.
    pub(super) fn tell_all(
        &self,
        round: &mut Round,
        theirs: Option<&Estimate>,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<()> {
        if self.keeps_parts(exchange)? {
            return Ok(());
        }
        let mut tips = Vec::new();
        for (reference, section) in self.sections() {
            tips.extend(self.named(round.number, reference, exchange.tips(&section)?));
        }
        let sketch = theirs.and_then(|theirs| self.sketch(theirs, Vec::new(), &mut tips));
        round.sending = sketch;
        // Nothing is a list as well.
        round.tips_open = round.sending.is_some() || tips.len() <= TIPS_MAX;
        if tips.len() <= TIPS_MAX {
            round.listed = by_section(tips);
        }
        Ok(())
    }

    fn named(&self, round: u64, reference: SectionRef, tips: Vec<KnownTip>) -> Vec<Named> {
        let Some(key) = &self.key else { return Vec::new() };
        tips.into_iter().map(|tip| (key.item(round, &tip), reference, tip)).collect()
    }

    fn sketch(
        &self,
        theirs: &Estimate,
        sections: Vec<SectionRef>,
        tips: &mut Vec<Named>,
    ) -> Option<Sending> {
        let key = self.key.as_ref()?;
        if tips.is_empty() || tips.len() > SKETCH_TIPS_MAX {
            return None;
        }
        let own = estimate(key, tips.iter().map(|(item, ..)| *item));
        let difference = own.difference(theirs);
        let sums = provision_sums(difference);
        let few = sums <= self.options.sums_max.min(SUMS_MAX) && tips.len() <= SUMS_TIPS_MAX;
        let sums = if few { sums } else { 0 };
        let sending = Sending::new(sections, std::mem::take(tips), sums, provision(difference));
        let always = self.options.sketch_from == 0;
        if !always
            && (difference >= ESTIMATE_MAX
                || sums >= sending.tips.len()
                || sending.is_beaten_at(sending.due))
        {
            *tips = sending.tips;
            return None;
        }
        Some(sending)
    }

    /// Sends a frame of tips or cells; false if there are none to send.
    pub(super) fn send_tips(&mut self) -> bool {
        let (Some(round), Some(key)) = (&mut self.round, &self.key) else { return false };
        if !round.tips_open {
            return false;
        }
        let due = round.sending.as_ref().map_or(0, |sending| sending.due + sending.sums);
        let number = round.number;
        if round.listed_sent < round.listed.len() || due == 0 {
            let mut groups: Vec<TipGroup> = Vec::new();
            let rest = round.listed.iter().skip(round.listed_sent).take(TIPS_PER_FRAME);
            for (section, tip) in rest {
                let tip = key.item(number, tip);
                round.listed_sent += 1;
                match groups.last_mut() {
                    Some(group) if group.section == *section => group.tips.push(tip),
                    _ => groups.push(TipGroup { section: *section, tips: vec![tip] }),
                }
            }
            let last = round.listed_sent >= round.listed.len() && due == 0;
            round.tips_open = !last;
            self.out.send(&Message::Tips { round: number, last, groups });
        } else if let Some(sending) = &mut round.sending {
            let first = !std::mem::replace(&mut sending.begun, true);
            let sections = if first { sending.sections.clone() } else { Vec::new() };
            if sending.sums > 0 {
                let sums = sending.sums();
                round.tips_open = false;
                self.out.send(&Message::Sums { round: number, sections, sums });
                return true;
            }
            let cells = sending.cells(key);
            let last = sending.due == 0;
            round.tips_open = !last;
            self.out.send(&Message::Cells { round: number, last, sections, cells });
        }
        true
    }

    /// The other side needs more cells: half as many again, or as many as it estimates, or the
    /// list.
    pub(super) fn on_more(&mut self, number: u64, theirs: Option<&Estimate>) -> Result<(), Fault> {
        let Some(key) = self.key.clone() else { return Err(PROTOCOL) };
        let Some(round) = &mut self.round else { return Err(PROTOCOL) };
        let fits = round.number == number && round.stage == Stage::Exchange && !round.tips_open;
        let (true, Some(mut sending)) = (fits, round.sending.take()) else {
            return Err(PROTOCOL);
        };
        round.tips_open = true;
        let made = sending.made();
        let more = match theirs {
            Some(theirs) if made == 0 => {
                let own = estimate(&key, sending.tips.iter().map(|(item, ..)| *item));
                let difference = own.difference(theirs);
                // What cannot be told apart from more is listed.
                if difference < ESTIMATE_MAX { provision(difference) } else { CELLS_MAX }
            }
            // Twice what the sums would have told; or half as many cells again.
            _ if made == 0 => provision(2 * sending.summed),
            _ => made.div_ceil(2),
        };
        if !sending.is_beaten_at(made + more) {
            sending.due = more;
            round.sending = Some(sending);
            return Ok(());
        }
        let tips = by_section(std::mem::take(&mut sending.tips));
        for listed in tips.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((reference, _)) = listed.first() else { continue };
            let reference = *reference;
            let Some(section) = self.resolve(&reference) else { continue };
            let Some(round) = &mut self.round else { return Err(PROTOCOL) };
            let tips = listed.iter().map(|(_, tip)| *tip).collect();
            list(round, section, reference, tips);
        }
        Ok(())
    }

    pub(super) fn on_tips(
        &mut self,
        number: u64,
        last: bool,
        groups: Vec<TipGroup>,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        if self.passing == number {
            return Ok(());
        }
        let mut known = self.round.take().filter(|round| round.stage == Stage::Listing);
        let Some(round) = known.as_mut().filter(|round| round.number == number) else {
            return Err(PROTOCOL);
        };
        for group in groups {
            let known = round.compared.contains(&group.section)
                || (round.whole && self.resolve(&group.section).is_some());
            if !known || round.tips.len() + group.tips.len() > TIPS_MAX {
                return Err(PROTOCOL);
            }
            // The list in place of a sketch.
            let sketched = |peeling: &Peeling| peeling.sections.contains(&group.section);
            if round.whole || round.peeling.as_ref().is_some_and(sketched) {
                round.peeling = None;
            }
            round.tips.extend(group.tips.into_iter().map(|tip| (group.section, tip)));
        }
        self.round = known;
        if last { self.listed(exchange) } else { Ok(()) }
    }

    pub(super) fn on_cells(
        &mut self,
        number: u64,
        last: bool,
        sections: Vec<SectionRef>,
        cells: &[Cell],
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        if self.passing == number {
            return Ok(());
        }
        let (mut round, key) = self.peel(number, sections, exchange)?;
        let Some(peeling) = &mut round.peeling else { return Err(PROTOCOL) };
        peeling.frames += 1;
        if peeling.taken + cells.len() > CELLS_MAX || peeling.frames > CELL_FRAMES_MAX {
            return Err(PROTOCOL);
        }
        peeling.take(&key, cells);
        self.round = Some(round);
        if last { self.listed(exchange) } else { Ok(()) }
    }

    pub(super) fn on_sums(
        &mut self,
        number: u64,
        sections: Vec<SectionRef>,
        sums: &[u64],
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let (mut round, _) = self.peel(number, sections, exchange)?;
        let Some(peeling) = &mut round.peeling else { return Err(PROTOCOL) };
        // They come before cells, and once.
        if peeling.taken > 0 || std::mem::replace(&mut peeling.summed, true) {
            return Err(PROTOCOL);
        }
        peeling.read(sums);
        self.round = Some(round);
        self.listed(exchange)
    }

    /// Takes out the round that a frame of a sketch belongs to, with this side's own tips.
    fn peel(
        &mut self,
        number: u64,
        sections: Vec<SectionRef>,
        exchange: &dyn Exchange,
    ) -> Result<(Round, SessionKey), Fault> {
        let known = self.round.take().filter(|round| round.stage == Stage::Listing);
        let (Some(mut round), Some(key)) = (known, self.key.clone()) else {
            return Err(PROTOCOL);
        };
        if round.number != number {
            return Err(PROTOCOL);
        }
        if round.peeling.is_some() {
            return if sections.is_empty() { Ok((round, key)) } else { Err(PROTOCOL) };
        }
        let compared = |reference: &SectionRef| round.compared.contains(reference);
        if round.whole != sections.is_empty() || !sections.iter().all(compared) {
            return Err(PROTOCOL);
        }
        let mut own = Vec::new();
        for (reference, section) in self.sections() {
            if round.whole || sections.contains(&reference) {
                own.extend(self.named(number, reference, exchange.tips(&section)?));
            }
        }
        round.peeling = Some(Peeling::new(sections, own));
        Ok((round, key))
    }

    /// All that the other side had to say of its tips is here: goes on, or asks for more.
    fn listed(&mut self, exchange: &dyn Exchange) -> Result<(), Fault> {
        let (Some(round), Some(key)) = (&self.round, &self.key) else { return Err(PROTOCOL) };
        let Some(peeling) = round.peeling.as_ref().filter(|one| one.difference().is_none()) else {
            return self.plan(exchange);
        };
        // An opener did not know how much is new here.
        let unknown = self.role == Role::Responder && peeling.taken == 0;
        let estimate = unknown.then(|| estimate(key, peeling.own.iter().map(|(item, ..)| *item)));
        let round = round.number;
        self.out.counters.round_trips += 1;
        self.out.send(&Message::More { round, estimate });
        Ok(())
    }
}

fn estimate(key: &SessionKey, items: impl Iterator<Item = Item>) -> Estimate {
    let mut estimate = Estimate::default();
    items.for_each(|item| estimate.add(&key.item_hash(item)));
    estimate
}

/// Tips as they are listed.
fn by_section(tips: Vec<Named>) -> Vec<(SectionRef, KnownTip)> {
    let mut listed: Vec<_> = tips.into_iter().map(|(_, of, tip)| (of, tip)).collect();
    listed.sort_unstable_by_key(|(of, tip)| (of.class, of.entry, tip.chain));
    listed
}

/// Adds tips to the list of a round as far as there is room, newest pages first.
fn list(round: &mut Round, section: Section, reference: SectionRef, mut tips: Vec<KnownTip>) {
    let room = TIPS_MAX.saturating_sub(round.listed.len());
    if tips.len() > room {
        tips.sort_by_key(|tip| std::cmp::Reverse(tip.page));
        tips.truncate(room);
        round.ledger.blame(Some(section), None, 0, Reason::TooMany);
    }
    round.listed.extend(tips.into_iter().map(|tip| (reference, tip)));
}
