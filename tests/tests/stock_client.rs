//! Stock programs read what a node serves: iroh-blobs by hash, Automerge by bytes.

use automerge::{Automerge, ROOT, ReadDoc};
use iroh::Endpoint;
use iroh_blobs::Hash;
use iroh_blobs::store::mem::MemStore;
use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::model::entry::{BodyRef, Entry};
use mosaic_node::ticket::NodeTicket;
use mosaic_tests::api::Api;
use mosaic_tests::home::{Home, field};
use mosaic_tests::liar::net::{address, bind};
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
fn a_stock_client_fetches_a_change_a_body_a_file_and_a_pack() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::init(root.path(), "laptop");
    home.ok(&["follow", &"ab".repeat(32)]);
    let picture: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let path = root.path().join("picture.bin");
    std::fs::write(&path, &picture).unwrap();
    let node = home.node();
    let ticket = NodeTicket::parse(&node.ticket()).unwrap();
    let large = "a large text ".repeat(3000);
    let api = Api::of(&home.path);
    api.call("/v1/post/create", &json!({ "text": large, "attachments": [{ "path": path }] }));
    for n in 0..1030 {
        api.call("/v1/post/create", &json!({ "text": format!("post {n}") }));
    }
    drop(api);
    let packs = home.json(&["doc", "packs"]);
    let [pack] = packs.as_slice() else { panic!("one full page: {packs:?}") };
    let changes_of_wall = changes(&home, &field(pack, "doc"));
    let raws: Vec<_> = changes_of_wall.iter().map(|change| unhex(&field(change, "raw"))).collect();
    let posts = posts_of(&raws);
    let (first, last) = (posts.last().expect("a post"), &posts[0]);
    assert!(first.0.size > 16 * 1024 && last.0.size < 16 * 1024);
    let file = first.1.expect("an attachment");
    let private = field(&changes(&home, &document(&home, "private"))[0], "id");
    let secret = DeviceSecret::generate(&SeededEntropy::new(61));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = bind(&secret).await;
        for (change, raw) in changes_of_wall.iter().zip(&raws).take(3) {
            assert_eq!(&fetch(&client, &ticket, &field(change, "id")).await.unwrap(), raw);
        }
        let body = fetch(&client, &ticket, &last.0.hash.to_string()).await.unwrap();
        assert!(body[16..].starts_with(b"post "), "{body:?}");
        let body = fetch(&client, &ticket, &first.0.hash.to_string()).await.unwrap();
        assert!(body[16..] == *large.as_bytes());
        let body = fetch(&client, &ticket, &file.hash.to_string()).await.unwrap();
        assert!(body[16..] == picture);
        let bytes = fetch(&client, &ticket, &field(pack, "hash")).await.unwrap();
        assert_eq!(
            (&bytes[..4], Some(bytes.len() as u64)),
            (&b"MOP1"[..], pack["size_bytes"].as_u64())
        );
        let unknown = fetch(&client, &ticket, &"5a".repeat(32)).await.unwrap_err();
        let private = fetch(&client, &ticket, &private).await.unwrap_err();
        assert_eq!(private, unknown);
        client.close().await;
    });
    // What it got no answer to is counted, and both alike.
    assert_eq!(home.json(&["node", "status"])[0]["refused"], json!({ "blob": 2 }));
    // Bodies are counted whether they are rows or files.
    let stats = home.json(&["store", "stats"]).swap_remove(0);
    assert_eq!(stats["blobs"], 1032);
    let texts = (0..1030).map(|n| 16 + format!("post {n}").len()).sum::<usize>();
    assert_eq!(stats["blob_bytes"], 16 + large.len() + 16 + picture.len() + texts);
    node.stop();
}

/// The bodies and first attachments of the posts in the changes of a wall, newest first.
fn posts_of(raws: &[Vec<u8>]) -> Vec<(BodyRef, Option<BodyRef>)> {
    let mut doc = Automerge::new();
    for raw in raws {
        doc.load_incremental(raw).unwrap();
    }
    let entry = |value: &[u8]| match Entry::decode(value).unwrap() {
        Entry::Post { body, attachments, .. } => (body, attachments.first().map(|file| file.body)),
        other => panic!("{other:?}"),
    };
    let keys: Vec<_> = doc.map_range(ROOT, ..).map(|item| item.key.to_string()).collect();
    let value = |key: &String| doc.get(ROOT, key.as_str()).unwrap().unwrap().0.into_owned();
    keys.iter().map(value).map(|value| entry(value.as_bytes().expect("bytes"))).collect()
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
