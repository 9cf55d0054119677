//! Both forms of seals: what each costs, that the first is read as ever, and that a text of the second,
//! which proves nothing itself, is shown where its entry names it and nowhere else.

use bytes::Bytes;

use super::hostile::{entries, sealed_entries};
use super::{friends, run, say, texts};
use crate::chain::ChainKey;
use crate::description::Description;
use crate::entropy::SeededEntropy;
use crate::hash::{
    AccountId, BlobHash, ChangeId, ConversationId, DeviceId, DocumentId, Incarnation, Link, SpaceId,
};
use crate::limits::{PRIVATE_MENTIONS_MAX, SEALED_TEXT_BYTES_MAX};
use crate::model::entry::{
    BodyRef, Entry, Message, Private, PrivateWhat, Sealed, Spoken, Who, with_mentions,
};
use crate::replica::{DirectDraft, MessageStanding, Replica, Text, Work};
use crate::seal::{Beside, EpochKey, SealForm, SealPlace, SealedEntry, seal_body, seal_first_body};
use crate::sync::tests::replicas::NOW;

/// Where an author's next entry will stand, and a key that he holds.
fn next_place(replica: &Replica, id: &ConversationId) -> (EpochKey, SealPlace) {
    replica.conversation(id, 1).unwrap();
    let page = Description::conversation(*id, replica.account().unwrap(), 0);
    let mut state = replica.lock();
    let key = state.circle_keys.values().find_map(|held| held.key.clone()).unwrap();
    let (chain, held) = replica.own_chain(&mut state, &page).unwrap();
    let (n, previous_link) = (held.held + 1, held.link);
    (key, SealPlace { space: page.space.id(), chain, n, previous_link })
}

/// Writes an entry that says `plain` beside bytes that it calls its text.
fn speak(
    replica: &Replica,
    id: &ConversationId,
    form: SealForm,
    plain: &[u8],
    text: &[u8],
    now: u64,
) -> ChangeId {
    let (key, place) = next_place(replica, id);
    let bodies = vec![BodyRef { hash: BlobHash::of(text), size: text.len() as u64 }];
    let (header, entropy) = (Sealed::header_in(form, &bodies, 0), SeededEntropy::new(place.n));
    let entry = match form {
        SealForm::First => SealedEntry::seal_first(&key, &place, &header, plain, &entropy),
        SealForm::Second => SealedEntry::seal(&key, &place, &header, plain, &entropy),
    };
    let sealed = Sealed { bodies, expires_ms: 0, entry: entry.unwrap() };
    let page = Description::conversation(*id, replica.account().unwrap(), 0);
    let (mut state, mut work) = (replica.lock(), Work::default());
    work.arriving.insert(BlobHash::of(text), Bytes::copy_from_slice(text));
    let entry = Entry::Sealed(Box::new(sealed));
    let written = replica.append(&mut state, &mut work, &page, entry, now).unwrap();
    replica.finish(state, work).unwrap();
    written
}

#[test]
fn what_was_sealed_in_the_first_form_is_read() {
    let (mut network, ada, bob, _) = friends(300);
    let author = &network.parties[0].replica;
    let id = author.converse_with(bob, NOW + 1).unwrap();
    let second = say(author, &id, "second", NOW + 2).unwrap();
    let (key, place) = next_place(author, &id);
    let doc = (&place.space, &place.chain.doc);
    let first_text =
        |text: &str| seal_first_body(&key, doc, text.as_bytes(), &SeededEntropy::new(7));
    let answer = [&[2][..], second.as_bytes()].concat();
    let answer = speak(author, &id, SealForm::First, &answer, &first_text("first"), NOW + 3);
    speak(author, &id, SealForm::First, &[1], &first_text("plain"), NOW + 4);
    let edit = [&[3][..], second.as_bytes()].concat();
    speak(author, &id, SealForm::First, &edit, &first_text("edited"), NOW + 5);
    let reply = DirectDraft { text: "third".into(), target: Some(answer), ..Default::default() };
    author.say_directly(None, &id, &reply, NOW + 6).unwrap();
    author.edit_directly(&answer, "edited, too", NOW + 7).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.converse_with(ada, NOW + 8).unwrap();
    for home in &network.parties {
        assert_eq!(texts(&home.replica, &id), ["edited", "edited, too", "plain", "third"]);
        let shown = home.replica.conversation(&id, 10).unwrap();
        let targets: Vec<_> = shown.iter().map(|message| message.target).collect();
        assert_eq!(targets, [None, Some(second), None, Some(answer)]);
    }
    // Nothing new is written in it, and who carries it sees which form each is of.
    let author = &network.parties[0].replica;
    let forms: Vec<_> =
        sealed_entries(author, &id).iter().map(|sealed| sealed.entry.form()).collect();
    let (first, second) = (SealForm::First, SealForm::Second);
    assert_eq!(forms, [second, first, first, first, second, second]);
    for (_, entry) in entries(author, &id) {
        if let Entry::Sealed(sealed) = &entry {
            let expected = if sealed.entry.form() == first { 1 } else { 5 };
            assert_eq!(entry.encode()[..2], [0x0b, expected]);
            assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(&entry));
        }
    }
}

#[test]
fn the_longest_text_answers_too() {
    let (mut network, ada, bob, _) = friends(305);
    let author = &network.parties[0].replica;
    let id = author.converse_with(bob, NOW + 1).unwrap();
    let target = Some(say(author, &id, "?", NOW + 2).unwrap());
    let text = "x".repeat(SEALED_TEXT_BYTES_MAX);
    let draft = DirectDraft { text: text.clone(), target, ..Default::default() };
    author.say_directly(None, &id, &draft, NOW + 3).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.converse_with(ada, NOW + 4).unwrap();
    let shown = network.parties[1].replica.conversation(&id, 10).unwrap();
    assert_eq!((shown[1].target, &shown[1].text), (target, &Text::Here(text)));
}

#[test]
fn a_text_is_shown_where_its_entry_names_it_alone() {
    let (mut network, ada, bob, _) = friends(310);
    let id = network.parties[0].replica.converse_with(bob, NOW + 1).unwrap();
    let said = say(&network.parties[0].replica, &id, "I owe you a hundred", NOW + 2).unwrap();
    network.refresh();
    run(&mut network);
    network.parties[1].replica.converse_with(ada, NOW + 3).unwrap();
    let liar = &network.parties[1].replica;
    let of_ada = sealed_entries(liar, &id).remove(0).bodies[0].hash;
    let device = network.parties[0].replica.device().unwrap();
    let taken = network.parties[0].replica.blob_for(&liar.device().unwrap(), &of_ada).unwrap();
    assert!(taken.is_some() && liar.blob_for(&device, &of_ada).unwrap().is_some());
    let taken = liar.blob_bytes(&of_ada).unwrap().unwrap();
    let (key, place) = next_place(liar, &id);
    let own = |text: &[u8], space: &SpaceId, doc: &DocumentId, beside: Beside| {
        seal_body(&key, (space, doc), text, &beside, &SeededEntropy::new(3)).unwrap()
    };
    let (space, doc) = (place.space, place.chain.doc);
    let elsewhere = SpaceId::from_bytes([9; 32]);
    let edit = |target: &ChangeId| [&[3][..], target.as_bytes()].concat();
    let mut cut = own(b"a text that is cut short of a step", &space, &doc, Beside::Nothing);
    cut.truncate(cut.len() - 32);
    let mine = say(liar, &id, "mine", NOW + 4).unwrap();
    let first = seal_first_body(&key, (&space, &doc), b"first", &SeededEntropy::new(4));
    let lies: [(&[u8], Vec<u8>); 7] = [
        // Sealed in the document of somebody else, or in another space.
        (b"", taken.to_vec()),
        (b"", own(b"x", &elsewhere, &doc, Beside::Nothing)),
        // Cut short, or longer than it is padded to.
        (b"", cut),
        (b"", [own(b"x", &space, &doc, Beside::Nothing), vec![0; 32]].concat()),
        // Of the other form, no text at all, and no text in the words of people.
        (b"", first),
        (b"", vec![0x80; 48]),
        (b"", own(&[0xff; 20], &space, &doc, Beside::Nothing)),
    ];
    for (n, (plain, text)) in lies.iter().enumerate() {
        speak(liar, &id, SealForm::Second, plain, text, NOW + 5 + n as u64);
    }
    run(&mut network);
    for home in &network.parties {
        let shown = home.replica.conversation(&id, 100).unwrap();
        assert_eq!((shown[0].id, shown.len()), (said, 9));
        for message in &shown[2..] {
            let why = MessageStanding::Refused("its text is not what was sealed");
            assert_eq!(message.standing, why, "{message:?}");
        }
        assert_eq!(texts(&home.replica, &id)[..2], ["I owe you a hundred", "mine"]);
    }
    // Nobody is mentioned in a conversation.
    let liar = &network.parties[1].replica;
    let text = own(&with_mentions(&[Who::Account(bob)], "x"), &space, &doc, Beside::Mentions);
    let mentioning = speak(liar, &id, SealForm::Second, b"", &text, NOW + 19);
    run(&mut network);
    for home in &network.parties {
        let shown = home.replica.conversation(&id, 100).unwrap();
        let one = shown.iter().find(|one| one.id == mentioning).unwrap();
        assert_eq!(one.standing, MessageStanding::Refused("its text is not what was sealed"));
    }
    // An edit has the text of an edit: what its message answers, the message says.
    let liar = &network.parties[1].replica;
    let text = own(b"x", &space, &doc, Beside::Answers(said));
    speak(liar, &id, SealForm::Second, &edit(&mine), &text, NOW + 20);
    run(&mut network);
    // Who takes part says all of it in one form: a message that says again what it is ends its chain.
    let liar = &network.parties[1].replica;
    let text = own(b"y", &space, &doc, Beside::Nothing);
    speak(liar, &id, SealForm::Second, &[1], &text, NOW + 21);
    run(&mut network);
    for home in &network.parties {
        let shown = texts(&home.replica, &id);
        assert!(shown[1].contains("its text is not what was sealed"), "{shown:?}");
        assert_eq!(shown.last().unwrap(), "Refused(\"does not open\")");
        assert_eq!(shown[0], "I owe you a hundred");
    }
}

/// Bytes of an entry with those of its text.
fn whole(entry: &Entry, text: u64) -> i64 {
    (entry.encode().len() as u64 + text) as i64
}

/// The most that sealing adds to a message whose text is below 1 KiB, whatever it answers and whomever it
/// mentions: 80 bytes, padding included.
#[test]
fn sealing_adds_at_most_eighty_bytes_to_a_message() {
    let key = EpochKey::from_bytes([7; 32]);
    let chain = ChainKey {
        doc: DocumentId::from_bytes([2; 32]),
        device: DeviceId::from_bytes([3; 32]),
        incarnation: Incarnation::from_bytes([4; 16]),
    };
    let (space, previous_link) = (SpaceId::from_bytes([1; 32]), Link::from_bytes([5; 32]));
    let place = SealPlace { space, chain, n: 7, previous_link };
    let entropy = SeededEntropy::new(1);
    let seal = |header: &[u8], plain: &[u8]| {
        SealedEntry::seal(&key, &place, header, plain, &entropy).unwrap()
    };
    let sealed_body = |text: &[u8], beside: &Beside| {
        let text = seal_body(&key, (&space, &chain.doc), text, beside, &entropy);
        BodyRef { hash: BlobHash::of(b"x"), size: text.unwrap().len() as u64 }
    };
    let (mut most, mut least) = ([0; 3], [i64::MAX; 3]);
    let mut note = |of: usize, added: i64| {
        (most[of], least[of]) = (most[of].max(added), least[of].min(added));
    };
    for len in 1..1024 {
        let text = "x".repeat(len);
        let clear_body = BodyRef { hash: BlobHash::of(b"x"), size: 16 + len as u64 };
        for target in [None, Some(ChangeId::from_bytes([9; 32]))] {
            for people in 0..=PRIVATE_MENTIONS_MAX {
                let account = |n| Who::Account(AccountId::from_bytes([n as u8; 32]));
                let mentions: Vec<Who> = (0..people).map(account).collect();
                let clear = Entry::Message(Box::new(Message {
                    target,
                    body: clear_body,
                    attachments: Vec::new(),
                    mentions: mentions.clone(),
                    claimed: None,
                }));
                let clear = whole(&clear, clear_body.size);
                let body = match people {
                    0 => sealed_body(text.as_bytes(), &Beside::Nothing),
                    _ => sealed_body(&with_mentions(&mentions, &text), &Beside::Mentions),
                };
                let what = PrivateWhat::Message { target, body };
                let private = Private { what, entry: seal(&what.header(), b"") };
                note(0, whole(&Entry::Private(Box::new(private)), body.size) - clear);
                if people > 0 {
                    continue;
                }
                let body =
                    sealed_body(text.as_bytes(), &target.map_or(Beside::Nothing, Beside::Answers));
                let entry = seal(&Sealed::header(&[body], 0), &Spoken::Message { target }.encode());
                let direct = Sealed { bodies: vec![body], expires_ms: 0, entry };
                let direct = whole(&Entry::Sealed(Box::new(direct)), body.size);
                note(1, direct - clear);
                let post = Entry::Post {
                    body: clear_body,
                    attachments: Vec::new(),
                    quote: None,
                    origin: None,
                    text: None,
                };
                if target.is_none() {
                    note(2, direct - whole(&post, clear_body.size));
                }
            }
        }
    }
    assert_eq!((least, most), ([47, 47, 48], [80, 79, 80]));
}
