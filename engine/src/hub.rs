//! Who may do what in a hub: a pure fold over the operations that its members signed.
//!
//! Each member writes operations into a log of his own and names what he had seen of the
//! others'. That makes a graph (`graph`); every replica with the same operations comes to
//! the same conclusions, in whatever order they came. There is no clock in it, and no power
//! is decided by comparing hashes.
//!
//! From the top rank down (`settle`):
//!
//! 1. a grant of rank r counts if its author's rank is above r;
//! 2. a removal by rank k bites each grant of its subject below k, except those by somebody
//!    who had seen it (`roles`);
//! 3. an operation has the rank of those counting grants in its past that carry what it
//!    needs, if every removal that bites them had seen it (`power`);
//! 4. a removal carries a cut; of what its subject wrote into channels the inside stays
//!    (`content`);
//! 5. equals cannot act on each other; owners are replaced by more than half of them
//!    (`owners`).
//!
//! Whether who joined showed the ticket depends on no rank: it is known before (`vouch`).
//!
//! New operations are settled by what they can change: an operation at the frontier that
//! nobody depends on costs the same in a hub of a hundred operations and of a hundred
//! thousand, and a removal has those operations of its subject judged anew that its author
//! had not seen. [`Settled`] says how many.

mod channels;
mod content;
mod deed;
mod graph;
mod invites;
mod owners;
mod past;
mod power;
mod readers;
mod reports;
mod roles;
mod settle;
mod table;
mod texts;
mod verdict;
mod view;
mod vouch;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use self::channels::Channel;
use self::deed::Deed;
use self::graph::{Graph, Placing};
use self::invites::Invitation;
use self::owners::Owners;
use self::roles::{Ledger, Role};
use self::settle::Agenda;
use self::table::{AccountIx, OpIx, RoleIx, Table};
use self::texts::{Circle, SealedTexts};
use self::vouch::Vouches;
use crate::chain::ChainKey;
use crate::hash::{AccountId, ChangeId, DeviceId, HubId, Link};
use crate::identity::{Domain, Signature, Verifier};
use crate::model::entry::{Entry, HubAction, HubGenesis, Rank};

pub use self::channels::ChannelView;
pub use self::content::{Content, ContentStanding, Moderation};
pub use self::reports::{Handled, ReportView};
pub use self::settle::Settled;
pub use self::texts::{ClosedTexts, TextCircle, texts_of_channel, texts_of_hub};
pub use self::verdict::{Verdict, Why};
pub use self::view::{InviteView, Member, Record, RoleView, Settings};

/// One entry of a hub log with the place where it stands. The caller has proven that it
/// stands there: `link` commits to everything before it in its chain.
#[derive(Debug, Clone)]
pub struct HubItem {
    /// Id of the change.
    pub id: ChangeId,
    /// The page, and the device incarnation that writes.
    pub chain: ChainKey,
    /// Position in the chain, from 1.
    pub n: u64,
    /// Link of the chain before it.
    pub previous: Link,
    /// Link of the chain with it.
    pub link: Link,
    /// Whose log it is.
    pub account: AccountId,
    /// Claimed time.
    pub time_ms: u64,
    /// The entry: an operation, the start of a page, which names what it follows, or another.
    pub entry: Entry,
}

/// Checks the signatures that operations carry, and may remember that it did.
pub trait Witness {
    /// Whether the key of a ticket signed a message of [`HubAction::join_message`].
    fn invited(&self, key: &DeviceId, message: &[u8], proof: &Signature) -> bool;
}

impl Witness for Verifier {
    fn invited(&self, key: &DeviceId, message: &[u8], proof: &Signature) -> bool {
        self.verify(key, Domain::Invite, message, proof).is_ok()
    }
}

/// The operations of one hub, and what they come to.
#[derive(Debug)]
pub struct Hub {
    id: HubId,
    genesis: HubGenesis,
    graph: Graph,
    accounts: Table<AccountIx, Ledger>,
    account_of: HashMap<AccountId, AccountIx>,
    owners: Owners,
    roles: Table<RoleIx, Role>,
    /// Roles by the operation that names them.
    role_of: HashMap<OpIx, RoleIx>,
    /// Where the grant is that an operation made.
    grant_of: HashMap<OpIx, (AccountIx, usize)>,
    /// By the operation that is lifted.
    lifts: HashMap<OpIx, Vec<OpIx>>,
    /// By the removal whose cut is extended.
    extensions: HashMap<OpIx, Vec<OpIx>>,
    /// By the operation that names the invitation.
    invitations: BTreeMap<OpIx, Invitation>,
    /// Proofs of joins, and who vouches for them.
    vouches: Vouches,
    /// By the operation that names the channel.
    channels: BTreeMap<OpIx, Channel>,
    settings: Vec<OpIx>,
    /// What hides or purges a message.
    marks: HashMap<ChangeId, Vec<OpIx>>,
    reports: Vec<OpIx>,
    /// Operations whose texts are sealed.
    sealed: BTreeMap<OpIx, SealedTexts>,
    /// Circles that share keys of texts, by name.
    text_circles: HashMap<ChangeId, Circle>,
    /// By the report that is dismissed.
    dismissals: HashMap<OpIx, Vec<OpIx>>,
    /// What accounts leave of chains of devices that they revoked.
    device_cuts: HashMap<ChainKey, Vec<Link>>,
    /// Accounts whose operations are named by others.
    named: HashSet<AccountIx>,
    /// Accounts that what was placed lately is by or about.
    touched: Vec<AccountIx>,
    agenda: Agenda,
    settled: Settled,
}

impl Hub {
    /// Begins with a genesis and no operations.
    #[must_use]
    pub fn new(genesis: HubGenesis) -> Self {
        let everyone = Role { gives: genesis.everyone, ..Role::default() };
        let mut roles = Table::default();
        let _: RoleIx = roles.push(everyone);
        let mut hub = Self {
            id: genesis.id(),
            genesis,
            graph: Graph::default(),
            accounts: Table::default(),
            account_of: HashMap::new(),
            owners: Owners::default(),
            roles,
            role_of: HashMap::new(),
            grant_of: HashMap::new(),
            lifts: HashMap::new(),
            extensions: HashMap::new(),
            invitations: BTreeMap::new(),
            vouches: Vouches::default(),
            channels: BTreeMap::new(),
            settings: Vec::new(),
            marks: HashMap::new(),
            reports: Vec::new(),
            sealed: BTreeMap::new(),
            text_circles: HashMap::new(),
            dismissals: HashMap::new(),
            device_cuts: HashMap::new(),
            named: HashSet::new(),
            touched: Vec::new(),
            agenda: Agenda::default(),
            settled: Settled::default(),
        };
        if hub.genesis.private {
            hub.text_circles.insert(texts_of_hub(&hub.id), Circle::MemberTexts);
        }
        hub.found();
        hub
    }

    /// The hub's id.
    #[must_use]
    pub const fn id(&self) -> HubId {
        self.id
    }

    /// What it began with.
    #[must_use]
    pub const fn genesis(&self) -> &HubGenesis {
        &self.genesis
    }

    /// Takes items, in any order, and settles what they change. An item that names what is not
    /// here waits for it; one that is here already, or does not fit the chain that it
    /// continues, is passed over.
    pub fn insert(
        &mut self,
        items: impl IntoIterator<Item = HubItem>,
        witness: &dyn Witness,
    ) -> Settled {
        self.settled = Settled::default();
        let mut ready: Vec<HubItem> = Vec::new();
        for item in items {
            ready.push(item);
            while let Some(item) = ready.pop() {
                let link = item.link;
                if self.place(item) {
                    ready.extend(self.graph.release(&link));
                }
            }
        }
        self.prove(witness);
        self.settle();
        self.name_members();
        self.settled
    }

    /// Has those named from now on who became members.
    fn name_members(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        if self.settled.changed > 0 {
            touched = self.accounts.iter().map(|(account, _)| account).collect();
        }
        for account in touched {
            if self.belongs(account) && self.named.insert(account) {
                let strands = self.accounts[account].strands.clone();
                self.graph.name_ends(&strands);
            }
        }
    }

    /// Says what the account leaves of one chain of a device that it revoked: everything up to
    /// one of these links; `None` is all of it. Where no link is here yet, nothing counts.
    pub fn cut_device(
        &mut self,
        chain: ChainKey,
        kept: Option<Vec<Link>>,
        witness: &dyn Witness,
    ) -> Settled {
        self.settled = Settled::default();
        match kept {
            Some(kept) => self.device_cuts.insert(chain, kept),
            None => self.device_cuts.remove(&chain),
        };
        self.judge_chain(&chain);
        self.prove(witness);
        self.settle();
        self.settled
    }

    /// Links that operations name and that are not here: those wait for these.
    pub fn missing(&self) -> impl Iterator<Item = &Link> {
        self.graph.missing()
    }

    /// Number of operations that wait for what they name.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.graph.waiting_count()
    }

    /// Number of operations that are placed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.graph.ops.len()
    }

    /// Whether no operation is placed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.graph.ops.len() == 0
    }

    fn place(&mut self, item: HubItem) -> bool {
        let seen = match &item.entry {
            Entry::Hub(operation) => operation.seen.clone(),
            Entry::PageStart { previous } => previous.iter().map(|tip| tip.link).collect(),
            _ => Vec::new(),
        };
        let (chain, link) = (item.chain, item.link);
        let operation = match &item.entry {
            Entry::Hub(operation) => Some(operation.as_ref().clone()),
            _ => None,
        };
        let account = self.account(&item.account);
        let citable = self.named.contains(&account) && self.belongs(account);
        let Placing::Placed(op) = self.graph.place(item, account, &seen, citable) else {
            return false;
        };
        self.touched.push(account);
        self.settled.placed += 1;
        let strand = self.graph.ops[op].strand;
        if self.graph.strands[strand].ops.len() == 1 {
            self.accounts[account].strands.push(strand);
        }
        if let Some(operation) = operation {
            let deed = self.deed(op, &operation);
            self.note_texts(op, operation);
            self.touched.extend(deed.subject);
            self.graph.ops[op].deed = Some(deed.clone());
            self.agenda.operation(Rank::OWNER, op);
            if deed.fault.is_none() {
                self.file(op, account, &deed);
            }
        }
        let awaited = self.device_cuts.get(&chain).is_some_and(|kept| kept.contains(&link));
        if awaited {
            self.judge_chain(&chain);
        }
        true
    }

    /// Puts an operation where those look for it that depend on it.
    fn file(&mut self, op: OpIx, author: AccountIx, deed: &Deed) {
        let action = Arc::clone(&deed.action);
        match action.as_ref() {
            HubAction::DefineRole { rank, permissions, .. } => {
                self.add_role(op, deed.object, *rank, *permissions);
            }
            HubAction::ChangeRole { .. } => self.add_change(op, deed.role.unwrap_or_default()),
            HubAction::Grant { .. } => {
                let account = deed.subject.unwrap_or(author);
                self.add_grant(op, account, deed.role.unwrap_or_default());
            }
            HubAction::Revoke { .. }
            | HubAction::Kick { .. }
            | HubAction::Ban { .. }
            | HubAction::Leave { .. } => {
                self.accounts[deed.subject.unwrap_or(author)].removals.push(op);
            }
            HubAction::Undo { .. } => {
                self.accounts[deed.subject.unwrap_or(author)].undos.push(op);
            }
            HubAction::ExtendCut { .. } => {
                self.extensions.entry(deed.target.unwrap_or(op)).or_default().push(op);
            }
            HubAction::Lift { .. } => {
                self.lifts.entry(deed.target.unwrap_or(op)).or_default().push(op);
            }
            HubAction::Succession { from, owners } => self.add_proposal(op, *from, owners.clone()),
            HubAction::Invite { .. } => {
                self.invitations.entry(deed.object).or_default().issuers.push(op);
            }
            HubAction::CloseInvite { .. } => {
                self.invitations.entry(deed.target.unwrap_or(op)).or_default().closers.push(op);
            }
            HubAction::Join { .. } => self.file_join(op, author, deed),
            HubAction::Vouch { joins } => self.note_vouch(op, author, joins),
            HubAction::Set(_) => self.settings.push(op),
            HubAction::Hide { entry } | HubAction::Purge { entry } => {
                self.marks.entry(entry.entry).or_default().push(op);
            }
            HubAction::Report(_) => self.reports.push(op),
            HubAction::Dismiss { .. } => {
                self.dismissals.entry(deed.target.unwrap_or(op)).or_default().push(op);
            }
            _ => self.file_channel(op, deed),
        }
    }

    fn file_join(&mut self, op: OpIx, author: AccountIx, deed: &Deed) {
        self.add_grant(op, author, deed.role.unwrap_or_default());
        let invitation = self.invitations.entry(deed.target.unwrap_or(op)).or_default();
        invitation.joins.push(op);
        self.weigh_join(op);
        if self.limited_invitation(op).is_some() {
            self.weigh_rivals(op, deed.target.unwrap_or(op));
        }
    }

    /// Judges a chain anew whose device its account cut.
    fn judge_chain(&mut self, chain: &ChainKey) {
        let strands = self.graph.chains.get(chain).cloned().unwrap_or_default();
        let operations = strands.iter().flat_map(|strand| &self.graph.strands[*strand].ops);
        for op in operations.copied().collect::<Vec<_>>() {
            self.agenda.operation(Rank::OWNER, op);
            let deed = self.graph.ops[op].deed.as_ref();
            let target = deed.and_then(|deed| deed.target);
            match deed.map(|deed| deed.action.as_ref()) {
                Some(HubAction::Join { .. }) => self.weigh_joins(target),
                Some(HubAction::Succession { .. }) => self.succeed(),
                Some(HubAction::Vouch { .. }) => self.doubt(op),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
pub(crate) use self::tests::reference;

#[cfg(test)]
mod tests;
