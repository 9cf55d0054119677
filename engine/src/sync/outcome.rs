//! What a session says about itself: counters and the truth about each section.

use crate::chain::ChainKey;
use crate::hash::DeviceId;
use crate::sync::exchange::{ForkReport, GapReport, Section};
use crate::wire::Reason;

/// Causes kept by name in one outcome; the others are counted.
pub const CAUSES_KEPT_MAX: usize = 256;

/// Bytes and acts of a round or a session, both ways unless named otherwise. Transport
/// overhead (QUIC, the tree of a blob transfer) is not in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times this side asked and waited for the answer.
    pub round_trips: u64,
    /// Frames.
    pub frames: u64,
    /// Bytes of frames without the inline data and bodies in them.
    pub control_bytes: u64,
    /// Bytes of changes inside frames.
    pub inline_bytes: u64,
    /// Bytes of packs of changes.
    pub blob_bytes: u64,
    /// Bytes of bodies: inside frames, and packs of them.
    pub body_bytes: u64,
    /// Changes received that were not held before.
    pub changes: u64,
    /// Changes sent.
    pub changes_sent: u64,
    /// Bodies stored.
    pub bodies: u64,
    /// Ed25519 verifications.
    pub signatures_checked: u64,
}

impl Counters {
    /// Returns the counters of what came after `before`.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            round_trips: self.round_trips - before.round_trips,
            frames: self.frames - before.frames,
            control_bytes: self.control_bytes - before.control_bytes,
            inline_bytes: self.inline_bytes - before.inline_bytes,
            blob_bytes: self.blob_bytes - before.blob_bytes,
            body_bytes: self.body_bytes - before.body_bytes,
            changes: self.changes - before.changes,
            changes_sent: self.changes_sent - before.changes_sent,
            bodies: self.bodies - before.bodies,
            signatures_checked: self.signatures_checked - before.signatures_checked,
        }
    }
}

/// How two replicas stand in one section. About known heads, never about bytes held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionState {
    /// Both know the same heads.
    Equal,
    /// They do not; the causes say what and why.
    Differs,
    /// The round ended before it could be said.
    Failed,
}

/// Where something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// By this replica.
    Here,
    /// By the remote, as it says.
    There,
}

/// What was not taken, from which change on, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// By whom.
    pub side: Side,
    /// The section, if known.
    pub section: Option<Section>,
    /// The chain, if known.
    pub chain: Option<ChainKey>,
    /// First change not taken, from 1.
    pub from_n: u64,
    /// Why.
    pub reason: Reason,
}

/// A section after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionOutcome {
    /// Which.
    pub section: Section,
    /// How it stands.
    pub state: SectionState,
    /// Whether the remote keeps it.
    pub kept_there: bool,
    /// Whether the remote keeps only a part of it, by its own choice: it may know a head of which
    /// it holds nothing.
    pub sparing_there: bool,
    /// Whether the remote may lack files of it, by its own choice.
    pub partial_there: bool,
    /// Bodies wanted here and not held.
    pub missing_bodies: u64,
}

/// A chain of which the remote shows less than it showed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OlderReport {
    /// The section.
    pub section: Section,
    /// The chain.
    pub chain: ChainKey,
    /// What it showed before.
    pub before: u64,
    /// What it shows now; 0 if nothing.
    pub now: u64,
}

/// What ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// A round over all common sections.
    Round,
    /// News sent, and answered.
    Pushed,
    /// News received, and committed.
    Received,
}

/// What a round or a push came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The other side.
    pub remote: DeviceId,
    /// What ended.
    pub kind: OutcomeKind,
    /// Number of the round or push.
    pub number: u64,
    /// Whether it came to its end: then a round's sections are all that both talk about.
    pub complete: bool,
    /// The sections it is about: all common ones, or those pushed to.
    pub sections: Vec<SectionOutcome>,
    /// What was not taken; at most [`CAUSES_KEPT_MAX`].
    pub causes: Vec<Cause>,
    /// All causes, also those not listed.
    pub causes_total: u64,
    /// Chains with two branches.
    pub forks: Vec<ForkReport>,
    /// Chains of which the remote shows less than before.
    pub older: Vec<OlderReport>,
    /// Pages that later pages name but that the remote does not have.
    pub gaps: Vec<GapReport>,
    /// Everything taken here is durable.
    pub durable_here: bool,
    /// The remote says so of itself; `None` where it had no reason to speak.
    pub durable_there: Option<bool>,
    /// Bodies and chains known, wanted and not held here, those of visitors left out.
    pub missing_here: u64,
    /// The same there, as it says.
    pub missing_there: u64,
    /// Bytes and acts of it.
    pub counters: Counters,
}

impl Outcome {
    /// Whether all its sections are equal.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.sections.iter().all(|section| section.state == SectionState::Equal)
    }
}
