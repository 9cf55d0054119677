//! The same messages by the same people, sealed and in the clear.

use std::sync::Arc;

use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::hash::{AccountId, ChangeId, ConversationId, HubId};
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{
    DirectDraft, LINKED_DEVICE_RANK, MessageDraft, Replica, Text, Ticket,
};
use mosaic_engine::store::Store;

use super::author::Author;
use super::community::found_hub;
use super::{Seeded, prose};
use crate::TIME_MS;
use crate::measure::cpu;
use crate::meeting::Meeting;

/// Who talks.
const PEOPLE: u64 = 5;
/// Between a message and the next one: all of them are within a week, under one key.
const PACE_MS: u64 = 30_000;
/// Meetings after which a device that was linked has all there is.
const MEETINGS: usize = 4;
/// Messages of a page of what is read.
pub const SCREEN: usize = 50;

/// Where people talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a group conversation.
    Conversation,
    /// In a channel of a hub that everybody reads.
    Open,
    /// In a private channel of a hub, which all members read.
    Private,
}

#[derive(Debug, Clone, Copy)]
enum Room {
    Conversation(ConversationId),
    Channel(HubId, ChangeId),
}

/// People who have talked.
#[derive(Debug)]
pub struct Talk {
    people: Vec<Author>,
    room: Room,
    messages: u64,
    linked: u64,
    /// Processor time of writing all messages, in nanoseconds.
    pub written_ns: u64,
}

impl Talk {
    /// Has five people talk: one message each in turn.
    ///
    /// # Panics
    /// If the engine refuses what is written.
    #[must_use]
    pub fn write(place: Place, seed: u64, messages: u64, told: &mut dyn FnMut(u64, u64)) -> Self {
        let people: Vec<Author> = (0..PEOPLE).map(|number| Author::new(seed, number)).collect();
        let accounts: Vec<AccountId> = people.iter().map(|person| person.account).collect();
        for person in &people {
            for account in accounts.iter().filter(|account| **account != person.account) {
                person.replica.follow(*account, None, TIME_MS + 10).expect("a follow");
            }
        }
        meet_all(&people);
        let first = &people[0].replica;
        let room = match place {
            Place::Conversation => {
                let id = first.found_group("talk", &accounts, TIME_MS + 20);
                Room::Conversation(id.expect("a group"))
            }
            Place::Open | Place::Private => {
                let private = place == Place::Private;
                let (hub, channel, invite, key) = found_hub(first, seed, private, TIME_MS + 20);
                for person in &people[1..] {
                    person.replica.serve_hub(&hub, true).expect("a hub");
                }
                meet_all(&people);
                for person in &people[1..] {
                    let ticket = Ticket { hub, invite, key: Some(&key), texts: &[] };
                    person.replica.join_hub(&ticket, TIME_MS + 30).expect("a member");
                }
                Room::Channel(hub, channel)
            }
        };
        meet_all(&people);
        let mut talk = Self { people, room, messages, linked: 0, written_ns: 0 };
        let mut seeded = Seeded::new(seed);
        talk.say(0, "a first word".into(), TIME_MS + 40);
        for person in &talk.people {
            person.replica.mend_conversations(TIME_MS + 50).expect("keys");
        }
        meet_all(&talk.people);
        for n in 0..messages - 1 {
            let bytes = prose::message_bytes(&mut seeded);
            let text = prose::text(n, bytes, &mut seeded);
            let who = (n % PEOPLE) as usize;
            let (ns, ()) = cpu(|| talk.say(who, text, TIME_MS + 1_000 + n * PACE_MS));
            talk.written_ns += ns;
            told(n, messages);
        }
        meet_all(&talk.people);
        talk
    }

    fn say(&self, who: usize, text: String, now_ms: u64) {
        let replica = &self.people[who].replica;
        let said = match &self.room {
            Room::Conversation(id) => {
                let draft = DirectDraft { text, ..DirectDraft::default() };
                replica.say_directly(None, id, &draft, now_ms)
            }
            Room::Channel(hub, channel) => {
                let draft = MessageDraft { text, ..MessageDraft::default() };
                replica.say(None, hub, channel, draft, now_ms)
            }
        };
        said.expect("a message");
    }

    /// Links a device to the account that began, with a store that has nothing, and brings it up to
    /// date. Returns it with the processor time of both ends.
    ///
    /// # Panics
    /// If it does not come to all of it.
    pub fn bring(&mut self, store: Arc<dyn Store>, seed: u64) -> (u64, Replica) {
        self.linked += 1;
        let first = &self.people[0].replica;
        let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 7_919 * self.linked));
        let now_ms = TIME_MS + 1_000 + self.messages * PACE_MS;
        let offer = first.offer_device(secret.id(), secret.seal_key(), LINKED_DEVICE_RANK, now_ms);
        let certificate = offer.expect("an offer").accept(&secret).expect("a certificate");
        let path = first.add_device(&certificate, "new", now_ms).expect("a path");
        let reader = crate::replica(store, seed + 104_729 * self.linked);
        reader.adopt(secret, path).expect("a device");
        if let Room::Channel(hub, _) = &self.room {
            reader.serve_hub(hub, true).expect("a hub");
        }
        let (ns, ()) = cpu(|| {
            first.mend_conversations(now_ms).expect("keys");
            for round in 0..MEETINGS {
                let met = Meeting::whole([&reader, first], round as u8);
                if met.equal && met.changes() == 0 {
                    break;
                }
            }
        });
        (ns, reader)
    }

    /// Reads all of it, the newest messages first where there are pages; returns the processor time.
    ///
    /// # Panics
    /// If one is missing.
    #[must_use]
    pub fn read(&self, reader: &Replica) -> u64 {
        let (ns, texts) = cpu(|| self.texts(reader, self.messages as usize));
        assert_eq!(texts, self.messages);
        ns
    }

    /// Reads the newest messages; returns the processor time.
    ///
    /// # Panics
    /// If one is missing.
    #[must_use]
    pub fn glance(&self, reader: &Replica) -> u64 {
        let (ns, texts) = cpu(|| self.texts(reader, SCREEN));
        assert_eq!(texts, SCREEN as u64);
        ns
    }

    fn texts(&self, reader: &Replica, count: usize) -> u64 {
        let here = |text: &Text| matches!(text, Text::Here(_));
        let texts = match &self.room {
            Room::Conversation(id) => {
                let all = reader.conversation(id, count).expect("a conversation");
                all.iter().filter(|message| here(&message.text)).count()
            }
            Room::Channel(hub, channel) => {
                let all = reader.channel(hub, channel, None, count, false).expect("a channel");
                all.iter().filter(|message| here(&message.text)).count()
            }
        };
        texts as u64
    }
}

/// Everybody meets who began, twice: what one says comes to the others by him.
fn meet_all(people: &[Author]) {
    for round in 0..2 {
        for person in &people[1..] {
            let met = Meeting::whole([&person.replica, &people[0].replica], round);
            assert!(met.closed.is_none(), "{met:?}");
        }
    }
}
