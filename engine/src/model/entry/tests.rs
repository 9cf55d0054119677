use super::*;
use crate::hash::{RecoveryKey, SealKey};

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
