//! Homes on disk, nodes over UDP on loopback: the way of a post from one device to another.

mod in_sync;

use std::path::PathBuf;
use std::sync::Arc;

use mosaic_engine::description::DocumentKind;
use mosaic_engine::hash::AccountId;
use mosaic_engine::replica::{Draft, Replica, Subscription, Text};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::api::types::{
    AttachFile, DeviceInvite, DeviceLink, EventWatch, IdentityCreate, Linked, NodeTicket, PATHS,
    PostCreate, Record, Request, SyncResult, SyncRun, SyncStatus, WallSave,
};
use crate::blobs::BLOBS_ALPN;
use crate::client::{Answer, Client};
use crate::endpoint::{Net, NetOptions};
use crate::network::NetworkLimits;
use crate::{ApiError, App, AppOptions, ServeOptions, clock, serve, socket_path};

mod doors;
mod meeting;
mod strangers;
mod transfer;

struct Home {
    folder: PathBuf,
}

struct Node {
    app: Arc<App>,
    client: Client,
    serving: JoinHandle<Result<(), ApiError>>,
}

impl Home {
    fn new(root: &TempDir, name: &str) -> Self {
        Self { folder: root.path().join(name) }
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    fn open(&self) -> Arc<App> {
        self.open_within(NetworkLimits::default())
    }

    fn open_within(&self, limits: NetworkLimits) -> Arc<App> {
        let (home, state_dir) = (self.home(), self.folder.join("state"));
        let options = AppOptions { home, state_dir, ..AppOptions::default() };
        App::open_within(options, limits).unwrap()
    }

    /// Makes an identity without a node.
    async fn init(&self, name: &str) {
        let app = self.open();
        let request = IdentityCreate { name: Some(name.to_owned()), ..IdentityCreate::default() };
        let records = all(&Client::local(app.router()), request).await;
        assert!(matches!(records.as_slice(), [Record::Identity(_)]), "{records:?}");
        app.close().await;
    }

    /// Runs a node and waits until its socket answers.
    async fn serve(&self) -> Node {
        self.serve_within(NetworkLimits::default()).await
    }

    async fn serve_within(&self, limits: NetworkLimits) -> Node {
        let app = self.open_within(limits);
        let serving = tokio::spawn(serve(app.clone(), ServeOptions::default()));
        let socket = socket_path(&self.home());
        let client = loop {
            match Client::connect(&socket).await {
                Ok(client) => break client,
                Err(_) => tokio::task::yield_now().await,
            }
            assert!(!serving.is_finished(), "the node ended early");
        };
        Node { app, client, serving }
    }
}

impl Node {
    fn replica(&self) -> Arc<Replica> {
        self.app.replica().unwrap()
    }

    fn post(&self, text: &str) {
        post(&self.replica(), text);
    }

    async fn ticket(&self) -> String {
        match all(&self.client, NodeTicket::default()).await.as_slice() {
            [Record::Ticket(ticket)] => ticket.ticket.clone(),
            other => panic!("{other:?}"),
        }
    }

    async fn sync_with(&self, other: &Self) -> SyncResult {
        let request = SyncRun { peers: vec![other.ticket().await], ..SyncRun::default() };
        let records = all(&self.client, request).await;
        match records.first() {
            Some(Record::SyncResult(result)) => result.clone(),
            _ => panic!("{records:?}"),
        }
    }

    /// Syncs for what the other one writes; it need not keep anything of ours.
    async fn fetch_from(&self, other: &Self) -> SyncResult {
        let targets = vec![other.replica().account().unwrap().to_string()];
        let peers = vec![other.ticket().await];
        let records = all(&self.client, SyncRun { peers, targets, ..SyncRun::default() }).await;
        match records.first() {
            Some(Record::SyncResult(result)) => result.clone(),
            _ => panic!("{records:?}"),
        }
    }

    async fn stop(self) {
        self.app.stopping().cancel();
        self.serving.await.unwrap().unwrap();
        assert!(!socket_path(self.app.home()).exists());
    }
}

fn post(replica: &Replica, text: &str) {
    let draft = Draft { text: text.to_owned(), ..Draft::default() };
    replica.post(draft, None, clock::now_ms()).unwrap();
}

fn wall(replica: &Replica) -> Vec<Text> {
    let account = replica.account().unwrap();
    replica.wall(&account, None, 10_000).unwrap().into_iter().map(|post| post.text).collect()
}

/// What is answered, without how far it was meanwhile: that depends on how long it takes.
async fn all<R: Request>(client: &Client, request: R) -> Vec<Record> {
    let mut answer = client.call(&request).await.unwrap();
    let mut records = Vec::new();
    while let Some(record) = next(&mut answer).await {
        if !matches!(record, Record::Progress(_)) {
            records.push(record);
        }
    }
    records
}

async fn next(answer: &mut Answer) -> Option<Record> {
    let line = answer.line().await.unwrap()?;
    Some(serde_json::from_slice(&line).unwrap())
}

/// Links `phone` to the account of `laptop`, which runs; returns the ticket and what both
/// screens show.
async fn link(laptop: &Client, phone: &Arc<App>) -> (String, Linked, Linked) {
    let invite = DeviceInvite { wait: true, ..DeviceInvite::default() };
    let mut inviting = laptop.call(&invite).await.unwrap();
    let Some(Record::Ticket(ticket)) = next(&mut inviting).await else { panic!("no ticket") };
    let name = Some("phone".to_owned());
    let request = DeviceLink { ticket: ticket.ticket.clone(), name };
    let joined = all(&Client::local(phone.router()), request).await;
    let Some(Record::Linked(joined)) = joined.last() else { panic!("{joined:?}") };
    let Some(Record::Linked(linked)) = next(&mut inviting).await else { panic!("not told") };
    (ticket.ticket, linked, joined.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_and_a_hub_agree() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, phone, hub) =
        (Home::new(&root, "laptop"), Home::new(&root, "phone"), Home::new(&root, "hub"));
    laptop.init("Ada").await;
    hub.init("Hub").await;

    let node = laptop.serve().await;
    node.post("before the phone");
    let app = phone.open();
    let (ticket, told, joined) = link(&node.client, &app).await;
    assert_eq!(told, joined);
    let third = Home::new(&root, "third");
    let spent = DeviceLink { ticket: ticket.clone(), ..DeviceLink::default() };
    let refused = all(&Client::local(third.open().router()), spent).await;
    assert!(
        matches!(refused.as_slice(), [Record::Error(error)] if error.code == 15),
        "{refused:?}"
    );
    assert!(!third.home().exists(), "a refused link changes nothing");
    assert_eq!(wall(&app.replica().unwrap()), wall(&node.replica()));
    assert_eq!(wall(&node.replica()).len(), 1);
    app.close().await;
    node.stop().await;

    let (node, hub) = (laptop.serve().await, hub.serve().await);
    let account = node.replica().account().unwrap();
    hub.replica().subscribe(Subscription::whole(account)).unwrap();
    node.post("from the laptop");
    let first = node.sync_with(&hub).await;
    assert_eq!(first.state, "in-sync", "{first:?}");
    let again = node.sync_with(&hub).await;
    assert_eq!((again.state.as_str(), again.changes), ("in-sync", 0), "{again:?}");
    let phone = phone.serve().await;
    phone.post("from the phone");
    let met = phone.sync_with(&hub).await;
    assert_eq!(met.state, "in-sync", "{met:?}");
    let met = node.sync_with(&hub).await;
    assert_eq!(met.state, "in-sync", "{met:?}");
    assert_eq!(wall(&node.replica()), wall(&phone.replica()));
    assert_eq!(wall(&node.replica()).len(), 3);
    node.stop().await;
    phone.stop().await;
    hub.stop().await;
}

#[tokio::test]
async fn every_operation_of_the_contract_is_answered() {
    let root = tempfile::tempdir().unwrap();
    let app = Home::new(&root, "nobody").open();
    let client = Client::local(app.router());
    let mut open = Vec::new();
    for path in PATHS {
        let mut answer = client.post(path, b"[]".to_vec()).await.unwrap();
        if let Some(Record::Error(error)) = next(&mut answer).await
            && error.message.starts_with("no operation")
        {
            open.push(*path);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!Home::new(&root, "nobody").home().exists(), "reading makes no home");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_with_a_file_is_pushed_and_the_file_follows() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::new(&root, "laptop"), Home::new(&root, "hub"));
    laptop.init("Ada").await;
    hub.init("Hub").await;
    let (laptop, hub) = (laptop.serve().await, hub.serve().await);
    let account = laptop.replica().account().unwrap();
    hub.replica().subscribe(Subscription::whole(account)).unwrap();
    assert_eq!(laptop.sync_with(&hub).await.state, "in-sync");

    let wanted =
        EventWatch { types: vec!["post.created".to_owned()], since: Some(0), count: Some(1) };
    let mut watching = hub.client.call(&wanted).await.unwrap();
    let path = root.path().join("picture.bin");
    std::fs::write(&path, vec![7u8; 3_000_000]).unwrap();
    let file = AttachFile { path: path.display().to_string(), ..AttachFile::default() };
    let request = PostCreate { attachments: vec![file], ..PostCreate::default() };
    let posted = all(&laptop.client, request).await;
    let [Record::Post(post)] = posted.as_slice() else { panic!("{posted:?}") };
    let Some(Record::Event(event)) = next(&mut watching).await else { panic!("not pushed") };
    assert_eq!(event.data["id"], post.id.as_str());

    let met = laptop.sync_with(&hub).await;
    assert_eq!((met.state.as_str(), met.peer_missing_bodies), ("in-sync", Some(0)), "{met:?}");
    let states = all(&laptop.client, SyncStatus::default()).await;
    let kept = states.iter().filter_map(|record| match record {
        Record::SyncStatus(state) => Some((state.section.as_str(), state.state.as_str())),
        _ => None,
    });
    let kept: Vec<_> = kept.collect();
    let expected = ["authority", "public", "visitors", "private"].map(|name| (name, "in-sync"));
    assert_eq!(kept, expected);
    let saved = root.path().join("saved.bin");
    let path = saved.display().to_string();
    let save = WallSave { id: post.id.clone(), path, ..WallSave::default() };
    let records = all(&hub.client, save).await;
    assert!(matches!(records.as_slice(), [Record::Saved(_)]), "{records:?}");
    assert_eq!(std::fs::read(&saved).unwrap(), vec![7u8; 3_000_000]);
    laptop.stop().await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_fetches_what_is_public_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::new(&root, "laptop");
    home.init("Ada").await;
    let node = home.serve().await;
    let replica = node.replica();
    node.post("for everybody");
    let friend = AccountId::from_bytes([3; 32]);
    replica.follow(friend, Some("bob"), clock::now_ms()).unwrap();
    let mut hashes = [Vec::new(), Vec::new()];
    for (doc, description) in replica.document_list().unwrap() {
        for change in replica.changes(&doc).unwrap() {
            let (id, bytes) = (change.id, change.bytes.clone());
            let private = usize::from(description.kind == DocumentKind::Private);
            hashes[private].push((iroh_blobs::Hash::from_bytes(*id.as_bytes()), bytes));
        }
    }
    let [public, private] = hashes;
    assert!(!public.is_empty() && !private.is_empty());
    let stranger = Net::bind(&[9; 32], &NetOptions::default(), vec![]).await.unwrap();
    let ticket = crate::ticket::NodeTicket::parse(&node.ticket().await).unwrap();
    let connection = stranger.connect(&ticket, BLOBS_ALPN).await.unwrap();
    let stock = iroh_blobs::store::mem::MemStore::new();
    for (hash, bytes) in public {
        stock.remote().fetch(connection.clone(), hash).await.unwrap();
        assert_eq!(stock.get_bytes(hash).await.unwrap(), bytes);
    }
    let unknown = (iroh_blobs::Hash::new(b"nobody has this"), bytes::Bytes::new());
    let mut answers = Vec::new();
    for (hash, _) in private.into_iter().chain([unknown]) {
        let refused = stock.remote().fetch(connection.clone(), hash).await.unwrap_err();
        answers.push(refused.to_string());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    stranger.close().await;
    node.stop().await;
}
