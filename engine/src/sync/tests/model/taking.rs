//! How the model takes a chain of a peer.

use super::{Branch, State, empty, push, section_of, sign};
use crate::chain::ChainKey;
use crate::description::Description;
use crate::hash::Link;
use crate::sync::News;
use crate::sync::exchange::{ChainReceipt, ForkReport, Received, Section, Verdict};
use crate::wire::{Changes, Content, HeadBytes, LogItem, Part, Reason, head_route};

/// Bytes that do not even name a chain.
pub struct Nameless;

/// What came of it: verdict, changes stored, fork seen.
pub type Taken = (ChainReceipt, u64, Option<ForkReport>);

struct Arrival {
    chain: ChainKey,
    n: u64,
    link: Link,
    section: Section,
    description: Description,
    head: HeadBytes,
    first_n: usize,
    items: Vec<LogItem>,
    fork: bool,
}

impl State {
    pub fn take(&mut self, received: Received) -> Result<Taken, Nameless> {
        let route = head_route(&received.head).map_err(|_| Nameless)?;
        let chain = route.chain;
        let section = self.about.get(&chain.doc).map(|(section, _)| *section);
        let says = |section, verdict| {
            Ok((ChainReceipt { chain: Some(chain), section, from_n: 1, verdict }, 0, None))
        };
        if sign(&received.head[..153]) != received.head[153..] {
            return says(section, Verdict::Refused(Reason::Signature));
        }
        if self.refused.contains(&chain.device) {
            return says(section, Verdict::Refused(Reason::Blocked));
        }
        if let Some(description) = received.description
            && description.id() == chain.doc
        {
            let section = section_of(&description);
            if !self.kept.contains(&section) {
                return says(Some(section), Verdict::Refused(Reason::NotKept));
            }
            self.about.insert(chain.doc, (section, description));
        }
        let Some((section, description)) = self.about.get(&chain.doc).cloned() else {
            return says(None, Verdict::Deferred(Reason::Gap));
        };
        let first_n = received.parts.first().map_or(1, |part| part.first_n);
        let arrival = Arrival {
            chain,
            n: route.n,
            link: Link::from_bytes(received.head[121..153].try_into().unwrap()),
            section,
            description,
            head: received.head,
            first_n: first_n as usize,
            items: items(received.parts)?,
            fork: received.fork,
        };
        let (from_n, verdict, new, fork) = self.grow(arrival);
        let receipt = ChainReceipt { chain: Some(chain), section: Some(section), from_n, verdict };
        Ok((receipt, new, fork))
    }

    /// The link to which changes lead from the first branch.
    pub fn leads_to(&self, chain: &ChainKey, n: u64, parts: &[Part]) -> Option<Link> {
        let (_, description) = self.about.get(&chain.doc)?;
        let mut grown = self.chains.get(chain)?.first()?.clone();
        let given = items(parts.to_vec()).ok()?;
        let skip = (grown.items.len() + 1).checked_sub(parts.first()?.first_n as usize)?;
        for item in given.into_iter().skip(skip) {
            push(&mut grown, chain, &description.space, item);
        }
        grown.links.last().copied().filter(|_| grown.items.len() as u64 == n)
    }

    fn grow(&mut self, arrival: Arrival) -> (u64, Verdict, u64, Option<ForkReport>) {
        let Arrival { chain, section, .. } = arrival;
        let fresh = || vec![empty(&arrival.description, &chain)];
        let branches = self.chains.entry(chain).or_insert_with(fresh);
        let at = arrival.n as usize - 1;
        if branches.iter().any(|branch| branch.links.get(at) == Some(&arrival.link)) {
            let held_n = branches[0].items.len() as u64;
            return (1, Verdict::Accepted { held_n }, 0, None);
        }
        for branch in branches.iter_mut() {
            if let Some((grown, new)) = extended(branch, &arrival) {
                let (held_n, from_n) = (grown.n, grown.n - new + 1);
                *branch = grown;
                self.news.push(News { section, chain, from_n });
                return (from_n, Verdict::Accepted { held_n }, new, None);
            }
        }
        let origin = empty(&arrival.description, &chain);
        if arrival.fork
            && let Some((grown, new)) = extended(&origin, &arrival)
        {
            let held_n = grown.n;
            branches.retain(|branch| !branch.items.is_empty());
            branches.push(grown);
            self.news.push(News { section, chain, from_n: 1 });
            let report = ForkReport { chain, new: true };
            return (1, Verdict::Accepted { held_n }, new, Some(report));
        }
        let branch = &mut branches[0];
        if branch.n < arrival.n && arrival.items.is_empty() {
            branch.n = arrival.n;
            branch.link = arrival.link;
            branch.head = arrival.head;
            return (1, Verdict::Deferred(Reason::Gap), 0, None);
        }
        let late = arrival.first_n > branch.items.len() + 1;
        if branch.items.is_empty() && branch.n == 0 {
            self.chains.remove(&chain);
        }
        let gap = Verdict::Deferred(Reason::Gap);
        (1, if late { gap } else { Verdict::Refused(Reason::Link) }, 0, None)
    }
}

/// The branch with what came behind it, if that leads to the head; and how much it was.
fn extended(branch: &Branch, arrival: &Arrival) -> Option<(Branch, u64)> {
    let mut grown = branch.clone();
    let keep = (arrival.first_n - 1).min(grown.items.len());
    let skip = grown.items.len() - keep;
    let same = grown.items[keep..].iter().zip(&arrival.items).all(|(a, b)| a == b);
    if keep + 1 < arrival.first_n || !same || arrival.items.len() < skip {
        return None;
    }
    for item in &arrival.items[skip..] {
        push(&mut grown, &arrival.chain, &arrival.description.space, item.clone());
    }
    grown.head = arrival.head;
    let leads = grown.links.last() == Some(&arrival.link);
    leads.then_some((grown, (arrival.items.len() - skip) as u64))
}

fn items(parts: Vec<Part>) -> Result<Vec<LogItem>, Nameless> {
    let mut items = Vec::new();
    for part in parts {
        let Content::Changes(Changes::Log(log)) = part.content else { return Err(Nameless) };
        items.extend(log);
    }
    Ok(items)
}
