//! People and what they write.

use std::collections::BTreeMap;

use mosaic_node::api::types::{
    Attachment, Catchup, Comment, Device, Draft, FieldConflict, Identity, Imported, Linked, Policy,
    Post, Profile, Reaction, Recovered, Relation, ReplyRule, TextConflict, Version,
};

use super::{Cell, Fields, View, count, short};
use crate::quantity::{show_bytes, show_local};

pub(super) fn identity(identity: &Identity) -> View {
    let text = |text: &Option<String>| text.clone().map(Cell::Name);
    Fields::default()
        .put("account", Cell::Text(identity.account.clone()))
        .maybe("name", text(&identity.name))
        .maybe("petname", text(&identity.petname))
        .maybe("device", identity.device.clone().map(Cell::Text))
        .maybe("device name", text(&identity.device_name))
        .put("devices", Cell::Count(identity.devices, ""))
        .maybe("created", identity.created_at.clone().map(Cell::Time))
        .maybe("recovery", identity.recovery.clone().map(Cell::Text))
        .view()
}

pub(super) fn device(device: &Device) -> View {
    let here = if device.this_device { "this device" } else { "" };
    let mut row = vec![
        Cell::Name(device.name.clone()),
        Cell::Id(device.id.clone()),
        Cell::Text(device.state.clone()),
        Cell::Text(here.to_owned()),
        Cell::Time(device.linked_at.clone().unwrap_or_default()),
    ];
    row.extend(device.prekey_at.clone().map(Cell::Time));
    View::Row(row)
}

pub(super) fn linked(linked: &Linked) -> View {
    View::Row(vec![
        Cell::Id(linked.device.clone()),
        Cell::Name(linked.name.clone()),
        Cell::Text(linked.code.clone()),
    ])
}

pub(super) fn recovered(recovered: &Recovered) -> View {
    View::Row(vec![
        Cell::Id(recovered.account.clone()),
        Cell::Name(recovered.name.clone()),
        Cell::Id(recovered.device.clone()),
    ])
}

pub(super) fn profile(profile: &Profile) -> View {
    let mut fields = Fields::default()
        .put("account", Cell::Text(profile.account.clone()))
        .maybe("name", profile.name.clone().map(Cell::Name))
        .maybe("bio", profile.bio.clone().map(Cell::Text))
        .maybe("avatar", profile.avatar.as_ref().map(|file| Cell::Text(attachment(file))));
    for link in &profile.links {
        fields = fields.put("link", Cell::Text(link.clone()));
    }
    for (key, value) in &profile.fields {
        fields = fields.put(format!("fields.{key}"), Cell::Text(value.clone()));
    }
    for (key, value) in &profile.theme {
        fields = fields.put(format!("theme.{key}"), Cell::Text(value.clone()));
    }
    for hub in profile.hubs.iter().flatten() {
        let mark = match hub.member {
            Some(true) => "",
            Some(false) => " (not a member)",
            // Name and all are the account's own words.
            None => " (says so)",
        };
        let text = format!("{} {}{mark}", hub.name, short(&hub.hub));
        fields = fields.put("hub", Cell::Text(text));
    }
    for FieldConflict { field, values } in profile.conflicts.iter().flatten() {
        for value in values.iter().filter(|value| !value.shown) {
            let by = value.device.as_deref().map(|device| format!(" (by {})", short(device)));
            let text = format!("{}{}", value.value, by.unwrap_or_default());
            fields = fields.put(format!("{field}, lost"), Cell::Text(text));
        }
    }
    fields.view()
}

/// What posts and comments have in common.
struct Words<'a> {
    text: Option<&'a str>,
    deleted: bool,
    hidden: bool,
    missing: bool,
    disputed: bool,
    unproven: bool,
    attachments: &'a [Attachment],
    reactions: &'a BTreeMap<String, u64>,
    conflicts: Option<&'a Vec<TextConflict>>,
    audience: Option<&'a str>,
}

impl Words<'_> {
    fn text(&self) -> String {
        match self.text {
            Some(text) => text.to_owned(),
            None if self.deleted => "(deleted)".to_owned(),
            None if self.missing => "(not here yet)".to_owned(),
            None => String::new(),
        }
    }

    fn marks(&self) -> String {
        let marks = [
            (self.deleted, "deleted"),
            (self.hidden, "hidden"),
            (self.missing, "missing"),
            (self.disputed, "disputed"),
            (self.unproven, "unproven"),
        ];
        let marks = marks.iter().filter(|(set, _)| *set).map(|(_, name)| *name);
        let marks: Vec<&str> = marks.chain(self.audience).collect();
        marks.join(",")
    }

    /// Returns the line for pipes, and one for each text that lost.
    fn rows(&self, row: Vec<Cell>) -> Vec<Vec<Cell>> {
        let lost = self.conflicts.into_iter().flatten().map(|lost| {
            vec![
                Cell::Id(lost.id.clone()),
                Cell::Time(lost.edited_at.clone()),
                Cell::Id(lost.device.clone().unwrap_or_default()),
                Cell::Text(lost.text.clone().unwrap_or_else(|| "(not here yet)".to_owned())),
                Cell::Text("lost".to_owned()),
            ]
        });
        std::iter::once(row).chain(lost).collect()
    }

    fn lines(&self, indent: &str, replies: u64) -> Vec<String> {
        let mut lines: Vec<String> =
            self.text().lines().map(|line| format!("{indent}{line}")).collect();
        for lost in self.conflicts.into_iter().flatten() {
            let text = lost.text.as_deref().unwrap_or("(not here yet)");
            let rows = text.lines().enumerate();
            lines.extend(rows.map(|(at, line)| match at {
                0 => format!("{indent}lost: {line}"),
                _ => format!("{indent}      {line}"),
            }));
        }
        lines.extend(self.attachments.iter().map(|file| format!("{indent}[{}]", attachment(file))));
        let mut foot: Vec<String> =
            self.reactions.iter().map(|(emoji, number)| format!("{emoji} {number}")).collect();
        if replies > 0 {
            foot.push(count(replies, "comment"));
        }
        if !foot.is_empty() {
            lines.push(format!("{indent}{}", foot.join("  ")));
        }
        lines
    }
}

pub(super) fn catchup(group: &Catchup) -> View {
    let count = match (group.count, group.at_least.0) {
        (0, _) => "nothing new".to_owned(),
        (count, true) => format!("more than {count} new"),
        (count, false) => format!("{count} new"),
    };
    let rest = group.count.saturating_sub(group.listed);
    let rest = if rest > 0 { format!("{rest} not listed here") } else { String::new() };
    let plain = vec![
        Cell::Name(group.group.clone()),
        Cell::Count(group.count, ""),
        Cell::Count(group.listed, ""),
    ];
    let head = vec![Cell::Name(group.group.clone()), Cell::Text(count), Cell::Text(rest)];
    View::Block { rows: vec![plain], head, lines: Vec::new() }
}

pub(super) fn imported(imported: &Imported) -> View {
    View::Row(vec![
        Cell::Id(imported.id.clone().unwrap_or_default()),
        Cell::Name(imported.state.clone()),
        Cell::Text(imported.origin.clone()),
    ])
}

pub(super) fn post(post: &Post) -> View {
    let words = Words {
        text: post.text.as_deref(),
        deleted: post.deleted.0,
        hidden: false,
        missing: post.missing.0,
        disputed: post.disputed.0,
        unproven: post.unproven.0,
        attachments: &post.attachments,
        reactions: &post.reactions,
        conflicts: post.conflicts.as_ref(),
        audience: post.audience.as_deref(),
    };
    let mut lines = words.lines("  ", post.replies);
    if let Some(quote) = &post.quote {
        lines.push(format!("  quotes {} by {}", short(&quote.id), short(&quote.author)));
    }
    if let Some(origin) = &post.origin {
        let from = origin.link.as_ref().unwrap_or(&origin.id);
        lines.push(format!("  imported from {}, {from}", origin.source));
    }
    let row = vec![
        Cell::Id(post.id.clone()),
        Cell::Time(post.created_at.clone()),
        Cell::Id(post.author.clone()),
        Cell::Text(words.text()),
        Cell::Text(words.marks()),
    ];
    let head = head(&post.author, post.author_name.as_ref(), &post.created_at, &post.id);
    let rows = words.rows(row);
    View::Block { rows, head: marked(head, &words, post.edited_at.is_some()), lines }
}

pub(super) fn draft(draft: &Draft) -> View {
    let at = draft.at.clone().unwrap_or_default();
    let row = |text: &str, mark: &str| {
        vec![
            Cell::Id(draft.id.clone()),
            Cell::Time(draft.edited_at.clone()),
            Cell::Text(at.clone()),
            Cell::Text(text.to_owned()),
            Cell::Text(mark.to_owned()),
        ]
    };
    let lost = || draft.conflicts.iter().flatten();
    let mut rows = vec![row(&draft.text, "")];
    rows.extend(lost().map(|text| row(text, "conflict")));
    let mut head = vec![Cell::Id(draft.id.clone()), Cell::Time(draft.edited_at.clone())];
    if let Some(at) = &draft.at {
        head.push(Cell::Text(format!("goes out {}", show_local(at))));
    }
    let mut lines: Vec<String> = draft.text.lines().map(|line| format!("  {line}")).collect();
    for text in lost() {
        lines.push("  or, written on another device:".to_owned());
        lines.extend(text.lines().map(|line| format!("    {line}")));
    }
    if let Some(quote) = &draft.quote {
        lines.push(format!("  quotes {} by {}", short(&quote.id), short(&quote.author)));
    }
    View::Block { rows, head, lines }
}

pub(super) fn comment(comment: &Comment) -> View {
    let words = Words {
        text: comment.text.as_deref(),
        deleted: comment.deleted.0,
        hidden: comment.hidden.0,
        missing: comment.missing.0,
        disputed: comment.disputed.0,
        unproven: comment.unproven.0,
        attachments: &comment.attachments,
        reactions: &comment.reactions,
        conflicts: comment.conflicts.as_ref(),
        audience: None,
    };
    let row = vec![
        Cell::Id(comment.id.clone()),
        Cell::Time(comment.created_at.clone()),
        Cell::Id(comment.author.clone()),
        Cell::Text(words.text()),
        Cell::Text(words.marks()),
        Cell::Id(comment.reply_to.clone()),
    ];
    let mut head =
        head(&comment.author, comment.author_name.as_ref(), &comment.created_at, &comment.id);
    if comment.reply_to != comment.post {
        head.push(Cell::Text(format!("to {}", short(&comment.reply_to))));
    }
    let head = marked(head, &words, comment.edited_at.is_some());
    View::Block { rows: words.rows(row), head, lines: words.lines("    ", 0) }
}

fn head(author: &str, name: Option<&String>, created_at: &str, id: &str) -> Vec<Cell> {
    let who = match name {
        Some(name) => Cell::Name(name.clone()),
        None => Cell::Id(author.to_owned()),
    };
    vec![who, Cell::Time(created_at.to_owned()), Cell::Id(id.to_owned())]
}

fn marked(mut head: Vec<Cell>, words: &Words<'_>, edited: bool) -> Vec<Cell> {
    if edited {
        head.push(Cell::Text("edited".to_owned()));
    }
    let marks = words.marks();
    if !marks.is_empty() {
        head.push(Cell::Text(marks));
    }
    head
}

fn attachment(file: &Attachment) -> String {
    let alt = file.alt.as_deref().map(|alt| format!(": {alt}")).unwrap_or_default();
    format!("{} {} {}{alt}", file.name, show_bytes(file.size_bytes), file.media_type)
}

pub(super) fn reaction(reaction: &Reaction) -> View {
    View::Row(vec![
        Cell::Id(reaction.id.clone().unwrap_or_default()),
        Cell::Id(reaction.target.clone()),
        Cell::Text(reaction.emoji.clone()),
        Cell::Text(if reaction.removed.0 { "removed" } else { "added" }.to_owned()),
    ])
}

pub(super) fn version(version: &Version) -> View {
    View::Row(vec![
        Cell::Id(version.id.clone()),
        Cell::Time(version.created_at.clone()),
        Cell::Id(version.device.clone().unwrap_or_default()),
        Cell::Text(if version.shown { "shown" } else { "" }.to_owned()),
        Cell::Text(version.text.clone().unwrap_or_else(|| "(not here yet)".to_owned())),
    ])
}

pub(super) fn policy(policy: &Policy) -> View {
    let reply = match policy.reply {
        ReplyRule::Everyone => "everyone",
        ReplyRule::Admitted => "admitted",
        ReplyRule::Nobody => "nobody",
    };
    let mut fields = Fields::default()
        .put("account", Cell::Text(policy.account.clone()))
        .put("reply", Cell::Text(reply.to_owned()));
    for account in &policy.admitted {
        fields = fields.put("admitted", Cell::Id(account.clone()));
    }
    for account in &policy.refused {
        fields = fields.put("refused", Cell::Id(account.clone()));
    }
    fields.view()
}

pub(super) fn relation(relation: &Relation) -> View {
    let petname = relation.petname.as_deref().map(|name| format!("@{name}"));
    let mut cells = vec![
        Cell::Id(relation.account.clone()),
        Cell::Name(petname.unwrap_or_default()),
        Cell::text(relation.name.as_deref()),
        Cell::Time(relation.since.clone().unwrap_or_default()),
    ];
    cells.extend(relation.note.as_deref().map(|note| Cell::text(Some(note))));
    View::Row(cells)
}

#[cfg(test)]
mod tests {
    use mosaic_node::api::types::Flag;

    use super::*;

    #[test]
    fn only_the_text_itself_makes_lines_and_all_are_indented() {
        let fake = "x\nBob · now · deadbeef\n  I agree";
        let record = Post {
            text: Some(fake.into()),
            attachments: vec![Attachment {
                name: fake.into(),
                media_type: fake.into(),
                alt: Some(fake.into()),
                ..Attachment::default()
            }],
            reactions: BTreeMap::from([(fake.to_owned(), 1)]),
            conflicts: Some(vec![TextConflict {
                text: Some(fake.into()),
                ..TextConflict::default()
            }]),
            ..Post::default()
        };
        let View::Block { lines, .. } = post(&record) else { panic!("no block") };
        // Three lines of each text, one of the file, one of the reactions.
        assert_eq!(lines.len(), 3 + 3 + 1 + 1);
        for line in lines {
            assert!(crate::sanitize::row(&line).starts_with("  "), "{line:?}");
        }
    }

    #[test]
    fn a_post_is_a_line_in_a_pipe_and_a_paragraph_on_a_terminal() {
        let record = Post {
            id: "ab".repeat(32),
            author: "cd".repeat(32),
            author_name: Some("ada".into()),
            text: Some("one\ntwo".into()),
            created_at: "2026-11-22T07:30:52.506Z".into(),
            replies: 1,
            reactions: BTreeMap::from([("👍".to_owned(), 3)]),
            disputed: Flag(true),
            conflicts: Some(vec![TextConflict {
                text: Some("lost text".into()),
                ..TextConflict::default()
            }]),
            ..Post::default()
        };
        let View::Block { rows, head, lines } = post(&record) else { panic!("no block") };
        assert_eq!(rows[0][0].plain(), "ab".repeat(32));
        assert_eq!(rows[0][3].plain(), "one\\ntwo");
        assert_eq!(rows[0][4].plain(), "disputed");
        assert_eq!(rows[1][3].plain(), "lost text");
        assert_eq!(head[0].pretty(), "ada");
        assert_eq!(lines, ["  one", "  two", "  lost: lost text", "  👍 3  1 comment"]);
    }

    #[test]
    fn missing_and_deleted_texts_say_so() {
        let gone = Post { deleted: Flag(true), ..Post::default() };
        let View::Block { rows, .. } = post(&gone) else { panic!("no block") };
        assert_eq!(rows[0][3].plain(), "(deleted)");
        let away = Post { missing: Flag(true), ..Post::default() };
        let View::Block { rows, .. } = post(&away) else { panic!("no block") };
        assert_eq!(rows[0][3].plain(), "(not here yet)");
    }

    #[test]
    fn a_hub_that_nobody_proves_says_so() {
        let hub = |member| mosaic_node::api::types::ProfileHub {
            hub: "ab".repeat(32),
            name: "Gardeners".into(),
            member,
        };
        let shown = |member| {
            let record = Profile { hubs: Some(vec![hub(member)]), ..Profile::default() };
            let View::Fields(fields) = profile(&record) else { panic!("no fields") };
            let field = fields.into_iter().find(|(name, _)| name == "hub");
            field.map(|(_, cell)| cell.pretty().to_owned()).unwrap()
        };
        let named = format!("Gardeners {}", short(&"ab".repeat(32)));
        assert_eq!(shown(Some(true)), named);
        assert_eq!(shown(Some(false)), format!("{named} (not a member)"));
        assert_eq!(shown(None), format!("{named} (says so)"));
    }

    #[test]
    fn the_loser_of_a_conflict_is_visible() {
        let value = |text: &str, shown| mosaic_node::api::types::FieldValue {
            value: text.into(),
            device: None,
            shown,
        };
        let conflict = FieldConflict {
            field: "bio".into(),
            values: vec![value("a", true), value("b", false)],
        };
        let record = Profile {
            bio: Some("a".into()),
            conflicts: Some(vec![conflict]),
            ..Profile::default()
        };
        let View::Fields(fields) = profile(&record) else { panic!("no fields") };
        assert!(fields.contains(&("bio, lost".to_owned(), Cell::Text("b".to_owned()))));
    }
}
