//! The fold over an account log. Each entry is looked at a fixed number of times.

use std::collections::{BTreeMap, BTreeSet};

use super::recovery::{Root, recoveries};
use super::{
    Agreed, Authority, DeviceStanding, LogItem, Prekey, Recovery, ReplyPolicy, Revocation, Subject,
    Tip, Witness,
};
use crate::hash::{AccountId, DeviceId, EpochId, Incarnation};
use crate::identity::{Certificate, CertificatePath, FIRST_DEVICE_RANK, VerifiedDevice};
use crate::limits::{DEVICES_EVER_MAX, PREKEYS_KNOWN_MAX};
use crate::model::entry::Entry;

type Items<'a> = Vec<&'a LogItem>;

/// An item with the time at which it was said: claimed, but never before the one before it
/// in its chain.
type Said<'a> = (u64, &'a LogItem);

pub(super) struct Fold<'a> {
    account: AccountId,
    /// First device and the time of its genesis.
    first: (DeviceId, u64),
    items: &'a [LogItem],
    /// Additions by author, revocations by subject, cuts by author and subject.
    additions: BTreeMap<DeviceId, Items<'a>>,
    revocations: BTreeMap<DeviceId, Items<'a>>,
    cuts: BTreeMap<(DeviceId, DeviceId), Items<'a>>,
    witness: &'a mut dyn Witness,
    agreed: &'a Agreed<'a>,
    recovery: Recovery,
    devices: BTreeMap<DeviceId, DeviceStanding>,
    unsettled: BTreeSet<(u8, DeviceId)>,
    settled: BTreeSet<DeviceId>,
    /// Certificates looked at.
    added: usize,
    /// How often an item was looked at.
    pub(super) visits: usize,
}

impl<'a> Fold<'a> {
    pub(super) fn new(
        first: &VerifiedDevice,
        path: &CertificatePath,
        items: &'a [LogItem],
        witness: &'a mut dyn Witness,
        agreed: &'a Agreed<'a>,
    ) -> Self {
        let (recovery, recovered) = recoveries(&path.genesis, items, witness);
        let genesis = CertificatePath::first(path.genesis.clone());
        let first_root = Root {
            verified: first.clone(),
            path: genesis,
            name: String::new(),
            added_ms: path.genesis.created_ms,
        };
        let mut fold = Self {
            account: first.account(),
            first: (first.device(), path.genesis.created_ms),
            items,
            additions: BTreeMap::new(),
            revocations: BTreeMap::new(),
            cuts: BTreeMap::new(),
            witness,
            agreed,
            recovery,
            devices: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            settled: BTreeSet::new(),
            added: 0,
            visits: items.len(),
        };
        for root in recovered.into_iter().chain([first_root]) {
            fold.begin_with(root);
        }
        fold.sort();
        fold.settle_devices();
        fold
    }

    fn begin_with(&mut self, root: Root) {
        let Root { verified, path, name, added_ms } = root;
        let (rank, device) = (verified.rank(), verified.device());
        let standing = DeviceStanding {
            verified,
            path,
            name,
            added_by: None,
            added_ms,
            suspended: false,
            held_back: None,
            revoked: None,
        };
        // The words of an account may have brought in its first device anew.
        if let std::collections::btree_map::Entry::Vacant(place) = self.devices.entry(device) {
            place.insert(standing);
            self.unsettled.insert((rank, device));
        }
    }

    fn sort(&mut self) {
        for item in self.items {
            self.visits += 1;
            match &item.entry {
                Entry::AddDevice { .. } => {
                    self.additions.entry(item.device).or_default().push(item);
                }
                Entry::Revoke { device, .. } => {
                    self.revocations.entry(*device).or_default().push(item);
                }
                Entry::Cut { device, .. } => {
                    self.cuts.entry((item.device, *device)).or_default().push(item);
                }
                _ => {}
            }
        }
    }

    /// Takes the unsettled device of the highest rank, applies the revocations that bite
    /// it, then lets its own counting entries add devices. Additions are strictly lower.
    fn settle_devices(&mut self) {
        while let Some((rank, device)) = self.unsettled.pop_last() {
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

    fn is_revoked(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_none_or(|standing| standing.revoked.is_some())
    }

    fn revocation_of(&mut self, device: DeviceId, rank: u8) -> Option<Revocation> {
        let mut out: Option<Revocation> = None;
        let items = self.revocations.remove(&device)?;
        for item in items {
            self.visits += 1;
            let Entry::Revoke { reason, .. } = &item.entry else { continue };
            let settled = self.settled.contains(&item.device);
            if !settled || self.rank_of(&item.device) <= rank || !self.counts(item) {
                continue;
            }
            let revocation = out.get_or_insert_with(|| Revocation {
                by: BTreeSet::new(),
                reason: reason.clone(),
                cuts: BTreeMap::new(),
            });
            // Cuts before the revocation count, and later ones that extend them.
            if revocation.by.insert(item.device) {
                self.collect_cuts(item.device, device, &mut revocation.cuts);
            }
        }
        out
    }

    fn collect_cuts(
        &mut self,
        by: DeviceId,
        subject: DeviceId,
        cuts: &mut BTreeMap<(crate::hash::DocumentId, Incarnation), Tip>,
    ) {
        for item in self.cuts.get(&(by, subject)).into_iter().flatten() {
            self.visits += 1;
            let Entry::Cut { tips, .. } = &item.entry else { continue };
            if !self.counts(item) {
                continue;
            }
            for tip in tips.iter().filter(|tip| tip.device == subject) {
                let kept = cuts.entry((tip.doc, tip.incarnation)).or_insert(*tip);
                if (tip.n, tip.link) > (kept.n, kept.link) {
                    *kept = *tip;
                }
            }
        }
    }

    fn add_devices_of(&mut self, author: DeviceId) {
        let Some(issuer) = self.devices.get(&author).cloned() else { return };
        for item in self.additions.remove(&author).unwrap_or_default() {
            self.visits += 1;
            let Entry::AddDevice { certificate, name } = &item.entry else { continue };
            let Ok(certificate) = Certificate::from_bytes(certificate) else { continue };
            if !self.counts(item) || self.devices.contains_key(&certificate.device) {
                continue;
            }
            // Whoever ranks higher has added his before: nobody pushes them out.
            if self.added >= DEVICES_EVER_MAX {
                break;
            }
            self.added += 1;
            let Some(verified) = self.witness.admit(&issuer.verified, &certificate) else {
                continue;
            };
            let standing = DeviceStanding {
                path: issuer.path.clone().with(certificate),
                name: name.clone(),
                added_by: Some(author),
                added_ms: item.time_ms,
                suspended: false,
                held_back: None,
                revoked: None,
                verified,
            };
            let (rank, device) = (standing.verified.rank(), standing.verified.device());
            self.unsettled.insert((rank, device));
            self.devices.insert(device, standing);
        }
    }

    pub(super) fn finish(mut self) -> Authority {
        let mut said: BTreeMap<(DeviceId, Incarnation), u64> = BTreeMap::new();
        let mut counting: Vec<Said<'a>> = Vec::new();
        let mut void = BTreeSet::new();
        for item in self.items {
            self.visits += 1;
            let before = said.entry((item.device, item.incarnation)).or_insert(0);
            *before = item.time_ms.max(*before);
            let time_ms = *before;
            if self.counts(item) {
                counting.push((time_ms, item));
            } else {
                void.insert(item.id);
            }
        }
        // The sort is stable: what one chain said at one time stays in its order.
        counting.sort_by_key(|(said_ms, item)| {
            (!self.is_revoked(&item.device), *said_ms, item.device, item.incarnation)
        });
        self.settle_suspensions(&counting);
        let mut authority = Authority {
            account: self.account,
            policy: ReplyPolicy::Everyone,
            guests: BTreeMap::new(),
            epochs: Vec::new(),
            epoch_authors: BTreeMap::new(),
            prekeys: BTreeMap::new(),
            root_epoch: root_epoch(&counting, self.first),
            recovery: self.recovery.clone(),
            void,
            said_ms: BTreeMap::new(),
            devices: std::mem::take(&mut self.devices),
        };
        for (said_ms, item) in counting {
            self.visits += 1;
            authority.hear(said_ms, item);
        }
        #[cfg(test)]
        super::tests::VISITS.set(self.visits);
        authority
    }

    fn settle_suspensions(&mut self, counting: &[Said<'a>]) {
        // Latest word of each author about each subject.
        let mut words: BTreeMap<DeviceId, BTreeMap<DeviceId, bool>> = BTreeMap::new();
        for (_, item) in counting {
            self.visits += 1;
            let (device, suspend) = match &item.entry {
                Entry::Suspend { device } => (device, true),
                Entry::Restore { device } => (device, false),
                _ => continue,
            };
            // The words outrank all: a stolen device cannot silence whom they brought in.
            let above = |device| self.rank_of(device) > FIRST_DEVICE_RANK;
            let heard = above(&item.device) || !above(device);
            if heard && self.devices.contains_key(device) {
                words.entry(*device).or_default().insert(item.device, suspend);
            }
        }
        for (subject, words) in words {
            self.visits += words.len();
            let restores = words.iter().filter(|(_, suspend)| !**suspend);
            let strongest = restores.map(|(author, _)| self.rank_of(author)).max();
            let prevail: Vec<DeviceId> = words
                .iter()
                .filter(|(_, suspend)| **suspend)
                .map(|(author, _)| *author)
                .filter(|author| strongest.is_none_or(|rank| rank <= self.rank_of(author)))
                .collect();
            let mut back =
                Revocation { by: BTreeSet::new(), reason: String::new(), cuts: BTreeMap::new() };
            for author in &prevail {
                if self.rank_of(author) >= self.rank_of(&subject) {
                    back.by.insert(*author);
                    self.collect_cuts(*author, subject, &mut back.cuts);
                }
            }
            if let Some(standing) = self.devices.get_mut(&subject) {
                standing.suspended = !prevail.is_empty();
                standing.held_back = (!back.by.is_empty()).then_some(back);
            }
        }
    }
}

impl Authority {
    /// Takes in one counting item; they come in the order in which they were said.
    fn hear(&mut self, said_ms: u64, item: &LogItem) {
        let good = self.devices.get(&item.device).is_some_and(|known| known.revoked.is_none());
        if let (Some(subject), true) = (Subject::of(&item.entry), good) {
            self.said_ms.insert(subject, said_ms);
        }
        match &item.entry {
            Entry::RenameDevice { device, name } => {
                if let Some(standing) = self.devices.get_mut(device) {
                    standing.name.clone_from(name);
                }
            }
            Entry::Admit { account } => {
                self.guests.insert(*account, true);
            }
            Entry::Refuse { account } => {
                self.guests.insert(*account, false);
            }
            Entry::Policy { reply } => self.policy = *reply,
            Entry::Epoch { epoch, wraps } => {
                self.epoch_authors.entry(*epoch).or_default().insert(item.device);
                self.epochs.push((*epoch, wraps.clone()));
            }
            // Each device speaks for itself.
            Entry::Prekey { key } => {
                let all = self.prekeys.entry(item.device).or_default();
                all.push(Prekey { key: *key, since_ms: said_ms });
                if all.len() > PREKEYS_KNOWN_MAX {
                    all.remove(0);
                }
            }
            _ => {}
        }
    }
}

/// The first device writes its first epoch at the very time of its genesis.
fn root_epoch(counting: &[Said<'_>], first: (DeviceId, u64)) -> Option<EpochId> {
    let (device, created_ms) = first;
    counting
        .iter()
        .map(|(_, item)| item)
        .filter(|item| item.device == device && item.time_ms == created_ms)
        .filter_map(|item| match &item.entry {
            Entry::Epoch { epoch, .. } => Some((item.n, *epoch)),
            _ => None,
        })
        .min()
        .map(|(_, epoch)| epoch)
}
