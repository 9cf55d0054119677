//! Connections end when nobody uses them, and strangers take no place of those we know.

use std::time::Duration;

use iroh::endpoint::Connection;
use mosaic_engine::entropy::Entropy;
use tokio::time::timeout;

use super::*;
use crate::entropy::OsEntropy;
use crate::link::LINK_ALPN;
use crate::network::NetworkLimits;
use crate::places::PlaceLimits;
use crate::session::SYNC_ALPN;

/// How long anything may take; not how long it takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn stranger() -> Net {
    let mut seed = [0; 32];
    OsEntropy::open().unwrap().fill(&mut seed);
    Net::bind(&seed, &NetOptions::default(), vec![]).await.unwrap()
}

impl Node {
    async fn call(&self, from: &Net, alpn: &[u8]) -> Connection {
        let ticket = crate::ticket::NodeTicket::parse(&self.ticket().await).unwrap();
        from.connect(&ticket, alpn).await.unwrap()
    }

    /// Ends all sessions, and waits until no connection is left.
    pub(super) async fn hang_up(&self) {
        for (_, live) in self.app.running_network().unwrap().peers().all_live() {
            live.connection.close(0u32.into(), b"over");
        }
        timeout(PATIENCE, self.net().quiet()).await.expect("no connection is left");
    }

    pub(super) fn net(&self) -> Net {
        self.app.running_network().unwrap().net().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_is_done_with_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(&root, "laptop");
    home.init("Ada").await;
    let node = home.serve().await;
    let caller = stranger().await;
    let connection = node.call(&caller, LINK_ALPN).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&[0; 64]).await.unwrap();
    timeout(PATIENCE, connection.closed()).await.expect("the node hangs up on garbage");
    timeout(PATIENCE, node.net().quiet()).await.expect("and holds nothing of it");
    caller.close().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_for_blobs_ends_with_its_session() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::new(&root, "laptop"), Home::new(&root, "hub"));
    laptop.init("Ada").await;
    hub.init("Hub").await;
    let (laptop, hub) = (laptop.serve().await, hub.serve().await);
    let path = root.path().join("picture.bin");
    std::fs::write(&path, vec![7u8; 100_000]).unwrap();
    let file = AttachFile { path: path.display().to_string(), ..AttachFile::default() };
    let request = PostCreate { attachments: vec![file], ..PostCreate::default() };
    all(&laptop.client, request).await;
    hub.keeps(&laptop);
    assert_eq!(hub.fetch_from(&laptop).await.state, "in-sync");
    laptop.hang_up().await;
    timeout(PATIENCE, hub.net().quiet()).await.expect("no connection is left there");
    laptop.stop().await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_strangers_shut_nobody_out() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::new(&root, "laptop"), Home::new(&root, "hub"));
    laptop.init("Ada").await;
    hub.init("Hub").await;
    let laptop = laptop.serve().await;
    let places = PlaceLimits { own: 4, kept: 4, strangers: 2, each: 4 };
    let limits = NetworkLimits { sessions: places, readers: places, ..NetworkLimits::default() };
    let busy = NetworkLimits { stranger_idle: PATIENCE * 60, ..limits };
    let node = hub.serve_within(busy).await;
    node.keeps(&laptop);
    // the first meeting makes the laptop known
    assert_eq!(laptop.sync_with(&node).await.state, "in-sync");
    laptop.hang_up().await;
    assert_eq!(laptop.sync_with(&node).await.state, "in-sync");
    let mut here = Vec::new();
    for _ in 0..2 {
        let caller = stranger().await;
        let connection = node.call(&caller, SYNC_ALPN).await;
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0]).await.unwrap();
        here.push((caller, connection, send, recv));
    }
    let held = |node: &Node| node.app.running_network().unwrap().peers().all_live().len();
    let all_in = async {
        while held(&node) < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_in).await.expect("two strangers and the laptop");
    let late = stranger().await;
    let refused = node.call(&late, SYNC_ALPN).await;
    let reason = timeout(PATIENCE, refused.closed()).await.expect("no place for one more");
    assert!(reason.to_string().contains("busy"), "{reason}");
    laptop.hang_up().await;
    assert_eq!(laptop.sync_with(&node).await.state, "in-sync");
    drop(here);
    node.stop().await;

    // with nothing to wait for, the next stranger gets the place of an idle one
    let node = hub.serve_within(NetworkLimits { stranger_idle: Duration::ZERO, ..limits }).await;
    let mut here = Vec::new();
    for _ in 0..4 {
        let caller = stranger().await;
        let connection = node.call(&caller, SYNC_ALPN).await;
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0]).await.unwrap();
        let device = caller.device();
        let peers = node.app.running_network().unwrap().peers().clone();
        let entering = async {
            while peers.live(&device).is_none() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, entering).await.expect("a place becomes free");
        here.push((caller, connection, send, recv));
    }
    node.stop().await;
    laptop.stop().await;
}
