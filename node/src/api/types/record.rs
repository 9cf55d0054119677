//! Records: one line of an answer each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::schema::RecordType;
use super::{ErrorRecord, ReplyRule};

macro_rules! records {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident : $type:ty, )*
        }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(default)]
            pub struct $name {
                $( $(#[doc = $field_doc])*
                   #[serde(skip_serializing_if = "Omit::omit")]
                   pub $field: $type, )*
            }
            impl $name {
                const FIELDS: &'static [Field] = &[$(Field {
                    name: stringify!($field),
                    doc: &[$($field_doc),*],
                    optional: <$type as Shape>::OPTIONAL,
                    schema: <$type as Shape>::schema,
                    parts: <$type as Shape>::parts,
                }),*];
                /// Returns its JSON Schema.
                #[must_use]
                pub fn object() -> serde_json::Value {
                    schema::object(&[$($doc),*], Self::FIELDS, false)
                }
                /// Returns the types that its fields refer to.
                #[must_use]
                pub fn fields_parts() -> Vec<Part> {
                    Self::FIELDS.iter().flat_map(|field| (field.parts)()).collect()
                }
            }
            impl Shape for $name {
                fn schema() -> serde_json::Value {
                    schema::reference(stringify!($name))
                }
                fn parts() -> Vec<Part> {
                    let mut parts = Self::fields_parts();
                    parts.push((stringify!($name), Self::object));
                    parts
                }
            }
        )*
    };
}

/// Declares the types of records, and lists them.
macro_rules! record_types {
    ($( $(#[$doc:meta])* $variant:ident ( $type:ty ), )*) => {
        /// One line of an answer; `"type"` comes first.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Record {
            $( $(#[$doc])* $variant($type), )*
        }
        /// Every type of record.
        pub const RECORDS: &[RecordType] = &[$(RecordType {
            variant: stringify!($variant),
            schema: <$type>::object,
            parts: <$type>::fields_parts,
        }),*];
    };
}

mod audience;
mod dm;
mod hub;
mod network;
mod people;
mod settings;
mod store;

pub use audience::*;
pub use dm::*;
pub use hub::*;
pub use network::*;
pub use people::*;
pub use settings::*;
pub use store::*;

record_types! {
    /// A failure.
    Error(ErrorRecord),
    /// A sentence for people.
    Notice(Notice),
    /// How far a long operation is.
    Progress(Progress),
    /// An account.
    Identity(Identity),
    /// A device of an account.
    Device(Device),
    /// Text that lets somebody connect.
    Ticket(Ticket),
    /// A device has joined.
    Linked(Linked),
    /// An account was recovered.
    Recovered(Recovered),
    /// A profile.
    Profile(Profile),
    /// A post.
    Post(Post),
    /// What became of a post that was written elsewhere.
    Imported(Imported),
    /// An answer to a post or comment.
    Comment(Comment),
    /// How much is unread of one kind; what it lists of it follows.
    Catchup(Catchup),
    /// A post that is not made yet.
    Draft(Draft),
    /// A post, comment or draft that was deleted.
    Deleted(Deleted),
    /// A reaction after it was added or removed.
    Reaction(Reaction),
    /// One text of a post or comment.
    Version(Version),
    /// Who may reply to a wall.
    Policy(Policy),
    /// Standing of a guest on our wall.
    Guest(Guest),
    /// A file that was written.
    Saved(Saved),
    /// Somebody we follow or followed.
    Follow(Relation),
    /// Somebody we block or blocked.
    Block(Relation),
    /// Somebody we mute or muted.
    Mute(Relation),
    /// A hub.
    Hub(Hub),
    /// An invitation to a hub.
    Invite(Invite),
    /// A channel of a hub.
    Channel(Channel),
    /// A message or a poll in a channel.
    Message(Message),
    /// What was not read in a channel.
    Unread(Unread),
    /// A conversation.
    Conversation(Conversation),
    /// A message of a conversation.
    DirectMessage(DirectMessage),
    /// Whom posts are for.
    Audience(Audience),
    /// Somebody who reads an audience.
    Reader(Reader),
    /// What is known of who sees what of something.
    Claim(Claim),
    /// What was taken from a file of conversations.
    BundleImported(BundleImported),
    /// A file of conversations that was written.
    BundleExported(BundleExported),
    /// What the members of a hub have on this node.
    HubUse(HubUse),
    /// What one member of a hub has on this node.
    MemberUse(MemberUse),
    /// A member of a hub.
    Member(Member),
    /// A role in a hub.
    Role(Role),
    /// An operation of a hub.
    Operation(HubOperation),
    /// A report to moderators of a hub.
    Report(Report),
    /// A space that is kept here.
    Sub(Sub),
    /// Outcome of one session with one peer.
    SyncResult(SyncResult),
    /// What is known of one section at one peer.
    SyncStatus(SyncState),
    /// A device that signed that it holds all of a space.
    Holder(Holder),
    /// Everything on one page.
    Status(Status),
    /// Something that happened.
    Event(Event),
    /// The running node.
    Node(Node),
    /// A peer of the node.
    Peer(Peer),
    /// A setting.
    Setting(Setting),
    /// Something that was looked at.
    Check(Check),
    /// Size of the store.
    StoreStats(StoreSize),
    /// One fault found.
    Damage(Damage),
    /// Outcome of a check.
    Verify(Verify),
    /// Outcome of building the rows again.
    Rebuild(Rebuild),
    /// One thing that takes room and serves nothing.
    Garbage(Garbage),
    /// Outcome of giving room back.
    Gc(Gc),
    /// One key of the store.
    Row(Row),
    /// A document.
    Document(Document),
    /// A known head.
    Head(Head),
    /// The pack of a full page.
    Pack(Pack),
    /// A stored change.
    Change(Change),
    /// A document's values.
    DocumentValue(DocumentValue),
    /// A text that was edited.
    TextEdited(TextEdited),
    /// What one change did.
    History(History),
    /// A backup that was written.
    Backup(Backup),
    /// A backup that was put back.
    Restored(Restored),
    /// An archive of an account that was written.
    AccountExported(AccountExported),
    /// An account that was taken in from an archive.
    AccountImported(AccountImported),
    /// The format of a store.
    Migration(Migration),
    /// Versions of program, API and store.
    VersionInfo(VersionInfo),
    /// What a benchmark measured.
    Bench(Bench),
}

impl Record {
    /// Returns the record as one line, with the line break. What a terminal would obey is
    /// escaped.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        // Records are maps with string keys: encoding cannot fail.
        let mut line = super::line::plain(self);
        line.push(b'\n');
        line
    }
}

impl VersionInfo {
    /// The versions of this very program, and the commit that it is built of.
    #[must_use]
    pub fn of_this_program(commit: Option<&str>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: super::API_VERSION,
            store_format: mosaic_engine::store::STORE_FORMAT,
            commit: commit.map(str::to_owned),
        }
    }
}

/// Whether a field is left out of a record: absent options, and flags that are false.
trait Omit {
    fn omit(&self) -> bool {
        false
    }
}
impl<T> Omit for Option<T> {
    fn omit(&self) -> bool {
        self.is_none()
    }
}
impl Omit for String {}
impl Omit for u8 {}
impl Omit for u32 {}
impl Omit for u64 {}
impl Omit for bool {}
impl<T> Omit for Vec<T> {}
impl<K, V> Omit for BTreeMap<K, V> {}
impl Omit for Flag {
    fn omit(&self) -> bool {
        !self.0
    }
}
impl Omit for ReplyRule {}
impl Omit for serde_json::Map<String, serde_json::Value> {}

/// A flag that is only written when it is true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flag(pub bool);

impl From<bool> for Flag {
    fn from(value: bool) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_comes_first_and_absent_fields_are_left_out() {
        let post =
            Record::Post(Post { id: "ab".into(), text: Some("x".into()), ..Post::default() });
        let line = String::from_utf8(post.to_line()).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"type":"post","id":"ab","author":"","text":"x","created_at":"","#,
                r#""attachments":[],"replies":0,"reactions":{}}"#,
                "\n"
            )
        );
        assert!(!line.contains("null"));
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), post);
    }

    #[test]
    fn relations_and_states_have_their_own_types() {
        let block = Record::Block(Relation { account: "1".into(), ..Relation::default() });
        assert_eq!(block.to_line(), b"{\"type\":\"block\",\"account\":\"1\"}\n");
        let state = String::from_utf8(Record::SyncStatus(SyncState::default()).to_line()).unwrap();
        assert!(state.starts_with(r#"{"type":"sync_status","peer":"#));
    }
}
