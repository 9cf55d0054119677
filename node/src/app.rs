//! One opened home: its store, its replica, and what runs on top of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::Router;
use mosaic_engine::entropy::Entropy;
use mosaic_engine::identity::{CertificatePath, DeviceSecret, RecoverySecret};
use mosaic_engine::replica::{Replica, ReplicaOptions};
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use crate::api::types::{ErrorKind, ErrorRecord};
use crate::clock;
use crate::config::{Config, Layers, Settings};
use crate::endpoint::NetOptions;
use crate::entropy::OsEntropy;
use crate::error::NodeError;
use crate::home::{self, Home};
use crate::kept;
use crate::keys::{self, KeyState};
use crate::network::{Network, NetworkLimits};
use crate::serve::NodeInfo;
use crate::unlock::Unlock;
use crate::words::Words;

/// How to open a home.
#[derive(Clone, Debug, Default)]
pub struct AppOptions {
    /// The folder of the identity; made when an identity is.
    pub home: PathBuf,
    /// A folder outside the home that remembers how far its store had come.
    pub state_dir: PathBuf,
    /// Where settings are looked for; without a file it is `config.toml` of the home.
    pub layers: Layers,
    /// Overrides the configuration: leave the loopback interface, find peers by mDNS.
    pub lan: bool,
    /// Overrides the configuration: the one relay to use.
    pub relay: Option<String>,
    /// What opens the keys if they are sealed, and seals those that are made.
    pub unlock: Option<Unlock>,
    /// The commit that the program is built of, where that is known.
    pub commit: Option<&'static str>,
}

/// An opened home. Everything the local API does goes through it.
#[derive(Debug)]
pub struct App {
    options: AppOptions,
    limits: NetworkLimits,
    entropy: Arc<OsEntropy>,
    opened: Mutex<Option<Arc<Opened>>>,
    /// Set once an account is seen in the store.
    identity: OnceLock<()>,
    network: OnceCell<Arc<Network>>,
    node: OnceLock<NodeInfo>,
    news: watch::Sender<u64>,
    stopping: CancellationToken,
    ready: CancellationToken,
    /// One page that was given up for room is here at a time: who reads one has a turn.
    reading: Arc<tokio::sync::Mutex<()>>,
}

/// The store and replica of a home that has a key.
#[derive(Debug)]
struct Opened {
    replica: Arc<Replica>,
    disk: DiskStore,
    warnings: Vec<String>,
    failed: Arc<OnceLock<String>>,
}

impl App {
    /// Opens the home: takes the store's lock, checks it, opens the replica. A home without an
    /// identity is left untouched.
    ///
    /// # Errors
    /// `locked` if another process holds the store, `corrupt`, `denied` for loose file modes,
    /// `wrong_passphrase`.
    pub fn open(options: AppOptions) -> Result<Arc<Self>, ErrorRecord> {
        Self::open_within(options, NetworkLimits::default())
    }

    pub(crate) fn open_within(
        options: AppOptions,
        limits: NetworkLimits,
    ) -> Result<Arc<Self>, ErrorRecord> {
        home::keep_private();
        let app = Self {
            options,
            limits,
            entropy: Arc::new(OsEntropy::open()?),
            opened: Mutex::new(None),
            identity: OnceLock::new(),
            network: OnceCell::new(),
            node: OnceLock::new(),
            news: watch::Sender::new(0),
            stopping: CancellationToken::new(),
            ready: CancellationToken::new(),
            reading: Arc::default(),
        };
        if keys::has_store(&app.options.home)? {
            let home = Home::open_or_create(&app.options.home)?;
            let secret = keys::read(&home, app.unlock())?;
            *app.opened() = Some(app.open_store(&home, secret)?);
        }
        Ok(Arc::new(app))
    }

    /// The local API over this home.
    pub fn router(self: &Arc<Self>) -> Router {
        crate::api::router(self.clone())
    }

    /// The commit that the program is built of.
    pub(crate) const fn commit(&self) -> Option<&'static str> {
        self.options.commit
    }

    /// Ends sessions, makes everything durable and closes the store. Errors are logged: what
    /// was acknowledged is safe already.
    pub async fn close(&self) {
        self.stopping.cancel();
        if let Some(network) = self.network.get() {
            network.close().await;
        }
        let opened = self.opened().take();
        if let Some(opened) = opened {
            let closed = tokio::task::spawn_blocking(move || opened.replica.close()).await;
            if let Ok(Err(error)) = closed {
                tracing::warn!(%error, "the store did not close cleanly");
            }
        }
    }

    /// The replica.
    pub(crate) fn replica(&self) -> Result<Arc<Replica>, ErrorRecord> {
        let opened = self.opened();
        let replica = opened.as_ref().map(|opened| opened.replica.clone());
        drop(opened);
        match replica {
            // once seen it stays; the account stands behind a lock that long work holds
            Some(replica) if self.identity.get().is_some() => Ok(replica),
            Some(replica) if replica.account().is_ok() => {
                let _ = self.identity.set(());
                Ok(replica)
            }
            None if self.identity.get().is_some() => {
                Err(ErrorRecord::new(ErrorKind::NoNode, "the node is stopping"))
            }
            _ => Err(NodeError::NoIdentity { home: self.options.home.clone() }.into()),
        }
    }

    /// The store below the replica.
    pub(crate) fn disk(&self) -> Result<DiskStore, ErrorRecord> {
        let disk = self.opened().as_ref().map(|opened| opened.disk.clone());
        disk.ok_or_else(|| NodeError::NoIdentity { home: self.options.home.clone() }.into())
    }

    /// What the user should know about the state of the store.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let opened = self.opened();
        let Some(opened) = opened.as_ref() else { return Vec::new() };
        let mut warnings = opened.warnings.clone();
        if let Some(why) = opened.failed.get() {
            warnings.push(format!(
                "the store failed ({why}): nothing is saved until the node is stopped and started \
                 again"
            ));
        }
        warnings
    }

    /// Makes the first device of a new account.
    pub(crate) fn create_account(&self, device_name: &str) -> Result<Arc<Replica>, ErrorRecord> {
        let words = Words::generate(&*self.entropy);
        let recovery = words.secret().ok_or_else(|| NodeError::Entropy("weak words".to_owned()))?;
        let home = &self.options.home;
        self.found(|replica, secret| {
            // an account without its words is worse than words without an account
            kept::keep(&Home::open_or_create(home)?, &secret, &words, &*self.entropy)?;
            replica.create_recoverable(secret, device_name, &recovery, clock::now_ms())?;
            Ok(())
        })
    }

    /// The recovery words, if they are still on this device.
    pub(crate) fn kept_words(&self) -> Result<Option<Words>, ErrorRecord> {
        Ok(kept::words(&self.options.home, self.unlock())?)
    }

    /// The keys of this device.
    pub(crate) fn device_secret(&self) -> Result<DeviceSecret, ErrorRecord> {
        let home = Home::open_or_create(&self.options.home)?;
        let no_identity = || NodeError::NoIdentity { home: home.root().to_owned() };
        Ok(keys::read(&home, self.unlock())?.ok_or_else(no_identity)?)
    }

    /// Makes new recovery words, which are kept here until they are shown, and has the account
    /// follow them instead of the old ones.
    pub(crate) fn rotate_words(
        &self,
        replica: &Replica,
        old: &RecoverySecret,
    ) -> Result<(), ErrorRecord> {
        let home = Home::open_or_create(&self.options.home)?;
        let no_identity = || NodeError::NoIdentity { home: home.root().to_owned() };
        let secret = keys::read(&home, self.unlock())?.ok_or_else(no_identity)?;
        let words = Words::generate(&*self.entropy);
        let new = words.secret().ok_or_else(|| NodeError::Entropy("weak words".to_owned()))?;
        kept::keep_next(&home, &secret, &words, &*self.entropy)?;
        let rotated = replica.rotate_recovery(old, &new, clock::now_ms());
        settle_words(&home, &secret, replica)?;
        Ok(rotated?)
    }

    /// Makes the keys of a device that is about to join an account.
    pub(crate) fn new_device(&self) -> Result<DeviceSecret, ErrorRecord> {
        self.check_no_identity()?;
        let home = Home::open_or_create(&self.options.home)?;
        Ok(keys::make(&home, &self.entropy, self.unlock())?)
    }

    /// Seals the keys with another passphrase, or with none; committed when it returns. Returns
    /// whether they were sealed before.
    ///
    /// # Errors
    /// `no_identity`, or the file system refuses; the key file is then as it was.
    pub fn reseal_keys(&self, new: Option<&Unlock>) -> Result<bool, ErrorRecord> {
        self.replica()?;
        let home = Home::open_or_create(&self.options.home)?;
        let no_identity = || NodeError::NoIdentity { home: home.root().to_owned() };
        let secret = keys::read(&home, self.unlock())?.ok_or_else(no_identity)?;
        let sealed = keys::state(home.root())? != KeyState::Clear;
        if sealed || new.is_some() {
            keys::replace(&home.key_file(), &secret, new)?;
        }
        Ok(sealed)
    }

    fn unlock(&self) -> Option<&Unlock> {
        self.options.unlock.as_ref()
    }

    /// Removes the keys of a device that did not come to join an account, and the home if there
    /// was nothing else in it.
    pub(crate) fn forget_device(&self) {
        if self.opened().is_none() {
            let _ = std::fs::remove_file(self.options.home.join("device.key.pending"));
            let _ = std::fs::remove_dir(&self.options.home);
        }
    }

    /// Compares the key file with the keys in force.
    pub(crate) fn check_keys(&self, replica: &Replica) -> Result<(), ErrorRecord> {
        keys::check_file(&Home::open_or_create(&self.options.home)?, replica, self.unlock())
    }

    /// Becomes the device of an account that another device vouched for.
    pub(crate) fn adopt(&self, path: CertificatePath) -> Result<Arc<Replica>, ErrorRecord> {
        self.found(|replica, secret| {
            replica.adopt(secret, path)?;
            Ok(())
        })
    }

    fn found(
        &self,
        begin: impl FnOnce(&Replica, DeviceSecret) -> Result<(), ErrorRecord>,
    ) -> Result<Arc<Replica>, ErrorRecord> {
        let secret = self.new_device()?;
        let mut opened = self.opened();
        let home = Home::open_or_create(&self.options.home)?;
        let this = match opened.take() {
            Some(this) => this,
            None => self.open_store(&home, None)?,
        };
        let begun = begin(&this.replica, secret);
        *opened = Some(this.clone());
        begun?;
        keys::settle(&home)?;
        Ok(this.replica.clone())
    }

    fn check_no_identity(&self) -> Result<(), ErrorRecord> {
        match self.replica() {
            Err(_) => Ok(()),
            Ok(replica) => {
                let account = replica.account()?;
                let message = format!("this home already belongs to account {account}");
                Err(ErrorRecord::new(ErrorKind::Conflict, message)
                    .with_hint("mosaic identity show"))
            }
        }
    }

    fn open_store(
        &self,
        home: &Home,
        secret: Option<DeviceSecret>,
    ) -> Result<Arc<Opened>, ErrorRecord> {
        let options = DiskOptions::new(home.root(), &self.options.state_dir);
        let disk = DiskStore::open(&options)?;
        keys::sweep(home)?;
        let mut warnings = Vec::new();
        let fresh_incarnation = disk.rolled_back.is_some();
        if let Some(why) = &disk.rolled_back {
            warnings.push(format!("this may be an older copy: {why}; a new life begins"));
        }
        let failed = Arc::new(OnceLock::new());
        let noting = failed.clone();
        disk.store.on_failure(move |why| {
            tracing::error!(why, "the store failed: nothing is saved until this node is restarted");
            let _ = noting.set(why.to_owned());
        });
        let entropy: Arc<dyn Entropy> = self.entropy.clone();
        let has_keys = secret.is_some();
        let options = ReplicaOptions { secret, fresh_incarnation };
        let replica = Replica::open(Arc::new(disk.store.clone()), entropy, options)
            .map_err(|error| keys::blame(home, error))?;
        if !has_keys {
            keys::check_owner(home, &replica)?;
        } else if replica.owner()?.is_some() {
            keys::settle(home)?;
            if let (true, Some(secret)) =
                (kept::has_next(home.root()), keys::read(home, self.unlock())?)
            {
                settle_words(home, &secret, &replica)?;
            }
        }
        let replica = Arc::new(replica);
        if fresh_incarnation {
            disk.store.settle()?;
        }
        watch_for_damage(&replica)?;
        // A store that does not take that opens all the same.
        if let Err(error) = replica.expire(clock::now_ms()) {
            tracing::warn!(%error, "texts whose time is over were not dropped");
        }
        let news = self.news.clone();
        replica.listen(Box::new(move |_| news.send_modify(|count| *count = count.wrapping_add(1))));
        Ok(Arc::new(Opened { replica, disk: disk.store, warnings, failed }))
    }

    /// Waits until nobody else reads a page that was given up for room.
    pub(crate) async fn turn_to_read(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.reading.clone().lock_owned().await
    }

    /// The network of this home: the node's if one runs here, else one for as long as this
    /// process lives.
    pub(crate) async fn network(self: &Arc<Self>) -> Result<Arc<Network>, ErrorRecord> {
        let options = self.net_options(Vec::new())?;
        self.start_network(options).await
    }

    pub(crate) async fn start_network(
        self: &Arc<Self>,
        options: NetOptions,
    ) -> Result<Arc<Network>, ErrorRecord> {
        let replica = self.replica()?;
        let home = Home::open_or_create(&self.options.home)?;
        let started = self.network.get_or_try_init(|| async move {
            let no_identity = || NodeError::NoIdentity { home: home.root().to_owned() };
            let secret = keys::read(&home, self.unlock())?.ok_or_else(no_identity)?;
            let entropy: Arc<dyn Entropy> = self.entropy.clone();
            let network = Network::start(&secret, replica, entropy, &options, &self.limits).await?;
            Ok::<_, ErrorRecord>(network)
        });
        started.await.cloned()
    }

    /// The configured options, with `listen` instead of the configured addresses if any.
    pub(crate) fn net_options(
        &self,
        listen: Vec<std::net::SocketAddr>,
    ) -> Result<NetOptions, NodeError> {
        let config = Config::from(&self.load_settings()?).node;
        Ok(NetOptions {
            listen,
            port: 0,
            lan: self.options.lan || config.lan,
            relay: self.options.relay.clone().or(config.relay),
        })
    }

    /// Reads the settings anew.
    pub(crate) fn load_settings(&self) -> Result<Settings, NodeError> {
        let file = self.settings_file();
        Settings::load(&Layers { file, ..self.options.layers.clone() })
    }

    /// The file of the settings.
    pub(crate) fn settings_file(&self) -> PathBuf {
        match self.options.layers.file.as_os_str().is_empty() {
            true => self.options.home.join("config.toml"),
            false => self.options.layers.file.clone(),
        }
    }

    /// The network if there is one already.
    pub(crate) fn running_network(&self) -> Option<Arc<Network>> {
        self.network.get().cloned()
    }

    /// Has open sessions compare again: what is kept here has changed.
    pub(crate) fn kept_changed(&self) {
        if let Some(network) = self.network.get() {
            network.sessions().refresh();
        }
    }

    /// Puts an event of this node into the journal.
    pub(crate) async fn note(&self, event: &'static str) {
        let Ok(replica) = self.replica() else { return };
        let pid = std::process::id().to_string();
        let noting = move || crate::api::note(&replica, event, &[("pid", pid)]);
        let _ = tokio::task::spawn_blocking(noting).await;
    }

    pub(crate) fn entropy(&self) -> &OsEntropy {
        &self.entropy
    }

    /// Waits until [`crate::serve`] answers for this home.
    pub async fn ready(&self) {
        self.ready.cancelled().await;
    }

    pub(crate) fn home(&self) -> &Path {
        &self.options.home
    }

    /// Rises with every commit.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(crate) const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Whether this process serves others through a socket.
    pub(crate) fn is_node(&self) -> bool {
        self.node.get().is_some()
    }

    pub(crate) fn node(&self) -> Option<&NodeInfo> {
        self.node.get()
    }

    pub(crate) fn become_node(&self, info: NodeInfo) -> Result<(), NodeError> {
        self.node.set(info).map_err(|_| NodeError::Running)?;
        self.ready.cancel();
        Ok(())
    }

    fn opened(&self) -> MutexGuard<'_, Option<Arc<Opened>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps those of two sets of words that the account follows.
fn settle_words(home: &Home, secret: &DeviceSecret, replica: &Replica) -> Result<(), ErrorRecord> {
    let authority = replica.authority(&replica.account()?)?;
    if let Some(authority) = authority {
        kept::settle_next(home.root(), secret, &authority.recovery.committed)?;
    }
    Ok(())
}

/// Logs what is damaged now and what turns out to be later.
fn watch_for_damage(replica: &Replica) -> Result<(), ErrorRecord> {
    for hash in replica.damaged_bodies()? {
        tracing::warn!(%hash, "a body was damaged here; it is fetched again from whoever has it");
    }
    replica.listen_damage(Box::new(|hash, why| {
        tracing::warn!(%hash, why, "damaged here; a body is fetched again from whoever has it");
    }));
    Ok(())
}
