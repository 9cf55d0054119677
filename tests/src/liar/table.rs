//! Every lie about changes and entries, and the answer that each deserves.

use mosaic_engine::change::lies::{first_lies, log_lies, second_lies};
use mosaic_engine::change::raw::RawChange;
use mosaic_engine::codec::Writer;
use mosaic_engine::description::{Description, DocumentKind};
use mosaic_engine::entropy::random;
use mosaic_engine::hash::{BlobHash, ChangeHash, ChangeId, DocumentId, Incarnation, Link};
use mosaic_engine::limits::{
    CHANGE_BYTES_MAX, ENTRY_BYTES_MAX, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, PAGE_MODIFICATIONS_MAX,
};
use mosaic_engine::model::entry::{BodyRef, Entry, EntryRef, Tip};
use mosaic_engine::sync::exchange::{Received, Verdict};
use mosaic_engine::wire::{Changes, Content, Part, Reason};

use super::author::{Author, Chain};

/// A lie and its answer.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What is wrong with it.
    pub what: String,
    /// What is offered.
    pub received: Received,
    /// What an honest replica says.
    pub answer: Answer,
}

/// What an honest replica says to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Taken.
    Accepted,
    /// Not taken, for good.
    Refused(Reason),
    /// Perhaps later.
    Deferred(Reason),
}

impl Answer {
    /// The answer in a verdict.
    #[must_use]
    pub const fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Accepted { .. } => Self::Accepted,
            Verdict::Refused(reason) => Self::Refused(*reason),
            Verdict::Deferred(reason) => Self::Deferred(*reason),
        }
    }

    /// Its kind, for people and JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(_) => "refused",
            Self::Deferred(_) => "deferred",
        }
    }

    /// Its reason, if it has one.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Accepted => None,
            Self::Refused(reason) | Self::Deferred(reason) => Some(*reason),
        }
    }
}

pub(super) const INVALID: Answer = Answer::Refused(Reason::InvalidChange);

pub(super) fn offer(what: impl Into<String>, received: Received, answer: Answer) -> Offer {
    Offer { what: what.into(), received, answer }
}

/// Every lie of a device that the receiver knows and has no other reason to refuse.
#[must_use]
pub fn lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let mut all = map_lies(author);
    all.extend(file_lies(author, now_ms));
    all.extend(entry_lies(author, now_ms));
    all.extend(place_lies(author, now_ms));
    all.extend(limit_lies(author, now_ms));
    all.extend(super::heads::head_lies(author, now_ms));
    all
}

/// The author's profile.
#[must_use]
pub fn profile(author: &Author) -> Description {
    Description::own(author.account(), DocumentKind::Profile, 0)
}

/// A page of the author's wall.
#[must_use]
pub fn wall(author: &Author, page: u64) -> Description {
    Description::own(author.account(), DocumentKind::Wall, page)
}

/// Malformed map changes in validly signed chains of the profile.
#[must_use]
pub fn map_lies(author: &Author) -> Vec<Offer> {
    let description = profile(author);
    let mut all = Vec::new();
    // The bytes hold the chain's actor, which differs for each chain.
    let count = first_lies(author.chain(&description).actor()).len();
    for at in 0..count {
        let mut chain = author.chain(&description);
        let lie = first_lies(chain.actor()).swap_remove(at);
        chain.raw(lie.bytes);
        all.push(offer(format!("map: {}", lie.what), chain.offer(author), INVALID));
    }
    let first = ChangeHash::from_bytes([0; 32]);
    let count = second_lies(author.chain(&description).actor(), first).len();
    for at in 0..count {
        let mut chain = author.chain(&description);
        let first = begin(&mut chain);
        let lie = second_lies(chain.actor(), first).swap_remove(at);
        chain.raw(lie.bytes);
        all.push(offer(format!("map: {}", lie.what), chain.offer(author), INVALID));
    }
    let mut chain = author.chain(&description);
    let first = begin(&mut chain);
    let mut dependencies = vec![first, ChangeHash::from_bytes([0xee; 32])];
    dependencies.sort();
    let unready = mosaic_engine::change::lies::second(chain.actor(), first);
    chain.raw(RawChange { dependencies, ..unready }.chunk());
    let answer = Answer::Deferred(Reason::Gap);
    all.push(offer("map: depends on what nobody has", chain.offer(author), answer));
    all
}

/// Puts an honest first change into a chain of a map.
pub fn begin(chain: &mut Chain) -> ChangeHash {
    let bytes = RawChange::put(chain.actor()).chunk();
    let parsed = automerge::Change::from_bytes(bytes.clone()).expect("an honest change");
    chain.raw(bytes);
    ChangeHash::from_bytes(parsed.hash().0)
}

/// Any file as a change: of a map, of a log, and of a log in the disguise of an entry.
#[must_use]
pub fn offers_of_file(author: &Author, name: &str, bytes: &[u8], now_ms: u64) -> Vec<Offer> {
    let mut map = author.chain(&profile(author));
    map.raw(bytes.to_vec());
    let mut log = author.chain(&author.page(0));
    log.raw(bytes.to_vec());
    let mut disguised = author.chain(&author.page(0));
    disguised.disguised(bytes, now_ms, author.honest().encode());
    // What is longer than any change is refused before anybody looks at it.
    let (as_map, as_log) = match bytes.len() > CHANGE_BYTES_MAX {
        true => (Answer::Refused(Reason::Limit), Answer::Refused(Reason::Limit)),
        false => (INVALID, Answer::Refused(Reason::Malformed)),
    };
    let mut all = vec![
        offer(format!("{name}: as a map change"), map.offer(author), as_map),
        offer(format!("{name}: as a log change"), log.offer(author), as_log),
        offer(
            format!("{name}: behind an honest entry"),
            disguised.offer(author),
            Answer::Refused(Reason::Link),
        ),
    ];
    if bytes.len() <= ENTRY_BYTES_MAX && !bytes.is_empty() {
        let mut entry = author.chain(&author.page(0));
        entry.entry(now_ms, bytes.to_vec());
        all.push(offer(format!("{name}: as an entry"), entry.offer(author), INVALID));
    }
    all
}

/// Look-alikes of the one form of a log change.
fn file_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let value = author.honest().encode();
    let mut all = Vec::new();
    let description = author.page(0);
    let count = log_lies(author.chain(&description).actor(), 0, now_ms, &value).len();
    for at in 0..count {
        let mut raw = author.chain(&description);
        let mut disguised = author.chain(&description);
        let lie = log_lies(raw.actor(), raw.tag(), now_ms, &value).swap_remove(at);
        raw.raw(lie.bytes);
        let malformed = Answer::Refused(Reason::Malformed);
        all.push(offer(format!("log: {}, as it is", lie.what), raw.offer(author), malformed));
        let lie = log_lies(disguised.actor(), disguised.tag(), now_ms, &value).swap_remove(at);
        disguised.disguised(&lie.bytes, now_ms, value.clone());
        let link = Answer::Refused(Reason::Link);
        all.push(offer(format!("log: {}, by its fields", lie.what), disguised.offer(author), link));
    }
    let mut signed_time = author.chain(&description);
    let honest = mosaic_engine::change::log::build(
        signed_time.actor(),
        1,
        None,
        signed_time.tag(),
        now_ms,
        &value,
    )
    .expect("an honest change");
    signed_time.disguised(&honest.bytes, now_ms + 1, value);
    let link = Answer::Refused(Reason::Link);
    all.push(offer("log: another time than signed", signed_time.offer(author), link));
    all
}

/// A post whose body nobody has.
#[must_use]
pub fn post() -> Entry {
    let body = BodyRef { hash: BlobHash::of(b"nobody has it"), size: 40 };
    Entry::Post { body, attachments: Vec::new(), quote: None, origin: None, text: None }
}

/// Entries that do not decode, or not in the one form.
#[expect(clippy::too_many_lines, reason = "a table")]
fn entry_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let target = ChangeId::of(b"t");
    let raw = |build: &dyn Fn(&mut Writer)| {
        let mut w = Writer::new();
        build(&mut w);
        w.finish()
    };
    let post = post().encode();
    let hash = *BlobHash::of(b"b").as_bytes();
    let tips = |count: u64, tip: &dyn Fn(u64) -> Tip| {
        raw(&|w| {
            w.u8(0x14).raw(&[9; 32]).varint(count);
            for at in 0..count {
                let tip = tip(at);
                w.raw(tip.doc.as_bytes()).raw(tip.device.as_bytes());
                w.raw(tip.incarnation.as_bytes()).varint(tip.n).raw(tip.link.as_bytes());
            }
        })
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing but a kind", vec![0x02]),
        ("an unheard of kind", vec![0x7e]),
        ("a reserved kind", vec![0x06, 1, 2, 3]),
        ("a byte behind it", [post.clone(), vec![0]].concat()),
        ("a byte short", post[..post.len() - 1].to_vec()),
        ("a number not in its shortest form", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).raw(&[0xa8, 0x00]).u8(0).u8(0);
            })
        }),
        ("a body shorter than its salt", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).varint(15).u8(0).u8(0);
            })
        }),
        ("a body over the limit", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).varint(256 * 1024 + 17).u8(0).u8(0);
            })
        }),
        ("a body of u64::MAX bytes", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).varint(u64::MAX).u8(0).u8(0);
            })
        }),
        ("17 attachments", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).varint(40).varint(17);
                for _ in 0..17 {
                    w.raw(&hash).varint(40).text("a/b").text("n").text("");
                }
                w.u8(0);
            })
        }),
        ("u64::MAX attachments", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).varint(40).varint(u64::MAX).u8(0);
            })
        }),
        ("a media type over its limit", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).varint(40).varint(1).raw(&hash).varint(40);
                w.text(&"m".repeat(128)).text("n").text("").u8(0);
            })
        }),
        ("a flag that is neither yes nor no", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).varint(40).u8(0).u8(2);
            })
        }),
        ("the largest entry, of nothing", vec![0; ENTRY_BYTES_MAX]),
        ("a name that is no text", {
            raw(&|w| {
                w.u8(0x02).raw(&hash).varint(40).varint(1).raw(&hash).varint(40);
                w.bytes(&[0xff, 0xfe]).text("n").text("").u8(0);
            })
        }),
        ("257 tips", tips(257, &|at| tip(at, 1))),
        ("tips in disorder", tips(2, &|at| tip(1 - at, 1))),
        ("one tip twice", tips(2, &|_| tip(1, 1))),
        ("a tip beyond any chain", tips(1, &|_| tip(1, 1 << 20))),
        (
            "a reaction to nothing visible",
            Entry::Reaction { target, emoji: String::new() }.encode(),
        ),
    ];
    let mut all = Vec::new();
    let cases = cases.into_iter().map(|(what, value)| (what.to_owned(), value));
    for (what, value) in cases.chain(author.ground().malformed()) {
        let mut chain = author.chain(&author.page(0));
        chain.entry(now_ms, value);
        all.push(offer(format!("entry: {what}"), chain.offer(author), INVALID));
    }
    all
}

fn tip(byte: u64, n: u64) -> Tip {
    let byte = u8::try_from(byte % 256).expect("below 256");
    Tip {
        doc: DocumentId::from_bytes([byte; 32]),
        device: mosaic_engine::hash::DeviceId::from_bytes([byte; 32]),
        incarnation: Incarnation::from_bytes([byte; 16]),
        n,
        link: Link::from_bytes([byte; 32]),
    }
}

/// Entries that are fine elsewhere.
fn place_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let target = ChangeId::of(b"t");
    let body = BodyRef { hash: BlobHash::of(b"b"), size: 40 };
    let (account, device) = (author.account(), author.device());
    let own = |kind| Description::own(account, kind, 0);
    let (log, page) = (own(DocumentKind::AccountLog), wall(author, 0));
    let guest = Description::guest(account, account, 0);
    let reply = Entry::Reply { target, body, attachments: vec![] };
    let reaction = Entry::Reaction { target, emoji: "x".into() };
    let longest = Entry::Reaction { target, emoji: "x".repeat(65) };
    let start = Entry::PageStart { previous: vec![tip(1, 1)] };
    let name = "n".repeat(65);
    let cases = [
        ("a reply on a wall", page.clone(), reply.clone()),
        ("a reaction on a wall", page.clone(), reaction),
        ("a device on a wall", page.clone(), Entry::Suspend { device }),
        ("a policy on a wall", page.clone(), Entry::Admit { account }),
        ("a post in an account log", log.clone(), post()),
        ("a reply in an account log", log.clone(), reply),
        ("a tombstone in an account log", log.clone(), Entry::Tombstone { target }),
        ("a hide in an account log", log.clone(), Entry::Hide { target }),
        ("a post on a guest page", guest.clone(), post()),
        ("a hide on a guest page", guest.clone(), Entry::Hide { target }),
        ("a repost on a guest page", guest.clone(), {
            Entry::Repost { target: EntryRef { account, entry: target } }
        }),
        ("an emoji over its limit", guest.clone(), longest),
        ("a device name over its limit", log, Entry::RenameDevice { device, name }),
        ("a page start on the first page of a wall", page, start.clone()),
    ];
    let mut all = Vec::new();
    let here = author.ground().misplaced(account).into_iter();
    let here = here.map(|(what, entry)| (what, author.page(0), entry));
    let first = [("a page start on a first page", author.page(0), start.clone())];
    for (what, description, entry) in cases.into_iter().chain(first).chain(here) {
        let mut chain = author.chain(&description);
        chain.entry(now_ms, entry.encode());
        all.push(offer(format!("place: {what}"), chain.offer(author), INVALID));
    }
    let mut twice = author.chain(&author.page(1));
    twice.entry(now_ms, start.encode()).entry(now_ms, start.encode());
    all.push(offer("place: a second page start", twice.offer(author), INVALID));
    let mut late = author.chain(&author.page(1));
    late.entry(now_ms, author.honest().encode()).entry(now_ms, start.encode());
    all.push(offer("place: a page start behind a post", late.offer(author), INVALID));
    all
}

/// Chains that grow over a limit.
fn limit_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let over = Answer::Refused(Reason::Limit);
    let page = author.page(0);
    let target = ChangeId::of(b"t");
    let mut entries = author.chain(&page);
    for _ in 0..=PAGE_ENTRIES_MAX {
        entries.entry(now_ms, author.honest().encode());
    }
    let mut modifications = author.chain(&page);
    for _ in 0..=PAGE_MODIFICATIONS_MAX {
        modifications.entry(now_ms, Entry::Tombstone { target }.encode());
    }
    let mut bytes = author.chain(&page);
    let large = author.ground().large().encode();
    for _ in 0..=PAGE_BYTES_MAX / large.len() as u64 {
        bytes.entry(now_ms, large.clone());
    }
    let mut all = vec![
        offer("limit: 1,025 entries", entries.offer(author), over),
        offer("limit: 1,025 modifications", modifications.offer(author), over),
        offer("limit: over 256 KiB of entries", bytes.offer(author), over),
    ];
    all.extend(shape_lies(author, now_ms));
    all
}

/// Honest chains of which the data is not what the head signs, or not all there.
#[expect(clippy::too_many_lines, reason = "a table")]
fn shape_lies(author: &Author, now_ms: u64) -> Vec<Offer> {
    let mut honest = author.chain(&author.page(0));
    honest.entry(now_ms, author.honest().encode()).entry(now_ms + 1, author.honest().encode());
    let with = |chain: &Chain, alter: &dyn Fn(&mut Received)| {
        let mut received = chain.offer(author);
        alter(&mut received);
        received
    };
    let fresh = || {
        let mut chain = author.chain(&author.page(0));
        chain.entry(now_ms, author.honest().encode()).entry(now_ms + 1, author.honest().encode());
        chain
    };
    let only = |first_n, content| vec![Part { first_n, content }];
    let ids: [u8; 64] = random(&**author.entropy());
    let ids: Vec<_> =
        ids.chunks(32).map(|id| ChangeId::from_bytes(id.try_into().expect("32 bytes"))).collect();
    let raw = Changes::Raw(vec![b"x".to_vec().into(); 2]);
    let link = Answer::Refused(Reason::Link);
    let gap = Answer::Deferred(Reason::Gap);
    vec![
        offer(
            "shape: the first change is missing",
            {
                with(&fresh(), &|r| {
                    r.parts[0].first_n = 2;
                    r.parts[0].truncate(2);
                })
            },
            gap,
        ),
        offer(
            "shape: a change in the middle is missing",
            {
                with(&fresh(), &|r| {
                    let mut late = r.parts[0].clone();
                    r.parts[0].truncate(1);
                    late.first_n = 3;
                    r.parts.push(late);
                })
            },
            gap,
        ),
        offer(
            "shape: the last change is missing",
            with(&fresh(), &|r| r.parts[0].truncate(1)),
            link,
        ),
        offer(
            "shape: ids of something else",
            with(&fresh(), &|r| r.parts = only(1, Content::Ids(ids.clone()))),
            link,
        ),
        offer(
            "shape: bytes in place of entries",
            with(&fresh(), &|r| r.parts = only(1, Content::Changes(raw.clone()))),
            Answer::Refused(Reason::Malformed),
        ),
        offer(
            "shape: more changes than signed",
            {
                with(&fresh(), &|r| {
                    let mut more = r.parts[0].clone();
                    more.first_n = 3;
                    r.parts.push(more);
                })
            },
            link,
        ),
        offer("shape: an entry altered", with(&fresh(), &|r| alter_entry(r)), link),
        offer("shape: the changes swapped", with(&fresh(), &|r| swap_entries(r)), link),
    ]
}

fn alter_entry(received: &mut Received) {
    if let Content::Changes(Changes::Log(items)) = &mut received.parts[0].content {
        let mut value = items[0].value.to_vec();
        value[5] ^= 1;
        items[0].value = value.into();
    }
}

fn swap_entries(received: &mut Received) {
    if let Content::Changes(Changes::Log(items)) = &mut received.parts[0].content {
        items.swap(0, 1);
    }
}
