//! Posts from elsewhere: dates kept, nothing twice, on no device.

use mosaic_engine::model::entry::Origin;
use mosaic_engine::replica::{EngineError, IMPORT_POSTS_MAX, Import};

use super::{NOW, draft, give, link, person, sound};

fn post(n: u64) -> Import {
    Import {
        draft: draft(&format!("text {n}")),
        origin: Origin {
            source: "Old blog".into(),
            id: format!("tag:blog.example,2019:{n}"),
            link: format!("https://blog.example/{n}"),
        },
        after: None,
        time_ms: NOW - 1_000_000 + n,
    }
}

fn all(count: u64) -> Vec<Import> {
    (0..count).map(post).collect()
}

#[test]
fn what_is_there_is_not_written_again_on_any_device() {
    let (ada, account) = person(1, "ada");
    let phone = link(&ada, 2, "phone");
    let first = ada.import(all(3), NOW).unwrap();
    assert!(first.iter().all(|imported| imported.added));
    let again = ada.import(all(4), NOW + 1).unwrap();
    let added: Vec<_> = again.iter().map(|imported| imported.added).collect();
    assert_eq!(added, [false, false, false, true]);
    assert_eq!(again[1].id, first[1].id);
    give(&ada, &phone);
    // A device that imports the same knows what the other one wrote, also what was deleted.
    ada.delete(first[0].id, NOW + 2).unwrap();
    give(&ada, &phone);
    let there = phone.import(all(4), NOW + 3).unwrap();
    assert!(there.iter().all(|imported| !imported.added), "{there:?}");
    let wall = phone.wall(&account, None, 10).unwrap();
    let times: Vec<_> = wall.iter().map(|view| view.time_ms).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let origin = wall[0].origin.as_ref().unwrap();
    assert_eq!(origin.id, "tag:blog.example,2019:3");
    assert_eq!(wall[0].time_ms, NOW - 1_000_000 + 3);
    sound(&phone);
}

#[test]
fn a_thread_quotes_what_it_goes_on_from_and_one_id_counts_once() {
    let (ada, _) = person(1, "ada");
    let mut next = post(1);
    next.after = Some(post(0).origin.id);
    let done = ada.import(vec![post(0), next, post(0)], NOW).unwrap();
    assert_eq!(done[2].id, done[0].id);
    assert!(!done[2].added);
    let view = ada.show(&done[1].id).unwrap();
    assert_eq!(view.quote.unwrap().entry, done[0].id);
}

#[test]
fn all_or_none_is_written() {
    let (ada, account) = person(1, "ada");
    let mut bad = all(3);
    bad[2].draft.text.clear();
    assert!(matches!(ada.import(bad, NOW), Err(EngineError::Invalid(_))));
    let mut long = all(2);
    long[1].origin.id = "x".repeat(2001);
    assert!(ada.import(long, NOW).is_err());
    assert!(ada.import(all(IMPORT_POSTS_MAX as u64 + 1), NOW).is_err());
    assert!(ada.wall(&account, None, 10).unwrap().is_empty());
    assert_eq!(ada.imported(&post(0).origin.id).unwrap(), None);
    assert!(ada.import(all(1), NOW).unwrap()[0].added);
}
