//! What `privacy explain` says of who reads, keeps and sees what: a test for each sentence, called
//! `claim_` and its name.

mod channels;
mod open;
mod own;
mod reports;
mod sealed;

use super::audiences::settle;
use super::conversations::{network, run, say};
use super::replicas::{Home, NOW, draft, link, person, replica};
use crate::chain::extend;
use crate::description::{DocumentKind, Section, SectionClass, Space};
use crate::entropy::SeededEntropy;
use crate::hash::{AccountId, ChangeId, ConversationId, DeviceId, DraftId};
use crate::identity::{DeviceSecret, RecoverySecret};
use crate::model::entry::Entry;
use crate::replica::{DraftEdit, Replica, Subscription};
use crate::sync::sim::Network;

const POST: &str = "canary-post-7d21";
const LIMITED: &str = "canary-limited-4f0a";
const DIRECT: &str = "canary-direct-93b6";
const DRAFT: &str = "canary-draft-c155";
const LIST: &str = "list:canary-list-0e";
const BIO: &str = "canary-bio-51f7";

const ADA: usize = 0;
const BOB: usize = 1;
const RELAY: usize = 2;
const STRANGER: usize = 3;
const FRIEND: usize = 4;
const PHONE: usize = 5;

struct Scene {
    network: Network<Home>,
    ada: AccountId,
    bob: AccountId,
    post: ChangeId,
    limited: ChangeId,
    direct: ChangeId,
    draft: DraftId,
    audience: ConversationId,
    talk: ConversationId,
    words: RecoverySecret,
}

impl Scene {
    fn replica(&self, who: usize) -> &Replica {
        &self.network.parties[who].replica
    }

    fn device(&self, who: usize) -> DeviceId {
        self.replica(who).device().unwrap()
    }

    /// Rows of somebody's store in which a text stands.
    fn rows_with(&self, who: usize, text: &[u8]) -> usize {
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text);
        let mut rows = 0;
        let count = &mut |_, key: &[u8], value: &[u8]| {
            rows += usize::from(holds(key) || holds(value));
        };
        self.replica(who).dump(count).unwrap();
        rows
    }

    fn pages(&self, who: usize, id: &ConversationId) -> usize {
        let mut state = self.replica(who).lock();
        let space = Space::Conversation(*id).id();
        self.replica(who).documents(&mut state, &space).unwrap().len()
    }

    /// Sealed entries and what stands beside them in the clear, as a node holds them.
    fn entries(&self, who: usize, id: &ConversationId) -> Vec<(u64, DeviceId, Entry)> {
        let replica = self.replica(who);
        let mut state = replica.lock();
        let mut out = Vec::new();
        for (doc, _) in replica.documents(&mut state, &Space::Conversation(*id).id()).unwrap() {
            for (key, chain) in replica.chains_of(&mut state, &doc).unwrap() {
                for item in replica.log_items(&key, 1, chain.held).unwrap() {
                    out.push((item.time_ms, item.device, item.entry));
                }
            }
        }
        out
    }

    /// Changes of Ada's private maps that are held, by chain.
    fn private_changes(&self, who: usize) -> u64 {
        let replica = self.replica(who);
        let mut state = replica.lock();
        let mut held = 0;
        for (doc, page) in replica.documents(&mut state, &Space::Account(self.ada).id()).unwrap() {
            if page.kind == DocumentKind::Private {
                let chains = replica.chains_of(&mut state, &doc).unwrap();
                held += chains.iter().map(|(_, chain)| chain.held).sum::<u64>();
            }
        }
        held
    }
}

fn private_of(account: AccountId) -> Section {
    Section { space: Space::Account(account).id(), class: SectionClass::Private }
}

/// Ada writes something of each kind. Bob reads all of it, a relay carries it for both, a stranger
/// keeps her account from the relay and from her, a friend follows her, a phone is hers.
fn scene(seed: u64) -> Scene {
    let words = RecoverySecret::derive(&[7; 32]).unwrap();
    let laptop = replica(seed);
    let secret = DeviceSecret::generate(&SeededEntropy::new(seed + 1000));
    let ada_account = laptop.create_recoverable(secret, "laptop", &words, NOW).unwrap();
    let ada = Home::new(laptop);
    let (bob, bob_account) = person(seed + 1, "pc");
    let (relay, _) = person(seed + 2, "relay");
    let (stranger, _) = person(seed + 3, "stranger");
    let (friend, _) = person(seed + 4, "friend");
    let phone = link(&ada, seed + 5, "phone");
    for account in [ada_account, bob_account] {
        relay.replica.subscribe(Subscription::whole(account)).unwrap();
    }
    stranger.replica.subscribe(Subscription::whole(ada_account)).unwrap();
    friend.replica.follow(ada_account, None, NOW).unwrap();
    ada.replica.follow(bob_account, None, NOW).unwrap();
    bob.replica.follow(ada_account, None, NOW).unwrap();
    for home in [&ada, &bob] {
        home.replica.set_keeper(&relay.replica.device().unwrap(), true).unwrap();
    }
    let mut network = network(seed, vec![ada, bob, relay, stranger, friend, phone]);
    for (a, b) in [(ADA, RELAY), (BOB, RELAY), (ADA, STRANGER), (RELAY, STRANGER)] {
        network.connect(a, b);
    }
    network.connect(ADA, FRIEND);
    network.connect(ADA, PHONE);
    run(&mut network);
    let replica = &network.parties[ADA].replica;
    replica.edit_profile(vec![("bio".into(), Some(BIO.into()))], NOW).unwrap();
    let post = replica.post(draft(POST.into()), None, NOW + 1).unwrap();
    let audience = replica.create_audience(LIST, NOW + 2).unwrap();
    replica.change_reader(&audience, bob_account, true, false, NOW + 3).unwrap();
    let limited = replica.post_to(None, &audience, LIMITED, NOW + 4).unwrap();
    let talk = replica.converse_with(bob_account, NOW + 5).unwrap();
    let direct = say(replica, &talk, DIRECT, NOW + 6).unwrap();
    let edit = DraftEdit { text: Some(DRAFT.into()), ..DraftEdit::default() };
    let draft = replica.save_draft(None, edit, NOW + 7).unwrap();
    settle(&mut network);
    mend(&network, ADA, NOW + 8);
    settle(&mut network);
    let (ada, bob) = (ada_account, bob_account);
    Scene { network, ada, bob, post, limited, direct, draft, audience, talk, words }
}

fn mend(network: &Network<Home>, who: usize, now: u64) {
    network.parties[who].replica.mend_conversations(now).unwrap();
}

/// What an own replica opens of its private maps, change by change: also of what is deleted.
fn opened_private(replica: &Replica, account: AccountId) -> Vec<Vec<u8>> {
    let mut state = replica.lock();
    let mut out = Vec::new();
    for (doc, page) in replica.documents(&mut state, &Space::Account(account).id()).unwrap() {
        if page.kind != DocumentKind::Private {
            continue;
        }
        for (key, chain) in replica.chains_of(&mut state, &doc).unwrap() {
            let mut link = key.origin(&page.space.id());
            for (n, id) in (1..).zip(replica.change_ids(&key, 1, chain.held).unwrap()) {
                let stored = replica.blob_row(&id.blob()).unwrap().unwrap();
                out.extend(replica.opened(&mut state, &page, &key, n, link, &stored).unwrap());
                link = extend(&link, n, &id);
            }
        }
    }
    out
}
