//! The messages of a session.

use bytes::Bytes;

use super::{HeadBytes, KnownHead, Newest, Part, Probe, Reason, TaggedHold, head_route};
use crate::chain::ChainKey;
use crate::description::{Description, SectionClass};
use crate::hash::BlobHash;
use crate::sketch::{Cell, Estimate, Item};

/// A keyed name or digest.
pub type Tag = [u8; 16];
/// A keyed digest where a mistake is repaired by a later, longer one.
pub type ShortTag = [u8; 8];

/// A blob that carries many changes or bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackRef {
    /// Hash of the whole pack.
    pub hash: BlobHash,
    /// Bytes of the pack; at most [`crate::limits::PACK_BYTES_MAX`].
    pub size: u64,
}

/// A section on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The class.
    pub class: SectionClass,
    /// Keyed digest of its known heads.
    pub digest: ShortTag,
    /// By which the responder tells how much a sketch of it has to hold; of long lists only.
    pub estimate: Option<Estimate>,
}

/// A space in the opener's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEntry {
    /// Keyed name of the space.
    pub tag: ShortTag,
    /// Its sections on offer, by rising class.
    pub sections: Vec<Offer>,
    /// Those of which the opener keeps a part: heads are welcome, data when asked for.
    /// Bit `class - 1`.
    pub sparing: u8,
    /// Those of which the opener may lack files, or more, by its own choice.
    pub partial: u8,
}

/// What the responder says to one [`OpenEntry`]; bit `class - 1` of each mask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerEntry {
    /// Sections it holds or keeps and will talk about.
    pub held: u8,
    /// Those it keeps: gives to it are welcome.
    pub kept: u8,
    /// Those that differ; their tips follow.
    pub differ: u8,
    /// Those of which it keeps a part, as in [`OpenEntry::sparing`].
    pub sparing: u8,
    /// Those of which it may lack files, as in [`OpenEntry::partial`].
    pub partial: u8,
}

/// Names a section: place of the space in the opener's list, and class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionRef {
    /// Place in the list, from 0.
    pub entry: u64,
    /// The class.
    pub class: SectionClass,
}

/// Tips of one section, or a part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TipGroup {
    /// The section.
    pub section: SectionRef,
    /// The tips; numbered over all groups of a round, in order, from 0.
    pub tips: Vec<Item>,
}

/// Which chain is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantName {
    /// By its number among the tips the other side listed in this round.
    Listed(u64),
    /// As it was found in the other side's sketch of this round.
    Found(Item),
    /// By its keyed name.
    Tagged(SectionRef, Tag),
}

/// A request for the rest of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantItem {
    /// Which.
    pub name: WantName,
    /// Changes already held.
    pub have: u64,
    /// Keyed link after those; zeros if none.
    pub link: ShortTag,
    /// The asker follows another branch, or fears so: the whole branch is wanted.
    pub fork: bool,
    /// Only the head is wanted, not what it covers.
    pub bare: bool,
}

/// Why something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ScopeKind {
    /// In a round, unasked.
    Round = 0,
    /// In answer to a request of the receiver.
    Answer = 1,
    /// News on an idle connection.
    Push = 2,
}

/// What a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Why it is sent.
    pub kind: ScopeKind,
    /// Number of the round, the request or the push.
    pub id: u64,
}

/// The signed head of a chain that is given, not verified.
#[expect(clippy::large_enum_variant, reason = "most are whole; they go with their frame")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenHead {
    /// With all that it takes to verify it.
    Whole {
        /// Slot of the certificate path.
        path: u8,
        /// Present if the receiver showed no tip of the chain.
        description: Option<Description>,
        /// The head.
        head: HeadBytes,
    },
    /// What the receiver does not know of it who showed a tip of the chain in this round.
    Known(KnownHead),
}

/// A chain and its data, or the promise of it in the packs of the same message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainGive {
    /// The signed head.
    pub head: GivenHead,
    /// The sender's whole branch follows, because the receiver has another; never of a
    /// [`GivenHead::Known`].
    pub fork: bool,
    /// Inline data.
    pub parts: Vec<Part>,
}

impl ChainGive {
    /// The chain that a head claims.
    #[must_use]
    pub fn chain_of(head: &HeadBytes) -> Option<ChainKey> {
        head_route(head).ok().map(|route| route.chain)
    }
}

/// Keyed digest of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionDigest {
    /// The section.
    pub section: SectionRef,
    /// The digest.
    pub digest: Tag,
}

/// A chain of which not everything was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainCause {
    /// Keyed name; zeros if the head could not be read.
    pub tag: Tag,
    /// First change not taken.
    pub from_n: u64,
    /// Why.
    pub reason: Reason,
}

/// What a side says when everything it received in a scope is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The round or push.
    pub scope: Scope,
    /// More of the same follows.
    pub more: bool,
    /// Everything accepted is durable.
    pub committed: bool,
    /// Bodies and chains known, wanted and not held, over all common sections.
    pub missing: u64,
    /// Keyed digest afterwards over all sections compared, where everything was taken.
    pub all: Option<ShortTag>,
    /// Digests afterwards of the sections compared, where not, or pushed to.
    pub sections: Vec<SectionDigest>,
    /// What was not taken; at most [`super::CAUSES_MAX`].
    pub causes: Vec<ChainCause>,
    /// How many causes there are, also those not listed.
    pub causes_total: u64,
}

/// What follows from a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Then {
    /// Nothing, or that the opener lists what there is, if the digests differ.
    Nothing = 0,
    /// Though the digests are equal, both look for what they lack.
    Repair = 1,
    /// They differ, and tips follow: sums, cells or lists.
    Tips = 2,
    /// The list that the opener has in mind is not known here (any more).
    Unknown = 3,
    /// They differ, and the responder works out what by the opener's sketch.
    Plan = 4,
}

/// What an opener says of its tips beside their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Digest,
    /// By which the responder tells how much a sketch of its own has to hold.
    Estimate(Estimate),
    /// Its sketch, where few tips differ: sums of their powers.
    Sums(Vec<u64>),
    /// Its sketch or list follows at once: cells or tips.
    Follows,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The opener's spaces and digests.
    Open {
        /// Number of the round, from 1.
        round: u64,
        /// Whether this is the first frame of the session, which names its version.
        first: bool,
        /// More entries follow.
        more: bool,
        /// What the sender lacks, as in [`Done::missing`].
        missing: u64,
        /// The spaces.
        entries: Vec<OpenEntry>,
    },
    /// The responder's view of the opener's list, same order.
    Answer {
        /// The round.
        round: u64,
        /// More entries follow.
        more: bool,
        /// What the sender lacks.
        missing: u64,
        /// One for each entry.
        entries: Vec<AnswerEntry>,
    },
    /// The opener asks whether all common sections are still equal.
    Check {
        /// The round.
        round: u64,
        /// In the first frame of a session: which list of an earlier one still stands.
        list: Option<ShortTag>,
        /// What the sender lacks.
        missing: u64,
        /// Keyed digest over all common sections.
        digest: ShortTag,
        /// What the opener says of its tips of them.
        told: Told,
    },
    /// The opener asks somebody whose list it does not know what differs, of the list and of tips.
    Meet {
        /// The round.
        round: u64,
        /// Whether this is the first frame of the session, which names its version.
        first: bool,
        /// What the sender lacks.
        missing: u64,
        /// Sums of powers of the opener's spaces.
        spaces: Vec<u64>,
        /// By which the responder tells how much a sketch of its tips has to hold; where there
        /// are many.
        estimate: Option<Estimate>,
        /// Sums of powers of the opener's tips; none where there are too many.
        tips: Vec<u64>,
    },
    /// The responder's answer to [`Message::Meet`], where it could read the opener's list.
    Met {
        /// The round.
        round: u64,
        /// What the sender lacks.
        missing: u64,
        /// What follows from it; never [`Then::Unknown`].
        then: Then,
        /// Its keyed digest over all common sections.
        digest: ShortTag,
        /// By place in the opener's list, rising: what it says of spaces that it keeps otherwise
        /// or not at all.
        answers: Vec<(u64, AnswerEntry)>,
    },
    /// The responder's answer to a check.
    Total {
        /// The round.
        round: u64,
        /// What the sender lacks.
        missing: u64,
        /// What follows from it.
        then: Then,
        /// Its keyed digest over all common sections.
        digest: ShortTag,
    },
    /// Cells of a sketch.
    Cells {
        /// The round.
        round: u64,
        /// No more cells or tips follow before they are asked for.
        last: bool,
        /// What the sketch is of, in its first frame: sections, or none for all common ones.
        sections: Vec<SectionRef>,
        /// The next cells.
        cells: Vec<Cell>,
    },
    /// The responder's sketch, where few tips differ: sums of their powers.
    Sums {
        /// The round.
        round: u64,
        /// What the sketch is of, as for [`Message::Cells`]; nothing follows.
        sections: Vec<SectionRef>,
        /// The sums.
        sums: Vec<u64>,
    },
    /// The difference cannot be read from what there is of the other side's sketch.
    More {
        /// The round.
        round: u64,
        /// By which the other side tells how much a sketch has to hold; where it did not know.
        estimate: Option<Estimate>,
    },
    /// Which sections differ, by the side that alone could see it.
    Compared {
        /// The round.
        round: u64,
        /// The sections.
        sections: Vec<SectionRef>,
    },
    /// Tips, as a plain list.
    Tips {
        /// The round.
        round: u64,
        /// No more tips or cells follow.
        last: bool,
        /// The lists.
        groups: Vec<TipGroup>,
    },
    /// A request for chains.
    Want {
        /// Number of the request, the sender's own count.
        request: u64,
        /// What is wanted.
        items: Vec<WantItem>,
    },
    /// Chains.
    Give {
        /// What it belongs to.
        scope: Scope,
        /// Certificate paths for slots, in order of use.
        paths: Vec<(u8, Bytes)>,
        /// Packs that hold data of the chains below.
        packs: Vec<PackRef>,
        /// The chains.
        chains: Vec<ChainGive>,
        /// Bodies that their changes name, so that both are committed together.
        bodies: Vec<Bytes>,
    },
    /// The newest of a space of which much is asked for, before all the rest.
    Newest(Newest),
    /// A request for bodies.
    WantBodies {
        /// Number of the request, the sender's own count.
        request: u64,
        /// The section that wants them.
        section: SectionRef,
        /// Which; at most [`super::WANT_BODIES_MAX`].
        hashes: Vec<BlobHash>,
    },
    /// Bodies.
    Bodies {
        /// What it belongs to.
        scope: Scope,
        /// Inline ones: `salt ‖ bytes` each.
        inline: Vec<Bytes>,
        /// Packs of bodies.
        packs: Vec<PackRef>,
        /// Requested ones that the sender does not hold, or does not show.
        absent: Vec<BlobHash>,
    },
    /// Nothing more follows in this scope.
    End {
        /// The scope.
        scope: Scope,
    },
    /// Everything received in a scope is committed.
    Done(Done),
    /// Messages with packs that the receiver is through with: the sender may send as
    /// many more.
    Taken {
        /// How many.
        count: u64,
    },
    /// Conversations that the sender has and that the receiver may take part in, or carry: of
    /// these alone a list would tell it nothing, as names of spaces cannot be read back.
    Introduce {
        /// The sender's certificate path: whose device tells this.
        path: Bytes,
        /// What each began with; at most [`super::INTRODUCED_MAX`].
        spaces: Vec<Bytes>,
    },
    /// Asks for receipts; at most [`super::HOLDS_MAX`] at once.
    AskHolds {
        /// Keyed names of spaces.
        spaces: Vec<ShortTag>,
    },
    /// Receipts that were asked for, of what the sender holds whole.
    Holds {
        /// With the keyed names of their spaces.
        holds: Vec<TaggedHold>,
    },
    /// Looks whether the other side holds a body, as it said.
    Probe {
        /// Number of the probe, the sender's own count.
        number: u64,
        /// Which part of what.
        probe: Probe,
    },
    /// Answers a probe.
    Probed {
        /// Its number.
        number: u64,
        /// The hash; `None` if the body is not here, or not for the other side.
        answer: Option<[u8; 32]>,
    },
    /// The responder asks for a round.
    Again,
    /// The session ends; the code is for the log.
    Close {
        /// Why.
        code: u8,
    },
}
