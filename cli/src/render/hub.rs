//! Hubs, their channels, and what is written there.

use mosaic_node::api::types::{
    Channel, Hub, HubOperation, HubUse, Invite, Member, MemberUse, Message, PollCount, Report,
    Role, Unread,
};

use super::{Cell, Fields, View, count, short};
use crate::quantity::show_bytes;

pub(super) fn hub(hub: &Hub) -> View {
    let kept_for = if hub.private.0 { "its members" } else { "whoever asks" };
    Fields::default()
        .put("hub", Cell::Text(hub.id.clone()))
        .put("name", name_of(hub))
        .maybe("alias", hub.alias.clone().map(Cell::Name))
        .maybe("about", hub.about.clone().map(Cell::Text))
        .maybe("created", hub.created_at.clone().map(Cell::Time))
        .put("members", Cell::Count(hub.members, ""))
        .put("channels", Cell::Count(hub.channels, ""))
        .put("you are", Cell::Text(hub.standing.clone()))
        .maybe("rank", hub.rank.map(|rank| Cell::Count(rank, "")))
        .put("you may", Cell::Text(hub.permissions.join(" ")))
        .maybe("known to", hub.private.0.then(|| Cell::Text("its members".to_owned())))
        .maybe("joins", hub.joins_closed.0.then(|| Cell::Text("closed".to_owned())))
        .maybe("kept for", hub.served.then(|| Cell::Text(kept_for.to_owned())))
        .view()
}

/// What a hub is called, or that its beginning is not here.
fn name_of(hub: &Hub) -> Cell {
    match hub.standing.as_str() {
        "unknown" if hub.name.is_empty() => Cell::Text("(not here yet)".to_owned()),
        _ => name(&hub.name, hub.sealed.0),
    }
}

/// A name, or that it is sealed and the key is not here. One that reads like that is told apart.
fn name(name: &str, sealed: bool) -> Cell {
    match name {
        "" if sealed => Cell::Text("(sealed)".to_owned()),
        "(sealed)" | "(not here yet)" => Cell::Name(format!("'{name}'")),
        name => Cell::Name(name.to_owned()),
    }
}

pub(super) fn invite(invite: &Invite) -> View {
    let uses = invite.uses.map_or_else(|| "any".to_owned(), |uses| uses.to_string());
    View::Row(vec![
        Cell::Id(invite.id.clone()),
        Cell::Id(invite.by.clone()),
        Cell::Text(format!("{}/{uses}", invite.joined.len())),
        Cell::Text(invite.state.clone()),
        Cell::Time(invite.expires_at.clone().unwrap_or_default()),
        Cell::Text(waiting(&invite.waiting)),
    ])
}

fn waiting(accounts: &[String]) -> String {
    match accounts.len() {
        0 => String::new(),
        _ => format!("waiting: {}", accounts.join(" ")),
    }
}

pub(super) fn channel(channel: &Channel) -> View {
    let marks = [
        (channel.ambiguous.0, "same name twice"),
        (channel.read_only.0, "read-only"),
        (channel.archived.0, "archived"),
        (channel.private.0, "private"),
    ];
    let marks: Vec<&str> = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
    View::Row(vec![
        Cell::Id(channel.id.clone()),
        name(&channel.name, channel.sealed.0),
        Cell::Name(channel.category.clone().unwrap_or_default()),
        Cell::Text(channel.topic.clone().unwrap_or_default()),
        Cell::Text(marks.join(",")),
    ])
}

fn text(message: &Message) -> String {
    match (&message.text, message.state.as_str()) {
        (Some(text), _) => text.clone(),
        (None, "hidden") => "(hidden)".to_owned(),
        (None, "purged") => "(purged)".to_owned(),
        (None, _) if message.deleted.0 => "(deleted)".to_owned(),
        (None, _) if message.sealed.is_some() => sealed(message),
        (None, _) if message.missing.0 => "(not here yet)".to_owned(),
        (None, _) => String::new(),
    }
}

/// Why a sealed message shows no text.
fn sealed(message: &Message) -> String {
    match message.sealed.as_deref() {
        Some("waiting") => "(sealed: its key is not here yet)".to_owned(),
        Some("to_others") => "(sealed: its key is not for you)".to_owned(),
        _ => format!("(sealed: {})", message.why.as_deref().unwrap_or("does not open")),
    }
}

fn marks(message: &Message) -> String {
    let state = Some(message.state.as_str()).filter(|state| *state != "shown");
    let why = message.why.as_deref().filter(|_| message.state == "void");
    let marks = [
        (message.deleted.0, "deleted"),
        (message.late.0, "late"),
        (message.disputed.0, "disputed"),
        (message.missing.0, "missing"),
        (message.origin.is_some(), "imported"),
    ];
    let marks = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark);
    state.into_iter().chain(why).chain(marks).collect::<Vec<_>>().join(",")
}

pub(super) fn message(message: &Message) -> View {
    let row = vec![
        Cell::Id(message.id.clone()),
        Cell::Time(message.created_at.clone()),
        Cell::Id(message.author.clone()),
        Cell::Text(text(message)),
        Cell::Text(marks(message)),
    ];
    let author = message.origin_author.as_ref().or(message.author_name.as_ref());
    let mut head = vec![
        author.map_or_else(|| Cell::Id(message.author.clone()), |name| Cell::Name(name.clone())),
        Cell::Time(message.created_at.clone()),
        Cell::Id(message.id.clone()),
        Cell::Text(marks(message)),
    ];
    if message.edited_at.is_some() {
        head.push(Cell::Text("edited".to_owned()));
    }
    let depth = usize::try_from(message.depth.unwrap_or(0)).unwrap_or(0).min(16);
    let indent = "  ".repeat(depth + 1);
    let mut lines: Vec<String> =
        text(message).lines().map(|line| format!("{indent}{line}")).collect();
    if let Some(target) = message.reply_to.as_ref().filter(|_| message.depth.is_none()) {
        lines.push(format!("{indent}answers {}", short(target)));
    }
    lines.extend(
        message
            .attachments
            .iter()
            .map(|file| format!("{indent}[{}, {}]", file.name, show_bytes(file.size_bytes))),
    );
    lines.extend(message.poll.iter().flat_map(|poll| options(poll, &indent)));
    let mut foot: Vec<String> =
        message.reactions.iter().map(|(emoji, number)| format!("{emoji} {number}")).collect();
    if message.replies > 0 {
        foot.push(match message.replies {
            1 => "1 answer".to_owned(),
            number => count(number, "answer"),
        });
    }
    if !foot.is_empty() {
        lines.push(format!("{indent}{}", foot.join("  ")));
    }
    View::Block { rows: vec![row], head, lines }
}

fn options(poll: &PollCount, indent: &str) -> Vec<String> {
    let options = (1..).zip(poll.options.iter().zip(&poll.counts));
    let mut lines: Vec<String> = options
        .map(|(number, (option, count))| {
            let won = if poll.winners.contains(option) { " *" } else { "" };
            format!("{indent}{number}. {option}: {count}{won}")
        })
        .collect();
    let closed = if poll.closed.0 { ", closed" } else { "" };
    lines.push(format!("{indent}{}, {}{closed}", poll.kind, count(poll.voters, "vote")));
    lines
}

pub(super) fn hub_use(used: &HubUse) -> View {
    let limit = |bytes: Option<u64>| bytes.map(|bytes| Cell::Text(show_bytes(bytes)));
    Fields::default()
        .put("used", Cell::Text(show_bytes(used.bytes)))
        .maybe("the hub gives each", limit(used.rule))
        .maybe("this node takes of each", limit(used.member_limit))
        .maybe("this node takes of all", limit(used.all_limit))
        .view()
}

pub(super) fn member_use(used: &MemberUse) -> View {
    View::Row(vec![
        used.name.clone().map_or_else(|| Cell::Id(used.account.clone()), Cell::Name),
        Cell::Text(show_bytes(used.bytes)),
        Cell::Text(if used.full.0 { "full" } else { "" }.to_owned()),
    ])
}

pub(super) fn unread(unread: &Unread) -> View {
    View::Row(vec![
        Cell::Name(unread.name.clone()),
        Cell::Count(unread.messages, "message"),
        Cell::Count(unread.mentions, "mention"),
        Cell::Time(unread.since.clone().unwrap_or_default()),
    ])
}

pub(super) fn member(member: &Member) -> View {
    let rank = match member.rank {
        _ if member.owner.0 => "owner".to_owned(),
        Some(rank) => rank.to_string(),
        None => String::new(),
    };
    View::Row(vec![
        Cell::Id(member.account.clone()),
        Cell::Name(member.name.clone().unwrap_or_default()),
        Cell::Text(rank),
        Cell::Text(member.roles.join(", ")),
    ])
}

pub(super) fn role(role: &Role) -> View {
    View::Row(vec![
        Cell::Id(role.id.clone()),
        name(&role.name, role.sealed.0),
        Cell::Count(role.rank, ""),
        Cell::Text(role.permissions.join(" ")),
    ])
}

pub(super) fn operation(operation: &HubOperation) -> View {
    let state = match (&operation.why, &operation.lifted) {
        (Some(why), _) => format!("void: {why}"),
        (None, Some(by)) => format!("lifted by {}", short(by)),
        (None, None) => "counts".to_owned(),
    };
    View::Row(vec![
        Cell::Id(operation.id.clone()),
        Cell::Time(operation.created_at.clone()),
        Cell::Id(operation.by.clone()),
        Cell::Name(operation.action.clone()),
        Cell::Id(operation.about.clone().unwrap_or_default()),
        name(operation.detail.as_deref().unwrap_or_default(), operation.sealed.0),
        Cell::Text(state),
        Cell::Text(operation.reason.clone().unwrap_or_default()),
    ])
}

pub(super) fn report(report: &Report) -> View {
    let state = match (&report.handled_act, &report.handled_by) {
        (Some(act), Some(by)) => format!("{act} by {}", short(by)),
        _ => report.state.clone(),
    };
    let unproven = if report.author_unproven.0 { ", author not proven" } else { "" };
    let someone = |name: &Option<String>, id: &String| match name {
        Some(name) => Cell::Name(name.clone()),
        None => Cell::Id(id.clone()),
    };
    View::Row(vec![
        Cell::Id(report.id.clone()),
        Cell::Time(report.created_at.clone()),
        someone(&report.by_name, &report.by),
        Cell::Text(report.about.clone()),
        Cell::Id(report.message.clone().unwrap_or_default()),
        someone(&report.account_name, &report.account),
        Cell::Text(report.reason.clone().unwrap_or_default()),
        Cell::Text(report.text.clone().unwrap_or_default()),
        Cell::Text(format!("{state}{unproven}")),
    ])
}
