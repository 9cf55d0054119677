//! Bytes to messages: total, bounded, exact.

use bytes::Bytes;

use super::encode::{
    AGAIN, ANSWER, ASK_HOLDS, BODIES, CELLS, CHECK, CLOSE, COMPARED, DONE, END, FLAG_ALL,
    FLAG_COMMITTED, FLAG_DESCRIPTION, FLAG_ESTIMATE, FLAG_FIRST, FLAG_FOLLOWS, FLAG_FORK,
    FLAG_HELD, FLAG_KNOWN, FLAG_LAST, FLAG_LINKED, FLAG_MORE, FLAG_SUMS, GIVE, HOLDS, INTRODUCE,
    MEET, MET, MORE, NEWEST, OPEN, PROBE, PROBED, SUMS, TAKEN, TIPS, TOTAL, WANT, WANT_BARE,
    WANT_BODIES, WANT_FORK, WANT_FOUND, WANT_LISTED, WANT_TAGGED,
};
use super::message::{
    AnswerEntry, ChainCause, ChainGive, Done, GivenHead, Message, Offer, OpenEntry, PackRef, Scope,
    ScopeKind, SectionDigest, SectionRef, Then, TipGroup, Told, WantItem, WantName,
};
use super::range::{PARTS_MAX, read_part};
use super::{
    CAUSES_MAX, EXCERPTS_MAX, Excerpt, HOLDS_MAX, Hold, INTRODUCED_BYTES_MAX, INTRODUCED_MAX,
    KnownHead, Newest, PATH_BYTES_MAX, Probe, Reason, VERSION, WANT_BODIES_MAX,
};
use crate::codec::{DecodeError, Reader};
use crate::description::{Description, SectionClass};
use crate::hash::BlobHash;
use crate::limits::{
    BODY_BYTES_MAX, BODY_SALT_BYTES, HEAD_AHEAD_MAX, MESSAGE_BYTES_MAX, PACK_BYTES_MAX,
};
use crate::sketch::sums::SUMS_MAX;
use crate::sketch::{Cell, Estimate, Item};

/// Items of any list in a frame: each takes a byte at least.
const ITEMS_MAX: usize = MESSAGE_BYTES_MAX;
const CLASSES: [SectionClass; 4] =
    [SectionClass::Authority, SectionClass::Public, SectionClass::Visitors, SectionClass::Private];
const MASK_MAX: u8 = 0x0f;

impl Message {
    /// Decodes one frame without its length. Byte strings in the result share `frame`.
    ///
    /// # Errors
    /// If malformed, over a limit, of unknown type, or with bytes left over.
    pub fn decode(frame: &Bytes) -> Result<Self, DecodeError> {
        if frame.len() > MESSAGE_BYTES_MAX {
            return Err(DecodeError::TooLarge {
                reading: "frame",
                value: frame.len() as u64,
                max: MESSAGE_BYTES_MAX as u64,
            });
        }
        let mut r = Reader::new(frame);
        let message = read_message(frame, &mut r)?;
        r.end()?;
        Ok(message)
    }
}

fn read_message(frame: &Bytes, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match r.u8("message type")? {
        OPEN => read_open(r)?,
        ANSWER => Message::Answer {
            round: number(r, "round")?,
            more: flags(r, FLAG_MORE)? != 0,
            missing: number(r, "missing")?,
            entries: list(r, "answers", read_answer)?,
        },
        CHECK => read_check(r)?,
        TOTAL => Message::Total {
            round: number(r, "round")?,
            missing: number(r, "missing")?,
            then: read_then(r)?,
            digest: r.array("digest")?,
        },
        MEET => read_meet(r)?,
        MET => Message::Met {
            round: number(r, "round")?,
            missing: number(r, "missing")?,
            then: read_then(r)?,
            digest: r.array("digest")?,
            answers: list(r, "answers", |r| Ok((number(r, "place")?, read_answer(r)?)))?,
        },
        kind @ (TIPS | CELLS | SUMS | MORE | COMPARED) => read_difference(kind, r)?,
        WANT => {
            Message::Want { request: number(r, "request")?, items: list(r, "wants", read_want)? }
        }
        GIVE => Message::Give {
            scope: read_scope(r)?,
            paths: list(r, "paths", |r| {
                let slot = r.u8("path slot")?;
                Ok((slot, frame.slice_ref(r.bytes(PATH_BYTES_MAX, "certificate path")?)))
            })?,
            packs: list(r, "packs", read_pack)?,
            chains: list(r, "chains", |r| read_chain(frame, r))?,
            bodies: list(r, "bodies", |r| read_body(frame, r))?,
        },
        NEWEST => Message::Newest(Newest {
            excerpts: list_of(r, EXCERPTS_MAX, "excerpts", |r| Excerpt::read(frame, r))?,
            bodies: list(r, "bodies", |r| read_body(frame, r))?,
        }),
        WANT_BODIES => Message::WantBodies {
            request: number(r, "request")?,
            section: read_section(r)?,
            hashes: list_of(r, WANT_BODIES_MAX, "wanted bodies", read_hash)?,
        },
        BODIES => Message::Bodies {
            scope: read_scope(r)?,
            inline: list(r, "bodies", |r| read_body(frame, r))?,
            packs: list(r, "packs", read_pack)?,
            absent: list(r, "absent bodies", read_hash)?,
        },
        END => Message::End { scope: read_scope(r)? },
        DONE => Message::Done(read_done(r)?),
        TAKEN => Message::Taken { count: number(r, "taken")? },
        INTRODUCE => read_introduction(frame, r)?,
        kind @ (ASK_HOLDS | HOLDS | PROBE | PROBED) => read_holding(kind, r)?,
        AGAIN => Message::Again,
        CLOSE => Message::Close { code: r.u8("close code")? },
        value => return Err(DecodeError::Unknown { reading: "message type", value }),
    })
}

fn read_introduction(frame: &Bytes, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let path = frame.slice_ref(r.bytes(PATH_BYTES_MAX, "certificate path")?);
    let spaces = list_of(r, INTRODUCED_MAX, "conversations", |r| {
        Ok(frame.slice_ref(r.bytes(INTRODUCED_BYTES_MAX, "conversation")?))
    })?;
    Ok(Message::Introduce { path, spaces })
}

/// Receipts, and looking whether they are true.
fn read_holding(kind: u8, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match kind {
        ASK_HOLDS => {
            Message::AskHolds { spaces: list_of(r, HOLDS_MAX, "spaces", |r| r.array("space tag"))? }
        }
        HOLDS => Message::Holds {
            holds: list_of(r, HOLDS_MAX, "receipts", |r| {
                Ok((r.array("space tag")?, Hold::decode(r)?))
            })?,
        },
        PROBE => Message::Probe { number: number(r, "probe")?, probe: Probe::decode(r)? },
        _ => {
            let number = number(r, "probe")?;
            let held = flags(r, FLAG_HELD)? != 0;
            let answer = if held { Some(r.array("answer to a probe")?) } else { None };
            Message::Probed { number, answer }
        }
    })
}

/// The messages by which tips are told apart.
fn read_difference(kind: u8, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match kind {
        TIPS => Message::Tips {
            round: number(r, "round")?,
            last: flags(r, FLAG_LAST)? != 0,
            groups: list(r, "tip groups", read_group)?,
        },
        CELLS => Message::Cells {
            round: number(r, "round")?,
            last: flags(r, FLAG_LAST)? != 0,
            sections: list(r, "sections", read_section)?,
            cells: list(r, "cells", |r| Ok(Cell::from_bytes(r.array("cell")?)))?,
        },
        SUMS => Message::Sums {
            round: number(r, "round")?,
            sections: list(r, "sections", read_section)?,
            sums: read_sums(r)?,
        },
        MORE => {
            let round = number(r, "round")?;
            let estimated = flags(r, FLAG_ESTIMATE)? != 0;
            let estimate = if estimated { Some(read_estimate(r)?) } else { None };
            Message::More { round, estimate }
        }
        _ => Message::Compared {
            round: number(r, "round")?,
            sections: list(r, "sections", read_section)?,
        },
    })
}

fn number(r: &mut Reader<'_>, reading: &'static str) -> Result<u64, DecodeError> {
    r.varint(u64::MAX, reading)
}

fn flags(r: &mut Reader<'_>, known: u8) -> Result<u8, DecodeError> {
    let value = r.u8("flags")?;
    if value & !known != 0 {
        return Err(DecodeError::Unknown { reading: "flags", value });
    }
    Ok(value)
}

fn list<'a, T>(
    r: &mut Reader<'a>,
    reading: &'static str,
    read: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    list_of(r, ITEMS_MAX, reading, read)
}

/// Grows with what was really there, not with what the count promises.
fn list_of<'a, T>(
    r: &mut Reader<'a>,
    max: usize,
    reading: &'static str,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = r.count(max, reading)?;
    let mut out = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        out.push(read(r)?);
    }
    Ok(out)
}

fn read_open(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let round = number(r, "round")?;
    let flags = flags(r, FLAG_MORE | FLAG_FIRST)?;
    let first = flags & FLAG_FIRST != 0;
    if first {
        read_version(r)?;
    }
    let missing = number(r, "missing")?;
    let entries = list(r, "spaces", |r| {
        let tag = r.array("space tag")?;
        let both = r.u8("class mask")?;
        let (sparing, mask) = (both >> 4, both & MASK_MAX);
        if mask == 0 || sparing & !mask != 0 {
            return Err(DecodeError::Unknown { reading: "class mask", value: both });
        }
        let both = r.u8("partial mask")?;
        let (estimated, partial) = (both >> 4, both & MASK_MAX);
        if (partial | estimated) & !mask != 0 {
            return Err(DecodeError::Unknown { reading: "partial mask", value: both });
        }
        let offered = CLASSES.into_iter().filter(|class| mask & bit(*class) != 0);
        let sections = offered.map(|class| {
            let digest = r.array("section digest")?;
            let estimated = estimated & bit(class) != 0;
            let estimate = if estimated { Some(read_estimate(r)?) } else { None };
            Ok(Offer { class, digest, estimate })
        });
        let sections = sections.collect::<Result<_, DecodeError>>()?;
        Ok(OpenEntry { tag, sections, sparing, partial })
    })?;
    Ok(Message::Open { round, first, more: flags & FLAG_MORE != 0, missing, entries })
}

fn read_version(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    let value = r.u8("protocol version")?;
    if value == VERSION {
        Ok(())
    } else {
        Err(DecodeError::Unknown { reading: "protocol version", value })
    }
}

fn read_estimate(r: &mut Reader<'_>) -> Result<Estimate, DecodeError> {
    Ok(Estimate(r.array("estimate")?))
}

fn read_sums(r: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    list_of(r, SUMS_MAX, "sums", |r| r.u64("sum"))
}

fn read_check(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let round = number(r, "round")?;
    let flags = flags(r, FLAG_FIRST | FLAG_ESTIMATE | FLAG_SUMS | FLAG_FOLLOWS)?;
    let list = if flags & FLAG_FIRST == 0 {
        None
    } else {
        read_version(r)?;
        Some(r.array("list")?)
    };
    let missing = number(r, "missing")?;
    let digest = r.array("digest")?;
    let told = match flags & !FLAG_FIRST {
        0 => Told::Digest,
        FLAG_ESTIMATE => Told::Estimate(read_estimate(r)?),
        FLAG_SUMS => Told::Sums(read_sums(r)?),
        FLAG_FOLLOWS => Told::Follows,
        value => return Err(DecodeError::Unknown { reading: "flags", value }),
    };
    Ok(Message::Check { round, list, missing, digest, told })
}

fn read_meet(r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let round = number(r, "round")?;
    let flags = flags(r, FLAG_FIRST | FLAG_ESTIMATE)?;
    let first = flags & FLAG_FIRST != 0;
    if first {
        read_version(r)?;
    }
    let missing = number(r, "missing")?;
    let spaces = read_sums(r)?;
    let estimated = flags & FLAG_ESTIMATE != 0;
    let estimate = if estimated { Some(read_estimate(r)?) } else { None };
    Ok(Message::Meet { round, first, missing, spaces, estimate, tips: read_sums(r)? })
}

fn read_then(r: &mut Reader<'_>) -> Result<Then, DecodeError> {
    Ok(match r.u8("what follows")? {
        0 => Then::Nothing,
        1 => Then::Repair,
        2 => Then::Tips,
        3 => Then::Unknown,
        4 => Then::Plan,
        value => return Err(DecodeError::Unknown { reading: "what follows", value }),
    })
}

const fn bit(class: SectionClass) -> u8 {
    1 << (class as u8 - 1)
}

fn read_answer(r: &mut Reader<'_>) -> Result<AnswerEntry, DecodeError> {
    let both = r.u8("answer masks")?;
    let (held, kept) = (both >> 4, both & MASK_MAX);
    let both = r.u8("answer masks")?;
    let (sparing, differ) = (both >> 4, both & MASK_MAX);
    let partial = r.u8("partial mask")?;
    if kept & !held != 0 || differ & !held != 0 || (sparing | partial) & !kept != 0 {
        return Err(DecodeError::Rule("an answer about sections that are not held"));
    }
    Ok(AnswerEntry { held, kept, differ, sparing, partial })
}

fn read_body(frame: &Bytes, r: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    Ok(frame.slice_ref(r.bytes(BODY_BYTES_MAX + BODY_SALT_BYTES, "body")?))
}

fn read_section(r: &mut Reader<'_>) -> Result<SectionRef, DecodeError> {
    let entry = number(r, "space number")?;
    let value = r.u8("section class")?;
    let class = CLASSES
        .into_iter()
        .find(|class| *class as u8 == value)
        .ok_or(DecodeError::Unknown { reading: "section class", value })?;
    Ok(SectionRef { entry, class })
}

fn read_group(r: &mut Reader<'_>) -> Result<TipGroup, DecodeError> {
    let section = read_section(r)?;
    let tips = list(r, "tips", read_item)?;
    Ok(TipGroup { section, tips })
}

/// A tip; no chain has more changes than its limit.
fn read_item(r: &mut Reader<'_>) -> Result<Item, DecodeError> {
    let item = Item::from_bytes(r.array("tip")?);
    if item.n() > HEAD_AHEAD_MAX {
        let max = HEAD_AHEAD_MAX;
        return Err(DecodeError::TooLarge { reading: "n", value: item.n(), max });
    }
    Ok(item)
}

fn read_want(r: &mut Reader<'_>) -> Result<WantItem, DecodeError> {
    let form = r.u8("want form")?;
    let (fork, bare) = (form & WANT_FORK != 0, form & WANT_BARE != 0);
    if fork && bare {
        return Err(DecodeError::Unknown { reading: "want form", value: form });
    }
    let name = match form & !(WANT_FORK | WANT_BARE) {
        WANT_LISTED => WantName::Listed(number(r, "tip number")?),
        WANT_FOUND => WantName::Found(read_item(r)?),
        WANT_TAGGED => WantName::Tagged(read_section(r)?, r.array("chain tag")?),
        value => return Err(DecodeError::Unknown { reading: "want form", value }),
    };
    let have = r.varint(HEAD_AHEAD_MAX, "have")?;
    Ok(WantItem { name, have, link: r.array("keyed link")?, fork, bare })
}

fn read_scope(r: &mut Reader<'_>) -> Result<Scope, DecodeError> {
    let kind = match r.u8("scope")? {
        0 => ScopeKind::Round,
        1 => ScopeKind::Answer,
        2 => ScopeKind::Push,
        value => return Err(DecodeError::Unknown { reading: "scope", value }),
    };
    Ok(Scope { kind, id: number(r, "scope number")? })
}

fn read_hash(r: &mut Reader<'_>) -> Result<BlobHash, DecodeError> {
    Ok(BlobHash::from_bytes(r.array("hash")?))
}

fn read_pack(r: &mut Reader<'_>) -> Result<PackRef, DecodeError> {
    let hash = read_hash(r)?;
    Ok(PackRef { hash, size: r.varint(PACK_BYTES_MAX as u64, "pack size")? })
}

fn read_chain(frame: &Bytes, r: &mut Reader<'_>) -> Result<ChainGive, DecodeError> {
    let flags = flags(r, FLAG_DESCRIPTION | FLAG_FORK | FLAG_KNOWN | FLAG_LINKED)?;
    let described = flags & FLAG_DESCRIPTION != 0;
    let head = match flags & !(FLAG_DESCRIPTION | FLAG_FORK) {
        0 => {
            let path = r.u8("path slot")?;
            let description = if described { Some(Description::decode(r)?) } else { None };
            GivenHead::Whole { path, description, head: r.array("head")? }
        }
        form if form & FLAG_KNOWN != 0 && flags & (FLAG_DESCRIPTION | FLAG_FORK) == 0 => {
            GivenHead::Known(KnownHead::read(r, form & FLAG_LINKED != 0)?)
        }
        _ => return Err(DecodeError::Unknown { reading: "flags", value: flags }),
    };
    let parts = list_of(r, PARTS_MAX, "parts", |r| read_part(frame, r))?;
    if let GivenHead::Known(known) = &head
        && !known.is_led_to(&parts)
    {
        return Err(DecodeError::Rule("a head without a link or what leads to it"));
    }
    Ok(ChainGive { head, fork: flags & FLAG_FORK != 0, parts })
}

fn read_done(r: &mut Reader<'_>) -> Result<Done, DecodeError> {
    let scope = read_scope(r)?;
    let flags = flags(r, FLAG_MORE | FLAG_COMMITTED | FLAG_ALL)?;
    Ok(Done {
        scope,
        more: flags & FLAG_MORE != 0,
        committed: flags & FLAG_COMMITTED != 0,
        missing: number(r, "missing")?,
        all: if flags & FLAG_ALL == 0 { None } else { Some(r.array("digest of all")?) },
        sections: list(r, "sections", |r| {
            Ok(SectionDigest { section: read_section(r)?, digest: r.array("digest")? })
        })?,
        causes: list_of(r, CAUSES_MAX, "causes", |r| {
            Ok(ChainCause {
                tag: r.array("chain tag")?,
                from_n: number(r, "n")?,
                reason: Reason::from_code(r.u8("reason")?),
            })
        })?,
        causes_total: number(r, "causes")?,
    })
}
