//! Reports to moderators: who can read them, and what becomes of them.

use super::*;
use crate::model::entry::{Entry, HubOperation, Report, ReportSubject, Wrap};
use crate::replica::{OpenedReport, Reports};

/// What a home can read of the reports of a hub.
fn read(home: &Home, hub: &HubId) -> Vec<OpenedReport> {
    home.replica.reports(hub).unwrap().opened
}

fn settle(network: &mut Network<Home>) {
    network.spread_news();
    network.run_for(10_000).unwrap();
}

fn act_of(report: &OpenedReport) -> Option<&'static str> {
    report.handled.as_ref().map(|handled| handled.act)
}

#[test]
fn a_report_opens_for_moderators_and_its_author_alone() {
    let (mut network, accounts, hub, channel, _) = hub_of(4, 40);
    appoint(&network.parties[0], &hub, &accounts[1]);
    settle(&mut network);
    let insult = say(&network.parties[2], &hub, &channel, "an insult", NOW + 100).unwrap();
    settle(&mut network);
    let entry = EntryRef { account: accounts[2], entry: insult };
    let about = ReportSubject::Message(entry);
    let id = network.parties[3].replica.report(&hub, about, "rude", NOW + 101).unwrap();
    settle(&mut network);
    for (n, home) in network.parties.iter().enumerate() {
        let Reports { opened, sealed, withheld } = home.replica.reports(&hub).unwrap();
        assert_eq!((opened.len(), sealed, withheld), if n == 2 { (0, 1, 0) } else { (1, 0, 0) });
        for report in opened {
            assert_eq!((report.id, report.account, report.about), (id, accounts[3], about));
            assert_eq!((report.reason.as_str(), report.handled), ("rude", None));
            assert_eq!(report.text.as_deref(), Some("an insult"));
        }
    }
    // Nothing of it stands in the clear at anybody's.
    let sealed = network.parties[2].replica.hub(&hub, |hub| hub.reports()[0].sealed.clone());
    let action = HubAction::Report(sealed.unwrap());
    let deed = HubOperation { action, reason: String::new(), seen: Vec::new(), texts: None };
    let encoded = Entry::Hub(Box::new(deed)).encode();
    let plain = Report { about, reason: "rude".into(), body: b"an insult".to_vec() }.encode();
    for said in [b"rude".as_slice(), b"an insult", insult.as_bytes(), accounts[2].as_bytes()] {
        let stands = |bytes: &[u8]| bytes.windows(said.len()).any(|window| window == said);
        assert!(stands(&plain) && !stands(&encoded));
    }
    // What its author withdrew moderators can still judge, and no other report is open beside it.
    network.parties[2].replica.delete(insult, NOW + 102).unwrap();
    settle(&mut network);
    let again = network.parties[3].replica.report(&hub, about, "rude", NOW + 103);
    assert!(matches!(again, Err(EngineError::Denied(_))), "{again:?}");
    assert_eq!(read(&network.parties[1], &hub)[0].text.as_deref(), Some("an insult"));
    // Hidden, shown again, dismissed, and that taken back.
    let moderator = &network.parties[1].replica;
    let lift = |operation| HubAction::Lift { operation };
    let hide = moderator.hub_operation(&hub, HubAction::Hide { entry }, "no", NOW + 110).unwrap();
    assert_eq!(act_of(&read(&network.parties[1], &hub)[0]), Some("hide"));
    moderator.hub_operation(&hub, lift(hide), "", NOW + 111).unwrap();
    assert_eq!(act_of(&read(&network.parties[1], &hub)[0]), None);
    let dismiss = HubAction::Dismiss { report: id };
    let dismissed = moderator.hub_operation(&hub, dismiss, "fine", NOW + 112).unwrap();
    settle(&mut network);
    let seen = read(&network.parties[3], &hub)[0].handled.clone().unwrap();
    assert_eq!((seen.operation, seen.by, seen.act), (dismissed, accounts[1], "dismiss"));
    assert_eq!(seen.reason, "fine");
    let founder = &network.parties[0].replica;
    founder.hub_operation(&hub, lift(dismissed), "", NOW + 113).unwrap();
    founder.ban(&hub, &accounts[2], false, "", NOW + 114).unwrap();
    assert_eq!(act_of(&read(&network.parties[0], &hub)[0]), Some("ban"));
    let denied = network.parties[3].replica.hub_operation(
        &hub,
        HubAction::Dismiss { report: id },
        "",
        NOW + 115,
    );
    assert!(matches!(denied, Err(EngineError::Denied(_))));
}

#[test]
fn who_is_reported_reads_and_dismisses_nothing_about_himself() {
    let (mut network, accounts, hub, _, _) = hub_of(3, 41);
    appoint(&network.parties[0], &hub, &accounts[1]);
    settle(&mut network);
    let about = ReportSubject::Member(accounts[1]);
    let id = network.parties[2].replica.report(&hub, about, "power", NOW + 100).unwrap();
    settle(&mut network);
    // He has a copy like the others, so that nobody can tell whom it is about; it does not open.
    assert_eq!(network.parties[1].replica.reports(&hub).unwrap().sealed, 1);
    let dismiss = HubAction::Dismiss { report: id };
    network.parties[1].replica.hub_operation(&hub, dismiss, "", NOW + 101).unwrap();
    settle(&mut network);
    let open = read(&network.parties[0], &hub);
    assert_eq!((open.len(), act_of(&open[0])), (1, None));
}

#[test]
fn a_flood_of_reports_is_bounded_and_that_of_a_banned_member_void() {
    let (mut network, accounts, hub, channel, _) = hub_of(3, 42);
    let mut said = Vec::new();
    for n in 0..80 {
        said.push(
            say(&network.parties[1], &hub, &channel, &format!("{n}"), NOW + 100 + n).unwrap(),
        );
    }
    settle(&mut network);
    for (n, entry) in (0..).zip(&said) {
        let about = ReportSubject::Message(EntryRef { account: accounts[1], entry: *entry });
        network.parties[2].replica.report(&hub, about, "", NOW + 200 + n).unwrap();
    }
    let about = ReportSubject::Member(accounts[2]);
    network.parties[1].replica.report(&hub, about, "he reports all", NOW + 300).unwrap();
    settle(&mut network);
    let founder = &network.parties[0].replica;
    let reports = founder.reports(&hub).unwrap();
    let of = |account| reports.opened.iter().filter(|r| r.account == accounts[account]).count();
    assert_eq!((of(1), of(2), reports.withheld), (1, 16, 64));
    // A removal that had seen nothing of his leaves nothing, as of his operations.
    let ban = HubAction::Ban { account: accounts[2], cut: Vec::new(), purge: true };
    founder.hub_operation(&hub, ban, "", NOW + 301).unwrap();
    network.parties[2].replica.write_unasked(
        &hub,
        HubAction::Report(crate::model::entry::SealedReport {
            epoch: crate::hash::EpochId::from_bytes([1; 32]),
            wraps: vec![Wrap {
                device: network.parties[0].replica.own_device(),
                sealed: vec![1; crate::seal::WRAP_BYTES],
            }],
            sealed: Vec::new(),
        }),
        NOW + 302,
    );
    settle(&mut network);
    let founder = &network.parties[0].replica;
    assert_eq!(founder.reports(&hub).unwrap().sealed, 0);
    assert_eq!(founder.hub(&hub, |hub| hub.reports().len()).unwrap(), 81);
}

#[test]
fn nobody_is_blamed_for_what_another_wrote() {
    let (mut network, accounts, hub, channel, _) = hub_of(3, 43);
    let mine = say(&network.parties[2], &hub, &channel, "an insult", NOW + 100).unwrap();
    settle(&mut network);
    let about = ReportSubject::Message(EntryRef { account: accounts[1], entry: mine });
    let reporter = &network.parties[2].replica;
    // Not by a replica that is as it should be, and not where the entry is here.
    let refused = reporter.report(&hub, about, "rude", NOW + 101);
    assert!(matches!(refused, Err(EngineError::NotFound { .. })), "{refused:?}");
    reporter.report_unasked(&hub, about, "rude", NOW + 102).unwrap();
    // What is nowhere is named by its reporter alone.
    let nowhere = EntryRef { account: accounts[1], entry: ChangeId::from_bytes([9; 32]) };
    let nowhere = ReportSubject::Message(nowhere);
    reporter.report_unasked(&hub, nowhere, "rude", NOW + 103).unwrap();
    settle(&mut network);
    let Reports { opened, sealed, .. } = network.parties[0].replica.reports(&hub).unwrap();
    assert_eq!((opened.len(), sealed), (1, 1));
    assert_eq!((opened[0].about, opened[0].unproven, &opened[0].text), (nowhere, true, &None));
}

#[test]
fn what_was_reported_stays_though_its_author_edits_it() {
    let (mut network, accounts, hub, channel, _) = hub_of(3, 44);
    let entry = say(&network.parties[1], &hub, &channel, "harmless", NOW + 100).unwrap();
    network.parties[1].replica.edit(entry, "an insult", NOW + 101).unwrap();
    settle(&mut network);
    let about = ReportSubject::Message(EntryRef { account: accounts[1], entry });
    network.parties[2].replica.report(&hub, about, "rude", NOW + 102).unwrap();
    network.parties[1].replica.edit(entry, "harmless again", NOW + 103).unwrap();
    settle(&mut network);
    let report = read(&network.parties[0], &hub).remove(0);
    assert_eq!((report.text.as_deref(), report.unproven), (Some("an insult"), false));
}

#[test]
fn a_dismissal_settles_what_the_same_one_said_before() {
    let (mut network, accounts, hub, _, _) = hub_of(3, 45);
    let about = ReportSubject::Member(accounts[1]);
    let reporter = &network.parties[2].replica;
    for n in 0..3 {
        reporter.report_unasked(&hub, about, "again", NOW + 100 + n).unwrap();
    }
    settle(&mut network);
    let founder = &network.parties[0].replica;
    let [report] = &founder.reports(&hub).unwrap().opened[..] else { panic!() };
    let dismiss = HubAction::Dismiss { report: report.id };
    founder.hub_operation(&hub, dismiss, "fine", NOW + 200).unwrap();
    let open = read(&network.parties[0], &hub);
    assert!(open.iter().all(|report| report.handled.is_some()), "{open:?}");
}

#[test]
fn a_report_opens_whatever_prekeys_are_forgotten() {
    const DAY_MS: u64 = 24 * 3_600_000;
    let (mut network, accounts, hub, channel, _) = hub_of(4, 49);
    appoint(&network.parties[0], &hub, &accounts[1]);
    let moderator = &network.parties[1].replica;
    // Who takes part in something sealed has a prekey.
    moderator.tend_prekeys(NOW + 50).unwrap();
    moderator.converse_with(accounts[0], NOW + 50).unwrap();
    moderator.tend_prekeys(NOW + 51).unwrap();
    settle(&mut network);
    let insult = say(&network.parties[2], &hub, &channel, "an insult", NOW + 100).unwrap();
    settle(&mut network);
    let about = ReportSubject::Message(EntryRef { account: accounts[2], entry: insult });
    network.parties[3].replica.report(&hub, about, "rude", NOW + 101).unwrap();
    settle(&mut network);
    let moderator = &network.parties[1].replica;
    let device = moderator.device().unwrap();
    let sealed = moderator.hub(&hub, |hub| hub.reports()[0].sealed.clone()).unwrap();
    let copy = sealed.wraps.iter().find(|wrap| wrap.device == device).unwrap();
    assert_eq!(crate::seal::prekey_of(&copy.sealed), None);
    let halves = || {
        let state = moderator.lock();
        let halves = state.own.as_ref().unwrap().halves.iter().flatten();
        halves.map(|half| crate::seal::tag_of(&half.secret.public())).collect::<Vec<_>>()
    };
    let first = halves()[0];
    // It is listed for the first time when the prekeys of then are forgotten.
    for days in [31, 92, 93] {
        moderator.tend_prekeys(NOW + days * DAY_MS).unwrap();
    }
    assert!(!halves().contains(&first) && halves().len() == 2);
    assert_eq!(read(&network.parties[1], &hub)[0].reason, "rude");
}
