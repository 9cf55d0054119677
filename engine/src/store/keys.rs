//! Keys of every row, in one place. The first byte is the kind of row; what follows is
//! fixed width, so that a prefix is a range.
//!
//! | table | key | value |
//! |---|---|---|
//! | Truth | `b ‖ hash` | blob of at most 16 KiB, body or stored change, that no other row has |
//! | Truth | `n ‖ doc ‖ device ‖ incarnation ‖ n` | change id; of a log change, what it is built of |
//! | Truth | `n ‖ doc ‖ device ‖ incarnation ‖ last n ‖ first n` | log changes that came together |
//! | Truth | `d ‖ doc` | description |
//! | Meta | `h ‖ doc ‖ device ‖ incarnation` | head row |
//! | Meta | `l ‖ doc ‖ device ‖ incarnation` | an older head that proves what is held |
//! | Meta | `f ‖ doc ‖ device ‖ incarnation ‖ hash` | evidence of a fork: the other head |
//! | Meta | `t ‖ space ‖ doc` | empty: documents of a space |
//! | Meta | `q ‖ space` | what space it is |
//! | Meta | `p ‖ device` | certificate path |
//! | Meta | `r ‖ hash ‖ doc` | state of a body named in a document, one byte, and a small body |
//! | Meta | `b ‖ 16 bytes of hash ‖ 16 bytes of doc` | a small body of a document that shares a row with others: where it is |
//! | Meta | `A ‖ 16 bytes of doc ‖ 8 bytes of chain ‖ first n` | bodies of changes that came together |
//! | Meta | `v ‖ doc ‖ hash` | empty: a body wanted by a document |
//! | Meta | `u ‖ doc ‖ hash` | empty: a body that is here for a map; before format 2 for any document |
//! | Meta | `i ‖ doc ‖ hash` | empty: several entries of a document name this body |
//! | Meta | `y ‖ account` | empty: its tombstones are to be looked at again |
//! | Meta | `z ‖ space ‖ account` | bytes that a visitor has on a wall |
//! | Meta | `D ‖ hash` | a body that was damaged here and is wanted again; its bytes if they were a row |
//! | Meta | `k ‖ hash` | recipe of a pack |
//! | Meta | `K ‖ device` | empty: it may keep what is private here, sealed |
//! | Meta | `o ‖ device` | what is known of a peer |
//! | Meta | `a ‖ peer ‖ space ‖ class ‖ doc ‖ device ‖ incarnation` | the highest n this peer showed |
//! | Meta | `L ‖ peer ‖ opener` | the list of sections that both talk about |
//! | Meta | `H ‖ space ‖ device` | what a device signed that it holds of a space |
//! | Meta | `g ‖ account` | genesis record |
//! | Meta | `R ‖ policy ‖ account` | empty: words claim the account |
//! | Meta | `s ‖ account` | subscription |
//! | Meta | `S ‖ hub` | empty: this node keeps the hub |
//! | Meta | `B ‖ hub` | what the hub began with |
//! | Meta | `C ‖ conversation` | what a conversation began with |
//! | Meta | `T ‖ conversation` | the account that told of it |
//! | Meta | `E ‖ time ‖ entry` | empty: the texts of the entry are dropped then |
//! | Meta | `P ‖ prekey` | when it was made and replaced, and its half, sealed to this device |
//! | Meta | `N ‖ what copies are bound to ‖ epoch` | a key that opened here, sealed to this device |
//! | Meta | `w ‖ hub ‖ entry` | who wrote a message that a moderator purged |
//! | Meta | `y ‖ space ‖ page` | what a page weighed when it was given up |
//! | Meta | `j ‖ last number [‖ first number]` | journal: one event, or those of a commit |
//! | Meta | `I ‖ key` | what was written once under an idempotency key |
//! | Meta | `J ‖ number` | idempotency keys in the order of their use |
//! | Meta | `c ‖ name` | own settings |
//! | Rows | `e ‖ change id` | entry row: where the entry is |
//! | Rows | `n ‖ 8 bytes` | the chain that has this name in entry rows |
//! | Rows | `w ‖ account ‖ !time ‖ change id` | wall index, newest first |
//! | Rows | `c ‖ channel ‖ !time ‖ account ‖ change id` | channel index, newest first |
//! | Rows | `k ‖ doc ‖ device ‖ incarnation ‖ n` | what was seen of the hub from this entry on |
//! | Rows | `l ‖ channel ‖ change id` | an entry that tells of a key of the channel |
//! | Rows | `v ‖ account ‖ !newest ‖ doc ‖ device ‖ incarnation ‖ last n ‖ first n` | wall index of changes that came together: the oldest time |
//! | Rows | `m ‖ target ‖ change id` | modification of an entry |
//! | Rows | `x ‖ target ‖ change id` | reply to or reaction on an entry |
//! | Rows | `t ‖ doc ‖ change id` | a post whose text is this document |
//! | Rows | `s p ‖ term ‖ 0 ‖ !time ‖ 8 bytes of change id` | empty: an entry found by a term |
//! | Rows | `s f ‖ change id` | time and terms by which an entry is found |
//! | Rows | `s w ‖ hash ‖ change id` | empty: an entry to index once this text is here |
//! | Meta | `X e ‖ change id` | empty: an entry to index |
//! | Meta | `X c ‖ doc ‖ device ‖ incarnation ‖ first n` | last n: entries of a chain to index |
//! | Meta | `X d ‖ doc` | empty: what its modifications name is to be indexed |
//! | Meta | `X a ‖ account` | empty: so with all its documents |

use crate::chain::ChainKey;
use crate::codec::Reader;
use crate::description::{Section, Space};
use crate::hash::{AccountId, BlobHash, ChangeId, DeviceId, DocumentId, HubId, PolicyId, SpaceId};

mod bodies;
mod peers;
mod rows;
mod runs;
mod talks;

pub use self::bodies::{
    BODIES, GATHERED, body, body_chain, body_in_run, body_places, body_run, body_runs,
    descriptions, gathered_places, held, held_prefix, parse_body_place, parse_body_run,
    parse_gathered, shared, short_document, wanted, wanted_prefix,
};
pub use self::peers::{HOLDS, PEERS, agreed, hold, holds, parse_hold, peer};
pub use self::runs::{
    chain_bytes, chain_name, parse_wall_owner, parse_wall_run, wall_run, wall_runs,
};
pub use self::talks::{
    CONVERSATIONS, EXPIRING, KEEPERS, KEYRING, PREKEYS, TELLERS, conversation, expiring, keeper,
    keyring, keyring_of, parse_expiring, prekey, teller,
};

pub use self::rows::{
    channel_key, channel_keys, entry, message, messages, modification, modifications, origin,
    origins, parse_message, parse_wall, response, responses, seen, seen_prefix, text_post,
    text_posts, wall, wall_prefix,
};

fn join(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// Blob row of Truth.
#[must_use]
pub fn blob(hash: &BlobHash) -> Vec<u8> {
    join(b'b', &[hash.as_bytes()])
}

/// All blob rows of Truth.
pub const BLOBS: &[u8] = b"b";

/// All chain index rows.
pub const CHAINS: &[u8] = b"n";

/// All chain index rows of one chain.
#[must_use]
pub fn chain_prefix(chain: &ChainKey) -> Vec<u8> {
    join(b'n', &[chain.doc.as_bytes(), chain.device.as_bytes(), chain.incarnation.as_bytes()])
}

/// Chain row of change `n`: its id, and all that a log change says.
#[must_use]
pub fn chain_change(chain: &ChainKey, n: u64) -> Vec<u8> {
    let mut key = chain_prefix(chain);
    key.extend_from_slice(&n.to_be_bytes());
    key
}

/// Chain row of the changes `first..=last`, several of them.
#[must_use]
pub fn chain_run(chain: &ChainKey, first: u64, last: u64) -> Vec<u8> {
    let mut key = chain_change(chain, last);
    key.extend_from_slice(&first.to_be_bytes());
    key
}

/// Reads the numbers of the first and the last change out of a chain row's key.
#[must_use]
pub fn parse_chain_row(key: &[u8]) -> Option<(u64, u64)> {
    let (last, rest) = key.get(81..)?.split_first_chunk::<8>()?;
    let last = u64::from_be_bytes(*last);
    match rest.try_into() {
        Ok(first) => Some((u64::from_be_bytes(first), last)),
        Err(_) if rest.is_empty() => Some((last, last)),
        Err(_) => None,
    }
}

/// Description row.
#[must_use]
pub fn description(doc: &DocumentId) -> Vec<u8> {
    join(b'd', &[doc.as_bytes()])
}

/// Head row of one chain.
#[must_use]
pub fn head(chain: &ChainKey) -> Vec<u8> {
    join(b'h', &[chain.doc.as_bytes(), chain.device.as_bytes(), chain.incarnation.as_bytes()])
}

/// All head rows of one document.
#[must_use]
pub fn heads_of(doc: &DocumentId) -> Vec<u8> {
    join(b'h', &[doc.as_bytes()])
}

/// Reads the chain out of a head row's key.
#[must_use]
pub fn parse_head(key: &[u8]) -> Option<ChainKey> {
    let key = key.strip_prefix(b"h")?;
    let (doc, rest) = key.split_first_chunk::<32>()?;
    let (device, rest) = rest.split_first_chunk::<32>()?;
    let incarnation: [u8; 16] = rest.try_into().ok()?;
    Some(ChainKey {
        doc: DocumentId::from_bytes(*doc),
        device: DeviceId::from_bytes(*device),
        incarnation: crate::hash::Incarnation::from_bytes(incarnation),
    })
}

/// An older head of a chain, which proves what is held where the newest does not.
#[must_use]
pub fn proven(chain: &ChainKey) -> Vec<u8> {
    join(b'l', &[chain.doc.as_bytes(), chain.device.as_bytes(), chain.incarnation.as_bytes()])
}

/// Evidence of a fork of one chain.
#[must_use]
pub fn fork(chain: &ChainKey, other: &BlobHash) -> Vec<u8> {
    let mut key = fork_prefix(chain);
    key.extend_from_slice(other.as_bytes());
    key
}

/// All evidence against one chain.
#[must_use]
pub fn fork_prefix(chain: &ChainKey) -> Vec<u8> {
    join(b'f', &[chain.doc.as_bytes(), chain.device.as_bytes(), chain.incarnation.as_bytes()])
}

/// Document of a space.
#[must_use]
pub fn space_document(space: &SpaceId, doc: &DocumentId) -> Vec<u8> {
    join(b't', &[space.as_bytes(), doc.as_bytes()])
}

/// All documents of a space.
#[must_use]
pub fn space_documents(space: &SpaceId) -> Vec<u8> {
    join(b't', &[space.as_bytes()])
}

/// Reads the document out of a space row's key.
#[must_use]
pub fn parse_space_document(key: &[u8]) -> Option<DocumentId> {
    Some(DocumentId::from_bytes(*key.last_chunk::<32>()?))
}

/// What a space is.
#[must_use]
pub fn space(space: &SpaceId) -> Vec<u8> {
    join(b'q', &[space.as_bytes()])
}

/// All spaces.
pub const SPACES: &[u8] = b"q";

/// Value of a space's row: the account whose own space it is, or a kind byte and a root.
#[must_use]
pub fn space_value(space: &Space) -> Vec<u8> {
    let (kind, root) = space.parts();
    match space {
        Space::Account(_) => root.to_vec(),
        Space::Hub(_) | Space::Conversation(_) => join(kind, &[root]),
    }
}

/// Reads the value of a space's row.
#[must_use]
pub fn parse_space(value: &[u8]) -> Option<Space> {
    match value.try_into() {
        Ok(account) => Some(Space::Account(AccountId::from_bytes(account))),
        Err(_) => Space::decode(&mut Reader::new(value)).ok(),
    }
}

/// Certificate path of a device.
#[must_use]
pub fn path(device: &DeviceId) -> Vec<u8> {
    join(b'p', &[device.as_bytes()])
}

/// An account whose tombstones are to be looked at again.
#[must_use]
pub fn unsettled(account: &AccountId) -> Vec<u8> {
    join(b'y', &[account.as_bytes()])
}

/// All such accounts.
pub const UNSETTLED: &[u8] = b"y";

/// Somebody who came to a conversation or went: what counts of him there is to be looked at again.
#[must_use]
pub fn unsettled_talk(space: &SpaceId, account: &AccountId) -> Vec<u8> {
    join(b'Y', &[space.as_bytes(), account.as_bytes()])
}

/// All such accounts, by conversation.
pub const UNSETTLED_TALKS: &[u8] = b"Y";

/// What a visitor has on a wall.
#[must_use]
pub fn visitor(space: &SpaceId, account: &AccountId) -> Vec<u8> {
    join(b'z', &[space.as_bytes(), account.as_bytes()])
}

/// What all visitors have on a wall.
#[must_use]
pub fn visitors(space: &SpaceId) -> Vec<u8> {
    join(b'z', &[space.as_bytes()])
}

/// A body that was damaged here and set aside.
#[must_use]
pub fn damaged(hash: &BlobHash) -> Vec<u8> {
    join(b'D', &[hash.as_bytes()])
}

/// All bodies that were damaged here and set aside.
pub const DAMAGED: &[u8] = b"D";

/// Recipe of a pack.
#[must_use]
pub fn pack(hash: &BlobHash) -> Vec<u8> {
    join(b'k', &[hash.as_bytes()])
}

/// What a peer showed of one chain.
#[must_use]
pub fn shown(peer: &DeviceId, section: &Section, chain: &ChainKey) -> Vec<u8> {
    let mut key = shown_prefix(peer, section);
    key.extend_from_slice(chain.doc.as_bytes());
    key.extend_from_slice(chain.device.as_bytes());
    key.extend_from_slice(chain.incarnation.as_bytes());
    key
}

/// All that a peer showed of one section.
#[must_use]
pub fn shown_prefix(peer: &DeviceId, section: &Section) -> Vec<u8> {
    join(b'a', &[peer.as_bytes(), section.space.as_bytes(), &[section.class as u8]])
}

/// All that a peer showed.
#[must_use]
pub fn shown_by(peer: &DeviceId) -> Vec<u8> {
    join(b'a', &[peer.as_bytes()])
}

/// Reads the chain at the end of a key.
#[must_use]
pub fn parse_chain_suffix(key: &[u8]) -> Option<ChainKey> {
    let (_, chain) = key.split_last_chunk::<80>()?;
    let mut head = vec![b'h'];
    head.extend_from_slice(chain);
    parse_head(&head)
}

/// Genesis record of an account.
#[must_use]
pub fn genesis(account: &AccountId) -> Vec<u8> {
    join(b'g', &[account.as_bytes()])
}

/// What a page of a space weighed when it was given up.
#[must_use]
pub fn page_weight(space: &SpaceId, page: u64) -> Vec<u8> {
    join(b'y', &[space.as_bytes(), &page.to_be_bytes()])
}

/// All hubs that this node keeps.
pub const HUBS: &[u8] = b"S";

/// That this node keeps a hub.
#[must_use]
pub fn hub(hub: &HubId) -> Vec<u8> {
    join(b'S', &[hub.as_bytes()])
}

/// What all members of a hub have here.
#[must_use]
pub fn hub_uses(hub: &HubId) -> Vec<u8> {
    join(b'U', &[hub.as_bytes()])
}

/// What a member of a hub has here.
#[must_use]
pub fn hub_use(hub: &HubId, account: &AccountId) -> Vec<u8> {
    join(b'U', &[hub.as_bytes(), account.as_bytes()])
}

/// What this node takes of a hub.
#[must_use]
pub fn hub_limits(hub: &HubId) -> Vec<u8> {
    join(b'Q', &[hub.as_bytes()])
}

/// Messages of a hub that moderators purged.
#[must_use]
pub fn purges(hub: &HubId) -> Vec<u8> {
    join(b'w', &[hub.as_bytes()])
}

/// That a moderator purged a message.
#[must_use]
pub fn purged(hub: &HubId, entry: &ChangeId) -> Vec<u8> {
    join(b'w', &[hub.as_bytes(), entry.as_bytes()])
}

/// The message that a key says was purged.
#[must_use]
pub fn parse_purged(key: &[u8]) -> Option<ChangeId> {
    let rest = key.strip_prefix(b"w").filter(|rest| rest.len() == 64)?;
    Some(ChangeId::from_bytes(*rest.last_chunk::<32>()?))
}

/// What a hub began with.
#[must_use]
pub fn hub_genesis(hub: &HubId) -> Vec<u8> {
    join(b'B', &[hub.as_bytes()])
}

/// All subscriptions.
pub const SUBSCRIPTIONS: &[u8] = b"s";

/// Subscription to an account's space.
#[must_use]
pub fn subscription(account: &AccountId) -> Vec<u8> {
    join(b's', &[account.as_bytes()])
}

/// Journal row of the events `first..=last`; of one event it is `last` alone.
#[must_use]
pub fn journal(first: u64, last: u64) -> Vec<u8> {
    if first == last || first == 0 {
        return join(b'j', &[&last.to_be_bytes()]);
    }
    join(b'j', &[&last.to_be_bytes(), &first.to_be_bytes()])
}

/// Reads the numbers of the first and the last event out of a journal row's key.
#[must_use]
pub fn parse_journal(key: &[u8]) -> Option<(u64, u64)> {
    let (last, rest) = key.strip_prefix(b"j")?.split_first_chunk::<8>()?;
    let last = u64::from_be_bytes(*last);
    match rest.try_into() {
        Ok(first) => Some((u64::from_be_bytes(first), last)),
        Err(_) if rest.is_empty() => Some((last, last)),
        Err(_) => None,
    }
}

/// What was written under an idempotency key.
#[must_use]
pub fn once(key: &str) -> Vec<u8> {
    join(b'I', &[key.as_bytes()])
}

/// The idempotency key that was used as the `number`th.
#[must_use]
pub fn once_order(number: u64) -> Vec<u8> {
    join(b'J', &[&number.to_be_bytes()])
}

/// All journal rows.
pub const JOURNAL: &[u8] = b"j";

/// An account that recovery words claim.
#[must_use]
pub fn claim(policy: &PolicyId, account: &AccountId) -> Vec<u8> {
    join(b'R', &[policy.as_bytes(), account.as_bytes()])
}

/// All accounts that the words of one policy claim.
#[must_use]
pub fn claims(policy: &PolicyId) -> Vec<u8> {
    join(b'R', &[policy.as_bytes()])
}

/// Own setting.
#[must_use]
pub fn setting(name: &str) -> Vec<u8> {
    join(b'c', &[name.as_bytes()])
}

/// All rows of the search index.
pub const SEARCH: &[u8] = b"s";

/// Where the rows after the search index begin.
pub const AFTER_SEARCH: &[u8] = b"t";

/// All entries that are found by a term.
#[must_use]
pub fn postings(term: &[u8]) -> Vec<u8> {
    let mut key = b"sp".to_vec();
    key.extend_from_slice(term);
    key.push(0);
    key
}

/// An entry found by a term; newest first.
#[must_use]
pub fn posting(term: &[u8], time_ms: u64, id: &ChangeId) -> Vec<u8> {
    let mut key = postings(term);
    key.extend_from_slice(&(!time_ms).to_be_bytes());
    key.extend(id.as_bytes().iter().take(8));
    key
}

/// All terms that begin so.
#[must_use]
pub fn terms(start: &[u8]) -> Vec<u8> {
    let mut key = b"sp".to_vec();
    key.extend_from_slice(start);
    key
}

/// Reads the term out of the key of a posting.
#[must_use]
pub fn parse_term(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(b"sp")?.split_last_chunk::<16>()?.0.strip_suffix(&[0])
}

/// Terms by which an entry is found.
#[must_use]
pub fn found_by(id: &ChangeId) -> Vec<u8> {
    found_by_prefix(id.as_bytes())
}

/// So for all entries whose ids begin with these bytes.
#[must_use]
pub fn found_by_prefix(start: &[u8]) -> Vec<u8> {
    let mut key = b"sf".to_vec();
    key.extend_from_slice(start);
    key
}

/// An entry to index once a text is here.
#[must_use]
pub fn awaits_text(hash: &BlobHash, id: &ChangeId) -> Vec<u8> {
    let mut key = awaiting_text(hash);
    key.extend_from_slice(id.as_bytes());
    key
}

/// All entries that wait for texts.
pub const AWAITING_TEXT: &[u8] = b"sw";

/// All entries to index once this text is here.
#[must_use]
pub fn awaiting_text(hash: &BlobHash) -> Vec<u8> {
    let mut key = b"sw".to_vec();
    key.extend_from_slice(hash.as_bytes());
    key
}

/// An entry to index.
#[must_use]
pub fn unindexed_entry(id: &ChangeId) -> Vec<u8> {
    join(b'X', &[b"e", id.as_bytes()])
}

/// Entries of a chain to index, from `first` on.
#[must_use]
pub fn unindexed_run(chain: &ChainKey, first: u64) -> Vec<u8> {
    let (doc, device, life) = (&chain.doc, &chain.device, &chain.incarnation);
    let first = first.to_be_bytes();
    join(b'X', &[b"c", doc.as_bytes(), device.as_bytes(), life.as_bytes(), &first])
}

/// Reads chain and first entry out of the key of such a mark.
#[must_use]
pub fn parse_unindexed_run(key: &[u8]) -> Option<(ChainKey, u64)> {
    let (rest, first) = key.strip_prefix(b"Xc")?.split_last_chunk::<8>()?;
    let chain = parse_head(&[b"h", rest].concat())?;
    Some((chain, u64::from_be_bytes(*first)))
}

/// A document of which what modifications name is to be indexed.
#[must_use]
pub fn unindexed_document(doc: &DocumentId) -> Vec<u8> {
    join(b'X', &[b"d", doc.as_bytes()])
}

/// An account of which what modifications name is to be indexed.
#[must_use]
pub fn unindexed_account(account: &AccountId) -> Vec<u8> {
    join(b'X', &[b"a", account.as_bytes()])
}

/// All that is to be indexed.
pub const UNINDEXED: &[u8] = b"X";

/// Reads the last id out of a key that ends in one.
#[must_use]
pub fn parse_last(key: &[u8]) -> Option<ChangeId> {
    Some(ChangeId::from_bytes(*key.last_chunk::<32>()?))
}
