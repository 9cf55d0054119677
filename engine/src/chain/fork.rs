//! Proof that a device signed two histories of one chain.

use crate::chain::{ChainError, ChainKey, SignedHead, VerifiedHead, extend};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::Description;
use crate::hash::{ChangeId, Link};
use crate::identity::{VerifiedDevice, Verifier};
use crate::limits::HEAD_AHEAD_MAX;

/// Two heads that cannot both continue one history, not yet checked.
///
/// `a` is the shorter one, or of equal ones the one of the smaller link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkProof {
    /// Head A.
    pub a: SignedHead,
    /// Head B, at least as long.
    pub b: SignedHead,
    /// B's link after as many changes as A has.
    pub branch_link: Link,
    /// Ids of B's changes after that; at most [`HEAD_AHEAD_MAX`].
    pub ids: Vec<ChangeId>,
}

impl ForkProof {
    /// Makes the proof, or says that there is none.
    ///
    /// `ids` are those of the longer head's changes after as many as the shorter has, and
    /// `branch_link` the link before them.
    ///
    /// # Errors
    /// If the heads are of different chains, agree, or the ids do not lead to the longer.
    pub fn make(
        one: &VerifiedHead,
        other: &VerifiedHead,
        branch_link: Link,
        ids: Vec<ChangeId>,
    ) -> Result<VerifiedFork, ChainError> {
        let one_first = (one.n(), one.link()) <= (other.n(), other.link());
        let (a, b) = if one_first { (one, other) } else { (other, one) };
        let proof = Self { a: a.signed().clone(), b: b.signed().clone(), branch_link, ids };
        proof.check(a.clone(), b.clone())
    }

    /// Encodes: `head A 217 ‖ head B 217 ‖ branch link 32 ‖ varint count ‖ ids`.
    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.a.encode()).raw(&self.b.encode()).raw(self.branch_link.as_bytes());
        writer.varint(self.ids.len() as u64);
        for id in &self.ids {
            writer.raw(id.as_bytes());
        }
    }

    /// Reads one proof; nothing is verified.
    ///
    /// # Errors
    /// If malformed, or of more than [`HEAD_AHEAD_MAX`] ids.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let a = SignedHead::decode(reader)?;
        let b = SignedHead::decode(reader)?;
        let branch_link = Link::from_bytes(reader.array("branch link")?);
        let max = usize::try_from(HEAD_AHEAD_MAX).unwrap_or(usize::MAX);
        let count = reader.count(max, "branch ids")?;
        let ids = (0..count)
            .map(|_| Ok(ChangeId::from_bytes(reader.array("branch id")?)))
            .collect::<Result<Vec<_>, DecodeError>>()?;
        Ok(Self { a, b, branch_link, ids })
    }

    /// Checks both signatures, and that the two histories contradict each other.
    ///
    /// # Errors
    /// If a head does not verify, they are of different chains, or they do not contradict.
    pub fn verify(
        &self,
        description: &Description,
        device: &VerifiedDevice,
        verifier: &Verifier,
    ) -> Result<VerifiedFork, ChainError> {
        let a = self.a.verify(description, device, verifier)?;
        let b = self.b.verify(description, device, verifier)?;
        self.clone().check(a, b)
    }

    fn check(self, a: VerifiedHead, b: VerifiedHead) -> Result<VerifiedFork, ChainError> {
        if a.chain() != b.chain() || a.space() != b.space() {
            return Err(ChainError::Document);
        }
        let steps = b.n().checked_sub(a.n()).ok_or(ChainError::NoFork)?;
        if steps != self.ids.len() as u64 {
            return Err(ChainError::Broken);
        }
        if self.branch_link == a.link() || (steps == 0 && a.link() > b.link()) {
            return Err(ChainError::NoFork);
        }
        let end = (a.n() + 1..)
            .zip(&self.ids)
            .fold(self.branch_link, |link, (n, id)| extend(&link, n, id));
        if end != b.link() {
            return Err(ChainError::Broken);
        }
        Ok(VerifiedFork { proof: self, a, b })
    }
}

/// A fork that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedFork {
    proof: ForkProof,
    a: VerifiedHead,
    b: VerifiedHead,
}

impl VerifiedFork {
    /// Returns the proof as it travels.
    #[must_use]
    pub const fn proof(&self) -> &ForkProof {
        &self.proof
    }

    /// Returns the chain that is forked.
    #[must_use]
    pub const fn chain(&self) -> ChainKey {
        self.a.chain()
    }

    /// Returns the shorter head, or of equal ones the one of the smaller link.
    #[must_use]
    pub const fn a(&self) -> &VerifiedHead {
        &self.a
    }

    /// Returns the other head.
    #[must_use]
    pub const fn b(&self) -> &VerifiedHead {
        &self.b
    }
}
