//! How records look to people: pure functions from records to cells.

mod audience;
mod dm;
mod hub;
mod network;
mod people;
mod store;

use mosaic_node::api::types::{Event, Record};

use crate::quantity::{show_age, show_bytes};
use crate::sanitize;

/// One value, as full text for pipes and short for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// An id in hex: 8 digits for people.
    Id(String),
    /// RFC 3339: an age for people.
    Time(String),
    /// A name that people chose.
    Name(String),
    /// Any other text.
    Text(String),
    /// A number and what is counted, in the singular.
    Count(u64, &'static str),
    /// A size.
    Bytes(u64),
    /// A duration.
    Millis(u64),
}

impl Cell {
    /// Returns a cell of an optional text, empty if absent.
    pub(crate) fn text(text: Option<&str>) -> Self {
        Self::Text(text.unwrap_or_default().to_owned())
    }

    /// Returns the full value for a tab-separated line.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Id(text) | Self::Time(text) | Self::Name(text) | Self::Text(text) => {
                sanitize::field(text)
            }
            Self::Count(number, _) | Self::Bytes(number) | Self::Millis(number) => {
                number.to_string()
            }
        }
    }

    /// Returns what a person wants to see.
    pub(crate) fn pretty(&self) -> String {
        match self {
            Self::Id(id) => sanitize::line(&short(id)),
            Self::Time(time) => sanitize::line(&show_age(time)),
            Self::Name(text) | Self::Text(text) => sanitize::line(text),
            Self::Count(number, "") => number.to_string(),
            Self::Count(number, what) => count(*number, what),
            Self::Bytes(bytes) => show_bytes(*bytes),
            Self::Millis(ms) => format!("{ms} ms"),
        }
    }
}

/// Returns `1 change`, `2 changes`.
pub(crate) fn count(number: u64, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o']) => format!("{number} {stem}ies"),
        _ => format!("{number} {what}s"),
    }
}

/// Returns the first 8 digits of an id; other texts as they are.
pub(crate) fn short(id: &str) -> String {
    let hex = id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { id.chars().take(8).collect() } else { id.to_owned() }
}

/// How a record is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum View {
    /// A line among others.
    Row(Vec<Cell>),
    /// One thing, a field a line.
    Fields(Vec<(String, Cell)>),
    /// A paragraph for people, lines for pipes.
    Block {
        /// The lines for pipes.
        rows: Vec<Vec<Cell>>,
        /// First line for people.
        head: Vec<Cell>,
        /// The rest for people.
        lines: Vec<String>,
    },
}

/// Collects fields, leaving out what is absent.
#[derive(Debug, Default)]
struct Fields(Vec<(String, Cell)>);

impl Fields {
    fn put(mut self, name: impl Into<String>, cell: Cell) -> Self {
        self.0.push((name.into(), cell));
        self
    }

    fn maybe(self, name: &str, cell: Option<Cell>) -> Self {
        match cell {
            Some(cell) => self.put(name, cell),
            None => self,
        }
    }

    fn view(self) -> View {
        View::Fields(self.0)
    }
}

/// Lays a record out.
pub(crate) fn view(record: &Record) -> View {
    match record {
        Record::Identity(record) => people::identity(record),
        Record::Device(record) => people::device(record),
        Record::Ticket(record) => View::Row(vec![Cell::Text(record.ticket.clone())]),
        Record::Linked(record) => people::linked(record),
        Record::Recovered(record) => people::recovered(record),
        Record::Profile(record) => people::profile(record),
        Record::Imported(record) => people::imported(record),
        Record::Post(record) => people::post(record),
        Record::Comment(record) => people::comment(record),
        Record::Catchup(record) => people::catchup(record),
        Record::Draft(record) => people::draft(record),
        Record::Deleted(record) => View::Row(vec![Cell::Id(record.id.clone())]),
        Record::Reaction(record) => people::reaction(record),
        Record::Version(record) => people::version(record),
        Record::Policy(record) => people::policy(record),
        Record::Guest(record) => {
            View::Row(vec![Cell::Id(record.account.clone()), Cell::Text(record.state.clone())])
        }
        Record::Saved(record) => {
            View::Row(vec![Cell::Text(record.path.clone()), Cell::Bytes(record.size_bytes)])
        }
        Record::Follow(record) | Record::Block(record) | Record::Mute(record) => {
            people::relation(record)
        }
        Record::Hub(record) => hub::hub(record),
        Record::Invite(record) => hub::invite(record),
        Record::Channel(record) => hub::channel(record),
        Record::Message(record) => hub::message(record),
        Record::Unread(record) => hub::unread(record),
        Record::Conversation(record) => dm::conversation(record),
        Record::DirectMessage(record) => dm::message(record),
        Record::BundleExported(record) => dm::exported(record),
        Record::BundleImported(record) => dm::imported(record),
        Record::Member(record) => hub::member(record),
        Record::Role(record) => hub::role(record),
        Record::Operation(record) => hub::operation(record),
        Record::Report(record) => hub::report(record),
        Record::Sub(record) => network::sub(record),
        Record::SyncResult(record) => network::sync_result(record),
        Record::SyncStatus(record) => network::sync_state(record),
        Record::Holder(record) => network::holder(record),
        Record::Status(record) => network::status(record),
        Record::Node(record) => network::node(record),
        Record::Peer(record) => network::peer(record),
        Record::Event(record) => event(record),
        Record::Setting(record) => store::setting(record),
        Record::Check(record) => store::check(record),
        Record::StoreStats(record) => store::size(record),
        Record::Damage(record) => store::damage(record),
        Record::Verify(record) => store::verify(record),
        Record::Rebuild(record) => store::rebuild(record),
        Record::Garbage(record) => store::garbage(record),
        Record::Gc(record) => store::gc(record),
        Record::Row(record) => store::row(record),
        Record::Document(record) => store::document(record),
        Record::Head(record) => store::head(record),
        Record::Pack(record) => store::pack(record),
        Record::Change(record) => store::change(record),
        Record::DocumentValue(record) => store::document_value(record),
        Record::History(record) => store::history(record),
        Record::Backup(record) => store::backup(record),
        Record::Restored(record) => store::restored(record),
        Record::AccountExported(record) => store::exported(record),
        Record::AccountImported(record) => store::imported(record),
        Record::Migration(record) => store::migration(record),
        Record::VersionInfo(record) => store::version_info(record),
        Record::Bench(record) => store::bench(record),
        other => view_of_readers(other),
    }
}

/// Lays out records about who reads what and uses how much, and those that are only JSON.
fn view_of_readers(record: &Record) -> View {
    match record {
        Record::HubUse(record) => hub::hub_use(record),
        Record::MemberUse(record) => hub::member_use(record),
        Record::Audience(record) => audience::audience(record),
        Record::Reader(record) => audience::reader(record),
        Record::Claim(record) => audience::claim(record),
        other => View::Row(vec![Cell::Text(String::from_utf8_lossy(&other.to_line()).into())]),
    }
}

fn event(event: &Event) -> View {
    let data = serde_json::to_string(&event.data).unwrap_or_default();
    View::Row(vec![
        Cell::Count(event.seq, ""),
        Cell::Time(event.time.clone()),
        Cell::Name(event.event.clone()),
        Cell::Id(event.actor.clone().unwrap_or_default()),
        Cell::Id(event.doc.clone().unwrap_or_default()),
        Cell::Text(if event.data.is_empty() { String::new() } else { data }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_for_people_and_full_for_pipes() {
        let id = "ab".repeat(32);
        assert_eq!(Cell::Id(id.clone()).pretty(), "abababab");
        assert_eq!(Cell::Id(id.clone()).plain(), id);
        assert_eq!(short("phone"), "phone");
    }

    #[test]
    fn numbers_agree_with_what_they_count() {
        assert_eq!(count(1, "change"), "1 change");
        assert_eq!(count(2, "change"), "2 changes");
        assert_eq!(count(0, "body"), "0 bodies");
        assert_eq!(count(2, "key"), "2 keys");
    }

    #[test]
    fn a_strangers_escape_sequence_reaches_no_column() {
        let cell = Cell::Name("\u{1b}[2Jada\u{202e}".into());
        assert!(!cell.pretty().contains('\u{1b}') && !cell.plain().contains('\u{202e}'));
    }
}
