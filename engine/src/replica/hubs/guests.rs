//! Private hubs: who may know of one. Devices of its members may, and who shows that he holds an
//! invitation; to anybody else it is as if it were not here.
//!
//! Who joins has nothing of the hub yet, and the node that he asks does not know him. So he tells it, with
//! his certificate path, which invitation he has, signed with the ticket's key for his account. The hub is
//! named by a hash with both devices: a node that does not have it learns nothing of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Ticket;
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::Space;
use crate::hash::{AccountId, ChangeId, DeviceId, HubId, SpaceId, derive};
use crate::hub::Hub;
use crate::identity::{DeviceSecret, Domain, Signature};
use crate::model::entry::{HubAction, HubGenesis};
use crate::replica::{EngineError, Replica, State};
use crate::store::{Table, keys};

/// First byte of what an invited device tells, where a conversation has its version.
const VERSION: u8 = 2;
/// Invited devices that are remembered.
const GUESTS_MAX: usize = 1024;
/// Tickets that are shown.
const TICKETS_MAX: usize = 64;
/// Devices that are remembered as told of one.
const HOSTS_MAX: usize = 64;

/// Who is invited to private hubs, since this replica was opened.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    /// Devices that showed an invitation here.
    guests: BTreeMap<(HubId, DeviceId), Guest>,
    /// Tickets that the own account shows.
    tickets: BTreeMap<HubId, Shown>,
    /// Devices that they were shown to.
    hosts: BTreeMap<HubId, Vec<DeviceId>>,
    /// How often a ticket was shown.
    showings: u64,
}

#[derive(Debug, Clone, Copy)]
struct Guest {
    account: AccountId,
    invite: ChangeId,
    /// How often he had been taken out when he showed it.
    expulsions: usize,
}

#[derive(Debug, Clone)]
struct Shown {
    invite: ChangeId,
    proof: [u8; 64],
    /// Which showing it was.
    number: u64,
    /// The own account is in, or was since.
    joined: bool,
    /// Whom a member told of it: each once.
    told: Vec<DeviceId>,
}

/// That somebody was invited.
struct Invited {
    blind: [u8; 32],
    invite: ChangeId,
    proof: Signature,
    /// Of his showings of tickets, since he was opened: a session tells the same bytes once.
    number: u64,
}

impl Invited {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).raw(&self.blind).raw(self.invite.as_bytes()).raw(self.proof.as_bytes());
        w.u64(self.number);
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let version = r.u8("version of an introduction")?;
        if version != VERSION {
            let reading = "version of an introduction";
            return Err(DecodeError::Unknown { reading, value: version });
        }
        let invited = Self {
            blind: r.array("name of a hub")?,
            invite: ChangeId::from_bytes(r.array("invitation")?),
            proof: Signature::from_bytes(r.array("proof")?),
            number: r.u64("number of a showing")?,
        };
        r.end()?;
        Ok(invited)
    }
}

/// Whether an invitation is over by the clock here, or there is none.
fn is_over(known: &Hub, invite: &ChangeId, now_ms: u64) -> bool {
    let found = known.invites().into_iter().find(|view| view.id == *invite);
    found.is_none_or(|view| view.expires_ms != 0 && now_ms > view.expires_ms)
}

/// Names a hub between two devices, to who knows it.
fn blind(hub: &HubId, guest: &DeviceId, host: &DeviceId) -> [u8; 32] {
    derive("mosaic hub guest 1", &[hub.as_bytes(), guest.as_bytes(), host.as_bytes()])
}

impl Replica {
    /// Whether a space is a private hub, as far as its beginning is here.
    pub(in crate::replica) fn private_hub(
        &self,
        state: &mut State,
        space: &SpaceId,
    ) -> Result<Option<HubId>, EngineError> {
        let Some(Space::Hub(hub)) = self.space_of(state, space)? else { return Ok(None) };
        Ok(self.is_private_hub(state, &hub)?.then_some(hub))
    }

    /// Whether a hub is private, as far as its beginning is here.
    pub(in crate::replica) fn is_private_hub(
        &self,
        state: &mut State,
        hub: &HubId,
    ) -> Result<bool, EngineError> {
        if let Some(private) = state.private_hubs.get(hub) {
            return Ok(*private);
        }
        let Some(bytes) = self.store.get(Table::Meta, &keys::hub_genesis(hub))? else {
            return Ok(false);
        };
        let genesis = HubGenesis::decode(&mut Reader::new(&bytes)).map_err(EngineError::corrupt)?;
        state.private_hubs.insert(*hub, genesis.private);
        Ok(genesis.private)
    }

    /// Whether a remote may know that a private hub is here.
    pub(crate) fn may_enter(
        &self,
        state: &mut State,
        remote: &DeviceId,
        hub: &HubId,
    ) -> Result<bool, EngineError> {
        let Some(known) = self.hub_of(state, hub)? else { return Ok(false) };
        let own = state.own.as_ref().map(|own| own.account);
        if let Some(own) = own
            && self.stands_for(state, &own, remote)?
        {
            return Ok(true);
        }
        // A device whose path was seen is asked for its own account alone.
        let of = self.known_device(state, remote)?.map(|known| known.device.account());
        let members: Vec<AccountId> = match of {
            Some(of) => known.rank(&of).map(|_| of).into_iter().collect(),
            None => known.members().into_keys().collect(),
        };
        for member in members {
            if self.stands_for(state, &member, remote)? {
                return Ok(!self.is_blocked(state, &member)?);
            }
        }
        if let Some(guest) = state.guests.guests.get(&(*hub, *remote)).copied()
            && known.admits(&guest.invite, &guest.account)
            && !is_over(&known, &guest.invite, state.now_ms)
            // Who was taken out since is let in when he shows it again.
            && known.expulsions(&guest.account) <= guest.expulsions
        {
            let authority = self.authority_of(state, &guest.account)?;
            let device = authority.as_ref().and_then(|known| known.devices.get(remote));
            return Ok(device.is_none_or(|device| device.revoked.is_none()));
        }
        // Who is invited and no member yet talks with those to whom he shows it, but for those of
        // whom he knows that they are no members.
        let outside = own.is_none_or(|own| known.rank(&own).is_none());
        let shown = state.guests.tickets.contains_key(hub)
            && state.guests.hosts.get(hub).is_some_and(|hosts| hosts.contains(remote));
        Ok(outside && shown && of.is_none_or(|of| known.rank(&of).is_some()))
    }

    /// Has peers told that this account was invited to a hub, so that who has it gives it, if it is
    /// private. Until this replica is closed.
    ///
    /// # Errors
    /// If there is no identity.
    pub fn show_ticket(&self, ticket: &Ticket<'_>) -> Result<(), EngineError> {
        let me = self.account()?;
        let Some(key): Option<&DeviceSecret> = ticket.key else { return Ok(()) };
        let message = HubAction::join_message(&ticket.hub, &ticket.invite, &me);
        let proof = key.sign(Domain::Invite, &message);
        let mut state = self.lock();
        if state.guests.tickets.len() >= TICKETS_MAX {
            let oldest = state.guests.tickets.pop_first();
            oldest.and_then(|(hub, _)| state.guests.hosts.remove(&hub));
        }
        state.guests.showings += 1;
        let number = state.guests.showings;
        let (invite, proof) = (ticket.invite, *proof.as_bytes());
        let shown = Shown { invite, proof, number, joined: false, told: Vec::new() };
        state.guests.tickets.insert(ticket.hub, shown);
        state.guests.hosts.remove(&ticket.hub);
        state.moves += 1;
        Ok(())
    }

    /// Ends the showing of a ticket: who has come in, or has left, tells nobody of it later.
    pub(super) fn end_showing(&self, hub: &HubId) {
        let mut state = self.lock();
        state.guests.tickets.remove(hub);
        state.guests.hosts.remove(hub);
    }

    /// What a remote is told of tickets.
    pub(in crate::replica) fn tickets_for(
        &self,
        state: &mut State,
        remote: &DeviceId,
    ) -> Result<Vec<Bytes>, EngineError> {
        let Some(own) = state.own.as_ref().map(|own| (own.account, own.device())) else {
            return Ok(Vec::new());
        };
        let tickets: Vec<_> =
            state.guests.tickets.iter().map(|(hub, one)| (*hub, one.clone())).collect();
        let mut told = Vec::new();
        for (hub, shown) in tickets {
            let joined =
                self.hub_of(state, &hub)?.is_some_and(|known| known.rank(&own.0).is_some());
            if joined {
                let hosts = state.guests.hosts.remove(&hub).unwrap_or_default();
                let Some(shown) = state.guests.tickets.get_mut(&hub) else { continue };
                shown.joined = true;
                shown.told.extend(hosts);
                // Told once all the same: who was taken out may not have heard of it.
                if shown.told.contains(remote) || shown.told.len() >= HOSTS_MAX {
                    continue;
                }
                shown.told.push(*remote);
            } else if shown.joined {
                // Who was in comes back by his own will alone.
                state.guests.tickets.remove(&hub);
                continue;
            } else {
                let hosts = state.guests.hosts.entry(hub).or_default();
                if !hosts.contains(remote) && hosts.len() < HOSTS_MAX {
                    hosts.push(*remote);
                }
            }
            let Shown { invite, proof, number, .. } = shown;
            let proof = Signature::from_bytes(proof);
            let blind = blind(&hub, &own.1, remote);
            told.push(Bytes::from(Invited { blind, invite, proof, number }.encode()));
        }
        Ok(told)
    }

    /// Lets in who shows an invitation to a private hub that is here; whether he is new.
    pub(in crate::replica) fn take_invited(
        &self,
        state: &mut State,
        (remote, account): (&DeviceId, &AccountId),
        told: &[u8],
    ) -> Result<bool, EngineError> {
        let Ok(invited) = Invited::decode(told) else { return Ok(false) };
        let Some(me) = state.own.as_ref().map(|own| own.device()) else { return Ok(false) };
        for kept in self.hubs_kept(state)? {
            let hub = kept.id;
            if blind(&hub, remote, &me) != invited.blind
                || !self.is_private_hub(state, &hub)?
                || self.is_blocked(state, account)?
            {
                continue;
            }
            let Some(known) = self.hub_of(state, &hub)? else { continue };
            // Remembered of a member too: that he has left may be on its way.
            let entered = self.may_enter(state, remote, &hub)?;
            let over = is_over(&known, &invited.invite, state.now_ms);
            let fresh = !over && !known.settings().joins_closed;
            let message = HubAction::join_message(&hub, &invited.invite, account);
            let signed = known.ticket_key(&invited.invite).is_some_and(|key| {
                self.verifier.verify(&key, Domain::Invite, &message, &invited.proof).is_ok()
            });
            if !fresh || !signed || !known.admits(&invited.invite, account) {
                return Ok(false);
            }
            if state.guests.guests.len() >= GUESTS_MAX {
                state.guests.guests.pop_first();
            }
            let (account, invite) = (*account, invited.invite);
            let guest = Guest { account, invite, expulsions: known.expulsions(&account) };
            state.guests.guests.insert((hub, *remote), guest);
            return Ok(!entered);
        }
        Ok(false)
    }
}
