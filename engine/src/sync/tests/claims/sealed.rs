//! What is for some alone: posts to audiences, and direct messages.

use super::super::conversations::texts;
use super::*;
use crate::model::entry::Entry;
use crate::replica::{Circle, DirectDraft, MessageStanding, Text};
use crate::seal::{TEXT_STEP_BYTES, hint_of};
use crate::store::{Table, keys};
use crate::sync::exchange::Exchange;

fn sealed_of(id: ConversationId) -> Section {
    Section { space: Space::Conversation(id).id(), class: SectionClass::Private }
}

#[test]
fn claim_carriers_keep_what_is_sealed() {
    let mut scene = scene(700);
    for id in [scene.audience, scene.talk] {
        for who in [ADA, BOB, RELAY, PHONE] {
            assert_eq!(scene.pages(who, &id), 1, "{who}");
        }
        for who in [STRANGER, FRIEND] {
            assert_eq!(scene.pages(who, &id), 0, "{who}");
        }
    }
    // Who follows and is let keep what is private has the posts, and not what she says to others.
    let friend = scene.device(FRIEND);
    scene.replica(ADA).set_keeper(&friend, true).unwrap();
    scene.network.connect(ADA, FRIEND);
    settle(&mut scene.network);
    let pages = [scene.audience, scene.talk].map(|id| scene.pages(FRIEND, &id));
    assert_eq!(pages, [1, 0]);
}

#[test]
fn claim_it_has_the_key() {
    let scene = scene(710);
    for id in [scene.limited, scene.direct] {
        let access = scene.replica(ADA).access_to(&id).unwrap().unwrap();
        assert_eq!(access.audience, id == scene.limited);
        let readers: Vec<_> = access.readers.into_iter().collect();
        let mut expected = vec![(scene.ada, 2), (scene.bob, 1)];
        expected.sort_unstable();
        assert_eq!(readers, expected);
        // Who carries it sees the same.
        let access = scene.replica(RELAY).access_to(&id).unwrap().unwrap();
        assert_eq!(access.readers.into_iter().collect::<Vec<_>>(), expected);
    }
    // It is so: each of them opens it, the relay has the bytes and does not.
    for who in [ADA, BOB, PHONE] {
        assert_eq!(texts(scene.replica(who), &scene.talk), [DIRECT]);
        assert_eq!(
            scene.replica(who).show(&scene.limited).unwrap().text,
            Text::Here(LIMITED.into())
        );
    }
    assert!(scene.replica(RELAY).conversation(&scene.talk, 1).is_err());
    assert!(scene.replica(RELAY).show(&scene.limited).is_err());
    channels::has_the_key();
}

#[test]
fn claim_it_gets_the_next_key() {
    let mut scene = scene(720);
    for id in [scene.audience, scene.talk] {
        let access = scene.replica(ADA).access_to_conversation(&id).unwrap();
        assert_eq!(access.readers.into_iter().collect::<Vec<_>>().len(), 2);
    }
    scene.replica(ADA).change_reader(&scene.audience, scene.bob, false, false, NOW + 9).unwrap();
    let access = scene.replica(ADA).access_to_conversation(&scene.audience).unwrap();
    assert_eq!(access.readers.into_iter().collect::<Vec<_>>(), [(scene.ada, 2)]);
    let next = scene.replica(ADA).post_to(None, &scene.audience, "next", NOW + 10).unwrap();
    settle(&mut scene.network);
    assert!(scene.replica(BOB).show(&next).is_err());
    assert!(scene.replica(BOB).show(&scene.limited).is_ok(), "what he was given stays");
    let access = scene.replica(ADA).access_to(&next).unwrap().unwrap();
    assert!(!access.readers.contains_key(&scene.bob));
    channels::gets_the_next_key();
}

#[test]
fn claim_devices_linked_later_read_it() {
    let mut scene = scene(730);
    let tablet = link(&scene.network.parties[BOB], 737, "tablet");
    scene.network.parties.push(tablet);
    // Whom he follows his new device knows once it was in sync.
    let line = scene.network.connect(BOB, 6);
    settle(&mut scene.network);
    scene.network.disconnect(line);
    scene.network.connect(BOB, 6);
    for who in [BOB, ADA] {
        mend(&scene.network, who, NOW + 9);
        settle(&mut scene.network);
    }
    assert_eq!(texts(scene.replica(6), &scene.talk), [DIRECT]);
    let post = scene.replica(6).show(&scene.limited).unwrap();
    assert_eq!(post.text, Text::Here(LIMITED.into()));
}

#[test]
fn claim_carriers_see_who_when_and_sizes() {
    let mut scene = scene(740);
    for canary in [LIMITED, DIRECT, LIST] {
        assert_eq!(scene.rows_with(RELAY, canary.as_bytes()), 0, "{canary}");
    }
    assert!(scene.rows_with(RELAY, POST.as_bytes()) > 0);
    for (id, target, at) in
        [(scene.audience, scene.limited, NOW + 4), (scene.talk, scene.direct, NOW + 6)]
    {
        let replica = scene.replica(RELAY);
        let kept = replica.conversations_kept(&mut replica.lock()).unwrap();
        let kept = kept.values().find(|kept| kept.id == id).unwrap();
        let talk = replica.talk_of(&mut replica.lock(), &id, &kept.genesis).unwrap();
        assert!(talk.is_member(&scene.ada) && talk.is_member(&scene.bob));
        let entries = scene.entries(RELAY, &id);
        let sealed = entries.into_iter().find_map(|(time_ms, device, entry)| match entry {
            Entry::Sealed(sealed) => Some((time_ms, device, sealed)),
            _ => None,
        });
        let (time_ms, device, sealed) = sealed.unwrap();
        assert_eq!((time_ms, device), (at, scene.device(ADA)));
        // The text is known by one of few sizes.
        let size = sealed.bodies[0].size as usize;
        assert_eq!((size - 16) % TEXT_STEP_BYTES, 0, "{size}");
        match id == scene.audience {
            true => scene.replica(ADA).delete(target, NOW + 9).map(drop).unwrap(),
            false => scene.replica(ADA).delete_directly(&target, NOW + 9).map(drop).unwrap(),
        }
        settle(&mut scene.network);
        let entries = scene.entries(RELAY, &id);
        assert!(entries.iter().any(|(_, _, entry)| *entry == Entry::Tombstone { target }));
    }
}

#[test]
fn claim_readers_see_each_other() {
    let scene = scene(750);
    let bob = scene.replica(BOB);
    for id in [scene.audience, scene.talk] {
        let (_, talk) = bob.known_conversation(&mut bob.lock(), &id).unwrap();
        let others: Vec<_> = talk.present().copied().collect();
        assert!(others.contains(&scene.ada) && others.contains(&scene.bob));
    }
    let read = bob.conversation(&scene.talk, 10).unwrap();
    assert_eq!((read[0].time_ms, read[0].device), (NOW + 6, scene.device(ADA)));
    let post = bob.show(&scene.limited).unwrap();
    assert_eq!((post.time_ms, post.device), (NOW + 4, scene.device(ADA)));
}

#[test]
fn claim_readers_do_not_learn_its_name() {
    let scene = scene(760);
    assert_eq!(scene.replica(BOB).show(&scene.limited).unwrap().audience.unwrap(), "limited");
    assert_eq!(scene.rows_with(BOB, LIST.as_bytes()), 0);
    assert_eq!(scene.replica(ADA).show(&scene.limited).unwrap().audience.unwrap(), LIST);
}

#[test]
fn claim_strangers_see_nothing_sealed() {
    let scene = scene(770);
    for who in [STRANGER, FRIEND] {
        for canary in [LIMITED, DIRECT, LIST] {
            assert_eq!(scene.rows_with(who, canary.as_bytes()), 0);
        }
        for id in [scene.audience, scene.talk] {
            assert_eq!(scene.rows_with(who, id.as_bytes()), 0);
            assert_eq!(scene.rows_with(who, Space::Conversation(id).id().as_bytes()), 0);
        }
        let device = scene.device(who);
        for home in [ADA, BOB, RELAY, PHONE] {
            let replica = scene.replica(home);
            assert!(replica.introductions_to(&device, None).unwrap().1.is_empty());
            for id in [scene.audience, scene.talk] {
                assert!(!replica.may_read(&device, &sealed_of(id)).unwrap());
            }
        }
    }
}

/// Sealed entries that somebody has of a conversation, and how many of their texts.
fn held(scene: &Scene, who: usize, id: ConversationId) -> (usize, usize) {
    let entries = scene.entries(who, &id).into_iter();
    let sealed = entries.filter_map(|(_, _, entry)| match entry {
        Entry::Sealed(sealed) => Some(sealed.bodies),
        _ => None,
    });
    let sealed: Vec<_> = sealed.collect();
    let (all, replica) = (sealed.len(), scene.replica(who));
    let asks = scene.device(if who == ADA { BOB } else { ADA });
    let bodies = sealed.into_iter().flatten();
    let held = bodies.filter(|body| replica.blob_for(&asks, &body.hash).unwrap().is_some());
    (all, held.count())
}

/// A key a day after the last text under it, the half that opens copies of it later.
fn what_opens_it_is_erased(scene: &Scene, talk: ConversationId, text: &ChangeId) {
    let hint = match scene.replica(BOB).entry(text).unwrap() {
        Some((_, Entry::Sealed(sealed))) => sealed.entry.epoch,
        other => panic!("{other:?}"),
    };
    let has_key = |who: usize| {
        let (replica, circle) = (scene.replica(who), Circle::Conversation(talk));
        let (_, talk) = replica.known_conversation(&mut replica.lock(), &talk).unwrap();
        let mut named = talk.epochs.iter().filter(|(epoch, _)| hint_of(epoch) == hint);
        named.any(|(epoch, known)| {
            replica.circle_key(&mut replica.lock(), &circle, epoch, known).is_some()
        })
    };
    let halves = |who: usize| {
        let rows = scene.replica(who).store().scan(Table::Meta, keys::PREKEYS, None, false, 10);
        rows.unwrap().into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    scene.replica(BOB).tend_prekeys(NOW + 3002).unwrap();
    let first = halves(BOB);
    assert!(has_key(BOB) && !first.is_empty());
    for days in [2, 31, 91, 92] {
        let now = NOW + days * 24 * 3_600_000 + 3003;
        scene.replica(BOB).expire(now).unwrap();
        scene.replica(BOB).forget_keys(now).unwrap();
        scene.replica(BOB).tend_prekeys(now).unwrap();
        assert!(!has_key(BOB), "{days}");
        // A clock that leaps to day 91 alone is not believed.
        assert_eq!(halves(BOB).contains(&first[0]), days < 92);
    }
}

#[test]
fn claim_expired_texts_are_dropped() {
    let mut scene = scene(795);
    let talk = scene.talk;
    let draft = |text: &str, after_ms| DirectDraft {
        text: text.into(),
        expires_after_ms: after_ms,
        ..DirectDraft::default()
    };
    // One clock is ahead: what is over by it is not taken in at all.
    scene.replica(PHONE).expire(NOW + 10_000).unwrap();
    let ada = scene.replica(ADA);
    let short = ada.say_directly(None, &talk, &draft("soon gone", Some(1000)), NOW + 9).unwrap();
    ada.edit_directly(&short, "soon gone, too", NOW + 10).unwrap();
    settle(&mut scene.network);
    assert_eq!(texts(scene.replica(BOB), &talk), [DIRECT, "soon gone, too"]);
    assert_eq!(texts(scene.replica(PHONE), &talk), [DIRECT, "Expired"]);
    for (who, texts) in [(ADA, 3), (BOB, 3), (RELAY, 3), (PHONE, 1)] {
        assert_eq!(held(&scene, who, talk), (3, texts), "{who}");
    }
    assert_eq!(scene.replica(BOB).expire(NOW + 1008).unwrap(), 0);
    for who in [BOB, RELAY] {
        assert_eq!(scene.replica(who).next_expiry().unwrap(), Some(NOW + 1009));
        assert_eq!(scene.replica(who).expire(NOW + 1009).unwrap(), 2, "{who}");
        assert_eq!(scene.replica(who).next_expiry().unwrap(), None);
    }
    // Ada has it still, and gives it to nobody again.
    for who in [BOB, RELAY] {
        scene.network.connect(ADA, who);
    }
    settle(&mut scene.network);
    for (who, texts) in [(ADA, 3), (BOB, 1), (RELAY, 1), (PHONE, 1)] {
        assert_eq!(held(&scene, who, talk), (3, texts), "{who}");
    }
    assert_eq!(texts(scene.replica(BOB), &talk), [DIRECT, "Expired"]);
    assert!(scene.replica(ADA).edit_directly(&short, "late", NOW + 1009).is_err());
    // From now on all that is said there.
    scene.replica(BOB).expire_conversation(&talk, 5000, NOW + 2000).unwrap();
    settle(&mut scene.network);
    let ada = scene.replica(ADA);
    let view = &ada.conversations().unwrap()[0];
    assert_eq!(view.expires_after_ms, 5000);
    say(ada, &talk, "for a while", NOW + 3000).unwrap();
    ada.say_directly(None, &talk, &draft("for ever", Some(0)), NOW + 3001).unwrap();
    settle(&mut scene.network);
    what_opens_it_is_erased(&scene, talk, &short);
    for who in [ADA, BOB, RELAY] {
        assert!(scene.replica(who).verify().unwrap().problems.is_empty());
        scene.replica(who).expire(NOW + 8000).unwrap();
        assert!(scene.replica(who).verify().unwrap().problems.is_empty());
    }
    for who in [ADA, BOB] {
        assert_eq!(texts(scene.replica(who), &talk), [DIRECT, "Expired", "Expired", "for ever"]);
    }
    assert_eq!(held(&scene, RELAY, talk).1, 2);
    assert!(scene.replica(ADA).expire_conversation(&talk, u64::MAX, NOW + 9000).is_err());
    scene.replica(ADA).expire_conversation(&talk, 0, NOW + 9000).unwrap();
    assert_eq!(scene.replica(ADA).conversations().unwrap()[0].expires_after_ms, 0);
}

#[test]
fn claim_deleted_sealed_texts_are_dropped() {
    let mut scene = scene(780);
    for id in [scene.audience, scene.talk] {
        assert!([ADA, BOB, RELAY].iter().all(|who| held(&scene, *who, id).1 == 1));
    }
    for text in [scene.limited, scene.direct] {
        assert!(!scene.replica(RELAY).is_text_dropped(&text).unwrap());
    }
    scene.replica(ADA).delete(scene.limited, NOW + 9).unwrap();
    scene.replica(ADA).delete_directly(&scene.direct, NOW + 9).unwrap();
    settle(&mut scene.network);
    for id in [scene.audience, scene.talk] {
        for who in [ADA, BOB, RELAY, PHONE] {
            assert_eq!(held(&scene, who, id), (1, 0), "{who}: the place stays, the text goes");
            for text in [scene.limited, scene.direct] {
                assert!(scene.replica(who).is_text_dropped(&text).unwrap(), "{who}: it says so");
            }
        }
    }
    assert_eq!(texts(scene.replica(BOB), &scene.talk), ["Deleted"]);
}

#[test]
fn claim_who_was_taken_out_keeps_what_is_deleted() {
    let mut scene = scene(785);
    let group = scene.replica(ADA).found_group("crew", &[scene.bob], NOW + 9).unwrap();
    let said = say(scene.replica(ADA), &group, DIRECT, NOW + 10).unwrap();
    settle(&mut scene.network);
    scene.replica(ADA).change_reader(&scene.audience, scene.bob, false, false, NOW + 11).unwrap();
    scene.replica(ADA).change_member(&group, scene.bob, false, NOW + 11).unwrap();
    scene.replica(ADA).delete(scene.limited, NOW + 12).unwrap();
    scene.replica(ADA).delete_directly(&said, NOW + 12).unwrap();
    settle(&mut scene.network);
    assert_eq!(texts(scene.replica(PHONE), &group), ["Deleted"]);
    assert_eq!(scene.replica(PHONE).show(&scene.limited).unwrap().text, Text::Deleted);
    assert_eq!(texts(scene.replica(BOB), &group), [DIRECT]);
    let kept = scene.replica(BOB).show(&scene.limited).unwrap();
    assert_eq!(kept.text, Text::Here(LIMITED.into()));
}

#[test]
fn claim_a_thief_reads_what_the_device_does() {
    let mut scene = scene(790);
    let thief = scene.replica(PHONE);
    assert_eq!(texts(thief, &scene.talk), [DIRECT]);
    assert_eq!(thief.show(&scene.limited).unwrap().text, Text::Here(LIMITED.into()));
    assert!(thief.drafts().unwrap().iter().any(|draft| draft.text == DRAFT));
    let stolen = scene.device(PHONE);
    scene.replica(ADA).revoke_device(stolen, "stolen", NOW + 9).unwrap();
    settle(&mut scene.network);
    scene.network.connect(PHONE, RELAY);
    scene.network.connect(PHONE, BOB);
    let edit = DraftEdit { text: Some("second draft".into()), ..DraftEdit::default() };
    scene.replica(ADA).save_draft(None, edit, NOW + 10).unwrap();
    say(scene.replica(ADA), &scene.talk, "second", NOW + 10).unwrap();
    say(scene.replica(BOB), &scene.talk, "third", NOW + 11).unwrap();
    let post = scene.replica(ADA).post_to(None, &scene.audience, "fourth", NOW + 12).unwrap();
    settle(&mut scene.network);
    let thief = scene.replica(PHONE);
    let read = thief.conversation(&scene.talk, 10).unwrap();
    let open = read.iter().filter(|message| message.standing == MessageStanding::Open);
    assert_eq!(open.count(), 1, "what it had it keeps, and nothing more");
    assert_eq!(texts(thief, &scene.talk)[0], DIRECT);
    assert!(thief.show(&post).is_err());
    assert!(thief.drafts().unwrap().iter().all(|draft| draft.text == DRAFT));
    assert_eq!(texts(scene.replica(BOB), &scene.talk), [DIRECT, "second", "third"]);
}
