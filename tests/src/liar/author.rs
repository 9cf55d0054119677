//! A device without scruples, and the chains that it signs.

use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::chain::{ChainKey, ChainKind, extend};
use mosaic_engine::change::{Actor, log};
use mosaic_engine::codec::Writer;
use mosaic_engine::description::Description;
use mosaic_engine::entropy::{Entropy, random};
use mosaic_engine::hash::{AccountId, ChangeHash, ChangeId, DeviceId, Incarnation, Link, SpaceId};
use mosaic_engine::identity::{CertificatePath, DeviceSecret, Domain, Genesis};
use mosaic_engine::model::entry::Entry;
use mosaic_engine::sync::exchange::Received;
use mosaic_engine::wire::{Changes, Content, HeadBytes, LogItem, Part};

use super::ground::Ground;

/// A device with a valid certificate path that signs whatever it is given.
#[derive(Debug)]
pub struct Author {
    secret: DeviceSecret,
    path: CertificatePath,
    entropy: Arc<dyn Entropy>,
    ground: Ground,
}

impl Author {
    /// Makes the first device of an account of its own.
    #[must_use]
    pub fn stranger(entropy: Arc<dyn Entropy>, now_ms: u64) -> Self {
        let secret = DeviceSecret::generate(&*entropy);
        let genesis = Genesis::create(&secret, [0; 32], now_ms, &*entropy);
        Self { secret, path: CertificatePath::first(genesis), entropy, ground: Ground::Wall }
    }

    /// Takes the keys of a device that somebody enrolled.
    #[must_use]
    pub fn enrolled(
        secret: DeviceSecret,
        path: CertificatePath,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { secret, path, entropy, ground: Ground::Wall }
    }

    /// Lies elsewhere than on the own wall.
    #[must_use]
    pub fn on(self, ground: Ground) -> Self {
        Self { ground, ..self }
    }

    /// Where it lies.
    #[must_use]
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// A page of the device's account where it lies.
    #[must_use]
    pub fn page(&self, page: u64) -> Description {
        self.ground.page(self.account(), page)
    }

    /// An entry of such a page that is as it should be, as far as anybody sees.
    #[must_use]
    pub fn honest(&self) -> Entry {
        self.ground.honest()
    }

    /// The keys.
    #[must_use]
    pub const fn secret(&self) -> &DeviceSecret {
        &self.secret
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.secret.id()
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.path.account()
    }

    /// The certificate path.
    #[must_use]
    pub const fn path(&self) -> &CertificatePath {
        &self.path
    }

    /// The encoded certificate path.
    #[must_use]
    pub fn path_bytes(&self) -> Bytes {
        encode_path(&self.path)
    }

    /// Randomness.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.entropy
    }

    /// Signs a head of any kind, number and link.
    #[must_use]
    pub fn sign(
        &self,
        kind: u8,
        space: &SpaceId,
        key: &ChainKey,
        n: u64,
        link: &Link,
    ) -> HeadBytes {
        let mut w = Writer::new();
        w.u8(kind).raw(space.as_bytes());
        key.encode(&mut w);
        w.u64(n).raw(link.as_bytes());
        let mut signed = w.finish();
        let signature = self.secret.sign(Domain::Head, &signed);
        signed.extend_from_slice(signature.as_bytes());
        head(&signed)
    }

    /// Starts a chain of a new writing life.
    #[must_use]
    pub fn chain(&self, description: &Description) -> Chain {
        let incarnation = Incarnation::from_bytes(random(&*self.entropy));
        let key = ChainKey { doc: description.id(), device: self.device(), incarnation };
        let space = description.space.id();
        Chain {
            kind: ChainKind::of(description.kind) as u8,
            log: description.kind.is_log(),
            description: description.clone(),
            key,
            space,
            link: key.origin(&space),
            n: 0,
            last: None,
            items: Vec::new(),
            raws: Vec::new(),
        }
    }
}

/// Bytes as long as a head as a head.
///
/// # Panics
/// If they are of another length.
#[must_use]
pub fn head(bytes: &[u8]) -> HeadBytes {
    bytes.try_into().expect("a head is 217 bytes")
}

/// Encodes a certificate path.
#[must_use]
pub fn encode_path(path: &CertificatePath) -> Bytes {
    let mut w = Writer::new();
    path.encode(&mut w);
    w.finish().into()
}

/// A chain under construction: what is put into it need not make sense.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Its kind byte.
    pub kind: u8,
    /// Whether its changes travel by their fields.
    pub log: bool,
    /// The document.
    pub description: Description,
    /// Its name.
    pub key: ChainKey,
    /// The space of the document.
    pub space: SpaceId,
    /// Running hash so far.
    pub link: Link,
    /// Changes so far.
    pub n: u64,
    last: Option<ChangeHash>,
    items: Vec<LogItem>,
    raws: Vec<Bytes>,
}

impl Chain {
    /// The chain's actor.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::of(&self.key)
    }

    /// The tag in the keys of its log changes.
    #[must_use]
    pub fn tag(&self) -> u32 {
        log::tag(&self.key.origin(&self.space))
    }

    /// Adds any bytes as the next change.
    pub fn raw(&mut self, bytes: impl Into<Bytes>) -> &mut Self {
        let bytes = bytes.into();
        self.commit(&ChangeId::of(&bytes));
        self.raws.push(bytes);
        self
    }

    /// Adds an entry as the next change, in the one form if the form bears it.
    pub fn entry(&mut self, time_ms: u64, value: impl Into<Bytes>) -> &mut Self {
        let value = value.into();
        let n = self.n + 1;
        let previous = if n == 1 { None } else { self.last };
        let built = log::build(self.actor(), n, previous, self.tag(), time_ms, &value);
        self.last = built.as_ref().ok().map(|built| built.hash);
        let id = built.map_or_else(|_| ChangeId::of(&value), |built| built.id);
        self.commit(&id);
        self.items.push(LogItem { time_ms, value });
        self
    }

    /// Puts bytes under the next link that travel as something else.
    pub fn disguised(&mut self, signed: &[u8], time_ms: u64, value: impl Into<Bytes>) -> &mut Self {
        self.commit(&ChangeId::of(signed));
        self.items.push(LogItem { time_ms, value: value.into() });
        self
    }

    /// The last log change's hash.
    #[must_use]
    pub const fn last(&self) -> Option<ChangeHash> {
        self.last
    }

    /// The valid head of the chain as it is.
    #[must_use]
    pub fn head(&self, author: &Author) -> HeadBytes {
        author.sign(self.kind, &self.space, &self.key, self.n, &self.link)
    }

    /// The data.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        if !self.items.is_empty() {
            let content = Content::Changes(Changes::Log(self.items.clone()));
            parts.push(Part { first_n: 1, content });
        }
        if !self.raws.is_empty() {
            let first_n = 1 + self.items.len() as u64;
            let content = Content::Changes(Changes::Raw(self.raws.clone()));
            parts.push(Part { first_n, content });
        }
        parts
    }

    /// All of it as it is given to somebody who does not know the document.
    #[must_use]
    pub fn offer(&self, author: &Author) -> Received {
        Received {
            path: author.path_bytes(),
            description: Some(self.description.clone()),
            head: self.head(author),
            fork: false,
            parts: self.parts(),
        }
    }

    fn commit(&mut self, id: &ChangeId) {
        self.n += 1;
        self.link = extend(&self.link, self.n, id);
    }
}
