//! Reports to moderators of a hub.

use super::super::hubs::{hub_of, say};
use super::*;
use crate::model::entry::{EntryRef, HubAction, Permissions, Rank, ReportSubject, RoleRef};

const REASON: &str = "canary-report-61d9";
const INSULT: &str = "canary-insult-0c3e";

/// Who owns the hub, who moderates it, whom it is about, who reports.
const OWNER: usize = 0;
const MODERATOR: usize = 1;
const ACCUSED: usize = 2;
const REPORTER: usize = 3;

struct Court {
    network: Network<Home>,
    hub: crate::hash::HubId,
    insult: ChangeId,
    report: ChangeId,
    accounts: Vec<AccountId>,
    role: ChangeId,
}

fn court(seed: u64) -> Court {
    let (mut network, accounts, hub, channel, _) = hub_of(5, seed);
    let (rank, permissions) = (Rank::of_role(5).unwrap(), Permissions::ALL);
    let role = HubAction::DefineRole { name: "hosts".into(), rank, permissions };
    let owner = &network.parties[OWNER].replica;
    let role = owner.hub_operation(&hub, role, "", NOW + 50).unwrap();
    let grant = HubAction::Grant { account: accounts[MODERATOR], role: RoleRef::Role(role) };
    owner.hub_operation(&hub, grant, "", NOW + 51).unwrap();
    let insult = say(&network.parties[ACCUSED], &hub, &channel, INSULT, NOW + 52).unwrap();
    settle(&mut network);
    let entry = EntryRef { account: accounts[ACCUSED], entry: insult };
    let reporter = &network.parties[REPORTER].replica;
    let report = reporter.report(&hub, ReportSubject::Message(entry), REASON, NOW + 60).unwrap();
    settle(&mut network);
    Court { network, hub, insult, report, accounts, role }
}

impl Court {
    fn opens(&self, who: usize) -> bool {
        let reports = self.network.parties[who].replica.reports(&self.hub).unwrap();
        reports.opened.iter().any(|report| report.id == self.report && report.reason == REASON)
    }
}

#[test]
fn claim_reports_are_for_moderators() {
    let mut court = court(120);
    assert_eq!([0, 1, 2, 3, 4].map(|who| court.opens(who)), [true, true, false, true, false]);
    let opened = court.network.parties[MODERATOR].replica.reports(&court.hub).unwrap().opened;
    assert_eq!((opened[0].account, opened[0].text.as_deref()), (court.accounts[3], Some(INSULT)));
    assert_eq!(opened[0].about.account(), court.accounts[ACCUSED]);
    // Who becomes a moderator later does not read it.
    let grant = HubAction::Grant { account: court.accounts[4], role: RoleRef::Role(court.role) };
    let owner = &court.network.parties[OWNER].replica;
    owner.hub_operation(&court.hub, grant, "", NOW + 70).unwrap();
    settle(&mut court.network);
    assert!(court.network.parties[4].replica.moderates(&court.hub).unwrap() && !court.opens(4));
}

#[test]
fn claim_reports_show_who_and_when() {
    let court = court(121);
    for home in &court.network.parties {
        let seen = home.replica.hub(&court.hub, |hub| {
            let record = hub.record_of(&court.report).unwrap();
            let devices = hub.reports()[0].sealed.wraps.len();
            (record.account, record.time_ms, record.reason.to_owned(), devices)
        });
        let expected = (court.accounts[REPORTER], NOW + 60, String::new());
        let (account, time_ms, reason, devices) = seen.unwrap();
        assert_eq!((account, time_ms, reason), expected);
        assert!(devices >= 2, "{devices}");
    }
    // The entry names neither what it is about nor why.
    let row = court.network.parties[4].replica.entry(&court.report).unwrap();
    let encoded = row.unwrap().1.encode();
    let about = &court.accounts[ACCUSED];
    for said in [REASON.as_bytes(), INSULT.as_bytes(), court.insult.as_bytes(), about.as_bytes()] {
        assert!(!encoded.windows(said.len()).any(|part| part == said));
    }
}

#[test]
fn claim_reports_stay() {
    let mut court = court(122);
    assert!(court.network.parties[REPORTER].replica.delete(court.report, NOW + 70).is_err());
    court.network.parties[ACCUSED].replica.delete(court.insult, NOW + 71).unwrap();
    settle(&mut court.network);
    let opened = court.network.parties[OWNER].replica.reports(&court.hub).unwrap().opened;
    assert_eq!(opened[0].text.as_deref(), Some(INSULT));
}
