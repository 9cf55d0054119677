//! What a hub comes to, for those who read it. All of it is a function of the operations.

use std::collections::{BTreeMap, BTreeSet};

use super::Hub;
use super::table::{AccountIx, OpIx, RoleIx};
use super::verdict::Verdict;
use crate::hash::{AccountId, ChangeId, DeviceId, Link};
use crate::limits::{HUB_SEEN_MAX, PINS_MAX};
use crate::model::entry::{EntryRef, HubAction, HubSetting, Permissions, Rank, RoleRef};

/// A member as he stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The highest rank that he holds.
    pub rank: Rank,
    /// His roles, without everybody's.
    pub roles: BTreeSet<ChangeId>,
    /// The operations that gave them, or by which he joined.
    pub grants: BTreeSet<ChangeId>,
}

/// A role as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleView {
    /// What names it.
    pub role: RoleRef,
    /// What people call it; empty for everybody's.
    pub name: String,
    /// How high it stands.
    pub rank: Rank,
    /// What it gives.
    pub permissions: Permissions,
    /// Its name is sealed and does not open here: it is empty.
    pub closed: bool,
}

/// An invitation as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteView {
    /// The operation.
    pub id: ChangeId,
    /// Who invites.
    pub by: AccountId,
    /// How many accounts it is for; 0 is any number.
    pub uses: u32,
    /// When it ends; 0 is never.
    pub expires_ms: u64,
    /// The only account that it is for.
    pub account: Option<AccountId>,
    /// Whether it was closed.
    pub closed: bool,
    /// Who joined by it.
    pub joined: BTreeSet<AccountId>,
    /// Who took it when it was taken too often, and waits for a human.
    pub waiting: BTreeSet<AccountId>,
}

/// The settings of a hub.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The name; empty until it has one.
    pub name: String,
    /// What the hub says about itself.
    pub about: String,
    /// Nodes let nobody join.
    pub joins_closed: bool,
    /// Bytes that a node keeps of one member; 0 leaves it to the node.
    pub member_quota_bytes: u64,
    /// Its name, or what it says about itself, is sealed and does not open here: it is empty.
    pub closed: bool,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The operation.
    pub id: ChangeId,
    /// Who.
    pub account: AccountId,
    /// When, as claimed.
    pub time_ms: u64,
    /// Claimed time raised to that of everything its author had seen; the log is in its order.
    pub at_ms: u64,
    /// What: its own action, or the one it adopts.
    pub action: &'a HubAction,
    /// The operation that it adopts.
    pub adopts: Option<ChangeId>,
    /// Why, as the author says.
    pub reason: &'a str,
    /// Its texts are sealed and do not open here: they are empty.
    pub closed: bool,
    /// Whether it counts.
    pub verdict: Verdict,
    /// What took it back.
    pub lifted: Option<ChangeId>,
    /// Its chain was forked before it.
    pub disputed: bool,
}

impl Hub {
    /// The rank that an account holds now; `None` if it is no member.
    #[must_use]
    pub fn rank(&self, account: &AccountId) -> Option<Rank> {
        self.account_of.get(account).and_then(|account| self.rank_of(*account))
    }

    pub(super) fn rank_of(&self, account: AccountIx) -> Option<Rank> {
        if self.rules_now(account) {
            return Some(Rank::OWNER);
        }
        self.held_by(account).map(|(role, _)| self.roles[role].rank).max()
    }

    /// The roles that an account holds now, and by what.
    pub(super) fn held_by(&self, account: AccountIx) -> impl Iterator<Item = (RoleIx, OpIx)> + '_ {
        let held = self.accounts[account].grants.iter().filter(|grant| grant.is_held());
        held.map(|grant| (grant.role, grant.op))
    }

    /// All members and owners.
    #[must_use]
    pub fn members(&self) -> BTreeMap<AccountId, Member> {
        let mut members = BTreeMap::new();
        for (account, ledger) in self.accounts.iter() {
            let (Some(id), Some(rank)) = (ledger.id, self.rank_of(account)) else { continue };
            let mut member = Member { rank, roles: BTreeSet::new(), grants: BTreeSet::new() };
            for (role, op) in self.held_by(account) {
                member.grants.insert(self.graph.ops[op].id);
                member
                    .roles
                    .extend(self.roles[role].object.map(|object| self.graph.ops[object].id));
            }
            members.insert(id, member);
        }
        members
    }

    /// Whether an account is, or ever was, a member: a grant of it counts, be it taken away.
    #[must_use]
    pub fn was_member(&self, account: &AccountId) -> bool {
        self.account_of.get(account).is_some_and(|account| self.belongs(*account))
    }

    /// How many accounts are members or were.
    #[must_use]
    pub fn people(&self) -> u64 {
        self.account_of.values().filter(|account| self.belongs(**account)).count() as u64
    }

    /// Whether any operation removes an account, be it void.
    #[must_use]
    pub fn was_removed(&self, account: &AccountId) -> bool {
        let account = self.account_of.get(account).copied();
        account.is_some_and(|account| !self.accounts[account].removals.is_empty())
    }

    /// How often somebody else took roles from an account, by operations that count: who left did so
    /// himself.
    #[must_use]
    pub fn expulsions(&self, account: &AccountId) -> usize {
        self.account_of.get(account).map_or(0, |account| {
            let removals = self.accounts[*account].removals.iter();
            let by_others =
                |v: &&OpIx| self.power(**v).is_some() && self.graph.ops[**v].account != *account;
            removals.filter(by_others).count()
        })
    }

    /// Whether any operation is by or about an account.
    #[must_use]
    pub fn knows(&self, account: &AccountId) -> bool {
        self.account_of.contains_key(account)
    }

    pub(super) fn belongs(&self, account: AccountIx) -> bool {
        self.accounts[account].grants.iter().any(|grant| grant.power.is_some())
            || self.owners.ever(account)
    }

    /// Whether an account is barred by a ban that no later grant has overcome.
    #[must_use]
    pub fn is_banned(&self, account: &AccountId) -> bool {
        let Some(account) = self.account_of.get(account).copied() else { return false };
        let banned = self.accounts[account].removals.iter().any(|v| {
            let deed = self.graph.ops[*v].deed.as_ref();
            self.power(*v).is_some()
                && deed.is_some_and(|deed| matches!(*deed.action, HubAction::Ban { .. }))
        });
        banned && self.rank_of(account).is_none()
    }

    /// All roles that count, by falling rank, then id.
    #[must_use]
    pub fn roles(&self) -> Vec<RoleView> {
        let mut views: Vec<RoleView> =
            self.roles.iter().filter_map(|(role, _)| self.role_view(role)).collect();
        views.sort_by(|a, b| b.rank.cmp(&a.rank).then(a.role.cmp(&b.role)));
        views
    }

    fn role_view(&self, role: RoleIx) -> Option<RoleView> {
        let row = &self.roles[role];
        if row.object.is_some() {
            row.definers.iter().find(|op| self.power(**op).is_some())?;
        }
        let latest = self.latest(row.changes.iter().map(|(change, _)| *change));
        let named = latest.into_iter().max_by_key(|op| self.precedence(*op)).or(row.object);
        let name = match named.and_then(|op| self.shown(op)) {
            Some(HubAction::ChangeRole { name, .. } | HubAction::DefineRole { name, .. }) => {
                name.clone()
            }
            _ => String::new(),
        };
        Some(RoleView {
            role: row.object.map_or(RoleRef::Everyone, |op| RoleRef::Role(self.graph.ops[op].id)),
            name,
            rank: row.rank,
            permissions: self.role_gives_now(role),
            closed: named.is_some_and(|op| self.is_closed(op)),
        })
    }

    /// What an account may do now, in a channel if one is named.
    #[must_use]
    pub fn permissions(&self, account: &AccountId, channel: Option<&ChangeId>) -> Permissions {
        let Some(account) = self.account_of.get(account).copied() else { return Permissions::NONE };
        let channel = match channel {
            None => None,
            Some(id) => match self.graph.by_id(id).filter(|op| self.channels.contains_key(op)) {
                None => return Permissions::NONE,
                Some(channel) => Some(channel),
            },
        };
        let all = |_: OpIx| true;
        if self.rules_now(account) {
            return channel.map_or(Permissions::ALL, |channel| {
                self.closed_to(channel, Permissions::ALL, &all)
            });
        }
        let mut roles: Vec<RoleIx> = self.held_by(account).map(|(role, _)| role).collect();
        if roles.is_empty() {
            return Permissions::NONE;
        }
        roles.push(RoleIx(0));
        roles.sort_unstable();
        roles.dedup();
        let given =
            roles.iter().fold(Permissions::NONE, |given, role| given | self.role_gives_now(*role));
        channel.map_or(given, |channel| self.permitted_in(channel, account, &roles, given, &all))
    }

    /// All invitations that count, by id.
    #[must_use]
    pub fn invites(&self) -> Vec<InviteView> {
        let mut views = Vec::new();
        for (object, invitation) in &self.invitations {
            let Some(issuer) = invitation.issuers.iter().find(|op| self.power(**op).is_some())
            else {
                continue;
            };
            let op = &self.graph.ops[*object];
            let Some(HubAction::Invite { uses, expires_ms, account, .. }) =
                op.deed.as_ref().map(|deed| deed.action.as_ref())
            else {
                continue;
            };
            let Some(by) = self.accounts[op.account].id else { continue };
            let power = self.power(*issuer);
            let mut view = InviteView {
                id: op.id,
                by,
                uses: *uses,
                expires_ms: *expires_ms,
                account: *account,
                closed: invitation.closers.iter().any(|op| self.power(*op) >= power),
                joined: BTreeSet::new(),
                waiting: BTreeSet::new(),
            };
            for join in &invitation.joins {
                let row = &self.graph.ops[*join];
                let Some(name) = self.accounts[row.account].id else { continue };
                match row.verdict {
                    Verdict::Counts(_) => view.joined.insert(name),
                    Verdict::Void(super::Why::Surplus) => view.waiting.insert(name),
                    Verdict::Void(_) | Verdict::Silent => false,
                };
            }
            views.push(view);
        }
        views.sort_by_key(|view| view.id);
        views
    }

    /// The key of the ticket of an invitation that counts, if it has one.
    #[must_use]
    pub fn ticket_key(&self, invite: &ChangeId) -> Option<DeviceId> {
        let op = self.graph.by_id(invite).filter(|op| self.invitations.contains_key(op))?;
        match self.graph.ops[op].deed.as_ref()?.action.as_ref() {
            HubAction::Invite { key, .. } => *key,
            _ => None,
        }
    }

    /// Whether an invitation counts, is open and has room for an account, or had when he took it.
    #[must_use]
    pub fn admits(&self, invite: &ChangeId, account: &AccountId) -> bool {
        let found = self.invites().into_iter().find(|view| view.id == *invite);
        found.is_some_and(|view| {
            let taken = view.joined.len() + view.waiting.len();
            let room = view.uses == 0 || taken < usize::try_from(view.uses).unwrap_or(usize::MAX);
            let took = view.joined.contains(account) || view.waiting.contains(account);
            !view.closed
                && (room || took)
                && view.account.is_none_or(|only| only == *account)
                && !self.is_banned(account)
        })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for kind in 0..4u8 {
            let latest = self.latest_of(kind);
            // The others have no text but a reason.
            settings.closed |= kind < 2 && latest.last().is_some_and(|op| self.is_closed(*op));
            for setting in latest.iter().filter_map(|op| self.setting(*op)) {
                match setting {
                    HubSetting::Name(name) => settings.name.clone_from(name),
                    HubSetting::About(about) => settings.about.clone_from(about),
                    // Of those who did not know of each other one is enough.
                    HubSetting::JoinsClosed(closed) => settings.joins_closed |= closed,
                    HubSetting::MemberQuotaBytes(bytes) => settings.member_quota_bytes = *bytes,
                }
            }
        }
        settings
    }

    /// What says one setting, by rising precedence.
    fn latest_of(&self, kind: u8) -> Vec<OpIx> {
        let of_kind = self.settings.iter().copied();
        let of_kind =
            of_kind.filter(|op| self.setting(*op).is_some_and(|setting| number(setting) == kind));
        let mut latest = self.latest(of_kind.collect::<Vec<_>>().into_iter());
        latest.sort_by_key(|op| self.precedence(*op));
        latest
    }

    /// What says the name of the hub.
    pub(super) fn named_by(&self) -> Option<OpIx> {
        self.latest_of(0).pop()
    }

    fn setting(&self, op: OpIx) -> Option<&HubSetting> {
        match self.shown(op)? {
            HubAction::Set(setting) => Some(setting),
            _ => None,
        }
    }

    /// The pins of a channel, latest first; at most [`PINS_MAX`].
    #[must_use]
    pub fn pins(&self, channel: &ChangeId) -> Vec<EntryRef> {
        let channel = self.graph.by_id(channel).and_then(|op| self.channels.get(&op));
        let pins = channel.map(|channel| channel.pins.as_slice()).unwrap_or_default();
        let mut counting: Vec<OpIx> =
            pins.iter().copied().filter(|op| self.power(*op).is_some()).collect();
        counting.sort_by_key(|op| (self.graph.ops[*op].at_ms, self.graph.ops[*op].id));
        let mut shown: Vec<EntryRef> = Vec::new();
        for op in counting.into_iter().rev() {
            let deed = self.graph.ops[op].deed.as_ref();
            if let Some(HubAction::Pin { entry, .. }) = deed.map(|deed| deed.action.as_ref())
                && !shown.contains(entry)
                && shown.len() < PINS_MAX
            {
                shown.push(*entry);
            }
        }
        shown
    }

    /// What is concluded about an operation; `None` if it is not here, or waits.
    #[must_use]
    pub fn verdict(&self, id: &ChangeId) -> Option<Verdict> {
        self.graph.by_id(id).map(|op| self.graph.ops[op].verdict)
    }

    /// Every operation with what is concluded about it, in one order on all replicas.
    #[must_use]
    pub fn audit(&self) -> Vec<Record<'_>> {
        let mut records: Vec<Record<'_>> =
            self.graph.ops.iter().filter_map(|(op, _)| self.record(op)).collect();
        records.sort_by_key(|record| (record.at_ms, record.account, record.id));
        records
    }

    /// One operation, as [`Hub::audit`] lists it.
    #[must_use]
    pub fn record_of(&self, id: &ChangeId) -> Option<Record<'_>> {
        self.record(self.graph.by_id(id)?)
    }

    fn record(&self, op: OpIx) -> Option<Record<'_>> {
        let row = &self.graph.ops[op];
        let deed = row.deed.as_ref()?;
        let lifted = match row.verdict {
            Verdict::Counts(rank) => self.lifted_by(op, rank),
            Verdict::Void(_) | Verdict::Silent => None,
        };
        Some(Record {
            id: row.id,
            account: self.accounts[row.account].id?,
            time_ms: row.time_ms,
            at_ms: row.at_ms,
            action: self.shown(op)?,
            adopts: deed.adopts.map(|adopted| self.graph.ops[adopted].id),
            reason: self.reason(op),
            closed: self.is_closed(op),
            verdict: row.verdict,
            lifted,
            disputed: self.graph.is_disputed(op),
        })
    }

    /// What a new operation of an account should name: versions that no other has seen, those
    /// of the highest power first, at most [`HUB_SEEN_MAX`], by rising link. What is left out
    /// its next operation can name.
    #[must_use]
    pub fn cite(&self, own: Option<&Link>) -> Vec<Link> {
        let mut tips: Vec<OpIx> = self.graph.frontier().collect();
        tips.sort_by_key(|op| std::cmp::Reverse((self.power(*op), self.graph.ops[*op].at_ms, *op)));
        let links = tips.into_iter().map(|op| self.graph.ops[op].link);
        let mut links: Vec<Link> =
            links.filter(|link| Some(link) != own).take(HUB_SEEN_MAX).collect();
        links.sort_unstable();
        links
    }
}

const fn number(setting: &HubSetting) -> u8 {
    match setting {
        HubSetting::Name(_) => 0,
        HubSetting::About(_) => 1,
        HubSetting::JoinsClosed(_) => 2,
        HubSetting::MemberQuotaBytes(_) => 3,
    }
}
