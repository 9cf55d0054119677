use proptest::prelude::*;

use super::super::{Entry, Wrap};
use super::*;
use crate::hash::{DocumentId, EpochId, Incarnation};
use crate::limits::{
    CUT_ITEMS_MAX, ENTRY_BYTES_MAX, HUB_NAME_BYTES_MAX, HUB_REASON_BYTES_MAX, HUB_REPORT_BYTES_MAX,
    HUB_SEEN_MAX, HUB_TEXTS_BYTES_MAX, INVITE_USES_MAX, TOPIC_BYTES_MAX, VOUCHED_JOINS_MAX,
};
use crate::seal::{SealSalt, WRAP_BYTES};

const ID: ChangeId = ChangeId::from_bytes([1; 32]);
const ACCOUNT: AccountId = AccountId::from_bytes([2; 32]);
const ENTRY: EntryRef = EntryRef { account: ACCOUNT, entry: ID };

fn link(n: usize) -> Link {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
    Link::from_bytes(bytes)
}

fn links(count: usize) -> Vec<Link> {
    (0..count).map(link).collect()
}

fn tips(count: usize) -> Vec<Tip> {
    let tip = |n| Tip {
        doc: DocumentId::from_bytes([3; 32]),
        device: DeviceId::from_bytes([4; 32]),
        incarnation: Incarnation::from_bytes([5; 16]),
        n: 2048,
        link: link(n),
    };
    (0..count).map(tip).collect()
}

fn operation(action: HubAction) -> HubOperation {
    HubOperation { seen: links(2), reason: "why".into(), action, texts: None }
}

/// What it is with its texts sealed, and what was sealed; `None` if it takes none.
fn sealed(mut operation: HubOperation) -> Option<(HubOperation, Vec<u8>)> {
    let plain = operation.take_texts()?;
    let salt = SealSalt::Second([4; 8]);
    let ciphertext = vec![7; plain.len() + 17];
    operation.texts = Some(SealedEntry { epoch: [5; 8], check: [6; 16], salt, ciphertext });
    Some((operation, plain))
}

fn entry(action: HubAction) -> Entry {
    Entry::Hub(Box::new(operation(action)))
}

fn owners(count: u8) -> Vec<AccountId> {
    (0..count).map(|n| AccountId::from_bytes([n; 32])).collect()
}

fn genesis(owners: Vec<AccountId>) -> HubGenesis {
    let forked_from = Some(HubId::from_bytes([6; 32]));
    HubGenesis {
        owners,
        everyone: Permissions::SEND,
        nonce: [7; 16],
        created_ms: 8,
        forked_from,
        private: false,
    }
}

fn report(devices: u8) -> SealedReport {
    let wrap = |n| Wrap { device: DeviceId::from_bytes([n; 32]), sealed: vec![n; WRAP_BYTES] };
    let sealed = vec![7; HUB_REPORT_BYTES_MAX];
    SealedReport {
        epoch: EpochId::from_bytes([8; 32]),
        wraps: (0..devices).map(wrap).collect(),
        sealed,
    }
}

fn actions() -> Vec<HubAction> {
    let (account, role, name) = (ACCOUNT, RoleRef::Role(ID), String::from("name"));
    let permissions = Permissions::ALL;
    let rank = Rank::of_role(RANK_MAX).unwrap();
    let change = |change| HubAction::ChangeChannel { channel: ID, change };
    vec![
        HubAction::Begin(genesis(owners(3))),
        HubAction::DefineRole { name: name.clone(), rank, permissions },
        HubAction::ChangeRole { role: RoleRef::Everyone, name: name.clone(), permissions },
        HubAction::Grant { account, role },
        HubAction::Revoke { account, role, cut: tips(1) },
        HubAction::Kick { account, cut: tips(2) },
        HubAction::Ban { account, cut: tips(3), purge: true },
        HubAction::ExtendCut { removal: ID, operations: links(1), cut: tips(1) },
        HubAction::Undo { account, keep: links(3) },
        HubAction::Lift { operation: ID },
        HubAction::Adopt { operation: ID },
        HubAction::Succession { from: OwnersId::from_bytes([9; 32]), owners: owners(2) },
        HubAction::Leave { cut: tips(1) },
        HubAction::Invite {
            role,
            key: Some(DeviceId::from_bytes([1; 32])),
            uses: INVITE_USES_MAX,
            expires_ms: u64::MAX,
            account: Some(account),
        },
        HubAction::CloseInvite { invite: ID },
        HubAction::Join { invite: ID, proof: Some(Signature::from_bytes([1; 64])) },
        HubAction::CreateChannel(ChannelFields {
            name: name.clone(),
            topic: String::new(),
            category: name.clone(),
            read_only: true,
            readers: None,
        }),
        change(ChannelChange::Name(name.clone())),
        change(ChannelChange::Topic(name.clone())),
        change(ChannelChange::Category(String::new())),
        change(ChannelChange::ReadOnly(true)),
        change(ChannelChange::Archived(false)),
        change(ChannelChange::SlowMs(u64::MAX)),
        HubAction::ChannelRules {
            channel: ID,
            who: Who::Account(account),
            allow: Permissions::SEND,
            deny: Permissions::NONE,
        },
        HubAction::Set(HubSetting::Name(name.clone())),
        HubAction::Set(HubSetting::About(name)),
        HubAction::Set(HubSetting::JoinsClosed(true)),
        HubAction::Set(HubSetting::MemberQuotaBytes(7)),
        HubAction::Pin { channel: ID, entry: ENTRY },
        HubAction::Hide { entry: ENTRY },
        HubAction::Purge { entry: ENTRY },
        HubAction::Checkpoint { number: 7 },
        HubAction::Report(report(3)),
        HubAction::Dismiss { report: ID },
        HubAction::Vouch { joins: joins(3) },
    ]
}

/// Ids of so many joins, rising.
fn joins(count: usize) -> Vec<ChangeId> {
    let id = |n: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        ChangeId::from_bytes(bytes)
    };
    (0..count).map(id).collect()
}

#[test]
fn every_operation_survives_a_round_trip_and_no_shorter_one_decodes() {
    for action in actions() {
        let entry = entry(action);
        let bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes), Ok(entry));
        for end in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..end]).is_err(), "{end} of {bytes:?}");
        }
        assert!(Entry::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn the_longest_operation_fits_an_entry() {
    let longest = Entry::Hub(Box::new(HubOperation {
        seen: links(HUB_SEEN_MAX),
        reason: "x".repeat(HUB_REASON_BYTES_MAX),
        action: HubAction::Ban { account: ACCOUNT, cut: tips(CUT_ITEMS_MAX), purge: false },
        texts: None,
    }));
    assert!(longest.encode().len() <= ENTRY_BYTES_MAX);
    assert_eq!(Entry::decode(&longest.encode()), Ok(longest.clone()));
    let Entry::Hub(operation) = longest else { panic!() };
    let (mut longest, _) = sealed(*operation).unwrap();
    let texts = longest.texts.as_mut().unwrap();
    texts.ciphertext = vec![7; (HUB_REASON_BYTES_MAX + 3).next_multiple_of(64) + 16];
    let longest = Entry::Hub(Box::new(longest));
    assert!(longest.encode().len() <= ENTRY_BYTES_MAX);
    assert_eq!(Entry::decode(&longest.encode()), Ok(longest));
}

#[test]
fn texts_are_taken_out_for_a_seal_and_put_back() {
    for action in actions() {
        let clear = operation(action);
        let takes = !matches!(
            clear.action,
            HubAction::Begin(_) | HubAction::Checkpoint { .. } | HubAction::Report(_)
        );
        let Some((shut, plain)) = sealed(clear.clone()) else {
            assert!(!takes);
            continue;
        };
        assert!(takes);
        let bytes = Entry::Hub(Box::new(shut.clone())).encode();
        for text in ["why", "name"] {
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()));
        }
        assert_eq!(Entry::decode(&bytes), Ok(Entry::Hub(Box::new(shut.clone()))));
        assert!(bytes.starts_with(&shut.clear()));
        for end in 0..shut.clear().len() + 32 {
            assert!(Entry::decode(&bytes[..end]).is_err(), "{end} of {bytes:?}");
        }
        let opened = shut.with_texts(&plain).unwrap();
        assert_eq!((opened.reason, opened.action), (clear.reason, clear.action));
        for end in 0..plain.len() {
            assert!(shut.with_texts(&plain[..end]).is_err());
        }
        assert!(shut.with_texts(&[&plain[..], &[0]].concat()).is_err());
    }
}

#[test]
fn sealed_texts_have_the_limits_of_clear_ones() {
    let topic = ChannelChange::Topic("x".repeat(TOPIC_BYTES_MAX));
    let (shut, plain) =
        sealed(operation(HubAction::ChangeChannel { channel: ID, change: topic })).unwrap();
    assert!(shut.with_texts(&plain).is_ok());
    let text = |texts: &[&str]| {
        let mut w = Writer::new();
        for text in texts {
            w.text(text);
        }
        w.finish()
    };
    assert!(shut.with_texts(&text(&["", &"x".repeat(TOPIC_BYTES_MAX + 1)])).is_err());
    assert!(shut.with_texts(&text(&[&"x".repeat(HUB_REASON_BYTES_MAX + 1), ""])).is_err());
    let name = HubAction::Set(HubSetting::Name("a".into()));
    let (shut, _) = sealed(operation(name)).unwrap();
    assert!(shut.with_texts(&text(&["", "b"])).is_ok());
    assert!(shut.with_texts(&text(&["", ""])).is_err());
    assert!(shut.with_texts(&text(&["", &"x".repeat(HUB_NAME_BYTES_MAX + 1)])).is_err());

    let fields = ChannelFields {
        name: "x".repeat(HUB_NAME_BYTES_MAX),
        topic: "x".repeat(TOPIC_BYTES_MAX),
        category: "x".repeat(HUB_NAME_BYTES_MAX),
        read_only: false,
        readers: None,
    };
    let reason = "x".repeat(HUB_REASON_BYTES_MAX);
    let all = HubOperation { reason, ..operation(HubAction::CreateChannel(fields)) };
    let (mut shut, plain) = sealed(all).unwrap();
    assert!((plain.len() + 1).next_multiple_of(64) + 16 <= HUB_TEXTS_BYTES_MAX);
    let texts = shut.texts.as_mut().unwrap();
    texts.ciphertext = vec![7; HUB_TEXTS_BYTES_MAX + 1];
    assert!(Entry::decode(&Entry::Hub(Box::new(shut)).encode()).is_err());
}

#[test]
fn one_more_than_a_limit_is_refused() {
    let name = |bytes: usize| "x".repeat(bytes);
    let fields = |name: String, topic: usize, category: usize| {
        let (topic, category) = ("x".repeat(topic), "x".repeat(category));
        HubAction::CreateChannel(ChannelFields {
            name,
            topic,
            category,
            read_only: false,
            readers: None,
        })
    };
    let invite = |uses| HubAction::Invite {
        role: RoleRef::Everyone,
        key: None,
        uses,
        expires_ms: 0,
        account: None,
    };
    let most = [
        fields(name(HUB_NAME_BYTES_MAX), TOPIC_BYTES_MAX, HUB_NAME_BYTES_MAX),
        invite(INVITE_USES_MAX),
        HubAction::Kick { account: ACCOUNT, cut: tips(CUT_ITEMS_MAX) },
        HubAction::Undo { account: ACCOUNT, keep: links(HUB_SEEN_MAX) },
        HubAction::Begin(genesis(owners(64))),
        HubAction::Report(report(64)),
        HubAction::Vouch { joins: joins(VOUCHED_JOINS_MAX) },
    ];
    let more = [
        fields(name(HUB_NAME_BYTES_MAX + 1), 0, 0),
        fields(name(0), 0, 0),
        fields(name(1), TOPIC_BYTES_MAX + 1, 0),
        fields(name(1), 0, HUB_NAME_BYTES_MAX + 1),
        invite(INVITE_USES_MAX + 1),
        HubAction::Kick { account: ACCOUNT, cut: tips(CUT_ITEMS_MAX + 1) },
        HubAction::Undo { account: ACCOUNT, keep: links(HUB_SEEN_MAX + 1) },
        HubAction::Begin(genesis(owners(65))),
        HubAction::Begin(genesis(vec![])),
        HubAction::Begin(genesis(owners(2).into_iter().rev().collect())),
        HubAction::Vouch { joins: joins(VOUCHED_JOINS_MAX + 1) },
        HubAction::Vouch { joins: vec![] },
        HubAction::Vouch { joins: vec![ID, ID] },
        HubAction::Vouch { joins: joins(2).into_iter().rev().collect() },
        HubAction::Report(report(65)),
        HubAction::Report(report(0)),
        HubAction::Report(SealedReport {
            wraps: vec![Wrap { device: DeviceId::from_bytes([1; 32]), sealed: vec![1; 80] }],
            ..report(1)
        }),
        HubAction::Report(SealedReport { sealed: vec![7; HUB_REPORT_BYTES_MAX + 1], ..report(1) }),
        HubAction::Report(SealedReport {
            wraps: report(2).wraps.into_iter().rev().collect(),
            ..report(1)
        }),
    ];
    for action in most {
        assert!(Entry::decode(&entry(action).encode()).is_ok());
    }
    for action in more {
        assert!(Entry::decode(&entry(action.clone()).encode()).is_err(), "{action:?}");
    }
    let mut operation = HubOperation {
        seen: links(HUB_SEEN_MAX + 1),
        reason: String::new(),
        action: HubAction::Checkpoint { number: 1 },
        texts: None,
    };
    assert!(Entry::decode(&Entry::Hub(Box::new(operation.clone())).encode()).is_err());
    operation.seen = vec![link(1), link(1)];
    assert!(Entry::decode(&Entry::Hub(Box::new(operation)).encode()).is_err());
}

#[test]
fn ranks_and_permissions_have_no_other_values() {
    assert_eq!(Rank::of_role(RANK_MAX + 1), None);
    assert_eq!(Permissions::from_bits(Permissions::ALL.bits() + 1), None);
    let all = Permissions::NAMES.iter().fold(Permissions::NONE, |all, (bit, _)| all | *bit);
    assert_eq!(all, Permissions::ALL);
}

proptest! {
    #[test]
    fn strangers_bytes_decode_to_one_form_or_not_at_all(
        kind in 0x40..0x60u8,
        rest in prop::collection::vec(prop_oneof![0..3u8, any::<u8>()], 0..400),
    ) {
        let bytes = [&[kind][..], &rest].concat();
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(entry.encode(), bytes);
        }
    }
}
