//! Changes as programs before store format 2 wrote them: a row of the id, and a blob.

use mosaic_engine::replica::Replica;
use mosaic_engine::store::{Batch, Table, keys};

use super::{NOW, draft, give, link, person};

/// Writes all log changes as they were stored before; returns how many.
fn as_blobs(replica: &Replica) -> u64 {
    let mut batch = Batch::new();
    let mut count = 0;
    for (doc, description) in replica.document_list().unwrap() {
        if !description.kind.is_log() {
            continue;
        }
        for change in replica.changes(&doc).unwrap() {
            let id = change.id.as_bytes().to_vec();
            batch.put(Table::Truth, keys::chain_change(&change.key, change.n), id);
            batch.put(Table::Truth, keys::blob(&change.id.blob()), change.bytes);
            count += 1;
        }
    }
    replica.store().commit(batch).unwrap();
    count
}

#[test]
fn changes_stored_as_blobs_are_shown_given_verified_and_written_on() {
    let (laptop, account) = person(1, "ada");
    let phone = link(&laptop, 2, "phone");
    let old: Vec<_> = (0..3).map(|n| laptop.post(draft("old"), None, NOW + n).unwrap()).collect();
    laptop.edit(old[0], "older", NOW + 9).unwrap();
    assert!(as_blobs(&laptop) >= 4);
    laptop.post(draft("new"), None, NOW + 10).unwrap();
    give(&laptop, &phone);
    for replica in [&laptop, &phone] {
        let wall = replica.wall(&account, None, 10).unwrap();
        assert_eq!(wall.len(), 4);
        let verified = replica.verify().unwrap();
        assert!(verified.problems.is_empty(), "{:?}", verified.problems);
        assert!(replica.garbage().unwrap().is_empty());
        let rebuilt = replica.rebuild().unwrap();
        assert_eq!((rebuilt.mended, rebuilt.removed), (0, 0));
    }
    let same = |doc| laptop.values(doc).unwrap() == phone.values(doc).unwrap();
    assert!(laptop.document_list().unwrap().iter().all(|(doc, d)| !d.kind.is_log() || same(doc)));
}
