//! Reports to moderators of a hub: sealing them to those who may hide messages, and opening them.

use std::collections::{BTreeMap, BTreeSet};

use super::page::Reading;
use crate::description::Space;
use crate::hash::{AccountId, BlobHash, ChangeId, DeviceId, HubId, SealKey};
use crate::hub::{ContentStanding, Handled, ReportView};
use crate::identity::DeviceSecret;
use crate::limits::{
    BODY_SALT_BYTES, HUB_REPORT_DEVICES_MAX, HUB_REPORT_REASON_BYTES_MAX, HUB_REPORT_TEXT_BYTES_MAX,
};
use crate::model::entry::{
    BodyRef, Entry, EntryRef, HubAction, Permissions, Report, ReportSubject, SealedReport, Wrap,
};
use crate::replica::{EngineError, Replica, State};
use crate::seal::{EpochKey, open_report, seal_report};
use crate::store::{Table, keys};
use crate::view::EntryRow;

/// Devices of one account that a report is sealed to: those added last.
const ACCOUNT_DEVICES_MAX: usize = 8;
/// Reports of one account that are opened: its latest.
const OPENED_MAX: usize = 64;
/// Reports of all accounts that are opened: the latest.
const OPENED_ALL_MAX: usize = 4096;
/// Open reports of one account that are listed.
const LISTED_MAX: usize = 16;

/// A report that this device can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedReport {
    /// The operation.
    pub id: ChangeId,
    /// Who reports.
    pub account: AccountId,
    /// When, as claimed.
    pub time_ms: u64,
    /// What it is about.
    pub about: ReportSubject,
    /// Why.
    pub reason: String,
    /// The text of the message as it was when it was reported, if the report has it and its author
    /// signed the hash of it, in the message or in an edit.
    pub text: Option<String>,
    /// The message is not here: whose it is, and that it is one of this hub, its reporter alone says.
    pub unproven: bool,
    /// What became of what it is about; `None` while it is open.
    pub handled: Option<Handled>,
}

/// Reports of a hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports {
    /// Those that this device can open, the latest first.
    pub opened: Vec<OpenedReport>,
    /// Number of those that it cannot.
    pub sealed: u64,
    /// Number of those that are left out, since their authors report too much at once.
    pub withheld: u64,
}

impl Replica {
    /// Reports a message or a member to those who may hide messages of the hub; durable when it
    /// returns. Everybody sees that something is reported, and by whom: not what.
    ///
    /// # Errors
    /// [`EngineError::Denied`] if this account is no member, reported this already and nobody
    /// dealt with it, or if no device is known here that could read it; if the hub is not here, this
    /// device may not write, or the store fails.
    pub fn report(
        &self,
        hub: &HubId,
        about: ReportSubject,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        if reason.len() > HUB_REPORT_REASON_BYTES_MAX {
            let most = HUB_REPORT_REASON_BYTES_MAX;
            let message = format!("a reason of {} bytes, limit {most}", reason.len());
            return Err(EngineError::Invalid(message));
        }
        let me = self.account()?;
        if about.account() == me {
            return Err(EngineError::Denied("one does not report oneself".into()));
        }
        self.govern(|state, work| {
            let mut mine = self.reports_in(state, hub, Some(me))?.opened.into_iter();
            let open = mine.find(|report| report.about == about && report.handled.is_none());
            if let Some(open) = open {
                let message = format!("you reported this already: {}", open.id.short());
                return Err(EngineError::Denied(message));
            }
            let body = self.body_of(state, hub, &about)?;
            let report = Report { about, reason: reason.to_owned(), body };
            let sealed = self.seal_for_moderators(state, hub, (&me, &report))?;
            self.operate(state, work, hub, HubAction::Report(sealed), "", now_ms)
        })
    }

    /// Reports whatever somebody likes to.
    #[cfg(test)]
    pub(crate) fn report_unasked(
        &self,
        hub: &HubId,
        about: ReportSubject,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let me = self.account()?;
        self.govern(|state, work| {
            let report = Report { about, reason: reason.to_owned(), body: Vec::new() };
            let sealed = self.seal_for_moderators(state, hub, (&me, &report))?;
            self.operate(state, work, hub, HubAction::Report(sealed), "", now_ms)
        })
    }

    /// Reports of a hub, the latest first. Of one account the open ones are bounded, and of those
    /// about the same thing the latest is listed.
    ///
    /// # Errors
    /// If the hub is not here, or the store fails or is damaged.
    pub fn reports(&self, hub: &HubId) -> Result<Reports, EngineError> {
        self.reports_in(&mut self.lock(), hub, None)
    }

    /// Those of the own account.
    ///
    /// # Errors
    /// As [`Replica::reports`].
    pub fn own_reports(&self, hub: &HubId) -> Result<Reports, EngineError> {
        let me = self.account()?;
        self.reports_in(&mut self.lock(), hub, Some(me))
    }

    /// The body of the message that is reported, if it is short and here.
    fn body_of(
        &self,
        state: &mut State,
        hub: &HubId,
        about: &ReportSubject,
    ) -> Result<Vec<u8>, EngineError> {
        let ReportSubject::Message(named) = about else { return Ok(Vec::new()) };
        let unknown = || EngineError::NotFound { what: "message", text: named.entry.to_string() };
        let here = self.is_authors(state, hub, named)? == Some(true);
        let (row, entry) = self.entry(&named.entry)?.filter(|_| here).ok_or_else(unknown)?;
        let Some(body) = self.shown_body(state, hub, named, &row, &entry)? else {
            return Ok(Vec::new());
        };
        let most = (HUB_REPORT_TEXT_BYTES_MAX + BODY_SALT_BYTES) as u64;
        if body.size > most {
            return Ok(Vec::new());
        }
        let held = self.store.get(Table::Meta, &keys::body(&body.hash, &row.doc))?;
        let bytes = match held {
            Some(held) => self.held_bytes_in(&held, &body.hash)?,
            None => None,
        };
        Ok(bytes.map(|bytes| bytes.to_vec()).unwrap_or_default())
    }

    /// The body of a message as it is shown: that of its last edit that counts.
    fn shown_body(
        &self,
        state: &mut State,
        hub: &HubId,
        named: &EntryRef,
        row: &EntryRow,
        entry: &Entry,
    ) -> Result<Option<BodyRef>, EngineError> {
        let mut shown = body_in(entry);
        let Some(description) = self.description(state, &row.doc)? else { return Ok(shown) };
        let mut reading = Reading::of(self.known_hub(state, hub)?);
        for edit in self.modifications(state, &named.entry, row)? {
            let Entry::Edit { body, .. } = &edit.entry else { continue };
            let need = Permissions::SEND;
            let standing = self.standing_of(state, &mut reading, &description, &edit.row, need)?;
            if matches!(standing, ContentStanding::Counts { .. }) {
                shown = Some(*body);
            }
        }
        Ok(shown)
    }

    /// Whether an entry is by whom a report says, and in the hub; `None` if it is not here.
    fn is_authors(
        &self,
        state: &mut State,
        hub: &HubId,
        named: &EntryRef,
    ) -> Result<Option<bool>, EngineError> {
        let Some(row) = self.entry_row(&named.entry)? else { return Ok(None) };
        let Some(description) = self.description(state, &row.doc)? else { return Ok(None) };
        let here = description.space.hub() == Some(*hub) && description.channel_id().is_some();
        Ok(Some(here && description.account == named.account))
    }

    fn seal_for_moderators(
        &self,
        state: &mut State,
        hub: &HubId,
        (me, report): (&AccountId, &Report),
    ) -> Result<SealedReport, EngineError> {
        let accused = report.about.account();
        let moderators = self.known_hub(state, hub)?.moderators();
        let this = state.own.as_ref().ok_or(EngineError::NoIdentity)?.device();
        let mut devices = self.devices_for_report(state, me, Some(this))?;
        let mut readers = 0;
        for account in moderators.iter().filter(|account| *account != me) {
            for (device, key) in self.devices_for_report(state, account, None)? {
                if devices.len() < HUB_REPORT_DEVICES_MAX {
                    readers += usize::from(*account != accused);
                    // Whom it is about could otherwise be told by who is left out.
                    let (account, key) = (*account, key.1);
                    devices.entry(device).or_insert((account, key));
                }
            }
        }
        if readers == 0 && !moderators.contains(me) {
            let why = "no moderator who could read this is known here: sync with a node that keeps \
                       the hub";
            return Err(EngineError::Denied(why.into()));
        }
        let space = Space::Hub(*hub).id();
        let (key, decoy) = (EpochKey::generate(&*self.entropy), EpochKey::generate(&*self.entropy));
        let mut wraps = Vec::with_capacity(devices.len());
        for (device, (account, seal_key)) in devices {
            let key = if account == accused { &decoy } else { &key };
            // A device whose key is unusable reads nothing.
            if let Ok(sealed) = key.wrap_in(&space, &seal_key, &*self.entropy) {
                wraps.push(Wrap { device, sealed });
            }
        }
        let sealed = seal_report(&key, hub, me, &report.encode());
        let sealed = sealed.map_err(|error| EngineError::Invalid(error.to_string()))?;
        Ok(SealedReport { epoch: key.id(), wraps, sealed })
    }

    /// Devices of an account in good standing, as far as they are known here: `first` and those
    /// added last.
    fn devices_for_report(
        &self,
        state: &mut State,
        account: &AccountId,
        first: Option<DeviceId>,
    ) -> Result<BTreeMap<DeviceId, (AccountId, SealKey)>, EngineError> {
        let Some(authority) = self.authority_of(state, account)? else {
            return Ok(BTreeMap::new());
        };
        let good = authority.devices.iter().filter(|(_, s)| s.revoked.is_none() && !s.suspended);
        let mut good: Vec<_> = good.collect();
        good.sort_by_key(|(device, standing)| {
            std::cmp::Reverse((Some(**device) == first, standing.added_ms, **device))
        });
        let some = good.into_iter().take(ACCOUNT_DEVICES_MAX);
        Ok(some.map(|(device, s)| (*device, (*account, s.verified.seal_key()))).collect())
    }

    /// Those of everybody, or of one account.
    fn reports_in(
        &self,
        state: &mut State,
        hub: &HubId,
        of: Option<AccountId>,
    ) -> Result<Reports, EngineError> {
        let known = self.known_hub(state, hub)?;
        self.open_texts(state, hub, &known)?;
        let Some(own) = state.own.as_ref() else { return Err(EngineError::NoIdentity) };
        let mut reports = Reports::default();
        let mut listed: BTreeMap<AccountId, usize> = BTreeMap::new();
        let mut open: BTreeSet<(AccountId, ReportSubject)> = BTreeSet::new();
        let all = known.reports().into_iter();
        let all: Vec<_> = all.filter(|view| of.is_none_or(|of| of == view.account)).collect();
        let some = in_turn(all.iter().map(|view| view.account));
        let said = |view: &ReportView<'_>| opened(view, hub, &own.secret);
        let said: Vec<_> = all.iter().zip(&some).map(|(v, opens)| opens.then(|| said(v))).collect();
        for (view, said) in all.into_iter().zip(said) {
            let Some(said) = said else {
                reports.withheld += 1;
                continue;
            };
            let Some(Report { about, reason, body }) = said else {
                reports.sealed += 1;
                continue;
            };
            let mut unproven = false;
            if let ReportSubject::Message(named) = &about {
                match self.is_authors(state, hub, named)? {
                    Some(true) => {}
                    // It names another than who wrote it.
                    Some(false) => {
                        reports.sealed += 1;
                        continue;
                    }
                    None => unproven = true,
                }
            }
            let handled = known.handled(&view.id, &about);
            // The latest of several says how it stands: what was said before is settled with it.
            let latest = open.insert((view.account, about));
            if handled.is_none() {
                if !latest {
                    continue;
                }
                let listed = listed.entry(view.account).or_default();
                if *listed >= LISTED_MAX && of.is_none() {
                    reports.withheld += 1;
                    continue;
                }
                *listed += 1;
            }
            let text = self.proven_text(state, &about, &body)?;
            let (id, account, time_ms) = (view.id, view.account, view.time_ms);
            let report =
                OpenedReport { id, account, time_ms, about, reason, text, unproven, handled };
            reports.opened.push(report);
        }
        Ok(reports)
    }

    /// The text that a report brought along, if it is what the author of the message signed, in it
    /// or in an edit of it.
    fn proven_text(
        &self,
        state: &mut State,
        about: &ReportSubject,
        body: &[u8],
    ) -> Result<Option<String>, EngineError> {
        let ReportSubject::Message(named) = about else { return Ok(None) };
        let Some((row, entry)) = self.entry(&named.entry)? else { return Ok(None) };
        let hash = BlobHash::of(body);
        let mut signed = body_in(&entry).is_some_and(|signed| signed.hash == hash);
        for edit in self.modifications(state, &named.entry, &row)? {
            signed |= matches!(&edit.entry, Entry::Edit { body, .. } if body.hash == hash);
        }
        let text = body.get(BODY_SALT_BYTES..).filter(|_| signed);
        Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()))
    }

    /// Whether the own account may read what is reported in a hub: it may hide messages there.
    ///
    /// # Errors
    /// If the hub is not here, there is no identity, or the store fails.
    pub fn moderates(&self, hub: &HubId) -> Result<bool, EngineError> {
        let me = self.account()?;
        self.hub(hub, |hub| hub.permissions(&me, None).contains(Permissions::HIDE))
    }
}

/// What a report says, if it opens for a device.
fn opened(view: &ReportView<'_>, hub: &HubId, secret: &DeviceSecret) -> Option<Report> {
    let device = secret.id();
    let wrap = view.sealed.wraps.iter().find(|wrap| wrap.device == device)?;
    let space = Space::Hub(*hub).id();
    let key = EpochKey::unwrap_in(&wrap.sealed, &view.sealed.epoch, &space, secret).ok()?;
    let bytes = open_report(&key, hub, &view.account, &view.sealed.sealed).ok()?;
    Report::decode(&bytes).ok()
}

/// Which of reports, the latest first, are opened: of each author his latest, and of all authors as
/// many, so that nobody's are hidden behind another's.
fn in_turn(authors: impl Iterator<Item = AccountId>) -> Vec<bool> {
    let mut counts: BTreeMap<AccountId, usize> = BTreeMap::new();
    let turns: Vec<usize> = authors
        .map(|author| {
            let count = counts.entry(author).or_default();
            *count += 1;
            *count
        })
        .collect();
    // Turns that are complete for everybody, and the latest of the first one that is not.
    let up_to = |turn: usize| counts.values().map(|count| turn.min(*count)).sum::<usize>();
    let whole = (1..=OPENED_MAX).take_while(|turn| up_to(*turn) <= OPENED_ALL_MAX).last();
    let whole = whole.unwrap_or(0);
    let mut rest = OPENED_ALL_MAX.saturating_sub(up_to(whole));
    let opens = |turn: usize| {
        let some = turn == whole + 1 && turn <= OPENED_MAX && rest > 0;
        rest -= usize::from(some);
        turn <= whole || some
    };
    turns.into_iter().map(opens).collect()
}

fn body_in(entry: &Entry) -> Option<BodyRef> {
    match entry {
        Entry::Message(message) => Some(message.body),
        Entry::Poll(poll) => Some(poll.body),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_reports_are_hidden_behind_anothers() {
        let author = |n: u8| AccountId::from_bytes([n; 32]);
        // 100 authors with 64 each are ahead of one with one.
        let mut authors: Vec<_> = (0..64).flat_map(|_| (0..100).map(author)).collect();
        authors.push(author(200));
        let opens = in_turn(authors.iter().copied());
        assert_eq!(opens.iter().filter(|opens| **opens).count(), OPENED_ALL_MAX);
        assert_eq!(opens.last(), Some(&true));
        // Of one, so many and no more.
        let opens = in_turn(std::iter::repeat_n(author(1), 70));
        assert!(opens[..OPENED_MAX].iter().all(|opens| *opens) && !opens[OPENED_MAX]);
    }
}
