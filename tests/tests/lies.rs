//! Every lie of an enrolled device, told to a replica of this process.

use std::collections::BTreeMap;

use bytes::Bytes;
use mosaic_engine::hash::BlobHash;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::limits::{CHANGE_BYTES_MAX, ENTRY_BYTES_MAX};
use mosaic_engine::replica::Replica;
use mosaic_engine::store::Table;
use mosaic_engine::sync::Tally;
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::wire::{BodyPacker, ChangePacker, Changes, Content, LogItem, Part, Reason};
use mosaic_tests::liar::author::{Author, Chain};
use mosaic_tests::liar::line::{Heard, Pipe, Speaker, Way};
use mosaic_tests::liar::table::{Answer, Offer, lies, post, wall};
use mosaic_tests::people::{NOW_MS, draft, enrol, entropy, person, texts};

/// Ada's laptop, and a phone of hers that lies.
fn laptop_and_liar() -> (Replica, Author) {
    let (laptop, _) = person(1, "laptop");
    let entropy = entropy(99);
    let secret = DeviceSecret::generate(&*entropy);
    let path = enrol(&laptop, &secret, "phone");
    (laptop, Author::enrolled(secret, path, entropy))
}

fn tell(replica: &Replica, author: &Author, offer: &Offer) -> Answer {
    let receipt = replica.receive(&author.device(), vec![offer.received.clone()], NOW_MS).unwrap();
    assert_eq!(receipt.chains.len(), 1, "{}", offer.what);
    Answer::of(&receipt.chains[0].verdict)
}

#[test]
fn every_lie_is_refused_for_its_reason_and_nothing_of_it_is_kept() {
    let (laptop, author) = laptop_and_liar();
    laptop.post(draft("before"), None, NOW_MS).unwrap();
    laptop.edit_profile(vec![("name".into(), Some("Ada".into()))], NOW_MS).unwrap();
    let ada = author.account();
    let profile = laptop.profile(&ada).unwrap();
    let lies = lies(&author, NOW_MS);
    assert!(lies.len() > 250, "{}", lies.len());
    let mut wrong = BTreeMap::new();
    for lie in &lies {
        let answer = tell(&laptop, &author, lie);
        if answer != lie.answer {
            wrong.insert(&lie.what, (answer, lie.answer));
        }
    }
    assert!(wrong.is_empty(), "told, and expected: {wrong:#?}");
    // The same once more: nothing has become true by repetition.
    for lie in &lies {
        assert_ne!(tell(&laptop, &author, lie), Answer::Accepted, "{}", lie.what);
    }
    nothing_refused_is_kept(&laptop, &lies);
    let report = laptop.verify().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let rebuilt = laptop.rebuild().unwrap();
    assert_eq!((rebuilt.mended, rebuilt.removed), (0, 0));
    let honest = |field: &&mosaic_engine::replica::Field| field.key != "k";
    let now = laptop.profile(&ada).unwrap();
    assert_eq!(now.iter().filter(honest).collect::<Vec<_>>(), profile.iter().collect::<Vec<_>>());
}

fn nothing_refused_is_kept(replica: &Replica, lies: &[Offer]) {
    let last = |offer: &Offer| {
        let part = offer.received.parts.last()?;
        match &part.content {
            Content::Changes(Changes::Raw(raws)) => raws.last().cloned(),
            Content::Changes(Changes::Log(_)) | Content::Ids(_) => None,
        }
    };
    let mut told = BTreeMap::new();
    for lie in lies {
        let Some(bytes) = last(lie).filter(|bytes| !bytes.is_empty()) else { continue };
        let hash = BlobHash::of(&bytes);
        let held = replica.blob_for(&replica.own_device(), &hash).unwrap();
        assert_eq!(held, None, "{}", lie.what);
        told.insert(hash, (&lie.what, lie.answer));
    }
    assert!(told.len() > 100, "{}", told.len());
    let judged = Answer::Refused(Reason::InvalidChange);
    replica
        .dump(&mut |table, _, value| {
            let lie = told.get(&BlobHash::of(value)).filter(|_| table == Table::Truth);
            // Others judge a chain by its first invalid change: it is kept for them, and proven
            // to be its author's.
            assert!(lie.is_none_or(|(_, answer)| *answer == judged), "{lie:?}");
        })
        .unwrap();
}

#[test]
fn after_all_lies_honest_changes_of_the_same_device_are_taken() {
    let (laptop, author) = laptop_and_liar();
    for lie in &lies(&author, NOW_MS) {
        tell(&laptop, &author, lie);
    }
    let mut chain = author.chain(&wall(&author, 0));
    chain.entry(NOW_MS, post().encode());
    let honest = chain.offer(&author);
    let receipt = laptop.receive(&author.device(), vec![honest], NOW_MS).unwrap();
    assert_eq!(receipt.changes, 1);
    laptop.post(draft("after"), None, NOW_MS).unwrap();
    laptop.edit_profile(vec![("name".into(), Some("Ada".into()))], NOW_MS).unwrap();
    assert!(texts(&laptop, &author.account()).contains(&"after".to_owned()));
    assert_eq!(laptop.verify().unwrap().problems, Vec::<String>::new());
}

#[test]
fn nobody_takes_another_devices_key_for_his_account() {
    let (laptop, _) = laptop_and_liar();
    let (hub, _) = person(3, "hub");
    let ada = laptop.account().unwrap();
    hub.subscribe(mosaic_engine::replica::Subscription::whole(ada)).unwrap();
    // A genesis that names Ada's laptop, which never signed it.
    let thief = Author::stranger(entropy(5), NOW_MS);
    let genesis = mosaic_engine::identity::Genesis {
        device: laptop.own_device(),
        ..thief.path().genesis.clone()
    };
    let path = mosaic_engine::identity::CertificatePath::first(genesis);
    let page = mosaic_engine::description::Description::guest(ada, path.account(), 0);
    let mut chain = thief.chain(&page);
    chain.key.device = laptop.own_device();
    chain.entry(NOW_MS, post().encode());
    let mut squat = chain.offer(&thief);
    squat.path = mosaic_tests::liar::author::encode_path(&path);
    let receipt = hub.receive(&thief.device(), vec![squat], NOW_MS).unwrap();
    assert_eq!(Answer::of(&receipt.chains[0].verdict), Answer::Refused(Reason::Signature));
    // What the laptop says is still believed to be Ada's.
    laptop.post(draft("mine"), None, NOW_MS).unwrap();
    let mut told = 0;
    for section in laptop.kept_sections().unwrap() {
        if section.class == mosaic_engine::description::SectionClass::Private {
            continue;
        }
        for tip in laptop.tips(&section).unwrap() {
            let intro = laptop.introduce(&tip).unwrap().unwrap();
            let received = mosaic_engine::sync::exchange::Received {
                path: intro.path,
                description: Some(intro.description),
                head: intro.head,
                fork: false,
                parts: laptop.part(&tip, 1, usize::MAX).unwrap().into_iter().collect(),
            };
            let receipt = hub.receive(&laptop.own_device(), vec![received], NOW_MS).unwrap();
            assert_eq!(Answer::of(&receipt.chains[0].verdict), Answer::Accepted);
            told += 1;
        }
    }
    assert!(told >= 2, "{told}");
    assert_eq!(texts(&hub, &ada).len(), 1);
}

#[test]
fn a_body_of_another_size_than_named_is_not_taken() {
    let (laptop, author) = laptop_and_liar();
    let body = Bytes::from(vec![b'x'; 100_000]);
    let hash = BlobHash::of(&body);
    let named = mosaic_engine::model::entry::BodyRef { hash, size: 20 };
    let entry = mosaic_engine::model::entry::Entry::Post {
        body: named,
        attachments: Vec::new(),
        quote: None,
        origin: None,
        text: None,
    };
    let mut chain = author.chain(&wall(&author, 0));
    chain.entry(NOW_MS, entry.encode());
    let received = vec![chain.offer(&author)];
    let remote = author.device();
    let receipt = laptop.receive_with(&remote, received, vec![body.clone()], NOW_MS).unwrap();
    assert_eq!((receipt.changes, receipt.bodies), (1, 0));
    let receipt = laptop.receive_bodies(&remote, vec![body]).unwrap();
    assert_eq!((receipt.stored, receipt.refused), (0, 1));
    assert!(laptop.blob_for(&remote, &hash).unwrap().is_none());
}

#[test]
fn lies_are_refused_on_the_wire_as_well_inline_and_in_packs() {
    let (laptop, author) = laptop_and_liar();
    let mut speaker = Speaker::new(Pipe::new(&laptop, author.device(), NOW_MS));
    let mut wrong = BTreeMap::new();
    for way in [Way::Inline, Way::Pack] {
        for lie in lies(&author, NOW_MS) {
            let heard = speaker.offer(&lie.received, way);
            let counted = std::mem::take(&mut speaker.line().tally);
            let expected: Vec<_> =
                lie.answer.reason().map(|reason| (reason, 1)).into_iter().collect();
            let exact = counted.iter().eq(expected);
            if heard != Heard::Answer(lie.answer) || !exact {
                wrong.insert((way.name(), lie.what), (heard, lie.answer, counted));
            }
        }
    }
    assert!(wrong.is_empty(), "heard, expected, and counted: {wrong:#?}");
    let mut chain = author.chain(&wall(&author, 0));
    chain.entry(NOW_MS, post().encode());
    let honest = chain.offer(&author);
    assert_eq!(speaker.offer(&honest, Way::Inline), Heard::Answer(Answer::Accepted));
    assert_eq!(laptop.verify().unwrap().problems, Vec::<String>::new());
}

#[test]
fn garbage_ends_the_session_and_nothing_else() {
    let (laptop, author) = laptop_and_liar();
    let mut speaker = Speaker::new(Pipe::new(&laptop, author.device(), NOW_MS));
    let frames: [&[u8]; 6] = [
        &[0, 0, 0, 1, 0],
        &[0, 0, 0, 2, 7, 0xff],
        &[0, 0, 0, 12, 7, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0, 0, 0, 3, 14, 1, 1],
        &[0, 0, 0, 1, 200],
        &[0, 0, 0, 4, 12, 0xff, 0xff, 0x01],
    ];
    for frame in frames {
        let heard = speaker.say(frame);
        assert!(matches!(heard, Heard::Closed(Some(1 | 2 | 5))), "{frame:?}: {heard:?}");
    }
    laptop.post(draft("still here"), None, NOW_MS).unwrap();
}

/// Bytes that are no pack of the chain, and what is wrong with them.
fn spoilt_packs(author: &Author, chain: &Chain) -> Vec<(&'static str, Bytes, Reason)> {
    let pack = |content: Content| {
        let mut packer = ChangePacker::new();
        packer.add(chain.key, &[Part { first_n: 1, content }]);
        packer.finish()
    };
    let raw =
        |bytes: usize| pack(Content::Changes(Changes::Raw(vec![Bytes::from(vec![7; bytes])])));
    let log = |bytes: usize| {
        let value = Bytes::from(vec![7; bytes]);
        pack(Content::Changes(Changes::Log(vec![LogItem { time_ms: NOW_MS, value }])))
    };
    let honest = pack(chain.offer(author).parts[0].content.clone());
    let with = |more: &[u8]| Bytes::from([&honest[..], more].concat());
    let mut bodies = BodyPacker::new();
    bodies.add(&[1; 40]);
    let count = [&b"MOP1\x01"[..], &[0xff; 9], &[1]].concat();
    vec![
        ("no bytes", Bytes::new(), Reason::Malformed),
        ("noise", vec![0x5a; 5000].into(), Reason::Malformed),
        ("of another kind than any", Bytes::from_static(b"MOP1\x09\x00"), Reason::Malformed),
        ("a byte short", honest.slice(..honest.len() - 1), Reason::Malformed),
        ("a byte behind it", with(&[0]), Reason::Malformed),
        ("bodies in place of changes", bodies.take(), Reason::Malformed),
        ("an empty change", raw(0), Reason::Malformed),
        ("u64::MAX documents", count.into(), Reason::Limit),
        ("a change over the limit", raw(CHANGE_BYTES_MAX + 1), Reason::Limit),
        ("an entry over the limit", log(ENTRY_BYTES_MAX + 1), Reason::Limit),
        ("another chain's entry", log(ENTRY_BYTES_MAX), Reason::Link),
    ]
}

#[test]
fn a_pack_of_wrong_bytes_is_refused_and_the_chain_is_still_welcome() {
    let (laptop, author) = laptop_and_liar();
    let mut speaker = Speaker::new(Pipe::new(&laptop, author.device(), NOW_MS));
    let mut chain = author.chain(&wall(&author, 0));
    chain.entry(NOW_MS, post().encode());
    let honest = chain.offer(&author);
    let mut expected = Tally::default();
    for (what, bytes, reason) in spoilt_packs(&author, &chain) {
        let size = bytes.len() as u64;
        let heard = speaker.offer_pack(&honest, bytes, size);
        assert_eq!(heard, Heard::Answer(Answer::Refused(reason)), "{what}");
        expected.add(reason);
        assert_eq!(speaker.line().tally, expected, "{what}");
    }
    // What did not come may come another time: the bytes that were announced are not known.
    let heard = speaker.offer_nothing(&honest);
    assert_eq!(heard, Heard::Answer(Answer::Deferred(Reason::Pack)));
    expected.add(Reason::Pack);
    assert_eq!(speaker.line().tally, expected);
    // Nothing of it binds the chain: its changes are welcome from anybody, the liar included.
    assert_eq!(speaker.offer(&honest, Way::Pack), Heard::Answer(Answer::Accepted));
    assert_eq!(speaker.line().tally, expected);
    let section = laptop.kept_sections().unwrap().into_iter();
    let held = section
        .flat_map(|section| laptop.tips(&section).unwrap())
        .find(|tip| tip.chain == chain.key);
    assert_eq!(held.map(|tip| (tip.n, tip.held_n)), Some((1, 1)));
}

#[test]
fn a_pack_of_wrong_bytes_is_fetched_once_and_refused_each_time() {
    let (laptop, author) = laptop_and_liar();
    let mut speaker = Speaker::new(Pipe::new(&laptop, author.device(), NOW_MS));
    let mut chain = author.chain(&wall(&author, 0));
    chain.entry(NOW_MS, post().encode());
    let honest = chain.offer(&author);
    for _ in 0..3 {
        let heard = speaker.offer_pack(&honest, Bytes::from_static(b"MOP1 of noise"), 13);
        assert_eq!(heard, Heard::Answer(Answer::Refused(Reason::Malformed)));
    }
    assert_eq!((speaker.line().fetches, speaker.line().tally.of(Reason::Malformed)), (1, 3));
    // The right bytes under another size than they have.
    let heard = speaker.offer_pack(&honest, Bytes::from_static(b"seven b"), 8);
    assert_eq!(heard, Heard::Answer(Answer::Refused(Reason::Malformed)));
}
