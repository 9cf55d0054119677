//! What to ask for and what to give, once both sides' tips are known.

use std::collections::hash_map::Entry::Vacant;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::chain::ChainKey;
use crate::hash::{BlobHash, Link};
use crate::sketch::{Difference, Item};
use crate::sync::exchange::{Exchange, ExchangeResult, KnownTip, Section};
use crate::sync::give::{ChainJob, Job};
use crate::sync::keys::SessionKey;
use crate::sync::outcome::OlderReport;
use crate::sync::round::{Round, Stage};
use crate::sync::session::{Fault, PROTOCOL, Session};
use crate::sync::tips::Peeling;
use crate::wire::{
    Message, Reason, Scope, ScopeKind, SectionRef, ShortTag, Tag, WANT_BODIES_MAX, WantItem,
    WantName,
};

const WANTS_PER_FRAME: usize = 1000;
const COMPARED_PER_FRAME: usize = 5000;
/// Times a chain may be asked for in one round: listed, tagged, each for a few branches.
const ASKED_MAX: u8 = 16;

/// Own tips by name in this round; several where a chain is forked.
pub(super) type Own = HashMap<u32, Vec<(Section, KnownTip)>>;

/// What the other side has: of compared sections all, or of sketched ones what belongs to a chain
/// in the difference.
#[derive(Debug, Default)]
struct Theirs {
    /// Tips that it alone has or that were listed, with their names.
    tips: Vec<(WantName, Option<SectionRef>, Item)>,
    /// All its tips of each chain looked at.
    by_chain: HashMap<u32, Vec<Item>>,
    /// Highest number of each chain that both have alike in sketched sections.
    alike: HashMap<u32, u64>,
    /// Bits of an item's link that are of a link.
    link_mask: u32,
}

impl Theirs {
    fn of(round: &Round) -> Self {
        let mut theirs = Self { link_mask: u32::MAX, ..Self::default() };
        for (number, (reference, item)) in round.tips.iter().enumerate() {
            theirs.tips.push((WantName::Listed(number as u64), Some(*reference), *item));
            theirs.by_chain.entry(item.tag()).or_default().push(*item);
        }
        theirs
    }

    /// Adds what a sketch told.
    fn add(&mut self, peeling: &Peeling, difference: &Difference) {
        self.link_mask = peeling.link_mask;
        let own: HashSet<Item> = difference.own.iter().copied().collect();
        let moved: HashSet<u32> = tags(difference).collect();
        for item in &difference.theirs {
            self.tips.push((WantName::Found(*item), None, *item));
            self.by_chain.entry(item.tag()).or_default().push(*item);
        }
        for (item, ..) in peeling.own.iter().filter(|(item, ..)| !own.contains(item)) {
            if moved.contains(&item.tag()) {
                self.by_chain.entry(item.tag()).or_default().push(*item);
            }
            let alike = self.alike.entry(item.tag()).or_default();
            *alike = item.n().max(*alike);
        }
    }

    fn is(&self, key: &SessionKey, item: Item, own: &KnownTip) -> bool {
        item.n() == own.n && self.leads(key, &[own.link], item)
    }

    /// Whether one of these links is the one that an item stands for.
    fn leads(&self, key: &SessionKey, links: &[Link], item: Item) -> bool {
        links.iter().any(|link| (key.link_part(link) ^ item.link()) & self.link_mask == 0)
    }

    fn of_chain(&self, tag: u32) -> &[Item] {
        self.by_chain.get(&tag).map_or(&[], Vec::as_slice)
    }

    /// The highest number that it has of a chain.
    fn highest(&self, tag: u32) -> Option<u64> {
        let listed = self.of_chain(tag).iter().map(|item| item.n()).max();
        listed.max(self.alike.get(&tag).copied())
    }
}

/// The chains in a difference.
fn tags(difference: &Difference) -> impl Iterator<Item = u32> {
    difference.own.iter().chain(&difference.theirs).map(|item| item.tag())
}

impl Session {
    /// Compares tips; asks, gives, and says so when all is given. Done by the side that was told
    /// the other's tips.
    pub(super) fn plan(&mut self, exchange: &dyn Exchange) -> Result<(), Fault> {
        let (Some(mut round), Some(key)) = (self.round.take(), self.key.clone()) else {
            return Err(PROTOCOL);
        };
        let mut theirs = Theirs::of(&round);
        let sketched = round.peeling.take();
        let found = sketched.and_then(|peeling| Some((peeling.difference()?, peeling)));
        if let Some((difference, peeling)) = &found {
            theirs.add(peeling, difference);
        }
        if round.whole {
            self.name_compared(&mut round, found.as_ref());
        }
        let own = self.own_tips(&key, &round, found.as_ref(), exchange)?;
        self.compare_shown(&mut round, &own, &theirs, exchange)?;
        let spares = self.spares(&round, exchange)?;
        let wants = wants(&key, &theirs, &own, &spares, exchange)?;
        let jobs = self.gives(&key, &round, &own, &theirs, exchange)?;
        round.stage = Stage::Exchange;
        round.peer_end = true;
        round.tips = Vec::new();
        round.names = own;
        for items in wants.chunks(WANTS_PER_FRAME) {
            self.requests += 1;
            round.outstanding.insert(self.requests, items.len());
            self.out.send(&Message::Want { request: self.requests, items: items.to_vec() });
        }
        // One flight of questions, and the other side's last word on what is given.
        self.out.counters.round_trips += 1;
        let scope = Scope { kind: ScopeKind::Round, id: round.number };
        // A hub's first copy may be more than one round gives; the next one goes on.
        for _ in 0..self.giver.queue_what_fits(scope, jobs).min(1) {
            round.ledger.blame(None, None, 0, Reason::TooMany);
        }
        self.round = Some(round);
        Ok(())
    }

    /// Says which sections differ, where only this side could see it: those of the tips in the
    /// difference, or all if there was a list instead.
    fn name_compared(&mut self, round: &mut Round, found: Option<&(Difference, Peeling)>) {
        round.compared = match found {
            Some((difference, peeling)) => {
                let moved: HashSet<u32> = tags(difference).collect();
                let own = peeling.own.iter().filter(|(item, ..)| moved.contains(&item.tag()));
                own.map(|(_, reference, _)| *reference)
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect()
            }
            None => self.sections().into_iter().map(|(reference, _)| reference).collect(),
        };
        round.compared.sort_by_key(|reference| (reference.class, reference.entry));
        for sections in round.compared.chunks(COMPARED_PER_FRAME) {
            let (round, sections) = (round.number, sections.to_vec());
            self.out.send(&Message::Compared { round, sections });
        }
    }

    /// The other side says which sections differ.
    pub(super) fn on_compared(
        &mut self,
        number: u64,
        sections: &[SectionRef],
    ) -> Result<(), Fault> {
        let known = sections.iter().all(|reference| self.resolve(reference).is_some());
        let Some(round) = &mut self.round else { return Err(PROTOCOL) };
        let fits = round.whole && round.number == number && !round.peer_end;
        if !fits || !known || round.done_sent.is_some() {
            return Err(PROTOCOL);
        }
        round.compare(sections.iter().copied());
        Ok(())
    }

    /// Compared sections of which only a part is kept here.
    fn spares(
        &self,
        round: &Round,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<HashSet<SectionRef>> {
        let mut out = HashSet::new();
        for reference in &round.compared {
            let Some(section) = self.resolve(reference) else { continue };
            if exchange.spares(&section)? {
                out.insert(*reference);
            }
        }
        Ok(out)
    }

    fn own_tips(
        &self,
        key: &SessionKey,
        round: &Round,
        found: Option<&(Difference, Peeling)>,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Own> {
        let compared: HashSet<u64> = round.compared.iter().map(|r| r.entry).collect();
        let moved: HashSet<u32> =
            found.map(|(difference, _)| tags(difference).collect()).unwrap_or_default();
        let sketched = |reference: &SectionRef| {
            found.is_some_and(|(_, peeling)| round.whole || peeling.sections.contains(reference))
        };
        let mut own = Own::new();
        // All common classes: a guest whom one side has admitted stands in another
        // section there.
        for (reference, section) in self.sections() {
            if !compared.contains(&reference.entry) {
                continue;
            }
            let sketched = sketched(&reference);
            for tip in exchange.tips(&section)? {
                let tag = key.chain_in(round.number, &tip.chain);
                if !sketched || moved.contains(&tag) {
                    own.entry(tag).or_default().push((section, tip));
                }
            }
        }
        Ok(own)
    }

    /// Reports chains of which the remote shows less than before, and notes the rest.
    fn compare_shown(
        &mut self,
        round: &mut Round,
        own: &Own,
        theirs: &Theirs,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let Some(key) = self.key.clone() else { return Err(PROTOCOL) };
        self.flush_shown(exchange)?;
        for reference in &round.compared {
            let Some(section) = self.resolve(reference) else { continue };
            for (chain, before) in exchange.shown(&self.remote, &section)? {
                let now = theirs.highest(key.chain_in(round.number, &chain)).unwrap_or(0);
                if now < before && round.older.len() < 256 {
                    round.older.push(OlderReport { section, chain, before, now });
                }
            }
        }
        for (tag, items) in &theirs.by_chain {
            let n = items.iter().map(|item| item.n()).max();
            let known = own.get(tag).and_then(|known| known.first());
            if let (Some((section, tip)), Some(n)) = (known, n) {
                self.note_shown(*section, tip.chain, n, exchange)?;
                self.note_peer_has(tip.chain, n.min(tip.n));
            }
        }
        Ok(())
    }

    fn gives(
        &self,
        key: &SessionKey,
        round: &Round,
        own: &Own,
        theirs: &Theirs,
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Vec<Job>> {
        let mut jobs = Vec::new();
        let kept: HashSet<Section> = round
            .compared
            .iter()
            .filter_map(|reference| self.resolve(reference))
            .filter(|section| self.reference(section).is_some_and(|(_, kept)| kept))
            .collect();
        for (tag, branches) in own {
            let known = theirs.of_chain(*tag);
            for (section, tip) in branches.iter().filter(|(section, _)| kept.contains(section)) {
                let (section, tip) = (*section, *tip);
                let spared = self.is_spared(&section);
                let job = |first_n, describe, fork: bool| {
                    let (bare, last_n, name) = (spared && !fork, u64::MAX, Some(*tag));
                    Job::Chain(ChainJob {
                        section,
                        tip,
                        first_n,
                        describe,
                        fork,
                        bare,
                        last_n,
                        name,
                    })
                };
                match known {
                    [] => jobs.push(job(1, true, branches.len() > 1)),
                    [one] if branches.len() == 1 => {
                        if one.n() > tip.n || theirs.is(key, *one, &tip) {
                            continue;
                        }
                        if theirs.leads(key, &exchange.links(&tip.chain, one.n())?, *one) {
                            jobs.push(job(one.n() + 1, false, false));
                        } else {
                            jobs.push(job(1, false, true));
                        }
                    }
                    many if many.iter().any(|one| theirs.is(key, *one, &tip)) => {}
                    _ => jobs.push(job(1, false, true)),
                }
            }
        }
        Ok(jobs)
    }

    pub(super) fn on_want(
        &mut self,
        request: u64,
        items: &[WantItem],
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let (Some(mut round), Some(key)) = (self.round.take(), self.key.clone()) else {
            return Err(PROTOCOL);
        };
        self.flush_shown(exchange)?;
        let mut tagged: HashMap<SectionRef, HashMap<Tag, Vec<KnownTip>>> = HashMap::new();
        let mut shown: HashMap<Section, HashMap<ChainKey, u64>> = HashMap::new();
        let (mut jobs, mut wanted) = (Vec::new(), BTreeSet::new());
        for item in items {
            let mut found = Vec::new();
            match item.name {
                WantName::Listed(_) | WantName::Found(_) => {
                    let named = round.named(&item.name);
                    if named.is_empty() && matches!(item.name, WantName::Listed(_)) {
                        return Err(PROTOCOL);
                    }
                    for (reference, tip) in named {
                        let Some(section) = self.resolve(&reference) else { return Err(PROTOCOL) };
                        found.push((section, tip));
                        if let Vacant(place) = shown.entry(section) {
                            let before = exchange.shown(&self.remote, &section)?;
                            place.insert(before.into_iter().collect());
                        }
                        let before = shown.get(&section).and_then(|s| s.get(&tip.chain)).copied();
                        note_older(&mut round, section, &tip, before, item);
                        wanted.insert(reference);
                    }
                }
                WantName::Tagged(reference, tag) => {
                    let Some(section) = self.resolve(&reference) else { return Err(PROTOCOL) };
                    if let Vacant(place) = tagged.entry(reference) {
                        let mut names: HashMap<Tag, Vec<KnownTip>> = HashMap::new();
                        for tip in exchange.tips(&section)? {
                            names.entry(key.chain(&tip.chain)).or_default().push(tip);
                        }
                        place.insert(names);
                    }
                    let tips = tagged.get(&reference).and_then(|names| names.get(&tag));
                    found.extend(tips.into_iter().flatten().map(|tip| (section, *tip)));
                }
            }
            for (section, tip) in found {
                let asked = round.asked.entry(tip.chain).or_insert(0);
                *asked = asked.saturating_add(1);
                if *asked > ASKED_MAX {
                    return Err(PROTOCOL);
                }
                // Who was revoked since the list was made reads no more.
                if !exchange.may_read(&self.remote, &section)? {
                    continue;
                }
                // By a tag it is asked for what was not told in this round.
                let name = match item.name {
                    WantName::Listed(_) | WantName::Found(_) => {
                        Some(key.chain_in(round.number, &tip.chain))
                    }
                    WantName::Tagged(..) => None,
                };
                let job = answer(&key, section, tip, item, exchange)?;
                jobs.extend(job.map(|job| Job::Chain(ChainJob { name, ..job })));
            }
        }
        if round.whole {
            round.compare(wanted);
        }
        self.round = Some(round);
        let scope = Scope { kind: ScopeKind::Answer, id: request };
        if self.giver.queue(scope, jobs) { Ok(()) } else { Err(PROTOCOL) }
    }

    pub(super) fn on_want_bodies(
        &mut self,
        request: u64,
        section: SectionRef,
        mut hashes: Vec<BlobHash>,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let Some(section) = self.resolve(&section).filter(|_| self.round.is_some()) else {
            return Err(PROTOCOL);
        };
        if !exchange.may_read(&self.remote, &section)? {
            hashes.clear();
        }
        hashes.sort_unstable();
        hashes.dedup();
        let jobs = hashes.into_iter().map(|hash| Job::Body { section, hash }).collect();
        let scope = Scope { kind: ScopeKind::Answer, id: request };
        if self.giver.queue(scope, jobs) { Ok(()) } else { Err(PROTOCOL) }
    }

    /// Asks for the next things known and not held; false if there is nothing left to
    /// ask for.
    pub(super) fn ask_for_missing(&mut self, exchange: &dyn Exchange) -> Result<bool, Fault> {
        let (Some(mut round), Some(key)) = (self.round.take(), self.key.clone()) else {
            return Ok(false);
        };
        let asked = self.ask(&mut round, &key, exchange);
        self.round = Some(round);
        asked
    }

    fn ask(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        exchange: &dyn Exchange,
    ) -> Result<bool, Fault> {
        let sections = self.sections();
        while let Some((reference, section)) = sections.get(round.repair.section) {
            self.requests += 1;
            let request = self.requests;
            if !round.repair.chains_asked {
                // Where a part is kept, what came says what to ask for next.
                let sparing = exchange.spares(section)?;
                round.repair.chains_asked = !sparing;
                let mut items = Vec::new();
                for chain in exchange.incomplete(section, WANTS_PER_FRAME)? {
                    let (key_of, held) = (chain.tip.chain, chain.tip.held_n);
                    if sparing && round.repair.asked.insert(key_of, held) == Some(held) {
                        continue;
                    }
                    let name = WantName::Tagged(*reference, key.chain(&chain.tip.chain));
                    items.push(want(key, name, &chain.tip, exchange)?);
                }
                if !items.is_empty() {
                    round.outstanding.insert(request, items.len());
                    self.out.send(&Message::Want { request, items });
                    self.out.counters.round_trips += 1;
                    return Ok(true);
                }
                round.repair.chains_asked = true;
            }
            let after = round.repair.after;
            let bodies = exchange.missing_bodies(section, after, WANT_BODIES_MAX)?;
            let hashes: Vec<_> = bodies.iter().map(|body| body.hash).collect();
            // An order that does not go on would make this go on for ever.
            if let Some(last) = hashes.last().filter(|last| Some(**last) != after) {
                round.repair.after = Some(*last);
                round.outstanding.insert(request, 0);
                self.out.send(&Message::WantBodies { request, section: *reference, hashes });
                self.out.counters.round_trips += 1;
                return Ok(true);
            }
            round.repair.section += 1;
            round.repair.chains_asked = false;
            round.repair.after = None;
        }
        Ok(false)
    }
}

fn note_older(
    round: &mut Round,
    section: Section,
    tip: &KnownTip,
    before: Option<u64>,
    item: &WantItem,
) {
    // Who asks for a listed tip does not know its head; yet it may have shown it.
    if let Some(before) = before.filter(|before| *before >= tip.n)
        && !item.fork
        && round.older.len() < 256
    {
        round.older.push(OlderReport { section, chain: tip.chain, before, now: item.have });
    }
}

fn wants(
    key: &SessionKey,
    theirs: &Theirs,
    own: &Own,
    spares: &HashSet<SectionRef>,
    exchange: &dyn Exchange,
) -> ExchangeResult<Vec<WantItem>> {
    let mut out = Vec::new();
    let whole =
        |name| WantItem { name, have: 0, link: ShortTag::default(), fork: true, bare: false };
    for (name, reference, item) in &theirs.tips {
        let sparing = reference.is_some_and(|reference| spares.contains(&reference));
        let (name, item) = (*name, *item);
        let branches = own.get(&item.tag()).map_or(&[][..], Vec::as_slice);
        let several = theirs.of_chain(item.tag()).len() > 1;
        match branches {
            [] if several => out.push(whole(name)),
            [] => out.push(WantItem { fork: false, bare: sparing, ..whole(name) }),
            _ if branches.iter().any(|(_, own)| theirs.is(key, item, own)) => {}
            [(_, mine)] if !several => {
                if item.n() > mine.n {
                    let bare = sparing && mine.held_n == 0;
                    out.push(WantItem { bare, ..want(key, name, mine, exchange)? });
                    continue;
                }
                if !theirs.leads(key, &exchange.links(&mine.chain, item.n())?, item) {
                    out.push(whole(name));
                }
            }
            _ => out.push(whole(name)),
        }
    }
    Ok(out)
}

/// Wants what follows the changes held of `mine`.
fn want(
    key: &SessionKey,
    name: WantName,
    mine: &KnownTip,
    exchange: &dyn Exchange,
) -> ExchangeResult<WantItem> {
    let links = exchange.links(&mine.chain, mine.held_n)?;
    let (have, link, fork) = match links.as_slice() {
        [link] if mine.held_n > 0 => (mine.held_n, key.link(link), false),
        [] | [_] => (0, ShortTag::default(), false),
        _ => (0, ShortTag::default(), true),
    };
    Ok(WantItem { name, have, link, fork, bare: false })
}

fn answer(
    key: &SessionKey,
    section: Section,
    tip: KnownTip,
    item: &WantItem,
    exchange: &dyn Exchange,
) -> ExchangeResult<Option<ChainJob>> {
    let (describe, bare, last_n) = (item.have == 0, item.bare, u64::MAX);
    let job = |first_n, describe, fork, bare| {
        Some(ChainJob { section, tip, first_n, describe, fork, bare, last_n, name: None })
    };
    let whole = |fork| job(1, describe, fork, bare && !fork);
    if item.fork {
        return Ok(whole(true));
    }
    if item.have == 0 {
        return Ok(whole(false));
    }
    let links = exchange.links(&tip.chain, item.have)?;
    Ok(match links.as_slice() {
        // Another branch, or one that was not kept: the head at least.
        [] => job(tip.n + 1, describe, false, true),
        [link] if key.link(link) == item.link => job(item.have + 1, false, false, bare),
        _ => whole(true),
    })
}
