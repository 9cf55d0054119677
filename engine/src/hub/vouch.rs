//! Vouching: who wrote an invitation says of joins that they showed its ticket.
//!
//! A join proves that with a signature of the ticket's key. Who wrote the invitation has that key
//! and could sign any proof, so his word is as good as one, and whoever has it checks no signature.
//! It counts whatever he may do in the hub, and whether he is in it or not; but a device that his
//! account cut does not speak for him.
//!
//! Signatures and words depend on no rank and on no order of arrival, so which proofs hold is known
//! before anything is settled.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::table::{AccountIx, OpIx};
use super::verdict::{Verdict, Why};
use super::{Hub, Witness};
use crate::hash::{AccountId, ChangeId, DeviceId};
use crate::model::entry::{HubAction, Rank};

/// What is known of the proofs of joins.
#[derive(Debug, Default)]
pub(super) struct Vouches {
    /// Operations that vouch, by their author and the join that they name, which may not be here.
    words: HashMap<(AccountIx, ChangeId), Vec<OpIx>>,
    /// Joins that carry a proof which their invitation asks for.
    proofs: HashMap<OpIx, Proof>,
    /// Those of which it is to be found out whether their proof holds.
    due: BTreeSet<OpIx>,
}

/// The proof of one join.
#[derive(Debug)]
struct Proof {
    /// The key of the ticket.
    key: DeviceId,
    /// The operation that names the invitation.
    invite: OpIx,
    /// Who wrote the invitation.
    issuer: AccountIx,
    /// He vouches for it.
    vouched: bool,
    /// What came of checking the signature, if that was necessary.
    signed: Option<bool>,
}

impl Proof {
    fn holds(&self) -> bool {
        self.vouched || self.signed == Some(true)
    }
}

impl Hub {
    /// Joins that count by invitations of an account, with proofs that were checked here because
    /// it does not vouch for them; by rising id.
    #[must_use]
    pub fn unvouched(&self, issuer: &AccountId) -> Vec<ChangeId> {
        let Some(issuer) = self.account_of.get(issuer).copied() else { return Vec::new() };
        let counts = |join: OpIx| matches!(self.graph.ops[join].verdict, Verdict::Counts(_));
        let proofs = self.vouches.proofs.iter().filter(|(join, proof)| {
            proof.issuer == issuer && !proof.vouched && proof.holds() && counts(**join)
        });
        let mut joins: Vec<ChangeId> = proofs.map(|(join, _)| self.graph.ops[*join].id).collect();
        joins.sort_unstable();
        joins
    }

    /// Whether a join showed the ticket, if its invitation has one.
    pub(super) fn is_proven(&self, join: OpIx) -> bool {
        self.vouches.proofs.get(&join).is_none_or(Proof::holds)
    }

    /// What is concluded about an operation that vouches for joins: it counts if one of them is by
    /// an invitation of its author, and does nothing for the others.
    pub(super) fn vouch_verdict(&self, op: OpIx, joins: &[ChangeId]) -> Verdict {
        let author = self.graph.ops[op].account;
        match self.issued(author, joins).next() {
            Some(_) => Verdict::Counts(Rank::EVERYONE),
            None => Verdict::Void(Why::NotIssuer),
        }
    }

    /// Those of the joins that are here, by invitations of an account.
    fn issued<'a>(
        &'a self,
        issuer: AccountIx,
        joins: &'a [ChangeId],
    ) -> impl Iterator<Item = OpIx> + 'a {
        let placed = joins.iter().filter_map(|join| self.graph.by_id(join));
        placed.filter(move |join| {
            self.vouches.proofs.get(join).is_some_and(|proof| proof.issuer == issuer)
        })
    }

    /// Notes the proof of a join that was just placed.
    pub(super) fn note_proof(&mut self, join: OpIx, key: DeviceId, invite: OpIx) {
        let issuer = self.graph.ops[invite].account;
        let proof = Proof { key, invite, issuer, vouched: false, signed: None };
        self.vouches.proofs.insert(join, proof);
        self.vouches.due.insert(join);
        // What vouched for nothing until now does.
        let words = self.vouches.words.get(&(issuer, self.graph.ops[join].id));
        for word in words.into_iter().flatten() {
            if !matches!(self.graph.ops[*word].verdict, Verdict::Counts(_)) {
                self.agenda.operation(Rank::OWNER, *word);
            }
        }
    }

    /// Notes for which joins an operation vouches that was just placed.
    pub(super) fn note_vouch(&mut self, op: OpIx, author: AccountIx, joins: &[ChangeId]) {
        for join in joins {
            self.vouches.words.entry((author, *join)).or_default().push(op);
        }
        // Of a device that is cut it says nothing; when that changes it is looked at again.
        if self.device_counts(op) {
            let unproven = |join: &OpIx| self.vouches.proofs.get(join).is_some_and(|p| !p.vouched);
            let here: Vec<OpIx> = self.issued(author, joins).filter(unproven).collect();
            self.vouches.due.extend(here);
        }
    }

    /// Has the joins looked at for which an operation vouches: its device may have been cut.
    pub(super) fn doubt(&mut self, op: OpIx) {
        let row = &self.graph.ops[op];
        let action = row.deed.as_ref().map(|deed| Arc::clone(&deed.action));
        if let Some(HubAction::Vouch { joins }) = action.as_deref() {
            let here: Vec<OpIx> = self.issued(row.account, joins).collect();
            self.vouches.due.extend(here);
        }
    }

    /// Finds out which proofs hold, and has joins weighed of which that is news. A signature is
    /// checked once, and only where nobody vouches.
    pub(super) fn prove(&mut self, witness: &dyn Witness) {
        for join in std::mem::take(&mut self.vouches.due) {
            let Some(proof) = self.vouches.proofs.get(&join) else { continue };
            let words = self.vouches.words.get(&(proof.issuer, self.graph.ops[join].id));
            let vouched = words.into_iter().flatten().any(|word| self.device_counts(*word));
            let signed = match proof.signed {
                None if !vouched => Some(self.is_signed(join, proof, witness)),
                known => known,
            };
            let (held, invite) = (proof.holds(), proof.invite);
            let Some(proof) = self.vouches.proofs.get_mut(&join) else { continue };
            (proof.vouched, proof.signed) = (vouched, signed);
            if proof.holds() != held {
                self.weigh_proven(join, invite, !held);
            }
        }
    }

    /// Weighs a join whose proof holds now, or does not any more, and those that take a place of
    /// the same invitation.
    fn weigh_proven(&mut self, join: OpIx, invite: OpIx, holds: bool) {
        self.weigh_join(join);
        match (self.limited_invitation(join), holds) {
            (None, _) => {}
            (Some(_), true) => self.weigh_rivals(join, invite),
            (Some(_), false) => self.weigh_joins(Some(invite)),
        }
    }

    fn is_signed(&self, join: OpIx, proof: &Proof, witness: &dyn Witness) -> bool {
        let row = &self.graph.ops[join];
        let action = row.deed.as_ref().map(|deed| deed.action.as_ref());
        let (Some(HubAction::Join { proof: Some(signature), .. }), Some(name)) =
            (action, self.accounts[row.account].id)
        else {
            return false;
        };
        let invite = self.graph.ops[proof.invite].id;
        let message = HubAction::join_message(&self.id, &invite, &name);
        witness.invited(&proof.key, &message, signature)
    }
}
