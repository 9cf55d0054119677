//! Entries that are valid and strange: nothing refuses them, and nothing may break on them.

use mosaic_engine::description::{Description, DocumentKind};
use mosaic_engine::hash::{BlobHash, ChangeId, DeviceId, EpochId};
use mosaic_engine::model::entry::{Attachment, BodyRef, Entry, EntryRef, ReplyPolicy, Tip, Wrap};

use super::author::Author;
use super::table::{Answer, Offer, offer, post, wall};

/// Offers of strange entries, each in a chain of its own. `known` is an entry of somebody
/// else's on the wall.
#[must_use]
pub fn oddities(author: &Author, known: ChangeId, now_ms: u64) -> Vec<Offer> {
    let mut all = Vec::new();
    for time_ms in [0, 1, now_ms, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX] {
        let mut chain = author.chain(&wall(author, 0));
        chain.entry(time_ms, post().encode()).entry(u64::MAX - time_ms, post().encode());
        all.push(offer(format!("odd: a post at {time_ms}"), chain.offer(author), Answer::Accepted));
    }
    for (what, entry) in wall_entries(author, known) {
        let mut chain = author.chain(&wall(author, 0));
        chain.entry(now_ms, entry.encode());
        all.push(offer(format!("odd: {what}"), chain.offer(author), Answer::Accepted));
    }
    let log = Description::own(author.account(), DocumentKind::AccountLog, 0);
    for (what, entry) in log_entries(author) {
        let mut chain = author.chain(&log);
        chain.entry(now_ms, entry.encode());
        all.push(offer(format!("odd: {what}"), chain.offer(author), Answer::Accepted));
    }
    let guest = Description::guest(author.account(), author.account(), 0);
    let mut chain = author.chain(&guest);
    for emoji in ["", "\u{1b}]0;x\u{7}", "\u{202e}", "👩‍👩‍👧‍👦", "\n"] {
        if !emoji.is_empty() {
            let entry = Entry::Reaction { target: known, emoji: emoji.to_owned() };
            chain.entry(now_ms, entry.encode());
        }
    }
    let body = BodyRef { hash: BlobHash::of(b"b"), size: 40 };
    let nothing = Entry::Reply { target: ChangeId::of(b"?"), body, attachments: vec![] };
    chain.entry(now_ms, nothing.encode());
    all.push(offer("odd: reactions and a reply to nothing", chain.offer(author), Answer::Accepted));
    let far = wall(author, (1 << 32) - 1);
    let mut chain = author.chain(&far);
    chain.entry(now_ms, post().encode());
    all.push(offer("odd: a post on the last page", chain.offer(author), Answer::Accepted));
    all
}

fn wall_entries(author: &Author, known: ChangeId) -> Vec<(&'static str, Entry)> {
    let unknown = ChangeId::of(b"unknown");
    let body = |size| BodyRef { hash: BlobHash::of(b"b"), size };
    let attachment = Attachment {
        body: body(4 << 30),
        media_type: "\u{1b}[31m/\u{202e}".into(),
        name: "../../etc/passwd\0\n".into(),
        alt: "\u{feff}\u{200b}".repeat(300),
    };
    let account = author.account();
    vec![
        ("a post of an empty body", {
            Entry::Post {
                body: body(16),
                attachments: vec![],
                quote: None,
                origin: None,
                text: None,
            }
        }),
        ("attachments with names of paths", {
            Entry::Post {
                body: body(40),
                attachments: vec![attachment; 14],
                quote: None,
                origin: None,
                text: None,
            }
        }),
        ("a quote of nothing", {
            let quote = Some(EntryRef { account, entry: unknown });
            Entry::Post { body: body(40), attachments: vec![], quote, origin: None, text: None }
        }),
        ("a repost of nothing", Entry::Repost { target: EntryRef { account, entry: unknown } }),
        ("an edit of nothing", Entry::Edit { target: unknown, body: body(40) }),
        ("an edit of another device's post", Entry::Edit { target: known, body: body(40) }),
        ("a tombstone of nothing", Entry::Tombstone { target: unknown }),
        ("a hide of an own post", Entry::Hide { target: known }),
        ("a hide of nothing", Entry::Hide { target: unknown }),
        ("an unhide of what was never hidden", Entry::Unhide { target: unknown }),
        ("a cut of nobody", { Entry::Cut { device: DeviceId::from_bytes([0; 32]), tips: vec![] } }),
    ]
}

fn log_entries(author: &Author) -> Vec<(&'static str, Entry)> {
    let nobody = DeviceId::from_bytes([3; 32]);
    let account = author.account();
    let tip = Tip {
        doc: wall(author, 0).id(),
        device: nobody,
        incarnation: mosaic_engine::hash::Incarnation::from_bytes([1; 16]),
        n: 0,
        link: mosaic_engine::hash::Link::from_bytes([0; 32]),
    };
    let name = || "\u{1b}]0;owned\u{7}\u{202e}".to_owned();
    vec![
        ("a device without certificate", {
            Entry::AddDevice { certificate: vec![], name: name() }
        }),
        ("a device with a certificate of noise", {
            Entry::AddDevice { certificate: vec![2; 300], name: name() }
        }),
        ("a name for nobody", Entry::RenameDevice { device: nobody, name: name() }),
        ("a strange name for itself", {
            Entry::RenameDevice { device: author.device(), name: name() }
        }),
        ("a suspension of nobody", Entry::Suspend { device: nobody }),
        ("a revocation of nobody", Entry::Revoke { device: nobody, reason: name() }),
        ("a revocation of itself", Entry::Revoke { device: nobody, reason: String::new() }),
        ("a cut of nothing", Entry::Cut { device: nobody, tips: vec![tip] }),
        ("its own account as a guest", Entry::Admit { account }),
        ("its own account refused", Entry::Refuse { account }),
        ("a policy", Entry::Policy { reply: ReplyPolicy::Admitted }),
        (
            "an epoch for nobody",
            Entry::Epoch { epoch: EpochId::from_bytes([9; 32]), wraps: vec![] },
        ),
        ("an epoch sealed with noise", {
            let wrap = Wrap { device: author.device(), sealed: vec![1; 81] };
            Entry::Epoch { epoch: EpochId::from_bytes([8; 32]), wraps: vec![wrap] }
        }),
    ]
}
