//! The changes of one received chain, built or named one by one and proven by its head.

use bytes::Bytes;

use super::receive::{Arrival, Stop, deferred, refused};
use super::{ChainState, EngineError, Replica};
use crate::chain::{ChainKey, extend};
use crate::change::{Actor, log};
use crate::hash::{ChangeHash, ChangeId, Link, SpaceId};
use crate::sync::exchange::Reason;
use crate::wire::{Changes, Content, Part};

/// One change on its way in.
pub(super) struct Step {
    pub id: ChangeId,
    pub data: StepData,
}

impl Step {
    /// The stored bytes; none if only the id came.
    pub fn bytes(&self) -> Bytes {
        match &self.data {
            StepData::Raw(bytes) => bytes.clone(),
            StepData::Log(change) => change.bytes.clone(),
            StepData::Id => Bytes::new(),
        }
    }

    /// The stored bytes, of a change that came whole as such.
    pub fn raw(&self) -> Option<&Bytes> {
        match &self.data {
            StepData::Raw(bytes) => Some(bytes),
            StepData::Log(_) | StepData::Id => None,
        }
    }
}

/// A log change, built of what came.
pub(super) struct Built {
    pub hash: ChangeHash,
    pub bytes: Bytes,
    pub time_ms: u64,
    pub tag: u32,
    pub value: Bytes,
}

pub(super) enum StepData {
    Log(Built),
    Raw(Bytes),
    Id,
}

impl Replica {
    /// Turns parts into consecutive changes with ids and links, and proves them by the
    /// head. What is held already is skipped.
    pub(super) fn steps(
        &self,
        arrival: &Arrival,
        parts: &[Part],
        whole: bool,
    ) -> Result<Vec<Step>, Stop> {
        let Arrival { key, chain, section, .. } = arrival;
        let log_document = arrival.description.kind.is_log();
        let run = Run { key, chain, space: &section.space, log_document, n_max: arrival.head.n };
        let (steps, n, link) = self.go_through(&run, parts, whole)?;
        if !steps.is_empty() && (n != arrival.head.n || link != arrival.head.link) {
            return Err(refused(Reason::Link));
        }
        Ok(steps)
    }

    /// The link after change `n` to which parts lead from what is held of a chain.
    pub(super) fn led_to(
        &self,
        key: &ChainKey,
        n: u64,
        parts: &[Part],
    ) -> Result<Option<Link>, EngineError> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, &key.doc)? else { return Ok(None) };
        let space = description.space.id();
        let chain = self.chain(&mut state, &space, key)?;
        drop(state);
        let log_document = description.kind.is_log();
        let run = Run { key, chain: &chain, space: &space, log_document, n_max: n };
        match self.go_through(&run, parts, false) {
            Ok((_, end, link)) => Ok(Some(link).filter(|_| end == n)),
            Err(Stop::Verdict(_)) => Ok(None),
            Err(Stop::Engine(error)) => Err(error),
        }
    }

    /// Goes through parts from what is held on: the changes, the number of the last one and the
    /// link after it.
    fn go_through(
        &self,
        run: &Run<'_>,
        parts: &[Part],
        whole: bool,
    ) -> Result<(Vec<Step>, u64, Link), Stop> {
        let Run { key, chain, space, log_document, n_max } = *run;
        let origin = key.origin(space);
        let (mut n, mut link, mut last) =
            if whole { (0, origin, None) } else { (chain.held, chain.link, chain.last) };
        let builder = Builder { actor: Actor::of(key), tag: log::tag(&origin) };
        let mut steps = Vec::new();
        let ahead = parts.first().is_some_and(|part| part.first_n > n + 1);
        if ahead && !whole {
            // They go on after what is known but not kept: its ids stand in for it.
            for id in self.bridge(key, chain)?.unwrap_or_default() {
                n += 1;
                link = extend(&link, n, &id);
                last = None;
                steps.push(Step { id, data: StepData::Id });
            }
        }
        for part in parts {
            if part.first_n > n + 1 {
                return Err(deferred(Reason::Gap));
            }
            let skip = usize::try_from(n + 1 - part.first_n).unwrap_or(usize::MAX);
            let items = split(&part.content, log_document).ok_or(refused(Reason::Malformed))?;
            for item in items.into_iter().skip(skip) {
                if n >= n_max {
                    return Err(refused(Reason::Link));
                }
                n += 1;
                let (id, data) = builder.step(n, &mut last, item)?;
                link = extend(&link, n, &id);
                steps.push(Step { id, data });
            }
        }
        Ok((steps, n, link))
    }
}

/// Where changes go on.
struct Run<'a> {
    key: &'a ChainKey,
    chain: &'a ChainState,
    space: &'a SpaceId,
    log_document: bool,
    /// No change comes after this one.
    n_max: u64,
}

struct Builder {
    actor: Actor,
    tag: u32,
}

enum Item<'a> {
    Log(&'a crate::wire::LogItem),
    Raw(&'a Bytes),
    Id(&'a ChangeId),
}

/// The items of a part; `None` if they do not fit the document.
fn split(content: &Content, log_document: bool) -> Option<Vec<Item<'_>>> {
    match content {
        Content::Changes(Changes::Log(items)) if log_document => {
            Some(items.iter().map(Item::Log).collect())
        }
        Content::Changes(Changes::Raw(items)) if !log_document => {
            Some(items.iter().map(Item::Raw).collect())
        }
        Content::Ids(ids) => Some(ids.iter().map(Item::Id).collect()),
        Content::Changes(_) => None,
    }
}

impl Builder {
    /// Builds or names one change.
    fn step(
        &self,
        n: u64,
        last: &mut Option<ChangeHash>,
        item: Item<'_>,
    ) -> Result<(ChangeId, StepData), Stop> {
        match item {
            Item::Log(item) => {
                let previous = if n == 1 { None } else { *last };
                if n > 1 && previous.is_none() {
                    return Err(deferred(Reason::Gap));
                }
                let (time_ms, value) = (item.time_ms, item.value.clone());
                let built = log::build(self.actor, n, previous, self.tag, time_ms, &value)
                    .map_err(|_| refused(Reason::InvalidChange))?;
                *last = Some(built.hash);
                let (hash, bytes) = (built.hash, built.bytes.into());
                let change = Built { hash, bytes, time_ms, tag: self.tag, value };
                Ok((built.id, StepData::Log(change)))
            }
            Item::Raw(bytes) => Ok((ChangeId::of(bytes), StepData::Raw(bytes.clone()))),
            Item::Id(id) => {
                *last = None;
                Ok((*id, StepData::Id))
            }
        }
    }
}
