use super::*;
use crate::hash::{RecoveryKey, SealKey};
use crate::seal::{SealForm, SealSalt, SealedEntry};

fn imported(body: BodyRef, account: AccountId, target: ChangeId) -> Entry {
    let origin = Origin {
        source: "Old blog".into(),
        id: "tag:blog.example,2019:7".into(),
        link: "https://blog.example/7".into(),
    };
    let quote = Some(EntryRef { account, entry: target });
    Entry::Post { body, attachments: vec![], quote, origin: Some(origin), text: None }
}

#[test]
fn entries_round_trip_and_trailing_bytes_are_refused() {
    let body = BodyRef { hash: BlobHash::of(b"b"), size: 40 };
    let target = ChangeId::of(b"t");
    let account = AccountId::from_bytes([7; 32]);
    let tip = Tip {
        doc: DocumentId::from_bytes([1; 32]),
        device: DeviceId::from_bytes([2; 32]),
        incarnation: Incarnation::from_bytes([3; 16]),
        n: 9,
        link: Link::from_bytes([4; 32]),
    };
    let attachment = Attachment {
        body,
        media_type: "image/png".into(),
        name: "cat.png".into(),
        alt: "a cat".into(),
    };
    let all = [
        Entry::PageStart { previous: vec![tip] },
        Entry::Post {
            body,
            attachments: vec![attachment],
            quote: Some(EntryRef { account, entry: target }),
            origin: None,
            text: None,
        },
        imported(body, account, target),
        Entry::Post { body, attachments: vec![], quote: None, origin: None, text: Some([7; 16]) },
        Entry::Repost { target: EntryRef { account, entry: target } },
        Entry::Reply { target, body, attachments: vec![] },
        Entry::Reaction { target, emoji: "👍".into() },
        Entry::Edit { target, body },
        Entry::Tombstone { target },
        Entry::Hide { target },
        Entry::Unhide { target },
        Entry::Cut { device: tip.device, tips: vec![tip] },
        Entry::AddDevice { certificate: vec![1, 2], name: "phone".into() },
        Entry::RenameDevice { device: tip.device, name: "tablet".into() },
        Entry::Suspend { device: tip.device },
        Entry::Restore { device: tip.device },
        Entry::Revoke { device: tip.device, reason: "lost".into() },
        Entry::Admit { account },
        Entry::Refuse { account },
        Entry::Policy { reply: ReplyPolicy::Admitted },
        Entry::Epoch {
            epoch: EpochId::from_bytes([5; 32]),
            wraps: vec![Wrap { device: tip.device, sealed: vec![0; 80] }],
        },
        Entry::Recovery {
            policy: RecoveryPolicy {
                key: RecoveryKey::from_bytes([6; 32]),
                next: [7; 32],
                seal_key: SealKey::from_bytes([8; 32]),
            },
            claim: Signature::from_bytes([9; 64]),
        },
        Entry::Recover { certificate: vec![3; 400], name: "new".into() },
        Entry::Rotate { rotation: vec![4; 300], seen: vec![tip.device] },
        Entry::Prekey { key: SealKey::from_bytes([9; 32]) },
    ];
    for entry in all {
        let mut bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes).as_ref(), Ok(&entry));
        bytes.push(0);
        assert!(Entry::decode(&bytes).is_err());
    }
}

#[test]
fn a_prekey_is_its_kind_and_its_bytes_and_none_that_nothing_is_sealed_to() {
    let bytes = [&[0x2c][..], &[9; 32]].concat();
    let key = SealKey::from_bytes([9; 32]);
    assert_eq!(Entry::Prekey { key }.encode(), bytes);
    assert_eq!(Entry::decode(&bytes), Ok(Entry::Prekey { key }));
    for end in 0..bytes.len() {
        assert!(Entry::decode(&bytes[..end]).is_err());
    }
    for point in [[0; 32], [0xff; 32]] {
        let bytes = [&[0x2c][..], &point].concat();
        assert!(matches!(Entry::decode(&bytes), Err(DecodeError::Rule(_))));
    }
}

/// The bytes that the documentation promises, in both forms of seals.
#[test]
fn sealed_entries_tell_their_form_in_the_clear() {
    let body = BodyRef { hash: BlobHash::from_bytes([2; 32]), size: 48 };
    let target = ChangeId::from_bytes([3; 32]);
    let (named, text) = ([&[2; 32][..], &[48]].concat(), [3; 32]);
    let entry = |salt| SealedEntry { epoch: [4; 8], check: [5; 16], salt, ciphertext: vec![7; 18] };
    let first = SealSalt::First([6; 16]);
    let second = SealSalt::Second([6; 8]);
    for (salt, last, lead) in [(first, 16, [0, 1, 3]), (second, 8, [4, 5, 7])] {
        let seal = [&[4; 8][..], &[5; 16], &vec![6; last], &[7; 18]].concat();
        let sealed = |bodies: &[BodyRef], expires_ms| {
            Entry::Sealed(Box::new(Sealed {
                bodies: bodies.to_vec(),
                expires_ms,
                entry: entry(salt),
            }))
        };
        let private = |what| Entry::Private(Box::new(Private { what, entry: entry(salt) }));
        let (plain, answer, reaction, edit) = match salt {
            SealSalt::First(_) => ([0x0c, 0], [0x0c, 1], 0x0d, 0x18),
            SealSalt::Second(_) => ([0x0c, 2], [0x0c, 3], 0x0e, 0x19),
        };
        let all = [
            (sealed(&[], 0), vec![0x0b, lead[0]]),
            (sealed(&[body], 0), [&[0x0b, lead[1]][..], &named].concat()),
            (sealed(&[body], 9), [&[0x0b, lead[2], 9][..], &named].concat()),
            (private(PrivateWhat::Message { target: None, body }), [&plain[..], &named].concat()),
            (
                private(PrivateWhat::Message { target: Some(target), body }),
                [&answer[..], &text, &named].concat(),
            ),
            (private(PrivateWhat::Reaction { target }), [&[reaction][..], &text].concat()),
            (private(PrivateWhat::Edit { target, body }), [&[edit][..], &text, &named].concat()),
        ];
        for (entry, clear) in all {
            assert_eq!(entry.encode(), [&clear[..], &seal].concat());
            assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(&entry));
            // What stands in the clear is sealed along, the form and the hash of the text in it.
            let header = match &entry {
                Entry::Sealed(sealed) => sealed.clear(),
                Entry::Private(private) => private.clear(),
                _ => Vec::new(),
            };
            assert_eq!(header, clear);
            for len in 0..clear.len() + seal.len() - 18 {
                assert!(Entry::decode(&entry.encode()[..len]).is_err(), "{len}");
            }
        }
    }
    for unknown in [[0x0b, 6], [0x0b, 8], [0x0c, 4], [0x0f, 0]] {
        assert!(Entry::decode(&[&unknown[..], &[9; 200]].concat()).is_err(), "{unknown:?}");
    }
}

#[test]
fn what_is_said_has_one_form() {
    let target = ChangeId::from_bytes([3; 32]);
    let body = BodyRef { hash: BlobHash::from_bytes([2; 32]), size: 48 };
    let (first, second) = (SealForm::First, SealForm::Second);
    let answer = [&[2][..], &[3; 32]].concat();
    let message = |target| Ok(Spoken::Message { target });
    assert_eq!(Spoken::decode(&[], second, 1), message(None));
    assert_eq!(Spoken::decode(&[1], first, 1), message(None));
    assert_eq!(Spoken::decode(&answer, first, 1), message(Some(target)));
    for (bytes, form, bodies) in
        [(&[][..], first, 1), (&[], second, 0), (&[1], second, 1), (&answer, second, 1)]
    {
        assert!(Spoken::decode(bytes, form, bodies).is_err(), "{bytes:?} {form:?}");
    }
    let (edit, message) =
        (PrivateWhat::Edit { target, body }, PrivateWhat::Message { target: None, body });
    let nobody = Said::Message { mentions: Vec::new() };
    assert_eq!(Said::decode(&[], second, &message), Ok(nobody.clone()));
    assert_eq!(Said::decode(&[1, 0], first, &message), Ok(nobody));
    assert_eq!(Said::decode(&[], second, &edit), Ok(Said::Edit));
    assert_eq!(Said::decode(&[3], first, &edit), Ok(Said::Edit));
    let everybody = vec![Who::Role(RoleRef::Everyone)];
    let said = with_mentions(&everybody, "hi");
    assert_eq!(said, b"\x01\x00hi");
    assert_eq!(without_mentions(&said), Ok((everybody, &b"hi"[..])));
    let account = [&[2][..], &[9; 32]].concat();
    let most = [&[17][..], &account].concat();
    for bytes in [&[][..], &[0], b"\x00hi", &[2, 0, 0], &[1], &[1, 3], &[0x81, 0], &most] {
        assert!(without_mentions(bytes).is_err(), "{bytes:?}");
    }
    for (bytes, form, what) in [
        (&[][..], first, &message),
        (&[1, 0], second, &message),
        (&[3], second, &edit),
        (&[], second, &PrivateWhat::Reaction { target }),
        (&[3], first, &message),
    ] {
        assert!(Said::decode(bytes, form, what).is_err(), "{bytes:?} {form:?}");
    }
}
