//! What is taken of a hub's documents from accounts that are no members: as much as joining takes.

use crate::description::{DocumentKind, Space};
use crate::replica::receive::Arrival;
use crate::replica::{EngineError, Replica, State};
use crate::sync::exchange::{Reason, Verdict};

/// Chains of one account that never was a member, of which the head is taken.
const STRANGER_CHAINS_MAX: usize = 16;
/// Documents of a hub by accounts that never were members.
const STRANGERS_DOCUMENTS_MAX: usize = 4_096;
/// Bytes of the log of such an account.
const STRANGER_LOG_BYTES_MAX: u64 = 64 * 1024;

impl Replica {
    /// What is said about a chain of a hub before its data are looked at; `None` if nothing
    /// speaks against it. The flag says that its head is not taken either.
    pub(in crate::replica) fn hub_limit(
        &self,
        state: &mut State,
        arrival: &Arrival,
    ) -> Result<Option<Verdict>, EngineError> {
        let description = &arrival.description;
        let Space::Hub(hub) = description.space else { return Ok(None) };
        let account = description.account;
        let me = state.own.as_ref().map(|own| own.account);
        let known = self.hub_of(state, &hub)?;
        if Some(account) == me || known.as_ref().is_some_and(|known| known.was_member(&account)) {
            return Ok(None);
        }
        let (mut chains, mut documents, mut bytes) = (0, 0, 0);
        for (doc, other) in self.documents(state, &arrival.section.space)? {
            if other.account == account {
                let here = self.chains_of(state, &doc)?;
                chains += here.len();
                if other.kind == DocumentKind::HubLog {
                    bytes += here.iter().map(|(_, chain)| chain.bytes).sum::<u64>();
                }
            }
            documents += 1;
        }
        let new = arrival.chain.known == 0;
        let members = known.as_ref().map_or(0, |known| known.accounts_known());
        if new
            && (chains >= STRANGER_CHAINS_MAX
                || documents >= STRANGERS_DOCUMENTS_MAX + 64 * members)
        {
            return Ok(Some(Verdict::Refused(Reason::Quota)));
        }
        if description.kind == DocumentKind::Channel {
            return Ok(Some(Verdict::Deferred(Reason::Authority)));
        }
        Ok((bytes >= STRANGER_LOG_BYTES_MAX).then_some(Verdict::Deferred(Reason::Quota)))
    }
}
