use bytes::Bytes;

use super::*;
use crate::description::{Description, DocumentKind, SectionClass};
use crate::hash::{
    AccountId, BlobHash, ChangeHash, ChangeId, DeviceId, DocumentId, Incarnation, Link,
};
use crate::identity::Signature;
use crate::limits::{ENTRY_BYTES_MAX, HEAD_AHEAD_MAX, PACK_BYTES_MAX};
use crate::sketch::{CELL_BYTES, COUNTERS, Cell, Estimate, Item};

fn chain(number: u8) -> ChainKey {
    ChainKey {
        doc: DocumentId::from_bytes([number; 32]),
        device: DeviceId::from_bytes([2; 32]),
        incarnation: Incarnation::from_bytes([3; 16]),
    }
}

fn log(first_n: u64, times: &[u64], value: &'static [u8]) -> Part {
    let items = times.iter().map(|time| LogItem { time_ms: *time, value: value.into() });
    Part { first_n, content: Content::Changes(Changes::Log(items.collect())) }
}

fn section(entry: u64) -> SectionRef {
    SectionRef { entry, class: SectionClass::Public }
}

fn chain_give() -> ChainGive {
    let raw = Content::Changes(Changes::Raw(vec![b"raw".as_slice().into()]));
    let ids = Content::Ids(vec![ChangeId::of(b"id")]);
    let wall = Description::own(AccountId::from_bytes([9; 32]), DocumentKind::Wall, 5);
    ChainGive {
        head: GivenHead::Whole { path: 0, description: Some(wall), head: [6; HEAD_BYTES] },
        fork: true,
        parts: vec![
            log(1, &[1000, 990], b"entry"),
            Part { first_n: 3, content: raw },
            Part { first_n: 4, content: ids },
        ],
    }
}

/// A chain of which the receiver showed a tip, with its link or without it.
fn known_give(link: Option<[u8; 32]>) -> ChainGive {
    let link = link.map(Link::from_bytes);
    ChainGive {
        head: GivenHead::Known(KnownHead { name: 9, n: 7, link, signature: [6; 64] }),
        fork: false,
        parts: if link.is_none() { vec![log(6, &[1000, 990], b"entry")] } else { Vec::new() },
    }
}

#[test]
fn a_head_is_put_together_from_another_of_its_chain() {
    let head: HeadBytes = std::array::from_fn(|at| u8::try_from(at % 251).unwrap());
    let mut other = head;
    other[HEAD_BYTES - 104..].fill(9);
    let mut whole = head;
    // Numbers of changes are small.
    whole[113..121].copy_from_slice(&7u64.to_be_bytes());
    let link = Link::from_bytes(whole[121..153].try_into().unwrap());
    for linked in [false, true] {
        let known = KnownHead::of(9, &whole, linked).unwrap();
        assert_eq!(known.link, Some(link).filter(|_| !linked));
        assert_eq!(known.whole(&other, &link), whole);
    }
}

#[test]
fn a_known_head_says_nothing_that_is_known_and_leaves_nothing_open() {
    let give = |chain: ChainGive| Message::Give {
        scope: Scope { kind: ScopeKind::Round, id: 1 },
        paths: Vec::new(),
        packs: Vec::new(),
        chains: vec![chain],
        bodies: Vec::new(),
    };
    for link in [None, Some([4; 32])] {
        let message = give(known_give(link));
        let bytes = body(&message);
        let (flags, rest) = match link {
            None => ("0c", "01060102d00f05656e7472791305656e747279".to_owned()),
            Some(_) => ("04", "00".to_owned()),
        };
        let link = link.map(|link| hex(&link)).unwrap_or_default();
        let golden = format!("070001000001{flags}0000000907{link}{}{rest}00", "06".repeat(64));
        assert_eq!(hex(&bytes), golden);
        assert_eq!(Message::decode(&bytes), Ok(message));
        // type, scope 2, paths, packs, chains: then the flags of the chain
        for flag in [1, 2, 16] {
            let mut odd = bytes.to_vec();
            odd[6] |= flag;
            assert!(Message::decode(&odd.into()).is_err(), "flag {flag}");
        }
    }
    let bare = ChainGive { parts: Vec::new(), ..known_give(None) };
    let short = ChainGive { parts: vec![log(5, &[1000, 990], b"entry")], ..known_give(None) };
    let forked = ChainGive { fork: true, ..known_give(None) };
    let head = |n| GivenHead::Known(KnownHead { name: 9, n, link: None, signature: [6; 64] });
    let none = ChainGive { head: head(0), ..known_give(None) };
    let many = ChainGive { head: head(HEAD_AHEAD_MAX + 1), ..known_give(None) };
    for chain in [bare, short, forked, none, many] {
        assert!(Message::decode(&body(&give(chain.clone()))).is_err(), "{chain:?}");
    }
}

fn excerpt(first_n: u64, previous: Option<[u8; 32]>) -> Excerpt {
    Excerpt {
        path: b"path".as_slice().into(),
        description: Description::own(AccountId::from_bytes([9; 32]), DocumentKind::Wall, 5),
        head: [6; HEAD_BYTES],
        previous: previous.map(|of| (Link::from_bytes(of), ChangeHash::from_bytes(of))),
        part: log(first_n, &[1000, 990], b"entry"),
    }
}

fn done(scope: Scope) -> Done {
    Done {
        scope,
        more: false,
        committed: true,
        missing: 2,
        all: Some([6; 8]),
        sections: vec![SectionDigest { section: section(1), digest: [4; 16] }],
        causes: vec![ChainCause { tag: [7; 16], from_n: 5, reason: Reason::Quota }],
        causes_total: 9,
    }
}

fn hold(classes: u8) -> Hold {
    let signature = Signature::from_bytes([9; 64]);
    Hold { classes, digest: [8; 32], at_ms: 1, until_ms: 2, signature }
}

const fn probe(len: u64) -> Probe {
    Probe { body: BlobHash::from_bytes([6; 32]), from: 300, len, nonce: [4; 16] }
}

fn all() -> Vec<Message> {
    let mut all = compared();
    all.extend(given());
    all
}

/// Messages of asking and giving.
fn given() -> Vec<Message> {
    let round = Scope { kind: ScopeKind::Round, id: 3 };
    let pack = PackRef { hash: BlobHash::of(b"pack"), size: 300 };
    let tip = Item::new(7, 300, 8);
    vec![
        Message::Want {
            request: 1,
            items: vec![
                WantItem {
                    name: WantName::Listed(2),
                    have: 7,
                    link: [8; 8],
                    fork: false,
                    bare: false,
                },
                WantItem {
                    name: WantName::Found(tip),
                    have: 7,
                    link: [8; 8],
                    fork: false,
                    bare: true,
                },
                WantItem {
                    name: WantName::Tagged(section(1), [7; 16]),
                    have: 0,
                    link: [0; 8],
                    fork: true,
                    bare: false,
                },
            ],
        },
        Message::Give {
            scope: round,
            paths: vec![(0, b"path".as_slice().into())],
            packs: vec![pack],
            chains: vec![chain_give(), known_give(None), known_give(Some([4; 32]))],
            bodies: vec![b"0123456789abcdefbody".as_slice().into()],
        },
        Message::Newest(Newest {
            excerpts: vec![excerpt(1, None), excerpt(7, Some([5; 32]))],
            bodies: vec![b"0123456789abcdefbody".as_slice().into()],
        }),
        Message::WantBodies { request: 2, section: section(0), hashes: vec![pack.hash] },
        Message::Bodies {
            scope: Scope { kind: ScopeKind::Answer, id: 2 },
            inline: vec![b"0123456789abcdefbody".as_slice().into()],
            packs: vec![pack],
            absent: vec![BlobHash::of(b"none")],
        },
        Message::End { scope: Scope { kind: ScopeKind::Push, id: 200 } },
        Message::Done(done(round)),
        Message::Taken { count: 8 },
        Message::Again,
        Message::Close { code: 2 },
        Message::Introduce {
            path: b"path".as_slice().into(),
            spaces: vec![b"one".as_slice().into(), b"two".as_slice().into()],
        },
        Message::AskHolds { spaces: vec![[5; 8], [6; 8]] },
        Message::Holds { holds: vec![([5; 8], hold(3))] },
        Message::Probe { number: 2, probe: probe(4096) },
        Message::Probed { number: 2, answer: Some([7; 32]) },
        Message::Probed { number: 300, answer: None },
    ]
}

/// Messages of comparing.
fn compared() -> Vec<Message> {
    let tip = Item::new(7, 300, 8);
    let offer = |class, estimate| Offer { class, digest: [1; 8], estimate };
    let estimate = Some(Estimate([3; COUNTERS]));
    let check = |list, told| Message::Check { round: 2, list, missing: 300, digest: [9; 8], told };
    vec![
        Message::Open {
            round: 1,
            first: true,
            more: false,
            missing: 4,
            entries: vec![OpenEntry {
                tag: [5; 8],
                sections: vec![
                    offer(SectionClass::Authority, None),
                    offer(SectionClass::Private, estimate),
                ],
                sparing: 0,
                partial: 8,
            }],
        },
        Message::Answer {
            round: 1,
            more: true,
            missing: 0,
            entries: vec![AnswerEntry { held: 3, kept: 1, differ: 2, sparing: 0, partial: 1 }],
        },
        check(None, Told::Digest),
        check(Some([4; 8]), Told::Estimate(Estimate([7; COUNTERS]))),
        check(Some([4; 8]), Told::Sums(vec![8, u64::MAX])),
        check(None, Told::Follows),
        Message::Total { round: 2, missing: 1, then: Then::Repair, digest: [9; 8] },
        Message::Meet {
            round: 1,
            first: true,
            missing: 300,
            spaces: vec![8, u64::MAX],
            estimate,
            tips: vec![9],
        },
        Message::Met {
            round: 1,
            missing: 1,
            then: Then::Plan,
            digest: [9; 8],
            answers: vec![(
                300,
                AnswerEntry { held: 3, kept: 1, differ: 0, sparing: 0, partial: 1 },
            )],
        },
        Message::Cells {
            round: 2,
            last: true,
            sections: vec![section(3)],
            cells: vec![Cell::from_bytes([9; CELL_BYTES]); 3],
        },
        Message::Sums { round: 2, sections: vec![section(3)], sums: vec![7, u64::MAX] },
        Message::More { round: 2, estimate: None },
        Message::More { round: 2, estimate },
        Message::Compared { round: 2, sections: vec![section(5), section(300)] },
        Message::Tips {
            round: 3,
            last: true,
            groups: vec![TipGroup { section: section(0), tips: vec![tip] }],
        },
    ]
}

fn body(message: &Message) -> Bytes {
    let frame = message.encode();
    let (prefix, body) = frame.split_first_chunk().unwrap();
    assert_eq!(frame_length(*prefix), Ok(body.len()));
    Bytes::copy_from_slice(body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn messages_survive_and_no_byte_is_left_over() {
    for message in all() {
        let bytes = body(&message);
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message));
        let longer = Bytes::from([&bytes[..], &[0]].concat());
        assert!(Message::decode(&longer).is_err(), "{message:?}");
        for length in 0..bytes.len() {
            assert!(Message::decode(&bytes.slice(..length)).is_err(), "{message:?} {length}");
        }
    }
}

#[test]
fn what_decodes_encodes_to_the_same_bytes() {
    for message in all() {
        let bytes = body(&message);
        for place in 0..bytes.len() {
            for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut mutated = bytes.to_vec();
                mutated[place] ^= flip;
                let mutated = Bytes::from(mutated);
                if let Ok(decoded) = Message::decode(&mutated) {
                    let again = body(&decoded);
                    // An unknown reason keeps its class only.
                    assert!(again == mutated || matches!(decoded, Message::Done(_)), "{decoded:?}");
                }
            }
        }
    }
}

#[test]
fn golden_bytes() {
    let golden = [
        "01010206040105050505050505050988010101010101010101010101010101010303030303030303\
         030303030303030303030303030303030303030303030303030303030303",
        "0201010001310201",
        "030200ac02 0909090909090909",
        "030203060404040404040404ac02 0909090909090909 0707070707070707070707070707070707070707\
         070707070707070707070707070707070707",
        "030206060404040404040404ac02 0909090909090909 02 0000000000000008 ffffffffffffffff",
        "030208ac02 0909090909090909",
        "040201010909090909090909",
        "13010306ac02 02 0000000000000008 ffffffffffffffff 0303030303030303030303030303030303030303\
         030303030303030303030303030303030303 01 0000000000000009",
        "140101040909090909090909 01 ac02310001",
    ];
    for (message, golden) in all().iter().zip(golden) {
        let golden = golden.replace(' ', "");
        assert_eq!(hex(&body(message)), golden, "{message:?}");
    }
    let golden = [
        "1702 0505050505050505 0606060606060606".to_owned(),
        format!(
            "1801 0505050505050505 03 {} {:016x}{:016x} {}",
            "08".repeat(32),
            1,
            2,
            "09".repeat(64)
        ),
        format!("1902 {} ac02 8020 {}", "06".repeat(32), "04".repeat(16)),
        format!("1a02 01 {}", "07".repeat(32)),
        "1aac02 00".to_owned(),
    ];
    for (message, golden) in all().iter().rev().zip(golden.iter().rev()) {
        assert_eq!(hex(&body(message)), golden.replace(' ', ""), "{message:?}");
    }
    let digest = BlobHash::of(&all().iter().flat_map(|m| m.encode()).collect::<Vec<_>>());
    assert_eq!(digest.to_string(), GOLDEN_ALL);
    let mut packer = ChangePacker::new();
    packer.add(chain(1), &[log(1, &[1000, 990], b"entry")]);
    let golden = format!(
        "4d4f50310101{}01{}{}01010102d00f05656e7472791305656e747279",
        "01".repeat(32),
        "02".repeat(32),
        "03".repeat(16)
    );
    assert_eq!(hex(&packer.finish()), golden);
    let mut packer = BodyPacker::new();
    packer.add(b"0123456789abcdefbody");
    assert_eq!(hex(&packer.take()), format!("4d4f5031020114{}", hex(b"0123456789abcdefbody")));
}

#[test]
fn frames_and_lists_have_limits() {
    let max = u32::try_from(MESSAGE_BYTES_MAX).unwrap();
    assert_eq!(frame_length(max.to_be_bytes()), Ok(max as usize));
    assert!(frame_length((max + 1).to_be_bytes()).is_err());
    assert!(frame_length(u32::MAX.to_be_bytes()).is_err());
    assert!(frame_length([0; 4]).is_err());
    let bodies = |count| Message::WantBodies {
        request: 1,
        section: section(0),
        hashes: vec![BlobHash::of(b""); count],
    };
    assert!(Message::decode(&body(&bodies(WANT_BODIES_MAX))).is_ok());
    assert!(Message::decode(&body(&bodies(WANT_BODIES_MAX + 1))).is_err());
    let asked = |count| Message::AskHolds { spaces: vec![[5; 8]; count] };
    let given = |count, classes| Message::Holds { holds: vec![([5; 8], hold(classes)); count] };
    let probed = |len| Message::Probe { number: 1, probe: probe(len) };
    for message in [asked(HOLDS_MAX), given(HOLDS_MAX, 15), probed(PROBE_BYTES_MAX)] {
        assert!(Message::decode(&body(&message)).is_ok());
    }
    for message in [
        asked(HOLDS_MAX + 1),
        given(HOLDS_MAX + 1, 15),
        given(1, 0),
        given(1, 16),
        probed(0),
        probed(PROBE_BYTES_MAX + 1),
    ] {
        assert!(Message::decode(&body(&message)).is_err(), "{message:?}");
    }
    let path = |length| Message::Give {
        scope: Scope { kind: ScopeKind::Push, id: 1 },
        paths: vec![(0, vec![1; length].into())],
        packs: Vec::new(),
        chains: Vec::new(),
        bodies: Vec::new(),
    };
    assert!(Message::decode(&body(&path(PATH_BYTES_MAX))).is_ok());
    assert!(Message::decode(&body(&path(PATH_BYTES_MAX + 1))).is_err());
}

#[test]
fn who_keeps_a_part_says_so_in_bits_that_are_zero_otherwise() {
    let offer = |class| Offer { class, digest: [1; 8], estimate: None };
    let sections = vec![offer(SectionClass::Public), offer(SectionClass::Visitors)];
    let open = |sparing, partial| {
        let sections = sections.clone();
        let entries = vec![OpenEntry { tag: [5; 8], sections, sparing, partial }];
        Message::Open { round: 2, first: false, more: false, missing: 0, entries }
    };
    let answer = |sparing, partial| {
        let entries = vec![AnswerEntry { held: 6, kept: 6, differ: 4, sparing, partial }];
        Message::Answer { round: 2, more: false, missing: 0, entries }
    };
    let want = |fork, bare| {
        let name = WantName::Listed(2);
        let items = vec![WantItem { name, have: 0, link: [0; 8], fork, bare }];
        Message::Want { request: 1, items }
    };
    for message in [open(6, 6), answer(6, 6), open(0, 2), answer(0, 2), want(false, true)] {
        assert_eq!(Message::decode(&body(&message)), Ok(message));
    }
    // Of what is not offered or not kept there is no part; a fork is proved by the whole.
    for message in [open(8, 0), answer(9, 0), open(0, 8), answer(0, 9), want(true, true)] {
        assert!(Message::decode(&body(&message)).is_err(), "{message:?}");
    }
    let bytes = body(&open(6, 6));
    assert_eq!(bytes.get(13), Some(&0x66), "{bytes:02x?}");
}

#[test]
fn packs_are_one_form_and_bounded() {
    let mut packer = ChangePacker::new();
    for number in [3, 1, 2] {
        packer.add(chain(number), &[log(1, &[5], b"entry")]);
    }
    let bytes = packer.finish();
    let Ok(Pack::Changes(ranges)) = Pack::decode(&bytes) else { panic!() };
    assert_eq!(ranges.iter().map(|r| r.chain).collect::<Vec<_>>(), [1, 2, 3].map(chain));
    for length in 0..bytes.len() {
        assert!(Pack::decode(&bytes.slice(..length)).is_err());
    }
    let empty = Part { first_n: 1, content: Content::Changes(Changes::Raw(vec![Bytes::new()])) };
    let long = vec![1u64; usize::try_from(HEAD_AHEAD_MAX).unwrap()];
    let entry: &'static [u8] = Box::leak(vec![1; ENTRY_BYTES_MAX + 1].into_boxed_slice());
    for (part, fits) in [
        (empty, false),
        (log(0, &[1], b"x"), false),
        (log(1, &long, b"x"), true),
        (log(HEAD_AHEAD_MAX + 1, &[1], b"x"), false),
        (log(1, &[1], &entry[1..]), true),
        (log(1, &[1], entry), false),
    ] {
        let mut packer = ChangePacker::new();
        packer.add(chain(1), &[part]);
        assert_eq!(Pack::decode(&packer.finish()).is_ok(), fits);
    }
    let mut packer = BodyPacker::new();
    packer.add(&[0; 15]);
    assert!(Pack::decode(&packer.take()).is_err());
    assert!(Pack::decode(&Bytes::from(vec![0; PACK_BYTES_MAX + 1])).is_err());
    // A count is no promise that anything is allocated for.
    let lie = [&b"MOP1\x02"[..], &[0xff, 0xff, 0xff, 0x07]].concat();
    assert!(Pack::decode(&lie.into()).is_err());
}

#[test]
fn a_tip_names_no_more_changes_than_a_chain_may_have() {
    for (n, fits) in [(HEAD_AHEAD_MAX, true), (HEAD_AHEAD_MAX + 1, false), (u64::MAX, false)] {
        let tips = vec![Item::new(7, n, 8)];
        let group = TipGroup { section: section(1), tips };
        let message = Message::Tips { round: 1, last: true, groups: vec![group] };
        assert_eq!(Message::decode(&body(&message)).is_ok(), fits, "{n}");
    }
}

#[test]
fn a_wall_post_costs_at_most_45_bytes() {
    let entry: &'static [u8] = Box::leak(vec![2; 1 + 32 + 2 + 1 + 1].into_boxed_slice());
    let times: Vec<u64> = (0..1024).map(|n| 1_700_000_000_000 + n * 86_400_000).collect();
    let mut packer = ChangePacker::new();
    packer.add(chain(1), &[log(1, &times, entry)]);
    assert!(packer.finish().len() <= 45 * 1024);
}

const GOLDEN_ALL: &str = "7ad47b8946b621e63676f77f2173d2b7efb230fbee25ee0c9605df07334f006c";
