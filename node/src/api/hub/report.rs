//! Reports to moderators.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::{ChangeId, HubId};
use mosaic_engine::hub::Verdict;
use mosaic_engine::model::entry::{EntryRef, HubAction, ReportSubject};
use mosaic_engine::replica::{MessageState, OpenedReport, Replica, Text};

use super::{govern, name};
use crate::api::answer::blocking;
use crate::api::resolve;
use crate::api::types::{
    ErrorKind, ErrorRecord, Notice, Record, Report, ReportDismiss, ReportList, ReportMember,
    ReportMessage, rfc3339,
};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<ReportMessage, _>(router, |app, r: ReportMessage| {
        let replica = app.replica()?;
        let entry = resolve::entry(&replica, &r.id)?;
        let view = replica.message(&entry)?;
        let about = ReportSubject::Message(EntryRef { account: view.account, entry });
        write(&replica, &view.hub, about, &r.reason)
    });
    let router = blocking::<ReportMember, _>(router, |app, r: ReportMember| {
        let replica = app.replica()?;
        let (hub, account) = govern::member(&replica, &r.hub, &r.who)?;
        write(&replica, &hub, ReportSubject::Member(account), &r.reason)
    });
    let router = blocking::<ReportList, _>(router, list);
    blocking::<ReportDismiss, _>(router, dismiss)
}

fn write(
    replica: &Replica,
    hub: &HubId,
    about: ReportSubject,
    reason: &str,
) -> Result<Record, ErrorRecord> {
    let now_ms = clock::now_ms();
    let id = replica
        .report(hub, about, reason, now_ms)
        .map_err(name::refused(*hub, "mosaic hub report --help"))?;
    let written = replica.own_reports(hub)?.opened.into_iter().find(|report| report.id == id);
    // It is durable, whether it is listed or not.
    let me = replica.account()?;
    let written = written.unwrap_or_else(|| OpenedReport {
        id,
        account: me,
        time_ms: now_ms,
        about,
        reason: reason.to_owned(),
        text: None,
        unproven: false,
        handled: None,
    });
    record(replica, hub, &written, false)
}

fn list(app: &App, request: ReportList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    if !request.own && !replica.moderates(&hub)? {
        let message = "reports are for those who may hide messages of this hub";
        let hint = format!("mosaic hub report list {}", hub.short());
        return Err(ErrorRecord::new(ErrorKind::Denied, message).with_hint(hint));
    }
    let reports = if request.own { replica.own_reports(&hub)? } else { replica.reports(&hub)? };
    let shown = reports.opened.iter();
    let shown = shown.filter(|r| request.own || request.all || r.handled.is_none());
    let mut records = shown
        .map(|report| record(&replica, &hub, report, request.names))
        .collect::<Result<Vec<_>, _>>()?;
    if !request.own {
        let sealed = "not sealed to this device: about you, from before you were a moderator or \
                      this device was linked, or made wrong";
        let withheld = "left out: their authors report too much at once";
        for (count, why) in [(reports.sealed, sealed), (reports.withheld, withheld)] {
            if count > 0 {
                let message = format!("{count} reports are {why}.");
                records.push(Record::Notice(Notice { message }));
            }
        }
    }
    Ok(records)
}

fn dismiss(app: &App, request: ReportDismiss) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let report = govern::found(&replica, &hub, &request.id)?;
    if !request.reopen {
        let action = HubAction::Dismiss { report };
        return Ok(vec![govern::act(&replica, &hub, action, &request.reason)?]);
    }
    let standing: Vec<ChangeId> = replica.hub(&hub, |known| {
        let audit = known.audit();
        let of =
            |action: &HubAction| matches!(action, HubAction::Dismiss { report: r } if *r == report);
        let standing = audit.iter().filter(|record| {
            of(record.action)
                && matches!(record.verdict, Verdict::Counts(_))
                && record.lifted.is_none()
        });
        standing.map(|record| record.id).collect()
    })?;
    if standing.is_empty() {
        let message = format!("{} is not dismissed", report.short());
        let hint = format!("mosaic hub mod reports {}", hub.short());
        return Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(hint));
    }
    let lift = |operation| HubAction::Lift { operation };
    let lifts = standing.into_iter().map(lift).collect();
    govern::act_all(&replica, &hub, lifts, &request.reason)
}

fn record(
    replica: &Replica,
    hub: &HubId,
    report: &OpenedReport,
    names: bool,
) -> Result<Record, ErrorRecord> {
    let author = report.about.account();
    let name = |account| match names {
        true => resolve::name(replica, account),
        false => Ok(None),
    };
    let message = match report.about {
        ReportSubject::Message(entry) => Some(entry.entry),
        ReportSubject::Member(_) => None,
    };
    let view = match message {
        Some(id) => replica.message(&id).ok(),
        None => None,
    };
    let purged = view.as_ref().is_some_and(|v| matches!(v.state, MessageState::Purged { .. }));
    let now = match view.as_ref().map(|view| &view.text) {
        Some(Text::Here(text)) => Some(text.clone()),
        _ => None,
    };
    // What was withdrawn or edited since can still be judged; what was purged is gone for good.
    let brought = report.text.clone().filter(|text| !purged && now.as_ref() != Some(text));
    let (text, kept) = (brought.clone().or(now), brought.is_some());
    let handled = report.handled.as_ref();
    Ok(Record::Report(Report {
        id: report.id.to_string(),
        hub: hub.to_string(),
        by: report.account.to_string(),
        by_name: name(&report.account)?,
        created_at: rfc3339(report.time_ms),
        about: if message.is_some() { "message" } else { "member" }.to_owned(),
        message: message.map(|id| id.to_string()),
        channel: view.as_ref().map(|view| view.channel.to_string()),
        account: author.to_string(),
        account_name: name(&author)?,
        author_unproven: report.unproven.into(),
        text,
        text_kept: kept.into(),
        reason: Some(report.reason.clone()).filter(|reason| !reason.is_empty()),
        state: if handled.is_some() { "handled" } else { "open" }.to_owned(),
        handled_act: handled.map(|handled| handled.act.to_owned()),
        handled_by: handled.map(|handled| handled.by.to_string()),
        handled_reason: handled
            .map(|handled| handled.reason.clone())
            .filter(|reason| !reason.is_empty()),
        operation: handled.map(|handled| handled.operation.to_string()),
    }))
}
