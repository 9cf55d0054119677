//! Posts from elsewhere: dates kept, nothing twice, on no device.

use mosaic_engine::hash::{ChangeId, HubId};
use mosaic_engine::model::entry::{ChannelFields, Claimed, Origin, Permissions};
use mosaic_engine::replica::{
    EngineError, HubStart, IMPORT_POSTS_MAX, Import, MessageDraft, MessageImport, Replica,
};

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

fn hub(replica: &Replica) -> (HubId, Vec<ChangeId>) {
    let channel = |name: &str| ChannelFields {
        name: name.into(),
        topic: String::new(),
        category: String::new(),
        read_only: false,
        readers: None,
    };
    let start = HubStart {
        name: "Boats".into(),
        about: String::new(),
        everyone: Permissions::SEND,
        channels: vec![channel("general"), channel("old")],
        forked_from: None,
        private: false,
    };
    let hub = replica.create_hub(start, NOW).unwrap();
    let channels = replica.hub(&hub, |hub| hub.channels()).unwrap();
    (hub, channels.iter().map(|view| view.id).collect())
}

fn message(n: u64, after: &[u64]) -> MessageImport {
    let id = |n: &u64| format!("mid:{n}@boats.example");
    let origin = Origin { source: "boats".into(), id: id(&n), link: String::new() };
    let claimed = Some(Claimed { origin, author: format!("Person {n}") });
    MessageImport {
        draft: MessageDraft { text: format!("text {n}"), claimed, ..MessageDraft::default() },
        after: after.iter().map(id).collect(),
        time_ms: NOW - 1_000_000 + n,
    }
}

#[test]
fn messages_come_into_a_channel_once_with_author_date_and_thread() {
    let (ada, _) = person(1, "ada");
    let phone = link(&ada, 2, "phone");
    let (hub, channels) = hub(&ada);
    let (general, old) = (&channels[0], &channels[1]);
    // What is not here is passed over; of several parents the first that is here counts.
    let some = vec![message(1, &[]), message(2, &[9, 1])];
    let first = ada.import_messages(&hub, general, some, NOW).unwrap();
    let all = vec![message(1, &[]), message(2, &[1]), message(3, &[2, 1]), message(3, &[])];
    let again = ada.import_messages(&hub, general, all, NOW + 1).unwrap();
    let added: Vec<_> = again.iter().map(|imported| imported.added).collect();
    assert_eq!(added, [false, false, true, false]);
    assert_eq!(again[1].id, first[1].id);
    let thread = ada.thread(&first[0].id).unwrap();
    assert_eq!(thread.iter().map(|(depth, _)| *depth).collect::<Vec<_>>(), [0, 1, 2]);
    let last = &thread[2].1;
    assert_eq!(
        (last.time_ms, last.claimed.as_ref().unwrap().author.as_str()),
        (NOW - 999_997, "Person 3")
    );
    // Another channel is another place, and a thread does not lead out of it.
    let other = ada.import_messages(&hub, old, vec![message(2, &[1])], NOW + 2).unwrap();
    assert!(other[0].added);
    assert_eq!(ada.message(&other[0].id).unwrap().target, None);
    assert_eq!(ada.imported("mid:1@boats.example").unwrap(), None, "no post of the wall");
    // What was deleted stays so, on the other device too.
    ada.delete(first[0].id, NOW + 3).unwrap();
    give(&ada, &phone);
    let there = phone.import_messages(&hub, general, vec![message(1, &[])], NOW + 4).unwrap();
    assert!(!there[0].added);
    sound(&phone);
}

#[test]
fn too_many_messages_and_a_channel_that_is_not_there_are_refused() {
    let (ada, _) = person(1, "ada");
    let (hub, channels) = hub(&ada);
    let many = (0..IMPORT_POSTS_MAX as u64 + 1).map(|n| message(n, &[])).collect();
    let refused = ada.import_messages(&hub, &channels[0], many, NOW);
    assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    let mut bare = message(1, &[]);
    bare.draft.claimed = None;
    let refused = ada.import_messages(&hub, &channels[0], vec![message(0, &[]), bare], NOW);
    assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    let nowhere = ChangeId::from_bytes([7; 32]);
    let refused = ada.import_messages(&hub, &nowhere, vec![message(0, &[])], NOW);
    assert!(matches!(refused, Err(EngineError::NotFound { .. })), "{refused:?}");
    assert!(ada.channel(&hub, &channels[0], None, 9, true).unwrap().is_empty());
    let long = MessageDraft { text: "x".repeat(300 * 1024), ..MessageDraft::default() };
    assert!(matches!(Replica::check_message(&long), Err(EngineError::TextTooLong { .. })));
}
