//! Names, topics and reasons of private hubs and channels: sealing them when an operation is written,
//! and opening those of a hub as far as keys are here.

use std::collections::{BTreeMap, VecDeque};

use super::private::place_of;
use crate::description::Description;
use crate::hash::{ChangeId, HubId};
use crate::hub::{ClosedTexts, Hub, TextCircle, texts_of_channel, texts_of_hub};
use crate::model::entry::{HubOperation, OpenedTexts};
use crate::replica::conversations::{Circle, Hints, Keys, KnownEpoch, open_with};
use crate::replica::{EngineError, Replica, State, Work};
use crate::seal::{EpochKey, SealedEntry, hint_of};

/// Keys of names that one ticket brings along.
pub const INVITATION_KEYS_MAX: usize = 4;

/// The key that the texts of an operation are sealed with, and whether it is a new one of a channel
/// that the operation creates.
pub(super) struct TextKey {
    pub key: EpochKey,
    pub of_new: bool,
}

impl Replica {
    /// The key for the texts of an operation that is about to be written; `None` if it has none, or they
    /// stand in the clear.
    pub(super) fn text_key(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        operation: &HubOperation,
        now_ms: u64,
    ) -> Result<Option<TextKey>, EngineError> {
        if operation.clone().take_texts().is_none() {
            return Ok(None);
        }
        let circle = match self.known_hub(state, hub)?.text_circle(&operation.action) {
            None => return Ok(None),
            Some(TextCircle::NewReaders) => {
                let key = EpochKey::generate(&*self.entropy);
                return Ok(Some(TextKey { key, of_new: true }));
            }
            // Of who is no member nothing counts: what he writes is refused, with the reason for that.
            Some(TextCircle::Members) if !self.is_member_of(state, hub)? => {
                let key = EpochKey::generate(&*self.entropy);
                return Ok(Some(TextKey { key, of_new: false }));
            }
            Some(TextCircle::Members) => texts_of_hub(hub),
            Some(TextCircle::Readers(channel)) => texts_of_channel(&channel),
        };
        // What this commit has opened cannot be read yet.
        let name = Circle::Channel(*hub, circle);
        let key = match work.text_keys.get(&name) {
            Some(key) => key.clone(),
            None => self.channel_key(state, work, (hub, &circle), now_ms)?,
        };
        work.text_keys.insert(name, key.clone());
        Ok(Some(TextKey { key, of_new: false }))
    }

    fn is_member_of(&self, state: &mut State, hub: &HubId) -> Result<bool, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        Ok(self.known_hub(state, hub)?.rank(&me).is_some())
    }

    /// Seals the texts of an operation that is going to stand next on a page of the own log.
    pub(super) fn seal_texts(
        &self,
        state: &mut State,
        page: &Description,
        operation: &mut HubOperation,
        key: &EpochKey,
    ) -> Result<(), EngineError> {
        let Some(plain) = operation.take_texts() else { return Ok(()) };
        // Sealed, nobody would refuse it, and nobody open it.
        operation.with_texts(&plain).map_err(|error| EngineError::Invalid(error.to_string()))?;
        let (chain_key, chain) = self.own_chain(state, page)?;
        let place = place_of(page, chain_key, chain.held + 1);
        let sealed = SealedEntry::seal(key, &place, &operation.clear(), &plain, &*self.entropy)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        operation.texts = Some(sealed);
        Ok(())
    }

    /// Gives the readers of a channel that was just created the key of its texts.
    pub(super) fn give_text_key(
        &self,
        state: &mut State,
        work: &mut Work,
        (hub, channel): (&HubId, &ChangeId),
        key: EpochKey,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let texts = texts_of_channel(channel);
        let (circle, _, devices) = self.channel_devices(state, work, (hub, &texts), now_ms)?;
        work.text_keys.insert(circle, key.clone());
        self.give_new_key(state, work, &circle, key, &devices, now_ms)
    }

    /// Keys that whoever is invited to a private hub gets along with the ticket, so that it has names for
    /// him at once: of those that all members share and that something is sealed with the one of the hub's
    /// own name, then the newest and the oldest by turns. The others are passed on to him like all keys. Of a
    /// public hub there are none.
    ///
    /// # Errors
    /// If the hub is not here, or the store fails.
    pub fn invitation_keys(&self, hub: &HubId) -> Result<Vec<EpochKey>, EngineError> {
        let mut state = self.lock();
        let name = texts_of_hub(hub);
        let known = self.known_hub(&mut state, hub)?;
        let used: Hints = known.text_hints(&name).collect();
        let of_name = known.name_hint();
        drop(known);
        let circle = Circle::Channel(*hub, name);
        let Some(talk) = self.channel_talk(&mut state, hub, &name)? else { return Ok(Vec::new()) };
        let named = talk.epochs.iter().filter(|(epoch, _)| used.contains(&hint_of(epoch)));
        let mut epochs: Vec<_> = named.collect();
        epochs.sort_by_key(|(epoch, known)| (known.since_ms, **epoch));
        let (first, rest): (Vec<_>, Vec<_>) =
            epochs.into_iter().partition(|(epoch, _)| Some(hint_of(epoch)) == of_name);
        let mut key = |(epoch, known): (&_, &_)| self.circle_key(&mut state, &circle, epoch, known);
        let mut keys: Vec<EpochKey> = first.into_iter().filter_map(&mut key).collect();
        let mut rest: VecDeque<EpochKey> = rest.into_iter().filter_map(key).collect();
        while let Some(newest) = rest.pop_back() {
            keys.push(newest);
            keys.extend(rest.pop_front());
        }
        keys.truncate(INVITATION_KEYS_MAX);
        Ok(keys)
    }

    /// Takes keys that came with a ticket, with the next commit.
    pub(super) fn keep_text_keys(&self, state: &mut State, hub: &HubId, keys: &[EpochKey]) {
        for key in keys.iter().take(INVITATION_KEYS_MAX) {
            self.keep_key(state, &Circle::Channel(*hub, texts_of_hub(hub)), key);
        }
        state.key_changes += 1;
    }

    /// Opens the texts of a hub for which a key has come since this was done last.
    pub(super) fn open_texts(
        &self,
        state: &mut State,
        id: &HubId,
        hub: &Hub,
    ) -> Result<(), EngineError> {
        let now = (state.hub_changes, state.key_changes);
        if state.own.is_none() || state.texts_opened.get(id) == Some(&now) {
            return Ok(());
        }
        let mut keys: BTreeMap<ChangeId, Keys> = BTreeMap::new();
        let mut opened: Vec<(ChangeId, OpenedTexts)> = Vec::new();
        for closed in hub.closed_texts() {
            for name in &closed.circles {
                if !keys.contains_key(name) {
                    keys.insert(*name, self.text_keys(state, id, name)?);
                }
                let Some(found) = keys.get(name) else { continue };
                if let Some((texts, key)) = self.open_one(state, &closed, found)? {
                    self.keep_key(state, &Circle::Channel(*id, *name), &key);
                    opened.push((closed.id, texts));
                    break;
                }
            }
        }
        for (id, texts) in opened {
            hub.open_texts(&id, texts);
        }
        state.texts_opened.insert(*id, now);
        Ok(())
    }

    /// Keys of a circle of texts by what operations tell of them: those that entries tell of, and those
    /// that came otherwise, with an invitation.
    fn text_keys(
        &self,
        state: &mut State,
        hub: &HubId,
        name: &ChangeId,
    ) -> Result<Keys, EngineError> {
        // Most circles of a hub are those of others: where there is no copy for this device there is
        // nothing to be looked for.
        let device = state.own.as_ref().map(|own| own.device());
        let talk = self.channel_talk(state, hub, name)?;
        let known = talk.iter().flat_map(|talk| talk.epochs.values().chain(talk.lost.values()));
        let given = |known: &KnownEpoch| device.is_some_and(|of| known.wraps.contains_key(&of));
        let mut keys = match known.into_iter().any(given) {
            true => self.keys_of_channel(state, hub, name)?,
            false => Keys::new(),
        };
        self.add_kept(state, &Circle::Channel(*hub, *name), &mut keys)?;
        Ok(keys)
    }

    fn open_one(
        &self,
        state: &mut State,
        closed: &ClosedTexts<'_>,
        keys: &Keys,
    ) -> Result<Option<(OpenedTexts, EpochKey)>, EngineError> {
        let Some(sealed) = &closed.operation.texts else { return Ok(None) };
        let Some(known) = keys.get(&sealed.epoch) else { return Ok(None) };
        let Some(page) = self.description(state, &closed.chain.doc)? else { return Ok(None) };
        let place = place_of(&page, closed.chain, closed.n);
        let Ok((plain, key)) = open_with(sealed, &place, &closed.operation.clear(), Some(known))
        else {
            return Ok(None);
        };
        Ok(closed.operation.with_texts(&plain).ok().map(|texts| (texts, key)))
    }
}
