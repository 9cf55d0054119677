//! What of a hub's channels was not read yet. Marks are times in a private map, as for the feed.

use super::page::STEP;
use super::skim::{Skimmed, Skimming};
use crate::hash::{ChangeId, HubId};
use crate::model::entry::{EntryRef, RoleRef, Who};
use crate::replica::{BLOCKS, EngineError, MUTES, Replica};

/// What is unread in one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadChannel {
    /// The channel.
    pub channel: ChangeId,
    /// Read up to this time.
    pub since_ms: u64,
    /// Messages and polls of others that count and are shown.
    pub messages: u64,
    /// Those among them that mention this account, or a role that it holds.
    pub mentions: u64,
    /// Time of the newest.
    pub newest_ms: u64,
}

impl Replica {
    /// Counts what is unread in each channel of a hub that the own account reads, by the order of
    /// channels.
    ///
    /// # Errors
    /// If the hub is not here, there is no identity, or the store fails or is damaged.
    pub fn unread_channels(&self, hub: &HubId) -> Result<Vec<UnreadChannel>, EngineError> {
        let me = self.account()?;
        let (channels, mut named) = self.hub(hub, |hub| {
            let roles = hub.members().remove(&me).map(|member| member.roles).unwrap_or_default();
            let roles = roles.into_iter().map(|role| Who::Role(RoleRef::Role(role)));
            // What is sealed to others cannot be read, and so not be unread.
            let reads =
                |channel: &ChangeId| hub.readers(channel).is_none_or(|all| all.contains(&me));
            let channels = hub.channels().into_iter().map(|view| view.id);
            let channels: Vec<ChangeId> = channels.filter(reads).collect();
            (channels, roles.collect::<Vec<Who>>())
        })?;
        named.extend([Who::Account(me), Who::Role(RoleRef::Everyone)]);
        let mut unseen = self.accounts_in(BLOCKS)?;
        unseen.extend(self.accounts_in(MUTES)?);
        unseen.insert(me);
        let mut out = Vec::with_capacity(channels.len());
        for channel in channels {
            let since_ms = self.read_mark(&mark_of(&channel))?;
            let mut unread =
                UnreadChannel { channel, since_ms, messages: 0, mentions: 0, newest_ms: since_ms };
            let (mut place, mut skimmed) = (None, Skimmed::new(&named));
            'rows: loop {
                let rows = self.next_messages(&channel, &mut place, STEP)?;
                if rows.is_empty() {
                    break;
                }
                let mut state = self.lock();
                let known = self.known_hub(&mut state, hub)?;
                let mut skimming = Skimming::of(known, state.hub_changes, &mut skimmed);
                for (time_ms, account, entry) in rows {
                    if time_ms <= since_ms {
                        break 'rows;
                    }
                    if unseen.contains(&account) {
                        continue;
                    }
                    let message = EntryRef { account, entry };
                    let Some(about) = self.skim(&mut state, &mut skimming, &message)? else {
                        continue;
                    };
                    unread.messages += 1;
                    unread.newest_ms = unread.newest_ms.max(time_ms);
                    unread.mentions += u64::from(about);
                }
                skimming.end();
            }
            out.push(unread);
        }
        Ok(out)
    }

    /// Up to which time a channel was read.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn channel_read_ms(&self, channel: &ChangeId) -> Result<u64, EngineError> {
        self.read_mark(&mark_of(channel))
    }

    /// Remembers a channel as read up to a time, on every own device.
    ///
    /// # Errors
    /// As [`Replica::edit_private`].
    pub fn mark_channel_read(
        &self,
        channel: &ChangeId,
        time_ms: u64,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        self.raise_marks(&[(&mark_of(channel), time_ms)], now_ms)
    }
}

fn mark_of(channel: &ChangeId) -> String {
    format!("channel {channel}")
}
