//! Whoever calls is served; nothing of it changes what this home says of itself.

use super::*;
use crate::api::types::{NodeConnect, NodeForget, NodePeers, Peer, Status, StatusShow};
use mosaic_engine::sync::exchange::Exchange;

impl Node {
    pub(super) async fn connect_to(&self, other: &Self) {
        let request = NodeConnect { ticket: other.ticket().await, ..NodeConnect::default() };
        let records = all(&self.client, request).await;
        assert!(matches!(records.as_slice(), [Record::Peer(_)]), "{records:?}");
    }

    pub(super) async fn status(&self) -> Status {
        match all(&self.client, StatusShow::default()).await.as_slice() {
            [Record::Status(status)] => status.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn peers(&self) -> Vec<Peer> {
        let records = all(&self.client, NodePeers::default()).await;
        records
            .into_iter()
            .map(|record| match record {
                Record::Peer(peer) => peer,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    pub(super) fn keeps(&self, other: &Self) {
        let account = other.replica().account().unwrap();
        self.replica().subscribe(Subscription::whole(account)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_stranger_leaves_the_status_true() {
    let root = tempfile::tempdir().unwrap();
    let homes: Vec<_> =
        ["laptop", "hub", "nobody", "reader"].map(|name| Home::new(&root, name)).into();
    let mut nodes = Vec::new();
    for home in &homes {
        home.init("Name").await;
        nodes.push(home.serve().await);
    }
    let [laptop, hub, nobody, reader] = nodes.try_into().ok().unwrap();
    hub.keeps(&laptop);
    reader.keeps(&laptop);
    laptop.connect_to(&hub).await;
    assert_eq!(laptop.sync_with(&hub).await.state, "in-sync");
    assert_eq!(laptop.status().await.sync_state, "in-sync");

    // one keeps nothing of this home, the other reads its wall once and goes
    assert_eq!(nobody.sync_with(&laptop).await.state, "differs");
    assert_eq!(reader.fetch_from(&laptop).await.state, "in-sync");
    assert_eq!(laptop.peers().await.len(), 3, "strangers are listed while they are here");
    let strangers = [nobody.replica().device().unwrap(), reader.replica().device().unwrap()];
    nobody.stop().await;
    reader.stop().await;
    laptop.post("after they left");
    assert_eq!(laptop.sync_with(&hub).await.state, "in-sync");
    assert_eq!(laptop.status().await.sync_state, "in-sync");
    let hub_device = hub.replica().device().unwrap().to_string();
    laptop.stop().await;

    let laptop = homes[0].serve().await;
    let status = laptop.status().await;
    assert_eq!(
        (status.sync_state.as_str(), status.peers_away + status.peers_connected),
        ("in-sync", 1)
    );
    let public = laptop.replica().kept_sections().unwrap();
    for stranger in strangers {
        for section in &public {
            assert!(laptop.replica().shown(&stranger, section).unwrap().is_empty());
        }
    }
    let forget = NodeForget { peer: hub_device[..8].to_owned() };
    let records = all(&laptop.client, forget.clone()).await;
    assert!(matches!(records.as_slice(), [Record::Peer(peer)] if peer.device == hub_device));
    assert!(laptop.peers().await.is_empty());
    let again = all(&laptop.client, forget).await;
    assert!(matches!(again.as_slice(), [Record::Error(error)] if error.code == 13), "{again:?}");
    assert!(laptop.replica().peers().unwrap().is_empty());
    laptop.stop().await;
    hub.stop().await;
}
