//! Changes of a map that came together are taken together.

use super::maps::{Opened, has_room};
use super::receive::Arrival;
use super::steps::Step;
use super::{EngineError, Replica, State, Work};
use crate::chain::extend;
use crate::change::Actor;
use crate::description::DocumentKind;

impl Replica {
    /// Takes received map changes whose places in the chain are proven, up to the first about
    /// which something is to be said, or that is not shown. Returns how many.
    pub(super) fn store_map_run(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        steps: &[Step],
        last_n: u64,
    ) -> Result<u64, EngineError> {
        let Arrival { description, key, section, .. } = arrival;
        if description.kind.is_log() || description.kind == DocumentKind::Text || steps.len() < 2 {
            return Ok(0);
        }
        self.load_map(state, description)?;
        let mut chain = self.chain(state, &section.space, key)?;
        let actor = Actor::of(key);
        let tip = state.maps.get(&key.doc).map(|map| map.tip(&actor).map_or(0, |(n, _)| n));
        if tip != Some(chain.held) || state.shown.contains_key(&key.doc) {
            return Ok(0);
        }
        let mut chunks = Vec::new();
        for step in steps {
            let n = chain.held + 1;
            let Some(bytes) = step.raw().filter(|bytes| has_room(&chain, bytes.len())) else {
                break;
            };
            if n > last_n || self.is_hidden(state, description, key, n)? {
                break;
            }
            let opened = self.open_change(state, description, key, n, chain.link, bytes)?;
            let Opened::Plain(plain) = opened else { break };
            chain.held = n;
            chain.bytes += bytes.len() as u64;
            chain.link = extend(&chain.link, n, &step.id);
            chunks.push(plain);
        }
        let Some(map) = state.maps.get_mut(&key.doc).filter(|_| chunks.len() > 1) else {
            return Ok(0);
        };
        state.dirty = true;
        let hashes = map.extend(actor, chunks.iter().map(Vec::as_slice));
        let count = hashes.len() as u64;
        for (hash, step) in hashes.into_iter().zip(steps) {
            Self::arrived(state, &key.doc, &hash);
            let stored = step.bytes().to_vec();
            self.add_map_change(state, work, description, *key, stored, Some(hash), false)?;
        }
        Ok(count)
    }
}
