//! What a sync says it moved, and that it waits for what is under way.

use super::*;

const FILES: usize = 6;
const FILE_BYTES: usize = 3_000_000;

fn many_posts(replica: &Replica, count: usize) {
    for number in 0..count {
        post(replica, &format!("post {number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_waits_for_every_attachment() {
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::new(&root, "laptop"), Home::new(&root, "hub"));
    laptop.init("Ada").await;
    hub.init("Hub").await;
    let (laptop, hub) = (laptop.serve().await, hub.serve().await);
    let mut attachments = Vec::new();
    for number in 0..FILES {
        let path = root.path().join(format!("{number}.bin"));
        std::fs::write(&path, vec![u8::try_from(number).unwrap(); FILE_BYTES]).unwrap();
        let path = path.display().to_string();
        attachments.push(AttachFile { path, ..AttachFile::default() });
    }
    let request = PostCreate { attachments, ..PostCreate::default() };
    let posted = all(&laptop.client, request).await;
    assert!(matches!(posted.as_slice(), [Record::Post(_)]), "{posted:?}");
    let account = laptop.replica().account().unwrap();
    hub.replica().subscribe(Subscription::whole(account)).unwrap();

    let met = hub.fetch_from(&laptop).await;
    assert_eq!((met.state.as_str(), met.missing_bodies), ("in-sync", 0), "{met:?}");
    let bytes = u64::try_from(FILES * FILE_BYTES).unwrap();
    assert!(met.body_bytes >= bytes, "{met:?}");
    laptop.stop().await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_moved_before_the_call_is_in_its_sums() {
    const POSTS: usize = 300;
    let root = tempfile::tempdir().unwrap();
    let (laptop, hub) = (Home::new(&root, "laptop"), Home::new(&root, "hub"));
    laptop.init("Ada").await;
    hub.init("Hub").await;
    let (laptop, hub) = (laptop.serve().await, hub.serve().await);
    let account = laptop.replica().account().unwrap();
    many_posts(&laptop.replica(), POSTS);
    hub.replica().subscribe(Subscription::whole(account)).unwrap();

    // the session opens and transfers by itself; some of it before the call, some after
    hub.connect_to(&laptop).await;
    let met = hub.fetch_from(&laptop).await;
    assert_eq!(met.state, "in-sync", "{met:?}");
    let posts = u64::try_from(POSTS).unwrap();
    let session = met.session.unwrap();
    assert!(session.in_changes >= posts && session.in_changes >= met.in_changes);
    let again = hub.fetch_from(&laptop).await;
    assert_eq!((again.in_changes, again.state.as_str()), (0, "in-sync"), "{again:?}");
    assert_eq!(again.session.unwrap().in_changes, session.in_changes);
    laptop.stop().await;
    hub.stop().await;
}
