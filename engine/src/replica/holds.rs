//! Receipts: what other devices signed that they hold of what this account wrote and of its hubs.
//!
//! ```text
//! key    H ‖ space ‖ device
//! value  version 1 ‖ receipt 113 ‖ checked_ms u64 ‖ failed_ms u64
//! ```
//!
//! A receipt is taken over the connection of the device that signed it, and from nobody else. It says
//! what its signer claims; whether it is true is looked at by asking for parts of bodies.

use super::bodies::BodyState;
use super::wanted::PACKED_BODY_BYTES_MAX;
use super::{EngineError, Replica, State};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{Section, SectionClass, Space};
use crate::entropy::random;
use crate::hash::{DeviceId, SpaceId};
use crate::store::{Batch, Table, keys};
use crate::sync::exchange::Look;
use crate::wire::{Hold, PROBE_BYTES_MAX, Probe};

/// How long a receipt says that something is held.
const HOLD_MS: u64 = 14 * DAY_MS;
/// Age at which another is asked for though nothing changed.
const RENEW_MS: u64 = DAY_MS;
/// Devices of which receipts of one space are kept: own ones, then those heard last.
const HOLDERS_MAX: usize = 64;
/// Documents that are looked at for a body to ask for.
const TRIES: usize = 8;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const VERSION: u8 = 1;

/// Classes in the order of their bits.
const CLASSES: [SectionClass; 4] =
    [SectionClass::Authority, SectionClass::Public, SectionClass::Visitors, SectionClass::Private];

/// What one device says it holds of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The device.
    pub device: DeviceId,
    /// When it said so, by its clock; not later than it was heard here.
    pub at_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// It is all that is known here.
    pub complete: bool,
    /// It says that it holds what is private too, sealed.
    pub private: bool,
    /// When it last showed that it has a part of it.
    pub checked_ms: Option<u64>,
    /// When it last failed to, if it has not shown it since.
    pub failed_ms: Option<u64>,
}

/// A row.
#[derive(Debug, Clone, Copy)]
struct Kept {
    hold: Hold,
    checked_ms: u64,
    failed_ms: u64,
}

impl Kept {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION);
        self.hold.encode(&mut w);
        w.u64(self.checked_ms).u64(self.failed_ms);
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let version = r.u8("version of a receipt")?;
        if version != VERSION {
            return Err(DecodeError::Unknown { reading: "version of a receipt", value: version });
        }
        let hold = Hold::decode(&mut r)?;
        let kept = Self { hold, checked_ms: r.u64("time")?, failed_ms: r.u64("time")? };
        r.end()?;
        Ok(kept)
    }
}

impl Replica {
    /// Devices that signed that they hold a space, and whose word is still good, the latest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn holders(&self, space: &Space, now_ms: u64) -> Result<Vec<Holder>, EngineError> {
        let space = space.id();
        let mut holders = Vec::new();
        for (device, kept) in self.receipts(&space)? {
            let Hold { classes, digest, at_ms, until_ms, .. } = kept.hold;
            if until_ms <= now_ms {
                continue;
            }
            let time = |ms: u64| Some(ms).filter(|ms| *ms > 0);
            holders.push(Holder {
                device,
                at_ms,
                until_ms,
                complete: self.hold_digest(&mut self.lock(), &space, classes)? == digest,
                private: classes & bit(SectionClass::Private) != 0,
                checked_ms: time(kept.checked_ms),
                failed_ms: time(kept.failed_ms),
            });
        }
        holders.sort_by_key(|holder| (std::cmp::Reverse(holder.at_ms), holder.device));
        Ok(holders)
    }

    fn receipts(&self, space: &SpaceId) -> Result<Vec<(DeviceId, Kept)>, EngineError> {
        let mut read = Vec::new();
        for (key, row) in self.scan_all(Table::Meta, &keys::holds(space))? {
            // A row that does not read is as good as none: another is asked for.
            if let (Some(device), Ok(kept)) = (keys::parse_hold(&key), Kept::decode(&row)) {
                read.push((device, kept));
            }
        }
        Ok(read)
    }

    fn receipt(&self, space: &SpaceId, device: &DeviceId) -> Result<Option<Kept>, EngineError> {
        let row = self.store.get(Table::Meta, &keys::hold(space, device))?;
        Ok(row.and_then(|row| Kept::decode(&row).ok()))
    }

    fn hold_digest(
        &self,
        state: &mut State,
        space: &SpaceId,
        classes: u8,
    ) -> Result<[u8; 32], EngineError> {
        let mut sections = Vec::new();
        for class in CLASSES.into_iter().filter(|class| classes & bit(*class) != 0) {
            let section = Section { space: *space, class };
            sections.push((class, self.section_digest(state, &section)?));
        }
        Ok(Hold::digest_of(&sections))
    }

    /// See [`Exchange::holds_due`].
    pub(super) fn receipts_due(
        &self,
        remote: &DeviceId,
        first: bool,
        now_ms: u64,
    ) -> Result<Vec<SpaceId>, EngineError> {
        let mut state = self.lock();
        let Some(own) = state.own.as_ref() else { return Ok(Vec::new()) };
        let mut spaces = vec![Space::Account(own.account).id()];
        let hubs = self.hubs_kept(&mut state)?.into_iter().filter(|hub| hub.listed);
        spaces.extend(hubs.map(|hub| Space::Hub(hub.id).id()));
        let mut due = Vec::new();
        for space in spaces {
            let stands = match self.receipt(&space, remote)?.filter(|_| !first) {
                None => false,
                Some(Kept { hold, .. }) => {
                    hold.at_ms + RENEW_MS > now_ms
                        && self.hold_digest(&mut state, &space, hold.classes)? == hold.digest
                }
            };
            if !stands {
                due.push(space);
            }
        }
        Ok(due)
    }

    /// See [`Exchange::hold`].
    pub(super) fn sign_hold(
        &self,
        remote: &DeviceId,
        space: &SpaceId,
        now_ms: u64,
    ) -> Result<Option<Hold>, EngineError> {
        let mut sections = Vec::new();
        for class in [SectionClass::Authority, SectionClass::Public, SectionClass::Private] {
            let section = Section { space: *space, class };
            let private = class == SectionClass::Private;
            // Who may not read it costs nothing.
            if !self.readable(remote, &section)? {
                if private {
                    continue;
                }
                return Ok(None);
            }
            let before = self.section_digest(&mut self.lock(), &section)?;
            if self.holds_whole(&section)? {
                sections.push((section, before));
            } else if !private {
                return Ok(None);
            }
        }
        let mut state = self.lock();
        let mut classes = 0;
        for (section, before) in sections {
            // What came in between was not looked at.
            if self.section_digest(&mut state, &section)? != before {
                return Ok(None);
            }
            classes |= bit(section.class);
        }
        let digest = self.hold_digest(&mut state, space, classes)?;
        let Some(own) = state.own.as_ref() else { return Ok(None) };
        let times = (now_ms, now_ms.saturating_add(HOLD_MS));
        Ok(Some(Hold::sign(&own.secret, space, (classes, digest), times)))
    }

    /// Whether all that is known of a section is here, but for what is void for everybody.
    fn holds_whole(&self, section: &Section) -> Result<bool, EngineError> {
        let mut state = self.lock();
        let private = section.class == SectionClass::Private;
        let kept = self.sections_kept(&mut state)?.contains(section)
            // Of a private section nothing comes unless the account lets it be kept.
            && (!private || !self.section_tips(&mut state, section)?.is_empty())
            && !self.is_limited(&mut state, section)?
            && !self.may_lack(&mut state, section)?
            && !self.passes_over(&mut state, section)?;
        drop(state);
        let missing = || {
            self.section_missing(section).map_err(|error| EngineError::Invalid(error.to_string()))
        };
        Ok(kept && missing()? == 0)
    }

    /// See [`Exchange::take_hold`].
    pub(super) fn note_hold(
        &self,
        remote: &DeviceId,
        space: &SpaceId,
        hold: &Hold,
        now_ms: u64,
    ) -> Result<Option<Option<Look>>, EngineError> {
        if !hold.is_by(remote, space, &self.verifier) {
            return Ok(None);
        }
        // The signature is over what the clock there said; what is kept is as far as it can be true.
        let at_ms = hold.at_ms.min(now_ms);
        let until_ms = hold.until_ms.min(now_ms.saturating_add(HOLD_MS));
        let whole = bit(SectionClass::Authority) | bit(SectionClass::Public);
        if until_ms <= now_ms || hold.classes & whole != whole {
            return Ok(Some(None));
        }
        // One from a time that has not come is no reason to pass over what is heard now.
        let known = self.receipt(space, remote)?;
        if known.is_some_and(|known| (at_ms.saturating_add(1)..=now_ms).contains(&known.hold.at_ms))
        {
            return Ok(Some(None));
        }
        let (checked_ms, failed_ms) =
            known.map_or((0, 0), |known| (known.checked_ms, known.failed_ms));
        let kept = Kept { hold: Hold { at_ms, until_ms, ..*hold }, checked_ms, failed_ms };
        let mut batch = Batch::new();
        if known.is_none() && !self.make_receipt_room(remote, space, now_ms, &mut batch)? {
            return Ok(Some(None));
        }
        batch.put(Table::Meta, keys::hold(space, remote), kept.encode());
        // Nobody waits for it: lost in a crash, it is asked for again.
        let written = self.store.submit(batch)?;
        let look = self.choose_probe(space, hold)?;
        if look.is_some() {
            // The answer is noted in the row.
            written.wait()?;
        }
        Ok(Some(look))
    }

    /// Lets go of receipts that ran out, and of those heard longest ago of other accounts' devices
    /// where there are too many; whether there is room for one of `remote`.
    fn make_receipt_room(
        &self,
        remote: &DeviceId,
        space: &SpaceId,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<bool, EngineError> {
        let mut others = self.receipts(space)?;
        others.retain(|(device, other)| {
            let stands = other.hold.until_ms > now_ms;
            if !stands {
                batch.delete(Table::Meta, keys::hold(space, device));
            }
            stands
        });
        let mut state = self.lock();
        let me = state.own.as_ref().map(|own| own.account);
        let authority = match &me {
            Some(me) => self.authority_of(&mut state, me)?,
            None => None,
        };
        let own = |device: &DeviceId| authority.as_ref().is_some_and(|a| a.may_write(device));
        let over = (others.len() + 1).saturating_sub(HOLDERS_MAX);
        let mut strange: Vec<_> = others.iter().filter(|(device, _)| !own(device)).collect();
        if strange.len() < over && !own(remote) {
            return Ok(false);
        }
        strange.sort_by_key(|(device, other)| (other.hold.at_ms, *device));
        for (device, _) in strange.into_iter().take(over) {
            batch.delete(Table::Meta, keys::hold(space, device));
        }
        Ok(true)
    }

    /// A part of a body that is here, and what somebody who has it answers. Nothing where the
    /// receipt is not about what is here: its signer may never have had that body, or have it no
    /// more.
    fn choose_probe(&self, space: &SpaceId, hold: &Hold) -> Result<Option<Look>, EngineError> {
        let mut state = self.lock();
        if self.hold_digest(&mut state, space, hold.classes)? != hold.digest {
            return Ok(None);
        }
        let mut docs = self.documents(&mut state, space)?;
        docs.retain(|(_, description)| description.kind.is_log());
        for _ in 0..TRIES {
            let at = self.below(docs.len());
            let Some((doc, description)) = docs.get(at) else { break };
            if self.section_of(&mut state, description)?.class != SectionClass::Public {
                continue;
            }
            let chains = self.chains_of(&mut state, doc)?;
            let Some((chain, known)) = chains.get(self.below(chains.len())) else { continue };
            let count = usize::try_from(known.held).unwrap_or(usize::MAX);
            let first = 1 + self.below(count) as u64;
            for body in self.chain_bodies(chain, first, known.held.min(first + 7))? {
                let row = self.body_row(&body.hash, doc)?;
                let Some(row) = row.filter(|row| BodyState::parse(row) == Some(BodyState::Held))
                else {
                    continue;
                };
                if body.size == 0 || body.size > PACKED_BODY_BYTES_MAX {
                    continue;
                }
                let Some(bytes) = self.held_bytes_in(&row, &body.hash)? else { continue };
                let from = self.below(bytes.len()) as u64;
                let len = PROBE_BYTES_MAX.min(bytes.len() as u64 - from);
                let probe = Probe { body: body.hash, from, len, nonce: random(&*self.entropy) };
                return Ok(probe.answer(&bytes).map(|answer| (probe, answer)));
            }
        }
        Ok(None)
    }

    /// A number below `end`, or 0.
    fn below(&self, end: usize) -> usize {
        let number = u64::from_be_bytes(random(&*self.entropy));
        number.checked_rem(end as u64).and_then(|rest| usize::try_from(rest).ok()).unwrap_or(0)
    }

    /// See [`Exchange::answer`].
    pub(super) fn answer_probe(
        &self,
        remote: &DeviceId,
        probe: &Probe,
    ) -> Result<Option<[u8; 32]>, EngineError> {
        // Before it is read and hashed: whoever asks chooses which, and files are large.
        if self.held_size(&probe.body)?.is_none_or(|size| size > PACKED_BODY_BYTES_MAX) {
            return Ok(None);
        }
        let body = self.given_body(remote, &probe.body)?;
        Ok(body.and_then(|body| probe.answer(&body)))
    }

    /// See [`Exchange::note_probed`].
    pub(super) fn note_probe(
        &self,
        remote: &DeviceId,
        space: &SpaceId,
        held: bool,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let Some(mut kept) = self.receipt(space, remote)? else { return Ok(()) };
        if held {
            (kept.checked_ms, kept.failed_ms) = (now_ms, 0);
        } else {
            kept.failed_ms = now_ms;
        }
        let mut batch = Batch::new();
        batch.put(Table::Meta, keys::hold(space, remote), kept.encode());
        // What comes next from there is written over it.
        self.store.commit(batch)?;
        Ok(())
    }

    /// Forgets receipts of a device.
    pub(super) fn forget_receipts(
        &self,
        device: &DeviceId,
        batch: &mut Batch,
    ) -> Result<(), EngineError> {
        for (key, _) in self.scan_all(Table::Meta, keys::HOLDS)? {
            if keys::parse_hold(&key) == Some(*device) {
                batch.delete(Table::Meta, key);
            }
        }
        Ok(())
    }
}

const fn bit(class: SectionClass) -> u8 {
    1 << (class as u8 - 1)
}
