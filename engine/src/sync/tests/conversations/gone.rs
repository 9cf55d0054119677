//! What counts of somebody whom the founder took out of a group, whoever heard what first.

use super::members::{carried, group};
use super::{run, say, texts};
use crate::description::{Section, SectionClass, Space};
use crate::replica::Subscription;
use crate::sync::exchange::Exchange;
use crate::sync::sim::Network;
use crate::sync::tests::replicas::{Home, NOW, link, person};

/// A phone says two things, of which its laptop hears one before it revokes the phone; the founder, who has
/// both, takes the account out, with the revocation known to him, to another member, or to neither.
#[test]
fn who_goes_is_heard_up_to_what_counted_when_the_founder_said_so() {
    for (founder_knew, other_knew) in [(false, false), (false, true), (true, false)] {
        let (mut network, accounts, id, lines) = group(650, 3);
        let phone = link(&network.parties[1], 655, "phone");
        network.parties.push(phone);
        let own = network.connect(1, 3);
        run(&mut network);
        network.parties[1].replica.mend_conversations(NOW + 1).unwrap();
        run(&mut network);
        say(&network.parties[3].replica, &id, "kept", NOW + 2).unwrap();
        run(&mut network);
        network.disconnect(own);
        network.disconnect(lines[0]);
        let aside = network.connect(0, 3);
        run(&mut network);
        say(&network.parties[3].replica, &id, "late", NOW + 3).unwrap();
        run(&mut network);
        network.disconnect(aside);
        for home in [0, 2] {
            assert_eq!(texts(&network.parties[home].replica, &id), ["kept", "late"]);
        }
        let device = network.parties[3].replica.device().unwrap();
        network.parties[1].replica.revoke_device(device, "sold", NOW + 4).unwrap();
        network.disconnect(lines[1]);
        for (knew, home) in [(founder_knew, 0), (other_knew, 2)] {
            if knew {
                network.connect(home, 1);
                run(&mut network);
                assert_eq!(texts(&network.parties[home].replica, &id), ["kept"]);
            }
        }
        let founder = &network.parties[0].replica;
        founder.change_member(&id, accounts[1], false, NOW + 5).unwrap();
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            network.connect(a, b);
            run(&mut network);
        }
        let late = link(&network.parties[2], 658, "phone");
        network.parties.push(late);
        network.connect(2, 4);
        for now in [NOW + 6, NOW + 7] {
            run(&mut network);
            network.parties[2].replica.mend_conversations(now).unwrap();
        }
        run(&mut network);
        let shown: &[&str] = if founder_knew { &["kept"] } else { &["kept", "late"] };
        for home in [0, 2, 4] {
            let of = &network.parties[home].replica;
            assert_eq!(texts(of, &id), shown, "{founder_knew} {other_knew} {home}");
        }
    }
}

/// What somebody deletes counts where it was heard before he was taken out: everywhere or nowhere.
#[test]
fn what_is_deleted_beyond_the_founders_cut_stays() {
    for heard_first in [false, true] {
        let (mut network, accounts, id, lines) = group(660, 3);
        let said = say(&network.parties[1].replica, &id, "one", NOW + 2).unwrap();
        run(&mut network);
        lines.iter().for_each(|line| network.disconnect(*line));
        network.parties[1].replica.delete_directly(&said, NOW + 3).unwrap();
        if heard_first {
            let aside = network.connect(1, 2);
            run(&mut network);
            network.disconnect(aside);
            assert_eq!(texts(&network.parties[2].replica, &id), ["Deleted"]);
        }
        let founder = &network.parties[0].replica;
        founder.change_member(&id, accounts[1], false, NOW + 4).unwrap();
        for (a, b) in [(0, 2), (1, 2), (0, 1)] {
            network.connect(a, b);
            run(&mut network);
        }
        for home in [0, 2] {
            let of = &network.parties[home].replica;
            assert_eq!(texts(of, &id), ["one"], "{heard_first} {home}");
        }
        // Once he is back all of it counts again.
        let founder = &network.parties[0].replica;
        founder.change_member(&id, accounts[1], true, NOW + 5).unwrap();
        network.refresh();
        run(&mut network);
        run(&mut network);
        for home in [0, 1, 2] {
            let of = &network.parties[home].replica;
            assert_eq!(texts(of, &id), ["Deleted"], "{heard_first} {home}");
        }
    }
}

/// What a device writes while it is suspended is held back, also where its account is taken out meanwhile,
/// and counts once it is restored.
#[test]
fn what_is_held_back_stays_so_when_its_account_goes() {
    let (mut network, accounts, id, lines) = group(670, 3);
    let phone = link(&network.parties[1], 675, "phone");
    network.parties.push(phone);
    let own = network.connect(1, 3);
    run(&mut network);
    network.parties[1].replica.mend_conversations(NOW + 1).unwrap();
    run(&mut network);
    say(&network.parties[3].replica, &id, "before", NOW + 2).unwrap();
    run(&mut network);
    network.disconnect(own);
    network.disconnect(lines[0]);
    let aside = network.connect(0, 3);
    say(&network.parties[3].replica, &id, "by a thief", NOW + 3).unwrap();
    run(&mut network);
    network.disconnect(aside);
    let device = network.parties[3].replica.device().unwrap();
    network.parties[1].replica.suspend_device(device, true, NOW + 4).unwrap();
    network.connect(0, 1);
    run(&mut network);
    let shown =
        |network: &Network<Home>| [0, 2].map(|home| texts(&network.parties[home].replica, &id));
    assert_eq!(shown(&network), [["before"], ["before"]]);
    network.parties[0].replica.change_member(&id, accounts[1], false, NOW + 5).unwrap();
    run(&mut network);
    assert_eq!(shown(&network), [["before"], ["before"]]);
    network.parties[1].replica.suspend_device(device, false, NOW + 6).unwrap();
    network.refresh();
    run(&mut network);
    run(&mut network);
    assert_eq!(shown(&network), [["before", "by a thief"], ["before", "by a thief"]]);
}

/// What somebody writes who was taken out apart, and a node has that carries the group, is missed by nobody.
#[test]
fn what_was_written_beyond_the_cut_parts_nobody() {
    let (mut network, accounts, id, lines) = group(680, 3);
    let (relay, _) = person(689, "relay");
    relay.replica.subscribe(Subscription::whole(accounts[0])).unwrap();
    relay.replica.subscribe(Subscription::whole(accounts[1])).unwrap();
    let keeper = relay.replica.device().unwrap();
    for home in [0, 1] {
        network.parties[home].replica.set_keeper(&keeper, true).unwrap();
    }
    network.parties.push(relay);
    let at_relay = [network.connect(0, 3), network.connect(1, 3)];
    run(&mut network);
    say(&network.parties[1].replica, &id, "before", NOW + 2).unwrap();
    run(&mut network);
    network.disconnect(lines[0]);
    network.disconnect(at_relay[0]);
    network.disconnect(at_relay[1]);
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[1], false, NOW + 3).unwrap();
    say(&network.parties[1].replica, &id, "void", NOW + 4).unwrap();
    network.connect(1, 3);
    run(&mut network);
    network.connect(0, 3);
    network.connect(0, 1);
    run(&mut network);
    run(&mut network);
    network.outcomes.clear();
    run(&mut network);
    for (who, outcome) in &network.outcomes {
        let told = (outcome.missing_here, outcome.missing_there);
        assert!(outcome.is_equal() && told == (0, 0), "{who}: {outcome:?}");
    }
    for home in [0, 2] {
        assert_eq!(texts(&network.parties[home].replica, &id), ["before"], "{home}");
    }
}

/// A text that somebody knows of and has not, by who was taken out since, is wanted no more until he is back.
#[test]
fn texts_beyond_the_cut_are_wanted_from_nobody() {
    let (mut network, accounts, id, lines) = group(690, 3);
    say(&network.parties[1].replica, &id, "before", NOW + 2).unwrap();
    run(&mut network);
    lines.iter().for_each(|line| network.disconnect(*line));
    say(&network.parties[1].replica, &id, "later", NOW + 3).unwrap();
    let pages = carried(&network.parties[1].replica, Some(&id));
    network.parties[2].replica.take_carried(pages, NOW + 3).unwrap();
    let section = Section { space: Space::Conversation(id).id(), class: SectionClass::Private };
    let wanted = |network: &Network<Home>| {
        network.parties[2].replica.missing_bodies_count(&section).unwrap()
    };
    assert_eq!(wanted(&network), 1);
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[1], false, NOW + 4).unwrap();
    network.connect(0, 2);
    run(&mut network);
    assert_eq!(wanted(&network), 0);
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[1], true, NOW + 5).unwrap();
    run(&mut network);
    assert_eq!(wanted(&network), 1);
    network.connect(1, 2);
    network.connect(0, 1);
    run(&mut network);
    for home in [0, 2] {
        assert_eq!(texts(&network.parties[home].replica, &id), ["before", "later"], "{home}");
    }
}

/// The same of what was said and deleted beyond the cut: nothing is missing meanwhile, and it stays deleted.
#[test]
fn what_is_said_and_deleted_beyond_the_cut_is_wanted_from_nobody() {
    let (mut network, accounts, id, lines) = group(700, 3);
    lines.iter().for_each(|line| network.disconnect(*line));
    let said = say(&network.parties[1].replica, &id, "never mind", NOW + 2).unwrap();
    network.parties[1].replica.delete_directly(&said, NOW + 3).unwrap();
    let aside = network.connect(1, 2);
    run(&mut network);
    network.disconnect(aside);
    assert_eq!(texts(&network.parties[2].replica, &id), ["Deleted"]);
    let section = Section { space: Space::Conversation(id).id(), class: SectionClass::Private };
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[1], false, NOW + 4).unwrap();
    network.connect(0, 2);
    run(&mut network);
    assert_eq!(network.parties[2].replica.missing_bodies_count(&section).unwrap(), 0);
    let founder = &network.parties[0].replica;
    founder.change_member(&id, accounts[1], true, NOW + 5).unwrap();
    network.connect(0, 1);
    network.connect(1, 2);
    run(&mut network);
    for home in [0, 1, 2] {
        assert_eq!(texts(&network.parties[home].replica, &id), ["Deleted"], "{home}");
        let missing = network.parties[home].replica.missing_bodies_count(&section).unwrap();
        assert_eq!(missing, 0, "{home}");
    }
}

/// A thief's device of the founder takes somebody out; that it counts for nothing has his texts wanted again.
#[test]
fn a_removal_that_is_void_takes_no_text_away() {
    let (mut network, accounts, id, lines) = group(710, 3);
    let phone = link(&network.parties[0], 715, "phone");
    network.parties.push(phone);
    let own = network.connect(0, 3);
    run(&mut network);
    network.parties[0].replica.mend_conversations(NOW + 1).unwrap();
    run(&mut network);
    network.disconnect(own);
    lines.iter().for_each(|line| network.disconnect(*line));
    say(&network.parties[1].replica, &id, "later", NOW + 2).unwrap();
    let pages = carried(&network.parties[1].replica, Some(&id));
    network.parties[2].replica.take_carried(pages, NOW + 2).unwrap();
    let section = Section { space: Space::Conversation(id).id(), class: SectionClass::Private };
    let wanted = |network: &Network<Home>| {
        network.parties[2].replica.missing_bodies_count(&section).unwrap()
    };
    network.parties[3].replica.change_member(&id, accounts[1], false, NOW + 3).unwrap();
    let aside = network.connect(2, 3);
    run(&mut network);
    network.disconnect(aside);
    assert_eq!(wanted(&network), 0);
    let device = network.parties[3].replica.device().unwrap();
    network.parties[0].replica.revoke_device(device, "stolen", NOW + 4).unwrap();
    network.connect(0, 2);
    run(&mut network);
    assert_eq!(wanted(&network), 1);
    network.connect(1, 2);
    run(&mut network);
    assert_eq!(texts(&network.parties[2].replica, &id), ["later"]);
}
