//! Posts and comments as records, and files as attachments.

use mosaic_engine::hash::ChangeId;
use mosaic_engine::limits::BODY_SALT_BYTES;
use mosaic_engine::model::entry::Attachment as FileRef;
use mosaic_engine::replica::{PostView, Replica, Text, Version as TextVersion};

use super::resolve;
use super::types::{
    Attachment, Comment, ErrorKind, ErrorRecord, Origin, Post, Quote, Record, TextConflict, rfc3339,
};
use crate::app::App;

/// What may be added to the pure record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extras {
    pub conflicts: bool,
    pub names: bool,
}

pub(super) fn attachment(file: &FileRef) -> Attachment {
    Attachment {
        hash: file.body.hash.to_string(),
        size_bytes: file.body.size.saturating_sub(BODY_SALT_BYTES as u64),
        media_type: file.media_type.clone(),
        name: file.name.clone(),
        alt: Some(file.alt.clone()).filter(|alt| !alt.is_empty()),
    }
}

pub(super) fn text(text: &Text) -> Option<String> {
    if let Text::Here(text) = text { Some(text.clone()) } else { None }
}

fn conflicts(versions: &[TextVersion]) -> Vec<TextConflict> {
    versions
        .iter()
        .map(|version| TextConflict {
            id: version.id.to_string(),
            text: text(&version.text),
            device: Some(version.device.to_string()),
            edited_at: rfc3339(version.time_ms),
        })
        .collect()
}

fn is_missing(view: &PostView) -> bool {
    matches!(view.text, Text::Missing | Text::Damaged)
}

/// What a list ends with if texts in it are damaged here.
pub(super) fn damage(app: &App, views: &[PostView]) -> Result<Option<Record>, ErrorRecord> {
    let damaged = views.iter().filter(|view| view.text == Text::Damaged).count();
    if damaged == 0 {
        return Ok(None);
    }
    if app.replica()?.set_damaged_aside()? > 0 {
        app.kept_changed();
    }
    let what = if damaged == 1 { "text is" } else { "texts are" };
    let message = format!("{damaged} {what} damaged here and fetched again by the next sync");
    Ok(Some(Record::Error(ErrorRecord::new(ErrorKind::Corrupt, message).with_hint("mosaic sync"))))
}

/// A post, as `wall list` shows it.
pub(super) fn post(
    replica: &Replica,
    view: &PostView,
    extras: Extras,
) -> Result<Record, ErrorRecord> {
    let name = if extras.names { resolve::name(replica, &view.account)? } else { None };
    let quoted = view.quote.or(view.repost);
    Ok(Record::Post(Post {
        id: view.id.to_string(),
        author: view.account.to_string(),
        author_name: name,
        text: text(&view.text).filter(|_| view.repost.is_none()),
        text_doc: view.text_document.map(|doc| doc.to_string()),
        created_at: rfc3339(view.time_ms),
        edited_at: view.edited_ms.map(rfc3339),
        quote: quoted
            .map(|quote| Quote { author: quote.account.to_string(), id: quote.entry.to_string() }),
        origin: view.origin.as_ref().map(|origin| Origin {
            source: origin.source.clone(),
            id: origin.id.clone(),
            link: Some(origin.link.clone()).filter(|link| !link.is_empty()),
        }),
        attachments: view.attachments.iter().map(attachment).collect(),
        replies: view.replies,
        reactions: counts(view),
        deleted: view.deleted.into(),
        disputed: view.disputed.into(),
        missing: is_missing(view).into(),
        unproven: false.into(),
        conflicts: extras.conflicts.then(|| conflicts(&view.conflicts)),
        audience: view.audience.clone(),
    }))
}

/// A comment below `post`.
pub(super) fn comment(
    replica: &Replica,
    post: &ChangeId,
    view: &PostView,
    extras: Extras,
) -> Result<Record, ErrorRecord> {
    let name = if extras.names { resolve::name(replica, &view.account)? } else { None };
    Ok(Record::Comment(Comment {
        id: view.id.to_string(),
        post: post.to_string(),
        reply_to: view.target.unwrap_or(*post).to_string(),
        author: view.account.to_string(),
        author_name: name,
        text: text(&view.text),
        created_at: rfc3339(view.time_ms),
        edited_at: view.edited_ms.map(rfc3339),
        attachments: view.attachments.iter().map(attachment).collect(),
        reactions: counts(view),
        deleted: view.deleted.into(),
        hidden: view.hidden.into(),
        disputed: view.disputed.into(),
        missing: is_missing(view).into(),
        unproven: false.into(),
        conflicts: extras.conflicts.then(|| conflicts(&view.conflicts)),
    }))
}

fn counts(view: &PostView) -> std::collections::BTreeMap<String, u64> {
    let reactions = view.reactions.iter();
    reactions.map(|(emoji, accounts)| (emoji.clone(), accounts.len() as u64)).collect()
}

/// A post or comment, whichever the entry is.
pub(super) fn either(
    replica: &Replica,
    id: &ChangeId,
    extras: Extras,
) -> Result<Record, ErrorRecord> {
    let view = replica.show(id)?;
    match view.target {
        None => post(replica, &view, extras),
        Some(_) => comment(replica, &root(replica, &view)?, &view, extras),
    }
}

/// The post above a comment.
pub(super) fn root(replica: &Replica, view: &PostView) -> Result<ChangeId, ErrorRecord> {
    let mut above = view.target;
    let mut root = view.id;
    // Replies name what they answer, which existed before: the walk ends; bounded all the same.
    for _ in 0..1024 {
        let Some(id) = above else { break };
        root = id;
        above = replica.show(&id).ok().and_then(|view| view.target);
    }
    Ok(root)
}
