//! A session of a lying hub over a real connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use iroh::protocol::{AcceptError, ProtocolHandler};
use mosaic_engine::hash::{BlobHash, DeviceId};
use mosaic_engine::sync::exchange::{Exchange, PackRef};
use mosaic_engine::sync::outcome::Outcome;
use mosaic_engine::sync::{Input, Options, Output, Role, Session};
use mosaic_engine::wire::{FRAME_PREFIX_BYTES, frame_length};
use mosaic_node::blobs::{BlobSource, FetchCaps, OpenBlob, Want, fetch_many};
use tokio::sync::mpsc;

use super::hub::Hub;

/// Serves what a hub wants its packs and bodies to be.
#[derive(Debug, Clone)]
pub struct Source(pub Arc<Hub>);

impl BlobSource for Source {
    fn open(&self, remote: DeviceId, hash: &BlobHash) -> io::Result<Option<OpenBlob>> {
        Ok(self.0.blob(&remote, hash).map(OpenBlob::Memory))
    }

    fn read(&self, _hash: &BlobHash, _offset: u64, _length: usize) -> io::Result<Bytes> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn damaged(&self, _hash: &BlobHash) {}
}

/// Answers sessions as the hub.
#[derive(Debug, Clone)]
pub struct HubProtocol {
    /// The hub.
    pub hub: Arc<Hub>,
    /// Where outcomes go.
    pub outcomes: mpsc::UnboundedSender<Outcome>,
    /// Opens connections for blobs to where a session leads.
    pub endpoint: iroh::Endpoint,
    /// Packs that it was told to fetch.
    pub packs: Arc<Mutex<Vec<PackRef>>>,
}

impl ProtocolHandler for HubProtocol {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Ok(stream) = connection.accept_bi().await else { return Ok(()) };
        let blobs = self.connect_blobs(&connection).await;
        self.run(Role::Responder, connection, stream, blobs).await;
        Ok(())
    }
}

impl HubProtocol {
    /// A connection for blobs to the other end.
    pub async fn connect_blobs(&self, connection: &Connection) -> Option<Connection> {
        let mut address = iroh::EndpointAddr::new(connection.remote_id());
        for path in connection.paths().iter() {
            if let iroh::TransportAddr::Ip(socket) = path.remote_addr() {
                address = address.with_ip_addr(*socket);
            }
        }
        self.endpoint.connect(address, iroh_blobs::ALPN).await.ok()
    }

    fn note(&self, pack: PackRef) {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner).push(pack);
    }

    /// Runs one session until it or the connection ends.
    pub async fn run(
        &self,
        role: Role,
        connection: Connection,
        (mut send, recv): (SendStream, RecvStream),
        blobs: Option<Connection>,
    ) {
        let remote = DeviceId::from_bytes(*connection.remote_id().as_bytes());
        let mut salt = [0; 16];
        let shared = connection.export_keying_material(&mut salt, b"mosaic sync salt 1", b"");
        if shared.is_err() {
            return;
        }
        let mut session = Session::new(role, remote, salt, Options::default());
        let mut frames = read(recv);
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        let mut inputs = vec![Input::Start];
        loop {
            while let Some(input) = inputs.pop() {
                let hub: &dyn Exchange = &*self.hub;
                session.handle(now_ms(), input, hub);
                let outputs: Vec<_> = std::iter::from_fn(|| session.poll()).collect();
                for output in outputs {
                    match output {
                        Output::Send(frame) if send.write_all(&frame).await.is_err() => return,
                        Output::Send(_) => {}
                        Output::Fetch(pack) => {
                            self.note(pack);
                            let bytes = fetch(blobs.as_ref(), pack.hash, pack.size).await;
                            inputs.push(Input::Fetched { hash: pack.hash, bytes });
                        }
                        Output::Finished(outcome) => {
                            let _ = self.outcomes.send(*outcome);
                        }
                        Output::Continue => inputs.push(Input::Continue),
                        Output::Close(_) => return,
                    }
                }
            }
            tokio::select! {
                frame = frames.recv() => match frame {
                    Some(frame) => inputs.push(Input::Frame(frame)),
                    None => break,
                },
                _ = ticks.tick() => inputs.push(Input::Tick),
            }
        }
        session.handle(now_ms(), Input::Closed, &*self.hub);
    }
}

fn read(mut recv: RecvStream) -> mpsc::Receiver<Bytes> {
    let (frames, waiting) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let mut prefix = [0; FRAME_PREFIX_BYTES];
            if recv.read_exact(&mut prefix).await.is_err() {
                return;
            }
            let Ok(length) = frame_length(prefix) else { return };
            let mut frame = vec![0; length];
            if recv.read_exact(&mut frame).await.is_err()
                || frames.send(frame.into()).await.is_err()
            {
                return;
            }
        }
    });
    waiting
}

async fn fetch(connection: Option<&Connection>, hash: BlobHash, size: u64) -> Option<Bytes> {
    let wants = [Want { hash, size: Some(size) }];
    let mut fetched = None;
    fetch_many(connection?, &wants, FetchCaps::default(), |_, result| fetched = result.ok()).await;
    fetched
}

/// Milliseconds since 1970.
///
/// # Panics
/// If the clock stands before.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the end of time")
}
