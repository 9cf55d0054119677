//! Entries of an archive, taken in one by one as from a peer.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::chain::SignedHead;
use mosaic_engine::codec::Reader;
use mosaic_engine::description::DocumentKind;
use mosaic_engine::hash::{AccountId, BlobHash, HubId};
use mosaic_engine::identity::{CertificatePath, DeviceSecret, RecoverySecret};
use mosaic_engine::limits::{ATTACHMENT_BYTES_MAX, BODY_SALT_BYTES, PACK_BYTES_MAX};
use mosaic_engine::model::entry::BodyRef;
use mosaic_engine::replica::{EngineError, LeftChain, Replica, ReplicaOptions, Subscription};
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use mosaic_engine::store::{Store, StoreError};
use mosaic_engine::sync::exchange::{Exchange, ExchangeError, Reason, Verdict};
use mosaic_engine::wire::{PATH_BYTES_MAX, Pack, read_bundle};

use super::import::{Imported, Owned};
use super::later::Later;
use super::layout::{
    BODIES, CHAINS, Contents, FILES, FORMAT, FORMAT_BEFORE, Header, KEYS, PATH, RING,
    RING_ROW_BYTES_MAX, WORDS, WORDS_BYTES_MAX,
};
use crate::api::types::{ErrorKind, ErrorRecord};
use crate::clock;
use crate::entropy::OsEntropy;
use crate::tarball::{Entry, Fault};

/// An archive on its way in.
pub(super) struct Taking<'a> {
    options: &'a DiskOptions,
    header: Option<Header>,
    account: Option<AccountId>,
    path: Option<CertificatePath>,
    secret: Option<DeviceSecret>,
    words: Option<Vec<u8>>,
    open: Option<Open>,
    later: Later,
    /// The words of the account, and the name of the device that they bring in.
    recovering: Option<&'a (RecoverySecret, String)>,
    got: Contents,
    settled: bool,
    changes: u64,
    left_out: u64,
    /// Heads of chains that are not kept here.
    unknown: Vec<SignedHead>,
}

/// The replica that it goes into.
struct Open {
    replica: Replica,
    /// Everybody whose documents come is kept while they come.
    kept: BTreeSet<AccountId>,
    /// And each hub in which the account wrote, also one that it has left.
    hubs: BTreeSet<HubId>,
}

impl<'a> Taking<'a> {
    pub(super) fn new(
        options: &'a DiskOptions,
        later: PathBuf,
        recovering: Option<&'a (RecoverySecret, String)>,
    ) -> Self {
        Self {
            options,
            header: None,
            account: None,
            path: None,
            secret: None,
            words: None,
            open: None,
            later: Later::new(later),
            recovering,
            got: Contents::default(),
            settled: false,
            changes: 0,
            left_out: 0,
            unknown: Vec::new(),
        }
    }

    pub(super) const fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Takes the first entry.
    pub(super) fn begin(&mut self, header: Header) -> Result<(), Fault> {
        if ![FORMAT_BEFORE, FORMAT].contains(&header.format) {
            let message = format!(
                "the archive has format {}, this program knows format {FORMAT}: it was made by \
                 mosaic {}",
                header.format,
                header.program.chars().take(40).collect::<String>()
            );
            return Err(ErrorRecord::new(ErrorKind::Error, message)
                .with_hint("mosaic version")
                .into());
        }
        let account = AccountId::parse_hex(&header.account);
        self.account = Some(account.ok_or_else(|| Fault::damaged("it names no account"))?);
        self.header = Some(header);
        Ok(())
    }

    /// Takes one of the others.
    pub(super) fn take(&mut self, entry: &mut Entry<'_>) -> Result<(), Fault> {
        let Some(header) = &self.header else {
            return Err(Fault::Other("it is an archive of something else".to_owned()));
        };
        let before = self.open.is_none();
        match entry.name {
            PATH if before && self.path.is_none() => {
                let bytes = entry.bytes(PATH_BYTES_MAX as u64)?;
                let mut reader = Reader::new(&bytes);
                let path = CertificatePath::decode(&mut reader).map_err(Fault::damaged)?;
                reader.end().map_err(Fault::damaged)?;
                self.path = Some(path);
            }
            KEYS if before && header.keys && self.secret.is_none() => {
                let bytes = zeroize::Zeroizing::new(entry.bytes(DeviceSecret::LEN as u64)?);
                let secret = bytes.as_slice().try_into().ok().and_then(DeviceSecret::from_bytes);
                self.secret = Some(secret.ok_or_else(|| Fault::damaged("its keys are none"))?);
            }
            WORDS if before && header.keys && self.words.is_none() => {
                self.words = Some(entry.bytes(WORDS_BYTES_MAX)?);
            }
            name if name.starts_with(RING) && header.keys && self.got.chains == 0 => {
                self.take_ring(entry)?;
            }
            name if name.starts_with(CHAINS) && !self.settled => self.take_chains(entry)?,
            name if name.starts_with(BODIES) => self.take_bodies(entry)?,
            name if name.starts_with(FILES) => self.take_file(entry)?,
            _ => return Err(entry.unknown()),
        }
        Ok(())
    }

    /// Opens the store, as soon as it is known whose it is.
    fn open(&mut self) -> Result<&mut Open, Fault> {
        if self.open.is_none() {
            let store = DiskStore::open(self.options)?.store;
            self.check_room(&store)?;
            let options = ReplicaOptions { secret: None, fresh_incarnation: false };
            let entropy = Arc::new(OsEntropy::open()?);
            let replica = Replica::open(Arc::new(store), entropy, options)?;
            let path = self.path.clone().ok_or_else(|| Fault::damaged("its path is missing"))?;
            if Some(path.account()) != self.account {
                return Err(Fault::damaged("its path leads to another account"));
            }
            match (&self.secret, self.header.as_ref().is_some_and(|header| header.keys)) {
                (None, true) => return Err(Fault::damaged("its keys are missing")),
                (None, false) => {}
                (Some(secret), _) => {
                    replica.adopt(copy(secret)?, path).map_err(told)?;
                }
            }
            self.open = Some(Open { replica, kept: BTreeSet::new(), hubs: BTreeSet::new() });
        }
        self.open.as_mut().ok_or_else(|| Fault::damaged("it is not open"))
    }

    /// What is said to come has to find room before anything does.
    fn check_room(&self, store: &DiskStore) -> Result<(), Fault> {
        let wanted = self.header.as_ref().map_or(0, |header| header.contents.bytes());
        match store.room() {
            Some(room) if room < wanted => {
                let message = format!("the disk has no room: {wanted} bytes come, {room} are free");
                Err(ErrorRecord::new(ErrorKind::Error, message)
                    .with_hint("mosaic --home FOLDER_ON_ANOTHER_DISK import mosaic FILE")
                    .into())
            }
            _ => Ok(()),
        }
    }

    fn declared(&self) -> Contents {
        self.header.as_ref().map(|header| header.contents).unwrap_or_default()
    }

    /// Takes keys of hubs and conversations: who has those of the device opens with them what it opened.
    fn take_ring(&mut self, entry: &mut Entry<'_>) -> Result<(), Fault> {
        let bytes = Bytes::from(entry.bytes(PACK_BYTES_MAX as u64)?);
        let [name_max, sealed_max] = RING_ROW_BYTES_MAX;
        let (mut reader, mut rows) = (Reader::new(&bytes), Vec::new());
        while !reader.is_empty() {
            let name = reader.bytes(name_max, "name of a key").map_err(Fault::damaged)?;
            let sealed = reader.bytes(sealed_max, "key").map_err(Fault::damaged)?;
            rows.push((bytes.slice_ref(name), bytes.slice_ref(sealed)));
        }
        self.open()?.replica.take_carried_keys(&rows).map_err(told)
    }

    fn take_chains(&mut self, entry: &mut Entry<'_>) -> Result<(), Fault> {
        let bytes = Bytes::from(entry.bytes(PACK_BYTES_MAX as u64)?);
        let chains = read_bundle(&bytes).map_err(Fault::damaged)?;
        // an older head may come before the newest
        self.got.chains += chains.len() as u64;
        if chains.is_empty() || self.got.chains > self.declared().chains.saturating_mul(2) {
            return Err(Fault::damaged("there are more chains than it says"));
        }
        let open = self.open()?;
        let mut new = Vec::new();
        for chain in &chains {
            let description = &chain.description;
            let accounts = [Some(description.account), description.space.account()];
            new.extend(accounts.into_iter().flatten().filter(|one| open.kept.insert(*one)));
            if let Some(hub) = description.space.hub()
                && open.hubs.insert(hub)
            {
                open.replica.serve_hub(&hub, true)?;
            }
        }
        let new: Vec<_> = new.into_iter().map(Subscription::whole).collect();
        open.replica.change_subscriptions(&new, &[])?;
        let receipt = open.replica.take_carried(chains, clock::now_ms())?;
        self.changes += receipt.changes;
        Ok(self.later.add(&receipt.left)?)
    }

    /// Takes what waited for other chains, once all have come.
    fn settle(&mut self) -> Result<(), Fault> {
        if self.settled {
            return Ok(());
        }
        self.settled = true;
        let account = self.account;
        self.open()?;
        let Some(open) = &self.open else { return Ok(()) };
        if let Some(((words, _), account)) = self.recovering.zip(account) {
            // What is private says what else the account keeps: it is opened before that is judged.
            self.changes += self.later.settle(&open.replica, &|_| None)?.changes;
            self.secret = Some(bring_in(&open.replica, words, &account)?);
        }
        let judge = |left: &LeftChain| reason(left, account.as_ref());
        let settled = self.later.settle(&open.replica, &judge)?;
        self.left_out += settled.left;
        self.changes += settled.changes;
        self.unknown = settled.unknown;
        Ok(())
    }

    fn take_bodies(&mut self, entry: &mut Entry<'_>) -> Result<(), Fault> {
        self.settle()?;
        let bytes = Bytes::from(entry.bytes(PACK_BYTES_MAX as u64)?);
        let Pack::Bodies(bodies) = Pack::decode(&bytes).map_err(Fault::damaged)? else {
            return Err(entry.unknown());
        };
        let count = bodies.len() as u64;
        self.got.bodies += count;
        self.got.body_bytes += bodies.iter().map(|body| body.len() as u64).sum::<u64>();
        let declared = self.declared();
        let over = self.got.bodies > declared.bodies || self.got.body_bytes > declared.body_bytes;
        if over || count == 0 {
            return Err(Fault::damaged("there are more texts than it says"));
        }
        let left_out = self.left_out;
        let open = self.open()?;
        let device = open.replica.own_device();
        let receipt = open.replica.receive_bodies(&device, bodies).map_err(store_failed)?;
        if receipt.refused > 0 && left_out == 0 {
            return Err(Fault::Damaged(format!("{} texts that nothing names", receipt.refused)));
        }
        Ok(())
    }

    fn take_file(&mut self, entry: &mut Entry<'_>) -> Result<(), Fault> {
        self.settle()?;
        let hash = entry.name.strip_prefix(FILES).and_then(BlobHash::parse_hex);
        let body = BodyRef { hash: hash.ok_or_else(|| entry.unknown())?, size: entry.size };
        self.got.files += 1;
        self.got.file_bytes = self.got.file_bytes.saturating_add(body.size);
        let declared = self.declared();
        let over = self.got.files > declared.files || self.got.file_bytes > declared.file_bytes;
        if over || body.size > ATTACHMENT_BYTES_MAX.saturating_add(BODY_SALT_BYTES as u64) {
            return Err(Fault::damaged("there are more files than it says"));
        }
        let left_out = self.left_out;
        let open = self.open()?;
        let mut from = Watched { entry, failure: None };
        let taken = open.replica.take_file(&body, &mut from);
        let failure = from.failure.take();
        match (taken, failure) {
            (Ok(true), _) => Ok(()),
            (Ok(false), _) if left_out > 0 => {
                io::copy(entry, &mut io::sink()).map(drop).map_err(Fault::damaged)
            }
            (Ok(false), _) => {
                Err(Fault::Damaged(format!("file {hash} is named by nothing", hash = body.hash)))
            }
            (Err(_), Some(failure)) => Err(Fault::Damaged(failure)),
            (Err(EngineError::Store(StoreError::Refused { .. })), None) => {
                Err(Fault::Damaged(format!("the bytes of file {} are others", body.hash)))
            }
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Compares everything with what was announced, and verifies it once more from the disk.
    pub(super) fn finish(mut self) -> Result<(Imported, Option<Owned>), Fault> {
        self.settle()?;
        let account = self.account.ok_or_else(|| Fault::Other("it is empty".to_owned()))?;
        let Some(Open { replica, kept, hubs, .. }) = self.open.take() else {
            return Err(Fault::damaged("nothing is in it"));
        };
        self.check_announced(&replica, &account)?;
        let kept: Vec<AccountId> = kept.into_iter().collect();
        replica.change_subscriptions(&[], &kept)?;
        for hub in &hubs {
            replica.serve_hub(hub, false)?;
        }
        let secret = self.secret.take();
        if let Some((_, name)) = self.recovering {
            let now_ms = clock::now_ms();
            replica.announce_recovery(name, now_ms)?;
            replica.keep_keys(now_ms)?;
        }
        let report = replica.verify()?;
        if let Some(problem) = report.problems.first() {
            let count = report.problems.len();
            return Err(Fault::Damaged(format!("{count} faults in it, the first: {problem}")));
        }
        let device = secret.as_ref().map(|secret| secret.id().to_string());
        replica.close()?;
        let header = self.header.take().unwrap_or_default();
        let imported = Imported {
            account: header.account,
            device: device.unwrap_or(header.device),
            created_at: header.created_at,
            commit: header.commit,
            keys: header.keys,
            contents: header.contents,
            changes: self.changes,
            left_out: self.left_out,
        };
        let words = self.words.take();
        Ok((imported, secret.map(|secret| Owned { secret, words })))
    }
}

impl Taking<'_> {
    /// Compares what is here with what the header says is in it.
    fn check_announced(&self, replica: &Replica, account: &AccountId) -> Result<(), Fault> {
        let (got, declared) = (self.got, self.declared());
        let same = (got.bodies, got.body_bytes, got.files, got.file_bytes)
            == (declared.bodies, declared.body_bytes, declared.files, declared.file_bytes);
        let documents = replica.account_documents(account)?;
        let digest =
            replica.heads_digest(documents.into_iter().map(|(doc, _)| doc), &self.unknown)?;
        let heads = blake3::Hash::from_bytes(digest).to_hex().to_string();
        let announced = self.header.as_ref().map(|header| header.heads.as_str());
        if same && announced == Some(heads.as_str()) {
            return Ok(());
        }
        Err(Fault::damaged("not everything that it announces is in it"))
    }
}

/// Becomes a new device of the account that the words bring in, and opens what is private with
/// them. The devices of before stay: others may hold what they wrote since.
fn bring_in(
    replica: &Replica,
    words: &RecoverySecret,
    account: &AccountId,
) -> Result<DeviceSecret, Fault> {
    let known = replica.recoverable(&words.policy().id())?;
    let Some(known) = known.filter(|known| known.genesis.account() == *account) else {
        let message = "these words are not those of the account in the archive";
        return Err(ErrorRecord::new(ErrorKind::Denied, message)
            .with_hint("mosaic import mosaic --recover WORDS FILE")
            .into());
    };
    let secret = DeviceSecret::generate(&OsEntropy::open()?);
    let (rank, now_ms) = (known.next_rank(), clock::now_ms());
    let certificate = words.certify(*account, known.rotations, &secret, rank, now_ms);
    let certificate = certificate.map_err(|error| Fault::Damaged(error.to_string()))?;
    replica.adopt(copy(&secret)?, CertificatePath::recovered(known.genesis, certificate))?;
    replica.open_backup(words)?;
    Ok(secret)
}

/// Why a chain that is not here whole should be; `None` if it need not: what a revoked device
/// wrote beyond its cut is void, of others only what this account takes is here, and what it said in a
/// conversation is taken if what is private says that it takes part.
fn reason(left: &LeftChain, account: Option<&AccountId>) -> Option<String> {
    let own = account == Some(&left.chain.description.account);
    let said = left.chain.description.kind == DocumentKind::Conversation;
    let why = match left.verdict {
        Verdict::Refused(Reason::Void) | Verdict::Deferred(Reason::NotHeld) => return None,
        Verdict::Refused(Reason::NotKept) | Verdict::Deferred(Reason::Authority) if said => {
            return None;
        }
        Verdict::Deferred(Reason::Quota | Reason::Authority) if !own => return None,
        Verdict::Refused(reason) | Verdict::Deferred(reason) => reason.name(),
        Verdict::Accepted { .. } => "incomplete",
    };
    Some(format!("a chain of document {}: {why}", left.chain.description.id()))
}

fn copy(secret: &DeviceSecret) -> Result<DeviceSecret, Fault> {
    DeviceSecret::from_bytes(&secret.to_bytes()).ok_or_else(|| Fault::damaged("its keys are none"))
}

fn store_failed(error: ExchangeError) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Error, error.to_string())
}

fn told(error: EngineError) -> Fault {
    match error {
        EngineError::Denied(why) => Fault::Damaged(why),
        error => error.into(),
    }
}

/// Remembers why reading failed.
struct Watched<'a, 'b> {
    entry: &'a mut Entry<'b>,
    failure: Option<String>,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.entry.read(bytes).inspect_err(|error| self.failure = Some(error.to_string()))
    }
}
