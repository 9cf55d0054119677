//! The documents agree with the code: sizes, limits, kinds; and every link leads somewhere.

use std::path::Path;

use mosaic_engine::chain::{ChainKey, SignedHead};
use mosaic_engine::change::Actor;
use mosaic_engine::hash::{
    AccountId, BlobHash, ChangeId, DeviceId, EpochId, Incarnation, Link, RecoveryKey, SealKey,
};
use mosaic_engine::identity::{
    Certificate, Genesis, RecoveryCertificate, RecoveryPolicy, Rotation, Signature,
};
use mosaic_engine::limits;
use mosaic_engine::model::entry::{BodyRef, Entry, ReplyPolicy, Tip};
use mosaic_engine::{seal, wire};
use mosaic_tests::binary::workspace;
use mosaic_tests::source::files;

fn protocol() -> String {
    std::fs::read_to_string(workspace().join("docs/protocol.md")).expect("docs/protocol.md")
}

#[test]
fn sizes_in_the_protocol_are_those_of_the_code() {
    let text = protocol();
    let claims = [
        format!("**Genesis** ({} bytes)", Genesis::LEN),
        format!("**Certificate** ({} bytes)", Certificate::LEN),
        format!("**Recovery policy** ({} bytes)", RecoveryPolicy::LEN),
        format!("**Rotation** ({} bytes)", Rotation::LEN),
        format!("**Recovery certificate** (at most {} bytes)", RecoveryCertificate::LEN_MAX),
        format!("**Signed head** ({} bytes)", SignedHead::LEN),
        format!("the first {} bytes`", SignedHead::LEN - 64),
        format!("count varint (<= {})", limits::CERTIFICATES_MAX),
        format!("label bytes (<= {})", limits::LABEL_BYTES_MAX),
        format!("actor | first {} bytes", Actor::LEN),
        format!("| page start | tips (<= {})", limits::PAGE_TIPS_MAX),
        format!("| cut | device 32 ‖ tips (<= {})", limits::CUT_ITEMS_MAX),
        format!("emoji text (1 to {} bytes)", limits::EMOJI_BYTES_MAX),
        format!("name text (<= {})", limits::DEVICE_NAME_BYTES_MAX),
        format!("attachments = count varint (<= {})", limits::ATTACHMENTS_MAX),
        format!("epoch id 32 ‖ count varint (<= {})", limits::DEVICES_MAX),
        format!("at most {} dependencies", limits::CHANGE_DEPENDENCIES_MAX),
        format!("keys of the root of 1 to {} bytes", limits::MAP_KEY_BYTES_MAX),
    ];
    for claim in claims {
        assert!(text.contains(&claim), "docs/protocol.md does not say {claim:?}");
    }
    assert_eq!(wire::HEAD_BYTES, SignedHead::LEN);
    assert_eq!(seal::WRAP_BYTES, 1 + 32 + 48);
    assert_eq!(ChainKey::LEN, DeviceId::LEN + AccountId::LEN + Incarnation::LEN);
}

#[test]
fn limits_in_the_protocol_are_those_of_the_code() {
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let thousands = |n: u64| match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", n / 1000, n % 1000),
    };
    let rows = [
        format!(
            "| a change | {}; {} operations; {} predecessors; {} dependencies |",
            kib(limits::CHANGE_BYTES_MAX),
            thousands(limits::CHANGE_OPERATIONS_MAX as u64),
            thousands(limits::CHANGE_PREDECESSORS_MAX as u64),
            limits::CHANGE_DEPENDENCIES_MAX
        ),
        format!("| an entry | {} |", kib(limits::ENTRY_BYTES_MAX)),
        format!(
            "| one chain in one page | {} entries, {} modifications, {} KiB of entries |",
            thousands(limits::PAGE_ENTRIES_MAX),
            thousands(limits::PAGE_MODIFICATIONS_MAX),
            limits::PAGE_BYTES_MAX / 1024
        ),
        format!(
            "| one chain in one map document | {} changes, {} MiB |",
            thousands(limits::MAP_CHANGES_MAX),
            limits::MAP_BYTES_MAX >> 20
        ),
        format!(
            "| one chain in one text document | {} changes, {} MiB |",
            thousands(limits::TEXT_CHANGES_MAX),
            limits::TEXT_BYTES_MAX >> 20
        ),
        format!(
            "| a text document | {},{:03},{:03} operations one after the other; {} MiB of changes are kept |",
            limits::TEXT_COUNTER_MAX / 1_000_000,
            limits::TEXT_COUNTER_MAX / 1000 % 1000,
            limits::TEXT_COUNTER_MAX % 1000,
            limits::TEXT_DOCUMENT_BYTES_MAX >> 20
        ),
        format!(
            "| a text body, an attachment | {}, {} GiB; salt not counted |",
            kib(limits::BODY_BYTES_MAX),
            limits::ATTACHMENT_BYTES_MAX >> 30
        ),
        format!(
            "| a pack, a control message | {} MiB, {} |",
            limits::PACK_BYTES_MAX >> 20,
            kib(limits::MESSAGE_BYTES_MAX)
        ),
        format!(
            "| changes of recovery words, devices that one rotation names | {}, {} |",
            limits::ROTATIONS_MAX,
            limits::ROTATION_DEVICES_MAX
        ),
        format!(
            "| certificates of a path, devices of an account ever, wraps of an epoch entry | {}, {}, {} |",
            limits::CERTIFICATES_MAX,
            limits::DEVICES_EVER_MAX,
            limits::DEVICES_MAX
        ),
    ];
    let text = protocol();
    for row in rows {
        assert!(text.contains(&row), "docs/protocol.md has no row {row:?}");
    }
}

#[test]
fn limits_of_hubs_in_the_protocol_are_those_of_the_code() {
    let numbers = [
        limits::HUB_SEEN_MAX.to_string(),
        format!("{} B", limits::HUB_REASON_BYTES_MAX),
        limits::HUB_OWNERS_MAX.to_string(),
        format!("{},000", limits::RANK_MAX / 1000),
        format!("{},000", limits::INVITE_USES_MAX / 1000),
    ];
    let row = format!(
        "| links and reason of a hub operation, owners of a hub, rank of a role, uses of an invitation | {} |",
        numbers.join(", ")
    );
    assert!(protocol().contains(&row), "docs/protocol.md has no row {row:?}");
    let kib = |bytes: usize| format!("{},{:03} B", bytes / 1000, bytes % 1000);
    let numbers = [
        limits::HUB_REPORT_DEVICES_MAX.to_string(),
        kib(limits::HUB_REPORT_REASON_BYTES_MAX),
        kib(limits::HUB_REPORT_TEXT_BYTES_MAX),
        kib(limits::HUB_REPORT_BYTES_MAX),
    ];
    let row =
        format!("| devices, reason, text and sealed bytes of a report | {} |", numbers.join(", "));
    assert!(protocol().contains(&row), "docs/protocol.md has no row {row:?}");
}

#[test]
fn entry_kinds_in_the_protocol_are_those_of_the_code() {
    let target = ChangeId::from_bytes([1; 32]);
    let device = DeviceId::from_bytes([2; 32]);
    let account = AccountId::from_bytes([3; 32]);
    let body = BodyRef { hash: BlobHash::from_bytes([4; 32]), size: 16 };
    let tips: Vec<Tip> = vec![Tip {
        doc: mosaic_engine::hash::DocumentId::from_bytes([5; 32]),
        device,
        incarnation: Incarnation::from_bytes([6; 16]),
        n: 1,
        link: Link::from_bytes([7; 32]),
    }];
    let name = String::new();
    let policy = RecoveryPolicy {
        key: RecoveryKey::from_bytes([1; 32]),
        next: [2; 32],
        seal_key: SealKey::from_bytes([3; 32]),
    };
    let kinds = [
        ("page start", Entry::PageStart { previous: tips.clone() }),
        ("post", Entry::Post { body, attachments: vec![], quote: None, origin: None, text: None }),
        ("reply", Entry::Reply { target, body, attachments: vec![] }),
        ("reaction", Entry::Reaction { target, emoji: "x".into() }),
        ("edit", Entry::Edit { target, body }),
        ("tombstone", Entry::Tombstone { target }),
        ("hide", Entry::Hide { target }),
        ("unhide", Entry::Unhide { target }),
        ("cut", Entry::Cut { device, tips }),
        ("add device", Entry::AddDevice { certificate: vec![], name: name.clone() }),
        ("rename device", Entry::RenameDevice { device, name: name.clone() }),
        ("suspend", Entry::Suspend { device }),
        ("restore", Entry::Restore { device }),
        ("revoke", Entry::Revoke { device, reason: name }),
        ("admit", Entry::Admit { account }),
        ("refuse", Entry::Refuse { account }),
        ("reply policy", Entry::Policy { reply: ReplyPolicy::Everyone }),
        ("epoch", Entry::Epoch { epoch: EpochId::from_bytes([8; 32]), wraps: vec![] }),
        ("recovery policy", Entry::Recovery { policy, claim: Signature::from_bytes([9; 64]) }),
        ("recover", Entry::Recover { certificate: vec![], name: String::new() }),
        ("rotate", Entry::Rotate { rotation: vec![], seen: vec![device] }),
    ];
    let text = protocol();
    for (name, entry) in kinds {
        let row = format!("| {:#04x} | {name} |", entry.kind());
        assert!(text.contains(&row), "docs/protocol.md has no row {row:?}");
        assert_eq!(entry.encode().first(), Some(&entry.kind()));
        let modification = (0x10..0x20).contains(&entry.kind());
        assert_eq!(entry.is_modification(), modification, "{name}");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in files(&[".md"]) {
        let folder = Path::new(&page.path).parent().unwrap_or(Path::new("")).to_path_buf();
        for (at, _) in page.text.match_indices("](") {
            let target = page.text[at + 2..].split(')').next().unwrap_or_default();
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            let file = if path.is_empty() { page.path.clone().into() } else { folder.join(path) };
            let file = workspace().join(file);
            if !file.exists() {
                broken.push(format!("{}: {target}", page.path));
            } else if !anchor.is_empty() && !has_heading(&file, anchor) {
                broken.push(format!("{}: no heading for {target}", page.path));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

fn has_heading(file: &Path, anchor: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix('#')).any(|heading| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>() == anchor
    })
}
