//! What changes a wall.

use mosaic_node::api::types::{
    ErrorKind, ErrorRecord, Record, WallAdmit, WallComment, WallDelete, WallEdit, WallHide,
    WallHistory, WallReact, WallRefuse, WallShow, WallUnhide, WallUnreact,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input::{self, Attachments, Creating, TextSource};
use crate::quantity;
use crate::render::short;

pub(super) async fn edit(
    id: String,
    text: &TextSource,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let before = if text.wants_editor(context.globals.no_input, false) {
        text_of(&id, context).await?
    } else {
        String::new()
    };
    let text = text.read(context, false, &before).await?.unwrap_or_default();
    let say = |_: &Record| Some("Edited. The old text stays in its history.".to_owned());
    context.answer(&WallEdit { id, text }, Print::Nothing, &say).await
}

/// Gives a post or comment the text of one of its versions again.
pub(super) async fn restore(
    id: String,
    version: &str,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let records = context.records(&WallHistory { id: id.clone() }).await?;
    let prefix = version.to_ascii_lowercase();
    let mut found = records.into_iter().filter_map(|record| match record {
        Record::Version(version) if version.id.starts_with(&prefix) => Some(version),
        _ => None,
    });
    let hint = format!("mosaic wall history {id}");
    let failure = |kind, message| Failure::from(ErrorRecord::new(kind, message).with_hint(&hint));
    let (Some(known), None) = (found.next(), found.next()) else {
        let message = format!("no one version of {} starts with '{version}'", short(&id));
        return Err(failure(ErrorKind::NotFound, message));
    };
    let Some(text) = known.text else {
        let message = format!("the text of version {} is not here", short(&known.id));
        return Err(failure(ErrorKind::NotFound, message));
    };
    if known.shown {
        context.output.talk("That is the text that is shown.");
        return Ok(());
    }
    let say = |_: &Record| Some("Restored. The other texts stay in its history.".to_owned());
    context.answer(&WallEdit { id, text }, Print::Nothing, &say).await
}

/// Returns the text that an editor starts with.
async fn text_of(id: &str, context: &mut Context<'_>) -> Result<String, Failure> {
    let request = WallShow { id: id.to_owned(), ..WallShow::default() };
    let records = context.records(&request).await?;
    let text = records.into_iter().find_map(|record| match record {
        Record::Post(post) => post.text,
        Record::Comment(comment) => comment.text,
        _ => None,
    });
    Ok(text.unwrap_or_default())
}

pub(super) async fn delete(ids: &[String], context: &mut Context<'_>) -> Result<(), Failure> {
    let ids = input::ids(ids).await?;
    let say = |record: &Record| match record {
        Record::Deleted(deleted) => Some(format!(
            "Deleted {}. Whoever still gets what you write drops it; copies made before may remain.",
            short(&deleted.id)
        )),
        _ => None,
    };
    context.answer(&WallDelete { ids }, Print::Nothing, &say).await
}

pub(super) async fn comment(
    id: String,
    text: &TextSource,
    attachments: &Attachments,
    creating: Creating,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let optional = !attachments.is_empty();
    let text = text.read(context, optional, "").await?.unwrap_or_default();
    let request = WallComment {
        id,
        text,
        attachments: attachments.files(&context.globals.help)?,
        idempotency_key: creating.idempotency_key,
        wait_replicas: creating.wait_replicas,
        timeout_ms: context.globals.timeout.map(quantity::millis),
    };
    let say = |_: &Record| Some("Commented.".to_owned());
    context.answer(&request, Print::Value, &say).await
}

pub(super) async fn react(
    id: String,
    emoji: String,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let request = |id| WallReact { id, emoji: emoji.clone() };
    context.each(&[id], request, Print::Value, &reacted).await
}

pub(super) async fn unreact(
    id: String,
    emoji: String,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let request = |id| WallUnreact { id, emoji: emoji.clone() };
    context.each(&[id], request, Print::Nothing, &reacted).await
}

fn reacted(record: &Record) -> Option<String> {
    let Record::Reaction(reaction) = record else { return None };
    let what = if reaction.removed.0 { "Took back" } else { "Reacted with" };
    Some(format!("{what} {} on {}.", reaction.emoji, short(&reaction.target)))
}

pub(super) async fn hide(ids: &[String], context: &mut Context<'_>) -> Result<(), Failure> {
    let say = |_: &Record| Some("Hidden from everybody who reads your wall.".to_owned());
    context.each(ids, |id| WallHide { id }, Print::Nothing, &say).await
}

pub(super) async fn unhide(ids: &[String], context: &mut Context<'_>) -> Result<(), Failure> {
    let say = |_: &Record| Some("Shown again.".to_owned());
    context.each(ids, |id| WallUnhide { id }, Print::Nothing, &say).await
}

pub(super) async fn admit(who: &[String], context: &mut Context<'_>) -> Result<(), Failure> {
    context.each(who, |who| WallAdmit { who }, Print::Nothing, &guest).await
}

pub(super) async fn refuse(who: &[String], context: &mut Context<'_>) -> Result<(), Failure> {
    context.each(who, |who| WallRefuse { who }, Print::Nothing, &guest).await
}

fn guest(record: &Record) -> Option<String> {
    let Record::Guest(guest) = record else { return None };
    Some(format!("{} is {} on your wall.", short(&guest.account), guest.state))
}
