//! Who may write for an account: a pure fold over its log.
//!
//! Devices are settled from the highest rank down. Only a strictly higher rank can add or
//! revoke a device, so when a rank is settled everything that could change it is settled
//! already: no clock, no order of arrival, no tie-break decides. Whatever a revoked
//! device wrote beyond its cut counts for nothing, its own additions and revocations
//! included. Any device may suspend any other.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::{AccountId, ChangeId, DeviceId, DocumentId, EpochId, Incarnation};
use crate::identity::{Certificate, CertificatePath, VerifiedDevice};
use crate::model::entry::{Entry, ReplyPolicy, Tip, Wrap};

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
    /// Who added it; `None` for the first device.
    pub added_by: Option<DeviceId>,
    /// When it was added, as claimed.
    pub added_ms: u64,
    /// May not write until restored.
    pub suspended: bool,
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
    /// The epoch that the account began with; it names private documents.
    pub root_epoch: Option<EpochId>,
    /// Items that count for nothing, by id.
    pub void: BTreeSet<ChangeId>,
}

impl Authority {
    /// Folds an account log. `path` is that of the first device; `admit` verifies a
    /// certificate by its issuer (and may remember that it did).
    #[must_use]
    pub fn fold(
        first: &VerifiedDevice,
        path: &CertificatePath,
        items: &[LogItem],
        admit: &mut Admit<'_>,
        agreed: &Agreed<'_>,
    ) -> Self {
        let mut fold = Fold::new(first, path, items, admit, agreed);
        fold.settle_devices();
        fold.finish()
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
            let revoked = self.devices.get(device).and_then(|known| known.revoked.as_ref());
            let entitled = revoked.is_some_and(|revocation| revocation.by.contains(&item.device));
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

/// Verifies a certificate as issued by the given device; `None` if it does not hold.
pub type Admit<'a> = dyn FnMut(&VerifiedDevice, &Certificate) -> Option<VerifiedDevice> + 'a;

/// How many changes of a chain, as it is followed here, lie on the branch that a cut names
/// and are not beyond it. A number alone would let a revoked device fill in what it likes.
pub type Agreed<'a> = dyn Fn(&Tip) -> u64 + 'a;

struct Fold<'a, 'b> {
    account: AccountId,
    /// First device and the time of its genesis.
    first: (DeviceId, u64),
    items: &'a [LogItem],
    admit: &'a mut Admit<'b>,
    agreed: &'a Agreed<'a>,
    devices: BTreeMap<DeviceId, DeviceStanding>,
    settled: BTreeSet<DeviceId>,
}

impl<'a, 'b> Fold<'a, 'b> {
    fn new(
        first: &VerifiedDevice,
        path: &CertificatePath,
        items: &'a [LogItem],
        admit: &'a mut Admit<'b>,
        agreed: &'a Agreed<'a>,
    ) -> Self {
        let standing = DeviceStanding {
            verified: first.clone(),
            path: CertificatePath::first(path.genesis.clone()),
            name: String::new(),
            added_by: None,
            added_ms: path.genesis.created_ms,
            suspended: false,
            revoked: None,
        };
        let devices = BTreeMap::from([(first.device(), standing)]);
        let first_written = (first.device(), path.genesis.created_ms);
        Self {
            account: first.account(),
            first: first_written,
            items,
            admit,
            agreed,
            devices,
            settled: BTreeSet::new(),
        }
    }

    /// Takes the unsettled device of the highest rank, applies the revocations that bite
    /// it, then lets its own counting entries add devices. Additions are strictly lower.
    fn settle_devices(&mut self) {
        while let Some(next) = self
            .devices
            .values()
            .map(|d| (d.verified.rank(), d.verified.device()))
            .filter(|(_, device)| !self.settled.contains(device))
            .max()
        {
            let (rank, device) = next;
            let revoked = self.revocation_of(device, rank);
            if let Some(standing) = self.devices.get_mut(&device) {
                standing.revoked = revoked;
            }
            self.settled.insert(device);
            self.add_devices_of(device);
        }
    }

    fn counts(&self, item: &LogItem) -> bool {
        let Some(author) = self.devices.get(&item.device) else { return false };
        author.revoked.as_ref().is_none_or(|revocation| {
            let cut = revocation.cuts.get(&(item.doc, item.incarnation));
            cut.is_some_and(|tip| item.n <= (self.agreed)(tip))
        })
    }

    fn rank_of(&self, device: &DeviceId) -> u8 {
        self.devices.get(device).map_or(0, |d| d.verified.rank())
    }

    fn revocation_of(&self, device: DeviceId, rank: u8) -> Option<Revocation> {
        let mut out: Option<Revocation> = None;
        for item in self.items {
            let Entry::Revoke { device: subject, reason } = &item.entry else { continue };
            let settled = self.settled.contains(&item.device);
            if *subject != device || !settled || self.rank_of(&item.device) <= rank {
                continue;
            }
            if !self.counts(item) {
                continue;
            }
            let revocation = out.get_or_insert_with(|| Revocation {
                by: BTreeSet::new(),
                reason: reason.clone(),
                cuts: BTreeMap::new(),
            });
            revocation.by.insert(item.device);
            self.collect_cuts(item.device, device, revocation);
        }
        out
    }

    /// All counting cuts of one revoker: those before its revocation, and later ones that
    /// extend them.
    fn collect_cuts(&self, by: DeviceId, subject: DeviceId, revocation: &mut Revocation) {
        for item in self.items.iter().filter(|item| item.device == by) {
            let Entry::Cut { device, tips } = &item.entry else { continue };
            if *device != subject || !self.counts(item) {
                continue;
            }
            for tip in tips.iter().filter(|tip| tip.device == subject) {
                let kept = revocation.cuts.entry((tip.doc, tip.incarnation)).or_insert(*tip);
                if (tip.n, tip.link) > (kept.n, kept.link) {
                    *kept = *tip;
                }
            }
        }
    }

    fn add_devices_of(&mut self, author: DeviceId) {
        let Some(issuer) = self.devices.get(&author).cloned() else { return };
        let items = self.items;
        for item in items.iter().filter(|item| item.device == author) {
            let Entry::AddDevice { certificate, name } = &item.entry else { continue };
            let Ok(certificate) = Certificate::from_bytes(certificate) else { continue };
            if !self.counts(item) || self.devices.contains_key(&certificate.device) {
                continue;
            }
            let Some(verified) = (self.admit)(&issuer.verified, &certificate) else { continue };
            let standing = DeviceStanding {
                path: issuer.path.clone().with(certificate),
                name: name.clone(),
                added_by: Some(author),
                added_ms: item.time_ms,
                suspended: false,
                revoked: None,
                verified,
            };
            self.devices.insert(standing.verified.device(), standing);
        }
    }

    fn finish(mut self) -> Authority {
        let mut counting: Vec<&LogItem> = Vec::new();
        let mut void = BTreeSet::new();
        for item in self.items {
            if self.counts(item) {
                counting.push(item);
            } else {
                void.insert(item.id);
            }
        }
        counting.sort_by_key(|item| (item.time_ms, item.id));
        self.settle_names_and_suspensions(&counting);
        let mut authority = Authority {
            account: self.account,
            devices: self.devices,
            policy: ReplyPolicy::Everyone,
            guests: BTreeMap::new(),
            epochs: Vec::new(),
            epoch_authors: BTreeMap::new(),
            root_epoch: root_epoch(&counting, self.first),
            void,
        };
        for item in counting {
            match &item.entry {
                Entry::Admit { account } => {
                    authority.guests.insert(*account, true);
                }
                Entry::Refuse { account } => {
                    authority.guests.insert(*account, false);
                }
                Entry::Policy { reply } => authority.policy = *reply,
                Entry::Epoch { epoch, wraps } => {
                    authority.epoch_authors.entry(*epoch).or_default().insert(item.device);
                    authority.epochs.push((*epoch, wraps.clone()));
                }
                _ => {}
            }
        }
        authority
    }

    fn settle_names_and_suspensions(&mut self, counting: &[&LogItem]) {
        // Latest word of each author about each subject, in chain order of that author.
        let mut words: BTreeMap<(DeviceId, DeviceId), (bool, u64)> = BTreeMap::new();
        for item in counting {
            match &item.entry {
                Entry::RenameDevice { device, name } => {
                    if let Some(standing) = self.devices.get_mut(device) {
                        standing.name.clone_from(name);
                    }
                }
                Entry::Suspend { device } => {
                    words.insert((*device, item.device), (true, item.time_ms));
                }
                Entry::Restore { device } => {
                    words.insert((*device, item.device), (false, item.time_ms));
                }
                _ => {}
            }
        }
        let ranks: BTreeMap<DeviceId, u8> =
            self.devices.values().map(|d| (d.verified.device(), d.verified.rank())).collect();
        let rank = |device: &DeviceId| ranks.get(device).copied().unwrap_or(0);
        for standing in self.devices.values_mut() {
            let device = standing.verified.device();
            let about = |wanted: bool| {
                words
                    .iter()
                    .filter(move |((subject, _), (suspend, _))| {
                        *subject == device && *suspend == wanted
                    })
                    .map(|((_, author), _)| *author)
            };
            let strongest_restore = about(false).map(|author| rank(&author)).max();
            standing.suspended = about(true)
                .any(|author| strongest_restore.is_none_or(|restore| restore <= rank(&author)));
        }
    }
}

/// The first device writes its first epoch at the very time of its genesis.
fn root_epoch(counting: &[&LogItem], first: (DeviceId, u64)) -> Option<EpochId> {
    let (device, created_ms) = first;
    counting
        .iter()
        .filter(|item| item.device == device && item.time_ms == created_ms)
        .filter_map(|item| match &item.entry {
            Entry::Epoch { epoch, .. } => Some((item.n, *epoch)),
            _ => None,
        })
        .min()
        .map(|(_, epoch)| epoch)
}
