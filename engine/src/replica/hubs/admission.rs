//! What is taken of a hub's documents from accounts that are no members: as much as joining takes.

use crate::description::{Description, DocumentKind, Space};
use crate::replica::receive::Arrival;
use crate::replica::{EngineError, Replica, State};
use crate::sync::exchange::{Reason, Verdict};

/// Chains of one account that never was a member, of which the head is taken.
const STRANGER_CHAINS_MAX: usize = 16;
/// Documents of a hub by accounts that never were members.
const STRANGERS_DOCUMENTS_MAX: usize = 4_096;
/// Documents of a hub of which it is not known yet who its members are.
const UNKNOWN_DOCUMENTS_MAX: usize = 65_536;
/// Bytes of the log of such an account.
const STRANGER_LOG_BYTES_MAX: u64 = 64 * 1024;

impl Replica {
    /// What is said about a chain of a hub before its data are looked at; `None` if nothing
    /// speaks against it.
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
            let member = known.as_ref().is_some_and(|known| known.was_member(&other.account));
            documents += usize::from(!member);
        }
        let room = match &known {
            Some(_) => STRANGERS_DOCUMENTS_MAX,
            None => UNKNOWN_DOCUMENTS_MAX,
        };
        if arrival.chain.known == 0 && (chains >= STRANGER_CHAINS_MAX || documents >= room) {
            return Ok(Some(Verdict::Refused(Reason::Quota)));
        }
        if description.kind == DocumentKind::Channel {
            return Ok(Some(Verdict::Deferred(Reason::Authority)));
        }
        Ok((bytes >= STRANGER_LOG_BYTES_MAX).then_some(Verdict::Deferred(Reason::Quota)))
    }

    /// Whether more of a document of a hub is not asked for: it is by somebody who never was a
    /// member, and is a page of a channel, or a log of which enough is here.
    pub(in crate::replica) fn is_strangers(
        &self,
        state: &mut State,
        description: &Description,
        held: u64,
    ) -> Result<bool, EngineError> {
        let Space::Hub(hub) = description.space else { return Ok(false) };
        if state.own.as_ref().is_some_and(|own| own.account == description.account) {
            return Ok(false);
        }
        let known = self.hub_of(state, &hub)?;
        if known.is_none_or(|known| known.was_member(&description.account)) {
            return Ok(false);
        }
        Ok(description.kind == DocumentKind::Channel || held > 0)
    }
}
