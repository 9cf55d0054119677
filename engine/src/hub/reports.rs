//! Reports to moderators: which there are, and what became of what they are about.

use super::Hub;
use super::table::OpIx;
use crate::hash::{AccountId, ChangeId};
use crate::model::entry::{HubAction, Permissions, ReportSubject, SealedReport};

/// A report that counts, as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportView<'a> {
    /// The operation.
    pub id: ChangeId,
    /// Who reports.
    pub account: AccountId,
    /// When, as claimed.
    pub time_ms: u64,
    /// What opens for moderators alone.
    pub sealed: &'a SealedReport,
}

/// What became of what a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// The operation: a purge, hiding, ban, kick or dismissal.
    pub operation: ChangeId,
    /// Who did it.
    pub by: AccountId,
    /// What it does, by the name of its action.
    pub act: &'static str,
    /// Why, as its author says.
    pub reason: String,
}

impl Hub {
    /// Reports that count, the latest first.
    #[must_use]
    pub fn reports(&self) -> Vec<ReportView<'_>> {
        let mut counting: Vec<OpIx> =
            self.reports.iter().copied().filter(|op| self.power(*op).is_some()).collect();
        counting.sort_by_key(|op| {
            let row = &self.graph.ops[*op];
            std::cmp::Reverse((row.at_ms, self.accounts[row.account].id, row.id))
        });
        counting.into_iter().filter_map(|op| self.report(op)).collect()
    }

    fn report(&self, op: OpIx) -> Option<ReportView<'_>> {
        let row = &self.graph.ops[op];
        let HubAction::Report(sealed) = row.deed.as_ref()?.action.as_ref() else { return None };
        let account = self.accounts[row.account].id?;
        Some(ReportView { id: row.id, account, time_ms: row.time_ms, sealed })
    }

    /// Accounts that reports are for: who may hide messages of the hub, the highest rank first.
    #[must_use]
    pub fn moderators(&self) -> Vec<AccountId> {
        let ranked = self.accounts.iter().filter_map(|(account, ledger)| {
            let (id, rank) = (ledger.id?, self.rank_of(account)?);
            self.permissions(&id, None).contains(Permissions::HIDE).then_some((rank, id))
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.into_iter().map(|(_, id)| id).collect()
    }

    /// What became of what a report is about: that the message was purged or hidden, that its
    /// author was removed since the report, or that a moderator who is not himself reported
    /// dismissed it. `None` while it is open.
    #[must_use]
    pub fn handled(&self, report: &ChangeId, about: &ReportSubject) -> Option<Handled> {
        let report = self.graph.by_id(report)?;
        let subject = self.account_of.get(&about.account()).copied();
        let mut acts: Vec<OpIx> = Vec::new();
        if let ReportSubject::Message(entry) = about {
            use super::Moderation::{Hidden, Purged};
            let by = self.moderation(entry).map(|(Hidden { by } | Purged { by })| by);
            acts.extend(by.and_then(|by| self.graph.by_id(&by)));
        }
        let removals = subject.map(|subject| self.accounts[subject].removals.as_slice());
        let since = removals.unwrap_or_default().iter().copied().filter(|v| {
            let deed = self.graph.ops[*v].deed.as_ref();
            let removes = deed.is_some_and(|deed| {
                matches!(*deed.action, HubAction::Ban { .. } | HubAction::Kick { .. })
            });
            removes && !self.graph.sees(report, *v)
        });
        let dismissed = self.dismissals.get(&report).map(Vec::as_slice).unwrap_or_default();
        let dismissed = dismissed.iter().copied();
        let dismissed = dismissed.filter(|op| Some(self.graph.ops[*op].account) != subject);
        let counts = |op: &OpIx| self.power(*op).is_some();
        // What was done about it says more than that it was dismissed.
        let act = acts.into_iter().next().or_else(|| self.first_of(since.filter(counts)));
        let act = act.or_else(|| self.first_of(dismissed.filter(counts)))?;
        let row = &self.graph.ops[act];
        let deed = row.deed.as_ref()?;
        Some(Handled {
            operation: row.id,
            by: self.accounts[row.account].id?,
            act: deed.action.name(),
            reason: self.reason(act).to_owned(),
        })
    }

    /// The earliest of several operations, the same on all replicas.
    fn first_of(&self, operations: impl Iterator<Item = OpIx>) -> Option<OpIx> {
        operations.min_by_key(|op| (self.graph.ops[*op].at_ms, self.graph.ops[*op].id))
    }
}
