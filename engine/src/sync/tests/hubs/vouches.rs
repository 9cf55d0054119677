//! Who vouches for joins by himself, and what others save by it.

use super::private::settle;
use super::{Village, appoint, hub_of, withheld};
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, ChangeId, HubId};
use crate::hub::{Hub, Verdict};
use crate::identity::{DeviceSecret, Domain, Signature};
use crate::model::entry::{HubAction, Rank, RoleRef};
use crate::replica::Replica;
use crate::sync::sim::Network;
use crate::sync::tests::replicas::{Home, NOW, link, person};

/// The key of the tickets of all hubs here.
fn key() -> DeviceSecret {
    DeviceSecret::generate(&SeededEntropy::new(9))
}

/// One account takes an invitation again and again: each is a join of its own.
fn join_often(replica: &Replica, hub: &HubId, invite: ChangeId, times: usize) {
    let me = replica.account().unwrap();
    let message = HubAction::join_message(hub, &invite, &me);
    let proof = Some(key().sign(Domain::Invite, &message));
    for _ in 0..times {
        replica.hub_operation(hub, HubAction::Join { invite, proof }, "", NOW + 100).unwrap();
    }
}

/// Operations that vouch, by whom and for how many, as a replica has them.
fn vouches(home: &Home, hub: &HubId) -> Vec<(AccountId, usize, Verdict)> {
    let read = |hub: &Hub| {
        let audit = hub.audit().into_iter();
        let vouches = audit.filter_map(|record| match record.action {
            HubAction::Vouch { joins } => Some((record.account, joins.len(), record.verdict)),
            _ => None,
        });
        vouches.collect()
    };
    home.replica.hub(hub, read).unwrap()
}

fn invite_of(home: &Home, hub: &HubId) -> ChangeId {
    home.replica.hub(hub, |hub| hub.invites()[0].id).unwrap()
}

fn vouch(home: &Home) -> usize {
    home.replica.vouch_for_joins(NOW + 200).unwrap()
}

const COUNTS: Verdict = Verdict::Counts(Rank::EVERYONE);

#[test]
fn who_invited_vouches_once_and_who_comes_new_checks_no_proof() {
    let (mut network, accounts, hub, ..) = hub_of(3, 90);
    let invite = invite_of(&network.parties[0], &hub);
    // With one of each of the two guests 31: too few.
    join_often(&network.parties[1].replica, &hub, invite, 29);
    settle(&mut network);
    assert_eq!(vouch(&network.parties[0]), 0);
    join_often(&network.parties[2].replica, &hub, invite, 1);
    settle(&mut network);
    assert_eq!([1, 2, 0, 0].map(|n| vouch(&network.parties[n])), [0, 0, 32, 0]);
    settle(&mut network);
    let expected = [(accounts[0], 32, COUNTS)];
    for home in &network.parties {
        assert_eq!(vouches(home, &hub), expected);
    }
    // 29 more are not enough, 400 are an operation and a rest that is one too.
    join_often(&network.parties[1].replica, &hub, invite, 29);
    settle(&mut network);
    assert_eq!(vouch(&network.parties[0]), 0);
    join_often(&network.parties[1].replica, &hub, invite, 371);
    settle(&mut network);
    assert_eq!(vouch(&network.parties[0]), 400);
    settle(&mut network);
    let mut counts: Vec<_> = vouches(&network.parties[2], &hub).iter().map(|v| v.1).collect();
    counts.sort_unstable();
    assert_eq!(counts, [32, 144, 256]);

    let newcomer = person(9_090, "laptop").0;
    newcomer.replica.serve_hub(&hub, true).unwrap();
    let at = network.parties.len();
    network.parties.push(newcomer);
    network.connect(0, at);
    network.run_for(20_000).unwrap();
    let newcomer = &network.parties[at];
    let read = |home: &Home| home.replica.hub(&hub, |hub| hub.members()).unwrap();
    assert_eq!(read(newcomer), read(&network.parties[0]));
    let checked = newcomer.replica.signatures_checked();
    assert!(checked < 40, "{checked} for 432 joins");
}

#[test]
fn nobody_vouches_from_a_device_that_may_not_write_nor_out_of_a_hub_that_he_is_not_in() {
    let (mut network, accounts, hub, ..) = hub_of(3, 91);
    appoint(&network.parties[0], &hub, &accounts[1]);
    settle(&mut network);
    let moderator = &network.parties[1];
    let invite = HubAction::Invite {
        role: RoleRef::Everyone,
        key: Some(key().id()),
        uses: 0,
        expires_ms: 0,
        account: None,
    };
    let invite = moderator.replica.hub_operation(&hub, invite, "", NOW + 60).unwrap();
    settle(&mut network);
    join_often(&network.parties[2].replica, &hub, invite, 40);
    settle(&mut network);
    let due = |home: &Home| home.replica.hub(&hub, |hub| hub.unvouched(&accounts[1])).unwrap();
    assert_eq!(vouch(&network.parties[0]), 0, "it is not his invitation");
    let phone = link(&network.parties[1], 9_191, "phone");
    let device = phone.replica.device().unwrap();
    phone.replica.serve_hub(&hub, true).unwrap();
    let at = network.parties.len();
    network.parties.push(phone);
    network.connect(0, at);
    network.connect(1, at);
    network.run_for(20_000).unwrap();
    let laptop = &network.parties[1].replica;
    laptop.suspend_device(device, true, NOW + 70).unwrap();
    settle(&mut network);
    assert_eq!((due(&network.parties[at]).len(), vouch(&network.parties[at])), (40, 0));
    network.parties[1].replica.suspend_device(device, false, NOW + 80).unwrap();
    network.parties[1].replica.revoke_device(device, "lost", NOW + 90).unwrap();
    settle(&mut network);
    assert_eq!((due(&network.parties[at]).len(), vouch(&network.parties[at])), (40, 0));
    let founder = &network.parties[0].replica;
    let kick = founder.kick(&hub, &accounts[1], "", NOW + 95).unwrap();
    settle(&mut network);
    assert_eq!((due(&network.parties[1]).len(), vouch(&network.parties[1])), (40, 0));
    let lift = HubAction::Lift { operation: kick };
    network.parties[0].replica.hub_operation(&hub, lift, "", NOW + 96).unwrap();
    settle(&mut network);
    assert_eq!(vouch(&network.parties[1]), 40);
}

#[test]
fn it_works_in_a_private_hub() {
    let withheld::Village { mut network, accounts, hub, invite, .. } = withheld::village(3, 92);
    join_often(&network.parties[2].replica, &hub, invite, 30);
    settle(&mut network);
    assert_eq!([1, 2, 0].map(|n| vouch(&network.parties[n])), [0, 0, 32]);
    settle(&mut network);
    for home in &network.parties {
        assert_eq!(vouches(home, &hub), [(accounts[0], 32, COUNTS)]);
    }
}

/// What a thief writes on a phone of who invited lets nobody in once it is revoked.
#[test]
fn a_revoked_phone_vouches_for_nobody() {
    let (mut network, _, hub, ..): Village = hub_of(2, 93);
    let (phone, (stranger, account)) =
        (link(&network.parties[0], 9_301, "phone"), person(9_393, "laptop"));
    let invite = invite_of(&network.parties[0], &hub);
    let lines = [(2, phone), (3, stranger)].map(|(at, home)| {
        home.replica.serve_hub(&hub, true).unwrap();
        network.parties.push(home);
        network.connect(0, at)
    });
    network.run_for(20_000).unwrap();
    let proof = Some(Signature::from_bytes([0; 64]));
    let join = HubAction::Join { invite, proof };
    let joins = vec![network.parties[3].replica.write_knowing(&hub, join, NOW + 100)];
    settle(&mut network);
    network.disconnect(lines[0]);
    let thief = &network.parties[2].replica;
    thief.hub_operation(&hub, HubAction::Vouch { joins }, "", NOW + 110).unwrap();
    let inside = |network: &Network<Home>| {
        [0, 1, 2, 3].map(|n| {
            let replica = &network.parties[n].replica;
            replica.hub(&hub, |hub| hub.rank(&account).is_some()).unwrap()
        })
    };
    assert_eq!(inside(&network), [false, false, true, false]);
    // The founder has not heard of it, and cuts before it.
    let device = network.parties[2].replica.device().unwrap();
    network.parties[0].replica.revoke_device(device, "stolen", NOW + 120).unwrap();
    settle(&mut network);
    network.connect(2, 1);
    network.run_for(20_000).unwrap();
    assert_eq!(inside(&network), [false; 4]);
}
