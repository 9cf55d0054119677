//! A whole account from one replica into another, without a session.

use std::collections::BTreeSet;

use mosaic_engine::change::value::Value;
use mosaic_engine::hash::DocumentId;
use mosaic_engine::replica::{Replica, Subscription, Text};
use mosaic_engine::store::{Batch, Table, keys};
use mosaic_engine::sync::exchange::Exchange;
use mosaic_engine::wire::CarriedChain;

use super::{NOW, draft, give, link, person, replica, sound};

fn documents(from: &Replica, account: &mosaic_engine::hash::AccountId) -> Vec<DocumentId> {
    from.account_documents(account).unwrap().into_iter().map(|(doc, _)| doc).collect()
}

fn carried(from: &Replica, docs: &[DocumentId]) -> Vec<CarriedChain> {
    let tips = docs.iter().flat_map(|doc| from.carried_tips(doc).unwrap());
    tips.flat_map(|tip| from.carry(&tip).unwrap()).collect()
}

#[test]
fn chains_that_wait_for_each_other_come_in_any_order() {
    let (ada, account) = person(1, "ada");
    let phone = link(&ada, 2, "phone");
    give(&ada, &phone);
    for n in 0..6u64 {
        for (device, name) in [(&ada, "bio"), (&phone, "link")] {
            let value = Some(Value::from(format!("{name} {n}").as_str()));
            device.edit_profile(vec![(name.to_owned(), value)], NOW + n).unwrap();
            give(&ada, &phone);
            give(&phone, &ada);
        }
    }
    phone.post(draft("kept"), None, NOW + 10).unwrap();
    let gone = ada.post_long(None, draft("gone"), None, NOW + 11).unwrap();
    let long = ada.post_long(None, draft("a long"), None, NOW + 12).unwrap();
    give(&ada, &phone);
    phone.edit(long, "a long text", NOW + 13).unwrap();
    ada.delete(gone, NOW + 14).unwrap();
    give(&phone, &ada);
    ada.revoke_device(phone.device().unwrap(), "lost", NOW + 20).unwrap();
    phone.post(draft("void"), None, NOW + 30).unwrap();
    give(&phone, &ada);
    let docs = documents(&ada, &account);
    let mut waiting = carried(&ada, &docs);
    waiting.reverse();
    let copy = replica(9);
    copy.change_subscriptions(&[Subscription::whole(account)], &[]).unwrap();
    // one by one, and what is left again
    loop {
        let (mut left, mut taken) = (Vec::new(), 0);
        for chain in waiting {
            let receipt = copy.take_carried(vec![chain], NOW + 40).unwrap();
            taken += receipt.changes;
            left.extend(receipt.left.into_iter().map(|left| left.chain));
        }
        if taken == 0 {
            assert!(left.is_empty(), "{} are left", left.len());
            break;
        }
        waiting = left;
    }
    let digest =
        |replica: &Replica| replica.heads_digest(documents(replica, &account), &[]).unwrap();
    assert_eq!(digest(&copy), digest(&ada));
    assert_eq!(documents(&copy, &account), docs);
    assert_eq!(copy.profile(&account).unwrap(), ada.profile(&account).unwrap());
    // texts come apart, and only those that are named
    let set: BTreeSet<DocumentId> = docs.into_iter().collect();
    let mut bodies = Vec::new();
    let mut visit = |body: mosaic_engine::model::entry::BodyRef| {
        bodies.push(ada.carried_body(&body.hash).unwrap());
        true
    };
    let found = ada.carried_bodies(&set, 1024, &mut visit).unwrap();
    assert_eq!((found.bodies, found.files, found.missing), (2, 0, 0));
    let before = copy.carried_bodies(&set, 1024, &mut |_| true).unwrap();
    assert_eq!((before.bodies, before.missing), (0, 2));
    assert_eq!(copy.show(&long).unwrap().text, Text::Here("a long text".into()));
    assert_eq!(copy.show(&gone).unwrap().text, Text::Deleted);
    let device = ada.device().unwrap();
    assert_eq!(copy.receive_bodies(&device, bodies).unwrap().stored, 2);
    assert_eq!(copy.receive_bodies(&device, vec![vec![0; 40].into()]).unwrap().refused, 1);
    sound(&copy);
}

#[test]
fn an_account_of_which_a_change_is_gone_is_not_carried() {
    let (ada, account) = person(1, "ada");
    let posts: Vec<_> =
        (0..3u64).map(|n| ada.post(draft("text"), None, NOW + n).unwrap()).collect();
    let docs = documents(&ada, &account);
    assert_eq!(carried(&ada, &docs).len(), 2);
    let mut batch = Batch::new();
    let (_, chain, n) = ada.place_of(&posts[1]).unwrap();
    // The row of a change whose bytes are elsewhere; and they are not.
    batch.put(Table::Truth, keys::chain_change(&chain, n), posts[1].as_bytes().to_vec());
    ada.store().commit(batch).unwrap();
    let tips = docs.iter().flat_map(|doc| ada.carried_tips(doc).unwrap());
    let failed: Vec<_> = tips.filter_map(|tip| ada.carry(&tip).err()).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].to_string().contains("change 2 of device"), "{}", failed[0]);
}
