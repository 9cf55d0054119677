//! Where a liar lies: on a wall, in a conversation, in a private channel. What is wrong with bytes is wrong
//! everywhere, and whoever takes them says the same.

use mosaic_engine::codec::Writer;
use mosaic_engine::description::{Description, DocumentKind};
use mosaic_engine::hash::{AccountId, BlobHash, ChangeId, ConversationId, HubId};
use mosaic_engine::limits::SEALED_BYTES_MAX;
use mosaic_engine::model::entry::{
    Attachment, BodyRef, Entry, EntryRef, Message, Private, PrivateWhat, Sealed,
};
use mosaic_engine::seal::{SealSalt, SealedEntry};

/// A place to lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The liar's own wall.
    Wall,
    /// A conversation.
    Conversation(ConversationId),
    /// A private channel of a hub.
    Channel(HubId, ChangeId),
}

/// A text that nobody has.
fn body() -> BodyRef {
    BodyRef { hash: BlobHash::of(b"nobody has it"), size: 48 }
}

/// Bytes like those that are sealed: who has no key cannot tell them from any.
fn seal(bytes: usize) -> SealedEntry {
    let salt = SealSalt::Second([3; 8]);
    SealedEntry { epoch: [1; 8], check: [2; 16], salt, ciphertext: vec![4; bytes] }
}

impl Ground {
    /// A page of somebody there.
    #[must_use]
    pub fn page(&self, account: AccountId, page: u64) -> Description {
        match self {
            Self::Wall => Description::own(account, DocumentKind::Wall, page),
            Self::Conversation(id) => Description::conversation(*id, account, page),
            Self::Channel(hub, channel) => Description::channel(*hub, channel, account, page),
        }
    }

    /// An entry of such a page that is as it should be, as far as anybody sees.
    #[must_use]
    pub fn honest(&self) -> Entry {
        self.saying(16)
    }

    /// An entry as large as they come, or nearly.
    #[must_use]
    pub fn large(&self) -> Entry {
        if *self != Self::Wall {
            return self.saying(SEALED_BYTES_MAX);
        }
        let attachment = Attachment {
            body: body(),
            media_type: "a/b".into(),
            name: "n".repeat(255),
            alt: "a".repeat(2000),
        };
        let attachments = vec![attachment; 14];
        Entry::Post { body: body(), attachments, quote: None, origin: None, text: None }
    }

    fn saying(&self, bytes: usize) -> Entry {
        match self {
            Self::Wall => super::table::post(),
            Self::Conversation(_) => {
                let (bodies, entry) = (vec![body()], seal(bytes));
                Entry::Sealed(Box::new(Sealed { bodies, expires_ms: 0, entry }))
            }
            Self::Channel(..) => {
                let what = PrivateWhat::Message { target: None, body: body() };
                Entry::Private(Box::new(Private { what, entry: seal(bytes) }))
            }
        }
    }

    /// Entries that are fine elsewhere, and not on a page here.
    #[must_use]
    pub fn misplaced(&self, account: AccountId) -> Vec<(&'static str, Entry)> {
        let target = ChangeId::of(b"t");
        let message = Message {
            target: None,
            body: body(),
            attachments: Vec::new(),
            mentions: Vec::new(),
            claimed: None,
        };
        let sealed = Self::Conversation(ConversationId::from_bytes([0; 32])).honest();
        let private =
            Self::Channel(HubId::from_bytes([0; 32]), ChangeId::from_bytes([0; 32])).honest();
        let (conversation, channel) = match self {
            Self::Wall => return Vec::new(),
            Self::Conversation(_) => (true, false),
            Self::Channel(..) => (false, true),
        };
        let clear = [
            ("a post", super::table::post()),
            ("a repost", Entry::Repost { target: EntryRef { account, entry: target } }),
            ("a reply", Entry::Reply { target, body: body(), attachments: Vec::new() }),
            ("a hide", Entry::Hide { target }),
            ("a policy", Entry::Admit { account }),
        ];
        let mut all = clear.to_vec();
        if conversation {
            all.extend([
                ("a reaction in the clear", Entry::Reaction { target, emoji: "x".into() }),
                ("an edit in the clear", Entry::Edit { target, body: body() }),
                ("a message in the clear", Entry::Message(Box::new(message))),
                ("what is for a channel", private),
            ]);
        } else if channel {
            all.push(("what is for a conversation", sealed));
        }
        all
    }

    /// Bytes that look like sealed entries and are none, in either form.
    #[must_use]
    pub fn malformed(&self) -> Vec<(String, Vec<u8>)> {
        let named = |lead: &[u8], size: u64| {
            let mut w = Writer::new();
            w.raw(lead).raw(&[7; 32]).varint(size);
            w.finish()
        };
        let sealed = |clear: Vec<u8>, salt: usize, bytes: usize| {
            [clear, vec![1; 8 + 16 + salt], vec![4; bytes]].concat()
        };
        let over = SEALED_BYTES_MAX + 1;
        let target = [9; 32];
        let with = |kind: u8, flags: &[u8]| [&[kind][..], flags].concat();
        let mut all: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |what: &str, bytes: Vec<u8>| all.push((what.to_owned(), bytes));
        let leads: Vec<(u8, usize, Vec<u8>)> = match self {
            Self::Wall => return Vec::new(),
            Self::Conversation(_) => vec![(1, 16, vec![0x0b, 1]), (2, 8, vec![0x0b, 5])],
            Self::Channel(..) => vec![(1, 16, vec![0x0c, 0]), (2, 8, vec![0x0c, 2])],
        };
        for (form, salt, lead) in leads {
            let form = |what: &str| format!("{what}, form {form}");
            add(&form("cut short in the salt"), sealed(named(&lead, 48), salt - 1, 0));
            add(&form("over its limit"), sealed(named(&lead, 48), salt, over));
            add(&form("a text shorter than its salt"), sealed(named(&lead, 15), salt, 16));
            add(&form("a text over its limit"), sealed(named(&lead, (256 << 10) + 17), salt, 16));
        }
        match self {
            Self::Wall => {}
            Self::Conversation(_) => {
                for lead in [2, 4 + 2, 8, 0xff] {
                    let body = sealed(named(&[0x0b, lead], 48), 16, 16);
                    add(&format!("{lead} bodies"), body);
                }
                add("expires at no time", sealed(named(&[0x0b, 7, 0], 48), 8, 16));
                add("expires without a text", sealed(vec![0x0b, 6, 9], 8, 16));
                add("a number not in its shortest form", {
                    sealed(named(&[0x0b, 0x85, 0], 48), 8, 16)
                });
                add("who comes with a cut", {
                    let mut w = Writer::new();
                    w.u8(0x17).raw(&target).varint(0).u8(1).varint(1).raw(&[8; 113]);
                    w.finish()
                });
                add("who neither comes nor goes", [&[0x17][..], &target, &[0, 2, 0]].concat());
            }
            Self::Channel(..) => {
                for flags in [4, 8, 0xff] {
                    add(&format!("flags {flags}"), sealed(named(&[0x0c, flags], 48), 8, 16));
                }
                for (kind, salt) in [(0x0d, 16), (0x0e, 8)] {
                    let short = sealed(with(kind, &target), salt - 1, 0);
                    add(&format!("a reaction of kind {kind} cut short"), short);
                    let long = sealed(with(kind, &target), salt, over);
                    add(&format!("a reaction of kind {kind} over its limit"), long);
                }
                for (kind, salt) in [(0x18, 16), (0x19, 8)] {
                    let short = sealed(named(&with(kind, &target), 48), salt - 1, 0);
                    add(&format!("an edit of kind {kind} cut short"), short);
                }
            }
        }
        all
    }
}
