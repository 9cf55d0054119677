//! Conversations and their messages.

use mosaic_node::api::types::{BundleExported, BundleImported, Conversation, DirectMessage};

use super::{Cell, View, short};

pub(super) fn conversation(conversation: &Conversation) -> View {
    let name = conversation.title.clone().or_else(|| conversation.who_name.clone());
    let mut marks = Vec::new();
    if conversation.standing != "accepted" {
        marks.push(conversation.standing.clone());
    }
    if conversation.left.0 {
        marks.push("left".to_owned());
    }
    if conversation.waiting > 0 {
        marks.push(format!("{} without a key yet", conversation.waiting));
    }
    View::Row(vec![
        Cell::Id(conversation.who.clone().unwrap_or_else(|| conversation.id.clone())),
        Cell::Name(name.unwrap_or_default()),
        Cell::Count(conversation.unread, "unread"),
        Cell::Time(conversation.newest_at.clone().unwrap_or_default()),
        Cell::Text(marks.join(", ")),
    ])
}

pub(super) fn message(message: &DirectMessage) -> View {
    let text = match (message.state.as_str(), &message.text) {
        ("shown", Some(text)) => text.clone(),
        ("deleted", _) => "(deleted)".to_owned(),
        ("expired", _) => "(expired)".to_owned(),
        ("missing", _) => "(the text is not here yet)".to_owned(),
        ("waiting", _) => "(the key is not here yet)".to_owned(),
        _ => format!("(refused: {})", message.why.clone().unwrap_or_default()),
    };
    let name = message.author_name.clone().unwrap_or_else(|| short(&message.author));
    let state = message.delivery.clone().unwrap_or_default();
    let row = vec![
        Cell::Id(message.id.clone()),
        Cell::Time(message.created_at.clone()),
        Cell::Name(name.clone()),
        Cell::Text(text.clone()),
        Cell::Text(state.clone()),
    ];
    let mut head = vec![
        Cell::Name(name),
        Cell::Time(message.created_at.clone()),
        Cell::Id(message.id.clone()),
    ];
    if message.edited_at.is_some() {
        head.push(Cell::Text("edited".to_owned()));
    }
    if !state.is_empty() {
        head.push(Cell::Text(state));
    }
    let mut lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    if let Some(target) = &message.reply_to {
        lines.push(format!("  answers {}", short(target)));
    }
    let reactions = message.reactions.iter().map(|(emoji, number)| format!("{emoji} {number}"));
    let reactions: Vec<String> = reactions.collect();
    if !reactions.is_empty() {
        lines.push(format!("  {}", reactions.join("  ")));
    }
    View::Block { rows: vec![row], head, lines }
}

pub(super) fn exported(exported: &BundleExported) -> View {
    View::Row(vec![Cell::Text(exported.path.clone()), Cell::Bytes(exported.size_bytes)])
}

pub(super) fn imported(imported: &BundleImported) -> View {
    View::Row(vec![
        Cell::Count(imported.conversations, "conversation"),
        Cell::Count(imported.changes, "new change"),
        Cell::Count(imported.texts, "new text"),
        Cell::Count(imported.refused, "refused conversation"),
        Cell::Count(imported.left, "chain left"),
        Cell::Count(imported.damaged, "damaged part"),
    ])
}
