//! Bad input in conversations: each is refused or deferred with its reason, nothing is shown half,
//! and nothing honest is lost.

use super::{friends, network, run, say, texts};
use crate::description::{Description, Section, SectionClass, Space};
use crate::entropy::{Entropy, SeededEntropy};
use crate::hash::{ConversationId, DeviceId};
use crate::identity::DeviceSecret;
use crate::model::entry::{ConversationGenesis, Entry, Sealed, Spoken, Wrap};
use crate::replica::{ConversationStanding, MessageStanding, Replica, Subscription, Work};
use crate::seal::{EpochKey, SealPlace, SealedEntry};
use crate::store::Table;
use crate::sync::exchange::Exchange;
use crate::sync::tests::replicas::{Home, NOW, person};

/// Writes an entry of the author's choice into his page.
pub(super) fn forge(replica: &Replica, id: &ConversationId, entry: Entry, now: u64) {
    let me = replica.account().unwrap();
    let page = Description::conversation(*id, me, 0);
    let mut state = replica.lock();
    let mut work = Work::default();
    replica.append(&mut state, &mut work, &page, entry, now).unwrap();
    replica.finish(state, work).unwrap();
}

/// Seals bytes of the author's choice for where they will stand.
pub(super) fn seal(replica: &Replica, id: &ConversationId, plain: &[u8]) -> Sealed {
    let me = replica.account().unwrap();
    let page = Description::conversation(*id, me, 0);
    let mut state = replica.lock();
    let key = state.circle_keys.values().find_map(|held| held.key.clone()).unwrap();
    let (chain, held) = replica.own_chain(&mut state, &page).unwrap();
    let (n, previous_link) = (held.held + 1, held.link);
    let place = SealPlace { space: page.space.id(), chain, n, previous_link };
    let header = Sealed::header(&[], 0);
    let entry = SealedEntry::seal(&key, &place, &header, plain, &SeededEntropy::new(n)).unwrap();
    Sealed { bodies: Vec::new(), expires_ms: 0, entry }
}

pub(super) fn sealed_entries(replica: &Replica, id: &ConversationId) -> Vec<Sealed> {
    let sealed = entries(replica, id).into_iter().filter_map(|(_, entry)| match entry {
        Entry::Sealed(sealed) => Some(*sealed),
        _ => None,
    });
    sealed.collect()
}

/// All entries of a conversation, and which device wrote each.
pub(super) fn entries(replica: &Replica, id: &ConversationId) -> Vec<(DeviceId, Entry)> {
    let mut state = replica.lock();
    let mut out = Vec::new();
    for (doc, _) in replica.documents(&mut state, &Space::Conversation(*id).id()).unwrap() {
        for (key, chain) in replica.chains_of(&mut state, &doc).unwrap() {
            for item in replica.log_items(&key, 1, chain.held).unwrap() {
                out.push((key.device, item.entry));
            }
        }
    }
    out
}

fn refused(replica: &Replica, id: &ConversationId) -> Vec<&'static str> {
    let messages = replica.conversation(id, 1000).unwrap().into_iter();
    let why = messages.filter_map(|message| match message.standing {
        MessageStanding::Refused(why) => Some(why),
        _ => None,
    });
    why.collect()
}

#[test]
fn what_was_said_elsewhere_opens_nowhere_else() {
    let (mut network, ada, bob, _) = friends(200);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "pay Eve", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    let said = sealed_entries(&network.parties[1].replica, &id).remove(0);
    // Again at another place of the own chain, and in that of somebody else who has the key.
    forge(&network.parties[0].replica, &id, Entry::Sealed(Box::new(said.clone())), NOW + 4);
    say(&network.parties[1].replica, &id, "who?", NOW + 5).unwrap();
    forge(&network.parties[1].replica, &id, Entry::Sealed(Box::new(said)), NOW + 6);
    run(&mut network);
    for home in &network.parties {
        let why = refused(&home.replica, &id);
        assert_eq!(why, ["made with another key than it names"; 2]);
        let shown: Vec<String> = texts(&home.replica, &id);
        assert!(shown.contains(&"pay Eve".to_owned()) && shown.contains(&"who?".to_owned()));
    }
    // In another conversation of the same people.
    let group = network.parties[0].replica.found_group("two", &[bob], NOW + 7).unwrap();
    say(&network.parties[0].replica, &group, "hello", NOW + 8).unwrap();
    let said = sealed_entries(&network.parties[0].replica, &id).remove(0);
    forge(&network.parties[0].replica, &group, Entry::Sealed(Box::new(said)), NOW + 9);
    network.refresh();
    run(&mut network);
    let bob = &network.parties[1].replica;
    assert_eq!(texts(bob, &group), ["hello", "Waiting"]);
}

#[test]
fn what_does_not_open_or_says_nothing_ends_its_own_chain_alone() {
    for poison in [false, true] {
        let (mut network, ada, bob, _) = friends(210);
        let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
        say(&network.parties[0].replica, &id, "before", NOW + 2).unwrap();
        network.refresh();
        run(&mut network);
        network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
        say(&network.parties[1].replica, &id, "answer", NOW + 4).unwrap();
        let author = &network.parties[0].replica;
        let plain = Spoken::Message { target: None }.encode();
        // Sealed rightly, and no entry: more than a message is; or altered on the way.
        let mut sealed = seal(author, &id, if poison { &[1, 1, 2] } else { &plain });
        if !poison {
            sealed.entry.ciphertext[0] ^= 1;
        }
        forge(author, &id, Entry::Sealed(Box::new(sealed)), NOW + 5);
        say(author, &id, "after", NOW + 6).unwrap();
        run(&mut network);
        say(&network.parties[1].replica, &id, "still here", NOW + 7).unwrap();
        run(&mut network);
        for home in &network.parties {
            assert_eq!(
                refused(&home.replica, &id),
                ["does not open", "follows one that does not open"]
            );
            let shown = texts(&home.replica, &id);
            assert_eq!(shown[..2], ["before", "answer"]);
            assert_eq!(shown[4], "still here");
        }
    }
}

#[test]
fn a_key_that_names_an_outsider_is_not_used_any_more() {
    let (mut network, _, bob, _) = friends(220);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    say(&network.parties[0].replica, &id, "one", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    let (outsider, _) = person(225, "outside");
    let secret = outsider.replica.device().unwrap();
    let path = outsider.replica.path(&secret).unwrap().unwrap();
    let seal_key = path.verify(&outsider.replica.verifier).unwrap().seal_key();
    let author = &network.parties[0].replica;
    let key = author.lock().circle_keys.values().find_map(|held| held.key.clone()).unwrap();
    let sealed =
        key.wrap_in(&Space::Conversation(id).id(), &seal_key, &SeededEntropy::new(1)).unwrap();
    let wraps = vec![Wrap { device: secret, sealed }];
    forge(author, &id, Entry::Epoch { epoch: key.id(), wraps }, NOW + 3);
    run(&mut network);
    say(&network.parties[1].replica, &id, "two", NOW + 4).unwrap();
    run(&mut network);
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &id), ["one", "two"]);
    }
    let hints: std::collections::BTreeSet<_> = sealed_entries(&network.parties[1].replica, &id)
        .iter()
        .map(|sealed| sealed.entry.epoch)
        .collect();
    assert_eq!(hints.len(), 2, "the outsider would read the second");
}

#[test]
fn who_gets_another_key_than_the_others_asks_for_it() {
    let homes: Vec<(Home, _)> = (230..233).map(|seed| person(seed, "laptop")).collect();
    let accounts: Vec<_> = homes.iter().map(|(_, account)| *account).collect();
    for (home, _) in &homes {
        for account in &accounts {
            home.replica.follow(*account, None, NOW).unwrap();
        }
    }
    let mut network = network(230, homes.into_iter().map(|(home, _)| home).collect());
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        network.connect(a, b);
    }
    run(&mut network);
    let id = network.parties[0].replica.found_group("three", &accounts, NOW + 1).unwrap();
    network.refresh();
    run(&mut network);
    // The founder opens a key, and gives somebody bytes that are no copy of it.
    let author = &network.parties[0].replica;
    let key = EpochKey::generate(&SeededEntropy::new(5));
    let other = EpochKey::generate(&SeededEntropy::new(6));
    let space = Space::Conversation(id).id();
    let mut wraps = Vec::new();
    for (n, home) in network.parties.iter().enumerate() {
        let device = home.replica.device().unwrap();
        let path = home.replica.path(&device).unwrap().unwrap();
        let seal_key = path.verify(&home.replica.verifier).unwrap().seal_key();
        let given = if n == 1 { &other } else { &key };
        let sealed = given.wrap_in(&space, &seal_key, &SeededEntropy::new(n as u64)).unwrap();
        wraps.push(Wrap { device, sealed });
    }
    wraps.sort_by_key(|wrap| wrap.device);
    forge(author, &id, Entry::Epoch { epoch: key.id(), wraps }, NOW + 2);
    say(author, &id, "who reads this?", NOW + 3).unwrap();
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id), ["Waiting"]);
    assert_eq!(texts(&network.parties[2].replica, &id), ["who reads this?"]);
    network.parties[1].replica.mend_conversations(NOW + 4).unwrap();
    run(&mut network);
    network.parties[2].replica.mend_conversations(NOW + 5).unwrap();
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id), ["who reads this?"]);
}

#[test]
fn a_full_box_of_requests_loses_nothing_and_keeps_no_friend_out() {
    let (bob, account) = person(240, "pc");
    let (friend, friend_account) = person(241, "laptop");
    bob.replica.follow(friend_account, None, NOW).unwrap();
    friend.replica.follow(account, None, NOW).unwrap();
    let mut network = network(240, vec![bob, friend]);
    for n in 0..66u64 {
        let (stranger, _) = person(1000 + 10 * n, "bot");
        stranger.replica.follow(account, None, NOW).unwrap();
        network.parties.push(stranger);
        let at = network.parties.len() - 1;
        let line = network.connect(at, 0);
        network.run_for(2000).unwrap();
        let id = network.parties[at].replica.converse_with(account, NOW + 1).unwrap();
        say(&network.parties[at].replica, &id, &format!("offer {n}"), NOW + 2 + n).unwrap();
        network.refresh();
        network.spread_news();
        network.run_for(3000).unwrap();
        network.disconnect(line);
    }
    let waiting = |network: &crate::sync::sim::Network<Home>| {
        let views = network.parties[0].replica.conversations().unwrap();
        let requested = |v: &&_| view_standing(v) == ConversationStanding::Requested;
        views.iter().filter(requested).count()
    };
    assert_eq!(waiting(&network), 64);
    let line = network.connect(1, 0);
    network.run_for(3000).unwrap();
    let id = network.parties[1].replica.converse_with(account, NOW + 500).unwrap();
    say(&network.parties[1].replica, &id, "from a friend", NOW + 501).unwrap();
    network.refresh();
    run(&mut network);
    assert_eq!(texts(&network.parties[0].replica, &id), ["from a friend"]);
    network.disconnect(line);
    // Once there is room, the one that was not let in comes.
    let first = network.parties[0].replica.conversations().unwrap();
    let first = first.iter().find(|v| view_standing(v) == ConversationStanding::Requested).unwrap();
    network.parties[0].replica.answer_request(&first.id, false, NOW + 502).unwrap();
    network.connect(67, 0);
    run(&mut network);
    let me = network.parties[67].replica.account().unwrap();
    let late = ConversationGenesis::between(me, account).id();
    assert_eq!(texts(&network.parties[0].replica, &late), ["offer 65"]);
}

fn view_standing(view: &crate::replica::ConversationView) -> ConversationStanding {
    view.standing
}

#[test]
fn relays_hold_no_text_and_strangers_learn_of_nothing() {
    const CANARY: &str = "canary-in-a-message-9c1d";
    const TITLE: &str = "canary-in-a-title-77aa";
    const CONTROL: &str = "canary-on-a-wall-51b0";
    let (ada, ada_account) = person(250, "laptop");
    let (bob, bob_account) = person(251, "pc");
    let (relay, _) = person(252, "relay");
    let (stranger, _) = person(253, "stranger");
    for account in [ada_account, bob_account] {
        relay.replica.subscribe(Subscription::whole(account)).unwrap();
        stranger.replica.subscribe(Subscription::whole(account)).unwrap();
    }
    ada.replica.follow(bob_account, None, NOW).unwrap();
    bob.replica.follow(ada_account, None, NOW).unwrap();
    let device = relay.replica.device().unwrap();
    ada.replica.set_keeper(&device, true).unwrap();
    bob.replica.set_keeper(&device, true).unwrap();
    let mut network = network(250, vec![ada, bob, relay, stranger]);
    network.connect(0, 2);
    network.connect(1, 2);
    network.connect(2, 3);
    network.connect(0, 3);
    run(&mut network);
    let ada = &network.parties[0].replica;
    let draft = crate::sync::tests::replicas::draft(CONTROL.into());
    ada.post(draft, None, NOW + 1).unwrap();
    let id = ada.found_group(TITLE, &[bob_account], NOW + 2).unwrap();
    let two = ada.converse_with(bob_account, NOW + 2).unwrap();
    say(ada, &id, CANARY, NOW + 3).unwrap();
    say(ada, &two, CANARY, NOW + 4).unwrap();
    network.refresh();
    run(&mut network);
    network.refresh();
    run(&mut network);
    assert_eq!(texts(&network.parties[1].replica, &id), [CANARY]);
    assert_eq!(texts(&network.parties[1].replica, &two), [CANARY]);
    let found = |home: &Home, text: &str| {
        let mut count = 0;
        home.replica
            .dump(&mut |_, key, value| {
                let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|w| w == text.as_bytes());
                count += usize::from(holds(key) || holds(value));
            })
            .unwrap();
        count
    };
    let (relay, stranger) = (&network.parties[2], &network.parties[3]);
    for home in [relay, stranger] {
        assert!(found(home, CONTROL) > 0);
        assert_eq!((found(home, CANARY), found(home, TITLE)), (0, 0));
    }
    let spaces = [id, two].map(|id| Space::Conversation(id).id());
    let holds = |home: &Home| {
        let mut state = home.replica.lock();
        spaces.map(|space| home.replica.documents(&mut state, &space).unwrap().len())
    };
    assert_eq!(holds(relay), [1, 1]);
    assert_eq!(holds(stranger), [0, 0]);
    strangers_get_nothing(&network, &spaces);
}

fn strangers_get_nothing(
    network: &crate::sync::sim::Network<Home>,
    spaces: &[crate::hash::SpaceId],
) {
    let stranger = network.parties[3].replica.device().unwrap();
    let unknown = DeviceSecret::generate(&SeededEntropy::new(77)).id();
    for home in &network.parties[..3] {
        let mut hashes = Vec::new();
        for (doc, description) in home.replica.document_list().unwrap() {
            if !spaces.contains(&description.space.id()) {
                continue;
            }
            let mut state = home.replica.lock();
            for (key, chain) in home.replica.chains_of(&mut state, &doc).unwrap() {
                for item in home.replica.log_items(&key, 1, chain.held).unwrap() {
                    hashes.push(item.id.blob());
                    let bodies = crate::view::bodies_of(&item.entry);
                    hashes.extend(bodies.iter().map(|body| body.hash));
                }
            }
        }
        assert!(!hashes.is_empty());
        for who in [stranger, unknown] {
            for hash in &hashes {
                assert_eq!(home.replica.blob_for(&who, hash).unwrap(), None);
                assert_eq!(home.replica.body(&who, hash).unwrap(), None);
            }
            for space in spaces {
                let section = Section { space: *space, class: SectionClass::Private };
                assert!(!home.replica.may_read(&who, &section).unwrap());
            }
            assert!(home.replica.introductions(&who, None).unwrap().1.is_empty());
        }
    }
}

#[test]
fn introductions_of_others_are_nothing_to_this_account() {
    let (bob, account) = person(270, "pc");
    let (eve, eve_account) = person(271, "pc");
    let path = {
        let device = eve.replica.device().unwrap();
        let mut w = crate::codec::Writer::new();
        eve.replica.path(&device).unwrap().unwrap().encode(&mut w);
        w.finish()
    };
    let device: DeviceId = eve.replica.device().unwrap();
    let other = person(272, "pc").1;
    let take = |genesis: &ConversationGenesis, path: &[u8]| {
        let spaces = [bytes::Bytes::from(genesis.encode())];
        bob.replica.take_introductions(&device, path, &spaces).unwrap()
    };
    // Between others, between Bob and somebody else, without a path, with nonsense.
    assert!(!take(&ConversationGenesis::between(eve_account, other), &path));
    assert!(!take(&ConversationGenesis::between(account, other), &path));
    assert!(!take(&ConversationGenesis::between(account, eve_account), b""));
    assert!(!take(&ConversationGenesis::between(account, eve_account), &path[1..]));
    let mut noise = [0; 64];
    SeededEntropy::new(3).fill(&mut noise);
    let spaces = [bytes::Bytes::copy_from_slice(&noise)];
    assert!(!bob.replica.take_introductions(&device, &path, &spaces).unwrap());
    assert!(
        bob.replica.scan_all(Table::Meta, crate::store::keys::CONVERSATIONS).unwrap().is_empty()
    );
    assert!(take(&ConversationGenesis::between(account, eve_account), &path));
    assert!(!take(&ConversationGenesis::between(account, eve_account), &path));
}
