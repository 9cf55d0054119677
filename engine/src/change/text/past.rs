//! What a text document holds, as the rules ask for it: which change is in whose past, and
//! which characters were there at some point of it.
//!
//! A chain's changes follow each other, so a causal past is one number a chain: a *clock*.
//! Changes that only follow their own chain share the clock of the one before, and characters
//! typed in a row are one run, so that the cost of a check does not grow with the text.

use std::collections::HashMap;
use std::sync::Arc;

use super::{MAKE_COUNTER, TextOperation, TextScan};
use crate::change::Actor;
use crate::change::prescan::OperationId;
use crate::hash::ChangeHash;

/// How many changes of each chain, by the chain's place; those beyond its end have none.
type Clock = Arc<[u32]>;

/// A change's place: its chain, and its number there.
type Place = (usize, u32);

/// Everything held of one document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    chains: Vec<Chain>,
    places: HashMap<Actor, usize>,
    changes: HashMap<ChangeHash, Place>,
    /// Which changes deleted a character: chain and counter of its insertion.
    deleted: HashMap<(usize, u32), Vec<Place>>,
}

#[derive(Debug, Clone)]
struct Chain {
    actor: Actor,
    changes: Vec<Known>,
    /// Characters inserted, by rising counter.
    runs: Vec<Run>,
    makes: bool,
}

#[derive(Debug, Clone)]
struct Known {
    first: u32,
    last: u32,
    /// What it had seen of other chains, and of its own up to some change before.
    clock: Clock,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    first: u32,
    count: u32,
    object: usize,
}

/// The causal past of some changes.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    clock: Vec<u32>,
    /// The greatest operation counter in it.
    pub(crate) highest: u64,
}

impl Seen {
    fn has(&self, place: Place) -> bool {
        self.clock.get(place.0).is_some_and(|n| *n >= place.1)
    }
}

impl Past {
    /// Number and hash-holding place of the newest change of a chain.
    pub(crate) fn length(&self, actor: &Actor) -> u64 {
        let chain = self.places.get(actor).and_then(|place| self.chains.get(*place));
        chain.map_or(0, |chain| chain.changes.len() as u64)
    }

    /// Whose a change is, and its number there.
    pub(crate) fn place_of(&self, hash: &ChangeHash) -> Option<(Actor, u64)> {
        let (chain, n) = self.changes.get(hash)?;
        Some((self.chains.get(*chain)?.actor, u64::from(*n)))
    }

    /// The past of changes that are all here, themselves included.
    pub(crate) fn seen(&self, dependencies: &[ChangeHash]) -> Option<Seen> {
        let mut seen = Seen { clock: vec![0; self.chains.len()], highest: 0 };
        for hash in dependencies {
            let (chain, n) = *self.changes.get(hash)?;
            let known = self.change((chain, n))?;
            for (mine, other) in seen.clock.iter_mut().zip(known.clock.iter()) {
                *mine = (*mine).max(*other);
            }
            let own = seen.clock.get_mut(chain)?;
            *own = (*own).max(n);
            seen.highest = seen.highest.max(u64::from(known.last));
        }
        Some(seen)
    }

    /// Whether a text is there.
    pub(crate) fn has_text(&self, seen: &Seen, object: &OperationId) -> bool {
        let Some(place) = self.places.get(&object.actor) else { return false };
        let makes = self.chains.get(*place).is_some_and(|chain| chain.makes);
        object.counter == MAKE_COUNTER && makes && seen.has((*place, 1))
    }

    /// Whether a character is there, in this text, and nobody has deleted it.
    pub(crate) fn has_character(
        &self,
        seen: &Seen,
        object: &OperationId,
        element: &OperationId,
    ) -> bool {
        let Some((chain, counter)) = self.character(object, element) else { return false };
        let Some(n) = self.number_of(chain, counter) else { return false };
        let deleted = self.deleted.get(&(chain, counter));
        seen.has((chain, n)) && !deleted.is_some_and(|by| by.iter().any(|by| seen.has(*by)))
    }

    /// Adds a change that the rules let in.
    pub(crate) fn add(&mut self, scan: &TextScan) -> Option<()> {
        let seen = self.seen(&scan.dependencies)?;
        let place = *self.places.entry(scan.actor).or_insert_with(|| {
            let chain =
                Chain { actor: scan.actor, changes: Vec::new(), runs: Vec::new(), makes: false };
            self.chains.push(chain);
            self.chains.len() - 1
        });
        let objects = &self.places;
        let chain = self.chains.get_mut(place)?;
        let n = u32::try_from(scan.sequence).ok()?;
        let first = u32::try_from(scan.start_operation).ok()?;
        let last = u32::try_from(scan.last_operation()).ok()?;
        // Where only the own chain went on, what it had seen of the others is the same.
        let same = chain.changes.last().filter(|before| {
            let others = |clock: &[u32]| {
                let others = clock.iter().enumerate().filter(|(at, n)| *at != place && **n > 0);
                others.map(|(at, n)| (at, *n)).collect::<Vec<_>>()
            };
            scan.dependencies.len() == 1 || others(&before.clock) == others(&seen.clock)
        });
        let clock = same.map_or_else(|| Clock::from(seen.clock), |before| before.clock.clone());
        chain.changes.push(Known { first, last, clock });
        self.changes.insert(scan.hash, (place, n));
        for (counter, operation) in (first..).zip(&scan.operations) {
            match operation {
                TextOperation::Make => chain.makes = true,
                TextOperation::Insert { object, .. } => {
                    let object = *objects.get(&object.actor)?;
                    match chain.runs.last_mut() {
                        Some(run) if run.object == object && run.first + run.count == counter => {
                            run.count += 1;
                        }
                        _ => chain.runs.push(Run { first: counter, count: 1, object }),
                    }
                }
                TextOperation::Delete { element, .. } => {
                    let of = *objects.get(&element.actor)?;
                    let counter = u32::try_from(element.counter).ok()?;
                    self.deleted.entry((of, counter)).or_default().push((place, n));
                }
            }
        }
        Some(())
    }

    /// Takes the last change of its chain out again.
    pub(crate) fn remove(&mut self, scan: &TextScan) -> Option<()> {
        let place = *self.places.get(&scan.actor)?;
        let (_, n) = self.changes.remove(&scan.hash)?;
        for operation in &scan.operations {
            if let TextOperation::Delete { element, .. } = operation {
                let key = (*self.places.get(&element.actor)?, u32::try_from(element.counter).ok()?);
                let by = self.deleted.get_mut(&key)?;
                by.retain(|by| *by != (place, n));
                if by.is_empty() {
                    self.deleted.remove(&key);
                }
            }
        }
        let chain = self.chains.get_mut(place)?;
        let first = chain.changes.pop()?.first;
        while let Some(run) = chain.runs.last_mut() {
            if run.first >= first {
                chain.runs.pop();
            } else {
                run.count = run.count.min(first - run.first);
                break;
            }
        }
        chain.makes = chain.makes && !chain.changes.is_empty();
        Some(())
    }

    fn change(&self, (chain, n): Place) -> Option<&Known> {
        let at = usize::try_from(n).ok()?.checked_sub(1)?;
        self.chains.get(chain)?.changes.get(at)
    }

    /// Chain and counter of a character of a text.
    fn character(&self, object: &OperationId, element: &OperationId) -> Option<(usize, u32)> {
        let place = *self.places.get(&element.actor)?;
        let counter = u32::try_from(element.counter).ok()?;
        let runs = &self.chains.get(place)?.runs;
        let after = runs.partition_point(|run| run.first <= counter);
        let run = runs.get(after.checked_sub(1)?)?;
        let fits = self.places.get(&object.actor) == Some(&run.object);
        (fits && counter - run.first < run.count).then_some((place, counter))
    }

    /// The number of the change of a chain that made an operation.
    fn number_of(&self, chain: usize, counter: u32) -> Option<u32> {
        let changes = &self.chains.get(chain)?.changes;
        let after = changes.partition_point(|known| known.first <= counter);
        u32::try_from(after).ok().filter(|n| *n > 0)
    }
}
