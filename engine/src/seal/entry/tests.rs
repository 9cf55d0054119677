use super::*;
use crate::chain::ChainKey;
use crate::entropy::SeededEntropy;
use crate::hash::{DeviceId, Incarnation, Link};

fn place(n: u64) -> SealPlace {
    let chain = ChainKey {
        doc: DocumentId::from_bytes([2; 32]),
        device: DeviceId::from_bytes([3; 32]),
        incarnation: Incarnation::from_bytes([4; 16]),
    };
    let previous_link = Link::from_bytes([5; 32]);
    SealPlace { space: SpaceId::from_bytes([1; 32]), chain, n, previous_link }
}

type Seal = fn(&EpochKey, &SealPlace, &[u8], &[u8], &dyn Entropy) -> Result<SealedEntry, SealError>;

#[test]
fn entries_open_where_they_stand_and_nowhere_else() {
    let entropy = SeededEntropy::new(1);
    let (key, other) = (EpochKey::generate(&entropy), EpochKey::generate(&entropy));
    for seal in [SealedEntry::seal as Seal, SealedEntry::seal_first as Seal] {
        let sealed = seal(&key, &place(7), b"head", b"hello", &entropy).unwrap();
        assert_eq!(sealed.open(&key, &place(7), b"head").unwrap(), b"hello");
        assert!(matches!(
            sealed.open(&other, &place(7), b"head"),
            Err(SealError::OtherEpoch { .. })
        ));
        assert_eq!(sealed.open(&key, &place(7), b"hear"), Err(SealError::Open));
        // Another place makes another key, or does not fit what was sealed along.
        assert_eq!(sealed.open(&key, &place(8), b"head"), Err(SealError::KeyCheck));
        let mut moved = place(7);
        moved.previous_link = Link::from_bytes([6; 32]);
        assert_eq!(sealed.open(&key, &moved, b"head"), Err(SealError::Open));
        let mut moved = place(7);
        moved.space = SpaceId::from_bytes([9; 32]);
        assert_eq!(sealed.open(&key, &moved, b"head"), Err(SealError::Open));
        let mut moved = place(7);
        moved.chain.doc = DocumentId::from_bytes([9; 32]);
        assert_eq!(sealed.open(&key, &moved, b"head"), Err(SealError::KeyCheck));
        for byte in 0..sealed.ciphertext.len() {
            let mut altered = sealed.clone();
            altered.ciphertext[byte] ^= 1;
            assert_eq!(altered.open(&key, &place(7), b"head"), Err(SealError::Open));
        }
        for len in 0..sealed.ciphertext.len() {
            let mut short = sealed.clone();
            short.ciphertext.truncate(len);
            assert_eq!(short.open(&key, &place(7), b"head"), Err(SealError::Open));
        }
    }
}

/// An entry that says nothing beside its text costs its name, its salt and its proof.
#[test]
fn an_entry_costs_48_bytes() {
    let entropy = SeededEntropy::new(1);
    let key = EpochKey::generate(&entropy);
    let size = |plain: &[u8]| {
        let sealed = SealedEntry::seal(&key, &place(7), b"head", plain, &entropy).unwrap();
        assert_eq!(sealed.open(&key, &place(7), b"head").unwrap(), plain);
        let mut w = Writer::new();
        sealed.encode(&mut w);
        w.finish().len()
    };
    assert_eq!((SealedEntry::OVERHEAD_BYTES, size(b"")), (48, 48));
    assert_eq!((size(b"x"), size(&[b'x'; 63]), size(&[b'x'; 64])), (112, 112, 176));
}

/// The bytes that the documentation promises, put together by hand.
#[test]
fn entries_are_frozen_in_both_forms() {
    let key = EpochKey::from_bytes([7; 32]);
    let (place, n) = (place(7), 7u64.to_be_bytes());
    let epoch = derive("mosaic epoch 1", &[&[7; 32]]);
    let associated = [&[1; 32][..], &[2; 32], &[3; 32], &[4; 16], &n, &[5; 32], &epoch].concat();
    let mut said = [0; 64];
    said[..6].copy_from_slice(b"hello\x80");
    for (form, context, salt, plain, padded) in [
        (SealForm::First, "mosaic entry key 1", &[8; 16][..], &b"hello"[..], &said[..]),
        (SealForm::First, "mosaic entry key 1", &[8; 16], b"h", b"h\x80"),
        (SealForm::Second, "mosaic entry key 2", &[8; 8], b"hello", &said),
        (SealForm::Second, "mosaic entry key 2", &[8; 8], b"", b""),
    ] {
        let parts: [&[u8]; 6] = [&[7; 32], &[2; 32], &[3; 32], &[4; 16], &n, salt];
        let entry_key = derive(context, &parts);
        let check = derive("mosaic key check 1", &[&entry_key]);
        let payload = Payload { msg: padded, aad: &[&associated[..], b"head"].concat() };
        let cipher = XChaCha20Poly1305::new((&entry_key).into());
        let ciphertext = cipher.encrypt(&XNonce::from([0; 24]), payload).unwrap();
        let bytes = [&epoch[..8], &check[..16], salt, &ciphertext].concat();
        let sealed = SealedEntry::decode(&mut Reader::new(&bytes), form).unwrap();
        assert_eq!(
            (sealed.form(), sealed.open(&key, &place, b"head").unwrap()),
            (form, plain.to_vec())
        );
        let mut w = Writer::new();
        sealed.encode(&mut w);
        assert_eq!(w.finish(), bytes);
        // Taken for one of the other form it is none.
        let other = match form {
            SealForm::First => SealForm::Second,
            SealForm::Second => SealForm::First,
        };
        let taken = SealedEntry::decode(&mut Reader::new(&bytes), other).unwrap();
        assert_eq!(taken.open(&key, &place, b"head"), Err(SealError::KeyCheck));
    }
    // What this version seals, as numbers.
    let sealed = SealedEntry::seal(&key, &place, b"head", b"", &SeededEntropy::new(1)).unwrap();
    let mut w = Writer::new();
    sealed.encode(&mut w);
    assert_eq!(
        hex(&w.finish()),
        "c5cb99fd62878d691db5f3008c6481e762d407c5aee2cba2854e95a0fb1b1507\
         3e534b72b275d5c3019b694a17eba8f6"
    );
    let doc = (&place.space, &place.chain.doc);
    let target = ChangeId::from_bytes([9; 32]);
    let beside = Beside::Answers(target);
    let body = seal_body(&key, doc, b"yes", &beside, &SeededEntropy::new(1)).unwrap();
    assert_eq!(
        hex(&body),
        "854e95a0fb1b15079c60940d286395d293223f1b7962e3e5485796dff2a84e74\
         ba022cee07ea39e34f66f4e4897f1cd4aad057261646ca2b200bfedd99bbf0f4\
         2e6294a43eaf44d66661ef543a4bddac"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bodies_are_frozen_in_both_forms() {
    let key = EpochKey::from_bytes([7; 32]);
    let (space, doc) = (SpaceId::from_bytes([1; 32]), DocumentId::from_bytes([2; 32]));
    let parts: [&[u8]; 4] = [&[7; 32], &[1; 32], &[2; 32], &[8; 16]];
    let (mut text, mut answer, mut mentions) = ([0; 32], [0; 64], [0; 32]);
    text[..5].copy_from_slice(b"text\x80");
    mentions[..5].copy_from_slice(b"text\x82");
    answer[..4].copy_from_slice(b"text");
    answer[4..36].fill(9);
    answer[36] = 0x81;
    let first = XChaCha20Poly1305::new((&derive("mosaic body key 1", &parts)).into());
    let first = first.encrypt(&XNonce::from([0; 24]), Payload { msg: &text, aad: &[1; 32] });
    let stream = |mut bytes: Vec<u8>| {
        let key = derive("mosaic body key 2", &parts);
        ChaCha20::new((&key).into(), &[0; 12].into()).apply_keystream(&mut bytes);
        bytes
    };
    let target = ChangeId::from_bytes([9; 32]);
    for (form, ciphertext, beside) in [
        (SealForm::First, first.unwrap(), Beside::Nothing),
        (SealForm::Second, stream(text.to_vec()), Beside::Nothing),
        (SealForm::Second, stream(answer.to_vec()), Beside::Answers(target)),
        (SealForm::Second, stream(mentions.to_vec()), Beside::Mentions),
    ] {
        let sealed = [&[8; 16][..], &ciphertext].concat();
        let opened = open_body(&key, (&space, &doc), form, &sealed).unwrap();
        assert_eq!(opened, SealedText { text: b"text".to_vec(), beside });
    }
}

#[test]
fn bodies_open_in_their_document_only() {
    let entropy = SeededEntropy::new(1);
    let (key, other) = (EpochKey::generate(&entropy), EpochKey::generate(&entropy));
    let (space, doc) = (SpaceId::from_bytes([1; 32]), DocumentId::from_bytes([2; 32]));
    let (elsewhere, another) = (SpaceId::from_bytes([3; 32]), DocumentId::from_bytes([3; 32]));
    for form in [SealForm::First, SealForm::Second] {
        let text = [b'x'; 70];
        let sealed = match form {
            SealForm::First => seal_first_body(&key, (&space, &doc), &text, &entropy),
            SealForm::Second => {
                seal_body(&key, (&space, &doc), &text, &Beside::Nothing, &entropy).unwrap()
            }
        };
        let open = |key: &EpochKey, space, doc, sealed: &[u8]| {
            open_body(key, (space, doc), form, sealed).map(|opened| opened.text)
        };
        assert_eq!(open(&key, &space, &doc, &sealed).unwrap(), text);
        assert!(open(&other, &space, &doc, &sealed).is_err());
        assert!(open(&key, &elsewhere, &doc, &sealed).is_err());
        assert!(open(&key, &space, &another, &sealed).is_err());
        for len in 0..sealed.len() {
            assert!(open(&key, &space, &doc, &sealed[..len]).is_err(), "{len}");
        }
        // One of the other form is none.
        let other = if form == SealForm::First { SealForm::Second } else { SealForm::First };
        assert!(open_body(&key, (&space, &doc), other, &sealed).is_err());
        // A bit of the first form does not open. Of the second it does: its hash is another one, and
        // the hash is what its entry names.
        let mut altered = sealed.clone();
        altered[20] ^= 1;
        let opened = open(&key, &space, &doc, &altered);
        assert_eq!(opened.is_ok(), form == SealForm::Second);
        assert_ne!(opened.ok(), Some(text.to_vec()));
    }
    let size = |len| {
        let text = vec![0; len];
        seal_body(&key, (&space, &doc), &text, &Beside::Nothing, &entropy).unwrap().len()
    };
    assert_eq!((size(0), size(31), size(32), size(1023)), (48, 48, 80, 1040));
}

/// What is no answer in its bytes and says it is one, and an answer to nothing.
#[test]
fn answers_have_one_form() {
    let entropy = SeededEntropy::new(1);
    let key = EpochKey::generate(&entropy);
    let (space, doc) = (SpaceId::from_bytes([1; 32]), DocumentId::from_bytes([2; 32]));
    let target = ChangeId::from_bytes([9; 32]);
    for text in [&b""[..], b"yes", &[0x81; 40]] {
        for beside in [Beside::Nothing, Beside::Answers(target), Beside::Mentions] {
            let sealed = seal_body(&key, (&space, &doc), text, &beside, &entropy).unwrap();
            let opened = open_body(&key, (&space, &doc), SealForm::Second, &sealed).unwrap();
            assert_eq!(opened, SealedText { text: text.to_vec(), beside });
        }
    }
    let salt = [8; BODY_SALT_BYTES];
    let mut short = Padded::Answer.pad(&[1; 31]);
    run_stream(&body_key("mosaic body key 2", &key, (&space, &doc), &salt), &mut short).unwrap();
    let sealed = [&salt[..], &short].concat();
    assert_eq!(open_body(&key, (&space, &doc), SealForm::Second, &sealed), Err(SealError::Open));
}
