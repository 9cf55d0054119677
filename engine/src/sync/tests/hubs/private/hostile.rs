//! What liars write into private channels.

use super::{private, say, sealed, settle, village};
use crate::chain::ChainKey;
use crate::entropy::SeededEntropy;
use crate::hash::{BlobHash, ChangeId, EpochId, HubId};
use crate::hub::Why;
use crate::model::entry::{
    BodyRef, Entry, History, Message, Private, PrivateWhat, RoleRef, Said, Who, Wrap, with_mentions,
};
use crate::replica::{Circle, MessageState, Sealing, Text};
use crate::seal::{Beside, EpochKey, SealPlace, SealedEntry, seal_body};
use crate::sync::tests::replicas::{Home, NOW};

pub(super) fn key_of(home: &Home, hub: &HubId, channel: &ChangeId) -> EpochKey {
    let mut state = home.replica.lock();
    let talk = home.replica.channel_talk(&mut state, hub, channel).unwrap().unwrap();
    let circle = Circle::Channel(*hub, *channel);
    let open = talk
        .epochs
        .iter()
        .find_map(|(epoch, known)| home.replica.circle_key(&mut state, &circle, epoch, known));
    open.unwrap()
}

fn epochs(home: &Home, hub: &HubId, channel: &ChangeId) -> Vec<EpochId> {
    let mut state = home.replica.lock();
    let talk = home.replica.channel_talk(&mut state, hub, channel).unwrap().unwrap();
    talk.epochs.keys().copied().collect()
}

fn body() -> BodyRef {
    BodyRef { hash: BlobHash::from_bytes([7; 32]), size: 64 }
}

fn message(key: &EpochKey, place: &SealPlace, plain: &[u8]) -> Private {
    let what = PrivateWhat::Message { target: None, body: body() };
    let entry = SealedEntry::seal(key, place, &what.header(), plain, &SeededEntropy::new(5));
    Private { what, entry: entry.unwrap() }
}

#[test]
fn what_does_not_open_counts_for_nothing_in_its_own_place() {
    let ((mut network, _, hub, general, _), _, secret) = village(70, History::FromJoin);
    let before = say(&network.parties[1], &hub, &secret, "before", NOW + 60).unwrap();
    settle(&mut network);
    let liar = &network.parties[1].replica;
    let key = key_of(&network.parties[1], &hub, &secret);
    let plain = Said::Message { mentions: Vec::new() }.encode();
    let mut forged = Vec::new();
    let mut forge = |n: u64, make: &dyn Fn(&SealPlace) -> Private| {
        let entry = |place: &SealPlace| Entry::Private(Box::new(make(place)));
        forged.push(liar.forge_in_channel(&hub, &secret, NOW + 61 + n, entry));
    };
    // A byte of it is another one.
    forge(0, &|place| {
        let mut altered = message(&key, place, &plain);
        altered.entry.ciphertext[3] ^= 1;
        altered
    });
    // It is cut short.
    forge(1, &|place| {
        let mut short = message(&key, place, &plain);
        short.entry.ciphertext.truncate(10);
        short
    });
    // It was sealed for the place before, or for another chain: said again, or taken from somebody.
    forge(2, &|place| message(&key, &SealPlace { n: place.n - 1, ..*place }, &plain));
    forge(3, &|place| {
        let chain = ChainKey { doc: crate::hash::DocumentId::from_bytes([9; 32]), ..place.chain };
        message(&key, &SealPlace { chain, ..*place }, &plain)
    });
    // It says what a reaction says, in two bytes what none say, or mentions somebody twice.
    forge(4, &|place| message(&key, place, &Said::Reaction { emoji: "👍".into() }.encode()));
    forge(5, &|place| message(&key, place, &[1, 0]));
    forge(6, &|place| message(&key, place, &[1, 2, 0, 0]));
    // The text is none that was sealed: there is none.
    let after = say(&network.parties[1], &hub, &secret, "after", NOW + 80).unwrap();
    settle(&mut network);
    for home in &network.parties[..3] {
        let views = home.replica.channel(&hub, &secret, None, 100, false).unwrap();
        let ids: Vec<ChangeId> = views.iter().rev().map(|view| view.id).collect();
        assert_eq!(ids.first(), Some(&before));
        assert_eq!(ids.last(), Some(&after));
        assert_eq!(ids[1..8], forged[..]);
        let all = sealed(home, &hub, &secret);
        assert!(all[0].is_none() && all[8].is_none(), "{all:?}");
        assert!(all[1..8].iter().all(|one| matches!(one, Some(Sealing::Refused(_)))), "{all:?}");
    }
    assert_eq!(sealed(&network.parties[3], &hub, &secret), [Some(Sealing::ToOthers); 9]);
    // Elsewhere what is sealed counts for nothing, and here what is not.
    let sealed_there = |place: &SealPlace| Entry::Private(Box::new(message(&key, place, &plain)));
    let liar = &network.parties[1].replica;
    let there = liar.forge_in_channel(&hub, &general, NOW + 90, sealed_there);
    let clear = Message {
        target: None,
        body: body(),
        attachments: Vec::new(),
        mentions: Vec::new(),
        claimed: None,
    };
    let clear = Entry::Message(Box::new(clear));
    let here = liar.forge_in_channel(&hub, &secret, NOW + 91, |_| clear);
    settle(&mut network);
    for home in &network.parties {
        for id in [there, here] {
            let state = home.replica.message(&id).unwrap().state;
            assert_eq!(state, MessageState::Void { why: Why::NotSealed });
        }
    }
}

#[test]
fn whom_a_message_mentions_is_said_once_and_by_the_message() {
    let ((mut network, accounts, hub, ..), _, secret) = village(72, History::FromJoin);
    say(&network.parties[1], &hub, &secret, "hello", NOW + 59).unwrap();
    let liar = &network.parties[1].replica;
    let key = key_of(&network.parties[1], &hub, &secret);
    let reader = vec![Who::Account(accounts[2])];
    let forge = |n: u64, plain: &[u8], text: &[u8], beside: Beside, edited: Option<ChangeId>| {
        liar.forge_with_texts(&hub, &secret, NOW + 60 + n, |place| {
            let doc = (&place.space, &place.chain.doc);
            let text = seal_body(&key, doc, text, &beside, &SeededEntropy::new(n)).unwrap();
            let body = BodyRef { hash: BlobHash::of(&text), size: text.len() as u64 };
            let what = match edited {
                None => PrivateWhat::Message { target: None, body },
                Some(target) => PrivateWhat::Edit { target, body },
            };
            let entry =
                SealedEntry::seal(&key, place, &what.header(), plain, &SeededEntropy::new(n));
            let entry = Entry::Private(Box::new(Private { what, entry: entry.unwrap() }));
            (entry, vec![text.into()])
        })
    };
    let said = with_mentions(&reader, "see here");
    let in_its_entry = [&[1][..], &with_mentions(&reader, "")].concat();
    // As it is written, and as it was: both are read.
    let good = forge(0, b"", &said, Beside::Mentions, None);
    let before = forge(1, &in_its_entry, b"see here", Beside::Nothing, None);
    // In both places; nobody at all; somebody who is none; what it answers, which stands in the clear here.
    let target = Beside::Answers(good);
    let lies = [
        forge(2, &in_its_entry, &said, Beside::Mentions, None),
        forge(3, b"", b"\x00nobody", Beside::Mentions, None),
        forge(4, b"", b"\x01\x07", Beside::Mentions, None),
        forge(5, b"", b"an answer", target, None),
    ];
    // An edit mentions nobody anew, and then it counts for nothing.
    forge(6, b"", &said, Beside::Mentions, Some(good));
    settle(&mut network);
    for home in &network.parties[..3] {
        for id in [good, before] {
            let view = home.replica.message(&id).unwrap();
            assert_eq!((&view.mentions, view.edited_ms), (&reader, None));
            assert_eq!(view.text, Text::Here("see here".into()));
        }
        for id in &lies {
            let view = home.replica.message(id).unwrap();
            let why = Sealing::Refused("its text is not what was sealed");
            assert_eq!((view.sealed, view.text), (Some(why), Text::Missing), "{id}");
        }
    }
    // What does not show whom it mentions mentions nobody. One of them says so in its entry.
    let unread = network.parties[2].replica.unread_channels(&hub).unwrap();
    let unread = unread.iter().find(|one| one.channel == secret).unwrap();
    assert_eq!((unread.messages, unread.mentions), (7, 3));
}

#[test]
fn a_key_of_another_channel_opens_nothing_here() {
    let ((mut network, _, hub, _, _), board, secret) = village(71, History::FromJoin);
    // The founder's own: nobody else holds the role.
    let founder = &network.parties[0];
    let alone = super::role(founder, &hub, "alone", 4, NOW + 50);
    let made = private("diary", &[alone], History::FromJoin);
    let diary = founder.replica.hub_operation(&hub, made, "", NOW + 51).unwrap();
    say(founder, &hub, &diary, "nobody reads this", NOW + 60).unwrap();
    settle(&mut network);
    assert_eq!(sealed(&network.parties[1], &hub, &diary), [Some(Sealing::ToOthers)]);
    // A reader of the other channel gives copies of the key that are not his: were they taken, he would
    // count as one who holds it.
    let copies = {
        let liar = &network.parties[1].replica;
        let mut state = liar.lock();
        let talk = liar.channel_talk(&mut state, &hub, &diary).unwrap().unwrap();
        let (epoch, known) = talk.epochs.iter().next().unwrap();
        let wraps = known.wraps.iter().flat_map(|(device, copies)| {
            copies.iter().map(|(_, sealed)| Wrap { device: *device, sealed: sealed.clone() })
        });
        Entry::Epoch { epoch: *epoch, wraps: wraps.collect() }
    };
    network.parties[1].replica.forge_in_channel(&hub, &secret, NOW + 61, |_| copies);
    settle(&mut network);
    for (n, home) in (0..).zip(&network.parties) {
        home.replica.mend_conversations(NOW + 70 + n).unwrap();
    }
    settle(&mut network);
    say(&network.parties[0], &hub, &secret, "hello board", NOW + 80).unwrap();
    settle(&mut network);
    assert_eq!(sealed(&network.parties[1], &hub, &diary), [Some(Sealing::ToOthers)]);
    assert_eq!(sealed(&network.parties[1], &hub, &secret), [None]);
    let role = RoleRef::Role(board);
    assert!(
        network.parties[0]
            .replica
            .hub(&hub, |hub| hub.roles())
            .unwrap()
            .iter()
            .any(|view| view.role == role)
    );
}

#[test]
fn a_key_that_names_a_stranger_is_not_sealed_with() {
    let ((mut network, _, hub, _, _), _, secret) = village(72, History::All);
    say(&network.parties[0], &hub, &secret, "before", NOW + 60).unwrap();
    settle(&mut network);
    // A reader seals the key to a member who is none, and says so.
    let key = key_of(&network.parties[1], &hub, &secret);
    let (device, seal_key) = {
        let other = &network.parties[3].replica;
        let account = other.account().unwrap();
        let device = other.device().unwrap();
        let known = network.parties[1].replica.authority(&account).unwrap().unwrap();
        (device, known.devices[&device].verified.seal_key())
    };
    let bound = Circle::Channel(hub, secret).bound_to();
    let copy = key.wrap_in(&bound, &seal_key, &SeededEntropy::new(8)).unwrap();
    let entry = Entry::Epoch { epoch: key.id(), wraps: vec![Wrap { device, sealed: copy }] };
    network.parties[1].replica.forge_in_channel(&hub, &secret, NOW + 61, |_| entry);
    settle(&mut network);
    say(&network.parties[2], &hub, &secret, "after", NOW + 62).unwrap();
    settle(&mut network);
    assert_eq!(sealed(&network.parties[3], &hub, &secret), [Some(Sealing::ToOthers), None]);
    for home in &network.parties[..3] {
        assert_eq!(sealed(home, &hub, &secret), [None, None]);
        assert_eq!(epochs(home, &hub, &secret).len(), 2);
    }
}

#[test]
fn who_is_out_cannot_bring_in_a_key() {
    for history in [History::FromJoin, History::All] {
        let seed = if history == History::All { 73 } else { 74 };
        let ((mut network, accounts, hub, _, lines), board, secret) = village(seed, history);
        say(&network.parties[0], &hub, &secret, "before", NOW + 60).unwrap();
        settle(&mut network);
        // He is removed, has not heard of it, and opens a key of his own, which the other reader uses
        // before he hears of it either.
        network.disconnect(lines[1]);
        network.disconnect(lines[0]);
        let line = network.connect(1, 2);
        let role = RoleRef::Role(board);
        network.parties[0].replica.revoke_role(&hub, &accounts[2], role, "", NOW + 61).unwrap();
        let liar = &network.parties[2];
        let mine = EpochKey::generate(&SeededEntropy::new(77));
        let bound = Circle::Channel(hub, secret).bound_to();
        let mut wraps = Vec::new();
        for account in &accounts[..3] {
            let known = liar.replica.authority(account).unwrap().unwrap();
            for (device, standing) in &known.devices {
                let seal_key = standing.verified.seal_key();
                let sealed = mine.wrap_in(&bound, &seal_key, &SeededEntropy::new(8)).unwrap();
                wraps.push(Wrap { device: *device, sealed });
            }
        }
        wraps.sort_by_key(|wrap| wrap.device);
        let entry = Entry::Epoch { epoch: mine.id(), wraps };
        liar.replica.forge_in_channel(&hub, &secret, NOW + 62, |_| entry);
        settle(&mut network);
        say(&network.parties[1], &hub, &secret, "meanwhile", NOW + 63).unwrap();
        let used = |home: &Home| epochs(home, &hub, &secret).contains(&mine.id());
        assert!(used(&network.parties[1]));
        // All hear of all.
        network.disconnect(line);
        network.connect(0, 1);
        network.connect(0, 2);
        settle(&mut network);
        for (n, home) in (0..).zip(&network.parties[..2]) {
            home.replica.mend_conversations(NOW + 70 + n).unwrap();
        }
        settle(&mut network);
        say(&network.parties[1], &hub, &secret, "after", NOW + 80).unwrap();
        say(&network.parties[0], &hub, &secret, "after that", NOW + 81).unwrap();
        settle(&mut network);
        let out = sealed(&network.parties[2], &hub, &secret);
        assert_eq!(out[..2], [Some(Sealing::ToOthers); 2], "{history:?}");
        for home in &network.parties[..2] {
            assert_eq!(sealed(home, &hub, &secret)[..2], [None, None]);
            // What was said meanwhile opens too: who seals before he hears is read all the same.
            assert_eq!(sealed(home, &hub, &secret)[2], None, "{history:?}");
        }
    }
}

#[test]
fn a_copy_that_opens_for_nobody_is_asked_for_again() {
    let ((mut network, _, hub, _, _), _, secret) = village(75, History::FromJoin);
    let sealed_to_one = {
        let mine = EpochKey::generate(&SeededEntropy::new(78));
        let other = EpochKey::generate(&SeededEntropy::new(79));
        let bound = Circle::Channel(hub, secret).bound_to();
        let mut wraps = Vec::new();
        for (n, home) in network.parties[..3].iter().enumerate() {
            let (account, device) =
                (home.replica.account().unwrap(), home.replica.device().unwrap());
            let known = network.parties[1].replica.authority(&account).unwrap().unwrap();
            let seal_key = known.devices[&device].verified.seal_key();
            // Another key for one of them.
            let key = if n == 2 { &other } else { &mine };
            let sealed = key.wrap_in(&bound, &seal_key, &SeededEntropy::new(8)).unwrap();
            wraps.push(Wrap { device, sealed });
        }
        wraps.sort_by_key(|wrap| wrap.device);
        Entry::Epoch { epoch: mine.id(), wraps }
    };
    network.parties[1].replica.forge_in_channel(&hub, &secret, NOW + 59, |_| sealed_to_one);
    settle(&mut network);
    say(&network.parties[0], &hub, &secret, "hello", NOW + 60).unwrap();
    settle(&mut network);
    assert_eq!(sealed(&network.parties[2], &hub, &secret), [Some(Sealing::Waiting)]);
    for round in 0..2 {
        for home in &network.parties[..3] {
            home.replica.mend_conversations(NOW + 70 + round).unwrap();
        }
        settle(&mut network);
    }
    assert_eq!(sealed(&network.parties[2], &hub, &secret), [None]);
}
