//! Nodes that meet: at the same moment, again after a restart, about a part, out of time.

use std::time::Duration;

use mosaic_engine::replica::History;
use tokio::time::timeout;

use super::*;

/// How long anything may take; not how long it takes.
const PATIENCE: Duration = Duration::from_secs(60);

impl Node {
    async fn listening(&self) -> Vec<std::net::SocketAddr> {
        // answered only once the network is there
        self.ticket().await;
        self.net().listening()
    }

    async fn sync(&self, request: SyncRun) -> (Vec<SyncResult>, Option<u8>) {
        let (mut results, mut code) = (Vec::new(), None);
        for record in all(&self.client, request).await {
            match record {
                Record::SyncResult(result) => results.push(result),
                Record::Error(error) => code = Some(error.code),
                other => panic!("{other:?}"),
            }
        }
        (results, code)
    }
}

fn in_sync((one, other): &(SyncResult, SyncResult)) -> bool {
    one.state == "in-sync" && other.state == "in-sync"
}

async fn pair(root: &TempDir) -> (Home, Node, Home, Node) {
    let (laptop, hub) = (Home::new(root, "laptop"), Home::new(root, "hub"));
    laptop.init("Ada").await;
    hub.init("Hub").await;
    let (first, second) = (laptop.serve().await, hub.serve().await);
    second.keeps(&first);
    first.post("hello");
    (laptop, first, hub, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_syncs_at_once_both_succeed() {
    let root = tempfile::tempdir().unwrap();
    let (_, laptop, _, hub) = pair(&root).await;
    for _ in 0..8 {
        let results = tokio::join!(laptop.sync_with(&hub), laptop.sync_with(&hub));
        assert!(in_sync(&results), "{results:?}");
        laptop.hang_up().await;
        let results = tokio::join!(laptop.sync_with(&hub), hub.fetch_from(&laptop));
        assert!(in_sync(&results), "{results:?}");
        laptop.hang_up().await;
    }
    laptop.stop().await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_at_the_port_of_last_time_if_it_is_free() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(&root, "laptop");
    home.init("Ada").await;
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let last = free.local_addr().unwrap();
    std::fs::write(home.home().join("node.port"), format!("{}\n", last.port())).unwrap();
    // taken: another one, and that is remembered
    let node = home.serve().await;
    let other = node.listening().await;
    assert_ne!(other, [last]);
    node.stop().await;
    let kept = std::fs::read_to_string(home.home().join("node.port")).unwrap();
    assert_eq!(kept, format!("{}\n", other[0].port()));
    drop(free);
    std::fs::write(home.home().join("node.port"), format!("{}\n", last.port())).unwrap();
    let node = home.serve().await;
    assert_eq!(node.listening().await, [last]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_node_ends_its_socket_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(&root, "laptop");
    home.init("Ada").await;
    let node = home.serve().await;
    let request = EventWatch { types: vec!["post.created".to_owned()], ..EventWatch::default() };
    let watching = node.client.call(&request).await.unwrap();
    node.app.stopping().cancel();
    let socket = socket_path(&home.home());
    let closed = async {
        while Client::connect(&socket).await.is_ok() {
            assert!(!node.serving.is_finished(), "open to the end");
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap();
    drop(watching);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_space_lacks_is_no_matter_of_the_one_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let (_, laptop, _, hub) = pair(&root).await;
    let friend = Home::new(&root, "friend");
    friend.init("Bob").await;
    let bob = friend.serve().await;
    let path = root.path().join("picture.bin");
    std::fs::write(&path, vec![7u8; 100_000]).unwrap();
    let file = AttachFile { path: path.display().to_string(), ..AttachFile::default() };
    let request = PostCreate { attachments: vec![file], ..PostCreate::default() };
    all(&bob.client, request).await;
    let account = bob.replica().account().unwrap();
    // the laptop keeps Bob's wall without the picture, the hub wants it
    let bare = Subscription { body_bytes_max: 1000, ..Subscription::whole(account) };
    assert_eq!(bare.history, History::Full);
    laptop.replica().subscribe(bare).unwrap();
    hub.keeps(&bob);
    assert_eq!(laptop.fetch_from(&bob).await.state, "in-sync");
    let peers = vec![laptop.ticket().await];
    let everything = SyncRun { peers: peers.clone(), ..SyncRun::default() };
    let (results, code) = hub.sync(everything).await;
    assert_eq!((results[0].missing_bodies, code), (1, Some(3)), "{results:?}");
    let ada = laptop.replica().account().unwrap().to_string();
    let (results, code) =
        hub.sync(SyncRun { targets: vec![ada], peers, ..SyncRun::default() }).await;
    assert_eq!((results[0].state.as_str(), code), ("in-sync", None), "{results:?}");
    for node in [laptop, hub, bob] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_out_of_time_has_a_result_too() {
    let root = tempfile::tempdir().unwrap();
    let (_, laptop, _, hub) = pair(&root).await;
    let peers = vec![hub.ticket().await];
    let request = SyncRun { peers, timeout_ms: Some(0), ..SyncRun::default() };
    let (results, code) = laptop.sync(request).await;
    assert_eq!((results.len(), code), (1, Some(124)), "{results:?}");
    assert_eq!(results[0].state, "failed");
    assert!(results[0].reasons[0].contains("not done"), "{results:?}");
    laptop.stop().await;
    hub.stop().await;
}
