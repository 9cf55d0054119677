//! Who reads a private channel.
//!
//! A channel is private from its beginning or never. Of changes that did not know of each other all
//! hold: one reads it who fits each of them. Who changes it is above every role that it was ever
//! for, as far as he knew: he could have given himself each of them.

use std::collections::BTreeSet;

use super::Hub;
use super::deed::Deed;
use super::past::Past;
use super::table::{OpIx, RoleIx};
use super::texts::Circle;
use super::verdict::Why;
use crate::hash::{AccountId, ChangeId, Link};
use crate::model::entry::{ChannelChange, ChannelFields, History, HubAction, Rank, Readers};

impl Hub {
    /// What is said about who reads a channel, among what `known` takes; `None` if everybody does.
    pub(super) fn readers_said(
        &self,
        object: OpIx,
        known: &dyn Fn(OpIx) -> bool,
    ) -> Option<Vec<Readers>> {
        let channel = self.channels.get(&object)?;
        let first = match self.graph.ops[object].deed.as_ref()?.action.as_ref() {
            HubAction::CreateChannel(ChannelFields { readers: Some(first), .. }) => first.clone(),
            // In a private hub every channel is private.
            HubAction::CreateChannel(_) if self.genesis.private => Readers::of_all(),
            _ => return None,
        };
        let said = self.changed(channel, known, |change| match change {
            ChannelChange::Readers(readers) => Some(readers.clone()),
            _ => None,
        });
        let mut said: Vec<Readers> = said.into_iter().map(|(_, readers)| readers).collect();
        if said.is_empty() {
            said.push(first);
        }
        said.sort_unstable();
        Some(said)
    }

    /// Whether who holds some roles reads a channel.
    pub(super) fn reads(
        &self,
        object: OpIx,
        roles: &[RoleIx],
        known: &dyn Fn(OpIx) -> bool,
    ) -> bool {
        let holds =
            |role: &ChangeId| self.role_named(role).is_some_and(|role| roles.contains(&role));
        let Some(said) = self.readers_said(object, known) else { return true };
        said.iter().all(|one| one.roles.is_empty() || one.roles.iter().any(holds))
    }

    fn role_named(&self, id: &ChangeId) -> Option<RoleIx> {
        self.role_of.get(&self.graph.by_id(id)?).copied()
    }

    /// Whether a channel is private; `None` if it is not known.
    #[must_use]
    pub fn is_private(&self, channel: &ChangeId) -> Option<bool> {
        match self.circle(channel)? {
            Circle::Channel(object) => Some(self.readers_said(object, &|_| true).is_some()),
            Circle::MemberTexts | Circle::ChannelTexts(_) => Some(true),
        }
    }

    /// All that share keys: the circles of texts, and of private channels those that count.
    #[must_use]
    pub fn circles(&self) -> Vec<ChangeId> {
        let counts = |object: &OpIx| {
            let channel = self.channels.get(object);
            channel
                .is_some_and(|channel| channel.creators.iter().any(|op| self.power(*op).is_some()))
        };
        let all = self.channels.keys().filter(|object| counts(object));
        let private = all.filter(|object| self.readers_said(**object, &|_| true).is_some());
        let of_texts = self
            .text_circles
            .iter()
            .filter(|(_, circle)| circle.channel().is_none_or(|object| counts(&object)));
        let mut circles: Vec<ChangeId> = of_texts.map(|(name, _)| *name).collect();
        circles.sort_unstable();
        circles.extend(private.map(|object| self.graph.ops[*object].id));
        circles
    }

    /// Who reads a private channel now, or texts; `None` if it is not private.
    #[must_use]
    pub fn readers(&self, channel: &ChangeId) -> Option<BTreeSet<AccountId>> {
        let object = self.circle(channel)?.channel();
        if let Some(object) = object {
            self.readers_said(object, &|_| true)?;
        }
        let mut readers = BTreeSet::new();
        for (account, ledger) in self.accounts.iter() {
            let Some(id) = ledger.id else { continue };
            let roles: Vec<RoleIx> = self.held_by(account).map(|(role, _)| role).collect();
            let reads = object.is_none_or(|object| self.reads(object, &roles, &|_| true));
            let member = !roles.is_empty() && reads;
            if member || self.rules_now(account) {
                readers.insert(id);
            }
        }
        Some(readers)
    }

    /// Whether who becomes a reader of a channel is given what was written before.
    #[must_use]
    pub fn shares_past(&self, channel: &ChangeId) -> bool {
        match self.circle(channel) {
            Some(Circle::Channel(object)) => {
                let said = self.readers_said(object, &|_| true);
                said.is_some_and(|said| said.iter().all(|one| one.history == History::All))
            }
            Some(Circle::MemberTexts | Circle::ChannelTexts(_)) => true,
            None => false,
        }
    }

    /// Whether who had seen this of the hub knew of all that takes something from members, and of all
    /// changes of who reads a channel: what was passed on before may be where it should not be.
    #[must_use]
    pub fn knows_removals(&self, channel: &ChangeId, seen: &[Link]) -> bool {
        let ops = seen.iter().filter_map(|link| self.graph.by_link(link));
        let past = ops.fold(Past::default(), |past, op| past.joined(&self.graph.ops[op].seen));
        let of_members = self.accounts.iter();
        let of_members =
            of_members.flat_map(|(_, ledger)| ledger.removals.iter().chain(&ledger.undos));
        let object = self.circle(channel).and_then(Circle::channel);
        let of_channel = object.and_then(|object| self.channels.get(&object));
        let of_channel = of_channel.into_iter().flat_map(|channel| &channel.changes);
        let mut all = of_members.chain(of_channel.filter(|op| {
            let deed = self.graph.ops[**op].deed.as_ref();
            deed.is_some_and(|deed| is_about_readers(&deed.action))
        }));
        all.all(|op| self.power(*op).is_none() || self.graph.holds(&past, *op))
    }

    /// Adds to what creates a private channel, or changes who reads it, the rank that its author has
    /// to be above; a fault if he had not seen a role.
    pub(super) fn with_readers(&self, op: OpIx, channel: Option<OpIx>, deed: Deed) -> Deed {
        let mut named: Vec<ChangeId> = Vec::new();
        let mut note = |action: &HubAction| match action {
            HubAction::CreateChannel(ChannelFields { readers: Some(readers), .. })
            | HubAction::ChangeChannel { change: ChannelChange::Readers(readers), .. } => {
                named.extend(&readers.roles);
            }
            _ => {}
        };
        note(&deed.action);
        if let Some(channel) = channel.filter(|_| is_about_readers(&deed.action)) {
            let changes = self.channels.get(&channel).map(|known| known.changes.as_slice());
            let seen =
                changes.unwrap_or_default().iter().filter(|other| self.graph.sees(op, **other));
            for other in seen.chain([&channel]) {
                if let Some(other) = &self.graph.ops[*other].deed {
                    note(&other.action);
                }
            }
        }
        let mut floor: Option<Rank> = deed.floor;
        for role in &named {
            let known = self.known(op, role).and_then(|about| self.role_of.get(&about.object));
            let Some(role) = known else { return deed.faulty(Why::Unseen) };
            floor = floor.max(Some(self.roles[*role].rank));
        }
        Deed { floor, ..deed }
    }
}

const fn is_about_readers(action: &HubAction) -> bool {
    matches!(action, HubAction::ChangeChannel { change: ChannelChange::Readers(_), .. })
}
