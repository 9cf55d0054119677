//! Vouching for joins by own invitations, so that who comes new to a hub checks fewer signatures.

use crate::hash::{ChangeId, HubId};
use crate::limits::VOUCHED_JOINS_MAX;
use crate::model::entry::HubAction;
use crate::replica::{EngineError, Replica, State};

/// Joins that one operation is written for at least: with fewer it saves little.
const JOINS_MIN: usize = 32;
/// Operations that are written at once, in each hub.
const OPERATIONS_MAX: usize = 16;

impl Replica {
    /// Vouches for joins that count by invitations of this account, whose proofs were checked here
    /// and for which it does not vouch yet: in each hub that it is in, if they are at least 32.
    /// Returns for how many. Doing it twice writes nothing more, and where this device may not
    /// write nothing is written.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn vouch_for_joins(&self, now_ms: u64) -> Result<usize, EngineError> {
        let mut vouched = 0;
        for kept in self.hubs()? {
            let mut state = self.lock();
            let writes = state.own.is_some() && self.check_writer(&mut state).is_ok();
            if !writes || self.parts_to_vouch_for(&mut state, &kept.id)?.is_empty() {
                continue;
            }
            drop(state);
            let done = self.govern(|state, work| {
                let parts = self.parts_to_vouch_for(state, &kept.id)?;
                let count = parts.iter().map(Vec::len).sum::<usize>();
                for joins in parts {
                    let action = HubAction::Vouch { joins };
                    self.operate(state, work, &kept.id, action, "", now_ms)?;
                }
                Ok(count)
            });
            match done {
                // One hub in which nothing can be written now is no reason to pass over the others.
                Err(EngineError::Denied(_)) => {}
                done => vouched += done?,
            }
        }
        Ok(vouched)
    }

    /// The joins that this account is to vouch for in a hub, by operation.
    fn parts_to_vouch_for(
        &self,
        state: &mut State,
        hub: &HubId,
    ) -> Result<Vec<Vec<ChangeId>>, EngineError> {
        let Some(me) = state.own.as_ref().map(|own| own.account) else { return Ok(Vec::new()) };
        let Some(known) = self.hub_of(state, hub)? else { return Ok(Vec::new()) };
        if known.rank(&me).is_none() {
            return Ok(Vec::new());
        }
        let joins = known.unvouched(&me);
        let parts = joins.chunks(VOUCHED_JOINS_MAX).take(OPERATIONS_MAX);
        Ok(parts.filter(|part| part.len() >= JOINS_MIN).map(<[_]>::to_vec).collect())
    }
}
