//! A hub with one channel in which many members write.

use mosaic_engine::entropy::SeededEntropy;
use mosaic_engine::hash::{AccountId, ChangeId, DeviceId, HubId};
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::model::entry::{ChannelFields, HubAction, Permissions, Readers, RoleRef};
use mosaic_engine::replica::{HubStart, MessageDraft, Replica, Ticket};

use super::author::{Author, Parcel};
use super::{Seeded, prose, share};
use crate::TIME_MS;

/// Members whose parcels are taken in one go.
const PARCELS: u64 = 64;
/// Between a message in the channel and the next one, whoever wrote it.
const PACE_MS: u64 = 1_000;

/// A hub that many write in.
#[derive(Debug)]
pub struct Community {
    /// The hub.
    pub hub: HubId,
    /// Its channel.
    pub channel: ChangeId,
    /// The invitation that everybody joined by, open for more.
    pub invite: ChangeId,
    /// Its key.
    pub key: DeviceSecret,
    /// Who joined, in that order; the founder is not among them.
    pub members: Vec<AccountId>,
    /// When the last message was written, as claimed.
    pub last_ms: u64,
}

impl Community {
    /// Has a replica join that knows the hub.
    ///
    /// # Panics
    /// If the engine refuses it.
    pub fn admit(&self, replica: &Replica, now_ms: u64) {
        let ticket =
            Ticket { hub: self.hub, invite: self.invite, key: Some(&self.key), texts: &[] };
        replica.join_hub(&ticket, now_ms).expect("a member");
    }
}

/// Has many accounts join a hub by its founder's invitation and write in its channel, each
/// apart from the others, and hands all of it to a node that keeps the hub. Messages of
/// different members follow each other. The founder has the joins as well and vouches for them, as
/// his node does when it has met others.
///
/// # Panics
/// If the engine refuses what is written.
pub fn write(
    node: &Replica,
    seed: u64,
    messages: u64,
    members: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Community {
    let from = DeviceId::from_bytes([1; 32]);
    let mut founder = Author::new(seed, u64::from(u32::MAX));
    let (mut community, log) = found(&mut founder, seed);
    let hub = community.hub;
    node.serve_hub(&hub, true).expect("a hub");
    log.give(&from, node);
    let (mut logs, mut pages) = (Parcel::default(), Parcel::default());
    for number in 0..members {
        let mut member = Author::new(seed, number);
        member.replica.serve_hub(&hub, true).expect("a hub");
        log.give(&founder.device, &member.replica);
        community.admit(&member.replica, TIME_MS + number);
        logs.append(public(&mut member));
        let mut seeded = Seeded::new(seed ^ (number << 8));
        for n in 0..share(messages, members, number) {
            let bytes = prose::message_bytes(&mut seeded);
            let text = prose::text(n, bytes, &mut seeded);
            let now_ms = TIME_MS + (n * members + number) * PACE_MS + members;
            let draft = MessageDraft { text, ..MessageDraft::default() };
            let said = member.replica.say(None, &hub, &community.channel, draft, now_ms);
            said.expect("a message");
            community.last_ms = community.last_ms.max(now_ms);
        }
        pages.append(public(&mut member));
        community.members.push(member.account);
        if number % PARCELS == PARCELS - 1 || number + 1 == members {
            let logs = std::mem::take(&mut logs);
            logs.give(&from, node);
            logs.give(&from, &founder.replica);
            founder.replica.vouch_for_joins(TIME_MS + members).expect("a word for them");
            public(&mut founder).give(&from, node);
            std::mem::take(&mut pages).give(&from, node);
            progress(number + 1, members);
        }
    }
    community
}

fn found(founder: &mut Author, seed: u64) -> (Community, Parcel) {
    let (hub, channel, invite, key) = found_hub(&founder.replica, seed, false, TIME_MS);
    let log = public(founder);
    let members = Vec::new();
    (Community { hub, channel, invite, key, members, last_ms: TIME_MS }, log)
}

/// Founds a hub with one channel, which is open or private; its id, the channel's, and an invitation with
/// its key.
pub(super) fn found_hub(
    founder: &Replica,
    seed: u64,
    private: bool,
    now_ms: u64,
) -> (HubId, ChangeId, ChangeId, DeviceSecret) {
    let channel = ChannelFields {
        name: "general".into(),
        topic: String::new(),
        category: String::new(),
        read_only: false,
        readers: private.then(Readers::of_all),
    };
    let start = HubStart {
        name: "Makers".into(),
        about: String::new(),
        everyone: Permissions::SEND | Permissions::REACT,
        channels: vec![channel],
        forked_from: None,
        private: false,
    };
    let hub = founder.create_hub(start, now_ms).expect("a hub");
    let key = DeviceSecret::generate(&SeededEntropy::new(seed ^ 0x1417));
    let invite = HubAction::Invite {
        role: RoleRef::Everyone,
        key: Some(key.id()),
        uses: 0,
        expires_ms: 0,
        account: None,
    };
    let invite = founder.hub_operation(&hub, invite, "", now_ms).expect("an invitation");
    let channel = founder.hub(&hub, |hub| hub.channels()[0].id).expect("a channel");
    (hub, channel, invite, key)
}

/// What an account wrote in the hub: nobody here keeps its own space.
fn public(author: &mut Author) -> Parcel {
    let mut parcel = author.parcel();
    for chains in [&mut parcel.logs, &mut parcel.chains] {
        chains.retain(|chain| chain.description.as_ref().is_some_and(|d| d.space.hub().is_some()));
    }
    parcel
}
