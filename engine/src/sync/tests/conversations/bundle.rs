//! Conversations in a file.

use bytes::Bytes;

use super::{friends, run, say, texts};
use crate::codec::Writer;
use crate::description::Description;
use crate::hash::{BlobHash, ConversationId};
use crate::model::entry::{BodyRef, ConversationGenesis};
use crate::replica::{
    BundleFile, BundleReceipt, ConversationStanding, DamagedPart, EngineError, Replica, Text,
};
use crate::sync::exchange::Reason;
use crate::sync::tests::replicas::{NOW, person};
use crate::wire::{BodyPacker, ChainBundler};

fn take(replica: &Replica, file: &Bytes) -> BundleReceipt {
    replica.take_bundle(BundleFile::read(file).unwrap(), NOW + 9).unwrap()
}

#[test]
fn a_file_carries_conversations_where_no_network_does() {
    let (mut network, ada, bob, line) = friends(160);
    network.disconnect(line);
    let [from, to] = [0, 1].map(|at| &network.parties[at].replica);
    let id = from.converse_with(bob, NOW + 1).unwrap();
    say(from, &id, "by hand", NOW + 2).unwrap();
    let file = Bytes::from(from.bundle_conversations(&[]).unwrap());
    assert!(!file.windows(7).any(|part| part == b"by hand"));
    let taken = take(to, &file);
    assert_eq!((taken.conversations, taken.refused, taken.bodies, taken.left), (1, 0, 1, 0));
    assert_eq!(taken.damaged, []);
    assert_eq!(texts(to, &id), ["by hand"]);
    let again = take(to, &file);
    assert_eq!((again.changes, again.bodies), (0, 0));
    let (eve, _) = person(165, "pc");
    let taken = take(&eve.replica, &file);
    assert_eq!((taken.conversations, taken.refused, taken.changes), (0, 1, 0));
    let answer = to.converse_with(ada, NOW + 5).unwrap();
    say(to, &answer, "and back", NOW + 6).unwrap();
    take(from, &to.bundle_conversations(&[answer]).unwrap().into());
    assert_eq!(texts(from, &id), ["by hand", "and back"]);
}

/// A file of `from` with two texts, and where these begin in it: they come last.
fn two_texts(from: &Replica, id: &ConversationId) -> (Bytes, [usize; 2]) {
    for (n, text) in (2..).zip(["the first of two", "the second"]) {
        say(from, id, text, NOW + n).unwrap();
    }
    let file = Bytes::from(from.bundle_conversations(&[*id]).unwrap());
    let of = |d: &Description| d.space.conversation() == Some(*id);
    let docs = from.document_list().unwrap().into_iter().filter(|(_, d)| of(d));
    let mut sizes = Vec::new();
    let mut visit = |body: BodyRef| {
        sizes.push(usize::try_from(body.size).unwrap());
        true
    };
    from.carried_bodies(&docs.map(|(doc, _)| doc).collect(), u64::MAX, &mut visit).unwrap();
    let [first, second] = sizes[..] else { panic!("{sizes:?}") };
    let last = file.len() - second;
    (file, [last - first, last])
}

fn flipped(file: &Bytes, at: usize) -> Bytes {
    let mut file = file.to_vec();
    file[at] ^= 1 << (at % 8);
    file.into()
}

#[test]
fn what_is_damaged_of_a_file_is_said_and_the_rest_goes_in() {
    let (mut network, _, bob, line) = friends(170);
    network.disconnect(line);
    let [from, to] = [0, 1].map(|at| &network.parties[at].replica);
    let id = from.converse_with(bob, NOW + 1).unwrap();
    let (file, [_, text]) = two_texts(from, &id);
    let taken = take(to, &flipped(&file, text + 9));
    let part = DamagedPart { text: true, of: Some(id), at: text as u64 };
    assert_eq!(taken.damaged, [part]);
    assert_eq!((taken.conversations, taken.bodies, taken.left), (1, 1, 0));
    let said = to.conversation(&id, 9).unwrap();
    assert_eq!(said.iter().filter(|message| message.text == Text::Missing).count(), 1);
    // The good one brings the rest.
    let taken = take(to, &file);
    assert_eq!((taken.damaged.len(), taken.bodies), (0, 1));
    assert_eq!(texts(to, &id), ["the first of two", "the second"]);
}

#[test]
fn no_altered_bit_of_a_file_passes_for_whole() {
    let (mut network, _, bob, line) = friends(171);
    network.disconnect(line);
    let from = &network.parties[0].replica;
    let id = from.converse_with(bob, NOW + 1).unwrap();
    let (file, [text, _]) = two_texts(from, &id);
    let mut begin = None;
    for at in 0..file.len() {
        match BundleFile::read(&flipped(&file, at)) {
            Ok(read) => {
                begin = begin.or(Some(at));
                let damaged: Vec<bool> = read.damaged().map(|part| part.text).collect();
                assert_eq!(damaged, [at >= text], "byte {at}");
            }
            Err(EngineError::Corrupt(_)) => assert!(at > 3, "byte {at}"),
            Err(EngineError::Invalid(_)) => assert!(at < 4, "byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    for end in 0..file.len() {
        assert!(BundleFile::read(&file.slice(..end)).is_err(), "cut at {end}");
    }
    let longer = Bytes::from([&file[..], b"x"].concat());
    assert!(matches!(BundleFile::read(&longer), Err(EngineError::Corrupt(_))));
    // Behind a list that is right everything is wrong.
    let begin = begin.unwrap();
    let zeros = [&file[..begin], &vec![0; file.len() - begin]].concat();
    assert!(matches!(BundleFile::read(&zeros.into()), Err(EngineError::Corrupt(_))));
}

/// A file with one part, as its list says, and what stands there.
fn listed(count: u64, kind: u8, of: u64, length: u64, part: &[u8]) -> Bytes {
    let mut list = Writer::new();
    list.varint(0).varint(count).u8(kind).varint(of).varint(length);
    list.raw(BlobHash::of(part).as_bytes());
    let list = list.finish();
    let mut w = Writer::new();
    w.raw(b"MOD2").bytes(&list).raw(BlobHash::of(&list).as_bytes()).raw(part);
    w.finish().into()
}

#[test]
fn a_list_that_names_what_cannot_be_is_refused() {
    assert!(BundleFile::read(&listed(1, 1, 0, 4, b"text")).is_ok());
    let refused = [
        (listed(1, 1, 0, 0, b""), "empty"),
        (listed(1, 2, 0, 4, b"text"), "part"),
        (listed(1, 1, 1, 4, b"text"), "conversation of a part"),
        (listed(1, 1, 0, (16 << 20) + 1, b"text"), "length of a part"),
        (listed(1 << 21, 1, 0, 4, b"text"), "parts"),
        (listed(2, 1, 0, 4, b"text"), "part"),
        (listed(1, 0, 0, 4, b"text"), "no bundle"),
    ];
    for (file, why) in refused {
        let error = BundleFile::read(&file).unwrap_err();
        assert!(
            matches!(error, EngineError::Invalid(_)) && error.to_string().contains(why),
            "{error}"
        );
    }
    let short = BundleFile::read(&listed(1, 1, 0, 5, b"text")).unwrap_err();
    assert!(matches!(short, EngineError::Corrupt(_)), "{short}");
}

/// A stranger's groups fill the box of requests; somebody whom one follows has a place all the same,
/// if a page of his proves that a group is his.
#[test]
fn a_full_box_keeps_no_group_of_somebody_known_out() {
    let [(ada, ada_account), (bob, bob_account), (eve, _)] =
        [170, 171, 172].map(|seed| person(seed, "laptop"));
    bob.replica.follow(ada_account, None, NOW).unwrap();
    let card = bob.replica.bundle_conversations(&[]).unwrap().into();
    let founded = |by: &Replica, count: u64| {
        by.follow(bob_account, None, NOW).unwrap();
        take(by, &card);
        let me = by.account().unwrap();
        let found = |n| by.found_group("Group", &[me, bob_account], NOW + n).unwrap();
        let ids: Vec<ConversationId> = (0..count).map(found).collect();
        Bytes::from(by.bundle_conversations(&ids).unwrap())
    };
    let taken = take(&bob.replica, &founded(&eve.replica, 66));
    assert_eq!((taken.conversations, taken.refused, taken.full), (64, 2, 2));
    assert_eq!((taken.left, taken.left_by), (2, [(Reason::NotKept, 2)].into()));
    let standing = |of: ConversationStanding| {
        let views = bob.replica.conversations().unwrap();
        views.iter().filter(|view| view.standing == of).count()
    };
    assert_eq!(standing(ConversationStanding::Requested), 64);
    let file = founded(&ada.replica, 1);
    // Without a page of hers anybody can write that it is Ada's: with none, or with one by Eve.
    let claimed = ConversationGenesis {
        nonce: [9; 16],
        founder: Some(ada_account),
        members: {
            let mut members = vec![ada_account, bob_account];
            members.sort_unstable();
            members
        },
        audience: false,
    };
    let page = Description::conversation(claimed.id(), ada_account, 0);
    let here = bob.replica.document_list().unwrap();
    let is_page = |d: &Description| d.space.conversation().is_some();
    let pages = eve.replica.document_list().unwrap().into_iter();
    let mut others = pages.filter(|(doc, d)| is_page(d) && here.iter().all(|(id, _)| id != doc));
    let (doc, _) = others.next().unwrap();
    let tip = eve.replica.carried_tips(&doc).unwrap().remove(0);
    let mut chain = eve.replica.carry(&tip).unwrap().remove(0);
    chain.description = page;
    let mut chains = ChainBundler::new();
    chains.add(&chain);
    let part = chains.take();
    for parts in [&[][..], &[part]] {
        let mut list = Writer::new();
        list.varint(1).bytes(&claimed.encode()).varint(parts.len() as u64);
        for part in parts {
            list.u8(0).varint(1).varint(part.len() as u64).raw(BlobHash::of(part).as_bytes());
        }
        let list = list.finish();
        let mut w = Writer::new();
        w.raw(b"MOD2").bytes(&list).raw(BlobHash::of(&list).as_bytes());
        for part in parts {
            w.raw(part);
        }
        let taken = take(&bob.replica, &w.finish().into());
        assert_eq!((taken.conversations, taken.refused, taken.full), (0, 1, 1));
        assert_eq!(taken.left, parts.len() as u64);
        let views = bob.replica.conversations().unwrap();
        assert!(views.iter().all(|view| view.id != claimed.id()));
    }
    let taken = take(&bob.replica, &file);
    assert_eq!((taken.conversations, taken.refused, taken.left), (1, 0, 0));
    assert_eq!(standing(ConversationStanding::Accepted), 1);
    assert_eq!(standing(ConversationStanding::Requested), 64);
}

/// Who came to a group later gets it in a file, from whomever; who is in none of it gets nothing.
#[test]
fn a_file_brings_groups_to_who_takes_part_in_them_alone() {
    let (mut network, _, bob, line) = friends(175);
    let founder = &network.parties[0].replica;
    let id = founder.found_group("Group", &[bob], NOW + 1).unwrap();
    run(&mut network);
    network.disconnect(line);
    let (cleo, third) = person(178, "pc");
    let [founder, other] = [0, 1].map(|at| &network.parties[at].replica);
    let before = Bytes::from(other.bundle_conversations(&[id]).unwrap());
    let taken = take(&cleo.replica, &before);
    assert_eq!((taken.conversations, taken.refused, taken.full), (0, 1, 0));
    assert_eq!(cleo.replica.conversations().unwrap(), []);
    founder.follow(third, None, NOW + 2).unwrap();
    take(founder, &cleo.replica.bundle_conversations(&[]).unwrap().into());
    founder.change_member(&id, third, true, NOW + 3).unwrap();
    say(founder, &id, "welcome", NOW + 4).unwrap();
    let after = Bytes::from(founder.bundle_conversations(&[id]).unwrap());
    let taken = take(&cleo.replica, &after);
    assert_eq!((taken.conversations, taken.refused, taken.left), (1, 0, 0));
    let views = cleo.replica.conversations().unwrap();
    assert_eq!((views.len(), views[0].standing), (1, ConversationStanding::Requested));
    assert_eq!(texts(&cleo.replica, &id), ["welcome"]);
}

#[test]
fn a_file_of_an_earlier_version_goes_in() {
    let (mut network, ada, bob, line) = friends(172);
    network.disconnect(line);
    let [from, to] = [0, 1].map(|at| &network.parties[at].replica);
    let id = from.converse_with(bob, NOW + 1).unwrap();
    say(from, &id, "as it was", NOW + 2).unwrap();
    let (mut chains, mut bodies) = (ChainBundler::new(), BodyPacker::new());
    let own = from.document_list().unwrap().into_iter();
    let own = own.filter(|(_, d)| d.space.conversation() == Some(id)).map(|(doc, _)| doc);
    let docs: std::collections::BTreeSet<_> = own.collect();
    for doc in &docs {
        for tip in from.carried_tips(doc).unwrap() {
            from.carry(&tip).unwrap().iter().for_each(|chain| chains.add(chain));
        }
    }
    let mut add = |body: BodyRef| {
        bodies.add(&from.carried_body(&body.hash).unwrap());
        true
    };
    from.carried_bodies(&docs, u64::MAX, &mut add).unwrap();
    let mut w = Writer::new();
    w.raw(b"MOD1").varint(1).bytes(&ConversationGenesis::between(ada, bob).encode());
    w.varint(2).u8(0).bytes(&chains.take()).u8(1).bytes(&bodies.take());
    let file = Bytes::from(w.finish());
    let taken = take(to, &file);
    assert_eq!((taken.conversations, taken.bodies, taken.left), (1, 1, 0));
    assert_eq!(texts(to, &id), ["as it was"]);
    for end in 4..file.len() {
        let cut = BundleFile::read(&file.slice(..end));
        assert!(matches!(cut, Err(EngineError::Invalid(_))), "cut at {end}");
    }
}
