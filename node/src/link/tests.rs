//! Two endpoints on loopback, with a small account behind the inviter.

use std::sync::{Arc, Mutex};

use iroh::endpoint::Connection;
use iroh::protocol::{AcceptError, ProtocolHandler, Router};
use mosaic_engine::hash::{DeviceId, SealKey};
use mosaic_engine::identity::{
    Certificate, CertificateOffer, CertificatePath, DeviceSecret, Genesis, LINKED_DEVICE_RANK,
    Verifier,
};

use super::*;
use crate::endpoint::{Net, NetOptions};
use crate::entropy::OsEntropy;
use crate::error::NodeError;
use crate::ticket::LinkTicket;

#[derive(Debug)]
struct Book {
    secret: DeviceSecret,
    path: CertificatePath,
    admitted: Mutex<Vec<(Certificate, String)>>,
    /// Closed as soon as a device is admitted.
    cut: Arc<Mutex<Option<Connection>>>,
}

impl Account for Book {
    fn offer(
        &self,
        device: DeviceId,
        seal_key: SealKey,
    ) -> Result<(CertificatePath, CertificateOffer), String> {
        let own = self.path.verify(&Verifier::new()).map_err(|error| error.to_string())?;
        let rank = LINKED_DEVICE_RANK;
        let offer = CertificateOffer::issue(&own, &self.secret, device, seal_key, rank, 1);
        offer.map(|offer| (self.path.clone(), offer)).map_err(|error| error.to_string())
    }

    fn admit(&self, certificate: Certificate, name: &str) -> Result<Vec<u8>, String> {
        self.path
            .clone()
            .with(certificate.clone())
            .verify(&Verifier::new())
            .map_err(|error| error.to_string())?;
        self.admitted.lock().unwrap().push((certificate, name.to_owned()));
        if let Some(connection) = self.cut.lock().unwrap().take() {
            connection.close(0u32.into(), b"cut");
        }
        Ok(b"welcome".to_vec())
    }
}

struct Rig {
    router: Router,
    inviter: Net,
    invites: Invites,
    book: Arc<Book>,
    entropy: OsEntropy,
}

async fn net(secret: &DeviceSecret) -> Net {
    Net::bind(&secret.signing_seed(), &NetOptions::default(), vec![]).await.unwrap()
}

async fn rig() -> Rig {
    let entropy = OsEntropy::open().unwrap();
    let secret = DeviceSecret::generate(&entropy);
    let genesis = Genesis::create(&secret, [0; 32], 1, &entropy);
    let inviter = net(&secret).await;
    let path = CertificatePath::first(genesis);
    let book = Arc::new(Book { secret, path, admitted: Mutex::default(), cut: Arc::default() });
    let invites = Invites::default();
    let (device, source) = (inviter.device(), Arc::new(entropy));
    let handler = LinkHandler::new(book.clone(), device, invites.clone(), source);
    let router = Router::builder(inviter.endpoint().clone()).accept(LINK_ALPN, handler).spawn();
    Rig { router, inviter, invites, book, entropy }
}

impl Rig {
    async fn join(&self, ticket: &LinkTicket) -> Result<Joined, NodeError> {
        let secret = DeviceSecret::generate(&self.entropy);
        let net = net(&secret).await;
        let ticket = LinkTicket::parse(&ticket.to_string()).unwrap();
        let joined = join(&net, &ticket, &secret, "phone", &self.entropy).await;
        net.close().await;
        joined
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_links_one_device_and_no_second() {
    let rig = rig().await;
    let (ticket, used) = rig.invites.open(rig.inviter.ticket(), 60_000, &rig.entropy);
    let joined = rig.join(&ticket).await.unwrap();
    let told = used.await.unwrap();
    assert_eq!((told.code, told.name.as_str()), (joined.code.clone(), "phone"));
    assert_eq!(told.device, joined.path.claimed_device());
    assert_eq!(joined.welcome, b"welcome");
    assert_eq!(joined.code.split('-').count(), 3);
    assert_eq!(rig.book.admitted.lock().unwrap().len(), 1);
    let again = rig.join(&ticket).await.unwrap_err();
    assert!(matches!(again, NodeError::TicketSpent { state: "used already" }), "{again}");
    assert_eq!(rig.book.admitted.lock().unwrap().len(), 1);
    rig.router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_and_invented_tickets_link_nobody() {
    let rig = rig().await;
    let (expired, _used) = rig.invites.open(rig.inviter.ticket(), 0, &rig.entropy);
    let error = rig.join(&expired).await.unwrap_err();
    assert!(matches!(error, NodeError::TicketSpent { state: "expired" }), "{error}");
    let (mut invented, mut used) = rig.invites.open(rig.inviter.ticket(), 60_000, &rig.entropy);
    invented.secret[0] ^= 1;
    let error = rig.join(&invented).await.unwrap_err();
    assert!(matches!(error, NodeError::TicketSpent { .. }), "{error}");
    assert!(used.try_recv().is_err());
    assert!(rig.book.admitted.lock().unwrap().is_empty());
    rig.router.shutdown().await.unwrap();
}

#[derive(Debug)]
struct Cutting(LinkHandler, Arc<Mutex<Option<Connection>>>);

impl ProtocolHandler for Cutting {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        *self.1.lock().unwrap() = Some(connection.clone());
        self.0.accept(connection).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_cut_off_after_the_account_took_the_device_is_told_apart() {
    let rig = rig().await;
    let (device, source) = (rig.inviter.device(), Arc::new(rig.entropy));
    let handler = LinkHandler::new(rig.book.clone(), device, rig.invites.clone(), source);
    rig.router.shutdown().await.unwrap();
    let inviter = net(&rig.book.secret).await;
    let router = Router::builder(inviter.endpoint().clone())
        .accept(LINK_ALPN, Cutting(handler, rig.book.cut.clone()))
        .spawn();
    let (ticket, _used) = rig.invites.open(inviter.ticket(), 60_000, &rig.entropy);
    let error = rig.join(&ticket).await.unwrap_err();
    assert!(matches!(error, NodeError::Unconfirmed { .. }), "{error}");
    assert_eq!(rig.book.admitted.lock().unwrap().len(), 1);
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_the_link_and_costs_nothing() {
    let rig = rig().await;
    let secret = DeviceSecret::generate(&rig.entropy);
    let net = net(&secret).await;
    for garbage in [&[0xff; 9][..], &[0, 0, 0, 0, 1], &[0, 0, 0, 2, 1, 9], b"GET / HTTP/1.1\r\n"] {
        let connection = net.connect(&rig.inviter.ticket(), LINK_ALPN).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(garbage).await.unwrap();
        send.finish().unwrap();
        connection.closed().await;
    }
    let (ticket, _used) = rig.invites.open(rig.inviter.ticket(), 60_000, &rig.entropy);
    assert!(rig.join(&ticket).await.is_ok(), "the inviter goes on");
    net.close().await;
    rig.router.shutdown().await.unwrap();
}
