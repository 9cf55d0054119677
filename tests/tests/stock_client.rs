//! Stock programs read what a node serves: iroh-blobs by hash, Automerge by bytes.

use std::sync::Arc;

use automerge::{Automerge, ROOT, ReadDoc};
use iroh::Endpoint;
use iroh_blobs::Hash;
use iroh_blobs::store::mem::MemStore;
use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::model::entry::Entry;
use mosaic_engine::replica::{Replica, ReplicaOptions, Subscription};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_node::ticket::NodeTicket;
use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, field};
use mosaic_tests::liar::hub::Hub;
use mosaic_tests::liar::net::{NetHub, address, bind};
use serde_json::{Value, json};

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fetches by hash as any program over iroh-blobs would; the text of the error otherwise.
async fn fetch(client: &Endpoint, node: &NodeTicket, hash: &str) -> Result<Vec<u8>, String> {
    let store = MemStore::new();
    let hash = Hash::from_bytes(unhex(hash).try_into().unwrap());
    let connection = client.connect(address(node), iroh_blobs::ALPN).await.unwrap();
    let fetched = store.remote().fetch(connection, hash).await;
    fetched.map_err(|error| format!("{error:?}"))?;
    Ok(store.blobs().get_bytes(hash).await.unwrap().to_vec())
}

/// The one document of a kind.
fn document(home: &Home, kind: &str) -> String {
    field(&home.json(&["doc", "list", "--kind", kind])[0], "id")
}

fn changes(home: &Home, doc: &str) -> Vec<Value> {
    home.json(&["doc", "changes", doc, "--raw"])
}

#[test]
fn a_stock_client_fetches_a_change_a_body_and_a_pack() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    home.ok(&["follow", &"ab".repeat(32)]);
    let node = home.node();
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    let api = Api::of(&home.path);
    for n in 0..1030 {
        api.call("/v1/post/create", &json!({ "text": format!("post {n}") }));
    }
    drop(api);
    let wall = field(&home.json(&["doc", "list", "--kind", "wall"])[0], "id");
    let first = changes(&home, &wall).swap_remove(0);
    let raw = unhex(&field(&first, "raw"));
    let body = body_of(&raw);
    let pack = pack_of(&home, &ticket);
    let private = field(&changes(&home, &document(&home, "private"))[0], "id");
    let secret = DeviceSecret::generate(&SeededEntropy::new(61));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = bind(&secret).await;
        assert_eq!(fetch(&client, &ticket, &field(&first, "id")).await.unwrap(), raw);
        let body = fetch(&client, &ticket, &body).await.unwrap();
        assert!(String::from_utf8_lossy(&body[16..]).starts_with("post "), "{body:?}");
        let pack = fetch(&client, &ticket, &pack).await.unwrap();
        assert_eq!(&pack[..4], b"MOP1");
        let unknown = fetch(&client, &ticket, &"5a".repeat(32)).await.unwrap_err();
        let private = fetch(&client, &ticket, &private).await.unwrap_err();
        assert_eq!(private, unknown);
        client.close().await;
    });
    node.stop();
}

/// The hash of the body that a wall change names.
fn body_of(raw: &[u8]) -> String {
    let mut doc = Automerge::new();
    doc.load_incremental(raw).unwrap();
    let item = doc.map_range(ROOT, ..).next().expect("an entry");
    let key = item.key.to_string();
    let (value, _) = doc.get(ROOT, key).unwrap().unwrap();
    let bytes = value.as_bytes().expect("bytes").to_vec();
    match Entry::decode(&bytes).unwrap() {
        Entry::Post { body, .. } => body.hash.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The pack of the first page, as a hub is told to fetch it.
fn pack_of(home: &Home, node: &NodeTicket) -> String {
    let entropy = Arc::new(SeededEntropy::new(71));
    let options = ReplicaOptions { secret: None, fresh_incarnation: false };
    let replica = Replica::open(Arc::new(MemoryStore::new()), entropy, options).unwrap();
    let secret = || DeviceSecret::generate(&SeededEntropy::new(72));
    replica.create_account(secret(), "hub", [0; 32], 1).unwrap();
    let account = mosaic_engine::hash::AccountId::parse_hex(&home.account()).unwrap();
    replica.subscribe(Subscription::whole(account)).unwrap();
    let mut hub = NetHub::new(&secret(), Arc::new(Hub::new(Arc::new(replica))));
    let outcome = hub.meet(node).expect("a round");
    assert!(outcome.is_equal(), "{outcome:#?}");
    let packs = hub.packs();
    packs.iter().map(|pack| pack.hash.to_string()).next().expect("a pack")
}

#[test]
fn a_stock_automerge_shows_the_same_heads_and_values() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    home.ok(&["profile", "set", "--name", "Ada", "--bio", "writes"]);
    home.ok(&["profile", "set", "--bio", "writes on"]);
    for n in 0..10 {
        home.ok(&["post", &format!("post {n}")]);
    }
    for kind in ["profile", "wall", "account"] {
        let doc = document(&home, kind);
        let cat = home.json(&["doc", "cat", &doc]).swap_remove(0);
        let raw = home.command(&["doc", "changes", &doc, "--raw"]).output().unwrap().stdout;
        let mut stock = Automerge::new();
        stock.load_incremental(&raw).unwrap();
        let heads: Vec<String> = stock.get_heads().iter().map(|head| hex(&head.0)).collect();
        let told: Vec<&str> =
            cat["heads"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
        assert_eq!(told, heads, "{kind}");
        let values = cat["value"].as_object().unwrap();
        assert_eq!(values.len(), stock.map_range(ROOT, ..).count(), "{kind}");
        for (key, told) in values {
            let (value, _) = stock.get(ROOT, key).unwrap().expect("the key");
            match (value.as_str(), value.as_bytes()) {
                (Some(text), _) => assert_eq!(told, text),
                (_, Some(bytes)) => assert_eq!(told["bytes"], hex(bytes)),
                other => panic!("{key}: {other:?}"),
            }
        }
    }
}
