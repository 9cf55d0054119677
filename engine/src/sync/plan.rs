//! What to ask for and what to give, once both sides' tips are known.

use std::collections::hash_map::Entry::Vacant;
use std::collections::{HashMap, HashSet};

use crate::chain::ChainKey;
use crate::hash::BlobHash;
use crate::sync::exchange::{Exchange, ExchangeResult, KnownTip, Section};
use crate::sync::give::{ChainJob, Job};
use crate::sync::keys::SessionKey;
use crate::sync::outcome::OlderReport;
use crate::sync::round::{Round, Stage};
use crate::sync::session::{Fault, PROTOCOL, Session};
use crate::wire::{
    Message, Reason, Scope, ScopeKind, SectionRef, ShortTag, Tag, WANT_BODIES_MAX, WantItem,
    WantName, WireTip,
};

const WANTS_PER_FRAME: usize = 1000;
/// Times a chain may be asked for in one round: listed, tagged, each for a few branches.
const ASKED_MAX: u8 = 16;

/// Own tips by name in this session; several where a chain is forked.
type Own = HashMap<Tag, Vec<(Section, KnownTip)>>;
/// The other side's tips by name, with their number in its list.
type Listed = HashMap<Tag, Vec<(u64, WireTip)>>;

impl Session {
    /// Compares tips; asks, gives, and says so when all is given. Initiator only.
    pub(super) fn plan(&mut self, exchange: &dyn Exchange) -> Result<(), Fault> {
        let (Some(mut round), Some(key)) = (self.round.take(), self.key.clone()) else {
            return Err(PROTOCOL);
        };
        let own = self.own_tips(&key, exchange)?;
        let mut listed: Listed = HashMap::new();
        for (number, (_, tip)) in round.tips.iter().enumerate() {
            listed.entry(tip.tag).or_default().push((number as u64, *tip));
        }
        self.compare_shown(&mut round, &own, &listed, exchange)?;
        let spares = self.spares(&round, exchange)?;
        let wants = wants(&key, &round, &own, &listed, &spares, exchange)?;
        let jobs = self.gives(&key, &round, &own, &listed, exchange)?;
        round.stage = Stage::Exchange;
        round.peer_end = true;
        round.tips = Vec::new();
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

    fn own_tips(&self, key: &SessionKey, exchange: &dyn Exchange) -> ExchangeResult<Own> {
        let compared: HashSet<u64> = match &self.round {
            Some(round) => round.compared.iter().map(|reference| reference.entry).collect(),
            None => HashSet::new(),
        };
        let mut own = Own::new();
        // All common classes: a guest whom one side has admitted stands in another
        // section there.
        for (reference, section) in self.sections() {
            if self.round.is_some() && !compared.contains(&reference.entry) {
                continue;
            }
            for tip in exchange.tips(&section)? {
                own.entry(key.chain(&tip.chain)).or_default().push((section, tip));
            }
        }
        Ok(own)
    }

    /// Reports chains of which the remote shows less than before, and notes the rest.
    fn compare_shown(
        &mut self,
        round: &mut Round,
        own: &Own,
        listed: &Listed,
        exchange: &dyn Exchange,
    ) -> Result<(), Fault> {
        let Some(key) = self.key.clone() else { return Err(PROTOCOL) };
        self.flush_shown(exchange)?;
        for reference in &round.compared {
            let Some(section) = self.resolve(reference) else { continue };
            for (chain, before) in exchange.shown(&self.remote, &section)? {
                let tips = listed.get(&key.chain(&chain));
                let now = tips.and_then(|tips| tips.iter().map(|(_, tip)| tip.n).max());
                if now.unwrap_or(0) < before && round.older.len() < 256 {
                    let now = now.unwrap_or(0);
                    round.older.push(OlderReport { section, chain, before, now });
                }
            }
        }
        for (tag, tips) in listed {
            let n = tips.iter().map(|(_, tip)| tip.n).max();
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
        listed: &Listed,
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
            let theirs = listed.get(tag).map_or(&[][..], Vec::as_slice);
            for (section, tip) in branches.iter().filter(|(section, _)| kept.contains(section)) {
                let (section, tip) = (*section, *tip);
                let spared = self.is_spared(&section);
                let job = |first_n, describe, fork: bool| {
                    let bare = spared && !fork;
                    Job::Chain(ChainJob { section, tip, first_n, describe, fork, bare })
                };
                match theirs {
                    [] => jobs.push(job(1, true, branches.len() > 1)),
                    [(_, one)] if branches.len() == 1 => {
                        if one.n > tip.n || same(key, one, &tip) {
                            continue;
                        }
                        let links = exchange.links(&tip.chain, one.n)?;
                        if links.iter().any(|link| key.link(link) == one.link) {
                            jobs.push(job(one.n + 1, false, false));
                        } else {
                            jobs.push(job(1, false, true));
                        }
                    }
                    many if many.iter().any(|(_, one)| same(key, one, &tip)) => {}
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
        let mut jobs = Vec::new();
        for item in items {
            let mut found = Vec::new();
            match item.name {
                WantName::Listed(number) => {
                    let number = usize::try_from(number).unwrap_or(usize::MAX);
                    let Some((reference, tip)) = round.listed.get(number).copied() else {
                        return Err(PROTOCOL);
                    };
                    let Some(section) = self.resolve(&reference) else { return Err(PROTOCOL) };
                    found.push((section, tip));
                    if let Vacant(place) = shown.entry(section) {
                        let before = exchange.shown(&self.remote, &section)?;
                        place.insert(before.into_iter().collect());
                    }
                    let before = shown.get(&section).and_then(|s| s.get(&tip.chain)).copied();
                    note_older(&mut round, section, &tip, before, item);
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
                jobs.extend(answer(&key, section, tip, item, exchange)?.map(Job::Chain));
            }
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

fn same(key: &SessionKey, theirs: &WireTip, own: &KnownTip) -> bool {
    theirs.n == own.n && theirs.link == key.link(&own.link)
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
    round: &Round,
    own: &Own,
    listed: &Listed,
    spares: &HashSet<SectionRef>,
    exchange: &dyn Exchange,
) -> ExchangeResult<Vec<WantItem>> {
    let mut out = Vec::new();
    let whole =
        |name| WantItem { name, have: 0, link: ShortTag::default(), fork: true, bare: false };
    for (number, (reference, tip)) in round.tips.iter().enumerate() {
        let sparing = spares.contains(reference);
        let name = WantName::Listed(number as u64);
        let branches = own.get(&tip.tag).map_or(&[][..], Vec::as_slice);
        let theirs = listed.get(&tip.tag).map_or(0, Vec::len);
        match branches {
            [] if theirs > 1 => out.push(whole(name)),
            [] => out.push(WantItem { fork: false, bare: sparing, ..whole(name) }),
            _ if branches.iter().any(|(_, own)| same(key, tip, own)) => {}
            [(_, mine)] if theirs == 1 => {
                if tip.n > mine.n {
                    let bare = sparing && mine.held_n == 0;
                    out.push(WantItem { bare, ..want(key, name, mine, exchange)? });
                    continue;
                }
                let links = exchange.links(&mine.chain, tip.n)?;
                if !links.iter().any(|link| key.link(link) == tip.link) {
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
    let (describe, bare) = (item.have == 0, item.bare);
    let whole =
        |fork| Some(ChainJob { section, tip, first_n: 1, describe, fork, bare: bare && !fork });
    if item.fork {
        return Ok(whole(true));
    }
    if item.have == 0 {
        return Ok(whole(false));
    }
    let links = exchange.links(&tip.chain, item.have)?;
    Ok(match links.as_slice() {
        // Another branch, or one that was not kept: the head at least.
        [] => {
            Some(ChainJob { section, tip, first_n: tip.n + 1, describe, fork: false, bare: true })
        }
        [link] if key.link(link) == item.link => {
            let first_n = item.have + 1;
            Some(ChainJob { section, tip, first_n, describe: false, fork: false, bare })
        }
        _ => whole(true),
    })
}
