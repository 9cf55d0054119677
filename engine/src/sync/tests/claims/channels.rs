//! What members of a hub read alone: private channels, and private hubs.

use super::super::hubs::private::{settle, village};
use super::super::hubs::withheld;
use super::*;
use crate::hash::HubId;
use crate::hub::texts_of_channel;
use crate::model::entry::{
    ChannelChange, EntryRef, History, HubAction, Private, PrivateWhat, RoleRef, Who,
};
use crate::replica::{MessageDraft, Sealing, Text};
use crate::seal::TEXT_STEP_BYTES;

const MESSAGE: &str = "canary-message-2c71";
const TOPIC: &str = "canary-topic-8d05";
const REASON: &str = "canary-reason-52ea";

/// Who reads the channel, who is a member and does not, and who keeps the hub.
const READER: usize = 1;
const LEAVES: usize = 2;
const MEMBER: usize = 3;
const KEEPER: usize = 4;
/// A device of the reader's that is linked later.
const PHONE_OF_READER: usize = 5;

struct Board {
    network: Network<Home>,
    accounts: Vec<AccountId>,
    hub: HubId,
    channel: ChangeId,
    role: ChangeId,
    message: ChangeId,
}

/// A hub with a private channel, in which the founder wrote to whom he mentions, and a reader answered.
fn board(seed: u64, history: History) -> Board {
    let ((mut network, accounts, hub, ..), role, channel) = village(seed, history);
    let (keeper, _) = person(seed * 100 + 590, "pc");
    keeper.replica.serve_hub(&hub, true).unwrap();
    network.parties.push(keeper);
    network.connect(0, KEEPER);
    let founder = &network.parties[0].replica;
    let topic = ChannelChange::Topic(TOPIC.into());
    let topic = HubAction::ChangeChannel { channel, change: topic };
    founder.hub_operation(&hub, topic, "", NOW + 60).unwrap();
    let message = MessageDraft {
        text: MESSAGE.into(),
        mentions: vec![Who::Account(accounts[READER])],
        ..MessageDraft::default()
    };
    let message = founder.say(None, &hub, &channel, message, NOW + 61).unwrap();
    settle(&mut network);
    let answer =
        MessageDraft { text: "so it is".into(), target: Some(message), ..MessageDraft::default() };
    network.parties[READER].replica.say(None, &hub, &channel, answer, NOW + 62).unwrap();
    network.parties[READER].replica.react(message, "👍", NOW + 63).unwrap();
    settle(&mut network);
    Board { network, accounts, hub, channel, role, message }
}

impl Board {
    fn replica(&self, who: usize) -> &Replica {
        &self.network.parties[who].replica
    }

    /// The message as somebody sees it.
    fn shown(&self, who: usize) -> (Text, Option<Sealing>) {
        let view = self.replica(who).message(&self.message).unwrap();
        (view.text, view.sealed)
    }

    fn topic(&self, who: usize) -> String {
        let view = self.replica(who).hub(&self.hub, |hub| hub.channel(&self.channel));
        view.unwrap().unwrap().topic
    }

    fn reads(&self, who: usize) -> bool {
        self.shown(who).0 == Text::Here(MESSAGE.into())
    }

    /// Whether somebody's store has a text in the clear.
    fn holds(&self, who: usize, text: &str) -> bool {
        let mut held = false;
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let look = &mut |_, key: &[u8], value: &[u8]| held |= has(key) || has(value);
        self.replica(who).dump(look).unwrap();
        held
    }

    fn link_phone(&mut self, seed: u64) {
        let phone = link(&self.network.parties[READER], seed, "phone");
        phone.replica.serve_hub(&self.hub, true).unwrap();
        self.network.parties.push(phone);
        self.network.connect(READER, PHONE_OF_READER);
        settle(&mut self.network);
        self.mend_all(NOW + 80);
    }

    fn mend_all(&mut self, now: u64) {
        for home in &self.network.parties {
            home.replica.mend_conversations(now).unwrap();
        }
        settle(&mut self.network);
    }
}

/// That whoever is said to have the key of a message opens it, and nobody else does.
pub(super) fn has_the_key() {
    let board = board(90, History::FromJoin);
    for who in [0, READER, LEAVES, MEMBER, KEEPER] {
        let access = board.replica(who).access_to_private(&board.message).unwrap();
        let mut expected: Vec<AccountId> = board.accounts[..3].to_vec();
        expected.sort_unstable();
        assert_eq!(access.keys().copied().collect::<Vec<_>>(), expected);
        assert!(access.values().all(|devices| *devices == 1));
        assert_eq!(board.reads(who), who < MEMBER, "{who}");
    }
    let operation = board.replica(0).access_to_private(&board.channel).unwrap();
    assert!(operation.is_empty());
}

/// That whoever is said to read what is written next does, and nobody else.
pub(super) fn gets_the_next_key() {
    let mut board = board(91, History::FromJoin);
    let (founder, hub) = (board.replica(0), board.hub);
    let role = RoleRef::Role(board.role);
    founder.revoke_role(&hub, &board.accounts[LEAVES], role, "", NOW + 70).unwrap();
    let access = founder.access_to_channel(&hub, Some(&board.channel)).unwrap();
    let mut expected = vec![board.accounts[0], board.accounts[READER]];
    expected.sort_unstable();
    assert_eq!(access.into_keys().collect::<Vec<_>>(), expected);
    let next = MessageDraft { text: "next".into(), ..MessageDraft::default() };
    let next = founder.say(None, &hub, &board.channel, next, NOW + 71).unwrap();
    settle(&mut board.network);
    let opens = |who: usize| board.replica(who).message(&next).unwrap().sealed.is_none();
    assert_eq!([0, READER, LEAVES, MEMBER].map(opens), [true, true, false, false]);
    assert!(board.reads(LEAVES), "what he was given stays");
    // Names of a private hub are for its members.
    let village = withheld::village(3, 30);
    let hub = village.hub;
    let access = village.network.parties[1].replica.access_to_channel(&hub, None).unwrap();
    let mut expected = village.accounts;
    expected.sort_unstable();
    assert_eq!(access.into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn claim_devices_linked_later_read_channels() {
    let mut board = board(92, History::FromJoin);
    board.link_phone(92_700);
    assert!(board.reads(PHONE_OF_READER));
    assert_eq!(board.topic(PHONE_OF_READER), TOPIC);
}

#[test]
fn claim_newcomers_read_what_history_gives() {
    for (seed, history) in [(93, History::FromJoin), (94, History::All)] {
        let mut board = board(seed, history);
        let action =
            HubAction::Grant { account: board.accounts[MEMBER], role: RoleRef::Role(board.role) };
        board.replica(0).hub_operation(&board.hub, action, "", NOW + 70).unwrap();
        settle(&mut board.network);
        board.mend_all(NOW + 80);
        assert_eq!(board.topic(MEMBER), TOPIC);
        assert_eq!(board.reads(MEMBER), history == History::All);
    }
}

#[test]
fn claim_keepers_see_who_and_when_in_channels() {
    let mut board = board(95, History::FromJoin);
    let noise = MessageDraft { text: "noise".into(), ..MessageDraft::default() };
    let noise = board.replica(READER).say(None, &board.hub, &board.channel, noise, NOW + 64);
    settle(&mut board.network);
    let entry = EntryRef { account: board.accounts[READER], entry: noise.unwrap() };
    let hide = HubAction::Hide { entry };
    board.replica(0).hub_operation(&board.hub, hide, REASON, NOW + 65).unwrap();
    settle(&mut board.network);
    for who in [MEMBER, KEEPER] {
        assert!(board.holds(who, REASON), "why something was hidden");
        assert_eq!(board.shown(who).1, Some(Sealing::ToOthers));
        assert_eq!(board.topic(who), "");
        for text in [MESSAGE, TOPIC, "so it is", "👍", "board"] {
            assert!(!board.holds(who, text), "{text}");
        }
        assert!(board.holds(who, "trustees"), "what is in the clear is not found");
        let replica = board.replica(who);
        let readers = replica.hub(&board.hub, |hub| hub.readers(&board.channel)).unwrap();
        assert_eq!(readers.unwrap().len(), 3);
        let view = replica.message(&board.message).unwrap();
        assert_eq!((view.account, view.time_ms), (board.accounts[0], NOW + 61));
        assert_eq!(view.device, board.replica(0).device().unwrap());
        assert_eq!((view.replies, view.mentions.len(), view.reactions.len()), (1, 0, 0));
        let (_, Entry::Private(sealed)) = replica.entry(&board.message).unwrap().unwrap() else {
            panic!()
        };
        let Private { what: PrivateWhat::Message { body, .. }, entry } = *sealed else { panic!() };
        assert_eq!((body.size as usize - 16) % TEXT_STEP_BYTES, 0);
        // As one that mentions nobody: it says nothing but its text, and that in the size that it has.
        assert_eq!(entry.ciphertext.len(), 16);
    }
}

#[test]
fn claim_readers_of_channels_see_each_other() {
    let board = board(96, History::FromJoin);
    let replica = board.replica(READER);
    let readers = replica.hub(&board.hub, |hub| hub.readers(&board.channel)).unwrap().unwrap();
    assert!(board.accounts[..3].iter().all(|account| readers.contains(account)));
    let view = replica.message(&board.message).unwrap();
    assert_eq!((view.text, view.time_ms), (Text::Here(MESSAGE.into()), NOW + 61));
    assert_eq!(view.device, board.replica(0).device().unwrap());
    assert_eq!(view.mentions, [Who::Account(board.accounts[READER])]);
}

#[test]
fn claim_deleted_private_messages_leave_a_place() {
    let mut board = board(97, History::FromJoin);
    board.replica(0).delete(board.message, NOW + 80).unwrap();
    settle(&mut board.network);
    for who in [0, READER, LEAVES, MEMBER, KEEPER] {
        let replica = board.replica(who);
        assert_eq!(replica.message(&board.message).unwrap().text, Text::Deleted, "{who}");
        assert!(replica.is_text_dropped(&board.message).unwrap(), "{who}");
        let (row, Entry::Private(sealed)) = replica.entry(&board.message).unwrap().unwrap() else {
            panic!()
        };
        let body = sealed.what.body().unwrap();
        assert!(replica.blob_bytes(&body.hash).unwrap().is_none(), "{who}");
        assert_eq!((row.time_ms, row.device), (NOW + 61, board.replica(0).device().unwrap()));
    }
}

#[test]
fn claim_a_thief_reads_channels_of_the_device() {
    let mut board = board(98, History::FromJoin);
    board.link_phone(98_700);
    assert!(board.reads(PHONE_OF_READER));
    let stolen = board.replica(PHONE_OF_READER).device().unwrap();
    board.replica(READER).revoke_device(stolen, "stolen", NOW + 81).unwrap();
    settle(&mut board.network);
    let topic = HubAction::ChangeChannel {
        channel: board.channel,
        change: ChannelChange::Topic("without him".into()),
    };
    board.replica(0).hub_operation(&board.hub, topic, "", NOW + 82).unwrap();
    let next = MessageDraft { text: "next".into(), ..MessageDraft::default() };
    let next = board.replica(0).say(None, &board.hub, &board.channel, next, NOW + 83).unwrap();
    board.network.connect(0, PHONE_OF_READER);
    settle(&mut board.network);
    board.mend_all(NOW + 84);
    assert!(board.replica(READER).message(&next).unwrap().sealed.is_none());
    assert_eq!(board.topic(READER), "without him");
    assert!(board.reads(PHONE_OF_READER), "what it had it keeps");
    let thief = board.replica(PHONE_OF_READER);
    assert!(thief.message(&next).map_or(true, |view| view.sealed.is_some()));
    assert_ne!(board.topic(PHONE_OF_READER), "without him");
    // He holds no key of either circle that came later.
    let state = &mut thief.lock();
    for name in [board.channel, texts_of_channel(&board.channel)] {
        let talk = thief.channel_talk(state, &board.hub, &name).unwrap().unwrap();
        let newest = talk.epochs.values().max_by_key(|known| known.since_ms).unwrap();
        assert!(newest.since_ms < NOW + 81 || newest.excluded.contains(&stolen));
    }
}

#[test]
fn claim_members_keep_private_hubs() {
    let mut village = withheld::village(2, 31);
    let (stranger, _) = person(59_650, "pc");
    stranger.replica.serve_hub(&village.hub, true).unwrap();
    village.network.parties.push(stranger);
    village.network.connect(0, 2);
    settle(&mut village.network);
    assert_eq!([0, 1, 2].map(|who| village.has_any(who)), [true, true, false]);
}

#[test]
fn claim_members_see_each_other() {
    let village = withheld::village(3, 32);
    for home in &village.network.parties {
        let (members, deeds) =
            home.replica.hub(&village.hub, |hub| (hub.members(), hub.audit().len())).unwrap();
        assert!(village.accounts.iter().all(|account| members.contains_key(account)));
        assert!(deeds >= 5);
    }
}

#[test]
fn claim_strangers_see_no_private_hub() {
    let mut village = withheld::village(2, 33);
    let (stranger, _) = person(59_660, "pc");
    stranger.replica.serve_hub(&village.hub, true).unwrap();
    let device = stranger.replica.device().unwrap();
    village.network.parties.push(stranger);
    village.network.connect(0, 2);
    village.network.connect(1, 2);
    settle(&mut village.network);
    let space = Space::Hub(village.hub).id();
    for home in &village.network.parties[..2] {
        for class in [SectionClass::Authority, SectionClass::Public] {
            assert!(!home.replica.readable(&device, &Section { space, class }).unwrap());
        }
    }
    assert!(!village.has_any(2));
}
