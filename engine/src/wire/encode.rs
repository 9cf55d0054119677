//! Messages to bytes.

use bytes::Bytes;

use super::message::{
    AnswerEntry, ChainGive, Done, GivenHead, Message, OpenEntry, PackRef, Scope, SectionRef,
    TipGroup, Told, WantItem, WantName,
};
use super::range::write_part;
use super::{FRAME_PREFIX_BYTES, Newest, VERSION};
use crate::codec::Writer;
use crate::sketch::Estimate;

pub(super) const OPEN: u8 = 1;
pub(super) const ANSWER: u8 = 2;
pub(super) const CHECK: u8 = 3;
pub(super) const TOTAL: u8 = 4;
pub(super) const TIPS: u8 = 5;
pub(super) const WANT: u8 = 6;
pub(super) const GIVE: u8 = 7;
pub(super) const WANT_BODIES: u8 = 8;
pub(super) const BODIES: u8 = 9;
pub(super) const END: u8 = 10;
pub(super) const DONE: u8 = 11;
pub(super) const TAKEN: u8 = 12;
pub(super) const AGAIN: u8 = 13;
pub(super) const CLOSE: u8 = 14;
pub(super) const CELLS: u8 = 15;
pub(super) const MORE: u8 = 16;
pub(super) const COMPARED: u8 = 17;
pub(super) const SUMS: u8 = 18;
pub(super) const MEET: u8 = 19;
pub(super) const MET: u8 = 20;
pub(super) const NEWEST: u8 = 21;
pub(super) const INTRODUCE: u8 = 22;
pub(super) const ASK_HOLDS: u8 = 23;
pub(super) const HOLDS: u8 = 24;
pub(super) const PROBE: u8 = 25;
pub(super) const PROBED: u8 = 26;

pub(super) const FLAG_MORE: u8 = 1;
pub(super) const FLAG_FIRST: u8 = 2;
pub(super) const FLAG_ESTIMATE: u8 = 1;
pub(super) const FLAG_SUMS: u8 = 4;
pub(super) const FLAG_FOLLOWS: u8 = 8;
pub(super) const FLAG_COMMITTED: u8 = 2;
pub(super) const FLAG_ALL: u8 = 4;
pub(super) const FLAG_LAST: u8 = 1;
pub(super) const FLAG_HELD: u8 = 1;
pub(super) const FLAG_DESCRIPTION: u8 = 1;
pub(super) const FLAG_FORK: u8 = 2;
pub(super) const FLAG_KNOWN: u8 = 4;
pub(super) const FLAG_LINKED: u8 = 8;
pub(super) const WANT_LISTED: u8 = 0;
pub(super) const WANT_TAGGED: u8 = 1;
pub(super) const WANT_FORK: u8 = 2;
pub(super) const WANT_BARE: u8 = 4;
pub(super) const WANT_FOUND: u8 = 8;

impl Message {
    /// Encodes one frame, length in front. The caller keeps it within
    /// [`crate::limits::MESSAGE_BYTES_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(self.kind());
        self.write(&mut w);
        let body = w.finish();
        let mut frame = Vec::with_capacity(body.len() + FRAME_PREFIX_BYTES);
        frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(&body);
        frame
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Open { .. } => OPEN,
            Self::Answer { .. } => ANSWER,
            Self::Check { .. } => CHECK,
            Self::Meet { .. } => MEET,
            Self::Met { .. } => MET,
            Self::Total { .. } => TOTAL,
            Self::Tips { .. } => TIPS,
            Self::Cells { .. } => CELLS,
            Self::Sums { .. } => SUMS,
            Self::More { .. } => MORE,
            Self::Compared { .. } => COMPARED,
            Self::Want { .. } => WANT,
            Self::Give { .. } => GIVE,
            Self::Newest(_) => NEWEST,
            Self::WantBodies { .. } => WANT_BODIES,
            Self::Bodies { .. } => BODIES,
            Self::End { .. } => END,
            Self::Done(_) => DONE,
            Self::Taken { .. } => TAKEN,
            Self::Introduce { .. } => INTRODUCE,
            Self::AskHolds { .. } => ASK_HOLDS,
            Self::Holds { .. } => HOLDS,
            Self::Probe { .. } => PROBE,
            Self::Probed { .. } => PROBED,
            Self::Again => AGAIN,
            Self::Close { .. } => CLOSE,
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Self::Open { round, first, more, missing, entries } => {
                w.varint(*round).u8(flag(*more, FLAG_MORE) | flag(*first, FLAG_FIRST));
                if *first {
                    w.u8(VERSION);
                }
                w.varint(*missing).varint(entries.len() as u64);
                entries.iter().for_each(|entry| write_open(w, entry));
            }
            Self::Answer { round, more, missing, entries } => {
                w.varint(*round).u8(flag(*more, FLAG_MORE)).varint(*missing);
                w.varint(entries.len() as u64);
                entries.iter().for_each(|entry| write_answer(w, entry));
            }
            Self::Meet { .. }
            | Self::Met { .. }
            | Self::Introduce { .. }
            | Self::AskHolds { .. }
            | Self::Holds { .. }
            | Self::Probe { .. }
            | Self::Probed { .. } => self.write_meeting(w),
            Self::Total { round, missing, then, digest } => {
                w.varint(*round).varint(*missing).u8(*then as u8).raw(digest);
            }
            Self::Check { .. }
            | Self::Tips { .. }
            | Self::Cells { .. }
            | Self::Sums { .. }
            | Self::More { .. }
            | Self::Compared { .. } => self.write_difference(w),
            Self::Want { request, items } => {
                w.varint(*request).varint(items.len() as u64);
                items.iter().for_each(|item| write_want(w, item));
            }
            Self::Give { scope, paths, packs, chains, bodies } => {
                write_scope(w, scope);
                write_give(w, paths, packs, chains, bodies);
            }
            Self::Newest(Newest { excerpts, bodies }) => {
                w.varint(excerpts.len() as u64);
                excerpts.iter().for_each(|excerpt| excerpt.write(w));
                write_bodies(w, bodies);
            }
            Self::WantBodies { request, section, hashes } => {
                w.varint(*request);
                write_section(w, section);
                w.varint(hashes.len() as u64);
                for hash in hashes {
                    w.raw(hash.as_bytes());
                }
            }
            Self::Bodies { scope, inline, packs, absent } => {
                write_scope(w, scope);
                write_bodies(w, inline);
                write_packs(w, packs);
                w.varint(absent.len() as u64);
                for hash in absent {
                    w.raw(hash.as_bytes());
                }
            }
            Self::End { scope } => write_scope(w, scope),
            Self::Done(done) => write_done(w, done),
            Self::Taken { count } => {
                w.varint(*count);
            }
            Self::Again => {}
            Self::Close { code } => {
                w.u8(*code);
            }
        }
    }

    /// Receipts, and looking whether they are true.
    fn write_holding(&self, w: &mut Writer) {
        match self {
            Self::AskHolds { spaces } => {
                w.varint(spaces.len() as u64);
                for space in spaces {
                    w.raw(space);
                }
            }
            Self::Holds { holds } => {
                w.varint(holds.len() as u64);
                for (space, hold) in holds {
                    hold.encode(w.raw(space));
                }
            }
            Self::Probe { number, probe } => probe.encode(w.varint(*number)),
            Self::Probed { number, answer } => {
                w.varint(*number).u8(flag(answer.is_some(), FLAG_HELD));
                if let Some(answer) = answer {
                    w.raw(answer);
                }
            }
            _ => {}
        }
    }

    /// The messages of two who do not know each other's lists.
    fn write_meeting(&self, w: &mut Writer) {
        match self {
            Self::Meet { round, first, missing, spaces, estimate, tips } => {
                w.varint(*round);
                w.u8(flag(*first, FLAG_FIRST) | flag(estimate.is_some(), FLAG_ESTIMATE));
                if *first {
                    w.u8(VERSION);
                }
                w.varint(*missing);
                write_sums(w, spaces);
                if let Some(Estimate(counters)) = estimate {
                    w.raw(counters);
                }
                write_sums(w, tips);
            }
            Self::Met { round, missing, then, digest, answers } => {
                w.varint(*round).varint(*missing).u8(*then as u8).raw(digest);
                w.varint(answers.len() as u64);
                for (place, answer) in answers {
                    w.varint(*place);
                    write_answer(w, answer);
                }
            }
            Self::Introduce { path, spaces } => {
                w.bytes(path).varint(spaces.len() as u64);
                for space in spaces {
                    w.bytes(space);
                }
            }
            _ => self.write_holding(w),
        }
    }

    /// The messages by which tips are told apart.
    fn write_difference(&self, w: &mut Writer) {
        match self {
            Self::Check { round, list, missing, digest, told } => {
                let told_flag = match told {
                    Told::Digest => 0,
                    Told::Estimate(_) => FLAG_ESTIMATE,
                    Told::Sums(_) => FLAG_SUMS,
                    Told::Follows => FLAG_FOLLOWS,
                };
                w.varint(*round).u8(flag(list.is_some(), FLAG_FIRST) | told_flag);
                if let Some(list) = list {
                    w.u8(VERSION).raw(list);
                }
                w.varint(*missing).raw(digest);
                match told {
                    Told::Estimate(Estimate(counters)) => {
                        w.raw(counters);
                    }
                    Told::Sums(sums) => write_sums(w, sums),
                    Told::Digest | Told::Follows => {}
                }
            }
            Self::Tips { round, last, groups } => {
                w.varint(*round).u8(flag(*last, FLAG_LAST)).varint(groups.len() as u64);
                groups.iter().for_each(|group| write_group(w, group));
            }
            Self::Cells { round, last, sections, cells } => {
                w.varint(*round).u8(flag(*last, FLAG_LAST));
                write_sections(w, sections);
                w.varint(cells.len() as u64);
                for cell in cells {
                    w.raw(&cell.to_bytes());
                }
            }
            Self::Sums { round, sections, sums } => {
                w.varint(*round);
                write_sections(w, sections);
                write_sums(w, sums);
            }
            Self::More { round, estimate } => {
                w.varint(*round).u8(flag(estimate.is_some(), FLAG_ESTIMATE));
                if let Some(Estimate(counters)) = estimate {
                    w.raw(counters);
                }
            }
            Self::Compared { round, sections } => {
                w.varint(*round);
                write_sections(w, sections);
            }
            _ => {}
        }
    }
}

impl ChainGive {
    /// Bytes it takes in a message.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut w = Writer::new();
        write_chain(&mut w, self);
        w.len()
    }
}

const fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

fn write_answer(w: &mut Writer, entry: &AnswerEntry) {
    w.u8(entry.held << 4 | entry.kept).u8(entry.sparing << 4 | entry.differ).u8(entry.partial);
}

fn write_open(w: &mut Writer, entry: &OpenEntry) {
    let (mut mask, mut estimated) = (0, 0);
    for offer in &entry.sections {
        mask |= class_bit(offer.class as u8);
        estimated |= flag(offer.estimate.is_some(), class_bit(offer.class as u8));
    }
    w.raw(&entry.tag).u8(entry.sparing << 4 | mask).u8(estimated << 4 | entry.partial);
    for offer in &entry.sections {
        w.raw(&offer.digest);
        if let Some(Estimate(counters)) = &offer.estimate {
            w.raw(counters);
        }
    }
}

const fn class_bit(class: u8) -> u8 {
    1 << (class - 1)
}

fn write_give(
    w: &mut Writer,
    paths: &[(u8, Bytes)],
    packs: &[PackRef],
    chains: &[ChainGive],
    bodies: &[Bytes],
) {
    w.varint(paths.len() as u64);
    for (slot, path) in paths {
        w.u8(*slot).bytes(path);
    }
    write_packs(w, packs);
    w.varint(chains.len() as u64);
    for chain in chains {
        write_chain(w, chain);
    }
    write_bodies(w, bodies);
}

fn write_bodies(w: &mut Writer, bodies: &[Bytes]) {
    w.varint(bodies.len() as u64);
    for body in bodies {
        w.bytes(body);
    }
}

fn write_section(w: &mut Writer, section: &SectionRef) {
    w.varint(section.entry).u8(section.class as u8);
}

fn write_sums(w: &mut Writer, sums: &[u64]) {
    w.varint(sums.len() as u64);
    for sum in sums {
        w.u64(*sum);
    }
}

fn write_sections(w: &mut Writer, sections: &[SectionRef]) {
    w.varint(sections.len() as u64);
    sections.iter().for_each(|section| write_section(w, section));
}

fn write_group(w: &mut Writer, group: &TipGroup) {
    write_section(w, &group.section);
    w.varint(group.tips.len() as u64);
    for tip in &group.tips {
        w.raw(&tip.to_bytes());
    }
}

fn write_want(w: &mut Writer, item: &WantItem) {
    let flags = flag(item.fork, WANT_FORK) | flag(item.bare, WANT_BARE);
    match &item.name {
        WantName::Listed(number) => {
            w.u8(WANT_LISTED | flags).varint(*number);
        }
        WantName::Found(item) => {
            w.u8(WANT_FOUND | flags).raw(&item.to_bytes());
        }
        WantName::Tagged(section, tag) => {
            w.u8(WANT_TAGGED | flags);
            write_section(w, section);
            w.raw(tag);
        }
    }
    w.varint(item.have).raw(&item.link);
}

fn write_scope(w: &mut Writer, scope: &Scope) {
    w.u8(scope.kind as u8).varint(scope.id);
}

fn write_packs(w: &mut Writer, packs: &[PackRef]) {
    w.varint(packs.len() as u64);
    for pack in packs {
        w.raw(pack.hash.as_bytes()).varint(pack.size);
    }
}

fn write_chain(w: &mut Writer, chain: &ChainGive) {
    let fork = flag(chain.fork, FLAG_FORK);
    match &chain.head {
        GivenHead::Whole { path, description, head } => {
            w.u8(flag(description.is_some(), FLAG_DESCRIPTION) | fork).u8(*path);
            if let Some(description) = description {
                w.raw(&description.encode());
            }
            w.raw(head);
        }
        GivenHead::Known(head) => {
            head.write(w.u8(FLAG_KNOWN | flag(head.link.is_none(), FLAG_LINKED) | fork));
        }
    }
    w.varint(chain.parts.len() as u64);
    chain.parts.iter().for_each(|part| write_part(w, part));
}

fn write_done(w: &mut Writer, done: &Done) {
    write_scope(w, &done.scope);
    let flags = flag(done.more, FLAG_MORE) | flag(done.committed, FLAG_COMMITTED);
    w.u8(flags | flag(done.all.is_some(), FLAG_ALL));
    w.varint(done.missing);
    if let Some(all) = &done.all {
        w.raw(all);
    }
    w.varint(done.sections.len() as u64);
    for item in &done.sections {
        write_section(w, &item.section);
        w.raw(&item.digest);
    }
    w.varint(done.causes.len() as u64);
    for cause in &done.causes {
        w.raw(&cause.tag).varint(cause.from_n).u8(cause.reason.code());
    }
    w.varint(done.causes_total);
}
