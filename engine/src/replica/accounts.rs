//! Accounts as this replica knows them: folding account logs, and the own account's acts.

use std::collections::HashMap;
use std::sync::Arc;

use super::epochs::recipients;
use super::witness::Remembering;
use super::{EngineError, KnownDevice, Own, Replica, State, Work};
use crate::authority::{Authority, LogItem, Subject};
use crate::chain::ChainKey;
use crate::codec::{Reader, Writer};
use crate::description::{Description, DocumentKind, Space};
use crate::entropy::random;
use crate::hash::{AccountId, ChangeId, DeviceId, SealKey};
use crate::identity::{
    Certificate, CertificateOffer, CertificatePath, DeviceSecret, Genesis, RecoverySecret,
};
use crate::limits::{CUT_ITEMS_MAX, DEVICE_NAME_BYTES_MAX};
use crate::model::entry::{Entry, ReplyPolicy, Tip};
use crate::store::{Table, keys};

/// Rank of a linked device unless told otherwise.
pub const LINKED_DEVICE_RANK: u8 = 100;

/// A cut, and the document that it stands in; `None` for the account's log.
pub(super) type PlacedCut = (Option<Arc<Description>>, Entry);

impl Replica {
    /// What an account's log settles, as far as the log is here. `None` if nothing is
    /// known that proves who the account's first device is.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn authority(&self, account: &AccountId) -> Result<Option<Arc<Authority>>, EngineError> {
        self.authority_of(&mut self.lock(), account)
    }

    pub(crate) fn authority_of(
        &self,
        state: &mut State,
        account: &AccountId,
    ) -> Result<Option<Arc<Authority>>, EngineError> {
        if let Some(known) = state.authorities.get(account) {
            return Ok(Some(known.clone()));
        }
        let Some(path) = self.first_path(account)? else { return Ok(None) };
        let first = path.verify(&self.verifier).map_err(EngineError::corrupt)?;
        let items = self.account_log(state, account)?;
        let cuts = items.iter().filter_map(|item| match &item.entry {
            Entry::Cut { tips, .. } => Some(tips.as_slice()),
            _ => None,
        });
        let log = |d: &Description| d.kind == DocumentKind::AccountLog;
        let agreed = self.agreements(state, cuts.flatten(), log)?;
        let agreed = |tip: &Tip| agreed.get(tip).copied().unwrap_or(0);
        let mut witness = Remembering { admitted: &mut state.admitted, verifier: &self.verifier };
        let authority = Authority::fold(&first, &path, &items, &mut witness, &agreed);
        let authority = Arc::new(authority);
        state.authorities.insert(*account, authority.clone());
        Ok(Some(authority))
    }

    pub(super) fn first_path(
        &self,
        account: &AccountId,
    ) -> Result<Option<CertificatePath>, EngineError> {
        let Some(bytes) = self.store.get(Table::Meta, &keys::genesis(account))? else {
            return Ok(None);
        };
        let genesis = Genesis::decode(&mut Reader::new(&bytes)).map_err(EngineError::corrupt)?;
        Ok(Some(CertificatePath::first(genesis)))
    }

    /// All entries of an account's log that are here, by page.
    pub(crate) fn account_log(
        &self,
        state: &mut State,
        account: &AccountId,
    ) -> Result<Vec<LogItem>, EngineError> {
        let mut items = Vec::new();
        let mut pages = self.documents(state, &Space::Account(*account).id())?;
        pages.retain(|(_, description)| description.kind == DocumentKind::AccountLog);
        pages.sort_by_key(|(_, description)| description.page);
        for (doc, _) in pages {
            for (key, chain) in self.chains_of(state, &doc)? {
                items.extend(self.log_items(&key, 1, chain.held)?);
            }
        }
        Ok(items)
    }

    /// Remembers a verified certificate path.
    pub(crate) fn remember_device(&self, state: &mut State, work: &mut Work, known: KnownDevice) {
        let (device, account) = (known.device.device(), known.device.account());
        let mut w = Writer::new();
        known.path.encode(&mut w);
        work.batch.put(Table::Meta, keys::path(&device), w.finish());
        work.batch.put(Table::Meta, keys::genesis(&account), known.path.genesis.encode());
        state.dirty = true;
        state.devices.insert(device, Arc::new(known));
    }

    /// Creates an account whose first device is this one.
    ///
    /// # Errors
    /// If there is an identity already, the name is too long, or the store fails.
    pub fn create_account(
        &self,
        secret: DeviceSecret,
        device_name: &str,
        recovery: [u8; 32],
        now_ms: u64,
    ) -> Result<AccountId, EngineError> {
        self.begin_account(secret, device_name, recovery, None, now_ms)
    }

    /// [`Replica::create_account`] for an account that `words` can recover.
    ///
    /// # Errors
    /// As there.
    pub fn create_recoverable(
        &self,
        secret: DeviceSecret,
        device_name: &str,
        words: &RecoverySecret,
        now_ms: u64,
    ) -> Result<AccountId, EngineError> {
        let recovery = *words.policy().id().as_bytes();
        self.begin_account(secret, device_name, recovery, Some(words), now_ms)
    }

    fn begin_account(
        &self,
        secret: DeviceSecret,
        device_name: &str,
        recovery: [u8; 32],
        words: Option<&RecoverySecret>,
        now_ms: u64,
    ) -> Result<AccountId, EngineError> {
        let mut state = self.lock();
        self.check_unowned()?;
        check_name(device_name)?;
        let genesis = Genesis::create(&secret, recovery, now_ms, &*self.entropy);
        let path = CertificatePath::first(genesis);
        let account = path.account();
        let device = secret.id();
        let mut work = Work::default();
        self.adopt_path(&mut state, &mut work, secret, path)?;
        let log = DocumentKind::AccountLog;
        let name = Entry::RenameDevice { device, name: device_name.to_owned() };
        self.append_to_pages(&mut state, &mut work, log, name, now_ms)?;
        let mut seals = vec![device_seal(&state, &device)?];
        if let Some(words) = words {
            let policy = *words.policy();
            let entry = Entry::Recovery { policy, claim: words.claim(&account) };
            self.append_to_pages(&mut state, &mut work, log, entry, now_ms)?;
            seals.push((policy.recipient(), policy.seal_key));
        }
        self.add_epoch(&mut state, &mut work, &seals, now_ms)?;
        self.finish(state, work)?;
        Ok(account)
    }

    /// A store has one owner for ever, even while his keys are not at hand.
    fn check_unowned(&self) -> Result<(), EngineError> {
        self.owner()?.map_or(Ok(()), |account| Err(EngineError::IdentityExists(account)))
    }

    fn adopt_path(
        &self,
        state: &mut State,
        work: &mut Work,
        secret: DeviceSecret,
        path: CertificatePath,
    ) -> Result<(), EngineError> {
        let verified = path
            .verify(&self.verifier)
            .map_err(|error| EngineError::Denied(format!("certificate path: {error}")))?;
        if verified.device() != secret.id() {
            return Err(EngineError::Denied("the certificate is for another device".into()));
        }
        let account = verified.account();
        let incarnation = crate::hash::Incarnation::from_bytes(random(&*self.entropy));
        work.batch.put(
            Table::Meta,
            keys::setting(super::SETTING_ACCOUNT),
            account.as_bytes().to_vec(),
        );
        work.batch.put(
            Table::Meta,
            keys::setting(super::SETTING_DEVICE),
            secret.id().as_bytes().to_vec(),
        );
        work.batch.put(
            Table::Meta,
            keys::setting(super::SETTING_INCARNATION),
            incarnation.as_bytes().to_vec(),
        );
        self.remember_device(state, work, KnownDevice { device: verified, path });
        state.own = Some(Own { secret, account, incarnation, ring: HashMap::new(), halves: None });
        // What is kept was worked out for nobody.
        (state.kept, state.conversations) = (None, None);
        state.blocked = None;
        Ok(())
    }

    /// Becomes a device of an account that another of its devices certified.
    ///
    /// # Errors
    /// If there is an identity already, the path does not hold, or the store fails.
    pub fn adopt(
        &self,
        secret: DeviceSecret,
        path: CertificatePath,
    ) -> Result<AccountId, EngineError> {
        let mut state = self.lock();
        self.check_unowned()?;
        let account = path.account();
        let mut work = Work::default();
        self.adopt_path(&mut state, &mut work, secret, path)?;
        self.finish(state, work)?;
        Ok(account)
    }

    /// Offers a certificate to a new device; it counts once the device has signed it and
    /// [`Replica::add_device`] was called.
    ///
    /// # Errors
    /// If this device may not write, or the rank is not below its own.
    pub fn offer_device(
        &self,
        device: DeviceId,
        seal_key: SealKey,
        rank: u8,
        now_ms: u64,
    ) -> Result<CertificateOffer, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let this = state.own.as_ref().ok_or(EngineError::NoIdentity)?.device();
        let me = self.known_device(&mut state, &this)?.ok_or(EngineError::NoIdentity)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        CertificateOffer::issue(&me.device, &own.secret, device, seal_key, rank, now_ms)
            .map_err(|error| EngineError::Denied(error.to_string()))
    }

    /// Adds a device that signed its certificate, and seals the private sector's keys to
    /// it. Returns its certificate path.
    ///
    /// # Errors
    /// If the certificate does not hold or the store fails.
    pub fn add_device(
        &self,
        certificate: &Certificate,
        name: &str,
        now_ms: u64,
    ) -> Result<CertificatePath, EngineError> {
        check_name(name)?;
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?.device();
        let me = self.known_device(&mut state, &own)?.ok_or(EngineError::NoIdentity)?;
        let verified = me
            .device
            .admit(certificate, &self.verifier)
            .map_err(|error| EngineError::Denied(error.to_string()))?;
        let path = me.path.clone().with(certificate.clone());
        let mut work = Work::default();
        let seal = (certificate.device, certificate.seal_key);
        self.remember_device(
            &mut state,
            &mut work,
            KnownDevice { device: verified, path: path.clone() },
        );
        let log = DocumentKind::AccountLog;
        let entry = Entry::AddDevice { certificate: certificate.encode(), name: name.to_owned() };
        self.append_to_pages(&mut state, &mut work, log, entry, now_ms)?;
        self.rewrap_epochs(&mut state, &mut work, seal, now_ms)?;
        self.finish(state, work)?;
        Ok(path)
    }

    /// Writes one entry into the own account log.
    fn account_entry(&self, entry: Entry, now_ms: u64) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        if matches!(entry, Entry::Restore { .. }) {
            self.check_not_revoked(&mut state)?;
        } else {
            self.check_writer(&mut state)?;
        }
        let mut now_ms = now_ms;
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        if let Some(subject) = Subject::of(&entry)
            && let Some(authority) = self.authority_of(&mut state, &account)?
            && let Some(said_ms) = authority.said_ms.get(&subject)
        {
            // Another device's clock may be ahead: the later word is the one that holds.
            now_ms = now_ms.max(said_ms.saturating_add(1));
        }
        let mut work = Work::default();
        let log = DocumentKind::AccountLog;
        let id = self.append_to_pages(&mut state, &mut work, log, entry, now_ms)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Gives an own device another name.
    ///
    /// # Errors
    /// If the name is unusable, this device may not write, or the store fails; so below.
    pub fn rename_device(
        &self,
        device: DeviceId,
        name: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        check_name(name)?;
        self.account_entry(Entry::RenameDevice { device, name: name.to_owned() }, now_ms)
    }

    /// Suspends an own device, or restores it. While it is suspended only what is held here
    /// of it is shown, unless it ranks higher.
    ///
    /// # Errors
    /// As [`Replica::rename_device`].
    pub fn suspend_device(
        &self,
        device: DeviceId,
        suspended: bool,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        if !suspended {
            let id = self.account_entry(Entry::Restore { device }, now_ms)?;
            self.settle_withdrawals()?;
            return Ok(id);
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let mut work = Work::default();
        for (description, entry) in self.cuts_for(&mut state, &account, device)? {
            self.append_cut(&mut state, &mut work, description, entry, now_ms)?;
            state = self.commit_large(state, &mut work)?;
        }
        let (log, entry) = (DocumentKind::AccountLog, Entry::Suspend { device });
        let id = self.append_to_pages(&mut state, &mut work, log, entry, now_ms)?;
        self.finish(state, work)?;
        self.settle_withdrawals()?;
        Ok(id)
    }

    /// Admits a guest to the own wall, or refuses one.
    ///
    /// # Errors
    /// As [`Replica::rename_device`].
    pub fn admit_guest(
        &self,
        account: AccountId,
        admitted: bool,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let entry = if admitted { Entry::Admit { account } } else { Entry::Refuse { account } };
        self.account_entry(entry, now_ms)
    }

    /// Says who may reply to the own wall.
    ///
    /// # Errors
    /// As [`Replica::rename_device`].
    pub fn set_reply_policy(
        &self,
        reply: ReplyPolicy,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        self.account_entry(Entry::Policy { reply }, now_ms)
    }

    /// Revokes an own device of lower rank: what is held here of its chains stays, nothing
    /// else of it ever counts. The private sector gets a new key that it cannot open.
    ///
    /// # Errors
    /// If the device is not one of lower rank, or as [`Replica::rename_device`].
    pub fn revoke_device(
        &self,
        device: DeviceId,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_not_revoked(&mut state)?;
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let (account, me) = (own.account, own.device());
        let authority = self
            .authority_of(&mut state, &account)?
            .ok_or_else(|| EngineError::corrupt("own account log is missing"))?;
        let rank = |device: &DeviceId| authority.devices.get(device).map(|d| d.verified.rank());
        match (rank(&me), rank(&device)) {
            (Some(mine), Some(theirs)) if mine > theirs => {}
            (_, None) => {
                return Err(EngineError::NotFound { what: "device", text: device.to_string() });
            }
            _ => return Err(EngineError::Denied("only a device of higher rank can revoke".into())),
        }
        let mut work = Work::default();
        // They come before the revocation, and count only once it stands.
        for (description, entry) in self.cuts_for(&mut state, &account, device)? {
            self.append_cut(&mut state, &mut work, description, entry, now_ms)?;
            state = self.commit_large(state, &mut work)?;
        }
        let entry = Entry::Revoke { device, reason: reason.chars().take(64).collect() };
        let log = DocumentKind::AccountLog;
        let id = self.append_to_pages(&mut state, &mut work, log, entry, now_ms)?;
        let mut seals = recipients(&authority);
        seals.retain(|(recipient, _)| *recipient != device);
        self.add_epoch(&mut state, &mut work, &seals, now_ms)?;
        self.finish(state, work)?;
        self.settle_withdrawals()?;
        Ok(id)
    }

    /// Cuts for every chain of `device` that is held here: in the account log (`None`) for
    /// the own space, in the very document for guest pages in other spaces.
    pub(super) fn cuts_for(
        &self,
        state: &mut State,
        account: &AccountId,
        device: DeviceId,
    ) -> Result<Vec<PlacedCut>, EngineError> {
        let own = Space::Account(*account).id();
        let (mut tips, mut cuts): (Vec<Tip>, Vec<_>) = (Vec::new(), Vec::new());
        let parts = |tips: &[Tip]| -> Vec<Entry> {
            let parts = tips.chunks(CUT_ITEMS_MAX).map(<[Tip]>::to_vec);
            parts.map(|tips| Entry::Cut { device, tips }).collect()
        };
        for space in self.known_spaces()? {
            for (_, description) in self.documents(state, &space)? {
                if description.account != *account {
                    continue;
                }
                let here = self.device_tips(state, &description, &device)?;
                if space == own {
                    tips.extend(here);
                } else {
                    let here = parts(&here).into_iter();
                    cuts.extend(here.map(|entry| (Some(description.clone()), entry)));
                }
            }
        }
        tips.sort_unstable();
        cuts.extend(parts(&tips).into_iter().map(|entry| (None, entry)));
        Ok(cuts)
    }

    pub(super) fn append_cut(
        &self,
        state: &mut State,
        work: &mut Work,
        description: Option<Arc<Description>>,
        cut: Entry,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        match description {
            Some(description) => self.append(state, work, &description, cut, now_ms)?,
            None => self.append_to_pages(state, work, DocumentKind::AccountLog, cut, now_ms)?,
        };
        Ok(())
    }

    /// What counts now of a device's chains in a document: what is held, but of a suspended
    /// device nothing that its suspension holds back.
    fn device_tips(
        &self,
        state: &mut State,
        description: &Arc<Description>,
        device: &DeviceId,
    ) -> Result<Vec<Tip>, EngineError> {
        let mut tips = Vec::new();
        for (key, chain) in self.chains_of(state, &description.id())? {
            if key.device != *device || chain.held == 0 {
                continue;
            }
            let shown = match description.kind {
                DocumentKind::AccountLog => None,
                _ => self.held_back_from(state, description, &key)?,
            };
            match shown {
                Some(0) => {}
                Some(n) if n < chain.held => {
                    tips.push(tip(&key, n, self.link_at(description, &key, n)?));
                }
                _ => tips.push(tip(&key, chain.held, chain.link)),
            }
        }
        tips.sort_unstable();
        Ok(tips)
    }

    /// Refuses to write where nobody would count it.
    pub(crate) fn check_writer(&self, state: &mut State) -> Result<(), EngineError> {
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let (account, device) = (own.account, own.device());
        let Some(authority) = self.authority_of(state, &account)? else { return Ok(()) };
        if authority.recovery.frozen {
            return Err(EngineError::Frozen(account));
        }
        match authority.devices.get(&device) {
            Some(standing) if standing.revoked.is_some() => Err(EngineError::Revoked(device)),
            Some(standing) if standing.suspended => Err(EngineError::Suspended(device)),
            _ => Ok(()),
        }
    }

    /// As [`Replica::check_writer`] for restoring and revoking: a stolen phone may suspend
    /// every other device, so a suspended one can still answer; ranks decide who prevails.
    pub(super) fn check_not_revoked(&self, state: &mut State) -> Result<(), EngineError> {
        match self.check_writer(state) {
            Err(EngineError::Suspended(_)) => Ok(()),
            other => other,
        }
    }
}

fn device_seal(state: &State, device: &DeviceId) -> Result<(DeviceId, SealKey), EngineError> {
    let known = state.devices.get(device).ok_or(EngineError::NoIdentity)?;
    Ok((*device, known.device.seal_key()))
}

pub(super) fn check_name(name: &str) -> Result<(), EngineError> {
    if name.is_empty() || name.len() > DEVICE_NAME_BYTES_MAX {
        return Err(EngineError::Invalid(format!(
            "device name of {} bytes, must be 1 to {DEVICE_NAME_BYTES_MAX}",
            name.len()
        )));
    }
    Ok(())
}

/// The version of a chain after `n` changes.
pub(crate) const fn tip(key: &ChainKey, n: u64, link: crate::hash::Link) -> Tip {
    Tip { doc: key.doc, device: key.device, incarnation: key.incarnation, n, link }
}
