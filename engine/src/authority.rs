//! Who may write for an account: a pure fold over its log.
//!
//! Devices are settled from the highest rank down. Only a strictly higher rank can add or
//! revoke a device, so when a rank is settled everything that could change it is settled
//! already: no clock, no order of arrival, no tie-break decides. Whatever a revoked
//! device wrote beyond its cut counts for nothing, its own additions and revocations
//! included. Any device may suspend any other of the same descent.
//!
//! Devices that the account's words brought in rank above all others. Words that give way to
//! others say which devices they had brought in: if they brought in another one, or gave way
//! to two different successors, the account is frozen at what both agree on.
//!
//! Of words that replace one another the latest holds: those of one device in the order of
//! its chains, others by claimed time. A device that was revoked since has no word where
//! one in good standing has spoken.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::{
    AccountId, ChangeId, DeviceId, DocumentId, EpochId, Incarnation, PolicyId, SealKey,
};
use crate::identity::{
    Certificate, CertificatePath, Genesis, RecoveryCertificate, RecoveryPolicy, Rotation,
    VerifiedDevice,
};
use crate::model::entry::{Entry, ReplyPolicy, Tip, Wrap};

mod fold;
mod recovery;

/// One entry of an account log with the place where it stands.
#[derive(Debug, Clone)]
pub struct LogItem {
    /// Id of the change.
    pub id: ChangeId,
    /// The page.
    pub doc: DocumentId,
    /// The writing device.
    pub device: DeviceId,
    /// Its writing life.
    pub incarnation: Incarnation,
    /// Position in the chain.
    pub n: u64,
    /// Claimed time.
    pub time_ms: u64,
    /// The entry.
    pub entry: Entry,
}

/// A revocation and what stays of the device's chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Devices that revoked it.
    pub by: BTreeSet<DeviceId>,
    /// Why, as the first of them said.
    pub reason: String,
    /// Versions up to which chains in the account's space stay; others are void.
    pub cuts: BTreeMap<(DocumentId, Incarnation), Tip>,
}

impl Revocation {
    /// The version up to which one chain of the device stays, by the account's log and by
    /// the cuts that stand in the document itself.
    #[must_use]
    pub fn cut(
        &self,
        doc: &DocumentId,
        device: &DeviceId,
        incarnation: &Incarnation,
        own_cuts: &[Tip],
    ) -> Option<Tip> {
        let in_doc = own_cuts.iter().filter(|tip| {
            tip.doc == *doc && tip.device == *device && tip.incarnation == *incarnation
        });
        let in_log = self.cuts.get(&(*doc, *incarnation));
        in_doc.chain(in_log).max_by_key(|tip| (tip.n, tip.link)).copied()
    }
}

/// What is settled about one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStanding {
    /// The device: its keys and its rank. A device acts on strictly lower ranks.
    pub verified: VerifiedDevice,
    /// The certificates that prove it.
    pub path: CertificatePath,
    /// Latest name.
    pub name: String,
    /// Who added it; `None` for the first device and for those that words brought in.
    pub added_by: Option<DeviceId>,
    /// When it was added, as claimed.
    pub added_ms: u64,
    /// May not write until restored.
    pub suspended: bool,
    /// Who holds back what it wrote since, and the cuts that say so: those of at least its
    /// rank who suspended it. Nothing is destroyed.
    pub held_back: Option<Revocation>,
    /// May never write again.
    pub revoked: Option<Revocation>,
}

/// Everything an account log settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The account.
    pub account: AccountId,
    /// Devices that were validly added, revoked ones included.
    pub devices: BTreeMap<DeviceId, DeviceStanding>,
    /// Who may reply.
    pub policy: ReplyPolicy,
    /// Latest word on each guest: admitted or refused.
    pub guests: BTreeMap<AccountId, bool>,
    /// Epoch keys of the private sector, oldest first, with their sealed copies.
    pub epochs: Vec<(EpochId, Vec<Wrap>)>,
    /// Devices that wrote of an epoch: they hold its key, whoever it is sealed to.
    pub epoch_authors: BTreeMap<EpochId, BTreeSet<DeviceId>>,
    /// Prekeys of each device in the order in which it said them, the last of which is in force.
    pub prekeys: BTreeMap<DeviceId, Vec<Prekey>>,
    /// The epoch that the account began with; it names private documents.
    pub root_epoch: Option<EpochId>,
    /// What the words of the account may do.
    pub recovery: Recovery,
    /// Items that count for nothing, by id.
    pub void: BTreeSet<ChangeId>,
    /// When the word that holds was said, as far as devices in good standing said it.
    pub said_ms: BTreeMap<Subject, u64>,
}

/// A key to which a device is sealed, in the place of the one that its certificate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prekey {
    /// The public half.
    pub key: SealKey,
    /// When it was said, as claimed.
    pub since_ms: u64,
}

/// How an account can be recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The policy in force: that of the genesis, or of the words that took its place.
    pub committed: PolicyId,
    /// The policy itself, if the log shows it; an account that began without words has none.
    pub policy: Option<RecoveryPolicy>,
    /// From the policy of the genesis to the one in force.
    pub rotations: Vec<Rotation>,
    /// The certificate of the highest device brought in by the words in force.
    pub highest: Option<RecoveryCertificate>,
    /// Different words spoke for the account, and nobody can tell whose hold: what was agreed
    /// before stays, and nothing new is taken.
    pub frozen: bool,
}

/// What only the latest word counts about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Who may reply.
    Policy,
    /// Whether a guest is admitted.
    Guest(AccountId),
    /// What a device is called.
    Name(DeviceId),
}

impl Subject {
    /// What an entry is a word about.
    #[must_use]
    pub const fn of(entry: &Entry) -> Option<Self> {
        match entry {
            Entry::Policy { .. } => Some(Self::Policy),
            Entry::Admit { account } | Entry::Refuse { account } => Some(Self::Guest(*account)),
            Entry::RenameDevice { device, .. } => Some(Self::Name(*device)),
            _ => None,
        }
    }
}

impl Authority {
    /// Folds an account log. `path` is that of the first device; `items` come in the order
    /// of pages, each chain in its own order; `witness` checks signatures.
    #[must_use]
    pub fn fold(
        first: &VerifiedDevice,
        path: &CertificatePath,
        items: &[LogItem],
        witness: &mut dyn Witness,
        agreed: &Agreed<'_>,
    ) -> Self {
        fold::Fold::new(first, path, items, witness, agreed).finish()
    }

    /// Cuts that count among the [`Entry::Cut`]s that the account wrote into one of its
    /// documents: those of devices that revoked the subject, as far as their own writing
    /// there counts. Nobody cuts for himself.
    #[must_use]
    pub fn counting_cuts(&self, mut items: Vec<LogItem>, agreed: &Agreed<'_>) -> Vec<Tip> {
        let rank = |device: &DeviceId| self.devices.get(device).map_or(0, |d| d.verified.rank());
        // Who revokes is of higher rank, so what cuts an author is known before him.
        items.sort_by_key(|item| std::cmp::Reverse(rank(&item.device)));
        let mut cuts: Vec<Tip> = Vec::new();
        for item in &items {
            let Entry::Cut { device, tips } = &item.entry else { continue };
            let subject = self.devices.get(device);
            let judged =
                subject.and_then(|known| known.revoked.as_ref().or(known.held_back.as_ref()));
            let entitled = judged.is_some_and(|judged| judged.by.contains(&item.device));
            let author = self.devices.get(&item.device).map(|known| known.revoked.as_ref());
            let counts = match author {
                None => false,
                Some(None) => true,
                Some(Some(revocation)) => revocation
                    .cut(&item.doc, &item.device, &item.incarnation, &cuts)
                    .is_some_and(|cut| item.n <= agreed(&cut)),
            };
            if entitled && counts {
                let about = |tip: &&Tip| tip.device == *device && tip.doc == item.doc;
                cuts.extend(tips.iter().filter(about).copied());
            }
        }
        cuts
    }

    /// Devices not revoked that a device brought in, or that those brought in: to revoke it
    /// does not revoke them.
    #[must_use]
    pub fn brought_in(&self, device: &DeviceId) -> Vec<DeviceId> {
        let mut by: BTreeMap<DeviceId, Vec<&DeviceStanding>> = BTreeMap::new();
        for standing in self.devices.values() {
            if let Some(issuer) = standing.added_by {
                by.entry(issuer).or_default().push(standing);
            }
        }
        let (mut found, mut waiting) = (Vec::new(), vec![*device]);
        while let Some(issuer) = waiting.pop() {
            for standing in by.remove(&issuer).unwrap_or_default() {
                waiting.push(standing.verified.device());
                if standing.revoked.is_none() {
                    found.push(standing.verified.device());
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// Whether the device may write now.
    #[must_use]
    pub fn may_write(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|d| d.revoked.is_none() && !d.suspended)
    }

    /// Whether a guest's entries are shown under the reply policy.
    #[must_use]
    pub fn admits(&self, guest: &AccountId) -> bool {
        if *guest == self.account {
            return true;
        }
        match (self.guests.get(guest), self.policy) {
            (Some(false), _) | (_, ReplyPolicy::Nobody) => false,
            (Some(true), _) | (None, ReplyPolicy::Everyone) => true,
            (None, ReplyPolicy::Admitted) => false,
        }
    }

    /// Whether the guest's documents belong to the wall itself.
    #[must_use]
    pub fn is_admitted(&self, guest: &AccountId) -> bool {
        *guest == self.account || self.guests.get(guest) == Some(&true)
    }
}

/// Checks the signatures that a log carries, and may remember that it did.
pub trait Witness {
    /// Verifies a certificate as issued by the given device; `None` if it does not hold.
    fn admit(&mut self, issuer: &VerifiedDevice, new: &Certificate) -> Option<VerifiedDevice>;

    /// Verifies a certificate by words; `None` if it does not hold.
    fn recover(&mut self, genesis: &Genesis, new: &RecoveryCertificate) -> Option<VerifiedDevice>;

    /// Whether the words of a rotation's policy signed it for the account.
    fn rotates(&mut self, account: &AccountId, rotation: &Rotation) -> bool;
}

/// How many changes of a chain, as it is followed here, lie on the branch that a cut names
/// and are not beyond it. A number alone would let a revoked device fill in what it likes.
pub type Agreed<'a> = dyn Fn(&Tip) -> u64 + 'a;

#[cfg(test)]
mod tests;
