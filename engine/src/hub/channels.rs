//! Channels and what a member may do in one.
//!
//! Of changes that did not know of each other all restrictions hold: rules allow what all
//! allow and deny what any denies, a channel is closed if one says so. Of names and topics
//! the highest rank's is shown, then the latest claimed; nobody gains power by that.

use std::collections::BTreeMap;

use super::Hub;
use super::deed::Deed;
use super::table::{AccountIx, OpIx, RoleIx};
use crate::hash::{AccountId, ChangeId};
use crate::model::entry::{ChannelChange, ChannelFields, HubAction, Permissions, Rank, Readers};

/// What rules are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Role(RoleIx),
    Account(AccountIx),
}

/// The operations about one channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) creators: Vec<OpIx>,
    pub(super) changes: Vec<OpIx>,
    rules: BTreeMap<About, Vec<OpIx>>,
    pub(super) pins: Vec<OpIx>,
}

/// A channel as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    /// Its id: the operation that created it.
    pub id: ChangeId,
    /// Who created it.
    pub by: AccountId,
    /// When, as claimed.
    pub created_ms: u64,
    /// The name.
    pub name: String,
    /// Whether another channel has the same name: both stay, and are shown with their ids.
    pub ambiguous: bool,
    /// What it is about.
    pub topic: String,
    /// The heading.
    pub category: String,
    /// Only those who manage channels write there.
    pub read_only: bool,
    /// Nobody writes there.
    pub archived: bool,
    /// Milliseconds that nodes ask for between two messages of a member.
    pub slow_ms: u64,
    /// Who alone reads it: what those say who changed it last, none of them knowing of the others. Who
    /// reads it has to fit all of these; of a channel that everybody reads it is empty.
    pub readers: Vec<Readers>,
    /// Its name, topic or heading is sealed and does not open here: it is empty.
    pub closed: bool,
}

impl Hub {
    /// Files an operation about channels.
    pub(super) fn file_channel(&mut self, op: OpIx, deed: &Deed) {
        let channel = self.channels.entry(deed.target.unwrap_or(deed.object)).or_default();
        match *deed.action {
            HubAction::CreateChannel(_) => channel.creators.push(op),
            HubAction::ChangeChannel { .. } => channel.changes.push(op),
            HubAction::Pin { .. } => channel.pins.push(op),
            HubAction::ChannelRules { .. } => {
                let about = match (deed.role, deed.subject) {
                    (None, Some(account)) => About::Account(account),
                    (role, _) => About::Role(role.unwrap_or_default()),
                };
                channel.rules.entry(about).or_default().push(op);
            }
            _ => {}
        }
    }

    /// All channels that count, by heading, name and id.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelView> {
        let mut views: Vec<ChannelView> =
            self.channels.keys().filter_map(|object| self.channel_view(*object)).collect();
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for view in views.iter().filter(|view| !view.name.is_empty()) {
            *names.entry(view.name.clone()).or_default() += 1;
        }
        for view in &mut views {
            view.ambiguous = names.get(&view.name).is_some_and(|count| *count > 1);
        }
        views.sort_by(|a, b| (&a.category, &a.name, a.id).cmp(&(&b.category, &b.name, b.id)));
        views
    }

    /// One channel.
    #[must_use]
    pub fn channel(&self, id: &ChangeId) -> Option<ChannelView> {
        self.channel_view(self.graph.by_id(id)?)
    }

    /// Milliseconds that a channel asks for between two messages of a member.
    #[must_use]
    pub fn slow_ms(&self, id: &ChangeId) -> u64 {
        let channel = self.graph.by_id(id).and_then(|op| self.channels.get(&op));
        let slow = channel.map(|channel| {
            self.changed(channel, &|_| true, |change| match change {
                ChannelChange::SlowMs(ms) => Some(*ms),
                _ => None,
            })
        });
        slow.into_iter().flatten().map(|(_, ms)| ms).max().unwrap_or(0)
    }

    fn channel_view(&self, object: OpIx) -> Option<ChannelView> {
        let channel = self.channels.get(&object)?;
        channel.creators.iter().find(|op| self.power(**op).is_some())?;
        let op = &self.graph.ops[object];
        let HubAction::CreateChannel(ChannelFields { name, topic, category, .. }) =
            self.shown(object)?
        else {
            return None;
        };
        let mut closed = false;
        let mut text = |pick: fn(&ChannelChange) -> Option<&String>, or: &String| {
            let said = self.changed(channel, &|_| true, |change| pick(change).cloned());
            let latest = said.into_iter().max();
            let by = latest.as_ref().and_then(|((.., id), _)| self.graph.by_id(id));
            closed |= self.is_closed(by.unwrap_or(object));
            latest.map_or_else(|| or.clone(), |(_, text)| text)
        };
        let name = text(
            |change| match change {
                ChannelChange::Name(name) => Some(name),
                _ => None,
            },
            name,
        );
        let topic = text(
            |change| match change {
                ChannelChange::Topic(topic) => Some(topic),
                _ => None,
            },
            topic,
        );
        let category = text(
            |change| match change {
                ChannelChange::Category(category) => Some(category),
                _ => None,
            },
            category,
        );
        let slow = self.changed(channel, &|_| true, |change| match change {
            ChannelChange::SlowMs(ms) => Some(*ms),
            _ => None,
        });
        Some(ChannelView {
            id: op.id,
            by: self.accounts[op.account].id?,
            created_ms: op.time_ms,
            name,
            ambiguous: false,
            topic,
            category,
            read_only: self.is_read_only(object, &|_| true),
            archived: self.is_archived(object, &|_| true),
            slow_ms: slow.into_iter().map(|(_, ms)| ms).max().unwrap_or(0),
            readers: self.readers_said(object, &|_| true).unwrap_or_default(),
            closed,
        })
    }

    /// The latest changes of one property among those that `known` takes, with what they are
    /// shown by: rank, time, account and id.
    pub(super) fn changed<T>(
        &self,
        channel: &Channel,
        known: &dyn Fn(OpIx) -> bool,
        pick: impl Fn(&ChannelChange) -> Option<T>,
    ) -> Vec<(Precedence, T)> {
        let value = |op: OpIx| match self.shown(op)? {
            HubAction::ChangeChannel { change, .. } => pick(change),
            _ => None,
        };
        let about = channel.changes.iter().copied().filter(|op| known(*op) && value(*op).is_some());
        let latest = self.latest(about);
        latest.into_iter().filter_map(|op| Some((self.precedence(op), value(op)?))).collect()
    }

    pub(super) fn precedence(&self, op: OpIx) -> Precedence {
        let row = &self.graph.ops[op];
        (self.power(op), row.at_ms, self.accounts[row.account].id, row.id)
    }

    fn is_read_only(&self, object: OpIx, known: &dyn Fn(OpIx) -> bool) -> bool {
        let Some(channel) = self.channels.get(&object) else { return false };
        let said = self.changed(channel, known, |change| match change {
            ChannelChange::ReadOnly(set) => Some(*set),
            _ => None,
        });
        let at_first = || match self.graph.ops[object].deed.as_ref().map(|d| d.action.as_ref()) {
            Some(HubAction::CreateChannel(fields)) => fields.read_only,
            _ => false,
        };
        if said.is_empty() { at_first() } else { said.iter().any(|(_, set)| *set) }
    }

    fn is_archived(&self, object: OpIx, known: &dyn Fn(OpIx) -> bool) -> bool {
        let Some(channel) = self.channels.get(&object) else { return false };
        let said = self.changed(channel, known, |change| match change {
            ChannelChange::Archived(set) => Some(*set),
            _ => None,
        });
        said.iter().any(|(_, set)| *set)
    }

    /// What rules about somebody allow and deny.
    fn rules(
        &self,
        channel: &Channel,
        about: About,
        known: &dyn Fn(OpIx) -> bool,
        above: Option<Rank>,
    ) -> (Permissions, Permissions) {
        let operations = channel.rules.get(&about).map(Vec::as_slice).unwrap_or_default();
        let counting = operations
            .iter()
            .copied()
            .filter(|op| known(*op) && (above.is_none() || self.power(*op) > above));
        let latest = self.latest(counting);
        let mut said: Option<(Permissions, Permissions)> = None;
        for op in latest {
            let deed = self.graph.ops[op].deed.as_ref();
            if let Some(HubAction::ChannelRules { allow, deny, .. }) =
                deed.map(|d| d.action.as_ref())
            {
                let (allowed, denied) = said.unwrap_or((Permissions::ALL, Permissions::NONE));
                said = Some((allowed & *allow, denied | *deny));
            }
        }
        said.unwrap_or_default()
    }

    /// What holders of some roles may do in a channel. In this order, each step over the one
    /// before: what the roles give; the channel's rules about everybody; those about roles,
    /// denials first; those about the member, if by somebody above him.
    pub(super) fn permitted_in(
        &self,
        object: OpIx,
        account: AccountIx,
        roles: &[RoleIx],
        given: Permissions,
        known: &dyn Fn(OpIx) -> bool,
    ) -> Permissions {
        let Some(channel) = self.channels.get(&object) else { return Permissions::NONE };
        let all = self.rules(channel, About::Role(RoleIx(0)), known, None);
        let mut may = given.without(all.1) | all.0;
        let (mut allow, mut deny) = (Permissions::NONE, Permissions::NONE);
        for role in roles.iter().filter(|role| **role != RoleIx(0)) {
            let (allowed, denied) = self.rules(channel, About::Role(*role), known, None);
            (allow, deny) = (allow | allowed, deny | denied);
        }
        may = may.without(deny) | allow;
        let rank = roles.iter().map(|role| self.roles[*role].rank).max();
        let own = self.rules(channel, About::Account(account), known, rank);
        may = may.without(own.1) | own.0;
        if !self.reads(object, roles, known) {
            return Permissions::NONE;
        }
        self.closed_to(object, may, known)
    }

    /// Takes from permissions what a closed or read-only channel takes from everybody.
    pub(super) fn closed_to(
        &self,
        object: OpIx,
        may: Permissions,
        known: &dyn Fn(OpIx) -> bool,
    ) -> Permissions {
        let writing = Permissions::SEND | Permissions::ATTACH;
        if self.is_archived(object, known) {
            return may.without(writing | Permissions::REACT);
        }
        if self.is_read_only(object, known) && !may.contains(Permissions::MANAGE_CHANNELS) {
            return may.without(writing);
        }
        may
    }
}

/// What decides whose name or topic is shown.
pub(super) type Precedence = (Option<Rank>, u64, Option<AccountId>, ChangeId);
