//! D1: what sealing adds to a message, in bytes.

use std::collections::{BTreeMap, BTreeSet};

use mosaic_engine::hash::{AccountId, ChangeId, ConversationId, DocumentId, HubId};
use mosaic_engine::model::entry::{ChannelFields, Entry, Permissions, Readers, Who};
use mosaic_engine::replica::{DirectDraft, HubStart, MessageDraft};

use super::Context;
use crate::TIME_MS;
use crate::report::{Measure, Row};
use crate::workload::author::Author;

/// Texts of all lengths below it are written.
const TEXT_BYTES: usize = 1024;
/// Members that a message mentions, at most.
const MENTIONS: usize = 16;

/// What messages say beside their texts.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    /// Each answers the one before.
    Answers,
    /// Each mentions 1 to [`MENTIONS`] members, as many in the clear.
    Mentions,
}

pub(super) fn run(context: &Context) -> Row {
    context.say("texts of every length");
    let all = [Beside::Nothing, Beside::Answers, Beside::Mentions];
    let measures = all.into_iter().flat_map(|beside| added(context.seed, beside));
    Row {
        name: "D1".into(),
        title: "What sealing adds to a message".into(),
        method: "One author writes the same texts, one of each length, into a channel of a hub that \
                 everybody reads, into a conversation, an audience and a private channel of the same \
                 hub, through the public API. Counted are the stored bytes of the change and of its \
                 text, padding included, of two messages whose numbers take as many bytes."
            .into(),
        measures: measures.collect(),
        plots: Vec::new(),
    }
}

fn added(seed: u64, beside: Beside) -> Vec<Measure> {
    let author = Author::new(seed, 0);
    let mut other = Author::new(seed, 1);
    let log = other.parcel();
    author.meet(other.account, &other.device, &log);
    let (hub, [open, private]) = found(&author);
    let replica = &author.replica;
    let direct = replica.converse_with(other.account, TIME_MS + 1).expect("a conversation");
    let audience = replica.create_audience("me", TIME_MS + 2).expect("an audience");
    let lanes = [
        ("conversation", Lane::Direct(direct)),
        ("private channel", Lane::Channel(hub, private)),
        ("audience", Lane::Audience(audience)),
    ];
    let mut measures = Vec::new();
    let takes = |lane: Lane| match beside {
        Beside::Nothing => true,
        Beside::Answers => !matches!(lane, Lane::Audience(_)),
        Beside::Mentions => matches!(lane, Lane::Channel(..)),
    };
    for (name, lane) in lanes.into_iter().filter(|(_, lane)| takes(*lane)) {
        let mut clear = Writing::of(&author, Lane::Channel(hub, open));
        let mut sealed = Writing::of(&author, lane);
        for bytes in 1..TEXT_BYTES {
            clear.write(bytes, beside);
            sealed.write(bytes, beside);
        }
        let (sealed, clear) = (sealed.sizes(), clear.sizes());
        let added: Vec<u64> =
            sealed.iter().zip(&clear).map(|(after, before)| after - before).collect();
        let most = added.iter().copied().max().unwrap_or(0);
        let (all, count) = (added.iter().sum::<u64>(), added.len());
        let what = match beside {
            Beside::Nothing => "texts",
            Beside::Answers => "answers",
            Beside::Mentions => "texts that mention 1 to 16 members,",
        };
        let case = format!("{name}, {what} of 1 to {} bytes", TEXT_BYTES - 1);
        measures.extend([
            Measure::exact(&case, "bytes more than in the clear, at most", "B", most).at_most(80.0),
            Measure::exact(&case, "bytes more than in the clear, of all", "B", all),
            Measure::shown(&case, "in the mean", "B", all as f64 / count as f64),
        ]);
    }
    measures
}

fn found(author: &Author) -> (HubId, [ChangeId; 2]) {
    let channel = |name: &str, readers| ChannelFields {
        name: name.into(),
        topic: String::new(),
        category: String::new(),
        read_only: false,
        readers,
    };
    let start = HubStart {
        name: "Makers".into(),
        about: String::new(),
        everyone: Permissions::SEND,
        channels: vec![channel("open", None), channel("private", Some(Readers::of_all()))],
        forked_from: None,
        private: false,
    };
    let hub = author.replica.create_hub(start, TIME_MS).expect("a hub");
    let channels = author.replica.hub(&hub, |hub| {
        ["open", "private"].map(|name| {
            let all = hub.channels();
            all.iter().find(|channel| channel.name == name).expect("a channel").id
        })
    });
    (hub, channels.expect("a hub"))
}

/// Where messages go.
#[derive(Clone, Copy)]
enum Lane {
    Direct(ConversationId),
    Channel(HubId, ChangeId),
    Audience(ConversationId),
}

/// A lane that is written to.
struct Writing<'a> {
    author: &'a Author,
    lane: Lane,
    last: Option<ChangeId>,
    written: Vec<(DocumentId, ChangeId)>,
}

/// Numbers of changes from here to the end of a page take equally many bytes.
const FIRST: u64 = 128;

impl<'a> Writing<'a> {
    const fn of(author: &'a Author, lane: Lane) -> Self {
        Self { author, lane, last: None, written: Vec::new() }
    }

    /// Writes a text of so many bytes, after others at the beginning of a page.
    fn write(&mut self, bytes: usize, beside: Beside) {
        let answers = beside == Beside::Answers;
        let people = if beside == Beside::Mentions { bytes % MENTIONS + 1 } else { 0 };
        loop {
            let target = self.last.filter(|_| answers);
            let id = self.say("x".repeat(bytes), target, people);
            self.last = Some(id);
            let (_, chain, n) = self.author.replica.place_of(&id).expect("a place");
            if n >= FIRST && target.is_some() == answers {
                return self.written.push((chain.doc, id));
            }
        }
    }

    fn say(&self, text: String, target: Option<ChangeId>, people: usize) -> ChangeId {
        let (replica, now_ms) = (&self.author.replica, TIME_MS + 1_000);
        let id = match &self.lane {
            Lane::Direct(id) => {
                let draft = DirectDraft { text, target, expires_after_ms: Some(0) };
                replica.say_directly(None, id, &draft, now_ms)
            }
            Lane::Channel(hub, channel) => {
                let account = |n| Who::Account(AccountId::from_bytes([n as u8; 32]));
                let mentions = (0..people).map(account).collect();
                let draft = MessageDraft { text, target, mentions, ..MessageDraft::default() };
                replica.say(None, hub, channel, draft, now_ms)
            }
            Lane::Audience(id) => replica.post_to(None, id, &text, now_ms),
        };
        id.expect("a message")
    }

    /// Stored bytes of each change that was written, with those of its text.
    fn sizes(&self) -> Vec<u64> {
        let docs: BTreeSet<DocumentId> = self.written.iter().map(|(doc, _)| *doc).collect();
        let views = docs.iter().flat_map(|doc| self.author.replica.changes(doc).expect("changes"));
        let sizes: BTreeMap<ChangeId, u64> = views
            .map(|view| {
                let text = view.entry.as_ref().map_or(0, text_bytes);
                (view.id, view.bytes.len() as u64 + text)
            })
            .collect();
        self.written.iter().map(|(_, id)| sizes[id]).collect()
    }
}

fn text_bytes(entry: &Entry) -> u64 {
    match entry {
        Entry::Message(message) => message.body.size,
        Entry::Sealed(sealed) => sealed.bodies.iter().map(|body| body.size).sum(),
        Entry::Private(private) => private.what.body().map_or(0, |body| body.size),
        _ => 0,
    }
}
