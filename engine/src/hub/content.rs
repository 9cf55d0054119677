//! Messages: whether what a member wrote into a channel counts.
//!
//! A message is no operation and nothing depends on it. It names the operations that its
//! author had seen, and it counts if a grant in its past allows it and every removal that
//! bites that grant leaves it by its cut. A change of permissions that its author did not know
//! of does not void it: it is *late*, and shown as that.

use super::Hub;
use super::past::Past;
use super::table::{AccountIx, OpIx, RoleIx};
use super::verdict::Why;
use crate::chain::ChainKey;
use crate::hash::{AccountId, ChangeId, Link};
use crate::model::entry::{EntryRef, HubAction, Permissions, Rank, Tip};

/// A message, reaction or vote, and where it stands.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// Who wrote it.
    pub account: AccountId,
    /// The channel.
    pub channel: ChangeId,
    /// Hub logs that its author had seen.
    pub seen: &'a [Link],
    /// What he needs for it.
    pub need: Permissions,
    /// The chain that it stands in.
    pub chain: ChainKey,
    /// Its number there.
    pub n: u64,
    /// How many changes of the chain lie on the branch that a cut names and not beyond it.
    pub agreed: &'a dyn Fn(&Tip) -> u64,
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Content");
        shown.field("account", &self.account).field("chain", &self.chain).field("n", &self.n);
        shown.finish_non_exhaustive()
    }
}

/// What is concluded about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentStanding {
    /// It counts.
    Counts {
        /// It was written without knowing of a change that does not allow it any more.
        late: bool,
    },
    /// An operation that it names is not here.
    Deferred,
    /// It counts for nothing.
    Void(Why),
}

/// What moderators did with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moderation {
    /// Not shown; can be lifted.
    Hidden {
        /// The operation.
        by: ChangeId,
    },
    /// Not shown, and its text is dropped.
    Purged {
        /// The operation.
        by: ChangeId,
    },
}

impl Hub {
    /// Whether a message counts.
    #[must_use]
    pub fn standing(&self, content: &Content<'_>) -> ContentStanding {
        let mut past = Past::default();
        for link in content.seen {
            let Some(op) = self.graph.by_link(link) else { return ContentStanding::Deferred };
            past = past.joined(&self.graph.ops[op].seen);
        }
        let known = |op: OpIx| self.graph.holds(&past, op);
        let circle = self.circle(&content.channel);
        let Some(circle) = circle.filter(|circle| circle.channel().is_none_or(known)) else {
            return ContentStanding::Void(Why::Unseen);
        };
        let Some(author) = self.account_of.get(&content.account).copied() else {
            return ContentStanding::Void(Why::NotAllowed);
        };
        let roles = match self.roles_of_content(author, content, &past) {
            Ok(roles) => roles,
            Err(why) => return ContentStanding::Void(why),
        };
        // In a circle of texts there are keys and nothing else.
        let channel = circle.channel().filter(|_| !circle.is_for_texts());
        let may = |known: &dyn Fn(OpIx) -> bool| match (channel, &roles) {
            (None, _) => Permissions::NONE,
            (Some(channel), None) => self.closed_to(channel, Permissions::ALL, known),
            (Some(channel), Some(roles)) => {
                let given = roles
                    .iter()
                    .fold(Permissions::NONE, |all, role| all | self.role_gives_among(*role, known));
                self.permitted_in(channel, author, roles, given, known)
            }
        };
        let reads = |known: &dyn Fn(OpIx) -> bool| {
            let read = |roles| circle.channel().is_none_or(|of| self.reads(of, roles, known));
            roles.as_deref().is_none_or(read)
        };
        if !may(&known).contains(content.need) || !reads(&known) {
            return ContentStanding::Void(Why::NotAllowed);
        }
        let all = |_: OpIx| true;
        ContentStanding::Counts { late: !may(&all).contains(content.need) || !reads(&all) }
    }

    /// The roles by which a message may count; `None` for an owner.
    fn roles_of_content(
        &self,
        author: AccountIx,
        content: &Content<'_>,
        past: &Past,
    ) -> Result<Option<Vec<RoleIx>>, Why> {
        let ledger = &self.accounts[author];
        let leaves = |v: OpIx| !self.graph.holds(past, v) && self.cut_leaves(v, content);
        let removals = || ledger.removals.iter().copied().filter(|v| self.power(*v).is_some());
        if self.ruled(author, past) {
            // Who owned the hub once keeps what he wrote, as far as later removals leave it.
            match removals().filter(|v| !leaves(*v)).map(|v| self.graph.ops[v].id).min() {
                Some(by) if !self.rules_now(author) => return Err(Why::Removed { by }),
                _ => return Ok(None),
            }
        }
        let mut roles = Vec::new();
        let mut by: Option<ChangeId> = None;
        for grant in &ledger.grants {
            if grant.power.is_none() || !self.graph.holds(past, grant.op) {
                continue;
            }
            let missing = grant.biters.iter().filter(|v| !leaves(**v));
            match missing.map(|v| self.graph.ops[*v].id).min() {
                None => roles.push(grant.role),
                Some(removal) => by = Some(by.map_or(removal, |other| other.min(removal))),
            }
        }
        if roles.is_empty() {
            return Err(by.map_or(Why::NotAllowed, |by| Why::Removed { by }));
        }
        roles.push(RoleIx(0));
        roles.sort_unstable();
        roles.dedup();
        Ok(Some(roles))
    }

    /// Whether the cut of a removal, or what extends it, leaves a message.
    fn cut_leaves(&self, v: OpIx, content: &Content<'_>) -> bool {
        let action = |op: OpIx| self.graph.ops[op].deed.as_ref().map(|deed| deed.action.as_ref());
        if let Some(HubAction::Ban { purge: true, .. }) = action(v) {
            return false;
        }
        std::iter::once(v)
            .chain(self.counting_extensions(v))
            .filter_map(action)
            .flat_map(HubAction::cut)
            .filter(|tip| {
                tip.doc == content.chain.doc
                    && tip.device == content.chain.device
                    && tip.incarnation == content.chain.incarnation
            })
            .any(|tip| content.n <= tip.n && content.n <= (content.agreed)(tip))
    }

    /// What moderators did with a message, by those who are above its author now.
    #[must_use]
    pub fn moderation(&self, entry: &EntryRef) -> Option<Moderation> {
        let rank = self.account_of.get(&entry.account).and_then(|account| self.rank_of(*account));
        let mut found: Option<Moderation> = None;
        for op in self.marks.get(&entry.entry)? {
            let by = self.graph.ops[*op].id;
            let power: Option<Rank> = self.power(*op);
            if power.is_none() || power <= rank {
                continue;
            }
            let deed = self.graph.ops[*op].deed.as_ref();
            found = match (deed.map(|deed| deed.action.as_ref()), found) {
                (
                    Some(HubAction::Hide { entry: named } | HubAction::Purge { entry: named }),
                    found,
                ) if named != entry => found,
                (Some(HubAction::Purge { .. }), Some(Moderation::Purged { by: other })) => {
                    Some(Moderation::Purged { by: by.min(other) })
                }
                (Some(HubAction::Purge { .. }), _) => Some(Moderation::Purged { by }),
                (Some(HubAction::Hide { .. }), Some(Moderation::Hidden { by: other })) => {
                    Some(Moderation::Hidden { by: by.min(other) })
                }
                (Some(HubAction::Hide { .. }), None) => Some(Moderation::Hidden { by }),
                (_, found) => found,
            };
        }
        found
    }

    /// Messages that moderators had purged, by those who are above their authors now.
    #[must_use]
    pub fn purged(&self) -> Vec<EntryRef> {
        let named = self.marks.values().flatten().filter_map(|op| {
            match self.graph.ops[*op].deed.as_ref()?.action.as_ref() {
                HubAction::Purge { entry } => Some(*entry),
                _ => None,
            }
        });
        named.filter(|e| matches!(self.moderation(e), Some(Moderation::Purged { .. }))).collect()
    }
}
